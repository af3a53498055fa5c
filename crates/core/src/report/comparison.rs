//! Runs of several variants and seeds, summarised and compared pairwise by seed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Context, Recommendation, Warning, comparison_warnings, recommend, verdict};
use crate::statistics::paired_t;

/// What was trained: everything that distinguishes one column of a comparison from another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Variant {
    /// The loss's name.
    pub loss: String,
    /// The target rule's name.
    pub target: String,
    /// What the strength means.
    pub convention: String,
    /// Smoothing strength.
    pub smoothing: f64,
    /// How the strength changes over the training.
    pub schedule: String,
    /// The model's name.
    pub model: String,
    /// Further settings in which the variants differ, by key.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub settings: BTreeMap<String, String>,
}

impl Variant {
    /// Whether two variants differ in nothing but the strength.
    pub fn same_but_smoothing(&self, other: &Self) -> bool {
        Self { smoothing: 0.0, ..self.clone() } == Self { smoothing: 0.0, ..other.clone() }
    }
}

/// One finished run; every figure is a plain number on the test rows unless its name says otherwise.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    /// What was trained.
    pub variant: Variant,
    /// Smoothing strength.
    pub smoothing: f64,
    /// The run's seed.
    pub seed: u64,
    /// Figures on the test rows.
    pub metrics: BTreeMap<String, f64>,
    /// Temperature fitted on the validation rows.
    pub temperature: Option<f64>,
    /// Figures on the test rows with that temperature.
    pub metrics_after_temperature: Option<BTreeMap<String, f64>>,
    /// NLL of the validation rows: what the recommendation goes by.
    pub validation_nll: Option<f64>,
    /// NLL of the validation rows with the temperature.
    pub validation_nll_after_temperature: Option<f64>,
    /// Mean loss that was optimised, in the last epoch.
    #[serde(default)]
    pub train_loss: Option<f64>,
    /// Wall time of the training.
    pub seconds: f64,
}

/// Mean and difference of a metric with the temperature applied.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AfterTemperature {
    /// Mean over seeds.
    pub mean: f64,
    /// Standard deviation over seeds; null for one seed.
    pub sd: Option<f64>,
    /// Mean paired difference to the baseline.
    pub difference: Option<f64>,
    /// Its 95 % interval.
    pub ci: Option<[f64; 2]>,
}

/// A metric of a variant over the seeds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SummaryRow {
    /// The variant.
    pub variant: Variant,
    /// The metric's name.
    pub metric: String,
    /// Mean over seeds.
    pub mean: f64,
    /// Standard deviation over seeds; null for one seed.
    pub sd: Option<f64>,
    /// Mean paired difference to the variant's baseline: the same with the smallest strength.
    pub difference: Option<f64>,
    /// Its 95 % interval; null for one seed.
    pub ci: Option<[f64; 2]>,
    /// How the interval was made.
    pub ci_method: String,
    /// The same with the temperature.
    pub after_temperature: Option<AfterTemperature>,
}

/// The whole comparison, as `candor compare --json` prints it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Name and version of this document.
    pub schema: String,
    /// The recipe.
    pub recipe: String,
    /// The data set.
    pub data: String,
    /// The runs.
    pub runs: Vec<RunRecord>,
    /// The summary.
    pub summary: Vec<SummaryRow>,
    /// Plain words.
    pub verdict: Vec<String>,
    /// Strength with the lowest validation NLL, one-standard-error rule towards the smaller.
    pub recommended_smoothing: Option<f64>,
    /// The same with the temperature applied.
    pub recommended_with_temperature: Option<f64>,
    /// What to look out for.
    pub warnings: Vec<Warning>,
}

impl Comparison {
    /// Compares runs of which nothing else is known.
    pub fn new(recipe: &str, data: &str, runs: Vec<RunRecord>) -> Self {
        Self::in_context(recipe, data, runs, &Context::default())
    }

    /// Compares runs; the context makes more warnings possible.
    pub fn in_context(recipe: &str, data: &str, runs: Vec<RunRecord>, context: &Context) -> Self {
        let summary = summarise(&runs);
        let recommendation = recommend(&runs);
        let verdict = verdict(&runs, &summary, &recommendation);
        let Recommendation { smoothing, with_temperature, .. } = recommendation;
        let warnings = comparison_warnings(&runs, &summary, context);
        Self {
            schema: "candor.compare/1".to_owned(),
            recipe: recipe.to_owned(),
            data: data.to_owned(),
            runs,
            summary,
            verdict,
            recommended_smoothing: smoothing,
            recommended_with_temperature: with_temperature,
            warnings,
        }
    }

    /// Adds what the field has to say: its sentences stand before the recommendation.
    pub fn conclude(&mut self, verdict: &[String], warnings: &[Warning]) {
        let place = self.verdict.len().saturating_sub(1);
        self.verdict.splice(place..place, verdict.iter().cloned());
        self.warnings.extend_from_slice(warnings);
    }

    /// The variants in the order of the runs.
    pub fn variants(&self) -> Vec<&Variant> {
        variants(&self.runs)
    }

    /// The summary of a metric of a variant.
    pub fn row(&self, variant: &Variant, metric: &str) -> Option<&SummaryRow> {
        self.summary.iter().find(|row| row.variant == *variant && row.metric == metric)
    }
}

/// The variants in order of first appearance.
pub(super) fn variants(runs: &[RunRecord]) -> Vec<&Variant> {
    let mut found: Vec<&Variant> = Vec::new();
    for run in runs {
        if !found.contains(&&run.variant) {
            found.push(&run.variant);
        }
    }
    found
}

