//! Folders of pictures, one folder a class: `train/CLASS/*.png` beside `test/CLASS/*.png`, or `CLASS/*.png` alone.
//!
//! Classes are numbered in the order of their names. Pictures are PNG or JPEG; sixteen bits a channel are rounded
//! to eight. A set is grey if all of its pictures are, else grey ones are taken as colours of equal parts. Hidden
//! files are left out; anything else that is no picture is an error, for a set that lost rows in silence would
//! give figures for other data than was meant.

use std::path::{Path, PathBuf};

use image::{DynamicImage, ImageFormat, ImageReader};
use rayon::prelude::*;

use super::data::Source;
use super::images::Images;
use crate::error::{Error, Result};
use crate::files;

/// The names of the folder with the training part.
const TRAIN: [&str; 2] = ["train", "training"];
/// The names of the folder with the test part.
const TEST: [&str; 2] = ["test", "testing"];

/// Whether a folder looks like a set of pictures: it has folders and no file of the MNIST family.
pub(super) fn is_one(path: &Path) -> Result<bool> {
    let (folders, files) = entries(path)?;
    Ok(!folders.is_empty() && !files.iter().any(|file| name(file).contains("-ubyte")))
}

/// Reads a set of pictures.
///
/// # Errors
/// A class that one part lacks, a class without a picture, a file that is no picture or cannot be read, pictures
/// of different sizes, and pictures that are partly transparent.
pub(super) fn read(path: &Path) -> Result<Source> {
    let (folders, _) = entries(path)?;
    let part = |names: &[&str]| folders.iter().find(|folder| names.contains(&name(folder).as_str()));
    match (part(&TRAIN), part(&TEST)) {
        (Some(train), test) => {
            let classes = classes(train)?;
            if let Some(test) = test {
                check_same_classes(train, &classes, test)?;
            }
            let images = pictures(train, &classes)?;
            let test = test.map(|test| pictures(test, &classes)).transpose()?;
            let (images, test) = match test {
                Some(test) => {
                    let colour = images.shape[0].max(test.shape[0]);
                    (with_channels(images, colour), Some(with_channels(test, colour)))
                }
                None => (images, None),
            };
            Source::from_files(path, images, test, Some(classes))
        }
        (None, Some(test)) => {
            Err(Error::format(test, "is a test part, but there is no folder train beside it"))
        }
        (None, None) => {
            let classes = classes(path)?;
            let images = pictures(path, &classes)?;
            Source::from_files(path, images, None, Some(classes))
        }
    }
}

/// The folders and the files of a folder by name; hidden ones are left out.
fn entries(path: &Path) -> Result<(Vec<PathBuf>, Vec<PathBuf>)> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(path).map_err(Error::io(path, "reading the folder"))? {
        all.push(entry.map_err(Error::io(path, "reading the folder"))?.path());
    }
    all.retain(|entry| !name(entry).starts_with('.'));
    all.sort();
    Ok(all.into_iter().partition(|entry| entry.is_dir()))
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The names of the classes of a part.
fn classes(part: &Path) -> Result<Vec<String>> {
    let (folders, files) = entries(part)?;
    if let Some(file) = files.first() {
        let problem =
            "stands beside the folders of the classes; put it into the folder of its class, or remove it";
        return Err(Error::format(file, problem));
    }
    if folders.len() < 2 {
        let problem =
            format!("has {} folders, but needs one for each of at least two classes", folders.len());
        return Err(Error::format(part, problem));
    }
    Ok(folders.iter().map(|folder| name(folder)).collect())
}

fn check_same_classes(train: &Path, classes: &[String], test: &Path) -> Result<()> {
    let found = self::classes(test)?;
    let lacks = |class: &String, part: &Path, other: &Path| {
        let problem = format!(
            "has no folder {class:?}, which {} has; both parts need pictures of every class",
            other.display()
        );
        Err(Error::format(part, problem))
    };
    if let Some(class) = found.iter().find(|class| !classes.contains(class)) {
        return lacks(class, train, test);
    }
    match classes.iter().find(|class| !found.contains(class)) {
        Some(class) => lacks(class, test, train),
        None => Ok(()),
    }
}

/// One picture: its bytes, grey or channel by channel.
struct Picture {
    /// Channels, height, width.
    shape: [usize; 3],
    pixels: Vec<u8>,
}

