//! A fully connected layer with its bias and what follows it: `y = f(x·W + b)`, forward and backward.
//!
//! f and its slope are taken while the sums are in cache; of the forward pass the input and the slopes are kept.
//! Backward, with `g = ∂y·slope`: `∂x = g·Wᵀ`, `∂W = xᵀ·g`, `∂b` the sums of g's columns, which are added up in the
//! pass that makes g. Products read matrices where they lie, transposed or not.
//!
//! Products are cut into pieces whose sizes depend on the shapes alone, and sums of pieces are added in their order: no
//! bit depends on the number of threads.

#[cfg(test)]
mod tests;

use rayon::prelude::*;

use super::isa::{Body, Isa, run_on};
use super::matmul::{Matrix, MatrixMut, product};
use super::real::{Real, rows_of_a_block};
use crate::error::{Error, Result, check_shape as check};

/// Rows of a product that one thread makes, where there are more than twice as many.
const ROWS: usize = 512;

/// Columns of a product that one thread makes, where rows are few.
const COLUMNS: usize = 256;

/// Values of the weights at most.
const LARGEST: usize = 1 << 28;

/// What follows the sums of a layer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Activation {
    /// Nothing.
    #[default]
    None,
    /// `max(0, x)`; NaN stays.
    Relu,
    /// `x·Φ(x)`, by the error function (Hendrycks & Gimpel 2016, arXiv:1606.08415).
    Gelu,
}

/// A fully connected layer; its bits do not depend on the number of threads.
///
/// # Examples
/// ```
/// use candor::kernels::dense::{Activation, Dense};
///
/// let layer = Dense::new(2, 1, Activation::Relu)?;
/// let mut output = [0.0_f32; 2];
/// layer.forward(&[1.0, 2.0, -3.0, 1.0], &[1.0, 2.0], Some(&[0.5]), &mut output, None)?;
/// assert_eq!(output, [5.5, 0.0]);
/// # Ok::<(), candor::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dense {
    inputs: usize,
    outputs: usize,
    activation: Activation,
    isa: Isa,
}

/// What the backward pass of a layer reads.
#[derive(Debug)]
pub struct DensePass<'a, T> {
    /// The input of the forward pass.
    pub input: &'a [T],
    /// The weights of the forward pass.
    pub weight: &'a [T],
    /// The slopes of the forward pass; overwritten.
    pub slopes: &'a mut [T],
    /// The gradient of the output.
    pub upstream: &'a [T],
}

/// Where the gradients go that are wanted; what is there is overwritten.
#[derive(Debug)]
pub struct DenseGradients<'a, T> {
    /// Of the input.
    pub input: Option<&'a mut [T]>,
    /// Of the weights.
    pub weight: Option<&'a mut [T]>,
    /// Of the bias.
    pub bias: Option<&'a mut [T]>,
}

impl Dense {
    /// A layer from so many numbers to so many.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for a size of 0 or more than 2^28 weights.
    pub fn new(inputs: usize, outputs: usize, activation: Activation) -> Result<Self> {
        let sizes = [("inputs", inputs), ("outputs", outputs), ("weights", inputs.saturating_mul(outputs))];
        for (argument, got) in sizes {
            if !(1..=LARGEST).contains(&got) {
                let (got, max) = (got as f64, LARGEST as f64);
                return Err(Error::OutOfRange { argument, got, min: 1.0, max, hint: "" });
            }
        }
        Ok(Self { inputs, outputs, activation, isa: Isa::current() })
    }

    /// What a forward pass must remember of a row for the backward pass beside its input: so many numbers.
    pub fn slopes_len(&self) -> usize {
        if self.activation == Activation::None { 0 } else { self.outputs }
    }

