//! The answer to "did smoothing help here?" in a few plain sentences.

use super::comparison::{baseline, variants};
use super::page::variant_label;
use super::{Recommendation, RunRecord, SummaryRow, Variant};

/// Differences in ECE below this are not called an effect when one seed leaves nothing to test with.
const SMALL: f64 = 0.005;
/// An ECE below this share of the one before counts as repaired.
const REPAIRED: f64 = 0.5;

/// How a strength changed a metric against its baseline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effect {
    Lower,
    Higher,
    Unclear,
}

fn effect(row: &SummaryRow) -> Effect {
    match (row.ci, row.difference) {
        (Some([_, high]), _) if high < 0.0 => Effect::Lower,
        (Some([low, _]), _) if low > 0.0 => Effect::Higher,
        (None, Some(difference)) if difference < -SMALL => Effect::Lower,
        (None, Some(difference)) if difference > SMALL => Effect::Higher,
        _ => Effect::Unclear,
    }
}

/// Sentences on calibration, accuracy, temperature and the recommendation.
///
/// Where more than the strength differs, each strength is held against the smallest one with otherwise the same
/// settings, and the sentences count.
pub fn verdict(runs: &[RunRecord], summary: &[SummaryRow], recommendation: &Recommendation) -> Vec<String> {
    let all = variants(runs);
    let Some(base) = all.first().and_then(|first| baseline(&all, first)) else { return Vec::new() };
    let group: Vec<&Variant> =
        all.iter().copied().filter(|variant| variant.same_but_smoothing(base)).collect();
    if group.len() < all.len() {
        let mut sentences = of_grid(&all, summary);
        sentences.push(recommended(recommendation, Some(&all)));
        return sentences;
    }
    let row = |variant: &Variant, metric: &str| {
        summary.iter().find(|row| row.variant == *variant && row.metric == metric)
    };
    let others: Vec<&Variant> = group.iter().copied().filter(|variant| *variant != base).collect();
    let mut sentences = Vec::new();
    if let Some(base_ece) = row(base, "ece") {
        let rows: Vec<&SummaryRow> = others.iter().filter_map(|variant| row(variant, "ece")).collect();
        if !rows.is_empty() {
            sentences.push(calibration(base_ece, &rows));
            if let Some(direction) = direction(base, &others, summary) {
                sentences.push(direction);
            }
            if let Some(repair) = temperature(base_ece, &rows) {
                sentences.push(repair);
            }
        }
    }
    if let Some(sentence) = accuracy(&others, summary) {
        sentences.push(sentence);
    }
    sentences.push(recommended(recommendation, None));
    sentences
}

/// Sentences on a grid in which more than the strength differs.
fn of_grid(all: &[&Variant], summary: &[SummaryRow]) -> Vec<String> {
    let smoothed: Vec<&Variant> = all
        .iter()
        .copied()
        .filter(|variant| baseline(all, variant).is_some_and(|base| base != *variant))
        .collect();
    let rows = |metric: &str| -> Vec<&SummaryRow> {
        let of =
            |variant: &&Variant| summary.iter().find(|row| row.variant == **variant && row.metric == metric);
        smoothed.iter().filter_map(of).collect()
    };
    let count =
        |rows: &[&SummaryRow], wanted: Effect| rows.iter().filter(|row| effect(row) == wanted).count();
    let mut sentences = Vec::new();
    let ece = rows("ece");
    if !ece.is_empty() {
        let (lower, higher) = (count(&ece, Effect::Lower), count(&ece, Effect::Higher));
        let answer = match (lower, higher) {
            (0, 0) => "makes no measurable difference to calibration here",
            (_, 0) => "helps calibration here",
            (0, _) => "hurts calibration here",
            _ => "helps calibration in some settings and hurts it in others",
        };
        sentences.push(format!(
            "Smoothing {answer}: of {} smoothed settings, ECE is lower than that of the same setting without in {lower} and higher in {higher}.",
            ece.len()
        ));
        let after: Vec<f64> =
            ece.iter().filter_map(|row| row.after_temperature.as_ref().map(|after| after.mean)).collect();
        if !after.is_empty() {
            sentences.push(format!(
                "With a temperature fitted on the validation rows, their ECE is between {:.3} and {:.3}.",
                after.iter().copied().fold(f64::INFINITY, f64::min),
                after.iter().copied().fold(0.0, f64::max)
            ));
        }
    }
    let accuracy = rows("accuracy");
    if accuracy.iter().any(|row| row.ci.is_some()) {
        sentences.push(match (count(&accuracy, Effect::Higher), count(&accuracy, Effect::Lower)) {
            (0, 0) => "Accuracy does not change measurably with smoothing in any of them.".to_owned(),
            (higher, lower) => {
                format!("Accuracy is higher with smoothing in {higher} of them and lower in {lower}.")
            }
        });
    } else if !accuracy.is_empty() {
        sentences.push("With one seed nothing can be said about accuracy; run more seeds.".to_owned());
    }
    sentences
}

