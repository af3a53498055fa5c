//! The predictive entropy of the vectorised cross-entropy: every instruction set, every form of target, every
//! length of a tail; and asking for it changes nothing else.

use candor::kernels::isa::Isa;
use candor::losses::{Batch, LossOptions, LossValue, value_grad_on};
use candor::targets::{Background, DenseRows};
use candor::{Buffers, Targets};

use crate::trial::{Trial, near};

fn run(isa: Isa, logits: &[f32], targets: &Targets<'_>, entropy: bool) -> (LossValue, Vec<f32>) {
    let mut gradient = vec![0.0; logits.len()];
    let batch = Batch::new(Buffers::Gradient { logits, gradient: &mut gradient }, targets)
        .options(LossOptions { entropy, ..Default::default() });
    (value_grad_on(isa, batch).unwrap(), gradient)
}

/// The mean entropy as the formula reads.
fn formula(logits: &[f32], n_classes: usize) -> f64 {
    let entropy = |row: &[f32]| {
        let sum: f64 = row.iter().map(|&z| f64::from(z).exp()).sum();
        row.iter().map(|&z| -(f64::from(z).exp() / sum) * (f64::from(z) - sum.ln())).sum::<f64>()
    };
    let rows = logits.chunks_exact(n_classes);
    rows.clone().map(entropy).sum::<f64>() / rows.count() as f64
}

#[test]
fn it_is_the_formula_and_costs_no_bit() {
    for n_classes in (1..=67).chain([512, 1000, 1025]) {
        let trial = Trial::new(3, n_classes, 6.0, n_classes as u64);
        let logits: Vec<f32> = trial.logits.iter().map(|&z| z as f32).collect();
        let rows = vec![1.0 / n_classes as f64; logits.len()];
        let soft = Targets::distribution(DenseRows::F64(&rows), n_classes).unwrap();
        let smoothed = trial.targets().smoothed(0.1, Background::Uniform);
        let prior = trial.targets().smoothed(0.1, Background::Prior(rows[..n_classes].into()));
        let want = formula(&logits, n_classes);
        for isa in Isa::available() {
            for targets in [&trial.targets(), &smoothed, &prior, &soft] {
                let (value, gradient) = run(isa, &logits, targets, true);
                // Single-precision exponentials, within 2e-7 of their size, weighted by up to 12.
                near(&format!("{isa:?}, {n_classes} classes"), &[value.entropy], &[want], 3e-6).unwrap();
                let (unasked, same) = run(isa, &logits, targets, false);
                assert!(unasked.entropy.is_nan());
                assert_eq!((unasked.loss.to_bits(), &same), (value.loss.to_bits(), &gradient));
            }
        }
    }
}
