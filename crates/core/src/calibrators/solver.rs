//! Minimises smooth convex functions: Newton's method with conjugate gradients and a line search.
//!
//! Truncated Newton (Dembo & Steihaug 1983): each step solves H d = -g by preconditioned conjugate
//! gradients as far as the gradient's size deserves, then halves the step until the value falls (Armijo
//! 1966). For a convex function it ends at the optimum from any start, and is quadratic near it. Everything is
//! in double precision in a fixed order.

/// A convex function with its derivatives.
pub(super) trait Objective {
    /// The value and gradient at `x`; later calls of [`hessian`](Self::hessian) are at this point.
    fn evaluate(&mut self, x: &[f64], gradient: &mut [f64]) -> f64;

    /// The product of the Hessian with `direction`.
    fn hessian(&self, direction: &[f64], out: &mut [f64]);

    /// The diagonal of the Hessian.
    fn diagonal(&self, out: &mut [f64]);
}

/// Where a minimisation ended.
#[derive(Debug, Clone)]
pub(super) struct Solution {
    pub x: Vec<f64>,
    pub value: f64,
    /// Largest component of the gradient.
    pub gradient_norm: f64,
    pub iterations: usize,
    pub converged: bool,
}

/// The gradient at which an optimum is reached.
const TOLERANCE: f64 = 1e-10;
/// A gradient that is good enough where rounding stops the descent.
const ROUNDED: f64 = 1e-7;
const MAX_ITERATIONS: usize = 200;
const MAX_CONJUGATE: usize = 200;

/// Minimises from `start`; the value never rises above that of the start.
pub(super) fn minimise(objective: &mut dyn Objective, start: Vec<f64>) -> Solution {
    let n = start.len();
    let mut x = start;
    let mut gradient = vec![0.0; n];
    let mut value = objective.evaluate(&x, &mut gradient);
    let (mut trial, mut trial_gradient) = (vec![0.0; n], vec![0.0; n]);
    let mut diagonal = vec![0.0; n];
    let mut iterations = 0;
    let mut norm = largest(&gradient);
    while norm > TOLERANCE && iterations < MAX_ITERATIONS {
        iterations += 1;
        objective.diagonal(&mut diagonal);
        let direction = conjugate_gradients(objective, &gradient, &diagonal);
        let slope = dot(&gradient, &direction);
        let mut step = 1.0;
        let mut moved = false;
        for _ in 0..50 {
            for ((trial, x), d) in trial.iter_mut().zip(&x).zip(&direction) {
                *trial = x + step * d;
            }
            let found = objective.evaluate(&trial, &mut trial_gradient);
            let smaller = largest(&trial_gradient);
            // Near the optimum the value no longer tells points apart, but the gradient does.
            let rounding = 1e-14 * (1.0 + value.abs());
            let falls = found <= value + 1e-4 * step * slope;
            if falls || (found <= value + rounding && smaller < 0.9 * norm) {
                moved = true;
                value = found;
                norm = smaller;
                std::mem::swap(&mut x, &mut trial);
                std::mem::swap(&mut gradient, &mut trial_gradient);
                break;
            }
            step *= 0.5;
        }
        if !moved {
            // The objective stands at the last trial; nothing reads it again.
            break;
        }
    }
    Solution { x, value, gradient_norm: norm, iterations, converged: norm <= ROUNDED }
}

/// An approximate solution of H d = -g that is a direction of descent.
fn conjugate_gradients(objective: &dyn Objective, gradient: &[f64], diagonal: &[f64]) -> Vec<f64> {
    let n = gradient.len();
    let largest_diagonal = largest(diagonal).max(f64::MIN_POSITIVE);
    // A flat direction gets no preconditioning of its own.
    let scale: Vec<f64> = diagonal.iter().map(|d| 1.0 / d.max(1e-12 * largest_diagonal)).collect();
    let mut direction = vec![0.0; n];
    let mut residual: Vec<f64> = gradient.iter().map(|g| -g).collect();
    let mut preconditioned: Vec<f64> = residual.iter().zip(&scale).map(|(r, s)| r * s).collect();
    let mut search = preconditioned.clone();
    let mut product = vec![0.0; n];
    let mut energy = dot(&residual, &preconditioned);
    let size = dot(gradient, gradient).sqrt();
    let wanted = size * size.sqrt().min(0.1);
    for _ in 0..MAX_CONJUGATE.min(2 * n + 5) {
        objective.hessian(&search, &mut product);
        let curvature = dot(&search, &product);
        if curvature <= 1e-18 * largest_diagonal * dot(&search, &search) {
            // Flat along the search: the first direction is still one of descent.
            if dot(&direction, &direction) == 0.0 {
                direction.copy_from_slice(&search);
            }
            break;
        }
        let length = energy / curvature;
        for i in 0..n {
            direction[i] += length * search[i];
            residual[i] -= length * product[i];
        }
        if dot(&residual, &residual).sqrt() <= wanted {
            break;
        }
        for i in 0..n {
            preconditioned[i] = residual[i] * scale[i];
        }
        let next = dot(&residual, &preconditioned);
        let ratio = next / energy;
        energy = next;
        for i in 0..n {
            search[i] = preconditioned[i] + ratio * search[i];
        }
    }
    direction
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn largest(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |largest, value| largest.max(value.abs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Σ c (x - t)² / 2 + Σ ln cosh x, badly scaled.
    struct Bowl {
        x: Vec<f64>,
    }

    const SCALES: [f64; 4] = [1e-4, 1.0, 10.0, 1e4];

    impl Objective for Bowl {
        fn evaluate(&mut self, x: &[f64], gradient: &mut [f64]) -> f64 {
            self.x = x.to_vec();
            let mut value = 0.0;
            for i in 0..4 {
                let away = x[i] - 1.0;
                value += 0.5 * SCALES[i] * away * away + x[i].cosh().ln();
                gradient[i] = SCALES[i] * away + x[i].tanh();
            }
            value
        }

        fn hessian(&self, direction: &[f64], out: &mut [f64]) {
            let mut diagonal = [0.0; 4];
            self.diagonal(&mut diagonal);
            for i in 0..4 {
                out[i] = diagonal[i] * direction[i];
            }
        }

        fn diagonal(&self, out: &mut [f64]) {
            for i in 0..4 {
                out[i] = SCALES[i] + 1.0 - self.x[i].tanh().powi(2);
            }
        }
    }

    #[test]
    fn a_badly_scaled_convex_function_is_solved_from_far_away() {
        let found = minimise(&mut Bowl { x: Vec::new() }, vec![30.0, -30.0, 8.0, -2.0]);
        assert!(found.converged && found.iterations < 60, "{found:?}");
        for (i, x) in found.x.iter().enumerate() {
            // The optimality condition, solved for the pull towards 1.
            assert!((SCALES[i] * (1.0 - x) - x.tanh()).abs() < 1e-8, "{found:?}");
        }
    }
}
