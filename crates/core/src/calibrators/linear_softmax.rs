//! The NLL of softmax(W x + b) as a function of W and b, with its derivatives: convex.
//!
//! Penalties follow Kull et al. (2019): `λ/(K(K-1)) Σ_{i≠j} W_ij² + μ/K Σ b_j²` (off-diagonal and intercept
//! regularisation). Rows are split into blocks by their number alone and block sums are added in order, so
//! the result does not depend on threads.

use rayon::prelude::*;

use super::sample::Sample;
use super::solver::{Objective, Solution, minimise};
use super::{Temperature, rows};
use crate::error::Result;
use crate::kernels::math;

/// Which entries of W are free.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// The diagonal.
    Diagonal,
    /// All.
    Full,
}

/// The strengths λ and μ.
#[derive(Debug, Clone, Copy)]
pub(super) struct Penalty {
    pub off_diagonal: f64,
    pub bias: f64,
}

/// The optimum: W row-major `[class, input]` (its diagonal for [`Shape::Diagonal`]) and b.
pub(super) struct LinearFit {
    pub weights: Vec<f64>,
    pub bias: Vec<f64>,
    pub solution: Solution,
}

/// Most partial sums of one pass over the rows.
const MAX_BLOCKS: usize = 16;

/// Fits W and b, starting at the best temperature, than which the result is never worse.
///
/// `inputs` are `[n, n_classes]` like the sample's logits, masked classes at -inf.
pub(super) fn fit(sample: &Sample, inputs: Vec<f64>, shape: Shape, penalty: Penalty) -> Result<LinearFit> {
    let k = sample.n_classes();
    let temperature = Temperature::of_rows(&inputs, sample).map.temperature;
    let squares: f64 = inputs.iter().filter(|x| x.is_finite()).map(|x| x * x).sum();
    let count = inputs.iter().filter(|x| x.is_finite()).count();
    // The solver sees inputs of size 1; a row of zeros has no size.
    let scale = (squares / count.max(1) as f64).sqrt();
    let scale = if scale > 0.0 && scale.is_finite() { scale } else { 1.0 };
    let total = sample.total_weight();
    let allowed: Vec<bool> = inputs.iter().map(|x| x.is_finite()).collect();
    let inputs: Vec<f64> = inputs.into_iter().map(|x| if x.is_finite() { x / scale } else { 0.0 }).collect();
    let penalty = match shape {
        Shape::Diagonal => Penalty { off_diagonal: 0.0, bias: penalty.bias / k as f64 },
        Shape::Full => Penalty {
            off_diagonal: penalty.off_diagonal / (k as f64 * (k as f64 - 1.0)) / (scale * scale),
            bias: penalty.bias / k as f64,
        },
    };
    let mut problem = Problem {
        n_classes: k,
        shape,
        inputs,
        allowed,
        labels: sample.labels(),
        weights: sample.weights().iter().map(|w| w / total).collect(),
        probs: vec![0.0; sample.n_rows() * k],
        penalty,
    };
    let width = problem.width();
    let mut start = vec![0.0; width + k];
    for class in 0..k {
        start[problem.diagonal_at(class)] = scale / temperature;
    }
    let solution = minimise(&mut problem, start);
    let mut weights = vec![0.0; width];
    match shape {
        Shape::Diagonal => weights.copy_from_slice(&solution.x[..k]),
        // The solver keeps W by input, so that every pass runs along a row.
        Shape::Full => {
            for input in 0..k {
                for class in 0..k {
                    weights[class * k + input] = solution.x[input * k + class];
                }
            }
        }
    }
    weights.iter_mut().for_each(|w| *w /= scale);
    Ok(LinearFit { weights, bias: solution.x[width..].to_vec(), solution })
}

struct Problem<'a> {
    n_classes: usize,
    shape: Shape,
    /// Scaled inputs, 0 for masked classes.
    inputs: Vec<f64>,
    allowed: Vec<bool>,
    labels: &'a [usize],
    /// Sum to 1.
    weights: Vec<f64>,
    /// At the last evaluated point.
    probs: Vec<f64>,
    /// Per squared entry, in the scaled units.
    penalty: Penalty,
}

