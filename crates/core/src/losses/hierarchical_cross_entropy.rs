//! Hierarchical cross-entropy: a weight for every level of a taxonomy
//! (Bertinetto et al., CVPR 2020, arXiv:1912.09393).

use std::sync::{Arc, RwLock};

use super::row::{Row, Work};
use super::row_loss::sweep;
use super::softmax::log_sum_exp;
use super::{Accepts, Batch, Entry, GradientKind, Loss, LossInfo, LossState, LossValue};
use crate::batch::Scalar;
use crate::error::{Error, Result};
use crate::kernels::math::exp;
use crate::parameters::{Parameter, Parameters};
use crate::targets::Taxonomy;

pub(super) const ENTRY: Entry =
    Entry { info: &INFO, make: |p| Ok(Box::new(HierarchicalCrossEntropy::of(p)?)) };

const ALPHA: Parameter =
    Parameter::number("alpha", 0.1, 0.0, 100.0, "how much less each level further from the root weighs");
const TAXONOMY: Parameter = Parameter::choice(
    "taxonomy",
    "binary",
    &["binary", "flat"],
    "the tree over the classes, where none is given: halves of their order, or none",
);

const INFO: LossInfo = LossInfo {
    name: "hierarchical_cross_entropy",
    summary: "cross-entropy in steps down a taxonomy, the coarse ones weighing more; makes better mistakes",
    formula: "-Σ_l exp(-α·depth(C_l))·ln p(C_l | parent of C_l), C_l from the label up to below the root",
    parameters: &[ALPHA, TAXONOMY],
    plain: &[("alpha", 0.0)],
    paper: "Bertinetto et al. 2020, arXiv:1912.09393",
    accepts: Accepts::Labels,
    gradient: GradientKind::Exact,
    fused: false,
    separable: true,
};

/// Hierarchical cross-entropy, in nats: `-Σ_l w(C_l)·ln p(C_l | C_{l+1})` along the path from the label
/// `C_0` to the root, with `w(C) = exp(-α·h(C))` and `h` the number of edges between a node and the root.
///
/// For classes of which some confusions are worse than others. The conditional probabilities come from the
/// one softmax: `p(C)` is the sum over the classes under `C`. The further from the root, the less a step
/// weighs; α = 0 is cross-entropy. The authors' code also divides all weights by their sum over the tree,
/// a constant factor that is left out here.
///
/// A [`Taxonomy`] is needed to say which classes are alike. Where none is given, by name from the
/// registry, neighbours in the order of the classes are: [`Taxonomy::binary`], right for ordered classes and
/// arbitrary for others; `taxonomy = flat` weighs the one step by `exp(-α)`.
///
/// # Shapes
/// As for [`CrossEntropy`](super::CrossEntropy).
///
/// # Errors
/// [`Error::TargetKind`] for smoothed or soft targets, [`Error::Shape`] for another number of classes than
/// the taxonomy's; see also [`Loss::value_grad_f32`].
///
/// # Examples
/// ```
/// use candor::losses::{Batch, HierarchicalCrossEntropy, Loss};
/// use candor::targets::Taxonomy;
/// use candor::{Buffers, Labels, Targets};
/// // cat 0, dog 1, car 2; animal 3, root 4
/// let taxonomy = Taxonomy::new(&[3, 3, 4, 4, 4], 3)?;
/// let loss = HierarchicalCrossEntropy::new(0.5, taxonomy)?;
/// let labels = [0];
/// let targets = Targets::labels(Labels::new(&labels, 3)?);
/// let at = |z: &[f64]| {
///     loss.value_grad_f64(Batch::new(Buffers::Forward(z), &targets), &mut Default::default())
/// };
/// // To take the cat for a dog costs less than to take it for a car.
/// assert!(at(&[0.0, 2.0, 0.0])?.loss < at(&[0.0, 0.0, 2.0])?.loss);
/// # Ok::<(), candor::Error>(())
/// ```
///
/// # References
/// Bertinetto et al., *Making Better Mistakes: Leveraging Class Hierarchies with Deep Networks*, CVPR 2020,
/// arXiv:1912.09393. Their `h(C)`, "the height of node C", counts the edges of the path to the root.
#[derive(Debug)]
pub struct HierarchicalCrossEntropy {
    alpha: f64,
    source: Source,
}

/// Where the taxonomy comes from.
#[derive(Debug)]
enum Source {
    Given(Arc<Taxonomy>),
    /// Made for the number of classes of the first batch, and kept.
    Made(fn(usize) -> Result<Taxonomy>, RwLock<Option<Arc<Taxonomy>>>),
}

impl HierarchicalCrossEntropy {
    /// A discount α in `[0, 100]` over a taxonomy of the classes.
    ///
    /// # Errors
    /// [`Error::OutOfRange`].
    pub fn new(alpha: f64, taxonomy: Taxonomy) -> Result<Self> {
        ALPHA.check(alpha)?;
        Ok(Self { alpha, source: Source::Given(Arc::new(taxonomy)) })
    }

    fn of(parameters: &Parameters) -> Result<Self> {
        let alpha = parameters.number("alpha");
        ALPHA.check(alpha)?;
        let make = if parameters.word("taxonomy") == "flat" { Taxonomy::flat } else { Taxonomy::binary };
        Ok(Self { alpha, source: Source::Made(make, RwLock::new(None)) })
    }

