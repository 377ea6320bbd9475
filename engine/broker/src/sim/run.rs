//! One seed, from the first start to the audit.
//!
//! ```text
//!   start -- storm: clients work, trouble comes -- calm: what is under way ends -- audit -- stop -- start -- audit
//! ```
//! Whatever goes wrong on the way, a client that is answered has its promise, one that is not is told so by a connection that
//! ends, and when the trouble is over everything is served again.

use std::rc::Rc;
use std::sync::Arc;

use ringlog_io::Nanos;
use ringlog_io::process::{Memory, MemorySource};
use ringlog_io::sim::{Dice, DriverId, Fault, Op, SimFiles, World};

use super::admin::Admin;
use super::auditor::Auditor;
use super::clients::{Client, Clients, Phase, Scene};
use super::committer::Committer;
use super::consumer::Consumer;
use super::consumer_book::ConsumerBook;
use super::fetcher::Fetcher;
use super::host::Host;
use super::ledger::Ledger;
use super::member::Member;
use super::plan::{Event, Plan, Trouble, Wish};
use super::producer::Producer;
use super::transactor::Transactor;
use super::upserter::Upserter;
use super::{Reader, Violation};
use crate::limits::{Budget, Means};
use crate::settings::Settings;

const MS: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MS;
/// How long what is under way may take to end when nothing goes wrong any more.
const CALM_NS_MAX: u64 = 90 * SECOND;
/// How long after the last client everything must be quiet.
const QUIET_NS: u64 = 15 * SECOND;
/// How long after that a connection that nobody hears of is open at most: twice connections.max.idle.ms, and the looks that it
/// takes.
const IDLE_NS: u64 = 1_400 * SECOND;
/// What the machine has.
const MEMORY_BYTES: u64 = 1 << 30;
const DESCRIPTORS: usize = 20_000;
/// What a shard has where there is little: some waiting fetches and sessions of these clients, the largest of their requests and
/// the beginning of another, the answers of a few.
const TIGHT: Budget = Budget {
    connections: 0,
    kept_bytes: 16 << 10,
    decode_bytes: 64 << 10,
    inflate_bytes: 1 << 20,
    session_bytes: 1_500,
    waiting_bytes: 3_000,
    clean_bytes: 400,
    task_bytes: 500,
    frame_bytes: 160 << 10,
    output_bytes: 32 << 10,
    dirty_bytes: 24 << 10,
};
/// Turns of shards within which a kill that is aimed at a deletion comes.
const KILL_IN_TURNS: u64 = 24;
/// The errno of a full table of files, of a failed disk.
const EMFILE: i32 = 24;
const EIO: i32 = 5;

/// What a clean run did.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) hash: u64,
    pub(super) events: u64,
    pub(super) acknowledged: u64,
    pub(super) read: u64,
}

/// See the head of the file.
pub(super) struct Run {
    world: World,
    host: Host,
    clients: Clients,
    /// When the broker is to be started again.
    start_at: Option<Nanos>,
    /// When troubles end.
    heals: Vec<(Nanos, Trouble)>,
    /// A sync failed: what was not promised may be gone at the next start.
    sync_failed: bool,
    /// Turns of shards from the next deletion of a topic to the kill that is aimed at it, and for how long the broker is down.
    kill_in_deletion: Option<(u64, u64)>,
}

/// Runs a seed. `reader` is told everything that happens.
pub(super) fn run(seed: u64, wish: &Wish, reader: Option<Reader>) -> Result<Tally, Violation> {
    let plan = Plan::of(seed, wish);
    let world = World::new(seed);
    let is_read = reader.is_some();
    if let Some(reader) = reader {
        world.read_by(reader);
        world.say(format_args!("the plan, for --plan:\n{plan}"));
    }
    *world.weather() = plan.weather.clone();
    let mut run = Run::new(seed, world, &plan)?;
    run.clients.scene.notes = is_read.then(Vec::new);
    let outcome = run.live(&plan);
    match &outcome {
        Ok(tally) => run.world.say(format_args!("clean: {tally:?}")),
        Err(violation) => run.world.say(format_args!("VIOLATION {violation}")),
    }
    outcome
}

