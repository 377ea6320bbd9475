//! Memory that was never touched is slow the first time: the kernel clears pages, and under a hypervisor the host has to
//! find them first. So both kinds are touched before the first run: anonymous pages, and pages of the page cache.

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, Instant};

/// Bytes written at once.
const CHUNK_BYTES: usize = 4 << 20;
/// One write a page makes it real.
const PAGE_BYTES: usize = 4096;

/// How much was touched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Touched {
    /// Anonymous memory, in bytes.
    pub anonymous_bytes: u64,
    /// Pages of files, in bytes.
    pub file_bytes: u64,
}

/// Touches up to `bytes` through a file in `dir` (written, then removed) and `anonymous_bytes` of plain memory, but stops
/// after `limit`. `progress` is told the bytes done so far.
pub fn touch(
    dir: &Path,
    bytes: u64,
    anonymous_bytes: u64,
    limit: Duration,
    mut progress: impl FnMut(u64),
) -> io::Result<Touched> {
    let begin = Instant::now();
    let anonymous = touch_anonymous(anonymous_bytes, || begin.elapsed() > limit / 4);
    progress(anonymous);
    let path = dir.join("touch.tmp");
    let written = touch_file(&path, bytes, |done| {
        progress(anonymous + done);
        begin.elapsed() > limit
    });
    let removed = fs::remove_file(&path);
    let file_bytes = written?;
    removed?;
    progress(anonymous + file_bytes);
    Ok(Touched { anonymous_bytes: anonymous, file_bytes })
}

fn touch_anonymous(bytes: u64, stop: impl Fn() -> bool) -> u64 {
    let mut held: Vec<Vec<u8>> = Vec::new();
    let mut touched = 0;
    while touched < bytes && !stop() {
        let mut chunk = vec![0u8; CHUNK_BYTES];
        chunk.iter_mut().step_by(PAGE_BYTES).for_each(|it| *it = 1);
        held.push(std::hint::black_box(chunk));
        touched += CHUNK_BYTES as u64;
    }
    touched
}

fn touch_file(path: &Path, bytes: u64, mut stop: impl FnMut(u64) -> bool) -> io::Result<u64> {
    let mut file = fs::File::create(path)?;
    let chunk = vec![0x5a; CHUNK_BYTES];
    let mut written = 0;
    while written < bytes && !stop(written) {
        match file.write_all(&chunk) {
            Ok(()) => written += CHUNK_BYTES as u64,
            // Others write there too: what room there was is touched.
            Err(error) if error.kind() == io::ErrorKind::StorageFull => break,
            Err(error) => return Err(error),
        }
    }
    Ok(written)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn touching_leaves_nothing_behind_and_says_how_much_it_did() {
        let dir = std::env::temp_dir().join(format!("ringlog-touch-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let mut seen = 0;
        let done = touch(&dir, 8 << 20, 8 << 20, Duration::from_secs(5), |it| seen = it).unwrap();
        assert_eq!(done, Touched { anonymous_bytes: 8 << 20, file_bytes: 8 << 20 });
        assert_eq!(seen, 16 << 20);
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 0);
        fs::remove_dir(dir).unwrap();
    }

    #[test]
    fn touching_stops_when_its_time_is_up() {
        let dir = std::env::temp_dir();
        let done = touch(&dir, 1 << 40, 0, Duration::ZERO, |_| ()).unwrap();
        assert_eq!(done.file_bytes, 0);
    }
}
