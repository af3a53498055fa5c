//! The shape of a convolution, checked once.

use super::geometry::{Frame, Run};
use super::tiles::LANES;
use crate::error::{Error, Result, check_shape as check};
use crate::kernels::isa::Isa;

/// Values of an image in its frame, or of the weights, at most.
const LARGEST: usize = 1 << 28;

/// Images whose sums one thread makes; the number of blocks depends on the batch alone.
pub(super) const BLOCK: usize = 8;

/// What follows the sums of a convolution.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Activation {
    /// Nothing.
    #[default]
    None,
    /// `max(0, y)`; NaN stays.
    Relu,
    /// `max(0, y)`, then the maximum of each window of 2x2, two apart. An odd row or column at the end is left out.
    ReluMaxPool,
}

/// The shape of a convolution: [`build`](Self::build) checks it.
///
/// # Examples
/// ```
/// use candor::kernels::convolution::{Activation, ConvolutionConfig};
///
/// // 3x3 on images of one channel with 28x28 pixels, then ReLU and max-pooling.
/// let config = ConvolutionConfig {
///     padding: [1, 1],
///     activation: Activation::ReluMaxPool,
///     ..ConvolutionConfig::new([1, 28, 28], 32, [3, 3])
/// };
/// assert_eq!(config.build()?.output(), [32, 14, 14]);
/// # Ok::<(), candor::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConvolutionConfig {
    /// Channels, height and width of an image.
    pub image: [usize; 3],
    /// Output channels.
    pub outputs: usize,
    /// Height and width of the kernel.
    pub kernel: [usize; 2],
    /// Rows and columns from one window to the next.
    pub stride: [usize; 2],
    /// Rows of zeros above and below, columns of zeros left and right.
    pub padding: [usize; 2],
    /// What follows the sums.
    pub activation: Activation,
}

impl ConvolutionConfig {
    /// Stride 1, no padding, no activation.
    pub fn new(image: [usize; 3], outputs: usize, kernel: [usize; 2]) -> Self {
        Self { image, outputs, kernel, stride: [1, 1], padding: [0, 0], activation: Activation::None }
    }

    /// The convolution, ready for batches.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for a channel, kernel or stride of 0, a kernel beyond the padded image, pooling of less
    /// than 2x2 outputs, and more than 2^28 values in an image or the weights.
    pub fn build(&self) -> Result<Convolution> {
        let Self { image: [channels, height, width], outputs, kernel, stride, padding, activation } = *self;
        let within = |argument, got: usize, min: usize, max: usize, hint| match (min..=max).contains(&got) {
            true => Ok(()),
            false => {
                let [got, min, max] = [got, min, max].map(|value| value as f64);
                Err(Error::OutOfRange { argument, got, min, max, hint })
            }
        };
        for (argument, got) in [("channels", channels), ("outputs", outputs)] {
            within(argument, got, 1, LARGEST, "")?;
        }
        for axis in 0..2 {
            within("stride", stride[axis], 1, LARGEST, "")?;
            within("padding", padding[axis], 0, LARGEST, "")?;
            within("image", self.image[axis + 1], 1, LARGEST, "")?;
            let padded = self.image[axis + 1] + 2 * padding[axis];
            within("kernel", kernel[axis], 1, padded, ": it must fit into the padded image")?;
        }
        let frame = Frame { channels, height: height + 2 * padding[0], width: width + 2 * padding[1] };
        let size = |sizes: &[usize]| sizes.iter().fold(1_usize, |size, &axis| size.saturating_mul(axis));
        let hint = ": that is how many values fit";
        within("values of an image", size(&[channels, frame.height, frame.width]), 1, LARGEST, hint)?;
        within("values of the weights", size(&[channels, outputs, kernel[0], kernel[1]]), 1, LARGEST, hint)?;
        let sums = [0, 1].map(|axis| {
            let padded = self.image[axis + 1] + 2 * padding[axis];
            (padded - kernel[axis]) / stride[axis] + 1
        });
        within("values of an output", size(&[outputs, sums[0], sums[1]]), 1, LARGEST, hint)?;
        if activation == Activation::ReluMaxPool {
            within("outputs under a maximum", sums[0].min(sums[1]), 2, LARGEST, ": 2x2 windows need two")?;
        }
        let runs = frame.runs(kernel);
        Ok(Convolution {
            offsets: runs.iter().flat_map(|run| run.from..run.from + run.len).collect(),
            places: frame.places(sums, stride),
            runs,
            frame,
            sums,
            lanes: outputs.next_multiple_of(LANES),
            isa: Isa::current(),
            config: self.clone(),
        })
    }
}

/// A convolution of images of one shape; made by [`ConvolutionConfig::build`].
///
/// Sums are of the numbers' own precision, in an order that depends on the shape alone.
#[derive(Debug, Clone)]
pub struct Convolution {
    pub(super) config: ConvolutionConfig,
    /// An image inside.
    pub(super) frame: Frame,
    /// Rows and columns of the sums, before any maximum.
    pub(super) sums: [usize; 2],
    /// Where the window of each sum begins in the frame.
    pub(super) places: Vec<usize>,
    /// What a window sees.
    pub(super) runs: Vec<Run>,
    /// The same, value by value.
    pub(super) offsets: Vec<usize>,
    /// Output channels, up to whole tiles.
    pub(super) lanes: usize,
    pub(super) isa: Isa,
}

impl Convolution {
    /// Channels, height and width of an image.
    pub fn input(&self) -> [usize; 3] {
        self.config.image
    }

    /// Channels, height and width of an output.
    pub fn output(&self) -> [usize; 3] {
        let [rows, columns] = match self.config.activation {
            Activation::ReluMaxPool => self.sums.map(|n| n / 2),
            Activation::None | Activation::Relu => self.sums,
        };
        [self.config.outputs, rows, columns]
    }

    /// What a forward pass must remember for the backward pass beside its input: so many bytes an image.
    pub fn trace_len(&self) -> usize {
        match self.config.activation {
            Activation::None => 0,
            Activation::Relu | Activation::ReluMaxPool => self.output().iter().product(),
        }
    }

    /// Shape of the weights: `[outputs, channels, kernel height, kernel width]`.
    pub fn weight(&self) -> [usize; 4] {
        let [height, width] = self.config.kernel;
        [self.config.outputs, self.config.image[0], height, width]
    }

    pub(super) fn image_len(&self) -> usize {
        self.config.image.iter().product()
    }

    pub(super) fn output_len(&self) -> usize {
        self.output().iter().product()
    }

    /// The number of images that an input has.
    pub(super) fn images(&self, what: &'static str, values: usize) -> Result<usize> {
        let images = values / self.image_len();
        check(what, images * self.image_len(), values)?;
        Ok(images)
    }

    pub(super) fn check_weight(&self, weight: usize, bias: Option<usize>) -> Result<()> {
        check("the weights of the convolution", self.weight().iter().product(), weight)?;
        check("the bias of the convolution", self.config.outputs, bias.unwrap_or(self.config.outputs))
    }
}
