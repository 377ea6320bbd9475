//! Panics on purpose, compiled in only with the feature `planted_panic`: `scripts/fuzz --planted` must find them, else
//! a minute of fuzzing that finds nothing means nothing.
//!
//! The magic numbers are too wide to be met by chance; a fuzzer that watches comparisons finds them in seconds.

/// In front of a request's body.
pub(crate) fn in_client_id(client_id: Option<&str>) {
    let Some((magic, _)) = client_id.and_then(|text| text.as_bytes().split_first_chunk()) else { return };
    assert_ne!(u32::from_be_bytes(*magic), 0x5249_4e47, "planted in the client id");
}

/// Behind a batch's CRC.
pub(crate) fn in_base_sequence(base_sequence: i32) {
    assert_ne!(base_sequence, 0x5249_4e47, "planted in the base sequence");
}
