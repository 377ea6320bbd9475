//! One run from its options to its results.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use ringlog_io::threads;

use super::machine::Seats;
use super::options::Options;
use super::process::{Launch, Server, StartError, tail};
use super::progress::Progress;
use super::signals;
use super::verdict::{BenchError, Done};
use crate::host::{HostFacts, PathFacts, facts, memory};
use crate::results::manifest::{self, Manifest};
use crate::results::{RunFolder, latency, rows as row_file};
use crate::run::kafka::{KafkaExecutor, Place};
use crate::run::rows::{self, Common};
use crate::run::{self, Plan, Round, RunError, Target, Workload, workload};
use crate::yardstick::{self, Mode};

/// Most bytes of page cache and of plain memory that are touched before the first round.
const TOUCH_FILE_BYTES_MAX: u64 = 4 << 30;
const TOUCH_ANONYMOUS_BYTES_MAX: u64 = 512 << 20;
/// Share of the available memory that is touched at most (one of so many).
const TOUCH_SHARE: u64 = 3;
/// Longest time that touching takes.
const TOUCH_MAX: Duration = Duration::from_secs(6);
/// What the broker's ready line begins with, and the words before its figures.
const BROKER_READY: &str = "ringlog broker ready: ";
const LISTENING: &str = "listening on ";
const IO: &str = ", io ";
/// Where the broker's standard error goes, in the data folder.
const BROKER_LOG: &str = "broker.log";

/// Measures, keeps the results, and gives what is to be printed.
pub(super) fn measure(options: &Options) -> Result<Done, BenchError> {
    let stop = signals::watch().map_err(io("watching for signals"))?;
    let mut plan = plan_of(options)?;
    let data = DataFolder::create(&options.dir)?;
    let seats = Seats::on(&threads::cores(), options.shards);
    let host = HostFacts::read(Path::new("/"));
    let storage = PathFacts::read(Path::new("/"), &data.path);
    eprintln!("{}", machine_line(&host, &storage, &seats, options));
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
        schema: manifest::SCHEMA,
        began: began.to_string(),
        ended: jiff::Timestamp::now().to_string(),
        target: plan.subject.clone(),
        hardware: host.hardware_name(&storage),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        commit: option_env!("RINGLOG_COMMIT").map(str::to_owned).or_else(commit),
        build: build().to_owned(),
        command: std::env::args().collect(),
        warnings: warnings.clone(),
        broker: brokers.facts(&seats),
        host,
        storage,
        workloads: workload_tables(&plan.workloads),
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

fn io(what: &str) -> impl FnOnce(std::io::Error) -> BenchError + '_ {
    move |source| BenchError::Io { what: what.to_owned(), source }
}

/// A broker that ended said why in its log, which goes with the folder.
fn with_log(error: RunError, dir: &Path) -> RunError {
    match error {
        RunError::BrokerGone(what) => RunError::BrokerGone(format!("{what}\n{}", tail(&dir.join(BROKER_LOG)))),
        other => other,
    }
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

/// A folder that nobody else has, removed when the run is over.
struct DataFolder {
    path: PathBuf,
    made_parent: bool,
}

impl DataFolder {
    fn create(parent: &Path) -> Result<Self, BenchError> {
        let path = parent.join(format!("bench-{}", std::process::id()));
        let what = format!("making {}", path.display());
        let made_parent = !parent.exists();
        std::fs::create_dir_all(&path).map_err(io(&what))?;
        Ok(Self { path: path.canonicalize().map_err(io(&what))?, made_parent })
    }
}

impl Drop for DataFolder {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.path) {
            eprintln!("ringlog bench: could not remove {}: {error}", self.path.display());
        }
        // Its parent goes too where we made it; it stays where somebody else uses it by now.
        if let Some(parent) = self.path.parent().filter(|_| self.made_parent) {
            let _ = std::fs::remove_dir(parent);
        }
    }
}

fn touch(dir: &Path) -> Result<(), BenchError> {
    let share = facts::available_memory_bytes(Path::new("/")).unwrap_or(0) / TOUCH_SHARE;
    let (file, anonymous) = (share.min(TOUCH_FILE_BYTES_MAX), share.min(TOUCH_ANONYMOUS_BYTES_MAX));
    memory::touch(dir, file, anonymous, TOUCH_MAX, |_| ()).map_err(io("touching memory"))?;
    Ok(())
}

