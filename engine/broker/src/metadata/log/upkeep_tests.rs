use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use ringlog_io::Files;
use ringlog_io::sim::SimFiles;
use ringlog_storage::LogDir;
use ringlog_wire::Uuid;
use ringlog_wire::messages::create_topics::CreateTopicsRequest;

use super::*;
use crate::metadata::changes::Changes;
use crate::metadata::controller::{Call, Decided};
use crate::metadata::fixtures::{numbers, topic};
use crate::metadata::ids::ShardId;
use crate::metadata::log::{LogError, lead, name};
use crate::metadata::snapshot;
use crate::settings::Settings;

const DIR: &str = "/log/__cluster_metadata-0";
/// A snapshot after every change, and nothing kept that can go.
const EAGER: [(&str, &str); 2] =
    [("metadata.log.max.record.bytes.between.snapshots", "1"), ("metadata.max.retention.bytes", "0")];

/// The desk's part in it: calls, syncs, jobs and checkpoint files, one after the other.
struct Rig {
    sim: Rc<SimFiles>,
    files: Rc<dyn Files>,
    dir: LogDir,
    changes: Changes,
    now: Nanos,
    /// Topics whose making was acknowledged.
    told: BTreeMap<String, Uuid>,
}

impl Rig {
    fn start(sim: &Rc<SimFiles>, settings: &[(&str, &str)], boot: &str) -> Result<Self, LogError> {
        let files: Rc<dyn Files> = sim.clone();
        let dir = crate::metadata::fixtures::log_dir(&files, 1, boot)?;
        let settings = Arc::new(Settings::of(settings));
        let leading = lead(&files, &dir, &settings, &[9092], &mut numbers(), 1_000)?;
        let told = leading.image.topics().map(|topic| (topic.name.to_string(), topic.id)).collect();
        Ok(Self { sim: Rc::clone(sim), files, dir, changes: Changes::new(leading), now: Nanos(1), told })
    }

    /// Makes a topic, and notes it where that was acknowledged.
    fn create(&mut self, name: &str) {
        let mut random = numbers();
        let seed = name.bytes().map(u64::from).sum::<u64>() + self.told.len() as u64;
        let request =
            CreateTopicsRequest { topics: vec![topic(name, 2, &[("retention.ms", "5")])], ..Default::default() };
        self.changes.call((ShardId(0), 1), Call::CreateTopics(request), &mut || random() ^ seed, 1_000);
        while let Some(file) = self.changes.flush_due(1_000) {
            let result = self.files.sync(&file);
            self.changes.flushed(result);
        }
        for answer in self.changes.take_answers() {
            if let Decided::CreateTopics(response) = answer.outcome {
                let made = response.topics.into_iter().filter(|topic| topic.error_code == 0);
                self.told.extend(made.map(|topic| (topic.name, topic.topic_id)));
            }
        }
    }

    /// All that is due beside the changes.
    fn keep_up(&mut self) {
        self.now.0 += 1;
        let files = Rc::clone(&self.files);
        if let (Some(job), _) = self.changes.snapshot_due(self.now, 1_000) {
            let result = job.perform(&*files);
            self.changes.log().snapshot_written(result.is_ok(), self.now, 1_000);
        }
        if self.changes.log().start_due() {
            let at = self.changes.log().checkpoint();
            let jobs = self.dir.checkpoint_jobs(&[(name(), at)].into());
            if jobs.iter().all(|job| job.perform(&*files).is_ok()) {
                self.changes.log().start_kept(at.log_start_offset);
            }
        }
        while let Some(job) = self.changes.log().aside_due() {
            let result = job.perform(&*files);
            self.changes.log().aside_done(result, 1_000);
        }
        for (_, job) in self.changes.log().removals() {
            drop(job.perform(&*files));
        }
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> =
            self.files.list(Path::new(DIR)).unwrap().into_iter().map(|entry| entry.name).collect();
        names.sort();
        names
    }
}

#[test]
fn a_start_reads_the_snapshot_and_what_came_after_it() {
    let sim = SimFiles::new(1);
    let mut rig = Rig::start(&sim, &EAGER[..1], "boot").unwrap();
    for name in ["a", "b", "c", "d", "e", "f", "g", "h"] {
        rig.create(name);
        rig.keep_up();
    }
    rig.create("i");
    let told = rig.told.clone();
    drop(rig);
    let mut rig = Rig::start(&sim, &[], "boot").unwrap();
    assert_eq!(rig.told, told);
    let ids = snapshot::list(&*rig.files, Path::new(DIR)).unwrap();
    assert_eq!(ids.len(), 8, "{ids:?}");
    assert_eq!(rig.changes.log().partition.log_start_offset(), 0, "100 MB may stay");
    let behind = rig.changes.log().log_bytes();
    let all = rig.changes.log().partition.size_bytes();
    assert!(behind * 2 < all, "{behind} of {all} bytes were read again, or written by this start");
}

