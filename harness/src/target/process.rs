//! A broker in a process of its own: started, waited for until it says that it is ready, killed with its owner.
//!
//! Invariant: it does not outlive this process, whatever ends that (kill -9 too): the kernel kills it with the thread that
//! started it, and that thread does nothing else.

use std::convert::Infallible;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use ringlog_io::{process, threads};

use crate::emulate::{EmulateError, Within};

/// How long a broker may take until it is ready.
const READY_MAX: Duration = Duration::from_secs(30);
/// Why one is not ready whose process is gone.
const ENDED: &str = "it ended";
/// Lines of a broker's log that are shown when it does not start.
const LOG_LINES_SHOWN: usize = 12;

/// Why a broker does not run.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The process could not be started.
    #[error("starting {program}: {source}")]
    Spawn {
        /// What was started.
        program: String,
        /// The system's words.
        source: io::Error,
    },
    /// It ended or stayed silent.
    #[error("{program} did not get ready: {reason}\n{log}")]
    NotReady {
        /// What was started.
        program: String,
        /// What happened.
        reason: &'static str,
        /// The end of its log.
        log: String,
    },
    /// There is no place for it.
    #[error(transparent)]
    Emulate(#[from] EmulateError),
}

/// A running broker. Dropping it kills it.
#[derive(Debug)]
pub struct Server {
    child: Child,
    /// The line with which it said that it is ready.
    pub ready: String,
    /// Keeps the thread that started it.
    _starter: Starter,
}

/// The thread that started a child waits for the end of this.
pub(crate) type Starter = mpsc::Sender<Infallible>;

/// What is to be started.
#[derive(Clone, Debug)]
pub struct Launch<'a> {
    /// The program; `None` is this one.
    pub program: Option<&'a Path>,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// What the ready line begins with.
    pub ready: &'a str,
    /// The core that it inherits.
    pub core: Option<usize>,
    /// What it is limited by, where a smaller machine is emulated.
    pub within: Option<Within>,
    /// Where its standard error goes.
    pub log: PathBuf,
    /// How long it may take until it is ready.
    pub ready_max: Duration,
}

impl Server {
    /// Starts it and waits for its ready line.
    pub fn start(launch: &Launch<'_>) -> Result<Self, StartError> {
        let log = launch.new_log()?;
        let mut server = launch.spawn(Stdio::piped(), log.into())?;
        let lines = server.child.stdout.take().map(lines_of);
        let ready = lines.ok_or("it has no output").and_then(|lines| wait_for(&lines, launch));
        match ready {
            Ok(line) => server.ready = line,
            Err(reason) => return Err(server.not_ready(launch, reason)),
        }
        Ok(server)
    }

    /// Starts one that says nothing, and waits until `answers`.
    pub fn start_until(launch: &Launch<'_>, mut answers: impl FnMut() -> bool) -> Result<Self, StartError> {
        let log = launch.new_log()?;
        let errors = log.try_clone().map_err(launch.failed())?;
        let mut server = launch.spawn(log.into(), errors.into())?;
        let begin = Instant::now();
        while !answers() {
            if server.child.try_wait().map_err(launch.failed())?.is_some() {
                return Err(server.not_ready(launch, ENDED));
            }
            if begin.elapsed() > launch.ready_max {
                return Err(server.not_ready(launch, "it does not answer"));
            }
        }
        Ok(server)
    }

