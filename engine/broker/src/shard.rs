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

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use ringlog_io::{Buf, Event, File, Nanos, Token};
use ringlog_storage::{Checkpointed, PartitionName};
use ringlog_wire::ApiKey;
use ringlog_wire::codec::Reader;
use ringlog_wire::header::RequestHeader;

use crate::apply_image;
use crate::broker::{Broker, Incoming, Outcome};
use crate::calls::{CONTROLLER, Calls};
use crate::connection::Refused;
use crate::controller_desk::Desk;
use crate::flushes::Flushes;
use crate::front::{Asking, Front};
use crate::group_desk;
use crate::handlers::{self, api_versions};
use crate::jobs::{self, Purpose};
use crate::limits;
use crate::mail::{Bus, Mail, Newest};
use crate::metadata::image::ShardId;
use crate::response::Asked;
use crate::submission::{Came, Submission, Submissions};
use crate::tasks::{self, Answer};
use crate::timers::Timer;
use crate::tokens;
use crate::upkeep;
use crate::vitals::Vitals;

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
}

impl Shard {
    pub(crate) fn new(mut broker: Broker, front: Front, bus: Bus, desk: Option<Desk>, newest: Arc<Newest>) -> Self {
        let now = broker.now;
        broker.timers.set(Timer::IdleConnections, Some(now));
        broker.timers.set(Timer::Checkpoint, Some(now));
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
        }
    }

    /// Handles what came in. What it asks for is in [`Shard::submissions`].
    pub(crate) fn turn(&mut self, now: Nanos, wall_ms: i64, came: &mut Came) {
        (self.broker.now, self.broker.wall_ms) = (now, wall_ms);
        let carried_over = self.front.begin_turn();
        came.events.drain(..).for_each(|event| self.handle_event(event));
        came.files_sent.drain(..).for_each(|sent| self.front.file_sent(sent, now));
        came.moved.drain(..).for_each(|moved| self.front.counted(moved, now));
        self.front.close_stalled(now);
        carried_over.into_iter().for_each(|place| self.handle_requests(place));
        self.take_image();
        for (from, mail) in self.bus.receive() {
            self.take_mail(from, mail);
        }
        while let Some(timer) = self.broker.timers.take_due(now) {
            self.fire(timer);
        }
        loop {
            self.settle();
            self.flushes.begin(&mut self.broker, &mut self.front.out);
            match self.broker.news.failed.take() {
                Some(reason) => self.fail_directory(&reason),
                None if self.broker.news.is_empty() => break,
                // A flush that cannot begin refuses what waits for it.
                None => {}
            }
        }
        self.tell_settled();
        self.tell_failure();
        self.tell_stop();
        self.front.keep_held();
        self.visit_desk();
        self.front.out.append(&mut self.broker.jobs.take_asked());
        self.broker.timers.set(Timer::Groups, self.broker.groups.next_deadline());
        if self.front.is_short() && !self.broker.timers.is_set(Timer::Holders) {
            self.broker.timers.set(Timer::Holders, Some(Nanos(now.0 + limits::STALLED_LOOK_NS)));
        }
    }

    /// What the last turn asks of the kernel.
    pub(crate) fn submissions(&mut self) -> &mut Submissions {
        &mut self.front.out
    }

    /// When a turn is due, whatever comes.
    pub(crate) fn next_deadline(&self) -> Option<Nanos> {
        if self.front.goes_on() { Some(self.broker.now) } else { self.broker.timers.next_deadline() }
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
            Event::Accepted { result, .. } => self.front.accepted(result, now),
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
            Timer::Fetch(id) => self.broker.fetches.expire(id),
            Timer::Flushes => self.flushes.look_again(&mut self.broker),
            Timer::Upkeep => upkeep::work(&mut self.broker),
            Timer::Tasks => tasks::work(&mut self.broker),
            Timer::IdleConnections => {
                let next = self.front.close_idle(self.broker.now);
                self.broker.timers.set(Timer::IdleConnections, Some(next));
            }
            // The desk is visited in every turn.
            Timer::Beginning => {}
            Timer::Holders => self.front.look_at_holders(),
            Timer::Checkpoint => self.checkpoint(),
        }
    }

    // --- requests ----------------------------------------------------------------------------------------------------

    /// Handles the requests of a connection that are here.
    fn handle_requests(&mut self, place: u32) {
        while let Some(asking) = self.front.next_request(place) {
            self.handle_request(asking);
        }
    }

    fn handle_request(&mut self, asking: Asking) {
        let reply_to = asking.reply_to;
        match dispatch(&mut self.broker, asking) {
            Outcome::Reply(response) => self.front.deliver(reply_to, Ok(response)),
            Outcome::Refuse(refused) => self.front.deliver(reply_to, Err(refused)),
            Outcome::Later => {}
        }
    }

    /// Writes what is staged, answers what can be answered, and goes on with requests that waited for that: until nothing
    /// of it is left.
    fn settle(&mut self) {
        loop {
            self.calls.post(&mut self.broker, &self.bus);
            self.broker.finish_turn();
            while !self.broker.replies.is_empty() {
                for (reply_to, result) in std::mem::take(&mut self.broker.replies) {
                    self.front.deliver(reply_to, result);
                }
            }
            let resumed = self.front.resume_touched();
            self.forget_closed();
            resumed.iter().for_each(|place| self.handle_requests(*place));
            if resumed.is_empty() && self.broker.is_settled() {
                break;
            }
        }
    }

    fn forget_closed(&mut self) {
        while let Some((place, generation)) = self.front.take_closed() {
            self.broker.forget_connection(place, generation);
        }
    }

    // --- flushes, mail, the image ------------------------------------------------------------------------------------

    fn synced(&mut self, token: Token, result: io::Result<()>) {
        if token != tokens::METADATA_FLUSH {
            self.flushes.ended(&mut self.broker, token, result);
        } else if let Some(desk) = &mut self.desk {
            desk.flushed(result);
            if let Some(reason) = desk.final_failure() {
                self.fail_directory(&reason);
            }
        }
    }

    /// A sync failed, here or at another shard: nothing is acknowledged any more that is to be written to this directory.
    fn fail_directory(&mut self, reason: &str) {
        if !self.broker.replicas.fail(reason, &mut self.broker.news) {
            return;
        }
        tracing::error!(reason, log_dir = %self.broker.settings.log_dir().display(), "the log directory is offline: produces are refused; start the broker again when the disk is well");
        if let Some(desk) = &mut self.desk {
            desk.fail(reason);
        }
        let me = self.bus.me();
        self.tell_failure = self.bus.shards().filter(|shard| *shard != me).collect();
        self.failure = Some(reason.to_owned());
    }

    /// Tells who is still to be told that the directory is offline; each tells on, so that it does not matter who was first.
    fn tell_failure(&mut self) {
        let Some(reason) = &self.failure else { return };
        let bus = &self.bus;
        self.tell_failure.retain(|shard| bus.send(*shard, Mail::DirectoryFailed { reason: reason.clone() }).is_err());
    }

    fn job_done(&mut self, token: Token, result: io::Result<Option<File>>) {
        let Some(ended) = self.broker.jobs.ended(token, result) else { return };
        match ended.purpose {
            Purpose::NextSegment(key) => jobs::next_segment_made(&mut self.broker, key, ended.result),
            Purpose::Lookup(key, lookup) => jobs::loaded(&mut self.broker, key, lookup),
            Purpose::Beside(key) => jobs::beside_done(&mut self.broker, key, ended.result),
            Purpose::Checkpoint => {
                if let Some(desk) = &mut self.desk {
                    desk.checkpoint_written(ended.result.is_ok());
                }
            }
            Purpose::Task(number) => tasks::answered(&mut self.broker, number, Answer::Ran(ended.result)),
            Purpose::Vote => {
                if let Some(desk) = &mut self.desk {
                    desk.voted(ended.result.is_ok(), self.broker.wall_ms);
                }
            }
            Purpose::Writeback(_) | Purpose::Removal => {}
        }
    }

    /// A read of a file: a task's, or an answer's on its way to a socket.
    fn file_read(&mut self, token: Token, result: io::Result<Buf>) {
        match self.broker.jobs.read_ended(token) {
            Some(number) => tasks::answered(&mut self.broker, number, Answer::Read(result)),
            None => self.front.cold_read(token, result),
        }
    }

    /// Shard 0: flushes what the controller decided, and sends the answers that are ready.
    fn visit_desk(&mut self) {
        let Some(desk) = &mut self.desk else { return };
        if let Some(file) = desk.flush_due(self.broker.wall_ms) {
            self.front.out.push(Submission::Sync { file, token: tokens::METADATA_FLUSH });
        }
        desk.take_removals().into_iter().for_each(|job| self.broker.jobs.run(Purpose::Removal, job));
        if let Some(job) = desk.checkpoint_due() {
            self.broker.jobs.run(Purpose::Checkpoint, job);
        }
        if let Some(job) = desk.vote_due(self.broker.wall_ms) {
            self.broker.jobs.run(Purpose::Vote, job);
        }
        if desk.is_beginning() && !self.broker.timers.is_set(Timer::Beginning) {
            self.broker.timers.set(Timer::Beginning, Some(Nanos(self.broker.now.0 + BEGINNING_INTERVAL_NS)));
        }
        // A shard looks for the newest image before it reads its mail: who gets an answer finds what it tells of.
        desk.deliver(&self.bus);
    }

    /// Tells shard 0 when the folders here are as the image says: what was asked for there is true now.
    fn tell_settled(&mut self) {
        let settled = (self.broker.image.version(), self.broker.upkeep.has_read_all());
        if settled == self.told_settled || !self.broker.upkeep.is_settled() {
            return;
        }
        let (version, has_read_all) = settled;
        if self.bus.send(CONTROLLER, Mail::Settled { version, has_read_all }).is_ok() {
            self.told_settled = settled;
        }
    }

    /// Once a minute: tells shard 0 how far the partitions here are.
    fn checkpoint(&mut self) {
        self.broker.timers.set(Timer::Checkpoint, Some(Nanos(self.broker.now.0 + CHECKPOINT_INTERVAL_NS)));
        let (partitions, jobs) = self.broker.replicas.checkpoint();
        for (key, job) in jobs {
            self.broker.jobs.run(Purpose::Beside(key), job);
        }
        if self.bus.send(CONTROLLER, Mail::Checkpoints { partitions }).is_err() {
            tracing::warn!("the controller's shard takes no mail: the next checkpoint follows in a minute");
        }
    }

    fn take_image(&mut self) {
        if let Some(image) = self.newest.newer(&mut self.image_seen) {
            apply_image::apply(&mut self.broker, image);
        }
    }

    fn take_mail(&mut self, from: ShardId, mail: Mail) {
        match mail {
            Mail::Call { call_id, call } => {
                if let Some(desk) = &mut self.desk {
                    desk.take_call(from, call_id, call, self.broker.wall_ms);
                }
            }
            Mail::Answer { call_id, outcome } => self.calls.answered(&mut self.broker, call_id, outcome),
            Mail::Settled { version, has_read_all } => {
                if let Some(desk) = &mut self.desk {
                    desk.take_settled(from, version, has_read_all);
                }
            }
            Mail::Checkpoints { partitions } => {
                if let Some(desk) = &mut self.desk {
                    desk.take_checkpoints(from, partitions);
                }
            }
            Mail::DirectoryFailed { reason } => self.fail_directory(&reason),
            Mail::Stop => self.stopping = true,
        }
    }

    fn signalled(&mut self, signal: i32) {
        tracing::info!(signal, "stopping");
        self.stop_all();
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
        (checkpoints, clean && self.broker.upkeep.has_read_all())
    }

    /// What is under way here, for who checks that it ends.
    pub(crate) fn vitals(&self) -> Vitals {
        let (fetches, watches) = self.broker.fetches.held();
        Vitals {
            connections: self.front.len(),
            produces: self.broker.produces.len(),
            fetches,
            watches,
            calls: self.calls.len(),
            flushes: self.flushes.len(),
            tasks: self.broker.tasks.len(),
            tasks_running: self.broker.tasks.running(),
            replicas: self.broker.replicas.vitals(),
        }
    }

    /// Gives up the controller's desk, for its last words.
    pub(crate) fn take_desk(&mut self) -> Option<Desk> {
        self.desk.take()
    }
}

/// Finds the handler of a request, and lets it work.
fn dispatch(broker: &mut Broker, asking: Asking) -> Outcome {
    let Asking { frame, host: client_host, reply_to } = asking;
    let decode_bytes = broker.budget.decode_bytes;
    let mut reader = Reader::within(&frame, decode_bytes);
    let header = match RequestHeader::decode(&mut reader) {
        Ok(header) => header,
        Err(error) => return Outcome::Refuse(Refused::Header(error)),
    };
    let body_at = reader.position();
    let refused = Refused::Unsupported { key: header.api_key, version: header.api_version };
    let Ok(api) = header.api() else { return Outcome::Refuse(refused) };
    let asked = Asked { api, api_version: header.api_version, correlation_id: header.correlation_id };
    let Some(handler) = handlers::find(api, asked.api_version) else {
        return if api == ApiKey::ApiVersions { api_versions::unsupported(asked) } else { Outcome::Refuse(refused) };
    };
    let incoming = Incoming { asked, client_id: header.client_id, client_host, frame, body_at, decode_bytes, reply_to };
    (handler.handle)(broker, &incoming)
}

#[cfg(test)]
mod tests;
