//! What it costs to fill pages of the page cache: those it has to find first, and those it has.
//!
//! Under a hypervisor that takes freed memory back the first time costs several times the second, and a log is written
//! into first pages all its life.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::slices::Slices;
use super::{Found, Rate, Task, buffered, host};

const CHUNK_BYTES: usize = 1 << 20;
/// Of the memory that is free no more than this share is filled: nobody else is to be driven out.
const SHARE_OF_MEMORY: u64 = 8;

pub(super) fn touch(task: &Task<'_>, found: &mut Found) -> io::Result<()> {
    let memory_bytes = host().memory_bytes.unwrap_or(u64::MAX);
    let bytes = (task.file_bytes / 2).min(memory_bytes / SHARE_OF_MEMORY);
    let file = buffered::nameless(task.dir, "touch")?;
    let (first, touched) = over(&file, bytes, task)?;
    found.cache_first = Some(first);
    found.cache_again = Some(over(&file, touched, task)?.0);
    Ok(())
}

/// Writes the file once from its beginning, or as far as half of the time goes. The rate, and how far it came.
fn over(file: &File, bytes: u64, task: &Task<'_>) -> io::Result<(Rate, u64)> {
    let chunk = vec![0x5a; CHUNK_BYTES];
    let slices = Slices::begin(task.time / 2);
    let mut at = 0;
    while at < bytes {
        file.write_all_at(&chunk, at)?;
        if !slices.add(chunk.len() as u64) {
            break;
        }
        at += chunk.len() as u64;
    }
    Ok((slices.rate_until_last()?, at))
}
