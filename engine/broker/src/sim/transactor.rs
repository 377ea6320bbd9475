//! A transactional client. All of them have one transactional id, so that they take it from each other, and one topic; each
//! writes transactions and reads the topic under read_committed, as a consumer does.
//!
//! ```text
//!   FindCoordinator -> InitProducerId -> [AddPartitionsToTxn -> Produce]* -> EndTxn -> ..
//!         ^                  ^                       |
//!         +-- elsewhere      +-- fenced, no answer --+        now and then, and in each audit: read everything
//! ```
//! In version 2 (KIP-890) no partition is added, and EndTxn brings the next epoch.
//! One request at a time. Nothing is sent twice: after a request without an answer it asks for a new epoch, which aborts what was
//! open. What must hold stands in `transaction_book.rs`; at the end nothing is open any more, and everything can be read.

use std::collections::BTreeMap;

use ringlog_io::Nanos;
use ringlog_wire::ErrorCode;
use ringlog_wire::batch::{BatchBuilder, Batches};
use ringlog_wire::codec::Records;
use ringlog_wire::compression::Scratch;
use ringlog_wire::messages::add_partitions_to_txn::{AddPartitionsToTxnRequest, AddPartitionsToTxnTopic};
use ringlog_wire::messages::create_topics::{CreatableTopic, CreatableTopicConfig, CreateTopicsRequest};
use ringlog_wire::messages::end_txn::EndTxnRequest;
use ringlog_wire::messages::fetch::{FetchPartition, FetchRequest, FetchTopic, PartitionData};
use ringlog_wire::messages::find_coordinator::FindCoordinatorRequest;
use ringlog_wire::messages::init_producer_id::InitProducerIdRequest;
use ringlog_wire::messages::produce::{PartitionProduceData, ProduceRequest, TopicProduceData};

use super::Violation;
use super::clients::{Ask, Client, Phase, Scene};
use super::ledger::Key;
use super::line::{Flight, Line};
use super::transaction_book::Number;

const TOPIC: &str = "transactions";
const TRANSACTIONAL_ID: &str = "transactor";
const PARTITIONS: i32 = 2;
/// FindCoordinator's number for transactional ids.
const OF_TRANSACTIONS: i8 = 1;
/// One in so many steps between two transactions begins a reading.
const READ_ONCE_IN: usize = 6;
/// How often an audit looks whether what was open has ended.
const LOOKS_MAX: u32 = 80;
/// What a batch may open to.
const INFLATED_LEN_MAX: usize = 1 << 20;

/// How it works, for its whole life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pace {
    /// After how long the coordinator aborts what it leaves open.
    pub(super) timeout_ms: i32,
    pub(super) pause_ms: u64,
    /// It speaks version 2 of transactions.
    pub(super) is_tv2: bool,
}

/// What is asked for within a transaction, and between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TxnStep {
    Init,
    Add { partition: i32 },
    Produce { partition: i32, records: i64 },
    End { commit: bool },
}

/// The transaction that is open.
#[derive(Clone, Copy, Debug)]
struct Open {
    number: Number,
    /// Where a batch goes next; it was added.
    added: Option<i32>,
    batches_left: usize,
}

/// A reading from the beginning.
#[derive(Debug, Default)]
struct Reading {
    partition: i32,
    offset: i64,
    /// The transactions of records, by offset.
    found: BTreeMap<i64, Number>,
}

/// See the head of the file.
pub(super) struct Transactor {
    line: Line<Ask>,
    pace: Pace,
    topic: Option<ringlog_wire::Uuid>,
    is_made: bool,
    coordinator: Option<u16>,
    /// Producer id and epoch, and the next sequence number of each partition.
    identity: Option<((i64, i16), u32)>,
    sequences: BTreeMap<i32, i32>,
    open: Option<Open>,
    reading: Option<Reading>,
    /// An audit wants readings of this partition and those behind it.
    audited: Option<i32>,
    looks: u32,
    scratch: Scratch,
    due: Nanos,
}

