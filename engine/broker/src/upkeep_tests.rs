use std::path::Path;

use ringlog_io::process::{Memory, MemorySource};
use ringlog_io::sim::{Fault, Op, SimFiles};
use ringlog_io::{Clock, Files};
use ringlog_wire::messages::create_topics::CreateTopicsRequest;
use ringlog_wire::messages::delete_topics::DeleteTopicsRequest;

use super::*;
use crate::apply_image;
use crate::group_desk;
use crate::limits::{Budget, Means};
use crate::metadata::controller::{Call, Controller};
use crate::metadata::fixtures::{self, topic};
use crate::metadata::image::OFFSETS_TOPIC;
use crate::metadata::image::{Image, ShardId};
use crate::openings::checked;
use crate::settings::Settings;
use crate::submission::Submission;
use crate::tasks;

const EMFILE: i32 = 24;
const ENOSPC: i32 = 28;

struct Stopped;

impl Clock for Stopped {
    fn now(&self) -> Nanos {
        Nanos(1)
    }
    fn wall_ms(&self) -> i64 {
        1_800_000_000_000
    }
    fn read(&self) -> Nanos {
        Nanos(1)
    }
    fn random(&self) -> u64 {
        7
    }
}

fn shard(settings: Settings, files: Rc<dyn Files>, image: Arc<Image>) -> Broker {
    let memory = Memory { bytes: 1 << 30, source: MemorySource::Machine };
    let budget = Budget::share_out(
        &settings,
        &Means { memory, descriptors: 20_000, partitions: 0, dirty_background_bytes: None },
    )
    .unwrap();
    Broker::new(ShardId(0), (Arc::new(settings), budget), files, &Stopped, image)
}

/// A shard's state beside a controller whose every change is published at once.
struct Rig {
    sim: Rc<SimFiles>,
    controller: Controller,
    random: Box<dyn FnMut() -> u64>,
    broker: Broker,
}

impl Rig {
    fn new() -> Self {
        let sim = SimFiles::new(1);
        let files: Rc<dyn Files> = sim.clone();
        let settings = [("offsets.topic.num.partitions", "3"), ("log.dirs", "/log")];
        let (controller, proposal) = fixtures::start(Settings::of(&settings), None);
        sim.create_dir_all(Path::new("/log")).unwrap();
        let broker = shard(Settings::of(&settings), files, proposal.image);
        Self { sim, controller, random: Box::new(fixtures::numbers()), broker }
    }

    fn change(&mut self, call: Call) {
        let image = self.controller.handle(call, &mut self.random).image;
        self.controller.stand_on(Arc::clone(&image));
        apply_image::apply(&mut self.broker, image);
    }

    fn create(&mut self, name: &str, partitions: i32) {
        let topics = vec![topic(name, partitions, &[])];
        self.change(Call::CreateTopics(CreateTopicsRequest { topics, ..Default::default() }));
    }

    fn delete(&mut self, name: &str) {
        let topic_names = vec![name.to_owned()];
        self.change(Call::DeleteTopics(DeleteTopicsRequest { topic_names, ..Default::default() }, 5));
    }

    /// The timer's turns, as long as it is due at once. Gives how many.
    fn run(&mut self) -> usize {
        let mut turns = 0;
        self.broker.now.0 += 1;
        while let Some(timer) = self.broker.timers.take_due(self.broker.now) {
            match timer {
                Timer::Tasks => tasks::work(&mut self.broker),
                _ => work(&mut self.broker),
            }
            self.broker.now.0 += 1;
            turns += 1;
        }
        self.do_jobs();
        turns
    }

    /// What goes on beside the shard's thread.
    fn do_jobs(&mut self) {
        loop {
            let asked = self.broker.jobs.take_asked();
            if asked.is_empty() {
                break;
            }
            for asked in asked {
                let Submission::Run { job, token } = asked else { continue };
                let ended = self.broker.jobs.ended(token, job.perform(&*self.sim)).unwrap();
                if let Purpose::Check(key) = ended.purpose {
                    checked(&mut self.broker, key);
                }
            }
        }
    }

    /// Another run on what this one leaves.
    fn start_again(&mut self) {
        let image = Arc::clone(&self.broker.image);
        let files: Rc<dyn Files> = self.sim.clone();
        self.broker = shard(Settings::of(&[("log.dirs", "/log")]), files, image);
    }

    fn key(&self, name: &str, partition: i32) -> PartitionKey {
        PartitionKey { topic_id: self.broker.image.topic(name).unwrap().id, partition }
    }

    fn wait_for_retry(&mut self) {
        self.broker.now.0 += RETRY_NS_MAX;
        self.run();
    }

    fn error(&self, name: &str, partition: i32) -> ErrorCode {
        let topic = self.broker.image.topic(name).unwrap();
        self.broker.place(topic, partition).err().map_or(ErrorCode::NONE, |not_here| not_here.error)
    }

