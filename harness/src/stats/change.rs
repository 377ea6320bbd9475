//! Where a history changed its level: E-divisive means (Matteson and James 2014) with Student's test in windows, as Hunter
//! has it (Fleming and others 2023) and Apache Otava after it.
//!
//! ```text
//!   windows of `window` values, each half a window on    in each: the split that sets its two sides farthest apart, kept while
//!                                                        Student's test believes it at a loose level, then within its sides
//!   all of those, weakest first                          gone while the test over the whole stretch between its neighbours does
//!                                                        not believe it at the wanted level, or the step is too small
//! ```
//!
//! A missing value is to be filled with the one before it ([`filled`]). Everything is exact: no random number, the same series
//! gives the same points. Held against Otava's own vectors.

use super::student;

/// What a change is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sensitivity {
    /// Values of a window.
    pub window: usize,
    /// A change is believed below this probability of it being none.
    pub p_max: f64,
    /// A step must be larger than this share of the level before it, or after it.
    pub magnitude_min: f64,
}

/// A change of the level.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Change {
    /// The first value of the new level.
    pub index: usize,
    /// Mean of the values since the change before it.
    pub before: f64,
    /// Mean of the values until the change after it.
    pub after: f64,
    /// How probable means so far apart are without a change.
    pub p: f64,
}

impl Change {
    /// The step as a share of the level before it.
    #[must_use]
    pub fn share(&self) -> f64 {
        relative(self.before, self.after)
    }

    fn magnitude(&self) -> f64 {
        relative(self.before, self.after).abs().max(relative(self.after, self.before).abs())
    }
}

fn relative(from: f64, to: f64) -> f64 {
    if from == 0.0 { 0.0 } else { to / from - 1.0 }
}

/// The changes of a series, in its order.
#[must_use]
pub fn changes(series: &[f64], sensitivity: &Sensitivity) -> Vec<Change> {
    let p_max = sensitivity.p_max;
    let loose = match () {
        () if p_max < 0.05 => p_max * 10.0,
        () if p_max < 0.5 => p_max * 2.0,
        () => p_max,
    };
    let weak = weak_points(series, sensitivity.window.max(2), loose);
    merged(series, &weak, sensitivity)
}

/// A series with each missing value in the place of which stands the one before it; at its beginning, the first there is.
#[must_use]
pub fn filled(series: &[Option<f64>]) -> Vec<f64> {
    let Some(first) = series.iter().flatten().next() else { return Vec::new() };
    let mut last = *first;
    let value = |it: &Option<f64>| {
        last = it.unwrap_or(last);
        last
    };
    series.iter().map(value).collect()
}

/// The points of all windows.
fn weak_points(series: &[f64], window: usize, p_max: f64) -> Vec<usize> {
    let (mut start, mut points) = (0, Vec::new());
    while start < series.len() {
        let end = (start + window).min(series.len());
        let found = points_of_window(&series[start..end], p_max);
        let last = found.last().map_or(0, |it| it + start);
        points.extend(found.into_iter().map(|it| it + start));
        start = last.max(start + window / 2);
    }
    points.sort_unstable();
    points.dedup();
    points
}

/// Splits a window where its sides are farthest apart, as long as the test believes the split.
fn points_of_window(window: &[f64], p_max: f64) -> Vec<usize> {
    let mut points: Vec<usize> = Vec::new();
    loop {
        let bounds = bounds_of(&points, window.len());
        let stretches = bounds.windows(2).map(|it| (it[0], it[1])).filter(|it| it.1 - it.0 > 1);
        let candidates = stretches.map(|it| (it, split(&window[it.0..it.1])));
        // Of several that are as far apart, the first.
        let best = candidates.reduce(|best, it| if it.1.1 > best.1.1 { it } else { best });
        let Some(((start, end), (at, _))) = best else { return points };
        if test(&window[start..start + at], &window[start + at..end]).p > p_max {
            return points;
        }
        points.push(start + at);
        points.sort_unstable();
    }
}

/// Takes points away, the weakest first, until the test believes all that are left. Of the neighbours of one that went, only
/// the one after it is tested again: so does Otava, and so its vectors have it.
fn merged(series: &[f64], points: &[usize], sensitivity: &Sensitivity) -> Vec<Change> {
    let mut changes = tested(series, points);
    loop {
        let first_greatest = |a: usize, b: usize| if changes[b].p > changes[a].p { b } else { a };
        let Some(mut weakest) = (0..changes.len()).reduce(first_greatest) else { return changes };
        if changes[weakest].p < sensitivity.p_max {
            let least = |a: usize, b: usize| if changes[b].magnitude() < changes[a].magnitude() { b } else { a };
            weakest = (0..changes.len()).reduce(least).unwrap_or(weakest);
            if changes[weakest].magnitude() > sensitivity.magnitude_min {
                return changes;
            }
        }
        changes.remove(weakest);
        let left: Vec<usize> = changes.iter().map(|it| it.index).collect();
        if let Some(next) = changes.get_mut(weakest) {
            *next = tested(series, &left)[weakest];
        }
    }
}

/// Each point as a change between its neighbours.
fn tested(series: &[f64], points: &[usize]) -> Vec<Change> {
    let bounds = bounds_of(points, series.len());
    let change = |it: &[usize]| Change { index: it[1], ..test(&series[it[0]..it[1]], &series[it[1]..it[2]]) };
    bounds.windows(3).map(change).collect()
}

fn bounds_of(points: &[usize], len: usize) -> Vec<usize> {
    std::iter::once(0).chain(points.iter().copied()).chain([len]).collect()
}

