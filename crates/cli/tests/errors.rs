//! Every wrong request ends with status 2, one clear sentence, and nothing written.

use crate::program::{listing, refused, write_images, write_npy, write_predictions};

/// Runs a training that must be refused, and checks that its folder was not made.
fn refused_training(settings: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    for command in ["train", "compare --seeds 1"] {
        let message = refused(&format!("{command} --quiet --out {} {settings}", out.display()));
        assert!(listing(folder.path()).is_empty(), "{command} {settings} left {:?}", listing(folder.path()));
        if command.starts_with("compare") {
            return message;
        }
    }
    unreachable!()
}

#[test]
fn strengths_outside_their_range_are_refused() {
    for bad in ["1.5", "-0.1", "nan", "inf"] {
        let message = refused_training(&format!("--smoothing {bad}"));
        assert!(message.contains("smoothing") && message.contains("between 0 and 1"), "{message}");
    }
    let message = refused_training("--smoothing 0.95 --convention off_class");
    assert!(message.contains("smoothing is 0.95") && message.contains("0.9"), "{message}");
}

#[test]
fn settings_that_make_no_training_are_refused() {
    for (settings, words) in [
        ("--epochs 0", "training.epochs = 0"),
        ("--batch-size 0", "training.batch_size = 0"),
        ("--lr 0", "optimizer.lr = 0"),
        ("--hidden 0", "model.hidden = 0"),
        ("--model resnett", "no model called"),
        ("--loss focl", "no loss called"),
        ("--optimizer adm", "did you mean \"adam\""),
        ("--validation 5000", "leaves no row"),
        ("--train-size 99999", "more than the"),
        ("--set training.epoch=3", "did you mean \"training.epochs\""),
        ("--set loss.smoothing=abc", "must be a number"),
        ("--beta 0.5", "is a setting of graph, which vision does not read"),
        ("--config no-such-file.toml", "no-such-file.toml"),
        ("--data no-such-folder", "does not exist"),
    ] {
        let message = refused_training(settings);
        assert!(message.contains(words), "{settings}: {message}");
    }
    let message = refused("compare --seeds 0 --quiet");
    assert!(message.contains("seeds = 0"), "{message}");
    assert!(refused("train visoin --quiet").contains("did you mean \"vision\""));
    assert!(refused("train --set epochs").contains("KEY=VALUE"));
    assert!(refused("train --no-such-flag").contains("--no-such-flag"));
}

#[test]
fn damaged_images_are_named_before_anything_is_written() {
    let data = tempfile::tempdir().unwrap();
    let path = data.path().display();
    write_images(data.path(), 100, 40);
    let images = data.path().join("train-images-idx3-ubyte");
    let whole = std::fs::read(&images).unwrap();
    std::fs::write(&images, &whole[..whole.len() - 5]).unwrap();
    let message = refused_training(&format!("--data {path}"));
    assert!(message.contains("train-images-idx3-ubyte") && message.contains("truncated"), "{message}");

    write_images(data.path(), 100, 40);
    let labels = data.path().join("train-labels-idx1-ubyte");
    let mut bytes = std::fs::read(&labels).unwrap();
    bytes[8 + 37] = 10;
    std::fs::write(&labels, bytes).unwrap();
    let message = refused_training(&format!("--data {path}"));
    assert!(message.contains("train-labels") && message.contains("row 37: label 10"), "{message}");
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    // A file stands where the folder would be.
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "x").unwrap();
    for command in ["train", "compare --seeds 1"] {
        let message = refused(&format!("{command} --quiet --epochs 1 --out {}/run", file.display()));
        assert!(message.contains("file/run"), "{message}");
    }
    let predictions = write_predictions(folder.path(), "logits", &[1.0, 0.0, 0.0, 2.0], 2, &[0, 1]);
    let message = refused(&format!("calibrate fit {predictions} --out {}/map.json", file.display()));
    assert!(message.contains("map.json"), "{message}");
}

