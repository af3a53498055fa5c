//! One pair of axes with its layers.

use plotters::chart::{ChartBuilder, ChartContext};
use plotters::coord::Shift;
use plotters::coord::cartesian::Cartesian2d;
use plotters::drawing::DrawingArea;
use plotters::element::{Circle, PathElement, Rectangle, Text, TriangleMarker};
use plotters::prelude::SVGBackend;
use plotters::series::LineSeries;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, FontFamily, IntoFont, TextStyle};

use super::super::axis::drawable;
use super::super::text::plain;
use super::super::{Axis, Block, Layer, Mark, Paint, Point, Role};
use super::SCALE;
use super::hover;
use super::scale::Scale;

/// Axes and their place.
pub(super) struct Frame<'a> {
    pub(super) x: &'a Axis,
    pub(super) y: &'a Axis,
    /// Whether the horizontal axis has its words.
    pub(super) x_words: bool,
    /// Room on the left for the words of the vertical axis, in pixels.
    pub(super) left: u32,
    /// Room above, in pixels.
    pub(super) top: u32,
}

pub(super) type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<Scale, Scale>>;

/// Draws axes and layers, and adds what hovering shows to `over`.
pub(super) fn draw_chart(
    area: &DrawingArea<SVGBackend<'_>, Shift>,
    frame: &Frame<'_>,
    layers: &[Layer],
    over: &mut String,
) -> Option<()> {
    let scaled = |pixels: u32| pixels * SCALE;
    let mut chart = ChartBuilder::on(area)
        .margin_top(scaled(frame.top))
        .margin_right(scaled(10))
        .margin_left(scaled(2))
        .x_label_area_size(scaled(if frame.x_words { 42 } else { 4 }))
        .y_label_area_size(scaled(frame.left))
        .build_cartesian_2d(Scale::from(frame.x), Scale::from(frame.y))
        .ok()?;
    let none = |_: &f64| String::new();
    let (x_words, y_words) =
        (|place: &f64| plain(&frame.x.words(*place)), |place: &f64| plain(&frame.y.words(*place)));
    let mut mesh = chart.configure_mesh();
    mesh.disable_x_mesh()
        .bold_line_style(Paint::solid(Role::Grid).stroke(3))
        .axis_style(Paint::solid(Role::Muted).stroke(4))
        .label_style(words(13, Role::Muted))
        .axis_desc_style(words(14, Role::Ink))
        .set_all_tick_mark_size(scaled(3))
        .y_label_formatter(&y_words)
        .y_desc(plain(&frame.y.label));
    // No line runs through the words of a table.
    if layers.iter().any(|layer| matches!(layer, Layer::Words { .. })) {
        mesh.disable_y_mesh();
    }
    if frame.x_words {
        mesh.x_label_formatter(&x_words).x_desc(plain(&frame.x.label));
    } else {
        mesh.x_label_formatter(&none);
    }
    mesh.draw().ok()?;
    for layer in layers {
        draw_layer(&mut chart, frame, layer, over)?;
    }
    Some(())
}

fn words(size: u32, role: Role) -> TextStyle<'static> {
    // The backend divides by 1.24.
    let font = (FontFamily::SansSerif, f64::from(size * SCALE) * 1.24).into_font();
    TextStyle { color: Paint::solid(role).placeholder().to_backend_color(), ..TextStyle::from(font) }
}

fn draw_layer(chart: &mut Chart<'_, '_>, frame: &Frame<'_>, layer: &Layer, over: &mut String) -> Option<()> {
    match layer {
        Layer::Line { paint, points } => {
            let kept: Vec<(f64, f64)> =
                points.iter().copied().filter(|(x, y)| drawable(*x) && drawable(*y)).collect();
            chart.draw_series(LineSeries::new(kept, paint.stroke(8))).ok()?;
        }
        Layer::Points { paint, mark, points } => {
            for point in points.iter().filter(|point| drawable(point.x) && drawable(point.y)) {
                draw_point(chart, frame, *paint, *mark, point)?;
                hover::circle(over, chart.backend_coord(&(point.x, point.y)), &point.note);
            }
        }
        Layer::Words { paint, points } => {
            let middle = Pos::new(HPos::Center, VPos::Center);
            let style = words(13, paint.role).pos(middle);
            for point in points.iter().filter(|point| drawable(point.x) && drawable(point.y)) {
                let text = Text::new(plain(&point.note), (point.x, point.y), style.clone());
                chart.draw_series([text]).ok()?;
            }
        }
        Layer::Blocks { paint, blocks } => {
            for block in blocks.iter().filter(|block| block.x.iter().chain(&block.y).all(|v| drawable(*v))) {
                let corners = corners(frame, block);
                chart.draw_series([Rectangle::new(corners, paint.filled())]).ok()?;
                let pixels = corners.map(|corner| chart.backend_coord(&corner));
                hover::rectangle(over, pixels, &block.note);
            }
        }
    }
    Some(())
}

fn corners(frame: &Frame<'_>, block: &Block) -> [(f64, f64); 2] {
    let at = |x, y| (frame.x.clamp(x), frame.y.clamp(y));
    [at(block.x[0], block.y[1]), at(block.x[1], block.y[0])]
}

fn draw_point(
    chart: &mut Chart<'_, '_>,
    frame: &Frame<'_>,
    paint: Paint,
    mark: Mark,
    point: &Point,
) -> Option<()> {
    let place = (point.x, point.y);
    if let Some([low, high]) = point.bar.filter(|ends| ends.iter().all(|end| drawable(*end))) {
        let ends = vec![(point.x, frame.y.clamp(low)), (point.x, frame.y.clamp(high))];
        chart.draw_series([PathElement::new(ends, paint.stroke(6))]).ok()?;
    }
    match mark {
        Mark::Circle => chart.draw_series([Circle::new(place, 4 * SCALE, paint.filled())]).ok().map(drop),
        Mark::Triangle => {
            chart.draw_series([TriangleMarker::new(place, 5 * SCALE, paint.filled())]).ok().map(drop)
        }
        Mark::Dot => chart.draw_series([Circle::new(place, 2 * SCALE, paint.filled())]).ok().map(drop),
        Mark::Line | Mark::Area => Some(()),
    }
}
