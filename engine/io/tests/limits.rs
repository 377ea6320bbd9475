//! Full queues and used-up descriptors. One test that changes the limit of the whole process runs alone in this file's
//! process with the others behind it in order.

#![allow(clippy::disallowed_methods, dead_code, clippy::unwrap_used)]

mod rig;

use std::sync::Mutex;
use std::time::Duration;

use rig::{Rig, TestDir, noise, on_each, on_each_with};
use ringlog_io::{DriverOptions, Event, OpenMode, Slice, SocketOptions, errno};

/// Tests of this file run one after the other.
static ALONE: Mutex<()> = Mutex::new(());

fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").expect("our own descriptors").count()
}

/// Sets RLIMIT_NOFILE's soft limit; gives the old one.
fn limit_descriptors(limit: u64) -> u64 {
    let mut old = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `old` is a live, writable rlimit.
    assert_eq!(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut old) }, 0);
    let new = libc::rlimit { rlim_cur: limit, rlim_max: old.rlim_max };
    // SAFETY: `new` is a live rlimit.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &new) }, 0);
    old.rlim_cur
}

#[test]
fn accepting_goes_on_by_itself_after_descriptors_ran_out() {
    let _alone = ALONE.lock().unwrap();
    on_each(|rig| {
        let listener = rig.driver.listen("127.0.0.1:0".parse().expect("address")).expect("listen");
        let address = rig.driver.local_address(listener).expect("address");
        let peers: Vec<_> = (0..3).map(|_| std::net::TcpStream::connect(address).expect("connect")).collect();
        // The next free descriptor number is the limit: nothing more can be opened. io_uring reads the limit when
        // accepting begins, not when a connection comes.
        let limit = std::fs::File::open("/dev/null").map(|file| std::os::fd::AsRawFd::as_raw_fd(&file)).unwrap();
        let old = limit_descriptors(limit as u64);
        rig.driver.accept(listener, SocketOptions::default(), 1);
        let result = rig.accepted(1);
        limit_descriptors(old);
        let error = result.expect_err("no descriptor is left");
        assert_eq!(errno(&error), Some(libc::EMFILE));
        assert!(error.to_string().contains("ulimit -n"), "{error}");
        for _ in 0..3 {
            rig.accepted(1).expect("descriptors are there again");
        }
        drop(peers);
    });
}

#[test]
fn closed_connections_and_dropped_drivers_give_their_descriptors_back() {
    let _alone = ALONE.lock().unwrap();
    let before = open_descriptors();
    on_each(|rig| {
        let mut pairs: Vec<_> = (0..50).map(|_| rig.pair()).collect();
        for &(near, far) in &pairs {
            rig.driver.recv(near, 1);
            rig.driver.send(far, vec![Slice::from(noise(1 << 20, 1))], 2);
        }
        rig.turn(Duration::from_millis(5));
        let (kept_near, kept_far) = pairs.pop().expect("a pair");
        let with_all = open_descriptors();
        for &(near, far) in &pairs {
            rig.driver.close(near);
            rig.driver.close(far);
        }
        for _ in 0..5 {
            rig.turn(Duration::from_millis(5));
        }
        assert!(open_descriptors() <= with_all - 98, "{} of {with_all} left", open_descriptors());
        let _ = (kept_near, kept_far);
    });
    assert_eq!(open_descriptors(), before, "after the drivers are gone");
}

#[test]
fn more_operations_than_the_queue_has_entries_all_end() {
    let _alone = ALONE.lock().unwrap();
    let options = DriverOptions { queue_entries: 8, ..DriverOptions::default() };
    on_each_with(&options, |rig| {
        let pairs: Vec<_> = (0..150).map(|_| rig.pair()).collect();
        for (i, &(near, far)) in pairs.iter().enumerate() {
            let room = rig.driver.buffer(5000);
            rig.driver.recv_exact(far, room, 5000, 1000 + i as u64);
            rig.driver.send(near, vec![Slice::from(noise(5000, i as u64))], 2000 + i as u64);
        }
        for i in 0..150u64 {
            assert!(rig.filled(1000 + i).expect("filled")[..] == noise(5000, i)[..]);
            assert_eq!(rig.sent(2000 + i).expect("sent"), 5000);
        }
    });
}

#[test]
fn more_completions_than_the_queue_holds_are_not_lost() {
    let _alone = ALONE.lock().unwrap();
    let options = DriverOptions { queue_entries: 4, ..DriverOptions::default() };
    on_each_with(&options, |rig| {
        let dir = TestDir::new();
        let files = rig.driver.files();
        let file = files.open(&dir.path().join("data"), OpenMode::Create).expect("open");
        files.write_all_at(&file, &[std::io::IoSlice::new(&noise(1000, 1))], 0).expect("write");
        for token in 0..500 {
            rig.driver.read_file(&file, 0, 1000, ringlog_io::Cache::Keep, token);
        }
        for token in 0..500 {
            assert_eq!(rig.file_read(token).expect("read").len(), 1000);
        }
    });
}

#[test]
fn a_connection_that_is_asked_for_and_never_answered_keeps_nothing_waiting() {
    let _alone = ALONE.lock().unwrap();
    on_each(|rig: &mut Rig| {
        // 192.0.2.0/24 is for documents (RFC 5737): nobody answers there, or the network says so at once.
        rig.driver.connect("192.0.2.1:9".parse().expect("address"), SocketOptions::default(), 9);
        rig.turn(Duration::from_millis(20));
        rig.events.retain(|event| !matches!(event, Event::Connected { .. }));
        assert!(rig.events.is_empty());
    });
}
