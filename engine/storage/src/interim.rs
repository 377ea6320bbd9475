//! Names of `ringlog_wire` that are not there yet. Goes away with them.
#![allow(missing_docs)]

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Uuid(pub [u8; 16]);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrorCode(pub i16);

impl ErrorCode {
    pub const OFFSET_OUT_OF_RANGE: Self = Self(1);
    pub const CORRUPT_MESSAGE: Self = Self(2);
    pub const RECORD_LIST_TOO_LARGE: Self = Self(18);
    pub const OUT_OF_ORDER_SEQUENCE_NUMBER: Self = Self(45);
    pub const INVALID_PRODUCER_EPOCH: Self = Self(47);
    pub const INVALID_TXN_STATE: Self = Self(48);
    pub const TRANSACTION_COORDINATOR_FENCED: Self = Self(52);
    pub const KAFKA_STORAGE_ERROR: Self = Self(56);
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Validated {}
