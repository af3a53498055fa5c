//! What `eval` reads, what it refuses, and that nothing but the rows decides the figures.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;

use crate::program::{command, json, ok, refused, write_npy};

const CLASSES: usize = 3;

/// Rows whose numbers are exact in single precision and in text.
fn rows(n: usize) -> Vec<([f64; CLASSES], usize, &'static str, f64)> {
    (0..n)
        .map(|i| {
            let z = [(i * 5 % 11) as f64 * 0.5 - 2.0, (i * 3 % 7) as f64 * 0.25, (i % 13) as f64 * 0.125];
            (z, i * i % CLASSES, ["north", "south", "east"][i / 3 % 3], 0.5 + (i % 4) as f64 * 0.5)
        })
        .collect()
}

fn write_csv(path: &Path, rows: &[([f64; CLASSES], usize, &'static str, f64)]) {
    let mut text = "labels,site,w,logit_0,logit_1,logit_2\n".to_owned();
    for (z, label, site, weight) in rows {
        text += &format!("{label},{site},{weight},{},{},{}\n", z[0], z[1], z[2]);
    }
    std::fs::write(path, text).unwrap();
}

fn write_arrays(folder: &Path, rows: &[([f64; CLASSES], usize, &'static str, f64)]) -> String {
    let n = rows.len();
    let scores: Vec<u8> = rows.iter().flat_map(|row| row.0).flat_map(|z| (z as f32).to_le_bytes()).collect();
    write_npy(&folder.join("z.npy"), "<f4", &format!("{n}, {CLASSES}"), &scores);
    let labels: Vec<u8> = rows.iter().flat_map(|row| (row.1 as i64).to_le_bytes()).collect();
    write_npy(&folder.join("y.npy"), "<i8", &format!("{n},"), &labels);
    let path = |name: &str| folder.join(name).display().to_string();
    format!("--logits {} --labels {}", path("z.npy"), path("y.npy"))
}

/// The document without what names the files.
fn figures(arguments: &str) -> Value {
    let mut document = json(&format!("eval {arguments}"));
    document.as_object_mut().unwrap().remove("file");
    document
}

#[test]
fn one_file_many_files_arrays_threads_and_formats_give_the_same_document() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    // More than one chunk of 52,428 rows would be slow in text; the splits below cut chunks anyway.
    let rows = rows(3000);
    write_csv(&path("whole.csv"), &rows);
    let whole = figures(&format!("{} --group-by site", path("whole.csv").display()));
    for (i, part) in [&rows[..1], &rows[1..1000], &rows[1000..]].into_iter().enumerate() {
        write_csv(&path(&format!("part-{i}.csv")), part);
    }
    let parts = path("part-*.csv").display().to_string();
    assert_eq!(figures(&format!("{parts} --group-by site")), whole);
    for threads in [1, 3, 7] {
        assert_eq!(
            figures(&format!("{parts} --group-by site --threads {threads}")),
            whole,
            "{threads} threads"
        );
    }
    let ungrouped = figures(&path("whole.csv").display().to_string());
    assert_eq!(ungrouped["metrics"], whole["metrics"], "groups change nothing in the whole");
    let arrays = write_arrays(folder.path(), &rows);
    assert_eq!(figures(&arrays), ungrouped);
    let lines: String = rows
        .iter()
        .map(|(z, label, site, _)| format!("{{\"labels\":{label},\"site\":\"{site}\",\"logits\":{z:?}}}\n"))
        .collect();
    std::fs::write(path("rows.ndjson"), &lines).unwrap();
    assert_eq!(figures(&format!("{} --group-by site", path("rows.ndjson").display())), whole);

    let mut child = command("eval - --format ndjson --group-by site --json")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let mut document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["file"], "standard input");
    document.as_object_mut().unwrap().remove("file");
    assert_eq!(document, whole);
}

#[test]
fn a_weight_of_two_counts_as_two_rows_and_groups_are_what_they_would_be_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let rows = rows(400);
    let weighted: Vec<_> =
        rows.iter().enumerate().map(|(i, row)| (row.0, row.1, row.2, (i % 3) as f64)).collect();
    let repeated: Vec<_> =
        weighted.iter().flat_map(|row| std::iter::repeat_n(*row, row.3 as usize)).collect();
    write_csv(&path("weighted.csv"), &weighted);
    write_csv(&path("repeated.csv"), &repeated);
    let value = |document: &Value, name: &str| document["metrics"][name]["value"].as_f64().unwrap();
    let a = figures(&format!("{} --weights-column w", path("weighted.csv").display()));
    let b = figures(&path("repeated.csv").display().to_string());
    for metric in ["accuracy", "nll", "brier", "ece", "signed_gap"] {
        assert!((value(&a, metric) - value(&b, metric)).abs() < 1e-12, "{metric}");
    }
    write_csv(&path("rows.csv"), &rows);
    let grouped = figures(&format!("{} --group-by site", path("rows.csv").display()));
    let south: Vec<_> = rows.iter().copied().filter(|row| row.2 == "south").collect();
    write_csv(&path("south.csv"), &south);
    let alone = figures(&path("south.csv").display().to_string());
    assert_eq!(grouped["groups"]["south"]["metrics"], alone["metrics"]);
    assert_eq!(grouped["groups"].as_object().unwrap().len(), 3);
    let excess = |group: &str| {
        let ece = &grouped["groups"][group]["metrics"]["ece"];
        ece["value"].as_f64().unwrap() - ece["null_value"].as_f64().unwrap()
    };
    let worst = grouped["worst_group"].as_str().unwrap();
    assert!(["north", "south", "east"].iter().all(|group| excess(group) <= excess(worst)));
}

#[test]
fn scores_of_one_class_and_bare_confidences() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    // ECE of class 1 with two bins, by hand: (0, .5] holds .25 of which none is 1, (.5, 1] holds .75, .75 of which one.
    std::fs::write(path("binary.csv"), "label,score\n0,0.25\n1,0.75\n0,0.75\n").unwrap();
    let document = figures(&format!("{} --bins 2", path("binary.csv").display()));
    assert_eq!(
        (&document["input"], &document["ece_of"], &document["classes"]),
        (&"binary".into(), &"class 1".into(), &2.into())
    );
    let value = |document: &Value, name: &str| document["metrics"][name]["value"].as_f64().unwrap();
    assert!(
        (value(&document, "ece") - (0.25 + 2.0 * 0.25) / 3.0).abs() < 1e-15,
        "{}",
        value(&document, "ece")
    );
    assert!((value(&document, "accuracy") - 2.0 / 3.0).abs() < 1e-15);
    assert!((value(&document, "brier") - 2.0 * (0.0625 * 2.0 + 0.5625) / 3.0).abs() < 1e-15);
    let text = ok(&format!("eval {}", path("binary.csv").display()));
    assert!(text.contains("judge the probability of class 1"), "{text}");

    write_npy(&path("c.npy"), "<f8", "4,", &[0.5, 0.75, 0.75, 1.0_f64].map(f64::to_le_bytes).concat());
    write_npy(&path("k.npy"), "|b1", "4,", &[1, 1, 0, 1]);
    let document = figures(&format!(
        "--confidence {} --correct {} --bins 4",
        path("c.npy").display(),
        path("k.npy").display()
    ));
    assert_eq!(document["input"], "confidence");
    assert_eq!(value(&document, "accuracy"), 0.75);
    // Bins (.25, .5], (.5, .75], (.75, 1]: |1 - .5| + 2 |.5 - .75| + 0.
    assert_eq!(value(&document, "ece"), (0.5 + 0.5) / 4.0);
    assert!(document["metrics"].get("nll").is_none() && document["metrics"].get("brier").is_none());
    let asked = figures(&format!(
        "--confidence {} --correct {} --metrics accuracy,nll",
        path("c.npy").display(),
        path("k.npy").display()
    ));
    assert_eq!(asked["metrics"].as_object().unwrap().len(), 1);
    let codes: Vec<&str> =
        asked["warnings"].as_array().unwrap().iter().map(|w| w["code"].as_str().unwrap()).collect();
    assert!(codes.contains(&"metric_does_not_apply"), "{codes:?}");
}

