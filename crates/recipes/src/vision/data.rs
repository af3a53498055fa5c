//! Images with labels: where they come from, how they are checked and split.

use std::path::Path;

use super::images::{Images, Normalisation};
use super::{cifar, folder, mnist};
use crate::config::{DataConfig, HeldOut, TrainSize};
use crate::error::{Error, Result};
use crate::recipe::DataSummary;
use crate::training::split::{hold_out, take};

/// A data set, split.
#[derive(Debug, Clone)]
pub struct Split {
    /// The images of the training part (validation rows included).
    pub images: Images,
    /// The images of a test part of its own; else test rows are in `images`.
    pub test_images: Option<Images>,
    /// Training rows.
    pub train: Vec<usize>,
    /// Validation rows, in `images`.
    pub validation: Vec<usize>,
    /// Test rows, in `test_images` if there are some, else in `images`.
    pub test: Vec<usize>,
    /// From the training rows.
    pub normalisation: Normalisation,
    /// What all this is.
    pub summary: DataSummary,
}

/// What a set says about itself.
pub(super) struct Source {
    pub(super) name: String,
    pub(super) images: Images,
    pub(super) test: Option<Images>,
    pub(super) normalisation: Option<Normalisation>,
    pub(super) class_names: Option<Vec<String>>,
    pub(super) default_validation: HeldOut,
    pub(super) default_test: HeldOut,
}

impl Source {
    /// A set from files, with the usual split; the images of both parts must have one size.
    pub(super) fn from_files(
        path: &Path,
        images: Images,
        test: Option<Images>,
        class_names: Option<Vec<String>>,
    ) -> Result<Self> {
        if let Some(test) = &test
            && test.shape != images.shape
        {
            let problem =
                format!("its images have shape {:?}, but the training images {:?}", test.shape, images.shape);
            return Err(Error::format(&test.source, problem));
        }
        Ok(Self {
            name: path.display().to_string(),
            images,
            test,
            normalisation: None,
            class_names,
            default_validation: HeldOut::Fraction(0.1),
            default_test: HeldOut::Fraction(0.2),
        })
    }
}

/// Reads and splits a data set.
///
/// # Errors
/// A path that is neither an embedded set nor a folder of images, damaged files, labels that do not fit, a
/// split that leaves a part empty.
pub fn load(config: &DataConfig) -> Result<Split> {
    let source = read_source(&config.path)?;
    let classes = check_classes(&source)?;
    let labels = &source.images.labels;
    let rows: Vec<usize> = (0..source.images.len()).collect();
    let or_default = |given: HeldOut, default| if given == HeldOut::Auto { default } else { given };
    let test_wish = HeldOut::parse("data.test", &config.test)?;
    let (rows, test) = match &source.test {
        Some(test) => {
            if !matches!(test_wish, HeldOut::Auto) {
                let problem = "the data has a test part of its own; leave this out";
                return Err(Error::config("data.test", &config.test, problem));
            }
            (rows, (0..test.len()).collect())
        }
        None => {
            let wish = or_default(test_wish, source.default_test);
            let (rows, test) = hold_out("data.test", rows, labels, wish, config.split_seed, "part test")?;
            if test.is_empty() {
                return Err(Error::config(
                    "data.test",
                    &config.test,
                    "the data has no test part, so some rows must be held out",
                ));
            }
            (rows, test)
        }
    };
    let wish = or_default(HeldOut::parse("data.validation", &config.validation)?, source.default_validation);
    let (rows, validation) =
        hold_out("data.validation", rows, labels, wish, config.split_seed, "part validation")?;
    let size = TrainSize::parse("data.train_size", &config.train_size)?;
    let train = take(rows, labels, size, config.split_seed)?;
    let normalisation = match source.normalisation {
        Some(normalisation) => normalisation,
        None => Normalisation::of(&source.images, &train),
    };
    let mut train_classes = vec![0; classes];
    train.iter().for_each(|&row| train_classes[labels[row] as usize] += 1);
    if let Some(class) = train_classes.iter().position(|count| *count == 0) {
        let name = source.class_names.as_ref().and_then(|names| names.get(class));
        let name = name.map_or(String::new(), |name| format!(" ({name})"));
        let got = format!("{} training rows", train.len());
        let problem = format!(
            "leave class {class}{name} without a training row, so no model can learn it; train on more rows or hold out fewer"
        );
        return Err(Error::config("data.train_size", got, problem));
    }
    let summary = DataSummary {
        name: source.name,
        classes,
        class_names: source.class_names,
        input: source.images.shape.to_vec(),
        train: train.len(),
        validation: validation.len(),
        test: test.len(),
        train_classes,
        notes: Vec::new(),
    };
    Ok(Split {
        images: source.images,
        test_images: source.test,
        train,
        validation,
        test,
        normalisation,
        summary,
    })
}

