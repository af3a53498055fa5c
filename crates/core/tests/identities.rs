//! Losses that are the same by theory, though their code is not.

use candor::Targets;
use candor::losses::{LossOptions, LossState, Reduction};
use candor::targets::{Background, DenseRows};

use crate::trial::{Outcome, Trial, loss, near};

const SUM: LossOptions<'static> = LossOptions {
    reduction: Reduction::Sum,
    class_weights: None,
    weighting: candor::losses::Weighting::Label,
    sample_weights: None,
    mean_over: candor::losses::MeanOver::Weights,
    denominator: None,
    entropy: false,
};

fn trial() -> Trial {
    Trial::new(20, 5, 3.0, 11)
}

/// A trial whose every label is the predicted class.
fn right() -> Trial {
    let mut trial = trial();
    for (row, label) in trial.logits.chunks_exact(5).zip(&mut trial.labels) {
        *label = (0..5).max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap() as i64;
    }
    trial
}

fn run(trial: &Trial, spec: &str) -> Outcome {
    trial.run(loss(spec).as_ref(), &LossState::default()).unwrap()
}

fn smoothed(trial: &Trial, smoothing: f64, background: Background<'_>) -> Outcome {
    on(trial, "cross_entropy", &trial.targets().smoothed(smoothing, background))
}

fn on(trial: &Trial, spec: &str, targets: &Targets<'_>) -> Outcome {
    trial.run_on::<f64>(loss(spec).as_ref(), targets, SUM, &mut LossState::default()).unwrap()
}

#[test]
fn maxsup_is_uniform_smoothing_where_the_prediction_is_right() {
    let trial = right();
    let want = smoothed(&trial, 0.3, Background::Uniform);
    run(&trial, "maxsup:strength=0.3").agrees(&want, 1e-12).unwrap();
}

#[test]
fn mbls_below_every_gap_is_maxsup() {
    let want = run(&trial(), "maxsup:strength=0.3");
    run(&trial(), "mbls:margin=0,strength=0.3,form=code").agrees(&want, 1e-12).unwrap();
    // With a margin below every gap the value moves by λ·m·(K-1)/K a row and the gradient stays.
    let moved = run(&trial(), "mbls:margin=0.01,strength=0.3,form=code");
    near("gradient", &moved.gradient, &want.gradient, 1e-12).unwrap();
    let shift = 20.0 * 0.3 * 0.01 * 0.8;
    near("loss", &[moved.value.loss + shift], &[want.value.loss], 1e-12).unwrap();
}

#[test]
fn backward_correction_is_negative_smoothing() {
    let want = smoothed(&trial(), -0.25, Background::Uniform);
    run(&trial(), "backward_correction:rate=0.2").agrees(&want, 1e-12).unwrap();
}

#[test]
fn distillation_from_a_virtual_teacher_is_smoothing() {
    let mut trial = trial();
    let want = smoothed(&trial, 0.2, Background::OtherClasses);
    for (row, &label) in trial.teacher.chunks_exact_mut(5).zip(&trial.labels) {
        row.fill(0.05_f64.ln());
        row[label as usize] = 0.8_f64.ln();
    }
    let entropy = 20.0 * -(0.8 * 0.8_f64.ln() + 0.2 * 0.05_f64.ln());
    for spec in ["distillation:weight=1,temperature=1", "tf_kd:weight=1,temperature=1,correct=0.8"] {
        let got = run(&trial, spec);
        near(spec, &got.gradient, &want.gradient, 1e-12).unwrap();
        near(spec, &[got.value.loss + entropy], &[want.value.loss], 1e-12).unwrap();
    }
}

#[test]
fn online_smoothing_begins_as_uniform_smoothing() {
    let want = smoothed(&trial(), 0.5, Background::Uniform);
    run(&trial(), "online_label_smoothing").agrees(&want, 1e-12).unwrap();
}

#[test]
fn small_parameters_tend_to_cross_entropy() {
    let want = run(&trial(), "cross_entropy");
    for spec in [
        "label_relaxation:smoothing=1e-12",
        "generalised_cross_entropy:q=1e-12",
        "mlslr:smoothing=1e-12",
        "focal:gamma=1e-12",
        "poly1:epsilon=1e-12",
        "forward_correction:rate=1e-12",
    ] {
        run(&trial(), spec).agrees(&want, 1e-9).unwrap_or_else(|error| panic!("{spec}: {error}"));
    }
}

#[test]
fn symmetric_cross_entropy_is_poly1() {
    // -A·β·(1-p) beside cross-entropy, with A = -4 and β = 1/2.
    let want = run(&trial(), "poly1:epsilon=2");
    run(&trial(), "symmetric_cross_entropy:alpha=1,beta=0.5,log_zero=-4").agrees(&want, 1e-12).unwrap();
}

#[test]
fn two_sigmoids_of_half_the_margin_are_a_softmax() {
    // σ(z) of one class with the logit z_1 - z_0 is the softmax of two.
    let pair = Trial::new(8, 2, 3.0, 5);
    let difference: Vec<f64> = pair.logits.chunks_exact(2).map(|z| z[1] - z[0]).collect();
    let targets: Vec<f64> = pair.labels.iter().map(|&label| label as f64).collect();
    let one = Trial { n_classes: 1, logits: difference, teacher: vec![0.0; 8], labels: vec![0; 8] };
    let got = on(&one, "binary_cross_entropy", &Targets::weights(DenseRows::F64(&targets), 1).unwrap());
    let want = run(&pair, "cross_entropy");
    near("row losses", &got.losses, &want.losses, 1e-12).unwrap();
    let second: Vec<f64> = want.gradient.chunks_exact(2).map(|g| g[1]).collect();
    near("gradient", &got.gradient, &second, 1e-12).unwrap();
}

#[test]
fn soft_targets_and_labels_agree_where_both_are_taken() {
    let trial = trial();
    let mut rows = vec![0.0; trial.logits.len()];
    trial.labels.iter().enumerate().for_each(|(row, &label)| rows[row * 5 + label as usize] = 1.0);
    let soft = Targets::distribution(DenseRows::F64(&rows), 5).unwrap();
    for spec in
        ["confidence_penalty", "mbls", "acls", "logit_norm", "bootstrap_soft", "bootstrap_hard", "brier"]
    {
        let got = on(&trial, spec, &soft);
        got.agrees(&run(&trial, spec), 1e-12).unwrap_or_else(|error| panic!("{spec}: {error}"));
    }
}
