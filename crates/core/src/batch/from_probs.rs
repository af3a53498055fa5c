//! Logits out of probabilities, for losses that a framework takes over probabilities.

use super::{Scalar, rows};
use crate::error::{Error, Result, check_len, check_range};

/// What turns logits into the probabilities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Link {
    /// The classes of a row share one distribution: `z = ln p`.
    Softmax,
    /// Each class is a question by itself: `z = ln p - ln(1-p)`.
    Sigmoid,
}

/// Turns probabilities into logits, and a gradient by logits into one by probabilities.
///
/// To check a port of a model that ends in a softmax or a sigmoid, as in Keras with `from_logits=False`.
/// Softmax rows are divided by their sum first. Then all are clipped to `[c, 1-c]` as the framework does
/// (Keras: 1e-7), so a probability of 0 costs `-ln c` and not infinity; a clipped one has no gradient. Losses
/// of softmax rows see the clipped row divided by its sum once more, which moves them by at most `c·K`.
/// Models are better trained on logits: near 0 and 1 a probability has lost the digits that matter.
///
/// # Shapes
/// `[n, n_classes]`, each in [0, 1]; rows need not sum to 1.
///
/// # Examples
/// ```
/// use candor::batch::{FromProbs, Link};
/// use candor::losses::{Batch, CrossEntropy, Loss};
/// use candor::{Buffers, Labels, Targets};
/// let probs = [0.8_f64, 0.2];
/// let link = FromProbs::new(Link::Softmax, 1e-7)?;
/// let mut logits = link.logits(&probs, 2)?;
/// let targets = Targets::labels(Labels::new(&[0], 2)?);
/// let value = CrossEntropy.value_grad_f64(Batch::new(Buffers::InPlace(&mut logits), &targets), &mut Default::default())?;
/// assert!((value.loss + 0.8_f64.ln()).abs() < 1e-12);
/// link.gradient(&probs, 2, &mut logits)?; // by the probabilities, their sum divided out
/// assert!((logits[0] + 0.25).abs() < 1e-12 && (logits[1] - 1.0).abs() < 1e-12);
/// # Ok::<(), candor::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FromProbs {
    link: Link,
    clip: f64,
}

impl FromProbs {
    /// A conversion that clips to `[clip, 1 - clip]`, with `clip` in [1e-300, 0.1].
    ///
    /// # Errors
    /// [`Error::OutOfRange`].
    pub fn new(link: Link, clip: f64) -> Result<Self> {
        check_range("clip", clip, 1e-300, 0.1)?;
        Ok(Self { link, clip })
    }

    /// The logits, in double precision; the ends of the clipping are rounded to the type of `probs`.
    ///
    /// # Errors
    /// [`Error::ProbabilityValue`] for a value outside [0, 1] or NaN, [`Error::ProbabilitySum`] for a softmax
    /// row of zeros, [`Error::RaggedRows`] for a wrong length.
    pub fn logits<T: Scalar>(&self, probs: &[T], n_classes: usize) -> Result<Vec<f64>> {
        let mut logits = Vec::with_capacity(probs.len());
        self.walk(probs, n_classes, |_, p, _, clipped| {
            let p = if clipped { self.clamp::<T>(p) } else { p };
            logits.push(match self.link {
                Link::Softmax => p.ln(),
                Link::Sigmoid => p.ln() - (-p).ln_1p(),
            });
        })?;
        Ok(logits)
    }

    /// Turns a gradient by [`logits`](Self::logits) into one by the probabilities, in place.
    ///
    /// # Errors
    /// Those of [`logits`](Self::logits), and [`Error::Shape`] for a gradient of another size.
    pub fn gradient<T: Scalar>(&self, probs: &[T], n_classes: usize, gradient: &mut [f64]) -> Result<()> {
        check_len("the gradient", probs.len(), gradient.len())?;
        self.walk(probs, n_classes, |index, p, sum, clipped| {
            gradient[index] *= match self.link {
                _ if clipped => 0.0,
                // By p_j: g_j/p_j - Σ_k g_k/Σp, and a gradient of softmax logits sums to 0.
                Link::Softmax => 1.0 / (p * sum),
                Link::Sigmoid => 1.0 / (p * (1.0 - p)),
            };
        })
    }

