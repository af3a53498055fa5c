//! Bugs that users reported to other projects, each as a test that this one does not have it.
//!
//! A test is named after the report: project, number, what must hold.

use std::collections::BTreeMap;

use candor::losses::{
    Accepts, Batch, CrossEntropy, Loss, LossOptions, LossState, MeanOver, Reduction, Weighting,
};
use candor::parameters::{Parameter, ParameterKind, ParameterValue};
use candor::targets::{Background, DenseRows, Generalised, TargetRule, Uniform};
use candor::theory::{ReportOptions, RuleReport, weighted_optimum};
use candor::{Buffers, Error, Labels, Targets, losses, schedules, targets};

use crate::trial::{Outcome, Trial, near};

/// Parameters by name.
type Given = BTreeMap<String, ParameterValue>;

fn cross_entropy(trial: &Trial, targets: &Targets<'_>, options: LossOptions<'_>) -> Result<Outcome, Error> {
    trial.run_on::<f64>(&CrossEntropy, targets, options, &mut LossState::default())
}

/// pytorch/pytorch#73205, #69339, #72056, tracel-ai/burn#5568: ignored rows stood in the denominator, or their
/// smoothing term in the sum, and a batch of padding alone gave NaN.
#[test]
fn burn_5568_pytorch_73205_ignored_rows_count_nowhere_whatever_is_combined() {
    let whole = Trial::new(9, 5, 3.0, 21);
    let kept = [0, 2, 3, 7];
    let mut ignoring = whole.clone();
    (0..9).filter(|row| !kept.contains(row)).for_each(|row| ignoring.labels[row] = -100);
    let subset = whole.rows(&kept);
    let class_weights = [1.0, 2.0, 0.5, 4.0, 0.25];
    let sample_weights: Vec<f64> = (0..9).map(|row| 0.5 + row as f64).collect();
    let kept_weights: Vec<f64> = kept.iter().map(|&row| sample_weights[row]).collect();
    for smoothing in [0.0, 0.1, 1.0] {
        for (by_class, weighting) in [
            (None, Weighting::Label),
            (Some(&class_weights[..]), Weighting::Label),
            (Some(&class_weights[..]), Weighting::Pytorch),
        ] {
            for by_row in [false, true] {
                let options = |weights| LossOptions {
                    class_weights: by_class,
                    weighting,
                    sample_weights: weights,
                    ..Default::default()
                };
                let smooth = |trial: &Trial, weights| {
                    let targets = trial.targets().smoothed(smoothing, Background::Uniform);
                    cross_entropy(trial, &targets, options(weights)).unwrap()
                };
                let got = smooth(&ignoring, by_row.then_some(&sample_weights[..]));
                let want = smooth(&subset, by_row.then_some(&kept_weights[..]));
                near("loss", &[got.value.loss], &[want.value.loss], 1e-14).unwrap();
                near("denominator", &[got.value.denominator], &[want.value.denominator], 1e-14).unwrap();
                for row in 0..9 {
                    let found = &got.gradient[row * 5..][..5];
                    match kept.iter().position(|&k| k == row) {
                        Some(i) => near("gradient", found, &want.gradient[i * 5..][..5], 1e-14).unwrap(),
                        None => assert_eq!(found, [0.0; 5]),
                    }
                }
            }
        }
    }
    ignoring.labels.fill(-100);
    let padding = cross_entropy(&ignoring, &ignoring.targets(), LossOptions::default());
    assert!(matches!(padding, Err(Error::Empty { rows: 9, ignored: 9, .. })), "{padding:?}");
}

