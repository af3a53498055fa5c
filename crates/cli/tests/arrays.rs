//! Losses and targets on the user's own arrays.

use crate::program::{json, listing, ok, refused, write_npy, write_predictions};

/// One row of the published golden values and its logits.
const LOGITS: [f64; 4] = [2.0, -1.0, 0.5, 0.1];

fn write_f64(path: &std::path::Path, shape: &str, values: &[f64]) {
    let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    write_npy(path, "<f8", shape, &bytes);
}

/// The doubles of an array written by the program.
fn read_f64(path: &std::path::Path) -> Vec<f64> {
    let bytes = std::fs::read(path).unwrap();
    let header = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    bytes[header..].chunks_exact(8).map(|b| f64::from_le_bytes(b.try_into().unwrap())).collect()
}

#[test]
fn values_and_gradients_of_the_golden_row() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    write_f64(&path("z.npy"), "1, 4", &LOGITS);
    write_npy(&path("y.npy"), "<i8", "1,", &0_i64.to_le_bytes());
    let run = |arguments: &str| {
        json(&format!(
            "loss --logits {} --labels {} --grad {} {arguments}",
            path("z.npy").display(),
            path("y.npy").display(),
            path("g.npy").display()
        ))
    };
    for (arguments, loss, first) in [
        ("", 0.352_405_938_1, -0.297_005_308_3),
        ("--smoothing 0.1", 0.512_405_938_1, -0.222_005_308_3),
        ("--smoothing 0.1 --convention off_class", 0.565_739_271_4, -0.197_005_308_3),
        ("--smoothing -0.4 --convention generalised", -0.287_594_061_9, -0.597_005_308_3),
        ("--loss focal --set gamma=2", 0.031_086_486_6, -0.069_906_747_8),
        ("--loss label_relaxation", 0.113_482_897_6, -0.197_005_308_3),
        ("--loss poly1", 0.649_411_246_4, -0.505_798_463_4),
        ("--loss brier", 0.125_097_671_8, -0.175_885_998_4),
    ] {
        let document = run(arguments);
        let got = document["loss"].as_f64().unwrap();
        assert!((got - loss).abs() < 1e-9, "{arguments}: {got}");
        assert!((read_f64(&path("g.npy"))[0] - first).abs() < 1e-9, "{arguments}");
        assert!((document["nll"].as_f64().unwrap() - 0.352_405_938_1).abs() < 1e-9, "{arguments}");
        assert_eq!((&document["rows"], &document["ignored"]), (&1.into(), &0.into()));
    }
    let smoothed = run("--smoothing 0.1");
    let floor = -(0.925_f64 * 0.925_f64.ln() + 3.0 * 0.025 * 0.025_f64.ln());
    assert!((smoothed["floor"].as_f64().unwrap() - floor).abs() < 1e-12);
    assert_eq!(run("--reduction none")["loss"].as_array().unwrap().len(), 1);
}

#[test]
fn target_rows_weights_and_ignored_rows() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    write_f64(&folder.path().join("z.npy"), "2, 2", &[0.0, 0.0, 1.0, 0.0]);
    write_f64(&folder.path().join("t.npy"), "2, 2", &[0.5, 0.5, 2.0, 0.0]);
    write_f64(&folder.path().join("w.npy"), "2,", &[1.0, 3.0]);
    write_npy(
        &folder.path().join("y.npy"),
        "<i8",
        "2,",
        &[0_i64.to_le_bytes(), (-100_i64).to_le_bytes()].concat(),
    );
    let soft = json(&format!("loss --logits {} --targets {} --reduction sum", path("z.npy"), path("t.npy")));
    let nll = (1.0 + (-1.0_f64).exp()).ln();
    assert!((soft["loss"].as_f64().unwrap() - (2.0_f64.ln() + 2.0 * nll)).abs() < 1e-12);
    assert_eq!(soft["warnings"][0]["code"], "targets_taken_as_weights");
    let ignored = json(&format!(
        "loss --logits {} --labels {} --ignore-index -100 --weights {} --weighting pytorch",
        path("z.npy"),
        path("y.npy"),
        path("w.npy")
    ));
    assert!((ignored["loss"].as_f64().unwrap() - 2.0_f64.ln()).abs() < 1e-12);
    assert_eq!((&ignored["rows"], &ignored["ignored"]), (&1.into(), &1.into()));
}

