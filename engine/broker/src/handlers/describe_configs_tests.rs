use ringlog_wire::Message;
use ringlog_wire::codec::Reader;

use super::*;
use crate::metadata::fixtures::{create, start, topic};

/// Frames between unmodified clients and a real broker of the 4.3 line.
const FRAMES: &str = include_str!("../../../wire/tests/data/golden-frames.jsonl");

fn bytes_of(line: &str, field: &str) -> Vec<u8> {
    let (_, rest) = line.split_once(&format!("\"{field}\": \"")).unwrap();
    let hex = rest.split('"').next().unwrap();
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

/// Kafka's answer to `kafka-configs --describe --all` of a topic without settings of its own (with synonyms).
fn kafkas() -> DescribeConfigsResponse {
    let is_wanted = |line: &&str| line.contains("\"api_key\": 32,") && line.contains("kafka-configs describe topic");
    let line = FRAMES.lines().find(is_wanted).unwrap();
    let bytes = bytes_of(line, "response");
    // The response header of version 1: correlation id, no tagged fields.
    DescribeConfigsResponse::decode(&mut Reader::new(&bytes[5..]), 4).unwrap()
}

fn request(resource_type: i8, name: &str) -> DescribeConfigsRequest {
    let resource = DescribeConfigsResource {
        resource_type,
        resource_name: name.to_owned(),
        configuration_keys: None,
        ..Default::default()
    };
    DescribeConfigsRequest { resources: vec![resource], include_synonyms: true, ..Default::default() }
}

fn ask(settings: &[(&str, &str)], request: &DescribeConfigsRequest) -> DescribeConfigsResult {
    let (mut controller, _) = start(Settings::of(settings), None);
    create(&mut controller, vec![topic("t1", 1, &[]), topic("own", 1, &[("retention.ms", "5")])]);
    let settings = Settings::of(settings).with(controller.image().dynamic(NodeId(1)));
    answer(request, NodeId(1), controller.image(), &settings).results.remove(0)
}

fn find<'a>(result: &'a DescribeConfigsResult, name: &str) -> &'a DescribeConfigsResourceResult {
    result.configs.iter().find(|config| config.name == name).unwrap()
}

fn synonyms(config: &DescribeConfigsResourceResult) -> Vec<(&str, &str, i8)> {
    config.synonyms.iter().map(|one| (one.name.as_str(), one.value.as_deref().unwrap(), one.source)).collect()
}

#[test]
fn a_topics_defaults_are_told_as_kafka_tells_them() {
    let mut kafkas = kafkas().results.remove(0).configs;
    kafkas.sort_by(|a, b| a.name.cmp(&b.name));
    let ours = ask(&[], &request(RESOURCE_TOPIC, "t1")).configs;
    assert_eq!(ours.len(), 33);
    for (ours, kafkas) in ours.iter().zip(&kafkas) {
        assert_eq!(ours, kafkas);
    }
}

#[test]
fn a_setting_comes_from_the_topic_or_the_broker_or_nobody() {
    let settings = [("log.retention.ms", "7"), ("log.roll.hours", "2")];
    let result = ask(&settings, &request(RESOURCE_TOPIC, "own"));
    let retention = find(&result, "retention.ms");
    assert_eq!((retention.value.as_deref(), retention.config_source), (Some("5"), 1));
    let due = [("retention.ms", "5", 1), ("log.retention.ms", "7", 4), ("log.retention.hours", "168", 5)];
    assert_eq!(synonyms(retention), due);
    let roll = find(&result, "segment.ms");
    assert_eq!((roll.value.as_deref(), roll.config_source, roll.synonyms.len()), (Some("7200000"), 5, 0));
    let result = ask(&settings, &request(RESOURCE_TOPIC, "t1"));
    assert_eq!(find(&result, "retention.ms").config_source, 4);
}

