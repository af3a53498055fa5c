//! Self-attention over several heads (Vaswani et al. 2017, arXiv:1706.03762), forward and backward.
//!
//! Of a sequence of t tokens come queries, keys and values `[t, width]`, side by side in rows of `3·width`, as the one
//! linear layer before gives them; heads are runs of `width/heads` columns. For each head
//! `O = softmax(Q·Kᵀ/√(width/heads))·V`. Nothing is moved to make the heads: products read and write columns where they
//! lie. Scores are computed again in the backward pass, from two numbers a row: no pass keeps the `t²` shares, and a
//! thread has room for the `2·t²` of one head at a time.
//!
//! Sequences go to threads whole, so no bit depends on the number of threads.

pub(super) mod rows;
#[cfg(test)]
mod tests;

use rayon::prelude::*;

use super::isa::{Body, Isa, run_on};
use super::matmul::{Matrix, MatrixMut, product};
use super::real::{Real, lane_sum};
use crate::error::{Error, Result, check_shape};

/// Values of a head's scores, or of a sequence, at most.
const LARGEST: usize = 1 << 28;

/// Self-attention over sequences of one length.
///
/// # Examples
/// ```
/// use candor::kernels::attention::Attention;
///
/// // Two tokens of one number each: all queries are 0, so both see the mean of the values 2 and 6.
/// let attention = Attention::new(2, 1, 1)?;
/// let (packed, mut output) = ([0.0, 1.0, 2.0, 0.0, -1.0, 6.0], [0.0_f32; 2]);
/// attention.forward(&packed, &mut output, None)?;
/// assert_eq!(output, [4.0, 4.0]);
/// # Ok::<(), candor::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attention {
    tokens: usize,
    width: usize,
    heads: usize,
    isa: Isa,
}

impl Attention {
    /// Attention over sequences of `tokens`, whose queries, keys and values are `width` numbers for all `heads`.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for a size of 0 or of more than 2^28 values, and if `heads` does not divide `width`.
    pub fn new(tokens: usize, width: usize, heads: usize) -> Result<Self> {
        let within = |argument, got: usize, hint| {
            if (1..=LARGEST).contains(&got) {
                return Ok(());
            }
            Err(Error::OutOfRange { argument, got: got as f64, min: 1.0, max: LARGEST as f64, hint })
        };
        within("heads", heads, "")?;
        within("width", width, "")?;
        within("scores of a head", tokens.saturating_mul(tokens), ": the square of the tokens")?;
        within("values of a sequence", tokens.saturating_mul(width).saturating_mul(3), "")?;
        if !width.is_multiple_of(heads) {
            let (got, max) = (heads as f64, width as f64);
            return Err(Error::OutOfRange {
                argument: "heads",
                got,
                min: 1.0,
                max,
                hint: ": they must divide the width",
            });
        }
        Ok(Self { tokens, width, heads, isa: Isa::current() })
    }

    /// What a forward pass of a sequence must remember for the backward pass: so many numbers.
    pub fn trace_len(&self) -> usize {
        2 * self.heads * self.tokens
    }

    /// The number of sequences whose output has so many values.
    pub fn sequences(&self, output: usize) -> usize {
        output / (self.tokens * self.width)
    }

    /// What every token sees, and in `trace`, if one is wanted, what [`backward`](Self::backward) needs to know.
    ///
    /// # Shapes
    /// `packed` `[n, tokens, 3·width]`, `output` `[n, tokens, width]`, `trace` `[n, trace_len]`
    ///
    /// # Errors
    /// [`Error::Shape`] for an array of another size.
    pub fn forward<T: Real>(&self, packed: &[T], output: &mut [T], trace: Option<&mut [T]>) -> Result<()> {
        let n = self.check(packed.len(), output.len())?;
        let mut unwanted = Vec::new();
        let trace = match trace {
            Some(trace) => trace,
            None => {
                unwanted.resize(n * self.trace_len(), T::default());
                &mut unwanted
            }
        };
        check_shape("the trace of attention", n * self.trace_len(), trace.len())?;
        packed
            .par_chunks_exact(3 * self.tokens * self.width)
            .zip(output.par_chunks_exact_mut(self.tokens * self.width))
            .zip(trace.par_chunks_exact_mut(self.trace_len()))
            .for_each_init(
                || vec![T::default(); self.tokens * self.tokens],
                |scores, ((packed, output), trace)| self.sequence(packed, output, trace, scores),
            );
        Ok(())
    }

