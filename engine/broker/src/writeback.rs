//! Write-back of a shard's logs, paced by one budget for the process: what is written and not on the disk is bounded, and the
//! kernel is never the one that bounds it, for it stops the thread that writes (`balance_dirty_pages`).
//!
//! ```text
//!   append --> unwritten --piece, beside the thread--> on the disk
//!              0 ........ half of the budget ................... all of it
//!              from FULL_BYTES of a log, or after AGE_NS  | what there is, oldest first
//!                                                         | answers of produces carry throttle time (KIP-219)
//!                                                                      | produces wait, their connections are not read
//! ```
//! Invariants: [`PIECES`] under way at most, one of a log; a log that was served goes to the end of its queue. Nothing is
//! counted for a record: a log that was written is looked at once at the end of the turn.
//!
//! How fast the disk is, the pieces say. Throttle time is what lets in as much as it takes: half as much again where the budget
//! is half used, half of it where there is none left. `docs/decisions/write-back.md` has the numbers.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ringlog_io::Nanos;

use crate::broker::Broker;
use crate::replica::PartitionKey;
use crate::timers::Timer;

/// Pieces under way: the second one is with the disk while the first is answered.
const PIECES: usize = 2;
/// A log with so much unwritten is served at once.
const FULL_BYTES: u64 = 1 << 20;
/// One with less waits for so long: the kernel would take it after 30 seconds.
const AGE_NS: u64 = 5_000_000_000;
/// What a piece should take of the disk's time, and its bounds. A file system may hold its journal while it gives a piece to the
/// disk, and whoever appends waits for that.
const PIECE_NS: f64 = 20e6;
const PIECE_BYTES_MIN: u64 = FULL_BYTES;
const PIECE_BYTES_MAX: u64 = 8 << 20;
/// How long the disk's speed is remembered.
const SPEED_NS: f64 = 2e9;
/// The longest that one answer holds its connection back.
const THROTTLE_NS_MAX: u64 = 1_000_000_000;
/// How often it is looked whether others have made room.
const LOOK_NS: u64 = 2_000_000;

/// What all shards of the process have unwritten.
#[derive(Debug, Default)]
pub(crate) struct Dirty(AtomicU64);

impl Dirty {
    fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn change(&self, before: u64, now: u64) {
        self.0.fetch_add(now.wrapping_sub(before), Ordering::Relaxed);
    }
}

/// One log that the disk does not have all of.
#[derive(Debug)]
struct Waiting {
    bytes: u64,
    /// When that began.
    since: Nanos,
    is_full: bool,
    is_under_way: bool,
}

/// A piece that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    key: PartitionKey,
    len: u64,
    begun: Nanos,
}

/// What a shard tells of its write-back.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct WritebackFacts {
    /// Bytes here.
    pub(crate) unwritten: u64,
    /// What the disk takes a second, as the last pieces say.
    pub(crate) speed: f64,
    /// How long answers held their connections back, all together.
    pub(crate) throttled_ns: u64,
    /// Bytes that went to the disk.
    pub(crate) written: u64,
}

/// See the head of the file.
#[derive(Debug)]
pub(crate) struct Writebacks {
    dirty: Arc<Dirty>,
    bytes_max: u64,
    logs: BTreeMap<PartitionKey, Waiting>,
    /// Those with [`FULL_BYTES`], in the order in which they came to that.
    full: VecDeque<PartitionKey>,
    /// Those that nobody serves now, by age.
    aging: BTreeSet<(Nanos, PartitionKey)>,
    under_way: usize,
    speed: Speed,
    /// When the disk has taken what was let in so far.
    paced_until: Nanos,
    throttled_ns: u64,
    written: u64,
}

impl Writebacks {
    pub(crate) fn new(bytes_max: u64) -> Self {
        Self {
            dirty: Arc::default(),
            bytes_max,
            logs: BTreeMap::new(),
            full: VecDeque::new(),
            aging: BTreeSet::new(),
            under_way: 0,
            speed: Speed::default(),
            paced_until: Nanos(0),
            throttled_ns: 0,
            written: 0,
        }
    }

