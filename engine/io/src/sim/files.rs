//! The in-memory double of [`Files`], with faults: what a disk, a full disk, a broken disk and a power cut do.
//!
//! ```text
//!   let files = SimFiles::new(seed);
//!   files.fail(Fault::nth(Op::Sync, 3, libc::EIO));      // the third sync from now fails
//!   ... run ...
//!   files.crash();                                       // what was not synced is lost or torn, by the seed
//!   files.power_on();                                    // and the same code opens what is left
//! ```
//!
//! The same seed and the same calls give the same disk. Descriptors from before a crash fail with EIO. A sync that failed
//! has lost its bytes for good, as on Linux: the next sync succeeds and does not bring them back.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::io::{self, IoSlice};
use std::path::Path;
use std::rc::{Rc, Weak};

use super::dice::Dice;
use super::disk::Disk;
use super::fault::{Fault, Op, SimCounters};
use crate::buf::Buf;
use crate::error::at_path;
use crate::files::os::temporary_path;
use crate::files::{DirEntry, File, FileInner, Files, OpenMode, Residency, Space};

/// A descriptor of the double.
#[derive(Debug)]
pub(crate) struct Handle {
    node: u64,
    writes: bool,
    /// The number of the boot it was opened in.
    boot: u64,
    path: Box<Path>,
    /// The double, where this descriptor holds the file's lock.
    lock_of: Option<Weak<SimFiles>>,
}

impl Handle {
    /// Refuses changes through a descriptor that was opened for reading, with the errno of the call.
    fn writable(&self, errno: i32) -> io::Result<()> {
        if self.writes { Ok(()) } else { Err(io::Error::from_raw_os_error(errno)) }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if let Some(files) = self.lock_of.take().and_then(|files| files.upgrade()) {
            files.locks.borrow_mut().remove(&self.node);
        }
    }
}

/// The in-memory files.
#[derive(Debug)]
pub struct SimFiles {
    this: Weak<SimFiles>,
    disk: RefCell<Disk>,
    dice: RefCell<Dice>,
    faults: RefCell<Vec<Fault>>,
    locks: RefCell<BTreeSet<u64>>,
    counters: Cell<SimCounters>,
    boot: Cell<u64>,
    powered: Cell<bool>,
    read_only: Cell<bool>,
    resident: Cell<bool>,
    space_bytes: Cell<Option<u64>>,
    changes_until_cut: Cell<Option<u64>>,
    syncs_begun: Cell<u64>,
}

impl SimFiles {
    /// An empty disk with its power on. The seed decides what crashes leave.
    #[must_use]
    pub fn new(seed: u64) -> Rc<Self> {
        Rc::new_cyclic(|this| Self {
            this: this.clone(),
            disk: RefCell::new(Disk::new()),
            dice: RefCell::new(Dice(seed)),
            faults: RefCell::default(),
            locks: RefCell::default(),
            counters: Cell::default(),
            boot: Cell::new(1),
            powered: Cell::new(true),
            read_only: Cell::new(false),
            resident: Cell::new(true),
            space_bytes: Cell::new(None),
            changes_until_cut: Cell::new(None),
            syncs_begun: Cell::new(0),
        })
    }

    /// Adds a fault. Several may wait; each counts the calls of its kind from now on.
    pub fn fail(&self, fault: Fault) {
        self.faults.borrow_mut().push(fault);
    }

    /// Takes all faults away, those without end too.
    pub fn heal(&self) {
        self.faults.borrow_mut().clear();
    }

    /// `Some(n)`: when files have grown by `n` more bytes the disk is full (ENOSPC, the write that meets it is cut short).
    /// What overwrites takes no room, as on a file system that writes in place.
    pub fn set_space_bytes(&self, left: Option<u64>) {
        self.space_bytes.set(left);
    }

    /// Whether every change fails with EROFS.
    pub fn set_read_only(&self, read_only: bool) {
        self.read_only.set(read_only);
    }

    /// Whether the page cache holds everything (as at the start) or nothing.
    pub fn set_resident(&self, resident: bool) {
        self.resident.set(resident);
    }

    /// What was called so far.
    #[must_use]
    pub fn counters(&self) -> SimCounters {
        self.counters.get()
    }

    /// Everything that is there reaches the disk, as after a long idle time. For the ground that a test starts from.
    pub fn settle(&self) {
        self.disk.borrow_mut().sync_all();
    }

    /// The power goes: every call fails until [`SimFiles::power_on`], and what was not synced is lost or torn.
    pub fn crash(&self) {
        if self.powered.replace(false) {
            self.disk.borrow_mut().crash(&mut self.dice.borrow_mut());
            self.locks.borrow_mut().clear();
        }
    }

