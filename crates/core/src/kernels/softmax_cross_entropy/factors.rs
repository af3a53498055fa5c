//! The gradient from the exponentials.

use super::job::{BY_CLASS, DENSE, PLAIN};
use super::sums::Masses;
use crate::kernels::vector::Vector;

/// Factors of a gradient, each with the gradient's scale: `exp e^v - (uniform + background b + dense r w)`.
#[derive(Clone, Copy)]
pub(super) struct Factors<V> {
    pub exp: V,
    pub uniform: V,
    pub background: V,
    pub dense: V,
}

impl<V: Vector> Factors<V> {
    /// The gradient where the exponentials are `e`, but for the explicit pairs.
    #[inline(always)]
    pub(super) fn gradient<const KIND: u8>(&self, e: V, (background, dense, weights): Masses<V>) -> V {
        let q = match KIND {
            PLAIN => self.uniform,
            BY_CLASS => self.background.times(background),
            DENSE => self.dense.times_plus(dense, self.uniform),
            _ => self.dense.times_plus(dense.times(weights), self.background.times(background)),
        };
        e.times_minus(self.exp, q)
    }
}
