//! A client with a compacted topic of its own: it writes values and tombstones of a few keys, and reads the topic whole now and
//! then, and in each audit.
//!
//! ```text
//!   sent: key, number, value or none --> acknowledged at an offset | unknown (no answer, refused)
//!   read: offsets rise; each record is one that was sent; an acknowledged one stands where it was acknowledged
//!         at the end: of each key the last that was acknowledged, or one that is unknown      (a tombstone may be gone)
//! ```
//! What it writes is flushed before it is acknowledged (`flush.messages=1`): it holds over everything that may happen. One request
//! at a time; one without an answer may still be on its way, and end up behind later ones.

use std::collections::BTreeMap;

use ringlog_io::Nanos;
use ringlog_wire::ErrorCode;
use ringlog_wire::batch::{BatchBuilder, Batches, Record};
use ringlog_wire::codec::Records;
use ringlog_wire::compression::{Codec, Scratch};
use ringlog_wire::messages::create_topics::CreateTopicsRequest;
use ringlog_wire::messages::fetch::{FetchRequest, PartitionData};
use ringlog_wire::messages::produce::{PartitionProduceData, ProduceRequest, TopicProduceData};

use super::Violation;
use super::clients::{Ask, Client, Phase, Scene};
use super::ledger::Key;
use super::line::{Flight, Line};
use super::requests;

const TOPIC: &str = "compacted";
/// The name of the header that holds a record's number.
const NUMBER: &[u8] = b"n";
const KEYS: usize = 6;
/// One in so many steps begins a reading.
const READ_ONCE_IN: usize = 15;
/// What a batch may open to.
const INFLATED_LEN_MAX: usize = 1 << 20;

/// How it writes, for its whole life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hand {
    pub(super) value_len_max: usize,
    pub(super) pause_ms: u64,
}

/// A record that was sent.
#[derive(Clone, Copy, Debug)]
struct Sent {
    key: u8,
    /// `None`: a tombstone.
    value_len: Option<usize>,
    acknowledged: Option<i64>,
}

/// A reading from the beginning.
#[derive(Debug, Default)]
struct Reading {
    offset: i64,
    last: Option<i64>,
    /// The last number of each key.
    found: BTreeMap<u8, u32>,
}

/// See the head of the file.
pub(super) struct Upserter {
    line: Line<Ask>,
    hand: Hand,
    topic: Option<Key>,
    is_made: bool,
    sent: Vec<Sent>,
    reading: Option<Reading>,
    /// An audit wants a reading.
    is_audited: bool,
    scratch: Scratch,
    due: Nanos,
}

fn filling(number: u32, len: usize) -> Vec<u8> {
    (0..len).map(|place| (number.wrapping_mul(31) as usize).wrapping_add(place) as u8).collect()
}

impl Upserter {
    pub(super) fn new(client: usize, hand: Hand) -> Self {
        Self {
            line: Line::new(client),
            hand,
            topic: None,
            is_made: false,
            sent: Vec::new(),
            reading: None,
            is_audited: false,
            scratch: Scratch::default(),
            due: Nanos(0),
        }
    }

    fn create(&mut self, scene: &mut Scene) -> Result<(), Violation> {
        let settings = [("cleanup.policy", "compact"), ("flush.messages", "1")];
        let request = requests::create_topic(TOPIC, 1, &settings);
        self.line.ask(scene.now, 7, &request, &[], Some(Ask::CreateTopic { name: TOPIC.to_owned() }))
    }

    fn produce(&mut self, scene: &mut Scene, key: Key) -> Result<(), Violation> {
        let codec = if scene.dice.once_in(4) { Codec::Lz4 } else { Codec::None };
        let mut builder = BatchBuilder::new();
        builder.set_codec(codec, None);
        let first = self.sent.len() as u32;
        for _ in 0..1 + scene.dice.below(4) {
            let (key, number) = (scene.dice.below(KEYS) as u8, self.sent.len() as u32);
            let value_len = (!scene.dice.once_in(8)).then(|| scene.dice.below(self.hand.value_len_max));
            let value = value_len.map(|len| filling(number, len));
            builder.append(scene.wall_ms, Some(&[key]), value.as_deref(), &[(NUMBER, Some(&number.to_be_bytes()))]);
            self.sent.push(Sent { key, value_len, acknowledged: None });
        }
        let bytes = builder.finish(&mut self.scratch).map_err(|error| Violation(error.to_string()))?.to_vec();
        let data = PartitionProduceData { index: key.1, records: Records::Outside(bytes.len()), ..Default::default() };
        let topic = TopicProduceData { topic_id: key.0, partition_data: vec![data], ..Default::default() };
        let request = ProduceRequest { acks: -1, timeout_ms: 10_000, topic_data: vec![topic], ..Default::default() };
        self.line.ask(scene.now, 13, &request, &bytes, Some(Ask::Produce { batch: first, era: scene.ledger.era }))
    }

