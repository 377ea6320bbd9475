//! Mail to other shards that a turn brought about: it leaves at the turn's end, to each in order, or stays where there is no room.

use std::collections::{BTreeMap, VecDeque};

use crate::mail::{Bus, Mail};
use crate::metadata::image::ShardId;

/// See the head of the file.
#[derive(Debug, Default)]
pub(crate) struct Outbox(BTreeMap<ShardId, VecDeque<Mail>>);

impl Outbox {
    /// For the end of the turn.
    pub(crate) fn push(&mut self, to: ShardId, mail: Mail) {
        self.0.entry(to).or_default().push_back(mail);
    }

    /// Sends what there is room for. Who takes nothing more wakes this shard when there is room again.
    pub(crate) fn send(&mut self, bus: &Bus) {
        self.0.retain(|to, queue| {
            while let Some(mail) = queue.pop_front() {
                if let Err(mail) = bus.send(*to, mail) {
                    queue.push_front(mail);
                    return true;
                }
            }
            false
        });
    }
}
