//! `candor data`: the embedded sets, or what is at a path.

use anyhow::Result;
use candor_recipes::config::Layers;
use candor_recipes::recipe;
use serde_json::json;

use crate::args::{DataArgs, Global};
use crate::output::{print, print_json};
use crate::table::{paragraph, table};

pub fn run(args: &DataArgs, global: &Global) -> Result<()> {
    match &args.path {
        None => embedded(global),
        Some(path) => describe(path, global),
    }
}

fn embedded(global: &Global) -> Result<()> {
    let sets: Vec<(&str, &str, &str)> = recipe::ALL
        .iter()
        .flat_map(|recipe| {
            recipe.info().data.iter().map(|set| (*set, recipe.info().name, recipe.info().formats))
        })
        .collect();
    if global.json {
        let sets: Vec<_> =
            sets.iter().map(|(name, recipe, _)| json!({"name": name, "recipe": recipe})).collect();
        return print_json(&json!({"schema": "candor.data/1", "embedded": sets}));
    }
    let rows: Vec<Vec<String>> =
        sets.iter().map(|(name, recipe, _)| vec![(*name).to_owned(), (*recipe).to_owned()]).collect();
    let mut text = table(&["embedded set", "recipe"], &rows);
    for recipe in recipe::ALL {
        text.push_str(&format!("\n{} also takes {}\n", recipe.info().name, recipe.info().formats));
    }
    print(&text)
}

fn describe(path: &str, global: &Global) -> Result<()> {
    // Recipes that know the kind are asked first, then the others; the first error stands, or that of a missing setting.
    let mut first_error = None;
    let mut recipes = recipe::ALL.to_vec();
    recipes.sort_by_key(|recipe| !recipe.recognises(path.as_ref()));
    for recipe in recipes {
        let mut layers = Layers::recipe(recipe.info().name)?;
        layers.set("data.path", path)?;
        match layers.build().and_then(|config| recipe.prepare(&config)) {
            Ok(prepared) => {
                let summary = prepared.summary();
                if global.json {
                    return print_json(
                        &json!({"schema": "candor.data/1", "recipe": recipe.info().name, "summary": summary}),
                    );
                }
                let mut text = format!(
                    "{}: fits recipe {}\n{} classes, input {:?}\n{} training, {} validation, {} test rows with the default split\n\n",
                    summary.name,
                    recipe.info().name,
                    summary.classes,
                    summary.input,
                    summary.train,
                    summary.validation,
                    summary.test
                );
                summary.notes.iter().for_each(|note| text.push_str(&paragraph(&format!("note: {note}"))));
                let rows: Vec<Vec<String>> = summary
                    .train_classes
                    .iter()
                    .enumerate()
                    .map(|(class, count)| {
                        let name = summary.class_names.as_ref().and_then(|names| names.get(class).cloned());
                        vec![name.unwrap_or_else(|| class.to_string()), count.to_string()]
                    })
                    .collect();
                text.push_str(&table(&["class", "training rows"], &rows));
                return print(&text);
            }
            // A recipe that read the data and misses a setting knows more of it than one that could not read it.
            Err(error) => {
                if first_error.is_none() || matches!(error, candor_recipes::Error::Config { .. }) {
                    first_error = Some(error);
                }
            }
        }
    }
    match first_error {
        Some(error) => Err(error.into()),
        None => Ok(()),
    }
}
