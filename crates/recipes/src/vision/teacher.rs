//! A finished run as a teacher: its logits for the training rows, computed once.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use burn::tensor::Device;
use candor::Convention;
use candor::metrics::Scorer;

use super::data::Split;
use super::predict::{Description, RunLogits, with_model};
use crate::config::{Config, DataConfig};
use crate::error::{Error, Result};
use crate::training::{RunFolder, Smoothing};

/// What a student learns from.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Teacher {
    /// Logits `[n_train, classes]` in the order of the training rows.
    logits: Vec<f32>,
    n_classes: usize,
    /// The largest uniform smoothing that it was trained with.
    pub(super) smoothing: f64,
    /// Share of the test rows that it classifies correctly.
    pub(super) accuracy: f64,
}

impl Teacher {
    /// The logits of these training rows, by their place among the training rows.
    pub(super) fn rows(&self, places: &[usize]) -> Vec<f32> {
        let k = self.n_classes;
        places.iter().flat_map(|&place| &self.logits[place * k..(place + 1) * k]).copied().collect()
    }

    /// The uniform smoothing that its targets amount to at a temperature: the mean mass beside the label, times
    /// `K/(K-1)` (Müller et al. 2019).
    pub(super) fn equivalent_smoothing(&self, temperature: f64, labels: &[i64]) -> Result<f64> {
        let mut scorer = Scorer::default();
        let mut sum = 0.0;
        for (row, (logits, label)) in self.logits.chunks_exact(self.n_classes).zip(labels).enumerate() {
            let tempered: Vec<f64> = logits.iter().map(|z| f64::from(*z) / temperature).collect();
            let score = scorer.logits(row, &tempered, usize::try_from(*label).unwrap_or(0))?;
            sum -= (-score.nll).exp_m1();
        }
        let k = self.n_classes as f64;
        Ok(sum / labels.len() as f64 * k / (k - 1.0))
    }

    fn load(run: &Path, split: &Split, data: &DataConfig, device: &Device) -> Result<Self> {
        let key = "distillation.teacher";
        let refuse = |problem: &str| Err(Error::config(key, run.display(), problem));
        let Some(config) = RunFolder::config(run)? else {
            return refuse("is no folder of a run; train the teacher first (candor train vision --out DIR)");
        };
        if !run.join("result.json").exists() {
            return refuse("its run has not finished; continue it with candor train --resume --out DIR");
        }
        let weights = run.join("model.safetensors");
        let description = Description::read(&weights)?;
        if description.shape.input != split.images.shape || description.shape.classes != split.summary.classes
        {
            let problem = format!(
                "takes images of shape {:?} and knows {} classes, but the data has {:?} and {}",
                description.shape.input, description.shape.classes, split.images.shape, split.summary.classes
            );
            return refuse(&problem);
        }
        if let (Some(mine), Some(theirs)) = (&split.summary.class_names, &description.class_names)
            && mine != theirs
        {
            return refuse("names its classes otherwise, or has them in another order");
        }
        check_split(run, &config.data, data)?;
        let test_images = split.test_images.as_ref().unwrap_or(&split.images);
        let parts = [(&split.images, &split.train[..]), (test_images, &split.test[..])];
        let action = RunLogits { weights: &weights, description: &description, parts: &parts, device };
        let mut logits = with_model(&description.model.name, action)?;
        let (test, train) = (logits.pop().unwrap_or_default(), logits.pop().unwrap_or_default());
        let labels = split.test.iter().map(|&row| test_images.labels[row]).collect();
        let n_classes = split.summary.classes;
        let scores =
            crate::predictions::Predictions::from_logits(test, n_classes, labels)?.row_scores(None)?;
        let correct = scores.iter().flatten().filter(|score| score.correct).count();
        Ok(Self {
            logits: train,
            n_classes,
            smoothing: smoothing(&config, n_classes)?,
            accuracy: correct as f64 / scores.len() as f64,
        })
    }
}

/// Rows that a student is judged on must not be rows that its teacher was trained on.
fn check_split(run: &Path, theirs: &DataConfig, mine: &DataConfig) -> Result<()> {
    let place = |path: &str| std::fs::canonicalize(path).unwrap_or_else(|_| path.into());
    let same = |a: &DataConfig, b: &DataConfig| {
        (a.split_seed, &a.validation, &a.test) == (b.split_seed, &b.validation, &b.test)
    };
    if place(&theirs.path) == place(&mine.path) && !same(theirs, mine) {
        let problem = "was trained on another split of the same data, so it may know the rows that its student is judged on; use its --split-seed, --validation and --test";
        return Err(Error::config("distillation.teacher", run.display(), problem));
    }
    Ok(())
}

/// The largest strength of a run in the uniform convention.
fn smoothing(config: &Config, n_classes: usize) -> Result<f64> {
    let strength = Smoothing::new(config, n_classes)?.largest();
    let convention: Convention = match config.target.name.as_str() {
        "auto" => config.loss.convention,
        name => name.parse().unwrap_or_default(),
    };
    Ok(convention.to_uniform(strength, n_classes))
}

/// The teachers that have been asked for, each loaded once.
#[derive(Debug, Default)]
pub(super) struct Teachers(Mutex<BTreeMap<String, Arc<Teacher>>>);

impl Teachers {
    /// The teacher of a configuration, if it has one.
    ///
    /// # Errors
    /// A folder without a finished run, or a run that does not fit the data.
    pub(super) fn of(&self, config: &Config, split: &Split) -> Result<Option<Arc<Teacher>>> {
        let name = &config.distillation.teacher;
        if name.is_empty() {
            return Ok(None);
        }
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(teacher) = known.get(name) {
            return Ok(Some(Arc::clone(teacher)));
        }
        let teacher = Arc::new(Teacher::load(Path::new(name), split, &config.data, &config.device()?)?);
        known.insert(name.clone(), Arc::clone(&teacher));
        Ok(Some(teacher))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_picked_by_place_and_the_mass_beside_the_label_is_measured() {
        // Probabilities (3/4, 1/4) and (1/2, 1/2) at T = 1.
        let logits = vec![3.0_f32.ln(), 0.0, 0.0, 0.0];
        let teacher = Teacher { logits, n_classes: 2, smoothing: 0.0, accuracy: 1.0 };
        assert_eq!(teacher.rows(&[1, 0]), [0.0, 0.0, 3.0_f32.ln(), 0.0]);
        // Beside the labels 0 and 1: (1/4 + 1/2) / 2 · 2.
        let got = teacher.equivalent_smoothing(1.0, &[0, 1]).unwrap();
        assert!((got - 0.75).abs() < 1e-7, "{got}");
        assert!(teacher.equivalent_smoothing(4.0, &[0, 1]).unwrap() > got);
    }
}
