//! What smoothed pseudo-labels do to self-training: the damping of one step, and where it ends.

use crate::error::{Result, check_classes, check_range_hint};
use crate::targets::Convention;

/// The pull of a smoothed pseudo-label relative to a hard one: `1 - α_off/(1-c)` at confidence c.
///
/// The gradient on the logit of the predicted class is `-(1-c)` for a hard pseudo-label and `-(1-α_off-c)` for
/// a smoothed one, so the change is the constant `α_off` and its share **grows** with confidence: uncertain
/// predictions are damped least, and above `1-α_off` the pull turns round. What damps uncertain predictions is
/// a strength that falls with confidence ([`ConfidenceAdaptive`](crate::targets::ConfidenceAdaptive)).
///
/// `confidence` is the largest probability, with the rest spread over the other classes; `smoothing` is read in
/// `convention`.
///
/// # Errors
/// [`Error::OutOfRange`](crate::Error::OutOfRange) for fewer than two classes, an illegal strength, or a
/// confidence outside [0, 1), where a hard pseudo-label pulls no more.
///
/// # Examples
/// ```
/// use candor::Convention;
/// use candor::theory::damping_ratio;
/// let ratio = |confidence| damping_ratio(0.1, Convention::OffClass, 10, confidence);
/// assert!((ratio(0.5)? - 0.8).abs() < 1e-12);
/// assert!(ratio(0.9)?.abs() < 1e-12);
/// assert!((ratio(0.95)? + 1.0).abs() < 1e-12);
/// # Ok::<(), candor::Error>(())
/// ```
pub fn damping_ratio(
    smoothing: f64,
    convention: Convention,
    n_classes: usize,
    confidence: f64,
) -> Result<f64> {
    let hint = " (at 1 a hard pseudo-label pulls no more)";
    check_range_hint("confidence", confidence, 0.0, 1.0 - f64::EPSILON, hint)?;
    Ok(1.0 - off_class(smoothing, convention, n_classes)? / (1.0 - confidence))
}

/// The confidence at which self-training on smoothed pseudo-labels comes to rest: `1 - α_off`.
///
/// With hard pseudo-labels it is 1, which is reached only at infinity. This brake, not the damping of uncertain
/// predictions, is what a constant strength does to self-training.
///
/// # Errors
/// [`Error::OutOfRange`](crate::Error::OutOfRange) for fewer than two classes or an illegal strength.
///
/// # Examples
/// ```
/// use candor::Convention;
/// use candor::theory::self_training_fixed_point;
/// assert!((self_training_fixed_point(0.1, Convention::OffClass, 5)? - 0.9).abs() < 1e-12);
/// assert!((self_training_fixed_point(0.1, Convention::Uniform, 2)? - 0.95).abs() < 1e-12);
/// # Ok::<(), candor::Error>(())
/// ```
pub fn self_training_fixed_point(smoothing: f64, convention: Convention, n_classes: usize) -> Result<f64> {
    Ok(1.0 - off_class(smoothing, convention, n_classes)?)
}

