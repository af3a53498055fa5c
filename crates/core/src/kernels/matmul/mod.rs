//! Products of matrices that are given as strided views: in single precision by blocks and tiles of our own, in
//! double precision by the `gemm` crate.
//!
//! A product runs on the thread that asks for it; callers cut their output into pieces of fixed size and
//! give those to threads, so that no bit depends on how many there are. Public for the benchmark of the linear layer.

mod blocks;
mod pack;
mod tile;

use std::marker::PhantomData;

use super::isa::Isa;
use super::storage::singles;
use crate::batch::{DType, Scalar};

/// A matrix that is read: element (i, j) lies at `i * row_stride + j * column_stride`.
#[derive(Debug)]
pub struct Matrix<'a, T> {
    data: &'a [T],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<T> Clone for Matrix<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Matrix<'_, T> {}

impl<'a, T> Matrix<'a, T> {
    /// A row-major matrix.
    ///
    /// # Panics
    /// If `data` does not hold `rows * columns` values; callers check their shapes.
    pub fn row_major(data: &'a [T], rows: usize, columns: usize) -> Self {
        assert_eq!(data.len(), rows * columns, "a matrix of {rows} x {columns}");
        Self { data, rows, columns, row_stride: columns, column_stride: 1 }
    }

    /// Rows and columns exchanged; nothing is copied.
    pub fn transposed(self) -> Self {
        Self {
            data: self.data,
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
        }
    }

    /// The columns `from..from + columns`.
    ///
    /// # Panics
    /// If there are not as many.
    pub fn columns(self, from: usize, columns: usize) -> Self {
        assert!(from + columns <= self.columns, "columns {from} to {} of {}", from + columns, self.columns);
        // An empty matrix has no element to point at.
        let start = (from * self.column_stride).min(self.data.len());
        Self { data: &self.data[start..], columns, ..self }
    }

    /// The matrix as what it is where it holds numbers of single precision.
    fn singles(self) -> Option<Matrix<'a, f32>>
    where
        T: Scalar,
    {
        let Self { data, rows, columns, row_stride, column_stride } = self;
        Some(Matrix { data: singles(data)?, rows, columns, row_stride, column_stride })
    }
}

/// A matrix that is written; the views of one array that [`columns`](Self::columns) makes never overlap.
#[derive(Debug)]
pub struct MatrixMut<'a, T> {
    data: *mut T,
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
    borrow: PhantomData<&'a mut [T]>,
}

// SAFETY: a view is an exclusive borrow of its elements, like `&mut [T]`.
unsafe impl<T: Send> Send for MatrixMut<'_, T> {}

impl<'a, T> MatrixMut<'a, T> {
    /// A row-major matrix.
    ///
    /// # Panics
    /// If `data` does not hold `rows * columns` values; callers check their shapes.
    pub fn row_major(data: &'a mut [T], rows: usize, columns: usize) -> Self {
        assert_eq!(data.len(), rows * columns, "a matrix of {rows} x {columns}");
        Self {
            data: data.as_mut_ptr(),
            rows,
            columns,
            row_stride: columns,
            column_stride: 1,
            borrow: PhantomData,
        }
    }

    /// Rows and columns exchanged; nothing is copied.
    pub fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }

    /// Cuts the matrix into pieces of `width` columns, the last one smaller.
    ///
    /// # Panics
    /// If `width` is 0.
    pub fn columns(self, width: usize) -> Vec<(usize, Self)> {
        assert!(width > 0, "pieces of no column");
        (0..self.columns)
            .step_by(width)
            .map(|from| {
                let piece = Self {
                    // SAFETY: column `from` exists, so its first element lies within the array; the pieces'
                    // columns are disjoint, so no element belongs to two of them.
                    data: unsafe {
                        self.data.add(if self.rows == 0 { 0 } else { from * self.column_stride })
                    },
                    columns: width.min(self.columns - from),
                    ..Self { borrow: PhantomData, ..self }
                };
                (from, piece)
            })
            .collect()
    }

    /// The matrix as what it is where it holds numbers of single precision.
    fn singles(&self) -> Option<MatrixMut<'a, f32>>
    where
        T: Scalar,
    {
        let &Self { data, rows, columns, row_stride, column_stride, borrow: _ } = self;
        let data = (T::DTYPE == DType::F32).then_some(data.cast())?;
        Some(MatrixMut { data, rows, columns, row_stride, column_stride, borrow: PhantomData })
    }
}

