//! Isotonic regression: the increasing curve of least squared error, for each class (Zadrozny & Elkan 2002).
//!
//! Pool adjacent violators (Ayer et al. 1955). Rows of equal score are averaged first, so the order of rows
//! does not matter; between thresholds the curve is linear, beyond them constant.

use serde::{Deserialize, Serialize};

use super::fit_report::Ending;
use super::linear_map::check_finite;
use super::one_vs_rest::{ClassRows, CurveFit};
use super::steps::ascending;
use super::{CalibratorInfo, Curve, Entry, FLOOR, Fitting, OneVsRest, Output, SCORE, Score, WarningCode};
use crate::error::{Error, Result, check_len, check_range};
use crate::kernels::math;

const INFO: CalibratorInfo = CalibratorInfo {
    name: "isotonic",
    summary: "an increasing curve of any form for each class; needs a thousand rows or more",
    formula: "p_k ∝ m_k(s_k), m_k increasing and piecewise linear, by pooling adjacent violators",
    preserves_accuracy: false,
    output: Output::Probabilities,
    fitting: Fitting::Direct,
    parameters: &[SCORE, FLOOR],
    paper: "Zadrozny & Elkan 2002, Transforming classifier scores into accurate multiclass probability estimates",
};

pub(super) const ENTRY: Entry = Entry {
    info: &INFO,
    fit: |sample, parameters| {
        let floor = parameters.number("floor");
        OneVsRest::fit(sample, Score::of(parameters), |rows| fit_rows(rows, floor))
    },
};

/// A piecewise linear increasing curve.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IsotonicCurve {
    /// The scores of its corners, increasing.
    pub x: Vec<f64>,
    /// Its values there, in [0, 1].
    pub y: Vec<f64>,
}

impl IsotonicCurve {
    /// The increasing curve of least weighted squared error through the points.
    ///
    /// # Shapes
    /// All `[n]`; the curve's corners are the first and the last score of every pool.
    ///
    /// # Errors
    /// [`Error::Empty`] without points, [`Error::Shape`] if the lengths differ, [`Error::OutOfRange`] for a
    /// score that is not finite or a y outside [0, 1], [`Error::WeightValue`] for a weight that is not
    /// positive.
    ///
    /// # Examples
    /// ```
    /// let curve = candor::calibrators::IsotonicCurve::through(&[1.0, 2.0, 3.0], &[0.0, 1.0, 0.5], &[1.0; 3])?;
    /// assert_eq!((curve.x.as_slice(), curve.y.as_slice()), (&[1.0, 2.0, 3.0][..], &[0.0, 0.75, 0.75][..]));
    /// assert_eq!(curve.at(1.5), 0.375);
    /// # Ok::<(), candor::Error>(())
    /// ```
    pub fn through(x: &[f64], y: &[f64], weights: &[f64]) -> Result<Self> {
        if x.is_empty() {
            return Err(Error::Empty { what: "an isotonic curve", rows: 0, ignored: 0 });
        }
        check_len("y", x.len(), y.len())?;
        check_len("weights", x.len(), weights.len())?;
        check_finite("a score", x)?;
        y.iter().try_for_each(|y| check_range("y", *y, 0.0, 1.0))?;
        if let Some(index) = weights.iter().position(|w| !(w.is_finite() && *w > 0.0)) {
            return Err(Error::WeightValue { what: "sample weight", index, value: weights[index] });
        }
        // A pool: weight, weighted sum, first and last score.
        let mut pools: Vec<(f64, f64, f64, f64)> = Vec::new();
        let order = ascending(x);
        for ties in order.chunk_by(|&a, &b| x[a] == x[b]) {
            let weight: f64 = ties.iter().map(|&i| weights[i]).sum();
            let sum: f64 = ties.iter().map(|&i| weights[i] * y[i]).sum();
            let mut pool = (weight, sum, x[ties[0]], x[ties[0]]);
            while let Some(last) = pools.pop_if(|last| last.1 / last.0 >= pool.1 / pool.0) {
                pool = (last.0 + pool.0, last.1 + pool.1, last.2, pool.3);
            }
            pools.push(pool);
        }
        let mut curve = Self { x: Vec::new(), y: Vec::new() };
        for (weight, sum, first, last) in pools {
            // Rounding must not leave [0, 1].
            let value = (sum / weight).clamp(0.0, 1.0);
            curve.push(first, value);
            if last > first {
                curve.push(last, value);
            }
        }
        Ok(curve)
    }

    fn push(&mut self, x: f64, y: f64) {
        self.x.push(x);
        self.y.push(y);
    }

