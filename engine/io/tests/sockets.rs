//! The driver's sockets, the same on io_uring and on epoll.

#![allow(clippy::disallowed_methods, dead_code, clippy::unwrap_used)]

mod rig;

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use rig::{Rig, TestDir, noise, on_each, on_each_with};
use ringlog_io::{Buf, DriverOptions, Event, OpenMode, Slice, Socket, SocketOptions, errno};

/// Receives until the stream ends.
fn drain(rig: &mut Rig, socket: Socket) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        rig.driver.recv(socket, 77);
        let buf = rig.received(77).expect("received");
        if buf.is_empty() {
            return all;
        }
        all.extend_from_slice(&buf);
    }
}

#[test]
fn bytes_of_every_size_come_back_the_same() {
    on_each(|rig| {
        let (near, far) = rig.pair();
        for (turn, len) in [1, 2, 100, 4096, 65_535, 65_536, 65_537, 1_000_003, 5 << 20].into_iter().enumerate() {
            let bytes = noise(len, turn as u64);
            rig.driver.send(near, vec![Slice::from(bytes.clone())], 10);
            let mut got = Vec::new();
            while got.len() < len {
                rig.driver.recv(far, 11);
                got.extend_from_slice(&rig.received(11).expect("received"));
            }
            assert_eq!(rig.sent(10).expect("sent"), len);
            assert!(got == bytes, "{len} bytes differ");
        }
        let counters = rig.driver.counters();
        assert_eq!(counters.received_bytes, counters.sent_bytes);
    });
}

#[test]
fn both_ends_echo_at_the_same_time() {
    on_each(|rig| {
        let (near, far) = rig.pair();
        let (there, back) = (noise(3 << 20, 1), noise(3 << 20, 2));
        rig.driver.send(near, vec![Slice::from(there.clone())], 20);
        rig.driver.send(far, vec![Slice::from(back.clone())], 21);
        let room = rig.driver.buffer(3 << 20);
        rig.driver.recv_exact(far, room, 3 << 20, 22);
        let room = rig.driver.buffer(3 << 20);
        rig.driver.recv_exact(near, room, 3 << 20, 23);
        assert!(rig.filled(22).expect("filled")[..] == there[..]);
        assert!(rig.filled(23).expect("filled")[..] == back[..]);
        assert_eq!(rig.sent(20).unwrap() + rig.sent(21).unwrap(), 6 << 20);
    });
}

#[test]
fn an_exact_receive_ends_with_its_last_byte_however_they_come() {
    on_each(|rig| {
        let (near, far) = rig.pair();
        // (what comes before the exact receive, then piece by piece, each waited for)
        let cases: [(usize, &[usize]); 6] = [
            (100, &[372 << 10]),
            (100_000, &[156 << 10, 116 << 10]),
            (1, &[300_000, 5, 1, 700_000]),
            (65_536, &[(1 << 20) - 65_536]),
            (10, &[100, (128 << 10) - 99, (128 << 10) - 1, 1]),
            (200_000, &[400_000, 400_000, 48_576]),
        ];
        for (turn, (first, pieces)) in cases.into_iter().enumerate() {
            let total = first + pieces.iter().sum::<usize>();
            let bytes = noise(total, turn as u64);
            rig.send_all(near, bytes[..first].to_vec());
            rig.driver.recv(far, 25);
            let mut got = rig.received(25).expect("the first bytes");
            rig.driver.recv_exact(far, std::mem::replace(&mut got, Buf::from(vec![])), total, 26);
            let mut at = first;
            for piece in pieces {
                rig.send_all(near, bytes[at..at + piece].to_vec());
                at += piece;
                rig.turn(Duration::from_millis(5));
            }
            assert!(rig.filled(26).expect("filled")[..] == bytes[..], "case {turn}");
            // What an exact receive asked of the socket is not asked of the next.
            rig.driver.recv(far, 27);
            rig.send_all(near, vec![7; 3]);
            assert_eq!(rig.received(27).expect("received")[..], [7; 3]);
        }
    });
}

