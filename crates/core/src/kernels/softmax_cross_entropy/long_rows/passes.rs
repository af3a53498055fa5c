//! What is done to a vector's worth of classes, and the loops that read a row only.

use super::super::extremes::Extremes;
use super::super::job::{DENSE_BY_CLASS, Job, reads_background, reads_dense};
use super::super::sums::{Masses, Sums};
use crate::kernels::exp_f32::exp_nonpositive;
use crate::kernels::storage::FusedStorage;
use crate::kernels::vector::{LANES, Vector, all_but};

/// Vectors summed in single precision before the sums move to double precision.
pub(super) const STEPS: usize = 16;

/// An array with a value a class, or nothing where the body reads none.
#[derive(Clone, Copy)]
struct Array<'a> {
    values: &'a [f32],
    /// The same by vectors.
    steps: &'a [[f32; LANES]],
}

impl<'a> Array<'a> {
    #[inline(always)]
    fn new(values: &'a [f32]) -> Self {
        Self { values, steps: values.as_chunks().0 }
    }

    /// The values of a place in every lane's class; `otherwise` where there are none.
    #[inline(always)]
    fn at<V: Vector>(&self, proof: V, place: Place, otherwise: f32) -> V {
        let values = match place {
            Place::Step(step) => self.steps.get(step),
            Place::End => self.values.last_chunk(),
        };
        match values {
            Some(values) => proof.load(values),
            None => proof.splat(otherwise),
        }
    }
}

/// Where a vector's classes stand in a row.
#[derive(Clone, Copy)]
pub(super) enum Place {
    /// After so many other vectors.
    Step(usize),
    /// At the row's end.
    End,
}

/// The arrays that a row is read against; empty where the body reads none.
#[derive(Clone, Copy)]
pub(super) struct Arrays<'a> {
    /// The background of each class.
    background: Array<'a>,
    /// The dense row.
    dense: Array<'a>,
    /// The class weights.
    weights: Array<'a>,
}

impl<'a> Arrays<'a> {
    #[inline(always)]
    pub(super) fn new<const KIND: u8>(job: &Job<'a>, weights: Option<&'a [f32]>) -> Self {
        Self {
            background: Array::new(if reads_background(KIND) { job.background.masses } else { &[] }),
            dense: Array::new(if reads_dense(KIND) { job.dense } else { &[] }),
            weights: Array::new(if KIND == DENSE_BY_CLASS { weights.unwrap_or_default() } else { &[] }),
        }
    }

    /// Where the dense row begins.
    #[inline(always)]
    pub(super) fn dense_row(&self) -> *const f32 {
        self.dense.values.as_ptr()
    }

    /// What stands against the classes of a place; anything for what the body does not read. `proof` is any vector.
    #[inline(always)]
    pub(super) fn at<V: Vector, const KIND: u8>(&self, proof: V, place: Place) -> Masses<V> {
        (
            if reads_background(KIND) { self.background.at(proof, place, 0.0) } else { proof },
            if reads_dense(KIND) { self.dense.at(proof, place, 0.0) } else { proof },
            if KIND == DENSE_BY_CLASS { self.weights.at(proof, place, 1.0) } else { proof },
        )
    }

    /// What stands against one class, in every lane.
    #[inline(always)]
    pub(super) fn at_class<V: Vector>(&self, proof: V, class: usize) -> Masses<V> {
        let one = |array: &Array<'_>, otherwise: f32| {
            proof.splat(array.values.get(class).copied().unwrap_or(otherwise))
        };
        (one(&self.background, 0.0), one(&self.dense, 0.0), one(&self.weights, 1.0))
    }
}

/// The maximum of a row of at least [`LANES`] values, and the bits of its largest magnitude.
#[inline(always)]
pub(super) fn largest<T: FusedStorage, V: Vector>(proof: V, row: &[T]) -> (f32, u32) {
    let (steps, rest) = row.as_chunks::<LANES>();
    let (Some(first), Some(last)) = (row.first_chunk::<LANES>(), row.last_chunk::<LANES>()) else {
        return (f32::NAN, u32::MAX);
    };
    let first = T::load(proof, first);
    let (mut even, mut odd) = (Extremes::of(first), Extremes::of(first));
    let (pairs, single) = steps.as_chunks::<2>();
    for [a, b] in pairs {
        even.see(T::load(proof, a));
        odd.see(T::load(proof, b));
    }
    // Once more what was seen already changes nothing.
    if !(single.is_empty() && rest.is_empty()) {
        even.see(T::load(proof, last));
        single.iter().for_each(|step| odd.see(T::load(proof, step)));
    }
    even.whole(odd)
}

/// Logits of a step as exponentials, which the sums take in.
#[inline(always)]
pub(super) fn exponentials<V: Vector, const KIND: u8, const ENTROPY: bool>(
    logits: V,
    arrays: &Arrays<'_>,
    place: Place,
    max: V,
    sums: &mut Sums<V>,
) -> V {
    let v = logits.minus(max);
    let e = exp_nonpositive(v);
    sums.see::<KIND, ENTROPY>(v, e, arrays.at::<V, KIND>(max, place));
    e
}

/// The same of the step at the end of a row, whose first `seen` values have been summed or will be.
#[inline(always)]
pub(super) fn last_exponentials<V: Vector, const KIND: u8, const ENTROPY: bool>(
    logits: V,
    arrays: &Arrays<'_>,
    seen: usize,
    max: V,
    sums: &mut Sums<V>,
) -> V {
    let mask = all_but(seen);
    let v = logits.minus(max);
    let e = exp_nonpositive(v);
    let (background, dense, weights) = arrays.at::<V, KIND>(max, Place::End);
    sums.see::<KIND, ENTROPY>(v.masked(&mask), e.masked(&mask), (background, dense.masked(&mask), weights));
    e
}