    /// The value at a score.
    pub fn at(&self, score: f64) -> f64 {
        interpolate(&self.x, &self.y, score)
    }
}

/// Linear between the corners, constant beyond; never divides by a vanishing distance.
pub(super) fn interpolate(x: &[f64], y: &[f64], at: f64) -> f64 {
    let above = x.partition_point(|corner| *corner < at);
    match (
        above.checked_sub(1).and_then(|below| x.get(below).zip(y.get(below))),
        x.get(above).zip(y.get(above)),
    ) {
        (Some((x0, y0)), Some((x1, y1))) => {
            // Halves, so that the distance of two large scores stays finite.
            let share = (0.5 * at - 0.5 * x0) / (0.5 * x1 - 0.5 * x0);
            if share.is_finite() { y0 + share.clamp(0.0, 1.0) * (y1 - y0) } else { *y1 }
        }
        (Some((_, y)), None) | (None, Some((_, y))) => *y,
        (None, None) => f64::NAN,
    }
}

fn fit_rows(rows: &ClassRows, floor: f64) -> CurveFit<IsotonicCurve> {
    let mut ending = Ending::direct();
    let curve = IsotonicCurve::through(&rows.x, &rows.y, &rows.weights);
    // A class that is masked in every row has no points.
    let mut curve = curve.unwrap_or(IsotonicCurve { x: vec![0.0], y: vec![0.0] });
    let mixed = rows.y.iter().any(|y| *y != rows.y[0]);
    if mixed && curve.y.len() == 1 {
        ending.warn(WarningCode::Flat);
    } else if mixed && curve.y.first() == curve.y.last() {
        ending.warn(WarningCode::AntiCorrelated);
    } else if mixed && curve.y.iter().all(|y| *y == 0.0 || *y == 1.0) {
        ending.warn(WarningCode::Separable);
    }
    curve.y.iter_mut().for_each(|y| *y = y.clamp(floor, 1.0 - floor));
    CurveFit { curve, ending }
}

impl Curve for IsotonicCurve {
    fn info() -> &'static CalibratorInfo {
        &INFO
    }

    fn log_pair(&self, score: f64) -> (f64, f64) {
        let value = self.at(score);
        (math::ln(value), math::ln(1.0 - value))
    }

    fn n_parameters(&self) -> usize {
        self.y.len()
    }

    fn check(&self) -> Result<()> {
        check_range("the number of corners of a curve", self.x.len() as f64, 1.0, f64::MAX)?;
        check_len("the values of a curve", self.x.len(), self.y.len())?;
        check_finite("a corner of a curve", &self.x)?;
        self.y.iter().try_for_each(|y| check_range("a value of a curve", *y, 0.0, 1.0))?;
        let unordered = self.x.windows(2).find(|pair| pair[0] >= pair[1]);
        unordered
            .map_or(Ok(()), |pair| check_range("a corner of a curve", pair[1], pair[0].next_up(), f64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_are_averaged_and_violators_pooled() {
        // By hand: ties at 2 average to 1/2; then 0 at 3 pools with them to 1/3.
        let curve = IsotonicCurve::through(&[3.0, 2.0, 1.0, 2.0, 4.0], &[0.0, 1.0, 0.0, 0.0, 1.0], &[1.0; 5])
            .unwrap();
        assert_eq!(curve.x, [1.0, 2.0, 3.0, 4.0]);
        assert_eq!(curve.y, [0.0, 1.0 / 3.0, 1.0 / 3.0, 1.0]);
        assert_eq!((curve.at(-9.0), curve.at(9.0)), (0.0, 1.0));
    }

    #[test]
    fn neighbouring_and_huge_scores_give_no_infinity() {
        let tiny = f64::from_bits(1);
        let curve = IsotonicCurve::through(&[0.0, tiny, 1e300], &[0.0, 0.5, 1.0], &[1.0; 3]).unwrap();
        for score in [0.0, tiny, 1.0, 1e300, -1e300, f64::MAX] {
            let value = curve.at(score);
            assert!((0.0..=1.0).contains(&value), "{score}: {value}");
        }
        assert!(IsotonicCurve::through(&[], &[], &[]).is_err());
        assert!(IsotonicCurve::through(&[f64::INFINITY], &[0.0], &[1.0]).is_err());
        assert!(IsotonicCurve::through(&[0.0], &[1.5], &[1.0]).is_err());
        assert!(IsotonicCurve::through(&[0.0], &[1.0], &[0.0]).is_err());
    }
}
