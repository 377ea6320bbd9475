//! What a shard knows, without its connections: the state that handlers work on, and what they ask to be done.
//!
//! ```text
//!   Shard (front: connections)  -- Incoming -->  handlers -- on --> Broker
//!          ^                                                           |
//!          +-- replies, controller calls: taken each turn ---------- -+
//! ```

use std::rc::Rc;
use std::sync::Arc;

use ringlog_io::{Clock, Files, Nanos, Slice};
use ringlog_wire::compression::Scratch;
use ringlog_wire::{EncodeError, ErrorCode, Message, Reader, Request};
use slab::Slab;

use crate::connection::Refused;
use crate::fetch_session::SessionCache;
use crate::group_desk::Groups;
use crate::handlers::delete_records::Deletions;
use crate::handlers::fetch::WaitingFetch;
use crate::handlers::init_producer_id::{self, Stock};
use crate::handlers::list_offsets::{self, WaitingLookup};
use crate::handlers::produce::PendingProduce;
use crate::jobs::{Jobs, Purpose};
use crate::limits::Budget;
use crate::lists::give_back;
use crate::metadata::controller::{Call, Decided};
use crate::metadata::image::{Image, Owner, ShardId, Topic};
use crate::metrics::meter::Phase;
use crate::metrics::step::Watch;
use crate::outbox::Outbox;
use crate::random::Random;
use crate::replica::{News, PartitionKey, Settled, Ticket};
use crate::replicas::{Place, Replicas};
use crate::response::{Asked, Response};
use crate::retention::Retention;
use crate::settings::Settings;
use crate::tasks::Tasks;
use crate::throttle::Throttle;
use crate::timers::{Timer, Timers};
use crate::transaction_desk::Transactions;
use crate::upkeep::Upkeep;
use crate::waiting::Waiting;
use crate::writeback::Writebacks;

/// Where an answer goes: a connection's place, its generation, and the slot in its order of replies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ReplyTo {
    pub(crate) connection: u32,
    pub(crate) generation: u32,
    pub(crate) slot: u64,
}

impl ReplyTo {
    /// The least of all.
    pub(crate) const FIRST: Self = Self { connection: 0, generation: 0, slot: 0 };
    /// The greatest of all.
    pub(crate) const LAST: Self = Self { connection: u32::MAX, generation: u32::MAX, slot: u64::MAX };
}

/// One request: its header, and its bytes.
#[derive(Debug)]
pub(crate) struct Incoming {
    pub(crate) asked: Asked,
    pub(crate) client_id: Option<String>,
    pub(crate) client_host: Arc<str>,
    pub(crate) frame: Slice,
    pub(crate) body_at: usize,
    /// What its elements may take of memory when they are decoded.
    pub(crate) decode_bytes: usize,
    pub(crate) reply_to: ReplyTo,
}

impl Incoming {
    /// Decodes the body. Bytes left over are not looked at, as in Kafka.
    pub(crate) fn decode<R: Request>(&self) -> Result<R, Refused> {
        let Asked { api, api_version: version, .. } = self.asked;
        let refuse = |error| Refused::Body { api: api.name(), version, error };
        // Positions of records are those of the frame, so the header is read over, not cut off.
        let mut reader = Reader::within(&self.frame, self.decode_bytes);
        reader.take(self.body_at).map_err(refuse)?;
        R::decode(&mut reader, version).map_err(refuse)
    }
}

/// What a handler did with a request.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Answered.
    Reply(Response),
    /// The answer comes later, through [`Broker::replies`].
    Later,
    /// The connection is closed, as Kafka does.
    Refuse(Refused),
}

impl From<Result<Response, EncodeError>> for Outcome {
    fn from(result: Result<Response, EncodeError>) -> Self {
        match result {
            Ok(response) => Self::Reply(response),
            Err(error) => Self::Refuse(Refused::Answer(error)),
        }
    }
}

/// Makes an answer from what was decided about these names.
pub(crate) type Answer = fn(Asked, Vec<String>, Decided) -> Result<Response, EncodeError>;

/// Who waits for the controller.
#[derive(Debug)]
pub(crate) enum Caller {
    /// A request, the topics that it names, and how its answer is made.
    Request { reply_to: ReplyTo, asked: Asked, names: Vec<String>, answer: Answer },
    /// Nobody: auto-creation, whose asker tries again.
    Nobody,
    /// This shard's own stock of producer ids.
    ProducerIds,
}

