//! The loops over the values of a row.
//!
//! Arrays come as slices, each of its own, so that the compiler knows that none overlaps what is written.

// Loops over several arrays of one vector each: by index they read as what they do, and vectorise.
#![allow(clippy::needless_range_loop)]

use super::super::extremes::Extremes;
use super::super::job::{BY_CLASS, DENSE, DENSE_BY_CLASS, Job, PLAIN, reads_background, reads_dense};
use super::sums::{Sums, Total, Totals};
use crate::kernels::exp_f32::{exp_nonpositive, multiply_add};
use crate::kernels::storage::FusedStorage;

/// Values of a step of the loops: one vector of AVX-512, two of AVX2, four of the others.
pub(super) const LANES: usize = 16;
/// Values summed in single precision before the sums move to double precision: 16 additions a lane.
pub(super) const BLOCK: usize = 256;

/// The arrays that a row is read against, or pieces of them; empty where the body reads none.
#[derive(Clone, Copy)]
pub(super) struct Arrays<'a> {
    /// The background of each class.
    pub background: &'a [f32],
    /// The dense row.
    pub dense: &'a [f32],
    /// The class weights.
    pub weights: &'a [f32],
}

impl<'a> Arrays<'a> {
    #[inline(always)]
    pub(super) fn new<const KIND: u8>(job: &Job<'a>, weights: Option<&'a [f32]>) -> Self {
        Self {
            background: if reads_background(KIND) { job.background.masses } else { &[] },
            dense: if reads_dense(KIND) { job.dense } else { &[] },
            weights: if KIND == DENSE_BY_CLASS { weights.unwrap_or_default() } else { &[] },
        }
    }

    /// The piece from `from` on, of `len` classes.
    #[inline(always)]
    pub(super) fn piece(&self, from: usize, len: usize) -> Self {
        let piece = |values: &'a [f32]| if values.is_empty() { values } else { &values[from..from + len] };
        Self { background: piece(self.background), dense: piece(self.dense), weights: piece(self.weights) }
    }

    /// Those of the step from `from` on.
    #[inline(always)]
    fn lanes(&self, from: usize) -> Masses<'a> {
        let lanes = |values: &'a [f32], otherwise| {
            values.get(from..).and_then(<[f32]>::first_chunk).unwrap_or(otherwise)
        };
        let zeros = &[0.0; LANES];
        (lanes(self.background, zeros), lanes(self.dense, zeros), lanes(self.weights, &[1.0; LANES]))
    }
}

/// Values of a step of a loop so short that the compiler would unroll a smaller one instead of using vectors.
const SHORT: usize = 32;

/// Background, dense masses and weights of a step.
type Masses<'a> = (&'a [f32; LANES], &'a [f32; LANES], &'a [f32; LANES]);

/// The maximum of a row, and the bits of its largest magnitude.
#[inline(always)]
pub(super) fn largest<T: FusedStorage>(row: &[T]) -> (f32, u32) {
    let mut extremes = Extremes::<SHORT>::new();
    let (steps, rest) = row.as_chunks::<SHORT>();
    for step in steps {
        for l in 0..SHORT {
            extremes.see(l, step[l].widen());
        }
    }
    // Once more what was seen already changes nothing.
    if let (false, Some(last)) = (rest.is_empty(), row.last_chunk::<SHORT>()) {
        for l in 0..SHORT {
            extremes.see(l, last[l].widen());
        }
    }
    extremes.whole()
}

/// The sum of a dense row's masses.
#[inline(always)]
pub(super) fn mass_sum(dense: &[f32]) -> f64 {
    let mut total = Total::default();
    // 16 additions a lane.
    for block in dense.chunks(16 * SHORT) {
        let mut sums = [0.0_f32; SHORT];
        let (steps, rest) = block.as_chunks::<SHORT>();
        for step in steps {
            for l in 0..SHORT {
                sums[l] += step[l];
            }
        }
        for (sum, mass) in sums.iter_mut().zip(rest) {
            *sum += mass;
        }
        total.add(&sums);
    }
    total.sum()
}

/// A piece of a row in single precision.
#[inline(always)]
pub(super) fn widen<T: FusedStorage>(from: &[T], to: &mut [f32]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = from.widen();
    }
}

/// One block of whole steps: logits become exponentials, and everything is summed.
#[inline(always)]
pub(super) fn exponentials<const FMA: bool, const KIND: u8, const ENTROPY: bool>(
    block: &mut [f32],
    arrays: &Arrays<'_>,
    max: f32,
    totals: &mut Totals,
    fetch: impl Fn(usize),
) {
    let mut sums = Sums::new();
    let (steps, _) = block.as_chunks_mut::<LANES>();
    for (at, z) in steps.iter_mut().enumerate() {
        let from = at * LANES;
        fetch(from);
        let (background, dense, weights) = arrays.lanes(from);
        step::<FMA, KIND, ENTROPY>(z, background, dense, weights, max, 0, &mut sums);
    }
    totals.add::<KIND, ENTROPY>(&sums);
}

