//! The reference: one row in double precision, as the formula reads. It handles masked classes and names errors.

use super::{RowBuffers, RowValue};
use crate::batch::Storage;
use crate::error::{Error, Result};
use crate::kernels::math;
use crate::targets::RowTarget;

/// One row in double precision arithmetic, written as the formula reads; any input.
///
/// `row` is only used to name the row in an error.
///
/// # Errors
/// [`Error::NonFiniteLogit`], [`Error::NoAllowedClass`], [`Error::MaskedTarget`].
pub fn reference_row<T: Storage>(
    row: usize,
    mut buffers: RowBuffers<'_, T>,
    target: RowTarget<'_>,
    class_weights: Option<&[f64]>,
    scale: f64,
) -> Result<RowValue> {
    let (allowed, max, predicted) = {
        let logits = buffers.logits();
        let mut max = f64::NEG_INFINITY;
        let mut predicted = 0;
        for (class, z) in logits.iter().enumerate() {
            let value = z.to_f64();
            if value.is_nan() || value == f64::INFINITY {
                return Err(Error::NonFiniteLogit { row, class, value });
            }
            if value > max {
                (max, predicted) = (value, class);
            }
        }
        if max == f64::NEG_INFINITY {
            return Err(Error::NoAllowedClass { row });
        }
        (target.allowed(logits), max, predicted)
    };
    let mut sum = 0.0;
    let mut target_sum = 0.0;
    let mut target_dot = 0.0;
    let mut nll_sum = 0.0;
    let mut nll_dot = 0.0;
    let mut entropy_dot = 0.0;
    for (class, z) in buffers.logits().iter().enumerate() {
        let explicit = target.explicit_mass(class);
        let value = z.to_f64();
        if value == f64::NEG_INFINITY {
            if explicit > 0.0 {
                return Err(Error::MaskedTarget { row, class });
            }
            continue;
        }
        let shifted = value - max;
        let weight = class_weights.map_or(1.0, |weights| weights[class]);
        let mass = target.mass(class, allowed) * weight;
        let exp = math::exp(shifted);
        sum += exp;
        entropy_dot += if exp == 0.0 { 0.0 } else { exp * shifted };
        target_sum += mass;
        // 0 times a huge distance stays 0.
        target_dot += if mass == 0.0 { 0.0 } else { mass * shifted };
        nll_sum += explicit;
        nll_dot += if explicit == 0.0 { 0.0 } else { explicit * shifted };
    }
    let log_sum = math::ln(sum);
    if !matches!(buffers, RowBuffers::Forward(_)) {
        for class in 0..buffers.logits().len() {
            let value = buffers.logits()[class].to_f64();
            let gradient = if value == f64::NEG_INFINITY {
                0.0
            } else {
                let weight = class_weights.map_or(1.0, |weights| weights[class]);
                let mass = target.mass(class, allowed) * weight;
                target_sum * (math::exp(value - max) / sum) - mass
            };
            buffers.set(class, gradient * scale);
        }
    }
    Ok(RowValue {
        loss: target_sum * log_sum - target_dot,
        nll: nll_sum * log_sum - nll_dot,
        correct: target.label() == Some(predicted),
        confidence: 1.0 / sum,
        entropy: log_sum - entropy_dot / sum,
    })
}
