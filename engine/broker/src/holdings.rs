//! What the connections of a shard hold of its memory: answers on their way out, large requests on their way in. Numbers
//! only; who waits is remembered here, and told by the front when there is room again.
//!
//! ```text
//!   answers   each connection may hold OUTPUT_BYTES_MIN, which is its own; beyond that an eighth of what is free of the
//!             common part, OUTPUT_BYTES at most. Who holds that is not read. Nothing is free: nobody is read
//!   requests  beginning (FRAME_FIRST_BYTES at most) --all of it is there--> whole (all that it claims) --> handled
//!             no room: it waits for its turn, and its socket is not read
//! ```
//! A share of what is free, not of what there is: few clients may hold much, and however many stop reading in the middle of
//! their records, something is left for the next. Only answers that are made in memory (metadata) can use up all of it,
//! and then their makers wait. Beginnings and whole frames have a half each: who is let in as a whole waits for
//! nobody but its client, so that the others come in after it, and a claim that is never kept costs a beginning.

use std::collections::VecDeque;

use crate::limits::{Budget, FRAME_FIRST_BYTES, OUTPUT_BYTES, OUTPUT_BYTES_MIN};

/// Of what is free, one in so many is one connection's.
const SHARE_OF_FREE: usize = 8;

/// What one connection holds for its requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Frame {
    /// No large frame.
    #[default]
    None,
    /// The beginning of one.
    Beginning(usize),
    /// All of one, here or not.
    Whole(usize),
}

/// See the head of the file.
#[derive(Debug)]
pub(crate) struct Holdings {
    output_bytes_max: usize,
    /// What connections hold of answers beyond what is their own.
    output_bytes: usize,
    beginnings_max: usize,
    beginnings: usize,
    wholes_max: usize,
    wholes: usize,
    /// Bytes of answers were given back since somebody was let go on.
    answers_released: bool,
    /// Places whose answers wait for room.
    answers_waiting: Vec<u32>,
    /// Places whose frames wait for room, the first first.
    frames_waiting: VecDeque<u32>,
}

impl Holdings {
    pub(crate) fn new(budget: &Budget, request_bytes_max: usize) -> Self {
        let beginnings_min = FRAME_FIRST_BYTES.min(budget.frame_bytes / 2);
        let wholes_max = (budget.frame_bytes / 2).max(request_bytes_max).min(budget.frame_bytes - beginnings_min);
        Self {
            output_bytes_max: budget.output_bytes,
            output_bytes: 0,
            beginnings_max: budget.frame_bytes - wholes_max,
            beginnings: 0,
            wholes_max,
            wholes: 0,
            answers_released: false,
            answers_waiting: Vec::new(),
            frames_waiting: VecDeque::new(),
        }
    }

    // --- answers -----------------------------------------------------------------------------------------------------

    /// How many bytes of answers a connection may hold and still be read. 0: nothing is free.
    pub(crate) fn answer_room(&self) -> usize {
        match self.output_bytes_max.saturating_sub(self.output_bytes) {
            0 => 0,
            _ => self.range_room(),
        }
    }

    /// How many bytes of a range a connection may hold.
    pub(crate) fn range_room(&self) -> usize {
        let free = self.output_bytes_max.saturating_sub(self.output_bytes);
        (free / SHARE_OF_FREE).clamp(OUTPUT_BYTES_MIN, OUTPUT_BYTES)
    }

    /// A connection holds `now` bytes of answers, `before` it was so many.
    pub(crate) fn answers_changed(&mut self, before: usize, now: usize) {
        let common = |bytes: usize| bytes.saturating_sub(OUTPUT_BYTES_MIN);
        self.output_bytes = self.output_bytes - common(before) + common(now);
        self.answers_released |= now < before;
    }

    /// The connection at this place goes on when there is room for answers.
    pub(crate) fn wait_to_answer(&mut self, place: u32) {
        self.answers_waiting.push(place);
    }

    /// Who waited for room for answers, where there is some again. Who finds too little waits again.
    pub(crate) fn take_answers_waiting(&mut self) -> Vec<u32> {
        if self.answer_room() == 0 || !std::mem::take(&mut self.answers_released) {
            return Vec::new();
        }
        std::mem::take(&mut self.answers_waiting)
    }

    // --- requests ----------------------------------------------------------------------------------------------------