/// `target = factor * left * right`, or added to what `target` holds.
///
/// # Panics
/// If the shapes do not fit; callers check theirs.
pub fn product<T: Scalar>(
    target: MatrixMut<'_, T>,
    left: Matrix<'_, T>,
    right: Matrix<'_, T>,
    factor: f64,
    add: bool,
) {
    match (target.singles(), left.singles(), right.singles()) {
        (Some(target), Some(left), Some(right)) => {
            check(&target, &left, &right);
            blocks::product(Isa::current(), target, left, right, factor as f32, add);
        }
        _ => product_by_library(target, left, right, factor, add),
    }
}

fn check<T>(target: &MatrixMut<'_, T>, left: &Matrix<'_, T>, right: &Matrix<'_, T>) {
    let fit = left.rows == target.rows && right.columns == target.columns && right.rows == left.columns;
    assert!(fit, "a product of matrices that do not fit");
}

/// [`product`] by the `gemm` crate, in both precisions.
///
/// # Panics
/// As [`product`].
pub fn product_by_library<T: Scalar>(
    target: MatrixMut<'_, T>,
    left: Matrix<'_, T>,
    right: Matrix<'_, T>,
    factor: f64,
    add: bool,
) {
    check(&target, &left, &right);
    let (m, n, k) = (target.rows, target.columns, left.columns);
    if m == 0 || n == 0 {
        return;
    }
    let (zero, one) = (T::from_f64(0.0), T::from_f64(1.0));
    // SAFETY: all three views lie within arrays of their shapes (checked where they were made), the target's
    // elements are exclusively borrowed and overlap neither input, and `T` is f32 or f64 (`Scalar` is
    // sealed), which `gemm` handles.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            target.data,
            target.column_stride as isize,
            target.row_stride as isize,
            add,
            left.data.as_ptr(),
            left.column_stride as isize,
            left.row_stride as isize,
            right.data.as_ptr(),
            right.column_stride as isize,
            right.row_stride as isize,
            if add { one } else { zero },
            T::from_f64(factor),
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Row by column, as the definition reads.
    fn plain(left: &[f64], right: &[f64], m: usize, k: usize, n: usize) -> Vec<f64> {
        let mut out = vec![0.0; m * n];
        for i in 0..m {
            for j in 0..n {
                out[i * n + j] = (0..k).map(|l| left[i * k + l] * right[l * n + j]).sum();
            }
        }
        out
    }

    fn values(n: usize, seed: u64) -> Vec<f64> {
        let mut stream = crate::random::Stream::new(seed, "matmul", 0, 0);
        (0..n).map(|_| stream.uniform() - 0.5).collect()
    }

    fn transpose(values: &[f64], rows: usize, columns: usize) -> Vec<f64> {
        (0..columns).flat_map(|j| (0..rows).map(move |i| values[i * columns + j])).collect()
    }

    #[test]
    #[cfg_attr(miri, ignore = "the library is slow there")]
    fn every_layout_and_cut_gives_the_product() {
        let (m, k, n) = (5, 7, 11);
        let (left, right) = (values(m * k, 1), values(k * n, 2));
        let wanted = plain(&left, &right, m, k, n);
        let (left_t, right_t) = (transpose(&left, m, k), transpose(&right, k, n));
        let lefts = [Matrix::row_major(&left, m, k), Matrix::row_major(&left_t, k, m).transposed()];
        let rights = [Matrix::row_major(&right, k, n), Matrix::row_major(&right_t, n, k).transposed()];
        for left in lefts {
            for right in rights {
                for width in [1, 3, 11, 20] {
                    let mut got = vec![9.0; m * n];
                    for (from, piece) in MatrixMut::row_major(&mut got, m, n).columns(width) {
                        let columns = piece.columns;
                        product(piece, left, right.columns(from, columns), 2.0, false);
                    }
                    for (got, wanted) in got.iter().zip(&wanted) {
                        assert!((got - 2.0 * wanted).abs() < 1e-14, "{got} {wanted}");
                    }
                }
            }
        }
        let mut added = vec![1.0; n * m];
        let (l, r) = (Matrix::row_major(&left, m, k), Matrix::row_major(&right, k, n));
        product(MatrixMut::row_major(&mut added, n, m).transposed(), l, r, 1.0, true);
        for (i, j) in (0..m).flat_map(|i| (0..n).map(move |j| (i, j))) {
            assert!((added[j * m + i] - 1.0 - wanted[i * n + j]).abs() < 1e-14);
        }
    }

    #[test]
    fn an_empty_inner_axis_gives_zeros() {
        let mut got = [3.0_f32; 4];
        let empty: [f32; 0] = [];
        let (left, right) = (Matrix::row_major(&empty, 2, 0), Matrix::row_major(&empty, 0, 2));
        product(MatrixMut::row_major(&mut got, 2, 2), left, right, 1.0, false);
        assert_eq!(got, [0.0; 4]);
    }
}
