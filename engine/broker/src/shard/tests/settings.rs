//! What is set of brokers while they run counts on the shard at once, and at its next start.

use ringlog_wire::ErrorCode;
use ringlog_wire::messages::describe_configs::{DescribeConfigsRequest, DescribeConfigsResource};
use ringlog_wire::messages::incremental_alter_configs::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};
use ringlog_wire::messages::produce::ProduceRequest;

use super::rig::{ClientId, PRODUCE_VERSION, Rig, produce, produced};

const SET: i8 = 0;
const DELETE: i8 = 1;

/// Changes a setting of a broker, or of all (no name). Gives the error.
fn change(rig: &mut Rig, client: ClientId, broker: &str, operation: i8, (name, value): (&str, &str)) -> i16 {
    let config = AlterableConfig {
        name: name.to_owned(),
        config_operation: operation,
        value: Some(value.to_owned()),
        ..Default::default()
    };
    let resource = AlterConfigsResource {
        resource_type: 4,
        resource_name: broker.to_owned(),
        configs: vec![config],
        ..Default::default()
    };
    let request = IncrementalAlterConfigsRequest { resources: vec![resource], ..Default::default() };
    rig.ask(client, 1, &request).responses[0].error_code
}

fn error_of_produce(rig: &mut Rig, client: ClientId, topic: &str, value_bytes: usize) -> i16 {
    rig.send(client, &[produce(topic, 0, 1, value_bytes)]);
    produced(&rig.answer::<ProduceRequest>(client, PRODUCE_VERSION).unwrap()).0
}

/// Value and source of a broker's setting.
fn told(rig: &mut Rig, client: ClientId, broker: &str, name: &str) -> Option<(String, i8)> {
    let resource = DescribeConfigsResource {
        resource_type: 4,
        resource_name: broker.to_owned(),
        configuration_keys: Some(vec![name.to_owned()]),
        ..Default::default()
    };
    let request = DescribeConfigsRequest { resources: vec![resource], ..Default::default() };
    let found = rig.ask(client, 4, &request).results.remove(0).configs.pop()?;
    Some((found.value.unwrap(), found.config_source))
}

#[test]
fn a_limit_of_all_brokers_holds_for_logs_that_are_open_and_have_none_of_their_own() {
    let too_large = ErrorCode::MESSAGE_TOO_LARGE.0;
    let limit = |bytes| ("message.max.bytes", bytes);
    let mut rig = Rig::new(&[]);
    let client = rig.connect();
    rig.create_topic(client, "t", 1, &[]);
    rig.create_topic(client, "own", 1, &[("max.message.bytes", "100000")]);
    assert_eq!(change(&mut rig, client, "", SET, limit("1000")), 0);
    assert_eq!(error_of_produce(&mut rig, client, "t", 5000), too_large);
    assert_eq!(error_of_produce(&mut rig, client, "own", 5000), 0);
    assert_eq!(change(&mut rig, client, "1", SET, limit("9000")), 0);
    assert_eq!(error_of_produce(&mut rig, client, "t", 5000), 0, "one broker's before all brokers'");
    assert_eq!(change(&mut rig, client, "1", DELETE, limit("")), 0);
    assert_eq!(error_of_produce(&mut rig, client, "t", 5000), too_large);

    let files = std::rc::Rc::clone(&rig.files);
    drop(rig);
    let mut rig = Rig::on(files, &[]);
    let client = rig.connect();
    assert_eq!(error_of_produce(&mut rig, client, "t", 5000), too_large, "after a start");
    assert_eq!(told(&mut rig, client, "1", "message.max.bytes"), Some(("1000".to_owned(), 3)));
    assert_eq!(told(&mut rig, client, "", "message.max.bytes"), Some(("1000".to_owned(), 3)));
    assert_eq!(change(&mut rig, client, "", DELETE, limit("")), 0);
    assert_eq!(error_of_produce(&mut rig, client, "t", 5000), 0);
    assert_eq!(told(&mut rig, client, "1", "message.max.bytes"), Some(("1048588".to_owned(), 5)));
    assert_eq!(told(&mut rig, client, "", "message.max.bytes"), None);
}

#[test]
fn a_limit_of_connections_counts_for_those_that_come() {
    let mut rig = Rig::new(&[]);
    let client = rig.connect();
    assert_eq!(change(&mut rig, client, "", SET, ("max.connections", "2")), 0);
    let (second, third) = (rig.connect(), rig.connect());
    assert_eq!((rig.is_closed(second), rig.is_closed(third)), (false, true));
    assert_eq!(change(&mut rig, client, "", DELETE, ("max.connections", "")), 0);
    let fourth = rig.connect();
    assert!(!rig.is_closed(fourth));
}
