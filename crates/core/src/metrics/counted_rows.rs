//! Selective figures of resampled rows: how often each row is taken changes, their order does not.
//!
//! Within a group of g rows of error rate r, after s rows with w errors, `Σ_j (w + r j)/(s + j)` is
//! `r g + (w - r s)(H(s+g) - H(s))` with the harmonic numbers H: a group of equal confidence takes one step,
//! however often its rows are taken. [`Sweep`](super::selective::Sweep) gives the same figures step by step.

use super::RankedRow;
use super::selective::{FIGURES, perfect};

/// Groups between two looks at the figures that depend on a threshold.
const BLOCK: usize = 64;

/// Rows of weight 1 in their order, for any number of resamples.
#[derive(Debug, Clone)]
pub(crate) struct CountedRows {
    risk: f64,
    coverage: f64,
    /// 1 for wrong rows, the most confident first.
    wrong: Vec<f64>,
    /// The end of each group of equal confidence.
    ends: Vec<u32>,
    harmonic: Vec<f64>,
}

/// Rows of a group that were taken: how many, how many of them wrong, and the share of these.
#[derive(Clone, Copy)]
struct Taken {
    rows: u32,
    wrong: u32,
    rate: f64,
}

/// Sums over the rows that were taken so far.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    seen: f64,
    wrong: f64,
    /// Σ errors(k)/k and Σ errors(k).
    area: f64,
    general: f64,
    /// Pairs of a right row and a wrong one that is as confident or more, ties half.
    beaten: f64,
}

impl CountedRows {
    /// Rows of weight 1 in ascending order, at most 2^32 - 1.
    pub(super) fn new(rows: &[RankedRow], risk: f64, coverage: f64) -> Self {
        let n = rows.len();
        let descending = || rows.iter().rev();
        let next = descending().skip(1).map(Some).chain([None]);
        let ends = descending().zip(next).zip(1..=n as u32);
        let ends = ends.filter(|((row, next), _)| next.is_none_or(|next| next.confidence != row.confidence));
        let mut sum = 0.0;
        let harmonic = (1..=n).map(|k| {
            sum += 1.0 / k as f64;
            sum
        });
        Self {
            risk,
            coverage,
            wrong: descending().map(|row| f64::from(u8::from(!row.correct))).collect(),
            harmonic: std::iter::once(0.0).chain(harmonic).collect(),
            ends: ends.map(|(_, end)| end).collect(),
        }
    }

    /// The rows of a group that were taken; `counts` of the most confident row first.
    #[inline]
    fn taken(&self, counts: &[u16], start: usize, end: usize) -> Taken {
        if end - start == 1 {
            let (rows, rate) = (u32::from(counts[start]), self.wrong[start]);
            return Taken { rows, wrong: rows * u32::from(rate > 0.0), rate };
        }
        let (mut rows, mut wrong) = (0, 0);
        for (count, flag) in counts[start..end].iter().zip(&self.wrong[start..end]) {
            rows += u32::from(*count);
            wrong += u32::from(*count) * u32::from(*flag > 0.0);
        }
        Taken { rows, wrong, rate: f64::from(wrong) / f64::from(rows.max(1)) }
    }

    /// Groups from one of them on.
    #[inline]
    fn groups<'a>(&'a self, counts: &'a [u16], from: usize) -> impl Iterator<Item = Taken> + 'a {
        let mut start = if from == 0 { 0 } else { self.ends[from - 1] as usize };
        self.ends[from..].iter().map(move |end| {
            let group = self.taken(counts, start, *end as usize);
            start = *end as usize;
            group
        })
    }

    /// The sums before every [`BLOCK`] groups and at the end.
    fn sums(&self, counts: &[u16]) -> Vec<Sums> {
        let mut marks = Vec::with_capacity(self.ends.len() / BLOCK + 2);
        // Whole numbers carry the state from group to group: their sums have the shorter way.
        let (mut seen, mut wrong) = (0_u32, 0_u32);
        let (mut area, mut general, mut beaten) = (0.0, 0.0, 0.0);
        for (at, group) in self.groups(counts, 0).enumerate() {
            if at % BLOCK == 0 {
                marks.push(Sums { seen: f64::from(seen), wrong: f64::from(wrong), area, general, beaten });
            }
            let after = seen + group.rows;
            let reciprocals = self.harmonic[after as usize] - self.harmonic[seen as usize];
            let (rows, own) = (f64::from(group.rows), f64::from(group.wrong));
            let before = f64::from(wrong);
            area += own + (before - group.rate * f64::from(seen)) * reciprocals;
            general += rows * before + 0.5 * own * (rows + 1.0);
            beaten += (rows - own) * (before + 0.5 * own);
            (seen, wrong) = (after, wrong + group.wrong);
        }
        marks.push(Sums { seen: f64::from(seen), wrong: f64::from(wrong), area, general, beaten });
        marks
    }

