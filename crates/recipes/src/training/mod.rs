//! The one training loop: deterministic streams, checkpoints, resume, logs, early stopping.
//!
//! The order of rows in epoch e comes from the stream (seed, "shuffle", e), so a resumed run needs no
//! generator state: the position is enough. A run killed at any moment and resumed ends with the same
//! bits as one that never stopped, on the same build and number of threads, where the device is the CPU.

mod checkpoint;
pub mod curves;
mod json_float;
mod optimizer;
mod run_folder;
mod smoothing;
pub mod split;
mod tensorboard;
mod watch;
mod weights;

pub use run_folder::RunFolder;
pub use smoothing::{ClassCounts, DataRules, Smoothing};
pub use weights::{describe, description_key, read_description, read_metadata, read_weights, write_weights};

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::Device;
use candor::losses::{LossState, LossValue, Step};
use candor::metrics::{EvaluationOptions, Evaluator};
use candor::random::Stream;
use candor_burn::{LossModule, LossOutput};
use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::error::{Error, Result};
use crate::predictions::{Predictions, write_parquet};
use crate::recipe::{Control, Findings, RunOutput};
use checkpoint::{Checkpoint, Progress};

/// What a recipe gives the loop.
pub trait Task {
    /// The model.
    type Model: Module + Clone;

    /// Number of training rows.
    fn n_train(&self) -> usize;

    /// The untrained model of this seed on a device.
    ///
    /// # Errors
    /// A model that does not fit the data.
    fn init(&self, config: &Config, device: &Device) -> Result<Self::Model>;

    /// The loss of these training rows in an epoch, counted from 0.
    ///
    /// # Errors
    /// Whatever the loss refuses.
    fn loss(
        &self,
        model: &Self::Model,
        rows: &[usize],
        epoch: usize,
        loss: &LossModule,
        device: &Device,
    ) -> Result<LossOutput>;

    /// Told before the first step of an epoch, counted from 0, with the model as it stands.
    ///
    /// What a task decides here for later steps must be in its [`state`](Self::state).
    ///
    /// # Errors
    /// Whatever cannot be computed.
    fn begin_epoch(&self, model: &Self::Model, epoch: usize, device: &Device) -> Result<()> {
        let _ = (model, epoch, device);
        Ok(())
    }

    /// What the task remembers between steps, for a checkpoint.
    fn state(&self) -> LossState {
        LossState::default()
    }

    /// Puts back what the task remembered.
    fn set_state(&self, state: LossState) {
        let _ = state;
    }

    /// Predictions for the validation rows; `None` without such rows.
    ///
    /// # Errors
    /// Predictions that cannot be read back.
    fn predict_validation(&self, model: &Self::Model, device: &Device) -> Result<Option<Predictions>>;

    /// Predictions for the test rows.
    ///
    /// # Errors
    /// Predictions that cannot be read back.
    fn predict_test(&self, model: &Self::Model, device: &Device) -> Result<Predictions>;

    /// Figures of the field at the end of an epoch, by name, for its log.
    ///
    /// # Errors
    /// Whatever cannot be computed.
    fn telemetry(&self, model: &Self::Model, device: &Device) -> Result<BTreeMap<String, f64>> {
        let _ = (model, device);
        Ok(BTreeMap::new())
    }

    /// Figures before the first step, for the log of the first epoch; only with `training.telemetry`.
    ///
    /// `loss` is the loss of the first step.
    ///
    /// # Errors
    /// Whatever cannot be computed.
    fn telemetry_at_start(
        &self,
        model: &Self::Model,
        loss: &LossModule,
        device: &Device,
    ) -> Result<BTreeMap<String, f64>> {
        let _ = (model, loss, device);
        Ok(BTreeMap::new())
    }

    /// Costly figures at the end of an epoch, for its log; only with `training.telemetry`.
    ///
    /// `loss` is the loss of the epoch's last step.
    ///
    /// # Errors
    /// Whatever cannot be computed.
    fn telemetry_in_depth(
        &self,
        model: &Self::Model,
        loss: &LossModule,
        device: &Device,
    ) -> Result<BTreeMap<String, f64>> {
        let _ = (model, loss, device);
        Ok(BTreeMap::new())
    }

