//! The folder of a run: configuration, logs, checkpoint, and the mark of a finished run.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::EpochLog;
use super::checkpoint::Checkpoint;
use super::tensorboard::{self, EventLog};
use crate::config::{Config, Layers};
use crate::error::{Error, Result};
use crate::files::{self, Log};

/// A folder that holds one run.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    metrics: Log,
    timing: Log,
    events: EventLog,
    checkpoint: Option<Checkpoint>,
    earlier_seconds: f64,
}

/// One line of `timing.jsonl`.
#[derive(Serialize, Deserialize)]
struct Timing {
    epoch: usize,
    seconds: f64,
}

const CONFIG: &str = "config.toml";
const RESULT: &str = "result.json";
const METRICS: &str = "metrics.jsonl";
const TIMING: &str = "timing.jsonl";
const CHECKPOINTS: &str = "checkpoints";
const LATEST: &str = "latest.checkpoint";

impl RunFolder {
    /// Opens a folder for a run: a new one, or with `resume` one whose run did not finish.
    ///
    /// # Errors
    /// [`Error::Occupied`] for a finished run, for an unfinished one without `resume`, and for a resume with
    /// another configuration; [`Error::Checkpoint`] for a damaged checkpoint; [`Error::Io`].
    pub fn open(path: &Path, config: &Config, resume: bool) -> Result<Self> {
        let occupied = |problem: String| Error::Occupied { path: path.to_owned(), problem };
        if path.join(RESULT).exists() {
            return Err(occupied(
                "holds a finished run, which is never overwritten; choose another folder".to_owned(),
            ));
        }
        let started = Self::config(path)?;
        match (&started, resume) {
            (Some(_), false) => {
                let problem = "holds an unfinished run; continue it with --resume or choose another folder";
                return Err(occupied(problem.to_owned()));
            }
            (Some(started), true) if started != config => {
                let problem =
                    "its run has another configuration (config.toml); leave the settings out to continue it";
                return Err(occupied(problem.to_owned()));
            }
            (None, _) if is_used(path)? => {
                return Err(occupied("is not empty and holds no run; choose another folder".to_owned()));
            }
            _ => {}
        }
        files::create_folder(&path.join(CHECKPOINTS))?;
        let checkpoint_path = path.join(CHECKPOINTS).join(LATEST);
        let checkpoint =
            if checkpoint_path.exists() { Some(Checkpoint::read(&checkpoint_path)?) } else { None };
        let lengths = checkpoint.as_ref().map(|checkpoint| checkpoint.logs).unwrap_or_default();
        let metrics = Log::open_at(&path.join(METRICS), lengths.metrics)?;
        let timing = Log::open_at(&path.join(TIMING), lengths.timing)?;
        let events = EventLog::open_at(&path.join(tensorboard::FILE_NAME), lengths.events)?;
        let earlier_seconds = last_timing(&path.join(TIMING))?;
        if started.is_none() {
            files::write_bytes(&path.join(CONFIG), config.to_toml()?.as_bytes())?;
        }
        Ok(Self { path: path.to_owned(), metrics, timing, events, checkpoint, earlier_seconds })
    }

    /// The configuration that a folder's run was started with, if it was.
    ///
    /// # Errors
    /// A configuration file that cannot be read.
    pub fn config(path: &Path) -> Result<Option<Config>> {
        let file = path.join(CONFIG);
        if !file.exists() {
            return Ok(None);
        }
        let mut layers = Layers::default();
        layers.file(&file)?;
        layers.build().map(Some)
    }

