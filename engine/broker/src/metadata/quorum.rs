//! What a KRaft voter keeps beside the metadata log: `quorum-state` (FileQuorumStateStore, version 0), and the control
//! record that begins an epoch. We are a quorum of one: every start is an election that node `node.id` wins.

use ringlog_wire::batch::{BatchBuilder, ControlType};

/// The file's name in the log's folder.
pub(crate) const QUORUM_STATE: &str = "quorum-state";

/// The file's text.
pub(crate) fn state(node: i32, epoch: i32) -> String {
    format!(
        "{{\"clusterId\":\"\",\"leaderId\":{node},\"leaderEpoch\":{epoch},\"votedId\":-1,\"appliedOffset\":0,\
         \"currentVoters\":[{{\"voterId\":{node}}}],\"data_version\":0}}"
    )
}

/// The epoch that a `quorum-state` names.
pub(crate) fn epoch_of(text: &str) -> Option<i32> {
    let (_, rest) = text.split_once("\"leaderEpoch\"")?;
    let rest = rest.trim_start().strip_prefix(':')?.trim_start();
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    rest[..end].parse().ok()
}

/// Adds the LeaderChangeMessage (version 0) of an election that `node` won alone.
pub(crate) fn append_leader_change(builder: &mut BatchBuilder, node: i32, wall_ms: i64) {
    const ONE_ENTRY: u8 = 2;
    const NO_TAGS: u8 = 0;
    let id = node.to_be_bytes();
    let mut value = vec![0, 0];
    value.extend(id);
    for _voters_and_granting_voters in 0..2 {
        value.push(ONE_ENTRY);
        value.extend(id);
        value.push(NO_TAGS);
    }
    value.push(NO_TAGS);
    builder.append_control(wall_ms, ControlType::LeaderChange, &value);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The file of Kafka's own log directory.
    const KAFKAS: &str = r#"{"clusterId":"","leaderId":1,"leaderEpoch":1,"votedId":-1,"appliedOffset":0,"currentVoters":[{"voterId":1}],"data_version":0}"#;

    #[test]
    fn the_file_is_what_kafka_writes() {
        assert_eq!(state(1, 1), KAFKAS);
        assert_eq!(epoch_of(&state(7, 42)), Some(42));
        assert_eq!(epoch_of(r#"{ "leaderEpoch" : 5 , "x":1}"#), Some(5));
        assert_eq!(epoch_of(r#"{"leaderEpoch":x}"#), None);
        assert_eq!(epoch_of(""), None);
    }
}