/// pytorch/pytorch#104776: with class weights 1 and 100 and smoothing .1 a row of class 0 is best predicted as
/// class 1 with probability .84.
#[test]
fn pytorch_104776_class_weights_do_not_move_the_optimum() {
    let (weights, labels) = ([1.0, 100.0], [0]);
    let gradient_at = |p: &[f64], weighting| {
        let mut z: Vec<f64> = p.iter().map(|p| p.ln()).collect();
        let targets = Uniform::new(0.1).unwrap().targets(Labels::new(&labels, 2).unwrap()).unwrap();
        let options = LossOptions { class_weights: Some(&weights), weighting, ..Default::default() };
        let batch = Batch::new(Buffers::InPlace(&mut z), &targets).options(options);
        CrossEntropy.value_grad_f64(batch, &mut LossState::default()).unwrap();
        z
    };
    // The target itself is stationary; the other class would need the push that it does not get.
    near("label", &gradient_at(&[0.95, 0.05], Weighting::Label), &[0.0, 0.0], 1e-15).unwrap();
    // Whoever asks for PyTorch's weighting gets its optimum, 5/5.95 on the wrong class, and can be told.
    let moved = [0.95 / 5.95, 5.0 / 5.95];
    near("pytorch", &gradient_at(&moved, Weighting::Pytorch), &[0.0, 0.0], 1e-14).unwrap();
    let told = weighted_optimum(&[0.95, 0.05], &weights, Weighting::Pytorch).unwrap();
    near("theory", &told, &moved, 1e-15).unwrap();
    let options = ReportOptions { label: Some(0), class_weights: Some(&weights), ..Default::default() };
    let report = RuleReport::new("uniform", &BTreeMap::new(), 2, options).unwrap();
    assert_eq!(report.rows[0].weights_overturn_label, Some(true));
}

/// pytorch/pytorch#107680, #61309: labels and their one-hot rows gave 1.486 and 3.715 with the same weights.
#[test]
fn pytorch_107680_labels_and_one_hot_rows_give_the_same_figure() {
    let trial = Trial::new(7, 4, 3.0, 5);
    let mut hot = vec![0.0; 28];
    trial.labels.iter().enumerate().for_each(|(row, &label)| hot[row * 4 + label as usize] = 1.0);
    let weights = [1.0, 5.0, 0.5, 2.0];
    for smoothing in [0.0, 0.1] {
        for mean_over in [MeanOver::Weights, MeanOver::Rows, MeanOver::AllRows] {
            let options = LossOptions { class_weights: Some(&weights), mean_over, ..Default::default() };
            let labels = trial.targets().smoothed(smoothing, Background::Uniform);
            let rows = Targets::distribution(DenseRows::F64(&hot), 4).unwrap();
            let rows = rows.smoothed(smoothing, Background::Uniform);
            let (a, b) = (
                cross_entropy(&trial, &labels, options).unwrap(),
                cross_entropy(&trial, &rows, options).unwrap(),
            );
            a.agrees(&b, 1e-14).unwrap();
        }
    }
}

/// huggingface/transformers#46731, #7546: means of parts of different sizes were averaged, which made gradients
/// eight times too large; denominators must survive accumulation.
#[test]
fn transformers_46731_accumulated_parts_give_the_gradient_of_the_whole() {
    let mut whole = Trial::new(10, 4, 3.0, 8);
    [1, 4, 5].iter().for_each(|&row| whole.labels[row] = -100);
    // The second part has no row that counts.
    let parts: [&[usize]; 3] = [&[0, 1, 2, 3], &[4, 5], &[6, 7, 8, 9]];
    let class_weights = [1.0, 3.0, 0.5, 2.0];
    let sample_weights: Vec<f64> = (0..10).map(|row| 1.0 + row as f64).collect();
    for by_class in [None, Some(&class_weights[..])] {
        for by_row in [false, true] {
            for mean_over in [MeanOver::Weights, MeanOver::Rows, MeanOver::AllRows] {
                let taken: Vec<Vec<f64>> =
                    parts.iter().map(|rows| rows.iter().map(|&r| sample_weights[r]).collect()).collect();
                let options = LossOptions { class_weights: by_class, mean_over, ..Default::default() };
                let with = |weights| LossOptions { sample_weights: weights, ..options };
                let want =
                    cross_entropy(&whole, &whole.targets(), with(by_row.then_some(&sample_weights[..])));
                let want = want.unwrap();
                let mut denominator = 0.0;
                for (rows, weights) in parts.iter().zip(&taken) {
                    let part = whole.rows(rows);
                    let options = with(by_row.then_some(&weights[..]));
                    denominator += options.denominator_of(&part.targets()).unwrap();
                }
                near("denominator", &[denominator], &[want.value.denominator], 1e-15).unwrap();
                let (mut loss, mut gradient) = (0.0, Vec::new());
                for (rows, weights) in parts.iter().zip(&taken) {
                    let part = whole.rows(rows);
                    let options = LossOptions {
                        denominator: Some(denominator),
                        ..with(by_row.then_some(&weights[..]))
                    };
                    let got = cross_entropy(&part, &part.targets(), options).unwrap();
                    loss += got.value.loss;
                    gradient.extend(got.gradient);
                }
                near("loss", &[loss], &[want.value.loss], 1e-14).unwrap();
                near("gradient", &gradient, &want.gradient, 1e-14).unwrap();
            }
        }
    }
}

