//! What smoothing is equivalent to: a tempered teacher, label noise, Mixup, sampled sequences.

use crate::error::{Result, check_classes, check_range, check_range_hint};
use crate::targets::Convention;

/// Largest concentration of a Beta(a, a) for which the closed form keeps nine digits.
const MAX_CONCENTRATION: f64 = 1e6;

/// The off-class strength of the targets that a one-hot-like teacher gives at a temperature:
/// `α = (K-1) / (e^{m/T} + K-1)`.
///
/// A teacher whose label stands `margin` above all other classes teaches exactly smoothed labels.
///
/// # Errors
/// [`Error::OutOfRange`](crate::Error::OutOfRange) for fewer than two classes, a negative margin, or a
/// temperature that is not positive.
///
/// # Examples
/// ```
/// let strength = candor::theory::teacher_smoothing(9f64.ln(), 1.0, 2)?;
/// assert!((strength - 0.1).abs() < 1e-12);
/// # Ok::<(), candor::Error>(())
/// ```
///
/// # References
/// Yuan et al., *Revisiting Knowledge Distillation via Label Smoothing Regularization*, CVPR 2020,
/// arXiv:1909.11723.
pub fn teacher_smoothing(margin: f64, temperature: f64, n_classes: usize) -> Result<f64> {
    check_classes(n_classes)?;
    check_range("margin", margin, 0.0, f64::MAX)?;
    check_range("temperature", temperature, f64::MIN_POSITIVE, f64::MAX)?;
    let others = n_classes as f64 - 1.0;
    Ok(others / ((margin / temperature).exp() + others))
}

/// The temperature at which a teacher of this margin gives off-class targets of strength `smoothing`:
/// `T = m / ln((1-α)(K-1)/α)`; 0 for strength 0, infinite for uniform targets.
///
/// # Errors
/// [`Error::OutOfRange`](crate::Error::OutOfRange) for fewer than two classes, a margin that is not
/// positive, or a strength outside [0, (K-1)/K].
///
/// # Examples
/// ```
/// let temperature = candor::theory::teacher_temperature(0.1, 9f64.ln(), 2)?;
/// assert!((temperature - 1.0).abs() < 1e-12);
/// # Ok::<(), candor::Error>(())
/// ```
pub fn teacher_temperature(smoothing: f64, margin: f64, n_classes: usize) -> Result<f64> {
    check_classes(n_classes)?;
    check_range("margin", margin, f64::MIN_POSITIVE, f64::MAX)?;
    let max = Convention::OffClass.max_smoothing(n_classes);
    check_range_hint("smoothing", smoothing, 0.0, max, " = (K-1)/K (convention off_class)")?;
    if smoothing == max {
        return Ok(f64::INFINITY);
    }
    Ok(margin / ((1.0 - smoothing) * (n_classes as f64 - 1.0) / smoothing).ln().max(0.0))
}

/// The uniform strength of two that act one after the other: `1 - (1-a)(1-b)`.
///
/// Smoothing α on labels of which a share ρ was replaced by uniform draws acts as this strength, and so
/// does smoothing together with Mixup (take [`mixup_smoothing`] for one of the two).
///
/// # Errors
/// [`Error::OutOfRange`](crate::Error::OutOfRange) unless both are in [0, 1].
///
/// # Examples
/// ```
/// assert!((candor::theory::total_smoothing(0.2, 0.1)? - 0.28).abs() < 1e-15);
/// # Ok::<(), candor::Error>(())
/// ```
pub fn total_smoothing(first: f64, second: f64) -> Result<f64> {
    check_range("first", first, 0.0, 1.0)?;
    check_range("second", second, 0.0, 1.0)?;
    Ok(first + second - first * second)
}

/// The negative strength `-ρ/(1-ρ)` that undoes symmetric label noise in expectation.
///
/// `noise` is the share ρ of labels replaced by uniform draws over all classes. Use the result with the
/// target rule `generalised`; the loss is then unbounded below, so warm up without it.
///
/// # Errors
/// [`Error::OutOfRange`](crate::Error::OutOfRange) unless `noise` is in [0, 0.999].
///
/// # Examples
/// ```
/// assert!((candor::theory::noise_correcting_strength(0.2)? + 0.25).abs() < 1e-15);
/// # Ok::<(), candor::Error>(())
/// ```
///
/// # References
/// Patrini et al., *Making Deep Neural Networks Robust to Label Noise*, CVPR 2017, arXiv:1609.03683.
/// Wei et al., *To Smooth or Not?*, ICML 2022, arXiv:2106.04149.
pub fn noise_correcting_strength(noise: f64) -> Result<f64> {
    check_range("noise", noise, 0.0, 0.999)?;
    Ok(-noise / (1.0 - noise))
}

