//! No smoothing at first: held at 0 or grown in a straight line, then constant.

use std::sync::Arc;

use super::{BY, Curve, Entry, ScheduleInfo, between, fraction};
use crate::parameters::Parameter;

pub(super) const ENTRY: Entry = Entry {
    info: &INFO,
    make: |p| {
        let hold = p.word("shape") == "hold";
        Ok(Arc::new(WarmUp { smoothing: p.number("smoothing"), warm_up: p.number("warm_up"), hold }))
    },
};

const INFO: ScheduleInfo = ScheduleInfo {
    name: "warm_up",
    summary: "no smoothing while the model warms up; before a negative strength, hold",
    formula: "α·min(1, t/w), or 0 for t < w, then α",
    parameters: &[
        Parameter::number(
            "smoothing",
            0.1,
            -1e6,
            1.0,
            "the strength α afterwards; negative for the target generalised",
        ),
        Parameter::number("warm_up", 5.0, 0.0, 1e12, "epochs or steps w of the warm-up"),
        Parameter::choice("shape", "linear", &["linear", "hold"], "how the strength gets there"),
        BY,
    ],
    paper: "Wei et al. 2022, arXiv:2106.04149 (cross-entropy before a negative strength)",
};

#[derive(Debug)]
struct WarmUp {
    smoothing: f64,
    warm_up: f64,
    hold: bool,
}

impl Curve for WarmUp {
    fn strength(&self, at: f64, _: f64) -> f64 {
        let done = fraction(at, self.warm_up);
        if self.hold && done < 1.0 { 0.0 } else { between(0.0, self.smoothing, done) }
    }

    fn range(&self) -> (f64, f64) {
        (self.smoothing.min(0.0), self.smoothing.max(0.0))
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
    fn linear_and_held() {
        let linear = r#"{"name": "warm_up", "smoothing": 0.2, "warm_up": 4}"#;
        assert_eq!((at(linear, 0), at(linear, 2), at(linear, 4), at(linear, 8)), (0.0, 0.1, 0.2, 0.2));
        let hold = r#"{"name": "warm_up", "smoothing": -0.5, "warm_up": 4, "shape": "hold"}"#;
        assert_eq!((at(hold, 0), at(hold, 3), at(hold, 4)), (0.0, 0.0, -0.5));
        let none = r#"{"name": "warm_up", "smoothing": 0.2, "warm_up": 0}"#;
        assert_eq!(at(none, 0), 0.2);
    }
}
