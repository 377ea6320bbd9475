//! A shard: its connections, the partitions it leads, and (shard 0) the controller's desk, as a value without a driver.
//!
//! ```text
//!   turn(now, wall_ms, came):
//!     events -> front: requests -> handlers (Broker) --+
//!     newest image, mail, timers ----------------------+
//!                                                      v
//!     staged batches written, fetches answered, replies in order, flushes begun -> submissions
//! ```
//! Everything of a turn is handled before the next wait, so that one system call serves many requests. The same calls give
//! the same submissions: time, randomness and files come from outside.

mod outside;
mod requests;

use std::collections::BTreeMap;
use std::sync::Arc;

use ringlog_io::{Counters, Event, Nanos};
use ringlog_storage::{Checkpointed, PartitionName};

use crate::broker::Broker;
use crate::calls::Calls;
use crate::cleaner;
use crate::controller_desk::Desk;
use crate::flushes::Flushes;
use crate::front::Front;
use crate::group_desk;
use crate::limits;
use crate::mail::{Bus, Mail, Newest};
use crate::metadata::image::ShardId;
use crate::metrics::facts::Facts;
use crate::metrics::meter::{Meter, Phase};
use crate::retention;
use crate::submission::{Came, Sent, Submissions};
use crate::tasks;
use crate::timers::Timer;
use crate::transaction_desk;
use crate::transaction_markers;
use crate::upkeep;
use crate::vitals::{Held, Vitals};
use crate::writeback;

/// Kafka's log.flush.offset.checkpoint.interval.ms.
const CHECKPOINT_INTERVAL_NS: u64 = 60_000_000_000;

/// How often it is looked whether there is room by now for what this start writes.
const BEGINNING_INTERVAL_NS: u64 = 500_000_000;

/// See the head of the file.
pub(crate) struct Shard {
    broker: Broker,
    front: Front,
    flushes: Flushes,
    calls: Calls,
    bus: Bus,
    desk: Option<Desk>,
    newest: Arc<Newest>,
    image_seen: u64,
    /// What shard 0 was told of the folders here: see [`Mail::Settled`].
    told_settled: (i64, bool),
    stopping: bool,
    /// Shards that are still to be told so.
    stop_others: Vec<ShardId>,
    /// Why the log directory is offline, and shards that are still to be told.
    failure: Option<String>,
    tell_failure: Vec<ShardId>,
    /// The last question about what is here that was answered.
    question: u64,
}

impl Shard {
    pub(crate) fn new(mut broker: Broker, front: Front, bus: Bus, desk: Option<Desk>, newest: Arc<Newest>) -> Self {
        let now = broker.now;
        broker.timers.set(Timer::IdleConnections, Some(now));
        broker.timers.set(Timer::Checkpoint, Some(now));
        retention::begin(&mut broker);
        cleaner::rest(&mut broker);
        Self {
            broker,
            front,
            flushes: Flushes::default(),
            calls: Calls::default(),
            bus,
            desk,
            newest,
            image_seen: 0,
            told_settled: (-1, false),
            stopping: false,
            stop_others: Vec::new(),
            failure: None,
            tell_failure: Vec::new(),
            question: 0,
        }
    }

    /// Counts into this meter from now on, and answers who asks there.
    pub(crate) fn attach(&mut self, meter: Arc<Meter>) {
        self.front.attach(Arc::clone(&meter));
        self.broker.watch.attach(meter);
    }

    /// A wait is over: turns follow.
    pub(crate) fn step_begins(&mut self, now: Nanos) {
        self.broker.watch.step_begins(now);
    }

    /// They are done, and what they asked for is with the kernel.
    pub(crate) fn step_ended(&mut self, now: Nanos, counters: Counters) {
        self.front.step_ended(now);
        let busy_ns = self.broker.watch.step_ended(now, counters);
        self.broker.throttle.step_ended(busy_ns, now);
    }

