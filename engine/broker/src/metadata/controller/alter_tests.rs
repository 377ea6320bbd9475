//! CreatePartitions, AlterConfigs and IncrementalAlterConfigs: codes and texts are those of a KRaft broker of 4.3.1.

use ringlog_wire::messages::create_partitions::{CreatePartitionsAssignment, CreatePartitionsTopic};

use super::configs::{Change, Resource, Wish};
use super::*;
use crate::metadata::fixtures::{create, decide, settings, start, topic};

fn controller() -> Controller {
    let mut controller = start(settings(), None).0;
    create(&mut controller, vec![topic("t", 3, &[("retention.ms", "5"), ("cleanup.policy", "compact")])]);
    controller
}

fn wanted(name: &str, count: i32) -> CreatePartitionsTopic {
    CreatePartitionsTopic { name: name.into(), count, assignments: None, ..Default::default() }
}

fn by_hand(count: i32, nodes: &[&[i32]]) -> CreatePartitionsTopic {
    let one = |nodes: &&[i32]| CreatePartitionsAssignment { broker_ids: nodes.to_vec(), ..Default::default() };
    CreatePartitionsTopic { assignments: Some(nodes.iter().map(one).collect()), ..wanted("t", count) }
}

/// The records' count, and each topic's code and message.
fn grow(
    controller: &mut Controller,
    topics: Vec<CreatePartitionsTopic>,
    validate_only: bool,
) -> (usize, Vec<(i16, String)>) {
    let request = CreatePartitionsRequest { topics, validate_only, ..Default::default() };
    let proposal = decide(controller, Call::CreatePartitions(request));
    let Decided::CreatePartitions(response) = proposal.outcome else { panic!() };
    let told = response.results.into_iter().map(|one| (one.error_code, one.error_message.unwrap_or_default()));
    (proposal.records.len(), told.collect())
}

fn leaders(controller: &Controller) -> Vec<i32> {
    controller.image().topic("t").unwrap().partitions.values().map(|partition| partition.leader.0).collect()
}

#[test]
fn more_partitions_go_on_where_the_last_one_was() {
    let mut controller = controller();
    let before = leaders(&controller);
    assert_eq!(grow(&mut controller, vec![wanted("t", 6)], true), (0, vec![(0, String::new())]));
    assert_eq!(leaders(&controller), before, "checked only");
    assert_eq!(grow(&mut controller, vec![wanted("t", 6)], false), (3, vec![(0, String::new())]));
    let after = leaders(&controller);
    assert_eq!(after[..3], before, "what was there stays");
    assert!(after.windows(2).all(|pair| pair[0] != pair[1]), "{after:?}");
    assert_eq!(grow(&mut controller, vec![by_hand(8, &[&[1], &[1]])], false).0, 2);
    assert_eq!(leaders(&controller)[6..], [1, 1]);
}

#[test]
fn what_does_not_grow_is_refused_in_kafkas_words() {
    let mut controller = controller();
    create(&mut controller, vec![topic("__consumer_offsets", 4, &[])]);
    for (topic, code, message) in [
        (wanted("t", 3), 37, "Topic already has 3 partition(s)."),
        (wanted("t", 2), 37, "The topic t currently has 3 partition(s); 2 would not be an increase."),
        (wanted("t", -1), 37, "The topic t currently has 3 partition(s); -1 would not be an increase."),
        (wanted("none", 4), 3, ""),
        (wanted("t", 20_000), 44, "Excessively large number of partitions per request."),
        (by_hand(4, &[]), 39, "Attempted to add 1 additional partition(s), but only 0 assignment(s) were specified."),
        (by_hand(4, &[&[9]]), 39, "includes broker 9, but no such broker is registered."),
        (by_hand(4, &[&[1, 2]]), 39, "includes a partition with 2 replica(s), but this is not consistent"),
        (by_hand(4, &[&[1, 1]]), 39, "includes the broker 1 more than once."),
        (by_hand(4, &[&[]]), 39, "The manual partition assignment includes an empty replica list."),
        (wanted("__consumer_offsets", 8), 42, "The number of partitions of internal topic"),
    ] {
        let (records, told) = grow(&mut controller, vec![topic.clone()], false);
        assert_eq!((records, told[0].0), (0, code), "{topic:?}: {}", told[0].1);
        assert!(told[0].1.contains(message), "{}", told[0].1);
    }
    let (_, told) = grow(&mut controller, vec![wanted("t", 4), wanted("t", 5)], false);
    assert_eq!(told, [(42, "Duplicate topic name.".to_owned())]);
}

