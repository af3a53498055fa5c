//! A table of numbers as a picture: one cell for each pair of settings, the darker the larger, its number in it.

use super::number::fixed;
use super::{Axis, Block, Layer, Paint, Panel, Plot, Point, Role};

/// Least and greatest opacity of a cell: words stay readable on all of them, in both themes.
const OPACITY: [f64; 2] = [0.04, 0.45];

/// Numbers over two settings.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct HeatMap {
    /// What distinguishes it from the others of its figure.
    pub title: String,
    /// The setting along the horizontal axis: its name and its values.
    pub x: (String, Vec<String>),
    /// The setting along the vertical axis, upwards.
    pub y: (String, Vec<String>),
    /// The numbers, row by row of the vertical axis; what is missing or not finite leaves its cell empty.
    pub values: Vec<Option<f64>>,
    /// The numbers of the lightest and the darkest cell, to share one scale between panels.
    pub range: [f64; 2],
    /// Decimals of a cell.
    pub decimals: usize,
}

impl HeatMap {
    /// The panel of a figure.
    ///
    /// # Examples
    /// ```
    /// use candor::report::page::HeatMap;
    /// let map = HeatMap {
    ///     title: "Accuracy".to_owned(),
    ///     x: ("beta".to_owned(), vec!["0".to_owned(), "1".to_owned()]),
    ///     y: ("k".to_owned(), vec!["1".to_owned()]),
    ///     values: vec![Some(0.5), Some(0.8)],
    ///     range: [0.5, 0.8],
    ///     decimals: 2,
    /// };
    /// assert_eq!(map.panel().description, "beta 0, k 1: 0.50; beta 1, k 1: 0.80.");
    /// ```
    pub fn panel(&self) -> Panel {
        let [low, high] = self.range;
        let columns = self.x.1.len();
        let mut layers = Vec::new();
        let (mut words, mut described) = (Vec::new(), Vec::new());
        for (index, value) in self.values.iter().enumerate() {
            let (Some(value), true) = (value.filter(|value| value.is_finite()), columns > 0) else {
                continue;
            };
            let (column, row) = (index % columns, index / columns);
            let (Some(x), Some(y)) = (self.x.1.get(column), self.y.1.get(row)) else { continue };
            let share = if high > low { ((value - low) / (high - low)).clamp(0.0, 1.0) } else { 0.0 };
            let number = fixed(value, self.decimals);
            let note = format!("{} {x}, {} {y}: {number}", self.x.0, self.y.0);
            let place = |index: usize| [index as f64 + 0.02, index as f64 + 0.98];
            layers.push(Layer::Blocks {
                paint: Paint::solid(Role::Series(0)).opacity(OPACITY[0] + share * (OPACITY[1] - OPACITY[0])),
                blocks: vec![Block { x: place(column), y: place(row), note: note.clone() }],
            });
            words.push(Point { x: column as f64 + 0.5, y: row as f64 + 0.5, bar: None, note: number });
            described.push(note);
        }
        layers.push(Layer::Words { paint: Paint::solid(Role::Ink), points: words });
        let end = if described.is_empty() { "no numbers." } else { "." };
        Panel {
            title: self.title.clone(),
            description: described.join("; ") + end,
            facts: Vec::new(),
            plot: Plot { x: cells(&self.x), y: cells(&self.y), layers, strip: None },
        }
    }
}

/// An axis with a word in the middle of each cell.
fn cells((label, words): &(String, Vec<String>)) -> Axis {
    let ticks = words.iter().enumerate().map(|(i, word)| (i as f64 + 0.5, word.clone())).collect();
    Axis { label: label.clone(), low: 0.0, high: words.len().max(1) as f64, ticks }
}

#[cfg(test)]
mod tests {
    use super::super::{Figure, svg};
    use super::*;

    fn map(values: Vec<Option<f64>>) -> HeatMap {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        HeatMap {
            title: "ECE".to_owned(),
            x: ("beta".to_owned(), words(&["0", "0.5", "1"])),
            y: ("k".to_owned(), words(&["<1>", "2"])),
            values,
            range: [0.0, 1.0],
            decimals: 2,
        }
    }

    #[test]
    fn the_larger_number_has_the_darker_cell_and_gaps_stay_empty() {
        let panel = map(vec![Some(0.0), None, Some(f64::NAN), Some(0.5), Some(1.0), Some(7.0)]).panel();
        let shades: Vec<f64> = panel
            .plot
            .layers
            .iter()
            .filter_map(|layer| match layer {
                Layer::Blocks { paint, .. } => Some(paint.opacity),
                _ => None,
            })
            .collect();
        assert!(shades.len() == 4 && shades[0] < shades[1] && shades[1] < shades[2]);
        // What lies beyond the range has the colour of its end.
        assert_eq!((shades[2], shades[3]), (OPACITY[1], OPACITY[1]));
        let drawn = svg(&Figure { panels: vec![panel], ..Figure::default() });
        for expected in [">0.50<", ">7.00<", "&lt;1&gt;", "beta 0.5, k 2: 1.00"] {
            assert!(drawn.contains(expected), "{expected}: {drawn}");
        }
        assert!(!drawn.contains("NaN"));
    }

    #[test]
    fn more_or_fewer_numbers_than_cells_do_no_harm() {
        assert!(map(vec![Some(0.5); 100]).panel().description.matches(';').count() == 5);
        assert_eq!(map(Vec::new()).panel().description, "no numbers.");
        let nothing = HeatMap { values: vec![Some(1.0)], ..HeatMap::default() };
        assert!(svg(&Figure { panels: vec![nothing.panel()], ..Figure::default() }).contains("<svg"));
        let flat = HeatMap { range: [1.0, 1.0], ..map(vec![Some(1.0)]) };
        assert!(flat.panel().plot.layers.len() == 2);
    }
}
