//! How ranges of a file that lie in the page cache go to a socket: by reference (sendfile) or read into a buffer and
//! sent. Each range follows a header of 100 bytes, as in a response. A thread on the other core (or in another network
//! namespace, across a veth pair) receives and throws away.

use std::io::{IoSlice, Read};
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc;

use ringlog_io::{Choice, Driver, DriverOptions, Event, File, OpenMode, Slice, Socket, SocketOptions, driver};

use crate::Options;
use crate::receive::{place, settle};
use crate::table::{Cost, Meter, Table};

const HEADER: usize = 100;
const FILE_BYTES: u64 = 64 << 20;

pub(crate) fn run(options: &Options) {
    let rounds = options.number("rounds", 9);
    let total = (options.number("mib", 256) << 20) as u64;
    let dir = options.text("dir").map_or_else(std::env::temp_dir, Into::into);
    let path = dir.join(format!("measure-transfer-{}", std::process::id()));
    for len in [4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20, 4 << 20] {
        let mut table = Table::default();
        // Small ranges cost more a byte: fewer bytes take as long.
        let total = total.min(len as u64 * 16 * 1024);
        for _ in 0..rounds {
            for (name, by_reference) in [("sendfile", true), ("read and send", false)] {
                let drain = Drain::start(options);
                table.add(name, measure(&path, drain, len, total, by_reference));
                settle();
            }
        }
        let link = if options.text("netns").is_some() { "veth pair" } else { "loopback" };
        table.print(&format!("transfer, resident ranges of {len} bytes, {link}"));
    }
    std::fs::remove_file(&path).expect("remove");
}

/// Receives on a thread of its own, in a network namespace where one is named.
struct Drain {
    address: SocketAddr,
    thread: std::thread::JoinHandle<u64>,
}

impl Drain {
    fn start(options: &Options) -> Self {
        let (tell, told) = mpsc::channel();
        let netns = options.text("netns").map(|name| format!("/var/run/netns/{name}"));
        let bind = format!("{}:0", options.text("address").unwrap_or("127.0.0.1"));
        let thread = std::thread::spawn(move || {
            place(1);
            if let Some(path) = netns {
                enter_namespace(&path);
            }
            let listener = TcpListener::bind(bind).expect("listen");
            tell.send(listener.local_addr().expect("address")).expect("told");
            let (mut stream, _) = listener.accept().expect("accept");
            let mut room = vec![0; 256 << 10];
            let mut total = 0;
            loop {
                match stream.read(&mut room).expect("read") {
                    0 => return total,
                    n => total += n as u64,
                }
            }
        });
        Self { address: told.recv().expect("the address"), thread }
    }
}

fn enter_namespace(path: &str) {
    let file = std::fs::File::open(path).expect("a network namespace (ip netns add)");
    // SAFETY: setns takes integers; it moves this thread alone.
    let code = unsafe { libc::setns(std::os::fd::AsRawFd::as_raw_fd(&file), libc::CLONE_NEWNET) };
    assert_eq!(code, 0, "setns: {}", std::io::Error::last_os_error());
}

fn measure(path: &std::path::Path, drain: Drain, len: usize, total: u64, by_reference: bool) -> Cost {
    place(0);
    let driver = driver::open(DriverOptions { choice: Choice::Auto, ..DriverOptions::default() }).expect("a driver");
    let files = driver.files();
    let file = match files.open(path, OpenMode::Read) {
        Ok(file) => file,
        Err(_) => {
            let file = files.open(path, OpenMode::Create).expect("open");
            let block = vec![3; 1 << 20];
            for i in 0..FILE_BYTES >> 20 {
                files.write_all_at(&file, &[IoSlice::new(&block)], i << 20).expect("write");
            }
            files.sync(&file).expect("sync");
            file
        }
    };
    let mut sender = Sender { driver, socket: None, events: Vec::new(), file };
    sender.connect(drain.address);
    let meter = Meter::start();
    let syscalls = sender.driver.counters().syscalls;
    let count = total / len as u64;
    let mut offset = 0;
    for _ in 0..count {
        if by_reference {
            sender.refer(offset, len)
        } else {
            sender.copy(offset, len)
        }
        offset = (offset + len as u64) % (FILE_BYTES - len as u64 + 1) / 4096 * 4096;
    }
    let syscalls = sender.driver.counters().syscalls - syscalls;
    sender.driver.close(sender.socket.expect("connected"));
    // The receiver's part belongs to the transfer: the process's CPU is read when it has everything.
    let thread_ns = meter.thread_now();
    let received = drain.thread.join().expect("drain");
    assert_eq!(received, count * (len + HEADER) as u64);
    Cost { thread_ns, ..meter.stop(count * len as u64, syscalls) }
}

struct Sender {
    driver: Box<dyn Driver>,
    socket: Option<Socket>,
    events: Vec<Event>,
    file: File,
}

impl Sender {
    fn connect(&mut self, address: SocketAddr) {
        self.driver.connect(address, SocketOptions::default(), 1);
        match self.next_event() {
            Event::Connected { result, .. } => self.socket = Some(result.expect("connected")),
            other => panic!("{other:?}"),
        }
    }

    fn next_event(&mut self) -> Event {
        while self.events.is_empty() {
            self.driver.wait(None, &mut self.events).expect("wait");
        }
        self.events.remove(0)
    }

    fn send(&mut self, parts: Vec<Slice>) {
        self.driver.send(self.socket.expect("connected"), parts, 2);
        match self.next_event() {
            Event::Sent { result, .. } => drop(result.expect("sent")),
            other => panic!("{other:?}"),
        }
    }

    fn copy(&mut self, offset: u64, len: usize) {
        let mut body = self.driver.buffer(len);
        let files = self.driver.files();
        let got = files.read_resident(&self.file, &mut body, offset, len).expect("resident");
        assert_eq!(got, len, "the file lies in the page cache");
        self.send(vec![Slice::from(vec![1; HEADER]), Slice::new(body)]);
    }

    fn refer(&mut self, offset: u64, len: usize) {
        self.send(vec![Slice::from(vec![1; HEADER])]);
        let socket = self.socket.expect("connected");
        let mut sent = 0;
        while sent < len {
            match self.driver.send_file(socket, &self.file, offset + sent as u64, len - sent) {
                Ok(n) => sent += n,
                Err(error) => {
                    assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
                    self.driver.writable(socket, 3);
                    match self.next_event() {
                        Event::Writable { result, .. } => result.expect("writable"),
                        other => panic!("{other:?}"),
                    }
                }
            }
        }
    }
}
