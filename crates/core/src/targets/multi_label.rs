//! Smoothing of multi-label targets, with a strength for each class and the published conventions.

use super::{BinaryRule, BinaryTargets, Entry, Make, Positives, SMOOTHING, TargetInfo};
use crate::error::{Error, Result, check_len, check_range_hint};
use crate::parameters::Parameter;

const CONVENTIONS: &[&str] = &["half", "symmetric", "over_classes"];

pub(super) const ENTRY: Entry = Entry {
    info: &INFO,
    make: Make::Binary(|p, k| {
        let convention = p.word("convention").parse()?;
        let rule = MultiLabel::new(&vec![p.number("smoothing"); k], convention)?;
        let threshold = p.number("threshold");
        Ok(Box::new(if threshold < 0.0 { rule } else { rule.threshold(threshold)? }))
    }),
};

const INFO: TargetInfo = TargetInfo {
    name: "multi_label",
    summary: "sigmoid targets with a strength for each class, in the convention of the framework to match",
    formula: "half: y(1-α)+α/2; symmetric: y(1-2α)+α; over_classes: y(1-α)+α/K",
    parameters: &[
        SMOOTHING,
        Parameter::choice("convention", "half", CONVENTIONS, "what the strength means"),
        Parameter::number(
            "threshold",
            -1.0,
            -1.0,
            1.0,
            "a smoothed target above it becomes 1, any other 0; negative: none",
        ),
    ],
    paper: "no single source; Keras and YOLO (half), mmpretrain (symmetric), timm and Burn (over_classes)",
};

/// What the strength of a sigmoid target means.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum MultiLabelConvention {
    /// `y(1-α) + α/2`: Keras, YOLO's smooth_BCE.
    #[default]
    Half,
    /// `y(1-2α) + α`: mmpretrain's `multi_label`; twice as strong as `Half`.
    Symmetric,
    /// `y(1-α) + α/K`: timm's binary cross-entropy and Burn's, which treat the row as one softmax.
    OverClasses,
}

impl MultiLabelConvention {
    /// The values of positives and negatives at strength `smoothing`.
    fn on_off(self, smoothing: f64, n_classes: usize) -> (f64, f64) {
        match self {
            MultiLabelConvention::Half => (1.0 - smoothing / 2.0, smoothing / 2.0),
            MultiLabelConvention::Symmetric => (1.0 - smoothing, smoothing),
            MultiLabelConvention::OverClasses => {
                let off = smoothing / n_classes as f64;
                (1.0 - smoothing + off, off)
            }
        }
    }

    /// Largest strength that keeps positives at or above negatives.
    fn max_smoothing(self) -> f64 {
        match self {
            MultiLabelConvention::Symmetric => 0.5,
            _ => 1.0,
        }
    }
}

impl std::str::FromStr for MultiLabelConvention {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "half" => Ok(MultiLabelConvention::Half),
            "symmetric" => Ok(MultiLabelConvention::Symmetric),
            "over_classes" => Ok(MultiLabelConvention::OverClasses),
            _ => Err(crate::registry::unknown("convention", name, CONVENTIONS.iter().copied())),
        }
    }
}

/// Smooths each class of a multi-label row with a strength of its own.
///
/// For tagging, where a row has any number of positive classes and each class its own sigmoid. A strength
/// a class lets frequent or ambiguous tags be smoothed more than rare ones.
///
/// # Shapes
/// Strengths are `[n_classes]`, in [0, 1], or [0, 1/2] for the symmetric convention.
///
/// # Examples
/// ```
/// use candor::targets::{BinaryRule, MultiLabel, MultiLabelConvention, Positives};
/// let rule = MultiLabel::new(&[0.2, 0.0], MultiLabelConvention::Half)?;
/// let targets = rule.targets(Positives::sets(vec![0, 2], vec![0, 1], 2)?)?;
/// assert_eq!(targets.dense_matrix(), [0.9, 1.0]);
/// # Ok::<(), candor::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct MultiLabel {
    on: Vec<f64>,
    off: Vec<f64>,
    threshold: Option<f64>,
}

