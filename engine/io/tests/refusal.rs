//! A machine that refuses io_uring, for real: a seccomp filter (seccomp(2)) on the thread that asks for it.

#![allow(clippy::disallowed_methods, dead_code, clippy::unwrap_used)]

mod rig;

use std::collections::VecDeque;

use rig::{Rig, noise};
use ringlog_io::{Choice, DriverOptions, Kind, Slice, driver, errno};

/// From here on, a system call fails on this thread.
fn refuse(call: i64, errno: i32) {
    let statement = |code: u32, k: u32| libc::sock_filter { code: code as u16, jt: 0, jf: 0, k };
    let load_number = statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0);
    let call = u32::try_from(call).expect("a system call's number");
    let skip_unless_call =
        libc::sock_filter { code: (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16, jt: 0, jf: 1, k: call };
    let give_errno = statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ERRNO | errno as u32);
    let allow = statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW);
    let mut filter = [load_number, skip_unless_call, give_errno, allow];
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: prctl takes integers here.
    assert_eq!(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) }, 0);
    // SAFETY: the program points to the four statements above, which the kernel copies.
    let code = unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const program) };
    assert_eq!(code, 0, "{}", std::io::Error::last_os_error());
}

/// Runs on a thread of its own, where io_uring is refused with `errno`.
fn where_it_is_refused(errno: i32, test: impl FnOnce() + Send + 'static) {
    where_a_call_is_refused(libc::SYS_io_uring_setup, errno, test);
}

fn where_a_call_is_refused(call: i64, errno: i32, test: impl FnOnce() + Send + 'static) {
    let thread = std::thread::spawn(move || {
        refuse(call, errno);
        test();
    });
    thread.join().expect("the refused thread");
}

#[test]
fn auto_takes_epoll_and_says_why_and_what_to_do() {
    for (code, words) in [(libc::EPERM, "seccomp"), (libc::ENOSYS, "CONFIG_IO_URING"), (libc::ENOMEM, "memlock")] {
        where_it_is_refused(code, move || {
            let driver = driver::open(DriverOptions::default()).expect("a driver all the same");
            assert_eq!(driver.kind(), Kind::Epoll);
            let reason = driver.fallback_reason().expect("a reason").to_owned();
            assert!(reason.contains("io_uring is refused here"), "{reason}");
            assert!(reason.contains(words), "{reason}");
        });
    }
}

#[test]
fn a_ring_that_may_be_made_but_not_used_is_fallen_back_from_too() {
    for call in [libc::SYS_io_uring_enter, libc::SYS_io_uring_register] {
        where_a_call_is_refused(call, libc::EPERM, || {
            let driver = driver::open(DriverOptions::default()).expect("a driver all the same");
            assert_eq!(driver.kind(), Kind::Epoll);
            assert!(driver.fallback_reason().expect("a reason").contains("seccomp"));
        });
    }
}

#[test]
fn the_driver_that_was_fallen_back_to_works() {
    where_it_is_refused(libc::EPERM, || {
        let driver = driver::open(DriverOptions::default()).expect("a driver all the same");
        let mut rig = Rig { driver, events: VecDeque::new() };
        let (near, far) = rig.pair();
        let bytes = noise(1 << 20, 1);
        rig.driver.send(near, vec![Slice::from(bytes.clone())], 1);
        let room = rig.driver.buffer(1 << 20);
        rig.driver.recv_exact(far, room, 1 << 20, 2);
        assert!(rig.filled(2).expect("filled")[..] == bytes[..]);
    });
}

#[test]
fn asking_for_io_uring_alone_is_an_error_with_the_errno() {
    where_it_is_refused(libc::EPERM, || {
        let options = DriverOptions { choice: Choice::Uring, ..DriverOptions::default() };
        let error = driver::open(options).err().expect("refused");
        assert_eq!(errno(&error), Some(libc::EPERM));
        assert!(error.to_string().contains("io_uring_setup"), "{error}");
    });
}

#[test]
fn where_nothing_refuses_it_auto_takes_io_uring_and_gives_no_reason() {
    let driver = driver::open(DriverOptions::default()).expect("a driver");
    match driver.kind() {
        Kind::Uring => assert_eq!(driver.fallback_reason(), None),
        Kind::Epoll => assert!(driver.fallback_reason().is_some(), "a fallback without words"),
        Kind::Sim => unreachable!("the double is never opened by itself"),
    }
}
