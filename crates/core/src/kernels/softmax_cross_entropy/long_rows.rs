//! Many classes: a vector holds a piece of one row.
//!
//! Three passes over a row: maximum (and a look at the magnitudes), exponentials and sums, gradient. A few rows go
//! through each pass one after the other, so that the end of one row's pass does not wait for its start; rows long
//! enough to fill that time go alone. No row computes anything from another.
//! In `f32` the exponentials wait in the gradient's place; half precision could not hold them, and keeps them in
//! the thread's [`Room`].

mod gradient;
mod passes;
mod totals;

use std::cell::Cell;

use super::factors::Factors;
use super::job::{
    BY_CLASS, DENSE, DENSE_BY_CLASS, Job, Kind, LARGEST_FACTOR, PLAIN, PairSums, Setting, reads_background,
    reads_dense,
};
use super::sums::Sums;
use super::{HUGE_BITS, RowBuffers, RowValue};
use crate::kernels::isa::{VectorBody, run_vectors};
use crate::kernels::masses::sum_in_vectors;
use crate::kernels::math;
use crate::kernels::prefetch::prefetch;
use crate::kernels::storage::FusedStorage;
use crate::kernels::vector::{LANES, Vector};
use crate::targets::is_one;
use gradient::Gradient;
use passes::{Arrays, Place, STEPS, exponentials, largest, last_exponentials};
pub(super) use totals::Total;
use totals::{Sum, Totals};

/// Rows that go through the passes together, at most.
pub(crate) const GROUP: usize = 8;
/// Values of a group that its passes find in the nearest cache again.
const GROUP_VALUES: usize = 4096;

/// How many rows of so many classes go together.
pub(crate) fn group_rows(n_classes: usize) -> usize {
    (GROUP_VALUES / n_classes).clamp(1, GROUP)
}

thread_local! {
    static ROOM: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
}

/// A place for the exponentials of a group in half precision, four bytes a value, which the thread keeps.
pub(crate) struct Room(Vec<f32>);

impl Room {
    /// Computes something with room for the rows of a group.
    pub(crate) fn with<T: FusedStorage, R>(n_classes: usize, compute: impl FnOnce(&mut Self) -> R) -> R {
        let mut room = Self(ROOM.take());
        let wanted = if T::EXACT { 0 } else { n_classes * group_rows(n_classes) };
        if room.0.len() < wanted {
            room.0.resize(wanted, 0.0);
        }
        let result = compute(&mut room);
        ROOM.set(room.0);
        result
    }
}

/// Computes up to [`GROUP`] rows of `n_classes` values.
///
/// A row whose values need the reference gives `None` in `values` and is left as it was. `ahead` is the distance from
/// each row to the one that takes its place in the next group, which is fetched meanwhile; 0 for none.
pub(crate) fn long_rows<T: FusedStorage>(
    setting: &Setting<'_>,
    n_classes: usize,
    rows: &mut [RowBuffers<'_, T>],
    jobs: &[Job<'_>],
    values: &mut [Option<RowValue>],
    (room, ahead): (&mut Room, usize),
) {
    values.fill(None);
    let fits = setting.fits(n_classes)
        && rows.iter().all(|row| row.holds(n_classes))
        && jobs.iter().all(|job| job.fits(n_classes, setting.kind))
        && (T::EXACT || room.0.len() >= rows.len() * n_classes);
    if fits && rows.len() <= GROUP && rows.len() == jobs.len() && rows.len() <= values.len() {
        // SAFETY: the instruction set was detected (`Setting::isa`); the body has no other condition.
        unsafe {
            run_vectors(setting.isa, LongRows { setting, rows, jobs, values, room: &mut room.0, ahead })
        }
    }
}

struct LongRows<'g, 'b, 'a, T> {
    setting: &'g Setting<'g>,
    rows: &'g mut [RowBuffers<'b, T>],
    jobs: &'g [Job<'a>],
    values: &'g mut [Option<RowValue>],
    room: &'g mut [f32],
    ahead: usize,
}

