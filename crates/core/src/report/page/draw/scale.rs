//! An axis as a coordinate of the plotting library: linear, with exactly the ticks that the axis has.

use std::ops::Range;

use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint, Ranged};

use super::super::Axis;

/// The library's own search for ticks is not used, so no range can make it run long.
#[derive(Debug, Clone)]
pub(super) struct Scale {
    low: f64,
    high: f64,
    ticks: Vec<f64>,
}

impl From<&Axis> for Scale {
    fn from(axis: &Axis) -> Self {
        Self { low: axis.low, high: axis.high, ticks: axis.ticks.iter().map(|tick| tick.0).collect() }
    }
}

impl Ranged for Scale {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (start, end): (i32, i32)) -> i32 {
        let share = (value - self.low) / (self.high - self.low);
        // A cast saturates.
        (f64::from(start) + share * (f64::from(end) - f64::from(start))).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        if hint.weight().allow_light_points() { Vec::new() } else { self.ticks.clone() }
    }

    fn range(&self) -> Range<f64> {
        self.low..self.high
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_of_the_axis_are_the_ends_of_the_area() {
        let scale = Scale::from(&Axis::unit("x"));
        assert_eq!(
            (scale.map(&0.0, (10, 110)), scale.map(&1.0, (10, 110)), scale.map(&0.25, (110, 10))),
            (10, 110, 85)
        );
    }
}
