//! A training killed at any moment and resumed ends with the same bytes as one that was left alone.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use crate::program::{command, ok, refused};

const SETTINGS: &str = "train --epochs 30 --smoothing 0.1 --checkpoint-steps 4 --patience 25 --quiet";

/// Everything that a run leaves but wall-clock figures.
fn results(folder: &Path) -> Vec<(String, Vec<u8>)> {
    [
        "config.toml",
        "metrics.jsonl",
        "model.safetensors",
        "predictions.parquet",
        "validation.parquet",
        "result.json",
    ]
    .map(|name| (name.to_owned(), std::fs::read(folder.join(name)).unwrap()))
    .to_vec()
}

/// Kills a training `wanted` times at moments spread over it, and compares what it leaves with one left alone.
///
/// How long the training takes is known from the one left alone, and may be much less a minute later; where one
/// comes to its end between two kills it is compared, and the next is killed sooner.
pub fn killed_and_resumed(settings: &str, wanted: u32) {
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("whole");
    let start = std::time::Instant::now();
    ok(&format!("{settings} --out {}", whole.display()));
    let mut between = start.elapsed() * 2 / wanted;
    let mut kills = 0;
    for training in 0..30 {
        let killed = folder.path().join(format!("killed-{training}"));
        let settings = format!("{settings} --resume --out {}", killed.display());
        while kills < wanted {
            let share = f64::from(kills).mul_add(0.618_033_988_75, 0.1).fract();
            if !killed_after(&settings, between.mul_f64(share)) {
                between /= 2;
                break;
            }
            kills += 1;
        }
        if !killed.join("result.json").exists() {
            ok(&settings);
        }
        for ((name, a), (_, b)) in results(&whole).iter().zip(results(&killed)) {
            assert_eq!(*a, b, "{name} of training {training} differs after {kills} kills");
        }
        if kills == wanted {
            return;
        }
    }
    panic!("only {kills} kills hit one of thirty trainings");
}

/// Starts a training and kills it after a while; `false` if it came to its end before.
fn killed_after(settings: &str, while_it_runs: Duration) -> bool {
    let mut child = command(settings).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    std::thread::sleep(while_it_runs);
    if let Some(status) = child.try_wait().unwrap() {
        assert!(status.success(), "{settings}: {status}");
        return false;
    }
    child.kill().unwrap();
    child.wait().unwrap();
    true
}

#[test]
fn killed_twenty_times_and_resumed() {
    killed_and_resumed(SETTINGS, 20);
}

#[test]
fn killed_with_views_mixes_wrong_labels_and_telemetry() {
    let random = "--augment flip,crop:1,cutout:2 --mix cutmix:1 --noise symmetric:0.2 --telemetry";
    killed_and_resumed(&format!("{SETTINGS} --optimizer adagrad {random}"), 6);
}

#[test]
fn killed_while_learning_from_a_teacher() {
    let folder = tempfile::tempdir().unwrap();
    let teacher = folder.path().join("teacher").display().to_string();
    ok(&format!("train --epochs 2 --quiet --out {teacher}"));
    killed_and_resumed(&format!("{SETTINGS} --teacher {teacher} --telemetry --schedule linear"), 6);
}

#[test]
fn another_configuration_or_a_damaged_checkpoint_is_not_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let run = |settings: &str| format!("train --epochs 3 --quiet --out {} {settings}", out.display());
    ok(&run(""));
    std::fs::remove_file(out.join("result.json")).unwrap();
    assert!(refused(&run("")).contains("--resume"));
    assert!(refused(&run("--resume --seed 4")).contains("another configuration"));
    let checkpoint = out.join("checkpoints/latest.checkpoint");
    let mut bytes = std::fs::read(&checkpoint).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&checkpoint, bytes).unwrap();
    let message = refused(&run("--resume"));
    assert!(message.contains("latest.checkpoint") && message.contains("checksum"), "{message}");
}

#[cfg(unix)]
#[test]
fn an_interrupted_run_saves_its_state_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let child = command(&format!("train --epochs 100000 --quiet --out {}", out.display()))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    while !out.join("checkpoints/latest.checkpoint").exists() {
        std::thread::sleep(Duration::from_millis(20));
    }
    std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(message.contains("interrupted") && message.contains("--resume"), "{message}");
}
