//! The simulated world keeps the promises of a driver, and breaks what a kernel, a disk and a network may break.

use std::io::IoSlice;
use std::net::SocketAddr;
use std::path::Path;
use std::rc::Rc;

use ringlog_io::sim::{DriverId, Fault, Op, SimFiles, World};
use ringlog_io::{Driver, Event, Files, Nanos, OpenMode, Slice, Socket, SocketOptions, errno};

const SECOND: u64 = 1_000_000_000;

/// A world with one server and one client that are connected.
struct Pair {
    world: World,
    files: Rc<SimFiles>,
    server: Seat,
    client: Seat,
}

struct Seat {
    id: DriverId,
    driver: Box<dyn Driver>,
    socket: Option<Socket>,
    seen: Vec<Event>,
}

fn address() -> SocketAddr {
    "127.0.0.1:9092".parse().expect("an address")
}

impl Seat {
    fn new(world: &World, files: &Rc<SimFiles>) -> Self {
        let (id, driver) = world.driver(files, 4, 1024);
        Self { id, driver, socket: None, seen: Vec::new() }
    }

    fn socket(&self) -> Socket {
        self.socket.expect("connected")
    }

    fn step(&mut self) {
        let mut events = Vec::new();
        self.driver.wait(None, &mut events).expect("never fails");
        for event in &events {
            match event {
                Event::Accepted { result: Ok((socket, _)), .. } | Event::Connected { result: Ok(socket), .. } => {
                    self.socket = Some(*socket);
                }
                _ => {}
            }
        }
        self.seen.extend(events);
    }
}

impl Pair {
    fn new(seed: u64) -> Self {
        let world = World::new(seed);
        let files = SimFiles::new(seed);
        let (mut server, mut client) = (Seat::new(&world, &files), Seat::new(&world, &SimFiles::new(seed)));
        let listener = server.driver.listen(address()).expect("listens");
        server.driver.accept(listener, SocketOptions::default(), 1);
        client.driver.connect(address(), SocketOptions::default(), 2);
        let mut pair = Self { world, files, server, client };
        pair.run_for(SECOND);
        assert!(pair.server.socket.is_some() && pair.client.socket.is_some());
        pair
    }

    fn run_for(&mut self, span_ns: u64) {
        let limit = Nanos(self.world.now().0 + span_ns);
        while let Some(id) = self.world.next(limit) {
            self.world.sleep(id, None);
            if id == self.server.id { self.server.step() } else { self.client.step() }
        }
        assert_eq!(self.world.now(), limit);
    }

    /// What the server receives of `bytes` that the client sends in two parts, piece by piece.
    fn carry(&mut self, bytes: &[u8]) -> Vec<u8> {
        let (head, tail) = bytes.split_at(bytes.len() / 3);
        let parts = vec![Slice::from(head.to_vec()), Slice::from(tail.to_vec())];
        self.client.driver.send(self.client.socket(), parts, 7);
        let mut got = Vec::new();
        for _ in 0..bytes.len() + 1 {
            self.server.driver.recv(self.server.socket(), 8);
            self.run_for(SECOND);
            for event in self.server.seen.drain(..) {
                if let Event::Received { result, .. } = event {
                    got.extend_from_slice(&result.expect("a whole connection"));
                }
            }
            if got.len() == bytes.len() {
                break;
            }
        }
        got
    }
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|place| (place * 31 + len) as u8).collect()
}

#[test]
fn bytes_arrive_whole_and_in_order_however_they_are_cut_and_however_small_the_window_is() {
    for seed in 0..20 {
        let mut pair = Pair::new(seed);
        pair.world.weather().segment_bytes = 1..(1 << (seed % 12)) + 2;
        let bytes = pattern(3_000);
        assert_eq!(pair.carry(&bytes), bytes, "seed {seed}");
        assert!(pair.client.seen.iter().any(|event| matches!(event, Event::Sent { token: 7, result: Ok(3_000) })));
    }
}

#[test]
fn a_send_ends_only_when_the_window_took_all_of_it() {
    let world = World::new(1);
    world.weather().window_bytes = 1_000;
    let files = SimFiles::new(1);
    let (mut server, mut client) = (Seat::new(&world, &files), Seat::new(&world, &files));
    let listener = server.driver.listen(address()).expect("listens");
    server.driver.accept(listener, SocketOptions::default(), 1);
    client.driver.connect(address(), SocketOptions::default(), 2);
    let mut pair = Pair { world, files, server, client };
    pair.run_for(SECOND);
    pair.client.driver.send(pair.client.socket(), vec![Slice::from(pattern(1_500))], 7);
    pair.client.driver.writable(pair.client.socket(), 9);
    pair.run_for(SECOND);
    let ended = |pair: &Pair| pair.client.seen.iter().any(|event| matches!(event, Event::Sent { .. }));
    assert!(!ended(&pair), "500 bytes have no room yet");
    pair.server.driver.recv_exact(pair.server.socket(), Vec::new().into(), 1_500, 8);
    pair.run_for(SECOND);
    assert!(ended(&pair));
    let filled = pair.server.seen.iter().find_map(|event| match event {
        Event::Filled { result: Ok(buf), .. } => Some(buf.to_vec()),
        _ => None,
    });
    assert_eq!(filled, Some(pattern(1_500)));
    assert!(pair.client.seen.iter().any(|event| matches!(event, Event::Writable { result: Ok(()), .. })));
}

