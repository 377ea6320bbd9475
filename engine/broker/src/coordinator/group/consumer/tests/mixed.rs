//! Members of both protocols come and go in random order, and the group changes its protocol under them: every request is answered,
//! no partition has two owners, and in the end everybody reads its share.

use std::collections::BTreeSet;

use proptest::prelude::*;
use ringlog_wire::messages::consumer_protocol::ConsumerProtocolAssignment;
use ringlog_wire::messages::heartbeat::HeartbeatRequest;
use ringlog_wire::messages::join_group::JoinGroupResponse;
use ringlog_wire::messages::leave_group::{LeaveGroupRequest, MemberIdentity};
use ringlog_wire::messages::sync_group::{SyncGroupRequest, SyncGroupRequestAssignment, SyncGroupResponse};
use ringlog_wire::records::group::decode_value;

use super::migrate::{classic_join, share};
use super::property::check_owners;
use super::records::{replayed, told};
use super::*;

const CLIENTS: usize = 3;
const PARTITIONS: i32 = 4;

#[derive(Clone, Debug)]
enum Step {
    Come { client: usize, is_classic: bool },
    Go { client: usize },
    Leave { client: usize },
    Settle,
    Fail,
    Pass { ms: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    let client = 0..CLIENTS;
    prop_oneof![
        3 => (client.clone(), any::<bool>()).prop_map(|(client, is_classic)| Step::Come { client, is_classic }),
        16 => client.clone().prop_map(|client| Step::Go { client }),
        1 => client.prop_map(|client| Step::Leave { client }),
        12 => Just(Step::Settle),
        1 => Just(Step::Fail),
        4 => (0..4_000u64).prop_map(|ms| Step::Pass { ms }),
    ]
}

/// What a client does next.
#[derive(Clone, Debug, Default, PartialEq)]
enum Next {
    #[default]
    Nothing,
    Join,
    /// Asks for its share; who leads says what everybody gets.
    Sync(Vec<SyncGroupRequestAssignment>),
    Beat,
}

#[derive(Clone, Debug, Default)]
struct Client {
    is_classic: bool,
    id: String,
    /// The generation, or the member's epoch.
    epoch: i32,
    owned: Vec<i32>,
    next: Next,
    ask: Option<u64>,
}

impl Client {
    /// Gives up what it has (as with an eager assignor), and joins.
    fn join_again(&mut self) {
        (self.next, self.epoch) = (Next::Join, 0);
        self.owned.clear();
    }

    /// The same as somebody who was never there.
    fn start_over(&mut self) {
        self.join_again();
        if self.is_classic {
            self.id.clear();
        }
    }

    fn request(&self, cluster: &Cluster) -> Option<(i16, GroupRequest)> {
        let (group_id, generation_id, member_id) = (GROUP.to_owned(), self.epoch, self.id.clone());
        Some(match &self.next {
            Next::Nothing => return None,
            Next::Join if self.is_classic => (9, GroupRequest::Join(classic_join(&self.id, &[]))),
            Next::Join => (1, GroupRequest::ConsumerHeartbeat(join(&self.id))),
            Next::Sync(shares) => {
                let assignments = shares.clone();
                let request =
                    SyncGroupRequest { group_id, generation_id, member_id, assignments, ..Default::default() };
                (5, GroupRequest::Sync(request))
            }
            Next::Beat if self.is_classic => {
                let request = HeartbeatRequest { group_id, generation_id, member_id, ..Default::default() };
                (4, GroupRequest::Heartbeat(request))
            }
            Next::Beat => {
                let topic_id = cluster.topic_id("t").unwrap();
                let topic = TopicPartitions { topic_id, partitions: self.owned.clone(), ..Default::default() };
                let owned = Assignment { topic_partitions: vec![topic], ..Default::default() };
                (1, GroupRequest::ConsumerHeartbeat(owning(&self.id, self.epoch, &owned)))
            }
        })
    }

    fn hear(&mut self, response: GroupResponse) {
        match response {
            GroupResponse::Join(response) => self.joined(response),
            GroupResponse::Sync(response) => self.synced(&response),
            GroupResponse::Heartbeat(response) => match ErrorCode(response.error_code) {
                ErrorCode::NONE | ErrorCode::NOT_COORDINATOR => {}
                ErrorCode::REBALANCE_IN_PROGRESS | ErrorCode::ILLEGAL_GENERATION => self.join_again(),
                _ => self.start_over(),
            },
            GroupResponse::ConsumerHeartbeat(response) => match error(&response) {
                ErrorCode::NONE => {
                    (self.next, self.epoch) = (Next::Beat, response.member_epoch);
                    if let Some(assignment) = &response.assignment {
                        self.owned = partitions(assignment);
                    }
                }
                ErrorCode::NOT_COORDINATOR => {}
                _ => self.start_over(),
            },
            other => panic!("{other:?}"),
        }
    }

