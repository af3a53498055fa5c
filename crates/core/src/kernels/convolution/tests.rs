//! Convolutions against their definition, differences, and themselves on other threads.

use super::{Activation, Convolution, ConvolutionConfig, ConvolutionGradients, ConvolutionPass};
use crate::error::Error;
use crate::kernels::cases;
use crate::kernels::isa::Isa;
use crate::random::Stream;

fn values(n: usize, seed: u64) -> Vec<f64> {
    let mut stream = Stream::new(seed, "convolution", 0, 0);
    (0..n).map(|_| 2.0 * stream.uniform() - 1.0).collect()
}

fn single(values: &[f64]) -> Vec<f32> {
    values.iter().map(|&value| value as f32).collect()
}

/// Row by row as the definition reads, with zeros wherever a window leaves the image.
fn plain(config: &ConvolutionConfig, input: &[f64], weight: &[f64], bias: &[f64]) -> Vec<f64> {
    let ConvolutionConfig { image: [channels, height, width], outputs, kernel, stride, padding, .. } =
        *config;
    let size = |axis: usize| (config.image[axis + 1] + 2 * padding[axis] - kernel[axis]) / stride[axis] + 1;
    let (rows, columns) = (size(0), size(1));
    let mut found = Vec::new();
    for image in input.chunks(channels * height * width) {
        let sum = |o: usize, row: usize, column: usize| {
            let mut sum = bias[o];
            for c in 0..channels {
                for (ky, kx) in (0..kernel[0]).flat_map(|ky| (0..kernel[1]).map(move |kx| (ky, kx))) {
                    let y = (row * stride[0] + ky).wrapping_sub(padding[0]);
                    let x = (column * stride[1] + kx).wrapping_sub(padding[1]);
                    if y < height && x < width {
                        let weight = weight[((o * channels + c) * kernel[0] + ky) * kernel[1] + kx];
                        sum += weight * image[(c * height + y) * width + x];
                    }
                }
            }
            sum
        };
        for o in 0..outputs {
            match config.activation {
                Activation::ReluMaxPool => {
                    for (row, column) in (0..rows / 2).flat_map(|row| (0..columns / 2).map(move |c| (row, c)))
                    {
                        let [y, x] = [2 * row, 2 * column];
                        let window = [sum(o, y, x), sum(o, y, x + 1), sum(o, y + 1, x), sum(o, y + 1, x + 1)];
                        found.push(window.into_iter().fold(0.0, f64::max));
                    }
                }
                activation => {
                    for (row, column) in (0..rows).flat_map(|row| (0..columns).map(move |c| (row, c))) {
                        let sum = sum(o, row, column);
                        found.push(if activation == Activation::Relu { sum.max(0.0) } else { sum });
                    }
                }
            }
        }
    }
    found
}

/// Shapes with few and many channels, tails in every axis, strides, and more padding than kernel.
fn shapes() -> Vec<ConvolutionConfig> {
    let mut shapes = Vec::new();
    for (image, outputs, kernel, stride, padding) in [
        ([1, 6, 7], 3, [3, 3], [1, 1], [1, 1]),
        ([2, 5, 5], 17, [2, 3], [1, 2], [0, 1]),
        ([3, 9, 8], 5, [3, 2], [2, 3], [2, 1]),
        ([12, 6, 6], 19, [3, 3], [1, 1], [1, 1]),
        ([33, 5, 4], 16, [3, 3], [1, 1], [1, 1]),
        ([40, 4, 4], 8, [1, 1], [1, 1], [0, 0]),
        ([1, 3, 3], 2, [1, 1], [1, 1], [2, 2]),
        ([50, 5, 5], 4, [2, 2], [2, 1], [1, 3]),
    ] {
        for activation in [Activation::None, Activation::Relu, Activation::ReluMaxPool] {
            shapes.push(ConvolutionConfig {
                stride,
                padding,
                activation,
                ..ConvolutionConfig::new(image, outputs, kernel)
            });
        }
    }
    shapes
}

struct Case {
    layer: Convolution,
    input: Vec<f64>,
    weight: Vec<f64>,
    bias: Vec<f64>,
    upstream: Vec<f64>,
}

