use ringlog_wire::messages::create_topics::{CreatableReplicaAssignment, CreatableTopic};
use ringlog_wire::messages::delete_topics::DeleteTopicState;

use super::*;
use crate::metadata::fixtures::{create, decide, errors, numbers, settings, start, topic};
use crate::metadata::image::RESOURCE_BROKER;

fn controller() -> Controller {
    start(settings(), None).0
}

/// Leaders of a topic's partitions.
fn leaders(controller: &Controller, name: &str) -> Vec<i32> {
    controller.image().topic(name).unwrap().partitions.values().map(|partition| partition.leader.0).collect()
}

fn assigned(name: &str, partitions: &[(i32, &[i32])]) -> CreatableTopic {
    let assignment = |(number, nodes): &(i32, &[i32])| CreatableReplicaAssignment {
        partition_index: *number,
        broker_ids: nodes.to_vec(),
        ..Default::default()
    };
    CreatableTopic { assignments: partitions.iter().map(assignment).collect(), ..topic(name, -1, &[]) }
}

/// Error and message of creating one topic beside `taken`.
fn refused(topic: CreatableTopic) -> (i16, String) {
    let mut controller = controller();
    create(&mut controller, vec![self::topic("taken", 1, &[]), self::topic("under_score", 1, &[])]);
    let proposal = create(&mut controller, vec![topic]);
    assert_eq!(proposal.records, []);
    let Decided::CreateTopics(response) = proposal.outcome else { panic!() };
    let result = &response.topics[0];
    assert_eq!((result.num_partitions, result.replication_factor), (-1, -1));
    (result.error_code, result.error_message.clone().unwrap())
}

fn with_factor(name: &str, replication_factor: i16) -> CreatableTopic {
    CreatableTopic { replication_factor, ..topic(name, 1, &[]) }
}

/// Codes and texts are those of a KRaft controller of 4.3, but for the reason why siblings do not replicate.
#[test]
fn what_cannot_be_made_is_refused_in_kafkas_words() {
    let siblings = "the 2 broker(s) that are registered are shards of 1 host(s), and those of one host fail together";
    for (topic, code, message) in [
        (topic("taken", 1, &[]), 36, "Topic 'taken' already exists."),
        (topic("under.score", 1, &[]), 17, "Topic 'under.score' collides with existing topic: under_score"),
        (topic("..", 1, &[]), 17, "Topic name is invalid: '..' is not allowed"),
        (topic("__cluster_metadata", 1, &[]), 42, "Creation of internal topic __cluster_metadata is prohibited."),
        (topic("t", 0, &[]), 37, "Number of partitions was set to an invalid non-positive value."),
        (topic("t", -2, &[]), 37, "Number of partitions was set to an invalid non-positive value."),
        (topic("t", 10_001, &[]), 44, "Excessively large number of partitions per request."),
        (with_factor("t", 0), 38, "Replication factor must be larger than 0, or -1 to use the default value."),
        (with_factor("t", 2), 38, siblings),
        (topic("t", 1, &[("a", "b")]), 40, "Unknown topic config name: a"),
        (assigned("t", &[(0, &[1, 2])]), 38, "shards of one host, which fail together"),
        (assigned("t", &[(0, &[3])]), 39, "includes broker 3, but no such broker is registered."),
        (assigned("t", &[(0, &[1, 1])]), 39, "includes the broker 1 more than once."),
        (assigned("t", &[(0, &[])]), 39, "The manual partition assignment includes an empty replica list."),
        (assigned("t", &[(1, &[1])]), 39, "partitions should be a consecutive 0-based integer sequence"),
        (assigned("t", &[(0, &[1]), (0, &[2])]), 39, "Found multiple manual partition assignments for partition 0"),
        (
            CreatableTopic { num_partitions: 1, ..assigned("t", &[(0, &[1])]) },
            42,
            "A manual partition assignment was specified, but numPartitions was not set to -1.",
        ),
        (
            CreatableTopic { replication_factor: 1, ..assigned("t", &[(0, &[1])]) },
            42,
            "A manual partition assignment was specified, but replication factor was not set to -1.",
        ),
    ] {
        let name = format!("{topic:?}");
        let (found, text) = refused(topic);
        assert_eq!(found, code, "{name}: {text}");
        assert!(text.contains(message), "{text}");
    }
}

#[test]
fn leaders_take_turns_and_the_next_topic_goes_on_where_the_last_one_ended() {
    let mut controller = controller();
    create(&mut controller, vec![topic("a", 3, &[]), topic("b", 1, &[]), topic("c", 1, &[])]);
    assert_eq!(leaders(&controller, "a"), [1, 2, 1]);
    assert_eq!(leaders(&controller, "b"), [2]);
    assert_eq!(leaders(&controller, "c"), [1]);
    create(&mut controller, vec![assigned("m", &[(1, &[1]), (0, &[2])])]);
    assert_eq!(leaders(&controller, "m"), [2, 1]);
}

