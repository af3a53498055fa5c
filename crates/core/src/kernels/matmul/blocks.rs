//! Products in single precision: blocks of the right matrix, each put into the order of the tiles once, times strips of
//! rows of the left one, put into order just before they are used.
//!
//! A strip fits the first cache and a block the second or third; the target is written row by row, as it lies.
//! BENCHMARKS.md has the products of a linear layer beside the `gemm` crate's.

use std::cell::RefCell;

use super::pack::{Lines, SLACK, pack, pack_steps};
use super::tile::{Finish, Place, tile};
use super::{Matrix, MatrixMut};
use crate::kernels::isa::{Isa, VectorBody, run_vectors};
use crate::kernels::vector::{LANES, Vector};

/// Steps of the inner axis that a block has at most. Blocks are added up in their order, so this shows in the rounding
/// and is one for all instruction sets.
const DEPTH: usize = 384;

/// Columns of a block at most, a multiple of those of every tile.
const COLUMNS: usize = 512;

/// Rows of a tile at most.
const ROWS: usize = 12;

/// Columns of a tile at most.
const WIDEST: usize = 2 * LANES;

/// A cache line, for blocks to begin at one.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Line(#[expect(dead_code, reason = "it is written and read by its address")] [f32; 16]);

thread_local! {
    /// Room for a block and a strip, which grows to what the largest product of the thread needs.
    static ROOM: RefCell<Vec<Line>> = const { RefCell::new(Vec::new()) };
}

/// `target = factor * left * right`, or added to what `target` holds; none of them without rows or columns.
pub(super) fn product(
    isa: Isa,
    target: MatrixMut<'_, f32>,
    left: Matrix<'_, f32>,
    right: Matrix<'_, f32>,
    factor: f32,
    add: bool,
) {
    // The target's numbers must stand side by side in its rows. In every view they do so in its rows or its columns.
    let (target, left, right) = if target.column_stride == 1 {
        (target, left, right)
    } else {
        (target.transposed(), right.transposed(), left.transposed())
    };
    assert!(target.column_stride == 1 || target.columns == 1, "a target of whole rows or columns");
    let steps = left.columns.min(DEPTH);
    let columns = target.columns.min(COLUMNS).next_multiple_of(WIDEST);
    ROOM.with_borrow_mut(|room| {
        let lines = (steps * (columns + ROWS) + SLACK).div_ceil(LANES);
        if room.len() < lines {
            room.resize(lines, Line([0.0; 16]));
        }
        let room = room.as_mut_ptr().cast();
        let finish = Finish { factor, add };
        // SAFETY: the instruction set is available. All three views lie within arrays of their shapes (checked where
        // they were made), whose inner sizes fit (checked by the caller), and the target overlaps neither input.
        unsafe { run_vectors(isa, Product { target, left, right, finish, room, strip: steps * columns }) }
    });
}

struct Product<'a> {
    target: MatrixMut<'a, f32>,
    left: Matrix<'a, f32>,
    right: Matrix<'a, f32>,
    finish: Finish,
    /// For a block, and from `strip` on for a strip.
    room: *mut f32,
    strip: usize,
}

impl VectorBody for Product<'_> {
    type Output = ();

    /// # Safety
    /// The views must fit together, and the room must hold a block and a strip.
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        // As many sums as leave registers for the vectors of a step and a factor.
        // SAFETY: passed on to the caller.
        unsafe {
            match V::REGISTERS {
                32 => self.by_tiles::<V, ROWS, 2, WIDEST>(),
                8 => self.by_tiles::<V, 6, 1, LANES>(),
                _ => self.by_tiles::<V, 2, 1, LANES>(),
            }
        }
    }
}

