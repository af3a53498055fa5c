//! What any registered target rule will do before any training: the document of `candor explain --target`.

use std::collections::BTreeMap;

use super::illustration::illustrate;
use super::{RowReport, SigmoidReport};
use crate::batch::Labels;
use crate::error::{Error, Result, check_classes, check_range, check_range_hint};
use crate::parameters::{ParameterValue, Parameters};
use crate::targets::{ALL, Make, Positives, TargetRule, binary_by_name, by_name};

/// Largest number of classes for which a report holds whole rows.
const MAX_CLASSES: usize = 4096;

/// What a [`RuleReport`] is about, beside the rule.
#[derive(Debug, Clone, Copy)]
pub struct ReportOptions<'a> {
    /// The label whose row is explained; the middle class if `None`.
    pub label: Option<usize>,
    /// The accuracy for which under-confidence is predicted, a fraction.
    pub accuracy: f64,
    /// A weight for each class, to see where weights on each class's term move the optimum.
    pub class_weights: Option<&'a [f64]>,
}

impl Default for ReportOptions<'_> {
    /// The middle class, a model that is always right, no weights.
    fn default() -> Self {
        Self { label: None, accuracy: 1.0, class_weights: None }
    }
}

/// Optimum, margins, loss floor and bounds of a registered target rule.
///
/// For uniform smoothing in either convention [`Explanation`](super::Explanation) says more. Rules that need
/// data are shown on example data, which [`assumption`](Self::assumption) names; for data of your own, take
/// [`RowReport::new`] on the rows that the rule makes of them.
///
/// # Examples
/// ```
/// use candor::theory::{ReportOptions, RuleReport};
/// let report = RuleReport::new("ordinal", &Default::default(), 5, ReportOptions::default())?;
/// let row = &report.rows[0];
/// assert_eq!(row.label, 2);
/// assert!(row.smallest_margin < row.largest_margin); // neighbours lie nearer than the ends
/// assert!(report.assumption.is_none());
/// # Ok::<(), candor::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
#[non_exhaustive]
pub struct RuleReport {
    /// The rule's name.
    pub target: &'static str,
    /// Its formula.
    pub formula: &'static str,
    /// Where it was published.
    pub paper: &'static str,
    /// Number of classes.
    pub classes: usize,
    /// Every parameter at its value.
    pub parameters: BTreeMap<&'static str, ParameterValue>,
    /// The example data of a rule that needs data; `None` for others.
    pub assumption: Option<&'static str>,
    /// The rows that were explained; none for a rule of sigmoids.
    pub rows: Vec<RowReport>,
    /// The targets of positives and negatives, for a rule of sigmoids.
    pub sigmoids: Option<SigmoidReport>,
    /// The accuracy that `expected_underconfidence` assumes.
    pub accuracy: f64,
    /// Accuracy minus mean confidence of a model at the population optimum, where the true conditional gives
    /// `accuracy` to the label and the rest evenly to the others; `None` for rules of data or sigmoids, and
    /// where there is no optimum.
    pub expected_underconfidence: Option<f64>,
}

impl RuleReport {
    /// The report of the rule `name` with the given parameters over its defaults.
    ///
    /// # Errors
    /// Those of [`by_name`] but for missing data, [`Error::OutOfRange`] for fewer than 2 or more than 4096
    /// classes or an accuracy outside [0, 1], [`Error::LabelOutOfRange`] for a label that is no class or that
    /// the rule ignores, and those of [`RowReport::new`].
    pub fn new(
        name: &str,
        given: &BTreeMap<String, ParameterValue>,
        n_classes: usize,
        options: ReportOptions<'_>,
    ) -> Result<Self> {
        check_range("accuracy", options.accuracy, 0.0, 1.0)?;
        let hint = " (the report holds whole rows)";
        check_range_hint("n_classes", n_classes as f64, 1.0, MAX_CLASSES as f64, hint)?;
        let entry = ALL.iter().find(|entry| entry.info.name == name).ok_or_else(|| {
            crate::registry::unknown("target", name, ALL.iter().map(|entry| entry.info.name))
        })?;
        let resolved = Parameters::resolve(entry.info.name, entry.info.parameters, given)?;
        let mut report = Self {
            target: entry.info.name,
            formula: entry.info.formula,
            paper: entry.info.paper,
            classes: n_classes,
            parameters: resolved.values(),
            assumption: None,
            rows: Vec::new(),
            sigmoids: None,
            accuracy: options.accuracy,
            expected_underconfidence: None,
        };
        if let Make::Binary(_) = entry.make {
            report.sigmoids = Some(sigmoids(name, given, n_classes)?);
            return Ok(report);
        }
        check_classes(n_classes)?;
        let label = options.label.unwrap_or(n_classes / 2);
        let no_row = Error::LabelOutOfRange { row: 0, label: label as i64, n_classes, ignore_index: None };
        if label >= n_classes {
            return Err(no_row);
        }
        match entry.make {
            Make::Data(needs) => {
                let example = illustrate(entry.info.name, needs, &resolved, n_classes, label)?;
                report.assumption = Some(example.assumption);
                let counted = (0..example.targets.n_rows()).filter_map(|row| example.targets.row(row));
                for (row, case) in counted.zip(&example.cases) {
                    let target = row.dense(n_classes);
                    report.rows.push(RowReport::new(case, &target, Some(label), options.class_weights)?);
                }
            }
            _ => {
                let rule = by_name(name, given, n_classes)?;
                let row = rule.distribution(label, n_classes)?;
                if row.is_empty() {
                    return Err(no_row);
                }
                let case = format!("label {label}");
                report.rows.push(RowReport::new(&case, &row, Some(label), options.class_weights)?);
                report.expected_underconfidence =
                    underconfidence(rule.as_ref(), n_classes, label, options.accuracy)?;
            }
        }
        Ok(report)
    }
}

