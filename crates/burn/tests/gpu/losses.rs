//! Every registered loss, and the refusals.

use burn::tensor::{Device, Int, Tensor};
use candor::losses::{ALL, Reduction, Weighting, by_name};
use candor::random::Stream;
use candor::targets::{OffClass, Uniform};
use candor_burn::{CrossEntropyLossConfig, Error, LossModule, LossTargets, Result};

use super::{adapter, close, leaf, values};

/// Loss, gradient and figures of one batch on a device.
type Outcome = Result<(Vec<f32>, Vec<f32>, [f64; 4])>;

fn outcome(module: &LossModule, device: &Device, logits: &[f32], k: usize, targets: LossTargets) -> Outcome {
    let leaf = leaf(logits, [logits.len() / k, k], device);
    let output = module.forward(leaf.clone(), targets)?;
    let value = output.value;
    // A factor, so that the upstream gradient is not 1.
    let gradient = leaf.grad(&(output.loss.clone() * 0.5).sum().backward()).unwrap();
    let figures = [value.loss, value.nll, value.accuracy, value.confidence];
    Ok((values(output.loss), values(gradient), figures))
}

#[test]
fn every_registered_loss_is_that_of_the_cpu() {
    let Some(adapter) = adapter() else { return };
    let cpu = Device::flex().autodiff();
    let mut stream = Stream::new(61, "gpu", 0, 0);
    let mut compared = 0;
    for entry in ALL {
        for (n, k) in [(1, 2), (5, 3), (8, 12), (33, 40)] {
            let logits: Vec<f32> = (0..n * k).map(|_| (2.0 * stream.normal()) as f32).collect();
            let teacher: Vec<f32> = (0..n * k).map(|_| stream.normal() as f32).collect();
            let labels: Vec<i64> = (0..n).map(|_| stream.below(k as u64) as i64).collect();
            for reduction in [Reduction::Mean, Reduction::None] {
                let [got, want] = [&adapter, &cpu].map(|device| {
                    let loss = by_name(entry.info.name, &Default::default()).unwrap();
                    let module = LossModule::from_shared(loss.into())
                        .with_reduction(reduction)
                        .with_teacher(teacher.clone());
                    let targets = LossTargets::Labels { labels: labels.clone(), ignore_index: None };
                    outcome(&module, device, &logits, k, targets)
                });
                let what = format!("{} {n}x{k} {reduction:?}", entry.info.name);
                match (got, want) {
                    (Ok(got), Ok(want)) => {
                        close(&what, &got.0, &want.0);
                        close(&what, &got.1, &want.1);
                        for (a, b) in got.2.iter().zip(want.2) {
                            assert!(
                                (a - b).abs() <= 1e-5 * b.abs() || a.is_nan() && b.is_nan(),
                                "{what}: {a} {b}"
                            );
                        }
                        compared += 1;
                    }
                    (Err(got), Err(want)) => assert_eq!(got, want, "{what}"),
                    (got, want) => panic!("{what}: {got:?} and {want:?}"),
                }
            }
        }
    }
    assert!(compared > 4 * ALL.len(), "only {compared} comparisons");
}

#[test]
fn options_beyond_the_kernel_go_through_host_memory() {
    let Some(adapter) = adapter() else { return };
    let cpu = Device::flex().autodiff();
    let mut stream = Stream::new(62, "gpu", 0, 0);
    let (n, k) = (6, 4);
    let logits: Vec<f32> = (0..n * k).map(|_| stream.normal() as f32).collect();
    let huge: Vec<f32> = logits.iter().map(|z| z * 1e38).collect();
    let labels = || LossTargets::Labels { labels: vec![0, 3, -1, 2, 1, 0], ignore_index: Some(-1) };
    let weights = Some(vec![0.5, 2.0, 1.0, 0.0]);
    let plain = || LossModule::from_shared(by_name("cross_entropy", &Default::default()).unwrap().into());
    let modules = [
        ("pytorch's weights", plain().with_class_weights(weights.clone(), Weighting::Pytorch)),
        ("weights of labels", plain().with_class_weights(weights, Weighting::Label)),
        ("off-class smoothing", plain().with_rule(OffClass::new(0.2, k).unwrap())),
        ("even smoothing", plain().with_rule(Uniform::new(0.2).unwrap())),
    ];
    for (what, module) in modules {
        for (size, logits) in [("", &logits), (", 1e38", &huge)] {
            let [got, want] = [&adapter, &cpu].map(|d| outcome(&module, d, logits, k, labels()).unwrap());
            close(&format!("{what}{size}"), &got.0, &want.0);
            close(&format!("gradient of {what}{size}"), &got.1, &want.1);
        }
    }
    // A distribution, and the same rows as labels.
    let one_hot: Vec<f32> =
        [0, 3, 1, 2, 1, 0].iter().flat_map(|&l| (0..k).map(move |c| f32::from(c == l))).collect();
    let dense = outcome(&plain(), &adapter, &logits, k, LossTargets::Distribution(one_hot)).unwrap();
    let labels = LossTargets::Labels { labels: vec![0, 3, 1, 2, 1, 0], ignore_index: None };
    let by_label = outcome(&plain(), &adapter, &logits, k, labels).unwrap();
    close("a distribution", &dense.0, &by_label.0);
    close("the gradient of a distribution", &dense.1, &by_label.1);
}

#[test]
fn refusals_are_those_of_the_cpu() {
    let Some(adapter) = adapter() else { return };
    let cpu = Device::flex().autodiff();
    let module = LossModule::from_shared(by_name("cross_entropy", &Default::default()).unwrap().into());
    let masked = [0.0, f32::NEG_INFINITY, 1.0, 2.0];
    let cases: [(&str, &[f32], Vec<i64>); 6] = [
        ("NaN", &[0.0, f32::NAN, 1.0, 2.0], vec![0, 1]),
        ("infinite", &[0.0, 1.0, f32::INFINITY, 2.0], vec![0, 1]),
        ("all masked", &[f32::NEG_INFINITY, f32::NEG_INFINITY, 0.0, 1.0], vec![0, 1]),
        ("masked label", &masked, vec![1, 1]),
        ("label out of range", &[0.0; 4], vec![0, 2]),
        ("too few labels", &[0.0; 4], vec![0]),
    ];
    for (what, logits, labels) in cases {
        let [got, want] = [&adapter, &cpu].map(|device| {
            let targets = LossTargets::Labels { labels: labels.clone(), ignore_index: None };
            module.forward(leaf(logits, [2, 2], device), targets).map(|_| ()).unwrap_err()
        });
        assert!(matches!(want, Error::Loss(_)), "{what}: {want}");
        assert_eq!(got.to_string(), want.to_string(), "{what}");
    }
}

#[test]
fn burns_configuration_works_on_an_adapter() {
    let Some(adapter) = adapter() else { return };
    let loss = CrossEntropyLossConfig::new().with_smoothing(Some(0.1)).init().unwrap();
    let logits = leaf(&[2.0, -1.0, 0.5, 0.1], [1, 4], &adapter);
    let output = loss.forward(logits.clone(), Tensor::<1, Int>::from_ints([0], &adapter)).unwrap();
    // By hand: see the README.
    assert!((output.value.nll - 0.352_406).abs() < 1e-6 && (output.value.loss - 0.512_406).abs() < 1e-6);
    let gradient = values(logits.grad(&output.loss.backward()).unwrap());
    assert!((gradient[0] + 0.222_005).abs() < 1e-6, "{gradient:?}");
}
