//! Soft labels for ordered classes: the mass decays with the number of steps from the label.

use super::matrix::check_matrix_classes;
use super::{Entry, Make, Matrix, TargetInfo, TargetRule, Targets};
use crate::batch::Labels;
use crate::error::{Result, check_range};
use crate::parameters::Parameter;

const SHAPES: &[&str] = &["absolute", "squared", "gaussian", "binomial"];

pub(super) const ENTRY: Entry = Entry {
    info: &INFO,
    make: Make::Rule(|p, k| Ok(Box::new(Ordinal::new(p.word("shape").parse()?, p.number("scale"), k)?))),
};

const INFO: TargetInfo = TargetInfo {
    name: "ordinal",
    summary: "mass that decays with the steps from the label, for ordered classes: ages, grades, stages",
    formula: "q_k ∝ exp(-|k-y|/τ), exp(-(k-y)²/τ), exp(-(k-y)²/2σ²), or Binomial(K-1, (y+½)/K)",
    parameters: &[
        Parameter::choice("shape", "absolute", SHAPES, "how the mass decays"),
        Parameter::number("scale", 1.0, 1e-3, 1e6, "τ or σ, in steps; the binomial shape has none"),
    ],
    paper: "Díaz & Marathe 2019, CVPR (SORD); Pinto da Costa et al. 2008 (binomial)",
};

/// How the mass of ordered classes decays with the steps from the label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum OrdinalShape {
    /// SORD with the absolute distance: `exp(-|k-y|/τ)`.
    Absolute,
    /// SORD with the squared distance: `exp(-(k-y)²/τ)`.
    Squared,
    /// A normal density of deviation σ: `exp(-(k-y)²/2σ²)`.
    Gaussian,
    /// The binomial distribution of K-1 trials with success probability `(y+½)/K`.
    Binomial,
}

impl std::str::FromStr for OrdinalShape {
    type Err = crate::Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "absolute" => Ok(OrdinalShape::Absolute),
            "squared" => Ok(OrdinalShape::Squared),
            "gaussian" => Ok(OrdinalShape::Gaussian),
            "binomial" => Ok(OrdinalShape::Binomial),
            _ => Err(crate::registry::unknown("shape", name, SHAPES.iter().copied())),
        }
    }
}

/// Soft labels for ordered classes.
///
/// When the classes stand in an order and a near mistake is better than a far one. A small scale gives a
/// one-hot row.
///
/// # Examples
/// ```
/// use candor::targets::{Ordinal, OrdinalShape, TargetRule};
/// let q = Ordinal::new(OrdinalShape::Absolute, 1.0, 5)?.distribution(2, 5)?;
/// assert!((q[2] / q[1] - 1f64.exp()).abs() < 1e-12 && q[1] == q[3]);
/// # Ok::<(), candor::Error>(())
/// ```
///
/// # References
/// Díaz & Marathe, *Soft Labels for Ordinal Regression*, CVPR 2019.
#[derive(Debug, Clone)]
pub struct Ordinal {
    matrix: Matrix,
}

impl Ordinal {
    /// A rule of this shape; `scale` is τ or σ in steps, in `[0.001, 1e6]` (not used by the binomial).
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) for a scale outside that range, fewer than two
    /// classes or more than [`MAX_MATRIX_CLASSES`](super::MAX_MATRIX_CLASSES).
    pub fn new(shape: OrdinalShape, scale: f64, n_classes: usize) -> Result<Self> {
        check_range("scale", scale, 1e-3, 1e6)?;
        check_matrix_classes(n_classes)?;
        let mut rows = Vec::with_capacity(n_classes * n_classes);
        for label in 0..n_classes {
            let logs: Vec<f64> =
                (0..n_classes).map(|class| log_mass(shape, scale, class, label, n_classes)).collect();
            let most = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = logs.iter().map(|log| (log - most).exp()).sum();
            rows.extend(logs.iter().map(|log| (log - most).exp() / sum));
        }
        Ok(Self { matrix: Matrix::new(1.0, &rows, n_classes)? })
    }
}

/// The logarithm of a class's mass, up to a constant of the row.
fn log_mass(shape: OrdinalShape, scale: f64, class: usize, label: usize, n_classes: usize) -> f64 {
    let steps = class.abs_diff(label) as f64;
    match shape {
        OrdinalShape::Absolute => -steps / scale,
        OrdinalShape::Squared => -steps * steps / scale,
        OrdinalShape::Gaussian => -steps * steps / (2.0 * scale * scale),
        OrdinalShape::Binomial => {
            let (k, n) = (class as f64, n_classes as f64 - 1.0);
            let p = (label as f64 + 0.5) / n_classes as f64;
            let choose = libm::lgamma(n + 1.0) - libm::lgamma(k + 1.0) - libm::lgamma(n - k + 1.0);
            choose + k * p.ln() + (n - k) * (-p).ln_1p()
        }
    }
}

impl TargetRule for Ordinal {
    fn info(&self) -> &'static TargetInfo {
        &INFO
    }

    fn targets<'a>(&self, labels: Labels<'a>) -> Result<Targets<'a>> {
        self.matrix.targets(labels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(shape: OrdinalShape, scale: f64, label: usize) -> Vec<f64> {
        Ordinal::new(shape, scale, 4).unwrap().distribution(label, 4).unwrap()
    }

    #[test]
    fn each_shape_follows_its_formula() {
        let q = row(OrdinalShape::Squared, 2.0, 0);
        assert!((q[0] / q[2] - 2f64.exp()).abs() < 1e-12);
        assert_eq!(row(OrdinalShape::Gaussian, 1.0, 0), q);
        // Binomial(3, 3/8) by hand.
        let p: f64 = 3.0 / 8.0;
        let want = [(1.0 - p).powi(3), 3.0 * p * (1.0 - p).powi(2), 3.0 * p * p * (1.0 - p), p.powi(3)];
        for (got, want) in row(OrdinalShape::Binomial, 1.0, 1).iter().zip(want) {
            assert!((got - want).abs() < 1e-14);
        }
    }

    #[test]
    fn the_label_has_the_most_mass_and_a_small_scale_is_one_hot() {
        for shape in [OrdinalShape::Absolute, OrdinalShape::Squared, OrdinalShape::Gaussian] {
            for label in 0..4 {
                let q = row(shape, 1.5, label);
                assert!(q.iter().all(|v| *v <= q[label]));
            }
            assert_eq!(row(shape, 1e-3, 3), [0.0, 0.0, 0.0, 1.0]);
        }
    }

    #[test]
    fn bad_arguments_are_refused() {
        assert!(Ordinal::new(OrdinalShape::Absolute, 0.0, 4).is_err());
        assert!(Ordinal::new(OrdinalShape::Absolute, 1.0, 1).is_err());
        assert!("cubic".parse::<OrdinalShape>().is_err());
    }
}
