//! What is asked for, by which files it is limited, and, where we have the rights, whether the kernel does it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ringlog_io::cpu_time;

use super::asked::Limits;
use super::group::{Group, settings};
use super::means::{Controller, Quota};
use super::*;
use crate::client::properties::Properties;
use crate::results::tests::{scratch, write};
use crate::spec::hardware::{Catalogue, Profile, Quantiles};
use crate::target::Target;
use crate::yardstick::Mode;

fn asked(words: &str) -> Asked {
    Asked::parse(words).unwrap().unwrap()
}

fn refused(words: &str) -> String {
    Asked::parse(words).unwrap_err().to_string()
}

fn profile(name: &str) -> Profile {
    Catalogue::load(None).unwrap().get(name).unwrap().profile.clone()
}

fn ringlog() -> Target {
    Target::new("ringlog", Start::Ringlog { program: None })
}

fn kafka(nodes: u32) -> Target {
    Target::new("kafka", Start::Kafka { libs: PathBuf::from("/jars"), nodes })
}

#[test]
fn a_profile_is_what_lasts_on_it_and_keys_stand_over_it() {
    let limits = Limits::of(&profile("aws-t3-medium-gp3-125"));
    let of = |limit| limits.get(limit).unwrap();
    assert!((of(Limit::Cores) - 0.4).abs() < 1e-9, "a fifth of each of two threads");
    assert_eq!(of(Limit::MemoryGib), 3.0, "4 GiB less the operating system's");
    assert_eq!(
        (of(Limit::DiskWriteMbS), of(Limit::DiskWriteIops)),
        (43.375, 2000.0),
        "the road carries less than the disk"
    );
    assert_eq!((of(Limit::NetworkGbps), of(Limit::FdatasyncUs)), (0.256, 2600.0));
    assert_eq!(limits.sync.unwrap().p99, Some(20_000.0));

    let over = asked("aws-t3-medium-gp3-125, cores=0.5,network_gbps=native,fdatasync_us=900");
    assert_eq!((over.limits.get(Limit::Cores), over.limits.get(Limit::NetworkGbps)), (Some(0.5), None));
    assert_eq!(
        over.limits.sync.map(|it| (it.p50, it.p99)),
        Some((900.0, None)),
        "the profile's p99 is of another disk"
    );
    assert_eq!(over.native, ["network_gbps"]);

    let alone = asked("cores=0.5,disk_write_mb_s=40");
    assert_eq!((alone.profile, alone.limits.all().count()), (None, 2));
    assert_eq!(Asked::parse("native").unwrap(), None);
}

#[test]
fn words_that_say_nothing_are_named_with_what_would() {
    assert!(refused("core=1").contains("did you mean cores"), "{}", refused("core=1"));
    assert!(refused("cores=0").contains("cores=0: it must be a number from 0.05 to 1024, or native"));
    assert!(refused("memory_gib=x").contains("memory_gib=x"));
    assert!(
        refused("aws-t3-medium-gp3").contains("the nearest is aws-t3-medium-gp3-125"),
        "{}",
        refused("aws-t3-medium-gp3")
    );
    assert!(refused("cores=1,aws-t3-medium-gp3-125").contains("a profile's name or file comes first"));
    assert!(refused("/no/such.toml").contains("/no/such.toml"));
    assert!(refused("cores=native").contains("limits nothing"));
    assert!(refused("").contains("no KEY=VALUE"));
}

