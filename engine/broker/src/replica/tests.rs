//! A replica under random events: whatever happens, every batch that entered leaves once, and what it is told is true.

use std::collections::BTreeMap;
use std::rc::Rc;

use proptest::prelude::*;
use ringlog_io::sim::{Fault, Op, SimFiles};
use ringlog_io::{Files, Job, Slice};
use ringlog_storage::{FlushJob, LogConfig, Origin, Partition};
use ringlog_wire::batch::{self, BatchBuilder, Recompression, Rules};
use ringlog_wire::compression::{Codec, Scratch};
use ringlog_wire::{ErrorCode, Uuid};

use super::recompress::HeldBytes;
use super::{News, PartitionKey, Replica, Role, Staged, Ticket};

/// What may happen to a replica.
#[derive(Clone, Copy, Debug)]
enum Happens {
    Stage {
        records: u8,
    },
    /// One that the topic keeps in another codec.
    StageAnew {
        records: u8,
    },
    BeginRecompression,
    EndRecompression,
    Append,
    EndRoll,
    BeginFlush,
    EndFlush {
        well: bool,
    },
    Flushing {
        each: bool,
    },
    DiskFills,
    DescriptorsRunOut,
    Heals,
    Resigns,
}

fn what_happens() -> impl Strategy<Value = Happens> {
    prop_oneof![
        6 => (1..4_u8).prop_map(|records| Happens::Stage { records }),
        3 => (1..4_u8).prop_map(|records| Happens::StageAnew { records }),
        3 => Just(Happens::BeginRecompression),
        3 => Just(Happens::EndRecompression),
        6 => Just(Happens::Append),
        3 => Just(Happens::EndRoll),
        4 => Just(Happens::BeginFlush),
        4 => prop::bool::weighted(0.9).prop_map(|well| Happens::EndFlush { well }),
        2 => any::<bool>().prop_map(|each| Happens::Flushing { each }),
        1 => Just(Happens::DiskFills),
        1 => Just(Happens::DescriptorsRunOut),
        2 => Just(Happens::Heals),
        1 => Just(Happens::Resigns),
    ]
}

/// A replica, and what is known of the batches that were given to it.
struct Rig {
    files: Rc<SimFiles>,
    replica: Replica,
    job: Option<FlushJob>,
    roll: Option<Job>,
    recompression: Option<Job>,
    held_bytes: HeldBytes,
    /// The last batch that reached the log.
    appended: Option<usize>,
    news: News,
    next: usize,
    /// Tickets that went in and did not come out.
    inside: BTreeMap<usize, ()>,
}

impl Rig {
    fn new() -> Self {
        let files = SimFiles::new(1);
        let shared: Rc<dyn Files> = Rc::clone(&files) as Rc<dyn Files>;
        let config = LogConfig { segment_bytes: 512, ..LogConfig::default() };
        let log = Partition::create(&shared, "/log/t-0".as_ref(), Uuid([1; 16]), config, 1).unwrap();
        let key = PartitionKey { topic_id: Uuid([1; 16]), partition: 0 };
        let role = Role { leader_epoch: 0, rules: Rules::default(), in_sync_replicas_missing: 0 };
        let replica = Replica::new(Rc::from("t"), key, role, log);
        Self {
            files,
            replica,
            job: None,
            roll: None,
            recompression: None,
            held_bytes: HeldBytes::default(),
            appended: None,
            news: News::default(),
            next: 0,
            inside: BTreeMap::new(),
        }
    }

    fn stage(&mut self, records: u8, compression: Option<Recompression>) {
        let mut scratch = Scratch::default();
        let mut builder = BatchBuilder::new();
        (0..records).for_each(|_| builder.append(1, Some(b"key"), Some(&[7; 40]), &[]));
        builder.finish(&mut scratch).unwrap();
        let bytes = builder.take();
        let rules = Rules { compression, ..Rules::default() };
        let validated = batch::validate(&bytes, &rules, 1, &mut scratch).unwrap();
        let ticket = Ticket::Produce { request: self.next, topic: 0, partition: 0 };
        self.inside.insert(self.next, ());
        self.next += 1;
        let staged = Staged { validated, bytes: Slice::from(bytes), origin: Origin::Client, ticket };
        if self.replica.holds_up(&staged) {
            self.replica.hold(staged, &self.held_bytes);
        } else {
            self.replica.stage(staged);
        }
    }

    fn happens(&mut self, what: Happens) {
        match what {
            Happens::Stage { records } => self.stage(records, None),
            Happens::StageAnew { records } => {
                self.stage(records, Some(Recompression { codec: Codec::Lz4, level: None }));
            }
            Happens::BeginRecompression => {
                if self.replica.recompression_due().is_some() {
                    self.recompression = Some(self.replica.begin_recompression());
                }
            }
            Happens::EndRecompression => {
                if let Some(job) = self.recompression.take() {
                    job.perform(&*self.files).unwrap();
                    self.replica.end_recompression(&mut self.news);
                }
            }
            Happens::Append => {
                let roll = self.replica.append_staged(1, &mut self.news);
                assert!(roll.is_none() || self.roll.is_none(), "one roll at a time");
                self.roll = roll.or(self.roll.take());
            }
            Happens::EndRoll => {
                if let Some(job) = self.roll.take() {
                    let result = job.perform(&*self.files);
                    self.replica.beside_done(result, 1, &mut self.news);
                }
            }
            Happens::BeginFlush => {
                let job = self.replica.begin_flush(1, &mut self.news);
                assert!(job.is_none() || self.job.is_none(), "one flush at a time");
                self.job = job.or(self.job.take());
            }
            Happens::EndFlush { well } => {
                if let Some(job) = self.job.take() {
                    let result = if well { Ok(()) } else { Err(std::io::Error::from_raw_os_error(5)) };
                    self.replica.end_flush(job, result, &mut self.news);
                }
            }
            Happens::Flushing { each } => {
                let flush_messages = if each { 1 } else { i64::MAX };
                let config = LogConfig { flush_messages, ..self.replica.log().config().clone() };
                let role = self.replica.role.clone();
                self.replica.change(role, config, &mut self.news);
            }
            Happens::DiskFills => self.files.set_space_bytes(Some(0)),
            Happens::DescriptorsRunOut => self.files.fail(Fault::nth(Op::Open, 1, 24).for_ever()),
            Happens::Heals => {
                self.files.heal();
                self.files.set_space_bytes(None);
            }
            Happens::Resigns => self.replica.resign(ErrorCode::NOT_LEADER_OR_FOLLOWER, &mut self.news),
        }
        self.check();
    }