fn strength(variant: &Variant) -> String {
    format!("{}", variant.smoothing)
}

fn at(variant: &Variant) -> String {
    if variant.smoothing == 0.0 {
        "without smoothing".to_owned()
    } else {
        format!("at {}", strength(variant))
    }
}

fn list(rows: &[&&SummaryRow]) -> String {
    let words: Vec<String> =
        rows.iter().map(|row| format!("{:.3} at {}", row.mean, strength(&row.variant))).collect();
    words.join(", ")
}

fn calibration(base: &SummaryRow, rows: &[&SummaryRow]) -> String {
    let of = |wanted: Effect| rows.iter().filter(|row| effect(row) == wanted).collect::<Vec<_>>();
    let (lower, higher) = (of(Effect::Lower), of(Effect::Higher));
    let from = format!("from {:.3} {}", base.mean, at(&base.variant));
    let best = lower.iter().min_by(|a, b| a.mean.total_cmp(&b.mean));
    match (best, higher.is_empty()) {
        (Some(best), true) => {
            format!(
                "Smoothing helps calibration here: ECE falls {from} to {:.3} at {}.",
                best.mean,
                strength(&best.variant)
            )
        }
        (Some(best), false) => format!(
            "Smoothing helps calibration here at {}: ECE falls {from} to {:.3}; it is worse than without at larger strengths ({}).",
            strength(&best.variant),
            best.mean,
            list(&higher)
        ),
        (None, false) => format!("Smoothing hurts calibration here: ECE rises {from} to {}.", list(&higher)),
        (None, true) => {
            format!(
                "Smoothing makes no measurable difference to calibration here: ECE {:.3} {}.",
                base.mean,
                at(&base.variant)
            )
        }
    }
}

fn direction(base: &Variant, others: &[&Variant], summary: &[SummaryRow]) -> Option<String> {
    let gap = |variant: &Variant| {
        summary.iter().find(|row| row.variant == *variant && row.metric == "signed_gap").map(|row| row.mean)
    };
    let word = |gap: f64| if gap > 0.0 { "over-confident" } else { "under-confident" };
    let strongest = others.iter().max_by(|a, b| a.smoothing.total_cmp(&b.smoothing))?;
    let (before, after) = (gap(base)?, gap(strongest)?);
    Some(format!(
        "{} the model is {} by {:.3}; at {} it is {} by {:.3}.",
        if base.smoothing == 0.0 { "Without smoothing".to_owned() } else { format!("At {}", strength(base)) },
        word(before),
        before.abs(),
        strength(strongest),
        word(after),
        after.abs()
    ))
}

fn temperature(base: &SummaryRow, rows: &[&SummaryRow]) -> Option<String> {
    let after = |row: &SummaryRow| row.after_temperature.as_ref().map(|after| after.mean);
    let base_after = after(base)?;
    let worst = rows.iter().copied().chain([base]).max_by(|a, b| a.mean.total_cmp(&b.mean))?;
    let worst_after = after(worst)?;
    let values: Vec<f64> = rows.iter().copied().chain([base]).filter_map(after).collect();
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(0.0, f64::max);
    if worst_after < worst.mean * REPAIRED {
        let compared = if base_after <= low + SMALL {
            "by ECE no strength is then better than none"
        } else {
            "by ECE the strengths then differ little"
        };
        Some(format!(
            "Temperature scaling repairs it: fitted on the validation rows, it brings ECE to between {low:.3} and {high:.3} at every strength; {compared}."
        ))
    } else {
        Some(format!(
            "Temperature scaling does not repair it: ECE is between {low:.3} and {high:.3} afterwards."
        ))
    }
}

fn accuracy(others: &[&Variant], summary: &[SummaryRow]) -> Option<String> {
    let rows: Vec<&SummaryRow> = others
        .iter()
        .filter_map(|variant| summary.iter().find(|row| row.variant == **variant && row.metric == "accuracy"))
        .collect();
    let first = rows.first()?;
    if first.ci.is_none() {
        return Some("With one seed nothing can be said about accuracy; run more seeds.".to_owned());
    }
    let (mut better, mut worse) = (Vec::new(), Vec::new());
    for row in &rows {
        match effect(row) {
            Effect::Higher => better.push(row),
            Effect::Lower => worse.push(row),
            Effect::Unclear => {}
        }
    }
    let words = |rows: &[&&SummaryRow]| {
        let words: Vec<String> = rows
            .iter()
            .map(|row| format!("{:+.4} at {}", row.difference.unwrap_or(0.0), strength(&row.variant)))
            .collect();
        words.join(", ")
    };
    Some(match (better.is_empty(), worse.is_empty()) {
        (true, true) => "Accuracy does not change measurably.".to_owned(),
        (false, true) => format!("Accuracy rises: {}.", words(&better)),
        (true, false) => format!("Accuracy falls: {}.", words(&worse)),
        (false, false) => format!("Accuracy rises ({}) and falls ({}).", words(&better), words(&worse)),
    })
}

