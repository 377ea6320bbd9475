//! The controller: decides what the cluster becomes. A state machine without I/O, on shard 0.
//!
//! ```text
//!   Call --> Controller --> Proposal { records, outcome, image }
//!                              |         |         |
//!                              | 1. one batch, appended and synced
//!                              |                   | 2. published to all shards
//!                              |         | 3. sent to who asked
//! ```
//!
//! A call is decided against the image that the log leads to, on the disk or not yet. Deciding changes nothing: whoever
//! writes the log says where it stands ([`Controller::stand_on`]): on a proposal whose records the log took, or back on the
//! last image that is on the disk.

mod broker_configs;
pub(crate) mod configs;
mod create;
mod delete;
mod features;
mod grow;
pub(crate) mod mutations;
mod placement;
pub(crate) mod quotas;
mod reassign;
mod rehome;
pub(crate) mod scram;
mod start;

use std::ops::Range;
use std::sync::Arc;

use ringlog_wire::messages::alter_client_quotas::{AlterClientQuotasRequest, AlterClientQuotasResponse};
use ringlog_wire::messages::alter_partition_reassignments::{
    AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse,
};
use ringlog_wire::messages::alter_user_scram_credentials::{
    AlterUserScramCredentialsRequest, AlterUserScramCredentialsResponse,
};
use ringlog_wire::messages::create_partitions::{CreatePartitionsRequest, CreatePartitionsResponse};
use ringlog_wire::messages::create_topics::{CreateTopicsRequest, CreateTopicsResponse};
use ringlog_wire::messages::delete_topics::{DeleteTopicsRequest, DeleteTopicsResponse};
use ringlog_wire::messages::update_features::{UpdateFeaturesRequest, UpdateFeaturesResponse};
use ringlog_wire::records::metadata::{MetadataRecord, ProducerIdsRecord};
use ringlog_wire::{ErrorCode, Uuid};

use super::ids::NodeId;
use super::image::Image;
use crate::settings::Settings;

use configs::{AlterConfigs, Altered};
use mutations::{Mutations, Mutator};

pub(crate) use create::{Refusal, may_create};
pub(crate) use start::{Start, StartError};

/// Producer ids that are given out at once (ProducerIdsBlock.PRODUCER_ID_BLOCK_SIZE).
pub(crate) const PRODUCER_ID_BLOCK: i64 = 1000;

/// What a shard asks the controller for.
#[derive(Clone, Debug)]
pub(crate) enum Call {
    /// What a client asks for, which pays for it.
    By(Mutator, Box<Call>),
    /// Make these topics.
    CreateTopics(CreateTopicsRequest),
    /// Remove these topics; the request's version.
    DeleteTopics(DeleteTopicsRequest, i16),
    /// Make topics with the broker's defaults: clients asked for them, or a coordinator needs its own.
    AutoCreate(Vec<String>),
    /// Give topics more partitions.
    CreatePartitions(CreatePartitionsRequest),
    /// Change settings.
    AlterConfigs(AlterConfigs),
    /// Change quotas of clients.
    AlterClientQuotas(AlterClientQuotasRequest),
    /// Change how users can log in.
    AlterCredentials(AlterUserScramCredentialsRequest),
    /// Change levels of features; the request's version.
    UpdateFeatures(UpdateFeaturesRequest, i16),
    /// Move partitions to other shards.
    Reassign(AlterPartitionReassignmentsRequest),
    /// Every shard has given up these partitions, by topic and number: whom they go to leads them.
    FinishMoves(Vec<(Uuid, i32)>),
    /// A block of producer ids for this node.
    ProducerIds(NodeId),
}

impl Call {
    /// The same, paid for by a client.
    pub(crate) fn by(self, client_id: Option<&str>, is_strict: bool) -> Self {
        Self::By(Mutator { client_id: client_id.unwrap_or_default().to_owned(), is_strict }, Box::new(self))
    }
}

/// What the controller answers.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Decided {
    /// To [`Call::CreateTopics`].
    CreateTopics(CreateTopicsResponse),
    /// To [`Call::DeleteTopics`].
    DeleteTopics(DeleteTopicsResponse),
    /// To [`Call::AutoCreate`]: each name; `NONE` also where the topic is there already.
    AutoCreate(Vec<(String, ErrorCode)>),
    /// To [`Call::CreatePartitions`].
    CreatePartitions(CreatePartitionsResponse),
    /// To [`Call::AlterConfigs`].
    AlterConfigs(Vec<Altered>),
    /// To [`Call::AlterClientQuotas`].
    AlterClientQuotas(AlterClientQuotasResponse),
    /// To [`Call::AlterCredentials`].
    AlterCredentials(AlterUserScramCredentialsResponse),
    /// To [`Call::UpdateFeatures`].
    UpdateFeatures(UpdateFeaturesResponse),
    /// To [`Call::Reassign`].
    Reassign(AlterPartitionReassignmentsResponse),
    /// To [`Call::FinishMoves`].
    Moved,
    /// To [`Call::ProducerIds`].
    ProducerIds(Range<i64>),
    /// The call was not decided, or its change is not on the disk, and why.
    Failed(Refusal),
}

impl Decided {
    /// Why the controller did not answer what it was asked.
    pub(crate) fn refusal(&self) -> Refusal {
        match self {
            Self::Failed(refusal) => refusal.clone(),
            other => {
                tracing::error!(answer = ?other, "the controller answered something else than it was asked");
                Refusal::new(ErrorCode::UNKNOWN_SERVER_ERROR, "The controller's answer is of another kind.")
            }
        }
    }
}

