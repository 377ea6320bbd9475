//! Random events in random order: whatever happens, the promises at the head of the coordinator hold.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Join { client: usize, version: i16, is_static: bool, protocols: usize },
    Sync { client: usize, wrong_generation: bool },
    Heartbeat { client: usize },
    Leave { client: usize },
    Commit { client: usize, as_nobody: bool },
    Settle,
    Fail,
    Pass { ms: u64 },
    TopicDeleted,
    Reload,
}

const CLIENTS: usize = 4;

fn step() -> impl Strategy<Value = Step> {
    let client = 0..CLIENTS;
    prop_oneof![
        6 => (client.clone(), prop_oneof![Just(0i16), Just(3), Just(5), Just(9)], any::<bool>(), 0..3usize)
            .prop_map(|(client, version, is_static, protocols)| Step::Join { client, version, is_static, protocols }),
        6 => (client.clone(), prop::bool::weighted(0.1))
            .prop_map(|(client, wrong_generation)| Step::Sync { client, wrong_generation }),
        3 => client.clone().prop_map(|client| Step::Heartbeat { client }),
        1 => client.clone().prop_map(|client| Step::Leave { client }),
        2 => (client, any::<bool>()).prop_map(|(client, as_nobody)| Step::Commit { client, as_nobody }),
        5 => Just(Step::Settle),
        1 => Just(Step::Fail),
        3 => (0..20_000u64).prop_map(|ms| Step::Pass { ms }),
        1 => Just(Step::TopicDeleted),
        1 => prop_oneof![3 => Just(Step::Settle), 1 => Just(Step::Reload)],
    ]
}

/// What a client knows of itself.
#[derive(Clone, Debug, Default)]
struct Client {
    id: String,
    instance: Option<String>,
    generation: i32,
    join: Option<Ask>,
}

struct World {
    rig: Rig,
    clients: Vec<Client>,
    /// Every sync that was answered without error, with who asked in which generation.
    syncs: Vec<(Ask, String, i32)>,
}

impl World {
    fn run(&mut self, step: &Step) {
        match step {
            Step::Join { client, version, is_static, protocols } => {
                self.join(*client, *version, *is_static, *protocols)
            }
            Step::Sync { client, wrong_generation } => self.sync(*client, *wrong_generation),
            Step::Heartbeat { client } => {
                let Client { id, generation, .. } = self.clients[*client].clone();
                self.rig.heartbeat(&id, generation);
            }
            Step::Leave { client } => {
                let id = std::mem::take(&mut self.clients[*client].id);
                self.rig.leave(&[(&id, None)]);
            }
            Step::Commit { client, as_nobody } => {
                let mut request = super::commit::commit(0, 1);
                if !as_nobody {
                    request.member_id = self.clients[*client].id.clone();
                    request.generation_id_or_member_epoch = self.clients[*client].generation;
                }
                self.rig.ask(9, GroupRequest::OffsetCommit(request));
            }
            Step::Settle => self.rig.settle(),
            Step::Fail => self.rig.fail_appends(ErrorCode::KAFKA_STORAGE_ERROR),
            Step::Pass { ms } => self.rig.pass_ms(*ms),
            Step::TopicDeleted => {
                let deleted = BTreeMap::from([("t".to_owned(), TOPIC_ID)]);
                let effects = self.rig.coordinator.topics_deleted(&deleted, self.rig.at);
                self.rig.act(effects);
            }
            Step::Reload => {
                let effects = self.rig.coordinator.unload(0);
                self.rig.act(effects);
                self.rig.appending.clear();
                let effects = self.rig.coordinator.load(0, &[], self.rig.at).unwrap();
                self.rig.act(effects);
            }
        }
        self.hear();
        check(&self.rig);
    }

    fn join(&mut self, client: usize, version: i16, is_static: bool, protocols: usize) {
        let me = &mut self.clients[client];
        if me.id.is_empty() {
            me.instance = (is_static && version >= 5).then(|| format!("instance-{client}"));
        }
        let protocols = match protocols {
            0 => vec![protocol("range", b"1")],
            1 => vec![protocol("sticky", b"2"), protocol("range", b"3")],
            _ => vec![protocol("range", b"4"), protocol("other", b"5")],
        };
        let request = JoinGroupRequest { group_instance_id: me.instance.clone(), protocols, ..join(&me.id) };
        me.join = Some(self.rig.join(version, request));
    }

