//! `--record-size`: letters 'A' + `nextInt(26)`, 64 at a time, byte for byte Java's.
//!
//! ```text
//!   counter --numbers31--> 64 numbers u of 31 bits, side by side in SIMD lanes
//!                            letter = u - 26 (u * MAGIC >> SHIFT)           multiply instead of modulo
//!                            any u >= REJECTED?  (one block in 1.4 million)  then one after the other, as Java does
//! ```
//!
//! A rejected number moves all that follow by one place, so a block with one is drawn again, singly.

use pulp::{Arch, NullaryFnOnce};

use crate::client::random::{SplittableRandom, numbers31};

/// Numbers that are computed side by side.
const BLOCK: usize = 64;
const LETTERS: u32 = 26;
/// `nextInt(26)` throws away the numbers of 31 bits from here on, so that all letters are equally likely.
const REJECTED: u32 = (1 << 31) - (1 << 31) % LETTERS;
/// `u * MAGIC >> SHIFT` is `u / 26` for every u below 2^31 (a test walks the edges of every quotient).
const SHIFT: u32 = 35;
const MAGIC: u64 = (1 << SHIFT) / LETTERS as u64 + 1;

/// Fills payloads with letters.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Letters {
    /// The widest instructions that this processor has, found once.
    arch: Arch,
}

impl Letters {
    pub(crate) fn new() -> Self {
        Self { arch: Arch::new() }
    }

    /// Makes `value` the next `len` letters. Its capacity grows to whole blocks.
    pub(crate) fn fill(&self, random: &mut SplittableRandom, len: usize, value: &mut Vec<u8>) {
        value.resize(len.next_multiple_of(BLOCK), 0);
        if self.arch.dispatch(Blocks { state: random.state(), out: value }) {
            random.skip(len);
        } else {
            value[..len].fill_with(|| letter_after(random));
        }
        value.truncate(len);
    }
}

/// Whole blocks from a state on. False if a number was to be rejected: then the letters are not Java's.
struct Blocks<'a> {
    state: u64,
    out: &'a mut [u8],
}

impl NullaryFnOnce for Blocks<'_> {
    type Output = bool;

    #[inline(always)]
    fn call(self) -> bool {
        let mut random = SplittableRandom::new(self.state.cast_signed());
        let mut greatest = 0;
        for block in self.out.as_chunks_mut::<BLOCK>().0 {
            let numbers: [u32; BLOCK] = numbers31(random.state());
            // A plain loop, as in `numbers31`: iterators would stay outside the wide code.
            for at in 0..BLOCK {
                greatest = greatest.max(numbers[at]);
                block[at] = b'A' + below_26(numbers[at]) as u8;
            }
            random.skip(BLOCK);
        }
        greatest < REJECTED
    }
}

#[inline(always)]
fn below_26(number: u32) -> u32 {
    number - LETTERS * ((u64::from(number) * MAGIC) >> SHIFT) as u32
}

/// One letter, as Java draws it.
fn letter_after(random: &mut SplittableRandom) -> u8 {
    b'A' + u8::try_from(random.next_int_below(26)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::client::random::{GAMMA, state_before};

    fn singly(seed: i64, len: usize) -> (Vec<u8>, u64) {
        let mut random = SplittableRandom::new(seed);
        ((0..len).map(|_| letter_after(&mut random)).collect(), random.state())
    }

    fn in_blocks(seed: i64, len: usize) -> (Vec<u8>, u64) {
        let (mut random, mut value) = (SplittableRandom::new(seed), vec![7; 3]);
        Letters::new().fill(&mut random, len, &mut value);
        (value, random.state())
    }

    proptest! {
        #[test]
        fn blocks_give_the_letters_and_the_state_that_single_draws_give(seed: i64, len in 0usize..1000) {
            prop_assert_eq!(in_blocks(seed, len), singly(seed, len));
        }

        #[test]
        fn a_rejected_number_is_passed_over_wherever_it_stands(
            at in 0u64..150, number in REJECTED..1 << 31, bit in 0u32..2, len in 0usize..200,
        ) {
            let seed = state_before(number << 1 | bit).wrapping_sub(GAMMA.wrapping_mul(at)).cast_signed();
            let drawn = singly(seed, len);
            let skipped = (at as usize) < len;
            let plain = SplittableRandom::new(seed).state().wrapping_add(GAMMA.wrapping_mul(len as u64));
            prop_assert_eq!(drawn.1 != plain, skipped, "the planted number was rejected");
            prop_assert_eq!(in_blocks(seed, len), drawn);
        }
    }

    #[test]
    fn multiplying_gives_the_remainder_at_both_edges_of_every_quotient() {
        for quotient in 0..=(1u32 << 31) / LETTERS {
            let first = quotient * LETTERS;
            assert_eq!(below_26(first), 0);
            assert!(first == 0 || below_26(first - 1) == LETTERS - 1);
        }
        assert_eq!(below_26((1 << 31) - 1), (1 << 31) % LETTERS - 1);
    }
}
