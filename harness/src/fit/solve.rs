//! Least squares without an intercept and without costs below nothing, and whether columns can be told apart at all.

use nalgebra::{DMatrix, DVector};

/// Steps until the active set must have settled, for each column.
const STEPS_MAX: usize = 30;
/// Below this a gradient is none.
const NOTHING: f64 = 1e-10;

/// Coefficients of the columns of `a` that are 0 or more and come closest to `b` (Lawson and Hanson, 1974, chapter 23).
pub(super) fn nnls(a: &DMatrix<f64>, b: &DVector<f64>) -> DVector<f64> {
    let columns = a.ncols();
    // Columns of one length, so that one tolerance is right for all.
    let scale: Vec<f64> = (0..columns).map(|it| a.column(it).norm().max(f64::MIN_POSITIVE)).collect();
    let scaled = DMatrix::from_fn(a.nrows(), columns, |row, column| a[(row, column)] / scale[column]);
    let (gram, target) = (scaled.transpose() * &scaled, scaled.transpose() * b);
    let mut x = DVector::zeros(columns);
    let mut free = vec![false; columns];
    for _ in 0..STEPS_MAX * columns {
        let gradient = &target - &gram * &x;
        let steepest = (0..columns).filter(|it| !free[*it]).max_by(|l, r| gradient[*l].total_cmp(&gradient[*r]));
        let Some(enters) = steepest.filter(|it| gradient[*it] > NOTHING * target.norm().max(f64::MIN_POSITIVE)) else {
            break;
        };
        free[enters] = true;
        if !settle(&gram, &target, &mut x, &mut free) {
            break;
        }
    }
    DVector::from_fn(columns, |it, _| x[it] / scale[it])
}

/// Solves for the free columns; those that would fall below nothing are held at nothing. False where no solution is left.
fn settle(gram: &DMatrix<f64>, target: &DVector<f64>, x: &mut DVector<f64>, free: &mut [bool]) -> bool {
    for _ in 0..=free.len() {
        let on: Vec<usize> = (0..free.len()).filter(|it| free[*it]).collect();
        let some = DMatrix::from_fn(on.len(), on.len(), |row, column| gram[(on[row], on[column])]);
        let right = DVector::from_fn(on.len(), |it, _| target[on[it]]);
        let Some(wanted) = some.cholesky().map(|it| it.solve(&right)) else { return false };
        if wanted.iter().all(|it| *it > 0.0) {
            x.fill(0.0);
            on.iter().zip(wanted.iter()).for_each(|(at, value)| x[*at] = *value);
            return true;
        }
        // As far towards it as all stay at or above nothing.
        let far = on.iter().zip(wanted.iter()).filter(|(_, wanted)| **wanted <= 0.0);
        let far = far.map(|(at, wanted)| x[*at] / (x[*at] - wanted)).fold(1.0, f64::min);
        for (at, wanted) in on.iter().zip(wanted.iter()) {
            x[*at] += far * (wanted - x[*at]);
            if x[*at] <= NOTHING {
                (x[*at], free[*at]) = (0.0, false);
            }
        }
    }
    true
}

/// How much wider a coefficient's interval is because of the other columns (variance inflation): 1 where they have nothing to do
/// with it, beyond all bounds where they say the same.
pub(super) fn inflation(a: &DMatrix<f64>, column: usize) -> f64 {
    let own = a.column(column).into_owned();
    if a.ncols() < 2 || own.norm() == 0.0 {
        return 1.0;
    }
    let others = a.clone().remove_column(column);
    let Ok(fitted) = others.clone().svd(true, true).solve(&own, NOTHING) else { return f64::INFINITY };
    let left = (&own - others * fitted).norm_squared() / own.norm_squared();
    1.0 / left.max(f64::MIN_POSITIVE)
}

/// Of the other columns the one that is most like this one: the cosine of the angle between them, and which.
pub(super) fn most_alike(a: &DMatrix<f64>, column: usize) -> Option<usize> {
    let own = a.column(column);
    let cosine = |it: usize| own.dot(&a.column(it)) / (own.norm() * a.column(it).norm()).max(f64::MIN_POSITIVE);
    (0..a.ncols()).filter(|it| *it != column).max_by(|l, r| cosine(*l).total_cmp(&cosine(*r)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs_below_nothing_are_held_at_nothing_and_the_rest_is_solved_again() {
        // y = 2 a - b would be exact; without costs below nothing, a alone fits best.
        let a = DMatrix::from_row_slice(4, 2, &[1.0, 1.0, 2.0, 1.0, 3.0, 2.0, 4.0, 1.0]);
        let b = DVector::from_row_slice(&[1.0, 3.0, 4.0, 7.0]);
        let x = nnls(&a, &b);
        assert_eq!(x[1], 0.0);
        assert!((x[0] - a.column(0).dot(&b) / a.column(0).norm_squared()).abs() < 1e-9, "{x}");
        let x = nnls(&a, &(&a * DVector::from_row_slice(&[3.0, 0.5])));
        assert!((x[0] - 3.0).abs() < 1e-9 && (x[1] - 0.5).abs() < 1e-9, "{x}");
    }

    #[test]
    fn columns_that_say_the_same_have_no_bound_and_those_that_do_not_have_one() {
        let same = DMatrix::from_row_slice(3, 2, &[1.0, 2.0, 2.0, 4.0, 3.0, 6.0]);
        assert!(inflation(&same, 0) > 1e6);
        let apart = DMatrix::from_row_slice(2, 2, &[1.0, 0.0, 0.0, 1.0]);
        assert!((inflation(&apart, 0) - 1.0).abs() < 1e-9);
        assert_eq!(most_alike(&same, 0), Some(1));
    }
}
