//! Where class weights move the optimum of a target row.

use crate::error::{Error, Result, check_classes};
use crate::losses::Weighting;

/// The probabilities at the minimum of the weighted loss on one target row.
///
/// With [`Weighting::Label`] a row is weighted as a whole and the optimum stays the target. With
/// [`Weighting::Pytorch`] the weight multiplies each class's term and the optimum is `w_k q_k / Σ w_j q_j`,
/// so a heavy class can outgrow the label through its smoothing mass alone.
///
/// # Errors
/// [`Error::Shape`] unless there is one weight a class, [`Error::WeightValue`] for a weight that is
/// negative or not finite, [`Error::TargetValue`] for such a mass, [`Error::ZeroWeight`] if no weighted
/// mass is left, [`Error::OutOfRange`] for fewer than two classes.
///
/// # Examples
/// ```
/// use candor::{losses::Weighting, theory::weighted_optimum};
/// // The label is class 0, smoothed by 0.1, and yet PyTorch's weighting prefers class 1.
/// let p = weighted_optimum(&[0.95, 0.05], &[1.0, 100.0], Weighting::Pytorch)?;
/// assert!((p[1] - 0.84).abs() < 1e-2);
/// assert_eq!(weighted_optimum(&[0.95, 0.05], &[1.0, 100.0], Weighting::Label)?, [0.95, 0.05]);
/// # Ok::<(), candor::Error>(())
/// ```
pub fn weighted_optimum(target: &[f64], class_weights: &[f64], weighting: Weighting) -> Result<Vec<f64>> {
    check_classes(target.len())?;
    if class_weights.len() != target.len() {
        let (expected, got) = (target.len(), class_weights.len());
        return Err(Error::Shape { what: "class weights", expected, got });
    }
    let bad = |value: &f64| !(value.is_finite() && *value >= 0.0);
    if let Some(index) = class_weights.iter().position(bad) {
        return Err(Error::WeightValue { what: "class weight", index, value: class_weights[index] });
    }
    if let Some(class) = target.iter().position(bad) {
        return Err(Error::TargetValue { row: 0, class, value: target[class] });
    }
    let weighted: Vec<f64> = target.iter().zip(class_weights).map(|(q, w)| q * w).collect();
    let sum: f64 = weighted.iter().sum();
    if sum <= 0.0 {
        return Err(Error::ZeroWeight { what: "the optimum" });
    }
    Ok(match weighting {
        Weighting::Label => target.to_vec(),
        Weighting::Pytorch => weighted.iter().map(|v| v / sum).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_weights_change_nothing() {
        for weighting in [Weighting::Label, Weighting::Pytorch] {
            let p = weighted_optimum(&[0.25, 0.75], &[2.0, 2.0], weighting).unwrap();
            assert_eq!(p, [0.25, 0.75]);
        }
    }

    #[test]
    fn the_weighted_optimum_zeroes_the_weighted_gradient() {
        let (q, w) = ([0.9, 0.06, 0.04], [1.0, 7.0, 0.5]);
        let p = weighted_optimum(&q, &w, Weighting::Pytorch).unwrap();
        let s: f64 = q.iter().zip(w).map(|(q, w)| q * w).sum();
        for k in 0..3 {
            assert!((s * p[k] - w[k] * q[k]).abs() < 1e-15);
        }
    }

    #[test]
    fn each_bad_argument_has_its_error() {
        let of = |q: &[f64], w: &[f64]| weighted_optimum(q, w, Weighting::Pytorch).unwrap_err();
        assert!(matches!(of(&[0.5, 0.5], &[1.0]), Error::Shape { .. }));
        assert!(matches!(of(&[0.5, 0.5], &[1.0, -1.0]), Error::WeightValue { index: 1, .. }));
        assert!(matches!(of(&[0.5, f64::NAN], &[1.0, 1.0]), Error::TargetValue { class: 1, .. }));
        assert!(matches!(of(&[1.0, 0.0], &[0.0, 1.0]), Error::ZeroWeight { .. }));
        assert!(matches!(of(&[1.0], &[1.0]), Error::OutOfRange { .. }));
    }
}