#[test]
fn a_topic_is_its_record_its_settings_and_its_partitions() {
    let mut controller = controller();
    let proposal = create(&mut controller, vec![topic("t", 2, &[("retention.ms", "5"), ("flush.messages", "1")])]);
    let names: Vec<_> = proposal.records.iter().map(MetadataRecord::name).collect();
    assert_eq!(names, ["TopicRecord", "ConfigRecord", "ConfigRecord", "PartitionRecord", "PartitionRecord"]);
    let Decided::CreateTopics(response) = &proposal.outcome else { panic!() };
    let result = &response.topics[0];
    assert_eq!((result.num_partitions, result.replication_factor, result.error_code), (2, 1, 0));
    assert_eq!(result.error_message, None);
    assert_eq!(result.topic_id, proposal.image.topic("t").unwrap().id);
    let retention = result.configs.as_ref().unwrap().iter().find(|config| config.name == "retention.ms").unwrap();
    assert_eq!((retention.value.as_deref(), retention.config_source), (Some("5"), 1));
    let version = proposal.image.version();
    let next = create(&mut controller, vec![topic("u", 1, &[])]);
    assert_eq!(next.image.version(), version + 2, "the image is of the last record's offset");
}

#[test]
fn a_request_is_decided_topic_by_topic_and_sees_its_own_topics() {
    let mut controller = controller();
    let topics = vec![topic("a.b", 1, &[]), topic("a_b", 1, &[]), topic("x", 1, &[]), topic("x", 2, &[])];
    let errors = errors(&create(&mut controller, topics));
    assert_eq!(errors, [("a.b".into(), 0), ("a_b".into(), 17), ("x".into(), 42)]);
}

#[test]
fn validation_alone_changes_nothing() {
    let mut controller = controller();
    let request = CreateTopicsRequest { topics: vec![topic("t", 2, &[])], validate_only: true, ..Default::default() };
    let proposal = decide(&mut controller, Call::CreateTopics(request));
    assert_eq!((errors(&proposal), proposal.records), (vec![("t".into(), 0)], vec![]));
    assert_eq!(controller.image().topic("t"), None);
}

#[test]
fn later_calls_see_proposals_that_are_not_on_the_disk_yet() {
    let mut controller = controller();
    create(&mut controller, vec![topic("t", 1, &[])]);
    assert_eq!(errors(&create(&mut controller, vec![topic("t", 1, &[])])), [("t".into(), 36)]);
}

#[test]
fn colocated_replicas_are_a_rehearsal_in_which_only_the_leader_is_in_sync() {
    let mut controller = start(Settings::of(&[("ringlog.shards", "2"), ("allow.colocated.replicas", "true")]), None).0;
    create(&mut controller, vec![CreatableTopic { replication_factor: 2, ..topic("t", 2, &[]) }]);
    let image = controller.image();
    let partition = image.topic("t").unwrap().partition(1).unwrap();
    assert_eq!((&partition.replicas, &partition.isr), (&vec![NodeId(2), NodeId(1)], &vec![NodeId(2)]));
    assert_eq!(partition.directories.len(), 2);
    let three = create(&mut controller, vec![CreatableTopic { replication_factor: 3, ..topic("u", 1, &[]) }]);
    let Decided::CreateTopics(response) = three.outcome else { panic!() };
    assert_eq!(
        response.topics[0].error_message.as_deref(),
        Some(
            "Unable to replicate the partition 3 time(s): The target replication factor of 3 cannot be reached \
             because only 2 broker(s) are registered."
        )
    );
}

#[test]
fn automatic_topics_have_the_brokers_defaults_and_the_coordinators_its_own() {
    let mut controller = start(Settings::of(&[("num.partitions", "3"), ("offsets.topic.num.partitions", "5")]), None).0;
    let names = ["t", "t", "__consumer_offsets", "a b"].map(str::to_owned).to_vec();
    let proposal = decide(&mut controller, Call::AutoCreate(names));
    let Decided::AutoCreate(created) = &proposal.outcome else { panic!() };
    let codes: Vec<_> = created.iter().map(|(_, code)| code.0).collect();
    assert_eq!(codes, [0, 0, 0, 17]);
    let count = |name: &str| proposal.image.topic(name).unwrap().partitions.len();
    assert_eq!((count("t"), count("__consumer_offsets")), (3, 5));
    let configs = &proposal.image.topic("__consumer_offsets").unwrap().configs;
    assert_eq!(configs.get("cleanup.policy").map(String::as_str), Some("compact"));
    assert_eq!(configs.get("segment.bytes").map(String::as_str), Some("104857600"));
}