impl Transactor {
    pub(super) fn new(client: usize, pace: Pace) -> Self {
        Self {
            line: Line::new(client),
            pace,
            topic: None,
            is_made: false,
            coordinator: None,
            identity: None,
            sequences: BTreeMap::new(),
            open: None,
            reading: None,
            audited: None,
            looks: 0,
            scratch: Scratch::default(),
            due: Nanos(0),
        }
    }

    // --- where it asks -----------------------------------------------------------------------------------------------

    /// Whether the line stands at this port; it goes there otherwise.
    fn is_at(&mut self, scene: &mut Scene, port: u16) -> bool {
        if self.line.is_closed() || (self.line.is_open() && self.line.port != port) {
            drop(self.line.connect(scene.driver.as_mut(), port));
        }
        self.line.is_open() && self.line.port == port
    }

    fn is_anywhere(&mut self, scene: &mut Scene) -> bool {
        if self.line.is_closed() {
            let port = scene.any_port();
            drop(self.line.connect(scene.driver.as_mut(), port));
        }
        self.line.is_open()
    }

    fn leader(&self, scene: &Scene, partition: i32) -> Option<u16> {
        scene.leaders.get(&(self.topic?, partition)).copied()
    }

    /// Looks for leaders and the coordinator again, after a while.
    fn back_off(&mut self, scene: &mut Scene) {
        for partition in 0..PARTITIONS {
            self.topic.map(|id| scene.leaders.remove(&(id, partition)));
        }
        self.coordinator = None;
        self.due = scene.in_ms(20, 300);
    }

    /// Gives up the open transaction: the next epoch aborts it.
    fn start_over(&mut self, scene: &mut Scene) {
        (self.identity, self.open) = (None, None);
        self.back_off(scene);
    }

    // --- what it asks ------------------------------------------------------------------------------------------------

    fn create(&mut self, scene: &mut Scene) -> Result<(), Violation> {
        let config = |name: &str, value: &str| CreatableTopicConfig {
            name: name.to_owned(),
            value: Some(value.to_owned()),
            ..Default::default()
        };
        let topic = CreatableTopic {
            name: TOPIC.to_owned(),
            num_partitions: PARTITIONS,
            replication_factor: 1,
            configs: vec![config("retention.bytes", "-1"), config("retention.ms", "-1")],
            ..Default::default()
        };
        let request = CreateTopicsRequest { topics: vec![topic], ..Default::default() };
        self.line.ask(scene.now, 7, &request, &[], Some(Ask::CreateTopic { name: TOPIC.to_owned() }))
    }

    fn find_coordinator(&mut self, scene: &mut Scene) -> Result<(), Violation> {
        let key = TRANSACTIONAL_ID.to_owned();
        let request = FindCoordinatorRequest { key, key_type: OF_TRANSACTIONS, ..Default::default() };
        self.line.ask(scene.now, 3, &request, &[], Some(Ask::FindCoordinator))
    }

    fn ask(&self, scene: &Scene, step: TxnStep) -> Option<Ask> {
        let era = scene.ledger.era;
        let is_superseded = self.identity.is_some_and(|(identity, _)| scene.transactions.is_superseded(identity, era));
        Some(Ask::Transaction { step, era, is_superseded })
    }

    fn init(&mut self, scene: &mut Scene) -> Result<(), Violation> {
        let request = InitProducerIdRequest {
            transactional_id: Some(TRANSACTIONAL_ID.to_owned()),
            transaction_timeout_ms: self.pace.timeout_ms,
            ..Default::default()
        };
        let ask = self.ask(scene, TxnStep::Init);
        self.line.ask(scene.now, 4, &request, &[], ask)
    }

