//! Self-training: the rules of pseudo-labels side by side, and rounds that survive an interruption.

use std::process::Stdio;
use std::time::Duration;

use crate::program::{command, json, ok, refused};

#[test]
fn the_rules_are_compared_with_their_confirmed_errors() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("x");
    let document = json(&format!(
        "compare semi_supervised --labels 10 --epochs 12 --rounds 3 --seeds 2 --quiet --out {}",
        out.display()
    ));
    let runs = document["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 10);
    let figure = |run: &serde_json::Value, name: &str| run["metrics"][name].as_f64().unwrap();
    for run in runs {
        assert!(figure(run, "accuracy") > 0.75, "{run}");
        // A wrong share of all rows is that of the kept ones where every row is kept.
        if figure(run, "pseudo_kept") == 1.0 {
            assert_eq!(figure(run, "pseudo_wrong"), figure(run, "pseudo_error"));
        }
        assert!((0.0..=1.0).contains(&figure(run, "pseudo_persistent")));
    }
    let confidence = |rule: &str| -> f64 {
        let mine = runs.iter().filter(|run| run["variant"]["settings"]["pseudo"].as_str() == Some(rule));
        mine.map(|run| figure(run, "pseudo_confidence_wrong")).sum::<f64>() / 2.0
    };
    // Smoothing puts its brake on confidence.
    assert!(confidence("smoothed") < confidence("hard"), "{} {}", confidence("smoothed"), confidence("hard"));
    let words = document["verdict"].to_string();
    assert!(words.contains("it damps them least") && words.contains("instead of 1"), "{words}");
    let page = std::fs::read_to_string(out.join("report.html")).unwrap();
    for wanted in
        ["Rules of pseudo-labels", "Confirmation bias, round by round", "confirmed errors", "sharpened"]
    {
        assert!(page.contains(wanted), "{wanted}");
    }
}

#[test]
fn pseudo_labels_of_a_running_round_survive_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let settings = "train semi_supervised --data digits --pseudo sharpened --epochs 8 --rounds 2 --hidden 16 --checkpoint-steps 3 --quiet";
    let (whole, killed) = (folder.path().join("whole"), folder.path().join("killed"));
    let start = std::time::Instant::now();
    ok(&format!("{settings} --out {}", whole.display()));
    let time = start.elapsed();
    for share in [0.35, 0.25, 0.3] {
        let mut child = command(&format!("{settings} --resume --out {}", killed.display()))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_secs_f64(time.as_secs_f64() * share));
        if child.try_wait().unwrap().is_some() {
            break;
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
    if !killed.join("result.json").exists() {
        ok(&format!("{settings} --resume --out {}", killed.display()));
    }
    for name in ["metrics.jsonl", "model.safetensors", "predictions.parquet", "result.json"] {
        let read = |folder: &std::path::Path| std::fs::read(folder.join(name)).unwrap();
        assert!(read(&whole) == read(&killed), "{name} differs");
    }
    let log = std::fs::read_to_string(whole.join("metrics.jsonl")).unwrap();
    assert!(log.contains("pseudo/pseudo_wrong") && log.contains("pseudo/round"), "{log}");
}

#[test]
fn impossible_requests_are_refused() {
    let ask = |more: &str| refused(&format!("train semi_supervised {more} --quiet --out /nonexistent/x"));
    assert!(ask("--pseudo smooth").contains("did you mean \"smoothed\""));
    assert!(ask("--labels 1").contains("without a labelled row"));
    assert!(ask("--labels 100000").contains("leaves no unlabelled row"));
    assert!(ask("--epochs 5 --rounds 5").contains("rounds"));
    assert!(ask("--threshold 1.5").contains("semi.threshold"));
    assert!(ask("--model lenet").contains("[1, 1, 2]") || ask("--model lenet").contains("lenet"));
}
