//! Differences between groups: decisions, errors, calibration, and the worst-off group.
//!
//! Every row has a group, a decision (0 or 1) and, where they are known, the label, the score behind the
//! decision and a weight. Rates are shares by weight. Differences are largest minus smallest over groups,
//! ratios smallest over largest (fairlearn's `between_groups`); `to_overall` compares each group with all rows.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{BinEdges, CalibrationError, CalibrationErrors, EvaluationOptions, Moments, ReliabilityTable};
use crate::error::{Error, Result};
use crate::statistics::wilson_share;

/// What a disparity compares.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FairnessMethod {
    /// The groups with the largest and the smallest rate.
    #[default]
    BetweenGroups,
    /// Each group with all rows together.
    ToOverall,
}

/// One row as fairness sees it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FairnessRow {
    /// The decision.
    pub decision: bool,
    /// What is true; `None` where nobody knows it.
    pub label: Option<bool>,
    /// The probability of the label, in [0, 1]; `None` for bare decisions.
    pub score: Option<f64>,
    /// How often the row counts; 1 unless given.
    pub weight: f64,
}

/// Sums of one group.
#[derive(Debug, Clone, PartialEq)]
struct Group {
    count: u64,
    selected: Moments,
    /// Decisions among rows labelled 0 and 1.
    selected_of: [Moments; 2],
    /// Labels among rows decided 0 and 1.
    labels_of: [Moments; 2],
    score: Moments,
    brier: Moments,
    table: ReliabilityTable,
}

/// A rate with its number of rows and 95 % Wilson interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Rate {
    /// The share, in [0, 1].
    pub value: f64,
    /// Number of rows behind it.
    pub count: u64,
    /// Wilson's 95 % interval, at the effective count of weighted rows.
    pub ci: [f64; 2],
}

/// The figures of one group; those without a row behind them are left out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GroupFairness {
    /// Number of rows.
    pub count: u64,
    /// Share of rows decided 1.
    pub selection_rate: Rate,
    /// Share of rows labelled 1.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub base_rate: Option<Rate>,
    /// Share of rows decided as labelled.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub accuracy: Option<Rate>,
    /// Share of rows labelled 1 that are decided 1 (recall); higher is better.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub true_positive_rate: Option<Rate>,
    /// Share of rows labelled 0 that are decided 1; lower is better.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub false_positive_rate: Option<Rate>,
    /// Share of rows labelled 0 that are decided 0; higher is better.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub true_negative_rate: Option<Rate>,
    /// Share of rows labelled 1 that are decided 0; lower is better.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub false_negative_rate: Option<Rate>,
    /// Share of rows decided 1 that are labelled 1 (precision, PPV); higher is better.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub positive_predictive_value: Option<Rate>,
    /// Share of rows decided 0 that are labelled 0 (NPV); higher is better.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub negative_predictive_value: Option<Rate>,
    /// Mean score, in [0, 1].
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub mean_score: Option<f64>,
    /// Mean (score - label)², in [0, 1]; lower is better.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub brier: Option<f64>,
    /// Binned calibration error of the score, in [0, 1]; lower is better.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ece: Option<f64>,
    /// Mean score minus base rate, in [-1, 1]; 0 is best.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub signed_gap: Option<f64>,
}

/// Disparities between groups, and every group's figures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fairness {
    /// Number of rows.
    pub n: u64,
    /// What the disparities compare.
    pub method: FairnessMethod,
    /// Differences (0 is parity, in [0, 1]) and ratios (1 is parity, in [0, 1]) by name: see [`FAIRNESS`].
    pub metrics: BTreeMap<String, f64>,
    /// All rows together.
    pub overall: GroupFairness,
    /// The groups by name, in ascending order.
    pub groups: BTreeMap<String, GroupFairness>,
}

/// Name, summary and range of a disparity; shown by `candor list`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct FairnessInfo {
    /// The key in outputs.
    pub name: &'static str,
    /// What it says, with its formula.
    pub summary: &'static str,
    /// Range and direction.
    pub range: &'static str,
}

const DIFFERENCE: &str = "0 to 1, 0 is parity";
const RATIO: &str = "0 to 1, 1 is parity";