#[test]
fn a_faster_machine_a_remote_broker_and_a_heap_that_does_not_fit_are_refused() {
    let host = Host { cores: 2, memory_gib: Some(23.5), measured: None };
    let check =
        |words: &str, host: &Host, target: Target| asked(words).check(host, &[target]).map_err(|it| it.to_string());
    assert_eq!(check("cores=2,memory_gib=23", &host, ringlog()), Ok(()));
    let told = check("aws-i4i-2xlarge", &host, ringlog()).unwrap_err();
    assert!(
        told.contains("aws-i4i-2xlarge has cores 8, and this machine 2") && told.contains("cores=native"),
        "{told}"
    );
    let told = check("memory_gib=24", &host, ringlog()).unwrap_err();
    assert!(told.contains("memory_gib 24, and this machine 23.5"), "{told}");
    let told = check("cores=1", &host, kafka(3)).unwrap_err();
    assert!(told.contains("3 nodes of it, has cores 3"), "each node is a machine: {told}");
    let told = check("memory_gib=1", &host, kafka(1)).unwrap_err();
    assert!(told.contains("heap of 1024 MiB") && told.contains("memory_gib=1.25"), "{told}");
    let remote = Target::new("theirs", Start::Remote { client: Properties::new(), pids: Vec::new() });
    assert!(check("cores=1", &host, remote).unwrap_err().contains("theirs runs already"));

    // What a probe found is known too; more than it found is refused, less is not.
    let measured = Host { measured: Some(profile("2c-24g-ext4")), ..host.clone() };
    for (words, is_fine) in [
        ("disk_write_mb_s=1400", true),
        ("disk_write_mb_s=1401", false),
        ("disk_read_mb_s=5000", false),
        ("fdatasync_us=4032", true),
        ("fdatasync_us=4000", false),
    ] {
        assert_eq!(check(words, &measured, ringlog()).is_ok(), is_fine, "{words}");
        assert_eq!(check(words, &host, ringlog()), Ok(()), "{words}: nobody knows");
    }
}

#[test]
fn parts_of_cores_have_a_quota_in_short_periods_and_whole_ones_have_none() {
    assert_eq!(Quota::of(2.0), None);
    assert_eq!(Quota::of(0.5), Some(Quota { quota_us: 5000, period_us: 10_000 }));
    assert_eq!(Quota::of(1.5), Some(Quota { quota_us: 15_000, period_us: 10_000 }));
    assert_eq!(
        Quota::of(0.05),
        Some(Quota { quota_us: 1000, period_us: 20_000 }),
        "the kernel takes no less than 1 ms"
    );
}

/// A made-up tree with a controller each in version 1.
fn version_1(root: &Path) {
    let mounts = ["cpu", "cpuset", "memory", "blkio", "cpuacct"]
        .map(|it| format!("cgroup /sys/fs/cgroup/{it} cgroup rw,relatime,{it} 0 0\n"))
        .concat();
    write(root, "proc/self/mounts", &format!("/dev/vda / ext4 rw 0 0\n{mounts}"));
    write(root, "proc/self/cgroup", "7:blkio:/\n4:memory:/pod/1\n3:cpuset:/\n2:cpuacct:/\n1:cpu:/\n0::/\n");
    for name in ["cpu", "cpuset", "memory/pod/1", "blkio", "cpuacct"] {
        fs::create_dir_all(root.join("sys/fs/cgroup").join(name)).unwrap();
    }
    write(root, "sys/fs/cgroup/cpuset/cpuset.mems", "0\n");
}

/// Files and their texts, for a machine on this tree.
fn written(root: &Path, words: &str) -> Vec<(PathBuf, String)> {
    let asked = asked(words);
    let mut means = Means::find(&asked, root, &root.join("data")).unwrap();
    // Those of the machine that tests run on.
    (means.cpus, means.device) = (vec![0], "254:0".to_owned());
    let below = |base: &Path| base.strip_prefix(root.join("sys/fs/cgroup")).unwrap().to_owned();
    settings(&means, &asked.limits).into_iter().map(|(at, text)| (below(at.base).join(at.file), text)).collect()
}

fn as_words(of: &[(PathBuf, String)]) -> Vec<String> {
    of.iter().map(|(path, text)| format!("{} {text}", path.display())).collect()
}

