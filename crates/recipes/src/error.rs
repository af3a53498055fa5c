//! What can go wrong in a training: the input's fault or the machine's.

use std::path::PathBuf;

/// An error of a recipe, a file or a run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or folder could not be read or written.
    #[error("{}: {action} failed: {source}", path.display())]
    Io {
        /// The path.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A file does not hold what its format promises.
    #[error("{}: {problem}", path.display())]
    Format {
        /// The path.
        path: PathBuf,
        /// What was found and what is accepted.
        problem: String,
    },
    /// Rows that cannot be used, when they are not to be skipped.
    #[error("{} of {rows} rows cannot be used ({}); --on-bad skip leaves them out. The first:\n{}", bad.count, bad.summary(), bad.shown())]
    BadRows {
        /// Number of all rows.
        rows: u64,
        /// Those that cannot be used.
        bad: Box<crate::predictions::BadRows>,
    },
    /// A configuration value cannot be used.
    #[error("{key} = {got}: {problem}")]
    Config {
        /// The key, as in `--set`.
        key: String,
        /// The value found.
        got: String,
        /// What is accepted.
        problem: String,
    },
    /// A key that no configuration has.
    #[error("there is no key {key:?}; did you mean {nearest:?}? `candor list config` shows all keys")]
    UnknownKey {
        /// The key given.
        key: String,
        /// The closest known key.
        nearest: String,
    },
    /// A configuration file is not TOML.
    #[error("{}: not valid TOML: {problem}", path.display())]
    Toml {
        /// The path.
        path: PathBuf,
        /// The parser's message, which names line and column.
        problem: String,
    },
    /// The output folder holds something that must not be overwritten.
    #[error("{}: {problem}", path.display())]
    Occupied {
        /// The folder.
        path: PathBuf,
        /// What is there and what to do.
        problem: String,
    },
    /// A checkpoint is damaged or belongs to another run.
    #[error("{}: this checkpoint cannot be used: {problem}", path.display())]
    Checkpoint {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// Training left the numbers that can be represented.
    #[error(
        "the training diverged in epoch {epoch}: the {what} is {value}; a smaller learning rate may help"
    )]
    Diverged {
        /// The epoch, from 1.
        epoch: usize,
        /// Which figure.
        what: &'static str,
        /// Its value.
        value: f64,
    },
    /// The user asked to stop; the state is saved.
    #[error("interrupted{}", saved.as_ref().map(|path| format!("; the state is saved, continue with --resume --out {}", path.display())).unwrap_or_default())]
    Interrupted {
        /// Where the state was saved, if the run has a folder.
        saved: Option<PathBuf>,
    },
    /// The core refused an input.
    #[error(transparent)]
    Core(#[from] candor::Error),
    /// A loss module refused an input.
    #[error(transparent)]
    Loss(#[from] candor_burn::Error),
    /// Something that should not happen, reported rather than hidden.
    #[error("internal error: {0}")]
    Internal(String),
}

impl Error {
    /// Whether the request or its input is at fault (exit status 2) rather than the run (1).
    pub fn is_input(&self) -> bool {
        !matches!(self, Error::Diverged { .. } | Error::Interrupted { .. } | Error::Internal(_))
    }

    /// A format error.
    pub(crate) fn format(path: impl Into<PathBuf>, problem: impl Into<String>) -> Self {
        Error::Format { path: path.into(), problem: problem.into() }
    }

    /// A closure that turns an I/O error into this crate's.
    pub(crate) fn io(path: &std::path::Path, action: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Error::Io { path, action, source }
    }

    /// A configuration error.
    pub(crate) fn config(key: &str, got: impl std::fmt::Display, problem: impl Into<String>) -> Self {
        Error::Config { key: key.to_owned(), got: got.to_string(), problem: problem.into() }
    }
}

/// A result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;
