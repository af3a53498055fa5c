//! Where the smoothing mass of a batch goes.

use super::Priors;

/// Where the smoothing mass goes.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Background<'a> {
    /// Evenly to every allowed class.
    Uniform,
    /// Evenly to every allowed class but the label; for rows of several explicit classes, the mixture of
    /// their off-class rows.
    OtherClasses,
    /// In proportion to one prior for all rows, `[n_classes]`.
    Prior(Priors<'a>),
    /// In proportion to the prior of the row's label, `[n_classes, n_classes]`.
    PriorOfLabel(Priors<'a>),
}
