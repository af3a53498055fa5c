//! One figure with what is known of its uncertainty.

use serde::{Deserialize, Serialize};

/// A figure, its interval, and what perfectly calibrated predictions of the same confidences would score.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The figure on these rows; `None` (JSON null) if it is infinite.
    pub value: Option<f64>,
    /// 95 % interval of the population's value.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ci: Option<[f64; 2]>,
    /// How the interval was made.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ci_method: Option<String>,
    /// Mean of the figure if every prediction were right with exactly its confidence.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub null_value: Option<f64>,
    /// Share of such simulated sets that score at least as badly.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub p_value: Option<f64>,
    /// What to know when reading the figure, such as where its interval is known to miss.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub note: Option<String>,
}

impl Estimate {
    /// A figure without interval.
    pub fn plain(value: f64) -> Self {
        Self {
            value: value.is_finite().then_some(value),
            ci: None,
            ci_method: None,
            null_value: None,
            p_value: None,
            note: None,
        }
    }

    /// With an interval, if there is one.
    pub fn with_ci(mut self, ci: Option<[f64; 2]>, method: &str) -> Self {
        if let Some(ci) = ci.filter(|ci| ci.iter().all(|end| end.is_finite())) {
            self.ci = Some(ci);
            self.ci_method = Some(method.to_owned());
        }
        self
    }

    /// With what perfectly calibrated predictions would score, and the share of such sets that score as badly.
    pub fn with_null(mut self, null_value: f64, p_value: Option<f64>) -> Self {
        self.null_value = Some(null_value);
        self.p_value = p_value;
        self
    }

    /// With a sentence on how to read it.
    pub fn with_note(mut self, note: &str) -> Self {
        self.note = Some(note.to_owned());
        self
    }

    /// Says so where the interval of the population's value does not hold the figure.
    ///
    /// A calibration error is a sum of absolute values, which chance makes larger; its interval has that part
    /// removed, the figure has not.
    pub(crate) fn with_bias_note(self) -> Self {
        match (self.value, self.ci) {
            (Some(value), Some([low, high])) if value < low || value > high => self.with_note(
                "chance makes the figure larger than the population's value, which the interval is for",
            ),
            _ => self,
        }
    }

    /// The figure, or infinity.
    pub fn number(&self) -> f64 {
        self.value.unwrap_or(f64::INFINITY)
    }
}
