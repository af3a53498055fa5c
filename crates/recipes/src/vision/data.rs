//! Images with labels: where they come from, how they are checked, split and normalised.

use std::path::{Path, PathBuf};

use super::{cifar, idx};
use crate::config::{DataConfig, HeldOut, TrainSize};
use crate::error::{Error, Result};
use crate::files;
use crate::recipe::DataSummary;
use crate::training::split::{hold_out, take};

/// Images of one size, as bytes.
#[derive(Debug, Clone)]
pub struct Images {
    pixels: Vec<u8>,
    /// Channels, height, width.
    pub shape: [usize; 3],
    /// The class of each image.
    pub labels: Vec<i64>,
    /// Where the labels came from, for messages.
    source: PathBuf,
}

impl Images {
    /// Number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is no image.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Values of one image.
    pub fn image_len(&self) -> usize {
        self.shape.iter().product()
    }

    /// The bytes of one image.
    pub fn image(&self, index: usize) -> &[u8] {
        let len = self.image_len();
        &self.pixels[index * len..(index + 1) * len]
    }
}

/// Pixel values to inputs: `(byte / scale - mean) / sd`, one mean and sd a channel.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Normalisation {
    /// Largest byte.
    pub scale: f64,
    /// Mean of each channel after scaling.
    pub mean: Vec<f64>,
    /// Standard deviation of each channel after scaling.
    pub sd: Vec<f64>,
}

impl Normalisation {
    /// From the pixels of these images; a channel that is constant keeps its values.
    fn of(images: &Images, rows: &[usize]) -> Self {
        let [channels, height, width] = images.shape;
        let area = height * width;
        let (mut mean, mut sd) = (Vec::new(), Vec::new());
        for channel in 0..channels {
            // Bytes are counted, so the moments are exact.
            let mut counts = [0_u64; 256];
            for &row in rows {
                for &byte in &images.image(row)[channel * area..(channel + 1) * area] {
                    counts[usize::from(byte)] += 1;
                }
            }
            let n = counts.iter().sum::<u64>() as f64;
            let moment = |power: i32| {
                counts
                    .iter()
                    .enumerate()
                    .map(|(byte, count)| (byte as f64 / 255.0).powi(power) * *count as f64)
                    .sum::<f64>()
                    / n
            };
            let centre = moment(1);
            let spread = (moment(2) - centre * centre).max(0.0).sqrt();
            mean.push(centre);
            sd.push(if spread > 0.0 { spread } else { 1.0 });
        }
        Self { scale: 255.0, mean, sd }
    }

