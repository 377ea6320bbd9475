//! A consumer without a group: long polls over every partition that one shard leads, in a fetch session or without, or many
//! polls on one connection.

use std::collections::BTreeMap;

use ringlog_io::Nanos;
use ringlog_wire::ErrorCode;
use ringlog_wire::codec::Records;
use ringlog_wire::messages::fetch::{
    FetchPartition, FetchRequest, FetchResponse, FetchTopic, ForgottenTopic, PartitionData,
};

use super::Violation;
use super::clients::{Ask, Client, Phase, Scene};
use super::ledger::Key;
use super::line::{Flight, Line};

/// How a consumer fetches, for its whole life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Habit {
    pub(super) in_session: bool,
    /// Polls that it has under way at once (without a session).
    pub(super) polls: usize,
    pub(super) max_wait_ms: i32,
    pub(super) min_bytes: i32,
    pub(super) max_bytes: i32,
}

/// See the head of the file.
pub(super) struct Fetcher {
    line: Line<Ask>,
    habit: Habit,
    /// Where it reads next.
    positions: BTreeMap<Key, Position>,
    /// The session: its id, the epoch of the next request, and what it holds.
    session: Option<(i32, i32, BTreeMap<Key, i64>)>,
    asks_metadata: bool,
    knows: bool,
    due: Nanos,
}

#[derive(Clone, Copy, Debug)]
struct Position {
    offset: i64,
    era: u32,
}

impl Fetcher {
    pub(super) fn new(client: usize, habit: Habit) -> Self {
        Self {
            line: Line::new(client),
            habit,
            positions: BTreeMap::new(),
            session: None,
            asks_metadata: false,
            knows: false,
            due: Nanos(0),
        }
    }

    fn forget(&mut self) {
        self.session = None;
        (self.asks_metadata, self.knows) = (false, false);
    }

    /// The partitions that the shard at the other end leads, and the next offset of each.
    fn wanted(&mut self, scene: &Scene) -> BTreeMap<Key, i64> {
        let there = scene.ledger.partitions();
        self.positions.retain(|key, _| there.iter().any(|(_, one)| one == key));
        let mut wanted = BTreeMap::new();
        for (_, key) in there {
            if scene.leaders.get(&key) == Some(&self.line.port) {
                let era = scene.ledger.era;
                let position = self.positions.entry(key).or_insert(Position { offset: 0, era });
                wanted.insert(key, position.offset);
            }
        }
        wanted
    }

    fn poll(&mut self, scene: &mut Scene) -> Result<(), Violation> {
        let wanted = self.wanted(scene);
        if wanted.is_empty() {
            self.knows = false;
            self.due = scene.in_ms(200, 800);
            let lost = self.line.close(scene.driver.as_mut());
            drop(lost);
            self.forget();
            return Ok(());
        }
        let mut request = FetchRequest {
            replica_id: -1,
            max_wait_ms: self.habit.max_wait_ms,
            min_bytes: self.habit.min_bytes,
            max_bytes: self.habit.max_bytes,
            session_id: 0,
            session_epoch: if self.habit.in_session { 0 } else { -1 },
            ..Default::default()
        };
        let mut asked = wanted.clone();
        if let Some((id, epoch, held)) = self.session.as_ref().filter(|_| self.habit.in_session) {
            (request.session_id, request.session_epoch) = (*id, *epoch);
            asked.retain(|key, offset| held.get(key) != Some(offset));
            for key in held.keys().filter(|key| !wanted.contains_key(key)) {
                request.forgotten_topics_data.push(ForgottenTopic {
                    topic_id: key.0,
                    partitions: vec![key.1],
                    ..Default::default()
                });
            }
        }
        for (key, offset) in asked {
            let partition = FetchPartition {
                partition: key.1,
                fetch_offset: offset,
                partition_max_bytes: self.habit.max_bytes,
                ..Default::default()
            };
            match request.topics.last_mut().filter(|topic: &&mut FetchTopic| topic.topic_id == key.0) {
                Some(topic) => topic.partitions.push(partition),
                None => {
                    let partitions = vec![partition];
                    request.topics.push(FetchTopic { topic_id: key.0, partitions, ..Default::default() });
                }
            }
        }
        let from = wanted.iter().map(|(key, offset)| (*key, (*offset, scene.ledger.floor(*key)))).collect();
        let ask = Ask::Fetch { from, era: scene.ledger.era };
        if let Some((_, _, held)) = &mut self.session {
            *held = wanted;
        }
        self.line.ask(scene.now, 16, &request, &[], Some(ask))
    }

