//! What the metadata log has and this broker does not use: access rules, delegation tokens, Kafka's controllers, and what a quorum
//! notes of its voters. A snapshot holds it, lest a Kafka that takes the folder back miss it.

use std::collections::BTreeMap;

use ringlog_wire::Uuid;
use ringlog_wire::batch::ControlType;
use ringlog_wire::records::metadata::{
    AccessControlEntryRecord, DelegationTokenRecord, MetadataRecord, RegisterControllerRecord,
};

/// See the head of the file.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Carried {
    controllers: BTreeMap<i32, RegisterControllerRecord>,
    rules: BTreeMap<Uuid, AccessControlEntryRecord>,
    tokens: BTreeMap<String, DelegationTokenRecord>,
    /// Bodies of the newest KRaftVersionRecord and VotersRecord (KIP-853).
    kraft_version: Option<Vec<u8>>,
    voters: Option<Vec<u8>>,
}

impl Carried {
    /// Takes a record, of the kinds that are carried.
    pub(super) fn apply(&mut self, record: &MetadataRecord) {
        match record {
            MetadataRecord::RegisterControllerRecord(record) => {
                self.controllers.insert(record.controller_id, record.clone());
            }
            MetadataRecord::AccessControlEntryRecord(record) => drop(self.rules.insert(record.id, record.clone())),
            MetadataRecord::RemoveAccessControlEntryRecord(record) => drop(self.rules.remove(&record.id)),
            MetadataRecord::DelegationTokenRecord(record) => {
                self.tokens.insert(record.token_id.clone(), record.clone());
            }
            MetadataRecord::RemoveDelegationTokenRecord(record) => drop(self.tokens.remove(&record.token_id)),
            other => unreachable!("{} is not carried", other.name()),
        }
    }

    /// Takes a control record of the log: its kind, and its body. Those that say nothing of the quorum change nothing.
    pub(crate) fn control(&mut self, kind: i16, body: &[u8]) {
        const VERSION: i16 = ControlType::KraftVersion as i16;
        const VOTERS: i16 = ControlType::KraftVoters as i16;
        match kind {
            VERSION => self.kraft_version = Some(body.to_vec()),
            VOTERS => self.voters = Some(body.to_vec()),
            _ => {}
        }
    }

    /// What a snapshot's head holds of the quorum.
    pub(crate) fn controls(&self) -> impl Iterator<Item = (ControlType, &[u8])> {
        [(ControlType::KraftVersion, &self.kraft_version), (ControlType::KraftVoters, &self.voters)]
            .into_iter()
            .filter_map(|(kind, body)| Some((kind, body.as_deref()?)))
    }

    pub(super) fn controllers(&self) -> impl Iterator<Item = MetadataRecord> + '_ {
        self.controllers.values().cloned().map(MetadataRecord::from)
    }

    pub(super) fn rules(&self) -> impl Iterator<Item = MetadataRecord> + '_ {
        self.rules.values().cloned().map(MetadataRecord::from)
    }

    pub(super) fn tokens(&self) -> impl Iterator<Item = MetadataRecord> + '_ {
        self.tokens.values().cloned().map(MetadataRecord::from)
    }
}
