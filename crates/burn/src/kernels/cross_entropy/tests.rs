//! The kernel against the core's reference in double precision.

use burn::backend::DispatchDevice;
use candor::losses::{Batch, LossOptions, LossValue, MeanOver, Reduction, reference};
use candor::random::Stream;
use candor::targets::{Background, OffClass, TargetRule, Uniform};
use candor::{Buffers, Labels, Targets};

use super::*;

/// Unit roundoff of single precision.
const EPSILON: f64 = f64::EPSILON * 536_870_912.0 / 2.0;

/// The first graphics adapter; says so where there is none.
fn adapter() -> Option<burn::tensor::Device> {
    crate::device("wgpu").inspect_err(|error| eprintln!("skipped: {error}")).ok()
}

fn upload(device: &burn::tensor::Device, logits: &[f32], n_classes: usize) -> FloatTensor<Cube> {
    let DispatchDevice::Cube(device) = device.as_dispatch() else { panic!("{device:?}") };
    let shape = [logits.len() / n_classes, n_classes];
    Cube::float_from_data(TensorData::new(logits.to_vec(), shape), device)
}

/// The kernel's value, row losses and gradient; `None` if it leaves the batch to the core.
fn by_kernel(
    logits: FloatTensor<Cube>,
    targets: &Targets<'_>,
    options: &LossOptions<'_>,
) -> Option<(LossValue, Vec<f64>, Vec<f32>)> {
    let rows = RowsElsewhere::new(targets, options).unwrap()?;
    let (gradient, values) = cross_entropy(&logits, &rows, true)?;
    let (nothing, again) = cross_entropy(&logits, &rows, false)?;
    assert!(nothing.is_none());
    assert_eq!(
        again.iter().map(|v| (v.loss, v.nll, v.correct, v.confidence)).collect::<Vec<_>>(),
        values.iter().map(|v| (v.loss, v.nll, v.correct, v.confidence)).collect::<Vec<_>>(),
        "the value alone is another"
    );
    let gradient = try_read_sync(Cube::float_into_data(gradient.unwrap())).unwrap().unwrap();
    let mut losses = vec![0.0_f64; targets.n_rows()];
    let value = rows.reduce(&values, Some(&mut losses)).unwrap();
    Some((value, losses, gradient.try_into_vec().unwrap()))
}

/// Both within the bounds that the head of the kernel derives.
fn check(
    what: &str,
    device: &burn::tensor::Device,
    logits: &[f32],
    targets: &Targets<'_>,
    options: &LossOptions<'_>,
) {
    let (n, k) = (targets.n_rows(), targets.n_classes());
    let (value, losses, gradient) = by_kernel(upload(device, logits, k), targets, options)
        .unwrap_or_else(|| panic!("{what}: left to the core"));
    let wide: Vec<f64> = logits.iter().map(|z| f64::from(*z)).collect();
    let (mut want_losses, mut want_gradient) = (vec![0.0; n], vec![0.0; n * k]);
    let buffers = Buffers::Gradient { logits: &wide, gradient: &mut want_gradient };
    let want = reference(Batch::new(buffers, targets).options(*options).losses(&mut want_losses)).unwrap();
    let rows = RowsElsewhere::new(targets, options).unwrap().unwrap();
    let unit = (32.0 + k as f64 / 256.0) * EPSILON;
    let mut bound_of_mean = 0.0;
    for (row, known) in rows.rows().enumerate() {
        let scale = known.map_or(0.0, |(_, scale)| scale);
        let own = &wide[row * k..(row + 1) * k];
        let open = || own.iter().filter(|z| z.is_finite());
        let largest = open().fold(f64::NEG_INFINITY, |a, b| a.max(*b));
        let farthest = largest - open().fold(f64::INFINITY, |a, b| a.min(*b));
        let weight = scale * value.denominator;
        let bound = unit * (1.0 + farthest + (k as f64).ln()) * weight.abs().max(f64::MIN_POSITIVE);
        let (got, wanted) = (losses[row], want_losses[row]);
        assert!((got - wanted).abs() <= bound, "{what}, row {row}: loss {got} and {wanted}, bound {bound}");
        bound_of_mean += bound / value.denominator;
        for class in 0..k {
            let (got, wanted) = (f64::from(gradient[row * k + class]), want_gradient[row * k + class]);
            let bound = unit * scale.abs();
            assert!((got - wanted).abs() <= bound, "{what}, row {row}, class {class}: {got} and {wanted}");
        }
    }
    assert!((value.loss - want.loss).abs() <= bound_of_mean, "{what}: {} and {}", value.loss, want.loss);
    let same = |got: f64, want: f64| got == want || got.is_nan() && want.is_nan();
    assert!(same(value.accuracy, want.accuracy), "{what}: {} and {}", value.accuracy, want.accuracy);
    assert!((value.confidence - want.confidence).abs() <= unit, "{what}: confidence");
    assert!((value.nll - want.nll).abs() <= bound_of_mean.max(1e-6 * want.nll.abs()), "{what}: NLL");
    assert_eq!((value.rows, value.ignored, value.denominator), (want.rows, want.ignored, want.denominator));
}