impl<T: FusedStorage> VectorBody for LongRows<'_, '_, '_, T> {
    type Output = ();

    /// # Safety
    /// The CPU must have the instruction set of `V`.
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        // SAFETY: passed on to the caller.
        let proof = unsafe { V::new(0.0) };
        match (self.setting.kind, self.setting.entropy) {
            (Kind::Plain, false) => self.sweep::<V, PLAIN, false>(proof),
            (Kind::Plain, true) => self.sweep::<V, PLAIN, true>(proof),
            (Kind::ByClass, false) => self.sweep::<V, BY_CLASS, false>(proof),
            (Kind::ByClass, true) => self.sweep::<V, BY_CLASS, true>(proof),
            (Kind::Dense, false) => self.sweep::<V, DENSE, false>(proof),
            (Kind::Dense, true) => self.sweep::<V, DENSE, true>(proof),
            (Kind::DenseByClass, false) => self.sweep::<V, DENSE_BY_CLASS, false>(proof),
            (Kind::DenseByClass, true) => self.sweep::<V, DENSE_BY_CLASS, true>(proof),
        }
    }
}

/// What is known of a row before its exponentials are taken.
#[derive(Clone, Copy)]
struct Outlook {
    max: f32,
    /// Σ r of a dense row.
    dense_mass: f64,
    pairs: PairSums,
    correct: bool,
}

impl Outlook {
    /// `None` if the row needs the reference.
    #[inline(always)]
    fn new<T: FusedStorage, V: Vector, const KIND: u8>(
        proof: V,
        row: &[T],
        job: &Job<'_>,
        setting: &Setting<'_>,
    ) -> Option<Self> {
        let (max, magnitude) = largest(proof, row);
        if magnitude >= HUGE_BITS {
            return None;
        }
        let dense_mass = if reads_dense(KIND) { sum_in_vectors(proof, job.dense)? } else { 0.0 };
        // Huge masses would overflow in single precision.
        if dense_mass > LARGEST_FACTOR {
            return None;
        }
        if setting.distributions && reads_dense(KIND) && !is_one(dense_mass) {
            return None;
        }
        let weights = setting.class_weights;
        let shifted = |class: usize| f64::from(row[class].widen() - max);
        let weight = |class: usize| weights.map_or(1.0, |weights| f64::from(weights[class]));
        // The label is predicted if it attains the maximum and no earlier class does.
        let attains = |class: usize| row[class].widen() == max;
        let correct = job.pairs.label().is_some_and(|label| {
            attains(label) && !row[..label].iter().fold(false, |earlier, z| earlier | (z.widen() == max))
        });
        Some(Self {
            max,
            dense_mass,
            pairs: PairSums::new(&job.pairs, job.pair_factor, shifted, weight),
            correct,
        })
    }
}

/// Σ q of a row and Σ q v, and the same of its target before smoothing.
struct RowSums {
    target: f64,
    target_dot: f64,
    plain: f64,
    plain_dot: f64,
}

impl RowSums {
    #[inline(always)]
    fn new<const KIND: u8>(
        n_classes: usize,
        job: &Job<'_>,
        weighted: bool,
        outlook: &Outlook,
        totals: &Sum,
    ) -> Self {
        let (dense_mass, dense_dot) = (outlook.dense_mass, totals.dense_dot);
        let (weighted_mass, weighted_dot) = if KIND == DENSE_BY_CLASS && weighted {
            (totals.weighted_mass, totals.weighted_dot)
        } else {
            (dense_mass, dense_dot)
        };
        let (factor, mass) = if reads_background(KIND) {
            (f64::from(job.background_factor), job.background.sum)
        } else {
            (f64::from(job.uniform), n_classes as f64)
        };
        let dense_factor = f64::from(job.dense_factor);
        let pairs = &outlook.pairs;
        Self {
            target: factor * mass + dense_factor * weighted_mass + pairs.mass,
            target_dot: factor * totals.dot + dense_factor * weighted_dot + pairs.dot,
            plain: if reads_dense(KIND) { dense_mass } else { pairs.plain_mass },
            plain_dot: if reads_dense(KIND) { dense_dot } else { pairs.plain_dot },
        }
    }
}

