//! What clients were promised and what they saw: every batch that was sent, what became of it, and every batch that was read.
//!
//! ```text
//!   sent -> acknowledged (where) | refused | unknown          read: where, by whomever
//!             |                                                 |
//!             +-- must be there ---------- checked -------------+-- must have been sent, there, once, unchanged
//! ```
//! What may be lost: after a power cut or a failed sync, what was acknowledged without `flush.messages=1`. After a kill,
//! nothing. What may come back: nothing of a topic that was deleted, and nothing below where a log begins (`log_starts.rs`).

use std::collections::{BTreeMap, BTreeSet};

use ringlog_wire::batch::{Batch, BatchBuilder, Batches};
use ringlog_wire::compression::Scratch;
use ringlog_wire::{ErrorCode, Uuid};

use super::Violation;
use super::log_starts::LogStarts;

/// A partition of one life of a topic.
pub(super) type Key = (Uuid, i32);

/// The number of a batch, which its records carry.
pub(super) type BatchId = u32;

/// Bytes in front of a record's filling: batch, index in it.
const STAMP_LEN: usize = 8;
/// What a batch may open to.
const INFLATED_LEN_MAX: usize = 1 << 24;

/// Which life of the topic a batch was meant for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Aim {
    /// This one: the request named the topic's id.
    Id(Uuid),
    /// One of these: the request named the topic, which was in this life when it was sent.
    LifeFrom(usize),
}

#[derive(Clone, Debug)]
enum Fate {
    Sent,
    Acknowledged { base_offset: i64, last_life: usize, is_promised: bool, era: u32 },
    Refused,
    Unknown,
}

/// A batch that a producer sent.
#[derive(Clone, Debug)]
struct Sent {
    topic: String,
    partition: i32,
    records: u32,
    value_len: usize,
    aim: Aim,
    /// Batches of a stream lie in the log in the order in which they were made.
    stream: u64,
    flush_version: u64,
    is_flushed: bool,
    fate: Fate,
}

/// What is known of a topic's name. One client makes and deletes it, one request after the other.
#[derive(Clone, Debug, Default)]
pub(super) struct Topic {
    /// Ids, in the order of its lives.
    pub(super) lives: Vec<Uuid>,
    pub(super) partitions: i32,
    /// The last life is there: it was made, and nobody asked to delete it.
    pub(super) is_there: bool,
    /// It is being made, or deleted.
    pub(super) is_changing: bool,
    /// flush.messages=1 is in force.
    pub(super) is_flushed: bool,
    /// Rises with every change of flush.messages, when it is asked for and when it is answered.
    flush_version: u64,
}

impl Topic {
    pub(super) fn id(&self) -> Option<Uuid> {
        self.lives.last().copied().filter(|_| self.is_there && !self.is_changing)
    }

    /// A change of flush.messages begins, or ended with this value.
    pub(super) fn flush_changes(&mut self, is_flushed: bool) {
        self.is_flushed = is_flushed;
        self.flush_version += 1;
    }
}

/// See the head of the file.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    sent: Vec<Sent>,
    pub(super) topics: BTreeMap<String, Topic>,
    names: BTreeMap<Uuid, (String, usize)>,
    /// Batches that were read, by the offset of their first record.
    places: BTreeMap<Key, BTreeMap<i64, BatchId>>,
    /// Where each batch was read.
    found: BTreeMap<BatchId, (Key, i64)>,
    /// Below here everything is visible to everyone: it was acknowledged, or somebody has seen it.
    visible: BTreeMap<Key, i64>,
    /// What a batch of this leader epoch at this offset is, for good (KIP-320).
    by_epoch: BTreeMap<(Key, i32, i64), BatchId>,
    /// Where logs begin.
    pub(super) starts_of_logs: LogStarts,
    /// Batches that the last reading found.
    audited: BTreeSet<BatchId>,
    /// Rises when something may have been lost.
    pub(super) era: u32,
    /// How often the broker was started.
    pub(super) starts: u32,
    pub(super) acknowledged: u64,
    pub(super) read: u64,
    /// Errors that clients were given, and how often.
    pub(super) errors: BTreeMap<(&'static str, i16), u64>,
    scratch: Scratch,
}

fn filling(batch: BatchId, index: u32, len: usize) -> impl Iterator<Item = u8> {
    (0..len).map(move |place| (batch.wrapping_mul(31) ^ index.wrapping_mul(7)).wrapping_add(place as u32) as u8)
}

