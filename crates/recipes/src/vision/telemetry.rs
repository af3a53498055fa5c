//! What is measured of an image model while it trains: gradients at the logits, margins, curvature, features.
//!
//! On the images as they are, without views and mixes, and on at most [`MOST`] rows of a part, evenly spread.

use std::collections::BTreeMap;

use burn::tensor::Device;
use candor::losses::{Batch, CrossEntropy, LossOptions, LossState, Reduction};
use candor::targets::DenseRows;
use candor::theory::{ClassDistances, Margins, TemplatePlane, logit_curvature, mutual_information};
use candor::{Buffers, Labels, Logits, Targets};
use candor_burn::LossModule;

use super::augment::{Augmentation, Augmenter};
use super::data::Split;
use super::model::ImageModel;
use super::predict::{PREDICT_ROWS, augmented, gathered, host, inputs, normalised};
use super::setup::padding;
use super::train::VisionTask;
use crate::error::{Error, Result};
use crate::training::EpochLog;

/// Rows of a part that are measured, at most.
const MOST: usize = 2000;
/// Images of a class that are drawn, at most.
const MOST_POINTS: usize = 60;
/// Images of a class and views of each, from which mutual information is estimated.
const EXAMPLES: usize = 40;
const VIEWS: usize = 5;

/// Mean norm of the gradient at the logits.
const GRADIENT: &str = "logits/gradient_norm";
const START: &str = "start/logits/gradient_norm";
/// Figures of an epoch that become metrics of the run, with the metric's name.
const METRICS: [(&str, &str); 9] = [
    (GRADIENT, "gradient_norm"),
    ("logits/curvature_mean", "curvature"),
    ("logits/margin_mean", "margin"),
    ("logits/margin_spread", "margin_spread"),
    ("logits/margin_spread_validation", "margin_spread_validation"),
    ("features/within", "distance_within_classes"),
    ("features/tightness", "class_tightness"),
    ("features/tightness_validation", "class_tightness_validation"),
    ("features/mutual_information", "mutual_information"),
];

/// Three classes of a set: two whose mean images are nearest to each other, and the one farthest from both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Triple(pub(super) [usize; 3]);

impl Triple {
    /// By the images of the training rows, so that it is the same for every run.
    pub(super) fn of(split: &Split) -> Self {
        let k = split.summary.classes;
        let mut means = vec![vec![0.0_f64; split.images.image_len()]; k];
        for &row in &split.train {
            let class = split.images.labels[row] as usize;
            let count = split.summary.train_classes[class] as f64;
            let pixels = split.images.image(row).iter().map(|byte| f64::from(*byte) / count);
            means[class].iter_mut().zip(pixels).for_each(|(sum, pixel)| *sum += pixel);
        }
        let apart = |a: usize, b: usize| -> f64 {
            means[a].iter().zip(&means[b]).map(|(a, b)| (a - b).powi(2)).sum()
        };
        let pairs = (0..k).flat_map(|a| (a + 1..k).map(move |b| (a, b)));
        let (a, b) = pairs.min_by(|x, y| apart(x.0, x.1).total_cmp(&apart(y.0, y.1))).unwrap_or((0, 1));
        let others = (0..k).filter(|class| *class != a && *class != b);
        let far = |class: usize| apart(class, a).min(apart(class, b));
        let c = others.max_by(|x, y| far(*x).total_cmp(&far(*y))).unwrap_or(b);
        Self([a, b, c])
    }
}

/// Features and logits of some images.
struct Seen {
    features: Vec<f32>,
    n_features: usize,
    logits: Vec<f32>,
}

fn see<M: ImageModel>(
    task: &VisionTask<'_, M>,
    model: &M,
    rows: &[usize],
    views: Option<(&Augmenter, usize)>,
    device: &Device,
) -> Result<Seen> {
    let images = &task.data.split.images;
    let mut seen = Seen { features: Vec::new(), n_features: 0, logits: Vec::new() };
    for rows in rows.chunks(PREDICT_ROWS) {
        let bytes = match views {
            Some((augmenter, view)) => augmented(images, rows, view, augmenter)?,
            None => gathered(images, rows),
        };
        let values = normalised(&bytes, images.shape, &task.data.tables);
        let features = model.features(inputs(values, images.shape, device));
        seen.n_features = features.dims()[1];
        seen.logits.extend(host(model.head().forward(features.clone()))?);
        seen.features.extend(host(features)?);
    }
    Ok(seen)
}

/// At most `most` of these rows, evenly spread.
fn spread(rows: &[usize], most: usize) -> Vec<usize> {
    let n = rows.len().min(most);
    (0..n).map(|i| rows[i * rows.len() / n]).collect()
}

/// The gradient before the first step.
pub(super) fn at_start<M: ImageModel>(
    task: &VisionTask<'_, M>,
    model: &M,
    loss: &LossModule,
    device: &Device,
) -> Result<BTreeMap<String, f64>> {
    let rows = spread(&task.data.split.train, MOST);
    let seen = see(task, model, &rows, None, device)?;
    let slopes = Slopes::new(&seen.logits, &task.setup.dense_targets(&rows, loss)?, task.n_classes())?;
    Ok([(START.to_owned(), slopes.gradient)].into())
}

