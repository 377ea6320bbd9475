//! What a profile must hold for its numbers to be used: each has a fact, and no two contradict each other.

use super::{Disk, Media, Profile, Quality, SCHEMA};
use crate::spec::document::{Document, Finding, nearest};

/// Bytes of a random read or write.
const RANDOM_BYTES: f64 = 4096.0;
/// By how much random operations may be above what their bandwidth has room for: limits are rounded.
const ROOM: f64 = 1.1;
/// The clock of a processor that somebody wrote in GHz.
const GHZ: std::ops::RangeInclusive<f64> = 0.3..=8.0;

/// What machines are like at most and at least: beyond it a unit was mistaken. The largest that is sold has 32 TiB of memory.
const BOUNDS: [(&str, f64, f64); 16] = [
    ("cpu.threads", 1.0, 4096.0),
    ("cpu.crc32c_mb_s", 1.0, 1e6),
    ("cpu.lz4_mb_s", 1.0, 1e6),
    ("cpu.zstd_mb_s", 0.1, 1e6),
    ("memory.gib", 0.1, 65_536.0),
    ("memory.usable_gib", 0.05, 65_536.0),
    ("nic.baseline_gbps", 0.001, 10_000.0),
    ("nic.burst_gbps", 0.001, 10_000.0),
    ("disk.count", 1.0, 1000.0),
    ("disk.size_gb", 1.0, 1e6),
    ("disk.seq_read_mb_s", 0.1, 1e6),
    ("disk.seq_write_mb_s", 0.1, 1e6),
    ("disk.rand_read_iops", 1.0, 1e8),
    ("disk.rand_write_iops", 1.0, 1e8),
    ("volume_road.baseline_mb_s", 0.1, 1e6),
    ("price.usd_per_hour", 1e-5, 10_000.0),
];
/// By how much a disk may write faster than it reads where a cache takes the writes.
const WRITES_BESIDE_READS_MAX: f64 = 10.0;

/// Everything that is wrong with a profile; its values are to be used only if this is empty.
pub(super) fn check(document: &Document<'_>, profile: &Profile) -> Vec<Finding> {
    let mut found = Findings { document, all: Vec::new() };
    if profile.schema != SCHEMA {
        found.add("schema", format!("schema is {}; this version reads {SCHEMA}", profile.schema));
    }
    let good = |it: char| it.is_ascii_lowercase() || it.is_ascii_digit() || matches!(it, '-' | '.');
    if profile.name.is_empty() || !profile.name.chars().all(good) {
        found.add("name", format!("name {:?} must have lower-case letters, digits, - and . only", profile.name));
    }
    facts(&mut found, profile);
    positive(&mut found, profile);
    bounds(&mut found, profile);
    processor(&mut found, profile);
    network(&mut found, profile);
    if profile.disk.is_empty() {
        found.add("disk", "there must be at least one [[disk]]: a log lies somewhere".to_owned());
    }
    profile.disk.iter().enumerate().for_each(|(at, it)| disk(&mut found, profile, at, it));
    if let Some(loopback) = &profile.loopback {
        ordered(&mut found, "loopback.rtt_us", &loopback.rtt_us);
    }
    if let Some(road) = &profile.volume_road {
        let name = "volume_road";
        found.at_most((name, "baseline_mb_s", road.baseline_mb_s), (name, "burst_mb_s", road.burst_mb_s));
        if let Some(baseline) = road.baseline_iops {
            found.at_most((name, "baseline_iops", baseline), (name, "burst_iops", road.burst_iops));
        }
    }
    found.all
}

struct Findings<'a> {
    document: &'a Document<'a>,
    all: Vec<Finding>,
}

impl Findings<'_> {
    fn add(&mut self, path: &str, words: String) {
        self.all.push(self.document.finding(path, words));
    }

    /// The one must not be above the other, if there is one.
    fn at_most(&mut self, less: (&str, &str, f64), more: (&str, &str, Option<f64>)) {
        let Some(limit) = more.2 else { return };
        if less.2 > limit {
            let path = format!("{}.{}", less.0, less.1);
            let words = format!("{path} is {}, above {}.{}, which is {limit}", less.2, more.0, more.1);
            self.add(&path, words);
        }
    }
}