    /// Whether the power is on.
    #[must_use]
    pub fn is_powered(&self) -> bool {
        self.powered.get()
    }

    /// The power goes at the change that follows `changes` more (see [`SimCounters::changes`]): a write is torn there,
    /// anything else does not happen, and the call fails.
    pub fn cut_power_after(&self, changes: u64) {
        self.changes_until_cut.set(Some(changes));
    }

    /// The next boot: calls work again on what the crash left; faults and limits are gone.
    pub fn power_on(&self) {
        self.crash();
        self.heal();
        self.space_bytes.set(None);
        self.read_only.set(false);
        self.changes_until_cut.set(None);
        self.boot.set(self.boot.get() + 1);
        self.powered.set(true);
    }

    fn count(&self, add: impl Fn(&mut SimCounters)) {
        let mut counters = self.counters.get();
        add(&mut counters);
        self.counters.set(counters);
    }

    /// Whether a call may go on. `Err` carries how many bytes of a write get through before it.
    fn admit(&self, op: Op) -> Result<(), (io::Error, usize)> {
        let stop = |errno: i32| Err((io::Error::from_raw_os_error(errno), 0));
        if !self.powered.get() {
            return stop(libc::EIO);
        }
        self.count(|counters| {
            match op {
                Op::Open => counters.opens += 1,
                Op::Read => counters.reads += 1,
                Op::Write => counters.writes += 1,
                Op::Sync => counters.syncs += 1,
                Op::SyncDir => counters.dir_syncs += 1,
                _ => {}
            }
            counters.changes += u64::from(op.mutates());
        });
        if let Some((error, torn)) = self.met_fault(op) {
            return Err((error, torn));
        }
        if self.read_only.get() && op.mutates() {
            return stop(libc::EROFS);
        }
        if op.mutates() && self.power_goes_now() {
            let torn = if op == Op::Write { usize::MAX } else { 0 };
            return Err((io::Error::from_raw_os_error(libc::EIO), torn));
        }
        Ok(())
    }

    /// Counts all faults of this kind on; the first whose turn it is.
    fn met_fault(&self, op: Op) -> Option<(io::Error, usize)> {
        let mut met = None;
        self.faults.borrow_mut().retain_mut(|fault| {
            if fault.op != op {
                return true;
            }
            if fault.after > 0 {
                fault.after -= 1;
                return true;
            }
            if met.is_none() {
                met = Some((io::Error::from_raw_os_error(fault.errno), fault.torn_bytes.unwrap_or(0)));
            }
            fault.for_ever
        });
        met
    }

    /// Whether this is the change at which the power goes. The crash itself comes after the torn write.
    fn power_goes_now(&self) -> bool {
        match self.changes_until_cut.get() {
            Some(0) => {
                self.changes_until_cut.set(None);
                true
            }
            Some(left) => {
                self.changes_until_cut.set(Some(left - 1));
                false
            }
            None => false,
        }
    }

    /// As [`SimFiles::admit`] for calls that are not writes. Where the power went, it is off when this returns.
    fn enter(&self, op: Op, verb: &str, path: &Path) -> io::Result<()> {
        let cut = self.changes_until_cut.get() == Some(0) && op.mutates();
        self.admit(op).map_err(|(error, _)| {
            if cut && self.changes_until_cut.get().is_none() {
                self.crash();
            }
            at_path(verb, path, error)
        })
    }