impl Product<'_> {
    /// By tiles of `R` rows and `W` vectors, which are `N` numbers.
    ///
    /// # Safety
    /// That of [`run`](Self::run), and the CPU must have the instruction set of `V`.
    #[inline(always)]
    unsafe fn by_tiles<V: Vector, const R: usize, const W: usize, const N: usize>(self) {
        let Self { target, left, right, finish, room, strip } = self;
        // SAFETY: the caller's: rows, columns and steps below lie within the views, and `depth * columns` numbers of
        // whole tiles within the room, before the strip.
        unsafe {
            let (proof, strip) = (V::new(0.0), room.add(strip));
            if left.columns == 0 && !finish.add {
                for row in 0..target.rows {
                    target.data.add(row * target.row_stride).write_bytes(0, target.columns);
                }
            }
            for column in (0..target.columns).step_by(COLUMNS) {
                let columns = COLUMNS.min(target.columns - column);
                for step in (0..left.columns).step_by(DEPTH) {
                    let depth = DEPTH.min(left.columns - step);
                    let from =
                        right.data.as_ptr().add(step * right.row_stride + column * right.column_stride);
                    let lines = Lines {
                        first: from,
                        along: right.row_stride,
                        across: right.column_stride,
                        lanes: columns,
                        depth,
                    };
                    if lines.across == 1 {
                        pack_steps::<N>(lines, room);
                    } else {
                        for j in (0..columns).step_by(N) {
                            let first = from.add(j * lines.across);
                            let lines = Lines { first, lanes: N.min(columns - j), ..lines };
                            pack::<V, N>(lines, room.add(j * depth));
                        }
                    }
                    let finish = Finish { add: finish.add || step > 0, ..finish };
                    for row in (0..target.rows).step_by(R) {
                        let lines = Lines {
                            first: left.data.as_ptr().add(row * left.row_stride + step * left.column_stride),
                            along: left.column_stride,
                            across: left.row_stride,
                            lanes: R.min(target.rows - row),
                            depth,
                        };
                        pack::<V, R>(lines, strip);
                        let to = target.data.add(row * target.row_stride + column);
                        for j in (0..columns).step_by(N) {
                            let place = Place {
                                first: to.add(j),
                                stride: target.row_stride,
                                rows: lines.lanes,
                                columns: N.min(columns - j),
                            };
                            tile::<V, R, W>(proof, depth, (strip, room.add(j * depth)), place, finish);
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::cases;

    fn values(n: usize, seed: u64) -> Vec<f32> {
        let mut stream = crate::random::Stream::new(seed, "blocks", 0, 0);
        (0..n).map(|_| (stream.uniform() - 0.5) as f32).collect()
    }

    /// A matrix, or what its transpose holds.
    fn matrix(values: &[f32], rows: usize, columns: usize, turned: bool) -> Matrix<'_, f32> {
        if turned {
            Matrix::row_major(values, columns, rows).transposed()
        } else {
            Matrix::row_major(values, rows, columns)
        }
    }

    fn at(matrix: &Matrix<'_, f32>, row: usize, column: usize) -> f64 {
        f64::from(matrix.data[row * matrix.row_stride + column * matrix.column_stride])
    }

    /// Rows, steps, columns: tails of every tile, and more than a block.
    fn shapes() -> Vec<[usize; 3]> {
        let small = [[5, 7, 3], [3, 4, 18], [13, 17, 33], [6, 16, 32], [1, 1, 1], [2, 8, 16], [25, 9, 50]];
        let large = [[7, DEPTH + 9, 20], [3, 2 * DEPTH, 17], [4, 10, COLUMNS + 5], [40, 400, 530]];
        cases(small.into_iter().chain(large)).collect()
    }

    #[test]
    fn every_instruction_set_gives_the_product_for_every_layout() {
        for [m, k, n] in shapes() {
            let (left, right, before) = (values(m * k, 1), values(k * n, 2), values(m * n, 3));
            for layout in 0..8 {
                let [left_turned, right_turned, add] = [1, 2, 4].map(|bit| layout & bit != 0);
                let (left, right) = (matrix(&left, m, k, left_turned), matrix(&right, k, n, right_turned));
                let mut fused: Option<Vec<f32>> = None;
                for isa in Isa::available() {
                    let mut got = before.clone();
                    product(isa, MatrixMut::row_major(&mut got, m, n), left, right, 0.5, add);
                    for (i, j) in (0..m).flat_map(|i| (0..n).map(move |j| (i, j))) {
                        let terms = || (0..k).map(|l| at(&left, i, l) * at(&right, l, j));
                        let start = if add { f64::from(before[i * n + j]) } else { 0.0 };
                        let wanted = start + 0.5 * terms().sum::<f64>();
                        // Each of k + 2 operations rounds by half an epsilon of what has been added up so far.
                        let size = start.abs() + terms().map(f64::abs).sum::<f64>();
                        let bound = (k + 2) as f64 * f64::from(f32::EPSILON) * size;
                        let found = f64::from(got[i * n + j]);
                        assert!(
                            (found - wanted).abs() <= bound,
                            "{isa:?} {m} {k} {n} {layout}: {found} {wanted}"
                        );
                    }
                    if isa != Isa::Baseline {
                        assert!(fused.get_or_insert_with(|| got.clone()) == &got, "{isa:?} {m} {k} {n}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_turned_target_and_a_row_alone_have_the_same_bits() {
        for [m, k, n] in shapes() {
            let (left, right) = (values(m * k, 4), values(k * n, 5));
            let (l, r) = (matrix(&left, m, k, false), matrix(&right, k, n, false));
            for isa in Isa::available() {
                let (mut plain, mut turned, mut alone) = (vec![7.0; m * n], vec![7.0; m * n], vec![7.0; n]);
                product(isa, MatrixMut::row_major(&mut plain, m, n), l, r, 1.0, false);
                product(isa, MatrixMut::row_major(&mut turned, n, m).transposed(), l, r, 1.0, false);
                let last = Matrix::row_major(&left[(m - 1) * k..], 1, k);
                product(isa, MatrixMut::row_major(&mut alone, 1, n), last, r, 1.0, false);
                assert_eq!(alone, plain[(m - 1) * n..], "{isa:?} {m} {k} {n}");
                let same = (0..m).all(|i| (0..n).all(|j| plain[i * n + j] == turned[j * m + i]));
                assert!(same, "{isa:?} {m} {k} {n}");
            }
        }
    }

    #[test]
    fn numbers_that_are_none_stay_in_their_rows_and_columns() {
        let (mut left, right) = (values(9 * 20, 6), values(20 * 21, 7));
        left[3 * 20 + 5] = f32::NAN;
        left[8 * 20] = f32::INFINITY;
        for isa in Isa::available() {
            let mut got = vec![0.0; 9 * 21];
            let (left, right) = (matrix(&left, 9, 20, false), matrix(&right, 20, 21, false));
            product(isa, MatrixMut::row_major(&mut got, 9, 21), left, right, 1.0, false);
            for (row, values) in got.chunks(21).enumerate() {
                assert!(
                    values.iter().all(|value| value.is_finite()) == (row != 3 && row != 8),
                    "{isa:?} {row}"
                );
            }
        }
    }
}