#[test]
fn version_1_has_a_file_for_each_limit_in_each_controllers_own_tree() {
    let root = scratch("emulate-v1");
    version_1(&root);
    let found = written(&root, "cores=0.5,memory_gib=2");
    let expected = [
        "cpuset/cpuset.cpus 0",
        "cpuset/cpuset.mems 0",
        "cpu/cpu.cfs_period_us 10000",
        "cpu/cpu.cfs_quota_us 5000",
        "memory/pod/1/memory.limit_in_bytes 2147483648",
    ];
    assert_eq!(as_words(&found), expected);
    fs::remove_dir_all(root).unwrap();
}

#[test]
fn a_disk_has_a_file_for_each_rate_in_version_1_and_one_line_in_version_2() {
    let limits = asked("disk_write_mb_s=40,disk_read_mb_s=80,disk_write_iops=500").limits;
    let of = |version| {
        let base = PathBuf::from("/g");
        let controllers = vec![Controller { name: "io", version, base }];
        let means = Means { controllers, device: "254:0".to_owned(), ..Means::default() };
        settings(&means, &limits).into_iter().map(|(at, text)| format!("{} {text}", at.file)).collect::<Vec<_>>()
    };
    let expected = [
        "blkio.throttle.write_bps_device 254:0 40000000",
        "blkio.throttle.read_bps_device 254:0 80000000",
        "blkio.throttle.write_iops_device 254:0 500",
    ];
    assert_eq!(of(1), expected);
    assert_eq!(of(2), ["io.max 254:0 wbps=40000000 rbps=80000000 wiops=500"]);
}

#[test]
fn version_2_has_its_groups_beside_those_that_hold_processes_and_opens_the_way_to_them() {
    let root = scratch("emulate-v2");
    write(&root, "proc/self/mounts", "cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n");
    write(&root, "proc/self/cgroup", "0::/user.slice/session.scope\n");
    let file = |name: &str, text: &str| write(&root, &format!("sys/fs/cgroup/{name}"), text);
    file("cgroup.controllers", "cpuset cpu io memory\n");
    file("cgroup.procs", "1\n");
    file("user.slice/cgroup.type", "domain\n");
    file("user.slice/cgroup.procs", "");
    file("user.slice/cgroup.controllers", "cpu memory\n");
    file("user.slice/cgroup.subtree_control", "memory\n");
    file("user.slice/session.scope/cgroup.type", "domain\n");
    file("user.slice/session.scope/cgroup.procs", "7\n");
    file("user.slice/session.scope/cgroup.controllers", "cpu memory\n");
    let found = written(&root, "cores=0.5,memory_gib=0.5");
    let expected = ["cpuset.cpus 0", "cpu.max 5000 10000", "memory.max 536870912"];
    assert_eq!(
        as_words(&found),
        expected,
        "the nearest has no cpuset; the root of all may have groups beside its processes"
    );
    assert_eq!(as_words(&written(&root, "memory_gib=0.5")), ["user.slice/memory.max 536870912"]);

    file("user.slice/cgroup.controllers", "cpuset cpu memory\n");
    let asked = asked("memory_gib=0.5,cores=0.5");
    let means = Means::find(&asked, &root, &root).unwrap();
    let group = Group::create(&means, &asked.limits, "kafka 1").unwrap();
    let opened = fs::read_to_string(root.join("sys/fs/cgroup/user.slice/cgroup.subtree_control")).unwrap();
    assert_eq!(opened, "+cpuset +cpu", "memory is open already");
    let door = &group.doors()[0];
    assert!(
        door.to_string_lossy().contains("user.slice/ringlog-emulated-") && door.to_string_lossy().contains("-kafka-1/")
    );
    // Unlike a real group's, a made-up folder's files keep it from being removed.
    std::mem::forget(group);
    fs::remove_dir_all(root).unwrap();
}

