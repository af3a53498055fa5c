//! `candor compare`: trains the grid, prints table and verdict, leaves everything in a folder.

use std::fmt::Write;

use anyhow::Result;
use candor::report::page::Page;
use candor::report::{Comparison, Context, Variant};
use candor_recipes::comparison::{Axis, GridControl, detail, grid, run as run_grid, write_results};
use candor_recipes::{Config, Error, files, recipe};

use super::out_folder;
use crate::args::{CompareArgs, Global};
use crate::interrupt;
use crate::output::{print, print_json};
use crate::progress::Progress;
use crate::report;
use crate::table::{paragraph, short, table, with_sd};

const COMPARISON: &str = "comparison.json";

pub fn run(args: &CompareArgs, global: &Global) -> Result<()> {
    let recipe = recipe::by_name(&args.recipe)?;
    let (layers, mut axes) = args.flags.layers(&args.recipe)?;
    let given = |key: &str| layers.has(key) || axes.iter().any(|axis| axis.key == key);
    // Other losses have strengths of their own, a schedule brings its strengths with it, and students are compared
    // by their teachers.
    let own_strength = ["loss.name", "schedule.name", "distillation.teacher"].into_iter().any(given);
    let missing: Vec<Axis> = recipe
        .axes()
        .iter()
        .filter(|(key, _)| !(given(key) || own_strength && *key == "loss.smoothing"))
        .map(|(key, values)| Axis {
            key: (*key).to_owned(),
            values: values.iter().map(|value| (*value).to_owned()).collect(),
        })
        .collect();
    axes.extend(missing);
    let configs = grid(&layers, &axes, args.seeds)?;
    let Some(first) = configs.first() else { return Ok(()) };
    first.device()?;
    let prepared = recipe.prepare(first)?;
    for config in &configs {
        prepared.check(config)?;
    }
    let folder = out_folder::choose(args.out.as_deref(), "compare");
    check_folder(&folder, args.resume)?;
    out_folder::check_writable(&folder)?;

    let rows: u64 =
        configs.iter().map(|config| (prepared.summary().train * config.training.epochs) as u64).sum();
    let progress = Progress::new(rows, configs.len(), global.quiet);
    let jobs = args.jobs.map(usize::from).unwrap_or_else(rayon::current_num_threads);
    let control = GridControl {
        jobs,
        folder: Some(folder.clone()),
        resume: args.resume,
        stop: interrupt::flag(),
        observer: &progress,
    };
    let finished = run_grid(prepared.as_ref(), &configs, &control);
    progress.finish();
    let finished = finished?;

    let records = finished.iter().map(|run| run.record.clone()).collect();
    let summary = prepared.summary();
    let context = Context { classes: summary.classes, train_classes: summary.train_classes.clone() };
    let mut comparison = Comparison::in_context(&args.recipe, &summary.name, records, &context);
    let conclusion = recipe.conclude(&finished);
    comparison.conclude(&conclusion.verdict, &conclusion.warnings);
    write_results(&folder.join("results.parquet"), &finished)?;
    let details: Vec<_> = finished.iter().map(detail).collect();
    let settings: Vec<_> = configs.iter().map(Config::pairs).collect();
    let mut page = Page::comparison(
        &comparison,
        &details,
        report::facts(prepared.summary(), first),
        Page::joined_configuration(&settings),
    );
    page.tables.extend(conclusion.tables);
    // What the field shows comes first: it is what was asked for.
    page.figures.splice(0..0, conclusion.figures);
    report::write_page(&folder.join("report.html"), &page)?;
    if args.export_plots {
        report::write_plots(&folder.join("plots"), &page)?;
    }
    let document = serde_json::to_vec_pretty(&comparison)?;
    files::write_bytes(&folder.join(COMPARISON), &document)?;
    if global.json {
        return print_json(&comparison);
    }
    let summary = prepared.summary();
    let mut text = format!(
        "{} on {}: {} training, {} validation, {} test rows, {} classes, {} seed{}\n",
        first.model.name,
        summary.name,
        summary.train,
        summary.validation,
        summary.test,
        summary.classes,
        args.seeds,
        if args.seeds == 1 { "" } else { "s" }
    );
    summary.notes.iter().for_each(|note| text.push_str(&paragraph(&format!("note: {note}"))));
    text.push('\n');
    text.push_str(&people(&comparison));
    writeln!(text, "\nThe page to look at is {}", folder.join("report.html").display())?;
    print(&text)
}

