//! Ctrl-C and its kin: the run is told to stop, so that brokers are killed and folders removed on the way out.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ringlog_io::driver::{self, Choice, DriverOptions, Event};

/// SIGHUP, SIGINT, SIGTERM.
const SIGNALS: [i32; 3] = [1, 2, 15];

/// Blocks the signals for this thread and all it starts, and watches for them on a thread of its own. The first one sets
/// the flag; the second one ends the process at once.
pub(crate) fn watch() -> io::Result<Arc<AtomicBool>> {
    driver::block_signals(&SIGNALS)?;
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || wait(&flag))?;
    Ok(stop)
}

fn wait(stop: &AtomicBool) -> io::Result<()> {
    let options = DriverOptions { choice: Choice::Epoll, receive_buffers: 1, ..DriverOptions::default() };
    let mut driver = driver::open(options)?;
    driver.signals(&SIGNALS)?;
    let mut events = Vec::new();
    loop {
        driver.wait(None, &mut events)?;
        for event in events.drain(..) {
            if matches!(event, Event::Signal(_)) && stop.swap(true, Ordering::Relaxed) {
                std::process::exit(130);
            }
        }
    }
}
