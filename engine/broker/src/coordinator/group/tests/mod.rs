//! What the coordinator does, as sentences, against a log that answers when the test says so.

mod commit;
mod delete;
mod deleted_topics;
mod describe;
mod join;
mod load;
mod property;
mod rebalance;
mod static_members;
mod table;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use ringlog_io::Nanos;
use ringlog_wire::messages::heartbeat::HeartbeatRequest;
use ringlog_wire::messages::join_group::{JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse};
use ringlog_wire::messages::leave_group::{LeaveGroupRequest, MemberIdentity, MemberResponse};
use ringlog_wire::messages::sync_group::{SyncGroupRequest, SyncGroupRequestAssignment, SyncGroupResponse};
use ringlog_wire::{ErrorCode, Uuid};

use super::state::State;
use super::{
    Caller, Effect, GroupCoordinator, GroupRequest, GroupResponse, GroupSettings, KeyValue, Moment, ReplyTo, Ticket,
    Topics,
};

const GROUP: &str = "readers";
const SESSION_MS: i32 = 10_000;
const REBALANCE_MS: i32 = 60_000;
const INITIAL_DELAY_MS: u64 = 3_000;

/// Topic `t`, or no topic at all.
struct Cluster {
    /// Its id, where it is there.
    id: Option<Uuid>,
    partitions: i32,
}

const TOPIC_ID: Uuid = Uuid([7; 16]);
const ONE_TOPIC: Cluster = Cluster { id: Some(TOPIC_ID), partitions: 3 };

impl Topics for Cluster {
    fn topic_id(&self, name: &str) -> Option<Uuid> {
        self.id.filter(|_| name == "t")
    }
    fn topic_name(&self, id: Uuid) -> Option<String> {
        (self.id == Some(id)).then(|| "t".to_owned())
    }
    fn partition_count(&self, name: &str) -> Option<i32> {
        self.topic_id(name).map(|_| self.partitions)
    }
    fn topic_names(&self) -> Box<dyn Iterator<Item = &str> + '_> {
        Box::new(self.id.map(|_| "t").into_iter())
    }
    fn racks(&self, _: &str, _: i32) -> Vec<String> {
        Vec::new()
    }
    fn version(&self) -> i64 {
        1
    }
    fn group_setting(&self, _: &str, _: &str) -> Option<String> {
        None
    }
}

/// A coordinator that owns the only partition of `__consumer_offsets`, its clock, its log and its answers.
struct Rig {
    coordinator: GroupCoordinator,
    at: Moment,
    seed: u64,
    asked: u64,
    answers: BTreeMap<u64, GroupResponse>,
    /// Appends that the log has not answered.
    appending: VecDeque<(Ticket, Vec<KeyValue>)>,
    log: Vec<KeyValue>,
}

/// The answer to a request, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Ask(u64);

impl Rig {
    fn new() -> Self {
        Self::with(GroupSettings::default())
    }

    fn with(settings: GroupSettings) -> Self {
        let mut coordinator = GroupCoordinator::new(settings);
        coordinator.owned.set_count(1);
        let at = Moment { now: Nanos(1), wall_ms: 1_700_000_000_000 };
        assert_eq!(coordinator.load(0, &[], at).unwrap(), []);
        Self {
            coordinator,
            at,
            seed: 0,
            asked: 0,
            answers: BTreeMap::new(),
            appending: VecDeque::new(),
            log: Vec::new(),
        }
    }

