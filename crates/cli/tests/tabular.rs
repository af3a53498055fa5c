//! Tables: what smoothing does to gaps between groups, and tables that do not fit.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::program::{json, listing, ok, refused};

/// The mean over seeds of a figure at a strength.
fn mean(document: &Value, metric: &str, smoothing: f64) -> f64 {
    let rows = document["summary"].as_array().unwrap();
    let row = rows
        .iter()
        .find(|row| row["metric"] == metric && row["variant"]["smoothing"] == smoothing)
        .unwrap_or_else(|| panic!("no {metric} at {smoothing}"));
    row["mean"].as_f64().unwrap()
}

fn verdict(document: &Value) -> String {
    let sentences = document["verdict"].as_array().unwrap();
    sentences.iter().map(|sentence| sentence.as_str().unwrap()).collect::<Vec<_>>().join(" ")
}

/// The gap of scores shrinks by 1-α, the gap of decisions stays, and the report says so.
fn shows_what_smoothing_does(document: &Value, strengths: &[f64]) {
    let (score, decision) = (mean(document, "score_gap", 0.0), mean(document, "decision_gap", 0.0));
    for &strength in strengths {
        let ratio = mean(document, "score_gap", strength) / score;
        let interval = mean(document, "score_gap_half", strength) / score;
        assert!((ratio - (1.0 - strength)).abs() < interval, "{strength}: ratio {ratio} ± {interval}");
        let moved = (mean(document, "decision_gap", strength) - decision).abs();
        let half = mean(document, "decision_gap_half", strength);
        assert!(moved < half, "{strength}: the gap of decisions moved by {moved}, more than {half}");
    }
    let words = verdict(document);
    assert!(words.contains("The gap of decisions does not shrink"), "{words}");
    assert!(words.contains("which holds 1 − α") && !words.contains("does not hold"), "{words}");
    let warnings = document["warnings"].to_string();
    assert!(warnings.contains("smoothing_is_no_fairness_method"), "{warnings}");
}

#[test]
fn smoothing_shrinks_gaps_of_scores_and_not_of_decisions() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("x");
    let document =
        json(&format!("compare tabular --smoothing 0,0.1,0.4 --seeds 2 --quiet --out {}", out.display()));
    // A well-specified model: nearly the population's ratio, far within what the rows allow.
    let ratio = |strength| mean(&document, "score_gap", strength) / mean(&document, "score_gap", 0.0);
    assert!((ratio(0.1) - 0.9).abs() < 0.01, "{}", ratio(0.1));
    assert!((ratio(0.4) - 0.6).abs() < 0.02, "{}", ratio(0.4));
    shows_what_smoothing_does(&document, &[0.1, 0.4]);
    let page = std::fs::read_to_string(out.join("report.html")).unwrap();
    for wanted in ["Gaps between the groups", "Each group by itself", "threshold", "equalised odds"] {
        assert!(page.contains(wanted), "{wanted}");
    }
}

const ROWS: &str = "age,job,sex,income\n";

/// A table of 120 rows that can be learnt.
fn write_table(path: &Path, rows: std::ops::Range<usize>, more: &str) {
    let mut text = ROWS.to_owned();
    for i in rows {
        let (age, sex) = (20 + (i * 7) % 40, if i % 3 == 0 { "f" } else { "m" });
        let job = ["a", "b", "?"][i % 3];
        let income = if age + 10 * (i % 2) > 42 { ">50K" } else { "<=50K" };
        text.push_str(&format!("{age},{job},{sex},{income}\n"));
    }
    text.push_str(more);
    std::fs::write(path, text).unwrap();
}

#[test]
fn a_table_of_ones_own_trains_predicts_and_resumes() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    write_table(&path("t.csv"), 0..120, "?,a,m,>50K\n33,a,m,?\n");
    write_table(&path("t_test.csv"), 120..240, "40,new,f,>50K\n");
    let settings = format!(
        "tabular --data {} --target-column income --group-column sex --model mlp --hidden 8 --epochs 12 --batch-size 16 --lr 0.02 --smoothing 0.1",
        path("t.csv").display()
    );
    let document = json(&format!("train {settings} --quiet --out {}", path("run").display()));
    let summary = &document["data"];
    assert_eq!((summary["test"].as_u64(), summary["classes"].as_u64()), (Some(121), Some(2)));
    let notes = summary["notes"].to_string();
    for wanted in ["1 rows without a target", "median of the training rows: age 1", "job 1"] {
        assert!(notes.contains(wanted), "{wanted}: {notes}");
    }
    assert!(document["figures"]["findings"]["metrics"]["decision_gap"].is_number());
    assert!(document["figures"]["test"]["metrics"]["accuracy"]["value"].as_f64().unwrap() > 0.7);
    // The same rows through the saved model give the same figures.
    let predicted = path("p.parquet").display().to_string();
    ok(&format!(
        "predict {} --data {} --out {predicted}",
        path("run").display(),
        path("t_test.csv").display()
    ));
    let figures = |file: &str| json(&format!("eval {file}"))["metrics"].clone();
    assert_eq!(figures(&predicted), figures(&path("run/predictions.parquet").display().to_string()));
    let described = json(&format!("compare {settings} --seeds 1 --quiet --out {}", path("c").display()));
    assert_eq!(described["runs"].as_array().unwrap().len(), 1);
}

