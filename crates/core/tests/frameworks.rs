//! Losses and targets of Keras, optax, timm and fairseq, composed of ours: value and gradient of every golden case.
//!
//! Each adapter here is what a port needs to write, and nothing more; `candor loss` takes the same options.

use candor::batch::{FromProbs, Link};
use candor::losses::{LossOptions, LossState, MeanOver, Reduction};
use candor::targets::{
    BinaryHalf, BinaryRule, BinaryTargets, DenseRows, Mixup, MultiLabel, MultiLabelConvention, OffClass,
    Positives, Prior, TargetRule, Uniform,
};
use candor::{Labels, Targets};

use crate::golden::{Case, Data, Tensor, family};
use crate::run::{Outcome, every_way};
use crate::trial::{loss, near};

/// The rows of a tensor as dense targets.
fn rows(tensor: &Tensor) -> DenseRows<'_> {
    match &tensor.data {
        Data::F32(values) => DenseRows::F32(values),
        Data::F64(values) => DenseRows::F64(values),
        Data::I64(_) => panic!("rows of integers"),
    }
}

/// A loss on the logits of a case, in its precision.
fn run(case: &Case, spec: &str, logits: &Tensor, targets: &Targets<'_>, options: LossOptions<'_>) -> Outcome {
    let loss = loss(spec);
    let single = matches!(logits.data, Data::F32(_));
    let outcome = if single {
        every_way(&logits.f32(), targets, options, |b| loss.value_grad_f32(b, &mut LossState::default()))
    } else {
        every_way(&logits.f64(), targets, options, |b| loss.value_grad_f64(b, &mut LossState::default()))
    };
    outcome.unwrap_or_else(|error| panic!("{}: {error}", case.id))
}

fn check(case: &Case, what: &str, got: &[f64]) {
    case.tolerance().check(&format!("{}: {what}", case.id), got, &case.output(what).f64());
}

/// The loss, row by row where it is not reduced, and the gradient.
fn check_loss(case: &Case, outcome: &Outcome, by_row: bool) {
    let values = if by_row { &outcome.losses } else { &vec![outcome.value.loss] };
    check(case, "loss", values);
    if case.outputs.contains_key("grad") {
        check(case, "grad", &outcome.gradient);
    }
}

#[test]
fn keras() {
    let cases = family("keras");
    let (mut categorical, mut probabilities, mut clipped, mut singly_rounded) = (0, 0, 0, 0);
    for case in &cases {
        let softmax = case.id.starts_with("cce");
        let (truth, prediction) = (case.input("y_true"), case.input("y_pred"));
        let n_classes = truth.shape[1];
        let smoothing = case.number("label_smoothing");
        let targets = if softmax {
            let rows = Targets::distribution(rows(truth), n_classes).expect("one-hot rows");
            rows.smoothed(smoothing, candor::targets::Background::Uniform)
        } else {
            let rule = BinaryHalf::new(smoothing).expect("in range");
            let positives = Positives::dense(rows(truth), n_classes).expect("0 and 1");
            Targets::binary(rule.targets(positives).expect("as many classes"))
        };
        let by_row = case.param("reduction").is_null();
        let weights = case.inputs.get("sample_weight").map(|weights| weights.f64());
        let options = LossOptions {
            reduction: match case.param("reduction").as_str() {
                None => Reduction::None,
                Some("sum") => Reduction::Sum,
                // Both of them divide by the number of rows, weighted or not.
                Some("sum_over_batch_size" | "mean") => Reduction::Mean,
                Some(other) => panic!("{}: {other}", case.id),
            },
            mean_over: MeanOver::AllRows,
            sample_weights: weights.as_deref(),
            ..Default::default()
        };
        let spec = if softmax { "cross_entropy" } else { "binary_cross_entropy" };
        let outcome = if case.param("from_logits").as_bool() == Some(true) {
            run(case, spec, prediction, &targets, options)
        } else {
            let link = FromProbs::new(if softmax { Link::Softmax } else { Link::Sigmoid }, 1e-7).unwrap();
            let outcome = match &prediction.data {
                Data::F32(probs) => over_probs(case, spec, link, probs, n_classes, &targets, options),
                Data::F64(probs) => over_probs(case, spec, link, probs, n_classes, &targets, options),
                Data::I64(_) => panic!("{}: integers", case.id),
            };
            probabilities += 1;
            outcome
        };
        // Keras casts the values of its binary loss to its default float before weights and sums, so the f64
        // cases hold single precision; without weights the gradients are in
        // double precision.
        let want = case.output("loss").f64();
        let rounded = !softmax && case.word("dtype") == "f64";
        if rounded && weights.is_none() && by_row {
            assert!(want.iter().all(|&v| f64::from(v as f32) == v), "{}: not rounded after all", case.id);
        }
        if rounded {
            let values = if by_row { &outcome.losses } else { &vec![outcome.value.loss] };
            // Roundings of 6e-8 in each of at most 32 terms of a sum, against the largest of the numbers.
            near(&case.id, values, &want, 3e-7).unwrap();
            if weights.is_none() && case.outputs.contains_key("grad") {
                check(case, "grad", &outcome.gradient);
            } else if weights.is_some() {
                near(&case.id, &outcome.gradient, &case.output("grad").f64(), 3e-7).unwrap();
            }
        } else {
            check_loss(case, &outcome, by_row);
        }
        singly_rounded += usize::from(rounded);
        categorical += usize::from(softmax);
        clipped += usize::from(case.id.contains("clip"));
    }
    assert_eq!((cases.len(), categorical, probabilities, clipped, singly_rounded), (296, 192, 152, 8, 52));
}

