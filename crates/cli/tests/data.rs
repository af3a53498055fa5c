//! Real data: published figures, reproduced. The tests read the folder that `CANDOR_DATA` names and pass with
//! a note where it is unset.

use std::path::PathBuf;

use crate::program::json;

fn data(name: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("CANDOR_DATA").map(|folder| PathBuf::from(folder).join(name));
    if folder.is_none() {
        eprintln!("skipped: CANDOR_DATA is not set, so {name} cannot be read");
    }
    folder
}

/// Published nets (Mukhoti et al. 2020, Gupta & Ramdas 2021): error %, NLL, Brier, ECE %, adaptive ECE %, class-wise
/// ECE %, temperature.
const NETS: [(&str, [f64; 7]); 9] = [
    ("cifar10_resnet50", [5.00, 0.1867, 0.0815, 1.82, 1.74, 0.462, 1.096]),
    ("cifar10_resnet110", [5.48, 0.2044, 0.0879, 2.56, 2.60, 0.588, 1.171]),
    ("cifar10_wide_resnet", [4.08, 0.1585, 0.0655, 1.25, 1.69, 0.439, 0.937]),
    ("cifar10_densenet121", [5.11, 0.1911, 0.0817, 1.53, 2.02, 0.462, 0.970]),
    ("focal_cifar10_resnet50", [4.98, 0.1755, 0.0801, 1.55, 1.56, 0.422, 1.063]),
    ("focal_cifar10_resnet110", [5.42, 0.1854, 0.0839, 1.87, 2.07, 0.479, 1.105]),
    ("focal_cifar10_wide_resnet", [4.01, 0.1455, 0.0634, 1.56, 1.51, 0.406, 0.881]),
    ("focal_cifar10_densenet121", [5.46, 0.1839, 0.0842, 1.22, 1.43, 0.406, 0.958]),
    ("cifar100_resnet50", [23.39, 0.9963, 0.3424, 6.52, 6.52, 0.217, 1.052]),
];

#[test]
fn data_figures_and_temperatures_of_nine_published_nets() {
    let Some(folder) = data("model-logits") else { return };
    for (net, [error, nll, brier, ece, adaptive, classwise, temperature]) in NETS {
        let arrays = |part: &str| {
            let path = |what: &str| folder.join(net).join(format!("{part}_{what}.npy")).display().to_string();
            format!("--logits {} --labels {}", path("logits"), path("labels"))
        };
        let document = json(&format!("eval {}", arrays("test")));
        let value = |name: &str| document["metrics"][name]["value"].as_f64().unwrap();
        let close = |what: &str, got: f64, want: f64, unit: f64| {
            assert!((got - want).abs() <= unit / 2.0 + 1e-12, "{net}: {what} {got}, published {want}");
        };
        close("error", 100.0 * (1.0 - value("accuracy")), error, 0.01);
        close("NLL", value("nll"), nll, 1e-4);
        close("Brier", value("brier"), brier, 1e-4);
        close("ECE", 100.0 * value("ece"), ece, 0.01);
        close("adaptive ECE", 100.0 * value("adaptive_ece"), adaptive, 0.01);
        close("class-wise ECE", 100.0 * value("classwise_ece"), classwise, 0.001);
        let fit = json(&format!("calibrate fit {}", arrays("val")));
        close("temperature", fit["parameters"]["temperature"].as_f64().unwrap(), temperature, 0.002);
    }
}