impl Problem<'_> {
    fn width(&self) -> usize {
        match self.shape {
            Shape::Diagonal => self.n_classes,
            Shape::Full => self.n_classes * self.n_classes,
        }
    }

    fn diagonal_at(&self, class: usize) -> usize {
        match self.shape {
            Shape::Diagonal => class,
            Shape::Full => class * self.n_classes + class,
        }
    }

    fn block_rows(&self) -> usize {
        self.labels.len().div_ceil(MAX_BLOCKS).max(256)
    }

    /// W x + b for one row, masks left aside.
    fn forward(&self, x: &[f64], input: &[f64], out: &mut [f64]) {
        let k = self.n_classes;
        let (w, bias) = x.split_at(self.width());
        out.copy_from_slice(bias);
        match self.shape {
            Shape::Diagonal => {
                for ((out, w), input) in out.iter_mut().zip(w).zip(input) {
                    *out += w * input;
                }
            }
            Shape::Full => {
                for (input, w) in input.iter().zip(w.chunks_exact(k)) {
                    for (out, w) in out.iter_mut().zip(w) {
                        *out += input * w;
                    }
                }
            }
        }
    }

    /// Adds the outer product of input and residual, and the residual to the bias.
    fn backward(&self, input: &[f64], residual: &[f64], out: &mut [f64]) {
        let k = self.n_classes;
        let (w, bias) = out.split_at_mut(self.width());
        for (bias, r) in bias.iter_mut().zip(residual) {
            *bias += r;
        }
        match self.shape {
            Shape::Diagonal => {
                for ((w, input), r) in w.iter_mut().zip(input).zip(residual) {
                    *w += input * r;
                }
            }
            Shape::Full => {
                for (input, w) in input.iter().zip(w.chunks_exact_mut(k)) {
                    for (w, r) in w.iter_mut().zip(residual) {
                        *w += input * r;
                    }
                }
            }
        }
    }

    /// Sums `row(index, residual) -> input factor` over the rows, block by block in order.
    fn sum_blocks(&self, each: impl Fn(usize, &mut [f64], &mut [f64]) + Sync) -> Vec<f64> {
        let (n, k) = (self.labels.len(), self.n_classes);
        let block_rows = self.block_rows();
        let starts: Vec<usize> = (0..n).step_by(block_rows).collect();
        let parts: Vec<Vec<f64>> = starts
            .par_iter()
            .map(|&start| {
                let mut sum = vec![0.0; self.width() + k];
                let mut scratch = vec![0.0; k];
                for row in start..(start + block_rows).min(n) {
                    each(row, &mut scratch, &mut sum);
                }
                sum
            })
            .collect();
        let mut total = vec![0.0; self.width() + k];
        for part in parts {
            total.iter_mut().zip(&part).for_each(|(total, part)| *total += part);
        }
        total
    }

    fn input(&self, row: usize) -> &[f64] {
        &self.inputs[row * self.n_classes..(row + 1) * self.n_classes]
    }

    /// Twice the penalty's coefficient of every entry.
    fn penalty_of(&self, at: usize) -> f64 {
        let width = self.width();
        if at >= width {
            2.0 * self.penalty.bias
        } else if self.shape == Shape::Full && at / self.n_classes != at % self.n_classes {
            2.0 * self.penalty.off_diagonal
        } else {
            0.0
        }
    }
}

