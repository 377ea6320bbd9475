//! How long things took: a histogram whose buckets are an eighth of an octave wide, so that a quantile read from it is off by
//! 6 % at most. Resolution: a microsecond; longest: a minute.
//!
//! ```text
//!   microseconds  0 1 .. 7 | 8 9 .. 15 | 16 18 .. 30 | 32 36 .. 60 | ..
//!   bucket        0 1 .. 7 | 8 9 .. 15 | 16 17 .. 23 | 24 25 .. 31 | ..
//! ```

use super::meter::Counter;

/// Buckets of one octave.
const STEPS: u64 = 8;
const STEP_BITS: u32 = STEPS.ilog2();
/// The last bucket begins at 2^26 microseconds.
pub(crate) const BUCKETS: usize = 192;

/// See the head of the file. One writer.
#[derive(Debug)]
pub(crate) struct Times {
    buckets: Box<[Counter]>,
    sum_ns: Counter,
}

impl Default for Times {
    fn default() -> Self {
        Self { buckets: (0..BUCKETS).map(|_| Counter::default()).collect(), sum_ns: Counter::default() }
    }
}

impl Times {
    /// Something took so long.
    pub(crate) fn note(&self, ns: u64) {
        self.buckets[bucket(ns / 1_000)].add(1);
        self.sum_ns.add(ns);
    }

    /// All of it together.
    pub(crate) fn sum_ns(&self) -> u64 {
        self.sum_ns.get()
    }

    /// How many there were in each bucket.
    pub(crate) fn counts(&self) -> Vec<u64> {
        self.buckets.iter().map(Counter::get).collect()
    }
}

/// The bucket of so many microseconds.
fn bucket(us: u64) -> usize {
    if us < STEPS {
        return us as usize;
    }
    let octave = u64::from(us.ilog2() - STEP_BITS);
    let step = (us >> octave) & (STEPS - 1);
    ((octave + 1) * STEPS + step).min(BUCKETS as u64 - 1) as usize
}

/// The first microsecond that is above a bucket.
pub(crate) fn upper_us(bucket: usize) -> u64 {
    let next = bucket as u64 + 1;
    match (next / STEPS).checked_sub(1) {
        None => next,
        Some(octave) => (STEPS + next % STEPS) << octave,
    }
}

/// The value below which this share of all lies, in milliseconds: the middle of its bucket; `None` where there are none.
pub(crate) fn quantile_ms(counts: &[u64], share: f64) -> Option<f64> {
    let all: u64 = counts.iter().sum();
    let rank = ((all as f64 * share).ceil() as u64).max(1);
    let mut below = 0;
    let found = counts.iter().position(|count| {
        below += count;
        below >= rank
    })?;
    if all == 0 {
        return None;
    }
    let lower = if found == 0 { 0 } else { upper_us(found - 1) };
    Some((lower + upper_us(found)) as f64 / 2.0 / 1_000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_lies_in_its_bucket_and_buckets_lie_close() {
        for us in (0..5_000).chain([60_000_000, 8_191, 8_192, 1 << 20]) {
            let at = bucket(us);
            let lower = if at == 0 { 0 } else { upper_us(at - 1) };
            assert!(lower <= us && us < upper_us(at), "{us} in {lower}..{}", upper_us(at));
            assert!(us < 8 || (upper_us(at) - lower) * 8 <= lower, "{us}");
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn quantiles_are_as_exact_as_buckets_are() {
        let times = Times::default();
        (1..=1_000).for_each(|ms| times.note(ms * 1_000_000));
        for (share, ms) in [(0.5, 500.0), (0.99, 990.0), (0.999, 999.0)] {
            let read = quantile_ms(&times.counts(), share).expect("there are some");
            assert!((read - ms).abs() <= ms * 0.0625, "{share}: {read} for {ms}");
        }
        assert_eq!(quantile_ms(&Times::default().counts(), 0.5), None);
        assert_eq!(times.sum_ns(), 500_500_000_000);
    }
}
