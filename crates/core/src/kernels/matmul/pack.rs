//! Numbers of a matrix into the order in which a tile reads them. Data only moves.

use crate::kernels::prefetch::prefetch;
#[cfg(target_arch = "x86_64")]
use crate::kernels::square::SIDE;
use crate::kernels::vector::Vector;

/// Numbers beyond the last that [`pack`] may write over.
pub(super) const SLACK: usize = 8;

/// Steps ahead of which memory is asked for.
const AHEAD: usize = 4;

/// Rows of a left matrix or columns of a right one: `lanes` lines of `depth` numbers.
#[derive(Clone, Copy)]
pub(super) struct Lines {
    pub first: *const f32,
    /// From a number of a line to the next.
    pub along: usize,
    /// From a line to the next.
    pub across: usize,
    pub lanes: usize,
    pub depth: usize,
}

/// `to[step * N + lane]` is number `step` of line `lane`, zero where there is no such line.
///
/// # Safety
/// The lines must be readable; `to` must be writable for `depth * N` numbers and [`SLACK`] more. The CPU must have
/// the instruction set of `V`.
#[inline(always)]
pub(super) unsafe fn pack<V: Vector, const N: usize>(lines: Lines, to: *mut f32) {
    let Lines { first, along, across, lanes, depth } = lines;
    // SAFETY: number `step` of line `lane` lies at `step * along + lane * across`; it is read for those that are there.
    unsafe {
        if lanes == N && across == 1 {
            for step in 0..depth {
                let from = first.add(step * along).cast::<[f32; N]>();
                *to.add(step * N).cast::<[f32; N]>() = *from;
            }
            return;
        }
        #[cfg_attr(not(target_arch = "x86_64"), expect(unused_mut, reason = "squares are turned elsewhere"))]
        let mut done = 0;
        #[cfg(target_arch = "x86_64")]
        if V::FMA && along == 1 {
            done = depth / SIDE * SIDE;
            squares::<N>(Lines { depth: done, ..lines }, to);
        }
        for step in done..depth {
            for lane in 0..N {
                let number = if lane < lanes { *first.add(step * along + lane * across) } else { 0.0 };
                *to.add(step * N + lane) = number;
            }
        }
    }
}

/// [`pack`] of the lines of a block, `N` after `N`, where the numbers of a step stand side by side: step by step, as they
/// lie in memory.
///
/// # Safety
/// Those of [`pack`], for each `N` lines and what is left of them.
#[inline(always)]
pub(super) unsafe fn pack_steps<const N: usize>(lines: Lines, to: *mut f32) {
    let Lines { first, along, lanes, depth, .. } = lines;
    // SAFETY: number `step` of line `lane` lies at `step * along + lane`; of the last lines those are read that are there.
    unsafe {
        for step in 0..depth {
            let from = first.add(step * along);
            prefetch(from.wrapping_add(AHEAD * along), lanes);
            for lane in (0..lanes / N * N).step_by(N) {
                *to.add(lane * depth + step * N).cast::<[f32; N]>() = *from.add(lane).cast::<[f32; N]>();
            }
            let rest = lanes % N;
            if rest > 0 {
                let to = to.add((lanes - rest) * depth + step * N);
                std::ptr::copy_nonoverlapping(from.add(lanes - rest), to, rest);
                to.add(rest).write_bytes(0, N - rest);
            }
        }
    }
}

/// [`pack`] of lines whose numbers stand side by side, in steps of [`SIDE`].
///
/// # Safety
/// Those of [`pack`]; the depth must be a multiple of [`SIDE`], and the CPU must have AVX.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx")]
#[inline]
unsafe fn squares<const N: usize>(lines: Lines, to: *mut f32) {
    use std::arch::x86_64::*;

    use crate::kernels::square::turn;

    // A cache line of each line of numbers is used up before others take its place, which they do where lines are a
    // power of two apart.
    for begin in (0..lines.depth).step_by(2 * SIDE) {
        // What a square writes beyond its lanes belongs to the next step's first lanes, which are written later: so
        // the last square comes first.
        for from in (0..N).step_by(SIDE).rev() {
            for step in (begin..lines.depth.min(begin + 2 * SIDE)).step_by(SIDE) {
                // SAFETY: lines that are there have a number for each step; a square's last numbers lie at most
                // SLACK beyond those of the last step.
                unsafe {
                    let mut square = [_mm256_setzero_ps(); SIDE];
                    for (lane, row) in square.iter_mut().enumerate() {
                        if from + lane < lines.lanes.min(N) {
                            *row = _mm256_loadu_ps(lines.first.add((from + lane) * lines.across + step));
                        }
                    }
                    for (at, column) in turn(square).into_iter().enumerate() {
                        _mm256_storeu_ps(to.add((step + at) * N + from), column);
                    }
                }
            }
        }
    }
}
