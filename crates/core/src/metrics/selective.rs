//! Selective prediction: the error that remains when the least confident rows are left to somebody else.

use serde::{Deserialize, Serialize};

use super::RankedRows;
use crate::error::{Error, Result};

/// The area under the risk-coverage curve, and how much of it is due to the ranking.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SelectiveRisk {
    /// AURC: mean over k of the error rate among the k most confident rows; lower is better.
    pub aurc: f64,
    /// E-AURC: AURC above that of a perfect ranking with as many errors; 0 is best.
    pub e_aurc: f64,
}

/// AURC and E-AURC of ranked rows (Geifman & El-Yaniv 2017; Geifman et al. 2019).
///
/// `AURC = 1/n Σ_k errors(k)/k` over the k most confident. Rows of equal confidence each carry the error
/// rate of their group, so the figure does not depend on the order of the rows.
///
/// # Errors
/// [`Error::Empty`] without rows.
///
/// # Examples
/// ```
/// use candor::metrics::{RankedRows, selective_risk};
/// let mut rows = RankedRows::default();
/// rows.update(0.9, true);
/// rows.update(0.6, false);
/// assert_eq!(selective_risk(&rows)?.aurc, 0.25);
/// # Ok::<(), candor::Error>(())
/// ```
pub fn selective_risk(rows: &RankedRows) -> Result<SelectiveRisk> {
    let rows = rows.ascending();
    let n = rows.len();
    if n == 0 {
        return Err(Error::Empty { what: "AURC", rows: 0, ignored: 0 });
    }
    let (mut area, mut errors, mut seen) = (0.0, 0.0, 0_usize);
    for group in rows.chunk_by(|a, b| a.0 == b.0).rev() {
        let wrong = group.iter().filter(|(_, correct)| !correct).count() as f64;
        let rate = wrong / group.len() as f64;
        for _ in group {
            errors += rate;
            seen += 1;
            area += errors / seen as f64;
        }
    }
    let wrong = rows.iter().filter(|(_, correct)| !correct).count();
    let oracle: f64 = (1..=n).map(|k| k.saturating_sub(n - wrong) as f64 / k as f64).sum();
    let n = n as f64;
    Ok(SelectiveRisk { aurc: area / n, e_aurc: (area - oracle) / n })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worked_example() {
        let mut rows = RankedRows::default();
        for (c, a) in [0.95, 0.9, 0.85, 0.8, 0.7, 0.65, 0.6, 0.55, 0.52, 0.99]
            .into_iter()
            .zip([1, 1, 0, 1, 1, 0, 1, 0, 1, 1])
        {
            rows.update(c, a == 1);
        }
        let risk = selective_risk(&rows).unwrap();
        assert!((risk.aurc - 0.178_571_428_6).abs() < 1e-9, "{risk:?}");
        assert!((risk.e_aurc - 0.113_849_206_3).abs() < 1e-9, "{risk:?}");
    }

    #[test]
    fn tied_rows_share_their_error_rate() {
        let of = |order: [bool; 2]| {
            let mut rows = RankedRows::default();
            order.iter().for_each(|&a| rows.update(0.8, a));
            selective_risk(&rows).unwrap().aurc
        };
        assert_eq!(of([true, false]), 0.5);
        assert_eq!(of([false, true]), 0.5);
        assert!(selective_risk(&RankedRows::default()).is_err());
    }
}
