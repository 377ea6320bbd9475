//! The last client: when nothing goes wrong any more, every partition takes a batch, and everything is read.
//!
//! ```text
//!   produce --> where does it begin? --> below that: out of range --> everything from there on
//! ```

use std::collections::VecDeque;

use ringlog_io::Nanos;
use ringlog_wire::ErrorCode;
use ringlog_wire::codec::Records;
use ringlog_wire::messages::fetch::FetchRequest;
use ringlog_wire::messages::list_offsets::{ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic};
use ringlog_wire::messages::produce::{PartitionProduceData, ProduceRequest, TopicProduceData};

use super::Violation;
use super::clients::{Ask, Client, Phase, Scene};
use super::ledger::{Aim, Key};
use super::line::{Flight, Line};
use super::requests;

/// ListOffsets' time for the beginning of the log.
const EARLIEST: i64 = -2;
/// How often a partition may refuse before it counts as broken.
const REFUSALS_MAX: u32 = 60;

/// What is done with a partition, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Produce,
    Begin,
    /// A read just below the beginning.
    Below,
    Read,
}

/// See the head of the file.
pub(super) struct Auditor {
    line: Line<Ask>,
    /// What is left to do: partitions, and the next step of each.
    work: VecDeque<(String, Key, Step)>,
    offset: i64,
    /// A batch that is on its way.
    refusals: u32,
    last_error: Option<ErrorCode>,
    has_begun: bool,
    due: Nanos,
}

impl Auditor {
    pub(super) fn new(client: usize) -> Self {
        Self {
            line: Line::new(client),
            work: VecDeque::new(),
            offset: 0,
            refusals: 0,
            last_error: None,
            has_begun: false,
            due: Nanos(u64::MAX),
        }
    }

    fn produce(&mut self, scene: &mut Scene, (name, key): (&str, Key)) -> Result<(), Violation> {
        let stream = scene.new_stream();
        let wall_ms = scene.wall_ms;
        let (batch, bytes) = scene.ledger.make((name, key.1), (Aim::Id(key.0), stream), (1, 10), None, wall_ms);
        let data = PartitionProduceData { index: key.1, records: Records::Outside(bytes.len()), ..Default::default() };
        let topic = TopicProduceData { topic_id: key.0, partition_data: vec![data], ..Default::default() };
        let request = ProduceRequest { acks: -1, timeout_ms: 10_000, topic_data: vec![topic], ..Default::default() };
        self.line.ask(scene.now, 13, &request, &bytes, Some(Ask::Produce { batch, era: scene.ledger.era }))
    }

    fn ask_earliest(&mut self, scene: &mut Scene, (name, key): (&str, Key)) -> Result<(), Violation> {
        let partition = ListOffsetsPartition { partition_index: key.1, timestamp: EARLIEST, ..Default::default() };
        let topic = ListOffsetsTopic { name: name.to_owned(), partitions: vec![partition], ..Default::default() };
        let request = ListOffsetsRequest { replica_id: -1, topics: vec![topic], ..Default::default() };
        self.line.ask(scene.now, 7, &request, &[], Some(Ask::Earliest { key }))
    }

    fn step(&mut self, step: Step) {
        self.refusals = 0;
        if let Some(front) = self.work.front_mut() {
            front.2 = step;
        }
    }

    fn fetch(&mut self, scene: &mut Scene, key: Key) -> Result<(), Violation> {
        let request = requests::fetch(key, self.offset, 1 << 20);
        let from = [(key, (self.offset, scene.ledger.floor(key)))].into();
        self.line.ask(scene.now, 13, &request, &[], Some(Ask::Fetch { from, era: scene.ledger.era }))
    }

    fn refused(&mut self, scene: &mut Scene, error: ErrorCode) -> Result<(), Violation> {
        self.refusals += 1;
        self.last_error = Some(error);
        self.due = scene.in_ms(100, 1_000);
        let Some((name, key, step)) = self.work.front() else { return Ok(()) };
        scene.leaders.remove(key);
        if self.refusals > REFUSALS_MAX {
            let what = if *step == Step::Produce { "batches" } else { "reads" };
            return Err(Violation(format!("{name}-{} goes on refusing {what} when all is well: {error}", key.1)));
        }
        Ok(())
    }
}

impl Client for Auditor {
    fn line(&mut self) -> &mut Line<Ask> {
        &mut self.line
    }

