//! Faults that are planted on purpose, to see whether the simulation finds them, or `scripts/powercut` in a real broker
//! (`RINGLOG_PLANT=NAME`): only with the cargo feature `plant`, nothing of it is in an ordinary build. One at a time, for the
//! whole process.
//!
//! Beside them costs: what makes a real broker dearer or slower by a known amount, to see whether `ringlog compare` finds it.
//! `RINGLOG_PLANT=cpu-per-mb:120` burns 120 us of a shard's processor time for each MB (10^6 bytes) that it received,
//! `RINGLOG_PLANT=paused:300:20000` stops each shard for 300 us in every 20,000 us.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::cpu_time;

/// A planted fault, by name.
pub const NAMES: [&str; 29] = [
    ACK_BEFORE_FLUSH,
    FOLDER_SYNC_SKIPPED,
    BUFFER_REUSED,
    WAITER_KEPT,
    REPLY_OUT_OF_ORDER,
    IMAGE_EARLY,
    DUPLICATE_ACCEPTED,
    STALE_FOLDER_OPENED,
    EPOCH_KEPT,
    QUEUE_UNBOUNDED,
    NAMELESS_FOLDER_KEPT,
    FOLDER_ENTRY_UNSYNCED,
    LOG_DIR_UNSYNCED,
    PRODUCER_FORGOTTEN,
    GENERATION_IGNORED,
    SHARE_MIXED,
    SHARE_GIVEN_EARLY,
    LOAD_CUT_SHORT,
    MEMORY_UNBOUNDED,
    FLUSH_UNNOTED,
    START_FORGOTTEN,
    NEWEST_DROPPED,
    SWAP_LOST,
    SNAPSHOT_UNSYNCED,
    MARKER_LOST,
    FENCE_SKIPPED,
    STABLE_PAST_OPEN,
    BATCH_COPIED,
    WRITEBACK_INLINE,
];
/// A batch is acknowledged before the flush that it waits for.
pub const ACK_BEFORE_FLUSH: &str = "ack-before-flush";
/// A folder's entries are not synced.
pub const FOLDER_SYNC_SKIPPED: &str = "folder-sync-skipped";
/// A batch's buffer is used for something else before it is written.
pub const BUFFER_REUSED: &str = "buffer-reused";
/// A fetch that was answered goes on watching.
pub const WAITER_KEPT: &str = "waiter-kept";
/// An answer overtakes those before it.
pub const REPLY_OUT_OF_ORDER: &str = "reply-out-of-order";
/// A change is published and answered before it is on the disk.
pub const IMAGE_EARLY: &str = "image-early";
/// A batch that is there already is appended again.
pub const DUPLICATE_ACCEPTED: &str = "duplicate-accepted";
/// A folder of another topic is opened.
pub const STALE_FOLDER_OPENED: &str = "stale-folder-opened";
/// The leader epoch does not rise after an unclean stop.
pub const EPOCH_KEPT: &str = "epoch-kept";
/// What was answered stays in its queue.
pub const QUEUE_UNBOUNDED: &str = "queue-unbounded";
/// After a power cut a folder that names no topic is taken for the one of its name.
pub const NAMELESS_FOLDER_KEPT: &str = "nameless-folder-kept";
/// A partition's folder is not synced into the one above before the first flush.
pub const FOLDER_ENTRY_UNSYNCED: &str = "folder-entry-unsynced";
/// The log directory is not synced into the one above.
pub const LOG_DIR_UNSYNCED: &str = "log-dir-unsynced";
/// A partition that failed and comes back knows each producer's last batch alone.
pub const PRODUCER_FORGOTTEN: &str = "producer-forgotten";
/// Commits and heartbeats of any generation are taken.
pub const GENERATION_IGNORED: &str = "generation-ignored";
/// A member is given another one's share.
pub const SHARE_MIXED: &str = "share-mixed";
/// A member is given what another one has not given back yet.
pub const SHARE_GIVEN_EARLY: &str = "share-given-early";
/// The loading of a group's offsets ends after the first piece.
pub const LOAD_CUT_SHORT: &str = "load-cut-short";
/// Fetches wait however much memory that takes.
pub const MEMORY_UNBOUNDED: &str = "memory-unbounded";
/// A flush begins without a note that outlives a kill.
pub const FLUSH_UNNOTED: &str = "flush-unnoted";
/// A log begins where its first segment does after a start: what was deleted of that segment is back.
pub const START_FORGOTTEN: &str = "start-forgotten";
/// Compaction drops the newest value of a key now and then.
pub const NEWEST_DROPPED: &str = "newest-dropped";
/// Old segments are set aside before the cleaned one that replaces them is known to be whole.
pub const SWAP_LOST: &str = "swap-lost";
/// A snapshot of the metadata log gets its name before it is on the disk.
pub const SNAPSHOT_UNSYNCED: &str = "snapshot-unsynced";
/// A transaction is complete with one of its markers not written.
pub const MARKER_LOST: &str = "marker-lost";
/// A transaction goes on for a producer that was superseded.
pub const FENCE_SKIPPED: &str = "fence-skipped";
/// Readers of committed data are shown what is still open.
pub const STABLE_PAST_OPEN: &str = "stable-past-open";

