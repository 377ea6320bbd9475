use super::mock::{Fault, Memory, Mock, Silent, plan, subject, until};
use super::*;

/// Runs a plan with a mock; gives the rows, how it ended, and what was asked.
fn ran(plan: &Plan, mock: &mut Mock) -> (Vec<Row>, Result<(), End>) {
    ran_for(plan, 1000, mock)
}

/// The same, for so many seconds at most.
fn ran_for(plan: &Plan, time_s: u64, mock: &mut Mock) -> (Vec<Row>, Result<(), End>) {
    let (mut memory, mut silent, common) = (Memory::default(), Silent::default(), Common::default());
    let orders = Orders { plan, course: &until(plan.cells[0].workload.rounds, time_s), common: &common };
    let (rows, end) = Run::new(orders, mock, (&mut memory, &mut silent), Vec::new()).run();
    assert_eq!(rows, memory.rows, "what is given is what was kept");
    (rows, end)
}

fn of<'a>(rows: &'a [Row], target: &str, workload: &str) -> Vec<&'a Row> {
    rows.iter().filter(|it| it.target == target && it.workload == workload).collect()
}

#[test]
fn ceilings_come_first_and_the_subject_is_read_back_each_time() {
    let mut mock = Mock::default();
    let (rows, end) = ran(&plan(2), &mut mock);
    end.unwrap();
    let turn = "create(null-receive) produce(null-receive) read-for(null-receive) delete(null-receive) \
                create(null-append) produce(null-append) delete(null-append) \
                create(ringlog) produce(ringlog) read-back(ringlog) delete(ringlog)";
    let last = "create(ringlog) produce(ringlog) read-back(ringlog) delete(ringlog)";
    assert_eq!(mock.calls.join(" "), format!("{turn} {turn} {last}"));
    let names: Vec<(&str, &str, u32)> =
        rows.iter().map(|it| (it.target.as_str(), it.workload.as_str(), it.round)).collect();
    let of_turn = |n| {
        [
            ("null-receive", "w", n),
            ("null-receive", "r", n),
            ("null-append", "w", n),
            ("ringlog", "w", n),
            ("ringlog", "r", n),
        ]
    };
    assert_eq!(names, [of_turn(1).as_slice(), &of_turn(2), &[("ringlog", "fixed", 1)]].concat());
}

#[test]
fn subjects_take_turns_in_being_first() {
    let mut two = plan(2);
    two.targets = vec![subject("a"), subject("b")];
    two.cells.truncate(1);
    let mut mock = Mock::default();
    ran(&two, &mut mock).1.unwrap();
    let made: Vec<&String> = mock.calls.iter().filter(|it| it.starts_with("create")).collect();
    assert_eq!(made, ["create(a)", "create(b)", "create(b)", "create(a)"]);
}

#[test]
fn the_steps_that_are_announced_are_those_that_come() {
    let (plan, mut silent) = (plan(3), Silent::default());
    let (mut mock, mut memory) = (Mock::default(), Memory::default());
    let common = Common::default();
    let orders = Orders { plan: &plan, course: &until(3, 1000), common: &common };
    Run::new(orders, &mut mock, (&mut memory, &mut silent), Vec::new()).run().1.unwrap();
    assert_eq!(silent.steps, silent.left[0].steps + plan.warm_up_steps());
    let last = Left { steps: 2, seconds: plan.cells[1].workload.round_s() };
    assert_eq!(silent.left.last(), Some(&last), "the one trial of the last cell");
}

#[test]
fn a_target_is_warmed_up_in_the_way_of_each_cell() {
    let mut plan = plan(3);
    plan.targets.iter_mut().filter(|it| it.role == Role::Subject).for_each(|it| it.warm_up_mb = 1000);
    let subject = plan.subjects().next().unwrap();
    let cells = plan.warm_up_cells(subject);
    assert_eq!(cells.len(), plan.cells.len());
    assert!(cells.iter().all(|it| it.workload.megabytes_max == Some(1000 / plan.cells.len() as u64)));
    assert!(cells.iter().zip(&plan.cells).all(|(warm, own)| warm.reader.is_some() == own.reader.is_some()));
    plan.cells = std::iter::repeat_n(plan.cells[0].clone(), 25).collect();
    let subject = plan.subjects().next().unwrap();
    assert_eq!(plan.warm_up_cells(subject).len(), 10, "of many cells some, from first to last");
    assert_eq!(plan.warm_up_cells(&Target { warm_up_mb: 0, ..subject.clone() }).len(), 0);
}

