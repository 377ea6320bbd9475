//! The published examples, method by method, and what a plan must not do.

use super::ask::Ask;
use super::demand::Input;
use super::interval::Interval;
use super::model::Model;
use super::size::Resource;
use super::{Plan, machine, plan, reverse};
use crate::spec::hardware::{Catalogue, Profile};

fn known(it: f64) -> Option<Interval> {
    Some(Interval::known(it))
}

/// 1,000,000 users, 100 records a day of 1 KB, twenty times as much at the peak, two replicas, three days.
fn handbook() -> Ask {
    Ask {
        users: known(1e6),
        records_per_user_day: known(100.0),
        record_bytes: known(1000.0),
        peak_factor: known(20.0),
        replicas: Some(2),
        retention_days: known(3.0),
        ..Ask::default()
    }
}

/// 300 MB/s all the time, three replicas, seven days, two groups.
fn worked() -> Ask {
    Ask {
        records_per_s: known(300_000.0),
        record_bytes: known(1000.0),
        replicas: Some(3),
        retention_days: known(7.0),
        groups: Some(2),
        ..Ask::default()
    }
}

fn plan_of(ask: &Ask, names: &[&str]) -> Plan {
    let all = Catalogue::load(None).unwrap();
    let profiles: Vec<&Profile> = names.iter().map(|it| &all.get(it).unwrap().profile).collect();
    plan(&ask.resolve().unwrap(), &Model::published(), None, (&profiles, None), 1)
}

/// What a method says on a profile.
fn says(ask: &Ask, profile: &str, method: &str, of: &str) -> f64 {
    answer(ask, profile, method, of).value.unwrap()
}

fn formula(ask: &Ask, profile: &str, method: &str, of: &str) -> String {
    answer(ask, profile, method, of).formula
}

fn answer(ask: &Ask, profile: &str, method: &str, of: &str) -> super::methods::Answer {
    let all = Catalogue::load(None).unwrap();
    let question = ask.resolve().unwrap();
    let sure = Interval::known(1.0);
    let inputs = super::draws::mids(&super::demand::intervals(&question, &Model::published(), sure, sure));
    let demand = super::demand::Demand::of(&question, &inputs);
    let answers = super::methods::all(&question, &demand, Some(&all.get(profile).unwrap().profile));
    answers.into_iter().find(|it| it.method == method && it.of == of).unwrap()
}

fn near(found: f64, expected: f64) {
    assert!((found / expected - 1.0).abs() < 0.01, "{found}, not {expected}");
}

#[test]
fn the_handbooks_example_gets_its_three_servers_and_about_a_terabyte() {
    let says = |of| says(&handbook(), "handbook-1gbe-hdd", "handbook", of);
    assert_eq!(says("servers"), 3.0);
    near(says("disk"), 857.0);
    assert_eq!([says("num.io.threads"), says("num.network.threads"), says("num.replica.fetchers")], [16.0, 11.0, 5.0]);
    let plan = plan_of(&handbook(), &["handbook-1gbe-hdd"]);
    near(plan.demand.produced_mb_s, 23.15);
    assert_eq!(plan.fits[0].sized.brokers, 3, "ours agrees here: a quorum that outlives one broker");
    assert_eq!(plan.fits[0].sized.bottleneck, Resource::Replicas);
}

