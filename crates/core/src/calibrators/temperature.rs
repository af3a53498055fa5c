//! Temperature scaling: one number that divides the logits (Guo et al. 2017, arXiv:1706.04599).
//!
//! The NLL is convex in β = 1/T, so its minimum is the zero of an increasing function. A bracketed Newton
//! iteration finds it from any logits: it cannot diverge, and T stays positive. Many rows are approached by
//! way of a thousand of them.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::fit_report::{Ending, FitWarning};
use super::{CalibrationMap, CalibratorInfo, Entry, Fit, Fitting, Output, Sample, WarningCode};
use crate::batch::{Labels, Logits, Scalar};
use crate::error::{Result, check_range};
use crate::kernels::math;

const INFO: CalibratorInfo = CalibratorInfo {
    name: "temperature",
    summary: "divides the logits by one number; the first map to try, needs few rows",
    formula: "softmax(z / T)",
    preserves_accuracy: true,
    output: Output::Probabilities,
    fitting: Fitting::Convex,
    parameters: &[],
    paper: "Guo et al. 2017, arXiv:1706.04599",
};

pub(super) const ENTRY: Entry = Entry {
    info: &INFO,
    fit: |sample, _| {
        let found = Temperature::of_rows(sample.logits(), sample);
        let mut ending =
            Ending { iterations: found.evaluations, gradient_norm: found.gradient, ..Ending::direct() };
        ending.warnings.extend(found.outcome.code().map(FitWarning::new));
        Ok(Fit::new(found.map.into(), sample, ending))
    },
};

/// T is looked for between the logits' own scale times this and divided by this.
const RANGE: f64 = 1e6;
/// Rows of one partial sum.
const BLOCK_ROWS: usize = 1024;
/// An NLL below this says that the logits separate the classes.
const SEPARATED: f64 = 1e-9;
/// Most evaluations of one solution; the last evaluated β is then the result.
const MAX_EVALUATIONS: usize = 200;
/// A Newton step this small, relative to β, leaves an error of its square.
const LAST_STEP: f64 = 1e-7;

/// A fitted temperature: divides logits by `temperature`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Temperature {
    /// T, positive: above 1 it lowers confidence, below 1 it raises it.
    pub temperature: f64,
}

/// How a fit ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Outcome {
    /// At the minimum of the NLL.
    Converged,
    /// Every row is right by a margin, so the best temperature is 0; T stopped where the NLL vanished.
    Separable,
    /// The logits speak against the labels, so the best temperature is infinite; T stopped at its bound.
    AntiCorrelated,
    /// The logits say nothing (all equal in each row): any temperature fits, T is 1.
    Flat,
}

impl Outcome {
    /// The code of its warning, if not converged.
    pub fn code(self) -> Option<WarningCode> {
        match self {
            Outcome::Converged => None,
            Outcome::Separable => Some(WarningCode::Separable),
            Outcome::AntiCorrelated => Some(WarningCode::AntiCorrelated),
            Outcome::Flat => Some(WarningCode::Flat),
        }
    }

    /// What to tell the user, if not converged.
    pub fn warning(self) -> Option<&'static str> {
        self.code().map(WarningCode::message)
    }
}

/// A fitted temperature with its evidence.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct TemperatureFit {
    /// The map.
    pub map: Temperature,
    /// How the fit ended.
    pub outcome: Outcome,
    /// Mean NLL of the fitted rows before, in nats.
    pub nll_before: f64,
    /// Mean NLL of the fitted rows after, in nats.
    pub nll_after: f64,
    /// Evaluations of the NLL and its derivatives.
    pub evaluations: usize,
    /// Size of the derivative of the NLL by ln T at the end, in nats.
    #[serde(default)]
    pub gradient: f64,
}

impl Temperature {
    /// A temperature given by the user.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) unless it is positive and finite.
    pub fn new(temperature: f64) -> Result<Self> {
        check_range("temperature", temperature, f64::MIN_POSITIVE, f64::MAX)?;
        Ok(Self { temperature })
    }

