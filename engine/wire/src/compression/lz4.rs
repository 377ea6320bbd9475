//! LZ4 frames, those that Java reads (`Lz4BlockInputStream`): version 1, independent blocks, no dictionary.
//!
//! ```text
//!   magic u32le 184D2204 | flags u8 | block size u8 | content size u64le? | header checksum u8
//!     | { block length u32le, top bit: stored plain | block | block checksum u32le? }* | end mark u32le 0
//!     | content checksum u32le?
//! ```

use std::io::Write;

use lz4::block::{CompressionMode, compress_bound, compress_to_buffer};
use lz4_flex::frame::{BlockMode, BlockSize, FrameEncoder, FrameInfo};

use super::{Codec, CompressionError};

const MAGIC: [u8; 4] = 0x184d_2204_u32.to_le_bytes();
const VERSION_MASK: u8 = 0xc0;
const VERSION: u8 = 0x40;
const INDEPENDENT: u8 = 0x20;
const BLOCK_CHECKSUM: u8 = 0x10;
const CONTENT_SIZE: u8 = 0x08;
const CONTENT_CHECKSUM: u8 = 0x04;
const RESERVED: u8 = 0x03;
const PLAIN_BLOCK: u32 = 1 << 31;

/// The one frame at the start of `input`, once its flags are such that Java reads it and its end mark is there.
/// Whatever follows it is nobody's.
pub(super) fn frame(input: &[u8]) -> Result<&[u8], CompressionError> {
    let flags = flags(input).map_err(|reason| CompressionError::broken(Codec::Lz4, reason))?;
    match frame_len(input, flags) {
        Some(len) => Ok(&input[..len]),
        None => Err(CompressionError::broken(Codec::Lz4, "the frame has no end mark")),
    }
}

fn flags(input: &[u8]) -> Result<u8, &'static str> {
    if !input.starts_with(&MAGIC) {
        return Err("no frame begins here");
    }
    let flags = *input.get(MAGIC.len()).ok_or("the frame's header is cut off")?;
    if flags & VERSION_MASK != VERSION {
        return Err("the frame's version is not 1");
    }
    if flags & RESERVED != 0 {
        return Err("reserved flags or a dictionary are set");
    }
    if flags & INDEPENDENT == 0 {
        return Err("its blocks depend on each other, which Java clients do not read; switch linked blocks off");
    }
    Ok(flags)
}

fn frame_len(input: &[u8], flags: u8) -> Option<usize> {
    let trailer = |flag: u8, len: usize| if flags & flag != 0 { len } else { 0 };
    let mut at = MAGIC.len() + 3 + trailer(CONTENT_SIZE, 8);
    loop {
        let len = u32::from_le_bytes(*input.get(at..)?.first_chunk()?);
        at += 4;
        if len == 0 {
            let end = at + trailer(CONTENT_CHECKSUM, 4);
            return (end <= input.len()).then_some(end);
        }
        at = at.checked_add((len & !PLAIN_BLOCK) as usize)?.checked_add(trailer(BLOCK_CHECKSUM, 4))?;
    }
}

/// Kafka's default level, which is its fast compressor (`Lz4BlockOutputStream`), not LZ4 HC's level 9.
pub(super) const LEVEL_DEFAULT: i32 = 9;
/// Kafka's levels (`CompressionType.LZ4`).
const LEVELS: std::ops::RangeInclusive<i32> = 1..=17;
/// What stands before Java's blocks: version 1, independent blocks of 64 KiB, no checksums, no content size.
const HEADER: [u8; 7] = [0x04, 0x22, 0x4d, 0x18, VERSION | INDEPENDENT, 0x40, 0x82];
const BLOCK_LEN_MAX: usize = 64 << 10;

/// Appends `input` as one frame like Java's: 64 KiB blocks, independent, no checksums.
pub(super) fn write(
    level: Option<i32>,
    input: &[u8],
    out: &mut Vec<u8>,
    block: &mut Vec<u8>,
) -> Result<(), CompressionError> {
    match level {
        None | Some(LEVEL_DEFAULT) => write_fast(input, out),
        Some(level) if LEVELS.contains(&level) => write_high(level, input, out, block),
        Some(level) => Err(CompressionError::encoder(Codec::Lz4, format!("level {level} is not 1 to 17"))),
    }
}

fn write_fast(input: &[u8], out: &mut Vec<u8>) -> Result<(), CompressionError> {
    let info = FrameInfo::new().block_mode(BlockMode::Independent).block_size(BlockSize::Max64KB);
    let mut encoder = FrameEncoder::with_frame_info(info, out);
    encoder.write_all(input).map_err(|e| CompressionError::encoder(Codec::Lz4, e))?;
    encoder.finish().map(drop).map_err(|e| CompressionError::encoder(Codec::Lz4, e))
}

/// The C library's high compressor, block by block; a block that does not shrink is stored plain.
fn write_high(level: i32, input: &[u8], out: &mut Vec<u8>, block: &mut Vec<u8>) -> Result<(), CompressionError> {
    let failed = |e: std::io::Error| CompressionError::encoder(Codec::Lz4, e);
    out.extend_from_slice(&HEADER);
    for plain in input.chunks(BLOCK_LEN_MAX) {
        block.resize(compress_bound(plain.len()).map_err(failed)?, 0);
        let mode = Some(CompressionMode::HIGHCOMPRESSION(level));
        let len = compress_to_buffer(plain, mode, false, block).map_err(failed)?;
        let (flag, bytes) = if len < plain.len() { (0, &block[..len]) } else { (PLAIN_BLOCK, plain) };
        // A block has at most 64 KiB.
        out.extend_from_slice(&(bytes.len() as u32 | flag).to_le_bytes());
        out.extend_from_slice(bytes);
    }
    out.extend_from_slice(&0u32.to_le_bytes());
    Ok(())
}
