//! One run from its options to its results.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, SystemTime};

use ringlog_io::threads;

use super::options::Options;
use super::progress::Progress;
use super::signals;
use super::verdict::{BenchError, Done, io};
use crate::host::{HostFacts, PathFacts, facts, memory};
use crate::results::manifest::{self, Manifest};
use crate::results::{RunFolder, latency, rows as row_file};
use crate::run::kafka::KafkaExecutor;
use crate::run::rows::{self, Common};
use crate::run::{self, Plan, Round, Target};
use crate::spec::{Workload, workload};
use crate::target::brokers::{Brokers, DataFolder, seat, with_log};
use crate::target::machine::Seats;

/// Most bytes of page cache and of plain memory that are touched before the first round.
const TOUCH_FILE_BYTES_MAX: u64 = 4 << 30;
const TOUCH_ANONYMOUS_BYTES_MAX: u64 = 512 << 20;
/// Share of the available memory that is touched at most (one of so many).
const TOUCH_SHARE: u64 = 3;
/// Longest time that touching takes.
const TOUCH_MAX: Duration = Duration::from_secs(6);
/// Measures, keeps the results, and gives what is to be printed.
pub(crate) fn measure(options: &Options) -> Result<Done, BenchError> {
    let stop = signals::watch().map_err(io("watching for signals"))?;
    let mut plan = plan_of(options)?;
    let data = DataFolder::create(&options.dir)?;
    let seats = Seats::on(&threads::cores(), options.shards);
    let host = HostFacts::read(Path::new("/"));
    let storage = PathFacts::read(Path::new("/"), &data.path);
    errln!("{}", machine_line(&host, &storage, &seats, options));
    let mut warnings = warnings_of(&host, &seats, options);

    let brokers = Brokers::start(options, &plan, &seats, &data.path)?;
    plan.targets.retain(|it| brokers.places.contains_key(it));
    warnings.extend(brokers.missing.clone());
    let mut progress = Progress::new(&plan);
    progress.say("touching memory");
    if !options.no_touch {
        touch(&data.path)?;
    }
    let (began, clock) = (jiff::Timestamp::now(), SystemTime::now());
    let run_id = u32::try_from(began.as_nanosecond().unsigned_abs() & 0xffff_ffff).unwrap_or(0);
    let mut executor = KafkaExecutor::new(brokers.places.clone(), seats.client, stop, run_id);
    let rounds = run::run(&plan, &mut executor, &mut progress);
    progress.finish();
    let rounds = rounds.map_err(|error| with_log(error, &data.path))?;

    let common = Common {
        shards: options.bootstrap_server.is_none().then_some(seats.shards),
        io: brokers.io.clone(),
        notes: notes_of(&seats),
    };
    warnings.extend(round_warnings(&plan, &common, &rounds));
    let manifest = Manifest {
        began: began.to_string(),
        warnings: warnings.clone(),
        broker: brokers.facts(&seats),
        ..manifest_of(&plan, host, storage)
    };
    let folder = keep(options, &plan, &common, &rounds, &manifest, clock)?;
    let table: Vec<_> = rounds.iter().map(|it| rows::row(&plan, &common, it)).collect();
    Ok(Done {
        summaries: rows::summaries(&plan, &table),
        verified_records: verified(&plan, &rounds),
        warnings,
        folder: folder.path().to_owned(),
    })
}

fn plan_of(options: &Options) -> Result<Plan, BenchError> {
    let mut workloads = workload::load(options.workloads.as_deref())?;
    if let Some(unknown) = options.only.iter().find(|name| workloads.iter().all(|it| it.name != **name)) {
        return Err(BenchError::Only(unknown.clone()));
    }
    let wanted = |it: &Workload| {
        let asked = |name: &String| options.only.contains(name);
        options.only.is_empty() || asked(&it.name) || it.of.as_ref().is_some_and(asked)
    };
    let read =
        |name: &str| workloads.iter().any(|it| it.of.as_deref() == Some(name) && options.only.contains(&it.name));
    let kept: Vec<Workload> = workloads.iter().filter(|it| wanted(it) || read(&it.name)).cloned().collect();
    workloads = kept;
    let mut targets = vec![Target::Subject];
    if !options.no_yardstick {
        targets.extend([Target::NullReceive, Target::NullAppend]);
    }
    let subject = if options.bootstrap_server.is_some() { facts::sanitized(&options.target) } else { "ringlog".into() };
    let plan = Plan { workloads, targets, subject };
    let (factor, rounds) = options.scale(plan.measured_s());
    let scaled = plan.workloads.iter().map(|it| it.clone().scaled(factor, rounds)).collect();
    Ok(Plan { workloads: scaled, ..plan })
}

fn touch(dir: &Path) -> Result<(), BenchError> {
    let share = facts::available_memory_bytes(Path::new("/")).unwrap_or(0) / TOUCH_SHARE;
    let (file, anonymous) = (share.min(TOUCH_FILE_BYTES_MAX), share.min(TOUCH_ANONYMOUS_BYTES_MAX));
    memory::touch(dir, file, anonymous, TOUCH_MAX, |_| ()).map_err(io("touching memory"))?;
    Ok(())
}

fn machine_line(host: &HostFacts, storage: &PathFacts, seats: &Seats, options: &Options) -> String {
    let cpu = host.cpu_model.as_deref().unwrap_or("unknown processor");
    let what = match &options.bootstrap_server {
        Some(bootstrap) => format!("measuring {bootstrap}"),
        None => format!("{} shard(s), the client on core {}", seats.shards, seat(seats.client)),
    };
    format!("{}: {cpu}, {}; {what}", host.hardware_name(storage), host.virtualisation)
}

