//! Temperature scaling: one number that divides the logits (Guo et al. 2017, arXiv:1706.04599).
//!
//! The NLL is convex in β = 1/T, so its minimum is the zero of an increasing function. A bracketed Newton
//! iteration finds it from any logits: it cannot diverge, and T stays positive.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::CalibratorInfo;
use crate::batch::{Labels, Logits, Scalar};
use crate::error::{Error, Result, check_range};
use crate::kernels::math;

pub(super) const INFO: CalibratorInfo = CalibratorInfo {
    name: "temperature",
    summary: "divides the logits by one number; the first map to try, needs few rows",
    formula: "softmax(z / T)",
    preserves_accuracy: true,
    paper: "Guo et al. 2017, arXiv:1706.04599",
};

/// T is looked for between the logits' own scale times this and divided by this.
const RANGE: f64 = 1e6;
/// Rows of one partial sum.
const BLOCK_ROWS: usize = 1024;
/// An NLL below this says that the logits separate the classes.
const SEPARATED: f64 = 1e-9;

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
    /// What to tell the user, if not converged.
    pub fn warning(self) -> Option<&'static str> {
        match self {
            Outcome::Converged => None,
            Outcome::Separable => Some(
                "every fitted row is classified correctly with a margin, so the best temperature is 0; it was stopped where the loss vanishes. Fit on held-out rows, not on training rows",
            ),
            Outcome::AntiCorrelated => Some(
                "larger logits go with wrong classes, so the best temperature is infinite; it was stopped at its bound. Check that labels and logits belong together",
            ),
            Outcome::Flat => Some("the logits of each row are equal, so every temperature fits equally well"),
        }
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
}

impl Temperature {
    /// A temperature given by the user.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] unless it is positive and finite.
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
    /// [`Error::Shape`] if rows and labels differ in number, [`Error::Empty`] without a counted row,
    /// [`Error::NonFiniteLogit`], [`Error::NoAllowedClass`], [`Error::MaskedTarget`].
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
        let problem = Problem::new(logits, labels)?;
        let scale = problem.scale;
        let nll_before = problem.evaluate(1.0).value;
        if scale == 0.0 {
            let map = Temperature { temperature: 1.0 };
            return Ok(TemperatureFit {
                map,
                outcome: Outcome::Flat,
                nll_before,
                nll_after: nll_before,
                evaluations: 1,
            });
        }
        let (lowest, highest) = (1.0 / (scale * RANGE), RANGE / scale);
        let (mut low, mut high) = (lowest, highest);
        let mut beta = 1.0 / scale;
        let mut evaluations = 1;
        let mut point = problem.evaluate(beta);
        for _ in 0..200 {
            evaluations += 1;
            if point.slope < 0.0 {
                low = beta
            } else {
                high = beta
            }
            let newton = beta - point.slope / point.curvature;
            let next = if newton > low && newton < high { newton } else { (low * high).sqrt() };
            let done = (next - beta).abs() <= 1e-13 * beta || high - low <= 1e-13 * high;
            beta = next;
            point = problem.evaluate(beta);
            if done || point.slope == 0.0 || point.value < SEPARATED {
                break;
            }
        }
        let outcome = if point.value < SEPARATED || beta >= highest * (1.0 - 1e-6) {
            Outcome::Separable
        } else if beta <= lowest * (1.0 + 1e-6) {
            Outcome::AntiCorrelated
        } else {
            Outcome::Converged
        };
        let map = Temperature { temperature: 1.0 / beta };
        Ok(TemperatureFit { map, outcome, nll_before, nll_after: point.value, evaluations })
    }

    /// Divides logits by the temperature.
    pub fn apply<T: Scalar>(&self, logits: &mut [T]) {
        for z in logits {
            *z = T::from_f64(z.to_f64() / self.temperature);
        }
    }
}

/// The NLL as a function of β, with its derivatives.
struct Problem {
    /// Logits minus the row's largest, masked classes left at -inf.
    shifted: Vec<f64>,
    /// The label's shifted logit.
    of_label: Vec<f64>,
    n_classes: usize,
    /// Root mean square distance of a row's logits from their mean.
    scale: f64,
}

#[derive(Clone, Copy, Default)]
struct Point {
    value: f64,
    slope: f64,
    curvature: f64,
}

impl Problem {
    fn new<T: Scalar>(logits: Logits<'_, T>, labels: Labels<'_>) -> Result<Self> {
        if labels.len() != logits.n_rows() {
            return Err(Error::Shape { what: "labels", expected: logits.n_rows(), got: labels.len() });
        }
        if labels.counted() == 0 {
            return Err(Error::Empty { what: "a temperature", rows: labels.len(), ignored: labels.len() });
        }
        let n_classes = logits.n_classes();
        let mut shifted = Vec::with_capacity(labels.counted() * n_classes);
        let mut of_label = Vec::with_capacity(labels.counted());
        let mut squares = 0.0;
        for row in 0..labels.len() {
            let Some(label) = labels.get(row) else { continue };
            let mut max = f64::NEG_INFINITY;
            for (class, z) in logits.row(row).iter().enumerate() {
                let value = z.to_f64();
                if value.is_nan() || value == f64::INFINITY {
                    return Err(Error::NonFiniteLogit { row, class, value });
                }
                max = max.max(value);
            }
            if max == f64::NEG_INFINITY {
                return Err(Error::NoAllowedClass { row });
            }
            let values = logits.row(row).iter().map(|z| z.to_f64() - max);
            let allowed = || values.clone().filter(|v| *v != f64::NEG_INFINITY);
            let count = allowed().count() as f64;
            let mean = allowed().sum::<f64>() / count;
            squares += allowed().map(|v| (v - mean) * (v - mean)).sum::<f64>() / count;
            let y = logits.row(row)[label].to_f64() - max;
            if y == f64::NEG_INFINITY {
                return Err(Error::MaskedTarget { row, class: label });
            }
            of_label.push(y);
            shifted.extend(values);
        }
        let scale = (squares / of_label.len() as f64).sqrt();
        Ok(Self { shifted, of_label, n_classes, scale })
    }

    fn evaluate(&self, beta: f64) -> Point {
        let sums: Vec<Point> = self
            .shifted
            .par_chunks(BLOCK_ROWS * self.n_classes)
            .zip(self.of_label.par_chunks(BLOCK_ROWS))
            .map(|(rows, labels)| {
                let mut sum = Point::default();
                for (row, label) in rows.chunks_exact(self.n_classes).zip(labels) {
                    let (mut exps, mut first, mut second) = (0.0, 0.0, 0.0);
                    for &v in row {
                        let e = math::exp(beta * v);
                        // A masked class has no mass: keep 0 times infinity at 0.
                        let v = if e == 0.0 { 0.0 } else { v };
                        exps += e;
                        first += e * v;
                        second += e * v * v;
                    }
                    let mean = first / exps;
                    sum.value += math::ln(exps) - beta * label;
                    sum.slope += mean - label;
                    sum.curvature += second / exps - mean * mean;
                }
                sum
            })
            .collect();
        let n = self.of_label.len() as f64;
        let total = sums.iter().fold(Point::default(), |a, b| Point {
            value: a.value + b.value,
            slope: a.slope + b.slope,
            curvature: a.curvature + b.curvature,
        });
        Point { value: total.value / n, slope: total.slope / n, curvature: total.curvature / n }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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
