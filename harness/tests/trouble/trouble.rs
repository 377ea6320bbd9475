//! `scripts/bench-trouble`: `ringlog bench` as a user meets it when something goes wrong in mid-run. Each time it ends with words
//! that say what happened, and every row that was measured before is kept and readable.
//!
//! ```text
//!   bench, a process --> its results folder: watched until a row is there --> the trouble --> words, exit code, rows
//! ```
//!
//! | trouble | how |
//! |---|---|
//! | bench is killed (-9) | its brokers end with it; `--resume` goes on with the rows that it left |
//! | a broker that it started dies | kill -9 |
//! | a broker that ran already dies | kill -9, its process id not known to bench; when it is back `--resume` makes up for the trial |
//! | the topic vanishes | deleted by another client while it is written |
//! | no room for the broker's log, no room for results | a small tmpfs; where none can be mounted the check is inconclusive |

#![allow(clippy::disallowed_methods, reason = "a test of whole programs: real processes, files and time")]

#[path = "../checks/mod.rs"]
mod checks;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use clap::Parser;

use checks::brokers::{Broker, Maker};
use checks::report::{Fault, Report, Told, failed, need};
use checks::tools::{Done, Running, Scratch, end};
use ringlog_harness::client::properties::Properties;
use ringlog_harness::results::{Row, rows};
use ringlog_harness::target::{Place, admin};

/// What happens to `ringlog bench` when something goes wrong in mid-run.
#[derive(Debug, Parser)]
#[command(
    name = "scripts/bench-trouble",
    after_help = "Exit codes: 0 all that ran held, or was inconclusive; 1 something failed, or nothing ran; 2 wrong usage."
)]
struct Options {
    /// A part of the names of the checks to run.
    #[arg(long)]
    only: Option<String>,
    /// The ringlog binary.
    #[arg(long)]
    bin: Option<PathBuf>,
}

/// How long a run may take that somebody ended.
const RUN_MAX: Duration = Duration::from_secs(150);
/// How long something may take that comes by itself.
const COMES_MAX: Duration = Duration::from_secs(60);
/// How long it may take until a broker that is gone is named: a record's time is over after 4 s; a reader that has just begun waits 60 s.
const NAMED_MAX: Duration = Duration::from_secs(90);
/// A run that goes on until there are the most rounds.
const QUICK: &str = "bench --no-touch --no-yardstick --interval 0.0001 --time-max 60 --workloads workloads --only";
/// The profiles of [`Ground::bench`]. A record is given up soon; of the second workload more is written than a small disk takes.
const PROFILES: [(&str, &str); 2] = [
    ("produce-1k", "kind = \"produce\"\nmeasured_s = 1.0\nmegabytes_max = 4"),
    ("latency", "kind = \"latency\"\nmeasured_s = 4.0\nrate_records_s = 10000.0"),
];
const SOON: &str = "[producer]\nacks = \"1\"\n\"linger.ms\" = \"0\"\n\"delivery.timeout.ms\" = \"4000\"\n\"request.timeout.ms\" = \"2000\"\n";

type Trouble = fn(&Ground) -> Told;

const CHECKS: [(&str, Trouble); 6] = [
    ("bench is killed", bench_is_killed),
    ("a broker that it started dies", its_broker_dies),
    ("a broker that ran already dies", another_broker_dies),
    ("the topic vanishes", topic_vanishes),
    ("no room for the broker's log", no_room_for_the_log),
    ("no room for results", no_room_for_results),
];

fn main() -> ExitCode {
    let options = Options::parse();
    let mut out = std::io::stdout();
    let mut report = Report::new(options.only.clone(), &mut out);
    let (binary, folder) = match (Maker::ringlog(options.bin), Scratch::new("trouble")) {
        (Ok(Maker::Ringlog { binary }), Ok(folder)) => (binary, folder),
        (Err(why), _) | (_, Err(why)) => {
            eprintln!("scripts/bench-trouble: {why}");
            return ExitCode::FAILURE;
        }
        (Ok(Maker::Kafka { .. }), Ok(_)) => return ExitCode::FAILURE,
    };
    for (at, (name, trouble)) in CHECKS.iter().enumerate() {
        if !report.wants(name) {
            continue;
        }
        let started = Instant::now();
        match Ground::new(&binary, folder.path().join(at.to_string())).and_then(|ground| trouble(&ground)) {
            // Here it says that this machine has no such trouble to give.
            Err(Fault::Disturbed(why)) => report.inconclusive(name, &why),
            told => report.tell(name, &told, Some(started)),
        }
    }
    report.close()
}

