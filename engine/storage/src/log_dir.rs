//! A log directory: lock, identity, checkpoints, and the note that says how the last run ended.
//!
//! ```text
//!   .lock                              held (flock) while a broker lives here
//!   meta.properties                    version=1, cluster.id, node.id, directory.id
//!   recovery-point-offset-checkpoint   <topic> <partition> <everything below is on the disk>
//!   log-start-offset-checkpoint        <topic> <partition> <everything below was deleted>
//!   cleaner-offset-checkpoint          <topic> <partition> <everything below is compacted>
//!   .ringlog_topic_ids                 <topic> <id>: of which topics these files speak, names being used again
//!   .kafka_cleanshutdown               there only after a clean stop; taken away at start
//!   .ringlog_boot                      the boot in which everything here was checked
//! ```

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use ringlog_io::{File, Files, Job};
use ringlog_wire::Uuid;

use crate::checkpoint::{encode_offsets, encode_topic_ids, parse_offsets, parse_pairs, parse_topic_ids};
use crate::claim::{self, DELETE_SUFFIX};
use crate::folder::Folder;
use crate::{Checkpointed, Startup, StorageError};

const LOCK: &str = ".lock";
const META_PROPERTIES: &str = "meta.properties";
const META_VERSION: &str = "1";
const RECOVERY_POINTS: &str = "recovery-point-offset-checkpoint";
const LOG_START_OFFSETS: &str = "log-start-offset-checkpoint";
const CLEANED_OFFSETS: &str = "cleaner-offset-checkpoint";
const CLEAN_SHUTDOWN: &str = ".kafka_cleanshutdown";
const BOOT_NOTE: &str = ".ringlog_boot";
const TOPIC_IDS: &str = ".ringlog_topic_ids";

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

/// A log directory that is ours while this lives. Held by one thread; what shards need of it is plain data.
pub struct LogDir {
    files: Rc<dyn Files>,
    path: PathBuf,
    cluster_id: String,
    directory_id: Uuid,
    startup: Startup,
    boot_id: String,
    recovery_points: BTreeMap<PartitionName, i64>,
    log_start_offsets: BTreeMap<PartitionName, i64>,
    cleaned_offsets: BTreeMap<PartitionName, i64>,
    /// `None` in a folder that only Kafka has written to.
    topic_ids: Option<BTreeMap<String, Uuid>>,
    _lock: File,
}