#[test]
fn three_hundred_megabytes_a_second_get_every_methods_published_answer() {
    let ask = worked();
    assert_eq!(says(&ask, "aws-i4i-2xlarge", "handbook", "servers"), 19.0);
    near(says(&ask, "aws-i4i-2xlarge", "handbook", "disk"), 777_600.0);
    for (profile, brokers, exact) in [
        ("aws-m5-large-gp3-125", 16.0, "= 16,"),
        ("aws-m5-4xlarge-gp3-1000", 3.0, "= 2.4,"),
        ("aws-m7g-4xlarge-gp3-1000", 3.0, "= 1.8,"),
        ("aws-i4i-2xlarge", 3.0, "= 2.56,"),
    ] {
        assert_eq!(says(&ask, profile, "AWS", "brokers"), brokers, "{profile}");
        let formula = formula(&ask, profile, "AWS", "brokers");
        assert!(formula.contains(exact), "{profile}: {formula}");
    }
    assert_eq!(says(&ask, "aws-i4i-2xlarge", "Google", "vCPU"), 120.0);
    assert_eq!(says(&ask, "aws-i4i-2xlarge", "AKalculator", "vCPU"), 58.0);
    near(says(&ask, "aws-i4i-2xlarge", "AKalculator", "disk"), 1_088_640.0);
    assert_eq!(says(&ask, "aws-i4i-2xlarge", "Netflix", "cores at 2.3 GHz"), 42.0);
    near(says(&ask, "aws-i4i-2xlarge", "Netflix", "disk"), 1_360_800.0);
    // 300 MB/s are 286 MiB/s; taken as 300 MiB/s it would be 176 GiB.
    near(says(&ask, "aws-i4i-2xlarge", "Netflix", "page cache"), 167.6);
    assert_eq!(says(&ask, "aws-i4i-2xlarge", "Redpanda", "cores"), 9.0);
    assert_eq!(says(&ask, "aws-i4i-2xlarge", "Redpanda", "cores at best"), 1.0);
    near(says(&ask, "aws-i4i-2xlarge", "Red Hat", "disk"), 598_752.0);
    near(says(&ask, "aws-i4i-2xlarge", "Cloudera", "page cache for 10 min"), 540.0);
    near(says(&ask, "aws-i4i-2xlarge", "Confluent", "page cache"), 27.0);
}

#[test]
fn red_hats_ten_gigabits_and_500_megabytes_a_second_are_five_brokers() {
    let all = Catalogue::load(None).unwrap();
    let mut profile = all.get("hdd-jbod-12").unwrap().profile.clone();
    profile.disk[0].count = 5;
    let question = worked().resolve().unwrap();
    let sure = Interval::known(1.0);
    let inputs = super::draws::mids(&super::demand::intervals(&question, &Model::published(), sure, sure));
    let demand = super::demand::Demand::of(&question, &inputs);
    let answers = super::methods::all(&question, &demand, Some(&profile));
    let brokers = answers.iter().find(|it| it.method == "Red Hat" && it.of == "brokers").unwrap();
    assert_eq!(brokers.value, Some(5.0), "{}", brokers.formula);
}

#[test]
fn every_answer_has_its_formula_and_its_source() {
    let plan = plan_of(&worked(), &["aws-i4i-2xlarge", "aws-m5-4xlarge-gp3-1000"]);
    for answer in &plan.methods.answers {
        assert!(!answer.formula.is_empty() && answer.source.len() > 20, "{answer:?}");
    }
    assert!(plan.question.assumptions.iter().all(|it| !it.source.is_empty()));
}

#[test]
fn what_decides_is_named_and_survivors_have_room_for_the_dead_brokers_data() {
    let short = Ask { retention_days: known(0.5), ..worked() };
    let plan = plan_of(&short, &["aws-m5-large-gp3-125", "aws-i4i-2xlarge"]);
    for fit in &plan.fits {
        let worst = fit.sized.after_failure.iter().map(|it| it.1).fold(0.0, f64::max);
        assert!(worst <= 0.9, "{}: {worst}", fit.profile);
        assert!(fit.sized.in_use.iter().all(|it| it.1 <= 1.0), "{:?}", fit.sized.in_use);
    }
    let long = plan_of(&worked(), &["aws-i4i-2xlarge"]);
    assert_eq!(long.fits[0].sized.bottleneck, Resource::DiskCapacity);
    near(f64::from(long.fits[0].brokers_likeliest), 544_320.0 / (1875.0 * 0.7));
    assert!(long.fits[0].sized.recovery_mb_s > 0.0, "a local disk is lost with its machine");
}

