//! e^x in single precision for x <= 0, the inner operation of every softmax.
//!
//! `e^x = 2^n e^r` with n an integer and |r| <= ln(2)/2; e^r by the polynomial of degree 6 with the least relative
//! error (2e-9, Remez 1934, its constant term held at 1 so that e^0 is exactly 1).

/// `a * b + c`, fused where the instruction set has it.
#[inline(always)]
pub(crate) fn multiply_add<const FMA: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FMA { a.mul_add(b, c) } else { a * b + c }
}

/// From here down the result is zero: x is taken as this, which gives n = -126.
const LEAST: f32 = -87.33;

/// e^x for x <= 0: relative error below 1.2e-7 + 3e-9·|x|, and zero where e^x < 1.7e-38, so never subnormal.
///
/// An x that is the rounded difference of two numbers brings 6e-8·|x| of its own.
#[inline(always)]
pub(crate) fn exp_nonpositive<const FMA: bool>(x: f32) -> f32 {
    // 1.5 * 2^23 makes the sum an integer; its last bits are n + 126. They are the exponent of 2^(n-1), and of
    // zero for the least n. The polynomial gives 2 e^r.
    const ROUND: f32 = 12_582_912.0 + 126.0;
    let clamped = if x > LEAST { x } else { LEAST };
    let shifted = multiply_add::<FMA>(clamped, std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = if FMA {
        n.mul_add(-std::f32::consts::LN_2, clamped)
    } else {
        // In two steps of which the first is exact (Cody & Waite 1980).
        (clamped - n * 0.693_359_4) + n * 2.121_944_4e-4
    };
    let mut p = 2.0 * 1.384_360_7e-3_f32;
    p = multiply_add::<FMA>(p, r, 2.0 * 8.374_196e-3);
    p = multiply_add::<FMA>(p, r, 2.0 * 4.166_800_5e-2);
    p = multiply_add::<FMA>(p, r, 2.0 * 0.166_664_3);
    p = multiply_add::<FMA>(p, r, 2.0 * 0.499_999_94);
    p = multiply_add::<FMA>(p, r, 2.0);
    p = multiply_add::<FMA>(p, r, 2.0);
    p * f32::from_bits(shifted.to_bits() << 23)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_relative_error_stays_within_its_bound() {
        // Every 97th number of those whose exponential is not zero.
        let (first, last) = (1e-9_f32.to_bits(), 86.9_f32.to_bits());
        for bits in (first..last).step_by(97) {
            let x = -f32::from_bits(bits);
            let want = f64::from(x).exp();
            let bound = 1.2e-7 + 3e-9 * f64::from(-x);
            for got in [exp_nonpositive::<false>(x), exp_nonpositive::<true>(x)] {
                assert!((f64::from(got) / want - 1.0).abs() < bound, "exp({x}) = {got:e}, want {want:e}");
            }
        }
    }

    #[test]
    fn the_ends_are_exact_and_nothing_is_subnormal() {
        for exp in [exp_nonpositive::<false>, exp_nonpositive::<true>] {
            assert_eq!([exp(0.0), exp(-0.0)], [1.0; 2]);
            for x in [-88.0, -1e4, -f32::MAX, f32::NEG_INFINITY] {
                assert_eq!(exp(x), 0.0);
            }
            for bits in 86.5_f32.to_bits()..88.5_f32.to_bits() {
                let got = exp(-f32::from_bits(bits));
                assert!(got == 0.0 || got.is_normal(), "{got:e}");
            }
        }
    }
}
