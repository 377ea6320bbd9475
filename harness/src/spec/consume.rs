//! What consumers are to do. A workload profile, a perf tool's argv and a ledger that is read back all end here.

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
}

impl Consume {
    /// The ledger that is read beside.
    pub(crate) fn ledger(&self) -> Option<&LedgerFile> {
        match &self.what {
            What::Beside(ledger) => Some(ledger),
            What::Subscribed(_) | What::Matching(_) | What::Assigned(_) => None,
        }
    }
}

impl What {
    /// Groups that its readers are members of.
    pub(crate) fn groups(&self) -> u32 {
        match self {
            Self::Subscribed(_) | Self::Matching(_) => 1,
            Self::Assigned(_) | Self::Beside(_) => 0,
        }
    }
}

/// Settings with their defaults, as they are told.
pub(crate) fn settings(effective: &[(&'static str, String)]) -> Vec<(String, String)> {
    effective.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
}
