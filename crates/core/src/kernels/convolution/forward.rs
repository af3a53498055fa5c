//! From images to outputs.

use rayon::prelude::*;

use super::geometry::Frame;
use super::layer::{Activation, BLOCK, Convolution};
use super::layout::{from_frame, into_frame};
use super::tiles::{LANES, correlate};
use crate::error::{Result, check_shape as check};
use crate::kernels::isa::{Body, run_on};
use crate::kernels::real::Real;

/// The trace of an output without gradient.
pub(super) const NONE: u8 = 4;

impl Convolution {
    /// The outputs of a batch; in `trace`, if one is wanted, what [`backward`](Self::backward) needs to know.
    ///
    /// # Shapes
    /// - `input`: `[n, channels, height, width]`
    /// - `weight`: [`weight`](Self::weight); `bias`: `[outputs]`
    /// - `output`: `[n]` and [`output`](Self::output)
    /// - `trace`: `[n, trace_len]`
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) for an array of another size.
    ///
    /// # Examples
    /// ```
    /// use candor::kernels::convolution::ConvolutionConfig;
    ///
    /// // Differences of neighbours, plus 10.
    /// let differences = ConvolutionConfig::new([1, 1, 3], 1, [1, 2]).build()?;
    /// let mut output = [0.0_f32; 2];
    /// differences.forward(&[1.0, 4.0, 2.0], &[-1.0, 1.0], Some(&[10.0]), &mut output, None)?;
    /// assert_eq!(output, [13.0, 8.0]);
    /// # Ok::<(), candor::Error>(())
    /// ```
    pub fn forward<T: Real>(
        &self,
        input: &[T],
        weight: &[T],
        bias: Option<&[T]>,
        output: &mut [T],
        trace: Option<&mut [u8]>,
    ) -> Result<()> {
        let images = self.images("the input of the convolution", input.len())?;
        self.check_weight(weight.len(), bias.map(<[T]>::len))?;
        check("the output of the convolution", images * self.output_len(), output.len())?;
        let trace_len = self.trace_len();
        if let Some(trace) = &trace {
            check("the trace of the convolution", images * trace_len, trace.len())?;
        }
        let mut start = vec![T::default(); self.lanes];
        if let Some(bias) = bias {
            start[..bias.len()].copy_from_slice(bias);
        }
        let weights = self.panels(weight);
        let blocks = images.div_ceil(BLOCK);
        let traces: Vec<Option<&mut [u8]>> = match trace {
            Some(trace) if trace_len > 0 => trace.chunks_mut(BLOCK * trace_len).map(Some).collect(),
            _ => (0..blocks).map(|_| None).collect(),
        };
        let outputs: Vec<&mut [T]> = output.chunks_mut(BLOCK * self.output_len()).collect();
        let inputs: Vec<&[T]> = input.chunks(BLOCK * self.image_len()).collect();
        inputs.into_par_iter().zip(outputs).zip(traces).for_each(|((inputs, outputs), mut traces)| {
            let mut scratch = Scratch::new(self);
            let images = inputs.chunks_exact(self.image_len());
            for (index, (image, output)) in
                images.zip(outputs.chunks_exact_mut(self.output_len())).enumerate()
            {
                let trace = traces.as_mut().map(|all| &mut all[index * trace_len..][..trace_len]);
                self.forward_image(image, &weights, &start, output, trace, &mut scratch);
            }
        });
        Ok(())
    }

    fn forward_image<T: Real>(
        &self,
        image: &[T],
        weights: &[T],
        start: &[T],
        output: &mut [T],
        trace: Option<&mut [u8]>,
        scratch: &mut Scratch<T>,
    ) {
        self.frame_image(image, &mut scratch.frame);
        correlate(self.isa, &scratch.frame, &self.places, &self.runs, weights, start, &mut scratch.sums);
        let outputs = self.config.outputs;
        let trace = trace.unwrap_or(&mut scratch.trace);
        let [_, rows, columns] = self.output();
        let last = Frame { channels: self.lanes, height: rows, width: columns };
        let values = match self.config.activation {
            Activation::None => &scratch.sums,
            Activation::Relu => {
                for (sums, trace) in
                    scratch.sums.chunks_exact_mut(self.lanes).zip(trace.chunks_exact_mut(outputs))
                {
                    for (sum, trace) in sums.iter_mut().zip(trace) {
                        // A NaN is neither: it stays, and so does its gradient.
                        *trace = if *sum <= T::default() { NONE } else { 0 };
                        *sum = if *sum < T::default() { T::default() } else { *sum };
                    }
                }
                &scratch.sums
            }
            Activation::ReluMaxPool => {
                let pool = Pool {
                    sums: &scratch.sums,
                    width: self.sums[1],
                    lanes: self.lanes,
                    outputs,
                    shape: [rows, columns],
                    maxima: &mut scratch.maxima,
                    trace,
                };
                // SAFETY: the instruction set is there, and the body has no other conditions.
                unsafe { run_on(self.isa, pool) };
                &scratch.maxima
            }
        };
        from_frame(&last, values, [rows, columns], [0, 0], output);
    }

    /// An image into its frame; the border is left as it is.
    pub(super) fn frame_image<T: Real>(&self, image: &[T], frame: &mut [T]) {
        let [_, height, width] = self.config.image;
        into_frame(image, [height, width], &self.frame, self.config.padding, frame);
    }

    /// Weights `[o, c, y, x]` as panels `[o / LANES][y, x, c][LANES]`, with zeros behind the last output.
    fn panels<T: Real>(&self, weight: &[T]) -> Vec<T> {
        let [outputs, channels, height, width] = self.weight();
        let inner = channels * height * width;
        let mut panels = vec![T::default(); self.lanes * inner];
        for o in 0..outputs {
            let panel = &mut panels[o / LANES * LANES * inner..][..LANES * inner];
            for c in 0..channels {
                for k in 0..height * width {
                    panel[(k * channels + c) * LANES + o % LANES] =
                        weight[(o * channels + c) * height * width + k];
                }
            }
        }
        panels
    }
}

