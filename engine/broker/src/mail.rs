//! What shards say to each other: the newest metadata image, and mail on the bus ([`crate::bus`]). They share nothing else.
//!
//! The image has a slot that always holds the newest one: a reader that is late skips the ones between.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use ringlog_storage::{Checkpointed, PartitionName};
use ringlog_wire::ErrorCode;

use crate::bus;
use crate::coordinator::transaction::Marker;
use crate::metadata::controller::{Call, Decided};
use crate::metadata::image::Image;
use crate::replica::PartitionKey;
use crate::transaction_checks::Question;
use crate::upkeep::Handed;

/// A shard's seat at the bus.
pub(crate) type Bus = bus::Bus<Mail>;
/// Where a shard gets its mail.
pub(crate) type Address = bus::Address<Mail>;

/// One message to a shard.
#[derive(Debug)]
pub(crate) enum Mail {
    /// To the controller: `call_id` comes back with the answer.
    Call { call_id: u64, call: Call },
    /// From the controller.
    Answer { call_id: u64, outcome: Decided },
    /// To shard 0: the folders of a shard are as the image of this version says, and whether it has opened every log that
    /// the last run left.
    Settled { version: i64, has_read_all: bool },
    /// To shard 0: what the checkpoint files should say of the partitions of a shard.
    Checkpoints { partitions: BTreeMap<PartitionName, Checkpointed> },
    /// To shard 0: these logs begin later now, and the checkpoint file is to say so.
    Starts { partitions: BTreeMap<PartitionName, Checkpointed> },
    /// From shard 0: the file says so on the disk, or could not be written.
    StartsKept { partitions: BTreeMap<PartitionName, Checkpointed>, is_well: bool },
    /// To whom a partition moves: how its log is to be opened, which its shard has closed.
    Handed { key: PartitionKey, handed: Handed },
    /// To a partition's leader: a transaction has ended, and the marker is to be written; `number` comes back.
    Mark { number: u64, key: PartitionKey, marker: Marker, coordinator_epoch: i32 },
    /// From there: it is written, or could not be.
    Marked { number: u64, result: Result<(), ErrorCode> },
    /// To a transaction's coordinator: is the partition part of it? In version 2 it becomes so.
    Verify(Question),
    /// From there.
    Verified(Question, Result<(), ErrorCode>),
    /// A sync failed: nothing is written to the log directory any more.
    DirectoryFailed { reason: String },
    /// Finish what is under way, close the partitions, end the thread.
    Stop,
}

/// The newest image, for all shards.
#[derive(Debug)]
pub(crate) struct Newest {
    version: AtomicU64,
    image: Mutex<Arc<Image>>,
}

impl Newest {
    pub(crate) fn new(image: Arc<Image>) -> Self {
        Self { version: AtomicU64::new(1), image: Mutex::new(image) }
    }

    /// Puts a newer image in the place of the last one.
    pub(crate) fn publish(&self, image: Arc<Image>) {
        *self.image.lock().unwrap_or_else(PoisonError::into_inner) = image;
        self.version.fetch_add(1, Ordering::Release);
    }

    /// The newest image.
    pub(crate) fn latest(&self) -> Arc<Image> {
        Arc::clone(&self.image.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The newest image, where it is newer than what `seen` says.
    pub(crate) fn newer(&self, seen: &mut u64) -> Option<Arc<Image>> {
        let version = self.version.load(Ordering::Acquire);
        if version == *seen {
            return None;
        }
        *seen = version;
        Some(self.latest())
    }
}