    /// Handles what came in. What it asks for is in [`Shard::submissions`].
    pub(crate) fn turn(&mut self, now: Nanos, wall_ms: i64, came: &mut Came) {
        (self.broker.now, self.broker.wall_ms) = (now, wall_ms);
        let carried_over = self.front.begin_turn(now, self.broker.takes_produces());
        self.broker.watch.did.events += came.events.len() as u32;
        came.events.drain(..).for_each(|event| self.handle_event(event));
        came.sent.drain(..).for_each(|Sent { token, bytes, at }| self.front.sent(token, Ok(bytes), at));
        came.files_sent.drain(..).for_each(|sent| self.front.file_sent(sent, now));
        came.moved.drain(..).for_each(|moved| self.front.counted(moved, now));
        self.front.close_stalled(now);
        carried_over.into_iter().for_each(|place| self.handle_requests(place));
        self.take_image();
        for (from, mail) in self.bus.receive() {
            self.broker.watch.did.mail += 1;
            self.take_mail(from, mail);
        }
        while let Some(timer) = self.broker.timers.take_due(now) {
            self.broker.watch.did.fired(timer);
            self.fire(timer);
        }
        self.broker.upkeep.take_let_go().for_each(|place| self.handle_requests(place));
        loop {
            self.settle();
            self.broker.watch.enter(Phase::Append);
            self.flushes.begin(&mut self.broker, &mut self.front.out);
            match self.broker.news.failed.take() {
                Some(reason) => self.fail_directory(&reason),
                None if self.broker.news.is_empty() => break,
                // A flush that cannot begin refuses what waits for it.
                None => {}
            }
        }
        self.broker.watch.enter(Phase::Send);
        self.broker.outbox.send(&self.bus);
        self.tell_handed();
        self.tell_settled();
        self.tell_starts();
        self.tell_failure();
        self.tell_stop();
        self.front.keep_held();
        self.visit_desk();
        writeback::begin(&mut self.broker);
        self.front.out.append(&mut self.broker.jobs.take_asked());
        self.broker.timers.set(Timer::Groups, self.broker.groups.next_deadline());
        self.broker.timers.set(Timer::Transactions, self.broker.transactions.next_deadline());
        group_desk::set_sweep_timer(&mut self.broker);
        if self.front.is_short() && !self.broker.timers.is_set(Timer::Holders) {
            self.broker.timers.set(Timer::Holders, Some(Nanos(now.0 + limits::STALLED_LOOK_NS)));
        }
        self.answer_question();
    }

    /// Whether something follows from answers that came at once: a turn is due without a wait.
    pub(crate) fn awaits(&self, came: &Came) -> bool {
        came.has_answers() || came.sent.iter().any(|sent| self.front.awaits(sent.token))
    }

    /// What the last turn asks of the kernel.
    pub(crate) fn submissions(&mut self) -> &mut Submissions {
        &mut self.front.out
    }

    /// When a turn is due, whatever comes.
    pub(crate) fn next_deadline(&self) -> Option<Nanos> {
        if self.front.goes_on(self.broker.takes_produces()) {
            return Some(self.broker.now);
        }
        [self.broker.timers.next_deadline(), self.front.next_unmuted()].into_iter().flatten().min()
    }

