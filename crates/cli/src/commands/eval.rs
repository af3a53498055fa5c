//! `candor eval`: figures for predictions from anywhere.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use candor::calibrators::{Map, Output};
use candor::metrics::{Evaluation, EvaluationOptions, Fairness, MetricSet, PairedEstimate};
use candor::report::page::{EvaluationExtras, OtherModel, Page, differences_in_words};
use candor::report::{Warning, evaluation_warnings, group_warnings};
use candor_recipes::Error;
use candor_recipes::predictions::{
    self, BadRows, ClassNames, Evaluated, Fields, Format, InputKind, Request, Stream, evaluate,
};
use serde::Serialize;

use super::eval_text;
use crate::args::{EvalArgs, Global};
use crate::inputs;
use crate::maps;
use crate::output::{print, print_json};
use crate::report;

/// The document of `--json`.
#[derive(Serialize)]
struct EvalDocument<'a> {
    schema: &'static str,
    file: &'a str,
    classes: usize,
    input: &'static str,
    /// Which probability the calibration errors judge.
    ece_of: &'static str,
    #[serde(flatten)]
    evaluation: &'a Evaluation,
    ignored: u64,
    bad: &'a BadRows,
    #[serde(skip_serializing_if = "no_groups")]
    groups: &'a BTreeMap<String, Evaluation>,
    #[serde(skip_serializing_if = "Option::is_none")]
    worst_group: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fairness: Option<FairnessDocument<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    comparison: Option<ComparisonDocument<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    with_map: Option<MapDocument<'a>>,
    warnings: &'a [Warning],
}

#[derive(Serialize)]
struct FairnessDocument<'a> {
    positive: &'a str,
    #[serde(flatten)]
    fairness: &'a Fairness,
}

#[derive(Serialize)]
struct ComparisonDocument<'a> {
    file: &'a str,
    evaluation: &'a Evaluation,
    differences: &'a BTreeMap<String, PairedEstimate>,
    verdict: &'a [String],
}

#[derive(Serialize)]
struct MapDocument<'a> {
    file: String,
    method: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    evaluation: &'a Evaluation,
}

fn no_groups(groups: &&BTreeMap<String, Evaluation>) -> bool {
    groups.is_empty()
}

/// An evaluation with all that is said about it.
pub(super) struct Judged<'a> {
    pub(super) name: &'a str,
    pub(super) evaluated: &'a Evaluated,
    /// The metrics that were asked for; a report needs some more.
    pub(super) metrics: MetricSet,
    pub(super) positive: Option<&'a str>,
    pub(super) other: Option<&'a str>,
    pub(super) verdict: Vec<String>,
    pub(super) map: Option<&'a Map>,
    pub(super) warnings: Vec<Warning>,
}

/// What the pages need, whatever metrics were asked for.
const FOR_THE_PAGE: [&str; 8] =
    ["accuracy", "confidence", "signed_gap", "ece", "nll", "brier", "aurc", "classwise_ece"];

pub fn run(args: &EvalArgs, global: &Global) -> Result<()> {
    let metrics = match &args.metrics[..] {
        [] => MetricSet::default(),
        [all] if all.trim() == "all" => MetricSet::all(),
        names => MetricSet::of(names.iter().map(|name| name.trim()))?,
    };
    let computed = if args.report.is_some() {
        MetricSet::of(metrics.metrics().map(|metric| metric.name).chain(FOR_THE_PAGE))?
    } else {
        metrics
    };
    let defaults = EvaluationOptions::default();
    let options = EvaluationOptions {
        metrics: computed,
        n_bins: args.bins,
        binning: args.binning.parse()?,
        edges: args.edges.parse()?,
        seed: args.seed,
        intervals: args.bootstrap != Some(0),
        bootstrap: args.bootstrap.map_or(defaults.bootstrap, |n| n as usize),
        top_k: args.top_k,
        coverage: args.coverage,
        risk: args.risk,
        ..defaults
    };
    let input = inputs::source(&args.predictions)?;
    let stored = args.map.as_deref().map(maps::read).transpose()?;
    if let Some(stored) = &stored
        && stored.saved.map.as_dyn().info().output == Output::Confidence
    {
        return Err(inputs::request(
            "this map ranks predictions and leaves their probabilities as they are, so only AURC would change: candor calibrate apply shows it",
        ));
    }
    // A map with groups says in which column they are.
    let of_map = stored.as_ref().filter(|stored| stored.saved.map.needs_groups());
    let group = args.group_by.clone().or_else(|| of_map?.group.clone());
    let fields = Fields { group: group.clone(), ..inputs::fields(&args.predictions)? };
    let column = group.as_ref().or(args.predictions.columns.weights_column.as_ref());
    if let (predictions::Input::Arrays { .. }, Some(column)) = (&input, column) {
        let problem = format!(
            "bare arrays have no column {column:?} for groups or weights: give a file with columns, such as .npz"
        );
        return Err(inputs::request(&problem));
    }
    let request = Request {
        options,
        ignore_index: args.predictions.ignore_index,
        on_bad: inputs::on_bad(&args.predictions)?,
        positive: args
            .positive
            .as_deref()
            .map(|text| positive(text, fields.class_names.as_ref()))
            .transpose()?,
        map: stored.as_ref().map(|stored| stored.saved.map.clone()),
        detail: args.report.is_some(),
    };
    let other = args.compare.as_deref().map(|path| other_input(&input, path)).transpose()?;
    let other_stream = match &other {
        Some(other) => Some(Stream::open(other, Fields { group: None, weights: None, ..fields.clone() })?),
        None => None,
    };
    let name = input.name();
    let class_names = fields.class_names.clone();
    let evaluated = evaluate(Stream::open(&input, fields)?, other_stream, &request)
        .map_err(|error| inputs::named(error, &name))?;
    let other_name = other.as_ref().map(short_name);
    let judged = Judged {
        name: &name,
        metrics,
        positive: args.positive.as_deref(),
        other: other_name.as_deref(),
        verdict: verdict(&evaluated, &short_name(&input), other_name.as_deref()),
        map: request.map.as_ref(),
        warnings: warnings(&evaluated, metrics),
        evaluated: &evaluated,
    };
    if let Some(path) = &args.report {
        let page = page(&judged, class_names.as_ref(), args, &input);
        report::write_page(path, &page)?;
        if args.export_plots {
            report::write_plots(&path.with_extension("plots"), &page)?;
        }
    }
    if global.json {
        let mut shown = evaluated.clone();
        keep(&mut shown, metrics);
        return print_json(&document(&Judged { evaluated: &shown, ..judged }, args));
    }
    print(&eval_text::text(&judged))
}

