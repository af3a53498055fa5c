//! Colours by role: a plotting library draws with placeholders, which become theme variables or fixed colours.
//!
//! Dark mode needs colours that a style sheet can change, which the library cannot write. So a role is encoded in
//! an RGB value, and the finished SVG is rewritten: `var(--c3)` within a page, a plain colour in a file of its own.

use plotters::style::{RGBAColor, ShapeStyle};

/// What a colour stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Role {
    /// Words and axes.
    Ink,
    /// Less important words and reference lines.
    Muted,
    /// Grid lines and bars in the background.
    Grid,
    /// One of several series, told apart also without colour vision; counted round.
    Series(usize),
}

/// Variable, colour in the light theme and in the dark one.
pub(super) const THEME: [(&str, &str, &str); 9] = [
    ("--ink", "#1C2530", "#E8ECF1"),
    ("--muted", "#5A6675", "#A3AFBD"),
    ("--grid", "#D5DBE2", "#3A4552"),
    ("--c0", "#0067A8", "#5AB4F0"),
    ("--c1", "#C75300", "#FF9A4D"),
    ("--c2", "#00795A", "#3FCBA0"),
    ("--c3", "#A03A88", "#F08CC8"),
    ("--c4", "#7D6200", "#E3C64A"),
    ("--c5", "#5A3FA6", "#B9A5FF"),
];
const FIRST_SERIES: usize = 3;

impl Role {
    fn index(self) -> usize {
        match self {
            Role::Ink => 0,
            Role::Muted => 1,
            Role::Grid => 2,
            Role::Series(n) => FIRST_SERIES + n % (THEME.len() - FIRST_SERIES),
        }
    }

    /// The variable of the style sheet.
    pub(super) fn variable(self) -> &'static str {
        THEME.get(self.index()).map_or("--ink", |entry| entry.0)
    }

    /// The colour in the light theme.
    pub(super) fn light(self) -> &'static str {
        THEME.get(self.index()).map_or("#000000", |entry| entry.1)
    }
}

/// Colour, opacity and kind of line.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Paint {
    /// The colour.
    pub role: Role,
    /// Opacity in [0, 1].
    pub opacity: f64,
    /// Whether a line is dashed.
    pub dashed: bool,
}

impl Paint {
    /// An opaque colour with solid lines.
    pub fn solid(role: Role) -> Self {
        Self { role, opacity: 1.0, dashed: false }
    }

    /// The same with dashed lines.
    pub fn dashed(self) -> Self {
        Self { dashed: true, ..self }
    }

    /// The same with another opacity.
    pub fn opacity(self, opacity: f64) -> Self {
        Self { opacity, ..self }
    }

    /// The placeholder that the library draws with.
    pub(super) fn placeholder(self) -> RGBAColor {
        RGBAColor(PLACEHOLDER, u8::from(self.dashed), self.role.index() as u8, self.opacity)
    }

    /// A filled shape.
    pub(super) fn filled(self) -> ShapeStyle {
        ShapeStyle { color: self.placeholder(), filled: true, stroke_width: 0 }
    }

    /// A line of this width.
    pub(super) fn stroke(self, width: u32) -> ShapeStyle {
        ShapeStyle { color: self.placeholder(), filled: false, stroke_width: width }
    }
}

/// Red of every placeholder.
const PLACEHOLDER: u8 = 1;

/// Where the colours of a picture come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Colours {
    /// The variables of the page around it.
    Page,
    /// The light theme, written out.
    Fixed,
}

/// Replaces the placeholders of a drawn SVG.
///
/// They stand in attributes only: text that looks like one has its quotes escaped.
pub(super) fn recolour(svg: &str, colours: Colours) -> String {
    let mut recoloured = String::with_capacity(svg.len() + svg.len() / 4);
    let mut rest = svg;
    while let Some(at) = rest.find("=\"#") {
        let (before, found) = rest.split_at(at);
        recoloured.push_str(before);
        let digits = found.get(3..9).unwrap_or_default();
        let byte = |from: usize| u8::from_str_radix(digits.get(from..from + 2).unwrap_or_default(), 16).ok();
        let entry = byte(4).and_then(|index| THEME.get(usize::from(index)));
        match (byte(0), byte(2), entry) {
            (Some(PLACEHOLDER), Some(dash), Some((variable, light, _))) => {
                match colours {
                    Colours::Page => recoloured.push_str(&format!("=\"var({variable})\"")),
                    Colours::Fixed => recoloured.push_str(&format!("=\"{light}\"")),
                }
                if dash == 1 && before.ends_with("stroke") {
                    recoloured.push_str(" stroke-dasharray=\"20 14\"");
                }
                rest = found.get(10..).unwrap_or_default();
            }
            _ => {
                recoloured.push_str("=\"#");
                rest = found.get(3..).unwrap_or_default();
            }
        }
    }
    recoloured.push_str(rest);
    recoloured
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Relative luminance as WCAG defines it.
    fn luminance(colour: &str) -> f64 {
        let channel = |from: usize| {
            let value = f64::from(u8::from_str_radix(&colour[from..from + 2], 16).unwrap()) / 255.0;
            if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5)
    }

    fn contrast(a: &str, b: &str) -> f64 {
        let (a, b) = (luminance(a), luminance(b));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    #[test]
    fn series_and_words_stand_out_in_both_themes() {
        for (name, light, dark) in THEME.iter().filter(|entry| entry.0 != "--grid") {
            assert!(contrast(light, "#FFFFFF") >= 4.5, "{name} on white: {}", contrast(light, "#FFFFFF"));
            assert!(contrast(dark, "#1A222C") >= 4.5, "{name} on dark: {}", contrast(dark, "#1A222C"));
        }
    }

    #[test]
    fn placeholders_become_variables_or_colours_and_dashes() {
        let drawn = r##"<polyline stroke="#FF0000"/><a fill="#010003" stroke="#010104"/>"##;
        assert_eq!(
            recolour(drawn, Colours::Page),
            r##"<polyline stroke="#FF0000"/><a fill="var(--c0)" stroke="var(--c1)" stroke-dasharray="20 14"/>"##
        );
        assert!(recolour(drawn, Colours::Fixed).contains("fill=\"#0067A8\""));
        assert_eq!(recolour("a=\"#", Colours::Page), "a=\"#");
    }
}
