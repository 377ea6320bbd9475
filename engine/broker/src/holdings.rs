//! What the connections of a shard hold of its memory: answers on their way out, large requests on their way in. Numbers
//! only; who waits is remembered here, and told by the front when there is room again.
//!
//! ```text
//!   answers   each connection may hold OUTPUT_BYTES_MIN, which is its own; beyond that an eighth of what is free of the
//!             common part, OUTPUT_BYTES at most. Who holds that is not read. Nothing is free: who holds nothing is read for
//!             as long as the reserve lasts, a quarter of it all; who reads gives back what it took of that
//!   requests  beginning (FRAME_FIRST_BYTES at most) --all of it is there--> whole (all that it claims) --> handled
//!             no room: it waits for its turn, and its socket is not read
//! ```
//! A share of what is free, not of what there is: few clients may hold much, and however many stop reading in the middle of
//! their records, something is left for the next. Only answers that are made in memory (metadata) can use up all of it:
//! then those that stopped reading are closed (`front/patience.rs`), and the reserve serves the others until they are. Beginnings and whole frames have a half each: who is let in as a whole waits for
//! nobody but its client, so that the others come in after it, and a claim that is never kept costs a beginning.

use std::collections::VecDeque;

use crate::limits::{Budget, FRAME_FIRST_BYTES, OUTPUT_BYTES, OUTPUT_BYTES_MIN};

/// Of what is free, one in so many is one connection's.
const SHARE_OF_FREE: usize = 8;
/// Of what there is for answers, one in so many is the reserve.
const SHARE_OF_RESERVE: usize = 4;

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

    /// How many bytes of answers a connection that holds `held` of them may hold and still be read. 0: there is no room.
    pub(crate) fn answer_room(&self, held: usize) -> usize {
        match self.free() {
            0 if held > 0 || self.output_bytes >= self.output_bytes_max => 0,
            _ => self.range_room(),
        }
    }

    /// How many bytes of a range a connection may hold.
    pub(crate) fn range_room(&self) -> usize {
        (self.free() / SHARE_OF_FREE).clamp(OUTPUT_BYTES_MIN, OUTPUT_BYTES)
    }

    /// What is free of the common part, which is all but the reserve.
    fn free(&self) -> usize {
        self.common_max().saturating_sub(self.output_bytes)
    }

    fn common_max(&self) -> usize {
        self.output_bytes_max - self.output_bytes_max / SHARE_OF_RESERVE
    }

    /// Whether somebody waits for answers to leave.
    pub(crate) fn awaits_room(&self) -> bool {
        !self.answers_waiting.is_empty()
    }

    /// Whether somebody waits for room, and nothing is free.
    pub(crate) fn is_short(&self) -> bool {
        self.free() == 0 && !self.answers_waiting.is_empty()
    }

    /// Whether less than half of the common part is free.
    pub(crate) fn lacks_room(&self) -> bool {
        self.free() < self.common_max() / 2
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
        if self.answer_room(0) == 0 || !std::mem::take(&mut self.answers_released) {
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
        let mut holdings = holdings(128, 200, 100);
        assert_eq!(holdings.answer_room(0), OUTPUT_BYTES);
        let mut held = Vec::new();
        for _ in 0..1000 {
            held.push(holdings.range_room());
            holdings.answers_changed(0, holdings.range_room());
        }
        assert!(held.is_sorted_by(|one, next| one >= next), "each finds less");
        assert!(holdings.bytes().0 < 96 * MIB && holdings.answer_room(1) == OUTPUT_BYTES_MIN, "{:?}", holdings.bytes());
    }

    #[test]
    fn the_reserve_serves_who_holds_nothing_while_it_lasts() {
        let mut holdings = holdings(64, 200, 100);
        // An answer that is made in memory is as large as it is.
        holdings.answers_changed(0, 50 * MIB);
        assert_eq!((holdings.answer_room(1), holdings.answer_room(0)), (0, OUTPUT_BYTES_MIN));
        assert!(!holdings.is_short(), "nobody waits");
        holdings.wait_to_answer(7);
        assert!(holdings.is_short() && holdings.lacks_room());
        holdings.answers_changed(0, 15 * MIB);
        assert_eq!((holdings.answer_room(0), holdings.range_room()), (0, OUTPUT_BYTES_MIN));
        assert!(holdings.take_answers_waiting().is_empty());
        holdings.answers_changed(50 * MIB, 0);
        assert!(!holdings.lacks_room());
        assert_eq!(holdings.take_answers_waiting(), [7]);
        assert!(holdings.take_answers_waiting().is_empty());
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
