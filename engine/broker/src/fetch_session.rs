//! Fetch sessions (KIP-227): a client names its partitions once, later requests and answers carry only what changed.
//!
//! ```text
//!   session id, epoch     what it is               becomes
//!   0 or any, -1          full, closes the session  sessionless
//!   0 or any,  0          full, wants a session     a new session, or sessionless where slots or memory are used up
//!   id, the next epoch    incremental               the session, changed by what the request says
//! ```
//!
//! [`SessionCache::begin`] takes the session out of its slot, the fetch reads [`FetchContext::targets`], asks
//! [`FetchContext::should_include`] for each, and [`SessionCache::finish`] puts the session back. A context that is
//! dropped (its connection ended) leaves an empty slot behind: who comes back for it is told that there is no such
//! session, and the slot ages out like any other.
//!
//! Invariants:
//! - A slot's epoch is the one that its next request must have; it counts up when a request begins.
//! - A partition that returned records goes to the end of the order, so that one which always has data cannot starve the
//!   others when answers are cut at `max_bytes`.
//! - Slots, partitions of a session, and the memory of all sessions together are limited. A session that grows beyond the
//!   memory is closed; its client starts with a full request.
//!
//! Kafka's `FetchManager`, `FetchContext`, `FetchSessionCache`.

mod partitions;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use ringlog_io::Nanos;
use ringlog_wire::messages::fetch::{FetchRequest, PartitionData};
use ringlog_wire::{ErrorCode, Uuid};

pub(crate) use partitions::FetchTarget;
use partitions::Partitions;

/// No session.
const NO_SESSION: i32 = 0;
/// The epoch of a request that wants a session.
const INITIAL_EPOCH: i32 = 0;
/// The epoch of a request that wants none.
const FINAL_EPOCH: i32 = -1;
/// The first version that names topics by id.
const TOPIC_IDS_FROM: i16 = 13;
/// A session that was not used, or is older than this, may be put out for another (`min.incremental.fetch.session.
/// eviction.ms`, not configurable in Kafka either).
const EVICTION_NS: u64 = 120_000_000_000;
/// How many partitions one session may hold. A client with more fetches without one.
const PARTITIONS_MAX: usize = 100_000;

/// What kind of fetch it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Answers everything, remembers nothing.
    Sessionless,
    /// Answers everything and remembers it.
    Full,
    /// Answers what changed.
    Incremental,
}

/// One fetch request, from its arrival to its answer.
#[derive(Debug)]
pub(crate) struct FetchContext {
    kind: Kind,
    session_id: i32,
    epoch: i32,
    partitions: Partitions,
}

impl FetchContext {
    /// How many partitions are to be read.
    pub(crate) fn len(&self) -> usize {
        self.partitions.len()
    }

    /// About what it takes of memory.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.partitions.bytes()
    }

    /// The session's id for the answer, 0 where there is none.
    pub(crate) fn session_id(&self) -> i32 {
        self.session_id
    }

    /// What is to be read, in this order.
    pub(crate) fn targets(&self) -> impl Iterator<Item = FetchTarget<'_>> {
        self.partitions.targets()
    }

    /// Whether the answer for the `index`-th target belongs into the response: always in a full one, in an incremental
    /// one where there are records, an error, or a new high watermark or log start offset. Ask once per response.
    pub(crate) fn should_include(&mut self, index: usize, data: &PartitionData) -> bool {
        self.partitions.answer(index, data) || self.kind != Kind::Incremental
    }

    /// Name and id of the `index`-th target's topic.
    pub(crate) fn topic_of(&self, index: usize) -> (&str, Uuid) {
        self.partitions.get(index).map_or(("", Uuid::ZERO), |target| (target.topic, target.topic_id))
    }
}

