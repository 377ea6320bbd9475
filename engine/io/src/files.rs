//! Files and folders. Calls return when they are done; what must not block the thread goes through the Driver.

pub mod os;

use std::io::{self, IoSlice};
use std::path::Path;
use std::rc::Rc;

/// One call of [`Files::write_all_at`] becomes several writes, which end at multiples of this in the file: pages of one do not
/// reach into the next (`engine/docs/decisions/append-path.md`).
pub const WRITE_EDGE_BYTES: u64 = 64 << 10;

/// An open file. Clones share the descriptor; the last one closes it.
#[derive(Clone, Debug)]
pub struct File(pub(crate) Rc<FileInner>);

/// What stands behind a [`File`].
#[derive(Debug)]
pub(crate) enum FileInner {
    /// A descriptor of the operating system.
    Os(os::OsFile),
    /// A file of the in-memory double.
    Sim(crate::sim::Handle),
}

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// For reading; it must exist.
    Read,
    /// For reading and writing; it must exist.
    Write,
    /// For reading and writing; made where it does not exist.
    Create,
    /// For reading and writing; it must not exist.
    CreateNew,
}

/// One entry of a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirEntry {
    /// Its name (names that are not UTF-8 are left out: no file of ours has one).
    pub name: String,
    /// Whether it is a folder.
    pub is_dir: bool,
}

/// How much of a range is in the page cache (cachestat(2)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Residency {
    /// All of it.
    Whole,
    /// Not all of it.
    Partial,
    /// The kernel cannot say.
    Unknown,
}

/// How large a file system is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// Bytes that it holds.
    pub total_bytes: u64,
    /// Bytes that this user may still write.
    pub usable_bytes: u64,
}

/// The file system as one thread sees it. Errors name the path where there is one.
pub trait Files {
    /// The same files, for who needs them for longer than the call in which it has them.
    fn shared(&self) -> Rc<dyn Files>;
    /// Opens a file.
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<File>;
    /// Reads at `offset` until `buf` is full or the file ends; gives the number of bytes read.
    fn read_at(&self, file: &File, buf: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Reads what is in the page cache, without waiting for a disk (preadv2 with RWF_NOWAIT): `WouldBlock` where nothing
    /// of it is, a short count where only its beginning is.
    fn read_resident_at(&self, file: &File, buf: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Appends up to `len` bytes that are in the page cache to `into`, whose spare capacity must hold them, without
    /// waiting for a disk and without filling the memory twice. As [`Files::read_resident_at`] otherwise.
    fn read_resident(&self, file: &File, into: &mut crate::buf::Buf, offset: u64, len: usize) -> io::Result<usize>;
    /// As [`Files::read_at`], for what is read once: pages that this read brought into the cache are dropped again
    /// (RWF_DONTCACHE; an ordinary read where that is refused). Those that others read stay.
    fn read_once_at(&self, file: &File, buf: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Takes pages of a range that are clean out of the page cache (POSIX_FADV_DONTNEED); a length of 0 reaches to the end of
    /// the file. A hint.
    fn drop_cached(&self, file: &File, offset: u64, len: u64) -> io::Result<()>;
    /// Writes all the parts, one after the other, at `offset`. On an error some of them may have been written.
    fn write_all_at(&self, file: &File, parts: &[IoSlice<'_>], offset: u64) -> io::Result<()>;
    /// The file's length in bytes.
    fn len(&self, file: &File) -> io::Result<u64>;
    /// Cuts or extends the file.
    fn truncate(&self, file: &File, len: u64) -> io::Result<()>;
    /// Allocates blocks without changing the length (FALLOC_FL_KEEP_SIZE).
    fn allocate(&self, file: &File, offset: u64, len: u64) -> io::Result<()>;
    /// fdatasync(2), waiting for it.
    fn sync(&self, file: &File) -> io::Result<()>;
    /// Writes everything to the disk that the file system which holds `path` has in memory, waiting for it (syncfs(2)). No
    /// promise for any one file: it makes the syncs cheap that follow.
    fn sync_all(&self, path: &Path) -> io::Result<()>;
    /// Starts write-back of a range without waiting for it (sync_file_range(2)). No promise of durability.
    fn start_writeback(&self, file: &File, offset: u64, len: u64) -> io::Result<()>;
    /// The file system that holds `path` (statfs(2)).
    fn space(&self, path: &Path) -> io::Result<Space>;
    /// Whether a range is in the page cache.
    fn residency(&self, file: &File, offset: u64, len: u64) -> Residency;

    /// Whether the path exists.
    fn exists(&self, path: &Path) -> bool;
    /// The entries of a folder, in no order.
    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>>;
    /// Makes a folder and its parents.
    fn create_dir_all(&self, dir: &Path) -> io::Result<()>;
    /// Renames, over what is there.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    /// Removes a folder and what is in it.
    fn remove_dir_all(&self, dir: &Path) -> io::Result<()>;
    /// Makes a folder's entries durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// The whole of a small file.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
    /// Puts `bytes` in the place of a small file: whole or not at all, durable when it returns.
    fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()>;
    /// Takes the exclusive lock of a file (flock(2)), made where it does not exist. `WouldBlock` where another process
    /// holds it. Held until the file is dropped.
    fn lock(&self, path: &Path) -> io::Result<File>;
}
