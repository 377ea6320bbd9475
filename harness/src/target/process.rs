//! A broker in a process of its own: started, waited for until it says that it is ready, killed with its owner.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use ringlog_io::threads;

/// How long a broker may take until it is ready.
const READY_MAX: Duration = Duration::from_secs(30);
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
}

/// A running broker. Dropping it kills it.
#[derive(Debug)]
pub struct Server {
    child: Child,
    /// The line with which it said that it is ready.
    pub ready: String,
}

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
    /// Where its standard error goes.
    pub log: PathBuf,
}

impl Server {
    /// Starts it and waits for its ready line. Its standard input is a pipe that ends with us.
    pub fn start(launch: &Launch<'_>) -> Result<Self, StartError> {
        let spawn = |source| StartError::Spawn { program: launch.name(), source };
        let program = launch.program.map_or_else(std::env::current_exe, |it| Ok(it.to_owned())).map_err(spawn)?;
        let log = File::create(&launch.log).map_err(spawn)?;
        let mut command = Command::new(program);
        command.args(&launch.arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log);
        let mut child = spawn_on(command, launch.core).map_err(spawn)?;
        let lines = child.stdout.take().map(lines_of);
        let ready = lines.ok_or("it has no output").and_then(|lines| wait_for(&lines, launch.ready));
        let mut server = Self { child, ready: String::new() };
        match ready {
            Ok(line) => server.ready = line,
            Err(reason) => {
                server.kill();
                return Err(StartError::NotReady { program: launch.name(), reason, log: tail(&launch.log) });
            }
        }
        Ok(server)
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
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

impl Launch<'_> {
    fn name(&self) -> String {
        let program = self.program.map_or("ringlog".to_owned(), |it| it.display().to_string());
        format!("`{program} {}`", self.arguments.first().map_or("", String::as_str))
    }
}

/// A child inherits the place of the thread that starts it.
fn spawn_on(mut command: Command, core: Option<usize>) -> io::Result<Child> {
    let Some(core) = core else { return command.spawn() };
    let pinned = move || threads::pin_to_core(core).and_then(|()| command.spawn());
    std::thread::scope(|scope| {
        scope.spawn(pinned).join().unwrap_or_else(|_| Err(io::Error::other("the starting thread panicked")))
    })
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

fn wait_for(lines: &mpsc::Receiver<String>, begin: &str) -> Result<String, &'static str> {
    loop {
        match lines.recv_timeout(READY_MAX) {
            Ok(line) if line.starts_with(begin) => return Ok(line),
            Ok(_) => {}
            Err(mpsc::RecvTimeoutError::Timeout) => return Err("it said nothing for 30 seconds"),
            Err(mpsc::RecvTimeoutError::Disconnected) => return Err("it ended"),
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
        Server::start(&Launch { program: Some(Path::new("/bin/sh")), arguments, ready: "ready", core: None, log })
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

    #[test]
    fn a_server_that_ends_shows_the_end_of_its_log() {
        let dir = scratch("process-ends");
        let error = shell(&dir, "echo port 9092 is in use >&2; exit 1").unwrap_err().to_string();
        assert!(error.contains("it ended") && error.contains("port 9092 is in use"), "{error}");
        std::fs::remove_dir_all(dir).unwrap();
    }
}
