//! What a turn costs: system calls, and memory that the driver asks for, counted on both implementations.

#![allow(clippy::disallowed_methods, dead_code, clippy::unwrap_used)]

mod rig;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::Duration;

use rig::{Rig, noise, on_each};
use ringlog_io::{Event, Kind, Slice};

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

/// The system's allocator, counting by thread.
struct Counting;

// SAFETY: every call goes to the system's allocator unchanged; counting touches a thread-local integer alone.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, len: usize) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promise is passed on.
        unsafe { System.realloc(pointer, layout, len) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Allocations of this thread while `work` runs.
fn allocations(work: impl FnOnce()) -> u64 {
    let before = COUNT.with(Cell::get);
    work();
    COUNT.with(Cell::get) - before
}

/// One round of a request and its answer of two parts over every pair, with the driver's own allocations.
fn round(rig: &mut Rig, pairs: &[(ringlog_io::Socket, ringlog_io::Socket)], events: &mut Vec<Event>) -> u64 {
    let mut count = 0;
    for (i, &(near, far)) in pairs.iter().enumerate() {
        let parts = vec![Slice::from(vec![1; 500]), Slice::from(vec![2; 500])];
        count += allocations(|| {
            rig.driver.send(near, parts, i as u64);
            rig.driver.recv(far, i as u64);
        });
    }
    let mut left = pairs.len() * 2;
    while left > 0 {
        count += allocations(|| rig.driver.wait(Some(Duration::from_secs(10)), events).expect("wait"));
        for event in events.drain(..) {
            left -= 1;
            if let Event::Received { result, .. } = event {
                let buf = result.expect("received");
                assert_eq!(buf.len(), 1000);
                count += allocations(|| drop(buf));
            }
        }
    }
    count
}

#[test]
fn a_warm_driver_allocates_nothing_for_requests_and_answers() {
    on_each(|rig| {
        let pairs: Vec<_> = (0..20).map(|_| rig.pair()).collect();
        let mut events = Vec::with_capacity(1000);
        for _ in 0..5 {
            round(rig, &pairs, &mut events);
        }
        let count: u64 = (0..20).map(|_| round(rig, &pairs, &mut events)).sum();
        assert_eq!(count, 0, "{:?}", rig.driver.kind());
    });
}

#[test]
fn on_io_uring_a_turn_is_one_system_call_however_much_it_does() {
    on_each(|rig| {
        if rig.driver.kind() == Kind::Epoll {
            return;
        }
        let pairs: Vec<_> = (0..50).map(|_| rig.pair()).collect();
        let mut events = Vec::new();
        rig.turn(Duration::ZERO);
        let before = rig.driver.counters();
        for _ in 0..10 {
            round(rig, &pairs, &mut events);
        }
        let after = rig.driver.counters();
        assert_eq!(after.sent_bytes - before.sent_bytes, 10 * 50 * 1000);
        assert_eq!(after.syscalls - before.syscalls, after.waits - before.waits);
        assert!(after.waits - before.waits <= 40, "{} turns for ten rounds", after.waits - before.waits);
    });
}

#[test]
fn large_buffers_come_back_to_be_used_again() {
    on_each(|rig| {
        drop(rig.driver.buffer(1 << 20));
        let count = allocations(|| {
            for _ in 0..100 {
                let mut buf = rig.driver.buffer(1 << 20);
                buf.vec().extend_from_slice(&[1]);
            }
        });
        assert_eq!(count, 0);
        assert_eq!(noise(10, 1).len(), 10);
    });
}
