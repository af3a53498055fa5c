//! A registered curve with its parameters.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Curve, ScheduleInfo};
use crate::error::Result;
use crate::losses::Step;
use crate::parameters::{ParameterKind, ParameterValue, Parameters};

/// A smoothing strength that changes during training.
///
/// Serialises as its name and parameters, `{"name": "linear", "start": 0.2, ...}`; reading it back checks
/// them, and parameters that are left out take their defaults.
///
/// # Examples
/// ```
/// use candor::{losses::Step, schedules::Schedule};
/// let schedule: Schedule = serde_json::from_str(r#"{"name": "step", "start": 0.4, "every": 10}"#).unwrap();
/// assert_eq!(schedule.strength(Step { epoch: 9, ..Step::default() }), 0.4);
/// assert_eq!(schedule.strength(Step { epoch: 10, ..Step::default() }), 0.2);
/// ```
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Schedule {
    info: &'static ScheduleInfo,
    parameters: Parameters,
    curve: Arc<dyn Curve>,
    by_step: bool,
    /// 0 for the whole training.
    length: f64,
}

/// The name and the parameters, as in a configuration.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
struct Written {
    name: String,
    #[serde(flatten)]
    parameters: BTreeMap<String, ParameterValue>,
}

impl Schedule {
    pub(super) fn new(
        info: &'static ScheduleInfo,
        parameters: Parameters,
        make: fn(&Parameters) -> Result<Arc<dyn Curve>>,
    ) -> Result<Self> {
        let length = parameters.number("length");
        Ok(Self {
            info,
            curve: make(&parameters)?,
            by_step: parameters.word("by") == "step",
            length: if length > 0.0 { length } else { 0.0 },
            parameters,
        })
    }

    /// The same strength at all times.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) unless `smoothing` is in [0, 1].
    ///
    /// # Examples
    /// ```
    /// let schedule = candor::schedules::Schedule::constant(0.1)?;
    /// assert_eq!(schedule.strength(Default::default()), 0.1);
    /// # Ok::<(), candor::Error>(())
    /// ```
    pub fn constant(smoothing: f64) -> Result<Self> {
        let given = [("smoothing".to_owned(), ParameterValue::Number(smoothing))].into();
        super::by_name("constant", &given)
    }

    /// The name, formula and source.
    pub fn info(&self) -> &'static ScheduleInfo {
        self.info
    }

    /// The parameters.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// The strength at a point of the training.
    ///
    /// By epoch, it is the same for all steps of an epoch. The length is the `length` parameter, else the
    /// epochs or steps of the whole training; while that is unknown (0), a schedule that
    /// [needs it](Self::needs_length) stays where it starts. Past the end it stays at the end.
    pub fn strength(&self, step: Step) -> f64 {
        let (at, total) = if self.by_step { (step.step, step.steps) } else { (step.epoch, step.epochs) };
        let length = match (self.length, total) {
            (length, _) if length > 0.0 => length,
            (_, 0) => f64::INFINITY,
            (_, total) => total as f64,
        };
        self.curve.strength(at as f64, length)
    }

    /// The smallest and the largest strength of all times, to check against a rule's range up front.
    pub fn range(&self) -> (f64, f64) {
        self.curve.range()
    }

    /// Whether the strength depends on the length of the training, and no `length` was given.
    pub fn needs_length(&self) -> bool {
        self.length == 0.0 && self.curve.needs_length()
    }
}

impl PartialEq for Schedule {
    fn eq(&self, other: &Self) -> bool {
        self.info.name == other.info.name && self.parameters == other.parameters
    }
}

impl TryFrom<Written> for Schedule {
    type Error = crate::Error;

    fn try_from(written: Written) -> Result<Self> {
        super::by_name(&written.name, &written.parameters)
    }
}

impl From<Schedule> for Written {
    fn from(schedule: Schedule) -> Self {
        let value = |name: &str, kind: &ParameterKind| match kind {
            ParameterKind::Number { .. } | ParameterKind::Whole { .. } => {
                ParameterValue::Number(schedule.parameters.number(name))
            }
            ParameterKind::Choice { .. } => ParameterValue::Text(schedule.parameters.word(name).to_owned()),
        };
        let declared = schedule.info.parameters.iter();
        Written {
            name: schedule.info.name.to_owned(),
            parameters: declared.map(|p| (p.name.to_owned(), value(p.name, &p.kind))).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_schedule_survives_serialisation() {
        for entry in crate::schedules::ALL {
            let schedule = crate::schedules::by_name(entry.info.name, &BTreeMap::new()).unwrap();
            let json = serde_json::to_string(&schedule).unwrap();
            assert!(json.starts_with(&format!("{{\"name\":\"{}\"", entry.info.name)), "{json}");
            assert_eq!(serde_json::from_str::<Schedule>(&json).unwrap(), schedule);
        }
    }

    #[test]
    fn what_is_read_is_checked() {
        let read = |text| serde_json::from_str::<Schedule>(text).unwrap_err().to_string();
        assert!(read(r#"{"name": "liner"}"#).contains("did you mean \"linear\""));
        assert!(read(r#"{"name": "linear", "strat": 0.1}"#).contains("did you mean \"start\""));
        assert!(read(r#"{"name": "linear", "start": 1.5}"#).contains("between 0 and 1"));
    }

    #[test]
    fn a_given_length_goes_before_that_of_the_training() {
        let of = |text| serde_json::from_str::<Schedule>(text).unwrap();
        let step = Step { step: 50, epoch: 5, steps: 100, epochs: 10 };
        let by_step = of(r#"{"name": "linear", "start": 0.4, "by": "step", "length": 200}"#);
        assert!((by_step.strength(step) - 0.3).abs() < 1e-15);
        let by_epoch = of(r#"{"name": "linear", "start": 0.4}"#);
        assert!((by_epoch.strength(step) - 0.2).abs() < 1e-15);
        assert!(by_epoch.needs_length() && !by_step.needs_length());
        let unknown = Step { epoch: 7, ..Step::default() };
        assert_eq!(by_epoch.strength(unknown), 0.4);
    }
}
