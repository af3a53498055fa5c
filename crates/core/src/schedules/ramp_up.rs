//! A strength that grows in a straight line, as in MaxSup.

use std::sync::Arc;

use super::{BY, Curve, Entry, LENGTH, ScheduleInfo, between, fraction};
use crate::error::check_range_hint;
use crate::parameters::Parameter;

pub(super) const ENTRY: Entry = Entry {
    info: &INFO,
    make: |p| {
        let (start, end) = (p.number("start"), p.number("end"));
        check_range_hint("end", end, start, 1.0, " (a ramp goes up; take linear to go down)")?;
        Ok(Arc::new(RampUp { start, end }))
    },
};

const INFO: ScheduleInfo = ScheduleInfo {
    name: "ramp_up",
    summary: "grows in a straight line, as the model becomes confident",
    formula: "α₀ + (α₁-α₀)·t/T, α₁ >= α₀",
    parameters: &[
        Parameter::number("start", 0.1, 0.0, 1.0, "the strength at the start, α₀"),
        Parameter::number("end", 0.2, 0.0, 1.0, "the strength at the end, α₁"),
        LENGTH,
        BY,
    ],
    paper: "Zhou et al. 2025 (MaxSup, source code)",
};

#[derive(Debug)]
struct RampUp {
    start: f64,
    end: f64,
}

impl Curve for RampUp {
    fn strength(&self, at: f64, length: f64) -> f64 {
        between(self.start, self.end, fraction(at, length))
    }

    fn range(&self) -> (f64, f64) {
        (self.start, self.end)
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
    fn the_published_values() {
        let text = r#"{"name": "ramp_up"}"#;
        assert_eq!((at(text, 0), at(text, 8)), (0.1, 0.2));
        assert!((at(text, 4) - 0.15).abs() < 1e-15);
        let down = serde_json::from_str::<Schedule>(r#"{"name": "ramp_up", "end": 0.05}"#);
        assert!(down.unwrap_err().to_string().contains("linear"));
    }
}
