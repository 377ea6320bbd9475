//! The cases: what the proxy does, what the tool is asked, which numbers must come out.
//!
//! A case is chosen such that its numbers follow from what the proxy does and not from how quick the machine is. One record
//! goes into a request (linger 0, a fixed rate) and many requests may be on their way, so that no record waits unseen in the
//! client; what the first records pay for (metadata, connections, Java's start) is left out by --warmup-records.

use std::path::Path;
use std::time::Duration;

use crate::behaviour::{Behaviour, Share, Stalls};
use crate::checks::brokers::{Broker, Maker, make_topic};
use crate::checks::report::{Fault, Told, need};
use crate::checks::tools::{Running, Tool};
use crate::proxy::Proxy;
use crate::record::{Record, quantile};
use crate::said::{Compared, Truth, compare, missed_lies};

const MS_NS: u64 = 1_000_000;
/// NOT_ENOUGH_REPLICAS may be tried again, INVALID_RECORD may not.
const RETRIABLE: i16 = 19;
const FATAL: i16 = 87;
const WARM: usize = 500;
const LIMIT_RECORDS: u32 = 12_000;
const LIMIT_WARM: usize = 2_000;
const LIMIT_BYTES_S: u64 = 4_000_000;
const ERROR_RECORDS: u32 = 16_000;
const RUN_MAX: Duration = Duration::from_secs(120);

const EACH_ALONE: &str = "acks=1 enable.idempotence=false linger.ms=0 max.in.flight.requests.per.connection=1000";

/// A case, whoever's tool.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) behaviour: fn() -> Behaviour,
    pub(crate) tool: Tool,
    pub(crate) topic: &'static str,
    pub(crate) arguments: fn() -> String,
    pub(crate) truths: fn(&Record) -> Result<Vec<Truth>, Fault>,
}

fn late(millionths: i32, ms: u64) -> Behaviour {
    Behaviour { late: Some(Share { millionths, what: ms * MS_NS }), ..Behaviour::default() }
}

pub(crate) fn stall(length_ms: u64, period_ms: u64) -> Behaviour {
    let stalls = Stalls { length_ns: length_ms * MS_NS, period_ns: period_ms * MS_NS };
    Behaviour { stalls: Some(stalls), ..Behaviour::default() }
}

fn limited() -> Behaviour {
    Behaviour { bytes_per_second: Some(LIMIT_BYTES_S), ..Behaviour::default() }
}

fn errors() -> Behaviour {
    let one_in_a_thousand = |what| Share { millionths: 1_000, what };
    Behaviour { errors: vec![one_in_a_thousand(FATAL), one_in_a_thousand(RETRIABLE)], ..Behaviour::default() }
}

/// 4,000 records of 100 bytes at 500 a second, each alone.
fn alone() -> String {
    format!(
        "--num-records 4000 --throughput 500 --record-size 100 --warmup-records {WARM} --command-property {EACH_ALONE}"
    )
}

fn consumed() -> String {
    format!("--num-records {LIMIT_RECORDS} --fetch-size 100000")
}

/// Of the records after the warm-up: quantiles, the greatest, and how many there are.
fn latencies(record: &Record, names: &[&'static str]) -> Result<Vec<Truth>, Fault> {
    let ordered = record.latencies_ms(WARM);
    let of = |name: &'static str| {
        let share = name.strip_prefix('p').and_then(|percent| percent.parse::<f64>().ok());
        Ok((name, quantile(&ordered, share.map_or(1.0, |it| it / 100.0))?))
    };
    names.iter().map(|name| of(name)).chain([Ok(("sent", ordered.len() as f64))]).collect()
}

fn failures(record: &Record) -> Result<Vec<Truth>, Fault> {
    let (failed, retries) = (record.planted(FATAL), record.planted(RETRIABLE));
    need(failed > 0 && retries > 0, || "the proxy planted no error: the case shows nothing".to_owned())?;
    let sent = f64::from(ERROR_RECORDS) - failed as f64;
    Ok(vec![("failed", failed as f64), ("retries", retries as f64), ("sent", sent)])
}

fn fetched(record: &Record) -> Result<Vec<Truth>, Fault> {
    Ok(vec![("fetch rate", record.fetch_rate()?), ("fetched", f64::from(LIMIT_RECORDS))])
}

