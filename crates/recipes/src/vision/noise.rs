//! Wrong labels on purpose: symmetric, to the next class, or by a matrix.
//!
//! Whether and how a row's label changes is a function of (seed, row) and of nothing else, and a row that is wrong
//! at one rate is wrong at every higher one. Images are not touched.

use std::fmt;
use std::path::{Path, PathBuf};

use candor::random::Stream;

use super::label_file;
use crate::error::{Error, Result};

/// How labels are changed.
#[derive(Debug, Clone, PartialEq)]
pub enum Noise {
    /// Not at all.
    None,
    /// With this probability a label becomes one of the other classes, each equally likely.
    Symmetric(f64),
    /// With this probability a label becomes the next class, the last one the first.
    Pairwise(f64),
    /// Row y of the file's matrix is the distribution of the new label of class y.
    Matrix(PathBuf),
}

impl Noise {
    /// Reads `none`, `symmetric:P`, `pairwise:P` or `matrix:FILE`: the form that [`fmt::Display`] writes.
    ///
    /// # Errors
    /// [`Error::Config`] naming `key`.
    pub fn parse(key: &str, text: &str) -> Result<Self> {
        let refused = || {
            Error::config(
                key,
                text,
                "must be none, symmetric:P, pairwise:P with P in [0, 1], or matrix:FILE (.csv or .npy)",
            )
        };
        let share = |text: &str| text.parse().ok().filter(|p| (0.0..=1.0).contains(p)).ok_or_else(refused);
        Ok(match text.trim().split_once(':') {
            None if text.trim() == "none" => Noise::None,
            Some(("symmetric", p)) => Noise::Symmetric(share(p)?),
            Some(("pairwise", p)) => Noise::Pairwise(share(p)?),
            Some(("matrix", file)) if !file.is_empty() => Noise::Matrix(file.into()),
            _ => return Err(refused()),
        })
    }

    /// The noise over these classes.
    ///
    /// # Errors
    /// A matrix that cannot be read, is not square over the classes, or whose rows are no distributions.
    pub fn over(&self, n_classes: usize) -> Result<Flips> {
        Ok(Flips {
            n_classes: n_classes as u64,
            kind: match self {
                Noise::None => Kind::Symmetric(0.0),
                Noise::Symmetric(p) => Kind::Symmetric(*p),
                Noise::Pairwise(p) => Kind::Pairwise(*p),
                Noise::Matrix(path) => Kind::Matrix(matrix(path, n_classes)?),
            },
        })
    }
}

impl fmt::Display for Noise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Noise::None => f.write_str("none"),
            Noise::Symmetric(p) => write!(f, "symmetric:{p}"),
            Noise::Pairwise(p) => write!(f, "pairwise:{p}"),
            Noise::Matrix(path) => write!(f, "matrix:{}", path.display()),
        }
    }
}

/// Which labels receive the noise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoisyParts {
    /// Those of the training rows.
    Train,
    /// Those of the validation rows too, as where no clean label can be had.
    Validation,
    /// All, the test rows among them: figures are then against wrong labels.
    All,
}

impl NoisyParts {
    /// Reads `train`, `validation` or `all`.
    ///
    /// # Errors
    /// [`Error::Config`] naming `key`.
    pub fn parse(key: &str, text: &str) -> Result<Self> {
        Ok(match text.trim() {
            "train" => NoisyParts::Train,
            "validation" => NoisyParts::Validation,
            "all" => NoisyParts::All,
            _ => {
                return Err(Error::config(key, text, "must be train, validation (training rows too) or all"));
            }
        })
    }
}

/// Noise over a known number of classes.
#[derive(Debug, Clone, PartialEq)]
pub struct Flips {
    n_classes: u64,
    kind: Kind,
}

#[derive(Debug, Clone, PartialEq)]
enum Kind {
    Symmetric(f64),
    Pairwise(f64),
    /// `[n_classes, n_classes]`, row after row.
    Matrix(Vec<f64>),
}

impl Flips {
    /// The label that a row gets; `part` keeps the rows of different files apart.
    pub fn label(&self, label: i64, seed: u64, part: u64, row: u64) -> i64 {
        let Ok(class) = u64::try_from(label) else { return label };
        let mut stream = Stream::new(seed, "noise", part, row);
        let draw = stream.uniform();
        let new = match &self.kind {
            Kind::Symmetric(p) if draw < *p => {
                let other = stream.below(self.n_classes.saturating_sub(1));
                // The other classes in order, the own one left out.
                if other >= class { other + 1 } else { other }
            }
            Kind::Pairwise(p) if draw < *p => (class + 1) % self.n_classes.max(1),
            Kind::Symmetric(_) | Kind::Pairwise(_) => class,
            Kind::Matrix(matrix) => {
                let n = self.n_classes as usize;
                let row = matrix.get(class as usize * n..(class as usize + 1) * n).unwrap_or_default();
                let mut sum = 0.0;
                let drawn = row.iter().position(|p| {
                    sum += p;
                    draw < sum
                });
                // Rounding may leave the sum below a draw next to 1: the last class that can be drawn.
                let last = row.iter().rposition(|p| *p > 0.0);
                drawn.or(last).map_or(class, |class| class as u64)
            }
        };
        new as i64
    }

    /// The uniform smoothing that symmetric noise acts like in expectation, `ρ = p·K/(K-1)`; `None` for other noise
    /// and for rates at which the label is the least likely class.
    pub fn smoothing(&self) -> Option<f64> {
        let k = self.n_classes as f64;
        match self.kind {
            Kind::Symmetric(p) => Some(p * k / (k - 1.0)).filter(|strength| *strength <= 1.0),
            _ => None,
        }
    }
}

