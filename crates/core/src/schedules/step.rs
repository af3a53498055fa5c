//! A staircase: `α₀ f^⌊t/n⌋`.

use std::sync::Arc;

use super::{BY, Curve, Entry, ScheduleInfo};
use crate::parameters::Parameter;

pub(super) const ENTRY: Entry = Entry {
    info: &INFO,
    make: |p| {
        let every = p.number("every");
        Ok(Arc::new(Steps { start: p.number("start"), factor: p.number("factor"), every }))
    },
};

const INFO: ScheduleInfo = ScheduleInfo {
    name: "step",
    summary: "a factor every so many epochs or steps",
    formula: "α₀·f^⌊t/n⌋",
    parameters: &[
        Parameter::number("start", 0.2, 0.0, 1.0, "the strength at the start, α₀"),
        Parameter::number("factor", 0.5, 0.0, 1.0, "the factor f"),
        Parameter::number("every", 30.0, 1.0, 1e12, "epochs or steps n of one stair"),
        BY,
    ],
    paper: "curriculum smoothing, no single source",
};

#[derive(Debug)]
struct Steps {
    start: f64,
    factor: f64,
    every: f64,
}

impl Curve for Steps {
    fn strength(&self, at: f64, _: f64) -> f64 {
        self.start * self.factor.powf((at / self.every).floor())
    }

    fn range(&self) -> (f64, f64) {
        (if self.factor < 1.0 { 0.0 } else { self.start }, self.start)
    }
}

#[cfg(test)]
mod tests {
    use crate::losses::Step;
    use crate::schedules::Schedule;

    fn at(text: &str, epoch: u64) -> f64 {
        let schedule: Schedule = serde_json::from_str(text).unwrap();
        schedule.strength(Step { epoch, epochs: 8, ..Step::default() })
    }

    #[test]
    fn stairs_are_level() {
        let text = r#"{"name": "step", "start": 0.4, "factor": 0.5, "every": 3}"#;
        assert_eq!((at(text, 0), at(text, 2), at(text, 3), at(text, 6)), (0.4, 0.4, 0.2, 0.1));
    }
}