/// See the head of the file.
pub(crate) struct Broker {
    pub(crate) shard: ShardId,
    pub(crate) settings: Arc<Settings>,
    pub(crate) budget: Budget,
    pub(crate) image: Arc<Image>,
    pub(crate) replicas: Replicas,
    pub(crate) jobs: Jobs,
    pub(crate) writebacks: Writebacks,
    pub(crate) upkeep: Upkeep,
    pub(crate) tasks: Tasks,
    pub(crate) retention: Retention,
    /// DeleteRecords that wait for their log starts to be noted.
    pub(crate) deletions: Deletions,
    pub(crate) sessions: SessionCache,
    pub(crate) groups: Groups,
    pub(crate) transactions: Transactions,
    pub(crate) produces: Slab<PendingProduce>,
    pub(crate) fetches: Waiting<WaitingFetch>,
    /// ListOffsets that wait for a disk.
    pub(crate) lookups: Waiting<WaitingLookup>,
    pub(crate) producer_ids: Stock,
    pub(crate) throttle: Throttle,
    pub(crate) scratch: Scratch,
    pub(crate) timers: Timers<Timer>,
    pub(crate) now: Nanos,
    pub(crate) wall_ms: i64,
    pub(crate) random: Random,
    /// Answers that became ready; the shard hands them to their connections.
    pub(crate) replies: Vec<(ReplyTo, Result<Response, Refused>)>,
    /// Calls for the controller; the shard posts them.
    pub(crate) calls: Vec<(Caller, Call)>,
    /// Mail for other shards; the shard sends it.
    pub(crate) outbox: Outbox,
    /// What calls on replicas brought about; taken when the turn settles.
    pub(crate) news: News,
    /// What this step does, counted.
    pub(crate) watch: Watch,
}

/// Why a partition cannot be used here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotHere {
    pub(crate) error: ErrorCode,
    /// Leader's node id and epoch, where it is known that it is another (KIP-951).
    pub(crate) leader: Option<(i32, i32)>,
}

impl From<ErrorCode> for NotHere {
    fn from(error: ErrorCode) -> Self {
        Self { error, leader: None }
    }
}

impl Broker {
    /// A shard's state with no partitions yet; of the settings, those that were set while it ran count. The clock gives the
    /// time of the first turn, and the seeds.
    pub(crate) fn new(
        shard: ShardId,
        (settings, budget): (Arc<Settings>, Budget),
        files: Rc<dyn Files>,
        clock: &dyn Clock,
        image: Arc<Image>,
    ) -> Self {
        let settings = Arc::new(settings.with(image.dynamic(image.here().node(shard))));
        Self {
            shard,
            replicas: Replicas::new(files, settings.log_dir().to_path_buf()),
            jobs: Jobs::default(),
            writebacks: Writebacks::new(budget.dirty_bytes),
            upkeep: Upkeep::default(),
            tasks: Tasks::default(),
            retention: Retention::default(),
            deletions: Deletions::default(),
            sessions: SessionCache::new(
                settings.max_incremental_fetch_session_cache_slots(),
                budget.session_bytes,
                clock.random(),
            ),
            groups: Groups::new(&settings),
            transactions: Transactions::new(&settings, &image),
            throttle: Throttle::new(&settings, Arc::clone(image.quotas())),
            settings,
            budget,
            image,
            produces: Slab::new(),
            fetches: Waiting::default(),
            lookups: Waiting::default(),
            producer_ids: Stock::default(),
            scratch: Scratch::default(),
            timers: Timers::default(),
            now: clock.now(),
            wall_ms: clock.wall_ms(),
            random: Random::new(clock.random()),
            replies: Vec::new(),
            calls: Vec::new(),
            outbox: Outbox::default(),
            news: News::default(),
            watch: Watch::new(clock.now()),
        }
    }

    /// The topic that a request names, by id where its version has ids.
    pub(crate) fn topic(&self, name: &str, by_id: Option<ringlog_wire::Uuid>) -> Result<&Arc<Topic>, ErrorCode> {
        match by_id {
            Some(id) => self.image.topic_by_id(id).ok_or(ErrorCode::UNKNOWN_TOPIC_ID),
            None => self.image.topic(name).ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
        }
    }