/// The strength at which Mixup with `λ ~ Beta(a, a)` smooths labels: `1/2 - 2^{-2a} / (a B(a, a))`.
///
/// This is `1 - E max(λ, 1-λ)`: the mean share of the partner when each mixed sample is counted to its
/// dominant label. The mass goes to the class prior, so for balanced classes it is a uniform strength.
/// CutMix draws the area from Beta(1, 1), which gives 1/4.
///
/// # Errors
/// [`Error::OutOfRange`](crate::Error::OutOfRange) unless `concentration` is in [0, 1e6]; 0 never mixes.
///
/// # Examples
/// ```
/// assert!((candor::theory::mixup_smoothing(0.2)? - 0.101190).abs() < 1e-6);
/// assert!((candor::theory::mixup_smoothing(1.0)? - 0.25).abs() < 1e-12);
/// # Ok::<(), candor::Error>(())
/// ```
///
/// # References
/// Zhang et al., *mixup: Beyond Empirical Risk Minimization*, ICLR 2018, arXiv:1710.09412.
/// Carratino et al., *On Mixup Regularization*, 2020, arXiv:2006.06049.
pub fn mixup_smoothing(concentration: f64) -> Result<f64> {
    check_range("concentration", concentration, 0.0, MAX_CONCENTRATION)?;
    let a = concentration;
    // 2^{-2a} / (a B(a,a)) = e^t / 2 with Γ(1+x) = xΓ(x); no cancellation where a is small.
    let t = libm::lgamma(1.0 + 2.0 * a) - 2.0 * libm::lgamma(1.0 + a) - 2.0 * a * std::f64::consts::LN_2;
    // Subtracting from 0 keeps the sign of zero positive.
    Ok(0.0 - 0.5 * t.exp_m1())
}

/// The off-class strength that equals reward-augmented sampling with the Hamming reward:
/// `α = (V-1)e^{-1/τ} / (1 + (V-1)e^{-1/τ})` over a vocabulary of V.
///
/// Exact for context-free scores; an autoregressive model differs only through its changed prefixes.
///
/// # Errors
/// [`Error::OutOfRange`](crate::Error::OutOfRange) for fewer than two tokens or a temperature that is
/// not positive.
///
/// # Examples
/// ```
/// let strength = candor::theory::hamming_raml_smoothing(0.7, 4)?;
/// assert!((strength - 0.4182505651).abs() < 1e-10);
/// # Ok::<(), candor::Error>(())
/// ```
///
/// # References
/// Norouzi et al., *Reward Augmented Maximum Likelihood*, NIPS 2016, arXiv:1609.00150.
pub fn hamming_raml_smoothing(temperature: f64, vocabulary: usize) -> Result<f64> {
    check_classes(vocabulary)?;
    check_range("temperature", temperature, f64::MIN_POSITIVE, f64::MAX)?;
    let odds = (vocabulary as f64 - 1.0) * (-1.0 / temperature).exp();
    Ok(odds / (1.0 + odds))
}

/// The concentration `a` of Mixup that smooths labels by `smoothing`: the inverse of [`mixup_smoothing`].
///
/// # Errors
/// [`Error::OutOfRange`](crate::Error::OutOfRange) unless `smoothing` is in [0, 0.49]; a strength of 1/2 would
/// need infinite concentration.
///
/// # Examples
/// ```
/// assert!((candor::theory::mixup_concentration(0.25)? - 1.0).abs() < 1e-12);
/// # Ok::<(), candor::Error>(())
/// ```
pub fn mixup_concentration(smoothing: f64) -> Result<f64> {
    check_range_hint("smoothing", smoothing, 0.0, 0.49, " (Mixup approaches 1/2)")?;
    if smoothing == 0.0 {
        return Ok(0.0);
    }
    // The strength grows with a; near 0 it is a·ln 2, and at a = 1e4 it is .496.
    let (mut low, mut high) = (-800.0_f64, 1e4_f64.ln());
    for _ in 0..200 {
        let middle = 0.5 * (low + high);
        if mixup_smoothing(middle.exp())? < smoothing {
            low = middle;
        } else {
            high = middle;
        }
    }
    Ok((0.5 * (low + high)).exp())
}