/// A loss over probabilities: on their logits, and its gradient turned back.
fn over_probs<T: candor::Scalar>(
    case: &Case,
    spec: &str,
    link: FromProbs,
    probs: &[T],
    n_classes: usize,
    targets: &Targets<'_>,
    options: LossOptions<'_>,
) -> Outcome {
    let logits = link.logits(probs, n_classes).unwrap_or_else(|error| panic!("{}: {error}", case.id));
    let logits = Tensor { shape: vec![logits.len() / n_classes, n_classes], data: Data::F64(logits) };
    let mut outcome = run(case, spec, &logits, targets, options);
    link.gradient(probs, n_classes, &mut outcome.gradient).expect("the same shape");
    outcome
}

#[test]
fn optax() {
    let cases = family("optax");
    let mut seen = [0; 3];
    for case in &cases {
        let logits = case.input("logits");
        let n_classes = logits.shape[1];
        let options = LossOptions { reduction: Reduction::None, ..Default::default() };
        if case.id.starts_with("smooth") {
            let labels = case.input("labels").i64();
            let rule = Uniform::new(case.number("alpha")).expect("in range");
            let targets = rule.targets(Labels::new(&labels, n_classes).expect("in range")).expect("a batch");
            check(case, "smoothed", &targets.dense_matrix());
            check_loss(case, &run(case, "cross_entropy", logits, &targets, options), true);
            // The same from one-hot rows, as optax takes them.
            let dense = Targets::distribution(rows(case.input("onehot")), n_classes).expect("one-hot rows");
            let dense = dense.smoothed(rule.smoothing(), candor::targets::Background::Uniform);
            check_loss(case, &run(case, "cross_entropy", logits, &dense, options), true);
            seen[0] += 1;
        } else if case.id.starts_with("focal") {
            // Elementwise: every element is a row of one class.
            let balance = match case.param("alpha").as_f64() {
                Some(alpha) => format!("alpha={alpha}"),
                None => "balance=none".to_owned(),
            };
            let spec = format!("sigmoid_focal:gamma={},{balance}", case.number("gamma"));
            let positives = Positives::dense(rows(case.input("labels")), 1).expect("0 and 1");
            let targets = BinaryTargets::new(positives, vec![1.0], vec![0.0]).expect("in range");
            check_loss(case, &run(case, &spec, logits, &Targets::binary(targets), options), true);
            seen[1] += 1;
        } else {
            let hot = case.input("onehot").f64();
            let label = |row: &[f64]| row.iter().position(|q| *q == 1.0).expect("a one-hot row") as i64;
            let labels: Vec<i64> = hot.chunks_exact(n_classes).map(label).collect();
            let targets = Targets::labels(Labels::new(&labels, n_classes).expect("in range"));
            let spec = format!("poly1:epsilon={}", case.number("epsilon"));
            check_loss(case, &run(case, &spec, logits, &targets, options), true);
            seen[2] += 1;
        }
    }
    assert_eq!((cases.len(), seen), (48, [18, 12, 18]));
}

#[test]
fn timm() {
    let cases = family("timm");
    let mut seen = [0; 6];
    for case in &cases {
        let kind = case.id.split('_').next().expect("a word");
        match (kind, case.id.starts_with("mixup_multilabel")) {
            ("lsce", _) => {
                let labels = case.input("target").i64();
                let labels = Labels::new(&labels, case.input("logits").shape[1]).expect("in range");
                let targets = Uniform::new(case.number("smoothing")).unwrap().targets(labels).unwrap();
                let mean = LossOptions::default();
                check_loss(case, &run(case, "cross_entropy", case.input("logits"), &targets, mean), false);
                seen[0] += 1;
            }
            ("bce", _) => {
                timm_binary(case);
                seen[1] += 1;
            }
            ("softce", _) => {
                let logits = case.input("logits");
                let targets = Targets::distribution(rows(case.input("target_probs")), logits.shape[1]);
                let mean = LossOptions::default();
                check_loss(case, &run(case, "cross_entropy", logits, &targets.unwrap(), mean), false);
                seen[2] += 1;
            }
            ("mixup", true) => {
                let hot = case.input("target_multi");
                let n_classes = hot.shape[1];
                let lambda = case.number("lam");
                let mixed = flipped_mixture(&hot.f64(), n_classes, lambda);
                let positives = Positives::dense(DenseRows::F64(&mixed), n_classes).expect("in range");
                let rule = BinaryHalf::new(case.number("smoothing")).unwrap();
                check(case, "target_probs", &rule.targets(positives).unwrap().dense_matrix());
                seen[3] += 1;
            }
            _ => {
                let labels = case.input("target").i64();
                let n_classes = case.integer("num_classes").expect("a number") as usize;
                let n_rows = labels.len();
                let partners: Vec<usize> = (0..n_rows).rev().collect();
                let lambda = case.number("lam");
                let rule = Mixup::new(case.number("smoothing")).unwrap();
                let labels = Labels::new(&labels, n_classes).expect("in range");
                let targets = rule.targets(labels, &partners, &vec![lambda; n_rows]).unwrap();
                check(case, "target_probs", &targets.dense_matrix());
                if let Some(x) = case.inputs.get("x") {
                    // Inputs are mixed by whoever owns them; this says that the partner and λ are the same.
                    check(case, "x_mixed", &flipped_mixture(&x.f64(), x.f64().len() / n_rows, lambda));
                    seen[4] += 1;
                }
                seen[5] += 1;
            }
        }
    }
    assert_eq!((cases.len(), seen), (370, [18, 324, 6, 2, 4, 20]));
}

