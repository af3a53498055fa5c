//! Runs a loss in every way that it can be called, and insists that all ways give the same bits.

use candor::kernels::isa::Isa;
use candor::kernels::storage::FusedStorage;
use candor::losses::{
    Batch, CrossEntropy, Loss, LossOptions, LossState, LossValue, reference, value_grad_on,
};
use candor::{Buffers, Result, Storage, Targets};

/// What one call gives.
#[derive(Debug, Clone)]
pub struct Outcome {
    pub value: LossValue,
    /// The weighted loss of each row, as stored.
    pub losses: Vec<f64>,
    pub gradient: Vec<f64>,
}

impl Outcome {
    /// Everything as bits, for comparisons that allow no rounding.
    pub fn bits(&self) -> Vec<u64> {
        value_bits(&self.value).into_iter().chain(bits(&self.losses)).chain(bits(&self.gradient)).collect()
    }
}

/// The bits of some numbers.
pub fn bits(values: &[f64]) -> Vec<u64> {
    values.iter().map(|v| v.to_bits()).collect()
}

fn value_bits(value: &LossValue) -> Vec<u64> {
    bits(&[
        value.loss,
        value.nll,
        value.accuracy,
        value.confidence,
        value.entropy,
        value.denominator,
        value.rows as f64,
        value.ignored as f64,
    ])
}

/// Calls a loss for the value only, with a gradient elsewhere and with the gradient in place.
///
/// Panics unless all three give the same bits, or the same error.
pub fn every_way<T: Storage>(
    logits: &[T],
    targets: &Targets<'_>,
    options: LossOptions<'_>,
    call: impl Fn(Batch<'_, T>) -> Result<LossValue>,
) -> Result<Outcome> {
    let untouched = T::from_f64(f64::NAN);
    let mut losses = [(); 3].map(|()| vec![untouched; targets.n_rows()]);
    let [forward_losses, apart_losses, place_losses] = &mut losses;
    let mut apart = vec![untouched; logits.len()];
    let mut place = logits.to_vec();
    let on = |buffers| Batch::new(buffers, targets).options(options);
    let forward = call(on(Buffers::Forward(logits)).losses(forward_losses));
    let with_gradient = call(on(Buffers::Gradient { logits, gradient: &mut apart }).losses(apart_losses));
    let in_place = call(on(Buffers::InPlace(&mut place)).losses(place_losses));
    let wide = |values: &[T]| -> Vec<f64> { values.iter().map(|v| v.to_f64()).collect() };
    match (forward, with_gradient, in_place) {
        (Ok(a), Ok(b), Ok(c)) => {
            assert_eq!(value_bits(&a), value_bits(&b), "value only and with a gradient: {a:?} {b:?}");
            assert_eq!(value_bits(&b), value_bits(&c), "out of place and in place: {b:?} {c:?}");
            let losses = losses.map(|losses| wide(&losses));
            assert_eq!(bits(&losses[0]), bits(&losses[1]), "row losses with and without a gradient");
            assert_eq!(bits(&losses[1]), bits(&losses[2]), "row losses out of place and in place");
            let (gradient, place) = (wide(&apart), wide(&place));
            assert_eq!(bits(&gradient), bits(&place), "gradient out of place and in place");
            let [losses, ..] = losses;
            Ok(Outcome { value: a, losses, gradient })
        }
        (Err(a), Err(b), Err(c)) => {
            // By their text: an error may carry a NaN, which equals nothing.
            assert_eq!(format!("{a:?}"), format!("{b:?}"), "errors with and without a gradient");
            assert_eq!(format!("{b:?}"), format!("{c:?}"), "errors out of place and in place");
            Err(a)
        }
        other => panic!("one way fails where another does not: {other:?}"),
    }
}

/// Softmax cross-entropy in double precision.
pub fn double(logits: &[f64], targets: &Targets<'_>, options: LossOptions<'_>) -> Result<Outcome> {
    every_way(logits, targets, options, |batch| CrossEntropy.value_grad_f64(batch, &mut LossState::default()))
}

/// The reference in double precision arithmetic on single-precision storage.
pub fn reference_single<T: Storage>(
    logits: &[T],
    targets: &Targets<'_>,
    options: LossOptions<'_>,
) -> Result<Outcome> {
    every_way(logits, targets, options, reference)
}

/// Softmax cross-entropy in single precision on one instruction set, stored in single or half precision.
pub fn single<T: FusedStorage>(
    isa: Isa,
    logits: &[T],
    targets: &Targets<'_>,
    options: LossOptions<'_>,
) -> Result<Outcome> {
    every_way(logits, targets, options, |batch| value_grad_on(isa, batch))
}
