//! Renders the folder of a comparison as a page: `cargo run --example render_page -- FOLDER [OUT.html]`.
//!
//! It reads `comparison.json` and `runs/run-*.json`, as a comparison leaves them, writes `report.html` (beside them,
//! or where it is told to), a page of the first run and one of its evaluation, and every figure as SVG.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use candor::report::Comparison;
use candor::report::page::{EvaluationExtras, Histogram, Page, RunDetail, render, svg};
use serde_json::{Value, json};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().ok_or("usage: render_page FOLDER [OUT.html]")?);
    let out = arguments.next().map_or_else(|| folder.join("report.html"), PathBuf::from);
    let comparison: Comparison = serde_json::from_slice(&fs::read(folder.join("comparison.json"))?)?;
    let mut paths: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(folder.join("runs"))? {
        paths.push(entry?.path());
    }
    paths.sort();
    let mut runs = Vec::new();
    let mut configurations = Vec::new();
    for path in &paths {
        let document: Value = serde_json::from_slice(&fs::read(path)?)?;
        let mut settings = Vec::new();
        flatten("", &document["config"], &mut settings);
        configurations.push(settings);
        runs.push(detail(&document)?);
    }
    let facts = vec![
        ("Recipe".to_owned(), comparison.recipe.clone()),
        ("Data".to_owned(), comparison.data.clone()),
        ("Trainings".to_owned(), comparison.runs.len().to_string()),
    ];
    let page =
        Page::comparison(&comparison, &runs, facts.clone(), Page::joined_configuration(&configurations));
    write(&out, &render(&page))?;
    for figure in &page.figures {
        write(&out.with_extension(format!("{}.svg", figure.name)), &svg(figure))?;
    }
    if let Some(run) = runs.first() {
        let page = Page::run(&comparison.data, run, facts.clone(), configurations.swap_remove(0));
        write(&out.with_extension("run.html"), &render(&page))?;
        // Margins are not in the documents; these are made up to show the picture.
        let mut margins = Histogram::new(0.0, 12.0, 24);
        (0..1000).for_each(|i| margins.add(f64::from(i).sqrt() / 3.0));
        let extras = EvaluationExtras {
            groups: vec![("first <group>".to_owned(), run.test.clone())],
            margins: Some(margins),
            facts,
            ..EvaluationExtras::default()
        };
        let page = Page::evaluation("predictions.parquet", &run.test, extras);
        write(&out.with_extension("eval.html"), &render(&page))?;
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<(), Box<dyn Error>> {
    fs::write(path, text)?;
    println!("{} ({} kB)", path.display(), text.len() / 1000);
    Ok(())
}

/// The detail of a finished run's document.
fn detail(document: &Value) -> Result<RunDetail, serde_json::Error> {
    let epoch = |epoch: &Value| {
        json!({
            "epoch": epoch["epoch"],
            "train_loss": epoch["train"]["loss"],
            "train_nll": epoch["train"]["nll"],
            "train_accuracy": epoch["train"]["accuracy"],
            "validation_nll": epoch["validation"]["nll"],
            "validation_accuracy": epoch["validation"]["accuracy"],
            "validation_ece": epoch["validation_ece"],
        })
    };
    let epochs: Vec<Value> = document["epochs"].as_array().into_iter().flatten().map(epoch).collect();
    serde_json::from_value(json!({
        "variant": document["record"]["variant"],
        "seed": document["record"]["seed"],
        "test": document["figures"]["test"],
        "test_after_temperature": document["figures"]["test_after_temperature"],
        "temperature": document["record"]["temperature"],
        "epochs": epochs,
    }))
}

/// Nested settings as `table.key` and value.
fn flatten(prefix: &str, value: &Value, settings: &mut Vec<(String, String)>) {
    match value {
        Value::Object(table) => {
            for (key, value) in table {
                let name = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
                flatten(&name, value, settings);
            }
        }
        Value::String(text) => settings.push((prefix.to_owned(), text.clone())),
        other => settings.push((prefix.to_owned(), other.to_string())),
    }
}
