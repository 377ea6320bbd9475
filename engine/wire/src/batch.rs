//! Record batch v2: the unit that is the same bytes on the wire, in the page cache and on disk.
//!
//! ```text
//!    0  base_offset             i64  \
//!    8  batch_length            i32   | outside the CRC: the broker writes base offset and leader epoch in place
//!   12  partition_leader_epoch  i32   |
//!   16  magic                   i8    |
//!   17  crc                     u32  /  CRC-32C of everything from 21 on
//!   21  attributes              i16     bits 0-2 codec, 3 log append time, 4 transactional, 5 control, 6 delete horizon
//!   23  last_offset_delta       i32
//!   27  base_timestamp          i64
//!   35  max_timestamp           i64
//!   43  producer_id             i64
//!   51  producer_epoch          i16
//!   53  base_sequence           i32
//!   57  record_count            i32
//!   61  records, compressed as a whole if a codec is set
//! ```
//!
//! | to do this | use |
//! |---|---|
//! | look at a header | [`BatchHeader::parse`] |
//! | walk batches in a byte range | [`Batches`] |
//! | check what a client sent | [`validate`] |
//! | read records | [`Batch::records`] |
//! | make a batch | [`BatchBuilder`] |
//! | take records out of one | [`Sieve`] |
//! | compress one anew | [`recompress`] |

mod build;
mod error;
mod header;
mod inflated;
mod iterate;
mod recompress;
mod record;
mod sieve;
mod validate;

pub use build::{BatchBuilder, ControlType, record_len};
pub use error::{BatchError, RecordFault, RecordRefusal, RefusedRecords};
pub use header::{
    BatchHeader, HEADER_LEN, LENGTH_OVERHEAD, MAGIC, NO_PRODUCER_ID, NO_TIMESTAMP, TimestampType, crc_of,
};
pub use iterate::{Batch, Batches, RecordIter};
pub use recompress::{Recompression, recompress};
pub use record::{Header, Headers, Record};
pub use sieve::{Sieve, Sifted};
pub use validate::{Origin, Rules, Validated, validate};

#[cfg(test)]
mod tests;
