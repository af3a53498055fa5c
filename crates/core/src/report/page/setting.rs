//! The settings of a comparison: what tells them apart in words, and the runs of each.

use std::collections::BTreeSet;

use super::RunDetail;
use super::text::shortened;
use crate::metrics::Evaluation;
use crate::report::{Comparison, Variant};

/// Longest label that is shown.
const LONGEST: usize = 60;

/// A variant with its label and its runs.
#[derive(Debug, Clone)]
pub(super) struct Setting<'a> {
    pub(super) variant: &'a Variant,
    /// The strength, and whatever else tells it from the others.
    pub(super) label: String,
    /// The details of its runs, by seed.
    pub(super) runs: Vec<&'a RunDetail>,
    /// Whether it is the recommended one without temperature scaling, and with it.
    pub(super) recommended: [bool; 2],
}

/// Every setting of a comparison, in the order of the runs.
pub(super) fn settings<'a>(comparison: &'a Comparison, runs: &'a [RunDetail]) -> Vec<Setting<'a>> {
    let variants = comparison.variants();
    // The recommendation is a strength; it names a setting only where no other has the same.
    let recommended = |strength: Option<f64>, variant: &Variant| {
        strength == Some(variant.smoothing)
            && variants.iter().filter(|other| other.smoothing == variant.smoothing).count() == 1
    };
    variants
        .iter()
        .map(|variant| {
            let mut mine: Vec<&RunDetail> = runs.iter().filter(|run| run.variant == **variant).collect();
            mine.sort_by_key(|run| run.seed);
            Setting {
                variant,
                label: variant_label(variant, &variants),
                runs: mine,
                recommended: [comparison.recommended_smoothing, comparison.recommended_with_temperature]
                    .map(|strength| recommended(strength, variant)),
            }
        })
        .collect()
}

impl Setting<'_> {
    /// A title for a panel.
    pub(super) fn title(&self) -> String {
        title(&self.label)
    }

    /// The evaluations of all runs, as trained or with the temperature.
    pub(super) fn evaluations(&self, after: bool) -> impl Iterator<Item = (u64, &Evaluation)> {
        self.runs.iter().filter_map(move |run| {
            let evaluation = if after { run.test_after_temperature.as_ref()? } else { &run.test };
            Some((run.seed, evaluation))
        })
    }
}

fn title(label: &str) -> String {
    match label {
        "0" => "No smoothing".to_owned(),
        label => format!("Smoothing {label}"),
    }
}

/// The words for a variant: the strength, and whatever else distinguishes it from the others.
///
/// For pictures and tables that a field adds to a report, so that they call a variant what the page calls it.
pub fn variant_label(variant: &Variant, all: &[&Variant]) -> String {
    let mut parts = vec![variant.smoothing.to_string()];
    let mut note = |name: &str, of: &dyn Fn(&Variant) -> Option<String>| {
        let mine = of(variant);
        if all.iter().any(|other| of(other) != mine) {
            parts.push(format!("{name}={}", mine.as_deref().unwrap_or("default")));
        }
    };
    note("loss", &|variant| Some(variant.loss.clone()));
    note("target", &|variant| Some(variant.target.clone()).filter(|target| *target != variant.convention));
    note("convention", &|variant| Some(variant.convention.clone()));
    note("schedule", &|variant| Some(variant.schedule.clone()));
    note("model", &|variant| Some(variant.model.clone()));
    let keys: BTreeSet<&String> = all.iter().flat_map(|other| other.settings.keys()).collect();
    for key in keys {
        note(key, &|variant| variant.settings.get(key).cloned());
    }
    shortened(&parts.join(" "), LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::comparison::tests::run;

    #[test]
    fn a_label_names_what_differs_and_nothing_else() {
        let (a, mut b) = (run(0.0, 0, 0.3, &[]).variant, run(0.1, 0, 0.3, &[]).variant);
        assert_eq!(variant_label(&b, &[&a, &b]), "0.1");
        b.settings.insert("lr".to_owned(), "0.01".to_owned());
        b.model = "cnn".to_owned();
        assert_eq!(variant_label(&b, &[&a, &b]), "0.1 model=cnn lr=0.01");
        assert_eq!(variant_label(&a, &[&a, &b]), "0 model=mlp lr=default");
        assert_eq!((title("0"), title("0.1")), ("No smoothing".to_owned(), "Smoothing 0.1".to_owned()));
    }
}
