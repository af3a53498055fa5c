//! The recipe for graphs: trainings, grids, predictions, and what it says of broken data.

use std::path::{Path, PathBuf};

use crate::program::{json, ok, refused};
use crate::resume::killed_and_resumed;

/// Writes a folder of 60 nodes in two classes; the first 20 are for training, then 10 and 30.
fn write_graph(folder: &Path) {
    let part = |node: u32| match node {
        0..20 => "train",
        20..30 => "val",
        _ => "test",
    };
    let class = |node: u32| node % 2;
    let mut edges = "src,dst\n".to_owned();
    let mut labels = "node,label,split\n".to_owned();
    let mut features = "node,feature,value\n".to_owned();
    for node in 0..60 {
        labels += &format!("{node},{},{}\n", class(node), part(node));
        // Neighbours of the same class, and every fifth of the other.
        edges += &format!(
            "{node},{}\n{node},{}\n",
            (node + 2) % 60,
            (node + if node % 5 == 0 { 7 } else { 4 }) % 60
        );
        features += &format!("{node},{},1\n{node},{},1\n", class(node), 2 + (node * 7) % 11);
    }
    for (name, text) in [("edges.csv", edges), ("labels.csv", labels), ("features_coo.csv", features)] {
        std::fs::write(folder.join(name), text).unwrap();
    }
}

fn path(folder: &tempfile::TempDir, name: &str) -> String {
    folder.path().join(name).display().to_string()
}

#[test]
fn a_run_leaves_its_energy_and_predicts_all_nodes() {
    let folder = tempfile::tempdir().unwrap();
    write_graph(folder.path());
    let data = folder.path().display().to_string();
    for model in ["gcn", "sgc", "appnp"] {
        let out = path(&folder, model);
        let result =
            json(&format!("train graph --data {data} --model {model} --epochs 30 --quiet --out {out}"));
        let energy = result["figures"]["findings"]["metrics"]["dirichlet_energy"].as_f64().unwrap();
        assert!((0.0..1.5).contains(&energy), "{energy}");
        assert_eq!(result["data"]["test"], 30);
        ok(&format!("predict {out} --data {data} --out {out}.parquet"));
        let mine = json(&format!("eval {out}/predictions.parquet"));
        let all = json(&format!("eval {out}.parquet --ignore-index -1"));
        // Nodes of other parts are predicted too, but have no label to be judged by.
        assert_eq!((all["n"].as_u64(), &all["metrics"]), (Some(30), &mine["metrics"]));
    }
    let message =
        refused(&format!("predict {} --data karate --out {}", path(&folder, "gcn"), path(&folder, "x")));
    assert!(
        message.contains("34 nodes that are their own features, but the model takes 13 features"),
        "{message}"
    );
    assert!(
        std::fs::read_to_string(folder.path().join("gcn/report.html")).unwrap().contains("Dirichlet energy")
    );
}

