//! What must not change a result: threads, position, alignment, shifts, masks, the order of classes.

use candor::kernels::isa::Isa;
use candor::losses::{LossOptions, Reduction, Weighting};
use candor::targets::Background;
use candor::{Labels, Targets};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use crate::problem::{Form, Problem, Stream, all_options, permute_columns, take};
use crate::run::{Outcome, bits, double, single};

const SUM: LossOptions<'static> = LossOptions {
    reduction: Reduction::Sum,
    class_weights: None,
    weighting: Weighting::Label,
    sample_weights: None,
    mean_over: candor::losses::MeanOver::Weights,
    denominator: None,
    entropy: false,
};

fn wide(logits: &[f32]) -> Vec<f64> {
    logits.iter().map(|&z| f64::from(z)).collect()
}

/// One batch in double precision and in single precision on every instruction set.
fn everywhere(logits: &[f32], targets: &Targets<'_>, options: LossOptions<'_>) -> Vec<Outcome> {
    let mut all = vec![double(&wide(logits), targets, options).expect("a value")];
    for isa in Isa::available() {
        all.push(single(isa, logits, targets, options).expect("a value"));
    }
    all
}

fn all_bits(outcomes: &[Outcome]) -> Vec<Vec<u64>> {
    outcomes.iter().map(Outcome::bits).collect()
}

/// Largest difference of values and gradients, to be compared with one bound.
fn distance(a: &Outcome, b: &Outcome) -> f64 {
    let gradients = a.gradient.iter().zip(&b.gradient).map(|(a, b)| (a - b).abs());
    gradients.fold((a.value.loss - b.value.loss).abs(), f64::max)
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    // Several blocks of rows, a few long rows, and rows just at and beyond one block.
    for (n, k) in [(3000, 33), (6, 20_000), (1024, 7), (1025, 7)] {
        let problem = Problem::new(41, n, k, true);
        let logits = Stream(n as u64).logits(n * k, 4.0);
        for form in [Form::Uniform, Form::Prior, Form::SparseUniform, Form::DenseUniform] {
            let targets = problem.targets(form);
            let options = LossOptions {
                class_weights: Some(&problem.class_weights),
                sample_weights: Some(&problem.sample_weights),
                ..Default::default()
            };
            let with = |threads: usize| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
                pool.install(|| all_bits(&everywhere(&logits, &targets, options)))
            };
            let one = with(1);
            for threads in [2, 3, 7] {
                assert!(with(threads) == one, "[{n}, {k}] {form:?} with {threads} threads");
            }
        }
    }
}

#[test]
fn a_row_has_the_same_bits_wherever_it_stands_and_however_it_is_aligned() {
    for k in [1, 7, 16, 33, 45, 600] {
        let problem = Problem::new(43, 5, k, false);
        for form in problem.forms() {
            let alone = problem.subset(&[0]);
            let z = Stream(k as u64).logits(k, 3.0);
            let want = everywhere(&z, &alone.targets(form), SUM);
            for (position, offset) in [(0, 1), (1, 0), (2, 3), (4, 8), (0, 15), (3, 17), (1, 31)] {
                let mut rows = [1, 2, 3, 4, 4];
                rows[position] = 0;
                let batch = problem.subset(&rows);
                let mut room = Stream(9).logits(offset + 5 * k, 50.0);
                room[offset + position * k..offset + (position + 1) * k].copy_from_slice(&z);
                // Not through `single`: what it copies would be aligned anew.
                for (isa, want) in Isa::available().into_iter().zip(&want[1..]) {
                    let mut place = room.clone();
                    let mut losses = [0.0; 5];
                    let targets = batch.targets(form);
                    let buffers = candor::Buffers::InPlace(&mut place[offset..]);
                    let call = candor::losses::Batch::new(buffers, &targets).options(SUM).losses(&mut losses);
                    candor::losses::value_grad_on(isa, call).expect("a value");
                    let row = &place[offset + position * k..offset + (position + 1) * k];
                    assert_eq!(bits(&wide(row)), bits(&want.gradient), "{isa:?} K {k} {form:?} {position}");
                    assert_eq!(f64::from(losses[position]), want.losses[0], "{isa:?} K {k} {form:?}");
                }
                let got = double(&wide(&room[offset..]), &batch.targets(form), SUM).expect("a value");
                assert_eq!(bits(&got.gradient[position * k..][..k]), bits(&want[0].gradient), "{form:?}");
            }
        }
    }
}

