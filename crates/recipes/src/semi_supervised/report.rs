//! What the rules of pseudo-labels did: in words, as a table, round by round.

use candor::report::page::{Cell, Figure, Heading, Row, Table};
use candor::statistics::paired_t;
use candor::theory::{damping_ratio, self_training_fixed_point};

use crate::comparison::FinishedRun;
use crate::conclusions::{Line, Setting, Spread, figure, legend, lines, settings};
use crate::recipe::Conclusion;

/// Figures of the table: name, heading, explanation.
const COLUMNS: [(&str, &str, &str); 8] = [
    ("accuracy", "accuracy", "share of test rows classified correctly"),
    ("nll", "NLL", "negative log-likelihood of the test rows"),
    ("ece", "ECE", "calibration error of the test rows"),
    (
        "pseudo_error",
        "error on unlabelled rows",
        "share of the unlabelled rows that the finished model gets wrong",
    ),
    ("pseudo_kept", "kept", "share of the unlabelled rows whose pseudo-label is used"),
    ("pseudo_wrong", "wrong among kept", "share of the kept pseudo-labels that are wrong"),
    (
        "pseudo_confidence_wrong",
        "confidence in wrong ones",
        "mean confidence of the kept pseudo-labels that are wrong",
    ),
    (
        "pseudo_persistent",
        "confirmed errors",
        "of the rows labelled wrongly in the first round, the share with the same wrong label at the end",
    ),
];

pub(super) fn conclude(runs: &[FinishedRun]) -> Conclusion {
    let settings = settings(runs);
    let mut verdict: Vec<String> = settings.iter().filter_map(|setting| course(setting, &settings)).collect();
    verdict.extend(best(&settings));
    verdict.extend(theory(runs));
    Conclusion {
        verdict,
        warnings: Vec::new(),
        tables: vec![table(&settings)],
        figures: courses(&settings).into_iter().collect(),
    }
}

/// The rule and whatever else differs.
fn label(setting: &Setting<'_>, all: &[Setting<'_>]) -> String {
    let smoothed = all.iter().any(|other| other.variant.smoothing != setting.variant.smoothing);
    let label = setting.label(all, smoothed);
    // A setting alone, or with equal rules, still has one.
    if label.is_empty() {
        setting.runs.first().map_or(label, |run| run.config.semi.pseudo.clone())
    } else {
        label
    }
}

/// Wrong pseudo-labels from the first round to the end.
fn course(setting: &Setting<'_>, all: &[Setting<'_>]) -> Option<String> {
    let ends = |name: &str| -> Option<(f64, f64)> {
        let points = setting.points(name);
        Some((points.first()?.1, points.last()?.1))
    };
    let (wrong, confidence) = (ends("pseudo_wrong")?, ends("pseudo_confidence_wrong")?);
    let (accuracy, persistent) = (setting.spread("accuracy")?, setting.mean("pseudo_persistent")?);
    Some(format!(
        "{}: accuracy {}; of the kept pseudo-labels {:.3} were wrong in the first round and {:.3} are at the end, with a confidence of {:.3} and {:.3}; {:.0} of 100 first errors are confirmed.",
        label(setting, all),
        accuracy.words(4),
        wrong.0,
        wrong.1,
        confidence.0,
        confidence.1,
        100.0 * persistent
    ))
}

