//! Background work in the turn: what tasks may do, and the first of them, the loading of `__consumer_offsets`.

use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;

use ringlog_io::sim::{Fault, Op, SimFiles};
use ringlog_io::{Files, Job};
use ringlog_wire::ErrorCode;
use ringlog_wire::messages::offset_commit::OffsetCommitRequest;
use ringlog_wire::messages::offset_fetch::OffsetFetchRequest;

use super::rig::{ClientId, Rig};
use super::{commit, committed};
use crate::group_desk;
use crate::limits::TASKS_RUNNING;
use crate::tasks::{self, About};

const ONE_PARTITION: [(&str, &str); 1] = [("offsets.topic.num.partitions", "1")];
const EIO: i32 = 5;

/// What tasks wrote down, in order.
type Diary = Rc<RefCell<Vec<String>>>;

fn vitals(rig: &Rig) -> (usize, usize) {
    let vitals = rig.shard.vitals();
    (vitals.tasks, vitals.tasks_running)
}

// --- the executor ----------------------------------------------------------------------------------------------------

#[test]
fn tasks_go_on_in_order_a_slice_each_turn_and_no_more_at_a_time_than_the_limit() {
    let mut rig = Rig::new(&[]);
    let diary = Diary::default();
    for name in 0..4 {
        let diary = Rc::clone(&diary);
        tasks::start(&mut rig.shard.broker, About::LoadOffsets(name), move |hand| async move {
            for step in 0..2 {
                let diary = Rc::clone(&diary);
                hand.on(move |broker| diary.borrow_mut().push(format!("{name}.{step} of {}", broker.tasks.running())))
                    .await;
                hand.turn().await;
            }
        });
    }
    assert_eq!((vitals(&rig), TASKS_RUNNING), ((4, 2), 2));
    assert_eq!(*diary.borrow(), [""; 0], "nothing is done before the turn");
    rig.run();
    let steps = ["0.0", "1.0", "0.1", "1.1", "2.0", "3.0", "2.1", "3.1"].map(|step| format!("{step} of 2"));
    assert_eq!(*diary.borrow(), steps);
    assert_eq!((vitals(&rig), rig.shard.broker.timers.is_set(crate::timers::Timer::Tasks)), ((0, 0), false));
}

#[test]
fn a_task_that_asks_and_asks_leaves_turns_to_the_others() {
    let mut rig = Rig::new(&[]);
    let diary = Diary::default();
    for (name, steps) in [(0, 1_000), (1, 1)] {
        let diary = Rc::clone(&diary);
        tasks::start(&mut rig.shard.broker, About::LoadOffsets(name), move |hand| async move {
            for _ in 0..steps {
                hand.on(|_| ()).await;
            }
            diary.borrow_mut().push(format!("{name} ends"));
        });
    }
    rig.run();
    assert_eq!(*diary.borrow(), ["1 ends", "0 ends"]);
}

#[test]
fn a_task_sleeps_and_waits_for_its_job() {
    let mut rig = Rig::new(&[]);
    let diary = Diary::default();
    let theirs = Rc::clone(&diary);
    tasks::start(&mut rig.shard.broker, About::LoadOffsets(0), move |hand| async move {
        let made = hand.run(Job::MakeFile { path: "/log/made".into(), allocate_bytes: 0 }).await;
        theirs.borrow_mut().push(format!("made: {}", made.is_ok_and(|file| file.is_some())));
        hand.sleep_ms(30).await;
        theirs.borrow_mut().push("slept".to_owned());
    });
    rig.holds_jobs = true;
    rig.run();
    assert_eq!(*diary.borrow(), [""; 0]);
    assert_eq!(rig.end_jobs(), 1);
    assert_eq!(*diary.borrow(), ["made: true"]);
    rig.pass_ms(29);
    assert_eq!(diary.borrow().len(), 1);
    rig.pass_ms(1);
    assert_eq!(*diary.borrow(), ["made: true", "slept"]);
}

#[test]
fn a_task_is_stopped_where_it_stands_by_itself_too_and_about_one_thing_there_is_one() {
    let mut rig = Rig::new(&[]);
    let diary = Diary::default();
    let about = About::LoadOffsets(0);
    for _ in 0..2 {
        let theirs = Rc::clone(&diary);
        tasks::start(&mut rig.shard.broker, about, move |hand| async move {
            theirs.borrow_mut().push("begins".to_owned());
            hand.on(move |broker| tasks::stop(broker, about)).await;
            theirs.borrow_mut().push("goes on".to_owned());
        });
    }
    assert_eq!(vitals(&rig), (1, 1));
    rig.run();
    assert_eq!((diary.borrow().clone(), Rc::strong_count(&diary)), (vec!["begins".to_owned()], 1));
    assert_eq!(vitals(&rig), (0, 0));
}

#[test]
fn what_a_stopped_task_had_asked_for_is_nobodys() {
    let mut rig = Rig::new(&[]);
    let about = About::LoadOffsets(0);
    let job = || Job::MakeFile { path: "/log/made".into(), allocate_bytes: 0 };
    tasks::start(&mut rig.shard.broker, about, move |hand| async move { drop(hand.run(job()).await) });
    rig.holds_jobs = true;
    rig.run();
    tasks::stop(&mut rig.shard.broker, about);
    tasks::start(&mut rig.shard.broker, about, |hand| async move { hand.sleep_ms(1_000).await });
    assert_eq!(rig.end_jobs(), 1);
    assert_eq!(vitals(&rig), (1, 1), "the one after it sleeps on");
    rig.pass_ms(1_000);
    assert_eq!(vitals(&rig), (0, 0));
}

