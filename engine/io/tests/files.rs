//! Files: what holds for the operating system's and for the double alike, and what only the double can show.

#![allow(clippy::disallowed_methods, dead_code, clippy::unwrap_used)]

mod rig;

use std::io::{ErrorKind, IoSlice};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use rig::{TestDir, noise};
use ringlog_io::sim::{Fault, Op, SimFiles};
use ringlog_io::{Buf, Files, OpenMode, OsFiles, Residency, errno};

/// Runs a test on both, each with an empty folder.
fn on_both(test: impl Fn(&dyn Files, &Path)) {
    let dir = TestDir::new();
    test(&OsFiles::new(), dir.path());
    let sim = SimFiles::new(1);
    sim.create_dir_all(Path::new("/sim")).expect("folder");
    test(&*sim, Path::new("/sim"));
}

fn write(files: &dyn Files, path: &Path, bytes: &[u8]) {
    let file = files.open(path, OpenMode::Create).expect("open");
    files.write_all_at(&file, &[IoSlice::new(bytes)], 0).expect("write");
}

#[test]
fn parts_are_written_one_after_the_other() {
    on_both(|files, dir| {
        let file = files.open(&dir.join("a"), OpenMode::CreateNew).expect("open");
        let bytes = noise(3000 * 7, 1);
        let mut parts: Vec<IoSlice<'_>> = bytes.chunks(7).map(IoSlice::new).collect();
        parts.insert(0, IoSlice::new(&[]));
        parts.push(IoSlice::new(&[]));
        files.write_all_at(&file, &parts, 5).expect("write");
        files.write_all_at(&file, &[], 5).expect("nothing");
        assert_eq!(files.len(&file).expect("len"), 5 + 21_000);
        let mut got = vec![1; 30_000];
        assert_eq!(files.read_at(&file, &mut got, 0).expect("read"), 21_005);
        assert_eq!(got[..5], [0; 5]);
        assert!(got[5..21_005] == bytes[..]);
        assert_eq!(files.read_at(&file, &mut got, 21_005).expect("at the end"), 0);
        assert_eq!(files.read_resident_at(&file, &mut got[..100], 5).expect("just written"), 100);
        assert!(got[..100] == bytes[..100]);
        let mut buf = Buf::from(Vec::with_capacity(50));
        buf.vec().extend_from_slice(b"head");
        assert_eq!(files.read_resident(&file, &mut buf, 5, 1000).expect("as much as there is room"), 46);
        assert_eq!(buf[4..], bytes[..46]);
    });
}

#[test]
fn open_modes_mean_what_they_say() {
    on_both(|files, dir| {
        let path = dir.join("a");
        assert_eq!(files.open(&path, OpenMode::Read).expect_err("missing").kind(), ErrorKind::NotFound);
        assert_eq!(files.open(&path, OpenMode::Write).expect_err("missing").kind(), ErrorKind::NotFound);
        files.open(&path, OpenMode::Create).expect("made");
        files.open(&path, OpenMode::Create).expect("there already");
        assert_eq!(files.open(&path, OpenMode::CreateNew).expect_err("there").kind(), ErrorKind::AlreadyExists);
        let reader = files.open(&path, OpenMode::Read).expect("there");
        let error = files.write_all_at(&reader, &[IoSlice::new(b"x")], 0).expect_err("opened for reading");
        assert_eq!(errno(&error), Some(libc::EBADF));
        assert!(error.to_string().contains(&path.display().to_string()), "{error}");
    });
}

#[test]
fn folders_list_rename_and_vanish() {
    on_both(|files, dir| {
        let inner = dir.join("x/y");
        files.create_dir_all(&inner).expect("folders");
        files.create_dir_all(&inner).expect("again");
        write(files, &inner.join("f"), b"1");
        files.rename(&dir.join("x"), &dir.join("z")).expect("rename");
        assert!(!files.exists(&inner));
        assert_eq!(files.read(&dir.join("z/y/f")).expect("moved along"), b"1");
        let entries = files.list(dir).expect("list");
        assert_eq!(entries.len(), 1);
        assert!(entries[0].is_dir && entries[0].name == "z");
        files.sync_dir(dir).expect("sync");
        files.remove_dir_all(&dir.join("z")).expect("remove");
        assert!(files.list(dir).expect("list").is_empty());
        for error in [
            files.list(&dir.join("no")).map(drop).expect_err("missing"),
            files.sync_dir(&dir.join("no")).expect_err("missing"),
            files.remove_file(&dir.join("no")).expect_err("missing"),
            files.remove_dir_all(&dir.join("no")).expect_err("missing"),
            files.rename(&dir.join("no"), &dir.join("yes")).expect_err("missing"),
            files.read(&dir.join("no")).map(drop).expect_err("missing"),
        ] {
            assert_eq!(error.kind(), ErrorKind::NotFound);
            assert!(error.to_string().contains("no"), "{error}");
        }
    });
}

