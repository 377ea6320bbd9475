//! What holds of a shard after each turn, and when nobody has asked anything for a while.

use super::Violation;
use crate::limits::{self, Budget};
use crate::vitals::{Held, ReplicaVitals, Vitals};

/// What answers may take beyond their budget: one that is made in memory is as large as it is, and its maker waits afterwards.
const OUTPUT_OVER_BYTES: usize = 64 << 10;
/// What batches that are compressed anew may take beyond their part: the last request that was let in, and a batch that came
/// uncompressed and is larger than jobs may make.
const RECOMPRESS_OVER_BYTES: usize = 3 << 20;

/// What logs may have unwritten beyond the budget: what was taken in and is written later, behind a roll above all (as many
/// requests of each connection as may be in flight), and coordinators' records.
const DIRTY_OVER_BYTES: u64 = 2 << 20;

/// After each turn: nothing is staged, the offsets are in order, no queue is over its limit, no part of memory over its budget.
pub(super) fn after_turn(vitals: &Vitals, budget: &Budget) -> Result<(), Violation> {
    if let Some(words) = &vitals.replicas.disordered {
        return Err(Violation(format!("offsets out of order: {words}")));
    }
    if vitals.unwritten > budget.dirty_bytes + DIRTY_OVER_BYTES {
        let (unwritten, limit) = (vitals.unwritten, budget.dirty_bytes);
        return Err(Violation(format!("{unwritten} bytes that the disk lacks after a turn, the budget is {limit}")));
    }
    let queues = [
        ("batches staged", vitals.replicas.staged, 0),
        ("fetches waiting", vitals.fetches, limits::WAITING_FETCHES),
        ("tasks running", vitals.tasks_running, limits::TASKS_RUNNING),
        ("calls to the controller", vitals.calls, limits::CONTROLLER_CALLS),
        ("connections", vitals.connections, limits::CONNECTIONS),
        ("bytes of fetch sessions", vitals.held.sessions, budget.session_bytes),
        ("bytes of waiting fetches", vitals.held.waiting, budget.waiting_bytes),
        ("bytes of frames", vitals.held.frames, budget.frame_bytes),
        ("bytes of batches compressed anew", vitals.held.recompressed, budget.inflate_bytes + RECOMPRESS_OVER_BYTES),
        ("bytes of answers", vitals.held.output, budget.output_bytes + OUTPUT_OVER_BYTES),
    ];
    for (what, len, limit) in queues {
        if len > limit {
            return Err(Violation(format!("{len} {what} after a turn, the limit is {limit}")));
        }
    }
    Ok(())
}

/// When every client is gone: nothing is under way, and nothing is kept of what was but fetch sessions, for who comes back.
pub(super) fn when_quiet(vitals: &Vitals) -> Result<(), Violation> {
    let held = Held { sessions: vitals.held.sessions, ..Held::default() };
    // Little that is not old yet stays unwritten.
    let quiet = Vitals { held, unwritten: vitals.unwritten, replicas: ReplicaVitals::default(), ..Vitals::default() };
    if *vitals == quiet { Ok(()) } else { Err(Violation(format!("nobody is there, and this is left: {vitals:?}"))) }
}
