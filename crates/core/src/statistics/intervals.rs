//! Confidence intervals for proportions, means and paired differences.

use super::{normal_quantile, student_t_cdf, student_t_quantile};

/// Wilson's interval for a proportion of `successes` in `n` trials (Wilson 1927).
///
/// # Examples
/// ```
/// let [low, high] = candor::statistics::wilson(0, 10, 0.95);
/// assert!(low == 0.0 && (high - 0.2775).abs() < 1e-4);
/// ```
pub fn wilson(successes: u64, n: u64, level: f64) -> [f64; 2] {
    if n == 0 {
        return [0.0, 1.0];
    }
    wilson_share(successes as f64 / n as f64, n as f64, level)
}

/// [`wilson`] of a share and a number of trials that need not be whole, such as the effective number of
/// weighted rows; the whole range for no trials.
pub fn wilson_share(p: f64, n: f64, level: f64) -> [f64; 2] {
    if p.is_nan() || n.is_nan() || n <= 0.0 {
        return [0.0, 1.0];
    }
    let z = normal_quantile(0.5 + level / 2.0);
    let centre = (p + z * z / (2.0 * n)) / (1.0 + z * z / n);
    let half = z / (1.0 + z * z / n) * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt();
    // At the ends the formula gives 0 and 1 up to rounding.
    let low = if p == 0.0 { 0.0 } else { (centre - half).max(0.0) };
    let high = if p == 1.0 { 1.0 } else { (centre + half).min(1.0) };
    [low, high]
}

/// The interval of a mean from its first two moments: `mean ± t·sqrt(variance/n)`.
///
/// `None` for fewer than two values or moments that are not finite.
pub fn mean_interval(mean: f64, mean_square: f64, n: u64, level: f64) -> Option<[f64; 2]> {
    if n < 2 || !mean.is_finite() || !mean_square.is_finite() {
        return None;
    }
    let n = n as f64;
    let variance = ((mean_square - mean * mean) * n / (n - 1.0)).max(0.0);
    let half = student_t_quantile(0.5 + level / 2.0, n - 1.0) * (variance / n).sqrt();
    Some([mean - half, mean + half])
}

/// A mean of paired differences with its interval and two-sided p-value.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct PairedDifference {
    /// Mean difference.
    pub mean: f64,
    /// Its interval; `None` for fewer than two pairs.
    pub ci: Option<[f64; 2]>,
    /// Two-sided p-value of no difference; `None` for fewer than two pairs.
    pub p_value: Option<f64>,
}

/// Student's paired t interval of `differences`; `None` for none at all.
pub fn paired_t(differences: &[f64], level: f64) -> Option<PairedDifference> {
    let n = differences.len() as f64;
    if differences.is_empty() {
        return None;
    }
    let mean = differences.iter().sum::<f64>() / n;
    if differences.len() < 2 {
        return Some(PairedDifference { mean, ci: None, p_value: None });
    }
    let variance = differences.iter().map(|d| (d - mean) * (d - mean)).sum::<f64>() / (n - 1.0);
    let error = (variance / n).sqrt();
    let half = student_t_quantile(0.5 + level / 2.0, n - 1.0) * error;
    let p_value = if error > 0.0 {
        2.0 * student_t_cdf(-(mean / error).abs(), n - 1.0)
    } else if mean == 0.0 {
        1.0
    } else {
        0.0
    };
    Some(PairedDifference { mean, ci: Some([mean - half, mean + half]), p_value: Some(p_value) })
}

/// The `p`-quantile of sorted values, linear between neighbours; NaN for none.
pub fn quantile_sorted(sorted: &[f64], p: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let position = p.clamp(0.0, 1.0) * last as f64;
    let low = position.floor() as usize;
    let share = position - low as f64;
    sorted[low] * (1.0 - share) + sorted[(low + 1).min(last)] * share
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wilson_of_the_literature() {
        // Newcombe (1998), table I: 81/263 and 15/148.
        let [low, high] = wilson(81, 263, 0.95);
        assert!((low - 0.2553).abs() < 5e-5 && (high - 0.3662).abs() < 5e-5);
        let [low, high] = wilson(15, 148, 0.95);
        assert!((low - 0.0624).abs() < 5e-5 && (high - 0.1605).abs() < 5e-5);
        assert_eq!(wilson(0, 0, 0.95), [0.0, 1.0]);
        assert_eq!(wilson(5, 5, 0.95)[1], 1.0);
    }

    #[test]
    fn paired_t_by_hand() {
        let d = paired_t(&[1.0, 2.0, 3.0], 0.95).unwrap();
        // mean 2, standard error 1/sqrt(3), t = 4.302653.
        let half = 4.302_652_729_749_46 / 3.0_f64.sqrt();
        let [low, high] = d.ci.unwrap();
        assert!(
            (d.mean - 2.0).abs() < 1e-15
                && (high - 2.0 - half).abs() < 1e-9
                && (2.0 - low - half).abs() < 1e-9
        );
        assert!((d.p_value.unwrap() - 0.074_180).abs() < 1e-5);
        assert!(paired_t(&[], 0.95).is_none());
        assert_eq!(paired_t(&[1.0], 0.95).unwrap().ci, None);
        assert_eq!(paired_t(&[0.0, 0.0], 0.95).unwrap().p_value, Some(1.0));
    }

    #[test]
    fn mean_intervals_need_two_finite_values() {
        assert!(mean_interval(1.0, 1.0, 1, 0.95).is_none());
        assert!(mean_interval(f64::NAN, 1.0, 5, 0.95).is_none());
        let [low, high] = mean_interval(2.0, 14.0 / 3.0, 3, 0.95).unwrap();
        assert!((high - low - 2.0 * 4.302_652_729_749_46 / 3.0_f64.sqrt()).abs() < 1e-9);
    }

    #[test]
    fn quantiles_are_linear_between_neighbours() {
        assert_eq!(quantile_sorted(&[1.0, 2.0, 4.0], 0.75), 3.0);
        assert_eq!(quantile_sorted(&[1.0], 0.3), 1.0);
        assert!(quantile_sorted(&[], 0.5).is_nan());
    }
}
