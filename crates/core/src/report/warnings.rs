//! A warning, and those of one set of predictions: a stable code, a sentence, a remedy.

use serde::{Deserialize, Serialize};

use super::comparison_warnings::UNDER_CONFIDENT;
use crate::metrics::Evaluation;

/// Something that the figures show and that a user should act on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    /// The stable code.
    pub code: String,
    /// What was found, and the remedy.
    pub message: String,
}

impl Warning {
    /// A warning.
    pub fn new(code: &str, message: impl Into<String>) -> Self {
        Self { code: code.to_owned(), message: message.into() }
    }
}

/// Fewer rows than this say little about calibration.
const FEW_ROWS: u64 = 200;

/// The warnings of one set of predictions.
pub fn evaluation_warnings(evaluation: &Evaluation) -> Vec<Warning> {
    let mut warnings = Vec::new();
    if evaluation.n < FEW_ROWS {
        warnings.push(Warning::new(
            "few_rows",
            format!(
                "{} rows are few for a calibration error, which is then large by chance: read the intervals and the column of calibrated predictions, or evaluate more rows",
                evaluation.n
            ),
        ));
    }
    if evaluation.impossible > 0 {
        warnings.push(Warning::new(
            "zero_probability",
            format!(
                "{} of {} labels have probability 0, so the NLL is infinite: check for rounded or clipped probabilities, or give logits",
                evaluation.impossible, evaluation.n
            ),
        ));
    }
    let gap = evaluation.metrics.get("signed_gap");
    let direction = gap.and_then(|gap| gap.ci).map(|[low, high]| (low > 0.0, high < 0.0));
    let size = evaluation.value("signed_gap").abs();
    match direction {
        Some((true, _)) if size > UNDER_CONFIDENT => warnings.push(Warning::new(
            "over_confidence",
            format!("predictions are more confident than accurate by {size:.3}: apply temperature scaling (T > 1), or train with smoothing"),
        )),
        Some((_, true)) if size > UNDER_CONFIDENT => warnings.push(Warning::new(
            "under_confidence",
            format!("predictions are less confident than accurate by {size:.3}: apply temperature scaling (T < 1), or smooth less"),
        )),
        _ => {}
    }
    warnings
}

/// The warning of an ensemble that is under-confident: the mean of probabilities is less confident than they are,
/// while it is right more often, so members that were honest alone are not together (Wu & Gales 2021; Rahaman &
/// Thiery 2021). `members` are the models by themselves.
///
/// # Examples
/// ```
/// use candor::metrics::{Evaluator, Scorer};
/// use candor::report::ensemble_warning;
/// let of = |confidence: f64| {
///     let mut evaluator = Evaluator::new(Default::default()).unwrap();
///     let mut scorer = Scorer::default();
///     (0..400).for_each(|i| evaluator.update(scorer.probs(&[confidence, 1.0 - confidence], usize::from(i % 10 == 0))));
///     evaluator.compute().unwrap()
/// };
/// let (honest, ensemble) = (of(0.9), of(0.8));
/// assert_eq!(ensemble_warning(&ensemble, &[&honest, &honest]).unwrap().code, "ensemble");
/// assert!(ensemble_warning(&honest, &[&honest]).is_none());
/// ```
pub fn ensemble_warning(ensemble: &Evaluation, members: &[&Evaluation]) -> Option<Warning> {
    let gap = ensemble.value("signed_gap");
    let mean = members.iter().map(|member| member.value("signed_gap")).sum::<f64>() / members.len() as f64;
    let beyond_chance = ensemble.metrics.get("signed_gap")?.ci.is_some_and(|[_, high]| high < 0.0);
    (gap < -UNDER_CONFIDENT && gap < mean && beyond_chance).then(|| {
        let alone = if mean < 0.0 { "less" } else { "more" };
        Warning::new(
            "ensemble",
            format!(
                "the mean of these {} models' probabilities is less confident than accurate by {:.3} (the models alone are {alone} so by {:.3}): calibrate the ensemble and not its members, and smooth them less",
                members.len(),
                -gap,
                mean.abs()
            ),
        )
    })
}

