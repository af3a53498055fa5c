//! Where results go: the folder asked for, or the first free one under `runs/`.

use std::path::{Path, PathBuf};

use candor_recipes::{Error, Result};

/// The folder asked for, or `runs/{stem}-1`, `-2`, …, whichever does not exist yet.
pub fn choose(given: Option<&Path>, stem: &str) -> PathBuf {
    match given {
        Some(path) => path.to_owned(),
        None => (1..)
            .map(|number| Path::new("runs").join(format!("{stem}-{number}")))
            .find(|path| !path.exists())
            .unwrap_or_default(),
    }
}

/// Makes sure that files can be written into a folder, before hours of work rely on it.
///
/// # Errors
/// [`Error::Io`] naming the folder.
pub fn check_writable(path: &Path) -> Result<()> {
    std::fs::create_dir_all(path)
        .and_then(|()| tempfile::Builder::new().prefix(".candor-").tempfile_in(path).map(|_| ()))
        .map_err(|source| Error::Io { path: path.to_owned(), action: "writing into the folder", source })
}
