//! What the driver's tests share: a driver with a queue of its events, on each implementation in turn.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ringlog_io::{Buf, Choice, Driver, DriverOptions, Event, File, Listener, Slice, Socket, SocketOptions, driver};

/// No test waits longer for an event.
const PATIENCE: Duration = Duration::from_secs(20);

/// A driver and the events that nobody asked for yet.
pub(crate) struct Rig {
    pub(crate) driver: Box<dyn Driver>,
    pub(crate) events: VecDeque<Event>,
}

/// Runs a test on each implementation.
pub(crate) fn on_each(test: impl Fn(&mut Rig)) {
    on_each_with(&DriverOptions::default(), test);
}

/// As [`on_each`], with options.
pub(crate) fn on_each_with(options: &DriverOptions, test: impl Fn(&mut Rig)) {
    for choice in [Choice::Epoll, Choice::Uring] {
        let options = DriverOptions { choice, ..options.clone() };
        let mut rig = Rig { driver: driver::open(options).expect("a driver"), events: VecDeque::new() };
        test(&mut rig);
    }
}

impl Rig {
    /// Waits once and queues what came.
    pub(crate) fn turn(&mut self, timeout: Duration) {
        let mut events = Vec::new();
        self.driver.wait(Some(timeout), &mut events).expect("wait");
        self.events.extend(events);
    }

    /// The first event that `pick` takes; the others stay queued.
    pub(crate) fn until<T>(&mut self, mut pick: impl FnMut(&mut Event) -> Option<T>) -> T {
        let deadline = self.driver.read().0 + PATIENCE.as_nanos() as u64;
        let mut at = 0;
        loop {
            while at < self.events.len() {
                if let Some(found) = pick(&mut self.events[at]) {
                    self.events.remove(at);
                    return found;
                }
                at += 1;
            }
            assert!(self.driver.read().0 < deadline, "no such event; there are {:?}", self.events);
            self.turn(Duration::from_millis(200));
        }
    }

    pub(crate) fn received(&mut self, wanted: u64) -> std::io::Result<Buf> {
        self.until(|event| match event {
            Event::Received { token, result } if *token == wanted => Some(take(result)),
            _ => None,
        })
    }

    pub(crate) fn filled(&mut self, wanted: u64) -> std::io::Result<Buf> {
        self.until(|event| match event {
            Event::Filled { token, result } if *token == wanted => Some(take(result)),
            _ => None,
        })
    }

    pub(crate) fn sent(&mut self, wanted: u64) -> std::io::Result<usize> {
        self.until(|event| match event {
            Event::Sent { token, result } if *token == wanted => Some(take(result)),
            _ => None,
        })
    }

    pub(crate) fn writable(&mut self, wanted: u64) -> std::io::Result<()> {
        self.until(|event| match event {
            Event::Writable { token, result } if *token == wanted => Some(take(result)),
            _ => None,
        })
    }

    pub(crate) fn synced(&mut self, wanted: u64) -> std::io::Result<()> {
        self.until(|event| match event {
            Event::Synced { token, result } if *token == wanted => Some(take(result)),
            _ => None,
        })
    }

    pub(crate) fn job_done(&mut self, wanted: u64) -> std::io::Result<Option<File>> {
        self.until(|event| match event {
            Event::JobDone { token, result } if *token == wanted => Some(take(result)),
            _ => None,
        })
    }

    pub(crate) fn file_read(&mut self, wanted: u64) -> std::io::Result<Buf> {
        self.until(|event| match event {
            Event::Read { token, result } if *token == wanted => Some(take(result)),
            _ => None,
        })
    }

    pub(crate) fn connected(&mut self, wanted: u64) -> std::io::Result<Socket> {
        self.until(|event| match event {
            Event::Connected { token, result } if *token == wanted => Some(take(result)),
            _ => None,
        })
    }

    pub(crate) fn accepted(&mut self, wanted: u64) -> std::io::Result<(Socket, SocketAddr)> {
        self.until(|event| match event {
            Event::Accepted { token, result } if *token == wanted => Some(take(result)),
            _ => None,
        })
    }

    /// A listener on a free port that accepts with token 1.
    pub(crate) fn listen(&mut self) -> (Listener, SocketAddr) {
        let listener = self.driver.listen("127.0.0.1:0".parse().expect("address")).expect("listen");
        let address = self.driver.local_address(listener).expect("address");
        self.driver.accept(listener, SocketOptions::default(), 1);
        (listener, address)
    }

    /// Both ends of a connection.
    pub(crate) fn pair(&mut self) -> (Socket, Socket) {
        self.pair_with(SocketOptions::default())
    }

    /// Both ends of a connection with options on the connecting end.
    pub(crate) fn pair_with(&mut self, options: SocketOptions) -> (Socket, Socket) {
        let (listener, address) = self.listen();
        self.driver.connect(address, options, 2);
        let near = self.connected(2).expect("connected");
        let (far, _) = self.accepted(1).expect("accepted");
        self.driver.close_listener(listener);
        (near, far)
    }

    /// Sends bytes as one part and waits until they are given away.
    pub(crate) fn send_all(&mut self, socket: Socket, bytes: Vec<u8>) {
        let len = bytes.len();
        self.driver.send(socket, vec![Slice::from(bytes)], 901);
        assert_eq!(self.sent(901).expect("sent"), len);
    }
}

fn take<T>(result: &mut std::io::Result<T>) -> std::io::Result<T> {
    std::mem::replace(result, Err(std::io::Error::other("taken")))
}

/// A folder of this test alone, removed when dropped.
pub(crate) struct TestDir(PathBuf);

impl TestDir {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("ringlog-io-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a folder for the test");
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TestDir {
    fn drop(&mut self) {
        // A folder that cannot be removed is left to whoever cleans the temporary folder.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Bytes that repeat only after 2^64 steps (xorshift64*).
pub(crate) fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        bytes.extend_from_slice(&state.wrapping_mul(0x2545_F491_4F6C_DD1D).to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}
