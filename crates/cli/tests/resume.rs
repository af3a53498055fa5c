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
pub fn killed_and_resumed(settings: &str, wanted: u32) {
    let folder = tempfile::tempdir().unwrap();
    let (whole, killed) = (folder.path().join("whole"), folder.path().join("killed"));
    let start = std::time::Instant::now();
    ok(&format!("{settings} --out {}", whole.display()));
    let whole_run = start.elapsed();
    let mut kills = 0;
    for attempt in 0..200_u32 {
        let mut child = command(&format!("{settings} --resume --out {}", killed.display()))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Moments spread over a share of the run, so that all kills fit before it ends.
        let share = f64::from(attempt).mul_add(0.618_033_988_75, 0.1).fract() * 2.0 / f64::from(wanted);
        std::thread::sleep(Duration::from_secs_f64(whole_run.as_secs_f64() * share));
        if child.try_wait().unwrap().is_some() {
            break;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        kills += 1;
        if kills == wanted {
            break;
        }
    }
    assert!(kills >= wanted / 2, "only {kills} kills hit the running training");
    if !killed.join("result.json").exists() {
        ok(&format!("{settings} --resume --out {}", killed.display()));
    }
    for ((name, a), (_, b)) in results(&whole).iter().zip(results(&killed)) {
        assert_eq!(*a, b, "{name} differs after {kills} kills");
    }
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
