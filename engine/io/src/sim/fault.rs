//! Faults that a test asks for, and the calls that it counts.

/// The kinds of calls that a fault can hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// Opening, making and locking files.
    Open,
    /// Reading, mapping.
    Read,
    /// Writing.
    Write,
    /// fdatasync of a file.
    Sync,
    /// Making a folder's entries durable.
    SyncDir,
    /// Renaming.
    Rename,
    /// Removing files and folders.
    Remove,
    /// Cutting or extending.
    Truncate,
    /// Allocating ahead.
    Allocate,
    /// Making folders.
    CreateDir,
    /// Listing folders.
    List,
}

impl Op {
    /// Whether the call changes the disk.
    pub(super) fn mutates(self) -> bool {
        !matches!(self, Op::Read | Op::List | Op::Open)
    }
}

/// A call that is to fail.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    pub(super) op: Op,
    /// Calls of this kind that still succeed.
    pub(super) after: u64,
    pub(super) errno: i32,
    /// Bytes of the write that get through before it fails.
    pub(super) torn_bytes: Option<usize>,
    pub(super) for_ever: bool,
}

impl Fault {
    /// The `nth` call from now (1: the next) fails with `errno`, once.
    #[must_use]
    pub fn nth(op: Op, nth: u64, errno: i32) -> Self {
        Self { op, after: nth.saturating_sub(1), errno, torn_bytes: None, for_ever: false }
    }

    /// The `nth` write from now writes its first `bytes` and fails with `errno`.
    #[must_use]
    pub fn torn_write(nth: u64, bytes: usize, errno: i32) -> Self {
        Self { torn_bytes: Some(bytes), ..Self::nth(Op::Write, nth, errno) }
    }

    /// This one and all calls of its kind after it fail.
    #[must_use]
    pub fn for_ever(self) -> Self {
        Self { for_ever: true, ..self }
    }
}

/// Calls so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SimCounters {
    /// Calls that opened, made or locked a file.
    pub opens: u64,
    /// Calls that read.
    pub reads: u64,
    /// Calls that wrote.
    pub writes: u64,
    /// Bytes that they wrote.
    pub written_bytes: u64,
    /// Syncs of files.
    pub syncs: u64,
    /// Syncs of folders.
    pub dir_syncs: u64,
    /// Calls that changed the disk, of every kind: the places where [`crate::sim::SimFiles::cut_power_after`] can cut.
    pub changes: u64,
}
