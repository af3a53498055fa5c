//! Pictures as SVG: a panel within a page, and a figure as a file of its own.

use std::fmt::Write;

use super::draw::{SCALE, WIDTH, draw, height};
use super::paint::{Colours, recolour};
use super::text::escape;
use super::{Figure, LegendEntry, Mark, Panel, Role};

/// What stands in for a picture that could not be drawn.
const UNDRAWN: &str = "<text x=\"40\" y=\"80\" font-size=\"48\">not drawn</text>";

/// A panel as an element of a page: colours by theme variables, the numbers as its label.
pub(super) fn panel(figure: &Figure, panel: &Panel) -> String {
    let body = draw(&panel.plot).unwrap_or_else(|| UNDRAWN.to_owned());
    format!(
        "<svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}\">{}</svg>",
        WIDTH * SCALE,
        height(&panel.plot) * SCALE,
        escape(&label(figure, panel)),
        recolour(&body, Colours::Page)
    )
}

/// Title and numbers of a panel in words.
fn label(figure: &Figure, panel: &Panel) -> String {
    format!("{}, {}: {}", figure.title, panel.title, panel.description)
}

/// The sample of a legend entry.
pub(super) fn swatch(entry: &LegendEntry) -> String {
    format!(
        "<svg class=\"swatch\" viewBox=\"0 0 24 14\" aria-hidden=\"true\">{}</svg>",
        sample(entry, &format!("var({})", entry.paint.role.variable()))
    )
}

fn sample(entry: &LegendEntry, colour: &str) -> String {
    let opacity = entry.paint.opacity;
    let dash = if entry.paint.dashed { " stroke-dasharray=\"5 3.5\"" } else { "" };
    let line = || {
        format!("<path d=\"M1 7h22\" stroke=\"{colour}\" stroke-width=\"2\" opacity=\"{opacity}\"{dash}/>")
    };
    match entry.mark {
        Mark::Line => line(),
        Mark::Area => {
            format!(
                "<rect x=\"2\" y=\"1\" width=\"20\" height=\"12\" fill=\"{colour}\" opacity=\"{opacity}\"/>"
            )
        }
        Mark::Dot => format!("<circle cx=\"12\" cy=\"7\" r=\"2\" fill=\"{colour}\" opacity=\"{opacity}\"/>"),
        Mark::Circle => line() + &format!("<circle cx=\"12\" cy=\"7\" r=\"4\" fill=\"{colour}\"/>"),
        Mark::Triangle => line() + &format!("<path d=\"M12 1.5l5 9h-10z\" fill=\"{colour}\"/>"),
    }
}

/// A figure as an SVG file: all its panels with title and legend, in the colours of the light theme.
///
/// # Examples
/// ```
/// use candor::report::page::{Figure, svg};
/// let figure = Figure { title: "Reliability".to_owned(), ..Figure::default() };
/// assert!(svg(&figure).starts_with("<svg xmlns"));
/// ```
pub fn svg(figure: &Figure) -> String {
    const GAP: u32 = 16;
    const HEAD: u32 = 26;
    let columns = match figure.panels.len() {
        0 | 1 => 1,
        n if n % 3 == 0 => 3,
        2 => 2,
        _ => 4,
    };
    let rows = (figure.panels.len() as u32).div_ceil(columns).max(1);
    let tallest = figure.panels.iter().map(|panel| height(&panel.plot)).max().unwrap_or(0);
    let words = |x: u32, y: u32, size: u32, weight: &str, role: Role, text: &str| {
        format!(
            "<text x=\"{x}\" y=\"{y}\" font-family=\"sans-serif\" font-size=\"{size}\" font-weight=\"{weight}\" fill=\"{}\">{}</text>",
            role.light(),
            escape(text)
        )
    };
    let mut body = words(GAP, 28, 18, "bold", Role::Ink, &figure.title);
    let mut top = 40;
    for entry in &figure.legend {
        let sample = sample(entry, entry.paint.role.light());
        // Writing into a string cannot fail.
        let _ = write!(body, "<svg x=\"{GAP}\" y=\"{top}\" width=\"24\" height=\"14\">{sample}</svg>");
        body.push_str(&words(GAP + 32, top + 12, 13, "normal", Role::Muted, &entry.text));
        top += 20;
    }
    top += GAP;
    for (i, panel) in figure.panels.iter().enumerate() {
        let (column, row) = (i as u32 % columns, i as u32 / columns);
        let (x, y) = (GAP + column * (WIDTH + GAP), top + row * (HEAD + tallest + GAP));
        body.push_str(&words(x, y + 16, 14, "bold", Role::Ink, &panel.title));
        let drawn = draw(&panel.plot).unwrap_or_else(|| UNDRAWN.to_owned());
        let (wide, high) = (WIDTH * SCALE, height(&panel.plot) * SCALE);
        let _ = write!(
            body,
            "<svg x=\"{x}\" y=\"{}\" width=\"{WIDTH}\" height=\"{}\" viewBox=\"0 0 {wide} {high}\">{}</svg>",
            y + HEAD,
            height(&panel.plot),
            recolour(&drawn, Colours::Fixed)
        );
    }
    let (width, height) = (GAP + columns * (WIDTH + GAP), top + rows * (HEAD + tallest + GAP));
    let numbers: Vec<String> = figure.panels.iter().map(|panel| label(figure, panel)).collect();
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" role=\"img\"><title>{}</title><desc>{}</desc><rect width=\"{width}\" height=\"{height}\" fill=\"#FFFFFF\"/>{body}</svg>\n",
        escape(&figure.title),
        escape(&numbers.join(" "))
    )
}
