//! The state of a training in one file with a checksum.
//!
//! Layout: a magic line, the length of the header (u64, little endian), the header (JSON: position, logs,
//! lengths of the sections), the sections (model, optimiser, best model) and a CRC-32 of all before it.

use std::collections::BTreeMap;
use std::path::Path;

use burn::module::Module;
use burn::optim::{ModuleOptimizer, OptimizerRecord};
use burn::store::{ModuleRecord, RecordError};
use burn::tensor::Bytes;
use candor::losses::LossState;
use serde::{Deserialize, Serialize};

use super::watch::Watch;
use super::{EpochLog, EpochSums};
use crate::error::{Error, Result};
use crate::files;

const MAGIC: &[u8] = b"candor checkpoint 1\n";

/// Where a training stands.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Progress {
    /// Epochs done.
    pub epoch: usize,
    /// Optimiser steps done.
    pub step: u64,
    /// Steps done in the running epoch.
    pub step_in_epoch: usize,
    /// Sums of the running epoch.
    pub sums: EpochSums,
    /// Best validation NLL so far, with early stopping.
    pub best_nll: Option<f64>,
    /// Its epoch.
    pub best_epoch: usize,
    /// Whether early stopping has ended the training.
    pub stopped_early: bool,
    /// Figures before the first step, until the first epoch is logged.
    #[serde(default)]
    pub start: BTreeMap<String, f64>,
    /// Sums of the telemetry.
    #[serde(default)]
    pub watch: Watch,
    /// The epochs done.
    pub logs: Vec<EpochLog>,
}

/// Lengths of the logs when a checkpoint was taken: what follows them is cut off on resume.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LogLengths {
    pub metrics: u64,
    pub timing: u64,
    pub events: u64,
}

#[derive(Serialize, Deserialize)]
struct Header {
    progress: Progress,
    loss_state: LossState,
    #[serde(default)]
    task_state: LossState,
    logs: LogLengths,
    model: usize,
    optimizer: usize,
    best: usize,
}

/// A checkpoint in memory.
#[derive(Debug)]
pub(super) struct Checkpoint {
    pub progress: Progress,
    pub logs: LogLengths,
    loss_state: LossState,
    task_state: LossState,
    model: Vec<u8>,
    optimizer: Vec<u8>,
    /// Empty without early stopping.
    best: Vec<u8>,
}

fn record_error(error: RecordError) -> Error {
    Error::Internal(format!("the model could not be recorded: {error}"))
}

fn model_bytes<M: Module>(model: &M) -> Result<Vec<u8>> {
    Ok(model.clone().into_record().into_bytes().map_err(record_error)?.to_vec())
}

fn load_model<M: Module>(model: M, bytes: &[u8]) -> Result<M> {
    let record = ModuleRecord::from_bytes(Bytes::from_bytes_vec(bytes.to_vec())).map_err(record_error)?;
    model.try_load_record(record).map_err(record_error)
}

impl Checkpoint {
    /// The state of a running training, with those of its loss and task; the logs' lengths are filled in when it is
    /// saved.
    pub(super) fn take<M: Module>(
        progress: &Progress,
        model: &M,
        best: Option<&M>,
        optimizer: &ModuleOptimizer,
        (loss_state, task_state): (LossState, LossState),
    ) -> Result<Self> {
        Ok(Self {
            progress: progress.clone(),
            logs: LogLengths::default(),
            loss_state,
            task_state,
            model: model_bytes(model)?,
            optimizer: optimizer.to_record().into_bytes().map_err(record_error)?.to_vec(),
            best: best.map(model_bytes).transpose()?.unwrap_or_default(),
        })
    }

    /// The loss's state.
    pub(super) fn loss_state(&self) -> LossState {
        self.loss_state.clone()
    }

    /// The task's state.
    pub(super) fn task_state(&self) -> LossState {
        self.task_state.clone()
    }

    /// Puts the recorded weights into a model of the same shape.
    pub(super) fn restore_model<M: Module>(&self, model: M) -> Result<M> {
        load_model(model, &self.model)
    }

    /// The best model so far, if one was kept.
    pub(super) fn restore_best<M: Module>(&self, model: M) -> Result<Option<M>> {
        if self.best.is_empty() { Ok(None) } else { load_model(model, &self.best).map(Some) }
    }

