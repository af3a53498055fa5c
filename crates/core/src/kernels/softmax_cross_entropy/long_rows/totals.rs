//! The sums of a row in double precision.

use super::super::job::{DENSE_BY_CLASS, reads_dense};
use super::super::sums::Sums;
use crate::kernels::vector::{PARTS, Vector};

/// A sum of a row so far.
#[derive(Clone, Copy, Default)]
pub(in super::super) struct Total([f64; PARTS]);

impl Total {
    /// Folds the lanes to so many parts in single precision, and adds those.
    #[inline(always)]
    pub(in super::super) fn add<V: Vector>(&mut self, lanes: V) {
        lanes.fold_into(&mut self.0);
    }

    /// The sum of the parts, in a fixed order.
    #[inline(always)]
    pub(in super::super) fn sum(&self) -> f64 {
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

/// [`Totals`] of a whole row: zero where its body adds up nothing.
#[derive(Clone, Copy, Default)]
pub(super) struct Sum {
    pub exp: f64,
    pub dot: f64,
    pub dense_dot: f64,
    pub weighted_dot: f64,
    pub weighted_mass: f64,
    pub entropy_dot: f64,
}

impl Totals {
    #[inline(always)]
    pub(super) fn sum<const KIND: u8, const ENTROPY: bool>(&self) -> Sum {
        let mut sum = Sum { exp: self.exp.sum(), dot: self.dot.sum(), ..Sum::default() };
        if reads_dense(KIND) {
            sum.dense_dot = self.dense_dot.sum();
        }
        if KIND == DENSE_BY_CLASS {
            sum.weighted_dot = self.weighted_dot.sum();
            sum.weighted_mass = self.weighted_mass.sum();
        }
        if ENTROPY {
            sum.entropy_dot = self.entropy_dot.sum();
        }
        sum
    }

    #[inline(always)]
    pub(super) fn add<V: Vector, const KIND: u8, const ENTROPY: bool>(&mut self, sums: Sums<V>) {
        self.exp.add(sums.exp);
        self.dot.add(sums.dot);
        if reads_dense(KIND) {
            self.dense_dot.add(sums.dense_dot);
        }
        if KIND == DENSE_BY_CLASS {
            self.weighted_dot.add(sums.weighted_dot);
            self.weighted_mass.add(sums.weighted_mass);
        }
        if ENTROPY {
            self.entropy_dot.add(sums.entropy_dot);
        }
    }
}
