//! A member of a group of the consumer protocol (KIP-848): it joins, is told what it has, gives back what it is to give back, stores
//! offsets, leaves or dies without a word, comes back.
//!
//! ```text
//!   out -- epoch 0 --> a member: heartbeats -- more is told: it has that at once
//!    ^                   |    |               less: it stores, and says some time later that it has it no more
//!    |                   |    +-- no answer, refused: says all of itself anew
//!    +-- fenced, left ---+-- silent for a while, as one that stands still: goes on as if nothing had been
//! ```
//! One request at a time, but for a look behind a commit. What members hold against a broker stands in `consumer_book.rs`.

use std::collections::BTreeSet;

use ringlog_io::Nanos;
use ringlog_wire::messages::consumer_group_heartbeat::{
    ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, TopicPartitions,
};
use ringlog_wire::messages::find_coordinator::FindCoordinatorRequest;
use ringlog_wire::messages::offset_commit::OffsetCommitRequest;
use ringlog_wire::messages::offset_fetch::OffsetFetchRequest;
use ringlog_wire::{ErrorCode, Uuid};

use super::Violation;
use super::clients::{Ask, Client, Phase, Scene};
use super::consumer_book::Confirmation;
use super::ledger::Key;
use super::line::{Flight, Line};
use super::offset_book::{LATE_NS, Spot};
use super::requests::{self, Named};

/// The topic whose partitions the group shares out.
const TOPIC: &str = "t0";
const GROUP: &str = "consumers";
/// Epochs that say what a member wants.
const JOINS: i32 = 0;
const LEAVES: i32 = -1;
const LEAVES_FOR_NOW: i32 = -2;

/// How a member behaves, for its whole life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bent {
    pub(super) pause_ms: u64,
    /// It has an id of its own that outlives its memberships.
    pub(super) is_static: bool,
}

/// What a heartbeat is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    Joins,
    IsThere,
    Leaves,
}

/// See the head of the file.
pub(super) struct Consumer {
    line: Line<Ask>,
    client: usize,
    bent: Bent,
    coordinator: Option<u16>,
    id: String,
    /// 0: it is no member.
    epoch: i32,
    has: BTreeSet<Key>,
    /// What it is to have.
    told: BTreeSet<Key>,
    /// The broker was told what it has.
    is_said: bool,
    /// It says all of itself until it is answered to a request from then on: one before may still come.
    anew_from: Option<Nanos>,
    /// All that it had in this epoch; the epoch before, and what it had then.
    held: BTreeSet<Key>,
    before: Option<(i32, BTreeSet<Key>)>,
    era: u32,
    is_settled: bool,
    due: Nanos,
}

impl Consumer {
    pub(super) fn new(client: usize, bent: Bent) -> Self {
        Self {
            line: Line::new(client),
            client,
            bent,
            coordinator: None,
            id: String::new(),
            epoch: JOINS,
            has: BTreeSet::new(),
            told: BTreeSet::new(),
            is_said: true,
            anew_from: None,
            held: BTreeSet::new(),
            before: None,
            era: 0,
            is_settled: false,
            due: Nanos(0),
        }
    }

    fn gives_back(&self) -> bool {
        !self.has.is_subset(&self.told)
    }

    /// It has nothing any more, and joins again.
    fn gives_up(&mut self, scene: &mut Scene) {
        self.epoch = JOINS;
        self.has.clear();
        self.told.clear();
        self.held.clear();
        (self.is_said, self.before) = (true, None);
        scene.consumers().reconciled(self.client, None);
    }

    /// It is another member from now on, as a process that was started again.
    fn begins_anew(&mut self, scene: &mut Scene) {
        self.gives_up(scene);
        self.id.clear();
        self.anew_from = None;
    }

    // --- asking ------------------------------------------------------------------------------------------------------

    fn join(&mut self, scene: &mut Scene) -> Result<(), Violation> {
        let version = scene.dice.below(2) as i16;
        // In version 0 the coordinator makes the id.
        if self.id.is_empty() && (version == 1 || scene.dice.once_in(2)) {
            let (high, low) = (u128::from(scene.dice.roll()), u128::from(scene.dice.roll()));
            self.id = Uuid((high << 64 | low).to_be_bytes()).to_string();
        }
        if !self.id.is_empty() {
            scene.consumers().joins(&self.id);
        }
        let request = ConsumerGroupHeartbeatRequest { member_epoch: JOINS, ..self.all_of_itself(scene) };
        self.say(scene, Said::Joins, version, &request)
    }

    /// Every field, as in the first request.
    fn all_of_itself(&self, scene: &mut Scene) -> ConsumerGroupHeartbeatRequest {
        ConsumerGroupHeartbeatRequest {
            rebalance_timeout_ms: scene.consumers().session_ms() as i32,
            subscribed_topic_names: Some(vec![TOPIC.to_owned()]),
            topic_partitions: Some(named(&self.has)),
            ..self.nothing_new()
        }
    }