fn case(config: &ConvolutionConfig, images: usize, seed: u64) -> Case {
    let layer = config.build().unwrap();
    Case {
        input: values(images * layer.image_len(), seed),
        weight: values(layer.weight().iter().product(), seed + 1),
        bias: values(config.outputs, seed + 2),
        upstream: values(images * layer.output_len(), seed + 3),
        layer,
    }
}

/// Output, trace, and the gradients of input, weights and bias.
type All<T> = (Vec<T>, Vec<u8>, [Vec<T>; 3]);

fn run<T: crate::kernels::real::Real>(
    layer: &Convolution,
    [input, weight, bias, upstream]: [&[T]; 4],
) -> All<T> {
    let images = input.len() / layer.image_len();
    let mut output = vec![T::from_f64(7.0); upstream.len()];
    let mut trace = vec![9; images * layer.trace_len()];
    layer.forward(input, weight, Some(bias), &mut output, Some(&mut trace)).unwrap();
    let [mut of_input, mut of_weight, mut of_bias] =
        [input.len(), weight.len(), bias.len()].map(|len| vec![T::from_f64(7.0); len]);
    let gradients = ConvolutionGradients {
        input: Some(&mut of_input),
        weight: Some(&mut of_weight),
        bias: Some(&mut of_bias),
    };
    layer.backward(ConvolutionPass { input, weight, trace: &trace, upstream }, gradients).unwrap();
    (output, trace, [of_input, of_weight, of_bias])
}

fn double(case: &Case) -> All<f64> {
    run(&case.layer, [&case.input, &case.weight, &case.bias, &case.upstream])
}

#[test]
#[cfg_attr(miri, ignore = "sums of whole images are slow there")]
fn outputs_are_those_of_the_definition() {
    for (seed, config) in shapes().iter().enumerate() {
        let case = case(config, 3, seed as u64);
        let wanted = plain(config, &case.input, &case.weight, &case.bias);
        let (found, ..) = double(&case);
        assert_eq!(found.len(), wanted.len(), "{config:?}");
        for (found, wanted) in found.iter().zip(&wanted) {
            // Sums of at most 300 products below 1.
            assert!((found - wanted).abs() < 1e-12, "{config:?}: {found} for {wanted}");
        }
        let mut silent = vec![0.0; found.len()];
        case.layer.forward(&case.input, &case.weight, Some(&case.bias), &mut silent, None).unwrap();
        assert_eq!(silent, found, "the trace changes nothing");
    }
}

#[test]
#[cfg_attr(miri, ignore = "differences of every number are slow there")]
fn gradients_are_central_differences() {
    for (seed, config) in shapes().iter().enumerate() {
        let case = case(config, 2, 100 + seed as u64);
        let (.., gradients) = double(&case);
        let value = |input: &[f64], weight: &[f64], bias: &[f64]| {
            let outputs = plain(config, input, weight, bias);
            outputs.iter().zip(&case.upstream).map(|(output, upstream)| output * upstream).sum::<f64>()
        };
        let arrays = [&case.input, &case.weight, &case.bias];
        for (which, gradient) in gradients.iter().enumerate() {
            assert_eq!(gradient.len(), arrays[which].len());
            // Every place of a small array, some of a large one.
            for at in (0..gradient.len()).step_by(1 + gradient.len() / 60) {
                let moved = |step: f64| {
                    let mut moved = arrays.map(Clone::clone);
                    moved[which][at] += step;
                    value(&moved[0], &moved[1], &moved[2])
                };
                // The output is linear but for the kinks, which a step this small rarely meets.
                let wanted = (moved(1e-6) - moved(-1e-6)) / 2e-6;
                assert!(
                    (gradient[at] - wanted).abs() < 1e-6,
                    "{config:?} {which} {at}: {} {wanted}",
                    gradient[at]
                );
            }
        }
    }
}

