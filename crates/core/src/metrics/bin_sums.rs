//! Sums of many rows of weight 1 by bin, in whole numbers: the fast way into a reliability table.
//!
//! A single-precision confidence of at least 1/64 is a multiple of 2^-30, its square one of 2^-60, and the bin
//! of `k·2^-30` among n bins `(a, b]` is `(k·n - 1) >> 30`: 64 bits are enough for a block of rows. Any other
//! confidence goes to the grid of [`ExactSum`](super::ExactSum) by itself. Both give the bits that adding the
//! rows one by one gives.

use super::exact_sum::on_grid;
use super::{BinEdges, EdgeRule};
use crate::batch::{DType, Scalar};

/// Tables of more bins take their rows one by one.
const MAX_BINS: usize = 256;
/// The largest block of rows.
const BLOCK: usize = 4096;
/// Rows whose places are found together.
const CHUNK: usize = 1024;
/// One row, above the sum of its block's fixed-point confidences.
const ROW: u64 = 1 << 48;
/// Adding this to a number in [0, 1] leaves it in the low bits of the sum, in multiples of 2^-30.
const FIXED: f64 = 6_291_456.0; // 1.5 * 2^22
/// The bits of 1/64, and their distance from those of 1: what lies between is a multiple of 2^-30.
const LEAST: u32 = (1.0_f32 / 64.0).to_bits();
const SPAN: u32 = 1.0_f32.to_bits() - LEAST;
/// Above every cell.
const ELSEWHERE: u32 = 1 << 31;

/// Rows of one part of a bin with one outcome.
#[derive(Debug, Clone, Copy)]
struct FixedCell {
    /// Σ k, and the number of rows above 2^48.
    packed: u64,
    /// Σ (k - centre)².
    squares: u64,
    centre: u64,
}

/// Rows of one bin with one outcome, on the grid of 2^-60.
#[derive(Debug, Clone, Copy, Default)]
struct GridCell {
    count: u64,
    sum: u128,
    squares: u128,
}

/// What rows of one bin with one outcome add to it: count, and sums on the grid of 2^-60.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct CellSum {
    pub(super) count: u64,
    pub(super) confidence: i128,
    pub(super) squares: i128,
}

/// Sums of a block of rows; see the module.
#[derive(Debug, Clone)]
pub(super) struct BinSums {
    /// Parts of bins: an odd number of bins is halved, so that 1/2 is an edge of parts. None for edges that
    /// are not `k/n`.
    parts: u32,
    parts_a_bin: usize,
    fixed: Vec<FixedCell>,
    places: Places,
    grid: GridSums,
}

/// Sums of the rows that have no place among the parts.
#[derive(Debug, Clone)]
struct GridSums {
    edges: BinEdges,
    cells: Vec<GridCell>,
    /// Confidences of a chunk and their squares on the grid, and their cells.
    confidences: Vec<u64>,
    squares: Vec<u64>,
    places: Vec<u32>,
    /// Rows whose event is the likelier one.
    foretold: u64,
}

/// Where the rows of a chunk go: their fixed-point confidence and their cell, [`ELSEWHERE`] without one.
#[derive(Debug, Clone)]
struct Places {
    fixed: Vec<u32>,
    cells: Vec<u32>,
}

impl BinSums {
    /// Empty sums, for a table with these edges that is not too large.
    pub(super) fn new(edges: &BinEdges) -> Option<Self> {
        let n = edges.n_bins();
        if n > MAX_BINS {
            return None;
        }
        let parts_a_bin = 1 + n % 2;
        let regular = edges.rule() == EdgeRule::RightClosed && edges.are_even();
        let parts = if regular { n * parts_a_bin } else { 0 };
        let cell = |at: usize| FixedCell {
            packed: 0,
            squares: 0,
            centre: ((2 * (at / 2) as u64 + 1) << 29) / parts as u64,
        };
        Some(Self {
            parts: parts as u32,
            parts_a_bin,
            fixed: (0..2 * parts).map(cell).collect(),
            places: Places { fixed: vec![0; CHUNK], cells: vec![0; CHUNK] },
            grid: GridSums {
                edges: edges.clone(),
                cells: vec![GridCell::default(); 2 * n],
                confidences: vec![0; CHUNK],
                squares: vec![0; CHUNK],
                places: vec![0; CHUNK],
                foretold: 0,
            },
        })
    }

    /// The largest number of rows between two calls of [`take`](Self::take): more could overflow.
    pub(super) fn block(&self) -> usize {
        // A distance from the centre is at most 2^29/parts + 1.
        if self.parts == 0 { BLOCK } else { BLOCK.min(32 * (self.parts * self.parts) as usize) }
    }

    /// Adds rows up to the first confidence outside of [0, 1], and gives their number; `happened` is 1 for an
    /// event that happened and 0 for one that did not.
    #[inline]
    pub(super) fn add<T: Scalar, E: Copy>(
        &mut self,
        confidences: &[T],
        events: &[E],
        happened: impl Fn(E) -> u32,
    ) -> usize {
        let mut done = 0;
        for (confidences, events) in confidences.chunks(CHUNK).zip(events.chunks(CHUNK)) {
            let elsewhere = self.find(confidences, events, &happened);
            // Where rows of both ways are mixed evenly, the choice between them costs more than it saves.
            let added = if elsewhere > confidences.len() / 4 {
                self.grid.add_all(confidences, events, &happened)
            } else {
                self.add_found(confidences, events, &happened)
            };
            done += added;
            if added < confidences.len() {
                break;
            }
        }
        done
    }