fn resource(kind: i8, name: &str) -> Resource {
    Resource { kind, name: name.to_owned() }
}

fn alter(
    controller: &mut Controller,
    wishes: Vec<(Resource, Wish)>,
    validate_only: bool,
) -> (usize, Vec<(i16, String)>) {
    let call = Call::AlterConfigs(AlterConfigs { wishes, validate_only, node: NodeId(1) });
    let proposal = decide(controller, call);
    let Decided::AlterConfigs(altered) = proposal.outcome else { panic!() };
    let told = altered.into_iter().map(|(_, code, message)| (code.0, message.unwrap_or_default()));
    (proposal.records.len(), told.collect())
}

fn set(value: &str) -> Change {
    Change::Set(Some(value.to_owned()))
}

fn append(items: &str) -> Change {
    Change::Append(Some(items.to_owned()))
}

fn subtract(items: &str) -> Change {
    Change::Subtract(Some(items.to_owned()))
}

fn changes(changes: &[(&str, Change)]) -> Wish {
    Wish::Change(changes.iter().map(|(name, change)| ((*name).to_owned(), change.clone())).collect())
}

fn configs(controller: &Controller) -> Vec<(String, String)> {
    let configs = &controller.image().topic("t").unwrap().configs;
    configs.iter().map(|(name, value)| (name.clone(), value.clone())).collect()
}

#[test]
fn settings_are_set_deleted_and_their_lists_added_to() {
    let t = || resource(2, "t");
    for (wish, records, due) in [
        (changes(&[("retention.ms", set("7"))]), 1, vec![("cleanup.policy", "compact"), ("retention.ms", "7")]),
        (changes(&[("retention.ms", set("5"))]), 0, vec![("cleanup.policy", "compact"), ("retention.ms", "5")]),
        (changes(&[("retention.ms", Change::Delete)]), 1, vec![("cleanup.policy", "compact")]),
        (changes(&[("flush.ms", Change::Delete)]), 0, vec![("cleanup.policy", "compact"), ("retention.ms", "5")]),
        (
            changes(&[("cleanup.policy", append("delete,compact"))]),
            1,
            vec![("cleanup.policy", "compact,delete"), ("retention.ms", "5")],
        ),
        (changes(&[("cleanup.policy", subtract("compact"))]), 1, vec![("cleanup.policy", ""), ("retention.ms", "5")]),
        (Wish::Replace(vec![("flush.ms".into(), Some("9".into()))]), 3, vec![("flush.ms", "9")]),
    ] {
        let mut controller = controller();
        assert_eq!(alter(&mut controller, vec![(t(), wish.clone())], true), (0, vec![(0, String::new())]));
        assert_eq!(alter(&mut controller, vec![(t(), wish.clone())], false), (records, vec![(0, String::new())]));
        let found = configs(&controller);
        let found: Vec<(&str, &str)> = found.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(found, due, "{wish:?}");
    }
}