#[test]
fn without_control_groups_it_is_refused_with_what_to_do() {
    let root = scratch("emulate-none");
    write(&root, "proc/self/mounts", "/dev/vda / ext4 rw 0 0\n");
    write(&root, "proc/self/cgroup", "0::/\n");
    let told = Means::find(&asked("cores=0.5"), &root, &root).unwrap_err().to_string();
    assert!(told.contains("no control groups are mounted") && told.contains("cores=native"), "{told}");
    write(&root, "proc/self/mounts", "cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n");
    let told = Means::find(&asked("memory_gib=1"), &root, &root).unwrap_err().to_string();
    assert!(told.contains("has the controller memory") && told.contains("Delegate=yes"), "{told}");
    fs::remove_dir_all(root).unwrap();
}

#[test]
fn a_group_that_may_not_be_made_names_folder_and_rights() {
    let root = scratch("emulate-rights");
    version_1(&root);
    let asked = asked("memory_gib=1");
    let means = Means::find(&asked, &root, &root).unwrap();
    fs::remove_dir_all(root.join("sys/fs/cgroup/memory")).unwrap();
    let told = Group::create(&means, &asked.limits, "x").unwrap_err().to_string();
    assert!(told.contains("sys/fs/cgroup/memory") && told.contains("be root"), "{told}");
    fs::remove_dir_all(root).unwrap();
}

#[test]
fn a_row_has_target_and_achieved_and_says_what_is_missing() {
    let asked = asked("cores=0.5,disk_write_mb_s=40,fdatasync_us=2600,network_gbps=native");
    let controllers = vec![Controller { name: "io", version: 2, base: PathBuf::from("/g") }];
    let means = Means { controllers, file_system: "ext4".to_owned(), ..Means::default() };
    let mut had = Had::default();
    had.extend([(Limit::Cores, 0.501), (Limit::DiskWriteMbS, 39.0), (Limit::FdatasyncUs, 2650.0)]);
    let host = Row { profile: "2c-24g-ext4".to_owned(), ..Row::default() };
    let row = AsHad { asked: &asked, means: &means, had: &had, of: None }.row(host.clone());
    assert_eq!((row.emulated_cores, row.achieved_cores), (Some(0.5), Some(0.501)));
    assert_eq!((row.emulated_fdatasync_us_p50, row.achieved_fdatasync_us_p50), (Some(2600.0), Some(2650.0)));
    assert_eq!((row.emulated_memory_gib, row.emulated_network_gbps), (None, None));
    assert_eq!(row.profile, "2c-24g-ext4,cores=0.5,disk_write_mb_s=40,fdatasync_us=2600,network_gbps=native");
    assert_eq!(row.fidelity, "emulated in part: network_gbps is this machine's");

    let of = |start: &Start, io: &str| {
        AsHad { asked: &asked, means: &means, had: &had, of: Some((start, Some(io))) }.fidelity()
    };
    let own = Start::Ringlog { program: None };
    assert!(of(&own, "io_uring").contains("fdatasync_us: io_uring goes around it"), "{}", of(&own, "io_uring"));
    assert!(!of(&own, "epoll").contains("fdatasync"), "{}", of(&own, "epoll"));
    assert!(!of(&Start::Null(Mode::Receive), "").contains("fdatasync"));

    had.extend([(Limit::DiskWriteMbS, 20.0), (Limit::Cores, 0.5)]);
    let slow = AsHad { asked: &asked, means: &means, had: &had, of: None };
    assert!(slow.fidelity().contains("disk_write_mb_s was 20 of 40"), "{}", slow.fidelity());
    assert!(slow.warnings()[1].contains("disk_write_mb_s is more than 15 % off"), "{:?}", slow.warnings());
    let first = Means { controllers: vec![Controller { version: 1, ..means.controllers[0].clone() }], ..means.clone() };
    had.extend([(Limit::DiskWriteMbS, 40.0)]);
    let told = AsHad { asked: &asked, means: &first, had: &had, of: None }.fidelity();
    assert!(told.contains("disk_write_mb_s: version 1 does not reach"), "{told}");
}