/// huggingface/transformers#10674, pytorch/pytorch#85791: the sum of the log-probabilities of a large
/// vocabulary, 8.6e5, overflowed half precision, and the smoothed loss was infinite.
#[test]
fn transformers_10674_a_large_vocabulary_of_half_precision_logits_stays_finite() {
    const VOCABULARY: usize = 50_257;
    let trial = Trial::new(2, VOCABULARY, 30.0, 3);
    // What a half-precision model gives: its logits, widened.
    let halves: Vec<f32> = trial.logits.iter().map(|&z| half::f16::from_f64(z).to_f32()).collect();
    let targets = trial.targets().smoothed(0.1, Background::Uniform);
    let mut gradient = vec![f32::NAN; halves.len()];
    let batch = Batch::new(Buffers::Gradient { logits: &halves, gradient: &mut gradient }, &targets);
    let value = CrossEntropy.value_grad_f32(batch, &mut LossState::default()).unwrap();
    // The formula, straight and in double precision.
    let (mut want, mut least) = (0.0, f64::INFINITY);
    for (z, &label) in halves.chunks_exact(VOCABULARY).zip(&trial.labels) {
        let max = z.iter().fold(f64::NEG_INFINITY, |m, &z| m.max(f64::from(z)));
        let log_sum = max + z.iter().map(|&z| (f64::from(z) - max).exp()).sum::<f64>().ln();
        let all: f64 = z.iter().map(|&z| log_sum - f64::from(z)).sum();
        least = least.min(all);
        want += (0.9 * (log_sum - f64::from(z[label as usize])) + 0.1 * all / VOCABULARY as f64) / 2.0;
    }
    assert!(least > 65_504.0, "the sum of the log-probabilities would fit: {least}");
    // The kernel sums in single precision over blocks of 512, near 1e-6 of the value.
    assert!((value.loss - want).abs() < 2e-6 * want, "{} instead of {want}", value.loss);
    assert!(gradient.iter().all(|g| g.is_finite()) && gradient.iter().any(|g| *g != 0.0));
}

/// tensorflow/tensorflow#19828, google-deepmind/optax#896: a class with a logit of -inf made the smoothed loss
/// infinite and its gradient NaN.
#[test]
fn tensorflow_19828_optax_896_masked_classes_take_no_smoothing_mass() {
    let inf = f64::NEG_INFINITY;
    let z = [0.5, inf, -1.0, 0.25, inf];
    let narrow = [0.5, -1.0, 0.25];
    for label in [0_i64, 2, 3] {
        for (background, strength) in [(Background::Uniform, 0.1), (Background::OtherClasses, 0.3)] {
            let labels = [label];
            let masked = Targets::labels(Labels::new(&labels, 5).unwrap());
            let masked = masked.smoothed(strength, background.clone());
            let mut gradient = [f64::NAN; 5];
            let batch = Batch::new(Buffers::Gradient { logits: &z, gradient: &mut gradient }, &masked);
            let got = CrossEntropy.value_grad_f64(batch, &mut LossState::default()).unwrap().loss;
            let place = [[0, 2, 3].iter().position(|&k| k == label).unwrap() as i64];
            let few = Targets::labels(Labels::new(&place, 3).unwrap()).smoothed(strength, background);
            let mut want = narrow;
            let batch = Batch::new(Buffers::InPlace(&mut want), &few);
            let loss = CrossEntropy.value_grad_f64(batch, &mut LossState::default()).unwrap().loss;
            assert!((got - loss).abs() < 1e-14, "{got} {loss}");
            near("gradient", &gradient, &[want[0], 0.0, want[1], want[2], 0.0], 1e-15).unwrap();
        }
    }
}

