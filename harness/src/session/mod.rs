//! A session: a plan and its targets become rows in a folder. What bench, sweep, compare and rerun have in common.
//!
//! ```text
//!   options -> host facts -> seats            what is this machine, who sits where
//!   plan.targets -> start::start              a fresh folder, free ports, processes of their own; or one that runs already
//!   Run (plan, course, executor, keeper)      trials as the course wants them; each is kept before the next begins
//!   Done { rows, summaries, warnings, .. }    what a verb prints, whatever ended the run
//! ```
//!
//! A verb flattens [`TargetOptions`] and [`PlaceOptions`] into its own, makes a [`Plan`] with the targets of `targets::of`
//! (or its own), brings a [`Course`], and calls [`Session::measure`]:
//!
//! ```text
//!   let targets = targets::of(&options.targets, Ceilings::Beside)?;
//!   let session = Session { verb: "compare", place: &options.place, shards: options.targets.shards,
//!                           plan: Plan { cells, targets, seed }, course: &course, extra: Extra::default() };
//!   let done = session.measure()?;
//! ```
//!
//! With `--resume` the folder's rows come first, and the course goes on from them: a verb has nothing to do for it.

#![allow(
    clippy::disallowed_methods,
    reason = "makes folders and processes, reads the clock: the instrument, not the broker"
)]

pub(crate) mod emulated;
mod error;
mod keeper;
pub(crate) mod options;
pub(crate) mod origin;
pub(crate) mod progress;
mod resume;
mod story;
pub(crate) mod targets;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use ringlog_io::threads;

pub use error::SessionError;
pub use options::{PlaceOptions, TargetOptions};

use crate::client::ClientError;
use crate::emulate::{Asked, Emulation};
use crate::host::{HostFacts, PathFacts, facts, memory, metrics};
use crate::load::signals::Stop;
use crate::report::page;
use crate::results::columns::validity;
use crate::results::manifest::{self, Manifest};
use crate::results::{Row, RunFolder};
use crate::run::kafka::KafkaExecutor;
use crate::run::rows::Common;
use crate::run::summary::Summary;
use crate::run::{Course, End, Orders, Plan, Run, SoFar, summary};
use crate::spec::event::Action;
use crate::spec::{Kind, Workload};
use crate::target::folder::DataFolder;
use crate::target::machine::Seats;
use crate::target::start::{self, Ground, Running};
use crate::target::{self, Control, Role, Start, Target};
use error::io;
use keeper::Keeper;
use progress::Progress;

/// Most bytes of page cache and of plain memory that are touched before the first round.
const TOUCH_FILE_BYTES_MAX: u64 = 4 << 30;
const TOUCH_ANONYMOUS_BYTES_MAX: u64 = 512 << 20;
/// Share of the available memory that is touched at most (one of so many).
const TOUCH_SHARE: u64 = 3;
/// Longest time that touching takes.
const TOUCH_MAX: Duration = Duration::from_secs(6);
/// How long a broker that runs already may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// What is to be measured, and for whom.
pub struct Session<'a> {
    /// The verb: `bench`, `sweep`, ..
    pub verb: &'static str,
    /// Where it lives and is kept.
    pub place: &'a PlaceOptions,
    /// Shards of a ringlog broker that is started.
    pub shards: Option<u32>,
    /// What, on what.
    pub plan: Plan,
    /// In which order, and for how long.
    pub course: &'a dyn Course,
    /// What else the manifest says.
    pub extra: Extra,
}

/// What a verb adds to the manifest.
#[derive(Clone, Debug, Default)]
pub struct Extra {
    /// Warnings that the verb's options deserve.
    pub warnings: Vec<String>,
    /// What the verb was asked for, as a table of its own.
    pub asked: toml::Table,
    /// Figures of others beside which a reader wants to see ours.
    pub references: Vec<toml::Table>,
    /// What the folder is called after date and hardware, where that is not the targets' names.
    pub name: Option<String>,
}

/// A run that began to measure.
#[derive(Debug)]
pub struct Done {
    /// A line for each workload and subject.
    pub summaries: Vec<Summary>,
    /// What is wrong or unusual.
    pub warnings: Vec<String>,
    /// Where it is kept.
    pub folder: PathBuf,
    /// Whether a page to look at is there: a full disk may have had no room for it.
    pub has_page: bool,
    /// Every row.
    pub rows: Vec<Row>,
    /// Whether it came to its last trial, or what ended it.
    pub end: Result<(), End>,
}

