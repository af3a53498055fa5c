//! Which strength to use, from validation rows alone: test rows never select.

use super::comparison::{mean_sd, variants};
use super::{RunRecord, Variant};

/// Recommended strengths; `None` without validation rows.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Recommendation {
    /// Without temperature scaling.
    pub smoothing: Option<f64>,
    /// With temperature scaling.
    pub with_temperature: Option<f64>,
    /// The variant with the first strength; where more than the strength differs, it says with what.
    pub variant: Option<Variant>,
}

/// The smallest strength whose validation NLL is within one standard error of the lowest.
///
/// The standard error is that of the paired differences over seeds, so what varies from seed to seed alike
/// for all strengths does not blur the choice; with one seed it is 0.
pub fn recommend(runs: &[RunRecord]) -> Recommendation {
    let plain = choose(runs, |run| run.validation_nll);
    let scaled = choose(runs, |run| run.validation_nll_after_temperature);
    Recommendation {
        smoothing: plain.map(|variant| variant.smoothing),
        with_temperature: scaled.map(|variant| variant.smoothing),
        variant: plain.cloned(),
    }
}

fn choose(runs: &[RunRecord], figure: impl Fn(&RunRecord) -> Option<f64>) -> Option<&Variant> {
    // Every variant with its figures by seed.
    let mut candidates: Vec<(&Variant, Vec<(u64, f64)>)> = Vec::new();
    for variant in variants(runs) {
        let figures: Vec<(u64, f64)> = runs
            .iter()
            .filter(|run| run.variant == *variant)
            .map(|run| figure(run).filter(|value| value.is_finite()).map(|value| (run.seed, value)))
            .collect::<Option<_>>()?;
        candidates.push((variant, figures));
    }
    let mean =
        |figures: &[(u64, f64)]| figures.iter().map(|(_, value)| value).sum::<f64>() / figures.len() as f64;
    let best = candidates.iter().min_by(|a, b| mean(&a.1).total_cmp(&mean(&b.1)))?;
    candidates
        .iter()
        .filter(|candidate| {
            let differences: Vec<f64> = candidate
                .1
                .iter()
                .filter_map(|(seed, value)| {
                    best.1.iter().find(|other| other.0 == *seed).map(|other| value - other.1)
                })
                .collect();
            if differences.is_empty() {
                return false;
            }
            let (excess, sd) = mean_sd(&differences);
            let standard_error = sd.unwrap_or(0.0) / (differences.len() as f64).sqrt();
            excess <= standard_error
        })
        .min_by(|a, b| a.0.smoothing.total_cmp(&b.0.smoothing).then(mean(&a.1).total_cmp(&mean(&b.1))))
        .map(|candidate| candidate.0)
}

#[cfg(test)]
mod tests {
    use super::super::comparison::tests::run;
    use super::*;

    #[test]
    fn the_lowest_validation_nll_wins_unless_a_smaller_strength_is_as_good() {
        let clear = [run(0.0, 0, 0.9, &[]), run(0.05, 0, 0.6, &[]), run(0.1, 0, 0.7, &[])];
        assert_eq!(recommend(&clear).smoothing, Some(0.05));
        assert_eq!(recommend(&clear).variant.as_ref(), Some(&clear[1].variant));
        let tie =
            [run(0.0, 0, 0.50, &[]), run(0.0, 1, 0.40, &[]), run(0.1, 0, 0.42, &[]), run(0.1, 1, 0.46, &[])];
        // Lower by 0.01 on average, with a standard error of 0.07.
        assert_eq!(recommend(&tie).smoothing, Some(0.0));
    }

    #[test]
    fn without_validation_there_is_no_recommendation() {
        let mut missing = run(0.0, 0, 0.5, &[]);
        missing.validation_nll = None;
        assert_eq!(recommend(&[missing]).smoothing, None);
        assert_eq!(recommend(&[]), Recommendation::default());
    }
}