/// Every disparity.
pub const FAIRNESS: &[FairnessInfo] = &[
    info("demographic_parity_difference", "selection rates: largest minus smallest", DIFFERENCE),
    info("demographic_parity_ratio", "selection rates: smallest over largest", RATIO),
    info("score_parity_difference", "mean scores: largest minus smallest", DIFFERENCE),
    info("score_parity_ratio", "mean scores: smallest over largest", RATIO),
    info(
        "equalized_odds_difference",
        "larger of the TPR and FPR differences (Hardt et al. 2016)",
        DIFFERENCE,
    ),
    info("equalized_odds_ratio", "smaller of the TPR and FPR ratios", RATIO),
    info(
        "equal_opportunity_difference",
        "true positive rates: largest minus smallest (Hardt et al. 2016)",
        DIFFERENCE,
    ),
    info("equal_opportunity_ratio", "true positive rates: smallest over largest", RATIO),
    info("predictive_parity_difference", "positive predictive values: largest minus smallest", DIFFERENCE),
    info("accuracy_difference", "accuracies: largest minus smallest", DIFFERENCE),
    info(
        "worst_group_accuracy",
        "smallest accuracy of a group (Sagawa et al. 2020)",
        "0 to 1, higher is better",
    ),
    info("ece_difference", "calibration errors within groups: largest minus smallest", DIFFERENCE),
    info("worst_group_ece", "largest calibration error within a group", "0 to 1, lower is better"),
    info("brier_difference", "Brier scores of the event within groups: largest minus smallest", DIFFERENCE),
    info("worst_group_brier", "largest Brier score of the event within a group", "0 to 1, lower is better"),
];

const fn info(name: &'static str, summary: &'static str, range: &'static str) -> FairnessInfo {
    FairnessInfo { name, summary, range }
}

/// Collects rows by group; mergeable, and the same whatever the order.
///
/// # Examples
/// ```
/// use candor::metrics::{FairnessEvaluator, FairnessMethod, FairnessRow};
/// let mut state = FairnessEvaluator::new(Default::default())?;
/// for (group, decision) in [("a", true), ("a", false), ("b", true), ("b", true)] {
///     state.update(group, FairnessRow { decision, label: Some(true), score: None, weight: 1.0 })?;
/// }
/// let fairness = state.compute(FairnessMethod::BetweenGroups)?;
/// assert_eq!(fairness.metrics["demographic_parity_difference"], 0.5);
/// # Ok::<(), candor::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct FairnessEvaluator {
    empty: Group,
    groups: BTreeMap<String, Group>,
}

impl FairnessEvaluator {
    /// An empty state; bins of the calibration errors are those of the options.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for a number of bins outside `1..=100000`.
    pub fn new(options: EvaluationOptions) -> Result<Self> {
        let empty = Group {
            count: 0,
            selected: Moments::default(),
            selected_of: Default::default(),
            labels_of: Default::default(),
            score: Moments::default(),
            brier: Moments::default(),
            table: ReliabilityTable::new(BinEdges::equal_width(options.n_bins, options.edges)?),
        };
        Ok(Self { empty, groups: BTreeMap::new() })
    }

    /// Adds one row to a group.
    ///
    /// # Errors
    /// [`Error::WeightValue`] for a weight that is negative or not finite, [`Error::ProbabilityValue`] for a
    /// score outside [0, 1].
    pub fn update(&mut self, group: &str, row: FairnessRow) -> Result<()> {
        if !(row.weight >= 0.0 && row.weight.is_finite()) {
            return Err(Error::WeightValue { what: "the sample weight of row", index: 0, value: row.weight });
        }
        if let Some(value) = row.score.filter(|score| !(0.0..=1.0).contains(score)) {
            return Err(Error::ProbabilityValue { row: 0, class: 1, value });
        }
        if !self.groups.contains_key(group) {
            self.groups.insert(group.to_owned(), self.empty.clone());
        }
        if let Some(state) = self.groups.get_mut(group) {
            state.update(row);
        }
        Ok(())
    }

    /// Adds the rows of another state.
    ///
    /// # Errors
    /// [`Error::Merge`] if the bins differ.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        self.empty.table.merge(&other.empty.table)?;
        for (name, theirs) in &other.groups {
            self.groups.entry(name.clone()).or_insert_with(|| self.empty.clone()).merge(theirs)?;
        }
        Ok(())
    }

    /// The figures. Groups whose rows all weigh nothing are left out.
    ///
    /// # Errors
    /// [`Error::Empty`] without a row of some weight.
    pub fn compute(&self, method: FairnessMethod) -> Result<Fairness> {
        let mut all = self.empty.clone();
        for group in self.groups.values() {
            all.merge(group)?;
        }
        let overall = all.figures();
        let overall =
            overall.ok_or(Error::Empty { what: "fairness", rows: all.count as usize, ignored: 0 })?;
        let groups: BTreeMap<String, GroupFairness> =
            self.groups.iter().filter_map(|(name, group)| Some((name.clone(), group.figures()?))).collect();
        let metrics = disparities(&overall, &groups, method);
        Ok(Fairness { n: all.count, method, metrics, overall, groups })
    }
}

