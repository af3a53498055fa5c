//! The pictures of a report, one kind a file.
//!
//! As trained and with temperature, training and validation rows have one colour and shape in all of them.

mod classes;
mod distributions;
mod epochs;
mod outcomes;
mod reliability;
mod risk_coverage;
mod strengths;

pub(super) use classes::classes;
pub(super) use distributions::{confidences, margins};
pub(super) use epochs::{learning, single_run};
pub(super) use outcomes::outcomes;
pub(super) use reliability::{effect_of_map, reliability, reliability_panel, two_models};
pub(super) use risk_coverage::risk_coverage;
pub(super) use strengths::strengths;

use super::setting::Setting;
use super::{Mark, Paint, Role};

/// A name with its colour and shape.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Style {
    pub(super) name: &'static str,
    pub(super) paint: Paint,
    pub(super) mark: Mark,
}

const fn paint(series: usize, dashed: bool) -> Paint {
    Paint { role: Role::Series(series), opacity: 1.0, dashed }
}

/// Predictions as the model gives them.
pub(super) const AS_TRAINED: Style = Style { name: "as trained", paint: paint(0, false), mark: Mark::Circle };
/// The same, divided by the temperature fitted on validation rows.
pub(super) const WITH_TEMPERATURE: Style =
    Style { name: "with temperature scaling", paint: paint(1, true), mark: Mark::Triangle };
/// Another model on the same rows.
pub(super) const OTHER_MODEL: Style =
    Style { name: "the other model", paint: paint(2, false), mark: Mark::Triangle };
const TRAINING: Style = Style { name: "training rows", paint: paint(3, true), mark: Mark::Line };
const VALIDATION: Style = Style { name: "validation rows", paint: paint(2, false), mark: Mark::Line };

impl Style {
    fn of(after: bool) -> Self {
        if after { WITH_TEMPERATURE } else { AS_TRAINED }
    }
}

/// Settings that get a panel of their own, at most.
const MOST_PANELS: usize = 12;

/// The settings that are drawn: those with runs, the recommended one among them.
fn drawn<'a>(settings: &'a [Setting<'a>]) -> Vec<&'a Setting<'a>> {
    let with_runs: Vec<&Setting<'_>> = settings.iter().filter(|setting| !setting.runs.is_empty()).collect();
    let late = with_runs.iter().skip(MOST_PANELS - 1).find(|setting| setting.recommended[0]).copied();
    let mut drawn: Vec<&Setting<'_>> = with_runs.into_iter().take(MOST_PANELS).collect();
    if let (Some(late), true) = (late, drawn.len() == MOST_PANELS && !drawn.iter().any(|s| s.recommended[0]))
    {
        drawn.pop();
        drawn.push(late);
    }
    drawn
}

/// A sentence that says so if not every setting is drawn.
fn left_out(settings: &[Setting<'_>]) -> String {
    let n = settings.iter().filter(|setting| !setting.runs.is_empty()).count();
    if n > MOST_PANELS {
        format!(" Shown are {MOST_PANELS} of {n} settings; the table has all.")
    } else {
        String::new()
    }
}
