//! The bias of probabilities learnt from uniform smoothing, and its inverse.
//!
//! In the population the minimiser for true conditionals η is `p = (1-α)η + α/K`.

use crate::batch::check_row;
use crate::error::{Result, check_classes, check_range, check_range_hint};

/// Accuracy minus mean confidence of a model that reaches the population optimum: `α(accuracy - 1/K)`.
///
/// `smoothing` is the strength in the uniform convention. Positive means under-confident. A model that
/// cannot represent the smoothed conditional misses this figure.
///
/// # Errors
/// [`Error::OutOfRange`](crate::Error::OutOfRange) for fewer than two classes, or a strength or an
/// accuracy outside [0, 1].
///
/// # Examples
/// ```
/// let gap = candor::theory::expected_underconfidence(0.4, 0.908, 2)?;
/// assert!((gap - 0.1632).abs() < 1e-12);
/// # Ok::<(), candor::Error>(())
/// ```
pub fn expected_underconfidence(smoothing: f64, accuracy: f64, n_classes: usize) -> Result<f64> {
    check_classes(n_classes)?;
    check_range_hint("smoothing", smoothing, 0.0, 1.0, " (convention uniform)")?;
    check_range("accuracy", accuracy, 0.0, 1.0)?;
    Ok(smoothing * (accuracy - 1.0 / n_classes as f64))
}

/// Undoes uniform smoothing on one row of probabilities: `(p - α/K) / (1-α)`, clipped at 0 and
/// renormalised.
///
/// Exact for a model that can represent the smoothed conditional; a logistic regression fitted to
/// smoothed labels cannot, and keeps part of the bias.
///
/// # Errors
/// [`Error::OutOfRange`](crate::Error::OutOfRange) for fewer than two classes or a strength outside
/// [0, 0.999999], [`Error::ProbabilityValue`](crate::Error::ProbabilityValue) and
/// [`Error::ProbabilitySum`](crate::Error::ProbabilitySum) for a row that is no distribution.
///
/// # Examples
/// ```
/// let eta = candor::theory::unsmooth(&[0.82, 0.18], 0.2)?;
/// assert!((eta[0] - 0.9).abs() < 1e-12);
/// # Ok::<(), candor::Error>(())
/// ```
pub fn unsmooth(probs: &[f64], smoothing: f64) -> Result<Vec<f64>> {
    check_classes(probs.len())?;
    check_range_hint("smoothing", smoothing, 0.0, 0.999_999, " (uniform targets keep nothing)")?;
    check_row(0, probs)?;
    if smoothing == 0.0 {
        return Ok(probs.to_vec());
    }
    // The common factor 1/(1-α) cancels in the renormalisation.
    let floor = smoothing / probs.len() as f64;
    let clipped: Vec<f64> = probs.iter().map(|p| (p - floor).max(0.0)).collect();
    let sum: f64 = clipped.iter().sum();
    // Rounded rows of nearly uniform targets may lie below the floor altogether.
    if sum <= 0.0 {
        return Ok(vec![1.0 / probs.len() as f64; probs.len()]);
    }
    Ok(clipped.iter().map(|p| p / sum).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn smoothing_and_unsmoothing_cancel() {
        let eta = [0.7, 0.25, 0.05];
        for strength in [0.0, 0.1, 0.9] {
            let p: Vec<f64> = eta.iter().map(|e| (1.0 - strength) * e + strength / 3.0).collect();
            for (got, want) in unsmooth(&p, strength).unwrap().iter().zip(eta) {
                assert!((got - want).abs() < 1e-13, "{strength}");
            }
        }
    }

    #[test]
    fn what_lies_below_the_floor_is_clipped() {
        assert_eq!(unsmooth(&[0.99, 0.01], 0.2).unwrap(), vec![1.0, 0.0]);
    }

    #[test]
    fn arguments_out_of_range_are_refused() {
        assert!(unsmooth(&[0.5, 0.5], 1.0).is_err());
        assert!(unsmooth(&[0.5, 0.4], 0.1).is_err());
        assert!(unsmooth(&[1.0], 0.1).is_err());
        assert!(expected_underconfidence(0.1, 1.5, 2).is_err());
        assert!(expected_underconfidence(-0.1, 0.5, 2).is_err());
        assert!(expected_underconfidence(0.1, 0.5, 1).is_err());
    }
}
