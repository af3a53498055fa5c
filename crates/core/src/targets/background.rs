//! Where the smoothing mass of a batch goes.

use super::Priors;

/// Where the smoothing mass goes.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Background<'a> {
    /// Evenly to every allowed class.
    Uniform,
    /// Evenly to every allowed class but the label; a distribution shares out the mass of each of its
    /// classes in that way, so that class k gets `(1 - t_k)/(K-1)`.
    OtherClasses,
    /// In proportion to one prior for all rows, `[n_classes]`.
    Prior(Priors<'a>),
    /// In proportion to the prior of the row's label, `[n_classes, n_classes]`; for labels only.
    PriorOfLabel(Priors<'a>),
}
