//! What every registered calibration map promises, on ordinary and on hostile rows.

use candor::calibrators::{self, ALL, Fitting, Map, Output, Sample, SavedMap, WarningCode};
use candor::parameters::{ParameterValue, Parameters};
use candor::random::Stream;
use candor::{Labels, Logits};
use proptest::prelude::*;

/// Rows to fit on, with a group each.
#[derive(Debug, Clone)]
struct Rows {
    n_classes: usize,
    logits: Vec<f64>,
    labels: Vec<i64>,
    groups: Vec<String>,
}

impl Rows {
    fn sample(&self) -> Sample {
        let labels = Labels::new(&self.labels, self.n_classes).expect("labels in range");
        Sample::from_logits(self.logits(), labels)
            .expect("a sample")
            .with_groups(&self.groups)
            .expect("groups")
    }

    fn logits(&self) -> Logits<'_, f64> {
        Logits::new(&self.logits, self.n_classes).expect("rows")
    }
}

/// Logits of any scale, with ties, masked classes and labels that follow them more or less.
fn rows(seed: u64, n: usize, k: usize, scale: f64, masked: bool, ties: bool, bond: f64) -> Rows {
    let mut stream = Stream::new(seed, "rows", 0, 0);
    let (mut logits, mut labels) = (Vec::new(), Vec::new());
    for _ in 0..n {
        let mut row: Vec<f64> = (0..k).map(|_| stream.normal()).collect();
        if ties {
            row.iter_mut().for_each(|z| *z = z.round());
        }
        let best = (0..k).max_by(|&a, &b| row[a].total_cmp(&row[b])).expect("a class");
        let worst = (0..k).min_by(|&a, &b| row[a].total_cmp(&row[b])).expect("a class");
        let label = match stream.uniform() {
            u if u < bond.abs() => {
                if bond > 0.0 {
                    best
                } else {
                    worst
                }
            }
            _ => stream.below(k as u64) as usize,
        };
        for (class, z) in row.iter_mut().enumerate() {
            *z *= scale;
            if masked && class != label && stream.bernoulli(0.3) {
                *z = f64::NEG_INFINITY;
            }
        }
        labels.push(label as i64);
        logits.extend(row);
    }
    let groups = (0..n).map(|row| ["a", "b", "c"][row % 3].to_owned()).collect();
    Rows { n_classes: k, logits, labels, groups }
}

/// Fitted maps that include the identity, or start from it, so that their NLL cannot be above its.
const NEVER_WORSE: &[&str] = &[
    "temperature",
    "vector",
    "matrix",
    "dirichlet",
    "ensemble_temperature",
    "group_temperature",
    "identity",
    "logit_normalisation",
];