/// Where a check happens.
struct Ground {
    binary: PathBuf,
    folder: PathBuf,
}

impl Ground {
    fn new(binary: &Path, folder: PathBuf) -> Result<Self, Fault> {
        let workloads = folder.join("workloads");
        std::fs::create_dir_all(&workloads).map_err(|error| failed("a folder for a check")(&error))?;
        for (name, keys) in PROFILES {
            let common = format!("schema = 1\nname = \"{name}\"\nwhat = \"a check\"\nrecord_bytes = 1000\n");
            let path = workloads.join(format!("{name}.toml"));
            std::fs::write(path, format!("{common}{keys}\n{SOON}")).map_err(|error| failed("a profile")(&error))?;
        }
        Ok(Self { binary: binary.to_owned(), folder })
    }

    fn results(&self) -> PathBuf {
        self.folder.join("results")
    }

    /// Starts bench with these words after the common ones.
    fn bench(&self, words: &str) -> Result<Running, Fault> {
        let mut command = Command::new(&self.binary);
        command.current_dir(&self.folder).args(QUICK.split_whitespace()).args(words.split_whitespace());
        Running::start(command)
    }

    /// The folder of the one run that is kept here, once it has rows enough.
    fn run_with_rows(&self, count: usize) -> Result<PathBuf, Fault> {
        let found = || {
            let mut runs = std::fs::read_dir(self.results()).ok()?.flatten().map(|it| it.path());
            let run = runs.next()?;
            (rows_of(&run).ok()?.len() >= count).then_some(run)
        };
        comes(&format!("{count} rows"), found)
    }

    /// A broker of this binary that bench did not start.
    fn broker(&self) -> Result<Broker, Fault> {
        let maker = Maker::Ringlog { binary: self.binary.clone() };
        let mut broker = Broker::new(&maker, &self.folder.join("broker"), None, &[])?;
        broker.start()?;
        Ok(broker)
    }
}

/// Waits for something that comes by itself.
fn comes<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> Result<T, Fault> {
    let begin = Instant::now();
    loop {
        if let Some(found) = found() {
            return Ok(found);
        }
        need(begin.elapsed() < COMES_MAX, || format!("{what} did not come within {COMES_MAX:?}"))?;
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn rows_of(run: &Path) -> Result<Vec<Row>, Fault> {
    rows::read(&run.join("rows.csv")).map_err(|error| failed("the rows cannot be read")(&error))
}

fn measured(rows: &[Row]) -> usize {
    rows.iter().filter(|it| it.is_measured()).count()
}

/// It ended with this code, and its errors say all of this.
fn says(done: Done, code: i32, words: &[&str]) -> Result<Done, Fault> {
    let done = done.ended_with(code)?;
    let missing = words.iter().find(|it| !done.err.contains(**it) && !done.out.contains(**it));
    need(missing.is_none(), || format!("it does not say {missing:?}: {} {}", end(&done.out), end(&done.err)))?;
    need(!done.err.contains("panicked"), || done.err.clone())?;
    Ok(done)
}

/// The last line of its errors, which is what a person sees last.
fn last_line(done: &Done) -> String {
    done.err.lines().next_back().unwrap_or_default().to_owned()
}

/// Its children whose command line has this word.
fn children(parent: u32, word: &str) -> Vec<u32> {
    let of = |pid: u32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let ppid: u32 = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()?;
        let command = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).ok()?;
        (ppid == parent && command.split('\0').any(|it| it == word)).then_some(pid)
    };
    let all = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    all.filter_map(|it| it.file_name().to_str()?.parse().ok()).filter_map(of).collect()
}

fn kill(pid: u32) -> Result<(), Fault> {
    let killed = Command::new("kill").args(["-9", &pid.to_string()]).status();
    need(killed.is_ok_and(|it| it.success()), || format!("process {pid} cannot be killed"))
}