#[test]
fn a_row_has_the_same_bits_in_any_block_of_a_large_batch() {
    let (n, k) = (2500, 19);
    let row = Stream(1).logits(k, 3.0);
    let logits = row.repeat(n);
    let labels = vec![4; n];
    let targets =
        Targets::labels(Labels::new(&labels, k).expect("labels")).smoothed(0.1, Background::Uniform);
    for outcome in everywhere(&logits, &targets, SUM) {
        let first = bits(&outcome.gradient[..k]);
        assert!(outcome.gradient.chunks_exact(k).all(|row| bits(row) == first));
        assert!(outcome.losses.iter().all(|loss| loss.to_bits() == outcome.losses[0].to_bits()));
    }
}

#[test]
fn a_batch_with_ignored_rows_equals_the_batch_without_them() {
    for k in [2, 10, 37] {
        let problem = Problem::new(47, 20, k, true);
        let kept: Vec<usize> = (0..20).filter(|&row| problem.labels[row] >= 0).collect();
        let rest = problem.subset(&kept);
        let mut logits = Stream(3).logits(20 * k, 2.0);
        // Nobody reads the logits of an ignored row.
        for row in (0..20).filter(|row| !kept.contains(row)) {
            logits[row * k..(row + 1) * k].fill(f32::NAN);
        }
        let rest_logits = take(&logits, &kept, k);
        for form in problem.forms() {
            for (options, rest_options) in all_options(&problem).into_iter().zip(all_options(&rest)) {
                let whole = everywhere(&logits, &problem.targets(form), options);
                let part = everywhere(&rest_logits, &rest.targets(form), rest_options);
                for (whole, part) in whole.iter().zip(&part) {
                    assert_eq!((whole.value.rows, whole.value.ignored), (kept.len(), 20 - kept.len()));
                    assert_eq!(whole.value.loss.to_bits(), part.value.loss.to_bits(), "{form:?} {options:?}");
                    assert_eq!(whole.value.nll.to_bits(), part.value.nll.to_bits());
                    assert_eq!(bits(&take(&whole.gradient, &kept, k)), bits(&part.gradient), "{form:?}");
                    assert_eq!(bits(&take(&whole.losses, &kept, 1)), bits(&part.losses));
                    for row in (0..20).filter(|row| !kept.contains(row)) {
                        assert!(whole.gradient[row * k..(row + 1) * k].iter().all(|g| g.to_bits() == 0));
                        assert_eq!(whole.losses[row].to_bits(), 0);
                    }
                }
            }
        }
    }
}

#[test]
fn zero_strength_is_the_plain_loss_bit_for_bit() {
    for k in [1, 2, 10, 70] {
        let mut problem = Problem::new(53, 9, k, true);
        problem.strength = 0.0;
        problem.strengths = vec![0.0; 9];
        let logits = Stream(5).logits(9 * k, 2.0);
        for options in all_options(&problem) {
            for (plain, smoothed) in [
                (
                    Form::Label,
                    vec![Form::Uniform, Form::OtherClasses, Form::Prior, Form::PriorOfLabel, Form::PerRow],
                ),
                (Form::Sparse, vec![Form::SparseUniform, Form::SparsePrior, Form::SparseOther]),
                (Form::DenseF64, vec![Form::DenseUniform, Form::DensePrior, Form::Weights]),
            ] {
                let want = all_bits(&everywhere(&logits, &problem.targets(plain), options));
                for form in smoothed {
                    let got = all_bits(&everywhere(&logits, &problem.targets(form), options));
                    assert!(got == want, "K {k} {form:?} {options:?}");
                }
            }
        }
    }
}

