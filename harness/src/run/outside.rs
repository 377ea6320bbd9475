//! A client that is a program of its own: run once, its processor time counted from its first instruction to its last.
//!
//! ```text
//!   meter of machine and broker |-------------------------------------------------|
//!   the client's process           |-- start --|-- records --|-- end --|            its CPU clock, read when it has ended and
//!   a run of few records           |-- start --|-- end --|                          before anybody took it off the list
//! ```
//!
//! What is charged to a record is what a whole run took beyond a run of few records. Its start is Java's classes, connecting,
//! joining a group; what compiles code meanwhile is still in it, so a run of such a client must not be short.
//!
//! Invariants: a client that fails, or says that it moved less than it was told to, gives no figures; whatever it says, the
//! broker is asked what it holds.

use std::io::Read;
use std::process::{Child, Command};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use ringlog_io::{cpu_time, driver};

use super::{Outside, RunError};
use crate::client::Consumer;
use crate::client::config::ConsumerConfig;
use crate::client::properties::Properties;
use crate::host::{CoreShare, Meter, ProcessUsage, Usage, has_ended};
use crate::load::signals::Stop;
use crate::spec::client::START_RECORDS;
use crate::target::client;
use crate::target::process::spawn_on;

/// Such runs: the one that took least counts.
pub(super) const START_RUNS: u32 = 2;
/// How often it is looked whether the person wants to end.
const LOOK: Duration = Duration::from_millis(50);
/// How often it is looked whether a process that closed its output is gone.
const GONE: Duration = Duration::from_micros(200);
/// How long that may take.
const GONE_MAX: Duration = Duration::from_secs(20);
/// Bytes of a client's output that are kept, the last ones.
const SAID_MAX: usize = 1 << 20;
/// Characters of a client's output that are shown when it fails.
const SAID_SHOWN: usize = 600;
/// What the perf tools print of sends that failed, whatever their exit code is.
const FAILURES: [&str; 2] = ["Exception", "failed, such as"];

/// What a run of a client took.
#[derive(Debug)]
pub(super) struct Ran {
    /// When it began, ISO 8601 in UTC.
    pub(super) time: String,
    /// Records that it says it moved.
    pub(super) records: u64,
    /// The machine's, the broker's, and in place of ours the client's.
    pub(super) usage: Usage,
}

/// Runs a client on this core until it ends by itself, beside a broker of these processes.
pub(super) fn run(
    command: Command,
    (core, pids): (Option<usize>, &[u32]),
    records: u64,
    stop: &Stop,
) -> Result<Ran, RunError> {
    let name = command.get_program().to_string_lossy().into_owned();
    let fail = |error: std::io::Error| RunError::client(format!("running {name}"), error);
    let gone = |error: std::io::Error| RunError::BrokerGone(error.to_string());
    let time = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string();
    let meter = Meter::start(pids).map_err(gone)?;
    let (mut child, said) = spawn(command, core).map_err(fail)?;
    let ended = wait_for_end(&child, &said, (pids, stop));
    let Ok(said) = ended else {
        // It may have ended by itself; there is nobody to tell.
        let _ = child.0.kill().and_then(|()| child.0.wait());
        return Err(ended.err().unwrap_or(RunError::Interrupted));
    };
    let cpu_ns = cpu_time::process_ns(child.0.id()).map_err(fail)?;
    let mut usage = meter.stop().map_err(gone)?;
    let status = child.0.wait().map_err(fail)?;
    let moved = client::moved(&said);
    let has_failed = !status.success() || FAILURES.iter().any(|it| said.contains(it));
    let Some(moved) = moved.filter(|it| *it >= records && !has_failed) else {
        let moved = moved.map_or_else(|| "does not say what it moved".to_owned(), |it| format!("moved {it} records"));
        let reason = format!("it {moved} where {records} were due, and ended with {status}: {}", end_of(&said));
        return Err(RunError::client(format!("running {name}"), reason));
    };
    usage.client = of_process(cpu_ns, usage.wall_s, &name);
    Ok(Ran { time, records: moved, usage })
}

/// A child, and the thread that started it.
type Started = (Child, crate::target::process::Starter);

