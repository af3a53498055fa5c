//! A picture as PNG: the SVG of a figure, drawn with fonts that come with the program.

use candor_recipes::{Error, Result};
use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{Options, Tree};

/// Pixels for each unit of the SVG: sharp on dense screens and in print.
const DENSITY: f32 = 2.0;
const FONTS: [&[u8]; 2] =
    [include_bytes!("../fonts/DejaVuSans.ttf"), include_bytes!("../fonts/DejaVuSans-Bold.ttf")];
const FAMILY: &str = "DejaVu Sans";

/// Draws SVG files; holds the fonts.
pub struct Painter {
    options: Options<'static>,
}

impl Painter {
    /// A painter with the program's own fonts and no others, so that a picture looks the same everywhere.
    pub fn new() -> Self {
        let mut options = Options { font_family: FAMILY.to_owned(), ..Options::default() };
        let fonts = options.fontdb_mut();
        for font in FONTS {
            fonts.load_font_data(font.to_vec());
        }
        fonts.set_sans_serif_family(FAMILY);
        Self { options }
    }

    /// The bytes of a PNG file.
    ///
    /// # Errors
    /// [`Error::Internal`] for an SVG that cannot be drawn, which no figure of a report causes.
    pub fn png(&self, svg: &str) -> Result<Vec<u8>> {
        let problem = |what: String| Error::Internal(format!("a picture cannot be drawn: {what}"));
        let tree = Tree::from_str(svg, &self.options).map_err(|error| problem(error.to_string()))?;
        let size = tree
            .size()
            .to_int_size()
            .scale_by(DENSITY)
            .ok_or_else(|| problem("it has no area".to_owned()))?;
        let mut pixmap = Pixmap::new(size.width(), size.height())
            .ok_or_else(|| problem(format!("{} x {} pixels", size.width(), size.height())))?;
        resvg::render(&tree, Transform::from_scale(DENSITY, DENSITY), &mut pixmap.as_mut());
        pixmap.encode_png().map_err(|error| problem(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Number of pixels that are not white.
    fn ink(svg: &str) -> usize {
        let png = Painter::new().png(svg).unwrap();
        let pixmap = Pixmap::decode_png(&png).unwrap();
        assert_eq!((pixmap.width(), pixmap.height()), (200, 80));
        pixmap.pixels().iter().filter(|pixel| pixel.red() < 128).count()
    }

    #[test]
    fn words_are_lettered_and_their_weight_shows() {
        let of = |weight: &str, text: &str| {
            ink(&format!(
                "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"100\" height=\"40\"><rect width=\"100\" height=\"40\" fill=\"#fff\"/><text x=\"5\" y=\"28\" font-family=\"sans-serif\" font-size=\"20\" font-weight=\"{weight}\">{text}</text></svg>"
            ))
        };
        assert_eq!(of("normal", ""), 0);
        let normal = of("normal", "α ≤ Äé±");
        assert!(normal > 500, "{normal}");
        assert!(of("bold", "α ≤ Äé±") > normal);
    }

    #[test]
    fn what_is_no_picture_is_an_error() {
        assert!(Painter::new().png("<svg").is_err());
    }
}
