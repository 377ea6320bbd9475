//! Doors for `benches/client.rs`, which times what a record costs inside our producer. Nothing else uses them.
#![allow(missing_docs, reason = "not an interface")]

use ringlog_io::Buf;

use crate::client::accumulator::{Accumulator, Appended, Limits};
use crate::client::batch::RecordBytes;
use crate::client::config::ProducerConfig;
use crate::client::properties::Properties;
use crate::client::random::SplittableRandom;
use crate::client::{Mark, Topic};
use crate::load::letters::Letters;

/// The node that leads the one partition.
const NODE: i32 = 1;

/// Makes payloads as `--record-size` does.
#[derive(Debug)]
pub struct Fill {
    letters: Letters,
    random: SplittableRandom,
    value: Vec<u8>,
}

impl Fill {
    #[must_use]
    #[allow(clippy::new_without_default, reason = "not an interface")]
    pub fn new() -> Self {
        Self { letters: Letters::new(), random: SplittableRandom::new(0), value: Vec::new() }
    }

    pub fn next(&mut self, len: usize) -> &[u8] {
        self.letters.fill(&mut self.random, len, &mut self.value);
        &self.value
    }
}

/// An accumulator with one partition, whose batches are sealed and acknowledged as soon as they are full.
#[derive(Debug)]
pub struct Appends {
    accumulator: Accumulator,
    topic: Topic,
    now_ns: u64,
}

impl Appends {
    #[must_use]
    pub fn new(batch_size: usize) -> Self {
        let mut properties = Properties::new();
        properties.set("bootstrap.servers", "127.0.0.1:9092");
        properties.set("enable.idempotence", "false");
        properties.set("batch.size", &batch_size.to_string());
        let config = ProducerConfig::parse(&properties).expect("settings of our own").config;
        let mut accumulator = Accumulator::new(Limits::of(&config), 0);
        let topic = accumulator.topic("t");
        accumulator.set_leaders(topic, &[(Some(NODE), 0)]);
        Self { accumulator, topic, now_ns: 0 }
    }

    /// Appends a record; every full batch is drained and done.
    pub fn record(&mut self, value: &[u8]) {
        self.now_ns += 1000;
        let bytes = RecordBytes { timestamp_ms: 1_700_000_000_000, key: None, value, headers: &[] };
        let mark = Mark { intended_ns: self.now_ns, sent_ns: self.now_ns, tag: 0, bytes: 0 };
        let mut buffer = |len| Buf::from(Vec::with_capacity(len));
        let appended = self.accumulator.append((self.topic, None), &bytes, mark, &mut buffer, |_, _| 0);
        if let Appended::Taken { ready: true, .. } = appended {
            for batch in self.accumulator.drain(NODE, self.now_ns, &mut buffer) {
                self.accumulator.done(&batch);
                self.accumulator.recycle(batch.marks);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_benched_makes_payloads_and_keeps_no_batch() {
        let mut fill = Fill::new();
        assert_eq!(fill.next(5), b"YQHHN");
        let mut appends = Appends::new(1000);
        (0..10_000).for_each(|_| appends.record(&[7; 100]));
        assert!(appends.accumulator.unfinished() <= 2);
    }
}
