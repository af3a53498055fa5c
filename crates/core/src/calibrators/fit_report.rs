//! How a fit ended: iterations, gradient, figures before and after, warnings with stable codes.

use serde::{Deserialize, Serialize};

use super::solver::Solution;
use super::{Identity, Map, Sample};

/// A fitted map with its evidence.
#[derive(Debug, Clone, PartialEq)]
pub struct Fit {
    /// The map.
    pub map: Map,
    /// How the fit ended.
    pub report: FitReport,
}

/// How a fit ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FitReport {
    /// Rows that counted.
    pub rows: usize,
    /// Whether the fit is at its optimum, or at the bound that a warning names.
    pub converged: bool,
    /// Steps of the solver; 0 where a formula gives the map.
    pub iterations: usize,
    /// Largest component of the gradient at the end, in nats; 0 where a formula gives the map.
    pub gradient_norm: f64,
    /// Weighted mean NLL of the fitted rows before, in nats; beyond the range of numbers it is the largest one.
    pub nll_before: f64,
    /// Weighted mean NLL of the fitted rows after, in nats; beyond the range of numbers it is the largest one.
    pub nll_after: f64,
    /// What the user should know.
    pub warnings: Vec<FitWarning>,
}

/// Something about a fit that the user should know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FitWarning {
    /// The stable code.
    pub code: WarningCode,
    /// Where: a class, a group; empty for the whole fit.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub place: String,
}

/// The stable codes of the warnings of fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum WarningCode {
    /// The fitted rows are classified without error, so the best map has no uncertainty left.
    Separable,
    /// Larger scores go with the wrong classes.
    AntiCorrelated,
    /// The scores are constant, so they say nothing.
    Flat,
    /// A number stopped at its bound.
    Bounded,
    /// The solver stopped before the optimum.
    NotConverged,
    /// No fitted row has this class.
    AbsentClass,
    /// A group has too few rows of its own.
    FewRows,
    /// A label has lost all its probability, so the NLL is infinite.
    ZeroProbability,
    /// No candidate did better than the fallback.
    NoGain,
}

impl WarningCode {
    /// The code as it stands in files.
    pub fn name(self) -> &'static str {
        match self {
            WarningCode::Separable => "separable",
            WarningCode::AntiCorrelated => "anti_correlated",
            WarningCode::Flat => "flat",
            WarningCode::Bounded => "bounded",
            WarningCode::NotConverged => "not_converged",
            WarningCode::AbsentClass => "absent_class",
            WarningCode::FewRows => "few_rows",
            WarningCode::ZeroProbability => "zero_probability",
            WarningCode::NoGain => "no_gain",
        }
    }

    /// What was found, and the remedy.
    pub fn message(self) -> &'static str {
        match self {
            WarningCode::Separable => {
                "every fitted row is classified correctly with a margin, so the best map leaves no doubt; it was stopped where the loss vanishes. Fit on held-out rows, not on training rows"
            }
            WarningCode::AntiCorrelated => {
                "larger scores go with wrong classes, so the best map ignores or reverses them. Check that labels and scores belong together"
            }
            WarningCode::Flat => "the scores are constant, so every map of this kind fits equally well",
            WarningCode::Bounded => "a number of the map stopped at its bound",
            WarningCode::NotConverged => {
                "the solver stopped before the optimum; the map is usable, but another one may fit better"
            }
            WarningCode::AbsentClass => {
                "no fitted row has this class, so the map gives it next to no probability. Fit on rows of every class"
            }
            WarningCode::FewRows => "the group has too few rows of its own, so the pooled map serves it",
            WarningCode::ZeroProbability => {
                "a label of a fitted row has lost all its probability, so the NLL is infinite. Use a floor above 0"
            }
            WarningCode::NoGain => {
                "no value does better than the largest softmax probability, so that is kept"
            }
        }
    }
}

impl FitWarning {
    /// A warning about the whole fit.
    pub fn new(code: WarningCode) -> Self {
        Self { code, place: String::new() }
    }

    /// A warning about some classes or groups, the first few by name; `None` if there are none.
    pub(super) fn about(code: WarningCode, kind: &str, names: &[String]) -> Option<Self> {
        /// More names than this are only counted.
        const SHOWN: usize = 5;
        if names.is_empty() {
            return None;
        }
        let shown = names[..names.len().min(SHOWN)].join(", ");
        let more = match names.len().saturating_sub(SHOWN) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        Some(Self { code, place: format!("{kind} {shown}{more}") })
    }

    /// The message, with the place.
    pub fn message(&self) -> String {
        let message = self.code.message();
        if self.place.is_empty() { message.to_owned() } else { format!("{}: {message}", self.place) }
    }
}

/// How the solver ended, without the figures.
#[derive(Debug, Clone, Default)]
pub(super) struct Ending {
    pub iterations: usize,
    pub gradient_norm: f64,
    pub converged: bool,
    pub warnings: Vec<FitWarning>,
}

impl Ending {
    /// A map that a formula gives.
    pub fn direct() -> Self {
        Self { converged: true, ..Self::default() }
    }

    pub fn of(solution: &Solution) -> Self {
        let mut ending = Self {
            iterations: solution.iterations,
            gradient_norm: solution.gradient_norm,
            converged: solution.converged,
            warnings: Vec::new(),
        };
        if !solution.converged {
            ending.warn(WarningCode::NotConverged);
        }
        ending
    }

    pub fn warn(&mut self, code: WarningCode) {
        self.warnings.push(FitWarning::new(code));
    }

    /// Warns of classes without a label.
    pub fn warn_of_absent_classes(&mut self, sample: &Sample) {
        let names: Vec<String> = sample.absent_classes().iter().map(usize::to_string).collect();
        let kind = if names.len() == 1 { "class" } else { "classes" };
        self.warnings.extend(FitWarning::about(WarningCode::AbsentClass, kind, &names));
    }
}

impl Fit {
    /// The report of a fitted map.
    pub(super) fn new(map: Map, sample: &Sample, mut ending: Ending) -> Self {
        let before = sample.nll(&Identity {});
        let after = sample.nll(map.as_dyn());
        if after == f64::INFINITY && before < f64::INFINITY {
            ending.warn(WarningCode::ZeroProbability);
        }
        let report = FitReport {
            rows: sample.n_rows(),
            converged: ending.converged,
            iterations: ending.iterations,
            gradient_norm: ending.gradient_norm,
            nll_before: before.min(f64::MAX),
            nll_after: after.min(f64::MAX),
            warnings: ending.warnings,
        };
        Self { map, report }
    }
}