#[test]
fn the_same_seed_gives_the_same_world_and_another_gives_another() {
    let run = |seed: u64| {
        let mut pair = Pair::new(seed);
        pair.carry(&pattern(5_000));
        (pair.world.hash(), pair.world.events(), pair.world.now())
    };
    assert_eq!(run(3), run(3));
    assert_ne!(run(3).0, run(4).0);
}

#[test]
fn a_closed_connection_ends_its_operations_and_the_peers_stream() {
    let mut pair = Pair::new(5);
    pair.server.driver.recv(pair.server.socket(), 8);
    pair.client.driver.recv(pair.client.socket(), 9);
    pair.server.driver.close(pair.server.socket());
    pair.run_for(SECOND);
    let errno_of = |event: &Event| match event {
        Event::Received { result: Err(error), .. } => errno(error),
        _ => None,
    };
    assert_eq!(pair.server.seen.iter().find_map(errno_of), Some(libc::ECANCELED));
    assert!(
        pair.client.seen.iter().any(|event| matches!(event, Event::Received { result: Ok(buf), .. } if buf.is_empty()))
    );
    pair.server.seen.clear();
    pair.server.driver.send(pair.server.socket(), vec![Slice::from(vec![1])], 3);
    pair.run_for(SECOND);
    assert!(matches!(&pair.server.seen[..], [Event::Sent { result: Err(_), .. }]), "{:?}", pair.server.seen);
}

#[test]
fn a_cut_connection_is_silent_until_a_sender_gives_up() {
    let mut pair = Pair::new(6);
    pair.server.driver.recv(pair.server.socket(), 8);
    assert!(pair.world.break_connection(true));
    pair.server.seen.clear();
    pair.client.driver.send(pair.client.socket(), vec![Slice::from(vec![1])], 3);
    pair.client.driver.recv(pair.client.socket(), 4);
    pair.run_for(30 * SECOND);
    assert!(pair.server.seen.is_empty(), "{:?}", pair.server.seen);
    pair.run_for(60 * SECOND);
    assert!(pair.server.seen.is_empty(), "it owes nothing and waits for ever: {:?}", pair.server.seen);
    let gave_up = pair.client.seen.iter().any(
        |event| matches!(event, Event::Received { result: Err(error), .. } if errno(error) == Some(libc::ETIMEDOUT)),
    );
    assert!(gave_up, "{:?}", pair.client.seen);
}

#[test]
fn a_killed_process_loses_its_sockets_and_keeps_its_files() {
    let mut pair = Pair::new(7);
    let path = Path::new("/file");
    let file = pair.files.open(path, OpenMode::CreateNew).expect("opens");
    pair.files.write_all_at(&file, &[IoSlice::new(b"written")], 0).expect("writes");
    pair.client.driver.recv(pair.client.socket(), 9);
    pair.world.kill(pair.server.id);
    pair.run_for(SECOND);
    assert!(
        pair.client.seen.iter().any(|event| matches!(event, Event::Received { result: Ok(buf), .. } if buf.is_empty()))
    );
    assert_eq!(pair.files.read(path).expect("reads"), b"written");
    pair.client.driver.connect(address(), SocketOptions::default(), 2);
    pair.run_for(SECOND);
    assert!(matches!(pair.client.seen.last(), Some(Event::Connected { result: Err(_), .. })));
    pair.server = Seat::new(&pair.world, &pair.files);
    pair.server.driver.listen(address()).expect("the port is free again");
}

#[test]
fn a_sync_covers_what_was_written_before_it_and_not_what_came_while_it_ran() {
    let (mut lost, mut kept) = (false, false);
    for seed in 0..50 {
        let mut pair = Pair::new(seed);
        let path = Path::new("/file");
        let file = pair.files.open(path, OpenMode::CreateNew).expect("opens");
        pair.files.sync_dir(Path::new("/")).expect("syncs");
        pair.files.write_all_at(&file, &[IoSlice::new(b"before")], 0).expect("writes");
        pair.server.driver.sync(&file, 5);
        pair.files.write_all_at(&file, &[IoSlice::new(b" during")], 6).expect("writes");
        pair.run_for(SECOND);
        assert!(pair.server.seen.iter().any(|event| matches!(event, Event::Synced { token: 5, result: Ok(()) })));
        pair.files.crash();
        pair.files.power_on();
        let bytes = pair.files.read(path).expect("reads");
        assert!(bytes.starts_with(b"before"), "{bytes:?}");
        lost |= bytes.len() < 13;
        kept |= bytes.len() == 13;
    }
    assert!(lost && kept);
}

