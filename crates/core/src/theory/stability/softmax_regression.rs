//! Softmax regression with an L2 penalty, solved to where its flips can be measured.

use super::cholesky::{Cholesky, dot};
use super::points::Points;
use crate::error::{Error, Result, check_classes, check_len, check_range};

/// Weights `[n_classes, width]` that minimise `(1/n) Σ_i H(q_i, softmax(W x_i)) + (λ/2)‖W‖²`.
///
/// The objective is strongly convex, so the minimum is unique and a gradient of norm g is at most g/λ away
/// from it; the fit ends within 1e-10 of it, relative to the norm of the weights. Newton's method with backtracking, whose
/// factor is kept while it serves: a flip moves the minimum little, so [`refit`](Self::refit) needs no new one.
///
/// # Examples
/// ```
/// use candor::theory::stability::{Points, SoftmaxRegression};
/// let points = Points::new(&[-1.0, 1.0], 1)?;
/// let model = SoftmaxRegression::fit(points, &[1.0, 0.0, 0.0, 1.0], 2, 0.1)?;
/// let z = model.logits(points);
/// assert!(z[0] > z[1] && z[2] < z[3]);
/// # Ok::<(), candor::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct SoftmaxRegression {
    weights: Vec<f64>,
    n_classes: usize,
    width: usize,
    lambda: f64,
    factor: Option<Cholesky>,
}

/// Most weights: Newton's method factors a matrix of that size.
const MOST_WEIGHTS: usize = 2048;
const MOST_STEPS: usize = 1000;

impl SoftmaxRegression {
    /// Fits from weights of 0.
    ///
    /// `targets` are distributions `[n, n_classes]`, smoothed or not.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for fewer than two classes, a penalty outside [1e-9, 1e9] or more than 2,048
    /// weights, [`Error::Shape`] unless there is one target row a point, [`Error::Singular`] if the penalty is
    /// too small for these inputs in double precision.
    pub fn fit(points: Points<'_>, targets: &[f64], n_classes: usize, lambda: f64) -> Result<Self> {
        check_classes(n_classes)?;
        check_range("lambda", lambda, 1e-9, 1e9)?;
        let width = points.width();
        check_range("the number of weights", (n_classes * width) as f64, 2.0, MOST_WEIGHTS as f64)?;
        let weights = vec![0.0; n_classes * width];
        Self { weights, n_classes, width, lambda, factor: None }.refit(points, targets)
    }

    /// Fits to other targets or points, beginning at these weights.
    ///
    /// # Errors
    /// As [`fit`](Self::fit).
    pub fn refit(&self, points: Points<'_>, targets: &[f64]) -> Result<Self> {
        check_len("a point", self.width, points.width())?;
        check_len("the targets", points.len() * self.n_classes, targets.len())?;
        let mut model = self.clone();
        // Whether the factor was made at these very weights.
        let mut fresh = false;
        let mut gradient = model.gradient(points, targets);
        for _ in 0..MOST_STEPS {
            let size = norm(&gradient);
            if size <= self.lambda * 1e-10 * norm(&model.weights).max(1e-3) {
                return Ok(model);
            }
            let factor = match model.factor.take() {
                Some(factor) => factor,
                None => {
                    fresh = true;
                    let n = model.weights.len();
                    Cholesky::new(model.hessian(points), n, "the second derivative with its penalty")?
                }
            };
            let mut step = gradient.clone();
            factor.solve(&mut step);
            let mut candidate = model.moved(&step, 1.0);
            let mut slope = candidate.gradient(points, targets);
            let enough = norm(&slope) <= 0.5 * size;
            if !enough && !fresh {
                // The kept factor no longer serves; the next round makes a new one here.
                continue;
            }
            if !enough {
                let (before, descent) = (model.objective(points, targets), dot(&gradient, &step));
                let mut length = 1.0;
                while norm(&slope) >= size
                    && candidate.objective(points, targets) > before - 1e-4 * length * descent
                {
                    length *= 0.5;
                    if length < 1e-12 {
                        return Err(Error::Singular { what: "the second derivative with its penalty" });
                    }
                    candidate = model.moved(&step, length);
                    slope = candidate.gradient(points, targets);
                }
            }
            model = candidate;
            gradient = slope;
            fresh = false;
            // After a short step the curvature has changed; after a good one it still serves.
            model.factor = enough.then_some(factor);
        }
        Err(Error::Singular { what: "the second derivative with its penalty" })
    }

