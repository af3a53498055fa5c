//! GELU and its slope (Hendrycks & Gimpel 2016, arXiv:1606.08415): `x·Φ(x)` and `Φ(x) + x·φ(x)`.
//!
//! With q = Φ(-|x|): `x·Φ(x) = max(0, x) - |x|·q`, which keeps the digits of both tails.
//! In single precision q is `e^(-x²/2)` times a polynomial of degree 9 in `t = 1/(1 + 0.265·|x|)` (the form of Hastings,
//! Approximations for Digital Computers, 1955), fitted to the scaled complementary error function with the least
//! relative error, 4e-8; the exponential serves φ too.

use super::exp_f32::exp_nonpositive;
use super::isa::{Isa, VectorBody, run_vectors};
use super::vector::{LANES, Vector};
use crate::statistics::normal_cdf;

/// Coefficients of t, t², …, t⁹.
const TAIL: [f32; 9] = [
    0.105_742_13,
    0.105_237_08,
    0.102_770_11,
    0.060_038_585,
    0.138_610_53,
    -0.117_336_586,
    0.218_688_44,
    -0.144_663_1,
    0.030_912_807,
];

/// 1/√(2π)
const DENSITY: f64 = 0.398_942_280_401_432_7;

/// In double precision, number by number.
pub(super) fn double(_: Isa, values: &mut [f64], slopes: Option<&mut [f64]>) {
    if let Some(slopes) = slopes {
        for (slope, x) in slopes.iter_mut().zip(values.iter()) {
            *slope = normal_cdf(*x) + x * DENSITY * (-0.5 * x * x).exp();
        }
    }
    for x in values {
        *x = x.max(0.0) - x.abs() * normal_cdf(-x.abs());
    }
}

/// In single precision: the error is below 4e-7, and where x < 0 below 1e-5 of the value down to x = -13.
pub(super) fn single(isa: Isa, values: &mut [f32], slopes: Option<&mut [f32]>) {
    // SAFETY: the instruction set is available.
    unsafe { run_vectors(isa, Pass { values, slopes }) }
}

struct Pass<'a> {
    values: &'a mut [f32],
    slopes: Option<&'a mut [f32]>,
}

impl VectorBody for Pass<'_> {
    type Output = ();

    /// # Safety
    /// The CPU must have the instruction set of `V`.
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        // SAFETY: passed on to the caller.
        let proof = unsafe { V::new(0.0) };
        let (steps, rest) = self.values.as_chunks_mut::<LANES>();
        let mut tail = [0.0; LANES];
        tail[..rest.len()].copy_from_slice(rest);
        match self.slopes {
            None => {
                for step in steps.iter_mut().chain([&mut tail]) {
                    Parts::of(proof.load(step)).value().store(step);
                }
            }
            Some(slopes) => {
                let (slope_steps, slope_rest) = slopes.as_chunks_mut::<LANES>();
                let mut slope_tail = [0.0; LANES];
                let all_slopes = slope_steps.iter_mut().chain([&mut slope_tail]);
                for (step, slope) in steps.iter_mut().chain([&mut tail]).zip(all_slopes) {
                    let parts = Parts::of(proof.load(step));
                    parts.value().store(step);
                    parts.slope().store(slope);
                }
                slope_rest.copy_from_slice(&slope_tail[..slope_rest.len()]);
            }
        }
        rest.copy_from_slice(&tail[..rest.len()]);
    }
}

/// What value and slope are made of.
struct Parts<V> {
    x: V,
    magnitude: V,
    /// e^(-x²/2)
    exponential: V,
    /// Φ(-|x|)
    q: V,
}

impl<V: Vector> Parts<V> {
    #[inline(always)]
    fn of(x: V) -> Self {
        let one = x.splat(1.0);
        let magnitude = x.masked(&[0x7fff_ffff; LANES]);
        // The exponential takes NaN for a very small number; the magnitude brings it back.
        let exponential = exp_nonpositive(x.times(x).times(x.splat(-0.5)));
        let t = one.over(magnitude.times_plus(x.splat(0.265), one));
        let mut q = x.splat(TAIL[8]);
        for coefficient in TAIL[..8].iter().rev() {
            q = q.times_plus(t, x.splat(*coefficient));
        }
        Self { x, magnitude, exponential, q: q.times(t).times(exponential) }
    }

