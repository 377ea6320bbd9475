//! Jobs: what may hold a thread is done beside it, and its end is an event.

#![allow(clippy::disallowed_methods, dead_code)]

mod rig;

use std::io::{ErrorKind, IoSlice};
use std::path::Path;
use std::sync::{Arc, Mutex};

use rig::{Rig, TestDir, noise, on_each};
use ringlog_io::job::Chore;
use ringlog_io::sim::SimFiles;
use ringlog_io::{File, Files, Job, OpenMode, OsFiles};

fn run(rig: &mut Rig, job: Job) -> std::io::Result<Option<File>> {
    rig.driver.run(job, 7);
    rig.job_done(7)
}

#[test]
fn a_file_is_made_empty_with_its_blocks_and_can_be_used() {
    on_each(|rig| {
        let dir = TestDir::new();
        let (path, files) = (dir.path().join("next"), rig.driver.files());
        std::fs::write(&path, b"left behind").expect("a file");
        let job = Job::MakeFile { path: path.clone(), allocate_bytes: 1 << 20 };
        let file = run(rig, job).expect("made").expect("open");
        assert_eq!(files.len(&file).expect("length"), 0);
        files.write_all_at(&file, &[IoSlice::new(b"new")], 0).expect("written");
        assert_eq!(std::fs::read(&path).expect("there"), b"new");
        let missing = Job::MakeFile { path: dir.path().join("no/where"), allocate_bytes: 0 };
        assert_eq!(run(rig, missing).expect_err("no folder").kind(), ErrorKind::NotFound);
    });
}

#[test]
fn a_folder_goes_with_all_that_is_in_it() {
    on_each(|rig| {
        let dir = TestDir::new();
        let doomed = dir.path().join("t-0-delete");
        std::fs::create_dir_all(doomed.join("inside")).expect("folders");
        std::fs::write(doomed.join("inside/a"), noise(100_000, 1)).expect("a file");
        assert!(run(rig, Job::RemoveDir { dir: doomed.clone() }).expect("removed").is_none());
        assert!(!doomed.exists());
        let error = run(rig, Job::RemoveDir { dir: doomed }).expect_err("gone");
        assert!(error.kind() == ErrorKind::NotFound && error.to_string().contains("t-0-delete"), "{error}");
    });
}

#[test]
fn small_files_are_replaced_and_many_jobs_end_each_in_its_event() {
    on_each(|rig| {
        let dir = TestDir::new();
        for n in 0..100 {
            let path = dir.path().join(format!("{n}"));
            rig.driver.run(Job::Replace { path, bytes: n.to_string().into_bytes() }, n);
        }
        for n in 0..100 {
            assert!(rig.job_done(n).expect("replaced").is_none());
            assert_eq!(std::fs::read(dir.path().join(format!("{n}"))).expect("there"), n.to_string().as_bytes());
        }
    });
}

#[test]
fn a_range_is_written_back_beside_the_thread() {
    on_each(|rig| {
        let dir = TestDir::new();
        let file = OsFiles::new().open(&dir.path().join("log"), OpenMode::CreateNew).expect("open");
        OsFiles::new().write_all_at(&file, &[IoSlice::new(&noise(1 << 20, 1))], 0).expect("written");
        rig.driver.write_back(&file, 0, 1 << 20, 3);
        rig.driver.write_back(&file, 4096, u64::from(u32::MAX) + 1, 4);
        drop(file);
        assert!(rig.job_done(3).expect("written").is_none());
        assert!(rig.job_done(4).expect("a range beyond the end").is_none());
    });
}

#[test]
fn a_driver_is_dropped_while_jobs_are_under_way() {
    on_each(|rig| {
        let dir = TestDir::new();
        for n in 0..50 {
            let path = dir.path().join(format!("{n}"));
            rig.driver.run(Job::Replace { path, bytes: noise(10_000, n) }, n);
        }
        rig.turn(std::time::Duration::ZERO);
    });
}

#[test]
fn the_double_does_the_same_jobs() {
    let sim = SimFiles::new(1);
    sim.create_dir_all(Path::new("/log/t-0")).expect("folder");
    let make = Job::MakeFile { path: "/log/t-0/next".into(), allocate_bytes: 100 };
    assert!(make.perform(&*sim).expect("made").is_some());
    let replace = Job::Replace { path: "/log/t-0/small".into(), bytes: b"x".to_vec() };
    assert!(replace.perform(&*sim).expect("replaced").is_none());
    assert_eq!(sim.read(Path::new("/log/t-0/small")).expect("there"), b"x");
    Job::RemoveDir { dir: "/log/t-0".into() }.perform(&*sim).expect("removed");
    assert!(!sim.exists(Path::new("/log/t-0")));
}

#[test]
fn a_chore_is_done_beside_the_thread_with_its_own_way_to_the_files() {
    on_each(|rig| {
        let dir = TestDir::new();
        let (path, kept) = (dir.path().join("long"), Arc::new(Mutex::new(Vec::new())));
        std::fs::write(&path, noise(300_000, 3)).expect("a file");
        let (theirs, from) = (Arc::clone(&kept), path.clone());
        let chore = Chore::new(move |files| {
            let file = files.open(&from, OpenMode::Read)?;
            let mut bytes = vec![0; 400_000];
            let read = files.read_once_at(&file, &mut bytes, 0)?;
            bytes.truncate(read);
            files.drop_cached(&file, 0, 0)?;
            *theirs.lock().expect("nobody panics") = bytes;
            Ok(())
        });
        assert!(run(rig, Job::Chore(chore.clone())).expect("done").is_none());
        assert_eq!(*kept.lock().expect("nobody panics"), noise(300_000, 3));
        std::fs::remove_file(&path).expect("gone");
        assert_eq!(run(rig, Job::Chore(chore)).expect_err("it is gone").kind(), ErrorKind::NotFound);
    });
}