    fn add(&mut self, scene: &mut Scene, (id, epoch): (i64, i16), partition: i32) -> Result<(), Violation> {
        let topic =
            AddPartitionsToTxnTopic { name: TOPIC.to_owned(), partitions: vec![partition], ..Default::default() };
        let request = AddPartitionsToTxnRequest {
            v3_and_below_transactional_id: TRANSACTIONAL_ID.to_owned(),
            v3_and_below_producer_id: id,
            v3_and_below_producer_epoch: epoch,
            v3_and_below_topics: vec![topic],
            ..Default::default()
        };
        let ask = self.ask(scene, TxnStep::Add { partition });
        self.line.ask(scene.now, 3, &request, &[], ask)
    }

    fn produce(
        &mut self,
        scene: &mut Scene,
        (id, epoch): (i64, i16),
        (number, partition): (Number, i32),
    ) -> Result<(), Violation> {
        let sequence = self.sequences.entry(partition).or_default();
        let mut builder = BatchBuilder::new();
        builder.set_producer(id, epoch, *sequence).set_transactional(true);
        let records = 1 + scene.dice.below(3) as i64;
        for _ in 0..records {
            builder.append(scene.wall_ms, None, Some(&number.to_be_bytes()), &[]);
        }
        *sequence += records as i32;
        let bytes = builder.finish(&mut self.scratch).map_err(|error| Violation(error.to_string()))?.to_vec();
        let data =
            PartitionProduceData { index: partition, records: Records::Outside(bytes.len()), ..Default::default() };
        let topic = TopicProduceData { name: TOPIC.to_owned(), partition_data: vec![data], ..Default::default() };
        let request = ProduceRequest {
            transactional_id: Some(TRANSACTIONAL_ID.to_owned()),
            acks: -1,
            timeout_ms: 10_000,
            topic_data: vec![topic],
            ..Default::default()
        };
        let ask = self.ask(scene, TxnStep::Produce { partition, records });
        self.line.ask(scene.now, if self.pace.is_tv2 { 12 } else { 9 }, &request, &bytes, ask)
    }

    fn end(&mut self, scene: &mut Scene, (id, epoch): (i64, i16), number: Number) -> Result<(), Violation> {
        let commit = !scene.dice.once_in(3);
        if commit {
            scene.transactions.asks_commit(number);
        }
        let request = EndTxnRequest {
            transactional_id: TRANSACTIONAL_ID.to_owned(),
            producer_id: id,
            producer_epoch: epoch,
            committed: commit,
            ..Default::default()
        };
        let ask = self.ask(scene, TxnStep::End { commit });
        self.line.ask(scene.now, if self.pace.is_tv2 { 5 } else { 3 }, &request, &[], ask)
    }

    fn fetch(&mut self, scene: &mut Scene, key: Key) -> Result<(), Violation> {
        let offset = self.reading.as_ref().map_or(0, |reading| reading.offset);
        let partition = FetchPartition {
            partition: key.1,
            fetch_offset: offset,
            partition_max_bytes: [1, 2_000, 1 << 20][scene.dice.below(3)],
            ..Default::default()
        };
        let topic = FetchTopic { topic_id: key.0, partitions: vec![partition], ..Default::default() };
        let request = FetchRequest {
            replica_id: -1,
            max_wait_ms: 100,
            min_bytes: 1,
            max_bytes: 1 << 20,
            isolation_level: 1,
            session_epoch: -1,
            topics: vec![topic],
            ..Default::default()
        };
        self.line.ask(scene.now, 13, &request, &[], Some(Ask::Fetch { from: BTreeMap::new(), era: scene.ledger.era }))
    }