/// Leaves only the metrics that were asked for, and the tables of single classes once.
fn keep(evaluated: &mut Evaluated, metrics: MetricSet) {
    let only = |evaluation: &mut Evaluation| evaluation.metrics.retain(|name, _| metrics.contains(name));
    only(&mut evaluated.evaluation);
    let other = evaluated.other.iter_mut().map(|other| {
        other.differences.metrics.retain(|name, _| metrics.contains(name));
        &mut other.evaluation
    });
    for evaluation in evaluated.groups.values_mut().chain(other).chain(&mut evaluated.mapped) {
        only(evaluation);
        evaluation.class_reliability.clear();
    }
}

/// The other model's predictions, given in the way of the first.
fn other_input(first: &predictions::Input, path: &Path) -> Result<predictions::Input> {
    let array = path.extension().is_some_and(|ending| ending == "npy");
    Ok(match first {
        predictions::Input::Arrays { kind, labels, .. } if array && *kind != InputKind::Confidence => {
            predictions::Input::Arrays { kind: *kind, scores: path.to_owned(), labels: labels.clone() }
        }
        _ => predictions::Input::files(std::slice::from_ref(&path.to_owned()), None::<Format>)?,
    })
}

/// The class that is decided for.
fn positive(text: &str, names: Option<&ClassNames>) -> Result<usize> {
    let by_name = names.and_then(|names| names.index(text)).and_then(|index| usize::try_from(index).ok());
    by_name.or_else(|| text.parse().ok()).ok_or_else(|| {
        let problem = "is neither a class index nor a name of --class-names".to_owned();
        Error::Config { key: "positive".to_owned(), got: text.to_owned(), problem }.into()
    })
}

fn verdict(evaluated: &Evaluated, name: &str, other: Option<&str>) -> Vec<String> {
    let compared = evaluated.other.as_ref().zip(other);
    compared.map_or_else(Vec::new, |(found, other)| differences_in_words(name, other, &found.differences))
}

/// What the figures and the input show that a user should act on.
fn warnings(evaluated: &Evaluated, metrics: MetricSet) -> Vec<Warning> {
    let mut warnings = evaluation_warnings(&evaluated.evaluation);
    warnings.extend(input_warnings(evaluated));
    // Of the usual ones and of all, those that apply were meant.
    let by_name = metrics != MetricSet::default() && metrics != MetricSet::all();
    let missing: Vec<&str> = metrics
        .metrics()
        .map(|metric| metric.name)
        .filter(|name| by_name && !evaluated.evaluation.metrics.contains_key(*name))
        .collect();
    if !missing.is_empty() {
        warnings.push(Warning::new(
            "metric_does_not_apply",
            format!(
                "{} cannot be computed of these rows ({}): see the inputs of each metric in candor list metrics",
                missing.join(", "),
                evaluated.kind.name()
            ),
        ));
    }
    warnings
}

/// The warnings beyond those of the figures.
fn input_warnings(evaluated: &Evaluated) -> Vec<Warning> {
    let groups = evaluated.groups.iter().map(|(name, group)| (name.as_str(), group));
    let mut warnings = group_warnings(&evaluated.evaluation, groups);
    let bad = &evaluated.bad;
    if bad.count > 0 {
        warnings.push(Warning::new(
            "bad_rows",
            format!(
                "{} rows were left out ({}), the first is row {}: mend the input, for the figures may not stand for the rows that are missing",
                bad.count,
                bad.summary(),
                bad.first.first().map_or(String::new(), |first| format!("{} of {}, {}", first.row, first.file, first.problem))
            ),
        ));
    }
    warnings
}