#[test]
fn a_broker_tells_its_own_settings_and_no_others() {
    let result = ask(&[("num.partitions", "3")], &request(RESOURCE_BROKER, "1"));
    let partitions = find(&result, "num.partitions");
    assert_eq!((partitions.value.as_deref(), partitions.config_source), (Some("3"), 4));
    assert!(partitions.read_only);
    assert_eq!(synonyms(partitions), [("num.partitions", "3", 4), ("num.partitions", "1", 5)]);
    assert!(!find(&result, "log.segment.bytes").read_only);
    assert_eq!(find(&result, "node.id").value.as_deref(), Some("1"));
    assert_eq!(find(&result, "broker.rack").value, None);
    let other = ask(&[], &request(RESOURCE_BROKER, "2"));
    assert_eq!(other.error_code, ErrorCode::INVALID_REQUEST.0);
    assert_eq!(
        other.error_message.as_deref(),
        Some("Unexpected broker id, expected 1 or empty string, but received 2")
    );
    let all = ask(&[], &request(RESOURCE_BROKER, "")).configs;
    let told: Vec<_> = all.iter().map(|one| (one.name.as_str(), one.value.as_deref(), one.config_source)).collect();
    assert_eq!(told, [("min.insync.replicas", Some("1"), 3)]);
    let other = ask(&[], &request(RESOURCE_BROKER, "x"));
    assert_eq!(other.error_message.as_deref(), Some("Broker id must be an integer, but it is: x"));
}

/// Sources: 2 this broker while it runs, 3 all brokers while they run, 4 its start, 5 nobody.
#[test]
fn what_is_set_while_it_runs_is_told_with_what_it_covers() {
    let set = |pairs: &[(&str, &str)]| {
        let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        std::sync::Arc::new(pairs.collect::<crate::settings::topic_config::Overrides>())
    };
    let cluster = set(&[("log.retention.ms", "7"), ("num.io.threads", "9"), ("my.plugin", "secret")]);
    let dynamic = crate::settings::dynamic::Dynamic { cluster, own: set(&[("log.retention.ms", "8")]) };
    let settings = Settings::of(&[("log.retention.hours", "1")]).with(dynamic);
    let (controller, _) = start(Settings::of(&[]), None);
    let ask = |name: &str| {
        answer(&request(RESOURCE_BROKER, name), NodeId(1), controller.image(), &settings).results.remove(0)
    };
    let own = ask("1");
    let retention = find(&own, "log.retention.ms");
    assert_eq!((retention.value.as_deref(), retention.config_source, retention.read_only), (Some("8"), 2, false));
    let due = [("log.retention.ms", "8", 2), ("log.retention.ms", "7", 3), ("log.retention.hours", "1", 4)];
    assert_eq!(synonyms(retention)[..3], due);
    assert_eq!(synonyms(retention)[3], ("log.retention.hours", "168", 5));
    let threads = find(&own, "num.io.threads");
    assert_eq!((threads.value.as_deref(), threads.config_source, threads.config_type), (Some("9"), 3, 3));
    let plugin = find(&own, "my.plugin");
    assert_eq!((plugin.value.as_deref(), plugin.is_sensitive, plugin.config_type), (None, true, 0));
    assert_eq!(plugin.synonyms[0].value, None);
    let all = ask("");
    let told: Vec<(&str, i8)> = all.configs.iter().map(|one| (one.name.as_str(), one.config_source)).collect();
    assert_eq!(told, [("log.retention.ms", 3), ("my.plugin", 3), ("num.io.threads", 3)]);
    assert_eq!(synonyms(&all.configs[0]), [("log.retention.ms", "7", 3)]);
}

#[test]
fn only_what_is_asked_for_is_told() {
    let mut wanted = request(RESOURCE_TOPIC, "t1");
    wanted.resources[0].configuration_keys = Some(vec!["flush.ms".into(), "nothing".into()]);
    wanted.include_synonyms = false;
    wanted.include_documentation = true;
    let result = ask(&[], &wanted);
    assert_eq!(result.configs.len(), 1);
    assert_eq!(result.configs[0].synonyms, []);
    assert!(result.configs[0].documentation.as_deref().unwrap().contains("synced"));
}

#[test]
fn what_is_not_there_is_an_error_of_its_resource() {
    let error = |kind, name| ask(&[], &request(kind, name)).error_code;
    assert_eq!(error(RESOURCE_TOPIC, "nothing"), ErrorCode::UNKNOWN_TOPIC_OR_PARTITION.0);
    assert_eq!(error(RESOURCE_TOPIC, "a b"), ErrorCode::INVALID_TOPIC_EXCEPTION.0);
    assert_eq!(error(8, "1"), ErrorCode::INVALID_REQUEST.0);
}
