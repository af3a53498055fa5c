//! Optimum, margins, loss floor and gradient bounds of softmax cross-entropy on one target row.
//!
//! With `L(z) = -Σ q_k ln p_k`, `p = softmax(z)` and `Σ q_k = 1`: the gradient is `p - q`, the Hessian
//! `diag(p) - p pᵀ` whatever `q` is, and the minimum `H(q)` is taken at `p = q`.

use crate::error::{Error, Result, check_classes};
use crate::targets::{RowTarget, TARGET_TOLERANCE, TargetRule};

/// Largest eigenvalue of the Hessian of softmax cross-entropy in the logits, whatever the target.
///
/// Smoothing lowers the slope of the loss, never this bound on its curvature.
pub const HESSIAN_BOUND: f64 = 0.5;

/// What softmax cross-entropy against one target row does, known before training.
///
/// For rules whose rows have more than two different masses (priors, taxonomies, Mixup); for the two
/// conventions of uniform smoothing see [`Explanation`](super::Explanation).
///
/// # Examples
/// ```
/// use candor::theory::TargetTheory;
/// let theory = TargetTheory::new(&[0.05, 0.9, 0.05])?;
/// assert!((theory.margin(1, 0)? - 18f64.ln()).abs() < 1e-12);
/// assert!((theory.loss_floor().unwrap() - 0.394398).abs() < 1e-6);
/// # Ok::<(), candor::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct TargetTheory {
    target: Vec<f64>,
    loss_floor: Option<f64>,
    lipschitz_l2: f64,
    gradient_linf: f64,
    gradient_l1: f64,
    effective_hard_weight: f64,
}

impl TargetTheory {
    /// The theory of a target row `[n_classes]` that sums to 1.
    ///
    /// Negative masses (generalised smoothing) are accepted; such a row has no optimum.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for fewer than two classes, [`Error::TargetValue`] for a mass that is not
    /// finite, [`Error::TargetSum`] if the sum differs from 1 by more than [`TARGET_TOLERANCE`].
    pub fn new(target: &[f64]) -> Result<Self> {
        check_classes(target.len())?;
        if let Some(class) = target.iter().position(|q| !q.is_finite()) {
            return Err(Error::TargetValue { row: 0, class, value: target[class] });
        }
        let sum: f64 = target.iter().sum();
        if (sum - 1.0).abs() > TARGET_TOLERANCE {
            return Err(Error::TargetSum { row: 0, sum });
        }
        let bounded = target.iter().all(|&q| q >= 0.0);
        let (linf, l1) = vertex_norms(target);
        let even = 1.0 / target.len() as f64;
        let from_uniform: f64 = target.iter().map(|q| (q - even) * (q - even)).sum();
        Ok(Self {
            target: target.to_vec(),
            loss_floor: bounded.then(|| entropy(target)),
            lipschitz_l2: lipschitz_l2(target),
            gradient_linf: linf,
            gradient_l1: l1,
            effective_hard_weight: (from_uniform / (1.0 - even)).sqrt(),
        })
    }

    /// The theory of the row that `rule` makes for `label`.
    ///
    /// # Errors
    /// Those of the rule and of [`new`](Self::new).
    ///
    /// # Examples
    /// ```
    /// use candor::{targets::Uniform, theory::TargetTheory};
    /// let theory = TargetTheory::of_rule(&Uniform::new(0.1)?, 0, 10)?;
    /// assert!((theory.effective_hard_weight() - 0.9).abs() < 1e-12);
    /// # Ok::<(), candor::Error>(())
    /// ```
    pub fn of_rule(rule: &dyn TargetRule, label: usize, n_classes: usize) -> Result<Self> {
        Self::new(&rule.distribution(label, n_classes)?)
    }

    /// The theory of one row of a batch of targets, with every class allowed.
    ///
    /// # Errors
    /// Those of [`new`](Self::new).
    ///
    /// # Examples
    /// ```
    /// use candor::{Labels, targets::Mixup, theory::TargetTheory};
    /// let targets = Mixup::new(0.0)?.targets(Labels::new(&[0, 1], 2)?, &[1, 0], &[0.75, 0.5])?;
    /// let theory = TargetTheory::of_row(targets.row(0).unwrap(), 2)?;
    /// assert!((theory.margin(0, 1)? - 3f64.ln()).abs() < 1e-12);
    /// # Ok::<(), candor::Error>(())
    /// ```
    pub fn of_row(row: RowTarget<'_>, n_classes: usize) -> Result<Self> {
        Self::new(&row.dense(n_classes))
    }

    /// The target row.
    pub fn target(&self) -> &[f64] {
        &self.target
    }

    /// The probabilities at the minimum, which are the target; `None` if a mass is negative, as the loss
    /// is then unbounded below. Classes of mass 0 reach it in the limit of infinite logits only.
    pub fn optimum(&self) -> Option<&[f64]> {
        self.loss_floor.map(|_| self.target.as_slice())
    }

    /// The margin `z_label - z_other = ln(q_label / q_other)` at the minimum: infinite if the other class
    /// has no mass, NaN if the row has no optimum or neither class has mass.
    ///
    /// # Errors
    /// [`Error::LabelOutOfRange`] for a class outside the row.
    pub fn margin(&self, label: usize, other: usize) -> Result<f64> {
        let mass = |class: usize| {
            self.target.get(class).copied().ok_or(Error::LabelOutOfRange {
                row: 0,
                label: class as i64,
                n_classes: self.target.len(),
                ignore_index: None,
            })
        };
        let (label, other) = (mass(label)?, mass(other)?);
        Ok(if self.loss_floor.is_some() { (label / other).ln() } else { f64::NAN })
    }

