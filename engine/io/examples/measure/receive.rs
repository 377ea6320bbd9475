//! How frames are received: a peer sends frames (4 bytes of length, then the body) without a pause; each variant makes
//! every frame one contiguous slice, as a parser needs it, and reads one byte of each page of it.

use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::time::Duration;

use io_uring::types::{BufRingEntry, Fd};
use io_uring::{IoUring, cqueue, opcode};
use ringlog_io::{Buf, Choice, Driver, DriverOptions, Event, Slice, Socket, SocketOptions, driver, threads};

use crate::Options;
use crate::table::{Cost, Meter, Table};

const HEADER: usize = 4;

/// The pool of receive buffers.
#[derive(Clone, Copy)]
struct Pool {
    buffer_bytes: usize,
    count: u16,
}

type Variant = fn(u64, usize, Pool) -> Cost;

pub(crate) fn run(options: &Options) {
    let rounds = options.number("rounds", 9);
    let total = (options.number("mib", 512) << 20) as u64;
    let variants: [(&str, Variant); 5] = [
        ("uring: pooled, copied into frames", |total, frame, pool| {
            through_driver(total, frame, pool, Choice::Uring, pooled)
        }),
        ("uring: multishot pooled, copied into frames", multishot),
        ("uring: exact header, exact body", |total, frame, pool| {
            through_driver(total, frame, pool, Choice::Uring, exact)
        }),
        ("uring: pooled, exact rest of large frames", |total, frame, pool| {
            through_driver(total, frame, pool, Choice::Uring, hybrid)
        }),
        ("epoll: pooled, exact rest of large frames", |total, frame, pool| {
            through_driver(total, frame, pool, Choice::Epoll, hybrid)
        }),
    ];
    let only = options.text("only").unwrap_or_default();
    let pool =
        Pool { buffer_bytes: options.number("pool-kib", 64) << 10, count: options.number("pool-count", 64) as u16 };
    for frame in [1024, 16 * 1024, 1 << 20] {
        let mut table = Table::default();
        for _ in 0..rounds {
            for (name, variant) in variants.iter().filter(|(name, _)| name.contains(only)) {
                let total = if frame < 4096 { total / 8 } else { total };
                table.add(name, variant(total, frame, pool));
            }
        }
        table.print(&format!(
            "receive, frames of {frame} bytes, loopback, {} buffers of {} KiB",
            pool.count,
            pool.buffer_bytes >> 10
        ));
    }
}

/// Sends frames until `total` bytes are through. On the other core.
fn blast(address: SocketAddr, total: u64, frame: usize) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        place(1);
        let mut stream = TcpStream::connect(address).expect("connect");
        let per_write = (256 * 1024 / (frame + HEADER)).max(1);
        let mut bytes = Vec::new();
        for _ in 0..per_write {
            bytes.extend_from_slice(&(frame as u32).to_be_bytes());
            bytes.resize(bytes.len() + frame, 7);
        }
        let mut left = total / (frame + HEADER) as u64;
        while left > 0 {
            let count = (per_write as u64).min(left);
            if stream.write_all(&bytes[..count as usize * (frame + HEADER)]).is_err() {
                return;
            }
            left -= count;
        }
    })
}

pub(crate) fn place(index: usize) {
    let cores = threads::cores();
    threads::pin_to_core(cores[index % cores.len()]).expect("an own core");
}

/// What a parser does at least: looks at the bytes.
fn touch(frame: &[u8]) -> u64 {
    frame.iter().step_by(4096).map(|byte| u64::from(*byte)).sum()
}

fn frame_len(header: &[u8]) -> usize {
    u32::from_be_bytes(header[..HEADER].try_into().expect("four bytes")) as usize
}

fn through_driver(total: u64, frame: usize, pool: Pool, choice: Choice, variant: fn(&mut Link)) -> Cost {
    std::thread::spawn(move || {
        place(0);
        let options = DriverOptions {
            choice,
            receive_buffers: pool.count,
            receive_buffer_bytes: pool.buffer_bytes,
            ..DriverOptions::default()
        };
        let mut driver = driver::open(options).expect("a driver");
        let listener = driver.listen("127.0.0.1:0".parse().unwrap()).expect("listen");
        let address = driver.local_address(listener).expect("address");
        driver.accept(listener, SocketOptions::default(), 0);
        let sender = blast(address, total, frame);
        let mut link = Link { driver, socket: None, events: Vec::new(), bytes: 0, seen: 0 };
        link.wait_for_peer();
        let meter = Meter::start();
        let syscalls = link.driver.counters().syscalls;
        variant(&mut link);
        let cost = meter.stop(link.bytes, link.driver.counters().syscalls - syscalls);
        sender.join().expect("sender");
        assert!(link.seen > 0);
        cost
    })
    .join()
    .expect("receiver")
}