/// Checks all promises of all maps on these rows.
fn check(rows: &Rows) {
    let sample = rows.sample();
    let k = rows.n_classes;
    for entry in ALL {
        let name = entry.info.name;
        let fit = (entry.fit)(&sample, &Parameters::defaults(entry.info.parameters))
            .unwrap_or_else(|e| panic!("{name}: {e}"));
        let report = &fit.report;
        assert!(report.nll_after.is_finite() && report.gradient_norm.is_finite(), "{name}: {report:?}");
        if NEVER_WORSE.contains(&name) {
            let limit = report.nll_before * (1.0 + 1e-9) + 1e-9;
            assert!(report.nll_after <= limit, "{name}: {report:?}");
        }
        // What a file holds is the same map.
        let saved = SavedMap::new(&fit, k);
        saved.check().unwrap_or_else(|e| panic!("{name}: {e}"));
        let text = serde_json::to_string(&saved).expect("JSON");
        let read: SavedMap = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{name}: {e}: {text}"));
        assert_eq!(read, saved, "{name}");
        assert_eq!(serde_json::to_string(&read).expect("JSON"), text, "{name}");
        let probs = read.map.probs(rows.logits(), Some(&rows.groups)).expect("probabilities");
        let calibrated = fit.map.logits(rows.logits(), Some(&rows.groups)).expect("logits");
        let trust = fit.map.confidence(rows.logits(), Some(&rows.groups)).expect("scores");
        assert!(trust.iter().all(|score| score.is_finite()), "{name}: {trust:?}");
        for ((row, p), z) in
            rows.logits.chunks_exact(k).zip(probs.chunks_exact(k)).zip(calibrated.chunks_exact(k))
        {
            let sum: f64 = p.iter().sum();
            assert!((sum - 1.0).abs() < 1e-12 && p.iter().all(|p| *p >= 0.0), "{name}: {row:?} gives {p:?}");
            for (class, before) in row.iter().enumerate() {
                assert!(!z[class].is_nan() && z[class] != f64::INFINITY, "{name}: {row:?} gives {z:?}");
                if *before == f64::NEG_INFINITY {
                    assert_eq!(p[class], 0.0, "{name}: a masked class of {row:?} has mass: {p:?}");
                }
            }
            if entry.info.preserves_accuracy {
                // The first of the largest; 0 and -0 are equal.
                let top = |row: &[f64]| {
                    (1..k).fold(0, |top, class| if row[class] > row[top] { class } else { top })
                };
                // Rounding may tie two classes, but none may overtake the predicted one.
                assert!(p[top(row)] >= p[top(p)], "{name}: {row:?} gives {p:?}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_map_keeps_its_promises(
        seed in any::<u64>(),
        n in 1_usize..60,
        k in 2_usize..6,
        scale in prop::sample::select(vec![0.0, 1e-3, 1.0, 5.0, 100.0, 1e4, 1e30]),
        masked in any::<bool>(),
        ties in any::<bool>(),
        bond in prop::sample::select(vec![-1.0, 0.0, 0.7, 1.0]),
    ) {
        check(&rows(seed, n, k, scale, masked, ties, bond));
    }
}

#[test]
fn one_class_alone_and_fewer_rows_than_classes() {
    let mut one = rows(1, 30, 3, 1.0, false, false, 0.5);
    one.labels.fill(2);
    check(&one);
    check(&rows(2, 2, 12, 3.0, false, false, 0.5));
    check(&rows(3, 1, 2, 1.0, false, false, 1.0));
    let mut alone = rows(4, 8, 3, 1.0, false, false, 1.0);
    for (row, label) in alone.logits.chunks_exact_mut(3).zip(&alone.labels) {
        for (class, z) in row.iter_mut().enumerate() {
            if class as i64 != *label {
                *z = f64::NEG_INFINITY;
            }
        }
    }
    check(&alone);
}

fn temperature(rows: &Rows) -> (f64, Vec<WarningCode>) {
    let fit = calibrators::fit("temperature", &Default::default(), &rows.sample()).expect("a fit");
    let Map::Temperature(found) = fit.map else { panic!("another map") };
    (found.temperature, fit.report.warnings.iter().map(|warning| warning.code).collect())
}

#[test]
fn the_temperature_follows_any_scale_and_stays_positive() {
    let base = rows(5, 6000, 10, 1.0, false, false, 0.6);
    let (unit, warnings) = temperature(&base);
    assert!(warnings.is_empty());
    for scale in [1e-3, 1e-2, 0.3, 7.0, 1e3, 1e4] {
        let scaled = Rows { logits: base.logits.iter().map(|z| z * scale).collect(), ..base.clone() };
        let (found, warnings) = temperature(&scaled);
        assert!((found / (unit * scale) - 1.0).abs() < 1e-9 && warnings.is_empty(), "{scale}: {found}");
    }
    for scale in [1e-3, 1.0, 1e4] {
        let (found, warnings) = temperature(&rows(6, 5000, 10, scale, false, false, 1.0));
        assert!(found > 0.0 && found < scale, "{found}");
        assert_eq!(warnings, [WarningCode::Separable]);
        let (found, warnings) = temperature(&rows(7, 5000, 10, scale, false, false, -1.0));
        assert!(found > 100.0 * scale && found.is_finite(), "{found}");
        assert_eq!(warnings, [WarningCode::AntiCorrelated]);
    }
}

#[test]
fn fits_do_not_depend_on_threads_or_on_the_order_of_methods() {
    let rows = rows(8, 3000, 4, 2.0, true, false, 0.6);
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
        pool.install(|| {
            let sample = rows.sample();
            ALL.iter()
                .map(|entry| {
                    (entry.fit)(&sample, &Parameters::defaults(entry.info.parameters)).expect("a fit")
                })
                .map(|fit| serde_json::to_string(&SavedMap::new(&fit, 4)).expect("JSON"))
                .collect::<Vec<String>>()
        })
    };
    assert_eq!(on(1), on(3));
}

#[test]
fn isotonic_curves_and_beta_curves_of_two_classes_hold_the_identity() {
    for seed in 0..5 {
        let sample = rows(seed, 200, 2, 1.5, false, false, 0.5).sample();
        let floor = [("floor".to_owned(), ParameterValue::Number(0.0))].into();
        let isotonic = calibrators::fit("isotonic", &floor, &sample).expect("a fit").report;
        let beta = calibrators::fit("beta", &Default::default(), &sample).expect("a fit").report;
        for report in [isotonic, beta] {
            assert!(report.converged && report.nll_after <= report.nll_before + 1e-12, "{report:?}");
        }
    }
}

#[test]
fn files_of_another_kind_are_refused() {
    let read = |text: &str| serde_json::from_str::<SavedMap>(text);
    let good = r#"{"schema":"candor.calibrate/1","method":"temperature","parameters":{"temperature":1.5}}"#;
    assert!(read(good).expect("a map").check().is_ok());
    for (from, to) in [("calibrate/1", "calibrate/9"), ("1.5", "-1.5"), ("1.5", "0.0")] {
        assert!(read(&good.replace(from, to)).expect("a map").check().is_err(), "{to}");
    }
    assert!(read(&good.replace("\"temperature\",", "\"temprature\",")).is_err());
    for broken in [
        r#""method":"vector","parameters":{"weights":[1.0],"bias":[0.0,0.0]}"#,
        r#""method":"matrix","parameters":{"weights":[[1.0,0.0]],"bias":[0.0,0.0]}"#,
        r#""method":"isotonic","parameters":{"score":"log_odds","curves":[{"x":[1.0,0.0],"y":[0.0,1.0]}]}"#,
        r#""method":"histogram","parameters":{"score":"log_odds","curves":[{"edges":[0.5],"values":[2.0,0.0]}]}"#,
        r#""method":"beta","parameters":{"score":"log_odds","curves":[{"a":-1.0,"b":1.0,"c":0.0}]}"#,
        r#""method":"ensemble_temperature","parameters":{"temperature":1.0,"weights":[0.5,0.5,0.5]}"#,
        r#""method":"unsmooth","parameters":{"smoothing":1.0,"floor":0.0}"#,
        r#""method":"spline","parameters":{"confidences":[],"values":[]}"#,
    ] {
        let text = format!(r#"{{"schema":"candor.calibrate/1",{broken}}}"#);
        assert!(read(&text).expect("a map").check().is_err(), "{broken}");
    }
    // A map for three classes does not fit two.
    let sample = rows(1, 50, 3, 1.0, false, false, 0.5).sample();
    let map = calibrators::fit("vector", &Default::default(), &sample).expect("a fit").map;
    assert!(map.probs(Logits::new(&[1.0, 2.0], 2).expect("a row"), None).is_err());
}

#[test]
fn convex_maps_reach_a_gradient_of_zero_and_scores_are_marked() {
    let sample = rows(9, 800, 4, 3.0, false, false, 0.6).sample();
    for entry in ALL {
        let report =
            (entry.fit)(&sample, &Parameters::defaults(entry.info.parameters)).expect("a fit").report;
        assert!(report.converged, "{}: {report:?}", entry.info.name);
        if entry.info.fitting == Fitting::Convex {
            assert!(report.gradient_norm < 1e-7, "{}: {report:?}", entry.info.name);
        }
        assert_eq!(entry.info.output == Output::Confidence, entry.info.name == "logit_normalisation");
    }
}

#[test]
fn groups_get_their_own_temperature_and_unknown_ones_the_pooled() {
    let mut rows = rows(10, 900, 3, 1.0, false, false, 0.6);
    for (row, values) in rows.logits.chunks_exact_mut(3).enumerate() {
        let scale = [1.0, 4.0, 0.25][row % 3];
        values.iter_mut().for_each(|z| *z *= scale);
    }
    let fit = calibrators::fit("group_temperature", &Default::default(), &rows.sample()).expect("a fit");
    let Map::GroupTemperature(map) = &fit.map else { panic!("another map") };
    for (index, name) in ["a", "b", "c"].iter().enumerate() {
        let chosen: Vec<usize> = (0..900).filter(|row| row % 3 == index).collect();
        let own = Rows {
            n_classes: 3,
            logits: chosen.iter().flat_map(|row| rows.logits[row * 3..row * 3 + 3].to_vec()).collect(),
            labels: chosen.iter().map(|&row| rows.labels[row]).collect(),
            groups: chosen.iter().map(|_| "x".to_owned()).collect(),
        };
        assert!((map.groups[*name] / temperature(&own).0 - 1.0).abs() < 1e-9);
    }
    let stranger = ["z".to_owned()];
    let out =
        fit.map.logits(Logits::new(&[1.0, 0.0, 0.0], 3).expect("a row"), Some(&stranger)).expect("logits");
    assert_eq!(out[0], 1.0 / map.pooled);
    let many = [("min_rows".to_owned(), ParameterValue::Number(301.0))].into();
    let fit = calibrators::fit("group_temperature", &many, &rows.sample()).expect("a fit");
    assert_eq!(fit.report.warnings[0].code, WarningCode::FewRows);
    assert!(fit.report.warnings[0].message().starts_with("groups a, b, c: "));
}