/// Each number has one fact, and each fact is about a number. What a probe tells about itself is no fact of the machine.
fn facts(found: &mut Findings<'_>, profile: &Profile) {
    let of_facts = |it: &String| !it.starts_with("fact.") && !it.starts_with("probe.") && it != "schema";
    let numbers: Vec<String> = found.document.numbers().into_iter().filter(of_facts).collect();
    let named = || profile.fact.iter().flat_map(|it| &it.fields);
    for number in &numbers {
        match named().filter(|it| *it == number).count() {
            0 => found.add(number, format!("{number} has no [[fact]]: say where it comes from")),
            1 => {}
            several => found.add(number, format!("{number} has {several} facts; one is right")),
        }
    }
    for (at, fact) in profile.fact.iter().enumerate() {
        let path = format!("fact.{at}");
        for field in fact.fields.iter().filter(|it| !numbers.contains(it)) {
            let hint = nearest(field, numbers.iter().map(String::as_str)).map(|it| format!("; the nearest is {it:?}"));
            let words = format!("a fact is about {field:?}, which is no number here{}", hint.unwrap_or_default());
            found.add(&format!("{path}.fields"), words);
        }
        if fact.fields.is_empty() || fact.source.trim().is_empty() {
            found.add(&path, "a fact needs fields and a source".to_owned());
        }
        if fact.date.date > profile.as_of.date {
            found.add(&format!("{path}.date"), format!("a fact of {} in a profile as of {}", fact.date, profile.as_of));
        }
    }
}

/// No number is 0, below it, or none; but of a probe's account, where 0 means that nobody disturbed it.
fn positive(found: &mut Findings<'_>, profile: &Profile) {
    let Ok(mut table) = toml::Table::try_from(profile) else { return };
    table.remove("probe");
    let mut bad = Vec::new();
    not_positive("", &toml::Value::Table(table), &mut bad);
    for (path, value) in bad {
        found.add(&path, format!("{path} is {value}; it must be above 0"));
    }
}

/// No number is beyond what machines are like.
fn bounds(found: &mut Findings<'_>, profile: &Profile) {
    let price = profile.price.as_ref().map(|it| ("price.usd_per_hour".to_owned(), it.usd_per_hour));
    for (path, value) in profile.numbers().into_iter().chain(price) {
        let kind: Vec<&str> = path.split('.').filter(|it| it.parse::<u32>().is_err()).collect();
        let kind = kind.join(".");
        let bound = BOUNDS.iter().find(|it| it.0 == kind);
        if let Some((_, least, most)) = bound.filter(|it| value > 0.0 && !(it.1..=it.2).contains(&value)) {
            found.add(&path, format!("{path} is {value}; machines have {least} to {most}: is it in that unit?"));
        }
    }
}

fn not_positive(name: &str, value: &toml::Value, bad: &mut Vec<(String, f64)>) {
    let below = |key: &dyn std::fmt::Display| if name.is_empty() { key.to_string() } else { format!("{name}.{key}") };
    match value {
        toml::Value::Table(table) => table.iter().for_each(|(key, it)| not_positive(&below(key), it, bad)),
        toml::Value::Array(all) => all.iter().enumerate().for_each(|(at, it)| not_positive(&below(&at), it, bad)),
        #[allow(clippy::cast_precision_loss, reason = "for a comparison with 0")]
        toml::Value::Integer(it) if *it <= 0 => bad.push((name.to_owned(), *it as f64)),
        toml::Value::Float(it) if !it.is_finite() || *it <= 0.0 => bad.push((name.to_owned(), *it)),
        _ => {}
    }
}

fn processor(found: &mut Findings<'_>, profile: &Profile) {
    let cpu = &profile.cpu;
    found.at_most(("cpu", "cores", cpu.cores.into()), ("cpu", "threads", Some(cpu.threads.into())));
    if let Some(share) = cpu.baseline_share.filter(|it| *it > 1.0) {
        found.add("cpu.baseline_share", format!("cpu.baseline_share is {share}, above 1: a whole thread"));
    }
    if let Some(ghz) = cpu.ghz.filter(|it| !GHZ.contains(it)) {
        found.add("cpu.ghz", format!("cpu.ghz is {ghz}; clocks are {} to {} GHz", GHZ.start(), GHZ.end()));
    }
    let memory = &profile.memory;
    found.at_most(("memory", "usable_gib", memory.usable_gib.unwrap_or(0.0)), ("memory", "gib", Some(memory.gib)));
    let nodes = profile.numa.as_ref().map_or(1, |it| it.nodes);
    found.at_most(("numa", "nodes", nodes.into()), ("cpu", "cores", Some(cpu.cores.into())));
}

