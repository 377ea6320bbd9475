//! Random lives of a partition against a model: what was acknowledged and flushed is never lost, what is read is what
//! was appended, offsets have no gaps.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use std::path::PathBuf;
use std::rc::Rc;

use proptest::prelude::*;
use ringlog_io::Files;
use ringlog_io::sim::SimFiles;
use ringlog_storage::{Checkpointed, Isolation, LogConfig, Partition, Startup};
use ringlog_wire::Uuid;
use support::{Seen, WALL_MS, append_all, batch, flush, read_records};

#[derive(Clone, Debug)]
enum Step {
    /// Appends so many batches in one call; records in each, bytes of a value.
    Append { batches: usize, records: usize, value_len: usize },
    /// Runs all flush jobs.
    Flush,
    /// Writes snapshots, indexes and the checkpoint.
    Checkpoint,
    /// Makes the next segment ahead.
    Maintain,
    /// Stops cleanly and starts.
    CloseAndOpen,
    /// Kills the process and starts.
    Kill,
    /// Cuts the power, now or after some more changes of the disk, and starts.
    PowerCut { after_changes: Option<u64> },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (1..5_usize, 1..4_usize, 0..300_usize)
            .prop_map(|(batches, records, value_len)| Step::Append { batches, records, value_len }),
        3 => Just(Step::Flush),
        2 => Just(Step::Checkpoint),
        1 => Just(Step::Maintain),
        1 => Just(Step::CloseAndOpen),
        1 => Just(Step::Kill),
        2 => prop::option::of(0..12_u64).prop_map(|after_changes| Step::PowerCut { after_changes }),
    ]
}

/// A partition, and what must be true of it.
struct Life {
    sim: Rc<SimFiles>,
    files: Rc<dyn Files>,
    dir: PathBuf,
    config: LogConfig,
    partition: Option<Partition>,
    appended: Vec<Seen>,
    flushed: i64,
    checkpointed: Checkpointed,
    clock_ms: i64,
}

impl Life {
    fn begin(seed: u64, flush_messages: i64) -> Self {
        let (sim, files) = support::disk(seed);
        let dir = PathBuf::from("/log/topic-0");
        let config =
            LogConfig { segment_bytes: 1500, index_interval_bytes: 150, flush_messages, ..LogConfig::default() };
        let partition = Partition::create(&files, &dir, Uuid([7; 16]), config.clone(), WALL_MS).unwrap();
        sim.settle();
        Self {
            sim,
            files,
            dir,
            config,
            partition: Some(partition),
            appended: Vec::new(),
            flushed: 0,
            checkpointed: Checkpointed::default(),
            clock_ms: 1000,
        }
    }

    fn partition(&mut self) -> &mut Partition {
        self.partition.as_mut().unwrap()
    }

    fn run(&mut self, step: &Step) {
        match *step {
            Step::Append { batches, records, value_len } => self.append(batches, records, value_len),
            Step::Flush => self.flush(),
            Step::Checkpoint => {
                if let Ok(checkpointed) = self.partition().checkpoint() {
                    self.checkpointed = checkpointed;
                }
            }
            Step::Maintain => drop(self.partition().maintain(WALL_MS)),
            Step::CloseAndOpen => {
                if let Ok(checkpointed) = self.partition().close_clean() {
                    self.checkpointed = checkpointed;
                    self.flushed = self.partition().end_offset();
                    self.open(Startup::Clean);
                }
            }
            Step::Kill => self.open(Startup::SameBoot),
            Step::PowerCut { after_changes: None } => self.power_cut(),
            Step::PowerCut { after_changes: Some(changes) } => self.sim.cut_power_after(changes),
        }
    }

