//! Where the background of many batches comes from: borrowed, or shared without a copy.

use std::borrow::Cow;
use std::sync::Arc;

/// One prior `[n_classes]` or one a label `[n_classes, n_classes]`, row after row.
///
/// A rule keeps its priors once and hands them to every batch; a caller may lend its own.
///
/// # Examples
/// ```
/// use candor::targets::Priors;
/// let lent = [0.5, 0.5];
/// assert_eq!(Priors::from(&lent[..]).values(), Priors::from(vec![0.5, 0.5]).values());
/// ```
#[derive(Debug, Clone)]
pub struct Priors<'a>(Owner<'a>);

#[derive(Debug, Clone)]
enum Owner<'a> {
    Lent(&'a [f64]),
    Shared(Arc<[f64]>),
}

impl Priors<'_> {
    /// All values, row after row.
    pub fn values(&self) -> &[f64] {
        match &self.0 {
            Owner::Lent(values) => values,
            Owner::Shared(values) => values,
        }
    }
}

impl<'a> From<&'a [f64]> for Priors<'a> {
    fn from(values: &'a [f64]) -> Self {
        Self(Owner::Lent(values))
    }
}

impl From<Arc<[f64]>> for Priors<'_> {
    fn from(values: Arc<[f64]>) -> Self {
        Self(Owner::Shared(values))
    }
}

impl From<Vec<f64>> for Priors<'_> {
    fn from(values: Vec<f64>) -> Self {
        Self(Owner::Shared(values.into()))
    }
}

impl<'a> From<Cow<'a, [f64]>> for Priors<'a> {
    fn from(values: Cow<'a, [f64]>) -> Self {
        match values {
            Cow::Borrowed(values) => values.into(),
            Cow::Owned(values) => values.into(),
        }
    }
}
