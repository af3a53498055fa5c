//! Writes report pages and their pictures.

use std::path::Path;

use candor::report::page::{Page, render, svg};
use candor_recipes::recipe::DataSummary;
use candor_recipes::{Config, Error, Result, files};

/// Writes a page as one HTML file.
///
/// # Errors
/// [`Error::Io`].
pub fn write_page(path: &Path, page: &Page) -> Result<()> {
    files::write_bytes(path, render(page).as_bytes())
}

/// Writes every picture of a page as an SVG file of its own.
///
/// # Errors
/// [`Error::Io`].
pub fn write_plots(folder: &Path, page: &Page) -> Result<()> {
    files::create_folder(folder)?;
    for figure in &page.figures {
        files::write_bytes(&folder.join(format!("{}.svg", figure.name)), svg(figure).as_bytes())?;
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
    .map(|(name, value)| (name.to_owned(), value))
    .to_vec()
}

/// Every key of a configuration with its value.
///
/// # Errors
/// [`Error::Internal`] for a configuration that cannot be written.
pub fn configuration(config: &Config) -> Result<Vec<(String, String)>> {
    let table = toml::Table::try_from(config).map_err(|error| Error::Internal(error.to_string()))?;
    let text = |value: &toml::Value| match value {
        toml::Value::String(text) => text.clone(),
        value => value.to_string(),
    };
    let mut pairs = Vec::new();
    for (section, value) in &table {
        match value {
            toml::Value::Table(inner) => {
                pairs.extend(inner.iter().map(|(key, value)| (format!("{section}.{key}"), text(value))));
            }
            value => pairs.push((section.clone(), text(value))),
        }
    }
    Ok(pairs)
}