#[test]
fn changes_that_make_no_sense_are_refused_in_kafkas_words() {
    let (t, set_ms) = (|| resource(2, "t"), || changes(&[("retention.ms", set("1"))]));
    for (wish, code, message) in [
        ((t(), changes(&[("x", set("1"))])), 40, "Unknown topic config name: x"),
        ((t(), changes(&[("retention.ms", set("x"))])), 40, "Not a number of type LONG"),
        ((t(), changes(&[("retention.ms", append("1"))])), 40, "because its type is not LIST."),
        ((t(), changes(&[("cleanup.policy", append("x"))])), 40, "String must be one of"),
        ((t(), changes(&[("retention.ms", Change::Set(None))])), 42, "Null value not supported for : retention.ms"),
        ((t(), changes(&[("retention.ms", set("1")), ("retention.ms", Change::Delete)])), 42, "duplicate config keys"),
        ((t(), changes(&[("retention.ms", Change::Unknown(9))])), 42, "9"),
        ((t(), Wish::Replace(vec![("retention.ms".into(), None)])), 42, "Null value not supported for : retention.ms"),
        ((resource(2, "none"), set_ms()), 3, "The topic 'none' does not exist."),
        ((resource(2, ".."), set_ms()), 17, "'..' is not allowed"),
        ((resource(2, ""), set_ms()), 42, "Default topic resources are not allowed."),
        ((resource(4, "1"), changes(&[("num.partitions", set("1"))])), 42, "Cannot update these configs dynamically"),
        ((resource(4, "2"), changes(&[])), 42, "Unexpected broker id, expected 1, but received 2"),
        ((resource(4, "x"), changes(&[])), 42, "Node id must be an integer, but it is: x"),
        ((resource(4, ""), changes(&[("log.retention.ms", set("x"))])), 42, "Not a number of type LONG"),
        (
            (resource(4, ""), changes(&[("log.retention.ms", append("1"))])),
            40,
            "Config value append is not allowed for",
        ),
        ((resource(4, ""), changes(&[("principal.builder.class", set("a"))])), 42, "at default cluster level"),
        ((resource(4, "1"), changes(&[("log.retention.ms", Change::Unknown(9))])), 42, "9"),
        ((resource(9, "x"), set_ms()), 42, "Unknown resource type 9"),
        ((resource(32, ""), set_ms()), 42, "Default group resources are not allowed."),
        ((resource(32, "g"), set_ms()), 40, "Unknown group config name: retention.ms"),
        (
            (resource(32, "g"), changes(&[("consumer.session.timeout.ms", append("1"))])),
            40,
            "because its type is not LIST.",
        ),
    ] {
        let mut controller = controller();
        let (records, told) = alter(&mut controller, vec![wish.clone()], false);
        assert_eq!((records, told[0].0), (0, code), "{wish:?}: {}", told[0].1);
        assert!(told[0].1.contains(message), "{}", told[0].1);
    }
    let (records, told) = alter(&mut controller(), vec![(t(), set_ms()), (t(), set_ms())], false);
    assert_eq!(records, 0);
    assert_eq!(told, vec![(42, "Each resource must appear at most once.".to_owned()); 2]);
}

/// What is set for a node while it runs, but for what the first start sets for all.
fn set_of(controller: &Controller, node: i32) -> Vec<(String, String)> {
    let dynamic = controller.image().dynamic(NodeId(node));
    let all = dynamic.cluster.iter().chain(dynamic.own.iter());
    all.filter(|(name, _)| *name != "min.insync.replicas").map(|(name, value)| (name.clone(), value.clone())).collect()
}

#[test]
fn a_brokers_settings_are_its_own_or_all_brokers_and_are_counted_with_at_once() {
    let mut controller = controller();
    let all = || resource(4, "");
    let wish = || changes(&[("log.retention.ms", set("7")), ("log.cleanup.policy", append("compact"))]);
    assert_eq!(alter(&mut controller, vec![(all(), wish())], true), (0, vec![(0, String::new())]), "checked only");
    assert_eq!(alter(&mut controller, vec![(all(), wish())], false), (2, vec![(0, String::new())]));
    let set_for_all = [("log.cleanup.policy", "delete,compact"), ("log.retention.ms", "7")];
    let set_for_all: Vec<(String, String)> = set_for_all.iter().map(|(a, b)| ((*a).into(), (*b).into())).collect();
    assert_eq!((set_of(&controller, 1), set_of(&controller, 2)), (set_for_all.clone(), set_for_all.clone()));
    let made = create(&mut controller, vec![topic("new", 1, &[])]);
    let Decided::CreateTopics(response) = made.outcome else { panic!() };
    let told = response.topics[0].configs.iter().flatten().find(|config| config.name == "retention.ms").unwrap();
    assert_eq!((told.value.as_deref(), told.config_source), (Some("7"), 3));

    let own = changes(&[("log.retention.ms", set("9")), ("my.plugin", set("x"))]);
    assert_eq!(alter(&mut controller, vec![(resource(4, "1"), own)], false).0, 2);
    assert_eq!((set_of(&controller, 1).len(), set_of(&controller, 2)), (4, set_for_all));
    let gone = changes(&[("log.retention.ms", Change::Delete), ("log.cleanup.policy", subtract("delete"))]);
    assert_eq!(alter(&mut controller, vec![(all(), gone)], false), (2, vec![(0, String::new())]));
    let exactly = Wish::Replace(vec![("log.retention.bytes".into(), Some("5".into()))]);
    assert_eq!(alter(&mut controller, vec![(resource(4, "1"), exactly)], false), (3, vec![(0, String::new())]));
    let left = [("log.cleanup.policy", "compact"), ("log.retention.bytes", "5")];
    assert_eq!(set_of(&controller, 1), left.map(|(name, value)| (name.to_owned(), value.to_owned())));
}