#[test]
fn tables_that_do_not_fit_are_refused_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let whole = folder.path().join("whole.csv");
    write_table(&whole, 0..60, "");
    let whole = whole.display().to_string();
    let ask = |path: &str, more: &str| {
        refused(&format!(
            "train tabular --data {path} {more} --quiet --out {}",
            folder.path().join("x").display()
        ))
    };
    assert!(ask(&whole, "").contains("--target-column"));
    assert!(ask(&whole, "--target-column incom").contains("did you mean \"income\""));
    assert!(ask(&whole, "--target-column income --group-column sx").contains("did you mean \"sex\""));
    assert!(ask(&whole, "--target-column income --positive rich").contains("<=50K, >50K"));
    assert!(ask(&write("empty.csv", ""), "--target-column y").contains("is empty"));
    assert!(ask(&write("ragged.csv", "x,y\n1,0\n2\n"), "--target-column y").contains("line: 3"));
    let one_class: String = (0..30).map(|i| format!("{i},1\n")).collect();
    assert!(
        ask(&write("one.csv", &format!("x,y\n{one_class}")), "--target-column y").contains("one class only")
    );
    let one_group: String = (0..30).map(|i| format!("{i},{},g\n", i % 2)).collect();
    let path = write("group.csv", &format!("x,y,g\n{one_group}"));
    assert!(ask(&path, "--target-column y --group-column g").contains("one group only"));
    let mut text: String = (0..50).map(|i| format!("{i},{}\n", i % 2)).collect();
    text.push_str("much,1\n");
    let path = write("text.csv", &format!("x,y\n{text}"));
    let message = ask(&path, "--target-column y --validation none --test last:5");
    assert!(
        message.contains("row 50, column \"x\": \"much\"") && message.contains("--categorical x"),
        "{message}"
    );
    write("pair.csv", "x,y\n1,a\n2,b\n3,a\n4,b\n");
    write("pair_test.csv", "x,y\n1,a\n2,c\n");
    let path = folder.path().join("pair.csv").display().to_string();
    let message = ask(&path, "--target-column y --validation none");
    assert!(message.contains("row 1") && message.contains("\"c\""), "{message}");
    assert!(!listing(folder.path()).contains(&"x".to_owned()));
}

fn data(name: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("CANDOR_DATA").map(|folder| PathBuf::from(folder).join(name));
    if folder.is_none() {
        eprintln!("skipped: CANDOR_DATA is not set, so {name} cannot be read");
    }
    folder
}

#[test]
fn data_adult_keeps_its_gap_of_decisions() {
    let Some(folder) = data("adult") else { return };
    let out = tempfile::tempdir().unwrap();
    let document = json(&format!(
        "compare tabular --data {} --target-column income-per-year --group-column sex --drop fnlwgt,education --smoothing 0,0.1 --seeds 2 --epochs 4 --quiet --out {}",
        folder.display(),
        out.path().join("x").display()
    ));
    // Published accuracies of logistic regression on this split are about .85.
    assert!(mean(&document, "accuracy", 0.0) > 0.84, "{}", mean(&document, "accuracy", 0.0));
    let run = &document["runs"][0]["metrics"];
    // Rows of the test part by group, counted with awk.
    assert_eq!((run["rows[Female]"].as_f64(), run["rows[Male]"].as_f64()), (Some(5421.0), Some(10860.0)));
    shows_what_smoothing_does(&document, &[0.1]);
}

#[test]
fn data_compas_keeps_its_gap_of_decisions() {
    let Some(folder) = data("compas") else { return };
    let out = tempfile::tempdir().unwrap();
    let document = json(&format!(
        "compare tabular --data {} --target-column two_year_recid --group-column race --columns sex,age,juv_fel_count,juv_misd_count,juv_other_count,priors_count,c_charge_degree --smoothing 0,0.1,0.2 --seeds 2 --epochs 10 --quiet --out {}",
        folder.display(),
        out.path().join("x").display()
    ));
    assert!(mean(&document, "accuracy", 0.0) > 0.64, "{}", mean(&document, "accuracy", 0.0));
    shows_what_smoothing_does(&document, &[0.1, 0.2]);
}