impl LogDir {
    /// Makes the folder where it is missing, locks it, reads or writes meta.properties, decides how to start and takes
    /// the clean-shutdown note away. Call [`LogDir::recovered`] when all partitions are open.
    pub fn open(files: &Rc<dyn Files>, path: &Path, options: &LogDirOptions) -> Result<Self, StorageError> {
        make_durably(&**files, path)?;
        let lock = lock(&**files, &path.join(LOCK))?;
        let (cluster_id, directory_id) = read_or_write_meta(&**files, &path.join(META_PROPERTIES), options)?;
        let startup = decide_startup(&**files, path, &options.boot_id)?;
        let recovery_points = read_offsets(&**files, &path.join(RECOVERY_POINTS))?;
        let log_start_offsets = read_offsets(&**files, &path.join(LOG_START_OFFSETS))?;
        let cleaned_offsets = read_offsets(&**files, &path.join(CLEANED_OFFSETS))?;
        Ok(Self {
            files: Rc::clone(files),
            path: path.to_path_buf(),
            cluster_id,
            directory_id,
            startup,
            boot_id: options.boot_id.clone(),
            recovery_points,
            log_start_offsets,
            cleaned_offsets,
            topic_ids: read_topic_ids(&**files, &path.join(TOPIC_IDS))?,
            _lock: lock,
        })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The cluster's id as meta.properties has it.
    #[must_use]
    pub fn cluster_id(&self) -> &str {
        &self.cluster_id
    }

    /// The folder's id as meta.properties has it (KIP-858).
    #[must_use]
    pub fn directory_id(&self) -> Uuid {
        self.directory_id
    }

    /// How the last run ended: for every [`crate::Partition::open_at`].
    #[must_use]
    pub fn startup(&self) -> Startup {
        self.startup
    }

    /// What notes the boot: from then on a kill leaves only unfinished tails. To be done when every partition was opened;
    /// before that, a kill must lead to the same check again.
    #[must_use]
    pub fn recovered(&self) -> Job {
        Job::Replace { path: self.path.join(BOOT_NOTE), bytes: self.boot_id.clone().into_bytes() }
    }

    /// The partition folders that are there, sorted.
    pub fn partitions(&self) -> Result<Vec<PartitionName>, StorageError> {
        let mut names: Vec<_> = self.folders()?.iter().filter_map(|name| PartitionName::parse(name)).collect();
        names.sort();
        Ok(names)
    }

    fn folders(&self) -> Result<Vec<String>, StorageError> {
        let entries = self.files.list(&self.path).map_err(StorageError::io("list", &self.path))?;
        Ok(entries.into_iter().filter(|entry| entry.is_dir).map(|entry| entry.name).collect())
    }

    /// Takes every partition folder out of the way whose topic is not there any more. Call it at start, when that is known. The
    /// jobs remove the folders of topics that were deleted. Whether a folder is that of the topic which has its name now is
    /// seen when it is opened: a start reads nothing of a thousand partitions.
    pub fn sweep(&self, is_known: impl Fn(&PartitionName) -> bool) -> Result<Vec<Job>, StorageError> {
        let mut jobs = Vec::new();
        for folder in self.folders()? {
            let dir = self.path.join(&folder);
            if folder.ends_with(DELETE_SUFFIX) {
                jobs.push(Job::RemoveDir { dir });
            } else if let Some(name) = PartitionName::parse(&folder)
                && !is_known(&name)
                && let Err(error) = self.sweep_one(&dir)
            {
                // Nothing is served from it all the same: opening compares.
                tracing::error!(dir = %dir.display(), %error, "a folder that is nobody's could not be set aside");
            }
        }
        Ok(jobs)
    }

    fn sweep_one(&self, dir: &Path) -> Result<(), StorageError> {
        let found = claim::read_topic_id(&Folder::new(&self.files, dir))?;
        claim::set_aside(&*self.files, dir, found).map(drop)
    }

    /// The folder of a partition.
    #[must_use]
    pub fn partition_path(&self, name: &PartitionName) -> PathBuf {
        self.path.join(name.to_string())
    }

    /// What the checkpoint files said at open, and of which topic. Nothing, where they speak of a topic that
    /// `TOPIC_IDS` does not know: it was made after the last checkpoint.
    #[must_use]
    pub fn checkpointed(&self, name: &PartitionName) -> Checkpointed {
        let topic_id = match &self.topic_ids {
            None => Uuid::ZERO,
            Some(ids) => match ids.get(&name.topic) {
                Some(id) => *id,
                None => return Checkpointed::default(),
            },
        };
        let of = |offsets: &BTreeMap<PartitionName, i64>| offsets.get(name).copied().unwrap_or(0);
        let (recovery_point, log_start_offset) = (of(&self.recovery_points), of(&self.log_start_offsets));
        #[cfg(feature = "plant")]
        let log_start_offset =
            if ringlog_io::plant::is(ringlog_io::plant::START_FORGOTTEN) { 0 } else { log_start_offset };
        Checkpointed { topic_id, recovery_point, log_start_offset, cleaned_offset: of(&self.cleaned_offsets) }
    }

    /// What writes the checkpoints durably, one job after the other: the ids last, so that an offset of a new topic never
    /// stands beside the id of the one before it and counts. All partitions of the directory, from every shard, are named
    /// in `all`.
    #[must_use]
    pub fn checkpoint_jobs(&self, all: &BTreeMap<PartitionName, Checkpointed>) -> [Job; 4] {
        let recovery_points = all.iter().map(|(name, at)| (name.clone(), at.recovery_point)).collect();
        // As Kafka: only logs that lost their beginning are named.
        let cut = all.iter().filter(|(_, at)| at.log_start_offset > 0);
        let log_start_offsets = cut.map(|(name, at)| (name.clone(), at.log_start_offset)).collect();
        let cleaned = all.iter().filter(|(_, at)| at.cleaned_offset > 0);
        let cleaned_offsets = cleaned.map(|(name, at)| (name.clone(), at.cleaned_offset)).collect();
        let ids = all.iter().filter(|(_, at)| !at.topic_id.is_zero());
        let ids = ids.map(|(name, at)| (name.topic.clone(), at.topic_id)).collect();
        let job = |name, bytes| Job::Replace { path: self.path.join(name), bytes };
        [
            job(RECOVERY_POINTS, encode_offsets(&recovery_points)),
            job(LOG_START_OFFSETS, encode_offsets(&log_start_offsets)),
            job(CLEANED_OFFSETS, encode_offsets(&cleaned_offsets)),
            job(TOPIC_IDS, encode_topic_ids(&ids)),
        ]
    }

    /// Writes the checkpoints, waiting for the disk.
    pub fn write_checkpoints(&self, all: &BTreeMap<PartitionName, Checkpointed>) -> Result<(), StorageError> {
        for job in self.checkpoint_jobs(all) {
            job.perform(&*self.files).map_err(StorageError::io("write the checkpoints of", &self.path))?;
        }
        Ok(())
    }

    /// Notes a clean stop. Only after every partition's `close_clean` succeeded.
    pub fn close_clean(self, all: &BTreeMap<PartitionName, Checkpointed>) -> Result<(), StorageError> {
        self.write_checkpoints(all)?;
        self.replace(CLEAN_SHUTDOWN, br#"{"version":0,"brokerEpoch":-1}"#)
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> Result<(), StorageError> {
        let path = self.path.join(name);
        self.files.replace(&path, bytes).map_err(StorageError::io("write", &path))
    }
}

/// Makes the folder, and those above it that are missing, each known to the disk: else a power cut takes the whole log.
fn make_durably(files: &dyn Files, path: &Path) -> Result<(), StorageError> {
    let missing: Vec<&Path> = path.ancestors().take_while(|dir| !files.exists(dir)).collect();
    files.create_dir_all(path).map_err(StorageError::io("make", path))?;
    #[cfg(feature = "plant")]
    if ringlog_io::plant::is(ringlog_io::plant::LOG_DIR_UNSYNCED) {
        return Ok(());
    }
    for parent in missing.into_iter().filter_map(Path::parent) {
        let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
        files.sync_dir(parent).map_err(StorageError::io("sync", parent))?;
    }
    Ok(())
}

fn lock(files: &dyn Files, path: &Path) -> Result<File, StorageError> {
    files.lock(path).map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => StorageError::Locked { path: path.to_path_buf() },
        _ => StorageError::io("lock", path)(error),
    })
}

/// The cluster's and the folder's id; a new folder gets its file.
fn read_or_write_meta(files: &dyn Files, path: &Path, options: &LogDirOptions) -> Result<(String, Uuid), StorageError> {
    let Some(bytes) = read_optional(files, path)? else {
        let cluster_id = options.cluster_id.clone().unwrap_or_else(|| options.new_cluster_id.clone());
        let text = format!(
            "cluster.id={cluster_id}\ndirectory.id={}\nnode.id={}\nversion={META_VERSION}\n",
            options.new_directory_id, options.node_id
        );
        files.replace(path, text.as_bytes()).map_err(StorageError::io("write", path))?;
        return Ok((cluster_id, options.new_directory_id));
    };
    let pairs = parse_pairs(&bytes, '=').map_err(|error| StorageError::corrupt(path, error.to_string()))?;
    let get = |key: &'static str| {
        pairs.get(key).cloned().ok_or_else(|| StorageError::corrupt(path, format!("{key} is missing")))
    };
    expect(path, "version", get("version")?, Some(META_VERSION.to_owned()))?;
    expect(path, "node.id", get("node.id")?, Some(options.node_id.to_string()))?;
    let cluster_id = get("cluster.id")?;
    expect(path, "cluster.id", cluster_id.clone(), options.cluster_id.clone())?;
    let directory_id = get("directory.id")?;
    let parsed = directory_id.parse();
    let directory_id =
        parsed.map_err(|_| StorageError::corrupt(path, format!("directory.id={directory_id} is no id")))?;
    Ok((cluster_id, directory_id))
}

