//! What a load gives, what a trial gives, and what can go wrong.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;

use super::beside::ReadAlong;
use super::service::Disruption;
use super::timeline::Lagged;
use crate::host::{Observed, Usage};
use crate::load::steady::WarmUp;
use crate::measure::ledger::{LedgerFile, ReadLedger, Verdict};
use crate::measure::{ClientCounts, Latencies};
use crate::spec::Workload;

/// What one executed load gave.
#[derive(Clone, Debug, Default)]
pub struct Measured {
    /// When it began, ISO 8601 in UTC.
    pub time: String,
    /// Beginning of the measured time, counted from the run's beginning.
    pub start: Duration,
    /// Records acknowledged or read in the measured time.
    pub records: u64,
    /// Their values' bytes.
    pub bytes: u64,
    /// Processor time and pressure of the measured time.
    pub usage: Usage,
    /// Of the records that were due in the measured time; empty for a consumer.
    pub latencies: Latencies,
    /// The same by seconds, as lines of latency.hlog: what a long trial gathers, 1 to 6 kB a second.
    pub lines: Vec<u8>,
    /// Records that were sent more than once, warm-up included but not the first of each partition: the broker or the
    /// connection refused them at first.
    pub retried_records: u64,
    /// Records that an open loop's schedule wanted and that were never sent.
    pub dropped_records: u64,
    /// How the warm-up ended, where its end was looked for.
    pub(crate) warm_up: Option<WarmUp>,
    /// Standard deviation of the rates of whole measured seconds, as a share of their mean.
    pub rates_cv: Option<f64>,
    /// What the client counted in the measured time.
    pub counts: ClientCounts,
    /// Clients at once.
    pub clients: u32,
    /// Groups that they were members of; 0 where partitions were assigned by hand.
    pub groups: u32,
    /// Replicas of the topic's first partition; 0 where the broker did not say.
    pub replicas: i16,
    /// The client's settings under Kafka's names, every default resolved.
    pub settings: BTreeMap<String, String>,
    /// What the target's endpoints said, where it has some.
    pub observed: Option<Observed>,
    /// Records that the client gave up, whether they were refused or had no answer for too long.
    pub given_up_records: u64,
    /// What the trial's events did, where it had some.
    pub disruption: Option<Disruption>,
    /// What came of a group that read nothing for a while.
    pub lagged: Option<Lagged>,
    /// How long commits took in the measured time, ns, where there were transactions.
    pub commits: Option<Histogram<u64>>,
    /// What those did who read beside, where somebody did.
    pub along: Option<ReadAlong>,
    /// What is known of a client that is a program of its own, where it was one.
    pub outside: Option<Outside>,
}

/// What a client that is a program of its own costs before its records, and what the broker has of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outside {
    /// Records of the run that stands for start and end.
    pub start_records: u64,
    /// Processor time of that run in ns.
    pub start_cpu_ns: u64,
    /// Records that the broker held afterwards.
    pub held_records: u64,
}

/// What one group, or one catch-up reader, saw beside the writers.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Which.
    pub name: String,
    /// Every record.
    pub ledger: ReadLedger,
    /// Partitions that its group took from one member and gave to another while it was written: what their next owners
    /// read may have been read before.
    pub moved_partitions: u64,
}

/// What writing gave: numbers, and the account of all that was written, warm-up included.
#[derive(Clone, Debug)]
pub struct Produced {
    /// The numbers.
    pub measured: Measured,
    /// The account.
    pub ledger: LedgerFile,
    /// Why a record was given up, where one was: the broker's words.
    pub first_failure: Option<String>,
    /// What each of those saw who read beside.
    pub seen: Vec<Seen>,
}

/// What is read.
#[derive(Clone, Copy, Debug)]
pub enum Reading<'a> {
    /// Everything that was acknowledged (the broker keeps records).
    Back(&'a LedgerFile),
    /// Whatever comes, for a time (the null broker's one batch).
    For(Duration),
}

/// What reading gave.
#[derive(Clone, Debug)]
pub struct Consumed {
    /// The numbers.
    pub measured: Measured,
    /// What was seen of every record; empty where the null broker was read.
    pub ledger: ReadLedger,
}

/// One executed load of a trial.
#[derive(Clone, Debug)]
pub struct Round {
    /// The workload as it ran.
    pub workload: Workload,
    /// The numbers.
    pub measured: Measured,
    /// The account of the trial's records, where they were read back.
    pub verdict: Option<Verdict>,
}

/// What a trial gave.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// Figures.
    Measured {
        /// The load, and the one that read it back as a workload of its own.
        rounds: Vec<Round>,
        /// How the target is gone, where that was seen when its topic was to go: it is not asked again.
        gone: Option<String>,
    },
    /// No figures: something was wrong.
    Invalid(Invalid),
    /// It did not run.
    Skipped(String),
}

/// Why a trial gave no figures.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Invalid {
    /// In words.
    pub why: String,
    /// Whether acknowledged records are missing, doubled, out of order or changed.
    pub is_ledger: bool,
    /// Whether the target's process has ended: it is not asked again.
    pub is_target_gone: bool,
}

/// What the reason of a trial begins with that had no broker any more: gone on with, it is due again.
pub(super) const BROKER_GONE: &str = "the broker is gone";

/// What the reason of a trial says where a broker that we started had no room for its log.
pub(crate) const NO_ROOM: &str = "no room is left for its log";

/// Why a load could not be executed.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The client could not go on.
    #[error("{what}: {reason}")]
    Client {
        /// What was under way.
        what: String,
        /// The client's words.
        reason: String,
    },
    /// The broker's process ended, or nobody is where it was.
    #[error("{gone}: {0}", gone = BROKER_GONE)]
    BrokerGone(String),
    /// The person pressed Ctrl-C.
    #[error("interrupted")]
    Interrupted,
}

impl RunError {
    /// An error of the client while something was under way.
    pub fn client(what: impl Into<String>, reason: impl std::fmt::Display) -> Self {
        Self::Client { what: what.into(), reason: reason.to_string() }
    }
}
