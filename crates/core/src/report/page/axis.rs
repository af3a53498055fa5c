//! Axes: the range that fits the values, and ticks at round numbers.

use super::number::fixed;
use super::text::shortened;

/// Values beyond this are not drawn; it keeps all arithmetic on axes finite.
const LARGEST: f64 = 1e12;

/// Whether a value has a place on an axis.
pub(super) fn drawable(value: f64) -> bool {
    value.abs() <= LARGEST
}

/// One axis of a plot.
#[derive(Debug, Clone, PartialEq)]
pub struct Axis {
    /// What it measures.
    pub label: String,
    /// Its lower end.
    pub low: f64,
    /// Its upper end, above the lower.
    pub high: f64,
    /// Ticks: place and words.
    pub ticks: Vec<(f64, String)>,
}

impl Axis {
    /// From 0 to 1.
    pub fn unit(label: &str) -> Self {
        Self::fitting(label, &[0.0, 1.0], 5)
    }

    /// An axis over all these values with about `n` steps between round ticks; what is not finite is left out.
    pub fn fitting(label: &str, values: &[f64], n: usize) -> Self {
        let kept = || values.iter().copied().filter(|value| drawable(*value));
        let (mut low, mut high) =
            (kept().fold(f64::INFINITY, f64::min), kept().fold(f64::NEG_INFINITY, f64::max));
        if low > high {
            (low, high) = (0.0, 1.0);
        }
        // Equal values, or so close that ticks between them could not be told apart.
        let least = (low.abs().max(high.abs()) * 1e-6).max(1e-9);
        if high - low < least {
            (low, high) = (low - least, high + least);
        }
        let step = round_step((high - low) / n.max(1) as f64);
        let (first, last) = ((low / step + 1e-9).floor(), (high / step - 1e-9).ceil());
        let decimals = (-(step.log10() + 1e-9).floor()).clamp(0.0, 12.0) as usize;
        let ticks = (0..=(last - first) as usize)
            .map(|i| (first + i as f64) * step)
            .map(|value| (value, fixed(value, decimals)))
            .collect();
        Self { label: label.to_owned(), low: first * step, high: last * step, ticks }
    }

    /// An axis with ticks at given places, thinned where their words would overlap.
    pub fn at(label: &str, places: &[(f64, String)]) -> Self {
        let mut kept: Vec<(f64, String)> = places.iter().filter(|place| drawable(place.0)).cloned().collect();
        kept.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (Some(first), Some(last)) = (kept.first().map(|p| p.0), kept.last().map(|p| p.0)) else {
            return Self::fitting(label, &[], 5);
        };
        let span = if last - first > 1e-9 { last - first } else { 1.0 };
        let mut ticks: Vec<(f64, String)> = Vec::new();
        for (place, words) in kept {
            let words = shortened(&words, 12);
            // A word of five letters takes about a tenth of the axis.
            let room = 0.02 * words.chars().count().max(3) as f64 * span;
            if ticks.last().is_none_or(|before| place - before.0 >= room) {
                ticks.push((place, words));
            }
        }
        Self { label: label.to_owned(), low: first - 0.06 * span, high: last + 0.06 * span, ticks }
    }

    /// The words of the tick at this place.
    pub(super) fn words(&self, place: f64) -> String {
        self.ticks.iter().find(|tick| tick.0 == place).map_or(String::new(), |tick| tick.1.clone())
    }

    /// The nearest place on the axis.
    pub(super) fn clamp(&self, value: f64) -> f64 {
        value.max(self.low).min(self.high)
    }
}

/// The next of 1, 2, 5, 10, ... times a power of ten.
fn round_step(raw: f64) -> f64 {
    let power = 10f64.powf(raw.log10().floor());
    let factor = [1.0, 2.0, 5.0].into_iter().find(|factor| factor * power >= raw * 0.999).unwrap_or(10.0);
    factor * power
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ticks_are_round_and_reach_over_the_values() {
        let axis = Axis::fitting("ECE", &[0.0, 0.169, f64::NAN], 4);
        let words: Vec<&str> = axis.ticks.iter().map(|tick| tick.1.as_str()).collect();
        assert_eq!(words, ["0.00", "0.05", "0.10", "0.15", "0.20"]);
        assert_eq!(Axis::unit("x").ticks.len(), 6);
    }

    #[test]
    fn crowded_ticks_are_thinned() {
        let places: Vec<(f64, String)> =
            [0.0, 0.001, 0.002, 0.1].into_iter().map(|place| (place, place.to_string())).collect();
        assert_eq!(Axis::at("smoothing", &places).ticks.len(), 2);
        assert!(Axis::at("smoothing", &[(0.3, "0.3".into())]).high > 0.3);
    }

    proptest! {
        #[test]
        fn any_values_give_a_finite_axis_with_few_ticks(values in prop::collection::vec(any::<f64>(), 0..8)) {
            let axis = Axis::fitting("any", &values, 5);
            prop_assert!(axis.low < axis.high && axis.high - axis.low <= 1e13);
            prop_assert!((2..=12).contains(&axis.ticks.len()), "{axis:?}");
        }
    }
}