    /// Whether it was told to stop, and has told who is to stop with it.
    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping && self.stop_others.is_empty()
    }

    /// Stops this shard, and all others with it.
    pub(crate) fn stop_all(&mut self) {
        self.stopping = true;
        let me = self.bus.me();
        self.stop_others = self.bus.shards().filter(|shard| *shard != me).collect();
        self.tell_stop();
    }

    /// Tells who is still to be told. One whose lane is full is told when it has room.
    pub(crate) fn tell_stop(&mut self) {
        let bus = &self.bus;
        self.stop_others.retain(|shard| bus.send(*shard, Mail::Stop).is_err());
    }

    fn handle_event(&mut self, event: Event) {
        let now = self.broker.now;
        match event {
            Event::Accepted { result, .. } => {
                let throttle = &mut self.broker.throttle;
                let wait_ms = result.as_ref().map_or(0, |(_, peer)| throttle.connect(peer.ip(), now));
                self.front.accepted(result, wait_ms, now);
            }
            Event::Received { token, result } => {
                let place = self.front.received(token, result, now);
                place.into_iter().for_each(|place| self.handle_requests(place));
            }
            Event::Filled { token, result } => {
                let place = self.front.filled(token, result, now);
                place.into_iter().for_each(|place| self.handle_requests(place));
            }
            Event::Sent { token, result } => self.front.sent(token, result, now),
            Event::Read { token, result } => self.file_read(token, result),
            Event::Writable { token, result } => self.front.writable(token, result),
            Event::Synced { token, result } => self.synced(token, result),
            Event::JobDone { token, result } => self.job_done(token, result),
            Event::Signal(signal) => self.signalled(signal),
            // Mail is read and the image looked at in every turn.
            Event::Woken | Event::Connected { .. } => {}
        }
    }

    fn fire(&mut self, timer: Timer) {
        match timer {
            Timer::Groups => group_desk::tick(&mut self.broker),
            Timer::Transactions => transaction_desk::tick(&mut self.broker),
            Timer::Markers => transaction_markers::again(&mut self.broker),
            Timer::Sweep => group_desk::sweep_again(&mut self.broker),
            Timer::Fetch(id) => self.broker.fetches.expire(id),
            Timer::Flushes => self.flushes.look_again(&mut self.broker),
            Timer::Upkeep => upkeep::work(&mut self.broker),
            Timer::Tasks => tasks::work(&mut self.broker),
            Timer::IdleConnections => {
                let next = self.front.close_idle(self.broker.now);
                self.broker.timers.set(Timer::IdleConnections, Some(next));
            }
            // The desk is visited in every turn.
            Timer::Beginning | Timer::Snapshot => {}
            // What is due is begun at the end of every turn.
            Timer::Writeback => {}
            Timer::Holders => self.front.look_at_holders(),
            Timer::Checkpoint => self.checkpoint(),
            Timer::Retention => retention::work(&mut self.broker),
            Timer::Cleaner => cleaner::work(&mut self.broker),
        }
    }

    /// Tells who asks for metrics what is here.
    fn answer_question(&mut self) {
        let Some(question) = self.broker.watch.meter.question_after(self.question) else { return };
        self.question = question;
        self.broker.watch.did.facts = true;
        let facts = Facts::of(&self.broker, self.vitals());
        self.broker.watch.meter.answer(question, facts);
    }

    // --- the end -----------------------------------------------------------------------------------------------------

    /// Closes every connection.
    pub(crate) fn close_clients(&mut self) {
        self.front.close_all();
        self.forget_closed();
    }

    /// Closes the partitions. Gives what the checkpoints should say, and whether every one was closed.
    pub(crate) fn close_partitions(&mut self) -> (BTreeMap<PartitionName, Checkpointed>, bool) {
        let (checkpoints, clean) = self.broker.replicas.close(&mut self.broker.news);
        self.broker.spread_news();
        (self.with_unread(checkpoints), clean && self.broker.upkeep.are_as_closed())
    }

    /// What is under way here, for who checks that it ends.
    pub(crate) fn vitals(&self) -> Vitals {
        let (fetches, watches) = self.broker.fetches.held();
        let (output, frames) = self.front.held_bytes();
        let (sessions, waiting) = (self.broker.sessions.held_bytes(), self.broker.fetches.memory_bytes());
        Vitals {
            held: Held {
                sessions,
                waiting,
                output,
                frames,
                recompressed: self.broker.replicas.recompressions().bytes(),
            },
            connections: self.front.len(),
            produces: self.broker.produces.len(),
            fetches,
            watches,
            calls: self.calls.len(),
            flushes: self.flushes.len(),
            writebacks: self.broker.writebacks.under_way(),
            unwritten: self.broker.writebacks.unwritten_of_all(),
            deletions: self.broker.deletions.len(),
            tasks: self.broker.tasks.len(),
            tasks_running: self.broker.tasks.running(),
            openings: self.broker.upkeep.unopened(),
            replicas: self.broker.replicas.vitals(),
        }
    }

    /// Gives up the controller's desk, for its last words.
    pub(crate) fn take_desk(&mut self) -> Option<Desk> {
        self.desk.take()
    }
}

#[cfg(test)]
mod tests;