/// The brokers of a run: ours where we start it, and the null brokers. Fields drop in order: processes first.
struct Brokers {
    _servers: Vec<Server>,
    places: BTreeMap<Target, Place>,
    ready: String,
    io: Option<String>,
    /// Why a null broker does not run; the run goes on without it.
    missing: Vec<String>,
}

impl Brokers {
    fn start(options: &Options, plan: &Plan, seats: &Seats, dir: &Path) -> Result<Self, BenchError> {
        let mut brokers =
            Self { _servers: Vec::new(), places: BTreeMap::new(), ready: String::new(), io: None, missing: Vec::new() };
        match &options.bootstrap_server {
            Some(bootstrap) => {
                let place = Place { bootstrap: bootstrap.clone(), pid: options.broker_pid };
                brokers.places.insert(Target::Subject, place);
            }
            None => brokers.start_ours(options, seats, dir)?,
        }
        let partitions = plan.workloads.iter().map(|it| it.partitions).max().unwrap_or(1);
        for (target, mode) in [(Target::NullReceive, Mode::Receive), (Target::NullAppend, Mode::Append)] {
            if plan.targets.contains(&target) {
                let started = brokers.start_null(target, mode, partitions, seats, dir);
                brokers.missing.extend(started.err().map(|it| format!("no {}: {it}", mode.target())));
            }
        }
        Ok(brokers)
    }

    fn start_ours(&mut self, options: &Options, seats: &Seats, dir: &Path) -> Result<(), BenchError> {
        let mut arguments = vec!["broker".to_owned()];
        let settings = [
            ("listeners", "PLAINTEXT://127.0.0.1:0".to_owned()),
            ("log.dirs", dir.join("log").display().to_string()),
            ("ringlog.shards", seats.shards.to_string()),
            ("ringlog.io", options.io.clone().unwrap_or_else(|| "auto".to_owned())),
        ];
        for (key, value) in settings {
            arguments.extend(["--override".to_owned(), format!("{key}={value}")]);
        }
        let log = dir.join(BROKER_LOG);
        let server = Server::start(&Launch { program: None, arguments, ready: BROKER_READY, core: seats.broker, log })?;
        let bootstrap = between(&server.ready, LISTENING, " ").unwrap_or_default().to_owned();
        self.io = between(&server.ready, IO, ",").map(str::to_owned);
        self.ready = server.ready.clone();
        self.places.insert(Target::Subject, Place { bootstrap, pid: Some(server.pid()) });
        self._servers.push(server);
        Ok(())
    }

    fn start_null(
        &mut self,
        target: Target,
        mode: Mode,
        partitions: u32,
        seats: &Seats,
        dir: &Path,
    ) -> Result<(), StartError> {
        let mut arguments: Vec<String> =
            ["null-broker", "--end-with-stdin", "--mode", mode.name()].map(str::to_owned).into();
        arguments.extend(["--dir".to_owned(), dir.display().to_string()]);
        arguments.extend(["--partitions".to_owned(), partitions.to_string()]);
        if let Some(core) = seats.null_broker {
            arguments.extend(["--core".to_owned(), core.to_string()]);
        }
        let log = dir.join(format!("{}.log", mode.target()));
        let server = Server::start(&Launch { program: None, arguments, ready: yardstick::READY, core: None, log })?;
        let bootstrap = format!("127.0.0.1:{}", server.ready.trim_start_matches(yardstick::READY));
        self.places.insert(target, Place { bootstrap, pid: Some(server.pid()) });
        self._servers.push(server);
        Ok(())
    }

    fn facts(&self, seats: &Seats) -> BTreeMap<String, String> {
        let place = self.places.get(&Target::Subject);
        let mut facts = BTreeMap::new();
        facts.extend(place.map(|it| ("bootstrap_servers".to_owned(), it.bootstrap.clone())));
        if !self.ready.is_empty() {
            facts.insert("ready".to_owned(), self.ready.clone());
            facts.insert("shards".to_owned(), seats.shards.to_string());
        }
        facts.extend(self.io.clone().map(|it| ("io".to_owned(), it)));
        facts.insert("client_core".to_owned(), seat(seats.client));
        facts.insert("null_broker_core".to_owned(), seat(seats.null_broker));
        facts
    }
}

fn seat(core: Option<usize>) -> String {
    core.map_or_else(|| "not pinned".to_owned(), |it| it.to_string())
}

/// The text between two marks.
fn between<'a>(text: &'a str, from: &str, to: &str) -> Option<&'a str> {
    let rest = text.split_once(from)?.1;
    Some(rest.split_once(to).map_or(rest, |it| it.0))
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
