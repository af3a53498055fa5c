//! How much a difference of logits still tells about which example it came from (Müller et al. 2019).

use crate::error::{Error, Result, check_range};

/// The mutual information between an example and its logit difference under random views, in nats.
///
/// `draws` holds for each example the logit difference of several random views of it. Each example's draws are
/// taken as normal around their mean `μ_x` with one pooled variance `σ²`; then
/// `Î = mean over draws f of [-(f - μ_x)² / 2σ² - ln mean over x' of e^{-(f - μ_x')² / 2σ²}]`.
/// The estimate lies in `[0, ln N]`. It is `ln N` where every example can be told from the others, and falls
/// towards the logarithm of the number of clusters where smoothing erases what distinguishes the members of a
/// class: `ln 2` for two classes that have collapsed.
///
/// # Shapes
/// - `draws`: `[n_examples, n_draws]`, at least two of each
///
/// # Errors
/// [`Error::OutOfRange`] for fewer than two draws or examples, or a draw that is not finite;
/// [`Error::RaggedRows`] for a length that is no multiple of `n_draws`.
///
/// # Examples
/// ```
/// let draws = [0.0, 0.1, 0.0, 0.1, 9.0, 9.1, 9.0, 9.1];
/// let information = candor::theory::mutual_information(&draws, 2)?;
/// assert!((information - 2f64.ln()).abs() < 1e-6); // two clusters of two examples
/// # Ok::<(), candor::Error>(())
/// ```
///
/// # References
/// Müller et al., *When Does Label Smoothing Help?*, NeurIPS 2019, arXiv:1906.02629, section 4.
pub fn mutual_information(draws: &[f64], n_draws: usize) -> Result<f64> {
    const MOST: f64 = 1e9;
    check_range("the number of draws of an example", n_draws as f64, 2.0, MOST)?;
    if !draws.len().is_multiple_of(n_draws) {
        return Err(Error::RaggedRows { what: "draws", len: draws.len(), n_classes: n_draws });
    }
    let n = draws.len() / n_draws;
    check_range("the number of examples", n as f64, 2.0, MOST)?;
    for &draw in draws {
        check_range("a draw", draw, f64::MIN, f64::MAX)?;
    }
    let means: Vec<f64> =
        draws.chunks_exact(n_draws).map(|draws| draws.iter().sum::<f64>() / n_draws as f64).collect();
    let squares: f64 = draws
        .chunks_exact(n_draws)
        .zip(&means)
        .flat_map(|(draws, mean)| draws.iter().map(move |draw| (draw - mean) * (draw - mean)))
        .sum();
    let variance = squares / draws.len() as f64;
    if variance == 0.0 {
        // Without spread only equal means cannot be told apart.
        let mut sizes: std::collections::BTreeMap<u64, f64> = std::collections::BTreeMap::new();
        means.iter().for_each(|mean| *sizes.entry((mean + 0.0).to_bits()).or_default() += 1.0);
        return Ok(sizes.values().map(|size| size / n as f64 * (n as f64 / size).ln()).sum());
    }
    let exponent = |draw: f64, mean: f64| -(draw - mean) * (draw - mean) / (2.0 * variance);
    let mut sum = 0.0;
    for (own, draws) in means.iter().zip(draws.chunks_exact(n_draws)) {
        for &draw in draws {
            let largest = means.iter().map(|mean| exponent(draw, *mean)).fold(f64::NEG_INFINITY, f64::max);
            let others: f64 = means.iter().map(|mean| (exponent(draw, *mean) - largest).exp()).sum();
            sum += exponent(draw, *own) - largest - (others / n as f64).ln();
        }
    }
    Ok((sum / draws.len() as f64).clamp(0.0, (n as f64).ln()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_far_apart_are_all_known_and_equal_ones_not_at_all() {
        let apart: Vec<f64> =
            (0..5).flat_map(|x| [100.0 * f64::from(x), 100.0 * f64::from(x) + 1.0]).collect();
        assert!((mutual_information(&apart, 2).unwrap() - 5.0_f64.ln()).abs() < 1e-12);
        assert_eq!(mutual_information(&[0.0, 1.0, 0.0, 1.0, 0.0, 1.0], 2).unwrap(), 0.0);
        // Two clusters, one of three examples and one of one, without any spread: the entropy of (3/4, 1/4).
        let clusters = [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 7.0, 7.0];
        let entropy = 0.75 * (4.0_f64 / 3.0).ln() + 0.25 * 4.0_f64.ln();
        assert!((mutual_information(&clusters, 2).unwrap() - entropy).abs() < 1e-15);
    }

    #[test]
    fn two_overlapping_examples_by_hand() {
        // Means 0 and 2, σ² = 1; every draw has exponents (-1/2, -1/2) or (-1/2, -9/2), each half of them.
        let got = mutual_information(&[-1.0, 1.0, 1.0, 3.0], 2).unwrap();
        let far = -0.5 - (0.5 * ((-0.5_f64).exp() + (-4.5_f64).exp())).ln();
        assert!((got - 0.5 * far).abs() < 1e-15, "{got} {far}");
    }

    #[test]
    fn each_error() {
        assert!(matches!(mutual_information(&[0.0; 4], 1), Err(Error::OutOfRange { .. })));
        assert!(matches!(mutual_information(&[0.0; 2], 2), Err(Error::OutOfRange { .. })));
        assert!(matches!(mutual_information(&[0.0; 5], 2), Err(Error::RaggedRows { .. })));
        assert!(matches!(mutual_information(&[0.0, 1.0, f64::NAN, 0.0], 2), Err(Error::OutOfRange { .. })));
    }
}