fn expect(path: &Path, key: &'static str, found: String, expected: Option<String>) -> Result<(), StorageError> {
    match expected {
        Some(expected) if expected != found => {
            Err(StorageError::Foreign { path: path.to_path_buf(), key, found, expected })
        }
        _ => Ok(()),
    }
}

/// Reads both notes. After a clean stop everything is as good as checked: a kill in this boot is noted at once.
fn decide_startup(files: &dyn Files, dir: &Path, boot_id: &str) -> Result<Startup, StorageError> {
    let clean = dir.join(CLEAN_SHUTDOWN);
    if !files.exists(&clean) {
        let noted = read_optional(files, &dir.join(BOOT_NOTE))?;
        let same_boot = !boot_id.is_empty() && noted.as_deref() == Some(boot_id.as_bytes());
        return Ok(if same_boot { Startup::SameBoot } else { Startup::NewBoot });
    }
    match note_boot(files, dir, boot_id) {
        // A kill then leads to a longer check.
        Err(error) if error.is_full() => {
            tracing::warn!(%error, "the boot is not noted before the next checkpoint: there is no room");
        }
        noted => noted?,
    }
    files.remove_file(&clean).map_err(StorageError::io("remove", &clean))?;
    files.sync_dir(dir).map_err(StorageError::io("sync", dir))?;
    Ok(Startup::Clean)
}

fn note_boot(files: &dyn Files, dir: &Path, boot_id: &str) -> Result<(), StorageError> {
    let path = dir.join(BOOT_NOTE);
    if read_optional(files, &path)?.as_deref() == Some(boot_id.as_bytes()) {
        return Ok(());
    }
    files.replace(&path, boot_id.as_bytes()).map_err(StorageError::io("write", &path))
}

fn read_offsets(files: &dyn Files, path: &Path) -> Result<BTreeMap<PartitionName, i64>, StorageError> {
    let Some(bytes) = read_optional(files, path)? else { return Ok(BTreeMap::new()) };
    parse_offsets(&bytes).or_else(|error| {
        tracing::warn!(path = %path.display(), %error, "checkpoint is not readable: logs are checked from their start");
        Ok(BTreeMap::new())
    })
}

fn read_topic_ids(files: &dyn Files, path: &Path) -> Result<Option<BTreeMap<String, Uuid>>, StorageError> {
    let Some(bytes) = read_optional(files, path)? else { return Ok(None) };
    let ids = parse_topic_ids(&bytes).unwrap_or_else(|error| {
        tracing::warn!(path = %path.display(), %error, "topic ids are not readable: logs are checked from their start");
        BTreeMap::new()
    });
    Ok(Some(ids))
}

fn read_optional(files: &dyn Files, path: &Path) -> Result<Option<Vec<u8>>, StorageError> {
    match files.read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(StorageError::io("read", path)(error)),
    }
}
