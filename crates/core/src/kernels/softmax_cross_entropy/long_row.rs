//! Many classes: one row after the other, a vector holds a piece of it.
//!
//! Three passes over the row: maximum (and a look at the magnitudes), exponentials and sums, gradient.
//! In `f32` the exponentials wait in the gradient's place; half precision could not hold them, and computes
//! them twice instead. No memory is allocated.

// Loops over several arrays of one vector each: by index they read as what they do, and vectorise.
#![allow(clippy::needless_range_loop)]

use super::job::{BY_CLASS, DENSE, Job, Kind, LARGEST_FACTOR, PLAIN, PairSums, Setting};
use super::{HUGE_BITS, RowBuffers, RowValue};
use crate::kernels::exp_f32::{exp_nonpositive, multiply_add};
use crate::kernels::isa::{Body, run_on};
use crate::kernels::math;
use crate::kernels::storage::FusedStorage;

const FORWARD: u8 = 0;
const GRADIENT: u8 = 1;
const IN_PLACE: u8 = 2;

/// Vector lanes of the main loops, and of the tail.
const LANES: usize = 32;
const TAIL: usize = 16;
/// Elements summed in single precision before the sums move to double precision.
const BLOCK: usize = 512;
/// Pairs of a row in half precision; a row with more goes to the reference.
const PAIRS: usize = 64;

/// Computes one row; `None`, with the row left as it was, if its values need the reference.
///
/// `ahead` is the distance to the row that comes next, which is fetched meanwhile; 0 for none.
pub(crate) fn long_row<T: FusedStorage>(
    setting: &Setting<'_>,
    buffers: &mut RowBuffers<'_, T>,
    job: &Job<'_>,
    ahead: usize,
) -> Option<RowValue> {
    let n_classes = buffers.logits().len();
    if !(setting.fits(n_classes) && buffers.holds(n_classes) && job.fits(n_classes, setting.kind)) {
        return None;
    }
    let mode = match buffers {
        RowBuffers::Forward(_) => FORWARD,
        RowBuffers::Gradient(..) => GRADIENT,
        RowBuffers::InPlace(_) => IN_PLACE,
    };
    let destination = buffers.destination();
    let source = if mode == IN_PLACE { destination.cast_const() } else { buffers.logits().as_ptr() };
    let row = LongRow { setting, job, mode, n_classes, source, destination, ahead };
    // SAFETY: the instruction set was detected (`Setting::isa`); the pointers come from slices of `n_classes` values
    // that `buffers` keeps borrowed, the destination from an exclusive one; the arrays of setting and job have
    // `n_classes` values and the pairs' classes are below, as checked above.
    unsafe { run_on(setting.isa, row) }
}

struct LongRow<'g, 'a, T> {
    setting: &'g Setting<'g>,
    job: &'g Job<'a>,
    mode: u8,
    n_classes: usize,
    source: *const T,
    destination: *mut T,
    ahead: usize,
}

impl<T: FusedStorage> Body for LongRow<'_, '_, T> {
    type Output = Option<RowValue>;

    /// # Safety
    /// That of the function that makes this body.
    #[inline(always)]
    unsafe fn run<const FMA: bool>(self) -> Option<RowValue> {
        // SAFETY: passed on to the caller.
        unsafe { if self.setting.entropy { self.modes::<FMA, true>() } else { self.modes::<FMA, false>() } }
    }
}

/// Sums of one block or tail.
#[derive(Clone, Copy)]
struct Sums<const N: usize> {
    exp: [f32; N],
    /// Σ v, or Σ q v where the masses differ by class (v = z - max).
    dot: [f32; N],
    /// Σ q where the masses differ by class.
    mass: [f32; N],
    /// Σ r v of a dense row r.
    dense_dot: [f32; N],
    /// Σ r of a dense row r.
    dense_mass: [f32; N],
    /// Σ e^v v, for the entropy.
    entropy_dot: [f32; N],
}

impl<const N: usize> Sums<N> {
    #[inline(always)]
    fn new() -> Self {
        Self {
            exp: [0.0; N],
            dot: [0.0; N],
            mass: [0.0; N],
            dense_dot: [0.0; N],
            dense_mass: [0.0; N],
            entropy_dot: [0.0; N],
        }
    }
}

/// [`Sums`] in double precision.
#[derive(Default)]
struct Totals {
    exp: f64,
    dot: f64,
    mass: f64,
    dense_dot: f64,
    dense_mass: f64,
    entropy_dot: f64,
}

impl Totals {
    #[inline(always)]
    fn add<const N: usize, const KIND: u8, const ENTROPY: bool>(&mut self, sums: &Sums<N>) {
        self.exp += fold(&sums.exp);
        self.dot += fold(&sums.dot);
        if ENTROPY {
            self.entropy_dot += fold(&sums.entropy_dot);
        }
        if KIND != PLAIN {
            self.mass += fold(&sums.mass);
        }
        if KIND == DENSE {
            self.dense_dot += fold(&sums.dense_dot);
            self.dense_mass += fold(&sums.dense_mass);
        }
    }
}

