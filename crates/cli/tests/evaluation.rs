//! Figures of predictions, and the calibration map that goes from one file to another.

use crate::program::{json, ok, refused, write_predictions};

/// Logits of two classes whose margin is true when it is halved.
pub fn overconfident(n: usize) -> (Vec<f32>, Vec<i64>) {
    let mut logits = Vec::new();
    let mut labels = Vec::new();
    for i in 0..n {
        let margin = (i % 7) as f32 * 0.5;
        let truth = 1.0 / (1.0 + (-f64::from(margin)).exp());
        // The golden ratio spreads the shares evenly over each margin.
        let right = (i as f64 * 0.618_033_988_749_894_9).fract() < truth;
        logits.extend([2.0 * margin, 0.0]);
        labels.push(i64::from(!right));
    }
    (logits, labels)
}

#[test]
fn a_worked_example_by_hand() {
    let folder = tempfile::tempdir().unwrap();
    let probs = [0.8_f32, 0.2, 0.6, 0.4, 0.3, 0.7, 0.9, 0.1];
    let arguments = write_predictions(folder.path(), "probs", &probs, 2, &[0, 1, 1, 0]);
    let document = json(&format!("eval {arguments} --bins 2"));
    let value = |name: &str| document["metrics"][name]["value"].as_f64().unwrap();
    assert_eq!(document["schema"], "candor.eval/1");
    assert_eq!(
        (&document["n"], &document["classes"], &document["input"]),
        (&4.into(), &2.into(), &"probs".into())
    );
    assert!((value("accuracy") - 0.75).abs() < 1e-12);
    // 2(0.04 + 0.36 + 0.09 + 0.01)/4, and one bin with confidence 0.75.
    assert!((value("brier") - 0.25).abs() < 1e-7, "{}", value("brier"));
    assert!(value("ece").abs() < 1e-7 && value("signed_gap").abs() < 1e-7);
    let nll = -(0.8_f64.ln() + 0.4_f64.ln() + 0.7_f64.ln() + 0.9_f64.ln()) / 4.0;
    assert!((value("nll") - nll).abs() < 1e-7);
    assert_eq!(document["reliability"].as_array().unwrap().len(), 2);
    assert!(document["metrics"]["ece"]["null_value"].as_f64().unwrap() > 0.0);
    assert!(document["metrics"]["accuracy"]["ci_method"].as_str().unwrap().contains("Wilson"));
}

#[test]
fn all_metrics_can_be_asked_for_with_their_parameters() {
    let folder = tempfile::tempdir().unwrap();
    let (logits, labels) = overconfident(300);
    let arguments = write_predictions(folder.path(), "logits", &logits, 2, &labels);
    let all = json(&format!("eval {arguments} --metrics all --bootstrap 20"));
    let usual = json(&format!("eval {arguments} --bootstrap 20"));
    let names = |document: &serde_json::Value| document["metrics"].as_object().unwrap().len();
    assert!(names(&all) > 40 && names(&usual) < 20, "{} {}", names(&all), names(&usual));
    let warned = |document: &serde_json::Value| document["warnings"].to_string().contains("does_not_apply");
    assert!(!warned(&all));
    let value = |settings: &str, name: &str| {
        json(&format!("eval {arguments} --metrics {name} --bootstrap 0 {settings}"))["metrics"][name]["value"]
            .as_f64()
            .unwrap()
    };
    // Of all rows the risk is the error rate, and every row is kept where any error is allowed.
    let error = 1.0 - usual["metrics"]["accuracy"]["value"].as_f64().unwrap();
    assert!((value("--coverage 1", "risk_at_coverage") - error).abs() < 1e-12);
    assert_eq!(value("--risk 1", "coverage_at_risk"), 1.0);
    assert_eq!(value("--top-k 2", "top_k_accuracy"), 1.0);
    assert!(refused(&format!("eval {arguments} --coverage 1.5")).contains("coverage"));
}

