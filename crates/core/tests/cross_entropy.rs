//! Cross-entropy against PyTorch's, and our own rules where PyTorch's result is NaN or infinite.
//!
//! The gradient with respect to the target (`grad_target` of the family `ce_soft`) is not compared:
//! targets are data here, and no loss gives that gradient.

use candor::kernels::isa::Isa;
use candor::losses::{LossOptions, Reduction, Weighting};
use candor::targets::{Background, DenseRows, TargetRule, Uniform};
use candor::{Error, Labels, Result, Targets};

use crate::golden::{Case, Data, Tensor, Tolerance, family};
use crate::run::{Outcome, double, single};

/// A case as arguments of ours.
struct Call {
    logits: Tensor,
    n_classes: usize,
    labels: Vec<i64>,
    smoothing: f64,
    class_weights: Option<Vec<f64>>,
    reduction: Reduction,
}

impl Call {
    fn new(case: &Case) -> Self {
        let logits = case.input("logits").classes_last();
        Self {
            n_classes: logits.shape[1],
            logits,
            labels: case.inputs.get("target").map(|t| t.i64()).unwrap_or_default(),
            smoothing: case.number("label_smoothing"),
            class_weights: case.inputs.get("weight").map(|w| w.f64()),
            reduction: case.word("reduction").parse().expect("a reduction"),
        }
    }