/// Adds lanes in a fixed order, in double precision.
#[inline(always)]
fn fold<const N: usize>(lanes: &[f32; N]) -> f64 {
    let mut wide = [0.0_f64; 8];
    let mut i = 0;
    while i < N {
        for l in 0..8 {
            wide[l] += f64::from(lanes[i + l]);
        }
        i += 8;
    }
    ((wide[0] + wide[4]) + (wide[2] + wide[6])) + ((wide[1] + wide[5]) + (wide[3] + wide[7]))
}

/// Asks for the cache line at an address, which need not be there.
#[inline(always)]
fn prefetch<T>(address: *const T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: SSE is part of the target; a prefetch changes nothing and never faults.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T1 }>(address.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

impl<T: FusedStorage> LongRow<'_, '_, T> {
    /// # Safety
    /// `source` must be readable and, unless the mode is `FORWARD`, `destination` writable for `n_classes`
    /// values; the arrays of setting and job must hold as many, and the pairs' classes lie below.
    #[inline(always)]
    unsafe fn modes<const FMA: bool, const ENTROPY: bool>(&self) -> Option<RowValue> {
        // SAFETY: passed on to the caller.
        unsafe {
            match self.mode {
                // Half precision moves through arrays of its own, so that one body serves both.
                IN_PLACE | GRADIENT if !T::EXACT => self.kinds::<FMA, ENTROPY, GRADIENT>(),
                IN_PLACE => self.kinds::<FMA, ENTROPY, IN_PLACE>(),
                GRADIENT => self.kinds::<FMA, ENTROPY, GRADIENT>(),
                _ => self.kinds::<FMA, ENTROPY, FORWARD>(),
            }
        }
    }

    /// # Safety
    /// As [`modes`](Self::modes).
    #[inline(always)]
    unsafe fn kinds<const FMA: bool, const ENTROPY: bool, const MODE: u8>(&self) -> Option<RowValue> {
        // SAFETY: passed on to the caller.
        unsafe {
            match self.setting.kind {
                Kind::Plain => self.sweep::<FMA, ENTROPY, MODE, PLAIN>(),
                Kind::ByClass => self.sweep::<FMA, ENTROPY, MODE, BY_CLASS>(),
                Kind::Dense => self.sweep::<FMA, ENTROPY, MODE, DENSE>(),
            }
        }
    }

    /// # Safety
    /// As [`modes`](Self::modes).
    #[inline(always)]
    unsafe fn sweep<const FMA: bool, const ENTROPY: bool, const MODE: u8, const KIND: u8>(
        &self,
    ) -> Option<RowValue> {
        let (k, job, destination) = (self.n_classes, self.job, self.destination);
        // Copies: as fields behind a reference they could overlap what is written, for all the compiler knows.
        let (uniform, scale) = (job.uniform, job.scale);
        let (second_factor, prior_factor) = (job.second_factor, job.prior_factor);
        // One pointer in place: with two, the compiler's overlap check would pick a scalar loop.
        let source = if MODE == IN_PLACE { destination.cast_const() } else { self.source };
        let main = k / LANES * LANES;
        let second = job.second.as_ptr();
        let has_second = !job.second.is_empty();
        let prior = job.prior.as_ptr();
        let has_prior = !job.prior.is_empty();
        let weights = self.setting.class_weights.map_or(std::ptr::null(), <[f32]>::as_ptr);
        // SAFETY (all accesses below): every index is below `k`, for which the caller vouches.
        unsafe {
            // Pass 1: the maximum, and whether every magnitude is ordinary.
            let mut max_lanes = [f32::NEG_INFINITY; LANES];
            let mut magnitude_lanes = [0_u32; LANES];
            let mut i = 0;
            while i < main {
                for l in 0..LANES {
                    let v = (*source.add(i + l)).widen();
                    max_lanes[l] = if v > max_lanes[l] { v } else { max_lanes[l] };
                    let bits = v.to_bits() & 0x7fff_ffff;
                    magnitude_lanes[l] = if bits > magnitude_lanes[l] { bits } else { magnitude_lanes[l] };
                }
                i += LANES;
            }
            let mut max = f32::NEG_INFINITY;
            let mut magnitude = 0_u32;
            for l in 0..LANES {
                max = if max_lanes[l] > max { max_lanes[l] } else { max };
                magnitude = if magnitude_lanes[l] > magnitude { magnitude_lanes[l] } else { magnitude };
            }
            for j in main..k {
                let v = (*source.add(j)).widen();
                max = if v > max { v } else { max };
                let bits = v.to_bits() & 0x7fff_ffff;
                magnitude = if bits > magnitude { bits } else { magnitude };
            }
            if magnitude >= HUGE_BITS {
                return None;
            }
            if KIND == DENSE {
                // Huge masses would overflow in single precision. As bits, which order like the masses.
                let mut largest = 0_u32;
                for j in 0..k {
                    let bits = (*second.add(j)).to_bits() & 0x7fff_ffff;
                    largest = if bits > largest { bits } else { largest };
                }
                if f64::from(f32::from_bits(largest)) > LARGEST_FACTOR {
                    return None;
                }
            }
            let weight_at = |j: usize| if weights.is_null() { 1.0 } else { *weights.add(j) };
            let shifted = |class: usize| f64::from((*source.add(class)).widen() - max);
            let pairs = PairSums::new(job, shifted, |class| f64::from(weight_at(class)));
            // The label is predicted if it attains the maximum and no earlier class does.
            let correct = match job.pairs.label() {
                Some(label) if (*source.add(label)).widen() == max => {
                    let mut earlier = false;
                    for j in 0..label {
                        earlier |= (*source.add(j)).widen() == max;
                    }
                    !earlier
                }
                _ => false,
            };
            // What the pairs' classes hold, for a type in which their gradient is computed anew.
            let mut originals = [0.0_f32; PAIRS];
            if !T::EXACT && MODE != FORWARD {
                let mut count = 0;
                job.pairs.each(|class, _| {
                    if count < PAIRS {
                        originals[count] = (*source.add(class)).widen();
                    }
                    count += 1;
                });
                if count > PAIRS {
                    return None;
                }
            }

            // Pass 2: exponentials, into the gradient's place if it can hold them, and the sums.
            let mass_at = |j: usize| -> f32 {
                let mut q = uniform;
                if has_second {
                    q = multiply_add::<FMA>(*second.add(j), second_factor, q);
                }
                if has_prior {
                    q = multiply_add::<FMA>(*prior.add(j), prior_factor, q);
                }
                if weights.is_null() { q } else { q * *weights.add(j) }
            };
            // The same of many classes at once: what a target has is asked once for all.
            let masses_at = |i: usize| -> [f32; LANES] {
                let mut q = [uniform; LANES];
                if has_second {
                    for l in 0..LANES {
                        q[l] = multiply_add::<FMA>(*second.add(i + l), second_factor, q[l]);
                    }
                }
                if has_prior {
                    for l in 0..LANES {
                        q[l] = multiply_add::<FMA>(*prior.add(i + l), prior_factor, q[l]);
                    }
                }
                if !weights.is_null() {
                    for l in 0..LANES {
                        q[l] *= *weights.add(i + l);
                    }
                }
                q
            };
            let mut totals = Totals::default();
            i = 0;
            while i < main {
                let end = if i + BLOCK < main { i + BLOCK } else { main };
                let mut sums = Sums::<LANES>::new();
                while i < end {
                    if self.ahead != 0 {
                        let bytes = LANES * size_of::<T>();
                        let next = source.wrapping_add(self.ahead + i).cast::<u8>();
                        prefetch(next);
                        if bytes > 64 {
                            prefetch(next.wrapping_add(64));
                        }
                    }
                    let masses = if KIND == PLAIN { [0.0; LANES] } else { masses_at(i) };
                    let mut dense = [0.0_f32; LANES];
                    if KIND == DENSE {
                        std::ptr::copy_nonoverlapping(second.add(i), dense.as_mut_ptr(), LANES);
                    }
                    let mut exps = [0.0_f32; LANES];
                    for l in 0..LANES {
                        let v = (*source.add(i + l)).widen() - max;
                        let e = exp_nonpositive::<FMA>(v);
                        sums.exp[l] += e;
                        if ENTROPY {
                            sums.entropy_dot[l] = multiply_add::<FMA>(e, v, sums.entropy_dot[l]);
                        }
                        if KIND == PLAIN {
                            sums.dot[l] += v;
                        } else {
                            sums.dot[l] = multiply_add::<FMA>(masses[l], v, sums.dot[l]);
                            sums.mass[l] += masses[l];
                        }
                        if KIND == DENSE {
                            sums.dense_dot[l] = multiply_add::<FMA>(dense[l], v, sums.dense_dot[l]);
                            sums.dense_mass[l] += dense[l];
                        }
                        if MODE != FORWARD && T::EXACT && KIND == PLAIN {
                            *destination.add(i + l) = T::narrow(e);
                        }
                        exps[l] = e;
                    }
                    if MODE != FORWARD && T::EXACT && KIND != PLAIN {
                        for l in 0..LANES {
                            *destination.add(i + l) = T::narrow(exps[l]);
                        }
                    }
                    i += LANES;
                }
                totals.add::<LANES, KIND, ENTROPY>(&sums);
            }
            while i < k {
                let len = if k - i < TAIL { k - i } else { TAIL };
                let mut values = [max; TAIL];
                let mut masses = [0.0_f32; TAIL];
                let mut dense = [0.0_f32; TAIL];
                for l in 0..len {
                    values[l] = (*source.add(i + l)).widen();
                    if KIND != PLAIN {
                        masses[l] = mass_at(i + l);
                    }
                    if KIND == DENSE {
                        dense[l] = *second.add(i + l);
                    }
                }
                let mut sums = Sums::<TAIL>::new();
                let mut exps = [0.0_f32; TAIL];
                for l in 0..TAIL {
                    let v = values[l] - max;
                    let e = exp_nonpositive::<FMA>(v);
                    exps[l] = if l < len { e } else { 0.0 };
                    sums.exp[l] = exps[l];
                    sums.entropy_dot[l] = exps[l] * v;
                    sums.dot[l] = if KIND == PLAIN { v } else { masses[l] * v };
                    sums.mass[l] = masses[l];
                    sums.dense_dot[l] = dense[l] * v;
                    sums.dense_mass[l] = dense[l];
                }
                totals.add::<TAIL, KIND, ENTROPY>(&sums);
                if MODE != FORWARD && T::EXACT {
                    for l in 0..len {
                        *destination.add(i + l) = T::narrow(exps[l]);
                    }
                }
                i += len;
            }

            // The explicit pairs' masses come on top.
            let (rest_mass, rest_dot) = if KIND == PLAIN {
                let q = f64::from(uniform);
                (q * k as f64, q * totals.dot)
            } else {
                (totals.mass, totals.dot)
            };
            let target_sum = rest_mass + pairs.mass;
            let log_sum = math::ln_normal(totals.exp, 0);
            let (plain_mass, plain_dot) = if KIND == DENSE {
                (totals.dense_mass, totals.dense_dot)
            } else {
                (pairs.plain_mass, pairs.plain_dot)
            };

            // Pass 3: scale and subtract.
            if MODE != FORWARD {
                let factor = (target_sum * f64::from(scale) / totals.exp) as f32;
                let offset = -uniform * scale;
                let rest = |j: usize| if KIND == PLAIN { offset } else { -scale * mass_at(j) };
                let explicit = |class: usize, mass: f64| {
                    let q = job.pair_factor * mass * f64::from(weight_at(class));
                    (q * f64::from(scale)) as f32
                };
                let mut start = 0;
                if T::EXACT && KIND == PLAIN {
                    for j in 0..k {
                        let d = destination.add(j);
                        *d = T::narrow(multiply_add::<FMA>((*d).widen(), factor, offset));
                    }
                    start = k;
                }
                while start < main {
                    let masses = if KIND == PLAIN { [0.0; LANES] } else { masses_at(start) };
                    let mut block = [0.0_f32; LANES];
                    let place = if T::EXACT { destination.cast_const() } else { source };
                    for l in 0..LANES {
                        block[l] = (*place.add(start + l)).widen();
                    }
                    for l in 0..LANES {
                        let e = if T::EXACT { block[l] } else { exp_nonpositive::<FMA>(block[l] - max) };
                        let q = if KIND == PLAIN { offset } else { -scale * masses[l] };
                        block[l] = multiply_add::<FMA>(e, factor, q);
                    }
                    for l in 0..LANES {
                        *destination.add(start + l) = T::narrow(block[l]);
                    }
                    start += LANES;
                }
                for j in start..k {
                    let e = if T::EXACT {
                        (*destination.add(j)).widen()
                    } else {
                        exp_nonpositive::<FMA>((*source.add(j)).widen() - max)
                    };
                    *destination.add(j) = T::narrow(multiply_add::<FMA>(e, factor, rest(j)));
                }
                if T::EXACT {
                    job.pairs.each(|class, mass| {
                        let d = destination.add(class);
                        *d = T::narrow((*d).widen() - explicit(class, mass));
                    });
                } else {
                    // Once more for the pairs, so that each is rounded once; a class may occur several times.
                    let mut count = 0;
                    job.pairs.each(|class, _| {
                        let e = exp_nonpositive::<FMA>(originals[count] - max);
                        let mut value = multiply_add::<FMA>(e, factor, rest(class));
                        job.pairs.each(|other, mass| {
                            if other == class {
                                value -= explicit(class, mass);
                            }
                        });
                        *destination.add(class) = T::narrow(value);
                        count += 1;
                    });
                }
            }
            Some(RowValue {
                loss: target_sum * log_sum - (rest_dot + pairs.dot),
                nll: plain_mass * log_sum - plain_dot,
                correct,
                confidence: 1.0 / totals.exp,
                entropy: if ENTROPY { log_sum - totals.entropy_dot / totals.exp } else { f64::NAN },
            })
        }
    }
}
