//! The checks of single rows: gradients, shifts, masks, extremes.

use candor::losses::{GradientKind, Loss, LossState};
use candor::{Error, Logits};

use super::Variant;
use crate::trial::{Numbers, Outcome, Trial, near};

/// A first training step of the variant.
fn run(variant: &Variant, trial: &Trial) -> Result<Outcome, String> {
    trial.run(variant.loss.as_ref(), &LossState::default()).map_err(|error| error.to_string())
}

/// A state in the middle of a training, for the losses that have one.
fn trained(loss: &dyn Loss, n_classes: usize) -> LossState {
    let mut state = loss.initial_state(n_classes);
    let trial = Trial::new(4 * n_classes.min(50), n_classes, 3.0, 3);
    let _ = trial.run_on::<f64>(loss, &trial.targets(), Default::default(), &mut state);
    loss.end_epoch(&mut state);
    state
}

/// The largest difference between the gradient and central differences of `sloped`, of some coordinates.
///
/// The step 1e-5 leaves h²/6 = 2e-11 of the third derivative, which reaches 1e3 for logits divided by a
/// small temperature, and 1e-16·|loss|/h = 1e-9 of rounding for losses up to 100; a wrong term is of the
/// size of the gradient.
fn differences(loss: &dyn Loss, sloped: &dyn Loss, trial: &Trial, state: &LossState) -> Result<(), String> {
    const STEP: f64 = 1e-5;
    const TOLERANCE: f64 = 1e-6;
    let gradient = trial.run(loss, state).map_err(|error| error.to_string())?.gradient;
    let mut numbers = Numbers::new(7);
    let k = trial.n_classes;
    let coordinates: Vec<usize> = if k <= 10 {
        (0..gradient.len()).collect()
    } else {
        let labels = trial.labels.iter().enumerate().map(|(row, &label)| row * k + label as usize);
        let tops = trial
            .logits
            .chunks_exact(k)
            .enumerate()
            .map(|(row, z)| row * k + (0..k).max_by(|&a, &b| z[a].total_cmp(&z[b])).unwrap());
        let mut chosen: Vec<usize> = labels.chain(tops).collect();
        chosen.extend((0..20).map(|_| numbers.below(gradient.len())));
        chosen
    };
    for i in coordinates {
        let at = |by: f64| {
            let mut moved = trial.clone();
            moved.logits[i] += by;
            moved.run(sloped, state).map(|outcome| outcome.value.loss).map_err(|error| error.to_string())
        };
        let slope = (at(STEP)? - at(-STEP)?) / (2.0 * STEP);
        // NaN is never close.
        let close = (slope - gradient[i]).abs() <= TOLERANCE * slope.abs().max(1.0);
        if !close {
            return Err(format!("K = {k}, logit {i}: gradient {}, difference {slope}", gradient[i]));
        }
    }
    Ok(())
}

/// The gradient is the slope of the value, with frozen parts fixed; and parts are frozen only if declared.
pub fn gradient(variant: &Variant) -> Result<(), String> {
    let loss = variant.loss.as_ref();
    let stops = variant.entry.info.gradient == GradientKind::StopGradient;
    let mut frozen_matters = false;
    for n_classes in [2, 3, 10, 1000] {
        // Spreads below and beyond the margins of 10 that some losses have.
        for (spread, seed) in [(1.0, 1), (3.0, 2), (14.0, 4)] {
            let trial = Trial::new(3, n_classes, spread, seed);
            let logits = Logits::new(&trial.logits, n_classes).unwrap();
            let frozen = loss.frozen(logits);
            if frozen.is_some() != stops {
                return Err("GradientKind and frozen() disagree".to_owned());
            }
            let sloped = frozen.as_deref().unwrap_or(loss);
            for state in [loss.initial_state(n_classes), trained(loss, n_classes)] {
                differences(loss, sloped, &trial, &state)
                    .map_err(|error| format!("spread {spread}: {error}"))?;
            }
            if stops && n_classes == 3 {
                frozen_matters |= differences(loss, loss, &trial, &LossState::default()).is_err();
            }
        }
    }
    if stops && !frozen_matters { Err("nothing is held fixed".to_owned()) } else { Ok(()) }
}

/// At its declared zero strength a loss is cross-entropy.
pub fn plain(variant: &Variant) -> Result<(), String> {
    let trial = Trial::new(6, 5, 3.0, 1);
    let loss = variant.at(variant.entry.info.plain);
    let want = trial.run(&candor::losses::CrossEntropy, &LossState::default()).unwrap();
    let got = trial.run(loss.as_ref(), &LossState::default()).map_err(|error| error.to_string())?;
    got.agrees(&want, 1e-12)
}

