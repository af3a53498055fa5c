//! `candor calibrate`: every map from one file to another, groups, the choice of `auto`, and what is refused.

use candor_recipes::predictions::{Predictions, write_parquet};

use crate::evaluation::overconfident;
use crate::program::{json, listing, ok, refused, write_npy, write_predictions};

#[test]
fn every_map_goes_through_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (logits, labels) = overconfident(1400);
    let arguments = write_predictions(folder.path(), "logits", &logits, 2, &labels);
    let listed = json("list calibrators");
    let names: Vec<&str> =
        listed["calibrators"].as_array().unwrap().iter().map(|info| info["name"].as_str().unwrap()).collect();
    assert!(names.len() >= 16, "{names:?}");
    for name in names {
        if name == "group_temperature" {
            continue;
        }
        let map = path("map.json");
        let fit = json(&format!("calibrate fit {arguments} --method {name} --out {map}"));
        assert_eq!((&fit["schema"], &fit["method"]), (&"candor.calibrate/1".into(), &name.into()));
        assert!(fit["parameters"].is_object() && fit["before"]["nll"].is_f64(), "{fit}");
        assert_eq!(fit["report"]["converged"], true, "{fit}");
        let out = path("out.npy");
        let applied = json(&format!("calibrate apply --map {map} {arguments} --out {out}"));
        // The same rows give the same figures as the fit, up to single precision.
        for metric in ["nll", "ece", "aurc"] {
            let (a, b) = (applied["after"][metric].as_f64().unwrap(), fit["after"][metric].as_f64().unwrap());
            assert!((a - b).abs() < 1e-6, "{name}: {metric} {a} {b}");
        }
        assert!(ok(&format!("calibrate fit {arguments} --method {name}")).contains("Converged"));
    }
}

#[test]
fn probabilities_stay_probabilities() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (logits, labels) = overconfident(1400);
    let probs: Vec<f32> = logits
        .chunks_exact(2)
        .flat_map(|z| {
            let p = 1.0 / (1.0 + (f64::from(z[1]) - f64::from(z[0])).exp());
            [p as f32, (1.0 - p) as f32]
        })
        .collect();
    let from_probs = write_predictions(folder.path(), "probs", &probs, 2, &labels);
    let fit = json(&format!("calibrate fit {from_probs} --out {}", path("map.json")));
    let temperature = fit["parameters"]["temperature"].as_f64().unwrap();
    assert!((temperature - 2.0).abs() < 0.1, "{temperature}");
    ok(&format!("calibrate apply --map {} {from_probs} --out {}", path("map.json"), path("out.npy")));
    let after = json(&format!("eval --probs {} --labels {}", path("out.npy"), path("labels.npy")));
    let (got, want) =
        (after["metrics"]["nll"]["value"].as_f64().unwrap(), fit["after"]["nll"].as_f64().unwrap());
    assert!((got - want).abs() < 1e-6, "{got} {want}");
}

#[test]
fn auto_says_what_it_compared() {
    let folder = tempfile::tempdir().unwrap();
    let (logits, labels) = overconfident(1400);
    let arguments = write_predictions(folder.path(), "logits", &logits, 2, &labels);
    let fit =
        json(&format!("calibrate fit {arguments} --method auto --candidates temperature,platt,histogram"));
    assert_eq!(fit["method"], "temperature");
    let candidates = fit["choice"]["candidates"].as_array().unwrap();
    let names: Vec<&str> = candidates.iter().map(|c| c["method"].as_str().unwrap()).collect();
    assert_eq!(names, ["identity", "temperature", "platt", "histogram"]);
    assert!(ok(&format!("calibrate fit {arguments} --method auto")).contains("chosen"));
    for (wrong, words) in [
        ("--method auto --candidates temprature", "did you mean \"temperature\""),
        ("--method auto --folds 1", "folds"),
        ("--method auto --set floor=0", "METHOD.floor"),
        ("--method auto --candidates temperature --set isotonic.floor=0", "isotonic"),
        ("--candidates platt", "--method auto"),
        ("--method histogram --set n_bin=3", "did you mean \"n_bins\""),
        ("--method histogram --set n_bins=0", "n_bins"),
        ("--method group_temperature", "group"),
        ("--group labels", "prediction file"),
    ] {
        let message =
            refused(&format!("calibrate fit {arguments} {wrong} --out {}/m.json", folder.path().display()));
        assert!(message.contains(words), "{wrong}: {message}");
        assert!(!listing(folder.path()).iter().any(|name| name.contains("m.json")), "{wrong}");
    }
}

#[test]
fn groups_of_a_column_have_their_own_temperature() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (logits, labels) = overconfident(1400);
    let file = folder.path().join("val.parquet");
    write_parquet(&file, &Predictions::from_logits(logits, 2, labels).unwrap()).unwrap();
    let fit = |column: &str| {
        format!(
            "calibrate fit {} --method group_temperature --group {column} --out {}",
            file.display(),
            path("map.json")
        )
    };
    let message = refused(&fit("site"));
    assert!(message.contains("\"site\"") && message.contains("labels, logits"), "{message}");
    // The labels serve as groups: within each the rows are all of one class.
    let document = json(&fit("labels"));
    assert_eq!(document["parameters"]["groups"].as_object().unwrap().len(), 2);
    assert_eq!(document["group"], "labels");
    // The column is remembered.
    let apply = |given: &str| format!("calibrate apply --map {} {given}", path("map.json"));
    let applied = json(&apply(&format!("{} --out {}", file.display(), path("out.parquet"))));
    assert!(
        (applied["after"]["nll"].as_f64().unwrap() - document["after"]["nll"].as_f64().unwrap()).abs() < 1e-6
    );
    write_npy(&folder.path().join("z.npy"), "<f4", "1, 2", &[0; 8]);
    let message = refused(&apply(&format!("--logits {} --out {}", path("z.npy"), path("no.npy"))));
    assert!(message.contains("group"), "{message}");
    assert!(!listing(folder.path()).iter().any(|name| name.contains("no.npy")));
}

#[test]
fn maps_that_do_not_fit_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (logits, labels) = overconfident(1400);
    let arguments = write_predictions(folder.path(), "logits", &logits, 2, &labels);
    ok(&format!("calibrate fit {arguments} --method vector --out {}", path("map.json")));
    write_npy(&folder.path().join("three.npy"), "<f4", "1, 3", &[0; 12]);
    let apply = |map: &str, out: &str| {
        refused(&format!(
            "calibrate apply --map {} --logits {} --out {}",
            path(map),
            path("three.npy"),
            path(out)
        ))
    };
    let message = apply("map.json", "no.npy");
    assert!(message.contains("map.json") && message.contains("class axis"), "{message}");
    let text = std::fs::read_to_string(path("map.json")).unwrap();
    std::fs::write(path("old.json"), text.replace("candor.calibrate/1", "candor.calibrate/7")).unwrap();
    assert!(apply("old.json", "no.npy").contains("candor.calibrate/7"));
    ok(&format!("calibrate fit {arguments} --method logit_normalisation --out {}", path("score.json")));
    assert!(apply("score.json", "no.parquet").contains("confidence score"));
    assert!(!listing(folder.path()).iter().any(|name| name.contains("no.")));
}
