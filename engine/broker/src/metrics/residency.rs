//! How much of each log is in the page cache: looked at when a page is asked for, on the thread of who serves it, a few logs
//! at a time.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use ringlog_io::{Files, OpenMode, OsFiles};

/// Logs that are looked at for one page: a folder is listed and its segments are opened, some 50 microseconds each.
pub(crate) const LOGS_MAX: usize = 256;
/// Segments of one log that are looked at, the newest ones: the others are mostly cold.
const SEGMENTS_MAX: usize = 64;

/// A log: its topic's name, and its number.
pub(crate) type Log = (Arc<str>, i32);

/// See the head of the file.
#[derive(Debug, Default)]
pub(crate) struct Residency {
    files: OsFiles,
    known: BTreeMap<Log, u64>,
    /// The last one that was looked at.
    last: Option<Log>,
}

impl Residency {
    /// What is known of each log, in bytes.
    pub(crate) fn known(&self) -> impl Iterator<Item = (&Log, &u64)> {
        self.known.iter()
    }

    /// A log that was looked at.
    #[cfg(test)]
    pub(crate) fn show(&mut self, topic: &str, partition: i32, bytes: u64) {
        self.known.insert((Arc::from(topic), partition), bytes);
    }

    /// Looks at the next logs of `all`, which is in order, and forgets those that are not among them.
    pub(crate) fn look(&mut self, log_dir: &Path, all: &[Log]) {
        self.known.retain(|log, _| all.binary_search(log).is_ok());
        let first = self.last.as_ref().map_or(0, |last| all.partition_point(|log| log <= last));
        for log in all.iter().cycle().skip(first).take(LOGS_MAX.min(all.len())) {
            if let Some(bytes) = self.resident_bytes(&log_dir.join(format!("{}-{}", log.0, log.1))) {
                self.known.insert(log.clone(), bytes);
            }
            self.last = Some(log.clone());
        }
    }

    /// `None` where the kernel cannot say, or the folder is gone.
    fn resident_bytes(&self, folder: &Path) -> Option<u64> {
        let entries = self.files.list(folder).ok()?;
        let mut segments: Vec<_> =
            entries.into_iter().map(|it| it.name).filter(|name| name.ends_with(".log")).collect();
        segments.sort_unstable();
        let newest = segments.iter().rev().take(SEGMENTS_MAX);
        newest.map(|name| self.segment_bytes(&folder.join(name))).sum()
    }

    fn segment_bytes(&self, path: &Path) -> Option<u64> {
        // One that was removed since holds nothing.
        let Ok(file) = self.files.open(path, OpenMode::Read) else { return Some(0) };
        let len = self.files.len(&file).ok()?;
        self.files.resident_bytes(&file, len)
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)]
mod tests {
    use super::*;

    #[test]
    fn what_was_just_written_is_in_the_page_cache_and_logs_take_their_turns() {
        let root = std::env::temp_dir().join(format!("ringlog-residency-{}", std::process::id()));
        let logs: Vec<Log> = (0..LOGS_MAX as i32 + 3).map(|number| (Arc::from("t"), number)).collect();
        for (topic, number) in &logs {
            let folder = root.join(format!("{topic}-{number}"));
            std::fs::create_dir_all(&folder).expect("folder");
            std::fs::write(folder.join("00000000000000000000.log"), vec![7; 5_000]).expect("file");
        }
        let mut residency = Residency::default();
        residency.look(&root, &logs);
        if residency.known().next().is_none() {
            // A kernel without cachestat(2).
            return std::fs::remove_dir_all(&root).expect("removed");
        }
        assert_eq!((residency.known().count(), residency.known().next()), (LOGS_MAX, Some((&logs[0], &5_000))));
        residency.look(&root, &logs);
        assert_eq!(residency.known().count(), logs.len());
        residency.look(&root, &logs[..1]);
        assert_eq!(residency.known().count(), 1);
        std::fs::remove_dir_all(&root).expect("removed");
    }
}
