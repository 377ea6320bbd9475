//! Walks over the batches of a segment file, header by header or with every byte checked.
//!
//! What stops a walk is a value, not an error: the end of the file, or the first place that does not hold a batch.

use std::io;

use ringlog_io::{File, Files};

use ringlog_wire::batch::{BatchHeader, HEADER_LEN, crc_of};

/// Bytes before the CRC's reach: base offset, length, leader epoch, magic, crc.
const CRC_REACH: usize = 21;
/// Read at once when batches are small or every byte is wanted.
const WINDOW_BYTES: usize = 128 * 1024;
/// Read at once when batches are larger than the window would help with.
const HEADER_WINDOW_BYTES: usize = 512;

/// What is looked at in each batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Check {
    /// The header: lengths, magic, that offsets grow.
    Headers,
    /// The CRC as well.
    Crc,
}

/// One step of a walk.
#[derive(Debug)]
pub(crate) enum Step {
    /// A batch and where it begins.
    Batch(BatchHeader, u64),
    /// The end was reached: everything before is whole.
    End,
    /// No batch begins at the walk's position.
    Bad {
        /// Why not.
        reason: String,
    },
}

/// A walk from a position that begins a batch to the end of a file, or to a position given.
pub(crate) struct Walk<'a> {
    files: &'a dyn Files,
    file: &'a File,
    position: u64,
    end: u64,
    next_offset: i64,
    window: Vec<u8>,
    window_position: u64,
    last_len: usize,
}

impl<'a> Walk<'a> {
    /// `next_offset`: no batch from `position` on begins below it.
    pub(crate) fn new(files: &'a dyn Files, file: &'a File, position: u64, end: u64, next_offset: i64) -> Self {
        Self { files, file, position, end, next_offset, window: Vec::new(), window_position: 0, last_len: 0 }
    }

    /// Where the next batch begins.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// The offset after the last batch that was met.
    pub(crate) fn next_offset(&self) -> i64 {
        self.next_offset
    }

    /// The next batch.
    pub(crate) fn step(&mut self, check: Check) -> io::Result<Step> {
        if self.position >= self.end {
            return Ok(Step::End);
        }
        match self.look(check)? {
            Ok(header) => Ok(self.pass(header)),
            Err(reason) => Ok(Step::Bad { reason }),
        }
    }

    /// The whole of the batch that the last step gave.
    pub(crate) fn bytes_of(&mut self, header: &BatchHeader, position: u64) -> io::Result<&[u8]> {
        self.window_at(position, header.total_len())
    }

    fn pass(&mut self, header: BatchHeader) -> Step {
        let position = self.position;
        self.last_len = header.total_len();
        self.position += self.last_len as u64;
        self.next_offset = header.last_offset() + 1;
        Step::Batch(header, position)
    }

    fn look(&mut self, check: Check) -> io::Result<Result<BatchHeader, String>> {
        let (position, remaining) = (self.position, self.end - self.position);
        if remaining < HEADER_LEN as u64 {
            return Ok(Err(format!("{remaining} bytes are less than a batch header")));
        }
        let header = match BatchHeader::parse(self.window_at(position, HEADER_LEN)?) {
            Ok(header) => header,
            Err(error) => return Ok(Err(error.to_string())),
        };
        if let Err(reason) = plausible(&header, remaining, self.next_offset) {
            return Ok(Err(reason));
        }
        if check == Check::Crc {
            let found = crc_of(&[&self.window_at(position, header.total_len())?[CRC_REACH..]]);
            if found != header.crc {
                return Ok(Err(format!("crc {found:#010x}, the header says {:#010x}", header.crc)));
            }
        }
        Ok(Ok(header))
    }

    /// `len` bytes at `position`, which lie before the end.
    fn window_at(&mut self, position: u64, len: usize) -> io::Result<&[u8]> {
        let inside = position >= self.window_position
            && position + len as u64 <= self.window_position + self.window.len() as u64;
        if !inside {
            self.fill(position, len)?;
        }
        let start = (position - self.window_position) as usize;
        Ok(&self.window[start..start + len])
    }

    fn fill(&mut self, position: u64, len: usize) -> io::Result<()> {
        let ahead = if self.last_len > WINDOW_BYTES / 4 { HEADER_WINDOW_BYTES } else { WINDOW_BYTES };
        let wanted = (len.max(ahead) as u64).min(self.end - position) as usize;
        self.window.resize(wanted, 0);
        let read = self.files.read_at(self.file, &mut self.window, position)?;
        self.window.truncate(read);
        self.window_position = position;
        if read < len {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file is shorter than it was"));
        }
        Ok(())
    }
}

fn plausible(header: &BatchHeader, remaining: u64, next_offset: i64) -> Result<(), String> {
    if header.total_len() as u64 > remaining {
        return Err(format!("a batch of {} bytes where {remaining} are left", header.total_len()));
    }
    let in_order = header.base_offset >= next_offset && header.last_offset_delta >= 0;
    if !in_order || header.last_offset() < header.base_offset || header.last_offset() == i64::MAX {
        return Err(format!(
            "offsets {}..+{} where {next_offset} must follow",
            header.base_offset, header.last_offset_delta
        ));
    }
    Ok(())
}
