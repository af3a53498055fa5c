//! Runs the built program and looks at what it left; small files to run it on.

use std::path::Path;
use std::process::{Command, Output};

/// The program with these arguments, split at white space.
pub fn candor(arguments: &str) -> Output {
    command(arguments).output().unwrap()
}

/// The same, not yet started.
pub fn command(arguments: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_candor"));
    command.args(arguments.split_whitespace());
    command
}

/// Standard output of a request that must succeed.
pub fn ok(arguments: &str) -> String {
    let output = candor(arguments);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "candor {arguments}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// The JSON document of a request that must succeed.
pub fn json(arguments: &str) -> serde_json::Value {
    serde_json::from_str(&ok(&format!("{arguments} --json"))).unwrap()
}

/// The message of a request that must fail with status 2 and print nothing.
pub fn refused(arguments: &str) -> String {
    let output = candor(arguments);
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "candor {arguments}: {message}");
    assert!(
        output.stdout.is_empty(),
        "candor {arguments} printed {:?}",
        String::from_utf8_lossy(&output.stdout)
    );
    assert!(!message.contains("panicked"), "{message}");
    message
}

/// Writes an array in NumPy's format.
pub fn write_npy(path: &Path, descr: &str, shape: &str, data: &[u8]) {
    let mut header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({shape}), }}");
    while (10 + header.len() + 1) % 64 != 0 {
        header.push(' ');
    }
    header.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(data);
    std::fs::write(path, bytes).unwrap();
}

/// Writes scores `[rows, classes]` and labels `[rows]`; returns the paths in the program's words.
pub fn write_predictions(
    folder: &Path,
    kind: &str,
    scores: &[f32],
    classes: usize,
    labels: &[i64],
) -> String {
    let rows = scores.len() / classes;
    let data: Vec<u8> = scores.iter().flat_map(|v| v.to_le_bytes()).collect();
    write_npy(&folder.join("scores.npy"), "<f4", &format!("{rows}, {classes}"), &data);
    let data: Vec<u8> = labels.iter().flat_map(|v| v.to_le_bytes()).collect();
    write_npy(&folder.join("labels.npy"), "<i8", &format!("{},", labels.len()), &data);
    let path = |name: &str| folder.join(name).display().to_string();
    format!("--{kind} {} --labels {}", path("scores.npy"), path("labels.npy"))
}

/// Writes an IDX file of bytes.
pub fn write_idx(path: &Path, shape: &[u32], data: &[u8]) {
    let mut bytes = vec![0, 0, 8, shape.len() as u8];
    shape.iter().for_each(|size| bytes.extend(size.to_be_bytes()));
    bytes.extend(data);
    std::fs::write(path, bytes).unwrap();
}

/// A small set of the MNIST family: ten classes that can be told apart, with noise.
pub fn write_images(folder: &Path, train: usize, test: usize) {
    for (part, n) in [("train", train), ("t10k", test)] {
        let labels: Vec<u8> = (0..n).map(|i| (i % 10) as u8).collect();
        let pixels: Vec<u8> = (0..n)
            .flat_map(|i| {
                (0..16).map(move |p| if p == i % 10 { 200 } else { ((i * 31 + p * 17) % 90) as u8 })
            })
            .collect();
        write_idx(&folder.join(format!("{part}-images-idx3-ubyte")), &[n as u32, 4, 4], &pixels);
        write_idx(&folder.join(format!("{part}-labels-idx1-ubyte")), &[n as u32], &labels);
    }
}

/// Names of everything in a folder.
pub fn listing(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .map(|entries| {
            entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
        })
        .unwrap_or_default();
    names.sort();
    names
}
