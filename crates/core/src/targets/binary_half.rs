//! Binary label smoothing: `y(1-α) + α/2` for each sigmoid by itself.

use super::{BinaryRule, BinaryTargets, Entry, Make, Positives, SMOOTHING, TargetInfo};
use crate::error::{Result, check_range};

pub(super) const ENTRY: Entry =
    Entry { info: &INFO, make: Make::Binary(|p, _| Ok(Box::new(BinaryHalf::new(p.number("smoothing"))?))) };

const INFO: TargetInfo = TargetInfo {
    name: "binary_half",
    summary: "each sigmoid moved towards 1/2; Keras' binary cross-entropy and YOLO's smooth_BCE",
    formula: "t = y·(1-α) + α/2: 1-α/2 for positives, α/2 for negatives",
    parameters: &[SMOOTHING],
    paper: "Szegedy et al. 2016, arXiv:1512.00567, for two classes (Keras; YOLOv3 to v7)",
};

/// Moves each sigmoid's target towards one half: `1-α/2` where positive, `α/2` where not.
///
/// The uniform convention for two classes, per class. The optimal logit is `±ln((2-α)/α)`. With many
/// classes of which few are positive, every negative is lifted to α/2 and the predicted base rates with
/// it; see [`OneSided`](super::OneSided) for smoothing the positives alone. Detectors smooth the
/// classification this way, never the objectness.
///
/// # Examples
/// ```
/// use candor::{Labels, targets::{BinaryHalf, BinaryRule, Positives}};
/// let positives = Positives::binary(Labels::new(&[1, 0], 2)?)?;
/// let targets = BinaryHalf::new(0.1)?.targets(positives)?;
/// assert_eq!(targets.dense_matrix(), [0.95, 0.05]);
/// # Ok::<(), candor::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BinaryHalf {
    smoothing: f64,
}

impl BinaryHalf {
    /// A rule of strength `smoothing` in `[0, 1]`.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) outside that range or for NaN.
    pub fn new(smoothing: f64) -> Result<Self> {
        check_range("smoothing", smoothing, 0.0, 1.0)?;
        Ok(Self { smoothing })
    }
}

impl BinaryRule for BinaryHalf {
    fn info(&self) -> &'static TargetInfo {
        &INFO
    }

    fn targets<'a>(&self, positives: Positives<'a>) -> Result<BinaryTargets<'a>> {
        let n_classes = positives.n_classes();
        let half = self.smoothing / 2.0;
        BinaryTargets::new(positives, vec![1.0 - half; n_classes], vec![half; n_classes])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::Labels;

    #[test]
    fn a_row_of_one_positive_sums_to_what_yolo_trains_on() {
        let targets =
            BinaryHalf::new(0.2).unwrap().targets(Positives::one_of(Labels::new(&[4], 20).unwrap())).unwrap();
        // 1 - ε/2 + (K-1)·ε/2, not 1.
        assert!((targets.dense_matrix().iter().sum::<f64>() - 2.8).abs() < 1e-12);
    }

    #[test]
    fn strengths_out_of_range_are_refused() {
        assert!(BinaryHalf::new(1.1).is_err());
        assert!(BinaryHalf::new(f64::NAN).is_err());
    }
}
