//! The binary files of CIFAR-10 and CIFAR-100 (Krizhevsky 2009), plain or gzip.
//!
//! A file is a row of records: the label (CIFAR-100: the coarse label, then the fine one, which is the one
//! used), then 3,072 bytes of a 32x32 image, the planes red, green, blue one after the other. There is no
//! header.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::files;

/// Channels, height, width of every image.
pub(super) const SHAPE: [usize; 3] = [3, 32, 32];

const IMAGE_LEN: usize = 3 * 32 * 32;

/// Which of the two sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// 10 classes; `data_batch_1.bin` to `data_batch_5.bin`, `test_batch.bin`.
    Cifar10,
    /// 100 classes in 20 groups; `train.bin`, `test.bin`.
    Cifar100,
}

/// The images of one part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    /// The bytes of `[rows, 3, 32, 32]`.
    pub pixels: Vec<u8>,
    /// The class of each row.
    pub labels: Vec<i64>,
    /// The file, or the folder if there are several files.
    pub source: PathBuf,
}

/// A set as it lies in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cifar {
    /// The training images.
    pub train: Part,
    /// The test images, if the folder has some.
    pub test: Option<Part>,
    /// The names of the classes, if the folder has them.
    pub class_names: Option<Vec<String>>,
}

impl Kind {
    /// The set's name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Kind::Cifar10 => "CIFAR-10",
            Kind::Cifar100 => "CIFAR-100",
        }
    }

    /// For each byte of a label its name and the number of its classes; the last one is the class.
    fn labels(self) -> &'static [(&'static str, u8)] {
        match self {
            Kind::Cifar10 => &[("label", 10)],
            Kind::Cifar100 => &[("coarse label", 20), ("fine label", 100)],
        }
    }

    fn class_names_file(self) -> &'static str {
        match self {
            Kind::Cifar10 => "batches.meta.txt",
            Kind::Cifar100 => "fine_label_names.txt",
        }
    }

    /// What a training part is made of, for messages.
    fn train_files(self) -> &'static str {
        match self {
            Kind::Cifar10 => "data_batch_1.bin … data_batch_5.bin",
            Kind::Cifar100 => "train.bin",
        }
    }

    /// The part that a file of this name belongs to, and its place there.
    fn place(self, name: &str) -> Option<Place> {
        let stem = name.strip_suffix(".gz").unwrap_or(name).strip_suffix(".bin")?;
        match (self, stem) {
            (Kind::Cifar10, "test_batch") | (Kind::Cifar100, "test") => Some(Place::Test),
            (Kind::Cifar10, _) => stem.strip_prefix("data_batch_")?.parse().ok().map(Place::Train),
            (Kind::Cifar100, "train") => Some(Place::Train(1)),
            (Kind::Cifar100, _) => None,
        }
    }

    /// Whether the folder has the files of the edition for Python, which are pickled.
    fn is_pickled_in(self, folder: &Path) -> bool {
        let names: &[&str] = match self {
            Kind::Cifar10 => &["data_batch_1", "batches.meta"],
            Kind::Cifar100 => &["train", "meta"],
        };
        names.iter().all(|name| folder.join(name).is_file())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Train(u32),
    Test,
}

/// Which set a folder looks like, by the names of its files.
///
/// The edition for Python counts as well; [`read`] then says which one to take instead.
pub(super) fn kind(folder: &Path) -> Option<Kind> {
    let is =
        |kind: &Kind| list(folder, *kind).is_ok_and(|found| !found.is_empty()) || kind.is_pickled_in(folder);
    [Kind::Cifar10, Kind::Cifar100].into_iter().find(is)
}

/// Reads the set in a folder. Training batches may be missing, and so may the test part.
///
/// # Errors
/// No training part, files of both sets, one part in two files, a file that is empty, truncated or damaged,
/// a label that is no class, class names that are not one a class.
pub(super) fn read(folder: &Path, kind: Kind) -> Result<Cifar> {
    let found = list(folder, kind)?;
    if found.is_empty() && kind.is_pickled_in(folder) {
        let problem = format!(
            "holds the edition of {} for Python; the binary edition is needed ({})",
            kind.name(),
            kind.train_files()
        );
        return Err(Error::format(folder, problem));
    }
    let other = if kind == Kind::Cifar10 { Kind::Cifar100 } else { Kind::Cifar10 };
    if !found.is_empty() && !list(folder, other)?.is_empty() {
        let problem = "holds files of both CIFAR-10 and CIFAR-100; give each its own folder";
        return Err(Error::format(folder, problem));
    }
    let (mut train, mut test) = (Vec::new(), Vec::new());
    for (place, paths) in found {
        let [path] = &paths[..] else {
            let names: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
            let problem = format!("holds several files for the same part: {}; keep one", names.join(", "));
            return Err(Error::format(folder, problem));
        };
        if place == Place::Test { &mut test } else { &mut train }.push(path.clone());
    }
    if train.is_empty() {
        let problem = format!("has no training part of {} ({})", kind.name(), kind.train_files());
        return Err(Error::format(folder, problem));
    }
    Ok(Cifar {
        train: read_part(folder, &train, kind)?,
        test: if test.is_empty() { None } else { Some(read_part(folder, &test, kind)?) },
        class_names: class_names(&folder.join(kind.class_names_file()), kind)?,
    })
}