#[test]
fn many_parts_arrive_in_their_order() {
    on_each(|rig| {
        let (near, far) = rig.pair();
        let whole = noise(3000 * 700, 5);
        let all = Slice::from(whole.clone());
        let mut parts: Vec<Slice> = (0..3000).map(|i| all.slice(i * 700..(i + 1) * 700)).collect();
        parts.insert(0, Slice::from(vec![]));
        parts.insert(1500, Slice::from(vec![]));
        parts.push(Slice::from(vec![]));
        rig.driver.send(near, parts, 30);
        let room = rig.driver.buffer(whole.len());
        rig.driver.recv_exact(far, room, whole.len(), 31);
        assert!(rig.filled(31).expect("filled")[..] == whole[..]);
        assert_eq!(rig.sent(30).expect("sent"), whole.len());
    });
}

#[test]
fn sending_nothing_ends_at_once() {
    on_each(|rig| {
        let (near, _far) = rig.pair();
        rig.driver.send(near, vec![], 5);
        assert_eq!(rig.sent(5).expect("sent"), 0);
        rig.driver.send(near, vec![Slice::from(vec![])], 6);
        assert_eq!(rig.sent(6).expect("sent"), 0);
    });
}

#[test]
fn a_slow_reader_holds_the_sender_and_gets_everything() {
    on_each(|rig| {
        let options = SocketOptions { send_buffer_bytes: Some(16 * 1024), receive_buffer_bytes: Some(16 * 1024) };
        let (near, far) = rig.pair_with(options);
        let bytes = noise(1 << 20, 9);
        rig.driver.send(near, vec![Slice::from(bytes.clone())], 40);
        rig.turn(Duration::from_millis(50));
        assert!(rig.events.is_empty(), "sent into a socket that nobody reads");
        let mut got = Vec::new();
        while got.len() < bytes.len() {
            rig.driver.recv(far, 41);
            got.extend_from_slice(&rig.received(41).expect("received"));
        }
        assert!(got == bytes);
        assert_eq!(rig.sent(40).expect("sent"), bytes.len());
    });
}

#[test]
fn what_the_socket_takes_at_once_has_no_event() {
    on_each(|rig| {
        let (near, far) = rig.pair();
        for len in [0, 1, 70_000] {
            let (first, second) = (noise(len, 3), noise(100, 4));
            let parts = vec![Slice::from(first.clone()), Slice::from(second.clone())];
            // The first send of a connection may come before the driver knows that it can.
            let at_once = rig.driver.send_now(near, parts, 5);
            assert_eq!(at_once.unwrap_or_else(|| rig.sent(5).expect("sent")), len + 100);
            assert!(at_once.is_some() || len == 0, "{:?}", rig.driver.kind());
            let room = rig.driver.buffer(len + 100);
            rig.driver.recv_exact(far, room, len + 100, 6);
            assert_eq!(rig.filled(6).expect("filled")[..], [first, second].concat()[..]);
        }
        rig.turn(Duration::from_millis(1));
        assert!(rig.events.is_empty(), "{:?}", rig.events);
        rig.driver.close(near);
        assert_eq!(rig.driver.send_now(near, vec![Slice::from(vec![1])], 7), None);
        rig.sent(7).expect_err("closed");
    });
}

#[test]
fn what_the_socket_does_not_take_at_once_goes_on_and_ends_in_one_event() {
    on_each(|rig| {
        let (near, far) = rig.pair();
        let bytes = noise(8 << 20, 5);
        let parts = bytes.chunks(1 << 20).map(|part| Slice::from(part.to_vec())).collect();
        assert_eq!(rig.driver.send_now(near, parts, 5), None);
        let room = rig.driver.buffer(bytes.len());
        rig.driver.recv_exact(far, room, bytes.len(), 6);
        assert!(rig.filled(6).expect("filled")[..] == bytes[..]);
        assert_eq!(rig.sent(5).expect("sent"), bytes.len());
        rig.turn(Duration::from_millis(1));
        assert!(rig.events.is_empty(), "{:?}", rig.events);
    });
}

