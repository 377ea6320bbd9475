//! The coordinator as a whole, with its log and its partitions played by the test.

mod load;
mod table;
mod tv2;
mod upkeep;

use std::collections::{BTreeMap, VecDeque};

use ringlog_io::Nanos;
use ringlog_wire::ErrorCode;
use ringlog_wire::batch::BatchBuilder;
use ringlog_wire::compression::Scratch;
use ringlog_wire::messages::add_partitions_to_txn::{AddPartitionsToTxnRequest, AddPartitionsToTxnTopic};
use ringlog_wire::messages::end_txn::{EndTxnRequest, EndTxnResponse};
use ringlog_wire::messages::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};

use super::state::State;
use super::*;
use crate::coordinator::group::ReplyTo;

const ID: &str = "copier";
const TIMEOUT_MS: i32 = 60_000;
/// What producers of the client speak.
const INIT_VERSION: i16 = 5;
const ADD_VERSION: i16 = 3;
const END_VERSION: i16 = 4;

/// What a client's transaction may be in.
const STATES: [State; 6] = [
    State::Empty,
    State::Ongoing,
    State::PrepareCommit,
    State::PrepareAbort,
    State::CompleteCommit,
    State::CompleteAbort,
];

/// A coordinator that owns the only partition of `__transaction_state`.
struct Rig {
    coordinator: TransactionCoordinator,
    at: Moment,
    next_id: i64,
    asked: u64,
    answers: BTreeMap<u64, TxnResponse>,
    /// Appends that the log has not answered.
    appending: VecDeque<(Ticket, Vec<KeyValue>)>,
    log: Vec<KeyValue>,
    /// Markers that were not written yet.
    marking: VecDeque<(Ticket, Marker, TopicPartition)>,
}

/// The answer to a request, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ask(u64);

impl Rig {
    fn new() -> Self {
        Self::on(&[])
    }

    /// One that takes over what the log says.
    fn on(log: &[KeyValue]) -> Self {
        let mut coordinator = TransactionCoordinator::new(TxnSettings::default());
        coordinator.owned.set_count(1);
        coordinator.owned.begin_load(0);
        let at = Moment { now: Nanos(1), wall_ms: 1_700_000_000_000 };
        let bytes = batch(log);
        assert_eq!(coordinator.load_part(0, &bytes).unwrap(), bytes.len());
        let mut rig = Self {
            coordinator,
            at,
            next_id: 1000,
            asked: 0,
            answers: BTreeMap::new(),
            appending: VecDeque::new(),
            log: log.to_vec(),
            marking: VecDeque::new(),
        };
        let effects = rig.coordinator.finish_load(0, at);
        rig.act(effects);
        rig
    }

    fn ask(&mut self, api_version: i16, request: TxnRequest) -> Ask {
        let ask = Ask(self.asked);
        self.asked += 1;
        let caller = Caller { to: ReplyTo(ask.0), api_version };
        let next_id = &mut self.next_id;
        let mut ids = || {
            *next_id += 1;
            Some(*next_id - 1)
        };
        let effects = self.coordinator.handle(caller, request, &mut ids, self.at);
        self.act(effects);
        ask
    }

