//! A few threads that do what would block the loop: jobs, and under epoll reads of files that may be cold, fdatasync(2) and
//! sync_file_range(2), for which io_uring has its own workers.
//!
//! Work on an open file carries a raw descriptor. The driver keeps the file open until the answer was taken, and joins the
//! threads before it drops the files.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::rc::Rc;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;

use crate::driver::Cache;
use crate::files::os::{self, OsFile, OsFiles};
use crate::files::{File, FileInner};
use crate::job::Job;
use crate::sys::{self, check};

/// Threads of one driver: started one by one while all that run are busy.
const THREADS_MAX: usize = 4;

/// What is to be done. Descriptors stay open until the answer was taken.
pub(crate) enum Work {
    /// fdatasync(2).
    Sync(RawFd),
    /// sync_file_range(2).
    Writeback { fd: RawFd, offset: u64, len: u64 },
    /// Reads `len` bytes at `offset` into the vector's spare capacity, which is large enough.
    Read { fd: RawFd, bytes: Vec<u8>, offset: u64, len: usize, cache: Cache },
    /// A job that names its files by paths.
    Job(Job),
}

/// A piece of work by its number, or its answer.
pub(crate) struct Task {
    pub(crate) id: u64,
    pub(crate) work: Work,
    pub(crate) result: io::Result<Option<OsFile>>,
}

#[derive(Default)]
struct Queues {
    todo: VecDeque<Task>,
    done: Vec<Task>,
    idle: usize,
    stop: bool,
}

struct Shared {
    queues: Mutex<Queues>,
    work_came: Condvar,
    wake: OwnedFd,
    /// Where the threads run; `None` where their starter does.
    places: Option<libc::cpu_set_t>,
}

impl Shared {
    /// The queues. A thread that panicked left them whole: they are only pushed to and popped from.
    fn lock(&self) -> MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn run(&self) {
        if let Some(Err(error)) = self.places.as_ref().map(sys::stay_on) {
            tracing::warn!(%error, "a helper thread stays on its shard's core");
        }
        while let Some(mut task) = self.next() {
            task.result = perform(&mut task.work);
            self.lock().done.push(task);
            sys::eventfd_add(self.wake.as_raw_fd());
        }
    }

    fn next(&self) -> Option<Task> {
        let mut queues = self.lock();
        loop {
            if queues.stop {
                return None;
            }
            if let Some(task) = queues.todo.pop_front() {
                return Some(task);
            }
            queues.idle += 1;
            queues = self.work_came.wait(queues).unwrap_or_else(std::sync::PoisonError::into_inner);
            queues.idle -= 1;
        }
    }
}

/// The helper threads of one driver.
pub(crate) struct Helper {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Helper {
    /// No thread runs yet. They will run on `cores`; an empty list leaves them where their starter is.
    pub(crate) fn new(cores: &[usize]) -> io::Result<Self> {
        let places = if cores.is_empty() { None } else { Some(sys::core_set(cores)?) };
        let wake = sys::eventfd(libc::EFD_NONBLOCK)?;
        let shared = Shared { queues: Mutex::default(), work_came: Condvar::new(), wake, places };
        Ok(Self { shared: Arc::new(shared), threads: Vec::new() })
    }

    /// Readable when answers are there.
    pub(crate) fn wake_fd(&self) -> RawFd {
        self.shared.wake.as_raw_fd()
    }

    /// Queues work.
    pub(crate) fn submit(&mut self, id: u64, work: Work) -> io::Result<()> {
        let mut queues = self.shared.lock();
        queues.todo.push_back(Task { id, work, result: Ok(None) });
        let short = queues.todo.len() > queues.idle;
        drop(queues);
        if short && self.threads.len() < THREADS_MAX {
            self.start_thread()?;
        }
        self.shared.work_came.notify_one();
        Ok(())
    }

    fn start_thread(&mut self) -> io::Result<()> {
        let shared = Arc::clone(&self.shared);
        let started = std::thread::Builder::new().name("io-helper".to_owned()).spawn(move || shared.run());
        match started {
            Ok(thread) => self.threads.push(thread),
            // The threads that run will come to it; without any it has to fail.
            Err(_) if !self.threads.is_empty() => {}
            Err(error) => {
                self.shared.lock().todo.pop_back();
                return Err(error);
            }
        }
        Ok(())
    }

    /// Moves the answers that are there into `done`.
    pub(crate) fn take(&mut self, done: &mut Vec<Task>) {
        sys::eventfd_take(self.wake_fd());
        done.append(&mut self.shared.lock().done);
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        self.shared.lock().stop = true;
        self.shared.work_came.notify_all();
        for thread in self.threads.drain(..) {
            // A helper that panicked has said so; there is nothing left to clean up behind it.
            let _ = thread.join();
        }
    }
}

fn perform(work: &mut Work) -> io::Result<Option<OsFile>> {
    match work {
        // SAFETY: fdatasync takes an integer.
        Work::Sync(fd) => check(unsafe { libc::fdatasync(*fd) }).map(|_| None),
        Work::Writeback { fd, offset, len } => os::sync_range(*fd, *offset, *len, os::WRITE_BACK).map(|()| None),
        Work::Read { fd, bytes, offset, len, cache } => read(*fd, bytes, *offset, *len, *cache).map(|()| None),
        Work::Job(job) => job.perform(&OsFiles::new()).map(|opened| opened.and_then(into_os)),
    }
}

/// The descriptor of a file that this thread has just opened, to go to another thread.
fn into_os(file: File) -> Option<OsFile> {
    match Rc::try_unwrap(file.0) {
        Ok(FileInner::Os(os)) => Some(os),
        _ => None,
    }
}

fn read(fd: RawFd, bytes: &mut Vec<u8>, offset: u64, len: usize, cache: Cache) -> io::Result<()> {
    let mut flags = if cache == Cache::Drop { sys::RWF_DONTCACHE } else { 0 };
    while bytes.len() < len {
        match sys::pread_into(fd, bytes, offset.saturating_add(bytes.len() as u64), len - bytes.len(), flags) {
            Ok(0) => break,
            Ok(_) => {}
            // The file system does not know the flag: an ordinary read gives the same bytes.
            Err(error) if flags != 0 && error.raw_os_error() == Some(libc::EOPNOTSUPP) => flags = 0,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
