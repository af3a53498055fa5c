//! Sets of the MNIST family: pairs of IDX files with images and labels.

use std::path::{Path, PathBuf};

use super::data::Source;
use super::idx;
use super::images::Images;
use crate::error::{Error, Result};
use crate::files;

/// Images and labels that belong together.
pub(super) fn pair(images_path: &Path, images: &[u8], labels_path: &Path, labels: &[u8]) -> Result<Images> {
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
pub(super) fn folder(path: &Path) -> Result<Source> {
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
                let problem = "holds no IDX files (train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-…, plain or .gz), no CIFAR files and no folder of images for each class";
                return Err(Error::format(path, problem));
            }
        },
    };
    Source::from_files(path, images, test, None)
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