impl Ledger {
    /// An empty one. `logs_are_cut`: retention takes the beginnings of logs.
    pub(super) fn of(logs_are_cut: bool) -> Self {
        let mut ledger = Self::default();
        ledger.starts_of_logs.are_free = logs_are_cut;
        ledger
    }

    // --- topics ------------------------------------------------------------------------------------------------------

    /// A life of a topic began.
    pub(super) fn born(&mut self, name: &str, id: Uuid) {
        let Some(topic) = self.topics.get_mut(name) else { return };
        if topic.lives.last() != Some(&id) {
            topic.lives.push(id);
            self.names.insert(id, (name.to_owned(), topic.lives.len() - 1));
        }
    }

    /// Partitions of topics that are there for certain.
    pub(super) fn partitions(&self) -> Vec<(String, Key)> {
        let mut keys = Vec::new();
        for (name, topic) in &self.topics {
            if let Some(id) = topic.id() {
                keys.extend((0..topic.partitions).map(|partition| (name.clone(), (id, partition))));
            }
        }
        keys
    }

    fn topic_of(&self, key: Key) -> Option<(&str, usize)> {
        self.names.get(&key.0).map(|(name, life)| (name.as_str(), *life))
    }

    // --- producing ---------------------------------------------------------------------------------------------------

    /// Makes a batch for a partition; `producer` is its id, epoch and sequence.
    pub(super) fn make(
        &mut self,
        (topic, partition): (&str, i32),
        (aim, stream): (Aim, u64),
        (records, value_len): (u32, usize),
        producer: Option<(i64, i16, i32)>,
        wall_ms: i64,
    ) -> (BatchId, Vec<u8>) {
        let id = self.sent.len() as BatchId;
        let known = self.topics.get(topic).cloned().unwrap_or_default();
        self.sent.push(Sent {
            topic: topic.to_owned(),
            partition,
            records,
            value_len,
            aim,
            stream,
            flush_version: known.flush_version,
            is_flushed: known.is_flushed,
            fate: Fate::Sent,
        });
        let mut builder = BatchBuilder::new();
        if let Some((producer_id, epoch, sequence)) = producer {
            builder.set_producer(producer_id, epoch, sequence);
        }
        for index in 0..records {
            let mut value = id.to_be_bytes().to_vec();
            value.extend_from_slice(&index.to_be_bytes());
            value.extend(filling(id, index, value_len));
            builder.append(wall_ms, None, Some(&value), &[]);
        }
        // Without a codec nothing can fail.
        let bytes = builder.finish(&mut self.scratch).map(<[u8]>::to_vec).unwrap_or_default();
        (id, bytes)
    }

    /// The life of a topic's name that something sent now may meet first.
    pub(super) fn life_now(&self, topic: &str) -> usize {
        self.topics.get(topic).map_or(0, |topic| topic.lives.len().saturating_sub(1))
    }

    /// A batch was acknowledged that was sent in this era. The answer may have been under way while the power went.
    pub(super) fn acknowledged(&mut self, batch: BatchId, base_offset: i64, era: u32) -> Result<(), Violation> {
        let one = &mut self.sent[batch as usize];
        let topic = self.topics.get(&one.topic).cloned().unwrap_or_default();
        let is_promised = one.is_flushed && topic.is_flushed && one.flush_version == topic.flush_version;
        let last_life = topic.lives.len().saturating_sub(1) + usize::from(topic.is_changing);
        one.fate = Fate::Acknowledged { base_offset, last_life, is_promised, era };
        self.acknowledged += 1;
        let (end, partition) = (base_offset + i64::from(one.records), one.partition);
        let id = match one.aim {
            Aim::Id(id) => Some(id),
            Aim::LifeFrom(life) if life == last_life => topic.lives.get(life).copied(),
            Aim::LifeFrom(_) => None,
        };
        let Some(id) = id.filter(|_| era == self.era) else { return Ok(()) };
        self.saw_end((id, partition), end);
        match self.found.get(&batch) {
            Some((key, offset)) if (*key, *offset) != ((id, partition), base_offset) => Err(Violation(format!(
                "batch {batch} was read at {offset} of {key:?} and acknowledged at {base_offset} of {id}-{partition}"
            ))),
            _ => Ok(()),
        }
    }

    /// A batch was refused. What is in the log of it, if anything, nobody relies on.
    pub(super) fn refused(&mut self, batch: BatchId) {
        self.sent[batch as usize].fate = Fate::Refused;
    }

    /// Nobody will learn what became of a batch.
    pub(super) fn forgotten(&mut self, batch: BatchId) {
        if matches!(self.sent[batch as usize].fate, Fate::Sent) {
            self.sent[batch as usize].fate = Fate::Unknown;
        }
    }

