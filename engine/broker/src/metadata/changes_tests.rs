use std::rc::Rc;

use ringlog_io::Files;
use ringlog_io::sim::{Fault, Op, SimFiles};
use ringlog_storage::LogDir;
use ringlog_wire::messages::create_topics::CreateTopicsRequest;

use super::*;
use crate::metadata::fixtures::{numbers, topic};
use crate::metadata::log::lead;
use crate::settings::Settings;

const WALL_MS: i64 = 1_800_000_000_000;
const ENOSPC: i32 = 28;
const EIO: i32 = 5;

/// A controller's desk without shards: calls go in, syncs are done when the test says so.
struct Rig {
    sim: Rc<SimFiles>,
    files: Rc<dyn Files>,
    changes: Changes,
    calls: u64,
    wall_ms: i64,
    published: Arc<Image>,
    answers: Vec<(u64, Decided)>,
    _dir: LogDir,
}

impl Rig {
    fn new() -> Self {
        Self::on(SimFiles::new(1))
    }

    fn on(sim: Rc<SimFiles>) -> Self {
        let files: Rc<dyn Files> = sim.clone();
        let dir = crate::metadata::fixtures::log_dir(&files, 1, "boot").unwrap();
        let leading = lead(&files, &dir, &Arc::new(Settings::of(&[])), &[9092], &mut numbers(), WALL_MS).unwrap();
        let published = Arc::clone(&leading.image);
        Self {
            sim,
            files,
            changes: Changes::new(leading),
            calls: 0,
            wall_ms: WALL_MS,
            published,
            answers: Vec::new(),
            _dir: dir,
        }
    }

    /// The broker is killed and starts again.
    fn restarted(self) -> Self {
        let sim = Rc::clone(&self.sim);
        drop(self);
        sim.heal();
        sim.set_space_bytes(None);
        Self::on(sim)
    }

    fn call(&mut self, call: Call) -> u64 {
        self.calls += 1;
        self.wall_ms += 1_000;
        let asker = (ShardId(0), self.calls);
        self.changes.call(asker, call, &mut numbers(), self.wall_ms);
        self.hear();
        self.calls
    }

    fn create(&mut self, name: &str) -> u64 {
        self.ask(name, false)
    }

    /// A call that changes nothing.
    fn look(&mut self, name: &str) -> u64 {
        self.ask(name, true)
    }

    fn ask(&mut self, name: &str, validate_only: bool) -> u64 {
        let topics = vec![topic(name, 1, &[])];
        self.call(Call::CreateTopics(CreateTopicsRequest { topics, validate_only, ..Default::default() }))
    }

    /// Syncs until nothing is due.
    fn sync(&mut self) {
        self.wall_ms += 1_000;
        while let Some(file) = self.changes.flush_due(self.wall_ms) {
            let result = self.files.sync(&file);
            self.changes.flushed(result);
            self.hear();
        }
        self.hear();
    }

    fn hear(&mut self) {
        if let Some(image) = self.changes.take_published() {
            self.published = image;
        }
        self.answers.extend(self.changes.take_answers().into_iter().map(|answer| (answer.asker.1, answer.outcome)));
    }

    /// The error and message of a call's answer; `None` while it waits. Twice would be a fault.
    fn answer(&self, call: u64) -> Option<(i16, String)> {
        let mut told = self.answers.iter().filter(|(answered, _)| *answered == call).map(|(_, outcome)| outcome);
        let outcome = told.next()?;
        assert!(told.next().is_none(), "call {call} was answered twice");
        Some(match outcome {
            Decided::Failed(refusal) => (refusal.code.0, refusal.message.clone()),
            Decided::CreateTopics(made) => {
                (made.topics[0].error_code, made.topics[0].error_message.clone().unwrap_or_default())
            }
            other => panic!("{other:?}"),
        })
    }

    fn error(&self, call: u64) -> Option<i16> {
        self.answer(call).map(|(code, _)| code)
    }

    fn is_published(&self, name: &str) -> bool {
        self.published.topic(name).is_some()
    }
}

#[test]
fn a_change_is_published_and_answered_when_it_is_on_the_disk() {
    let mut rig = Rig::new();
    let call = rig.create("t");
    assert_eq!((rig.error(call), rig.is_published("t")), (None, false));
    let again = rig.create("t");
    rig.sync();
    assert_eq!((rig.error(call), rig.is_published("t")), (Some(0), true));
    assert_eq!(rig.error(again), Some(36), "the second call saw the first");
}