#[test]
fn two_models_are_paired_by_row() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let rows = rows(600);
    let sharper: Vec<_> = rows.iter().map(|row| (row.0.map(|z| 4.0 * z), row.1, row.2, row.3)).collect();
    write_csv(&path("a.csv"), &rows);
    write_csv(&path("b.csv"), &sharper);
    let (a, b) = (path("a.csv").display().to_string(), path("b.csv").display().to_string());
    let document = figures(&format!("{a} --compare {b}"));
    let comparison = &document["comparison"];
    let nll = &comparison["differences"]["nll"];
    let alone = |file: &str| figures(file)["metrics"]["nll"]["value"].as_f64().unwrap();
    let difference = nll["difference"].as_f64().unwrap();
    assert!((difference - (alone(&b) - alone(&a))).abs() < 1e-12);
    assert!(
        difference > 0.0
            && nll["ci"][0].as_f64().unwrap() > 0.0
            && nll["ci_method"].as_str().unwrap().starts_with("t interval")
    );
    assert_eq!(comparison["differences"]["accuracy"]["difference"], 0.0);
    assert_eq!(comparison["evaluation"]["metrics"], figures(&b)["metrics"]);
    assert!(comparison["verdict"][0].as_str().unwrap().contains("worse"));
    let text = ok(&format!("eval {a} --compare {b} --group-by site --positive 1"));
    assert!(text.contains("paired by row") && text.contains("Decisions for 1"), "{text}");
    assert!(
        text.lines().filter(|line| !line.contains(".csv")).all(|line| line.chars().count() <= 80),
        "{text}"
    );

    let mut other = rows.clone();
    other[7].1 = (other[7].1 + 1) % CLASSES;
    write_csv(&path("labels.csv"), &other);
    let message = refused(&format!("eval {a} --compare {}", path("labels.csv").display()));
    assert!(message.contains("row 7") && message.contains("same order"), "{message}");
    write_csv(&path("short.csv"), &rows[..599]);
    let message = refused(&format!("eval {a} --compare {}", path("short.csv").display()));
    assert!(message.contains("599 rows") && message.contains("has more"), "{message}");
    let message = refused(&format!("eval {} --compare {a}", path("short.csv").display()));
    assert!(message.contains("599 rows") && message.contains("has more"), "{message}");
}

