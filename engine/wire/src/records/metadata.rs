//! Records of the metadata log `__cluster_metadata-0`, as a KRaft controller writes them.
//!
//! ```text
//!   value = frame version uvarint (1) | record type uvarint | record version uvarint | body
//! ```
//!
//! Every schema is flexible from version 0 on (`MetadataRecordSerde`).

use crate::schema::prelude::*;

messages! {
    versions 0..=0, flexible 0;
    message TopicRecord;

    /// A topic comes into being.
    struct TopicRecord {
        /// The name.
        name: String [0..],
        /// The topic's id.
        topic_id: Uuid [0..],
    }
}

messages! {
    versions 0..=2, flexible 0;
    message PartitionRecord;

    /// A partition comes into being.
    struct PartitionRecord {
        /// The partition's index.
        partition_id: i32 [0..] = -1,
        /// The topic's id.
        topic_id: Uuid [0..],
        /// The replicas' node ids, the preferred leader first.
        replicas: Vec<i32> [0..],
        /// The in-sync replicas' node ids.
        isr: Vec<i32> [0..],
        /// Replicas that are being removed.
        removing_replicas: Vec<i32> [0..],
        /// Replicas that are being added.
        adding_replicas: Vec<i32> [0..],
        /// The leader's id.
        leader: i32 [0..] = -1,
        /// The leader's epoch, -1 if unknown.
        leader_epoch: i32 [0..] = -1,
        /// Grows with each change of the partition.
        partition_epoch: i32 [0..] = -1,
        /// Log directory of each replica, in the order of the replicas.
        directories: Vec<Uuid> [1..],
        /// 0 recovered, 1 recovering from an unclean election.
        leader_recovery_state: i8 [0..] tag 0,
        /// Replicas outside the ISR that may lead without loss.
        eligible_leader_replicas: Option<Vec<i32>> [2..] null [2..] tag 1,
        /// The last known eligible leaders.
        last_known_elr: Option<Vec<i32>> [2..] null [2..] tag 2,
    }
}

messages! {
    versions 0..=2, flexible 0;
    message PartitionChangeRecord;

    /// A partition changes; what is null or at its default stays.
    struct PartitionChangeRecord {
        /// The partition's index.
        partition_id: i32 [0..] = -1,
        /// The topic's id.
        topic_id: Uuid [0..],
        /// The in-sync replicas' node ids.
        isr: Option<Vec<i32>> [0..] null [0..] tag 0,
        /// The leader's id.
        leader: i32 [0..] tag 1 = -2,
        /// The replicas' node ids, the preferred leader first.
        replicas: Option<Vec<i32>> [0..] null [0..] tag 2,
        /// Replicas that are being removed.
        removing_replicas: Option<Vec<i32>> [0..] null [0..] tag 3,
        /// Replicas that are being added.
        adding_replicas: Option<Vec<i32>> [0..] null [0..] tag 4,
        /// 0 recovered, 1 recovering from an unclean election.
        leader_recovery_state: i8 [0..] tag 5 = -1,
        /// Replicas outside the ISR that may lead without loss.
        eligible_leader_replicas: Option<Vec<i32>> [2..] null [2..] tag 6,
        /// The last known eligible leaders.
        last_known_elr: Option<Vec<i32>> [2..] null [2..] tag 7,
        /// Log directory of each replica, in the order of the replicas.
        directories: Option<Vec<Uuid>> [1..] null [1..] tag 8,
    }
}

messages! {
    versions 0..=0, flexible 0;
    message RemoveTopicRecord;

    /// A topic goes.
    struct RemoveTopicRecord {
        /// The topic's id.
        topic_id: Uuid [0..],
    }
}

messages! {
    versions 0..=0, flexible 0;
    message ConfigRecord;

    /// A setting changes, null removes it.
    struct ConfigRecord {
        /// The resource's type: 2 topic, 4 broker, 8 broker logger, 16 client metrics, 32 group.
        resource_type: i8 [0..],
        /// The resource's name.
        resource_name: String [0..],
        /// The name.
        name: String [0..],
        /// The value.
        value: Option<String> [0..] null [0..] = Some(String::new()),
    }
}

messages! {
    versions 0..=0, flexible 0;
    message FeatureLevelRecord;

    /// A feature's level changes.
    struct FeatureLevelRecord {
        /// The name.
        name: String [0..],
        /// The finalized level, 0 removes the feature.
        feature_level: i16 [0..],
    }
}