    fn ask(&mut self, api_version: i16, request: GroupRequest) -> Ask {
        let ask = Ask(self.asked);
        self.asked += 1;
        let caller = Caller { to: ReplyTo(ask.0), api_version, client_id: "client", client_host: "/127.0.0.1" };
        let seed = &mut self.seed;
        let mut random = || {
            *seed += 1;
            *seed
        };
        let effects = self.coordinator.handle(caller, request, &ONE_TOPIC, &mut random, self.at);
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
                Effect::Append { partition, ticket, records, .. } => {
                    assert_eq!(partition, 0);
                    assert!(!records.is_empty(), "an append without records");
                    self.appending.push_back((ticket, records));
                }
            }
        }
    }

    /// The log takes everything that is on its way, and what follows from it.
    fn settle(&mut self) {
        while let Some((ticket, mut records)) = self.appending.pop_front() {
            let base_offset = self.log.len() as i64;
            self.log.append(&mut records);
            let effects = self.coordinator.appended(ticket, Ok(base_offset), &ONE_TOPIC, self.at);
            self.act(effects);
        }
    }

    /// The log refuses everything that is on its way.
    fn fail_appends(&mut self, error: ErrorCode) {
        for (ticket, _) in std::mem::take(&mut self.appending) {
            let effects = self.coordinator.appended(ticket, Err(error), &ONE_TOPIC, self.at);
            self.act(effects);
        }
    }

    fn pass_ms(&mut self, ms: u64) {
        self.at.now.0 += ms * 1_000_000;
        self.at.wall_ms += i64::try_from(ms).unwrap();
        let effects = self.coordinator.tick(&ONE_TOPIC, self.at);
        self.act(effects);
    }

    /// Time passes while the members `alive` send heartbeats, which are not looked at.
    fn pass_ms_with_heartbeats(&mut self, ms: u64, alive: &[&str]) {
        for _ in 0..ms / 1_000 {
            self.pass_ms(1_000);
            for member in alive {
                let generation = self.generation();
                self.heartbeat(member, generation);
            }
        }
    }

    fn answer(&self, ask: Ask) -> Option<&GroupResponse> {
        self.answers.get(&ask.0)
    }

    fn waits(&self, ask: Ask) -> bool {
        self.answer(ask).is_none()
    }

    fn state(&self) -> State {
        self.coordinator.groups[GROUP].state
    }

    fn generation(&self) -> i32 {
        self.coordinator.groups[GROUP].generation
    }

    fn members(&self) -> BTreeSet<String> {
        self.coordinator.groups[GROUP].members.keys().cloned().collect()
    }

    fn join(&mut self, api_version: i16, request: JoinGroupRequest) -> Ask {
        self.ask(api_version, GroupRequest::Join(request))
    }

    fn joined(&self, ask: Ask) -> &JoinGroupResponse {
        match self.answer(ask) {
            Some(GroupResponse::Join(response)) => response,
            other => panic!("{ask:?} has no join answer but {other:?}"),
        }
    }

    fn join_error(&self, ask: Ask) -> ErrorCode {
        ErrorCode(self.joined(ask).error_code)
    }

    fn sync(&mut self, request: SyncGroupRequest) -> Ask {
        self.ask(5, GroupRequest::Sync(request))
    }

    fn synced(&self, ask: Ask) -> &SyncGroupResponse {
        match self.answer(ask) {
            Some(GroupResponse::Sync(response)) => response,
            other => panic!("{ask:?} has no sync answer but {other:?}"),
        }
    }

    fn sync_error(&self, ask: Ask) -> ErrorCode {
        ErrorCode(self.synced(ask).error_code)
    }

    fn heartbeat(&mut self, member: &str, generation: i32) -> ErrorCode {
        let request = HeartbeatRequest {
            group_id: GROUP.into(),
            generation_id: generation,
            member_id: member.into(),
            ..Default::default()
        };
        let ask = self.ask(4, GroupRequest::Heartbeat(request));
        match self.answer(ask) {
            Some(GroupResponse::Heartbeat(response)) => ErrorCode(response.error_code),
            other => panic!("no heartbeat answer but {other:?}"),
        }
    }

    fn leave(&mut self, members: &[(&str, Option<&str>)]) -> Vec<MemberResponse> {
        let members = members.iter().map(|(id, instance_id)| MemberIdentity {
            member_id: (*id).into(),
            group_instance_id: instance_id.map(str::to_owned),
            ..Default::default()
        });
        let request = LeaveGroupRequest { group_id: GROUP.into(), members: members.collect(), ..Default::default() };
        let ask = self.ask(5, GroupRequest::Leave(request));
        match self.answer(ask) {
            Some(GroupResponse::Leave(response)) => {
                assert_eq!(response.error_code, 0);
                response.members.clone()
            }
            other => panic!("no leave answer but {other:?}"),
        }
    }

    /// A dynamic member asks for an id and joins with it. Gives its id and its join.
    fn arrive(&mut self) -> (String, Ask) {
        let first = self.join(9, join(""));
        assert_eq!(self.join_error(first), ErrorCode::MEMBER_ID_REQUIRED);
        let id = self.joined(first).member_id.clone();
        let second = self.join(9, join(&id));
        (id, second)
    }

    /// A stable group of `count` dynamic members: the first is the leader, the share of each is its own id.
    fn stable(&mut self, count: usize) -> Vec<String> {
        let arrived: Vec<(String, Ask)> = (0..count).map(|_| self.arrive()).collect();
        self.pass_ms(INITIAL_DELAY_MS);
        while self.state() == State::PreparingRebalance {
            self.pass_ms(INITIAL_DELAY_MS);
        }
        for (_, join) in &arrived {
            assert_eq!(self.join_error(*join), ErrorCode::NONE);
        }
        let leader = self.joined(arrived[0].1).leader.clone();
        let mut ids: Vec<String> = arrived.into_iter().map(|(id, _)| id).collect();
        ids.sort_by_key(|id| *id != leader);
        self.sync_all(&ids);
        self.settle();
        assert_eq!(self.state(), State::Stable);
        ids
    }

    /// Everybody asks for the share, the leader (the first) last.
    fn sync_all(&mut self, ids: &[String]) -> Vec<Ask> {
        let generation = self.generation();
        let shares: Vec<(&str, &str)> = ids.iter().map(|id| (id.as_str(), id.as_str())).collect();
        let mut asks: Vec<Ask> = ids[1..].iter().map(|id| self.sync(sync(id, generation, &[]))).collect();
        asks.insert(0, self.sync(sync(&ids[0], generation, &shares)));
        asks
    }
}

fn protocol(name: &str, metadata: &[u8]) -> JoinGroupRequestProtocol {
    JoinGroupRequestProtocol { name: name.into(), metadata: metadata.into(), ..Default::default() }
}

/// A consumer's join with the protocols range and cooperative-sticky.
fn join(member: &str) -> JoinGroupRequest {
    JoinGroupRequest {
        group_id: GROUP.into(),
        session_timeout_ms: SESSION_MS,
        rebalance_timeout_ms: REBALANCE_MS,
        member_id: member.into(),
        protocol_type: "consumer".into(),
        protocols: vec![protocol("range", b"r"), protocol("cooperative-sticky", b"c")],
        ..Default::default()
    }
}

fn sync(member: &str, generation: i32, shares: &[(&str, &str)]) -> SyncGroupRequest {
    let share = |(member, share): &(&str, &str)| SyncGroupRequestAssignment {
        member_id: (*member).into(),
        assignment: share.as_bytes().into(),
        ..Default::default()
    };
    SyncGroupRequest {
        group_id: GROUP.into(),
        generation_id: generation,
        member_id: member.into(),
        protocol_type: Some("consumer".into()),
        protocol_name: Some("range".into()),
        assignments: shares.iter().map(share).collect(),
        ..Default::default()
    }
}
