//! Scores and decisions of one run by group: counts and sums, and the gaps between groups.

use std::collections::BTreeMap;

use candor::metrics::{EvaluationOptions, Evaluator, Moments, Scorer};
use candor::statistics::student_t_quantile;

use super::data::Groups;
use crate::error::Result;
use crate::predictions::{Predictions, Values};
use crate::recipe::Findings;

/// Thresholds of the curve are these steps apart.
const THRESHOLD_STEPS: usize = 100;
/// Groups with fewer test rows are shown, but enter no gap: what they score is mostly chance.
pub(super) const LEAST_ROWS: u64 = 30;

/// What is counted and summed of the rows of a group.
struct Tally {
    evaluator: Evaluator,
    /// Of the probability of the positive class.
    score: Moments,
    /// Of being decided positive.
    decision: Moments,
    /// Rows by true class (negative, positive), and those of them that were decided positive.
    actual: [u64; 2],
    accepted: [u64; 2],
    /// Rows by the step of the threshold that they just reach.
    reached: Vec<u64>,
}

impl Tally {
    fn new(options: EvaluationOptions) -> Result<Self> {
        Ok(Self {
            evaluator: Evaluator::new(options)?,
            score: Moments::default(),
            decision: Moments::default(),
            actual: [0; 2],
            accepted: [0; 2],
            reached: vec![0; THRESHOLD_STEPS + 1],
        })
    }

    fn rate(&self, class: usize) -> Option<f64> {
        (self.actual[class] > 0).then(|| self.accepted[class] as f64 / self.actual[class] as f64)
    }

    /// Share of rows whose score reaches each threshold.
    fn acceptance(&self) -> Vec<f64> {
        let n = self.score.count() as f64;
        let mut above = self.score.count();
        self.reached
            .iter()
            .map(|reached| {
                let share = above as f64 / n;
                above -= reached;
                share
            })
            .collect()
    }
}