    fn not_ready(mut self, launch: &Launch<'_>, reason: &'static str) -> StartError {
        self.kill();
        StartError::NotReady { program: launch.name(), reason, log: tail(&launch.log) }
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it did.
    pub(super) fn ended(&mut self) -> Option<ExitStatus> {
        // What cannot be asked is not known to have ended.
        self.child.try_wait().ok().flatten()
    }

    fn kill(&mut self) {
        // It may have ended by itself; there is nobody to tell.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

impl<'a> Launch<'a> {
    /// This program without arguments, on any core.
    #[must_use]
    pub fn new(ready: &'a str, log: PathBuf) -> Self {
        Self { program: None, arguments: Vec::new(), ready, core: None, within: None, log, ready_max: READY_MAX }
    }

    fn new_log(&self) -> Result<File, StartError> {
        // One that is started again goes on with its log.
        File::options().create(true).append(true).open(&self.log).map_err(self.failed())
    }

    fn spawn(&self, output: Stdio, errors: Stdio) -> Result<Server, StartError> {
        let program = self.program.map_or_else(std::env::current_exe, |it| Ok(it.to_owned())).map_err(self.failed())?;
        let mut command = self.within.as_ref().map_or_else(|| Command::new(&program), |it| it.command(&program));
        command.args(&self.arguments).stdin(Stdio::null()).stdout(output).stderr(errors);
        let (child, starter) = spawn_on(command, self.core).map_err(self.failed())?;
        Ok(Server { child, ready: String::new(), _starter: starter })
    }

    fn failed(&self) -> impl FnOnce(io::Error) -> StartError + '_ {
        |source| StartError::Spawn { program: self.name(), source }
    }

    fn name(&self) -> String {
        let program = self.program.map_or("ringlog".to_owned(), |it| it.display().to_string());
        format!("`{program} {}`", self.arguments.first().map_or("", String::as_str))
    }
}

/// A child inherits the place of the thread that starts it, and ends with it.
pub(crate) fn spawn_on(mut command: Command, core: Option<usize>) -> io::Result<(Child, Starter)> {
    let (started, child) = mpsc::channel();
    let (starter, end) = mpsc::channel::<Infallible>();
    std::thread::Builder::new().name("starter".to_owned()).spawn(move || {
        process::end_with_this_thread(&mut command);
        let spawned = core.map_or(Ok(()), threads::pin_to_core).and_then(|()| command.spawn());
        // Its end of a pipe is the child's alone: whoever reads hears of its end.
        drop(command);
        let is_there = started.send(spawned).is_ok();
        // Nothing is ever sent: this returns when the server is dropped.
        let _ = is_there.then(|| end.recv());
    })?;
    let child = child.recv().unwrap_or_else(|_| Err(io::Error::other("the starting thread panicked")))?;
    Ok((child, starter))
}

/// The lines that come; the thread goes on reading, so that the child never waits for us.
fn lines_of(output: std::process::ChildStdout) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            // Nobody listens after the ready line.
            let _ = sender.send(line);
        }
    });
    receiver
}

fn wait_for(lines: &mpsc::Receiver<String>, launch: &Launch<'_>) -> Result<String, &'static str> {
    loop {
        match lines.recv_timeout(launch.ready_max) {
            Ok(line) if line.starts_with(launch.ready) => return Ok(line),
            Ok(_) => {}
            Err(mpsc::RecvTimeoutError::Timeout) => return Err("it said nothing for too long"),
            Err(mpsc::RecvTimeoutError::Disconnected) => return Err(ENDED),
        }
    }
}

/// The end of a broker's log.
pub(crate) fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::tests::scratch;

    fn shell(dir: &Path, script: &str) -> Result<Server, StartError> {
        let arguments = vec!["-c".to_owned(), script.to_owned()];
        let log = dir.join("log");
        Server::start(&Launch { program: Some(Path::new("/bin/sh")), arguments, ..Launch::new("ready", log) })
    }

    #[test]
    fn a_server_is_ready_when_it_says_so_and_gone_when_it_is_dropped() {
        let dir = scratch("process");
        let server = shell(&dir, "echo warming up; echo ready on 7; exec sleep 60").unwrap();
        assert_eq!(server.ready, "ready on 7");
        let process = PathBuf::from(format!("/proc/{}", server.pid()));
        assert!(process.exists());
        drop(server);
        assert!(!process.exists());
        std::fs::remove_dir_all(dir).unwrap();
    }

    /// Set for the process that the next test kills: the folder of its server.
    const OWNER: &str = "RINGLOG_TEST_OWNER";

    #[test]
    fn a_server_is_gone_when_its_owner_was_killed() {
        if let Some(dir) = std::env::var_os(OWNER) {
            let server = shell(Path::new(&dir), "echo ready; exec sleep 60").unwrap();
            std::fs::write(Path::new(&dir).join("pid"), server.pid().to_string()).unwrap();
            std::thread::sleep(Duration::from_secs(60));
        }
        let dir = scratch("process-owner");
        let name = "target::process::tests::a_server_is_gone_when_its_owner_was_killed";
        let mut owner = Command::new(std::env::current_exe().unwrap());
        let mut owner = owner.args(["--exact", name]).env(OWNER, &dir).stdout(Stdio::null()).spawn().unwrap();
        let until = |what: &str, holds: &dyn Fn() -> bool| {
            let begin = Instant::now();
            while !holds() {
                assert!(begin.elapsed() < Duration::from_secs(20), "{what}");
                std::thread::sleep(Duration::from_millis(5));
            }
        };
        let pid = || std::fs::read_to_string(dir.join("pid")).ok().filter(|pid| !pid.is_empty());
        until("the server starts", &|| pid().is_some());
        let server: u32 = pid().unwrap().parse().unwrap();
        assert!(!crate::host::has_ended(server));
        owner.kill().unwrap();
        owner.wait().unwrap();
        until("the server ends with its owner", &|| crate::host::has_ended(server));
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn a_server_that_ends_shows_the_end_of_its_log() {
        let dir = scratch("process-ends");
        let error = shell(&dir, "echo port 9092 is in use >&2; exit 1").unwrap_err().to_string();
        assert!(error.contains("it ended") && error.contains("port 9092 is in use"), "{error}");
        std::fs::remove_dir_all(dir).unwrap();
    }
}
