//! A vision transformer (Dosovitskiy et al., ICLR 2021, arXiv:2010.11929): attention over the patches of an image.
//!
//! Each patch becomes a token by one linear layer, plus a learned position; encoder blocks normalise before attention
//! and before a perceptron with GELU, four times as wide, and add what comes out; the mean of the normalised tokens goes
//! to the classes (Beyer, Zhai & Kolesnikov 2022, arXiv:2205.01580, on the mean in place of a class token).

use burn::module::{Module, Param};
use burn::nn::{LayerNorm, Linear};
use burn::tensor::{Device, Tensor};
use candor::kernels::dense::Activation;
use candor_burn::{attention, layer_norm};

use super::apply::apply;
use super::init::Layers;
use super::{ImageModel, ImageShape};
use crate::config::ModelConfig;
use crate::error::{Error, Result};

/// Width of a block's perceptron, in widths of the tokens.
const WIDER: usize = 4;

/// What keeps a variance from zero, in PyTorch and Burn.
const EPSILON: f64 = 1e-5;

/// Standard deviation of the first positions.
const POSITION_SD: f64 = 0.02;

/// Patches, blocks of attention and perceptrons, their mean, a linear output.
#[derive(Module, Debug)]
pub struct Vit {
    patches: Linear,
    positions: Param<Tensor<2>>,
    blocks: Vec<Block>,
    norm: LayerNorm,
    head: Linear,
    patch: usize,
}

/// Attention and a perceptron, each added to what it reads.
#[derive(Module, Debug)]
struct Block {
    norm1: LayerNorm,
    packed: Linear,
    mixed: Linear,
    norm2: LayerNorm,
    wide: Linear,
    narrow: Linear,
    heads: usize,
}

/// What the layer gives for tokens, by Candor's operation.
///
/// # Panics
/// If the tokens do not have the layer's width, as Burn's own layer.
fn normalise(layer: &LayerNorm, tokens: Tensor<3>) -> Tensor<3> {
    let scale = layer.gamma.val();
    let shift = layer.beta.as_ref().map_or_else(|| scale.zeros_like(), |shift| shift.val());
    match layer_norm(tokens, scale, shift, EPSILON) {
        Ok(output) => output,
        Err(error) => panic!("tokens that do not fit the normalisation: {error}"),
    }
}

impl Block {
    fn new(init: &mut Layers<'_>, width: usize, heads: usize) -> Self {
        Self {
            norm1: init.layer_norm(width),
            packed: init.glorot(width, 3 * width),
            mixed: init.linear(width, width),
            norm2: init.layer_norm(width),
            wide: init.linear(width, WIDER * width),
            narrow: init.linear(WIDER * width, width),
            heads,
        }
    }

    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let packed = apply(&self.packed, normalise(&self.norm1, x.clone()), Activation::None);
        let seen = match attention(packed, self.heads) {
            Ok(seen) => seen,
            Err(error) => panic!("tokens that do not fit the heads: {error}"),
        };
        let x = x + apply(&self.mixed, seen, Activation::None);
        let wide = apply(&self.wide, normalise(&self.norm2, x.clone()), Activation::Gelu);
        x + apply(&self.narrow, wide, Activation::None)
    }
}

impl ImageModel for Vit {
    fn build(config: &ModelConfig, shape: &ImageShape, seed: u64, device: &Device) -> Result<Self> {
        let [channels, height, width] = shape.input;
        let patch = config.patch.unwrap_or(4);
        if patch == 0 || !height.is_multiple_of(patch) || !width.is_multiple_of(patch) {
            let sides: Vec<String> = (1..=height.min(width))
                .filter(|side| height.is_multiple_of(*side) && width.is_multiple_of(*side))
                .map(|side| side.to_string())
                .collect();
            let accepted = format!("must divide images of {height}x{width}: {}", sides.join(", "));
            return Err(Error::config("model.patch", patch, accepted));
        }
        let [hidden] = config.hidden[..] else {
            let got = format!("{:?}", config.hidden);
            return Err(Error::config("model.hidden", got, "vit has one width, that of its tokens"));
        };
        let heads = config.heads.unwrap_or(4);
        if heads == 0 || !hidden.is_multiple_of(heads) {
            let accepted = format!("must divide the width of the tokens, {hidden}");
            return Err(Error::config("model.heads", heads, accepted));
        }
        let mut init = Layers::new(seed, device);
        Ok(Self {
            patches: init.linear(channels * patch * patch, hidden),
            positions: init.normal([(height / patch) * (width / patch), hidden], POSITION_SD),
            blocks: (0..config.depth.unwrap_or(4)).map(|_| Block::new(&mut init, hidden, heads)).collect(),
            norm: init.layer_norm(hidden),
            head: init.linear(hidden, shape.classes),
            patch,
        })
    }