    fn folders(&self) -> usize {
        self.sim.list(Path::new("/log")).unwrap().len()
    }
}

/// On the old code all folders were made in one turn, in which nobody was served.
#[test]
fn thousands_of_partitions_are_made_and_removed_in_slices() {
    let mut rig = Rig::new();
    rig.create("t", 401);
    assert_eq!((rig.folders(), rig.error("t", 0)), (0, ErrorCode::LEADER_NOT_AVAILABLE));
    rig.broker.now.0 += 1;
    assert!(rig.broker.timers.take_due(rig.broker.now).is_some());
    work(&mut rig.broker);
    assert_eq!((rig.folders(), rig.error("t", 0)), (SLICE, ErrorCode::NONE));
    assert!(!rig.broker.upkeep.is_settled());
    assert_eq!(rig.run(), 401 / SLICE);
    assert_eq!((rig.folders(), rig.error("t", 400)), (401, ErrorCode::NONE));
    assert!(rig.broker.upkeep.is_settled());

    rig.delete("t");
    assert_eq!(rig.folders(), 401);
    assert_eq!(rig.run(), 401_usize.div_ceil(SLICE));
    assert_eq!(rig.folders(), 0);
}

#[test]
fn a_topic_that_is_made_again_at_once_gets_folders_of_its_own() {
    let mut rig = Rig::new();
    rig.create("t", 6);
    rig.run();
    let first = rig.broker.image.topic("t").unwrap().id;
    rig.delete("t");
    rig.create("t", 6);
    rig.run();
    let now = rig.broker.image.topic("t").unwrap().id;
    assert_ne!(first, now);
    for partition in 0..6 {
        let place = rig.broker.replicas.find(PartitionKey { topic_id: now, partition }).unwrap();
        assert_eq!(rig.broker.replicas.at(place).log().topic_id(), now);
    }
    assert_eq!(rig.folders(), 6);
}

#[test]
fn a_topic_that_is_deleted_before_its_turn_is_never_made() {
    let mut rig = Rig::new();
    rig.create("t", 40);
    rig.delete("t");
    rig.run();
    assert_eq!(rig.folders(), 0);
}

/// On the old code a partition whose folder could not be made stayed at KAFKA_STORAGE_ERROR until a restart.
#[test]
fn a_passing_failure_is_over_with_its_cause() {
    for (op, errno) in [(Op::Open, EMFILE), (Op::CreateDir, ENOSPC), (Op::Write, ENOSPC), (Op::Rename, ENOSPC)] {
        let mut rig = Rig::new();
        rig.sim.fail(Fault::nth(op, 1, errno).for_ever());
        rig.create("t", 10);
        rig.run();
        assert!(rig.broker.upkeep.is_settled(), "{op:?}: the controller's answer does not wait for what fails");
        assert_eq!(rig.error("t", 9), ErrorCode::KAFKA_STORAGE_ERROR, "{op:?}");
        rig.wait_for_retry();
        assert_eq!(rig.error("t", 9), ErrorCode::KAFKA_STORAGE_ERROR, "{op:?}");
        rig.sim.heal();
        rig.wait_for_retry();
        for partition in 0..10 {
            assert_eq!(rig.error("t", partition), ErrorCode::NONE, "{op:?}: {partition}");
        }
        assert_eq!(rig.broker.timers.next_deadline(), None, "{op:?}: nothing is left to try");
    }
}

/// On the old code the groups of a partition that could not be opened got NOT_COORDINATOR until a restart.
#[test]
fn the_offsets_topic_is_loaded_when_it_can_be() {
    let mut rig = Rig::new();
    rig.sim.fail(Fault::nth(Op::Open, 1, EMFILE).for_ever());
    rig.change(Call::AutoCreate(vec![OFFSETS_TOPIC.to_owned()]));
    rig.run();
    assert!((0..3).all(|partition| !rig.broker.groups.leads(partition)));
    rig.sim.heal();
    rig.wait_for_retry();
    assert!((0..3).all(|partition| rig.broker.groups.leads(partition)));
}

#[test]
fn the_offsets_topic_is_read_again_where_it_was_opened_and_could_not_be_read() {
    let mut rig = Rig::new();
    rig.change(Call::AutoCreate(vec![OFFSETS_TOPIC.to_owned()]));
    rig.run();
    let key = PartitionKey { topic_id: rig.broker.image.topic(OFFSETS_TOPIC).unwrap().id, partition: 1 };
    group_desk::unload(&mut rig.broker, 1);
    enqueue(&mut rig.broker, key);
    rig.run();
    assert!(rig.broker.groups.leads(1), "its log is open, its groups are not there");
}