/// Random logits, some of them masked if `masked`, and labels that are not.
fn problem(stream: &mut Stream, n: usize, k: usize, masked: bool) -> (Vec<f32>, Vec<i64>) {
    let mut logits: Vec<f32> = (0..n * k).map(|_| (4.0 * stream.normal()) as f32).collect();
    let labels: Vec<i64> = (0..n).map(|_| stream.below(k as u64) as i64).collect();
    for (row, label) in labels.iter().enumerate().filter(|_| masked) {
        for class in (0..k).filter(|class| *class as i64 != *label) {
            if stream.bernoulli(0.4) {
                logits[row * k + class] = f32::NEG_INFINITY;
            }
        }
    }
    (logits, labels)
}

#[test]
fn labels_with_even_smoothing_over_all_widths() {
    let Some(device) = adapter() else { return };
    let mut stream = Stream::new(51, "kernel", 0, 0);
    for k in (1..=70).chain([255, 256, 257, 1000]) {
        for (n, smoothing, masked) in [(1, 0.1, false), (7, 0.0, true), (4, 0.3, true), (3, -0.2, false)] {
            let (logits, labels) = problem(&mut stream, n, k, masked);
            let targets =
                Targets::labels(Labels::new(&labels, k).unwrap()).smoothed(smoothing, Background::Uniform);
            let what = format!("{n}x{k}, smoothing {smoothing}, masked {masked}");
            check(&what, &device, &logits, &targets, &LossOptions::default());
        }
    }
}

#[test]
fn a_vocabulary() {
    let Some(device) = adapter() else { return };
    let mut stream = Stream::new(52, "kernel", 0, 0);
    let (logits, labels) = problem(&mut stream, 3, 32_000, true);
    let targets = Uniform::new(0.1).unwrap().targets(Labels::new(&labels, 32_000).unwrap()).unwrap();
    check("a vocabulary", &device, &logits, &targets, &LossOptions::default());
}

#[test]
fn more_rows_than_an_axis_has_workgroups() {
    let Some(device) = adapter() else { return };
    let mut stream = Stream::new(53, "kernel", 0, 0);
    let n = LARGEST_AXIS + 2;
    let (logits, labels) = problem(&mut stream, n, 2, false);
    let targets = Targets::labels(Labels::new(&labels, 2).unwrap());
    check("many rows", &device, &logits, &targets, &LossOptions::default());
}

#[test]
fn weights_ignored_rows_and_reductions() {
    let Some(device) = adapter() else { return };
    let mut stream = Stream::new(54, "kernel", 0, 0);
    let (n, k) = (9, 5);
    let (mut logits, mut labels) = problem(&mut stream, n, k, false);
    labels[4] = -1;
    // What an ignored row holds does not matter.
    logits[4 * k] = f32::NAN;
    let finite: Vec<f32> = logits.iter().map(|z| if z.is_nan() { 0.0 } else { *z }).collect();
    let class_weights: Vec<f64> = (0..k).map(|_| stream.uniform()).collect();
    let sample_weights: Vec<f64> = (0..n).map(|row| (row % 3) as f64).collect();
    let labels = Labels::with_ignore(&labels, k, Some(-1)).unwrap();
    let targets = Uniform::new(0.1).unwrap().targets(labels).unwrap();
    for reduction in [Reduction::Mean, Reduction::Sum, Reduction::None] {
        let options = LossOptions {
            reduction,
            class_weights: Some(&class_weights),
            sample_weights: Some(&sample_weights),
            mean_over: MeanOver::AllRows,
            ..LossOptions::default()
        };
        check(&format!("{reduction:?}"), &device, &finite, &targets, &options);
        let (_, _, gradient) = by_kernel(upload(&device, &logits, k), &targets, &options).unwrap();
        assert_eq!(gradient[4 * k..5 * k], [0.0; 5]);
    }
}

