//! What holds of a shard after each turn, and when nobody has asked anything for a while.

use super::Violation;
use crate::limits;
use crate::vitals::{ReplicaVitals, Vitals};

/// After each turn: nothing is staged, the offsets are in order, no queue is over its limit.
pub(super) fn after_turn(vitals: &Vitals) -> Result<(), Violation> {
    if let Some(words) = &vitals.replicas.disordered {
        return Err(Violation(format!("offsets out of order: {words}")));
    }
    let queues = [
        ("batches staged", vitals.replicas.staged, 0),
        ("fetches waiting", vitals.fetches, limits::WAITING_FETCHES),
        ("calls to the controller", vitals.calls, limits::CONTROLLER_CALLS),
        ("connections", vitals.connections, limits::CONNECTIONS),
    ];
    for (what, len, limit) in queues {
        if len > limit {
            return Err(Violation(format!("{len} {what} after a turn, the limit is {limit}")));
        }
    }
    Ok(())
}

/// When every client is gone: nothing is under way, and nothing is kept of what was.
pub(super) fn when_quiet(vitals: &Vitals) -> Result<(), Violation> {
    let quiet = Vitals { replicas: ReplicaVitals::default(), ..Vitals::default() };
    if *vitals == quiet { Ok(()) } else { Err(Violation(format!("nobody is there, and this is left: {vitals:?}"))) }
}
