//! Arrays of NumPy (`.npy`): scores of any float type, labels of any integer type.

use std::path::Path;

use super::array_column::{ArrayColumn, open_npy};
use super::{ScoreKind, Scores, Values};
use crate::error::Result;
use crate::files::write_atomic;

/// Reads scores: an array of numbers `[n, n_classes]`.
///
/// # Errors
/// [`Error::Io`](crate::Error::Io), or [`Error::Format`](crate::Error::Format) for another shape, type or a truncated file.
pub fn read_scores(path: &Path, kind: ScoreKind) -> Result<Scores> {
    let column = open_npy(path)?;
    let n_classes = column.classes(kind.name())?;
    Ok(Scores { kind, values: column.into_values()?, n_classes })
}

/// Reads labels: an integer array `[n]` (or `[n, 1]`).
///
/// # Errors
/// [`Error::Io`](crate::Error::Io), or [`Error::Format`](crate::Error::Format) for another shape, type or a truncated file.
pub fn read_labels(path: &Path) -> Result<Vec<i64>> {
    one_axis(open_npy(path)?, "labels")?.into_integers()
}

/// Reads an array of numbers `[n]`, such as class weights.
///
/// # Errors
/// [`Error::Io`](crate::Error::Io), or [`Error::Format`](crate::Error::Format) for another shape, type or a truncated file.
pub fn read_vector(path: &Path) -> Result<Vec<f64>> {
    Ok(one_axis(open_npy(path)?, "weights")?.into_values()?.into_f64())
}

fn one_axis(column: ArrayColumn, what: &str) -> Result<ArrayColumn> {
    column.check_one_axis(what)?;
    Ok(column)
}

/// Writes scores as a float array `[n, n_classes]`.
///
/// # Errors
/// [`Error::Io`](crate::Error::Io).
pub fn write_scores(path: &Path, scores: &Scores) -> Result<()> {
    use npyz::WriterBuilder;
    let shape = [scores.n_rows() as u64, scores.n_classes as u64];
    write_atomic(path, |file| {
        let writer = std::io::BufWriter::new(file);
        match &scores.values {
            Values::F32(values) => {
                let mut npy =
                    npyz::WriteOptions::new().default_dtype().shape(&shape).writer(writer).begin_nd()?;
                npy.extend(values.iter().copied())?;
                npy.finish()
            }
            Values::F64(values) => {
                let mut npy =
                    npyz::WriteOptions::new().default_dtype().shape(&shape).writer(writer).begin_nd()?;
                npy.extend(values.iter().copied())?;
                npy.finish()
            }
        }
    })
}

/// Writes numbers as a float array `[n]`.
///
/// # Errors
/// [`Error::Io`](crate::Error::Io).
pub fn write_vector(path: &Path, values: &[f64]) -> Result<()> {
    use npyz::WriterBuilder;
    write_atomic(path, |file| {
        let writer = std::io::BufWriter::new(file);
        let shape = [values.len() as u64];
        let mut npy = npyz::WriteOptions::new().default_dtype().shape(&shape).writer(writer).begin_nd()?;
        npy.extend(values.iter().copied())?;
        npy.finish()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    #[test]
    fn scores_survive_a_round_trip_in_their_own_precision() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npy");
        for values in [Values::F32(vec![1.5, -2.0, 0.1, 7.0]), Values::F64(vec![0.1, 0.2, 0.3, 0.4])] {
            let scores = Scores { kind: ScoreKind::Logits, values, n_classes: 2 };
            write_scores(&path, &scores).unwrap();
            assert_eq!(read_scores(&path, ScoreKind::Logits).unwrap(), scores);
        }
        assert!(matches!(read_labels(&path), Err(Error::Format { .. })));
    }

    #[test]
    fn a_truncated_or_foreign_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npy");
        let scores = Scores { kind: ScoreKind::Logits, values: Values::F32(vec![0.0; 8]), n_classes: 2 };
        write_scores(&path, &scores).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() - 3]).unwrap();
        let message = read_scores(&path, ScoreKind::Logits).unwrap_err().to_string();
        assert!(message.contains("a.npy") && message.contains("too early"), "{message}");
        std::fs::write(&path, b"not an array").unwrap();
        assert!(read_scores(&path, ScoreKind::Logits).unwrap_err().to_string().contains("not a NumPy array"));
        assert!(matches!(read_scores(&folder.path().join("none"), ScoreKind::Logits), Err(Error::Io { .. })));
    }
}
