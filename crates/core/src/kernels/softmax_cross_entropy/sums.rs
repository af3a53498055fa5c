//! What the second pass adds up in single precision, over as few classes as keep its digits.

use super::job::{DENSE_BY_CLASS, reads_background, reads_dense};
use crate::kernels::vector::Vector;

/// What a vector of classes, or of rows, is read against: background, dense masses, class weights.
pub(super) type Masses<V> = (V, V, V);

/// Sums of some classes in the lanes of a vector, with v = z - max.
#[derive(Clone, Copy)]
pub(super) struct Sums<V> {
    /// Σ e^v.
    pub exp: V,
    /// Σ v, or Σ b v of a background b that differs by class.
    pub dot: V,
    /// Σ r v of a dense row r.
    pub dense_dot: V,
    /// Σ r w v of a dense row and class weights w.
    pub weighted_dot: V,
    /// Σ r w.
    pub weighted_mass: V,
    /// Σ e^v v, for the entropy.
    pub entropy_dot: V,
}

impl<V: Vector> Sums<V> {
    /// Nothing yet; `proof` is any vector.
    #[inline(always)]
    pub(super) fn new(proof: V) -> Self {
        let zero = proof.splat(0.0);
        Self {
            exp: zero,
            dot: zero,
            dense_dot: zero,
            weighted_dot: zero,
            weighted_mass: zero,
            entropy_dot: zero,
        }
    }

    /// Takes in the values and exponentials of a vector's classes, with their background, dense masses and weights.
    #[inline(always)]
    pub(super) fn see<const KIND: u8, const ENTROPY: bool>(
        &mut self,
        v: V,
        e: V,
        (background, dense, weights): Masses<V>,
    ) {
        self.exp = self.exp.plus(e);
        self.dot = if reads_background(KIND) { background.times_plus(v, self.dot) } else { self.dot.plus(v) };
        if reads_dense(KIND) {
            self.dense_dot = dense.times_plus(v, self.dense_dot);
        }
        if KIND == DENSE_BY_CLASS {
            let mass = dense.times(weights);
            self.weighted_dot = mass.times_plus(v, self.weighted_dot);
            self.weighted_mass = self.weighted_mass.plus(mass);
        }
        if ENTROPY {
            self.entropy_dot = e.times_plus(v, self.entropy_dot);
        }
    }
}
