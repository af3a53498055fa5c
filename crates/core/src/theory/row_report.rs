//! What one target row, or one sigmoid target, will do: the figures of its theory as a document.

use super::{BinaryTheory, HESSIAN_BOUND, TargetTheory, weighted_optimum};
use crate::error::{Error, Result};
use crate::losses::Weighting;

/// The theory of one target row.
///
/// Losses are in nats. A margin that is infinite (a class without mass) and everything of a row without an
/// optimum (negative mass) is `None`, in JSON `null`.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
#[non_exhaustive]
pub struct RowReport {
    /// What the row belongs to, such as "label 3".
    pub case: String,
    /// The class that margins are measured from: the label, or the class of most mass.
    pub label: usize,
    /// The target row `[n_classes]`, which is the optimum where there is one.
    pub target: Vec<f64>,
    /// Whether there is an optimum; with a negative mass the loss has no lower bound.
    pub has_optimum: bool,
    /// Logit of the label minus that of the nearest other class at the optimum.
    pub smallest_margin: Option<f64>,
    /// Logit of the label minus that of the furthest other class at the optimum.
    pub largest_margin: Option<f64>,
    /// The smallest loss that can be reached, `H(q)`.
    pub loss_floor: Option<f64>,
    /// How far the loss of a uniform prediction lies above the floor: all that training can remove.
    pub excess_at_uniform: Option<f64>,
    /// Lipschitz constant of the loss in the logits, Euclidean norm.
    pub lipschitz_l2: f64,
    /// Largest possible entry of the gradient.
    pub gradient_linf: f64,
    /// Largest possible sum of absolute gradient entries.
    pub gradient_l1: f64,
    /// Euclidean norm of the gradient at the uniform prediction.
    pub gradient_at_uniform: f64,
    /// Largest eigenvalue of the Hessian, the same for every target.
    pub hessian_bound: f64,
    /// Share of a hard label's gradient at the uniform prediction that is left.
    pub effective_hard_weight: f64,
    /// One minus that share: the uniform strength whose pull is as weak.
    pub equivalent_smoothing: f64,
    /// The optimum under class weights that multiply each class's term, as PyTorch's do; `None` without
    /// weights. With a weight of the whole row it stays the target.
    pub weighted_optimum: Option<Vec<f64>>,
    /// Whether that optimum prefers another class than the label.
    pub weights_overturn_label: Option<bool>,
}

impl RowReport {
    /// The report of a row that sums to 1, with the margins from `label`, or from its first largest mass.
    ///
    /// # Errors
    /// Those of [`TargetTheory::new`] and [`weighted_optimum`], [`Error::LabelOutOfRange`] for a label that is
    /// not in the row.
    ///
    /// # Examples
    /// ```
    /// let report = candor::theory::RowReport::new("mine", &[0.1, 0.8, 0.1], None, None)?;
    /// assert_eq!(report.label, 1);
    /// assert!((report.smallest_margin.unwrap() - 8f64.ln()).abs() < 1e-12);
    /// # Ok::<(), candor::Error>(())
    /// ```
    pub fn new(
        case: &str,
        target: &[f64],
        label: Option<usize>,
        class_weights: Option<&[f64]>,
    ) -> Result<Self> {
        let theory = TargetTheory::new(target)?;
        let label = label.unwrap_or_else(|| first_largest(target));
        let mut margins = Vec::with_capacity(target.len());
        for other in (0..target.len()).filter(|&other| other != label) {
            margins.push(theory.margin(label, other)?);
        }
        let finite = |margin: f64| Some(margin).filter(|m| m.is_finite());
        let weighted = match class_weights {
            // A weighted row with negative mass has no optimum either.
            Some(weights) if theory.optimum().is_some() => {
                Some(weighted_optimum(target, weights, Weighting::Pytorch)?)
            }
            Some(weights) if weights.len() != target.len() => {
                let (expected, got) = (target.len(), weights.len());
                return Err(Error::Shape { what: "class weights", expected, got });
            }
            _ => None,
        };
        let uniform_loss = (target.len() as f64).ln();
        Ok(Self {
            case: case.to_owned(),
            label,
            target: target.to_vec(),
            has_optimum: theory.optimum().is_some(),
            smallest_margin: finite(margins.iter().copied().fold(f64::INFINITY, f64::min)),
            largest_margin: finite(margins.iter().copied().fold(f64::NEG_INFINITY, nan_max)),
            loss_floor: theory.loss_floor(),
            excess_at_uniform: theory.excess_loss(uniform_loss),
            lipschitz_l2: theory.lipschitz_l2(),
            gradient_linf: theory.gradient_linf(),
            gradient_l1: theory.gradient_l1(),
            gradient_at_uniform: theory.gradient_at_uniform().iter().map(|g| g * g).sum::<f64>().sqrt(),
            hessian_bound: HESSIAN_BOUND,
            effective_hard_weight: theory.effective_hard_weight(),
            equivalent_smoothing: 1.0 - theory.effective_hard_weight(),
            weights_overturn_label: weighted.as_deref().map(|p| first_largest(p) != label),
            weighted_optimum: weighted,
        })
    }
}

/// The larger number; NaN if one is.
fn nan_max(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() { f64::NAN } else { a.max(b) }
}