impl Run {
    fn new(seed: u64, world: World, plan: &Plan) -> Result<Self, Violation> {
        let pairs: Vec<(&str, &str)> =
            plan.settings.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        let mut settings = Settings::of_pairs(&pairs).map_err(|error| Violation(error.to_string()))?;
        settings.set_topic_default("segment.bytes", plan.segment_bytes.to_string());
        let memory = Memory { bytes: MEMORY_BYTES, source: MemorySource::Machine };
        let means = Means { memory, descriptors: DESCRIPTORS, partitions: 0, dirty_background_bytes: None };
        let ample = Budget::share_out(&settings, &means).map_err(|error| Violation(error.to_string()))?;
        let budget = if plan.is_tight { Budget { connections: ample.connections, ..TIGHT } } else { ample };
        let host = Host::new(Arc::new(settings), budget, SimFiles::new(seed));
        let (id, driver) = world.driver(&SimFiles::new(seed), 256, 64 << 10);
        let scene = Scene {
            now: world.now(),
            wall_ms: world.wall_ms(),
            dice: Dice::new(seed.wrapping_mul(3)),
            ledger: Ledger::of(plan.retains_little()),
            group_book: Default::default(),
            consumer_book: ConsumerBook::of(plan.consumers.len(), plan.consumer_session_ms()),
            transactions: Default::default(),
            driver,
            ports: (0..plan.shards as u16).map(|shard| 9_092 + shard).collect(),
            phase: Phase::Storm,
            leaders: Default::default(),
            nodes: Default::default(),
            streams: 0,
            wants_deletion: false,
            is_deleting: false,
            notes: None,
        };
        let clients = Clients { id, scene, all: cast(plan) };
        Ok(Self { world, host, clients, start_at: None, heals: Vec::new(), sync_failed: false, kill_in_deletion: None })
    }

    fn live(&mut self, plan: &Plan) -> Result<Tally, Violation> {
        let begun = self.world.now();
        self.start()?;
        for event in &plan.events {
            self.run_until(Nanos(begun.0 + event.at_ns))?;
            self.strike(*event)?;
        }
        self.run_until(Nanos(begun.0 + plan.storm_ns))?;
        self.calm(plan)?;
        self.audit()?;
        self.check_quiet()?;
        self.stop()?;
        self.start()?;
        self.audit()?;
        let ledger = &self.clients.scene.ledger;
        let (hash, events) = (self.world.hash(), self.world.events());
        Ok(Tally { hash, events, acknowledged: ledger.acknowledged, read: ledger.read })
    }

    // --- time passes -------------------------------------------------------------------------------------------------

    fn run_until(&mut self, limit: Nanos) -> Result<(), Violation> {
        while !self.run_for_a_while(limit)? {}
        Ok(())
    }

    fn step(&mut self, who: DriverId) -> Result<(), Violation> {
        if who == self.clients.id {
            return self.clients.step(&self.world);
        }
        let boots = self.host.boots;
        self.host.step(&self.world, who)?;
        if self.host.boots > boots {
            self.world.say(format_args!("the power went in the middle of a turn"));
            self.clients.scene.ledger.lose_unpromised();
        }
        Ok(())
    }

    /// Runs until `limit`, or to the next moment at which a trouble ends or the broker starts. True: the limit is reached.
    fn run_for_a_while(&mut self, limit: Nanos) -> Result<bool, Violation> {
        let heal = self.heals.iter().map(|(at, _)| *at).min();
        let stop = [self.start_at, heal].into_iter().flatten().fold(limit, Nanos::min);
        while let Some(who) = self.world.next(stop) {
            let was_up = self.host.is_up();
            self.step(who)?;
            self.kill_if_due(who);
            if was_up && !self.host.is_up() {
                self.went_down();
                return Ok(false);
            }
        }
        self.heal_due()?;
        if self.start_at.is_some_and(|at| at <= self.world.now()) {
            self.start_at = None;
            self.start()?;
        }
        Ok(self.world.now() >= limit)
    }

    /// Runs until `is_done`, or until it took too long.
    fn run_while(&mut self, what: &str, span_ns: u64, is_busy: impl Fn(&Self) -> bool) -> Result<(), Violation> {
        let limit = Nanos(self.world.now().0 + span_ns);
        while is_busy(self) {
            if self.world.now() >= limit {
                return Err(Violation(format!(
                    "{what}: {} s were not enough for {}",
                    span_ns / SECOND,
                    self.clients.busy()
                )));
            }
            let step = Nanos(limit.0.min(self.world.now().0 + 50 * MS));
            self.run_for_a_while(step)?;
        }
        Ok(())
    }

    // --- the broker --------------------------------------------------------------------------------------------------

    /// Starts the broker. While the disk is in trouble it may refuse, and is started again later.
    fn start(&mut self) -> Result<(), Violation> {
        if self.host.is_up() {
            return Ok(());
        }
        if std::mem::take(&mut self.sync_failed) {
            self.clients.scene.ledger.lose_unpromised();
        }
        self.clients.scene.ledger.starts += 1;
        match self.host.start(&self.world) {
            Ok(()) => {
                self.world.say(format_args!("the broker is up"));
                Ok(())
            }
            Err(error) if !self.host.files.is_powered() => {
                self.world.say(format_args!("the power went while the broker came up: {error}"));
                self.clients.scene.ledger.lose_unpromised();
                self.host.lose_power(&self.world);
                self.start_at = Some(Nanos(self.world.now().0 + 500 * MS));
                Ok(())
            }
            Err(error) if !self.heals.is_empty() || self.sync_failed => {
                self.world.say(format_args!("the broker did not come up: {error}"));
                self.start_at = Some(Nanos(self.world.now().0 + 500 * MS));
                Ok(())
            }
            Err(error) => Err(Violation(format!("the broker does not start: {error}"))),
        }
    }

