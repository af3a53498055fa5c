//! A teacher's top classes, a hard label and smoothing in one row.

use super::sparse_rows::SparseRows;
use super::{Background, Entry, Make, TARGET_TOLERANCE, TargetInfo, Targets};
use crate::batch::Labels;
use crate::error::{Error, Result, check_classes, check_len, check_range};
use crate::parameters::Parameter;

pub(super) const ENTRY: Entry =
    Entry { info: &INFO, make: Make::Data("a teacher's top probabilities for each row (Teacher::targets)") };

const INFO: TargetInfo = TargetInfo {
    name: "teacher",
    summary: "a teacher's top-k probabilities beside the hard label and uniform smoothing",
    formula: "q = (1-α)·(h·onehot(y) + (1-h)·t) + α/K, t = top-k, its rest even or renormalised",
    parameters: &[
        Parameter::number("smoothing", 0.0, 0.0, 1.0, "the strength α"),
        Parameter::number("hard_weight", 0.1, 0.0, 1.0, "weight h of the hard label"),
        Parameter::choice("leftover", "even", &["even", "renormalise"], "what becomes of the teacher's rest"),
    ],
    paper: "Hinton et al. 2015, arXiv:1503.02531",
};

/// What becomes of the probability that a teacher gave to classes outside its top k.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Leftover {
    /// It is spread evenly over all classes.
    #[default]
    Even,
    /// The top k are scaled to sum to 1.
    Renormalise,
}

/// Distillation targets from the few largest probabilities of a teacher.
///
/// For large vocabularies, where a teacher's full rows would not fit: a row takes k pairs. The teacher's
/// temperature is applied by whoever saves its probabilities. The un-smoothed figures of a loss (NLL) are
/// against the mixture of teacher and hard label.
///
/// # Shapes
/// `classes` and `masses` are `[n, k]`, row after row; the masses of a row sum to at most 1.
///
/// # Examples
/// ```
/// use candor::{Labels, targets::{Leftover, Teacher}};
/// let rule = Teacher::new(0.0, 0.5, Leftover::Even)?;
/// let targets = rule.targets(Labels::new(&[1], 4)?, &[0, 1], &[0.6, 0.2])?;
/// let q = targets.row(0).unwrap().dense(4);
/// for (got, want) in q.iter().zip([0.325, 0.625, 0.025, 0.025]) {
///     assert!((got - want).abs() < 1e-15);
/// }
/// # Ok::<(), candor::Error>(())
/// ```
///
/// # References
/// Hinton, Vinyals & Dean, *Distilling the Knowledge in a Neural Network*, 2015, arXiv:1503.02531.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Teacher {
    smoothing: f64,
    hard_weight: f64,
    leftover: Leftover,
}

impl Teacher {
    /// A rule of strength `smoothing` and weight `hard_weight` of the hard label, both in `[0, 1]`.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] outside those ranges or for NaN.
    pub fn new(smoothing: f64, hard_weight: f64, leftover: Leftover) -> Result<Self> {
        check_range("smoothing", smoothing, 0.0, 1.0)?;
        check_range("hard_weight", hard_weight, 0.0, 1.0)?;
        Ok(Self { smoothing, hard_weight, leftover })
    }

