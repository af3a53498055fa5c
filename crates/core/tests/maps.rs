//! Calibration maps against other implementations: scikit-learn, netcal, and fits by SciPy.

use std::collections::BTreeMap;

use candor::calibrators::{self, IsotonicCurve, LogitNormalisation, Map, Sample};
use candor::parameters::ParameterValue;
use candor::{Labels, Logits, Probs};
use serde_json::Value;

use crate::golden::{Case, Tolerance, family};

/// `name:key=value,key=value` as a method with parameters.
fn method(text: &str) -> (&str, BTreeMap<String, ParameterValue>) {
    let (name, rest) = text.split_once(':').unwrap_or((text, ""));
    let pairs = rest.split(',').filter(|pair| !pair.is_empty()).map(|pair| {
        let (key, value) = pair.split_once('=').expect("key=value");
        let value = match value.parse() {
            Ok(number) => ParameterValue::Number(number),
            Err(_) => ParameterValue::Text(value.to_owned()),
        };
        (key.to_owned(), value)
    });
    (name, pairs.collect())
}

fn sample(logits: &[f64], n_classes: usize, labels: &[i64]) -> Sample {
    let labels = Labels::new(labels, n_classes).expect("labels in range");
    Sample::from_logits(Logits::new(logits, n_classes).expect("rows"), labels).expect("a sample")
}

fn fit(text: &str, sample: &Sample) -> calibrators::Fit {
    let (name, parameters) = method(text);
    let fit = calibrators::fit(name, &parameters, sample).unwrap_or_else(|e| panic!("{text}: {e}"));
    assert!(fit.report.converged, "{text}: {:?}", fit.report);
    fit
}

fn weighted(case: &Case, sample: Sample) -> Sample {
    match case.inputs.get("sample_weight") {
        Some(weights) => sample.with_weights(&weights.f64()).expect("weights"),
        None => sample,
    }
}

/// Binary scores as the logits of two classes.
fn two_classes(scores: &[f64]) -> Vec<f64> {
    scores.iter().flat_map(|score| [0.0, *score]).collect()
}

fn second_column(probs: &[f64]) -> Vec<f64> {
    probs.chunks_exact(2).map(|row| row[1]).collect()
}

#[test]
fn maps_of_scikit_learn_come_out() {
    let mut run = 0;
    for case in family("cal_sklearn") {
        let peer = case.record["peer"].as_str().expect("a peer").to_owned();
        let tolerance = case.tolerance();
        if peer.ends_with("_TemperatureScaling") {
            let shape = case.input("logits").shape[1];
            let logits = case.input("logits").f64();
            let rows = weighted(&case, sample(&logits, shape, &case.input("labels").i64()));
            let map = fit("temperature", &rows).map;
            let Map::Temperature(found) = &map else { panic!("{}: another map", case.id) };
            tolerance.check(&case.id, &[found.temperature], &case.output("temperature").f64());
            let probs = map.probs(Logits::new(&logits, shape).expect("rows"), None).expect("probs");
            tolerance.check(&case.id, &probs, &case.output("probs").f64());
        } else if peer.ends_with("_sigmoid_calibration") {
            let logits = two_classes(&case.input("scores").f64());
            let rows = weighted(&case, sample(&logits, 2, &case.input("labels").i64()));
            let map = fit("platt", &rows).map;
            let Map::Platt(found) = &map else { panic!("{}: another map", case.id) };
            // The peer's sigmoid is 1/(1+exp(a s + b)).
            tolerance.check(&case.id, &[-found.curves[0].a], &case.output("a").f64());
            tolerance.check(&case.id, &[-found.curves[0].b], &case.output("b").f64());
            let probs = map.probs(Logits::new(&logits, 2).expect("rows"), None).expect("probs");
            tolerance.check(&case.id, &second_column(&probs), &case.output("probs").f64());
        } else if peer.ends_with("IsotonicRegression") {
            let (x, y) = (case.input("x").f64(), case.input("y").i64());
            let y: Vec<f64> = y.iter().map(|y| *y as f64).collect();
            let weights = case.inputs.get("sample_weight").map_or(vec![1.0; x.len()], |w| w.f64());
            let curve = IsotonicCurve::through(&x, &y, &weights).expect("a curve");
            let at = |scores: &[f64]| scores.iter().map(|score| curve.at(*score)).collect::<Vec<f64>>();
            tolerance.check(&case.id, &curve.x, &case.output("X_thresholds").f64());
            tolerance.check(&case.id, &curve.y, &case.output("y_thresholds").f64());
            tolerance.check(&case.id, &at(&x), &case.output("fitted").f64());
            tolerance.check(&case.id, &at(&case.input("query").f64()), &case.output("predicted").f64());
        } else if peer.contains("CalibratedClassifierCV") {
            let k = case.number("K") as usize;
            let name = match case.word("method") {
                "sigmoid" => "platt:score=logit",
                "isotonic" => "isotonic:score=logit,floor=0",
                other => other,
            };
            let read = |role: &str| {
                let scores = case.input(role).f64();
                if k == 2 { two_classes(&scores) } else { scores }
            };
            let map = fit(name, &sample(&read("scores_cal"), k, &case.input("labels_cal").i64())).map;
            let test = read("scores_test");
            let probs = map.probs(Logits::new(&test, k).expect("rows"), None).expect("probs");
            tolerance.check(&case.id, &probs, &case.output("probs_test").f64());
        } else {
            continue;
        }
        run += 1;
    }
    assert_eq!(run, 17);
}