    /// The broker stopped by itself, or the power went in the middle of a turn.
    fn went_down(&mut self) {
        if self.start_at.is_none() {
            self.start_at = Some(Nanos(self.world.now().0 + 100 * MS));
        }
    }

    fn stop(&mut self) -> Result<(), Violation> {
        self.host.stop(&self.world);
        self.world.say(format_args!("SIGTERM"));
        let limit = Nanos(self.world.now().0 + 20 * SECOND);
        while self.host.is_up() {
            let Some(who) = self.world.next(limit) else {
                return Err(Violation("SIGTERM did not stop the broker within 20 s".to_owned()));
            };
            self.step(who)?;
        }
        Ok(())
    }

    /// The kill that is aimed at a deletion: so many turns of shards after it was asked for, answered by then or not.
    fn kill_if_due(&mut self, who: DriverId) {
        let Some((turns, down_ns)) = &mut self.kill_in_deletion else { return };
        let is_begun = self.clients.scene.is_deleting || !self.clients.scene.wants_deletion;
        if !is_begun || who == self.clients.id || !self.host.is_up() {
            return;
        }
        self.clients.scene.wants_deletion = false;
        if *turns > 0 {
            *turns -= 1;
            return;
        }
        self.start_at = Some(Nanos(self.world.now().0 + *down_ns));
        self.kill_in_deletion = None;
        self.world.say(format_args!("kill -9 behind a deletion"));
        self.host.kill(&self.world);
    }

    // --- trouble -----------------------------------------------------------------------------------------------------

    fn strike(&mut self, event: Event) -> Result<(), Violation> {
        let now = self.world.now();
        let until = Nanos(now.0 + event.lasts_ns);
        let files = Rc::clone(&self.host.files);
        self.world.say(format_args!("TROUBLE {event:?}"));
        match event.trouble {
            Trouble::Kill if self.host.is_up() => {
                self.host.kill(&self.world);
                self.start_at = Some(until);
            }
            Trouble::PowerCut if self.host.is_up() => self.cut_power(event, until),
            Trouble::Restart if self.host.is_up() => {
                self.stop()?;
                self.start_at = Some(until);
            }
            Trouble::Kill | Trouble::PowerCut | Trouble::Restart => {}
            Trouble::KillInDeletion => {
                self.clients.scene.wants_deletion = true;
                self.kill_in_deletion = Some((event.number % KILL_IN_TURNS, event.lasts_ns));
            }
            Trouble::Pause => {
                if let Some(shard) = self.host.shard(event.number as usize) {
                    self.world.pause(shard, until);
                }
            }
            Trouble::SlowDisk => {
                self.world.weather().stall_once_in = 2;
                self.heals.push((until, Trouble::SlowDisk));
            }
            Trouble::FullDisk => {
                files.set_space_bytes(Some(event.number % 5_000));
                self.heals.push((until, Trouble::FullDisk));
            }
            Trouble::SyncError => {
                files.fail(Fault::nth(Op::Sync, 1 + event.number % 5, EIO));
                self.clients.scene.ledger.lose_unpromised();
                self.sync_failed = true;
                self.heals.push((until, Trouble::SyncError));
            }
            Trouble::ReadError => {
                files.fail(Fault::nth(Op::Read, 1 + event.number % 20, EIO));
                self.heals.push((until, Trouble::ReadError));
            }
            Trouble::WriteError => {
                let torn_bytes = (event.number / 10 % 600) as usize;
                files.fail(Fault::torn_write(1 + event.number % 10, torn_bytes, EIO));
                self.heals.push((until, Trouble::WriteError));
            }
            Trouble::NoDescriptors => {
                files.fail(Fault::nth(Op::Open, 1, EMFILE).for_ever());
                self.world.weather().out_of_descriptors = true;
                self.heals.push((until, Trouble::NoDescriptors));
            }
            Trouble::ColdCache => {
                files.set_resident(false);
                self.heals.push((until, Trouble::ColdCache));
            }
            Trouble::Reset | Trouble::Cut => {
                self.world.break_connection(event.trouble == Trouble::Cut);
            }
        }
        Ok(())
    }