#[test]
fn a_failed_sync_is_told_and_its_bytes_are_lost_for_good() {
    let mut pair = Pair::new(9);
    let path = Path::new("/file");
    let file = pair.files.open(path, OpenMode::CreateNew).expect("opens");
    pair.files.sync_dir(Path::new("/")).expect("syncs");
    pair.files.write_all_at(&file, &[IoSlice::new(b"gone")], 0).expect("writes");
    pair.files.fail(Fault::nth(Op::Sync, 1, libc::EIO));
    pair.server.driver.sync(&file, 5);
    pair.run_for(SECOND);
    assert!(matches!(&pair.server.seen[..], [.., Event::Synced { result: Err(_), .. }]));
    pair.server.driver.sync(&file, 6);
    pair.run_for(SECOND);
    assert!(matches!(&pair.server.seen[..], [.., Event::Synced { result: Ok(()), .. }]));
    pair.files.crash();
    pair.files.power_on();
    assert_eq!(pair.files.read(path).expect("reads"), b"");
}

#[test]
fn a_disk_that_stalls_answers_late_and_out_of_order() {
    let mut pair = Pair::new(10);
    pair.world.weather().stall_once_in = 2;
    let file = pair.files.open(Path::new("/file"), OpenMode::CreateNew).expect("opens");
    let begun = pair.world.now();
    for token in 0..20 {
        pair.server.driver.sync(&file, token);
    }
    pair.server.seen.clear();
    pair.run_for(5 * SECOND);
    let tokens: Vec<u64> = pair
        .server
        .seen
        .iter()
        .map(|event| match event {
            Event::Synced { token, .. } => *token,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(tokens.len(), 20);
    assert!(!tokens.is_sorted(), "{tokens:?}");
    assert!(pair.world.now() > begun);
}

#[test]
fn a_paused_thread_runs_when_its_pause_is_over() {
    let mut pair = Pair::new(11);
    let until = Nanos(pair.world.now().0 + 2 * SECOND);
    pair.world.pause(pair.server.id, until);
    pair.server.driver.waker().expect("a waker").wake();
    pair.server.seen.clear();
    pair.run_for(SECOND);
    assert!(pair.server.seen.is_empty());
    pair.run_for(2 * SECOND);
    assert!(matches!(&pair.server.seen[..], [Event::Woken]));
    assert!(pair.server.driver.now() >= until);
}

#[test]
fn a_process_without_descriptors_accepts_when_it_has_some_again() {
    let mut pair = Pair::new(12);
    pair.world.weather().out_of_descriptors = true;
    pair.server.seen.clear();
    pair.client.driver.connect(address(), SocketOptions::default(), 2);
    pair.run_for(SECOND);
    assert!(!pair.server.seen.is_empty());
    assert!(pair.server.seen.iter().all(|event| matches!(event, Event::Accepted { result: Err(_), .. })));
    pair.world.weather().out_of_descriptors = false;
    pair.run_for(SECOND);
    assert!(matches!(pair.server.seen.last(), Some(Event::Accepted { result: Ok(_), .. })));
}

#[test]
fn receives_wait_for_a_buffer_of_the_pool() {
    let mut pair = Pair::new(13);
    pair.client.driver.send(pair.client.socket(), vec![Slice::from(pattern(8_000))], 7);
    let mut held = Vec::new();
    for _ in 0..5 {
        pair.server.seen.clear();
        pair.server.driver.recv(pair.server.socket(), 8);
        pair.run_for(SECOND);
        held.extend(pair.server.seen.drain(..).filter(|event| matches!(event, Event::Received { .. })));
    }
    assert_eq!(held.len(), 4, "the pool has four");
    held.clear();
    pair.run_for(SECOND);
    assert!(matches!(&pair.server.seen[..], [Event::Received { result: Ok(_), .. }]));
}

#[test]
fn a_file_goes_to_a_socket_by_reference_as_far_as_there_is_room() {
    let mut pair = Pair::new(14);
    let file = pair.files.open(Path::new("/file"), OpenMode::CreateNew).expect("opens");
    pair.files.write_all_at(&file, &[IoSlice::new(&pattern(500_000))], 0).expect("writes");
    let socket = pair.server.socket();
    let sent = pair.server.driver.send_file(socket, &file, 0, 500_000).expect("there is room");
    assert_eq!(sent, 256 << 10);
    let error = pair.server.driver.send_file(socket, &file, 0, 1).expect_err("there is none");
    assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
    pair.client.driver.recv_exact(pair.client.socket(), Vec::new().into(), sent, 3);
    pair.run_for(SECOND);
    let filled = pair
        .client
        .seen
        .iter()
        .any(|event| matches!(event, Event::Filled { result: Ok(buf), .. } if buf[..] == pattern(500_000)[..sent]));
    assert!(filled);
}
