//! The event probabilities at a fine resolution: every row while there are few, cells of fixed size beyond that.
//!
//! Kernel figures (smooth ECE, kernel density ECE, Laplace kernel) and the Kolmogorov-Smirnov error read this.
//! Up to [`KEPT`] rows they are exact; above, rows lie in [`CELLS`] cells with their exact counts, sums and
//! positions, which moves those figures by less than 1e-5. Which of the two holds depends on the number of
//! rows alone, so any split gives the same bits.

/// Number of rows kept as they are.
pub(crate) const KEPT: usize = 16_384;
/// Number of cells over [0, 1].
pub(crate) const CELLS: usize = 8_192;
/// Resolution of a position within a cell and of a weight: sums of 2^33 rows of weight up to 2^32 fit.
const UNIT: f64 = 1_099_511_627_776.0; // 2^40

/// Weighted sums of the rows of one cell, or of one row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Mass {
    /// Mean probability.
    pub(crate) at: f64,
    /// Σ w.
    pub(crate) weight: f64,
    /// Σ w of the rows in which the event happened.
    pub(crate) happened: f64,
}

impl Mass {
    /// Σ w (probability - event).
    pub(crate) fn residual(self) -> f64 {
        self.weight * self.at - self.happened
    }
}

/// Sums of a cell in units of 2^-40.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Cell {
    weight: i128,
    happened: i128,
    /// Σ w (probability - lower edge) * CELLS.
    offset: i128,
}

/// All rows, or the cells.
#[derive(Debug, Clone, PartialEq)]
enum Store {
    Rows(Vec<(f64, f64, bool)>),
    Cells(Vec<Cell>),
}

/// Probabilities with events: see the module.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FineRows {
    store: Store,
}

impl Default for FineRows {
    fn default() -> Self {
        Self { store: Store::Rows(Vec::new()) }
    }
}

impl FineRows {
    /// Adds one row with a weight, finite and not negative.
    #[inline]
    pub(crate) fn update(&mut self, probability: f64, happened: bool, weight: f64) {
        match &mut self.store {
            Store::Cells(cells) => add(cells, probability, happened, weight),
            Store::Rows(rows) => {
                rows.push((probability, weight, happened));
                if rows.len() > KEPT {
                    self.coarsen();
                }
            }
        }
    }

    /// Adds rows of weight 1, each with 1 if its event happened and 0 if not.
    pub(crate) fn update_all(&mut self, probabilities: &[f64], happened: &[f64]) {
        let mut rows = probabilities.iter().zip(happened);
        if let Store::Rows(kept) = &self.store {
            let room = KEPT + 1 - kept.len();
            rows.by_ref().take(room).for_each(|(p, a)| self.update(*p, *a == 1.0, 1.0));
        }
        if let Store::Cells(cells) = &mut self.store {
            for (p, a) in rows {
                let (at, offset) = cell_of(*p);
                let cell = &mut cells[at];
                cell.weight += UNIT as i128;
                cell.happened += i128::from((*a * UNIT) as i64);
                cell.offset += i128::from((offset * UNIT) as i64);
            }
        }
    }

    /// Adds the rows of another state.
    pub(crate) fn merge(&mut self, other: &Self) {
        match (&mut self.store, &other.store) {
            (Store::Rows(mine), Store::Rows(theirs)) => {
                mine.extend_from_slice(theirs);
                if mine.len() > KEPT {
                    self.coarsen();
                }
            }
            (Store::Cells(mine), Store::Rows(theirs)) => {
                theirs.iter().for_each(|&(p, w, a)| add(mine, p, a, w));
            }
            (Store::Rows(_), Store::Cells(_)) => {
                self.coarsen();
                self.merge(other);
            }
            (Store::Cells(mine), Store::Cells(theirs)) => {
                for (mine, theirs) in mine.iter_mut().zip(theirs) {
                    mine.weight += theirs.weight;
                    mine.happened += theirs.happened;
                    mine.offset += theirs.offset;
                }
            }
        }
    }

