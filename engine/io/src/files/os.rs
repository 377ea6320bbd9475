//! The operating system's files: libc calls with EINTR, short counts and IOV_MAX taken care of.
//!
//! What a file system refuses is met where it is met and never remembered for the whole process: the next call may go to
//! another file system.

use std::fs::OpenOptions;
use std::io::{self, IoSlice};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{DirEntry, File, FileInner, Files, OpenMode, Residency, Space};
use crate::buf::Buf;
use crate::error::at_path;
use crate::sys::{self, Calls};

/// Parts that one pwritev(2) takes.
const IOV_MAX: usize = 1024;
/// The most bytes of one pwritev(2), and its most parts.
const PIECE_BYTES: usize = super::WRITE_EDGE_BYTES as usize;
const PIECE_PARTS: usize = 128;
const _: () = assert!(PIECE_PARTS <= IOV_MAX);
/// cachestat(2), since Linux 6.5; the number is the same on every architecture.
const SYS_CACHESTAT: libc::c_long = 451;

/// Whether this kernel has cachestat(2). Set once ENOSYS was met: that cannot change while the process lives.
static CACHESTAT_MISSING: AtomicBool = AtomicBool::new(false);

/// A descriptor with the path that it was opened by, for the words of errors.
#[derive(Debug)]
pub(crate) struct OsFile {
    pub(crate) fd: OwnedFd,
    pub(crate) path: Box<Path>,
}

impl OsFile {
    fn error(&self, verb: &str, error: io::Error) -> io::Error {
        at_path(verb, &self.path, error)
    }
}

/// The files of the operating system.
#[derive(Debug, Default)]
pub struct OsFiles {
    calls: Calls,
}

impl OsFiles {
    /// The files of this thread, for code without a driver.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many of a file's bytes are in the page cache; `None` where the kernel cannot say.
    #[must_use]
    pub fn resident_bytes(&self, file: &File, len: u64) -> Option<u64> {
        let os = self.os(file).ok()?;
        Some(cached_pages(os.fd.as_raw_fd(), 0, len)?.saturating_mul(sys::page_bytes()).min(len))
    }

    /// The files of a driver, whose system calls are counted with it.
    pub(crate) fn counted(calls: Calls) -> Self {
        Self { calls }
    }

