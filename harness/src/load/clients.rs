//! N clients on N threads, and the main thread that hears of them.
//!
//! ```text
//!   client 0 ---.
//!   client 1 ---+-- Event::Second, Event::Done --> main: merges, shows progress, looks for a signal
//!   client 2 ---'
//! ```
//!
//! - Client 0 is put on the last core that this process may use, client 1 on the one before, and so on, round again when
//!   there are more clients than cores: brokers that pin their threads begin with the first core.
//! - After a signal, or when one client failed, the others are waited for no longer than [`GRACE`]: a client may sit in a
//!   send that waits for a broker that is gone. What it counted is shared, so that the summary has it all the same.

use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::Duration;

use ringlog_io::{Clock as _, SystemClock, threads};

use super::signals::Stop;
use crate::cli::PerfError;

/// How long a client that was told to stop may take to close.
pub(crate) const GRACE: Duration = Duration::from_secs(4);
/// How often the main thread looks for a signal.
const LOOK: Duration = Duration::from_millis(100);
/// More clients than this are a mistake.
pub(crate) const CLIENTS_MAX: usize = 1024;

/// What a client tells the main thread.
pub(crate) enum Event<S, T> {
    /// A second of its series is complete.
    Second(S),
    /// Client of this number has ended.
    Done(usize, Result<T, PerfError>),
}

/// The core of each client; `None` leaves the threads where the system puts them.
pub(crate) fn seats(count: usize, pinned: bool) -> Vec<Option<usize>> {
    let mut cores = if pinned { threads::cores() } else { Vec::new() };
    cores.reverse();
    (0..count).map(|client| cores.get(client % cores.len().max(1)).copied()).collect()
}

/// Runs `client(number, seconds)` on a thread for each seat. Gives what each made, in their order: `None` where it was
/// not waited for any longer. `on_second` takes the seconds of their series; it is called with `None` when nothing came
/// for a while.
pub(crate) fn run<S: Send + 'static, T: Send + 'static>(
    seats: &[Option<usize>],
    stop: &Stop,
    client: impl Fn(usize, Sender<Event<S, T>>) -> Result<T, PerfError> + Clone + Send + 'static,
    on_second: &mut dyn FnMut(Option<S>) -> Result<(), PerfError>,
) -> Result<Vec<Option<T>>, PerfError> {
    let (sender, receiver) = mpsc::channel();
    for (number, seat) in seats.iter().copied().enumerate() {
        let (client, events) = (client.clone(), sender.clone());
        std::thread::Builder::new().name(format!("client-{number}")).spawn(move || {
            let result = pin(seat).and_then(|()| client(number, events.clone()));
            // Nobody hears it only where the main thread has already ended the run.
            let _ = events.send(Event::Done(number, result));
        })?;
    }
    drop(sender);
    let mut made: Vec<Option<T>> = seats.iter().map(|_| None).collect();
    let (mut running, mut first_error, mut patience) = (seats.len(), None, Patience::default());
    while running > 0 {
        match receiver.recv_timeout(LOOK) {
            Ok(Event::Second(second)) => on_second(Some(second))?,
            Ok(Event::Done(number, result)) => {
                running -= 1;
                match result {
                    Ok(result) => made[number] = Some(result),
                    Err(error) => {
                        stop.request();
                        first_error.get_or_insert(error);
                    }
                }
            }
            Err(RecvTimeoutError::Timeout) => on_second(None)?,
            Err(RecvTimeoutError::Disconnected) => {
                return Err(PerfError::Text("a client's thread panicked: see above".into()));
            }
        }
        if patience.is_over(stop) {
            break;
        }
    }
    first_error.map_or(Ok(made), Err)
}

fn pin(seat: Option<usize>) -> Result<(), PerfError> {
    seat.map_or(Ok(()), |core| Ok(threads::pin_to_core(core)?))
}

/// How long it is since the run was told to stop.
#[derive(Default)]
struct Patience {
    since_ns: Option<u64>,
}

impl Patience {
    fn is_over(&mut self, stop: &Stop) -> bool {
        if !stop.requested() {
            return false;
        }
        let now_ns = SystemClock::new().read().0;
        let since_ns = *self.since_ns.get_or_insert(now_ns);
        u128::from(now_ns.saturating_sub(since_ns)) > GRACE.as_nanos()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_take_the_cores_from_the_last_one_on() {
        let mut cores = threads::cores();
        cores.reverse();
        let seats = seats(cores.len() + 1, true);
        assert_eq!(seats[0], cores.first().copied());
        assert_eq!(seats[cores.len()], cores.first().copied(), "round again");
        assert_eq!(super::seats(2, false), [None, None]);
    }

    #[test]
    fn what_the_clients_made_comes_in_their_order_and_seconds_are_passed_on() {
        let mut seen = Vec::new();
        let client = |number: usize, events: Sender<Event<usize, usize>>| {
            events.send(Event::Second(number)).map_err(|error| PerfError::Text(error.to_string()))?;
            Ok(number * 10)
        };
        let made = run(&[None, None, None], &Stop::default(), client, &mut |second| {
            seen.extend(second);
            Ok(())
        });
        assert_eq!(made.unwrap(), [Some(0), Some(10), Some(20)]);
        seen.sort_unstable();
        assert_eq!(seen, [0, 1, 2]);
    }

    #[test]
    fn a_client_that_fails_stops_the_others() {
        let stop = Stop::default();
        let told = stop.clone();
        let client = move |number: usize, _: Sender<Event<(), ()>>| {
            if number == 1 {
                return Err(PerfError::Text("broken".into()));
            }
            while !told.requested() {
                std::thread::yield_now();
            }
            Ok(())
        };
        let error = run(&[None, None], &stop, client, &mut |_| Ok(())).unwrap_err();
        assert_eq!(error.to_string(), "broken");
    }
}
