//! Invisible shapes over a picture whose `<title>` a browser shows on hover.

use std::fmt::Write;

use super::super::text::escape;
use super::SCALE;

/// Over a point, large enough for a finger.
pub(super) fn circle(over: &mut String, at: (i32, i32), note: &str) {
    if note.is_empty() {
        return;
    }
    // Writing into a string cannot fail.
    let _ = write!(
        over,
        "<circle class=\"h\" cx=\"{}\" cy=\"{}\" r=\"{}\" fill-opacity=\"0\"><title>{}</title></circle>",
        at.0,
        at.1,
        7 * SCALE,
        escape(note)
    );
}

/// Over a rectangle given by two opposite corners; at least two pixels high.
pub(super) fn rectangle(over: &mut String, corners: [(i32, i32); 2], note: &str) {
    if note.is_empty() {
        return;
    }
    let [a, b] = corners;
    let (left, top) = (a.0.min(b.0), a.1.min(b.1));
    let (width, height) = ((a.0 - b.0).abs().max(2), (a.1 - b.1).abs().max(2 * SCALE as i32));
    let _ = write!(
        over,
        "<rect class=\"h\" x=\"{left}\" y=\"{top}\" width=\"{width}\" height=\"{height}\" fill-opacity=\"0\"><title>{}</title></rect>",
        escape(note)
    );
}
