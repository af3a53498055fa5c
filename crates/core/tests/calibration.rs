//! Calibration errors of torchmetrics, with its bins, and temperatures that LBFGS found in PyTorch.

use candor::calibrators::{Outcome, Temperature};
use candor::metrics::{BinEdges, CalibrationError, CalibrationErrors, EdgeRule, ReliabilityTable};
use candor::{Labels, Logits};

use crate::golden::{Data, family};

#[test]
fn every_calibration_error_of_torchmetrics_comes_out_with_its_bins() {
    let mut run = 0;
    for case in family("cal_torchmetrics") {
        let n_bins = case.number("n_bins") as usize;
        let kind = match case.word("norm") {
            "l1" => CalibrationError::Expected,
            "l2" => CalibrationError::RootMeanSquare,
            "max" => CalibrationError::Maximum,
            other => panic!("unknown norm {other}"),
        };
        let probs = case.input("probs");
        let values = probs.f64();
        let labels = case.input("labels").i64();
        let multiclass = probs.shape.len() == 2;
        let double = matches!(probs.data, Data::F64(_)) && !multiclass;
        let rule = if double { EdgeRule::TorchmetricsDouble } else { EdgeRule::Torchmetrics };
        let mut table = ReliabilityTable::new(BinEdges::equal_width(n_bins, rule).unwrap());
        if multiclass {
            for (row, label) in values.chunks_exact(probs.shape[1]).zip(&labels) {
                let mut best = 0;
                for (class, p) in row.iter().enumerate() {
                    if *p > row[best] {
                        best = class;
                    }
                }
                // torchmetrics keeps the confidences in single precision.
                table.update(f64::from(row[best] as f32), best as i64 == *label);
            }
        } else {
            values.iter().zip(&labels).for_each(|(p, label)| table.update(*p, *label == 1));
        }
        let got = CalibrationErrors::value(&table, kind).unwrap();
        case.tolerance().check(&case.id, &[got], &case.output("value").f64());
        run += 1;
    }
    assert_eq!(run, 120);
}

#[test]
fn temperatures_are_those_that_lbfgs_finds() {
    let mut run = 0;
    for case in family("temperature") {
        let logits = case.input("logits");
        let n_classes = logits.shape[1];
        let labels = case.input("labels").i64();
        let values = logits.f64();
        let fit = Temperature::fit(
            Logits::new(&values, n_classes).unwrap(),
            Labels::new(&labels, n_classes).unwrap(),
        )
        .unwrap();
        assert_eq!(fit.outcome, Outcome::Converged, "{}", case.id);
        let tolerance = case.tolerance();
        tolerance.check(&case.id, &[fit.map.temperature], &case.output("temperature").f64());
        tolerance.check(&case.id, &[fit.nll_before], &case.output("nll_before").f64());
        tolerance.check(&case.id, &[fit.nll_after], &case.output("nll_after").f64());
        run += 1;
    }
    assert_eq!(run, 12);
}
