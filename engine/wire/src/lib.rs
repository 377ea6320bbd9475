//! Bytes whose shape Kafka decided: frames, headers, messages, record batch v2. No I/O, no clocks, no unsafe.
//!
//! ```text
//!   frame (4-byte length taken off)
//!     | Reader
//!     v
//!   header::RequestHeader --api, version--> messages::<api>::FooRequest ---- Records::At(range) --+
//!                                                                                                |
//!   batch::validate(frame[range], Rules) --> Validated { header to append } <--------------------+
//!
//!   messages::<api>::FooResponse { Records::Outside(len) } --> Writer { bytes, cuts, cut_lens }
//!        the sender puts len bytes of a file at each cut: record data is never copied through a message
//! ```
//!
//! | to do this | use |
//! |---|---|
//! | know an API's versions | [`ApiKey::versions`], [`ApiKey::flexible_from`] |
//! | read or write a message | [`Message::decode`], [`Message::encode`] on a type of [`messages`] |
//! | treat all APIs alike | [`for_each_api!`] |
//! | read the metadata log or group records | [`records`] |
//! | check, read or make record batches | [`batch`] |
//! | open and compress | [`compression`] |
//! | find a key's or a group's partition | [`hash`] |
//!
//! What holds everywhere: a length on the wire is believed only as far as bytes follow it; no input makes this crate
//! panic or take more memory than a fixed multiple of the input ([`codec::MEMORY_PER_BYTE`], and
//! [`batch::Rules::inflated_len_max`] for compressed records); what decodes encodes to the same bytes, unknown tagged
//! fields included. `engine/docs/wire_support.md` says which versions are coded and how each is checked.

mod api_key;
pub mod batch;
pub mod codec;
pub mod compression;
mod error;
pub mod hash;
pub mod header;
#[macro_use]
pub mod schema;
pub mod messages;
#[cfg(feature = "planted_panic")]
mod planted;
pub mod records;
mod uuid;

pub use api_key::ApiKey;
pub use codec::{DecodeError, EncodeError, Reader, Records, Writer};
pub use error::ErrorCode;
pub use schema::{Message, Request};
pub use uuid::{Uuid, UuidError};