/// A batch is copied once more before it is written: what `scripts/counts` must find.
pub const BATCH_COPIED: &str = "batch-copied";
/// A shard's thread waits for the disk itself: what `scripts/shard-waits` must find.
pub const WRITEBACK_INLINE: &str = "writeback-inline";

/// The planted one: its place among the names and one; 0 is none.
static PLANTED: AtomicUsize = AtomicUsize::new(0);

/// Plants a fault. False: there is none of this name.
pub fn plant(name: &str) -> bool {
    let place = NAMES.iter().position(|known| *known == name);
    PLANTED.store(place.map_or(0, |place| place + 1), Ordering::Relaxed);
    place.is_some()
}

/// Whether this fault is planted.
#[must_use]
pub fn is(name: &str) -> bool {
    let planted = PLANTED.load(Ordering::Relaxed);
    planted > 0 && NAMES[planted - 1] == name
}

/// Processor time that a shard burns for each MB that it received; microseconds.
static BURNT_US_PER_MB: AtomicU64 = AtomicU64::new(0);
/// How long a shard stops, and how often; microseconds.
static PAUSE_US: AtomicU64 = AtomicU64::new(0);
static PERIOD_US: AtomicU64 = AtomicU64::new(0);

thread_local! {
    /// What this shard had received when it last paid.
    static PAID_BYTES: Cell<u64> = const { Cell::new(0) };
    /// When it last stopped.
    static STOPPED: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Plants a cost: `cpu-per-mb:US` or `paused:US:EVERY_US`. False: it is none.
pub fn plant_cost(text: &str) -> bool {
    let parts: Vec<&str> = text.split(':').collect();
    let number = |at: usize| parts.get(at).and_then(|it| it.parse::<u64>().ok());
    match (parts[0], parts.len(), number(1), number(2)) {
        ("cpu-per-mb", 2, Some(us), _) => BURNT_US_PER_MB.store(us, Ordering::Relaxed),
        ("paused", 3, Some(pause_us), Some(period_us)) => {
            PAUSE_US.store(pause_us, Ordering::Relaxed);
            PERIOD_US.store(period_us, Ordering::Relaxed);
        }
        _ => return false,
    }
    true
}

/// A shard pays at the end of each turn, for all that it ever `received_bytes`.
#[allow(clippy::disallowed_methods, reason = "a planted pause is real time, as the broker under it is")]
pub fn pay(received_bytes: u64) {
    let owed_ns = received_bytes.saturating_sub(PAID_BYTES.replace(received_bytes))
        * BURNT_US_PER_MB.load(Ordering::Relaxed)
        / 1_000;
    if let (1.., Ok(now_ns)) = (owed_ns, cpu_time::thread_ns()) {
        while cpu_time::thread_ns().is_ok_and(|it| it < now_ns + owed_ns) {
            std::hint::spin_loop();
        }
    }
    let pause_us = PAUSE_US.load(Ordering::Relaxed);
    let period = Duration::from_micros(PERIOD_US.load(Ordering::Relaxed));
    if pause_us > 0 && STOPPED.get().is_none_or(|it| it.elapsed() >= period) {
        std::thread::sleep(Duration::from_micros(pause_us));
        STOPPED.set(Some(Instant::now()));
    }
}
