//! Trainings and comparisons on the embedded digits.

use crate::program::{json, listing, ok, refused, write_images};

#[test]
fn a_comparison_tells_what_smoothing_does_and_leaves_its_results() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("comparison");
    let document =
        json(&format!("compare --epochs 8 --seeds 2 --smoothing 0,0.2 --out {} --quiet", out.display()));
    assert_eq!(document["schema"], "candor.compare/1");
    assert_eq!(document["runs"].as_array().unwrap().len(), 4);
    let ece = |strength: f64| {
        let rows = document["summary"].as_array().unwrap();
        let row = rows
            .iter()
            .find(|row| row["metric"] == "ece" && row["variant"]["smoothing"] == strength)
            .unwrap();
        row["mean"].as_f64().unwrap()
    };
    assert!(ece(0.2) > ece(0.0) + 0.05, "{} {}", ece(0.0), ece(0.2));
    assert_eq!(document["recommended_smoothing"], 0.0);
    assert!(document["runs"][0]["metrics"]["ece"].is_number());
    assert!(document["verdict"].to_string().contains("hurts calibration"));
    for name in ["comparison.json", "report.html", "results.parquet", "runs"] {
        assert!(listing(&out).contains(&name.to_owned()), "{:?}", listing(&out));
    }
    assert!(refused(&format!("compare --out {}", out.display())).contains("finished comparison"));
}

#[test]
fn the_same_request_gives_the_same_figures_whatever_runs_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let figures = |jobs: usize| {
        let out = folder.path().join(format!("jobs-{jobs}"));
        let arguments = format!(
            "compare --epochs 2 --seeds 2 --smoothing 0,0.1 --jobs {jobs} --quiet --out {}",
            out.display()
        );
        let mut document = json(&arguments);
        for run in document["runs"].as_array_mut().unwrap() {
            run.as_object_mut().unwrap().remove("seconds");
        }
        document
    };
    assert_eq!(figures(1), figures(3));
}

#[test]
fn a_run_folder_holds_everything_and_reproduces_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    ok(&format!(
        "train --epochs 3 --smoothing 0.1 --seed 7 --hidden 32 --quiet --out {}",
        path("a").display()
    ));
    let expected = [
        "checkpoints",
        "config.toml",
        "events.out.tfevents.0.candor",
        "metrics.jsonl",
        "model.safetensors",
        "predictions.parquet",
        "report.html",
        "result.json",
        "timing.jsonl",
        "validation.parquet",
    ];
    for name in expected {
        assert!(
            listing(&path("a")).contains(&name.to_owned()),
            "{name} is missing from {:?}",
            listing(&path("a"))
        );
    }
    ok(&format!("train --config {} --quiet --out {}", path("a/config.toml").display(), path("b").display()));
    for name in ["model.safetensors", "predictions.parquet", "result.json", "metrics.jsonl"] {
        assert_eq!(
            std::fs::read(path("a").join(name)).unwrap(),
            std::fs::read(path("b").join(name)).unwrap(),
            "{name}"
        );
    }
    let logs = std::fs::read_to_string(path("a/metrics.jsonl")).unwrap();
    assert_eq!(logs.lines().count(), 3);
    let last: serde_json::Value = serde_json::from_str(logs.lines().last().unwrap()).unwrap();
    // The smoothed loss has a floor, the NLL has none.
    assert!(last["train"]["loss"].as_f64().unwrap() > last["train"]["nll"].as_f64().unwrap());
    let document = json(&format!("eval {}", path("a/predictions.parquet").display()));
    assert_eq!(document["n"], 500);
    assert!(refused(&format!("train --out {}", path("a").display())).contains("finished run"));
    assert!(refused(&format!("train --resume --out {}", path("a").display())).contains("finished run"));
}

#[test]
fn every_optimiser_schedule_and_early_stopping_trains() {
    let data = tempfile::tempdir().unwrap();
    write_images(data.path(), 200, 50);
    for (index, settings) in [
        "--optimizer sgd --lr 0.1 --momentum 0.9 --nesterov true --lr-schedule cosine --epochs 6",
        "--optimizer adamw --lr 0.02 --lr-schedule linear --weight-decay 0.1 --epochs 6",
        "--optimizer adagrad --lr 0.05 --lr-schedule step --lr-step-epochs 2 --epochs 6",
        "--optimizer rmsprop --lr 0.01 --lr-schedule exponential --clip-norm 1 --epochs 6",
    ]
    .iter()
    .enumerate()
    {
        let out = data.path().join(format!("run-{index}"));
        let document = json(&format!(
            "train --data {} --hidden 16 --batch-size 16 {settings} --quiet --out {}",
            data.path().display(),
            out.display()
        ));
        let accuracy = document["figures"]["test"]["metrics"]["accuracy"]["value"].as_f64().unwrap();
        assert!(accuracy > 0.5, "{settings}: {accuracy}");
    }
    assert!(refused("train --optimizer sgd --beta1 0.5 --quiet").contains("optimizer.beta1"));
    // On the digits a large learning rate overfits, and the validation NLL soon rises.
    let out = data.path().join("stopped").display().to_string();
    let document = json(&format!("train --patience 2 --epochs 300 --lr 0.02 --quiet --out {out}"));
    assert!(document["epochs"].as_u64().unwrap() < 300, "{}", document["epochs"]);
}

