//! One sigmoid and its logarithms, without cancellation.

use super::softmax::ln_1p;
use crate::kernels::math::exp;

/// `σ(z)`, `σ(-z)` and their negative logarithms.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sigmoid {
    /// `σ(z)`.
    pub on: f64,
    /// `σ(-z) = 1 - σ(z)`.
    pub off: f64,
    /// `-ln σ(z)`, the loss of a class that is present.
    pub present: f64,
    /// `-ln σ(-z)`, the loss of a class that is absent.
    pub absent: f64,
}

impl Sigmoid {
    pub(super) fn new(z: f64) -> Self {
        let tail = exp(-z.abs());
        let log_tail = ln_1p(tail);
        let (near, far) = (1.0 / (1.0 + tail), tail / (1.0 + tail));
        let (on, off) = if z < 0.0 { (far, near) } else { (near, far) };
        Self { on, off, present: log_tail + (-z).max(0.0), absent: log_tail + z.max(0.0) }
    }

    /// `-t·ln σ(z) - (1-t)·ln σ(-z)`.
    pub(super) fn cross_entropy(&self, target: f64) -> f64 {
        target * self.present + (1.0 - target) * self.absent
    }

    /// `-σ ln σ(z) - (1-σ) ln σ(-z)`.
    pub(super) fn entropy(&self) -> f64 {
        self.on * self.present + self.off * self.absent
    }
}
