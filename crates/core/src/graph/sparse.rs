//! A sparse matrix in compressed rows, and its products with dense rows in both directions.

use std::sync::{Arc, OnceLock};

use rayon::prelude::*;

use crate::batch::Scalar;
use crate::error::{Error, Result, check_len};

/// Rows that one thread computes at a time.
const BLOCK_ROWS: usize = 64;
/// Columns of the dense side whose sums are held at once.
const BLOCK_WIDTH: usize = 16;

/// A sparse matrix `[n_rows, n_columns]`: row i has the entries `offsets[i]..offsets[i+1]`.
///
/// Products sum each value of the result in double precision in the order of the row's entries, one row in one
/// thread, so the bits do not depend on the number of threads.
///
/// # Shapes
/// The dense side is `[n, width]`, row after row.
///
/// # Examples
/// ```
/// use candor::graph::SparseMatrix;
/// // [[0, 2], [3, 0], [0, 0]]
/// let a = SparseMatrix::new(2, vec![0, 1, 2, 2], vec![1, 0], vec![2.0, 3.0])?;
/// assert_eq!(a.multiply(&[1.0, 10.0, 5.0, 50.0], 2)?, [10.0, 100.0, 3.0, 30.0, 0.0, 0.0]);
/// assert_eq!(a.multiply_transposed(&[1.0, 2.0, 4.0], 1)?, [6.0, 2.0]);
/// # Ok::<(), candor::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct SparseMatrix {
    n_columns: usize,
    offsets: Arc<[usize]>,
    columns: Arc<[u32]>,
    values: Vec<f64>,
    /// Made when first needed.
    transposed: OnceLock<Box<SparseMatrix>>,
}

impl SparseMatrix {
    /// A matrix from the offsets of its rows, `n_rows + 1` of them ascending from 0, and its entries.
    ///
    /// # Errors
    /// [`Error::Shape`] if offsets, columns and values do not fit together or there is no column,
    /// [`Error::Malformed`] for an offset that descends, a column that does not exist or a value that is not finite.
    pub fn new(n_columns: usize, offsets: Vec<usize>, columns: Vec<u32>, values: Vec<f64>) -> Result<Self> {
        check_len("the values of a sparse matrix", columns.len(), values.len())?;
        if n_columns == 0 {
            return Err(Error::Shape { what: "the columns of a sparse matrix", expected: 1, got: 0 });
        }
        let (first, last) = match (offsets.first(), offsets.last()) {
            (Some(first), Some(last)) => (*first, *last),
            _ => return Err(Error::Shape { what: "the offsets of a sparse matrix", expected: 1, got: 0 }),
        };
        check_len("the last offset of a sparse matrix", columns.len(), last)?;
        let malformed = |what, index, problem| Err(Error::Malformed { what, index, problem });
        if u32::try_from(offsets.len() - 1).is_err() || u32::try_from(n_columns).is_err() {
            return malformed("sparse matrix", 0, "has more rows or columns than a 32-bit index can name");
        }
        if first != 0 {
            return malformed("sparse offset", 0, "is not 0");
        }
        if let Some(index) = offsets.windows(2).position(|pair| pair[0] > pair[1]) {
            return malformed("sparse offset", index + 1, "is below the one before it");
        }
        if let Some(index) = columns.iter().position(|&column| column as usize >= n_columns) {
            return malformed("sparse column", index, "is not a column of the matrix");
        }
        if let Some(index) = values.iter().position(|value| !value.is_finite()) {
            return malformed("sparse value", index, "is not finite");
        }
        Ok(Self::from_parts(n_columns, offsets.into(), columns.into(), values))
    }

    fn from_parts(n_columns: usize, offsets: Arc<[usize]>, columns: Arc<[u32]>, values: Vec<f64>) -> Self {
        Self { n_columns, offsets, columns, values, transposed: OnceLock::new() }
    }

