//! Cross-entropy on every instruction set against the formula in double precision, and the gradient of the
//! formula against differences of its value.

use std::fmt::Display;

use candor::kernels::isa::Isa;
use candor::losses::{
    Batch, CrossEntropy, Loss, LossOptions, LossState, Reduction, Weighting, value_grad_on,
};
use candor::targets::Background;
use candor::{Buffers, Labels, Targets};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use crate::problem::{Form, Problem, Straight, Stream, all_options, straight};
use crate::run::{Outcome, double, reference_single, single};

/// Error of ln Σ e^v in single precision, relative to Σ e^v and so absolute in the logarithm.
///
/// 2e-7 from e^v itself (1.2e-7 + 3e-9·|v|, and Σ p |v| is below 9), 16 additions a lane at 2^-24 = 6e-8
/// each before the sums move to double precision, and 6e-8 from rounding v = z - max: Σ p |v| <= ln K, which is 8.4 for the longest row here.
/// Together 1.7e-6. The sums of a target's masses and of q·v are made alike, relative to themselves.
pub const SUM_ERROR: f64 = 2e-6;

/// Error of a gradient, relative to `s·p + q`.
///
/// Twice the error of a sum (s and Σ e^v), 1.2e-7 + 3e-9·|v| from e^v, and |v|·6e-8 from rounding v, which count
/// up to |v| = 87.3 where e^v ends: 9.7e-6 with the rounded bound of a sum.
pub const GRADIENT_ERROR: f64 = 1e-5;

/// e^v is 0 in single precision below e^-87.3 = 1.2e-38, and what is smaller is not normal either.
pub const UNDERFLOW: f64 = 2e-38;

/// Compares an outcome with the formula; `sum_error` and `gradient_error` are those of the precision.
fn check(
    name: &dyn Display,
    got: &Outcome,
    want: &Straight,
    sum_error: f64,
    gradient_error: f64,
    underflow: f64,
) {
    for (row, (got, want_loss)) in got.losses.iter().zip(&want.losses).enumerate() {
        let bound = sum_error * (want.masses[row] + want_loss.abs());
        // A row's loss beyond the storage type is stored as infinity; the sum is in double precision.
        let beyond = underflow == UNDERFLOW && *want_loss > f64::from(f32::MAX) && *got == f64::INFINITY;
        let near = (got - want_loss).abs() <= bound;
        assert!(near || beyond, "{name}: loss of row {row} is {got:e}, want {want_loss:e}");
    }
    let bound = sum_error
        * (want.masses.iter().sum::<f64>() + want.losses.iter().map(|l| l.abs()).sum::<f64>())
        / want.denominator;
    let loss = got.value.loss;
    assert!((loss - want.loss).abs() <= bound, "{name}: the loss is {loss:e}, want {:e}", want.loss);
    let nll = got.value.nll;
    assert!(
        (nll - want.nll).abs() <= sum_error * (1.0 + want.nll),
        "{name}: nll {nll:e}, want {:e}",
        want.nll
    );
    assert_eq!(got.gradient.len(), want.gradient.len());
    // The values that underflow are multiplied by mass and scale like all others.
    let tiny = underflow * (1.0 + want.masses.iter().copied().fold(0.0, f64::max) / want.denominator);
    for (i, (got, want_gradient)) in got.gradient.iter().zip(&want.gradient).enumerate() {
        let bound = gradient_error * want.magnitude[i] + tiny;
        assert!(
            (got - want_gradient).abs() <= bound,
            "{name}: gradient[{i}] is {got:e}, want {want_gradient:e} within {bound:e}"
        );
    }
}

/// All precisions and instruction sets against the formula.
fn check_everywhere(
    name: &dyn Display,
    logits: &[f32],
    problem: &Problem,
    form: Form,
    options: LossOptions<'_>,
) {
    let wide: Vec<f64> = logits.iter().map(|&z| f64::from(z)).collect();
    let want = straight(&wide, problem, form, options);
    let targets = problem.targets(form);
    // Formatted only when a comparison fails.
    let name = |way: &'static str| std::fmt::from_fn(move |f| write!(f, "{name} {form:?} {options:?} {way}"));
    // Double precision: a few units in the last place for each of a few thousand additions.
    let got = double(&wide, &targets, options).unwrap_or_else(|e| panic!("{}: {e}", name("f64")));
    check(&name("f64"), &got, &want, 1e-12, 1e-12, 1e-300);
    let got = reference_single(logits, &targets, options).unwrap_or_else(|e| panic!("{}: {e}", name("f32")));
    check(&name("reference f32"), &got, &want, 1.2e-7, 1.2e-7, UNDERFLOW);
    for isa in Isa::available() {
        let got = single(isa, logits, &targets, options).unwrap_or_else(|e| panic!("{}: {e}", name("f32")));
        check(&name(isa.name()), &got, &want, SUM_ERROR, GRADIENT_ERROR, UNDERFLOW);
    }
}

