//! The codecs of record batches, as Java writes and reads them.
//!
//! | codec | on the wire | levels that we write |
//! |---|---|---|
//! | gzip | gzip members, one or more | 1 to 9, Java's default (-1) is 6 |
//! | snappy | xerial's framing, or one raw block (librdkafka) | none |
//! | lz4 | one frame of independent blocks; linked ones are refused because Java refuses them | 1 to 17; 9, the default, is the fast compressor, the others are LZ4 HC's |
//! | zstd | frames, window up to 128 MiB | -131072 to 22, default 3 |
//!
//! Invariants: output is produced as input is read, never allocated from a size that the input claims; a limit stops a
//! body that opens to too much; nothing that happens in here depends on anything but input, level and limit.

mod lz4;
mod snappy;

use std::io::{self, Read, Write};

use zstd::zstd_safe::{DCtx, ResetDirective};

/// A zstd context that has grown beyond this is given back after use.
const ZSTD_CONTEXT_KEPT_MAX: usize = 16 << 20;
/// A buffer for blocks that has grown beyond this is given back after use.
const BLOCK_KEPT_MAX: usize = 1 << 20;

/// How a batch's records are compressed: bits 0 to 2 of its attributes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Codec {
    /// Not at all.
    #[default]
    None,
    /// RFC 1952.
    Gzip,
    /// Snappy blocks.
    Snappy,
    /// LZ4 frames.
    Lz4,
    /// Zstandard frames.
    Zstd,
}

impl Codec {
    /// All of them, by number.
    pub const ALL: [Codec; 5] = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];

    /// The number in a batch's attributes.
    pub fn id(self) -> u8 {
        self as u8
    }

    /// The codec of a number.
    pub fn from_id(id: u8) -> Option<Self> {
        Self::ALL.get(usize::from(id)).copied()
    }

    /// The name that `compression.type` has for it.
    pub fn name(self) -> &'static str {
        match self {
            Codec::None => "none",
            Codec::Gzip => "gzip",
            Codec::Snappy => "snappy",
            Codec::Lz4 => "lz4",
            Codec::Zstd => "zstd",
        }
    }

    /// The codec of a `compression.type`.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|codec| codec.name() == name)
    }
}

/// Why bytes do not open, or cannot be compressed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompressionError {
    /// Not what the codec writes.
    #[error("the {} data does not open: {reason}", codec.name())]
    Broken {
        /// The codec.
        codec: Codec,
        /// What its decoder says.
        reason: String,
    },
    /// Opens to more than the limit.
    #[error("the {} data opens to more than {max} bytes", codec.name())]
    TooLarge {
        /// The codec.
        codec: Codec,
        /// The limit.
        max: usize,
    },
    /// The encoder refuses, for instance a level.
    #[error("{} cannot compress: {reason}", codec.name())]
    Encoder {
        /// The codec.
        codec: Codec,
        /// What it says.
        reason: String,
    },
}

impl CompressionError {
    pub(crate) fn broken(codec: Codec, reason: impl ToString) -> Self {
        CompressionError::Broken { codec, reason: reason.to_string() }
    }

    /// What reading on means, of at most `max` bytes.
    pub(crate) fn of_reading(codec: Codec, error: io::Error, max: usize) -> Self {
        match error.kind() {
            io::ErrorKind::FileTooLarge => CompressionError::TooLarge { codec, max },
            _ => Self::broken(codec, error),
        }
    }

    fn encoder(codec: Codec, reason: impl ToString) -> Self {
        CompressionError::Encoder { codec, reason: reason.to_string() }
    }
}

/// Contexts and buffers that one batch after the other uses. One per thread is enough.
#[derive(Default)]
pub struct Scratch {
    /// Opened records, whole ([`crate::batch::Batch::records`]) or a window of them ([`crate::batch::validate`]).
    pub(crate) body: Vec<u8>,
    pub(crate) codecs: Codecs,
}

impl Scratch {
    /// Nothing allocated yet.
    pub fn new() -> Self {
        Self::default()
    }
}

impl std::fmt::Debug for Scratch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scratch").field("body_capacity", &self.body.capacity()).finish_non_exhaustive()
    }
}

/// What the codecs themselves keep between two batches.
#[derive(Default)]
pub(crate) struct Codecs {
    block: Vec<u8>,
    zstd_in: Option<DCtx<'static>>,
    zstd_out: Option<zstd::bulk::Compressor<'static>>,
}

impl Codecs {
    /// Call when a body was read: gives back what a hostile window or block has blown up.
    pub(crate) fn trim(&mut self) {
        self.block.truncate(BLOCK_KEPT_MAX);
        self.block.shrink_to(BLOCK_KEPT_MAX);
        if self.zstd_in.as_ref().is_some_and(|context| context.sizeof() > ZSTD_CONTEXT_KEPT_MAX) {
            self.zstd_in = None;
        }
    }
}

