//! The producer: the accumulator's queues on one side, the network on the other, one thread.
//!
//! ```text
//!   send ---> accumulator ---drain(node)---> ProduceRequest ---> network
//!     ^            ^                                                |
//!     '- no room:  '---- done | refused <---- answer | lost <-------'
//!        turn                   |
//!                               '--> sink.delivered | sink.failed
//! ```
//!
//! | file | what it does |
//! |---|---|
//! | `send.rs` | takes a record, or says why not |
//! | `work.rs` | a turn: what is due goes out, what is over its time is given up |
//! | `answers.rs` | what brokers answered, what became of batches |
//! | `identity.rs` | the producer id of an idempotent producer |
//! | `transact.rs` | transactions |
//! | `stats.rs` | what is counted |
//!
//! The network is looked at whenever a batch may go out, and at least every `TURN_NS` while records keep coming: an
//! acknowledgement is seen no later than that, whatever the load.

mod answers;
mod identity;
mod send;
mod stats;
mod transact;
mod work;

use std::collections::BTreeMap;
use std::time::Duration;

use ringlog_io::Driver;
use ringlog_wire::{Message, Reader};

use super::accumulator::{Accumulator, Limits, SentBatch, nanos};
use super::config::ProducerConfig;
use super::metadata::Metadata;
use super::network::{Network, NetworkStats};
use super::tally::Tally;
use super::transactions::Transactions;
use super::{ClientError, DeliverySink, SendError, Topic};
use identity::Identity;
pub use send::Acked;
use send::Watch;
pub use stats::ProducerStats;

/// See the module's picture.
pub struct Producer<S> {
    config: ProducerConfig,
    network: Network,
    metadata: Metadata,
    accumulator: Accumulator,
    sink: S,
    sent: BTreeMap<u64, Vec<SentBatch>>,
    tag_next: u64,
    identity: Identity,
    transactions: Option<Transactions>,
    watch: Watch,
    fatal: Option<ClientError>,
    opened_ns: u64,
    last_turn_ns: u64,
    /// No batch is over its `delivery.timeout.ms` before this.
    expiry_due_ns: u64,
    wall_base: (i64, u64),
    last_down: Option<String>,
    stats: ProducerStats,
}

impl<S: DeliverySink> Producer<S> {
    /// Makes a producer. Nothing is connected yet: an unreachable broker shows when records are sent.
    pub fn open(config: ProducerConfig, driver: Box<dyn Driver>, sink: S) -> Result<Self, ClientError> {
        let (seed, opened_ns) = (driver.random(), driver.read().0);
        let wall_base = (driver.wall_ms(), driver.now().0);
        let network = Network::new(driver, &config.common)?;
        let backoff = config.common.retry_backoff;
        let transactions =
            config.transactional_id.as_deref().map(|id| Transactions::new(id, config.transaction_timeout, backoff));
        Ok(Self {
            metadata: Metadata::new(&config.common, true),
            accumulator: Accumulator::new(Limits::of(&config), seed),
            config,
            network,
            sink,
            sent: BTreeMap::new(),
            tag_next: 0,
            identity: Identity::default(),
            transactions,
            watch: Watch::Nothing,
            fatal: None,
            opened_ns,
            last_turn_ns: 0,
            expiry_due_ns: 0,
            wall_base,
            last_down: None,
            stats: ProducerStats::default(),
        })
    }

    /// The sink that was given.
    pub fn sink(&mut self) -> &mut S {
        &mut self.sink
    }

    /// The driver, for its clock and counters.
    pub fn driver(&mut self) -> &mut dyn Driver {
        self.network.driver()
    }

    /// What was counted so far.
    pub fn stats(&self) -> ProducerStats {
        self.stats
    }

    /// What the network counted so far.
    pub fn network_stats(&self) -> NetworkStats {
        self.network.stats()
    }

    /// What the network counted by broker and by API.
    pub fn tally(&self) -> &Tally {
        self.network.tally()
    }

    /// `buffer.memory` that is free, in bytes.
    pub fn buffer_available_bytes(&self) -> usize {
        self.accumulator.free_bytes()
    }

