//! What one setting of uniform smoothing will do: the document of `candor explain`.
//!
//! With K classes, α in the uniform convention and `q` the target: margin `ln(q_y/q_o)`, floor `H(q)`,
//! Lipschitz constant `√(2 - 2α + α²(1-1/K))`.

use super::{HESSIAN_BOUND, expected_underconfidence, mixup_concentration, teacher_temperature};
use crate::error::{Result, check_classes, check_range, check_range_hint};
use crate::targets::Convention;

/// The same target in both conventions.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Equivalent {
    /// The strength in the uniform convention.
    pub uniform: f64,
    /// The strength in the off-class convention.
    pub off_class: f64,
}

/// What a strength of uniform smoothing will do before any training.
///
/// Losses are in nats, probabilities and strengths fractions. A margin, logit or temperature that is
/// infinite (strength 0, or uniform targets) is `None`, in JSON `null`.
///
/// # Examples
/// ```
/// use candor::{Convention, theory::Explanation};
/// let explained = Explanation::new(0.1, Convention::OffClass, 5)?;
/// assert!((explained.margin.unwrap() - 36f64.ln()).abs() < 1e-12);
/// assert!((explained.equivalent.uniform - 0.125).abs() < 1e-12);
/// # Ok::<(), candor::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct Explanation {
    /// Number of classes K.
    pub classes: usize,
    /// The strength α as given.
    pub smoothing: f64,
    /// What the strength means.
    pub convention: Convention,
    /// Target of the label, and its probability at the optimum.
    pub target_true: f64,
    /// Target of each other class, and its probability at the optimum.
    pub target_other: f64,
    /// Logit of the label minus that of any other class at the optimum; `None` if infinite.
    pub margin: Option<f64>,
    /// Logit of the label at the optimum where the logits have mean 0; `None` if infinite.
    pub logit_true: Option<f64>,
    /// Logit of each other class at the optimum where the logits have mean 0; `None` if infinite.
    pub logit_other: Option<f64>,
    /// The smallest loss that can be reached, `H(q)` in nats; subtract it before comparing strengths.
    pub loss_floor: f64,
    /// Lipschitz constant of the loss in the logits, Euclidean norm.
    pub lipschitz_l2: f64,
    /// Largest possible entry of the gradient.
    pub gradient_linf: f64,
    /// Largest possible sum of absolute gradient entries.
    pub gradient_l1: f64,
    /// Euclidean norm of the gradient at the uniform prediction.
    pub gradient_at_uniform: f64,
    /// Largest eigenvalue of the Hessian, which smoothing does not change.
    pub hessian_bound: f64,
    /// Share of a hard label's gradient and of a label flip's effect that is left.
    pub effective_hard_weight: f64,
    /// The strength of the same target in both conventions.
    pub equivalent: Equivalent,
    /// The accuracy that `expected_underconfidence` assumes.
    pub accuracy: f64,
    /// Accuracy minus mean confidence of a model that reaches the optimum.
    pub expected_underconfidence: f64,
    /// The margin of the teacher that `teacher_temperature` assumes.
    pub teacher_margin: f64,
    /// The temperature at which a teacher of that margin gives these targets; `None` if infinite.
    pub teacher_temperature: Option<f64>,
    /// The share of labels whose replacement by uniform draws has these targets as its expectation.
    pub label_noise: f64,
    /// The concentration `a` of Mixup (λ from Beta(a, a)) that smooths as much, for balanced classes; `None`
    /// above a strength of .49, which no Mixup reaches.
    pub mixup_concentration: Option<f64>,
    /// The temperature τ of sequences sampled by the Hamming reward that smooths tokens as much; `None` if
    /// infinite.
    pub hamming_temperature: Option<f64>,
}

/// Margin of the equivalent teacher unless one is given: that of a confident network.
const DEFAULT_TEACHER_MARGIN: f64 = 10.0;

