//! TensorBoard event files: figures of a run as scalar summaries.
//!
//! A file is a chain of TFRecord frames: the length of the data (u64), a checksum of the length, the data,
//! a checksum of the data, all little-endian. The checksum is CRC-32C (Castagnoli), rotated and offset. The
//! data of a frame is one `Event` message of TensorFlow's `event.proto`; the first one names the version of
//! the format, each other one holds the figures of one step. Only five of its fields occur, so the messages
//! are encoded here.

use std::path::Path;

use crate::error::Result;
use crate::files::Log;

/// The file's name in a run's folder. TensorBoard looks for `tfevents` in the name; the rest is free, and
/// without a time or a host in it a resumed run continues its file.
pub const FILE_NAME: &str = "events.out.tfevents.0.candor";

/// What the first event of a file says.
const FILE_VERSION: &str = "brain.Event:2";

/// A TensorBoard event file that can be cut back to a known length.
///
/// The bytes depend on nothing but the arguments. The length of a frame depends on the tags and the step
/// only, so the frames of a resumed run begin where those of the first sitting did: a TensorBoard that has
/// read past the cut finds itself between two frames again.
#[derive(Debug)]
pub struct EventLog {
    log: Log,
}

impl EventLog {
    /// Opens a log and cuts it back to `length` bytes: what a checkpoint says had been written.
    ///
    /// # Errors
    /// [`Error::Io`], or [`Error::Format`] if the log is shorter than that.
    pub fn open_at(path: &Path, length: u64) -> Result<Self> {
        Ok(Self { log: Log::open_at(path, length)? })
    }

    /// Appends the figures of one step; without figures, nothing.
    ///
    /// `wall_time` is in seconds since 1970. The format holds values as f32; NaN and infinities are kept.
    /// The version of the format goes before the first figures, with their time.
    ///
    /// # Errors
    /// [`Error::Io`] naming the path.
    pub fn append(&mut self, step: u64, wall_time: f64, values: &[(&str, f64)]) -> Result<()> {
        if values.is_empty() {
            return Ok(());
        }
        let mut bytes = Vec::new();
        if self.log.length() == 0 {
            frame(&mut bytes, &version_event(wall_time));
        }
        frame(&mut bytes, &scalar_event(step, wall_time, values));
        self.log.append_bytes(&bytes)
    }

    /// Number of bytes written so far, all on disk.
    ///
    /// # Errors
    /// [`Error::Io`] naming the path.
    pub fn synced_length(&self) -> Result<u64> {
        self.log.synced_length()
    }
}

/// The keys of the messages' fields: the field's number and how its value is stored.
mod key {
    const EIGHT_BYTES: u8 = 1;
    const BYTES: u8 = 2;
    const FOUR_BYTES: u8 = 5;

    pub(super) const EVENT_WALL_TIME: u8 = 1 << 3 | EIGHT_BYTES;
    pub(super) const EVENT_STEP: u8 = 2 << 3;
    pub(super) const EVENT_FILE_VERSION: u8 = 3 << 3 | BYTES;
    pub(super) const EVENT_SUMMARY: u8 = 5 << 3 | BYTES;
    pub(super) const SUMMARY_VALUE: u8 = 1 << 3 | BYTES;
    pub(super) const VALUE_TAG: u8 = 1 << 3 | BYTES;
    pub(super) const VALUE_SIMPLE_VALUE: u8 = 2 << 3 | FOUR_BYTES;
}

/// `Event { wall_time, file_version }`
fn version_event(wall_time: f64) -> Vec<u8> {
    let mut event = wall_time_field(wall_time);
    bytes_field(&mut event, key::EVENT_FILE_VERSION, FILE_VERSION.as_bytes());
    event
}

/// `Event { wall_time, step, summary: Summary { value: [Value { tag, simple_value }] } }`
fn scalar_event(step: u64, wall_time: f64, values: &[(&str, f64)]) -> Vec<u8> {
    let mut summary = Vec::new();
    for (tag, value) in values {
        let mut message = Vec::new();
        bytes_field(&mut message, key::VALUE_TAG, tag.as_bytes());
        message.push(key::VALUE_SIMPLE_VALUE);
        message.extend((*value as f32).to_le_bytes());
        bytes_field(&mut summary, key::SUMMARY_VALUE, &message);
    }
    let mut event = wall_time_field(wall_time);
    event.push(key::EVENT_STEP);
    varint(&mut event, step);
    bytes_field(&mut event, key::EVENT_SUMMARY, &summary);
    event
}

fn wall_time_field(wall_time: f64) -> Vec<u8> {
    let mut event = vec![key::EVENT_WALL_TIME];
    event.extend(wall_time.to_le_bytes());
    event
}

fn bytes_field(message: &mut Vec<u8>, key: u8, value: &[u8]) {
    message.push(key);
    varint(message, value.len() as u64);
    message.extend(value);
}

/// Seven bits a byte, the lowest first; the top bit says that more follow.
fn varint(message: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        message.push(value as u8 | 0x80);
        value >>= 7;
    }
    message.push(value as u8);
}