/// The position of the first of the largest numbers.
fn first_largest(row: &[f64]) -> usize {
    (0..row.len()).reduce(|best, k| if row[k] > row[best] { k } else { best }).unwrap_or(0)
}

/// The theory of the targets of one sigmoid a class: once for positives, once for negatives.
///
/// A logit is `None` where it is infinite.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
#[non_exhaustive]
pub struct SigmoidReport {
    /// Target of a positive, and its probability at the optimum.
    pub target_positive: f64,
    /// Target of a negative, and its probability at the optimum.
    pub target_negative: f64,
    /// Logit of a positive at the optimum.
    pub logit_positive: Option<f64>,
    /// Logit of a negative at the optimum.
    pub logit_negative: Option<f64>,
    /// Their difference.
    pub margin: Option<f64>,
    /// The smallest loss of a positive, in nats.
    pub floor_positive: f64,
    /// The smallest loss of a negative, in nats.
    pub floor_negative: f64,
    /// Lipschitz constant of the loss of one class.
    pub gradient_bound: f64,
    /// Largest second derivative of the loss of one class, the same for every target.
    pub curvature_bound: f64,
    /// What is left of the difference between a positive's and a negative's gradient.
    pub effective_hard_weight: f64,
    /// Sum of the targets of a row with one positive: more than 1 lifts the predicted base rates.
    pub sum_with_one_positive: f64,
}

impl SigmoidReport {
    /// The report of targets `positive` and `negative` in [0, 1] over `n_classes` sigmoids.
    ///
    /// # Errors
    /// [`Error::OutOfRange`].
    ///
    /// # Examples
    /// ```
    /// let report = candor::theory::SigmoidReport::new(0.95, 0.05, 20)?;
    /// assert!((report.margin.unwrap() - 2.0 * 19f64.ln()).abs() < 1e-12);
    /// assert!((report.sum_with_one_positive - 1.9).abs() < 1e-12);
    /// # Ok::<(), candor::Error>(())
    /// ```
    pub fn new(positive: f64, negative: f64, n_classes: usize) -> Result<Self> {
        let (on, off) = (BinaryTheory::new(positive)?, BinaryTheory::new(negative)?);
        let finite = |logit: f64| Some(logit).filter(|z| z.is_finite());
        Ok(Self {
            target_positive: positive,
            target_negative: negative,
            logit_positive: finite(on.logit()),
            logit_negative: finite(off.logit()),
            margin: finite(on.logit() - off.logit()),
            floor_positive: on.loss_floor(),
            floor_negative: off.loss_floor(),
            gradient_bound: on.gradient_bound().max(off.gradient_bound()),
            curvature_bound: 0.25,
            effective_hard_weight: positive - negative,
            sum_with_one_positive: positive + n_classes.saturating_sub(1) as f64 * negative,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_of_three_masses_by_hand() {
        let report = RowReport::new("", &[0.6, 0.3, 0.1], Some(0), Some(&[1.0, 4.0, 1.0])).unwrap();
        assert!((report.smallest_margin.unwrap() - 2f64.ln()).abs() < 1e-14);
        assert!((report.largest_margin.unwrap() - 6f64.ln()).abs() < 1e-14);
        // Weighted masses .6, 1.2 and .1.
        assert!((report.weighted_optimum.unwrap()[1] - 1.2 / 1.9).abs() < 1e-14);
        assert_eq!(report.weights_overturn_label, Some(true));
        let floor = report.loss_floor.unwrap();
        assert!((report.excess_at_uniform.unwrap() - (3f64.ln() - floor)).abs() < 1e-15);
        assert!((report.effective_hard_weight + report.equivalent_smoothing - 1.0).abs() < 1e-15);
    }

    #[test]
    fn what_is_infinite_or_absent_is_none() {
        let hard = RowReport::new("", &[0.0, 1.0, 0.0], None, None).unwrap();
        assert_eq!((hard.label, hard.smallest_margin, hard.largest_margin), (1, None, None));
        let some = RowReport::new("", &[0.25, 0.75, 0.0], None, None).unwrap();
        assert_eq!(some.largest_margin, None);
        assert!((some.smallest_margin.unwrap() - 3f64.ln()).abs() < 1e-14);
        let negative = RowReport::new("", &[1.2, -0.2], Some(0), Some(&[1.0, 2.0])).unwrap();
        assert!(!negative.has_optimum && negative.smallest_margin.is_none());
        assert_eq!((negative.loss_floor, negative.weighted_optimum), (None, None));
        let sigmoid = SigmoidReport::new(0.9, 0.0, 1).unwrap();
        assert_eq!((sigmoid.logit_negative, sigmoid.margin), (None, None));
    }

    #[test]
    fn each_error() {
        assert!(RowReport::new("", &[0.5, 0.4], None, None).is_err());
        let label = RowReport::new("", &[0.5, 0.5], Some(2), None);
        assert!(matches!(label, Err(Error::LabelOutOfRange { label: 2, .. })), "{label:?}");
        let few = RowReport::new("", &[1.5, -0.5], None, Some(&[1.0]));
        assert!(matches!(few, Err(Error::Shape { .. })), "{few:?}");
        assert!(SigmoidReport::new(1.1, 0.0, 2).is_err());
    }
}
