//! Two stages (TSLA): one strength, then another, by default none.

use std::sync::Arc;

use super::{BY, Curve, Entry, LENGTH, ScheduleInfo, fraction};
use crate::parameters::Parameter;

pub(super) const ENTRY: Entry = Entry {
    info: &INFO,
    make: |p| {
        let switch = p.number("switch");
        Ok(Arc::new(TwoStage { start: p.number("start"), end: p.number("end"), switch }))
    },
};

const INFO: ScheduleInfo = ScheduleInfo {
    name: "two_stage",
    summary: "smoothing early, none late",
    formula: "α₀ for t < s·T, then α₁",
    parameters: &[
        Parameter::number("start", 0.1, 0.0, 1.0, "the strength at the start, α₀"),
        Parameter::number("end", 0.0, 0.0, 1.0, "the strength at the end, α₁"),
        Parameter::number("switch", 0.5, 0.0, 1.0, "the part s of the length before the switch"),
        LENGTH,
        BY,
    ],
    paper: "Xu et al. 2020, arXiv:2006.11653 (TSLA)",
};

#[derive(Debug)]
struct TwoStage {
    start: f64,
    end: f64,
    switch: f64,
}

impl Curve for TwoStage {
    fn strength(&self, at: f64, length: f64) -> f64 {
        // A switch at 1 is the end itself.
        if fraction(at, length) < self.switch { self.start } else { self.end }
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
    fn the_switch_is_sharp() {
        let text = r#"{"name": "two_stage", "switch": 0.25}"#;
        assert_eq!((at(text, 1), at(text, 2), at(text, 8)), (0.1, 0.0, 0.0));
    }
}
