//! Random events in random order: whatever happens, the promises at the head of the module hold, as clients see them.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::records::{replayed, told};
use super::*;

#[derive(Clone, Debug)]
enum Step {
    Join { client: usize, is_static: bool, topics: usize },
    Beat { client: usize, is_lost: bool },
    Leave { client: usize, for_now: bool },
    Settle,
    Fail,
    Pass { ms: u64 },
    Topic { name: usize, count: i32 },
}

const CLIENTS: usize = 4;
const NAMES: [&str; 3] = ["t", "u", "v"];

fn step() -> impl Strategy<Value = Step> {
    let client = 0..CLIENTS;
    prop_oneof![
        4 => (client.clone(), any::<bool>(), 0..4usize)
            .prop_map(|(client, is_static, topics)| Step::Join { client, is_static, topics }),
        12 => (client.clone(), prop::bool::weighted(0.1)).prop_map(|(client, is_lost)| Step::Beat { client, is_lost }),
        1 => (client, any::<bool>()).prop_map(|(client, for_now)| Step::Leave { client, for_now }),
        9 => Just(Step::Settle),
        1 => Just(Step::Fail),
        3 => (0..20_000u64).prop_map(|ms| Step::Pass { ms }),
        1 => (0..NAMES.len(), 0..6i32).prop_map(|(name, count)| Step::Topic { name, count }),
    ]
}

/// What a client knows of itself.
#[derive(Clone, Debug, Default)]
struct Client {
    id: String,
    instance: Option<String>,
    epoch: i32,
    /// What it may use: what it was given, as far as it heard.
    owned: Vec<TopicPartitions>,
    ask: Option<(u64, bool)>,
    is_in: bool,
}

struct World {
    rig: Rig,
    clients: Vec<Client>,
    lives: usize,
}

impl World {
    fn run(&mut self, step: &Step) {
        match step {
            Step::Join { client, is_static, topics } => self.join(*client, *is_static, *topics),
            Step::Beat { client, is_lost } => {
                let me = self.clients[*client].clone();
                if me.is_in && me.ask.is_none() {
                    let mut request = alive(&me.id, me.epoch);
                    request.instance_id = me.instance.clone();
                    request.topic_partitions = Some(me.owned.clone());
                    self.clients[*client].ask = Some((self.rig.send(request), *is_lost));
                }
            }
            Step::Leave { client, for_now } => {
                let me = std::mem::take(&mut self.clients[*client]);
                if me.is_in {
                    let epoch = if *for_now && me.instance.is_some() { -2 } else { -1 };
                    self.rig.send(ConsumerGroupHeartbeatRequest { instance_id: me.instance, ..alive(&me.id, epoch) });
                }
            }
            Step::Settle => self.rig.settle(),
            Step::Fail => self.rig.fail_appends(),
            Step::Pass { ms } => self.rig.pass_ms(*ms),
            Step::Topic { name, count: 0 } => self.rig.cluster.remove(NAMES[*name]),
            Step::Topic { name, count } => {
                let before = self.rig.cluster.partition_count(NAMES[*name]).unwrap_or(0);
                self.rig.cluster.set(NAMES[*name], before.max(*count));
            }
        }
        self.hear();
        self.check();
    }

    fn join(&mut self, client: usize, is_static: bool, topics: usize) {
        if self.clients[client].is_in || self.clients[client].ask.is_some() {
            return;
        }
        self.lives += 1;
        let me = Client {
            id: format!("{client}-{}", self.lives),
            instance: is_static.then(|| format!("instance-{client}")),
            ..Client::default()
        };
        let mut request = ConsumerGroupHeartbeatRequest { instance_id: me.instance.clone(), ..join(&me.id) };
        match topics {
            3 => {
                request.subscribed_topic_names = None;
                request.subscribed_topic_regex = Some("[tv]".into());
            }
            count => {
                request.subscribed_topic_names = Some(NAMES[..=count].iter().map(|name| (*name).to_owned()).collect())
            }
        }
        let ask = self.rig.send(request);
        self.clients[client] = Client { ask: Some((ask, false)), ..me };
    }