#[test]
fn pairs_and_dense_rows() {
    let Some(device) = adapter() else { return };
    let mut stream = Stream::new(55, "kernel", 0, 0);
    for k in [2, 10, 300] {
        let (logits, _) = problem(&mut stream, 3, k, false);
        // A class twice, and a row with all of its mass in one pair.
        let classes = vec![0, 1, 0, k as u32 - 1, 0, 1];
        let masses = vec![0.25, 0.5, 0.25, 1.0, 0.5, 0.5];
        let pairs = Targets::sparse(vec![0, 3, 4, 6], classes, masses, k).unwrap();
        check(
            "pairs",
            &device,
            &logits,
            &pairs.clone().smoothed(0.2, Background::Uniform),
            &LossOptions::default(),
        );
        check("plain pairs", &device, &logits, &pairs, &LossOptions::default());
        let raw: Vec<f64> = (0..3 * k).map(|_| stream.uniform()).collect();
        let rows: Vec<f32> = raw
            .chunks_exact(k)
            .flat_map(|row| {
                let sum: f64 = row.iter().sum();
                row.iter().map(move |mass| (mass / sum) as f32)
            })
            .collect();
        let dense = Targets::distribution(DenseRows::F32(&rows), k).unwrap();
        let ignored = dense.clone().with_ignored(vec![true, false, true]).unwrap();
        for targets in [dense.smoothed(0.3, Background::Uniform), ignored] {
            check("dense", &device, &logits, &targets, &LossOptions::default());
        }
    }
}

#[test]
fn equal_logits_and_ties_take_the_first_class() {
    let Some(device) = adapter() else { return };
    for k in [1, 2, 70, 1000] {
        let labels = [0, k as i64 - 1];
        let targets = Targets::labels(Labels::new(&labels, k).unwrap());
        check("equal", &device, &vec![1.5; 2 * k], &targets, &LossOptions::default());
        // Largest at the end of the finite numbers that a kernel takes.
        check("large", &device, &vec![-9.9e29; 2 * k], &targets, &LossOptions::default());
    }
}

#[test]
fn a_transposed_tensor_is_read_as_it_lies() {
    let Some(device) = adapter() else { return };
    let mut stream = Stream::new(56, "kernel", 0, 0);
    let (logits, labels) = problem(&mut stream, 4, 6, false);
    let columns: Vec<f32> = (0..24).map(|at| logits[(at % 4) * 6 + at / 4]).collect();
    let targets = Targets::labels(Labels::new(&labels, 6).unwrap());
    let lying = Cube::float_transpose(upload(&device, &columns, 4));
    let (value, _, gradient) = by_kernel(lying, &targets, &LossOptions::default()).unwrap();
    let (same, _, straight) =
        by_kernel(upload(&device, &logits, 6), &targets, &LossOptions::default()).unwrap();
    assert_eq!((value.loss, gradient), (same.loss, straight));
}

#[test]
fn what_only_the_core_can_judge_is_left_to_it() {
    let Some(device) = adapter() else { return };
    let labels = [1, 0];
    let targets = Targets::labels(Labels::new(&labels, 3).unwrap());
    let good = [1.0, 2.0, 3.0, 0.5, 0.0, -1.0];
    let options = LossOptions::default();
    assert!(by_kernel(upload(&device, &good, 3), &targets, &options).is_some());
    for (at, value) in [
        (5, f32::NAN),
        (5, f32::INFINITY),
        (2, 1e38),
        (2, -1e38),
        // Mass on a masked class.
        (1, f32::NEG_INFINITY),
    ] {
        let mut bad = good;
        bad[at] = value;
        assert!(by_kernel(upload(&device, &bad, 3), &targets, &options).is_none(), "{value} at {at}");
    }
    let mut masked = good;
    masked[..3].fill(f32::NEG_INFINITY);
    assert!(by_kernel(upload(&device, &masked, 3), &targets, &options).is_none());
    let other = OffClass::new(0.1, 3).unwrap().targets(Labels::new(&labels, 3).unwrap()).unwrap();
    assert!(by_kernel(upload(&device, &good, 3), &other, &options).is_none());
}
