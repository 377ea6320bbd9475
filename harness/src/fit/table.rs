//! Rows as numbers: a line for each row, a column for each work, divided by the row's own processor time; and how sure a
//! solution of them is.

use nalgebra::{DMatrix, DVector};
use rand::{RngExt as _, SeedableRng as _};
use rand_xoshiro::Xoshiro256PlusPlus;

use super::work::Work;
use super::{CELLS_BEYOND, solve};
use crate::plan::interval::Interval;
use crate::plan::model::Missed;
use crate::results::Row;
use crate::stats::{quantile, student};

/// Draws of the bootstrap.
const DRAWS: usize = 1000;
/// The interval's ends, of the draws.
const ENDS: (f64, f64) = (0.025, 0.975);
/// What it leaves out.
const LEFT_OUT: f64 = 0.05;
/// The normal distribution's quantile at the upper end.
const NORMAL_END: f64 = 1.959_964;

/// Settings that make two rows rounds of one cell.
pub(super) fn cell(row: &Row) -> String {
    let rate = row.rate_records_s.map(|it| format!(" {it:.0}/s")).unwrap_or_default();
    let batch = row.batch_size_bytes.map(|it| format!(" batch {it}")).unwrap_or_default();
    let linger = row.linger_ms.map(|it| format!(" linger {it}")).unwrap_or_default();
    let codec = if matches!(row.compression_type.as_str(), "" | "none") {
        String::new()
    } else {
        format!(" {}", row.compression_type)
    };
    let ratio = row.compressibility.map(|it| format!(" x{it}")).unwrap_or_default();
    let shards = row.shards.map(|it| format!(" {it} shards")).unwrap_or_default();
    format!(
        "{}{rate} {} B{batch}{linger}{codec}{ratio} {} partitions {} replicas {} clients {} groups{shards}",
        row.workload, row.record_bytes, row.partitions, row.replication_factor, row.clients, row.groups
    )
}

/// Rows as numbers.
pub(super) struct Table {
    pub(super) works: Vec<Work>,
    pub(super) a: DMatrix<f64>,
    pub(super) y: DVector<f64>,
    cells: Vec<usize>,
    pub(super) names: Vec<String>,
}

impl Table {
    /// Each row divided by its own processor time: what is made small is the relative error.
    pub(super) fn of(rows: &[Row], works: &[Work]) -> Self {
        let mut names: Vec<String> = Vec::new();
        let cells = rows.iter().map(|row| {
            let name = cell(row);
            names.iter().position(|it| *it == name).unwrap_or_else(|| {
                names.push(name);
                names.len() - 1
            })
        });
        let cells = cells.collect();
        let cpu = |row: usize| rows[row].broker_cpu_ms.unwrap_or(1.0);
        let a = DMatrix::from_fn(rows.len(), works.len(), |row, column| works[column].of(&rows[row]) / cpu(row));
        Self { works: works.to_vec(), a, y: DVector::from_element(rows.len(), 1.0), cells, names }
    }

    /// Residuals in two parts: the mean of each cell, and what each row is off by beyond that.
    #[allow(clippy::cast_precision_loss, reason = "counts of rows")]
    fn parts(&self, residuals: &DVector<f64>) -> (Vec<f64>, Vec<f64>) {
        let mut sums = vec![(0.0, 0.0); self.names.len()];
        for (cell, residual) in self.cells.iter().zip(residuals.iter()) {
            sums[*cell] = (sums[*cell].0 + residual, sums[*cell].1 + 1.0);
        }
        let means: Vec<f64> = sums.iter().map(|(sum, rows)| sum / rows).collect();
        let beyond = self.cells.iter().zip(residuals.iter()).map(|(cell, residual)| {
            let rows: f64 = sums[*cell].1;
            (residual - means[*cell]) * (rows / (rows - 1.0).max(1.0)).sqrt()
        });
        (means.clone(), beyond.collect())
    }