    fn act(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Reply { to, response } => {
                    assert!(to.0 < self.asked, "an answer to nobody");
                    assert!(self.answers.insert(to.0, response).is_none(), "request {} was answered twice", to.0);
                }
                Effect::Append { partition, ticket, records } => {
                    assert_eq!((partition, records.len()), (0, 1));
                    self.appending.push_back((ticket, records));
                }
                Effect::Mark { partition, ticket, marker, into } => {
                    assert_eq!(partition, 0);
                    assert!(self.appending.is_empty(), "what is decided is in the log before a marker goes out");
                    self.marking.push_back((ticket, marker, into));
                }
            }
        }
    }

    /// The log takes everything that is on its way.
    fn settle(&mut self) {
        while let Some((ticket, mut records)) = self.appending.pop_front() {
            self.log.append(&mut records);
            let effects = self.coordinator.appended(ticket, Ok(0), self.at);
            self.act(effects);
        }
    }

    /// The log refuses everything that is on its way.
    fn fail_appends(&mut self, error: ErrorCode) {
        for (ticket, _) in std::mem::take(&mut self.appending) {
            let effects = self.coordinator.appended(ticket, Err(error), self.at);
            self.act(effects);
        }
    }

    /// Every marker is written, and what follows from it.
    fn write_markers(&mut self) -> Vec<Marker> {
        let mut written = Vec::new();
        while let Some((ticket, marker, _)) = self.marking.pop_front() {
            let effects = self.coordinator.marked(ticket, self.at);
            self.act(effects);
            written.push(marker);
        }
        self.settle();
        written
    }

    fn pass_ms(&mut self, ms: u64) {
        self.at.now.0 += ms * 1_000_000;
        self.at.wall_ms += i64::try_from(ms).unwrap();
        let effects = self.coordinator.tick(self.at);
        self.act(effects);
    }

    fn state(&self) -> Option<State> {
        self.coordinator.ids.get(ID).map(|known| known.now.state)
    }

    // --- requests ----------------------------------------------------------------------------------------------------

    fn init(&mut self, expected: Option<(i64, i16)>) -> Ask {
        let (producer_id, producer_epoch) = expected.unwrap_or((-1, -1));
        let request = InitProducerIdRequest {
            transactional_id: Some(ID.to_owned()),
            transaction_timeout_ms: TIMEOUT_MS,
            producer_id,
            producer_epoch,
            ..Default::default()
        };
        self.ask(INIT_VERSION, TxnRequest::InitProducerId(request))
    }

    fn add(&mut self, (id, epoch): (i64, i16), partitions: &[i32]) -> Ask {
        let request = AddPartitionsToTxnRequest {
            v3_and_below_transactional_id: ID.to_owned(),
            v3_and_below_producer_id: id,
            v3_and_below_producer_epoch: epoch,
            v3_and_below_topics: vec![topic(partitions)],
            ..Default::default()
        };
        self.ask(ADD_VERSION, TxnRequest::AddPartitions(request))
    }

    fn end(&mut self, producer: (i64, i16), committed: bool) -> Ask {
        self.end_in(END_VERSION, producer, committed)
    }

    fn end_in(&mut self, version: i16, (producer_id, producer_epoch): (i64, i16), committed: bool) -> Ask {
        let transactional_id = ID.to_owned();
        let request = EndTxnRequest { transactional_id, producer_id, producer_epoch, committed, ..Default::default() };
        self.ask(version, TxnRequest::EndTxn(request))
    }

    fn verify(&self, (producer_id, producer_epoch): (i64, i16), partition: i32) -> ErrorCode {
        let claim = Claim { transactional_id: ID.to_owned(), producer_id, producer_epoch, is_tv2: false };
        let found = self.coordinator.verify(&claim, &("t".to_owned(), partition));
        found.err().unwrap_or(ErrorCode::NONE)
    }

    // --- answers -----------------------------------------------------------------------------------------------------

    fn waits(&self, ask: Ask) -> bool {
        !self.answers.contains_key(&ask.0)
    }

    fn error(&self, ask: Ask) -> ErrorCode {
        ErrorCode(match &self.answers[&ask.0] {
            TxnResponse::InitProducerId(body) => body.error_code,
            TxnResponse::AddPartitions(body) => {
                body.results_by_topic_v3_and_below[0].results_by_partition[0].partition_error_code
            }
            TxnResponse::AddOffsets(body) => body.error_code,
            TxnResponse::EndTxn(body) => body.error_code,
            TxnResponse::Enter(found) => found.err().unwrap_or(ErrorCode::NONE).0,
            other => panic!("{other:?} has no error of its own"),
        })
    }

    fn producer(&self, ask: Ask) -> (i64, i16) {
        match &self.answers[&ask.0] {
            TxnResponse::InitProducerId(InitProducerIdResponse {
                error_code: 0, producer_id, producer_epoch, ..
            })
            | TxnResponse::EndTxn(EndTxnResponse { error_code: 0, producer_id, producer_epoch, .. }) => {
                (*producer_id, *producer_epoch)
            }
            other => panic!("{ask:?} was given no producer but {other:?}"),
        }
    }

    fn begin(&mut self) -> (i64, i16) {
        let ask = self.init(None);
        self.settle();
        self.producer(ask)
    }

    /// A producer whose transaction is in this state.
    fn reach(state: State) -> (Self, (i64, i16)) {
        let mut rig = Self::new();
        let producer = rig.begin();
        if state != State::Empty {
            rig.add(producer, &[0, 1]);
            rig.settle();
        }
        if !matches!(state, State::Empty | State::Ongoing) {
            rig.end(producer, matches!(state, State::PrepareCommit | State::CompleteCommit));
            rig.settle();
        }
        if matches!(state, State::CompleteCommit | State::CompleteAbort) {
            rig.write_markers();
        }
        assert_eq!(rig.state(), Some(state));
        (rig, producer)
    }
}

fn topic(partitions: &[i32]) -> AddPartitionsToTxnTopic {
    AddPartitionsToTxnTopic { name: "t".to_owned(), partitions: partitions.to_vec(), ..Default::default() }
}

fn batch(records: &[KeyValue]) -> Vec<u8> {
    if records.is_empty() {
        return Vec::new();
    }
    let mut builder = BatchBuilder::new();
    for (key, value) in records {
        builder.append(0, Some(key), value.as_deref(), &[]);
    }
    builder.finish(&mut Scratch::default()).unwrap();
    builder.take()
}