    /// What the field measures of the finished model besides the figures of every classifier.
    ///
    /// # Errors
    /// Whatever cannot be computed.
    fn findings(&self, model: &Self::Model, epochs: &[EpochLog], device: &Device) -> Result<Findings> {
        let _ = (model, epochs, device);
        Ok(Findings::default())
    }

    /// What a weights file must say so that the model can be used without its run.
    ///
    /// # Errors
    /// A description that cannot be written.
    fn metadata(&self, config: &Config) -> Result<BTreeMap<String, String>>;
}

/// Figures of one part of the data in one epoch.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PartLog {
    /// Mean loss that was optimised, in nats; with smoothing it has a floor above 0.
    pub loss: f64,
    /// Mean un-smoothed negative log-likelihood, in nats: comparable across strengths.
    pub nll: f64,
    /// Share of rows classified correctly; null for soft targets.
    #[serde(with = "json_float")]
    pub accuracy: f64,
    /// Mean largest probability.
    pub confidence: f64,
}

/// One line of `metrics.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EpochLog {
    /// The epoch, from 1.
    pub epoch: usize,
    /// Optimiser steps done so far.
    pub step: u64,
    /// Learning rate of the last step.
    pub learning_rate: f64,
    /// Smoothing strength of the last step.
    pub smoothing: f64,
    /// Mean over the epoch's batches, while the weights moved.
    pub train: PartLog,
    /// At the end of the epoch; the loss is the NLL there.
    pub validation: Option<PartLog>,
    /// ECE of the validation rows, 15 bins.
    pub validation_ece: Option<f64>,
    /// Figures of the field, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub telemetry: BTreeMap<String, f64>,
}

/// A trained model and its history.
#[derive(Debug)]
pub struct Trained<M> {
    /// The model of the last epoch, or of the best one with early stopping.
    pub model: M,
    /// The epochs.
    pub epochs: Vec<EpochLog>,
    /// Wall time, in seconds, over all sittings.
    pub seconds: f64,
}

/// Sums of the running epoch; part of a checkpoint within one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
struct EpochSums {
    loss: f64,
    nll: f64,
    #[serde(with = "json_float")]
    accuracy: f64,
    confidence: f64,
    rows: f64,
}

impl EpochSums {
    fn add(&mut self, value: &LossValue) {
        let rows = value.rows as f64;
        self.loss += value.loss * rows;
        self.nll += value.nll * rows;
        self.accuracy += value.accuracy * rows;
        self.confidence += value.confidence * rows;
        self.rows += rows;
    }

    fn mean(&self) -> PartLog {
        PartLog {
            loss: self.loss / self.rows,
            nll: self.nll / self.rows,
            accuracy: self.accuracy / self.rows,
            confidence: self.confidence / self.rows,
        }
    }
}

/// Checks the names that the loop itself resolves.
pub(crate) fn check_names(config: &Config) -> Result<()> {
    crate::recipe::by_name(&config.recipe)?;
    if let Some(models) = crate::recipe::by_name(&config.recipe).ok().map(|recipe| recipe.info().models)
        && !models.contains(&config.model.name.as_str())
    {
        return Err(Error::Core(candor::registry::unknown(
            "model",
            &config.model.name,
            models.iter().copied(),
        )));
    }
    optimizer::build(&config.optimizer)?;
    optimizer::learning_rates(config, 1)?;
    Ok(())
}

