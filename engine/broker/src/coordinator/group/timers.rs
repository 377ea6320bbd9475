//! The timers of a shard's groups: each key has at most one deadline.

use std::collections::{BTreeMap, BTreeSet};

use ringlog_io::Nanos;

/// What a deadline is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// A group's members have had their time to join.
    Join(String),
    /// A group's members have had their time to ask for their assignment.
    Sync(String),
    /// A member (group, member id) was not heard of for its session timeout.
    Session(String, String),
    /// A member of the consumer protocol has had its time to give partitions back.
    Rebalance(String, String),
    /// A classic member of such a group has had its time to join again.
    Rejoin(String, String),
    /// A classic member of such a group has had its time to ask for its share.
    Share(String, String),
}

impl Timer {
    /// A member's session.
    pub(super) fn session(group: &str, member: &str) -> Self {
        Self::Session(group.to_owned(), member.to_owned())
    }

    fn group(&self) -> &str {
        match self {
            Self::Join(group)
            | Self::Sync(group)
            | Self::Session(group, _)
            | Self::Rebalance(group, _)
            | Self::Rejoin(group, _)
            | Self::Share(group, _) => group,
        }
    }
}

/// All running timers, by key and by time.
#[derive(Debug, Default)]
pub(super) struct Timers {
    deadlines: BTreeMap<Timer, Nanos>,
    queue: BTreeSet<(Nanos, Timer)>,
}

impl Timers {
    /// Starts the timer, or gives it another deadline.
    pub(super) fn schedule(&mut self, timer: Timer, deadline: Nanos) {
        if let Some(old) = self.deadlines.insert(timer.clone(), deadline) {
            self.queue.remove(&(old, timer.clone()));
        }
        self.queue.insert((deadline, timer));
    }

    /// Stops the timer, where it runs.
    pub(super) fn cancel(&mut self, timer: &Timer) {
        if let Some(deadline) = self.deadlines.remove(timer) {
            self.queue.remove(&(deadline, timer.clone()));
        }
    }

    /// Stops every timer of a member.
    pub(super) fn cancel_member(&mut self, group: &str, member: &str) {
        for timer in [Timer::Session, Timer::Rebalance, Timer::Rejoin, Timer::Share] {
            self.cancel(&timer(group.to_owned(), member.to_owned()));
        }
    }

    /// Stops every timer of these groups.
    pub(super) fn cancel_groups(&mut self, is_gone: impl Fn(&str) -> bool) {
        self.deadlines.retain(|timer, _| !is_gone(timer.group()));
        self.queue.retain(|(_, timer)| !is_gone(timer.group()));
    }

    /// Takes a timer whose deadline is not after `now`, the earliest first.
    pub(super) fn pop_due(&mut self, now: Nanos) -> Option<Timer> {
        if self.next_deadline()? > now {
            return None;
        }
        let (_, timer) = self.queue.pop_first()?;
        self.deadlines.remove(&timer);
        Some(timer)
    }

    /// The earliest deadline.
    pub(super) fn next_deadline(&self) -> Option<Nanos> {
        self.queue.first().map(|(deadline, _)| *deadline)
    }

    /// Whether the timer runs.
    pub(super) fn runs(&self, timer: &Timer) -> bool {
        self.deadlines.contains_key(timer)
    }
}