/// Values of a number to try instead of its default.
fn others(parameter: &Parameter) -> Vec<ParameterValue> {
    match parameter.kind {
        ParameterKind::Number { default, min, max } => [default * 0.5, default + 1.0, default * 2.0 + 0.25]
            .iter()
            .filter(|value| (min..=max).contains(*value) && **value != default)
            .map(|&value| ParameterValue::Number(value))
            .chain([ParameterValue::Number(min), ParameterValue::Number(max.min(1.0))])
            .collect(),
        ParameterKind::Choice { default, options } => options
            .iter()
            .filter(|word| **word != default)
            .map(|word| ParameterValue::Text((*word).to_owned()))
            .collect(),
        _ => unreachable!("a new kind of parameter needs a case here"),
    }
}

/// Parameters that act only beside another word, and that word.
const BESIDE: &[(&str, &str, &str, &str)] = &[
    ("confidence_penalty", "threshold", "penalty", "hinged"),
    ("confidence_penalty", "form", "penalty", "plain"),
];

/// ultralytics/ultralytics#14039, #2164, Liger-Kernel#243, huggingface/trl#1035: an argument was accepted and had
/// no effect. Here every declared parameter of every method changes something, and each word differs from the
/// default.
#[test]
fn ultralytics_14039_no_accepted_parameter_is_without_effect() {
    let trial = Trial::new(12, 6, 14.0, 9);
    let near_trial = Trial::new(12, 6, 1.0, 9);
    let mut walked = 0;
    for entry in losses::ALL {
        let result = |given: &Given| -> Option<Vec<u64>> {
            let loss = losses::by_name(entry.info.name, given).ok()?;
            let bits = [&trial, &near_trial].map(|trial| {
                let outcome = trial.run(loss.as_ref(), &LossState::default()).unwrap();
                outcome.gradient.iter().chain(&outcome.losses).map(|v| v.to_bits()).collect::<Vec<u64>>()
            });
            Some(bits.concat())
        };
        for parameter in entry.info.parameters {
            let beside =
                BESIDE.iter().find(|(loss, key, ..)| (*loss, *key) == (entry.info.name, parameter.name));
            let base: Given = beside
                .map(|(.., key, word)| ((*key).to_owned(), ParameterValue::Text((*word).to_owned())))
                .into_iter()
                .collect();
            effect(entry.info.name, parameter, &base, &result);
            walked += 1;
        }
    }
    for entry in targets::ALL {
        {
            let n_classes = 6;
            let result = |given: &Given| -> Option<Vec<u64>> {
                let report =
                    RuleReport::new(entry.info.name, given, n_classes, ReportOptions::default()).ok()?;
                let sigmoids = report.sigmoids.iter().flat_map(|s| [s.target_positive, s.target_negative]);
                let rows = report.rows.iter().flat_map(|row| row.target.clone());
                Some(rows.chain(sigmoids).map(f64::to_bits).collect())
            };
            for parameter in entry.info.parameters {
                effect(entry.info.name, parameter, &BTreeMap::new(), &result);
                walked += 1;
            }
        }
    }
    for entry in schedules::ALL {
        let result = |given: &Given| -> Option<Vec<u64>> {
            let schedule = schedules::by_name(entry.info.name, given).ok()?;
            // Epochs that do not divide the steps, so that the two ways to count differ.
            let at = |step: u64| losses::Step { step, epoch: step / 7, steps: 1000, epochs: 143 };
            Some((0..=1000).map(|step| schedule.strength(at(step)).to_bits()).collect())
        };
        for parameter in entry.info.parameters {
            walked += 1;
            if (entry.info.name, parameter.name) == ("constant", "by") {
                // Every schedule can be asked what it counts; a constant strength has nothing to count.
                continue;
            }
            effect(entry.info.name, parameter, &BTreeMap::new(), &result);
        }
    }
    assert!(walked > 120, "the walk finds {walked} parameters only");
}

