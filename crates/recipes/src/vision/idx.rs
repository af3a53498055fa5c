//! The IDX format of the MNIST family, plain or gzip.
//!
//! Big-endian header: two zero bytes, the element type, the number of axes, then the size of each axis.

use std::path::Path;

use crate::error::{Error, Result};
use crate::files;

/// An array of bytes with its axes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct IdxArray {
    pub shape: Vec<usize>,
    pub data: Vec<u8>,
}

const UNSIGNED_BYTE: u8 = 0x08;

/// Reads an array of unsigned bytes; `bytes` may be compressed.
pub(super) fn parse(path: &Path, bytes: &[u8]) -> Result<IdxArray> {
    let bytes = &files::unpacked(path, bytes)?[..];
    let bad = |problem: String| Error::format(path, problem);
    let Some((&[zero_a, zero_b, element, axes], rest)) = bytes.split_first_chunk::<4>() else {
        return Err(bad(format!("has {} bytes, too few for an IDX header", bytes.len())));
    };
    if (zero_a, zero_b) != (0, 0) || axes == 0 {
        return Err(bad(format!(
            "is no IDX file: it begins with {zero_a:02x} {zero_b:02x} {element:02x} {axes:02x}"
        )));
    }
    if element != UNSIGNED_BYTE {
        return Err(bad(format!(
            "holds elements of type 0x{element:02x}, but unsigned bytes (0x08) are needed"
        )));
    }
    let axes = usize::from(axes);
    if rest.len() < axes * 4 {
        return Err(bad(format!("has {} bytes, too few for an IDX header of {axes} axes", bytes.len())));
    }
    let (header, data) = rest.split_at(axes * 4);
    let shape: Vec<usize> = header
        .chunks_exact(4)
        .map(|size| u32::from_be_bytes([size[0], size[1], size[2], size[3]]) as usize)
        .collect();
    let expected = shape.iter().try_fold(1_usize, |product, size| product.checked_mul(*size));
    if expected != Some(data.len()) {
        let kind =
            if expected.is_none_or(|expected| data.len() < expected) { "truncated" } else { "too long" };
        let expected =
            expected.map_or("more than fits in memory".to_owned(), |expected| expected.to_string());
        return Err(bad(format!(
            "is {kind}: its header says {shape:?} = {expected} bytes, but {} follow",
            data.len()
        )));
    }
    Ok(IdxArray { shape, data: data.to_vec() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn file(shape: &[u32], data: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0, 0, UNSIGNED_BYTE, shape.len() as u8];
        shape.iter().for_each(|size| bytes.extend(size.to_be_bytes()));
        bytes.extend(data);
        bytes
    }

    #[test]
    fn plain_and_compressed_files_read_alike() {
        let bytes = file(&[2, 3], &[1, 2, 3, 4, 5, 6]);
        let want = IdxArray { shape: vec![2, 3], data: vec![1, 2, 3, 4, 5, 6] };
        assert_eq!(parse(Path::new("a"), &bytes).unwrap(), want);
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(&bytes).unwrap();
        let packed = encoder.finish().unwrap();
        assert_eq!(parse(Path::new("a.gz"), &packed).unwrap(), want);
        let message = parse(Path::new("a.gz"), &packed[..packed.len() - 9]).unwrap_err().to_string();
        assert!(message.starts_with("a.gz: the gzip data is damaged or truncated"), "{message}");
    }

    #[test]
    fn every_damage_is_named() {
        let message = |bytes: &[u8]| parse(Path::new("a"), bytes).unwrap_err().to_string();
        assert!(message(&[0, 0]).contains("too few for an IDX header"));
        assert!(message(&[0, 0, 8, 3, 0]).contains("header of 3 axes"));
        assert!(message(b"PNG no").contains("is no IDX file"));
        assert!(message(&[0, 0, 0x0d, 1, 0, 0, 0, 1, 0]).contains("type 0x0d"));
        assert!(
            message(&file(&[4], &[1, 2]))
                .contains("is truncated: its header says [4] = 4 bytes, but 2 follow")
        );
        assert!(message(&file(&[1], &[1, 2])).contains("too long"));
        assert!(message(&file(&[u32::MAX, u32::MAX, u32::MAX], &[])).contains("truncated"));
    }
}