#[test]
fn machines_that_cannot_are_rejected_with_what_is_short() {
    let late = Ask { flush: Some("every-batch".to_owned()), p99_ms_max: Some(10.0), ..handbook() };
    let plan = plan_of(&late, &["aws-m5-2xlarge-gp3-500", "aws-i4i-2xlarge", "aws-t3-medium-gp3-125"]);
    let excuse = |name: &str| plan.rejected.iter().find(|it| it.profile == name).unwrap().excuse.clone();
    let slow = excuse("aws-m5-2xlarge-gp3-500");
    assert_eq!(slow.resource, Resource::Latency);
    assert!(slow.words.contains("fdatasync 20.00 ms (p99)"), "{}", slow.words);
    assert_eq!(excuse("aws-t3-medium-gp3-125").resource, Resource::Memory);
    assert_eq!(plan.fits[0].profile, "aws-i4i-2xlarge");
}

#[test]
fn the_same_seed_gives_the_same_plan_and_what_is_not_known_widens_it() {
    let sure = plan_of(&worked(), &["aws-m5-4xlarge-gp3-1000"]);
    let again = plan_of(&worked(), &["aws-m5-4xlarge-gp3-1000"]);
    assert_eq!(sure.fits[0].spread, again.fits[0].spread);
    let unsure = Ask { peak_factor: Some(Interval::new(1.0, 1.0, 10.0)), retention_days: known(0.1), ..worked() };
    let spread = plan_of(&unsure, &["aws-m5-4xlarge-gp3-1000"]).fits[0].spread.clone();
    assert!(spread.p5 <= spread.p50 && spread.p50 < spread.p95, "{spread:?}");
    assert!(
        spread.overload_share <= 0.05,
        "N is for 95 of 100 draws, not for the mid, which is the least here: {spread:?}"
    );
    assert_eq!(spread.depends_on[0].0, Input::PeakFactor, "{spread:?}");
}

#[test]
fn turned_round_a_plan_carries_what_it_was_made_for_and_less_when_answers_must_be_fast() {
    let all = Catalogue::load(None).unwrap();
    let profile = &all.get("aws-i4i-2xlarge").unwrap().profile;
    let ask = Ask { retention_days: known(0.1), ..worked() };
    let question = ask.resolve().unwrap();
    let model = Model::published();
    let machine = machine::Machine::of(profile, &model, None);
    let inputs =
        super::draws::mids(&super::demand::intervals(&question, &model, machine.network_sure, machine.disk_sure));
    let brokers = plan_of(&ask, &["aws-i4i-2xlarge"]).fits[0].brokers_likeliest;
    let there = reverse::carried(&question, &machine, &inputs, brokers).unwrap();
    assert!(there.produced_mb_s >= 300.0, "{there:?}");
    let fewer = reverse::carried(&question, &machine, &inputs, brokers - 1).unwrap();
    assert!(fewer.produced_mb_s < 300.0, "{fewer:?}");
    let fast = Ask { p99_ms_max: there.p99_ms.map(|it| it * 0.9), ..ask }.resolve().unwrap();
    let fast = reverse::carried(&fast, &machine, &inputs, brokers).unwrap();
    assert!(
        fast.produced_mb_s < there.produced_mb_s && fast.p99_ms.unwrap() <= there.p99_ms.unwrap() * 0.9,
        "{fast:?} {there:?}"
    );
    let none = reverse::carried(&question, &machine, &inputs, 1).unwrap_err();
    assert_eq!(none.resource, Resource::Replicas);
}

/// What `brokers` of a built-in machine carry.
fn turned(ask: &Ask, profile: &str, brokers: u32) -> reverse::Turned {
    let all = Catalogue::load(None).unwrap();
    let question = ask.resolve().unwrap();
    reverse::turned(&question, &Model::published(), None, (&all.get(profile).unwrap().profile, brokers), 1)
}