    /// Seconds since the last metadata, if there was one.
    pub fn metadata_age_ns(&self) -> Option<u64> {
        self.metadata.updated_ns().map(|updated| self.network.now_ns().saturating_sub(updated))
    }

    /// The settings that it runs with.
    pub fn config(&self) -> &ProducerConfig {
        &self.config
    }

    /// Time since it was opened.
    pub fn elapsed_ns(&self) -> u64 {
        self.network.now_ns().saturating_sub(self.opened_ns)
    }

    /// Why the last connection ended or could not be made.
    pub fn last_disconnect(&self) -> Option<&str> {
        self.last_down.as_deref()
    }

    /// A topic's handle. The broker is asked for it with the next metadata.
    pub fn topic(&mut self, name: &str) -> Topic {
        self.metadata.use_topic(name);
        let topic = self.accumulator.topic(name);
        self.spread_leaders();
        topic
    }

    /// A handle's topic.
    pub fn topic_name(&self, topic: Topic) -> &str {
        self.accumulator.name(topic)
    }

    /// How many partitions a topic has. Waits for metadata, at most `max.block.ms`.
    pub fn partition_count(&mut self, topic: Topic) -> Result<usize, ClientError> {
        let max_block = self.config.max_block;
        let deadline_ns = self.network.driver().read().0.saturating_add(nanos(max_block));
        loop {
            let count = self.accumulator.partition_count(topic);
            if count > 0 {
                return Ok(count);
            }
            self.metadata.want_update();
            let goes_on = self.wait_turn(deadline_ns)?;
            if let Some(refusal) = self.network.refusal() {
                return Err(ClientError::Authentication(refusal.clone()));
            }
            if !goes_on {
                let what = format!("topic {} was present in metadata", self.accumulator.name(topic));
                return Err(ClientError::Timeout { what, waited_ms: max_block.as_millis() });
            }
        }
    }

    /// Lets the network work, for at most `timeout`: sends what is due, takes answers.
    pub fn poll(&mut self, timeout: Duration) -> Result<(), ClientError> {
        let deadline_ns = self.network.driver().read().0.saturating_add(nanos(timeout));
        loop {
            if !self.wait_turn(deadline_ns)? {
                return Ok(());
            }
        }
    }

    /// Waits until every record that was taken is delivered or given up.
    pub fn flush(&mut self) -> Result<(), ClientError> {
        self.accumulator.set_flushing(true);
        while self.accumulator.unfinished() > 0 {
            self.wait_turn(u64::MAX)?;
        }
        self.accumulator.set_flushing(false);
        Ok(())
    }

    /// As [`Self::flush`], for at most `timeout`. False where records are left over.
    pub fn flush_for(&mut self, timeout: Duration) -> Result<bool, ClientError> {
        let deadline_ns = self.network.driver().read().0.saturating_add(nanos(timeout));
        self.accumulator.set_flushing(true);
        while self.accumulator.unfinished() > 0 && self.wait_turn(deadline_ns)? {}
        self.accumulator.set_flushing(false);
        Ok(self.accumulator.unfinished() == 0)
    }

    /// Flushes, aborts a transaction that is still open, disconnects, and gives the sink back.
    pub fn close(mut self) -> Result<S, ClientError> {
        self.flush()?;
        self.abort_open_transaction();
        self.network.close_all();
        Ok(self.sink)
    }

    /// Gives up what is not delivered, disconnects, and gives the sink back.
    pub fn abort(mut self) -> S {
        self.fail_all(&SendError::Closed);
        self.network.close_all();
        self.sink
    }

    fn fail_all(&mut self, error: &SendError) {
        let mut batches = self.accumulator.take_all();
        for batch in std::mem::take(&mut self.sent).into_values().flatten() {
            self.accumulator.abandon(&batch);
            batches.push(batch);
        }
        batches.into_iter().for_each(|batch| self.report_failed(batch, error));
    }
}

/// Decodes an answer's body; what does not decode is an error that names the message.
pub(crate) fn decode<M: Message>(body: &[u8], version: i16) -> Result<M, ClientError> {
    M::decode(&mut Reader::new(body), version)
        .map_err(|error| ClientError::Corrupt(format!("a {} (version {version}) does not decode: {error}", M::NAME)))
}

#[cfg(test)]
mod tests;
