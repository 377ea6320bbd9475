//! What a run is made of: the broker's settings, its memory, the clients, the weather, and what goes wrong when. A seed decides
//! it beforehand, or a file says it (`plan_text.rs`).
//!
//! Each part has dice of its own, so that a part that is added leaves the others as they were.

use ringlog_io::sim::{Dice, Weather};

use super::consumer::Bent;
use super::fetcher::Habit;
use super::member::Nature;
use super::producer::Manner;
use super::transactor::Pace;
use super::upserter::Hand;

const MS: u64 = 1_000_000;
/// Partitions of `__consumer_offsets`, and of `__transaction_state`.
pub(super) const OFFSETS_PARTITIONS: usize = 2;
pub(super) const TRANSACTIONS_PARTITIONS: usize = 2;
/// The setting that makes logs begin where they like.
const RETENTION_BYTES: &str = "log.retention.bytes";
/// The session of members of the consumer protocol, and what it is where nothing is said.
const CONSUMER_SESSION: &str = "group.consumer.session.timeout.ms";
const CONSUMER_SESSION_MS: u64 = 45_000;

/// Something that goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// kill -9 of the broker.
    Kill,
    /// kill -9 while the next deletion of a topic is on its way through the broker, or just after it.
    KillInDeletion,
    /// The machine loses its power, at once or at a change of the disk.
    PowerCut,
    /// SIGTERM, and a start.
    Restart,
    /// One shard's thread does not run for a while.
    Pause,
    /// Syncs and cold reads take long, out of order.
    SlowDisk,
    /// The disk is full for a while.
    FullDisk,
    /// A sync fails.
    SyncError,
    /// A read of a file fails.
    ReadError,
    /// A write fails, and leaves a part of itself.
    WriteError,
    /// No descriptors for a while.
    NoDescriptors,
    /// Nothing is in the page cache for a while: reads go to the disk.
    ColdCache,
    /// A connection is reset.
    Reset,
    /// A connection falls silent.
    Cut,
}

impl Trouble {
    /// All of them, with their names and how often each comes.
    pub(super) const ALL: [(&'static str, Trouble, usize); 14] = [
        ("kill", Trouble::Kill, 4),
        ("kill-in-deletion", Trouble::KillInDeletion, 2),
        ("power-cut", Trouble::PowerCut, 4),
        ("restart", Trouble::Restart, 2),
        ("pause", Trouble::Pause, 2),
        ("slow-disk", Trouble::SlowDisk, 2),
        ("full-disk", Trouble::FullDisk, 2),
        ("sync-error", Trouble::SyncError, 1),
        ("read-error", Trouble::ReadError, 1),
        ("write-error", Trouble::WriteError, 1),
        ("no-descriptors", Trouble::NoDescriptors, 1),
        ("cold-cache", Trouble::ColdCache, 2),
        ("reset", Trouble::Reset, 4),
        ("cut", Trouble::Cut, 2),
    ];
}

/// A trouble, when it comes (nanoseconds after the start), how long it lasts, and a number for what it chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) at_ns: u64,
    pub(super) trouble: Trouble,
    pub(super) lasts_ns: u64,
    pub(super) number: u64,
}

/// What is asked of a run beside its seed.
#[derive(Clone, Debug, Default)]
pub(super) struct Wish {
    pub(super) shards: Option<usize>,
    /// The kinds of trouble that may come; `None`: all.
    pub(super) troubles: Option<Vec<Trouble>>,
    /// A plan that was written down, whatever the seed says.
    pub(super) plan: Option<Box<Plan>>,
}

