//! Bytes that the kernel fills and empties: owned buffers that go back to their pool, and shared slices of them.

use std::cell::RefCell;
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

/// Free memory of large buffers, by power-of-two class, up to a limit of bytes.
pub(crate) struct FreeList {
    classes: RefCell<Vec<Vec<Vec<u8>>>>,
}
