//! Writes report pages and their pictures.

use std::path::Path;

use candor::report::page::{Page, render, svg};
use candor_recipes::recipe::DataSummary;
use candor_recipes::{Config, Result, files};

use crate::png::Painter;

/// Writes a page as one HTML file.
///
/// # Errors
/// [`Error::Io`](candor_recipes::Error::Io).
pub fn write_page(path: &Path, page: &Page) -> Result<()> {
    files::write_bytes(path, render(page).as_bytes())
}

/// Writes every picture of a page as an SVG and a PNG file of its own.
///
/// # Errors
/// [`Error::Io`](candor_recipes::Error::Io).
pub fn write_plots(folder: &Path, page: &Page) -> Result<()> {
    files::create_folder(folder)?;
    let painter = Painter::new();
    for figure in &page.figures {
        let drawn = svg(figure);
        files::write_bytes(&folder.join(format!("{}.png", figure.name)), &painter.png(&drawn)?)?;
        files::write_bytes(&folder.join(format!("{}.svg", figure.name)), drawn.as_bytes())?;
    }
    Ok(())
}

/// What a reader wants to know of the data first.
pub fn facts(summary: &DataSummary, config: &Config) -> Vec<(String, String)> {
    [
        ("data", summary.name.clone()),
        ("model", config.model.name.clone()),
        ("classes", summary.classes.to_string()),
        ("training rows", summary.train.to_string()),
        ("validation rows", summary.validation.to_string()),
        ("test rows", summary.test.to_string()),
    ]
    .into_iter()
    .chain(summary.notes.iter().map(|note| ("note", note.clone())))
    .map(|(name, value)| (name.to_owned(), value))
    .collect()
}
