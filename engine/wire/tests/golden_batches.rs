//! Batches that other programs wrote: produce requests of five client libraries, and a log directory of a real broker.
#![allow(clippy::disallowed_methods, reason = "tests read their own data files")]
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::collections::BTreeMap;
use std::path::Path;

use ringlog_wire::batch::{Batch, Batches, Rules, validate};
use ringlog_wire::compression::Scratch;
use ringlog_wire::header::RequestHeader;
use ringlog_wire::messages::fetch::FetchResponse;
use ringlog_wire::messages::produce::ProduceRequest;
use ringlog_wire::records::consumer_group::*;
use ringlog_wire::records::group::{self, GroupKey, GroupMetadataValue, OffsetCommitValue};
use ringlog_wire::records::metadata::MetadataRecord;
use ringlog_wire::records::transaction_log::{TransactionLogKey, TransactionLogValue};
use ringlog_wire::{ApiKey, Message, Reader, header};

const OPEN_MAX: usize = 1 << 20;

#[test]
fn every_batch_that_a_client_produced_is_valid() {
    let mut codecs = BTreeMap::new();
    for frame in common::golden_frames().iter().filter(|frame| frame.api_key == ApiKey::Produce.key()) {
        let mut r = Reader::new(&frame.request);
        RequestHeader::decode(&mut r).unwrap();
        let request = ProduceRequest::decode(&mut r, frame.api_version).unwrap();
        for partition in request.topic_data.iter().flat_map(|topic| &topic.partition_data) {
            let bytes = partition.records.bytes(&frame.request).unwrap();
            let time = Batch::parse(bytes).unwrap().header.max_timestamp;
            let validated = validate(bytes, &Rules::default(), time, &mut Scratch::new()).unwrap();
            assert!(!validated.header_changed, "{}", frame.client);
            *codecs.entry(validated.codec.name()).or_insert(0) += 1;
        }
    }
    assert_eq!(codecs.keys().copied().collect::<Vec<_>>(), ["gzip", "lz4", "none", "snappy", "zstd"], "{codecs:?}");
}

#[test]
fn every_record_that_a_broker_answered_reads() {
    let mut records = 0;
    for frame in common::golden_frames().iter().filter(|frame| frame.api_key == ApiKey::Fetch.key()) {
        let mut r = Reader::new(&frame.response);
        header::ResponseHeader::decode(&mut r, ApiKey::Fetch, frame.api_version).unwrap();
        let response = FetchResponse::decode(&mut r, frame.api_version).unwrap();
        for partition in response.responses.iter().flat_map(|topic| &topic.partitions) {
            records += count_records(partition.records.bytes(&frame.response).unwrap_or_default());
        }
    }
    assert!(records > 50, "{records}");
}

fn count_records(bytes: &[u8]) -> usize {
    let mut scratch = Scratch::new();
    let mut count = 0;
    for batch in Batches::new(bytes) {
        let batch = batch.unwrap();
        batch.check_crc().unwrap();
        count += batch.records(&mut scratch, OPEN_MAX).unwrap().map(Result::unwrap).count();
    }
    count
}

/// The batch's control mark, key and value.
type LoggedRecord = (bool, Option<Vec<u8>>, Option<Vec<u8>>);

/// Every record in a partition folder of the golden log directory.
fn golden_log(partition: &str) -> Vec<LoggedRecord> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../storage/tests/data/golden-log").join(partition);
    let bytes = std::fs::read(path.join("00000000000000000000.log")).unwrap();
    let mut scratch = Scratch::new();
    let mut records = Vec::new();
    let mut batches = Batches::new(&bytes);
    for batch in batches.by_ref() {
        let batch = batch.unwrap();
        batch.check_crc().unwrap();
        for record in batch.records(&mut scratch, OPEN_MAX).unwrap() {
            let record = record.unwrap();
            let owned = |part: Option<&[u8]>| part.map(<[u8]>::to_vec);
            records.push((batch.header.is_control(), owned(record.key), owned(record.value)));
        }
    }
    assert!(batches.rest().is_empty(), "{partition}");
    records
}