/// A session's place in the cache.
#[derive(Debug)]
struct Slot {
    /// What the next request must have.
    epoch: i32,
    is_follower: bool,
    created: Nanos,
    last_used: Nanos,
    partition_count: usize,
    /// Of memory.
    bytes: usize,
    by_id: bool,
    /// `None` while a request has it.
    partitions: Option<Partitions>,
}

impl Slot {
    /// Kafka's order of value: consumers go before followers, small sessions before large ones.
    fn value(&self) -> (bool, usize) {
        (self.is_follower, self.partition_count)
    }

    fn is_old(&self, now: Nanos) -> bool {
        now.0.saturating_sub(self.created.0) > EVICTION_NS
    }

    /// Whether a new session may take its place.
    fn yields_to(&self, is_follower: bool, now: Nanos) -> bool {
        self.is_old(now) || (is_follower && !self.is_follower)
    }
}

/// The sessions of one shard.
#[derive(Debug)]
pub(crate) struct SessionCache {
    slots_max: usize,
    bytes_max: usize,
    slots: BTreeMap<i32, Slot>,
    /// The sum of the slots' own.
    bytes: usize,
    random: u64,
}

impl SessionCache {
    /// What all sessions take of memory.
    pub(crate) fn held_bytes(&self) -> usize {
        self.bytes
    }

    /// A cache of `max.incremental.fetch.session.cache.slots` sessions, which take `bytes_max` of memory at most; 0 turns
    /// sessions off. Session ids follow from the seed.
    pub(crate) fn new(slots_max: usize, bytes_max: usize, seed: u64) -> Self {
        Self { slots_max, bytes_max, slots: BTreeMap::new(), bytes: 0, random: seed }
    }

    #[cfg(test)]
    /// How many sessions there are.
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Begins a fetch.
    ///
    /// Errors are answered as the whole response's: FETCH_SESSION_ID_NOT_FOUND, INVALID_FETCH_SESSION_EPOCH,
    /// FETCH_SESSION_TOPIC_ID_ERROR. The client then starts with a full request.
    pub(crate) fn begin(
        &mut self,
        request: &FetchRequest,
        api_version: i16,
        now: Nanos,
    ) -> Result<FetchContext, ErrorCode> {
        let by_id = api_version >= TOPIC_IDS_FROM;
        match request.session_epoch {
            INITIAL_EPOCH | FINAL_EPOCH => Ok(self.begin_full(request, by_id, now)),
            _ => self.begin_incremental(request, by_id, now),
        }
    }

    fn begin_full(&mut self, request: &FetchRequest, by_id: bool, now: Nanos) -> FetchContext {
        if request.session_id != NO_SESSION {
            self.remove(request.session_id);
        }
        let partitions = Partitions::of(request, by_id);
        let wants_session = request.session_epoch == INITIAL_EPOCH && partitions.len() <= PARTITIONS_MAX;
        let is_follower = request.replica_id >= 0 || request.replica_state.replica_id >= 0;
        match wants_session.then(|| self.make_slot(&partitions, is_follower, now)).flatten() {
            Some(session_id) => FetchContext { kind: Kind::Full, session_id, epoch: 1, partitions },
            None => FetchContext { kind: Kind::Sessionless, session_id: NO_SESSION, epoch: FINAL_EPOCH, partitions },
        }
    }