    /// Writes the mark of a finished run: its results.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn finish(path: &Path, result: &impl Serialize) -> Result<()> {
        let mut bytes =
            serde_json::to_vec_pretty(result).map_err(|error| Error::Internal(error.to_string()))?;
        bytes.push(b'\n');
        files::write_bytes(&path.join(RESULT), &bytes)
    }

    /// The checkpoint that was found, once.
    pub(super) fn take_checkpoint(&mut self) -> Option<Checkpoint> {
        self.checkpoint.take()
    }

    /// Seconds of earlier sittings, up to the checkpoint.
    pub(super) fn earlier_seconds(&self) -> f64 {
        self.earlier_seconds
    }

    /// Logs an epoch; `seconds` are those of this sitting.
    pub(super) fn log(&mut self, log: &EpochLog, seconds: f64) -> Result<()> {
        self.metrics.append(log)?;
        let wall_time = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(0.0, |since| since.as_secs_f64());
        self.events.append(log.step, wall_time, &scalars(log))?;
        self.timing.append(&Timing { epoch: log.epoch, seconds: self.earlier_seconds + seconds })
    }

    /// Saves a checkpoint that knows the lengths of the logs.
    pub(super) fn save(&mut self, mut checkpoint: Checkpoint) -> Result<()> {
        checkpoint.logs.metrics = self.metrics.synced_length()?;
        checkpoint.logs.timing = self.timing.synced_length()?;
        checkpoint.logs.events = self.events.synced_length()?;
        checkpoint.write(&self.path.join(CHECKPOINTS).join(LATEST))
    }
}

/// The figures of an epoch under the tags that TensorBoard groups by their first part.
fn scalars(log: &EpochLog) -> Vec<(&str, f64)> {
    let mut values = vec![
        ("train/loss", log.train.loss),
        ("train/nll", log.train.nll),
        ("train/accuracy", log.train.accuracy),
        ("train/confidence", log.train.confidence),
        ("setting/learning_rate", log.learning_rate),
        ("setting/smoothing", log.smoothing),
    ];
    if let Some(validation) = log.validation {
        values.push(("validation/nll", validation.nll));
        values.push(("validation/accuracy", validation.accuracy));
        values.push(("validation/confidence", validation.confidence));
    }
    if let Some(ece) = log.validation_ece {
        values.push(("validation/ece", ece));
    }
    values.extend(log.telemetry.iter().map(|(name, value)| (name.as_str(), *value)));
    values
}

/// Whether a folder holds anything but what a run killed at its very beginning leaves.
fn is_used(path: &Path) -> Result<bool> {
    let entries = match std::fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(Error::io(path, "reading the folder")(error)),
    };
    for entry in entries {
        let name = entry.map_err(Error::io(path, "reading the folder"))?.file_name();
        let name = name.to_string_lossy();
        if ![CHECKPOINTS, METRICS, TIMING, tensorboard::FILE_NAME].contains(&name.as_ref())
            && !name.starts_with(".candor-")
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The seconds in the last line of a timing log.
fn last_timing(path: &Path) -> Result<f64> {
    let bytes = files::read(path)?;
    let line = bytes.split(|byte| *byte == b'\n').rfind(|line| !line.is_empty());
    Ok(line.and_then(|line| serde_json::from_slice::<Timing>(line).ok()).map_or(0.0, |timing| timing.seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_never_taken_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run");
        let config = Config::default();
        let open = |config: &Config, resume| RunFolder::open(&path, config, resume).map(|_| ());
        let message = |result: Result<()>| result.unwrap_err().to_string();
        open(&config, false).unwrap();
        assert!(message(open(&config, false)).contains("--resume"));
        open(&config, true).unwrap();
        let other = Config { seed: 5, ..Config::default() };
        assert!(message(open(&other, true)).contains("another configuration"));
        RunFolder::finish(&path, &1).unwrap();
        assert!(message(open(&config, true)).contains("finished run"));
        let stray = folder.path().join("stray");
        std::fs::create_dir(&stray).unwrap();
        std::fs::write(stray.join("thesis.txt"), "x").unwrap();
        assert!(matches!(RunFolder::open(&stray, &config, true), Err(Error::Occupied { .. })));
    }

    #[test]
    fn a_run_killed_before_its_configuration_was_written_can_start() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join(CHECKPOINTS)).unwrap();
        std::fs::write(folder.path().join(METRICS), "").unwrap();
        RunFolder::open(folder.path(), &Config::default(), true).unwrap();
    }
}