/// Appends a TFRecord frame.
fn frame(bytes: &mut Vec<u8>, data: &[u8]) {
    let length = (data.len() as u64).to_le_bytes();
    bytes.extend(length);
    bytes.extend(masked_crc32c(&length).to_le_bytes());
    bytes.extend(data);
    bytes.extend(masked_crc32c(data).to_le_bytes());
}

/// TFRecord's checksum: rotated and offset, so that data with checksums in it can be checked as well.
fn masked_crc32c(data: &[u8]) -> u32 {
    crc32c(data).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// CRC-32C; a table will do, as a step's figures are some hundred bytes.
fn crc32c(data: &[u8]) -> u32 {
    !data.iter().fold(!0, |crc, byte| CRC32C_TABLE[usize::from(crc as u8 ^ byte)] ^ (crc >> 8))
}

const CRC32C_TABLE: [u32; 256] = {
    // Castagnoli's polynomial, the lowest power in the highest bit.
    const POLYNOMIAL: u32 = 0x82f6_3b78;
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ POLYNOMIAL } else { crc >> 1 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files;

    fn log(folder: &tempfile::TempDir, length: u64) -> EventLog {
        EventLog::open_at(&folder.path().join(FILE_NAME), length).unwrap()
    }

    fn written(folder: &tempfile::TempDir) -> Vec<u8> {
        files::read(&folder.path().join(FILE_NAME)).unwrap()
    }

    #[test]
    fn the_checksum_has_the_published_values() {
        // RFC 3720, appendix B.4, and the usual check value of a CRC.
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
        assert_eq!(crc32c(&[]), 0);
    }

    #[test]
    fn frames_are_those_worked_by_hand() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = log(&folder, 0);
        log.append(300, 1.5, &[("a/b", 0.25), ("c", -2.0)]).unwrap();
        // The version: 24 bytes; every event file begins with these 12 bytes.
        let mut want = vec![24, 0, 0, 0, 0, 0, 0, 0, 0xa3, 0x7f, 0x4b, 0x22];
        let version = b"\x09\0\0\0\0\0\0\xf8\x3f\x1a\x0dbrain.Event:2";
        want.extend(version);
        want.extend(masked_crc32c(version).to_le_bytes());
        // 1.5 = 0x3ff8…; 300 = 0b10_0101100; 0.25 = 0x3e80_0000; -2 = 0xc000_0000.
        let scalars =
            b"\x09\0\0\0\0\0\0\xf8\x3f\x10\xac\x02\x2a\x16\x0a\x0a\x0a\x03a/b\x15\0\0\x80\x3e\x0a\x08\x0a\x01c\x15\0\0\0\xc0";
        want.extend([scalars.len() as u8, 0, 0, 0, 0, 0, 0, 0]);
        want.extend(masked_crc32c(&[scalars.len() as u8, 0, 0, 0, 0, 0, 0, 0]).to_le_bytes());
        want.extend(scalars);
        want.extend(masked_crc32c(scalars).to_le_bytes());
        assert_eq!(written(&folder), want);
        assert_eq!(log.synced_length().unwrap(), want.len() as u64);
    }

    #[test]
    fn numbers_of_any_size_are_encoded() {
        let encoded = |value| {
            let mut bytes = Vec::new();
            varint(&mut bytes, value);
            bytes
        };
        assert_eq!((encoded(0), encoded(127), encoded(128)), (vec![0], vec![127], vec![0x80, 1]));
        assert_eq!(encoded(i64::MAX as u64), [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]);
    }

    #[test]
    fn a_resumed_log_has_the_bytes_of_one_that_never_stopped() {
        let (whole, resumed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let steps: Vec<(u64, f64)> = (1..=5).map(|step| (step * 100, 1.0 / step as f64)).collect();
        let append = |log: &mut EventLog, steps: &[(u64, f64)], wall_time: f64| {
            for (step, value) in steps {
                log.append(*step, wall_time, &[("train/loss", *value), ("train/accuracy", 1.0 - value)])
                    .unwrap();
            }
        };
        append(&mut log(&whole, 0), &steps, 7.0);
        let mut first = log(&resumed, 0);
        append(&mut first, &steps[..2], 7.0);
        let length = first.synced_length().unwrap();
        append(&mut first, &steps[2..4], 8.0);
        first.log.append_bytes(b"half a frame").unwrap();
        drop(first);
        append(&mut log(&resumed, length), &steps[2..], 7.0);
        assert_eq!(written(&whole), written(&resumed));
        // From the start again: the version is written anew.
        append(&mut log(&resumed, 0), &steps, 7.0);
        assert_eq!(written(&whole), written(&resumed));
    }

    #[test]
    fn a_log_without_figures_is_empty_and_a_short_one_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let mut empty = log(&folder, 0);
        empty.append(1, 2.0, &[]).unwrap();
        assert_eq!((written(&folder).len(), empty.synced_length().unwrap()), (0, 0));
        let path = folder.path().join(FILE_NAME);
        let message = EventLog::open_at(&path, 99).unwrap_err().to_string();
        assert!(message.contains("has 0 bytes, but the checkpoint was taken after 99"), "{message}");
        let nowhere = folder.path().join("nowhere").join(FILE_NAME);
        assert!(matches!(EventLog::open_at(&nowhere, 0), Err(crate::Error::Io { .. })));
    }
}