    fn options(&self) -> LossOptions<'_> {
        LossOptions {
            reduction: self.reduction,
            class_weights: self.class_weights.as_deref(),
            weighting: Weighting::Pytorch,
            ..Default::default()
        }
    }

    fn targets<'a>(&'a self, case: &'a Case) -> Result<Targets<'a>> {
        let Some(rows) = case.inputs.get("target_probs") else {
            let labels = Labels::with_ignore(&self.labels, self.n_classes, case.integer("ignore_index"))?;
            return Uniform::new(self.smoothing)?.targets(labels);
        };
        let rows = match &rows.data {
            Data::F32(rows) => DenseRows::F32(rows),
            Data::F64(rows) => DenseRows::F64(rows),
            Data::I64(_) => panic!("{}: targets are no integers", case.id),
        };
        // PyTorch does not normalise; the family has rows that sum to much more than 1.
        let targets = if case.id.contains("unnormalised") {
            Targets::weights(rows, self.n_classes)?
        } else {
            Targets::distribution(rows, self.n_classes)?
        };
        Ok(targets.smoothed(self.smoothing, Background::Uniform))
    }

    /// Double precision first, then single precision on every instruction set.
    fn outcomes(&self, case: &Case) -> Vec<(Precision, Result<Outcome>)> {
        let targets = match self.targets(case) {
            Ok(targets) => targets,
            Err(error) => return vec![(Precision::Double, Err(error))],
        };
        let mut found = vec![(Precision::Double, double(&self.logits.f64(), &targets, self.options()))];
        let logits = self.logits.f32();
        for isa in Isa::available() {
            found.push((Precision::Single(isa), single(isa, &logits, &targets, self.options())));
        }
        found
    }

    /// The loss as it reads: for each row, its value and gradient, masked classes left out.
    ///
    /// Only what the cases without a defined value need: labels, no weights.
    fn straight(&self) -> (Vec<f64>, Vec<f64>) {
        let logits = self.logits.f64();
        let (mut losses, mut gradient) = (Vec::new(), Vec::new());
        for (row, z) in logits.chunks_exact(self.n_classes).enumerate() {
            let label = self.labels[row] as usize;
            let allowed: Vec<usize> = (0..z.len()).filter(|&c| z[c] > f64::NEG_INFINITY).collect();
            let log_sum = allowed.iter().map(|&c| z[c].exp()).sum::<f64>().ln();
            let mut loss = 0.0;
            for (c, logit) in z.iter().enumerate() {
                if !allowed.contains(&c) {
                    gradient.push(0.0);
                    continue;
                }
                let background = self.smoothing / allowed.len() as f64;
                let q = background + if c == label { 1.0 - self.smoothing } else { 0.0 };
                loss -= q * (logit - log_sum);
                gradient.push((logit - log_sum).exp() - q);
            }
            losses.push(loss);
        }
        if self.reduction == Reduction::Mean {
            let n = losses.len() as f64;
            gradient.iter_mut().for_each(|g| *g /= n);
            losses = vec![losses.iter().sum::<f64>() / n];
        }
        (losses, gradient)
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Precision {
    Double,
    Single(Isa),
}

/// The tolerance for a case in a precision.
///
/// Cases that PyTorch computed in double precision lose by rounding the input when they run in single
/// precision: if no logit moves by more than d, no log-probability moves by more than 2d. The kernel adds
/// 2e-6 (see `kernels.rs`); class weights and unnormalised targets scale both, value included.
fn tolerance(case: &Case, precision: Precision) -> Tolerance {
    if precision == Precision::Double || case.word("dtype") == "f32" {
        return case.tolerance();
    }
    let exact = case.input("logits").f64();
    let moved = exact.iter().map(|z| (f64::from(*z as f32) - z).abs()).filter(|d| d.is_finite());
    Tolerance { relative: 2e-6, absolute: 2e-6 + 2.0 * moved.fold(0.0, f64::max) }
}

/// Compares a case's outcomes with values of the loss (one a row for `none`) and the gradient.
fn compare(case: &Case, call: &Call, losses: &[f64], gradient: &[f64]) {
    let upstream = case.inputs.get("upstream").map(|u| u.f64());
    for (precision, outcome) in call.outcomes(case) {
        let name = format!("{} in {precision:?}", case.id);
        let outcome = outcome.unwrap_or_else(|error| panic!("{name}: {error}"));
        let tolerance = tolerance(case, precision);
        match call.reduction {
            Reduction::None => tolerance.check(&format!("{name}: loss"), &outcome.losses, losses),
            _ => tolerance.check(&format!("{name}: loss"), &[outcome.value.loss], losses),
        }
        let mut got = outcome.gradient;
        if let Some(upstream) = &upstream {
            for (row, factor) in got.chunks_exact_mut(call.n_classes).zip(upstream) {
                row.iter_mut().for_each(|g| *g *= factor);
            }
        }
        tolerance.check(&format!("{name}: gradient"), &got, gradient);
    }
}

fn compare_with_the_peer(case: &Case) {
    let call = Call::new(case);
    let gradient = case.output("grad").classes_last().f64();
    compare(case, &call, &case.output("loss").f64(), &gradient);
}

#[test]
fn class_indices_give_the_value_and_gradient_of_pytorch() {
    let cases = family("ce_index");
    let (mut weighted, mut moved, mut upstream) = (0, 0, 0);
    for case in &cases {
        compare_with_the_peer(case);
        weighted += usize::from(case.inputs.contains_key("weight"));
        upstream += usize::from(case.inputs.contains_key("upstream"));
        moved += usize::from(case.input("logits").shape.len() == 3);
    }
    assert_eq!((cases.len(), weighted, upstream, moved), (548, 278, 190, 8));
}

#[test]
fn probability_targets_give_the_value_and_gradient_of_pytorch() {
    let cases = family("ce_soft");
    let (mut weighted, mut unnormalised) = (0, 0);
    for case in &cases {
        compare_with_the_peer(case);
        weighted += usize::from(case.inputs.contains_key("weight"));
        unnormalised += usize::from(case.id.contains("unnormalised"));
    }
    assert_eq!((cases.len(), weighted, unnormalised), (348, 174, 108));
}

/// What we give where PyTorch's result is NaN or infinite.
fn expected_error(call: &Call) -> Option<Error> {
    let counted = call.labels.iter().filter(|&&label| label >= 0).count();
    if call.reduction == Reduction::Mean && counted == 0 {
        let rows = call.labels.len();
        return Some(Error::Empty { what: "the mean loss", rows, ignored: rows });
    }
    let logits = call.logits.f64();
    for (row, z) in logits.chunks_exact(call.n_classes).enumerate() {
        if let Some(class) = z.iter().position(|z| z.is_nan() || *z == f64::INFINITY) {
            return Some(Error::NonFiniteLogit { row, class, value: z[class] });
        }
        if z.iter().all(|&z| z == f64::NEG_INFINITY) {
            return Some(Error::NoAllowedClass { row });
        }
        let class = call.labels[row] as usize;
        if z[class] == f64::NEG_INFINITY {
            return Some(Error::MaskedTarget { row, class });
        }
    }
    None
}

#[test]
fn extreme_inputs_give_pytorch_s_value_or_where_it_has_none_a_masked_value_or_a_typed_error() {
    let (mut defined, mut masked) = (0, 0);
    let mut refused = std::collections::BTreeMap::new();
    for case in family("ce_extreme") {
        if case.record.get("expect_error").is_some() {
            continue; // See the next test.
        }
        if case.record["defined"] != false {
            compare_with_the_peer(&case);
            defined += 1;
            continue;
        }
        let call = Call::new(&case);
        let Some(want) = expected_error(&call) else {
            // Masked classes that get smoothing mass in PyTorch and hence an infinite loss.
            let (losses, gradient) = call.straight();
            compare(&case, &call, &losses, &gradient);
            masked += 1;
            continue;
        };
        for (precision, outcome) in call.outcomes(&case) {
            let name = format!("{} in {precision:?}", case.id);
            let got = outcome.err().unwrap_or_else(|| panic!("{name}: no error, want {want:?}"));
            assert_eq!(format!("{got:?}"), format!("{want:?}"), "{name}");
        }
        let variant = format!("{want:?}").split(' ').next().unwrap_or_default().to_owned();
        *refused.entry(variant).or_insert(0) += 1;
    }
    assert_eq!((defined, masked), (EXTREME_DEFINED, 8));
    let refused: Vec<(&str, i32)> = refused.iter().map(|(name, count)| (name.as_str(), *count)).collect();
    assert_eq!(refused, [("Empty", 8), ("MaskedTarget", 12), ("NoAllowedClass", 12), ("NonFiniteLogit", 24)]);
}

/// Cases of `ce_extreme` with a value in PyTorch.
///
/// Four of them are means over weights of which some are 0; their denominators are not 0, so they are
/// ordinary here too.
const EXTREME_DEFINED: usize = 140;

#[test]
fn bad_arguments_are_typed_errors_also_where_pytorch_takes_them_without_a_word() {
    let (mut cases, mut silent) = (0, 0);
    for case in family("ce_extreme") {
        let Some(peer) = case.record.get("expect_error") else { continue };
        let labels: Vec<i64> = case
            .param("target")
            .as_array()
            .expect("labels")
            .iter()
            .map(|label| label.as_i64().expect("a label"))
            .collect();
        let strength = case.number("label_smoothing");
        let got = Labels::new(&labels, 3).and_then(|labels| Uniform::new(strength)?.targets(labels)).err();
        match case.id.as_str() {
            "target_out_of_range" | "target_negative" => {
                let want =
                    Error::LabelOutOfRange { row: 1, label: labels[1], n_classes: 3, ignore_index: None };
                assert_eq!(got, Some(want));
            }
            id => assert!(
                matches!(got, Some(Error::OutOfRange { argument: "smoothing", min: 0.0, max: 1.0, .. })),
                "{id}: {got:?}"
            ),
        }
        cases += 1;
        silent += usize::from(peer.is_null());
    }
    assert_eq!((cases, silent), (5, 2));
}

#[test]
fn a_mean_whose_weights_are_all_zero_is_an_error_where_pytorch_gives_nan() {
    let (labels, weights) = ([1, 1], [1.0, 0.0, 2.0]);
    let targets = Targets::labels(Labels::new(&labels, 3).expect("labels in range"));
    let zero = Error::ZeroWeight { what: "the mean loss" };
    for weighting in [Weighting::Pytorch, Weighting::Label] {
        let options = LossOptions { class_weights: Some(&weights), weighting, ..Default::default() };
        assert_eq!(double(&[0.0; 6], &targets, options).err(), Some(zero.clone()));
        // The sum is defined: no row weighs anything.
        let options = LossOptions { reduction: Reduction::Sum, ..options };
        let outcome = double(&[0.0; 6], &targets, options).expect("a sum");
        assert_eq!((outcome.value.loss, outcome.gradient), (0.0, vec![0.0; 6]));
    }
}
