//! What the proxy does to an answer: decided here, without sockets and without a clock.
//!
//! ```text
//!   answer of the broker at t  --late?-->  t + late  --in a stall?-->  the stall's end  --order-->  not before the one
//!                                                                                                  ahead of it
//! ```
//!
//! Stalls lie at the end of each period, counted from the first Produce or Fetch request: the first period begins quiet.

use ringlog_harness::client::SplittableRandom;

/// Numbers that shares are drawn from.
const DRAW: i32 = 1_000_000;

/// Nothing is answered in the last `length` of every `period`; nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stalls {
    pub(crate) length_ns: u64,
    pub(crate) period_ns: u64,
}

impl Stalls {
    /// The end of the stall that `at` lies in, as times after the first request; `at` itself if it lies in none.
    pub(crate) fn end(self, at: u64) -> u64 {
        let (number, phase) = (at / self.period_ns, at % self.period_ns);
        if phase >= self.period_ns - self.length_ns { (number + 1) * self.period_ns } else { at }
    }
}

/// An answer's plan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) late_ns: u64,
    /// The error that takes the place of the broker's answer.
    pub(crate) error: Option<i16>,
}

/// A share of the answers, in millionths, and what they get.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Share<T> {
    pub(crate) millionths: i32,
    pub(crate) what: T,
}

/// What is asked of the proxy.
#[derive(Clone, Debug)]
pub(crate) struct Behaviour {
    /// Of every draw.
    pub(crate) seed: i64,
    pub(crate) stalls: Option<Stalls>,
    /// Of Produce and Fetch answers, in nanoseconds.
    pub(crate) late: Option<Share<u64>>,
    /// Of Produce answers: error codes.
    pub(crate) errors: Vec<Share<i16>>,
    /// Each way, all connections together.
    pub(crate) bytes_per_second: Option<u64>,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self { seed: 1, stalls: None, late: None, errors: Vec::new(), bytes_per_second: None }
    }
}

/// Draws the plans of a run: the same for the same seed and order of answers.
#[derive(Debug)]
pub(crate) struct Planner {
    behaviour: Behaviour,
    random: SplittableRandom,
}

impl Planner {
    pub(crate) fn new(behaviour: Behaviour) -> Self {
        Self { random: SplittableRandom::new(behaviour.seed), behaviour }
    }

    /// The next data answer's plan.
    pub(crate) fn plan(&mut self, is_produce: bool) -> Plan {
        let late = self.behaviour.late.filter(|share| draw(&mut self.random, share.millionths));
        let errors = self.behaviour.errors.iter().filter(|_| is_produce);
        let drawn: Vec<i16> = errors.filter(|it| draw(&mut self.random, it.millionths)).map(|it| it.what).collect();
        Plan { late_ns: late.map_or(0, |share| share.what), error: drawn.first().copied() }
    }
}

fn draw(random: &mut SplittableRandom, millionths: i32) -> bool {
    random.next_int_below(DRAW) < millionths
}

/// When an answer may leave: all times in nanoseconds of the proxy's clock; `first` is that of the first data request.
pub(crate) fn due_ns(answered: u64, late: u64, previous: u64, first: Option<u64>, stalls: Option<Stalls>) -> u64 {
    let ready = (answered + late).max(previous);
    match (stalls, first) {
        (Some(stalls), Some(first)) => first + stalls.end(ready.saturating_sub(first)),
        _ => ready,
    }
}

/// Bytes per second, with hardly a burst.
#[derive(Debug)]
pub(crate) struct Bucket {
    bytes_per_second: u64,
    free_ns: u64,
}

/// Rest that is not lost: a sleep that was a little long is made up for.
const CREDIT_NS: u64 = 5_000_000;

impl Bucket {
    pub(crate) fn new(bytes_per_second: u64) -> Self {
        Self { bytes_per_second, free_ns: 0 }
    }

    /// Takes so many bytes at `now`; says when they may go.
    pub(crate) fn take(&mut self, bytes: u64, now_ns: u64) -> u64 {
        let from = self.free_ns.max(now_ns.saturating_sub(CREDIT_NS));
        self.free_ns = from + bytes * 1_000_000_000 / self.bytes_per_second;
        self.free_ns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STALLS: Stalls = Stalls { length_ns: 200, period_ns: 1000 };

    #[test]
    fn an_answer_in_a_stall_leaves_at_its_end() {
        assert_eq!([0, 799, 800, 999, 1000, 1800].map(|at| STALLS.end(at)), [0, 799, 1000, 1000, 1000, 2000]);
        assert_eq!(due_ns(10_850, 0, 0, Some(10_000), Some(STALLS)), 11_000);
        assert_eq!(due_ns(10_850, 0, 0, None, Some(STALLS)), 10_850, "no stall before the first request");
    }

    #[test]
    fn an_answer_never_overtakes_the_one_ahead_of_it() {
        assert_eq!(due_ns(100, 50, 0, None, None), 150);
        assert_eq!(due_ns(110, 0, 150, None, None), 150);
        assert_eq!(due_ns(790, 50, 0, Some(0), Some(STALLS)), 1000, "late into a stall");
    }

    #[test]
    fn shares_are_met_and_are_the_same_for_a_seed() {
        let behaviour = Behaviour {
            late: Some(Share { millionths: 10_000, what: 7 }),
            errors: vec![Share { millionths: 1_000, what: 87 }, Share { millionths: 2_000, what: 19 }],
            ..Behaviour::default()
        };
        let plans = |behaviour: &Behaviour| {
            let mut planner = Planner::new(behaviour.clone());
            (0..100_000).map(|_| planner.plan(true)).collect::<Vec<Plan>>()
        };
        let drawn = plans(&behaviour);
        assert_eq!(drawn, plans(&behaviour));
        let count = |wanted: &dyn Fn(&Plan) -> bool| drawn.iter().filter(|plan| wanted(plan)).count();
        assert!(count(&|plan| plan.late_ns == 7).abs_diff(1000) < 150);
        assert!(count(&|plan| plan.error == Some(87)).abs_diff(100) < 50);
        assert!(count(&|plan| plan.error == Some(19)).abs_diff(200) < 70);
        let mut planner = Planner::new(behaviour);
        assert!(
            (0..10_000).all(|_| planner.plan(false).error.is_none()),
            "only Produce answers are turned into errors"
        );
    }

    #[test]
    fn a_bucket_lets_its_rate_through_and_hardly_a_burst() {
        let mut bucket = Bucket::new(1_000_000);
        let second = 1_000_000_000;
        assert_eq!(bucket.take(1000, second), second + 1_000_000 - CREDIT_NS);
        let mut at = second;
        (0..999).for_each(|_| at = at.max(bucket.take(1000, at)));
        assert_eq!(at, 2 * second - CREDIT_NS);
    }
}