/// The figures of a run by group and the gaps between them; the gap of a figure is its largest value over the
/// groups less its smallest.
///
/// A row is decided positive if the positive class is its most probable one (for two classes: above ½). Figures
/// that a group cannot have, such as a true positive rate without positives, are left out; so are groups of fewer
/// than `least` rows in all gaps.
pub(super) fn findings(
    predictions: &Predictions,
    positive: usize,
    groups: &Groups,
    of: &[usize],
    least: u64,
) -> Result<Findings> {
    let options = EvaluationOptions { intervals: false, ..EvaluationOptions::default() };
    let mut tallies = groups.names.iter().map(|_| Tally::new(options)).collect::<Result<Vec<Tally>>>()?;
    let scores = scores(predictions, positive);
    let mut scorer = Scorer::default();
    for (row, probs) in scores.iter().enumerate() {
        let (label, tally) = (predictions.labels[row] as usize, &mut tallies[of[row]]);
        let scored = scorer.probs(probs, label);
        let decided = scored.predicted == positive;
        let actual = usize::from(label == positive);
        tally.evaluator.update(scored);
        tally.score.update(probs[positive]);
        tally.decision.update(f64::from(u8::from(decided)));
        tally.actual[actual] += 1;
        tally.accepted[actual] += u64::from(decided);
        // The nearest threshold at or below the score, with the rounding of the products kept out.
        let step = (probs[positive] * THRESHOLD_STEPS as f64 + 1e-9).floor() as usize;
        tally.reached[step.min(THRESHOLD_STEPS)] += 1;
    }
    let present: Vec<(&str, &Tally)> = groups
        .names
        .iter()
        .map(String::as_str)
        .zip(&tallies)
        .filter(|(_, tally)| tally.score.count() > 0)
        .collect();
    // What a strength means depends on it, and a finished run does not know it otherwise.
    let mut metrics = BTreeMap::from([("n_classes".to_owned(), predictions.scores.n_classes as f64)]);
    let mut by_group: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for (name, tally) in &present {
        let evaluation = tally.evaluator.compute()?;
        let figures = [
            ("score", Some(tally.score.mean())),
            ("decision_rate", Some(tally.decision.mean())),
            ("true_positive_rate", tally.rate(1)),
            ("false_positive_rate", tally.rate(0)),
            ("group_accuracy", Some(evaluation.value("accuracy"))),
            ("group_ece", Some(evaluation.value("ece"))),
            ("group_signed_gap", Some(evaluation.value("signed_gap"))),
            ("positive_share", Some(tally.actual[1] as f64 / tally.score.count() as f64)),
            ("rows", Some(tally.score.count() as f64)),
        ];
        for (figure, value) in figures {
            let Some(value) = value else { continue };
            metrics.insert(format!("{figure}[{name}]"), value);
            if tally.score.count() < least {
                continue;
            }
            by_group.entry(figure).or_default().push(value);
        }
    }
    let present: Vec<(&str, &Tally)> =
        present.into_iter().filter(|(_, tally)| tally.score.count() >= least).collect();
    let range = |figure: &str| -> Option<(f64, f64)> {
        let values = by_group.get(figure).filter(|values| values.len() > 1)?;
        let ends = values
            .iter()
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(*v), high.max(*v)));
        Some(ends)
    };
    let gap = |figure: &str| range(figure).map(|(low, high)| high - low);
    let odds = [gap("true_positive_rate"), gap("false_positive_rate")].into_iter().flatten().reduce(f64::max);
    let signed = by_group.get("group_signed_gap");
    for (name, value) in [
        ("score_gap", gap("score")),
        ("decision_gap", gap("decision_rate")),
        ("equal_opportunity_gap", gap("true_positive_rate")),
        ("equalised_odds_gap", odds),
        ("worst_group_ece", range("group_ece").map(|range| range.1)),
        ("group_ece_gap", gap("group_ece")),
        ("worst_group_accuracy", range("group_accuracy").map(|range| range.0)),
        (
            "worst_group_signed_gap",
            signed.map(|values| values.iter().fold(0.0, |most, v| f64::max(most, v.abs()))),
        ),
        ("score_gap_half", half(&present, |tally| &tally.score)),
        ("decision_gap_half", half(&present, |tally| &tally.decision)),
    ] {
        metrics.extend(value.map(|value| (name.to_owned(), value)));
    }
    let acceptance: Vec<Vec<f64>> = present.iter().map(|(_, tally)| tally.acceptance()).collect();
    let curve = (0..=THRESHOLD_STEPS)
        .map(|step| {
            let shares = acceptance.iter().map(|shares| shares[step]);
            let (low, high) =
                shares.fold((1.0, 0.0), |(low, high), share| (f64::min(low, share), f64::max(high, share)));
            (step as f64 / THRESHOLD_STEPS as f64, high - low)
        })
        .collect();
    Ok(Findings { metrics, points: [("decision_gap".to_owned(), curve)].into() })
}

/// Half the 95 % interval that the sample of rows gives the gap between the extreme groups.
fn half(present: &[(&str, &Tally)], of: impl Fn(&Tally) -> &Moments) -> Option<f64> {
    let by_mean = |a: &&&Moments, b: &&&Moments| a.mean().total_cmp(&b.mean());
    let moments: Vec<&Moments> = present.iter().map(|(_, tally)| of(tally)).collect();
    let (low, high) = (moments.iter().min_by(by_mean)?, moments.iter().max_by(by_mean)?);
    // Each mean's own interval is t·sd/√n wide either way; independent errors add as squares.
    let width = |moments: &Moments| moments.compute().ci.map(|[low, high]| (high - low) / 2.0);
    let t = |moments: &Moments| student_t_quantile(0.975, moments.count() as f64 - 1.0);
    let (a, b) = (width(low)? / t(low), width(high)? / t(high));
    Some(1.96 * (a * a + b * b).sqrt())
}

