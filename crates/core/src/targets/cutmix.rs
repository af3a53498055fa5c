//! Targets of images with a patch of another image: the label shares are the area shares.

use super::{Entry, Make, Mixup, TargetInfo, Targets};
use crate::batch::Labels;
use crate::error::{Error, Result, check_len};
use crate::parameters::Parameter;

pub(super) const ENTRY: Entry =
    Entry { info: &INFO, make: Make::Data("a partner and a patch for each row (CutMix::targets)") };

const INFO: TargetInfo = TargetInfo {
    name: "cutmix",
    summary: "the labels of an image and of the patch pasted into it, in proportion to their areas",
    formula: "q = (1-α)·(λ·onehot(y_i) + (1-λ)·onehot(y_j)) + α/K, λ = 1 - patch area / image area",
    parameters: &[Parameter::number("smoothing", 0.0, 0.0, 1.0, "the strength α")],
    paper: "Yun et al. 2019, arXiv:1905.04899",
};

/// A rectangle of an image: rows `top..bottom` and columns `left..right`, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patch {
    /// First row.
    pub top: usize,
    /// Row after the last.
    pub bottom: usize,
    /// First column.
    pub left: usize,
    /// Column after the last.
    pub right: usize,
}

impl Patch {
    /// The share of a `height` x `width` image that this patch covers, clipped to the image.
    fn share(&self, height: usize, width: usize) -> f64 {
        let rows = self.bottom.min(height).saturating_sub(self.top) as f64;
        let columns = self.right.min(width).saturating_sub(self.left) as f64;
        rows * columns / (height as f64 * width as f64)
    }
}

/// The target of an image with a patch of its partner: shares by area, after clipping to the image.
///
/// With λ drawn from Beta(1, 1) and patches not clipped, this smooths labels by 1/4.
///
/// # Examples
/// ```
/// use candor::{Labels, targets::{CutMix, Patch}};
/// let patch = Patch { top: 0, bottom: 4, left: 2, right: 4 };
/// let labels = Labels::new(&[0, 1], 2)?;
/// let targets = CutMix::new(0.0)?.targets(labels, &[1, 0], &[patch; 2], 4, 8)?;
/// assert_eq!(targets.dense_matrix(), [0.75, 0.25, 0.25, 0.75]);
/// # Ok::<(), candor::Error>(())
/// ```
///
/// # References
/// Yun et al., *CutMix: Regularization Strategy to Train Strong Classifiers with Localizable Features*,
/// ICCV 2019, arXiv:1905.04899.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CutMix {
    mixup: Mixup,
}

impl CutMix {
    /// A rule with uniform smoothing of strength `smoothing` in `[0, 1]` on top (0: none).
    ///
    /// # Errors
    /// [`Error::OutOfRange`] outside that range or for NaN.
    pub fn new(smoothing: f64) -> Result<Self> {
        Ok(Self { mixup: Mixup::new(smoothing)? })
    }

    /// The targets where image i carries `patches[i]` of image `partners[i]`.
    ///
    /// # Errors
    /// [`Error::Shape`] for an image without pixels or another number of partners or patches than rows,
    /// [`Error::Malformed`] for a partner that is no row or a patch that ends before it begins.
    pub fn targets(
        &self,
        labels: Labels<'_>,
        partners: &[usize],
        patches: &[Patch],
        height: usize,
        width: usize,
    ) -> Result<Targets<'static>> {
        check_len("patches", labels.len(), patches.len())?;
        if height == 0 || width == 0 {
            return Err(Error::Shape { what: "the image", expected: 1, got: 0 });
        }
        let reversed = |patch: &Patch| patch.top > patch.bottom || patch.left > patch.right;
        if let Some(index) = patches.iter().position(reversed) {
            return Err(Error::Malformed { what: "patch", index, problem: "ends before it begins" });
        }
        let lambdas: Vec<f64> = patches.iter().map(|patch| 1.0 - patch.share(height, width)).collect();
        self.mixup.targets(labels, partners, &lambdas)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HALF: Patch = Patch { top: 0, bottom: 2, left: 0, right: 1 };

    #[test]
    fn patches_are_clipped_to_the_image() {
        let over = Patch { top: 1, bottom: 9, left: 0, right: 9 };
        assert_eq!(over.share(2, 4), 0.5);
        let outside = Patch { top: 5, bottom: 9, left: 0, right: 9 };
        assert_eq!(outside.share(2, 4), 0.0);
    }

    #[test]
    fn each_bad_argument_has_its_error() {
        let labels = Labels::new(&[0, 1], 2).unwrap();
        let rule = CutMix::new(0.0).unwrap();
        let of = |patches: &[Patch], height| rule.targets(labels, &[1, 0], patches, height, 2).unwrap_err();
        assert!(matches!(of(&[HALF], 2), Error::Shape { what: "patches", .. }));
        assert!(matches!(of(&[HALF; 2], 0), Error::Shape { what: "the image", .. }));
        let reversed = Patch { top: 2, bottom: 1, ..HALF };
        assert!(matches!(of(&[HALF, reversed], 2), Error::Malformed { index: 1, .. }));
        assert!(CutMix::new(1.5).is_err());
    }
}