    fn joined(&mut self, response: JoinGroupResponse) {
        match ErrorCode(response.error_code) {
            ErrorCode::NONE => {
                let mut shares: Vec<Vec<i32>> = vec![Vec::new(); response.members.len()];
                if !shares.is_empty() {
                    (0..PARTITIONS)
                        .zip((0..response.members.len()).cycle())
                        .for_each(|(one, member)| shares[member].push(one));
                }
                let one = |(member, owned): (&_, Vec<i32>)| {
                    let member: &ringlog_wire::messages::join_group::JoinGroupResponseMember = member;
                    let (member_id, assignment) = (member.member_id.clone(), share(&owned));
                    SyncGroupRequestAssignment { member_id, assignment, ..Default::default() }
                };
                self.next = Next::Sync(response.members.iter().zip(shares).map(one).collect());
                (self.id, self.epoch) = (response.member_id, response.generation_id);
            }
            ErrorCode::MEMBER_ID_REQUIRED => self.id = response.member_id,
            ErrorCode::REBALANCE_IN_PROGRESS | ErrorCode::NOT_COORDINATOR => {}
            _ => self.start_over(),
        }
    }

    fn synced(&mut self, response: &SyncGroupResponse) {
        match ErrorCode(response.error_code) {
            ErrorCode::NONE => {
                let assignment: ConsumerProtocolAssignment = match response.assignment.as_slice() {
                    [] => Default::default(),
                    bytes => decode_value(bytes).unwrap(),
                };
                self.owned = assignment.assigned_partitions.into_iter().flat_map(|topic| topic.partitions).collect();
                self.next = Next::Beat;
            }
            ErrorCode::REBALANCE_IN_PROGRESS | ErrorCode::ILLEGAL_GENERATION | ErrorCode::NOT_COORDINATOR => {
                self.join_again();
            }
            _ => self.start_over(),
        }
    }
}

struct World {
    rig: Rig,
    clients: Vec<Client>,
    lives: usize,
}

impl World {
    fn run(&mut self, step: &Step) {
        match step {
            Step::Come { client, is_classic } => self.come(*client, *is_classic),
            Step::Go { client } => self.go(*client),
            Step::Leave { client } => self.leave(*client),
            Step::Settle => self.rig.settle(),
            Step::Fail => self.rig.fail_appends(),
            Step::Pass { ms } => self.rig.pass_ms(*ms),
        }
        for client in &mut self.clients {
            let answer = client.ask.and_then(|ask| self.rig.answers.get(&ask)).cloned();
            if let Some(answer) = answer {
                client.ask = None;
                client.hear(answer);
            }
        }
        if let Some(group) = self.consumers() {
            check_owners(group);
        }
    }

    fn consumers(&self) -> Option<&ConsumerGroup> {
        self.rig.coordinator.groups.get(GROUP)?.consumers.as_deref()
    }

    fn come(&mut self, client: usize, is_classic: bool) {
        if self.clients[client].next == Next::Nothing {
            self.lives += 1;
            let id = if is_classic { String::new() } else { format!("{client}-{}", self.lives) };
            self.clients[client] = Client { is_classic, id, next: Next::Join, ..Client::default() };
        }
    }

    fn go(&mut self, client: usize) {
        let me = &mut self.clients[client];
        if me.ask.is_none()
            && let Some((version, request)) = me.request(&self.rig.cluster)
        {
            self.clients[client].ask = Some(self.rig.ask(version, request));
        }
    }

    fn leave(&mut self, client: usize) {
        let me = std::mem::take(&mut self.clients[client]);
        if me.next == Next::Nothing || me.id.is_empty() {
            return;
        }
        if me.is_classic {
            let members = vec![MemberIdentity { member_id: me.id, ..Default::default() }];
            let request = LeaveGroupRequest { group_id: GROUP.into(), members, ..Default::default() };
            self.rig.ask(5, GroupRequest::Leave(request));
        } else {
            self.rig.send(alive(&me.id, -1));
        }
    }

    /// Everybody goes on for a while.
    fn rest(&mut self) {
        for _ in 0..60 {
            for client in 0..CLIENTS {
                self.run(&Step::Go { client });
                self.run(&Step::Settle);
            }
            self.run(&Step::Pass { ms: 1_000 });
            self.run(&Step::Settle);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]
    #[test]
    fn members_of_both_protocols_share_what_there_is(steps in prop::collection::vec(step(), 1..150)) {
        let mut world = World { rig: Rig::new(), clients: vec![Client::default(); CLIENTS], lives: 0 };
        for step in &steps {
            world.run(step);
        }
        world.rest();
        prop_assert!(world.rig.appending.is_empty());
        let there: Vec<&Client> = world.clients.iter().filter(|client| client.next != Next::Nothing).collect();
        let mut owned: Vec<i32> = there.iter().flat_map(|client| client.owned.clone()).collect();
        owned.sort_unstable();
        let all: Vec<i32> = if there.is_empty() { Vec::new() } else { (0..PARTITIONS).collect() };
        prop_assert_eq!(owned, all, "{:#?}", world.clients);
        let speaks_new = there.iter().any(|client| !client.is_classic);
        prop_assert_eq!(world.consumers().is_some_and(|group| !group.is_empty()), speaks_new);
        let kept = replayed(&world.rig.log);
        match world.consumers() {
            Some(group) => prop_assert_eq!(told(&kept), told(group)),
            // Nobody may have been in it when its tombstones were not written.
            None => prop_assert!(kept.is_empty()),
        }
        let waiting: BTreeSet<u64> = (0..world.rig.asked).filter(|ask| !world.rig.answers.contains_key(ask)).collect();
        prop_assert!(waiting.is_empty(), "{waiting:?} are not answered");
    }
}