/// The recommendation; in a grid it names the other settings too.
fn recommended(recommendation: &Recommendation, grid: Option<&[&Variant]>) -> String {
    let name = |smoothing: f64| {
        if smoothing == 0.0 { "no smoothing".to_owned() } else { format!("smoothing {smoothing}") }
    };
    if let (Some(variant), Some(all)) = (&recommendation.variant, grid) {
        let label = variant_label(variant, all);
        let with = label.split_once(' ').map_or(String::new(), |(_, rest)| format!(" with {rest}"));
        return format!("Recommended: {}{with} (lowest validation NLL).", name(variant.smoothing));
    }
    match (recommendation.smoothing, recommendation.with_temperature) {
        (Some(plain), Some(scaled)) if plain == scaled => {
            format!(
                "Recommended: {} (lowest validation NLL), with or without temperature scaling.",
                name(plain)
            )
        }
        (Some(plain), Some(scaled)) => format!(
            "Recommended: {} (lowest validation NLL); with temperature scaling, {} (lowest validation NLL with it).",
            name(plain),
            name(scaled)
        ),
        (Some(plain), None) => format!("Recommended: {} (lowest validation NLL).", name(plain)),
        _ => "No recommendation: that needs validation rows.".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Comparison;
    use super::super::comparison::tests::run;

    fn comparison(figures: &[(f64, f64, f64, f64)]) -> Comparison {
        let runs = figures
            .iter()
            .flat_map(|&(smoothing, nll, ece, gap)| {
                (0..3).map(move |seed| {
                    let wobble = seed as f64 * 1e-4;
                    run(
                        smoothing,
                        seed,
                        nll,
                        &[
                            ("accuracy", 0.88 + wobble, 0.88 + wobble),
                            ("ece", ece + wobble * (1.0 + smoothing), 0.012),
                            ("signed_gap", gap, 0.0),
                        ],
                    )
                })
            })
            .collect();
        Comparison::new("vision", "test", runs)
    }

    #[test]
    fn a_calibrated_model_is_spoiled_and_temperature_repairs_it() {
        let found =
            comparison(&[(0.0, 0.34, 0.011, 0.006), (0.05, 0.38, 0.045, -0.04), (0.1, 0.42, 0.087, -0.087)]);
        let text = found.verdict.join(" ");
        assert!(
            text.contains("Smoothing hurts calibration here: ECE rises from 0.011 without smoothing"),
            "{text}"
        );
        assert!(text.contains("Temperature scaling repairs it"), "{text}");
        assert!(text.contains("under-confident by 0.087"), "{text}");
        assert!(text.contains("Accuracy does not change measurably"), "{text}");
        assert!(text.contains("Recommended: no smoothing"), "{text}");
        assert_eq!(found.recommended_smoothing, Some(0.0));
    }

    #[test]
    fn an_overfitted_model_is_helped_by_a_little_and_hurt_by_much() {
        let found =
            comparison(&[(0.0, 0.96, 0.126, 0.126), (0.05, 0.636, 0.01, 0.0), (0.2, 0.738, 0.158, -0.158)]);
        let text = found.verdict.join(" ");
        assert!(text.contains("Smoothing helps calibration here at 0.05: ECE falls from 0.126"), "{text}");
        assert!(text.contains("0.158 at 0.2"), "{text}");
        assert_eq!(found.recommended_smoothing, Some(0.05));
    }

    #[test]
    fn a_grid_is_counted_and_its_best_setting_named() {
        let mut runs = Vec::new();
        for (model, nll) in [("mlp", 0.5), ("cnn", 0.4)] {
            for (smoothing, ece) in [(0.0, 0.02), (0.1, 0.08)] {
                for seed in 0..3 {
                    let wobble = seed as f64 * 1e-4 * (1.0 + smoothing);
                    let figures = [("accuracy", 0.9 + wobble, 0.9), ("ece", ece + wobble, 0.01)];
                    let mut run = run(smoothing, seed, nll + smoothing, &figures);
                    run.variant.model = model.to_owned();
                    runs.push(run);
                }
            }
        }
        let text = Comparison::new("vision", "test", runs).verdict.join(" ");
        assert!(text.contains("of 2 smoothed settings") && text.contains("in 0 and higher in 2"), "{text}");
        assert!(text.contains("Recommended: no smoothing with model=cnn"), "{text}");
    }

    #[test]
    fn nothing_to_compare_gives_no_comparison() {
        let found = comparison(&[(0.0, 0.3, 0.01, 0.0)]);
        assert_eq!(found.verdict.len(), 1, "{:?}", found.verdict);
    }
}
