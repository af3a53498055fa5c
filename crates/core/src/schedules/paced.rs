//! The curriculum of P-CBLS: strong smoothing at first, a fixed factor after each pace.

use std::sync::Arc;

use super::{BY, Curve, Entry, ScheduleInfo};
use crate::parameters::Parameter;

pub(super) const ENTRY: Entry = Entry {
    info: &INFO,
    make: |p| {
        let every = p.number("every");
        Ok(Arc::new(Paced { start: p.number("start"), decay: p.number("decay"), every }))
    },
};

const INFO: ScheduleInfo = ScheduleInfo {
    name: "paced",
    summary: "strong smoothing at first, halved in each epoch",
    formula: "α₀·γ^⌊t/n⌋",
    parameters: &[
        Parameter::number("start", 0.38, 0.0, 1.0, "the strength at the start, α₀"),
        Parameter::number("decay", 0.5, 0.0, 1.0, "the factor γ"),
        Parameter::number("every", 1.0, 1.0, 1e12, "epochs or steps n of one pace"),
        BY,
    ],
    paper: "Xu et al. 2022 (P-CBLS, source code)",
};

#[derive(Debug)]
struct Paced {
    start: f64,
    decay: f64,
    every: f64,
}

impl Curve for Paced {
    fn strength(&self, at: f64, _: f64) -> f64 {
        self.start * self.decay.powf((at / self.every).floor())
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
    fn the_published_values() {
        let text = r#"{"name": "paced"}"#;
        assert_eq!((at(text, 0), at(text, 1), at(text, 2)), (0.38, 0.19, 0.095));
    }
}