#[test]
fn labels_and_their_one_hot_rows_give_the_same_figure_with_the_default_weighting() {
    let (n, k) = (12, 9);
    let mut problem = Problem::new(59, n, k, true);
    problem.dense = vec![0.0; n * k];
    for (row, &label) in problem.labels.iter().enumerate() {
        problem.dense[row * k + label.max(0) as usize] = 1.0;
    }
    let logits = Stream(6).logits(n * k, 2.0);
    for options in all_options(&problem).into_iter().filter(|options| options.weighting == Weighting::Label) {
        for (labels, rows) in [(Form::Label, Form::DenseF64), (Form::Uniform, Form::DenseUniform)] {
            let by_label = everywhere(&logits, &problem.targets(labels), options);
            let by_row = everywhere(&logits, &problem.targets(rows), options);
            for (at, (by_label, by_row)) in by_label.iter().zip(&by_row).enumerate() {
                // Sums of at most 12 rows of losses up to 20 and weights up to 10, in either precision.
                let bound = if at == 0 { 1e-12 } else { 2e-6 * 12.0 * 200.0 };
                assert!(distance(by_label, by_row) < bound, "{labels:?} {options:?}");
            }
        }
    }
}

#[test]
fn the_order_of_the_classes_does_not_matter() {
    for k in [2, 5, 33, 100] {
        let problem = Problem::new(61, 6, k, true);
        let mut stream = Stream(k as u64);
        let mut order: Vec<usize> = (0..k).collect();
        for i in (1..k).rev() {
            order.swap(i, stream.below(i + 1));
        }
        let moved = problem.permuted(&order);
        let logits = stream.logits(6 * k, 3.0);
        let moved_logits = permute_columns(&logits, &order);
        for form in problem.forms() {
            for (options, moved_options) in all_options(&problem).into_iter().zip(all_options(&moved)) {
                let plain = everywhere(&logits, &problem.targets(form), options);
                let moved = everywhere(&moved_logits, &moved.targets(form), moved_options);
                for (at, (plain, moved)) in plain.iter().zip(&moved).enumerate() {
                    let back =
                        Outcome { gradient: permute_columns(&plain.gradient, &order), ..plain.clone() };
                    // Twice the relative error of each way (see `kernels.rs`), of losses and gradients that
                    // are sums of magnitudes up to 6 rows x 10 of weight x 20.
                    let bound = if at == 0 { 1e-12 } else { 2.0 * 2e-6 } * 6.0 * 10.0 * 20.0;
                    assert!(distance(&back, moved) < bound, "K {k} {form:?} {options:?}");
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 200, rng_seed: RngSeed::Fixed(2), failure_persistence: None, ..Default::default()
    })]

    #[test]
    fn adding_a_constant_to_a_row_changes_no_bit_where_the_addition_is_exact(
        seed: u64, k in 1_usize..90, form in 0_usize..15, power in 0_i32..12,
    ) {
        let problem = Problem::new(seed, 3, k, false);
        // Multiples of 2^-6 below 2^6 plus a power of two below 2^12: 18 bits, which both formats hold.
        let logits: Vec<f32> =
            Stream(seed).logits(3 * k, 8.0).iter().map(|z| (z.clamp(-60.0, 60.0) * 64.0).round() / 64.0).collect();
        let form = problem.forms().nth(form).expect("a form");
        let want = all_bits(&everywhere(&logits, &problem.targets(form), SUM));
        for shift in [2_f32.powi(power), -2_f32.powi(power)] {
            let shifted: Vec<f32> = logits.iter().map(|z| z + shift).collect();
            prop_assert!(all_bits(&everywhere(&shifted, &problem.targets(form), SUM)) == want, "{form:?} {shift}");
        }
    }

    #[test]
    fn adding_any_constant_to_a_row_changes_nothing_beyond_the_rounding_of_the_logits(
        seed: u64, k in 1_usize..90, form in 0_usize..15, shift in -1000.0_f32..1000.0,
    ) {
        let problem = Problem::new(seed, 3, k, false);
        let form = problem.forms().nth(form).expect("a form");
        let logits = Stream(seed).logits(3 * k, 3.0);
        let shifted: Vec<f32> = logits.iter().map(|z| z + shift).collect();
        let plain = everywhere(&logits, &problem.targets(form), SUM);
        let moved = everywhere(&shifted, &problem.targets(form), SUM);
        // A logit below 1024 moves by 2^-15 at most, a row's loss by twice that, three rows by 2e-4; their
        // losses below 40 are known to 2e-6 of themselves.
        for (plain, moved) in plain.iter().zip(&moved) {
            prop_assert!(distance(plain, moved) < 2e-4 + 3.0 * 40.0 * 2.0 * 2e-6, "{form:?} {shift}");
        }
    }
}
