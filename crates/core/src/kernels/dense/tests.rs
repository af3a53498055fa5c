//! A layer against its definition, differences, and itself on other threads.

use super::{Activation, Dense, DenseGradients, DensePass};
use crate::error::Error;
use crate::kernels::isa::Isa;
use crate::kernels::real::Real;
use crate::random::Stream;

const ACTIVATIONS: [Activation; 3] = [Activation::None, Activation::Relu, Activation::Gelu];

/// Few rows, columns in pieces, rows in pieces with a smaller last one, blocks of what follows the sums.
const SHAPES: [[usize; 3]; 6] =
    [[1, 1, 1], [5, 7, 3], [3, 9, 300], [70, 33, 17], [1030, 4, 5], [130, 2, 300]];

fn values(n: usize, seed: u64) -> Vec<f64> {
    let mut stream = Stream::new(seed, "dense layer", 0, 0);
    (0..n).map(|_| 2.0 * stream.uniform() - 1.0).collect()
}

fn single(values: &[f64]) -> Vec<f32> {
    values.iter().map(|&value| value as f32).collect()
}

/// As the definition reads.
fn plain(activation: Activation, outputs: usize, [input, weight, bias]: [&[f64]; 3]) -> Vec<f64> {
    let inputs = weight.len() / outputs;
    let mut found = Vec::new();
    for row in input.chunks(inputs) {
        for o in 0..outputs {
            let sum = bias[o] + (0..inputs).map(|i| row[i] * weight[i * outputs + o]).sum::<f64>();
            found.push(match activation {
                Activation::None => sum,
                Activation::Relu => sum.max(0.0),
                Activation::Gelu => sum * 0.5 * libm::erfc(-sum / std::f64::consts::SQRT_2),
            });
        }
    }
    found
}

/// Output, and the gradients of input, weights and bias.
fn run<T: Real>(layer: &Dense, [input, weight, bias, upstream]: [&[T]; 4]) -> [Vec<T>; 4] {
    let seven = |len: usize| vec![T::from_f64(7.0); len];
    let mut output = seven(upstream.len());
    let mut slopes = seven(input.len() / layer.inputs * layer.slopes_len());
    layer.forward(input, weight, Some(bias), &mut output, Some(&mut slopes)).unwrap();
    let [mut of_input, mut of_weight, mut of_bias] = [input, weight, bias].map(|array| seven(array.len()));
    let gradients =
        DenseGradients { input: Some(&mut of_input), weight: Some(&mut of_weight), bias: Some(&mut of_bias) };
    layer.backward(DensePass { input, weight, slopes: &mut slopes, upstream }, gradients).unwrap();
    [output, of_input, of_weight, of_bias]
}

/// Input, weights, bias and upstream gradient.
fn arrays([n, inputs, outputs]: [usize; 3], seed: u64) -> [Vec<f64>; 4] {
    let sizes = [n * inputs, inputs * outputs, outputs, n * outputs];
    std::array::from_fn(|i| values(sizes[i], seed + i as u64))
}

#[test]
#[cfg_attr(miri, ignore = "differences of every number are slow there")]
fn outputs_are_those_of_the_definition_and_gradients_its_differences() {
    for (activation, shape) in ACTIVATIONS.into_iter().flat_map(|a| SHAPES.map(|shape| (a, shape))) {
        let [n, inputs, outputs] = shape;
        let layer = Dense::new(inputs, outputs, activation).unwrap();
        let all = arrays(shape, 1);
        let [output, gradients @ ..] = run(&layer, all.each_ref().map(Vec::as_slice));
        let [input, weight, bias, upstream] = &all;
        for (found, wanted) in output.iter().zip(plain(activation, outputs, [input, weight, bias])) {
            assert!((found - wanted).abs() < 1e-13, "{activation:?} {shape:?}: {found} for {wanted}");
        }
        let objective = |arrays: [&[f64]; 3]| -> f64 {
            plain(activation, outputs, arrays).iter().zip(upstream).map(|(a, b)| a * b).sum()
        };
        for (which, gradient) in gradients.iter().enumerate() {
            for at in (0..gradient.len()).step_by(gradient.len().div_ceil(7)) {
                let moved = |offset: f64| {
                    let mut moved = [input.clone(), weight.clone(), bias.clone()];
                    moved[which][at] += offset;
                    objective(moved.each_ref().map(Vec::as_slice))
                };
                let wanted = (moved(1e-6) - moved(-1e-6)) / 2e-6;
                let found = gradient[at];
                // Differences of sums of up to 5,000 terms.
                assert!((found - wanted).abs() < 1e-6, "{activation:?} {n} {which}: {found} for {wanted}");
            }
        }
    }
}

