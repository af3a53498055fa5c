//! Smoothing towards similar classes: the mass follows a softmax of similarities.

use super::matrix::check_matrix_classes;
use super::{Entry, Make, Matrix, SMOOTHING, TargetInfo, TargetRule, Targets};
use crate::batch::Labels;
use crate::error::{Error, Result, check_len, check_range};
use crate::parameters::Parameter;

pub(super) const ENTRY: Entry =
    Entry { info: &INFO, make: Make::Data("similarities of the classes (ClassSimilarity::new)") };

const INFO: TargetInfo = TargetInfo {
    name: "class_similarity",
    summary: "smoothing mass to the classes that are similar to the label, by embeddings or text",
    formula: "q = (1-α)·onehot(y) + α·softmax over k≠y of S[y,k]/τ",
    parameters: &[SMOOTHING, Parameter::number("temperature", 1.0, 1e-6, 1e6, "the temperature τ")],
    paper: "Liu & JaJa 2020, arXiv:2006.14028",
};

/// Shares the smoothing mass by similarity: `q = (1-α)·onehot(y) + α·softmax(S[y]/τ)` without y itself.
///
/// When some mistakes are better than others and a similarity of the classes is at hand (cosines of class
/// names or of embeddings). A small τ gives all mass to the nearest class; a large τ tends to off-class
/// smoothing.
///
/// # Shapes
/// Similarities are `[n_classes, n_classes]`, finite, any scale; the diagonal is not read.
///
/// # Examples
/// ```
/// use candor::targets::{ClassSimilarity, TargetRule};
/// let similarity = [1.0, 0.5, 0.5, 0.5, 1.0, 0.5, 0.5, 0.5, 1.0];
/// let q = ClassSimilarity::new(0.1, &similarity, 3, 1.0)?.distribution(0, 3)?;
/// assert!((q[0] - 0.9).abs() < 1e-15 && (q[1] - 0.05).abs() < 1e-15);
/// # Ok::<(), candor::Error>(())
/// ```
///
/// # References
/// Liu & JaJa, *Class-Similarity Based Label Smoothing for Confidence Calibration*, 2020,
/// arXiv:2006.14028 (which leaves the similarity open, as here).
#[derive(Debug, Clone)]
pub struct ClassSimilarity {
    matrix: Matrix,
}

impl ClassSimilarity {
    /// A rule of strength `smoothing` in `[0, 1]` at `temperature` in `[1e-6, 1e6]`.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for a parameter outside its range, [`Error::Shape`] for another size,
    /// [`Error::NonFiniteLogit`] for a similarity that is not finite.
    pub fn new(smoothing: f64, similarity: &[f64], n_classes: usize, temperature: f64) -> Result<Self> {
        check_range("temperature", temperature, 1e-6, 1e6)?;
        check_matrix_classes(n_classes)?;
        check_len("the similarities", n_classes * n_classes, similarity.len())?;
        let mut rows = Vec::with_capacity(similarity.len());
        for (label, row) in similarity.chunks_exact(n_classes).enumerate() {
            let others = || row.iter().enumerate().filter(move |(class, _)| *class != label);
            if let Some((class, &value)) = others().find(|(_, value)| !value.is_finite()) {
                return Err(Error::NonFiniteLogit { row: label, class, value });
            }
            let most = others().map(|(_, &value)| value).fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = others().map(|(_, value)| ((value - most) / temperature).exp()).sum();
            rows.extend(row.iter().enumerate().map(|(class, value)| {
                if class == label { 0.0 } else { ((value - most) / temperature).exp() / sum }
            }));
        }
        Ok(Self { matrix: Matrix::new(smoothing, &rows, n_classes)? })
    }
}

impl TargetRule for ClassSimilarity {
    fn info(&self) -> &'static TargetInfo {
        &INFO
    }

    fn targets<'a>(&self, labels: Labels<'a>) -> Result<Targets<'a>> {
        self.matrix.targets(labels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIMILARITY: [f64; 9] = [9.0, 2.0, 1.0, 2.0, 9.0, 1.5, 1.0, 1.5, 9.0];

    #[test]
    fn mass_follows_the_softmax_of_the_other_classes() {
        let q = ClassSimilarity::new(0.2, &SIMILARITY, 3, 0.5).unwrap().distribution(0, 3).unwrap();
        assert!((q[0] - 0.8).abs() < 1e-15);
        assert!((q[1] / q[2] - 2f64.exp()).abs() < 1e-12);
    }

    #[test]
    fn a_large_temperature_tends_to_off_class_smoothing() {
        let q = ClassSimilarity::new(0.2, &SIMILARITY, 3, 1e6).unwrap().distribution(0, 3).unwrap();
        assert!((q[1] - 0.1).abs() < 1e-6 && (q[2] - 0.1).abs() < 1e-6);
    }

    #[test]
    fn each_bad_argument_has_its_error() {
        let mut bad = SIMILARITY;
        bad[5] = f64::NAN;
        assert!(matches!(
            ClassSimilarity::new(0.1, &bad, 3, 1.0),
            Err(Error::NonFiniteLogit { row: 1, class: 2, .. })
        ));
        assert!(ClassSimilarity::new(0.1, &SIMILARITY, 3, 0.0).is_err());
        assert!(ClassSimilarity::new(0.1, &SIMILARITY[1..], 3, 1.0).is_err());
    }
}
