//! Softmax, log-odds and sums of one row, in double precision; classes at -inf have no mass.

use crate::kernels::math;

/// The largest value; -inf for an empty row.
pub(super) fn max(row: &[f64]) -> f64 {
    row.iter().copied().fold(f64::NEG_INFINITY, f64::max)
}

/// Position of the first largest value.
pub(super) fn argmax(row: &[f64]) -> usize {
    let mut best = 0;
    for (class, value) in row.iter().enumerate() {
        if *value > row[best] {
            best = class;
        }
    }
    best
}

/// ln Σ e^z.
pub(super) fn log_sum_exp(row: &[f64]) -> f64 {
    let max = max(row);
    if max == f64::NEG_INFINITY {
        return max;
    }
    max + math::ln(row.iter().map(|z| math::exp(z - max)).sum())
}

/// Replaces logits by probabilities; a row without any allowed class becomes zeros.
pub(super) fn softmax_in_place(row: &mut [f64]) {
    let max = max(row);
    if max == f64::NEG_INFINITY {
        row.fill(0.0);
        return;
    }
    let mut sum = 0.0;
    for value in row.iter_mut() {
        *value = math::exp(*value - max);
        sum += *value;
    }
    row.iter_mut().for_each(|value| *value /= sum);
}

/// Replaces logits by log-probabilities.
pub(super) fn log_softmax_in_place(row: &mut [f64]) {
    // Distances first: beside a huge logit the logarithm of the sum would vanish.
    let max = max(row);
    row.iter_mut().for_each(|value| *value -= max);
    let total = log_sum_exp(row);
    row.iter_mut().for_each(|value| *value -= total);
}

/// ln p/(1-p) of every class: -inf for a masked class, +inf for the only allowed one.
///
/// The probability of the others is summed, never taken as 1 - p, so nothing cancels near certainty.
pub(super) fn log_odds(row: &[f64], out: &mut [f64]) {
    let top = argmax(row);
    let max = row[top];
    let mut sum = 0.0;
    let mut second = f64::NEG_INFINITY;
    for (class, &z) in row.iter().enumerate() {
        sum += math::exp(z - max);
        if class != top {
            second = second.max(z);
        }
    }
    for ((class, &z), out) in row.iter().enumerate().zip(out.iter_mut()) {
        if class != top {
            *out = (z - max) - math::ln(sum - math::exp(z - max));
        }
    }
    if second == f64::NEG_INFINITY {
        out[top] = f64::INFINITY;
        return;
    }
    let others: f64 =
        row.iter().enumerate().filter(|(class, _)| *class != top).map(|(_, z)| math::exp(z - second)).sum();
    out[top] = (max - second) - math::ln(others);
}

/// ln(1 + e^x) without overflow.
pub(super) fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

/// 1/(1 + e^-x).
pub(super) fn sigmoid(x: f64) -> f64 {
    let e = math::exp(-x.abs());
    if x >= 0.0 { 1.0 / (1.0 + e) } else { e / (1.0 + e) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_odds_near_certainty_keep_their_digits() {
        let mut out = [0.0; 3];
        log_odds(&[800.0, 0.0, f64::NEG_INFINITY], &mut out);
        assert_eq!(out, [800.0, -800.0, f64::NEG_INFINITY]);
        log_odds(&[0.0, 0.0, 0.0], &mut out);
        for value in out {
            assert!((value + 2.0_f64.ln()).abs() < 1e-15);
        }
        log_odds(&[f64::NEG_INFINITY, 3.0, f64::NEG_INFINITY], &mut out);
        assert_eq!(out, [f64::NEG_INFINITY, f64::INFINITY, f64::NEG_INFINITY]);
    }

    #[test]
    fn a_masked_row_has_no_mass() {
        let mut row = [f64::NEG_INFINITY; 2];
        softmax_in_place(&mut row);
        assert_eq!(row, [0.0, 0.0]);
    }
}
