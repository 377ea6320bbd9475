//! Why bytes are no message, and why a message cannot become bytes. Positions count from the start of the input.

/// Why bytes are not the message that they claim to be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// A fixed-size value or a length reaches beyond the input.
    #[error("{wanted} bytes are wanted at position {position}, {left} are left")]
    Short {
        /// Bytes that the value needs.
        wanted: usize,
        /// Bytes that are there.
        left: usize,
        /// Where, counted from the start of the reader's input.
        position: usize,
    },
    /// An array claims more elements than the rest of the input can hold.
    #[error("an array of {count} elements is announced at position {position}, {left} bytes are left")]
    Count {
        /// Elements announced.
        count: usize,
        /// Bytes that are there.
        left: usize,
        /// Where, counted from the start of the reader's input.
        position: usize,
    },
    /// The decoded form would take more memory than is granted.
    #[error(
        "what is read up to position {position} takes more than the {granted} bytes of memory that it may take; ask for less at a time"
    )]
    Memory {
        /// Bytes of memory that were granted.
        granted: usize,
        /// Where, counted from the start of the reader's input.
        position: usize,
    },
    /// A variable-length integer of more than 5 (or 10) bytes, or with bits beyond its type.
    #[error("a variable-length integer at position {position} does not end in time")]
    Varint {
        /// Where, counted from the start of the reader's input.
        position: usize,
    },
    /// A string longer than [`STRING_MAX`](super::STRING_MAX).
    #[error("a string of {len} bytes at position {position}; the limit is 32767")]
    StringLength {
        /// Bytes announced.
        len: usize,
        /// Where, counted from the start of the reader's input.
        position: usize,
    },
    /// A string that is no UTF-8.
    #[error("a string that ends at position {position} is no UTF-8")]
    Utf8 {
        /// Where, counted from the start of the reader's input.
        position: usize,
    },
    /// Null where the schema's version allows none.
    #[error("null in a value that ends at position {position} and cannot be null there")]
    Null {
        /// Where, counted from the start of the reader's input.
        position: usize,
    },
    /// Null in a named field that may be null, but not in this version.
    #[error("field {field} cannot be null in version {version}")]
    NullField {
        /// The field's name.
        field: &'static str,
        /// The message's version.
        version: i16,
    },
    /// Bytes are left where a message or a tagged field should have ended.
    #[error("{left} bytes are left at position {position}, where the value should have ended")]
    Trailing {
        /// Bytes that are left.
        left: usize,
        /// Where, counted from the start of the reader's input.
        position: usize,
    },
    /// A version outside the schema's range.
    #[error("{message} has versions {min} to {max}, not {version}")]
    Version {
        /// The message's name.
        message: &'static str,
        /// The version asked for.
        version: i16,
        /// The lowest version that decodes.
        min: i16,
        /// The highest version that decodes.
        max: i16,
    },
    /// A type or frame number that names no known record or message.
    #[error("{what} {value} is not known")]
    Unknown {
        /// What the number stands for.
        what: &'static str,
        /// The number.
        value: i64,
    },
}

/// Why a message cannot be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// A string, array or byte field that is too long for its length prefix.
    #[error("a {what} of length {len} cannot be written; the limit is {max}")]
    TooLong {
        /// "string", "array", "bytes" or "records".
        what: &'static str,
        /// Its length.
        len: usize,
        /// The highest length.
        max: usize,
    },
    /// Null where this version allows none.
    #[error("field {field} cannot be null in version {version}")]
    NullField {
        /// The field's name.
        field: &'static str,
        /// The message's version.
        version: i16,
    },
    /// A version outside the schema's range.
    #[error("{message} has versions {min} to {max}, not {version}")]
    Version {
        /// The message's name.
        message: &'static str,
        /// The version asked for.
        version: i16,
        /// The lowest version that can be written.
        min: i16,
        /// The highest version that can be written.
        max: i16,
    },
}
