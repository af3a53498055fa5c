//! One learner on a training set, and again for every flipped label: closed forms of the core, or a small net.

use std::collections::BTreeMap;
use std::time::Instant;

use burn::tensor::Device;
use candor::Labels;
use candor::theory::stability::{
    Flip, FlipEffect, FlipStudy, LinearSmoother, Points, SoftmaxRegression, changed_decisions, draw_flips,
    largest_change,
};
use candor_burn::{LossModule, LossOutput, LossTargets};

use super::data::StabilityData;
use crate::config::{Config, StabilityConfig};
use crate::dataset::Dataset;
use crate::error::{Error, Result};
use crate::predictions::{Predictions, write_parquet};
use crate::recipe::{Control, DataSummary, Findings, Prepared, RunOutput, Unobserved};
use crate::training::{self, RunFolder, Smoothing, Task};
use crate::vision::model::{ImageModel, ImageShape, Mlp};

/// The learners' names.
pub(super) const LEARNERS: &[&str] =
    &["mean", "knn", "nadaraya_watson", "kernel_ridge", "ridge", "softmax_regression", "mlp"];

/// Scores below this become it before their logarithm is taken.
const LEAST_SCORE: f64 = 1e-6;

/// The linear smoother of this name; two of the learners are none.
fn smoother(name: &str, config: &StabilityConfig) -> Option<LinearSmoother> {
    let StabilityConfig { lambda, neighbours, bandwidth, .. } = *config;
    Some(match name {
        "mean" => LinearSmoother::Mean,
        "knn" => LinearSmoother::NearestNeighbours { neighbours },
        "nadaraya_watson" => LinearSmoother::NadarayaWatson { bandwidth },
        "kernel_ridge" => LinearSmoother::KernelRidge { bandwidth, lambda },
        "ridge" => LinearSmoother::Ridge { lambda },
        _ => return None,
    })
}

impl StabilityData {
    fn points<'v>(&self, values: &'v [f64]) -> Result<Points<'v>> {
        Ok(Points::new(values, self.width)?)
    }

    /// Smoothed targets of the training rows.
    fn targets(&self, config: &Config, labels: &[i64]) -> Result<Vec<f64>> {
        let n_classes = self.dataset.summary.classes;
        let rule = config.loss.convention.rule(config.loss.smoothing, n_classes)?;
        Ok(rule.targets(Labels::new(labels, n_classes)?)?.dense_matrix())
    }

    /// A learner with a closed form: its predictions and what the flips do.
    fn closed_form(&self, config: &Config, control: &Control<'_>) -> Result<RunOutput> {
        let clock = Instant::now();
        let parts = &self.dataset.parts;
        let (train, labels) = (self.rows(&parts.train), self.dataset.labels_of(&parts.train));
        let queries = self.rows(self.queries());
        let (points, n_classes) = (self.points(&train)?, self.dataset.summary.classes);
        let labelled = Labels::new(&labels, n_classes)?;
        let flips = draw_flips(labelled, config.stability.flips, config.seed);
        let study = FlipStudy::new(
            points,
            labelled,
            self.points(&queries)?,
            config.loss.smoothing,
            config.loss.convention,
        )?;
        let targets = self.targets(config, &labels)?;
        let smoother = smoother(&config.model.name, &config.stability);
        let (effects, model) = match smoother {
            Some(smoother) => (study.linear(smoother, &flips)?, None),
            None => {
                let lambda = config.stability.lambda;
                let model = SoftmaxRegression::fit(points, &targets, n_classes, lambda)?;
                (study.softmax(lambda, &flips)?, Some(model))
            }
        };
        let predict = |rows: &[usize]| -> Result<Predictions> {
            let values = self.rows(rows);
            let queries = self.points(&values)?;
            let logits: Vec<f64> = match (smoother, &model) {
                (Some(smoother), _) => smoother
                    .predict(points, &targets, n_classes, queries)?
                    .iter()
                    // A share of votes has a logarithm unless it is 0; a ridge score may even lie below.
                    .map(|score| score.max(LEAST_SCORE).ln())
                    .collect(),
                (None, Some(model)) => model.logits(queries),
                (None, None) => Vec::new(),
            };
            let logits = logits.iter().map(|z| *z as f32).collect();
            Predictions::from_logits(logits, n_classes, self.dataset.labels_of(rows))
        };
        let validation = if parts.validation.is_empty() { None } else { Some(predict(&parts.validation)?) };
        let test = predict(&parts.test)?;
        // Seconds of work have nothing to resume, so the folder is made once the settings have proved possible.
        if let Some(folder) = &control.folder {
            RunFolder::open(folder, config, control.resume)?;
            if let Some(validation) = &validation {
                write_parquet(&folder.join("validation.parquet"), validation)?;
            }
            write_parquet(&folder.join("predictions.parquet"), &test)?;
        }
        let findings = self.findings(&effects);
        Ok(RunOutput {
            validation,
            test,
            epochs: Vec::new(),
            seconds: clock.elapsed().as_secs_f64(),
            findings,
        })
    }

    /// A net: trained once as any other, and once more for each flip from the same weights in the same order.
    fn net(&self, config: &Config, control: &Control<'_>) -> Result<RunOutput> {
        let labels = self.dataset.labels_of(&self.dataset.parts.train);
        let n_classes = self.dataset.summary.classes;
        let flips = draw_flips(Labels::new(&labels, n_classes)?, config.stability.flips, config.seed);
        let smoothing = || Smoothing::new(config, n_classes);
        let mut output =
            training::run(&NetTask { dataset: &self.dataset, flip: None }, config, smoothing()?, control)?;
        let queries = self.queries();
        let device = config.device()?;
        let probs = |flip: Option<Flip>| -> Result<Vec<f64>> {
            let inner = Control { folder: None, resume: false, stop: control.stop, observer: &Unobserved };
            let task = NetTask { dataset: &self.dataset, flip };
            let trained =
                training::train(&task, config, smoothing()?, &inner).map_err(|error| match error {
                    // The run itself is saved; its flips are tried anew.
                    Error::Interrupted { .. } => Error::Interrupted { saved: control.folder.clone() },
                    error => error,
                })?;
            let logits = self.dataset.features.logits(
                &burn::module::Module::valid(&trained.model),
                queries,
                &device,
            )?;
            Ok(logits.chunks_exact(n_classes).flat_map(softmax).collect())
        };
        let before = probs(None)?;
        let mut effects = Vec::with_capacity(flips.len());
        for flip in flips {
            let after = probs(Some(flip))?;
            let decisions = changed_decisions(&before, &after, n_classes);
            // No theorem bounds a net.
            effects.push(FlipEffect {
                flip,
                change: largest_change(&before, &after),
                bound: f64::INFINITY,
                decisions,
            });
        }
        output.findings = self.findings(&effects);
        Ok(output)
    }

    /// What the flips of a run did, in figures, and as points: bound and change of each flip.
    fn findings(&self, effects: &[FlipEffect]) -> Findings {
        let n = effects.len().max(1) as f64;
        let mean = |of: &dyn Fn(&FlipEffect) -> f64| effects.iter().map(of).sum::<f64>() / n;
        let mut metrics = BTreeMap::from([
            ("n_classes".to_owned(), self.dataset.summary.classes as f64),
            ("flip_change".to_owned(), mean(&|effect| effect.change)),
            ("flip_change_max".to_owned(), effects.iter().map(|effect| effect.change).fold(0.0, f64::max)),
            (
                "flip_decisions".to_owned(),
                mean(&|effect| effect.decisions as f64 / self.queries().len().max(1) as f64),
            ),
        ]);
        let mut points = BTreeMap::new();
        if effects.iter().all(|effect| effect.bound.is_finite()) {
            metrics.insert("flip_bound".to_owned(), mean(&|effect| effect.bound));
            let used = effects.iter().map(|effect| effect.change / effect.bound).fold(0.0, f64::max);
            metrics.insert("flip_bound_used".to_owned(), used);
            let pairs = effects.iter().map(|effect| (effect.bound, effect.change)).collect();
            points.insert("flips".to_owned(), pairs);
        }
        Findings { metrics, points }
    }
}