#[test]
fn data_a_perceptron_on_fashion_mnist_is_spoiled_by_smoothing() {
    let Some(folder) = data("fashion-mnist") else { return };
    let out = tempfile::tempdir().unwrap();
    let document = json(&format!(
        "compare vision --data {} --hidden 128 --epochs 2 --batch-size 128 --train-size 20000 --validation last:5000 --smoothing 0,0.1 --seeds 2 --quiet --out {}",
        folder.display(),
        out.path().join("x").display()
    ));
    let mean = |metric: &str, smoothing: f64| {
        let rows = document["summary"].as_array().unwrap();
        let row = rows
            .iter()
            .find(|row| row["metric"] == metric && row["variant"]["smoothing"] == smoothing)
            .unwrap();
        row["mean"].as_f64().unwrap()
    };
    assert!(mean("accuracy", 0.0) > 0.83, "{}", mean("accuracy", 0.0));
    assert!(mean("ece", 0.1) > mean("ece", 0.0) + 0.03);
    assert!(mean("signed_gap", 0.1) < -0.04);
    assert_eq!(document["recommended_smoothing"], 0.0);
}

/// The rows of a gzipped table as name and value.
fn gzipped_table(path: &std::path::Path) -> Vec<std::collections::HashMap<String, String>> {
    let file = flate2::read::GzDecoder::new(std::fs::File::open(path).unwrap());
    csv::Reader::from_reader(file).deserialize().map(|row| row.unwrap()).collect()
}

