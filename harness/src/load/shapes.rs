//! Payloads and keys beyond the originals': sizes and keys from distributions, payloads that compress by a given ratio.
//!
//! Each client has a generator of its own, seeded with `--random-seed` and its number: the same options make the same
//! records.

use rand_distr::{Distribution as _, Normal, Zipf};
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng as _, SeedableRng as _};

/// The largest payload that can be asked for: more does not fit a Kafka request.
const SIZE_MAX: u64 = 1 << 30;
/// Bytes that a record takes in a compressed batch though its payload were all the same: its framing, and zstd's
/// sequence for the repeated part.
const FRAMING_BYTES: f64 = 4.0;

/// `--record-size-dist`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Sizes {
    Fixed(usize),
    Uniform(usize, usize),
    Normal { gauss: Normal<f64>, min: usize, max: usize },
}

/// `--keys`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum KeyShape {
    None,
    /// The record's number.
    Sequence,
    Uniform(u64),
    Zipf(Zipf<f64>),
}

impl Sizes {
    /// `fixed:N`, `uniform:MIN..MAX`, `normal:MEAN,SD[,MIN..MAX]`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        Self::of(text).ok_or_else(|| {
            format!(
                "--record-size-dist {text}: it must be fixed:N, uniform:MIN..MAX or normal:MEAN,SD[,MIN..MAX], \
                 with sizes from 1 to {SIZE_MAX} bytes"
            )
        })
    }

    fn of(text: &str) -> Option<Self> {
        match text.split_once(':')? {
            ("fixed", size) => Some(Self::Fixed(size_of_text(size)?)),
            ("uniform", limits) => limits_of(limits).map(|(min, max)| Self::Uniform(min, max)),
            ("normal", rest) => {
                let mut parts = rest.splitn(3, ',');
                let mean = size_of_text(parts.next()?)? as f64;
                let deviation: f64 = parts.next()?.parse().ok().filter(|it: &f64| it.is_finite() && *it >= 0.0)?;
                let (min, max) = match parts.next() {
                    Some(limits) => limits_of(limits)?,
                    None => (1, (mean + 6.0 * deviation).min(SIZE_MAX as f64) as usize),
                };
                Some(Self::Normal { gauss: Normal::new(mean, deviation).ok()?, min, max })
            }
            _ => None,
        }
    }

    /// The smallest size that can come.
    pub(crate) fn min(&self) -> usize {
        match self {
            Self::Fixed(size) => *size,
            Self::Uniform(min, _) | Self::Normal { min, .. } => *min,
        }
    }

    /// The largest size that can come.
    pub(crate) fn max(&self) -> usize {
        match self {
            Self::Fixed(size) => *size,
            Self::Uniform(_, max) | Self::Normal { max, .. } => *max,
        }
    }

    /// The size in the middle of all that come, limits of a normal distribution left out of account.
    pub(crate) fn mean(&self) -> usize {
        match self {
            Self::Fixed(size) => *size,
            Self::Uniform(min, max) => min + (max - min) / 2,
            Self::Normal { gauss, min, max } => (gauss.mean().round().max(0.0) as usize).clamp(*min, *max),
        }
    }

    fn draw(&self, random: &mut Xoshiro256PlusPlus) -> usize {
        match self {
            Self::Fixed(size) => *size,
            Self::Uniform(min, max) => min + below(random, (max - min) as u64 + 1) as usize,
            Self::Normal { gauss, min, max } => (gauss.sample(random).round().max(0.0) as usize).clamp(*min, *max),
        }
    }
}

fn size_of_text(text: &str) -> Option<usize> {
    text.parse().ok().filter(|size| (1..=SIZE_MAX).contains(size)).and_then(|size| usize::try_from(size).ok())
}

fn limits_of(text: &str) -> Option<(usize, usize)> {
    let (min, max) = text.split_once("..")?;
    let limits = (size_of_text(min)?, size_of_text(max)?);
    (limits.0 <= limits.1).then_some(limits)
}

