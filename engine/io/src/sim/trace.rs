//! What happened, as one number and, where somebody reads it, as lines.
//!
//! The number is the proof that a seed was repeated. Lines are only made for a reader: a run of a thousand seeds pays for
//! the number alone.

use std::fmt::{self, Arguments};

use crate::driver::Nanos;

/// Who takes the lines.
type Reader = Box<dyn FnMut(Arguments<'_>)>;

/// See the head of the file.
#[derive(Default)]
pub(super) struct Trace {
    hash: u64,
    events: u64,
    reader: Option<Reader>,
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Trace({:016x})", self.hash)
    }
}

impl Trace {
    pub(super) fn read_by(&mut self, reader: Reader) {
        self.reader = Some(reader);
    }

    pub(super) fn hash(&self) -> u64 {
        self.hash
    }

    pub(super) fn events(&self) -> u64 {
        self.events
    }

    /// Takes words into the number.
    pub(super) fn mix(&mut self, words: &[u64]) {
        for word in words {
            self.hash = (self.hash ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29);
        }
    }

    /// Something happened: the words that tell it from everything else, and how it reads.
    pub(super) fn event(&mut self, now: Nanos, words: &[u64], text: Arguments<'_>) {
        self.events += 1;
        self.mix(&[now.0]);
        self.mix(words);
        self.say(now, text);
    }

    /// A line that is not part of the number.
    pub(super) fn say(&mut self, now: Nanos, text: Arguments<'_>) {
        if let Some(reader) = &mut self.reader {
            let (ms, us) = (now.0 / 1_000_000, now.0 / 1_000 % 1_000);
            reader(format_args!("{ms:>7}.{us:03} ms  {text}"));
        }
    }
}

/// Bytes as one word.
pub(super) fn digest(bytes: &[u8]) -> u64 {
    let mut hash = bytes.len() as u64;
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        hash = (hash ^ u64::from_le_bytes(*word)).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(31);
    }
    for byte in rest {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01B3);
    }
    hash
}
