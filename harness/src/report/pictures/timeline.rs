//! A run along its time: each trial a span, its seconds as they were recorded.
//!
//! latency.hlog has writers' seconds: records that were due in the measured time, by the second in which they were answered. A
//! second is drawn that lies wholly in the measured time, and not so early that answers to the warm-up fell into it. Where there
//! are not two of those, and for readers, who have no seconds, the row's mean stands for them. Steal and pressure are known for
//! a trial as a whole.

use crate::report::kept::{Kept, Second};
use crate::results::Row;

/// Seconds that make a series.
const SECONDS_MIN: usize = 2;
/// Points that are drawn at most; beyond that neighbouring seconds are one.
const POINTS_MAX: usize = 1200;

/// A second, or several as one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Point {
    /// Seconds from the run's beginning.
    pub(super) from_s: f64,
    pub(super) to_s: f64,
    pub(super) mb_s: f64,
    pub(super) p99_ms: f64,
}

/// A trial's row.
#[derive(Clone, Debug)]
pub(super) struct Span<'a> {
    pub(super) row: &'a Row,
    pub(super) from_s: f64,
    pub(super) to_s: f64,
    /// Empty where it was not recorded by the second.
    pub(super) points: Vec<Point>,
}

/// The rows that have a time, and how many seconds a point stands for.
pub(super) fn spans(kept: &Kept) -> (Vec<Span<'_>>, usize) {
    let mut spans: Vec<Span<'_>> = kept.rows.iter().filter_map(|row| span(kept, row)).collect();
    let points: usize = spans.iter().map(|it| it.points.len()).sum();
    let step = points.div_ceil(POINTS_MAX).max(1);
    if step > 1 {
        spans.iter_mut().for_each(|it| it.points = it.points.chunks(step).filter_map(joined).collect());
    }
    (spans, step)
}

fn span<'a>(kept: &Kept, row: &'a Row) -> Option<Span<'a>> {
    let (from_s, seconds) = (kept.start_s(row)?, row.seconds.filter(|_| row.is_measured())?);
    let to_s = from_s + seconds;
    let bytes = row.bytes? as f64 / row.records.filter(|it| *it > 0)? as f64;
    let recorded = kept.response(row).map_or(&[][..], |it| &it.seconds);
    let first_s = from_s + row.response_us_p99.unwrap_or(0.0) / 1e6;
    let is_whole = |it: &&Second| it.start_s >= first_s && it.start_s + 1.0 <= to_s;
    let mut points: Vec<Point> = recorded.iter().filter(is_whole).map(|it| point(it, bytes)).collect();
    if points.len() < SECONDS_MIN {
        points.clear();
    }
    Some(Span { row, from_s, to_s, points })
}

fn point(second: &Second, bytes: f64) -> Point {
    let mb_s = second.records as f64 * bytes / 1e6;
    Point { from_s: second.start_s, to_s: second.start_s + 1.0, mb_s, p99_ms: second.p99_us / 1000.0 }
}

/// Neighbours as one: their mean rate, their worst p99.
fn joined(points: &[Point]) -> Option<Point> {
    let (first, last) = (points.first()?, points.last()?);
    let time: f64 = points.iter().map(|it| it.to_s - it.from_s).sum();
    let moved: f64 = points.iter().map(|it| it.mb_s * (it.to_s - it.from_s)).sum();
    let p99_ms = points.iter().map(|it| it.p99_ms).fold(0.0, f64::max);
    Some(Point { from_s: first.from_s, to_s: last.to_s, mb_s: moved / time, p99_ms })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_seconds_of_the_measured_time_are_drawn_and_a_single_one_is_no_series() {
        let kept = Kept::read(&crate::report::kept::tests::folder()).unwrap();
        let (spans, step) = spans(&kept);
        assert_eq!((spans.len(), step), (20, 1));
        for it in &spans {
            let is_long = it.row.workload == "latency";
            assert_eq!(it.points.len() >= 3, is_long, "{it:?}");
            assert!(it.points.iter().all(|point| point.from_s >= it.from_s && point.to_s <= it.to_s), "{it:?}");
            assert!(it.points.iter().all(|point| (point.mb_s - 10.0).abs() < 1.0), "{it:?}");
        }
    }

    #[test]
    fn neighbours_are_joined_by_their_time_and_keep_the_worst() {
        let of = |from_s: f64, mb_s, p99_ms| Point { from_s, to_s: from_s + 1.0, mb_s, p99_ms };
        let one = joined(&[of(0.0, 10.0, 1.0), of(1.0, 30.0, 9.0)]).unwrap();
        assert_eq!((one.mb_s, one.p99_ms, one.to_s), (20.0, 9.0, 2.0));
    }
}
