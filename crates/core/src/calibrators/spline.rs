//! Spline calibration of the predicted class (Gupta et al. 2021, arXiv:2006.12800).
//!
//! Sort the rows by confidence s. The running sum of (correct - s) over the share t of rows seen is zero
//! throughout for a calibrated model; a natural cubic spline h(t) is fitted to it by least squares, and s is
//! corrected to s + h'(t). The other classes share what is left in their old proportions. The corrected value
//! is kept above the second class, so the prediction stays; the paper corrects the confidence alone.

use serde::{Deserialize, Serialize};

use super::fit_report::Ending;
use super::isotonic::interpolate;
use super::linear_map::check_finite;
use super::steps::ascending;
use super::{CalibrationMap, CalibratorInfo, Entry, FLOOR, Fit, Fitting, Output, Sample, WarningCode, rows};
use crate::error::{Result, check_len, check_range};
use crate::kernels::math;
use crate::parameters::{Parameter, Parameters};

const INFO: CalibratorInfo = CalibratorInfo {
    name: "spline",
    summary: "a smooth curve for the confidence of the predicted class; no bins, and the prediction stays",
    formula: "p_top = s + h'(t(s)), h natural cubic spline of Σ(correct - s)/n over the share t of rows",
    preserves_accuracy: true,
    output: Output::Probabilities,
    fitting: Fitting::Direct,
    parameters: &[Parameter::whole("knots", 6.0, 3.0, 100.0, "knots of the spline, evenly spaced"), FLOOR],
    paper: "Gupta et al. 2021, arXiv:2006.12800",
};

pub(super) const ENTRY: Entry = Entry { info: &INFO, fit };

/// Most corners of a stored curve.
const MAX_CORNERS: usize = 512;

/// A piecewise linear curve from the confidence of the predicted class to its calibrated probability.
///
/// # Examples
/// ```
/// use candor::calibrators::{Map, Spline};
/// let map = Map::from(Spline { confidences: vec![0.5, 1.0], values: vec![0.5, 0.8] });
/// let out = map.probs(candor::Logits::new(&[9.0_f64.ln(), 0.0], 2)?, None)?;
/// assert!((out[0] - 0.74).abs() < 1e-12);
/// # Ok::<(), candor::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Spline {
    /// Confidences of the corners, increasing.
    pub confidences: Vec<f64>,
    /// Calibrated probabilities there.
    pub values: Vec<f64>,
}

fn fit(sample: &Sample, parameters: &Parameters) -> Result<Fit> {
    let floor = parameters.number("floor");
    let mut row = vec![0.0; sample.n_classes()];
    let (mut confidences, mut correct) = (Vec::new(), Vec::new());
    for (at, &label) in sample.labels().iter().enumerate() {
        row.copy_from_slice(sample.row(at));
        let top = rows::argmax(&row);
        rows::softmax_in_place(&mut row);
        confidences.push(row[top]);
        correct.push(f64::from(u8::from(top == label)));
    }
    let order = ascending(&confidences);
    let total = sample.total_weight();
    let (mut seen, mut sum) = (0.0, 0.0);
    let mut points = Vec::with_capacity(order.len());
    for &at in &order {
        let weight = sample.weights()[at] / total;
        seen += weight;
        sum += weight * (correct[at] - confidences[at]);
        points.push((seen, sum, weight));
    }
    let spline = NaturalSpline::fit(&points, parameters.number("knots") as usize);
    // One corner for rows of equal confidence, then as many corners as are worth storing.
    let mut corners: Vec<(f64, f64)> = Vec::new();
    let mut start = 0;
    for ties in order.chunk_by(|&a, &b| confidences[a] == confidences[b]) {
        let end = start + ties.len();
        let value =
            points[start..end].iter().map(|(t, _, _)| spline.slope(*t)).sum::<f64>() / ties.len() as f64;
        let confidence = confidences[ties[0]];
        corners.push((confidence, (confidence + value).clamp(floor, 1.0 - floor)));
        start = end;
    }
    let n = corners.len();
    let kept: Vec<(f64, f64)> = if n <= MAX_CORNERS {
        corners
    } else {
        (0..MAX_CORNERS).map(|i| corners[i * (n - 1) / (MAX_CORNERS - 1)]).collect()
    };
    let mut ending = Ending::direct();
    if kept.len() == 1 {
        ending.warn(WarningCode::Flat);
    }
    let (confidences, values) = kept.into_iter().unzip();
    Ok(Fit::new(Spline { confidences, values }.into(), sample, ending))
}