/// Both streams of the child come whole, when the last of its copies of them is closed.
fn spawn(mut command: Command, core: Option<usize>) -> std::io::Result<(Started, mpsc::Receiver<String>)> {
    let (mut reader, writer) = std::io::pipe()?;
    command.stdin(std::process::Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
    let started = spawn_on(command, core)?;
    let (sender, said) = mpsc::channel();
    std::thread::Builder::new().name("client-output".to_owned()).spawn(move || {
        // Whether anybody still waits for it is not this thread's matter.
        let _ = sender.send(String::from_utf8_lossy(&last_of(&mut reader)).into_owned());
    })?;
    Ok((started, said))
}

/// What a stream gave last until it ended: a tool that tells of every record that failed has no bound.
fn last_of(reader: &mut impl Read) -> Vec<u8> {
    let (mut bytes, mut part) = (Vec::new(), vec![0; SAID_MAX / 2]);
    // What was read before an error is what there is.
    while let Ok(count @ 1..) = reader.read(&mut part) {
        let surplus = (bytes.len() + count).saturating_sub(SAID_MAX);
        bytes.drain(..surplus.min(bytes.len()));
        bytes.extend_from_slice(&part[..count]);
    }
    bytes
}

/// What it said, when it has ended; it is still on the list of processes then. A client goes on for minutes after its broker.
fn wait_for_end(
    (child, _): &Started,
    said: &mpsc::Receiver<String>,
    (pids, stop): (&[u32], &Stop),
) -> Result<String, RunError> {
    let said = loop {
        match said.recv_timeout(LOOK) {
            Ok(said) => break said,
            Err(RecvTimeoutError::Disconnected) => {
                return Err(RunError::client("reading what the client says", "its output cannot be read"));
            }
            Err(RecvTimeoutError::Timeout) if stop.requested() => return Err(RunError::Interrupted),
            Err(RecvTimeoutError::Timeout) if pids.iter().any(|pid| has_ended(*pid)) => {
                return Err(RunError::BrokerGone("its process ended while the client ran".to_owned()));
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
    };
    let closed = Instant::now();
    while !has_ended(child.id()) {
        if closed.elapsed() > GONE_MAX {
            return Err(RunError::client("waiting for the client", "it closed its output and does not end"));
        }
        std::thread::sleep(GONE);
    }
    Ok(said)
}

/// A process that has ended, as one that was watched: of its threads together, for they share one core.
fn of_process(cpu_ns: u64, wall_s: f64, name: &str) -> ProcessUsage {
    let ran = if wall_s > 0.0 { (cpu_ns as f64 / 1e9 / wall_s).min(1.0) } else { 0.0 };
    let busiest = CoreShare { thread: name.to_owned(), ran, waited: 0.0 };
    ProcessUsage { cpu_ns, busiest, ..ProcessUsage::default() }
}

fn end_of(said: &str) -> String {
    if said.trim().is_empty() {
        return "it said nothing".to_owned();
    }
    let skipped = said.chars().count().saturating_sub(SAID_SHOWN);
    said.chars().skip(skipped).collect()
}

/// What is told of a whole run beside its start.
pub(super) fn account(ran: &Ran, start_cpu_ns: u64, held_records: u64) -> Result<Outside, RunError> {
    if ran.usage.client.cpu_ns <= start_cpu_ns || ran.records <= START_RECORDS {
        let reason =
            format!("{} records took no more processor time than {START_RECORDS}: give records_max more", ran.records);
        return Err(RunError::client("the client's cost", reason));
    }
    Ok(Outside { start_records: START_RECORDS, start_cpu_ns, held_records })
}

/// Records that a topic holds, by its offsets: transactions have markers there, and no client that is measured has any.
pub(super) fn held(topic: &str, partitions: u32, way: &Properties) -> Result<u64, RunError> {
    let fail = |error: &dyn std::fmt::Display| RunError::client(format!("asking for the offsets of {topic}"), error);
    let config = ConsumerConfig::parse(way).map_err(|error| fail(&error))?.config;
    let driver = driver::open(driver::DriverOptions::default()).map_err(|error| fail(&error))?;
    let mut consumer = Consumer::open(config, driver).map_err(|error| fail(&error))?;
    let all: Vec<(&str, i32)> = (0..i32::try_from(partitions).unwrap_or(i32::MAX)).map(|it| (topic, it)).collect();
    let ends = consumer.end_offsets(&all).map_err(|error| fail(&error))?;
    let begins = consumer.beginning_offsets(&all).map_err(|error| fail(&error))?;
    if ends.len() != all.len() || begins.len() != all.len() {
        return Err(fail(&"the broker did not say the offsets of every partition"));
    }
    let sum = |offsets: std::collections::BTreeMap<(String, i32), i64>| offsets.into_values().sum::<i64>();
    Ok(u64::try_from(sum(ends) - sum(begins)).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, records: u64) -> Result<Ran, RunError> {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        run(command, (None, &[]), records, &Stop::default())
    }

    #[test]
    fn a_clients_time_is_its_own_to_its_last_instruction_with_that_of_its_threads() {
        let own_ns = cpu_time::process_ns(std::process::id()).unwrap();
        let ran = shell("i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; echo '12 records, 99 bytes'", 12).unwrap();
        let spent_here_ns = cpu_time::process_ns(std::process::id()).unwrap() - own_ns;
        assert_eq!(ran.records, 12);
        assert!(ran.usage.client.cpu_ns > 20_000_000, "{:?}", ran.usage.client);
        assert_eq!(ran.usage.client.busiest.thread, "/bin/sh");
        // Beside other tests of this process: that it is not our own clock is what is asserted.
        assert_ne!(ran.usage.client.cpu_ns, spent_here_ns);
    }

    #[test]
    fn a_client_that_fails_or_moves_too_little_gives_no_figures_and_its_words() {
        let why = |script: &str| shell(script, 12).unwrap_err().to_string();
        assert!(why("echo no broker at h:1 >&2; exit 7").contains("exit status: 7: no broker at h:1"));
        assert!(why("exit 1").ends_with("it said nothing"));
        assert!(why("echo '11 records, 99 bytes'").contains("moved 11 records where 12 were due"));
        let failed = why("echo 'org.apache.kafka.TimeoutException'; echo '12 records, 9 bytes'");
        assert!(failed.contains("TimeoutException"), "{failed}");
    }

    #[test]
    fn a_client_is_killed_when_the_person_wants_to_end() {
        let stop = Stop::default();
        stop.request();
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "exec sleep 60"]);
        let begin = Instant::now();
        assert!(matches!(run(command, (None, &[]), 1, &stop), Err(RunError::Interrupted)));
        assert!(begin.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn a_client_is_not_waited_for_when_its_broker_has_ended_and_of_a_flood_of_words_the_last_are_kept() {
        let mut broker = Command::new("/bin/sh").args(["-c", "sleep 0.3"]).spawn().unwrap();
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "exec sleep 60"]);
        let begin = Instant::now();
        let ran = run(command, (None, &[broker.id()]), 1, &Stop::default());
        assert!(matches!(ran, Err(RunError::BrokerGone(_))), "{ran:?}");
        assert!(begin.elapsed() < Duration::from_secs(30));
        broker.wait().unwrap();

        let flood = "yes 12345678 | head -c 5000000; echo; echo '12 records, 9 bytes'";
        assert_eq!(shell(flood, 12).unwrap().records, 12);
        let mut many = std::io::repeat(b'x').take(5_000_000).chain(&b"end"[..]);
        let kept = last_of(&mut many);
        assert!(kept.len() <= SAID_MAX && kept.ends_with(b"end"), "{}", kept.len());
    }

    #[test]
    fn a_run_that_took_no_more_than_its_start_has_no_figure() {
        let ran = |records, cpu_ns| Ran {
            time: String::new(),
            records,
            usage: Usage { client: of_process(cpu_ns, 1.0, "c"), ..Usage::default() },
        };
        assert_eq!(account(&ran(9000, 70), 50, 9000).unwrap().start_cpu_ns, 50);
        assert!(account(&ran(9000, 50), 50, 9000).unwrap_err().to_string().contains("records_max"));
        assert!(account(&ran(START_RECORDS, 70), 50, 9000).is_err());
    }
}
