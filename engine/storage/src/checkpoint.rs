//! Kafka's small text files: checkpoints (`CheckpointFile`), properties, `partition.metadata`, `.kafka_cleanshutdown`.

use std::collections::BTreeMap;

use crate::PartitionName;
use ringlog_wire::Uuid;

/// Version line of every checkpoint file.
const VERSION: &str = "0";

/// What is wrong with a text file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct CheckpointError(String);

impl CheckpointError {
    pub(crate) fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }
}

/// Reads version, count and as many lines of words.
pub(crate) fn read_lines<T>(bytes: &[u8], entry: impl Fn(&[&str]) -> Option<T>) -> Result<Vec<T>, CheckpointError> {
    let text = std::str::from_utf8(bytes).map_err(|_| CheckpointError::new("not text"))?;
    let mut lines = text.lines();
    if lines.next() != Some(VERSION) {
        return Err(CheckpointError::new(format!("the first line is not version {VERSION}")));
    }
    let count: usize = lines
        .next()
        .and_then(|line| line.parse().ok())
        .ok_or_else(|| CheckpointError::new("the second line is not a count"))?;
    let entries: Vec<T> = lines
        .map(|line| {
            let words: Vec<&str> = line.split_ascii_whitespace().collect();
            entry(&words).ok_or_else(|| CheckpointError::new(format!("the line {line:?} is no entry")))
        })
        .collect::<Result<_, _>>()?;
    if entries.len() != count {
        return Err(CheckpointError::new(format!("{} entries where {count} are announced", entries.len())));
    }
    Ok(entries)
}

/// Writes version, count and lines.
pub(crate) fn write_lines(lines: impl ExactSizeIterator<Item = String>) -> Vec<u8> {
    let mut text = format!("{VERSION}\n{}\n", lines.len());
    for line in lines {
        text.push_str(&line);
        text.push('\n');
    }
    text.into_bytes()
}

/// Offsets of partitions: `recovery-point-offset-checkpoint`, `log-start-offset-checkpoint`.
pub(crate) fn parse_offsets(bytes: &[u8]) -> Result<BTreeMap<PartitionName, i64>, CheckpointError> {
    let entries = read_lines(bytes, |words| match words {
        [topic, partition, offset] => {
            let name = PartitionName { topic: (*topic).to_owned(), partition: partition.parse().ok()? };
            Some((name, offset.parse::<i64>().ok().filter(|offset| *offset >= 0)?))
        }
        _ => None,
    })?;
    Ok(entries.into_iter().collect())
}

/// The same, written.
pub(crate) fn encode_offsets(offsets: &BTreeMap<PartitionName, i64>) -> Vec<u8> {
    write_lines(offsets.iter().map(|(name, offset)| format!("{} {} {offset}", name.topic, name.partition)))
}

/// Ids of topics, by name: ours, in the shape of Kafka's checkpoints.
pub(crate) fn parse_topic_ids(bytes: &[u8]) -> Result<BTreeMap<String, Uuid>, CheckpointError> {
    let entries = read_lines(bytes, |words| match words {
        [topic, id] => Some(((*topic).to_owned(), id.parse().ok()?)),
        _ => None,
    })?;
    Ok(entries.into_iter().collect())
}

/// The same, written.
pub(crate) fn encode_topic_ids(ids: &BTreeMap<String, Uuid>) -> Vec<u8> {
    write_lines(ids.iter().map(|(topic, id)| format!("{topic} {id}")))
}

/// Reads `key<separator>value` lines; comments and empty lines are passed over.
pub(crate) fn parse_pairs(bytes: &[u8], separator: char) -> Result<BTreeMap<String, String>, CheckpointError> {
    let text = std::str::from_utf8(bytes).map_err(|_| CheckpointError::new("not text"))?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| match line.split_once(separator) {
            Some((key, value)) => Ok((key.trim().to_owned(), value.trim().to_owned())),
            None => Err(CheckpointError::new(format!("the line {line:?} has no {separator:?}"))),
        })
        .collect()
}

/// `partition.metadata` (`PartitionMetadataFile`).
pub(crate) fn encode_partition_metadata(topic_id: Uuid) -> Vec<u8> {
    format!("version: 0\ntopic_id: {topic_id}").into_bytes()
}

/// The topic's id in `partition.metadata`.
pub(crate) fn parse_partition_metadata(bytes: &[u8]) -> Result<Uuid, CheckpointError> {
    let pairs = parse_pairs(bytes, ':')?;
    let id = pairs.get("topic_id").ok_or_else(|| CheckpointError::new("topic_id is missing"))?;
    id.parse().map_err(|_| CheckpointError::new(format!("topic_id {id:?} is no id")))
}
