//! Learners whose prediction is a weighted sum of the targets, with weights that depend on inputs alone.

use super::cholesky::{Cholesky, dot};
use super::points::Points;
use crate::error::{Result, check_classes, check_len, check_range};

/// A learner `f(x) = Σ_i w_i(x) q_i` over the targets `q_i` of its training rows.
///
/// Flipping the label of row j moves such a prediction by `c·|w_j(x)|` a class, where
/// `c = `[`flip_size`](super::flip_size) is the only thing that smoothing changes. So smoothing rescales the
/// effect of a flip, and the margins between classes by the same factor: no decision becomes more stable.
///
/// # Examples
/// ```
/// use candor::theory::stability::{LinearSmoother, Points};
/// let train = Points::new(&[0.0, 1.0, 5.0], 1)?;
/// let weights = LinearSmoother::NearestNeighbours { neighbours: 2 }.weights(train, Points::new(&[0.4], 1)?)?;
/// assert_eq!(weights, [0.5, 0.5, 0.0]);
/// # Ok::<(), candor::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum LinearSmoother {
    /// The mean of all targets: `w = 1/n`.
    Mean,
    /// The mean of the targets of the nearest rows by Euclidean distance, the earlier row first where distances
    /// are equal: `w = 1/k` for those.
    NearestNeighbours {
        /// Their number, k.
        neighbours: usize,
    },
    /// The mean weighted by a Gaussian of the distance (Nadaraya 1964; Watson 1964).
    NadarayaWatson {
        /// Its standard deviation.
        bandwidth: f64,
    },
    /// Kernel ridge regression with a Gaussian kernel: `w(x) = (K + nλI)⁻¹ k(x)`, no intercept.
    KernelRidge {
        /// The kernel's standard deviation.
        bandwidth: f64,
        /// The penalty λ.
        lambda: f64,
    },
    /// Ridge regression, the same with `K = X Xᵀ` (Hoerl & Kennard 1970), no intercept.
    Ridge {
        /// The penalty λ.
        lambda: f64,
    },
}

/// Most training rows of the two ridge learners, which factor a matrix of that size.
const MOST_ROWS: usize = 4096;

impl LinearSmoother {
    /// The weights `[n_queries, n_train]`.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) unless both have the same features;
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) for a parameter that is not positive, more neighbours than
    /// rows or more than 4,096 rows for a ridge learner; [`Error::Singular`](crate::Error::Singular) for a penalty
    /// that is too small for these inputs.
    pub fn weights(&self, train: Points<'_>, queries: Points<'_>) -> Result<Vec<f64>> {
        check_len("a query", train.width(), queries.width())?;
        let n = train.len();
        let mut weights = Vec::with_capacity(n * queries.len());
        match *self {
            LinearSmoother::Mean => weights.resize(n * queries.len(), 1.0 / n as f64),
            LinearSmoother::NearestNeighbours { neighbours } => {
                check_range("neighbours", neighbours as f64, 1.0, n as f64)?;
                for query in queries.rows() {
                    let mut order: Vec<(f64, usize)> =
                        train.rows().map(|row| distance_square(row, query)).zip(0..).collect();
                    order.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
                    let start = weights.len();
                    weights.resize(start + n, 0.0);
                    for (_, row) in order.iter().take(neighbours) {
                        weights[start + row] = 1.0 / neighbours as f64;
                    }
                }
            }
            LinearSmoother::NadarayaWatson { bandwidth } => {
                positive("bandwidth", bandwidth)?;
                for query in queries.rows() {
                    let exponents: Vec<f64> =
                        train.rows().map(|row| exponent(row, query, bandwidth)).collect();
                    // Far from all rows every kernel would round to 0; the nearest row then counts as one.
                    let largest = exponents.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                    let kernels: Vec<f64> = exponents.iter().map(|e| (e - largest).exp()).collect();
                    let sum: f64 = kernels.iter().sum();
                    weights.extend(kernels.iter().map(|kernel| kernel / sum));
                }
            }
            LinearSmoother::KernelRidge { lambda, .. } | LinearSmoother::Ridge { lambda } => {
                if let LinearSmoother::KernelRidge { bandwidth, .. } = *self {
                    positive("bandwidth", bandwidth)?;
                }
                positive("lambda", lambda)?;
                check_range("the number of rows", n as f64, 1.0, MOST_ROWS as f64)?;
                let mut gram = Vec::with_capacity(n * n);
                for (i, a) in train.rows().enumerate() {
                    gram.extend(train.rows().map(|b| self.kernel(a, b)));
                    gram[i * n + i] += n as f64 * lambda;
                }
                let factor = Cholesky::new(gram, n, "the kernel matrix with its penalty")?;
                for query in queries.rows() {
                    let mut row: Vec<f64> = train.rows().map(|row| self.kernel(row, query)).collect();
                    factor.solve(&mut row);
                    weights.extend(row);
                }
            }
        }
        Ok(weights)
    }

    /// The scores `[n_queries, n_classes]`: weighted sums of targets `[n_train, n_classes]`.
    ///
    /// # Errors
    /// As [`weights`](Self::weights), and [`Error::Shape`](crate::Error::Shape) unless there is one target row a
    /// training row.
    pub fn predict(
        &self,
        train: Points<'_>,
        targets: &[f64],
        n_classes: usize,
        queries: Points<'_>,
    ) -> Result<Vec<f64>> {
        check_classes(n_classes)?;
        check_len("the targets", train.len() * n_classes, targets.len())?;
        Ok(weighted_sums(&self.weights(train, queries)?, targets, n_classes))
    }

    /// An upper bound of `|w_j(x)|` over these queries that needs no solution: `1/n`, `1/k`, 1, and
    /// `κ(x)κ(x_j)/(nλ)` with `κ(x)² = k(x, x)` for the ridge learners.
    pub fn weight_bound(&self, train: Points<'_>, queries: Points<'_>, flipped: usize) -> f64 {
        let n = train.len() as f64;
        match *self {
            LinearSmoother::Mean => 1.0 / n,
            LinearSmoother::NearestNeighbours { neighbours } => 1.0 / neighbours as f64,
            LinearSmoother::NadarayaWatson { .. } => 1.0,
            LinearSmoother::KernelRidge { lambda, .. } => 1.0 / (n * lambda),
            LinearSmoother::Ridge { lambda } => {
                let largest = (0..queries.len()).map(|row| queries.norm(row)).fold(0.0, f64::max);
                largest * train.norm(flipped) / (n * lambda)
            }
        }
    }

    fn kernel(&self, a: &[f64], b: &[f64]) -> f64 {
        match *self {
            LinearSmoother::KernelRidge { bandwidth, .. } => exponent(a, b, bandwidth).exp(),
            _ => dot(a, b),
        }
    }
}

