//! Values and gradients are those of Burn's own loss where it has one, and exact elsewhere.

use burn::nn::loss::CrossEntropyLossConfig as Stock;
use burn::tensor::{Device, Int, Tensor, TensorData};
use candor::losses::{CrossEntropy, Reduction, Weighting};
use candor::random::Stream;
use candor::targets::Uniform;
use candor_burn::{CrossEntropyLossConfig, LossModule, LossTargets};

/// Random logits `[n, k]` and labels.
fn problem(stream: &mut Stream, n: usize, k: usize) -> (Vec<f32>, Vec<i64>) {
    let logits = (0..n * k).map(|_| (3.0 * stream.normal()) as f32).collect();
    let labels = (0..n).map(|_| stream.below(k as u64) as i64).collect();
    (logits, labels)
}

fn tensor(values: &[f32], shape: [usize; 2], device: &Device) -> Tensor<2> {
    Tensor::from_data(TensorData::new(values.to_vec(), shape), device).require_grad()
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_into_vec::<f32>().unwrap()
}

fn close(what: &str, got: &[f32], want: &[f32]) {
    assert_eq!(got.len(), want.len(), "{what}");
    for (a, b) in got.iter().zip(want) {
        assert!((a - b).abs() <= 1e-6 * b.abs().max(1.0), "{what}: {a} and {b}");
    }
}

#[test]
fn value_and_gradient_are_those_of_the_stock_loss_on_random_shapes() {
    let device = Device::flex().autodiff();
    let mut stream = Stream::new(11, "agreement", 0, 0);
    for round in 0..40 {
        let (n, k) = (1 + stream.below(70) as usize, 2 + stream.below(130) as usize);
        let (logits, labels) = problem(&mut stream, n, k);
        let smoothing = [None, Some(0.1), Some(0.9)][round % 3];
        let weights: Option<Vec<f32>> =
            (round % 4 == 3).then(|| (0..k).map(|_| 0.5 + stream.uniform() as f32).collect());
        let pads = (round % 5 == 4).then(|| vec![labels[0] as usize]);
        if pads.is_some() && labels.iter().all(|label| *label == labels[0]) {
            continue;
        }
        let targets = || Tensor::<1, Int>::from_data(TensorData::new(labels.clone(), [n]), &device);

        let ours = tensor(&logits, [n, k], &device);
        let output = CrossEntropyLossConfig::new()
            .with_smoothing(smoothing)
            .with_weights(weights.clone())
            .with_weighting(Weighting::Pytorch)
            .with_pad_tokens(pads.clone())
            .init()
            .unwrap()
            .forward(ours.clone(), targets())
            .unwrap();
        let stock = tensor(&logits, [n, k], &device);
        let theirs = Stock::new()
            .with_smoothing(smoothing)
            .with_weights(weights)
            .with_pad_tokens(pads)
            .init(&device)
            .forward(stock.clone(), targets());
        let what = format!("{n}x{k} smoothing {smoothing:?}");
        close(&what, &values(output.loss.clone()), &values(theirs.clone()));
        let gradient = ours.grad(&output.loss.backward()).unwrap();
        close(&what, &values(gradient), &values(stock.grad(&theirs.backward()).unwrap()));
    }
}

#[test]
fn the_gradient_passes_through_the_model_and_scales_with_what_follows() {
    let device = Device::flex().autodiff();
    let mut stream = Stream::new(12, "chain", 0, 0);
    let (input, labels) = problem(&mut stream, 6, 4);
    let loss = |factor: f32| {
        let weight = tensor(&[0.5; 16], [4, 4], &device);
        let logits = tensor(&input, [6, 4], &device).matmul(weight.clone());
        let targets = LossTargets::Labels { labels: labels.clone(), ignore_index: None };
        let output = LossModule::new(CrossEntropy)
            .with_rule(Uniform::new(0.1).unwrap())
            .forward(logits, targets)
            .unwrap();
        let total = output.loss * factor;
        values(weight.grad(&total.backward()).unwrap())
    };
    let (one, three) = (loss(1.0), loss(3.0));
    assert!(one.iter().any(|g| g.abs() > 1e-3));
    close("three times", &three, &one.iter().map(|g| g * 3.0).collect::<Vec<_>>());
}

#[test]
fn logits_that_are_needed_elsewhere_survive() {
    let device = Device::flex().autodiff();
    let logits = tensor(&[1.0, 2.0, 3.0, 4.0], [2, 2], &device);
    let scaled = logits.clone() * 2.0;
    let targets = LossTargets::Labels { labels: vec![0, 1], ignore_index: None };
    let output = LossModule::new(CrossEntropy).forward(scaled.clone(), targets).unwrap();
    close("kept", &values(scaled.clone()), &[2.0, 4.0, 6.0, 8.0]);
    // The gradient of loss + sum of the logits is that of the loss plus two.
    let total = output.loss + scaled.sum();
    let gradient = values(logits.grad(&total.backward()).unwrap());
    let p = 1.0 / (1.0 + 2.0_f32.exp());
    close("sum", &gradient, &[2.0 + (p - 1.0), 2.0 + (1.0 - p), 2.0 + p, 2.0 - p]);
}