#[test]
fn bad_rows_are_counted_shown_and_refused_or_skipped() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.csv");
    let mut text = "labels,logit_0,logit_1\n".to_owned();
    for i in 0..50 {
        text += &format!("{},{},0.5\n", i % 2, i % 5);
    }
    let good = text.clone();
    text += "0,nan,1\n2,1,1\n1,1\ncat,1,1\n0,,1\n";
    std::fs::write(&path, &text).unwrap();
    let message = refused(&format!("eval {}", path.display()));
    assert!(message.contains("5 of 55 rows cannot be used"), "{message}");
    for (row, words) in [
        (50, "is NaN"),
        (51, "label 2 is no class"),
        (52, "has 2 cells"),
        (53, "\"cat\""),
        (54, "logit_0 is empty"),
    ] {
        let line =
            message.lines().find(|line| line.contains(&format!("p.csv, row {row}: "))).expect(&message);
        assert!(line.contains(words), "{line}");
    }
    let skipped = figures(&format!("{} --on-bad skip", path.display()));
    assert_eq!((&skipped["bad"]["count"], &skipped["n"]), (&5.into(), &50.into()));
    assert_eq!(skipped["bad"]["first"][0]["row"], 50);
    let codes = skipped["warnings"].to_string();
    assert!(codes.contains("bad_rows"), "{codes}");
    std::fs::write(&path, good).unwrap();
    assert_eq!(figures(&path.display().to_string())["metrics"], skipped["metrics"]);
    assert_eq!(figures(&path.display().to_string())["bad"]["count"], 0);
}

