//! A partition's folder: its files by name, errors that name the path.

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use ringlog_io::job::Step;
use ringlog_io::{File, Files, OpenMode};

use crate::StorageError;
use crate::names::{Kind, file_name};

/// Ending of a small file that is not whole yet. Left behind by a kill, removed at open.
pub(crate) const UNFINISHED: &str = ".tmp";

/// The folder of one partition.
#[derive(Clone)]
pub(crate) struct Folder {
    pub(crate) files: Rc<dyn Files>,
    pub(crate) dir: PathBuf,
    /// Something in it was written since a clean stop: shared by clones.
    is_changed: Rc<Cell<bool>>,
}

impl Folder {
    pub(crate) fn new(files: &Rc<dyn Files>, dir: &Path) -> Self {
        Self { files: Rc::clone(files), dir: dir.to_path_buf(), is_changed: Rc::new(Cell::new(false)) }
    }

    /// Whether something in it may not be on the disk.
    pub(crate) fn is_changed(&self) -> bool {
        self.is_changed.get()
    }

    /// Something in it is being written, or was left unsynced by another run.
    pub(crate) fn changed(&self) {
        self.is_changed.set(true);
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    pub(crate) fn open(&self, name: &str, mode: OpenMode) -> Result<File, StorageError> {
        if matches!(mode, OpenMode::Create | OpenMode::CreateNew) {
            self.changed();
        }
        let path = self.path(name);
        self.files.open(&path, mode).map_err(StorageError::io("open", &path))
    }

    /// An open segment file and its length.
    pub(crate) fn open_log(&self, base_offset: i64, mode: OpenMode) -> Result<(File, u64), StorageError> {
        let name = file_name(base_offset, Kind::Log);
        let file = self.open(&name, mode)?;
        let len = self.files.len(&file).map_err(StorageError::io("measure", &self.path(&name)))?;
        Ok((file, len))
    }

    /// A small file; `None` where it is missing.
    pub(crate) fn read(&self, name: &str) -> Result<Option<Vec<u8>>, StorageError> {
        let path = self.path(name);
        match self.files.read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StorageError::io("read", &path)(error)),
        }
    }

    /// What puts a small file in place beside this thread.
    pub(crate) fn put(&self, name: &str, bytes: Vec<u8>) -> Step {
        Step::Put { path: self.path(name), unfinished: self.path(&format!("{name}{UNFINISHED}")), bytes }
    }

    /// Puts a small file in place: whole or not at all while the machine stays up. Waits for no disk.
    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> Result<(), StorageError> {
        self.changed();
        let (path, unfinished) = (self.path(name), self.path(&format!("{name}{UNFINISHED}")));
        let written = self.files.open(&unfinished, OpenMode::Create).and_then(|file| {
            self.files.truncate(&file, 0)?;
            self.files.write_all_at(&file, &[IoSlice::new(bytes)], 0)
        });
        written.and_then(|()| self.files.rename(&unfinished, &path)).map_err(StorageError::io("write", &path))
    }

    /// Writes bytes of a file that grows, made where it is missing.
    pub(crate) fn write_at(&self, name: &str, bytes: &[u8], offset: u64) -> Result<(), StorageError> {
        self.changed();
        let path = self.path(name);
        let written = self
            .files
            .open(&path, OpenMode::Create)
            .and_then(|file| self.files.write_all_at(&file, &[IoSlice::new(bytes)], offset));
        written.map_err(StorageError::io("write", &path))
    }

    /// Removes a file; one that is missing is fine.
    pub(crate) fn remove(&self, name: &str) -> Result<(), StorageError> {
        self.changed();
        let path = self.path(name);
        match self.files.remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(StorageError::io("remove", &path)(error)),
            _ => Ok(()),
        }
    }

    /// Makes a file durable, waiting for the disk; one that is missing is fine.
    pub(crate) fn sync(&self, name: &str) -> Result<(), StorageError> {
        let path = self.path(name);
        match self.files.open(&path, OpenMode::Read) {
            Ok(file) => self.files.sync(&file).map_err(StorageError::sync(&path)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(StorageError::io("open", &path)(error)),
        }
    }

    /// Makes the folder's entries durable, waiting for the disk.
    pub(crate) fn sync_dir(&self) -> Result<(), StorageError> {
        self.files.sync_dir(&self.dir).map_err(StorageError::sync(&self.dir))
    }
}