/// The files of a set in a folder, in the order in which they are read.
fn list(folder: &Path, kind: Kind) -> Result<BTreeMap<Place, Vec<PathBuf>>> {
    let mut found: BTreeMap<Place, Vec<PathBuf>> = BTreeMap::new();
    for entry in std::fs::read_dir(folder).map_err(Error::io(folder, "listing"))? {
        let entry = entry.map_err(Error::io(folder, "listing"))?;
        let place = entry.file_name().to_str().and_then(|name| kind.place(name));
        if let Some(place) = place
            && entry.path().is_file()
        {
            found.entry(place).or_default().push(entry.path());
        }
    }
    // A folder lists its files in any order; messages should not change with it.
    found.values_mut().for_each(|paths| paths.sort());
    Ok(found)
}

/// The rows of these files, one file after the other.
fn read_part(folder: &Path, paths: &[PathBuf], kind: Kind) -> Result<Part> {
    let source = if let [path] = paths { path } else { folder };
    let mut part = Part { pixels: Vec::new(), labels: Vec::new(), source: source.to_owned() };
    for path in paths {
        let bytes = files::read(path)?;
        append(&mut part, path, &files::unpacked(path, &bytes)?, kind)?;
    }
    Ok(part)
}

/// Appends the records of one file.
fn append(part: &mut Part, path: &Path, bytes: &[u8], kind: Kind) -> Result<()> {
    let labels = kind.labels();
    let record = labels.len() + IMAGE_LEN;
    if bytes.is_empty() {
        return Err(Error::format(path, "is empty: there are no images"));
    }
    let records = bytes.chunks_exact(record);
    if !records.remainder().is_empty() {
        let problem = format!(
            "is truncated or no file of {}: it has {} bytes, which is not a multiple of its records of {record}",
            kind.name(),
            bytes.len()
        );
        return Err(Error::format(path, problem));
    }
    part.pixels.reserve(records.len() * IMAGE_LEN);
    part.labels.reserve(records.len());
    for (row, record) in records.enumerate() {
        let (label, pixels) = record.split_at(labels.len());
        for (byte, (name, classes)) in label.iter().zip(labels) {
            if byte >= classes {
                let problem = format!(
                    "row {row}: the {name} is {byte}, but {} has {name}s 0..={}",
                    kind.name(),
                    classes - 1
                );
                return Err(Error::format(path, problem));
            }
        }
        part.pixels.extend(pixels);
        part.labels.extend(label.last().map(|class| i64::from(*class)));
    }
    Ok(())
}

