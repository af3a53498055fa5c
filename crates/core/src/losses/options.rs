//! How the rows of a batch become one number: reduction, weights, denominator.

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

/// Everything about a loss that is not the loss itself. The default is the plain mean.
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
    /// Divides the weighted sum instead of this batch's own denominator: the number of rows, tokens or
    /// sentences of all the batches that are accumulated, so that accumulation changes nothing.
    pub denominator: Option<f64>,
    /// Whether the mean predictive entropy is wanted too; off by default, since it costs the vectorised
    /// cross-entropy 5 to 13 % of its time.
    pub entropy: bool,
}