/// See the head of the file.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Plan {
    pub(super) shards: usize,
    pub(super) settings: Vec<(String, String)>,
    /// The broker has little memory: waiting fetches, sessions, frames and answers are refused or wait.
    pub(super) is_tight: bool,
    /// Far less than a topic may ask for, so that segments are rolled.
    pub(super) segment_bytes: usize,
    pub(super) weather: Weather,
    pub(super) topics: usize,
    pub(super) partitions_max: usize,
    pub(super) admin_pause_ms: u64,
    pub(super) producers: Vec<Manner>,
    pub(super) fetchers: Vec<Habit>,
    pub(super) committers: usize,
    /// Members of one group.
    pub(super) members: Vec<Nature>,
    /// Members of one group of the consumer protocol.
    pub(super) consumers: Vec<Bent>,
    /// Clients with a compacted topic: one at most.
    pub(super) upserters: Vec<Hand>,
    /// Clients with one transactional id.
    pub(super) transactors: Vec<Pace>,
    pub(super) storm_ns: u64,
    pub(super) events: Vec<Event>,
}

impl Plan {
    pub(super) fn of(seed: u64, wish: &Wish) -> Self {
        if let Some(plan) = &wish.plan {
            return Plan::clone(plan);
        }
        let dice =
            |part: u64| Dice::new(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ part.wrapping_mul(0x51AB_0DDC_0FFE_E001));
        let (mut size, mut clients, mut compacted) = (dice(1), dice(4), dice(8));
        let shards = wish.shards.unwrap_or([1, 1, 2, 3][size.below(4)]);
        let segment_bytes = [2_048, 8_192, 65_536, 1 << 20][size.below(4)];
        let storm_ns = (2 + size.below(6) as u64) * 1_000 * MS;
        let (consumers, of_consumers) = consumers(&mut dice(13));
        let is_tight = size.once_in(4);
        Self {
            shards,
            settings: [
                settings(&mut dice(2), shards, is_tight),
                retention(&mut dice(7), segment_bytes),
                compaction(&mut compacted),
                snapshots(&mut dice(9)),
                keeping(&mut dice(10)),
                of_consumers,
            ]
            .concat(),
            is_tight,
            segment_bytes,
            weather: weather(&mut dice(3)),
            topics: 1 + size.below(3),
            partitions_max: 1 + size.below(3),
            admin_pause_ms: [50, 300, 2_000][size.below(3)],
            producers: (0..1 + clients.below(3)).map(|_| manner(&mut clients, segment_bytes)).collect(),
            fetchers: (0..1 + clients.below(2)).map(|_| habit(&mut clients)).collect(),
            committers: clients.below(2),
            members: members(&mut dice(5)),
            consumers,
            upserters: upserters(&mut compacted, segment_bytes),
            transactors: transactors(&mut dice(11), &mut dice(12)),
            storm_ns,
            events: events(&mut dice(6), storm_ns, wish),
        }
    }
}

impl Plan {
    /// Whether logs lose their beginning by themselves.
    pub(super) fn retains_little(&self) -> bool {
        self.settings.iter().any(|(key, _)| key == RETENTION_BYTES)
    }

    /// How long a member of the consumer protocol may be silent.
    pub(super) fn consumer_session_ms(&self) -> u64 {
        let said = self.settings.iter().find(|(key, _)| key == CONSUMER_SESSION);
        said.and_then(|(_, value)| value.parse().ok()).unwrap_or(CONSUMER_SESSION_MS)
    }
}

