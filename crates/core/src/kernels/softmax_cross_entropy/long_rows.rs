//! Many classes: a vector holds a piece of one row.
//!
//! Three passes over a row: maximum (and a look at the magnitudes), exponentials and sums, gradient. A few rows go
//! through each pass one after the other, so that the end of one row's pass does not wait for its start; rows long
//! enough to fill that time go alone. No row computes anything from another.
//! In `f32` the exponentials wait in the gradient's place; half precision could not hold them, and computes
//! them twice instead. No memory is allocated.

mod passes;
mod sums;

use super::job::{
    BY_CLASS, DENSE, DENSE_BY_CLASS, Job, Kind, LARGEST_FACTOR, PLAIN, PairSums, Setting, reads_background,
    reads_dense,
};
use super::{HUGE_BITS, RowBuffers, RowValue};
use crate::kernels::exp_f32::exp_nonpositive;
use crate::kernels::isa::{Body, run_on};
use crate::kernels::math;
use crate::kernels::storage::FusedStorage;
use passes::{
    Arrays, BLOCK, Factors, LANES, exponential_sums, exponentials, largest, last_exponentials, mass_sum,
    widen,
};
use sums::Totals;

/// Rows that go through the passes together, at most.
pub(crate) const GROUP: usize = 8;
/// Values of a group that its passes find in the nearest cache again.
const GROUP_VALUES: usize = 4096;
/// Pairs of a row in half precision; a row with more goes to the reference.
const PAIRS: usize = 64;

/// How many rows of so many classes go together.
pub(crate) fn group_rows(n_classes: usize) -> usize {
    (GROUP_VALUES / n_classes).clamp(1, GROUP)
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
    ahead: usize,
) {
    values.fill(None);
    let fits = setting.fits(n_classes)
        && rows.iter().all(|row| row.holds(n_classes))
        && jobs.iter().all(|job| job.fits(n_classes, setting.kind));
    if fits && rows.len() <= GROUP && rows.len() == jobs.len() && rows.len() <= values.len() {
        // SAFETY: the instruction set was detected (`Setting::isa`); the body has no other condition.
        unsafe { run_on(setting.isa, LongRows { setting, rows, jobs, values, ahead }) }
    }
}

struct LongRows<'g, 'b, 'a, T> {
    setting: &'g Setting<'g>,
    rows: &'g mut [RowBuffers<'b, T>],
    jobs: &'g [Job<'a>],
    values: &'g mut [Option<RowValue>],
    ahead: usize,
}

