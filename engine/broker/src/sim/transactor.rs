//! A transactional client. All of them have one transactional id, so that they take it from each other, and one topic; each
//! writes transactions and reads the topic under read_committed, as a consumer does (`transaction_reader.rs`).
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
use ringlog_wire::batch::BatchBuilder;
use ringlog_wire::compression::Scratch;
use ringlog_wire::messages::create_topics::CreateTopicsRequest;
use ringlog_wire::messages::fetch::{FetchRequest, PartitionData};
use ringlog_wire::messages::find_coordinator::FindCoordinatorRequest;
use ringlog_wire::{ErrorCode, Request, Uuid};

use super::Violation;
use super::clients::{Ask, Client, Phase, Scene};
use super::ledger::Key;
use super::line::{Flight, Line};
use super::requests;
use super::transaction_book::Number;
use super::transaction_reader::TransactionReader;
use super::transaction_steps::{self as steps, Identity, PARTITIONS, TOPIC, Told, TxnStep};

/// One in so many steps between two transactions begins a reading.
const READ_ONCE_IN: usize = 6;

/// How it works, for its whole life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pace {
    /// After how long the coordinator aborts what it leaves open.
    pub(super) timeout_ms: i32,
    pub(super) pause_ms: u64,
    /// It speaks version 2 of transactions.
    pub(super) is_tv2: bool,
}

/// The transaction that is open.
#[derive(Clone, Copy, Debug)]
struct Open {
    number: Number,
    /// Where a batch goes next; it was added.
    added: Option<i32>,
    batches_left: usize,
}

