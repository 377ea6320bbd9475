//! Waiting, waking, signals, files through the driver: the same on io_uring and on epoll.

#![allow(clippy::disallowed_methods, dead_code, clippy::unwrap_used)]

mod rig;

use std::io::{ErrorKind, IoSlice};
use std::time::Duration;

use rig::{TestDir, noise, on_each, on_each_with};
use ringlog_io::{Cache, Choice, DriverOptions, Event, OpenMode, driver};

#[test]
fn waiting_ends_after_the_timeout_with_nothing() {
    on_each(|rig| {
        for ms in [0, 1, 30] {
            let begin = rig.driver.read();
            rig.turn(Duration::from_millis(ms));
            let passed = rig.driver.now().0 - begin.0;
            assert!(passed >= ms * 1_000_000, "{passed} ns instead of {ms} ms");
            assert!(passed < (ms + 2000) * 1_000_000, "{passed} ns instead of {ms} ms");
            assert!(rig.events.is_empty());
        }
    });
}

#[test]
fn a_turn_has_one_reading_of_the_clock() {
    on_each(|rig| {
        let now = rig.driver.now();
        std::thread::sleep(Duration::from_millis(2));
        assert_eq!(rig.driver.now(), now);
        rig.turn(Duration::ZERO);
        assert!(rig.driver.now().0 >= now.0 + 2_000_000);
        assert!(rig.driver.wall_ms() > 1_577_836_800_000);
    });
}

#[test]
fn another_thread_wakes_a_wait_without_end() {
    on_each(|rig| {
        let waker = rig.driver.waker().expect("waker");
        for _ in 0..3 {
            let waker = waker.clone();
            let thread = std::thread::spawn(move || {
                std::thread::sleep(Duration::from_millis(5));
                waker.wake();
            });
            let mut events = Vec::new();
            rig.driver.wait(None, &mut events).expect("wait");
            assert!(matches!(events[..], [Event::Woken]), "{events:?}");
            thread.join().expect("thread");
        }
    });
}

#[test]
fn wakes_before_the_wait_are_not_lost() {
    on_each(|rig| {
        let waker = rig.driver.waker().expect("waker");
        let second = rig.driver.waker().expect("a second handle");
        waker.wake();
        second.wake();
        rig.until(|event| matches!(event, Event::Woken).then_some(()));
        waker.wake();
        rig.until(|event| matches!(event, Event::Woken).then_some(()));
    });
}

#[test]
fn a_blocked_signal_arrives_as_an_event() {
    on_each(|rig| {
        driver::block_signals(&[libc::SIGUSR1, libc::SIGUSR2]).expect("block");
        rig.driver.signals(&[libc::SIGUSR1, libc::SIGUSR2]).expect("signals");
        for signal in [libc::SIGUSR1, libc::SIGUSR2, libc::SIGUSR1] {
            // SAFETY: tgkill takes integers; the signal is blocked in this thread, so it waits for the signalfd.
            unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), libc::gettid(), signal) };
            let got = rig.until(|event| match event {
                Event::Signal(signal) => Some(*signal),
                _ => None,
            });
            assert_eq!(got, signal);
        }
    });
}

#[test]
fn reads_give_what_was_written_and_end_at_the_files_end() {
    on_each(|rig| {
        let dir = TestDir::new();
        let files = rig.driver.files();
        let bytes = noise(300_000, 8);
        let file = files.open(&dir.path().join("data"), OpenMode::Create).expect("open");
        files.write_all_at(&file, &[IoSlice::new(&bytes)], 0).expect("write");
        for cache in [Cache::Keep, Cache::Drop] {
            rig.driver.read_file(&file, 1000, 200_000, cache, 1);
            rig.driver.read_file(&file, 299_990, 100, cache, 2);
            rig.driver.read_file(&file, 400_000, 100, cache, 3);
            rig.driver.read_file(&file, 0, 0, cache, 4);
            assert!(rig.file_read(1).expect("read")[..] == bytes[1000..201_000]);
            assert_eq!(rig.file_read(2).expect("read")[..], bytes[299_990..]);
            assert!(rig.file_read(3).expect("read").is_empty());
            assert!(rig.file_read(4).expect("read").is_empty());
        }
    });
}

#[test]
fn a_read_past_the_largest_position_fails_by_path() {
    on_each(|rig| {
        let dir = TestDir::new();
        let file = rig.driver.files().open(&dir.path().join("data"), OpenMode::Create).expect("open");
        rig.driver.read_file(&file, u64::MAX - 5, 100, Cache::Keep, 1);
        let error = rig.file_read(1).expect_err("no such position");
        assert!(error.to_string().contains("data"), "{error}");
    });
}

#[test]
fn tmpfs_which_refuses_dontcache_is_read_all_the_same() {
    on_each(|rig| {
        let path = std::path::Path::new("/dev/shm").join(format!("ringlog-io-{}", std::process::id()));
        let files = rig.driver.files();
        let file = files.open(&path, OpenMode::Create).expect("open");
        files.write_all_at(&file, &[IoSlice::new(b"in memory")], 0).expect("write");
        for token in 1..4 {
            rig.driver.read_file(&file, 3, 100, Cache::Drop, token);
            assert_eq!(&rig.file_read(token).expect("read")[..], b"memory");
        }
        files.remove_file(&path).expect("remove");
    });
}

#[test]
fn many_files_are_synced_and_their_handles_may_be_dropped_at_once() {
    on_each(|rig| {
        let dir = TestDir::new();
        let files = rig.driver.files();
        for token in 0..40 {
            let file = files.open(&dir.path().join(token.to_string()), OpenMode::Create).expect("open");
            files.write_all_at(&file, &[IoSlice::new(&[1; 5000])], 0).expect("write");
            rig.driver.sync(&file, token);
        }
        for token in 0..40 {
            rig.synced(token).expect("synced");
        }
    });
}

#[test]
fn workers_stay_on_their_cores_and_cores_that_are_none_are_refused() {
    let cores = ringlog_io::threads::cores();
    let options = DriverOptions { worker_cores: vec![cores[cores.len() - 1]], ..DriverOptions::default() };
    on_each_with(&options, |rig| {
        let dir = TestDir::new();
        let file = rig.driver.files().open(&dir.path().join("data"), OpenMode::Create).expect("open");
        rig.driver.sync(&file, 1);
        rig.synced(1).expect("synced");
    });
    for choice in [Choice::Epoll, Choice::Uring] {
        let options = DriverOptions { choice, worker_cores: vec![5000], ..DriverOptions::default() };
        let error = driver::open(options).err().expect("no such core");
        assert!(error.to_string().contains("5000"), "{error}");
    }
}

#[test]
fn what_cannot_be_synced_says_so_by_path() {
    on_each(|rig| {
        let files = rig.driver.files();
        let file = files.open(std::path::Path::new("/dev/null"), OpenMode::Write).expect("open");
        rig.driver.sync(&file, 1);
        let error = rig.synced(1).expect_err("no storage behind it");
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains("/dev/null"), "{error}");
    });
}

#[test]
fn dropping_the_driver_with_files_under_way_is_harmless() {
    on_each(|rig| {
        let dir = TestDir::new();
        let files = rig.driver.files();
        let file = files.open(&dir.path().join("data"), OpenMode::Create).expect("open");
        files.write_all_at(&file, &[IoSlice::new(&noise(1 << 20, 1))], 0).expect("write");
        for token in 0..20 {
            rig.driver.read_file(&file, 0, 1 << 20, Cache::Drop, token);
            rig.driver.sync(&file, token);
        }
        rig.turn(Duration::ZERO);
    });
}
