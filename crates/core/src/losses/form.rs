//! Which of two published versions of a loss: the paper's formula, or what its authors' code computes.

use crate::parameters::{Parameter, Parameters};

/// The version of a loss whose paper and public code differ; each such loss says how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// The formula of the paper.
    #[default]
    Paper,
    /// What the authors' code computes.
    Code,
}

impl Form {
    /// The parameter `form`.
    pub(super) const PARAMETER: Parameter = Parameter::choice(
        "form",
        "paper",
        &["paper", "code"],
        "the formula of the paper, or what the authors' code computes",
    );

    /// The value of the parameter `form`.
    pub(super) fn of(parameters: &Parameters) -> Self {
        if parameters.word("form") == "code" { Form::Code } else { Form::Paper }
    }
}