#[test]
fn a_task_that_waits_for_something_else_is_dropped() {
    let mut rig = Rig::new(&[]);
    tasks::start(&mut rig.shard.broker, About::LoadOffsets(0), |_| std::future::pending());
    rig.run();
    assert_eq!(vitals(&rig), (0, 0));
}

// --- loading __consumer_offsets --------------------------------------------------------------------------------------

/// A disk with a topic, and so many commits of a group of it.
fn with_commits(commits: i64) -> Rc<SimFiles> {
    let mut rig = Rig::new(&ONE_PARTITION);
    let client = rig.connect();
    rig.create_topic(client, "t", 1, &[]);
    rig.create_topic(client, "__consumer_offsets", 1, &[]);
    for offset in 1..=commits {
        rig.send(client, &[commit(offset)]);
        let stored = rig.answer::<OffsetCommitRequest>(client, 7).expect("stored");
        assert_eq!(stored.topics[0].partitions[0].error_code, 0);
    }
    rig.files
}

/// The answer to OffsetFetch: its error, and the offset.
fn offset(rig: &mut Rig, client: ClientId) -> (ErrorCode, i64) {
    rig.send(client, &[committed()]);
    let found = rig.answer::<OffsetFetchRequest>(client, 5).expect("answered at once");
    let error = ErrorCode(found.error_code);
    (error, found.topics.first().map_or(-1, |topic| topic.partitions[0].committed_offset))
}

#[test]
fn groups_are_told_that_they_are_being_loaded_while_others_are_served() {
    let files = with_commits(300);
    let mut rig = Rig::with_held_reads(files, &ONE_PARTITION);
    let client = rig.connect();
    let mut pieces = 0;
    loop {
        assert_eq!(offset(&mut rig, client).0, ErrorCode::COORDINATOR_LOAD_IN_PROGRESS, "after {pieces} pieces");
        rig.send(client, &[commit(1_000)]);
        let refused = rig.answer::<OffsetCommitRequest>(client, 7).expect("refused at once");
        assert_eq!(refused.topics[0].partitions[0].error_code, ErrorCode::COORDINATOR_LOAD_IN_PROGRESS.0);
        assert_eq!(rig.latest(client, "t"), 0, "the rest of the shard is served");
        assert!(rig.end_read(), "a piece is under way");
        pieces += 1;
        if rig.shard.vitals().tasks == 0 {
            break;
        }
    }
    assert!(pieces > 5, "{pieces} pieces");
    assert_eq!(offset(&mut rig, client), (ErrorCode::NONE, 300));
    assert!(!rig.end_read());
}

#[test]
fn a_load_ends_where_leadership_moves() {
    let files = with_commits(300);
    let mut rig = Rig::with_held_reads(files, &ONE_PARTITION);
    let client = rig.connect();
    assert!(rig.end_read());
    assert_eq!(rig.shard.vitals().tasks, 1);
    group_desk::unload(&mut rig.shard.broker, 0);
    assert_eq!(rig.shard.vitals().tasks, 0);
    assert!(rig.end_read(), "what it had asked for comes, and is nobody's");
    assert!(!rig.end_read());
    assert_eq!(offset(&mut rig, client).0, ErrorCode::NOT_COORDINATOR);
}

#[test]
fn a_log_that_cannot_be_read_is_read_again_when_it_can_be() {
    let files = with_commits(300);
    let mut rig = Rig::with_held_reads(files, &ONE_PARTITION);
    let client = rig.connect();
    assert!(rig.end_read());
    rig.files.fail(Fault::nth(Op::Read, 1, EIO).for_ever());
    rig.end_read();
    assert_eq!(offset(&mut rig, client).0, ErrorCode::NOT_COORDINATOR);
    rig.files.heal();
    rig.pass_ms(5_000);
    assert_eq!(offset(&mut rig, client).0, ErrorCode::COORDINATOR_LOAD_IN_PROGRESS);
    while rig.end_read() {}
    assert_eq!(offset(&mut rig, client), (ErrorCode::NONE, 300));
}

#[test]
fn a_damaged_log_is_not_served_and_the_others_are() {
    let files = with_commits(50);
    let path = Path::new("/log/__consumer_offsets-0/00000000000000000000.log");
    let mut bytes = files.read(path).unwrap();
    bytes[200] ^= 1;
    files.replace(path, &bytes).unwrap();
    let mut rig = Rig::on(files, &ONE_PARTITION);
    let client = rig.connect();
    assert_eq!(offset(&mut rig, client).0, ErrorCode::NOT_COORDINATOR);
    assert_eq!(rig.latest(client, "t"), 0);
}

#[test]
fn an_empty_log_is_served_in_the_turn_that_opens_it() {
    let mut rig = Rig::new(&ONE_PARTITION);
    let client = rig.connect();
    rig.create_topic(client, "t", 1, &[]);
    rig.holds_reads = true;
    rig.create_topic(client, "__consumer_offsets", 1, &[]);
    assert_eq!(offset(&mut rig, client), (ErrorCode::NONE, -1));
}
