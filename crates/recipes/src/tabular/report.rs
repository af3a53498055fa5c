//! What the comparison of groups says: in words, as tables, as pictures. Smoothing shrinks gaps of scores, not of
//! decisions, and is no method of fairness.

use candor::report::Warning;
use candor::report::page::{Cell, Figure, Heading, Row, Table};

use super::fairness::LEAST_ROWS;
use crate::comparison::FinishedRun;
use crate::conclusions::{Line, Setting, Spread, baseline, figure, legend, lines, list, settings};
use crate::recipe::Conclusion;

/// Figures over the seeds that stand for the whole: name, heading, what it means.
const GAPS: [(&str, &str, &str); 4] = [
    (
        "score_gap",
        "gap of scores",
        "largest difference of the groups' mean probabilities of the positive class",
    ),
    (
        "decision_gap",
        "gap of decisions",
        "largest difference of the shares decided positive (demographic parity)",
    ),
    ("equalised_odds_gap", "equalised odds", "the larger of the gaps of true and of false positive rates"),
    ("equal_opportunity_gap", "equal opportunity", "largest difference of the true positive rates"),
];
const WORST: [(&str, &str, &str); 3] = [
    ("worst_group_ece", "worst ECE", "calibration error of the group that has the largest"),
    ("worst_group_signed_gap", "worst gap to accuracy", "largest |confidence − accuracy| of a group"),
    ("worst_group_accuracy", "worst accuracy", "accuracy of the group that has the smallest"),
];
const BY_GROUP: [(&str, &str); 8] = [
    ("rows", "test rows"),
    ("positive_share", "positives"),
    ("score", "mean score"),
    ("decision_rate", "decided positive"),
    ("true_positive_rate", "true positive rate"),
    ("false_positive_rate", "false positive rate"),
    ("group_ece", "ECE"),
    ("group_signed_gap", "confidence − accuracy"),
];

/// A smoothed setting beside the plain one of its kind.
struct Pair<'s, 'a> {
    plain: &'s Setting<'a>,
    smoothed: &'s Setting<'a>,
    /// The strength in the uniform convention.
    strength: f64,
}

impl Pair<'_, '_> {
    /// Gap of scores over that of the plain setting: mean over seeds, and half its interval.
    ///
    /// The interval is that of the smoothed gap over the test rows and over the seeds; that of the plain gap is
    /// left out, as both gaps are of the same rows.
    fn ratio(&self) -> Option<(f64, f64)> {
        let values: Vec<f64> = self
            .smoothed
            .runs
            .iter()
            .filter_map(|run| {
                let plain = self.plain.runs.iter().find(|plain| plain.record.seed == run.record.seed)?;
                Some(run.record.metrics.get("score_gap")? / plain.record.metrics.get("score_gap")?)
            })
            .filter(|ratio| ratio.is_finite())
            .collect();
        let spread = Spread::of(&values)?;
        let of_rows = self.smoothed.mean("score_gap_half")? / self.plain.mean("score_gap")?;
        let of_seeds = 1.96 * spread.sd / (values.len() as f64).sqrt();
        Some((spread.mean, of_rows.hypot(of_seeds)))
    }
}

/// Words, tables and pictures for runs with groups; nothing for runs without.
pub(super) fn conclude(runs: &[FinishedRun]) -> Conclusion {
    let settings = settings(runs);
    if settings.iter().all(|setting| setting.mean("score_gap").is_none()) {
        return Conclusion::default();
    }
    let pairs: Vec<Pair<'_, '_>> = settings
        .iter()
        .filter(|setting| setting.variant.smoothing > 0.0)
        .filter_map(|smoothed| {
            let plain =
                baseline(&settings, smoothed.variant).filter(|plain| plain.variant.smoothing == 0.0)?;
            let convention = smoothed.runs.first()?.config.loss.convention;
            let strength = convention.to_uniform(smoothed.variant.smoothing, n_classes(smoothed));
            Some(Pair { plain, smoothed, strength })
        })
        .collect();
    let mut verdict = vec![groups_sentence(&settings)];
    verdict.extend(score_sentence(&pairs));
    verdict.extend(decision_sentence(&pairs));
    verdict.extend(threshold_sentence(&pairs));
    let message = "gaps between mean scores shrink by 1 − α by arithmetic alone, as every score moves towards the middle, and nobody is decided differently: compare decisions and errors by group, and use a method made for fairness where a gap must close";
    let warnings = if pairs.is_empty() {
        Vec::new()
    } else {
        vec![Warning::new("smoothing_is_no_fairness_method", message)]
    };
    let mut figures = Vec::new();
    figures.extend(gaps_figure(&settings));
    figures.extend(threshold_figure(&pairs));
    Conclusion {
        verdict,
        warnings,
        tables: vec![gaps_table(&settings, &pairs), groups_table(&settings)],
        figures,
    }
}

