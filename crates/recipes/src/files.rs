//! Files that are written whole or not at all, and logs that can be cut back to a known length.

use std::borrow::Cow;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::path::Path;

use flate2::read::MultiGzDecoder;

use crate::error::{Error, Result};

/// Writes a file by a temporary name beside it, synced and renamed: readers see all of it or none.
///
/// # Errors
/// [`Error::Io`] naming the path.
pub fn write_atomic(path: &Path, content: impl FnOnce(&mut File) -> std::io::Result<()>) -> Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut temporary = tempfile::Builder::new()
        .prefix(".candor-")
        .tempfile_in(folder)
        .map_err(Error::io(path, "writing"))?;
    content(temporary.as_file_mut()).map_err(Error::io(path, "writing"))?;
    set_usual_permissions(temporary.as_file()).map_err(Error::io(path, "writing"))?;
    temporary.as_file().sync_all().map_err(Error::io(path, "syncing"))?;
    temporary.persist(path).map_err(|error| Error::io(path, "writing")(error.error))?;
    // The rename is durable once the folder is synced; some file systems cannot sync a folder.
    if let Ok(folder) = File::open(folder) {
        let _ = folder.sync_all();
    }
    Ok(())
}

/// Temporary files are private; results get the permissions of ordinary files.
fn set_usual_permissions(file: &File) -> std::io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        file.set_permissions(fs::Permissions::from_mode(0o644))?;
    }
    #[cfg(not(unix))]
    let _ = file;
    Ok(())
}

/// Writes bytes with [`write_atomic`].
///
/// # Errors
/// [`Error::Io`] naming the path.
pub fn write_bytes(path: &Path, bytes: &[u8]) -> Result<()> {
    write_atomic(path, |file| file.write_all(bytes))
}

/// Reads a whole file.
///
/// # Errors
/// [`Error::Io`] naming the path.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(Error::io(path, "reading"))
}

/// The bytes of a file, which may be gzip data; nothing that is read here plain begins like that.
///
/// # Errors
/// [`Error::Format`] for damaged data.
pub fn unpacked<'a>(path: &Path, bytes: &'a [u8]) -> Result<Cow<'a, [u8]>> {
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        return Ok(Cow::Borrowed(bytes));
    }
    let mut buffer = Vec::new();
    MultiGzDecoder::new(bytes)
        .read_to_end(&mut buffer)
        .map_err(|error| Error::format(path, format!("the gzip data is damaged or truncated: {error}")))?;
    Ok(Cow::Owned(buffer))
}

/// Makes a folder and those above it.
///
/// # Errors
/// [`Error::Io`] naming the path.
pub fn create_folder(path: &Path) -> Result<()> {
    fs::create_dir_all(path).map_err(Error::io(path, "creating the folder"))
}

/// A text log with one JSON document a line.
#[derive(Debug)]
pub struct Log {
    file: File,
    path: std::path::PathBuf,
    length: u64,
}

impl Log {
    /// Opens a log and cuts it back to `length` bytes: what a checkpoint says had been written.
    ///
    /// # Errors
    /// [`Error::Io`], or [`Error::Format`] if the log is shorter than that.
    pub fn open_at(path: &Path, length: u64) -> Result<Self> {
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path)
            .map_err(Error::io(path, "opening"))?;
        let found = file.metadata().map_err(Error::io(path, "opening"))?.len();
        if found < length {
            let problem = format!("the log has {found} bytes, but the checkpoint was taken after {length}");
            return Err(Error::format(path, problem));
        }
        file.set_len(length).map_err(Error::io(path, "cutting back"))?;
        Ok(Self { file, path: path.to_owned(), length })
    }

    /// Number of bytes written so far.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// Appends bytes.
    ///
    /// # Errors
    /// [`Error::Io`] naming the path.
    pub(crate) fn append_bytes(&mut self, bytes: &[u8]) -> Result<()> {
        use std::io::{Seek, SeekFrom};
        let write = |file: &mut File, at| {
            file.seek(SeekFrom::Start(at))?;
            file.write_all(bytes)
        };
        write(&mut self.file, self.length).map_err(Error::io(&self.path, "writing"))?;
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Appends one document.
    ///
    /// # Errors
    /// [`Error::Io`] naming the path.
    pub fn append(&mut self, document: &impl serde::Serialize) -> Result<()> {
        let mut line = serde_json::to_vec(document).map_err(|error| Error::Internal(error.to_string()))?;
        line.push(b'\n');
        self.append_bytes(&line)
    }

    /// Number of bytes written so far, all on disk.
    ///
    /// # Errors
    /// [`Error::Io`] naming the path.
    pub fn synced_length(&self) -> Result<u64> {
        self.file.sync_data().map_err(Error::io(&self.path, "syncing"))?;
        Ok(self.length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_the_old_file_and_no_trace() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        write_bytes(&path, b"old").unwrap();
        let failed = write_atomic(&path, |file| {
            file.write_all(b"half")?;
            Err(std::io::Error::other("disk full"))
        });
        assert!(matches!(failed, Err(Error::Io { .. })));
        assert_eq!(read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_log_is_cut_back_and_continued() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.jsonl");
        let mut log = Log::open_at(&path, 0).unwrap();
        log.append(&1).unwrap();
        let length = log.synced_length().unwrap();
        log.append(&2).unwrap();
        drop(log);
        let mut log = Log::open_at(&path, length).unwrap();
        log.append(&3).unwrap();
        assert_eq!(read(&path).unwrap(), b"1\n3\n");
        assert!(matches!(Log::open_at(&path, 99), Err(Error::Format { .. })));
    }
}