#[test]
#[cfg_attr(miri, ignore = "sums of whole images are slow there")]
fn single_precision_is_near_double_on_every_instruction_set() {
    for isa in Isa::available() {
        for (seed, config) in shapes().iter().enumerate() {
            let case = case(config, 3, 200 + seed as u64);
            let (wanted, _, gradients) = double(&case);
            let [input, weight, bias, upstream] =
                [&case.input, &case.weight, &case.bias, &case.upstream].map(|values| single(values));
            let layer = Convolution { isa, ..case.layer.clone() };
            let (found, _, found_gradients) = run(&layer, [&input, &weight, &bias, &upstream]);
            let pairs = [(wanted, found)].into_iter().chain(gradients.into_iter().zip(found_gradients));
            for (wanted, found) in pairs {
                let size = wanted.iter().fold(1.0_f64, |size, value| size.max(value.abs()));
                for (wanted, found) in wanted.iter().zip(found) {
                    // A few hundred roundings of 6e-8, of random sign.
                    assert!((f64::from(found) - wanted).abs() < 5e-6 * size, "{config:?} {isa:?}");
                }
            }
        }
    }
}

#[test]
#[cfg_attr(miri, ignore = "many threads are slow there")]
fn threads_change_no_bit_and_a_batch_is_its_images() {
    for config in shapes() {
        let case = case(&config, 21, 7);
        let arrays = [&case.input, &case.weight, &case.bias, &case.upstream].map(|values| single(values));
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| run(&case.layer, std::array::from_fn(|i| &arrays[i][..])))
        };
        let first = run(1);
        for threads in [2, 3, 7] {
            assert!(run(threads) == first, "{config:?} on {threads} threads");
        }
        let (image, output) = (case.layer.image_len(), case.layer.output_len());
        let mut alone = vec![0.0_f32; output];
        case.layer.forward(&arrays[0][20 * image..], &arrays[1], Some(&arrays[2]), &mut alone, None).unwrap();
        assert_eq!(alone, first.0[20 * output..]);
    }
}

#[test]
#[cfg_attr(miri, ignore = "sums of whole images are slow there")]
fn gradients_that_are_not_wanted_change_nothing() {
    for config in shapes() {
        let case = case(&config, 3, 9);
        let (_, trace, [_, of_weight, of_bias]) = double(&case);
        let pass = ConvolutionPass {
            input: &case.input,
            weight: &case.weight,
            trace: &trace,
            upstream: &case.upstream,
        };
        let (mut weight, mut bias) = (vec![0.0; of_weight.len()], vec![0.0; of_bias.len()]);
        let wanted = ConvolutionGradients { input: None, weight: Some(&mut weight), bias: Some(&mut bias) };
        case.layer.backward(pass, wanted).unwrap();
        assert_eq!((weight, bias), (of_weight, of_bias));
    }
}

#[test]
fn a_nan_comes_through_and_ties_go_to_the_first() {
    let config = ConvolutionConfig {
        activation: Activation::ReluMaxPool,
        ..ConvolutionConfig::new([1, 2, 4], 1, [1, 1])
    };
    let layer = config.build().unwrap();
    let nan = f32::NAN;
    for place in [0, 1, 4, 5] {
        let mut input = [1.0, 2.0, 3.0, 3.0, 0.5, 0.0, 3.0, 3.0];
        input[place] = nan;
        let (output, trace, [of_input, ..]) = run(&layer, [&input, &[1.0], &[0.0], &[10.0, 20.0]]);
        assert!(output[0].is_nan() && output[1] == 3.0);
        assert_eq!(trace, [[0, 1, 9, 9, 2, 3][place], 0]);
        assert_eq!(of_input[place], 10.0);
        assert_eq!([of_input[2], of_input[3], of_input[6], of_input[7]], [20.0, 0.0, 0.0, 0.0]);
    }
}

#[test]
fn an_empty_batch_has_no_outputs_and_gradients_of_zero() {
    for config in cases(shapes()) {
        let case = case(&config, 0, 3);
        let (output, _, [input, weight, bias]) = double(&case);
        assert!(output.is_empty() && input.is_empty());
        assert!(weight.iter().chain(&bias).all(|&value| value == 0.0));
    }
}

