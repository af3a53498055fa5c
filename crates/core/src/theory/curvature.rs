//! The curvature of softmax cross-entropy at a prediction: the largest eigenvalue of `diag(p) - p pᵀ`.

use crate::error::Result;

/// The largest eigenvalue of the Hessian `diag(p) - p pᵀ` of softmax cross-entropy in the logits, in [0, 1/2].
///
/// It does not depend on the target, so smoothing changes it only through the predictions that a model ends
/// with: confident ones lie where the loss is flat, smoothed ones where it is curved. Exact: the root of the
/// secular equation `Σ p_k² / (p_k - λ) = 1` between the two largest probabilities.
///
/// # Shapes
/// - `probs`: one row `[n_classes]` that sums to 1
///
/// # Errors
/// [`Error::ProbabilityValue`](crate::Error::ProbabilityValue) and
/// [`Error::ProbabilitySum`](crate::Error::ProbabilitySum) for a row that is no distribution.
///
/// # Examples
/// ```
/// use candor::theory::{HESSIAN_BOUND, logit_curvature};
/// assert_eq!(logit_curvature(&[0.5, 0.5, 0.0])?, HESSIAN_BOUND);
/// assert_eq!(logit_curvature(&[1.0, 0.0])?, 0.0);
/// # Ok::<(), candor::Error>(())
/// ```
pub fn logit_curvature(probs: &[f64]) -> Result<f64> {
    crate::batch::check_row(0, probs)?;
    let (mut first, mut second) = (0.0_f64, 0.0_f64);
    for &p in probs {
        if p > first {
            (first, second) = (p, first);
        } else if p > second {
            second = p;
        }
    }
    // A double eigenvalue of the diagonal stays one: the rank-one part is orthogonal to a difference of the two.
    if first == second {
        return Ok(first);
    }
    if second == 0.0 {
        return Ok((first * (1.0 - first)).max(0.0));
    }
    // The sum rises from -inf to +inf between the two largest.
    let (mut low, mut high) = (second, first);
    loop {
        let middle = 0.5 * (low + high);
        if middle <= low || middle >= high {
            return Ok(middle);
        }
        let sum: f64 = probs.iter().map(|p| p * p / (p - middle)).sum();
        if sum > 1.0 {
            high = middle;
        } else {
            low = middle;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_classes_and_equal_probabilities_by_hand() {
        // For two classes the matrix is p(1-p) times ((1, -1), (-1, 1)).
        for p in [0.5, 0.6, 0.9, 0.999] {
            let got = logit_curvature(&[p, 1.0 - p]).unwrap();
            assert!((got - 2.0 * p * (1.0 - p)).abs() < 1e-15, "{p}: {got}");
        }
        assert_eq!(logit_curvature(&[0.25; 4]).unwrap(), 0.25);
        assert_eq!(logit_curvature(&[0.4, 0.4, 0.2]).unwrap(), 0.4);
    }

    #[test]
    fn it_is_the_growth_of_repeated_multiplication() {
        for probs in [[0.7, 0.2, 0.06, 0.04], [0.3, 0.29, 0.21, 0.2], [0.97, 0.01, 0.01, 0.01]] {
            let mut v = [1.0, -0.3, 0.2, -0.5];
            let mut growth = 0.0;
            for _ in 0..4000 {
                let inner: f64 = probs.iter().zip(&v).map(|(p, v)| p * v).sum();
                let next: Vec<f64> = probs.iter().zip(&v).map(|(p, v)| p * (v - inner)).collect();
                growth = next.iter().map(|v| v * v).sum::<f64>().sqrt();
                v.iter_mut().zip(&next).for_each(|(v, next)| *v = next / growth);
            }
            let got = logit_curvature(&probs).unwrap();
            assert!((got - growth).abs() < 1e-12, "{probs:?}: {got} {growth}");
        }
    }

    #[test]
    fn what_is_no_distribution_is_refused() {
        assert!(logit_curvature(&[0.5, 0.4]).is_err());
        assert!(logit_curvature(&[f64::NAN, 1.0]).is_err());
        assert!(logit_curvature(&[]).is_err());
    }
}