/// The figures at the end of an epoch.
pub(super) fn of_epoch<M: ImageModel>(
    task: &VisionTask<'_, M>,
    model: &M,
    loss: &LossModule,
    device: &Device,
) -> Result<BTreeMap<String, f64>> {
    let split = &task.data.split;
    let k = task.n_classes();
    let rows = spread(&split.train, MOST);
    let seen = see(task, model, &rows, None, device)?;
    let slopes = Slopes::new(&seen.logits, &task.setup.dense_targets(&rows, loss)?, k)?;
    let mut figures: BTreeMap<String, f64> = BTreeMap::new();
    let mut put = |name: &str, value: f64| {
        figures.insert(name.to_owned(), value);
    };
    put(GRADIENT, slopes.gradient);
    put("logits/curvature_mean", slopes.curvature_mean);
    put("logits/curvature_max", slopes.curvature_max);
    let labels = task.setup.labels_of(&rows);
    let margins = Margins::new(Logits::new(&seen.logits, k)?, Labels::new(&labels, k)?)?;
    put("logits/margin_mean", margins.mean);
    put("logits/margin_spread", margins.spread);
    put("logits/margin_spread_in_a_row", margins.spread_within);
    // Distances are between the true classes, also where labels are wrong on purpose.
    let clean = |rows: &[usize]| rows.iter().map(|&row| split.images.labels[row]).collect::<Vec<i64>>();
    let distances = |seen: &Seen, labels: &[i64]| -> Result<ClassDistances> {
        Ok(ClassDistances::new(&seen.features, seen.n_features, Labels::new(labels, k)?)?)
    };
    let apart = distances(&seen, &clean(&rows))?;
    put("features/within", apart.within);
    put("features/between", apart.between);
    put("features/tightness", apart.within / apart.between);
    let rows = spread(&split.validation, MOST);
    let labels = clean(&rows);
    if labels.iter().any(|label| *label != labels[0]) {
        let seen = see(task, model, &rows, None, device)?;
        let margins = Margins::new(Logits::new(&seen.logits, k)?, Labels::new(&labels, k)?)?;
        put("logits/margin_spread_validation", margins.spread);
        let apart = distances(&seen, &labels)?;
        put("features/tightness_validation", apart.within / apart.between);
    }
    if let Some(information) = information(task, model, device)? {
        put("features/mutual_information", information);
    }
    Ok(figures)
}

/// Slope and curvature of cross-entropy at the logits.
struct Slopes {
    gradient: f64,
    curvature_mean: f64,
    curvature_max: f64,
}

impl Slopes {
    fn new(logits: &[f32], targets: &[f64], k: usize) -> Result<Self> {
        let rows = Targets::weights(DenseRows::F64(targets), k)?;
        let logits: Vec<f64> = logits.iter().map(|z| f64::from(*z)).collect();
        let mut gradient = vec![0.0; logits.len()];
        let options = LossOptions { reduction: Reduction::None, ..LossOptions::default() };
        let batch = Batch::new(Buffers::Gradient { logits: &logits, gradient: &mut gradient }, &rows)
            .options(options);
        candor::losses::value_grad(&CrossEntropy, batch, &mut LossState::default())?;
        let (mut norms, mut curvature_mean, mut curvature_max) = (0.0, 0.0, 0.0_f64);
        for (slope, target) in gradient.chunks_exact(k).zip(targets.chunks_exact(k)) {
            norms += slope.iter().map(|g| g * g).sum::<f64>().sqrt();
            // The gradient is p - q, so its probabilities are at hand.
            let probs: Vec<f64> = slope.iter().zip(target).map(|(g, q)| (g + q).clamp(0.0, 1.0)).collect();
            let curvature = logit_curvature(&probs)?;
            curvature_mean += curvature;
            curvature_max = curvature_max.max(curvature);
        }
        let n = (targets.len() / k) as f64;
        Ok(Self { gradient: norms / n, curvature_mean: curvature_mean / n, curvature_max })
    }
}

impl<M: ImageModel> VisionTask<'_, M> {
    fn n_classes(&self) -> usize {
        self.data.split.summary.classes
    }

    /// Training rows of a class, at most `most`.
    fn of_class(&self, rows: &[usize], class: usize, most: usize) -> Vec<usize> {
        let labels = &self.data.split.images.labels;
        let mine: Vec<usize> = rows.iter().copied().filter(|&row| labels[row] == class as i64).collect();
        spread(&mine, most)
    }
}