    // --- what may be lost --------------------------------------------------------------------------------------------

    /// The page cache is gone, or not to be trusted: only what was promised under flush.messages=1 is still certain.
    pub(super) fn lose_unpromised(&mut self) {
        self.era += 1;
        self.visible.clear();
        let sent = &self.sent;
        let stays = |batch: BatchId| matches!(sent[batch as usize].fate, Fate::Acknowledged { is_promised: true, .. });
        self.places.values_mut().for_each(|places| places.retain(|_, batch| stays(*batch)));
        self.found.retain(|batch, _| stays(*batch));
    }

    /// Counts an error that a client was given.
    pub(super) fn note_error(&mut self, what: &'static str, error: ErrorCode) {
        *self.errors.entry((what, error.0)).or_default() += 1;
    }

    // --- reading -----------------------------------------------------------------------------------------------------

    /// The offset that everything below is visible of.
    pub(super) fn floor(&self, key: Key) -> i64 {
        self.visible.get(&key).copied().unwrap_or(0)
    }

    /// Somebody was shown that a partition reaches up to `end`.
    pub(super) fn saw_end(&mut self, key: Key, end: i64) {
        let known = self.visible.entry(key).or_insert(0);
        *known = end.max(*known);
    }

    /// A high watermark, in an answer to what was asked when `floor` was visible, in this era.
    pub(super) fn check_end(&mut self, key: Key, end: i64, floor: i64, era: u32) -> Result<(), Violation> {
        if era != self.era {
            return Ok(());
        }
        self.saw_end(key, end);
        let is_short = end < floor;
        let name = self.topic_of(key).map(|(name, _)| name.to_owned());
        if is_short {
            Err(Violation(format!("{name:?}-{} ended at {floor}, and ends at {end} now", key.1)))
        } else {
            Ok(())
        }
    }

    /// Batches that were read from `offset` on: gives the offset after the last whole one.
    pub(super) fn saw(&mut self, key: Key, mut offset: i64, bytes: &[u8], era: u32) -> Result<i64, Violation> {
        for batch in Batches::new(bytes) {
            let batch = batch.map_err(|error| Violation(format!("what was read of {key:?} at {offset}: {error}")))?;
            batch.check_crc().map_err(|error| Violation(format!("what was read of {key:?} at {offset}: {error}")))?;
            let (base, next) = (batch.header.base_offset, batch.header.next_offset());
            if base > offset || next <= offset {
                return Err(Violation(format!("{key:?}: asked for {offset}, got a batch of {base} to {next}")));
            }
            let id = self.identify(key, &batch)?;
            self.check_place(key, base, id, era)?;
            self.check_epoch(key, (batch.header.partition_leader_epoch, base), id)?;
            self.audited.insert(id);
            self.read += 1;
            offset = next;
        }
        Ok(offset)
    }

    /// The batch that these bytes are, whole and unchanged.
    fn identify(&mut self, key: Key, batch: &Batch<'_>) -> Result<BatchId, Violation> {
        let (sent, names) = (&self.sent, &self.names);
        let at = batch.header.base_offset;
        let wrong = |what: String| Violation(format!("{key:?} at {at}: {what}"));
        let mut found = None;
        let mut count = 0u32;
        let records = batch.records(&mut self.scratch, INFLATED_LEN_MAX).map_err(|error| wrong(error.to_string()))?;
        for record in records {
            let value = record.map_err(|error| wrong(error.to_string()))?.value.unwrap_or_default();
            let (stamp, rest) = value.split_at_checked(STAMP_LEN).ok_or_else(|| wrong("a record of nobody".into()))?;
            let (words, _) = stamp.as_chunks::<4>();
            let [id, index] = [u32::from_be_bytes(words[0]), u32::from_be_bytes(words[1])];
            let one = sent.get(id as usize).ok_or_else(|| wrong(format!("batch {id}, which nobody sent")))?;
            if *found.get_or_insert(id) != id || index != count || rest.len() != one.value_len {
                return Err(wrong(format!("record {index} of batch {id} where {found:?}'s record {count} belongs")));
            }
            if !filling(id, index, rest.len()).eq(rest.iter().copied()) {
                return Err(wrong(format!("record {index} of batch {id} has other bytes than were sent")));
            }
            count += 1;
        }
        let id = found.ok_or_else(|| wrong("an empty batch".into()))?;
        let one = &sent[id as usize];
        let (name, life) = names.get(&key.0).ok_or_else(|| wrong("a topic that nobody made".into()))?;
        if one.records != count || one.topic != *name || one.partition != key.1 {
            let (topic, partition, records) = (&one.topic, one.partition, one.records);
            return Err(wrong(format!("{count} records of batch {id}, which was {records} for {topic}-{partition}")));
        }
        let belongs = match (&one.aim, &one.fate) {
            (Aim::Id(aimed), _) => *aimed == key.0,
            (Aim::LifeFrom(first), Fate::Acknowledged { last_life, .. }) => (*first..=*last_life).contains(life),
            (Aim::LifeFrom(first), _) => *first <= *life,
        };
        if belongs { Ok(id) } else { Err(wrong(format!("batch {id} was sent to an earlier {name}: it came back"))) }
    }

