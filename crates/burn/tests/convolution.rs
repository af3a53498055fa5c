//! The convolution against Burn's own operations one after another, forward and backward.

use burn::nn::pool::MaxPool2dConfig;
use burn::tensor::activation::relu;
use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{DType, Device, Tensor, TensorData};
use candor::kernels::convolution::Activation;
use candor::random::Stream;
use candor_burn::{ConvolutionOptions, Error, convolution};

fn normals<const D: usize>(
    stream: &mut Stream,
    shape: [usize; D],
    device: &Device,
    dtype: DType,
) -> Tensor<D> {
    let values: Vec<f64> = (0..shape.iter().product()).map(|_| stream.normal()).collect();
    Tensor::from_data(TensorData::new(values, shape), (device, dtype))
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    tensor.cast(DType::F64).into_data().try_into_vec::<f64>().unwrap()
}

/// Burn's operations one by one.
fn stock(
    input: Tensor<4>,
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
    options: ConvolutionOptions,
) -> Tensor<4> {
    let own = ConvOptions::new(options.stride, options.padding, [1, 1], 1);
    let y = conv2d(input, weight, bias, own);
    match options.activation {
        Activation::None => y,
        Activation::Relu => relu(y),
        _ => MaxPool2dConfig::new([2, 2]).with_strides([2, 2]).init().forward(relu(y)),
    }
}

#[test]
fn value_and_gradients_are_those_of_burn() {
    let device = Device::flex().autodiff();
    let mut stream = Stream::new(22, "convolution", 0, 0);
    let mut between = |low: usize, high: usize| low + stream.below((high - low + 1) as u64) as usize;
    for round in 0..40 {
        // Many channels every second time, for which another path of the backward pass is in charge.
        let channels = if round % 2 == 0 { between(1, 4) } else { between(16, 40) };
        let (images, outputs) = (between(1, 11), between(1, 20));
        let image = [images, channels, between(6, 11), between(6, 11)];
        let kernel = [outputs, channels, between(1, 4), between(1, 4)];
        let options = ConvolutionOptions {
            stride: [between(1, 2), between(1, 2)],
            padding: [between(0, 2), between(0, 2)],
            activation: [Activation::None, Activation::Relu, Activation::ReluMaxPool][round % 3],
        };
        let mut stream = Stream::new(23, "convolution", round as u64, 0);
        for dtype in [DType::F32, DType::F64] {
            let input = normals(&mut stream, image, &device, dtype).require_grad();
            let weight = normals(&mut stream, kernel, &device, dtype).require_grad();
            let bias =
                (round % 5 > 0).then(|| normals(&mut stream, [outputs], &device, dtype).require_grad());
            let size = stock(input.clone(), weight.clone(), bias.clone(), options).dims();
            let factor = normals(&mut stream, size, &device, dtype);
            let [ours, theirs] = [true, false].map(|ours| {
                let y = match ours {
                    true => convolution(input.clone(), weight.clone(), bias.clone(), options).unwrap(),
                    false => stock(input.clone(), weight.clone(), bias.clone(), options),
                };
                let gradients = (y.clone() * factor.clone()).sum().backward();
                let of_bias = bias.as_ref().map(|bias| values(bias.grad(&gradients).unwrap()));
                [
                    values(y),
                    values(input.grad(&gradients).unwrap()),
                    values(weight.grad(&gradients).unwrap()),
                    of_bias.unwrap_or_default(),
                ]
            });
            let tolerance = if dtype == DType::F32 { 1e-5 } else { 1e-13 };
            for (which, (ours, theirs)) in ours.iter().zip(&theirs).enumerate() {
                assert_eq!(ours.len(), theirs.len());
                let size = theirs.iter().fold(1.0_f64, |size, value| size.max(value.abs()));
                for (a, b) in ours.iter().zip(theirs) {
                    let place = format!("{image:?} by {kernel:?}, {options:?}, {dtype:?}, array {which}");
                    assert!((a - b).abs() <= tolerance * size, "{place}: {a} for {b}");
                }
            }
        }
    }
}

#[test]
fn views_are_read_as_what_they_show() {
    let device = Device::flex().autodiff();
    let mut stream = Stream::new(24, "convolution", 0, 0);
    let turned = normals(&mut stream, [6, 2, 3, 5], &device, DType::F32).swap_dims(0, 1).swap_dims(1, 3);
    let weight = normals(&mut stream, [3, 3, 5, 4], &device, DType::F32).swap_dims(1, 2).require_grad();
    let options = ConvolutionOptions { padding: [1, 2], ..ConvolutionOptions::default() };
    let ours = convolution(turned.clone(), weight.clone(), None, options).unwrap();
    let theirs = stock(turned, weight.clone(), None, options);
    // Backward from a view of the result, too.
    let [a, b] = [ours, theirs].map(|y| {
        let gradients = (y.clone().swap_dims(2, 3) * 0.5).sum().backward();
        [values(y), values(weight.grad(&gradients).unwrap())].concat()
    });
    assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-4), "{a:?} {b:?}");
}

#[test]
fn only_what_is_tracked_has_a_gradient() {
    let device = Device::flex().autodiff();
    let mut stream = Stream::new(25, "convolution", 0, 0);
    let input = normals(&mut stream, [2, 1, 5, 5], &device, DType::F32);
    let weight = normals(&mut stream, [3, 1, 3, 3], &device, DType::F32).require_grad();
    let y = convolution(input.clone(), weight.clone(), None, ConvolutionOptions::default()).unwrap();
    let gradients = y.sum().backward();
    assert!(input.grad(&gradients).is_none() && weight.grad(&gradients).is_some());
    // Without autodiff it is a function like any other.
    let (plain, weight) = (input.inner(), weight.inner());
    let y = convolution(plain, weight, None, ConvolutionOptions::default()).unwrap();
    assert_eq!(y.dims(), [2, 3, 3, 3]);
}

#[test]
fn shapes_that_do_not_fit_are_refused() {
    let device = Device::flex();
    let zeros = |shape: [usize; 4]| Tensor::<4>::zeros(shape, &device);
    let refused = |input, weight, bias: Option<Tensor<1>>| match convolution(
        zeros(input),
        zeros(weight),
        bias,
        ConvolutionOptions::default(),
    ) {
        Err(Error::Loss(error)) => error,
        other => panic!("{other:?}"),
    };
    let found = refused([1, 2, 4, 4], [3, 1, 3, 3], None);
    let what = "the channel axis of the weight";
    assert_eq!(found, candor::Error::Shape { what, expected: 2, got: 1 });
    let found = refused([1, 2, 4, 4], [3, 2, 3, 3], Some(Tensor::zeros([2], &device)));
    assert_eq!(found, candor::Error::Shape { what: "the bias of the convolution", expected: 3, got: 2 });
    let found = refused([1, 2, 4, 2], [3, 2, 3, 3], None);
    assert!(matches!(found, candor::Error::OutOfRange { argument: "kernel", .. }), "{found}");
}