/// A compressed body, read open piece by piece. Ends with `Ok(0)`.
#[allow(clippy::large_enum_variant, reason = "one at a time, on the stack")]
pub(crate) enum Inflater<'a> {
    Plain(&'a [u8]),
    Gzip(flate2::read::MultiGzDecoder<&'a [u8]>),
    Snappy(snappy::Reader<'a>),
    Lz4(lz4_flex::frame::FrameDecoder<&'a [u8]>),
    Zstd(zstd::stream::read::Decoder<'a, &'a [u8]>),
}

impl<'a> Inflater<'a> {
    /// Opens a body. A block of which more than `len_max` bytes would have to be opened at once is refused.
    pub(crate) fn open(
        codec: Codec,
        input: &'a [u8],
        len_max: usize,
        codecs: &'a mut Codecs,
    ) -> Result<Self, CompressionError> {
        Ok(match codec {
            Codec::None => Inflater::Plain(input),
            Codec::Gzip => Inflater::Gzip(flate2::read::MultiGzDecoder::new(input)),
            Codec::Snappy => Inflater::Snappy(snappy::Reader::new(input, len_max, &mut codecs.block)),
            Codec::Lz4 => Inflater::Lz4(lz4_flex::frame::FrameDecoder::new(lz4::frame(input)?)),
            Codec::Zstd => {
                let context = codecs.zstd_in.get_or_insert_with(DCtx::create);
                // A body that failed before has left the context in the middle of a frame.
                context
                    .reset(ResetDirective::SessionOnly)
                    .map_err(|code| CompressionError::broken(codec, zstd::zstd_safe::get_error_name(code)))?;
                Inflater::Zstd(zstd::stream::read::Decoder::with_context(input, context))
            }
        })
    }
}

impl Read for Inflater<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self {
            Inflater::Plain(bytes) => bytes.read(out),
            Inflater::Gzip(reader) => reader.read(out),
            Inflater::Snappy(reader) => reader.read(out),
            Inflater::Lz4(reader) => reader.read(out),
            Inflater::Zstd(reader) => reader.read(out),
        }
    }
}

/// Appends what `input` opens to, `len_max` bytes at most.
pub fn decompress(
    codec: Codec,
    input: &[u8],
    len_max: usize,
    out: &mut Vec<u8>,
    scratch: &mut Scratch,
) -> Result<(), CompressionError> {
    let before = out.len();
    let reader = Inflater::open(codec, input, len_max, &mut scratch.codecs)?;
    let outcome = reader.take((len_max as u64).saturating_add(1)).read_to_end(out);
    scratch.codecs.trim();
    outcome.map_err(|reason| CompressionError::of_reading(codec, reason, len_max))?;
    if out.len() - before > len_max {
        out.truncate(before);
        return Err(CompressionError::TooLarge { codec, max: len_max });
    }
    Ok(())
}

/// Appends `input` compressed. `level` is the codec's own, `None` its default; a codec without levels takes none into
/// account.
pub fn compress(
    codec: Codec,
    level: Option<i32>,
    input: &[u8],
    out: &mut Vec<u8>,
    scratch: &mut Scratch,
) -> Result<(), CompressionError> {
    match codec {
        Codec::None => out.extend_from_slice(input),
        Codec::Gzip => gzip(level, input, out)?,
        Codec::Snappy => snappy::write(input, out)?,
        Codec::Lz4 => lz4::write(level, input, out, &mut scratch.codecs.block)?,
        Codec::Zstd => zstandard(level, input, out, &mut scratch.codecs)?,
    }
    Ok(())
}

fn gzip(level: Option<i32>, input: &[u8], out: &mut Vec<u8>) -> Result<(), CompressionError> {
    let level = match level {
        None | Some(-1) => flate2::Compression::default(),
        Some(level @ 1..=9) => flate2::Compression::new(level.unsigned_abs()),
        Some(level) => {
            return Err(CompressionError::encoder(Codec::Gzip, format!("level {level} is not -1 or 1 to 9")));
        }
    };
    let mut encoder = flate2::write::GzEncoder::new(out, level);
    encoder
        .write_all(input)
        .and_then(|()| encoder.finish().map(drop))
        .map_err(|e| CompressionError::encoder(Codec::Gzip, e))
}

/// What a codec does where no level is asked for, as Kafka's properties name it (gzip's -1 is the library's own); `None` where
/// it has no levels.
#[must_use]
pub fn level_default(codec: Codec) -> Option<i32> {
    match codec {
        Codec::None | Codec::Snappy => None,
        Codec::Gzip => Some(-1),
        Codec::Lz4 => Some(lz4::LEVEL_DEFAULT),
        Codec::Zstd => Some(ZSTD_LEVEL_DEFAULT),
    }
}

const ZSTD_LEVEL_DEFAULT: i32 = 3;

fn zstandard(level: Option<i32>, input: &[u8], out: &mut Vec<u8>, codecs: &mut Codecs) -> Result<(), CompressionError> {
    let failed = |e: io::Error| CompressionError::encoder(Codec::Zstd, e);
    let level = level.unwrap_or(ZSTD_LEVEL_DEFAULT);
    let Codecs { block, zstd_out, .. } = codecs;
    let encoder = match zstd_out {
        Some(encoder) => encoder,
        None => zstd_out.insert(zstd::bulk::Compressor::new(level).map_err(failed)?),
    };
    encoder.set_compression_level(level).map_err(failed)?;
    block.clear();
    block.reserve(zstd::zstd_safe::compress_bound(input.len()));
    encoder.compress_to_buffer(input, block).map_err(failed)?;
    out.extend_from_slice(block);
    Ok(())
}

#[cfg(test)]
mod tests;
