//! Layer normalisation (Ba, Kiros & Hinton 2016, arXiv:1607.06450), forward and backward, a row at a time.
//!
//! `y = γ·x̂ + β` with `x̂ = (x - mean)/√(variance + ε)` over the numbers of a row. Backward, with `g = ∂y·γ`:
//! `∂x = (g - mean(g) - x̂·mean(g·x̂))/√(variance + ε)`, `∂γ = Σ ∂y·x̂`, `∂β = Σ ∂y` over rows. Of the forward pass the
//! input and two numbers a row are kept.
//!
//! Rows go to threads in blocks whose size depends on their width alone, and what blocks sum is added in their order: no bit depends on the
//! number of threads.

#[cfg(test)]
mod tests;

use rayon::prelude::*;

use super::isa::{Body, Isa, run_on};
use super::real::{Real, lane_sum, rows_of_a_block};
use crate::error::{Error, Result, check_shape as check};

/// Numbers of a row at most.
const LARGEST: usize = 1 << 28;

/// Numbers that are kept of a row: its mean, and one over its standard deviation.
const KEPT: usize = 2;

/// A layer that normalises rows.
///
/// # Examples
/// ```
/// use candor::kernels::layer_norm::LayerNorm;
///
/// let norm = LayerNorm::new(2, 0.0)?;
/// let mut output = [0.0_f64; 2];
/// norm.forward(&[3.0, 7.0], &[1.0, 10.0], &[0.0, 5.0], &mut output, None)?;
/// assert_eq!(output, [-1.0, 15.0]);
/// # Ok::<(), candor::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LayerNorm {
    width: usize,
    epsilon: f64,
    isa: Isa,
}

/// What the backward pass reads.
#[derive(Debug, Clone, Copy)]
pub struct LayerNormPass<'a, T> {
    /// The input of the forward pass.
    pub input: &'a [T],
    /// γ of the forward pass.
    pub scale: &'a [T],
    /// What the forward pass noted.
    pub trace: &'a [T],
    /// The gradient of the output.
    pub upstream: &'a [T],
}

/// Where the gradients go that are wanted; what is there is overwritten.
#[derive(Debug)]
pub struct LayerNormGradients<'a, T> {
    /// Of the input.
    pub input: Option<&'a mut [T]>,
    /// Of γ.
    pub scale: Option<&'a mut [T]>,
    /// Of β.
    pub shift: Option<&'a mut [T]>,
}

impl LayerNorm {
    /// A layer for rows of `width` numbers, with ε in the denominator.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for a width of 0 or above 2^28, or a negative, infinite or undefined ε.
    pub fn new(width: usize, epsilon: f64) -> Result<Self> {
        if !(1..=LARGEST).contains(&width) {
            let (got, max) = (width as f64, LARGEST as f64);
            return Err(Error::OutOfRange { argument: "width", got, min: 1.0, max, hint: "" });
        }
        if !(epsilon.is_finite() && epsilon >= 0.0) {
            let (argument, max) = ("epsilon", f64::MAX);
            return Err(Error::OutOfRange { argument, got: epsilon, min: 0.0, max, hint: "" });
        }
        Ok(Self { width, epsilon, isa: Isa::current() })
    }

    /// What a forward pass must remember of a row for the backward pass beside its input: so many numbers.
    pub fn trace_len(&self) -> usize {
        KEPT
    }

    /// Normalised rows; in `trace`, if one is wanted, what [`backward`](Self::backward) needs to know.
    ///
    /// # Shapes
    /// `input` and `output` `[n, width]`, `scale` γ and `shift` β `[width]`, `trace` `[n, trace_len]`
    ///
    /// # Errors
    /// [`Error::Shape`] for an array of another size.
    pub fn forward<T: Real>(
        &self,
        input: &[T],
        scale: &[T],
        shift: &[T],
        output: &mut [T],
        trace: Option<&mut [T]>,
    ) -> Result<()> {
        let n = self.rows("the input of the normalisation", input.len())?;
        check("the scale of the normalisation", self.width, scale.len())?;
        check("the shift of the normalisation", self.width, shift.len())?;
        check("the output of the normalisation", input.len(), output.len())?;
        let mut unwanted = Vec::new();
        let trace = match trace {
            Some(trace) => trace,
            None => {
                unwanted.resize(n * KEPT, T::default());
                &mut unwanted
            }
        };
        check("the trace of the normalisation", n * KEPT, trace.len())?;
        let block = rows_of_a_block(self.width);
        input
            .par_chunks(block * self.width)
            .zip(output.par_chunks_mut(block * self.width))
            .zip(trace.par_chunks_mut(block * KEPT))
            .for_each(|((input, output), trace)| {
                let body = Forward { epsilon: self.epsilon, input, scale, shift, output, trace };
                // SAFETY: the instruction set is available, and the body has no other conditions.
                unsafe { run_on(self.isa, body) }
            });
        Ok(())
    }

