//! Totals, histograms and loops: one number wherever it stands, and two kinds of latency that a stall tells apart.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use crate::checks::brokers::{KAFKA_DEFAULT, Maker};
use crate::checks::report::{Fault, Told, failed, need};
use crate::checks::tools::Running;
use crate::ground::{Ground, PARTITIONS, wait_s};
use crate::said::{Document, last_line, line, number};

/// Java's reader prints a line per tag: tag, samples, p50, p99, max.
const HLOG_TOTALS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/java/HlogTotals.java");
const JAVA_MAX: Duration = Duration::from_secs(120);
const STALLED_MAX: Duration = Duration::from_secs(66);

/// The JSON's totals, the compatible line and the broker's offsets are one number; so are the series' sums.
pub(crate) fn totals(ground: &mut Ground) -> Told {
    let told = [1, 2].map(|clients| totals_of(ground, clients));
    Ok(told.into_iter().collect::<Result<Vec<_>, Fault>>()?.join("; "))
}

fn totals_of(ground: &Ground, clients: u32) -> Told {
    const RECORDS: u64 = 50_001;
    let topic = format!("totals-{clients}");
    ground.topic(&topic, PARTITIONS)?;
    let arguments = format!("--num-records {RECORDS} --record-size 100 --throughput 25000 --clients {clients}");
    let out = ground.produce(&topic, &format!("{arguments} --json {topic}.json"))?;
    let (line, document) = (line(&out)?, Document::read(ground, &format!("{topic}.json"))?);
    let seconds = document.list("/seconds")?.iter().map(|row| row["done"].as_u64().unwrap_or_default());
    let numbers = [
        ("line", line.records),
        ("json", document.count("/totals/acknowledged")?),
        ("sent", document.count("/totals/sent")?),
        ("series", seconds.sum()),
        ("offsets", ground.ends(&topic, PARTITIONS)?),
        ("response", document.count("/response_us/records")?),
        ("service", document.count("/service_us/records")?),
    ];
    need(numbers.iter().all(|(_, it)| *it == RECORDS), || format!("{clients} clients: {numbers:?}"))?;
    let summary = document.list("/summary")?;
    need(*summary == [Value::from(last_line(&out))], || format!("another line: {summary:?}"))?;
    let rate = document.number("/totals/records_per_s")?;
    let words = || format!("{rate} records/s in the JSON, {} in the line", line.rate);
    need((rate / line.rate - 1.0).abs() < 0.02, words)?;
    let (batch_size, acks) = (document.string("/config/batch.size")?, document.string("/config/acks")?);
    need(batch_size == "16384" && ["all", "-1"].contains(&acks.as_str()), || "settings".to_owned())?;
    let command = document.at("/command")?.to_string();
    need(document.count("/host/cores")? >= 1 && command.contains("--json"), || "host or command".to_owned())?;
    Ok(format!("{clients} clients: {RECORDS} in all seven places"))
}

/// Java's HdrHistogram reads the same count and percentiles as the JSON has; in a closed loop both kinds are there.
pub(crate) fn hdr_log(ground: &mut Ground) -> Told {
    const RECORDS: u64 = 60_000;
    ground.topic("hdr", PARTITIONS)?;
    let files = "--clients 2 --hdr-log run.hlog --json hdr.json";
    ground.produce("hdr", &format!("--num-records {RECORDS} --record-size 100 --throughput 20000 {files}"))?;
    let (read, document) = (java_read(ground, "run.hlog")?, Document::read(ground, "hdr.json")?);
    let (response, service) = (of(&read, "response")?, of(&read, "service")?);
    for (tag, java) in [("response", response), ("service", service)] {
        need(java.samples == RECORDS, || format!("{tag}: {} samples", java.samples))?;
        for (name, ns) in [("p50", java.p50_ns), ("p99", java.p99_ns), ("max", java.max_ns)] {
            is_same(&document, &format!("/{tag}_us/{name}"), ns)?;
        }
    }
    let log = ground.text("run.hlog")?;
    let lines: Vec<&str> = log.lines().filter(|it| it.starts_with("Tag=response")).collect();
    let starts: BTreeSet<Option<&str>> = lines.iter().map(|it| it.split(',').nth(1)).collect();
    need(lines.len() == starts.len() && lines.len() >= 3, || format!("{} lines of response", lines.len()))?;
    need(response.p99_ns >= service.p99_ns, || "a response time below the service time".to_owned())?;
    ground.consume("hdr", &format!("--num-records {RECORDS} {files}"), 0)?;
    let (java, document) = (of(&java_read(ground, "run.hlog")?, "end-to-end")?, Document::read(ground, "hdr.json")?);
    let (count, told) = (java.samples, document.count("/end_to_end_us/records")?);
    let is_whole = document.count("/totals/read")? >= count && count == told && told >= RECORDS;
    need(is_whole, || format!("{count} end to end"))?;
    is_same(&document, "/end_to_end_us/p99", java.p99_ns)?;
    Ok(format!("{RECORDS} response and service, {count} end to end, p50, p99 and max as Java reads them"))
}