/// Mutual information between an image of the two nearest classes and the difference of their logits, under random
/// shifts. The views are the same in every epoch and run.
fn information<M: ImageModel>(task: &VisionTask<'_, M>, model: &M, device: &Device) -> Result<Option<f64>> {
    let split = &task.data.split;
    let [_, height, width] = split.images.shape;
    let shift = (height.min(width) / 14).max(1);
    let (Some(Triple([a, b, _])), true) = (task.data.triple(), height.min(width) > shift) else {
        return Ok(None);
    };
    let rows = [task.of_class(&split.train, a, EXAMPLES), task.of_class(&split.train, b, EXAMPLES)].concat();
    let shifts = Augmentation { crop_padding: shift, ..Augmentation::default() };
    let augmenter = Augmenter::new(shifts, 0, split.images.shape, padding(&split.normalisation))?;
    let mut draws = vec![0.0; rows.len() * VIEWS];
    for view in 0..VIEWS {
        let seen = see(task, model, &rows, Some((&augmenter, view)), device)?;
        for (place, logits) in seen.logits.chunks_exact(task.n_classes()).enumerate() {
            draws[place * VIEWS + view] = f64::from(logits[a]) - f64::from(logits[b]);
        }
    }
    Ok(Some(mutual_information(&draws, VIEWS)?))
}

/// The last figures of a training as metrics of the run, with the slope at its start.
pub(super) fn metrics(epochs: &[EpochLog]) -> BTreeMap<String, f64> {
    let Some(last) = epochs.last() else { return BTreeMap::new() };
    let mut metrics: BTreeMap<String, f64> = METRICS
        .iter()
        .filter_map(|(figure, metric)| Some(((*metric).to_owned(), *last.telemetry.get(*figure)?)))
        .collect();
    let start = epochs.first().and_then(|first| first.telemetry.get(START));
    if let Some(start) = start {
        metrics.insert("gradient_norm_at_start".to_owned(), *start);
    }
    metrics
}

/// Features of three classes in the plane of their templates, by part and class: the name is `plane/PART/CLASS`.
pub(super) fn projections<M: ImageModel>(
    task: &VisionTask<'_, M>,
    model: &M,
    device: &Device,
) -> Result<BTreeMap<String, Vec<(f64, f64)>>> {
    let Some(Triple(classes)) = task.data.triple() else { return Ok(BTreeMap::new()) };
    let weight = model.head().weight.val();
    let [n_features, k] = weight.dims();
    let weight = host(weight)?;
    let templates =
        classes.map(|class| (0..n_features).map(|i| f64::from(weight[i * k + class])).collect::<Vec<f64>>());
    let [a, b, c] = &templates;
    let plane = match TemplatePlane::through([a, b, c]) {
        Ok(plane) => plane,
        // Templates on one line have no plane, which one feature alone brings about.
        Err(candor::Error::Malformed { .. }) => return Ok(BTreeMap::new()),
        Err(error) => return Err(Error::Core(error)),
    };
    let split = &task.data.split;
    let mut points = BTreeMap::new();
    for (part, rows) in [("training", &split.train), ("validation", &split.validation)] {
        for class in classes {
            let rows = task.of_class(rows, class, MOST_POINTS);
            let seen = see(task, model, &rows, None, device)?;
            let places = seen
                .features
                .chunks_exact(n_features)
                .map(|row| {
                    let row: Vec<f64> = row.iter().map(|value| f64::from(*value)).collect();
                    Ok(plane.project(&row)?)
                })
                .collect::<Result<Vec<_>>>()?;
            let name = split.summary.class_names.as_ref().and_then(|names| names.get(class).cloned());
            points.insert(format!("plane/{part}/{}", name.unwrap_or_else(|| class.to_string())), places);
        }
    }
    Ok(points)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_equal_logits_smoothing_scales_the_gradient_and_leaves_the_curvature() {
        let logits = [0.0_f32; 8];
        let hard = Slopes::new(&logits, &[1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0], 4).unwrap();
        let soft = [0.925, 0.025, 0.025, 0.025, 0.025, 0.025, 0.925, 0.025];
        let soft = Slopes::new(&logits, &soft, 4).unwrap();
        assert!((hard.gradient - 0.75_f64.sqrt()).abs() < 1e-12);
        assert!((soft.gradient / hard.gradient - 0.9).abs() < 1e-12);
        assert!((hard.curvature_mean - 0.25).abs() < 1e-12 && (soft.curvature_max - 0.25).abs() < 1e-12);
    }

    #[test]
    fn rows_are_spread_evenly() {
        assert_eq!(spread(&[1, 2, 3], 5), [1, 2, 3]);
        assert_eq!(spread(&(0..10).collect::<Vec<_>>(), 5), [0, 2, 4, 6, 8]);
        assert!(spread(&[], 5).is_empty());
    }

    #[test]
    fn the_three_classes_are_two_alike_and_one_apart() {
        let images = super::super::images::Images {
            pixels: vec![0, 200, 210, 90, 0, 200, 210, 90],
            shape: [1, 1, 1],
            labels: vec![0, 1, 2, 3, 0, 1, 2, 3],
            source: Default::default(),
        };
        let mut split = super::super::data::load(&Default::default()).unwrap();
        split.images = images;
        split.train = (0..8).collect();
        split.summary.classes = 4;
        split.summary.train_classes = vec![2; 4];
        assert_eq!(Triple::of(&split), Triple([1, 2, 0]));
    }
}
