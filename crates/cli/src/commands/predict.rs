//! `candor predict`: a finished run's predictions for other data.

use anyhow::Result;
use candor_recipes::predictions::write_parquet;
use candor_recipes::recipe;
use serde_json::json;

use crate::args::{Global, PredictArgs};
use crate::output::{print, print_json};

pub fn run(args: &PredictArgs, global: &Global) -> Result<()> {
    let predictions = recipe::predict(&args.run, &args.data, &args.device)?;
    write_parquet(&args.out, &predictions)?;
    let (rows, classes) = (predictions.labels.len(), predictions.scores.n_classes);
    if global.json {
        return print_json(&json!({
            "schema": "candor.predict/1", "rows": rows, "classes": classes, "out": args.out.display().to_string(),
        }));
    }
    print(&format!("{rows} rows over {classes} classes are in {}\n", args.out.display()))
}
