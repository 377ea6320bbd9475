//! What partitions cost in memory, and what more cores are worth.

use nalgebra::{DMatrix, DVector};

use super::solve::nnls;
use crate::plan::model::{MemoryCost, Scalability};
use crate::results::Row;

/// Bytes of a MiB.
const MIB: f64 = 1_048_576.0;
/// How many times more partitions than the fewest there must be: below that other memory drowns theirs.
const PARTITIONS_TIMES_MIN: f64 = 10.0;
/// Different counts of cores from which a curve with three numbers can be told.
const CORES_MIN: usize = 3;

/// A line through resident memory over replicas; absent where rows do not differ enough in them.
pub(super) fn memory(rows: &[Row]) -> Option<MemoryCost> {
    #[allow(clippy::cast_precision_loss, reason = "bytes below 2^53")]
    let points: Vec<(f64, f64)> = rows
        .iter()
        .filter_map(|row| {
            let replicas = f64::from(row.partitions) * f64::from(row.replication_factor.max(1));
            row.broker_resident_bytes_max.map(|it| (replicas, it as f64 / MIB))
        })
        .collect();
    let (fewest, most) =
        points.iter().fold((f64::INFINITY, 0.0), |(low, high): (f64, f64), it| (low.min(it.0), high.max(it.0)));
    if points.is_empty() || most < fewest * PARTITIONS_TIMES_MIN {
        return None;
    }
    let a = DMatrix::from_fn(points.len(), 2, |row, column| if column == 0 { 1.0 } else { points[row].0 });
    let x = nnls(&a, &DVector::from_fn(points.len(), |row, _| points[row].1));
    Some(MemoryCost { base_mib: x[0], mib_per_partition: x[1] })
}

/// The Universal Scalability Law over shards of trials that went as fast as they could (Gunther): N / X is a line in 1, N - 1 and
/// N (N - 1), whose costs are not below nothing. Absent where fewer than three counts of shards were measured.
pub(super) fn scalability(rows: &[Row]) -> Option<Scalability> {
    let fast = rows.iter().filter(|it| it.kind == "produce" && it.rate_records_s.is_none());
    let points: Vec<(f64, f64)> = fast.filter_map(|it| Some((f64::from(it.shards?), it.mb_s?))).collect();
    law(&points)
}

/// The law through (cores, rate).
pub(super) fn law(points: &[(f64, f64)]) -> Option<Scalability> {
    if different(points.iter().map(|it| it.0)) < CORES_MIN || points.iter().any(|it| it.1 <= 0.0) {
        return None;
    }
    // Divided by N / X: what is made small is the relative error.
    let column = |n: f64, column: usize| match column {
        0 => 1.0,
        1 => n - 1.0,
        _ => n * (n - 1.0),
    };
    let a = DMatrix::from_fn(points.len(), 3, |row, at| column(points[row].0, at) * points[row].1 / points[row].0);
    let x = nnls(&a, &DVector::from_element(points.len(), 1.0));
    let cores_max = points.iter().map(|it| it.0).fold(1.0, f64::max);
    (x[0] > 0.0).then(|| Scalability { contention: x[1] / x[0], coherency: x[2] / x[0], cores_max })
}

fn different(values: impl Iterator<Item = f64>) -> usize {
    let mut all: Vec<u64> = values.map(f64::to_bits).collect();
    all.sort_unstable();
    all.dedup();
    all.len()
}