impl CalibrationMap for Spline {
    fn info(&self) -> &'static CalibratorInfo {
        &INFO
    }

    fn n_parameters(&self) -> usize {
        self.values.len()
    }

    fn check(&self) -> Result<()> {
        check_range("the number of corners of a curve", self.values.len() as f64, 1.0, f64::MAX)?;
        check_len("the values of a curve", self.confidences.len(), self.values.len())?;
        check_finite("a corner of a curve", &self.confidences)?;
        self.values.iter().try_for_each(|v| check_range("a value of a curve", *v, 0.0, 1.0))?;
        let unordered = self.confidences.windows(2).find(|pair| pair[0] >= pair[1]);
        unordered
            .map_or(Ok(()), |pair| check_range("a corner of a curve", pair[1], pair[0].next_up(), f64::MAX))
    }

    fn apply_row(&self, logits: &[f64], _: Option<&str>, out: &mut [f64]) {
        let top = rows::argmax(logits);
        rows::log_odds(logits, out);
        let odds = out[top];
        out.copy_from_slice(logits);
        if odds == f64::INFINITY {
            return;
        }
        // The shares of the others within what is left, from their own logits alone.
        out[top] = f64::NEG_INFINITY;
        rows::log_softmax_in_place(out);
        // The top stays above the largest share q of the rest if γ ≥ q/(1+q).
        let share = math::exp(rows::max(out)).min(1.0);
        let least = share / (1.0 + share) * (1.0 + 1e-12);
        let value = interpolate(&self.confidences, &self.values, rows::sigmoid(odds)).max(least).min(1.0);
        let log_left = math::ln(1.0 - value);
        out.iter_mut().for_each(|out| *out += log_left);
        out[top] = math::ln(value);
    }
}

/// A natural cubic spline on evenly spaced knots over [0, 1].
struct NaturalSpline {
    values: Vec<f64>,
    /// Second derivatives at the knots.
    bends: Vec<f64>,
}

impl NaturalSpline {
    /// The spline of least weighted squared error through points (t, value, weight).
    fn fit(points: &[(f64, f64, f64)], knots: usize) -> Self {
        // The spline is linear in its knot values: one basis spline for each.
        let basis: Vec<NaturalSpline> = (0..knots)
            .map(|knot| {
                let mut values = vec![0.0; knots];
                values[knot] = 1.0;
                Self::through(values)
            })
            .collect();
        let mut matrix = vec![vec![0.0; knots + 1]; knots];
        let mut at = vec![0.0; knots];
        for (t, value, weight) in points {
            for (at, basis) in at.iter_mut().zip(&basis) {
                *at = basis.value(*t);
            }
            for i in 0..knots {
                for j in 0..knots {
                    matrix[i][j] += weight * at[i] * at[j];
                }
                matrix[i][knots] += weight * at[i] * value;
            }
        }
        // Fewer points than knots leave some of them free: the least spline then.
        let trace: f64 = (0..knots).map(|i| matrix[i][i]).sum();
        for (i, row) in matrix.iter_mut().enumerate() {
            row[i] += 1e-13 * trace;
        }
        Self::through(solve(matrix))
    }

