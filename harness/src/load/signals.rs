//! Ctrl-C and its kin for the perf tools: the run ends as if its records were used up, with its lines and files.
//!
//! ```text
//!   SIGHUP, SIGINT, SIGTERM  --> thread "signals" --> flag --> the clients' loops end --> summary, files
//!                    a second one --> the process ends at once
//! ```
//!
//! timeout(1) and terminals signal the process and its group: what comes within `SAME` of the first is the first.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::time::Duration;

use ringlog_io::driver::{self, Choice, DriverOptions, Event};

const SIGNALS: [i32; 3] = [1, 2, 15];
/// Signals this close to each other are one.
const SAME: Duration = Duration::from_millis(300);

/// Whether the run is to end, and because of which signal.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<State>);

#[derive(Debug, Default)]
struct State {
    stop: AtomicBool,
    signal: AtomicI32,
    /// What this is a part of: it ends with it.
    whole: Option<Stop>,
}

impl Stop {
    /// Blocks the signals for this thread and all it starts afterwards, and watches for them on a thread of its own.
    /// Call it before the first thread is started.
    pub(crate) fn watch() -> io::Result<Self> {
        driver::block_signals(&SIGNALS)?;
        let stop = Self::default();
        let watched = stop.clone();
        std::thread::Builder::new().name("signals".to_owned()).spawn(move || watched.wait())?;
        Ok(stop)
    }

    fn wait(&self) -> io::Result<()> {
        let options = DriverOptions { choice: Choice::Epoll, receive_buffers: 1, ..DriverOptions::default() };
        let mut driver = driver::open(options)?;
        driver.signals(&SIGNALS)?;
        let (mut events, mut first_ns) = (Vec::new(), None);
        loop {
            driver.wait(None, &mut events)?;
            let now_ns = driver.read().0;
            for event in events.drain(..) {
                if let Event::Signal(signal) = event {
                    let since_ns = now_ns - *first_ns.get_or_insert(now_ns);
                    if self.take(signal, Duration::from_nanos(since_ns)) {
                        std::process::exit(128 + signal);
                    }
                }
            }
        }
    }

    /// Takes a signal that came so long after the first one. True where it asks to end at once.
    fn take(&self, signal: i32, since_first: Duration) -> bool {
        let is_first = self.0.signal.compare_exchange(0, signal, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        self.request();
        !is_first && since_first > SAME
    }

    /// For a part of the run, which ends with it: where a client of the part cannot go on, the rest of the run does.
    pub(crate) fn part(&self) -> Self {
        Self(Arc::new(State { whole: Some(self.clone()), ..State::default() }))
    }

    /// Ends the run, or the part of it, without a signal: one of its clients cannot go on.
    pub(crate) fn request(&self) {
        self.0.stop.store(true, Ordering::Relaxed);
    }

    /// Whether the run is to end. Cheap enough for every record.
    #[inline]
    pub(crate) fn requested(&self) -> bool {
        self.0.stop.load(Ordering::Relaxed) || self.0.whole.as_ref().is_some_and(Self::requested)
    }

    /// The exit code of a process that a signal ended, as the JVM's: 128 and the signal's number.
    pub(crate) fn exit_code(&self) -> Option<u8> {
        let signal = self.0.signal.load(Ordering::Relaxed);
        u8::try_from(128 + signal).ok().filter(|_| signal != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_ends_with_the_run_and_the_run_goes_on_without_it() {
        let run = Stop::default();
        let (failed, next) = (run.part(), run.part());
        failed.request();
        assert!(failed.requested() && !run.requested() && !next.requested());
        run.request();
        assert!(next.requested());
    }

    #[test]
    fn the_exit_code_is_the_jvm_s_and_there_is_none_without_a_signal() {
        let stop = Stop::default();
        assert_eq!((stop.requested(), stop.exit_code()), (false, None));
        stop.request();
        assert_eq!((stop.requested(), stop.exit_code()), (true, None), "a client that failed is no signal");
        let [interrupted, terminated] = [2, 15].map(|signal| {
            let stop = Stop::default();
            assert!(!stop.take(signal, Duration::ZERO));
            stop.exit_code()
        });
        assert_eq!((interrupted, terminated), (Some(130), Some(143)));
    }

    #[test]
    fn only_a_second_signal_that_comes_later_ends_the_process_at_once() {
        let stop = Stop::default();
        assert!(!stop.take(2, Duration::ZERO));
        assert!(!stop.take(2, Duration::from_millis(1)), "timeout(1) sends it twice");
        assert!(stop.take(15, Duration::from_secs(1)));
        assert_eq!(stop.exit_code(), Some(130), "the first one counts");
    }
}
