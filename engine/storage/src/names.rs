//! Names of the files in a partition's folder (`LogFileUtils`, `LogFileUtils.filenamePrefixFromOffset`).

/// Digits of a base offset in a file name.
const OFFSET_DIGITS: usize = 20;

/// What a file of a segment holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// Record batches.
    Log,
    /// Offset index.
    Index,
    /// Timestamp index.
    TimeIndex,
    /// Aborted transactions.
    TxnIndex,
    /// Producers as they were at the offset in the name.
    Snapshot,
}

impl Kind {
    const ALL: [(Self, &'static str); 5] = [
        (Self::Log, "log"),
        (Self::Index, "index"),
        (Self::TimeIndex, "timeindex"),
        (Self::TxnIndex, "txnindex"),
        (Self::Snapshot, "snapshot"),
    ];

    fn suffix(self) -> &'static str {
        Self::ALL.iter().find(|(kind, _)| *kind == self).map_or("", |(_, suffix)| suffix)
    }
}

/// Ending of a file of a cleaned segment that is not whole yet.
pub(crate) const CLEANED: &str = ".cleaned";
/// Ending of a file of a cleaned segment that is whole, and takes the place of the old ones.
pub(crate) const SWAP: &str = ".swap";
/// Ending of a file that is no part of the log any more, and is removed after `file.delete.delay.ms`.
pub(crate) const DELETED: &str = ".deleted";
/// The next segment's .log while it has no base offset yet. Kafka looks at no file of this name.
pub(crate) const NEXT_SEGMENT: &str = "next-segment";
/// Start offsets of leader epochs.
pub(crate) const LEADER_EPOCHS: &str = "leader-epoch-checkpoint";
/// The topic's id.
pub(crate) const PARTITION_METADATA: &str = "partition.metadata";

/// The name of a segment's file, or of a producers' snapshot.
pub(crate) fn file_name(base_offset: i64, kind: Kind) -> String {
    format!("{base_offset:0width$}.{suffix}", width = OFFSET_DIGITS, suffix = kind.suffix())
}

/// A segment's files. The log comes last: while it has its name, the next open finds all that belongs to it.
pub(crate) fn files_of(base_offset: i64) -> impl Iterator<Item = String> {
    let kinds = [Kind::Snapshot, Kind::TxnIndex, Kind::TimeIndex, Kind::Index, Kind::Log];
    kinds.into_iter().map(move |kind| file_name(base_offset, kind))
}

/// What a name says; `None` for any other file.
pub(crate) fn parse(name: &str) -> Option<(i64, Kind)> {
    let (digits, suffix) = name.split_once('.')?;
    let kind = Kind::ALL.iter().find(|(_, known)| *known == suffix)?.0;
    let well_formed = digits.len() == OFFSET_DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit());
    let base_offset = digits.parse().ok().filter(|_| well_formed)?;
    Some((base_offset, kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_kafkas_and_read_back() {
        assert_eq!(file_name(0, Kind::Log), "00000000000000000000.log");
        assert_eq!(file_name(645, Kind::Snapshot), "00000000000000000645.snapshot");
        for (kind, _) in Kind::ALL {
            assert_eq!(parse(&file_name(i64::MAX, kind)), Some((i64::MAX, kind)));
        }
    }

    #[test]
    fn other_names_are_nobodys() {
        for name in ["0.log", "00000000000000000000.log.deleted", "leader-epoch-checkpoint", "-0000000000000000001.log"]
        {
            assert_eq!(parse(name), None, "{name}");
        }
    }
}