fn test(left: &[f64], right: &[f64]) -> Change {
    let of = |values: &[f64]| {
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let squares: f64 = values.iter().map(|it| (it - mean).powi(2)).sum();
        // Of the values as a whole population: as Hunter has it.
        (mean, (squares / values.len() as f64).sqrt(), values.len())
    };
    let (left, right) = (of(left), of(right));
    Change { index: 0, before: left.0, after: right.0, p: student::p_of_two(left, right) }
}

/// The split `(at, q)` of values X = [..at] and Y = [at..to], for any `to`, with the greatest
///
/// ```text
///   q = 2/(m+n) sum |x-y|  -  2m/((m+n)(n-1)) sum |xi-xk|  -  2n/((m+n)(m-1)) sum |yj-yk|        n of X, m of Y
/// ```
fn split(values: &[f64]) -> (usize, f64) {
    let mut best = (1, f64::NEG_INFINITY);
    let mut within_left = 0.0;
    for at in 1..values.len() {
        within_left += apart(values[at - 1], &values[..at - 1]);
        let (left, mut within_right, mut across) = (&values[..at], 0.0, 0.0);
        for to in at + 1..=values.len() {
            across += apart(values[to - 1], left);
            within_right += apart(values[to - 1], &values[at..to - 1]);
            let (n, m) = (at as f64, (to - at) as f64);
            let part = |weight: f64, count: f64, sum: f64| {
                if count > 1.0 { 2.0 * weight / ((m + n) * (count - 1.0)) * sum } else { 0.0 }
            };
            let q = 2.0 / (m + n) * across - part(m, n, within_left) - part(n, m, within_right);
            if q > best.1 {
                best = (at, q);
            }
        }
    }
    best
}

/// The sum of a value's distances from others.
fn apart(value: f64, others: &[f64]) -> f64 {
    others.iter().map(|it| (it - value).abs()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The published series with a drop, an anomaly, a rise and a slope.
    fn tigerbeetle() -> Vec<f64> {
        let text = include_str!("golden/tigerbeetle.txt");
        text.lines().filter(|it| !it.starts_with('#')).map(|it| it.parse().unwrap()).collect()
    }

    fn indexes(series: &[f64], window: usize, p_max: f64, magnitude_min: f64) -> Vec<usize> {
        let sensitivity = Sensitivity { window, p_max, magnitude_min };
        changes(series, &sensitivity).iter().map(|it| it.index).collect()
    }

    /// Apache Otava's tests/tigerbeetle_test.py, all ten of them.
    #[test]
    fn the_changes_of_the_published_series_are_otavas() {
        let series = tigerbeetle();
        assert_eq!(indexes(&series, 30, 0.01, 0.05), [15, 71]);
        assert_eq!(indexes(&series, 30, 0.05, 0.05), [15, 71]);
        assert_eq!(indexes(&series, 30, 0.1, 0.05), [10, 11, 15, 71, 363]);
        assert_eq!(indexes(&series, 30, 0.2, 0.05), [10, 11, 15, 71]);
        let p2 = [
            3, 6, 7, 10, 11, 13, 15, 16, 28, 29, 35, 37, 39, 41, 44, 48, 49, 56, 58, 61, 65, 66, 69, 71, 74, 76, 82,
            95, 108, 117, 125, 126, 129, 131, 136, 137, 142, 148, 165, 169, 187, 190, 192, 197, 200, 212, 220, 241,
            243, 246, 247, 249, 250, 260, 265, 266, 268, 278, 282, 288, 305, 306, 325, 330, 337, 338, 340, 347, 349,
            363,
        ];
        assert_eq!(indexes(&series, 30, 0.2, 0.0), p2);
        let p1 = [
            3, 6, 10, 11, 15, 16, 28, 29, 35, 37, 39, 41, 44, 48, 49, 61, 71, 95, 117, 131, 142, 148, 165, 169, 192,
            206, 212, 260, 265, 268, 278, 282, 288, 305, 363,
        ];
        assert_eq!(indexes(&series, 30, 0.1, 0.0), p1);
        let p01 = [15, 26, 61, 71, 95, 117, 131, 142, 148, 165, 169, 192, 212, 260];
        assert_eq!(indexes(&series, 30, 0.01, 0.0), p01);
        assert_eq!(indexes(&series, 30, 0.001, 0.0), [15, 61, 71, 95, 117, 131, 142, 148, 192, 212, 260]);
        assert_eq!(indexes(&series, 30, 0.0001, 0.0), [71, 95, 117, 131, 142, 148, 192, 212]);
        assert_eq!(indexes(&series, 30, 0.00001, 0.0), [71, 95, 131, 192, 212]);
    }

    /// tests/analysis_test.py of the same.
    #[test]
    fn a_step_is_told_with_its_levels() {
        let series = [
            1.02, 0.95, 0.99, 1.00, 1.12, 1.00, 1.01, 0.98, 1.01, 0.96, 0.50, 0.51, 0.48, 0.48, 0.55, 0.50, 0.49, 0.51,
            0.50, 0.49,
        ];
        let found = changes(&series, &Sensitivity { window: 10, p_max: 0.0001, magnitude_min: 0.0 });
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].index, 10);
        assert!((found[0].share() + 0.501).abs() < 0.001, "{found:?}");
    }

    #[test]
    fn short_flat_and_empty_series_have_no_change() {
        let sensitivity = Sensitivity { window: 50, p_max: 0.001, magnitude_min: 0.0 };
        for series in [&[][..], &[1.0], &[1.0, 2.0], &[3.0; 40]] {
            assert_eq!(changes(series, &sensitivity), [], "{series:?}");
        }
    }

    #[test]
    fn a_missing_value_is_the_one_before_it() {
        assert_eq!(filled(&[None, Some(1.0), None, Some(4.0), None]), [1.0, 1.0, 1.0, 4.0, 4.0]);
        assert_eq!(filled(&[None]), Vec::<f64>::new());
    }
}
