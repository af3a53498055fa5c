//! Labels replaced at random: the noise whose expectation is uniform smoothing.

use super::{Entry, Make, SMOOTHING, TargetInfo, Uniform};
use crate::batch::Labels;
use crate::error::{Result, check_classes, check_range};

pub(super) const ENTRY: Entry =
    Entry { info: &INFO, make: Make::Data("a random generator (DisturbLabel::resample)") };

const INFO: TargetInfo = TargetInfo {
    name: "disturb_label",
    summary: "each label replaced by a uniform draw with probability α, anew in every batch",
    formula: "ỹ = y with probability 1-α, else uniform over the classes; E onehot(ỹ) = (1-α)·onehot(y) + α/K",
    parameters: &[SMOOTHING],
    paper: "Xie et al. 2016, arXiv:1605.00055",
};

/// Replaces labels by uniform draws with probability α: smoothing by noise instead of by mass.
///
/// The expected target is that of [`Uniform`] of the same strength; single batches scatter around it,
/// which regularises further. A label changes with probability `α(K-1)/K`.
///
/// # Examples
/// ```
/// use candor::{Labels, targets::DisturbLabel};
/// let mut draws = [0.95, 0.025].into_iter().cycle();
/// let labels = DisturbLabel::new(0.1)?
///     .resample(Labels::new(&[3, 3], 4)?, &mut || draws.next().unwrap_or(0.0))?;
/// assert_eq!(labels, [3, 1]);
/// # Ok::<(), candor::Error>(())
/// ```
///
/// # References
/// Xie et al., *DisturbLabel: Regularizing CNN on the Loss Layer*, CVPR 2016, arXiv:1605.00055.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DisturbLabel {
    smoothing: f64,
}

impl DisturbLabel {
    /// A rule that replaces a label with probability `smoothing` in `[0, 1]`.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) outside that range or for NaN.
    pub fn new(smoothing: f64) -> Result<Self> {
        check_range("smoothing", smoothing, 0.0, 1.0)?;
        Ok(Self { smoothing })
    }

    /// New labels; `uniform` draws from [0, 1), once for each counted row. Ignored rows stay as they are.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) for fewer than two classes, or for a draw outside
    /// [0, 1).
    pub fn resample(&self, labels: Labels<'_>, uniform: &mut dyn FnMut() -> f64) -> Result<Vec<i64>> {
        let n_classes = labels.n_classes();
        check_classes(n_classes)?;
        (0..labels.len())
            .map(|row| {
                if labels.get(row).is_none() {
                    return Ok(labels.data()[row]);
                }
                let draw = uniform();
                check_range("draw", draw, 0.0, 1.0 - f64::EPSILON / 2.0)?;
                if draw >= self.smoothing {
                    return Ok(labels.data()[row]);
                }
                // Below α the draw is uniform on [0, α): the same draw picks the class.
                let class = (draw / self.smoothing * n_classes as f64) as i64;
                Ok(class.min(n_classes as i64 - 1))
            })
            .collect()
    }

    /// The rule whose targets are the expectation of these labels.
    ///
    /// # Errors
    /// None in practice: the strength has been checked.
    pub fn expected(&self) -> Result<Uniform> {
        Uniform::new(self.smoothing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_rows_take_no_draw_and_stay() {
        let mut taken = 0;
        let labels = Labels::with_ignore(&[-1, 0, 1], 2, Some(-1)).unwrap();
        let mut draw = || {
            taken += 1;
            0.999
        };
        let new = DisturbLabel::new(1.0).unwrap().resample(labels, &mut draw).unwrap();
        assert_eq!((new, taken), (vec![-1, 1, 1], 2));
    }

    #[test]
    fn draws_out_of_range_are_refused() {
        let labels = Labels::new(&[0], 2).unwrap();
        let rule = DisturbLabel::new(0.5).unwrap();
        for bad in [1.0, -0.1, f64::NAN] {
            assert!(rule.resample(labels, &mut || bad).is_err(), "{bad}");
        }
        assert!(DisturbLabel::new(1.5).is_err());
    }
}
