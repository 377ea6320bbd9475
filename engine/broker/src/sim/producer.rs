//! A producer: plain or idempotent, acks 0, 1 or all, several batches under way, by topic name or id.
//!
//! An idempotent one sends again what has no answer, as the Java client does; a plain one sends nothing twice, so that every
//! batch is in the log at most once whoever sent it.

use std::collections::VecDeque;

use ringlog_io::Nanos;
use ringlog_wire::ErrorCode;
use ringlog_wire::codec::Records;
use ringlog_wire::messages::init_producer_id::InitProducerIdRequest;
use ringlog_wire::messages::produce::{PartitionProduceData, ProduceRequest, TopicProduceData};

use super::Violation;
use super::clients::{Ask, Client, Phase, Scene};
use super::ledger::{Aim, BatchId, Key};
use super::line::{Flight, Line};

/// Batches of an idempotent producer that may be under way (Kafka remembers five).
const UNACKNOWLEDGED_MAX: usize = 5;

/// A batch without an acknowledgement.
#[derive(Debug)]
struct Pending {
    batch: BatchId,
    bytes: Vec<u8>,
    is_sent: bool,
}

/// How a producer produces, for its whole life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Manner {
    pub(super) acks: i16,
    pub(super) is_idempotent: bool,
    pub(super) by_id: bool,
    pub(super) value_len_max: usize,
    pub(super) pause_ms: u64,
}

/// See the head of the file.
pub(super) struct Producer {
    line: Line<Ask>,
    manner: Manner,
    target: Option<(String, Key)>,
    pending: VecDeque<Pending>,
    identity: Option<(i64, i16)>,
    /// The era and the broker's life in which the identity was given, and whether a batch of it was acknowledged.
    identity_era: (u32, u32),
    is_confirmed: bool,
    sequence: i32,
    stream: u64,
    stream_line: u64,
    asks_identity: bool,
    asks_metadata: bool,
    due: Nanos,
}

impl Producer {
    pub(super) fn new(client: usize, manner: Manner) -> Self {
        Self {
            line: Line::new(client),
            manner,
            target: None,
            pending: VecDeque::new(),
            identity: None,
            identity_era: (0, 0),
            is_confirmed: false,
            sequence: 0,
            stream: 0,
            stream_line: u64::MAX,
            asks_identity: false,
            asks_metadata: false,
            due: Nanos(0),
        }
    }

    /// Gives up what is pending, the target, and the identity that counted for it.
    fn start_over(&mut self, scene: &mut Scene) {
        self.pending.drain(..).for_each(|one| scene.ledger.forgotten(one.batch));
        self.target = None;
        self.identity = None;
        let lost = self.line.close(scene.driver.as_mut());
        self.forget(scene, lost);
    }

    fn forget(&mut self, scene: &mut Scene, flights: Vec<Flight<Ask>>) {
        (self.asks_identity, self.asks_metadata) = (false, false);
        for flight in flights {
            if let Ask::Produce { batch, .. } = flight.ask
                && !self.manner.is_idempotent
            {
                scene.ledger.forgotten(batch);
            }
        }
        if self.manner.is_idempotent {
            self.pending.iter_mut().for_each(|one| one.is_sent = false);
        } else {
            self.pending.clear();
        }
    }

    /// Connects again after a while, where the leader is then.
    fn back_off(&mut self, scene: &mut Scene) {
        let lost = self.line.close(scene.driver.as_mut());
        self.forget(scene, lost);
        if let Some((_, key)) = &self.target {
            scene.leaders.remove(key);
        }
        self.due = scene.in_ms(50, 400);
    }