    /// At once, or in the middle of whatever changes the disk next.
    fn cut_power(&mut self, event: Event, until: Nanos) {
        self.start_at = Some(until);
        if event.number.is_multiple_of(2) {
            self.clients.scene.ledger.lose_unpromised();
            self.host.lose_power(&self.world);
        } else {
            self.host.files.cut_power_after(event.number / 2 % 20);
            self.heals.push((until, Trouble::PowerCut));
        }
    }

    fn heal_due(&mut self) -> Result<(), Violation> {
        let now = self.world.now();
        let (due, later) = std::mem::take(&mut self.heals).into_iter().partition(|(at, _)| *at <= now);
        self.heals = later;
        let due: Vec<(Nanos, Trouble)> = due;
        for (_, trouble) in due {
            self.world.say(format_args!("over: {trouble:?}"));
            self.heal(trouble);
        }
        Ok(())
    }

    fn heal(&mut self, trouble: Trouble) {
        let files = Rc::clone(&self.host.files);
        match trouble {
            // The disk was not changed so often: the power goes now.
            Trouble::PowerCut if self.host.is_up() => {
                self.clients.scene.ledger.lose_unpromised();
                self.host.lose_power(&self.world);
                self.start_at = Some(self.world.now());
            }
            Trouble::SlowDisk => self.world.weather().stall_once_in = 0,
            Trouble::FullDisk => files.set_space_bytes(None),
            // After a failed sync an operator starts the broker anew: in the same boot.
            Trouble::SyncError => {
                files.heal();
                self.host.kill(&self.world);
                self.start_at = Some(Nanos(self.world.now().0 + 100 * MS));
            }
            Trouble::NoDescriptors => {
                files.heal();
                self.world.weather().out_of_descriptors = false;
            }
            Trouble::ColdCache => files.set_resident(true),
            Trouble::ReadError | Trouble::WriteError => files.heal(),
            _ => {}
        }
    }

    // --- the end -----------------------------------------------------------------------------------------------------

    fn calm(&mut self, plan: &Plan) -> Result<(), Violation> {
        self.world.say(format_args!("CALM"));
        (self.kill_in_deletion, self.clients.scene.wants_deletion) = (None, false);
        let last = self.heals.iter().map(|(at, _)| *at).chain(self.start_at).max();
        if let Some(last) = last {
            self.run_until(Nanos(last.0 + 200 * MS))?;
        }
        *self.world.weather() = plan.weather.clone();
        self.world.weather().stall_once_in = 0;
        self.clients.scene.phase = Phase::Calm;
        self.run_while("the calm", CALM_NS_MAX, |run| !run.clients.are_done() || !run.host.is_up())
    }

    fn audit(&mut self) -> Result<(), Violation> {
        self.world.say(format_args!("AUDIT"));
        self.clients.scene.phase = Phase::Audit;
        self.clients.scene.now = self.world.now();
        let Clients { scene, all, id } = &mut self.clients;
        all.iter_mut().for_each(|client| client.begin_audit(scene));
        self.world.sleep(*id, Some(self.world.now()));
        self.run_while("the audit", CALM_NS_MAX, |run| !run.clients.are_done())?;
        self.clients.scene.ledger.end_audit()
    }

    /// Nobody asks anything any more.
    fn check_quiet(&mut self) -> Result<(), Violation> {
        let Clients { scene, all, .. } = &mut self.clients;
        for client in all {
            drop(client.line().close(scene.driver.as_mut()));
        }
        self.run_until(Nanos(self.world.now().0 + QUIET_NS))?;
        if self.host.has_connections() {
            // Those that fell silent are closed as idle ones are.
            self.run_until(Nanos(self.world.now().0 + IDLE_NS))?;
        }
        self.host.check_quiet()
    }
}

/// The clients of a plan. The auditor is the last.
fn cast(plan: &Plan) -> Vec<Box<dyn Client>> {
    let names: Vec<String> = (0..plan.topics).map(|number| format!("t{number}")).collect();
    let mut all: Vec<Box<dyn Client>> = vec![Box::new(Admin::new(0, names, plan.partitions_max, plan.admin_pause_ms))];
    for manner in &plan.producers {
        all.push(Box::new(Producer::new(all.len(), *manner)));
    }
    for habit in &plan.fetchers {
        all.push(Box::new(Fetcher::new(all.len(), *habit)));
    }
    for _ in 0..plan.committers {
        all.push(Box::new(Committer::new(all.len())));
    }
    for nature in &plan.members {
        all.push(Box::new(Member::new(all.len(), *nature)));
    }
    for bent in &plan.consumers {
        all.push(Box::new(Consumer::new(all.len(), *bent)));
    }
    for hand in &plan.upserters {
        all.push(Box::new(Upserter::new(all.len(), *hand)));
    }
    for pace in &plan.transactors {
        all.push(Box::new(Transactor::new(all.len(), *pace)));
    }
    all.push(Box::new(Auditor::new(all.len())));
    all
}
