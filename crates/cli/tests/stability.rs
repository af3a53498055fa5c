//! One flipped label: ratios and bounds as the program reports them.

use serde_json::Value;

use crate::program::{json, ok, refused};

fn mean(document: &Value, metric: &str, model: &str, smoothing: f64) -> f64 {
    let rows = document["summary"].as_array().unwrap();
    let row = rows.iter().find(|row| {
        row["metric"] == metric
            && row["variant"]["smoothing"] == smoothing
            && row["variant"]["model"] == model
    });
    row.unwrap_or_else(|| panic!("no {metric} of {model} at {smoothing}"))["mean"].as_f64().unwrap()
}

#[test]
fn every_learner_moves_as_the_theory_says() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("x");
    let document = json(&format!(
        "compare stability --smoothing 0,0.1,0.3 --flips 6 --seeds 2 --train-size 40 --epochs 6 --quiet --out {}",
        out.display()
    ));
    for model in ["mean", "knn", "nadaraya_watson", "kernel_ridge", "ridge"] {
        for strength in [0.1, 0.3] {
            let change = |strength| mean(&document, "flip_change", model, strength);
            let ratio = change(strength) / change(0.0);
            assert!((ratio - (1.0 - strength)).abs() < 1e-9, "{model} {strength}: {ratio}");
            let decisions = |strength| mean(&document, "flip_decisions", model, strength);
            assert_eq!(decisions(strength), decisions(0.0), "{model}");
        }
    }
    for strength in [0.1, 0.3] {
        let change = |strength| mean(&document, "flip_change", "softmax_regression", strength);
        assert!(change(strength) / change(0.0) <= 1.0 - strength + 1e-9);
        assert!(mean(&document, "flip_bound_used", "softmax_regression", strength) <= 1.0);
        assert!(mean(&document, "flip_change", "mlp", strength) > 0.0);
    }
    let words = document["verdict"].to_string();
    assert!(
        words.contains("nothing becomes more stable") && words.contains("Every flip kept its bound"),
        "{words}"
    );
    let page = std::fs::read_to_string(out.join("report.html")).unwrap();
    assert!(page.contains("One flipped label") && page.contains("beside what it cannot exceed"));
}

#[test]
fn the_study_runs_on_images_and_tables_and_one_learner_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    for (name, data) in [("a", "digits"), ("b", "two_groups")] {
        let document = json(&format!(
            "train stability --data {data} --model softmax_regression --train-size 60 --flips 3 --quiet --out {}",
            path(name)
        ));
        let metrics = &document["figures"]["findings"]["metrics"];
        assert!(metrics["flip_change"].as_f64().unwrap() > 0.0, "{metrics}");
        assert!(metrics["flip_bound_used"].as_f64().unwrap() < 1.0, "{metrics}");
    }
    ok(&format!("eval {}/predictions.parquet", path("a")));
    let ask = |more: &str| refused(&format!("train stability {more} --quiet --out {}", path("x")));
    assert!(ask("--model ridge --loss focal").contains("loss.name"));
    assert!(ask("--model knn --neighbours 1000").contains("neighbours"));
    assert!(ask("--lambda 0").contains("stability.lambda"));
}