impl Session<'_> {
    /// Measures, keeps the results, and gives what is to be printed.
    pub fn measure(mut self) -> Result<Done, SessionError> {
        may_be_kept(self.place)?;
        let stop = Stop::watch().map_err(io("watching for signals"))?;
        let asked = emulated::asked(self.place, &self.plan.targets)?;
        let data = DataFolder::create(&self.place.dir).map_err(io("the data folder"))?;
        // Before the brokers, so that it goes after them.
        let emulation = emulated::begin(asked.as_ref(), &data.path)?;
        let seats = Seats::on(&threads::cores(), self.shards.or(asked.as_ref().and_then(Asked::shards)));
        let host = HostFacts::read(Path::new("/"));
        let storage = PathFacts::read(Path::new("/"), &data.path);
        errln!("{}", story::machine_line(&host, &storage, &seats, &self.plan));
        let mut warnings = std::mem::take(&mut self.extra.warnings);
        warnings.extend(story::warnings_of(&host, &seats, &self.plan));
        warnings.extend(emulation.iter().flat_map(Emulation::warnings));

        let ground = Ground { seats: &seats, dir: &data.path, partitions: 1, emulation: emulation.as_ref() };
        let running = start_all(&mut self.plan, ground, &mut warnings)?;
        if emulation.is_some() {
            warnings.extend(emulated::in_part(&running));
        }
        let (began, clock) = (jiff::Timestamp::now(), SystemTime::now());
        let run_id = u32::try_from(began.as_nanosecond().unsigned_abs() & 0xffff_ffff).unwrap_or(0);
        let places = running.iter().map(|(name, it)| (name.clone(), it.place.clone())).collect();
        let template = story::template(&host, &storage);
        let template = emulation.as_ref().map_or(template.clone(), |it| it.row(template));
        let common = common(template, &seats, &running);
        let manifest = story::manifest(&self.plan, host, storage, &seats, &running, began);
        let (asked, references) = (std::mem::take(&mut self.extra.asked), std::mem::take(&mut self.extra.references));
        let emulated = emulation.as_ref().map(Emulation::facts).unwrap_or_default();
        let manifest = Manifest { verb: self.verb.to_owned(), warnings, asked, emulated, references, ..manifest };
        let Opened { folder, mut keeper, rows, manifest, since } = self.open(manifest, clock)?;

        let (plan, course) = (&self.plan, self.course);
        let so_far = SoFar { rows: &rows, earlier: rows.len(), elapsed: Duration::ZERO };
        let touches = u64::from(!self.place.no_touch);
        let mut progress = Progress::new(touches + plan.warm_up_steps() + course.left(plan, &so_far).steps);
        if !self.place.no_touch {
            progress.say("touching memory");
            touch(&data.path)?;
        }
        let logs = data.path.clone();
        let mut executor = KafkaExecutor::new(places, seats.client, logs, (stop, run_id, since));
        let orders = Orders { plan, course, common: &common };
        let (rows, end) = Run::new(orders, &mut executor, (&mut keeper, &mut progress), rows).run();
        progress.finish();
        let mut warnings = manifest.warnings.clone();
        warnings.extend(summary::warnings(&rows, story::meaning));
        warnings.extend(story::left_topics(plan, progress.stays()));
        let ended = jiff::Timestamp::now().to_string();
        // A full disk may refuse this too: the rows are there, and the end says what happened.
        let kept = manifest::replace(&folder, &Manifest { ended, warnings: warnings.clone(), ..manifest });
        let end = end.and(kept.map_err(End::from));
        let page = page::write_into(folder.path());
        if let Err(error) = &page {
            errln!("no {}: {error}", page::FILE);
        }
        let has_page = page.is_ok();
        Ok(Done {
            has_page,
            summaries: summary::summaries(&rows),
            warnings,
            folder: folder.path().to_owned(),
            rows,
            end,
        })
    }

    /// The folder of a new run, or of the one that is gone on with.
    fn open(&self, manifest: Manifest, began: SystemTime) -> Result<Opened, SessionError> {
        let Some(path) = &self.place.resume else {
            let date = manifest.began.get(..10).unwrap_or("undated");
            let folder = RunFolder::create(&self.place.results, date, &manifest.hardware, &self.name_of(&manifest))?;
            manifest::replace(&folder, &manifest)?;
            let keeper = Keeper::create(&folder, began)?;
            return Ok(Opened { folder, keeper, rows: Vec::new(), manifest, since: Duration::ZERO });
        };
        let folder = RunFolder::open(path)?;
        let mut kept = manifest::read(&folder.path().join(manifest::FILE))?;
        let unusual = resume::may_go_on(path, &kept, &manifest)?;
        let first: Option<jiff::Timestamp> = kept.began.parse().ok();
        let (keeper, rows) = Keeper::resume(&folder, first.map_or(began, SystemTime::from))?;
        errln!("{} rows are there already", rows.len());
        let so_far = SoFar { rows: &rows, earlier: rows.len(), elapsed: Duration::ZERO };
        let is_whole = self.course.next(&self.plan, &so_far).is_none();
        let unusual = unusual.into_iter().chain([format!("stopped, and gone on with at {}", manifest.began)]);
        kept.warnings = resume::warnings(&kept.warnings, &rows, unusual.filter(|_| !is_whole));
        if is_whole {
            errln!("nothing of it was left to do");
        }
        let now = jiff::Timestamp::try_from(began).ok();
        let since = first.zip(now).and_then(|(first, now)| Duration::try_from(now.duration_since(first)).ok());
        Ok(Opened { folder, keeper, rows, manifest: kept, since: since.unwrap_or_default() })
    }

    /// What the folder is called after date and hardware: the targets, and the verb where it is another than bench.
    fn name_of(&self, manifest: &Manifest) -> String {
        if let Some(name) = &self.extra.name {
            return name.clone();
        }
        if self.verb == "bench" { manifest.target.clone() } else { format!("{}-{}", manifest.target, self.verb) }
    }
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

