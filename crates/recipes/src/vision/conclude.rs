//! What the runs of this field say together: words, warnings, tables and pictures for the report.

use candor::report::Warning;
use candor::report::page::Figure;

use super::mix::Mixing;
use super::{clusters, distillation};
use crate::comparison::FinishedRun;
use crate::recipe::Conclusion;
use crate::training::curves::{self, Curve, by_variant};

const SLOPES: &[Curve] = &[
    Curve { name: "logits/gradient_norm", title: "Gradient at the logits", axis: "mean ‖p − q‖" },
    Curve { name: "logits/curvature_mean", title: "Curvature at the logits", axis: "mean λ max" },
    Curve { name: "optimizer/step_norm", title: "Size of a step", axis: "mean ‖Δw‖" },
    Curve { name: "optimizer/accumulator", title: "Sum of squared gradients", axis: "Σ g²" },
    Curve { name: "weights/norm", title: "Size of the weights", axis: "‖w‖" },
];
const SHAPES: &[Curve] = &[
    Curve { name: "logits/margin_mean", title: "Mean margin", axis: "z_y − z_k" },
    Curve { name: "logits/margin_spread", title: "Spread of the margins, training rows", axis: "sd" },
    Curve { name: "logits/margin_spread_validation", title: "The same, validation rows", axis: "sd" },
    Curve { name: "features/within", title: "Distance within classes", axis: "mean distance" },
    Curve { name: "features/between", title: "Distance between classes", axis: "mean distance" },
    Curve { name: "features/tightness", title: "Within / between", axis: "ratio" },
    Curve { name: "features/mutual_information", title: "Information about the image", axis: "nats" },
];

/// Everything that the field adds to a report.
pub(super) fn conclude(runs: &[FinishedRun]) -> Conclusion {
    let mut verdict = distillation::verdict(runs);
    verdict.extend(smoothed_in_other_ways(runs));
    verdict.extend(slope_at_start(runs));
    let warnings = [distillation::warning(runs), double_smoothing(runs), wrong_test_labels(runs)];
    let figures = [curves::strength(runs), slopes(runs), shapes(runs), clusters::figure(runs)];
    Conclusion {
        verdict,
        warnings: warnings.into_iter().flatten().collect(),
        tables: distillation::table(runs).into_iter().collect(),
        figures: figures.into_iter().flatten().collect(),
    }
}

/// Every variant whose labels something beside the strength smooths, with the strength of all together.
fn effective(runs: &[FinishedRun]) -> impl Iterator<Item = (String, &FinishedRun, f64)> {
    by_variant(runs).into_iter().filter_map(|(label, mine)| {
        let run = *mine.first()?;
        Some((label, run, *run.record.metrics.get("effective_smoothing")?))
    })
}

fn mixed(run: &FinishedRun) -> bool {
    Mixing::parse("data.mix", &run.config.data.mix).is_ok_and(|mix| mix != Mixing::None)
}

fn smoothed_in_other_ways(runs: &[FinishedRun]) -> Option<String> {
    let found: Vec<String> =
        effective(runs).map(|(label, _, strength)| format!("{strength:.3} ({label})")).collect();
    (!found.is_empty()).then(|| {
        format!(
            "Mixing and symmetric noise smooth labels too; together with the strength that acts like smoothing {}.",
            found.join(", ")
        )
    })
}

fn double_smoothing(runs: &[FinishedRun]) -> Option<Warning> {
    let found: Vec<String> = effective(runs)
        .filter(|(_, run, _)| {
            let strength =
                run.epochs.iter().map(|log| log.smoothing).fold(run.config.loss.smoothing, f64::max);
            mixed(run) && strength > 0.0
        })
        .map(|(_, run, strength)| {
            format!("{} with {} (like {strength:.3})", run.config.loss.smoothing, run.config.data.mix)
        })
        .collect();
    (!found.is_empty()).then(|| {
        Warning::new(
            "double_smoothing",
            format!(
                "labels are smoothed twice, by the strength and by mixing, 1 - (1-α)(1-α_mix), at {}: use one of the two, or less of both",
                found.join(", ")
            ),
        )
    })
}

fn wrong_test_labels(runs: &[FinishedRun]) -> Option<Warning> {
    let noisy = |run: &FinishedRun| run.config.data.noise != "none" && run.config.data.noise_parts == "all";
    runs.iter().any(noisy).then(|| {
        Warning::new(
            "wrong_test_labels",
            "the noise reaches the test labels, so every figure is against labels that are partly wrong: leave out --noise-parts all to judge against the true ones",
        )
    })
}

/// The size of the first gradients against those without smoothing.
fn slope_at_start(runs: &[FinishedRun]) -> Option<String> {
    let found: Vec<(f64, f64, f64)> = by_variant(runs)
        .into_iter()
        .filter_map(|(_, mine)| {
            let mean = |name: &str| {
                let values: Vec<f64> =
                    mine.iter().filter_map(|run| run.record.metrics.get(name).copied()).collect();
                (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
            };
            Some((
                mine.first()?.config.loss.smoothing,
                mean("gradient_norm_at_start")?,
                mean("gradient_norm")?,
            ))
        })
        .collect();
    let base = found.iter().find(|run| run.0 == 0.0)?;
    let words: Vec<String> = found
        .iter()
        .filter(|run| run.0 > 0.0)
        .map(|run| {
            format!("{:.3} at the start and {:.1} at the end at {}", run.1 / base.1, run.2 / base.2, run.0)
        })
        .collect();
    (!words.is_empty()).then(|| {
        format!("Gradients at the logits, as multiples of those without smoothing: {}.", words.join(", "))
    })
}

fn slopes(runs: &[FinishedRun]) -> Option<Figure> {
    let figure = Figure {
        name: "slopes".to_owned(),
        title: "Gradients, curvature and steps during training".to_owned(),
        caption: "After each epoch, on the images as they are; mean over the seeds.".to_owned(),
        reading: "At the start smoothing makes the gradient at the logits smaller by the factor 1 − α. Late it keeps it from vanishing, where the images are still pushed back from too much confidence. The curvature of the loss does not depend on the target; it is larger where predictions are less certain. The sum of squared gradients is what Adagrad accumulates: a smaller one makes no larger steps, for the gradients are smaller by the same factor.".to_owned(),
        ..Figure::default()
    };
    curves::curves(runs, figure, SLOPES)
}

fn shapes(runs: &[FinishedRun]) -> Option<Figure> {
    let figure = Figure {
        name: "shapes".to_owned(),
        title: "Margins and features during training".to_owned(),
        caption: "After each epoch, on the images as they are; mean over the seeds.".to_owned(),
        reading: "Smoothing makes the margins between the label and the other classes equal, so their spread falls, and keeps logits and features small. Whether the classes also become tight in proportion is what within / between says. The last panel is what the difference of the logits of the two most similar classes still tells about which image it came from, under small shifts: ln 2 = 0.69 nats is the class alone, more is the image's own, less is lost to the shifts.".to_owned(),
        ..Figure::default()
    };
    curves::curves(runs, figure, SHAPES)
}
