//! Selective prediction: the error that remains when the least confident rows are left to somebody else.
//!
//! Rows of equal confidence cannot be told apart by a threshold: within such a group each row carries the
//! group's error rate, so no figure depends on the order of the rows. A row of weight w enters the curve once,
//! and counts w times in coverage, errors and means.

use serde::{Deserialize, Serialize};

use super::bootstrap::Resamples;
use super::counted_rows::CountedRows;
use super::{RankedRow, RankedRows};
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
/// `AURC = 1/n Σ_k errors(k)/k` over the k most confident; both in [0, 1], lower is better. Rows of equal
/// confidence each carry the error rate of their group, so the figure does not depend on the order of the rows.
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
    if rows.is_empty() {
        return Err(Error::Empty { what: "AURC", rows: 0, ignored: 0 });
    }
    let rows = rows.ascending();
    let [aurc, e_aurc, ..] = Sweep::new(&rows, 0.0, 1.0).run();
    Ok(SelectiveRisk { aurc, e_aurc })
}

/// A point of the risk-coverage curve.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct RiskCoverage {
    /// Share of the rows that are answered, the most confident first; in (0, 1].
    pub coverage: f64,
    /// Error rate among them; in [0, 1].
    pub risk: f64,
}

/// Number of selective figures.
pub(crate) const FIGURES: usize = 7;

/// Positions in the array of figures.
pub(crate) const AURC: usize = 0;
pub(crate) const E_AURC: usize = 1;
pub(crate) const AUGRC: usize = 2;
pub(crate) const AUROC: usize = 3;
pub(crate) const FPR95: usize = 4;
pub(crate) const COVERAGE_AT_RISK: usize = 5;
pub(crate) const RISK_AT_COVERAGE: usize = 6;

/// Everything that one sweep over the ranking needs.
pub(crate) struct Sweep<'a> {
    /// Ascending.
    rows: &'a [RankedRow],
    weighted: bool,
    risk: f64,
    coverage: f64,
}

impl<'a> Sweep<'a> {
    pub(crate) fn new(rows: &'a [RankedRow], risk: f64, coverage: f64) -> Self {
        let weighted = rows.iter().any(|row| row.weight != 1.0);
        Self { rows, weighted, risk, coverage }
    }

    /// All figures of the rows; NaN where these rows do not define one.
    pub(crate) fn run(&self) -> [f64; FIGURES] {
        self.walk(None)
    }

    /// All figures of the rows, each taken `counts` times, step by step.
    pub(super) fn walk(&self, counts: Option<&[u16]>) -> [f64; FIGURES] {
        let times = |i: usize| counts.map_or(1, |counts| counts[i]);
        let (mut total, mut total_wrong) = (0.0, 0.0);
        for (i, row) in self.rows.iter().enumerate() {
            let weight = f64::from(times(i)) * row.weight;
            total += weight;
            total_wrong += if row.correct { 0.0 } else { weight };
        }
        let total_right = total - total_wrong;
        let (mut seen, mut wrong, mut steps) = (0.0, 0.0, 0_usize);
        let (mut area, mut general, mut pairs) = (0.0, 0.0, 0.0);
        let (mut coverage_at_risk, mut risk_at_coverage, mut fpr95) = (0.0, f64::NAN, f64::NAN);
        let wanted = self.coverage * total * (1.0 - 1e-12);
        let mut end = self.rows.len();
        while end > 0 {
            let mut start = end - 1;
            let confidence = self.rows[start].confidence;
            while start > 0 && self.rows[start - 1].confidence == confidence {
                start -= 1;
            }
            let (mut group, mut group_wrong) = (0.0, 0.0);
            for (i, row) in self.rows[start..end].iter().enumerate() {
                let weight = f64::from(times(start + i)) * row.weight;
                group += weight;
                group_wrong += if row.correct { 0.0 } else { weight };
            }
            if group > 0.0 {
                let rate = group_wrong / group;
                let (seen_before, wrong_before) = (seen, wrong);
                for i in start..end {
                    let weight = self.rows[i].weight;
                    for _ in 0..times(i) {
                        steps += 1;
                        seen += weight;
                        wrong += rate * weight;
                        general += weight * wrong;
                        if self.weighted {
                            area += weight * wrong / seen;
                        } else {
                            area += wrong * (1.0 / steps as f64);
                        }
                        if risk_at_coverage.is_nan() && seen >= wanted {
                            risk_at_coverage = wrong / seen;
                        }
                    }
                }
                (seen, wrong) = (seen_before + group, wrong_before + group_wrong);
                pairs += (group - group_wrong) * (total_wrong - wrong + 0.5 * group_wrong);
                if wrong <= self.risk * seen {
                    coverage_at_risk = seen / total;
                }
                if fpr95.is_nan() && seen - wrong >= 0.95 * total_right * (1.0 - 1e-12) {
                    fpr95 = wrong / total_wrong;
                }
            }
            end = start;
        }
        let aurc = area / total;
        let auroc = pairs / (total_right * total_wrong);
        if total_right == 0.0 {
            fpr95 = f64::NAN;
        }
        let e_aurc = (aurc - self.oracle(counts, total, total_wrong)).max(0.0);
        [aurc, e_aurc, general / (total * total), auroc, fpr95, coverage_at_risk, risk_at_coverage]
    }

