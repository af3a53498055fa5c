//! e^x in single precision for x <= 0, the inner operation of every softmax.
//!
//! Range reduction of Cody & Waite and the polynomial of degree 5 of the Cephes library's `expf`
//! (Moshier 1992); relative error below 2e-7, results below 1e-38 become 0.

/// `a * b + c`, fused where the instruction set has it.
#[inline(always)]
pub(crate) fn multiply_add<const FMA: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FMA { a.mul_add(b, c) } else { a * b + c }
}

/// Below this the result is set to zero: the smallest normal number is e^-87.3.
const UNDERFLOW: f32 = -87.3;

/// e^x for x <= 0.
#[inline(always)]
pub(crate) fn exp_nonpositive<const FMA: bool>(x: f32) -> f32 {
    const ROUND: f32 = 12_582_912.0; // 1.5 * 2^23
    let clamped = if x < UNDERFLOW { UNDERFLOW } else { x };
    let shifted = multiply_add::<FMA>(clamped, std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = multiply_add::<FMA>(n, -0.693_359_4, clamped);
    let r = multiply_add::<FMA>(n, 2.121_944_4e-4, r);
    let mut p = 1.987_569_1e-4_f32;
    p = multiply_add::<FMA>(p, r, 1.398_199_9e-3);
    p = multiply_add::<FMA>(p, r, 8.333_452e-3);
    p = multiply_add::<FMA>(p, r, 4.166_579_6e-2);
    p = multiply_add::<FMA>(p, r, 1.666_666_5e-1);
    p = multiply_add::<FMA>(p, r, 0.5);
    let p = multiply_add::<FMA>(p, r * r, r) + 1.0;
    let exponent = shifted.to_bits().wrapping_sub(ROUND.to_bits()) << 23;
    let value = f32::from_bits(p.to_bits().wrapping_add(exponent));
    if x < UNDERFLOW { 0.0 } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_error_stays_below_two_in_ten_million() {
        let mut x = -87.2_f32;
        while x <= 0.0 {
            let want = f64::from(x).exp();
            for got in [exp_nonpositive::<false>(x), exp_nonpositive::<true>(x)] {
                assert!((f64::from(got) / want - 1.0).abs() < 2e-7, "exp({x}) = {got:e}, want {want:e}");
            }
            x += 0.003_7;
        }
        assert_eq!(exp_nonpositive::<true>(0.0), 1.0);
        assert_eq!(exp_nonpositive::<true>(-1e4), 0.0);
        assert_eq!(exp_nonpositive::<false>(f32::NEG_INFINITY), 0.0);
    }
}