#[test]
fn a_closed_peer_is_an_empty_buffer() {
    on_each(|rig| {
        let (near, far) = rig.pair();
        rig.send_all(near, vec![7; 10]);
        rig.driver.close(near);
        assert_eq!(drain(rig, far), [7; 10]);
        rig.driver.recv(far, 3);
        assert!(rig.received(3).expect("the end, again").is_empty());
    });
}

#[test]
fn after_a_half_close_the_other_direction_still_works() {
    on_each(|rig| {
        let (_listener, address) = rig.listen();
        let peer = std::net::TcpStream::connect(address).expect("connect");
        let (far, from) = rig.accepted(1).expect("accepted");
        assert_eq!(from, peer.local_addr().expect("address"));
        std::io::Write::write_all(&mut &peer, b"question").expect("write");
        peer.shutdown(std::net::Shutdown::Write).expect("half-close");
        assert_eq!(drain(rig, far), b"question");
        let answer = noise(2 << 20, 3);
        rig.driver.send(far, vec![Slice::from(answer.clone())], 50);
        let reader = std::thread::spawn(move || {
            let mut all = vec![0; 2 << 20];
            std::io::Read::read_exact(&mut &peer, &mut all).expect("the answer");
            all
        });
        assert_eq!(rig.sent(50).expect("sent"), answer.len());
        assert!(reader.join().expect("reader") == answer);
    });
}

#[test]
fn an_exact_receive_keeps_what_the_buffer_held() {
    on_each(|rig| {
        let (near, far) = rig.pair();
        rig.driver.recv_exact(far, Buf::from(b"head".to_vec()), 8, 60);
        rig.send_all(near, b"bo".to_vec());
        rig.send_all(near, b"dy and more".to_vec());
        assert_eq!(&rig.filled(60).expect("filled")[..], b"headbody");
        rig.driver.recv(far, 61);
        assert_eq!(&rig.received(61).expect("the rest")[..], b" and more");
    });
}

#[test]
fn an_exact_receive_that_is_full_already_ends_at_once() {
    on_each(|rig| {
        let (_near, far) = rig.pair();
        rig.driver.recv_exact(far, Buf::from(b"full".to_vec()), 4, 62);
        assert_eq!(&rig.filled(62).expect("filled")[..], b"full");
    });
}

#[test]
fn an_exact_receive_across_the_end_is_unexpected_eof() {
    on_each(|rig| {
        let (near, far) = rig.pair();
        let room = rig.driver.buffer(100_000);
        rig.driver.recv_exact(far, room, 100_000, 63);
        rig.send_all(near, noise(60_000, 1));
        rig.turn(Duration::from_millis(10));
        rig.driver.close(near);
        assert_eq!(rig.filled(63).expect_err("early end").kind(), ErrorKind::UnexpectedEof);
    });
}

#[test]
fn closing_ends_every_operation_with_one_event() {
    on_each(|rig| {
        let options = SocketOptions { send_buffer_bytes: Some(8192), receive_buffer_bytes: Some(8192) };
        let (near, _far) = rig.pair_with(options);
        rig.driver.send(near, vec![Slice::from(noise(64 << 20, 1))], 70);
        rig.driver.recv(near, 71);
        rig.driver.writable(near, 72);
        rig.turn(Duration::from_millis(20));
        rig.driver.close(near);
        assert_eq!(errno(&rig.sent(70).expect_err("cut")), Some(libc::ECANCELED));
        assert_eq!(errno(&rig.received(71).expect_err("cut")), Some(libc::ECANCELED));
        // Room may have come for a moment before the close.
        if let Err(error) = rig.writable(72) {
            assert_eq!(errno(&error), Some(libc::ECANCELED));
        }
        rig.turn(Duration::from_millis(20));
        assert!(rig.events.is_empty(), "{:?}", rig.events);
    });
}