fn settings(dice: &mut Dice, shards: usize, is_tight: bool) -> Vec<(String, String)> {
    let request_bytes_max: usize = if is_tight { 64 << 10 } else { 1 << 20 };
    let pairs = [
        ("listeners", "PLAINTEXT://127.0.0.1:9092".to_owned()),
        ("log.dirs", "/log".to_owned()),
        ("ringlog.shards", shards.to_string()),
        ("log.index.interval.bytes", [64, 512, 4_096][dice.below(3)].to_string()),
        ("socket.request.max.bytes", request_bytes_max.to_string()),
        ("auto.create.topics.enable", "false".to_owned()),
        ("offsets.topic.num.partitions", OFFSETS_PARTITIONS.to_string()),
        ("connections.max.idle.ms", [5_000, 600_000][dice.below(2)].to_string()),
        ("group.min.session.timeout.ms", "500".to_owned()),
        ("transaction.state.log.num.partitions", TRANSACTIONS_PARTITIONS.to_string()),
        ("transaction.abort.timed.out.transaction.cleanup.interval.ms", "500".to_owned()),
        ("group.initial.rebalance.delay.ms", [0, 300][dice.below(2)].to_string()),
    ];
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

/// Every third broker keeps little of a log; all of them look often.
fn retention(dice: &mut Dice, segment_bytes: usize) -> Vec<(String, String)> {
    let mut pairs = vec![
        ("log.initial.task.delay.ms", "0".to_owned()),
        ("log.retention.check.interval.ms", [100, 700][dice.below(2)].to_string()),
        ("log.segment.delete.delay.ms", [0, 500, 60_000][dice.below(3)].to_string()),
    ];
    if dice.once_in(3) {
        pairs.push((RETENTION_BYTES, [0, segment_bytes, 4 * segment_bytes][dice.below(3)].to_string()));
    }
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

/// All brokers clean what is compacted, the groups' offsets too.
fn compaction(dice: &mut Dice) -> Vec<(String, String)> {
    let pairs = [
        ("log.cleaner.backoff.ms", [50, 300, 2_000][dice.below(3)].to_string()),
        ("log.cleaner.delete.retention.ms", [0, 300, 86_400_000][dice.below(3)].to_string()),
        ("log.cleaner.min.cleanable.ratio", ["0.0", "0.1", "0.5"][dice.below(3)].to_owned()),
        // The groups' offsets are few: their segments become old, not full.
        ("log.roll.ms", [100, 1_000, 604_800_000][dice.below(3)].to_string()),
        ("log.cleaner.io.max.bytes.per.second", ["1000000.0", "1.0E9"][dice.below(2)].to_owned()),
    ];
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

/// All brokers snapshot their metadata log, some after each change, and some keep nothing of it that can go.
fn snapshots(dice: &mut Dice) -> Vec<(String, String)> {
    let pairs = [
        ("metadata.log.max.record.bytes.between.snapshots", [1, 700, 20_971_520][dice.below(3)].to_string()),
        ("metadata.log.max.snapshot.interval.ms", [50, 1_000, 3_600_000][dice.below(3)].to_string()),
        ("metadata.log.segment.ms", [100, 604_800_000][dice.below(2)].to_string()),
        ("metadata.max.retention.bytes", [0, 5_000, 104_857_600][dice.below(3)].to_string()),
    ];
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

/// Every other broker keeps a codec of its own, whatever is sent; every fourth one stamps its own time.
fn keeping(dice: &mut Dice) -> Vec<(String, String)> {
    let kept = ["producer", "producer", "producer", "producer", "uncompressed", "gzip", "lz4", "zstd"];
    let pairs = [
        ("compression.type", kept[dice.below(8)]),
        ("log.message.timestamp.type", if dice.once_in(4) { "LogAppendTime" } else { "CreateTime" }),
    ];
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

/// Every other broker has a compacted topic.
fn upserters(dice: &mut Dice, segment_bytes: usize) -> Vec<Hand> {
    let hand = |dice: &mut Dice| Hand {
        // Four of them fit into a segment.
        value_len_max: [20, 300, 3_000][dice.below(3)].min(segment_bytes / 8),
        pause_ms: [5, 20, 100][dice.below(3)],
    };
    (0..dice.below(2)).map(|_| hand(dice)).collect()
}

/// Every other broker has one or two that write transactions, each of them in the version that it speaks.
fn transactors(dice: &mut Dice, versions: &mut Dice) -> Vec<Pace> {
    let count = [0, 0, 1, 2][dice.below(4)];
    (0..count)
        .map(|_| Pace {
            timeout_ms: [500, 3_000, 8_000][dice.below(3)],
            pause_ms: [5, 30, 200][dice.below(3)],
            is_tv2: versions.once_in(2),
        })
        .collect()
}

/// Every other broker has a group of two or three.
fn members(dice: &mut Dice) -> Vec<Nature> {
    let count = [0, 0, 2, 3][dice.below(4)];
    (0..count)
        .map(|_| Nature { session_ms: [1_000, 6_000][dice.below(2)], pause_ms: [50, 200, 700][dice.below(3)] })
        .collect()
}

/// Every other broker has a group of the consumer protocol, of two or three, and settings for it.
fn consumers(dice: &mut Dice) -> (Vec<Bent>, Vec<(String, String)>) {
    let count = [0, 0, 2, 3][dice.below(4)];
    let bent = |_| Bent { pause_ms: [50, 150, 400][dice.below(3)], is_static: dice.once_in(3) };
    let consumers: Vec<Bent> = (0..count).map(bent).collect();
    let pairs = [
        ("group.consumer.min.session.timeout.ms", "500"),
        (CONSUMER_SESSION, ["2000", "6000"][dice.below(2)]),
        ("group.consumer.min.heartbeat.interval.ms", "100"),
        ("group.consumer.heartbeat.interval.ms", "100"),
        ("group.consumer.assignment.interval.ms", ["0", "300", "1000"][dice.below(3)]),
    ];
    let pairs = pairs.into_iter().filter(|_| count > 0);
    (consumers, pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect())
}

fn weather(dice: &mut Dice) -> Weather {
    let network_ns = [10_000..50_000, 20_000..2_000_000, MS..20 * MS][dice.below(3)].clone();
    let disk_ns = [50_000..300_000, 100_000..5 * MS, 5 * MS..50 * MS][dice.below(3)].clone();
    Weather {
        network_ns,
        disk_ns,
        segment_bytes: [1..1_460, 500..65_536, 65_536..65_537][dice.below(3)].clone(),
        window_bytes: [2_000, 20_000, 1 << 20][dice.below(3)],
        stall_once_in: [0, 0, 20][dice.below(3)],
        stall_ns: 50 * MS..1_000 * MS,
        give_up_ns: 10_000 * MS,
        ..Weather::default()
    }
}

fn manner(dice: &mut Dice, segment_bytes: usize) -> Manner {
    let is_idempotent = dice.once_in(2);
    Manner {
        acks: if is_idempotent { -1 } else { [0, 1, -1][dice.below(3)] },
        is_idempotent,
        by_id: dice.once_in(2),
        // Five of them fit into a segment.
        value_len_max: [20, 500, 6_000][dice.below(3)].min(segment_bytes / 8),
        pause_ms: [20, 100, 400][dice.below(3)],
    }
}

fn habit(dice: &mut Dice) -> Habit {
    Habit {
        in_session: dice.once_in(2),
        polls: [1, 1, 3, 100][dice.below(4)],
        max_wait_ms: [100, 500, 5_000][dice.below(3)],
        min_bytes: [1, 1, 2_000, 100_000][dice.below(4)],
        max_bytes: [500, 20_000, 1 << 20][dice.below(3)],
    }
}

fn events(dice: &mut Dice, storm_ns: u64, wish: &Wish) -> Vec<Event> {
    let able: Vec<Trouble> = Trouble::ALL
        .iter()
        .filter(|(_, trouble, _)| wish.troubles.as_ref().is_none_or(|wished| wished.contains(trouble)))
        .flat_map(|(_, trouble, weight)| std::iter::repeat_n(*trouble, *weight))
        .collect();
    let count = if able.is_empty() { 0 } else { dice.below(6) };
    let mut events: Vec<Event> = (0..count)
        .map(|_| Event {
            at_ns: dice.within(&(300 * MS..storm_ns)),
            trouble: able[dice.below(able.len())],
            lasts_ns: dice.within(&(50 * MS..2_500 * MS)),
            number: dice.roll(),
        })
        .collect();
    events.sort_by_key(|event| event.at_ns);
    events
}