    fn sync(&mut self, client: usize, wrong_generation: bool) {
        let Client { id, generation, instance, .. } = self.clients[client].clone();
        let shares: Vec<(String, String)> = self.rig.coordinator.groups.get(GROUP).map_or(Vec::new(), |group| {
            group.members.keys().map(|member| (member.clone(), format!("{member} in {generation}"))).collect()
        });
        let shares: Vec<(&str, &str)> = shares.iter().map(|(id, share)| (id.as_str(), share.as_str())).collect();
        let generation = generation + i32::from(wrong_generation);
        let request =
            SyncGroupRequest { group_instance_id: instance, protocol_name: None, ..sync(&id, generation, &shares) };
        let ask = self.rig.sync(request);
        self.syncs.push((ask, id, generation));
    }

    /// Clients read their answers.
    fn hear(&mut self) {
        for client in &mut self.clients {
            let Some(GroupResponse::Join(response)) = client.join.and_then(|ask| self.rig.answers.get(&ask.0)) else {
                continue;
            };
            client.join = None;
            match ErrorCode(response.error_code) {
                ErrorCode::NONE => {
                    client.id = response.member_id.clone();
                    client.generation = response.generation_id;
                }
                ErrorCode::MEMBER_ID_REQUIRED => client.id = response.member_id.clone(),
                ErrorCode::UNKNOWN_MEMBER_ID | ErrorCode::FENCED_INSTANCE_ID => client.id.clear(),
                _ => {}
            }
        }
    }

    /// A member has one share per generation.
    fn check_shares(&self) {
        let mut given: BTreeMap<(String, i32), Vec<u8>> = BTreeMap::new();
        for (ask, id, generation) in &self.syncs {
            let Some(GroupResponse::Sync(response)) = self.rig.answer(*ask) else { continue };
            if response.error_code == 0 {
                let share = given.entry((id.clone(), *generation)).or_insert_with(|| response.assignment.clone());
                assert_eq!(*share, response.assignment, "{id} was given two shares of generation {generation}");
            }
        }
    }
}

/// What holds after every step.
fn check(rig: &Rig) {
    let Some(group) = rig.coordinator.groups.get(GROUP) else { return };
    assert_eq!(group.members.is_empty(), group.leader.is_none(), "a leader where there are members");
    assert!(group.leader.as_ref().is_none_or(|leader| group.members.contains_key(leader)));
    for (instance, id) in &group.static_members {
        assert_eq!(group.members[id].instance_id.as_ref(), Some(instance));
    }
    for member in group.members.values() {
        assert!(!group.pending_joins.contains(&member.id));
        let is_timed = rig.coordinator.timers.runs(&super::super::timers::Timer::session(GROUP, &member.id));
        assert!(is_timed || member.has_satisfied_heartbeat(), "{} is neither timed nor waiting", member.id);
    }
    assert!(group.pending_syncs.iter().all(|id| group.members.contains_key(id)));
    match group.state {
        State::Empty => assert!(group.members.is_empty()),
        State::PreparingRebalance => {
            assert!(rig.coordinator.timers.runs(&super::super::timers::Timer::Join(GROUP.into())));
        }
        State::CompletingRebalance | State::Stable => {
            assert!(!group.members.is_empty());
            assert!(group.protocol.is_some(), "a protocol was chosen");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]
    #[test]
    fn every_request_is_answered_once_and_members_have_one_share(steps in prop::collection::vec(step(), 1..80)) {
        let mut world =
            World { rig: Rig::new(), clients: vec![Client::default(); CLIENTS], syncs: Vec::new() };
        for step in &steps {
            world.run(step);
        }
        world.check_shares();
        // Who is not answered waits for a timer; when all of them have fired, nobody waits. (Twice was checked on the way.)
        for _ in 0..40 {
            world.rig.pass_ms(300_000);
            world.rig.settle();
            check(&world.rig);
        }
        prop_assert_eq!(world.rig.answers.len() as u64, world.rig.asked);
    }
}