/// Looks, before anything is started, whether there is a place for the rows.
fn may_be_kept(place: &PlaceOptions) -> Result<(), SessionError> {
    if let Some(folder) = &place.resume {
        let is_run = folder.join(crate::results::rows::FILE).is_file();
        return if is_run { Ok(()) } else { Err(SessionError::NoRun(folder.clone())) };
    }
    RunFolder::may_create(&place.results).map_err(|source| SessionError::Keep { path: place.results.clone(), source })
}

/// Starts every target. A ceiling that does not start is left out with a word; a subject that does not, or that is not
/// there, ends the run before anything is measured.
fn start_all(
    plan: &mut Plan,
    ground: Ground<'_>,
    warnings: &mut Vec<String>,
) -> Result<BTreeMap<String, Running>, SessionError> {
    may_be_operated_on(plan, ground.dir)?;
    plan.targets.iter().try_for_each(is_there)?;
    may_be_replicated(plan)?;
    let partitions = plan.cells.iter().map(|it| it.workload.partitions).max().unwrap_or(1);
    let ground = Ground { partitions, ..ground };
    let mut running = BTreeMap::new();
    for target in &plan.targets {
        // Targets that differ by their client alone share a broker.
        let earlier = plan.targets.iter().take_while(|it| it.name != target.name);
        let mut sharing = earlier.filter(|it| it.broker_name() == target.broker_name());
        if let Some(shared) = sharing.find_map(|it| running.get(&it.name)).cloned() {
            running.insert(target.name.clone(), shared);
            continue;
        }
        match start::start(&target.broker(), &ground) {
            Ok(it) => drop(running.insert(target.name.clone(), it)),
            Err(error) if target.role == Role::Ceiling => warnings.push(format!("no {}: {error}", target.name)),
            Err(error) => return Err(error.into()),
        }
    }
    plan.targets.retain(|it: &Target| running.contains_key(&it.name));
    Ok(running)
}

