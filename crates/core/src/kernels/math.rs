//! `exp` and `ln` in double precision with the same bits on every machine.
//!
//! The C library's functions differ between machines in the last bit, and so would every metric.
//! Here the order of operations is fixed and no multiply-add is fused, so results are identical
//! everywhere; both functions are branch-free in their core and vectorise.
//! Method of `exp`: argument reduction by multiples of ln 2 (Cody & Waite 1980), then Taylor to the
//! 13th power on |r| <= ln(2)/2, whose remainder is below 5e-18. Method of `ln`: the series in
//! s = f/(2+f) with the minimax coefficients of FreeBSD's `e_log.c` (Sun Microsystems 1993).

const LN_2_HI: f64 = 6.931_471_803_691_238e-1;
const LN_2_LO: f64 = 1.908_214_929_270_587_7e-10;
/// Adding and subtracting this rounds a small double to an integer, ties to even.
const ROUND: f64 = 6_755_399_441_055_744.0; // 1.5 * 2^52

/// Below this, `exp` is zero.
const EXP_UNDERFLOW: f64 = -745.133_219_101_941_2;
/// Above this, `exp` is infinite.
const EXP_OVERFLOW: f64 = 709.782_712_893_384;

/// 2^exponent for -1022 <= exponent <= 1023.
#[inline(always)]
fn power_of_two(exponent: i64) -> f64 {
    f64::from_bits(((exponent + 1023) as u64) << 52)
}

/// e^x, within 1 unit in the last place; NaN gives NaN.
///
/// # Examples
/// ```
/// assert_eq!(candor::kernels::math::exp(0.0), 1.0);
/// assert_eq!(candor::kernels::math::exp(f64::NEG_INFINITY), 0.0);
/// ```
#[inline(always)]
pub fn exp(x: f64) -> f64 {
    let clamped = if x < EXP_UNDERFLOW { EXP_UNDERFLOW } else { x };
    let clamped = if clamped > EXP_OVERFLOW { EXP_OVERFLOW } else { clamped };
    let shifted = clamped * std::f64::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = (clamped - n * LN_2_HI) - n * LN_2_LO;
    let mut p = 1.0 / 6_227_020_800.0;
    p = p * r + 1.0 / 479_001_600.0;
    p = p * r + 1.0 / 39_916_800.0;
    p = p * r + 1.0 / 3_628_800.0;
    p = p * r + 1.0 / 362_880.0;
    p = p * r + 1.0 / 40_320.0;
    p = p * r + 1.0 / 5_040.0;
    p = p * r + 1.0 / 720.0;
    p = p * r + 1.0 / 120.0;
    p = p * r + 1.0 / 24.0;
    p = p * r + 1.0 / 6.0;
    p = p * r + 0.5;
    p = p * r * r + r;
    let p = p + 1.0;
    // The integer stands in the low bits of the shifted value; two halves keep subnormals exact.
    let n = shifted.to_bits().wrapping_sub(ROUND.to_bits()) as i64;
    let half = n >> 1;
    let value = p * power_of_two_wrapping(half) * power_of_two_wrapping(n.wrapping_sub(half));
    let value = if x < EXP_UNDERFLOW { 0.0 } else { value };
    if x > EXP_OVERFLOW { f64::INFINITY } else { value }
}

/// [`power_of_two`] that never overflows on the garbage of a NaN argument.
#[inline(always)]
fn power_of_two_wrapping(exponent: i64) -> f64 {
    f64::from_bits((exponent.wrapping_add(1023) as u64) << 52)
}

/// The natural logarithm, within 1 unit in the last place.
///
/// 0 gives -inf, negative numbers and NaN give NaN.
///
/// # Examples
/// ```
/// assert_eq!(candor::kernels::math::ln(1.0), 0.0);
/// assert_eq!(candor::kernels::math::ln(0.0), f64::NEG_INFINITY);
/// ```
#[inline]
pub fn ln(x: f64) -> f64 {
    if x.is_nan() || x < 0.0 {
        return f64::NAN;
    }
    if x == 0.0 {
        return f64::NEG_INFINITY;
    }
    if x == f64::INFINITY {
        return x;
    }
    // Subnormals are scaled into the normal range first.
    if x < f64::MIN_POSITIVE { ln_normal(x * power_of_two(54), -54) } else { ln_normal(x, 0) }
}

/// `ln(x * 2^offset)` of a positive normal number; without branches, so that loops over it vectorise.
#[inline(always)]
pub(crate) fn ln_normal(x: f64, offset: i32) -> f64 {
    let bits = x.to_bits();
    let exponent = (bits >> 52) as i32 - 1023 + offset;
    let mantissa = f64::from_bits((bits & 0x000f_ffff_ffff_ffff) | 0x3ff0_0000_0000_0000);
    let upper = mantissa > std::f64::consts::SQRT_2;
    let mantissa = if upper { mantissa * 0.5 } else { mantissa };
    let exponent = exponent + i32::from(upper);
    let f = mantissa - 1.0;
    let half_square = 0.5 * f * f;
    let s = f / (2.0 + f);
    let z = s * s;
    let w = z * z;
    let even =
        w * (3.999_999_999_940_942e-1 + w * (2.222_219_843_214_978_4e-1 + w * 1.531_383_769_920_937_3e-1));
    let odd = z
        * (6.666_666_666_666_735e-1
            + w * (2.857_142_874_366_239e-1
                + w * (1.818_357_216_161_805e-1 + w * 1.479_819_860_511_658_6e-1)));
    let k = f64::from(exponent);
    k * LN_2_HI - ((half_square - (s * (half_square + (even + odd)) + k * LN_2_LO)) - f)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Distance in units in the last place of the wanted value.
    fn ulps(got: f64, want: f64) -> f64 {
        if got == want {
            return 0.0;
        }
        let unit = f64::from_bits(want.abs().to_bits() + 1) - want.abs();
        ((got - want) / unit).abs()
    }

    #[test]
    fn exp_stays_within_two_units_of_the_system_library() {
        let mut x = -745.0;
        while x < 709.0 {
            let (got, want) = (exp(x), x.exp());
            let limit = if want < f64::MIN_POSITIVE { 1.0 } else { 2.0 };
            assert!(ulps(got, want) <= limit, "exp({x}) = {got:e}, want {want:e}");
            x += 0.037_1;
        }
        for x in [-1e-300, 1e-17, -1e-9, 0.346, -0.347] {
            assert!(ulps(exp(x), x.exp()) <= 1.0, "{x}");
        }
    }

    #[test]
    fn exp_at_its_limits() {
        assert_eq!(exp(f64::NEG_INFINITY), 0.0);
        assert_eq!(exp(-746.0), 0.0);
        assert_eq!(exp(f64::INFINITY), f64::INFINITY);
        assert_eq!(exp(710.0), f64::INFINITY);
        assert!(exp(f64::NAN).is_nan());
        assert!(exp(709.78).is_finite());
    }

    #[test]
    fn ln_stays_within_one_unit_of_the_system_library() {
        let mut x = 1e-320;
        while x < 1e300 {
            assert!(ulps(ln(x), x.ln()) <= 1.0, "ln({x:e})");
            x *= 1.37;
        }
        for i in 1..2000 {
            let x = 1.0 + (f64::from(i) - 1000.0) * 1e-4;
            assert!(ulps(ln(x), x.ln()) <= 1.0, "ln({x})");
        }
        assert_eq!(ln(0.0), f64::NEG_INFINITY);
        assert!(ln(-1.0).is_nan() && ln(f64::NAN).is_nan());
        assert_eq!(ln(f64::INFINITY), f64::INFINITY);
    }
}
