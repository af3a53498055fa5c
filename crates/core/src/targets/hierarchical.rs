//! Soft labels from a taxonomy: the mass decays with the height of the lowest common ancestor.

use super::matrix::check_matrix_classes;
use super::{Entry, Make, Matrix, TargetInfo, TargetRule, Targets, Taxonomy};
use crate::batch::Labels;
use crate::error::{Result, check_range};
use crate::parameters::Parameter;

pub(super) const ENTRY: Entry =
    Entry { info: &INFO, make: Make::Data("a taxonomy of the classes (Hierarchical::new)") };

const INFO: TargetInfo = TargetInfo {
    name: "hierarchical",
    summary: "mass that decays with the distance in a taxonomy, so that near mistakes cost less",
    formula: "q_k ∝ exp(-β d(k,y)), d = height of the lowest common ancestor / height of the tree",
    parameters: &[Parameter::number("beta", 15.0, 0.0, 1e3, "the decay β; 0 is uniform, large is one-hot")],
    paper: "Bertinetto et al. 2020, arXiv:1912.09393",
};

/// Soft labels of a taxonomy: `q_k ∝ exp(-β d(k,y))` with d the [`distance`](Taxonomy::distance).
///
/// When classes form a tree (species, goods, diagnoses) and a mistake within a branch is better than one
/// across. β between 4 and 50 is usual.
///
/// # Examples
/// ```
/// use candor::targets::{Hierarchical, TargetRule, Taxonomy};
/// let taxonomy = Taxonomy::from_groups(&[0, 0, 1])?;
/// let q = Hierarchical::new(4.0, &taxonomy)?.distribution(0, 3)?;
/// assert!(q[0] > q[1] && q[1] > q[2]);
/// # Ok::<(), candor::Error>(())
/// ```
///
/// # References
/// Bertinetto et al., *Making Better Mistakes*, CVPR 2020, arXiv:1912.09393.
#[derive(Debug, Clone)]
pub struct Hierarchical {
    matrix: Matrix,
}

impl Hierarchical {
    /// A rule with decay `beta` in `[0, 1000]`.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) outside that range or for more classes than
    /// [`MAX_MATRIX_CLASSES`](super::MAX_MATRIX_CLASSES).
    pub fn new(beta: f64, taxonomy: &Taxonomy) -> Result<Self> {
        check_range("beta", beta, 0.0, 1e3)?;
        let n_classes = taxonomy.n_classes();
        check_matrix_classes(n_classes)?;
        let mut rows = Vec::with_capacity(n_classes * n_classes);
        for label in 0..n_classes {
            let masses: Vec<f64> = (0..n_classes)
                .map(|class| (-beta * taxonomy.distance(class, label).unwrap_or(1.0)).exp())
                .collect();
            let sum: f64 = masses.iter().sum();
            rows.extend(masses.iter().map(|mass| mass / sum));
        }
        Ok(Self { matrix: Matrix::new(1.0, &rows, n_classes)? })
    }
}

impl TargetRule for Hierarchical {
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

    #[test]
    fn ratios_are_those_of_the_distances() {
        let taxonomy = Taxonomy::from_groups(&[0, 0, 1, 1]).unwrap();
        let q = Hierarchical::new(6.0, &taxonomy).unwrap().distribution(1, 4).unwrap();
        assert!((q[1] / q[0] - 3f64.exp()).abs() < 1e-12);
        assert!((q[0] / q[2] - 3f64.exp()).abs() < 1e-12);
        assert!((q.iter().sum::<f64>() - 1.0).abs() < 1e-15);
    }

    #[test]
    fn the_ends_of_beta_are_uniform_and_one_hot() {
        let taxonomy = Taxonomy::from_groups(&[0, 0, 1, 1]).unwrap();
        assert_eq!(Hierarchical::new(0.0, &taxonomy).unwrap().distribution(0, 4).unwrap(), [0.25; 4]);
        let hard = Hierarchical::new(1e3, &taxonomy).unwrap().distribution(0, 4).unwrap();
        assert_eq!(hard[0], 1.0);
        assert!(Hierarchical::new(-1.0, &taxonomy).is_err());
    }
}