    fn fetch(&mut self, scene: &mut Scene, key: Key) -> Result<(), Violation> {
        let offset = self.reading.get_or_insert_default().offset;
        let request = requests::fetch(key, offset, [1, 2_000, 1 << 20][scene.dice.below(3)]);
        self.line.ask(scene.now, 13, &request, &[], Some(Ask::Fetch { from: BTreeMap::new(), era: scene.ledger.era }))
    }

    fn produced(&mut self, scene: &mut Scene, first: u32, (error, base_offset): (ErrorCode, i64)) {
        if error != ErrorCode::NONE {
            scene.ledger.note_error("produce to a compacted topic", error);
            return self.lose_leader(scene);
        }
        for (sent, offset) in self.sent[first as usize..].iter_mut().zip(base_offset..) {
            sent.acknowledged = Some(offset);
        }
        self.due = scene.in_ms(1, 1 + self.hand.pause_ms);
    }

    fn lose_leader(&mut self, scene: &mut Scene) {
        if let Some(key) = &self.topic {
            scene.leaders.remove(key);
        }
        self.due = scene.in_ms(50, 400);
    }

    fn fetched(&mut self, scene: &mut Scene, one: &PartitionData, frame: &[u8]) -> Result<(), Violation> {
        match ErrorCode(one.error_code) {
            ErrorCode::NONE => {}
            ErrorCode::OFFSET_OUT_OF_RANGE if self.reading.as_ref().is_some_and(|reading| reading.offset == 0) => {
                return Err(Violation("the beginning is out of range, and nothing was deleted".to_owned()));
            }
            error => {
                scene.ledger.note_error("fetch of a compacted topic", error);
                self.reading = None;
                self.lose_leader(scene);
                return Ok(());
            }
        }
        if let Records::At(range) = &one.records {
            self.read(&frame[range.clone()])?;
        }
        self.due = scene.now;
        if self.reading.as_ref().is_some_and(|reading| reading.offset >= one.high_watermark) {
            self.is_audited = false;
            self.end_reading(one.high_watermark)?;
        }
        Ok(())
    }

    fn read(&mut self, bytes: &[u8]) -> Result<(), Violation> {
        let Some(reading) = &mut self.reading else { return Ok(()) };
        for batch in Batches::new(bytes) {
            let at = reading.offset;
            let wrong = |error: &dyn std::fmt::Display| Violation(format!("what was read at {at}: {error}"));
            let batch = batch.map_err(|error| wrong(&error))?;
            batch.check_crc().map_err(|error| wrong(&error))?;
            if batch.header.next_offset() <= reading.offset {
                return Err(wrong(&format!("a batch that ends at {}", batch.header.last_offset())));
            }
            for record in batch.records(&mut self.scratch, INFLATED_LEN_MAX).map_err(|error| wrong(&error))? {
                let record = record.map_err(|error| wrong(&error))?;
                if record.offset >= reading.offset {
                    let number = identify(&self.sent, &record).map_err(|what| wrong(&what))?;
                    if reading.last.is_some_and(|last| last >= record.offset) {
                        return Err(wrong(&format!("{} behind {:?}", record.offset, reading.last)));
                    }
                    reading.last = Some(record.offset);
                    reading.found.insert(self.sent[number as usize].key, number);
                }
            }
            reading.offset = batch.header.next_offset();
        }
        Ok(())
    }

    /// Of each key the last that was acknowledged is there, unless one without an answer came behind it.
    fn end_reading(&mut self, high_watermark: i64) -> Result<(), Violation> {
        let Some(reading) = self.reading.take() else { return Ok(()) };
        for key in 0..KEYS as u8 {
            let of_key = || (0_u32..).zip(&self.sent).filter(|(_, sent)| sent.key == key);
            let last = of_key().filter(|(_, sent)| sent.acknowledged.is_some()).last();
            let Some((number, sent)) = last else { continue };
            if sent.acknowledged.is_some_and(|offset| offset >= high_watermark) {
                return Err(Violation(format!("{number} was acknowledged at {sent:?}, it ends at {high_watermark}")));
            }
            let may_be = |one: &Sent| one.acknowledged.is_none();
            let is_right = match reading.found.get(&key) {
                Some(found) => *found == number || may_be(&self.sent[*found as usize]),
                None => sent.value_len.is_none() || of_key().any(|(_, one)| may_be(one) && one.value_len.is_none()),
            };
            if !is_right {
                let found = reading.found.get(&key).map(|found| (found, self.sent[*found as usize]));
                return Err(Violation(format!("key {key} is {found:?}, and {number} was the last: {sent:?}")));
            }
        }
        Ok(())
    }
}

