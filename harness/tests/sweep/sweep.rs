//! `scripts/sweep-check`: a sweep whose one setting is known to matter, because the network between client and broker is slow in
//! a known way, shows that and no more; and a sweep that is killed (-9) and resumed has every trial once.
//!
//! ```text
//!   ringlog sweep, a process --> Network (network.rs) --> ringlog broker
//!        |                        a round trip of 10 ms, or 2 MB/s
//!        '--> rows, and what it says mattered
//! ```
//!
//! | sweep | what is known |
//! |---|---|
//! | round trip | one request at a time, 10 ms each, linger.ms=0, 200 records/s: a batch of one record carries 100 a second, a batch of 64 KiB all of them, in half of the requests |
//! | bandwidth | 2 MB/s: values that shrink to a quarter go through at about four times the rate |
//!
//! `exporters.rs` has one check more, of a real Kafka that Prometheus' exporters tell of.
//!
//! In either a second setting is varied that cannot matter (`metadata.max.age.ms`, minutes in a run of a second): nothing may be
//! said of it. Chance says something now and then, as its test allows; then the sweep is done again, and must say nothing.

#![allow(clippy::disallowed_methods, reason = "a test of whole programs: real processes, files and time")]

#[path = "../checks/mod.rs"]
mod checks;
mod exporters;
mod network;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use clap::Parser;

use checks::brokers::{Broker, Maker};
use checks::report::{Fault, Report, Told, failed, need};
use checks::tools::{Done, Running, Scratch, end};
use network::{Network, Slow};
use ringlog_harness::results::{Row, rows};

/// A sweep over a network that is slow in a known way shows what is known, and no more.
#[derive(Debug, Parser)]
#[command(
    name = "scripts/sweep-check",
    after_help = "Exit codes: 0 all that ran held; 1 something failed, or nothing ran; 2 wrong usage."
)]
struct Options {
    /// A part of the names of the checks to run.
    #[arg(long)]
    only: Option<String>,
    /// The ringlog binary.
    #[arg(long)]
    bin: Option<PathBuf>,
}

/// On a broker of this maker, in a folder of its own.
type Check = fn(&Maker, &Path) -> Told;

/// How long a sweep may take.
const RUN_MAX: Duration = Duration::from_secs(180);
/// How long its first rows may take.
const COMES_MAX: Duration = Duration::from_secs(60);
/// Two values of either setting, four times each.
const TRIALS: usize = 16;
/// The setting that cannot matter.
const IDLE: &str = "metadata.max.age.ms";
/// Rows that are there when a sweep is killed.
const ROWS_BEFORE: usize = 5;

/// What an answer takes in the first sweep.
const ROUND_TRIP_TIME: Duration = Duration::from_millis(10);
const ROUND_TRIP: &str = r#"
kind = "latency"
record_bytes = 1000
rate_records_s = 200.0
warmup_s = 0.1
measured_s = 0.5

[part.workload.producer]
"linger.ms" = "0"
"max.in.flight.requests.per.connection" = "1"
"acks" = "1"
"enable.idempotence" = "false"

[part.vary]
"batch.size" = [1100, 65536]
"#;
const BANDWIDTH: &str = r#"
kind = "produce"
record_bytes = 1000
compressibility = 4.0
warmup_s = 0.4
measured_s = 0.5

[part.workload.producer]
"linger.ms" = "5"
"buffer.memory" = "524288"

[part.vary]
"compression.type" = ["none", "lz4"]
"#;

