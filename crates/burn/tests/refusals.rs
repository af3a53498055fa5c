//! What a loss module does not take is a typed error, never a panic or NaN.

use burn::tensor::{Device, Int, Tensor};
use candor_burn::{CrossEntropyLossConfig, Error};

fn forward(config: CrossEntropyLossConfig, logits: [[f32; 2]; 2], targets: [i64; 2]) -> Error {
    let device = Device::flex();
    let loss = config.init().unwrap();
    loss.forward(Tensor::<2>::from_floats(logits, &device), Tensor::<1, Int>::from_ints(targets, &device))
        .unwrap_err()
}

#[test]
fn each_wrong_input_has_its_error() {
    let plain = CrossEntropyLossConfig::new;
    let good = [[0.0, 1.0], [1.0, 0.0]];
    assert!(matches!(
        forward(plain(), good, [0, 2]),
        Error::Loss(candor::Error::LabelOutOfRange { row: 1, .. })
    ));
    assert!(matches!(
        forward(plain(), [[0.0, f32::NAN], [1.0, 0.0]], [0, 1]),
        Error::Loss(candor::Error::NonFiniteLogit { row: 0, class: 1, .. })
    ));
    let padded = plain().with_pad_tokens(Some(vec![0, 1]));
    assert!(matches!(forward(padded, good, [0, 1]), Error::Loss(candor::Error::Empty { .. })));
    let ignored = plain().with_ignore_index(Some(-100));
    assert!(matches!(forward(ignored, good, [-100, -100]), Error::Loss(candor::Error::Empty { .. })));
    let weights = plain().with_weights(Some(vec![1.0; 3]));
    assert!(matches!(forward(weights, good, [0, 1]), Error::Loss(candor::Error::Shape { .. })));
}

#[test]
fn strengths_outside_their_range_are_refused_when_the_loss_is_made() {
    for bad in [-0.1, 1.1, f32::NAN] {
        assert!(CrossEntropyLossConfig::new().with_smoothing(Some(bad)).init().is_err());
    }
}

#[test]
fn targets_of_another_shape_are_refused() {
    let device = Device::flex();
    let loss = CrossEntropyLossConfig::new().init().unwrap();
    let logits = Tensor::<3>::zeros([2, 3, 4], &device);
    let error = loss.forward(logits, Tensor::<2, Int>::zeros([3, 2], &device)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "logits have shape [2, 3, 4], so the targets need shape [2, 3], but they have [3, 2]"
    );
}