/// Rates of a group as fairlearn 0.15.0 and scikit-learn 1.9.1 (MetricFrame) compute them: name, rows, accuracy, selection,
/// true-positive, false-positive and false-negative rate.
type GroupRates = (&'static str, u64, f64, f64, f64, f64, f64);

/// Checks groups and disparities (demographic parity difference and ratio, equalised odds difference and ratio).
fn check_groups(document: &serde_json::Value, groups: &[GroupRates], disparities: [f64; 4]) {
    let close = |what: &str, got: &serde_json::Value, want: f64| {
        let got = got.as_f64().unwrap_or(f64::NAN);
        assert!((got - want).abs() < 1e-12, "{what}: {got}, fairlearn {want}");
    };
    for (name, n, accuracy, selection, tpr, fpr, fnr) in groups {
        let group = &document["groups"][name];
        assert_eq!(group["n"], *n, "{name}");
        close(name, &group["metrics"]["accuracy"]["value"], *accuracy);
        let rates = &document["fairness"]["groups"][name];
        close(name, &rates["selection_rate"]["value"], *selection);
        close(name, &rates["true_positive_rate"]["value"], *tpr);
        close(name, &rates["false_positive_rate"]["value"], *fpr);
        close(name, &rates["false_negative_rate"]["value"], *fnr);
    }
    let names = [
        "demographic_parity_difference",
        "demographic_parity_ratio",
        "equalized_odds_difference",
        "equalized_odds_ratio",
    ];
    for (name, want) in names.into_iter().zip(disparities) {
        close(name, &document["fairness"]["metrics"][name], want);
    }
}

#[test]
fn data_compas_error_rates_by_race_are_the_published_ones() {
    let Some(folder) = data("compas") else { return };
    let out = tempfile::tempdir().unwrap();
    let path = out.path().join("compas.csv");
    let mut text = "label,score,race\n".to_owned();
    for row in gzipped_table(&folder.join("compas-two-years-nopii.csv.gz")) {
        let decile: f64 = row["decile_score"].parse().unwrap();
        // "Medium" and "High" are the deciles from 5 on: they get a score above one half.
        let score = if decile >= 5.0 { 0.5 + 0.05 * (decile - 4.0) } else { 0.1 * decile };
        text += &format!("{},{score},{}\n", row["two_year_recid"], row["race"]);
    }
    std::fs::write(&path, text).unwrap();
    let document = json(&format!("eval {} --group-by race --positive 1", path.display()));
    check_groups(
        &document,
        &[
            (
                "African-American",
                3696,
                0.6382575757575758,
                0.5882034632034632,
                0.7201472908995266,
                0.44846796657381616,
                0.27985270910047344,
            ),
            ("Asian", 32, 0.84375, 0.25, 0.6666666666666666, 0.08695652173913043, 0.3333333333333333),
            (
                "Caucasian",
                2454,
                0.6699266503667481,
                0.3480032599837001,
                0.5227743271221532,
                0.23454301075268819,
                0.4772256728778468,
            ),
            (
                "Hispanic",
                637,
                0.6609105180533752,
                0.29827315541601257,
                0.44396551724137934,
                0.21481481481481482,
                0.5560344827586207,
            ),
            ("Native American", 18, 0.7777777777777778, 0.6666666666666666, 0.9, 0.375, 0.1),
            (
                "Other",
                377,
                0.6657824933687002,
                0.20954907161803712,
                0.3233082706766917,
                0.14754098360655737,
                0.6766917293233082,
            ),
        ],
        [0.4571175950486295, 0.31432360742705573, 0.5766917293233083, 0.19389684039967595],
    );
    // Larson et al. 2016, How We Analyzed the COMPAS Recidivism Algorithm: per cent with two decimals.
    for (race, fpr, fnr) in [("African-American", 44.85, 27.99), ("Caucasian", 23.45, 47.72)] {
        let rate = |name: &str| document["fairness"]["groups"][race][name]["value"].as_f64().unwrap();
        assert!((100.0 * rate("false_positive_rate") - fpr).abs() <= 0.005 + 1e-9, "{race}");
        assert!((100.0 * rate("false_negative_rate") - fnr).abs() <= 0.005 + 1e-9, "{race}");
    }
}

#[test]
fn data_adult_decisions_by_sex_and_race_are_those_of_fairlearn() {
    let Some(folder) = data("adult") else { return };
    let out = tempfile::tempdir().unwrap();
    let path = out.path().join("adult.csv");
    let mut text = "label,score,sex,race\n".to_owned();
    for row in gzipped_table(&folder.join("adult.csv.gz")) {
        let number = |name: &str| -> f64 { row[name].trim().parse().unwrap() };
        // A score made up for the test; the same expression was given to fairlearn.
        let x = 0.35 * (number("education-num") - 10.0)
            + 0.04 * (number("hours-per-week") - 40.0)
            + 0.04 * (number("age") - 38.0)
            - 1.2037;
        let label = u8::from(row["income-per-year"].trim() == ">50K");
        text +=
            &format!("{label},{},{},{}\n", 1.0 / (1.0 + (-x).exp()), row["sex"].trim(), row["race"].trim());
    }
    std::fs::write(&path, text).unwrap();
    let by = |column: &str| json(&format!("eval {} --group-by {column} --positive 1", path.display()));
    check_groups(
        &by("sex"),
        &[
            (
                "Female",
                10771,
                0.8512672918020611,
                0.11763067496054219,
                0.35793044953350295,
                0.08809424520433695,
                0.642069550466497,
            ),
            (
                "Male",
                21790,
                0.76044056906838,
                0.21294171638366224,
                0.45646952867006907,
                0.10569804336329984,
                0.5435304713299309,
            ),
        ],
        [0.09531104142312005, 0.5524078464203048, 0.09853907913656612, 0.7841278049300219],
    );
    check_groups(
        &by("race"),
        &[
            (
                "Amer-Indian-Eskimo",
                311,
                0.8745980707395499,
                0.0932475884244373,
                0.3611111111111111,
                0.05818181818181818,
                0.6388888888888888,
            ),
            (
                "Asian-Pac-Islander",
                1039,
                0.7574590952839269,
                0.27526467757459094,
                0.5615942028985508,
                0.17169069462647443,
                0.4384057971014493,
            ),
            (
                "Black",
                3124,
                0.8706786171574904,
                0.08994878361075544,
                0.34108527131782945,
                0.05443916697113628,
                0.6589147286821705,
            ),
            ("Other", 271, 0.9003690036900369, 0.08856088560885608, 0.44, 0.052845528455284556, 0.56),
            (
                "White",
                27816,
                0.7807017543859649,
                0.19007046304285302,
                0.4428832373190951,
                0.10314507947243828,
                0.5571167626809049,
            ),
        ],
        [0.18670379196573486, 0.3217299305860191, 0.22050893158072132, 0.30779494817848946],
    );
}
