//! The page that people look at: one HTML file with verdict, warnings, tables and pictures, no network needed.
//!
//! A [`Page`] is content: words, tables, [`Figure`]s. [`render`] makes HTML of it, [`svg`] a picture file of one
//! figure. Whatever comes from data is escaped, whatever is drawn has its numbers as text beside it.

mod axis;
mod comparison;
mod detail;
mod document;
mod draw;
mod evaluation;
mod figure;
mod heat_map;
mod html;
mod number;
mod paint;
mod pictures;
mod reading;
mod run;
mod setting;
mod settings_table;
mod svg;
#[cfg(test)]
mod tests;
mod text;

pub use axis::Axis;
pub use detail::{EpochPoint, Histogram, RunDetail};
pub use document::{Cell, Heading, Page, Row, Table};
pub use evaluation::{EvaluationExtras, OtherModel, differences_in_words};
pub use figure::{Block, Figure, Layer, LegendEntry, Mark, Panel, Plot, Point, Strip};
pub use heat_map::HeatMap;
pub use html::render;
pub use paint::{Paint, Role};
pub use setting::variant_label;
pub use svg::svg;