#[test]
fn shapes_that_do_not_fit_are_refused() {
    let good = ConvolutionConfig::new([2, 4, 4], 3, [3, 3]);
    let refused = |config: ConvolutionConfig| match config.build() {
        Err(Error::OutOfRange { argument, .. }) => argument,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(ConvolutionConfig { image: [0, 4, 4], ..good.clone() }), "channels");
    assert_eq!(refused(ConvolutionConfig { outputs: 0, ..good.clone() }), "outputs");
    assert_eq!(refused(ConvolutionConfig { image: [2, 4, 0], ..good.clone() }), "image");
    assert_eq!(refused(ConvolutionConfig { stride: [1, 0], ..good.clone() }), "stride");
    assert_eq!(refused(ConvolutionConfig { kernel: [0, 3], ..good.clone() }), "kernel");
    assert_eq!(refused(ConvolutionConfig { kernel: [3, 5], ..good.clone() }), "kernel");
    assert_eq!(refused(ConvolutionConfig { padding: [usize::MAX, 0], ..good.clone() }), "padding");
    let large = ConvolutionConfig { image: [2, 1 << 20, 1 << 20], ..good.clone() };
    assert_eq!(refused(large), "values of an image");
    let deep = ConvolutionConfig { outputs: 1 << 27, ..good.clone() };
    assert_eq!(refused(deep), "values of the weights");
    let wide =
        ConvolutionConfig { image: [1, 1 << 12, 1 << 12], kernel: [1, 1], outputs: 1 << 10, ..good.clone() };
    assert_eq!(refused(wide), "values of an output");
    let narrow = ConvolutionConfig { kernel: [4, 3], activation: Activation::ReluMaxPool, ..good.clone() };
    assert_eq!(refused(narrow), "outputs under a maximum");

    let layer = ConvolutionConfig { activation: Activation::Relu, ..good }.build().unwrap();
    let shape = |outcome: crate::Result<()>| match outcome {
        Err(Error::Shape { what, expected, got }) => (what, expected, got),
        other => panic!("{other:?}"),
    };
    let (input, weight, bias) = ([0.0_f32; 64], [0.0_f32; 54], [0.0_f32; 3]);
    let forward = |input: &[f32], weight: &[f32], bias: &[f32], output: usize, trace: usize| {
        let (mut output, mut trace) = (vec![0.0; output], vec![0; trace]);
        layer.forward(input, weight, Some(bias), &mut output, Some(&mut trace))
    };
    forward(&input, &weight, &bias, 24, 24).unwrap();
    let what = "the input of the convolution";
    assert_eq!(shape(forward(&input[1..], &weight, &bias, 24, 24)), (what, 32, 63));
    let what = "the weights of the convolution";
    assert_eq!(shape(forward(&input, &weight[1..], &bias, 24, 24)), (what, 54, 53));
    let what = "the bias of the convolution";
    assert_eq!(shape(forward(&input, &weight, &bias[1..], 24, 24)), (what, 3, 2));
    let what = "the output of the convolution";
    assert_eq!(shape(forward(&input, &weight, &bias, 23, 24)), (what, 24, 23));
    let what = "the trace of the convolution";
    assert_eq!(shape(forward(&input, &weight, &bias, 24, 25)), (what, 24, 25));

    let backward = |trace: usize, upstream: usize, lens: [usize; 3]| {
        let (trace, upstream) = (vec![0; trace], vec![0.0; upstream]);
        let [mut input_gradient, mut weight_gradient, mut bias_gradient] = lens.map(|len| vec![0.0; len]);
        let pass = ConvolutionPass { input: &input, weight: &weight, trace: &trace, upstream: &upstream };
        let gradients = ConvolutionGradients {
            input: Some(&mut input_gradient),
            weight: Some(&mut weight_gradient),
            bias: Some(&mut bias_gradient),
        };
        layer.backward(pass, gradients)
    };
    backward(24, 24, [64, 54, 3]).unwrap();
    assert_eq!(shape(backward(23, 24, [64, 54, 3])), ("the trace of the convolution", 24, 23));
    assert_eq!(shape(backward(24, 23, [64, 54, 3])), ("the upstream gradient", 24, 23));
    assert_eq!(shape(backward(24, 24, [65, 54, 3])), ("the gradient of the input", 64, 65));
    assert_eq!(shape(backward(24, 24, [64, 53, 3])), ("the gradient of the weights", 54, 53));
    assert_eq!(shape(backward(24, 24, [64, 54, 4])), ("the gradient of the bias", 3, 4));
}
