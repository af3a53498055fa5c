//! Half a cosine wave: `α₁ + (α₀-α₁)(1 + cos πt/T)/2`.

use std::sync::Arc;

use super::{BY, Curve, Entry, LENGTH, ScheduleInfo, between, fraction};
use crate::parameters::Parameter;

pub(super) const ENTRY: Entry =
    Entry { info: &INFO, make: |p| Ok(Arc::new(Cosine { start: p.number("start"), end: p.number("end") })) };

const INFO: ScheduleInfo = ScheduleInfo {
    name: "cosine",
    summary: "half a cosine wave: slow, fast, slow",
    formula: "α₁ + ½(α₀-α₁)(1 + cos(πt/T))",
    parameters: &[
        Parameter::number("start", 0.2, 0.0, 1.0, "the strength at the start, α₀"),
        Parameter::number("end", 0.0, 0.0, 1.0, "the strength at the end, α₁"),
        LENGTH,
        BY,
    ],
    paper: "Loshchilov & Hutter 2017, arXiv:1608.03983 (for learning rates)",
};

#[derive(Debug)]
struct Cosine {
    start: f64,
    end: f64,
}

impl Curve for Cosine {
    fn strength(&self, at: f64, length: f64) -> f64 {
        let done = 0.5 - 0.5 * (std::f64::consts::PI * fraction(at, length)).cos();
        between(self.start, self.end, done)
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
    fn the_middle_and_the_quarter() {
        let text = r#"{"name": "cosine", "start": 0.4, "end": 0.2}"#;
        assert_eq!((at(text, 0), at(text, 8)), (0.4, 0.2));
        assert!((at(text, 4) - 0.3).abs() < 1e-15);
        assert!((at(text, 2) - (0.2 + 0.1 * (1.0 + 0.5f64.sqrt()))).abs() < 1e-15);
    }
}