    /// Fits T by the NLL of held-out rows; always ends, always positive.
    ///
    /// # Shapes
    /// logits `[n, n_classes]`, labels `[n]`; ignored rows do not count, masked classes are left out.
    ///
    /// # Errors
    /// Those of [`Sample::from_logits`].
    ///
    /// # Examples
    /// ```
    /// use candor::{Labels, Logits, calibrators::Temperature};
    /// // Says 98 % and is right in three of four rows.
    /// let logits = [4.0_f64, 0.0, 4.0, 0.0, 4.0, 0.0, 4.0, 0.0];
    /// let fit = Temperature::fit(Logits::new(&logits, 2)?, Labels::new(&[0, 0, 0, 1], 2)?)?;
    /// assert!((fit.map.temperature - 4.0 / 3.0_f64.ln()).abs() < 1e-9);
    /// # Ok::<(), candor::Error>(())
    /// ```
    pub fn fit<T: Scalar>(logits: Logits<'_, T>, labels: Labels<'_>) -> Result<TemperatureFit> {
        let sample = Sample::from_logits(logits, labels)?;
        Ok(Self::of_rows(sample.logits(), &sample))
    }

    /// Fits T on these inputs, with the sample's labels and weights.
    pub(super) fn of_rows(inputs: &[f64], sample: &Sample) -> TemperatureFit {
        let problem = Problem::new(inputs, sample);
        let nll_before = problem.evaluate(1.0, 1).value;
        if problem.scale == 0.0 {
            let map = Temperature { temperature: 1.0 };
            let outcome = Outcome::Flat;
            return TemperatureFit {
                map,
                outcome,
                nll_before,
                nll_after: nll_before,
                evaluations: 1,
                gradient: 0.0,
            };
        }
        let mut start = 1.0 / problem.scale;
        let stride = sample.n_rows() / BLOCK_ROWS;
        if stride >= 4 {
            let rough = problem.solve(start, stride);
            // Where the few rows mislead to a bound, they are no help.
            if rough.inside {
                start = rough.beta;
            }
        }
        let Solved { beta, point, evaluations, .. } = problem.solve(start, 1);
        let (lowest, highest) = problem.bounds();
        let outcome = if point.value < SEPARATED || beta >= highest * (1.0 - 1e-6) {
            Outcome::Separable
        } else if beta <= lowest * (1.0 + 1e-6) {
            Outcome::AntiCorrelated
        } else {
            Outcome::Converged
        };
        let (temperature, nll_after) =
            if point.value <= nll_before { (1.0 / beta, point.value) } else { (1.0, nll_before) };
        let map = Temperature { temperature };
        let gradient = (beta * point.slope).abs();
        TemperatureFit { map, outcome, nll_before, nll_after, evaluations: evaluations + 1, gradient }
    }

    /// Divides logits by the temperature.
    pub fn apply<T: Scalar>(&self, logits: &mut [T]) {
        for z in logits {
            *z = T::from_f64(z.to_f64() / self.temperature);
        }
    }
}

impl CalibrationMap for Temperature {
    fn info(&self) -> &'static CalibratorInfo {
        &INFO
    }

    fn n_parameters(&self) -> usize {
        1
    }

    fn check(&self) -> Result<()> {
        Self::new(self.temperature).map(|_| ())
    }

    fn apply_row(&self, logits: &[f64], _: Option<&str>, out: &mut [f64]) {
        for (out, z) in out.iter_mut().zip(logits) {
            // A tiny temperature must not make a finite logit infinite.
            *out = if z.is_finite() { (z / self.temperature).clamp(-f64::MAX, f64::MAX) } else { *z };
        }
    }
}

/// The NLL as a function of β, with its derivatives.
struct Problem<'a> {
    /// Masked classes at -inf.
    inputs: &'a [f64],
    sample: &'a Sample,
    /// The largest input of each row.
    largest: Vec<f64>,
    /// Root mean square distance of a row's inputs from their mean.
    scale: f64,
}

#[derive(Clone, Copy, Default)]
struct Point {
    value: f64,
    slope: f64,
    curvature: f64,
    weight: f64,
}

struct Solved {
    beta: f64,
    point: Point,
    evaluations: usize,
    /// Whether the minimum lies between the bounds.
    inside: bool,
}

impl<'a> Problem<'a> {
    fn new(inputs: &'a [f64], sample: &'a Sample) -> Self {
        let k = sample.n_classes();
        let mut squares = 0.0;
        let largest = inputs
            .chunks_exact(k)
            .map(|row| {
                let allowed = || row.iter().filter(|z| **z != f64::NEG_INFINITY);
                let (mut sum, mut count, mut max) = (0.0, 0.0, f64::NEG_INFINITY);
                for z in allowed() {
                    sum += z;
                    count += 1.0;
                    max = z.max(max);
                }
                let mean = sum / count;
                squares += allowed().map(|z| (z - mean) * (z - mean)).sum::<f64>() / count;
                max
            })
            .collect();
        let scale = (squares / sample.n_rows() as f64).sqrt();
        Self { inputs, sample, largest, scale }
    }

