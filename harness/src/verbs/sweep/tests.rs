//! The order of a sweep, played against a broker that is a formula.

#![allow(clippy::disallowed_methods, reason = "a folder of its own")]

use std::time::Duration;

use super::course::SweepCourse;
use super::{dry_run, verdict};
use crate::results::Row;
use crate::results::columns::validity;
use crate::run::mock::subject;
use crate::run::{Cell, Course as _, Plan, SoFar, Trial};
use crate::session::Done;
use crate::spec::sweep::Sweep;

const LADDER: &str = r#"
schema = 1
name = "ladder"
what = "a test"
[[part]]
name = "p"
[part.workload]
kind = "latency"
record_bytes = 1000
measured_s = 1.0
[part.rate]
records_s = [1000.0, 2000.0, 4000.0, 8000.0]
p99_ms = 10.0
bisections = 3
"#;
const CELLS: &str = r#"
schema = 1
name = "cells"
what = "a test"
rounds = 2
[[part]]
name = "p"
[part.workload]
kind = "produce"
record_bytes = 1000
measured_s = 1.0
[part.vary]
"batch.size" = [1, 2, 3, 4, 5, 6, 7, 8]
"#;

fn plan(sweep: &Sweep) -> Plan {
    let cells = sweep.cells.iter().map(|it| Cell { workload: it.workload.clone(), reader: it.reader.clone() });
    Plan { cells: cells.collect(), targets: vec![subject("a"), subject("b")], seed: 1 }
}

/// Goes on with rows until the course ends, or so many trials are over. Target `a` takes any rate up to 3000 a second in 1 ms,
/// `b` any at all but in 20 ms above 5000.
fn play(sweep: &Sweep, mut rows: Vec<Row>, trials: usize) -> Vec<Row> {
    let (plan, course) = (plan(sweep), SweepCourse::new(sweep, 7, None));
    let earlier = rows.len();
    for _ in 0..trials {
        let so_far = SoFar { rows: &rows, earlier, elapsed: Duration::ZERO };
        let Some(turn) = course.next(&plan, &so_far) else { break };
        assert!(!so_far.is_done(&turn.cell.workload.name, &turn.target.name, turn.round));
        let asked = turn.cell.workload.rate_records_s;
        let most = if turn.target.name == "a" { 3000.0 } else { f64::MAX };
        let is_late = turn.target.name == "b" && asked.is_some_and(|it| it > 5000.0);
        let mut row = Row {
            target: turn.target.name.clone(),
            role: "subject".to_owned(),
            workload: turn.cell.workload.name.clone(),
            kind: turn.cell.workload.kind.name().to_owned(),
            round: turn.round,
            validity: validity::MEASURED.to_owned(),
            rate_records_s: asked,
            records_s: Some(asked.unwrap_or(9000.0).min(most)),
            mb_s: Some(1.0),
            response_us_p99: Some(if is_late { 20_000.0 } else { 1000.0 }),
            ..Row::default()
        };
        let trial = Trial { cell: &turn.cell, target: turn.target, round: turn.round, seed: 1 };
        course.mark(&plan, &so_far, &trial, &mut row);
        rows.push(row);
    }
    rows
}

fn told(rows: &[Row]) -> Vec<String> {
    rows.iter().map(|it| format!("{} {} {} {}", it.target, it.round, it.workload, it.holds)).collect()
}

#[test]
fn targets_take_turns_cells_are_shuffled_and_each_round_has_all_of_them_before_the_next() {
    let sweep = Sweep::read("x", CELLS, 1).unwrap();
    let rows = play(&sweep, Vec::new(), 1000);
    assert_eq!(rows.len(), 8 * 2 * 2);
    assert!(rows[..16].iter().all(|it| it.round == 1) && rows[16..].iter().all(|it| it.round == 2));
    let turns: Vec<&str> = rows.iter().map(|it| it.target.as_str()).collect();
    assert_eq!(turns[..4], ["a", "b", "a", "b"]);
    assert_eq!(turns[16..18], ["b", "a"], "the other one is first");
    let order =
        |from: usize| -> Vec<&str> { rows[from..from + 16].iter().step_by(2).map(|it| it.cell.as_str()).collect() };
    let sorted = {
        let mut all = order(0);
        all.sort_unstable();
        all
    };
    assert_ne!(order(0), sorted);
    assert_ne!(order(0), order(16), "each round in its own order");
    assert_eq!((rows[0].sweep.as_str(), rows[0].part.as_str()), ("cells", "p"));
    assert_eq!(rows.iter().filter(|it| it.rounds_end == "most").count(), 16);
}