    fn features(&self, images: Tensor<4>) -> Tensor<2> {
        let [n, channels, height, width] = images.dims();
        let (side, rows, columns) = (self.patch, height / self.patch, width / self.patch);
        let patches = images
            .reshape([n, channels, rows, side, columns, side])
            .permute([0, 2, 4, 1, 3, 5])
            .reshape([n, rows * columns, channels * side * side]);
        let tokens = apply(&self.patches, patches, Activation::None) + self.positions.val().unsqueeze();
        let tokens = self.blocks.iter().fold(tokens, |tokens, block| block.forward(tokens));
        normalise(&self.norm, tokens).mean_dim(1).squeeze_dim(1)
    }

    fn head(&self) -> &Linear {
        &self.head
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build(config: ModelConfig, input: [usize; 3]) -> Result<Vit> {
        Vit::build(&config, &ImageShape { input, classes: 10 }, 0, &Device::flex())
    }

    #[test]
    fn it_has_the_parameters_of_its_shape_and_takes_images_of_other_forms() {
        let config =
            ModelConfig { hidden: vec![256], depth: Some(2), heads: Some(4), ..ModelConfig::default() };
        let model = build(config, [3, 32, 32]).unwrap();
        // Of a block: 4·256² + 8·256² weights, 9·256 biases of linear layers, 4·256 of normalisations.
        let block = 12 * 256 * 256 + 9 * 256 + 4 * 256;
        assert_eq!(model.num_params(), 49 * 256 + 64 * 256 + 2 * block + 2 * 256 + 257 * 10);
        let logits = model.logits(Tensor::zeros([2, 3, 32, 32], &Device::flex()));
        assert_eq!(logits.dims(), [2, 10]);
        let config = ModelConfig { hidden: vec![12], patch: Some(2), ..ModelConfig::default() };
        let model = build(config, [1, 4, 6]).unwrap();
        assert_eq!(model.logits(Tensor::zeros([3, 1, 4, 6], &Device::flex())).dims(), [3, 10]);
    }

    #[test]
    fn a_token_is_a_patch() {
        let config = ModelConfig { hidden: vec![4], heads: Some(2), ..ModelConfig::default() };
        let model = build(ModelConfig { patch: Some(2), ..config.clone() }, [1, 4, 4]).unwrap();
        let device = Device::flex();
        // Positions aside, exchanging whole patches exchanges tokens, and their mean stays.
        let plain = Vit { positions: Param::from_tensor(Tensor::zeros([4, 4], &device)), ..model.clone() };
        let image: Vec<f32> = (0..16).map(|i| (i * i % 7) as f32).collect();
        let exchanged: Vec<f32> = (0..16).map(|i| image[(i + 8) % 16]).collect();
        let features = |model: &Vit, image: &[f32]| {
            let image = Tensor::<1>::from_floats(image, &device).reshape([1, 1, 4, 4]);
            model.features(image).into_data().try_into_vec::<f32>().unwrap()
        };
        let near = |a: &[f32], b: &[f32]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-5);
        assert!(near(&features(&plain, &image), &features(&plain, &exchanged)));
        assert!(!near(&features(&model, &image), &features(&model, &exchanged)));
        // Exchanging pixels across patches is something else.
        let mixed: Vec<f32> = (0..16).map(|i| image[(i + 2) % 16]).collect();
        assert!(!near(&features(&plain, &image), &features(&plain, &mixed)));
    }

    #[test]
    fn sizes_that_do_not_fit_are_refused() {
        let refused = |config: ModelConfig, input| build(config, input).unwrap_err().to_string();
        let config = ModelConfig::default;
        assert!(refused(config(), [1, 28, 30]).contains("1, 2"));
        assert!(refused(ModelConfig { patch: Some(0), ..config() }, [1, 8, 8]).contains("1, 2, 4, 8"));
        assert!(refused(ModelConfig { heads: Some(3), ..config() }, [1, 8, 8]).contains("128"));
        assert!(refused(ModelConfig { hidden: vec![8, 8], ..config() }, [1, 8, 8]).contains("one width"));
    }
}