#[test]
fn a_trial_that_went_wrong_is_a_row_that_says_why_and_the_run_goes_on() {
    let rows = [
        (Fault::Lose, "1 lost"),
        (Fault::Double, "1 doubled"),
        (Fault::Swap, "1 out of order"),
        (Fault::Vanish, "the topic was deleted by somebody else"),
        (Fault::GiveUp, "1 records were given up, the first with: KAFKA_STORAGE_ERROR"),
        (Fault::TimeOut, "1 records were given up, the first with: KAFKA_STORAGE_ERROR"),
        (Fault::Silence, "no record was acknowledged"),
        (Fault::Refuse, "TOPIC_AUTHORIZATION_FAILED"),
    ];
    for (fault, wanted) in rows {
        let mut mock = Mock { fault: Some((2, fault)), ..Mock::default() };
        let (rows, end) = ran(&plan(3), &mut mock);
        end.unwrap();
        let own = of(&rows, "ringlog", "w");
        assert!(own.len() >= 3 && own[0].is_measured() && own[2].is_measured(), "{fault:?}");
        assert_eq!((own[1].validity.as_str(), own[1].mb_s), ("invalid", None), "{fault:?}: no figure is given out");
        assert!(own[1].why.contains(wanted), "{fault:?}: {}", own[1].why);
        let read = of(&rows, "ringlog", "r");
        assert_eq!(read[1].validity, "invalid", "{fault:?}: what was read has no figures either");
        assert!(mock.calls.iter().filter(|it| *it == "delete(ringlog)").count() >= 4, "{fault:?}: its topic goes");
    }
}

#[test]
fn what_a_producer_sent_again_may_be_there_twice_or_late_and_no_broker_is_blamed_for_it() {
    for fault in [Fault::Double, Fault::Swap] {
        let mut mock = Mock { fault: Some((2, fault)), resent: 1, ..Mock::default() };
        let (rows, end) = ran(&plan(3), &mut mock);
        end.unwrap();
        assert!(rows.iter().all(Row::is_measured), "{fault:?}");
    }
    let mut mock = Mock { fault: Some((2, Fault::Lose)), resent: 1, ..Mock::default() };
    assert!(!ran(&plan(3), &mut mock).0.iter().all(Row::is_measured), "sending again explains no loss");
}

#[test]
fn a_broker_that_is_missed_only_when_its_topic_is_to_go_is_named_in_that_row_and_not_asked_again() {
    let mut mock = Mock { fault: Some((2, Fault::DieUnnoticed)), ..Mock::default() };
    let (rows, end) = ran(&plan(3), &mut mock);
    let told = end.unwrap_err().to_string();
    assert!(told.contains("no broker is left to measure") && told.contains("refuses connections"), "{told}");
    let own = of(&rows, "ringlog", "w");
    assert_eq!(own.iter().map(|it| it.validity.as_str()).collect::<Vec<_>>(), ["measured", "invalid"]);
    let why = &own[1].why;
    assert!(why.starts_with("the broker is gone: ") && why.contains("no record was acknowledged"), "{why}");
    assert_eq!(mock.calls.iter().filter(|it| *it == "create(ringlog)").count(), 2, "{:?}", mock.calls);
}

#[test]
fn a_broker_that_dies_behind_a_trial_takes_no_figures_with_it_and_the_others_go_on() {
    let mut two = plan(2);
    two.cells.truncate(1);
    two.targets = vec![subject("a"), subject("b")];
    let mut mock = Mock { fault: Some((1, Fault::DieLast)), ..Mock::default() };
    let (rows, end) = ran(&two, &mut mock);
    end.unwrap();
    let of_a: Vec<&str> = of(&rows, "a", "w").iter().map(|it| it.validity.as_str()).collect();
    assert_eq!(of_a[..2], ["measured", "skipped"]);
    assert!(of(&rows, "b", "w").iter().all(|it| it.is_measured()));
}

#[test]
fn a_broker_that_died_is_not_asked_again_and_every_row_before_is_kept() {
    let mut mock = Mock { fault: Some((2, Fault::Die)), ..Mock::default() };
    let (rows, end) = ran(&plan(3), &mut mock);
    let told = end.unwrap_err().to_string();
    assert!(told.contains("no broker is left to measure") && told.contains("signal 9"), "{told}");
    let own = of(&rows, "ringlog", "w");
    assert_eq!(own.iter().map(|it| it.validity.as_str()).collect::<Vec<_>>(), ["measured", "invalid"]);

    let mut two = plan(2);
    two.targets = vec![subject("a"), subject("b")];
    let mut mock = Mock { fault: Some((1, Fault::Die)), ..Mock::default() };
    let (rows, end) = ran(&two, &mut mock);
    end.unwrap();
    let of_a: Vec<&str> = of(&rows, "a", "w").iter().map(|it| it.validity.as_str()).collect();
    assert_eq!(of_a[..2], ["invalid", "skipped"]);
    assert!(of(&rows, "b", "w").iter().all(|it| it.is_measured()), "the other one goes on");
}