    /// Number of rows.
    pub fn n_rows(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Number of columns.
    pub fn n_columns(&self) -> usize {
        self.n_columns
    }

    /// The values of the entries, row after row.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// The entries of a row: column and value.
    ///
    /// # Panics
    /// If `row` is not below [`n_rows`](Self::n_rows).
    pub fn row(&self, row: usize) -> impl Iterator<Item = (usize, f64)> {
        let entries = self.offsets[row]..self.offsets[row + 1];
        let columns = self.columns[entries.clone()].iter();
        columns.zip(&self.values[entries]).map(|(&column, &value)| (column as usize, value))
    }

    /// The same pattern with other values.
    ///
    /// # Errors
    /// [`Error::Shape`] unless there is one value an entry, [`Error::Malformed`] for one that is not finite.
    pub fn with_values(&self, values: Vec<f64>) -> Result<Self> {
        check_len("the values of a sparse matrix", self.values.len(), values.len())?;
        if let Some(index) = values.iter().position(|value| !value.is_finite()) {
            let problem = "is not finite";
            return Err(Error::Malformed { what: "sparse value", index, problem });
        }
        Ok(Self::from_parts(self.n_columns, self.offsets.clone(), self.columns.clone(), values))
    }

    /// The same entries with columns of zeros added, `n_columns` in all.
    ///
    /// # Errors
    /// [`Error::Shape`] for fewer columns than there are.
    pub fn widened(&self, n_columns: usize) -> Result<Self> {
        if n_columns < self.n_columns || u32::try_from(n_columns).is_err() {
            let what = "the columns of a widened sparse matrix";
            return Err(Error::Shape { what, expected: self.n_columns, got: n_columns });
        }
        Ok(Self::from_parts(n_columns, self.offsets.clone(), self.columns.clone(), self.values.clone()))
    }

    /// The product with `x` `[n_columns, width]`: `[n_rows, width]`.
    ///
    /// # Errors
    /// [`Error::Shape`] for an `x` of another size.
    pub fn multiply<T: Scalar>(&self, x: &[T], width: usize) -> Result<Vec<T>> {
        check_len("the dense side of a sparse product", self.n_columns.saturating_mul(width), x.len())?;
        let mut product = vec![T::default(); self.n_rows() * width];
        if width == 0 {
            return Ok(product);
        }
        product.par_chunks_mut(BLOCK_ROWS * width).enumerate().for_each(|(block, rows)| {
            for (offset, sums) in rows.chunks_exact_mut(width).enumerate() {
                self.row_product(block * BLOCK_ROWS + offset, x, width, sums);
            }
        });
        Ok(product)
    }

    /// The product of the transposed matrix with `x` `[n_rows, width]`: `[n_columns, width]`.
    ///
    /// # Errors
    /// [`Error::Shape`] for an `x` of another size.
    pub fn multiply_transposed<T: Scalar>(&self, x: &[T], width: usize) -> Result<Vec<T>> {
        self.transposed.get_or_init(|| Box::new(self.transpose())).multiply(x, width)
    }

    /// One row of a product.
    fn row_product<T: Scalar>(&self, row: usize, x: &[T], width: usize, product: &mut [T]) {
        for (block, product) in product.chunks_mut(BLOCK_WIDTH).enumerate() {
            let mut sums = [0.0_f64; BLOCK_WIDTH];
            let start = block * BLOCK_WIDTH;
            for (column, value) in self.row(row) {
                let at = column * width + start;
                let terms = &x[at..at + product.len()];
                // A full block has a length that the compiler knows.
                match terms.first_chunk::<BLOCK_WIDTH>() {
                    Some(terms) => sums.iter_mut().zip(terms).for_each(|(sum, x)| *sum += value * x.to_f64()),
                    None => sums.iter_mut().zip(terms).for_each(|(sum, x)| *sum += value * x.to_f64()),
                }
            }
            product.iter_mut().zip(sums).for_each(|(product, sum)| *product = T::from_f64(sum));
        }
    }

    /// The transposed matrix; the entries of its rows are in the order of the rows of this one.
    fn transpose(&self) -> Self {
        let mut offsets = vec![0; self.n_columns + 1];
        self.columns.iter().for_each(|&column| offsets[column as usize + 1] += 1);
        for column in 0..self.n_columns {
            offsets[column + 1] += offsets[column];
        }
        let mut next = offsets.clone();
        let mut columns = vec![0; self.values.len()];
        let mut values = vec![0.0; self.values.len()];
        for row in 0..self.n_rows() {
            for (column, value) in self.row(row) {
                let place = &mut next[column];
                // The number of rows was checked to fit.
                columns[*place] = row as u32;
                values[*place] = value;
                *place += 1;
            }
        }
        Self::from_parts(self.n_rows(), offsets.into(), columns.into(), values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Stream;

    /// A random matrix `[n, m]` with about a quarter of its entries, sparse and dense.
    fn random(stream: &mut Stream, n: usize, m: usize) -> (SparseMatrix, Vec<f64>) {
        let dense: Vec<f64> =
            (0..n * m).map(|_| if stream.bernoulli(0.25) { stream.normal() } else { 0.0 }).collect();
        let (mut offsets, mut columns, mut values) = (vec![0], Vec::new(), Vec::new());
        for row in 0..n {
            for column in (0..m).filter(|&column| dense[row * m + column] != 0.0) {
                columns.push(column as u32);
                values.push(dense[row * m + column]);
            }
            offsets.push(columns.len());
        }
        (SparseMatrix::new(m, offsets, columns, values).unwrap(), dense)
    }

    #[test]
    fn products_in_both_directions_are_those_of_the_dense_matrix() {
        let mut stream = Stream::new(5, "sparse", 0, 0);
        // Widths below, at and above the blocks, and sizes over several blocks of rows.
        for (n, m, width) in [(1, 1, 1), (3, 5, 7), (70, 130, 16), (200, 40, 17), (9, 9, 40), (4, 3, 0)] {
            let (sparse, dense) = random(&mut stream, n, m);
            let x: Vec<f64> = (0..m * width).map(|_| stream.normal()).collect();
            let y: Vec<f64> = (0..n * width).map(|_| stream.normal()).collect();
            let (mut ax, mut aty) = (vec![0.0; n * width], vec![0.0; m * width]);
            for i in 0..n {
                for j in 0..m {
                    for k in 0..width {
                        ax[i * width + k] += dense[i * m + j] * x[j * width + k];
                        aty[j * width + k] += dense[i * m + j] * y[i * width + k];
                    }
                }
            }
            // The same sums in the same order, so the same bits.
            assert_eq!(sparse.multiply(&x, width).unwrap(), ax, "{n} {m} {width}");
            assert_eq!(sparse.multiply_transposed(&y, width).unwrap(), aty, "{n} {m} {width}");
            let single: Vec<f32> = x.iter().map(|x| *x as f32).collect();
            for (got, want) in sparse.multiply(&single, width).unwrap().iter().zip(&ax) {
                assert!((f64::from(*got) - want).abs() < 1e-5, "{got} {want}");
            }
        }
    }

    #[test]
    fn the_bits_do_not_depend_on_the_number_of_threads() {
        let mut stream = Stream::new(6, "sparse", 0, 0);
        let (sparse, _) = random(&mut stream, 700, 300);
        let x: Vec<f32> = (0..300 * 9).map(|_| stream.normal() as f32).collect();
        let y: Vec<f32> = (0..700 * 9).map(|_| stream.normal() as f32).collect();
        let on = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let sparse = sparse.clone();
            pool.install(|| (sparse.multiply(&x, 9).unwrap(), sparse.multiply_transposed(&y, 9).unwrap()))
        };
        assert_eq!(on(1), on(3));
    }

    #[test]
    fn other_values_leave_the_pattern_and_the_old_matrix_alone() {
        let a = SparseMatrix::new(2, vec![0, 1, 2], vec![1, 0], vec![2.0, 3.0]).unwrap();
        assert_eq!(a.multiply_transposed(&[1.0, 1.0], 1).unwrap(), [3.0, 2.0]);
        let b = a.with_values(vec![5.0, 7.0]).unwrap();
        assert_eq!(b.multiply_transposed(&[1.0, 1.0], 1).unwrap(), [7.0, 5.0]);
        assert_eq!((a.values(), b.n_rows(), b.n_columns()), (&[2.0, 3.0][..], 2, 2));
        let wide = a.widened(4).unwrap();
        assert_eq!(wide.multiply_transposed(&[1.0, 1.0], 1).unwrap(), [3.0, 2.0, 0.0, 0.0]);
        assert!(matches!(a.widened(1), Err(Error::Shape { .. })));
        assert!(matches!(a.with_values(vec![1.0]), Err(Error::Shape { .. })));
        assert!(matches!(a.with_values(vec![1.0, f64::NAN]), Err(Error::Malformed { index: 1, .. })));
    }

    #[test]
    fn what_is_no_matrix_is_refused() {
        let make = |offsets: &[usize], columns: &[u32], values: &[f64]| {
            SparseMatrix::new(2, offsets.to_vec(), columns.to_vec(), values.to_vec())
        };
        assert!(matches!(SparseMatrix::new(0, vec![0, 0], vec![], vec![]), Err(Error::Shape { .. })));
        assert!(matches!(make(&[], &[], &[]), Err(Error::Shape { .. })));
        assert!(matches!(make(&[0, 1], &[0], &[]), Err(Error::Shape { .. })));
        assert!(matches!(make(&[0, 2], &[0], &[1.0]), Err(Error::Shape { .. })));
        assert!(matches!(make(&[1, 1], &[0], &[1.0]), Err(Error::Malformed { index: 0, .. })));
        assert!(matches!(make(&[0, 2, 1], &[0], &[1.0]), Err(Error::Malformed { index: 2, .. })));
        assert!(matches!(make(&[0, 1], &[2], &[1.0]), Err(Error::Malformed { index: 0, .. })));
        assert!(matches!(make(&[0, 1], &[1], &[f64::INFINITY]), Err(Error::Malformed { index: 0, .. })));
        let good = make(&[0, 1], &[1], &[1.0]).unwrap();
        assert!(matches!(good.multiply(&[1.0], 1), Err(Error::Shape { .. })));
        assert!(matches!(good.multiply_transposed(&[1.0, 2.0], 1), Err(Error::Shape { .. })));
    }
}
