//! Whether a row of masses is in order, and its sum: what is asked of every dense target.

use super::isa::{Isa, VectorBody, run_vectors};
use super::vector::{LANES, PARTS, Vector, lanes_of};

/// Vectors of each of two sums in single precision before the sums move to double precision.
const STEPS: usize = 16;

/// The sum of masses, to 1e-6 of it; `None` if one is negative (-0.0 too), infinite or NaN.
pub(crate) fn sum_of_masses(masses: &[f32]) -> Option<f64> {
    // SAFETY: the instruction set in use is available.
    unsafe { run_vectors(Isa::current(), Sum(masses)) }
}

struct Sum<'a>(&'a [f32]);

impl VectorBody for Sum<'_> {
    type Output = Option<f64>;

    /// # Safety
    /// The CPU must have the instruction set of `V`.
    #[inline(always)]
    unsafe fn run<V: Vector>(self) -> Self::Output {
        // SAFETY: passed on to the caller.
        sum_in_vectors(unsafe { V::new(0.0) }, self.0)
    }
}

/// [`sum_of_masses`] inside a body; `proof` is any vector.
#[inline(always)]
pub(super) fn sum_in_vectors<V: Vector>(proof: V, masses: &[f32]) -> Option<f64> {
    let zero = proof.splat(0.0);
    let (steps, rest) = masses.as_chunks::<LANES>();
    let mut parts = [0.0; PARTS];
    // Signs and infinities are the largest bits.
    let (mut most, mut odd_most) = (zero, zero);
    for block in steps.chunks(2 * STEPS) {
        let (mut even, mut odd) = (zero, zero);
        let (pairs, single) = block.as_chunks::<2>();
        for [a, b] in pairs {
            let (a, b) = (proof.load(a), proof.load(b));
            even = even.plus(a);
            odd = odd.plus(b);
            most = most.larger_bits(a);
            odd_most = odd_most.larger_bits(b);
        }
        for step in single {
            let masses = proof.load(step);
            even = even.plus(masses);
            most = most.larger_bits(masses);
        }
        even.plus(odd).fold_into(&mut parts);
    }
    let infinite = f32::INFINITY.to_bits();
    let mut largest = rest.iter().fold(0, |most, mass| mass.to_bits().max(most));
    for bits in lanes_of(most.larger_bits(odd_most)) {
        largest = bits.to_bits().max(largest);
    }
    let rest: f64 = rest.iter().map(|mass| f64::from(*mass)).sum();
    (largest < infinite).then(|| parts.iter().sum::<f64>() + rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::cases;

    #[test]
    fn the_sum_is_that_of_double_precision_and_nothing_strange_passes() {
        for len in cases([40, 17, 5, 1000, 4099].into_iter().chain(0..70_usize)) {
            let masses: Vec<f32> = (0..len).map(|i| ((i * 7919) % 101) as f32 / 101.0).collect();
            let want: f64 = masses.iter().map(|mass| f64::from(*mass)).sum();
            let got = sum_of_masses(&masses).expect("ordinary masses");
            assert!((got - want).abs() <= 1e-6 * want, "{len}: {got}, want {want}");
            for bad in [-1e-45, -0.0, f32::NEG_INFINITY, f32::INFINITY, f32::NAN, -f32::NAN] {
                for at in [0, len / 2, len.saturating_sub(1)].into_iter().filter(|at| *at < len) {
                    let mut masses = masses.clone();
                    masses[at] = bad;
                    assert_eq!(sum_of_masses(&masses), None, "{bad} at {at} of {len}");
                }
            }
        }
    }
}