#[test]
fn a_brokers_user_topic_reads_with_every_codec_and_marker() {
    let records: Vec<_> = ["t2-0", "t2-1"].into_iter().flat_map(golden_log).collect();
    assert!(records.iter().any(|(control, ..)| *control), "no transaction marker");
    assert!(records.len() > 100, "{}", records.len());
}

#[test]
fn every_metadata_record_comes_back_byte_for_byte() {
    let mut names = BTreeMap::new();
    for (control, _, value) in golden_log("__cluster_metadata-0") {
        if control {
            continue;
        }
        let value = value.unwrap();
        let (record, version) = MetadataRecord::decode_value(&value).unwrap();
        assert_eq!(record.encode_value(version).unwrap(), value, "{} v{version}", record.name());
        *names.entry(record.name()).or_insert(0) += 1;
    }
    for name in
        ["TopicRecord", "PartitionRecord", "PartitionChangeRecord", "FeatureLevelRecord", "RegisterBrokerRecord"]
    {
        assert!(names.contains_key(name), "no {name} among {names:?}");
    }
}

fn again<M: ringlog_wire::Message>(value: &[u8], version: i16) -> Vec<u8> {
    group::encode_value(&group::decode_value::<M>(value).unwrap(), version).unwrap()
}

#[test]
fn every_group_record_comes_back_byte_for_byte() {
    let (mut offsets, mut groups, mut consumers) = (0, 0, 0);
    for (control, key, value) in ["__consumer_offsets-12", "__consumer_offsets-34"].into_iter().flat_map(golden_log) {
        if control {
            continue;
        }
        let key_bytes = key.unwrap();
        let key = GroupKey::decode(&key_bytes).unwrap();
        match key {
            GroupKey::Other(_) => continue,
            _ => assert_eq!(key.encode().unwrap(), key_bytes),
        }
        let Some(value) = value else { continue };
        let version = i16::from_be_bytes(*value.first_chunk().unwrap());
        let again = match &key {
            GroupKey::Offset(_) => {
                offsets += 1;
                again::<OffsetCommitValue>(&value, version)
            }
            GroupKey::Consumer(key) => {
                consumers += 1;
                match key {
                    ConsumerGroupKey::Group(_) => again::<ConsumerGroupMetadataValue>(&value, version),
                    ConsumerGroupKey::Member(_) => again::<ConsumerGroupMemberMetadataValue>(&value, version),
                    ConsumerGroupKey::Target(_) => again::<ConsumerGroupTargetAssignmentMetadataValue>(&value, version),
                    ConsumerGroupKey::TargetMember(_) => {
                        again::<ConsumerGroupTargetAssignmentMemberValue>(&value, version)
                    }
                    ConsumerGroupKey::Current(_) => again::<ConsumerGroupCurrentMemberAssignmentValue>(&value, version),
                    ConsumerGroupKey::RegularExpression(_) => {
                        again::<ConsumerGroupRegularExpressionValue>(&value, version)
                    }
                    ConsumerGroupKey::PartitionMetadata(_) => panic!("Kafka 4.3 does not write it"),
                }
            }
            _ => {
                groups += 1;
                again::<GroupMetadataValue>(&value, version)
            }
        };
        assert_eq!(again, value, "{key:?}");
    }
    assert!(offsets > 0 && groups > 0 && consumers > 0, "{offsets} offsets, {groups} and {consumers} of groups");
}

#[test]
fn every_record_of_a_transaction_comes_back_byte_for_byte() {
    let mut states = std::collections::BTreeSet::new();
    for (_, key, value) in ["__transaction_state-12", "__transaction_state-24"].into_iter().flat_map(golden_log) {
        let key = key.unwrap();
        let value = value.unwrap();
        let decoded = TransactionLogKey::decode_key(&key).unwrap().unwrap();
        assert_eq!(decoded.encode_key().unwrap(), key);
        let version = i16::from_be_bytes(*value.first_chunk().unwrap());
        assert_eq!(again::<TransactionLogValue>(&value, version), value, "{} v{version}", decoded.transactional_id);
        states.insert(group::decode_value::<TransactionLogValue>(&value).unwrap().transaction_status);
    }
    // Empty, Ongoing, both prepared and both complete: transactions were committed and aborted there.
    assert_eq!(states.into_iter().collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5]);
}
