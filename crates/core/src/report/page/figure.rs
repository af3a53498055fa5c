//! A picture before it is drawn: panels of points, lines and blocks on two axes, with their numbers as words.

use super::axis::Axis;
use super::paint::Paint;

/// One or more panels that show the same thing for different settings.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Figure {
    /// A short name of letters, digits and hyphens, for links and file names.
    pub name: String,
    /// The title.
    pub title: String,
    /// One sentence above the panels: what to look for.
    pub caption: String,
    /// Two or three sentences: what is shown, what is good.
    pub reading: String,
    /// What the colours and shapes mean.
    pub legend: Vec<LegendEntry>,
    /// The panels.
    pub panels: Vec<Panel>,
}

/// One line of a legend.
#[derive(Debug, Clone, PartialEq)]
pub struct LegendEntry {
    /// What stands for it.
    pub mark: Mark,
    /// Its colour.
    pub paint: Paint,
    /// What it means.
    pub text: String,
}

/// One picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Panel {
    /// What distinguishes it from the others of its figure.
    pub title: String,
    /// The numbers that it shows, for those who cannot see it.
    pub description: String,
    /// Figures to print below it: name and value.
    pub facts: Vec<(String, String)>,
    /// What is drawn.
    pub plot: Plot,
}

/// Axes and what is drawn between them.
#[derive(Debug, Clone, PartialEq)]
pub struct Plot {
    /// The horizontal axis.
    pub x: Axis,
    /// The vertical axis.
    pub y: Axis,
    /// What is drawn, from the back to the front.
    pub layers: Vec<Layer>,
    /// A strip of bars below, on the same horizontal axis.
    pub strip: Option<Strip>,
}

/// Bars below a plot.
#[derive(Debug, Clone, PartialEq)]
pub struct Strip {
    /// Its vertical axis.
    pub y: Axis,
    /// The bars.
    pub blocks: Vec<Block>,
    /// Their colour.
    pub paint: Paint,
}

/// What is drawn in one go.
#[derive(Debug, Clone, PartialEq)]
pub enum Layer {
    /// A line through points.
    Line {
        /// Its colour.
        paint: Paint,
        /// Its points.
        points: Vec<(f64, f64)>,
    },
    /// Points, each with a bar of uncertainty.
    Points {
        /// Their colour.
        paint: Paint,
        /// Their shape.
        mark: Mark,
        /// Their places.
        points: Vec<Point>,
    },
    /// Words in the middle of their points: the notes, which are not shown on hover.
    Words {
        /// Their colour.
        paint: Paint,
        /// Their places.
        points: Vec<Point>,
    },
    /// Filled rectangles.
    Blocks {
        /// Their colour.
        paint: Paint,
        /// Their places.
        blocks: Vec<Block>,
    },
}

/// A point of a plot.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// Horizontal place.
    pub x: f64,
    /// Vertical place.
    pub y: f64,
    /// Ends of a vertical bar through it.
    pub bar: Option<[f64; 2]>,
    /// Its numbers, shown on hover; empty for none.
    pub note: String,
}

/// A rectangle of a plot.
#[derive(Debug, Clone, PartialEq)]
pub struct Block {
    /// Left and right.
    pub x: [f64; 2],
    /// Bottom and top.
    pub y: [f64; 2],
    /// Its numbers, shown on hover; empty for none.
    pub note: String,
}

/// The shape of a point, and in a legend also a line or an area.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mark {
    /// A disc.
    #[default]
    Circle,
    /// A triangle.
    Triangle,
    /// A small dot.
    Dot,
    /// A line; in a plot no mark, only what hovering shows.
    Line,
    /// An area.
    Area,
}