/// All pictures of a part.
fn pictures(part: &Path, classes: &[String]) -> Result<Images> {
    let mut paths = Vec::new();
    for (label, class) in classes.iter().enumerate() {
        let folder = part.join(class);
        let (folders, found) = entries(&folder)?;
        if let Some(inner) = folders.first() {
            let problem =
                format!("is a folder within the folder of class {class:?}; only pictures may be there");
            return Err(Error::format(inner, problem));
        }
        if found.is_empty() {
            return Err(Error::format(folder, "holds no picture, but every class needs some"));
        }
        paths.extend(found.into_iter().map(|path| (path, label as i64)));
    }
    let read: Vec<Picture> = paths.par_iter().map(|(path, _)| picture(path)).collect::<Result<_>>()?;
    let channels = read.iter().map(|picture| picture.shape[0]).max().unwrap_or(1);
    let [_, height, width] = read.first().map(|picture| picture.shape).unwrap_or_default();
    if let Some(other) = read.iter().position(|picture| picture.shape[1..] != [height, width]) {
        let [_, found_height, found_width] = read[other].shape;
        let problem = format!(
            "is {found_width}x{found_height} pixels, but {} is {width}x{height}; all pictures need one size, so scale them first",
            paths[0].0.display()
        );
        return Err(Error::format(&paths[other].0, problem));
    }
    let mut pixels = Vec::with_capacity(read.len() * channels * height * width);
    for picture in &read {
        extend_with_channels(&mut pixels, &picture.pixels, picture.shape[0], channels);
    }
    let labels = paths.iter().map(|(_, label)| *label).collect();
    Ok(Images { pixels, shape: [channels, height, width], labels, source: part.to_owned() })
}

/// Grey values are repeated for each channel of a set in colour.
fn extend_with_channels(pixels: &mut Vec<u8>, picture: &[u8], found: usize, wanted: usize) {
    let copies = if found < wanted { wanted } else { 1 };
    (0..copies).for_each(|_| pixels.extend_from_slice(picture));
}

fn with_channels(images: Images, channels: usize) -> Images {
    let [found, height, width] = images.shape;
    if found == channels {
        return images;
    }
    let mut pixels = Vec::with_capacity(images.pixels.len() * channels);
    for picture in images.pixels.chunks_exact(height * width) {
        extend_with_channels(&mut pixels, picture, found, channels);
    }
    Images { pixels, shape: [channels, height, width], ..images }
}

fn picture(path: &Path) -> Result<Picture> {
    let bytes = files::read(path)?;
    let reader = ImageReader::new(std::io::Cursor::new(&bytes))
        .with_guessed_format()
        .map_err(Error::io(path, "reading"))?;
    if !matches!(reader.format(), Some(ImageFormat::Png | ImageFormat::Jpeg)) {
        let problem = "is no PNG or JPEG picture; remove it from the folder of the class, or convert it";
        return Err(Error::format(path, problem));
    }
    let decoded = reader.decode().map_err(|error| {
        Error::format(path, format!("cannot be read as a picture, so it is damaged or too large: {error}"))
    })?;
    let (width, height) = (decoded.width() as usize, decoded.height() as usize);
    if decoded.color().has_alpha() && decoded.to_rgba8().pixels().any(|pixel| pixel.0[3] != u8::MAX) {
        return Err(Error::format(path, "is partly transparent; put it on a background first"));
    }
    Ok(if decoded.color().has_color() {
        // Channel by channel, as the models take it.
        let interleaved = decoded.into_rgb8().into_raw();
        let pixels =
            (0..3).flat_map(|channel| interleaved.iter().skip(channel).step_by(3).copied()).collect();
        Picture { shape: [3, height, width], pixels }
    } else {
        Picture { shape: [1, height, width], pixels: grey(decoded) }
    })
}

fn grey(decoded: DynamicImage) -> Vec<u8> {
    decoded.into_luma8().into_raw()
}

#[cfg(test)]
mod tests {
    use super::super::data::load;
    use super::*;
    use crate::config::DataConfig;
    use image::{GrayImage, Luma, Rgb, RgbImage, Rgba, RgbaImage};

    fn write_grey(path: &Path, width: u32, height: u32, value: u8) {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        GrayImage::from_pixel(width, height, Luma([value])).save(path).unwrap();
    }

    /// A set of two classes, four pictures of 3x2 each, grey.
    fn set(folder: &Path, part: &str) {
        for (class, value) in [("cat", 10), ("dog", 200)] {
            for index in 0..4 {
                write_grey(&folder.join(part).join(class).join(format!("{index}.png")), 3, 2, value + index);
            }
        }
    }

    fn message(folder: &Path) -> String {
        let config = DataConfig { path: folder.display().to_string(), ..DataConfig::default() };
        load(&config).unwrap_err().to_string()
    }

    #[test]
    fn classes_are_folders_by_name_and_pixels_are_those_of_the_pictures() {
        let folder = tempfile::tempdir().unwrap();
        set(folder.path(), "train");
        set(folder.path(), "test");
        let source = read(folder.path()).unwrap();
        assert_eq!(source.class_names.unwrap(), ["cat", "dog"]);
        assert_eq!((source.images.shape, source.images.len()), ([1, 2, 3], 8));
        assert_eq!(source.images.labels, [0, 0, 0, 0, 1, 1, 1, 1]);
        assert_eq!(source.images.image(5), [201; 6]);
        assert_eq!(source.test.unwrap().len(), 8);
    }

