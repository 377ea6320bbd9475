//! A member of a group: it joins, is given its partitions, says that it is alive, stores offsets, leaves, comes back.
//!
//! ```text
//!   out -- JoinGroup --> in a generation -- SyncGroup (the leader brings the shares) --> has its share: heartbeats, commits
//!    ^                                                                                       |
//!    +---- rebalance, unknown, illegal, left ------------------------------------------------+
//! ```
//! Shares are bytes that a broker does not read: here they say whose they are, of which generation, and by which leader's word.
//! What members hold against a broker stands in [`super::group_book`].

use ringlog_io::Nanos;
use ringlog_wire::ErrorCode;
use ringlog_wire::messages::find_coordinator::FindCoordinatorRequest;
use ringlog_wire::messages::heartbeat::HeartbeatRequest;
use ringlog_wire::messages::join_group::{JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse};
use ringlog_wire::messages::leave_group::{LeaveGroupRequest, MemberIdentity};
use ringlog_wire::messages::offset_commit::OffsetCommitRequest;
use ringlog_wire::messages::offset_fetch::OffsetFetchRequest;
use ringlog_wire::messages::sync_group::{SyncGroupRequest, SyncGroupRequestAssignment};

use super::Violation;
use super::clients::{Ask, Client, Phase, Scene};
use super::group_book::{Life, Share};
use super::line::{Flight, Line};
use super::offset_book::Spot;
use super::requests::{self, Named};

/// The topic whose partitions a group shares out.
const TOPIC: &str = "t0";
const PROTOCOL: &str = "range";
const REBALANCE_MS: i32 = 3_000;

/// How a member behaves, for its whole life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Nature {
    pub(super) session_ms: i32,
    pub(super) pause_ms: u64,
}

#[derive(Clone, Debug)]
enum Place {
    Out,
    /// In a generation, without its share; the leader has what to bring.
    Joined {
        shares: Vec<SyncGroupRequestAssignment>,
    },
    Owner {
        partitions: Vec<i32>,
    },
}

/// See the head of the file.
pub(super) struct Member {
    line: Line<Ask>,
    nature: Nature,
    group: String,
    coordinator: Option<u16>,
    id: String,
    generation: i32,
    place: Place,
    /// The share that it had last.
    had: Vec<i32>,
    /// In the calm it was a member with a share once more.
    is_settled: bool,
    due: Nanos,
}

impl Member {
    pub(super) fn new(client: usize, nature: Nature) -> Self {
        Self {
            line: Line::new(client),
            nature,
            group: "members".to_owned(),
            coordinator: None,
            id: String::new(),
            generation: -1,
            place: Place::Out,
            had: Vec::new(),
            is_settled: false,
            due: Nanos(0),
        }
    }

    // --- asking ------------------------------------------------------------------------------------------------------

    fn join(&mut self, scene: &mut Scene) -> Result<(), Violation> {
        let protocol = JoinGroupRequestProtocol { name: PROTOCOL.to_owned(), ..Default::default() };
        let request = JoinGroupRequest {
            group_id: self.group.clone(),
            session_timeout_ms: self.nature.session_ms,
            rebalance_timeout_ms: REBALANCE_MS,
            member_id: self.id.clone(),
            protocol_type: "consumer".to_owned(),
            protocols: vec![protocol],
            ..Default::default()
        };
        let version = [3, 5, 7][scene.dice.below(3)];
        let life = scene.book().life(self.line.port);
        self.line.ask(scene.now, version, &request, &[], Some(Ask::Join { life }))
    }

    fn sync(&mut self, scene: &mut Scene, shares: Vec<SyncGroupRequestAssignment>) -> Result<(), Violation> {
        let request = SyncGroupRequest {
            group_id: self.group.clone(),
            generation_id: self.generation,
            member_id: self.id.clone(),
            assignments: shares,
            ..Default::default()
        };
        let ask = Ask::Sync { generation: self.generation, era: scene.ledger.era };
        self.line.ask(scene.now, 4, &request, &[], Some(ask))
    }

