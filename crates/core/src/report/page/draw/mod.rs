//! Drawing a plot with the plotting library: axes, layers, the strip below, and what hovering shows.
//!
//! The library's SVG backend knows whole pixels only and no tooltips. So it draws at [`SCALE`] times the size that
//! the view box is shown at, and tooltips are laid over the picture as invisible shapes with a `<title>`.

mod chart;
mod hover;
mod scale;

use plotters::prelude::{IntoDrawingArea, SVGBackend};

use super::{Axis, Plot};
use chart::{Frame, draw_chart};

/// Units of the drawing in one pixel of its natural size.
pub(super) const SCALE: u32 = 4;
/// Natural width of a panel, which fits a phone.
pub(super) const WIDTH: u32 = 320;
const HEIGHT: u32 = 230;
const STRIP: u32 = 78;
const WITH_STRIP: u32 = 270;

/// Natural height of a plot.
pub(super) fn height(plot: &Plot) -> u32 {
    if plot.strip.is_some() { WITH_STRIP + STRIP } else { HEIGHT }
}

/// The elements of the picture with placeholders for colours, and without the `<svg>` around them.
///
/// `None` if the library refuses, which it has no reason to: it writes into memory.
pub(super) fn draw(plot: &Plot) -> Option<String> {
    let mut drawn = String::new();
    let mut over = String::new();
    let axes = [Some(&plot.y), plot.strip.as_ref().map(|strip| &strip.y)];
    let left = axes.into_iter().flatten().map(room).max().unwrap_or_default();
    {
        let size = (WIDTH * SCALE, height(plot) * SCALE);
        let root = SVGBackend::with_string(&mut drawn, size).into_drawing_area();
        match &plot.strip {
            None => {
                let frame = Frame { x: &plot.x, y: &plot.y, x_words: true, left, top: 8 };
                draw_chart(&root, &frame, &plot.layers, &mut over)?;
            }
            Some(strip) => {
                let (upper, lower) = root.split_vertically(WITH_STRIP * SCALE - 30 * SCALE);
                let frame = Frame { x: &plot.x, y: &plot.y, x_words: false, left, top: 8 };
                draw_chart(&upper, &frame, &plot.layers, &mut over)?;
                let bars = [super::Layer::Blocks { paint: strip.paint, blocks: strip.blocks.clone() }];
                let frame = Frame { x: &plot.x, y: &strip.y, x_words: true, left, top: 12 };
                draw_chart(&lower, &frame, &bars, &mut over)?;
            }
        }
        root.present().ok()?;
    }
    Some(inner(&drawn)? + &over)
}

/// Room for the words of a vertical axis: its label and its longest tick.
fn room(axis: &Axis) -> u32 {
    let longest = axis.ticks.iter().map(|tick| tick.1.chars().count()).max().unwrap_or_default();
    // No font is at hand to measure with; a digit of this size is about 8 pixels wide.
    30 + 8 * longest.min(10) as u32
}

/// What stands within the outermost element, without needless bytes.
fn inner(drawn: &str) -> Option<String> {
    let body = drawn.trim().strip_suffix("</svg>")?.split_once('>')?.1.trim();
    Some(body.replace(">\n", ">").replace("\n</", "</").replace(" opacity=\"1\"", ""))
}

#[cfg(test)]
mod tests {
    use super::super::{Block, Layer, Mark, Paint, Point, Role, Strip};
    use super::*;

    fn plot() -> Plot {
        let point = Point { x: 0.5, y: 0.5, bar: Some([0.4, 0.6]), note: "half & half".to_owned() };
        let block = Block { x: [0.0, 0.5], y: [0.0, 3.0], note: "3 rows".to_owned() };
        Plot {
            x: Axis::unit("confidence <x>"),
            y: Axis::unit("accuracy"),
            layers: vec![
                Layer::Line {
                    paint: Paint::solid(Role::Muted).dashed(),
                    points: vec![(0.0, 0.0), (1.0, 1.0)],
                },
                Layer::Points {
                    paint: Paint::solid(Role::Series(0)),
                    mark: Mark::Circle,
                    points: vec![point],
                },
            ],
            strip: Some(Strip {
                y: Axis::fitting("rows", &[0.0, 3.0], 2),
                blocks: vec![block],
                paint: Paint::solid(Role::Grid),
            }),
        }
    }

    #[test]
    fn a_plot_has_its_words_its_lines_and_its_hover_notes() {
        let drawn = draw(&plot()).unwrap();
        for expected in
            ["confidence &lt;x&gt;", "accuracy", "rows", "half &amp; half", "3 rows", "<polyline", "<circle"]
        {
            assert!(drawn.contains(expected), "{expected}: {drawn}");
        }
        assert!(!drawn.contains("<svg") && !drawn.contains('\n'), "{drawn:?}");
    }

    #[test]
    fn what_is_not_finite_is_left_out() {
        let mut plot = plot();
        for bad in [f64::NAN, f64::INFINITY, -1e300] {
            plot.layers
                .push(Layer::Line { paint: Paint::solid(Role::Ink), points: vec![(0.0, bad), (bad, 0.0)] });
            let point = Point { x: bad, y: bad, bar: Some([bad, 0.0]), note: "bad".to_owned() };
            plot.layers.push(Layer::Points {
                paint: Paint::solid(Role::Ink),
                mark: Mark::Circle,
                points: vec![point],
            });
            let block = Block { x: [0.0, bad], y: [bad, bad], note: "bad".to_owned() };
            plot.layers.push(Layer::Blocks { paint: Paint::solid(Role::Ink), blocks: vec![block] });
        }
        let drawn = draw(&plot).unwrap();
        assert!(!drawn.contains("bad") && !drawn.contains("NaN"), "{drawn}");
    }
}