    fn nothing_new(&self) -> ConsumerGroupHeartbeatRequest {
        ConsumerGroupHeartbeatRequest {
            group_id: GROUP.to_owned(),
            member_id: self.id.clone(),
            member_epoch: self.epoch,
            instance_id: self.bent.is_static.then(|| format!("instance-{}", self.client)),
            ..Default::default()
        }
    }

    fn say(
        &mut self,
        scene: &mut Scene,
        said: Said,
        version: i16,
        request: &ConsumerGroupHeartbeatRequest,
    ) -> Result<(), Violation> {
        let ask = Ask::ConsumerHeartbeat { said, era: scene.ledger.era };
        self.line.ask(scene.now, version, request, &[], Some(ask))
    }

    /// It is there. What it is to give back it gives back with this, or some time later.
    fn heartbeat(&mut self, scene: &mut Scene) -> Result<(), Violation> {
        if self.gives_back() && scene.dice.once_in(2) {
            self.has.retain(|key| self.told.contains(key));
            self.is_said = false;
        }
        let mut request = match self.anew_from {
            Some(_) => self.all_of_itself(scene),
            None => self.nothing_new(),
        };
        if !self.is_said {
            request.topic_partitions = Some(named(&self.has));
        }
        if request.topic_partitions.is_some() {
            scene.consumers().keeps(&self.id, &self.has);
            self.is_said = true;
        }
        self.say(scene, Said::IsThere, 1, &request)
    }

    fn leave(&mut self, scene: &mut Scene) -> Result<(), Violation> {
        let is_for_now = self.bent.is_static && scene.dice.once_in(2);
        let member_epoch = if is_for_now { LEAVES_FOR_NOW } else { LEAVES };
        let request = ConsumerGroupHeartbeatRequest { member_epoch, ..self.nothing_new() };
        scene.consumers().leaves(&self.id);
        self.say(scene, Said::Leaves, 1, &request)
    }

    /// Stores an offset in this epoch.
    fn commit(&mut self, scene: &mut Scene, key: Key, epoch: i32) -> Result<(), Violation> {
        let Some(spot) = spot(scene, key) else { return Ok(()) };
        let era = scene.ledger.era;
        let book = scene.consumers();
        let (offset, is_over) = (book.offsets.next(), book.is_over(&self.id, key, epoch));
        let request = requests::commit(GROUP, (&self.id, epoch), (Named::Id(key.0), key.1), offset);
        self.line.ask(scene.now, 10, &request, &[], Some(Ask::ConsumerCommit { spot, offset, era, is_over }))
    }

    fn look(&mut self, scene: &mut Scene, key: Key) -> Result<(), Violation> {
        let Some(spot) = spot(scene, key) else { return Ok(()) };
        let (version, topic) = if scene.dice.once_in(2) { (10, Named::Id(key.0)) } else { (9, Named::Name(TOPIC)) };
        let request = requests::committed(GROUP, Some((&self.id, self.epoch)), (topic, key.1));
        let ask = Ask::MemberCommitted { spot, floor: scene.consumers().offsets.floor(spot), era: scene.ledger.era };
        self.line.ask(scene.now, version, &request, &[], Some(ask))
    }

    /// Says nothing for a while, and goes on afterwards with what it had.
    fn fall_silent(&mut self, scene: &mut Scene) {
        let session_ms = scene.consumers().session_ms();
        self.due = scene.in_ms(100, 2 * session_ms);
    }

    /// Does what a member does next at its coordinator.
    fn go_on(&mut self, scene: &mut Scene) -> Result<(), Violation> {
        // What a power cut took, members are told only when they ask; here they know.
        if self.era != scene.ledger.era {
            self.era = scene.ledger.era;
            self.begins_anew(scene);
        }
        if self.epoch == JOINS {
            return self.join(scene);
        }
        let is_storm = scene.phase == Phase::Storm;
        match scene.dice.below(24) {
            0 if is_storm => self.leave(scene),
            1 if is_storm => {
                self.fall_silent(scene);
                Ok(())
            }
            2 if is_storm => {
                self.begins_anew(scene);
                self.due = scene.in_ms(20, 1_500);
                Ok(())
            }
            // It may have lost what it has without its knowing.
            _ if self.anew_from.is_some() => self.heartbeat(scene),
            3..=5 => match self.before.clone().map(|(epoch, had)| (epoch, any(scene, &had))) {
                Some((epoch, Some(key))) => self.commit(scene, key, epoch),
                _ => self.heartbeat(scene),
            },
            6..=14 => match any(scene, &self.has) {
                Some(key) => {
                    self.commit(scene, key, self.epoch)?;
                    self.look(scene, key)
                }
                None => self.heartbeat(scene),
            },
            _ => self.heartbeat(scene),
        }
    }