    fn heartbeat(&mut self, scene: &mut Scene) -> Result<(), Violation> {
        let request = HeartbeatRequest {
            group_id: self.group.clone(),
            generation_id: self.generation,
            member_id: self.id.clone(),
            ..Default::default()
        };
        // While a group is loaded, which a slow disk draws out, heartbeats are answered blindly.
        let book = scene.book();
        let life = book.life(self.line.port);
        let is_stale = book.is_loaded(life) && book.is_stale(life, self.generation);
        self.line.ask(scene.now, 3, &request, &[], Some(Ask::Heartbeat { life, is_stale }))
    }

    /// Stores an offset for a partition, and looks at it in the same write.
    fn commit(&mut self, scene: &mut Scene, partition: i32) -> Result<(), Violation> {
        let Some(spot) = spot(scene, partition) else { return Ok(()) };
        let era = scene.ledger.era;
        let generation = self.generation;
        let book = scene.book();
        let life = book.life(self.line.port);
        let (offset, is_stale) = (book.offsets.next(), book.is_stale(life, generation));
        let request = requests::commit(&self.group, (&self.id, generation), (Named::Name(TOPIC), partition), offset);
        let ask = Ask::MemberCommit { spot, offset, era, life, is_stale };
        self.line.ask(scene.now, 9, &request, &[], Some(ask))?;
        self.look(scene, partition)
    }

    fn look(&mut self, scene: &mut Scene, partition: i32) -> Result<(), Violation> {
        let Some(spot) = spot(scene, partition) else { return Ok(()) };
        let request = requests::committed(&self.group, None, (Named::Name(TOPIC), partition));
        let ask = Ask::MemberCommitted { spot, floor: scene.book().offsets.floor(spot), era: scene.ledger.era };
        self.line.ask(scene.now, 8, &request, &[], Some(ask))
    }

    fn leave(&mut self, scene: &mut Scene) -> Result<(), Violation> {
        let member = MemberIdentity { member_id: self.id.clone(), ..Default::default() };
        let request = LeaveGroupRequest { group_id: self.group.clone(), members: vec![member], ..Default::default() };
        self.line.ask(scene.now, 4, &request, &[], Some(Ask::Leave))
    }

    /// Does what a member does next at its coordinator.
    fn go_on(&mut self, scene: &mut Scene) -> Result<(), Violation> {
        match self.place.clone() {
            // As a consumer that stores what it did before it gives up its share. A rebalance that it did not hear of refuses it.
            Place::Out if !self.id.is_empty() && !self.had.is_empty() && scene.dice.once_in(2) => {
                let partition = self.had[scene.dice.below(self.had.len())];
                self.commit(scene, partition)
            }
            Place::Out => self.join(scene),
            Place::Joined { shares } => self.sync(scene, shares),
            Place::Owner { partitions } => match scene.dice.below(12) {
                0 if scene.phase == Phase::Storm => self.leave(scene),
                1..=7 if !partitions.is_empty() => {
                    let partition = partitions[scene.dice.below(partitions.len())];
                    self.commit(scene, partition)
                }
                _ => self.heartbeat(scene),
            },
        }
    }

    // --- being answered ----------------------------------------------------------------------------------------------

    fn joined(&mut self, scene: &mut Scene, answer: &JoinGroupResponse, life: Life) -> Result<(), Violation> {
        match ErrorCode(answer.error_code) {
            ErrorCode::NONE => {
                (self.id, self.generation) = (answer.member_id.clone(), answer.generation_id);
                self.had.clear();
                let members: Vec<&str> = answer.members.iter().map(|member| member.member_id.as_str()).collect();
                let is_leader = answer.leader == answer.member_id;
                // An answer that was under way when the coordinator was loaded again is the earlier life's.
                let book = scene.book();
                if life == book.life(life.port()) {
                    book.announced(life, answer.generation_id, &answer.leader)?;
                }
                if is_leader && !members.contains(&self.id.as_str()) {
                    return Err(Violation(format!("the leader {} is not among its members {members:?}", self.id)));
                }
                let shares = if is_leader { share_out(scene, answer.generation_id, &members) } else { Vec::new() };
                self.place = Place::Joined { shares };
                self.due = scene.now;
            }
            ErrorCode::MEMBER_ID_REQUIRED => {
                self.id = answer.member_id.clone();
                self.due = scene.now;
            }
            error => self.refused(scene, error),
        }
        Ok(())
    }

