//! Our codec and `kafka-protocol`'s agree about every field, in every version that both know.
//!
//! ```text
//!   a vector or golden frame --some bytes changed--> ours decodes it: a message with mutated fields
//!      ours encodes --> theirs decodes: every field is the same
//!      theirs encodes --> ours decodes: the same message again
//! ```
//!
//! Fields are compared through `Debug`, so no list of them can be forgotten.
#![allow(missing_docs, clippy::unwrap_used, reason = "helpers of tests")]

#[path = "../../tests/common/mod.rs"]
mod common;
#[path = "../../tests/common/debug.rs"]
mod debug;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use kafka_protocol::messages as theirs;
use kafka_protocol::protocol::{Decodable, Encodable, Message as TheirMessage};
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};
use ringlog_wire::header::{RequestHeader, ResponseHeader};
use ringlog_wire::{ApiKey, Message, Reader, for_each_api};
use serde_json::Value;

/// Mutations that are tried of each vector; about one in three still decodes.
const MUTATIONS: usize = 20;

#[derive(serde::Deserialize)]
struct Vector {
    message: String,
    version: i16,
    hex: String,
}

/// Bodies by message name and version: Kafka's vectors, and the golden frames of that message.
fn bodies() -> BTreeMap<(String, i16), Vec<Vec<u8>>> {
    let mut bodies: BTreeMap<(String, i16), Vec<Vec<u8>>> = BTreeMap::new();
    for line in include_str!("../../tests/data/vectors.jsonl").lines() {
        let vector: Vector = serde_json::from_str(line).unwrap();
        bodies.entry((vector.message, vector.version)).or_default().push(common::hex(&vector.hex));
    }
    for frame in common::golden_frames() {
        let Ok(api) = ApiKey::try_from(frame.api_key) else { continue };
        let mut r = Reader::new(&frame.request);
        RequestHeader::decode(&mut r).unwrap();
        let request = (format!("{}Request", api.name()), frame.api_version);
        bodies.entry(request).or_default().push(r.rest().to_vec());
        let mut r = Reader::new(&frame.response);
        if ResponseHeader::decode(&mut r, api, frame.api_version).is_ok() {
            let response = (format!("{}Response", api.name()), frame.api_version);
            bodies.entry(response).or_default().push(r.rest().to_vec());
        }
    }
    bodies
}

#[derive(Default)]
struct Tally {
    messages: usize,
    mutated: usize,
    fields: usize,
    versions_only_ours: Vec<String>,
    /// Fields that theirs does not have.
    fields_only_ours: BTreeSet<String>,
}

fn mutate(body: &[u8], random: &mut Xoshiro256PlusPlus) -> Vec<u8> {
    let mut body = body.to_vec();
    for _ in 0..1 + random.next_u32() % 4 {
        if let Some(byte) = body.len().checked_sub(1).map(|last| random.next_u32() as usize % (last + 1)) {
            body[byte] = random.next_u32() as u8;
        }
    }
    body
}

fn agree<Ours, Theirs>(bodies: &BTreeMap<(String, i16), Vec<Vec<u8>>>, tally: &mut Tally)
where
    Ours: Message,
    Theirs: TheirMessage + Decodable + Encodable + std::fmt::Debug,
{
    for version in Ours::VERSIONS.0..=Ours::VERSIONS.1 {
        if version < Theirs::VERSIONS.min || version > Theirs::VERSIONS.max {
            tally.versions_only_ours.push(format!("{} v{version}", Ours::NAME));
            continue;
        }
        let mut random = Xoshiro256PlusPlus::seed_from_u64(u64::from(version.unsigned_abs()) + 77);
        for body in &bodies[&(Ours::NAME.to_owned(), version)] {
            both_ways::<Ours, Theirs>(body, version, tally);
            for _ in 0..MUTATIONS {
                let mutated = mutate(body, &mut random);
                let mut r = Reader::new(&mutated);
                let Ok(message) = Ours::decode(&mut r, version) else { continue };
                if r.finish().is_ok() && mutated != *body && tags_ascend(&debug::parse(&format!("{message:?}"))) {
                    both_ways::<Ours, Theirs>(&mutated, version, tally);
                    tally.mutated += 1;
                }
            }
        }
    }
}

/// True unless a mutation has put tagged fields out of their order, which ours keeps and theirs puts right.
fn tags_ascend(message: &Value) -> bool {
    match message {
        Value::Object(fields) => fields.iter().all(|(field, value)| match value.as_array() {
            Some(tags) if field == "unknown_tags" => tags.is_sorted_by(|a, b| a[0].as_u64() < b[0].as_u64()),
            _ => tags_ascend(value),
        }),
        Value::Array(elements) => elements.iter().all(tags_ascend),
        _ => true,
    }
}

