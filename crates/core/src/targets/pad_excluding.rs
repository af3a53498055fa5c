//! Off-class smoothing over a vocabulary without its padding symbol, as in OpenNMT.

use super::{Background, Entry, Make, Priors, TargetInfo, TargetRule, Targets};
use crate::batch::Labels;
use crate::error::{Error, MAX_CLASSES, Result, check_range, check_range_hint};
use crate::parameters::Parameter;

pub(super) const ENTRY: Entry = Entry {
    info: &INFO,
    make: Make::Rule(|p, k| {
        let pad = p.number("pad");
        if pad.fract() != 0.0 {
            let hint = " and a whole number";
            return Err(Error::OutOfRange { argument: "pad", got: pad, min: 0.0, max: k as f64 - 1.0, hint });
        }
        Ok(Box::new(PadExcluding::new(p.number("smoothing"), pad as usize, k)?))
    }),
};

const INFO: TargetInfo = TargetInfo {
    name: "pad_excluding",
    summary: "off-class smoothing whose mass never goes to the padding symbol; rows of padding are ignored",
    formula: "q = 1-α on y, 0 on the pad, α/(K-2) elsewhere",
    parameters: &[
        super::SMOOTHING,
        Parameter::number("pad", 0.0, 0.0, u32::MAX as f64, "the class of the padding symbol"),
    ],
    paper: "Klein et al. 2017, arXiv:1701.02810 (OpenNMT-py, LabelSmoothingLoss)",
};

/// `1-α` on the label, nothing on the padding symbol, `α/(K-2)` on each other class.
///
/// For translation models that were trained with OpenNMT or the Annotated Transformer: a vocabulary with a
/// padding symbol that is never to be predicted. Rows whose label is the padding are ignored. OpenNMT's
/// own loss also subtracts the entropy of the target; its gradient is the same.
///
/// Where further classes are masked by logits of -inf, the label keeps `1-α'` plus its even share, with
/// α' = `α(K-1)/(K-2)` the equivalent uniform strength.
///
/// # Examples
/// ```
/// use candor::targets::{PadExcluding, TargetRule};
/// let q = PadExcluding::new(0.1, 0, 4)?.distribution(2, 4)?;
/// for (got, want) in q.iter().zip([0.0, 0.05, 0.9, 0.05]) {
///     assert!((got - want).abs() < 1e-15);
/// }
/// # Ok::<(), candor::Error>(())
/// ```
///
/// # References
/// Klein et al., *OpenNMT: Open-Source Toolkit for Neural Machine Translation*, 2017, arXiv:1701.02810.
#[derive(Debug, Clone)]
pub struct PadExcluding {
    uniform: f64,
    pad: usize,
    n_classes: usize,
    prior: Priors<'static>,
}

impl PadExcluding {
    /// A rule of strength `smoothing` in `[0, (K-2)/(K-1)]` for K = `n_classes` with the padding among them.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for fewer than three classes, a strength outside that range, or a `pad` that
    /// is not a class.
    pub fn new(smoothing: f64, pad: usize, n_classes: usize) -> Result<Self> {
        check_range_hint("n_classes", n_classes as f64, 3.0, MAX_CLASSES, " (one of them the padding)")?;
        check_range("pad", pad as f64, 0.0, n_classes as f64 - 1.0)?;
        let real = n_classes as f64 - 1.0;
        let max = (real - 1.0) / real;
        check_range_hint("smoothing", smoothing, 0.0, max, " = (K-2)/(K-1) (padding excluded)")?;
        let mut prior = vec![1.0 / real; n_classes];
        prior[pad] = 0.0;
        // The quotient can round to just above 1 at the end of the range.
        let uniform = (smoothing * real / (real - 1.0)).min(1.0);
        Ok(Self { uniform, pad, n_classes, prior: prior.into() })
    }

    /// The strength of the same target in the uniform convention over the classes without the padding.
    pub fn uniform_smoothing(&self) -> f64 {
        self.uniform
    }
}

impl TargetRule for PadExcluding {
    fn info(&self) -> &'static TargetInfo {
        &INFO
    }

    fn targets<'a>(&self, labels: Labels<'a>) -> Result<Targets<'a>> {
        labels.check_classes(self.n_classes)?;
        let pads: Vec<bool> = (0..labels.len()).map(|row| labels.get(row) == Some(self.pad)).collect();
        let background = Background::Prior(self.prior.clone());
        Targets::labels(labels).smoothed(self.uniform, background).with_ignored(pads)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_padding_are_ignored_and_the_pad_column_is_zero() {
        let rule = PadExcluding::new(0.3, 1, 5).unwrap();
        let targets = rule.targets(Labels::with_ignore(&[0, 1, -1, 4], 5, Some(-1)).unwrap()).unwrap();
        assert_eq!(targets.counted(), 2);
        assert!(targets.row(1).is_none() && targets.row(2).is_none());
        for (row, want) in [(0, [0.7, 0.0, 0.1, 0.1, 0.1]), (3, [0.1, 0.0, 0.1, 0.1, 0.7])] {
            let q = targets.row(row).unwrap().dense(5);
            assert!(q.iter().zip(want).all(|(got, want)| (got - want).abs() < 1e-15), "{q:?}");
        }
    }

    #[test]
    fn arguments_out_of_range_are_refused() {
        assert!(PadExcluding::new(0.1, 0, 2).is_err());
        assert!(PadExcluding::new(0.1, 4, 4).is_err());
        assert!(PadExcluding::new(0.67, 0, 4).is_err());
        assert!(PadExcluding::new(2.0 / 3.0, 0, 4).is_ok());
        let given = [("pad".to_owned(), crate::parameters::ParameterValue::Number(0.5))].into();
        assert!(matches!(
            crate::targets::by_name("pad_excluding", &given, 4),
            Err(Error::OutOfRange { argument: "pad", .. })
        ));
    }
}
