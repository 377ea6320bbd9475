//! One run from its options to its results.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, SystemTime};

use ringlog_io::threads;

use super::keeper::Keeper;
use super::options::Options;
use super::progress::Progress;
use super::verdict::{BenchError, Done, io};
use super::{story, targets};
use crate::host::{HostFacts, PathFacts, facts, memory};
use crate::load::signals::Stop;
use crate::results::manifest::{self, Manifest};
use crate::results::{Row, RunFolder};
use crate::run::kafka::KafkaExecutor;
use crate::run::rows::Common;
use crate::run::{Cell, End, Plan, Run, summary};
use crate::spec::{Kind, Workload, workload};
use crate::target::machine::Seats;
use crate::target::start::{self, DataFolder, Ground, Running};
use crate::target::{Role, Target};

/// Most bytes of page cache and of plain memory that are touched before the first round.
const TOUCH_FILE_BYTES_MAX: u64 = 4 << 30;
const TOUCH_ANONYMOUS_BYTES_MAX: u64 = 512 << 20;
/// Share of the available memory that is touched at most (one of so many).
const TOUCH_SHARE: u64 = 3;
/// Longest time that touching takes.
const TOUCH_MAX: Duration = Duration::from_secs(6);

/// Measures, keeps the results, and gives what is to be printed.
pub(crate) fn measure(options: &Options) -> Result<Done, BenchError> {
    let stop = Stop::watch().map_err(io("watching for signals"))?;
    let mut plan = plan_of(options)?;
    let data = DataFolder::create(&options.dir).map_err(io("the data folder"))?;
    let seats = Seats::on(&threads::cores(), options.shards);
    let host = HostFacts::read(Path::new("/"));
    let storage = PathFacts::read(Path::new("/"), &data.path);
    errln!("{}", story::machine_line(&host, &storage, &seats, &plan));
    let mut warnings = story::warnings_of(&host, &seats, &plan);

    let running = start_all(&mut plan, &seats, &data.path, &mut warnings)?;
    let mut progress = Progress::new(&plan);
    progress.say("touching memory");
    if !options.no_touch {
        touch(&data.path)?;
    }
    let (began, clock) = (jiff::Timestamp::now(), SystemTime::now());
    let run_id = u32::try_from(began.as_nanosecond().unsigned_abs() & 0xffff_ffff).unwrap_or(0);
    let places = running.iter().map(|(name, it)| (name.clone(), it.place.clone())).collect();
    let common = common(&host, &storage, &seats, &running);
    let mut manifest = story::manifest(&plan, host, storage, &seats, &running, began);
    manifest.warnings.clone_from(&warnings);
    let Opened { folder, mut keeper, rows, manifest, since } = open(options, manifest, clock)?;
    let logs = data.path.clone();
    let mut executor = KafkaExecutor::new(places, seats.client, logs, (stop, run_id, since));
    let run = Run::new(&plan, &common, &mut executor, (&mut keeper, &mut progress), rows);
    let (rows, end) = run.run();
    progress.finish();
    let mut warnings = manifest.warnings.clone();
    warnings.extend(summary::warnings(&rows, story::meaning));
    let ended = jiff::Timestamp::now().to_string();
    // A full disk may refuse this too: the rows are there, and the end says what happened.
    let kept = manifest::replace(&folder, &Manifest { ended, warnings: warnings.clone(), ..manifest });
    let end = end.and(kept.map_err(End::from));
    let done = Done { summaries: summary::summaries(&rows), warnings, folder: folder.path().to_owned(), rows, end };
    Ok(done)
}

/// A run's folder and what is there already.
struct Opened {
    folder: RunFolder,
    keeper: Keeper,
    rows: Vec<Row>,
    manifest: Manifest,
    /// How long ago the run began.
    since: Duration,
}

/// The folder of a new run, or of the one that is gone on with.
fn open(options: &Options, manifest: Manifest, began: SystemTime) -> Result<Opened, BenchError> {
    let Some(path) = &options.resume else {
        let date = manifest.began.get(..10).unwrap_or("undated");
        let folder = RunFolder::create(&options.results, date, &manifest.hardware, &manifest.target)?;
        manifest::replace(&folder, &manifest)?;
        let keeper = Keeper::create(&folder, began)?;
        return Ok(Opened { folder, keeper, rows: Vec::new(), manifest, since: Duration::ZERO });
    };
    let folder = RunFolder::open(path)?;
    let mut kept = manifest::read(&folder.path().join(manifest::FILE))?;
    if kept.target != manifest.target || kept.workloads != manifest.workloads {
        let path = path.clone();
        return Err(BenchError::Resume { path, kept: kept.target, asked: manifest.target });
    }
    let (keeper, rows) = Keeper::resume(&folder)?;
    errln!("{} rows are there already", rows.len());
    kept.warnings.push(format!("stopped, and gone on with at {}", manifest.began));
    let first: Option<jiff::Timestamp> = kept.began.parse().ok();
    let now = jiff::Timestamp::try_from(began).ok();
    let since = first.zip(now).and_then(|(first, now)| Duration::try_from(now.duration_since(first)).ok());
    Ok(Opened { folder, keeper, rows, manifest: kept, since: since.unwrap_or_default() })
}