fn is_same(document: &Document, pointer: &str, java_ns: u64) -> Result<(), Fault> {
    let (java_us, us) = (java_ns as f64 / 1000.0, document.number(pointer)?);
    need((java_us / us - 1.0).abs() < 0.002, || format!("{pointer}: Java reads {java_us} us, JSON {us}"))
}

/// Of one tag, as Java reads it.
#[derive(Clone, Copy, Debug)]
struct Java {
    samples: u64,
    p50_ns: u64,
    p99_ns: u64,
    max_ns: u64,
}

fn of(read: &BTreeMap<String, Java>, tag: &str) -> Result<Java, Fault> {
    read.get(tag).copied().ok_or_else(|| Fault::Failed(format!("Java reads no {tag} times")))
}

/// The tags of an hdr log. The reader is the one that Kafka's jars bring.
fn java_read(ground: &Ground, log: &str) -> Result<BTreeMap<String, Java>, Fault> {
    let Maker::Kafka { libs } = Maker::kafka(KAFKA_DEFAULT)? else {
        return Err(Fault::Failed("the reference is no Kafka".to_owned()));
    };
    let listed = std::fs::read_dir(&libs).map_err(|error| failed("Kafka's jars")(&error))?;
    let mut jars = listed.flatten().map(|it| it.path());
    let is_reader = |name: &str| name.starts_with("HdrHistogram-") && name.ends_with(".jar");
    let jar = jars.find(|it| it.file_name().and_then(|name| name.to_str()).is_some_and(is_reader));
    let jar = jar.ok_or_else(|| Fault::Failed(format!("no HdrHistogram in {}", libs.display())))?;
    let mut command = Command::new("java");
    command.arg("-cp").arg(jar).arg(HLOG_TOTALS).arg(ground.path(log));
    let out = Running::start(command)?.finish(JAVA_MAX)?.ended_with(0)?.out;
    let row = |line: &str| {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let at = |place| number(&words, place);
        Ok((words[0].clone(), Java { samples: at(1)?, p50_ns: at(2)?, p99_ns: at(3)?, max_ns: at(4)? }))
    };
    out.lines().filter(|it| !it.trim().is_empty()).map(row).collect()
}

/// The document of a run of 6 s in which the broker stands still from the second second to the fourth.
fn stalled(ground: &Ground, topic: &str, extra: &str) -> Result<Document, Fault> {
    ground.topic(topic, PARTITIONS)?;
    let settings = "--producer-props buffer.memory=65536 max.block.ms=20000";
    let arguments = format!("--duration 6 --throughput 5000 --record-size 1000 {extra} --json {topic}.json {settings}");
    let producer = ground.start_producing(topic, &arguments)?;
    wait_s(2.0);
    ground.broker.signal(Signal::STOP)?;
    wait_s(2.0);
    ground.broker.signal(Signal::CONT)?;
    producer.finish(STALLED_MAX)?.ended_with(0)?;
    Document::read(ground, &format!("{topic}.json"))
}

/// While the broker stands still the schedule goes on: responses grow to the length of the stall, services do not.
pub(crate) fn open_loop(ground: &mut Ground) -> Told {
    let document = stalled(ground, "open", "--open-loop")?;
    let (max, p90) = (document.number("/response_us/max")?, document.number("/response_us/p90")?);
    // The stall is 2 s of 6: a third of the records were due in it, and half of those waited a second or more.
    let is_the_stall = 1.5e6 < max && max < 4e6 && p90 > 0.7e6;
    need(is_the_stall, || format!("response max {max} us, p90 {p90} us"))?;
    let service = document.number("/service_us/p90")?;
    need(service < p90 / 2.0, || format!("service p90 {service} us, response p90 {p90} us"))?;
    let of = |name: &str| document.count(&format!("/totals/{name}"));
    let (late, sent, dropped) = (of("late")?, of("sent")?, of("dropped")?);
    need(late > 5000, || format!("{late} late records"))?;
    need(sent + dropped == 30_000, || format!("{sent} sent and {dropped} dropped of 30000 that were due"))?;
    Ok(format!("max {:.2} s, {late} late, {dropped} dropped", max / 1e6))
}

/// The same stall in a closed loop hides in the percentiles of the service time and shows in those of the response.
pub(crate) fn closed_loop(ground: &mut Ground) -> Told {
    let document = stalled(ground, "closed", "")?;
    let (response, service) = (document.number("/response_us/p90")?, document.number("/service_us/p90")?);
    need(response > 4.0 * service, || format!("response p90 {response} us, service p90 {service} us"))?;
    Ok(format!("response p90 {:.0} ms, service p90 {:.1} ms", response / 1e3, service / 1e3))
}
