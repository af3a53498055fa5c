//! What the second pass over a row adds up: over a block in single precision, beyond it in double precision.

use super::super::job::{DENSE_BY_CLASS, reads_dense};
use super::passes::LANES;

/// Parts of a total, which the lanes of a block are folded into.
const PARTS: usize = 8;

/// Sums of one block in the lanes of a step, with v = z - max.
pub(super) struct Sums {
    /// Σ e^v.
    pub exp: [f32; LANES],
    /// Σ v, or Σ b v of a background b that differs by class.
    pub dot: [f32; LANES],
    /// Σ r v of a dense row r.
    pub dense_dot: [f32; LANES],
    /// Σ r w v of a dense row and class weights w.
    pub weighted_dot: [f32; LANES],
    /// Σ r w.
    pub weighted_mass: [f32; LANES],
    /// Σ e^v v, for the entropy.
    pub entropy_dot: [f32; LANES],
}

impl Sums {
    #[inline(always)]
    pub(super) fn new() -> Self {
        let zero = [0.0; LANES];
        Self {
            exp: zero,
            dot: zero,
            dense_dot: zero,
            weighted_dot: zero,
            weighted_mass: zero,
            entropy_dot: zero,
        }
    }
}

/// A sum of a row so far.
#[derive(Clone, Copy, Default)]
pub(super) struct Total([f64; PARTS]);

impl Total {
    /// Folds the lanes to so many parts in single precision, and adds those.
    #[inline(always)]
    pub(super) fn add<const N: usize>(&mut self, lanes: &[f32; N]) {
        let mut parts = [0.0_f32; PARTS];
        for at in (0..N).step_by(PARTS) {
            for l in 0..PARTS {
                parts[l] += lanes[at + l];
            }
        }
        for (total, part) in self.0.iter_mut().zip(parts) {
            *total += f64::from(part);
        }
    }

    /// The sum of the parts, in a fixed order.
    #[inline(always)]
    pub(super) fn sum(&self) -> f64 {
        let [a, b, c, d, e, f, g, h] = self.0;
        ((a + e) + (c + g)) + ((b + f) + (d + h))
    }
}

/// [`Sums`] of a row so far.
#[derive(Clone, Copy, Default)]
pub(super) struct Totals {
    pub exp: Total,
    pub dot: Total,
    pub dense_dot: Total,
    pub weighted_dot: Total,
    pub weighted_mass: Total,
    pub entropy_dot: Total,
}

impl Totals {
    #[inline(always)]
    pub(super) fn add<const KIND: u8, const ENTROPY: bool>(&mut self, sums: &Sums) {
        self.exp.add(&sums.exp);
        self.dot.add(&sums.dot);
        if reads_dense(KIND) {
            self.dense_dot.add(&sums.dense_dot);
        }
        if KIND == DENSE_BY_CLASS {
            self.weighted_dot.add(&sums.weighted_dot);
            self.weighted_mass.add(&sums.weighted_mass);
        }
        if ENTROPY {
            self.entropy_dot.add(&sums.entropy_dot);
        }
    }
}
