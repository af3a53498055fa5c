//! Dense layers, layer normalisation and attention against Burn's own operations, forward and backward.

use burn::tensor::activation::{gelu, relu, softmax};
use burn::tensor::module::{layer_norm as stock_norm, linear};
use burn::tensor::{DType, Device, Tensor, TensorData};
use candor::kernels::dense::Activation;
use candor::random::Stream;
use candor_burn::{Error, attention, dense, layer_norm};

const TOLERANCES: [(DType, f64); 2] = [(DType::F32, 2e-5), (DType::F64, 1e-12)];

fn normals<const D: usize>(stream: &mut Stream, shape: [usize; D], dtype: DType) -> Tensor<D> {
    let values: Vec<f64> = (0..shape.iter().product()).map(|_| stream.normal()).collect();
    Tensor::from_data(TensorData::new(values, shape), (&Device::flex().autodiff(), dtype)).require_grad()
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    tensor.cast(DType::F64).into_data().try_into_vec::<f64>().unwrap()
}

fn near(what: &str, ours: &[Vec<f64>], theirs: &[Vec<f64>], tolerance: f64) {
    for (which, (ours, theirs)) in ours.iter().zip(theirs).enumerate() {
        assert_eq!(ours.len(), theirs.len(), "{what}, array {which}");
        let size = theirs.iter().fold(1.0_f64, |size, value| size.max(value.abs()));
        for (a, b) in ours.iter().zip(theirs) {
            assert!((a - b).abs() <= tolerance * size, "{what}, array {which}: {a} for {b}");
        }
    }
}

#[test]
fn a_dense_layer_is_linear_and_activation() {
    let mut stream = Stream::new(81, "layers", 0, 0);
    for (activation, with_bias) in [
        (Activation::None, true),
        (Activation::None, false),
        (Activation::Relu, true),
        (Activation::Gelu, true),
        (Activation::Gelu, false),
    ] {
        for (dtype, tolerance) in TOLERANCES {
            let x = normals(&mut stream, [3, 5, 7], dtype);
            let weight = normals(&mut stream, [7, 18], dtype);
            let bias = with_bias.then(|| normals(&mut stream, [18], dtype));
            let factor = normals(&mut stream, [3, 5, 18], dtype);
            let [ours, theirs] = [true, false].map(|ours| {
                let y = match (ours, activation) {
                    (true, _) => dense(x.clone(), weight.clone(), bias.clone(), activation).unwrap(),
                    (_, Activation::Relu) => relu(linear(x.clone(), weight.clone(), bias.clone())),
                    (_, Activation::Gelu) => gelu(linear(x.clone(), weight.clone(), bias.clone())),
                    _ => linear(x.clone(), weight.clone(), bias.clone()),
                };
                let gradients = (y.clone() * factor.clone()).sum().backward();
                let of_bias = bias.as_ref().map(|bias| values(bias.grad(&gradients).unwrap()));
                [
                    values(y),
                    values(x.grad(&gradients).unwrap()),
                    values(weight.grad(&gradients).unwrap()),
                    of_bias.unwrap_or_default(),
                ]
            });
            near(&format!("{activation:?} {dtype:?}"), &ours, &theirs, tolerance);
        }
    }
}

#[test]
fn normalised_rows_are_those_of_burn() {
    let mut stream = Stream::new(82, "layers", 0, 0);
    for (dtype, tolerance) in TOLERANCES {
        let x = normals(&mut stream, [2, 70, 19], dtype);
        let [scale, shift] = [(); 2].map(|()| normals(&mut stream, [19], dtype));
        let factor = normals(&mut stream, [2, 70, 19], dtype);
        let [ours, theirs] = [true, false].map(|ours| {
            let y = match ours {
                true => layer_norm(x.clone(), scale.clone(), shift.clone(), 1e-3).unwrap(),
                false => stock_norm(x.clone(), scale.clone(), Some(shift.clone()), 1e-3),
            };
            let gradients = (y.clone() * factor.clone()).sum().backward();
            let [a, b] = [&scale, &shift].map(|array| values(array.grad(&gradients).unwrap()));
            [values(y), values(x.grad(&gradients).unwrap()), a, b]
        });
        near(&format!("{dtype:?}"), &ours, &theirs, tolerance);
    }
}