    /// Whether the line stands where the target is led, and everything is known to produce.
    fn is_ready(&mut self, scene: &mut Scene) -> Result<bool, Violation> {
        let is_there = |(name, key): &(String, Key)| {
            scene.ledger.topics.get(name).is_some_and(|topic| topic.lives.last() == Some(&key.0) && topic.is_there)
        };
        if !self.target.as_ref().is_none_or(is_there) {
            self.start_over(scene);
        }
        if self.target.is_none() {
            self.target = scene.any_partition();
        }
        let Some((_, key)) = self.target.clone() else {
            self.due = scene.in_ms(100, 500);
            return Ok(false);
        };
        let leader = scene.leaders.get(&key).copied();
        if self.line.is_closed() || leader.is_some_and(|port| self.line.is_open() && port != self.line.port) {
            let port = leader.unwrap_or_else(|| scene.any_port());
            let lost = self.line.connect(scene.driver.as_mut(), port);
            self.forget(scene, lost);
            return Ok(false);
        }
        if !self.line.is_open() {
            return Ok(false);
        }
        if leader.is_none() {
            if !self.asks_metadata {
                self.asks_metadata = true;
                scene.ask_metadata(&mut self.line)?;
            }
            return Ok(false);
        }
        if self.manner.is_idempotent && self.identity.is_none() {
            if !self.asks_identity {
                self.asks_identity = true;
                let request = InitProducerIdRequest { transactional_id: None, ..Default::default() };
                self.line.ask(scene.now, 4, &request, &[], Some(Ask::InitProducerId))?;
            }
            return Ok(false);
        }
        Ok(true)
    }

    fn make_batch(&mut self, scene: &mut Scene) {
        let Some((name, key)) = self.target.clone() else { return };
        if !self.manner.is_idempotent && self.stream_line != self.line.generation {
            (self.stream, self.stream_line) = (scene.new_stream(), self.line.generation);
        }
        let records = 1 + scene.dice.below(5) as u32;
        let value_len = scene.dice.below(self.manner.value_len_max);
        let aim = if self.manner.by_id { Aim::Id(key.0) } else { Aim::LifeFrom(scene.ledger.life_now(&name)) };
        let producer = self.identity.map(|(id, epoch)| (id, epoch, self.sequence));
        let wall_ms = scene.wall_ms;
        let (batch, bytes) =
            scene.ledger.make((&name, key.1), (aim, self.stream), (records, value_len), producer, wall_ms);
        self.sequence += records as i32;
        self.pending.push_back(Pending { batch, bytes, is_sent: false });
    }

    fn send_pending(&mut self, scene: &mut Scene) -> Result<(), Violation> {
        let Some((name, key)) = self.target.clone() else { return Ok(()) };
        for one in self.pending.iter_mut().filter(|one| !one.is_sent) {
            one.is_sent = true;
            let data =
                PartitionProduceData { index: key.1, records: Records::Outside(one.bytes.len()), ..Default::default() };
            let topic = TopicProduceData {
                name: name.clone(),
                topic_id: key.0,
                partition_data: vec![data],
                ..Default::default()
            };
            let request = ProduceRequest {
                acks: self.manner.acks,
                timeout_ms: 10_000,
                topic_data: vec![topic],
                ..Default::default()
            };
            let version = if self.manner.by_id { 13 } else { [3, 7, 9, 12][scene.dice.below(4)] };
            let era = scene.ledger.era;
            let ask = (self.manner.acks != 0).then_some(Ask::Produce { batch: one.batch, era });
            self.line.ask(scene.now, version, &request, &one.bytes, ask)?;
        }
        if self.manner.acks == 0 {
            self.pending.drain(..).for_each(|one| scene.ledger.forgotten(one.batch));
        }
        Ok(())
    }

    fn produced(
        &mut self,
        scene: &mut Scene,
        batch: BatchId,
        (error, base_offset, era): (ErrorCode, i64, u32),
    ) -> Result<(), Violation> {
        scene.note(|| format!("batch {batch}: {error}, at {base_offset}"));
        let is_first = self.pending.front().is_some_and(|one| one.batch == batch);
        match error {
            ErrorCode::NONE => {
                self.pending.retain(|one| one.batch != batch);
                self.is_confirmed = true;
                scene.ledger.acknowledged(batch, base_offset, era)
            }
            ErrorCode::DUPLICATE_SEQUENCE_NUMBER => {
                self.pending.retain(|one| one.batch != batch);
                scene.ledger.forgotten(batch);
                Ok(())
            }
            ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER
            | ErrorCode::UNKNOWN_PRODUCER_ID
            | ErrorCode::INVALID_PRODUCER_EPOCH => {
                // A snapshot keeps the last batch of a producer alone, as Kafka's do: after a start an earlier one is not known.
                let is_same_era = self.identity_era == (scene.ledger.era, scene.ledger.starts);
                let is_there = self.target.as_ref().is_some_and(|(name, key)| {
                    scene.ledger.topics.get(name).is_some_and(|topic| topic.id() == Some(key.0))
                });
                if is_first && is_same_era && is_there && self.is_confirmed {
                    return Err(Violation(format!("batch {batch} was next in its sequence, and was refused: {error}")));
                }
                if is_first {
                    self.start_over(scene)
                } else {
                    self.back_off(scene)
                }
                Ok(())
            }
            _ if self.manner.is_idempotent => {
                self.back_off(scene);
                Ok(())
            }
            _ => {
                self.pending.retain(|one| one.batch != batch);
                scene.ledger.refused(batch);
                if self.pending.is_empty() {
                    self.back_off(scene);
                    self.target = None;
                }
                Ok(())
            }
        }
    }
}

