//! Where a client's records come from: the original's payloads and keys, or shaped ones, each in its place.

use ringlog_io::{Clock as _, SystemClock};

use super::payload::Payloads;
use crate::cli::PerfError;
use crate::load::shapes::{KeyMaker, Sizes, Values};
use crate::spec::{Keys, PayloadSource, RecordShape};

/// How long the generator's ceiling is measured, and how often the clock is looked at meanwhile.
const CEILING_NS: u64 = 20_000_000;
const CEILING_STEP: u64 = 64;

/// Makes the payload and the key of one record after the other.
#[derive(Clone, Debug)]
pub(crate) struct Records {
    original: Payloads,
    values: Option<Values>,
    keys: Option<KeyMaker>,
    /// Nothing is shaped.
    is_original: bool,
}

impl Records {
    /// Those of a client; `report` takes the lines that the original prints while it reads a payload file.
    pub(crate) fn new(shape: &RecordShape, client: usize, report: &mut dyn FnMut(String)) -> Result<Self, PerfError> {
        let seed = shape.seed.wrapping_add_unsigned(client as u64);
        // With shaped keys the original draws none: its payloads stay those of the same seed.
        let keys = if shape.key_shape.is_some() { Keys::None } else { shape.keys };
        let original = Payloads::new(&shape.payload, keys, seed, report).map_err(PerfError::Text)?;
        let sizes = match (shape.sizes, shape.ratio, &shape.payload) {
            (Some(sizes), ..) => Some(sizes),
            (None, Some(_), PayloadSource::Random(size)) => Some(Sizes::Fixed(*size)),
            _ => None,
        };
        let random_seed = seed.cast_unsigned();
        Ok(Self {
            original,
            is_original: sizes.is_none() && shape.key_shape.is_none(),
            values: sizes.map(|sizes| Values::new(sizes, shape.ratio, random_seed)),
            keys: shape.key_shape.map(|keys| KeyMaker::new(keys, random_seed)),
        })
    }

    /// The key and the value of record `number`.
    #[inline]
    pub(crate) fn next(&mut self, number: u64) -> (Option<&[u8]>, &[u8]) {
        if self.is_original {
            return self.original.next(number);
        }
        let (original_key, original_value) = self.original.next(number);
        let value = self.values.as_mut().map_or(original_value, Values::next);
        match &mut self.keys {
            Some(keys) => (keys.next(number), value),
            None => (original_key, value),
        }
    }

    /// Records a second that this thread can make with one clock reading each, and without a client behind it.
    pub(crate) fn ceiling(&self) -> f64 {
        let (mut records, clock) = (self.clone(), SystemClock::new());
        let start_ns = clock.read().0;
        let (mut made, mut now_ns) = (0, start_ns);
        while now_ns - start_ns < CEILING_NS {
            for _ in 0..CEILING_STEP {
                std::hint::black_box(records.next(made));
                std::hint::black_box(clock.read());
                made += 1;
            }
            now_ns = clock.read().0;
        }
        made as f64 * 1e9 / (now_ns - start_ns) as f64
    }
}