    /// The logits `[n, n_classes]`.
    pub fn logits(&self, points: Points<'_>) -> Vec<f64> {
        points
            .rows()
            .flat_map(|row| self.weights.chunks_exact(self.width).map(move |weights| dot(weights, row)))
            .collect()
    }

    /// The weights `[n_classes, width]`.
    pub fn weights(&self) -> &[f64] {
        &self.weights
    }

    /// The Euclidean distance of the weights of two fits of the same shape.
    ///
    /// # Errors
    /// [`Error::Shape`] for fits of different shapes.
    pub fn distance(&self, other: &Self) -> Result<f64> {
        check_len("the weights", self.weights.len(), other.weights.len())?;
        let squares = self.weights.iter().zip(&other.weights).map(|(a, b)| (a - b) * (a - b));
        Ok(squares.sum::<f64>().sqrt())
    }

    /// How far the flip of row `flipped` can move the weights: `√2·c·‖x_j‖/(nλ)` for a flip of size c.
    ///
    /// The gradient of the mean loss changes by `(q - q')⊗x_j/n` wherever it is taken, and the objective is
    /// λ-strongly convex.
    pub fn distance_bound(&self, points: Points<'_>, flipped: usize, flip_size: f64) -> f64 {
        std::f64::consts::SQRT_2 * flip_size * points.norm(flipped) / (points.len() as f64 * self.lambda)
    }

    fn moved(&self, step: &[f64], length: f64) -> Self {
        let weights = self.weights.iter().zip(step).map(|(w, s)| w - length * s).collect();
        Self { weights, factor: None, ..*self }
    }

    fn probabilities(&self, row: &[f64]) -> (Vec<f64>, f64) {
        let z: Vec<f64> = self.weights.chunks_exact(self.width).map(|weights| dot(weights, row)).collect();
        let largest = z.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let exps: Vec<f64> = z.iter().map(|z| (z - largest).exp()).collect();
        let sum: f64 = exps.iter().sum();
        (exps.iter().map(|e| e / sum).collect(), largest + sum.ln())
    }

    fn objective(&self, points: Points<'_>, targets: &[f64]) -> f64 {
        let mut sum = 0.0;
        for (row, target) in points.rows().zip(targets.chunks_exact(self.n_classes)) {
            let (_, log_sum) = self.probabilities(row);
            let weights = self.weights.chunks_exact(self.width);
            sum += weights.zip(target).map(|(weights, q)| q * (log_sum - dot(weights, row))).sum::<f64>();
        }
        sum / points.len() as f64 + 0.5 * self.lambda * dot(&self.weights, &self.weights)
    }

    fn gradient(&self, points: Points<'_>, targets: &[f64]) -> Vec<f64> {
        let mut gradient = vec![0.0; self.weights.len()];
        for (row, target) in points.rows().zip(targets.chunks_exact(self.n_classes)) {
            let (p, _) = self.probabilities(row);
            for ((g, p), q) in gradient.chunks_exact_mut(self.width).zip(p).zip(target) {
                g.iter_mut().zip(row).for_each(|(g, x)| *g += (p - q) * x);
            }
        }
        let n = points.len() as f64;
        gradient.iter_mut().zip(&self.weights).for_each(|(g, w)| *g = *g / n + self.lambda * w);
        gradient
    }

    /// The lower triangle of the second derivative.
    fn hessian(&self, points: Points<'_>) -> Vec<f64> {
        let (size, width, n) = (self.weights.len(), self.width, points.len() as f64);
        let mut hessian = vec![0.0; size * size];
        for row in points.rows() {
            let (p, _) = self.probabilities(row);
            for a in 0..self.n_classes {
                for b in 0..=a {
                    let curve = if a == b { p[a] * (1.0 - p[a]) } else { -p[a] * p[b] } / n;
                    for (i, x) in row.iter().enumerate().filter(|(_, x)| **x != 0.0) {
                        let start = (a * width + i) * size + b * width;
                        let line = &mut hessian[start..start + width];
                        line.iter_mut().zip(row).for_each(|(h, other)| *h += curve * x * other);
                    }
                }
            }
        }
        (0..size).for_each(|i| hessian[i * size + i] += self.lambda);
        hessian
    }
}

