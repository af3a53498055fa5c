//! A part of a row's classes: its sums, and its gradient once the sums of all parts are known.

use super::HUGE_BITS;
use super::extremes::Extremes;
use super::long_rows::Total;
use crate::kernels::exp_f32::exp_nonpositive;
use crate::kernels::isa::{Isa, VectorBody, run_vectors};
use crate::kernels::vector::{LANES, Vector, all_but, lanes_of};

/// Vectors summed in single precision before the sums move to double precision.
const BLOCK: usize = 16;

/// What the logits of a part add up to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct PartSums {
    pub max: f32,
    /// Σ e^(z - max)
    pub exp: f64,
    /// Σ (z - max)
    pub shifted: f64,
}

/// The sums of a part; `None` without a class, or where a value is not finite or beyond 1e30.
pub(crate) fn part_sums(isa: Isa, logits: &[f32]) -> Option<PartSums> {
    // SAFETY: the instruction set is available: `Isa::current` gives no other.
    unsafe { run_vectors(isa, Sum(logits)) }
}

/// Logits become `factor e^(z - max) - uniform`. Says whether it was done: not where [`part_sums`] gives none.
pub(crate) fn part_gradient(isa: Isa, logits: &mut [f32], max: f32, factor: f32, uniform: f32) -> bool {
    // SAFETY: as in `part_sums`.
    unsafe { run_vectors(isa, Gradient { logits, max, factor, uniform }) }
}

/// The last numbers, fewer than a vector's, at the end of one that begins with `fill`, and how many `fill`s there are.
#[inline(always)]
fn padded(rest: &[f32], fill: f32) -> ([f32; LANES], usize) {
    let (mut padded, seen) = ([fill; LANES], LANES - rest.len());
    padded[seen..].copy_from_slice(rest);
    (padded, seen)
}

/// The maximum, if there is a value and all are ordinary.
#[inline(always)]
fn ordinary<V: Vector>(proof: V, logits: &[f32]) -> Option<f32> {
    let (steps, rest) = logits.as_chunks::<LANES>();
    let first = proof.splat(*logits.first()?);
    let (mut even, mut odd) = (Extremes::of(first), Extremes::of(first));
    let (pairs, single) = steps.as_chunks::<2>();
    for [a, b] in pairs {
        even.see(proof.load(a));
        odd.see(proof.load(b));
    }
    single.iter().for_each(|step| even.see(proof.load(step)));
    odd.see(proof.load(&padded(rest, logits[0]).0));
    let (max, magnitude) = even.whole(odd);
    (magnitude < HUGE_BITS).then_some(max)
}

struct Sum<'a>(&'a [f32]);

impl VectorBody for Sum<'_> {
    type Output = Option<PartSums>;

    /// # Safety
    /// The CPU must have the instruction set of `V`.
    #[inline(always)]
    unsafe fn run<V: Vector>(self) -> Self::Output {
        // SAFETY: passed on to the caller.
        let proof = unsafe { V::new(0.0) };
        let max = ordinary(proof, self.0)?;
        let (mut exp, mut shifted) = (Total::default(), Total::default());
        let top = proof.splat(max);
        let (steps, rest) = self.0.as_chunks::<LANES>();
        for block in steps.chunks(BLOCK) {
            let (mut exps, mut values) = (proof, proof);
            for step in block {
                let v = proof.load(step).minus(top);
                exps = exps.plus(exp_nonpositive(v));
                values = values.plus(v);
            }
            exp.add(exps);
            shifted.add(values);
        }
        let (end, seen) = padded(rest, max);
        let v = proof.load(&end).minus(top);
        exp.add(exp_nonpositive(v).masked(&all_but(seen)));
        shifted.add(v);
        Some(PartSums { max, exp: exp.sum(), shifted: shifted.sum() })
    }
}

struct Gradient<'a> {
    logits: &'a mut [f32],
    max: f32,
    factor: f32,
    uniform: f32,
}

impl VectorBody for Gradient<'_> {
    type Output = bool;

    /// # Safety
    /// The CPU must have the instruction set of `V`.
    #[inline(always)]
    unsafe fn run<V: Vector>(self) -> Self::Output {
        let Self { logits, max, factor, uniform } = self;
        // SAFETY: passed on to the caller.
        let proof = unsafe { V::new(0.0) };
        if ordinary(proof, logits).is_none() {
            return false;
        }
        let (top, factor, uniform) = (proof.splat(max), proof.splat(factor), proof.splat(uniform));
        let (steps, rest) = logits.as_chunks_mut::<LANES>();
        for step in steps {
            exp_nonpositive(proof.load(step).minus(top)).times_minus(factor, uniform).store(step);
        }
        let (end, seen) = padded(rest, max);
        let end = lanes_of(exp_nonpositive(proof.load(&end).minus(top)).times_minus(factor, uniform));
        rest.copy_from_slice(&end[seen..]);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::cases;
    use crate::random::Stream;

    #[test]
    fn sums_and_gradient_are_those_of_double_precision_at_every_length() {
        let mut stream = Stream::new(5, "part", 0, 0);
        for len in cases([40, 17, 5].into_iter().chain(1..70).chain([255, 256, 257, 1000, 4099])) {
            let logits: Vec<f32> = (0..len).map(|_| (stream.uniform() * 40.0 - 30.0) as f32).collect();
            let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let shifted: Vec<f64> = logits.iter().map(|z| f64::from(z - max)).collect();
            let exp: f64 = shifted.iter().map(|v| v.exp()).sum();
            for isa in Isa::available() {
                let found = part_sums(isa, &logits).expect("ordinary values");
                assert_eq!(found.max, max);
                assert!((found.exp / exp - 1.0).abs() < 1e-6, "{isa:?} {len}");
                let sum: f64 = shifted.iter().sum();
                assert!((found.shifted - sum).abs() <= 1e-6 * sum.abs(), "{isa:?} {len}");
                // The maximum of all parts may be larger.
                let mut gradient = logits.clone();
                assert!(part_gradient(isa, &mut gradient, max + 1.0, 2.0, 0.25));
                for (got, z) in gradient.iter().zip(&logits) {
                    let want = 2.0 * (f64::from(*z) - f64::from(max + 1.0)).exp() - 0.25;
                    assert!((f64::from(*got) - want).abs() < 1e-6, "{isa:?} {len}: {got}, want {want}");
                }
            }
        }
    }

    #[test]
    fn values_that_are_not_ordinary_are_left_alone() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e31, -1e31] {
            for len in [1, 5, 16, 40] {
                for at in [0, len - 1] {
                    let mut logits = vec![0.5; len];
                    logits[at] = bad;
                    let before: Vec<u32> = logits.iter().map(|z| z.to_bits()).collect();
                    assert_eq!(part_sums(Isa::current(), &logits), None);
                    assert!(!part_gradient(Isa::current(), &mut logits, 1.0, 1.0, 0.1));
                    assert!(logits.iter().map(|z| z.to_bits()).eq(before));
                }
            }
        }
        assert_eq!(part_sums(Isa::current(), &[]), None);
    }
}