#[test]
fn a_topic_that_cannot_be_deleted_is_told_and_the_run_goes_on_with_another() {
    let plan = plan(3);
    let (mut memory, mut silent, common) = (Memory::default(), Silent::default(), Common::default());
    let orders = Orders { plan: &plan, course: &until(3, 1000), common: &common };
    let mut mock = Mock { fault: Some((2, Fault::Keep)), ..Mock::default() };
    let (rows, end) = Run::new(orders, &mut mock, (&mut memory, &mut silent), Vec::new()).run();
    end.unwrap();
    assert_eq!(silent.stays, ["ringlog topic: deleting topic: CLUSTER_AUTHORIZATION_FAILED"]);
    let own = of(&rows, "ringlog", "w");
    assert!(own.iter().all(|it| it.is_measured()), "{own:?}");
    assert_eq!(own.last().unwrap().rounds_end, "interval");
}

#[test]
fn a_full_disk_is_not_tried_again() {
    let mut mock = Mock { fault: Some((2, Fault::Full)), ..Mock::default() };
    let (rows, end) = ran(&plan(3), &mut mock);
    assert!(end.unwrap_err().to_string().contains("no room is left for its log"));
    let own: Vec<&str> = of(&rows, "ringlog", "w").iter().map(|it| it.validity.as_str()).collect();
    assert_eq!(own, ["measured", "invalid"]);
}

#[test]
fn what_ends_a_run_keeps_the_rows_before() {
    let mut mock = Mock { fault: Some((2, Fault::Interrupt)), ..Mock::default() };
    let (rows, end) = ran(&plan(3), &mut mock);
    assert!(matches!(end, Err(End::Interrupted)));
    assert_eq!(of(&rows, "ringlog", "w").len(), 1);
    assert_eq!(mock.calls.last().unwrap(), "delete(ringlog)");

    let (plan, mut memory) = (plan(3), Memory { full_at: Some(5), ..Memory::default() });
    let (mut mock, mut silent, common) = (Mock::default(), Silent::default(), Common::default());
    let orders = Orders { plan: &plan, course: &until(3, 1000), common: &common };
    let (_, end) = Run::new(orders, &mut mock, (&mut memory, &mut silent), Vec::new()).run();
    assert!(matches!(end, Err(End::Results(_))));
    assert_eq!(memory.rows.len(), 5);
}

#[test]
fn what_had_no_broker_is_due_again_in_the_next_part_and_once() {
    let mut two = plan(2);
    two.cells.truncate(1);
    two.targets = vec![subject("a"), subject("b")];
    let (before, _) = ran(&two, &mut Mock { fault: Some((1, Fault::Die)), ..Mock::default() });
    assert!(before.iter().any(|it| it.validity == validity::SKIPPED));
    let (mut memory, mut silent, common) = (Memory::default(), Silent::default(), Common::default());
    let orders = Orders { plan: &two, course: &until(2, 1000), common: &common };
    let mut mock = Mock::default();
    Run::new(orders, &mut mock, (&mut memory, &mut silent), before).run().1.unwrap();
    let again: Vec<(&str, u32)> = memory.rows.iter().map(|it| (it.target.as_str(), it.round)).collect();
    assert_eq!(again[..4], [("a", 1), ("a", 1), ("a", 2), ("a", 2)], "{again:?}");
}

#[test]
fn a_run_goes_on_where_it_was_stopped() {
    let plan = plan(3);
    let mut mock = Mock { fault: Some((2, Fault::Interrupt)), ..Mock::default() };
    let (before, _) = ran(&plan, &mut mock);
    let (mut mock, mut memory, mut silent) = (Mock::default(), Memory::default(), Silent::default());
    let common = Common::default();
    let orders = Orders { plan: &plan, course: &until(3, 1000), common: &common };
    let (rows, end) = Run::new(orders, &mut mock, (&mut memory, &mut silent), before.clone()).run();
    end.unwrap();
    assert_eq!(rows.len(), before.len() + memory.rows.len());
    let (whole, _) = ran(&plan, &mut Mock::default());
    let names = |rows: &[Row]| -> Vec<String> {
        let mut names: Vec<String> =
            rows.iter().map(|it| format!("{} {} {}", it.target, it.workload, it.round)).collect();
        names.sort();
        names
    };
    assert_eq!(names(&rows), names(&whole), "each trial once");
}