    /// Calls `visit(index, p, sum of the row, whether p is clipped)` for every probability.
    fn walk<T: Scalar>(
        &self,
        probs: &[T],
        n_classes: usize,
        mut visit: impl FnMut(usize, f64, f64, bool),
    ) -> Result<()> {
        rows("probs", probs.len(), n_classes)?;
        for (row, values) in probs.chunks_exact(n_classes).enumerate() {
            for (class, &value) in values.iter().enumerate() {
                let value = value.to_f64();
                if !(0.0..=1.0).contains(&value) {
                    return Err(Error::ProbabilityValue { row, class, value });
                }
            }
            let sum = match self.link {
                Link::Softmax => values.iter().map(|p| p.to_f64()).sum(),
                Link::Sigmoid => 1.0,
            };
            if sum == 0.0 {
                return Err(Error::ProbabilitySum { row, sum, tolerance: 1.0 });
            }
            for (class, &value) in values.iter().enumerate() {
                let p = value.to_f64() / sum;
                visit(row * n_classes + class, p, sum, self.clamp::<T>(p) != p);
            }
        }
        Ok(())
    }

    fn clamp<T: Scalar>(&self, p: f64) -> f64 {
        let round = |value: f64| T::from_f64(value).to_f64();
        p.clamp(round(self.clip), round(1.0 - self.clip))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_links_by_hand() {
        let softmax = FromProbs::new(Link::Softmax, 1e-7).unwrap();
        let z = softmax.logits(&[0.3_f64, 0.1], 2).unwrap(); // 3/4 and 1/4
        assert!((z[0] - 0.75_f64.ln()).abs() < 1e-15 && (z[1] - 0.25_f64.ln()).abs() < 1e-15);
        let sigmoid = FromProbs::new(Link::Sigmoid, 1e-7).unwrap();
        let z = sigmoid.logits(&[0.75_f64], 1).unwrap();
        assert!((z[0] - 3.0_f64.ln()).abs() < 1e-15);
        let mut gradient = [1.5];
        sigmoid.gradient(&[0.75_f64], 1, &mut gradient).unwrap();
        assert!((gradient[0] - 8.0).abs() < 1e-14);
    }

    #[test]
    fn what_is_clipped_is_finite_and_has_no_gradient() {
        let link = FromProbs::new(Link::Sigmoid, 1e-7).unwrap();
        let z = link.logits(&[0.0_f32, 1.0], 2).unwrap();
        // 1 - 1e-7 rounds to 1 - 2^-23 in single precision.
        assert!((z[0] - 1e-7_f64.ln()).abs() < 1e-6, "{z:?}");
        assert!((z[1] - 2.0_f64.powi(23).ln()).abs() < 1e-6, "{z:?}");
        let mut gradient = [1.0, 1.0];
        link.gradient(&[0.0_f32, 1.0], 2, &mut gradient).unwrap();
        assert_eq!(gradient, [0.0, 0.0]);
    }

    #[test]
    fn each_error() {
        let link = FromProbs::new(Link::Softmax, 1e-7).unwrap();
        assert!(matches!(link.logits(&[1.5_f64, 0.0], 2), Err(Error::ProbabilityValue { class: 0, .. })));
        assert!(matches!(link.logits(&[0.5, f64::NAN], 2), Err(Error::ProbabilityValue { class: 1, .. })));
        assert!(matches!(link.logits(&[0.0_f64, 0.0], 2), Err(Error::ProbabilitySum { .. })));
        assert!(matches!(link.logits(&[0.5_f64], 2), Err(Error::RaggedRows { .. })));
        assert!(matches!(link.gradient(&[0.5_f64, 0.5], 2, &mut [0.0]), Err(Error::Shape { .. })));
        assert!(FromProbs::new(Link::Softmax, 0.0).is_err() && FromProbs::new(Link::Softmax, 0.2).is_err());
    }
}
