//! Runs a loss on one row, for the tests of the losses.

use super::{Batch, Loss};
use crate::batch::{Buffers, Labels};
use crate::error::Result;
use crate::targets::{Background, DenseRows, Targets};

/// Loss and gradient of one row with this label.
pub fn on_row(loss: &dyn Loss, logits: &[f64], label: i64) -> Result<(f64, Vec<f64>)> {
    let labels = [label];
    on_targets(loss, logits, &Targets::labels(Labels::new(&labels, logits.len())?))
}

/// Loss and gradient of one row with these targets.
pub fn on_targets(loss: &dyn Loss, logits: &[f64], targets: &Targets<'_>) -> Result<(f64, Vec<f64>)> {
    let mut gradient = vec![f64::NAN; logits.len()];
    let batch = Batch::new(Buffers::Gradient { logits, gradient: &mut gradient }, targets);
    let value = loss.value_grad_f64(batch, &mut loss.initial_state(logits.len()))?;
    Ok((value.loss, gradient))
}

/// Loss and gradient of one row with a teacher.
pub fn on_taught_row(
    loss: &dyn Loss,
    logits: &[f64],
    label: i64,
    teacher: &[f64],
) -> Result<(f64, Vec<f64>)> {
    let labels = [label];
    let targets = Targets::labels(Labels::new(&labels, logits.len())?);
    let mut gradient = vec![f64::NAN; logits.len()];
    let batch = Batch::new(Buffers::Gradient { logits, gradient: &mut gradient }, &targets)
        .teacher(DenseRows::F64(teacher));
    let value = loss.value_grad_f64(batch, &mut loss.initial_state(logits.len()))?;
    Ok((value.loss, gradient))
}

/// Insists that a loss takes labels only: smoothed and soft targets are refused by name.
pub fn assert_labels_only(loss: &dyn Loss) {
    let labels = [0];
    let smoothed = Targets::labels(Labels::new(&labels, 2).unwrap()).smoothed(0.1, Background::Uniform);
    let soft = Targets::distribution(DenseRows::F64(&[0.5, 0.5]), 2).unwrap();
    for targets in [smoothed, soft] {
        let error = on_targets(loss, &[1.0, 0.0], &targets).unwrap_err();
        assert!(matches!(error, crate::Error::TargetKind { .. }), "{error}");
        assert!(error.to_string().contains(loss.info().name), "{error}");
    }
}

/// Insists on a loss and a gradient worked by hand.
pub fn assert_close(got: (f64, Vec<f64>), loss: f64, gradient: &[f64]) {
    assert!((got.0 - loss).abs() <= 1e-12 * loss.abs().max(1.0), "loss {} instead of {loss}", got.0);
    assert_eq!(got.1.len(), gradient.len());
    for (g, want) in got.1.iter().zip(gradient) {
        assert!((g - want).abs() <= 1e-12 * want.abs().max(1.0), "{:?} instead of {gradient:?}", got.1);
    }
}