    /// Different settings in which there is some of a work.
    pub(super) fn settings_with(&self, column: usize) -> usize {
        let mut with: Vec<usize> =
            (0..self.cells.len()).filter(|row| self.a[(*row, column)] > 0.0).map(|row| self.cells[row]).collect();
        with.dedup();
        with.sort_unstable();
        with.dedup();
        with.len()
    }

    fn without_cell(&self, cell: usize) -> (DMatrix<f64>, DVector<f64>) {
        let on: Vec<usize> = (0..self.cells.len()).filter(|it| self.cells[*it] != cell).collect();
        (self.a.select_rows(&on), DVector::from_element(on.len(), 1.0))
    }

    /// Wild bootstrap: what a setting is off by on average is turned round or not for all of its rounds together, so that what the
    /// model gets wrong about a setting counts; what a round is off by beyond that, for itself. Widened as Student's t is beside the
    /// normal distribution where settings are few.
    #[allow(clippy::cast_precision_loss, reason = "counts of rows")]
    pub(super) fn intervals(&self, x: &DVector<f64>, seed: u64) -> Vec<Interval> {
        let fitted = &self.a * x;
        let residuals = &self.y - &fitted;
        let (of_cell, of_round) = self.parts(&residuals);
        let freedom = (self.names.len() as f64 - self.works.len() as f64).max(1.0);
        let missing = (self.names.len() as f64 / freedom).sqrt();
        let wider = student::quantile_two_sided(LEFT_OUT, freedom) / NORMAL_END;
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let mut sign = || if rng.random::<bool>() { 1.0 } else { -1.0 };
        let mut draws: Vec<Vec<f64>> = vec![Vec::with_capacity(DRAWS); self.works.len()];
        for _ in 0..DRAWS {
            let turned: Vec<f64> = of_cell.iter().map(|it| it * missing * sign()).collect();
            let y =
                DVector::from_fn(self.y.len(), |row, _| fitted[row] + turned[self.cells[row]] + of_round[row] * sign());
            solve::nnls(&self.a, &y).iter().zip(&mut draws).for_each(|(value, draws)| draws.push(*value));
        }
        draws.iter_mut().zip(x.iter()).map(|(draws, mid)| interval(draws, *mid, wider)).collect()
    }

    /// How far settings are missed that were left out, each in turn. One that alone has some work in it is not: the others say
    /// nothing about that work.
    pub(super) fn missed(&self) -> Option<Missed> {
        if self.names.len() < self.works.len() + CELLS_BEYOND {
            return None;
        }
        let mut off: Vec<f64> = (0..self.names.len()).filter(|it| !self.is_alone(*it)).map(|it| self.off(it)).collect();
        off.sort_by(f64::total_cmp);
        Some(Missed { median_share: *off.get(off.len() / 2)?, worst_share: *off.last()? })
    }

    /// Whether a setting is the only one that has some work.
    fn is_alone(&self, cell: usize) -> bool {
        let has =
            |column: usize| (0..self.cells.len()).any(|row| self.cells[row] == cell && self.a[(row, column)] > 0.0);
        (0..self.works.len()).any(|column| has(column) && self.settings_with(column) == 1)
    }

    /// How far a setting is off, foretold from the others. Rows are divided by their processor time: 1 is right.
    #[allow(clippy::cast_precision_loss, reason = "counts of rows")]
    fn off(&self, cell: usize) -> f64 {
        let (a, y) = self.without_cell(cell);
        let x = solve::nnls(&a, &y);
        let rows: Vec<usize> = (0..self.cells.len()).filter(|it| self.cells[*it] == cell).collect();
        let sum: f64 = rows.iter().map(|it| self.a.row(*it).transpose().dot(&x)).sum();
        (sum / rows.len() as f64 - 1.0).abs()
    }
}

/// The ends of the draws about the middle, as much wider.
fn interval(draws: &mut [f64], mid: f64, wider: f64) -> Interval {
    let [low, high] = [ENDS.0, ENDS.1].map(|share| quantile(draws, share).unwrap_or(mid));
    let (low, high) = (mid - (mid - low).max(0.0) * wider, mid + (high - mid).max(0.0) * wider);
    Interval::new(low.max(0.0), mid, high)
}
