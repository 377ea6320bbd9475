//! Work on files that may hold a thread for long, and needs nothing of the thread that asks: removing a folder of
//! gigabytes, making a file with its blocks, changing small files, reading what is about to be looked at. It runs beside the
//! thread that asked for it ([`crate::Driver::run`]), where the kernel's journal may make it wait.
//!
//! Jobs of one driver run side by side, in no order: who needs one after the other asks for the second when the first is
//! done.

use std::fmt;
use std::io::{self, IoSlice};
use std::path::PathBuf;
use std::sync::Arc;

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
    /// Changes small files one after the other; what fails ends it. Durable is nothing of it but what
    /// [`Step::SyncDir`] says. Ends with the file that [`Step::MakeNew`] made.
    Steps {
        /// In order.
        steps: Vec<Step>,
    },
    /// Puts bytes in the place of a small file ([`Files::replace`]).
    Replace {
        /// Which.
        path: PathBuf,
        /// What it holds then.
        bytes: Vec<u8>,
    },
    /// Work that knows what the files hold, where doing it takes long: its owner keeps what came of it.
    Chore(Chore),
}

/// What [`Job::Chore`] does. It is done once, on another thread, where there is one.
#[derive(Clone)]
pub struct Chore(Arc<Doing>);

type Doing = dyn Fn(&dyn Files) -> io::Result<()> + Send + Sync;

impl Chore {
    /// Whatever `work` does.
    pub fn new(work: impl Fn(&dyn Files) -> io::Result<()> + Send + Sync + 'static) -> Self {
        Self(Arc::new(work))
    }
}

impl fmt::Debug for Chore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Chore")
    }
}

impl PartialEq for Chore {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Chore {}

/// One change of [`Job::Steps`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Writes into a file, made where it is missing.
    WriteAt {
        /// Which.
        path: PathBuf,
        /// What.
        bytes: Vec<u8>,
        /// Where.
        offset: u64,
    },
    /// Puts bytes in the place of a small file: whole or not at all, while the machine stays up.
    Put {
        /// Which.
        path: PathBuf,
        /// The name it has until it is whole.
        unfinished: PathBuf,
        /// What it holds then.
        bytes: Vec<u8>,
    },
    /// Removes a file; one that is missing is fine.
    Remove {
        /// Which.
        path: PathBuf,
    },
    /// Cuts a file that is there.
    Truncate {
        /// Which.
        path: PathBuf,
        /// To how many bytes.
        len: u64,
    },
    /// Renames, over what is there.
    Rename {
        /// From.
        from: PathBuf,
        /// To.
        to: PathBuf,
    },
    /// Renames, over what is there; one that is missing is fine.
    RenameIfThere {
        /// From.
        from: PathBuf,
        /// To.
        to: PathBuf,
    },
    /// Makes a folder's entries durable: names that later steps change are not on the disk before those of earlier ones.
    SyncDir {
        /// Which folder.
        dir: PathBuf,
    },
    /// Makes a file where it is missing.
    Make {
        /// Where.
        path: PathBuf,
    },
    /// Makes a file that must not be there, and keeps it open.
    MakeNew {
        /// Where.
        path: PathBuf,
    },
}

impl Step {
    fn perform(&self, files: &dyn Files) -> io::Result<Option<File>> {
        match self {
            Self::WriteAt { path, bytes, offset } => {
                let file = files.open(path, OpenMode::Create)?;
                files.write_all_at(&file, &[IoSlice::new(bytes)], *offset)?;
            }
            Self::Put { path, unfinished, bytes } => {
                let file = files.open(unfinished, OpenMode::Create)?;
                files.truncate(&file, 0)?;
                files.write_all_at(&file, &[IoSlice::new(bytes)], 0)?;
                files.rename(unfinished, path)?;
            }
            Self::Remove { path } => match files.remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            },
            Self::Truncate { path, len } => files.truncate(&files.open(path, OpenMode::Write)?, *len)?,
            Self::Rename { from, to } => files.rename(from, to)?,
            Self::RenameIfThere { from, to } => match files.rename(from, to) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            },
            Self::SyncDir { dir } => files.sync_dir(dir)?,
            Self::Make { path } => drop(files.open(path, OpenMode::Create)?),
            Self::MakeNew { path } => return files.open(path, OpenMode::CreateNew).map(Some),
        }
        Ok(None)
    }
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
            Self::Steps { steps } => {
                let mut made = None;
                for step in steps {
                    made = step.perform(files)?.or(made);
                }
                Ok(made)
            }
            Self::RemoveDir { dir } => files.remove_dir_all(dir).map(|()| None),
            Self::Replace { path, bytes } => files.replace(path, bytes).map(|()| None),
            Self::Chore(Chore(work)) => work(files).map(|()| None),
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