    /// The outputs of a batch; in `slopes`, if they are wanted, what [`backward`](Self::backward) needs to know.
    ///
    /// # Shapes
    /// `input` `[n, inputs]`, `weight` `[inputs, outputs]`, `bias` `[outputs]`, `output` `[n, outputs]`,
    /// `slopes` `[n, slopes_len]`
    ///
    /// # Errors
    /// [`Error::Shape`] for an array of another size.
    pub fn forward<T: Real>(
        &self,
        input: &[T],
        weight: &[T],
        bias: Option<&[T]>,
        output: &mut [T],
        slopes: Option<&mut [T]>,
    ) -> Result<()> {
        let n = self.check(input.len(), weight.len(), output.len())?;
        check("the bias of the layer", self.outputs, bias.map_or(self.outputs, <[T]>::len))?;
        if let Some(slopes) = &slopes {
            check("the slopes of the layer", n * self.slopes_len(), slopes.len())?;
        }
        let weight = Matrix::row_major(weight, self.inputs, self.outputs);
        let rows = rows_of_a_piece(n);
        let slopes: Vec<Option<&mut [T]>> = match slopes {
            Some(slopes) if self.slopes_len() > 0 => {
                slopes.chunks_mut(rows * self.outputs).map(Some).collect()
            }
            _ => (0..n.div_ceil(rows)).map(|_| None).collect(),
        };
        output
            .par_chunks_mut(rows * self.outputs)
            .zip(input.par_chunks(rows * self.inputs))
            .zip(slopes)
            .for_each(|((output, input), slopes)| {
                if let Some(bias) = bias {
                    output.par_chunks_mut(self.block()).for_each(|rows| {
                        rows.chunks_exact_mut(self.outputs).for_each(|row| row.copy_from_slice(bias));
                    });
                }
                let input = Matrix::row_major(input, input.len() / self.inputs, self.inputs);
                multiply(output, self.outputs, input, weight, bias.is_some());
                self.activate(output, slopes);
            });
        Ok(())
    }

    fn activate<T: Real>(&self, output: &mut [T], slopes: Option<&mut [T]>) {
        let piece = self.block();
        let slopes: Vec<Option<&mut [T]>> = match slopes {
            Some(slopes) => slopes.chunks_mut(piece).map(Some).collect(),
            None => (0..output.len().div_ceil(piece)).map(|_| None).collect(),
        };
        let pieces = output.par_chunks_mut(piece).zip(slopes);
        match self.activation {
            Activation::None => {}
            Activation::Gelu => pieces.for_each(|(values, slopes)| T::gelu(self.isa, values, slopes)),
            Activation::Relu => pieces.for_each(|(values, slopes)| {
                // SAFETY: the instruction set is available, and the body has no other conditions.
                unsafe { run_on(self.isa, Relu { values, slopes }) }
            }),
        }
    }

    /// The gradients of a batch. Those that are not wanted cost nothing.
    ///
    /// # Shapes
    /// As of [`forward`](Self::forward); `upstream` has the shape of its output.
    ///
    /// # Errors
    /// [`Error::Shape`] for an array of another size.
    pub fn backward<T: Real>(&self, pass: DensePass<'_, T>, gradients: DenseGradients<'_, T>) -> Result<()> {
        let DensePass { input, weight, slopes, upstream } = pass;
        let n = self.check(input.len(), weight.len(), upstream.len())?;
        check("the slopes of the layer", n * self.slopes_len(), slopes.len())?;
        for (what, expected, gradient) in [
            ("the gradient of the input", input.len(), &gradients.input),
            ("the gradient of the weights", weight.len(), &gradients.weight),
            ("the gradient of the bias", self.outputs, &gradients.bias),
        ] {
            check(what, expected, gradient.as_ref().map_or(expected, |gradient| gradient.len()))?;
        }
        if let Some(bias) = gradients.bias {
            self.before_activation(upstream, slopes, Some(bias));
        } else if self.slopes_len() > 0 {
            self.before_activation(upstream, slopes, None);
        }
        let sums = if self.slopes_len() > 0 { &*slopes } else { upstream };
        if let Some(gradient) = gradients.input {
            let weight = Matrix::row_major(weight, self.inputs, self.outputs).transposed();
            let rows = rows_of_a_piece(n);
            gradient.par_chunks_mut(rows * self.inputs).zip(sums.par_chunks(rows * self.outputs)).for_each(
                |(gradient, sums)| {
                    let sums = Matrix::row_major(sums, sums.len() / self.outputs, self.outputs);
                    multiply(gradient, self.inputs, sums, weight, false);
                },
            );
        }
        if let Some(gradient) = gradients.weight {
            let input = Matrix::row_major(input, n, self.inputs).transposed();
            let sums = Matrix::row_major(sums, n, self.outputs);
            multiply(gradient, self.outputs, input, sums, false);
        }
        Ok(())
    }