    /// Finds the places of a chunk of rows; gives the number of those without one.
    #[inline]
    fn find<T: Scalar, E: Copy>(
        &mut self,
        confidences: &[T],
        events: &[E],
        happened: impl Fn(E) -> u32,
    ) -> usize {
        if self.parts == 0 {
            return confidences.len();
        }
        let (parts, mut elsewhere) = (self.parts, 0_u32);
        let rows = confidences.iter().zip(events);
        let places = self.places.fixed.iter_mut().zip(&mut self.places.cells);
        for ((confidence, event), (fixed, cell)) in rows.zip(places) {
            let double = confidence.to_f64();
            let single = double as f32;
            let is_single = T::DTYPE == DType::F32 || f64::from(single) == double;
            let outside = u32::from(single.to_bits().wrapping_sub(LEAST) > SPAN) | u32::from(!is_single);
            elsewhere += outside;
            *fixed = (double + FIXED).to_bits() as u32;
            let part = ((u64::from(*fixed) * u64::from(parts)).wrapping_sub(1) >> 30) as u32;
            *cell = (part << 1) | happened(*event) | (outside * ELSEWHERE);
        }
        elsewhere as usize
    }

    /// Adds a chunk of rows of which most have a place.
    #[inline]
    fn add_found<T: Scalar, E: Copy>(
        &mut self,
        confidences: &[T],
        events: &[E],
        happened: impl Fn(E) -> u32,
    ) -> usize {
        let Self { fixed, places, grid, .. } = self;
        let found = places.fixed.iter().zip(&places.cells);
        for (row, ((k, cell), (confidence, event))) in found.zip(confidences.iter().zip(events)).enumerate() {
            if let Some(cell) = fixed.get_mut(*cell as usize) {
                let k = u64::from(*k);
                cell.packed += k + ROW;
                let distance = k.wrapping_sub(cell.centre);
                cell.squares += distance.wrapping_mul(distance);
            } else if !grid.add(confidence.to_f64(), happened(*event)) {
                return row;
            }
        }
        confidences.len()
    }

    /// Takes a bin's sums, of the rows in which the event did not happen and of those in which it did.
    pub(super) fn take(&mut self, bin: usize) -> [CellSum; 2] {
        [0, 1].map(|happened| {
            let cell = std::mem::take(&mut self.grid.cells[2 * bin + happened]);
            let mut sum =
                CellSum { count: cell.count, confidence: cell.sum as i128, squares: cell.squares as i128 };
            if self.parts == 0 {
                return sum;
            }
            for part in bin * self.parts_a_bin..(bin + 1) * self.parts_a_bin {
                let cell = &mut self.fixed[2 * part + happened];
                let (count, k) = (cell.packed / ROW, i128::from(cell.packed % ROW));
                let centre = i128::from(cell.centre);
                // Σ k² = Σ (k - c)² + 2c Σ k - Σ c².
                sum.squares +=
                    i128::from(cell.squares) + 2 * centre * k - i128::from(count) * centre * centre;
                sum.confidence += k << 30;
                sum.count += count;
                self.grid.foretold +=
                    if (2 * part >= self.parts as usize) == (happened == 1) { count } else { 0 };
                (cell.packed, cell.squares) = (0, 0);
            }
            sum
        })
    }

    /// Takes the number of rows in which the event happened with a confidence above 1/2, or did not with one of
    /// at most 1/2; complete once every bin was taken.
    pub(super) fn take_foretold(&mut self) -> u64 {
        std::mem::take(&mut self.grid.foretold)
    }
}

impl GridSums {
    /// Adds one row, unless its confidence is outside of [0, 1].
    #[inline]
    fn add(&mut self, confidence: f64, happened: u32) -> bool {
        let valid = (0.0..=1.0).contains(&confidence);
        if valid {
            let cell = &mut self.cells[2 * self.edges.bin(confidence) + happened as usize];
            cell.count += 1;
            cell.sum += u128::from(on_grid(confidence));
            cell.squares += u128::from(on_grid(confidence * confidence));
            self.foretold += u64::from(u32::from(confidence > 0.5) == happened);
        }
        valid
    }

    /// Adds a chunk of rows up to the first confidence outside of [0, 1], and gives their number.
    #[inline]
    fn add_all<T: Scalar, E: Copy>(
        &mut self,
        confidences: &[T],
        events: &[E],
        happened: impl Fn(E) -> u32,
    ) -> usize {
        let is_valid = |confidence: &T| (0.0..=1.0).contains(&confidence.to_f64());
        let invalid = confidences.iter().fold(0, |any, confidence| any | u32::from(!is_valid(confidence)));
        let valid = if invalid == 0 { None } else { confidences.iter().position(|value| !is_valid(value)) };
        let valid = valid.unwrap_or(confidences.len());
        let Self { edges, cells, confidences: sums, squares, places, foretold } = self;
        let rows = || confidences[..valid].iter().map(|value| value.to_f64()).zip(events);
        for ((confidence, _), (sum, square)) in rows().zip(sums.iter_mut().zip(squares.iter_mut())) {
            (*sum, *square) = (on_grid(confidence), on_grid(confidence * confidence));
        }
        for ((confidence, event), place) in rows().zip(places.iter_mut()) {
            *place = 2 * edges.bin(confidence) as u32 + happened(*event);
        }
        *foretold += rows()
            .map(|(confidence, event)| u64::from(u32::from(confidence > 0.5) == happened(*event)))
            .sum::<u64>();
        for (place, (sum, square)) in places[..valid].iter().zip(sums.iter().zip(squares.iter())) {
            let cell = &mut cells[*place as usize];
            cell.count += 1;
            cell.sum += u128::from(*sum);
            cell.squares += u128::from(*square);
        }
        valid
    }
}