    /// The smallest loss that can be reached, the entropy `H(q)` in nats; `None` if there is none.
    pub fn loss_floor(&self) -> Option<f64> {
        self.loss_floor
    }

    /// `loss` minus the floor: the part that training can still remove, comparable across strengths.
    pub fn excess_loss(&self, loss: f64) -> Option<f64> {
        self.loss_floor.map(|floor| loss - floor)
    }

    /// The Lipschitz constant of the loss in the logits, Euclidean norm: the supremum of `‖p - q‖₂`.
    pub fn lipschitz_l2(&self) -> f64 {
        self.lipschitz_l2
    }

    /// The supremum of the largest gradient entry, `‖p - q‖∞`.
    pub fn gradient_linf(&self) -> f64 {
        self.gradient_linf
    }

    /// The supremum of the sum of absolute gradient entries, `‖p - q‖₁`.
    pub fn gradient_l1(&self) -> f64 {
        self.gradient_l1
    }

    /// The gradient `1/K - q_k` at the uniform prediction, where an untrained network starts.
    pub fn gradient_at_uniform(&self) -> Vec<f64> {
        let even = 1.0 / self.target.len() as f64;
        self.target.iter().map(|q| even - q).collect()
    }

    /// The size of the gradient at the uniform prediction relative to a hard label's:
    /// `‖q - u‖₂ / √(1 - 1/K)`; 1-α for uniform smoothing, `1 - αK/(K-1)` for off-class.
    pub fn effective_hard_weight(&self) -> f64 {
        self.effective_hard_weight
    }
}

/// `-Σ q ln q` in nats, with `0 ln 0 = 0`.
fn entropy(target: &[f64]) -> f64 {
    // Adding 0 turns the -0 of a one-hot row into 0.
    0.0 - target.iter().filter(|&&q| q > 0.0).map(|q| q * q.ln()).sum::<f64>()
}

/// `p - q` is convex in `p`, so the supremum lies at a vertex of the simplex, that of the least mass.
fn lipschitz_l2(target: &[f64]) -> f64 {
    let least = target.iter().copied().fold(f64::INFINITY, f64::min);
    let squares: f64 = target.iter().map(|q| q * q).sum();
    (1.0 - 2.0 * least + squares).max(0.0).sqrt()
}

/// Suprema of the maximum and the 1-norm of `p - q`, both taken at vertices too.
fn vertex_norms(target: &[f64]) -> (f64, f64) {
    let absolute: f64 = target.iter().map(|q| q.abs()).sum();
    let entry = target.iter().map(|q| (1.0 - q).abs().max(q.abs())).fold(0.0, f64::max);
    let sum = target.iter().map(|q| (1.0 - q).abs() + absolute - q.abs()).fold(0.0, f64::max);
    (entry, sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_equal_the_largest_over_all_vertices() {
        for target in [vec![0.7, 0.2, 0.1], vec![1.0, 0.0, 0.0], vec![1.2, -0.1, -0.1], vec![0.5, 0.5]] {
            let theory = TargetTheory::new(&target).unwrap();
            let (mut l2, mut linf, mut l1) = (0.0_f64, 0.0_f64, 0.0_f64);
            for vertex in 0..target.len() {
                let gap: Vec<f64> =
                    target.iter().enumerate().map(|(k, q)| f64::from(u8::from(k == vertex)) - q).collect();
                l2 = l2.max(gap.iter().map(|g| g * g).sum::<f64>().sqrt());
                linf = gap.iter().fold(linf, |most, g| most.max(g.abs()));
                l1 = l1.max(gap.iter().map(|g| g.abs()).sum());
            }
            assert!((theory.lipschitz_l2() - l2).abs() < 1e-14, "{target:?}");
            assert!((theory.gradient_linf() - linf).abs() < 1e-14, "{target:?}");
            assert!((theory.gradient_l1() - l1).abs() < 1e-14, "{target:?}");
        }
    }

    #[test]
    fn a_hard_label_has_no_floor_above_zero_and_an_infinite_margin() {
        let theory = TargetTheory::new(&[0.0, 1.0]).unwrap();
        assert_eq!(theory.loss_floor(), Some(0.0));
        assert!(theory.loss_floor().unwrap().is_sign_positive());
        assert_eq!(theory.margin(1, 0).unwrap(), f64::INFINITY);
        assert_eq!(theory.effective_hard_weight(), 1.0);
        assert_eq!(theory.gradient_at_uniform(), vec![0.5, -0.5]);
        assert!(matches!(theory.margin(2, 0), Err(Error::LabelOutOfRange { label: 2, .. })));
    }

    #[test]
    fn a_negative_mass_leaves_no_optimum() {
        let theory = TargetTheory::new(&[1.2, -0.2]).unwrap();
        assert_eq!((theory.optimum(), theory.loss_floor(), theory.excess_loss(1.0)), (None, None, None));
        assert!(theory.margin(0, 1).unwrap().is_nan());
    }

    #[test]
    fn rows_that_are_no_targets_are_refused() {
        assert!(matches!(TargetTheory::new(&[1.0]), Err(Error::OutOfRange { argument: "n_classes", .. })));
        assert!(matches!(TargetTheory::new(&[0.5, 0.4]), Err(Error::TargetSum { .. })));
        assert!(matches!(TargetTheory::new(&[0.5, f64::NAN]), Err(Error::TargetValue { class: 1, .. })));
    }
}