    fn synced(
        &mut self,
        scene: &mut Scene,
        error: ErrorCode,
        share: &[u8],
        (generation, era): (i32, u32),
    ) -> Result<(), Violation> {
        if !error.is_none() {
            self.refused(scene, error);
            return Ok(());
        }
        let share = Share::decode(share)?;
        // An answer that was under way when the power went is of what the power cut took.
        let partitions =
            if era == scene.ledger.era { scene.book().given(&self.id, generation, share)? } else { share.partitions };
        self.had.clone_from(&partitions);
        self.place = Place::Owner { partitions };
        Ok(())
    }

    /// What an error means for a member.
    fn refused(&mut self, scene: &mut Scene, error: ErrorCode) {
        scene.ledger.note_error("member", error);
        match error {
            ErrorCode::REBALANCE_IN_PROGRESS => self.place = Place::Out,
            ErrorCode::UNKNOWN_MEMBER_ID | ErrorCode::ILLEGAL_GENERATION | ErrorCode::FENCED_INSTANCE_ID => {
                (self.place, self.id) = (Place::Out, String::new());
                self.had.clear();
            }
            // A topic that went: its group stays.
            ErrorCode::UNKNOWN_TOPIC_OR_PARTITION => {}
            _ => self.coordinator = None,
        }
        self.due = scene.in_ms(20, 20 + self.nature.pause_ms);
    }

    /// A request that names a generation was answered: one of a generation that is over must be refused. Of one that may have come
    /// to a later life of the coordinator that is not known.
    fn answered(
        &mut self,
        scene: &mut Scene,
        what: &str,
        error: ErrorCode,
        (life, is_stale): (Life, bool),
    ) -> Result<(), Violation> {
        let is_same_life = life == scene.book().life(life.port());
        if !error.is_none() {
            self.refused(scene, error);
        } else if is_stale && is_same_life {
            let (group, generation) = (&self.group, self.generation);
            return Err(Violation(format!("{group}: {what} of generation {generation} was taken, which was over")));
        } else if scene.phase == Phase::Calm {
            self.is_settled = true;
        }
        Ok(())
    }
}

/// A partition of this life of the topic, where it is there for certain.
fn spot(scene: &Scene, partition: i32) -> Option<Spot> {
    let topic = scene.ledger.topics.get(TOPIC)?;
    topic.id().filter(|_| partition < topic.partitions).map(|_| Spot { life: topic.lives.len(), partition })
}

/// The leader's word: every partition is somebody's.
fn share_out(scene: &mut Scene, generation: i32, members: &[&str]) -> Vec<SyncGroupRequestAssignment> {
    let partitions = scene.ledger.topics.get(TOPIC).map_or(0, |topic| topic.partitions);
    let word = scene.new_stream();
    let share = |(place, member): (usize, &&str)| {
        let partitions = (0..partitions).filter(|partition| *partition as usize % members.len() == place).collect();
        let share = Share { generation, word, member: (*member).to_owned(), partitions };
        SyncGroupRequestAssignment { member_id: (*member).to_owned(), assignment: share.encode(), ..Default::default() }
    };
    members.iter().enumerate().map(share).collect()
}

impl Client for Member {
    fn line(&mut self) -> &mut Line<Ask> {
        &mut self.line
    }

