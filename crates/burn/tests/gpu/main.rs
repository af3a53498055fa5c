//! Losses and operations on a graphics adapter against the same on the CPU; a note and no failure where none is found.

mod losses;
mod operations;

use burn::tensor::{Device, Tensor, TensorData};

/// The first graphics adapter, without and with gradients; says so where there is none.
fn adapter() -> Option<Device> {
    candor_burn::device("wgpu").inspect_err(|error| eprintln!("skipped: {error}")).ok().map(Device::autodiff)
}

/// A leaf of the graph.
fn leaf<const D: usize>(values: &[f32], shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values.to_vec(), shape), device).require_grad()
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_into_vec::<f32>().unwrap()
}

/// Equal but for roundings of sums, by their size together.
fn close(what: &str, got: &[f32], want: &[f32]) {
    close_to(what, got, want, 1e-5);
}

/// Equal within a share of their size together.
fn close_to(what: &str, got: &[f32], want: &[f32], share: f64) {
    let norm = |values: &[f32]| values.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
    let apart: Vec<f32> = got.iter().zip(want).map(|(a, b)| a - b).collect();
    let equal = got.len() == want.len() && norm(&apart) <= share * norm(want);
    assert!(equal, "{what}: {got:?} and {want:?}");
}