/// The group whose calibration error is the furthest above what chance makes.
pub(super) fn worst_group(evaluated: &Evaluated) -> Option<(&str, &Evaluation)> {
    let excess = |evaluation: &Evaluation| {
        let ece = evaluation.metrics.get("ece")?;
        Some(ece.value? - ece.null_value.unwrap_or(0.0))
    };
    let groups = evaluated.groups.iter().filter_map(|(name, group)| Some((name, group, excess(group)?)));
    let worst = groups.max_by(|a, b| a.2.total_cmp(&b.2))?;
    Some((worst.0, worst.1))
}

/// Which probability the calibration errors judge.
pub(super) fn ece_of(kind: InputKind) -> &'static str {
    match kind {
        InputKind::Binary => "class 1",
        _ => "predicted class",
    }
}

fn document<'a>(judged: &'a Judged<'a>, args: &EvalArgs) -> EvalDocument<'a> {
    let evaluated = judged.evaluated;
    let map = args.map.as_deref().zip(judged.map).zip(evaluated.mapped.as_ref());
    EvalDocument {
        schema: "candor.eval/1",
        file: judged.name,
        classes: evaluated.n_classes,
        input: evaluated.kind.name(),
        ece_of: ece_of(evaluated.kind),
        evaluation: &evaluated.evaluation,
        ignored: evaluated.ignored,
        bad: &evaluated.bad,
        groups: &evaluated.groups,
        worst_group: worst_group(evaluated).map(|worst| worst.0),
        fairness: judged
            .positive
            .zip(evaluated.fairness.as_ref())
            .map(|(positive, fairness)| FairnessDocument { positive, fairness }),
        comparison: judged.other.zip(evaluated.other.as_ref()).map(|(file, other)| ComparisonDocument {
            file,
            evaluation: &other.evaluation,
            differences: &other.differences.metrics,
            verdict: &judged.verdict,
        }),
        with_map: map.map(|((path, map), evaluation)| MapDocument {
            file: path.display().to_string(),
            method: map.name(),
            temperature: match map {
                Map::Temperature(map) => Some(map.temperature),
                _ => None,
            },
            evaluation,
        }),
        warnings: &judged.warnings,
    }
}

/// What the page calls the predictions: of arrays, the scores alone.
fn short_name(input: &predictions::Input) -> String {
    match input {
        predictions::Input::Arrays { scores, .. } => scores.display().to_string(),
        other => other.name(),
    }
}

fn page(
    judged: &Judged<'_>,
    names: Option<&ClassNames>,
    args: &EvalArgs,
    input: &predictions::Input,
) -> Page {
    let evaluated = judged.evaluated;
    let text = |pairs: &[(&str, String)]| -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
    };
    let mut facts = vec![
        ("input", evaluated.kind.name().to_owned()),
        ("classes", evaluated.n_classes.to_string()),
        ("bins", format!("{} of {}", args.bins, args.binning.replace('_', " "))),
    ];
    if evaluated.ignored > 0 {
        facts.push(("ignored rows", evaluated.ignored.to_string()));
    }
    if evaluated.bad.count > 0 {
        facts.push(("rows left out", evaluated.bad.count.to_string()));
    }
    let mut configuration = vec![
        ("input", judged.name.to_owned()),
        ("calibration errors judge", ece_of(evaluated.kind).to_owned()),
        ("edges", args.edges.clone()),
        ("seed", args.seed.to_string()),
    ];
    configuration.extend(args.group_by.clone().map(|column| ("groups by", column)));
    configuration.extend(args.predictions.columns.weights_column.clone().map(|column| ("weights", column)));
    configuration.extend(args.map.as_ref().map(|map| ("map", map.display().to_string())));
    configuration.extend(judged.other.map(|other| ("compared with", other.to_owned())));
    let extras = EvaluationExtras {
        groups: evaluated.groups.clone().into_iter().collect(),
        fairness: judged.positive.map(str::to_owned).zip(evaluated.fairness.clone()),
        class_names: names.map_or_else(Vec::new, |names| {
            (0..names.len()).filter_map(|class| names.name(class)).map(str::to_owned).collect()
        }),
        outcomes: evaluated.detail.as_ref().map(|detail| (detail.right.clone(), detail.wrong.clone())),
        margins: evaluated.detail.as_ref().and_then(|detail| detail.margins.clone()),
        mapped: judged.map.map(maps::short).zip(evaluated.mapped.clone()),
        other: judged.other.zip(evaluated.other.as_ref()).map(|(name, other)| OtherModel {
            name: name.to_owned(),
            evaluation: other.evaluation.clone(),
            differences: other.differences.clone(),
        }),
        warnings: input_warnings(evaluated),
        facts: text(&facts),
        configuration: text(&configuration),
    };
    Page::evaluation(&short_name(input), &evaluated.evaluation, extras)
}