#[test]
fn what_a_snapshot_stands_for_goes_and_the_rest_is_read_as_before() {
    let sim = SimFiles::new(1);
    let mut rig = Rig::start(&sim, &EAGER, "boot").unwrap();
    for name in ["a", "b", "c", "d"] {
        rig.create(name);
        rig.keep_up();
        rig.keep_up();
    }
    let end = rig.changes.log().end_offset();
    let names = rig.names();
    let of = |suffix: &str| names.iter().filter(|name| name.ends_with(suffix)).cloned().collect::<Vec<_>>();
    assert_eq!(of(".checkpoint"), [format!("{end:020}-0000000001.checkpoint")]);
    assert_eq!(of(".log"), [format!("{end:020}.log")], "{names:?}");
    assert_eq!(of(".deleted"), Vec::<String>::new());
    let told = rig.told.clone();
    assert_eq!(told.len(), 4);
    drop(rig);
    let rig = Rig::start(&sim, &EAGER, "boot").unwrap();
    assert_eq!(rig.told, told);
}

#[test]
fn what_a_kill_left_of_a_snapshot_is_removed_by_the_next_start() {
    let sim = SimFiles::new(1);
    let mut rig = Rig::start(&sim, &EAGER, "boot").unwrap();
    rig.create("a");
    let part = Path::new(DIR).join("00000000000000000009-0000000001.checkpoint.part");
    rig.files.replace(&part, b"half").unwrap();
    drop(rig);
    let mut rig = Rig::start(&sim, &EAGER, "boot").unwrap();
    rig.keep_up();
    assert!(!rig.files.exists(&part), "{:?}", rig.names());
}

/// The power goes at each change of the disk, from the first snapshot to the last removal; several disks that lose different
/// things. Whoever was told of a topic finds it.
#[test]
fn the_power_may_go_at_any_moment() {
    for seed in 0..6 {
        for changes in 0.. {
            let sim = SimFiles::new(seed);
            let mut rig = Rig::start(&sim, &EAGER, "boot 1").unwrap();
            rig.create("a");
            sim.cut_power_after(changes);
            for name in ["b", "c", "d"] {
                rig.keep_up();
                rig.create(name);
                rig.keep_up();
            }
            let (told, is_over) = (rig.told.clone(), sim.is_powered());
            drop(rig);
            sim.power_on();
            let mut rig = match Rig::start(&sim, &EAGER, "boot 2") {
                Ok(rig) => rig,
                Err(error) => panic!("seed {seed}, cut after {changes} changes: {error}"),
            };
            for (name, id) in &told {
                assert_eq!(rig.told.get(name), Some(id), "seed {seed}, cut after {changes} changes: {name}");
            }
            rig.create("e");
            rig.keep_up();
            let told = rig.told.clone();
            assert!(told.contains_key("e"));
            drop(rig);
            assert_eq!(Rig::start(&sim, &EAGER, "boot 2").unwrap().told, told);
            if is_over {
                assert!(changes > 30, "{changes} changes are few");
                break;
            }
        }
    }
}

#[test]
fn a_full_disk_costs_a_snapshot_and_nothing_else() {
    let sim = SimFiles::new(1);
    let mut rig = Rig::start(&sim, &EAGER, "boot").unwrap();
    rig.create("a");
    rig.sim.set_space_bytes(Some(100));
    rig.keep_up();
    assert!(rig.names().iter().all(|name| !name.contains(".checkpoint")), "{:?}", rig.names());
    rig.sim.set_space_bytes(None);
    rig.create("b");
    rig.keep_up();
    assert!(rig.names().iter().all(|name| !name.contains(".checkpoint")), "not before a minute is over");
    rig.now.0 += 61_000_000_000;
    rig.keep_up();
    let ids = snapshot::list(&*rig.files, Path::new(DIR)).unwrap();
    assert_eq!(ids.iter().map(|id| id.end_offset).collect::<Vec<_>>(), [rig.changes.log().end_offset()]);
}
