//! SASL over real sockets, against the broker of the tests; TLS has its own tests without sockets.

use std::time::Duration;

use ringlog_io::driver;
use ringlog_wire::ApiKey;

use super::config::{ConsumerConfig, ProducerConfig};
use super::fake_broker::{Age, FakeBroker, TOPIC};
use super::properties::Properties;
use super::security::{AuthenticationError, Layer};
use super::*;

fn properties(port: u16, mechanism: &str, password: &str) -> Properties {
    let mut properties = Properties::new();
    let line = "org.apache.kafka.common.security.plain.PlainLoginModule required username=alice";
    properties.set("bootstrap.servers", &format!("127.0.0.1:{port}"));
    properties.set("security.protocol", "SASL_PLAINTEXT");
    properties.set("sasl.mechanism", mechanism);
    properties.set("sasl.jaas.config", &format!("{line} password=\"{password}\";"));
    properties
}

#[derive(Default)]
struct Heard {
    delivered: u64,
    failed: Vec<SendError>,
}

impl DeliverySink for Heard {
    fn delivered(&mut self, batch: &Delivered<'_>) {
        self.delivered += batch.marks.len() as u64;
    }

    fn failed(&mut self, batch: &Failed<'_>) {
        self.failed.extend(batch.marks.iter().map(|_| batch.error.clone()));
    }
}

fn open(properties: &Properties) -> Producer<Heard> {
    let config = ProducerConfig::parse(properties).unwrap().config;
    Producer::open(config, driver::open(driver::DriverOptions::default()).unwrap(), Heard::default()).unwrap()
}

fn send(producer: &mut Producer<Heard>, number: u64) {
    let (topic, sent_ns) = (producer.topic(TOPIC), producer.driver().read().0);
    let record = NewRecord { topic, partition: None, key: None, value: b"v", intended_ns: sent_ns, sent_ns };
    producer.send(&record, number).unwrap();
}

fn times(broker: &FakeBroker, api: ApiKey) -> usize {
    broker.state().asked.iter().filter(|(asked, _)| *asked == api).count()
}

#[test]
fn whoever_knows_the_password_is_let_in_by_brokers_old_and_new() {
    for age in [Age::Kafka24, Age::Kafka43] {
        let broker = FakeBroker::start(2, age, &[]);
        let mut producer = open(&properties(broker.port, "PLAIN", "right"));
        (0..100).for_each(|number| send(&mut producer, number));
        let heard = producer.close().unwrap();
        assert_eq!((heard.delivered, heard.failed.len()), (100, 0), "{age:?}");
        let asked: Vec<ApiKey> = broker.state().asked.iter().map(|(api, _)| *api).collect();
        let begins = asked.iter().position(|api| *api == ApiKey::SaslHandshake).unwrap();
        assert!(asked[..begins].iter().all(|api| *api == ApiKey::ApiVersions), "nothing else comes before SASL");
        assert_eq!(asked[begins + 1], ApiKey::SaslAuthenticate);
    }
}

#[test]
fn a_wrong_password_fails_every_send_at_once_and_is_not_tried_again() {
    let broker = FakeBroker::start(1, Age::Kafka43, &[]);
    let mut producer = open(&properties(broker.port, "PLAIN", "wrong"));
    (0..50).for_each(|number| send(&mut producer, number));
    producer.poll(Duration::from_millis(300)).unwrap();
    producer.flush().unwrap();
    let heard = producer.close().unwrap();
    let message = "Authentication failed: Invalid username or password".to_owned();
    let wanted = SendError::Authentication(AuthenticationError { layer: Layer::Sasl, message });
    assert_eq!((heard.failed.len(), heard.delivered), (50, 0));
    assert!(heard.failed.iter().all(|error| *error == wanted), "{:?}", heard.failed[0]);
    assert_eq!((times(&broker, ApiKey::SaslAuthenticate), broker.state().connections), (1, 1));
}

#[test]
fn a_consumer_that_is_refused_says_so_from_poll() {
    let broker = FakeBroker::start(1, Age::Kafka43, &[]);
    let mut properties = properties(broker.port, "SCRAM-SHA-512", "right");
    properties.set("group.id", "g");
    let config = ConsumerConfig::parse(&properties).unwrap().config;
    let mut consumer = Consumer::open(config, driver::open(driver::DriverOptions::default()).unwrap()).unwrap();
    consumer.subscribe(&[TOPIC]).unwrap();
    let error = consumer.poll(Duration::from_secs(20), &mut |_: &ConsumedRecord<'_>| {}).unwrap_err();
    assert_eq!(
        error.to_string(),
        "SaslAuthenticationException: Client SASL mechanism 'SCRAM-SHA-512' not enabled in the server, enabled mechanisms are [PLAIN]"
    );
    let again = consumer.poll(Duration::ZERO, &mut |_: &ConsumedRecord<'_>| {}).unwrap_err();
    assert!(matches!(again, ClientError::Authentication(_)), "{again}");
}

#[test]
fn a_session_that_ends_is_renewed_on_its_connection() {
    let broker = FakeBroker::start(1, Age::Kafka43, &[]);
    broker.state().session_ms = 20;
    let mut producer = open(&properties(broker.port, "PLAIN", "right"));
    let mut sent = 0;
    // At most 20 s, however slow the machine is.
    while times(&broker, ApiKey::SaslAuthenticate) < 5 && sent < 10_000 {
        send(&mut producer, sent);
        producer.poll(Duration::from_millis(2)).unwrap();
        sent += 1;
    }
    assert_eq!(producer.network_stats().connections_closed, 0);
    let heard = producer.close().unwrap();
    assert_eq!((heard.delivered, heard.failed.len()), (sent, 0));
    assert!(times(&broker, ApiKey::SaslAuthenticate) >= 5);
    // One to the bootstrap server, one to the node.
    assert!(broker.state().connections <= 2, "{} connections", broker.state().connections);
}