    /// The descriptor behind `file`, and one more system call.
    fn os<'a>(&self, file: &'a File) -> io::Result<&'a OsFile> {
        self.calls.count();
        os_file(file)
    }

    /// The number of the device that a file lies on.
    pub(crate) fn device(&self, file: &File) -> Option<u64> {
        self.stat(file).ok().map(|stat| stat.st_dev)
    }

    fn stat(&self, file: &File) -> io::Result<libc::stat> {
        let os = self.os(file)?;
        // SAFETY: stat is plain integers, for which all zeroes is a value.
        let mut stat: libc::stat = unsafe { std::mem::zeroed() };
        // SAFETY: `stat` is writable through the call; the descriptor is open.
        sys::check(unsafe { libc::fstat(os.fd.as_raw_fd(), &mut stat) })
            .map_err(|error| os.error("asking the length of", error))?;
        Ok(stat)
    }

    fn open_std(&self, path: &Path, options: &OpenOptions, verb: &str) -> io::Result<File> {
        self.calls.count();
        let file = options.open(path).map_err(|error| at_path(verb, path, error))?;
        Ok(File(Rc::new(FileInner::Os(OsFile { fd: file.into(), path: path.into() }))))
    }

    fn fsync_path(&self, path: &Path) -> io::Result<()> {
        self.calls.count();
        let dir = std::fs::File::open(path).map_err(|error| at_path("opening", path, error))?;
        self.calls.count();
        dir.sync_all().map_err(|error| at_path("syncing", path, error))
    }

    fn pread(&self, file: &File, buf: &mut [u8], offset: u64, flags: i32) -> io::Result<usize> {
        let os = self.os(file)?;
        let offset = signed(offset)?;
        let part = libc::iovec { iov_base: buf.as_mut_ptr().cast(), iov_len: buf.len() };
        // SAFETY: the one part is `buf`, exclusively borrowed and writable through the call; the descriptor is open.
        sys::retry(|| sys::check_len(unsafe { libc::preadv2(os.fd.as_raw_fd(), &part, 1, offset, flags) }))
    }

    /// For file systems that refuse RWF_NOWAIT (tmpfs): what the cache holds, up to the file's end, is read as usual.
    fn require_resident(&self, file: &File, offset: u64, len: usize) -> io::Result<()> {
        let len = (len as u64).min(self.len(file)?.saturating_sub(offset));
        match self.residency(file, offset, len) {
            Residency::Whole => Ok(()),
            Residency::Partial | Residency::Unknown => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    /// One pwritev(2): as much as the kernel takes.
    fn pwrite_some(&self, os: &OsFile, parts: &[IoSlice<'_>], offset: u64) -> io::Result<usize> {
        self.calls.count();
        let offset = signed(offset)?;
        let count = parts.len().min(IOV_MAX) as i32;
        let fd = os.fd.as_raw_fd();
        // SAFETY: IoSlice is documented to have the layout of iovec; the parts are borrowed through the call and only
        // read; `count` is at most their number.
        sys::retry(|| sys::check_len(unsafe { libc::pwritev(fd, parts.as_ptr().cast(), count, offset) }))
    }

    fn write_parts(&self, os: &OsFile, parts: &[IoSlice<'_>], mut offset: u64) -> io::Result<()> {
        let mut at = Cursor { part: 0, inside: 0 };
        at.advance(parts, 0);
        while at.part < parts.len() {
            let written = match at.rest_within(parts, room(offset)) {
                Some(rest) => self.pwrite_some(os, rest, offset)?,
                None => self.pwrite_some(os, Piece::cut(parts, &at, offset).parts(), offset)?,
            };
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            offset += written as u64;
            at.advance(parts, written);
        }
        Ok(())
    }
}

/// What one pwritev takes of a list of parts: up to the next multiple of [`PIECE_BYTES`] in the file.
///
/// A larger write makes larger folios, and those come from blocks of free memory that have not been used for long: where a
/// hypervisor takes such memory back, each is first touched again, at 2 ms/MB against 0.3 (`docs/decisions/append-path.md`).
struct Piece<'a> {
    slices: [IoSlice<'a>; PIECE_PARTS],
    len: usize,
}

/// Bytes up to the next multiple of [`PIECE_BYTES`].
fn room(offset: u64) -> usize {
    PIECE_BYTES - (offset % PIECE_BYTES as u64) as usize
}

impl<'a> Piece<'a> {
    fn cut(parts: &'a [IoSlice<'_>], from: &Cursor, offset: u64) -> Self {
        let mut room = room(offset);
        let mut piece = Self { slices: [IoSlice::new(&[]); PIECE_PARTS], len: 0 };
        let mut inside = from.inside;
        for part in &parts[from.part..] {
            if room == 0 || piece.len == PIECE_PARTS {
                break;
            }
            let rest = &part[inside..];
            piece.slices[piece.len] = IoSlice::new(&rest[..rest.len().min(room)]);
            room -= piece.slices[piece.len].len();
            piece.len += 1;
            inside = 0;
        }
        piece
    }

    fn parts(&self) -> &[IoSlice<'a>] {
        &self.slices[..self.len]
    }
}

/// The place in a list of parts up to which was written.
struct Cursor {
    part: usize,
    inside: usize,
}

impl Cursor {
    /// All that is left, where one call takes it as it stands: most writes, which no list of parts is made for.
    fn rest_within<'p, 'a>(&self, parts: &'p [IoSlice<'a>], room: usize) -> Option<&'p [IoSlice<'a>]> {
        let rest = parts.get(self.part..).filter(|rest| self.inside == 0 && rest.len() <= PIECE_PARTS)?;
        (rest.iter().map(|part| part.len()).sum::<usize>() <= room).then_some(rest)
    }

    /// Goes on by `len` bytes, and over empty parts.
    fn advance(&mut self, parts: &[IoSlice<'_>], len: usize) {
        self.inside += len;
        while self.part < parts.len() && self.inside >= parts[self.part].len() {
            self.inside -= parts[self.part].len();
            self.part += 1;
        }
    }
}

/// The descriptor behind a file of this kind; a file of the double is refused.
pub(crate) fn os_file(file: &File) -> io::Result<&OsFile> {
    match &*file.0 {
        FileInner::Os(os) => Ok(os),
        FileInner::Sim(_) => Err(io::Error::new(io::ErrorKind::InvalidInput, "a file of the in-memory double")),
    }
}

/// What writes a range and waits until the disk has it: the pages' bytes, not what makes them findable.
pub(crate) const WRITE_BACK: libc::c_uint = libc::SYNC_FILE_RANGE_WRITE | libc::SYNC_FILE_RANGE_WAIT_AFTER;

/// sync_file_range(2).
pub(crate) fn sync_range(fd: RawFd, offset: u64, len: u64, flags: libc::c_uint) -> io::Result<()> {
    let (offset, len) = (signed(offset)?, signed(len)?);
    // SAFETY: sync_file_range takes integers and touches no memory of ours.
    sys::retry(|| sys::check(unsafe { libc::sync_file_range(fd, offset, len, flags) })).map(drop)
}

/// A position as the kernel counts it.
fn signed(value: u64) -> io::Result<i64> {
    i64::try_from(value).map_err(|_| io::Error::from_raw_os_error(libc::EFBIG))
}

/// `struct cachestat_range` of linux/mman.h.
#[repr(C)]
struct CachestatRange {
    offset: u64,
    len: u64,
}

/// `struct cachestat` of linux/mman.h, in pages.
#[repr(C)]
#[derive(Default)]
struct Cachestat {
    cached: u64,
    dirty: u64,
    writeback: u64,
    evicted: u64,
    recently_evicted: u64,
}

/// Pages of the range that are in the page cache; `None` where the kernel cannot say.
fn cached_pages(fd: RawFd, offset: u64, len: u64) -> Option<u64> {
    if CACHESTAT_MISSING.load(Ordering::Relaxed) {
        return None;
    }
    let range = CachestatRange { offset, len };
    let mut stat = Cachestat::default();
    // SAFETY: both structures have the kernel's layout and live through the call; the flags must be zero.
    let code = unsafe { libc::syscall(SYS_CACHESTAT, fd, &raw const range, &raw mut stat, 0) };
    if code == 0 {
        return Some(stat.cached);
    }
    if io::Error::last_os_error().raw_os_error() == Some(libc::ENOSYS) {
        CACHESTAT_MISSING.store(true, Ordering::Relaxed);
    }
    None
}

impl Files for OsFiles {
    fn shared(&self) -> Rc<dyn Files> {
        Rc::new(Self { calls: self.calls.clone() })
    }

    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.read(true).write(mode != OpenMode::Read);
        options.create(mode == OpenMode::Create).create_new(mode == OpenMode::CreateNew);
        self.open_std(path, &options, "opening")
    }

    fn read_at(&self, file: &File, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut done = 0;
        while done < buf.len() {
            match self.pread(file, &mut buf[done..], offset + done as u64, 0) {
                Ok(0) => break,
                Ok(n) => done += n,
                Err(error) => return Err(os_file(file)?.error("reading", error)),
            }
        }
        Ok(done)
    }

    fn read_once_at(&self, file: &File, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let (mut done, mut flags) = (0, sys::RWF_DONTCACHE);
        while done < buf.len() {
            match self.pread(file, &mut buf[done..], offset + done as u64, flags) {
                Ok(0) => break,
                Ok(n) => done += n,
                // The file system or the kernel does not know the flag: an ordinary read gives the same bytes.
                Err(error) if flags != 0 && error.raw_os_error() == Some(libc::EOPNOTSUPP) => flags = 0,
                Err(error) => return Err(os_file(file)?.error("reading", error)),
            }
        }
        Ok(done)
    }

    fn drop_cached(&self, file: &File, offset: u64, len: u64) -> io::Result<()> {
        let os = self.os(file)?;
        let (offset, len) = (signed(offset)?, signed(len)?);
        // SAFETY: posix_fadvise takes integers; the descriptor is open through the call.
        match unsafe { libc::posix_fadvise(os.fd.as_raw_fd(), offset, len, libc::POSIX_FADV_DONTNEED) } {
            0 => Ok(()),
            errno => Err(os.error("dropping pages of", io::Error::from_raw_os_error(errno))),
        }
    }

    fn read_resident_at(&self, file: &File, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        match self.pread(file, buf, offset, libc::RWF_NOWAIT) {
            Ok(n) => Ok(n),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(error),
            Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => {
                self.require_resident(file, offset, buf.len())?;
                self.read_at(file, buf, offset)
            }
            Err(error) => Err(os_file(file)?.error("reading", error)),
        }
    }

    fn read_resident(&self, file: &File, into: &mut Buf, offset: u64, len: usize) -> io::Result<usize> {
        let os = self.os(file)?;
        match sys::pread_into(os.fd.as_raw_fd(), into.vec(), offset, len, libc::RWF_NOWAIT) {
            Ok(n) => Ok(n),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(error),
            Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => {
                self.require_resident(file, offset, len)?;
                sys::pread_into(os.fd.as_raw_fd(), into.vec(), offset, len, 0)
                    .map_err(|error| os.error("reading", error))
            }
            Err(error) => Err(os.error("reading", error)),
        }
    }

    fn write_all_at(&self, file: &File, parts: &[IoSlice<'_>], offset: u64) -> io::Result<()> {
        let os = os_file(file)?;
        self.write_parts(os, parts, offset).map_err(|error| os.error("writing", error))
    }

    fn len(&self, file: &File) -> io::Result<u64> {
        let stat = self.stat(file)?;
        Ok(u64::try_from(stat.st_size).unwrap_or(0))
    }

    fn truncate(&self, file: &File, len: u64) -> io::Result<()> {
        let os = self.os(file)?;
        let len = signed(len)?;
        // SAFETY: ftruncate takes integers and touches no memory of ours.
        sys::retry(|| sys::check(unsafe { libc::ftruncate(os.fd.as_raw_fd(), len) }))
            .map_err(|error| os.error("cutting", error))?;
        Ok(())
    }

    fn allocate(&self, file: &File, offset: u64, len: u64) -> io::Result<()> {
        let os = self.os(file)?;
        let (offset, len) = (signed(offset)?, signed(len)?);
        let mode = libc::FALLOC_FL_KEEP_SIZE;
        // SAFETY: fallocate takes integers and touches no memory of ours.
        match sys::retry(|| sys::check(unsafe { libc::fallocate(os.fd.as_raw_fd(), mode, offset, len) })) {
            Ok(_) => Ok(()),
            // Allocating ahead is a help, not a promise: file systems without it write as well.
            Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => Ok(()),
            Err(error) => Err(os.error("allocating", error)),
        }
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        let os = self.os(file)?;
        // SAFETY: fdatasync takes an integer. EINTR is not tried again: after it the state of the pages is unknown.
        sys::check(unsafe { libc::fdatasync(os.fd.as_raw_fd()) }).map_err(|error| os.error("syncing", error))?;
        Ok(())
    }

    fn sync_all(&self, path: &Path) -> io::Result<()> {
        self.calls.count();
        let file = std::fs::File::open(path).map_err(|error| at_path("opening", path, error))?;
        self.calls.count();
        // SAFETY: the descriptor is open through the call.
        let result = sys::check(unsafe { libc::syncfs(file.as_raw_fd()) });
        result.map(drop).map_err(|error| at_path("syncing all beside", path, error))
    }

    fn start_writeback(&self, file: &File, offset: u64, len: u64) -> io::Result<()> {
        let os = self.os(file)?;
        let started = sync_range(os.fd.as_raw_fd(), offset, len, libc::SYNC_FILE_RANGE_WRITE);
        started.map_err(|error| os.error("starting write-back of", error))
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        crate::host::space(path)
    }

    fn residency(&self, file: &File, offset: u64, len: u64) -> Residency {
        let Ok(os) = self.os(file) else { return Residency::Unknown };
        if len == 0 {
            return Residency::Whole;
        }
        let page = sys::page_bytes();
        let pages = offset.saturating_add(len).div_ceil(page) - offset / page;
        match cached_pages(os.fd.as_raw_fd(), offset, len) {
            None => Residency::Unknown,
            Some(cached) if cached >= pages => Residency::Whole,
            Some(_) => Residency::Partial,
        }
    }

    fn exists(&self, path: &Path) -> bool {
        self.calls.count();
        path.exists()
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        self.calls.count();
        let failed = |error| at_path("listing", dir, error);
        let mut entries = Vec::new();
        for entry in std::fs::read_dir(dir).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let is_dir = entry.file_type().map_err(failed)?.is_dir();
            if let Ok(name) = entry.file_name().into_string() {
                entries.push(DirEntry { name, is_dir });
            }
        }
        Ok(entries)
    }

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.calls.count();
        std::fs::create_dir_all(dir).map_err(|error| at_path("making folder", dir, error))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.calls.count();
        let verb = || format!("renaming {} to {}", from.display(), to.display());
        std::fs::rename(from, to).map_err(|error| crate::error::about(verb(), error))
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.calls.count();
        std::fs::remove_file(path).map_err(|error| at_path("removing", path, error))
    }

    fn remove_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.calls.count();
        std::fs::remove_dir_all(dir).map_err(|error| at_path("removing", dir, error))
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.fsync_path(dir)
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.calls.count();
        std::fs::read(path).map_err(|error| at_path("reading", path, error))
    }

    fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let temporary = temporary_path(path);
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        let file = self.open_std(&temporary, &options, "opening")?;
        self.write_all_at(&file, &[IoSlice::new(bytes)], 0)?;
        self.sync(&file)?;
        self.rename(&temporary, path)?;
        self.fsync_path(parent(path))
    }

    fn lock(&self, path: &Path) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).mode(0o644);
        let file = self.open_std(path, &options, "opening")?;
        let os = self.os(&file)?;
        // SAFETY: flock takes integers and touches no memory of ours.
        sys::retry(|| sys::check(unsafe { libc::flock(os.fd.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) }))
            .map_err(|error| os.error("locking", error))?;
        Ok(file)
    }
}

/// Where the new content of `path` stands until it takes its place: the same name with `.tmp`, as Kafka does it.
pub(crate) fn temporary_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".tmp");
    PathBuf::from(name)
}

/// The folder of a path; the working directory for a bare name.
fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    }
}
