//! The watchdog: a thread that looks every [`LOOK`] whether a shard's thread waits for a disk (state D of proc(5)). It should
//! not: what waits there goes out as a job, and all clients of the shard wait meanwhile. One that was found asleep between two
//! steps is not looked at again before its next step: a broker that nobody asks for anything costs next to nothing.

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

/// What the looks at a shard found.
#[derive(Debug, Default)]
struct Watched {
    /// Looks in a row that found it blocked.
    looks: u32,
    /// It slept after so many steps, with none under way.
    asleep_after: Option<u64>,
}

fn watch(board: &Board) {
    let mut watched: Vec<Watched> = board.meters().iter().map(|_| Watched::default()).collect();
    loop {
        thread::sleep(LOOK);
        for (shard, (meter, watched)) in board.meters().iter().zip(&mut watched).enumerate() {
            watched.look(shard, meter);
        }
    }
}

impl Watched {
    fn look(&mut self, shard: usize, meter: &Meter) {
        let Some(thread) = meter.thread() else { return };
        let rests_after = (meter.busy_since.get() == 0).then(|| meter.steps.get());
        if rests_after.is_some() && rests_after == self.asleep_after {
            return;
        }
        let state = thread.state();
        self.asleep_after = rests_after.filter(|_| state == Some(ThreadState::Asleep));
        if state != Some(ThreadState::Blocked) {
            self.looks = 0;
            return;
        }
        meter.blocked_ns.add(LOOK.as_nanos() as u64);
        self.looks += 1;
        if self.looks == TOLD_LOOKS {
            let place = thread.waits_in().unwrap_or_default();
            tracing::warn!(shard, place, "a shard's thread waits for a disk");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn a_thread_that_runs_is_not_blocked_and_one_that_is_unknown_is_not_counted() {
        let meter = Meter::default();
        let mut watched = Watched::default();
        watched.look(0, &meter);
        meter.begin();
        watched.look(0, &meter);
        assert_eq!((meter.blocked_ns.get(), watched.looks), (0, 0));
    }

    #[test]
    fn a_thread_that_sleeps_between_steps_is_left_alone_until_its_next_step() {
        let meter = Arc::new(Meter::default());
        let (end, wait) = channel::<()>();
        let sleeper = Arc::clone(&meter);
        let shard = thread::spawn(move || {
            sleeper.begin();
            wait.recv()
        });
        let mut watched = Watched::default();
        while watched.asleep_after.is_none() {
            thread::yield_now();
            watched.look(0, &meter);
        }
        assert_eq!(watched.asleep_after, Some(0));
        drop(end);
        assert!(shard.join().expect("thread").is_err());
        watched.look(0, &meter);
        assert_eq!(watched.asleep_after, Some(0), "it is not asked");
        meter.busy_since.set(1);
        watched.look(0, &meter);
        assert_eq!(watched.asleep_after, None, "a step is under way: it is asked, and is gone");
    }
}