#[test]
fn a_key_that_is_there_twice_is_refused() {
    let told = Asked::parse("cores=1,memory_gib=1,cores=2").unwrap_err().to_string();
    assert!(told.contains("cores is there twice"), "{told}");
}

#[test]
fn a_dry_run_says_what_each_broker_goes_around() {
    let asked = asked("fdatasync_us=2600");
    let (means, had) = (Means::default(), Had::default());
    let would = |io| {
        let start = Start::Ringlog { program: None };
        AsHad { asked: &asked, means: &means, had: &had, of: None }.would(&[(&start, Some(io))])
    };
    assert!(would("io_uring").contains("io_uring goes around it: --io epoll is reached"), "{}", would("io_uring"));
    assert!(!would("epoll").contains("goes around"), "{}", would("epoll"));
}

#[test]
fn a_machine_that_is_faster_than_this_one_turned_out_to_be_is_refused() {
    let asked = asked("disk_write_mb_s=5000,cores=1,fdatasync_us=100");
    let means = Means::default();
    let check = |values: [(Limit, f64); 3]| {
        let mut had = Had::default();
        had.extend(values);
        AsHad { asked: &asked, means: &means, had: &had, of: None }.check().map_err(|it| it.to_string())
    };
    let of =
        |disk, cores, sync| check([(Limit::DiskWriteMbS, disk), (Limit::Cores, cores), (Limit::FdatasyncUs, sync)]);
    let told = of(900.0, 1.0, 100.0).unwrap_err();
    assert!(
        told.contains("disk_write_mb_s 5000") && told.contains("reached 900") && told.contains("ringlog probe"),
        "{told}"
    );
    assert!(of(4900.0, 1.0, 400.0).unwrap_err().contains("fdatasync_us 100"));
    assert_eq!(of(4900.0, 0.2, 110.0), Ok(()), "what others leave of the cores is no speed");
}

#[test]
fn quantiles_reach_the_library_as_shares() {
    let times = Quantiles { p50: 2600.0, p90: None, p99: Some(20_000.0), p999: None, max: Some(1e6) };
    assert_eq!(sync::points(&times), "0.5:2600 0.99:20000 1:1000000");
}

/// A group of this machine for a command; `None`, with a word, where we have no rights to make one.
fn real(words: &str, dir: &Path) -> Option<(Group, Within)> {
    let asked = asked(words);
    let made = Means::find(&asked, Path::new("/"), dir).and_then(|it| Group::create(&it, &asked.limits, "test"));
    match made {
        Ok(group) => {
            let within = Within { doors: group.doors(), environment: Vec::new() };
            Some((group, within))
        }
        Err(error) => {
            eprintln!("not tested here: {error}");
            None
        }
    }
}

/// A number of a group's file, in whichever of its folders has it.
fn number_of(group: &Group, file: &str, key: &str) -> u64 {
    let folders = group.doors().into_iter().filter_map(|it| it.parent().map(Path::to_owned));
    let texts = folders.filter_map(|it| fs::read_to_string(it.join(file)).ok());
    texts
        .flat_map(|it| it.lines().map(str::to_owned).collect::<Vec<_>>())
        .find_map(|it| it.strip_prefix(key)?.trim().parse().ok())
        .unwrap_or(0)
}

