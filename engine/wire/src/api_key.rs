//! Every API of Kafka 4.3: number, versions, and the first flexible one.
//!
//! This is what Kafka knows, not what this broker serves: the handlers' list says that.

use crate::codec::DecodeError;
use crate::schema::NEVER;

macro_rules! api_keys {
    ($($name:ident = $key:literal, $low:literal ..= $high:literal, flexible $flexible:expr;)+) => {
        /// An API's number in the request header.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(i16)]
        pub enum ApiKey {
            $(
                #[doc = concat!("Key ", stringify!($key), ", versions ", stringify!($low), " to ", stringify!($high), ".")]
                $name = $key,
            )+
        }

        impl ApiKey {
            /// All of them, ascending.
            pub const ALL: &'static [ApiKey] = &[$(ApiKey::$name),+];

            /// Kafka's name for it.
            pub fn name(self) -> &'static str {
                match self { $(ApiKey::$name => stringify!($name)),+ }
            }

            /// The lowest and highest version that a default Kafka 4.3 broker advertises.
            ///
            /// Produce says 0 although 0 to 2 do not decode: librdkafka switches compression off otherwise
            /// (KAFKA-18659). InitProducerId stops before its unstable version 6.
            pub fn versions(self) -> (i16, i16) {
                match self { $(ApiKey::$name => ($low, $high)),+ }
            }

            /// The first version with compact lengths and tagged fields, `i16::MAX` if there is none.
            pub fn flexible_from(self) -> i16 {
                match self { $(ApiKey::$name => $flexible),+ }
            }
        }

        impl TryFrom<i16> for ApiKey {
            type Error = DecodeError;

            fn try_from(key: i16) -> Result<Self, DecodeError> {
                match key {
                    $($key => Ok(ApiKey::$name),)+
                    _ => Err(DecodeError::Unknown { what: "API key", value: key.into() }),
                }
            }
        }
    };
}

