//! Softmax and sums of exponentials, in log space and double precision.

use crate::kernels::math;

/// Softmax and its logarithm; gives the position of the largest value and the entropy in nats.
///
/// The largest term is exactly 1 and stays out of the sum, so that `ln p` is accurate as `p` nears 1.
/// A value of -inf has probability 0. `values` must not be empty, nor all -inf.
pub fn log_softmax(values: &[f64], log_probs: &mut [f64], probs: &mut [f64]) -> (usize, f64) {
    let (mut top, mut max) = (0, f64::NEG_INFINITY);
    for (k, &value) in values.iter().enumerate() {
        if value > max {
            (top, max) = (k, value);
        }
    }
    for (p, value) in probs.iter_mut().zip(values) {
        *p = math::exp(value - max);
    }
    probs[top] = 0.0;
    let rest: f64 = probs.iter().sum();
    probs[top] = 1.0;
    let log_sum = ln_1p(rest);
    let scale = 1.0 / (1.0 + rest);
    let mut entropy = log_sum;
    for (k, &value) in values.iter().enumerate() {
        let shifted = value - max;
        probs[k] *= scale;
        log_probs[k] = shifted - log_sum;
        entropy -= if probs[k] == 0.0 { 0.0 } else { probs[k] * shifted };
    }
    (top, entropy)
}

/// `ln(1 + x)` for x >= -1, accurate for small x (Kahan's quotient), with the same bits everywhere.
pub fn ln_1p(x: f64) -> f64 {
    let sum = 1.0 + x;
    if sum == 1.0 {
        x
    } else if sum.is_infinite() {
        math::ln(x)
    } else {
        math::ln(sum) * (x / (sum - 1.0))
    }
}

/// `ln(e^a + e^b)`; either may be -inf.
pub fn log_add_exp(a: f64, b: f64) -> f64 {
    let (low, high) = if a < b { (a, b) } else { (b, a) };
    if high == f64::NEG_INFINITY { high } else { high + ln_1p(math::exp(low - high)) }
}

/// `ln Σ e^v`; -inf for no value.
pub fn log_sum_exp(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let max = values.clone().fold(f64::NEG_INFINITY, f64::max);
    if max == f64::NEG_INFINITY {
        return max;
    }
    max + math::ln(values.map(|v| math::exp(v - max)).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn softmax_by_hand_and_with_a_masked_value() {
        let (mut log_probs, mut probs) = ([0.0; 3], [0.0; 3]);
        let values = [0.0, 3.0_f64.ln(), f64::NEG_INFINITY];
        let (top, entropy) = log_softmax(&values, &mut log_probs, &mut probs);
        assert_eq!(top, 1);
        for (got, want) in probs.iter().zip([0.25, 0.75, 0.0]) {
            assert!((got - want).abs() < 1e-15);
        }
        assert!((log_probs[1] - 0.75_f64.ln()).abs() < 1e-15 && log_probs[2] == f64::NEG_INFINITY);
        assert!((entropy + 0.25 * 0.25_f64.ln() + 0.75 * 0.75_f64.ln()).abs() < 1e-15);
    }

    #[test]
    fn the_logarithm_of_near_certainty_keeps_its_digits() {
        let (mut log_probs, mut probs) = ([0.0; 2], [0.0; 2]);
        log_softmax(&[40.0, 0.0], &mut log_probs, &mut probs);
        assert!((log_probs[0] / -(-40.0_f64).exp() - 1.0).abs() < 1e-14);
    }

    #[test]
    fn logarithms_of_sums() {
        for x in [-1.0, -0.5, -1e-18, 0.0, 1e-300, 1e-10, 0.3, 5.0, 1e300, f64::INFINITY] {
            let (got, want) = (ln_1p(x), x.ln_1p());
            assert!(got == want || (got / want - 1.0).abs() < 1e-15, "{x}: {got} {want}");
        }
        let inf = f64::NEG_INFINITY;
        assert_eq!(log_add_exp(inf, inf), inf);
        assert_eq!(log_add_exp(inf, -3.0), -3.0);
        assert!((log_add_exp(1e4, 1e4) - 1e4 - std::f64::consts::LN_2).abs() < 1e-11);
        assert_eq!(log_sum_exp([].into_iter()), inf);
        assert_eq!(log_sum_exp([inf, inf].into_iter()), inf);
        assert!((log_sum_exp([-1e4, inf, -1e4].into_iter()) + 1e4 - std::f64::consts::LN_2).abs() < 1e-11);
    }
}