/// The images that a finished model is asked about: the test part, or all rows of a set without one.
///
/// # Errors
/// Those of [`load`], but for the split.
pub fn load_for_prediction(path: &str) -> Result<Images> {
    let source = read_source(path)?;
    Ok(source.test.unwrap_or(source.images))
}

fn read_source(path: &str) -> Result<Source> {
    if path == "digits" {
        return digits();
    }
    let path = Path::new(path);
    if !path.is_dir() {
        let problem = if path.exists() {
            "is a file; give the folder that holds the data"
        } else {
            "does not exist, and no embedded set has this name (digits)"
        };
        return Err(Error::format(path, problem));
    }
    match cifar::kind(path) {
        Some(kind) => cifar_folder(path, kind),
        None if folder::is_one(path)? => folder::read(path),
        None => mnist::folder(path),
    }
}

/// A folder of the CIFAR family.
fn cifar_folder(path: &Path, kind: cifar::Kind) -> Result<Source> {
    let set = cifar::read(path, kind)?;
    let images = |part: cifar::Part| Images {
        pixels: part.pixels,
        shape: cifar::SHAPE,
        labels: part.labels,
        source: part.source,
    };
    Source::from_files(path, images(set.train), set.test.map(images), set.class_names)
}

/// The number of classes: one more than the largest label, where every class occurs in every part.
///
/// A stray label would otherwise become a class of its own in silence.
fn check_classes(source: &Source) -> Result<usize> {
    let largest = |images: &Images| images.labels.iter().copied().max().unwrap_or(-1);
    let most = largest(&source.images).max(source.test.as_ref().map_or(-1, largest)) + 1;
    let counts = |images: &Images| {
        let mut counts = vec![0_usize; usize::try_from(most).unwrap_or(0)];
        images.labels.iter().for_each(|&label| counts[label as usize] += 1);
        counts
    };
    let classes_of =
        |counts: &[usize]| counts.iter().rposition(|count| *count > 0).map_or(0, |last| last + 1);
    let train = counts(&source.images);
    // Each part of a split needs a row of each class; a class of fewer than three rows is taken for an error.
    let enough = if source.test.is_some() { 1 } else { 3 };
    let first_of = |images: &Images, class: usize| {
        images.labels.iter().position(|&label| label == class as i64).unwrap_or(0)
    };
    if let Some(test_images) = &source.test {
        let test = counts(test_images);
        for class in 0..train.len() {
            let (mine, other, here, there) = match (train[class] > 0, test[class] > 0) {
                (true, false) => (&source.images, test_images, "training", "test"),
                (false, true) => (test_images, &source.images, "test", "training"),
                _ => continue,
            };
            let classes = classes_of(if here == "training" { &test } else { &train });
            return Err(Error::format(
                &mine.source,
                format!(
                    "row {}: label {class} occurs in the {here} part only; the {there} part ({}) has labels 0..={}, so it must be in that range",
                    first_of(mine, class),
                    other.source.display(),
                    classes.saturating_sub(1)
                ),
            ));
        }
    }
    let classes = classes_of(&train);
    if train.iter().filter(|count| **count > 0).count() < 2 {
        return Err(Error::format(
            &source.images.source,
            "all labels are equal, but at least two classes are needed",
        ));
    }
    if let Some(class) = (0..classes).find(|&class| train[class] < enough) {
        let found = train[class];
        let problem = if found == 0 {
            format!(
                "labels go up to {}, but class {class} has no row; labels must be consecutive from 0",
                classes - 1
            )
        } else {
            let row = first_of(&source.images, class);
            format!(
                "row {row}: label {class} occurs in {found} rows, too few to split; at least {enough} are needed"
            )
        };
        return Err(Error::format(&source.images.source, problem));
    }
    Ok(classes)
}