    // --- being answered ----------------------------------------------------------------------------------------------

    fn heard(
        &mut self,
        scene: &mut Scene,
        (said, asked_at): (Said, Nanos),
        answer: &ConsumerGroupHeartbeatResponse,
    ) -> Result<(), Violation> {
        if said == Said::Leaves {
            self.begins_anew(scene);
            self.due = scene.in_ms(20, 1_500);
            return Ok(());
        }
        let error = ErrorCode(answer.error_code);
        if !error.is_none() {
            // It may have been done all the same.
            self.anew_from = self.anew_from.or(Some(scene.now));
            scene.consumers().reconciled(self.client, None);
            return self.refused(scene, error);
        }
        if said == Said::Joins {
            self.id = answer.member_id.clone().unwrap_or_default();
        } else if answer.member_epoch != self.epoch {
            self.before = Some((self.epoch, std::mem::replace(&mut self.held, self.has.clone())));
        }
        self.epoch = answer.member_epoch;
        self.anew_from = self.anew_from.filter(|from| asked_at < *from);
        let told: Option<BTreeSet<Key>> = answer.assignment.as_ref().map(|told| keys(&told.topic_partitions));
        if let Some(told) = &told {
            self.is_said &= told.is_subset(&self.has);
            self.has.extend(told);
            self.held.extend(told);
            self.told.clone_from(told);
        }
        let (epoch, gives_back) = (self.epoch, self.gives_back());
        let answer = Confirmation { asked_at, epoch, told: told.as_ref(), gives_back };
        scene.consumers().confirmed(&self.id, &answer)?;
        self.settle(scene);
        Ok(())
    }

    /// In the calm: whether all members have come to where they are to be.
    fn settle(&mut self, scene: &mut Scene) {
        if scene.phase != Phase::Calm {
            return;
        }
        let what = (!self.gives_back()).then(|| (self.epoch, self.has.clone()));
        scene.consumers().reconciled(self.client, what);
        let topic = scene.ledger.topics.get(TOPIC).cloned().unwrap_or_default();
        if !topic.is_changing {
            let partitions = topic.id().into_iter().flat_map(|id| (0..topic.partitions).map(move |index| (id, index)));
            scene.consumers().look(&partitions.collect());
        }
    }

    /// What an error means for a member.
    fn refused(&mut self, scene: &mut Scene, error: ErrorCode) -> Result<(), Violation> {
        scene.ledger.note_error("consumer", error);
        let verdict = scene.consumers().refused(&self.id, error);
        match error {
            ErrorCode::FENCED_MEMBER_EPOCH | ErrorCode::UNKNOWN_MEMBER_ID | ErrorCode::GROUP_ID_NOT_FOUND => {
                self.gives_up(scene);
            }
            ErrorCode::FENCED_INSTANCE_ID => self.begins_anew(scene),
            ErrorCode::STALE_MEMBER_EPOCH => self.anew_from = self.anew_from.or(Some(scene.now)),
            // The one that it was has its session to end; a topic that went is told of with a heartbeat.
            ErrorCode::UNRELEASED_INSTANCE_ID | ErrorCode::UNKNOWN_TOPIC_ID => {}
            _ => self.coordinator = None,
        }
        verdict
    }

    fn committed(
        &mut self,
        scene: &mut Scene,
        (spot, offset): (Spot, i64),
        (error, is_over): (ErrorCode, Option<&str>),
    ) -> Result<(), Violation> {
        match (error, is_over) {
            (ErrorCode::NONE, Some(why)) => Err(Violation(format!("a commit was taken that was over: {why}"))),
            (ErrorCode::NONE, None) => {
                scene.consumers().offsets.committed(spot, offset);
                Ok(())
            }
            (error, _) => self.refused(scene, error),
        }
    }
}

/// The partition of this life of the topic, where it is there for certain.
fn spot(scene: &Scene, (id, partition): Key) -> Option<Spot> {
    let topic = scene.ledger.topics.get(TOPIC)?;
    let is_there = topic.id() == Some(id) && partition < topic.partitions;
    is_there.then_some(Spot { life: topic.lives.len(), partition })
}

fn any(scene: &mut Scene, keys: &BTreeSet<Key>) -> Option<Key> {
    if keys.is_empty() { None } else { keys.iter().nth(scene.dice.below(keys.len())).copied() }
}

fn named(keys: &BTreeSet<Key>) -> Vec<TopicPartitions> {
    let one = |(topic_id, partition): &Key| TopicPartitions {
        topic_id: *topic_id,
        partitions: vec![*partition],
        ..Default::default()
    };
    keys.iter().map(one).collect()
}