#[test]
fn closing_in_the_turn_of_the_submission_gives_the_events_too() {
    on_each(|rig| {
        let (near, _far) = rig.pair();
        let room = rig.driver.buffer(1 << 20);
        rig.driver.recv_exact(near, room, 1 << 20, 73);
        rig.driver.close(near);
        assert_eq!(errno(&rig.filled(73).expect_err("cut")), Some(libc::ECANCELED));
    });
}

#[test]
fn a_closed_id_is_refused_and_never_another_connection() {
    on_each(|rig| {
        let (near, _far) = rig.pair();
        rig.driver.close(near);
        rig.driver.close(near);
        let (other, other_far) = rig.pair();
        assert_ne!(near, other);
        rig.driver.recv(near, 80);
        assert_eq!(rig.received(80).expect_err("closed").kind(), ErrorKind::NotConnected);
        rig.driver.send(near, vec![Slice::from(vec![1])], 81);
        assert_eq!(rig.sent(81).expect_err("closed").kind(), ErrorKind::NotConnected);
        rig.driver.recv_exact(near, Buf::from(vec![]), 5, 82);
        assert_eq!(rig.filled(82).expect_err("closed").kind(), ErrorKind::NotConnected);
        rig.driver.writable(near, 83);
        assert_eq!(rig.writable(83).expect_err("closed").kind(), ErrorKind::NotConnected);
        rig.send_all(other, vec![1, 2]);
        rig.driver.recv(other_far, 84);
        assert_eq!(&rig.received(84).expect("the living one")[..], [1, 2]);
    });
}

#[test]
fn a_reset_is_told_by_its_name() {
    on_each(|rig| {
        let (_listener, address) = rig.listen();
        let peer = std::net::TcpStream::connect(address).expect("connect");
        let (far, _) = rig.accepted(1).expect("accepted");
        rig.send_all(far, vec![1; 100]);
        rig.driver.recv(far, 90);
        std::thread::sleep(Duration::from_millis(10));
        // Closing with unread bytes resets.
        drop(peer);
        assert_eq!(rig.received(90).expect_err("reset").kind(), ErrorKind::ConnectionReset);
        rig.driver.send(far, vec![Slice::from(vec![1; 100])], 91);
        assert_eq!(rig.sent(91).expect_err("gone").kind(), ErrorKind::BrokenPipe);
    });
}

#[test]
fn nobody_listening_is_connection_refused() {
    on_each(|rig| {
        let (listener, address) = rig.listen();
        rig.driver.close_listener(listener);
        rig.turn(Duration::from_millis(20));
        rig.driver.connect(address, SocketOptions::default(), 4);
        assert_eq!(rig.connected(4).expect_err("refused").kind(), ErrorKind::ConnectionRefused);
    });
}

#[test]
fn a_port_in_use_is_named() {
    on_each(|rig| {
        let (_listener, address) = rig.listen();
        let error = rig.driver.listen(address).expect_err("in use");
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
        assert_eq!(errno(&error), Some(libc::EADDRINUSE));
        assert!(error.to_string().contains(&address.to_string()), "{error}");
        let foreign: SocketAddr = "203.0.113.1:1".parse().expect("address");
        assert_eq!(rig.driver.listen(foreign).expect_err("not ours").kind(), ErrorKind::AddrNotAvailable);
    });
}

#[test]
fn a_closed_listener_leaves_its_port_and_its_connections() {
    on_each(|rig| {
        let (listener, address) = rig.listen();
        rig.driver.connect(address, SocketOptions::default(), 2);
        let near = rig.connected(2).expect("connected");
        let (far, _) = rig.accepted(1).expect("accepted");
        rig.driver.close_listener(listener);
        assert!(rig.driver.local_address(listener).is_err());
        rig.turn(Duration::from_millis(10));
        rig.driver.listen(address).expect("the port is free again");
        rig.send_all(near, vec![5]);
        rig.driver.recv(far, 3);
        assert_eq!(&rig.received(3).expect("received")[..], [5]);
    });
}

