//! Defaults and their sources; what is refused, and in which words.

use super::*;
use crate::plan::interval::Interval;

fn known(it: f64) -> Option<Interval> {
    Some(Interval::known(it))
}

#[test]
fn defaults_are_named_with_their_source_and_what_was_said_is_given() {
    let ask = Ask { records_per_s: known(1000.0), replicas: Some(2), ..Ask::default() };
    let question = ask.resolve().unwrap();
    let source = |key: &str| question.assumptions.iter().find(|it| it.key == key).unwrap().source;
    assert_eq!((source("replicas"), question.replicas), (GIVEN, 2));
    assert!(source("cache_s").contains("Confluent"));
}

#[test]
fn a_zero_a_missing_rate_and_two_rates_are_refused_by_name() {
    let wrong = |ask: Ask| ask.resolve().unwrap_err().iter().map(|it| it.words.clone()).collect::<Vec<_>>().join("; ");
    assert!(wrong(Ask::default()).contains("records_per_day, records_per_s, or users"));
    assert!(wrong(Ask { records_per_s: known(0.0), ..Ask::default() }).contains("records_per_s is 0; it must be"));
    let two = Ask { records_per_s: known(1.0), records_per_day: known(1.0), ..Ask::default() };
    assert!(wrong(two).contains("in one way"));
    let base = || Ask { records_per_s: known(1.0), ..Ask::default() };
    assert!(wrong(Ask { record_bytes: known(0.0), ..base() }).contains("record_bytes is 0; it must be 1 to"));
    assert!(wrong(Ask { replicas: Some(0), ..base() }).contains("replicas is 0; it must be 1 to 32"));
    assert!(wrong(Ask { peak_factor: Some(Interval::new(3.0, 2.0, 4.0)), ..base() }).contains("must not fall"));
    assert!(wrong(Ask { lagging_groups: Some(3), groups: Some(2), ..base() }).contains("3, of 2 groups"));
    assert_eq!(wrong(Ask { record_bytes: known(f64::NAN), ..base() }), "record_bytes is NaN, which is no number");
    let all_gone = wrong(Ask { failures: Some(3), replicas: Some(3), ..base() });
    assert!(all_gone.contains("failures is 3 and replicas 3: all copies"), "{all_gone}");
    assert_eq!(Ask { replicas: Some(1), ..base() }.resolve().unwrap().failures, 0, "one replica outlives nothing");
}

#[test]
fn options_win_over_the_file_and_another_rate_replaces_the_files() {
    let file = Ask { records_per_day: known(5.0), replicas: Some(2), groups: Some(4), ..Ask::default() };
    let options = Ask { records_per_s: known(7.0), replicas: Some(3), ..Ask::default() };
    let question = options.over(file).resolve().unwrap();
    assert_eq!((question.records_s.mid, question.replicas, question.groups), (7.0, 3, 4));
}
