//! The inner loops of a convolution: sums of products that stay in registers.
//!
//! Images stand with their channels last and with a border of zeros, so that what a window of the kernel sees of one
//! row is one run of memory: nothing is gathered into a matrix of columns. A tile holds a few outputs times [`LANES`]
//! channels; each output is summed in a fixed order, so its bits depend on nothing around it.

use super::geometry::Run;
use crate::kernels::isa::{Body, Isa, run_on};
use crate::kernels::real::Real;

/// Channels that a tile computes at once; arrays of output channels are padded to a multiple of it.
pub(super) const LANES: usize = 16;

/// Outputs that a tile computes at once: with [`LANES`] single-precision numbers each they fill 12 of the 16
/// registers of AVX2.
const ROWS: usize = 6;

/// Values of a run that [`sum_into`] holds in registers at once.
const WIDE: usize = 96;

/// `out[p, o] = start[o] + Σ_k x[places[p] + k]·weights[k, o]`, with k over the runs.
///
/// `weights` stands in panels of [`LANES`] outputs, each `[k, LANES]`; rows of `out` and `start` are padded to them.
pub(super) fn correlate<T: Real>(
    isa: Isa,
    x: &[T],
    places: &[usize],
    runs: &[Run],
    weights: &[T],
    start: &[T],
    out: &mut [T],
) {
    let inner: usize = runs.iter().map(|run| run.len).sum();
    let width = start.len();
    let reach = runs.iter().map(|run| run.from + run.len).max().unwrap_or(0);
    let last = places.iter().max().copied().unwrap_or(0);
    assert!(width.is_multiple_of(LANES) && weights.len() == inner * width, "panels of whole lanes");
    assert!(out.len() == places.len() * width && last + reach <= x.len(), "windows within the image");
    // SAFETY: `isa` is available (`Isa::current` or a test that asked); the lengths were checked above.
    unsafe { run_on(isa, Correlate { x, places, runs, weights, start, inner, out }) }
}

struct Correlate<'a, T> {
    x: &'a [T],
    places: &'a [usize],
    runs: &'a [Run],
    weights: &'a [T],
    start: &'a [T],
    inner: usize,
    out: &'a mut [T],
}

impl<T: Real> Body for Correlate<'_, T> {
    type Output = ();

    /// # Safety
    /// The conditions that [`correlate`] checks.
    #[inline(always)]
    unsafe fn run<const FMA: bool>(self) {
        let width = self.start.len();
        let mut spare = [[T::default(); LANES]; ROWS];
        for (panel, start) in self.start.chunks_exact(LANES).enumerate() {
            let weights = &self.weights[panel * LANES * self.inner..][..LANES * self.inner];
            let start: [T; LANES] = std::array::from_fn(|lane| start[lane]);
            for (tile, places) in self.places.chunks(ROWS).enumerate() {
                let first = tile * ROWS * width + panel * LANES;
                let full = places.len() == ROWS;
                // SAFETY: row i of a tile begins at `first + i * width` and has LANES values; the rows that the last
                // tile does not have are computed from its last place and stay in `spare`.
                unsafe {
                    let out = self.out.as_mut_ptr().add(first);
                    let (to, stride) = if full { (out, width) } else { (spare.as_mut_ptr().cast(), LANES) };
                    let (x, places) = (self.x.as_ptr(), whole(places));
                    correlate_tile::<T, FMA>(x, &places, self.runs, weights, start, to, stride);
                }
                if !full {
                    for (row, sums) in spare[..places.len()].iter().enumerate() {
                        self.out[first + row * width..][..LANES].copy_from_slice(sums);
                    }
                }
            }
        }
    }
}

/// A whole tile: the last of a tail again and again. There is one size of tile only, for the compiler keeps the sums of
/// a choice of sizes in memory.
#[inline(always)]
fn whole(places: &[usize]) -> [usize; ROWS] {
    std::array::from_fn(|row| places[row.min(places.len() - 1)])
}