#[test]
fn a_busy_child_gets_half_of_a_core_and_its_group_goes_with_it() {
    let Some((group, within)) = real("cores=0.5", Path::new("/")) else { return };
    // Whatever else runs here, this comes first: only the quota holds it back.
    for (file, most) in [("cpu.shares", "262144"), ("cpu.weight", "10000")] {
        let places = group.doors().into_iter().map(|it| it.with_file_name(file));
        places.filter(|it| it.exists()).for_each(|it| fs::write(it, most).unwrap());
    }
    let begin = Instant::now();
    let mut child = within.command(Path::new("/bin/sh")).args(["-c", "while :; do :; done"]).spawn().unwrap();
    // The kernel's own count says that it was held back, however busy the machine is.
    while number_of(&group, "cpu.stat", "nr_throttled ") < 20 && begin.elapsed() < Duration::from_secs(30) {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(number_of(&group, "cpu.stat", "nr_throttled ") >= 20, "it was never held back");
    let (ran_ns, took) = (cpu_time::process_ns(child.id()).unwrap(), begin.elapsed());
    let share = ran_ns as f64 / took.as_nanos() as f64;
    assert!(share < 0.55, "{share} of a core");
    let folder = group.doors()[0].parent().unwrap().to_owned();
    assert!(folder.exists());
    drop(group);
    assert!(!folder.exists(), "it ends what is in it, and is removed");
    child.wait().unwrap();
}

#[test]
fn a_limited_disk_takes_no_more_than_it_may() {
    let dir = scratch("emulate-disk");
    let Some((group, within)) = real("disk_write_mb_s=16", &dir) else { return };
    let (begin, file) = (Instant::now(), dir.join("file"));
    let mut command = within.command(Path::new("/bin/dd"));
    command
        .args(["if=/dev/zero", "bs=1M", "count=24", "oflag=direct", "status=none"])
        .arg(format!("of={}", file.display()));
    assert!(command.status().unwrap().success());
    let took = begin.elapsed();
    // 25 MB; what a token bucket lets through at once is off the first.
    assert!(took > Duration::from_millis(1250), "{took:?} for 25 MB at 16 MB/s");
    assert_eq!(fs::metadata(&file).unwrap().len(), 24 << 20);
    drop(group);
    fs::remove_dir_all(dir).unwrap();
}

#[test]
fn groups_of_killed_runs_are_removed_and_those_in_use_stay() {
    let Some((group, _)) = real("memory_gib=1", Path::new("/")) else { return };
    let own = group.doors()[0].parent().unwrap().to_owned();
    let left = own.parent().unwrap().join(format!("ringlog-emulated-1-{}-left", std::process::id()));
    fs::create_dir(&left).unwrap();
    let Some((second, _)) = real("memory_gib=1", Path::new("/")) else { return };
    assert!(!left.exists(), "nobody held its lock");
    assert!(own.exists() && second.doors()[0].exists());
    assert_eq!(second.memory_gib(), Some(1.0));
}

#[test]
fn a_limited_loopback_carries_no_more_than_it_may() {
    let network = match Network::begin(0.2) {
        Ok(network) => network,
        Err(error) => return eprintln!("not tested here: {error}"),
    };
    let gbps = network.measured().unwrap();
    assert!(gbps < 0.23 && gbps > 0.0, "{gbps} Gb/s of 0.2");
}

#[test]
fn an_fsync_lasts_as_long_as_the_other_disks() {
    let dir = scratch("emulate-sync");
    let times = Quantiles { p50: 60_000.0, p90: None, p99: None, p999: None, max: None };
    let environment = match sync::environment(&times, &dir) {
        Ok(environment) => environment,
        Err(error) => return eprintln!("not tested here: {error}"),
    };
    write(&dir, "file", "text");
    let within = Within { doors: Vec::new(), environment };
    let begin = Instant::now();
    assert!(within.command(Path::new("/bin/sync")).arg("-d").arg(dir.join("file")).status().unwrap().success());
    assert!(begin.elapsed() >= Duration::from_millis(60), "{:?}", begin.elapsed());
    fs::remove_dir_all(dir).unwrap();
}

#[test]
fn a_place_that_cannot_be_entered_ends_the_command_with_its_name() {
    let within = Within { doors: vec![PathBuf::from("/no/such/cgroup.procs")], environment: Vec::new() };
    let output = within.command(Path::new("/bin/true")).output().unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("/no/such/cgroup.procs"));
}
