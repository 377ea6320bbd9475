//! Who waits for the controller: calls that this shard posted, each answered once.

use std::collections::BTreeMap;

use ringlog_wire::ErrorCode;

use crate::broker::{Broker, Caller};
use crate::limits;
use crate::mail::{Address, Mail};
use crate::metadata::controller::{Outcome as Decided, Refusal};

/// See the head of the file.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    callers: BTreeMap<u64, Caller>,
    next: u64,
}

impl Calls {
    /// Posts what handlers want of the controller, within the limit of calls that wait for an answer. A call over it
    /// fails at once.
    pub(crate) fn post(&mut self, broker: &mut Broker, controller: &Address) {
        for (caller, call) in std::mem::take(&mut broker.calls) {
            if self.callers.len() >= limits::CONTROLLER_CALLS {
                let busy = "Too many calls of this shard wait for the controller: try again.";
                broker.decided(caller, Decided::Failed(Refusal::new(ErrorCode::REQUEST_TIMED_OUT, busy)));
                continue;
            }
            let call_id = self.next;
            self.next += 1;
            self.callers.insert(call_id, caller);
            controller.send(Mail::Call { from: broker.shard, call_id, call });
        }
    }

    /// The controller answered.
    pub(crate) fn answered(&mut self, broker: &mut Broker, call_id: u64, decided: Decided) {
        if let Some(caller) = self.callers.remove(&call_id) {
            broker.decided(caller, decided);
        }
    }
}