impl Explanation {
    /// The explanation of `smoothing` in `convention` over `n_classes`, for a model that is always right.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) for fewer than two classes, or a strength outside
    /// [0, 1] (uniform) or [0, (K-1)/K] (off-class).
    pub fn new(smoothing: f64, convention: Convention, n_classes: usize) -> Result<Self> {
        check_classes(n_classes)?;
        let hint = match convention {
            Convention::Uniform => " (convention uniform)",
            Convention::OffClass => " = (K-1)/K (convention off_class)",
        };
        check_range_hint("smoothing", smoothing, 0.0, convention.max_smoothing(n_classes), hint)?;
        let k = n_classes as f64;
        let uniform = convention.to_uniform(smoothing, n_classes);
        let off_class = convention.to_off_class(smoothing, n_classes);
        let (target_true, target_other) = (1.0 - off_class, off_class / (k - 1.0));
        // The sums of TargetTheory over a row of one label and K-1 equal others, without building it.
        let entropy = |q: f64| if q > 0.0 { q * q.ln() } else { 0.0 };
        let squares = target_true * target_true + (k - 1.0) * target_other * target_other;
        let margin = Some((target_true / target_other).ln()).filter(|m| m.is_finite());
        // ‖u - q‖₂ of a row with one other mass.
        let hard = (1.0 - 1.0 / k).sqrt();
        Ok(Self {
            classes: n_classes,
            smoothing,
            convention,
            target_true,
            target_other,
            margin,
            logit_true: margin.map(|m| m * (k - 1.0) / k),
            logit_other: margin.map(|m| -m / k),
            loss_floor: 0.0 - entropy(target_true) - (k - 1.0) * entropy(target_other),
            lipschitz_l2: (1.0 - 2.0 * target_other + squares).max(0.0).sqrt(),
            gradient_linf: 1.0 - target_other,
            gradient_l1: 2.0 - 2.0 * target_other,
            gradient_at_uniform: (1.0 - uniform) * hard,
            hessian_bound: HESSIAN_BOUND,
            effective_hard_weight: 1.0 - uniform,
            equivalent: Equivalent { uniform, off_class },
            accuracy: 1.0,
            expected_underconfidence: uniform * (1.0 - 1.0 / k),
            teacher_margin: DEFAULT_TEACHER_MARGIN,
            teacher_temperature: temperature(DEFAULT_TEACHER_MARGIN, off_class, n_classes)?,
            label_noise: uniform,
            mixup_concentration: mixup_concentration(uniform).ok(),
            hamming_temperature: temperature(1.0, off_class, n_classes)?,
        })
    }

    /// The same for a model of this accuracy, a fraction.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) unless `accuracy` is in [0, 1].
    pub fn with_accuracy(mut self, accuracy: f64) -> Result<Self> {
        let (strength, classes) = (self.equivalent.uniform, self.classes);
        self.expected_underconfidence = expected_underconfidence(strength, accuracy, classes)?;
        self.accuracy = accuracy;
        Ok(self)
    }

    /// The same beside a teacher of this logit margin.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) unless `margin` is positive and finite.
    pub fn with_teacher_margin(mut self, margin: f64) -> Result<Self> {
        check_range("teacher_margin", margin, f64::MIN_POSITIVE, f64::MAX)?;
        self.teacher_temperature = temperature(margin, self.equivalent.off_class, self.classes)?;
        self.teacher_margin = margin;
        Ok(self)
    }
}

