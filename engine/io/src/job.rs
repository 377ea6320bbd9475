//! Work on files that may hold a thread for long, and needs nothing of the thread that asks: removing a folder of
//! gigabytes, making a file with its blocks, writing a small file durably, reading what is about to be looked at. It runs beside the thread that asked for it
//! ([`crate::Driver::run`]), where the kernel's journal may make it wait.
//!
//! Jobs of one driver run side by side, in no order: who needs one after the other asks for the second when the first is
//! done.

use std::io;
use std::path::PathBuf;

use crate::files::{File, Files, OpenMode};

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Job {
    /// Makes a file, or opens and empties it, and allocates its blocks ([`Files::allocate`]). Ends with the open file.
    MakeFile {
        /// Where.
        path: PathBuf,
        /// Bytes of blocks; none where 0.
        allocate_bytes: u64,
    },
    /// Reads ranges of files into the page cache, as far as they go: whoever looks at them next does not wait for the disk.
    Load {
        /// Path, first byte, and how many.
        ranges: Vec<(PathBuf, u64, u64)>,
    },
    /// Removes a folder and what is in it.
    RemoveDir {
        /// Which.
        dir: PathBuf,
    },
    /// Puts bytes in the place of a small file ([`Files::replace`]).
    Replace {
        /// Which.
        path: PathBuf,
        /// What it holds then.
        bytes: Vec<u8>,
    },
}

impl Job {
    /// Does it here and now, waiting for the disk. Gives the file that it opened, where it did.
    pub fn perform(&self, files: &dyn Files) -> io::Result<Option<File>> {
        match self {
            Self::MakeFile { path, allocate_bytes } => {
                let file = files.open(path, OpenMode::Create)?;
                files.truncate(&file, 0)?;
                if *allocate_bytes > 0 {
                    files.allocate(&file, 0, *allocate_bytes)?;
                }
                Ok(Some(file))
            }
            Self::Load { ranges } => ranges.iter().try_for_each(|range| load(files, range)).map(|()| None),
            Self::RemoveDir { dir } => files.remove_dir_all(dir).map(|()| None),
            Self::Replace { path, bytes } => files.replace(path, bytes).map(|()| None),
        }
    }
}

/// Read at once by [`Job::Load`].
const LOAD_BYTES: u64 = 256 << 10;

fn load(files: &dyn Files, (path, offset, len): &(PathBuf, u64, u64)) -> io::Result<()> {
    let file = files.open(path, OpenMode::Read)?;
    let end = offset.saturating_add(*len).min(files.len(&file)?);
    let mut piece = vec![0; LOAD_BYTES.min(*len) as usize];
    let mut position = *offset;
    while position < end {
        let wanted = (end - position).min(LOAD_BYTES) as usize;
        let got = files.read_at(&file, &mut piece[..wanted], position)?;
        if got == 0 {
            break;
        }
        position += got as u64;
    }
    Ok(())
}
