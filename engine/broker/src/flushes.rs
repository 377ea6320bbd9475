//! The flushes of a shard's partitions: which are due, which are under way.
//!
//! A partition that changed is looked at once at the end of the turn; one whose flush.ms runs is looked at again every
//! [`CHECK_NS`]. Files sync in parallel, one job at a time and partition.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use ringlog_io::{Nanos, Token};
use ringlog_storage::FlushJob;

use crate::broker::Broker;
use crate::jobs;
use crate::lists::give_back;
use crate::replica::PartitionKey;
use crate::submission::{Submission, Submissions};
use crate::timers::Timer;
use crate::tokens;

/// How often partitions that wait for flush.ms are looked at.
const CHECK_NS: u64 = 100_000_000;

/// See the head of the file.
#[derive(Debug, Default)]
pub(crate) struct Flushes {
    /// Each with the time of its begin.
    under_way: BTreeMap<u32, (PartitionKey, FlushJob, Nanos)>,
    next: u32,
    /// Partitions with unflushed records whose flush.ms is not over.
    later: BTreeSet<PartitionKey>,
}

impl Flushes {
    /// Begins what is due at the partitions that changed in this turn.
    pub(crate) fn begin(&mut self, broker: &mut Broker, out: &mut Submissions) {
        let mut changed = std::mem::take(&mut broker.news.changed);
        changed.dedup();
        for key in changed.drain(..) {
            self.begin_one(broker, key, out);
        }
        give_back(&mut broker.news.changed, changed);
        if !self.later.is_empty() && !broker.timers.is_set(Timer::Flushes) {
            broker.timers.set(Timer::Flushes, Some(Nanos(broker.now.0 + CHECK_NS)));
        }
    }

    fn begin_one(&mut self, broker: &mut Broker, key: PartitionKey, out: &mut Submissions) {
        let wall_ms = broker.wall_ms;
        let Some(place) = broker.replicas.find(key) else { return };
        jobs::keep_up(broker, key, place);
        let replica = broker.replicas.at_mut(place);
        let Some(job) = replica.begin_flush(wall_ms, &mut broker.news) else {
            if replica.log().config().flushes() {
                self.later.insert(key);
            }
            return;
        };
        let number = self.next;
        self.next = self.next.wrapping_add(1);
        out.push(Submission::Sync { file: job.file.clone(), token: tokens::flush(number) });
        self.under_way.insert(number, (key, job, broker.now));
    }

    /// How many are under way.
    pub(crate) fn len(&self) -> usize {
        self.under_way.len()
    }

    /// The time of [`Timer::Flushes`] has come.
    pub(crate) fn look_again(&mut self, broker: &mut Broker) {
        broker.news.changed.extend(std::mem::take(&mut self.later));
    }

    /// A flush ended.
    pub(crate) fn ended(&mut self, broker: &mut Broker, token: Token, result: io::Result<()>) {
        if let Some((key, job, begun)) = self.under_way.remove(&tokens::flush_of(token)) {
            broker.watch.meter.flushes.note(broker.now.0.saturating_sub(begun.0));
            broker.replicas.end_flush(key, job, result, &mut broker.news);
        }
    }
}