impl Client for Producer {
    fn line(&mut self) -> &mut Line<Ask> {
        &mut self.line
    }

    fn act(&mut self, scene: &mut Scene) -> Result<(), Violation> {
        if scene.phase != Phase::Storm && self.pending.is_empty() && self.line.in_flight() == 0 {
            self.due = Nanos(u64::MAX);
            let lost = self.line.close(scene.driver.as_mut());
            self.forget(scene, lost);
            return Ok(());
        }
        let is_due = self.due <= scene.now;
        if self.line.is_closed() && !is_due {
            return Ok(());
        }
        self.due = scene.in_ms(1, 1 + self.manner.pause_ms);
        if !self.is_ready(scene)? {
            return Ok(());
        }
        let room = if self.manner.is_idempotent && !self.is_confirmed { 1 } else { UNACKNOWLEDGED_MAX };
        // No answer holds back one that asks for none: on a slow link what it sends would pile up here without end.
        let is_held_back = self.manner.acks == 0 && self.line.is_sending();
        if is_due && scene.phase == Phase::Storm && !is_held_back {
            // A plain producer goes elsewhere now and then.
            if !self.manner.is_idempotent && self.pending.is_empty() && scene.dice.once_in(20) {
                self.target = None;
                return Ok(());
            }
            for _ in 0..1 + scene.dice.below(3) {
                if self.pending.len() < room {
                    self.make_batch(scene);
                }
            }
        }
        self.send_pending(scene)
    }

    fn reply(&mut self, scene: &mut Scene, flight: Flight<Ask>, frame: &[u8]) -> Result<(), Violation> {
        match &flight.ask {
            Ask::Metadata { .. } => {
                self.asks_metadata = false;
                scene.learn(&flight, frame).map(drop)
            }
            Ask::InitProducerId => {
                self.asks_identity = false;
                let response = flight.read::<InitProducerIdRequest>(frame)?;
                if response.error_code == 0 {
                    self.identity = Some((response.producer_id, response.producer_epoch));
                    (self.identity_era, self.is_confirmed) = ((scene.ledger.era, scene.ledger.starts), false);
                    (self.sequence, self.stream) = (0, scene.new_stream());
                }
                Ok(())
            }
            Ask::Produce { batch, era } => {
                let response = flight.read::<ProduceRequest>(frame)?;
                let one = response.responses.first().and_then(|topic| topic.partition_responses.first());
                let one = one.ok_or_else(|| Violation("a produce answer without its partition".to_owned()))?;
                self.produced(scene, *batch, (ErrorCode(one.error_code), one.base_offset, *era))
            }
            _ => Ok(()),
        }
    }

    fn lost(&mut self, scene: &mut Scene, flights: Vec<Flight<Ask>>) {
        self.forget(scene, flights);
        self.back_off(scene);
    }

    fn due(&self) -> Nanos {
        self.due
    }

    fn is_done(&self) -> bool {
        self.pending.is_empty() && self.line.in_flight() == 0
    }

    fn name(&self) -> String {
        let Manner { acks, is_idempotent, .. } = self.manner;
        let kind = if is_idempotent { "idempotent " } else { "" };
        format!("{kind}producer (acks {acks}) of {:?}, {} pending", self.target, self.pending.len())
    }
}
