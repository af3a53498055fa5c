//! What a run trains on: its labels with their noise, its random views, its mix and its teacher.

use std::path::Path;
use std::sync::Arc;

use candor::losses::{Accepts, Step};
use candor::targets::{Annotators, Background};
use candor::theory::total_smoothing;
use candor::{Convention, Labels, Targets};
use candor_burn::{LossModule, LossTargets};

use super::augment::{Augmentation, Augmenter};
use super::data::Split;
use super::images::Normalisation;
use super::label_file::FileLabels;
use super::mix::{Mixing, Pairs};
use super::noise::{Noise, NoisyParts};
use super::teacher::Teacher;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::training::Smoothing;

/// Parts of the data for streams of noise: rows of the two files are numbered apart.
const TRAIN_FILE: u64 = 0;
const TEST_FILE: u64 = 1;

/// Everything of a run but its model.
#[derive(Debug)]
pub(super) struct Setup {
    pub(super) augmenter: Option<Augmenter>,
    pub(super) mix: Mixing,
    pub(super) teacher: Option<Arc<Teacher>>,
    pub(super) smoothing: Smoothing,
    /// The class of every image of the training file, with the run's noise.
    pub(super) labels: Vec<i64>,
    /// The same of a test file of its own.
    pub(super) test_labels: Option<Vec<i64>>,
    /// Votes or probabilities for every image of the training file, instead of classes.
    votes: Option<Arc<[f64]>>,
    convention: Option<Convention>,
    n_classes: usize,
    /// The uniform smoothing that symmetric noise acts like.
    noise_smoothing: f64,
    seed: u64,
}

impl Setup {
    /// The setup of a configuration.
    ///
    /// # Errors
    /// Settings that cannot be read or that do not go together.
    pub(super) fn new(
        config: &Config,
        split: &Split,
        file: Option<&FileLabels>,
        teacher: Option<Arc<Teacher>>,
    ) -> Result<Self> {
        let n_classes = split.summary.classes;
        let mix = Mixing::parse("data.mix", &config.data.mix)?;
        let augmenter = augmenter(config, split)?;
        let votes = match file {
            Some(FileLabels::Votes(votes)) => Some(Arc::from(votes.as_slice())),
            _ => None,
        };
        let convention = match config.target.name.as_str() {
            "auto" => Some(config.loss.convention),
            name => name.parse().ok(),
        };
        check_together(config, mix, votes.is_some(), convention, augmenter.is_some())?;
        let noise = Noise::parse("data.noise", &config.data.noise)?;
        let (labels, test_labels, noise_smoothing) = labels(config, split, file, &noise, votes.is_some())?;
        Ok(Self {
            augmenter,
            mix,
            teacher,
            smoothing: Smoothing::new(config, n_classes)?,
            labels,
            test_labels,
            votes,
            convention,
            n_classes,
            noise_smoothing,
            seed: config.seed,
        })
    }

    /// The pairs of a batch of images that are mixed.
    pub(super) fn pairs(&self, epoch: usize, rows: &[usize], shape: [usize; 3]) -> Option<Pairs> {
        let first = rows.first().copied()? as u64;
        self.mix.draw(self.seed, epoch as u64, first, rows.len(), shape)
    }

    /// What a batch of images is trained towards.
    pub(super) fn loss_targets(
        &self,
        rows: &[usize],
        pairs: Option<&Pairs>,
        loss: &LossModule,
    ) -> Result<LossTargets> {
        let labels = self.labels_of(rows);
        let strength = || self.uniform_strength(loss.step());
        if let Some(pairs) = pairs {
            return Ok(LossTargets::Rows(pairs.targets(&labels, self.n_classes, strength())?));
        }
        if let Some(votes) = &self.votes {
            return Ok(LossTargets::Rows(self.shares(votes, rows, strength())?));
        }
        Ok(LossTargets::Labels { labels, ignore_index: None })
    }

