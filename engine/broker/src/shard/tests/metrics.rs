//! What a shard says of itself after known traffic, and the page that is made of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use ringlog_io::usage::Usage;
use ringlog_io::{Counters, Nanos};
use ringlog_wire::messages::fetch::FetchRequest;
use ringlog_wire::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use ringlog_wire::messages::produce::ProduceRequest;

use super::rig::{FETCH_VERSION, PRODUCE_VERSION, Rig, batch, fetch, fetched_bytes, frame, produce, produced};
use crate::metrics::facts::Facts;
use crate::metrics::meter::Meter;
use crate::metrics::names::{Kind, METRICS, Metric};
use crate::metrics::page::{self, ShardSight, Sight};
use crate::metrics::residency::Residency;
use crate::metrics::window::Window;
use crate::settings::Settings;

const VALUE_BYTES: usize = 1_000;
const COMMIT_VERSION: i16 = 8;

/// A shard after three batches of a record, one that was refused, a fetch of everything and a commit; and what it says.
fn after_traffic() -> (Arc<Meter>, Facts) {
    let mut rig = Rig::new(&[("offsets.topic.num.partitions", "1"), ("log.flush.interval.messages", "1")]);
    let meter: Arc<Meter> = Arc::default();
    rig.shard.attach(Arc::clone(&meter));
    let client = rig.connect();
    rig.create_topic(client, "t", 2, &[]);
    for _ in 0..3 {
        rig.send(client, &[produce("t", 0, 1, VALUE_BYTES)]);
        rig.answer::<ProduceRequest>(client, PRODUCE_VERSION).expect("taken");
    }
    rig.send(client, &[produce("nowhere", 0, 1, VALUE_BYTES)]);
    let refused = rig.answer::<ProduceRequest>(client, PRODUCE_VERSION).expect("refused");
    assert_eq!(produced(&refused).0, 3);
    let all = rig.ask::<FetchRequest>(client, FETCH_VERSION, &fetch("t", 0..2, 0, 1));
    assert_eq!(fetched_bytes(&all), 3 * batch(VALUE_BYTES).len());
    commit(&mut rig, client);
    rig.shard.step_ended(
        Nanos(u64::MAX / 2),
        Counters { syscalls: 7, waits: 2, received_bytes: 1_500_000, sent_bytes: 500_000 },
    );
    meter.ask(1);
    rig.run();
    (Arc::clone(&meter), meter.take_facts().expect("an answer"))
}

/// Offset 1 of the first partition, for a group without members. Its topic is made by the first who looks for it.
fn commit(rig: &mut Rig, client: super::rig::ClientId) {
    use ringlog_wire::messages::find_coordinator::FindCoordinatorRequest;
    let find = FindCoordinatorRequest { key: "g".to_owned(), ..Default::default() };
    rig.send(client, &[frame(2, &find)]);
    rig.answer::<FindCoordinatorRequest>(client, 2).expect("an answer");
    rig.pass_ms(2_000);
    let partition = OffsetCommitRequestPartition { committed_offset: 1, ..Default::default() };
    let topic = OffsetCommitRequestTopic { name: "t".to_owned(), partitions: vec![partition], ..Default::default() };
    let request = OffsetCommitRequest {
        group_id: "g".to_owned(),
        generation_id_or_member_epoch: -1,
        topics: vec![topic],
        ..Default::default()
    };
    let answer = rig.ask(client, COMMIT_VERSION, &request);
    assert_eq!(answer.topics[0].partitions[0].error_code, 0, "{answer:?}");
}

/// The page of one shard.
fn written(meter: &Meter, facts: &Facts) -> String {
    let settings = Settings::of(&[]);
    let mut window = Window::default();
    window.read(std::iter::once(&Meter::default()), Nanos(0));
    let mut residency = Residency::default();
    residency.show("t", 0, 512);
    let usage = Usage {
        cpu_ns: Some(1_500_000_000),
        resident_bytes: Some(1 << 20),
        open_descriptors: Some(9),
        started_s: Some(1.7e9),
        disk_read_bytes: Some(1),
        disk_written_bytes: Some(2),
    };
    let shards = vec![ShardSight { meter, facts: Some(facts), answers: true }];
    page::write(&Sight {
        settings: &settings,
        shards,
        window: &window,
        residency: &residency,
        usage,
        descriptors_max: 1_024,
        broker_state: 3,
        io: "simulated",
    })
}

/// The value of a sample.
fn value(page: &str, sample: &str) -> f64 {
    let found = page.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' ')?.parse().ok());
    found.unwrap_or_else(|| panic!("no {sample} in {page}"))
}

