//! From the gradient of the outputs to those of images, weights and bias.

use rayon::prelude::*;

use super::forward::NONE;
use super::geometry::{Frame, Run};
use super::layer::{Activation, BLOCK, Convolution};
use super::layout::{from_frame, into_frame};
use super::tiles::{LANES, Lists, accumulate, correlate, sum_into};
use crate::error::{Result, check_shape as check};
use crate::kernels::real::Real;

/// Runs from this length on are worth a list of the outputs that have a gradient.
const LONG_RUN: usize = 32;

/// What the backward pass of a convolution reads.
#[derive(Debug, Clone, Copy)]
pub struct ConvolutionPass<'a, T> {
    /// The input of the forward pass.
    pub input: &'a [T],
    /// The weights of the forward pass.
    pub weight: &'a [T],
    /// What the forward pass noted.
    pub trace: &'a [u8],
    /// The gradient of the output.
    pub upstream: &'a [T],
}

/// Where the gradients go that are wanted; what is there is overwritten.
#[derive(Debug)]
pub struct ConvolutionGradients<'a, T> {
    /// Of the input.
    pub input: Option<&'a mut [T]>,
    /// Of the weights.
    pub weight: Option<&'a mut [T]>,
    /// Of the bias.
    pub bias: Option<&'a mut [T]>,
}

impl Convolution {
    /// The gradients of a batch. Those that are not wanted cost nothing.
    ///
    /// # Shapes
    /// As of [`forward`](Self::forward); `upstream` has the shape of its output.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) for an array of another size.
    ///
    /// # Examples
    /// ```
    /// use candor::kernels::convolution::{ConvolutionConfig, ConvolutionGradients, ConvolutionPass};
    ///
    /// let differences = ConvolutionConfig::new([1, 1, 3], 1, [1, 2]).build()?;
    /// let pass = ConvolutionPass {
    ///     input: &[1.0_f32, 4.0, 2.0],
    ///     weight: &[-1.0, 1.0],
    ///     trace: &[],
    ///     upstream: &[1.0, 0.0],
    /// };
    /// let (mut input, mut weight) = ([0.0; 3], [0.0; 2]);
    /// let wanted = ConvolutionGradients { input: Some(&mut input), weight: Some(&mut weight), bias: None };
    /// differences.backward(pass, wanted)?;
    /// assert_eq!((input, weight), ([-1.0, 1.0, 0.0], [1.0, 4.0]));
    /// # Ok::<(), candor::Error>(())
    /// ```
    pub fn backward<T: Real>(
        &self,
        pass: ConvolutionPass<'_, T>,
        gradients: ConvolutionGradients<'_, T>,
    ) -> Result<()> {
        let images = self.images("the input of the convolution", pass.input.len())?;
        let ConvolutionGradients { input, weight, bias } = gradients;
        self.check_weight(pass.weight.len(), None)?;
        check("the trace of the convolution", images * self.trace_len(), pass.trace.len())?;
        check("the upstream gradient", images * self.output_len(), pass.upstream.len())?;
        if let Some(input) = &input {
            check("the gradient of the input", pass.input.len(), input.len())?;
        }
        if let Some(weight) = &weight {
            check("the gradient of the weights", pass.weight.len(), weight.len())?;
        }
        if let Some(bias) = &bias {
            check("the gradient of the bias", self.config.outputs, bias.len())?;
        }
        let back = Back::new(self, pass.weight, input.is_some());
        let inputs: Vec<Option<&mut [T]>> = match input {
            Some(input) => input.chunks_mut(BLOCK * self.image_len()).map(Some).collect(),
            None => (0..images.div_ceil(BLOCK)).map(|_| None).collect(),
        };
        let sums: Vec<Sums<T>> = inputs
            .into_par_iter()
            .enumerate()
            .map(|(block, mut input)| {
                let mut sums = Sums::new(self, weight.is_some());
                let mut scratch = Scratch::new(&back);
                for (place, image) in (block * BLOCK..images.min((block + 1) * BLOCK)).enumerate() {
                    let part = ConvolutionPass {
                        input: piece(pass.input, self.image_len(), image),
                        trace: piece(pass.trace, self.trace_len(), image),
                        upstream: piece(pass.upstream, self.output_len(), image),
                        ..pass
                    };
                    let input =
                        input.as_mut().map(|all| &mut all[place * self.image_len()..][..self.image_len()]);
                    back.image(part, input, &mut sums, &mut scratch);
                }
                sums
            })
            .collect();
        let mut total = Sums::new(self, weight.is_some());
        for sums in &sums {
            add(&mut total.weight, &sums.weight);
            add(&mut total.bias, &sums.bias);
        }
        if let Some(bias) = bias {
            bias.copy_from_slice(&total.bias[..self.config.outputs]);
        }
        if let Some(weight) = weight {
            self.unpack(&total.weight, weight);
        }
        Ok(())
    }

