//! Java's `SplittableRandom`, as far as the perf tools and the partitioner draw from it.
//!
//! ```text
//!   state += GAMMA          number i is mix(seed + (i + 1) GAMMA): no number needs the one before it
//!   mix32(state)            two rounds of xor-shift and multiply, the upper 32 bits
//! ```
//!
//! The state is a counter, so a block of numbers can be computed side by side ([`numbers31`]).

/// What the state advances by for each number (java.util.SplittableRandom.GOLDEN_GAMMA).
pub(crate) const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;
/// The multipliers of `mix32`.
const MIX: [u64; 2] = [0x62a9_d9ed_7997_05f5, 0xcb24_d0a5_c88c_35b3];

/// Java's SplittableRandom: the generator of the tools' payloads, and good enough to pick partitions.
#[derive(Clone, Debug)]
pub struct SplittableRandom {
    state: u64,
}

impl SplittableRandom {
    /// `new SplittableRandom(seed)`.
    #[must_use]
    pub fn new(seed: i64) -> Self {
        Self { state: seed.cast_unsigned() }
    }

    fn next_u32(&mut self) -> u32 {
        self.state = self.state.wrapping_add(GAMMA);
        mix32(self.state)
    }

    /// `nextInt()`.
    pub fn next_int(&mut self) -> i32 {
        self.next_u32().cast_signed()
    }

    /// `nextInt(bound)`. The bound must be above 0.
    pub fn next_int_below(&mut self, bound: i32) -> i32 {
        debug_assert!(bound > 0, "bound must be positive");
        let random = self.next_u32().cast_signed();
        if bound & (bound - 1) == 0 {
            return random & (bound - 1);
        }
        let mut positive = (random.cast_unsigned() >> 1).cast_signed();
        loop {
            let below = positive % bound;
            if positive.wrapping_add(bound - 1).wrapping_sub(below) >= 0 {
                return below;
            }
            positive = (self.next_u32() >> 1).cast_signed();
        }
    }

    /// Where the counter stands, for [`numbers31`].
    pub(crate) fn state(&self) -> u64 {
        self.state
    }

    /// Passes over `count` numbers.
    pub(crate) fn skip(&mut self, count: usize) {
        self.state = self.state.wrapping_add(GAMMA.wrapping_mul(count as u64));
    }
}

/// The next `N` numbers after `state`, each without its lowest bit, as `nextInt(bound)` begins. Independent of each
/// other, so that a compiler may put them into lanes.
#[inline(always)]
#[expect(clippy::needless_range_loop, reason = "see below")]
pub(crate) fn numbers31<const N: usize>(state: u64) -> [u32; N] {
    let mut numbers = [0; N];
    // A plain loop: closures and iterators are not always inlined into the code for wider instructions, and then cost
    // three times the rest.
    for at in 0..N {
        numbers[at] = mix32(state.wrapping_add(GAMMA.wrapping_mul(at as u64 + 1))) >> 1;
    }
    numbers
}

#[inline(always)]
fn mix32(state: u64) -> u32 {
    let z = (state ^ (state >> 33)).wrapping_mul(MIX[0]);
    ((z ^ (z >> 28)).wrapping_mul(MIX[1]) >> 32) as u32
}

/// A state whose next number has these upper 32 bits: `mix32` backwards.
#[cfg(test)]
pub(crate) fn state_before(number: u32) -> u64 {
    // Newton's method doubles the right bits of an odd number's inverse modulo 2^64; x itself is right in three.
    let inverse = |x: u64| (0..5).fold(x, |y, _| y.wrapping_mul(2u64.wrapping_sub(x.wrapping_mul(y))));
    let unshift = |z: u64, by: u32| z ^ (z >> by) ^ (z >> by >> by);
    let z = (u64::from(number) << 32 | 0x1234_5678).wrapping_mul(inverse(MIX[1]));
    let z = unshift(z, 28).wrapping_mul(inverse(MIX[0]));
    unshift(z, 33).wrapping_sub(GAMMA)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generator_gives_java_s_numbers() {
        let mut random = SplittableRandom::new(0);
        assert_eq!([random.next_int(), random.next_int()], [821_115_357, 1_660_418_793]);
        let mut random = SplittableRandom::new(0);
        let below: Vec<i32> = (0..5).map(|_| random.next_int_below(1000)).collect();
        assert_eq!(below, [678, 396, 37, 793, 789]);
    }

    #[test]
    fn a_block_of_numbers_is_what_one_after_the_other_gives() {
        let mut random = SplittableRandom::new(-7);
        let block: [u32; 64] = numbers31(random.state());
        let singly: Vec<u32> = (0..64).map(|_| random.next_u32() >> 1).collect();
        assert_eq!(block.as_slice(), singly);
        let mut skipped = SplittableRandom::new(-7);
        skipped.skip(64);
        assert_eq!(skipped.state(), random.state());
    }

    #[test]
    fn a_state_can_be_found_for_any_number() {
        for wanted in [0, 1, 0x8000_0000, u32::MAX] {
            let mut random = SplittableRandom::new(state_before(wanted).cast_signed());
            assert_eq!(random.next_u32(), wanted);
        }
    }
}