fn norm(values: &[f64]) -> f64 {
    dot(values, values).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Stream;

    fn problem(n: usize, width: usize, classes: usize) -> (Vec<f64>, Vec<f64>) {
        let mut stream = Stream::new(5, "softmax problem", 0, 0);
        let values = (0..n * width).map(|_| stream.normal()).collect();
        let mut targets = vec![0.0; n * classes];
        (0..n).for_each(|i| targets[i * classes + stream.below(classes as u64) as usize] = 1.0);
        (values, targets)
    }

    #[test]
    fn the_gradient_and_curvature_are_those_of_the_objective() {
        let (values, targets) = problem(7, 2, 3);
        let points = Points::new(&values, 2).unwrap();
        let weights = vec![0.3, -0.2, 0.1, 0.5, -0.4, 0.2];
        let model = SoftmaxRegression { weights, n_classes: 3, width: 2, lambda: 0.1, factor: None };
        let (gradient, hessian) = (model.gradient(points, &targets), model.hessian(points));
        let h = 1e-5;
        for i in 0..6 {
            let mut step = [0.0; 6];
            step[i] = 1.0;
            let (up, down) = (model.moved(&step, -h), model.moved(&step, h));
            let slope = (up.objective(points, &targets) - down.objective(points, &targets)) / (2.0 * h);
            assert!((slope - gradient[i]).abs() < 1e-9, "{i}: {slope} {}", gradient[i]);
            let (up, down) = (up.gradient(points, &targets), down.gradient(points, &targets));
            for j in 0..=i {
                let curve = (up[j] - down[j]) / (2.0 * h);
                assert!((curve - hessian[i * 6 + j]).abs() < 1e-9, "{i} {j}");
            }
        }
    }

    #[test]
    fn a_refit_ends_where_a_fit_from_nothing_ends() {
        let (values, mut targets) = problem(30, 3, 4);
        let points = Points::new(&values, 3).unwrap();
        for lambda in [1.0, 1e-2, 1e-4] {
            let base = SoftmaxRegression::fit(points, &targets, 4, lambda).unwrap();
            targets.rotate_right(4);
            let (again, fresh) = (
                base.refit(points, &targets).unwrap(),
                SoftmaxRegression::fit(points, &targets, 4, lambda).unwrap(),
            );
            let scale = norm(fresh.weights());
            assert!(again.distance(&fresh).unwrap() < 1e-8 * scale, "λ = {lambda}");
            assert!(base.distance(&fresh).unwrap() > 1e-3 * scale);
        }
    }

    #[test]
    fn separable_points_without_much_penalty_still_have_a_solution() {
        let points = Points::new(&[-1.0, -2.0, 1.0, 3.0], 1).unwrap();
        let targets = [1.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 1.0];
        let model = SoftmaxRegression::fit(points, &targets, 2, 1e-6).unwrap();
        assert!(model.weights()[1] > 3.0 && (model.weights()[0] + model.weights()[1]).abs() < 1e-6);
    }

    #[test]
    fn what_cannot_be_fitted_is_refused() {
        let points = Points::new(&[1.0, 2.0], 1).unwrap();
        let targets = [1.0, 0.0, 0.0, 1.0];
        assert!(matches!(SoftmaxRegression::fit(points, &targets, 1, 1.0), Err(Error::OutOfRange { .. })));
        assert!(matches!(SoftmaxRegression::fit(points, &targets, 2, 0.0), Err(Error::OutOfRange { .. })));
        assert!(matches!(SoftmaxRegression::fit(points, &targets[..2], 2, 1.0), Err(Error::Shape { .. })));
        assert!(matches!(
            SoftmaxRegression::fit(points, &[0.0; 6000], 3000, 1.0),
            Err(Error::OutOfRange { .. })
        ));
    }
}
