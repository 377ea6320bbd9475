//! The watchdog: a thread that looks every [`LOOK`] whether a shard's thread waits for a disk (state D of proc(5)). It should
//! not: what waits there goes out as a job, and all clients of the shard wait meanwhile.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use ringlog_io::threads::ThreadState;

use super::board::Board;
use super::meter::Meter;

const LOOK: Duration = Duration::from_millis(10);
/// Looks in a row that find a thread so from which on it is told, once.
const TOLD_LOOKS: u32 = 10;

/// Watches until the process ends.
pub(crate) fn start(board: &Arc<Board>) -> Result<(), String> {
    let board = Arc::clone(board);
    let watched = thread::Builder::new().name("watchdog".to_owned()).spawn(move || watch(&board));
    watched.map(drop).map_err(|error| format!("a thread could not be started: {error}"))
}

fn watch(board: &Board) {
    let mut in_a_row = vec![0; board.meters().len()];
    loop {
        thread::sleep(LOOK);
        for (shard, (meter, looks)) in board.meters().iter().zip(&mut in_a_row).enumerate() {
            look(shard, meter, looks);
        }
    }
}

fn look(shard: usize, meter: &Meter, looks: &mut u32) {
    let Some(thread) = meter.thread() else { return };
    if thread.state() != Some(ThreadState::Blocked) {
        *looks = 0;
        return;
    }
    meter.blocked_ns.add(LOOK.as_nanos() as u64);
    *looks += 1;
    if *looks == TOLD_LOOKS {
        let place = thread.waits_in().unwrap_or_default();
        tracing::warn!(shard, place, "a shard's thread waits for a disk");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_runs_is_not_blocked_and_one_that_is_unknown_is_not_counted() {
        let meter = Meter::default();
        let mut looks = 0;
        look(0, &meter, &mut looks);
        meter.begin();
        look(0, &meter, &mut looks);
        assert_eq!((meter.blocked_ns.get(), looks), (0, 0));
    }
}
