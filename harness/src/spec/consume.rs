//! What consumers are to do. A workload profile, a perf tool's argv and a ledger that is read back all end here.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::client::config::ConsumerConfig;
use crate::measure::ledger::LedgerFile;

/// What consumers are to do.
#[derive(Clone, Debug)]
pub(crate) struct Consume {
    /// Consumers, each on a thread of its own.
    pub(crate) clients: usize,
    pub(crate) what: What,
    /// Records that end it, of all clients together.
    pub(crate) records: u64,
    /// Without a record for longer than this it ends; beside a ledger, what is missing is lost then.
    pub(crate) silence_ms: i64,
    pub(crate) duration: Option<Duration>,
    /// Whether that time begins with the first record, not with the load.
    pub(crate) is_timed_from_the_first: bool,
    /// Whether the load's seconds, and in them the ages of the records, are kept.
    pub(crate) has_series: bool,
    pub(crate) config: ConsumerConfig,
    /// The consumer's settings under Kafka's names, each default resolved.
    pub(crate) settings: Vec<(String, String)>,
}

/// What is read.
#[derive(Clone, Debug)]
pub(crate) enum What {
    /// A topic, as a member of a group.
    Subscribed(String),
    /// The topics whose names match, as a member of a group.
    Matching(String),
    /// All partitions of a topic, without a group.
    Assigned(String),
    /// All partitions of a ledger's topic from their beginnings, without a group: until everything that was acknowledged is
    /// there and nothing follows.
    Beside(LedgerFile),
    /// A topic while it is written: until everything that was acknowledged is there, once the writers are done.
    Along(Along),
}

/// Reading a topic from its first record on while others write it.
#[derive(Clone, Debug)]
pub(crate) struct Along {
    pub(crate) topic: String,
    /// As members of one group; else each client has its share of the partitions.
    pub(crate) is_group: bool,
    pub(crate) goal: Goal,
}

/// What readers beside writers are to reach: the account of all that was written. There is none before the writers are done.
#[derive(Clone, Debug, Default)]
pub(crate) struct Goal(Arc<OnceLock<LedgerFile>>);

impl Goal {
    /// The writers are done. Only the first word counts.
    pub(crate) fn set(&self, ledger: LedgerFile) {
        let _ = self.0.set(ledger);
    }

    pub(crate) fn get(&self) -> Option<&LedgerFile> {
        self.0.get()
    }
}

impl Consume {
    /// The ledger that is read beside.
    pub(crate) fn ledger(&self) -> Option<&LedgerFile> {
        match &self.what {
            What::Beside(ledger) => Some(ledger),
            What::Subscribed(_) | What::Matching(_) | What::Assigned(_) | What::Along(_) => None,
        }
    }
}

impl What {
    /// Groups that its readers are members of.
    pub(crate) fn groups(&self) -> u32 {
        match self {
            Self::Subscribed(_) | Self::Matching(_) => 1,
            Self::Along(along) => u32::from(along.is_group),
            Self::Assigned(_) | Self::Beside(_) => 0,
        }
    }
}

/// Settings with their defaults, as they are told.
pub(crate) fn settings(effective: &[(&'static str, String)]) -> Vec<(String, String)> {
    effective.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
}