impl Group {
    fn update(&mut self, row: FairnessRow) {
        let number = |b: bool| f64::from(u8::from(b));
        self.count += 1;
        self.selected.update_weighted(number(row.decision), row.weight);
        if let Some(label) = row.label {
            self.selected_of[usize::from(label)].update_weighted(number(row.decision), row.weight);
            self.labels_of[usize::from(row.decision)].update_weighted(number(label), row.weight);
        }
        if let Some(score) = row.score {
            self.score.update_weighted(score, row.weight);
            if let Some(label) = row.label {
                self.brier.update_weighted((score - number(label)).powi(2), row.weight);
                self.table.update_weighted(score, label, row.weight);
            }
        }
    }

    fn merge(&mut self, other: &Self) -> Result<()> {
        self.table.merge(&other.table)?;
        self.count += other.count;
        self.selected.merge(&other.selected);
        for (mine, theirs) in self.selected_of.iter_mut().zip(&other.selected_of) {
            mine.merge(theirs);
        }
        for (mine, theirs) in self.labels_of.iter_mut().zip(&other.labels_of) {
            mine.merge(theirs);
        }
        self.score.merge(&other.score);
        self.brier.merge(&other.brier);
        Ok(())
    }

    fn figures(&self) -> Option<GroupFairness> {
        let [negatives, positives] = &self.selected_of;
        let [rejected, accepted] = &self.labels_of;
        // Weights of label 1, of agreement, and of rows whose label is known.
        let right = positives.weight() * or_zero(positives.mean())
            + negatives.weight() * (1.0 - or_one(negatives.mean()));
        let mut labelled = *positives;
        labelled.merge(negatives);
        let share = |weight: f64| {
            let total = labelled.weight();
            rate_of(weight / total, labelled.count(), labelled.effective_count()).filter(|_| total > 0.0)
        };
        let some = |value: f64| value.is_finite().then_some(value);
        let error = |kind| CalibrationErrors::value(&self.table, kind).ok();
        Some(GroupFairness {
            count: self.count,
            selection_rate: rate(&self.selected)?,
            base_rate: share(positives.weight()),
            accuracy: share(right),
            true_positive_rate: rate(positives),
            false_positive_rate: rate(negatives),
            true_negative_rate: rate(negatives).map(complement),
            false_negative_rate: rate(positives).map(complement),
            positive_predictive_value: rate(accepted),
            negative_predictive_value: rate(rejected).map(complement),
            mean_score: some(self.score.mean()),
            brier: some(self.brier.mean()),
            ece: error(CalibrationError::Expected),
            signed_gap: (self.table.weight() > 0.0)
                .then(|| super::calibration_error::signed_gap(&self.table).value)
                .flatten(),
        })
    }
}

fn or_zero(value: f64) -> f64 {
    if value.is_nan() { 0.0 } else { value }
}

fn or_one(value: f64) -> f64 {
    if value.is_nan() { 1.0 } else { value }
}

/// A mean of zeros and ones.
fn rate(moments: &Moments) -> Option<Rate> {
    rate_of(moments.mean(), moments.count(), moments.effective_count())
}

fn rate_of(value: f64, count: u64, effective: f64) -> Option<Rate> {
    value.is_finite().then(|| Rate { value, count, ci: wilson_share(value, effective, 0.95) })
}

fn complement(rate: Rate) -> Rate {
    Rate { value: 1.0 - rate.value, count: rate.count, ci: [1.0 - rate.ci[1], 1.0 - rate.ci[0]] }
}