    fn bounds(&self) -> (f64, f64) {
        (1.0 / (self.scale * RANGE), RANGE / self.scale)
    }

    /// Bracketed Newton iteration on every `stride`-th row.
    fn solve(&self, start: f64, stride: usize) -> Solved {
        let (lowest, highest) = self.bounds();
        let (mut low, mut high) = (lowest, highest);
        let mut beta = start;
        let mut evaluations = 0;
        let mut point;
        loop {
            point = self.evaluate(beta, stride);
            evaluations += 1;
            if point.slope < 0.0 {
                low = beta
            } else {
                high = beta
            }
            // With ties the NLL has a plateau, on which nothing is left to gain.
            let flat = (beta * point.slope).abs() <= 1e-18 * point.value;
            if flat || point.value < SEPARATED || high - low <= 1e-13 * high || evaluations == MAX_EVALUATIONS
            {
                break;
            }
            let newton = beta - point.slope / point.curvature;
            if newton > low && newton < high {
                let step = newton - beta;
                beta = newton;
                if step.abs() <= LAST_STEP * beta {
                    // The parabola is exact to the square of the step.
                    point.value += 0.5 * point.slope * step;
                    point.slope += point.curvature * step;
                    break;
                }
            } else {
                beta = (low * high).sqrt();
            }
        }
        let inside = point.value >= SEPARATED && low > lowest && high < highest;
        Solved { beta, point, evaluations, inside }
    }

    /// Weighted mean over every `stride`-th row.
    fn evaluate(&self, beta: f64, stride: usize) -> Point {
        let k = self.sample.n_classes();
        let (labels, weights) = (self.sample.labels(), self.sample.weights());
        let block = BLOCK_ROWS * stride;
        let starts: Vec<usize> = (0..labels.len()).step_by(block).collect();
        let sums: Vec<Point> = starts
            .par_iter()
            .map(|&start| {
                let mut exps = vec![0.0; k];
                let mut sum = Point::default();
                for at in (start..(start + block).min(labels.len())).step_by(stride) {
                    let row = &self.inputs[at * k..(at + 1) * k];
                    let largest = self.largest[at];
                    for (e, z) in exps.iter_mut().zip(row) {
                        *e = math::exp(beta * (z - largest));
                    }
                    let [total, first, second] = moments(&exps, row, largest);
                    let mean = first / total;
                    let label = row[labels[at]] - largest;
                    let weight = weights[at];
                    sum.value += weight * (math::ln(total) - beta * label);
                    sum.slope += weight * (mean - label);
                    sum.curvature += weight * (second / total - mean * mean);
                    sum.weight += weight;
                }
                sum
            })
            .collect();
        let total = sums.iter().fold(Point::default(), |a, b| Point {
            value: a.value + b.value,
            slope: a.slope + b.slope,
            curvature: a.curvature + b.curvature,
            weight: a.weight + b.weight,
        });
        Point {
            value: total.value / total.weight,
            slope: total.slope / total.weight,
            curvature: total.curvature / total.weight,
            weight: total.weight,
        }
    }
}