#[test]
fn ipv6_works_as_well() {
    on_each(|rig| {
        let listener = match rig.driver.listen("[::1]:0".parse().expect("address")) {
            Ok(listener) => listener,
            Err(error) => {
                assert_eq!(errno(&error), Some(libc::EADDRNOTAVAIL), "no IPv6 here");
                return;
            }
        };
        let address = rig.driver.local_address(listener).expect("address");
        rig.driver.accept(listener, SocketOptions::default(), 1);
        rig.driver.connect(address, SocketOptions::default(), 2);
        rig.connected(2).expect("connected");
        assert!(rig.accepted(1).expect("accepted").1.is_ipv6());
    });
}

#[test]
fn sendfile_and_writable_move_a_file_through_a_full_socket() {
    on_each(|rig| {
        let dir = TestDir::new();
        let files = rig.driver.files();
        let file = files.open(&dir.path().join("data"), OpenMode::CreateNew).expect("open");
        let bytes = noise(6 << 20, 4);
        files.write_all_at(&file, &[std::io::IoSlice::new(&bytes)], 0).expect("write");
        let options = SocketOptions { send_buffer_bytes: Some(65_536), receive_buffer_bytes: None };
        let (near, far) = rig.pair_with(options);
        let room = rig.driver.buffer(bytes.len());
        rig.driver.recv_exact(far, room, bytes.len(), 5);
        let (mut at, mut waits) = (0, 0);
        while at < bytes.len() {
            match rig.driver.send_file(near, &file, at as u64, bytes.len() - at) {
                Ok(sent) => at += sent,
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::WouldBlock);
                    waits += 1;
                    rig.driver.writable(near, 6);
                    rig.writable(6).expect("writable");
                }
            }
        }
        assert!(waits > 0, "6 MiB went through a 64 KiB socket in one go");
        assert!(rig.filled(5).expect("filled")[..] == bytes[..]);
    });
}

#[test]
fn three_receive_buffers_serve_fifty_connections() {
    let options = DriverOptions { receive_buffers: 3, receive_buffer_bytes: 4096, ..DriverOptions::default() };
    on_each_with(&options, |rig| {
        let pairs: Vec<(Socket, Socket)> = (0..50).map(|_| rig.pair()).collect();
        for (i, &(near, far)) in pairs.iter().enumerate() {
            rig.driver.recv(far, 1000 + i as u64);
            rig.driver.send(near, vec![Slice::from(noise(3000, i as u64))], 2000 + i as u64);
        }
        // Those that hold the three buffers keep the others waiting; letting go lets them on.
        let mut held = Vec::new();
        let mut open: Vec<Vec<u8>> = vec![Vec::new(); 50];
        while open.iter().any(|bytes| bytes.len() < 3000) {
            if held.len() == 3 {
                let before = rig.events.iter().filter(|event| matches!(event, Event::Received { .. })).count();
                assert_eq!(before, 0, "a fourth buffer of three");
                held.clear();
            }
            let (i, buf) = rig.until(|event| match event {
                Event::Received { token, result } => {
                    Some((*token - 1000, std::mem::replace(result, Ok(Buf::from(vec![])))))
                }
                _ => None,
            });
            let buf = buf.expect("received");
            let i = i as usize;
            open[i].extend_from_slice(&buf);
            held.push(buf);
            if open[i].len() < 3000 {
                rig.driver.recv(pairs[i].1, 1000 + i as u64);
            }
        }
        for (i, bytes) in open.iter().enumerate() {
            assert!(*bytes == noise(3000, i as u64), "connection {i}");
        }
    });
}

