//! Self-training: the labelled rows alone, then rounds of pseudo-labels that the model gave itself.

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::sync::{Mutex, MutexGuard, PoisonError};

use burn::tensor::Device;
use candor::losses::{CrossEntropy, LossState, LossValue};
use candor::random::Stream;
use candor_burn::{LossModule, LossOutput, LossTargets};

use super::data::SemiData;
use super::pseudo::{self, Round};
use crate::config::Config;
use crate::error::Result;
use crate::predictions::Predictions;
use crate::recipe::{Control, DataSummary, Findings, Prepared, RunOutput};
use crate::training::{self, EpochLog, Smoothing, Task};
use crate::vision::model::{ImageModel, ImageShape, LeNet, Mlp};

/// The round that an epoch belongs to: 0 has the labelled rows alone, and all take about as many epochs.
fn round_of(epoch: usize, epochs: usize, rounds: usize) -> usize {
    epoch * (rounds + 1) / epochs.max(1)
}

/// One training; the pseudo-labels of the running round are its state.
struct SemiTask<'a, M> {
    data: &'a SemiData,
    config: &'a Config,
    round: Mutex<Round>,
    model: PhantomData<M>,
}

impl<M: ImageModel> SemiTask<'_, M> {
    fn round(&self) -> MutexGuard<'_, Round> {
        // A panic elsewhere leaves plain data behind.
        self.round.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The labelled rows of a step: all of them, or as many as a batch has, drawn anew for each.
    fn labelled(&self, epoch: usize, first: usize) -> Vec<usize> {
        let all = &self.data.labelled;
        let count = self.config.training.batch_size;
        if all.len() <= count {
            return all.clone();
        }
        let order =
            Stream::new(self.config.seed, "labelled", epoch as u64, first as u64).permutation(all.len());
        order.into_iter().take(count).map(|index| all[index]).collect()
    }

    /// The pseudo-labels that the model gives now.
    fn label(&self, model: &M, number: usize, device: &Device) -> Result<Round> {
        let dataset = &self.data.dataset;
        let logits = dataset.features.logits(model, &self.data.unlabelled, device)?;
        let truth = dataset.labels_of(&self.data.unlabelled);
        let before = self.round().clone();
        Round::new(self.config, number, &logits, dataset.summary.classes, &truth, Some(&before))
    }
}

