//! A real probe of a second or so, and what is refused.

use super::*;
use crate::spec::hardware::Entry;

/// As short as it may be: every step gets about a hundredth of its time.
const SCALE: f64 = 0.012;

/// A folder on the disk that holds the sources: the system's for temporary files may be memory.
fn on_disk(name: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target").join(format!("{name}-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    dir
}

#[cfg(feature = "yardstick")]
#[test]
fn a_short_probe_writes_a_profile_that_the_check_accepts_and_leaves_no_file() {
    let dir = on_disk("probe-short");
    let probe = Probe { dir: dir.clone(), scale: SCALE };
    let mut told = Vec::new();
    let found = probe.run(|what, left| told.push((what.to_owned(), left))).unwrap();
    assert_eq!(told.len(), STEPS.len());
    assert!(told.windows(2).all(|it| it[0].1 > it[1].1), "the time that is left falls: {told:?}");
    assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 0);

    let text = profile_text("mine", &probe, &found).unwrap();
    let entry = Entry::read("mine.toml", &text).unwrap_or_else(|it| panic!("{it:?}\n{text}"));
    let profile = entry.profile;
    let disk = &profile.disk[0];
    assert_eq!(disk.fdatasync_parallel.iter().map(|it| it.files).collect::<Vec<_>>(), PARALLEL_FILES);
    for (what, value) in [
        ("crc32c", profile.cpu.crc32c_mb_s),
        ("copy", profile.memory.copy_mb_s),
        ("page cache", profile.memory.page_cache_again_mb_s),
        ("buffered", disk.buffered_read_mb_s),
        ("random", disk.rand_read_iops),
        ("fdatasync", disk.fdatasync_us.map(|it| it.p50)),
        ("loopback", profile.loopback.as_ref().map(|it| it.mb_s)),
        ("seconds", profile.probe.as_ref().map(|it| it.seconds)),
    ] {
        assert!(value.is_some_and(|it| it > 0.0), "{what}: {value:?}\n{text}");
    }
    // A copy reads and writes memory, lz4 looks for what it has seen: their order is the same on every machine.
    assert!(profile.cpu.lz4_mb_s > profile.cpu.zstd_mb_s, "{text}");
    std::fs::remove_dir_all(dir).unwrap();
}

#[test]
fn a_folder_that_is_none_is_refused_with_its_name() {
    let error = Probe { dir: "/nowhere/at/all".into(), scale: 1.0 }.check().unwrap_err().to_string();
    assert!(error.contains("/nowhere/at/all: there is no such folder"), "{error}");
}

#[test]
fn memory_is_no_disk() {
    let dir = Path::new("/dev/shm");
    if machine::path_facts(dir).file_system.as_deref() != Some("tmpfs") {
        return;
    }
    let error = Probe { dir: dir.to_owned(), scale: 1.0 }.check().unwrap_err().to_string();
    assert!(error.contains("is on tmpfs, which is memory"), "{error}");
}

#[test]
fn a_whole_probe_takes_less_than_two_minutes() {
    let whole: f64 = Probe { dir: PathBuf::new(), scale: 1.0 }.steps().map(|it| it.1).sum();
    assert!(whole < 100.0, "{whole} s, and what opening and waiting take beside");
}

#[test]
fn batches_are_the_same_everywhere_and_get_about_four_times_smaller() {
    let (one, other) = (processor::batches(), processor::batches());
    assert!(one == other);
    let small = zstd::bulk::compress(&one[0], 3).unwrap();
    let ratio = one[0].len() as f64 / small.len() as f64;
    assert!((3.0..5.5).contains(&ratio), "{ratio}");
}

#[test]
fn what_disturbs_is_named_by_the_step_that_it_disturbed() {
    let mut quiet = quiet::Quiet::default();
    let usage = |machine_ms: u64, steal_ms: u64| crate::host::Usage {
        wall_s: 1.0,
        machine_cpu_ns: Some(machine_ms * 1_000_000),
        steal_ms,
        ..Default::default()
    };
    let step = |what: &str| STEPS.iter().find(|it| it.what == what).unwrap();
    quiet.note(step("CRC32C"), &usage(50, 10));
    assert_eq!(quiet.disturbed, [""; 0], "5 % by others, 1 % of steal");
    quiet.note(step("the disk past the page cache"), &usage(800, 0));
    assert_eq!(quiet.disturbed, [""; 0], "the kernel's own work for a disk");
    quiet.note(step("lz4"), &usage(500, 100));
    assert_eq!(
        quiet.disturbed,
        ["lz4: the hypervisor took 10 % of a core", "lz4: others on this machine used 50 % of a core"]
    );
    let uneven = Rate { per_s: 100e6, least_per_s: 80e6, greatest_per_s: 110e6 };
    quiet.note_rates(&[("zstd", Some(uneven)), ("lz4", None)]);
    assert_eq!(quiet.disturbed.last().unwrap(), "zstd: between 80 and 110 MB/s within its own seconds");
}