#[test]
fn temperatures_of_netcal_come_out() {
    let mut run = 0;
    for case in family("cal_other") {
        if case.record["peer"] != "netcal.scaling.TemperatureScaling" {
            continue;
        }
        let values = case.input("probs").f64();
        let k = case.integer("K").unwrap_or(2) as usize;
        let labels = case.input("labels").i64();
        let labels = Labels::new(&labels, k).expect("labels in range");
        let probs = Probs::new(&values, k).expect("probabilities");
        let map = fit("temperature", &Sample::from_probs(probs, labels).expect("a sample")).map;
        let got = map.probs_of_probs(probs, None).expect("probs");
        let want = case.output("probs_scaled");
        case.tolerance().check(&case.id, &got, &want.f64());
        run += 1;
    }
    assert_eq!(run, 2);
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().expect("a list").iter().map(|v| v.as_f64().expect("a number")).collect()
}

/// How far a fit may lie from the oracle's: general optimisers stop earlier than the library's.
fn tolerance(name: &str) -> Tolerance {
    let absolute = match name {
        "temperature" | "histogram" | "isotonic" | "bbq" => 1e-8,
        // SLSQP stops at differences of 1e-8 in the weights or more.
        "ensemble_temperature" => 2e-5,
        _ => 2e-6,
    };
    Tolerance { relative: 0.0, absolute }
}

#[test]
fn maps_fitted_by_scipy_come_out() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/calibration_maps.json");
    let text = std::fs::read_to_string(path).expect("the oracle's file");
    let record: Value = serde_json::from_str(&text).expect("JSON");
    let mut run = 0;
    for case in record["cases"].as_array().expect("cases") {
        let k = case["n_classes"].as_u64().expect("a number") as usize;
        let (logits, test) = (numbers(&case["logits"]), numbers(&case["test"]));
        let labels: Vec<i64> = numbers(&case["labels"]).iter().map(|label| *label as i64).collect();
        let test = Logits::new(&test, k).expect("rows");
        for set in case["sets"].as_array().expect("sets") {
            let rows = sample(&logits, k, &labels).with_weights(&numbers(&set["weights"])).expect("weights");
            for (text, want) in set["probs"].as_object().expect("probabilities") {
                let map = fit(text, &rows).map;
                let probs = map.probs(test, None).expect("probs");
                tolerance(map.name()).check(&format!("{text}, {k} classes"), &probs, &numbers(want));
                run += 1;
            }
        }
        let map = Map::from(LogitNormalisation { p: Some(3.0) });
        let score = map.confidence(test, None).expect("scores");
        Tolerance { relative: 1e-12, absolute: 0.0 }.check("p-norm", &score, &numbers(&case["p_norm_3"]));
    }
    assert_eq!(run, 2 * 2 * 14);
}

#[test]
fn auto_takes_the_map_that_made_the_data() {
    use candor::calibrators::choose;
    use candor::random::Stream;
    let mut stream = Stream::new(9, "auto", 0, 0);
    let (mut logits, mut labels) = (Vec::new(), Vec::new());
    for _ in 0..3000 {
        let row: Vec<f64> = (0..4).map(|_| 1.5 * stream.normal()).collect();
        let sum: f64 = row.iter().map(|z| z.exp()).sum();
        let mut u = stream.uniform() * sum;
        labels.push(row.iter().position(|z| {
            u -= z.exp();
            u < 0.0
        }));
        logits.extend(row);
    }
    let labels: Vec<i64> = labels.into_iter().map(|label| label.unwrap_or(3) as i64).collect();
    let chosen = |made: &dyn Fn(usize, f64) -> f64| {
        let values: Vec<f64> = logits.iter().enumerate().map(|(at, z)| made(at % 4, *z)).collect();
        let choice = choose(&sample(&values, 4, &labels), &[], &Default::default(), 5, 0).expect("a choice");
        assert!(choice.table.len() > 10, "{:?}", choice.table);
        assert!(choice.table.iter().all(|candidate| candidate.nll.is_finite() && candidate.excess >= 0.0));
        choice.chosen
    };
    assert_eq!(chosen(&|_, z| z), "identity");
    assert_eq!(chosen(&|_, z| 3.0 * z), "temperature");
    assert_eq!(chosen(&|class, z| (1.0 + class as f64) * z - 0.5 * class as f64), "vector");
}
