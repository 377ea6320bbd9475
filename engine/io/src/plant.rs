//! Faults that are planted on purpose, to see whether the simulation finds them: only with the cargo feature `plant`, nothing
//! of it is in an ordinary build. One at a time, for the whole process.

use std::sync::atomic::{AtomicUsize, Ordering};

/// A planted fault, by name.
pub const NAMES: [&str; 10] = [
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