/// Trains a model of `task` as `config` says.
///
/// # Errors
/// Settings or data that do not fit, files that cannot be written, [`Error::Diverged`],
/// [`Error::Interrupted`] after the state was saved.
pub fn train<T: Task>(
    task: &T,
    config: &Config,
    mut smoothing: Smoothing,
    control: &Control<'_>,
) -> Result<Trained<T::Model>> {
    let loss = config.make_loss()?;
    let loss = LossModule::from_shared(Arc::from(loss));
    let clock = Instant::now();
    let device = config.device()?.autodiff();
    let n_train = task.n_train();
    let batch_size = config.training.batch_size.min(n_train);
    let steps_per_epoch = n_train.div_ceil(batch_size);
    let total_steps = (steps_per_epoch * config.training.epochs) as u64;
    let total_rows = (n_train * config.training.epochs) as u64;

    let mut folder = match &control.folder {
        Some(path) => Some(RunFolder::open(path, config, control.resume)?),
        None => None,
    };
    let mut model = task.init(config, &device)?;
    let mut optimizer = optimizer::build(&config.optimizer)?;
    let mut progress = Progress::default();
    let mut best: Option<T::Model> = None;
    if let Some(checkpoint) = folder.as_mut().and_then(|folder| folder.take_checkpoint()) {
        model = checkpoint.restore_model(model)?;
        optimizer = checkpoint.restore_optimizer(optimizer)?;
        best = checkpoint.restore_best(model.clone())?;
        loss.set_state(checkpoint.loss_state());
        task.set_state(checkpoint.task_state());
        progress = checkpoint.progress;
    }
    let mut learning_rates = optimizer::learning_rates(config, total_steps)?;
    // The schedules count their own steps; bring them to where the run stands.
    let mut learning_rate = config.optimizer.lr;
    for _ in 0..progress.step {
        learning_rate = learning_rates.step();
    }

    let mut strength = config.loss.smoothing;
    let mut last_loss = loss.clone();
    while progress.epoch < config.training.epochs && !progress.stopped_early {
        if progress.step_in_epoch == 0 {
            task.begin_epoch(&model.valid(), progress.epoch, &device.clone().inner())?;
        }
        let order = Stream::new(config.seed, "shuffle", progress.epoch as u64, 0).permutation(n_train);
        for (index, rows) in order.chunks(batch_size).enumerate().skip(progress.step_in_epoch) {
            learning_rate = learning_rates.step();
            let point = Step {
                step: progress.step,
                epoch: progress.epoch as u64,
                steps: total_steps,
                epochs: config.training.epochs as u64,
            };
            let batch_loss = loss.clone().with_shared_rule(smoothing.rule(point)?).at(point);
            strength = smoothing.strength(point);
            if config.training.telemetry && progress.step == 0 {
                progress.start =
                    task.telemetry_at_start(&model.valid(), &batch_loss, &device.clone().inner())?;
            }
            let output = task.loss(&model, rows, progress.epoch, &batch_loss, &device)?;
            check_finite(progress.epoch, "training loss", output.value.loss)?;
            progress.sums.add(&output.value);
            let gradients = GradientsParams::from_grads(output.loss.backward(), &model);
            if config.training.telemetry {
                progress.watch.gradients(&model, &gradients);
                let before = watch::weights(&model);
                model = optimizer.step(learning_rate, model, gradients);
                progress.watch.step(&before, &model);
            } else {
                model = optimizer.step(learning_rate, model, gradients);
            }
            last_loss = batch_loss;
            progress.step += 1;
            progress.step_in_epoch = index + 1;
            let done = progress.epoch * n_train + ((index + 1) * batch_size).min(n_train);
            control.observer.on_step(done as u64, total_rows);

            let stop = control.stop.load(Ordering::Relaxed);
            let every = config.training.checkpoint_steps;
            let due = every > 0 && progress.step_in_epoch.is_multiple_of(every);
            if (stop || due)
                && progress.step_in_epoch < steps_per_epoch
                && let Some(folder) = &mut folder
            {
                let states = (loss.state(), task.state());
                let checkpoint = Checkpoint::take(&progress, &model, best.as_ref(), &optimizer, states)?;
                folder.save(checkpoint)?;
            }
            if stop && progress.step_in_epoch < steps_per_epoch {
                return Err(Error::Interrupted { saved: control.folder.clone() });
            }
        }
        loss.end_epoch();
        let train_log = progress.sums.mean();
        let (validation, validation_ece) = validate(task, &model, &device)?;
        let mut telemetry = task.telemetry(&model.valid(), &device.clone().inner())?;
        if config.training.telemetry {
            telemetry.extend(std::mem::take(&mut progress.start));
            telemetry.extend(progress.watch.end_epoch(&model));
            telemetry.extend(task.telemetry_in_depth(&model.valid(), &last_loss, &device.clone().inner())?);
        }
        // JSON has no other numbers, and logs must read back as they were written.
        telemetry.retain(|_, value| value.is_finite());
        if let Some(validation) = &validation {
            check_finite(progress.epoch, "validation NLL", validation.nll)?;
        }
        progress.epoch += 1;
        progress.step_in_epoch = 0;
        progress.sums = EpochSums::default();
        let log = EpochLog {
            epoch: progress.epoch,
            step: progress.step,
            learning_rate,
            smoothing: strength,
            train: train_log,
            validation,
            validation_ece,
            telemetry,
        };
        if let Some(validation) = validation
            && config.training.patience > 0
        {
            if progress.best_nll.is_none_or(|best| validation.nll < best) {
                progress.best_nll = Some(validation.nll);
                progress.best_epoch = progress.epoch;
                best = Some(model.clone());
            } else if progress.epoch - progress.best_epoch >= config.training.patience {
                progress.stopped_early = true;
            }
        }
        control.observer.on_epoch(&log);
        if let Some(folder) = &mut folder {
            folder.log(&log, clock.elapsed().as_secs_f64())?;
        }
        progress.logs.push(log);
        if let Some(folder) = &mut folder {
            let states = (loss.state(), task.state());
            let checkpoint = Checkpoint::take(&progress, &model, best.as_ref(), &optimizer, states)?;
            folder.save(checkpoint)?;
        }
        if control.stop.load(Ordering::Relaxed) && progress.epoch < config.training.epochs {
            return Err(Error::Interrupted { saved: control.folder.clone() });
        }
    }
    let earlier = folder.as_ref().map_or(0.0, RunFolder::earlier_seconds);
    Ok(Trained {
        model: best.unwrap_or(model),
        epochs: progress.logs,
        seconds: earlier + clock.elapsed().as_secs_f64(),
    })
}