    fn append(&mut self, batches: usize, records: usize, value_len: usize) {
        let mut made = Vec::new();
        let mut expected = Vec::new();
        for _ in 0..batches {
            self.clock_ms += 1;
            let offset = (self.appended.len() + expected.len()) as i64;
            let values: Vec<Vec<u8>> =
                (0..records as i64).map(|i| format!("{:x>value_len$}", offset + i).into_bytes()).collect();
            made.push(batch(self.clock_ms, &values.iter().map(Vec::as_slice).collect::<Vec<_>>()));
            expected.extend(values.into_iter().zip(offset..).map(|(value, offset)| Seen {
                offset,
                timestamp_ms: self.clock_ms,
                value: Some(value),
            }));
        }
        let answers = append_all(self.partition(), &made.iter().map(Vec::as_slice).collect::<Vec<_>>());
        // A roll may fall between batches of one call: those before it may have been written.
        for (answer, records) in answers.iter().zip(expected.chunks(records)) {
            match answer {
                Ok(appended) => {
                    assert_eq!(appended.base_offset, records[0].offset);
                    self.appended.extend_from_slice(records);
                }
                Err(_) => break,
            }
        }
    }

    fn flush(&mut self) {
        let files = Rc::clone(&self.files);
        flush(&files, self.partition());
        self.flushed = self.flushed.max(self.partition().flushed_offset());
    }

    fn power_cut(&mut self) {
        self.partition = None;
        self.sim.crash();
        self.sim.power_on();
        self.open(Startup::NewBoot);
    }

    fn open(&mut self, how: Startup) {
        self.partition = None;
        let opened = Partition::open_at(&self.files, &self.dir, self.config.clone(), how, self.checkpointed, WALL_MS);
        let (partition, report) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                // The power that is to go goes while the log is opened: start again.
                self.sim.crash();
                self.sim.power_on();
                assert!(error.to_string().contains("/log/topic-0"), "{error}");
                return self.open(Startup::NewBoot);
            }
        };
        let end = partition.end_offset();
        assert!(end >= self.flushed, "{how:?}: {end} of {} flushed records: {report:?}", self.flushed);
        if how != Startup::NewBoot {
            assert_eq!(end, self.appended.len() as i64, "{how:?} keeps everything: {report:?}");
        }
        if end > self.appended.len() as i64 {
            // The write in which the power went left whole batches: nobody was told of them, but they are well-formed.
            let extra = read_records(&self.files, &partition, self.appended.len() as i64, 1 << 20, Isolation::LogEnd);
            self.appended.extend(extra);
        }
        self.appended.truncate(usize::try_from(end).unwrap());
        self.partition = Some(partition);
    }

    fn check(&mut self) {
        let partition = self.partition.as_ref().unwrap();
        assert_eq!(partition.offline_reason(), None);
        let (log_start, visible, end) =
            (partition.log_start_offset(), partition.high_watermark(), partition.end_offset());
        assert!(log_start <= visible && visible <= end);
        assert!(self.config.flush_messages > 1 || visible <= partition.flushed_offset());
        let seen = read_records(&self.files, partition, 0, 1 << 20, Isolation::LogEnd);
        assert_eq!(seen, self.appended);
        let seen = read_records(&self.files, partition, 0, 400, Isolation::ReadUncommitted);
        assert_eq!(seen, self.appended[..usize::try_from(visible).unwrap()]);
        if let Some(middle) = self.appended.get(self.appended.len() / 2) {
            let first = self.appended.iter().find(|record| record.timestamp_ms >= middle.timestamp_ms).unwrap();
            let found = partition.offset_for_timestamp(middle.timestamp_ms).unwrap().unwrap();
            assert_eq!(found.offset, first.offset);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_acknowledged_and_flushed_is_never_lost(
        seed in any::<u64>(),
        flush_messages in prop_oneof![Just(1), Just(i64::MAX)],
        steps in prop::collection::vec(step(), 1..40),
    ) {
        let mut life = Life::begin(seed, flush_messages);
        for step in &steps {
            life.run(step);
            if life.files.list(&life.dir).is_err() {
                life.power_cut();
            }
            life.check();
        }
        life.power_cut();
        life.check();
    }
}
