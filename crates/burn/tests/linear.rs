//! The loss on a linear layer equals the layer followed by the loss, in value and in every gradient.

use burn::tensor::{Device, Int, Tensor, TensorData};
use candor::losses::{Reduction, WeightLayout};
use candor::random::Stream;
use candor_burn::{CrossEntropyLossConfig, Error, LinearCrossEntropyLossConfig};

struct Problem {
    rows: usize,
    width: usize,
    classes: usize,
    input: Vec<f32>,
    weight: Vec<f32>,
    bias: Vec<f32>,
    labels: Vec<i64>,
}

fn problem(stream: &mut Stream) -> Problem {
    let mut below = |n: u64| 1 + stream.below(n) as usize;
    let (rows, width, classes) = (below(40), below(20), 1 + below(60));
    let mut normal = |n: usize| (0..n).map(|_| stream.normal() as f32).collect::<Vec<f32>>();
    let (input, weight, bias) = (normal(rows * width), normal(width * classes), normal(classes));
    let labels = (0..rows).map(|_| stream.below(classes as u64) as i64).collect();
    Problem { rows, width, classes, input, weight, bias, labels }
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_into_vec::<f32>().unwrap()
}

fn close(what: &str, got: &[f32], want: &[f32]) {
    let size = want.iter().map(|v| v * v).sum::<f32>().sqrt().max(1e-6);
    let off = got.iter().zip(want).map(|(a, b)| (a - b).powi(2)).sum::<f32>().sqrt();
    assert!(got.len() == want.len() && off <= 1e-5 * size, "{what}: off by {off} of {size}");
}

#[test]
fn value_and_gradients_are_those_of_the_layer_and_then_the_loss() {
    let device = Device::flex().autodiff();
    let mut stream = Stream::new(21, "linear", 0, 0);
    for round in 0..30 {
        let p = problem(&mut stream);
        let (layout, with_bias) = (round % 2 == 0, round % 3 > 0);
        let reduction = if round % 5 == 0 { Reduction::Sum } else { Reduction::Mean };
        let leaf = |values: &[f32], shape: [usize; 2]| {
            Tensor::<2>::from_data(TensorData::new(values.to_vec(), shape), &device).require_grad()
        };
        let bias =
            || Tensor::<1>::from_data(TensorData::new(p.bias.clone(), [p.classes]), &device).require_grad();
        let labels = || Tensor::<1, Int>::from_data(TensorData::new(p.labels.clone(), [p.rows]), &device);
        let shape = if layout { [p.width, p.classes] } else { [p.classes, p.width] };
        let ignored =
            (round % 4 == 3 && p.labels.iter().any(|label| *label != p.labels[0])).then(|| p.labels[0]);

        let (input, weight, one) = (leaf(&p.input, [p.rows, p.width]), leaf(&p.weight, shape), bias());
        let output = LinearCrossEntropyLossConfig::new()
            .with_smoothing(Some(0.1))
            .with_reduction(reduction)
            .with_ignore_index(ignored)
            .with_layout(if layout { WeightLayout::ClassesLast } else { WeightLayout::ClassesFirst })
            // A few rows a chunk.
            .with_memory(Some(4 * p.classes * 3))
            .init()
            .unwrap()
            .forward(input.clone(), weight.clone(), with_bias.then(|| one.clone()), labels())
            .unwrap();
        let gradients = (output.loss.clone() * 2.0).backward();

        let (x, w, b) = (leaf(&p.input, [p.rows, p.width]), leaf(&p.weight, shape), bias());
        let product = x.clone().matmul(if layout { w.clone() } else { w.clone().transpose() });
        let logits = if with_bias { product + b.clone().unsqueeze() } else { product };
        let wanted = CrossEntropyLossConfig::new()
            .with_smoothing(Some(0.1))
            .with_reduction(reduction)
            .with_ignore_index(ignored)
            .init()
            .unwrap()
            .forward(logits, labels())
            .unwrap();
        close("value", &values(output.loss), &values(wanted.loss.clone()));
        assert_eq!(output.value.value.accuracy, wanted.value.accuracy);
        let theirs = (wanted.loss * 2.0).backward();
        close("input", &values(input.grad(&gradients).unwrap()), &values(x.grad(&theirs).unwrap()));
        close("weight", &values(weight.grad(&gradients).unwrap()), &values(w.grad(&theirs).unwrap()));
        if with_bias {
            close("bias", &values(one.grad(&gradients).unwrap()), &values(b.grad(&theirs).unwrap()));
        }
    }
}

#[test]
fn without_gradients_only_the_value_is_computed_and_batches_may_have_axes() {
    let device = Device::flex();
    let input = Tensor::<3>::from_floats([[[1.0, 0.0], [0.0, 1.0]], [[0.5, 0.5], [1.0, 1.0]]], &device);
    let weight = Tensor::<2>::from_floats([[1.0, -1.0, 0.0], [0.0, 2.0, 0.0]], &device);
    let labels = Tensor::<2, Int>::from_ints([[0, 1], [2, 1]], &device);
    let loss = LinearCrossEntropyLossConfig::new().init().unwrap();
    let whole = loss.forward(input.clone(), weight.clone(), None, labels.clone()).unwrap();
    let flat = loss.forward(input.reshape([4, 2]), weight, None, labels.reshape([4])).unwrap();
    assert_eq!(whole.value.value.loss, flat.value.value.loss);
    assert_eq!((whole.value.value.accuracy, whole.value.value.rows), (0.5, 4));
    assert_eq!(values(whole.loss)[0], whole.value.value.loss as f32);
}

#[test]
fn what_does_not_fit_is_refused() {
    let device = Device::flex();
    let (input, weight) = (Tensor::<2>::zeros([2, 3], &device), Tensor::<2>::zeros([3, 4], &device));
    let labels = |labels: [i32; 2]| Tensor::<1, Int>::from_ints(labels, &device);
    let loss = LinearCrossEntropyLossConfig::new().init().unwrap();
    let error =
        loss.forward(input.clone(), Tensor::zeros([4, 3], &device), None, labels([0, 1])).unwrap_err();
    assert!(error.to_string().contains("feature axis of the weight"), "{error}");
    let error = loss
        .forward(input.clone(), weight.clone(), Some(Tensor::zeros([3], &device)), labels([0, 1]))
        .unwrap_err();
    assert!(error.to_string().contains("bias"), "{error}");
    assert!(loss.forward(input.clone(), weight.clone(), None, labels([0, 4])).is_err());
    let three = Tensor::<1, Int>::from_ints([0, 1, 2], &device);
    assert!(matches!(loss.forward(input, weight, None, three), Err(Error::Shape { .. })));
    let none = LinearCrossEntropyLossConfig::new().with_reduction(Reduction::None).init();
    assert!(matches!(none, Err(Error::Reduction { .. })));
    assert!(LinearCrossEntropyLossConfig::new().with_smoothing(Some(1.5)).init().is_err());
}