/// `body` as our codec understands it goes through theirs and comes back.
fn both_ways<Ours, Theirs>(body: &[u8], version: i16, tally: &mut Tally)
where
    Ours: Message,
    Theirs: TheirMessage + Decodable + Encodable + std::fmt::Debug,
{
    let name = format!("{} v{version}", Ours::NAME);
    let message = Ours::decode(&mut Reader::new(body), version).unwrap();
    let written = common::encode_with_records(&message, version, body);
    let mut bytes = Bytes::from(written.clone());
    let read = Theirs::decode(&mut bytes, version).unwrap_or_else(|e| panic!("{name}: theirs cannot read ours: {e}"));
    assert!(bytes.is_empty(), "{name}: theirs left {} bytes", bytes.len());
    tally.compare(&name, &debug::parse(&format!("{message:?}")), &debug::parse(&format!("{read:?}")));
    tally.messages += 1;

    let mut theirs = Vec::new();
    read.encode(&mut theirs, version).unwrap_or_else(|e| panic!("{name}: theirs cannot write: {e}"));
    let mut r = Reader::new(&theirs);
    let again = Ours::decode(&mut r, version).unwrap_or_else(|e| panic!("{name}: ours cannot read theirs: {e}"));
    r.finish().unwrap_or_else(|e| panic!("{name}: {e}"));
    assert_eq!(common::encode_with_records(&again, version, &theirs), written, "{name}");
}

impl Tally {
    fn compare(&mut self, path: &str, ours: &Value, theirs: &Value) {
        match (ours, theirs) {
            (Value::Object(ours), Value::Object(theirs)) => {
                for (field, value) in ours {
                    self.compare_field(&format!("{path}.{field}"), field, value, theirs);
                }
            }
            (Value::Array(ours), Value::Array(theirs)) if ours.len() == theirs.len() => {
                ours.iter().zip(theirs).for_each(|(ours, theirs)| self.compare(path, ours, theirs));
            }
            // Record data: ours says where it lies, theirs holds it.
            (Value::Number(len), Value::Array(bytes)) => assert_eq!(len.as_u64(), Some(bytes.len() as u64), "{path}"),
            _ => assert_eq!(ours, theirs, "{path}: ours on the left"),
        }
        self.fields += 1;
    }

    fn compare_field(&mut self, path: &str, field: &str, ours: &Value, theirs: &serde_json::Map<String, Value>) {
        match theirs.get(field) {
            Some(theirs) => self.compare(path, ours, theirs),
            None if field == "unknown_tags" => match theirs.get("unknown_tagged_fields") {
                Some(theirs) => compare_tags(path, ours, theirs),
                // SaslHandshake has no flexible version, so theirs has no place for tags at all.
                None => assert_eq!(ours, &Value::Array(Vec::new()), "{path}"),
            },
            None => _ = self.fields_only_ours.insert(field.to_owned()),
        }
    }
}

/// Ours keeps unknown tagged fields as a list, theirs as a map.
fn compare_tags(path: &str, ours: &Value, theirs: &Value) {
    let entries = ours.as_array().unwrap().iter().map(|pair| (pair[0].to_string(), pair[1].clone()));
    assert_eq!(&Value::Object(entries.collect()), theirs, "{path}");
}

#[test]
fn an_independent_codec_reads_the_same_fields_and_writes_the_same_bytes() {
    let bodies = bodies();
    let mut tally = Tally::default();
    macro_rules! each {
        ($($key:ident($module:ident): $request:ident => $response:ident;)+) => { $(
            agree::<ringlog_wire::messages::$module::$request, theirs::$request>(&bodies, &mut tally);
            agree::<ringlog_wire::messages::$module::$response, theirs::$response>(&bodies, &mut tally);
        )+ };
    }
    for_each_api!(each);
    println!("{} messages, {} of them mutated, {} fields", tally.messages, tally.mutated, tally.fields);
    println!("only Kafka's vectors cover {}", tally.versions_only_ours.join(", "));
    // A name that theirs splits otherwise, fields of DescribeLogDirs 5 and WriteTxnMarkers 2, which theirs does not have, and a
    // word of the language.
    let only_ours = ["enable2_pc", "is_cordoned", "match", "transaction_version"];
    assert_eq!(tally.fields_only_ours.iter().collect::<Vec<_>>(), only_ours);
    assert!(tally.mutated > 10_000 && tally.fields > 500_000, "{} mutated, {} fields", tally.mutated, tally.fields);
    assert!(tally.versions_only_ours.len() < 12, "{:?}", tally.versions_only_ours);
}