/// Refuses operations on a broker that is not ours, and on a disk that is not its own.
fn may_be_operated_on(plan: &Plan, dir: &Path) -> Result<(), SessionError> {
    let mut operating = plan.cells.iter().map(|it| &it.workload).filter(|it| it.operates_on_target()).peekable();
    let Some(first) = operating.peek() else { return Ok(()) };
    if let Some(remote) = plan.subjects().find(|it| !it.is_started()) {
        let (workload, target) = (first.name.clone(), remote.name.clone());
        return Err(SessionError::Events { workload, target });
    }
    let fills = |it: &Workload| it.events.iter().any(|event| event.action == Action::FillDisk);
    if operating.any(fills) {
        Control::may_fill(dir)?;
    }
    Ok(())
}

/// Refuses more replicas than a target has nodes, where we know how many.
fn may_be_replicated(plan: &Plan) -> Result<(), SessionError> {
    for target in plan.subjects().filter(|it| it.is_started()) {
        let (nodes, name) = (target.start.nodes(), &target.name);
        let asked = plan.cells.iter().map(|it| (Some(&it.workload), it.workload.replication_factor));
        let mut asked = asked.chain([(None, Some(target.replication_factor))]);
        let above = asked.find(|it| it.1.is_some_and(|replicas| i64::from(replicas) > i64::from(nodes)));
        if let Some((workload, Some(replicas))) = above {
            let workload =
                workload.map_or_else(|| "--replication-factor".to_owned(), |it| format!("workload {}", it.name));
            return Err(SessionError::Replicas { workload, replicas, target: name.clone(), nodes });
        }
    }
    Ok(())
}

/// Asks a broker that is to run already for an answer, so that one that is missing is named before others are started.
fn is_there(target: &Target) -> Result<(), SessionError> {
    let Start::Remote { client, .. } = &target.start else { return Ok(()) };
    let place = target::Place { properties: client.clone(), ..target::Place::default() };
    let asked = target::admin(&place, ANSWER_MAX).and_then(|mut admin| admin.describe_topic("ringlog-bench"));
    let bootstrap = || client.get("bootstrap.servers").unwrap_or_default().to_owned();
    let missing = |error: &ClientError| SessionError::missing(&target.name, &bootstrap(), error);
    asked.map(drop).map_err(|error| missing(&error))?;
    target.metrics.iter().try_for_each(|url| metrics::fetch(url).map(drop).map_err(SessionError::Metrics))
}

fn common(template: Row, seats: &Seats, running: &BTreeMap<String, Running>) -> Common {
    let said = running.iter().map(|(name, it)| (name.clone(), it.said.clone()));
    Common { template, targets: said.collect(), is_core_shared: seats.shared }
}

fn touch(dir: &Path) -> Result<(), SessionError> {
    let share = facts::available_memory_bytes(Path::new("/")).unwrap_or(0) / TOUCH_SHARE;
    // The broker's log needs the disk's room more.
    let room = ringlog_io::host::free_bytes(dir).map_err(io("the data folder"))? / TOUCH_SHARE;
    let (file, anonymous) = (share.min(room).min(TOUCH_FILE_BYTES_MAX), share.min(TOUCH_ANONYMOUS_BYTES_MAX));
    memory::touch(dir, file, anonymous, TOUCH_MAX, |_| ()).map_err(io("touching memory"))?;
    Ok(())
}

impl Done {
    /// Where it is kept, and what to do for a page.
    #[must_use]
    pub(crate) fn kept_words(&self) -> String {
        let folder = self.folder.display();
        if self.has_page {
            return format!("Kept in {folder}; {} in it is a page to look at", page::FILE);
        }
        format!("Kept in {folder}; `ringlog report {folder}` makes a page of it when there is room")
    }

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

    /// Whether trials of a subject were skipped, and not made up for when the run was gone on with: it was gone.
    #[must_use]
    pub fn has_skipped(&self) -> bool {
        let is_skipped = |it: &Row| it.validity == validity::SKIPPED;
        let is_same = |a: &Row, b: &Row| a.workload == b.workload && a.target == b.target && a.round == b.round;
        let of_subjects = self.rows.iter().filter(|it| it.role == Role::Subject.name() && is_skipped(it));
        of_subjects.into_iter().any(|it| !self.rows.iter().any(|other| is_same(it, other) && !is_skipped(other)))
    }

    /// Whether somebody pressed Ctrl-C.
    #[must_use]
    pub fn is_interrupted(&self) -> bool {
        matches!(self.end, Err(End::Interrupted))
    }
}