#[test]
fn rounds_go_on_until_the_interval_is_narrow_the_time_over_or_there_are_too_many() {
    let ends = |mock: &mut Mock, time_s: u64| {
        let mut plan = plan(3);
        plan.cells.truncate(1);
        let (rows, end) = ran_for(&plan, time_s, mock);
        end.unwrap();
        of(&rows, "ringlog", "w").iter().map(|it| it.rounds_end.clone()).collect::<Vec<_>>()
    };
    assert_eq!(ends(&mut Mock::default(), 1000), ["", "", "interval"], "alike: the least rounds are enough");
    let apart = || Mock { seconds: vec![1.0, 2.0, 1.0, 2.0, 1.0], ..Mock::default() };
    assert_eq!(ends(&mut apart(), 1000), ["", "", "", "", "most"]);
    assert_eq!(ends(&mut apart(), 10), ["", "", "", "time"], "three trials a round, a second each");
}

#[test]
fn a_fixed_rate_has_its_least_rounds_and_a_name_of_its_own_for_their_end() {
    let mut plan = plan(1);
    plan.cells.remove(0);
    plan.cells[0].workload.rounds = 3;
    // Its rate is missed in every round, and differs from one to the next.
    let mut mock = Mock { seconds: vec![1.0, 2.0, 1.0], ..Mock::default() };
    let (rows, end) = ran(&plan, &mut mock);
    end.unwrap();
    let ends: Vec<&str> = of(&rows, "ringlog", "fixed").iter().map(|it| it.rounds_end.as_str()).collect();
    assert_eq!(ends, ["", "", "fixed-rate"]);
    let built_in = crate::spec::workload::load(None).unwrap();
    let rounds = |kind| built_in.iter().filter(|it| it.kind == kind).map(|it| it.rounds).min().unwrap();
    assert_eq!(rounds(crate::spec::Kind::Latency), rounds(crate::spec::Kind::Produce), "its p99 has a spread too");
}

#[test]
fn a_subjects_row_has_its_share_of_the_ceiling_of_its_round() {
    let (rows, _) = ran(&plan(1), &mut Mock::default());
    let own = of(&rows, "ringlog", "w")[0];
    assert_eq!((own.ceiling.as_str(), own.ceiling_share, own.ceiling_why.as_str()), ("null-receive", Some(0.5), ""));
    let read = of(&rows, "ringlog", "r")[0];
    assert_eq!((read.ceiling.as_str(), read.ceiling_share), ("null-receive", Some(0.5)));
    let fixed = of(&rows, "ringlog", "fixed")[0];
    assert_eq!((fixed.ceiling_share, fixed.ceiling_why.as_str()), (None, ""), "a share of a fixed rate says nothing");
    assert_eq!(fixed.disturbances, "rate-not-reached");
}

#[test]
fn rows_carry_the_rates_of_their_measured_time_and_the_settings_of_their_client() {
    let (rows, _) = ran(&plan(1), &mut Mock::default());
    let own = of(&rows, "ringlog", "w")[0];
    assert_eq!((own.records, own.bytes, own.seconds), (Some(10), Some(10_000), Some(1.0)));
    assert_eq!((own.mb_s, own.records_s, own.acks.as_str()), (Some(0.01), Some(10.0), "1"));
    assert_eq!((own.client_cpu_ms_per_mb, own.broker_cpu_ms_per_mb), (Some(1000.0), Some(2000.0)));
    assert_eq!((own.ledger_verified_records, own.round, own.seed), (Some(10), 1, 8));
    let near = |value: Option<f64>, wanted: f64| (value.unwrap() - wanted).abs() < wanted * 0.002;
    assert!(near(own.response_us_p50, 5.0) && near(own.response_us_max, 10.0), "{own:?}");
    assert!(near(own.service_us_p50, 4.5), "{own:?}");
    let null = of(&rows, "null-receive", "w")[0];
    assert_eq!((null.mb_s, null.role.as_str(), null.ledger_verified_records), (Some(0.02), "ceiling", None));
}