messages! {
    versions 0..=4, flexible 0;
    message RegisterBrokerRecord;

    /// A broker registers.
    struct RegisterBrokerRecord {
        /// The broker's node id.
        broker_id: i32 [0..],
        /// Whether the broker still runs on ZooKeeper.
        is_migrating_zk_broker: bool [2..],
        /// Differs between two starts of the process.
        incarnation_id: Uuid [0..],
        /// The epoch of the broker's registration.
        broker_epoch: i64 [0..],
        /// Listeners.
        end_points: Vec<BrokerEndpoint> [0..],
        /// Features and the levels supported.
        features: Vec<BrokerFeature> [0..],
        /// The node's rack, null if it has none.
        rack: Option<String> [0..] null [0..] = Some(String::new()),
        /// Whether the broker is fenced.
        fenced: bool [0..] = true,
        /// Whether the broker is shutting down.
        in_controlled_shutdown: bool [1..],
        /// Log directories.
        log_dirs: Vec<Uuid> [3..] tag 0,
        /// Log directories that take no new partitions.
        cordoned_log_dirs: Option<Vec<Uuid>> [4..] null [4..] tag 1,
    }

    /// A listener.
    struct BrokerEndpoint {
        /// The name.
        name: String [0..],
        /// Host name or address.
        host: String [0..],
        /// The port.
        port: u16 [0..],
        /// 0 PLAINTEXT, 1 SSL, 2 SASL_PLAINTEXT, 3 SASL_SSL.
        security_protocol: i16 [0..],
    }

    /// A feature's supported levels.
    struct BrokerFeature {
        /// The name.
        name: String [0..],
        /// The lowest level.
        min_supported_version: i16 [0..],
        /// The highest level.
        max_supported_version: i16 [0..],
    }
}

messages! {
    versions 0..=3, flexible 0;
    message BrokerRegistrationChangeRecord;

    /// A broker's registration changes.
    struct BrokerRegistrationChangeRecord {
        /// The broker's node id.
        broker_id: i32 [0..],
        /// The epoch of the broker's registration.
        broker_epoch: i64 [0..],
        /// Whether the broker is fenced.
        fenced: i8 [0..] tag 0,
        /// Whether the broker is shutting down.
        in_controlled_shutdown: i8 [1..] tag 1,
        /// Log directories.
        log_dirs: Vec<Uuid> [2..] tag 2,
        /// Log directories that take no new partitions.
        cordoned_log_dirs: Option<Vec<Uuid>> [3..] null [3..] tag 3,
    }
}

messages! {
    versions 0..=0, flexible 0;
    message UnregisterBrokerRecord;

    /// A broker goes for good.
    struct UnregisterBrokerRecord {
        /// The broker's node id.
        broker_id: i32 [0..],
        /// The epoch of the broker's registration.
        broker_epoch: i64 [0..],
    }
}

messages! {
    versions 0..=0, flexible 0;
    message FenceBrokerRecord;

    /// A broker is fenced (older form).
    struct FenceBrokerRecord {
        /// The id.
        id: i32 [0..],
        /// The epoch.
        epoch: i64 [0..],
    }
}

messages! {
    versions 0..=0, flexible 0;
    message UnfenceBrokerRecord;

    /// A broker is unfenced (older form).
    struct UnfenceBrokerRecord {
        /// The id.
        id: i32 [0..],
        /// The epoch.
        epoch: i64 [0..],
    }
}

messages! {
    versions 0..=0, flexible 0;
    message ProducerIdsRecord;

    /// A block of producer ids is given out.
    struct ProducerIdsRecord {
        /// The broker's node id.
        broker_id: i32 [0..],
        /// The epoch of the broker's registration.
        broker_epoch: i64 [0..] = -1,
        /// The first producer id not yet given out.
        next_producer_id: i64 [0..],
    }
}

messages! {
    versions 0..=0, flexible 0;
    message NoOpRecord;

    /// Nothing: the controller is alive.
    struct NoOpRecord {
    }
}

messages! {
    versions 0..=0, flexible 0;
    message BeginTransactionRecord;

    /// The records up to the transaction's end apply together.
    struct BeginTransactionRecord {
        /// The name.
        name: Option<String> [0..] null [0..] tag 0,
    }
}

messages! {
    versions 0..=0, flexible 0;
    message EndTransactionRecord;

    /// The open transaction applies.
    struct EndTransactionRecord {
    }
}

messages! {
    versions 0..=0, flexible 0;
    message AbortTransactionRecord;

    /// The open transaction is dropped.
    struct AbortTransactionRecord {
        /// Why.
        reason: Option<String> [0..] null [0..] tag 0,
    }
}