fn softmax(row: &[f32]) -> Vec<f64> {
    let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let exps: Vec<f64> = row.iter().map(|z| f64::from(z - largest).exp()).collect();
    let sum: f64 = exps.iter().sum();
    exps.iter().map(|e| e / sum).collect()
}

/// The training of a net in which one label may be flipped.
struct NetTask<'a> {
    dataset: &'a Dataset,
    flip: Option<Flip>,
}

impl Task for NetTask<'_> {
    type Model = Mlp;

    fn n_train(&self) -> usize {
        self.dataset.parts.train.len()
    }

    fn init(&self, config: &Config, device: &Device) -> Result<Mlp> {
        let shape =
            ImageShape { input: self.dataset.features.shape(), classes: self.dataset.summary.classes };
        Mlp::build(&config.model, &shape, config.seed, device)
    }

    fn loss(
        &self,
        model: &Mlp,
        rows: &[usize],
        _: usize,
        loss: &LossModule,
        device: &Device,
    ) -> Result<LossOutput> {
        let train: Vec<usize> = rows.iter().map(|&row| self.dataset.parts.train[row]).collect();
        let mut labels = self.dataset.labels_of(&train);
        if let Some(flip) = self.flip
            && let Some(at) = rows.iter().position(|row| *row == flip.row)
        {
            labels[at] = flip.label;
        }
        let targets = LossTargets::Labels { labels, ignore_index: None };
        self.dataset.features.loss(model, &train, targets, loss, device)
    }

    fn predict_validation(&self, model: &Mlp, device: &Device) -> Result<Option<Predictions>> {
        self.dataset.predict_validation(model, device)
    }

    fn predict_test(&self, model: &Mlp, device: &Device) -> Result<Predictions> {
        self.dataset.predict_test(model, device)
    }

    fn metadata(&self, _: &Config) -> Result<BTreeMap<String, String>> {
        Ok(BTreeMap::new())
    }
}

impl Prepared for StabilityData {
    fn summary(&self) -> &DataSummary {
        &self.dataset.summary
    }

    fn check(&self, config: &Config) -> Result<()> {
        let n_classes = self.dataset.summary.classes;
        Smoothing::new(config, n_classes)?;
        if config.model.name == "mlp" {
            return Ok(());
        }
        if config.device()? != Device::flex() {
            let problem = format!("{} is computed on the CPU; leave this out", config.model.name);
            return Err(Error::config("device", &config.device, problem));
        }
        let refuse = |key: &str, got: &str| {
            let problem = format!(
                "{} has targets of one constant smoothing and its own loss; leave this out",
                config.model.name
            );
            Err(Error::config(key, got, problem))
        };
        if config.loss.name != "cross_entropy" {
            return refuse("loss.name", &config.loss.name);
        }
        if config.target.name != "auto" {
            return refuse("target.name", &config.target.name);
        }
        if config.schedule.name != "constant" {
            return refuse("schedule.name", &config.schedule.name);
        }
        config.loss.convention.rule(config.loss.smoothing, n_classes)?;
        Ok(())
    }

    fn train(&self, config: &Config, control: &Control<'_>) -> Result<RunOutput> {
        if config.model.name == "mlp" { self.net(config, control) } else { self.closed_form(config, control) }
    }
}