fn keys(named: &[TopicPartitions]) -> BTreeSet<Key> {
    named.iter().flat_map(|topic| topic.partitions.iter().map(|partition| (topic.topic_id, *partition))).collect()
}

impl Client for Consumer {
    fn line(&mut self) -> &mut Line<Ask> {
        &mut self.line
    }

    fn act(&mut self, scene: &mut Scene) -> Result<(), Violation> {
        self.is_settled |= scene.phase == Phase::Calm && scene.consumers().is_settled();
        let is_over = scene.phase == Phase::Audit || self.is_settled;
        if is_over && self.line.in_flight() == 0 {
            self.due = Nanos(u64::MAX);
            drop(self.line.close(scene.driver.as_mut()));
            return Ok(());
        }
        if self.due > scene.now {
            return Ok(());
        }
        self.due = scene.in_ms(20, 20 + self.bent.pause_ms);
        if self.line.is_closed() {
            let port = self.coordinator.unwrap_or_else(|| scene.any_port());
            drop(self.line.connect(scene.driver.as_mut(), port));
            return Ok(());
        }
        if !self.line.is_open() || self.line.in_flight() > 0 {
            return Ok(());
        }
        match self.coordinator {
            None => self.line.ask(scene.now, 3, &requests::coordinator_of(GROUP), &[], Some(Ask::FindCoordinator)),
            Some(port) if port != self.line.port => {
                drop(self.line.connect(scene.driver.as_mut(), port));
                Ok(())
            }
            Some(_) => self.go_on(scene),
        }
    }

    fn reply(&mut self, scene: &mut Scene, flight: Flight<Ask>, frame: &[u8]) -> Result<(), Violation> {
        let missing = || Violation("an answer without its partition".to_owned());
        // What was asked before a power cut says nothing of what is now.
        let is_now = |era: &u32| *era == self.era && *era == scene.ledger.era;
        match &flight.ask {
            Ask::FindCoordinator => {
                let response = flight.read::<FindCoordinatorRequest>(frame)?;
                self.coordinator = (response.error_code == 0).then_some(response.port as u16);
                Ok(())
            }
            Ask::ConsumerHeartbeat { said, era } => {
                let response = flight.read::<ConsumerGroupHeartbeatRequest>(frame)?;
                if is_now(era) { self.heard(scene, (*said, flight.sent_at), &response) } else { Ok(()) }
            }
            Ask::ConsumerCommit { spot, offset, era, is_over } => {
                let response = flight.read::<OffsetCommitRequest>(frame)?;
                let one = response.topics.first().and_then(|topic| topic.partitions.first()).ok_or_else(missing)?;
                let told = (ErrorCode(one.error_code), is_over.as_deref());
                if is_now(era) { self.committed(scene, (*spot, *offset), told) } else { Ok(()) }
            }
            Ask::MemberCommitted { spot, floor, era } => {
                let response = flight.read::<OffsetFetchRequest>(frame)?;
                let group = response.groups.first().ok_or_else(missing)?;
                let one = group.topics.first().and_then(|topic| topic.partitions.first());
                if !is_now(era) {
                    return Ok(());
                }
                match (ErrorCode(group.error_code), one) {
                    (ErrorCode::NONE, Some(one)) if one.error_code == 0 => {
                        let topic = scene.ledger.topics.get(TOPIC);
                        let is_there =
                            topic.is_some_and(|topic| topic.id().is_some() && topic.lives.len() == spot.life);
                        let book = scene.consumers();
                        if is_there { book.offsets.check(*spot, one.committed_offset, *floor) } else { Ok(()) }
                    }
                    (error, _) => self.refused(scene, error),
                }
            }
            _ => Ok(()),
        }
    }

    fn lost(&mut self, scene: &mut Scene, flights: Vec<Flight<Ask>>) {
        for flight in flights {
            match flight.ask {
                Ask::ConsumerCommit { spot, .. } => scene.consumers().offsets.may_come_late(spot),
                Ask::ConsumerHeartbeat { said: Said::Leaves, .. } => self.begins_anew(scene),
                Ask::ConsumerHeartbeat { .. } => {
                    if !self.id.is_empty() {
                        scene.consumers().may_come_late(&self.id);
                    }
                    scene.consumers().reconciled(self.client, None);
                    self.anew_from = Some(Nanos(scene.now.0 + LATE_NS));
                }
                _ => {}
            }
        }
        self.coordinator = None;
        self.due = scene.in_ms(50, 400).max(self.due);
    }

    fn due(&self) -> Nanos {
        self.due
    }

    fn is_done(&self) -> bool {
        self.is_settled && self.line.in_flight() == 0
    }

    fn name(&self) -> String {
        let Self { id, epoch, has, told, .. } = self;
        format!("consumer {id:?} in epoch {epoch}, has {has:?}, told {told:?}")
    }
}