messages! {
    versions 0..=0, flexible 0;
    message RegisterControllerRecord;

    /// A controller registers.
    struct RegisterControllerRecord {
        /// Node id of the controller.
        controller_id: i32 [0..],
        /// Differs between two starts of the process.
        incarnation_id: Uuid [0..],
        /// Whether the controller is ready to migrate from ZooKeeper.
        zk_migration_ready: bool [0..],
        /// Listeners.
        end_points: Vec<ControllerEndpoint> [0..],
        /// Features and the levels supported.
        features: Vec<ControllerFeature> [0..],
    }

    /// A listener.
    struct ControllerEndpoint {
        /// The name.
        name: String [0..],
        /// Host name or address.
        host: String [0..],
        /// The port.
        port: u16 [0..],
        /// 0 PLAINTEXT, 1 SSL, 2 SASL_PLAINTEXT, 3 SASL_SSL.
        security_protocol: i16 [0..],
    }

    /// A feature's supported levels.
    struct ControllerFeature {
        /// The name.
        name: String [0..],
        /// The lowest level.
        min_supported_version: i16 [0..],
        /// The highest level.
        max_supported_version: i16 [0..],
    }
}

messages! {
    versions 0..=0, flexible 0;
    message ClientQuotaRecord;

    /// A quota changes.
    struct ClientQuotaRecord {
        /// What the quota holds for.
        entity: Vec<EntityData> [0..],
        /// What is looked up or set.
        key: String [0..],
        /// The value.
        value: f64 [0..],
        /// Whether it is removed.
        remove: bool [0..],
    }

    /// What a quota holds for.
    struct EntityData {
        /// The entity's type.
        entity_type: String [0..],
        /// The entity's name, null for the default.
        entity_name: Option<String> [0..] null [0..] = Some(String::new()),
    }
}

messages! {
    versions 0..=0, flexible 0;
    message AccessControlEntryRecord;

    /// An access rule comes into being.
    struct AccessControlEntryRecord {
        /// The id.
        id: Uuid [0..],
        /// The resource's type: 2 topic, 4 broker, 8 broker logger, 16 client metrics, 32 group.
        resource_type: i8 [0..],
        /// The resource's name.
        resource_name: String [0..],
        /// The pattern's type.
        pattern_type: i8 [0..],
        /// Who it is about.
        principal: String [0..],
        /// Host name or address.
        host: String [0..],
        /// The operation's number.
        operation: i8 [0..],
        /// 2 deny, 3 allow.
        permission_type: i8 [0..],
    }
}

messages! {
    versions 0..=0, flexible 0;
    message RemoveAccessControlEntryRecord;

    /// An access rule goes.
    struct RemoveAccessControlEntryRecord {
        /// The id.
        id: Uuid [0..],
    }
}

messages! {
    versions 0..=0, flexible 0;
    message UserScramCredentialRecord;

    /// A user's SCRAM credential.
    struct UserScramCredentialRecord {
        /// The name.
        name: String [0..],
        /// The SASL mechanism's number.
        mechanism: i8 [0..],
        /// Random bytes mixed into the key.
        salt: Vec<u8> [0..],
        /// The stored key.
        stored_key: Vec<u8> [0..],
        /// The server key.
        server_key: Vec<u8> [0..],
        /// Rounds of the key derivation.
        iterations: i32 [0..],
    }
}

messages! {
    versions 0..=0, flexible 0;
    message RemoveUserScramCredentialRecord;

    /// A user's SCRAM credential goes.
    struct RemoveUserScramCredentialRecord {
        /// The name.
        name: String [0..],
        /// The SASL mechanism's number.
        mechanism: i8 [0..],
    }
}

messages! {
    versions 0..=0, flexible 0;
    message DelegationTokenRecord;

    /// A delegation token.
    struct DelegationTokenRecord {
        /// Who owns it.
        owner: String [0..],
        /// Who asked for it.
        requester: String [0..],
        /// Who may renew it.
        renewers: Vec<String> [0..],
        /// When it was issued, ms since the epoch.
        issue_timestamp: i64 [0..],
        /// Until when it can be renewed, ms since the epoch.
        max_timestamp: i64 [0..],
        /// When it expires, ms since the epoch.
        expiration_timestamp: i64 [0..],
        /// The token's id.
        token_id: String [0..],
    }
}