    /// A batch lies in one place, and a place holds one batch.
    fn check_place(&mut self, key: Key, base: i64, id: BatchId, era: u32) -> Result<(), Violation> {
        if let Fate::Acknowledged { base_offset, era: acknowledged, .. } = self.sent[id as usize].fate
            && acknowledged == self.era
            && base_offset != base
            && base_offset >= 0
        {
            return Err(Violation(format!(
                "batch {id} was acknowledged at {base_offset}, and read at {base} of {key:?}"
            )));
        }
        if era != self.era {
            return Ok(());
        }
        match self.found.insert(id, (key, base)) {
            Some(before) if before != (key, base) => {
                return Err(Violation(format!("batch {id} was read at {before:?} and at {:?}: twice", (key, base))));
            }
            _ => {}
        }
        match self.places.entry(key).or_default().insert(base, id) {
            Some(before) if before != id => {
                Err(Violation(format!("{key:?} at {base}: batch {before} was read there before, batch {id} now")))
            }
            _ => Ok(()),
        }
    }

    /// The same offset of the same leader epoch is the same record, whatever was lost.
    fn check_epoch(&mut self, key: Key, (epoch, base): (i32, i64), id: BatchId) -> Result<(), Violation> {
        match self.by_epoch.insert((key, epoch, base), id) {
            Some(before) if before != id => Err(Violation(format!(
                "{key:?} at {base}, leader epoch {epoch}: batch {before} before, batch {id} now; the epoch did not rise"
            ))),
            _ => Ok(()),
        }
    }

    // --- the audit ---------------------------------------------------------------------------------------------------

    /// A reading of everything begins.
    pub(super) fn begin_audit(&mut self) {
        self.audited.clear();
        self.starts_of_logs.begin_audit();
    }

    /// The reading ended: what must be there was found, in its order.
    pub(super) fn end_audit(&self) -> Result<(), Violation> {
        let there: BTreeSet<Key> = self.partitions().into_iter().map(|(_, key)| key).collect();
        for (id, one) in self.sent.iter().enumerate() {
            let Fate::Acknowledged { base_offset, last_life, is_promised, era } = one.fate else { continue };
            let aimed = match one.aim {
                Aim::Id(aimed) => Some(aimed),
                Aim::LifeFrom(life) if life == last_life => {
                    self.topics.get(&one.topic).and_then(|topic| topic.lives.get(life)).copied()
                }
                Aim::LifeFrom(_) => None,
            };
            let is_there = aimed.map(|aimed| (aimed, one.partition)).is_some_and(|key| {
                let last_offset = base_offset + i64::from(one.records) - 1;
                there.contains(&key) && !self.starts_of_logs.is_below(key, last_offset)
            });
            let is_certain = is_promised || era == self.era;
            if is_there && is_certain && !self.audited.contains(&(id as BatchId)) {
                let (topic, partition) = (&one.topic, one.partition);
                return Err(Violation(format!(
                    "batch {id} was acknowledged at {base_offset} of {topic}-{partition}, and is not there"
                )));
            }
        }
        self.places
            .iter()
            .filter(|(key, _)| there.contains(key))
            .try_for_each(|(key, places)| self.in_order(*key, places))
    }

    fn in_order(&self, key: Key, places: &BTreeMap<i64, BatchId>) -> Result<(), Violation> {
        let mut last: BTreeMap<u64, BatchId> = BTreeMap::new();
        for id in places.values().filter(|id| self.audited.contains(id)) {
            let stream = self.sent[*id as usize].stream;
            if let Some(before) = last.insert(stream, *id).filter(|before| before > id) {
                return Err(Violation(format!("{key:?}: batch {before} lies before batch {id}, which was sent first")));
            }
        }
        Ok(())
    }
}
