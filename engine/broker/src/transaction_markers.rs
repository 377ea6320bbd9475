//! Markers on their way into the partitions of a transaction: to this shard's at once, to another's by mail; tried again until
//! they are written, or the partition is no more.
//!
//! ```text
//!   begin --> task --ours: write --> Writing --settled--> ended --> the coordinator: marked
//!              |  ^          Mail::Mark --> the leader's shard: write --> settled --> Mail::Marked --^
//!              +--+ not written: later
//!   WriteTxnMarkers: write --> settled --> its answer
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;

use ringlog_io::{Nanos, Slice};
use ringlog_storage::Origin;
use ringlog_wire::ErrorCode;
use ringlog_wire::batch::{self, BatchBuilder, Rules};

use crate::broker::Broker;
use crate::coordinator::transaction::{Marker, Ticket, TopicPartition};
use crate::coordinators::Coordinator;
use crate::group_desk;
use crate::handlers::write_txn_markers::{self, Place};
use crate::mail::Mail;
use crate::metadata::image::{Owner, ShardId};
use crate::replica::{self, PartitionKey, Staged};
use crate::timers::Timer;
use crate::{transaction_checks, transaction_desk};

/// The time to the next try of markers that could not be written.
const AGAIN_NS: u64 = 100_000_000;

/// A marker of a transaction that is coordinated here.
#[derive(Debug)]
struct Task {
    /// The partition of the transactions topic, whose epoch it bears.
    partition: i32,
    ticket: Ticket,
    marker: Marker,
    into: TopicPartition,
}

/// Who wants a marker written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asker {
    /// The coordinator of this shard: its task.
    Here(u64),
    /// Another shard's.
    Shard(ShardId, u64),
    /// A request, and its place there.
    Request(usize, Place),
}

/// A marker on its way to a log of this shard.
#[derive(Debug)]
struct Writing {
    asker: Asker,
    key: PartitionKey,
    marker: Marker,
}

/// See the head of the file.
#[derive(Debug, Default)]
pub(crate) struct Markers {
    tasks: BTreeMap<u64, Task>,
    /// Tasks that are to be tried again.
    late: Vec<u64>,
    writing: BTreeMap<u64, Writing>,
    next: u64,
}

impl Markers {
    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// The coordinator of a partition is gone: who takes over begins anew.
    pub(crate) fn forget(&mut self, partition: i32) {
        self.tasks.retain(|_, task| task.partition != partition);
    }
}

/// The coordinator wants a marker written.
pub(crate) fn begin(broker: &mut Broker, partition: i32, ticket: Ticket, marker: Marker, into: TopicPartition) {
    let markers = &mut broker.transactions.markers;
    let number = markers.number();
    markers.tasks.insert(number, Task { partition, ticket, marker, into });
    send(broker, number);
}

/// The time of [`Timer::Markers`] has come: those that could not be written.
pub(crate) fn again(broker: &mut Broker) {
    std::mem::take(&mut broker.transactions.markers.late).into_iter().for_each(|number| send(broker, number));
}

/// Has a marker written where its partition is now.
fn send(broker: &mut Broker, number: u64) {
    let Some(Task { partition, marker, into, .. }) = broker.transactions.markers.tasks.get(&number) else { return };
    let marker = *marker;
    let Some(coordinator_epoch) = transaction_desk::epoch(broker, *partition) else {
        return ended(broker, number, Err(ErrorCode::NOT_COORDINATOR));
    };
    let topic = broker.image.topic(&into.0).filter(|topic| topic.partition(into.1).is_some());
    // What was deleted needs no marker.
    let Some(topic) = topic.cloned() else { return ended(broker, number, Ok(())) };
    let key = PartitionKey { topic_id: topic.id, partition: into.1 };
    match broker.image.owner(&topic, key.partition, broker.shard) {
        Owner::Local => write(broker, key, (marker, coordinator_epoch), Asker::Here(number)),
        Owner::Sibling(shard) => broker.outbox.push(shard, Mail::Mark { number, key, marker, coordinator_epoch }),
        Owner::Remote(_) | Owner::Nobody => ended(broker, number, Err(ErrorCode::LEADER_NOT_AVAILABLE)),
    }
}