/// For each row of weights the sum of the target rows.
pub(super) fn weighted_sums(weights: &[f64], targets: &[f64], n_classes: usize) -> Vec<f64> {
    let n = targets.len() / n_classes;
    let mut sums = vec![0.0; weights.len() / n * n_classes];
    for (row, weights) in sums.chunks_exact_mut(n_classes).zip(weights.chunks_exact(n)) {
        for (weight, target) in weights.iter().zip(targets.chunks_exact(n_classes)) {
            row.iter_mut().zip(target).for_each(|(sum, q)| *sum += weight * q);
        }
    }
    sums
}

fn positive(argument: &'static str, value: f64) -> Result<()> {
    check_range(argument, value, f64::MIN_POSITIVE, f64::MAX)
}

fn distance_square(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
}

fn exponent(a: &[f64], b: &[f64], bandwidth: f64) -> f64 {
    -distance_square(a, b) / (2.0 * bandwidth * bandwidth)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    fn points(values: &[f64]) -> Points<'_> {
        Points::new(values, 1).unwrap()
    }

    #[test]
    fn ridge_in_one_dimension_by_hand() {
        // w_i(x) = x·x_i / (Σ x_i² + nλ): here Σ x² = 5 and nλ = 1.
        let weights =
            LinearSmoother::Ridge { lambda: 0.5 }.weights(points(&[1.0, 2.0]), points(&[3.0])).unwrap();
        assert!((weights[0] - 0.5).abs() < 1e-14 && (weights[1] - 1.0).abs() < 1e-14, "{weights:?}");
    }

    #[test]
    fn weighted_means_by_hand() {
        // Two rows at distances 0 and sd: exp(0) and exp(-1/2).
        let train = [0.0, 2.0];
        let watson = LinearSmoother::NadarayaWatson { bandwidth: 2.0 };
        let weights = watson.weights(points(&train), points(&[0.0])).unwrap();
        let half = (-0.5f64).exp();
        assert!((weights[1] - half / (1.0 + half)).abs() < 1e-15, "{weights:?}");
        // Where every kernel rounds to 0 the nearest row is what is left, not 0/0.
        let far = LinearSmoother::NadarayaWatson { bandwidth: 1e-3 };
        assert_eq!(far.weights(points(&train), points(&[1e6])).unwrap(), [0.0, 1.0]);
        assert_eq!(LinearSmoother::Mean.weights(points(&train), points(&[9.0])).unwrap(), [0.5, 0.5]);
    }

    #[test]
    fn a_kernel_so_narrow_that_rows_do_not_see_each_other() {
        // K = I: the weight of the row itself is 1/(1 + nλ).
        let kernel = LinearSmoother::KernelRidge { bandwidth: 1e-3, lambda: 0.5 };
        let weights = kernel.weights(points(&[0.0, 1.0]), points(&[1.0])).unwrap();
        assert!(weights[0].abs() < 1e-15 && (weights[1] - 0.5).abs() < 1e-15, "{weights:?}");
    }

    #[test]
    fn impossible_settings_are_refused() {
        let (train, query) = (points(&[0.0, 1.0]), points(&[0.0]));
        for bad in [
            LinearSmoother::NearestNeighbours { neighbours: 0 },
            LinearSmoother::NearestNeighbours { neighbours: 3 },
            LinearSmoother::NadarayaWatson { bandwidth: 0.0 },
            LinearSmoother::KernelRidge { bandwidth: f64::NAN, lambda: 1.0 },
            LinearSmoother::Ridge { lambda: -1.0 },
        ] {
            assert!(matches!(bad.weights(train, query), Err(Error::OutOfRange { .. })), "{bad:?}");
        }
        let wide = Points::new(&[0.0, 1.0], 2).unwrap();
        assert!(matches!(LinearSmoother::Mean.weights(train, wide), Err(Error::Shape { .. })));
    }
}