/// One connection through a driver.
struct Link {
    driver: Box<dyn Driver>,
    socket: Option<Socket>,
    events: Vec<Event>,
    bytes: u64,
    seen: u64,
}

impl Link {
    fn wait_for_peer(&mut self) {
        while self.socket.is_none() {
            self.driver.wait(None, &mut self.events).expect("wait");
            for event in self.events.drain(..) {
                if let Event::Accepted { result, .. } = event {
                    self.socket = Some(result.expect("accepted").0);
                }
            }
        }
    }

    fn next_event(&mut self) -> Event {
        while self.events.is_empty() {
            self.driver.wait(None, &mut self.events).expect("wait");
        }
        self.events.remove(0)
    }

    /// The next bytes; `None` at the end.
    fn pooled(&mut self) -> Option<Buf> {
        let socket = self.socket.expect("connected");
        self.driver.recv(socket, 1);
        match self.next_event() {
            Event::Received { result, .. } => Some(result.expect("received")).filter(|buf| !buf.is_empty()),
            other => panic!("{other:?}"),
        }
    }

    fn exact(&mut self, buf: Buf, len: usize) -> Option<Buf> {
        let socket = self.socket.expect("connected");
        self.driver.recv_exact(socket, buf, len, 2);
        match self.next_event() {
            Event::Filled { result, .. } => result.ok(),
            other => panic!("{other:?}"),
        }
    }

    fn take(&mut self, frame: &[u8]) {
        self.bytes += (frame.len() + HEADER) as u64;
        self.seen += touch(frame);
    }
}

/// Cuts a stream of pieces into frames, each copied to where it is whole.
#[derive(Default)]
struct Cutter {
    held: Vec<u8>,
}

impl Cutter {
    fn push(&mut self, mut piece: &[u8], mut each: impl FnMut(&[u8])) {
        while !piece.is_empty() {
            if self.held.is_empty() && piece.len() >= HEADER && piece.len() >= HEADER + frame_len(piece) {
                let end = HEADER + frame_len(piece);
                each(&piece[HEADER..end]);
                piece = &piece[end..];
                continue;
            }
            let wanted = if self.held.len() < HEADER { HEADER } else { HEADER + frame_len(&self.held) };
            let len = (wanted - self.held.len()).min(piece.len());
            self.held.extend_from_slice(&piece[..len]);
            piece = &piece[len..];
            if self.held.len() >= HEADER && self.held.len() == HEADER + frame_len(&self.held) {
                each(&self.held[HEADER..]);
                self.held.clear();
            }
        }
    }
}

fn pooled(link: &mut Link) {
    let mut cutter = Cutter::default();
    while let Some(buf) = link.pooled() {
        let (mut bytes, mut seen) = (0, 0);
        cutter.push(&buf, |frame| {
            bytes += (frame.len() + HEADER) as u64;
            seen += touch(frame);
        });
        link.bytes += bytes;
        link.seen += seen;
    }
}

fn exact(link: &mut Link) {
    loop {
        let room = link.driver.buffer(HEADER);
        let Some(header) = link.exact(room, HEADER) else { return };
        let len = frame_len(&header);
        let room = link.driver.buffer(len);
        let Some(body) = link.exact(room, len) else { return };
        link.take(&body);
    }
}

/// What the broker does: whole frames are slices of the pooled buffer; a frame that goes on beyond it gets a buffer of
/// its size, the beginning is copied and the rest received in place.
fn hybrid(link: &mut Link) {
    while let Some(buf) = link.pooled() {
        let piece = Slice::new(buf);
        let mut at = 0;
        while at < piece.len() {
            let rest = &piece[at..];
            if rest.len() >= HEADER && rest.len() >= HEADER + frame_len(rest) {
                let end = HEADER + frame_len(rest);
                let frame = piece.slice(at + HEADER..at + end);
                link.take(&frame);
                at += end;
                continue;
            }
            let mut head = link.driver.buffer(HEADER.max(rest.len()));
            head.vec().extend_from_slice(rest);
            let head = if head.len() < HEADER { link.exact(head, HEADER) } else { Some(head) };
            let Some(head) = head else { return };
            let whole = HEADER + frame_len(&head);
            let mut frame = link.driver.buffer(whole);
            frame.vec().extend_from_slice(&head);
            let Some(frame) = link.exact(frame, whole) else { return };
            let body = Slice::new(frame).slice(HEADER..whole);
            link.take(&body);
            break;
        }
    }
}

