//! Temperatures of trained nets against known ones.
//!
//! The nets are described in `model-logits/README.md` of the data folder; without the folder the tests pass.

use std::path::{Path, PathBuf};

use candor::calibrators::{self, Map, Sample, Temperature};
use candor::metrics::{EvaluationOptions, Evaluator, Scorer};
use candor::{Labels, Logits};

fn folder() -> Option<PathBuf> {
    let found = std::env::var_os("CANDOR_DATA").map(|root| Path::new(&root).join("model-logits"));
    if found.is_none() {
        eprintln!("CANDOR_DATA is not set: no data, no test");
    }
    found
}

/// The numbers of a little-endian `.npy` file of version 1.
fn npy<const N: usize, T>(path: &Path, dtype: &str, read: fn([u8; N]) -> T) -> Vec<T> {
    let bytes = std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let header = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let text = String::from_utf8_lossy(&bytes[10..10 + header]).into_owned();
    assert!(text.contains(dtype) && text.contains("'fortran_order': False"), "{text}");
    bytes[10 + header..].chunks_exact(N).map(|chunk| read(chunk.try_into().expect("N bytes"))).collect()
}

/// One part of a net's outputs.
struct Part {
    logits: Vec<f32>,
    labels: Vec<i64>,
    n_classes: usize,
}

impl Part {
    fn read(folder: &Path, net: &str, part: &str) -> Self {
        let path = |what: &str| folder.join(net).join(format!("{part}_{what}.npy"));
        let logits = npy(&path("logits"), "<f4", f32::from_le_bytes);
        let labels = npy(&path("labels"), "<i8", i64::from_le_bytes);
        Self { n_classes: logits.len() / labels.len(), logits, labels }
    }

    fn rows(&self) -> Logits<'_, f32> {
        Logits::new(&self.logits, self.n_classes).expect("rows")
    }

    fn sample(&self) -> Sample {
        Sample::from_logits(self.rows(), Labels::new(&self.labels, self.n_classes).expect("labels"))
            .expect("a sample")
    }

    /// ECE and NLL after a map.
    fn figures(&self, map: &Map) -> (f64, f64) {
        let logits = map.logits(self.rows(), None).expect("logits");
        let options = EvaluationOptions { intervals: false, ..EvaluationOptions::default() };
        let (mut evaluator, mut scorer) = (Evaluator::new(options).expect("options"), Scorer::default());
        for (row, (logits, label)) in logits.chunks_exact(self.n_classes).zip(&self.labels).enumerate() {
            evaluator.update(scorer.logits(row, logits, *label as usize).expect("a row"));
        }
        let evaluation = evaluator.compute().expect("figures");
        (evaluation.value("ece"), evaluation.value("nll"))
    }
}

fn scaled(temperature: f64) -> Map {
    Temperature::new(temperature).expect("positive").into()
}

/// Net, T by the validation ECE over the grid 0.1, 0.2, …, ECE % after it, T by the validation NLL, ECE % and
/// NLL after it: the table of the data folder's README, whose fourth column is published.
const NETS: &[(&str, f64, f64, f64, f64, f64)] = &[
    ("cifar10_resnet50", 1.1, 1.08, 1.096, 1.12, 0.1837),
    ("cifar10_resnet110", 1.2, 1.25, 1.171, 1.29, 0.1960),
    ("cifar10_wide_resnet", 1.0, 1.25, 0.937, 0.95, 0.1575),
    ("cifar10_densenet121", 1.0, 1.53, 0.970, 1.29, 0.1911),
    ("focal_cifar10_resnet50", 1.1, 0.95, 1.063, 0.97, 0.1738),
    ("focal_cifar10_resnet110", 1.1, 1.07, 1.105, 1.06, 0.1824),
    ("focal_cifar10_wide_resnet", 0.9, 0.84, 0.881, 0.76, 0.1424),
    ("focal_cifar10_densenet121", 1.0, 1.22, 0.958, 1.06, 0.1842),
    ("cifar100_resnet50", 1.1, 3.64, 1.052, 4.81, 0.9929),
];

#[test]
fn data_temperatures_of_trained_nets_are_the_published_ones() {
    let Some(folder) = folder() else { return };
    for &(net, by_ece, ece_by_ece, by_nll, ece, nll) in NETS {
        let (val, test) = (Part::read(&folder, net, "val"), Part::read(&folder, net, "test"));
        let fit = calibrators::fit("temperature", &Default::default(), &val.sample()).expect("a fit");
        let Map::Temperature(found) = &fit.map else { panic!("another map") };
        // Half a unit of the last printed digit.
        assert!((found.temperature - by_nll).abs() < 5.1e-4, "{net}: {found:?}");
        let (got_ece, got_nll) = test.figures(&fit.map);
        assert!((100.0 * got_ece - ece).abs() < 5.1e-3, "{net}: {got_ece}");
        assert!((got_nll - nll).abs() < 5.1e-5, "{net}: {got_nll}");
        // The published way: the grid value of least validation ECE. It lies below 2 for all nets.
        let grid = (1..=20).map(|step| f64::from(step) * 0.1);
        let best = grid
            .min_by(|a, b| val.figures(&scaled(*a)).0.total_cmp(&val.figures(&scaled(*b)).0))
            .expect("a grid");
        assert!((best - by_ece).abs() < 1e-9, "{net}: {best}");
        let (got, _) = test.figures(&scaled(best));
        assert!((100.0 * got - ece_by_ece).abs() < 5.1e-3, "{net}: {got}");
    }
}