    fn begin_incremental(
        &mut self,
        request: &FetchRequest,
        by_id: bool,
        now: Nanos,
    ) -> Result<FetchContext, ErrorCode> {
        let session_id = request.session_id;
        let slot = self.slots.get_mut(&session_id).ok_or(ErrorCode::FETCH_SESSION_ID_NOT_FOUND)?;
        if slot.epoch != request.session_epoch {
            return Err(ErrorCode::INVALID_FETCH_SESSION_EPOCH);
        }
        if slot.by_id != by_id {
            return Err(ErrorCode::FETCH_SESSION_TOPIC_ID_ERROR);
        }
        let Some(mut partitions) = slot.partitions.take() else {
            self.remove(session_id);
            return Err(ErrorCode::FETCH_SESSION_ID_NOT_FOUND);
        };
        partitions.want(request);
        partitions.forget(request);
        let (bytes_before, bytes) = (slot.bytes, partitions.bytes());
        let is_too_large = bytes > bytes_before && self.bytes - bytes_before + bytes > self.bytes_max;
        if is_too_large || partitions.len() > PARTITIONS_MAX {
            self.remove(session_id);
            return Err(ErrorCode::FETCH_SESSION_ID_NOT_FOUND);
        }
        if partitions.len() == 0 {
            self.remove(session_id);
            return Ok(FetchContext {
                kind: Kind::Sessionless,
                session_id: NO_SESSION,
                epoch: FINAL_EPOCH,
                partitions,
            });
        }
        slot.epoch = if slot.epoch == i32::MAX { 1 } else { slot.epoch + 1 };
        slot.last_used = now;
        slot.partition_count = partitions.len();
        slot.bytes = bytes;
        self.bytes = self.bytes - bytes_before + bytes;
        Ok(FetchContext { kind: Kind::Incremental, session_id, epoch: slot.epoch, partitions })
    }

    /// Ends a fetch whose answer is made. A session that was closed or put out meanwhile is forgotten.
    pub(crate) fn finish(&mut self, mut context: FetchContext) {
        if context.kind == Kind::Sessionless {
            return;
        }
        let Some(slot) = self.slots.get_mut(&context.session_id) else { return };
        if slot.epoch != context.epoch {
            return;
        }
        if context.kind == Kind::Incremental {
            context.partitions.rotate();
        }
        slot.partitions = Some(context.partitions);
    }

    fn make_slot(&mut self, partitions: &Partitions, is_follower: bool, now: Nanos) -> Option<i32> {
        let slot = Slot {
            epoch: 1,
            is_follower,
            created: now,
            last_used: now,
            partition_count: partitions.len(),
            bytes: partitions.bytes(),
            by_id: partitions.by_id,
            partitions: None,
        };
        if self.slots_max == 0 || slot.bytes > self.bytes_max {
            return None;
        }
        while self.slots.len() >= self.slots_max || self.bytes + slot.bytes > self.bytes_max {
            if !self.evict_for(&slot, now) {
                return None;
            }
        }
        let session_id = self.free_id();
        self.bytes += slot.bytes;
        self.slots.insert(session_id, slot);
        Some(session_id)
    }

    fn remove(&mut self, session_id: i32) {
        self.bytes -= self.slots.remove(&session_id).map_or(0, |slot| slot.bytes);
    }

    /// Puts out the session that was not used for the longest time, where that is long; else the least valuable of those
    /// that yield, where it is not worth more than the new one.
    fn evict_for(&mut self, new: &Slot, now: Nanos) -> bool {
        let stale = self
            .slots
            .iter()
            .min_by_key(|(_, slot)| slot.last_used)
            .filter(|(_, slot)| now.0.saturating_sub(slot.last_used.0) > EVICTION_NS);
        let least = || {
            let yielding = self.slots.iter().filter(|(_, slot)| slot.yields_to(new.is_follower, now));
            yielding.min_by_key(|(_, slot)| slot.value()).filter(|(_, slot)| slot.value() < new.value())
        };
        let Some(id) = stale.or_else(least).map(|(id, _)| *id) else { return false };
        self.remove(id);
        true
    }

    /// A positive id that no session has (xorshift64*: ids need to be spread, not secret).
    fn free_id(&mut self) -> i32 {
        loop {
            self.random = if self.random == 0 { 0x9e37_79b9_7f4a_7c15 } else { self.random };
            self.random ^= self.random >> 12;
            self.random ^= self.random << 25;
            self.random ^= self.random >> 27;
            let bits = self.random.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
            let id = i32::try_from(bits).unwrap_or(NO_SESSION);
            if id != NO_SESSION && !self.slots.contains_key(&id) {
                return id;
            }
        }
    }
}