pub(crate) const CASES: [Case; 8] = [
    // 1 % late by 50 ms at 500/s: answers keep their order, so each late one holds back the 25 behind it. 5 % of the
    // records wait over 40 ms, 1 % over 48 ms. (p99.9 is four records here: that is for the longer delays below.)
    Case {
        name: "1 % of the answers 50 ms late",
        behaviour: || late(10_000, 50),
        tool: Tool::Producer,
        topic: "late",
        arguments: alone,
        truths: |record| latencies(record, &["p95", "p99"]),
    },
    // 3 % late by 200 ms: nearly all records wait, so that the median is the proxy's doing too.
    Case {
        name: "3 % of the answers 200 ms late",
        behaviour: || late(30_000, 200),
        tool: Tool::Producer,
        topic: "later",
        arguments: alone,
        truths: |record| latencies(record, &["p50", "p95", "p99", "p99.9"]),
    },
    // A tenth of the time nothing is answered: a tenth of the records wait 0..200 ms, evenly.
    Case {
        name: "a stall of 200 ms every 2 s",
        behaviour: || stall(200, 2000),
        tool: Tool::Producer,
        topic: "stalls",
        arguments: alone,
        truths: |record| latencies(record, &["p95", "p99", "p99.9", "max"]),
    },
    Case {
        name: "0.1 % of the answers are errors, of two kinds",
        behaviour: errors,
        tool: Tool::Producer,
        topic: "errors",
        arguments: || {
            let load = format!("--num-records {ERROR_RECORDS} --throughput 4000 --record-size 100 --print-metrics");
            format!("{load} --command-property {EACH_ALONE} retry.backoff.ms=10")
        },
        truths: failures,
    },
    Case {
        name: "4 MB/s to produce",
        behaviour: limited,
        tool: Tool::Producer,
        topic: "limit",
        arguments: || {
            let load = format!("--num-records {LIMIT_RECORDS} --throughput -1 --record-size 1000");
            let warm = format!("--warmup-records {LIMIT_WARM}");
            format!("{load} {warm} --command-property acks=1 enable.idempotence=false buffer.memory=262144")
        },
        truths: |record| {
            let sent = f64::from(LIMIT_RECORDS) - LIMIT_WARM as f64;
            Ok(vec![("rate", record.produce_rate(LIMIT_WARM)?), ("sent", sent)])
        },
    },
    Case {
        name: "4 MB/s to consume",
        behaviour: limited,
        tool: Tool::Consumer,
        topic: "limit",
        arguments: consumed,
        truths: fetched,
    },
    Case {
        name: "every answer 20 ms late to a consumer",
        behaviour: || late(1_000_000, 20),
        tool: Tool::Consumer,
        topic: "limit",
        arguments: consumed,
        truths: fetched,
    },
    // Half of the answers, to Produce and to Fetch alike: three in four records wait for one or the other.
    Case {
        name: "half of the answers 150 ms late, end to end",
        behaviour: || late(500_000, 150),
        tool: Tool::EndToEnd,
        topic: "end-to-end",
        arguments: || "--num-records 50 --producer-acks 1 --record-size 100".to_owned(),
        truths: |record| Ok(vec![("end to end p50", quantile(&record.end_to_end_ms(), 0.5)?)]),
    },
];

/// A broker that advertises a proxy's port, and the tools of its maker.
pub(crate) struct Bench {
    pub(crate) maker: Maker,
    proxy: Proxy,
    _broker: Broker,
}

impl Bench {
    /// Starts broker and proxy, and makes the topics.
    pub(crate) fn start(maker: &Maker, folder: &Path, topics: &[&str]) -> Result<Self, Fault> {
        let proxy = Proxy::listen()?;
        let mut broker = Broker::new(maker, folder, Some(proxy.port), &[("num.partitions", "1")])?;
        broker.start()?;
        proxy.serve(broker.port())?;
        let mut made: Vec<&str> = topics.to_vec();
        made.sort_unstable();
        made.dedup();
        made.iter().try_for_each(|topic| make_topic(&format!("127.0.0.1:{}", proxy.port), topic, 1))?;
        Ok(Self { maker: maker.clone(), proxy, _broker: broker })
    }

    /// The tool's standard output and the proxy's record.
    pub(crate) fn run(
        &self,
        behaviour: Behaviour,
        tool: Tool,
        topic: &str,
        arguments: &str,
    ) -> Result<(String, Record), Fault> {
        self.proxy.behave(behaviour);
        let mut command = tool.command(&self.maker);
        command.args(["--bootstrap-server", &format!("127.0.0.1:{}", self.proxy.port), "--topic", topic]);
        command.args(arguments.split_whitespace());
        let done = Running::start(command)?.finish(RUN_MAX)?.ended_with(0)?;
        Ok((done.out, self.proxy.record()?))
    }
}

/// Runs a case: every number holds, and a lie about any of them would be found.
pub(crate) fn check(bench: &Bench, case: &Case) -> Told {
    let (text, record) = bench.run((case.behaviour)(), case.tool, case.topic, &(case.arguments)())?;
    let truths = (case.truths)(&record)?;
    let compared = compare(&text, &truths)?;
    let shown = compared.iter().map(Compared::words).collect::<Vec<_>>().join(", ");
    if !compared.iter().all(Compared::holds) {
        return Err(Fault::Disturbed(format!("beyond 5 % or not exact: {shown}")));
    }
    let missed = missed_lies(&text, &truths)?;
    need(missed.is_empty(), || format!("a lie about {} would not be found: {shown}", missed.join(", ")))?;
    Ok(format!("{shown}; each lie found"))
}