/// Σ e, Σ e v and Σ e v² with v the distance from the largest; four sums side by side, for vector units.
fn moments(exps: &[f64], row: &[f64], largest: f64) -> [f64; 3] {
    const LANES: usize = 4;
    let mut sums = [[0.0; LANES]; 3];
    let mut add = |lane: usize, e: f64, z: f64| {
        // A masked class has no mass: keep 0 times infinity at 0.
        let v = (z - largest).max(-1e300);
        let ev = e * v;
        sums[0][lane] += e;
        sums[1][lane] += ev;
        sums[2][lane] += ev * v;
    };
    let (chunks, rest) = exps.as_chunks::<LANES>();
    let (row_chunks, row_rest) = row.as_chunks::<LANES>();
    for (e, z) in chunks.iter().zip(row_chunks) {
        for lane in 0..LANES {
            add(lane, e[lane], z[lane]);
        }
    }
    for (lane, (e, z)) in rest.iter().zip(row_rest).enumerate() {
        add(lane, *e, *z);
    }
    sums.map(|s| (s[0] + s[1]) + (s[2] + s[3]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;
    use crate::random::Stream;

    /// Logits whose softmax is true, times `scale`, with labels drawn from it.
    fn calibrated(scale: f64, n: usize) -> (Vec<f64>, Vec<i64>) {
        let mut stream = Stream::new(5, "temperature", 0, 0);
        let (mut logits, mut labels) = (Vec::new(), Vec::new());
        for _ in 0..n {
            let row: Vec<f64> = (0..10).map(|_| 2.0 * stream.normal()).collect();
            let sum: f64 = row.iter().map(|z| z.exp()).sum();
            let mut u = stream.uniform() * sum;
            let mut label = 0;
            for (k, z) in row.iter().enumerate() {
                label = k;
                u -= z.exp();
                if u < 0.0 {
                    break;
                }
            }
            labels.push(label as i64);
            logits.extend(row.iter().map(|z| z * scale));
        }
        (logits, labels)
    }

    fn fit(logits: &[f64], labels: &[i64], n_classes: usize) -> TemperatureFit {
        Temperature::fit(Logits::new(logits, n_classes).unwrap(), Labels::new(labels, n_classes).unwrap())
            .unwrap()
    }

    #[test]
    fn the_temperature_follows_the_scale_of_the_logits() {
        let (logits, labels) = calibrated(1.0, 2000);
        let base = fit(&logits, &labels, 10).map.temperature;
        assert!((base - 1.0).abs() < 0.06, "{base}");
        for scale in [1e-3, 0.05, 50.0, 500.0, 1e4] {
            let scaled: Vec<f64> = logits.iter().map(|z| z * scale).collect();
            let found = fit(&scaled, &labels, 10);
            assert_eq!(found.outcome, Outcome::Converged);
            assert!((found.map.temperature / (base * scale) - 1.0).abs() < 1e-9, "{scale}: {found:?}");
            assert!(found.nll_after <= found.nll_before && found.evaluations < 40, "{found:?}");
        }
    }

    #[test]
    fn separable_anti_correlated_and_flat_logits_end_with_a_positive_bounded_temperature() {
        let logits = [3.0, 0.0, 0.0, 5.0, 1.0, 0.0];
        let separable = fit(&logits, &[0, 1, 0], 2);
        assert_eq!(separable.outcome, Outcome::Separable);
        let anti = fit(&logits, &[1, 0, 1], 2);
        assert_eq!(anti.outcome, Outcome::AntiCorrelated);
        let flat = fit(&[1.0, 1.0, 2.0, 2.0], &[1, 0], 2);
        assert_eq!((flat.outcome, flat.map.temperature), (Outcome::Flat, 1.0));
        for found in [separable, anti, flat] {
            assert!(found.map.temperature > 0.0 && found.map.temperature.is_finite(), "{found:?}");
            assert!(found.nll_after <= found.nll_before + 1e-12, "{found:?}");
            assert_eq!(found.outcome.warning().is_some(), found.outcome != Outcome::Converged);
        }
    }

    #[test]
    fn masked_classes_and_ignored_rows_do_not_count() {
        let inf = f64::NEG_INFINITY;
        let masked = [4.0, inf, 0.0, 4.0, inf, 0.0, 4.0, inf, 0.0, 9.0, 9.0, 9.0];
        let plain = [4.0, 0.0, 4.0, 0.0, 4.0, 0.0];
        let labels = Labels::with_ignore(&[0, 0, 2, -100], 3, Some(-100)).unwrap();
        let found = Temperature::fit(Logits::new(&masked, 3).unwrap(), labels).unwrap();
        let want = fit(&plain, &[0, 0, 1], 2);
        assert!((found.map.temperature - want.map.temperature).abs() < 1e-10);
    }

    #[test]
    fn every_error_is_typed() {
        let labels = |data| Labels::new(data, 2).unwrap();
        let fit =
            |logits: &[f64], labels| Temperature::fit(Logits::new(logits, 2).unwrap(), labels).unwrap_err();
        assert!(matches!(fit(&[0.0, 1.0], labels(&[0, 1])), Error::Shape { .. }));
        assert!(matches!(fit(&[], labels(&[])), Error::Empty { .. }));
        assert!(matches!(fit(&[f64::NAN, 1.0], labels(&[0])), Error::NonFiniteLogit { .. }));
        let inf = f64::NEG_INFINITY;
        assert!(matches!(fit(&[inf, inf], labels(&[0])), Error::NoAllowedClass { .. }));
        assert!(matches!(fit(&[inf, 0.0], labels(&[0])), Error::MaskedTarget { .. }));
        assert!(Temperature::new(0.0).is_err() && Temperature::new(f64::NAN).is_err());
    }
}
