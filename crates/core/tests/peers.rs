//! Metrics of other tools, by their own bin rules: scikit-learn, netcal, uncertainty-calibration, relplot,
//! torch-uncertainty and fairlearn.

use candor::metrics::{
    BinEdges, CalibrationError, CalibrationErrors, EdgeRule, EvaluationOptions, Evaluator, FairnessEvaluator,
    FairnessMethod, FairnessRow, InputKind, MassRule, MetricSet, RankedRows, ReliabilityTable,
    equal_mass_table_by, marginal_error, smooth_ece, smooth_ece_at,
};
use candor::{Labels, Probs};

use crate::golden::{Case, Data, family};

/// Probability with event: of the top class with its correctness, or of class 1 with the label.
fn events(case: &Case) -> Vec<(f64, bool)> {
    let probs = case.input("probs");
    let labels = case.input("labels").i64();
    let values = probs.f64();
    let &[_, k] = probs.shape.as_slice() else {
        return values.into_iter().zip(labels.into_iter().map(|label| label == 1)).collect();
    };
    values
        .chunks_exact(k)
        .zip(labels)
        .map(|(row, label)| {
            let top = (1..k).fold(0, |best, class| if row[class] > row[best] { class } else { best });
            (row[top], top as i64 == label)
        })
        .collect()
}

fn ranked(rows: &[(f64, bool)]) -> RankedRows {
    let mut ranked = RankedRows::default();
    rows.iter().for_each(|(p, a)| ranked.update(*p, *a));
    ranked
}

fn width_table(rows: &[(f64, bool)], n_bins: usize, rule: EdgeRule) -> ReliabilityTable {
    let mut table = ReliabilityTable::new(BinEdges::equal_width(n_bins, rule).unwrap());
    rows.iter().for_each(|(p, a)| table.update(*p, *a));
    table
}

/// Each class's probability with whether the class is the label; binary rows are one class.
fn classes(case: &Case) -> Vec<Vec<(f64, bool)>> {
    let probs = case.input("probs");
    let &[_, k] = probs.shape.as_slice() else { return vec![events(case)] };
    let (values, labels) = (probs.f64(), case.input("labels").i64());
    let column = |class: usize| {
        let rows = values.chunks_exact(k).zip(&labels);
        rows.map(|(row, label)| (row[class], *label == class as i64)).collect()
    };
    (0..k).map(column).collect()
}

/// The evaluation of a case's rows, with its weights.
fn evaluate(case: &Case, name: &str) -> f64 {
    let probs = case.input("probs");
    let labels = case.input("labels").i64();
    let weights = case.inputs.get("sample_weight").map(|weights| weights.f64());
    let kind = match probs.shape.as_slice() {
        &[_, n_classes] => InputKind::Classes { n_classes },
        _ => InputKind::Binary,
    };
    let options = EvaluationOptions { metrics: MetricSet::of([name]).unwrap(), ..Default::default() };
    let mut evaluator = Evaluator::with_kind(kind, options).unwrap();
    let n_classes = kind.n_classes().unwrap();
    let labels = Labels::new(&labels, n_classes).unwrap();
    let mut values = probs.f64();
    if case.record["peer"] == "sklearn.metrics.log_loss" {
        // It clips to the data type's epsilon, where ours is infinite.
        let epsilon = match probs.data {
            Data::F32(_) => f64::from(f32::EPSILON),
            _ => f64::EPSILON,
        };
        values.iter_mut().for_each(|p| *p = p.clamp(epsilon, 1.0 - epsilon));
    }
    if kind == InputKind::Binary {
        evaluator.update_binary(&values, labels, weights.as_deref()).unwrap();
    } else {
        let probs = Probs::new(&values, n_classes).unwrap();
        evaluator.update_probs(probs, labels, weights.as_deref()).unwrap();
    }
    evaluator.compute().unwrap().value(name)
}

#[test]
fn scores_and_curves_of_scikit_learn() {
    let mut run = 0;
    for case in family("cal_sklearn") {
        let peer = case.record["peer"].as_str().unwrap_or_default().to_owned();
        let check = |got: f64| case.tolerance().check(&case.id, &[got], &case.output("value").f64());
        match peer.as_str() {
            "sklearn.metrics.brier_score_loss" => check(evaluate(&case, "top_label_brier")),
            "sklearn.metrics.brier_score_loss (multiclass)" => check(evaluate(&case, "brier")),
            "sklearn.metrics.log_loss" => check(evaluate(&case, "nll")),
            "sklearn.calibration.calibration_curve" => {
                let rows = events(&case);
                let n_bins = case.number("n_bins") as usize;
                let table = match case.word("strategy") {
                    "uniform" => width_table(&rows, n_bins, EdgeRule::RightClosed),
                    _ => equal_mass_table_by(&ranked(&rows), n_bins, MassRule::QuantileRightClosed).unwrap(),
                };
                let shares: Vec<f64> = table.occupied().map(|bin| bin.accuracy()).collect();
                let means: Vec<f64> = table.occupied().map(|bin| bin.mean_confidence()).collect();
                case.tolerance().check(&case.id, &shares, &case.output("prob_true").f64());
                case.tolerance().check(&case.id, &means, &case.output("prob_pred").f64());
            }
            // Maps (Platt, isotonic, temperature) belong to the calibrators.
            _ => continue,
        }
        run += 1;
    }
    assert_eq!(run, 36);
}

