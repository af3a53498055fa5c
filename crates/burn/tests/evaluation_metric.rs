//! The metric over tensors against the core on the same rows.

use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use candor::metrics::{EvaluationOptions, Evaluator, InputKind};
use candor::{Labels, Logits};
use candor_burn::{Error, EvaluationMetric};

const CLASSES: usize = 5;

fn rows(n: usize) -> (Vec<f64>, Vec<i64>) {
    let logits = (0..n * CLASSES).map(|i| ((i * 37 % 101) as f64 * 0.071).sin() * 4.0).collect();
    (logits, (0..n).map(|i| if i % 11 == 0 { -100 } else { (i * 7 % CLASSES) as i64 }).collect())
}

#[test]
fn batches_give_the_figures_of_the_core_to_the_last_bit() {
    let (logits, labels) = rows(300);
    let device = Device::flex();
    for dtype in [DType::F32, DType::F64] {
        let kind = InputKind::Classes { n_classes: CLASSES };
        let mut core = Evaluator::with_kind(kind, EvaluationOptions::default()).unwrap();
        let targets = Labels::with_ignore(&labels, CLASSES, Some(-100)).unwrap();
        let narrow: Vec<f32> = logits.iter().map(|z| *z as f32).collect();
        match dtype {
            DType::F64 => core.update_logits(Logits::new(&logits, CLASSES).unwrap(), targets, None),
            _ => core.update_logits(Logits::new(&narrow, CLASSES).unwrap(), targets, None),
        }
        .unwrap();
        let want = core.compute().unwrap();
        for batch in [1, 64, 300] {
            let options = EvaluationOptions::default();
            let mut metric = EvaluationMetric::new(options).unwrap().with_ignore_index(Some(-100));
            for (z, y) in logits.chunks(batch * CLASSES).zip(labels.chunks(batch)) {
                let data = TensorData::new(z.to_vec(), [y.len(), CLASSES]);
                let targets = Tensor::<1, Int>::from_ints(y, &device);
                metric.update(Tensor::<2>::from_data(data, (&device, dtype)), targets).unwrap();
            }
            assert_eq!(metric.compute().unwrap(), want, "{dtype:?} in batches of {batch}");
        }
    }
}

#[test]
fn a_refused_batch_leaves_nothing_behind() {
    let device = Device::flex();
    let mut metric = EvaluationMetric::new(Default::default()).unwrap();
    let logits = Tensor::<2>::from_floats([[0.0, 1.0], [f32::NAN, 0.0]], &device);
    let update = |metric: &mut EvaluationMetric, logits: Tensor<2>, targets: &[i64]| {
        metric.update(logits, Tensor::<1, Int>::from_ints(targets, &Device::flex()))
    };
    assert!(matches!(
        update(&mut metric, logits.clone(), &[0, 0]),
        Err(Error::Loss(candor::Error::NonFiniteLogit { row: 1, class: 0, .. }))
    ));
    let fine = Tensor::<2>::from_floats([[0.0, 1.0], [1.0, 0.0]], &device);
    assert!(matches!(update(&mut metric, fine.clone(), &[0]), Err(Error::Loss(candor::Error::Shape { .. }))));
    assert!(matches!(
        update(&mut metric, fine.clone(), &[0, 2]),
        Err(Error::Loss(candor::Error::LabelOutOfRange { row: 1, .. }))
    ));
    assert_eq!(metric.count(), 0);
    assert!(matches!(metric.compute(), Err(Error::Loss(candor::Error::Empty { .. }))));
    update(&mut metric, fine, &[0, 0]).unwrap();
    assert_eq!(metric.count(), 2);
    metric.reset();
    assert_eq!(metric.count(), 0);
}