/// The variant that others of its kind are compared with: the one with the smallest strength.
pub(super) fn baseline<'a>(variants: &[&'a Variant], of: &Variant) -> Option<&'a Variant> {
    variants
        .iter()
        .copied()
        .filter(|variant| variant.same_but_smoothing(of))
        .min_by(|a, b| a.smoothing.total_cmp(&b.smoothing))
}

/// Mean and sample standard deviation.
pub(super) fn mean_sd(values: &[f64]) -> (f64, Option<f64>) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let sd = (values.len() > 1)
        .then(|| (values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / (n - 1.0)).sqrt());
    (mean, sd)
}

/// Every metric of every variant over its seeds, with differences paired by seed.
pub fn summarise(runs: &[RunRecord]) -> Vec<SummaryRow> {
    let all = variants(runs);
    let mut rows = Vec::new();
    for variant in &all {
        let mine: Vec<&RunRecord> = runs.iter().filter(|run| run.variant == **variant).collect();
        let base = baseline(&all, variant).filter(|base| base != variant);
        let theirs: Vec<&RunRecord> = runs.iter().filter(|run| Some(&run.variant) == base).collect();
        let Some(first) = mine.first() else { continue };
        for metric in first.metrics.keys() {
            let plain = |run: &RunRecord| run.metrics.get(metric).copied();
            let scaled = |run: &RunRecord| {
                run.metrics_after_temperature.as_ref().and_then(|metrics| metrics.get(metric).copied())
            };
            let Some((mean, sd, difference, ci)) = compare(&mine, &theirs, plain) else { continue };
            let after_temperature = compare(&mine, &theirs, scaled)
                .map(|(mean, sd, difference, ci)| AfterTemperature { mean, sd, difference, ci });
            rows.push(SummaryRow {
                variant: (*variant).clone(),
                metric: metric.clone(),
                mean,
                sd,
                difference,
                ci,
                ci_method: "paired t over seeds".to_owned(),
                after_temperature,
            });
        }
    }
    rows
}

type Figures = (f64, Option<f64>, Option<f64>, Option<[f64; 2]>);

/// Mean, sd, paired difference and its interval; `None` unless every run has the figure.
fn compare(
    mine: &[&RunRecord],
    theirs: &[&RunRecord],
    figure: impl Fn(&RunRecord) -> Option<f64>,
) -> Option<Figures> {
    let values: Vec<f64> = mine.iter().map(|run| figure(run)).collect::<Option<_>>()?;
    let (mean, sd) = mean_sd(&values);
    let differences: Vec<f64> = mine
        .iter()
        .filter_map(|run| {
            let partner = theirs.iter().find(|other| other.seed == run.seed)?;
            Some(figure(run)? - figure(partner)?)
        })
        .collect();
    let paired = paired_t(&differences, 0.95);
    Some((mean, sd, paired.map(|paired| paired.mean), paired.and_then(|paired| paired.ci)))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A run whose figures are given as (name, before, after temperature).
    pub(in crate::report) fn run(
        smoothing: f64,
        seed: u64,
        validation_nll: f64,
        figures: &[(&str, f64, f64)],
    ) -> RunRecord {
        let metrics = |after: bool| {
            figures.iter().map(|(name, a, b)| ((*name).to_owned(), if after { *b } else { *a })).collect()
        };
        RunRecord {
            variant: Variant {
                loss: "cross_entropy".to_owned(),
                target: "uniform".to_owned(),
                convention: "uniform".to_owned(),
                smoothing,
                schedule: "constant".to_owned(),
                model: "mlp".to_owned(),
                settings: BTreeMap::new(),
            },
            smoothing,
            seed,
            metrics: metrics(false),
            temperature: Some(1.0),
            metrics_after_temperature: Some(metrics(true)),
            validation_nll: Some(validation_nll),
            validation_nll_after_temperature: Some(validation_nll),
            train_loss: None,
            seconds: 1.0,
        }
    }

    #[test]
    fn differences_are_paired_by_seed() {
        let runs = [
            run(0.0, 0, 0.3, &[("ece", 0.10, 0.01)]),
            run(0.0, 1, 0.3, &[("ece", 0.20, 0.01)]),
            run(0.1, 1, 0.4, &[("ece", 0.25, 0.02)]),
            run(0.1, 0, 0.4, &[("ece", 0.15, 0.02)]),
        ];
        let rows = summarise(&runs);
        assert_eq!(rows.len(), 2);
        assert_eq!((rows[0].difference, rows[0].ci), (None, None));
        assert!((rows[1].mean - 0.2).abs() < 1e-12);
        // Both seeds moved by 0.05, so the interval has no width though the seeds differ.
        let [low, high] = rows[1].ci.unwrap();
        assert!((rows[1].difference.unwrap() - 0.05).abs() < 1e-12 && high - low < 1e-9);
        assert!((rows[1].after_temperature.as_ref().unwrap().difference.unwrap() - 0.01).abs() < 1e-12);
    }

    #[test]
    fn one_seed_has_no_interval() {
        let runs = [run(0.0, 0, 0.3, &[("ece", 0.1, 0.0)]), run(0.1, 0, 0.3, &[("ece", 0.2, 0.0)])];
        let row = &summarise(&runs)[1];
        assert!((row.difference.unwrap() - 0.1).abs() < 1e-12);
        assert_eq!((row.ci, row.sd), (None, None));
    }

    #[test]
    fn the_document_reads_back_as_itself() {
        let comparison = Comparison::new("vision", "digits", vec![run(0.0, 0, 0.3, &[("ece", 0.1, 0.0)])]);
        assert_eq!(comparison.clone(), comparison);
        assert_eq!(comparison.variants().len(), 1);
        assert!(comparison.row(comparison.variants()[0], "ece").is_some());
    }
}