/// What a rule of sigmoids makes of a positive and of a negative.
fn sigmoids(name: &str, given: &BTreeMap<String, ParameterValue>, n_classes: usize) -> Result<SigmoidReport> {
    let rule = binary_by_name(name, given, n_classes)?;
    let labels: [i64; 0] = [];
    let targets = rule.targets(Positives::one_of(Labels::new(&labels, n_classes)?))?;
    let (on, off) = targets.on_off(0).unwrap_or_default();
    SigmoidReport::new(on, off, n_classes)
}

/// Accuracy minus the largest probability of the population optimum `Σ_y η_y q^(y)`.
fn underconfidence(
    rule: &dyn TargetRule,
    n_classes: usize,
    label: usize,
    accuracy: f64,
) -> Result<Option<f64>> {
    let others = (1.0 - accuracy) / (n_classes as f64 - 1.0);
    let mut optimum = vec![0.0; n_classes];
    for class in 0..n_classes {
        let share = if class == label { accuracy } else { others };
        if share == 0.0 {
            continue;
        }
        let row = rule.distribution(class, n_classes)?;
        // A class that the rule ignores, such as padding, is never the label.
        if row.iter().any(|q| *q < 0.0) || row.is_empty() {
            return Ok(None);
        }
        optimum.iter_mut().zip(&row).for_each(|(p, q)| *p += share * q);
    }
    let confidence = optimum.iter().copied().fold(0.0, f64::max);
    Ok(Some(accuracy - confidence))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::theory::{Explanation, expected_underconfidence};

    fn report(name: &str, options: ReportOptions<'_>) -> RuleReport {
        RuleReport::new(name, &BTreeMap::new(), 10, options).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    #[test]
    fn every_registered_rule_has_a_report() {
        for entry in ALL {
            let report = report(entry.info.name, ReportOptions::default());
            assert_eq!(report.rows.is_empty(), report.sigmoids.is_some(), "{}", report.target);
            assert_eq!(report.assumption.is_some(), matches!(entry.make, Make::Data(_)), "{}", report.target);
            assert_eq!(report.parameters.len(), entry.info.parameters.len(), "{}", report.target);
            for row in &report.rows {
                assert!((row.target.iter().sum::<f64>() - 1.0).abs() < 1e-9, "{}: {row:?}", report.target);
                assert!(row.label == 5 && row.effective_hard_weight > 0.0, "{}: {row:?}", report.target);
                assert_eq!(row.has_optimum, report.target != "generalised", "{}", report.target);
            }
        }
    }

    #[test]
    fn uniform_smoothing_is_explained_as_in_its_own_document() {
        let options = ReportOptions { accuracy: 0.8, ..Default::default() };
        let (report, e) =
            (report("uniform", options), Explanation::new(0.1, crate::Convention::Uniform, 10).unwrap());
        let row = &report.rows[0];
        assert!((row.smallest_margin.unwrap() - e.margin.unwrap()).abs() < 1e-12);
        assert!((row.loss_floor.unwrap() - e.loss_floor).abs() < 1e-12);
        assert!((row.lipschitz_l2 - e.lipschitz_l2).abs() < 1e-12);
        let want = expected_underconfidence(0.1, 0.8, 10).unwrap();
        assert!((report.expected_underconfidence.unwrap() - want).abs() < 1e-12);
    }

    #[test]
    fn weights_that_overturn_the_label_are_told() {
        let mut weights = [1.0; 10];
        weights[0] = 1000.0;
        let options = ReportOptions { class_weights: Some(&weights), ..Default::default() };
        assert_eq!(report("uniform", options).rows[0].weights_overturn_label, Some(true));
    }

    #[test]
    fn a_label_without_a_row_and_other_bad_arguments_are_refused() {
        let of = |name: &str, n_classes, options| RuleReport::new(name, &BTreeMap::new(), n_classes, options);
        let label = |label| ReportOptions { label: Some(label), ..Default::default() };
        let pad = of("pad_excluding", 10, label(0)).unwrap_err();
        assert!(matches!(pad, Error::LabelOutOfRange { label: 0, .. }), "{pad}");
        assert!(matches!(of("uniform", 10, label(10)), Err(Error::LabelOutOfRange { .. })));
        assert!(matches!(of("mixup", 1, label(0)), Err(Error::OutOfRange { .. })));
        assert!(matches!(of("unifrom", 10, label(0)), Err(Error::UnknownName { .. })));
        let accuracy = ReportOptions { accuracy: 1.5, ..Default::default() };
        assert!(matches!(of("uniform", 10, accuracy), Err(Error::OutOfRange { argument: "accuracy", .. })));
        assert!(of("uniform", 5000, ReportOptions::default()).is_err());
    }
}
