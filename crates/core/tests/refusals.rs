//! Every error of the crate, produced once through the public API.

use std::collections::BTreeSet;
use std::path::Path;

use candor::kernels::isa::Isa;
use candor::losses::{BackwardCorrection, Batch, LossOptions, Reduction, Transition, Weighting, by_name};
use candor::metrics::{BinEdges, Evaluator, InputKind, ReliabilityTable};
use candor::parameters::{Parameter, ParameterValue, Parameters};
use candor::targets::{
    self, Background, BinaryTargets, DenseRows, Graph, OffClass, Positives, TargetRule, Uniform,
};
use candor::{Convention, Error, Labels, Logits, Probs, Targets};

use crate::run::{Outcome, double, every_way, single};

/// Plain labels over three classes.
fn targets(labels: &[i64]) -> Targets<'_> {
    Targets::labels(Labels::with_ignore(labels, 3, Some(-100)).expect("labels in range"))
}

/// The error of a loss, which must be the same in both precisions and on every instruction set.
fn refused(logits: &[f32], targets: &Targets<'_>, options: LossOptions<'_>) -> Error {
    let wide: Vec<f64> = logits.iter().map(|&z| f64::from(z)).collect();
    let error = |outcome: candor::Result<Outcome>| outcome.expect_err("this must be refused");
    let want = error(double(&wide, targets, options));
    for isa in Isa::available() {
        let got = error(single(isa, logits, targets, options));
        assert_eq!(format!("{got:?}"), format!("{want:?}"), "{isa:?}");
    }
    want
}

#[track_caller]
fn assert_says(error: &Error, words: &[&str]) {
    let message = error.to_string();
    for word in words {
        assert!(message.contains(word), "{message:?} does not say {word:?}");
    }
}

fn out_of_range() -> Error {
    for strength in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
        assert!(matches!(Uniform::new(strength), Err(Error::OutOfRange { argument: "smoothing", .. })));
        let per_row = targets(&[0]).smoothed_per_row(vec![strength], Background::Uniform);
        assert!(matches!(per_row, Err(Error::OutOfRange { argument: "smoothing", .. })));
    }
    // The raw form takes generalised strengths, but no silent NaN.
    for strength in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let labels = targets(&[0]).smoothed(strength, Background::Uniform);
        assert_says(&refused(&[0.0; 3], &labels, LossOptions::default()), &["smoothing"]);
    }
    for denominator in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let options = LossOptions { denominator: Some(denominator), ..Default::default() };
        assert_says(&refused(&[0.0; 3], &targets(&[0]), options), &["denominator"]);
    }
    // Weights whose sum, or the inverse of it, is infinite.
    for weights in [[f64::MAX, f64::MAX], [5e-324, 0.0]] {
        let options = LossOptions { sample_weights: Some(&weights), ..Default::default() };
        assert_says(&refused(&[0.0; 6], &targets(&[0, 1]), options), &["sum of the weights"]);
    }
    let error = OffClass::new(0.7, 3).expect_err("above (K-1)/K");
    assert_says(&error, &["0.7", "0.666", "(K-1)/K"]);
    error
}