/// Insists that a number has some value, and that each word, changes the result.
fn effect(name: &str, parameter: &Parameter, base: &Given, result: &dyn Fn(&Given) -> Option<Vec<u64>>) {
    let plain = result(base).unwrap_or_else(|| panic!("{name} cannot be made"));
    let changes = |value: ParameterValue| {
        let mut given = base.clone();
        given.insert(parameter.name.to_owned(), value);
        result(&given).is_some_and(|other| other != plain)
    };
    let values = others(parameter);
    assert!(!values.is_empty(), "{name} {}: there is nothing else to give", parameter.name);
    match parameter.kind {
        ParameterKind::Choice { .. } => {
            for value in values {
                assert!(changes(value.clone()), "{name} {} = {value:?} changes nothing", parameter.name);
            }
        }
        _ => assert!(values.into_iter().any(changes), "{name} {} changes nothing", parameter.name),
    }
}

/// The other half of the same reports: smoothing for a loss that cannot take it is an error, not a silence.
#[test]
fn trl_1035_smoothing_that_a_loss_cannot_take_is_refused() {
    let trial = Trial::new(3, 4, 3.0, 1);
    let smoothed = trial.targets().smoothed(0.1, Background::Uniform);
    let mut refused = 0;
    for entry in losses::ALL {
        let loss = losses::by_name(entry.info.name, &BTreeMap::new()).unwrap();
        let run = |targets: &Targets<'_>| {
            trial.run_on::<f64>(loss.as_ref(), targets, LossOptions::default(), &mut LossState::default())
        };
        let plain = run(&trial.targets()).unwrap();
        match (entry.info.accepts, run(&smoothed)) {
            (Accepts::Labels, Err(Error::TargetKind { .. })) => refused += 1,
            (Accepts::Targets, Ok(outcome)) => {
                assert!(outcome.gradient != plain.gradient, "{}: no effect", entry.info.name);
            }
            (_, other) => panic!("{}: {other:?}", entry.info.name),
        }
    }
    assert!(refused > 10);
}

/// pytorch/pytorch#134767: a negative or NaN strength was taken as none without a word.
#[test]
fn pytorch_134767_a_strength_out_of_range_is_an_error_and_never_silently_none() {
    for bad in [-0.1, -f64::MIN_POSITIVE, 1.1, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let error = Uniform::new(bad).unwrap_err();
        assert!(
            matches!(error, Error::OutOfRange { argument: "smoothing", min: 0.0, max: 1.0, .. }),
            "{error}"
        );
        let trial = Trial::new(2, 3, 3.0, 1);
        let by_hand = trial.targets().smoothed(bad, Background::Uniform);
        let result = cross_entropy(&trial, &by_hand, LossOptions::default());
        match bad.is_finite() {
            // Given by hand a strength below 0 or above 1 is what it says: the generalised smoothing.
            true => {
                let plain = cross_entropy(&trial, &trial.targets(), LossOptions::default()).unwrap();
                let changed = result.unwrap().value.loss != plain.value.loss;
                assert!(changed || bad.abs() < 1e-16, "{bad} had no effect");
            }
            false => assert!(matches!(result, Err(Error::OutOfRange { .. })), "{bad}: {result:?}"),
        }
    }
    // A negative strength is legal where it is asked for by its name.
    assert!(Generalised::new(-0.4).is_ok());
    let sum = LossOptions { reduction: Reduction::Sum, ..Default::default() };
    let trial = Trial::new(4, 5, 3.0, 2);
    let targets = Generalised::new(-0.4).unwrap().targets(Labels::new(&trial.labels, 5).unwrap()).unwrap();
    let got = cross_entropy(&trial, &targets, sum).unwrap().gradient;
    let plain = cross_entropy(&trial, &trial.targets(), sum).unwrap().gradient;
    for (row, &label) in trial.labels.iter().enumerate() {
        for k in 0..5 {
            let moved = -0.4 * (0.2 - f64::from(u8::from(k as i64 == label)));
            assert!((got[row * 5 + k] - (plain[row * 5 + k] - moved)).abs() < 1e-14);
        }
    }
}