#[test]
fn a_row_says_what_it_was_asked_for_with_every_default_also_where_nothing_was_measured() {
    let mut plan = plan(1);
    let shape = &mut plan.cells[0].workload;
    shape.record_size_dist = Some("uniform:100..300".to_owned());
    (shape.keys, shape.compressibility, shape.clients) = ("zipf:10,1".to_owned(), Some(3.0), 2);
    shape.producer.insert("compression.type".to_owned(), "zstd".to_owned());
    plan.cells[1].workload.arrivals = "poisson".to_owned();
    let mut mock = Mock { fault: Some((1, Fault::Refuse)), ..Mock::default() };
    let (rows, end) = ran(&plan, &mut mock);
    end.unwrap();
    let (wrote, read, fixed) =
        (of(&rows, "ringlog", "w")[0], of(&rows, "ringlog", "r")[0], of(&rows, "ringlog", "fixed")[0]);
    assert!(!wrote.is_measured() && !read.is_measured() && fixed.is_measured());
    for row in [wrote, read] {
        let shape = (row.record_bytes, row.record_size_dist.as_str(), row.keys.as_str(), row.compressibility);
        assert_eq!(
            shape,
            (200, "uniform:100..300", "zipf:10,1", Some(3.0)),
            "what is read has the shape of what was written"
        );
        assert_eq!(row.arrivals, "");
    }
    assert_eq!((wrote.clients, wrote.compression_type.as_str(), wrote.compression_level), (2, "zstd", Some(3)));
    assert_eq!((wrote.max_in_flight, wrote.fetch_max_wait_ms), (Some(5), None));
    assert_eq!((read.fetch_max_wait_ms, read.max_in_flight, read.groups), (Some(500), None, 0));
    assert_eq!((fixed.arrivals.as_str(), fixed.keys.as_str()), ("poisson", "none"));
}

/// One cell of one workload that groups read while it is written.
fn read_along(groups: u32) -> Plan {
    let mut plan = plan(1);
    plan.cells.truncate(1);
    plan.cells[0].reader = None;
    plan.cells[0].workload.groups = groups;
    plan
}

#[test]
fn what_groups_read_beside_the_writers_is_not_read_back_and_has_no_ceiling() {
    let mut mock = Mock::default();
    let (rows, end) = ran(&read_along(4), &mut mock);
    end.unwrap();
    assert_eq!(mock.calls[..3].join(" "), "create(ringlog) produce(ringlog) delete(ringlog)");
    let own = of(&rows, "ringlog", "w")[0];
    assert!(own.is_measured(), "{own:?}");
    assert_eq!((own.groups, own.consumers, own.ledger_verified_records), (4, 1, Some(10)));
    assert_eq!((own.consumed_mb_s, own.group_lag_records_max, own.group_drain_s), (Some(0.04), Some(3), Some(0.25)));
    let near = |value: Option<f64>, wanted: f64| (value.unwrap() - wanted).abs() < wanted * 0.002;
    assert!(near(own.end_to_end_us_p50, 5000.0) && near(own.end_to_end_us_max, 10_000.0), "{own:?}");
    assert_eq!((own.reread_records, own.catch_up_mb_s), (Some(0), None));
}

#[test]
fn a_group_that_misses_a_record_or_reads_it_wrong_makes_the_row_invalid_and_is_named() {
    for (fault, wanted) in [(Fault::Lose, "1 lost"), (Fault::Double, "1 doubled"), (Fault::Swap, "1 out of order")] {
        let mut mock = Mock { fault: Some((1, fault)), ..Mock::default() };
        let rows = ran(&read_along(3), &mut mock).0;
        let own = of(&rows, "ringlog", "w")[0];
        assert_eq!((own.validity.as_str(), own.mb_s), ("invalid", None));
        let named = own.why.starts_with(&format!("{LEDGER_FAULT} for group 3 of 3: "));
        assert!(named && own.why.contains(wanted), "{}", own.why);
    }
}

#[test]
fn a_group_whose_partitions_moved_may_read_a_record_again_and_never_miss_one() {
    let mut mock = Mock { fault: Some((1, Fault::Double)), moved_partitions: 2, ..Mock::default() };
    let rows = ran(&read_along(2), &mut mock).0;
    assert_eq!(of(&rows, "ringlog", "w")[0].reread_records, Some(1));
    let mut mock = Mock { fault: Some((1, Fault::Lose)), moved_partitions: 2, ..Mock::default() };
    assert_eq!(of(&ran(&read_along(2), &mut mock).0, "ringlog", "w")[0].validity, "invalid");
}