#[test]
fn a_rate_that_met_no_broker_is_tried_again_when_the_sweep_goes_on_and_says_nothing_of_what_is_held() {
    let sweep = Sweep::read("x", LADDER, 1).unwrap();
    let mut rows = play(&sweep, Vec::new(), 2);
    let lost = |row: &Row, validity: &str, why: &str| Row {
        validity: validity.to_owned(),
        why: why.to_owned(),
        holds: String::new(),
        ..row.clone()
    };
    let whole = play(&sweep, rows.clone(), 1000);
    let next = whole[2..4].to_vec();
    rows.push(lost(&next[0], validity::INVALID, "the broker is gone: its process ended"));
    rows.push(lost(&next[1], validity::SKIPPED, "the broker is gone: its process ended"));
    let resumed = play(&sweep, rows, 1000);
    assert_eq!(told(&resumed)[4..], told(&whole)[2..], "as if there had been no such rows");
    for target in ["a", "b"] {
        let highest = |rows: &[Row]| super::course::highest(rows, "p", target);
        assert_eq!(highest(&resumed), highest(&whole), "{target}");
    }
}

#[test]
fn a_rate_that_is_not_held_ends_the_climb_of_that_target_and_the_highest_is_searched() {
    let sweep = Sweep::read("x", LADDER, 1).unwrap();
    let rows = play(&sweep, Vec::new(), 1000);
    let rates = |target: &str| -> Vec<(f64, &str)> {
        rows.iter().filter(|it| it.target == target).map(|it| (it.rate_records_s.unwrap(), it.holds.as_str())).collect()
    };
    let a = rates("a");
    assert_eq!(a[..3], [(1000.0, "yes"), (2000.0, "yes"), (4000.0, "rate")], "8000 is not tried");
    assert_eq!(a[3..], [(2828.0, "yes"), (3363.0, "rate"), (3084.0, "rate")]);
    let b = rates("b");
    assert_eq!(b[..4], [(1000.0, "yes"), (2000.0, "yes"), (4000.0, "yes"), (8000.0, "p99")]);
    assert_eq!(b[4..], [(5657.0, "p99"), (4757.0, "yes"), (5188.0, "p99")]);
    let highest = |target: &str| super::course::highest(&rows, "p", target);
    assert_eq!((highest("a"), highest("b")), (Some(2828.0), Some(4757.0)));
    let first: Vec<&str> = rows.iter().take(4).map(|it| it.target.as_str()).collect();
    assert_eq!(first, ["a", "b", "b", "a"]);
}

#[test]
fn a_sweep_that_was_killed_goes_on_as_if_it_had_not_been() {
    for text in [LADDER, CELLS] {
        let sweep = Sweep::read("x", text, 1).unwrap();
        let whole = told(&play(&sweep, Vec::new(), 1000));
        for killed in 0..whole.len() {
            let before = play(&sweep, Vec::new(), killed);
            assert_eq!(told(&play(&sweep, before, 1000)), whole, "killed after {killed}");
        }
    }
}

#[test]
fn what_is_left_is_told_and_the_time_ends_it() {
    let sweep = Sweep::read("x", CELLS, 1).unwrap();
    let (plan, rows) = (plan(&sweep), play(&sweep, Vec::new(), 5));
    let course = SweepCourse::new(&sweep, 7, Some(Duration::from_secs(9)));
    let so_far = SoFar { rows: &rows, earlier: 0, elapsed: Duration::from_secs(3) };
    let left = course.left(&plan, &so_far);
    assert_eq!((left.steps, left.seconds), ((32 - 5) * 2, 6.0));
    assert!(course.next(&plan, &so_far).is_some());
    assert!(course.next(&plan, &SoFar { elapsed: Duration::from_secs(9), ..so_far }).is_none());
}