/// The number of a record, which is one that was sent, unchanged, and stands where it was acknowledged.
fn identify(sent: &[Sent], record: &Record<'_>) -> Result<u32, String> {
    let mut headers = record.headers;
    let number = headers.next().filter(|header| header.key == NUMBER).and_then(|header| header.value);
    let number = number.and_then(|bytes| bytes.try_into().ok()).map(u32::from_be_bytes);
    let number = number.ok_or_else(|| format!("{}: a record of nobody", record.offset))?;
    let one = sent.get(number as usize).ok_or_else(|| format!("{number}, which nobody sent"))?;
    let value = one.value_len.map(|len| filling(number, len));
    if record.key != Some(&[one.key]) || record.value != value.as_deref() {
        return Err(format!("{number} has another key or value than {one:?}"));
    }
    match one.acknowledged {
        Some(offset) if offset != record.offset => Err(format!("{number} stands at {}: {one:?}", record.offset)),
        _ => Ok(number),
    }
}

impl Client for Upserter {
    fn line(&mut self) -> &mut Line<Ask> {
        &mut self.line
    }

    fn act(&mut self, scene: &mut Scene) -> Result<(), Violation> {
        let is_over = match scene.phase {
            Phase::Storm => false,
            Phase::Calm => true,
            Phase::Audit => !self.is_audited,
        };
        if is_over && self.line.in_flight() == 0 {
            self.due = Nanos(u64::MAX);
            drop(self.line.close(scene.driver.as_mut()));
            return Ok(());
        }
        if self.due > scene.now {
            return Ok(());
        }
        self.due = scene.in_ms(500, 1_000);
        let leader = self.topic.and_then(|key| scene.leaders.get(&key).copied());
        if self.line.is_closed() || leader.is_some_and(|port| self.line.is_open() && port != self.line.port) {
            let port = leader.unwrap_or_else(|| scene.any_port());
            drop(self.line.connect(scene.driver.as_mut(), port));
            self.reading = None;
            return Ok(());
        }
        if !self.line.is_open() || self.line.in_flight() > 0 {
            return Ok(());
        }
        match (self.topic, leader) {
            (None, _) if !self.is_made => self.create(scene),
            (None, _) | (_, None) => scene.ask_metadata(&mut self.line),
            (Some(key), Some(_)) => {
                let reads = self.reading.is_some() || self.is_audited || scene.dice.once_in(READ_ONCE_IN);
                if reads { self.fetch(scene, key) } else { self.produce(scene, key) }
            }
        }
    }

    fn reply(&mut self, scene: &mut Scene, flight: Flight<Ask>, frame: &[u8]) -> Result<(), Violation> {
        let missing = || Violation("an answer without its partition".to_owned());
        match &flight.ask {
            Ask::CreateTopic { .. } => {
                let response = flight.read::<CreateTopicsRequest>(frame)?;
                let one = response.topics.first().ok_or_else(missing)?;
                self.is_made = matches!(ErrorCode(one.error_code), ErrorCode::NONE | ErrorCode::TOPIC_ALREADY_EXISTS);
                self.due = scene.in_ms(1, 200);
                Ok(())
            }
            Ask::Metadata { .. } => {
                let found = scene.learn(&flight, frame)?;
                self.topic = found.get(TOPIC).map(|(id, _)| (*id, 0)).or(self.topic);
                self.due = scene.in_ms(1, 200);
                Ok(())
            }
            Ask::Produce { batch, .. } => {
                let response = flight.read::<ProduceRequest>(frame)?;
                let one = response.responses.first().and_then(|topic| topic.partition_responses.first());
                let one = one.ok_or_else(missing)?;
                self.produced(scene, *batch, (ErrorCode(one.error_code), one.base_offset));
                Ok(())
            }
            Ask::Fetch { .. } => {
                let response = flight.read::<FetchRequest>(frame)?;
                match response.responses.first().and_then(|topic| topic.partitions.first()) {
                    Some(one) => self.fetched(scene, one, frame),
                    None => {
                        self.lose_leader(scene);
                        Ok(())
                    }
                }
            }
            _ => Ok(()),
        }
    }

    /// What was sent without an answer is unknown from the beginning.
    fn lost(&mut self, scene: &mut Scene, _flights: Vec<Flight<Ask>>) {
        self.reading = None;
        self.lose_leader(scene);
    }

    fn begin_audit(&mut self, scene: &mut Scene) {
        self.is_audited = self.topic.is_some();
        self.reading = None;
        self.due = scene.now;
    }

    fn due(&self) -> Nanos {
        self.due
    }

    fn is_done(&self) -> bool {
        self.line.in_flight() == 0 && !self.is_audited
    }

    fn name(&self) -> String {
        let acknowledged = self.sent.iter().filter(|sent| sent.acknowledged.is_some()).count();
        format!("upserter, {acknowledged} of {} acknowledged, reading {:?}", self.sent.len(), self.reading)
    }
}