fn bench_is_killed(ground: &Ground) -> Told {
    let words = "produce-1k --rounds-max 20";
    let bench = ground.bench(words)?;
    let run = ground.run_with_rows(2)?;
    let brokers = children(bench.pid(), "broker");
    need(brokers.len() == 1, || format!("its brokers are {brokers:?}"))?;
    kill(bench.pid())?;
    drop(bench.finish(RUN_MAX)?);
    comes("the end of its broker", || ringlog_harness::host::has_ended(brokers[0]).then_some(()))?;
    let before = rows_of(&run)?;
    let resumed = ground.bench(&format!("produce-1k --rounds-max 4 --resume {}", run.display()))?.finish(RUN_MAX)?;
    says(resumed, 0, &["rows are there already", "Kept in"])?;
    let after = rows_of(&run)?;
    need(after.starts_with(&before), || "rows that were kept are not there any more".to_owned())?;
    Ok(format!("its broker ended with it; {} rows were kept, {} after it went on", before.len(), after.len()))
}

fn its_broker_dies(ground: &Ground) -> Told {
    let bench = ground.bench("produce-1k --rounds-max 20")?;
    let run = ground.run_with_rows(2)?;
    children(bench.pid(), "broker").into_iter().try_for_each(kill)?;
    let done = says(bench.finish(RUN_MAX)?, 1, &["no broker is left to measure", "its process ended", "Kept in"])?;
    let rows = rows_of(&run)?;
    need(measured(&rows) >= 2, || format!("{} of {} rows are measured", measured(&rows), rows.len()))?;
    need(rows.iter().any(|it| it.why.contains("its process ended")), || format!("{:?}", rows.last()))?;
    Ok(format!("{} rows measured; {}", measured(&rows), last_line(&done)))
}

fn another_broker_dies(ground: &Ground) -> Told {
    let mut broker = ground.broker()?;
    let bench = ground.bench(&format!("produce-1k --rounds-max 20 --bootstrap-server {}", broker.bootstrap()))?;
    let run = ground.run_with_rows(2)?;
    broker.kill();
    let killed = Instant::now();
    let words = format!("{} refuses connections", broker.bootstrap());
    let done = says(bench.finish(RUN_MAX)?, 1, &["no broker is left to measure", &words, "Kept in"])?;
    let rows = rows_of(&run)?;
    need(measured(&rows) >= 2, || format!("{} of {} rows are measured", measured(&rows), rows.len()))?;
    let took = killed.elapsed();
    need(took < NAMED_MAX, || format!("it took {took:?} to say so"))?;
    let told = last_line(&done);
    broker.start()?;
    let lost = rows.iter().filter(|it| !it.is_measured()).map(|it| it.round).max().unwrap_or(0);
    let words = format!("--rounds-max {} --bootstrap-server {}", lost + 1, broker.bootstrap());
    let resumed = ground.bench(&format!("produce-1k {words} --resume {}", run.display()))?.finish(RUN_MAX)?;
    says(resumed, 0, &["rows are there already", "Kept in"])?;
    let after = rows_of(&run)?;
    need(after.starts_with(&rows), || "rows that were kept are not there any more".to_owned())?;
    let made_up =
        |it: &Row| after.iter().any(|row| row.is_measured() && row.round == it.round && row.workload == it.workload);
    need(rows.iter().all(made_up), || format!("a trial that met no broker was not made up for: {after:?}"))?;
    Ok(format!(
        "{} rows measured; after {:.1} s: {told}; {} rows after it went on",
        measured(&rows),
        took.as_secs_f64(),
        after.len()
    ))
}

