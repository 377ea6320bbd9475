//! Open files of sealed segments: a small cache for all partitions of a shard, the least recently used goes first.
//!
//! A partition holds one descriptor, that of its active segment. Everything older is opened when somebody reads it. A
//! shard is one thread and touches its own partitions only, so the cache belongs to the thread.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use ringlog_io::{File, Map};

use crate::index::{OffsetIndex, TimeIndex};

/// Sealed segments that a thread keeps open. Each costs one descriptor and up to two mappings.
const OPEN_MAX: usize = 128;

/// An open sealed segment.
pub(crate) struct OpenSegment {
    pub(crate) base_offset: i64,
    pub(crate) file: File,
    pub(crate) offsets: Map,
    pub(crate) times: Map,
}

impl OpenSegment {
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
            if open.len() == OPEN_MAX {
                open.remove(0);
            }
            open.push((self, segment));
        });
    }
}
