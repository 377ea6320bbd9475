//! Ledgers: what was written is read, once, unchanged and in order, also across kill -9; and a ledger changes no payload.

use std::time::Duration;

use crate::checks::report::{Fault, Told, need};
use crate::checks::tools::{Tool, end};
use crate::ground::{Ground, PARTITIONS, wait_s};
use crate::raw::Record;
use crate::said::{Document, Verdict, WELL, last_line, verdict};

/// The header that has the stamp where the payload has no room for it, and what it holds.
const HEADER: &[u8] = b"ringlog.ledger";
const STAMP_LEN: usize = 16;
/// How long writing, and reading, may take where the broker is killed meanwhile.
const WRITTEN_MAX: Duration = Duration::from_secs(180);
const READ_MAX: Duration = Duration::from_secs(120);

/// One command: written, read back, adds up; also on a topic that held other records before.
pub(crate) fn verify(ground: &mut Ground) -> Told {
    ground.topic("verify", PARTITIONS)?;
    let how = "--num-records 20000 --record-size 100 --throughput -1 --clients 2";
    let mut last = String::new();
    for others in [0, 20_000] {
        if others > 0 {
            ground.produce("verify", how)?;
        }
        let out = ground.produce("verify", &format!("{how} --verify"))?;
        let said = verdict(&out)?;
        need(is_whole(&said, 20_000), || format!("{said:?}"))?;
        let before = ground.ends("verify", PARTITIONS)? - 20_000;
        need(said.others == before && before == 2 * others, || format!("{before} before: {said:?}"))?;
        last_line(&out).clone_into(&mut last);
    }
    Ok(last)
}

/// All of it acknowledged, read, and nothing to add.
fn is_whole(said: &Verdict, records: u64) -> bool {
    said.acknowledged == records && said.read == records && said.words == WELL
}

/// With the stamp in a header the payloads are, byte for byte, those of the same run without a ledger.
pub(crate) fn payloads(ground: &mut Ground) -> Told {
    const SHAPES: [(&str, &str); 5] = [
        ("file", "--payload-file pieces.txt"),
        ("monotonic", "--payload-monotonic"),
        ("short", "--record-size 9"),
        ("dist", "--record-size-dist uniform:1..40"),
        ("asked", "--record-size 100"),
    ];
    ground.write("pieces.txt", &format!("one\ntwo, twice = 2\n{}\n", "three ".repeat(50)))?;
    for (name, how) in SHAPES {
        // Where a payload could hold the stamp, a header is asked for.
        let stamp = if name == "asked" { "--ledger-stamp header" } else { "" };
        let (_, plain) = written(ground, &format!("plain-{name}"), how)?;
        let (out, stamped) = written(ground, &format!("stamped-{name}"), &format!("{how} {stamp} --verify"))?;
        let said = verdict(&out)?;
        need(is_whole(&said, 3000), || format!("{name}: {said:?}"))?;
        let values = |of: &[Record]| of.iter().map(|it| it.value.clone()).collect::<Vec<_>>();
        need(values(&plain) == values(&stamped), || format!("{name}: other payloads"))?;
        let is_stamped =
            |it: &Record| matches!(&*it.headers, [(key, value)] if key == HEADER && value.len() == STAMP_LEN);
        let count = stamped.iter().filter(|it| is_stamped(it)).count();
        need(count == 3000 && stamped.len() == 3000, || {
            format!("{name}: {count} of {} have the stamp", stamped.len())
        })?;
        need(plain.iter().all(|it| it.headers.is_empty()), || format!("{name}: a header without a ledger"))?;
    }
    let compressed = "--payload-file pieces.txt --verify --producer-props compression.type=lz4";
    let said = verdict(&ground.produce("stamped-file", &format!("--num-records 3000 --throughput -1 {compressed}"))?)?;
    need(said.others == 3000 && said.words == WELL, || format!("compressed: {said:?}"))?;
    Ok(format!("{}: 3000 payloads each as without a ledger", SHAPES.map(|(name, _)| name).join(", ")))
}

fn written(ground: &Ground, topic: &str, how: &str) -> Result<(String, Vec<Record>), Fault> {
    ground.topic(topic, 1)?;
    let out = ground.produce(topic, &format!("--num-records 3000 --throughput -1 {how}"))?;
    Ok((out, ground.records(topic)?))
}

/// Nothing is acknowledged: all of it is unknown, what was read is told, and nothing counts as lost.
pub(crate) fn acks_0(ground: &mut Ground) -> Told {
    ground.topic("acks-0", PARTITIONS)?;
    let how = "--num-records 5000 --record-size 100 --throughput -1 --verify --producer-props acks=0";
    let said = verdict(&ground.produce("acks-0", how)?)?;
    let is_unknown = said.acknowledged == 0 && [said.unknown, said.read, said.both] == [5000; 3];
    let is_well = said.lost() == 0 && said.changed() == 0 && said.words.ends_with("0 of 5000 were not read");
    need(is_unknown && is_well, || format!("{said:?}"))?;
    Ok(said.words)
}

pub(crate) fn killed_all(ground: &mut Ground) -> Told {
    killed(ground, "killed-all", "--record-size 200", "all")
}

pub(crate) fn killed_leader(ground: &mut Ground) -> Told {
    killed(ground, "killed-1", "--payload-monotonic", "1")
}

pub(crate) fn killed_transactions(ground: &mut Ground) -> Told {
    let shape = "--record-size 200 --transactional-id killed --transaction-duration-ms 300";
    killed(ground, "killed-transactions", shape, "all")
}

/// The broker is killed (-9) and started again in the middle, twice; what was acknowledged is there.
fn killed(ground: &mut Ground, topic: &str, shape: &str, acks: &str) -> Told {
    ground.topic(topic, PARTITIONS)?;
    let ledger = format!("{topic}.ledger");
    let settings = format!("--producer-props acks={acks} delivery.timeout.ms=60000 request.timeout.ms=10000");
    let arguments = format!("--duration 12 --throughput 20000 {shape} --ledger {ledger} {settings}");
    let producer = ground.start_producing(topic, &arguments)?;
    for _ in 0..2 {
        wait_s(2.5);
        ground.broker.kill();
        ground.broker.start()?;
    }
    producer.finish(WRITTEN_MAX)?.ended_with(0)?;
    let resent = Document::read(ground, &ledger)?.count("/resent")?;
    need(acks != "all" || resent == 0, || format!("resent {resent} with idempotence"))?;
    let reader = ground.start(Tool::Consumer, &format!("--topic {topic} --ledger {ledger} --timeout 15000"))?;
    let done = reader.finish(READ_MAX)?;
    let said = verdict(&done.out)?;
    let is_well = done.status.code() == Some(0) && said.words.starts_with(WELL);
    need(is_well, || format!("{:?}: {} {}", done.status, end(&done.out), end(&done.err)))?;
    let is_there = said.acknowledged > 30_000 && said.lost() == 0 && said.changed() == 0;
    need(is_there, || format!("{said:?}"))?;
    Ok(last_line(&done.out).to_owned())
}
