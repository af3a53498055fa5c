//! Where nets run: refused names, and one small training on a graphics adapter where the build has the feature.

use crate::program::{listing, ok, refused};

#[test]
fn devices_that_are_none_are_refused_before_anything_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    // A number that no machine reaches.
    for (name, built) in [("wgpu:9999", cfg!(feature = "wgpu")), ("cuda:9999", cfg!(feature = "cuda"))] {
        let kind = &name[..4];
        let words = if built { "this machine has no device" } else { "build with --features" };
        for command in ["train", "compare --seeds 1"] {
            let message = refused(&format!("{command} --quiet --device {name} --out {}", out.display()));
            assert!(message.contains(&format!("device = {name}")), "{message}");
            assert!(message.contains(words) && message.contains(kind), "{message}");
        }
    }
    for name in ["gpu", "cpu:0", "wgpu:first"] {
        let message = refused(&format!("train --quiet --device {name} --out {}", out.display()));
        assert!(message.contains("cpu, wgpu or cuda"), "{message}");
    }
    let message = refused(&format!("train stability --quiet --set device=wgpu --out {}", out.display()));
    assert!(message.contains("device = wgpu"), "{message}");
    assert!(listing(folder.path()).is_empty(), "{:?}", listing(folder.path()));
}

#[test]
fn the_device_is_recorded_and_predictions_may_be_made_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    ok(&format!("train --epochs 1 --hidden 8 --quiet --out {}", run.display()));
    let config = std::fs::read_to_string(run.join("config.toml")).unwrap();
    assert!(config.contains("device = \"cpu\""), "{config}");
    let predict = |device: &str| {
        format!(
            "predict {} --data digits --device {device} --out {}/p.parquet",
            run.display(),
            folder.path().display()
        )
    };
    ok(&predict("cpu"));
    assert!(refused(&predict("tpu")).contains("cpu, wgpu or cuda"));
    // A folder from a machine with another device can still be read.
    std::fs::write(run.join("config.toml"), config.replace("\"cpu\"", "\"cuda:3\"")).unwrap();
    ok(&predict("cpu"));
    let message = refused(&format!("train --resume --quiet --device cuda:9999 --out {}", run.display()));
    assert!(message.contains("another configuration"), "{message}");
}

/// A short training ends with about the same figures; the orders of the sums differ.
#[cfg(feature = "wgpu")]
#[test]
fn a_training_on_an_adapter_is_about_that_on_the_cpu() {
    let folder = tempfile::tempdir().unwrap();
    let train = |device: &str| {
        let out = folder.path().join(device);
        let settings = "--epochs 3 --hidden 16 --smoothing 0.1 --batch-size 100 --lr 0.01";
        crate::program::candor(&format!(
            "train {settings} --json --quiet --device {device} --out {}",
            out.display()
        ))
    };
    let [adapter, cpu] = ["wgpu", "cpu"].map(train);
    let errors = String::from_utf8_lossy(&adapter.stderr);
    if errors.contains("no wgpu device was found") {
        eprintln!("skipped: no graphics adapter, not even a software one");
        return;
    }
    assert!(adapter.status.success(), "{errors}");
    let [adapter, cpu] = [adapter, cpu]
        .map(|output| serde_json::from_slice::<serde_json::Value>(&output.stdout).expect("a document"));
    assert_eq!(adapter["config"]["device"], "wgpu");
    for metric in ["nll", "brier", "accuracy"] {
        let [adapter, cpu] = [&adapter, &cpu]
            .map(|result| result["figures"]["test"]["metrics"][metric]["value"].as_f64().expect("a figure"));
        // Thirty steps part by rounding alone: far less than any setting moves a figure.
        assert!((adapter - cpu).abs() < 0.01, "{metric}: {adapter} and {cpu}");
    }
    let (run, out) = (folder.path().join("wgpu"), folder.path().join("q.parquet"));
    ok(&format!("predict {} --data digits --device wgpu --out {}", run.display(), out.display()));
}
