//! Binary cross-entropy on sigmoid targets against PyTorch's `F.binary_cross_entropy_with_logits`.

use candor::losses::{BinaryCrossEntropy, Loss, LossOptions, LossState, Reduction};
use candor::targets::{BinaryTargets, Positives};
use candor::{Labels, Targets};

use crate::golden::family;
use crate::run::every_way;

#[test]
fn sigmoid_targets_give_the_value_and_gradient_of_pytorch() {
    let cases = family("bce_logits");
    let (mut weighted, mut singles) = (0, 0);
    for case in &cases {
        let labels = case.input("labels").i64();
        let positives = Positives::binary(Labels::new(&labels, 2).expect("0 and 1")).expect("two classes");
        let on_off = [case.number("smooth_pos"), case.number("smooth_neg")].map(|value| vec![value]);
        let [on, off] = on_off;
        let targets = Targets::binary(BinaryTargets::new(positives, on, off).expect("in range"));
        let weights = case.inputs.get("weight").map(|weights| weights.f64());
        let reduction: Reduction = case.word("reduction").parse().expect("a reduction");
        let options = LossOptions {
            reduction,
            sample_weights: weights.as_deref(),
            // PyTorch divides by the number of elements, weighted or not.
            denominator: (reduction == Reduction::Mean).then_some(labels.len() as f64),
            ..Default::default()
        };
        let loss =
            BinaryCrossEntropy::new(case.param("pos_weight").as_f64().unwrap_or(1.0)).expect("in range");
        let logits = case.input("logits");
        let is_single = case.word("dtype") == "f32";
        let outcome = if is_single {
            every_way(&logits.f32(), &targets, options, |batch| {
                loss.value_grad_f32(batch, &mut LossState::default())
            })
        } else {
            every_way(&logits.f64(), &targets, options, |batch| {
                loss.value_grad_f64(batch, &mut LossState::default())
            })
        };
        let mut outcome = outcome.unwrap_or_else(|error| panic!("{}: {error}", case.id));
        if let Some(upstream) = case.inputs.get("upstream") {
            outcome.gradient.iter_mut().zip(upstream.f64()).for_each(|(g, factor)| *g *= factor);
        }
        let values = if reduction == Reduction::None { outcome.losses } else { vec![outcome.value.loss] };
        let check = |what: &str, got: &[f64], want: &[f64]| {
            case.tolerance().check(&format!("{}: {what}", case.id), got, want);
        };
        check("targets", &targets.dense_matrix(), &case.input("target").f64());
        check("loss", &values, &case.output("loss").f64());
        check("gradient", &outcome.gradient, &case.output("grad").f64());
        weighted += usize::from(weights.is_some());
        singles += usize::from(is_single);
    }
    assert_eq!((cases.len(), weighted, singles), (120, 60, 60));
}