    /// The place of a partition that this shard leads, or Kafka's error for why it is not here.
    pub(crate) fn place(&self, topic: &Topic, partition: i32) -> Result<Place, NotHere> {
        let found = topic.partition(partition).ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)?;
        match self.image.owner(topic, partition, self.shard) {
            Owner::Local => {
                let key = PartitionKey { topic_id: topic.id, partition };
                self.replicas.find(key).ok_or_else(|| match self.replicas.has_failed() {
                    true => ErrorCode::KAFKA_STORAGE_ERROR.into(),
                    false => self.upkeep.error(key).into(),
                })
            }
            Owner::Sibling(_) | Owner::Remote(_) => Err(NotHere {
                error: ErrorCode::NOT_LEADER_OR_FOLLOWER,
                leader: Some((found.leader.0, found.leader_epoch)),
            }),
            Owner::Nobody => Err(ErrorCode::LEADER_NOT_AVAILABLE.into()),
        }
    }

    /// Checks the leader epoch that a client believes in (KIP-320): older than ours is fenced, newer is unknown yet.
    pub(crate) fn check_epoch(&self, place: Place, believed: i32) -> Result<(), ErrorCode> {
        let ours = self.replicas.at(place).role.leader_epoch;
        match believed {
            -1 => Ok(()),
            epoch if epoch < ours => Err(ErrorCode::FENCED_LEADER_EPOCH),
            epoch if epoch > ours => Err(ErrorCode::UNKNOWN_LEADER_EPOCH),
            _ => Ok(()),
        }
    }

    /// The controller answered.
    pub(crate) fn decided(&mut self, caller: Caller, decided: Decided) {
        match caller {
            Caller::Request { reply_to, asked, names, answer } => {
                self.replies.push((reply_to, answer(asked, names, decided).map_err(Refused::Answer)));
            }
            Caller::ProducerIds => init_producer_id::block_came(self, decided),
            Caller::Nobody => match &decided {
                Decided::AutoCreate(topics) => {
                    let failed = topics.iter().filter(|(_, error)| *error != ErrorCode::NONE);
                    failed.for_each(|(topic, error)| tracing::info!(topic, %error, "not created"));
                }
                refused => tracing::info!(reason = refused.refusal().message, "not created"),
            },
        }
    }

    /// Queues an answer.
    pub(crate) fn reply(&mut self, to: ReplyTo, asked: Asked, body: &impl Message) {
        self.replies.push((to, Response::of(asked, body).map_err(Refused::Answer)));
    }

    /// Writes what was staged, tells who waits for it, answers fetches: until nothing more follows from it.
    pub(crate) fn finish_turn(&mut self) {
        loop {
            self.watch.enter(Phase::Append);
            self.watch.did.appends += self.replicas.staged() as u32;
            for (key, roll) in self.replicas.append_staged(self.wall_ms, &mut self.news) {
                self.jobs.run(Purpose::Beside(key), roll);
            }
            for (key, bytes, job) in self.replicas.begin_recompressions(self.budget.recompress_bytes()) {
                self.jobs.run(Purpose::Recompression(key, bytes), job);
            }
            self.watch.enter(Phase::Check);
            self.spread_news();
            self.look_at_ready();
            if !self.replicas.has_staged() && self.news.is_empty() {
                return;
            }
        }
    }

    /// Whether there is memory for another produce: those that are compressed anew may hold it, or logs that the disk does not
    /// have. Else it waits.
    pub(crate) fn takes_produces(&self) -> bool {
        self.writebacks.has_room() && !self.replicas.recompressions().is_full(self.budget.held_up_bytes())
    }

    /// Whether everything that was staged or answered is on its way.
    pub(crate) fn is_settled(&self) -> bool {
        !self.replicas.has_staged() && self.news.is_empty() && self.replies.is_empty()
    }

    /// Tells readers what they see, and producers and the coordinator what became of their batches.
    pub(crate) fn spread_news(&mut self) {
        for (key, bytes) in self.news.visible.drain(..) {
            self.fetches.grew(key, bytes);
        }
        for key in self.news.disturbed.drain(..) {
            self.fetches.disturb(key);
            self.lookups.disturb(key);
        }
        let mut settled = std::mem::take(&mut self.news.settled);
        for Settled { ticket, log_start_offset, result } in settled.drain(..) {
            match ticket {
                Ticket::Produce { request, topic, partition } => {
                    crate::handlers::produce::settle(self, request, (topic, partition), log_start_offset, result);
                }
                Ticket::Group { ticket } => {
                    crate::group_desk::settled(self, ticket, result.map(|appended| appended.base_offset));
                }
                Ticket::Transaction { ticket } => {
                    crate::transaction_desk::settled(self, ticket, result.map(|appended| appended.base_offset));
                }
                Ticket::Marker { number } => crate::transaction_markers::settled(self, number, result.map(drop)),
            }
        }
        give_back(&mut self.news.settled, settled);
    }

    fn look_at_ready(&mut self) {
        while let Some((id, wait)) = self.lookups.take_ready() {
            list_offsets::look_again(self, id, wait.fetch);
        }
        while let Some((id, wait)) = self.fetches.take_ready() {
            self.timers.set(Timer::Fetch(id), None);
            crate::handlers::fetch::look_again(self, id, wait);
        }
    }

    /// A connection is gone: its fetch waits no more.
    pub(crate) fn forget_connection(&mut self, connection: u32, generation: u32) {
        while let Some((id, wait)) = self.fetches.take_of(connection, generation) {
            self.timers.set(Timer::Fetch(id), None);
            crate::handlers::fetch::forget(self, wait);
        }
        while self.lookups.take_of(connection, generation).is_some() {}
    }
}
