//! Places of threads: which cores there are, and putting a thread on one.

use std::io;

use core_affinity::CoreId;

/// The numbers of the cores that this thread may run on (its affinity mask), in order.
#[must_use]
pub fn cores() -> Vec<usize> {
    core_affinity::get_core_ids().unwrap_or_default().into_iter().map(|core| core.id).collect()
}

/// How many cores this thread may run on; at least one.
#[must_use]
pub fn core_count() -> usize {
    cores().len().max(1)
}

/// Keeps this thread on one core. Threads that it starts afterwards inherit the place.
pub fn pin_to_core(core: usize) -> io::Result<()> {
    if core_affinity::set_for_current(CoreId { id: core }) {
        return Ok(());
    }
    let words =
        format!("cannot run on core {core}: this process may use {:?} (see taskset -p, cgroup cpusets)", cores());
    Err(io::Error::new(io::ErrorKind::InvalidInput, words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pinned_thread_sees_one_core() {
        let last = *cores().last().expect("a core");
        let seen = std::thread::spawn(move || {
            pin_to_core(last).expect("an allowed core");
            cores()
        });
        assert_eq!(seen.join().expect("thread"), [last]);
    }

    #[test]
    fn a_core_that_is_not_there_is_refused_by_number() {
        let refused = std::thread::spawn(|| pin_to_core(1023)).join().expect("thread");
        assert!(refused.expect_err("no such core").to_string().contains("1023"));
    }
}