#[test]
fn a_grid_of_both_smoothings_draws_heat_maps() {
    let folder = tempfile::tempdir().unwrap();
    let out = path(&folder, "grid");
    let document = json(&format!(
        "compare graph --data sbm --epochs 40 --smoothing 0,0.1 --beta 0,0.5,1 --k 0,1,2 --seeds 2 --export-plots --quiet --out {out}"
    ));
    let runs = document["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 36);
    let mean = |beta: &str, k: &str, metric: &str| {
        let mine = runs.iter().filter(|run| {
            let settings = &run["variant"]["settings"];
            let is = |key: &str, usual: &str, wanted: &str| settings[key].as_str().unwrap_or(usual) == wanted;
            is("beta", "1.0", beta) && settings["k"] == k && run["smoothing"] == 0.0
        });
        let values: Vec<f64> = mine.map(|run| run["metrics"][metric].as_f64().unwrap()).collect();
        assert_eq!(values.len(), 2, "{beta} {k}");
        values.iter().sum::<f64>() / 2.0
    };
    // The graph helps, and what it does not reach is the same net whatever the other setting says.
    assert!(mean("1.0", "1", "accuracy") > mean("0.0", "1", "accuracy") + 0.1);
    assert_eq!(mean("0.0", "2", "nll"), mean("1.0", "0", "nll"));
    assert!(mean("1.0", "2", "dirichlet_energy") < mean("0.5", "1", "dirichlet_energy"));
    assert!(mean("0.5", "1", "dirichlet_energy") < mean("0.0", "1", "dirichlet_energy"));
    let verdict = document["verdict"].to_string();
    assert!(verdict.contains("Propagation smooths the output"), "{verdict}");
    let page = std::fs::read_to_string(folder.path().join("grid/report.html")).unwrap();
    for expected in
        ["ECE over label smoothing and propagation", "id=\"graph-dirichlet-energy\"", "Label smoothing 0.1"]
    {
        assert!(page.contains(expected), "{expected}");
    }
    assert!(folder.path().join("grid/plots/graph-accuracy.svg").is_file());
}

#[test]
fn targets_are_made_from_the_graph_and_batches_may_be_small() {
    let folder = tempfile::tempdir().unwrap();
    let common = "--data karate --epochs 20 --quiet";
    let document = json(&format!(
        "compare graph {common} --target uniform,prior,neighbours,posterior --smoothing 0.3 --seeds 1 --out {}",
        path(&folder, "targets")
    ));
    let losses: Vec<f64> =
        document["runs"].as_array().unwrap().iter().map(|run| run["train_loss"].as_f64().unwrap()).collect();
    assert_eq!(losses.len(), 4);
    // The club's training nodes are as many of either side, so their prior is uniform.
    assert!((losses[0] - losses[1]).abs() < 1e-6, "{losses:?}");
    assert!(losses[1..].windows(2).all(|pair| pair[0] != pair[1]), "{losses:?}");
    ok(&format!(
        "train graph {common} --batch-size 5 --target neighbours --smoothing 0.1 --out {}",
        path(&folder, "small")
    ));
    let steps = std::fs::read_to_string(folder.path().join("small/metrics.jsonl")).unwrap();
    assert!(steps.lines().last().unwrap().contains("\"step\":60"), "{steps}");
}

#[test]
fn a_graph_training_survives_kills() {
    killed_and_resumed("train graph --smoothing 0.1 --epochs 400 --quiet", 8);
}

#[test]
fn broken_data_and_settings_are_named() {
    let folder = tempfile::tempdir().unwrap();
    write_graph(folder.path());
    let data = folder.path().display().to_string();
    let out = path(&folder, "never");
    let train = |settings: &str| refused(&format!("train graph --quiet --out {out} {settings}"));
    assert!(train("--beta 1.5").contains("model.beta = 1.5"));
    assert!(train("--dropout 1").contains("model.dropout = 1"));
    assert!(train("--propagation diffusion").contains("symmetric"));
    assert!(train("--model mlp").contains("gcn"));
    assert!(train("--augment flip").contains("is a setting of vision, which graph does not read"));
    assert!(train("--target mixup --smoothing 0.1").contains("mixup"));
    assert!(train(&format!("--data {data} --test 5")).contains("a split of its own"));
    std::fs::write(folder.path().join("edges.csv"), "src,dst\n3,60\n").unwrap();
    for message in [train(&format!("--data {data}")), refused(&format!("data {data}"))] {
        assert!(message.contains("edges.csv: line 2: node 60 has no row in the labels"), "{message}");
    }
    std::fs::write(folder.path().join("edges.csv"), "src,dst\n3,3\n0,1\n1,0\n").unwrap();
    let described = ok(&format!("data {data}"));
    for expected in [
        "fits recipe graph",
        "58 nodes have no edge",
        "1 edge joins a node to itself",
        "1 edge is listed again",
    ] {
        assert!(described.contains(expected), "{expected}: {described}");
    }
    assert!(!folder.path().join("never").exists());
}

#[test]
fn data_the_graph_net_reaches_the_published_accuracy_on_cora() {
    let Some(data) = std::env::var_os("CANDOR_DATA").map(|folder| PathBuf::from(folder).join("cora")) else {
        eprintln!("skipped: CANDOR_DATA is not set, so cora cannot be read");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let document = json(&format!(
        "compare graph --data {} --smoothing 0 --seeds 4 --quiet --out {}",
        data.display(),
        path(&folder, "cora")
    ));
    let accuracies: Vec<f64> = document["runs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|run| run["metrics"]["accuracy"].as_f64().unwrap())
        .collect();
    let mean = accuracies.iter().sum::<f64>() / 4.0;
    // 81.5 % is the published mean of 100 runs (Kipf & Welling 2017); one run's sd is about .006, so that of
    // four is .003: three of them and the half per cent that ports differ by.
    assert!((mean - 0.815).abs() < 0.014, "{accuracies:?}");
}
