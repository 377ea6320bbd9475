//! Bytes that the kernel fills and empties: owned buffers that go back to their pool, and shared slices of them.

use std::cell::{Cell, RefCell};
use std::ops::{Deref, DerefMut, Range};
use std::rc::{Rc, Weak};

/// Where dropped buffers go.
pub(crate) trait Pool {
    /// Takes the bytes of a dropped buffer back.
    fn give_back(&self, bytes: Vec<u8>, slot: u32);
}

/// An owned byte buffer. Derefs to what is filled; dropping it gives the memory back to the pool it came from.
pub struct Buf {
    bytes: Vec<u8>,
    home: Option<(Weak<dyn Pool>, u32)>,
}

impl Buf {
    /// A buffer of a pool. `slot` is the pool's own mark.
    pub(crate) fn pooled(bytes: Vec<u8>, pool: Weak<dyn Pool>, slot: u32) -> Self {
        Self { bytes, home: Some((pool, slot)) }
    }

    /// The bytes as a growable vector: `len` is what is filled, `capacity` what fits.
    pub fn vec(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }
}

impl From<Vec<u8>> for Buf {
    fn from(bytes: Vec<u8>) -> Self {
        Self { bytes, home: None }
    }
}

impl Deref for Buf {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl DerefMut for Buf {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }
}

impl Drop for Buf {
    fn drop(&mut self) {
        if let Some((pool, slot)) = self.home.take()
            && let Some(pool) = pool.upgrade()
        {
            pool.give_back(std::mem::take(&mut self.bytes), slot);
        }
    }
}

impl std::fmt::Debug for Buf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Buf({} of {} bytes)", self.bytes.len(), self.bytes.capacity())
    }
}

/// A shared, immutable range of a buffer. Cloning costs a reference count.
#[derive(Clone, Debug)]
pub struct Slice {
    buf: Rc<Buf>,
    start: usize,
    end: usize,
}

impl Slice {
    /// The whole of a buffer.
    #[must_use]
    pub fn new(buf: Buf) -> Self {
        let end = buf.len();
        Self { buf: Rc::new(buf), start: 0, end }
    }

    /// A range of this one. Panics where the range is not inside: ranges come from checked parsing.
    #[must_use]
    pub fn slice(&self, range: Range<usize>) -> Self {
        assert!(range.start <= range.end && range.end <= self.len(), "range inside the slice");
        Self { buf: Rc::clone(&self.buf), start: self.start + range.start, end: self.start + range.end }
    }
}

impl From<Vec<u8>> for Slice {
    fn from(bytes: Vec<u8>) -> Self {
        Self::new(Buf::from(bytes))
    }
}

impl Deref for Slice {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.buf[self.start..self.end]
    }
}

/// Free memory of large buffers, by power-of-two class, up to a limit of bytes. It stays touched: the first touch of
/// fresh memory costs more than what is done with it.
pub(crate) struct FreeList {
    /// `classes[n]` holds vectors of at least `2^n` bytes.
    classes: RefCell<Vec<Vec<Vec<u8>>>>,
    held_bytes: Cell<usize>,
    limit_bytes: usize,
}

/// Smaller buffers are left to the allocator.
const POOLED_BYTES_MIN: usize = 4096;

impl FreeList {
    /// An empty list that keeps at most `limit_bytes`.
    pub(crate) fn new(limit_bytes: usize) -> Rc<Self> {
        let classes = RefCell::new(vec![Vec::new(); usize::BITS as usize]);
        Rc::new(Self { classes, held_bytes: Cell::new(0), limit_bytes })
    }

    /// An empty buffer with room for `len` bytes.
    pub(crate) fn buffer(self: &Rc<Self>, len: usize) -> Buf {
        self.wrap(self.take(len))
    }

    /// An empty vector with room for `len` bytes.
    pub(crate) fn take(&self, len: usize) -> Vec<u8> {
        let Some(rounded) = len.checked_next_power_of_two().filter(|_| len >= POOLED_BYTES_MIN) else {
            return Vec::with_capacity(len);
        };
        let reused = self.classes.borrow_mut()[rounded.trailing_zeros() as usize].pop();
        let Some(mut bytes) = reused else { return Vec::with_capacity(rounded) };
        self.held_bytes.set(self.held_bytes.get() - bytes.capacity());
        bytes.clear();
        bytes
    }

    /// A vector of [`FreeList::take`] as a buffer that comes back.
    pub(crate) fn wrap(self: &Rc<Self>, bytes: Vec<u8>) -> Buf {
        let home: Weak<Self> = Rc::downgrade(self);
        Buf::pooled(bytes, home, 0)
    }
}

