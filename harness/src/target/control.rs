//! What can be done to a target that we started while it is measured: its processes ended, halted and started again, its disk
//! filled.
//!
//! ```text
//!   running --kill--> down --start--> running        stop: told to end (SIGTERM), waited for, killed where it does not
//!   running --pause--> halted --resume--> running    (SIGSTOP, SIGCONT)
//!   fill: a ballast file beside its data, until the file system has no room --free--> the file is gone
//! ```
//!
//! - A target starts again where it was: the same folder, the same ports.
//! - Of several brokers the next one is told to end when the one before has its replicas again, as who runs a cluster does it.
//! - A disk is filled only where it is a small file system of its own: nobody else may lose room by it.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::process::{Server, StartError};
use crate::host::has_ended;

/// How long a broker that was told to end may take: Kafka moves its leaders away first.
const STOP_MAX: Duration = Duration::from_secs(30);
/// How long the replicas of a broker that came back may take to have what was written meanwhile.
const WHOLE_MAX: Duration = Duration::from_secs(120);
/// How often it is looked whether they have.
const WHOLE_LOOK: Duration = Duration::from_millis(100);
/// How often it is looked whether it has ended.
const LOOK: Duration = Duration::from_millis(10);
/// A file system larger than this is nobody's to fill.
const FILL_BYTES_MAX: u64 = 4 << 30;
/// What a ballast file is written with at a time.
const BALLAST_BYTES: usize = 1 << 20;

/// Starts a broker again as it was started first.
pub(super) type Again = Box<dyn Fn() -> Result<Server, StartError> + Send>;

/// Whether every broker of a target takes part and every partition has all its replicas.
pub(super) type IsWhole = Box<dyn Fn() -> bool + Send + Sync>;

/// A target in our hand: one or more brokers.
#[derive(Clone)]
pub struct Control(Arc<State>);

struct State {
    brokers: Vec<Mutex<Broker>>,
    is_whole: IsWhole,
    /// Folder of the run's data.
    dir: PathBuf,
}

struct Broker {
    server: Option<Server>,
    again: Again,
}

/// Why something could not be done.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// It does not start again.
    #[error(transparent)]
    Start(#[from] StartError),
    /// A signal, a file.
    #[error("{what}: {source}")]
    Io {
        /// What was under way.
        what: String,
        /// The system's words.
        source: io::Error,
    },
    /// Several brokers that do not come together.
    #[error("the brokers run, and after {waited_s} s one does not take part or a partition lacks a replica")]
    NotWhole {
        /// How long it was waited.
        waited_s: u64,
    },
    /// The disk is not one of the target's own.
    #[error(
        "fill-disk: {dir} lies on a file system that is not small and its own ({why}), and is not filled: mount one, as with \
         `mount -t tmpfs -o size=1g tmpfs DIR`, and name it with --dir DIR"
    )]
    NotOwn {
        /// The folder.
        dir: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

fn failed(what: impl Into<String>) -> impl FnOnce(io::Error) -> ControlError {
    |source| ControlError::Io { what: what.into(), source }
}

/// One that panicked leaves a broker that is still there.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl std::fmt::Debug for Control {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Control").field(&self.pids()).finish()
    }
}

impl Control {
    /// Of brokers that run, and how each is started again, with their data below `dir`.
    pub(super) fn new(brokers: Vec<(Server, Again)>, is_whole: IsWhole, dir: &Path) -> Self {
        let broker = |(server, again)| Mutex::new(Broker { server: Some(server), again });
        let brokers = brokers.into_iter().map(broker).collect();
        Self(Arc::new(State { brokers, is_whole, dir: dir.to_owned() }))
    }

    /// The processes that run now.
    #[must_use]
    pub fn pids(&self) -> Vec<u32> {
        self.0.brokers.iter().filter_map(|it| locked(it).server.as_ref().map(Server::pid)).collect()
    }

    /// How a broker ended that nobody here ended.
    #[must_use]
    pub fn ended(&self) -> Option<ExitStatus> {
        self.0.brokers.iter().find_map(|it| locked(it).server.as_mut().and_then(Server::ended))
    }

    /// Ends the first broker at once.
    pub fn kill(&self) {
        self.0.brokers.iter().take(1).for_each(|it| locked(it).server = None);
    }

