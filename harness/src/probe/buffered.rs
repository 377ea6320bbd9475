//! The disk through the page cache, and what fdatasync costs: alone, and with several files at once.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{Advice, fadvise};

use super::slices::{Slices, quantiles, us_since};
use super::{Found, PARALLEL_FILES, Rate, Task};
use crate::spec::hardware::ParallelSync;

const CHUNK_BYTES: usize = 1 << 20;
const APPEND_BYTES: usize = 4096;

/// A new file without a name: whatever becomes of us, nothing is left of it.
pub(super) fn nameless(dir: &Path, what: &str) -> io::Result<File> {
    let path = dir.join(format!(".ringlog-probe-{what}-{}", std::process::id()));
    let opened = OpenOptions::new().read(true).write(true).create_new(true).open(&path);
    let file = opened.map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
    std::fs::remove_file(&path)?;
    Ok(file)
}

/// Writes no more than the disk took past the page cache in half of the time, so that the last fdatasync is no long one.
pub(super) fn sequential(task: &Task<'_>, found: &mut Found) -> io::Result<()> {
    let half = task.time / 2;
    let room = found.seq_write.map_or(0.0, |it| it.per_s * half.as_secs_f64());
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded by the file's size")]
    let bytes = (room as u64).clamp(CHUNK_BYTES as u64, task.file_bytes);
    let file = nameless(task.dir, "buffered")?;
    let chunk = vec![0x5a; CHUNK_BYTES];
    let (begin, mut at) = (Instant::now(), 0);
    while at < bytes && begin.elapsed() < half {
        file.write_all_at(&chunk, at)?;
        at += chunk.len() as u64;
    }
    file.sync_data()?;
    found.buffered_write = Some(Rate::even(at as f64 / begin.elapsed().as_secs_f64()));
    found.buffered_read = Some(read(&file, at, half)?);
    Ok(())
}

fn read(file: &File, bytes: u64, time: Duration) -> io::Result<Rate> {
    fadvise(file, 0, None, Advice::DontNeed)?;
    let mut chunk = vec![0; CHUNK_BYTES];
    let slices = Slices::begin(time);
    let mut at = 0;
    while at < bytes {
        file.read_exact_at(&mut chunk, at)?;
        at += chunk.len() as u64;
        if !slices.add(chunk.len() as u64) {
            break;
        }
    }
    slices.rate_until_last()
}

pub(super) fn sync_alone(task: &Task<'_>, found: &mut Found) -> io::Result<()> {
    found.sync_us = quantiles(&mut appends(&nameless(task.dir, "sync")?, Instant::now() + task.time)?);
    Ok(())
}

pub(super) fn sync_parallel(task: &Task<'_>, found: &mut Found) -> io::Result<()> {
    let time = task.time / PARALLEL_FILES.len() as u32;
    for files in PARALLEL_FILES {
        found.sync_parallel.push(parallel(task.dir, files, time)?);
    }
    Ok(())
}

fn parallel(dir: &Path, files: u32, time: Duration) -> io::Result<ParallelSync> {
    let opened = (0..files).map(|at| nameless(dir, &format!("sync-{at}"))).collect::<io::Result<Vec<File>>>()?;
    let begin = Instant::now();
    let end = begin + time;
    let mut times_us = std::thread::scope(|scope| {
        let running: Vec<_> = opened.iter().map(|file| scope.spawn(move || appends(file, end))).collect();
        let each = running.into_iter().map(|it| it.join().map_err(|_| io::Error::other("a thread panicked"))?);
        each.collect::<io::Result<Vec<Vec<f64>>>>()
    })?
    .concat();
    let per_s = times_us.len() as f64 / begin.elapsed().as_secs_f64();
    let us = quantiles(&mut times_us).ok_or_else(|| io::Error::other("no append came to an end"))?;
    Ok(ParallelSync { files, per_s: per_s.round().max(1.0), us })
}

/// Appends with fdatasync until then, at least one: their times in microseconds.
fn appends(file: &File, end: Instant) -> io::Result<Vec<f64>> {
    let (record, mut times_us) = (vec![0x5a; APPEND_BYTES], Vec::new());
    loop {
        let begin = Instant::now();
        file.write_all_at(&record, (times_us.len() * APPEND_BYTES) as u64)?;
        file.sync_data()?;
        times_us.push(us_since(begin));
        if Instant::now() >= end {
            return Ok(times_us);
        }
    }
}

impl Rate {
    /// A rate of which only the whole is known.
    fn even(per_s: f64) -> Self {
        Self { per_s, least_per_s: per_s, greatest_per_s: per_s }
    }
}
