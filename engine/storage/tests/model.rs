//! Random lives of a partition against a model: what was acknowledged and flushed is never lost, what is read is what
//! was appended, offsets have no gaps. What is known of producers and transactions is what a plain scan of the log says.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;

use proptest::prelude::*;
use ringlog_io::Files;
use ringlog_io::sim::{Fault, Op, SimFiles};
use ringlog_storage::{AbortedTransaction, Checkpointed, Isolation, Known, LogConfig, Origin, Partition, Startup};
use ringlog_wire::Uuid;
use ringlog_wire::batch::{Batch, BatchBuilder};
use ringlog_wire::compression::Scratch;
use support::{
    Seen, WALL_MS, append_all, append_as, append_at, batch, checkpoint, flush, look, maintain, producer_batch,
    read_bytes, read_records,
};

/// errno(3).
const EIO: i32 = 5;
const EMFILE: i32 = 24;
const ENOSPC: i32 = 28;

#[derive(Clone, Debug)]
enum Step {
    /// Appends so many batches in one call; records in each, bytes of a value.
    Append { batches: usize, records: usize, value_len: usize },
    /// A transactional producer sends a batch.
    Transact { producer: i64, records: usize },
    /// A coordinator ends its transaction.
    End { producer: i64, commit: bool },
    /// Runs all flush jobs.
    Flush,
    /// The disk fails at a flush, and the broker is started again in the same boot.
    FlushFails,
    /// Some call fails once, now or a few calls later, in the middle of appends.
    Fail { op: Op, nth: u64, torn_bytes: usize },
    /// The topic's setting changes: acknowledgements wait for flushes, or do so no more.
    FlushMessages(i64),
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
        4 => (0..3_i64, 1..4_usize).prop_map(|(producer, records)| Step::Transact { producer, records }),
        3 => (0..3_i64, any::<bool>()).prop_map(|(producer, commit)| Step::End { producer, commit }),
        3 => Just(Step::Flush),
        1 => Just(Step::FlushFails),
        2 => (prop_oneof![Just(Op::Open), Just(Op::Write), Just(Op::Rename), Just(Op::Truncate)], 1..6_u64, 0..400_usize)
            .prop_map(|(op, nth, torn_bytes)| Step::Fail { op, nth, torn_bytes }),
        1 => prop_oneof![Just(1), Just(i64::MAX)].prop_map(Step::FlushMessages),
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
    /// What readers have seen since the partition was opened.
    shown: i64,
    checkpointed: Checkpointed,
    clock_ms: i64,
    wall_ms: i64,
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
            shown: 0,
            checkpointed: Checkpointed::default(),
            clock_ms: 1000,
            wall_ms: WALL_MS,
        }
    }

    fn partition(&mut self) -> &mut Partition {
        self.partition.as_mut().unwrap()
    }

    fn run(&mut self, step: &Step) {
        match *step {
            Step::Append { batches, records, value_len } => self.append(batches, records, value_len),
            Step::Transact { producer, records } => self.transact(producer, records),
            Step::End { producer, commit } => {
                let marker = BatchBuilder::marker(WALL_MS, producer, 0, commit, 0);
                self.append_one(&marker, Origin::Coordinator);
            }
            Step::Flush => self.flush(),
            Step::FlushFails => {
                self.sim.fail(Fault::nth(Op::Sync, 1, EIO));
                self.flush();
                self.sim.heal();
                self.open(Startup::SameBoot);
            }
            Step::Fail { op: Op::Write, nth, torn_bytes } => self.sim.fail(Fault::torn_write(nth, torn_bytes, ENOSPC)),
            Step::Fail { op, nth, .. } => self.sim.fail(Fault::nth(op, nth, EMFILE)),
            Step::FlushMessages(flush_messages) => {
                let visible = self.partition().high_watermark();
                self.config.flush_messages = flush_messages;
                let config = self.config.clone();
                self.partition().set_config(config);
                assert!(self.partition().high_watermark() >= visible, "what was shown stays");
            }
            Step::Checkpoint => {
                let files = Rc::clone(&self.files);
                if let Ok(checkpointed) = checkpoint(&files, self.partition()) {
                    self.checkpointed = checkpointed;
                }
            }
            Step::Maintain => {
                let files = Rc::clone(&self.files);
                maintain(&files, self.partition());
            }
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

    fn transact(&mut self, producer: i64, records: usize) {
        let sequence = self.scan().next_sequence.get(&producer).copied().unwrap_or(0);
        self.append_one(&producer_batch(producer, 0, sequence, records, true), Origin::Client);
    }

    /// Appends, and takes what is then read at the end into the model.
    fn append_one(&mut self, bytes: &[u8], origin: Origin) {
        let before = self.appended.len() as i64;
        if let Ok(appended) = append_as(self.partition(), &[bytes], origin, 0).remove(0) {
            assert_eq!(appended.base_offset, before);
            let records = records_of(bytes, before);
            self.appended.extend(records);
        }
    }

    fn scan(&mut self) -> Scan {
        let files = Rc::clone(&self.files);
        Scan::of(&files, self.partition())
    }

    fn check_producers(&mut self) {
        let scan = self.scan();
        let files = Rc::clone(&self.files);
        let partition = self.partition();
        let (visible, end) = (partition.high_watermark(), partition.end_offset());
        assert_eq!(look(&files, partition, |log| log.aborted_transactions(0, end)), scan.aborted);
        // A transaction whose marker is not visible yet is as good as open.
        let hidden = scan.ended.iter().filter(|(_, marker)| *marker >= visible).map(|(first, _)| *first);
        let unstable = scan.open.values().copied().chain(hidden).min().unwrap_or(i64::MAX);
        assert_eq!(partition.last_stable_offset(), unstable.min(visible));
        for (batch, base_offset) in scan.last_batches.values() {
            let again = append_all(partition, &[batch]).remove(0).unwrap();
            assert_eq!((again.duplicate, again.base_offset), (true, *base_offset));
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
        let known = Known { topic_id: Uuid([7; 16]), startup: how, checkpointed: self.checkpointed };
        let opened = Partition::open_at(&self.files, &self.dir, self.config.clone(), known, WALL_MS);
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
        self.flushed = self.flushed.max(partition.flushed_offset());
        self.shown = 0;
        self.partition = Some(partition);
    }

    /// What failed works again, and the partition is asked to append: it comes back.
    fn heal(&mut self) {
        self.sim.heal();
        if self.partition().offline_reason().is_none() {
            return;
        }
        self.wall_ms += 1000;
        let (wall_ms, base_offset) = (self.wall_ms, self.appended.len() as i64);
        let bytes = batch(self.clock_ms, &[b"back again"]);
        if let Ok(appended) = append_at(self.partition(), &bytes, wall_ms) {
            assert_eq!(appended.base_offset, base_offset);
            self.appended.extend(records_of(&bytes, base_offset));
        }
    }

    fn check(&mut self) {
        let partition = self.partition.as_ref().unwrap();
        assert_eq!(partition.offline_reason(), None);
        let visible = partition.high_watermark();
        assert!(visible >= self.shown, "{visible} of {} that readers have seen", self.shown);
        assert!(self.config.flush_messages > 1 || visible <= self.shown.max(partition.flushed_offset()));
        self.shown = visible;
        let seen = read_records(&self.files, partition, 0, 1 << 20, Isolation::LogEnd);
        assert_eq!(seen, self.appended);
        let seen = read_records(&self.files, partition, 0, 400, Isolation::ReadUncommitted);
        assert_eq!(seen, self.appended[..usize::try_from(visible).unwrap()]);
        if let Some(middle) = self.appended.get(self.appended.len() / 2) {
            let first = self.appended.iter().find(|record| record.timestamp_ms >= middle.timestamp_ms).unwrap();
            let found = look(&self.files, partition, |log| log.offset_for_timestamp(middle.timestamp_ms)).unwrap();
            assert_eq!(found.offset, first.offset);
        }
    }
}

/// What a plain scan of the log says of its producers.
#[derive(Default)]
struct Scan {
    open: BTreeMap<i64, i64>,
    /// First offset and marker of ended transactions.
    ended: Vec<(i64, i64)>,
    aborted: Vec<AbortedTransaction>,
    next_sequence: BTreeMap<i64, i32>,
    last_batches: BTreeMap<i64, (Vec<u8>, i64)>,
}

impl Scan {
    fn of(files: &Rc<dyn Files>, partition: &Partition) -> Self {
        let (mut scan, mut offset) = (Self::default(), 0);
        while offset < partition.end_offset() {
            let bytes = read_bytes(files, partition, offset, 1, Isolation::LogEnd);
            let batch = Batch::parse(&bytes).unwrap();
            scan.take(&batch);
            offset = batch.header.next_offset();
        }
        scan
    }

    fn take(&mut self, batch: &Batch<'_>) {
        let (header, id) = (batch.header, batch.header.producer_id);
        if header.is_control() {
            let record = batch.records(&mut Scratch::new(), 0).unwrap().next().unwrap().unwrap().key.unwrap().to_vec();
            if let Some(first_offset) = self.open.remove(&id) {
                self.ended.push((first_offset, header.base_offset));
                if record[3] == 0 {
                    self.aborted.push(AbortedTransaction { producer_id: id, first_offset });
                }
            }
        } else if id >= 0 {
            self.open.entry(id).or_insert(header.base_offset);
            self.next_sequence.insert(id, header.last_sequence() + 1);
            let mut sent = batch.bytes.to_vec();
            sent[..8].fill(0);
            self.last_batches.insert(id, (sent, header.base_offset));
        }
    }
}

fn records_of(bytes: &[u8], base_offset: i64) -> Vec<Seen> {
    let batch = Batch::parse(bytes).unwrap();
    let mut scratch = Scratch::new();
    let records = batch.records(&mut scratch, 0).unwrap().map(Result::unwrap);
    records
        .map(|record| Seen {
            offset: base_offset + record.offset,
            timestamp_ms: record.timestamp,
            value: record.value.map(<[u8]>::to_vec),
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_acknowledged_and_flushed_is_never_lost(
        seed in any::<u64>(),
        flush_messages in prop_oneof![Just(1), Just(i64::MAX)],
        steps in prop::collection::vec(step(), 1..40),
    ) {
        live(seed, flush_messages, &steps);
    }
}

/// Lives the steps, and a last power cut.
fn live(seed: u64, flush_messages: i64, steps: &[Step]) {
    let mut life = Life::begin(seed, flush_messages);
    for step in steps {
        life.run(step);
        if matches!(step, Step::Fail { .. }) {
            continue;
        }
        if life.files.list(&life.dir).is_err() {
            life.power_cut();
        }
        life.heal();
        if life.files.list(&life.dir).is_err() {
            life.power_cut();
        }
        life.check();
        life.check_producers();
    }
    life.power_cut();
    life.check();
    life.check_producers();
}

const fn plain(batches: usize, records: usize, value_len: usize) -> Step {
    Step::Append { batches, records, value_len }
}

const fn abort(producer: i64) -> Step {
    Step::End { producer, commit: false }
}

#[test]
fn a_list_of_aborted_transactions_that_never_reached_the_disk_holds_zeros() {
    let transact = Step::Transact { producer: 0, records: 1 };
    let steps = [plain(2, 1, 81), Step::Flush, transact, abort(0), Step::Checkpoint, Step::Flush];
    live(6_595_405_176_858_117_770, 1, &steps);
}

#[test]
fn a_torn_list_of_aborted_transactions_is_replaced_where_nothing_was_aborted() {
    let steps = [
        plain(1, 1, 0),
        Step::Flush,
        Step::Transact { producer: 2, records: 3 },
        plain(1, 2, 277),
        Step::Kill,
        abort(2),
        plain(4, 1, 85),
        Step::Kill,
        Step::PowerCut { after_changes: Some(0) },
        plain(1, 1, 5),
        plain(2, 3, 205),
    ];
    live(12_730_382_638_050_872_076, i64::MAX, &steps);
}

#[test]
fn indexes_of_a_segment_that_is_gone_do_not_return_with_its_name() {
    let steps = [
        Step::Transact { producer: 2, records: 1 },
        abort(2),
        Step::PowerCut { after_changes: Some(3) },
        plain(2, 3, 104),
        plain(1, 2, 236),
        plain(1, 1, 0),
    ];
    live(15_402_256_167_588_444_360, 1, &steps);
}

#[test]
fn a_segment_that_was_rolled_at_the_recovery_point_is_looked_at_again() {
    let transact = |producer, records| Step::Transact { producer, records };
    let steps = [
        transact(0, 1),
        transact(0, 1),
        plain(2, 2, 144),
        transact(2, 1),
        Step::Maintain,
        transact(0, 2),
        abort(2),
        Step::Kill,
        Step::Checkpoint,
        plain(1, 2, 153),
        Step::Kill,
    ];
    live(3_194_051_048_215_846_916, 1, &steps);
}

#[test]
fn a_transaction_whose_marker_is_hidden_stays_open_for_readers_when_the_partition_comes_back() {
    let steps = [
        Step::Transact { producer: 0, records: 1 },
        Step::Flush,
        abort(0),
        Step::Fail { op: Op::Open, nth: 4, torn_bytes: 0 },
        plain(3, 3, 121),
    ];
    live(0, 1, &steps);
}