fn plan_of(options: &Options) -> Result<Plan, BenchError> {
    let workloads = workload::load(options.workloads.as_deref())?;
    if let Some(unknown) = options.only.iter().find(|name| workloads.iter().all(|it| it.name != **name)) {
        return Err(BenchError::Only(unknown.clone()));
    }
    let asked = |it: &Workload| options.only.is_empty() || options.only.contains(&it.name);
    let reader_of = |it: &Workload| workloads.iter().find(|reader| reader.of.as_deref() == Some(&it.name)).cloned();
    let cell = |it: &Workload| Cell { workload: it.clone(), reader: reader_of(it) };
    let written = workloads.iter().filter(|it| it.kind != Kind::Consume).map(cell);
    let mut cells: Vec<Cell> =
        written.filter(|it| asked(&it.workload) || it.reader.as_ref().is_some_and(asked)).collect();
    let plan =
        Plan { cells: cells.clone(), targets: targets::of(options)?, stopping: options.stopping(), seed: options.seed };
    let (factor, rounds) = options.scale(plan.measured_s());
    for cell in &mut cells {
        cell.workload = cell.workload.clone().scaled(factor, rounds);
        cell.reader = cell.reader.take().map(|it| it.scaled(factor, rounds));
    }
    Ok(Plan { cells, ..plan })
}

/// Starts every target. A ceiling that does not start is left out with a word; a subject that does not ends the run.
fn start_all(
    plan: &mut Plan,
    seats: &Seats,
    dir: &Path,
    warnings: &mut Vec<String>,
) -> Result<BTreeMap<String, Running>, BenchError> {
    let partitions = plan.cells.iter().map(|it| it.workload.partitions).max().unwrap_or(1);
    let ground = Ground { seats, dir, partitions };
    let mut running = BTreeMap::new();
    for target in &plan.targets {
        match start::start(target, &ground) {
            Ok(it) => drop(running.insert(target.name.clone(), it)),
            Err(error) if target.role == Role::Ceiling => warnings.push(format!("no {}: {error}", target.name)),
            Err(error) => return Err(error.into()),
        }
    }
    plan.targets.retain(|it: &Target| running.contains_key(&it.name));
    Ok(running)
}

fn common(host: &HostFacts, storage: &PathFacts, seats: &Seats, running: &BTreeMap<String, Running>) -> Common {
    let said = running.iter().map(|(name, it)| (name.clone(), it.said.clone()));
    Common { template: story::template(host, storage), targets: said.collect(), is_core_shared: seats.shared }
}

fn touch(dir: &Path) -> Result<(), BenchError> {
    let share = facts::available_memory_bytes(Path::new("/")).unwrap_or(0) / TOUCH_SHARE;
    let (file, anonymous) = (share.min(TOUCH_FILE_BYTES_MAX), share.min(TOUCH_ANONYMOUS_BYTES_MAX));
    memory::touch(dir, file, anonymous, TOUCH_MAX, |_| ()).map_err(io("touching memory"))?;
    Ok(())
}

impl Done {
    /// Whether a trial's ledger did not add up.
    #[must_use]
    pub fn has_ledger_fault(&self) -> bool {
        self.rows.iter().any(|it| it.why.starts_with(crate::run::LEDGER_FAULT))
    }

    /// Records of subjects that were acknowledged, read back and checked.
    #[must_use]
    pub fn verified_records(&self) -> u64 {
        let wrote = self.rows.iter().filter(|it| it.kind != Kind::Consume.name());
        wrote.filter_map(|it| it.ledger_verified_records).sum()
    }

    /// Whether the run came to its last trial.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.end.is_ok()
    }

    /// Whether somebody pressed Ctrl-C.
    #[must_use]
    pub fn is_interrupted(&self) -> bool {
        matches!(self.end, Err(End::Interrupted))
    }
}