/// See the head of the file.
pub(super) struct Transactor {
    line: Line<Ask>,
    pace: Pace,
    topic: Option<Uuid>,
    is_made: bool,
    coordinator: Option<u16>,
    /// The producer and the era in which it was given, and the next sequence number of each partition.
    identity: Option<(Identity, u32)>,
    sequences: BTreeMap<i32, i32>,
    open: Option<Open>,
    reader: TransactionReader,
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
            reader: TransactionReader::default(),
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
        let request = requests::create_topic(TOPIC, PARTITIONS, &[("retention.bytes", "-1"), ("retention.ms", "-1")]);
        self.line.ask(scene.now, 7, &request, &[], Some(Ask::CreateTopic { name: TOPIC.to_owned() }))
    }

    fn ask<R: Request>(
        &mut self,
        scene: &Scene,
        step: TxnStep,
        (version, request): (i16, &R),
        records: &[u8],
    ) -> Result<(), Violation> {
        let era = scene.ledger.era;
        let is_superseded = self.identity.is_some_and(|(identity, _)| scene.transactions.is_superseded(identity, era));
        self.line.ask(scene.now, version, request, records, Some(Ask::Transaction { step, era, is_superseded }))
    }

    fn produce(
        &mut self,
        scene: &mut Scene,
        (id, epoch): Identity,
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
        let (version, request) = (if self.pace.is_tv2 { 12 } else { 9 }, steps::produce(partition, bytes.len()));
        self.ask(scene, TxnStep::Produce { partition, records }, (version, &request), &bytes)
    }

    fn end(&mut self, scene: &mut Scene, identity: Identity, number: Number) -> Result<(), Violation> {
        let commit = !scene.dice.once_in(3);
        if commit {
            scene.transactions.asks_commit(number);
        }
        let (version, request) = (if self.pace.is_tv2 { 5 } else { 3 }, steps::end(identity, commit));
        self.ask(scene, TxnStep::End { commit }, (version, &request), &[])
    }

    fn fetch(&mut self, scene: &mut Scene, key: Key) -> Result<(), Violation> {
        let request = self.reader.request(scene, key);
        self.line.ask(scene.now, 13, &request, &[], Some(Ask::Fetch { from: BTreeMap::new(), era: scene.ledger.era }))
    }

    /// The next request of a transaction.
    fn go_on(&mut self, scene: &mut Scene) -> Result<(), Violation> {
        let Some(port) = self.coordinator else {
            return match self.is_anywhere(scene) {
                true => self.line.ask(scene.now, 3, &steps::find_coordinator(), &[], Some(Ask::FindCoordinator)),
                false => Ok(()),
            };
        };
        let Some((identity, era)) = self.identity else {
            return match self.is_at(scene, port) {
                true => self.ask(scene, TxnStep::Init, (4, &steps::init(self.pace.timeout_ms)), &[]),
                false => Ok(()),
            };
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
                self.ask(scene, TxnStep::Add { partition }, (3, &steps::add(identity, partition)), &[])
            }
            None => self.end(scene, identity, open.number),
        }
    }

    // --- what it is told ---------------------------------------------------------------------------------------------

    /// An answer of a step. One who was superseded when it asked may not be served.
    fn answered(
        &mut self,
        scene: &mut Scene,
        (step, told): (TxnStep, Told),
        (era, is_superseded): (u32, bool),
    ) -> Result<(), Violation> {
        let Told { error, base_offset, identity } = told;
        self.due = scene.in_ms(1, 1 + self.pace.pause_ms);
        if step == TxnStep::Init {
            self.given(scene, error, identity.unwrap_or_default(), era);
            return Ok(());
        }
        if let Some(identity) = identity {
            self.given(scene, ErrorCode::NONE, identity, era);
        }
        if error.is_none() && is_superseded && step.is_coordinators() && era == scene.ledger.era {
            return Err(Violation(format!("{step:?} was taken from one whose id another had been given")));
        }
        self.told(scene, step, (error, base_offset), era);
        Ok(())
    }

    /// An answer within a transaction.
    fn told(&mut self, scene: &mut Scene, step: TxnStep, (error, base_offset): (ErrorCode, i64), era: u32) {
        let Some(open) = &mut self.open else { return };
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
    }

    fn given(&mut self, scene: &mut Scene, error: ErrorCode, identity: Identity, era: u32) {
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
            self.reader.give_up();
            self.back_off(scene);
            return Ok(());
        }
        let is_open = self.reader.fetched(scene, one, frame)?;
        self.due = if is_open { scene.in_ms(300, 600) } else { scene.now };
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
            Phase::Audit => !self.reader.is_audited(),
        };
        if is_over && self.line.in_flight() == 0 {
            self.due = Nanos(u64::MAX);
            drop(self.line.close(scene.driver.as_mut()));
            (self.identity, self.open) = (None, None);
            self.reader.give_up();
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
        if self.open.is_none() && (self.reader.is_audited() || scene.dice.once_in(READ_ONCE_IN)) {
            self.reader.begin(scene);
        }
        let Some(partition) = self.reader.partition() else { return self.go_on(scene) };
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
            Ask::Transaction { step, era, is_superseded } => {
                let told = step.answer(&flight, frame, self.pace.is_tv2)?;
                self.answered(scene, (*step, told), (*era, *is_superseded))
            }
            Ask::Fetch { era, .. } => {
                let response = flight.read::<FetchRequest>(frame)?;
                let one = response.responses.first().and_then(|topic| topic.partitions.first());
                match one {
                    Some(one) if *era == scene.ledger.era => self.fetched(scene, one, frame),
                    _ => {
                        self.reader.give_up();
                        self.back_off(scene);
                        Ok(())
                    }
                }
            }
            _ => Ok(()),
        }
    }

    fn lost(&mut self, scene: &mut Scene, _flights: Vec<Flight<Ask>>) {
        self.reader.give_up();
        self.start_over(scene);
    }

    fn begin_audit(&mut self, scene: &mut Scene) {
        if self.topic.is_some() {
            self.reader.begin_audit();
        }
        self.due = scene.now;
    }

    fn due(&self) -> Nanos {
        self.due
    }

    fn is_done(&self) -> bool {
        self.line.in_flight() == 0 && !self.reader.is_audited()
    }

    fn name(&self) -> String {
        format!("transactor {:?}, open {:?}, reading {:?}", self.identity, self.open, self.reader.offset())
    }
}
