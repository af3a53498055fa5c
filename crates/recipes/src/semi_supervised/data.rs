//! Rows of which few keep their labels: two moons from a seed, or images.

use candor::random::Stream;

use crate::config::{Config, DataConfig, TrainSize};
use crate::dataset::{Dataset, Features, Parts};
use crate::error::{Error, Result};
use crate::training::split::take;
use crate::vision;

/// The generated set.
pub(crate) const MOONS: &str = "two_moons";
const MOON_ROWS: usize = 1600;
const MOON_NOISE: f64 = 0.2;

/// A set with its labelled and its unlabelled training rows.
#[derive(Debug, Clone)]
pub struct SemiData {
    /// The rows; the labels of the unlabelled ones serve to count errors only.
    pub dataset: Dataset,
    /// Training rows that keep their labels.
    pub labelled: Vec<usize>,
    /// The other training rows.
    pub unlabelled: Vec<usize>,
}

/// Reads a set and hides most labels.
///
/// # Errors
/// Those of the set; [`Error::Config`] for as many labels as rows or more, or for so few that a class has none.
pub fn load(config: &Config) -> Result<SemiData> {
    let mut dataset = images_or_moons(&config.data)?;
    let (train, wanted) = (dataset.parts.train.clone(), config.semi.labels);
    if wanted >= train.len() {
        let problem = format!("leaves no unlabelled row: there are {} training rows", train.len());
        return Err(Error::config("semi.labels", wanted, problem));
    }
    let labelled = take(train.clone(), &dataset.labels, TrainSize::Count(wanted), config.data.split_seed)?;
    let has = |class: usize| labelled.iter().any(|&row| dataset.labels[row] == class as i64);
    if let Some(class) = (0..dataset.summary.classes).find(|&class| !has(class)) {
        let problem = format!(
            "leaves class {class} without a labelled row; there are {} classes",
            dataset.summary.classes
        );
        return Err(Error::config("semi.labels", wanted, problem));
    }
    let unlabelled: Vec<usize> =
        train.into_iter().filter(|row| labelled.binary_search(row).is_err()).collect();
    let note =
        format!("{} training rows keep their labels, {} are unlabelled", labelled.len(), unlabelled.len());
    dataset.summary.notes.push(note);
    Ok(SemiData { dataset, labelled, unlabelled })
}

/// The two moons, or any set of images that the vision recipe reads.
///
/// # Errors
/// Those of the set.
pub(crate) fn images_or_moons(config: &DataConfig) -> Result<Dataset> {
    if config.path == MOONS {
        let (values, labels) = two_moons();
        let parts = Parts::cut(config, (0..MOON_ROWS).collect(), None, &labels)?;
        return Dataset::new(MOONS, Features::plain(2, values), labels, parts, None, Vec::new());
    }
    let split = vision::data::load(config)?;
    let tables = split.normalisation.tables();
    let test_images = split.test_images.as_ref().unwrap_or(&split.images);
    let area = split.images.shape[1] * split.images.shape[2];
    let (mut values, mut labels) = (Vec::new(), Vec::new());
    let mut part = |images: &vision::images::Images, rows: &[usize]| -> Vec<usize> {
        let first = labels.len();
        for &row in rows {
            for (channel, table) in images.image(row).chunks_exact(area).zip(&tables) {
                values.extend(channel.iter().map(|byte| table[usize::from(*byte)]));
            }
            labels.push(images.labels[row]);
        }
        (first..labels.len()).collect()
    };
    let parts = Parts {
        train: part(&split.images, &split.train),
        validation: part(&split.images, &split.validation),
        test: part(test_images, &split.test),
    };
    let summary = split.summary;
    let features = Features::new(split.images.shape, values);
    Dataset::new(&summary.name, features, labels, parts, summary.class_names, summary.notes)
}

/// Two half circles that reach into each other, with normal noise; the classes alternate.
fn two_moons() -> (Vec<f32>, Vec<i64>) {
    let mut stream = Stream::new(0, "two moons", 0, 0);
    let (mut values, mut labels) = (Vec::new(), Vec::new());
    for row in 0..MOON_ROWS {
        let angle = std::f64::consts::PI * stream.uniform();
        let lower = row % 2 == 1;
        let (x, y) = if lower { (1.0 - angle.cos(), 0.5 - angle.sin()) } else { (angle.cos(), angle.sin()) };
        values.extend([x, y].map(|place| (place + MOON_NOISE * stream.normal()) as f32));
        labels.push(i64::from(lower));
    }
    (values, labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(path: &str, labels: usize) -> Config {
        let mut config = Config::default();
        config.data.path = path.to_owned();
        config.semi.labels = labels;
        config
    }

    #[test]
    fn labels_are_kept_in_proportion_and_parts_do_not_overlap() {
        for (path, classes) in [(MOONS, 2), ("digits", 10)] {
            let data = load(&config(path, 40)).unwrap();
            let count =
                |class| data.labelled.iter().filter(|&&row| data.dataset.labels[row] == class).count();
            assert!((0..classes).all(|class| count(class) == 40 / classes as usize), "{path}");
            let mut all = [
                &data.labelled[..],
                &data.unlabelled,
                &data.dataset.parts.validation,
                &data.dataset.parts.test,
            ]
            .concat();
            all.sort_unstable();
            assert_eq!(all, (0..data.dataset.labels.len()).collect::<Vec<_>>(), "{path}");
        }
    }

    #[test]
    fn impossible_numbers_of_labels_are_refused() {
        let message = |labels| load(&config("digits", labels)).unwrap_err().to_string();
        assert!(message(1000).starts_with("semi.labels = 1000"), "{}", message(1000));
        assert!(message(3).contains("without a labelled row"), "{}", message(3));
    }
}