#[test]
fn a_map_fitted_on_one_file_repairs_another() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (logits, labels) = overconfident(7000);
    let arguments = write_predictions(folder.path(), "logits", &logits, 2, &labels);
    let fit = json(&format!("calibrate fit {arguments} --out {}", path("map.json")));
    let temperature = fit["parameters"]["temperature"].as_f64().unwrap();
    assert!((temperature - 2.0).abs() < 0.02, "{temperature}");
    assert!(fit["after"]["ece"].as_f64().unwrap() < 0.01 && fit["before"]["ece"].as_f64().unwrap() > 0.05);
    let scores = path("scores.npy");
    ok(&format!("calibrate apply --map {} --logits {scores} --out {}", path("map.json"), path("out.npy")));
    let after = json(&format!("eval --logits {} --labels {}", path("out.npy"), path("labels.npy")));
    assert!(after["metrics"]["ece"]["value"].as_f64().unwrap() < 0.01);
    let before = json(&format!("eval {arguments}"));
    assert_eq!(before["warnings"][0]["code"], "over_confidence");
}

#[test]
fn ignored_rows_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let with = write_predictions(folder.path(), "logits", &[2.0, 0.0, 5.0, 5.0, 0.0, 1.0], 2, &[0, -100, 0]);
    let a = json(&format!("eval {with} --ignore-index -100"));
    let without = write_predictions(folder.path(), "logits", &[2.0, 0.0, 0.0, 1.0], 2, &[0, 0]);
    let b = json(&format!("eval {without}"));
    assert_eq!(a["metrics"], b["metrics"]);
}

#[test]
fn people_get_a_table_and_a_list_of_everything() {
    let folder = tempfile::tempdir().unwrap();
    let (logits, labels) = overconfident(500);
    let text = ok(&format!("eval {}", write_predictions(folder.path(), "logits", &logits, 2, &labels)));
    assert!(text.contains("accuracy") && text.contains("if calibrated"), "{text}");
    assert!(
        text.lines().filter(|line| !line.contains("npy")).all(|line| line.chars().count() <= 80),
        "{text}"
    );
    let list = json("list");
    for kind in ["losses", "targets", "metrics", "calibrators", "recipes"] {
        let entries = list[kind].as_array().unwrap();
        assert!(!entries.is_empty() && entries.iter().all(|entry| entry["name"].is_string()), "{kind}");
    }
    assert!(ok("list config").contains("--batch-size"));
    assert!(ok("data").contains("digits"));
    assert_eq!(json("data digits")["summary"]["train"], 1000);
}

#[test]
fn explanations_are_the_published_values() {
    let uniform = json("explain --classes 10 --smoothing 0.1");
    let close = |document: &serde_json::Value, key: &str, want: f64| {
        let got = document[key].as_f64().unwrap();
        assert!((got - want).abs() < 1e-6, "{key}: {got}");
    };
    for (key, want) in
        [("target_true", 0.91), ("margin", 4.510_860), ("loss_floor", 0.500_288), ("lipschitz_l2", 1.344_991)]
    {
        close(&uniform, key, want);
    }
    assert_eq!(uniform["schema"], "candor.explain/1");
    close(&uniform["equivalent"], "off_class", 0.09);
    let off = json("explain --classes 10 --smoothing 0.1 --convention off_class");
    for (key, want) in [("target_true", 0.9), ("margin", 4.394_449), ("loss_floor", 0.544_805)] {
        close(&off, key, want);
    }
    assert!(json("explain --smoothing 0")["margin"].is_null());
}

#[test]
fn every_target_rule_and_any_row_can_be_explained() {
    for target in json("list targets")["targets"].as_array().unwrap() {
        let name = target["name"].as_str().unwrap();
        let document = json(&format!("explain --classes 6 --target {name}"));
        assert_eq!((&document["target"], &document["classes"]), (&name.into(), &6.into()));
        let rows = document["rows"].as_array().unwrap().len();
        assert!(rows > 0 || document["sigmoids"].is_object(), "{name}: {document}");
        ok(&format!("explain --classes 6 --target {name}"));
    }
    let row = json("explain --row 0.1,0.8,0.1 --class-weights 20,1,1");
    assert!((row["smallest_margin"].as_f64().unwrap() - 8f64.ln()).abs() < 1e-12);
    assert_eq!(row["weights_overturn_label"], true);
    let set = json("explain --classes 5 --target ordinal --set shape=gaussian --set scale=2 --label 0");
    assert_eq!((&set["rows"][0]["label"], &set["parameters"]["scale"]), (&0.into(), &2.0.into()));
}
