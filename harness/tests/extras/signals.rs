//! Ctrl-C: the summary so far, the files, the JVM's exit codes; also when the broker is gone.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::checks::report::{Fault, Told, need};
use crate::checks::tools::{Done, Running, Tool};
use crate::ground::{Ground, PARTITIONS, end, wait_s};
use crate::said::{Document, WELL, first, last_line, line, verdict};

const SOON: Duration = Duration::from_secs(3);
/// A consumer leaves its group first.
const CONSUMER_SOON: Duration = Duration::from_secs(6);
/// What a producer waits for whose broker is gone.
const GONE_SOON: Duration = Duration::from_secs(8);

pub(crate) fn interrupted(ground: &mut Ground) -> Told {
    ground.topic("interrupted", PARTITIONS)?;
    producer(ground, Signal::INT, 130)?;
    producer(ground, Signal::TERM, 143)?;
    let asked = "--topic interrupted --num-records 100000000 --timeout 60000";
    let out = after_two_seconds(ground.start(Tool::Consumer, asked)?, Signal::INT, 130, CONSUMER_SOON)?.out;
    let ends = ground.ends("interrupted", PARTITIONS)?;
    need(last_line(&out).contains(&format!(", {ends}, ")), || format!("{ends} records: {out}"))?;
    one_by_one(ground)?;
    Ok(format!("130, 143, 130 and 130; {}", gone(ground)?))
}

fn after_two_seconds(tool: Running, signal: Signal, code: i32, limit: Duration) -> Result<Done, Fault> {
    wait_s(2.0);
    end(tool, signal, code, limit)
}

/// Line, JSON and ledger have the same number, and the JSON the signal.
fn producer(ground: &Ground, signal: Signal, code: i32) -> Result<(), Fault> {
    let (json, ledger) = (format!("int-{code}.json"), format!("int-{code}.ledger"));
    let shape = "--num-records 10000000 --throughput 5000 --record-size 100";
    let producer = ground.start_producing("interrupted", &format!("{shape} --json {json} --ledger {ledger}"))?;
    let out = after_two_seconds(producer, signal, code, SOON)?.out;
    let (sent, document) = (line(&out)?.records, Document::read(ground, &json)?);
    let told = document.count("/totals/acknowledged")?;
    let kept = acknowledged(&Document::read(ground, &ledger)?)?;
    let words = || format!("{sent} in the line, {told} in the JSON, {kept} in the ledger: {out}");
    need(sent == told && told == kept && kept > 3000, words)?;
    let number = document.count("/signal")?;
    need(number == signal.as_raw() as u64, || format!("signal {number}"))
}

/// The records of a ledger's acknowledged ranges.
fn acknowledged(ledger: &Document) -> Result<u64, Fault> {
    let mut sum = 0;
    for writer in ledger.list("/writers")? {
        let partitions = Document(writer.clone());
        for partition in partitions.list("/partitions")? {
            for range in Document(partition.clone()).list("/acknowledged")? {
                let bounds = [&range[0], &range[1]].map(Value::as_u64);
                let [Some(first), Some(last)] = bounds else {
                    return Err(Fault::Failed(format!("{range} is no range")));
                };
                sum += last.saturating_sub(first);
            }
        }
    }
    Ok(sum)
}

/// The latency tool tells its averages, and its last number is what the broker has.
fn one_by_one(ground: &Ground) -> Result<(), Fault> {
    let asked = "--topic interrupted-e2e --num-records 10000000 --producer-acks all --record-size 100";
    let out = after_two_seconds(ground.start(Tool::EndToEnd, asked)?, Signal::INT, 130, SOON)?.out;
    let told: Vec<u64> = out.lines().filter_map(|it| it.split_once('\t')?.0.parse().ok()).collect();
    let last = told.last().copied().ok_or_else(|| Fault::Failed(format!("no record was told of: {out}")))?;
    first(r"(?m)^(Avg) latency: \d+\.\d{4} ms\nPercentiles: 50th = ", &out)?;
    let there = ground.ends("interrupted-e2e", 1)?;
    need(last < there && there <= last + 1001, || format!("{there} records, the last told of is {last}"))
}

/// The broker is killed, the sends block, and Ctrl-C still ends it within seconds.
fn gone(ground: &mut Ground) -> Told {
    let shape = "--num-records 10000000 --throughput -1 --record-size 1000 --ledger gone.ledger";
    let producer = ground.start_producing("interrupted", shape)?;
    wait_s(1.5);
    ground.broker.kill();
    wait_s(2.0);
    let started = Instant::now();
    let ended = end(producer, Signal::INT, 130, GONE_SOON);
    let spent_s = started.elapsed().as_secs_f64();
    // Also where it did not end: what follows needs a broker.
    ground.broker.start()?;
    let Done { out, err, .. } = ended?;
    let is_told = err.contains("did not close in time") || err.contains("records failed");
    need(line(&out).is_ok() && is_told, || format!("{out} {err}"))?;
    let said = verdict(&ground.consume("interrupted", "--ledger gone.ledger", 0)?)?;
    need(said.unknown > 0 && said.words == WELL, || format!("{said:?}"))?;
    Ok(format!("broker gone: ended after {spent_s:.1} s, {} unknown, and the rest adds up", said.unknown))
}
