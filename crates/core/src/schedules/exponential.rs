//! Exponential decay: `α₀ γᵗ`.

use std::sync::Arc;

use super::{BY, Curve, Entry, ScheduleInfo};
use crate::parameters::Parameter;

pub(super) const ENTRY: Entry = Entry {
    info: &INFO,
    make: |p| Ok(Arc::new(Exponential { start: p.number("start"), decay: p.number("decay") })),
};

const INFO: ScheduleInfo = ScheduleInfo {
    name: "exponential",
    summary: "the same factor in every epoch or step",
    formula: "α₀·γ^t",
    parameters: &[
        Parameter::number("start", 0.2, 0.0, 1.0, "the strength at the start, α₀"),
        Parameter::number("decay", 0.9, 0.0, 1.0, "the factor γ"),
        BY,
    ],
    paper: "curriculum smoothing, no single source",
};

#[derive(Debug)]
struct Exponential {
    start: f64,
    decay: f64,
}

impl Curve for Exponential {
    fn strength(&self, at: f64, _: f64) -> f64 {
        self.start * self.decay.powf(at)
    }

    fn range(&self) -> (f64, f64) {
        (if self.decay < 1.0 { 0.0 } else { self.start }, self.start)
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
    fn factors_multiply() {
        let text = r#"{"name": "exponential", "start": 0.4, "decay": 0.5}"#;
        assert_eq!((at(text, 0), at(text, 1), at(text, 3)), (0.4, 0.2, 0.05));
    }
}