#[test]
fn replacing_leaves_the_new_content_and_nothing_else() {
    on_both(|files, dir| {
        let path = dir.join("note");
        files.replace(&path, b"a longer first").expect("first");
        files.replace(&path, b"second").expect("second");
        assert_eq!(files.read(&path).expect("read"), b"second");
        assert_eq!(files.list(dir).expect("list").len(), 1);
    });
}

#[test]
fn a_lock_is_held_until_its_file_is_dropped() {
    on_both(|files, dir| {
        let path = dir.join(".lock");
        let lock = files.lock(&path).expect("free");
        assert_eq!(files.lock(&path).expect_err("held").kind(), ErrorKind::WouldBlock);
        drop(lock);
        files.lock(&path).expect("free again");
    });
}

#[test]
fn truncating_cuts_and_extends_with_zeroes() {
    on_both(|files, dir| {
        let file = files.open(&dir.join("a"), OpenMode::Create).expect("open");
        files.write_all_at(&file, &[IoSlice::new(b"abcdef")], 0).expect("write");
        files.truncate(&file, 3).expect("cut");
        files.truncate(&file, 5).expect("extend");
        assert_eq!(files.read(&dir.join("a")).expect("read"), b"abc\0\0");
        files.allocate(&file, 0, 1 << 20).expect("allocate");
        assert_eq!(files.len(&file).expect("len"), 5);
        files.sync(&file).expect("sync");
        files.start_writeback(&file, 0, 5).expect("write-back");
    });
}

/// Where the kernel can say (not on tmpfs, whose pages are nowhere else).
#[test]
fn clean_pages_of_a_range_are_dropped_and_the_others_stay() {
    const HALF: u64 = 256 << 10;
    let dir = TestDir::new();
    let files = OsFiles::new();
    let path = dir.path().join("a");
    let bytes = noise(2 * HALF as usize - 100, 1);
    write(&files, &path, &bytes);
    let file = files.open(&path, OpenMode::Write).expect("open");
    files.drop_cached(&file, HALF, HALF).expect("dirty pages");
    assert_eq!(files.read(&path).expect("dirty pages stay"), bytes);
    files.sync(&file).expect("sync");
    files.drop_cached(&file, HALF, HALF).expect("clean pages");
    if files.residency(&file, HALF, HALF - 100) == Residency::Partial {
        assert_eq!(files.residency(&file, 0, HALF), Residency::Whole);
        let dropped = files.read_resident_at(&file, &mut [0; 100], 2 * HALF - 200);
        assert_eq!(dropped.expect_err("its last page too").kind(), ErrorKind::WouldBlock);
    }
    assert_eq!(files.read(&path).expect("read again"), bytes);
}

#[test]
fn what_was_just_written_is_resident() {
    on_both(|files, dir| {
        let file = files.open(&dir.join("a"), OpenMode::Create).expect("open");
        files.write_all_at(&file, &[IoSlice::new(&noise(100_000, 1))], 0).expect("write");
        assert_ne!(files.residency(&file, 100, 99_000), Residency::Partial);
        assert_ne!(files.residency(&file, 0, 0), Residency::Partial);
    });
}

#[test]
fn what_was_dropped_from_the_cache_is_not_resident() {
    let dir = TestDir::new();
    let files = OsFiles::new();
    let path = dir.path().join("a");
    let file = files.open(&path, OpenMode::Create).expect("open");
    files.write_all_at(&file, &[IoSlice::new(&noise(1 << 20, 1))], 0).expect("write");
    files.sync(&file).expect("sync");
    let std_file = std::fs::File::open(&path).expect("open");
    // SAFETY: posix_fadvise takes integers.
    unsafe { libc::posix_fadvise(std::os::fd::AsRawFd::as_raw_fd(&std_file), 0, 0, libc::POSIX_FADV_DONTNEED) };
    if files.residency(&file, 0, 1 << 20) == Residency::Partial {
        let mut buf = vec![0; 4096];
        let error = files.read_resident_at(&file, &mut buf, 512 << 10).expect_err("cold");
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
    }
}