#[test]
fn requests_that_make_no_sense_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| -> PathBuf { folder.path().join(name) };
    let rows = rows(60);
    write_csv(&path("p.csv"), &rows);
    let arrays = write_arrays(folder.path(), &rows);
    let file = path("p.csv").display().to_string();
    for (arguments, words) in [
        (format!("{file} --metrics smoth_ece"), "did you mean \"smooth_ece\""),
        (format!("{file} --group-by sitte"), "did you mean \"site\""),
        (format!("{file} --positive 1"), "--group-by"),
        (format!("{file} --group-by site --positive 3"), "0..=2"),
        (format!("{file} --group-by site --positive yes"), "--class-names"),
        (format!("{file} --edges left"), "left_closed"),
        (format!("{file} --on-bad ignore"), "did you mean"),
        (format!("{file} --format parket"), "did you mean \"parquet\""),
        (format!("{file} --format parquet"), "not readable as Parquet"),
        (format!("{file} --labels-column w"), "rows cannot be used"),
        (format!("{file} --labels-column y"), "no column \"y\""),
        (format!("{file} --logits-column z"), "no column \"z\" of scores"),
        (format!("{file} --bins 0"), "n_bins is 0"),
        (format!("{file} --compare {}", path("none.csv").display()), "none.csv"),
        (format!("{arrays} --group-by site"), "group"),
        (format!("{file} {arrays}"), "cannot be used"),
        (format!("--logits {}", path("z.npy").display()), "--labels"),
        (format!("--confidence {}", path("z.npy").display()), "--correct"),
        (format!("--binary {} --labels {}", path("z.npy").display(), path("y.npy").display()), "one class"),
        (
            format!("--probs {} --labels {}", path("z.npy").display(), path("y.npy").display()),
            "if these are logits",
        ),
        ("-".to_owned(), "--format"),
        (String::new(), "no predictions given"),
        (format!("{file} --map {file}"), "no map"),
    ] {
        let message = refused(&format!("eval {arguments}"));
        assert!(message.contains(words), "{arguments}: {message}");
    }
}

#[test]
fn a_map_shows_its_effect_and_words_are_labels() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let rows = rows(500);
    write_csv(&path("p.csv"), &rows);
    let file = path("p.csv").display().to_string();
    let map = path("map.json").display().to_string();
    let fit = json(&format!("calibrate fit {file} --out {map}"));
    let report = path("report.html");
    let document = figures(&format!("{file} --map {map} --report {}", report.display()));
    let after = document["with_map"]["evaluation"]["metrics"]["nll"]["value"].as_f64().unwrap();
    assert!((after - fit["after"]["nll"].as_f64().unwrap()).abs() < 1e-9);
    assert!(after < document["metrics"]["nll"]["value"].as_f64().unwrap());
    let html = std::fs::read_to_string(report).unwrap();
    assert!(html.contains("With T = ") && html.contains("What rejection would gain"));

    // Any other map too, and pictures as files of their own.
    for method in ["vector", "isotonic", "dirichlet"] {
        let fit = json(&format!("calibrate fit {file} --method {method} --out {map}"));
        let report = path(method).with_extension("html");
        let document = figures(&format!("{file} --map {map} --report {} --export-plots", report.display()));
        assert_eq!(document["with_map"]["method"], method);
        let after = document["with_map"]["evaluation"]["metrics"]["nll"]["value"].as_f64().unwrap();
        assert!((after - fit["after"]["nll"].as_f64().unwrap()).abs() < 1e-9, "{method}");
        let plots: Vec<_> = std::fs::read_dir(report.with_extension("plots")).unwrap().collect();
        assert!(plots.len() >= 8 && plots.len() % 2 == 0, "{} pictures of {method}", plots.len());
    }
    ok(&format!("calibrate fit {file} --method logit_normalisation --out {map}"));
    let message = refused(&format!("eval {file} --map {map}"));
    assert!(message.contains("ranks predictions"), "{message}");

    let mut text = "label,logit_0,logit_1,logit_2\n".to_owned();
    for (z, label, ..) in &rows {
        text += &format!("{},{},{},{}\n", ["cat", "dog", "emu"][*label], z[0], z[1], z[2]);
    }
    std::fs::write(path("words.csv"), text).unwrap();
    std::fs::write(path("names.txt"), "cat\ndog\nemu\n").unwrap();
    let words =
        figures(&format!("{} --class-names {}", path("words.csv").display(), path("names.txt").display()));
    assert_eq!(words["metrics"], document["metrics"]);
}