#[test]
fn the_semantics_of_other_frameworks_can_be_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let write = |name: &str, shape: &str, values: &[f64]| write_f64(&folder.path().join(name), shape, values);
    // Keras' binary cross-entropy of probabilities, clipped, from its golden case.
    write("p.npy", "2, 4", &[0.0, 1.0, 0.0, 1.0, 1.0, 0.0, 0.5, 0.5]);
    write("t.npy", "2, 4", &[1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0]);
    let keras = json(&format!(
        "loss --probs {} --targets {} --loss binary_cross_entropy --convention binary_half --smoothing 0.1 --reduction none",
        path("p.npy"),
        path("t.npy")
    ));
    for (got, want) in keras["loss"].as_array().unwrap().iter().zip([15.312_19, 0.749_53]) {
        assert!((got.as_f64().unwrap() - want).abs() < 1e-4, "{keras}");
    }
    assert!(keras["warnings"].as_array().unwrap().is_empty(), "{keras}");
    // Categorical: divided by all rows, whatever their weights.
    write("z.npy", "2, 2", &[0.0, 0.0, 0.0, 0.0]);
    write("w.npy", "2,", &[3.0, 1.0]);
    write_npy(
        &folder.path().join("y.npy"),
        "<i8",
        "2,",
        &[0_i64.to_le_bytes(), 1_i64.to_le_bytes()].concat(),
    );
    let loss = |arguments: &str| {
        let arrays = format!("loss --logits {} --labels {}", path("z.npy"), path("y.npy"));
        json(&format!("{arrays} {arguments}"))["loss"].as_f64().unwrap()
    };
    let ln_2 = std::f64::consts::LN_2;
    let weights = path("w.npy");
    assert!((loss(&format!("--sample-weights {weights} --mean-over all_rows")) - 2.0 * ln_2).abs() < 1e-12);
    assert!((loss(&format!("--sample-weights {weights}")) - ln_2).abs() < 1e-12);
    // A prior, strengths by row, and timm's threshold after the smoothing.
    write("prior.npy", "2,", &[0.75, 0.25]);
    write("s.npy", "2,", &[0.0, 0.5]);
    assert!(
        (loss(&format!("--prior {} --convention prior --smoothing 0.1", path("prior.npy"))) - ln_2).abs()
            < 1e-12
    );
    assert!((loss(&format!("--strengths {}", path("s.npy"))) - ln_2).abs() < 1e-12);
    let timm = "--loss binary_cross_entropy --convention multi_label --smoothing 0.1 --target-set convention=over_classes --target-set threshold=0";
    assert!((loss(timm) - ln_2).abs() < 1e-12);
    // An upstream gradient of either sign.
    write("u.npy", "2,", &[-2.0, 4.0]);
    json(&format!(
        "loss --logits {} --labels {} --reduction none --upstream {} --grad {}",
        path("z.npy"),
        path("y.npy"),
        path("u.npy"),
        path("g.npy")
    ));
    assert_eq!(read_f64(&folder.path().join("g.npy")), [1.0, -1.0, 2.0, -2.0]);
}

#[test]
fn what_a_loss_does_not_take_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let arrays = write_predictions(folder.path(), "logits", &[1.0, 0.0, 0.0, 2.0], 2, &[0, 1]);
    for (arguments, words) in [
        ("--loss focl", "did you mean \"focal\""),
        ("--loss focal --set gama=2", "did you mean \"gamma\""),
        ("--loss focal --set gamma=-1", "gamma is -1"),
        ("--smoothing 1.5", "smoothing is 1.5"),
        ("--smoothing -0.1", "smoothing is -0.1"),
        ("--reduction avg", "reduction"),
        ("--loss distillation", "teacher"),
        ("--denominator 0", "denominator"),
    ] {
        let message = refused(&format!("loss {arrays} {arguments}"));
        assert!(message.contains(words), "{arguments}: {message}");
    }
    assert!(
        refused(&format!("loss --logits {}", folder.path().join("scores.npy").display()))
            .contains("--labels or --targets")
    );
}

#[test]
fn labels_are_softened_into_every_format() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("y.csv"), "id,label\n7,1\n8,0\n").unwrap();
    let soften = |out: &str, more: &str| {
        ok(&format!(
            "soften {} --column label --classes 4 --smoothing 0.1 {more} --out {}",
            path("y.csv").display(),
            path(out).display()
        ))
    };
    soften("t.npy", "");
    assert_eq!(read_f64(&path("t.npy")), [0.025, 0.925, 0.025, 0.025, 0.925, 0.025, 0.025, 0.025]);
    soften("t.csv", "--target off_class");
    let text = std::fs::read_to_string(path("t.csv")).unwrap();
    assert!(text.starts_with("label,target_0,target_1,target_2,target_3\n1,0.0333"), "{text}");
    soften("t.parquet", "");
    soften("sparse.parquet", "--sparse");
    assert!(listing(folder.path()).contains(&"sparse.parquet".to_owned()));
    let message = refused(&format!(
        "soften {} --column labels --classes 4 --out {}",
        path("y.csv").display(),
        path("x.npy").display()
    ));
    assert!(message.contains("it has id, label"), "{message}");
    let message = refused(&format!(
        "soften {} --column label --classes 1 --out {}",
        path("y.csv").display(),
        path("x.npy").display()
    ));
    assert!(message.contains("label 1"), "{message}");
    assert!(!path("x.npy").exists());
}