    /// The next request of a transaction.
    fn go_on(&mut self, scene: &mut Scene) -> Result<(), Violation> {
        let Some(port) = self.coordinator else {
            return if self.is_anywhere(scene) { self.find_coordinator(scene) } else { Ok(()) };
        };
        let Some((identity, era)) = self.identity else {
            return if self.is_at(scene, port) { self.init(scene) } else { Ok(()) };
        };
        let number = match self.open {
            Some(open) => open.number,
            None => scene.transactions.begin(era),
        };
        let batches_left = 1 + scene.dice.below(3);
        let mut open = *self.open.get_or_insert(Open { number, added: None, batches_left });
        if self.pace.is_tv2 && open.added.is_none() && open.batches_left > 0 {
            open.added = Some(scene.dice.below(PARTITIONS as usize) as i32);
            self.open = Some(open);
        }
        match open.added {
            Some(partition) => match self.leader(scene, partition) {
                None if self.is_anywhere(scene) => scene.ask_metadata(&mut self.line),
                Some(port) if self.is_at(scene, port) => self.produce(scene, identity, (open.number, partition)),
                _ => Ok(()),
            },
            None if !self.is_at(scene, port) => Ok(()),
            None if open.batches_left > 0 => {
                let partition = scene.dice.below(PARTITIONS as usize) as i32;
                self.add(scene, identity, partition)
            }
            None => self.end(scene, identity, open.number),
        }
    }

    // --- what it is told ---------------------------------------------------------------------------------------------

    /// An answer within a transaction. One who was superseded when it asked may not be served.
    fn told(
        &mut self,
        scene: &mut Scene,
        step: TxnStep,
        (error, base_offset): (ErrorCode, i64),
        era: u32,
    ) -> Result<(), Violation> {
        self.due = scene.in_ms(1, 1 + self.pace.pause_ms);
        let Some(open) = &mut self.open else { return Ok(()) };
        match (error, step) {
            (ErrorCode::NONE, TxnStep::Add { partition }) => open.added = Some(partition),
            (ErrorCode::NONE, TxnStep::Produce { partition, records }) => {
                (open.added, open.batches_left) = (None, open.batches_left - 1);
                if era == scene.ledger.era {
                    let offsets = base_offset..base_offset + records;
                    scene.transactions.acknowledged(open.number, partition, offsets);
                }
            }
            (ErrorCode::NONE, TxnStep::End { commit }) => {
                if commit && era == scene.ledger.era {
                    scene.transactions.committed(open.number);
                }
                self.open = None;
            }
            (ErrorCode::CONCURRENT_TRANSACTIONS, TxnStep::Add { .. }) => {}
            (ErrorCode::COORDINATOR_LOAD_IN_PROGRESS, TxnStep::Add { .. }) => self.due = scene.in_ms(20, 200),
            (error, _) => {
                scene.ledger.note_error("transaction", error);
                self.start_over(scene);
            }
        }
        Ok(())
    }

    fn given(&mut self, scene: &mut Scene, error: ErrorCode, identity: (i64, i16), era: u32) {
        match error {
            ErrorCode::NONE => {
                self.identity = Some((identity, era));
                self.sequences.clear();
                scene.transactions.given(identity, era);
            }
            ErrorCode::CONCURRENT_TRANSACTIONS => self.due = scene.in_ms(10, 100),
            error => {
                scene.ledger.note_error("InitProducerId", error);
                self.back_off(scene);
            }
        }
    }

    fn fetched(&mut self, scene: &mut Scene, one: &PartitionData, frame: &[u8]) -> Result<(), Violation> {
        if one.error_code != 0 {
            scene.ledger.note_error("fetch of transactions", ErrorCode(one.error_code));
            self.reading = None;
            self.back_off(scene);
            return Ok(());
        }
        if let Records::At(range) = &one.records {
            self.read(scene, one, &frame[range.clone()])?;
        }
        self.due = scene.now;
        let Some(reading) = self.reading.take_if(|reading| reading.offset >= one.last_stable_offset) else {
            return Ok(());
        };
        let is_whole = one.last_stable_offset == one.high_watermark;
        if is_whole {
            let to = (reading.partition, one.high_watermark);
            scene.transactions.check_whole(to, &reading.found, scene.ledger.era)?;
        }
        self.looked(scene, &reading, is_whole, one)
    }