#[test]
fn receives_one_after_the_other_go_into_the_same_few_buffers_and_many_at_once_find_as_many_as_there_are() {
    let options = DriverOptions { receive_buffers: 64, receive_buffer_bytes: 4096, ..DriverOptions::default() };
    on_each_with(&options, |rig| {
        let pairs: Vec<_> = (0..50).map(|_| rig.pair()).collect();
        for burst in [false, true, false] {
            let mut places = std::collections::BTreeSet::new();
            for round in 0..100 {
                let senders = if burst { &pairs[..] } else { &pairs[round % 50..][..1] };
                for (at, &(near, far)) in senders.iter().enumerate() {
                    rig.driver.recv(far, at as u64);
                    rig.send_all(near, noise(100 + at, round as u64));
                }
                let held: Vec<Buf> = (0..senders.len()).map(|at| rig.received(at as u64).expect("received")).collect();
                for (at, buf) in held.iter().enumerate() {
                    assert!(buf[..] == noise(100 + at, round as u64)[..], "{at}");
                }
                places.extend(held.iter().filter(|_| round >= 50).map(|buf| buf.as_ptr()));
            }
            let (least, most) = if burst { (50, 64) } else { (1, 8) };
            assert!((least..=most).contains(&places.len()), "{:?}, {burst}: {}", rig.driver.kind(), places.len());
        }
    });
}

#[test]
fn a_receive_buffer_whose_memory_was_taken_does_not_shrink_the_pool() {
    let options = DriverOptions { receive_buffers: 2, receive_buffer_bytes: 4096, ..DriverOptions::default() };
    on_each_with(&options, |rig| {
        let (near, far) = rig.pair();
        for turn in 0..10u8 {
            rig.send_all(near, vec![turn; 64]);
            rig.driver.recv(far, 5);
            let mut buf = rig.received(5).expect("received");
            assert_eq!(std::mem::take(buf.vec()), vec![turn; 64]);
        }
    });
}

#[test]
fn a_thousand_connections_live_side_by_side() {
    on_each(|rig| {
        let (_listener, address) = rig.listen();
        let mut pairs = Vec::new();
        for i in 0..1000u64 {
            rig.driver.connect(address, SocketOptions::default(), 10_000 + i);
            let near = rig.connected(10_000 + i).expect("connected");
            let (far, _) = rig.accepted(1).expect("accepted");
            pairs.push((near, far));
        }
        for (i, &(near, far)) in pairs.iter().enumerate() {
            rig.driver.recv(far, i as u64);
            rig.driver.send(near, vec![Slice::from((i as u64).to_le_bytes().to_vec())], 20_000);
        }
        for i in 0..1000u64 {
            assert_eq!(rig.received(i).expect("received")[..], i.to_le_bytes());
        }
        for (near, far) in pairs {
            rig.driver.close(near);
            rig.driver.close(far);
        }
    });
}

#[test]
fn dropping_the_driver_with_operations_under_way_is_harmless() {
    for _ in 0..20 {
        on_each(|rig| {
            let (near, far) = rig.pair();
            let room = rig.driver.buffer(1 << 20);
            rig.driver.recv_exact(far, room, 1 << 20, 1);
            rig.driver.recv(near, 2);
            rig.driver.send(far, vec![Slice::from(noise(16 << 20, 1))], 3);
            rig.turn(Duration::from_millis(1));
            rig.driver.send(near, vec![Slice::from(noise(1 << 16, 1))], 4);
        });
    }
}

#[test]
fn bytes_count_as_moved_before_the_operation_that_takes_them_has_ended() {
    on_each(|rig| {
        let (near, far) = rig.pair();
        let before = rig.driver.moved_bytes(far).expect("a count");
        let room = rig.driver.buffer(1 << 20);
        rig.driver.recv_exact(far, room, 1 << 20, 30);
        rig.driver.send(near, vec![Slice::from(noise(1000, 1))], 31);
        assert_eq!(rig.sent(31).expect("sent"), 1000);
        rig.turn(Duration::from_millis(20));
        assert_eq!(rig.driver.moved_bytes(far).expect("a count"), before + 1000);
        assert!(rig.driver.moved_bytes(near).expect("a count") >= 1000);
        rig.driver.close(far);
        assert!(rig.driver.moved_bytes(far).is_err());
    });
}