/// Names of the groups, in order.
fn group_names(setting: &Setting<'_>) -> Vec<String> {
    let Some(run) = setting.runs.first() else { return Vec::new() };
    let names = run.record.metrics.keys().filter_map(|key| key.strip_prefix("score[")?.strip_suffix(']'));
    names.map(str::to_owned).collect()
}

fn groups_sentence(settings: &[Setting<'_>]) -> String {
    let names = settings.first().map(group_names).unwrap_or_default();
    let column = settings.first().and_then(|setting| Some(&setting.runs.first()?.config.data.group_column));
    let by =
        column.filter(|column| !column.is_empty()).map_or(String::new(), |column| format!(" by {column}"));
    let small: Vec<String> = settings.first().map_or(Vec::new(), |setting| {
        let few =
            |name: &String| setting.mean(&format!("rows[{name}]")).is_some_and(|n| n < LEAST_ROWS as f64);
        names.iter().filter(|name| few(name)).cloned().collect()
    });
    let left_out = if small.is_empty() {
        String::new()
    } else {
        format!(" With fewer than {LEAST_ROWS} test rows, {} enter no gap.", list(&small))
    };
    format!("Groups{by}: {}.{left_out}", list(&names))
}

fn score_sentence(pairs: &[Pair<'_, '_>]) -> Option<String> {
    let mut outside = false;
    let parts: Vec<String> = pairs
        .iter()
        .filter_map(|pair| {
            let (ratio, half) = pair.ratio()?;
            let (before, after) = (pair.plain.mean("score_gap")?, pair.smoothed.mean("score_gap")?);
            let wanted = 1.0 - pair.strength;
            let inside = (ratio - wanted).abs() <= half;
            outside |= !inside;
            Some(format!(
                "at {} from {before:.4} to {after:.4}, {ratio:.3} of itself (interval {:.3} to {:.3}, which {} 1 − α = {wanted:.3})",
                pair.smoothed.variant.smoothing,
                ratio - half,
                ratio + half,
                if inside { "holds" } else { "does not hold" }
            ))
        })
        .collect();
    if parts.is_empty() {
        return None;
    }
    let why = if outside {
        "Where the interval misses 1 − α, the model cannot represent the smoothed probabilities, or was not trained to the end."
    } else {
        "That is the arithmetic of the smoothed target, not a fairer model."
    };
    Some(format!(
        "The gap between the groups' mean scores shrinks with smoothing: {}. {why}",
        parts.join("; ")
    ))
}

fn decision_sentence(pairs: &[Pair<'_, '_>]) -> Option<String> {
    let mut moved = Vec::new();
    let mut parts = Vec::new();
    for pair in pairs {
        let (before, after) = (pair.plain.mean("decision_gap")?, pair.smoothed.mean("decision_gap")?);
        let half = pair.smoothed.mean("decision_gap_half")?;
        parts.push(format!("{after:.4} at {}", pair.smoothed.variant.smoothing));
        if (after - before).abs() > half {
            moved.push(format!("{}", pair.smoothed.variant.smoothing));
        }
    }
    let first = pairs.first()?;
    let (before, half) = (first.plain.mean("decision_gap")?, first.plain.mean("decision_gap_half")?);
    Some(if moved.is_empty() {
        format!(
            "The gap of decisions does not shrink: {before:.4} without smoothing (± {half:.4} over the test rows), {}.",
            list(&parts)
        )
    } else {
        format!(
            "The gap of decisions is {before:.4} without smoothing (± {half:.4} over the test rows) and {}; at {} it moved by more than that, which smoothed targets alone do not do: a model that cannot represent the smoothed probabilities decides a little differently.",
            list(&parts),
            list(&moved)
        )
    })
}

/// The threshold of plain scores that decides as `threshold` does on smoothed ones.
fn equivalent_threshold(threshold: f64, strength: f64, n_classes: usize) -> f64 {
    (threshold - strength / n_classes as f64) / (1.0 - strength)
}

/// Linear between the points of a curve over [0, 1]; outside, what all or no rows get.
fn at(curve: &[(f64, f64)], x: f64) -> f64 {
    let Some(last) = curve.len().checked_sub(1).filter(|last| *last > 0) else { return f64::NAN };
    if !(0.0..=1.0).contains(&x) {
        return 0.0;
    }
    let place = x * last as f64;
    let low = (place.floor() as usize).min(last - 1);
    let share = place - low as f64;
    curve[low].1 * (1.0 - share) + curve[low + 1].1 * share
}

fn n_classes(setting: &Setting<'_>) -> usize {
    setting.mean("n_classes").map_or(2, |n| n as usize)
}

fn threshold_sentence(pairs: &[Pair<'_, '_>]) -> Option<String> {
    // The strongest smoothing shows it best.
    let pair =
        pairs.iter().filter(|pair| pair.strength < 1.0).max_by(|a, b| a.strength.total_cmp(&b.strength))?;
    let (plain, smoothed) = (pair.plain.points("decision_gap"), pair.smoothed.points("decision_gap"));
    let threshold = 0.3;
    let other = equivalent_threshold(threshold, pair.strength, n_classes(pair.plain));
    Some(format!(
        "At another threshold smoothing acts as a shift of the threshold: scores smoothed with {} decide at {threshold} with a gap of {:.4}, plain scores at the equivalent τ′ = (τ − α/K)/(1 − α) = {other:.3} with {:.4}, and at {threshold} with {:.4}.",
        pair.smoothed.variant.smoothing,
        at(&smoothed, threshold),
        at(&plain, other),
        at(&plain, threshold)
    ))
}

fn gaps_table(settings: &[Setting<'_>], pairs: &[Pair<'_, '_>]) -> Table {
    let mut headings = vec![Heading::new("smoothing", "the strength α")];
    headings.push(Heading::new(
        "score gap, ratio",
        "gap of scores over that without smoothing, with its interval",
    ));
    headings.push(Heading::new("1 − α", "what that ratio is in the population"));
    headings.extend(GAPS.iter().chain(&WORST).map(|(_, name, explanation)| Heading::new(name, explanation)));
    let rows = settings
        .iter()
        .map(|setting| {
            let pair = pairs.iter().find(|pair| pair.smoothed.variant == setting.variant);
            let ratio = pair.and_then(Pair::ratio);
            let mut cells = vec![Cell::number(setting.label(settings, true), setting.variant.smoothing)];
            cells.push(ratio.map_or(Cell::text("-"), |(ratio, half)| {
                Cell::number(format!("{ratio:.3} ± {half:.3}"), ratio)
            }));
            cells.push(pair.map_or(Cell::text("-"), |pair| {
                Cell::number(format!("{:.3}", 1.0 - pair.strength), 1.0 - pair.strength)
            }));
            cells.extend(
                GAPS.iter().chain(&WORST).map(|(figure, _, _)| Spread::cell(setting.spread(figure), 4)),
            );
            Row { cells, recommended: false }
        })
        .collect();
    Table {
        title: "Gaps between the groups".to_owned(),
        note: "Mean ± standard deviation over the seeds, test rows. A smaller gap of scores without a smaller gap of decisions treats nobody differently.".to_owned(),
        headings,
        rows,
    }
}

fn groups_table(settings: &[Setting<'_>]) -> Table {
    let mut headings = vec![Heading::new("smoothing", "the strength α"), Heading::new("group", "")];
    headings.extend(BY_GROUP.iter().map(|(_, name)| Heading::new(name, "")));
    let rows = settings
        .iter()
        .flat_map(|setting| group_names(setting).into_iter().map(move |group| (setting, group)))
        .map(|(setting, group)| {
            let mut cells = vec![
                Cell::number(setting.label(settings, true), setting.variant.smoothing),
                Cell::text(group.clone()),
            ];
            cells.extend(BY_GROUP.iter().map(|(figure, _)| {
                let decimals = if *figure == "rows" { 0 } else { 4 };
                Spread::cell(setting.spread(&format!("{figure}[{group}]")), decimals)
            }));
            Row { cells, recommended: false }
        })
        .collect();
    Table {
        title: "Each group by itself".to_owned(),
        note: "Mean over the seeds, test rows. The ECE of a small group is larger by chance.".to_owned(),
        headings,
        rows,
    }
}

/// The gaps and the worst group against the strength; nothing without at least two strengths.
fn gaps_figure(settings: &[Setting<'_>]) -> Option<Figure> {
    let first = settings.first()?;
    let kind: Vec<&Setting<'_>> =
        settings.iter().filter(|setting| setting.variant.same_but_smoothing(first.variant)).collect();
    if kind.len() < 2 {
        return None;
    }
    let line = |metric: &str, half: Option<&str>, name: &str| Line {
        name: name.to_owned(),
        points: kind.iter().filter_map(|s| Some((s.variant.smoothing, s.mean(metric)?))).collect(),
        bars: half.map_or(Vec::new(), |half| kind.iter().filter_map(|s| s.mean(half)).collect()),
    };
    let both = [
        line("score_gap", Some("score_gap_half"), "mean scores"),
        line("decision_gap", Some("decision_gap_half"), "decisions"),
    ];
    let errors = [
        line("equalised_odds_gap", None, "equalised odds"),
        line("equal_opportunity_gap", None, "equal opportunity"),
    ];
    let groups = group_names(first);
    let calibration: Vec<Line> =
        groups.iter().map(|group| line(&format!("group_ece[{group}]"), None, group)).collect();
    let panels = vec![
        lines("Gap of scores and of decisions", "smoothing", "gap", true, &both),
        lines("Gaps of error rates", "smoothing", "gap", true, &errors),
        lines("Calibration error within each group", "smoothing", "ECE", true, &calibration),
    ];
    let mut entries = legend(["mean scores; equalised odds", "decisions; equal opportunity"]);
    entries.extend(legend(groups.iter().map(String::as_str)).into_iter().map(|mut entry| {
        entry.text = format!("ECE of {}", entry.text);
        entry
    }));
    Some(figure(
        "groups",
        "What smoothing does to the gaps between the groups",
        "Means over the seeds on the test rows; bars are 95 % intervals over the rows.",
        "The gap of mean scores falls in proportion to 1 − α, as every score moves towards the middle. The gap of decisions stays: nobody is decided differently. So a falling gap of scores is no progress in fairness.",
        entries,
        panels,
    ))
}

/// The gap of decisions over all thresholds: smoothed scores beside plain ones at the equivalent threshold.
fn threshold_figure(pairs: &[Pair<'_, '_>]) -> Option<Figure> {
    let panels: Vec<_> = pairs
        .iter()
        .filter(|pair| pair.strength < 1.0)
        .take(4)
        .map(|pair| {
            let plain = pair.plain.points("decision_gap");
            let moved = plain
                .iter()
                .map(|(x, _)| {
                    (*x, at(&plain, equivalent_threshold(*x, pair.strength, n_classes(pair.plain))))
                })
                .collect();
            let line = |name: &str, points| Line { name: name.to_owned(), points, bars: Vec::new() };
            let all = [
                line("smoothed", pair.smoothed.points("decision_gap")),
                line("plain at τ′", moved),
                line("plain", plain),
            ];
            lines(
                &format!("Smoothing {}", pair.smoothed.variant.smoothing),
                "threshold τ",
                "gap of decisions",
                true,
                &all,
            )
        })
        .collect();
    (!panels.is_empty()).then(|| {
        figure(
            "thresholds",
            "The gap of decisions at every threshold",
            "Smoothed scores at τ against plain scores at τ and at τ′ = (τ − α/K)/(1 − α).",
            "If the first two lines coincide, smoothing did nothing but move the threshold. At ½ with two classes τ′ = τ, so nothing moves at all.",
            legend(["smoothed at τ", "plain at τ′", "plain at τ"]),
            panels,
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_equivalent_threshold_is_the_inverse_of_smoothing() {
        for (score, strength, classes) in [(0.3, 0.1, 2), (0.9, 0.4, 2), (0.2, 0.25, 5)] {
            let smoothed = (1.0 - strength) * score + strength / classes as f64;
            assert!((equivalent_threshold(smoothed, strength, classes) - score).abs() < 1e-12);
        }
        assert!((equivalent_threshold(0.5, 0.3, 2) - 0.5).abs() < 1e-15);
    }

    #[test]
    fn curves_are_linear_between_their_points() {
        let curve = [(0.0, 0.0), (0.5, 1.0), (1.0, 0.0)];
        assert_eq!(
            (at(&curve, 0.25), at(&curve, 1.0), at(&curve, -0.1), at(&curve, 1.1)),
            (0.5, 0.0, 0.0, 0.0)
        );
        assert!(at(&[], 0.5).is_nan());
    }
}
