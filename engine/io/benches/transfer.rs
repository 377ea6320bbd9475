//! How a range that is in the page cache leaves for a socket, copied or by reference, over loopback:
//! `cargo bench -p ringlog-io --bench transfer`. `cargo test` runs each once.
#![allow(missing_docs, clippy::unwrap_used, clippy::disallowed_methods)]

use std::io::{self, IoSlice, Read};
use std::net::TcpStream;
use std::rc::Rc;
use std::thread::{self, JoinHandle};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ringlog_io::driver::{self, DriverOptions};
use ringlog_io::{Choice, Driver, Event, File, Files, OpenMode, Slice, Socket, SocketOptions};

const TOKEN: u64 = 1;
const LENGTHS: [usize; 3] = [16 << 10, 256 << 10, 1 << 20];

/// A connection whose peer reads and forgets, and a file to send from.
struct Rig {
    driver: Box<dyn Driver>,
    files: Rc<dyn Files>,
    socket: Socket,
    file: File,
    events: Vec<Event>,
    /// Gives how much it read.
    peer: JoinHandle<u64>,
    sent: u64,
}

impl Rig {
    fn new(choice: Choice) -> Self {
        let mut driver = driver::open(DriverOptions { choice, ..DriverOptions::default() }).unwrap();
        let listener = driver.listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = driver.local_address(listener).unwrap();
        let peer = thread::spawn(move || read_all(TcpStream::connect(address).unwrap()));
        driver.accept(listener, SocketOptions::default(), TOKEN);
        let mut events = Vec::new();
        let socket = loop {
            driver.wait(None, &mut events).unwrap();
            if let Some(Event::Accepted { result, .. }) = events.pop() {
                break result.unwrap().0;
            }
        };
        let files = driver.files();
        let path = std::env::temp_dir().join(format!("ringlog-transfer-{}", std::process::id()));
        let file = files.open(&path, OpenMode::Create).unwrap();
        files.write_all_at(&file, &[IoSlice::new(&vec![b'x'; 1 << 20])], 0).unwrap();
        files.remove_file(&path).unwrap();
        Self { driver, files, socket, file, events, peer, sent: 0 }
    }

    fn await_one(&mut self) -> Event {
        loop {
            if let Some(event) = self.events.pop() {
                return event;
            }
            self.driver.wait(None, &mut self.events).unwrap();
        }
    }

    fn copy(&mut self, len: usize) {
        let mut buf = self.driver.buffers().take(len);
        assert_eq!(self.files.read_resident(&self.file, &mut buf, 0, len).unwrap(), len);
        let sent = match self.driver.send_now(self.socket, vec![Slice::new(buf)], TOKEN) {
            Some(sent) => sent,
            None => match self.await_one() {
                Event::Sent { result, .. } => result.unwrap(),
                other => panic!("not asked for: {other:?}"),
            },
        };
        assert_eq!(sent, len);
        self.sent += len as u64;
    }

    fn refer(&mut self, len: usize) {
        let mut done = 0;
        while done < len {
            match self.driver.send_file(self.socket, &self.file, done as u64, len - done) {
                Ok(sent) => done += sent,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.driver.writable(self.socket, TOKEN);
                    assert!(matches!(self.await_one(), Event::Writable { result: Ok(()), .. }));
                }
                Err(error) => panic!("{error}"),
            }
        }
        self.sent += len as u64;
    }

    /// All that was sent arrived.
    fn end(mut self) {
        self.driver.close(self.socket);
        drop(self.driver);
        assert_eq!(self.peer.join().unwrap(), self.sent);
    }
}

fn read_all(mut stream: TcpStream) -> u64 {
    let (mut piece, mut all) = (vec![0; 1 << 20], 0);
    loop {
        match stream.read(&mut piece).unwrap() {
            0 => return all,
            read => all += read as u64,
        }
    }
}

fn transferring(c: &mut Criterion) {
    for (name, choice) in [("ring", Choice::Auto), ("epoll", Choice::Epoll)] {
        let mut rig = Rig::new(choice);
        let mut group = c.benchmark_group(format!("transfer/{name}"));
        for len in LENGTHS {
            group.throughput(Throughput::Bytes(len as u64));
            group.bench_function(BenchmarkId::new("copy", len), |b| b.iter(|| rig.copy(len)));
            group.bench_function(BenchmarkId::new("reference", len), |b| b.iter(|| rig.refer(len)));
        }
        group.finish();
        rig.end();
    }
}

criterion_group! {
    name = transfer;
    config = Criterion::default().sample_size(20).warm_up_time(std::time::Duration::from_millis(300))
        .measurement_time(std::time::Duration::from_millis(700));
    targets = transferring
}
criterion_main!(transfer);
