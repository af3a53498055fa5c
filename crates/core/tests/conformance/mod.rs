//! What every registered loss promises: one walk over the registry, and one list of exceptions.

/// The checks of single rows: gradients, shifts, masks, extremes.
mod by_row;
/// The checks of whole batches: subsets, weights, reductions, precision, threads, state, documentation.
mod of_batch;

use candor::losses::{ALL, Entry, Loss, by_name};
use candor::parameters::{ParameterKind, ParameterValue};

/// A registered loss with one choice of its words.
pub struct Variant {
    pub entry: &'static Entry,
    /// The parameters that are not at their defaults.
    pub words: Vec<(&'static str, &'static str)>,
    pub loss: Box<dyn Loss>,
}

impl Variant {
    fn new(entry: &'static Entry, words: Vec<(&'static str, &'static str)>) -> Self {
        let loss = Self::make(entry, &words, &[]);
        Self { entry, words, loss }
    }

    /// The loss with its words and some numbers.
    fn make(entry: &Entry, words: &[(&str, &str)], numbers: &[(&str, f64)]) -> Box<dyn Loss> {
        let words =
            words.iter().map(|(key, word)| ((*key).to_owned(), ParameterValue::Text((*word).to_owned())));
        let numbers =
            numbers.iter().map(|(key, number)| ((*key).to_owned(), ParameterValue::Number(*number)));
        by_name(entry.info.name, &words.chain(numbers).collect()).unwrap()
    }

    /// The loss at other numbers.
    pub fn at(&self, numbers: &[(&str, f64)]) -> Box<dyn Loss> {
        Self::make(self.entry, &self.words, numbers)
    }
}

/// Every loss with its defaults, and with each other word of each of its parameters.
fn variants() -> Vec<Variant> {
    let mut variants = Vec::new();
    for entry in ALL {
        variants.push(Variant::new(entry, vec![]));
        for parameter in entry.info.parameters {
            if let ParameterKind::Choice { default, options } = parameter.kind {
                let others = options.iter().filter(|word| **word != default);
                variants.extend(others.map(|word| Variant::new(entry, vec![(parameter.name, word)])));
            }
        }
    }
    variants
}

type Check = fn(&Variant) -> Result<(), String>;

const CHECKS: &[(&str, Check)] = &[
    ("documented", of_batch::documented),
    ("gradient", by_row::gradient),
    ("plain", by_row::plain),
    ("shift", by_row::shift),
    ("permutation", by_row::permutation),
    ("masked classes", by_row::masked_classes),
    ("masked label", by_row::masked_label),
    ("extremes", by_row::extremes),
    ("bad logits", by_row::bad_logits),
    ("ignored rows", of_batch::ignored_rows),
    ("separable", of_batch::separable),
    ("weights", of_batch::weights),
    ("reductions", of_batch::reductions),
    ("empty", of_batch::empty),
    ("precision", of_batch::precision),
    ("buffers", of_batch::buffers),
    ("figures", of_batch::figures),
    ("threads", of_batch::threads),
    ("state", of_batch::state),
    ("targets", of_batch::targets),
];

/// Where a promise cannot hold: the check, the loss, and why.
const EXCEPTIONS: &[(&str, &str, &str)] = &[
    ("plain", "binary_cross_entropy", "sigmoids instead of a softmax; it is not a form of cross-entropy"),
    ("plain", "sigmoid_focal", "sigmoids instead of a softmax; it is not a form of cross-entropy"),
    ("plain", "brier", "a squared distance, at no parameter a logarithm"),
    ("plain", "logit_norm", "the length of the logits is divided out at every temperature"),
    ("shift", "binary_cross_entropy", "each sigmoid looks at its own logit"),
    ("shift", "sigmoid_focal", "each sigmoid looks at its own logit"),
    ("shift", "acls", "its first term looks at the largest logit itself"),
    ("shift", "logit_penalty", "penalises the logits themselves"),
    ("shift", "logit_norm", "divides by the length of the logits"),
    ("permutation", "hierarchical_cross_entropy", "without a taxonomy, the order of the classes is one"),
    (
        "masked classes",
        "hierarchical_cross_entropy",
        "a mask leaves the taxonomy as it is; fewer classes have another",
    ),
    ("figures", "binary_cross_entropy", "its figures are those of the sigmoids"),
    ("figures", "sigmoid_focal", "its figures are those of the sigmoids"),
];

#[test]
fn every_loss_keeps_every_promise() {
    let variants = variants();
    let mut broken = Vec::new();
    let mut needed = vec![false; EXCEPTIONS.len()];
    for variant in &variants {
        let name = variant.entry.info.name;
        for (check, run) in CHECKS {
            let excused = EXCEPTIONS.iter().position(|(c, loss, _)| c == check && *loss == name);
            match (run(variant), excused) {
                (Ok(()), _) => {}
                (Err(_), Some(i)) => needed[i] = true,
                (Err(error), None) => broken.push(format!("{check}: {name} {:?}: {error}", variant.words)),
            }
        }
    }
    for ((check, loss, _), needed) in EXCEPTIONS.iter().zip(needed) {
        if !needed {
            broken.push(format!("{check}: {loss} needs no exception"));
        }
    }
    assert!(broken.is_empty(), "{} promises are broken:\n{}", broken.len(), broken.join("\n"));
}