/// The rule with the highest accuracy, and whether the seeds tell it from hard pseudo-labels.
fn best(settings: &[Setting<'_>]) -> Option<String> {
    let best = settings.iter().max_by(|a, b| {
        a.mean("accuracy").partial_cmp(&b.mean("accuracy")).unwrap_or(std::cmp::Ordering::Equal)
    })?;
    let rule = |setting: &Setting<'_>| setting.runs.first().map(|run| run.config.semi.pseudo.clone());
    let hard = settings.iter().find(|setting| rule(setting).as_deref() == Some("hard"))?;
    if std::ptr::eq(best, hard) {
        return (settings.len() > 1)
            .then(|| "No rule has a higher mean accuracy than hard pseudo-labels.".to_owned());
    }
    let differences: Vec<f64> = best
        .runs
        .iter()
        .filter_map(|run| {
            let partner = hard.runs.iter().find(|partner| partner.record.seed == run.record.seed)?;
            Some(run.record.metrics.get("accuracy")? - partner.record.metrics.get("accuracy")?)
        })
        .collect();
    let paired = paired_t(&differences, 0.95)?;
    let certain = match paired.ci {
        Some([low, high]) if low > 0.0 => {
            format!("which the seeds confirm (95 % interval {low:+.4} to {high:+.4})")
        }
        Some([low, high]) => {
            format!("which the seeds do not tell from none (95 % interval {low:+.4} to {high:+.4})")
        }
        None => "of one seed, which proves nothing".to_owned(),
    };
    Some(format!(
        "The highest mean accuracy has {}: {:+.4} beside hard pseudo-labels, {certain}.",
        label(best, settings),
        paired.mean
    ))
}

/// What a constant strength does, by arithmetic.
fn theory(runs: &[FinishedRun]) -> Option<String> {
    let run = runs.iter().find(|run| run.config.semi.pseudo == "smoothed")?;
    let (semi, convention) = (&run.config.semi, run.config.loss.convention);
    let classes = run.figures.findings.metrics.get("n_classes").map_or(2, |n| *n as usize);
    let ratio = |confidence| damping_ratio(semi.pseudo_smoothing, convention, classes, confidence).ok();
    let end = self_training_fixed_point(semi.pseudo_smoothing, convention, classes).ok()?;
    Some(format!(
        "A constant strength does not damp uncertain pseudo-labels most, it damps them least: the pull relative to a hard label is 1 − α/(1 − c), here {:.2} at a confidence of 0.6, {:.2} at 0.8 and {:.2} at 0.9. Its brake is where it ends: at a confidence of {end:.3} instead of 1. To damp uncertain ones, the strength must fall with confidence (adaptive).",
        ratio(0.6)?,
        ratio(0.8)?,
        ratio(0.9)?
    ))
}

fn table(settings: &[Setting<'_>]) -> Table {
    let mut headings = vec![Heading::new("pseudo-labels", "the rule, and whatever else differs")];
    headings.extend(COLUMNS.iter().map(|(_, name, explanation)| Heading::new(name, explanation)));
    let rows = settings
        .iter()
        .map(|setting| {
            let mut cells = vec![Cell::text(label(setting, settings))];
            cells.extend(COLUMNS.iter().map(|(figure, _, _)| Spread::cell(setting.spread(figure), 4)));
            Row { cells, recommended: false }
        })
        .collect();
    Table {
        title: "Rules of pseudo-labels".to_owned(),
        note: "Mean ± standard deviation over the seeds, of the finished models. The true labels of the unlabelled rows served to count, never to train.".to_owned(),
        headings,
        rows,
    }
}

/// Errors and the confidence in them round by round.
fn courses(settings: &[Setting<'_>]) -> Option<Figure> {
    let panel = |metric: &str, title: &str, y: &str, from_zero: bool| {
        let all: Vec<Line> = settings
            .iter()
            .map(|setting| Line {
                name: label(setting, settings),
                points: setting.points(metric),
                bars: Vec::new(),
            })
            .collect();
        lines(title, "round", y, from_zero, &all)
    };
    if settings.iter().all(|setting| setting.points("pseudo_wrong").len() < 2) {
        return None;
    }
    let names: Vec<String> = settings.iter().map(|setting| label(setting, settings)).collect();
    Some(figure(
        "pseudo-labels",
        "Confirmation bias, round by round",
        "Means over the seeds; each round's pseudo-labels, and at the right what the finished model would say.",
        "If wrong labels stay while the confidence in them rises, the model confirms its own errors. A rule that keeps confidence in wrong labels low leaves them open to correction; a threshold keeps them out altogether, with the rows that it does not keep.",
        legend(names.iter().map(String::as_str)),
        vec![
            panel("pseudo_wrong", "Wrong among the kept", "share", true),
            panel("pseudo_confidence_wrong", "Confidence in wrong ones", "mean confidence", false),
            panel("pseudo_error", "Error on all unlabelled rows", "share", true),
            panel("pseudo_kept", "Kept", "share", true),
        ],
    ))
}
