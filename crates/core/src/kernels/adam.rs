//! A step of Adam (Kingma & Ba, ICLR 2015, arXiv:1412.6980) in one pass over parameters, gradient and moments.
//!
//! With `m ← β₁·m + (1-β₁)·g` and `v ← β₂·v + (1-β₂)·g²` after t steps,
//! `θ ← θ - rate·(√(1-β₂ᵗ)/(1-β₁ᵗ))·m / (√v + ε·√(1-β₂ᵗ))`, which is the paper's update with both corrections.

use rayon::prelude::*;

use super::isa::{Body, Isa, run_on};
use crate::error::{Error, Result};

/// Values that one thread moves; a value's bits do not depend on where the pieces end.
const PIECE: usize = 1 << 15;

/// The constants of a step.
///
/// # Examples
/// ```
/// use candor::kernels::adam::AdamStep;
///
/// let step = AdamStep { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, rate: 0.1, step: 1 };
/// let (mut parameters, mut first, mut second) = ([1.0, 1.0], [0.0; 2], [0.0; 2]);
/// step.apply(&mut parameters, &[4.0, -0.5], &mut first, &mut second)?;
/// // The first step is as long as the rate, whatever the gradient.
/// assert!((parameters[0] - 0.9).abs() < 1e-6 && (parameters[1] - 1.1).abs() < 1e-6);
/// # Ok::<(), candor::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamStep {
    /// Decay of the first moment, in [0, 1).
    pub beta1: f32,
    /// Decay of the second moment, in [0, 1).
    pub beta2: f32,
    /// What keeps the denominator from zero.
    pub epsilon: f32,
    /// The learning rate.
    pub rate: f32,
    /// Which step this is, from 1.
    pub step: usize,
}

impl AdamStep {
    /// Moves parameters and both moments.
    ///
    /// # Errors
    /// [`Error::Shape`] unless all four arrays have the same length.
    pub fn apply(
        &self,
        parameters: &mut [f32],
        gradient: &[f32],
        first: &mut [f32],
        second: &mut [f32],
    ) -> Result<()> {
        let expected = parameters.len();
        for (what, got) in [
            ("the gradient", gradient.len()),
            ("the first moment", first.len()),
            ("the second moment", second.len()),
        ] {
            if expected != got {
                return Err(Error::Shape { what, expected, got });
            }
        }
        let power = i32::try_from(self.step).unwrap_or(i32::MAX);
        let root = (1.0 - self.beta2.powi(power)).sqrt();
        let pass = Pass {
            step: *self,
            scale: root / (1.0 - self.beta1.powi(power)),
            epsilon: self.epsilon * root,
            arrays: (&mut [], &[], &mut [], &mut []),
        };
        let isa = Isa::current();
        parameters
            .par_chunks_mut(PIECE)
            .zip(gradient.par_chunks(PIECE))
            .zip(first.par_chunks_mut(PIECE))
            .zip(second.par_chunks_mut(PIECE))
            .for_each(|(((parameters, gradient), first), second)| {
                let arrays = (parameters, gradient, first, second);
                // SAFETY: the instruction set is there, and the body has no other conditions.
                unsafe { run_on(isa, Pass { arrays, ..pass }) }
            });
        Ok(())
    }
}

/// A piece of the arrays: parameters, gradient, first and second moment.
struct Pass<'a> {
    step: AdamStep,
    scale: f32,
    epsilon: f32,
    arrays: (&'a mut [f32], &'a [f32], &'a mut [f32], &'a mut [f32]),
}

impl Body for Pass<'_> {
    type Output = ();

    /// # Safety
    /// Those of `FMA`.
    #[inline(always)]
    unsafe fn run<const FMA: bool>(self) {
        let Self { step, scale, epsilon, arrays: (parameters, gradient, first, second) } = self;
        let AdamStep { beta1, beta2, rate, .. } = step;
        let (rest1, rest2) = (1.0 - beta1, 1.0 - beta2);
        for (((parameter, g), m), v) in parameters.iter_mut().zip(gradient).zip(first).zip(second) {
            *m = *m * beta1 + *g * rest1;
            *v = *v * beta2 + *g * *g * rest2;
            *parameter -= *m * scale / (v.sqrt() + epsilon) * rate;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_steps_by_hand() {
        let constants = |step| AdamStep { beta1: 0.5, beta2: 0.75, epsilon: 0.0, rate: 1.0, step };
        let (mut parameters, mut first, mut second) = ([10.0], [0.0], [0.0]);
        constants(1).apply(&mut parameters, &[2.0], &mut first, &mut second).unwrap();
        // m = 1, v = 1; corrected by 1/2 and 1/4 they are 2 and 4, so the step is 2/√4.
        assert_eq!((parameters, first, second), ([9.0], [1.0], [1.0]));
        constants(2).apply(&mut parameters, &[-4.0], &mut first, &mut second).unwrap();
        // m = -1.5 and v = 4.75; corrected by 3/4 and 7/16: -2 and 76/7.
        assert_eq!((first, second), ([-1.5], [4.75]));
        assert!((parameters[0] - (9.0 + 2.0 / (76.0_f32 / 7.0).sqrt())).abs() < 1e-6);
    }

    #[test]
    #[cfg_attr(miri, ignore = "many threads are slow there")]
    fn a_value_moves_the_same_wherever_it_stands() {
        let step = AdamStep { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, rate: 1e-3, step: 3 };
        let n = 2 * PIECE + 13;
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let (mut parameters, mut first, mut second) = (vec![0.3; n], vec![0.1; n], vec![0.2; n]);
            pool.install(|| step.apply(&mut parameters, &vec![0.7; n], &mut first, &mut second)).unwrap();
            (parameters, first, second)
        };
        let once = run(1);
        assert!(once.0.iter().all(|value| value.to_bits() == once.0[0].to_bits()));
        assert!([2, 3, 7].into_iter().all(|threads| run(threads) == once));
    }

    #[test]
    fn arrays_of_different_lengths_are_refused() {
        let step = AdamStep { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, rate: 1e-3, step: 1 };
        for (lens, what) in
            [([1, 2, 2], "the gradient"), ([2, 1, 2], "the first moment"), ([2, 2, 3], "the second moment")]
        {
            let [gradient, mut first, mut second] = lens.map(|len| vec![0.0; len]);
            let found = step.apply(&mut [0.0; 2], &gradient, &mut first, &mut second);
            assert!(matches!(found, Err(Error::Shape { what: found, expected: 2, .. }) if found == what));
        }
    }
}
