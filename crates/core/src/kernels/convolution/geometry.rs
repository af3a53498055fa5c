//! Where the windows of a convolution lie in images with their channels last and a border of zeros.

/// A run of consecutive values that a window sees, relative to where the window begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    pub from: usize,
    pub len: usize,
}

/// An image with its channels last inside a border.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Frame {
    pub channels: usize,
    pub height: usize,
    pub width: usize,
}

impl Frame {
    /// Number of values.
    pub fn len(&self) -> usize {
        self.height * self.width * self.channels
    }

    /// Where a pixel begins.
    pub fn at(&self, row: usize, column: usize) -> usize {
        (row * self.width + column) * self.channels
    }

    /// What a kernel sees: one run for each of its rows.
    pub fn runs(&self, [height, width]: [usize; 2]) -> Vec<Run> {
        (0..height).map(|row| Run { from: self.at(row, 0), len: width * self.channels }).collect()
    }

    /// Where the windows of an output of `[height, width]` begin, row by row.
    pub fn places(&self, [height, width]: [usize; 2], stride: [usize; 2]) -> Vec<usize> {
        let rows = (0..height).flat_map(|row| (0..width).map(move |column| (row, column)));
        rows.map(|(row, column)| self.at(row * stride[0], column * stride[1])).collect()
    }
}
