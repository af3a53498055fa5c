//! One curve for each class, each fitted on "this class or not", renormalised over the classes.
//!
//! Two classes have one curve, that of class 1. Where every curve of a row gives 0, the allowed classes
//! share the mass equally.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::fit_report::{Ending, FitWarning};
use super::{CalibrationMap, CalibratorInfo, Curve, Fit, Map, Sample, WarningCode, rows};
use crate::error::{Result, check_range};
use crate::parameters::Parameters;

/// What the curve of a class reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Score {
    /// ln p/(1-p), computed from the logits, so that nothing rounds to 0 or 1.
    LogOdds,
    /// The logit of the class; the difference of both for two classes.
    Logit,
}

impl Score {
    pub(super) fn of(parameters: &Parameters) -> Self {
        if parameters.word("score") == "logit" { Score::Logit } else { Score::LogOdds }
    }

    /// The scores of a row, one a class; not finite where the class is masked or alone.
    fn scores(self, logits: &[f64], out: &mut [f64]) {
        match self {
            Score::LogOdds => rows::log_odds(logits, out),
            Score::Logit if logits.len() == 2 => rows::log_odds(logits, out),
            Score::Logit => out.copy_from_slice(logits),
        }
    }
}

/// One curve for each class (one in all for two classes).
///
/// # Examples
/// ```
/// use candor::calibrators::{Map, OneVsRest, PlattCurve, Score};
/// let curves = vec![PlattCurve { a: 2.0, b: 0.0 }];
/// let map = Map::from(OneVsRest { score: Score::LogOdds, curves });
/// let out = map.probs(candor::Logits::new(&[0.0, 3.0_f64.ln()], 2)?, None)?;
/// assert!((out[1] - 0.9).abs() < 1e-15);
/// # Ok::<(), candor::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OneVsRest<C> {
    /// What the curves read.
    pub score: Score,
    /// The curves: of class 1 for two classes, else one for each class.
    pub curves: Vec<C>,
}

/// The rows of one class against the rest.
pub(super) struct ClassRows {
    /// The scores, all finite.
    pub x: Vec<f64>,
    /// 1 for rows of the class, else 0.
    pub y: Vec<f64>,
    pub weights: Vec<f64>,
}

/// A fitted curve and how its fit ended; warnings without a place.
pub(super) struct CurveFit<C> {
    pub curve: C,
    pub ending: Ending,
}

impl<C> CurveFit<C> {
    /// A curve that a formula gives.
    pub fn direct(curve: C) -> Self {
        Self { curve, ending: Ending::direct() }
    }
}

impl<C: Curve> OneVsRest<C>
where
    Map: From<OneVsRest<C>>,
{
    /// Fits the curves, class by class.
    pub(super) fn fit(
        sample: &Sample,
        score: Score,
        fit: impl Fn(&ClassRows) -> CurveFit<C> + Sync,
    ) -> Result<Fit> {
        let k = sample.n_classes();
        let mut scores = vec![0.0; sample.n_rows() * k];
        for (row, out) in scores.chunks_exact_mut(k).enumerate() {
            score.scores(sample.row(row), out);
        }
        let classes: Vec<usize> = if k == 2 { vec![1] } else { (0..k).collect() };
        let fits: Vec<CurveFit<C>> = classes
            .par_iter()
            .map(|&class| {
                let mut rows = ClassRows { x: Vec::new(), y: Vec::new(), weights: Vec::new() };
                for (row, &label) in sample.labels().iter().enumerate() {
                    let x = scores[row * k + class];
                    // A masked class, or the only allowed one, says nothing about a curve.
                    if x.is_finite() {
                        rows.x.push(x);
                        rows.y.push(f64::from(u8::from(label == class)));
                        rows.weights.push(sample.weights()[row]);
                    }
                }
                fit(&rows)
            })
            .collect();
        let mut ending = Ending::direct();
        let mut places: std::collections::BTreeMap<WarningCode, Vec<String>> = Default::default();
        for (class, found) in classes.iter().zip(&fits) {
            ending.iterations = ending.iterations.max(found.ending.iterations);
            ending.gradient_norm = ending.gradient_norm.max(found.ending.gradient_norm);
            ending.converged &= found.ending.converged;
            for warning in &found.ending.warnings {
                places.entry(warning.code).or_default().push(class.to_string());
            }
        }
        for (code, names) in places {
            let about = match names.len() {
                _ if k == 2 => Some(FitWarning::new(code)),
                1 => FitWarning::about(code, "class", &names),
                _ => FitWarning::about(code, "classes", &names),
            };
            ending.warnings.extend(about);
        }
        ending.warn_of_absent_classes(sample);
        let map = OneVsRest { score, curves: fits.into_iter().map(|fit| fit.curve).collect() };
        Ok(Fit::new(map.into(), sample, ending))
    }
}

impl<C: Curve> CalibrationMap for OneVsRest<C> {
    fn info(&self) -> &'static CalibratorInfo {
        C::info()
    }

    fn n_parameters(&self) -> usize {
        self.curves.iter().map(Curve::n_parameters).sum()
    }

    fn n_classes(&self) -> Option<usize> {
        Some(self.curves.len().max(2))
    }

    fn check(&self) -> Result<()> {
        check_range("the number of curves", self.curves.len() as f64, 1.0, f64::MAX)?;
        // Two classes have one curve.
        if self.curves.len() == 2 {
            crate::error::check_len("the curves of a map for two classes", 1, 2)?;
        }
        self.curves.iter().try_for_each(Curve::check)
    }

    fn apply_row(&self, logits: &[f64], _: Option<&str>, out: &mut [f64]) {
        self.score.scores(logits, out);
        if let ([curve], [no, yes]) = (self.curves.as_slice(), &mut *out) {
            if yes.is_finite() {
                let (log_yes, log_no) = curve.log_pair(*yes);
                (*no, *yes) = (log_no, log_yes);
            } else {
                out.copy_from_slice(logits);
            }
            return;
        }
        let alone = logits.iter().filter(|z| **z != f64::NEG_INFINITY).count() == 1;
        if alone {
            out.copy_from_slice(logits);
            return;
        }
        for (out, curve) in out.iter_mut().zip(&self.curves) {
            if out.is_finite() {
                *out = curve.log_pair(*out).0;
            }
        }
        if rows::max(out) == f64::NEG_INFINITY {
            for (out, z) in out.iter_mut().zip(logits) {
                *out = if *z == f64::NEG_INFINITY { *z } else { 0.0 };
            }
        }
    }
}