impl<T: FusedStorage> LongRows<'_, '_, '_, T> {
    #[inline(always)]
    fn sweep<V: Vector, const KIND: u8, const ENTROPY: bool>(self, proof: V) {
        let Self { setting, rows, jobs, values, room, ahead } = self;
        let k = rows.first().map_or(0, |row| row.logits().len());
        let weights = setting.class_weights;
        let mut outlooks = [None; GROUP];
        let mut totals = [Sum::default(); GROUP];
        let mut exps = [1.0_f64; GROUP];
        let next = (rows.len(), ahead);
        for (at, (row, job)) in rows.iter().zip(jobs).enumerate() {
            outlooks[at] = Outlook::new::<T, V, KIND>(proof, row.logits(), job, setting);
        }
        for (at, (row, job)) in rows.iter_mut().zip(jobs).enumerate() {
            if let Some(outlook) = outlooks[at] {
                let arrays = Arrays::new::<KIND>(job, weights);
                let max = proof.splat(outlook.max);
                let of_row =
                    second_pass::<T, V, KIND, ENTROPY>(row, room_of(room, at, k), &arrays, max, next);
                totals[at] = of_row.sum::<KIND, ENTROPY>();
                exps[at] = totals[at].exp;
            }
        }
        // Of all rows at once.
        let (mut log_sums, mut inverses) = ([0.0_f64; GROUP], [0.0_f64; GROUP]);
        for at in 0..GROUP {
            log_sums[at] = math::ln_normal(exps[at], 0);
            inverses[at] = 1.0 / exps[at];
        }
        for (at, (row, job)) in rows.iter_mut().zip(jobs).enumerate() {
            let Some(outlook) = &outlooks[at] else { continue };
            let (log_sum, inverse) = (log_sums[at], inverses[at]);
            let sums = RowSums::new::<KIND>(k, job, weights.is_some(), outlook, &totals[at]);
            values[at] = Some(RowValue {
                loss: sums.target * log_sum - sums.target_dot,
                nll: sums.plain * log_sum - sums.plain_dot,
                correct: outlook.correct,
                confidence: inverse,
                entropy: if ENTROPY { log_sum - totals[at].entropy_dot * inverse } else { f64::NAN },
            });
            if row.wants_gradient() {
                let factors = Factors {
                    exp: proof.splat((sums.target * f64::from(job.scale) * inverse) as f32),
                    uniform: proof.splat(job.uniform * job.scale),
                    background: proof.splat(job.background_factor * job.scale),
                    dense: proof.splat(job.dense_factor * job.scale),
                };
                let arrays = Arrays::new::<KIND>(job, weights);
                let gradient = Gradient { factors, arrays, job, weights };
                if T::EXACT {
                    gradient.in_place::<T, KIND>(row);
                } else {
                    gradient.out_of_room::<T, KIND>(row, room_of(room, at, k));
                }
            }
        }
    }
}

/// The room of a group's row of `k` classes; none of an exact type.
#[inline(always)]
fn room_of(room: &mut [f32], at: usize, k: usize) -> &mut [f32] {
    room.get_mut(at * k..(at + 1) * k).unwrap_or_default()
}