/// Heads made by moving their numbers together.
fn stock_attention(packed: Tensor<3>, heads: usize) -> Tensor<3> {
    let [n, tokens, found] = packed.dims();
    let head = found / 3 / heads;
    let parts = packed.reshape([n, tokens, 3, heads, head]).permute([2, 0, 3, 1, 4]);
    let [queries, keys, values] = [0, 1, 2].map(|part| parts.clone().narrow(0, part, 1).squeeze_dim::<4>(0));
    let shares = softmax(queries.matmul(keys.swap_dims(2, 3)) / (head as f64).sqrt(), 3);
    shares.matmul(values).swap_dims(1, 2).reshape([n, tokens, found / 3])
}

#[test]
fn attention_is_softmax_of_products() {
    let mut stream = Stream::new(83, "layers", 0, 0);
    for ([n, tokens, width], heads) in [([1, 1, 2], 1), ([3, 7, 12], 3), ([2, 18, 8], 8), ([2, 33, 32], 2)] {
        for (dtype, tolerance) in TOLERANCES {
            let packed = normals(&mut stream, [n, tokens, 3 * width], dtype);
            let factor = normals(&mut stream, [n, tokens, width], dtype);
            let [ours, theirs] = [true, false].map(|ours| {
                let y = match ours {
                    true => attention(packed.clone(), heads).unwrap(),
                    false => stock_attention(packed.clone(), heads),
                };
                let gradients = (y.clone() * factor.clone()).sum().backward();
                [values(y), values(packed.grad(&gradients).unwrap())]
            });
            near(&format!("{tokens} tokens, {heads} heads, {dtype:?}"), &ours, &theirs, tolerance);
        }
    }
}

#[test]
fn views_are_read_as_what_they_show_and_only_what_is_tracked_has_a_gradient() {
    let mut stream = Stream::new(84, "layers", 0, 0);
    let turned = normals(&mut stream, [6, 4, 5], DType::F32).swap_dims(0, 2).detach();
    let weight = normals(&mut stream, [8, 6], DType::F32).swap_dims(0, 1);
    let y = dense(turned.clone(), weight.clone(), None, Activation::Relu).unwrap();
    let theirs = relu(linear(turned.clone(), weight.clone(), None));
    near("turned", &[values(y.clone())], &[values(theirs)], 1e-5);
    let leaf = normals(&mut stream, [6, 8], DType::F32);
    let gradients = dense(turned.clone(), leaf.clone(), None, Activation::Gelu).unwrap().sum().backward();
    assert!(turned.grad(&gradients).is_none() && leaf.grad(&gradients).is_some());
    // Without autodiff it is a function like any other.
    assert_eq!(dense(turned.inner(), leaf.inner(), None, Activation::Gelu).unwrap().dims(), [5, 4, 8]);
}

#[test]
fn shapes_that_do_not_fit_are_refused() {
    let device = Device::flex();
    let zeros = |width: usize| Tensor::<3>::zeros([2, 3, width], &device);
    let shape = |error: Error| match error {
        Error::Loss(candor::Error::Shape { expected, got, .. }) => (expected, got),
        other => panic!("{other:?}"),
    };
    let weight = || Tensor::<2>::zeros([4, 5], &device);
    assert_eq!(shape(dense(zeros(3), weight(), None, Activation::None).unwrap_err()), (4, 3));
    let bias = Some(Tensor::zeros([4], &device));
    assert_eq!(shape(dense(zeros(4), weight(), bias, Activation::None).unwrap_err()), (5, 4));
    let ones = |width| Tensor::<1>::ones([width], &device);
    assert_eq!(shape(layer_norm(zeros(4), ones(3), ones(4), 1e-5).unwrap_err()), (4, 3));
    assert_eq!(shape(layer_norm(zeros(4), ones(4), ones(5), 1e-5).unwrap_err()), (4, 5));
    assert!(layer_norm(zeros(4), ones(4), ones(4), f64::NAN).is_err());
    assert_eq!(shape(attention(zeros(7), 1).unwrap_err()), (9, 7));
    let refused = attention(zeros(9), 2).unwrap_err();
    assert!(matches!(refused, Error::Loss(candor::Error::OutOfRange { argument: "heads", .. })), "{refused}");
}
