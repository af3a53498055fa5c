//! Softmax of a row of scores: by vectors in single precision, by the formula in double precision.

pub(in crate::kernels) mod single {
    //! The maximum, then exponentials and their sum, then shares.

    use crate::kernels::exp_f32::exp_nonpositive;
    use crate::kernels::isa::{Isa, VectorBody, run_vectors};
    use crate::kernels::vector::{LANES, PARTS, Vector, lanes_of};

    /// Softmax in place; the maximum and one over the sum.
    pub(in crate::kernels) fn softmax(isa: Isa, row: &mut [f32], scale: f32) -> [f32; 2] {
        // SAFETY: the instruction set is available.
        unsafe { run_vectors(isa, Softmax { row, scale, kept: None }) }
    }

    /// The same row again.
    pub(in crate::kernels) fn softmax_again(isa: Isa, row: &mut [f32], scale: f32, kept: [f32; 2]) {
        // SAFETY: the instruction set is available.
        unsafe { run_vectors(isa, Softmax { row, scale, kept: Some(kept) }) };
    }

    /// From scores to exponentials.
    struct Exponentials<V> {
        max: V,
        scale: V,
    }

    impl<V: Vector> Exponentials<V> {
        #[inline(always)]
        fn of(&self, scores: V) -> V {
            let v = scores.minus(self.max).times(self.scale);
            // The exponential takes NaN for a very small number; this brings it back.
            v.times_plus(v.splat(0.0), exp_nonpositive(v))
        }
    }

    struct Softmax<'a> {
        row: &'a mut [f32],
        scale: f32,
        kept: Option<[f32; 2]>,
    }

    impl VectorBody for Softmax<'_> {
        type Output = [f32; 2];

        /// # Safety
        /// The CPU must have the instruction set of `V`.
        #[inline(always)]
        unsafe fn run<V: Vector>(self) -> [f32; 2] {
            // SAFETY: passed on to the caller.
            let zero = unsafe { V::new(0.0) };
            let Self { row, scale, kept } = self;
            // The last vector is filled up with its first number, which changes no maximum, and counts as far as
            // there are numbers.
            let (steps, rest) = row.as_chunks_mut::<LANES>();
            let mut tail = [rest.first().copied().unwrap_or_default(); LANES];
            tail[..rest.len()].copy_from_slice(rest);
            let there: [u32; LANES] = std::array::from_fn(|l| if l < rest.len() { u32::MAX } else { 0 });
            let has_tail = !rest.is_empty();
            let max = match kept {
                Some([max, _]) => max,
                None => {
                    let mut most = zero.splat(f32::NEG_INFINITY);
                    for step in steps.iter() {
                        most = zero.load(step).at_least(most);
                    }
                    if has_tail {
                        most = zero.load(&tail).at_least(most);
                    }
                    lanes_of(most).into_iter().fold(f32::NEG_INFINITY, f32::max)
                }
            };
            let exponentials = Exponentials { max: zero.splat(max), scale: zero.splat(scale) };
            let inverse = match kept {
                Some([_, inverse]) => inverse,
                None => {
                    let mut sum = zero;
                    for step in steps.iter_mut() {
                        let e = exponentials.of(zero.load(step));
                        sum = sum.plus(e);
                        e.store(step);
                    }
                    if has_tail {
                        let e = exponentials.of(zero.load(&tail));
                        sum = sum.plus(e.masked(&there));
                        e.store(&mut tail);
                    }
                    let mut parts = [0.0; PARTS];
                    sum.fold_into(&mut parts);
                    (1.0 / parts.iter().sum::<f64>()) as f32
                }
            };
            let inverse_lanes = zero.splat(inverse);
            // Exponentials stand there already, or scores do.
            let again = kept.is_some();
            for step in steps.iter_mut() {
                let values = zero.load(step);
                let values = if again { exponentials.of(values) } else { values };
                values.times(inverse_lanes).store(step);
            }
            if has_tail {
                let values = zero.load(&tail);
                let values = if again { exponentials.of(values) } else { values };
                values.times(inverse_lanes).store(&mut tail);
                rest.copy_from_slice(&tail[..rest.len()]);
            }
            [max, inverse]
        }
    }
}

pub(in crate::kernels) mod double {
    //! As the definition reads.

    use crate::kernels::isa::Isa;

    /// Softmax in place; the maximum and one over the sum.
    pub(in crate::kernels) fn softmax(isa: Isa, row: &mut [f64], scale: f64) -> [f64; 2] {
        let max = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = row.iter().map(|score| ((score - max) * scale).exp()).sum();
        let kept = [max, 1.0 / sum];
        softmax_again(isa, row, scale, kept);
        kept
    }

    /// The same row again.
    pub(in crate::kernels) fn softmax_again(_: Isa, row: &mut [f64], scale: f64, [max, inverse]: [f64; 2]) {
        for score in row {
            *score = ((*score - max) * scale).exp() * inverse;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::isa::Isa;

    #[test]
    fn rows_of_every_length_are_those_of_double_precision_and_come_again() {
        for n in 1..70_u32 {
            let scores: Vec<f32> = (0..n).map(|i| ((i * 37 + n) % 61) as f32 - 30.0).collect();
            let mut wanted: Vec<f64> = scores.iter().map(|score| f64::from(*score)).collect();
            double::softmax(Isa::Baseline, &mut wanted, 0.25);
            assert!((wanted.iter().sum::<f64>() - 1.0).abs() < 1e-14);
            for isa in Isa::available() {
                let (mut row, mut again) = (scores.clone(), scores.clone());
                let kept = single::softmax(isa, &mut row, 0.25);
                for (found, wanted) in row.iter().zip(&wanted) {
                    assert!(
                        (f64::from(*found) - wanted).abs() < 1e-6 * wanted,
                        "{isa:?} {n}: {found} {wanted}"
                    );
                }
                single::softmax_again(isa, &mut again, 0.25, kept);
                assert_eq!(row, again, "{isa:?} {n}");
            }
        }
    }

    #[test]
    fn not_a_number_spoils_its_row_and_far_scores_do_not() {
        for isa in Isa::available() {
            for n in [3, 16, 21] {
                let mut row = vec![1.0; n];
                row[n - 1] = f32::NAN;
                single::softmax(isa, &mut row, 1.0);
                assert!(row.iter().all(|share| share.is_nan()), "{isa:?} {row:?}");
                let mut row = vec![-1e30; n];
                row[n / 2] = 1e30;
                single::softmax(isa, &mut row, 1.0);
                assert_eq!(row.iter().sum::<f32>(), 1.0);
            }
        }
    }
}