/// # Safety
/// Each of `places` plus each run lies within `x`; `weights` has LANES values for each element of the runs; the rows of
/// `out`, `stride` apart, have LANES values.
#[expect(clippy::needless_range_loop, reason = "iterators keep the sums in memory, 20 times slower")]
#[inline(always)]
unsafe fn correlate_tile<T: Real, const FMA: bool>(
    x: *const T,
    places: &[usize; ROWS],
    runs: &[Run],
    weights: &[T],
    start: [T; LANES],
    out: *mut T,
    stride: usize,
) {
    let mut sums = [start; ROWS];
    let mut weights = weights.as_ptr();
    // SAFETY: within `x`, `weights` and `out`, as the caller vouches.
    unsafe {
        for run in runs {
            let windows: [*const T; ROWS] = std::array::from_fn(|row| x.add(places[row] + run.from));
            for k in 0..run.len {
                let panel = *weights.cast::<[T; LANES]>();
                for row in 0..ROWS {
                    let factor = *windows[row].add(k);
                    for lane in 0..LANES {
                        sums[row][lane] = factor.multiply_add::<FMA>(panel[lane], sums[row][lane]);
                    }
                }
                weights = weights.add(LANES);
            }
        }
        for row in 0..ROWS {
            *out.add(row * stride).cast::<[T; LANES]>() = sums[row];
        }
    }
}

/// `out[k, o] += Σ_p x[places[p] + offsets[k]]·rows[p, o]`; rows of `out` and `rows` are `width` apart, a multiple of
/// [`LANES`].
pub(super) fn accumulate<T: Real>(
    isa: Isa,
    x: &[T],
    places: &[usize],
    offsets: &[usize],
    rows: &[T],
    width: usize,
    out: &mut [T],
) {
    let last = places.iter().max().copied().unwrap_or(0) + offsets.iter().max().copied().unwrap_or(0);
    assert!(width.is_multiple_of(LANES) && rows.len() == places.len() * width, "rows of whole lanes");
    assert!(out.len() == offsets.len() * width && last < x.len(), "windows within the image");
    // SAFETY: as in `correlate`.
    unsafe { run_on(isa, Accumulate { x, places, offsets, rows, width, out }) }
}

struct Accumulate<'a, T> {
    x: &'a [T],
    places: &'a [usize],
    offsets: &'a [usize],
    rows: &'a [T],
    width: usize,
    out: &'a mut [T],
}

impl<T: Real> Body for Accumulate<'_, T> {
    type Output = ();

    /// # Safety
    /// The conditions that [`accumulate`] checks.
    #[inline(always)]
    unsafe fn run<const FMA: bool>(self) {
        let Self { x, places, offsets, rows, width, out } = self;
        for panel in (0..width).step_by(LANES) {
            for (tile, offsets) in offsets.chunks(ROWS).enumerate() {
                let first = tile * ROWS * width + panel;
                let full = offsets.len() == ROWS;
                let mut spare = [[T::default(); LANES]; ROWS];
                // SAFETY: as in `Correlate`; a row has LANES values from column `panel` on.
                unsafe {
                    let out = out.as_mut_ptr().add(first);
                    let (to, stride) = if full { (out, width) } else { (spare.as_mut_ptr().cast(), LANES) };
                    let (x, rows) = (x.as_ptr(), rows.as_ptr().add(panel));
                    accumulate_tile::<T, FMA>(x, places, &whole(offsets), rows, width, to, stride);
                }
                if !full {
                    for (row, sums) in spare[..offsets.len()].iter().enumerate() {
                        let out = &mut out[first + row * width..][..LANES];
                        out.iter_mut().zip(sums).for_each(|(out, sum)| *out += *sum);
                    }
                }
            }
        }
    }
}

/// # Safety
/// Each of `offsets` plus each place lies within `x`; there is a row of LANES values for each place, `width` apart; the
/// rows of `out`, `stride` apart, have LANES values.
#[expect(clippy::needless_range_loop, reason = "iterators keep the sums in memory, 20 times slower")]
#[inline(always)]
unsafe fn accumulate_tile<T: Real, const FMA: bool>(
    x: *const T,
    places: &[usize],
    offsets: &[usize; ROWS],
    rows: *const T,
    width: usize,
    out: *mut T,
    stride: usize,
) {
    let mut sums = [[T::default(); LANES]; ROWS];
    let mut rows = rows;
    // SAFETY: within `x`, `rows` and `out`, as the caller vouches.
    unsafe {
        for &place in places {
            let values = *rows.cast::<[T; LANES]>();
            let window = x.add(place);
            for row in 0..ROWS {
                let factor = *window.add(offsets[row]);
                for lane in 0..LANES {
                    sums[row][lane] = factor.multiply_add::<FMA>(values[lane], sums[row][lane]);
                }
            }
            // Not dereferenced after the last place.
            rows = rows.wrapping_add(width);
        }
        for row in 0..ROWS {
            let out = &mut *out.add(row * stride).cast::<[T; LANES]>();
            for lane in 0..LANES {
                out[lane] += sums[row][lane];
            }
        }
    }
}