    /// In an audit: on to the next partition, or once more while something is open.
    fn looked(
        &mut self,
        scene: &mut Scene,
        reading: &Reading,
        is_whole: bool,
        one: &PartitionData,
    ) -> Result<(), Violation> {
        let Some(partition) = self.audited else { return Ok(()) };
        // What a power cut takes of the transactions' log may leave one open for good, as it does in Kafka.
        if is_whole || scene.ledger.era > 0 {
            self.looks = 0;
            self.audited = Some(partition + 1).filter(|next| *next < PARTITIONS);
            return Ok(());
        }
        self.looks += 1;
        self.due = scene.in_ms(300, 600);
        if self.looks > LOOKS_MAX {
            let (stable, end) = (one.last_stable_offset, one.high_watermark);
            return Err(Violation(format!(
                "partition {} is stable up to {stable} of {end}, and stays so",
                reading.partition
            )));
        }
        Ok(())
    }

    /// Reads as a consumer does: control batches say nothing, and what is on the list of aborted transactions is passed over up to
    /// its marker.
    fn read(&mut self, scene: &Scene, one: &PartitionData, bytes: &[u8]) -> Result<(), Violation> {
        let Some(reading) = &mut self.reading else { return Ok(()) };
        let mut aborted: Vec<(i64, i64)> = one
            .aborted_transactions
            .iter()
            .flatten()
            .map(|transaction| (transaction.first_offset, transaction.producer_id))
            .collect();
        aborted.sort_unstable();
        let mut skipped: Vec<i64> = Vec::new();
        for batch in Batches::new(bytes) {
            let at = (reading.partition, reading.offset);
            let wrong = |error: &dyn std::fmt::Display| Violation(format!("what was read at {at:?}: {error}"));
            let batch = batch.map_err(|error| wrong(&error))?;
            batch.check_crc().map_err(|error| wrong(&error))?;
            let header = batch.header;
            if header.next_offset() <= reading.offset || header.last_offset() >= one.last_stable_offset {
                return Err(wrong(&format!(
                    "a batch up to {}, stable is {}",
                    header.last_offset(),
                    one.last_stable_offset
                )));
            }
            aborted.retain(|(first, producer)| {
                let begins = *first <= header.last_offset();
                if begins {
                    skipped.push(*producer);
                }
                !begins
            });
            if header.is_control() {
                skipped.retain(|producer| *producer != header.producer_id);
            } else if !(header.is_transactional() && skipped.contains(&header.producer_id)) {
                for record in batch.records(&mut self.scratch, INFLATED_LEN_MAX).map_err(|error| wrong(&error))? {
                    let record = record.map_err(|error| wrong(&error))?;
                    let number = record.value.and_then(|value| value.try_into().ok()).map(Number::from_be_bytes);
                    let number = number.ok_or_else(|| wrong(&"a record of nobody"))?;
                    scene.transactions.check_read(number, (reading.partition, record.offset), scene.ledger.era)?;
                    reading.found.insert(record.offset, number);
                }
            }
            reading.offset = header.next_offset();
        }
        Ok(())
    }
}

impl Client for Transactor {
    fn line(&mut self) -> &mut Line<Ask> {
        &mut self.line
    }