impl Pool for FreeList {
    fn give_back(&self, bytes: Vec<u8>, _slot: u32) {
        let held = self.held_bytes.get() + bytes.capacity();
        if bytes.capacity() < POOLED_BYTES_MIN || held > self.limit_bytes {
            return;
        }
        self.held_bytes.set(held);
        let class = bytes.capacity().ilog2() as usize;
        self.classes.borrow_mut()[class].push(bytes);
    }
}

/// A handle on a driver's large buffers: for who makes bytes to be sent, and must not hold the driver.
#[derive(Clone)]
pub struct Buffers(pub(crate) Rc<FreeList>);

impl Buffers {
    /// Buffers of their own, of which at most `limit_bytes` are kept when they are free.
    #[must_use]
    pub fn new(limit_bytes: usize) -> Self {
        Self(FreeList::new(limit_bytes))
    }

    /// An empty buffer with room for `len` bytes, reused where one was given back. `buf.len()` is 0.
    #[must_use]
    pub fn take(&self, len: usize) -> Buf {
        self.0.buffer(len)
    }
}

/// A fixed number of receive buffers of one size, lent one at a time (the epoll driver's; io_uring has its own ring).
pub(crate) struct ReceivePool {
    free: RefCell<Vec<Vec<u8>>>,
    buffer_bytes: usize,
}

impl ReceivePool {
    /// `count` buffers of `buffer_bytes`.
    pub(crate) fn new(count: u16, buffer_bytes: usize) -> Rc<Self> {
        let free = (0..count).map(|_| Vec::with_capacity(buffer_bytes)).collect();
        Rc::new(Self { free: RefCell::new(free), buffer_bytes })
    }

    /// Whether a buffer is there to take.
    pub(crate) fn has_free(&self) -> bool {
        !self.free.borrow().is_empty()
    }

    /// An empty buffer, where one is there.
    pub(crate) fn take(self: &Rc<Self>) -> Option<Buf> {
        let bytes = self.free.borrow_mut().pop()?;
        let home: Weak<Self> = Rc::downgrade(self);
        Some(Buf::pooled(bytes, home, 0))
    }
}

impl Pool for ReceivePool {
    fn give_back(&self, bytes: Vec<u8>, _slot: u32) {
        self.free.borrow_mut().push(whole(bytes, self.buffer_bytes));
    }
}

/// `bytes`, emptied, or a new vector where its holder took or shrank the memory.
pub(crate) fn whole(mut bytes: Vec<u8>, capacity: usize) -> Vec<u8> {
    bytes.clear();
    if bytes.capacity() < capacity { Vec::with_capacity(capacity) } else { bytes }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_buffer_is_used_again() {
        let list = FreeList::new(1 << 20);
        let first = list.buffer(100_000).bytes.as_ptr();
        assert_eq!(list.buffer(70_000).bytes.as_ptr(), first);
        assert_eq!(list.held_bytes.get(), 131_072);
    }

    #[test]
    fn the_list_keeps_no_more_than_its_limit() {
        let list = FreeList::new(1 << 20);
        let many: Vec<Buf> = (0..64).map(|_| list.buffer(65_536)).collect();
        drop(many);
        assert_eq!(list.held_bytes.get(), 1 << 20);
    }

    #[test]
    fn a_buffer_that_grew_serves_its_own_class() {
        let list = FreeList::new(1 << 20);
        let mut grown = list.buffer(5000);
        grown.vec().reserve_exact(100_000);
        drop(grown);
        assert!(list.buffer(60_000).bytes.capacity() >= 60_000);
    }

    #[test]
    fn a_receive_buffer_whose_memory_was_taken_comes_back_whole() {
        let pool = ReceivePool::new(1, 4096);
        let mut buf = pool.take().expect("a free one");
        assert!(pool.take().is_none());
        drop(std::mem::take(buf.vec()));
        drop(buf);
        assert_eq!(pool.take().expect("it came back").bytes.capacity(), 4096);
    }

    #[test]
    fn buffers_outlive_their_pool() {
        let pool = ReceivePool::new(1, 4096);
        let mut buf = pool.take().expect("a free one");
        drop(pool);
        buf.vec().push(1);
        assert_eq!(&buf[..], [1]);
    }

    #[test]
    fn slices_share_their_buffer() {
        let slice = Slice::from(vec![1, 2, 3, 4, 5]);
        let inner = slice.slice(1..4);
        assert_eq!(&inner[..], [2, 3, 4]);
        assert_eq!(&inner.slice(1..2)[..], [3]);
    }
}
