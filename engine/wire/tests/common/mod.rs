//! What the tests of this crate share.
#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, reason = "a test that cannot read its data has failed")]

use ringlog_wire::{Message, Writer};

/// One line of `golden-frames.jsonl`: a request and what a real broker answered, without the length prefix.
#[derive(Debug, serde::Deserialize)]
pub(crate) struct Frame {
    pub(crate) api_key: i16,
    pub(crate) api_version: i16,
    pub(crate) client: String,
    #[serde(deserialize_with = "from_hex")]
    pub(crate) request: Vec<u8>,
    #[serde(deserialize_with = "from_hex")]
    pub(crate) response: Vec<u8>,
}

pub(crate) fn hex(text: &str) -> Vec<u8> {
    text.as_bytes().chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn from_hex<'de, D: serde::Deserializer<'de>>(d: D) -> Result<Vec<u8>, D::Error> {
    Ok(hex(&<Option<String> as serde::Deserialize>::deserialize(d)?.unwrap_or_default()))
}

pub(crate) fn golden_frames() -> Vec<Frame> {
    include_str!("../data/golden-frames.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Encodes a decoded message and puts the record data of `input`, which it was decoded from, back at the cuts.
pub(crate) fn encode_with_records<M: Message>(message: &M, version: i16, input: &[u8]) -> Vec<u8> {
    let mut w = Writer::new();
    message.encode(&mut w, version).unwrap();
    let mut out = Vec::with_capacity(w.total_len());
    let mut from = 0;
    for (cut, len) in w.cuts.iter().zip(&w.cut_lens) {
        out.extend_from_slice(&w.bytes[from..*cut]);
        // Everything before the cut is as long as in the input, so its record data starts at the same place.
        out.extend_from_slice(&input[out.len()..out.len() + len]);
        from = *cut;
    }
    out.extend_from_slice(&w.bytes[from..]);
    out
}