/// Probabilities of every row in double precision.
fn scores(predictions: &Predictions, positive: usize) -> Vec<Vec<f64>> {
    let n_classes = predictions.scores.n_classes.max(positive + 1);
    let values: Vec<f64> = match &predictions.scores.values {
        Values::F32(values) => values.iter().map(|value| f64::from(*value)).collect(),
        Values::F64(values) => values.clone(),
    };
    values
        .chunks_exact(n_classes)
        .map(|row| {
            let largest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let exps: Vec<f64> = row.iter().map(|z| (z - largest).exp()).collect();
            let sum: f64 = exps.iter().sum();
            exps.iter().map(|e| e / sum).collect()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two classes with these probabilities of class 1.
    fn predicted(rows: &[(f64, i64)]) -> Predictions {
        let logits = rows.iter().flat_map(|(p, _)| [0.0, (p / (1.0 - p)).ln() as f32]).collect();
        Predictions::from_logits(logits, 2, rows.iter().map(|row| row.1).collect()).unwrap()
    }

    fn groups() -> Groups {
        let names = ["a", "b", "empty"].map(str::to_owned).to_vec();
        Groups { column: "g".to_owned(), names, of: Vec::new() }
    }

    #[test]
    fn the_gaps_of_eight_rows_by_hand() {
        let rows = [(0.9, 1), (0.6, 1), (0.4, 0), (0.7, 0), (0.2, 1), (0.3, 0), (0.8, 1), (0.1, 0)];
        let found = findings(&predicted(&rows), 1, &groups(), &[0, 0, 0, 0, 1, 1, 1, 1], 1).unwrap();
        let value = |name: &str| found.metrics[name];
        let close =
            |name: &str, wanted: f64| assert!((value(name) - wanted).abs() < 1e-6, "{name}: {}", value(name));
        close("score[a]", 0.65);
        close("score[b]", 0.35);
        close("score_gap", 0.3);
        // Decided positive: three of four, and one of four.
        close("decision_gap", 0.5);
        close("true_positive_rate[a]", 1.0);
        close("true_positive_rate[b]", 0.5);
        close("equal_opportunity_gap", 0.5);
        close("false_positive_rate[a]", 0.5);
        close("false_positive_rate[b]", 0.0);
        close("equalised_odds_gap", 0.5);
        // Right: .9, .6, .4 in a; .3, .8, .1 in b.
        close("worst_group_accuracy", 0.75);
        assert!(!found.metrics.contains_key("score[empty]"));
        // At a threshold of .35: all four of a, and only .8 of b.
        let curve = &found.points["decision_gap"];
        assert_eq!(curve[35], (0.35, 0.75));
        assert_eq!((curve[0].1, curve[100].1), (0.0, 0.0));
    }

    #[test]
    fn small_groups_are_shown_but_enter_no_gap() {
        let rows = [(0.9, 1), (0.8, 1), (0.7, 0), (0.1, 0), (0.2, 0)];
        let found = findings(&predicted(&rows), 1, &groups(), &[0, 0, 1, 1, 2], 2).unwrap();
        assert!((found.metrics["score[empty]"] - 0.2).abs() < 1e-6);
        assert!((found.metrics["score_gap"] - 0.45).abs() < 1e-6, "{}", found.metrics["score_gap"]);
        let alone = findings(&predicted(&rows), 1, &groups(), &[0, 0, 0, 0, 1], 2).unwrap();
        assert!(!alone.metrics.contains_key("score_gap"));
    }

    #[test]
    fn a_group_without_positives_has_no_true_positive_rate() {
        let rows = [(0.9, 1), (0.2, 0), (0.3, 0), (0.6, 0)];
        let found = findings(&predicted(&rows), 1, &groups(), &[0, 0, 1, 1], 1).unwrap();
        assert!(!found.metrics.contains_key("equal_opportunity_gap"));
        assert!((found.metrics["equalised_odds_gap"] - 0.5).abs() < 1e-12);
    }

    #[test]
    fn the_interval_of_a_gap_is_that_of_two_independent_means() {
        let rows: Vec<(f64, i64)> = (0..200).map(|i| (if i % 2 == 0 { 0.3 } else { 0.7 }, 0)).collect();
        let of: Vec<usize> = (0..200).map(|i| usize::from(i < 100)).collect();
        let half = findings(&predicted(&rows), 1, &groups(), &of, 1).unwrap().metrics["score_gap_half"];
        // sd of ±0.2 with n-1 below: 0.2·√(100/99); two means of 100 rows.
        let wanted = 1.96 * (2.0 * 0.04 * (100.0 / 99.0) / 100.0f64).sqrt();
        assert!((half - wanted).abs() < 1e-6, "{half} {wanted}");
    }
}
