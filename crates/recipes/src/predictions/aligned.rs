//! One stream, or two with the same rows side by side, in pieces that both agree on.

use std::ops::Range;
use std::sync::Arc;

use super::{Chunk, Stream};
use crate::error::{Error, Result};

/// Rows of a chunk, and where they come from.
#[derive(Clone)]
pub(super) struct Side {
    pub(super) file: Arc<str>,
    pub(super) chunk: Arc<Chunk>,
    pub(super) rows: Range<usize>,
}

/// Rows of the first stream, with the same ones of the other if there is another.
pub(super) struct Piece {
    pub(super) first: Side,
    pub(super) other: Option<Side>,
}

/// A stream with what is left of its last chunk.
struct Rest {
    stream: Stream,
    side: Option<Side>,
    rows: u64,
}

impl Rest {
    fn new(stream: Stream) -> Self {
        Self { stream, side: None, rows: 0 }
    }

    /// The rows that come next; `None` at the end.
    fn fill(&mut self) -> Result<Option<&mut Side>> {
        if self.side.is_none()
            && let Some((file, chunk)) = self.stream.next_chunk()?
        {
            self.rows += chunk.n_rows() as u64;
            let rows = 0..chunk.n_rows();
            self.side = Some(Side { file, chunk: Arc::new(chunk), rows });
        }
        Ok(self.side.as_mut())
    }

    /// Takes the next rows.
    fn take(&mut self, n: usize) -> Option<Side> {
        let side = self.side.as_mut()?;
        let mut taken = side.clone();
        taken.rows.end = taken.rows.start + n;
        side.rows.start = taken.rows.end;
        if side.rows.is_empty() {
            self.side = None;
        }
        Some(taken)
    }
}

/// The pieces of one or two streams.
pub(super) struct Pieces {
    first: Rest,
    other: Option<Rest>,
}

impl Pieces {
    pub(super) fn new(first: Stream, other: Option<Stream>) -> Self {
        Self { first: Rest::new(first), other: other.map(Rest::new) }
    }

    /// The next piece; `None` after the last.
    ///
    /// # Errors
    /// Those of the streams; [`Error::Format`] where one has more rows than the other.
    pub(super) fn next_piece(&mut self) -> Result<Option<Piece>> {
        let Some(rest) = &mut self.other else {
            return Ok(match self.first.fill()? {
                Some(side) => {
                    let n = side.rows.len();
                    self.first.take(n).map(|first| Piece { first, other: None })
                }
                None => None,
            });
        };
        let here = self.first.fill()?.map(|side| side.rows.len());
        let there = rest.fill()?.map(|side| side.rows.len());
        match (here, there) {
            (None, None) => Ok(None),
            (Some(a), Some(b)) => {
                let n = a.min(b);
                let sides = self.first.take(n).zip(rest.take(n));
                Ok(sides.map(|(first, other)| Piece { first, other: Some(other) }))
            }
            (here, _) => {
                let (longer, shorter) =
                    if here.is_some() { (&self.first, &*rest) } else { (&*rest, &self.first) };
                let problem = format!(
                    "has {} rows, but {} has more; the same rows are needed in the same order",
                    shorter.rows,
                    longer.stream.name()
                );
                Err(Error::format(shorter.stream.name(), problem))
            }
        }
    }
}