    fn fetched(
        &mut self,
        scene: &mut Scene,
        (response, frame): (&FetchResponse, &[u8]),
        (from, era): (&BTreeMap<Key, (i64, i64)>, u32),
    ) -> Result<(), Violation> {
        match ErrorCode(response.error_code) {
            ErrorCode::NONE => {}
            error => {
                scene.ledger.note_error("fetch", error);
                self.session = None;
                self.due = scene.in_ms(20, 200);
                return Ok(());
            }
        }
        if self.habit.in_session && response.session_id != 0 {
            self.session = Some(match self.session.take() {
                Some((id, epoch, held)) if id == response.session_id => (id, epoch + 1, held),
                _ => (response.session_id, 1, from.iter().map(|(key, (offset, _))| (*key, *offset)).collect()),
            });
        }
        for topic in &response.responses {
            for partition in &topic.partitions {
                let key = (topic.topic_id, partition.partition_index);
                let Some((offset, floor)) = from.get(&key).copied() else {
                    return Err(Violation(format!("a fetch was answered with {key:?}, which it did not ask for")));
                };
                self.partition(scene, (key, partition, frame), (offset, floor, era))?;
            }
        }
        Ok(())
    }

    fn partition(
        &mut self,
        scene: &mut Scene,
        (key, partition, frame): (Key, &PartitionData, &[u8]),
        (offset, floor, era): (i64, i64, u32),
    ) -> Result<(), Violation> {
        match ErrorCode(partition.error_code) {
            ErrorCode::NONE => {
                scene.ledger.check_end(key, partition.high_watermark, floor, era)?;
                let next = match &partition.records {
                    Records::At(range) => scene.ledger.saw(key, offset, &frame[range.clone()], era)?,
                    _ => offset,
                };
                if next > partition.high_watermark {
                    let end = partition.high_watermark;
                    return Err(Violation(format!("{key:?}: records up to {next} were given out, it ends at {end}")));
                }
                if let Some(position) = self.positions.get_mut(&key)
                    && position.offset == offset
                {
                    *position = Position { offset: next, era };
                }
                Ok(())
            }
            ErrorCode::OFFSET_OUT_OF_RANGE if offset < scene.ledger.starts_of_logs.latest(key) => {
                // The log begins later now.
                let next = scene.ledger.starts_of_logs.resume(key, scene.ledger.floor(key));
                if let Some(position) = self.positions.get_mut(&key).filter(|at| at.offset == offset) {
                    *position = Position { offset: next, era };
                }
                self.due = scene.in_ms(5, 50);
                Ok(())
            }
            ErrorCode::OFFSET_OUT_OF_RANGE => {
                // Of several polls the first that hears of it starts over; the others ask where it was.
                let position = self.positions.get(&key).copied().filter(|at| at.offset == offset);
                if position.is_some() {
                    self.positions.remove(&key);
                }
                let is_same_era = position.is_some_and(|at| at.era == scene.ledger.era) && era == scene.ledger.era;
                if is_same_era {
                    return Err(Violation(format!("{key:?}: {offset} is out of range, and was not before")));
                }
                Ok(())
            }
            error => {
                scene.ledger.note_error("fetch of a partition", error);
                scene.leaders.remove(&key);
                self.knows = false;
                Ok(())
            }
        }
    }
}

impl Client for Fetcher {
    fn line(&mut self) -> &mut Line<Ask> {
        &mut self.line
    }

    fn act(&mut self, scene: &mut Scene) -> Result<(), Violation> {
        if scene.phase == Phase::Audit {
            self.due = Nanos(u64::MAX);
            if self.line.in_flight() == 0 {
                drop(self.line.close(scene.driver.as_mut()));
                self.forget();
            }
            return Ok(());
        }
        if self.due > scene.now {
            return Ok(());
        }
        self.due = scene.in_ms(500, 1_500);
        if self.line.is_closed() {
            let port = scene.any_port();
            drop(self.line.connect(scene.driver.as_mut(), port));
            self.forget();
            return Ok(());
        }
        if !self.line.is_open() {
            return Ok(());
        }
        if !self.knows {
            if !self.asks_metadata {
                self.asks_metadata = true;
                scene.ask_metadata(&mut self.line)?;
            }
            return Ok(());
        }
        let polls = if self.habit.in_session { 1 } else { self.habit.polls };
        while self.line.is_open() && self.line.in_flight() < polls {
            self.poll(scene)?;
        }
        // Now and then it goes to another shard, in the middle of what it asked.
        if scene.dice.once_in(60) {
            drop(self.line.close(scene.driver.as_mut()));
            self.forget();
        }
        Ok(())
    }

    fn reply(&mut self, scene: &mut Scene, flight: Flight<Ask>, frame: &[u8]) -> Result<(), Violation> {
        self.due = scene.now;
        match &flight.ask {
            Ask::Metadata { .. } => {
                (self.asks_metadata, self.knows) = (false, true);
                scene.learn(&flight, frame).map(drop)
            }
            Ask::Fetch { from, era } => {
                let response = flight.read::<FetchRequest>(frame)?;
                self.fetched(scene, (&response, frame), (from, *era))
            }
            _ => Ok(()),
        }
    }

    fn lost(&mut self, scene: &mut Scene, _flights: Vec<Flight<Ask>>) {
        self.forget();
        self.due = scene.in_ms(50, 400);
    }

    fn due(&self) -> Nanos {
        self.due
    }

    fn is_done(&self) -> bool {
        true
    }

    fn name(&self) -> String {
        format!("fetcher {:?}", self.habit)
    }
}