    /// Whether few enough outputs have a gradient, and windows see long enough runs, for lists.
    fn lists(&self) -> bool {
        self.config.activation == Activation::ReluMaxPool && self.runs[0].len >= LONG_RUN
    }

    /// The gradient of the weights from the layout of its sums: `[o, y, x, c]` by lists, else `[y, x, c, lanes]`.
    fn unpack<T: Real>(&self, sums: &[T], weight: &mut [T]) {
        let [outputs, channels, height, width] = self.weight();
        let inner = self.offsets.len();
        for o in 0..outputs {
            for c in 0..channels {
                for k in 0..height * width {
                    let at = k * channels + c;
                    let from = if self.lists() { o * inner + at } else { at * self.lanes + o };
                    weight[(o * channels + c) * height * width + k] = sums[from];
                }
            }
        }
    }
}

fn piece<T>(all: &[T], len: usize, index: usize) -> &[T] {
    &all[index * len..][..len]
}

fn add<T: Real>(target: &mut [T], values: &[T]) {
    for (target, value) in target.iter_mut().zip(values) {
        *target += *value;
    }
}

/// What a block of images adds up.
struct Sums<T> {
    weight: Vec<T>,
    bias: Vec<T>,
}

impl<T: Real> Sums<T> {
    fn new(layer: &Convolution, weight: bool) -> Self {
        let width = if layer.lists() { layer.config.outputs } else { layer.lanes };
        Self {
            weight: vec![T::default(); if weight { layer.offsets.len() * width } else { 0 }],
            bias: vec![T::default(); layer.lanes],
        }
    }
}

/// How the gradient of the input is computed.
enum ToInput<T> {
    /// It is not wanted.
    No,
    /// From lists, by weights `[o, y, x, c]`.
    Lists(Vec<T>),
    /// As a convolution of the outputs' gradient, spread by the stride in a frame of its own, with the kernel turned
    /// round.
    Turned { frame: Frame, places: Vec<usize>, runs: Vec<Run>, panels: Vec<T>, lanes: usize },
}

/// A backward pass.
struct Back<'a, T> {
    layer: &'a Convolution,
    to_input: ToInput<T>,
    /// The outputs of an image with their channels last, in whole tiles.
    outputs: Frame,
    /// The sum that begins each window of a maximum, and how far its four sums lie from it.
    firsts: Vec<usize>,
    window: [usize; 4],
}

impl<'a, T: Real> Back<'a, T> {
    fn new(layer: &'a Convolution, weight: &[T], input: bool) -> Self {
        let [_, rows, columns] = layer.output();
        let width = layer.sums[1];
        let step = if layer.config.activation == Activation::ReluMaxPool { 2 } else { 1 };
        let to_input = match (input, layer.lists()) {
            (false, _) => ToInput::No,
            (true, true) => ToInput::Lists(by_output(layer, weight)),
            (true, false) => turned(layer, weight),
        };
        Self {
            layer,
            to_input,
            outputs: Frame { channels: layer.lanes, height: rows, width: columns },
            firsts: (0..rows)
                .flat_map(|row| (0..columns).map(move |column| step * (row * width + column)))
                .collect(),
            window: [0, 1, width, width + 1],
        }
    }

