//! Cross-entropy with label smoothing, in the place of Burn's own.

use burn::config::Config;
use burn::tensor::{Int, Tensor};
use candor::Convention;
use candor::losses::{CrossEntropy, Reduction, Weighting};

use crate::error::{Error, Result};
use crate::loss_module::{LossModule, LossOutput, LossTargets, read_labels};

/// Configuration of [`CrossEntropyLoss`]: the fields of `burn::nn::loss::CrossEntropyLossConfig`, and more.
///
/// # Examples
/// ```
/// use burn::tensor::{Device, Int, Tensor};
/// use candor_burn::CrossEntropyLossConfig;
///
/// let device = Device::flex();
/// let loss = CrossEntropyLossConfig::new().with_smoothing(Some(0.1)).init()?;
/// let logits = Tensor::<2>::from_floats([[2.0, -1.0, 0.5, 0.1]], &device);
/// let targets = Tensor::<1, Int>::from_ints([0], &device);
/// let output = loss.forward(logits, targets)?;
/// assert!((output.loss.into_scalar::<f32>() - 0.512_406).abs() < 1e-6);
/// # Ok::<(), candor_burn::Error>(())
/// ```
#[derive(Config, Debug)]
pub struct CrossEntropyLossConfig {
    /// Labels of rows that do not count. Unlike Burn's, they need not be class indices, and a batch of
    /// nothing else is an error rather than NaN.
    pub pad_tokens: Option<Vec<usize>>,
    /// A weight for each class, finite and not negative.
    pub weights: Option<Vec<f32>>,
    /// The strength of label smoothing, in the range of the convention; none is 0.
    pub smoothing: Option<f32>,
    /// Whether the input is logits; if not, it is probabilities, of which the logarithm is taken.
    #[config(default = true)]
    pub logits: bool,
    /// What the strength means.
    #[config(default = "Convention::Uniform")]
    pub convention: Convention,
    /// What class weights do. Burn's own loss does what `Weighting::Pytorch` does, which differs from
    /// the default only where weights and smoothing meet.
    #[config(default = "Weighting::Label")]
    pub weighting: Weighting,
    /// How row losses are combined.
    #[config(default = "Reduction::Mean")]
    pub reduction: Reduction,
    /// A further label of rows that do not count; may be negative (PyTorch's is -100).
    pub ignore_index: Option<i64>,
}

impl CrossEntropyLossConfig {
    /// The loss.
    ///
    /// # Errors
    /// [`candor::Error::OutOfRange`] for a smoothing outside [0, 1] or NaN. Weights are checked against the
    /// number of classes when the loss is applied.
    pub fn init(&self) -> Result<CrossEntropyLoss> {
        // The off-class range depends on the number of classes, which the first batch tells.
        let smoothing = f64::from(self.smoothing.unwrap_or(0.0));
        Convention::Uniform.rule(smoothing, 2)?;
        Ok(CrossEntropyLoss { config: self.clone(), smoothing })
    }
}

/// Cross-entropy between logits and class indices, with label smoothing. See [`CrossEntropyLossConfig`].
#[derive(Debug, Clone)]
pub struct CrossEntropyLoss {
    config: CrossEntropyLossConfig,
    smoothing: f64,
}

/// The ignored label that all pad tokens are turned into.
const PAD: i64 = i64::MIN;

impl CrossEntropyLoss {
    /// The loss of a batch.
    ///
    /// # Shapes
    /// - logits `[n, n_classes]` with targets `[n]`, or `[b, t, n_classes]` with targets `[b, t]`, or more axes
    /// - loss `[1]`; `[n]`, or `[b * t]`, without reduction
    ///
    /// # Errors
    /// [`Error::Shape`] if the leading axes differ; a label that is no class, a logit that is NaN, +inf or
    /// masks its label, a mean over no row, weights that do not fit.
    pub fn forward<const D: usize, const E: usize>(
        &self,
        logits: Tensor<D>,
        targets: Tensor<E, Int>,
    ) -> Result<LossOutput> {
        let shape = logits.dims();
        let [leading @ .., n_classes] = shape.as_slice() else {
            return Err(Error::Shape {
                logits: shape.to_vec(),
                expected: vec![],
                got: targets.dims().to_vec(),
            });
        };
        if leading != targets.dims().as_slice() {
            return Err(Error::Shape {
                logits: shape.to_vec(),
                expected: leading.to_vec(),
                got: targets.dims().to_vec(),
            });
        }
        let (n_rows, n_classes) = (leading.iter().product::<usize>(), *n_classes);
        let logits = if self.config.logits { logits } else { logits.log() };
        let rule = self.config.convention.rule(self.smoothing, n_classes)?;
        let weights =
            self.config.weights.as_ref().map(|weights| weights.iter().map(|&w| f64::from(w)).collect());
        let mut labels = read_labels(targets)?;
        let pads = self.config.pad_tokens.as_deref().unwrap_or_default();
        for label in &mut labels {
            let padded = usize::try_from(*label).is_ok_and(|label| pads.contains(&label));
            if padded || Some(*label) == self.config.ignore_index {
                *label = PAD;
            }
        }
        LossModule::new(CrossEntropy)
            .with_shared_rule(Some(rule.into()))
            .with_reduction(self.config.reduction)
            .with_class_weights(weights, self.config.weighting)
            .forward(
                logits.reshape([n_rows, n_classes]),
                LossTargets::Labels { labels, ignore_index: Some(PAD) },
            )
    }
}