    /// Starts the first broker again, told to end before where it runs.
    pub fn restart(&self) -> Result<(), ControlError> {
        self.0.brokers.iter().take(1).try_for_each(|it| locked(it).restart())
    }

    /// Starts every broker again, one after the other.
    pub fn rolling_restart(&self) -> Result<(), ControlError> {
        self.0.brokers.iter().try_for_each(|it| {
            locked(it).restart()?;
            self.wait_until_whole()
        })
    }

    /// Waits until every broker takes part and every partition has all its replicas.
    pub(super) fn wait_until_whole(&self) -> Result<(), ControlError> {
        let begin = Instant::now();
        while !(self.0.is_whole)() {
            if begin.elapsed() > WHOLE_MAX {
                return Err(ControlError::NotWhole { waited_s: WHOLE_MAX.as_secs() });
            }
            std::thread::sleep(WHOLE_LOOK);
        }
        Ok(())
    }

    /// The first broker stands still.
    pub fn pause(&self) -> Result<(), ControlError> {
        self.signal(Signal::STOP, "pausing the broker")
    }

    /// It goes on.
    pub fn resume(&self) -> Result<(), ControlError> {
        self.signal(Signal::CONT, "resuming the broker")
    }

    fn signal(&self, signal: Signal, what: &str) -> Result<(), ControlError> {
        let first = self.0.brokers.first().map(locked);
        let server = first.as_ref().and_then(|it| it.server.as_ref());
        server.map_or(Ok(()), |server| send(server.pid(), signal).map_err(failed(what)))
    }

    /// Whether the disk may be filled.
    pub fn may_fill(dir: &Path) -> Result<(), ControlError> {
        let not_own = |why: String| ControlError::NotOwn { dir: dir.to_owned(), why };
        let device = |path: &Path| fs::metadata(path).map(|it| it.dev());
        let own = device(dir).map_err(failed(format!("looking at {}", dir.display())))?;
        let everybodys = ["/", "/tmp", "/var", "/home", "/dev/shm"].map(Path::new);
        if let Some(path) = everybodys.into_iter().find(|path| device(path).is_ok_and(|it| it == own)) {
            return Err(not_own(format!("it is that of {}", path.display())));
        }
        let size = rustix::fs::statvfs(dir).map_err(|error| failed("the size of the file system")(error.into()))?;
        let bytes = size.f_blocks.saturating_mul(size.f_frsize);
        if bytes > FILL_BYTES_MAX {
            return Err(not_own(format!("it has {bytes} bytes, more than {FILL_BYTES_MAX}")));
        }
        Ok(())
    }

    /// Fills the file system below the data.
    pub fn fill_disk(&self) -> Result<(), ControlError> {
        Self::may_fill(&self.0.dir)?;
        let path = self.ballast();
        let mut file = File::create(&path).map_err(failed("making the ballast file"))?;
        let piece = vec![0; BALLAST_BYTES];
        let mut len = BALLAST_BYTES;
        while len > 0 {
            match file.write(&piece[..len]) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::StorageFull => len /= 2,
                Err(error) => return Err(failed("filling the disk")(error)),
            }
        }
        Ok(())
    }

    /// Makes room again.
    pub fn free_disk(&self) -> Result<(), ControlError> {
        match fs::remove_file(self.ballast()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("removing the ballast file")(error)),
            _ => Ok(()),
        }
    }

    /// Makes it run as it did at first, whatever was done to it: there is room, nobody is halted, and all that are down start.
    pub fn restore(&self) -> Result<(), ControlError> {
        self.free_disk()?;
        // At once: a broker of several is ready when most of them are there.
        let restored: Vec<Result<(), ControlError>> = std::thread::scope(|scope| {
            let threads: Vec<_> = self.0.brokers.iter().map(|it| scope.spawn(|| locked(it).restore())).collect();
            let panicked = |_| Err(failed("bringing a broker back")(io::Error::other("its thread panicked")));
            threads.into_iter().map(|it| it.join().unwrap_or_else(panicked)).collect()
        });
        restored.into_iter().collect::<Result<(), _>>()?;
        self.wait_until_whole()
    }

    fn ballast(&self) -> PathBuf {
        self.0.dir.join("ballast")
    }
}

impl Broker {
    fn restore(&mut self) -> Result<(), ControlError> {
        match &self.server {
            Some(server) if !has_ended(server.pid()) => {
                send(server.pid(), Signal::CONT).map_err(failed("resuming the broker"))
            }
            _ => self.restart(),
        }
    }