fn main() -> ExitCode {
    let options = Options::parse();
    let mut out = std::io::stdout();
    let mut report = Report::new(options.only.clone(), &mut out);
    let maker = Maker::ringlog(options.bin);
    let (maker, folder) = match (maker, Scratch::new("sweep")) {
        (Ok(maker), Ok(folder)) => (maker, folder),
        (Err(why), _) | (_, Err(why)) => {
            eprintln!("scripts/sweep-check: {why}");
            return ExitCode::FAILURE;
        }
    };
    let checks: [(&str, Check); 3] = [
        ("a round trip for each batch: batch.size matters, and no more; killed and resumed", round_trip),
        ("a network of 2 MB/s: compression.type matters, and no more", bandwidth),
        ("a real Kafka's exporters fill their columns", exporters::are_read),
    ];
    // At once: what they wait for is their networks.
    let wanted = checks.into_iter().enumerate().filter(|(_, (name, _))| report.wants(name)).collect::<Vec<_>>();
    std::thread::scope(|scope| {
        let begin = |(at, (name, check)): (usize, (&'static str, Check))| {
            let (maker, own) = (&maker, folder.path().join(at.to_string()));
            (name, Instant::now(), scope.spawn(move || check(maker, &own)))
        };
        let begun: Vec<_> = wanted.into_iter().map(begin).collect();
        for (name, started, check) in begun {
            let told = check.join().unwrap_or_else(|_| Err(Fault::Failed("its thread panicked: see above".to_owned())));
            report.tell(name, &told, Some(started));
        }
    });
    report.close()
}

fn round_trip(maker: &Maker, folder: &Path) -> Told {
    let slow = Slow { answer_delay: ROUND_TRIP_TIME, ..Slow::default() };
    let ground = Ground::new(maker, folder, slow, ROUND_TRIP)?;
    let killed = ground.sweep(&[])?;
    let run = ground.run_with_rows(ROWS_BEFORE)?;
    checks::tools::send(killed.pid(), rustix::process::Signal::KILL)?;
    drop(killed.finish(RUN_MAX)?);
    let before = rows_of(&run)?;
    need(before.len() < TRIALS, || format!("it was over before it was killed: {} rows", before.len()))?;

    let done = ground.sweep(&["--resume", &run.display().to_string()])?.finish(RUN_MAX)?.ended_with(0)?;
    let after = rows_of(&run)?;
    need(after.starts_with(&before), || "rows that were kept are not there any more".to_owned())?;
    every_trial_once(&after)?;
    shows(&ground, &done, "batch.size", &["MB/s", "p50", "p99", "requests per MB"])?;
    let small = middle(&after, "batch.size=1100", |it| it.records_s)?;
    let large = middle(&after, "batch.size=65536", |it| it.records_s)?;
    need((50.0..=101.0).contains(&small), || format!("{small} records/s at a record in 10 ms"))?;
    need((190.0..=201.0).contains(&large), || format!("{large} records/s of 200"))?;
    Ok(format!("{} rows, then {}; {small:.0} and {large:.0} records/s", before.len(), after.len()))
}

fn bandwidth(maker: &Maker, folder: &Path) -> Told {
    let slow = Slow { bytes_s: Some(2e6), ..Slow::default() };
    let ground = Ground::new(maker, folder, slow, BANDWIDTH)?;
    let done = ground.sweep(&[])?.finish(RUN_MAX)?.ended_with(0)?;
    let rows = rows_of(&ground.run_with_rows(TRIALS)?)?;
    every_trial_once(&rows)?;
    shows(&ground, &done, "compression.type", &["MB/s", "p50"])?;
    let plain = middle(&rows, "compression.type=none", |it| it.mb_s)?;
    let shrunk = middle(&rows, "compression.type=lz4", |it| it.mb_s)?;
    need((1.7..=2.1).contains(&plain), || format!("{plain} MB/s through 2"))?;
    need((5.0..=9.0).contains(&shrunk), || format!("{shrunk} MB/s of values that shrink to a quarter, through 2"))?;
    Ok(format!("{plain:.2} and {shrunk:.2} MB/s"))
}

/// Where a sweep happens.
struct Ground {
    binary: PathBuf,
    folder: PathBuf,
    broker: Broker,
    network: u16,
}

impl Ground {
    fn new(maker: &Maker, folder: &Path, slow: Slow, workload: &str) -> Result<Self, Fault> {
        let Maker::Ringlog { binary } = maker else { return Err(Fault::Failed("no ringlog binary".to_owned())) };
        std::fs::create_dir_all(folder).map_err(|error| failed("a folder for a check")(&error))?;
        let head =
            "schema = 1\nname = \"known\"\nwhat = \"a check\"\nrounds = 4\n[[part]]\nname = \"p\"\n[part.workload]";
        let sweep = format!("{head}{workload}\"{IDLE}\" = [200000, 300000]\n");
        std::fs::write(folder.join("known.toml"), sweep).map_err(|error| failed("a sweep's file")(&error))?;
        let network = Network::new()?;
        let port = network.port;
        let mut broker = Broker::new(maker, &folder.join("broker"), Some(port), &[])?;
        broker.start()?;
        network.connect(broker.port(), slow);
        Ok(Self { binary: binary.clone(), folder: folder.to_owned(), broker, network: port })
    }

    fn sweep(&self, more: &[&str]) -> Result<Running, Fault> {
        self.sweep_in(&self.folder, more)
    }

    /// With its results in this folder.
    fn sweep_in(&self, folder: &Path, more: &[&str]) -> Result<Running, Fault> {
        let mut command = Command::new(&self.binary);
        let plan = self.folder.join("known.toml");
        command.current_dir(folder).arg("sweep").arg(plan).args(["--no-touch", "--name", "slow"]);
        command.arg("--bootstrap-server").arg(format!("127.0.0.1:{}", self.network)).args(more);
        Running::start(command)
    }

    /// The folder of the one run that is kept here, once it has rows enough.
    fn run_with_rows(&self, count: usize) -> Result<PathBuf, Fault> {
        let begin = Instant::now();
        loop {
            let mut runs = std::fs::read_dir(self.folder.join("results")).into_iter().flatten().flatten();
            let run = runs.next().map(|it| it.path());
            if let Some(run) = run.filter(|it| rows_of(it).is_ok_and(|rows| rows.len() >= count)) {
                return Ok(run);
            }
            need(begin.elapsed() < COMES_MAX, || format!("{count} rows did not come within {COMES_MAX:?}"))?;
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        self.broker.kill();
    }
}

fn rows_of(run: &Path) -> Result<Vec<Row>, Fault> {
    rows::read(&run.join("rows.csv")).map_err(|error| failed("the rows cannot be read")(&error))
}

/// Each cell in each round, measured, and nothing else.
fn every_trial_once(rows: &[Row]) -> Result<(), Fault> {
    if let Some(row) = rows.iter().find(|it| !it.is_measured()) {
        return Err(Fault::Failed(format!("{} round {} has no figures: {}", row.cell, row.round, row.why)));
    }
    let trials: BTreeSet<(&str, u32)> = rows.iter().map(|it| (it.cell.as_str(), it.round)).collect();
    let is_whole = rows.len() == TRIALS && trials.len() == TRIALS;
    need(is_whole, || format!("{} rows of {} trials, and {TRIALS} were to be", rows.len(), trials.len()))
}

/// What it says mattered is this setting, in these figures at least, and not the one that is idle.
fn shows(ground: &Ground, done: &Done, setting: &str, figures: &[&str]) -> Result<(), Fault> {
    shown(&done.out, setting, figures, || {
        let again = ground.folder.join("again");
        std::fs::create_dir_all(&again).map_err(|error| failed("a folder for a check")(&error))?;
        Ok(ground.sweep_in(&again, &[])?.finish(RUN_MAX)?.ended_with(0)?.out)
    })
}

/// The same of what it printed; `again` is asked where chance may have said more.
fn shown(out: &str, setting: &str, figures: &[&str], again: impl FnOnce() -> Told) -> Result<(), Fault> {
    let said = said(out);
    let missing = figures.iter().find(|figure| !said.contains(&format!("{setting}: {figure}")));
    need(missing.is_none(), || format!("{missing:?} is not among {said:?}: {}", end(out)))?;
    if said.iter().all(|it| it.starts_with(setting)) {
        return Ok(());
    }
    let second = again()?;
    let still: Vec<String> = self::said(&second).into_iter().filter(|it| !it.starts_with(setting)).collect();
    need(still.is_empty(), || format!("beside {setting} it says {said:?}, and again {still:?}: {}", end(&second)))
}

/// Setting and figure of what it says mattered.
fn said(out: &str) -> BTreeSet<String> {
    out.lines()
        .skip_while(|it| !it.starts_with("What mattered beyond chance"))
        .skip(1)
        .map_while(|it| it.strip_prefix("  p, slow: "))
        .filter_map(|it| Some(it.split_once(" is ")?.0.to_owned()))
        .collect()
}

/// The middle of a figure over the rows of one value.
fn middle(rows: &[Row], setting: &str, figure: impl Fn(&Row) -> Option<f64>) -> Result<f64, Fault> {
    let own = rows.iter().filter(|it| it.cell.split(' ').any(|word| word == setting));
    let mut figures: Vec<f64> = own.filter_map(figure).collect();
    figures.sort_unstable_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().ok_or_else(|| Fault::Failed(format!("no row of {setting} has a figure")))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a sweep prints at its end, with these lines of what mattered.
    fn printed(mattered: &[&str]) -> String {
        let lines: String =
            mattered.iter().map(|it| format!("  p, slow: {it} is 2.0 times as much at 1 as at 2\n")).collect();
        format!("a table\nWhat mattered beyond chance (more than 0.1 %):\n{lines}Kept in results/x\n")
    }

    #[test]
    fn what_chance_says_of_the_idle_setting_is_asked_again_and_must_not_be_said_twice() {
        let known = printed(&["batch.size: MB/s"]);
        let chance = printed(&["batch.size: MB/s", "metadata.max.age.ms: p99"]);
        let asked = std::cell::Cell::new(0);
        let of = |first: &str, second: &str| {
            asked.set(0);
            let told = shown(first, "batch.size", &["MB/s"], || {
                asked.set(asked.get() + 1);
                Ok(second.to_owned())
            });
            (told, asked.get())
        };
        assert_eq!(of(&known, &chance), (Ok(()), 0));
        assert_eq!(of(&chance, &known), (Ok(()), 1));
        assert_eq!(of(&chance, &printed(&[])), (Ok(()), 1), "it is the idle setting that is asked about");
        let (told, times) = of(&chance, &chance);
        let why = told.unwrap_err().to_string();
        assert!(times == 1 && why.contains("again [\"metadata.max.age.ms: p99\"]"), "{why}");
        let (told, times) = of(&printed(&["metadata.max.age.ms: p99"]), &known);
        assert!(told.unwrap_err().to_string().contains("\"MB/s\") is not among") && times == 0);
    }
}