    /// Lets a frame of `frame_len` bytes begin, or its beginning become the whole. False: there is no room.
    pub(crate) fn admit(&mut self, frame: &mut Frame, frame_len: usize) -> bool {
        let (pool, pool_max, wanted) = match frame {
            Frame::None => (&mut self.beginnings, self.beginnings_max, frame_len.min(FRAME_FIRST_BYTES)),
            Frame::Beginning(_) => (&mut self.wholes, self.wholes_max, frame_len),
            Frame::Whole(_) => return true,
        };
        if *pool + wanted > pool_max {
            return false;
        }
        *pool += wanted;
        let next = if *frame == Frame::None { Frame::Beginning(wanted) } else { Frame::Whole(wanted) };
        self.release(std::mem::replace(frame, next));
        true
    }

    /// A frame was handled, or is given up.
    pub(crate) fn release(&mut self, frame: Frame) {
        match frame {
            Frame::None => {}
            Frame::Beginning(bytes) => self.beginnings -= bytes,
            Frame::Whole(bytes) => self.wholes -= bytes,
        }
    }

    /// The frame at this place goes on when there is room for it.
    pub(crate) fn wait_to_receive(&mut self, place: u32) {
        self.frames_waiting.push_back(place);
    }

    /// Who waits for room for a frame, in order. Who finds none waits again.
    pub(crate) fn take_frames_waiting(&mut self) -> VecDeque<u32> {
        std::mem::take(&mut self.frames_waiting)
    }

    /// What is held: of answers beyond each connection's own, of requests.
    #[cfg(test)]
    pub(crate) fn bytes(&self) -> (usize, usize) {
        (self.output_bytes, self.beginnings + self.wholes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;

    const MIB: usize = 1 << 20;

    fn holdings(output_mib: usize, frames_mib: usize, request_mib: usize) -> Holdings {
        let budget = Budget {
            output_bytes: output_mib * MIB,
            frame_bytes: frames_mib * MIB,
            ..Budget::ample(&Settings::of(&[]))
        };
        Holdings::new(&budget, request_mib * MIB)
    }

    #[test]
    fn few_hold_much_and_many_never_hold_everything() {
        let mut holdings = holdings(64, 200, 100);
        assert_eq!(holdings.answer_room(), OUTPUT_BYTES);
        let mut held = Vec::new();
        for _ in 0..1000 {
            held.push(holdings.range_room());
            holdings.answers_changed(0, holdings.range_room());
        }
        assert!(held.is_sorted_by(|one, next| one >= next), "each finds less");
        assert!(holdings.bytes().0 < 64 * MIB && holdings.answer_room() == OUTPUT_BYTES_MIN, "{:?}", holdings.bytes());
        // An answer that is made in memory is as large as it is.
        holdings.answers_changed(0, 10 * MIB);
        assert_eq!((holdings.answer_room(), holdings.range_room()), (0, OUTPUT_BYTES_MIN));
        holdings.wait_to_answer(7);
        assert_eq!(holdings.take_answers_waiting(), []);
        holdings.answers_changed(10 * MIB, 0);
        assert_eq!(holdings.take_answers_waiting(), [7]);
        assert_eq!(holdings.take_answers_waiting(), []);
    }

    #[test]
    fn a_frame_begins_small_and_is_let_in_as_a_whole() {
        let mut holdings = holdings(64, 200, 100);
        let (mut first, mut second) = (Frame::None, Frame::None);
        assert!(holdings.admit(&mut first, 90 * MIB) && holdings.admit(&mut second, 90 * MIB));
        assert_eq!((first, holdings.bytes().1), (Frame::Beginning(FRAME_FIRST_BYTES), 2 * FRAME_FIRST_BYTES));
        assert!(holdings.admit(&mut first, 90 * MIB));
        assert_eq!(first, Frame::Whole(90 * MIB));
        assert!(!holdings.admit(&mut second, 90 * MIB), "two do not fit");
        assert_eq!(second, Frame::Beginning(FRAME_FIRST_BYTES), "it keeps what it has");
        holdings.release(first);
        assert!(holdings.admit(&mut second, 90 * MIB));
        holdings.release(second);
        assert_eq!(holdings.bytes(), (0, 0));
    }

    #[test]
    fn the_largest_request_fits_however_many_began() {
        for (frames_mib, request_mib) in [(102, 100), (200, 100), (1000, 1), (3, 1)] {
            let mut holdings = holdings(64, frames_mib, request_mib);
            let mut frames = Vec::new();
            loop {
                let mut frame = Frame::None;
                if !holdings.admit(&mut frame, request_mib * MIB) {
                    break;
                }
                frames.push(frame);
            }
            assert!(!frames.is_empty());
            for mut frame in frames {
                assert!(holdings.admit(&mut frame, request_mib * MIB), "one after the other, each comes in");
                holdings.release(frame);
            }
            assert_eq!(holdings.bytes(), (0, 0));
        }
    }
}