fn sim() -> (Rc<SimFiles>, PathBuf) {
    let sim = SimFiles::new(7);
    sim.create_dir_all(Path::new("/log")).expect("folder");
    sim.settle();
    (sim, PathBuf::from("/log"))
}

#[test]
fn the_nth_call_fails_with_the_errno_that_was_asked_for() {
    let (sim, dir) = sim();
    sim.fail(Fault::nth(Op::Write, 2, libc::EIO));
    sim.fail(Fault::nth(Op::Open, 2, libc::EMFILE));
    let file = sim.open(&dir.join("a"), OpenMode::Create).expect("first open");
    assert_eq!(errno(&sim.open(&dir.join("b"), OpenMode::Create).expect_err("second")), Some(libc::EMFILE));
    sim.write_all_at(&file, &[IoSlice::new(b"1")], 0).expect("first write");
    assert_eq!(errno(&sim.write_all_at(&file, &[IoSlice::new(b"2")], 1).expect_err("second")), Some(libc::EIO));
    sim.write_all_at(&file, &[IoSlice::new(b"3")], 1).expect("third");
    assert_eq!(sim.read(&dir.join("a")).expect("read"), b"13");
    sim.fail(Fault::nth(Op::Rename, 1, libc::EACCES).for_ever());
    for _ in 0..3 {
        assert!(sim.rename(&dir.join("a"), &dir.join("b")).is_err());
    }
    sim.heal();
    sim.rename(&dir.join("a"), &dir.join("b")).expect("healed");
}

#[test]
fn a_torn_write_leaves_its_beginning() {
    let (sim, dir) = sim();
    let file = sim.open(&dir.join("a"), OpenMode::Create).expect("open");
    sim.fail(Fault::torn_write(1, 3, libc::EIO));
    sim.write_all_at(&file, &[IoSlice::new(b"ab"), IoSlice::new(b"cd")], 0).expect_err("torn");
    assert_eq!(sim.read(&dir.join("a")).expect("read"), b"abc");
}

#[test]
fn a_full_disk_takes_what_fits() {
    let (sim, dir) = sim();
    let file = sim.open(&dir.join("a"), OpenMode::Create).expect("open");
    sim.set_space_bytes(Some(5));
    sim.write_all_at(&file, &[IoSlice::new(b"abc")], 0).expect("fits");
    let error = sim.write_all_at(&file, &[IoSlice::new(b"defg")], 3).expect_err("full");
    assert_eq!(error.kind(), ErrorKind::StorageFull);
    assert_eq!(sim.read(&dir.join("a")).expect("read"), b"abcde");
    sim.set_space_bytes(None);
    sim.write_all_at(&file, &[IoSlice::new(b"defg")], 3).expect("room again");
}

#[test]
fn a_read_only_disk_refuses_changes_and_reads_on() {
    let (sim, dir) = sim();
    write(&*sim, &dir.join("a"), b"x");
    sim.set_read_only(true);
    assert_eq!(errno(&sim.open(&dir.join("b"), OpenMode::Create).expect_err("ro")), Some(libc::EROFS));
    assert_eq!(errno(&sim.open(&dir.join("a"), OpenMode::Write).expect_err("ro")), Some(libc::EROFS));
    assert_eq!(errno(&sim.replace(&dir.join("c"), b"").expect_err("ro")), Some(libc::EROFS));
    assert_eq!(sim.read(&dir.join("a")).expect("read"), b"x");
}