fn delete(controller: &mut Controller, names: &[&str], version: i16) -> Proposal {
    let topic_names = names.iter().map(|name| (*name).to_owned()).collect();
    let request = DeleteTopicsRequest { topic_names, ..Default::default() };
    decide(controller, Call::DeleteTopics(request, version))
}

#[test]
fn topics_are_deleted_by_name_or_by_id() {
    let mut controller = controller();
    create(&mut controller, vec![topic("a", 1, &[]), topic("b", 1, &[])]);
    assert_eq!(errors(&delete(&mut controller, &["a", "a", "x"], 5)), [("a".into(), 42), ("x".into(), 3)]);
    assert_eq!(errors(&delete(&mut controller, &["a"], 5)), [("a".into(), 0)]);
    assert_eq!(errors(&delete(&mut controller, &["a"], 5)), [("a".into(), 3)]);
    let id = controller.image().topic("b").unwrap().id;
    let state = |name: Option<&str>, topic_id| DeleteTopicState {
        name: name.map(str::to_owned),
        topic_id,
        ..Default::default()
    };
    let topics = vec![state(Some("b"), id), state(None, Uuid::ZERO), state(None, Uuid([9; 16])), state(None, id)];
    let request = DeleteTopicsRequest { topics, ..Default::default() };
    let proposal = decide(&mut controller, Call::DeleteTopics(request, 6));
    assert_eq!(errors(&proposal), [("b".into(), 42), (String::new(), 42), (String::new(), 100), ("b".into(), 0)]);
    assert_eq!(proposal.records.len(), 1);
    assert_eq!(controller.image().topics().count(), 0);
}

#[test]
fn deletion_can_be_switched_off() {
    let mut controller = start(Settings::of(&[("delete.topic.enable", "false")]), None).0;
    create(&mut controller, vec![topic("a", 1, &[])]);
    assert_eq!(errors(&delete(&mut controller, &["a"], 5)), [("a".into(), 73)]);
    assert_eq!(errors(&delete(&mut controller, &["a"], 2)), [("a".into(), 42)]);
}

#[test]
fn producer_ids_are_given_out_in_blocks() {
    let mut controller = controller();
    let blocks: Vec<_> = (0..2).map(|_| decide(&mut controller, Call::ProducerIds(NodeId(2))).outcome).collect();
    assert_eq!(blocks, [Decided::ProducerIds(0..1000), Decided::ProducerIds(1000..2000)]);
    assert_eq!(controller.image().next_producer_id(), 2000);
}

#[test]
fn a_first_start_writes_the_features_the_least_replicas_and_a_broker_for_each_shard() {
    let (_, proposal) = start(settings(), None);
    let names: Vec<_> = proposal.records.iter().map(MetadataRecord::name).collect();
    assert_eq!(
        names,
        [
            "FeatureLevelRecord",
            "FeatureLevelRecord",
            "FeatureLevelRecord",
            "ConfigRecord",
            "RegisterBrokerRecord",
            "RegisterBrokerRecord"
        ]
    );
    let brokers: Vec<_> = proposal.image.brokers().map(|broker| (broker.node.0, broker.port, broker.epoch)).collect();
    assert_eq!(brokers, [(1, 9092, 4), (2, 9093, 5)], "a registration's epoch is its record's offset");
}

#[test]
fn the_least_replicas_of_the_first_start_stay_whatever_a_later_file_says() {
    let least = |image: &Image| image.configs(RESOURCE_BROKER, "").get("min.insync.replicas").cloned();
    let (first, _) = start(Settings::of(&[("ringlog.shards", "2"), ("min.insync.replicas", "2")]), None);
    assert_eq!(least(first.image()).as_deref(), Some("2"));
    let (_, again) = start(settings(), Some(Image::clone(first.image())));
    assert_eq!(least(&again.image).as_deref(), Some("2"));
    assert!(!again.records.iter().any(|record| matches!(record, MetadataRecord::ConfigRecord(_))));
}

#[test]
fn a_log_of_something_newer_is_refused() {
    let settings = Arc::new(settings());
    let mut image = Image::empty("c", settings.here());
    let feature = ringlog_wire::records::metadata::FeatureLevelRecord {
        name: "metadata.version".into(),
        feature_level: 31,
        ..Default::default()
    };
    image.apply(&feature.into()).unwrap();
    let start = Start {
        settings,
        image,
        bootstrap: Vec::new(),
        directory_id: Uuid::ZERO,
        ports: &[1, 2],
        end_offset: 0,
        unclean: false,
        ends_in_transaction: false,
    };
    assert_eq!(Controller::start(start, &mut numbers()).unwrap_err(), StartError::TooNew { found: 31 });
}
