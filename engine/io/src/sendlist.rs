//! What is still to be sent of a list of parts.

use std::io;
use std::os::fd::RawFd;

use crate::buf::Slice;
use crate::driver::{Counters, Token};
use crate::net;
use crate::sys::Calls;

/// Parts that one sendmsg(2) takes (IOV_MAX).
const PARTS_MAX: usize = 1024;

/// The parts of one send and the place up to which the socket took them. `parts[..part]` are through.
#[derive(Debug)]
pub(crate) struct SendList {
    parts: Vec<Slice>,
    part: usize,
    inside: usize,
    total_bytes: usize,
    pub(crate) token: Token,
}

impl SendList {
    /// Everything is still to be sent.
    pub(crate) fn new(parts: Vec<Slice>, token: Token) -> Self {
        let total_bytes = parts.iter().map(|part| part.len()).sum();
        let mut list = Self { parts, part: 0, inside: 0, total_bytes, token };
        list.advance(0);
        list
    }

    /// The length of all parts together.
    pub(crate) fn total_bytes(&self) -> usize {
        self.total_bytes
    }

    /// Whether everything was sent.
    pub(crate) fn is_done(&self) -> bool {
        self.part == self.parts.len()
    }

    /// The rest of the first unsent part, where it is the last one too.
    pub(crate) fn single(&self) -> Option<&[u8]> {
        (self.part + 1 == self.parts.len()).then(|| &self.parts[self.part][self.inside..])
    }

    /// Writes what is unsent into `vectors`, at most as many as one call takes. They point into the parts.
    pub(crate) fn fill(&self, vectors: &mut Vec<libc::iovec>) {
        vectors.clear();
        let mut inside = self.inside;
        for part in self.parts[self.part..].iter().take(PARTS_MAX) {
            let bytes = &part[inside..];
            vectors.push(libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() });
            inside = 0;
        }
    }

    /// Gives the socket what it takes now: whether that was everything. `vectors` is room to work in.
    pub(crate) fn give(
        &mut self,
        fd: RawFd,
        vectors: &mut Vec<libc::iovec>,
        calls: &Calls,
        counters: &mut Counters,
    ) -> io::Result<bool> {
        while !self.is_done() {
            calls.count();
            let sent = match self.single() {
                Some(bytes) => net::send(fd, bytes),
                None => {
                    self.fill(vectors);
                    // SAFETY: the vectors were just made from the parts that this list holds.
                    unsafe { net::send_vectors(fd, vectors) }
                }
            };
            match sent {
                Ok(sent) => {
                    counters.sent_bytes += sent as u64;
                    self.advance(sent);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Takes out a copy of what is unsent, at most `len_max` bytes. For the double.
    pub(crate) fn take(&mut self, len_max: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        while bytes.len() < len_max && self.part < self.parts.len() {
            let rest = &self.parts[self.part][self.inside..];
            let taken = rest.len().min(len_max - bytes.len());
            bytes.extend_from_slice(&rest[..taken]);
            self.advance(taken);
        }
        bytes
    }

    /// The socket took `len` bytes more.
    pub(crate) fn advance(&mut self, len: usize) {
        self.inside += len;
        while self.part < self.parts.len() && self.inside >= self.parts[self.part].len() {
            self.inside -= self.parts[self.part].len();
            self.part += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_sends_go_on_where_they_ended() {
        let parts = vec![Slice::from(vec![1, 2, 3]), Slice::from(vec![]), Slice::from(vec![4, 5]), Slice::from(vec![])];
        let mut list = SendList::new(parts, 0);
        assert_eq!(list.total_bytes(), 5);
        let mut vectors = Vec::new();
        list.advance(2);
        list.fill(&mut vectors);
        assert_eq!(vectors.iter().map(|vector| vector.iov_len).collect::<Vec<_>>(), [1, 0, 2, 0]);
        list.advance(1);
        assert!(!list.is_done());
        list.advance(2);
        assert!(list.is_done());
    }

    #[test]
    fn nothing_to_send_is_done_at_once() {
        assert!(SendList::new(vec![], 0).is_done());
        assert!(SendList::new(vec![Slice::from(vec![])], 0).is_done());
    }
}