/// On the old code the image was ahead of the log: the retry got TOPIC_ALREADY_EXISTS, and the topic was published.
#[test]
fn a_full_disk_refuses_the_change_and_leaves_the_cluster_as_it_was() {
    let mut rig = Rig::new();
    rig.sim.set_space_bytes(Some(40));
    let call = rig.create("t");
    let (code, message) = rig.answer(call).unwrap();
    assert_eq!(code, 56, "KAFKA_STORAGE_ERROR");
    assert!(message.contains("os error 28"), "{message}");
    let retry = rig.create("t");
    rig.sync();
    assert_eq!((rig.error(retry), rig.is_published("t")), (Some(56), false));

    rig.sim.set_space_bytes(None);
    let healed = rig.create("t");
    rig.sync();
    assert_eq!((rig.error(healed), rig.is_published("t")), (Some(0), true), "without a restart");
    let id = rig.published.topic("t").unwrap().id;
    let rig = rig.restarted();
    assert_eq!(rig.published.topic("t").map(|topic| topic.id), Some(id), "and a restart finds it");
}

#[test]
fn changes_that_were_written_before_the_disk_filled_are_answered() {
    let mut rig = Rig::new();
    let before = rig.create("before");
    rig.sim.set_space_bytes(Some(0));
    let call = rig.create("t");
    assert_eq!((rig.error(before), rig.error(call)), (None, Some(56)));
    rig.sync();
    assert_eq!(rig.error(before), Some(0), "opening the log again takes no room");
    rig.sim.set_space_bytes(None);
    let look = rig.look("before");
    rig.sync();
    assert_eq!(rig.error(look), Some(36));
    assert!(rig.is_published("before") && !rig.is_published("t"));
}

#[test]
fn a_sync_under_way_while_a_write_fails_still_counts() {
    let mut rig = Rig::new();
    let before = rig.create("before");
    let file = rig.changes.flush_due(rig.wall_ms).unwrap();
    rig.sim.set_space_bytes(Some(0));
    let call = rig.create("t");
    assert_eq!(rig.error(call), Some(56));
    rig.sim.set_space_bytes(None);
    let healed = rig.create("u");
    let result = rig.files.sync(&file);
    rig.changes.flushed(result);
    rig.sync();
    assert_eq!((rig.error(before), rig.is_published("before")), (Some(0), true));
    assert_eq!((rig.error(healed), rig.is_published("u"), rig.is_published("t")), (Some(0), true, false));
}

/// On the old code a call that changes nothing waited for ever for the sync that never came.
#[test]
fn a_failed_sync_refuses_everything_until_a_restart() {
    let mut rig = Rig::new();
    let waiting = [rig.create("t"), rig.look("u")];
    rig.sim.fail(Fault::nth(Op::Sync, 1, EIO));
    rig.sync();
    for call in waiting {
        let (code, message) = rig.answer(call).unwrap();
        assert_eq!((code, message.contains("os error 5")), (56, true), "{message}");
    }
    let later = [rig.create("t"), rig.look("u")];
    rig.sync();
    for call in later {
        let (code, message) = rig.answer(call).unwrap();
        assert_eq!((code, message.contains("at a restart")), (56, true), "{message}");
    }
    assert!(!rig.is_published("t"));
    let mut rig = rig.restarted();
    let call = rig.create("after");
    rig.sync();
    assert_eq!(rig.error(call), Some(0));
}

#[test]
fn a_passing_fault_of_any_write_is_over_with_its_cause() {
    for op in [Op::Write, Op::Open, Op::Rename] {
        let mut rig = Rig::new();
        rig.sim.fail(Fault::nth(op, 1, ENOSPC));
        let first = rig.create("t");
        rig.sync();
        rig.sim.heal();
        let second = rig.create("u");
        rig.sync();
        assert!(rig.error(first).is_some(), "{op:?}");
        assert_eq!((rig.error(second), rig.is_published("u")), (Some(0), true), "{op:?}");
        assert_eq!(rig.error(first) == Some(0), rig.is_published("t"), "{op:?}: what was refused is not published");
    }
}

/// On the old code the image stayed provisional, and no record was taken, until the next change of a topic.
#[test]
fn a_start_whose_flush_cannot_begin_at_first_counts_when_it_can() {
    const EMFILE: i32 = 24;
    let Rig { sim, .. } = Rig::new();
    sim.set_space_bytes(Some(0));
    let mut rig = Rig::on(sim);
    assert!(rig.changes.is_beginning() && rig.published.is_provisional());
    rig.sim.set_space_bytes(None);
    let vote = rig.changes.vote_due(rig.wall_ms).unwrap();
    vote.perform(&*rig.files).unwrap();
    rig.changes.voted(true, rig.wall_ms);
    rig.sim.fail(Fault::nth(Op::Open, 1, EMFILE).for_ever());
    rig.sync();
    assert!(rig.published.is_provisional() && rig.changes.is_held_up(), "no descriptor for the sync");
    rig.sim.heal();
    rig.sync();
    assert!(!rig.published.is_provisional() && !rig.changes.is_held_up());
}
