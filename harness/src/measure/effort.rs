//! How long a client's thread worked, and how much of a core it took.

use ringlog_io::{Clock as _, SystemClock, cpu_time};

use crate::run::bottleneck::CORE_SHARE_MIN;

/// A client's work that began.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Begun {
    began_ns: u64,
    cpu_ns: Option<u64>,
}

impl Begun {
    /// Of the thread that calls, at a time of the monotonic clock.
    pub(crate) fn at(began_ns: u64) -> Self {
        Self { began_ns, cpu_ns: cpu_time::thread_ns().ok() }
    }

    /// The work until now; the same thread calls.
    pub(crate) fn end(self, done_ns: u64) -> Effort {
        let cpu_ns = cpu_time::thread_ns().ok().zip(self.cpu_ns).map(|(end, begin)| end.saturating_sub(begin));
        Effort { began_ns: self.began_ns, done_ns, cpu_ns }
    }
}

/// A client's work, nanoseconds of the monotonic clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    pub(crate) began_ns: u64,
    pub(crate) done_ns: u64,
    /// Processor time of its thread between the two, where the kernel says.
    cpu_ns: Option<u64>,
}

impl Effort {
    fn share(&self) -> Option<f64> {
        Some(self.cpu_ns? as f64 / self.done_ns.saturating_sub(self.began_ns).max(1) as f64)
    }
}

/// The work of all clients that were waited for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Efforts(Vec<Effort>);

impl FromIterator<Effort> for Efforts {
    fn from_iter<I: IntoIterator<Item = Effort>>(efforts: I) -> Self {
        Self(efforts.into_iter().collect())
    }
}

impl Efforts {
    /// The busiest client's share of a core, where the kernel says.
    pub(crate) fn busiest(&self) -> Option<f64> {
        self.0.iter().filter_map(Effort::share).reduce(f64::max)
    }

    /// Whether a client's thread was near all of a core.
    pub(crate) fn is_busy(&self) -> bool {
        self.busiest().is_some_and(|share| share >= CORE_SHARE_MIN)
    }

    /// Processor time of all clients, in seconds.
    pub(crate) fn cpu_s(&self) -> f64 {
        self.0.iter().filter_map(|effort| effort.cpu_ns).sum::<u64>() as f64 / 1e9
    }

    /// The line of a run whose numbers show the client and not the broker.
    pub(crate) fn limit_line(&self) -> String {
        format!("The client was the limit: its thread used {:.2} of a core.", self.busiest().unwrap_or(0.0))
    }
}

/// When the last client was done; now, where one could not be waited for (`None`).
pub(crate) fn done_ns(efforts: impl Iterator<Item = Option<Effort>>) -> u64 {
    let done: Option<Vec<u64>> = efforts.map(|effort| Some(effort?.done_ns)).collect();
    done.and_then(|done| done.into_iter().max()).unwrap_or_else(|| SystemClock::new().read().0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn effort(began_ns: u64, done_ns: u64, cpu_ns: Option<u64>) -> Effort {
        Effort { began_ns, done_ns, cpu_ns }
    }

    #[test]
    fn the_busiest_thread_counts_and_processor_times_add_up() {
        let efforts = [effort(0, 1000, Some(900)), effort(500, 1500, Some(100)), effort(0, 10, None)];
        let efforts: Efforts = efforts.into_iter().collect();
        assert_eq!((efforts.busiest(), efforts.cpu_s()), (Some(0.9), 1e-6));
        assert_eq!(efforts.limit_line(), "The client was the limit: its thread used 0.90 of a core.");
        let unknown: Efforts = std::iter::once(effort(0, 10, None)).collect();
        assert_eq!((unknown.busiest(), unknown.is_busy()), (None, false));
    }

    #[test]
    fn the_last_client_ends_the_run_and_one_that_hangs_ends_it_now() {
        let efforts = [Some(effort(0, 7, None)), Some(effort(0, 9, None))];
        assert_eq!(done_ns(efforts.into_iter()), 9);
        assert!(done_ns([efforts[0], None].into_iter()) > 9);
    }
}