/// The temperature τ at which sampling by the Hamming reward smooths tokens by the off-class strength
/// `smoothing`: the inverse of [`hamming_raml_smoothing`]; 0 for strength 0, infinite for uniform tokens.
///
/// # Errors
/// [`Error::OutOfRange`](crate::Error::OutOfRange) for fewer than two tokens or a strength outside
/// [0, (V-1)/V].
///
/// # Examples
/// ```
/// use candor::theory::{hamming_raml_smoothing, hamming_raml_temperature};
/// let temperature = hamming_raml_temperature(hamming_raml_smoothing(0.7, 4)?, 4)?;
/// assert!((temperature - 0.7).abs() < 1e-12);
/// # Ok::<(), candor::Error>(())
/// ```
pub fn hamming_raml_temperature(smoothing: f64, vocabulary: usize) -> Result<f64> {
    // e^{1/τ} is the ratio of the label's mass to another's, and a teacher's of margin 1 is e^{1/T}.
    teacher_temperature(smoothing, 1.0, vocabulary)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn temperature_and_strength_are_inverse() {
        for k in [2, 5, 1000] {
            for t in [0.5, 1.0, 4.0, 20.0] {
                let strength = teacher_smoothing(7.0, t, k).unwrap();
                let back = teacher_temperature(strength, 7.0, k).unwrap();
                assert!((back - t).abs() < 1e-9 * t, "{k} {t} {back}");
            }
        }
        assert_eq!(teacher_temperature(0.0, 7.0, 3).unwrap(), 0.0);
        assert_eq!(teacher_temperature(2.0 / 3.0, 7.0, 3).unwrap(), f64::INFINITY);
        assert_eq!(teacher_smoothing(1e6, 1.0, 3).unwrap(), 0.0);
    }

    #[test]
    fn mixup_strengths_of_the_closed_form_table() {
        let table = [
            (0.1, 0.058424),
            (0.2, 0.101190),
            (0.3, 0.134057),
            (0.4, 0.160242),
            (0.5, 0.181690),
            (0.8, 0.228177),
            (1.0, 0.25),
            (2.0, 0.3125),
            (4.0, 0.363281),
            (8.0, 0.401810),
        ];
        for (a, want) in table {
            assert!((mixup_smoothing(a).unwrap() - want).abs() < 1e-6, "{a}");
        }
        assert_eq!(mixup_smoothing(0.0).unwrap().to_bits(), 0);
        // α ~ a ln 2 for small a, where λ is nearly 0 or 1.
        let tiny = mixup_smoothing(1e-12).unwrap();
        assert!((tiny / (1e-12 * std::f64::consts::LN_2) - 1.0).abs() < 1e-3, "{tiny}");
    }

    #[test]
    fn concentration_and_strength_are_inverse() {
        for a in [1e-6, 0.1, 0.2, 1.0, 8.0, 500.0] {
            let back = mixup_concentration(mixup_smoothing(a).unwrap()).unwrap();
            assert!((back / a - 1.0).abs() < 1e-9, "{a} {back}");
        }
        assert_eq!(mixup_concentration(0.0).unwrap(), 0.0);
        assert!(mixup_concentration(0.5).is_err() && mixup_concentration(f64::NAN).is_err());
        assert_eq!(hamming_raml_temperature(0.0, 4).unwrap(), 0.0);
        assert_eq!(hamming_raml_temperature(0.75, 4).unwrap(), f64::INFINITY);
        assert!(hamming_raml_temperature(0.8, 4).is_err());
    }

    #[test]
    fn noise_and_its_correction_cancel() {
        let correcting = noise_correcting_strength(0.3).unwrap();
        assert!(((1.0 - 0.3) * (1.0 - correcting) - 1.0).abs() < 1e-15);
        assert_eq!(total_smoothing(0.0, 0.1).unwrap(), 0.1);
    }

    #[test]
    fn arguments_out_of_range_are_refused() {
        assert!(teacher_smoothing(-1.0, 1.0, 3).is_err());
        assert!(teacher_smoothing(1.0, 0.0, 3).is_err());
        assert!(teacher_smoothing(1.0, 1.0, 1).is_err());
        assert!(teacher_temperature(0.7, 1.0, 3).is_err());
        assert!(total_smoothing(1.1, 0.0).is_err());
        assert!(total_smoothing(0.0, f64::NAN).is_err());
        assert!(noise_correcting_strength(1.0).is_err());
        assert!(mixup_smoothing(-0.1).is_err());
        assert!(hamming_raml_smoothing(0.0, 4).is_err());
        assert!(hamming_raml_smoothing(1.0, 1).is_err());
    }
}