    /// The spline through these values.
    fn through(values: Vec<f64>) -> Self {
        let n = values.len();
        let step = 1.0 / (n - 1) as f64;
        let mut bends = vec![0.0; n];
        // Tridiagonal 1, 4, 1 for the inner knots (Thomas's algorithm).
        let (mut factor, mut right) = (vec![0.0; n], vec![0.0; n]);
        for i in 1..n - 1 {
            let pivot = 4.0 - factor[i - 1];
            let bend = 6.0 * (values[i - 1] - 2.0 * values[i] + values[i + 1]) / (step * step);
            factor[i] = 1.0 / pivot;
            right[i] = (bend - right[i - 1]) / pivot;
        }
        for i in (1..n - 1).rev() {
            bends[i] = right[i] - factor[i] * bends[i + 1];
        }
        Self { values, bends }
    }

    /// The knot left of t, the shares of both knots, and the step.
    fn place(&self, t: f64) -> (usize, f64, f64, f64) {
        let intervals = self.values.len() - 1;
        let left = ((t * intervals as f64).floor().max(0.0) as usize).min(intervals - 1);
        let b = t * intervals as f64 - left as f64;
        (left, 1.0 - b, b, 1.0 / intervals as f64)
    }

    fn value(&self, t: f64) -> f64 {
        let (i, a, b, step) = self.place(t);
        let bend = (a * a * a - a) * self.bends[i] + (b * b * b - b) * self.bends[i + 1];
        a * self.values[i] + b * self.values[i + 1] + bend * step * step / 6.0
    }

    fn slope(&self, t: f64) -> f64 {
        let (i, a, b, step) = self.place(t);
        let bend = (3.0 * b * b - 1.0) * self.bends[i + 1] - (3.0 * a * a - 1.0) * self.bends[i];
        (self.values[i + 1] - self.values[i]) / step + bend * step / 6.0
    }
}

/// Solves a small system, the right side in the last column, by elimination with pivoting.
fn solve(mut matrix: Vec<Vec<f64>>) -> Vec<f64> {
    let n = matrix.len();
    for column in 0..n {
        let pivot = (column..n)
            .max_by(|&a, &b| matrix[a][column].abs().total_cmp(&matrix[b][column].abs()))
            .unwrap_or(column);
        matrix.swap(column, pivot);
        let upper = matrix[column].clone();
        if upper[column] == 0.0 {
            continue;
        }
        for row in matrix.iter_mut().skip(column + 1) {
            let factor = row[column] / upper[column];
            row.iter_mut().zip(&upper).for_each(|(value, upper)| *value -= factor * upper);
        }
    }
    let mut x = vec![0.0; n];
    for i in (0..n).rev() {
        let known: f64 = (i + 1..n).map(|j| matrix[i][j] * x[j]).sum();
        x[i] = if matrix[i][i] == 0.0 { 0.0 } else { (matrix[i][n] - known) / matrix[i][i] };
    }
    x
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_straight_line_is_its_own_spline() {
        let points: Vec<(f64, f64, f64)> =
            (0..=20).map(|i| f64::from(i) / 20.0).map(|t| (t, 3.0 * t - 1.0, 1.0)).collect();
        let spline = NaturalSpline::fit(&points, 6);
        for t in [0.0, 0.13, 0.5, 1.0] {
            assert!((spline.value(t) - (3.0 * t - 1.0)).abs() < 1e-9);
            assert!((spline.slope(t) - 3.0).abs() < 1e-8);
        }
    }

    #[test]
    fn slopes_are_differences_and_the_ends_are_straight() {
        let spline = NaturalSpline::through(vec![0.0, 1.0, -1.0, 2.0]);
        for t in [0.1, 0.4, 0.66, 0.9] {
            let h = 1e-6;
            let want = (spline.value(t + h) - spline.value(t - h)) / (2.0 * h);
            assert!((spline.slope(t) - want).abs() < 1e-6);
        }
        assert_eq!((spline.bends[0], spline.bends[3]), (0.0, 0.0));
        assert!((spline.value(1.0 / 3.0) - 1.0).abs() < 1e-12);
    }
}