    #[test]
    fn one_picture_in_colour_makes_the_set_one_and_hidden_files_are_left_out() {
        let folder = tempfile::tempdir().unwrap();
        set(folder.path(), "");
        std::fs::write(folder.path().join("cat/.thumbnail"), "x").unwrap();
        let mut picture = RgbImage::from_pixel(3, 2, Rgb([1, 2, 3]));
        picture.put_pixel(2, 1, Rgb([7, 8, 9]));
        picture.save(folder.path().join("dog/a.png")).unwrap();
        let opaque = RgbaImage::from_pixel(3, 2, Rgba([4, 5, 6, 255]));
        opaque.save(folder.path().join("dog/b.png")).unwrap();
        let images = read(folder.path()).unwrap().images;
        assert_eq!((images.shape, images.len()), ([3, 2, 3], 10));
        assert_eq!(images.image(0), [10; 18]);
        let (last, before) = (images.image(9), images.image(8));
        assert_eq!(last, [[4; 6], [5; 6], [6; 6]].concat());
        assert_eq!(before[..], [1, 1, 1, 1, 1, 7, 2, 2, 2, 2, 2, 8, 3, 3, 3, 3, 3, 9]);
    }

    #[test]
    fn a_class_that_one_part_lacks_is_named() {
        for (lacking, class) in [("train", "dog"), ("test", "cat")] {
            let folder = tempfile::tempdir().unwrap();
            set(folder.path(), "train");
            set(folder.path(), "test");
            write_grey(&folder.path().join(lacking).join("fox/0.png"), 3, 2, 0);
            let other = if lacking == "train" { "test" } else { "train" };
            write_grey(&folder.path().join(other).join("fox/0.png"), 3, 2, 0);
            std::fs::remove_dir_all(folder.path().join(lacking).join(class)).unwrap();
            let message = message(folder.path());
            let wanted = format!("{lacking}: has no folder \"{class}\"");
            assert!(message.contains(&wanted) && message.contains("every class"), "{message}");
        }
    }

    #[test]
    fn a_file_that_is_no_picture_or_a_damaged_one_is_named() {
        let folder = tempfile::tempdir().unwrap();
        set(folder.path(), "");
        let stray = folder.path().join("dog/notes.txt");
        std::fs::write(&stray, "walk the dog").unwrap();
        assert!(message(folder.path()).contains("notes.txt: is no PNG or JPEG picture"));
        std::fs::remove_file(stray).unwrap();
        let picture = folder.path().join("dog/3.png");
        let bytes = std::fs::read(&picture).unwrap();
        std::fs::write(&picture, &bytes[..bytes.len() / 2]).unwrap();
        let damaged = message(folder.path());
        assert!(damaged.contains("3.png: cannot be read as a picture"), "{damaged}");
        std::fs::write(&picture, bytes).unwrap();
        std::fs::create_dir(folder.path().join("dog/puppies")).unwrap();
        assert!(message(folder.path()).contains("puppies: is a folder within"));
        std::fs::remove_dir(folder.path().join("dog/puppies")).unwrap();
        std::fs::create_dir(folder.path().join("eel")).unwrap();
        assert!(message(folder.path()).contains("eel: holds no picture"));
        std::fs::remove_dir(folder.path().join("eel")).unwrap();
        std::fs::write(folder.path().join("labels.csv"), "").unwrap();
        assert!(message(folder.path()).contains("labels.csv: stands beside the folders"));
    }

    #[test]
    fn pictures_of_another_size_or_with_holes_are_named() {
        let folder = tempfile::tempdir().unwrap();
        set(folder.path(), "");
        write_grey(&folder.path().join("dog/2.png"), 2, 3, 0);
        let size = message(folder.path());
        assert!(size.contains("2.png: is 2x3 pixels") && size.contains("0.png is 3x2"), "{size}");
        set(folder.path(), "");
        RgbaImage::from_pixel(3, 2, Rgba([1, 2, 3, 4])).save(folder.path().join("dog/2.png")).unwrap();
        assert!(message(folder.path()).contains("2.png: is partly transparent"));
    }

    #[test]
    fn parts_of_different_sizes_or_a_lonely_part_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        set(folder.path(), "train");
        for class in ["cat", "dog"] {
            write_grey(&folder.path().join("test").join(class).join("0.png"), 5, 5, 0);
        }
        assert!(message(folder.path()).contains("[1, 5, 5]"));
        std::fs::remove_dir_all(folder.path().join("train")).unwrap();
        assert!(message(folder.path()).contains("no folder train"));
        std::fs::remove_dir_all(folder.path().join("test/cat")).unwrap();
        std::fs::rename(folder.path().join("test/dog"), folder.path().join("dog")).unwrap();
        std::fs::remove_dir_all(folder.path().join("test")).unwrap();
        assert!(message(folder.path()).contains("at least two classes"));
    }
}