    #[inline(always)]
    fn value(&self) -> V {
        let zero = self.x.splat(0.0);
        zero.minus(self.magnitude).times_plus(self.q, self.x.at_least(zero))
    }

    #[inline(always)]
    fn slope(&self) -> V {
        let (x, one) = (self.x, self.x.splat(1.0));
        // The sign of x; near zero, where it does not get to 1, Φ is 1/2 to all digits.
        let least = x.splat(-1.0);
        let steep = x.times(x.splat(1e38)).at_least(least);
        let sign = x.splat(0.0).minus(x.splat(0.0).minus(steep).at_least(least));
        let half = one.times(x.splat(0.5));
        let phi = self.exponential.times(x.splat(DENSITY as f32));
        let cdf = half.minus(self.q).times_plus(sign, half);
        x.times_plus(phi, cdf)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn double_precision_is_the_definition_and_the_slope_its_difference() {
        let mut found = [-30.0, -3.0, -1.0, -0.0, 0.0, 0.5, 2.0, 40.0];
        let at = found;
        let mut slopes = [9.0; 8];
        double(Isa::Baseline, &mut found, Some(&mut slopes));
        // Φ by the error function of libm.
        let value = |x: f64| x * 0.5 * libm::erfc(-x / std::f64::consts::SQRT_2);
        for ((x, found), slope) in at.into_iter().zip(found).zip(slopes) {
            assert!((found - value(x)).abs() <= 1e-15 * x.abs(), "gelu({x}) = {found}, want {}", value(x));
            let difference = (value(x + 1e-5) - value(x - 1e-5)) / 2e-5;
            assert!((slope - difference).abs() < 1e-9, "slope({x}) = {slope}, want {difference}");
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "numbers by the thousand are slow there")]
    fn single_precision_stays_near_it_on_every_instruction_set() {
        let mut at: Vec<f32> = (-6_000..6_000).map(|i| i as f32 * 0.002_5).collect();
        at.extend([0.0, -0.0, 1e-30, -1e-30, 1e-42, 200.0, -200.0, 1e30, -1e30, f32::MAX]);
        let mut wanted: Vec<f64> = at.iter().map(|x| f64::from(*x)).collect();
        let mut wanted_slopes = vec![0.0; at.len()];
        double(Isa::Baseline, &mut wanted, Some(&mut wanted_slopes));
        for isa in Isa::available() {
            let (mut found, mut slopes) = (at.clone(), vec![9.0; at.len()]);
            single(isa, &mut found, Some(&mut slopes));
            let mut alone = at.clone();
            single(isa, &mut alone, None);
            assert_eq!(found, alone);
            for (i, x) in at.iter().enumerate() {
                let (x, error) = (f64::from(*x), f64::from(found[i]) - wanted[i]);
                let allowed = 4e-7_f64.min(1e-5 * wanted[i].abs()).max(6e-8 * x.max(0.0)) + 1e-37;
                assert!(error.abs() <= allowed, "{isa:?} gelu({x}) = {}, want {}", found[i], wanted[i]);
                let error = f64::from(slopes[i]) - wanted_slopes[i];
                assert!(error.abs() < 5e-7, "{isa:?} slope({x}) = {}, want {}", slopes[i], wanted_slopes[i]);
            }
        }
    }

    #[test]
    fn not_a_number_stays_one() {
        for isa in Isa::available() {
            let (mut values, mut slopes) = ([1.0, f32::NAN, 2.0], [0.0; 3]);
            single(isa, &mut values, Some(&mut slopes));
            assert!(
                values[1].is_nan() && slopes[1].is_nan() && values[0].is_finite() && slopes[2].is_finite()
            );
        }
    }
}