impl Objective for Problem<'_> {
    fn evaluate(&mut self, x: &[f64], gradient: &mut [f64]) -> f64 {
        let k = self.n_classes;
        let block_rows = self.block_rows();
        let mut probs = std::mem::take(&mut self.probs);
        let values: Vec<f64> = probs
            .par_chunks_mut(block_rows * k)
            .enumerate()
            .map(|(block, probs)| {
                let mut sum = 0.0;
                for (at, z) in probs.chunks_exact_mut(k).enumerate() {
                    let row = block * block_rows + at;
                    self.forward(x, self.input(row), z);
                    for (z, allowed) in z.iter_mut().zip(&self.allowed[row * k..(row + 1) * k]) {
                        if !allowed {
                            *z = f64::NEG_INFINITY;
                        }
                    }
                    let max = rows::max(z);
                    let of_label = z[self.labels[row]] - max;
                    let mut total = 0.0;
                    for z in z.iter_mut() {
                        *z = math::exp(*z - max);
                        total += *z;
                    }
                    z.iter_mut().for_each(|z| *z /= total);
                    sum += self.weights[row] * (math::ln(total) - of_label);
                }
                sum
            })
            .collect();
        self.probs = probs;
        let found = self.sum_blocks(|row, residual, sum| {
            for (class, (r, p)) in residual.iter_mut().zip(&self.probs[row * k..(row + 1) * k]).enumerate() {
                *r = self.weights[row] * (p - f64::from(u8::from(class == self.labels[row])));
            }
            self.backward(self.input(row), residual, sum);
        });
        let mut value: f64 = values.iter().sum();
        for (at, (gradient, found)) in gradient.iter_mut().zip(found).enumerate() {
            let penalty = self.penalty_of(at);
            // Away from the penalised entries nothing may become 0 times infinity.
            *gradient = found + if penalty > 0.0 { penalty * x[at] } else { 0.0 };
            if penalty > 0.0 {
                value += 0.5 * penalty * x[at] * x[at];
            }
        }
        value
    }

    fn hessian(&self, direction: &[f64], out: &mut [f64]) {
        let k = self.n_classes;
        let found = self.sum_blocks(|row, u, sum| {
            self.forward(direction, self.input(row), u);
            let probs = &self.probs[row * k..(row + 1) * k];
            let mean: f64 = probs.iter().zip(u.iter()).map(|(p, u)| p * u).sum();
            for (u, p) in u.iter_mut().zip(probs) {
                *u = self.weights[row] * p * (*u - mean);
            }
            self.backward(self.input(row), u, sum);
        });
        for (at, (out, found)) in out.iter_mut().zip(found).enumerate() {
            *out = found + self.penalty_of(at) * direction[at];
        }
    }

    fn diagonal(&self, out: &mut [f64]) {
        let k = self.n_classes;
        let found = self.sum_blocks(|row, spread, sum| {
            for (s, p) in spread.iter_mut().zip(&self.probs[row * k..(row + 1) * k]) {
                *s = self.weights[row] * p * (1.0 - p);
            }
            let squares: Vec<f64> = self.input(row).iter().map(|x| x * x).collect();
            self.backward(&squares, spread, sum);
        });
        for (at, (out, found)) in out.iter_mut().zip(found).enumerate() {
            *out = found + self.penalty_of(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{Labels, Logits};

    /// Derivatives against central differences, with masks, weights and penalties.
    #[test]
    fn derivatives_are_those_of_the_value() {
        let inf = f64::NEG_INFINITY;
        let logits = [1.0, -0.5, 2.0, 0.3, 0.1, inf, -1.0, 0.7, 0.2, 1.5, -2.0, 0.4];
        let labels = [2_i64, 1, 0, 1];
        let sample = Sample::from_logits(Logits::new(&logits, 3).unwrap(), Labels::new(&labels, 3).unwrap())
            .unwrap()
            .with_weights(&[1.0, 2.0, 0.5, 1.0])
            .unwrap();
        for shape in [Shape::Diagonal, Shape::Full] {
            let allowed: Vec<bool> = logits.iter().map(|x| x.is_finite()).collect();
            let inputs: Vec<f64> = logits.iter().map(|x| if x.is_finite() { *x } else { 0.0 }).collect();
            let mut problem = Problem {
                n_classes: 3,
                shape,
                inputs,
                allowed,
                labels: sample.labels(),
                weights: sample.weights().iter().map(|w| w / 4.5).collect(),
                probs: vec![0.0; 12],
                penalty: Penalty { off_diagonal: 0.3, bias: 0.2 },
            };
            let n = problem.width() + 3;
            let x: Vec<f64> = (0..n).map(|i| ((i * 7 + 3) % 5) as f64 * 0.3 - 0.5).collect();
            let direction: Vec<f64> = (0..n).map(|i| ((i * 3 + 1) % 7) as f64 * 0.2 - 0.6).collect();
            let moved = |h: f64| -> Vec<f64> { x.iter().zip(&direction).map(|(x, d)| x + h * d).collect() };
            let (mut g, mut up, mut down) = (vec![0.0; n], vec![0.0; n], vec![0.0; n]);
            let h = 1e-5;
            let above = problem.evaluate(&moved(h), &mut up);
            let below = problem.evaluate(&moved(-h), &mut down);
            problem.evaluate(&x, &mut g);
            let slope: f64 = g.iter().zip(&direction).map(|(g, d)| g * d).sum();
            assert!((slope - (above - below) / (2.0 * h)).abs() < 1e-9, "{shape:?}");
            let mut product = vec![0.0; n];
            problem.hessian(&direction, &mut product);
            for at in 0..n {
                let want = (up[at] - down[at]) / (2.0 * h);
                assert!((product[at] - want).abs() < 1e-8, "{shape:?} {at}: {} {want}", product[at]);
            }
            let mut diagonal = vec![0.0; n];
            problem.diagonal(&mut diagonal);
            for at in 0..n {
                let mut unit = vec![0.0; n];
                unit[at] = 1.0;
                problem.hessian(&unit, &mut product);
                assert!((product[at] - diagonal[at]).abs() < 1e-14, "{shape:?} {at}");
            }
        }
    }
}
