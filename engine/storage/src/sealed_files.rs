//! Open files of sealed segments: a small cache for all partitions of a shard, the least recently used goes first.
//!
//! A partition holds one descriptor, that of its active segment. Everything older is opened when somebody reads it. A
//! shard is one thread and touches its own partitions only, so the cache belongs to the thread.
//!
//! Indexes are kept in memory as they are, not mapped: where readers of old segments fill the memory, the kernel takes a mapped page
//! back, and the next lookup is a page fault of the shard's thread that waits for the disk behind those readers
//! (`engine/docs/decisions/jobs.md` has what that took).

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use ringlog_io::File;

use crate::index::{OffsetIndex, TimeIndex};

/// Sealed segments that a thread keeps open. Each costs one descriptor and its indexes.
const OPEN_MAX: usize = 128;
/// Bytes of indexes that a thread keeps, but for those of the segment that was used last: a full segment of 1 GiB has 0.1 to 5 MiB.
const INDEX_BYTES_MAX: usize = 32 << 20;

/// An open sealed segment.
pub(crate) struct OpenSegment {
    pub(crate) base_offset: i64,
    pub(crate) file: File,
    pub(crate) offsets: Vec<u8>,
    pub(crate) times: Vec<u8>,
}

impl OpenSegment {
    fn index_bytes(&self) -> usize {
        self.offsets.len() + self.times.len()
    }

    pub(crate) fn offsets(&self) -> OffsetIndex<'_> {
        OffsetIndex::new(&self.offsets, self.base_offset)
    }

    pub(crate) fn times(&self) -> TimeIndex<'_> {
        TimeIndex::new(&self.times, self.base_offset)
    }
}

/// A partition of this thread, for as long as it is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Holder(u64);

thread_local! {
    static NEXT_HOLDER: Cell<u64> = const { Cell::new(0) };
    /// Most recently used last.
    static OPEN: RefCell<Vec<(Holder, Rc<OpenSegment>)>> = const { RefCell::new(Vec::new()) };
}

impl Holder {
    pub(crate) fn new() -> Self {
        NEXT_HOLDER.with(|next| Self(next.replace(next.get() + 1)))
    }

    /// The open segment, or the one that `open` gives, kept from now on.
    pub(crate) fn segment<E>(
        self,
        base_offset: i64,
        open: impl FnOnce() -> Result<OpenSegment, E>,
    ) -> Result<Rc<OpenSegment>, E> {
        if let Some(found) = self.take(base_offset) {
            self.put(Rc::clone(&found));
            return Ok(found);
        }
        let opened = Rc::new(open()?);
        self.put(Rc::clone(&opened));
        Ok(opened)
    }

    /// Whether a segment is open.
    pub(crate) fn is_open(self, base_offset: i64) -> bool {
        OPEN.with(|open| open.borrow().iter().any(|(holder, s)| *holder == self && s.base_offset == base_offset))
    }

    /// Closes everything of this partition (ranges that are being sent keep their file open).
    pub(crate) fn forget(self) {
        let _ = OPEN.try_with(|open| open.borrow_mut().retain(|(holder, _)| *holder != self));
    }

    /// Closes segments of this partition by their base offset: they are no part of the log any more.
    pub(crate) fn close(self, is_old: impl Fn(i64) -> bool) {
        let stays = |(holder, s): &(Self, Rc<OpenSegment>)| *holder != self || !is_old(s.base_offset);
        OPEN.with(|open| open.borrow_mut().retain(stays));
    }

    fn take(self, base_offset: i64) -> Option<Rc<OpenSegment>> {
        OPEN.with(|open| {
            let mut open = open.borrow_mut();
            let at = open.iter().position(|(holder, s)| *holder == self && s.base_offset == base_offset)?;
            Some(open.remove(at).1)
        })
    }

    fn put(self, segment: Rc<OpenSegment>) {
        OPEN.with(|open| {
            let mut open = open.borrow_mut();
            let mut index_bytes: usize = open.iter().map(|(_, segment)| segment.index_bytes()).sum();
            index_bytes += segment.index_bytes();
            let mut oldest = 0;
            while oldest < open.len() && (open.len() - oldest >= OPEN_MAX || index_bytes > INDEX_BYTES_MAX) {
                index_bytes -= open[oldest].1.index_bytes();
                oldest += 1;
            }
            open.drain(..oldest);
            open.push((self, segment));
        });
    }
}