    /// Counts together with other shards from now on. Before the first log.
    pub(crate) fn share(&mut self, dirty: Arc<Dirty>) {
        debug_assert!(self.logs.is_empty());
        self.dirty = dirty;
    }

    /// Whether there is room for another produce.
    pub(crate) fn has_room(&self) -> bool {
        self.dirty.bytes() < self.bytes_max
    }

    fn is_pressed(&self) -> bool {
        self.dirty.bytes() > self.bytes_max / 2
    }

    /// A log has so much unwritten now.
    pub(crate) fn saw(&mut self, key: PartitionKey, bytes: u64, now: Nanos) {
        let before = self.logs.get(&key).map_or(0, |log| log.bytes);
        if bytes == before {
            return;
        }
        if bytes == 0 {
            return self.forget(key);
        }
        self.dirty.change(before, bytes);
        let log = self.logs.entry(key).or_insert_with(|| {
            self.aging.insert((now, key));
            Waiting { bytes, since: now, is_full: false, is_under_way: false }
        });
        log.bytes = bytes;
        if bytes >= FULL_BYTES && !log.is_full && !log.is_under_way {
            log.is_full = true;
            self.full.push_back(key);
        }
    }

    /// A log is gone, or has nothing to write.
    pub(crate) fn forget(&mut self, key: PartitionKey) {
        let Some(log) = self.logs.remove(&key) else { return };
        self.dirty.change(log.bytes, 0);
        self.aging.remove(&(log.since, key));
        if log.is_full {
            self.full.retain(|full| *full != key);
        }
    }

    /// All of them: nothing is written any more.
    pub(crate) fn forget_all(&mut self) {
        while let Some((key, _)) = self.logs.first_key_value() {
            self.forget(*key);
        }
    }

    /// Who is served next, and whether all of it goes, the tail included.
    fn next(&mut self, now: Nanos) -> Option<(PartitionKey, bool)> {
        if self.under_way >= PIECES {
            return None;
        }
        let oldest = self.aging.first().copied();
        let is_aged = oldest.is_some_and(|(since, _)| now.0.saturating_sub(since.0) >= AGE_NS);
        let (key, takes_tail) = match (oldest, self.full.front()) {
            (Some((_, key)), _) if is_aged => (key, true),
            (_, Some(key)) => (*key, false),
            (Some((_, key)), None) if self.is_pressed() => (key, true),
            _ => return None,
        };
        if let Some(log) = self.logs.get_mut(&key) {
            log.is_under_way = true;
            self.aging.remove(&(log.since, key));
            if std::mem::take(&mut log.is_full) {
                self.full.retain(|full| *full != key);
            }
        }
        Some((key, takes_tail))
    }

    fn piece_bytes(&self) -> u64 {
        let bytes = if self.is_pressed() { PIECE_BYTES_MAX as f64 } else { self.speed.bytes_per_ns() * PIECE_NS };
        (bytes as u64).clamp(PIECE_BYTES_MIN, PIECE_BYTES_MAX)
    }

    /// A piece of this log ended, or there was none to be had: it waits for its next turn.
    fn served(&mut self, key: PartitionKey, now: Nanos) {
        if let Some(log) = self.logs.get_mut(&key) {
            (log.is_under_way, log.since) = (false, now);
            self.aging.insert((now, key));
            if log.bytes >= FULL_BYTES {
                log.is_full = true;
                self.full.push_back(key);
            }
        }
    }

    fn ended(&mut self, piece: Piece, now: Nanos) {
        self.under_way -= 1;
        self.written += piece.len;
        self.speed.note(piece, now);
    }

    /// How long the connection that produced so many bytes is held back, in milliseconds.
    pub(crate) fn charge(&mut self, bytes: usize, now: Nanos) -> u32 {
        let (unwritten, half) = (self.dirty.bytes(), self.bytes_max / 2);
        let speed = self.speed.bytes_per_ns();
        if unwritten <= half || speed <= 0.0 {
            return 0;
        }
        let pressure = ((unwritten - half) as f64 / (self.bytes_max - half).max(1) as f64).min(1.0);
        let takes_ns = bytes as f64 / (speed * (1.5 - pressure));
        let begins = self.paced_until.max(now);
        self.paced_until = Nanos(begins.0.saturating_add(takes_ns as u64).min(now.0 + THROTTLE_NS_MAX));
        let throttle_ms = (self.paced_until.0 - now.0) / 1_000_000;
        self.throttled_ns += throttle_ms * 1_000_000;
        throttle_ms as u32
    }