#[test]
fn turned_round_a_retention_that_was_said_binds_and_one_that_was_not_is_told_as_days() {
    let seven = Ask { groups: Some(2), ..worked() };
    let kept = turned(&seven, "aws-i4i-2xlarge", 3);
    let carried = kept.carried.unwrap();
    // Three disks of 1875 GB, 70 % full, hold a week of three replicas at 2.17 MB/s.
    near(carried.produced_mb_s, 3.0 * 1875.0 * 0.7 * 1e3 / (7.0 * 86_400.0 * 3.0));
    assert_eq!(carried.bottleneck, Resource::DiskCapacity);
    near(carried.days_held, 7.0);
    assert!(carried.each_mb_s.iter().any(|it| it.0 == Resource::DiskCapacity));
    assert!(kept.at_least_mb_s.unwrap() <= carried.produced_mb_s * 1.001);
    let forward = Ask { records_per_s: known(carried.records_s * 0.999), ..seven.clone() };
    assert_eq!(plan_of(&forward, &["aws-i4i-2xlarge"]).fits[0].brokers_likeliest, 3, "and forward it is what fits");
    let loose = turned(&Ask { retention_days: None, ..seven }, "aws-i4i-2xlarge", 3).carried.unwrap();
    assert!(loose.produced_mb_s > 10.0 * carried.produced_mb_s && loose.days_held < 7.0, "{loose:?}");
}

#[test]
fn an_fdatasync_that_nobody_knows_meets_no_p99_and_a_p50_is_the_least_that_it_can_be() {
    let flushed = Ask { flush: Some("every-batch".to_owned()), ..handbook() };
    let unknown = &plan_of(&flushed, &["handbook-1gbe-hdd"]).fits[0].sized;
    assert_eq!(unknown.p99_ms, None, "none is told");
    let wanted = Ask { p99_ms_max: Some(10.0), ..flushed.clone() };
    let plan = plan_of(&wanted, &["handbook-1gbe-hdd", "aws-i4i-2xlarge"]);
    let excuse = &plan.rejected[0].excuse;
    assert_eq!((plan.rejected[0].profile.as_str(), excuse.resource), ("handbook-1gbe-hdd", Resource::Latency));
    assert!(
        excuse.words.contains("fdatasync is not known") && excuse.words.contains("ringlog probe"),
        "{}",
        excuse.words
    );
    assert!(plan.fits[0].sized.p99_is_least, "only the p50 of that NVMe is known");
    let io2 = &plan_of(&flushed, &["aws-r5-2xlarge-io2"]).fits[0].sized;
    assert!(!io2.p99_is_least && io2.p99_ms.is_some(), "{io2:?}");
    let cached = &plan_of(&handbook(), &["handbook-1gbe-hdd"]).fits[0].sized;
    assert!(!cached.p99_is_least && cached.p99_ms.is_some(), "nobody waits for that disk");
}

#[test]
fn brokers_are_enough_for_as_many_draws_as_were_asked_for() {
    let names = ["aws-i4i-2xlarge", "aws-m5-4xlarge-gp3-1000", "aws-m7g-2xlarge-gp3-500"];
    for (confidence, most_short) in [(None, 0.05), (Some(0.9), 0.1), (Some(0.5), 0.5)] {
        let plan = plan_of(&Ask { confidence, retention_days: known(0.1), ..worked() }, &names);
        for fit in &plan.fits {
            assert!(fit.spread.overload_share <= most_short + 0.001, "{}: {:?}", fit.profile, fit.spread);
            assert!(fit.sized.brokers >= fit.brokers_likeliest);
        }
    }
    let sized = |confidence| {
        plan_of(&Ask { confidence: Some(confidence), retention_days: known(0.1), ..worked() }, &names[1..2]).fits[0]
            .sized
            .brokers
    };
    assert!(sized(0.95) > sized(0.5), "surer costs more");
}