/// A folder must be new, or with `--resume` hold an unfinished comparison.
fn check_folder(folder: &std::path::Path, resume: bool) -> candor_recipes::Result<()> {
    let occupied =
        |problem: &str| Err(Error::Occupied { path: folder.to_owned(), problem: problem.to_owned() });
    if folder.join(COMPARISON).exists() {
        return occupied("holds a finished comparison, which is never overwritten; choose another folder");
    }
    let used = folder.read_dir().is_ok_and(|mut entries| entries.next().is_some());
    if used && !resume {
        return occupied("is not empty; go on with --resume or choose another folder");
    }
    Ok(())
}

/// The comparison for people: table, verdict, warnings.
fn people(comparison: &Comparison) -> String {
    let variants = comparison.variants();
    let name = |variant: &Variant| label(variant, &variants);
    let rows: Vec<Vec<String>> = variants
        .iter()
        .map(|variant| {
            let row = |metric: &str| comparison.row(variant, metric);
            let spread = |metric: &str, decimals| {
                row(metric).map_or("-".to_owned(), |row| with_sd(row.mean, row.sd, decimals))
            };
            let mean = |metric: &str| row(metric).map_or(f64::NAN, |row| row.mean);
            let gap = mean("signed_gap");
            let runs: Vec<f64> = comparison
                .runs
                .iter()
                .filter(|run| run.variant == **variant)
                .filter_map(|run| run.temperature)
                .collect();
            let temperature = runs.iter().sum::<f64>() / runs.len() as f64;
            let after = row("ece")
                .and_then(|row| row.after_temperature.as_ref())
                .map_or(f64::NAN, |after| after.mean);
            vec![
                name(variant),
                spread("accuracy", 4),
                spread("nll", 3),
                spread("ece", 3),
                short(mean("brier"), 3),
                format!("{}{}", if gap > 0.0 { "+" } else { "" }, short(gap, 3)),
                short(mean("aurc"), 3),
                short(temperature, 2),
                short(after, 3),
            ]
        })
        .collect();
    let first = if rows.iter().all(|row| row[0].parse::<f64>().is_ok()) { "smoothing" } else { "variant" };
    let headings = [first, "accuracy", "NLL", "ECE", "Brier", "gap", "AURC", "T", "ECE@T"];
    let mut text = table(&headings, &rows);
    text.push_str("mean±sd over seeds; gap: confidence - accuracy; T: temperature; ECE@T: with it\n\n");
    for sentence in &comparison.verdict {
        text.push_str(&paragraph(sentence));
    }
    for warning in &comparison.warnings {
        text.push_str(&paragraph(&format!("warning ({}): {}", warning.code, warning.message)));
    }
    text
}

/// The strength, and whatever else distinguishes this variant from the others.
fn label(variant: &Variant, all: &[&Variant]) -> String {
    let mut parts = vec![format!("{}", variant.smoothing)];
    let mut note = |name: &str, mine: &str, differs: bool| {
        if differs {
            parts.push(format!("{name}={mine}"));
        }
    };
    note("loss", &variant.loss, all.iter().any(|other| other.loss != variant.loss));
    note("target", &variant.target, all.iter().any(|other| other.target != variant.target));
    note("schedule", &variant.schedule, all.iter().any(|other| other.schedule != variant.schedule));
    note("convention", &variant.convention, all.iter().any(|other| other.convention != variant.convention));
    note("model", &variant.model, all.iter().any(|other| other.model != variant.model));
    let keys: std::collections::BTreeSet<&String> =
        all.iter().flat_map(|other| other.settings.keys()).collect();
    for key in keys {
        let mine = variant.settings.get(key);
        note(
            key,
            mine.map_or("default", String::as_str),
            all.iter().any(|other| other.settings.get(key) != mine),
        );
    }
    parts.join(" ")
}
