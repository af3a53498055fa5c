//! A straight line: `α₀ + (α₁-α₀) t/T`.

use std::sync::Arc;

use super::{BY, Curve, Entry, LENGTH, ScheduleInfo, between, fraction};
use crate::parameters::Parameter;

pub(super) const ENTRY: Entry =
    Entry { info: &INFO, make: |p| Ok(Arc::new(Linear { start: p.number("start"), end: p.number("end") })) };

const INFO: ScheduleInfo = ScheduleInfo {
    name: "linear",
    summary: "a straight line from one strength to another, down by default",
    formula: "α₀ + (α₁-α₀)·t/T",
    parameters: &[
        Parameter::number("start", 0.2, 0.0, 1.0, "the strength at the start, α₀"),
        Parameter::number("end", 0.0, 0.0, 1.0, "the strength at the end, α₁"),
        LENGTH,
        BY,
    ],
    paper: "curriculum smoothing, no single source",
};

#[derive(Debug)]
struct Linear {
    start: f64,
    end: f64,
}

impl Curve for Linear {
    fn strength(&self, at: f64, length: f64) -> f64 {
        between(self.start, self.end, fraction(at, length))
    }

    fn range(&self) -> (f64, f64) {
        (self.start.min(self.end), self.start.max(self.end))
    }

    fn needs_length(&self) -> bool {
        true
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
    fn a_quarter_of_the_way() {
        let text = r#"{"name": "linear", "start": 0.4, "end": 0.2}"#;
        assert_eq!((at(text, 0), at(text, 8), at(text, 9)), (0.4, 0.2, 0.2));
        assert!((at(text, 2) - 0.35).abs() < 1e-15);
    }
}