    /// Each comes out once; who is told "well" is told of records that readers see.
    fn check(&mut self) {
        for settled in self.news.settled.drain(..) {
            let Ticket::Produce { request, .. } = settled.ticket else { panic!("no group") };
            assert!(self.inside.remove(&request).is_some(), "{request} came out twice");
            if let Ok(appended) = settled.result {
                assert!(appended.last_offset < self.replica.log().high_watermark(), "acknowledged, not visible");
                assert!(self.appended < Some(request), "{request} came after {:?}", self.appended);
                self.appended = Some(request);
            }
        }
        let log = self.replica.log();
        assert!(log.offline_reason().is_none() || self.replica.acks.is_empty(), "an offline log holds acks back");
        self.news = News::default();
    }

    /// The log flushes what is due: nobody is left inside.
    fn end(mut self) {
        self.happens(Happens::Heals);
        for _ in 0..64 {
            self.happens(Happens::BeginRecompression);
            self.happens(Happens::EndRecompression);
            self.happens(Happens::Append);
            self.happens(Happens::EndRoll);
            self.happens(Happens::EndFlush { well: true });
            self.happens(Happens::BeginFlush);
        }
        assert_eq!(self.inside, BTreeMap::new(), "still inside");
        assert_eq!(self.held_bytes.get(), 0, "who left gave back what it held");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_batch_that_entered_leaves_once(events in prop::collection::vec(what_happens(), 1..60)) {
        let mut rig = Rig::new();
        events.into_iter().for_each(|what| rig.happens(what));
        rig.end();
    }
}

#[test]
fn a_flush_that_cannot_begin_refuses_who_waits_for_it() {
    let mut rig = Rig::new();
    for what in [
        Happens::Flushing { each: true },
        Happens::Stage { records: 9 },
        Happens::Append,
        Happens::Stage { records: 9 },
        Happens::Append,
        Happens::EndRoll,
        Happens::Append,
        Happens::DescriptorsRunOut,
        Happens::BeginFlush,
        Happens::EndFlush { well: true },
        Happens::BeginFlush,
        Happens::EndFlush { well: true },
        Happens::BeginFlush,
    ] {
        rig.happens(what);
    }
    assert_eq!(rig.inside.len(), 0);
}

#[test]
fn a_disk_that_fills_while_a_flush_runs_refuses_who_waits_for_the_next() {
    let mut rig = Rig::new();
    for what in [
        Happens::Flushing { each: true },
        Happens::Stage { records: 1 },
        Happens::Append,
        Happens::BeginFlush,
        Happens::Stage { records: 1 },
        Happens::Append,
        Happens::EndFlush { well: true },
        Happens::DiskFills,
        Happens::Stage { records: 1 },
        Happens::Append,
    ] {
        rig.happens(what);
    }
    assert_eq!(rig.inside.len(), 0);
}

#[test]
fn what_is_not_flushed_any_more_is_acknowledged_at_once() {
    let mut rig = Rig::new();
    for what in [Happens::Flushing { each: true }, Happens::Stage { records: 1 }, Happens::Append] {
        rig.happens(what);
    }
    assert_eq!(rig.inside.len(), 1);
    rig.happens(Happens::Flushing { each: false });
    assert_eq!(rig.inside.len(), 0);
}

#[test]
fn who_waits_for_the_disk_alone_is_acknowledged_when_the_log_moves() {
    let mut rig = Rig::new();
    for what in [Happens::Flushing { each: true }, Happens::Stage { records: 1 }, Happens::Append] {
        rig.happens(what);
    }
    rig.stage(1, None);
    rig.replica.leave(ErrorCode::NOT_LEADER_OR_FOLLOWER, &mut rig.news);
    assert_eq!(rig.news.settled.len(), 1, "what is staged is refused at once, and the other waits");
    rig.replica.close(&mut rig.news).expect("the disk is well");
    let told: Vec<_> =
        rig.news.settled.iter().map(|it| it.result.as_ref().map(|it| it.last_offset).map_err(|it| *it)).collect();
    assert_eq!(told, [Err(ErrorCode::NOT_LEADER_OR_FOLLOWER), Ok(0)], "what is staged does not go along");
    rig.check();
    assert_eq!(rig.inside.len(), 0);
}

#[test]
fn who_waits_for_a_disk_that_fails_is_refused_when_the_log_moves() {
    let mut rig = Rig::new();
    for what in [Happens::Flushing { each: true }, Happens::Stage { records: 1 }, Happens::Append] {
        rig.happens(what);
    }
    rig.files.fail(Fault::nth(Op::Sync, 1, 5).for_ever());
    rig.replica.close(&mut rig.news).expect_err("the disk fails");
    assert!(rig.news.settled.iter().all(|it| it.result.is_err()) && rig.news.settled.len() == 1);
}
