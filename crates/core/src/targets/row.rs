//! One row of targets: the explicit part, the smoothing strength and the background.

use super::{BinaryRow, DenseRows};
use crate::batch::Storage;

/// The un-smoothed part of a target row.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum RowExplicit<'a> {
    /// All mass on one class.
    Label(usize),
    /// A few (class, mass) pairs.
    Sparse(&'a [u32], &'a [f64]),
    /// A mass for every class.
    Dense(DenseRows<'a>),
    /// A probability for each class by itself; the explicit mass is the degree to which it is positive.
    Binary(BinaryRow<'a>),
}

/// Where the smoothing mass of a row goes.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum RowBackground<'a> {
    /// Evenly to every allowed class.
    Uniform,
    /// Evenly to every allowed class but the label, or but those of each class's share of a distribution.
    OtherClasses,
    /// In proportion to a prior over the allowed classes.
    Prior(&'a [f64]),
}

/// One target row: `q = (1-α)·explicit + α·background`.
#[derive(Debug, Clone, Copy)]
pub struct RowTarget<'a> {
    /// The un-smoothed part.
    pub explicit: RowExplicit<'a>,
    /// The strength α.
    pub smoothing: f64,
    /// Where α goes.
    pub background: RowBackground<'a>,
}

/// The classes of a row that are not masked, as far as the background needs to know them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Allowed {
    /// Number of allowed classes.
    pub count: usize,
    /// The prior's mass on them (1 without a prior).
    pub prior_mass: f64,
}

impl<'a> RowTarget<'a> {
    /// The label, if the explicit part is one class.
    pub fn label(&self) -> Option<usize> {
        match self.explicit {
            RowExplicit::Label(label) => Some(label),
            _ => None,
        }
    }

    /// The explicit mass of a class, before smoothing.
    pub fn explicit_mass(&self, class: usize) -> f64 {
        match self.explicit {
            RowExplicit::Label(label) => f64::from(u8::from(label == class)),
            RowExplicit::Sparse(classes, masses) => {
                classes.iter().zip(masses).filter(|&(&c, _)| c as usize == class).map(|(_, m)| m).sum()
            }
            RowExplicit::Dense(row) => row.get(class),
            RowExplicit::Binary(row) => row.degree(class),
        }
    }

    /// Sum of `weight(class) * mass` over the explicit part.
    pub fn weigh(&self, weight: &[f64]) -> f64 {
        match self.explicit {
            RowExplicit::Label(label) => weight[label],
            RowExplicit::Sparse(classes, masses) => {
                classes.iter().zip(masses).map(|(&c, &m)| weight[c as usize] * m).sum()
            }
            RowExplicit::Dense(_) | RowExplicit::Binary(_) => {
                weight.iter().enumerate().map(|(class, w)| w * self.explicit_mass(class)).sum()
            }
        }
    }

    /// What the background needs to know of the classes whose logits are not -inf.
    pub(crate) fn allowed<T: Storage>(&self, logits: &[T]) -> Allowed {
        let open = |z: &T| z.to_f64() != f64::NEG_INFINITY;
        let prior_mass = match self.background {
            RowBackground::Prior(prior) => {
                prior.iter().zip(logits).filter(|(_, z)| open(z)).map(|(p, _)| p).sum()
            }
            _ => 1.0,
        };
        Allowed { count: logits.iter().filter(|z| open(z)).count(), prior_mass }
    }

    /// The mass of an allowed class.
    pub(crate) fn mass(&self, class: usize, allowed: Allowed) -> f64 {
        let explicit = match self.explicit {
            RowExplicit::Binary(row) => row.value(class),
            _ => self.explicit_mass(class),
        };
        if self.smoothing == 0.0 {
            return explicit;
        }
        let even = 1.0 / allowed.count as f64;
        let background = match self.background {
            RowBackground::Uniform => even,
            // With the label as the only allowed class, all mass stays on it.
            RowBackground::OtherClasses if allowed.count == 1 => 1.0,
            // Σ_c t_c·[c != class], which is 0 for the label and 1 elsewhere where t is a label.
            RowBackground::OtherClasses => (1.0 - explicit) / (allowed.count - 1) as f64,
            // A prior without mass on the allowed classes says nothing about them.
            RowBackground::Prior(_) if allowed.prior_mass <= 0.0 => even,
            RowBackground::Prior(prior) => prior[class] / allowed.prior_mass,
        };
        (1.0 - self.smoothing) * explicit + self.smoothing * background
    }

    /// The whole row over `n_classes` allowed classes.
    pub fn dense(&self, n_classes: usize) -> Vec<f64> {
        let prior_mass = match self.background {
            RowBackground::Prior(prior) => prior.iter().sum(),
            _ => 1.0,
        };
        let allowed = Allowed { count: n_classes, prior_mass };
        (0..n_classes).map(|class| self.mass(class, allowed)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(smoothing: f64, background: RowBackground<'_>) -> RowTarget<'_> {
        RowTarget { explicit: RowExplicit::Label(0), smoothing, background }
    }

    #[test]
    fn masked_classes_get_no_mass_and_the_rest_sums_to_one() {
        let inf = f64::NEG_INFINITY;
        let prior = [0.5, 0.25, 0.25];
        for background in [RowBackground::Uniform, RowBackground::OtherClasses, RowBackground::Prior(&prior)]
        {
            let row = label(0.3, background);
            for logits in [vec![0.0, 1.0, 2.0], vec![0.0, inf, 2.0], vec![0.0, inf, inf]] {
                let allowed = row.allowed(&logits);
                let sum: f64 = (0..3).filter(|&c| logits[c] != inf).map(|c| row.mass(c, allowed)).sum();
                assert!((sum - 1.0).abs() < 1e-15, "{background:?} {logits:?} {sum}");
            }
        }
    }

    #[test]
    fn sparse_and_dense_rows_weigh_alike() {
        let weights = [1.0, 2.0, 4.0];
        let sparse = RowTarget {
            explicit: RowExplicit::Sparse(&[2, 0], &[0.75, 0.25]),
            smoothing: 0.0,
            background: RowBackground::Uniform,
        };
        let dense = RowTarget {
            explicit: RowExplicit::Dense(DenseRows::F64(&[0.25, 0.0, 0.75])),
            smoothing: 0.0,
            background: RowBackground::Uniform,
        };
        assert_eq!(sparse.weigh(&weights), 3.25);
        assert_eq!(dense.weigh(&weights), 3.25);
        assert_eq!(sparse.dense(3), dense.dense(3));
    }
}