/// Uniform targets belong to an infinite temperature.
fn temperature(margin: f64, off_class: f64, n_classes: usize) -> Result<Option<f64>> {
    let temperature = teacher_temperature(off_class, margin, n_classes)?;
    Ok(Some(temperature).filter(|t| t.is_finite()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;
    use crate::theory::TargetTheory;

    #[test]
    fn an_infinite_margin_is_null_in_json() {
        let plain = Explanation::new(0.0, Convention::Uniform, 3).unwrap();
        let json = serde_json::to_value(&plain).unwrap();
        assert!(json["margin"].is_null() && json["logit_true"].is_null());
        assert_eq!(json["loss_floor"], 0.0);
        assert_eq!(json["teacher_temperature"], 0.0);
        assert_eq!(json["convention"], "uniform");
        assert_eq!(serde_json::from_value::<Explanation>(json).unwrap(), plain);
        let even = Explanation::new(1.0, Convention::Uniform, 3).unwrap();
        assert!(even.margin.unwrap().abs() < 1e-15);
        assert_eq!(even.teacher_temperature, None);
    }

    #[test]
    fn the_closed_forms_of_the_uniform_convention() {
        for (k, a) in [(2, 0.1), (5, 0.1), (10, 0.3), (1000, 0.9)] {
            let e = Explanation::new(a, Convention::Uniform, k).unwrap();
            let k = k as f64;
            assert!((e.lipschitz_l2 - (2.0 - 2.0 * a + a * a * (1.0 - 1.0 / k)).sqrt()).abs() < 1e-12);
            assert!((e.gradient_linf - (1.0 - a / k)).abs() < 1e-12);
            assert!((e.gradient_l1 - (2.0 - 2.0 * a / k)).abs() < 1e-12);
            assert!((e.margin.unwrap() - (1.0 + k * (1.0 - a) / a).ln()).abs() < 1e-12);
            assert!((e.logit_true.unwrap() - e.logit_other.unwrap() - e.margin.unwrap()).abs() < 1e-12);
            assert!((e.logit_true.unwrap() + (k - 1.0) * e.logit_other.unwrap()).abs() < 1e-9);
        }
    }

    #[test]
    fn the_closed_forms_agree_with_the_theory_of_the_row() {
        for (k, a) in [(2, 0.0), (2, 1.0), (3, 0.25), (100, 0.1)] {
            let e = Explanation::new(a, Convention::Uniform, k).unwrap();
            let mut row = vec![e.target_other; k];
            row[k - 1] = e.target_true;
            let theory = TargetTheory::new(&row).unwrap();
            assert!((theory.loss_floor().unwrap() - e.loss_floor).abs() < 1e-12, "{k} {a}");
            assert!((theory.lipschitz_l2() - e.lipschitz_l2).abs() < 1e-12, "{k} {a}");
            assert!((theory.gradient_linf() - e.gradient_linf).abs() < 1e-12, "{k} {a}");
            assert!((theory.gradient_l1() - e.gradient_l1).abs() < 1e-12, "{k} {a}");
            assert!((theory.effective_hard_weight() - e.effective_hard_weight).abs() < 1e-12, "{k} {a}");
            let start = theory.gradient_at_uniform().iter().map(|g| g * g).sum::<f64>().sqrt();
            assert!((start - e.gradient_at_uniform).abs() < 1e-12, "{k} {a}");
        }
    }

    #[test]
    fn accuracy_and_teacher_enter_their_own_figures_only() {
        let base = Explanation::new(0.4, Convention::Uniform, 2).unwrap();
        let e = base.clone().with_accuracy(0.908).unwrap().with_teacher_margin(5.0).unwrap();
        assert!((e.expected_underconfidence - 0.1632).abs() < 1e-12);
        assert!((e.teacher_temperature.unwrap() - 5.0 / 4f64.ln()).abs() < 1e-12);
        assert_eq!(e.loss_floor, base.loss_floor);
    }

    #[test]
    fn equivalent_noise_mixup_and_sampling() {
        let e = Explanation::new(0.25, Convention::Uniform, 4).unwrap();
        assert_eq!(e.label_noise, 0.25);
        assert!((e.mixup_concentration.unwrap() - 1.0).abs() < 1e-9);
        // The odds of the label are 13:1 against each other class.
        assert!((e.hamming_temperature.unwrap() - 1.0 / 13f64.ln()).abs() < 1e-12);
        let strong = Explanation::new(1.0, Convention::Uniform, 4).unwrap();
        assert_eq!((strong.mixup_concentration, strong.hamming_temperature), (None, None));
    }

    #[test]
    fn settings_out_of_range_are_refused() {
        let new = Explanation::new;
        for (smoothing, convention, k, argument) in [
            (0.1, Convention::Uniform, 1, "n_classes"),
            (0.0, Convention::OffClass, 0, "n_classes"),
            (1.1, Convention::Uniform, 3, "smoothing"),
            (0.7, Convention::OffClass, 3, "smoothing"),
            (-0.1, Convention::Uniform, 3, "smoothing"),
            (f64::NAN, Convention::Uniform, 3, "smoothing"),
        ] {
            let error = new(smoothing, convention, k).unwrap_err();
            assert!(
                matches!(error, Error::OutOfRange { argument: found, .. } if found == argument),
                "{error}"
            );
        }
        let e = new(0.1, Convention::Uniform, 3).unwrap();
        assert!(e.clone().with_accuracy(1.1).is_err());
        assert!(e.with_teacher_margin(0.0).is_err());
    }
}