    /// The targets of unmixed images as dense rows `[n, n_classes]`.
    pub(super) fn dense_targets(&self, rows: &[usize], loss: &LossModule) -> Result<Vec<f64>> {
        if let Some(votes) = &self.votes {
            return Ok(self.shares(votes, rows, self.uniform_strength(loss.step()))?.dense_matrix());
        }
        let labels = self.labels_of(rows);
        let labels = Labels::new(&labels, self.n_classes)?;
        let targets = match loss.rule() {
            Some(rule) => rule.targets(labels)?,
            None => Targets::labels(labels),
        };
        Ok(targets.dense_matrix())
    }

    /// The classes of these images.
    pub(super) fn labels_of(&self, rows: &[usize]) -> Vec<i64> {
        rows.iter().map(|&row| self.labels[row]).collect()
    }

    /// The uniform smoothing of all that smooths labels: the strength, the mix and symmetric noise.
    pub(super) fn effective_smoothing(&self, config: &Config) -> Result<f64> {
        let own = self.convention.map_or(config.loss.smoothing, |convention| {
            convention.to_uniform(config.loss.smoothing, self.n_classes)
        });
        Ok(total_smoothing(total_smoothing(own.min(1.0), self.mix.smoothing()?)?, self.noise_smoothing)?)
    }

    /// Whether anything but the strength smooths the labels.
    pub(super) fn smooths_otherwise(&self) -> bool {
        self.mix != Mixing::None || self.noise_smoothing > 0.0
    }

    fn uniform_strength(&self, step: Step) -> f64 {
        let strength = self.smoothing.strength(step);
        self.convention
            .map_or(strength, |convention| convention.to_uniform(strength, self.n_classes).min(1.0))
    }

    /// Shares of votes, smoothed; what people disagree about stays in proportion.
    fn shares(&self, votes: &[f64], rows: &[usize], strength: f64) -> Result<Targets<'static>> {
        let k = self.n_classes;
        let votes: Vec<f64> = rows.iter().flat_map(|&row| &votes[row * k..(row + 1) * k]).copied().collect();
        Ok(Annotators::new(0.0)?.targets(&votes, k)?.smoothed(strength, Background::Uniform))
    }
}

/// The views of a configuration, if it has any; padding is the byte that is nearest to an input of 0.
fn augmenter(config: &Config, split: &Split) -> Result<Option<Augmenter>> {
    let augmentation = Augmentation::parse("data.augment", &config.data.augment)?;
    if augmentation.is_none() {
        return Ok(None);
    }
    let padding = padding(&split.normalisation);
    Ok(Some(Augmenter::new(augmentation, config.seed, split.images.shape, padding)?))
}

/// For each channel the byte whose input is nearest to 0.
pub(super) fn padding(normalisation: &Normalisation) -> Vec<u8> {
    let Normalisation { scale, mean, .. } = normalisation;
    mean.iter().map(|mean| (mean * scale).round().clamp(0.0, 255.0) as u8).collect()
}

fn check_together(
    config: &Config,
    mix: Mixing,
    soft: bool,
    convention: Option<Convention>,
    augmented: bool,
) -> Result<()> {
    let teacher = !config.distillation.teacher.is_empty();
    let mixed = mix != Mixing::None;
    let refuse = |key: &str, got: &str, problem: &str| Err(Error::config(key, got, problem));
    let data = &config.data;
    if mixed && soft {
        return refuse(
            "data.mix",
            &data.mix,
            "mixes class labels; it cannot be used with votes from a label file",
        );
    }
    if mixed && teacher {
        let problem =
            "a teacher's logits are those of the images as they are; leave out the mix or the teacher";
        return refuse("data.mix", &data.mix, problem);
    }
    if augmented && teacher {
        let problem =
            "a teacher's logits are those of the images as they are; leave out the views or the teacher";
        return refuse("data.augment", &data.augment, problem);
    }
    if !(mixed || soft) {
        return Ok(());
    }
    let (key, got) = if mixed { ("data.mix", &data.mix) } else { ("data.label_file", &data.label_file) };
    if convention.is_none() {
        let problem =
            format!("needs uniform or off_class smoothing, but the target is {}", config.target.name);
        return refuse(key, got, &problem);
    }
    if config.make_loss()?.info().accepts == Accepts::Labels {
        let problem =
            format!("gives a distribution for each image, but {} takes labels only", config.loss.name);
        return refuse(key, got, &problem);
    }
    Ok(())
}

