//! Offsets do not outlive their topic: when it is deleted, a tombstone goes into the log for each of them, whatever the
//! group's state is (`OffsetMetadataManager.onPartitionsDeleted`). A topic that is made again under the name begins
//! without offsets, and tools that ask for the end of everything that a group has committed are answered.
//!
//! ```text
//!   topics_deleted     the image lost them: what is committed, carried by transactions, and on its way to the log
//!   sweep              a partition was loaded: what a kill left between the deletion and its tombstones
//!                      tombstones could not be written (a full disk): again, until they are
//! ```

use std::collections::{BTreeMap, BTreeSet};

use ringlog_wire::{ErrorCode, Uuid};

use super::records::offset_tombstone;
use super::{Effect, GroupCoordinator, Moment, Pending, Topics};

/// Tombstones of one batch: far below what a batch may hold.
const TOMBSTONES_MAX: usize = 1_000;

/// Tombstones of offsets whose topic is gone. Nobody waits for them.
#[derive(Debug)]
pub(super) struct PendingForget {
    pub(super) group: String,
    offsets: Vec<(String, i32)>,
}

impl GroupCoordinator {
    /// These topics were deleted, by name and id. Partitions that are being loaded are swept when they are.
    pub(crate) fn topics_deleted(&mut self, deleted: &BTreeMap<String, Uuid>, at: Moment) -> Vec<Effect> {
        let is_gone = |topic: &str, id: Uuid| deleted.get(topic).is_some_and(|gone| id.is_zero() || id == *gone);
        self.forget_where(None, &is_gone, at)
    }

    /// Forgets the offsets of a loaded partition whose topic is not there, or is another one of that name.
    pub(crate) fn sweep(&mut self, partition: i32, topics: &dyn Topics, at: Moment) -> Vec<Effect> {
        let is_gone = |topic: &str, id: Uuid| match topics.topic_id(topic) {
            Some(now) => !id.is_zero() && id != now,
            None => true,
        };
        self.forget_where(Some(partition), &is_gone, at)
    }

    fn forget_where(
        &mut self,
        partition: Option<i32>,
        is_gone: &dyn Fn(&str, Uuid) -> bool,
        at: Moment,
    ) -> Vec<Effect> {
        let served = match partition {
            Some(partition) => vec![partition],
            None => self.owned.active().collect(),
        };
        self.with_env(at, |groups, env| {
            for group in groups.values().filter(|group| served.contains(&group.partition)) {
                for offsets in group.offsets.names_where(is_gone).chunks(TOMBSTONES_MAX) {
                    let records =
                        offsets.iter().map(|(topic, number)| offset_tombstone(&group.id, topic, *number)).collect();
                    let pending = PendingForget { group: group.id.clone(), offsets: offsets.to_vec() };
                    env.append(group.partition, records, Pending::Forget(Box::new(pending)));
                }
            }
        })
    }

    /// Partitions whose offsets are to be swept again: tombstones could not be written.
    pub(crate) fn take_unswept(&mut self) -> BTreeSet<i32> {
        std::mem::take(&mut self.unswept)
    }

    /// Whether there are any.
    pub(crate) fn has_unswept(&self) -> bool {
        !self.unswept.is_empty()
    }

    /// The tombstones are in the log, or could not be written: then the partition is swept again in a while.
    /// Commits that were on their way stand in the log before them, and have been answered.
    pub(super) fn forgotten(&mut self, gone: PendingForget, result: Result<i64, ErrorCode>) {
        if let Err(error) = result {
            tracing::warn!(group = gone.group, %error, "offsets of a deleted topic could not be removed yet");
            self.unswept.extend(self.groups.get(&gone.group).map(|group| group.partition));
            return;
        }
        if let Some(group) = self.groups.get_mut(&gone.group) {
            gone.offsets.iter().for_each(|(topic, partition)| group.offsets.remove(topic, *partition));
        }
    }
}
