//! The same strength at all times.

use std::sync::Arc;

use super::{BY, Curve, Entry, ScheduleInfo};
use crate::parameters::Parameter;

pub(super) const ENTRY: Entry =
    Entry { info: &INFO, make: |p| Ok(Arc::new(Constant { smoothing: p.number("smoothing") })) };

const INFO: ScheduleInfo = ScheduleInfo {
    name: "constant",
    summary: "the same strength at all times",
    formula: "α",
    parameters: &[Parameter::number("smoothing", 0.1, 0.0, 1.0, "the strength α"), BY],
    paper: "Szegedy et al. 2016, arXiv:1512.00567",
};

#[derive(Debug)]
struct Constant {
    smoothing: f64,
}

impl Curve for Constant {
    fn strength(&self, _: f64, _: f64) -> f64 {
        self.smoothing
    }

    fn range(&self) -> (f64, f64) {
        (self.smoothing, self.smoothing)
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
    fn time_does_not_matter() {
        let text = r#"{"name": "constant", "smoothing": 0.3}"#;
        assert_eq!((at(text, 0), at(text, 8)), (0.3, 0.3));
        assert!(Schedule::constant(1.1).is_err());
    }
}