    fn handle<'a>(&self, file: &'a File) -> io::Result<&'a Handle> {
        match &*file.0 {
            FileInner::Sim(handle) if handle.boot == self.boot.get() => Ok(handle),
            FileInner::Sim(handle) => {
                Err(at_path("using (opened before the crash)", &handle.path, io::Error::from_raw_os_error(libc::EIO)))
            }
            FileInner::Os(_) => Err(io::Error::new(io::ErrorKind::InvalidInput, "a file of the operating system")),
        }
    }

    fn opened(&self, node: u64, path: &Path, writes: bool, lock_of: Option<Weak<SimFiles>>) -> File {
        let handle = Handle { node, writes, boot: self.boot.get(), path: path.into(), lock_of };
        File(Rc::new(FileInner::Sim(handle)))
    }

    /// Finds or makes a file.
    fn open_node(&self, path: &Path, mode: OpenMode) -> io::Result<u64> {
        let mut disk = self.disk.borrow_mut();
        let refuse = |errno| Err(io::Error::from_raw_os_error(errno));
        match (disk.find(path), mode) {
            (Ok(_), OpenMode::CreateNew) => refuse(libc::EEXIST),
            (Ok(id), _) if disk.is_dir(id) => refuse(libc::EISDIR),
            (Ok(_), mode) if mode != OpenMode::Read && self.read_only.get() => refuse(libc::EROFS),
            (Ok(id), _) => Ok(id),
            (Err(error), OpenMode::Create | OpenMode::CreateNew) if error.kind() == io::ErrorKind::NotFound => {
                if self.read_only.get() { refuse(libc::EROFS) } else { disk.create_file(path) }
            }
            (Err(error), _) => Err(error),
        }
    }

    /// Writes as much of `bytes` as there is room for.
    fn write_bytes(&self, handle: &Handle, bytes: &[u8], offset: u64) -> io::Result<()> {
        let offset = usize::try_from(offset).map_err(|_| io::Error::from_raw_os_error(libc::EFBIG))?;
        let room = self.space_bytes.get().map_or(usize::MAX, |left| usize::try_from(left).unwrap_or(usize::MAX));
        let mut disk = self.disk.borrow_mut();
        let file = disk.file(handle.node)?;
        let overwritten = file.live.len().saturating_sub(offset).min(bytes.len());
        let fits = bytes.len().min(room.saturating_add(overwritten));
        if fits > 0 {
            file.write(offset, &bytes[..fits]);
        }
        let grown = (fits - overwritten) as u64;
        self.space_bytes.set(self.space_bytes.get().map(|left| left - grown));
        self.count(|counters| counters.written_bytes += fits as u64);
        if fits < bytes.len() { Err(io::Error::from_raw_os_error(libc::ENOSPC)) } else { Ok(()) }
    }

    /// A sync begins: it will cover what is written so far. Its number is for [`SimFiles::sync_end`].
    pub(super) fn sync_begin(&self, file: &File) -> io::Result<u64> {
        let handle = self.handle(file)?;
        self.syncs_begun.set(self.syncs_begun.get() + 1);
        let ticket = self.syncs_begun.get();
        if self.powered.get() {
            self.disk.borrow_mut().file(handle.node)?.sync_begin(ticket);
        }
        Ok(ticket)
    }

    /// A sync ends, with the verdict that the faults give it.
    pub(super) fn sync_end(&self, file: &File, ticket: u64) -> io::Result<()> {
        let handle = self.handle(file)?;
        let result = self.enter(Op::Sync, "syncing", &handle.path);
        if self.powered.get() {
            let mut disk = self.disk.borrow_mut();
            let bytes = disk.file(handle.node)?;
            if result.is_ok() { bytes.sync_end(ticket) } else { bytes.sync_failed(ticket) }
        }
        result
    }

    fn write_parts(&self, handle: &Handle, parts: &[IoSlice<'_>], offset: u64) -> io::Result<()> {
        handle.writable(libc::EBADF)?;
        let bytes: Vec<u8> = parts.iter().flat_map(|part| part.iter().copied()).collect();
        match self.admit(Op::Write) {
            Ok(()) => self.write_bytes(handle, &bytes, offset),
            Err((error, usize::MAX)) => {
                let torn = self.dice.borrow_mut().below(bytes.len() + 1);
                self.write_bytes(handle, &bytes[..torn], offset)?;
                self.crash();
                Err(error)
            }
            Err((error, torn)) => {
                self.write_bytes(handle, &bytes[..torn.min(bytes.len())], offset)?;
                Err(error)
            }
        }
    }
}

impl Files for SimFiles {
    fn shared(&self) -> Rc<dyn Files> {
        self.this.upgrade().unwrap_or_else(|| unreachable!("whoever calls it holds it"))
    }

    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<File> {
        self.enter(Op::Open, "opening", path)?;
        let node = self.open_node(path, mode).map_err(|error| at_path("opening", path, error))?;
        Ok(self.opened(node, path, mode != OpenMode::Read, None))
    }

    fn read_at(&self, file: &File, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let handle = self.handle(file)?;
        self.enter(Op::Read, "reading", &handle.path)?;
        let mut disk = self.disk.borrow_mut();
        let bytes = &disk.file(handle.node)?.live;
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
        let len = buf.len().min(bytes.len() - start);
        buf[..len].copy_from_slice(&bytes[start..start + len]);
        Ok(len)
    }

    fn read_once_at(&self, file: &File, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.read_at(file, buf, offset)
    }

    fn drop_cached(&self, file: &File, _offset: u64, _len: u64) -> io::Result<()> {
        self.handle(file).map(drop)
    }

    fn read_resident_at(&self, file: &File, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        if !self.resident.get() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.read_at(file, buf, offset)
    }

    fn read_resident(&self, file: &File, into: &mut Buf, offset: u64, len: usize) -> io::Result<usize> {
        let room = into.vec().capacity() - into.len();
        let mut bytes = vec![0; len.min(room)];
        let got = self.read_resident_at(file, &mut bytes, offset)?;
        into.vec().extend_from_slice(&bytes[..got]);
        Ok(got)
    }