fn network(found: &mut Findings<'_>, profile: &Profile) {
    let Some(nic) = &profile.nic else { return };
    found.at_most(("nic", "baseline_gbps", nic.baseline_gbps), ("nic", "burst_gbps", nic.burst_gbps));
    let most = nic.burst_gbps.unwrap_or(nic.baseline_gbps);
    found.at_most(("nic", "single_flow_gbps", nic.single_flow_gbps.unwrap_or(0.0)), ("nic", "burst_gbps", Some(most)));
    if nic.burst_s.is_some() && nic.burst_gbps.is_none() {
        found.add("nic.burst_s", "nic.burst_s says how long nic.burst_gbps lasts, which is not there".to_owned());
    }
    if let Some(rtt) = &nic.rtt_us {
        ordered(found, "nic.rtt_us", rtt);
    }
}

fn disk(found: &mut Findings<'_>, profile: &Profile, at: usize, disk: &Disk) {
    let name = format!("disk.{at}");
    let name = name.as_str();
    let is_measured =
        |key: &str| profile.fact(&format!("{name}.{key}")).is_some_and(|it| it.quality == Quality::Measured);
    found.at_most(
        (name, "seq_write_mb_s", disk.seq_write_mb_s),
        (name, "seq_write_burst_mb_s", disk.seq_write_burst_mb_s),
    );
    // Behind a hypervisor's file there may be a cache that takes writes faster than it gives reads; so may a disk's own,
    // and then it was seen, not read in a document.
    let may_write_faster =
        |write: &str, read: &str| disk.media == Media::Virtual || (is_measured(write) && is_measured(read));
    if disk.seq_write_mb_s > WRITES_BESIDE_READS_MAX * disk.seq_read_mb_s {
        let (write, read) = (disk.seq_write_mb_s, disk.seq_read_mb_s);
        let words = format!(
            "{name}.seq_write_mb_s is {write}, {:.0} times {name}.seq_read_mb_s, which is {read}: no cache makes so much of a difference",
            write / read
        );
        found.add(&format!("{name}.seq_write_mb_s"), words);
    } else if !may_write_faster("seq_write_mb_s", "seq_read_mb_s") {
        found.at_most((name, "seq_write_mb_s", disk.seq_write_mb_s), (name, "seq_read_mb_s", Some(disk.seq_read_mb_s)));
    }
    if let Some(writes) = disk.rand_write_iops.filter(|_| !may_write_faster("rand_write_iops", "rand_read_iops")) {
        found.at_most((name, "rand_write_iops", writes), (name, "rand_read_iops", disk.rand_read_iops));
    }
    let write_mb_s = disk.seq_write_burst_mb_s.unwrap_or(disk.seq_write_mb_s);
    for (key, iops, mb_s) in [
        ("rand_read_iops", disk.rand_read_iops, disk.seq_read_mb_s),
        ("rand_write_iops", disk.rand_write_iops, write_mb_s),
    ] {
        let most = mb_s * 1e6 / RANDOM_BYTES * ROOM;
        if let Some(iops) = iops.filter(|it| *it > most) {
            let words =
                format!("{name}.{key} is {iops}; at 4 KiB that is more than its {mb_s} MB/s have room for ({most:.0})");
            found.add(&format!("{name}.{key}"), words);
        }
    }
    if let Some(times) = &disk.read_us {
        ordered(found, &format!("{name}.read_us"), times);
    }
    if let Some(times) = &disk.fdatasync_us {
        ordered(found, &format!("{name}.fdatasync_us"), times);
    }
    for (at, parallel) in disk.fdatasync_parallel.iter().enumerate() {
        ordered(found, &format!("{name}.fdatasync_parallel.{at}.us"), &parallel.us);
    }
}

fn ordered(found: &mut Findings<'_>, path: &str, times: &super::Quantiles) {
    for pair in times.named().windows(2) {
        if let [(low, less), (high, more)] = pair
            && less > more
        {
            found.add(path, format!("{path}: {low} is {less}, above {high}, which is {more}"));
        }
    }
}
