//! The innermost loop of a product: a tile of the target, whose sums stay in registers.

use crate::kernels::prefetch::prefetch;
use crate::kernels::vector::{LANES, Vector};

/// What the sums of a tile become.
#[derive(Clone, Copy)]
pub(super) struct Finish {
    /// They are multiplied by it.
    pub factor: f32,
    /// And added to what the target holds.
    pub add: bool,
}

/// Where a tile goes.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub first: *mut f32,
    /// From a row to the next.
    pub stride: usize,
    /// Rows and columns of the tile that are there; the others are computed for nothing.
    pub rows: usize,
    pub columns: usize,
}

/// `R` rows times `W` vectors of the target, from `depth` steps that stand side by side: of `left` `R` numbers, of
/// `right` `W` vectors each.
///
/// Each sum is added up in the order of the steps, and a tile that is not whole is computed like any other, so that
/// the bits of a number do not depend on where it stands.
///
/// # Safety
/// `left` and `right` must be readable, and the place's rows and columns writable.
#[expect(clippy::needless_range_loop, reason = "iterators keep the sums in memory")]
#[inline(always)]
pub(super) unsafe fn tile<V: Vector, const R: usize, const W: usize>(
    proof: V,
    depth: usize,
    (left, right): (*const f32, *const f32),
    place: Place,
    finish: Finish,
) {
    let whole = place.rows == R && place.columns == W * LANES;
    if whole {
        for row in 0..R {
            // The last number of a row may lie in another cache line.
            prefetch(place.first.wrapping_add(row * place.stride), W * LANES);
            prefetch(place.first.wrapping_add(row * place.stride + W * LANES - 1), 1);
        }
    }
    let mut sums = [[proof.splat(0.0); W]; R];
    // SAFETY: step `s` has R numbers and W vectors, and rows and columns of the place are there, as the caller vouches.
    unsafe {
        for step in 0..depth {
            let (left, right) = (left.add(step * R), right.add(step * W * LANES).cast::<[f32; LANES]>());
            let vectors: [V; W] = std::array::from_fn(|w| proof.load(&*right.add(w)));
            for row in 0..R {
                let factor = proof.splat(*left.add(row));
                for w in 0..W {
                    sums[row][w] = factor.times_plus(vectors[w], sums[row][w]);
                }
            }
        }
        if whole {
            for row in 0..R {
                for w in 0..W {
                    let to = &mut *place.first.add(row * place.stride + w * LANES).cast::<[f32; LANES]>();
                    finish.store(proof, sums[row][w], to);
                }
            }
        } else {
            for row in 0..R {
                for w in 0..W {
                    let columns = place.columns.saturating_sub(w * LANES).min(LANES);
                    if row < place.rows && columns > 0 {
                        let to = place.first.add(row * place.stride + w * LANES);
                        let mut lanes = [0.0; LANES];
                        std::ptr::copy_nonoverlapping(to, lanes.as_mut_ptr(), columns);
                        finish.store(proof, sums[row][w], &mut lanes);
                        std::ptr::copy_nonoverlapping(lanes.as_ptr(), to, columns);
                    }
                }
            }
        }
    }
}

impl Finish {
    #[inline(always)]
    fn store<V: Vector>(self, proof: V, sums: V, to: &mut [f32; LANES]) {
        let factor = proof.splat(self.factor);
        let value = if self.add { sums.times_plus(factor, proof.load(to)) } else { sums.times(factor) };
        value.store(to);
    }
}