#[test]
fn a_page_says_what_was_sent_and_what_lies_in_the_log() {
    let (meter, facts) = after_traffic();
    let page = written(&meter, &facts);
    let bytes = 3.0 * batch(VALUE_BYTES).len() as f64;
    let topics = "kafka_server_brokertopicmetrics";
    for (sample, due) in [
        (format!("{topics}_bytesin_total{{topic=\"t\"}}"), bytes),
        (format!("{topics}_bytesout_total{{topic=\"t\"}}"), bytes),
        (format!("{topics}_bytesout_total"), bytes),
        (format!("{topics}_messagesin_total{{topic=\"t\"}}"), 3.0),
        (format!("{topics}_totalproducerequests_total{{topic=\"t\"}}"), 3.0),
        (format!("{topics}_failedproducerequests_total"), 1.0),
        (format!("{topics}_totalfetchrequests_total{{topic=\"t\"}}"), 2.0),
        ("kafka_network_requestmetrics_requests_total{request=\"Produce\",version=\"8\"}".to_owned(), 4.0),
        ("kafka_network_requestmetrics_totaltimems_count{request=\"Fetch\"}".to_owned(), 1.0),
        ("ringlog_request_seconds_count{request=\"Produce\"}".to_owned(), 4.0),
        ("kafka_log_log_size{topic=\"t\",partition=\"0\"}".to_owned(), bytes),
        ("kafka_log_log_size{topic=\"t\",partition=\"1\"}".to_owned(), 0.0),
        ("kafka_log_log_logendoffset{topic=\"t\",partition=\"0\"}".to_owned(), 3.0),
        ("kafka_topic_partition_current_offset{topic=\"t\",partition=\"0\"}".to_owned(), 3.0),
        ("kafka_consumergroup_lag{consumergroup=\"g\",topic=\"t\",partition=\"0\"}".to_owned(), 2.0),
        ("kafka_consumergroup_current_offset{consumergroup=\"g\",topic=\"t\",partition=\"0\"}".to_owned(), 1.0),
        ("kafka_consumergroup_members{consumergroup=\"g\"}".to_owned(), 0.0),
        ("kafka_server_replicamanager_leadercount{shard=\"0\"}".to_owned(), 3.0),
        ("kafka_controller_kafkacontroller_globalpartitioncount".to_owned(), 3.0),
        (
            "kafka_server_socket_server_metrics_connection_count{listener=\"PLAINTEXT\",networkProcessor=\"0\"}"
                .to_owned(),
            1.0,
        ),
        ("ringlog_syscalls_total{shard=\"0\"}".to_owned(), 7.0),
        ("ringlog_syscalls_per_mb".to_owned(), 3.5),
        ("process_cpu_seconds_total".to_owned(), 1.5),
        ("ringlog_copied_bytes_total{shard=\"0\",way=\"answer\"}".to_owned(), bytes),
        ("ringlog_under_way{shard=\"0\",what=\"flushes\"}".to_owned(), 0.0),
    ] {
        assert_eq!(value(&page, &sample), due, "{sample}");
    }
    // Three batches, and the records of the group: its offset, each with a flush of its own.
    assert!(value(&page, "kafka_log_logflushstats_logflushrateandtimems_count") >= 4.0);
    assert!(facts.not_ready.0.is_empty(), "{:?}", facts.not_ready);
}

#[test]
fn what_is_deleted_stays_in_the_sums() {
    let mut rig = Rig::new(&[]);
    let meter: Arc<Meter> = Arc::default();
    rig.shard.attach(Arc::clone(&meter));
    let client = rig.connect();
    rig.create_topic(client, "t", 1, &[]);
    rig.send(client, &[produce("t", 0, 1, VALUE_BYTES)]);
    rig.answer::<ProduceRequest>(client, PRODUCE_VERSION).expect("taken");
    rig.ask(client, 3, &super::rig::delete("t"));
    rig.pass_ms(1_000);
    meter.ask(1);
    rig.run();
    let facts = meter.take_facts().expect("an answer");
    assert_eq!((facts.partitions.len(), facts.traffic.records_in), (0, 1));
    assert!(meter.take_facts().is_none(), "it is told once");
}

#[test]
fn every_metric_of_the_table_is_on_a_full_page_in_its_order_and_nothing_else_is() {
    let (meter, facts) = after_traffic();
    let page = written(&meter, &facts);
    let shown: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    let table: Vec<&str> = METRICS.iter().map(|metric| metric.name).collect();
    assert_eq!(shown, table);
    let by_name: BTreeMap<&str, &Metric> = METRICS.iter().map(|metric| (metric.name, *metric)).collect();
    for line in page.lines().filter(|line| !line.starts_with('#')) {
        let (name, labels) = line.split_once(['{', ' ']).expect("a sample");
        let metric = by_name.get(name).or_else(|| by_name.get(name.rsplit_once('_')?.0)).expect(line);
        let known: Vec<&str> = metric.labels.split(", ").collect();
        let given = labels.split("\",").filter_map(|label| label.split_once("=\"")).map(|(label, _)| label);
        assert!(!line.contains('{') || given.clone().all(|label| known.contains(&label)), "{line}: {known:?}");
    }
}

/// `engine/docs/metrics.md`, from the marker on. With RINGLOG_WRITE_METRICS=1 it is written, otherwise it must be so.
#[test]
#[allow(clippy::disallowed_methods)]
fn the_documentation_has_the_table() {
    const MARK: &str =
        "<!-- Below: written by RINGLOG_WRITE_METRICS=1 cargo test -p ringlog-broker --lib the_documentation_has -->\n";
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/metrics.md");
    let text = std::fs::read_to_string(path).expect("the page");
    let (head, there) = text.split_once(MARK).expect("the marker");
    let mut table = "\n| metric | labels | kind | unit | what it is | source |\n|---|---|---|---|---|---|\n".to_owned();
    for Metric { name, kind, labels, unit, words, source } in METRICS.iter().copied() {
        let kind: Kind = *kind;
        table += &format!("| `{name}` | {labels} | {} | {unit} | {words} | {source} |\n", kind.name());
    }
    if std::env::var_os("RINGLOG_WRITE_METRICS").is_some() {
        std::fs::write(path, format!("{head}{MARK}{table}")).expect("written");
    } else {
        assert!(there == table, "engine/docs/metrics.md is not what the table says: see its marker");
    }
}