    /// All figures of the rows, each taken `counts` times, as many in all as there are rows.
    pub(super) fn run(&self, counts: &[u16]) -> [f64; FIGURES] {
        let n = self.wrong.len();
        let counts: Vec<u16> = counts.iter().rev().copied().collect();
        let marks = self.sums(&counts);
        let end = marks[marks.len() - 1];
        let (total, total_wrong) = (n as f64, end.wrong);
        let total_right = total - total_wrong;
        let wanted = (self.coverage * total * (1.0 - 1e-12)).ceil().max(1.0);
        let enough = 0.95 * total_right * (1.0 - 1e-12);
        let (mut coverage_at_risk, mut risk_at_coverage, mut fpr95) = (0.0, f64::NAN, f64::NAN);
        for (block, ends) in marks.windows(2).enumerate() {
            let [before, after] = [ends[0], ends[1]];
            let reaches_coverage = before.seen < wanted && wanted <= after.seen;
            let reaches_recall = fpr95.is_nan() && after.seen - after.wrong >= enough;
            if !reaches_coverage && !reaches_recall && before.wrong > self.risk * after.seen {
                continue;
            }
            let (mut seen, mut wrong) = (before.seen, before.wrong);
            for group in self.groups(&counts, block * BLOCK).take(BLOCK) {
                let rows = f64::from(group.rows);
                if seen < wanted && wanted <= seen + rows {
                    risk_at_coverage = (wrong + group.rate * (wanted - seen)) / wanted;
                }
                seen += rows;
                wrong += f64::from(group.wrong);
                if wrong <= self.risk * seen {
                    coverage_at_risk = seen / total;
                }
                if fpr95.is_nan() && seen - wrong >= enough {
                    fpr95 = wrong / total_wrong;
                }
            }
        }
        let aurc = end.area / total;
        if total_right == 0.0 {
            fpr95 = f64::NAN;
        }
        let reciprocals = self.harmonic[n] - self.harmonic[total_right as usize];
        let e_aurc = (aurc - perfect(total, total_wrong, reciprocals)).max(0.0);
        let auroc = (total_right * total_wrong - end.beaten) / (total_right * total_wrong);
        [aurc, e_aurc, end.general / (total * total), auroc, fpr95, coverage_at_risk, risk_at_coverage]
    }
}

#[cfg(test)]
mod tests {
    use super::super::RankedRows;
    use super::super::selective::Sweep;
    use crate::random::Stream;

    #[test]
    fn counted_rows_give_the_figures_of_the_steps() {
        let mut stream = Stream::new(11, "counted", 0, 0);
        for n in [1, 2, 7, 100, 3000] {
            for ties in [1, 3, 1000] {
                for rate in [0.0, 0.3, 1.0] {
                    let mut state = RankedRows::default();
                    for _ in 0..n {
                        let confidence = stream.below(n * 5 / ties + 1) as f64 / (n * 5) as f64;
                        state.update(confidence, stream.bernoulli(1.0 - rate * (1.0 - confidence)));
                    }
                    let rows = state.ascending();
                    let mut counts = vec![0_u16; rows.len()];
                    (0..n).for_each(|_| counts[stream.below(n) as usize] += 1);
                    for (risk, coverage) in [(0.05, 0.8), (0.0, 1.0), (1.0, 1e-9)] {
                        let sweep = Sweep::new(&rows, risk, coverage);
                        let want = sweep.walk(Some(&counts));
                        for (at, (got, want)) in
                            sweep.counted().unwrap().run(&counts).iter().zip(want).enumerate()
                        {
                            // Sums of n terms of at most 1 in double precision.
                            let near = (got - want).abs() < 1e-12 || (got.is_nan() && want.is_nan());
                            assert!(near, "{n} rows, figure {at}: {got}, want {want}");
                        }
                    }
                }
            }
        }
    }
}