fn shape() -> Error {
    let options = LossOptions::default();
    let is_shape = |error: Error| assert!(matches!(error, Error::Shape { .. }), "{error:?}");
    is_shape(refused(&[0.0; 6], &targets(&[0]), options));
    let weights = [1.0; 4];
    for weighting in [Weighting::Label, Weighting::Pytorch] {
        let options = LossOptions { class_weights: Some(&weights), weighting, ..options };
        is_shape(refused(&[0.0; 3], &targets(&[0]), options));
    }
    is_shape(refused(&[0.0; 3], &targets(&[0]), LossOptions { sample_weights: Some(&weights), ..options }));
    for prior in [Background::Prior(vec![0.5; 2].into()), Background::Prior(vec![0.5; 9].into())] {
        is_shape(refused(&[0.0; 3], &targets(&[0]).smoothed(0.1, prior), options));
    }
    for n_priors in [0, 3, 4, 10] {
        let priors = Background::PriorOfLabel(vec![0.5; n_priors].into());
        is_shape(refused(&[0.0; 3], &targets(&[2]).smoothed(0.1, priors), options));
    }
    is_shape(targets(&[0]).smoothed_per_row(vec![0.1; 2], Background::Uniform).expect_err("two for one"));
    is_shape(targets(&[0]).with_ignored(vec![true; 2]).expect_err("two for one"));
    is_shape(Labels::new(&[], 0).expect_err("no class"));
    is_shape(OffClass::new(0.1, 4).expect("in range").distribution(0, 3).expect_err("3 for 4"));
    let sparse = Targets::sparse(vec![0, 3, 2], vec![0, 1], vec![0.5, 0.5], 3);
    is_shape(sparse.expect_err("offsets that go back"));
    let mut losses = [0.0_f64; 2];
    let labels = targets(&[0]);
    let batch = candor::losses::Batch::new(candor::Buffers::Forward(&[0.0; 3]), &labels).losses(&mut losses);
    let error = candor::losses::reference(batch).expect_err("two row losses for one row");
    assert_says(&error, &["row losses", "2", "1"]);
    error
}

fn ragged_rows() -> Error {
    assert!(matches!(Probs::new(&[0.5_f32; 3], 2), Err(Error::RaggedRows { what: "probs", .. })));
    let error = Logits::new(&[0.0_f64; 7], 3).expect_err("7 values for 3 classes");
    assert_says(&error, &["logits", "7", "3 classes"]);
    error
}

fn label_out_of_range() -> Error {
    let sparse = Targets::sparse(vec![0, 1], vec![3], vec![1.0], 3);
    assert!(matches!(sparse, Err(Error::LabelOutOfRange { row: 0, label: 3, .. })));
    let error = Labels::with_ignore(&[0, 1, -1], 3, Some(-100)).expect_err("-1 is no class");
    assert_says(&error, &["row 2", "-1", "0..=2", "-100"]);
    error
}

fn non_finite_logit() -> Error {
    // In every position of a row that takes main loop and tail, and in a later row.
    for k in [1, 5, 33, 70] {
        for class in 0..k {
            for value in [f32::NAN, -f32::NAN, f32::INFINITY] {
                let mut logits = vec![0.0; 2 * k];
                logits[k + class] = value;
                let labels = [0, 0];
                let plain = Targets::labels(Labels::new(&labels, k).expect("labels in range"));
                let error = refused(&logits, &plain, LossOptions::default());
                assert!(
                    matches!(error, Error::NonFiniteLogit { row: 1, class: at, .. } if at == class),
                    "{value} at {class} of {k}: {error:?}"
                );
            }
        }
    }
    refused(&[0.0, f32::INFINITY, 0.0], &targets(&[0]), LossOptions::default())
}

fn no_allowed_class() -> Error {
    let error = refused(&[f32::NEG_INFINITY; 3], &targets(&[1]), LossOptions::default());
    assert_says(&error, &["row 0", "-inf"]);
    error
}

fn masked_target() -> Error {
    let logits = [0.0, f32::NEG_INFINITY, 0.0];
    // Also where the smoothing takes all the mass away, and for rows of masses.
    let all = targets(&[1]).smoothed(1.0, Background::Uniform);
    let rows = [0.5, 0.5, 0.0];
    let soft = Targets::distribution(DenseRows::F64(&rows), 3).expect("a distribution");
    let sparse = Targets::sparse(vec![0, 2], vec![1, 2], vec![0.5, 0.5], 3).expect("a distribution");
    for targets in [targets(&[1]), all, soft, sparse] {
        let error = refused(&logits, &targets, LossOptions::default());
        assert_eq!(error, Error::MaskedTarget { row: 0, class: 1 });
    }
    Error::MaskedTarget { row: 0, class: 1 }
}