fn topic_vanishes(ground: &Ground) -> Told {
    let broker = ground.broker()?;
    let words = "produce-1k,latency --rounds-max 2";
    let bench = ground.bench(&format!("{words} --bootstrap-server {}", broker.bootstrap()))?;
    let run = ground.run_with_rows(2)?;
    let mut properties = Properties::new();
    properties.set("bootstrap.servers", &broker.bootstrap());
    let place = Place { properties, ..Place::default() };
    let log = ground.folder.join("broker/log");
    // That of the third trial, which writes for seconds.
    let vanished = comes("a topic to delete", || {
        let folders = std::fs::read_dir(&log).ok()?.flatten();
        let mut names = folders.filter_map(|it| Some(it.file_name().to_str()?.strip_suffix("-0")?.to_owned()));
        let name = names.find(|it| it.starts_with("ringlog-bench-") && it.ends_with("-3"))?;
        std::thread::sleep(Duration::from_secs(1));
        admin(&place, COMES_MAX).and_then(|mut admin| admin.delete_topic(&name)).ok().map(|()| name)
    })?;
    let done = bench.finish(RUN_MAX)?;
    let rows = rows_of(&run)?;
    let invalid: Vec<&Row> = rows.iter().filter(|it| !it.is_measured()).collect();
    let why = invalid.first().map_or("", |it| it.why.as_str());
    let is_told =
        why.contains("deleted by somebody else") || why.contains("UNKNOWN_TOPIC") || why.contains("not present");
    need(is_told, || format!("{vanished} vanished, and its rows say {why:?}: {}", end(&done.err)))?;
    need(!rows.iter().any(|it| it.why.starts_with(ringlog_harness::run::LEDGER_FAULT)), || {
        "the broker is blamed".into()
    })?;
    need(measured(&rows) > invalid.len(), || format!("{} of {} rows are measured", measured(&rows), rows.len()))?;
    says(done, 0, &["has no figures", "Kept in"])?;
    Ok(format!("{} of {} rows measured; the others: {why}", measured(&rows), rows.len()))
}

/// A file system of this size, unmounted afterwards.
struct Small(PathBuf);

impl Small {
    fn mount(path: PathBuf, kib: u32) -> Result<Self, Fault> {
        std::fs::create_dir_all(&path).map_err(|error| failed("a folder to mount at")(&error))?;
        let size = format!("size={kib}k");
        let done = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(&path).output();
        match done {
            Ok(done) if done.status.success() => Ok(Self(path)),
            Ok(done) => {
                let words = String::from_utf8_lossy(&done.stderr).into_owned();
                Err(Fault::Disturbed(format!("no small file system can be mounted here: {words}")))
            }
            Err(error) => Err(Fault::Disturbed(format!("no small file system can be mounted here: {error}"))),
        }
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        // A mount that stays is empty and in a folder that goes.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// The first workload fits, the second does not.
fn no_room_for_the_log(ground: &Ground) -> Told {
    let small = Small::mount(ground.folder.join("small"), 24 << 10)?;
    let words = "produce-1k,latency --rounds-max 1";
    let done = ground.bench(&format!("{words} --dir {}/data", small.0.display()))?.finish(RUN_MAX)?;
    let rows = rows_of(&ground.run_with_rows(3)?)?;
    let why = rows.iter().find(|it| !it.is_measured()).map_or("", |it| it.why.as_str());
    need(why.contains("no room is left for its log"), || format!("its rows say {why:?}: {}", end(&done.err)))?;
    need(why.contains(&small.0.display().to_string()), || format!("the folder is not named: {why}"))?;
    need(measured(&rows) == 2, || format!("{} of {} rows are measured", measured(&rows), rows.len()))?;
    says(done, 1, &["has no figures", "no room is left for its log", "Kept in"])?;
    Ok(format!("2 rows measured; then: {why}"))
}

/// Somebody else fills the disk of the results once rows are there.
fn no_room_for_results(ground: &Ground) -> Told {
    let small = Small::mount(ground.results(), 256)?;
    let bench = ground.bench("produce-1k --rounds-max 40")?;
    let run = ground.run_with_rows(2)?;
    let mut filler = std::fs::File::create(small.0.join("filler")).map_err(|error| failed("a filler")(&error))?;
    while std::io::Write::write_all(&mut filler, &[0; 512]).is_ok() {}
    let done = says(bench.finish(RUN_MAX)?, 1, &["No space left on device", "Kept in"])?;
    let rows = rows_of(&run)?;
    need(measured(&rows) >= 2, || format!("{} of {} rows are measured", measured(&rows), rows.len()))?;
    Ok(format!("{} rows measured; {}", measured(&rows), last_line(&done)))
}
