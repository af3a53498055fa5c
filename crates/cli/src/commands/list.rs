//! `candor list`: everything that has a name, from the registries.

use anyhow::Result;
use candor::parameters::{Parameter, describe_defaults};
use candor::{calibrators, losses, metrics, schedules, targets};
use candor_recipes::{config::keys, recipe};
use serde_json::{Map, Value, json};

use crate::args::{Global, ListArgs, ListKind};
use crate::output::{print, print_json};
use crate::table::table;

const ALL: [ListKind; 7] = [
    ListKind::Losses,
    ListKind::Targets,
    ListKind::Schedules,
    ListKind::Metrics,
    ListKind::Calibrators,
    ListKind::Recipes,
    ListKind::Config,
];

pub fn run(args: &ListArgs, global: &Global) -> Result<()> {
    let kinds = args.what.map_or(ALL.to_vec(), |kind| vec![kind]);
    if global.json {
        let mut document = Map::new();
        document.insert("schema".to_owned(), json!("candor.list/1"));
        for kind in kinds {
            document.insert(name(kind).to_owned(), entries(kind)?);
        }
        return print_json(&document);
    }
    let mut text = String::new();
    for (index, kind) in kinds.iter().enumerate() {
        if index > 0 {
            text.push('\n');
        }
        text.push_str(&people(*kind));
    }
    print(&text)
}

fn name(kind: ListKind) -> &'static str {
    match kind {
        ListKind::Losses => "losses",
        ListKind::Targets => "targets",
        ListKind::Schedules => "schedules",
        ListKind::Metrics => "metrics",
        ListKind::Calibrators => "calibrators",
        ListKind::Recipes => "recipes",
        ListKind::Config => "config",
    }
}

/// The entries with every field, and the defaults in words.
fn entries(kind: ListKind) -> Result<Value> {
    let with_defaults = |info: Value, defaults: String| match info {
        Value::Object(mut fields) => {
            fields.insert("defaults".to_owned(), json!(defaults));
            Value::Object(fields)
        }
        other => other,
    };
    Ok(match kind {
        ListKind::Losses => losses::ALL
            .iter()
            .map(|entry| {
                Ok(with_defaults(serde_json::to_value(entry.info)?, describe_defaults(entry.info.parameters)))
            })
            .collect::<Result<Value>>()?,
        ListKind::Targets => targets::ALL
            .iter()
            .map(|entry| {
                Ok(with_defaults(serde_json::to_value(entry.info)?, describe_defaults(entry.info.parameters)))
            })
            .collect::<Result<Value>>()?,
        ListKind::Schedules => schedules::ALL
            .iter()
            .map(|entry| {
                Ok(with_defaults(serde_json::to_value(entry.info)?, describe_defaults(entry.info.parameters)))
            })
            .collect::<Result<Value>>()?,
        ListKind::Metrics => serde_json::to_value(metrics::ALL)?,
        ListKind::Calibrators => calibrators::ALL
            .iter()
            .map(|entry| {
                Ok(with_defaults(serde_json::to_value(entry.info)?, describe_defaults(entry.info.parameters)))
            })
            .collect::<Result<Value>>()?,
        ListKind::Recipes => recipe::ALL
            .iter()
            .map(|recipe| serde_json::to_value(recipe.info()).map_err(Into::into))
            .collect::<Result<Value>>()?,
        ListKind::Config => keys::ALL
            .iter()
            .map(|key| {
                let mut value = serde_json::to_value(key)?;
                value["flag"] = json!(format!("--{}", key.flag()));
                Ok(value)
            })
            .collect::<Result<Value>>()?,
    })
}

fn people(kind: ListKind) -> String {
    let row = |cells: &[&str]| cells.iter().map(|cell| (*cell).to_owned()).collect::<Vec<String>>();
    let block = |name: &str, summary: &str, details: &[(&str, &str)]| {
        let mut text = format!("{name}\n    {summary}\n");
        for (label, value) in details.iter().filter(|(_, value)| !value.is_empty()) {
            text.push_str(&format!("    {label}: {value}\n"));
        }
        text
    };
    let method = |name: &str, summary: &str, formula: &str, parameters: &[Parameter], paper: &str| {
        let defaults = describe_defaults(parameters);
        block(name, summary, &[("formula", formula), ("defaults", &defaults), ("paper", paper)])
    };
    let body: String = match kind {
        ListKind::Losses => losses::ALL
            .iter()
            .map(|entry| {
                let info = entry.info;
                method(info.name, info.summary, info.formula, info.parameters, info.paper)
            })
            .collect(),
        ListKind::Targets => targets::ALL
            .iter()
            .map(|entry| {
                let info = entry.info;
                method(info.name, info.summary, info.formula, info.parameters, info.paper)
            })
            .collect(),
        ListKind::Schedules => schedules::ALL
            .iter()
            .map(|entry| {
                let info = entry.info;
                method(info.name, info.summary, info.formula, info.parameters, info.paper)
            })
            .collect(),
        ListKind::Metrics => metrics::ALL
            .iter()
            .map(|info| {
                let details = [
                    ("formula", info.formula),
                    ("range", info.range),
                    ("state", info.state),
                    ("paper", info.paper),
                ];
                block(info.name, info.summary, &details)
            })
            .collect(),
        ListKind::Calibrators => calibrators::ALL
            .iter()
            .map(|entry| {
                let info = entry.info;
                method(info.name, info.summary, info.formula, info.parameters, info.paper)
            })
            .collect(),
        ListKind::Recipes => recipe::ALL
            .iter()
            .map(|recipe| {
                let info = recipe.info();
                let (models, data) = (info.models.join(", "), info.data.join(", "));
                block(
                    info.name,
                    info.summary,
                    &[("models", &models), ("embedded data", &data), ("also takes", info.formats)],
                )
            })
            .collect(),
        ListKind::Config => {
            let rows: Vec<Vec<String>> = keys::ALL
                .iter()
                .map(|key| row(&[key.path, &format!("--{}", key.flag()), key.help]))
                .collect();
            table(&["key", "flag", "meaning"], &rows)
        }
    };
    format!("{}\n\n{body}", name(kind).to_uppercase())
}