fn target_sum() -> Error {
    assert!(Targets::distribution(DenseRows::F32(&[0.50004, 0.5]), 2).is_ok(), "rounded text is accepted");
    let sparse = Targets::sparse(vec![0, 1], vec![0], vec![0.9], 3);
    assert!(matches!(sparse, Err(Error::TargetSum { row: 0, .. })));
    let error =
        Targets::distribution(DenseRows::F32(&[0.5, 0.5, 0.5, 0.4]), 2).expect_err("row 1 sums to 0.9");
    assert_says(&error, &["row 1", "0.9", "Targets::weights"]);
    error
}

fn target_value() -> Error {
    for bad in [-0.1, f64::NAN, f64::INFINITY] {
        assert!(matches!(
            Targets::weights(DenseRows::F64(&[1.0, bad]), 2),
            Err(Error::TargetValue { row: 0, class: 1, .. })
        ));
    }
    Targets::distribution(DenseRows::F64(&[1.5, -0.5]), 2).expect_err("a negative mass")
}

fn probability_sum() -> Error {
    Probs::new(&[0.2_f64, 0.3], 2).expect_err("sums to 0.5")
}

fn probability_value() -> Error {
    let error = Probs::new(&[0.5_f32, 0.5, 2.0, -1.0], 2).expect_err("these are logits");
    assert_says(&error, &["row 1, class 0", "2", "logits"]);
    error
}

fn weight_value() -> Error {
    for bad in [-1.0, f64::NAN, f64::INFINITY] {
        let weights = [1.0, bad, 1.0];
        let prior = targets(&[0]).smoothed(0.1, Background::Prior(weights.to_vec().into()));
        assert_says(&refused(&[0.0; 3], &prior, LossOptions::default()), &["prior mass 1"]);
        let options = LossOptions { sample_weights: Some(&weights), ..Default::default() };
        assert_says(&refused(&[0.0; 9], &targets(&[0, 1, 2]), options), &["sample weight 1"]);
    }
    let options = LossOptions { class_weights: Some(&[1.0, 1.0, -2.0]), ..Default::default() };
    let error = refused(&[0.0; 3], &targets(&[0]), options);
    assert_says(&error, &["class weight 2", "-2"]);
    error
}

fn empty() -> Error {
    assert_eq!(
        refused(&[], &targets(&[]), LossOptions::default()),
        Error::Empty { what: "the mean loss", rows: 0, ignored: 0 }
    );
    // The sum over nothing is 0, and a denominator from outside makes a mean of it.
    for options in [
        LossOptions { reduction: Reduction::Sum, ..Default::default() },
        LossOptions { reduction: Reduction::None, ..Default::default() },
        LossOptions { denominator: Some(8.0), ..Default::default() },
    ] {
        for (logits, labels) in [(vec![], vec![]), (vec![1.0; 6], vec![-100, -100])] {
            let outcome = double(&logits, &targets(&labels), options).expect("0");
            assert_eq!((outcome.value.loss, outcome.gradient), (0.0, vec![0.0; logits.len()]));
        }
    }
    refused(&[0.0; 6], &targets(&[-100, -100]), LossOptions::default())
}

fn zero_weight() -> Error {
    let options = LossOptions { sample_weights: Some(&[0.0, 3.0]), ..Default::default() };
    refused(&[0.0; 6], &targets(&[0, -100]), options)
}

fn wrong_kind() -> Error {
    let mut evaluator = Evaluator::with_kind(InputKind::Binary, Default::default()).expect("an evaluation");
    let error = evaluator.update_confidence(&[0.5_f32], &[true], None).expect_err("another kind");
    assert_says(&error, &["binary", "confidence"]);
    error
}

fn unknown_name() -> Error {
    assert!(matches!("offclass".parse::<Convention>(), Err(Error::UnknownName { .. })));
    assert!(matches!("max".parse::<Reduction>(), Err(Error::UnknownName { .. })));
    assert!(matches!("torch".parse::<Weighting>(), Err(Error::UnknownName { .. })));
    let error = by_name("cros_entropy", &Default::default()).expect_err("a misspelt name");
    assert_says(&error, &["cros_entropy", "did you mean \"cross_entropy\""]);
    error
}