    /// The targets of a batch; the pairs of ignored rows are not read.
    ///
    /// # Errors
    /// [`Error::Shape`] unless classes and masses hold the same number of pairs for each row,
    /// [`Error::LabelOutOfRange`] for a class outside the range, [`Error::ProbabilityValue`] for a mass
    /// outside [0, 1], [`Error::TargetSum`] for a row above 1, or without any mass to renormalise.
    pub fn targets(&self, labels: Labels<'_>, classes: &[u32], masses: &[f64]) -> Result<Targets<'static>> {
        let (n_rows, n_classes) = (labels.len(), labels.n_classes());
        check_classes(n_classes)?;
        check_len("the teacher's masses", classes.len(), masses.len())?;
        let top = classes.len().checked_div(n_rows).unwrap_or(0);
        check_len("the teacher's pairs, k for each row,", n_rows * top, classes.len())?;
        let mut rows = SparseRows::with_capacity(n_rows);
        let mut strengths = vec![0.0; n_rows];
        for (row, strength) in strengths.iter_mut().enumerate() {
            let Some(label) = labels.get(row) else {
                rows.ignored_row();
                continue;
            };
            let pairs = row * top..(row + 1) * top;
            let (classes, masses) = (&classes[pairs.clone()], &masses[pairs]);
            let sum = check_pairs(row, classes, masses, n_classes)?;
            let (factor, rest) = match self.leftover {
                Leftover::Even => (1.0, (1.0 - sum).max(0.0)),
                Leftover::Renormalise if sum > 0.0 => (1.0 / sum, 0.0),
                Leftover::Renormalise => return Err(Error::TargetSum { row, sum }),
            };
            let soft = 1.0 - self.hard_weight;
            // The even parts of teacher and smoothing are one background of this strength.
            *strength = ((1.0 - self.smoothing) * soft * rest + self.smoothing).min(1.0);
            let explicit = self.hard_weight + soft * (1.0 - rest);
            if explicit > 0.0 {
                rows.add(label, self.hard_weight / explicit);
                for (&class, &mass) in classes.iter().zip(masses) {
                    rows.add(class as usize, soft * factor * mass / explicit);
                }
            } else {
                rows.add(label, 1.0);
            }
            rows.end_row();
        }
        rows.finish(n_classes)?.smoothed_per_row(strengths, Background::Uniform)
    }
}

/// Checks one row of a teacher and returns its sum.
fn check_pairs(row: usize, classes: &[u32], masses: &[f64], n_classes: usize) -> Result<f64> {
    let mut sum = 0.0;
    for (&class, &value) in classes.iter().zip(masses) {
        if class as usize >= n_classes {
            let label = i64::from(class);
            return Err(Error::LabelOutOfRange { row, label, n_classes, ignore_index: None });
        }
        if !(0.0..=1.0).contains(&value) {
            return Err(Error::ProbabilityValue { row, class: class as usize, value });
        }
        sum += value;
    }
    if sum > 1.0 + TARGET_TOLERANCE {
        return Err(Error::TargetSum { row, sum });
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(rule: Teacher, classes: &[u32], masses: &[f64]) -> Vec<f64> {
        rule.targets(Labels::new(&[1], 4).unwrap(), classes, masses).unwrap().row(0).unwrap().dense(4)
    }

    #[test]
    fn the_row_is_the_formula() {
        for (smoothing, hard) in [(0.0, 0.0), (0.1, 0.3), (0.5, 1.0), (1.0, 0.2)] {
            let q = row(Teacher::new(smoothing, hard, Leftover::Even).unwrap(), &[2, 1], &[0.5, 0.3]);
            let teacher = [0.05, 0.35, 0.55, 0.05];
            for class in 0..4 {
                let mixed = hard * f64::from(u8::from(class == 1)) + (1.0 - hard) * teacher[class];
                let want = (1.0 - smoothing) * mixed + smoothing / 4.0;
                assert!((q[class] - want).abs() < 1e-15, "{smoothing} {hard} {class}");
            }
        }
    }

    #[test]
    fn renormalised_rows_have_no_mass_outside_the_top() {
        let q = row(Teacher::new(0.0, 0.0, Leftover::Renormalise).unwrap(), &[2, 1], &[0.6, 0.2]);
        for (got, want) in q.iter().zip([0.0, 0.25, 0.75, 0.0]) {
            assert!((got - want).abs() < 1e-15);
        }
    }

    #[test]
    fn a_teacher_without_mass_is_uniform_or_an_error() {
        assert_eq!(row(Teacher::new(0.0, 0.0, Leftover::Even).unwrap(), &[2], &[0.0]), [0.25; 4]);
        let labels = Labels::new(&[1], 4).unwrap();
        let rule = Teacher::new(0.0, 0.0, Leftover::Renormalise).unwrap();
        assert!(matches!(rule.targets(labels, &[2], &[0.0]), Err(Error::TargetSum { .. })));
    }

    #[test]
    fn each_bad_argument_has_its_error() {
        let rule = Teacher::new(0.0, 0.5, Leftover::Even).unwrap();
        let labels = Labels::new(&[1, 0], 4).unwrap();
        let of = |classes: &[u32], masses: &[f64]| rule.targets(labels, classes, masses).unwrap_err();
        assert!(matches!(of(&[0, 1], &[0.5]), Error::Shape { .. }));
        assert!(matches!(of(&[0, 1, 2], &[0.5; 3]), Error::Shape { .. }));
        assert!(matches!(of(&[0, 4], &[0.5, 0.5]), Error::LabelOutOfRange { row: 1, label: 4, .. }));
        assert!(matches!(of(&[0, 1], &[0.5, -0.5]), Error::ProbabilityValue { row: 1, .. }));
        assert!(matches!(of(&[0, 1, 2, 3], &[0.9, 0.2, 0.1, 0.1]), Error::TargetSum { row: 0, .. }));
        assert!(Teacher::new(0.0, 1.5, Leftover::Even).is_err());
        assert!(Teacher::new(-0.1, 0.5, Leftover::Even).is_err());
    }
}
