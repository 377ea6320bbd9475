//! What one connection may have of a turn: so many requests, and answers of so many bytes in memory. What it asks beyond
//! that waits for the next turn, which comes without a wait: so connections go round, however much each has asked for.

use crate::limits;

/// What a connection had of the turn in which it was looked at last.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Share {
    turn: u64,
    requests: usize,
    answer_bytes: usize,
}

impl Share {
    /// Whether something of it is left in this turn.
    pub(super) fn is_left(&self, turn: u64) -> bool {
        self.turn != turn || (self.requests < limits::TURN_REQUESTS && self.answer_bytes < limits::TURN_ANSWER_BYTES)
    }

    /// A request is handled.
    pub(super) fn asked(&mut self, turn: u64) {
        self.of(turn).requests += 1;
    }

    /// An answer was made, with so many bytes in memory.
    pub(super) fn made(&mut self, turn: u64, answer_bytes: usize) {
        self.of(turn).answer_bytes += answer_bytes;
    }

    fn of(&mut self, turn: u64) -> &mut Self {
        if self.turn != turn {
            *self = Self { turn, ..Self::default() };
        }
        self
    }
}
