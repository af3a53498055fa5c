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
        ("--method histogram --set n_bins=2.5", "a whole number"),
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
fn a_column_of_weights_counts_rows_so_often() {
    let folder = tempfile::tempdir().unwrap();
    let (logits, labels) = overconfident(300);
    let (mut once, mut weighted) = ("label,logit_0,logit_1\n".to_owned(), String::new());
    weighted += "label,logit_0,logit_1,times\n";
    for (i, (z, label)) in logits.chunks_exact(2).zip(&labels).enumerate() {
        let row = format!("{label},{},{}", z[0], z[1]);
        weighted += &format!("{row},{}\n", i % 3);
        (0..i % 3).for_each(|_| once += &format!("{row}\n"));
    }
    let path = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(path("once.csv"), once).unwrap();
    std::fs::write(path("weighted.csv"), weighted).unwrap();
    for method in ["temperature", "vector", "isotonic"] {
        let a = json(&format!("calibrate fit {} --method {method}", path("once.csv")));
        let b =
            json(&format!("calibrate fit {} --weights-column times --method {method}", path("weighted.csv")));
        for (part, metric) in [("before", "nll"), ("after", "nll"), ("after", "ece"), ("after", "accuracy")] {
            let (a, b) = (a[part][metric].as_f64().unwrap(), b[part][metric].as_f64().unwrap());
            assert!((a - b).abs() < 1e-7, "{method}: {part} {metric} {a} {b}");
        }
    }
}

#[test]
fn a_map_with_groups_finds_them_when_it_is_judged() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (logits, labels) = overconfident(700);
    let mut text = "label,site,logit_0,logit_1\n".to_owned();
    for (i, (z, label)) in logits.chunks_exact(2).zip(&labels).enumerate() {
        text += &format!("{label},{},{},{}\n", ["north", "south"][i % 2], z[0], z[1]);
    }
    std::fs::write(path("p.csv"), text).unwrap();
    let fit = json(&format!(
        "calibrate fit {} --method group_temperature --group site --out {}",
        path("p.csv"),
        path("map.json")
    ));
    let document = json(&format!("eval {} --map {}", path("p.csv"), path("map.json")));
    let after = document["with_map"]["evaluation"]["metrics"]["nll"]["value"].as_f64().unwrap();
    assert!((after - fit["after"]["nll"].as_f64().unwrap()).abs() < 1e-9);
    assert_eq!(document["groups"].as_object().unwrap().len(), 2);
}

#[test]
fn an_ensemble_of_honest_models_is_told_to_be_under_confident() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: usize| folder.path().join(format!("{name}.parquet")).display().to_string();
    // Rows of class 0; each model errs on rows of its own, and says 80 % whatever it decides.
    for model in 0..3 {
        let rows = 600;
        let logits =
            (0..rows).flat_map(|row| if row % 5 == model { [0.0, 4f32.ln()] } else { [4f32.ln(), 0.0] });
        let predictions = Predictions::from_logits(logits.collect(), 2, vec![0; rows]).unwrap();
        write_parquet(std::path::Path::new(&path(model)), &predictions).unwrap();
    }
    let files = format!("{} {} {}", path(0), path(1), path(2));
    let document = json(&format!("compare --predictions {files}"));
    let of =
        |evaluation: &serde_json::Value, name: &str| evaluation["metrics"][name]["value"].as_f64().unwrap();
    assert!(of(&document["files"][1]["evaluation"], "signed_gap").abs() < 1e-6);
    // Two of three are right in every row: accuracy 1 at a mean probability of .8 or (.8 + .8 + .2)/3 = .6.
    assert_eq!(of(&document["ensemble"], "accuracy"), 1.0);
    let gap = of(&document["ensemble"], "signed_gap");
    assert!((gap - (0.6 * 0.6 + 0.4 * 0.8 - 1.0)).abs() < 1e-6, "{gap}");
    assert_eq!(document["warnings"][0]["code"], "ensemble");
    assert!(ok(&format!("compare --predictions {files}")).contains("mean of their probabilities"));
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