    fn image(
        &self,
        pass: ConvolutionPass<'_, T>,
        input: Option<&mut [T]>,
        sums: &mut Sums<T>,
        scratch: &mut Scratch<T>,
    ) {
        let layer = self.layer;
        let shape = [self.outputs.height, self.outputs.width];
        into_frame(pass.upstream, shape, &self.outputs, [0, 0], &mut scratch.upstream);
        self.cut(pass.trace, &mut scratch.upstream);
        scratch.bias.fill(T::default());
        for row in scratch.upstream.chunks_exact(layer.lanes) {
            add(&mut scratch.bias, row);
        }
        add(&mut sums.bias, &scratch.bias);
        if layer.lists() {
            self.list(pass.trace, scratch);
        } else {
            self.spread(pass.trace, scratch);
        }
        if !sums.weight.is_empty() {
            layer.frame_image(pass.input, &mut scratch.frame);
            self.weight(&mut sums.weight, scratch);
        }
        if let Some(input) = input {
            self.input(input, scratch);
        }
    }

    /// No gradient where the trace says so.
    fn cut(&self, trace: &[u8], upstream: &mut [T]) {
        let outputs = self.layer.config.outputs;
        for (row, trace) in upstream.chunks_exact_mut(self.layer.lanes).zip(trace.chunks_exact(outputs)) {
            for (value, trace) in row.iter_mut().zip(trace) {
                *value = if *trace == NONE { T::default() } else { *value };
            }
        }
    }

    /// Which sums have a gradient: by output channel, and by place.
    fn list(&self, trace: &[u8], scratch: &mut Scratch<T>) {
        let layer = self.layer;
        let (outputs, inner) = (layer.config.outputs, layer.offsets.len());
        let to_input = !matches!(self.to_input, ToInput::No);
        scratch.by_output.clear();
        scratch.by_place.clear();
        let rows = scratch.upstream.chunks_exact(layer.lanes).zip(trace.chunks_exact(outputs));
        for (first, (row, trace)) in self.firsts.iter().zip(rows) {
            for (o, (value, trace)) in row.iter().zip(trace).enumerate() {
                // A value that was cut is zero and enters no list.
                let sum = first + self.window[usize::from(trace & 3)];
                scratch.by_output.push(o, *value, layer.places[sum] as u32);
                if to_input {
                    scratch.by_place.push(sum, *value, (o * inner) as u32);
                }
            }
        }
    }

    /// The gradient of every sum.
    fn spread(&self, trace: &[u8], scratch: &mut Scratch<T>) {
        let lanes = self.layer.lanes;
        if self.layer.config.activation != Activation::ReluMaxPool {
            scratch.sums.copy_from_slice(&scratch.upstream);
            return;
        }
        let rows = scratch.upstream.chunks_exact(lanes).zip(trace.chunks_exact(self.layer.config.outputs));
        for (first, (row, trace)) in self.firsts.iter().zip(rows) {
            for (place, offset) in (0_u8..).zip(self.window) {
                let sums = &mut scratch.sums[(first + offset) * lanes..][..trace.len()];
                for ((sum, value), trace) in sums.iter_mut().zip(row).zip(trace) {
                    *sum = if *trace == place { *value } else { T::default() };
                }
            }
        }
    }

    fn weight(&self, weight: &mut [T], scratch: &mut Scratch<T>) {
        let layer = self.layer;
        if !layer.lists() {
            let (frame, rows) = (&scratch.frame, &scratch.sums);
            accumulate(layer.isa, frame, &layer.places, &layer.offsets, rows, layer.lanes, weight);
            return;
        }
        for (row, run) in layer.runs.iter().enumerate() {
            let to = |o| o * layer.offsets.len() + row * run.len;
            sum_into(layer.isa, &scratch.frame, run.from, run.len, &scratch.by_output, to, weight);
        }
    }

    fn input(&self, input: &mut [T], scratch: &mut Scratch<T>) {
        let layer = self.layer;
        let [_, height, width] = layer.config.image;
        match &self.to_input {
            ToInput::No => {}
            ToInput::Lists(weights) => {
                scratch.input.fill(T::default());
                for (row, run) in layer.runs.iter().enumerate() {
                    let to = |sum: usize| layer.places[sum] + run.from;
                    let from = row * run.len;
                    sum_into(layer.isa, weights, from, run.len, &scratch.by_place, to, &mut scratch.input);
                }
                from_frame(&layer.frame, &scratch.input, [height, width], layer.config.padding, input);
            }
            ToInput::Turned { frame, places, runs, panels, lanes } => {
                let start = vec![T::default(); *lanes];
                self.dilate(frame, scratch);
                correlate(layer.isa, &scratch.dilated, places, runs, panels, &start, &mut scratch.input);
                let frame = Frame { channels: *lanes, height, width };
                from_frame(&frame, &scratch.input, [height, width], [0, 0], input);
            }
        }
    }

