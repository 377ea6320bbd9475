//! The ring of provided buffers: the kernel takes one when bytes have arrived, not while it waits for them.
//!
//! ```text
//!   slots[n] = Some(vector) ---- given to the kernel, which may write into it
//!        | a receive completed with buffer n               ^ the kernel's stock is low
//!        v                                                 |
//!   slots[n] = None, the vector is lent as a Buf --> rest: the Buf was dropped
//! ```
//!
//! A vector is in its slot, lent or at rest, never in two of them: what the kernel may write to is never reachable by anyone else.
//!
//! The kernel takes buffers in the order in which it got them. Had it all of them, each receive would write into the one that
//! lies longest, out of every cache; so it has few more than are taken between two waits, and of the rest the last one comes first.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::cell::{Cell, RefCell};
use std::io;
use std::ptr::NonNull;
use std::rc::{Rc, Weak};
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::types::BufRingEntry;

use crate::buf::{Buf, Pool, whole};

/// The only group of provided buffers.
pub(super) const GROUP: u16 = 0;
/// The kernel has so many buffers at least, as long as there are.
const STOCK_MIN: usize = 4;
/// By what share the most that was taken between two waits is forgotten with each wait.
const FORGOTTEN: usize = 16;
/// The kernel wants the ring at the begin of a page.
const PAGE_BYTES: usize = 4096;

/// The provided buffers of one ring.
pub(super) struct ReceiveRing {
    entries: NonNull<BufRingEntry>,
    layout: Layout,
    /// Entries in the ring, a power of two, less one.
    mask: u16,
    tail: Cell<u16>,
    slots: RefCell<Vec<Option<Vec<u8>>>>,
    /// Buffers that the kernel has.
    stock: Cell<usize>,
    /// Buffers that nobody has, with their slots.
    rest: RefCell<Vec<(u16, Vec<u8>)>>,
    /// Buffers that receives took, or would have, since the last wait; and the most of late.
    taken: Cell<usize>,
    most_taken: Cell<usize>,
    buffer_bytes: usize,
}

impl ReceiveRing {
    /// Registers `count` buffers of `buffer_bytes`.
    pub(super) fn register(
        submitter: &io_uring::Submitter<'_>,
        count: u16,
        buffer_bytes: usize,
    ) -> io::Result<Rc<Self>> {
        let too_many = || io::Error::new(io::ErrorKind::InvalidInput, "receive_buffers must be 1 to 32768");
        let entries = count.max(1).checked_next_power_of_two().filter(|n| *n <= 1 << 15).ok_or_else(too_many)?;
        let bytes = usize::from(entries) * size_of::<BufRingEntry>();
        let layout = Layout::from_size_align(bytes, PAGE_BYTES).map_err(io::Error::other)?;
        // SAFETY: the layout's size is not zero.
        let memory = unsafe { alloc_zeroed(layout) };
        let Some(base) = NonNull::new(memory.cast::<BufRingEntry>()) else { handle_alloc_error(layout) };
        let ring = Self {
            entries: base,
            layout,
            mask: entries - 1,
            tail: Cell::new(0),
            slots: RefCell::new(vec![None; usize::from(count)]),
            stock: Cell::new(0),
            rest: RefCell::new((0..count).rev().map(|slot| (slot, Vec::with_capacity(buffer_bytes))).collect()),
            taken: Cell::new(0),
            most_taken: Cell::new(0),
            buffer_bytes,
        };
        // SAFETY: the memory is page-aligned and holds `entries` entries; it lives as long as `ring`, which the driver
        // drops (or leaks) only after the ring was closed.
        unsafe { submitter.register_buf_ring_with_flags(base.as_ptr() as u64, entries, GROUP, 0)? };
        ring.fill_up(0);
        Ok(Rc::new(ring))
    }

    /// The size of one buffer.
    pub(super) fn buffer_bytes(&self) -> usize {
        self.buffer_bytes
    }

    /// Buffers that are not lent.
    pub(super) fn free(&self) -> usize {
        self.stock.get() + self.rest.borrow().len()
    }

    /// A receive found no buffer.
    pub(super) fn lacked(&self) {
        self.taken.set(self.taken.get() + 1);
    }

    /// Before a wait: gives the kernel as many as it may need in it, and at least so many, as long as there are.
    pub(super) fn fill_up(&self, at_least: usize) {
        let before = self.most_taken.get();
        let most = self.taken.take().max(before - before.div_ceil(FORGOTTEN));
        self.most_taken.set(most);
        let wanted = (2 * most).max(STOCK_MIN).max(at_least);
        while self.stock.get() < wanted {
            let Some((slot, bytes)) = self.rest.borrow_mut().pop() else { return };
            self.provide(slot, bytes);
        }
    }

    /// Gives a vector to the kernel under the number of its slot.
    fn provide(&self, slot: u16, mut bytes: Vec<u8>) {
        let tail = self.tail.get();
        let index = usize::from(tail & self.mask);
        // SAFETY: the index is masked to the ring's entries. The kernel does not read the entry before the tail passes
        // it, and fewer buffers than entries are in the ring, so the entry is not one that it still has to read.
        let entry = unsafe { &mut *self.entries.as_ptr().add(index) };
        entry.set_addr(bytes.as_mut_ptr() as u64);
        entry.set_len(u32::try_from(self.buffer_bytes).unwrap_or(u32::MAX));
        entry.set_bid(slot);
        self.slots.borrow_mut()[usize::from(slot)] = Some(bytes);
        self.tail.set(tail.wrapping_add(1));
        self.stock.set(self.stock.get() + 1);
        // SAFETY: `entries` is the base of the ring, whose first entry holds the tail; only this thread writes it and
        // the kernel reads it, hence atomically.
        let shared = unsafe { &*BufRingEntry::tail(self.entries.as_ptr()).cast::<AtomicU16>() };
        shared.store(self.tail.get(), Ordering::Release);
    }

    /// Lends the buffer into which the kernel has written `len` bytes.
    pub(super) fn lend(self: &Rc<Self>, slot: u16, len: usize) -> Option<Buf> {
        let mut bytes = self.slots.borrow_mut().get_mut(usize::from(slot))?.take()?;
        self.stock.set(self.stock.get() - 1);
        self.taken.set(self.taken.get() + 1);
        // SAFETY: the kernel has written `len` bytes, at most the length that the entry gave it, which is within the
        // capacity.
        unsafe { bytes.set_len(len.min(self.buffer_bytes)) };
        let home: Weak<Self> = Rc::downgrade(self);
        Some(Buf::pooled(bytes, home, u32::from(slot)))
    }
}

impl Pool for ReceiveRing {
    fn give_back(&self, bytes: Vec<u8>, slot: u32) {
        if let Ok(slot) = u16::try_from(slot) {
            self.rest.borrow_mut().push((slot, whole(bytes, self.buffer_bytes)));
        }
    }
}

impl Drop for ReceiveRing {
    fn drop(&mut self) {
        // SAFETY: the memory was allocated with this layout; the kernel's ring is closed or has let go of it.
        unsafe { dealloc(self.entries.as_ptr().cast(), self.layout) };
    }
}
