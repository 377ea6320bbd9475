//! Where the shards of a process and who is asked about them meet: a meter for each shard, and how far the broker is.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};

use super::meter::Meter;
use crate::mail::Address;

/// How far the broker is, under Kafka's numbers (BrokerState).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Logs are opened: RECOVERY and what comes before it.
    Starting = 1,
    /// RUNNING.
    Serving = 3,
    /// PENDING_CONTROLLED_SHUTDOWN.
    Stopping = 6,
}

/// What is known when shards serve: how they are woken, and how they ask the kernel.
#[derive(Debug)]
struct Serving {
    addresses: Vec<Address>,
    io: &'static str,
}

/// See the head of the file.
#[derive(Debug)]
pub(crate) struct Board {
    meters: Vec<Arc<Meter>>,
    serving: OnceLock<Serving>,
    stage: AtomicU8,
}

impl Board {
    /// For so many shards.
    pub(crate) fn new(shards: usize) -> Self {
        Self {
            meters: (0..shards).map(|_| Arc::default()).collect(),
            serving: OnceLock::new(),
            stage: AtomicU8::new(Stage::Starting as u8),
        }
    }

    /// A shard's meter.
    pub(crate) fn meter(&self, shard: usize) -> Arc<Meter> {
        Arc::clone(&self.meters[shard])
    }

    /// All of them.
    pub(crate) fn meters(&self) -> &[Arc<Meter>] {
        &self.meters
    }

    /// The shards serve, are woken there, and ask the kernel so.
    pub(crate) fn serves(&self, addresses: Vec<Address>, io: &'static str) {
        // A broker comes up once.
        drop(self.serving.set(Serving { addresses, io }));
        self.stage.store(Stage::Serving as u8, Ordering::Release);
    }

    /// A shard stopped serving.
    pub(crate) fn stops(&self) {
        self.stage.store(Stage::Stopping as u8, Ordering::Release);
    }

    /// How far the broker is.
    pub(crate) fn stage(&self) -> Stage {
        match self.stage.load(Ordering::Acquire) {
            3 => Stage::Serving,
            6 => Stage::Stopping,
            _ => Stage::Starting,
        }
    }

    /// How the kernel is asked; nothing before it is known.
    pub(crate) fn io(&self) -> &'static str {
        self.serving.get().map_or("", |serving| serving.io)
    }

    /// Asks every shard what it has.
    pub(crate) fn ask(&self, question: u64) {
        self.meters.iter().for_each(|meter| meter.ask(question));
        self.serving.get().into_iter().flat_map(|serving| &serving.addresses).for_each(Address::wake);
    }

    /// Whether every shard has answered this question.
    pub(crate) fn all_answered(&self, question: u64) -> bool {
        self.meters.iter().all(|meter| meter.last_answered() >= question)
    }
}
