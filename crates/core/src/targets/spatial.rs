//! Spatially varying label smoothing: soft labels near the boundaries of a segmentation mask.

use super::sparse_rows::SparseRows;
use super::{Entry, Make, TargetInfo, Targets};
use crate::batch::Labels;
use crate::error::{Error, Result, check_classes, check_len, check_range};
use crate::parameters::Parameter;

pub(super) const ENTRY: Entry =
    Entry { info: &INFO, make: Make::Data("a segmentation mask of two or three axes (Spatial::targets)") };

const INFO: TargetInfo = TargetInfo {
    name: "spatial",
    summary: "soft labels at the boundaries of a segmentation mask, hard ones inside (SVLS)",
    formula: "q = G'*onehot, G' a 3x3 or 3x3x3 Gaussian with centre weight 1/2, replicated borders",
    parameters: &[Parameter::number("sigma", 1.0, 0.1, 100.0, "deviation of the Gaussian, in voxels")],
    paper: "Islam & Glocker 2021, arXiv:2104.05788",
};

/// Soft labels for segmentation: each voxel keeps half of its mass, its neighbours' labels share the rest
/// by a Gaussian.
///
/// Voxels whose neighbours all have their own label stay exactly one-hot, so only boundaries are softened.
/// At the border of the image the nearest voxel is repeated. Ignored voxels get no target, and what they
/// would lend stays with the voxel itself. The window is 3 voxels wide on each axis.
///
/// # Shapes
/// Labels `[n, height, width]` or `[n, depth, height, width]`, flat, last axis fastest; the targets have
/// one row a voxel in the same order.
///
/// # Examples
/// ```
/// use candor::{Labels, targets::Spatial};
/// let mask = [0, 0, 1, 0, 0, 1, 0, 0, 1];
/// let targets = Spatial::new(1.0)?.targets(Labels::new(&mask, 2)?, &[3, 3])?;
/// assert_eq!(targets.row(3).unwrap().dense(2), [1.0, 0.0]);
/// assert!(targets.row(4).unwrap().dense(2)[1] > 0.1);
/// # Ok::<(), candor::Error>(())
/// ```
///
/// # References
/// Islam & Glocker, *Spatially Varying Label Smoothing*, IPMI 2021, arXiv:2104.05788.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spatial {
    sigma: f64,
}

impl Spatial {
    /// A rule with a Gaussian of deviation `sigma` in `[0.1, 100]` voxels.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] outside that range or for NaN.
    pub fn new(sigma: f64) -> Result<Self> {
        check_range("sigma", sigma, 0.1, 100.0)?;
        Ok(Self { sigma })
    }