/// Multishot receive on a bare ring, set up as the driver's is.
fn multishot(total: u64, frame: usize, pool: Pool) -> Cost {
    std::thread::spawn(move || {
        place(0);
        let listener = TcpListener::bind("127.0.0.1:0").expect("listen");
        let sender = blast(listener.local_addr().expect("address"), total, frame);
        let (stream, _) = listener.accept().expect("accept");
        let mut ring: IoUring = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_cqsize(1024)
            .build(256)
            .expect("a ring");
        let mut pool = Provided::new(&ring, pool);
        let (mut cutter, mut bytes, mut seen, mut syscalls) = (Cutter::default(), 0u64, 0u64, 0u64);
        let meter = Meter::start();
        let mut armed = false;
        'stream: loop {
            if !armed {
                let entry = opcode::RecvMulti::new(Fd(stream.as_raw_fd()), 0).build();
                // SAFETY: the entry names an open socket and the group of provided buffers, which outlive the ring.
                unsafe { ring.submission().push(&entry).expect("room in the queue") };
                armed = true;
            }
            ring.submit_and_wait(1).expect("enter");
            syscalls += 1;
            let completions: Vec<cqueue::Entry> = ring.completion().collect();
            for completion in completions {
                armed &= cqueue::more(completion.flags());
                if completion.result() == 0 {
                    break 'stream;
                }
                let Some(slot) = cqueue::buffer_select(completion.flags()) else { continue };
                let piece = pool.filled(slot, completion.result() as usize);
                cutter.push(piece, |frame| {
                    bytes += (frame.len() + HEADER) as u64;
                    seen += touch(frame);
                });
                pool.provide(slot);
            }
        }
        let cost = meter.stop(bytes, syscalls);
        drop(stream);
        drop(ring);
        drop(pool);
        sender.join().expect("sender");
        assert!(seen > 0);
        cost
    })
    .join()
    .expect("receiver")
}

/// Provided buffers that are copied from and given back at once.
struct Provided {
    pool: Pool,
    memory: Vec<u8>,
    base: *mut BufRingEntry,
    tail: u16,
}

impl Provided {
    fn new(ring: &IoUring, pool: Pool) -> Self {
        let layout = std::alloc::Layout::from_size_align(usize::from(pool.count) * 16, 4096).expect("a layout");
        // SAFETY: the layout's size is not zero. The memory is never freed: the program ends soon.
        let base = unsafe { std::alloc::alloc_zeroed(layout) }.cast::<BufRingEntry>();
        // SAFETY: the memory holds as many entries as are registered and is never freed.
        unsafe { ring.submitter().register_buf_ring_with_flags(base as u64, pool.count, 0, 0) }.expect("register");
        let memory = vec![0; usize::from(pool.count) * pool.buffer_bytes];
        let mut provided = Self { pool, memory, base, tail: 0 };
        for slot in 0..pool.count {
            provided.provide(slot);
        }
        provided
    }

    fn provide(&mut self, slot: u16) {
        let start = usize::from(slot) * self.pool.buffer_bytes;
        // SAFETY: the index is masked to the ring, and the slot is not with the kernel.
        let entry = unsafe { &mut *self.base.add(usize::from(self.tail & (self.pool.count - 1))) };
        entry.set_addr(self.memory[start..].as_mut_ptr() as u64);
        entry.set_len(self.pool.buffer_bytes as u32);
        entry.set_bid(slot);
        self.tail = self.tail.wrapping_add(1);
        // SAFETY: the base's first entry holds the tail, which only this thread writes.
        let shared = unsafe { &*BufRingEntry::tail(self.base).cast::<std::sync::atomic::AtomicU16>() };
        shared.store(self.tail, std::sync::atomic::Ordering::Release);
    }

    fn filled(&self, slot: u16, len: usize) -> &[u8] {
        let start = usize::from(slot) * self.pool.buffer_bytes;
        &self.memory[start..start + len]
    }
}

/// A pause that lets the peer's last work end.
pub(crate) fn settle() {
    std::thread::sleep(Duration::from_millis(5));
}
