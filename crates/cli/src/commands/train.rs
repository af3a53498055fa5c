//! `candor train`: one run into its folder.

use std::fmt::Write;

use anyhow::Result;
use candor::metrics::EvaluationOptions;
use candor::report::page::Page;
use candor_recipes::comparison::{FinishedRun, detail_of, record};
use candor_recipes::recipe::{self, Control, DataSummary, Figures};
use candor_recipes::training::RunFolder;
use candor_recipes::{Config, Error};
use serde::Serialize;

use super::out_folder;
use crate::args::{Global, TrainArgs};
use crate::interrupt;
use crate::output::{print, print_json};
use crate::progress::Progress;
use crate::report;
use crate::table::{paragraph, short, table};

/// What a finished run leaves in `result.json`; no wall-clock figure, so that it can be compared byte by byte.
#[derive(Serialize)]
struct RunResult<'a> {
    schema: &'static str,
    recipe: &'a str,
    data: &'a DataSummary,
    config: &'a Config,
    epochs: usize,
    figures: &'a Figures,
}

pub fn run(args: &TrainArgs, global: &Global) -> Result<()> {
    let folder = out_folder::choose(args.out.as_deref(), "train");
    let config = configuration(args, &folder)?;
    config.device()?;
    let recipe = recipe::by_name(&config.recipe)?;
    let prepared = recipe.prepare(&config)?;
    prepared.check(&config)?;
    out_folder::check_writable(&folder)?;
    let progress = Progress::new((prepared.summary().train * config.training.epochs) as u64, 1, global.quiet);
    let control = Control {
        folder: Some(folder.clone()),
        resume: args.resume,
        stop: interrupt::flag(),
        observer: &progress,
    };
    // On a thread of the pool, so that small steps need not wake another for each of their loops.
    let output = rayon::scope(|_| prepared.train(&config, &control));
    progress.finish();
    let output = output?;
    let figures = output.figures(EvaluationOptions::default())?;
    let result = RunResult {
        schema: "candor.train/1",
        recipe: &config.recipe,
        data: prepared.summary(),
        config: &config,
        epochs: output.epochs.len(),
        figures: &figures,
    };
    let run = detail_of(&config, &figures, &output.epochs);
    let summary = prepared.summary();
    let mut page = Page::run(&summary.name, &run, report::facts(summary, &config), config.pairs());
    let conclusion = recipe.conclude(&[FinishedRun {
        record: record(&config, &figures, &output.epochs, output.seconds),
        config: config.clone(),
        figures: figures.clone(),
        epochs: output.epochs.clone(),
    }]);
    let own_words: String = conclusion.verdict.iter().map(|sentence| paragraph(sentence)).collect();
    page.verdict.extend(conclusion.verdict);
    page.warnings.extend(conclusion.warnings);
    page.tables.extend(conclusion.tables);
    page.figures.extend(conclusion.figures);
    report::write_page(&folder.join("report.html"), &page)?;
    if args.export_plots {
        report::write_plots(&folder.join("plots"), &page)?;
    }
    RunFolder::finish(&folder, &result)?;
    if global.json {
        return print_json(&result);
    }
    let mut text = people(&figures);
    if !own_words.is_empty() {
        text.push('\n');
        text.push_str(&own_words);
    }
    writeln!(text, "\nThe run is in {}", folder.display())?;
    print(&text)
}

/// The settings given, or with `--resume` those that the run was started with.
fn configuration(args: &TrainArgs, folder: &std::path::Path) -> Result<Config> {
    let given = args.flags.layers(&args.recipe)?;
    if args.resume
        && let Some(started) = RunFolder::config(folder)?
    {
        if args.flags.is_empty() || given.build()? == started {
            return Ok(started);
        }
        let problem =
            "its run has another configuration (config.toml); leave the settings out to continue it";
        return Err(Error::Occupied { path: folder.to_owned(), problem: problem.to_owned() }.into());
    }
    Ok(given.build()?)
}

/// The figures before and after temperature scaling.
fn people(figures: &Figures) -> String {
    let after = figures.test_after_temperature.as_ref();
    let rows: Vec<Vec<String>> =
        [("accuracy", 4), ("nll", 4), ("brier", 4), ("ece", 4), ("signed_gap", 4), ("aurc", 4)]
            .into_iter()
            .map(|(name, decimals)| {
                vec![
                    name.to_owned(),
                    short(figures.test.value(name), decimals),
                    after.map_or("-".to_owned(), |evaluation| short(evaluation.value(name), decimals)),
                ]
            })
            .collect();
    let scaled = figures
        .temperature
        .map_or("with temperature".to_owned(), |fit| format!("with T = {}", short(fit.map.temperature, 3)));
    table(&["test rows", "as trained", &scaled], &rows)
}