    fn act(&mut self, scene: &mut Scene) -> Result<(), Violation> {
        let is_over = scene.phase == Phase::Audit || (scene.phase == Phase::Calm && self.is_settled);
        if is_over && self.line.in_flight() == 0 {
            self.due = Nanos(u64::MAX);
            drop(self.line.close(scene.driver.as_mut()));
            return Ok(());
        }
        if self.due > scene.now {
            return Ok(());
        }
        self.due = scene.in_ms(20, 20 + self.nature.pause_ms);
        if self.line.is_closed() {
            let port = self.coordinator.unwrap_or_else(|| scene.any_port());
            drop(self.line.connect(scene.driver.as_mut(), port));
            return Ok(());
        }
        if !self.line.is_open() || self.line.in_flight() > 0 {
            return Ok(());
        }
        match self.coordinator {
            None => {
                let request = requests::coordinator_of(&self.group);
                self.line.ask(scene.now, 3, &request, &[], Some(Ask::FindCoordinator))
            }
            Some(port) if port != self.line.port => {
                drop(self.line.connect(scene.driver.as_mut(), port));
                Ok(())
            }
            Some(_) => self.go_on(scene),
        }
    }

    fn reply(&mut self, scene: &mut Scene, flight: Flight<Ask>, frame: &[u8]) -> Result<(), Violation> {
        let missing = || Violation("an answer without its partition".to_owned());
        match &flight.ask {
            Ask::FindCoordinator => {
                let response = flight.read::<FindCoordinatorRequest>(frame)?;
                self.coordinator = (response.error_code == 0).then_some(response.port as u16);
                Ok(())
            }
            Ask::Join { life } => self.joined(scene, &flight.read::<JoinGroupRequest>(frame)?, *life),
            Ask::Sync { generation, era } => {
                let response = flight.read::<SyncGroupRequest>(frame)?;
                self.synced(scene, ErrorCode(response.error_code), &response.assignment, (*generation, *era))
            }
            Ask::Heartbeat { life, is_stale } => {
                let response = flight.read::<HeartbeatRequest>(frame)?;
                self.answered(scene, "a heartbeat", ErrorCode(response.error_code), (*life, *is_stale))
            }
            Ask::MemberCommit { spot, offset, era, life, is_stale } => {
                let response = flight.read::<OffsetCommitRequest>(frame)?;
                let one = response.topics.first().and_then(|topic| topic.partitions.first()).ok_or_else(missing)?;
                if one.error_code == 0 && *era == scene.ledger.era {
                    scene.book().offsets.committed(*spot, *offset);
                }
                self.answered(scene, "a commit", ErrorCode(one.error_code), (*life, *is_stale))
            }
            Ask::MemberCommitted { spot, floor, era } => {
                let response = flight.read::<OffsetFetchRequest>(frame)?;
                let group = response.groups.first().ok_or_else(missing)?;
                let one = group.topics.first().and_then(|topic| topic.partitions.first());
                match (group.error_code, one) {
                    (0, Some(one)) if one.error_code == 0 => {
                        let is_there = self::spot(scene, spot.partition) == Some(*spot) && *era == scene.ledger.era;
                        if is_there { scene.book().offsets.check(*spot, one.committed_offset, *floor) } else { Ok(()) }
                    }
                    _ => {
                        self.coordinator = None;
                        Ok(())
                    }
                }
            }
            Ask::Leave => {
                drop(flight.read::<LeaveGroupRequest>(frame)?);
                (self.place, self.id) = (Place::Out, String::new());
                self.due = scene.in_ms(20, 1_500);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn lost(&mut self, scene: &mut Scene, flights: Vec<Flight<Ask>>) {
        for flight in flights {
            if let Ask::MemberCommit { spot, .. } = flight.ask {
                scene.book().offsets.may_come_late(spot);
            }
            // It may be a member, or not.
            if matches!(flight.ask, Ask::Join { .. } | Ask::Leave) {
                self.place = Place::Out;
            }
        }
        self.coordinator = None;
        self.due = scene.in_ms(50, 400);
    }

    fn due(&self) -> Nanos {
        self.due
    }

    fn is_done(&self) -> bool {
        self.is_settled && self.line.in_flight() == 0
    }

    fn name(&self) -> String {
        format!("member {:?} of {}, generation {}, {:?}", self.id, self.group, self.generation, self.place)
    }
}