    /// The taxonomy for a batch.
    fn taxonomy(&self, n_classes: usize) -> Result<Arc<Taxonomy>> {
        match &self.source {
            Source::Given(taxonomy) if taxonomy.n_classes() != n_classes => {
                let got = taxonomy.n_classes();
                Err(Error::Shape { what: "the taxonomy's classes", expected: n_classes, got })
            }
            Source::Given(taxonomy) => Ok(taxonomy.clone()),
            Source::Made(make, kept) => {
                // A poisoned lock only means that another thread failed; the tree is made anew.
                if let Ok(kept) = kept.read()
                    && let Some(taxonomy) = &*kept
                    && taxonomy.n_classes() == n_classes
                {
                    return Ok(taxonomy.clone());
                }
                let taxonomy = Arc::new(make(n_classes)?);
                if let Ok(mut kept) = kept.write() {
                    *kept = Some(taxonomy.clone());
                }
                Ok(taxonomy)
            }
        }
    }

    fn sweep<T: Scalar>(&self, batch: Batch<'_, T>) -> Result<LossValue> {
        let taxonomy = self.taxonomy(batch.targets.n_classes())?;
        sweep(&INFO, batch, &|row, work, gradient| self.row(&taxonomy, row, work, gradient))
    }

    /// With `P_l` the probability under the node `l` steps above the label and `w` its weight, the loss is
    /// `-Σ_l (w_l - w_{l-1})·ln P_l`: each `ln P_l` stands in two conditionals.
    fn row(&self, taxonomy: &Taxonomy, row: &Row<'_>, work: &mut Work, gradient: &mut [f64]) -> Result<f64> {
        let label = row.label()?;
        // The logarithms by class, so that the leaves of a node find theirs; -inf where masked.
        let [by_class, pull] = work.arrays(row.n_classes());
        by_class.fill(f64::NEG_INFINITY);
        for (k, log_p) in row.log_probs().iter().enumerate() {
            by_class[row.class(k)] = *log_p;
        }
        pull.fill(0.0);
        let (mut loss, mut below) = (0.0, 0.0);
        for (depth, leaves) in taxonomy.ancestors(row.class(label)) {
            let weight = exp(-self.alpha * depth as f64);
            let step = weight - below;
            below = weight;
            let log_mass = log_sum_exp(leaves.iter().map(|&class| by_class[class]));
            loss -= step * log_mass;
            for &class in leaves {
                pull[class] += step * exp(by_class[class] - log_mass);
            }
        }
        // The steps add up to the last weight.
        for (k, g) in gradient.iter_mut().enumerate() {
            *g = below * row.probs()[k] - pull[row.class(k)];
        }
        Ok(loss)
    }
}

impl Loss for HierarchicalCrossEntropy {
    fn info(&self) -> &'static LossInfo {
        &INFO
    }

    fn value_grad_f32(&self, batch: Batch<'_, f32>, _: &mut LossState) -> Result<LossValue> {
        self.sweep(batch)
    }

    fn value_grad_f64(&self, batch: Batch<'_, f64>, _: &mut LossState) -> Result<LossValue> {
        self.sweep(batch)
    }
}

#[cfg(test)]
mod tests {
    use super::super::on_row::{assert_close, assert_labels_only, on_row};
    use super::*;

    fn animals(alpha: f64) -> HierarchicalCrossEntropy {
        HierarchicalCrossEntropy::new(alpha, Taxonomy::new(&[3, 3, 4, 4, 4], 3).unwrap()).unwrap()
    }

    #[test]
    fn by_hand() {
        // p = (1/2, 1/4, 1/4); p(cat | animal) = 2/3, p(animal) = 3/4; weights 1/4 and 1/2.
        let z = [2.0_f64.ln(), 0.0, 0.0];
        let loss = animals(2.0_f64.ln());
        let want = -(0.25 * (2.0_f64 / 3.0).ln() + 0.5 * 0.75_f64.ln());
        // 1/4·(conditional - onehot) within the animals, 1/2·(p - share in animal) over all.
        let gradient = [
            0.25 * (2.0 / 3.0 - 1.0) + 0.5 * (0.5 - 2.0 / 3.0),
            0.25 * (1.0 / 3.0) + 0.5 * (0.25 - 1.0 / 3.0),
            0.5 * 0.25,
        ];
        assert_close(on_row(&loss, &z, 0).unwrap(), want, &gradient);
    }

    #[test]
    fn without_discount_it_is_cross_entropy() {
        let z = [0.3, -1.0, 2.0];
        let plain = on_row(&super::super::CrossEntropy, &z, 1).unwrap();
        assert_close(on_row(&animals(0.0), &z, 1).unwrap(), plain.0, &plain.1);
    }

    #[test]
    fn masked_classes_leave_their_node() {
        // Without the dog, cat is the only animal: p(cat | animal) = 1.
        let got = on_row(&animals(2.0_f64.ln()), &[0.0, f64::NEG_INFINITY, 0.0], 0).unwrap();
        assert_close(got, 0.5 * std::f64::consts::LN_2, &[-0.25, 0.0, 0.25]);
    }

    #[test]
    fn each_error() {
        assert_labels_only(&HierarchicalCrossEntropy::new(0.1, Taxonomy::flat(2).unwrap()).unwrap());
        assert!(matches!(on_row(&animals(0.1), &[0.0; 4], 0), Err(Error::Shape { expected: 4, got: 3, .. })));
        assert!(HierarchicalCrossEntropy::new(-0.1, Taxonomy::flat(2).unwrap()).is_err());
    }
}