    /// The gradients of a batch.
    ///
    /// # Shapes
    /// As of [`forward`](Self::forward); `upstream` has the shape of its output.
    ///
    /// # Errors
    /// [`Error::Shape`] for an array of another size.
    pub fn backward<T: Real>(
        &self,
        pass: LayerNormPass<'_, T>,
        gradients: LayerNormGradients<'_, T>,
    ) -> Result<()> {
        let LayerNormPass { input, scale, trace, upstream } = pass;
        let n = self.rows("the input of the normalisation", input.len())?;
        check("the scale of the normalisation", self.width, scale.len())?;
        check("the trace of the normalisation", n * KEPT, trace.len())?;
        check("the upstream gradient", input.len(), upstream.len())?;
        for (what, expected, gradient) in [
            ("the gradient of the input", input.len(), &gradients.input),
            ("the gradient of the scale", self.width, &gradients.scale),
            ("the gradient of the shift", self.width, &gradients.shift),
        ] {
            check(what, expected, gradient.as_ref().map_or(expected, |gradient| gradient.len()))?;
        }
        let block = rows_of_a_block(self.width);
        let of_input: Vec<Option<&mut [T]>> = match gradients.input {
            Some(gradient) => gradient.chunks_mut(block * self.width).map(Some).collect(),
            None => (0..n.div_ceil(block)).map(|_| None).collect(),
        };
        let sums: Vec<[Vec<T>; 2]> = of_input
            .into_par_iter()
            .zip(input.par_chunks(block * self.width))
            .zip(trace.par_chunks(block * KEPT))
            .zip(upstream.par_chunks(block * self.width))
            .map(|(((gradient, input), trace), upstream)| {
                let mut sums = [(); 2].map(|()| vec![T::default(); self.width]);
                let pass = LayerNormPass { input, scale, trace, upstream };
                // SAFETY: the instruction set is available, and the body has no other conditions.
                unsafe { run_on(self.isa, Backward { pass, gradient, sums: &mut sums }) };
                sums
            })
            .collect();
        for (which, gradient) in [gradients.scale, gradients.shift].into_iter().enumerate() {
            let Some(gradient) = gradient else { continue };
            gradient.fill(T::default());
            for sums in &sums {
                gradient.iter_mut().zip(&sums[which]).for_each(|(total, sum)| *total += *sum);
            }
        }
        Ok(())
    }

    fn rows(&self, what: &'static str, values: usize) -> Result<usize> {
        let rows = values / self.width;
        check(what, rows * self.width, values)?;
        Ok(rows)
    }
}

struct Forward<'a, T> {
    epsilon: f64,
    input: &'a [T],
    scale: &'a [T],
    shift: &'a [T],
    output: &'a mut [T],
    trace: &'a mut [T],
}

impl<T: Real> Body for Forward<'_, T> {
    type Output = ();

    /// # Safety
    /// Those of `FMA`.
    #[inline(always)]
    unsafe fn run<const FMA: bool>(self) {
        let width = self.scale.len();
        let rows = self.input.chunks_exact(width).zip(self.output.chunks_exact_mut(width));
        for ((x, y), kept) in rows.zip(self.trace.as_chunks_mut::<KEPT>().0) {
            let mean = T::from_f64(lane_sum([x], |[x]| x) / width as f64);
            let squares = lane_sum([x], |[x]| (x - mean) * (x - mean));
            let inverse = T::from_f64(1.0 / (squares / width as f64 + self.epsilon).sqrt());
            for (((y, x), scale), shift) in y.iter_mut().zip(x).zip(self.scale).zip(self.shift) {
                *y = ((*x - mean) * inverse).multiply_add::<FMA>(*scale, *shift);
            }
            *kept = [mean, inverse];
        }
    }
}

struct Backward<'a, T> {
    pass: LayerNormPass<'a, T>,
    gradient: Option<&'a mut [T]>,
    sums: &'a mut [Vec<T>; 2],
}

impl<T: Real> Body for Backward<'_, T> {
    type Output = ();

    /// # Safety
    /// Those of `FMA`.
    #[inline(always)]
    unsafe fn run<const FMA: bool>(self) {
        let LayerNormPass { input, scale, trace, upstream } = self.pass;
        let width = scale.len();
        let [of_scale, of_shift] = self.sums;
        let rows = input.chunks_exact(width).zip(upstream.chunks_exact(width));
        for ((x, u), [mean, inverse]) in rows.clone().zip(trace.as_chunks::<KEPT>().0) {
            for (((of_scale, of_shift), x), u) in of_scale.iter_mut().zip(of_shift.iter_mut()).zip(x).zip(u) {
                *of_scale += *u * ((*x - *mean) * *inverse);
                *of_shift += *u;
            }
        }
        let Some(gradient) = self.gradient else { return };
        let rows = rows.zip(gradient.chunks_exact_mut(width)).zip(trace.as_chunks::<KEPT>().0);
        for (((x, upstream), gradient), [mean, inverse]) in rows {
            let g_mean = lane_sum([upstream, scale], |[u, scale]| u * scale) / width as f64;
            let product = |[u, scale, x]: [T; 3]| u * scale * ((x - *mean) * *inverse);
            let slope = lane_sum([upstream, scale, x], product) / width as f64;
            let (g_mean, slope) = (T::from_f64(g_mean), T::from_f64(slope));
            for (((gradient, x), u), scale) in gradient.iter_mut().zip(x).zip(upstream).zip(scale) {
                let normalised = (*x - *mean) * *inverse;
                *gradient = (*u * *scale - g_mean - normalised * slope) * *inverse;
            }
        }
    }
}
