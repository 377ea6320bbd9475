//! Work on files that may hold a thread for long, and needs nothing of the thread that asks: removing a folder of
//! gigabytes, making a file with its blocks, writing a small file durably. It runs beside the thread that asked for it
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
            Self::RemoveDir { dir } => files.remove_dir_all(dir).map(|()| None),
            Self::Replace { path, bytes } => files.replace(path, bytes).map(|()| None),
        }
    }
}
