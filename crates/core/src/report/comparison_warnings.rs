//! What a comparison shows that its reader should act on: one rule a function, each with a stable code.
//!
//! The conditions and remedies follow published negative results: Müller et al. 2019 (distillation), Xia et
//! al. 2025 (rejection), Kornblith et al. 2021 (transfer), Wang et al. 2021 (smoothing and then temperature).

use super::comparison::{baseline, variants};
use super::page::variant_label;
use super::{RunRecord, SummaryRow, Variant, Warning};
use crate::targets::Convention;
use crate::theory::Explanation;

/// What the warnings need to know of the data.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Context {
    /// Number of classes; 0 if unknown.
    pub classes: usize,
    /// Training rows of each class; empty if unknown.
    pub train_classes: Vec<usize>,
}

/// Mean confidence this far below accuracy is called under-confidence.
pub(super) const UNDER_CONFIDENT: f64 = 0.02;
/// From this strength in the uniform convention on, the target itself makes a model under-confident.
const STRONG: f64 = 0.3;
/// The most frequent class this many times as frequent as the rarest makes a set imbalanced.
const IMBALANCED: f64 = 3.0;

/// The warnings of a comparison, the most important first.
pub fn comparison_warnings(runs: &[RunRecord], summary: &[SummaryRow], context: &Context) -> Vec<Warning> {
    let seen = Seen { runs, summary, context, variants: variants(runs) };
    [
        seen.under_confidence(),
        seen.strength_too_high(),
        seen.rejection(),
        seen.smoothing_then_temperature(),
        seen.perplexity(),
        seen.distillation(),
        seen.transfer(),
        seen.imbalanced_classes(),
        seen.convention_mismatch(),
        seen.loss_floor(),
        seen.one_seed(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// A few of the places where something was found, and how many more.
fn listed(found: &[String]) -> String {
    const SHOWN: usize = 4;
    match found.len().saturating_sub(SHOWN) {
        0 => found.join(", "),
        more => format!("{} and {more} more", found[..SHOWN].join(", ")),
    }
}

struct Seen<'a> {
    runs: &'a [RunRecord],
    summary: &'a [SummaryRow],
    context: &'a Context,
    variants: Vec<&'a Variant>,
}

impl<'a> Seen<'a> {
    fn row(&self, variant: &Variant, metric: &str) -> Option<&'a SummaryRow> {
        self.summary.iter().find(|row| row.variant == *variant && row.metric == metric)
    }

    fn mean(&self, variant: &Variant, metric: &str) -> Option<f64> {
        self.row(variant, metric).map(|row| row.mean)
    }

    /// The smoothed variants that have a partner without smoothing, with that partner.
    fn smoothed(&self) -> impl Iterator<Item = (&'a Variant, &'a Variant)> + '_ {
        self.variants.iter().copied().filter(|variant| variant.smoothing > 0.0).filter_map(|variant| {
            let base = baseline(&self.variants, variant).filter(|base| base.smoothing == 0.0)?;
            Some((variant, base))
        })
    }

    /// The strength of a variant in the uniform convention.
    fn uniform_strength(&self, variant: &Variant) -> f64 {
        let convention: Convention = variant.convention.parse().unwrap_or_default();
        let k = self.context.classes as f64;
        match convention {
            Convention::OffClass if k > 1.0 => variant.smoothing * k / (k - 1.0),
            _ => variant.smoothing,
        }
    }

    /// What a variant is called: its strength, and what else distinguishes it.
    fn name(&self, variant: &Variant) -> String {
        let label = variant_label(variant, &self.variants);
        match label.split_once(' ') {
            Some((strength, rest)) => format!("{strength} with {rest}"),
            None => label,
        }
    }

    fn temperatures(&self, variant: &Variant) -> Option<f64> {
        let fitted: Vec<f64> = self
            .runs
            .iter()
            .filter(|run| run.variant == *variant)
            .filter_map(|run| run.temperature)
            .collect();
        (!fitted.is_empty()).then(|| fitted.iter().sum::<f64>() / fitted.len() as f64)
    }

    fn under_confidence(&self) -> Option<Warning> {
        let found: Vec<String> = self
            .summary
            .iter()
            .filter(|row| row.metric == "signed_gap" && row.mean < -UNDER_CONFIDENT)
            .map(|row| format!("{} (by {:.3})", self.name(&row.variant), -row.mean))
            .collect();
        (!found.is_empty()).then(|| {
            Warning::new(
                "under_confidence",
                format!(
                    "predictions are less confident than they are accurate at smoothing {}: lower the strength or apply temperature scaling (T < 1)",
                    listed(&found)
                ),
            )
        })
    }

    /// A strength at which the ECE is what the target alone predicts, α(acc - 1/K).
    fn strength_too_high(&self) -> Option<Warning> {
        let k = self.context.classes as f64;
        let found: Vec<String> = self
            .variants
            .iter()
            .filter(|variant| k > 1.0 && self.uniform_strength(variant) >= STRONG)
            .filter_map(|variant| {
                let accuracy = self.mean(variant, "accuracy")?;
                let predicted = self.uniform_strength(variant) * (accuracy - 1.0 / k);
                let ece = self.mean(variant, "ece")?;
                Some(format!("{} (predicted {predicted:.3}, found {ece:.3})", self.name(variant)))
            })
            .collect();
        (!found.is_empty()).then(|| {
            Warning::new(
                "strength_too_high",
                format!(
                    "so strong a smoothing makes a model under-confident by about α(accuracy - 1/K) whatever it learns, at {}: use less than {STRONG}, or undo it afterwards (unsmooth, temperature)",
                    listed(&found)
                ),
            )
        })
    }

    /// The ranking by confidence got worse.
    fn rejection(&self) -> Option<Warning> {
        let found: Vec<String> = self
            .smoothed()
            .filter_map(|(variant, base)| {
                let row = self.row(variant, "aurc")?;
                let [low, _] = row.ci?;
                let before = self.mean(base, "aurc")?;
                (low > 0.0).then(|| format!("{} ({before:.4} to {:.4})", self.name(variant), row.mean))
            })
            .collect();
        (!found.is_empty()).then(|| {
            Warning::new(
                "rejection",
                format!(
                    "confidence separates right from wrong less well (AURC rises) at smoothing {}: where the least confident rows are rejected, train without smoothing or rank by normalised logits (candor calibrate fit --method logit_normalisation)",
                    listed(&found)
                ),
            )
        })
    }

    /// The temperature must sharpen what smoothing has flattened.
    fn smoothing_then_temperature(&self) -> Option<Warning> {
        let mut worse = Vec::new();
        let found: Vec<String> = self
            .smoothed()
            .filter_map(|(variant, base)| {
                let temperature = self.temperatures(variant).filter(|t| *t < 1.0)?;
                let after = |variant| self.row(variant, "nll")?.after_temperature.as_ref();
                if let (Some(mine), Some(theirs)) = (after(variant), after(base))
                    && mine.ci.is_some_and(|[low, _]| low > 0.0)
                {
                    worse.push(format!(
                        "{:.3} against {:.3} at {}",
                        mine.mean,
                        theirs.mean,
                        self.name(variant)
                    ));
                }
                Some(format!("{} (T = {temperature:.2})", self.name(variant)))
            })
            .collect();
        (!found.is_empty()).then(|| {
            let remedy = if worse.is_empty() {
                "use such a model only together with its temperature".to_owned()
            } else {
                format!(
                    "use temperature alone, for with both the NLL is worse ({})",
                    listed(&worse)
                )
            };
            Warning::new(
                "smoothing_then_temperature",
                format!(
                    "the fitted temperature is below 1 and sharpens again what smoothing flattened, at {}: {remedy}",
                    listed(&found)
                ),
            )
        })
    }

    /// The likelihood got worse, whatever became of the accuracy.
    fn perplexity(&self) -> Option<Warning> {
        let found: Vec<String> = self
            .smoothed()
            .filter_map(|(variant, base)| {
                let row = self.row(variant, "nll")?;
                let [low, _] = row.ci?;
                let before = self.mean(base, "nll")?;
                (low > 0.0).then(|| format!("{} ({before:.3} to {:.3})", self.name(variant), row.mean))
            })
            .collect();
        (!found.is_empty()).then(|| {
            Warning::new(
                "perplexity",
                format!(
                    "the likelihood of the labels gets worse (NLL rises) at smoothing {}: where perplexities, sampling or expected costs matter, use no smoothing or a temperature",
                    listed(&found)
                ),
            )
        })
    }

    /// The strengths that a reader may take away: those that win on accuracy or are otherwise not worse.
    fn winners(&self) -> Vec<String> {
        self.smoothed()
            .filter(|(variant, _)| {
                let better = |metric: &str, sign: f64| {
                    self.row(variant, metric)
                        .and_then(|row| row.ci)
                        .is_some_and(|[low, high]| if sign > 0.0 { low > 0.0 } else { high < 0.0 })
                };
                better("accuracy", 1.0) || better("nll", -1.0) || better("ece", -1.0)
            })
            .map(|(variant, _)| self.name(variant))
            .collect()
    }

    fn distillation(&self) -> Option<Warning> {
        let found = self.winners();
        (!found.is_empty()).then(|| {
            Warning::new(
                "distillation_teacher",
                format!(
                    "smoothing {} looks better here, but a smoothed model is a worse teacher, for it erases how classes resemble each other: train a teacher without smoothing, or distil at T = 1",
                    listed(&found)
                ),
            )
        })
    }

    fn transfer(&self) -> Option<Warning> {
        let found = self.winners();
        (!found.is_empty()).then(|| {
            Warning::new(
                "transfer",
                format!(
                    "smoothing {} looks better here, but features trained with it are tighter by class and transfer less well: if the features will be used for another task, compare a linear probe there first",
                    listed(&found)
                ),
            )
        })
    }

    fn imbalanced_classes(&self) -> Option<Warning> {
        let most = *self.context.train_classes.iter().max()?;
        let least = *self.context.train_classes.iter().min()?;
        let uniform = self.variants.iter().any(|variant| {
            variant.smoothing > 0.0 && (variant.target == "uniform" || variant.target == "off_class")
        });
        (uniform && most as f64 >= IMBALANCED * least.max(1) as f64).then(|| {
            Warning::new(
                "imbalanced_classes",
                format!(
                    "the training part has {most} rows of one class and {least} of another, and uniform smoothing moves predictions towards the rare ones: compare --target prior, and look at the class-wise ECE"
                ),
            )
        })
    }

    fn convention_mismatch(&self) -> Option<Warning> {
        let k = self.context.classes as f64;
        let both = self.variants.iter().any(|a| {
            self.variants
                .iter()
                .any(|b| a.smoothing > 0.0 && a.smoothing == b.smoothing && a.convention != b.convention)
        });
        (both && k > 1.0).then(|| {
            Warning::new(
                "convention_mismatch",
                format!(
                    "the same strength means different targets in the two conventions; with {} classes divide an off_class strength by {:.4} to compare it with a uniform one (candor explain shows both)",
                    self.context.classes,
                    (k - 1.0) / k
                ),
            )
        })
    }

    /// Losses of different strengths have different floors.
    fn loss_floor(&self) -> Option<Warning> {
        let found: Vec<String> = self
            .smoothed()
            .filter_map(|(variant, base)| {
                if variant.loss != "cross_entropy" || variant.schedule != "constant" {
                    return None;
                }
                let convention = variant.convention.parse().ok()?;
                let floor =
                    Explanation::new(variant.smoothing, convention, self.context.classes).ok()?.loss_floor;
                let loss = |of: &Variant| {
                    let losses: Option<Vec<f64>> =
                        self.runs.iter().filter(|run| run.variant == *of).map(|run| run.train_loss).collect();
                    losses
                        .filter(|losses| !losses.is_empty())
                        .map(|losses| losses.iter().sum::<f64>() / losses.len() as f64)
                };
                let (mine, theirs) = (loss(variant)?, loss(base)?);
                // Only where the floor hides the order: higher as it is, lower without the floor.
                (mine > theirs && mine - floor <= theirs).then(|| {
                    format!("{} ({mine:.3}, of which {floor:.3} cannot be avoided)", self.name(variant))
                })
            })
            .collect();
        (!found.is_empty()).then(|| {
            Warning::new(
                "loss_floor",
                format!(
                    "the training loss is higher than without smoothing only because it cannot fall below the entropy of its targets, at {}: compare the un-smoothed NLL, or the loss above its floor",
                    listed(&found)
                ),
            )
        })
    }

    fn one_seed(&self) -> Option<Warning> {
        let first = self.variants.first()?;
        let seeds = self.runs.iter().filter(|run| run.variant == **first).count();
        (seeds == 1).then(|| {
            Warning::new(
                "one_seed",
                "one seed gives no interval, so small differences may be chance: run with --seeds 5",
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::comparison::tests::run;
    use super::super::{Comparison, RunRecord};
    use super::Context;

    type Metric<'a> = (&'a str, f64, f64);

    /// Two seeds without smoothing and two at `smoothing`; the second seed differs a little.
    fn pair(smoothing: f64, base: &[Metric<'_>], other: &[Metric<'_>]) -> Vec<RunRecord> {
        let seeds = |strength: f64, figures: &[Metric<'_>]| -> Vec<RunRecord> {
            (0..2_u32)
                .map(|seed| {
                    let shift = 0.0001 * f64::from(seed) * (1.0 + strength);
                    let moved: Vec<Metric<'_>> =
                        figures.iter().map(|(name, a, b)| (*name, a + shift, b + shift)).collect();
                    run(strength, u64::from(seed), 0.3, &moved)
                })
                .collect()
        };
        let mut runs = seeds(0.0, base);
        runs.extend(seeds(smoothing, other));
        runs
    }

    fn context() -> Context {
        Context { classes: 10, train_classes: vec![100; 10] }
    }

    fn warned(runs: Vec<RunRecord>, context: &Context) -> Vec<(String, String)> {
        let comparison = Comparison::in_context("vision", "test", runs, context);
        comparison.warnings.into_iter().map(|warning| (warning.code, warning.message)).collect()
    }

    fn codes(runs: Vec<RunRecord>) -> Vec<String> {
        warned(runs, &context()).into_iter().map(|(code, _)| code).collect()
    }

    #[test]
    fn nothing_to_warn_of() {
        assert!(codes(pair(0.1, &[("signed_gap", 0.01, 0.0)], &[("signed_gap", 0.01, 0.0)])).is_empty());
    }

    #[test]
    fn under_confidence_and_a_single_seed() {
        assert_eq!(
            codes(vec![run(0.1, 0, 0.3, &[("signed_gap", -0.05, 0.0)])]),
            ["under_confidence", "one_seed"]
        );
    }

    #[test]
    fn a_strength_that_decides_the_ece_by_itself() {
        let figures = [("accuracy", 0.9, 0.9), ("ece", 0.25, 0.02)];
        let found = warned(pair(0.3, &figures, &figures), &context());
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].0, "strength_too_high");
        assert!(found[0].1.contains("0.3 (predicted 0.240, found 0.250)"), "{}", found[0].1);
        // An off-class strength of 0.28 is 0.311 in the uniform convention.
        let mut runs = pair(0.28, &figures, &figures);
        runs.iter_mut().for_each(|run| run.variant.convention = "off_class".to_owned());
        assert_eq!(codes(runs), ["strength_too_high"]);
    }

    #[test]
    fn a_worse_ranking() {
        assert_eq!(codes(pair(0.1, &[("aurc", 0.01, 0.01)], &[("aurc", 0.02, 0.02)])), ["rejection"]);
    }

    #[test]
    fn temperature_after_smoothing() {
        let with = |temperature: f64, after: f64| {
            let mut runs = pair(0.1, &[("nll", 0.3, 0.3)], &[("nll", 0.3, after)]);
            runs.iter_mut()
                .filter(|run| run.smoothing > 0.0)
                .for_each(|run| run.temperature = Some(temperature));
            warned(runs, &context())
        };
        assert!(with(1.1, 0.3).is_empty());
        let found = with(0.5, 0.35);
        assert_eq!(found[0].0, "smoothing_then_temperature");
        assert!(found[0].1.contains("the NLL is worse (0.350 against 0.300 at 0.1)"), "{}", found[0].1);
        assert!(with(0.5, 0.3)[0].1.ends_with("only together with its temperature"));
    }

    #[test]
    fn a_worse_likelihood() {
        assert_eq!(codes(pair(0.1, &[("nll", 0.3, 0.3)], &[("nll", 0.4, 0.3)])), ["perplexity"]);
    }

    #[test]
    fn side_effects_of_what_looks_better() {
        assert_eq!(
            codes(pair(0.1, &[("accuracy", 0.9, 0.9)], &[("accuracy", 0.95, 0.95)])),
            ["distillation_teacher", "transfer"]
        );
    }

    #[test]
    fn imbalanced_training_rows() {
        let runs = pair(0.1, &[("ece", 0.1, 0.1)], &[("ece", 0.1, 0.1)]);
        let skewed = Context { classes: 2, train_classes: vec![300, 100] };
        assert_eq!(warned(runs.clone(), &skewed)[0].0, "imbalanced_classes");
        assert!(warned(runs, &Context { classes: 2, train_classes: vec![299, 100] }).is_empty());
    }

    #[test]
    fn one_strength_in_both_conventions() {
        let mut runs = pair(0.1, &[("ece", 0.1, 0.1)], &[("ece", 0.1, 0.1)]);
        let mut others = runs.clone();
        others.iter_mut().for_each(|run| run.variant.convention = "off_class".to_owned());
        runs.append(&mut others);
        let found = warned(runs, &context());
        assert_eq!(found[0].0, "convention_mismatch");
        assert!(found[0].1.contains("by 0.9000"), "{}", found[0].1);
    }

    #[test]
    fn a_training_loss_that_only_its_floor_makes_higher() {
        let losses = |plain: f64, smoothed: f64| {
            let mut runs = pair(0.1, &[("ece", 0.1, 0.1)], &[("ece", 0.1, 0.1)]);
            for run in &mut runs {
                run.train_loss = Some(if run.smoothing > 0.0 { smoothed } else { plain });
            }
            codes(runs)
        };
        // The floor at 0.1 with ten classes is 0.5003.
        assert_eq!(losses(0.2, 0.69), ["loss_floor"]);
        assert!(losses(0.2, 0.75).is_empty());
        assert!(losses(0.2, 0.1).is_empty());
    }
}
