//! Models of images, with PyTorch's initial weights drawn from the run's own streams.

pub(crate) mod apply;
mod convolve;
pub(crate) mod init;
mod lenet;
mod mlp;
mod resnet;
mod vit;

pub use lenet::LeNet;
pub use mlp::Mlp;
pub use resnet::ResNet;
pub use vit::Vit;

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::{Device, Tensor};
use candor::kernels::dense::Activation;

use crate::config::ModelConfig;
use crate::error::Result;

/// What a model must fit.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ImageShape {
    /// Channels, height, width.
    pub input: [usize; 3],
    /// Number of classes.
    pub classes: usize,
}

/// A model from images to logits.
pub trait ImageModel: Module + Clone {
    /// An untrained model.
    ///
    /// # Errors
    /// Images that are too small for it, or settings that it does not have.
    fn build(config: &ModelConfig, shape: &ImageShape, seed: u64, device: &Device) -> Result<Self>;

    /// What the last linear layer sees of images `[n, channels, height, width]`: `[n, features]`.
    fn features(&self, images: Tensor<4>) -> Tensor<2>;

    /// The last linear layer; the columns of its weights are the templates of the classes.
    fn head(&self) -> &Linear;

    /// Logits `[n, classes]` of images `[n, channels, height, width]`.
    fn logits(&self, images: Tensor<4>) -> Tensor<2> {
        apply::apply(self.head(), self.features(images), Activation::None)
    }
}