    /// AURC of the ranking that puts every wrong row last.
    fn oracle(&self, counts: Option<&[u16]>, total: f64, wrong: f64) -> f64 {
        if !self.weighted {
            let right = (total - wrong) as usize;
            let (mut harmonic, mut of_right) = (0.0, 0.0);
            for k in 1..=total as usize {
                harmonic += 1.0 / k as f64;
                of_right = if k == right { harmonic } else { of_right };
            }
            return perfect(total, wrong, harmonic - of_right);
        }
        let (mut seen, mut errors, mut area) = (total - wrong, 0.0, 0.0);
        for (i, row) in self.rows.iter().enumerate().filter(|(_, row)| !row.correct) {
            for _ in 0..counts.map_or(1, |counts| counts[i]) {
                seen += row.weight;
                errors += row.weight;
                area += row.weight * errors / seen;
            }
        }
        area / total
    }

    /// The figures with their bootstrap intervals; none for `resamples` of 0 or too many rows.
    pub(crate) fn intervals(&self, resamples: &Resamples) -> Vec<Option<[f64; 2]>> {
        let n = self.rows.len();
        if resamples.taken(n) == 0 {
            return vec![None; FIGURES];
        }
        let counted = self.counted();
        resamples.intervals(n, FIGURES, |counts| self.resampled(counted.as_ref(), counts).to_vec())
    }

    /// The quick way to the figures of resamples, if every row has weight 1.
    pub(crate) fn counted(&self) -> Option<CountedRows> {
        (!self.weighted).then(|| CountedRows::new(self.rows, self.risk, self.coverage))
    }

    /// All figures of the rows, each taken `counts` times; `counted` is [`counted`](Self::counted).
    pub(crate) fn resampled(&self, counted: Option<&CountedRows>, counts: &[u16]) -> [f64; FIGURES] {
        counted.map_or_else(|| self.walk(Some(counts)), |counted| counted.run(counts))
    }

    /// The curve at about `points` coverages, always with full coverage; a threshold can reach each of them.
    pub(crate) fn curve(&self, points: usize) -> Vec<RiskCoverage> {
        let total: f64 = self.rows.iter().map(|row| row.weight).sum();
        let (mut curve, mut seen, mut wrong, mut next) = (Vec::new(), 0.0, 0.0, 0.0);
        for group in self.rows.chunk_by(|a, b| a.confidence == b.confidence).rev() {
            for row in group {
                seen += row.weight;
                wrong += if row.correct { 0.0 } else { row.weight };
            }
            let coverage = seen / total;
            if coverage >= next || curve.is_empty() {
                curve.push(RiskCoverage { coverage, risk: wrong / seen });
                next = ((coverage * points as f64).floor() + 1.0) / points as f64;
            }
        }
        let last = RiskCoverage { coverage: 1.0, risk: wrong / seen };
        if curve.last().is_some_and(|point| point.coverage < 1.0 - 1e-12) {
            curve.push(last);
        }
        curve
    }
}

/// AURC of the ranking that puts every wrong row last, from `Σ 1/k` over those places.
pub(super) fn perfect(total: f64, wrong: f64, reciprocals: f64) -> f64 {
    (wrong - (total - wrong) * reciprocals) / total
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worked() -> RankedRows {
        let mut rows = RankedRows::default();
        let confidences = [0.95, 0.9, 0.85, 0.8, 0.7, 0.65, 0.6, 0.55, 0.52, 0.99];
        for (c, a) in confidences.into_iter().zip([1, 1, 0, 1, 1, 0, 1, 0, 1, 1]) {
            rows.update(c, a == 1);
        }
        rows
    }

    #[test]
    fn the_worked_example() {
        let risk = selective_risk(&worked()).unwrap();
        assert!((risk.aurc - 0.178_571_428_6).abs() < 1e-9, "{risk:?}");
        assert!((risk.e_aurc - 0.113_849_206_3).abs() < 1e-9, "{risk:?}");
        let rows = worked().ascending();
        let figures = Sweep::new(&rows, 0.2, 0.8).run();
        // Wrong ones stand at places 4, 7 and 9 of 10, so errors(k) are 0 0 0 1 1 1 2 2 3 3.
        assert!((figures[AUGRC] - 0.13).abs() < 1e-12);
        // Right above wrong: 3 + 3 + 3 before place 4, then 2 + 2, 1: 14 of 21 pairs.
        assert!((figures[AUROC] - 14.0 / 21.0).abs() < 1e-12);
        // The seventh right row is the last of all.
        assert_eq!(figures[FPR95], 1.0);
        // errors(6)/6 = 1/6 is within 0.2, errors(7)/7 is not.
        assert_eq!(figures[COVERAGE_AT_RISK], 0.6);
        assert!((figures[RISK_AT_COVERAGE] - 0.25).abs() < 1e-12);
        let curve = Sweep::new(&rows, 0.2, 0.8).curve(5);
        assert_eq!(curve.last(), Some(&RiskCoverage { coverage: 1.0, risk: 0.3 }));
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

    #[test]
    fn counts_are_copies() {
        let rows = worked().ascending();
        let counts: Vec<u16> = vec![1, 2, 0, 1, 0, 3, 1, 0, 1, 1];
        let copies: Vec<RankedRow> =
            rows.iter().zip(&counts).flat_map(|(row, n)| vec![*row; usize::from(*n)]).collect();
        let sweep = Sweep::new(&rows, 0.2, 0.8);
        let want = Sweep::new(&copies, 0.2, 0.8).run();
        for got in [sweep.walk(Some(&counts)), sweep.counted().unwrap().run(&counts)] {
            for (got, want) in got.iter().zip(want) {
                assert!((got - want).abs() < 1e-12, "{got} {want}");
            }
        }
    }
}
