//! The sparse product against dense products and central differences, forward and backward.

use std::sync::Arc;

use burn::tensor::{DType, Device, Tensor, TensorData};
use candor::graph::SparseMatrix;
use candor::random::Stream;
use candor_burn::sparse_product;

/// A random sparse matrix `[n, m]` and the same in full.
fn random(stream: &mut Stream, n: usize, m: usize) -> (Arc<SparseMatrix>, Vec<f64>) {
    let dense: Vec<f64> =
        (0..n * m).map(|_| if stream.bernoulli(0.3) { stream.normal() } else { 0.0 }).collect();
    let (mut offsets, mut columns, mut values) = (vec![0], Vec::new(), Vec::new());
    for row in dense.chunks_exact(m) {
        for (column, value) in row.iter().enumerate().filter(|(_, value)| **value != 0.0) {
            columns.push(column as u32);
            values.push(*value);
        }
        offsets.push(columns.len());
    }
    (Arc::new(SparseMatrix::new(m, offsets, columns, values).unwrap()), dense)
}

fn normals(stream: &mut Stream, n: usize) -> Vec<f64> {
    (0..n).map(|_| stream.normal()).collect()
}

fn tensor(values: &[f64], shape: [usize; 2], device: &Device) -> Tensor<2> {
    Tensor::from_data(TensorData::new(values.to_vec(), shape), (device, DType::F64)).require_grad()
}

fn values(tensor: Tensor<2>) -> Vec<f64> {
    tensor.into_data().try_into_vec::<f64>().unwrap()
}

#[test]
fn value_and_gradient_are_those_of_the_dense_product() {
    let device = Device::flex().autodiff();
    let mut stream = Stream::new(21, "sparse", 0, 0);
    for (n, m, width) in [(1, 1, 1), (5, 3, 4), (40, 70, 16), (90, 20, 33)] {
        let (sparse, dense) = random(&mut stream, n, m);
        let (x, weight) = (normals(&mut stream, m * width), normals(&mut stream, n * width));
        let full = tensor(&dense, [n, m], &device);
        let weight = tensor(&weight, [n, width], &device);
        let [ours, theirs] = [true, false].map(|ours| {
            let x = tensor(&x, [m, width], &device);
            let y = if ours {
                sparse_product(&sparse, x.clone()).unwrap()
            } else {
                full.clone().matmul(x.clone())
            };
            // Squared, so that the gradient depends on the product itself.
            let loss = (y.clone() * y.clone() * weight.clone()).sum();
            (values(y), values(x.grad(&loss.backward()).unwrap()))
        });
        for (a, b) in ours.0.iter().zip(&theirs.0).chain(ours.1.iter().zip(&theirs.1)) {
            assert!((a - b).abs() < 1e-12 * b.abs().max(1.0), "{n}x{m}, width {width}: {a} {b}");
        }
    }
}

#[test]
fn the_gradient_of_two_layers_is_that_of_central_differences() {
    let device = Device::flex().autodiff();
    let mut stream = Stream::new(22, "sparse", 0, 0);
    let (features, _) = random(&mut stream, 6, 5);
    let (step, _) = random(&mut stream, 6, 6);
    let weight = normals(&mut stream, 5 * 3);
    // Â·tanh(X·W), as in a graph net but without a kink.
    let loss = |weight: Tensor<2>| {
        let hidden = sparse_product(&features, weight).unwrap().tanh();
        let output = sparse_product(&step, hidden).unwrap();
        (output.clone() * output).sum()
    };
    let tracked = tensor(&weight, [5, 3], &device);
    let gradient = values(tracked.grad(&loss(tracked.clone()).backward()).unwrap());
    let h = 1e-6;
    for (i, got) in gradient.iter().enumerate() {
        let at = |change: f64| {
            let mut moved = weight.clone();
            moved[i] += change;
            loss(tensor(&moved, [5, 3], &device)).into_data().try_into_vec::<f64>().unwrap()[0]
        };
        let want = (at(h) - at(-h)) / (2.0 * h);
        // Truncation h² and rounding 1e-16/h of a value of order 10.
        assert!((got - want).abs() < 1e-7 * want.abs().max(1.0), "{i}: {got} {want}");
    }
}

#[test]
fn single_precision_untracked_and_transposed_tensors_are_taken() {
    let device = Device::flex();
    let a = Arc::new(SparseMatrix::new(2, vec![0, 1, 2], vec![1, 0], vec![2.0, 3.0]).unwrap());
    let x = Tensor::<2>::from_floats([[1.0, 5.0], [10.0, 50.0]], &device);
    let single = |y: Tensor<2>| y.into_data().try_into_vec::<f32>().unwrap();
    assert_eq!(single(sparse_product(&a, x.clone()).unwrap()), [20.0, 100.0, 3.0, 15.0]);
    assert_eq!(single(sparse_product(&a, x.transpose()).unwrap()), [10.0, 100.0, 3.0, 30.0]);
    let error = sparse_product(&a, Tensor::zeros([3, 2], &device)).unwrap_err().to_string();
    assert!(error.contains("sparse product has 3 elements, but 2 are needed"), "{error}");
}