impl MultiLabel {
    /// A rule with `strengths[k]` for class k.
    ///
    /// # Errors
    /// [`Error::Shape`] for no class, [`Error::OutOfRange`] for a strength outside its range.
    pub fn new(strengths: &[f64], convention: MultiLabelConvention) -> Result<Self> {
        if strengths.is_empty() {
            return Err(Error::Shape { what: "the class axis", expected: 1, got: 0 });
        }
        let hint = match convention {
            MultiLabelConvention::Symmetric => " (convention symmetric)",
            _ => "",
        };
        for &strength in strengths {
            check_range_hint("smoothing", strength, 0.0, convention.max_smoothing(), hint)?;
        }
        let values = strengths.iter().map(|&strength| convention.on_off(strength, strengths.len()));
        let (on, off) = values.unzip();
        Ok(Self { on, off, threshold: None })
    }

    /// With the smoothed targets binarised at `threshold` in [0, 1]; see [`BinaryTargets::binarised`].
    ///
    /// # Errors
    /// [`Error::OutOfRange`] outside that range or for NaN.
    pub fn threshold(self, threshold: f64) -> Result<Self> {
        check_range_hint("threshold", threshold, 0.0, 1.0, "")?;
        Ok(Self { threshold: Some(threshold), ..self })
    }
}

impl BinaryRule for MultiLabel {
    fn info(&self) -> &'static TargetInfo {
        &INFO
    }

    fn targets<'a>(&self, positives: Positives<'a>) -> Result<BinaryTargets<'a>> {
        check_len("the class axis of the labels", self.on.len(), positives.n_classes())?;
        let targets = BinaryTargets::new(positives, self.on.clone(), self.off.clone())?;
        match self.threshold {
            Some(threshold) => targets.binarised(threshold),
            None => Ok(targets),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(convention: MultiLabelConvention) -> Vec<f64> {
        let rule = MultiLabel::new(&[0.1; 4], convention).unwrap();
        rule.targets(Positives::sets(vec![0, 1], vec![2], 4).unwrap()).unwrap().dense_matrix()
    }

    #[test]
    fn each_convention_has_its_values() {
        for (convention, on, off) in [
            (MultiLabelConvention::Half, 0.95, 0.05),
            (MultiLabelConvention::Symmetric, 0.9, 0.1),
            (MultiLabelConvention::OverClasses, 0.925, 0.025),
        ] {
            let row = row(convention);
            assert!((row[2] - on).abs() < 1e-15 && (row[0] - off).abs() < 1e-15, "{convention:?}");
        }
    }

    #[test]
    fn a_threshold_acts_after_the_smoothing() {
        let positives = || Positives::dense(super::super::DenseRows::F64(&[0.6, 0.3, 0.0]), 3).unwrap();
        let rule = MultiLabel::new(&[0.2; 3], MultiLabelConvention::Half).unwrap();
        // 0.58, 0.34 and 0.1 after the smoothing.
        let at = |t| rule.clone().threshold(t).unwrap().targets(positives()).unwrap().dense_matrix();
        assert_eq!((at(0.0), at(0.32), at(0.58)), (vec![1.0; 3], vec![1.0, 1.0, 0.0], vec![0.0; 3]));
        let set = Positives::sets(vec![0, 1], vec![1], 3).unwrap();
        let targets = rule.clone().threshold(0.5).unwrap().targets(set).unwrap();
        let mut row = [f64::NAN; 3];
        assert!(targets.write_row(0, &mut row).unwrap());
        assert_eq!((row, targets.on_off(1), targets.on_off(3)), ([0.0, 1.0, 0.0], Some((1.0, 0.0)), None));
        assert!(rule.threshold(f64::NAN).is_err());
    }

    #[test]
    fn bad_arguments_are_refused() {
        assert!(MultiLabel::new(&[], MultiLabelConvention::Half).is_err());
        assert!(MultiLabel::new(&[0.6], MultiLabelConvention::Symmetric).is_err());
        assert!(MultiLabel::new(&[0.6], MultiLabelConvention::Half).is_ok());
        assert!("quarter".parse::<MultiLabelConvention>().is_err());
        let rule = MultiLabel::new(&[0.1; 2], MultiLabelConvention::Half).unwrap();
        assert!(rule.targets(Positives::sets(vec![0], vec![], 3).unwrap()).is_err());
    }
}