/// A constant added to all logits of a row changes nothing.
pub fn shift(variant: &Variant) -> Result<(), String> {
    let trial = Trial::new(6, 5, 14.0, 1);
    let mut moved = trial.clone();
    moved.logits.chunks_exact_mut(5).enumerate().for_each(|(row, z)| {
        z.iter_mut().for_each(|v| *v += 3.0 * row as f64 + 1.0);
    });
    // Adding the constant rounds the logits to 1e-15 of their size.
    run(variant, &moved)?.agrees(&run(variant, &trial)?, 1e-11)
}

/// Classes in another order give the same loss, and the gradient in that order.
pub fn permutation(variant: &Variant) -> Result<(), String> {
    let trial = Trial::new(6, 5, 14.0, 1);
    let order = [3, 0, 4, 2, 1];
    let mut want = run(variant, &trial)?;
    want.gradient = want.gradient.chunks_exact(5).flat_map(|g| order.map(|class| g[class])).collect();
    run(variant, &trial.classes(&order))?.agrees(&want, 1e-12)
}

/// A masked class is left out, as if the row had been given without it.
pub fn masked_classes(variant: &Variant) -> Result<(), String> {
    let mut trial = Trial::new(6, 6, 14.0, 1);
    trial.labels.iter_mut().for_each(|label| *label = [0, 3, 4, 5][*label as usize % 4]);
    for row in trial.logits.chunks_exact_mut(6) {
        row[1] = f64::NEG_INFINITY;
        row[2] = f64::NEG_INFINITY;
    }
    let got = run(variant, &trial)?;
    if got.gradient.chunks_exact(6).any(|g| g[1] != 0.0 || g[2] != 0.0) {
        return Err("a masked class has a gradient".to_owned());
    }
    let mut want = run(variant, &trial.classes(&[0, 3, 4, 5]))?;
    want.gradient = want.gradient.chunks_exact(4).flat_map(|g| [g[0], 0.0, 0.0, g[1], g[2], g[3]]).collect();
    got.agrees(&want, 1e-12)
}

/// A label that is masked is an error that names it; so is a row without an allowed class.
pub fn masked_label(variant: &Variant) -> Result<(), String> {
    let mut trial = Trial::new(2, 3, 3.0, 1);
    trial.labels[1] = 2;
    trial.logits[5] = f64::NEG_INFINITY;
    let run = |trial: &Trial| trial.run(variant.loss.as_ref(), &LossState::default()).err();
    if run(&trial) != Some(Error::MaskedTarget { row: 1, class: 2 }) {
        return Err(format!("masked label: {:?}", run(&trial)));
    }
    trial.logits[3..].fill(f64::NEG_INFINITY);
    match run(&trial) {
        Some(Error::NoAllowedClass { row: 1 }) => Ok(()),
        other => Err(format!("all masked: {other:?}")),
    }
}

/// Logits of ±10,000 give a finite value and gradient in both precisions, whichever class is right.
pub fn extremes(variant: &Variant) -> Result<(), String> {
    let loss = variant.loss.as_ref();
    for logits in [[1e4, -1e4, 0.0], [1e4, 1e4, -1e4], [-1e4, -1e4, -1e4], [1e4, 1e4, 1e4], [0.0; 3]] {
        for label in 0..3 {
            let trial = Trial {
                n_classes: 3,
                logits: logits.to_vec(),
                labels: vec![label],
                teacher: vec![5.0, 0.0, -5.0],
            };
            let mut state = loss.initial_state(3);
            let options = Default::default();
            let double = trial.run_on::<f64>(loss, &trial.targets(), options, &mut state.clone());
            let single = trial.run_on::<f32>(loss, &trial.targets(), options, &mut state);
            for outcome in [double, single] {
                let outcome = outcome.map_err(|error| error.to_string())?;
                let numbers = outcome.gradient.iter().chain(&outcome.losses);
                if !numbers.chain([&outcome.value.loss, &outcome.value.nll]).all(|v| v.is_finite()) {
                    return Err(format!("{logits:?}, label {label}: {outcome:?}"));
                }
            }
        }
    }
    Ok(())
}

/// NaN and +inf are errors that name the row and class, wherever they stand.
pub fn bad_logits(variant: &Variant) -> Result<(), String> {
    for bad in [f64::NAN, f64::INFINITY] {
        let mut trial = Trial::new(3, 4, 3.0, 1);
        trial.logits[6] = bad;
        match trial.run(variant.loss.as_ref(), &LossState::default()) {
            Err(Error::NonFiniteLogit { row: 1, class: 2, .. }) => {}
            other => return Err(format!("{bad}: {other:?}")),
        }
        // An ignored row is not looked at.
        trial.labels[1] = -100;
        let ignored =
            trial.run(variant.loss.as_ref(), &LossState::default()).map_err(|error| error.to_string())?;
        near("the gradient of an ignored row", &ignored.gradient[4..8], &[0.0; 4], 0.0)?;
    }
    Ok(())
}