    fn restart(&mut self) -> Result<(), ControlError> {
        if let Some(server) = self.server.take().filter(|it| !has_ended(it.pid())) {
            send(server.pid(), Signal::TERM).map_err(failed("telling the broker to end"))?;
            let begin = Instant::now();
            while !has_ended(server.pid()) && begin.elapsed() < STOP_MAX {
                std::thread::sleep(LOOK);
            }
            // What does not end in time is killed as the server goes.
        }
        self.server = Some((self.again)()?);
        Ok(())
    }
}

fn send(pid: u32, signal: Signal) -> io::Result<()> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidInput)?;
    Ok(kill_process(pid, signal)?)
}

#[cfg(test)]
mod tests {
    use super::super::process::Launch;
    use super::*;
    use crate::results::tests::scratch;

    /// A broker that is a shell.
    fn shell(dir: &Path) -> Control {
        let again = again(dir);
        Control::new(vec![(again().unwrap(), again)], Box::new(|| true), dir)
    }

    fn again(dir: &Path) -> Again {
        let log = dir.join("log");
        Box::new(move || {
            let arguments = ["-c", "echo ready; while :; do sleep 0.05; done"].map(str::to_owned).to_vec();
            Server::start(&Launch {
                program: Some(Path::new("/bin/sh")),
                arguments,
                ..Launch::new("ready", log.clone())
            })
        })
    }

    fn state(pid: u32) -> char {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        stat.rsplit_once(") ").unwrap().1.chars().next().unwrap()
    }

    #[test]
    fn a_broker_is_killed_halted_and_started_again_and_in_the_end_it_runs() {
        let dir = scratch("control");
        let control = shell(&dir);
        let first = control.pids()[0];
        assert_eq!(control.ended(), None);
        control.pause().unwrap();
        let begin = Instant::now();
        while state(first) != 'T' && begin.elapsed().as_secs() < 10 {}
        assert_eq!(state(first), 'T');
        control.restore().unwrap();
        let begin = Instant::now();
        while state(first) == 'T' && begin.elapsed().as_secs() < 10 {}
        assert_ne!(state(first), 'T');
        control.kill();
        assert!(control.pids().is_empty() && has_ended(first));
        control.restart().unwrap();
        let second = control.pids()[0];
        control.rolling_restart().unwrap();
        let third = control.pids()[0];
        assert!(first != second && second != third && has_ended(second) && !has_ended(third));
        control.kill();
        control.restore().unwrap();
        assert!(!has_ended(control.pids()[0]));
        send(control.pids()[0], Signal::KILL).unwrap();
        let begin = Instant::now();
        while control.ended().is_none() && begin.elapsed().as_secs() < 10 {}
        assert!(control.ended().unwrap().to_string().contains("SIGKILL"), "somebody else ended it");
        drop(control);
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn brokers_are_restarted_one_by_one_each_when_the_one_before_has_its_replicas() {
        let dir = scratch("rolling");
        let brokers = (0..3).map(|_| again(&dir)).map(|again| (again().unwrap(), again)).collect();
        // How many looks found replicas missing, for each broker that came back.
        let looks = Arc::new(Mutex::new(0));
        let seen = Arc::clone(&looks);
        let is_whole = move || {
            *locked(&seen) += 1;
            *locked(&seen) % 2 == 0
        };
        let control = Control::new(brokers, Box::new(is_whole), &dir);
        let before = control.pids();
        control.rolling_restart().unwrap();
        assert_eq!(*locked(&looks), 6, "twice for each of three");
        let after = control.pids();
        assert!(before.iter().all(|pid| has_ended(*pid) && !after.contains(pid)) && after.len() == 3);
        control.kill();
        assert_eq!(control.pids(), after[1..], "one of several is killed, and the others run");
        control.restore().unwrap();
        assert_eq!((control.pids().len(), &control.pids()[1..]), (3, &after[1..]));
        drop(control);
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn a_disk_that_others_use_is_not_filled() {
        let dir = scratch("no-fill");
        let told = shell(&dir).fill_disk().unwrap_err().to_string();
        assert!(told.contains("mount -t tmpfs") && told.contains(&dir.display().to_string()), "{told}");
        assert!(!dir.join("ballast").exists());
        fs::remove_dir_all(dir).unwrap();
    }
}
