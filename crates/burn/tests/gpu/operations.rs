//! The linear layer under its loss, layers and sparse products.

use std::sync::Arc;

use burn::tensor::{Device, Int, Tensor};
use candor::graph::SparseMatrix;
use candor::kernels::convolution::Activation;
use candor::kernels::dense;
use candor::random::Stream;
use candor_burn::{
    ConvolutionOptions, LinearCrossEntropyLossConfig, attention, convolution, dense as dense_layer,
    layer_norm, sparse_product,
};

use super::{adapter, close, close_to, leaf, values};

fn normals(stream: &mut Stream, n: usize) -> Vec<f32> {
    (0..n).map(|_| stream.normal() as f32).collect()
}

#[test]
fn the_linear_layer_with_its_loss() {
    let Some(adapter) = adapter() else { return };
    let mut stream = Stream::new(71, "gpu", 0, 0);
    let (rows, width, classes) = (7, 5, 11);
    let [input, weight, bias] = [rows * width, width * classes, classes].map(|n| normals(&mut stream, n));
    let [got, want] = [adapter, Device::flex().autodiff()].map(|device| {
        let x = leaf(&input, [rows, width], &device);
        let w = leaf(&weight, [width, classes], &device);
        let b = leaf(&bias, [classes], &device);
        let labels = Tensor::<1, Int>::from_ints([0, 10, 3, 3, 7, 1, 2], &device);
        let loss = LinearCrossEntropyLossConfig::new().with_smoothing(Some(0.1)).init().unwrap();
        let output = loss.forward(x.clone(), w.clone(), Some(b.clone()), labels).unwrap();
        let gradients = (output.loss.clone() * 3.0).backward();
        let loss = values(output.loss);
        (
            loss,
            [
                values(x.grad(&gradients).unwrap()),
                values(w.grad(&gradients).unwrap()),
                values(b.grad(&gradients).unwrap()),
            ],
        )
    });
    close("loss", &got.0, &want.0);
    for (name, (got, want)) in ["input", "weight", "bias"].into_iter().zip(got.1.iter().zip(&want.1)) {
        close(name, got, want);
    }
}

#[test]
fn convolutions() {
    let Some(adapter) = adapter() else { return };
    let mut stream = Stream::new(72, "gpu", 0, 0);
    for (round, activation) in
        [Activation::None, Activation::Relu, Activation::ReluMaxPool].into_iter().enumerate()
    {
        let (image, kernel) = ([2, 3, 7, 6], [4, 3, 3, 2]);
        let options = ConvolutionOptions { stride: [1 + round % 2, 1], padding: [1, round % 2], activation };
        let x = normals(&mut stream, image.iter().product());
        let w = normals(&mut stream, kernel.iter().product());
        let b = normals(&mut stream, 4);
        let [got, want] = [&adapter, &Device::flex().autodiff()].map(|device| {
            let (x, w, b) = (leaf(&x, image, device), leaf(&w, kernel, device), leaf(&b, [4], device));
            let bias = (round > 0).then(|| b.clone());
            let y = convolution(x.clone(), w.clone(), bias, options).unwrap();
            let gradients = (y.clone() * y.clone()).sum().backward();
            let of_bias = b.grad(&gradients).map_or(Vec::new(), values);
            [
                values(y.reshape([-1])),
                values(x.grad(&gradients).unwrap().reshape([-1])),
                values(w.grad(&gradients).unwrap().reshape([-1])),
                of_bias,
            ]
        });
        for (name, (got, want)) in
            ["output", "input", "weight", "bias"].into_iter().zip(got.iter().zip(&want))
        {
            close(&format!("{activation:?}, {name}"), got, want);
        }
        assert_eq!(got[3].is_empty(), round == 0);
    }
}

#[test]
fn a_block_of_a_transformer() {
    let Some(adapter) = adapter() else { return };
    let mut stream = Stream::new(74, "gpu", 0, 0);
    let shapes = [[2 * 5, 6], [6, 18], [6, 4], [1, 6], [1, 6], [1, 4]];
    let arrays = shapes.map(|[rows, columns]| normals(&mut stream, rows * columns));
    for activation in [dense::Activation::None, dense::Activation::Relu, dense::Activation::Gelu] {
        let [got, want] = [&adapter, &Device::flex().autodiff()].map(|device| {
            let leaves: [Tensor<2>; 6] = std::array::from_fn(|i| leaf(&arrays[i], shapes[i], device));
            let [x, packed, weight, scale, shift, bias] = leaves.clone();
            let [scale, shift, bias] = [scale, shift, bias].map(|array| array.squeeze_dim::<1>(0));
            let x = layer_norm(x.reshape([2, 5, 6]), scale, shift, 1e-5).unwrap();
            let packed = dense_layer(x, packed, None, dense::Activation::None).unwrap();
            let y = dense_layer(attention(packed, 3).unwrap(), weight, Some(bias), activation).unwrap();
            let gradients = (y.clone() * y.clone()).sum().backward();
            let of_leaves = leaves.map(|leaf| values(leaf.grad(&gradients).unwrap().reshape([-1])));
            (values(y.reshape([-1])), of_leaves)
        });
        // Burn's error function on a device has four to five digits in the slope of GELU.
        let share = if activation == dense::Activation::Gelu { 2e-4 } else { 1e-5 };
        close(&format!("{activation:?}, output"), &got.0, &want.0);
        for (which, (got, want)) in got.1.iter().zip(&want.1).enumerate() {
            close_to(&format!("{activation:?}, array {which}"), got, want, share);
        }
    }
}

#[test]
fn sparse_products() {
    let Some(adapter) = adapter() else { return };
    let matrix = SparseMatrix::new(4, vec![0, 2, 2, 5], vec![0, 3, 1, 2, 3], vec![1.5, -2.0, 0.25, 3.0, 1.0]);
    let matrix = Arc::new(matrix.unwrap());
    let mut stream = Stream::new(73, "gpu", 0, 0);
    let x = normals(&mut stream, 4 * 3);
    let [got, want] = [adapter, Device::flex().autodiff()].map(|device| {
        let x = leaf(&x, [4, 3], &device);
        let y = sparse_product(&matrix, x.clone()).unwrap();
        let gradient = x.grad(&(y.clone() * y.clone()).sum().backward()).unwrap();
        (values(y), values(gradient))
    });
    close("product", &got.0, &want.0);
    close("gradient", &got.1, &want.1);
}