/// The disparities that these groups define.
fn disparities(
    overall: &GroupFairness,
    groups: &BTreeMap<String, GroupFairness>,
    method: FairnessMethod,
) -> BTreeMap<String, f64> {
    let spread = |figure: &dyn Fn(&GroupFairness) -> Option<f64>| -> Option<(f64, f64)> {
        let values: Vec<f64> = groups.values().filter_map(figure).collect();
        let low = values.iter().copied().reduce(f64::min)?;
        let high = values.iter().copied().reduce(f64::max)?;
        let ratio = |a: f64, b: f64| if b > 0.0 { a / b } else { 1.0 };
        match method {
            FairnessMethod::BetweenGroups => Some((high - low, ratio(low, high))),
            FairnessMethod::ToOverall => {
                let all = figure(overall)?;
                let ratios = values.iter().map(|value| ratio(value.min(all), value.max(all)));
                Some(((high - all).max(all - low), ratios.fold(1.0, f64::min)))
            }
        }
    };
    let value = |rate: Option<Rate>| rate.map(|rate| rate.value);
    let selection = spread(&|group| Some(group.selection_rate.value));
    let score = spread(&|group| group.mean_score);
    let tpr = spread(&|group| value(group.true_positive_rate));
    let fpr = spread(&|group| value(group.false_positive_rate));
    let ppv = spread(&|group| value(group.positive_predictive_value));
    let accuracy = spread(&|group| value(group.accuracy));
    let ece = spread(&|group| group.ece);
    let brier = spread(&|group| group.brier);
    let odds = tpr.zip(fpr).map(|(tpr, fpr)| (tpr.0.max(fpr.0), tpr.1.min(fpr.1)));
    let worst = |figure: &dyn Fn(&GroupFairness) -> Option<f64>, pick: fn(f64, f64) -> f64| {
        groups.values().filter_map(figure).reduce(pick)
    };
    let of = |name: &str| match name {
        "demographic_parity_difference" => selection.map(|s| s.0),
        "demographic_parity_ratio" => selection.map(|s| s.1),
        "score_parity_difference" => score.map(|s| s.0),
        "score_parity_ratio" => score.map(|s| s.1),
        "equalized_odds_difference" => odds.map(|s| s.0),
        "equalized_odds_ratio" => odds.map(|s| s.1),
        "equal_opportunity_difference" => tpr.map(|s| s.0),
        "equal_opportunity_ratio" => tpr.map(|s| s.1),
        "predictive_parity_difference" => ppv.map(|s| s.0),
        "accuracy_difference" => accuracy.map(|s| s.0),
        "worst_group_accuracy" => worst(&|group| value(group.accuracy), f64::min),
        "ece_difference" => ece.map(|s| s.0),
        "worst_group_ece" => worst(&|group| group.ece, f64::max),
        "brier_difference" => brier.map(|s| s.0),
        "worst_group_brier" => worst(&|group| group.brier, f64::max),
        _ => None,
    };
    FAIRNESS.iter().filter_map(|info| Some((info.name.to_owned(), of(info.name)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(decision: u8, label: u8) -> FairnessRow {
        FairnessRow { decision: decision == 1, label: Some(label == 1), score: Some(0.5), weight: 1.0 }
    }

    #[test]
    fn two_groups_by_hand() {
        let mut state = FairnessEvaluator::new(Default::default()).unwrap();
        // a: TPR 1/2, FPR 0; b: TPR 1, FPR 1/2.
        for (group, decision, label) in
            [("a", 1, 1), ("a", 0, 1), ("a", 0, 0), ("b", 1, 1), ("b", 1, 0), ("b", 0, 0)]
        {
            state.update(group, row(decision, label)).unwrap();
        }
        let fairness = state.compute(FairnessMethod::BetweenGroups).unwrap();
        let third = 1.0 / 3.0;
        for (name, want) in [
            ("demographic_parity_difference", third),
            ("demographic_parity_ratio", 0.5),
            ("equalized_odds_difference", 0.5),
            ("equalized_odds_ratio", 0.0),
            ("equal_opportunity_ratio", 0.5),
            ("worst_group_accuracy", 2.0 * third),
            ("score_parity_difference", 0.0),
            ("worst_group_brier", 0.25),
        ] {
            assert!((fairness.metrics[name] - want).abs() < 1e-12, "{name}: {:?}", fairness.metrics);
        }
        assert_eq!(fairness.metrics.len(), FAIRNESS.len());
        assert_eq!(fairness.groups["b"].positive_predictive_value.unwrap().value, 0.5);
        assert_eq!(fairness.groups["a"].true_negative_rate.unwrap().value, 1.0);
    }

    #[test]
    fn what_is_unknown_is_left_out_and_bad_rows_are_refused() {
        let mut state = FairnessEvaluator::new(Default::default()).unwrap();
        assert!(matches!(state.compute(Default::default()), Err(Error::Empty { .. })));
        let bare = FairnessRow { decision: true, label: None, score: None, weight: 1.0 };
        state.update("a", bare).unwrap();
        let fairness = state.compute(Default::default()).unwrap();
        assert!(fairness.groups["a"].accuracy.is_none() && fairness.metrics.len() == 2);
        assert!(state.update("a", FairnessRow { weight: -1.0, ..bare }).is_err());
        assert!(state.update("a", FairnessRow { score: Some(1.5), ..bare }).is_err());
    }
}