fn parameter_kind() -> Error {
    const DECLARED: &[Parameter] = &[Parameter::number("margin", 10.0, 0.0, 1e6, "the margin m")];
    let given = [("margin".to_owned(), ParameterValue::Text("wide".to_owned()))].into();
    let error = Parameters::resolve("mbls", DECLARED, &given).expect_err("a word for a number");
    assert_says(&error, &["mbls", "margin", "wide"]);
    error
}

fn labels_needed() -> Error {
    let rows = [0.5, 0.5, 0.0];
    let weights = Targets::weights(DenseRows::F64(&rows), 3).expect("masses");
    let error = refused(&[0.0; 3], &weights.smoothed(0.1, Background::OtherClasses), LossOptions::default());
    assert!(matches!(error, Error::LabelsNeeded { .. }));
    let soft = Targets::distribution(DenseRows::F64(&rows), 3).expect("a distribution");
    let priors = Background::PriorOfLabel(vec![1.0 / 3.0; 9].into());
    refused(&[0.0; 3], &soft.smoothed(0.1, priors), LossOptions::default())
}

fn needs_data() -> Error {
    let given = Default::default();
    // Made from data, and made for the other family of losses.
    for name in ["mixup", "one_sided"] {
        let error = targets::by_name(name, &given, 3).expect_err("no rule from parameters alone");
        assert!(matches!(error, Error::NeedsData { kind: "target", name: of, .. } if of == name), "{error}");
    }
    let error = targets::binary_by_name("off_class", &given, 3).expect_err("a rule of one softmax");
    assert_says(&error, &["off_class", "by_name"]);
    targets::by_name("matrix", &given, 3).expect_err("a rule that is made from a matrix")
}

fn malformed() -> Error {
    let error = Graph::new(&[0, 2, 1, 2], &[1, 0]).expect_err("offsets that go back");
    assert_says(&error, &["graph offset 2", "before it"]);
    let error = Graph::new(&[0, 1, 2], &[1, 2]).expect_err("an edge to nowhere");
    assert_says(&error, &["graph neighbour 1", "not a node"]);
    error
}

/// The error of a registered loss on two classes.
fn refused_by(name: &str, logits: &[f64], targets: &Targets<'_>, options: LossOptions<'_>) -> Error {
    let loss = by_name(name, &Default::default()).expect("a registered loss");
    let call = |batch: Batch<'_, f64>| loss.value_grad_f64(batch, &mut loss.initial_state(2));
    every_way(logits, targets, options, call).expect_err("this must be refused")
}

fn target_kind() -> Error {
    let labels = Targets::labels(Labels::new(&[0], 2).expect("labels in range"));
    let soft = Targets::distribution(DenseRows::F64(&[0.5, 0.5]), 2).expect("a distribution");
    for targets in [labels.smoothed(0.1, Background::Uniform), soft] {
        let error = refused_by("focal", &[0.0; 2], &targets, LossOptions::default());
        assert_says(&error, &["focal", "class labels only"]);
    }
    let positives = Positives::one_of(Labels::new(&[0], 2).expect("labels in range"));
    let binary = BinaryTargets::new(positives, vec![0.9; 2], vec![0.1; 2]).expect("in range");
    refused_by("focal", &[0.0; 2], &Targets::binary(binary), LossOptions::default())
}

fn missing() -> Error {
    let labels = Targets::labels(Labels::new(&[0], 2).expect("labels in range"));
    let error = refused_by("distillation", &[0.0; 2], &labels, LossOptions::default());
    assert_says(&error, &["distillation", "teacher", "Batch::teacher"]);
    error
}

fn unsupported() -> Error {
    let labels = Targets::labels(Labels::new(&[0], 2).expect("labels in range"));
    let options =
        LossOptions { class_weights: Some(&[1.0, 2.0]), weighting: Weighting::Pytorch, ..Default::default() };
    let error = refused_by("brier", &[0.0; 2], &labels, options);
    assert_says(&error, &["brier", "pytorch", "weighting = label"]);
    error
}