/// The same of whole steps whose exponentials nobody wants to keep.
#[inline(always)]
pub(super) fn exponential_sums<T: FusedStorage, const FMA: bool, const KIND: u8, const ENTROPY: bool>(
    block: &[T],
    arrays: &Arrays<'_>,
    max: f32,
    totals: &mut Totals,
    fetch: impl Fn(usize),
) {
    let mut sums = Sums::new();
    let (steps, _) = block.as_chunks::<LANES>();
    for (at, values) in steps.iter().enumerate() {
        let from = at * LANES;
        fetch(from);
        let mut z = [0.0; LANES];
        widen(values, &mut z);
        let (background, dense, weights) = arrays.lanes(from);
        step::<FMA, KIND, ENTROPY>(&mut z, background, dense, weights, max, 0, &mut sums);
    }
    totals.add::<KIND, ENTROPY>(&sums);
}

/// The step at the end of a row that overlaps the one before by `seen` values, which are not summed again.
#[inline(always)]
pub(super) fn last_exponentials<const FMA: bool, const KIND: u8, const ENTROPY: bool>(
    z: &mut [f32; LANES],
    arrays: &Arrays<'_>,
    max: f32,
    seen: usize,
    totals: &mut Totals,
    from: usize,
) {
    let mut sums = Sums::new();
    let (background, dense, weights) = arrays.lanes(from);
    step::<FMA, KIND, ENTROPY>(z, background, dense, weights, max, seen, &mut sums);
    totals.add::<KIND, ENTROPY>(&sums);
}

/// Logits of a step become exponentials, and all but the first `seen` are summed.
#[inline(always)]
fn step<const FMA: bool, const KIND: u8, const ENTROPY: bool>(
    z: &mut [f32; LANES],
    background: &[f32; LANES],
    dense: &[f32; LANES],
    weights: &[f32; LANES],
    max: f32,
    seen: usize,
    sums: &mut Sums,
) {
    for l in 0..LANES {
        let v = z[l] - max;
        let e = exp_nonpositive::<FMA>(v);
        z[l] = e;
        let (v, e) = if l < seen { (0.0, 0.0) } else { (v, e) };
        sums.exp[l] += e;
        if reads_background(KIND) {
            sums.dot[l] = multiply_add::<FMA>(background[l], v, sums.dot[l]);
        } else {
            sums.dot[l] += v;
        }
        if reads_dense(KIND) {
            sums.dense_dot[l] = multiply_add::<FMA>(dense[l], v, sums.dense_dot[l]);
        }
        if KIND == DENSE_BY_CLASS {
            let mass = dense[l] * weights[l];
            sums.weighted_dot[l] = multiply_add::<FMA>(mass, v, sums.weighted_dot[l]);
            sums.weighted_mass[l] += if l < seen { 0.0 } else { mass };
        }
        if ENTROPY {
            sums.entropy_dot[l] = multiply_add::<FMA>(e, v, sums.entropy_dot[l]);
        }
    }
}

/// Factors of a row's gradient, each with the gradient's scale: `factor e^v - (uniform + background b + dense r w)`.
#[derive(Clone, Copy)]
pub(super) struct Factors {
    pub exp: f32,
    pub uniform: f32,
    pub background: f32,
    pub dense: f32,
}

impl Factors {
    /// Values of which `exp` makes exponentials become the gradient, but for the explicit pairs.
    #[inline(always)]
    pub(super) fn gradient<const FMA: bool, const KIND: u8>(
        self,
        block: &mut [f32],
        arrays: &Arrays<'_>,
        exp: impl Fn(f32) -> f32,
    ) {
        let (background, dense, weights) = (arrays.background, arrays.dense, arrays.weights);
        let weighted = !weights.is_empty();
        match KIND {
            PLAIN => block.iter_mut().for_each(|e| *e = self.value::<FMA, KIND>(exp(*e), 0.0, 0.0, 1.0)),
            BY_CLASS => {
                for (e, b) in block.iter_mut().zip(background) {
                    *e = self.value::<FMA, KIND>(exp(*e), *b, 0.0, 1.0);
                }
            }
            DENSE => {
                for (e, r) in block.iter_mut().zip(dense) {
                    *e = self.value::<FMA, KIND>(exp(*e), 0.0, *r, 1.0);
                }
            }
            _ if weighted => {
                for (((e, b), r), w) in block.iter_mut().zip(background).zip(dense).zip(weights) {
                    *e = self.value::<FMA, KIND>(exp(*e), *b, *r, *w);
                }
            }
            _ => {
                for ((e, b), r) in block.iter_mut().zip(background).zip(dense) {
                    *e = self.value::<FMA, KIND>(exp(*e), *b, *r, 1.0);
                }
            }
        }
    }

    /// The gradient at one class, before the pairs.
    #[inline(always)]
    fn value<const FMA: bool, const KIND: u8>(self, e: f32, background: f32, dense: f32, weight: f32) -> f32 {
        let q = match KIND {
            PLAIN => self.uniform,
            BY_CLASS => self.background * background,
            DENSE => multiply_add::<FMA>(self.dense, dense, self.uniform),
            _ => multiply_add::<FMA>(self.dense, dense * weight, self.background * background),
        };
        multiply_add::<FMA>(e, self.exp, -q)
    }

    /// [`gradient`](Self::gradient) of one class.
    #[inline(always)]
    pub(super) fn at<const FMA: bool, const KIND: u8>(
        self,
        e: f32,
        arrays: &Arrays<'_>,
        class: usize,
    ) -> f32 {
        let value = |values: &[f32], otherwise| values.get(class).copied().unwrap_or(otherwise);
        let (background, dense) = (value(arrays.background, 0.0), value(arrays.dense, 0.0));
        self.value::<FMA, KIND>(e, background, dense, value(arrays.weights, 1.0))
    }
}