#[test]
fn what_a_model_missed_widens_the_draws_and_what_it_lacks_is_said() {
    let question = Ask { compression: Some("zstd".to_owned()), tls: Some(true), ..worked() }.resolve().unwrap();
    let mut model = Model { rows: 10, ..Model::published() };
    model.cpu.ms_per_mb_in = Interval::known(10.0);
    model.cpu.ms_per_mb_out = Interval::known(5.0);
    let words = super::demand::taken(&question, &model).join("\n");
    for expected in
        ["MB replicated", "cost of zstd", "TLS was not measured", "a record, a batch, a request", "[missed]"]
    {
        assert!(words.contains(expected), "{expected}: {words}");
    }
    let all = Catalogue::load(None).unwrap();
    let profiles = [&all.get("aws-m7g-2xlarge-gp3-500").unwrap().profile];
    let brokers = |model: &Model| {
        let question = Ask { retention_days: known(0.1), ..worked() }.resolve().unwrap();
        plan(&question, model, None, (&profiles, None), 1).fits[0].clone()
    };
    let sure = brokers(&model);
    model.missed = Some(super::model::Missed { median_share: 0.2, worst_share: 1.5 });
    let unsure = brokers(&model);
    assert!(unsure.sized.brokers > sure.sized.brokers, "{} {}", unsure.sized.brokers, sure.sized.brokers);
    assert!(unsure.spread.depends_on.iter().any(|it| it.0 == Input::Missed));
    let words = super::demand::taken(&question, &model).join("\n");
    assert!(words.contains("20 % in half the cases and by 150 % at worst"), "{words}");
}

#[test]
fn costs_move_by_what_the_probe_measured_on_both_else_by_clock_and_it_is_said() {
    let all = Catalogue::load(None).unwrap();
    let profile = |name: &str| all.get(name).unwrap().profile.clone();
    let model = Model { rows: 10, profile: Some("there".to_owned()), ..Model::published() };
    let (mut here, mut there) = (profile("aws-i4i-2xlarge"), profile("aws-m5-2xlarge-gp3-500"));
    let by_clock = machine::Machine::of(&here, &model, Some(&there));
    near(by_clock.speed, 3.5 * 1.15 / 3.1);
    assert!(by_clock.notes.iter().any(|it| it.contains("by clock")), "{:?}", by_clock.notes);
    (here.cpu.crc32c_mb_s, there.cpu.crc32c_mb_s) = (Some(8000.0), Some(4000.0));
    (here.cpu.zstd_mb_s, there.cpu.zstd_mb_s) = (Some(400.0), Some(400.0));
    let by_probe = machine::Machine::of(&here, &model, Some(&there));
    near(by_probe.speed, 2.0_f64.sqrt());
    assert!(by_probe.notes.iter().any(|it| it.contains("(crc32c, zstd)")), "{:?}", by_probe.notes);
    there = profile("handbook-1gbe-hdd");
    let by_nothing = machine::Machine::of(&here, &model, Some(&there));
    assert_eq!(by_nothing.speed, 1.0);
    assert!(by_nothing.notes.iter().any(|it| it.contains("--measured-on THERE.toml")), "{:?}", by_nothing.notes);
}

#[test]
fn red_hat_counts_no_more_of_a_volume_than_the_road_to_it_lets_through() {
    // 300 x 3 / 312.5 MB/s / 0.6 x 1.6 = 7.68.
    assert_eq!(says(&worked(), "aws-m7g-2xlarge-gp3-500", "Red Hat", "brokers"), 8.0);
}

#[test]
fn the_handbooks_threads_are_no_more_than_the_machine_has() {
    for name in ["aws-i4i-2xlarge", "aws-m5-4xlarge-gp3-1000", "raspberry-pi-5-nvme", "handbook-1gbe-hdd"] {
        let of = |of| says(&worked(), name, "handbook", of);
        let threads = f64::from(Catalogue::load(None).unwrap().get(name).unwrap().profile.cpu.threads);
        assert_eq!(of("num.io.threads") + of("num.network.threads") + of("num.replica.fetchers"), threads, "{name}");
    }
    assert!(formula(&worked(), "aws-i4i-2xlarge", "handbook", "num.io.threads").contains("8 hardware threads"));
}
