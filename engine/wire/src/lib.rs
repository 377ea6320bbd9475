//! Bytes whose shape Kafka decided: frames, headers, messages, record batch v2. No I/O, no clocks, no unsafe.

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
