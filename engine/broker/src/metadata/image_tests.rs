use ringlog_wire::records::metadata::{
    BrokerRegistrationChangeRecord, ConfigRecord, FeatureLevelRecord, MetadataRecord, NoOpRecord,
    PartitionChangeRecord, PartitionRecord, ProducerIdsRecord, RemoveTopicRecord, TopicRecord, UnregisterBrokerRecord,
};

use super::*;
use crate::metadata::fixtures::{image, settings};

const ID: Uuid = Uuid([3; 16]);

fn apply(image: &mut Image, record: impl Into<MetadataRecord>) {
    image.apply(&record.into()).unwrap();
}

fn config(name: &str, value: Option<&str>) -> ConfigRecord {
    ConfigRecord {
        resource_type: RESOURCE_TOPIC,
        resource_name: "t".into(),
        name: name.into(),
        value: value.map(str::to_owned),
        ..Default::default()
    }
}

fn with_topic() -> Image {
    let mut image = image();
    apply(&mut image, TopicRecord { name: "t".into(), topic_id: ID, ..Default::default() });
    let partition = PartitionRecord {
        partition_id: 0,
        topic_id: ID,
        replicas: vec![1],
        isr: vec![1],
        leader: 1,
        leader_epoch: 4,
        partition_epoch: 6,
        ..Default::default()
    };
    apply(&mut image, partition);
    image
}

#[test]
fn an_owner_is_here_beside_or_elsewhere() {
    let mut image = with_topic();
    let owner = |image: &Image, me| image.owner(image.topic("t").unwrap(), 0, ShardId(me));
    assert_eq!(owner(&image, 0), Owner::Local);
    assert_eq!(owner(&image, 1), Owner::Sibling(ShardId(0)));
    for (leader, expected) in [(9, Owner::Remote(NodeId(9))), (0, Owner::Remote(NodeId(0))), (-1, Owner::Nobody)] {
        apply(&mut image, PartitionChangeRecord { partition_id: 0, topic_id: ID, leader, ..Default::default() });
        assert_eq!(owner(&image, 0), expected);
    }
    assert_eq!(image.owner(image.topic("t").unwrap(), 1, ShardId(0)), Owner::Nobody);
}

#[test]
fn a_change_of_leader_makes_both_epochs_higher_and_another_change_one() {
    let mut image = with_topic();
    let epochs = |image: &Image| {
        let topic = image.topic_by_id(ID).unwrap();
        let partition = topic.partition(0).unwrap();
        (partition.leader.0, partition.leader_epoch, partition.partition_epoch, partition.isr.len())
    };
    apply(&mut image, PartitionChangeRecord { partition_id: 0, topic_id: ID, leader: 2, ..Default::default() });
    assert_eq!(epochs(&image), (2, 5, 7, 1));
    let isr = PartitionChangeRecord { partition_id: 0, topic_id: ID, isr: Some(vec![1, 2]), ..Default::default() };
    apply(&mut image, isr);
    assert_eq!(epochs(&image), (2, 5, 8, 2));
}

#[test]
fn a_topics_settings_may_come_before_or_after_it_and_go_with_it() {
    let mut image = image();
    apply(&mut image, config("retention.ms", Some("5")));
    apply(&mut image, TopicRecord { name: "t".into(), topic_id: ID, ..Default::default() });
    apply(&mut image, config("min.insync.replicas", Some("2")));
    let topic = image.topic("t").unwrap();
    assert_eq!(topic.configs.len(), 2);
    assert_eq!(topic.min_insync_replicas(&settings()), 2);
    apply(&mut image, config("min.insync.replicas", None));
    assert_eq!(image.topic("t").unwrap().min_insync_replicas(&settings()), 1);
    apply(&mut image, RemoveTopicRecord { topic_id: ID, ..Default::default() });
    assert_eq!((image.topic("t"), image.topic_by_id(ID)), (None, None));
    apply(&mut image, TopicRecord { name: "t".into(), topic_id: ID, ..Default::default() });
    assert_eq!(image.topic("t").unwrap().configs.len(), 0);
}

#[test]
fn an_image_that_is_read_does_not_change() {
    let old = with_topic();
    let mut new = old.clone();
    apply(&mut new, RemoveTopicRecord { topic_id: ID, ..Default::default() });
    assert!(old.topic("t").is_some() && new.topic("t").is_none());
}

#[test]
fn records_that_contradict_the_image_are_refused() {
    let mut image = with_topic();
    let missing = Uuid([8; 16]);
    let records: [MetadataRecord; 4] = [
        RemoveTopicRecord { topic_id: missing, ..Default::default() }.into(),
        PartitionRecord { topic_id: missing, ..Default::default() }.into(),
        PartitionChangeRecord { topic_id: ID, partition_id: 7, ..Default::default() }.into(),
        TopicRecord { name: "t".into(), topic_id: missing, ..Default::default() }.into(),
    ];
    for record in records {
        assert!(image.apply(&record).is_err(), "{record:?}");
    }
}

#[test]
fn brokers_features_and_producer_ids_are_kept() {
    let mut image = image();
    assert_eq!(image.finalized_features().get("metadata.version"), Some(&METADATA_VERSION));
    let feature =
        |name: &str, feature_level| FeatureLevelRecord { name: name.into(), feature_level, ..Default::default() };
    apply(&mut image, feature("kraft.version", 1));
    assert!(!image.finalized_features().contains_key("kraft.version"), "features that are not here are not announced");
    assert_eq!(image.feature_level("kraft.version"), 1);
    apply(&mut image, ProducerIdsRecord { next_producer_id: 5000, ..Default::default() });
    assert_eq!(image.next_producer_id(), 5000);
    apply(&mut image, BrokerRegistrationChangeRecord { broker_id: 2, fenced: 1, ..Default::default() });
    assert_eq!(image.live_brokers().count(), 1);
    apply(&mut image, BrokerRegistrationChangeRecord { broker_id: 2, fenced: -1, ..Default::default() });
    assert_eq!(image.live_brokers().count(), 2);
    apply(&mut image, UnregisterBrokerRecord { broker_id: 2, ..Default::default() });
    assert_eq!(image.brokers().count(), 1);
    apply(&mut image, NoOpRecord::default());
}

#[test]
fn topics_are_listed_by_name_from_a_name_on() {
    let image = with_topic();
    let from = |name: &str| image.topics_from(name).map(|topic| topic.name.to_string()).collect::<Vec<_>>();
    assert_eq!(from("b"), ["b", "t"]);
    assert_eq!(from("bb"), ["t"]);
}
