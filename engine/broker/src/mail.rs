//! What shards say to each other: the newest metadata image, calls to the controller and its answers, and "stop".
//!
//! Shards share nothing else. The image has a slot that always holds the newest one (a reader that is late skips the
//! ones between); calls and answers go through one bounded channel per shard, and the sum of calls outstanding per shard
//! is limited, so that a channel never fills.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use ringlog_io::Waker;
use ringlog_storage::{Checkpointed, PartitionName};

use crate::limits;
use crate::metadata::controller::{Call, Outcome};
use crate::metadata::image::{Image, ShardId};

/// One message to a shard.
#[derive(Debug)]
pub(crate) enum Mail {
    /// To the controller: `call_id` comes back with the answer.
    Call { from: ShardId, call_id: u64, call: Call },
    /// From the controller.
    Answer { call_id: u64, outcome: Outcome },
    /// To shard 0: the folders of a shard are as the image of this version says.
    Settled { from: ShardId, version: i64 },
    /// To shard 0: what the checkpoint files should say of the partitions of a shard.
    Checkpoints { from: ShardId, partitions: BTreeMap<PartitionName, Checkpointed> },
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

/// Where to send mail for one shard.
#[derive(Clone, Debug)]
pub(crate) struct Address {
    sender: SyncSender<Mail>,
    waker: Waker,
}

impl Address {
    /// Puts mail into the shard's box and wakes it. A shard that has ended takes none.
    pub(crate) fn send(&self, mail: Mail) {
        if self.sender.try_send(mail).is_ok() {
            self.waker.wake();
        } else {
            tracing::error!("a shard's mailbox is closed or full: mail lost");
        }
    }

    /// Wakes the shard, so that it looks for a newer image.
    pub(crate) fn wake(&self) {
        self.waker.wake();
    }
}

/// A shard's own box.
#[derive(Debug)]
pub(crate) struct Mailbox(Receiver<Mail>);

impl Mailbox {
    /// A box for one shard of `shards`, and its address.
    pub(crate) fn new(shards: usize, waker: Waker) -> (Self, Address) {
        let (sender, receiver) = sync_channel(limits::CONTROLLER_CALLS * (shards + 1));
        (Self(receiver), Address { sender, waker })
    }

    /// The next message, if there is one.
    pub(crate) fn take(&self) -> Option<Mail> {
        self.0.try_recv().ok()
    }
}