#[test]
fn a_crash_keeps_what_was_synced_whatever_the_seed() {
    for seed in 0..200 {
        let sim = SimFiles::new(seed);
        sim.create_dir_all(Path::new("/log")).expect("folder");
        sim.sync_dir(Path::new("/")).expect("sync");
        let path = Path::new("/log/a");
        let file = sim.open(path, OpenMode::Create).expect("open");
        sim.sync_dir(Path::new("/log")).expect("sync");
        sim.write_all_at(&file, &[IoSlice::new(&[1; 3000])], 0).expect("write");
        sim.sync(&file).expect("sync");
        sim.write_all_at(&file, &[IoSlice::new(&[2; 3000])], 3000).expect("write");
        sim.crash();
        assert_eq!(errno(&sim.sync(&file).expect_err("power is off")), Some(libc::EIO));
        sim.power_on();
        assert_eq!(errno(&sim.sync(&file).expect_err("of the boot before")), Some(libc::EIO));
        let left = sim.read(path).expect("its entry was synced");
        assert!(left.len() >= 3000 && left.len() <= 6000, "{} bytes", left.len());
        assert!(left[..3000].iter().all(|byte| *byte == 1), "seed {seed}");
        assert!(left[3000..].iter().all(|byte| *byte == 0 || *byte == 2), "seed {seed}");
    }
}

#[test]
fn crashes_lose_keep_and_tear_what_was_not_synced() {
    let (mut lost, mut kept, mut torn) = (0, 0, 0);
    for seed in 0..200 {
        let sim = SimFiles::new(seed);
        write(&*sim, Path::new("/a"), &[]);
        sim.settle();
        write(&*sim, Path::new("/a"), &[9; 5000]);
        sim.power_on();
        let left = sim.read(Path::new("/a")).expect("read");
        match left.iter().filter(|byte| **byte == 9).count() {
            0 => lost += 1,
            5000 => kept += 1,
            _ => torn += 1,
        }
    }
    assert!(lost > 20 && kept > 20 && torn > 20, "{lost} lost, {kept} kept, {torn} torn");
}

#[test]
fn entries_and_renames_that_were_not_synced_may_be_gone() {
    let (mut gone, mut there) = (0, 0);
    for seed in 0..100 {
        let sim = SimFiles::new(seed);
        write(&*sim, Path::new("/old"), b"x");
        sim.settle();
        sim.rename(Path::new("/old"), Path::new("/new")).expect("rename");
        sim.power_on();
        assert_ne!(sim.exists(Path::new("/old")), sim.exists(Path::new("/new")), "a rename is whole or not at all");
        if sim.exists(Path::new("/new")) { there += 1 } else { gone += 1 }
    }
    assert!(gone > 10 && there > 10, "{gone} gone, {there} there");
}

#[test]
fn a_replace_is_whole_or_not_at_all_at_every_power_cut() {
    for seed in 0..20 {
        for changes in 0..20 {
            let sim = SimFiles::new(seed);
            sim.create_dir_all(Path::new("/log")).expect("folder");
            sim.settle();
            sim.replace(Path::new("/log/note"), b"before").expect("replace");
            sim.cut_power_after(changes);
            let result = sim.replace(Path::new("/log/note"), b"and after");
            sim.power_on();
            let left = sim.read(Path::new("/log/note")).expect("always there");
            match result {
                Ok(()) => assert_eq!(left, b"and after"),
                Err(_) => assert!(left == b"before" || left == b"and after", "{left:?}"),
            }
        }
    }
}

#[test]
fn a_failed_sync_has_lost_its_bytes_for_good() {
    let (sim, dir) = sim();
    let file = sim.open(&dir.join("a"), OpenMode::Create).expect("open");
    sim.sync_dir(&dir).expect("sync");
    sim.write_all_at(&file, &[IoSlice::new(b"lost")], 0).expect("write");
    sim.fail(Fault::nth(Op::Sync, 1, libc::EIO));
    sim.sync(&file).expect_err("failed");
    sim.sync(&file).expect("the next one succeeds and has nothing to write");
    sim.power_on();
    assert!(sim.read(&dir.join("a")).expect("read").is_empty());
}

#[test]
fn the_same_seed_gives_the_same_disk() {
    let run = |seed| {
        let sim = SimFiles::new(seed);
        for name in ["/a", "/b", "/c"] {
            write(&*sim, Path::new(name), &noise(4000, 3));
        }
        sim.power_on();
        let names: Vec<String> = sim.list(Path::new("/")).unwrap().into_iter().map(|entry| entry.name).collect();
        let bytes: Vec<Vec<u8>> = names.iter().map(|name| sim.read(&Path::new("/").join(name)).unwrap()).collect();
        (names, bytes)
    };
    for seed in 0..20 {
        assert_eq!(run(seed), run(seed));
    }
}