#[test]
fn one_partition_that_cannot_be_opened_does_not_stop_the_start() {
    let mut rig = Rig::new();
    rig.create("t", 3);
    rig.run();
    rig.start_again();
    rig.sim.fail(Fault::nth(Op::List, 1, EMFILE));
    apply_image::load(&mut rig.broker, Startup::NewBoot, &BTreeMap::new());
    rig.do_jobs();
    let errors = [0, 1, 2].map(|partition| rig.error("t", partition));
    assert_eq!(errors, [ErrorCode::KAFKA_STORAGE_ERROR, ErrorCode::NONE, ErrorCode::NONE]);
    assert!(!rig.broker.upkeep.has_read_all(), "this run cannot say that all logs were checked");
    rig.wait_for_retry();
    assert_eq!(rig.error("t", 0), ErrorCode::NONE);
    assert!(rig.broker.upkeep.has_read_all());
}

/// On the old code every log was opened before the first request was answered.
#[test]
fn a_log_that_is_asked_for_is_opened_before_those_that_nobody_asked_for() {
    let mut rig = Rig::new();
    rig.create("t", 40);
    rig.run();
    rig.start_again();
    apply_image::load(&mut rig.broker, Startup::Clean, &BTreeMap::new());
    assert_eq!(rig.error("t", 0), ErrorCode::LEADER_NOT_AVAILABLE, "nothing is opened before the shard serves");
    let last = rig.key("t", 39);
    rig.broker.upkeep.unread.ask_for(last);
    rig.broker.upkeep.unread.wait_for(last, 7);
    let (mut opened, mut asked) = (Vec::new(), rig.broker.jobs.take_asked());
    while opened.last() != Some(&39) {
        let Submission::Run { job, token } = asked.remove(0) else { panic!("not a job") };
        let ended = rig.broker.jobs.ended(token, job.perform(&*rig.sim)).unwrap();
        let Purpose::Check(key) = ended.purpose else { panic!("{:?}", ended.purpose) };
        checked(&mut rig.broker, key);
        opened.push(key.partition);
        asked.append(&mut rig.broker.jobs.take_asked());
    }
    assert!(opened.len() <= crate::unread::CHECKS + 1, "{opened:?}");
    assert_eq!(rig.broker.upkeep.take_let_go().collect::<Vec<_>>(), [7]);
    assert_eq!(rig.error("t", 39), ErrorCode::NONE);
}

#[test]
fn a_topic_that_is_deleted_before_it_is_opened_leaves_no_folder() {
    for asks in [false, true] {
        let mut rig = Rig::new();
        rig.create("t", 12);
        rig.run();
        rig.start_again();
        apply_image::load(&mut rig.broker, Startup::SameBoot, &BTreeMap::new());
        rig.delete("t");
        if asks {
            // Some folders are being checked at that moment: they keep their names until that has ended.
            rig.broker.now.0 += 1;
            work(&mut rig.broker);
            assert_eq!(rig.folders(), 12);
        }
        rig.do_jobs();
        rig.run();
        rig.run();
        assert_eq!(rig.folders(), 0);
        assert!(rig.broker.upkeep.has_read_all() && rig.broker.upkeep.is_settled());
    }
}

#[test]
fn a_topic_that_is_made_again_before_it_was_opened_gets_folders_of_its_own() {
    let mut rig = Rig::new();
    rig.create("t", 12);
    rig.run();
    rig.start_again();
    apply_image::load(&mut rig.broker, Startup::SameBoot, &BTreeMap::new());
    rig.delete("t");
    rig.create("t", 12);
    rig.do_jobs();
    rig.run();
    rig.run();
    for partition in 0..12 {
        let place = rig.broker.replicas.find(rig.key("t", partition)).unwrap();
        assert_eq!(rig.broker.replicas.at(place).log().topic_id(), rig.key("t", partition).topic_id);
    }
    assert_eq!(rig.folders(), 12, "none was set aside");
}

#[test]
fn a_stop_before_all_is_opened_is_as_clean_as_the_one_before() {
    for (how, checks_end, is_clean) in [
        (Startup::Clean, true, true),
        (Startup::Clean, false, true),
        (Startup::SameBoot, true, false),
        (Startup::NewBoot, true, false),
    ] {
        let mut rig = Rig::new();
        rig.create("t", 12);
        rig.run();
        rig.broker.replicas.close(&mut rig.broker.news);
        rig.start_again();
        apply_image::load(&mut rig.broker, how, &BTreeMap::new());
        // The driver is let go: jobs that are under way end, and nobody hears of it.
        for asked in rig.broker.jobs.take_asked().into_iter().filter(|_| checks_end) {
            let Submission::Run { job, .. } = asked else { panic!("{asked:?}") };
            job.perform(&*rig.sim).unwrap();
        }
        assert_eq!(rig.broker.upkeep.are_as_closed(), is_clean, "{how:?}, checks end: {checks_end}");
    }
}