    /// The targets of a batch of masks of `shape`: `[height, width]` or `[depth, height, width]`.
    ///
    /// # Errors
    /// [`Error::Shape`] for another number of axes, an empty axis, or labels that are not whole masks.
    pub fn targets(&self, labels: Labels<'_>, shape: &[usize]) -> Result<Targets<'static>> {
        check_classes(labels.n_classes())?;
        let sizes = match *shape {
            [height, width] => [1, height, width],
            [depth, height, width] => [depth, height, width],
            _ => {
                let what = "the axes of a mask, 2 or 3,";
                return Err(Error::Shape { what, expected: 3, got: shape.len() });
            }
        };
        let voxels = sizes.iter().try_fold(1_usize, |product, &size| product.checked_mul(size)).unwrap_or(0);
        if voxels == 0 {
            return Err(Error::Shape { what: "the smallest axis of a mask", expected: 1, got: 0 });
        }
        check_len("labels, in whole masks,", labels.len().div_ceil(voxels) * voxels, labels.len())?;
        let window = self.window(shape.len() == 3);
        let mut rows = SparseRows::with_capacity(labels.len());
        for row in 0..labels.len() {
            let Some(label) = labels.get(row) else {
                rows.ignored_row();
                continue;
            };
            let (mask, voxel) = (row / voxels * voxels, row % voxels);
            let at = [voxel / (sizes[1] * sizes[2]), voxel / sizes[2] % sizes[1], voxel % sizes[2]];
            // What others take is taken from the voxel itself, so an inner one keeps exactly 1.
            let mut lent = 0.0;
            let other = |(offset, weight): &([isize; 3], f64)| {
                let index = neighbour(at, *offset, sizes);
                Some((labels.get(mask + index)?, *weight)).filter(|(class, _)| *class != label)
            };
            for (class, weight) in window.iter().filter_map(other) {
                lent += weight;
                rows.add(class, weight);
            }
            rows.add(label, 1.0 - lent);
            rows.end_row();
        }
        rows.finish(labels.n_classes())
    }

    /// The offsets and weights of the neighbours, which sum to 1/2.
    fn window(&self, three: bool) -> Vec<([isize; 3], f64)> {
        let steps: &[isize] = &[-1, 0, 1];
        let depths = if three { steps } else { &[0] };
        let mut window = Vec::with_capacity(26);
        for &z in depths {
            for &y in steps {
                for &x in steps {
                    let square = (z * z + y * y + x * x) as f64;
                    if square > 0.0 {
                        window.push(([z, y, x], (-square / (2.0 * self.sigma * self.sigma)).exp()));
                    }
                }
            }
        }
        let sum: f64 = window.iter().map(|(_, weight)| weight).sum();
        window.iter_mut().for_each(|(_, weight)| *weight /= 2.0 * sum);
        window
    }
}

/// The flat index of a neighbour; beyond the border, the nearest voxel.
fn neighbour(at: [usize; 3], offset: [isize; 3], sizes: [usize; 3]) -> usize {
    let axis = |i: usize| at[i].saturating_add_signed(offset[i]).min(sizes[i] - 1);
    (axis(0) * sizes[1] + axis(1)) * sizes[2] + axis(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_mass_stays_and_the_rest_follows_the_gaussian() {
        // One voxel of class 1 in a field of class 0.
        let mut mask = [0_i64; 25];
        mask[12] = 1;
        let targets = Spatial::new(1.0).unwrap().targets(Labels::new(&mask, 2).unwrap(), &[5, 5]).unwrap();
        let row = |i| targets.row(i).unwrap().dense(2);
        assert!((row(12)[1] - 0.5).abs() < 1e-15);
        let (edge, corner) = ((-0.5f64).exp(), (-1f64).exp());
        let sum = 4.0 * (edge + corner);
        assert!((row(11)[1] - edge / sum / 2.0).abs() < 1e-15);
        assert!((row(6)[1] - corner / sum / 2.0).abs() < 1e-15);
        assert_eq!(row(0), [1.0, 0.0]);
    }

    #[test]
    fn three_axes_and_batches_stay_apart() {
        // Two 2x2x2 masks: all 0, and all 1.
        let mask: Vec<i64> = (0..16).map(|i| i / 8).collect();
        let labels = Labels::new(&mask, 2).unwrap();
        let targets = Spatial::new(1.0).unwrap().targets(labels, &[2, 2, 2]).unwrap();
        for row in 0..16 {
            assert_eq!(targets.row(row).unwrap().dense(2)[row / 8], 1.0);
        }
        // One mask 4 deep has a boundary in the middle.
        let targets = Spatial::new(1.0).unwrap().targets(labels, &[4, 2, 2]).unwrap();
        assert_eq!(targets.row(0).unwrap().dense(2), [1.0, 0.0]);
        assert!(targets.row(4).unwrap().dense(2)[0] < 0.9);
    }

    #[test]
    fn ignored_voxels_lend_nothing() {
        let labels = Labels::with_ignore(&[0, -1, 0, 0], 2, Some(-1)).unwrap();
        let targets = Spatial::new(1.0).unwrap().targets(labels, &[2, 2]).unwrap();
        assert_eq!(targets.row(0).unwrap().dense(2), [1.0, 0.0]);
        assert!(targets.row(1).is_none());
    }

    #[test]
    fn each_bad_shape_is_refused() {
        let labels = Labels::new(&[0, 1, 0, 1], 2).unwrap();
        let rule = Spatial::new(1.0).unwrap();
        for shape in [&[4][..], &[1, 1, 2, 2], &[0, 4], &[3, 1], &[usize::MAX, 2]] {
            assert!(matches!(rule.targets(labels, shape), Err(Error::Shape { .. })), "{shape:?}");
        }
        assert!(Spatial::new(0.0).is_err());
    }
}