fn build() -> &'static str {
    if cfg!(debug_assertions) { "debug" } else { "release" }
}

fn warnings_of(host: &HostFacts, seats: &Seats, options: &Options) -> Vec<String> {
    let mut warnings = Vec::new();
    if build() == "debug" {
        warnings.push("this is a debug build: run with `cargo run --release -- bench`".to_owned());
    }
    if seats.shared {
        warnings.push(format!("{} shard(s) and the client share {} core(s)", seats.shards, host.cores));
    }
    if options.bootstrap_server.is_some() && options.broker_pid.is_none() {
        warnings.push("the broker's processor time is not known: give --broker-pid where it runs here".to_owned());
    }
    if host.cgroup.cpu_quota_cores.is_some_and(|quota| quota < host.cores as f64) {
        warnings.push("a control group limits processor time: expect stalls of tens of milliseconds".to_owned());
    }
    if host.free_page_reporting {
        let words = "the hypervisor takes freed pages back: appends pay for first touches, so broker CPU per MB is above \
                     what a machine that keeps its pages shows";
        warnings.push(words.to_owned());
    }
    warnings
}

fn notes_of(seats: &Seats) -> Vec<String> {
    let debug = (build() == "debug").then(|| "debug-build".to_owned());
    seats.shared.then(|| "shared-core".to_owned()).into_iter().chain(debug).collect()
}

/// One warning for each kind of note, with how often and where.
fn round_warnings(plan: &Plan, common: &Common, rounds: &[Round]) -> Vec<String> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for row in rounds.iter().map(|it| rows::row(plan, common, it)) {
        let of_all = |note: &str| common.notes.iter().any(|it| it == note);
        for note in row.notes.split('+').filter(|it| !it.is_empty() && !of_all(it)) {
            found.entry(note.to_owned()).or_default().push(row.target.clone());
        }
    }
    let line = |(note, targets): (String, Vec<String>)| {
        let ours = targets.iter().filter(|it| **it == plan.subject).count();
        let all = rounds.iter().filter(|it| it.target == Target::Subject).count();
        let others = targets.len() - ours;
        format!("{note}: {} ({ours} of {all} rows, and {others} of the null brokers')", meaning(&note))
    };
    found.into_iter().map(line).collect()
}

/// A note in words.
fn meaning(note: &str) -> &'static str {
    match note {
        "client-bound" => "the client used up its core, so the broker may be faster",
        "busy-machine" => "other processes used more than a fifth of a core",
        "steal" => "the hypervisor gave more than 2 % of a core's time to others",
        "rate-not-reached" => "less was acknowledged than the schedule asked for",
        "retries" => "records were sent again after a refusal",
        "failed-sends" => "records were given up",
        _ => "see harness/docs/method.md",
    }
}

/// The commit of the tree that holds this program, or else of the working directory where that is this project.
fn commit() -> Option<String> {
    let program = std::env::current_exe().ok()?;
    let here = std::env::current_dir().ok()?;
    let ours = |dir: &&Path| dir.join("harness/bin/ringlog.rs").exists();
    let root = program.ancestors().find(ours).or_else(|| here.ancestors().find(ours))?;
    manifest::commit_of(root)
}

/// What a manifest says whatever the run gave.
fn manifest_of(plan: &Plan, host: HostFacts, storage: PathFacts) -> Manifest {
    Manifest {
        schema: manifest::SCHEMA,
        ended: jiff::Timestamp::now().to_string(),
        target: plan.subject.clone(),
        hardware: host.hardware_name(&storage),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        commit: option_env!("RINGLOG_COMMIT").map(str::to_owned).or_else(commit),
        build: build().to_owned(),
        command: command(),
        workloads: workload_tables(&plan.workloads),
        host,
        storage,
        ..Manifest::default()
    }
}

/// The command line; of the program's path only its name, which is all that means something elsewhere.
fn command() -> Vec<String> {
    let name = |path: String| Path::new(&path).file_name().map_or(path.clone(), |it| it.to_string_lossy().into_owned());
    std::env::args().enumerate().map(|(at, it)| if at == 0 { name(it) } else { it }).collect()
}

fn workload_tables(workloads: &[Workload]) -> BTreeMap<String, toml::Table> {
    let table = |it: &Workload| toml::Table::try_from(it).unwrap_or_default();
    workloads.iter().map(|it| (it.name.clone(), table(it))).collect()
}

fn verified(plan: &Plan, rounds: &[Round]) -> u64 {
    let wrote = |it: &&Round| it.target == Target::Subject && it.workload.of.is_none();
    debug_assert!(plan.targets.contains(&Target::Subject));
    rounds.iter().filter(wrote).filter_map(|it| it.verdict).map(|it| it.acknowledged).sum()
}

fn keep(
    options: &Options,
    plan: &Plan,
    common: &Common,
    rounds: &[Round],
    manifest: &Manifest,
    began: SystemTime,
) -> Result<RunFolder, BenchError> {
    let date = manifest.began.get(..10).unwrap_or("undated");
    let folder = RunFolder::create(&options.results, date, &manifest.hardware, &manifest.target)?;
    manifest::write(&folder, manifest)?;
    row_file::write(&folder, &rounds.iter().map(|it| rows::row(plan, common, it)).collect::<Vec<_>>())?;
    let intervals: Vec<_> = rounds.iter().flat_map(|it| rows::intervals(plan, it)).collect();
    latency::write(&folder, began, &intervals)?;
    Ok(folder)
}