    fn act(&mut self, scene: &mut Scene) -> Result<(), Violation> {
        let Some((name, key, step)) = self.work.front().cloned() else {
            self.due = Nanos(u64::MAX);
            drop(self.line.close(scene.driver.as_mut()));
            return Ok(());
        };
        if scene.phase != Phase::Audit || self.due > scene.now || self.line.in_flight() > 0 {
            return Ok(());
        }
        self.due = scene.in_ms(500, 1_000);
        let leader = scene.leaders.get(&key).copied();
        if self.line.is_closed() || leader.is_some_and(|port| self.line.is_open() && port != self.line.port) {
            let port = leader.unwrap_or_else(|| scene.any_port());
            drop(self.line.connect(scene.driver.as_mut(), port));
            return Ok(());
        }
        if !self.line.is_open() {
            return Ok(());
        }
        match (leader, step) {
            (None, _) => scene.ask_metadata(&mut self.line),
            (Some(_), Step::Produce) => self.produce(scene, (&name, key)),
            (Some(_), Step::Begin) => self.ask_earliest(scene, (&name, key)),
            (Some(_), Step::Below | Step::Read) => self.fetch(scene, key),
        }
    }

    fn reply(&mut self, scene: &mut Scene, flight: Flight<Ask>, frame: &[u8]) -> Result<(), Violation> {
        let missing = || Violation("an answer without its partition".to_owned());
        self.due = scene.now;
        match &flight.ask {
            Ask::Metadata { .. } => {
                scene.learn(&flight, frame)?;
                let is_led = self.work.front().is_none_or(|(_, key, _)| scene.leaders.contains_key(key));
                if is_led { Ok(()) } else { self.refused(scene, ErrorCode::LEADER_NOT_AVAILABLE) }
            }
            Ask::Produce { batch, era } => {
                let response = flight.read::<ProduceRequest>(frame)?;
                let one = response.responses.first().and_then(|topic| topic.partition_responses.first());
                let one = one.ok_or_else(missing)?;
                if one.error_code != 0 {
                    scene.ledger.refused(*batch);
                    return self.refused(scene, ErrorCode(one.error_code));
                }
                self.step(Step::Begin);
                scene.ledger.acknowledged(*batch, one.base_offset, *era)
            }
            Ask::Earliest { key } => {
                let response = flight.read::<ListOffsetsRequest>(frame)?;
                let one = response.topics.first().and_then(|topic| topic.partitions.first()).ok_or_else(missing)?;
                if one.error_code != 0 {
                    return self.refused(scene, ErrorCode(one.error_code));
                }
                scene.ledger.starts_of_logs.found(*key, one.offset)?;
                self.step(if one.offset > 0 { Step::Below } else { Step::Read });
                self.offset = (one.offset - 1).max(0);
                Ok(())
            }
            Ask::Fetch { from, era } => {
                let response = flight.read::<FetchRequest>(frame)?;
                if response.error_code != 0 {
                    return self.refused(scene, ErrorCode(response.error_code));
                }
                let topic = response.responses.first().ok_or_else(missing)?;
                let one = topic.partitions.first().ok_or_else(missing)?;
                let key = (topic.topic_id, one.partition_index);
                let is_below = self.work.front().is_some_and(|(_, _, step)| *step == Step::Below);
                match ErrorCode(one.error_code) {
                    ErrorCode::NONE if is_below => {
                        return Err(Violation(format!("{key:?}: {} was read, and it begins later", self.offset)));
                    }
                    ErrorCode::NONE => {}
                    ErrorCode::OFFSET_OUT_OF_RANGE if is_below => {
                        self.offset += 1;
                        self.step(Step::Read);
                        return Ok(());
                    }
                    error => {
                        if error == ErrorCode::OFFSET_OUT_OF_RANGE
                            && let Some(front) = self.work.front_mut()
                        {
                            // Retention was faster.
                            front.2 = Step::Begin;
                        }
                        return self.refused(scene, error);
                    }
                }
                let floor = from.get(&key).ok_or_else(missing)?.1;
                scene.ledger.check_end(key, one.high_watermark, floor, *era)?;
                if let Records::At(range) = &one.records {
                    let next = scene.ledger.saw(key, self.offset, &frame[range.clone()], *era)?;
                    if next == self.offset && self.offset < one.high_watermark {
                        return self.refused(scene, ErrorCode::NONE);
                    }
                    self.offset = next;
                }
                if self.offset >= one.high_watermark {
                    self.work.pop_front();
                    (self.offset, self.refusals) = (0, 0);
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn begin_audit(&mut self, scene: &mut Scene) {
        scene.ledger.begin_audit();
        self.work = scene.ledger.partitions().into_iter().map(|(name, key)| (name, key, Step::Produce)).collect();
        (self.offset, self.refusals, self.has_begun, self.due) = (0, 0, true, scene.now);
    }

    fn lost(&mut self, scene: &mut Scene, flights: Vec<Flight<Ask>>) {
        for flight in flights {
            if let Ask::Produce { batch, .. } = flight.ask {
                scene.ledger.forgotten(batch);
            }
        }
        self.due = scene.in_ms(50, 400);
    }

    fn due(&self) -> Nanos {
        self.due
    }

    fn is_done(&self) -> bool {
        !self.has_begun || self.work.is_empty()
    }

    fn name(&self) -> String {
        let front = self.work.front().map(|(name, key, _)| format!("{name}-{}", key.1));
        format!("auditor at {front:?} offset {}, last refused with {:?}", self.offset, self.last_error)
    }
}