#[test]
#[cfg_attr(miri, ignore = "many products are slow there")]
fn single_precision_stays_near_on_every_instruction_set() {
    for (activation, shape) in ACTIVATIONS.into_iter().flat_map(|a| SHAPES.map(|shape| (a, shape))) {
        let layer = Dense::new(shape[1], shape[2], activation).unwrap();
        let all = arrays(shape, 20);
        let wanted = run(&layer, all.each_ref().map(Vec::as_slice));
        let rounded = all.each_ref().map(|array| single(array));
        for isa in Isa::available() {
            let found = run(&Dense { isa, ..layer }, rounded.each_ref().map(Vec::as_slice));
            for (found, wanted) in found.concat().into_iter().zip(wanted.concat()) {
                // Sums of up to 1,030 products below 1.
                assert!((f64::from(found) - wanted).abs() < 5e-5, "{isa:?} {activation:?}: {found} {wanted}");
            }
        }
    }
}

#[test]
#[cfg_attr(miri, ignore = "many threads are slow there")]
fn threads_change_no_bit() {
    for (activation, shape) in ACTIVATIONS.into_iter().flat_map(|a| SHAPES.map(|shape| (a, shape))) {
        let layer = Dense::new(shape[1], shape[2], activation).unwrap();
        let all = arrays(shape, 30).map(|array| single(&array));
        let whole = run(&layer, all.each_ref().map(Vec::as_slice));
        for threads in [1, 2, 3, 7] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            assert_eq!(pool.install(|| run(&layer, all.each_ref().map(Vec::as_slice))), whole);
        }
    }
}

#[test]
fn gradients_that_nobody_wants_are_left_out_and_a_layer_may_have_no_bias() {
    let layer = Dense::new(2, 2, Activation::Gelu).unwrap();
    let (input, weight) = ([1.0, -1.0], [1.0, 2.0, 3.0, 4.0]);
    let mut output = [0.0; 2];
    let mut slopes = [0.0; 2];
    layer.forward(&input, &weight, None, &mut output, Some(&mut slopes)).unwrap();
    let wanted = plain(Activation::Gelu, 2, [&input, &weight, &[0.0; 2]]);
    assert!(output.iter().zip(&wanted).all(|(a, b)| (a - b).abs() < 1e-14));
    let mut gradient = [0.0; 2];
    let pass = DensePass { input: &input, weight: &weight, slopes: &mut slopes, upstream: &[1.0, 0.0] };
    let gradients = DenseGradients { input: Some(&mut gradient), weight: None, bias: None };
    layer.backward(pass, gradients).unwrap();
    assert!((gradient[1] / gradient[0] - 3.0).abs() < 1e-12 && gradient[0] != 0.0);
    let mut kept = [f32::NAN, -1.0];
    let relu = Dense::new(1, 1, Activation::Relu).unwrap();
    relu.forward(&[f32::NAN, -1.0], &[1.0], None, &mut kept, None).unwrap();
    assert!(kept[0].is_nan() && kept[1] == 0.0);
}

#[test]
fn shapes_that_do_not_fit_are_refused() {
    for (inputs, outputs) in [(0, 1), (1, 0), (usize::MAX, 2), (1 << 15, 1 << 14)] {
        let refused = Dense::new(inputs, outputs, Activation::None);
        assert!(matches!(refused, Err(Error::OutOfRange { .. })), "{inputs} {outputs}");
    }
    let layer = Dense::new(2, 3, Activation::Relu).unwrap();
    let forward = |sizes: [usize; 5]| {
        let [input, weight, bias, output, slopes] = sizes.map(|size| vec![0.0_f32; size]);
        let (mut output, mut slopes) = (output, slopes);
        layer.forward(&input, &weight, Some(&bias), &mut output, Some(&mut slopes))
    };
    forward([4, 6, 3, 6, 6]).unwrap();
    forward([0, 6, 3, 0, 0]).unwrap();
    for sizes in [[5, 6, 3, 6, 6], [4, 5, 3, 6, 6], [4, 6, 2, 6, 6], [4, 6, 3, 5, 6], [4, 6, 3, 6, 5]] {
        assert!(matches!(forward(sizes), Err(Error::Shape { .. })), "{sizes:?}");
    }
    let backward = |sizes: [usize; 3]| {
        let [mut input, mut weight, mut bias] = sizes.map(|size| vec![0.0_f32; size]);
        let pass =
            DensePass { input: &[0.0; 4], weight: &[0.0; 6], slopes: &mut [0.0; 6], upstream: &[0.0; 6] };
        let gradients =
            DenseGradients { input: Some(&mut input), weight: Some(&mut weight), bias: Some(&mut bias) };
        layer.backward(pass, gradients)
    };
    backward([4, 6, 3]).unwrap();
    for sizes in [[5, 6, 3], [4, 5, 3], [4, 6, 2]] {
        assert!(matches!(backward(sizes), Err(Error::Shape { .. })), "{sizes:?}");
    }
}