#[test]
fn calibration_errors_of_netcal_uncertainty_calibration_relplot_and_torch_uncertainty() {
    let mut run = 0;
    for case in family("cal_other") {
        let peer = case.record["peer"].as_str().unwrap_or_default().to_owned();
        let rows = events(&case);
        let bins = |name: &str| case.number(name) as usize;
        let tolerance = case.tolerance();
        let check = |got: f64| tolerance.check(&case.id, &[got], &case.output("value").f64());
        match peer.as_str() {
            _ if peer.starts_with("netcal.metrics.") => {
                let kind = match &peer["netcal.metrics.".len()..][..3] {
                    "ECE" => CalibrationError::Expected,
                    "MCE" => CalibrationError::Maximum,
                    _ => CalibrationError::Average,
                };
                let table = if peer.contains("equal_intervals=False") {
                    equal_mass_table_by(&ranked(&rows), bins("n_bins"), MassRule::QuantileLeftClosed).unwrap()
                } else {
                    width_table(&rows, bins("n_bins"), EdgeRule::LeftClosed)
                };
                check(CalibrationErrors::value(&table, kind).unwrap());
            }
            _ if peer.starts_with("calibration.") => {
                let n_bins = case.integer("num_bins").unwrap_or(15) as usize;
                let equal_width = case.param("binning_scheme") == "get_equal_prob_bins";
                let columns = if case.param("mode") == "marginal" { classes(&case) } else { vec![rows] };
                let tables: Vec<ReliabilityTable> = columns
                    .iter()
                    .map(|rows| match equal_width {
                        true => width_table(rows, n_bins, EdgeRule::RightClosed),
                        false => equal_mass_table_by(&ranked(rows), n_bins, MassRule::Split).unwrap(),
                    })
                    .collect();
                let debias = case.param("debias").as_bool().unwrap();
                check(marginal_error(&tables, case.number("p") as u32, debias).unwrap());
            }
            "relplot.smECE" => {
                let (value, sigma) = smooth_ece(&rows);
                check(value);
                tolerance.check(&case.id, &[sigma], &case.output("sigma").f64());
            }
            "relplot.metrics.smECE_sigma" => check(smooth_ece_at(&rows, case.number("sigma"))),
            "relplot.metrics.binnedECE" => {
                let table = width_table(&rows, bins("nbins"), EdgeRule::LeftClosed);
                check(CalibrationErrors::value(&table, CalibrationError::Expected).unwrap());
            }
            "torch_uncertainty AdaptiveCalibrationError" => {
                let kind = match case.word("norm") {
                    "l1" => CalibrationError::Expected,
                    "l2" => CalibrationError::RootMeanSquare,
                    _ => CalibrationError::Maximum,
                };
                let table = equal_mass_table_by(&ranked(&rows), bins("n_bins"), MassRule::Split).unwrap();
                let value = CalibrationErrors::value(&table, kind).unwrap();
                check(value);
            }
            "torch_uncertainty BrierScore" => check(evaluate(&case, "brier")),
            "torch_uncertainty CategoricalNLL" => check(evaluate(&case, "nll")),
            // Trapezoids from coverage 1/n to 1, over 1 - 1/n: half of the first and of the last risk less.
            "torch_uncertainty AURC" => {
                let n = rows.len() as f64;
                let top = rows.iter().copied().reduce(|a, b| if b.0 > a.0 { b } else { a }).unwrap();
                let ends = f64::from(u8::from(!top.1)) + 1.0 - evaluate(&case, "accuracy");
                check((n * evaluate(&case, "aurc") - 0.5 * ends) / (n - 1.0));
            }
            // A map: it belongs to the calibrators.
            "netcal.scaling.TemperatureScaling" => continue,
            other => panic!("{}: unknown peer {other}", case.id),
        }
        run += 1;
    }
    assert_eq!(run, 96);
}

