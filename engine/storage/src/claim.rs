//! Whose a folder is: the topic's id in `partition.metadata` decides, never the name alone.
//!
//! ```text
//!   <topic>-<partition>                         served, where its id is the topic's
//!   <topic>-<partition>.<32 hex>-delete         its topic was deleted: removed at the latest at the next start
//!   <topic>-<partition>.<32 hex>-stray          of a topic that is not there (any more): kept, never served
//! ```
//!
//! A topic that is deleted and made again has another id, so that what a kill or a power cut left of the old one is never
//! taken for the new one's. Folders are set aside with Kafka's names (`LogManager`, `LocalLog.logStrayDirName`).

use std::path::{Path, PathBuf};
use std::rc::Rc;

use ringlog_io::{Files, Job};
use ringlog_wire::Uuid;

use crate::folder::Folder;
use crate::names::PARTITION_METADATA;
use crate::{Known, LogConfig, Partition, RecoveryReport, StorageError, checkpoint};

/// Ending of a folder whose topic is being deleted.
pub(crate) const DELETE_SUFFIX: &str = "-delete";
/// Ending of a folder that belongs to no topic.
const STRAY_SUFFIX: &str = "-stray";
/// Bytes of a file's name (NAME_MAX).
const FILE_NAME_MAX: usize = 255;

impl Partition {
    /// Opens the partition's folder, or makes it. A folder of another topic of that name is set aside first; after a power
    /// cut also one that names no topic, where no checkpoint knows it. Gives what opening did, where there was a folder to
    /// open.
    pub fn open_or_create(
        files: &Rc<dyn Files>,
        dir: &Path,
        config: LogConfig,
        known: Known,
        wall_ms: i64,
    ) -> Result<(Self, Option<RecoveryReport>), StorageError> {
        match Self::open_claimed_by(files, dir, config.clone(), known, wall_ms)? {
            Some((partition, report)) => Ok((partition, Some(report))),
            None => Ok((Self::create(files, dir, known.topic_id, config, wall_ms)?, None)),
        }
    }

    /// The same, where there is a folder to open.
    pub(crate) fn open_claimed_by(
        files: &Rc<dyn Files>,
        dir: &Path,
        config: LogConfig,
        known: Known,
        wall_ms: i64,
    ) -> Result<Option<(Self, RecoveryReport)>, StorageError> {
        if !files.exists(dir) {
            return Ok(None);
        }
        match check_claim(&Folder::new(files, dir), known.topic_id) {
            Ok(found) if found.is_zero() && doubts_nameless(&known) => set_aside(&**files, dir, found).map(|_| None),
            Ok(_) => Self::open_at(files, dir, config, known, wall_ms).map(Some),
            Err(StorageError::OtherTopic { found, .. }) => set_aside(&**files, dir, found).map(|_| None),
            Err(error) => Err(error),
        }
    }

    /// Gives the folder of a topic that was deleted the name of one that goes, where it was not opened and is that topic's. The
    /// job removes it, as that of [`Partition::delete`].
    pub fn delete_unopened(files: &Rc<dyn Files>, dir: &Path, topic_id: Uuid) -> Result<Option<Job>, StorageError> {
        let folder = Folder::new(files, dir);
        let is_its = files.exists(dir) && {
            let found = read_topic_id(&folder)?;
            found.is_zero() || found == topic_id
        };
        if !is_its {
            return Ok(None);
        }
        Ok(Some(Job::RemoveDir { dir: renamed(&**files, dir, topic_id, DELETE_SUFFIX)? }))
    }

    /// Closes the log and gives its folder the name of one that goes, so that nothing looks like a partition any more. The
    /// job removes it; a start does where the job did not come to it.
    pub fn delete(self) -> Result<Job, StorageError> {
        let doomed = renamed(&*self.folder.files, &self.folder.dir, self.topic_id, DELETE_SUFFIX)?;
        Ok(Job::RemoveDir { dir: doomed })
    }
}