/// One name a line; `None` without a file.
fn class_names(path: &Path, kind: Kind) -> Result<Option<Vec<String>>> {
    if !path.is_file() {
        return Ok(None);
    }
    let text = String::from_utf8(files::read(path)?)
        .map_err(|_| Error::format(path, "is no UTF-8 text, but class names are needed, one a line"))?;
    let names: Vec<String> =
        text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect();
    let classes = kind.labels().last().map_or(0, |(_, classes)| usize::from(*classes));
    if names.len() != classes {
        let problem = format!("has {} class names, but {} has {classes} classes", names.len(), kind.name());
        return Err(Error::format(path, problem));
    }
    Ok(Some(names))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::io::Write;

    /// Records with these label bytes; the pixels of a plane are `first`, `first + 1`, `first + 2`.
    fn records(rows: &[(&[u8], u8)]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (label, first) in rows {
            bytes.extend(*label);
            (0..3).for_each(|plane| bytes.extend([first + plane; 1024]));
        }
        bytes
    }

    fn folder(files: &[(&str, Vec<u8>)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        files.iter().for_each(|(name, bytes)| fs::write(folder.path().join(name), bytes).unwrap());
        folder
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn message(files: &[(&str, Vec<u8>)]) -> String {
        let folder = folder(files);
        read(folder.path(), kind(folder.path()).unwrap()).unwrap_err().to_string()
    }

    #[test]
    fn the_batches_of_cifar_10_are_read_in_order() {
        let names = "airplane\nautomobile\nbird\ncat\ndeer\r\ndog\nfrog\nhorse\nship\ntruck\n\n";
        let folder = folder(&[
            ("data_batch_10.bin", records(&[(&[7], 70)])),
            ("data_batch_4.bin.gz", gzip(&records(&[(&[4], 40)]))),
            ("data_batch_2.bin", records(&[(&[2], 20), (&[9], 250)])),
            ("data_batch_x.bin", vec![1]),
            ("test_batch.bin", records(&[(&[0], 1)])),
            ("batches.meta.txt", names.into()),
        ]);
        assert_eq!(kind(folder.path()), Some(Kind::Cifar10));
        let set = read(folder.path(), Kind::Cifar10).unwrap();
        assert_eq!(set.train.labels, [2, 9, 4, 7]);
        assert_eq!(set.train.pixels.len(), 4 * SHAPE.iter().product::<usize>());
        let planes: Vec<u8> = set.train.pixels.iter().step_by(1024).copied().collect();
        assert_eq!(planes, [20, 21, 22, 250, 251, 252, 40, 41, 42, 70, 71, 72]);
        assert_eq!(set.train.source, folder.path());
        let test = set.test.unwrap();
        assert_eq!((test.labels, test.pixels[3071]), (vec![0], 3));
        assert_eq!(test.source, folder.path().join("test_batch.bin"));
        let class_names = set.class_names.unwrap();
        assert_eq!((class_names.len(), &class_names[4][..], &class_names[9][..]), (10, "deer", "truck"));
    }

    #[test]
    fn cifar_100_has_the_fine_labels() {
        let folder = folder(&[
            ("train.bin", records(&[(&[19, 99], 0), (&[3, 41], 9)])),
            ("test.bin.gz", gzip(&records(&[(&[0, 98], 5)]))),
        ]);
        assert_eq!(kind(folder.path()), Some(Kind::Cifar100));
        let set = read(folder.path(), Kind::Cifar100).unwrap();
        assert_eq!((set.train.labels, set.train.pixels[3072]), (vec![99, 41], 9));
        assert_eq!(set.train.source, folder.path().join("train.bin"));
        assert_eq!((set.test.unwrap().labels, set.class_names), (vec![98], None));
    }

    #[test]
    fn a_folder_is_known_by_its_files() {
        let none =
            folder(&[("train-images-idx3-ubyte", vec![]), ("data_batch_1", vec![]), ("a.bin", vec![])]);
        assert_eq!(kind(none.path()), None);
        assert_eq!(kind(&none.path().join("nowhere")), None);
        assert_eq!(kind(&none.path().join("a.bin")), None);
        fs::create_dir(none.path().join("train.bin")).unwrap();
        assert_eq!(kind(none.path()), None);
        let train = records(&[(&[1], 0)]);
        let set = folder(&[("data_batch_3.bin", train)]);
        assert_eq!(read(set.path(), Kind::Cifar10).unwrap().test, None);
    }

    #[test]
    fn every_damage_is_named() {
        let good = || records(&[(&[1], 0), (&[2], 0)]);
        let found = message(&[("data_batch_1.bin", good()), ("data_batch_2.bin", good()[1..].to_vec())]);
        assert!(found.contains("data_batch_2.bin: is truncated or no file of CIFAR-10"), "{found}");
        assert!(found.contains("has 6145 bytes") && found.contains("records of 3073"), "{found}");
        let found = message(&[("data_batch_1.bin", records(&[(&[1], 0), (&[10], 0)]))]);
        assert!(found.contains("data_batch_1.bin: row 1: the label is 10, but CIFAR-10 has labels 0..=9"));
        let found = message(&[("train.bin", records(&[(&[20, 1], 0)]))]);
        assert!(found.contains("row 0: the coarse label is 20") && found.contains("0..=19"), "{found}");
        let found =
            message(&[("train.bin", records(&[(&[0, 1], 0)])), ("test.bin", records(&[(&[1, 100], 0)]))]);
        assert!(found.contains("test.bin: row 0: the fine label is 100"), "{found}");
        let found = message(&[("data_batch_1.bin", good()), ("test_batch.bin", vec![])]);
        assert!(found.contains("test_batch.bin: is empty"), "{found}");
        assert!(message(&[("train.bin.gz", gzip(&[]))]).contains("train.bin.gz: is empty"));
        let packed = gzip(&good());
        let found = message(&[("data_batch_1.bin.gz", packed[..packed.len() - 9].to_vec())]);
        assert!(found.contains("the gzip data is damaged or truncated"), "{found}");
    }

    #[test]
    fn folders_that_are_no_whole_set_are_refused() {
        let good = || records(&[(&[1], 0)]);
        let found = message(&[("test_batch.bin", good())]);
        assert!(found.contains("has no training part of CIFAR-10 (data_batch_1.bin"), "{found}");
        let found = message(&[("data_batch_1.bin", good()), ("data_batch_1.bin.gz", gzip(&good()))]);
        assert!(
            found.contains("several files for the same part") && found.contains("bin.gz; keep one"),
            "{found}"
        );
        let found = message(&[("data_batch_1.bin", good()), ("train.bin", good())]);
        assert!(found.contains("both CIFAR-10 and CIFAR-100"), "{found}");
        let found = message(&[("data_batch_1.bin", good()), ("batches.meta.txt", "cat\ndog\n".into())]);
        assert!(found.contains("batches.meta.txt: has 2 class names, but CIFAR-10 has 10"), "{found}");
        let found = message(&[("data_batch_1.bin", good()), ("batches.meta.txt", vec![0xff])]);
        assert!(found.contains("no UTF-8 text"), "{found}");
        let found = message(&[("train", vec![]), ("test", vec![]), ("meta", vec![])]);
        assert!(found.contains("edition of CIFAR-100 for Python; the binary edition is needed (train.bin)"));
        let found = message(&[("data_batch_1", vec![]), ("batches.meta", vec![])]);
        assert!(found.contains("edition of CIFAR-10 for Python"), "{found}");
    }
}