    /// For each channel the input of each byte.
    pub fn tables(&self) -> Vec<[f32; 256]> {
        self.mean
            .iter()
            .zip(&self.sd)
            .map(|(mean, sd)| std::array::from_fn(|byte| ((byte as f64 / self.scale - mean) / sd) as f32))
            .collect()
    }
}

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
struct Source {
    name: String,
    images: Images,
    test: Option<Images>,
    normalisation: Option<Normalisation>,
    class_names: Option<Vec<String>>,
    default_validation: HeldOut,
    default_test: HeldOut,
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
    match path {
        "digits" => digits(),
        path => {
            let folder = Path::new(path);
            match cifar::kind(folder) {
                Some(kind) => cifar_folder(folder, kind),
                None => idx_folder(folder),
            }
        }
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
    Ok(Source {
        name: path.display().to_string(),
        images: images(set.train),
        test: set.test.map(images),
        normalisation: None,
        class_names: set.class_names,
        default_validation: HeldOut::Fraction(0.1),
        default_test: HeldOut::Fraction(0.2),
    })
}

/// The number of classes: one more than the largest label, where every class occurs in every part.
///
/// A stray label would otherwise become a class of its own in silence.
fn check_classes(source: &Source) -> Result<usize> {
    let counts = |images: &Images| {
        let mut counts = [0_usize; 256];
        images.labels.iter().for_each(|&label| counts[label as usize] += 1);
        counts
    };
    let classes_of =
        |counts: &[usize; 256]| counts.iter().rposition(|count| *count > 0).map_or(0, |last| last + 1);
    let train = counts(&source.images);
    // Each part of a split needs a row of each class; a class of fewer than three rows is taken for an error.
    let enough = if source.test.is_some() { 1 } else { 3 };
    let first_of = |images: &Images, class: usize| {
        images.labels.iter().position(|&label| label == class as i64).unwrap_or(0)
    };
    if let Some(test_images) = &source.test {
        let test = counts(test_images);
        for class in 0..256 {
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
    let images = pair(
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

/// Images and labels that belong together.
fn pair(images_path: &Path, images: &[u8], labels_path: &Path, labels: &[u8]) -> Result<Images> {
    let images = idx::parse(images_path, images)?;
    let labels = idx::parse(labels_path, labels)?;
    let shape = match images.shape[..] {
        [_, height, width] => [1, height, width],
        [_, channels, height, width] => [channels, height, width],
        _ => {
            let problem = format!(
                "has axes {:?}, but images need [rows, height, width] or [rows, channels, height, width]",
                images.shape
            );
            return Err(Error::format(images_path, problem));
        }
    };
    if shape.contains(&0) || images.shape[0] == 0 {
        return Err(Error::format(images_path, format!("has axes {:?}: there are no images", images.shape)));
    }
    if labels.shape.len() != 1 {
        return Err(Error::format(
            labels_path,
            format!("has axes {:?}, but labels need [rows]", labels.shape),
        ));
    }
    if labels.shape[0] != images.shape[0] {
        let problem = format!(
            "has {} labels, but {} has {} images",
            labels.shape[0],
            images_path.display(),
            images.shape[0]
        );
        return Err(Error::format(labels_path, problem));
    }
    Ok(Images {
        pixels: images.data,
        shape,
        labels: labels.data.into_iter().map(i64::from).collect(),
        source: labels_path.to_owned(),
    })
}

/// A folder of the MNIST family: `train-*` and `t10k-*` (or `test-*`), or one pair without a prefix.
fn idx_folder(path: &Path) -> Result<Source> {
    if !path.is_dir() {
        let problem = if path.exists() {
            "is a file; give the folder that holds the IDX files"
        } else {
            "does not exist, and no embedded set has this name (digits)"
        };
        return Err(Error::format(path, problem));
    }
    let read_pair = |prefixes: &[&str]| -> Result<Option<Images>> {
        let images = find(path, prefixes, "images", "idx3")?.or(find(path, prefixes, "images", "idx4")?);
        let labels = find(path, prefixes, "labels", "idx1")?;
        match (images, labels) {
            (Some(images), Some(labels)) => {
                pair(&images, &files::read(&images)?, &labels, &files::read(&labels)?).map(Some)
            }
            (None, None) => Ok(None),
            (Some(found), None) | (None, Some(found)) => {
                Err(Error::format(found, "has no partner: images and labels are needed"))
            }
        }
    };
    let train = read_pair(&["train-"])?;
    let test = read_pair(&["t10k-", "test-"])?;
    let (images, test) = match (train, test) {
        (Some(train), test) => (train, test),
        (None, Some(_)) => {
            return Err(Error::format(path, "has a test part but no train-images and train-labels"));
        }
        (None, None) => match read_pair(&[""])? {
            Some(images) => (images, None),
            None => {
                let problem = "holds no IDX files (train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-…, plain or .gz)";
                return Err(Error::format(path, problem));
            }
        },
    };
    if let Some(test) = &test
        && test.shape != images.shape
    {
        let problem =
            format!("its images have shape {:?}, but the training images {:?}", test.shape, images.shape);
        return Err(Error::format(&test.source, problem));
    }
    Ok(Source {
        name: path.display().to_string(),
        images,
        test,
        normalisation: None,
        class_names: None,
        default_validation: HeldOut::Fraction(0.1),
        default_test: HeldOut::Fraction(0.2),
    })
}

/// The file of this kind, under the spellings that are in use.
fn find(folder: &Path, prefixes: &[&str], kind: &str, idx: &str) -> Result<Option<PathBuf>> {
    let mut found = Vec::new();
    for prefix in prefixes {
        for name in [format!("{prefix}{kind}-{idx}-ubyte"), format!("{prefix}{kind}.{idx}-ubyte")] {
            for name in [name.clone(), format!("{name}.gz")] {
                let path = folder.join(name);
                if path.is_file() {
                    found.push(path);
                }
            }
        }
    }
    match found.len() {
        0 | 1 => Ok(found.pop()),
        _ => {
            let names: Vec<String> = found.iter().map(|path| path.display().to_string()).collect();
            Err(Error::format(
                folder,
                format!("holds several files for the same part: {}; keep one", names.join(", ")),
            ))
        }
    }
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

    #[test]
    fn normalisation_comes_from_the_training_rows() {
        let images = Images {
            pixels: vec![0, 255, 51, 102],
            shape: [1, 1, 2],
            labels: vec![0, 1],
            source: PathBuf::new(),
        };
        let all = Normalisation::of(&images, &[0]);
        assert_eq!((all.mean.clone(), all.sd.clone()), (vec![0.5], vec![0.5]));
        assert_eq!((all.tables()[0][0], all.tables()[0][255]), (-1.0, 1.0));
        let constant =
            Images { pixels: vec![9; 4], shape: [1, 2, 2], labels: vec![0], source: PathBuf::new() };
        assert_eq!(Normalisation::of(&constant, &[0]).sd, [1.0]);
    }
}