/// See [`Known::doubts_nameless`].
fn doubts_nameless(known: &Known) -> bool {
    #[cfg(feature = "plant")]
    if ringlog_io::plant::is(ringlog_io::plant::NAMELESS_FOLDER_KEPT) {
        return false;
    }
    known.doubts_nameless()
}

/// The topic's id in the folder, zero where none is written there; an error where it is another one than `topic_id`.
pub(crate) fn check_claim(folder: &Folder, topic_id: Uuid) -> Result<Uuid, StorageError> {
    let found = read_topic_id(folder)?;
    #[cfg(feature = "plant")]
    let found = if ringlog_io::plant::is(ringlog_io::plant::STALE_FOLDER_OPENED) { topic_id } else { found };
    if found.is_zero() || topic_id.is_zero() || found == topic_id {
        return Ok(found);
    }
    Err(StorageError::OtherTopic { path: folder.dir.clone(), found, expected: topic_id })
}

/// The topic's id that a folder names; zero where it names none.
pub(crate) fn read_topic_id(folder: &Folder) -> Result<Uuid, StorageError> {
    let Some(bytes) = folder.read(PARTITION_METADATA)? else { return Ok(Uuid::ZERO) };
    Ok(checkpoint::parse_partition_metadata(&bytes).unwrap_or_else(|error| {
        tracing::warn!(dir = %folder.dir.display(), %error, "partition.metadata is not readable");
        Uuid::ZERO
    }))
}

/// Takes a folder that is nobody's out of the way. Its bytes are kept for the operator.
pub(crate) fn set_aside(files: &dyn Files, dir: &Path, topic_id: Uuid) -> Result<PathBuf, StorageError> {
    let stray = renamed(files, dir, topic_id, STRAY_SUFFIX)?;
    tracing::warn!(dir = %dir.display(), kept_as = %stray.display(), "a folder of a topic that is not there was set aside");
    Ok(stray)
}

/// Renames a folder to a name of those that are set aside, one that is free.
fn renamed(files: &dyn Files, dir: &Path, topic_id: Uuid, suffix: &str) -> Result<PathBuf, StorageError> {
    let name = dir.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let to =
        (0..).map(|copy| dir.with_file_name(name_aside(name, topic_id, copy, suffix))).find(|to| !files.exists(to));
    let to = to.unwrap_or_else(|| dir.to_path_buf());
    files.rename(dir, &to).map_err(StorageError::io("rename", dir))?;
    Ok(to)
}

/// `<topic>-<partition>.<32 hex><suffix>` (`LocalLog.logDirNameWithSuffixCappedLength`): a long topic is cut, to fit 255
/// bytes. A second folder of that name gets the next number.
fn name_aside(name: &str, topic_id: Uuid, copy: u128, suffix: &str) -> String {
    let (topic, partition) = name.rsplit_once('-').unwrap_or((name, "0"));
    let unique = u128::from_be_bytes(topic_id.0).wrapping_add(copy);
    let ending = format!("-{partition}.{unique:032x}{suffix}");
    let kept = topic.len().min(FILE_NAME_MAX.saturating_sub(ending.len()));
    format!("{}{ending}", topic.get(..kept).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_that_go_have_kafkas_names_and_fit() {
        let id = Uuid([0xab; 16]);
        assert_eq!(name_aside("a-b-7", id, 0, DELETE_SUFFIX), format!("a-b-7.{}-delete", "ab".repeat(16)));
        assert_eq!(name_aside("a-b-7", id, 1, STRAY_SUFFIX), format!("a-b-7.{}ac-stray", "ab".repeat(15)));
        let long = name_aside(&format!("{}-12", "t".repeat(249)), id, 0, DELETE_SUFFIX);
        assert_eq!(long.len(), 255);
        assert!(long.ends_with(&format!("t-12.{}-delete", "ab".repeat(16))));
    }
}
