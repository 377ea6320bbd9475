//! Perf tools as processes: ours and Kafka's under one name, what they printed, and an end for one that does not end. And a
//! folder for what they write.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::brokers::{LIGHT_JVM, Maker};
use super::report::{Fault, failed};

/// How often a process is asked whether it has ended.
const LOOK: Duration = Duration::from_millis(5);

/// A perf tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tool {
    Producer,
    Consumer,
    EndToEnd,
}

impl Tool {
    /// The command that runs it, of either maker.
    pub(crate) fn command(self, maker: &Maker) -> Command {
        let (verb, class) = match self {
            Self::Producer => ("producer-perf", "org.apache.kafka.tools.ProducerPerformance"),
            Self::Consumer => ("consumer-perf", "org.apache.kafka.tools.ConsumerPerformance"),
            Self::EndToEnd => ("e2e-latency", "org.apache.kafka.tools.EndToEndLatency"),
        };
        match maker {
            Maker::Ringlog { binary } => {
                let mut command = Command::new(binary);
                command.arg(verb);
                command
            }
            Maker::Kafka { libs } => {
                let mut command = Command::new("java");
                command.args(LIGHT_JVM).arg("-cp").arg(format!("{}/*", libs.display())).arg(class);
                command
            }
        }
    }
}

/// What a process left behind.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) status: ExitStatus,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// A process whose output is read while it runs. It ends with the thread that started it.
pub(crate) struct Running {
    child: Child,
    texts: [std::thread::JoinHandle<String>; 2],
}

impl Running {
    /// Starts it. It ends with this thread.
    pub(crate) fn start(command: Command) -> Result<Self, Fault> {
        Self::start_into(command, Stdio::piped())
    }

    /// The same with its standard output elsewhere.
    pub(crate) fn start_into(mut command: Command, out: Stdio) -> Result<Self, Fault> {
        ringlog_io::process::end_with_this_thread(&mut command);
        command.stdin(Stdio::null()).stdout(out).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| failed(&format!("{command:?}"))(&error))?;
        let (out, err) = (text_of(child.stdout.take()), text_of(child.stderr.take()));
        Ok(Self { child, texts: [out, err] })
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for its end; one that takes longer than `limit` is killed, and has failed.
    pub(crate) fn finish(mut self, limit: Duration) -> Result<Done, Fault> {
        let begin = Instant::now();
        let status = loop {
            match self.child.try_wait().map_err(|error| failed("waiting for a process")(&error))? {
                Some(status) => break status,
                None if begin.elapsed() > limit => {
                    // It may end at this very moment.
                    let _ = self.child.kill();
                    let _ = self.child.wait();
                    let [out, err] = self.texts.map(joined);
                    return Err(Fault::Failed(format!("it did not end within {limit:?}: {} {}", end(&out), end(&err))));
                }
                None => std::thread::sleep(LOOK),
            }
        };
        let [out, err] = self.texts.map(joined);
        Ok(Done { status, out, err })
    }
}

impl Done {
    /// Fails unless it ended with this code.
    pub(crate) fn ended_with(self, code: i32) -> Result<Self, Fault> {
        if self.status.code() == Some(code) {
            return Ok(self);
        }
        Err(Fault::Failed(format!(
            "exit code {:?}, not {code}: {} {}",
            self.status.code(),
            end(&self.out),
            end(&self.err)
        )))
    }
}

/// Sends a signal to a process that we started.
pub(crate) fn send(pid: u32, signal: Signal) -> Result<(), Fault> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let pid = pid.ok_or_else(|| Fault::Failed("no process to signal".to_owned()))?;
    kill_process(pid, signal).map_err(|error| failed("a signal to a process")(&error))
}

fn text_of(stream: Option<impl Read + Send + 'static>) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        // A stream that breaks off has said what it has said.
        let _ = stream.map(|mut it| it.read_to_end(&mut bytes));
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

fn joined(text: std::thread::JoinHandle<String>) -> String {
    text.join().unwrap_or_default()
}

/// The end of a text.
pub(crate) fn end(text: &str) -> &str {
    const CHARS: usize = 600;
    text.char_indices().rev().nth(CHARS).map_or(text, |(at, _)| &text[at..])
}

/// A fresh folder that is gone afterwards (RINGLOG_KEEP=1 keeps it for a look).
pub(crate) struct Scratch(pub(crate) PathBuf);

impl Scratch {
    pub(crate) fn new(name: &str) -> Result<Self, String> {
        let path = std::env::temp_dir().join(format!("ringlog-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Self(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if std::env::var_os("RINGLOG_KEEP").is_none() {
            // The next run has another.
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }
}