/// What became of a task.
pub(crate) fn ended(broker: &mut Broker, number: u64, result: Result<(), ErrorCode>) {
    let markers = &mut broker.transactions.markers;
    match result {
        Ok(()) => {
            if let Some(task) = markers.tasks.remove(&number) {
                transaction_desk::marked(broker, task.ticket);
            }
        }
        // A coordinator or a producer of a later epoch was there: this one is not to speak any more.
        Err(error @ (ErrorCode::INVALID_PRODUCER_EPOCH | ErrorCode::TRANSACTION_COORDINATOR_FENCED)) => {
            if let Some(task) = markers.tasks.remove(&number) {
                tracing::error!(topic = task.into.0, partition = task.into.1, marker = ?task.marker, %error, "a marker was refused");
            }
        }
        Err(_) => {
            markers.late.push(number);
            if !broker.timers.is_set(Timer::Markers) {
                broker.timers.set(Timer::Markers, Some(Nanos(broker.now.0 + AGAIN_NS)));
            }
        }
    }
}

/// Writes a marker into a log of this shard, and tells who asked.
pub(crate) fn write(broker: &mut Broker, key: PartitionKey, marker: (Marker, i32), asker: Asker) {
    if let Err(error) = stage(broker, key, marker, asker) {
        tell(broker, asker, Err(error));
    }
}

fn stage(broker: &mut Broker, key: PartitionKey, of: (Marker, i32), asker: Asker) -> Result<(), ErrorCode> {
    let (marker, coordinator_epoch) = of;
    let topic = broker.image.topic_by_id(key.topic_id).map(Arc::clone).ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)?;
    let place = broker.place(&topic, key.partition).map_err(|not_here| not_here.error)?;
    // While its records are read, a group's partition would not learn of it.
    if Coordinator::of(&topic.name) == Some(Coordinator::Groups) && !broker.groups.leads(key.partition) {
        return Err(ErrorCode::COORDINATOR_LOAD_IN_PROGRESS);
    }
    let Marker { producer_id, producer_epoch, is_commit, is_tv2 } = marker;
    let origin = if is_tv2 { Origin::CoordinatorTv2 } else { Origin::Coordinator };
    let bytes = BatchBuilder::marker(broker.wall_ms, producer_id, producer_epoch, is_commit, coordinator_epoch);
    let rules = Rules { origin: Origin::Coordinator, ..broker.replicas.at(place).role.rules };
    let validated =
        batch::validate(&bytes, &rules, broker.wall_ms, &mut broker.scratch).map_err(|error| error.code())?;
    transaction_checks::marker_staged(broker, key, marker);
    let number = broker.transactions.markers.number();
    broker.transactions.markers.writing.insert(number, Writing { asker, key, marker });
    let ticket = replica::Ticket::Marker { number };
    broker.replicas.stage(place, Staged { validated, bytes: Slice::from(bytes), origin, ticket });
    Ok(())
}

/// A marker reached its log, or did not.
pub(crate) fn settled(broker: &mut Broker, number: u64, result: Result<(), ErrorCode>) {
    let Some(Writing { asker, key, marker }) = broker.transactions.markers.writing.remove(&number) else { return };
    transaction_checks::marker_settled(broker, key, marker.producer_id);
    let topic = broker.image.topic_by_id(key.topic_id);
    if result.is_ok() && topic.is_some_and(|topic| Coordinator::of(&topic.name) == Some(Coordinator::Groups)) {
        group_desk::transaction_ended(broker, key.partition, marker.producer_id, marker.is_commit);
    }
    tell(broker, asker, result);
}

fn tell(broker: &mut Broker, asker: Asker, result: Result<(), ErrorCode>) {
    match asker {
        Asker::Here(number) => ended(broker, number, result),
        Asker::Shard(shard, number) => broker.outbox.push(shard, Mail::Marked { number, result }),
        Asker::Request(number, place) => write_txn_markers::settle(broker, number, place, result),
    }
}