api_keys! {
    Produce = 0, 0..=13, flexible 9;
    Fetch = 1, 4..=18, flexible 12;
    ListOffsets = 2, 1..=11, flexible 6;
    Metadata = 3, 0..=13, flexible 9;
    OffsetCommit = 8, 2..=10, flexible 8;
    OffsetFetch = 9, 1..=10, flexible 6;
    FindCoordinator = 10, 0..=6, flexible 3;
    JoinGroup = 11, 0..=9, flexible 6;
    Heartbeat = 12, 0..=4, flexible 4;
    LeaveGroup = 13, 0..=5, flexible 4;
    SyncGroup = 14, 0..=5, flexible 4;
    DescribeGroups = 15, 0..=6, flexible 5;
    ListGroups = 16, 0..=5, flexible 3;
    SaslHandshake = 17, 0..=1, flexible NEVER;
    ApiVersions = 18, 0..=4, flexible 3;
    CreateTopics = 19, 2..=7, flexible 5;
    DeleteTopics = 20, 1..=6, flexible 4;
    DeleteRecords = 21, 0..=2, flexible 2;
    InitProducerId = 22, 0..=5, flexible 2;
    OffsetForLeaderEpoch = 23, 2..=4, flexible 4;
    AddPartitionsToTxn = 24, 0..=5, flexible 3;
    AddOffsetsToTxn = 25, 0..=4, flexible 3;
    EndTxn = 26, 0..=5, flexible 3;
    WriteTxnMarkers = 27, 1..=2, flexible 1;
    TxnOffsetCommit = 28, 0..=5, flexible 3;
    DescribeAcls = 29, 1..=3, flexible 2;
    CreateAcls = 30, 1..=3, flexible 2;
    DeleteAcls = 31, 1..=3, flexible 2;
    DescribeConfigs = 32, 1..=4, flexible 4;
    AlterConfigs = 33, 0..=2, flexible 2;
    AlterReplicaLogDirs = 34, 1..=2, flexible 2;
    DescribeLogDirs = 35, 1..=5, flexible 2;
    SaslAuthenticate = 36, 0..=2, flexible 2;
    CreatePartitions = 37, 0..=3, flexible 2;
    CreateDelegationToken = 38, 1..=3, flexible 2;
    RenewDelegationToken = 39, 1..=2, flexible 2;
    ExpireDelegationToken = 40, 1..=2, flexible 2;
    DescribeDelegationToken = 41, 1..=3, flexible 2;
    DeleteGroups = 42, 0..=2, flexible 2;
    ElectLeaders = 43, 0..=2, flexible 2;
    IncrementalAlterConfigs = 44, 0..=1, flexible 1;
    AlterPartitionReassignments = 45, 0..=1, flexible 0;
    ListPartitionReassignments = 46, 0..=0, flexible 0;
    OffsetDelete = 47, 0..=0, flexible NEVER;
    DescribeClientQuotas = 48, 0..=1, flexible 1;
    AlterClientQuotas = 49, 0..=1, flexible 1;
    DescribeUserScramCredentials = 50, 0..=0, flexible 0;
    AlterUserScramCredentials = 51, 0..=0, flexible 0;
    Vote = 52, 0..=2, flexible 0;
    BeginQuorumEpoch = 53, 0..=1, flexible 1;
    EndQuorumEpoch = 54, 0..=1, flexible 1;
    DescribeQuorum = 55, 0..=2, flexible 0;
    AlterPartition = 56, 2..=3, flexible 0;
    UpdateFeatures = 57, 0..=2, flexible 0;
    Envelope = 58, 0..=0, flexible 0;
    FetchSnapshot = 59, 0..=1, flexible 0;
    DescribeCluster = 60, 0..=2, flexible 0;
    DescribeProducers = 61, 0..=0, flexible 0;
    BrokerRegistration = 62, 0..=4, flexible 0;
    BrokerHeartbeat = 63, 0..=2, flexible 0;
    UnregisterBroker = 64, 0..=0, flexible 0;
    DescribeTransactions = 65, 0..=0, flexible 0;
    ListTransactions = 66, 0..=2, flexible 0;
    AllocateProducerIds = 67, 0..=0, flexible 0;
    ConsumerGroupHeartbeat = 68, 0..=1, flexible 0;
    ConsumerGroupDescribe = 69, 0..=1, flexible 0;
    ControllerRegistration = 70, 0..=0, flexible 0;
    GetTelemetrySubscriptions = 71, 0..=0, flexible 0;
    PushTelemetry = 72, 0..=0, flexible 0;
    AssignReplicasToDirs = 73, 0..=0, flexible 0;
    ListConfigResources = 74, 0..=1, flexible 0;
    DescribeTopicPartitions = 75, 0..=0, flexible 0;
    ShareGroupHeartbeat = 76, 1..=1, flexible 0;
    ShareGroupDescribe = 77, 1..=1, flexible 0;
    ShareFetch = 78, 1..=2, flexible 0;
    ShareAcknowledge = 79, 1..=2, flexible 0;
    AddRaftVoter = 80, 0..=1, flexible 0;
    RemoveRaftVoter = 81, 0..=0, flexible 0;
    UpdateRaftVoter = 82, 0..=0, flexible 0;
    InitializeShareGroupState = 83, 0..=0, flexible 0;
    ReadShareGroupState = 84, 0..=0, flexible 0;
    WriteShareGroupState = 85, 0..=1, flexible 0;
    DeleteShareGroupState = 86, 0..=0, flexible 0;
    ReadShareGroupStateSummary = 87, 0..=1, flexible 0;
    StreamsGroupHeartbeat = 88, 0..=0, flexible 0;
    StreamsGroupDescribe = 89, 0..=0, flexible 0;
    DescribeShareGroupOffsets = 90, 0..=1, flexible 0;
    AlterShareGroupOffsets = 91, 0..=0, flexible 0;
    DeleteShareGroupOffsets = 92, 0..=0, flexible 0;
}

impl ApiKey {
    /// The number on the wire.
    pub fn key(self) -> i16 {
        self as i16
    }

    /// True from the version on that has compact lengths and tagged fields.
    pub fn is_flexible(self, version: i16) -> bool {
        version >= self.flexible_from()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_belong_together() {
        assert_eq!(ApiKey::try_from(18), Ok(ApiKey::ApiVersions));
        assert_eq!(ApiKey::ApiVersions.name(), "ApiVersions");
        assert!(ApiKey::try_from(4).is_err(), "LeaderAndIsr went with ZooKeeper");
        assert!(ApiKey::ALL.iter().all(|api| ApiKey::try_from(api.key()) == Ok(*api)));
    }

    #[test]
    fn produce_announces_versions_that_it_does_not_read() {
        assert_eq!(ApiKey::Produce.versions(), (0, 13));
        assert_eq!(ApiKey::InitProducerId.versions(), (0, 5));
    }
}
