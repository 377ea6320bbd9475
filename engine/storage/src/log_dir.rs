//! A log directory: lock, identity, checkpoints, and the note that says how the last run ended.
#![allow(clippy::unimplemented, unused_variables)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use ringlog_io::Files;

use crate::interim::Uuid;
use crate::{Checkpointed, Startup, StorageError};

/// A partition folder's name, `<topic>-<partition>`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartitionName {
    /// The topic.
    pub topic: String,
    /// The partition's number.
    pub partition: i32,
}

impl PartitionName {
    /// Reads a folder's name; `None` where it is not one of a partition.
    #[must_use]
    pub fn parse(folder: &str) -> Option<Self> {
        let (topic, partition) = folder.rsplit_once('-')?;
        let partition = partition.parse().ok().filter(|partition: &i32| *partition >= 0)?;
        (!topic.is_empty()).then(|| Self { topic: topic.to_owned(), partition })
    }
}

impl std::fmt::Display for PartitionName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

/// How a log directory is opened.
#[derive(Clone, Debug)]
pub struct LogDirOptions {
    /// The cluster's id, where one is set; otherwise the folder's own, or `new_cluster_id`.
    pub cluster_id: Option<String>,
    /// The cluster's id of a folder that is new.
    pub new_cluster_id: String,
    /// This broker's node id; a folder of another node is refused.
    pub node_id: i32,
    /// The folder's id where it is new.
    pub new_directory_id: Uuid,
    /// The machine's boot id (`ringlog_io::host::boot_id`).
    pub boot_id: String,
}

/// A log directory that is ours while this lives. Held by one thread; what shards need of it is `Send`.
pub struct LogDir {}

impl LogDir {
    /// Makes the folder where it is missing, locks it, reads or writes meta.properties, decides how to start, takes the
    /// clean-shutdown note away and notes the boot id.
    pub fn open(files: &Rc<dyn Files>, path: &Path, options: &LogDirOptions) -> Result<Self, StorageError> {
        unimplemented!()
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        unimplemented!()
    }

    /// The cluster's id as meta.properties has it.
    #[must_use]
    pub fn cluster_id(&self) -> &str {
        unimplemented!()
    }

    /// The folder's id as meta.properties has it (KIP-858).
    #[must_use]
    pub fn directory_id(&self) -> Uuid {
        unimplemented!()
    }

    /// How the last run ended: for every [`crate::Partition::open_at`].
    #[must_use]
    pub fn startup(&self) -> Startup {
        unimplemented!()
    }

    /// The partition folders that are there, sorted. Folders of deleted topics that were left behind are removed.
    pub fn partitions(&self) -> Result<Vec<PartitionName>, StorageError> {
        unimplemented!()
    }

    /// The folder of a partition.
    #[must_use]
    pub fn partition_path(&self, name: &PartitionName) -> PathBuf {
        unimplemented!()
    }

    /// What the checkpoint files said at open.
    #[must_use]
    pub fn checkpointed(&self, name: &PartitionName) -> Checkpointed {
        unimplemented!()
    }

    /// Writes both checkpoint files, durably. All partitions of the directory, from every shard, are named in `all`.
    pub fn write_checkpoints(&self, all: &BTreeMap<PartitionName, Checkpointed>) -> Result<(), StorageError> {
        unimplemented!()
    }

    /// Notes a clean stop. Only after every partition's `close_clean` succeeded.
    pub fn close_clean(self, all: &BTreeMap<PartitionName, Checkpointed>) -> Result<(), StorageError> {
        unimplemented!()
    }
}