impl KeyShape {
    /// `none`, `sequence`, `uniform:N`, `zipf:N,S`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        Self::of(text).ok_or_else(|| {
            format!("--keys {text}: it must be none, sequence, uniform:N or zipf:N,S, with N from 1 and S from 0")
        })
    }

    fn of(text: &str) -> Option<Self> {
        match text.split_once(':') {
            None if text == "none" => Some(Self::None),
            None if text == "sequence" => Some(Self::Sequence),
            Some(("uniform", count)) => count.parse().ok().filter(|count| *count > 0).map(Self::Uniform),
            Some(("zipf", rest)) => {
                let (count, exponent) = rest.split_once(',')?;
                let count: u64 = count.parse().ok().filter(|count| *count > 0)?;
                Zipf::new(count as f64, exponent.parse().ok()?).ok().map(Self::Zipf)
            }
            _ => None,
        }
    }

    /// The number of a record's key. Zipf's most frequent key is 0.
    fn draw(&self, number: u64, random: &mut Xoshiro256PlusPlus) -> Option<u64> {
        match self {
            Self::None => None,
            Self::Sequence => Some(number),
            Self::Uniform(count) => Some(below(random, *count)),
            Self::Zipf(zipf) => Some(zipf.sample(random) as u64 - 1),
        }
    }
}

/// Makes payloads of sizes from a distribution, or that compress by about a ratio.
#[derive(Clone, Debug)]
pub(crate) struct Values {
    random: Xoshiro256PlusPlus,
    sizes: Sizes,
    /// Uncompressed by compressed bytes; `None` makes random letters, as the original does.
    ratio: Option<f64>,
    value: Vec<u8>,
}

impl Values {
    pub(crate) fn new(sizes: Sizes, ratio: Option<f64>, seed: u64) -> Self {
        Self { random: Xoshiro256PlusPlus::seed_from_u64(seed), sizes, ratio, value: Vec::new() }
    }

    pub(crate) fn next(&mut self) -> &[u8] {
        let len = self.sizes.draw(&mut self.random);
        self.value.resize(len, b'x');
        match self.ratio {
            None => {
                self.random.fill_bytes(&mut self.value);
                self.value.iter_mut().for_each(|byte| *byte = b'A' + *byte % 26);
            }
            Some(ratio) => {
                // The random share is at the end: the ledger's stamp takes bytes of the front.
                let random_len = (len as f64 / ratio - if ratio > 1.0 { FRAMING_BYTES } else { 0.0 }).max(0.0);
                let constant_len = len - (random_len.round() as usize).min(len);
                let (constant, random) = self.value.split_at_mut(constant_len);
                constant.fill(b'x');
                self.random.fill_bytes(random);
            }
        }
        &self.value
    }
}

/// Makes keys.
#[derive(Clone, Debug)]
pub(crate) struct KeyMaker {
    random: Xoshiro256PlusPlus,
    shape: KeyShape,
    key: Vec<u8>,
}

impl KeyMaker {
    pub(crate) fn new(shape: KeyShape, seed: u64) -> Self {
        // Another stream than that of the values.
        Self { random: Xoshiro256PlusPlus::seed_from_u64(seed ^ 0x6b65_7973), shape, key: Vec::new() }
    }

    /// The key of record `number`, as decimal text.
    pub(crate) fn next(&mut self, number: u64) -> Option<&[u8]> {
        use std::io::Write as _;
        let key = self.shape.draw(number, &mut self.random)?;
        self.key.clear();
        // Writing to memory does not fail.
        let _ = write!(self.key, "{key}");
        Some(&self.key)
    }
}

/// A number below `bound`, by multiplication: the bias is below one in 2^32 for every bound that we have.
fn below(random: &mut Xoshiro256PlusPlus, bound: u64) -> u64 {
    ((u128::from(random.next_u64()) * u128::from(bound)) >> 64) as u64
}