#[test]
fn predictions_that_cannot_be_judged_are_refused_with_row_and_reason() {
    let folder = tempfile::tempdir().unwrap();
    let eval = |kind: &str, scores: &[f32], labels: &[i64]| {
        refused(&format!("eval {}", write_predictions(folder.path(), kind, scores, 2, labels)))
    };
    let message = eval("logits", &[], &[]);
    assert!(message.contains("holds no rows"), "{message}");
    assert_eq!(message.matches("labels.npy").count(), 1, "{message}");
    let message = eval("logits", &[0.0, 1.0, 2.0, 3.0], &[0]);
    assert!(
        message.contains("labels.npy") && message.contains("has 1 rows, but the scores have 2"),
        "{message}"
    );
    let message = eval("logits", &[0.0, 1.0, f32::NAN, 3.0], &[0, 1]);
    assert!(
        message.contains("row 1: the logit of class 0 is NaN") && message.contains("1 of 2 rows"),
        "{message}"
    );
    let message = eval("logits", &[0.0, 1.0, f32::INFINITY, 3.0], &[0, 1]);
    assert!(message.contains("row 1: the logit of class 0 is inf"), "{message}");
    let message = eval("logits", &[0.0, 1.0, 2.0, 3.0], &[0, 2]);
    assert!(message.contains("row 1: label 2") && message.contains("0..=1"), "{message}");
    let message = eval("probs", &[0.5, 0.5, 0.5, 0.4], &[0, 1]);
    assert!(message.contains("row 1") && message.contains("sum to 0.9"), "{message}");
    let message = eval("probs", &[0.5, 0.5, 1.5, -0.5], &[0, 1]);
    assert!(
        message.contains("row 1: the probability of class 0 is 1.5") && message.contains("[0, 1]"),
        "{message}"
    );
}

#[test]
fn files_of_another_kind_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    write_npy(&folder.path().join("complex.npy"), "<c8", "2, 2", &[0; 32]);
    write_npy(&folder.path().join("flat.npy"), "<f4", "4,", &[0; 16]);
    write_npy(&folder.path().join("labels.npy"), "<i8", "2,", &[0; 16]);
    std::fs::write(folder.path().join("text.npy"), "hello").unwrap();
    std::fs::write(folder.path().join("x.parquet"), "hello").unwrap();
    let labels = path("labels.npy");
    for (file, words) in [
        ("complex.npy", "numbers are needed"),
        ("flat.npy", "[rows, classes]"),
        ("text.npy", "not a NumPy array"),
        ("none.npy", "none.npy"),
    ] {
        let message = refused(&format!("eval --logits {} --labels {labels}", path(file)));
        assert!(message.contains(words) && message.contains(file), "{message}");
    }
    assert!(refused(&format!("eval {}", path("x.parquet"))).contains("not readable as Parquet"));
    assert!(refused(&format!("eval {}", path("flat.npy"))).contains("--logits"));
    assert!(refused("eval").contains("no predictions given"));
    assert!(refused(&format!("eval --logits {}", path("flat.npy"))).contains("--labels"));
    assert!(refused("eval x.parquet --bins 0").contains("x.parquet"));
    assert!(refused("eval x.parquet --binning equal_widt").contains("did you mean \"equal_width\""));
    std::fs::write(folder.path().join("map.json"), "{}").unwrap();
    let message = refused(&format!("calibrate apply --map {} x.parquet --out y.parquet", path("map.json")));
    assert!(message.contains("map.json"), "{message}");
}

#[test]
fn explanations_of_nonsense_are_refused() {
    for (arguments, words) in [
        ("--classes 1", "classes"),
        ("--smoothing 1.5", "smoothing"),
        ("--smoothing nan", "smoothing"),
        ("--smoothing 0.6 --classes 2 --convention off_class", "0.5"),
        ("--convention middle", "convention"),
        ("--accuracy 1.5", "accuracy"),
    ] {
        let message = refused(&format!("explain {arguments}"));
        assert!(message.contains(words), "{arguments}: {message}");
    }
}