/// Labels of the training file, of a test file, and the smoothing that the noise acts like.
fn labels(
    config: &Config,
    split: &Split,
    file: Option<&FileLabels>,
    noise: &Noise,
    soft: bool,
) -> Result<(Vec<i64>, Option<Vec<i64>>, f64)> {
    let parts = NoisyParts::parse("data.noise_parts", &config.data.noise_parts)?;
    let mut labels = split.images.labels.clone();
    if let Some(FileLabels::Classes(classes)) = file {
        split.train.iter().for_each(|&row| labels[row] = classes[row]);
    }
    let mut test_labels = split.test_images.as_ref().map(|images| images.labels.clone());
    if *noise == Noise::None {
        return Ok((labels, test_labels, 0.0));
    }
    if soft {
        let problem = "changes class labels; it cannot be used with votes from a label file";
        return Err(Error::config("data.noise", noise, problem));
    }
    let flips = noise.over(split.summary.classes)?;
    let mut flip = |rows: &[usize]| {
        for &row in rows {
            labels[row] = flips.label(labels[row], config.seed, TRAIN_FILE, row as u64);
        }
    };
    flip(&split.train);
    if parts != NoisyParts::Train {
        flip(&split.validation);
    }
    if parts == NoisyParts::All {
        match &mut test_labels {
            Some(labels) => {
                for (row, label) in labels.iter_mut().enumerate() {
                    *label = flips.label(*label, config.seed, TEST_FILE, row as u64);
                }
            }
            None => flip(&split.test),
        }
    }
    Ok((labels, test_labels, flips.smoothing().unwrap_or(0.0)))
}

/// Reads the labels that a configuration names for the images of a split.
pub(super) fn file_labels(path: &str, split: &Split) -> Result<Option<FileLabels>> {
    if path.is_empty() {
        return Ok(None);
    }
    super::label_file::read(Path::new(path), split.images.len(), split.summary.classes).map(Some)
}

#[cfg(test)]
mod tests {
    use super::super::data::load;
    use super::*;
    use crate::config::Layers;

    fn config(settings: &[(&str, &str)]) -> Config {
        let mut layers = Layers::default();
        settings.iter().for_each(|(key, value)| layers.set(key, value).unwrap());
        layers.build().unwrap()
    }

    fn setup(settings: &[(&str, &str)], file: Option<&FileLabels>) -> Result<Setup> {
        let config = config(settings);
        Setup::new(&config, &load(&config.data).unwrap(), file, None)
    }

    #[test]
    fn noise_reaches_the_rows_that_were_asked_for_and_no_others() {
        let clean = load(&config(&[]).data).unwrap();
        let wrong = |parts: &str, rows: &[usize]| {
            let setup = setup(&[("data.noise", "symmetric:0.4"), ("data.noise_parts", parts)], None).unwrap();
            rows.iter().filter(|&&row| setup.labels[row] != clean.images.labels[row]).count()
        };
        let share = wrong("train", &clean.train) as f64 / 1000.0;
        // Five standard errors of a share of .4 over 1,000 rows.
        assert!((share - 0.4).abs() < 0.078, "{share}");
        assert_eq!((wrong("train", &clean.validation), wrong("train", &clean.test)), (0, 0));
        assert!(wrong("validation", &clean.validation) > 60 && wrong("validation", &clean.test) == 0);
        assert!(wrong("all", &clean.test) > 120);
    }