/// Trains a model and predicts the held-out rows; with a folder, leaves everything there.
///
/// # Errors
/// Those of [`train`] and of the predictions.
pub fn run<T: Task>(
    task: &T,
    config: &Config,
    smoothing: Smoothing,
    control: &Control<'_>,
) -> Result<RunOutput> {
    let trained = train(task, config, smoothing, control)?;
    let device = config.device()?;
    let model = trained.model.valid();
    let validation = task.predict_validation(&model, &device)?;
    let test = task.predict_test(&model, &device)?;
    let findings = task.findings(&model, &trained.epochs, &device)?;
    if let Some(folder) = &control.folder {
        write_weights(&folder.join("model.safetensors"), &model, &task.metadata(config)?)?;
        if let Some(validation) = &validation {
            write_parquet(&folder.join("validation.parquet"), validation)?;
        }
        write_parquet(&folder.join("predictions.parquet"), &test)?;
    }
    Ok(RunOutput { validation, test, epochs: trained.epochs, seconds: trained.seconds, findings })
}

/// Figures of the validation rows.
fn validate<T: Task>(task: &T, model: &T::Model, device: &Device) -> Result<(Option<PartLog>, Option<f64>)> {
    let inference = device.clone().inner();
    let Some(predictions) = task.predict_validation(&model.valid(), &inference)? else {
        return Ok((None, None));
    };
    let options = EvaluationOptions { intervals: false, ..EvaluationOptions::default() };
    let evaluator: Evaluator = predictions.evaluator(options, None)?;
    let evaluation = evaluator.compute()?;
    let log = PartLog {
        loss: evaluation.value("nll"),
        nll: evaluation.value("nll"),
        accuracy: evaluation.value("accuracy"),
        confidence: evaluation.value("confidence"),
    };
    Ok((Some(log), Some(evaluation.value("ece"))))
}

fn check_finite(epoch: usize, what: &'static str, value: f64) -> Result<()> {
    if value.is_finite() { Ok(()) } else { Err(Error::Diverged { epoch: epoch + 1, what, value }) }
}
