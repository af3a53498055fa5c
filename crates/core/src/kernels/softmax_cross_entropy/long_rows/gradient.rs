//! The third pass: the gradient of a row from its exponentials.

use super::super::RowBuffers;
use super::super::factors::Factors;
use super::super::job::Job;
use super::passes::{Arrays, Place};
use crate::kernels::storage::FusedStorage;
use crate::kernels::vector::{LANES, Vector, lanes_of};

/// What a row's gradient is made with.
pub(super) struct Gradient<'g, 'a, V> {
    pub factors: Factors<V>,
    pub arrays: Arrays<'a>,
    pub job: &'g Job<'a>,
    pub weights: Option<&'a [f32]>,
}

impl<V: Vector> Gradient<'_, '_, V> {
    /// The gradient of a step's classes, but for the explicit pairs.
    #[inline(always)]
    fn step<const KIND: u8>(&self, e: V, place: Place) -> V {
        self.factors.gradient::<KIND>(e, self.arrays.at::<V, KIND>(e, place))
    }

    /// The mass of an explicit pair, scaled.
    #[inline(always)]
    fn explicit(&self, class: usize, mass: f64) -> f32 {
        let weight = self.weights.map_or(1.0, |weights| f64::from(weights[class]));
        (self.job.pair_factor * mass * weight * f64::from(self.job.scale)) as f32
    }

    /// From the exponentials in the gradient's place.
    #[inline(always)]
    pub(super) fn in_place<T: FusedStorage, const KIND: u8>(&self, row: &mut RowBuffers<'_, T>) {
        let Some(gradient) = row.gradient() else { return };
        let proof = self.factors.exp;
        let k = gradient.len();
        // Read before the main loop writes over a part of it, which gets the same values again.
        let last = gradient.last_chunk().map(|end| self.step::<KIND>(T::load(proof, end), Place::End));
        for (at, step) in gradient.as_chunks_mut().0.iter_mut().enumerate() {
            T::store(self.step::<KIND>(T::load(proof, step), Place::Step(at)), step);
        }
        if let (false, Some(last), Some(end)) = (k.is_multiple_of(LANES), last, gradient.last_chunk_mut()) {
            T::store(last, end);
        }
        self.job.pairs.each(|class, mass| {
            gradient[class] = T::narrow(gradient[class].widen() - self.explicit(class, mass));
        });
    }

    /// From the exponentials in the room. What is stored is rounded once, so the classes of the pairs are computed
    /// with them.
    #[inline(always)]
    pub(super) fn out_of_room<T: FusedStorage, const KIND: u8>(
        &self,
        row: &mut RowBuffers<'_, T>,
        room: &[f32],
    ) {
        let Some(gradient) = row.gradient() else { return };
        let proof = self.factors.exp;
        let steps = room.as_chunks().0.iter().zip(gradient.as_chunks_mut().0);
        for (at, (from, to)) in steps.enumerate() {
            T::store(self.step::<KIND>(proof.load(from), Place::Step(at)), to);
        }
        if let (Some(from), Some(to)) = (room.last_chunk(), gradient.last_chunk_mut()) {
            T::store(self.step::<KIND>(proof.load(from), Place::End), to);
        }
        self.job.pairs.each(|class, _| {
            let masses = self.arrays.at_class(proof, class);
            let [mut value, ..] = lanes_of(self.factors.gradient::<KIND>(proof.splat(room[class]), masses));
            // A class may occur several times.
            self.job.pairs.each(|other, mass| {
                if other == class {
                    value -= self.explicit(class, mass);
                }
            });
            gradient[class] = T::narrow(value);
        });
    }
}
