//! What Kafka's own classes write for every message, version and field that we declare (`scripts/wire-vectors`): the
//! bytes decode, every field has the value that Kafka gave it, and the bytes come back.
//!
//! Fields are compared through `Debug`: it names every field of every struct without a second list of them.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;
#[path = "common/debug.rs"]
mod debug;

use std::collections::BTreeSet;

use ringlog_wire::messages::consumer_protocol::{ConsumerProtocolAssignment, ConsumerProtocolSubscription};
use ringlog_wire::records::{consumer_group, group, metadata, transaction_log};
use ringlog_wire::{Message, Reader, for_each_api};
use serde_json::Value;

#[derive(serde::Deserialize)]
struct Vector {
    message: String,
    version: i16,
    variant: String,
    hex: String,
    fields: Value,
}

fn vectors() -> Vec<Vector> {
    include_str!("data/vectors.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Decodes, compares and encodes again; returns how many fields were compared.
fn check<M: Message>(vector: &Vector) -> usize {
    let (name, version) = (format!("{} v{} {}", M::NAME, vector.version, vector.variant), vector.version);
    let bytes = common::hex(&vector.hex);
    let mut r = Reader::new(&bytes);
    let message = M::decode(&mut r, version).unwrap_or_else(|e| panic!("{name}: {e}"));
    r.finish().unwrap_or_else(|e| panic!("{name}: {e}"));
    let compared = compare(&name, &vector.fields, &debug::parse(&format!("{message:?}")));
    assert_eq!(common::encode_with_records(&message, version, &bytes), bytes, "{name}");
    compared
}

fn compare(path: &str, kafka: &Value, ours: &Value) -> usize {
    match (kafka, ours) {
        (Value::Object(kafka), Value::Object(ours)) => kafka
            .iter()
            .map(|(name, value)| {
                let field = snake(name);
                let found = ours.get(&field).unwrap_or_else(|| panic!("{path}: no field {field}"));
                compare(&format!("{path}.{field}"), value, found)
            })
            .sum(),
        (Value::Array(kafka), Value::Array(ours)) if kafka.len() == ours.len() => {
            kafka.iter().zip(ours).map(|(kafka, ours)| compare(path, kafka, ours)).sum()
        }
        (Value::String(text), ours) if kafka != ours => {
            assert_eq!(text.parse().map(debug::id).as_ref(), Ok(ours), "{path}: an id or another text");
            1
        }
        _ => {
            assert_eq!(kafka, ours, "{path}: Kafka on the left");
            1
        }
    }
}

fn snake(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

fn check_any(vector: &Vector) -> usize {
    macro_rules! dispatch {
        ($($key:ident($module:ident): $request:ident => $response:ident;)+) => {
            match vector.message.as_str() {
                $(
                    stringify!($request) => return check::<ringlog_wire::messages::$module::$request>(vector),
                    stringify!($response) => return check::<ringlog_wire::messages::$module::$response>(vector),
                )+
                _ => {}
            }
        };
    }
    for_each_api!(dispatch);
    macro_rules! records {
        ($($module:ident: $($record:ident)+;)+) => {
            match vector.message.as_str() {
                "ConsumerProtocolAssignment" => check::<ConsumerProtocolAssignment>(vector),
                "ConsumerProtocolSubscription" => check::<ConsumerProtocolSubscription>(vector),
                $($(stringify!($record) => check::<$module::$record>(vector),)+)+
                other => panic!("{other} has vectors, but no declaration is checked against them"),
            }
        };
    }
    records! {
        consumer_group: ConsumerGroupMetadataKey ConsumerGroupPartitionMetadataKey
            ConsumerGroupTargetAssignmentMetadataKey ConsumerGroupMemberMetadataKey
            ConsumerGroupTargetAssignmentMemberKey ConsumerGroupCurrentMemberAssignmentKey
            ConsumerGroupRegularExpressionKey ConsumerGroupMetadataValue ConsumerGroupMemberMetadataValue
            ConsumerGroupTargetAssignmentMetadataValue ConsumerGroupTargetAssignmentMemberValue
            ConsumerGroupCurrentMemberAssignmentValue ConsumerGroupRegularExpressionValue;
        group: OffsetCommitKey OffsetCommitValue GroupMetadataKey GroupMetadataValue;
        transaction_log: TransactionLogKey TransactionLogValue;
        metadata: RegisterBrokerRecord UnregisterBrokerRecord TopicRecord PartitionRecord ConfigRecord
            PartitionChangeRecord FenceBrokerRecord UnfenceBrokerRecord RemoveTopicRecord DelegationTokenRecord
            UserScramCredentialRecord FeatureLevelRecord ClientQuotaRecord ProducerIdsRecord
            BrokerRegistrationChangeRecord AccessControlEntryRecord RemoveAccessControlEntryRecord NoOpRecord
            ZkMigrationStateRecord RemoveUserScramCredentialRecord BeginTransactionRecord EndTransactionRecord
            AbortTransactionRecord RemoveDelegationTokenRecord RegisterControllerRecord ClearElrRecord;
    }
}

#[test]
fn every_field_in_every_version_is_what_kafka_wrote() {
    let vectors = vectors();
    let compared: usize = vectors.iter().map(check_any).sum();
    assert!(vectors.len() > 700 && compared > 6000, "{} vectors, {compared} fields", vectors.len());
}

#[test]
fn every_declared_version_has_a_vector() {
    let seen: BTreeSet<(String, i16)> = vectors().into_iter().map(|v| (v.message, v.version)).collect();
    fn expect<M: Message>(seen: &BTreeSet<(String, i16)>) {
        for version in M::VERSIONS.0..=M::VERSIONS.1 {
            assert!(seen.contains(&(M::NAME.to_owned(), version)), "no vector for {} v{version}", M::NAME);
        }
    }
    macro_rules! each {
        ($($key:ident($module:ident): $request:ident => $response:ident;)+) => { $(
            expect::<ringlog_wire::messages::$module::$request>(&seen);
            expect::<ringlog_wire::messages::$module::$response>(&seen);
        )+ };
    }
    for_each_api!(each);
}