impl<T: FusedStorage> Body for LongRows<'_, '_, '_, T> {
    type Output = ();

    /// # Safety
    /// The conditions of `FMA`.
    #[inline(always)]
    unsafe fn run<const FMA: bool>(self) {
        match (self.setting.kind, self.setting.entropy) {
            (Kind::Plain, false) => self.sweep::<FMA, PLAIN, false>(),
            (Kind::Plain, true) => self.sweep::<FMA, PLAIN, true>(),
            (Kind::ByClass, false) => self.sweep::<FMA, BY_CLASS, false>(),
            (Kind::ByClass, true) => self.sweep::<FMA, BY_CLASS, true>(),
            (Kind::Dense, false) => self.sweep::<FMA, DENSE, false>(),
            (Kind::Dense, true) => self.sweep::<FMA, DENSE, true>(),
            (Kind::DenseByClass, false) => self.sweep::<FMA, DENSE_BY_CLASS, false>(),
            (Kind::DenseByClass, true) => self.sweep::<FMA, DENSE_BY_CLASS, true>(),
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
    fn new<T: FusedStorage, const KIND: u8>(
        row: &[T],
        job: &Job<'_>,
        weights: Option<&[f32]>,
        gradient: bool,
    ) -> Option<Self> {
        let (max, magnitude) = largest(row);
        if magnitude >= HUGE_BITS || (gradient && !T::EXACT && job.pairs.len() > PAIRS) {
            return None;
        }
        let dense_mass = if reads_dense(KIND) { mass_sum(job.dense) } else { 0.0 };
        // Huge masses would overflow in single precision.
        if dense_mass.is_nan() || dense_mass > LARGEST_FACTOR {
            return None;
        }
        let shifted = |class: usize| f64::from(row[class].widen() - max);
        let weight = |class: usize| weights.map_or(1.0, |weights| f64::from(weights[class]));
        // The label is predicted if it attains the maximum and no earlier class does.
        let attains = |class: usize| row[class].widen() == max;
        let correct = job.pairs.label().is_some_and(|label| {
            attains(label) && !row[..label].iter().fold(false, |earlier, z| earlier | (z.widen() == max))
        });
        Some(Self { max, dense_mass, pairs: PairSums::new(job, shifted, weight), correct })
    }
}

/// Σ q of a row and Σ q v, and the same of its target before smoothing.
struct Sums {
    target: f64,
    target_dot: f64,
    plain: f64,
    plain_dot: f64,
}

impl Sums {
    #[inline(always)]
    fn new<const KIND: u8>(
        n_classes: usize,
        job: &Job<'_>,
        weighted: bool,
        outlook: &Outlook,
        totals: &Totals,
    ) -> Self {
        let (dense_mass, dense_dot) = (outlook.dense_mass, totals.dense_dot.sum());
        let (weighted_mass, weighted_dot) = if KIND == DENSE_BY_CLASS && weighted {
            (totals.weighted_mass.sum(), totals.weighted_dot.sum())
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
            target_dot: factor * totals.dot.sum() + dense_factor * weighted_dot + pairs.dot,
            plain: if reads_dense(KIND) { dense_mass } else { pairs.plain_mass },
            plain_dot: if reads_dense(KIND) { dense_dot } else { pairs.plain_dot },
        }
    }
}

impl<T: FusedStorage> LongRows<'_, '_, '_, T> {
    #[inline(always)]
    fn sweep<const FMA: bool, const KIND: u8, const ENTROPY: bool>(self) {
        let Self { setting, rows, jobs, values, ahead } = self;
        let weights = setting.class_weights;
        let mut outlooks = [None; GROUP];
        let mut totals = [Totals::default(); GROUP];
        let mut exps = [1.0_f64; GROUP];
        let next = (rows.len(), ahead);
        for (at, (row, job)) in rows.iter().zip(jobs).enumerate() {
            outlooks[at] = Outlook::new::<T, KIND>(row.logits(), job, weights, row.wants_gradient());
        }
        for (at, (row, job)) in rows.iter_mut().zip(jobs).enumerate() {
            if let Some(outlook) = outlooks[at] {
                let arrays = Arrays::new::<KIND>(job, weights);
                totals[at] = second_pass::<T, FMA, KIND, ENTROPY>(row, &arrays, outlook.max, next);
                exps[at] = totals[at].exp.sum();
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
            let sums = Sums::new::<KIND>(row.logits().len(), job, weights.is_some(), outlook, &totals[at]);
            values[at] = Some(RowValue {
                loss: sums.target * log_sum - sums.target_dot,
                nll: sums.plain * log_sum - sums.plain_dot,
                correct: outlook.correct,
                confidence: inverse,
                entropy: if ENTROPY { log_sum - totals[at].entropy_dot.sum() * inverse } else { f64::NAN },
            });
            if row.wants_gradient() {
                let factors = Factors {
                    exp: (sums.target * f64::from(job.scale) * inverse) as f32,
                    uniform: job.uniform * job.scale,
                    background: job.background_factor * job.scale,
                    dense: job.dense_factor * job.scale,
                };
                third_pass::<T, FMA, KIND>(row, job, weights, outlook.max, factors);
            }
        }
    }
}

/// Exponentials, into the gradient's place if it can hold them, and sums.
///
/// `together` is the number of rows of a group, `ahead` the distance to the next one, which is fetched meanwhile.
#[inline(always)]
fn second_pass<T: FusedStorage, const FMA: bool, const KIND: u8, const ENTROPY: bool>(
    row: &mut RowBuffers<'_, T>,
    arrays: &Arrays<'_>,
    max: f32,
    (together, ahead): (usize, usize),
) -> Totals {
    let mut totals = Totals::default();
    let k = row.logits().len();
    let main = k / LANES * LANES;
    // The end of the row is read before the main loop writes over a part of it, which gets the same values again.
    let mut last = [0.0; LANES];
    if let (true, Some(end)) = (main < k, row.logits().last_chunk::<LANES>()) {
        widen(end, &mut last);
        last_exponentials::<FMA, KIND, ENTROPY>(
            &mut last,
            arrays,
            max,
            LANES - (k - main),
            &mut totals,
            k - LANES,
        );
    }
    let next = row.logits().as_ptr().wrapping_add(ahead);
    // Dense rows stand one after the other.
    let next_dense = arrays.dense.as_ptr().wrapping_add(together * k);
    for from in (0..main).step_by(BLOCK) {
        let end = if from + BLOCK < main { from + BLOCK } else { main };
        let arrays = arrays.piece(from, end - from);
        let fetch = |at: usize| {
            if ahead != 0 {
                prefetch(next.wrapping_add(from + at), LANES);
                if reads_dense(KIND) {
                    prefetch(next_dense.wrapping_add(from + at), LANES);
                }
            }
        };
        match row {
            RowBuffers::Gradient(logits, gradient) if T::EXACT => {
                let block = T::single(&mut gradient[from..end]).unwrap_or_default();
                widen(&logits[from..end], block);
                exponentials::<FMA, KIND, ENTROPY>(block, &arrays, max, &mut totals, fetch);
            }
            RowBuffers::InPlace(row) if T::EXACT => {
                let block = T::single(&mut row[from..end]).unwrap_or_default();
                exponentials::<FMA, KIND, ENTROPY>(block, &arrays, max, &mut totals, fetch);
            }
            _ => {
                let block = &row.logits()[from..end];
                exponential_sums::<T, FMA, KIND, ENTROPY>(block, &arrays, max, &mut totals, fetch);
            }
        }
    }
    if let (true, Some(gradient)) = (main < k, row.gradient().and_then(T::single))
        && let Some(end) = gradient.last_chunk_mut()
    {
        *end = last;
    }
    totals
}

/// The gradient from the exponentials.
#[inline(always)]
fn third_pass<T: FusedStorage, const FMA: bool, const KIND: u8>(
    row: &mut RowBuffers<'_, T>,
    job: &Job<'_>,
    weights: Option<&[f32]>,
    max: f32,
    factors: Factors,
) {
    let arrays = Arrays::new::<KIND>(job, weights);
    let explicit = |class: usize, mass: f64| {
        let weight = weights.map_or(1.0, |weights| f64::from(weights[class]));
        (job.pair_factor * mass * weight * f64::from(job.scale)) as f32
    };
    if let Some(gradient) = row.gradient().and_then(T::single) {
        factors.gradient::<FMA, KIND>(gradient, &arrays, |e| e);
        job.pairs.each(|class, mass| gradient[class] -= explicit(class, mass));
        return;
    }
    // What the pairs' classes hold: each is rounded once, so their gradient is computed anew.
    let mut originals = [0.0_f32; PAIRS];
    let mut count = 0;
    job.pairs.each(|class, _| {
        originals[count] = row.logits()[class].widen();
        count += 1;
    });
    let k = row.logits().len();
    let mut room = [0.0; BLOCK];
    for from in (0..k).step_by(BLOCK) {
        let end = if from + BLOCK < k { from + BLOCK } else { k };
        let block = &mut room[..end - from];
        widen(&row.logits()[from..end], block);
        factors.gradient::<FMA, KIND>(block, &arrays.piece(from, end - from), |z| {
            exp_nonpositive::<FMA>(z - max)
        });
        if let Some(gradient) = row.gradient() {
            for (to, value) in gradient[from..end].iter_mut().zip(&*block) {
                *to = T::narrow(*value);
            }
        }
    }
    count = 0;
    job.pairs.each(|class, _| {
        let e = exp_nonpositive::<FMA>(originals[count] - max);
        count += 1;
        let mut value = factors.at::<FMA, KIND>(e, &arrays, class);
        // A class may occur several times.
        job.pairs.each(|other, mass| {
            if other == class {
                value -= explicit(class, mass);
            }
        });
        if let Some(gradient) = row.gradient() {
            gradient[class] = T::narrow(value);
        }
    });
}

/// Asks for the cache lines of so many values at an address, which need not be there.
#[inline(always)]
fn prefetch<T>(address: *const T, values: usize) {
    #[cfg(target_arch = "x86_64")]
    for line in (0..values * size_of::<T>()).step_by(64) {
        use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
        // SAFETY: SSE is part of the target; a prefetch changes nothing and never faults.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(address.cast::<i8>().wrapping_add(line)) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (address, values);
}
