//! A broker's throttle (quotas): how long an answer wants the client to hold back, and that it does (KIP-219).
//!
//! ```text
//!   answer --throttle_time_ms--> counted, always
//!                            '-> the node gets no request until that time is over     from the version that says so
//! ```
//!
//! From that version on the broker answers first and leaves the connection unread for as long: a client that went on would
//! see its requests take that time, and one that holds back knows why. Before it, the answer itself came late.

use ringlog_wire::ApiKey;

use super::super::NodeId;
use super::super::accumulator::nanos;
use super::Network;

/// Which answers begin with `throttle_time_ms`, from which version on, and from which one the client holds back
/// (`shouldClientThrottle` of Kafka's response classes; `None`: it never does). Produce has it at its end, ApiVersions behind
/// its list.
const FIRST_FIELD: [(ApiKey, i16, Option<i16>); 18] = [
    (ApiKey::Fetch, 1, Some(8)),
    (ApiKey::ListOffsets, 2, Some(3)),
    (ApiKey::Metadata, 3, Some(6)),
    (ApiKey::OffsetCommit, 3, Some(4)),
    (ApiKey::OffsetFetch, 3, Some(4)),
    (ApiKey::FindCoordinator, 1, Some(2)),
    (ApiKey::JoinGroup, 2, Some(3)),
    (ApiKey::Heartbeat, 1, Some(2)),
    (ApiKey::LeaveGroup, 1, Some(2)),
    (ApiKey::SyncGroup, 1, Some(2)),
    (ApiKey::CreateTopics, 2, Some(3)),
    (ApiKey::DeleteTopics, 1, Some(2)),
    (ApiKey::InitProducerId, 0, Some(1)),
    (ApiKey::OffsetForLeaderEpoch, 2, None),
    (ApiKey::AddPartitionsToTxn, 0, Some(1)),
    (ApiKey::EndTxn, 0, Some(1)),
    (ApiKey::TxnOffsetCommit, 0, Some(1)),
    (ApiKey::ConsumerGroupHeartbeat, 0, None),
];
/// ProduceResponse.shouldClientThrottle.
const PRODUCE_HOLDS_BACK: i16 = 6;
/// ApiVersionsResponse.shouldClientThrottle.
const VERSIONS_HOLDS_BACK: i16 = 2;

impl Network {
    /// A node can be asked and does not want us to hold back.
    pub(super) fn is_held_back(&self, id: NodeId) -> bool {
        let now_ns = self.now_ns();
        self.nodes.get(&id).is_some_and(|node| node.held_back_until_ns > now_ns)
    }

    /// What an answer's first bytes say of it, where that is where it stands.
    pub(super) fn note_first_field(&mut self, id: NodeId, api: ApiKey, version: i16, body: &[u8]) {
        let place = FIRST_FIELD.iter().find(|(known, since, _)| *known == api && version >= *since);
        if let (Some((.., holds_back)), Some(bytes)) = (place, body.first_chunk()) {
            self.note(id, i32::from_be_bytes(*bytes), holds_back.is_some_and(|since| version >= since));
        }
    }

    /// What an answer to Produce or ApiVersions says of it, which whoever decodes it tells.
    pub(crate) fn note_throttle(&mut self, id: NodeId, api: ApiKey, version: i16, throttle_ms: i32) {
        let since = if api == ApiKey::Produce { PRODUCE_HOLDS_BACK } else { VERSIONS_HOLDS_BACK };
        self.note(id, throttle_ms, version >= since);
    }

    fn note(&mut self, id: NodeId, throttle_ms: i32, holds_back: bool) {
        let Some(throttle_ms) = u64::try_from(throttle_ms).ok().filter(|ms| *ms > 0) else { return };
        self.stats.throttle_ms += throttle_ms;
        if !holds_back {
            return;
        }
        let until_ns = self.now_ns().saturating_add(nanos(std::time::Duration::from_millis(throttle_ms)));
        if let Some(node) = self.nodes.get_mut(&id) {
            node.held_back_until_ns = node.held_back_until_ns.max(until_ns);
        }
    }
}

#[cfg(test)]
mod tests {
    use ringlog_wire::messages::{
        fetch::FetchResponse, find_coordinator::FindCoordinatorResponse, heartbeat::HeartbeatResponse,
        init_producer_id::InitProducerIdResponse, join_group::JoinGroupResponse, list_offsets::ListOffsetsResponse,
        metadata::MetadataResponse, offset_commit::OffsetCommitResponse, offset_fetch::OffsetFetchResponse,
    };
    use ringlog_wire::{Message, Writer};

    use super::*;

    /// What the first bytes of a message say in each of its versions.
    fn first_fields<M: Message>(message: &M, versions: std::ops::RangeInclusive<i16>) -> Vec<i32> {
        let first = |version| {
            let mut writer = Writer::new();
            // Of what is older than our messages are, nobody here gets an answer.
            message.encode(&mut writer, version).ok()?;
            Some(i32::from_be_bytes(*writer.bytes.first_chunk().unwrap()))
        };
        versions.filter_map(first).collect()
    }

    #[test]
    fn answers_begin_with_their_throttle_from_the_version_of_the_table_on() {
        let since = |api| FIRST_FIELD.iter().find(|it| it.0 == api).unwrap().1;
        macro_rules! begins {
            ($($api:ident $message:ident $last:literal,)+) => {$(
                let message = $message { throttle_time_ms: 77, ..$message::default() };
                let found = first_fields(&message, since(ApiKey::$api)..=$last);
                assert!(!found.is_empty() && found.iter().all(|it| *it == 77), "{} {found:?}", stringify!($api));
            )+};
        }
        begins! {
            Fetch FetchResponse 12,
            ListOffsets ListOffsetsResponse 7,
            Metadata MetadataResponse 12,
            OffsetCommit OffsetCommitResponse 8,
            OffsetFetch OffsetFetchResponse 7,
            FindCoordinator FindCoordinatorResponse 3,
            JoinGroup JoinGroupResponse 5,
            Heartbeat HeartbeatResponse 4,
            InitProducerId InitProducerIdResponse 4,
        }
    }
}
