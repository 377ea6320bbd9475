//! The rows of two sides as pairs: both rows of a workload that ran in the same turn, each with figures to believe.

use crate::results::columns::Row;

/// The names of the sides in rows.
pub const SIDES: [&str; 2] = ["a", "b"];
/// What stands in a row whose client was the limit.
const CLIENT_BOUND: &str = "client-core";

/// The pairs of a workload.
#[derive(Clone, Debug)]
pub struct Pairs<'a> {
    /// The workload.
    pub workload: &'a str,
    /// Side A's and side B's row of each.
    pub rows: Vec<[&'a Row; 2]>,
    /// Rows of either side without figures.
    pub refused: Vec<&'a Row>,
}

/// The pairs of each workload, in the order of their first rows.
#[must_use]
pub fn of(rows: &[Row]) -> Vec<Pairs<'_>> {
    let mut workloads: Vec<&str> = Vec::new();
    let own = || rows.iter().filter(|it| SIDES.contains(&it.side.as_str()));
    for row in own() {
        if !workloads.contains(&row.workload.as_str()) {
            workloads.push(&row.workload);
        }
    }
    let of_workload = |workload| {
        let own: Vec<&Row> = own().filter(|it| it.workload == workload).collect();
        let row = |side: &str, pair: Option<u32>| {
            own.iter().copied().find(|it| it.side == side && it.pair == pair && it.is_measured())
        };
        let firsts = own.iter().filter(|it| it.side == SIDES[0] && it.is_measured());
        let mut rows: Vec<[&Row; 2]> = firsts.filter_map(|a| Some([*a, row(SIDES[1], a.pair)?])).collect();
        rows.sort_by_key(|it| it[0].pair);
        Pairs { workload, rows, refused: own.iter().copied().filter(|it| !it.is_measured()).collect() }
    };
    workloads.into_iter().map(of_workload).collect()
}

/// The names of side A and side B; `None` where the rows have no sides.
#[must_use]
pub fn names(rows: &[Row]) -> Option<[String; 2]> {
    let name = |side: &str| rows.iter().find(|it| it.side == side).map(|it| it.target.clone());
    let [Some(a), Some(b)] = SIDES.map(name) else { return None };
    Some([a, b])
}

impl Pairs<'_> {
    /// ln of the change of each pair that has the column on both sides, above 0 where it is worse.
    #[must_use]
    pub fn differences(&self, column: &str) -> Vec<f64> {
        self.rows.iter().filter_map(|it| difference(column, it)).collect()
    }

    /// One side's values of a column.
    #[must_use]
    pub fn values(&self, side: usize, column: &str) -> Vec<f64> {
        self.rows.iter().filter_map(|it| it[side].figure(column)).collect()
    }

    /// Whether the client was the limit of a side in more than half of its rows.
    #[must_use]
    pub fn is_client_bound(&self, side: usize) -> bool {
        let bound = self.rows.iter().filter(|it| it[side].bottleneck == CLIENT_BOUND).count();
        2 * bound > self.rows.len()
    }
}

/// ln of the change of a pair, above 0 where it is worse.
#[must_use]
pub fn difference(column: &str, rows: &[&Row; 2]) -> Option<f64> {
    let positive = |side: usize| rows[side].figure(column).filter(|it| *it > 0.0);
    let change = match (rows[0].figure(column)?, rows[1].figure(column)?) {
        // A counter that stood still on both sides did not change.
        (0.0, 0.0) => 0.0,
        _ => (positive(1)? / positive(0)?).ln(),
    };
    Some(if super::metrics::is_more_better(column) { -change } else { change })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::made::{rates, row};

    #[test]
    fn a_pair_is_of_one_turn_and_both_its_rows_are_measured() {
        let mut rows = rates(3, 0.5, 0.0);
        rows[2].validity = "invalid".to_owned();
        rows.push(Row { mb_s: Some(7.0), ..Row::default() });
        let pairs = of(&rows);
        assert_eq!((pairs.len(), pairs[0].rows.len(), pairs[0].refused.len()), (1, 2, 1));
        let worse = pairs[0].differences("mb_s");
        assert!(worse.iter().all(|it| (it - 2f64.ln()).abs() < 1e-12), "less throughput is worse: {worse:?}");
        assert_eq!(pairs[0].differences("response_us_p99"), Vec::<f64>::new());
    }

    #[test]
    fn counters_that_stand_still_did_not_change_and_one_that_began_cannot_be_divided() {
        let pair = |a: f64, b: f64| {
            let of = |side, value| Row { write_amplification: Some(value), ..row("w", side, 1, false) };
            difference("write_amplification", &[&of("a", a), &of("b", b)])
        };
        assert_eq!((pair(0.0, 0.0), pair(0.0, 1.0)), (Some(0.0), None));
    }

    #[test]
    fn a_side_is_client_bound_where_most_of_its_rows_are() {
        let mut rows = rates(3, 1.0, 0.0);
        rows[1].bottleneck = CLIENT_BOUND.to_owned();
        rows[3].bottleneck = CLIENT_BOUND.to_owned();
        let pairs = of(&rows);
        assert_eq!([0, 1].map(|side| pairs[0].is_client_bound(side)), [false, true]);
    }
}