    /// The gradient of `packed` from that of the output; what `gradient` held is overwritten.
    ///
    /// # Shapes
    /// As of [`forward`](Self::forward); `upstream` has the shape of its output, `gradient` that of `packed`.
    ///
    /// # Errors
    /// [`Error::Shape`] for an array of another size.
    pub fn backward<T: Real>(
        &self,
        packed: &[T],
        trace: &[T],
        upstream: &[T],
        gradient: &mut [T],
    ) -> Result<()> {
        let n = self.check(packed.len(), upstream.len())?;
        check_shape("the trace of attention", n * self.trace_len(), trace.len())?;
        check_shape("the gradient of queries, keys and values", packed.len(), gradient.len())?;
        packed
            .par_chunks_exact(3 * self.tokens * self.width)
            .zip(trace.par_chunks_exact(self.trace_len()))
            .zip(upstream.par_chunks_exact(self.tokens * self.width))
            .zip(gradient.par_chunks_exact_mut(3 * self.tokens * self.width))
            .for_each_init(
                || [(); 2].map(|()| vec![T::default(); self.tokens * self.tokens]),
                |room, (((packed, trace), upstream), gradient)| {
                    self.sequence_back([packed, trace, upstream], gradient, room);
                },
            );
        Ok(())
    }

    /// The number of sequences.
    fn check(&self, packed: usize, output: usize) -> Result<usize> {
        let n = self.sequences(output);
        check_shape("the output of attention", n * self.tokens * self.width, output)?;
        check_shape("queries, keys and values", 3 * output, packed)?;
        Ok(n)
    }

    fn scale<T: Real>(&self) -> T {
        T::from_f64(1.0 / ((self.width / self.heads) as f64).sqrt())
    }

    /// Queries, keys and values of a head.
    fn views<'a, T>(&self, packed: &'a [T], head: usize) -> [Matrix<'a, T>; 3] {
        let all = Matrix::row_major(packed, self.tokens, 3 * self.width);
        let width = self.width / self.heads;
        [0, 1, 2].map(|part| all.columns(part * self.width + head * width, width))
    }

    fn sequence<T: Real>(&self, packed: &[T], output: &mut [T], trace: &mut [T], scores: &mut [T]) {
        let t = self.tokens;
        let outputs = MatrixMut::row_major(output, t, self.width).columns(self.width / self.heads);
        for ((head, (_, output)), kept) in outputs.into_iter().enumerate().zip(trace.chunks_exact_mut(2 * t))
        {
            let [queries, keys, values] = self.views(packed, head);
            product(MatrixMut::row_major(scores, t, t), queries, keys.transposed(), 1.0, false);
            for (row, kept) in scores.chunks_exact_mut(t).zip(kept.as_chunks_mut().0) {
                *kept = T::softmax(self.isa, row, self.scale());
            }
            product(output, Matrix::row_major(scores, t, t), values, 1.0, false);
        }
    }

    fn sequence_back<T: Real>(
        &self,
        [packed, trace, upstream]: [&[T]; 3],
        gradient: &mut [T],
        [shares, scores]: &mut [Vec<T>; 2],
    ) {
        let (t, width) = (self.tokens, self.width / self.heads);
        let upstream = Matrix::row_major(upstream, t, self.width);
        let mut pieces = MatrixMut::row_major(gradient, t, 3 * self.width).columns(width);
        let of_values = pieces.split_off(2 * self.heads);
        let of_keys = pieces.split_off(self.heads);
        let heads = pieces.into_iter().zip(of_keys).zip(of_values).zip(trace.chunks_exact(2 * t));
        for (head, ((((_, of_queries), (_, of_keys)), (_, of_values)), kept)) in heads.enumerate() {
            let [queries, keys, values] = self.views(packed, head);
            let upstream = upstream.columns(head * width, width);
            product(MatrixMut::row_major(shares, t, t), queries, keys.transposed(), 1.0, false);
            for (row, kept) in shares.chunks_exact_mut(t).zip(kept.as_chunks().0) {
                T::softmax_again(self.isa, row, self.scale(), *kept);
            }
            product(of_values, Matrix::row_major(shares, t, t).transposed(), upstream, 1.0, false);
            product(MatrixMut::row_major(scores, t, t), upstream, values.transposed(), 1.0, false);
            // SAFETY: the instruction set is available, and the body has no other conditions.
            unsafe {
                run_on(self.isa, BackOfSoftmax { shares, gradient: scores, tokens: t, scale: self.scale() })
            };
            let scores = Matrix::row_major(scores, t, t);
            product(of_queries, scores, keys, 1.0, false);
            product(of_keys, scores.transposed(), queries, 1.0, false);
        }
    }
}

/// From the gradient of shares p to that of scores, in place: `p·(g - Σ p·g)` times the scale.
struct BackOfSoftmax<'a, T> {
    shares: &'a [T],
    gradient: &'a mut [T],
    tokens: usize,
    scale: T,
}

impl<T: Real> Body for BackOfSoftmax<'_, T> {
    type Output = ();

    /// # Safety
    /// Those of `FMA`.
    #[inline(always)]
    unsafe fn run<const FMA: bool>(self) {
        let rows = self.gradient.chunks_exact_mut(self.tokens);
        for (shares, gradient) in self.shares.chunks_exact(self.tokens).zip(rows) {
            let mean = T::from_f64(lane_sum([shares, &*gradient], |[share, gradient]| share * gradient));
            for (gradient, share) in gradient.iter_mut().zip(shares) {
                *gradient = *share * (*gradient - mean) * self.scale;
            }
        }
    }
}