#[test]
fn a_dry_run_says_every_cell_the_order_and_the_time() {
    let sweep = Sweep::read("x", CELLS, 1).unwrap();
    let (plan, course) = (plan(&sweep), SweepCourse::new(&sweep, 7, None));
    let text = dry_run::text(&sweep, &plan, &course);
    for part in
        ["batch.size=8", "8 cells, 2 rounds on a, b in turn: 64 steps", "as fast as it goes", "Nothing was started"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    let sweep = Sweep::read("x", LADDER, 1).unwrap();
    let (plan, course) = (self::plan(&sweep), SweepCourse::new(&sweep, 7, None));
    let text = dry_run::text(&sweep, &plan, &course);
    assert!(text.contains("1000 to 8000/s in 4 steps, 3 more to search, p99 at most 10 ms"), "{text}");
}

#[test]
fn the_end_tells_the_highest_rates_the_throttle_and_figures_of_others() {
    let mut sweep = Sweep::read("x", LADDER, 1).unwrap();
    let reference = "what = \"theirs\"\npart = \"p\"\ncell = \"\"\ncolumn = \"mb_s\"\nvalue = 4.5\nunit = \"MB/s\"\nsource = \"a book\"";
    sweep.references.push(toml::from_str(reference).unwrap());
    let mut rows = play(&sweep, Vec::new(), 1000);
    rows[0].bottleneck = "schedule".to_owned();
    let done = Done {
        summaries: Vec::new(),
        warnings: Vec::new(),
        folder: "results/x".into(),
        has_page: true,
        rows,
        end: Ok(()),
    };
    let text = verdict::text(&sweep, &done);
    for part in [
        "a holds 2828 records/s with p99 at most 10 ms",
        "b holds 4757 records/s",
        "1.0 =",
        "measures the throttle",
        "theirs: 4.5 MB/s (a book); ours: a 1.0, b 1.0",
        "Kept in results/x",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

/// A short sweep of a broker in memory, by the way that the verb takes; what it says in the end.
#[cfg(feature = "yardstick")]
fn swept(name: &str, fault: crate::target::faulty::Fault, varied: &str) -> (Vec<super::effects::Effect>, usize) {
    use crate::results::tests::scratch;
    use crate::session::{Extra, PlaceOptions, Session};
    use crate::target::{Start, Target};

    let text = format!(
        "schema = 1\nname = \"known\"\nwhat = \"a test\"\nrounds = 4\n[[part]]\nname = \"p\"\n[part.workload]\n{varied}\n\
         [part.workload.producer]\nacks = \"1\"\n\"enable.idempotence\" = \"false\"\n\"linger.ms\" = \"0\"\n\
         \"request.timeout.ms\" = \"20000\"\n\"delivery.timeout.ms\" = \"60000\"\n"
    );
    let (head, lists) = text.split_once("[part.vary]").unwrap();
    let (lists, producer) = lists.split_once("[part.workload.producer]").unwrap();
    let sweep = Sweep::read("x", &format!("{head}[part.workload.producer]{producer}[part.vary]{lists}"), 1).unwrap();
    let dir = scratch(name);
    let place = PlaceOptions {
        dir: dir.join("data"),
        results: dir.join("results"),
        resume: None,
        emulate: None,
        emulate_host: None,
        seed: 1,
        no_touch: true,
    };
    let mut client = crate::client::properties::Properties::new();
    client.set("bootstrap.servers", &crate::target::faulty::start(fault));
    let target = Target::new("known", Start::Remote { client, pids: Vec::new() });
    let course = SweepCourse::new(&sweep, 1, None);
    let cells = sweep.cells.iter().map(|it| Cell { workload: it.workload.clone(), reader: it.reader.clone() });
    let plan = Plan { cells: cells.collect(), targets: vec![target], seed: 1 };
    let session =
        Session { verb: "sweep", place: &place, shards: None, plan, course: &course, extra: Extra::default() };
    let done = session.measure().unwrap();
    assert!(done.rows.iter().all(Row::is_measured), "{:?}", done.rows.iter().map(|it| &it.why).collect::<Vec<_>>());
    assert_eq!(done.rows.len(), 16);
    std::fs::remove_dir_all(dir).unwrap();
    super::effects::of(&done.rows, 1)
}

/// Tests run side by side, which gives the idle setting some percent by chance now and then. `scripts/sweep-check`, alone on its
/// machine, allows it none.
#[cfg(feature = "yardstick")]
fn is_small(effect: &super::effects::Effect) -> bool {
    effect.ratio.max(1.0 / effect.ratio) < 1.25
}

#[cfg(feature = "yardstick")]
#[test]
fn batches_of_one_record_matter_where_each_request_takes_its_time_and_a_buffer_does_not() {
    let varied = "kind = \"latency\"\nrecord_bytes = 1000\nrate_records_s = 1000.0\nmeasured_s = 0.3\n[part.vary]\n\
                  \"batch.size\" = [1, 65536]\n\"buffer.memory\" = [33554432, 67108864]\n";
    let slow = crate::target::faulty::Fault::Slow(Duration::from_millis(3));
    let (effects, tests) = swept("sweep-slow", slow, varied);
    assert!(tests >= 4 && !effects.is_empty());
    assert!(effects.iter().all(|it| it.setting == "batch.size" || is_small(it)), "{effects:?}");
    let p99 = effects.iter().find(|it| it.figure == "p99").unwrap();
    assert_eq!((p99.least.as_str(), p99.greatest.as_str()), ("65536", "1"));
}

#[cfg(feature = "yardstick")]
#[test]
fn a_codec_matters_behind_a_narrow_way_and_a_time_limit_does_not() {
    let varied = "kind = \"produce\"\nrecord_bytes = 1000\ncompressibility = 8.0\nmeasured_s = 0.4\n[part.vary]\n\
                  \"compression.type\" = [\"none\", \"lz4\"]\n\"max.block.ms\" = [60000, 50000]\n\
                  \"buffer.memory\" = [2000000]\n";
    let (effects, _) = swept("sweep-narrow", crate::target::faulty::Fault::Narrow(4_000_000), varied);
    let rate = effects.iter().find(|it| it.figure == "MB/s").unwrap();
    assert_eq!((rate.setting.as_str(), rate.greatest.as_str()), ("compression.type", "lz4"));
    assert!(rate.ratio > 2.0, "{rate:?}");
    assert!(effects.iter().all(|it| it.setting == "compression.type" || is_small(it)), "{effects:?}");
}