/// `λ·row + (1-λ)·partner`, the partner counted from the end.
fn flipped_mixture(values: &[f64], width: usize, lambda: f64) -> Vec<f64> {
    let rows: Vec<&[f64]> = values.chunks_exact(width).collect();
    rows.iter()
        .zip(rows.iter().rev())
        .flat_map(|(a, b)| a.iter().zip(*b).map(|(a, b)| lambda * a + (1.0 - lambda) * b).collect::<Vec<_>>())
        .collect()
}

/// Smoothing over the classes for labels, by halves or not at all for dense rows; then the threshold.
fn timm_binary(case: &Case) {
    let logits = case.input("logits");
    let n_classes = logits.shape[1];
    let yes = |name| case.param(name).as_bool() == Some(true);
    let labels = case.inputs.get("target").map(|labels| labels.i64());
    let smoothing = case.number("smoothing");
    let (convention, strength) = match (&labels, yes("smooth_dense")) {
        (Some(_), _) => (MultiLabelConvention::OverClasses, smoothing),
        (None, true) => (MultiLabelConvention::Half, smoothing),
        (None, false) => (MultiLabelConvention::Half, 0.0),
    };
    let rule = MultiLabel::new(&vec![strength; n_classes], convention).expect("in range");
    let rule = match case.param("target_threshold").as_f64() {
        Some(threshold) => rule.threshold(threshold).expect("in range"),
        None => rule,
    };
    let positives = match &labels {
        Some(labels) => Positives::one_of(Labels::new(labels, n_classes).expect("in range")),
        None => Positives::dense(rows(case.input("target_probs")), n_classes).expect("in range"),
    };
    let targets = Targets::binary(rule.targets(positives).expect("as many classes"));
    let classes = if yes("sum_classes") { "sum" } else { "mean" };
    let spec = format!("binary_cross_entropy:classes={classes}");
    assert_eq!(case.word("reduction"), "mean", "{}", case.id);
    check_loss(case, &run(case, &spec, logits, &targets, LossOptions::default()), false);
}

#[test]
fn formulas() {
    let cases = family("formula_only");
    let mut seen = [0; 4];
    for case in &cases {
        let (logits, labels) = (case.input("logits"), case.input("target").i64());
        let n_classes = logits.shape[1];
        let labels = Labels::with_ignore(&labels, n_classes, case.integer("padding_idx")).expect("in range");
        if case.id.starts_with("fairseq") {
            let epsilon = case.number("epsilon");
            let newer = case.id.starts_with("fairseq_km1");
            let rule: Box<dyn TargetRule> = if newer {
                Box::new(OffClass::new(epsilon, n_classes).expect("in range"))
            } else {
                Box::new(Uniform::new(epsilon).expect("in range"))
            };
            let options = LossOptions { reduction: Reduction::Sum, ..Default::default() };
            let outcome = run(case, "cross_entropy", logits, &rule.targets(labels).unwrap(), options);
            check_loss(case, &outcome, false);
            // fairseq sums its un-smoothed loss too; over padding alone a mean is none.
            let sum = outcome.value.nll * outcome.value.rows as f64;
            check(case, "nll", &[if outcome.value.rows == 0 { 0.0 } else { sum }]);
            seen[usize::from(newer)] += 1;
        } else if case.id.starts_with("prior") {
            let rule = Prior::new(case.number("epsilon"), &case.input("prior").f64()).expect("a prior");
            let targets = rule.targets(labels).expect("a batch");
            check(case, "q", &targets.dense_matrix());
            let options = LossOptions::default();
            check_loss(case, &run(case, "cross_entropy", logits, &targets, options), false);
            seen[2] += 1;
        } else {
            let spec = format!("confidence_penalty:strength={}", case.number("beta"));
            let targets = Targets::labels(labels);
            check_loss(case, &run(case, &spec, logits, &targets, LossOptions::default()), false);
            seen[3] += 1;
        }
    }
    assert_eq!((cases.len(), seen), (72, [18, 18, 18, 18]));
}