    /// Turns slopes into the gradient of the sums, and adds that up for the bias.
    fn before_activation<T: Real>(&self, upstream: &[T], slopes: &mut [T], bias: Option<&mut [T]>) {
        let piece = self.block();
        let slopes: Vec<&mut [T]> = match self.slopes_len() {
            0 => (0..upstream.len().div_ceil(piece)).map(|_| Default::default()).collect(),
            _ => slopes.chunks_mut(piece).collect(),
        };
        let sums: Vec<Vec<T>> = upstream
            .par_chunks(piece)
            .zip(slopes)
            .map(|(upstream, slopes)| {
                let mut sums = vec![T::default(); if bias.is_some() { self.outputs } else { 0 }];
                // SAFETY: the instruction set is available, and the body has no other conditions.
                unsafe {
                    run_on(self.isa, Back { outputs: self.outputs, upstream, slopes, sums: &mut sums })
                };
                sums
            })
            .collect();
        if let Some(bias) = bias {
            bias.fill(T::default());
            for sums in &sums {
                bias.iter_mut().zip(sums).for_each(|(total, sum)| *total += *sum);
            }
        }
    }

    /// Values of what follows the sums that one thread makes.
    fn block(&self) -> usize {
        rows_of_a_block(self.outputs) * self.outputs
    }

    /// The number of rows.
    fn check(&self, input: usize, weight: usize, output: usize) -> Result<usize> {
        let n = input / self.inputs;
        check("the input of the layer", n * self.inputs, input)?;
        check("the weights of the layer", self.inputs * self.outputs, weight)?;
        check("the output of the layer", n * self.outputs, output)?;
        Ok(n)
    }
}

/// Rows that a product is cut into.
fn rows_of_a_piece(n: usize) -> usize {
    if n > 2 * ROWS { ROWS } else { n.max(1) }
}

/// `target = left·right`, or added to it; few rows are cut into pieces of columns.
fn multiply<T: Real>(target: &mut [T], columns: usize, left: Matrix<'_, T>, right: Matrix<'_, T>, add: bool) {
    let rows = target.len() / columns;
    let pieces = columns.div_ceil(COLUMNS);
    let width = if rows_of_a_piece(rows) < rows { columns } else { columns.div_ceil(pieces) };
    MatrixMut::row_major(target, rows, columns).columns(width).into_par_iter().for_each(|(from, piece)| {
        product(piece, left, right.columns(from, width.min(columns - from)), 1.0, add);
    });
}

/// `max(0, x)` in place, with its slope.
struct Relu<'a, T> {
    values: &'a mut [T],
    slopes: Option<&'a mut [T]>,
}

impl<T: Real> Body for Relu<'_, T> {
    type Output = ();

    /// # Safety
    /// Those of `FMA`.
    #[inline(always)]
    unsafe fn run<const FMA: bool>(self) {
        let (zero, one) = (T::default(), T::from_f64(1.0));
        if let Some(slopes) = self.slopes {
            for (slope, x) in slopes.iter_mut().zip(self.values.iter()) {
                *slope = if *x > zero { one } else { zero };
            }
        }
        for x in self.values {
            *x = if *x < zero { zero } else { *x };
        }
    }
}

/// `slopes = upstream·slopes` where there are slopes, and the sums of its columns where they are wanted.
struct Back<'a, T> {
    outputs: usize,
    upstream: &'a [T],
    slopes: &'a mut [T],
    sums: &'a mut [T],
}

impl<T: Real> Body for Back<'_, T> {
    type Output = ();

    /// # Safety
    /// Those of `FMA`.
    #[inline(always)]
    unsafe fn run<const FMA: bool>(self) {
        for (slope, upstream) in self.slopes.iter_mut().zip(self.upstream) {
            *slope = *slope * *upstream;
        }
        if self.sums.is_empty() {
            return;
        }
        let gradient = if self.slopes.is_empty() { self.upstream } else { self.slopes };
        for row in gradient.chunks_exact(self.outputs) {
            self.sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += *value);
        }
    }
}
