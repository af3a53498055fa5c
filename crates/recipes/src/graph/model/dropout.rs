//! Dropout whose masks come from streams of their own: the same run, step and place give the same mask.

use std::sync::Arc;

use burn::tensor::{Tensor, TensorData};
use candor::random::Stream;
use candor_burn::SharedMatrix;

use crate::error::Result;

/// Drops values with a probability and scales the others so that the mean stays.
///
/// Each use draws from the next stream of (seed, purpose, step of the training), so a resumed training drops the
/// same values as one that never stopped.
#[derive(Debug, Clone)]
pub struct Dropout {
    rate: f64,
    seed: u64,
    step: u64,
    uses: u64,
}

impl Dropout {
    /// Dropout in this step of a training.
    pub fn new(rate: f64, seed: u64, step: u64) -> Self {
        Self { rate, seed, step, uses: 0 }
    }

    /// No dropout, for predictions.
    pub fn none() -> Self {
        Self::new(0.0, 0, 0)
    }

    /// The factors of `n` values: 0 or 1/(1 - rate).
    fn factors(&mut self, n: usize) -> impl Iterator<Item = f64> + use<> {
        let mut stream = Stream::new(self.seed, "dropout", self.step, self.uses);
        self.uses += 1;
        let rate = self.rate;
        (0..n).map(move |_| if stream.bernoulli(rate) { 0.0 } else { 1.0 / (1.0 - rate) })
    }

    /// A sparse matrix, of which the values that are not 0 may be dropped; the others are 0 either way.
    ///
    /// # Errors
    /// None for values that are finite.
    pub fn sparse(&mut self, x: &SharedMatrix) -> Result<SharedMatrix> {
        if self.rate == 0.0 {
            return Ok(Arc::clone(x));
        }
        let factors = self.factors(x.values().len());
        let values = x.values().iter().zip(factors).map(|(value, factor)| value * factor).collect();
        Ok(Arc::new(x.with_values(values)?))
    }

    /// A dense tensor.
    pub fn dense(&mut self, x: Tensor<2>) -> Tensor<2> {
        if self.rate == 0.0 {
            return x;
        }
        let [n, width] = x.dims();
        let factors: Vec<f32> = self.factors(n * width).map(|factor| factor as f32).collect();
        let mask = Tensor::from_data(TensorData::new(factors, [n, width]), &x.device());
        x * mask
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    fn values(dropout: &mut Dropout) -> Vec<f32> {
        dropout.dense(Tensor::ones([200, 50], &Device::flex())).into_data().try_into_vec().unwrap()
    }

    #[test]
    fn the_share_is_dropped_and_the_mean_stays() {
        let dropped = values(&mut Dropout::new(0.25, 1, 0));
        let kept = dropped.iter().filter(|value| **value != 0.0).count();
        // Five standard errors of 10,000 draws.
        assert!((kept as f64 / 1e4 - 0.75).abs() < 5.0 * (0.1875_f64 / 1e4).sqrt(), "{kept}");
        assert!(dropped.iter().all(|value| *value == 0.0 || (value - 4.0 / 3.0).abs() < 1e-6));
        assert!(values(&mut Dropout::none()).iter().all(|value| *value == 1.0));
    }

    #[test]
    fn masks_depend_on_seed_step_and_place_alone() {
        let of = |seed, step| values(&mut Dropout::new(0.5, seed, step));
        assert_eq!(of(1, 2), of(1, 2));
        assert!(of(1, 2) != of(2, 2) && of(1, 2) != of(1, 3));
        let mut dropout = Dropout::new(0.5, 1, 2);
        assert_ne!(values(&mut dropout), values(&mut dropout));
    }
}