    /// The gradients of the sums, by the stride apart, so that a kernel turned round sees what each pixel went into.
    fn dilate(&self, frame: &Frame, scratch: &mut Scratch<T>) {
        let Convolution { config, sums: [rows, columns], lanes, .. } = self.layer;
        let at = |sum: usize, axis: usize| {
            (sum * config.stride[axis] + config.kernel[axis] - 1).checked_sub(config.padding[axis])
        };
        for row in 0..*rows {
            // Beyond the frame are windows that see nothing but padding.
            let Some(to_row) = at(row, 0).filter(|row| *row < frame.height) else { continue };
            for column in 0..*columns {
                let Some(to_column) = at(column, 1).filter(|column| *column < frame.width) else { continue };
                let to = &mut scratch.dilated[frame.at(to_row, to_column)..][..*lanes];
                to.copy_from_slice(&scratch.sums[(row * columns + column) * lanes..][..*lanes]);
            }
        }
    }
}

/// Weights `[o, c, y, x]` as `[o, y, x, c]`.
fn by_output<T: Real>(layer: &Convolution, weight: &[T]) -> Vec<T> {
    let [outputs, channels, height, width] = layer.weight();
    let mut turned = vec![T::default(); weight.len()];
    for o in 0..outputs {
        for c in 0..channels {
            for k in 0..height * width {
                let plane = (o * channels + c) * height * width;
                turned[(o * height * width + k) * channels + c] = weight[plane + k];
            }
        }
    }
    turned
}

/// Weights `[o, c, y, x]` as panels `[c / LANES][y and x turned round, o][LANES]`, and what goes with them.
fn turned<T: Real>(layer: &Convolution, weight: &[T]) -> ToInput<T> {
    let [outputs, channels, height, width] = layer.weight();
    let [_, rows, columns] = layer.config.image;
    let frame = Frame { channels: layer.lanes, height: rows + height - 1, width: columns + width - 1 };
    let inner = height * width * layer.lanes;
    let lanes = channels.next_multiple_of(LANES);
    let mut panels = vec![T::default(); lanes * inner];
    for o in 0..outputs {
        for c in 0..channels {
            for k in 0..height * width {
                let opposite = height * width - 1 - k;
                let panel = &mut panels[c / LANES * LANES * inner..][..LANES * inner];
                panel[(opposite * layer.lanes + o) * LANES + c % LANES] =
                    weight[(o * channels + c) * height * width + k];
            }
        }
    }
    let places = frame.places([rows, columns], [1, 1]);
    let runs = frame.runs([height, width]);
    ToInput::Turned { frame, places, runs, panels, lanes }
}

/// Room for one image at a time.
struct Scratch<T> {
    frame: Vec<T>,
    upstream: Vec<T>,
    bias: Vec<T>,
    sums: Vec<T>,
    dilated: Vec<T>,
    input: Vec<T>,
    by_output: Lists<T>,
    by_place: Lists<T>,
}

impl<T: Real> Scratch<T> {
    fn new(back: &Back<'_, T>) -> Self {
        let layer = back.layer;
        let (windows, outputs, sums) = (back.firsts.len(), layer.config.outputs, layer.places.len());
        let zeros = |len: usize| vec![T::default(); len];
        let (dilated, input) = match &back.to_input {
            ToInput::No => (0, 0),
            ToInput::Lists(_) => (0, layer.frame.len()),
            ToInput::Turned { frame, places, lanes, .. } => (frame.len(), places.len() * lanes),
        };
        let lists = layer.lists();
        let places = if lists && input > 0 { sums } else { 0 };
        Self {
            frame: zeros(layer.frame.len()),
            upstream: zeros(back.outputs.len()),
            bias: zeros(layer.lanes),
            sums: zeros(if lists { 0 } else { sums * layer.lanes }),
            dilated: zeros(dilated),
            input: zeros(input),
            by_output: if lists { Lists::new(outputs, windows) } else { Lists::new(0, 0) },
            by_place: Lists::new(places, outputs),
        }
    }
}
