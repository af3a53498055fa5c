//! The checks of whole batches: subsets, weights, reductions, precision, threads, state, documentation.

use std::path::Path;

use candor::losses::{Accepts, Batch, Loss, LossOptions, LossState, Reduction, Weighting};
use candor::targets::{Background, DenseRows};
use candor::{Buffers, Error, Targets};

use super::Variant;
use crate::methods::GOLDEN;
use crate::trial::{Outcome, Trial, near};

fn sum(trial: &Trial, loss: &dyn Loss) -> Result<Outcome, String> {
    trial.run(loss, &LossState::default()).map_err(|error| error.to_string())
}

fn with(trial: &Trial, loss: &dyn Loss, options: LossOptions<'_>) -> Result<Outcome, String> {
    trial
        .run_on::<f64>(loss, &trial.targets(), options, &mut LossState::default())
        .map_err(|error| error.to_string())
}

/// A loss has a source file of its name with example and references, a year, and golden values.
pub fn documented(variant: &Variant) -> Result<(), String> {
    let info = variant.entry.info;
    for text in [info.summary, info.formula, info.paper] {
        if text.trim().is_empty() {
            return Err("summary, formula or paper is empty".to_owned());
        }
    }
    let words = info.paper.split(|c: char| !c.is_ascii_digit());
    if !words.into_iter().any(|word| word.len() == 4 && (word.starts_with("19") || word.starts_with("20"))) {
        return Err(format!("no year in {:?}", info.paper));
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("src/losses/{}.rs", info.name));
    let source = std::fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
    for section in ["/// # Shapes", "/// # Errors", "/// # Examples", "/// # References", "#[cfg(test)]"] {
        // The tests of cross-entropy are the kernel's.
        let elsewhere = section == "#[cfg(test)]" && info.name == "cross_entropy";
        if !source.contains(section) && !elsewhere {
            return Err(format!("{} has no {section:?}", file.display()));
        }
    }
    match GOLDEN.iter().any(|(_, spec)| spec.split(':').next() == Some(info.name)) {
        true => Ok(()),
        false => Err("no golden value".to_owned()),
    }
}

/// A batch with ignored rows is the batch of the others.
pub fn ignored_rows(variant: &Variant) -> Result<(), String> {
    let whole = Trial::new(9, 5, 14.0, 1);
    let kept = [0, 2, 3, 7];
    let mut trial = whole.clone();
    (0..9).filter(|row| !kept.contains(row)).for_each(|row| trial.labels[row] = -100);
    let loss = variant.loss.as_ref();
    let (got, want) = (sum(&trial, loss)?, sum(&whole.rows(&kept), loss)?);
    near("loss", &[got.value.loss], &[want.value.loss], 1e-12)?;
    let mut gradient = vec![0.0; 45];
    for (i, row) in kept.iter().enumerate() {
        gradient[row * 5..][..5].copy_from_slice(&want.gradient[i * 5..][..5]);
    }
    near("gradient", &got.gradient, &gradient, 1e-12)?;
    if (got.value.rows, got.value.ignored) != (4, 5) {
        return Err(format!("{} rows, {} ignored", got.value.rows, got.value.ignored));
    }
    Ok(())
}

/// A row's loss and gradient depend on that row alone, if and only if the loss says so.
pub fn separable(variant: &Variant) -> Result<(), String> {
    let trial = Trial::new(4, 5, 3.0, 1);
    let loss = variant.loss.as_ref();
    let whole = sum(&trial, loss)?;
    let alone: Result<(), String> = (0..4).try_for_each(|row| {
        let one = sum(&trial.rows(&[row]), loss)?;
        near("row loss", &one.losses, &whole.losses[row..=row], 1e-14)?;
        near("gradient", &one.gradient, &whole.gradient[row * 5..][..5], 1e-14)
    });
    match (alone, variant.entry.info.separable) {
        (result, true) => result,
        (Err(_), false) => Ok(()),
        (Ok(()), false) => Err("is separable after all".to_owned()),
    }
}