#[test]
fn disparities_and_rates_of_fairlearn() {
    let mut run = 0;
    for case in family("fairness") {
        let (decisions, labels) = (case.input("y_pred").i64(), case.input("y_true").i64());
        let groups = case.input("group").i64();
        let scores = case.input("scores").f64();
        let weights = case.inputs.get("sample_weight").map(|weights| weights.f64());
        let mut state = FairnessEvaluator::new(Default::default()).unwrap();
        for i in 0..decisions.len() {
            let row = FairnessRow {
                decision: decisions[i] == 1,
                label: Some(labels[i] == 1),
                score: Some(scores[i]),
                weight: weights.as_ref().map_or(1.0, |weights| weights[i]),
            };
            state.update(&format!("{:03}", groups[i]), row).unwrap();
        }
        let method = match case.word("method") {
            "between_groups" => FairnessMethod::BetweenGroups,
            _ => FairnessMethod::ToOverall,
        };
        assert_eq!(case.word("agg"), "worst_case");
        let fairness = state.compute(method).unwrap();
        for name in [
            "demographic_parity_difference",
            "demographic_parity_ratio",
            "equalized_odds_difference",
            "equalized_odds_ratio",
        ] {
            let what = format!("{} {name}", case.id);
            case.tolerance().check(&what, &[fairness.metrics[name]], &case.output(name).f64());
        }
        let groups = || fairness.groups.values();
        let selection: Vec<f64> = groups().map(|group| group.selection_rate.value).collect();
        let tpr: Vec<f64> = groups().map(|group| group.true_positive_rate.unwrap().value).collect();
        let fpr: Vec<f64> = groups().map(|group| group.false_positive_rate.unwrap().value).collect();
        for (role, got) in [("selection_rate", selection), ("tpr", tpr), ("fpr", fpr)] {
            case.tolerance().check(&case.id, &got, &case.output(role).f64());
        }
        run += 1;
    }
    assert_eq!(run, 24);
}

/// Rows by group: labelled 0 and decided 0, labelled 0 and decided 1, labelled 1 and decided 0, and 1 and 1.
fn counted(groups: &[(&str, [u32; 4])]) -> FairnessEvaluator {
    let mut state = FairnessEvaluator::new(Default::default()).unwrap();
    for (group, counts) in groups {
        for (cell, count) in counts.iter().enumerate() {
            let row =
                FairnessRow { decision: cell % 2 == 1, label: Some(cell >= 2), score: None, weight: 1.0 };
            (0..*count).for_each(|_| state.update(group, row).unwrap());
        }
    }
    state
}

/// ProPublica's analysis of COMPAS (Larson et al. 2016): score 5 or more, recidivism within two years. Counts of
/// compas-scores-two-years.csv; disparities by fairlearn 0.15.0.
#[test]
fn the_published_error_rates_of_compas() {
    let state = counted(&[("African-American", [990, 805, 532, 1369]), ("Caucasian", [1139, 349, 461, 505])]);
    let fairness = state.compute(FairnessMethod::BetweenGroups).unwrap();
    for (group, fpr, fnr) in [("African-American", 0.4485, 0.2799), ("Caucasian", 0.2345, 0.4772)] {
        let figures = &fairness.groups[group];
        assert!((figures.false_positive_rate.unwrap().value - fpr).abs() < 5e-5);
        assert!((figures.false_negative_rate.unwrap().value - fnr).abs() < 5e-5);
    }
    for (name, want) in [
        ("demographic_parity_difference", 0.240_200_203_219_763_1),
        ("demographic_parity_ratio", 0.591_637_556_991_607_9),
        ("equalized_odds_difference", 0.213_924_955_821_127_97),
        ("equalized_odds_ratio", 0.522_987_210_311_894_8),
    ] {
        assert!((fairness.metrics[name] - want).abs() < 1e-12, "{name}: {}", fairness.metrics[name]);
    }
}

/// Adult (Becker & Kohavi 1996), test rows: income above 50K, decided by a bachelor's degree or more. Counts of
/// adult.test; disparities by fairlearn 0.15.0.
#[test]
fn group_figures_of_adult() {
    let by_sex: &[(&str, [u32; 4])] =
        &[("Female", [3925, 906, 262, 328]), ("Male", [6378, 1226, 1673, 1583])];
    let by_race: &[(&str, [u32; 4])] = &[
        ("Amer-Indian-Eskimo", [127, 13, 16, 3]),
        ("Asian-Pac-Islander", [229, 118, 45, 88]),
        ("Black", [1216, 166, 103, 76]),
        ("Other", [98, 12, 12, 13]),
        ("White", [8633, 1823, 1759, 1731]),
    ];
    for (groups, wanted) in [
        (
            by_sex,
            [
                0.031_022_338_949_919_57,
                0.880_063_153_792_763_8,
                0.069_752_842_210_469_35,
                0.859_720_340_055_716,
            ],
        ),
        (
            by_race,
            [
                0.328_537_735_849_056_54,
                0.234_475_178_604_139_97,
                0.503_759_398_496_240_5,
                0.238_636_363_636_363_65,
            ],
        ),
    ] {
        let fairness = counted(groups).compute(FairnessMethod::BetweenGroups).unwrap();
        let names = [
            "demographic_parity_difference",
            "demographic_parity_ratio",
            "equalized_odds_difference",
            "equalized_odds_ratio",
        ];
        for (name, want) in names.iter().zip(wanted) {
            assert!((fairness.metrics[*name] - want).abs() < 1e-12, "{name}: {}", fairness.metrics[*name]);
        }
    }
}
