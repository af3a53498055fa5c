//! Distributions that are checked when a loss reads them: the results and the errors of those checked at once.

use candor::kernels::isa::Isa;
use candor::losses::{Batch, LossOptions, LossState, LossValue, RowsElsewhere, by_name, value_grad};
use candor::targets::{Background, DenseRows};
use candor::{Buffers, Error, Result, Targets};

use crate::problem::Stream;
use crate::run::{Outcome, double, single};

/// Rows of random masses, `[n, k]`, and the same in double precision.
fn rows(n: usize, k: usize) -> (Vec<f32>, Vec<f64>) {
    let masses: Vec<f32> = Stream(n as u64).logits(n * k, 1.0).iter().map(|z| z.abs() + 0.01).collect();
    let share = |row: &[f32]| -> Vec<f32> { row.iter().map(|m| m / row.iter().sum::<f32>()).collect() };
    let narrow: Vec<f32> = masses.chunks_exact(k).flat_map(share).collect();
    let wide = narrow.iter().map(|m| f64::from(*m)).collect();
    (narrow, wide)
}

/// The loss in double precision and on every instruction set.
fn everywhere(logits: &[f32], targets: &Targets<'_>) -> Vec<Result<Outcome>> {
    let wide: Vec<f64> = logits.iter().map(|z| f64::from(*z)).collect();
    let on = |isa| single(isa, logits, targets, LossOptions::default());
    let mut all = vec![double(&wide, targets, LossOptions::default())];
    all.extend(Isa::available().into_iter().map(on));
    all
}

const CLASSES: [usize; 8] = [1, 3, 16, 64, 65, 100, 700, 5000];

#[test]
fn every_bit_is_that_of_distributions_checked_at_once() {
    for k in CLASSES {
        let n = 11;
        let (narrow, wide) = rows(n, k);
        let logits = Stream(5).logits(n * k, 3.0);
        for dense in [DenseRows::F32(&narrow), DenseRows::F64(&wide)] {
            let of = |targets: Result<Targets<'_>>| {
                let targets = targets.expect("distributions").smoothed(0.1, Background::Uniform);
                everywhere(&logits, &targets)
            };
            let at_once = of(Targets::distribution(dense, k));
            let deferred = of(Targets::distribution_deferred(dense, k));
            for (a, b) in at_once.iter().zip(&deferred) {
                let bits = |outcome: &Result<Outcome>| outcome.as_ref().expect("a value").bits();
                assert_eq!(bits(a), bits(b), "{k} classes");
            }
        }
    }
}

#[test]
fn every_error_is_that_of_distributions_checked_at_once() {
    for k in CLASSES {
        let n = 11;
        let (narrow, _) = rows(n, k);
        let logits = Stream(5).logits(n * k, 3.0);
        for bad in [-0.25, -1e-30, f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 3.0, 1e30] {
            for (row, class) in [(0, k - 1), (7, k / 2), (10, 0)] {
                let mut narrow = narrow.clone();
                narrow[row * k + class] = bad;
                // A later row is not named.
                narrow[(n - 1) * k] = 5.0;
                let wide: Vec<f64> = narrow.iter().map(|m| f64::from(*m)).collect();
                for dense in [DenseRows::F32(&narrow), DenseRows::F64(&wide)] {
                    let want = Targets::distribution(dense, k).expect_err("a bad row");
                    let targets = Targets::distribution_deferred(dense, k).expect("whole rows");
                    for got in everywhere(&logits, &targets) {
                        let got = got.expect_err("a bad row");
                        assert_eq!(
                            format!("{got:?}"),
                            format!("{want:?}"),
                            "{k} classes, {bad} in row {row}"
                        );
                    }
                    let elsewhere = RowsElsewhere::new(&targets, &LossOptions::default());
                    assert_eq!(format!("{:?}", elsewhere.expect_err("a bad row")), format!("{want:?}"));
                }
            }
        }
    }
}

#[test]
fn other_losses_check_every_row_before_they_write() {
    let k = 100;
    let (mut narrow, _) = rows(3, k);
    narrow[2 * k] += 0.5;
    let targets = Targets::distribution_deferred(DenseRows::F32(&narrow), k).expect("whole rows");
    for name in ["focal", "symmetric_cross_entropy", "mmce", "brier"] {
        let loss = by_name(name, &Default::default()).expect("a loss");
        let mut logits = Stream(5).logits(3 * k, 3.0);
        let before = logits.clone();
        let batch = Batch::new(Buffers::InPlace(&mut logits), &targets);
        let found: Result<LossValue> = value_grad(&*loss, batch, &mut LossState::default());
        assert!(matches!(found, Err(Error::TargetSum { row: 2, .. })), "{name}: {found:?}");
        assert_eq!(logits, before, "{name}");
    }
}

#[test]
fn rows_that_do_not_count_are_not_checked() {
    for k in [4, 100] {
        let (mut narrow, _) = rows(2, k);
        narrow[0] = f32::NAN;
        let dense = DenseRows::F32(&narrow);
        let targets = Targets::distribution_deferred(dense, k).expect("whole rows");
        let targets = targets.with_ignored(vec![true, false]).expect("a flag a row");
        for outcome in everywhere(&Stream(5).logits(2 * k, 3.0), &targets) {
            let outcome = outcome.expect("the other row");
            assert!(outcome.value.loss.is_finite() && outcome.gradient[..k].iter().all(|g| *g == 0.0));
        }
    }
}

#[test]
fn the_shape_is_checked_at_once() {
    let found = Targets::distribution_deferred(DenseRows::F32(&[0.5; 5]), 2);
    assert!(matches!(found, Err(Error::RaggedRows { .. })));
    assert!(matches!(Targets::distribution_deferred(DenseRows::F32(&[]), 0), Err(Error::Shape { .. })));
}