fn off_class(smoothing: f64, convention: Convention, n_classes: usize) -> Result<f64> {
    check_classes(n_classes)?;
    convention.check(smoothing, n_classes)?;
    Ok(convention.to_off_class(smoothing, n_classes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{Buffers, Labels};
    use crate::losses::{Batch, CrossEntropy, Loss};
    use crate::targets::{ConfidenceAdaptive, OffClass, TargetRule, Targets};

    fn softmax(z: &[f64]) -> Vec<f64> {
        let sum: f64 = z.iter().map(|v| v.exp()).sum();
        z.iter().map(|v| v.exp() / sum).collect()
    }

    fn top(p: &[f64]) -> usize {
        (0..p.len()).max_by(|&a, &b| p[a].total_cmp(&p[b])).unwrap()
    }

    /// Loss gradient at these logits for targets made from their own argmax.
    fn gradient(z: &[f64], targets: impl Fn(&[i64]) -> Vec<f64>) -> Vec<f64> {
        let label = [top(z) as i64];
        let rows = targets(&label);
        let targets = Targets::distribution(crate::targets::DenseRows::F64(&rows), z.len()).unwrap();
        let mut slope = vec![0.0; z.len()];
        let buffers = Buffers::Gradient { logits: z, gradient: &mut slope };
        CrossEntropy.value_grad_f64(Batch::new(buffers, &targets), &mut Default::default()).unwrap();
        slope
    }

    fn smoothed(alpha: f64, classes: usize) -> impl Fn(&[i64]) -> Vec<f64> {
        move |label: &[i64]| {
            let rule = OffClass::new(alpha, classes).unwrap();
            rule.targets(Labels::new(label, classes).unwrap()).unwrap().dense_matrix()
        }
    }

    #[test]
    fn one_sample_self_training_ends_at_the_fixed_point() {
        for (classes, alpha, start) in [(2, 0.1, 0.1), (5, 0.1, 0.3), (10, 0.25, 2.0)] {
            let mut z = vec![0.0; classes];
            z[1] = start;
            for _ in 0..20_000 {
                let slope = gradient(&z, smoothed(alpha, classes));
                z.iter_mut().zip(slope).for_each(|(z, g)| *z -= g);
            }
            let end = softmax(&z)[1];
            let wanted = self_training_fixed_point(alpha, Convention::OffClass, classes).unwrap();
            assert!((end - wanted).abs() < 1e-4, "{classes} classes: {end}, wanted {wanted}");
            assert!((wanted - (1.0 - alpha)).abs() < 1e-15);
        }
    }

    #[test]
    fn the_damping_of_the_table_is_that_of_the_gradients() {
        // Confidence and ratio at α = 0.1 off-class, worked by hand: 1 - 0.1/(1-c).
        for (confidence, ratio) in [(0.5, 0.8), (0.7, 2.0 / 3.0), (0.85, 1.0 / 3.0), (0.9, 0.0), (0.95, -1.0)]
        {
            let classes = 4;
            let other: f64 = (1.0 - confidence) / 3.0;
            let z: Vec<f64> = [confidence, other, other, other].iter().map(|p: &f64| p.ln()).collect();
            let hard = gradient(&z, smoothed(0.0, classes))[0];
            let soft = gradient(&z, smoothed(0.1, classes))[0];
            assert!((soft / hard - ratio).abs() < 1e-9, "{confidence}: {}", soft / hard);
            let stated = damping_ratio(0.1, Convention::OffClass, classes, confidence).unwrap();
            assert!((stated - ratio).abs() < 1e-12, "{confidence}: {stated}");
        }
    }

    #[test]
    fn a_constant_strength_damps_confident_rows_most_and_an_adaptive_one_damps_them_least() {
        let classes = 5;
        let constant: Vec<f64> = [0.3, 0.5, 0.7, 0.85]
            .iter()
            .map(|c| damping_ratio(0.1, Convention::Uniform, classes, *c).unwrap())
            .collect();
        assert!(constant.windows(2).all(|pair| pair[0] > pair[1]), "{constant:?}");
        // With γ = 2 the strength falls faster than the distance to certainty.
        let rule = ConfidenceAdaptive::new(0.2, 2.0).unwrap();
        let adaptive: Vec<f64> = [0.3, 0.5, 0.7, 0.85]
            .iter()
            .map(|&c| {
                let strength = rule.strength(c, classes).unwrap();
                damping_ratio(strength, Convention::Uniform, classes, c).unwrap()
            })
            .collect();
        assert!(adaptive.windows(2).all(|pair| pair[0] < pair[1]), "{adaptive:?}");
    }

    #[test]
    fn what_has_no_damping_is_refused() {
        for bad in [1.0, -0.1, f64::NAN] {
            assert!(damping_ratio(0.1, Convention::Uniform, 3, bad).is_err(), "{bad}");
        }
        assert!(damping_ratio(0.1, Convention::Uniform, 1, 0.5).is_err());
        assert!(self_training_fixed_point(0.6, Convention::OffClass, 2).is_err());
    }
}