    /// Clients read their answers, unless they are lost.
    fn hear(&mut self) {
        for client in &mut self.clients {
            let Some((ask, is_lost)) = client.ask else { continue };
            let Some(GroupResponse::ConsumerHeartbeat(response)) = self.rig.answers.get(&ask) else { continue };
            client.ask = None;
            if is_lost {
                continue;
            }
            match error(response) {
                ErrorCode::NONE => {
                    assert!(response.member_epoch >= client.epoch, "an epoch went back: {response:?} to {client:?}");
                    client.epoch = response.member_epoch;
                    client.is_in = true;
                    if let Some(assignment) = &response.assignment {
                        client.owned = assignment.topic_partitions.clone();
                    }
                }
                ErrorCode::NOT_COORDINATOR => {}
                _ => *client = Client::default(),
            }
        }
    }

    fn check(&self) {
        let members = self.rig.coordinator.groups.get(GROUP).and_then(|group| group.consumers.as_ref());
        let Some(group) = members else { return };
        check_owners(group);
        // What a client that is in may use is its own, as far as the log goes.
        for client in self.clients.iter().filter(|client| client.is_in && client.ask.is_none()) {
            let Some(current) = group.current.get(&client.id).filter(|current| current.epoch == client.epoch) else {
                continue;
            };
            for topic in &client.owned {
                for partition in &topic.partitions {
                    let has = |held: &super::super::Held| {
                        held.get(&topic.topic_id).is_some_and(|held| held.contains_key(partition))
                    };
                    assert!(has(&current.assigned) || has(&current.revoking), "{client:?} uses what it does not have");
                }
            }
        }
    }
}

/// Each partition is one member's, and epochs are in order.
pub(super) fn check_owners(group: &ConsumerGroup) {
    let mut seen = BTreeSet::new();
    for (member, current) in &group.current {
        assert!(group.members.contains_key(member), "{member} has partitions and is not there");
        assert!(current.epoch <= group.target_epoch);
        for held in [&current.assigned, &current.revoking] {
            for (topic, partitions) in held {
                for partition in partitions.keys() {
                    assert!(seen.insert((*topic, *partition)), "{partition} of {topic:?} has two owners");
                    assert_eq!(group.owner(*topic, *partition), Some(member.as_str()));
                }
            }
        }
    }
    assert_eq!(group.owners.values().map(BTreeMap::len).sum::<usize>(), seen.len());
    assert!(group.target_epoch <= group.epoch);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]
    #[test]
    fn no_partition_has_two_owners_and_the_log_says_all(steps in prop::collection::vec(step(), 1..120)) {
        let mut world = World { rig: Rig::new(), clients: vec![Client::default(); CLIENTS], lives: 0 };
        for step in &steps {
            world.run(step);
        }
        world.rig.settle();
        world.hear();
        world.check();
        prop_assert_eq!(world.rig.answers.len() as u64, world.rig.asked, "somebody is not answered");
        if let Some(group) = world.rig.coordinator.groups.get(GROUP).and_then(|group| group.consumers.as_ref()) {
            prop_assert_eq!(told(&replayed(&world.rig.log)), told(group));
        }
        // Everybody goes on for a while: the group comes to rest with every partition in use.
        world.clients.iter_mut().for_each(|client| client.ask = None);
        for _ in 0..12 {
            for client in 0..CLIENTS {
                world.run(&Step::Beat { client, is_lost: false });
                world.run(&Step::Settle);
            }
            world.rig.pass_ms(11_000);
            world.rig.settle();
        }
        if let Some(group) = world.rig.coordinator.groups.get(GROUP).and_then(|group| group.consumers.as_ref()) {
            let is_there = |client: &Client| group.members.contains_key(&client.id);
            prop_assert!(group.is_empty() || world.clients.iter().any(is_there));
            prop_assert!(matches!(group.state(), ConsumerState::Stable | ConsumerState::Empty), "{:?}", group.state());
        }
    }
}