#[test]
fn losses_schedules_and_target_rules_train_and_compare() {
    let data = tempfile::tempdir().unwrap();
    write_images(data.path(), 200, 50);
    let path = |name: &str| data.path().join(name).display().to_string();
    let common =
        format!("--data {} --hidden 16 --epochs 3 --batch-size 20 --lr 0.01 --quiet", data.path().display());
    let document = json(&format!(
        "compare {common} --loss focal,mbls,maxsup,online_label_smoothing --seeds 1 --out {}",
        path("a")
    ));
    let losses: Vec<&str> = document["runs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|run| run["variant"]["loss"].as_str().unwrap())
        .collect();
    assert_eq!(losses, ["focal", "mbls", "maxsup", "online_label_smoothing"]);
    ok(&format!(
        "train {common} --schedule linear --set schedule.start=0.3 --set schedule.end=0.1 --out {}",
        path("b")
    ));
    let logs = std::fs::read_to_string(data.path().join("b/metrics.jsonl")).unwrap();
    let strengths: Vec<f64> = logs
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["smoothing"].as_f64().unwrap())
        .collect();
    assert!(strengths.windows(2).all(|pair| pair[0] > pair[1]) && strengths[0] == 0.3, "{strengths:?}");
    ok(&format!("train {common} --target ordinal --out {}", path("c")));
    ok(&format!("train {common} --loss mbls --set loss.margin=3 --out {}", path("d")));
    assert!(
        refused(&format!("train {common} --loss focal --smoothing 0.1 --out {}", path("e")))
            .contains("labels only")
    );
    assert!(refused(&format!("train {common} --set loss.margin=3 --out {}", path("e"))).contains("margin"));
    assert!(!data.path().join("e").exists());
}

#[test]
fn convolutional_nets_views_and_predictions_for_other_data() {
    let data = tempfile::tempdir().unwrap();
    write_images(data.path(), 120, 40);
    let path = |name: &str| data.path().join(name).display().to_string();
    for (model, more) in [
        ("lenet", "--hidden 16 --augment crop:1"),
        ("resnet", "--depth 8 --augment flip,crop:1"),
        ("vit", "--hidden 16 --depth 2 --heads 2 --patch 2"),
    ] {
        let out = path(model);
        ok(&format!(
            "train --data {} --model {model} {more} --epochs 2 --batch-size 20 --quiet --out {out}",
            data.path().display()
        ));
        ok(&format!("predict {out} --data {} --out {out}.parquet", data.path().display()));
        // The same rows, the same weights: the same logits.
        let a = json(&format!("eval {out}/predictions.parquet"));
        let b = json(&format!("eval {out}.parquet"));
        assert_eq!(a["metrics"], b["metrics"], "{model}");
    }
    let document =
        json(&format!("compare --predictions {} {}", path("lenet.parquet"), path("resnet.parquet")));
    assert_eq!(document["files"].as_array().unwrap().len(), 2);
    assert_eq!(document["differences"][0]["ci_method"], "t interval of the rows' differences");
    assert!(
        refused(&format!("predict {} --data digits --out {}", path("lenet"), path("x.parquet")))
            .contains("[1, 8, 8]")
    );
    assert!(
        refused(&format!(
            "train --data {} --model resnet --depth 9 --quiet --out {}",
            data.path().display(),
            path("y")
        ))
        .contains("6n+2")
    );
    assert!(
        refused(&format!(
            "train --data {} --augment spin --quiet --out {}",
            data.path().display(),
            path("y")
        ))
        .contains("flip")
    );
}

#[test]
fn shells_and_readers_of_manuals_are_served() {
    assert!(ok("completions bash").contains("candor"));
    let manual = ok("man");
    assert!(manual.contains(".TH") && manual.contains("compare"), "{}", &manual[..200]);
}
