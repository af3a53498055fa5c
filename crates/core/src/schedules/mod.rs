//! Smoothing strengths that change during training, by epoch or by optimiser step.
//!
//! A [`Schedule`] is a registered curve with its parameters; it serialises as those, so a configuration
//! or a checkpoint holds it whole. Registered in [`ALL`].

mod constant;
mod cosine;
mod exponential;
mod linear;
mod paced;
mod ramp_up;
mod schedule;
mod step;
mod two_stage;
mod warm_up;

pub use schedule::Schedule;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::error::Result;
use crate::parameters::{Parameter, ParameterValue, Parameters};

/// What a schedule is called and where it comes from; shown by `candor list`.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct ScheduleInfo {
    /// The name in configurations.
    pub name: &'static str,
    /// One line: what it does and when to use it.
    pub summary: &'static str,
    /// The strength at t of T epochs or steps.
    pub formula: &'static str,
    /// The parameters with their published values.
    pub parameters: &'static [Parameter],
    /// Where it was published.
    pub paper: &'static str,
}

/// The strength as a function of time.
trait Curve: std::fmt::Debug + Send + Sync {
    /// The strength at t = `at` of T = `length`, which is infinite if unknown; both count from 0.
    fn strength(&self, at: f64, length: f64) -> f64;

    /// The smallest and the largest strength of all times.
    fn range(&self) -> (f64, f64);

    /// Whether the curve depends on the length.
    fn needs_length(&self) -> bool {
        false
    }
}

/// A registered schedule: its description and how to make its curve.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// The description.
    pub info: &'static ScheduleInfo,
    make: fn(&Parameters) -> Result<Arc<dyn Curve>>,
}

/// What time is counted in; every schedule has this parameter.
const BY: Parameter = Parameter::choice("by", "epoch", &["epoch", "step"], "what t counts");

/// Over how long a schedule runs; 0 is the whole training.
const LENGTH: Parameter =
    Parameter::number("length", 0.0, 0.0, 1e12, "epochs or steps T that it takes; 0: the whole training");

/// Every schedule, in the order of `candor list`.
pub const ALL: &[Entry] = &[
    constant::ENTRY,
    linear::ENTRY,
    cosine::ENTRY,
    exponential::ENTRY,
    step::ENTRY,
    two_stage::ENTRY,
    paced::ENTRY,
    ramp_up::ENTRY,
    warm_up::ENTRY,
];

/// The registered schedule of this name, with the given parameters over its defaults.
///
/// # Errors
/// [`Error::UnknownName`](crate::Error::UnknownName), naming the closest one, and those of
/// [`Parameters::resolve`].
///
/// # Examples
/// ```
/// use candor::losses::Step;
/// let schedule = candor::schedules::by_name("linear", &Default::default())?;
/// let half_way = Step { epoch: 10, epochs: 20, ..Step::default() };
/// assert!((schedule.strength(half_way) - 0.1).abs() < 1e-15);
/// # Ok::<(), candor::Error>(())
/// ```
pub fn by_name(name: &str, given: &BTreeMap<String, ParameterValue>) -> Result<Schedule> {
    let entry = ALL
        .iter()
        .find(|entry| entry.info.name == name)
        .ok_or_else(|| crate::registry::unknown("schedule", name, ALL.iter().map(|entry| entry.info.name)))?;
    let parameters = Parameters::resolve(entry.info.name, entry.info.parameters, given)?;
    Schedule::new(entry.info, parameters, entry.make)
}

/// The part of the way that lies behind, in [0, 1]; 0 while the length is unknown (infinite).
fn fraction(at: f64, length: f64) -> f64 {
    if length > 0.0 { (at / length).min(1.0) } else { 1.0 }
}

/// Between two strengths, exact at both ends.
fn between(start: f64, end: f64, fraction: f64) -> f64 {
    let value = start * (1.0 - fraction) + end * fraction;
    value.clamp(start.min(end), start.max(end))
}