    fn write_all_at(&self, file: &File, parts: &[IoSlice<'_>], offset: u64) -> io::Result<()> {
        let handle = self.handle(file)?;
        self.write_parts(handle, parts, offset).map_err(|error| at_path("writing", &handle.path, error))
    }

    fn len(&self, file: &File) -> io::Result<u64> {
        let handle = self.handle(file)?;
        Ok(self.disk.borrow_mut().file(handle.node)?.live.len() as u64)
    }

    fn truncate(&self, file: &File, len: u64) -> io::Result<()> {
        let handle = self.handle(file)?;
        self.enter(Op::Truncate, "cutting", &handle.path)?;
        handle.writable(libc::EINVAL).map_err(|error| at_path("cutting", &handle.path, error))?;
        let len = usize::try_from(len).map_err(|_| io::Error::from_raw_os_error(libc::EFBIG))?;
        self.disk.borrow_mut().file(handle.node)?.truncate(len);
        Ok(())
    }

    fn allocate(&self, file: &File, _offset: u64, _len: u64) -> io::Result<()> {
        let handle = self.handle(file)?;
        self.enter(Op::Allocate, "allocating", &handle.path)?;
        handle.writable(libc::EBADF).map_err(|error| at_path("allocating", &handle.path, error))
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        let ticket = self.sync_begin(file)?;
        self.sync_end(file, ticket)
    }

    fn sync_all(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }

    fn start_writeback(&self, file: &File, _offset: u64, _len: u64) -> io::Result<()> {
        self.handle(file).map(drop)
    }

    /// A disk without a limit is as large as can be said.
    fn space(&self, _path: &Path) -> io::Result<Space> {
        let usable_bytes = self.space_bytes.get().unwrap_or(u64::MAX >> 1);
        Ok(Space { total_bytes: u64::MAX >> 1, usable_bytes })
    }

    fn residency(&self, _file: &File, _offset: u64, _len: u64) -> Residency {
        if self.resident.get() { Residency::Whole } else { Residency::Partial }
    }

    fn exists(&self, path: &Path) -> bool {
        self.powered.get() && self.disk.borrow().find(path).is_ok()
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        self.enter(Op::List, "listing", dir)?;
        let disk = self.disk.borrow();
        let id = disk.find(dir).map_err(|error| at_path("listing", dir, error))?;
        let entries = disk.entries(id).map_err(|error| at_path("listing", dir, error))?;
        Ok(entries.iter().map(|(name, id)| DirEntry { name: name.clone(), is_dir: disk.is_dir(*id) }).collect())
    }

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.enter(Op::CreateDir, "making folder", dir)?;
        self.disk.borrow_mut().create_dir_all(dir).map_err(|error| at_path("making folder", dir, error))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.enter(Op::Rename, "renaming", from)?;
        self.disk.borrow_mut().rename(from, to).map_err(|error| at_path("renaming", from, error))
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.enter(Op::Remove, "removing", path)?;
        self.disk.borrow_mut().remove_file(path).map_err(|error| at_path("removing", path, error))
    }

    fn remove_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.enter(Op::Remove, "removing", dir)?;
        self.disk.borrow_mut().remove_dir_all(dir).map_err(|error| at_path("removing", dir, error))
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.enter(Op::SyncDir, "syncing", dir)?;
        #[cfg(feature = "plant")]
        if crate::plant::is(crate::plant::FOLDER_SYNC_SKIPPED) {
            return Ok(());
        }
        self.disk.borrow_mut().sync_dir(dir).map_err(|error| at_path("syncing", dir, error))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let file = self.open(path, OpenMode::Read)?;
        let mut bytes = vec![0; usize::try_from(self.len(&file)?).unwrap_or(usize::MAX)];
        self.read_at(&file, &mut bytes, 0)?;
        Ok(bytes)
    }

    fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let temporary = temporary_path(path);
        let file = self.open(&temporary, OpenMode::Create)?;
        self.truncate(&file, 0)?;
        self.write_all_at(&file, &[IoSlice::new(bytes)], 0)?;
        self.sync(&file)?;
        self.rename(&temporary, path)?;
        self.sync_dir(path.parent().unwrap_or(Path::new("/")))
    }

    fn lock(&self, path: &Path) -> io::Result<File> {
        self.enter(Op::Open, "locking", path)?;
        let node = self.open_node(path, OpenMode::Create).map_err(|error| at_path("locking", path, error))?;
        if !self.locks.borrow_mut().insert(node) {
            return Err(at_path("locking", path, io::Error::from_raw_os_error(libc::EWOULDBLOCK)));
        }
        Ok(self.opened(node, path, true, Some(self.this.clone())))
    }
}