/// A group is told of if its confidence is off by this much more than that of all rows.
const GROUP_GAP: f64 = 0.05;

/// The warnings that groups of the rows give: those whose confidence is off beyond chance, and by more than the
/// whole.
pub fn group_warnings<'a>(
    whole: &Evaluation,
    groups: impl IntoIterator<Item = (&'a str, &'a Evaluation)>,
) -> Vec<Warning> {
    let overall = whole.value("signed_gap");
    let mut off: Vec<(f64, String)> = groups
        .into_iter()
        .filter_map(|(name, group)| {
            let gap = group.metrics.get("signed_gap")?;
            let (value, [low, high]) = (gap.value?, gap.ci?);
            let beyond = low > overall + GROUP_GAP / 2.0 || high < overall - GROUP_GAP / 2.0;
            let told = (value - overall).abs() > GROUP_GAP && beyond && (low > 0.0 || high < 0.0);
            let direction = if value > 0.0 { "over" } else { "under" };
            told.then(|| (value.abs(), format!("{name} ({direction}-confident by {:.3})", value.abs())))
        })
        .collect();
    if off.is_empty() {
        return Vec::new();
    }
    off.sort_by(|a, b| b.0.total_cmp(&a.0));
    let named: Vec<String> = off.iter().take(5).map(|(_, words)| words.clone()).collect();
    let more = if off.len() > 5 { format!(" and {} more", off.len() - 5) } else { String::new() };
    vec![Warning::new(
        "group_confidence",
        format!(
            "the confidence of some groups is off by more than that of all rows, {}{more}: calibrate these groups apart, or collect more of their rows for training",
            named.join(", ")
        ),
    )]
}

#[cfg(test)]
mod tests {
    use super::evaluation_warnings;
    use crate::metrics::{EvaluationOptions, Evaluator, Scorer};

    fn evaluated(rows: impl IntoIterator<Item = ([f64; 2], usize)>) -> Vec<String> {
        let mut evaluator = Evaluator::new(EvaluationOptions::default()).unwrap();
        let mut scorer = Scorer::default();
        rows.into_iter().for_each(|(probs, label)| evaluator.update(scorer.probs(&probs, label)));
        evaluation_warnings(&evaluator.compute().unwrap()).into_iter().map(|warning| warning.code).collect()
    }

    #[test]
    fn the_direction_of_the_error_and_impossible_labels_are_noticed() {
        assert_eq!(evaluated((0..200).map(|i| ([0.95, 0.05], usize::from(i % 4 == 0)))), ["over_confidence"]);
        assert_eq!(evaluated((0..200).map(|i| ([0.6, 0.4], usize::from(i % 10 == 0)))), ["under_confidence"]);
        assert!(evaluated((0..200).map(|i| ([0.75, 0.25], usize::from(i % 4 == 0)))).is_empty());
        assert_eq!(evaluated([([1.0, 0.0], 0), ([1.0, 0.0], 1)]), ["few_rows", "zero_probability"]);
    }

    #[test]
    fn groups_that_are_off_by_more_than_the_whole_are_named() {
        let of = |confidence: f64, wrong_of: usize| {
            let mut evaluator = Evaluator::new(EvaluationOptions::default()).unwrap();
            let mut scorer = Scorer::default();
            for i in 0..400 {
                evaluator
                    .update(scorer.probs(&[confidence, 1.0 - confidence], usize::from(i % wrong_of == 0)));
            }
            evaluator.compute().unwrap()
        };
        let (whole, off) = (of(0.75, 4), of(0.95, 4));
        assert!(super::group_warnings(&whole, [("a", &whole)]).is_empty());
        let warnings = super::group_warnings(&whole, [("a", &whole), ("b", &off)]);
        assert_eq!(warnings[0].code, "group_confidence");
        assert!(warnings[0].message.contains("b (over-confident by 0.200)"), "{}", warnings[0].message);
        assert!(super::group_warnings(&off, [("b", &off)]).is_empty());
    }
}