    fn coarsen(&mut self) {
        if let Store::Rows(rows) = &self.store {
            let mut cells = vec![Cell::default(); CELLS];
            rows.iter().for_each(|&(p, w, a)| add(&mut cells, p, a, w));
            self.store = Store::Cells(cells);
        }
    }

    /// The masses in ascending order of probability; rows of one probability are one mass.
    pub(crate) fn masses(&self) -> Vec<Mass> {
        match &self.store {
            Store::Rows(rows) => {
                let mut rows = rows.clone();
                rows.sort_unstable_by(|a, b| {
                    a.0.total_cmp(&b.0).then(a.2.cmp(&b.2)).then(a.1.total_cmp(&b.1))
                });
                rows.chunk_by(|a, b| a.0 == b.0)
                    .map(|rows| Mass {
                        at: rows[0].0,
                        weight: rows.iter().map(|row| row.1).sum(),
                        happened: rows.iter().filter(|row| row.2).map(|row| row.1).sum(),
                    })
                    .filter(|mass| mass.weight > 0.0)
                    .collect()
            }
            Store::Cells(cells) => {
                let occupied = cells.iter().enumerate().filter(|(_, cell)| cell.weight > 0);
                occupied
                    .map(|(at, cell)| Mass {
                        at: (at as f64 + cell.offset as f64 / cell.weight as f64) / CELLS as f64,
                        weight: cell.weight as f64 / UNIT,
                        happened: cell.happened as f64 / UNIT,
                    })
                    .collect()
            }
        }
    }
}

/// The cell of a probability, and the place in it.
#[inline]
fn cell_of(probability: f64) -> (usize, f64) {
    let scaled = probability.clamp(0.0, 1.0) * CELLS as f64;
    let at = (scaled as i32).clamp(0, CELLS as i32 - 1);
    (at as usize, scaled - f64::from(at))
}

/// Adds a row to its cell.
#[inline]
fn add(cells: &mut [Cell], probability: f64, happened: bool, weight: f64) {
    let (at, offset) = cell_of(probability);
    let cell = &mut cells[at];
    if weight == 1.0 {
        let one = UNIT as i64;
        cell.weight += i128::from(one);
        cell.happened += i128::from(if happened { one } else { 0 });
        cell.offset += i128::from((offset * UNIT) as i64);
    } else {
        let unit = (weight * UNIT) as i128;
        cell.weight += unit;
        cell.happened += if happened { unit } else { 0 };
        cell.offset += (offset * weight * UNIT) as i128;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(rows: std::ops::Range<usize>) -> FineRows {
        let mut state = FineRows::default();
        for i in rows {
            state.update(
                (i * 7919 % 10_007) as f64 / 10_006.0,
                i % 3 == 0,
                if i % 5 == 0 { 2.5 } else { 1.0 },
            );
        }
        state
    }

    #[test]
    fn any_split_gives_the_same_masses() {
        for n in [100, KEPT, KEPT + 1, 40_000] {
            let whole = state(0..n).masses();
            for cut in [0, 1, n / 3, n] {
                let mut right = state(cut..n);
                right.merge(&state(0..cut));
                assert_eq!(right.masses(), whole, "{n} {cut}");
            }
        }
    }

    #[test]
    fn cells_keep_counts_and_means() {
        let mut rows = state(0..KEPT);
        let exact = rows.masses();
        rows.coarsen();
        let cells = rows.masses();
        let sum = |masses: &[Mass], f: fn(Mass) -> f64| masses.iter().map(|mass| f(*mass)).sum::<f64>();
        for f in [(|m| m.weight) as fn(Mass) -> f64, |m| m.happened, |m| m.weight * m.at, Mass::residual] {
            assert!((sum(&exact, f) - sum(&cells, f)).abs() < 1e-6);
        }
    }
}