messages! {
    versions 0..=0, flexible 0;
    message RemoveDelegationTokenRecord;

    /// A delegation token goes.
    struct RemoveDelegationTokenRecord {
        /// The token's id.
        token_id: String [0..],
    }
}

messages! {
    versions 0..=0, flexible 0;
    message ClearElrRecord;

    /// Eligible leader replicas are forgotten, of one topic or all.
    struct ClearElrRecord {
        /// The topic's name.
        topic_name: String [0..],
    }
}

messages! {
    versions 0..=0, flexible 0;
    message ZkMigrationStateRecord;

    /// How far the migration from ZooKeeper is.
    struct ZkMigrationStateRecord {
        /// The migration's state.
        zk_migration_state: i8 [0..],
    }
}

macro_rules! metadata_records {
    ($($record:ident = $number:literal),+ $(,)?) => {
        /// Any record of the metadata log.
        #[allow(clippy::large_enum_variant)]
        #[derive(Clone, Debug, PartialEq)]
        pub enum MetadataRecord {
            $(
                #[doc = concat!("Type ", stringify!($number), ".")]
                $record($record),
            )+
        }

        impl MetadataRecord {
            /// The record's type number.
            pub fn number(&self) -> u16 {
                match self { $(MetadataRecord::$record(_) => $number),+ }
            }

            /// The record's name in Kafka's schema.
            pub fn name(&self) -> &'static str {
                match self { $(MetadataRecord::$record(_) => stringify!($record)),+ }
            }

            /// The highest version that [`MetadataRecord::encode_value`] takes for this record.
            pub fn version_max(&self) -> i16 {
                match self { $(MetadataRecord::$record(_) => <$record as Message>::VERSIONS.1),+ }
            }

            fn encode_body(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
                match self { $(MetadataRecord::$record(record) => record.encode(w, version)),+ }
            }

            fn decode_body(number: u32, r: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
                match number {
                    $($number => $record::decode(r, version).map(MetadataRecord::$record),)+
                    _ => Err(DecodeError::Unknown { what: "metadata record type", value: number.into() }),
                }
            }
        }

        $(
            impl From<$record> for MetadataRecord {
                fn from(record: $record) -> Self {
                    MetadataRecord::$record(record)
                }
            }
        )+
    };
}

metadata_records! {
    RegisterBrokerRecord = 0,
    UnregisterBrokerRecord = 1,
    TopicRecord = 2,
    PartitionRecord = 3,
    ConfigRecord = 4,
    PartitionChangeRecord = 5,
    FenceBrokerRecord = 7,
    UnfenceBrokerRecord = 8,
    RemoveTopicRecord = 9,
    DelegationTokenRecord = 10,
    UserScramCredentialRecord = 11,
    FeatureLevelRecord = 12,
    ClientQuotaRecord = 14,
    ProducerIdsRecord = 15,
    BrokerRegistrationChangeRecord = 17,
    AccessControlEntryRecord = 18,
    RemoveAccessControlEntryRecord = 19,
    NoOpRecord = 20,
    ZkMigrationStateRecord = 21,
    RemoveUserScramCredentialRecord = 22,
    BeginTransactionRecord = 23,
    EndTransactionRecord = 24,
    AbortTransactionRecord = 25,
    RemoveDelegationTokenRecord = 26,
    RegisterControllerRecord = 27,
    ClearElrRecord = 28,
}

/// The only frame version that Kafka writes.
const FRAME_VERSION: u32 = 1;

impl MetadataRecord {
    /// The value of a log record: frame, type, version, body.
    pub fn encode_value(&self, version: i16) -> Result<Vec<u8>, EncodeError> {
        let mut w = Writer::new();
        w.uvarint(FRAME_VERSION);
        w.uvarint(self.number().into());
        w.uvarint(u32::from(version.unsigned_abs()));
        self.encode_body(&mut w, version)?;
        Ok(w.bytes)
    }

    /// Reads a log record's value, to its last byte: the record and the version it was written in.
    pub fn decode_value(value: &[u8]) -> Result<(Self, i16), DecodeError> {
        let mut r = Reader::new(value);
        let frame = r.uvarint()?;
        if frame != FRAME_VERSION {
            return Err(DecodeError::Unknown { what: "metadata frame version", value: frame.into() });
        }
        let (number, version) = (r.uvarint()?, r.uvarint()?);
        let version = i16::try_from(version)
            .map_err(|_| DecodeError::Unknown { what: "metadata record version", value: version.into() })?;
        let record = Self::decode_body(number, &mut r, version)?;
        r.finish()?;
        Ok((record, version))
    }
}