/// Largest accepted |sum - 1| of a row of the matrix.
const TOLERANCE: f64 = 1e-4;

fn matrix(path: &Path, n_classes: usize) -> Result<Vec<f64>> {
    let (columns, mut values) = label_file::table(path)?;
    let rows = values.len().checked_div(columns).unwrap_or(0);
    if (rows, columns) != (n_classes, n_classes) {
        let problem =
            format!("has {rows} rows of {columns} values, but {n_classes} classes need a square of them");
        return Err(Error::format(path, problem));
    }
    for (class, row) in values.chunks_exact_mut(columns).enumerate() {
        let sum: f64 = row.iter().sum();
        if row.iter().any(|p| !(0.0..=1.0).contains(p)) || (sum - 1.0).abs() > TOLERANCE {
            let problem = format!(
                "row {class} is no distribution: probabilities must be in [0, 1] and sum to 1, but sum to {sum}"
            );
            return Err(Error::format(path, problem));
        }
        row.iter_mut().for_each(|p| *p /= sum);
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flips(text: &str, n_classes: usize) -> Flips {
        Noise::parse("data.noise", text).unwrap().over(n_classes).unwrap()
    }

    /// How often each label becomes each.
    fn counts(flips: &Flips, n_classes: usize, rows: u64) -> Vec<Vec<f64>> {
        let mut counts = vec![vec![0.0; n_classes]; n_classes];
        for row in 0..rows {
            let label = (row as usize) % n_classes;
            counts[label][flips.label(label as i64, 3, 0, row) as usize] += n_classes as f64 / rows as f64;
        }
        counts
    }

    #[test]
    fn symmetric_noise_goes_to_the_other_classes_evenly() {
        let counts = counts(&flips("symmetric:0.4", 5), 5, 100_000);
        for (label, row) in counts.iter().enumerate() {
            for (class, share) in row.iter().enumerate() {
                let want = if class == label { 0.6 } else { 0.1 };
                // Five standard errors of a share over 20,000 rows are .017 at most.
                assert!((share - want).abs() < 0.018, "{label} {class} {share}");
            }
        }
        assert!((flips("symmetric:0.36", 10).smoothing().unwrap() - 0.4).abs() < 1e-15);
    }

    #[test]
    fn pairwise_noise_goes_to_the_next_class_and_round() {
        let flips = flips("pairwise:0.25", 3);
        let counts = counts(&flips, 3, 60_000);
        for (label, row) in counts.iter().enumerate() {
            assert!((row[(label + 1) % 3] - 0.25).abs() < 0.016);
            assert_eq!(row[(label + 2) % 3], 0.0);
        }
        assert_eq!(flips.smoothing(), None);
    }

    #[test]
    fn a_matrix_is_followed_and_checked() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.csv");
        let text = format!("matrix:{}", path.display());
        std::fs::write(&path, "0.5,0.5,0\n0,1,0\n0.1,0.2,0.7\n").unwrap();
        let counts = counts(&flips(&text, 3), 3, 60_000);
        for (row, want) in counts.iter().zip([[0.5, 0.5, 0.0], [0.0, 1.0, 0.0], [0.1, 0.2, 0.7]]) {
            for (share, want) in row.iter().zip(want) {
                assert!((share - want).abs() < 0.019, "{share} {want}");
            }
        }
        let message = |classes| Noise::parse("k", &text).unwrap().over(classes).unwrap_err().to_string();
        assert!(message(4).contains("3 rows of 3 values, but 4 classes"));
        std::fs::write(&path, "0.5,0.4\n0,1\n").unwrap();
        assert!(message(2).contains("row 0 is no distribution"));
        std::fs::write(&path, "0.5,0.5\n0,one\n").unwrap();
        assert!(message(2).contains("line 2"), "{}", message(2));
        assert!(Noise::parse("k", "matrix:/nowhere.csv").unwrap().over(2).is_err());
    }

    #[test]
    fn rows_that_are_wrong_stay_wrong_at_higher_rates_and_depend_on_the_seed() {
        let (low, high) = (flips("symmetric:0.2", 10), flips("symmetric:0.4", 10));
        let mut wrong = 0;
        for row in 0..2000 {
            if low.label(4, 0, 0, row) != 4 {
                wrong += 1;
                assert_eq!(high.label(4, 0, 0, row), low.label(4, 0, 0, row));
            }
        }
        assert!(wrong > 300);
        let of = |seed, part| (0..100).map(|row| high.label(4, seed, part, row)).collect::<Vec<_>>();
        assert!(of(0, 0) != of(1, 0) && of(0, 0) != of(0, 1) && of(0, 0) == of(0, 0));
    }

    #[test]
    fn the_text_is_read_and_written_back() {
        for text in ["none", "symmetric:0.4", "pairwise:1", "matrix:a/b.csv"] {
            assert_eq!(Noise::parse("k", text).unwrap().to_string(), text);
        }
        for bad in [
            "",
            "symmetric",
            "symmetric:",
            "symmetric:1.1",
            "pairwise:-0.1",
            "symmetric:nan",
            "matrix:",
            "x:1",
        ] {
            let message = Noise::parse("data.noise", bad).unwrap_err().to_string();
            assert!(message.starts_with("data.noise = ") && message.contains("symmetric:P"), "{message}");
        }
        assert!(NoisyParts::parse("k", "tests").unwrap_err().to_string().contains("train, validation"));
        assert_eq!(NoisyParts::parse("k", "all").unwrap(), NoisyParts::All);
    }
}
