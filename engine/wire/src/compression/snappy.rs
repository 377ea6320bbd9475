//! Snappy: xerial's framing as Java writes it, or one raw block as librdkafka does.
//!
//! ```text
//!   82 'SNAPPY' 00 | version i32 = 1 | compatible version i32 = 1 | { block length i32 | raw block }*
//! ```
//!
//! A raw block begins with the length that it opens to. That length is not believed beyond what the block's own size
//! can open to: its densest element makes 64 bytes out of 3. A block is opened as a whole, so one that opens to more than
//! the reader's limit is refused before.

use std::io::{self, Read};

use super::{Codec, CompressionError};

const MAGIC: [u8; 8] = *b"\x82SNAPPY\0";
const HEADER_LEN: usize = MAGIC.len() + 8;
/// Bytes that the Java client puts into one block.
const BLOCK_LEN: usize = 32 << 10;
const EXPANSION_MAX: usize = 22;

/// Opens block after block.
pub(crate) struct Reader<'a> {
    input: &'a [u8],
    framed: bool,
    len_max: usize,
    block: &'a mut Vec<u8>,
    at: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(input: &'a [u8], len_max: usize, block: &'a mut Vec<u8>) -> Self {
        block.clear();
        let framed = input.len() >= HEADER_LEN && input.starts_with(&MAGIC);
        Self { input: if framed { &input[HEADER_LEN..] } else { input }, framed, len_max, block, at: 0 }
    }

    fn next_block(&mut self) -> io::Result<&'a [u8]> {
        if !self.framed {
            return Ok(std::mem::take(&mut self.input));
        }
        // Streams may follow each other, each with its header.
        if self.input.len() >= HEADER_LEN && self.input.starts_with(&MAGIC) {
            self.input = &self.input[HEADER_LEN..];
        }
        let (len, rest) = self.input.split_first_chunk().ok_or(io::ErrorKind::UnexpectedEof)?;
        let len = usize::try_from(i32::from_be_bytes(*len)).map_err(io::Error::other)?;
        let (block, rest) = rest.split_at_checked(len).ok_or(io::ErrorKind::UnexpectedEof)?;
        self.input = rest;
        Ok(block)
    }

    fn fill(&mut self) -> io::Result<()> {
        let raw = self.next_block()?;
        let len = snap::raw::decompress_len(raw)?;
        if len > raw.len().saturating_mul(EXPANSION_MAX) + 32 {
            return Err(io::Error::other(format!("a block of {} bytes cannot open to {len}", raw.len())));
        }
        if len > self.len_max {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.block.resize(len, 0);
        self.at = 0;
        snap::raw::Decoder::new().decompress(raw, self.block)?;
        Ok(())
    }
}

impl Read for Reader<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.at == self.block.len() {
            if self.input.is_empty() {
                return Ok(0);
            }
            self.fill()?;
        }
        let len = out.len().min(self.block.len() - self.at);
        out[..len].copy_from_slice(&self.block[self.at..self.at + len]);
        self.at += len;
        Ok(len)
    }
}

/// Appends `input` in xerial's framing.
pub(super) fn write(input: &[u8], out: &mut Vec<u8>) -> Result<(), CompressionError> {
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&1i32.to_be_bytes());
    out.extend_from_slice(&1i32.to_be_bytes());
    let mut encoder = snap::raw::Encoder::new();
    for block in input.chunks(BLOCK_LEN) {
        let start = out.len() + 4;
        out.resize(start + snap::raw::max_compress_len(block.len()), 0);
        let failed = |e| CompressionError::encoder(Codec::Snappy, e);
        let len = encoder.compress(block, &mut out[start..]).map_err(failed)?;
        let short = i32::try_from(len).map_err(|e| CompressionError::encoder(Codec::Snappy, e))?;
        out[start - 4..start].copy_from_slice(&short.to_be_bytes());
        out.truncate(start + len);
    }
    Ok(())
}