#[cfg(test)]
mod tests {
    use ringlog_wire::compression::{Codec, Scratch, compress};

    use super::*;

    fn sizes_of(text: &str) -> Vec<usize> {
        let mut values = Values::new(Sizes::parse(text).unwrap(), None, 1);
        (0..10_000).map(|_| values.next().len()).collect()
    }

    #[test]
    fn sizes_have_their_distribution_and_limits() {
        assert!(sizes_of("fixed:100").iter().all(|size| *size == 100));
        let uniform = sizes_of("uniform:10..19");
        assert!((10..=19).all(|size| uniform.iter().filter(|it| **it == size).count().abs_diff(1000) < 150));
        let normal = sizes_of("normal:1000,100,800..1200");
        let mean = normal.iter().sum::<usize>() as f64 / 10_000.0;
        assert!((mean - 1000.0).abs() < 10.0, "{mean}");
        let within = normal.iter().filter(|size| size.abs_diff(1000) <= 100).count();
        assert!(within.abs_diff(6827) < 250, "{within} within one deviation");
        assert!(normal.iter().all(|size| (800..=1200).contains(size)));
    }

    #[test]
    fn what_is_no_distribution_is_refused_by_its_value() {
        for bad in
            ["100", "fixed:0", "uniform:9..3", "uniform:9", "normal:5", "normal:5,x", "pareto:1", "fixed:9999999999"]
        {
            assert!(Sizes::parse(bad).unwrap_err().starts_with(&format!("--record-size-dist {bad}: ")), "{bad}");
        }
        for bad in ["some", "uniform:0", "zipf:10", "zipf:0,1", "zipf:10,-1"] {
            assert!(KeyShape::parse(bad).unwrap_err().starts_with(&format!("--keys {bad}: ")), "{bad}");
        }
    }

    fn keys_of(text: &str, count: u64) -> Vec<u64> {
        let mut keys = KeyMaker::new(KeyShape::parse(text).unwrap(), 1);
        (0..count)
            .map(|number| String::from_utf8(keys.next(number).unwrap().to_vec()).unwrap().parse().unwrap())
            .collect()
    }

    #[test]
    fn keys_have_their_distribution() {
        assert!(KeyMaker::new(KeyShape::None, 1).next(5).is_none());
        assert_eq!(keys_of("sequence", 3), [0, 1, 2]);
        let uniform = keys_of("uniform:10", 10_000);
        assert!((0..10).all(|key| uniform.iter().filter(|it| **it == key).count().abs_diff(1000) < 150));
        let zipf = keys_of("zipf:1000,1", 100_000);
        let count = |key: u64| zipf.iter().filter(|it| **it == key).count() as f64;
        assert!((count(0) / count(1) - 2.0).abs() < 0.15, "the second key comes half as often");
        assert!((count(0) / count(9) - 10.0).abs() < 1.5, "the tenth a tenth as often");
        assert!(zipf.iter().all(|key| *key < 1000));
    }

    #[test]
    fn a_batch_compresses_by_about_the_ratio_that_was_asked_for() {
        for (size, ratio) in [(1000, 1.0), (1000, 2.0), (1000, 4.0), (1000, 8.0), (200, 2.0), (200, 4.0)] {
            let mut values = Values::new(Sizes::Fixed(size), Some(ratio), 1);
            let mut batch = Vec::new();
            while batch.len() < 16_384 {
                // A record's framing: length, attributes, deltas, lengths.
                batch.extend_from_slice(&[0xd0, 0x0f, 0, 0, (batch.len() / 64) as u8, 1, 0xc8, 0x0f]);
                batch.extend_from_slice(values.next());
            }
            let mut packed = Vec::new();
            compress(Codec::Zstd, None, &batch, &mut packed, &mut Scratch::new()).unwrap();
            let reached = batch.len() as f64 / packed.len() as f64;
            assert!((reached / ratio - 1.0).abs() < 0.15, "{size} B by {ratio}: reached {reached}");
        }
    }
}
