//! How the rows of a batch become one number: reduction, weights, denominator.

use super::sweep::{check_weights, mean_denominator};
use crate::error::Result;
use crate::targets::Targets;

/// How row losses are combined.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reduction {
    /// Each row for itself; the returned value is the sum, the gradient that of each row's own loss.
    None,
    /// The weighted mean over the rows that count.
    #[default]
    Mean,
    /// The weighted sum.
    Sum,
}

impl std::str::FromStr for Reduction {
    type Err = crate::Error;

    fn from_str(name: &str) -> crate::Result<Self> {
        match name {
            "none" => Ok(Reduction::None),
            "mean" => Ok(Reduction::Mean),
            "sum" => Ok(Reduction::Sum),
            _ => Err(crate::registry::unknown("reduction", name, ["mean", "sum", "none"])),
        }
    }
}

/// What class weights do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Weighting {
    /// A row's weight is `Σ t_k w_k` of its un-smoothed target, and a mean is divided by the sum of the
    /// row weights. The optimum stays the target, and indices and one-hot rows give the same figure.
    #[default]
    Label,
    /// PyTorch's: the weight multiplies each class's term, smoothing included, which moves the optimum;
    /// a mean is divided by `Σ w_y` for labels and by the number of rows for soft targets.
    Pytorch,
}

impl std::str::FromStr for Weighting {
    type Err = crate::Error;

    fn from_str(name: &str) -> crate::Result<Self> {
        match name {
            "label" => Ok(Weighting::Label),
            "pytorch" => Ok(Weighting::Pytorch),
            _ => Err(crate::registry::unknown("weighting", name, ["label", "pytorch"])),
        }
    }
}

/// What a mean is divided by where no [`LossOptions::denominator`] is given.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum MeanOver {
    /// The sum of the weights of the rows that count; their number, where there are no weights. With
    /// [`Weighting::Pytorch`] it is what PyTorch divides by.
    #[default]
    Weights,
    /// The number of rows that count, whatever their weights: of tokens, where each row is one.
    Rows,
    /// The number of all rows, ignored ones too: Keras' `sum_over_batch_size`.
    AllRows,
}

impl std::str::FromStr for MeanOver {
    type Err = crate::Error;

    fn from_str(name: &str) -> crate::Result<Self> {
        match name {
            "weights" => Ok(MeanOver::Weights),
            "rows" => Ok(MeanOver::Rows),
            "all_rows" => Ok(MeanOver::AllRows),
            _ => Err(crate::registry::unknown("mean_over", name, ["weights", "rows", "all_rows"])),
        }
    }
}

/// Everything about a loss that is not the loss itself. The default is the plain mean.
///
/// # Accumulated gradients
/// The mean of means over parts of different sizes is not the mean over the whole: it gives every row of a
/// small part too much weight. Add up what each part would be divided by, and divide all of them by that:
/// ```
/// use candor::losses::{Batch, CrossEntropy, Loss, LossOptions};
/// use candor::{Buffers, Labels, Targets};
/// let (z, labels) = ([1.0, 0.0, 0.5, 0.0, -2.0, 0.0], [0, 1, 1]);
/// let mean = |z: &[f64], labels: &[i64], options| {
///     let targets = Targets::labels(Labels::new(labels, 2)?);
///     CrossEntropy.value_grad_f64(Batch::new(Buffers::Forward(z), &targets).options(options), &mut Default::default())
/// };
/// let whole = mean(&z, &labels, LossOptions::default())?.loss;
/// let mut count = 0.0;
/// for part in [&labels[..1], &labels[1..]] {
///     count += LossOptions::default().denominator_of(&Targets::labels(Labels::new(part, 2)?))?;
/// }
/// let options = LossOptions { denominator: Some(count), ..Default::default() };
/// let parts = mean(&z[..2], &labels[..1], options)?.loss + mean(&z[2..], &labels[1..], options)?.loss;
/// assert!((parts - whole).abs() < 1e-15);
/// # Ok::<(), candor::Error>(())
/// ```
/// The number of sentences of the whole batch, or a count that all machines agreed on, does as well.
#[derive(Debug, Clone, Copy, Default)]
pub struct LossOptions<'a> {
    /// How row losses are combined.
    pub reduction: Reduction,
    /// A weight for each class, `[n_classes]`, finite and not negative.
    pub class_weights: Option<&'a [f64]>,
    /// What the class weights do.
    pub weighting: Weighting,
    /// A weight for each row, `[n]`, finite and not negative; multiplies the row's loss and counts in the
    /// denominator of a mean.
    pub sample_weights: Option<&'a [f64]>,
    /// What a mean is divided by, of what this batch has.
    pub mean_over: MeanOver,
    /// Divides the weighted sum of a mean instead of anything that this batch has: the number of rows,
    /// tokens or sentences of all the batches that are accumulated, so that accumulation changes nothing.
    pub denominator: Option<f64>,
    /// Whether the mean predictive entropy is wanted too; off by default, since it costs the vectorised
    /// cross-entropy 5 to 13 % of its time.
    pub entropy: bool,
}

impl LossOptions<'_> {
    /// What a mean over this batch is divided by; 0 if no row counts.
    ///
    /// For the sum over all parts of a batch, which then is the [`denominator`](Self::denominator) of each.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) for a denominator that is not positive,
    /// [`Error::Shape`](crate::Error::Shape) and [`Error::WeightValue`](crate::Error::WeightValue) for
    /// weights that do not fit or are not finite.
    pub fn denominator_of(&self, targets: &Targets<'_>) -> Result<f64> {
        let (n_rows, n_classes) = (targets.n_rows(), targets.n_classes());
        check_weights("class weight", self.class_weights, n_classes)?;
        check_weights("sample weight", self.sample_weights, n_rows)?;
        mean_denominator(targets, self, targets.counted())
    }
}