    /// Puts the recorded state into an optimiser of the same kind.
    pub(super) fn restore_optimizer(&self, optimizer: ModuleOptimizer) -> Result<ModuleOptimizer> {
        let bytes = Bytes::from_bytes_vec(self.optimizer.clone());
        Ok(optimizer.load_record(OptimizerRecord::from_bytes(bytes).map_err(record_error)?))
    }

    /// Writes the file whole or not at all.
    pub(super) fn write(&self, path: &Path) -> Result<()> {
        let header = Header {
            progress: self.progress.clone(),
            loss_state: self.loss_state.clone(),
            task_state: self.task_state.clone(),
            logs: self.logs,
            model: self.model.len(),
            optimizer: self.optimizer.len(),
            best: self.best.len(),
        };
        let header = serde_json::to_vec(&header).map_err(|error| Error::Internal(error.to_string()))?;
        let mut bytes = MAGIC.to_vec();
        bytes.extend((header.len() as u64).to_le_bytes());
        bytes.extend(header);
        bytes.extend(&self.model);
        bytes.extend(&self.optimizer);
        bytes.extend(&self.best);
        bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
        files::write_bytes(path, &bytes)
    }

    /// Reads and checks a file.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let bad = |problem: &str| Error::Checkpoint { path: path.to_owned(), problem: problem.to_owned() };
        let bytes = files::read(path)?;
        let content = bytes.strip_prefix(MAGIC).ok_or_else(|| bad("it does not begin as one"))?;
        let (body, checksum) = content.split_last_chunk::<4>().ok_or_else(|| bad("it is too short"))?;
        if crc32fast::hash(&bytes[..bytes.len() - 4]) != u32::from_le_bytes(*checksum) {
            return Err(bad("its checksum does not fit, so the file is damaged"));
        }
        let (length, rest) = body.split_first_chunk::<8>().ok_or_else(|| bad("it is too short"))?;
        let length = usize::try_from(u64::from_le_bytes(*length)).unwrap_or(usize::MAX);
        if length > rest.len() {
            return Err(bad("its header is longer than the file"));
        }
        let (header, sections) = rest.split_at(length);
        let header: Header = serde_json::from_slice(header)
            .map_err(|error| bad(&format!("its header cannot be read: {error}")))?;
        if header.model + header.optimizer + header.best != sections.len() {
            return Err(bad("its sections do not fill the file"));
        }
        let (model, rest) = sections.split_at(header.model);
        let (optimizer, best) = rest.split_at(header.optimizer);
        Ok(Self {
            progress: header.progress,
            logs: header.logs,
            loss_state: header.loss_state,
            task_state: header.task_state,
            model: model.to_vec(),
            optimizer: optimizer.to_vec(),
            best: best.to_vec(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checkpoint() -> Checkpoint {
        Checkpoint {
            progress: Progress { epoch: 3, step: 17, ..Progress::default() },
            logs: LogLengths { metrics: 5, timing: 6, events: 7 },
            loss_state: LossState { arrays: [("a".to_owned(), vec![0.1, 1.0 / 3.0])].into() },
            task_state: LossState { arrays: [("b".to_owned(), vec![2.0 / 3.0])].into() },
            model: vec![1, 2, 3],
            optimizer: vec![4],
            best: vec![],
        }
    }

    #[test]
    fn a_file_reads_back_as_itself() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c");
        checkpoint().write(&path).unwrap();
        let read = Checkpoint::read(&path).unwrap();
        assert_eq!(
            (read.progress, read.logs, read.loss_state, read.task_state),
            (checkpoint().progress, checkpoint().logs, checkpoint().loss_state, checkpoint().task_state)
        );
        assert_eq!((read.model, read.optimizer, read.best), (vec![1, 2, 3], vec![4], vec![]));
    }

    #[test]
    fn damage_at_any_byte_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c");
        checkpoint().write(&path).unwrap();
        let whole = std::fs::read(&path).unwrap();
        for position in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[position] ^= 0x10;
            std::fs::write(&path, &bytes).unwrap();
            assert!(matches!(Checkpoint::read(&path), Err(Error::Checkpoint { .. })), "byte {position}");
            std::fs::write(&path, &whole[..position]).unwrap();
            assert!(matches!(Checkpoint::read(&path), Err(Error::Checkpoint { .. })), "cut at {position}");
        }
    }
}