impl<M: ImageModel> Task for SemiTask<'_, M> {
    type Model = M;

    /// An epoch passes over the unlabelled rows; the labelled ones are in every step.
    fn n_train(&self) -> usize {
        self.data.unlabelled.len()
    }

    fn init(&self, config: &Config, device: &Device) -> Result<M> {
        build(&self.data.dataset.summary, self.data.dataset.features.shape(), config, device)
    }

    fn begin_epoch(&self, model: &M, epoch: usize, device: &Device) -> Result<()> {
        let number = round_of(epoch, self.config.training.epochs, self.config.semi.rounds);
        if number > self.round().number {
            let round = self.label(model, number, device)?;
            *self.round() = round;
        }
        Ok(())
    }

    fn loss(
        &self,
        model: &M,
        rows: &[usize],
        epoch: usize,
        loss: &LossModule,
        device: &Device,
    ) -> Result<LossOutput> {
        let (dataset, round) = (&self.data.dataset, self.round());
        let classes = dataset.summary.classes;
        let labelled = self.labelled(epoch, rows.first().copied().unwrap_or(0));
        let labels = dataset.labels_of(&labelled);
        let kept: Vec<usize> = match round.number {
            0 => Vec::new(),
            _ => rows.iter().copied().filter(|&row| round.keeps(row, classes)).collect(),
        };
        let all: Vec<usize> =
            labelled.iter().copied().chain(kept.iter().map(|&row| self.data.unlabelled[row])).collect();
        let logits = model.logits(dataset.features.tensor(&all, device));
        let true_loss = loss.forward(
            logits.clone().narrow(0, 0, labelled.len()),
            LossTargets::Labels { labels, ignore_index: None },
        )?;
        if kept.is_empty() {
            return Ok(true_loss);
        }
        let targets = kept.iter().flat_map(|&row| &round.targets[row * classes..(row + 1) * classes]);
        let targets = LossTargets::Distribution(targets.copied().collect());
        // Smoothing of the labels is the rule's business here, so the plain loss meets its targets.
        let pseudo_loss =
            LossModule::new(CrossEntropy).forward(logits.narrow(0, labelled.len(), kept.len()), targets)?;
        // A row that is not kept counts as one whose loss is 0 (Sohn et al. 2020).
        let weight = self.config.semi.pseudo_weight * kept.len() as f64 / rows.len() as f64;
        let value =
            LossValue { loss: true_loss.value.loss + weight * pseudo_loss.value.loss, ..true_loss.value };
        Ok(LossOutput { loss: true_loss.loss + pseudo_loss.loss.mul_scalar(weight), value })
    }

    fn state(&self) -> LossState {
        self.round().state()
    }

    fn set_state(&self, state: LossState) {
        *self.round() = Round::from_state(&state);
    }

    fn predict_validation(&self, model: &M, device: &Device) -> Result<Option<Predictions>> {
        self.data.dataset.predict_validation(model, device)
    }

    fn predict_test(&self, model: &M, device: &Device) -> Result<Predictions> {
        self.data.dataset.predict_test(model, device)
    }

    fn telemetry(&self, _: &M, _: &Device) -> Result<BTreeMap<String, f64>> {
        let round = self.round();
        if round.number == 0 {
            return Ok(BTreeMap::new());
        }
        let figures = round.figures.named().map(|(name, value)| (format!("pseudo/{name}"), value));
        Ok(figures.into_iter().chain([(ROUND.to_owned(), round.number as f64)]).collect())
    }

    fn findings(&self, model: &M, epochs: &[EpochLog], device: &Device) -> Result<Findings> {
        // What the finished model would label: the end of the course.
        let last = self.round().number + 1;
        let end = self.label(model, last, device)?;
        let mut points: BTreeMap<String, Vec<(f64, f64)>> = BTreeMap::new();
        for (name, value) in end.figures.named() {
            let mut course: Vec<(f64, f64)> = Vec::new();
            for log in epochs {
                let (Some(round), Some(value)) =
                    (log.telemetry.get(ROUND), log.telemetry.get(&format!("pseudo/{name}")))
                else {
                    continue;
                };
                if course.last().is_none_or(|before| before.0 != *round) {
                    course.push((*round, *value));
                }
            }
            course.push((last as f64, value));
            points.insert(name.to_owned(), course);
        }
        let mut metrics: BTreeMap<String, f64> =
            end.figures.named().map(|(name, value)| (name.to_owned(), value)).into();
        metrics.insert("n_classes".to_owned(), self.data.dataset.summary.classes as f64);
        Ok(Findings { metrics, points })
    }

    fn metadata(&self, _: &Config) -> Result<BTreeMap<String, String>> {
        Ok(BTreeMap::new())
    }
}

/// The telemetry that says which round an epoch belongs to.
const ROUND: &str = "pseudo/round";

fn build<M: ImageModel>(
    summary: &DataSummary,
    shape: [usize; 3],
    config: &Config,
    device: &Device,
) -> Result<M> {
    M::build(&config.model, &ImageShape { input: shape, classes: summary.classes }, config.seed, device)
}

impl SemiData {
    fn run<M: ImageModel>(&self, config: &Config, control: &Control<'_>) -> Result<RunOutput> {
        let smoothing = Smoothing::new(config, self.dataset.summary.classes)?;
        let task = SemiTask::<M> { data: self, config, round: Mutex::default(), model: PhantomData };
        training::run(&task, config, smoothing, control)
    }
}

impl Prepared for SemiData {
    fn summary(&self) -> &DataSummary {
        &self.dataset.summary
    }

    fn check(&self, config: &Config) -> Result<()> {
        let summary = self.summary();
        Smoothing::new(config, summary.classes)?;
        pseudo::check(config, summary.classes)?;
        if config.training.epochs <= config.semi.rounds {
            let problem = format!(
                "leaves a round without an epoch: there are {} rounds after the first",
                config.semi.rounds
            );
            return Err(crate::Error::config("training.epochs", config.training.epochs, problem));
        }
        let device = Device::flex();
        match config.model.name.as_str() {
            "lenet" => build::<LeNet>(summary, self.dataset.features.shape(), config, &device).map(drop),
            _ => build::<Mlp>(summary, self.dataset.features.shape(), config, &device).map(drop),
        }
    }

    fn train(&self, config: &Config, control: &Control<'_>) -> Result<RunOutput> {
        match config.model.name.as_str() {
            "lenet" => self.run::<LeNet>(config, control),
            _ => self.run::<Mlp>(config, control),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_share_the_epochs() {
        let rounds: Vec<usize> = (0..7).map(|epoch| round_of(epoch, 7, 2)).collect();
        assert_eq!(rounds, [0, 0, 0, 1, 1, 2, 2]);
        assert_eq!(round_of(9, 10, 0), 0);
    }
}