/// Exponentials, into the gradient's place if it can hold them, else into the room, and sums.
///
/// `together` is the number of rows of a group, `ahead` the distance to the next one, which is fetched meanwhile.
#[inline(always)]
fn second_pass<T: FusedStorage, V: Vector, const KIND: u8, const ENTROPY: bool>(
    row: &mut RowBuffers<'_, T>,
    room: &mut [f32],
    arrays: &Arrays<'_>,
    max: V,
    (together, ahead): (usize, usize),
) -> Totals {
    let k = row.logits().len();
    let main = k / LANES * LANES;
    let mut sums = Sums::new(max);
    // The end of the row is read before the main loop writes over a part of it, which gets the same values again.
    let mut last = max;
    if let (true, Some(end)) = (main < k, row.logits().last_chunk()) {
        let seen = LANES - (k - main);
        last = last_exponentials::<V, KIND, ENTROPY>(T::load(max, end), arrays, seen, max, &mut sums);
    }
    // Where there is no next row, the row's own lines are asked for, which costs nothing.
    let next = row.logits().as_ptr().wrapping_add(ahead);
    // Dense rows stand one after the other.
    let next_dense = arrays.dense_row().wrapping_add(if ahead == 0 { 0 } else { together * k });
    let mut running = Running { arrays, max, sums, totals: Totals::default(), next, next_dense };
    match row {
        RowBuffers::Gradient(logits, gradient) if T::EXACT => {
            let (from, to) =
                (logits.as_chunks().0.chunks(STEPS), gradient.as_chunks_mut().0.chunks_mut(STEPS));
            for (block, (from, to)) in from.zip(to).enumerate() {
                for (at, (from, to)) in from.iter().zip(to).enumerate() {
                    T::store(running.step::<KIND, ENTROPY>(block * STEPS + at, from), to);
                }
                running.end_block::<KIND, ENTROPY>();
            }
        }
        RowBuffers::InPlace(row) if T::EXACT => {
            for (block, steps) in row.as_chunks_mut().0.chunks_mut(STEPS).enumerate() {
                for (at, step) in steps.iter_mut().enumerate() {
                    T::store(running.step::<KIND, ENTROPY>(block * STEPS + at, step), step);
                }
                running.end_block::<KIND, ENTROPY>();
            }
        }
        RowBuffers::Gradient(..) | RowBuffers::InPlace(_) => {
            let (from, to) =
                (row.logits().as_chunks().0.chunks(STEPS), room.as_chunks_mut().0.chunks_mut(STEPS));
            for (block, (from, to)) in from.zip(to).enumerate() {
                for (at, (from, to)) in from.iter().zip(to).enumerate() {
                    running.step::<KIND, ENTROPY>(block * STEPS + at, from).store(to);
                }
                running.end_block::<KIND, ENTROPY>();
            }
        }
        RowBuffers::Forward(logits) => {
            for (block, steps) in logits.as_chunks().0.chunks(STEPS).enumerate() {
                for (at, step) in steps.iter().enumerate() {
                    running.step::<KIND, ENTROPY>(block * STEPS + at, step);
                }
                running.end_block::<KIND, ENTROPY>();
            }
        }
    }
    let totals = running.totals;
    if main < k && !T::EXACT {
        if let Some(end) = room.last_chunk_mut() {
            last.store(end);
        }
    } else if let (true, Some(end)) = (main < k, row.gradient().and_then(|g| g.last_chunk_mut())) {
        T::store(last, end);
    }
    totals
}

/// The second pass in the middle of a row.
struct Running<'g, 'a, V, T> {
    arrays: &'g Arrays<'a>,
    max: V,
    /// Those of the block so far.
    sums: Sums<V>,
    totals: Totals,
    /// What is fetched meanwhile.
    next: *const T,
    next_dense: *const f32,
}

impl<V: Vector, T: FusedStorage> Running<'_, '_, V, T> {
    /// The exponentials of step `at`, which the sums take in.
    #[inline(always)]
    fn step<const KIND: u8, const ENTROPY: bool>(&mut self, at: usize, logits: &[T; LANES]) -> V {
        let from = at * LANES;
        prefetch(self.next.wrapping_add(from), LANES);
        if reads_dense(KIND) {
            prefetch(self.next_dense.wrapping_add(from), LANES);
        }
        let logits = T::load(self.max, logits);
        exponentials::<V, KIND, ENTROPY>(logits, self.arrays, Place::Step(at), self.max, &mut self.sums)
    }

    /// The sums of a block go to double precision.
    #[inline(always)]
    fn end_block<const KIND: u8, const ENTROPY: bool>(&mut self) {
        self.totals.add::<V, KIND, ENTROPY>(self.sums);
        self.sums = Sums::new(self.max);
    }
}