    fn act(&mut self, scene: &mut Scene) -> Result<(), Violation> {
        let is_over = match scene.phase {
            Phase::Storm => false,
            // What is open is left to its timeout.
            Phase::Calm => true,
            Phase::Audit => self.audited.is_none(),
        };
        if is_over && self.line.in_flight() == 0 {
            self.due = Nanos(u64::MAX);
            drop(self.line.close(scene.driver.as_mut()));
            (self.identity, self.open, self.reading) = (None, None, None);
            return Ok(());
        }
        if self.due > scene.now || self.line.in_flight() > 0 {
            return Ok(());
        }
        self.due = scene.in_ms(500, 1_000);
        if self.topic.is_none() {
            return match self.is_anywhere(scene) {
                true if self.is_made => scene.ask_metadata(&mut self.line),
                true => self.create(scene),
                false => Ok(()),
            };
        }
        let reads = self.open.is_none() && (self.audited.is_some() || scene.dice.once_in(READ_ONCE_IN));
        if reads && self.reading.is_none() {
            let partition = self.audited.unwrap_or_else(|| scene.dice.below(PARTITIONS as usize) as i32);
            self.reading = Some(Reading { partition, ..Reading::default() });
        }
        let Some(partition) = self.reading.as_ref().map(|reading| reading.partition) else { return self.go_on(scene) };
        match (self.topic, self.leader(scene, partition)) {
            (Some(id), Some(port)) if self.is_at(scene, port) => self.fetch(scene, (id, partition)),
            (_, None) if self.is_anywhere(scene) => scene.ask_metadata(&mut self.line),
            _ => Ok(()),
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
                self.topic = found.get(TOPIC).map(|(id, _)| *id).or(self.topic);
                self.due = scene.in_ms(1, 100);
                Ok(())
            }
            Ask::FindCoordinator => {
                let response = flight.read::<FindCoordinatorRequest>(frame)?;
                self.coordinator = (response.error_code == 0).then_some(response.port as u16);
                self.due = scene.in_ms(1, 100);
                Ok(())
            }
            Ask::Transaction { step: TxnStep::Init, era, .. } => {
                let response = flight.read::<InitProducerIdRequest>(frame)?;
                let identity = (response.producer_id, response.producer_epoch);
                self.due = scene.in_ms(1, 1 + self.pace.pause_ms);
                self.given(scene, ErrorCode(response.error_code), identity, *era);
                Ok(())
            }
            Ask::Transaction { step, era, is_superseded } => {
                let (error, base_offset) = match step {
                    TxnStep::Produce { .. } => {
                        let response = flight.read::<ProduceRequest>(frame)?;
                        let one = response.responses.first().and_then(|topic| topic.partition_responses.first());
                        let one = one.ok_or_else(missing)?;
                        (one.error_code, one.base_offset)
                    }
                    TxnStep::Add { .. } => {
                        let response = flight.read::<AddPartitionsToTxnRequest>(frame)?;
                        let topic = response.results_by_topic_v3_and_below.first();
                        let one = topic.and_then(|topic| topic.results_by_partition.first()).ok_or_else(missing)?;
                        (one.partition_error_code, 0)
                    }
                    TxnStep::End { .. } => {
                        let response = flight.read::<EndTxnRequest>(frame)?;
                        if response.error_code == 0 && self.pace.is_tv2 {
                            let identity = (response.producer_id, response.producer_epoch);
                            self.given(scene, ErrorCode::NONE, identity, *era);
                        }
                        (response.error_code, 0)
                    }
                    TxnStep::Init => (0, 0),
                };
                let is_coordinators = !matches!(step, TxnStep::Produce { .. });
                if error == 0 && *is_superseded && is_coordinators && *era == scene.ledger.era {
                    return Err(Violation(format!("{step:?} was taken from one whose id another had been given")));
                }
                self.told(scene, *step, (ErrorCode(error), base_offset), *era)
            }
            Ask::Fetch { era, .. } => {
                let response = flight.read::<FetchRequest>(frame)?;
                let one = response.responses.first().and_then(|topic| topic.partitions.first());
                match one {
                    Some(one) if *era == scene.ledger.era => self.fetched(scene, one, frame),
                    _ => {
                        self.reading = None;
                        self.back_off(scene);
                        Ok(())
                    }
                }
            }
            _ => Ok(()),
        }
    }

    fn lost(&mut self, scene: &mut Scene, _flights: Vec<Flight<Ask>>) {
        self.reading = None;
        self.start_over(scene);
    }

    fn begin_audit(&mut self, scene: &mut Scene) {
        self.audited = self.topic.map(|_| 0);
        (self.reading, self.looks, self.due) = (None, 0, scene.now);
    }

    fn due(&self) -> Nanos {
        self.due
    }

    fn is_done(&self) -> bool {
        self.line.in_flight() == 0 && self.audited.is_none()
    }

    fn name(&self) -> String {
        format!(
            "transactor {:?}, open {:?}, reading {:?}",
            self.identity,
            self.open,
            self.reading.as_ref().map(|it| it.offset)
        )
    }
}