/// A weight of two is the row given twice, a weight of zero is no row; class weights act by label.
pub fn weights(variant: &Variant) -> Result<(), String> {
    let trial = Trial::new(5, 4, 3.0, 1);
    let loss = variant.loss.as_ref();
    let weights = [1.0, 2.0, 0.0, 3.0, 1.0];
    let doubled = trial.rows(&[0, 1, 1, 3, 3, 3, 4]);
    let options = LossOptions { sample_weights: Some(&weights), ..Default::default() };
    let (got, want) = (with(&trial, loss, options)?, with(&doubled, loss, LossOptions::default())?);
    near("loss", &[got.value.loss], &[want.value.loss], 1e-12)?;
    let thrice: Vec<f64> = want.gradient[12..16].iter().map(|g| 3.0 * g).collect();
    near("gradient", &got.gradient[12..16], &thrice, 1e-12)?;
    near("gradient of no weight", &got.gradient[8..12], &[0.0; 4], 0.0)?;
    let by_class = [1.0, 2.0, 0.5, 4.0];
    let by_row: Vec<f64> = trial.labels.iter().map(|&label| by_class[label as usize]).collect();
    let got = with(&trial, loss, LossOptions { class_weights: Some(&by_class), ..Default::default() })?;
    let want = with(&trial, loss, LossOptions { sample_weights: Some(&by_row), ..Default::default() })?;
    got.agrees(&want, 1e-12)?;
    let options =
        LossOptions { class_weights: Some(&by_class), weighting: Weighting::Pytorch, ..Default::default() };
    let pytorch = trial.run_on::<f64>(loss, &trial.targets(), options, &mut LossState::default());
    match (variant.entry.info.name, pytorch) {
        ("cross_entropy", Ok(_)) | (_, Err(Error::Unsupported { .. })) => Ok(()),
        (_, other) => Err(format!("weighting = pytorch: {other:?}")),
    }
}

/// A mean is the sum over the number of rows, the row losses add up, and a denominator replaces the number.
pub fn reductions(variant: &Variant) -> Result<(), String> {
    let trial = Trial::new(5, 4, 3.0, 1);
    let loss = variant.loss.as_ref();
    let sum = sum(&trial, loss)?;
    let scaled = |by: f64| Outcome {
        value: candor::losses::LossValue { loss: sum.value.loss / by, ..sum.value },
        losses: sum.losses.clone(),
        gradient: sum.gradient.iter().map(|g| g / by).collect(),
    };
    with(&trial, loss, LossOptions::default())?.agrees(&scaled(5.0), 1e-13)?;
    let by_eight = LossOptions { denominator: Some(8.0), ..Default::default() };
    with(&trial, loss, by_eight)?.agrees(&scaled(8.0), 1e-13)?;
    let none = LossOptions { reduction: Reduction::None, ..Default::default() };
    with(&trial, loss, none)?.agrees(&sum, 1e-13)?;
    near("the sum of the row losses", &[sum.losses.iter().sum()], &[sum.value.loss], 1e-13)
}

/// Over no counted row a mean is an error, a sum is 0, and nothing is NaN.
pub fn empty(variant: &Variant) -> Result<(), String> {
    let mut ignored = Trial::new(2, 3, 3.0, 1);
    ignored.labels.fill(-100);
    let none = Trial::new(0, 3, 3.0, 1);
    for trial in [ignored, none] {
        let loss = variant.loss.as_ref();
        let mean =
            trial.run_on::<f64>(loss, &trial.targets(), LossOptions::default(), &mut LossState::default());
        if !matches!(mean, Err(Error::Empty { .. })) {
            return Err(format!("mean: {mean:?}"));
        }
        let sum = sum(&trial, loss)?;
        near("sum", &[sum.value.loss], &[0.0], 0.0)?;
        near("gradient", &sum.gradient, &vec![0.0; sum.gradient.len()], 0.0)?;
    }
    Ok(())
}

/// Single precision is near double precision on the same logits.
pub fn precision(variant: &Variant) -> Result<(), String> {
    let mut trial = Trial::new(6, 50, 8.0, 1);
    trial.logits.iter_mut().for_each(|z| *z = f64::from(*z as f32));
    let loss = variant.loss.as_ref();
    let mut state = LossState::default();
    let single = trial
        .run_on::<f32>(loss, &trial.targets(), LossOptions::default(), &mut state)
        .map_err(|error| error.to_string())?;
    let double = with(&trial, loss, LossOptions::default())?;
    // The results round to 6e-8 of their size; the vectorised cross-entropy also sums blocks of 512.
    single.agrees(&double, if variant.entry.info.fused { 2e-6 } else { 1e-7 })
}

