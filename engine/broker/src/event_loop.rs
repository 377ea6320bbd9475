//! The loop around a shard, the one owner of its driver: wait, turn, submit.

use std::io;
use std::time::Duration;

use ringlog_io::{Driver, Listener, Nanos, SocketOptions};

use crate::shard::Shard;
use crate::submission::Came;
use crate::tokens;

/// Turns between two waits while submissions are answered at once (long ranges that go out by reference): so many that
/// a wait costs little beside them, so few that who else has something to say is heard soon.
const TURNS_PER_WAIT: usize = 4;

/// See the head of the file.
pub(crate) struct EventLoop {
    driver: Box<dyn Driver>,
    listener: Listener,
    pub(crate) shard: Shard,
    came: Came,
    /// The clock when the last step ended: the one reading that its figures and the next wait go by.
    ended: Nanos,
}

impl EventLoop {
    /// Begins to accept.
    pub(crate) fn new(mut driver: Box<dyn Driver>, listener: Listener, options: SocketOptions, shard: Shard) -> Self {
        driver.accept(listener, options, tokens::ACCEPT);
        let ended = driver.read();
        Self { driver, listener, shard, came: Came::default(), ended }
    }

    /// Serves until the shard is told to stop. Where the driver fails, the others are told to stop too: a shard that is gone
    /// leaves its partitions without a leader.
    pub(crate) fn run(&mut self) -> io::Result<()> {
        loop {
            match self.step() {
                Ok(true) => {}
                Ok(false) => return Ok(()),
                Err(error) => {
                    tracing::error!(%error, "the event loop cannot go on: the broker stops");
                    self.shard.stop_all();
                    return Err(error);
                }
            }
        }
    }

    /// Waits for what comes, and does what follows from it. False: the shard stopped, and took its leave of its clients.
    pub(crate) fn step(&mut self) -> io::Result<bool> {
        self.driver.wait(self.patience(), &mut self.came.events)?;
        self.shard.step_begins(self.driver.now());
        for _ in 0..TURNS_PER_WAIT {
            self.turn();
            if !self.is_due() {
                break;
            }
        }
        self.ended = self.driver.read();
        self.shard.step_ended(self.ended, self.driver.counters());
        #[cfg(feature = "plant")]
        ringlog_io::plant::pay(self.driver.counters().received_bytes);
        if self.shard.is_stopping() {
            self.driver.close_listener(self.listener);
            self.shard.close_clients();
            self.submit();
        }
        Ok(!self.shard.is_stopping())
    }

    /// Lets go of the driver, and waits for the jobs that are under way: what follows writes the same files.
    pub(crate) fn into_shard(self) -> Shard {
        drop(self.driver);
        self.shard
    }

    /// When a step is due, whatever comes.
    pub(crate) fn next_deadline(&self) -> Option<Nanos> {
        if self.is_due() { Some(self.driver.now()) } else { self.shard.next_deadline() }
    }

    fn is_due(&self) -> bool {
        self.shard.awaits(&self.came)
    }

    /// How long there is nothing to do unless something comes.
    fn patience(&self) -> Option<Duration> {
        let first = self.next_deadline()?;
        Some(Duration::from_nanos(first.0.saturating_sub(self.ended.0)))
    }

    fn turn(&mut self) {
        self.shard.turn(self.driver.now(), self.driver.wall_ms(), &mut self.came);
        self.submit();
    }

    fn submit(&mut self) {
        for submission in self.shard.submissions().drain(..) {
            submission.submit(self.driver.as_mut(), &mut self.came);
        }
    }
}