fn non_finite_loss() -> Error {
    let labels = Targets::labels(Labels::new(&[0, 0], 2).expect("labels in range"));
    let error = refused_by("logit_penalty", &[0.0, 1.0, 1e200, 0.0], &labels, LossOptions::default());
    assert_says(&error, &["row 1", "logit_penalty", "too large"]);
    error
}

fn singular() -> Error {
    let always_even = Transition::new(vec![0.5; 4], 2).expect("a stochastic matrix");
    BackwardCorrection::with_transition(&always_even).expect_err("labels that say nothing")
}

fn merge() -> Error {
    let table = |n_bins| {
        ReliabilityTable::new(BinEdges::equal_width(n_bins, Default::default()).expect("a number of bins"))
    };
    let error = table(15).merge(&table(10)).expect_err("15 bins and 10");
    assert_says(&error, &["the bins", "15", "10"]);
    error
}

/// The name of an error's variant.
fn variant(error: &Error) -> String {
    format!("{error:?}").chars().take_while(|c| c.is_alphanumeric()).collect()
}

fn missing_groups() -> Error {
    use candor::calibrators::{self, GroupTemperature, Map, Sample};
    let logits = Logits::new(&[1.0, 0.0], 2).expect("one row");
    let sample = Sample::from_logits(logits, Labels::new(&[0], 2).expect("a label")).expect("a sample");
    let fit = calibrators::fit("group_temperature", &Default::default(), &sample);
    assert!(matches!(fit, Err(Error::MissingGroups { .. })), "{fit:?}");
    let map = Map::from(GroupTemperature { pooled: 1.0, groups: Default::default() });
    map.logits(logits, None).expect_err("the group of the row is missing")
}

#[test]
fn every_error_can_be_produced_and_speaks_in_sentences() {
    let produced: BTreeSet<String> = [
        out_of_range(),
        shape(),
        ragged_rows(),
        label_out_of_range(),
        non_finite_logit(),
        no_allowed_class(),
        masked_target(),
        target_sum(),
        target_value(),
        probability_sum(),
        probability_value(),
        weight_value(),
        empty(),
        zero_weight(),
        wrong_kind(),
        unknown_name(),
        parameter_kind(),
        labels_needed(),
        needs_data(),
        malformed(),
        target_kind(),
        missing(),
        unsupported(),
        non_finite_loss(),
        missing_groups(),
        singular(),
        merge(),
    ]
    .iter()
    .map(|error| {
        let message = error.to_string();
        assert!(message.len() > 20 && !message.contains("{") && !message.ends_with('.'), "{message}");
        variant(error)
    })
    .collect();

    // The variants as the source lists them: indented by four spaces, followed by a brace.
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/error.rs");
    let source = std::fs::read_to_string(path).expect("the source of the errors");
    let body = source.split("pub enum Error {").nth(1).and_then(|rest| rest.split("\n}").next());
    let declared: BTreeSet<String> = body
        .expect("the enumeration")
        .lines()
        .filter_map(|line| line.strip_prefix("    ")?.strip_suffix(" {"))
        .filter(|name| name.starts_with(char::is_uppercase))
        .map(str::to_owned)
        .collect();
    assert!(declared.len() >= produced.len(), "{declared:?}");
    let missing: Vec<&String> = declared.difference(&produced).collect();
    assert!(missing.is_empty(), "no test produces {missing:?}");
}

#[test]
fn the_first_bad_row_is_named_whatever_the_number_of_threads() {
    let (n, k) = (4000, 9);
    let labels = vec![0; n];
    let mut logits = vec![0.0_f32; n * k];
    for row in [3999, 2100, 1500, 700] {
        logits[row * k + 3] = f32::NAN;
        let targets = Targets::labels(Labels::new(&labels, k).expect("labels in range"));
        for threads in [1, 2, 7] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
            let error = pool.install(|| refused(&logits, &targets, LossOptions::default()));
            assert!(matches!(error, Error::NonFiniteLogit { row: at, class: 3, .. } if at == row), "{error}");
        }
    }
}
