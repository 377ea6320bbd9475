//! What was asked for is what is there: sizes, keys and ratios as another client reads them; durations; exit codes.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use crate::checks::report::{Fault, Told, failed, need};
use crate::checks::tools::Running;
use crate::ground::{Ground, PARTITIONS};
use crate::said::{Document, first, number};

const KCAT_MAX: Duration = Duration::from_secs(60);

/// A record as kcat reads it.
struct Read {
    key: String,
    value_len: usize,
}

/// Everything from the beginning to the ends of the partitions. Its lines have the lengths in front, so that a value may hold
/// anything; our payloads and keys are text.
fn kcat(ground: &Ground, topic: &str) -> Result<Vec<Read>, Fault> {
    let mut command = Command::new("kcat");
    command.args(["-C", "-q", "-e", "-b", &ground.broker.bootstrap(), "-t", topic, "-o", "beginning"]);
    command.args(["-f", "%K %S %k%s\n"]);
    let out = Running::start(command)?.finish(KCAT_MAX)?.ended_with(0)?.out;
    let (mut read, mut rest) = (Vec::new(), out.as_str());
    while !rest.is_empty() {
        let (record, after) = one_of_kcat(rest).ok_or_else(|| Fault::Failed("kcat's output is cut off".to_owned()))?;
        read.push(record);
        rest = after;
    }
    Ok(read)
}

fn one_of_kcat(text: &str) -> Option<(Read, &str)> {
    let (key_len, rest) = text.split_once(' ')?;
    let (value_len, rest) = rest.split_once(' ')?;
    // -1 is null.
    let bytes = |len: &str| len.parse::<i64>().ok().map(|it| it.max(0) as usize);
    let (key, rest) = rest.split_at_checked(bytes(key_len)?)?;
    let (value, rest) = rest.split_at_checked(bytes(value_len)?)?;
    Some((Read { key: key.to_owned(), value_len: value.len() }, rest.strip_prefix('\n')?))
}

/// Sizes, keys and ratios as another client reads them.
pub(crate) fn shapes(ground: &mut Ground) -> Told {
    ground.topic("sizes", PARTITIONS)?;
    let shape = "--record-size-dist uniform:50..149 --keys zipf:100,1";
    ground.produce("sizes", &format!("--num-records 5000 --throughput -1 {shape}"))?;
    let got = kcat(ground, "sizes")?;
    let lens = || got.iter().map(|it| it.value_len);
    let mean = lens().sum::<usize>() as f64 / 5000.0;
    let is_uniform = got.len() == 5000 && lens().all(|it| (50..=149).contains(&it)) && (mean - 99.5).abs() < 3.0;
    need(is_uniform, || format!("{} records, {mean} bytes each, {:?}..{:?}", got.len(), lens().min(), lens().max()))?;
    let mut keys = BTreeMap::<&str, u32>::new();
    got.iter().for_each(|it| *keys.entry(it.key.as_str()).or_default() += 1);
    let count = |key| f64::from(keys.get(key).copied().unwrap_or_default());
    let is_zipf = keys.len() <= 100 && (count("0") / count("1") - 2.0).abs() < 0.4;
    need(is_zipf, || format!("{} keys, {} times 0, {} times 1", keys.len(), count("0"), count("1")))?;
    sequence(ground)?;
    Ok(format!("{}, {}, uniform sizes, zipf and sequence keys", ratio(ground, 1)?, ratio(ground, 3)?))
}

/// Two clients share a sequence of keys: each is there once.
fn sequence(ground: &Ground) -> Result<(), Fault> {
    ground.topic("sequence", PARTITIONS)?;
    let arguments = "--num-records 3000 --throughput -1 --record-size 20 --keys sequence --clients 2";
    ground.produce("sequence", arguments)?;
    let keys = kcat(ground, "sequence")?.into_iter().map(|it| it.key.parse::<u32>());
    let mut keys = keys.collect::<Result<Vec<u32>, _>>().map_err(|error| failed("a key of a sequence")(&error))?;
    keys.sort_unstable();
    need(keys.iter().copied().eq(0..3000), || format!("{} sequence keys of two clients, not 0..3000", keys.len()))
}

fn ratio(ground: &Ground, ratio: u32) -> Told {
    let topic = format!("ratio-{ratio}");
    ground.topic(&topic, 1)?;
    let shape = format!("--record-size 1000 --compressibility {ratio} --print-metrics");
    let arguments = format!("--num-records 20000 --throughput -1 {shape} --producer-props compression.type=zstd");
    let out = ground.produce(&topic, &arguments)?;
    let rate: f64 = number(&first(r"producer-metrics:compression-rate-avg:\S+ *: ([\d.]+)", &out)?, 0)?;
    need((rate * f64::from(ratio) - 1.0).abs() < 0.15, || format!("ratio {ratio}: zstd made it {rate}"))?;
    Ok(format!("zstd {:.2} for {ratio}", 1.0 / rate))
}

/// --duration ends a run, --num-records may be missing, --warmup-seconds measures the rest apart.
pub(crate) fn durations(ground: &mut Ground) -> Told {
    ground.topic("duration", PARTITIONS)?;
    let shape = "--duration 3 --throughput 2000 --record-size 100 --warmup-seconds 1";
    let out = ground.produce("duration", &format!("{shape} --json duration.json --latency-summary"))?;
    let document = Document::read(ground, "duration.json")?;
    let (elapsed_s, sent) = (document.number("/totals/elapsed_s")?, document.count("/totals/acknowledged")?);
    need(2.9 < elapsed_s && elapsed_s < 4.0, || format!("{elapsed_s} s"))?;
    let steady: u64 = number(&first(r"(?m)^(\d+) steady state records sent", &out)?, 0)?;
    let is_steady = document.count("/response_us/records")? == steady && steady.abs_diff(4000) < 300;
    need(is_steady, || format!("{steady} steady records"))?;
    let ends = ground.ends("duration", PARTITIONS)?;
    let is_said = out.contains(&format!("of {steady} records"));
    need(is_said && ends == sent, || format!("{ends} in the log, {sent} in the JSON: {out}"))?;
    let out = ground.consume("duration", "--duration 2", 0)?;
    need(out.contains(&format!(", {sent}, ")) && !out.contains("WARNING"), || out.clone())?;
    Ok(format!("{steady} of the steady state"))
}

/// A send that failed: exit code 0 as Kafka's, 1 with --strict.
pub(crate) fn strict(ground: &mut Ground) -> Told {
    use crate::checks::tools::Tool::Producer;
    ground.topic("strict", 1)?;
    let too_large = "--topic strict --num-records 3 --record-size 2000000 --throughput -1";
    let out = ground.run(Producer, too_large, 0)?;
    need(out.contains("0 records sent"), || out.clone())?;
    ground.run(Producer, &format!("{too_large} --strict"), 1)?;
    ground.produce("strict", "--num-records 3 --record-size 20 --throughput -1 --strict")?;
    Ok("exit codes 0, 1, 0".to_owned())
}
