//! The bus between shards: from each to each a lane of its own, bounded and in order.
//!
//! ```text
//!   shard 0: send(to 1) --> | lane 0 -> 1 |  rings 1's bell where the lane was empty
//!   shard 2: send(to 1) --> | lane 2 -> 1 |       --> shard 1: receive: all of lane 0, then 1, then 2
//!                            full: given back          ... and rings the bell of each whose mail was given back
//! ```
//!
//! Invariants:
//! - Nothing is lost: mail is in its lane, or back with who wanted to send it, and who got it back is woken when there is
//!   room.
//! - What one shard sends to another arrives in the order in which it was sent.
//! - A lane holds [`limits::LANE_MAIL`] pieces at most. Who has more waits: calls wait in the turn's list, and their clients'
//!   connections with them.
//!
//! The same sends and receives give the same order: there is no clock and no thread in here but the bell.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ringlog_io::Waker;

use crate::limits;
use crate::metadata::image::ShardId;

/// Mail from one shard to another.
#[derive(Debug)]
struct Lane<T> {
    mail: VecDeque<T>,
    /// The sender got mail back, and is to be woken when there is room.
    sender_waits: bool,
}

/// A shard's lanes, by sender, and its bell.
#[derive(Debug)]
struct Inbox<T> {
    lanes: Vec<Mutex<Lane<T>>>,
    bell: Waker,
}

impl<T> Inbox<T> {
    fn lane(&self, from: ShardId) -> MutexGuard<'_, Lane<T>> {
        // A thread that panics ends the process.
        self.lanes[from.0].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where a shard gets its mail: given to every other shard.
#[derive(Debug)]
pub(crate) struct Address<T>(Arc<Inbox<T>>);

impl<T> Clone for Address<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Address<T> {
    /// The address of one of `shards` shards, whose thread `bell` wakes.
    pub(crate) fn new(shards: usize, bell: Waker) -> Self {
        let lane = || Mutex::new(Lane { mail: VecDeque::new(), sender_waits: false });
        Self(Arc::new(Inbox { lanes: (0..shards).map(|_| lane()).collect(), bell }))
    }

    /// Wakes the shard.
    pub(crate) fn wake(&self) {
        self.0.bell.wake();
    }
}

/// One shard's seat at the bus.
#[derive(Debug)]
pub(crate) struct Bus<T> {
    me: ShardId,
    addresses: Vec<Address<T>>,
}

impl<T> Bus<T> {
    /// The seat of `me`; all shards' addresses, by number.
    pub(crate) fn new(me: ShardId, addresses: Vec<Address<T>>) -> Self {
        Self { me, addresses }
    }

    /// Who sits here.
    pub(crate) fn me(&self) -> ShardId {
        self.me
    }

    /// All shards, this one too.
    pub(crate) fn shards(&self) -> impl Iterator<Item = ShardId> + use<T> {
        (0..self.addresses.len()).map(ShardId)
    }

    /// Sends. Where the lane is full the mail comes back: try again when this shard is woken.
    pub(crate) fn send(&self, to: ShardId, mail: T) -> Result<(), T> {
        let inbox = &self.addresses[to.0].0;
        let mut lane = inbox.lane(self.me);
        if lane.mail.len() >= limits::LANE_MAIL {
            lane.sender_waits = true;
            return Err(mail);
        }
        lane.mail.push_back(mail);
        let was_empty = lane.mail.len() == 1;
        drop(lane);
        if was_empty {
            inbox.bell.wake();
        }
        Ok(())
    }

    /// Takes all mail that is here, with who sent it.
    pub(crate) fn receive(&self) -> Vec<(ShardId, T)> {
        let mut received = Vec::new();
        for from in self.shards() {
            let mut lane = self.addresses[self.me.0].0.lane(from);
            let sender_waits = std::mem::take(&mut lane.sender_waits);
            received.extend(lane.mail.drain(..).map(|mail| (from, mail)));
            drop(lane);
            if sender_waits {
                self.addresses[from.0].0.bell.wake();
            }
        }
        received
    }

    /// Wakes every shard, for news that it looks for itself.
    pub(crate) fn wake_all(&self) {
        self.addresses.iter().for_each(|address| address.0.bell.wake());
    }
}

#[cfg(test)]
#[path = "bus_tests.rs"]
mod tests;
