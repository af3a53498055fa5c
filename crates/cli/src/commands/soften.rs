//! `candor soften`: labels in, soft targets out, for other frameworks.

use anyhow::Result;
use candor::Labels;
use candor::parameters::ParameterValue;
use candor::targets;
use candor_recipes::Error;
use candor_recipes::predictions::{ScoreKind, Scores, Values, write_npy_scores};
use candor_recipes::soft_targets::{read_labels, write_dense_csv, write_dense_parquet, write_sparse_parquet};
use serde_json::json;

use crate::args::{Global, SoftenArgs};
use crate::inputs::parameters;
use crate::output::{print, print_json};

pub fn run(args: &SoftenArgs, global: &Global) -> Result<()> {
    let mut given = parameters(&args.set)?;
    if let Some(smoothing) = args.smoothing {
        given.insert("smoothing".to_owned(), ParameterValue::Number(smoothing));
    }
    let labels = read_labels(&args.labels, &args.column)?;
    let view = Labels::with_ignore(&labels, args.classes, args.ignore_index)?;
    let ending = args.out.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    if args.sparse && ending != "parquet" {
        return Err(Error::Format {
            path: args.out.clone(),
            problem: "--sparse needs a .parquet file".to_owned(),
        }
        .into());
    }
    let binary = targets::ALL
        .iter()
        .any(|entry| entry.info.name == args.target && matches!(entry.make, targets::Make::Binary(_)));
    let rows = if binary {
        let rule = targets::binary_by_name(&args.target, &given, args.classes)?;
        rule.targets(targets::Positives::one_of(view))?.dense_matrix()
    } else {
        let rule = targets::by_name(&args.target, &given, args.classes)?;
        let made = rule.targets(view)?;
        if args.sparse {
            write_sparse_parquet(&args.out, &labels, &made)?;
            return done(args, labels.len(), global);
        }
        made.dense_matrix()
    };
    if args.sparse {
        let problem = "this rule has one probability a class, which has no sparse form".to_owned();
        return Err(Error::Format { path: args.out.clone(), problem }.into());
    }
    match ending {
        "npy" => {
            let scores =
                Scores { kind: ScoreKind::Probs, values: Values::F64(rows), n_classes: args.classes };
            write_npy_scores(&args.out, &scores)?;
        }
        "parquet" => write_dense_parquet(&args.out, &labels, &rows, args.classes)?,
        "csv" => write_dense_csv(&args.out, &labels, &rows, args.classes)?,
        _ => {
            let problem = "the output must end in .npy, .parquet or .csv".to_owned();
            return Err(Error::Format { path: args.out.clone(), problem }.into());
        }
    }
    done(args, labels.len(), global)
}

fn done(args: &SoftenArgs, rows: usize, global: &Global) -> Result<()> {
    if global.json {
        return print_json(&json!({
            "schema": "candor.soften/1", "rows": rows, "classes": args.classes, "target": args.target,
            "sparse": args.sparse, "out": args.out.display().to_string(),
        }));
    }
    print(&format!("{rows} target rows over {} classes are in {}\n", args.classes, args.out.display()))
}
