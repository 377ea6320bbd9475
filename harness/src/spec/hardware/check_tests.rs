//! Each rule of the check, planted in a good profile: found at its line, with the values in its words.

use super::Entry;

const GOOD: &str = r#"schema = 1
name = "x"
what = "a machine"
kind = "vm"
lifecycle = "alpha"
as_of = 2026-08-22
cpu = { arch = "x86_64", threads = 8, cores = 4, ghz = 3.0 }
memory = { gib = 32.0 }
nic = { baseline_gbps = 2.5, burst_gbps = 10.0 }
volume_road = { baseline_mb_s = 300.0, burst_mb_s = 600.0 }
[[disk]]
name = "a"
media = "nvme"
size_gb = 1000.0
seq_read_mb_s = 1000.0
seq_write_mb_s = 500.0
rand_read_iops = 100000.0
fdatasync_us = { p50 = 30.0, p99 = 200.0 }
[[fact]]
fields = ["cpu.threads", "cpu.cores", "cpu.ghz", "memory.gib", "nic.baseline_gbps", "nic.burst_gbps",
  "volume_road.baseline_mb_s", "volume_road.burst_mb_s"]
quality = "vendor"
source = "a page"
date = 2026-08-22
[[fact]]
fields = ["disk.0.size_gb", "disk.0.seq_read_mb_s", "disk.0.seq_write_mb_s", "disk.0.rand_read_iops", "disk.0.fdatasync_us"]
quality = "vendor"
source = "a run"
date = 2026-08-20
"#;

/// The findings when one thing is said in place of another.
fn found(say: &str, in_place_of: &str) -> String {
    assert!(GOOD.contains(in_place_of), "{in_place_of} is not in the text");
    let error = Entry::read("x.toml", &GOOD.replacen(in_place_of, say, 1)).unwrap_err();
    error.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_good_profile_is_good() {
    assert_eq!(Entry::read("x.toml", GOOD).unwrap().profile.fact("disk.0.size_gb").unwrap().source, "a run");
}

#[test]
fn a_number_without_a_fact_with_two_and_a_fact_without_a_number_are_refused() {
    assert!(found("", "\"cpu.ghz\", ").starts_with("x.toml:7: cpu.ghz has no [[fact]]"));
    assert!(found("\"cpu.ghz\", \"cpu.ghz\", ", "\"cpu.ghz\", ").contains("has 2 facts"));
    assert!(found("\"memory.gb\"", "\"memory.gib\"").contains("the nearest is \"memory.gib\""));
    assert!(found("source = \"\"", "source = \"a page\"").contains("needs fields and a source"));
    assert!(
        found("date = 2027-01-01", "date = 2026-08-20").contains("a fact of 2027-01-01 in a profile as of 2026-08-22")
    );
}

#[test]
fn numbers_beyond_what_machines_are_like_are_refused() {
    for (say, in_place_of, expected) in [
        ("gib = 640000000.0", "gib = 32.0", "memory.gib is 640000000; machines have 0.1 to 65536"),
        ("gib = 0.001", "gib = 32.0", "memory.gib is 0.001; machines have"),
        ("size_gb = 1e30", "size_gb = 1000.0", "disk.0.size_gb is 1000000000000000000000000000000; machines have 1 to"),
        ("seq_write_mb_s = 65000.0", "seq_write_mb_s = 500.0", "65 times disk.0.seq_read_mb_s, which is 1000"),
        ("threads = 5000", "threads = 8", "cpu.threads is 5000; machines have"),
    ] {
        let words = found(say, in_place_of);
        assert!(words.contains(expected), "{say}: {words}");
    }
}

#[test]
fn values_that_contradict_each_other_are_refused_at_their_line() {
    let rules = [
        ("baseline_gbps = 25.0", "baseline_gbps = 2.5", "x.toml:9: nic.baseline_gbps is 25, above nic.burst_gbps"),
        ("baseline_mb_s = 700.0", "baseline_mb_s = 300.0", "above volume_road.burst_mb_s, which is 600"),
        (
            "seq_write_mb_s = 1500.0",
            "seq_write_mb_s = 500.0",
            "x.toml:16: disk.0.seq_write_mb_s is 1500, above disk.0.seq_read_mb_s",
        ),
        ("rand_read_iops = 1000000.0", "rand_read_iops = 100000.0", "more than its 1000 MB/s have room for"),
        ("p50 = 300.0", "p50 = 30.0", "p50 is 300, above p99, which is 200"),
        ("cores = 16", "cores = 4", "cpu.cores is 16, above cpu.threads, which is 8"),
        ("ghz = 3000.0", "ghz = 3.0", "clocks are 0.3 to 8 GHz"),
        ("gib = 0.0", "gib = 32.0", "memory.gib is 0; it must be above 0"),
        ("gib = nan", "gib = 32.0", "memory.gib is NaN; it must be above 0"),
        ("name = \"y\"", "name = \"x\"", "name is \"y\", the file is \"x\".toml"),
        ("schema = 7", "schema = 1", "this version reads 1"),
    ];
    for (say, in_place_of, expected) in rules {
        let found = found(say, in_place_of);
        assert!(found.contains(expected), "{say}: {found}");
    }
}

#[test]
fn a_disk_that_was_seen_to_write_faster_than_it_reads_does_so() {
    let text = GOOD.replacen("seq_write_mb_s = 500.0", "seq_write_mb_s = 1500.0", 1);
    assert!(Entry::read("x.toml", &text).is_err(), "a document's word");
    let text =
        text.replacen("quality = \"vendor\"\nsource = \"a run\"", "quality = \"measured\"\nsource = \"a run\"", 1);
    assert!(Entry::read("x.toml", &text).is_ok());
}

#[test]
fn what_a_probe_says_about_itself_needs_no_fact_and_may_be_zero() {
    let text = format!("{GOOD}[probe]\nseconds = 80.0\nsteal_share = 0.0\ndisturbed = []\n");
    assert!(Entry::read("x.toml", &text).is_ok());
}

#[test]
fn a_key_or_a_word_that_is_not_known_is_shown_with_what_is() {
    assert!(found("seq_wirte_mb_s", "seq_write_mb_s").contains("the nearest is \"seq_write_mb_s\""));
    assert!(found("media = \"floppy\"", "media = \"nvme\"").contains("unknown variant `floppy`"));
}
