//! e^x in single precision for x <= 0, the inner operation of every softmax.
//!
//! `e^x = 2^n e^r` with n an integer and |r| <= ln(2)/2; e^r by the polynomial of degree 6 with the least relative
//! error (2e-9, Remez 1934, its constant term held at 1 so that e^0 is exactly 1).

use super::vector::Vector;

/// From here down the result is zero: x is taken as this, which gives n = -126.
const LEAST: f32 = -87.33;

/// e^x for x <= 0: relative error below 1.2e-7 + 3e-9·|x|, and zero where e^x < 1.7e-38, so never subnormal.
///
/// An x that is the rounded difference of two numbers brings 6e-8·|x| of its own.
#[inline(always)]
pub(super) fn exp_nonpositive<V: Vector>(x: V) -> V {
    // 1.5 * 2^23 makes the sum an integer; its last bits are n + 126. They are the exponent of 2^(n-1), and of
    // zero for the least n. The polynomial gives 2 e^r.
    const ROUND: f32 = 12_582_912.0 + 126.0;
    let clamped = x.at_least(x.splat(LEAST));
    let shifted = clamped.times_plus(x.splat(std::f32::consts::LOG2_E), x.splat(ROUND));
    let n = shifted.minus(x.splat(ROUND));
    let r = if V::FMA {
        n.times_plus(x.splat(-std::f32::consts::LN_2), clamped)
    } else {
        // In two steps of which the first is exact (Cody & Waite 1980).
        clamped.minus(n.times(x.splat(0.693_359_4))).plus(n.times(x.splat(2.121_944_4e-4)))
    };
    let mut p = x.splat(2.0 * 1.384_360_7e-3);
    p = p.times_plus(r, x.splat(2.0 * 8.374_196e-3));
    p = p.times_plus(r, x.splat(2.0 * 4.166_800_5e-2));
    p = p.times_plus(r, x.splat(2.0 * 0.166_664_3));
    p = p.times_plus(r, x.splat(2.0 * 0.499_999_94));
    p = p.times_plus(r, x.splat(2.0));
    p = p.times_plus(r, x.splat(2.0));
    p.times(shifted.to_exponent())
}

#[cfg(test)]
mod tests {
    use super::super::vector::{LANES, Quads, lanes_of};
    use super::*;

    fn exp<const FMA: bool>(x: [f32; LANES]) -> [f32; LANES] {
        // SAFETY: every CPU has what these need.
        let proof = unsafe { Quads::<FMA>::new(0.0) };
        lanes_of(exp_nonpositive(proof.load(&x)))
    }

    #[test]
    #[cfg_attr(miri, ignore = "numbers by the thousand are slow there")]
    fn the_relative_error_stays_within_its_bound() {
        // Every 97th number of those whose exponential is not zero.
        let (first, last) = (1e-9_f32.to_bits(), 86.9_f32.to_bits());
        for bits in (first..last).step_by(97 * LANES) {
            let x: [f32; LANES] = std::array::from_fn(|l| -f32::from_bits(bits + 97 * l as u32));
            for found in [exp::<false>(x), exp::<true>(x)] {
                for (x, got) in x.into_iter().zip(found) {
                    let want = f64::from(x).exp();
                    let bound = 1.2e-7 + 3e-9 * f64::from(-x);
                    assert!((f64::from(got) / want - 1.0).abs() < bound, "exp({x}) = {got:e}, want {want:e}");
                }
            }
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "numbers by the thousand are slow there")]
    fn the_ends_are_exact_and_nothing_is_subnormal() {
        for exp in [exp::<false>, exp::<true>] {
            let one = |x: f32| exp([x; LANES])[0];
            assert_eq!([one(0.0), one(-0.0)], [1.0; 2]);
            for x in [-88.0, -1e4, -f32::MAX, f32::NEG_INFINITY] {
                assert_eq!(one(x), 0.0);
            }
            for bits in (86.5_f32.to_bits()..88.5_f32.to_bits()).step_by(LANES) {
                for got in exp(std::array::from_fn(|l| -f32::from_bits(bits + l as u32))) {
                    assert!(got == 0.0 || got.is_normal(), "{got:e}");
                }
            }
        }
    }
}