/// Room for one image at a time.
struct Scratch<T> {
    frame: Vec<T>,
    sums: Vec<T>,
    maxima: Vec<T>,
    trace: Vec<u8>,
}

impl<T: Real> Scratch<T> {
    fn new(layer: &Convolution) -> Self {
        let [_, rows, columns] = layer.output();
        let pooled = layer.config.activation == Activation::ReluMaxPool;
        Self {
            frame: vec![T::default(); layer.frame.len()],
            sums: vec![T::default(); layer.places.len() * layer.lanes],
            maxima: vec![T::default(); if pooled { rows * columns * layer.lanes } else { 0 }],
            trace: vec![NONE; layer.trace_len()],
        }
    }
}

/// ReLU and the maximum of each window, and which of its four it was.
struct Pool<'a, T> {
    sums: &'a [T],
    width: usize,
    lanes: usize,
    outputs: usize,
    shape: [usize; 2],
    maxima: &'a mut [T],
    trace: &'a mut [u8],
}

impl<T: Real> Body for Pool<'_, T> {
    type Output = ();

    /// # Safety
    /// Those of `FMA`.
    #[inline(always)]
    unsafe fn run<const FMA: bool>(self) {
        let [rows, columns] = self.shape;
        let windows = (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column)));
        let results = self.maxima.chunks_exact_mut(self.lanes).zip(self.trace.chunks_exact_mut(self.outputs));
        for ((row, column), (maxima, trace)) in windows.zip(results) {
            let first = 2 * row * self.width + 2 * column;
            let [a, b, c, d] = [first, first + 1, first + self.width, first + self.width + 1]
                .map(|place| &self.sums[place * self.lanes..][..self.outputs]);
            let maxima = &mut maxima[..self.outputs];
            for lane in 0..self.outputs {
                let (mut largest, mut which) = (a[lane], 0);
                for (candidate, place) in [(b[lane], 1), (c[lane], 2), (d[lane], 3)] {
                    // The first of equals; a NaN stays.
                    let larger = candidate > largest || candidate.is_nan();
                    largest = if larger { candidate } else { largest };
                    which = if larger { place } else { which };
                }
                trace[lane] = if largest <= T::default() { NONE } else { which };
                maxima[lane] = if largest < T::default() { T::default() } else { largest };
            }
        }
    }
}
