//! Log starts that shards want to be in the checkpoint file, on the disk, before they remove a file or answer DeleteRecords.
//!
//! ```text
//!   ask --> asked --enter: into what is written next--> writing --written--> told --tell--> the shard
//! ```
//! What is asked for while the files are being written waits for the next time.

use std::collections::BTreeMap;

use ringlog_storage::{Checkpointed, PartitionName};

use crate::mail::{Bus, Mail};
use crate::metadata::image::ShardId;

type Partitions = BTreeMap<PartitionName, Checkpointed>;

/// See the head of the file.
#[derive(Debug, Default)]
pub(crate) struct Starts {
    asked: Vec<(ShardId, Partitions)>,
    writing: Vec<(ShardId, Partitions)>,
    told: Vec<(ShardId, Mail)>,
}

impl Starts {
    pub(crate) fn ask(&mut self, from: ShardId, partitions: Partitions) {
        self.asked.push((from, partitions));
    }

    pub(crate) fn are_asked(&self) -> bool {
        !self.asked.is_empty()
    }

    /// Puts what is asked for into what the files are to say. A start never goes back.
    pub(crate) fn enter(&mut self, all: &mut Partitions) {
        for (name, asked) in self.asked.iter().flat_map(|(_, partitions)| partitions) {
            let at = all.entry(name.clone()).or_insert(*asked);
            if at.topic_id == asked.topic_id {
                at.log_start_offset = at.log_start_offset.max(asked.log_start_offset);
            } else {
                *at = *asked;
            }
        }
        self.writing.append(&mut self.asked);
    }

    /// The files were written, or could not be.
    pub(crate) fn written(&mut self, is_well: bool) {
        let told = self.writing.drain(..);
        self.told.extend(told.map(|(shard, partitions)| (shard, Mail::StartsKept { partitions, is_well })));
    }

    /// Tells the shards. Who takes no mail is told in a later turn.
    pub(crate) fn tell(&mut self, bus: &Bus) {
        for (shard, mail) in std::mem::take(&mut self.told) {
            if let Err(mail) = bus.send(shard, mail) {
                self.told.push((shard, mail));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use ringlog_wire::Uuid;

    use super::*;

    fn at(topic: u8, log_start_offset: i64) -> Partitions {
        let name = PartitionName { topic: "t".to_owned(), partition: 0 };
        let checkpointed =
            Checkpointed { topic_id: Uuid([topic; 16]), recovery_point: 0, log_start_offset, cleaned_offset: 0 };
        BTreeMap::from([(name, checkpointed)])
    }

    #[test]
    fn a_start_never_goes_back_unless_it_is_another_topics() {
        let mut starts = Starts::default();
        for (before, asked, after) in [((1, 5), (1, 7), 7), ((1, 7), (1, 5), 7), ((1, 7), (2, 0), 0)] {
            let mut all = at(before.0, before.1);
            starts.ask(ShardId(0), at(asked.0, asked.1));
            starts.enter(&mut all);
            assert_eq!(all.into_values().next().map(|at| at.log_start_offset), Some(after));
        }
    }

    #[test]
    fn what_is_asked_for_during_a_write_waits_for_the_next() {
        let mut starts = Starts::default();
        starts.ask(ShardId(0), at(1, 5));
        starts.enter(&mut Partitions::new());
        starts.ask(ShardId(1), at(1, 9));
        starts.written(true);
        assert_eq!(starts.told.len(), 1);
        assert!(matches!(&starts.told[0], (ShardId(0), Mail::StartsKept { is_well: true, .. })));
        assert!(starts.are_asked() && starts.writing.is_empty());
    }
}
