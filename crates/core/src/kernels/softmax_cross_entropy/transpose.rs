//! Rows into the lanes of vectors and back. Data only moves, so that no way of moving it shows in a result.

use crate::kernels::vector::Vector;

/// Rows that stand side by side: four vectors of AVX-512, eight of AVX2, sixteen of the others.
///
/// With fewer, the compiler unrolls the loops over lanes before it looks for vectors in them, and finds few.
pub(crate) const ROWS: usize = 64;

/// Where the row of each lane begins.
#[derive(Clone, Copy)]
pub(super) enum Rows<'p> {
    Each(&'p [*const f32; ROWS]),
    /// `stride` from one to the next. Lanes beyond `count` repeat the first row, and their results go nowhere.
    Apart {
        first: *const f32,
        stride: usize,
        count: usize,
    },
}

impl Rows<'_> {
    /// # Safety
    /// The rows of all lanes must be there.
    #[inline(always)]
    unsafe fn of(&self, l: usize) -> *const f32 {
        match *self {
            Self::Each(rows) => rows[l],
            // SAFETY: passed on to the caller.
            Self::Apart { first, stride, count } => unsafe {
                first.add(if l < count { l * stride } else { 0 })
            },
        }
    }
}

/// The values of one class, a row in each lane.
pub(super) type Lanes = [f32; ROWS];

/// `tile[j][l] = rows[l][j]` for the classes that the tile has.
///
/// # Safety
/// Each row must be readable for `tile.len()` values; the CPU must have the instruction set of `V`.
#[inline(always)]
pub(super) unsafe fn gather<V: Vector>(rows: Rows<'_>, tile: &mut [Lanes]) {
    // SAFETY: passed on to the caller.
    unsafe {
        #[cfg(target_arch = "x86_64")]
        if V::FMA && tile.len() >= x86::SIDE {
            return x86::gather(rows, tile);
        }
        for (j, lanes) in tile.iter_mut().enumerate() {
            for (l, lane) in lanes.iter_mut().enumerate() {
                *lane = *rows.of(l).add(j);
            }
        }
    }
}

/// `rows[l][j] = tile[j][l]` for the lanes of which `wanted` says so, with the rows `stride` apart from the first on.
///
/// # Safety
/// Each wanted row must be writable for `tile.len()` values; the CPU must have the instruction set of `V`.
#[inline(always)]
pub(super) unsafe fn scatter<V: Vector>(
    tile: &[Lanes],
    (first, stride): (*mut f32, usize),
    wanted: &[bool; ROWS],
) {
    // SAFETY: passed on to the caller.
    unsafe {
        #[cfg(target_arch = "x86_64")]
        if V::FMA && tile.len() >= x86::SIDE {
            return x86::scatter(tile, (first, stride), wanted);
        }
        for l in 0..ROWS {
            if wanted[l] {
                for (j, lanes) in tile.iter().enumerate() {
                    *first.add(l * stride + j) = lanes[l];
                }
            }
        }
    }
}

/// By squares of eight by eight values.
#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{Lanes, ROWS, Rows};
    pub(super) use crate::kernels::square::SIDE;
    use crate::kernels::square::turn;

    /// Where the squares begin: the last one overlaps the one before, which moves the same values twice.
    #[inline(always)]
    fn starts(k: usize) -> impl Iterator<Item = usize> {
        (0..k).step_by(SIDE).map(move |j| if j + SIDE > k { k - SIDE } else { j })
    }

    /// # Safety
    /// As [`super::gather`], with at least [`SIDE`] classes.
    #[target_feature(enable = "avx")]
    #[inline]
    pub(super) unsafe fn gather(rows: Rows<'_>, tile: &mut [Lanes]) {
        for j in starts(tile.len()) {
            for part in (0..ROWS).step_by(SIDE) {
                // SAFETY: `j + SIDE` does not exceed the number of classes, which the rows and the tile have.
                unsafe {
                    let mut square = [_mm256_setzero_ps(); SIDE];
                    for (l, row) in square.iter_mut().enumerate() {
                        *row = _mm256_loadu_ps(rows.of(part + l).add(j));
                    }
                    let turned = turn(square);
                    for i in 0..SIDE {
                        _mm256_storeu_ps(tile[j + i].as_mut_ptr().add(part), turned[i]);
                    }
                }
            }
        }
    }

    /// # Safety
    /// As [`super::scatter`], with at least [`SIDE`] classes.
    #[target_feature(enable = "avx")]
    #[inline]
    pub(super) unsafe fn scatter(tile: &[Lanes], (first, stride): (*mut f32, usize), wanted: &[bool; ROWS]) {
        for j in starts(tile.len()) {
            for part in (0..ROWS).step_by(SIDE) {
                // SAFETY: as in `gather`.
                unsafe {
                    let mut square = [_mm256_setzero_ps(); SIDE];
                    for i in 0..SIDE {
                        square[i] = _mm256_loadu_ps(tile[j + i].as_ptr().add(part));
                    }
                    let turned = turn(square);
                    for l in 0..SIDE {
                        if wanted[part + l] {
                            _mm256_storeu_ps(first.add((part + l) * stride + j), turned[l]);
                        }
                    }
                }
            }
        }
    }
}