    /// When there is something to do, whatever comes.
    fn next_deadline(&self, now: Nanos) -> Option<Nanos> {
        if !self.has_room() {
            return Some(Nanos(now.0 + LOOK_NS));
        }
        let (since, _) = self.aging.first()?;
        // Where all pieces are under way, the end of one is the next thing to come.
        (self.under_way < PIECES).then_some(Nanos(since.0 + AGE_NS))
    }

    /// Pieces that are with the kernel.
    pub(crate) fn under_way(&self) -> usize {
        self.under_way
    }

    /// Bytes of all shards that the disk may not have.
    pub(crate) fn unwritten_of_all(&self) -> u64 {
        self.dirty.bytes()
    }

    /// What there is to tell.
    pub(crate) fn facts(&self) -> WritebackFacts {
        WritebackFacts {
            unwritten: self.logs.values().map(|log| log.bytes).sum(),
            speed: self.speed.bytes_per_ns() * 1e9,
            throttled_ns: self.throttled_ns,
            written: self.written,
        }
    }
}

impl Drop for Writebacks {
    /// Where a broker ends and another begins in one process, nothing is left of the first.
    fn drop(&mut self) {
        self.forget_all();
    }
}

/// Asks for the pieces that are due. At the end of a turn.
pub(crate) fn begin(broker: &mut Broker) {
    let now = broker.now;
    // Those that have nothing but a tail, which the next append writes again.
    let mut without = Vec::new();
    while let Some((key, takes_tail)) = broker.writebacks.next(now) {
        let len_max = broker.writebacks.piece_bytes();
        let place = broker.replicas.find(key);
        match place.and_then(|place| broker.replicas.at_mut(place).writeback_begin(len_max, takes_tail)) {
            Some(due) => {
                broker.writebacks.under_way += 1;
                let piece = Piece { key, len: due.len, begun: now };
                broker.jobs.write_back(piece, due);
            }
            None => {
                let unwritten = place.map_or(0, |place| broker.replicas.at(place).log().unwritten_bytes());
                broker.writebacks.saw(key, unwritten, now);
                without.push(key);
            }
        }
    }
    without.into_iter().for_each(|key| broker.writebacks.served(key, now));
    let next = broker.writebacks.next_deadline(now);
    broker.timers.set(Timer::Writeback, next);
}

/// A piece is with the disk, or was lost.
pub(crate) fn ended(broker: &mut Broker, piece: Piece, result: io::Result<()>) {
    broker.writebacks.ended(piece, broker.now);
    let Some(place) = broker.replicas.find(piece.key) else { return };
    broker.replicas.at_mut(place).writeback_done(result, &mut broker.news);
    let unwritten = broker.replicas.at(place).log().unwritten_bytes();
    broker.writebacks.saw(piece.key, unwritten, broker.now);
    broker.writebacks.served(piece.key, broker.now);
}

/// Bytes that the disk took, over the time in which it had some to take: of the last [`SPEED_NS`], the newest counting most.
#[derive(Debug, Default)]
struct Speed {
    bytes: f64,
    ns: f64,
    last: Nanos,
}

impl Speed {
    fn note(&mut self, piece: Piece, now: Nanos) {
        let took_ns = now.0.saturating_sub(piece.begun.max(self.last).0) as f64;
        let keeps = (-took_ns / SPEED_NS).exp();
        self.bytes = self.bytes * keeps + piece.len as f64;
        self.ns = self.ns * keeps + took_ns;
        self.last = now;
    }

    fn bytes_per_ns(&self) -> f64 {
        if self.ns > 0.0 { self.bytes / self.ns } else { 0.0 }
    }
}

#[cfg(test)]
#[path = "writeback_tests.rs"]
mod tests;
