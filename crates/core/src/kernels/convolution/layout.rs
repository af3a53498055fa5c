//! Images between the two layouts: one plane a channel outside, channels last inside.

use super::geometry::Frame;
use crate::batch::Storage;

/// Channels that are moved together, so that what is written lies in one line of the cache.
const TOGETHER: usize = 16;

/// Writes planes `[channels, rows, columns]` into a frame, from pixel `border` on; a frame may have more channels.
pub(super) fn into_frame<T: Storage>(
    planes: &[T],
    [rows, columns]: [usize; 2],
    frame: &Frame,
    border: [usize; 2],
    out: &mut [T],
) {
    let channels = planes.len() / (rows * columns);
    for first in (0..channels).step_by(TOGETHER) {
        let last = channels.min(first + TOGETHER);
        for row in 0..rows {
            let at = frame.at(border[0] + row, border[1]);
            let out = &mut out[at..at + columns * frame.channels];
            for channel in first..last {
                let plane = &planes[(channel * rows + row) * columns..][..columns];
                for (pixel, value) in out.chunks_exact_mut(frame.channels).zip(plane) {
                    pixel[channel] = *value;
                }
            }
        }
    }
}

/// Reads planes `[channels, rows, columns]` out of a frame, from pixel `border` on.
pub(super) fn from_frame<T: Storage>(
    frame: &Frame,
    values: &[T],
    [rows, columns]: [usize; 2],
    border: [usize; 2],
    planes: &mut [T],
) {
    let channels = planes.len() / (rows * columns);
    for first in (0..channels).step_by(TOGETHER) {
        let last = channels.min(first + TOGETHER);
        for row in 0..rows {
            let at = frame.at(border[0] + row, border[1]);
            let values = &values[at..at + columns * frame.channels];
            for channel in first..last {
                let plane = &mut planes[(channel * rows + row) * columns..][..columns];
                for (pixel, value) in values.chunks_exact(frame.channels).zip(plane) {
                    *value = pixel[channel];
                }
            }
        }
    }
}