/// A value and the place in another array that it multiplies.
#[derive(Debug, Clone, Copy, Default)]
struct Entry<T> {
    value: T,
    at: u32,
}

/// Lists of values that are not zero, each with the place that it multiplies.
#[derive(Debug)]
pub(super) struct Lists<T> {
    entries: Vec<Entry<T>>,
    lengths: Vec<usize>,
    capacity: usize,
    last: u32,
}

impl<T: Real> Lists<T> {
    /// So many empty lists, each with room for `capacity` entries.
    pub fn new(lists: usize, capacity: usize) -> Self {
        Self {
            // The place behind an entry is written too, whether or not it is kept.
            entries: vec![Entry::default(); lists * (capacity + 1)],
            lengths: vec![0; lists],
            capacity,
            last: 0,
        }
    }

    /// Empties all lists.
    pub fn clear(&mut self) {
        self.lengths.fill(0);
        self.last = 0;
    }

    /// Adds an entry to a list, unless its value is zero. Free of branches, for nobody can foresee the zeros.
    ///
    /// # Panics
    /// If the list is full or does not exist.
    #[inline(always)]
    pub fn push(&mut self, list: usize, value: T, at: u32) {
        let length = self.lengths[list];
        self.entries[list * (self.capacity + 1) + length] = Entry { value, at };
        self.lengths[list] = length + usize::from(value != T::default());
        self.last = self.last.max(at);
    }

    fn list(&self, list: usize) -> &[Entry<T>] {
        &self.entries[list * (self.capacity + 1)..][..self.lengths[list]]
    }
}

/// `out[to_l + k] += Σ_e value_e·x[from + at_e + k]` for k in `0..len`, over the entries e of each list l.
///
/// What a gradient costs after max-pooling, where three of four outputs have none.
pub(super) fn sum_into<T: Real>(
    isa: Isa,
    x: &[T],
    from: usize,
    len: usize,
    lists: &Lists<T>,
    to: impl Fn(usize) -> usize,
    out: &mut [T],
) {
    assert!(from + lists.last as usize + len <= x.len(), "runs within the source");
    // SAFETY: as in `correlate`; each target is checked in the body.
    unsafe { run_on(isa, SumInto { x, from, len, lists, to, out }) }
}

struct SumInto<'a, T, F> {
    x: &'a [T],
    from: usize,
    len: usize,
    lists: &'a Lists<T>,
    to: F,
    out: &'a mut [T],
}

impl<T: Real, F: Fn(usize) -> usize> Body for SumInto<'_, T, F> {
    type Output = ();

    /// # Safety
    /// From `from` on, `x` has `len` values behind the place of every entry.
    #[inline(always)]
    unsafe fn run<const FMA: bool>(self) {
        let Self { x, from, len, lists, to, out } = self;
        for list in 0..lists.lengths.len() {
            let out = &mut out[to(list)..][..len];
            let entries = lists.list(list);
            let mut done = 0;
            // SAFETY: `out` has `len` values, and `x` behind each entry as the caller vouches.
            unsafe {
                let (x, out) = (x.as_ptr().add(from), out.as_mut_ptr());
                while done + WIDE <= len {
                    sum_tile::<T, FMA, WIDE>(entries, x.add(done), out.add(done));
                    done += WIDE;
                }
                while done + LANES <= len {
                    sum_tile::<T, FMA, LANES>(entries, x.add(done), out.add(done));
                    done += LANES;
                }
                while done < len {
                    sum_tile::<T, FMA, 1>(entries, x.add(done), out.add(done));
                    done += 1;
                }
            }
        }
    }
}

/// # Safety
/// `out`, and `x` behind the place of each entry, have W values.
#[inline(always)]
unsafe fn sum_tile<T: Real, const FMA: bool, const W: usize>(entries: &[Entry<T>], x: *const T, out: *mut T) {
    let mut sums = [T::default(); W];
    // SAFETY: the caller vouches for the lengths.
    unsafe {
        for entry in entries {
            let run = &*x.add(entry.at as usize).cast::<[T; W]>();
            for (sum, value) in sums.iter_mut().zip(run) {
                *sum = entry.value.multiply_add::<FMA>(*value, *sum);
            }
        }
        for (out, sum) in (*out.cast::<[T; W]>()).iter_mut().zip(sums) {
            *out += sum;
        }
    }
}