#[test]
fn without_reduction_each_row_has_its_own_loss_and_upstream() {
    let device = Device::flex().autodiff();
    let mut stream = Stream::new(13, "rows", 0, 0);
    let (logits, labels) = problem(&mut stream, 5, 3);
    let x = tensor(&logits, [5, 3], &device);
    let loss = CrossEntropyLossConfig::new()
        .with_smoothing(Some(0.2))
        .with_reduction(Reduction::None)
        .init()
        .unwrap();
    let targets = Tensor::<1, Int>::from_data(TensorData::new(labels.clone(), [5]), &device);
    let output = loss.forward(x.clone(), targets).unwrap();
    assert_eq!(output.loss.dims(), [5]);
    let factors = [1.0_f32, -2.0, 0.0, 3.0, 0.5];
    let upstream = Tensor::<1>::from_floats(factors, &device);
    let gradient = values(x.grad(&(output.loss * upstream).sum().backward()).unwrap());
    for row in 0..5 {
        let one = tensor(&logits[row * 3..row * 3 + 3], [1, 3], &device);
        let targets = LossTargets::Labels { labels: vec![labels[row]], ignore_index: None };
        let single = LossModule::new(CrossEntropy)
            .with_rule(Uniform::new(0.2).unwrap())
            .forward(one.clone(), targets)
            .unwrap();
        let want: Vec<f32> =
            values(one.grad(&single.loss.backward()).unwrap()).iter().map(|g| g * factors[row]).collect();
        close("row", &gradient[row * 3..row * 3 + 3], &want);
    }
}

#[test]
fn sequences_equal_their_flattened_rows() {
    let device = Device::flex();
    let mut stream = Stream::new(14, "sequences", 0, 0);
    let (logits, labels) = problem(&mut stream, 12, 5);
    let loss = CrossEntropyLossConfig::new()
        .with_smoothing(Some(0.1))
        .with_pad_tokens(Some(vec![0]))
        .init()
        .unwrap();
    let flat = loss
        .forward(
            Tensor::<2>::from_data(TensorData::new(logits.clone(), [12, 5]), &device),
            Tensor::<1, Int>::from_data(TensorData::new(labels.clone(), [12]), &device),
        )
        .unwrap();
    let sequences = loss
        .forward(
            Tensor::<3>::from_data(TensorData::new(logits, [3, 4, 5]), &device),
            Tensor::<2, Int>::from_data(TensorData::new(labels, [3, 4]), &device),
        )
        .unwrap();
    assert_eq!(values(flat.loss), values(sequences.loss));
    // Entropy was not asked for and is NaN in both.
    assert_eq!(format!("{:?}", flat.value), format!("{:?}", sequences.value));
}

#[test]
fn probabilities_double_precision_and_transposed_logits_are_taken() {
    let device = Device::flex().autodiff();
    let mut stream = Stream::new(15, "forms", 0, 0);
    let (logits, labels) = problem(&mut stream, 4, 4);
    let targets = || LossTargets::Labels { labels: labels.clone(), ignore_index: None };
    let module = LossModule::new(CrossEntropy);
    let plain = module.forward(tensor(&logits, [4, 4], &device), targets()).unwrap().value.loss;

    let wide: Vec<f64> = logits.iter().map(|&z| f64::from(z)).collect();
    let double = Tensor::<2>::from_data(TensorData::new(wide, [4, 4]), (&device, burn::tensor::DType::F64));
    assert!((module.forward(double, targets()).unwrap().value.loss - plain).abs() < 1e-6);

    let transposed: Vec<f32> = (0..16).map(|i| logits[(i % 4) * 4 + i / 4]).collect();
    let x = tensor(&transposed, [4, 4], &device);
    let output = module.forward(x.clone().transpose(), targets()).unwrap();
    assert!((output.value.loss - plain).abs() < 1e-12);
    assert!(x.grad(&output.loss.backward()).is_some());

    let probs = burn::tensor::activation::softmax(tensor(&logits, [4, 4], &device), 1);
    let loss = CrossEntropyLossConfig::new().with_logits(false).init().unwrap();
    let labels = Tensor::<1, Int>::from_data(TensorData::new(labels.clone(), [4]), &device);
    assert!((loss.forward(probs, labels).unwrap().value.loss - plain).abs() < 1e-6);
}

#[test]
fn soft_targets_and_every_registered_loss_that_needs_no_data_run() {
    let device = Device::flex().autodiff();
    let mut stream = Stream::new(16, "registry", 0, 0);
    let (logits, labels) = problem(&mut stream, 8, 4);
    let mut run = 0;
    for entry in candor::losses::ALL {
        let loss = candor::losses::by_name(entry.info.name, &Default::default()).unwrap();
        let x = tensor(&logits, [8, 4], &device);
        let targets = LossTargets::Labels { labels: labels.clone(), ignore_index: None };
        let Ok(output) = LossModule::from_shared(loss.into()).forward(x.clone(), targets) else {
            // Distillation needs a teacher.
            assert_eq!(entry.info.name, "distillation");
            continue;
        };
        let gradient = values(x.grad(&output.loss.backward()).unwrap());
        assert!(
            gradient.iter().all(|g| g.is_finite()) && output.value.loss.is_finite(),
            "{}",
            entry.info.name
        );
        run += 1;
    }
    assert_eq!(run, candor::losses::ALL.len() - 1);
    let soft = LossTargets::Distribution(vec![0.25; 32]);
    assert!(
        LossModule::new(CrossEntropy).forward(tensor(&logits, [8, 4], &device), soft).unwrap().value.loss
            > 0.0
    );
}