/// The embedded digits: 1,797 images of 8x8, of which 297 are for validation and 500 for the test.
fn digits() -> Result<Source> {
    let images = mnist::pair(
        Path::new("digits (embedded images)"),
        include_bytes!("digits/digits-images-idx3-ubyte.gz"),
        Path::new("digits (embedded labels)"),
        include_bytes!("digits/digits-labels-idx1-ubyte.gz"),
    )?;
    Ok(Source {
        name: "digits".to_owned(),
        images,
        test: None,
        normalisation: Some(Normalisation { scale: 16.0, mean: vec![0.0], sd: vec![1.0] }),
        class_names: None,
        default_validation: HeldOut::Count(297),
        default_test: HeldOut::Count(500),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(folder: &Path, name: &str, shape: &[u32], data: &[u8]) {
        let mut bytes = vec![0, 0, 8, shape.len() as u8];
        shape.iter().for_each(|size| bytes.extend(size.to_be_bytes()));
        bytes.extend(data);
        std::fs::write(folder.join(name), bytes).unwrap();
    }

    fn set(folder: &Path, train_labels: &[u8], test_labels: &[u8]) {
        for (part, labels) in [("train", train_labels), ("t10k", test_labels)] {
            let n = labels.len() as u32;
            write(folder, &format!("{part}-images-idx3-ubyte"), &[n, 2, 2], &vec![7; labels.len() * 4]);
            write(folder, &format!("{part}-labels-idx1-ubyte"), &[n], labels);
        }
    }

    fn config(path: &Path) -> DataConfig {
        DataConfig { path: path.display().to_string(), ..DataConfig::default() }
    }

    #[test]
    fn the_embedded_digits_are_split_as_published() {
        let split = load(&DataConfig::default()).unwrap();
        assert_eq!((split.train.len(), split.validation.len(), split.test.len()), (1000, 297, 500));
        assert_eq!((split.summary.classes, split.images.shape), (10, [1, 8, 8]));
        let mut rows = [split.train, split.validation, split.test].concat();
        rows.sort_unstable();
        assert_eq!(rows, (0..1797).collect::<Vec<_>>());
    }

    #[test]
    fn a_stray_label_in_either_part_is_named_with_its_row() {
        let folder = tempfile::tempdir().unwrap();
        let good: Vec<u8> = (0..40).map(|i| i % 10).collect();
        let mut bad = good.clone();
        bad[23] = 10;
        set(folder.path(), &bad, &good);
        let message = load(&config(folder.path())).unwrap_err().to_string();
        assert!(
            message.contains("train-labels")
                && message.contains("row 23: label 10")
                && message.contains("0..=9"),
            "{message}"
        );
        set(folder.path(), &good, &bad);
        let message = load(&config(folder.path())).unwrap_err().to_string();
        assert!(message.contains("t10k-labels") && message.contains("row 23: label 10"), "{message}");
    }

    #[test]
    fn parts_that_do_not_belong_together_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let labels: Vec<u8> = (0..40).map(|i| i % 10).collect();
        set(folder.path(), &labels, &labels);
        write(folder.path(), "train-labels-idx1-ubyte", &[39], &labels[1..]);
        assert!(load(&config(folder.path())).unwrap_err().to_string().contains("has 39 labels"));
        set(folder.path(), &labels, &labels);
        write(folder.path(), "t10k-images-idx3-ubyte", &[40, 1, 2], &[0; 80]);
        assert!(load(&config(folder.path())).unwrap_err().to_string().contains("shape [1, 1, 2]"));
        set(folder.path(), &labels, &labels);
        std::fs::remove_file(folder.path().join("train-labels-idx1-ubyte")).unwrap();
        assert!(load(&config(folder.path())).unwrap_err().to_string().contains("no partner"));
        set(folder.path(), &[1; 40], &[1; 40]);
        assert!(load(&config(folder.path())).unwrap_err().to_string().contains("all labels are equal"));
        let empty = tempfile::tempdir().unwrap();
        assert!(load(&config(empty.path())).unwrap_err().to_string().contains("holds no IDX files"));
        assert!(load(&config(Path::new("/nowhere"))).unwrap_err().to_string().contains("does not exist"));
    }
}