#[test]
fn every_instruction_set_follows_the_formula_for_every_target_weight_and_reduction() {
    let mut runs = 0;
    for k in (1..=70).chain([100, 1000, 4097]) {
        for (i, scale) in [1e-3, 1.0, 30.0, 1e4].into_iter().enumerate() {
            let problem = Problem::new(7 + i as u64, 4, k, true);
            let logits = Stream(k as u64 * 31 + i as u64).logits(4 * k, scale);
            for form in problem.forms() {
                for (at, options) in all_options(&problem).into_iter().enumerate() {
                    // Longer rows take their share of the combinations, by turns.
                    let share = if k <= 12 {
                        1
                    } else if k <= 100 {
                        4
                    } else {
                        19
                    };
                    if (at + i + k) % share != 0 {
                        continue;
                    }
                    check_everywhere(&format_args!("K {k}, scale {scale}"), &logits, &problem, form, options);
                    runs += 1;
                }
            }
        }
    }
    // 12 lengths with all 19 options at four scales; 59 with a quarter of them at each scale; 2, which lack
    // PriorOfLabel, with one option at each scale.
    assert_eq!(runs, 12 * 4 * 15 * 19 + 59 * 15 * 19 + 2 * 4 * 14);
}

#[test]
fn class_weights_too_large_for_single_precision_follow_the_formula_too() {
    let mut problem = Problem::new(3, 5, 37, false);
    let logits = Stream(5).logits(5 * 37, 2.0);
    for huge in [1e7, 1e30, 1e300] {
        problem.class_weights[4] = huge;
        for weighting in [Weighting::Label, Weighting::Pytorch] {
            // The mean, in which the magnitude cancels; single precision could not hold the sum's gradient.
            let class_weights = Some(problem.class_weights.as_slice());
            let options = LossOptions { class_weights, weighting, ..Default::default() };
            for form in [Form::Uniform, Form::Prior] {
                let mut labelled = problem.clone();
                labelled.labels[3] = 4;
                let wide: Vec<f64> = logits.iter().map(|&z| f64::from(z)).collect();
                let want = straight(&wide, &labelled, form, options);
                for isa in Isa::available() {
                    let got = single(isa, &logits, &labelled.targets(form), options).expect("a value");
                    assert!((got.value.loss / want.loss - 1.0).abs() < SUM_ERROR, "{huge} {form:?}");
                    for (i, (got, want_gradient)) in got.gradient.iter().zip(&want.gradient).enumerate() {
                        let bound = GRADIENT_ERROR * want.magnitude[i] + UNDERFLOW;
                        assert!((got - want_gradient).abs() <= bound, "{huge} {form:?} {i}: {got:e}");
                    }
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 300, rng_seed: RngSeed::Fixed(1), failure_persistence: None, ..Default::default()
    })]

    #[test]
    fn random_batches_follow_the_formula(
        seed: u64, n in 1_usize..6, k in 1_usize..300, exponent in -3.0_f64..4.0, ignore: bool,
        form in 0_usize..15, options in 0_usize..19,
    ) {
        let problem = Problem::new(seed, n, k, ignore);
        let logits = Stream(!seed).logits(n * k, 10_f64.powf(exponent));
        let forms: Vec<Form> = problem.forms().collect();
        let (form, options) = (forms[form % forms.len()], all_options(&problem)[options]);
        check_everywhere(&"random", &logits, &problem, form, options);
    }
}

#[test]
fn rows_of_edge_values_follow_the_formula() {
    let inf = f32::INFINITY;
    let rows: Vec<(&str, Vec<f32>)> = vec![
        ("all zero", vec![0.0; 40]),
        ("all equal", vec![-3.25; 40]),
        ("all equal and large", vec![1e38; 40]),
        ("zeros of both signs", (0..40).map(|c| if c % 2 == 0 { 0.0 } else { -0.0 }).collect()),
        ("one at 1e38", (0..40).map(|c| if c == 7 { 1e38 } else { 1.0 }).collect()),
        ("spread to the limits", (0..40).map(|c| if c % 2 == 0 { f32::MAX } else { f32::MIN }).collect()),
        ("just below the limit of the fast path", (0..40).map(|c| 9.9e29 * (c % 3) as f32).collect()),
        ("just above the limit of the fast path", (0..40).map(|c| 1.1e30 * (c % 3) as f32).collect()),
        ("denormal", (0..40).map(|c| f32::from_bits(c * 1000 + 1)).collect()),
        ("around the end of e^v", (0..40).map(|c| -86.0 - 0.1 * c as f32).chain([0.0]).collect()),
        ("every second class masked", (0..40).map(|c| if c % 2 == 1 { -inf } else { c as f32 }).collect()),
        ("one allowed class", (0..40).map(|c| if c == 0 { 2.5 } else { -inf }).collect()),
        ("two allowed classes", (0..40).map(|c| if c % 33 == 0 { c as f32 } else { -inf }).collect()),
    ];
    for (name, row) in rows {
        let k = row.len();
        let mut problem = Problem::new(11, 1, k, false);
        // The explicit mass must be on allowed classes.
        problem.pairs = vec![vec![(0, 1.0)]];
        let masked = row.contains(&-inf);
        for form in problem.forms() {
            let dense = format!("{form:?}").starts_with("Dense") || form == Form::Weights;
            if !(masked && dense) {
                for options in all_options(&problem) {
                    check_everywhere(&name, &row, &problem, form, options);
                }
            }
        }
    }
}

#[test]
fn rounding_does_not_pile_up_along_a_row() {
    // Equal terms round alike, so that a sum in single precision would drift by 1e-5 and more.
    let k = 1 << 18;
    let mut logits = vec![-1.0_f32; k];
    logits[0] = 0.0;
    let problem = Problem::new(19, 1, k, false);
    for form in [Form::Uniform, Form::Prior, Form::DenseUniform] {
        let wide: Vec<f64> = logits.iter().map(|&z| f64::from(z)).collect();
        let want = straight(&wide, &problem, form, LossOptions::default());
        for isa in Isa::available() {
            let got = single(isa, &logits, &problem.targets(form), LossOptions::default()).expect("a value");
            check(&isa.name(), &got, &want, SUM_ERROR, GRADIENT_ERROR, UNDERFLOW);
        }
    }
}

#[test]
fn a_prior_without_mass_on_the_allowed_classes_counts_as_even() {
    for k in [3, 40] {
        let mut problem = Problem::new(13, 1, k, false);
        let z = Stream(2).logits(k, 2.0);
        let mut masked = z.clone();
        masked[1] = f32::NEG_INFINITY;
        for (logits, mass) in [(&z, 0.0), (&masked, 1.0)] {
            problem.prior = vec![0.0; k];
            problem.prior[1] = mass;
            problem.priors = problem.prior.repeat(k);
            for form in [Form::Prior, Form::PriorOfLabel, Form::SparsePrior] {
                problem.pairs = vec![vec![(0, 1.0)]];
                check_everywhere(&"no mass", logits, &problem, form, LossOptions::default());
            }
        }
    }
}

#[test]
fn equal_logits_cost_the_logarithm_of_the_number_of_allowed_classes() {
    for isa in Isa::available() {
        for allowed in [1_usize, 2, 5, 33, 70] {
            let mut logits = vec![0.75_f32; allowed];
            logits.extend(vec![f32::NEG_INFINITY; 9]);
            let problem = Problem::new(1, 1, allowed + 9, false);
            let got = single(isa, &logits, &problem.targets(Form::Uniform), LossOptions::default());
            let value = got.expect("a value").value;
            let want = (allowed as f64).ln();
            assert!((value.loss - want).abs() < 2e-6 * (1.0 + want), "{allowed}: {}", value.loss);
            assert!((value.confidence - 1.0 / allowed as f64).abs() < 1e-6, "{allowed}");
            assert_eq!(value.accuracy, 1.0, "the first of equal logits is the prediction");
        }
    }
}

#[test]
fn accuracy_counts_rows_whose_first_largest_logit_is_the_label() {
    let logits: Vec<f32> = [[1.0, 3.0, 3.0], [1.0, 3.0, 3.0], [2.0, 1.0, 0.0], [0.0, 1.0, 2.0]].concat();
    let mut problem = Problem::new(1, 4, 3, false);
    problem.labels = vec![1, 2, 0, 0];
    let targets = problem.targets(Form::Uniform);
    for isa in Isa::available() {
        assert_eq!(
            single(isa, &logits, &targets, LossOptions::default()).expect("a value").value.accuracy,
            0.5
        );
    }
    let soft = single(Isa::current(), &logits, &problem.targets(Form::DenseF32), LossOptions::default());
    assert!(soft.expect("a value").value.accuracy.is_nan(), "soft targets have no label");
}

/// The loss alone.
fn value(logits: &[f64], targets: &Targets<'_>, options: LossOptions<'_>) -> f64 {
    let batch = Batch::new(Buffers::Forward(logits), targets).options(options);
    CrossEntropy.value_grad_f64(batch, &mut LossState::default()).expect("a value").loss
}

#[test]
fn the_gradient_is_the_limit_of_central_differences_for_every_target() {
    // With steps of 3e-5 the third derivative (below 10 with these weights) leaves 2e-9, and losses up to
    // 100, known to 1e-14, leave 3e-10.
    let (step, bound) = (3e-5, 5e-9);
    let mut differences = 0;
    for k in [2, 3, 10, 1000] {
        let problem = Problem::new(23, 5, k, true);
        let logits: Vec<f64> = Stream(17).logits(5 * k, 1.5).iter().map(|&z| f64::from(z)).collect();
        for form in problem.forms() {
            let targets = problem.targets(form);
            for options in all_options(&problem) {
                let gradient = double(&logits, &targets, options).expect("a value").gradient;
                let mut stream = Stream(k as u64);
                for row in 0..5 {
                    for at in 0..k.min(4) {
                        let class = if k > 10 { stream.below(k) } else { at };
                        let i = row * k + class;
                        let mut moved = logits.clone();
                        moved[i] = logits[i] + step;
                        let above = value(&moved, &targets, options);
                        moved[i] = logits[i] - step;
                        let below = value(&moved, &targets, options);
                        let want = (above - below) / (2.0 * step);
                        assert!(
                            (gradient[i] - want).abs() < bound,
                            "K {k} {form:?} {options:?}: gradient[{i}] is {:e}, want {want:e}",
                            gradient[i]
                        );
                        differences += 1;
                    }
                }
            }
        }
    }
    assert_eq!(differences, 19 * 5 * (15 * (2 + 3 + 4) + 14 * 4));
}

#[test]
fn the_gradient_of_every_row_sums_to_zero_also_with_masked_classes() {
    for k in [1, 2, 3, 31, 64, 100, 1000] {
        let problem = Problem::new(29, 4, k, true);
        for masked in [false, true] {
            let mut logits = Stream(k as u64).logits(4 * k, 3.0);
            if masked {
                // Class 0 stays, and so does every class with a label.
                let labels = problem.labels.clone();
                for (i, z) in logits.iter_mut().enumerate().filter(|(i, _)| i % k % 3 == 2) {
                    if labels[i / k] != (i % k) as i64 {
                        *z = f32::NEG_INFINITY;
                    }
                }
            }
            let wide: Vec<f64> = logits.iter().map(|&z| f64::from(z)).collect();
            for form in problem.forms().filter(|form| !masked || (*form as usize) < Form::Sparse as usize) {
                let options = LossOptions { reduction: Reduction::Sum, ..Default::default() };
                let targets = problem.targets(form);
                let mut outcomes = vec![(1e-14, double(&wide, &targets, options))];
                outcomes.extend(
                    Isa::available()
                        .into_iter()
                        .map(|isa| (GRADIENT_ERROR, single(isa, &logits, &targets, options))),
                );
                for (bound, outcome) in outcomes {
                    for row in outcome.expect("a value").gradient.chunks_exact(k) {
                        // s·p + q sums to 2 over a row; in double precision K additions count instead.
                        let sum: f64 = row.iter().sum();
                        assert!(sum.abs() <= bound * (2.0 + k as f64 * 0.01), "K {k} {form:?}: {sum:e}");
                    }
                }
            }
        }
    }
}

#[test]
fn a_label_without_mass_keeps_the_digits_of_the_others_beside_a_huge_logit() {
    for n_classes in [4, 100] {
        let mut logits: Vec<f32> = (0..n_classes).map(|class| class as f32 / 8.0).collect();
        logits[0] = -1e29;
        let wide: Vec<f64> = logits.iter().map(|&z| f64::from(z)).collect();
        let targets =
            Targets::labels(Labels::new(&[0], n_classes).unwrap()).smoothed(1.0, Background::OtherClasses);
        let want = CrossEntropy
            .value_grad_f64(Batch::new(Buffers::Forward(&wide), &targets), &mut Default::default())
            .unwrap()
            .loss;
        for isa in Isa::available() {
            let got = value_grad_on(isa, Batch::new(Buffers::Forward(&logits), &targets)).unwrap().loss;
            // The sum of K terms in single precision.
            assert!((got - want).abs() < 1e-5 * want, "{n_classes} {isa:?}: {got} against {want}");
        }
    }
}