/// Value only, gradient apart and gradient in place give the same bits.
pub fn buffers(variant: &Variant) -> Result<(), String> {
    let trial = Trial::new(5, 7, 8.0, 1);
    let loss = variant.loss.as_ref();
    let want = with(&trial, loss, LossOptions::default())?;
    let targets = trial.targets();
    let run = |buffers: Buffers<'_, f64>| {
        let batch = Batch::new(buffers, &targets).teacher(DenseRows::F64(&trial.teacher));
        loss.value_grad_f64(batch, &mut LossState::default()).map(|value| value.loss.to_bits())
    };
    let forward = run(Buffers::Forward(&trial.logits)).map_err(|error| error.to_string())?;
    let mut place = trial.logits.clone();
    let in_place = run(Buffers::InPlace(&mut place)).map_err(|error| error.to_string())?;
    if forward != want.value.loss.to_bits() || in_place != forward || place != want.gradient {
        return Err("the ways of calling it differ".to_owned());
    }
    Ok(())
}

/// The figures beside the loss are those of the softmax of the logits as given.
pub fn figures(variant: &Variant) -> Result<(), String> {
    let trial = Trial::new(9, 4, 3.0, 1);
    let options = LossOptions { entropy: true, ..Default::default() };
    let got = with(&trial, variant.loss.as_ref(), options)?.value;
    let want = with(&trial, &candor::losses::CrossEntropy, options)?.value;
    let figures =
        |value: &candor::losses::LossValue| [value.nll, value.accuracy, value.confidence, value.entropy];
    near("figures", &figures(&got), &figures(&want), 1e-12)?;
    let unasked = with(&trial, variant.loss.as_ref(), LossOptions::default())?.value.entropy;
    if unasked.is_nan() { Ok(()) } else { Err(format!("an entropy of {unasked} that was not asked for")) }
}

/// The same bits on one thread and on several.
pub fn threads(variant: &Variant) -> Result<(), String> {
    let trial = Trial::new(2500, 3, 3.0, 1);
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| sum(&trial, variant.loss.as_ref()))
    };
    let (one, three) = (on(1)?, on(3)?);
    if one.value.loss.to_bits() != three.value.loss.to_bits() || one.gradient != three.gradient {
        return Err("threads change the result".to_owned());
    }
    Ok(())
}

/// A training that is saved and loaded half-way ends as one that is not.
pub fn state(variant: &Variant) -> Result<(), String> {
    let loss = variant.loss.as_ref();
    let step = |seed: u64, state: &mut LossState| {
        let trial = Trial::new(20, 3, 3.0, seed);
        trial
            .run_on::<f64>(loss, &trial.targets(), LossOptions::default(), state)
            .map_err(|error| error.to_string())
    };
    let mut straight = loss.initial_state(3);
    let mut resumed = straight.clone();
    for seed in 1..5 {
        let want = step(seed, &mut straight)?;
        let got = step(seed, &mut resumed)?;
        if want.value.loss.to_bits() != got.value.loss.to_bits() || want.gradient != got.gradient {
            return Err(format!("step {seed} differs after loading"));
        }
        if seed % 2 == 0 {
            loss.end_epoch(&mut straight);
            loss.end_epoch(&mut resumed);
        }
        let saved = serde_json::to_string(&resumed).map_err(|error| error.to_string())?;
        resumed = serde_json::from_str(&saved).map_err(|error| error.to_string())?;
    }
    if straight == resumed { Ok(()) } else { Err("the states differ".to_owned()) }
}

/// Smoothed and soft targets are taken, or refused by name, as declared.
pub fn targets(variant: &Variant) -> Result<(), String> {
    let trial = Trial::new(2, 4, 3.0, 1);
    let rows = [0.1, 0.2, 0.3, 0.4, 0.7, 0.1, 0.1, 0.1];
    let soft = Targets::distribution(DenseRows::F64(&rows), 4).unwrap();
    let smoothed = trial.targets().smoothed(0.1, Background::Uniform);
    for targets in [soft, smoothed] {
        let result = trial.run_on::<f64>(
            variant.loss.as_ref(),
            &targets,
            LossOptions::default(),
            &mut LossState::default(),
        );
        match (variant.entry.info.accepts, result) {
            (Accepts::Targets, Ok(_)) => {}
            (Accepts::Labels, Err(Error::TargetKind { loss, .. })) if loss == variant.entry.info.name => {}
            (_, other) => return Err(format!("{other:?}")),
        }
    }
    Ok(())
}