    #[test]
    fn labels_of_a_file_are_those_of_the_training_rows_only() {
        let clean = load(&config(&[]).data).unwrap();
        let file = FileLabels::Classes(vec![7; 1797]);
        let setup = setup(&[], Some(&file)).unwrap();
        assert!(setup.labels_of(&clean.train).iter().all(|label| *label == 7));
        for rows in [&clean.validation, &clean.test] {
            let own: Vec<i64> = rows.iter().map(|&row| clean.images.labels[row]).collect();
            assert_eq!(setup.labels_of(rows), own);
        }
    }

    #[test]
    fn votes_are_shares_and_take_smoothing() {
        let mut votes = vec![0.0; 17_970];
        votes.chunks_exact_mut(10).for_each(|row| (row[2], row[5]) = (3.0, 1.0));
        let file = FileLabels::Votes(votes);
        for (settings, want) in [
            (vec![], [0.75, 0.25, 0.0]),
            (vec![("loss.smoothing", "0.2")], [0.62, 0.22, 0.02]),
            // 0.18 on the other classes is 0.2 of the uniform distribution.
            (vec![("loss.smoothing", "0.18"), ("loss.convention", "off_class")], [0.62, 0.22, 0.02]),
        ] {
            let setup = setup(&settings, Some(&file)).unwrap();
            let loss = LossModule::new(candor::losses::CrossEntropy);
            let LossTargets::Rows(targets) = setup.loss_targets(&[3], None, &loss).unwrap() else { panic!() };
            let q = targets.row(0).unwrap().dense(10);
            for (got, want) in [q[2], q[5], q[0]].iter().zip(want) {
                assert!((got - want).abs() < 1e-12, "{q:?}");
            }
            assert_eq!(q, setup.dense_targets(&[3], &loss).unwrap());
        }
    }

    #[test]
    fn what_smooths_labels_is_added_up() {
        let effective = |settings: &[(&str, &str)]| {
            setup(settings, None).unwrap().effective_smoothing(&config(settings)).unwrap()
        };
        let mixup = candor::theory::mixup_smoothing(0.2).unwrap();
        let both = effective(&[("data.mix", "mixup:0.2"), ("loss.smoothing", "0.1")]);
        assert!((both - (1.0 - 0.9 * (1.0 - mixup))).abs() < 1e-12);
        let noisy = effective(&[("data.noise", "symmetric:0.36"), ("loss.smoothing", "0.1")]);
        assert!((noisy - (1.0 - 0.9 * 0.6)).abs() < 1e-12);
    }

    #[test]
    fn settings_that_do_not_go_together_are_refused() {
        let votes = FileLabels::Votes(vec![1.0; 17_970]);
        let message = |settings: &[(&str, &str)], file| setup(settings, file).unwrap_err().to_string();
        assert!(message(&[("data.mix", "mixup:1")], Some(&votes)).contains("label file"));
        assert!(message(&[("data.noise", "symmetric:0.1")], Some(&votes)).contains("label file"));
        assert!(message(&[("data.mix", "mixup:1"), ("target.name", "ordinal")], None).contains("ordinal"));
        assert!(message(&[("data.mix", "cutmix:1"), ("loss.name", "focal")], None).contains("labels only"));
        assert!(
            message(&[("data.noise_parts", "some"), ("data.noise", "symmetric:0.1")], None).contains("train")
        );
        assert!(message(&[("data.mix", "blend")], None).contains("mixup:A"));
        let teacher = [("distillation.teacher", "runs/a"), ("data.mix", "mixup:1")];
        assert!(message(&teacher, None).contains("images as they are"));
        let teacher = [("distillation.teacher", "runs/a"), ("data.augment", "flip")];
        assert!(message(&teacher, None).contains("images as they are"));
    }
}
