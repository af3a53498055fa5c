//! Real data: published figures, reproduced. The tests read the folder that `CANDOR_DATA` names and pass with
//! a note where it is unset.

use std::path::PathBuf;

use crate::program::json;

fn data(name: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("CANDOR_DATA").map(|folder| PathBuf::from(folder).join(name));
    if folder.is_none() {
        eprintln!("skipped: CANDOR_DATA is not set, so {name} cannot be read");
    }
    folder
}

/// Published nets (Mukhoti et al. 2020, Gupta & Ramdas 2021): error %, NLL, Brier, ECE %, adaptive ECE %, temperature.
const NETS: [(&str, f64, f64, f64, f64, f64, f64); 9] = [
    ("cifar10_resnet50", 5.00, 0.1867, 0.0815, 1.82, 1.74, 1.096),
    ("cifar10_resnet110", 5.48, 0.2044, 0.0879, 2.56, 2.60, 1.171),
    ("cifar10_wide_resnet", 4.08, 0.1585, 0.0655, 1.25, 1.69, 0.937),
    ("cifar10_densenet121", 5.11, 0.1911, 0.0817, 1.53, 2.02, 0.970),
    ("focal_cifar10_resnet50", 4.98, 0.1755, 0.0801, 1.55, 1.56, 1.063),
    ("focal_cifar10_resnet110", 5.42, 0.1854, 0.0839, 1.87, 2.07, 1.105),
    ("focal_cifar10_wide_resnet", 4.01, 0.1455, 0.0634, 1.56, 1.51, 0.881),
    ("focal_cifar10_densenet121", 5.46, 0.1839, 0.0842, 1.22, 1.43, 0.958),
    ("cifar100_resnet50", 23.39, 0.9963, 0.3424, 6.52, 6.52, 1.052),
];

#[test]
fn data_figures_and_temperatures_of_nine_published_nets() {
    let Some(folder) = data("model-logits") else { return };
    for (net, error, nll, brier, ece, adaptive, temperature) in NETS {
        let arrays = |part: &str| {
            let path = |what: &str| folder.join(net).join(format!("{part}_{what}.npy")).display().to_string();
            format!("--logits {} --labels {}", path("logits"), path("labels"))
        };
        let document = json(&format!("eval {}", arrays("test")));
        let value = |name: &str| document["metrics"][name]["value"].as_f64().unwrap();
        let close = |what: &str, got: f64, want: f64, unit: f64| {
            assert!((got - want).abs() <= unit / 2.0 + 1e-12, "{net}: {what} {got}, published {want}");
        };
        close("error", 100.0 * (1.0 - value("accuracy")), error, 0.01);
        close("NLL", value("nll"), nll, 1e-4);
        close("Brier", value("brier"), brier, 1e-4);
        close("ECE", 100.0 * value("ece"), ece, 0.01);
        close("adaptive ECE", 100.0 * value("adaptive_ece"), adaptive, 0.01);
        let fit = json(&format!("calibrate fit {}", arrays("val")));
        close("temperature", fit["parameters"]["temperature"].as_f64().unwrap(), temperature, 0.002);
    }
}

#[test]
fn data_a_perceptron_on_fashion_mnist_is_spoiled_by_smoothing() {
    let Some(folder) = data("fashion-mnist") else { return };
    let out = tempfile::tempdir().unwrap();
    let document = json(&format!(
        "compare vision --data {} --hidden 128 --epochs 2 --batch-size 128 --train-size 20000 --validation last:5000 --smoothing 0,0.1 --seeds 2 --quiet --out {}",
        folder.display(),
        out.path().join("x").display()
    ));
    let mean = |metric: &str, smoothing: f64| {
        let rows = document["summary"].as_array().unwrap();
        let row = rows
            .iter()
            .find(|row| row["metric"] == metric && row["variant"]["smoothing"] == smoothing)
            .unwrap();
        row["mean"].as_f64().unwrap()
    };
    assert!(mean("accuracy", 0.0) > 0.83, "{}", mean("accuracy", 0.0));
    assert!(mean("ece", 0.1) > mean("ece", 0.0) + 0.03);
    assert!(mean("signed_gap", 0.1) < -0.04);
    assert_eq!(document["recommended_smoothing"], 0.0);
}