/// A change that was decided and is not yet in the log.
#[derive(Clone, Debug)]
pub(crate) struct Proposal {
    /// The change, to be written as one batch. Empty where nothing changes.
    pub(crate) records: Vec<MetadataRecord>,
    /// The answer, once the records are on the disk.
    pub(crate) outcome: Decided,
    /// The cluster after the change.
    pub(crate) image: Arc<Image>,
}

/// See the head of the file.
#[derive(Debug)]
pub(crate) struct Controller {
    settings: Arc<Settings>,
    image: Arc<Image>,
    directory_id: Uuid,
    rotation: usize,
    mutations: Mutations,
    now_ms: i64,
}

impl Controller {
    /// Decides a call, against [`Controller::image`]. `random` gives 64 random bits, for topic ids.
    pub(crate) fn handle(&mut self, call: Call, random: &mut dyn FnMut() -> u64) -> Proposal {
        let mut draft = Draft::new(&self.image);
        let (mutator, call) = match call {
            Call::By(mutator, call) => (Some(mutator), *call),
            call => (None, call),
        };
        self.mutations.begin(mutator.as_ref(), self.image.quotas(), &self.settings, self.now_ms);
        let outcome = match call {
            // Within another it says nothing more.
            Call::By(_, call) => return self.handle(*call, random),
            Call::CreateTopics(request) => Decided::CreateTopics(self.create_topics(request, &mut draft, random)),
            Call::DeleteTopics(request, version) => Decided::DeleteTopics(delete::delete_topics(
                request,
                version,
                (&self.settings, &mut self.mutations),
                &mut draft,
            )),
            Call::AutoCreate(names) => Decided::AutoCreate(self.auto_create(names, &mut draft, random)),
            Call::CreatePartitions(request) => Decided::CreatePartitions(self.create_partitions(request, &mut draft)),
            Call::AlterConfigs(request) => Decided::AlterConfigs(self.alter_configs(request, &mut draft)),
            Call::AlterClientQuotas(request) => {
                Decided::AlterClientQuotas(quotas::alter_client_quotas(request, &mut draft))
            }
            Call::AlterCredentials(request) => Decided::AlterCredentials(scram::alter_credentials(request, &mut draft)),
            Call::UpdateFeatures(request, version) => {
                Decided::UpdateFeatures(features::update_features(&request, version, &mut draft))
            }
            Call::Reassign(request) => Decided::Reassign(self.reassign(request, &mut draft)),
            Call::FinishMoves(moves) => {
                reassign::finish_moves(moves, self.directory_id, &mut draft);
                Decided::Moved
            }
            Call::ProducerIds(node) => allocate_producer_ids(node, &mut draft),
        };
        self.propose(draft, outcome)
    }

    /// What time it is, for what goes by rates.
    pub(crate) fn at(&mut self, now_ms: i64) {
        self.now_ms = now_ms;
    }

    /// The cluster that the next call is decided against.
    #[must_use]
    pub(crate) fn image(&self) -> &Arc<Image> {
        &self.image
    }

    /// Says which cluster that is.
    pub(crate) fn stand_on(&mut self, image: Arc<Image>) {
        let dynamic = image.dynamic(image.controller());
        if dynamic != *self.settings.dynamic() {
            self.settings = Arc::new(self.settings.with(dynamic));
        }
        self.image = image;
    }

    fn propose(&self, draft: Draft, outcome: Decided) -> Proposal {
        if draft.records.is_empty() {
            return Proposal { records: draft.records, outcome, image: Arc::clone(&self.image) };
        }
        let mut image = draft.image;
        image.set_version(self.image.version() + i64::try_from(draft.records.len()).unwrap_or(i64::MAX));
        Proposal { records: draft.records, outcome, image: Arc::new(image) }
    }
}

/// The next image while it is made: every record is applied at once, so that the rest of the call sees it.
struct Draft {
    image: Image,
    records: Vec<MetadataRecord>,
}

impl Draft {
    fn new(image: &Image) -> Self {
        Self { image: image.clone(), records: Vec::new() }
    }

    fn push(&mut self, record: impl Into<MetadataRecord>) {
        let record = record.into();
        if let Err(error) = self.image.apply(&record) {
            unreachable!("the controller decided a record that does not fit: {error}");
        }
        self.records.push(record);
    }
}

fn allocate_producer_ids(node: NodeId, draft: &mut Draft) -> Decided {
    let first = draft.image.next_producer_id();
    let Some(next) = first.checked_add(PRODUCER_ID_BLOCK) else {
        return Decided::Failed(Refusal::new(ErrorCode::UNKNOWN_SERVER_ERROR, "There are no producer ids left."));
    };
    let broker_epoch = draft.image.broker(node.0).map_or(-1, |broker| broker.epoch);
    draft.push(ProducerIdsRecord {
        broker_id: node.0,
        broker_epoch,
        next_producer_id: next,
        ..ProducerIdsRecord::default()
    });
    Decided::ProducerIds(first..next)
}

/// A new topic's or incarnation's id.
fn random_id(random: &mut dyn FnMut() -> u64) -> Uuid {
    loop {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&random().to_be_bytes());
        bytes[8..].copy_from_slice(&random().to_be_bytes());
        if let Some(id) = Uuid::from_random(bytes) {
            return id;
        }
    }
}

#[cfg(test)]
#[path = "controller/tests.rs"]
mod tests;

#[cfg(test)]
#[path = "controller/alter_tests.rs"]
mod alter_tests;
