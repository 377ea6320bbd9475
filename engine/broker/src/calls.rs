//! Who waits for the controller: calls that this shard posted, each answered once.

use std::collections::BTreeMap;

use ringlog_wire::ErrorCode;

use crate::broker::{Broker, Caller};
use crate::limits;
use crate::mail::{Bus, Mail};
use crate::metadata::controller::{Call, Decided, Refusal};
use crate::metadata::image::ShardId;

/// The shard that the controller is on.
pub(crate) const CONTROLLER: ShardId = ShardId(0);

/// See the head of the file.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    callers: BTreeMap<u64, Caller>,
    next: u64,
}

impl Calls {
    /// Posts what handlers want of the controller. One that finds no room on the bus stays where it is, with those behind
    /// it; one over the limit of those that wait, here or there, fails at once.
    pub(crate) fn post(&mut self, broker: &mut Broker, bus: &Bus) {
        for (caller, call) in std::mem::take(&mut broker.calls) {
            if self.callers.len() + broker.calls.len() >= limits::CONTROLLER_CALLS {
                let busy = "Too many calls of this shard wait for the controller: try again.";
                broker.decided(caller, Decided::Failed(Refusal::new(ErrorCode::REQUEST_TIMED_OUT, busy)));
            } else if broker.calls.is_empty() {
                self.post_one(broker, bus, caller, call);
            } else {
                broker.calls.push((caller, call));
            }
        }
    }

    fn post_one(&mut self, broker: &mut Broker, bus: &Bus, caller: Caller, call: Call) {
        let call_id = self.next;
        match bus.send(CONTROLLER, Mail::Call { call_id, call }) {
            Err(Mail::Call { call, .. }) => broker.calls.push((caller, call)),
            Ok(()) | Err(_) => {
                self.next += 1;
                self.callers.insert(call_id, caller);
            }
        }
    }

    /// How many wait for an answer.
    pub(crate) fn len(&self) -> usize {
        self.callers.len()
    }

    /// The controller answered.
    pub(crate) fn answered(&mut self, broker: &mut Broker, call_id: u64, decided: Decided) {
        #[cfg(feature = "plant")]
        if ringlog_io::plant::is(ringlog_io::plant::QUEUE_UNBOUNDED) {
            self.next += 1;
            self.callers.insert(self.next, Caller::Nobody);
            self.next += 1;
        }
        if let Some(caller) = self.callers.remove(&call_id) {
            broker.decided(caller, decided);
        }
    }
}
