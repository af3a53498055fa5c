//! Softmax cross-entropy of one row: value and gradient `s·p - q` in one sweep while the row is in cache.
//!
//! `q = (1-α)·explicit + α·background`, times a weight a class if there are any; `s = Σ q`.
//! Three passes over the row: maximum (and a look at the magnitudes), exponentials and sums, gradient.
//! A row with a value that is not finite or beyond 1e30 goes to [`reference_row`], which handles masked
//! classes and names errors; all others run the vector body, compiled once for each instruction set.

use super::exp_f32::{exp_nonpositive, multiply_add};
use super::isa::Isa;
use super::math;
use crate::batch::Scalar;
use crate::error::{Error, Result};
use crate::targets::{RowBackground, RowExplicit, RowTarget};

/// What one row contributes to a loss and to the figures logged beside it.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct RowValue {
    /// The loss, in nats, before any row weight.
    pub loss: f64,
    /// Cross-entropy against the un-smoothed target, in nats: what is comparable across strengths.
    pub nll: f64,
    /// Whether the predicted class (the first of the largest logits) is the label; false without one.
    pub correct: bool,
    /// Largest probability, in (0, 1].
    pub confidence: f64,
    /// Entropy of the predicted distribution, in nats, in [0, ln K]; NaN if it was not asked for.
    pub entropy: f64,
}

/// A row of logits, and where its gradient goes.
pub enum RowBuffers<'a, T> {
    /// The value only.
    Forward(&'a [T]),
    /// The gradient goes elsewhere.
    Gradient(&'a [T], &'a mut [T]),
    /// The gradient replaces the logits.
    InPlace(&'a mut [T]),
}

impl<T: Scalar> RowBuffers<'_, T> {
    /// The logits.
    pub fn logits(&self) -> &[T] {
        match self {
            RowBuffers::Forward(logits) | RowBuffers::Gradient(logits, _) => logits,
            RowBuffers::InPlace(logits) => logits,
        }
    }

    /// Writes the gradient of class `class`; nothing when only the value is wanted.
    #[inline]
    pub(crate) fn set(&mut self, class: usize, value: f64) {
        match self {
            RowBuffers::Forward(_) => {}
            RowBuffers::Gradient(_, gradient) => gradient[class] = T::from_f64(value),
            RowBuffers::InPlace(logits) => logits[class] = T::from_f64(value),
        }
    }
}

/// One row in double precision arithmetic, written as the formula reads; any input.
///
/// `row` is only used to name the row in an error.
///
/// # Errors
/// [`Error::NonFiniteLogit`], [`Error::NoAllowedClass`], [`Error::MaskedTarget`].
pub fn reference_row<T: Scalar>(
    row: usize,
    mut buffers: RowBuffers<'_, T>,
    target: RowTarget<'_>,
    class_weights: Option<&[f64]>,
    scale: f64,
) -> Result<RowValue> {
    let (allowed, max, predicted) = {
        let logits = buffers.logits();
        let mut max = f64::NEG_INFINITY;
        let mut predicted = 0;
        for (class, z) in logits.iter().enumerate() {
            let value = z.to_f64();
            if value.is_nan() || value == f64::INFINITY {
                return Err(Error::NonFiniteLogit { row, class, value });
            }
            if value > max {
                (max, predicted) = (value, class);
            }
        }
        if max == f64::NEG_INFINITY {
            return Err(Error::NoAllowedClass { row });
        }
        (target.allowed(logits), max, predicted)
    };
    let mut sum = 0.0;
    let mut target_sum = 0.0;
    let mut target_dot = 0.0;
    let mut nll_sum = 0.0;
    let mut nll_dot = 0.0;
    let mut entropy_dot = 0.0;
    for (class, z) in buffers.logits().iter().enumerate() {
        let explicit = target.explicit_mass(class);
        let value = z.to_f64();
        if value == f64::NEG_INFINITY {
            if explicit > 0.0 {
                return Err(Error::MaskedTarget { row, class });
            }
            continue;
        }
        let shifted = value - max;
        let weight = class_weights.map_or(1.0, |weights| weights[class]);
        let mass = target.mass(class, allowed) * weight;
        let exp = math::exp(shifted);
        sum += exp;
        entropy_dot += if exp == 0.0 { 0.0 } else { exp * shifted };
        target_sum += mass;
        // 0 times a huge distance stays 0.
        target_dot += if mass == 0.0 { 0.0 } else { mass * shifted };
        nll_sum += explicit;
        nll_dot += if explicit == 0.0 { 0.0 } else { explicit * shifted };
    }
    let log_sum = math::ln(sum);
    if !matches!(buffers, RowBuffers::Forward(_)) {
        for class in 0..buffers.logits().len() {
            let value = buffers.logits()[class].to_f64();
            let gradient = if value == f64::NEG_INFINITY {
                0.0
            } else {
                let weight = class_weights.map_or(1.0, |weights| weights[class]);
                let mass = target.mass(class, allowed) * weight;
                target_sum * (math::exp(value - max) / sum) - mass
            };
            buffers.set(class, gradient * scale);
        }
    }
    Ok(RowValue {
        loss: target_sum * log_sum - target_dot,
        nll: nll_sum * log_sum - nll_dot,
        correct: target.label() == Some(predicted),
        confidence: 1.0 / sum,
        entropy: log_sum - entropy_dot / sum,
    })
}

/// What is the same for all rows of a sweep.
#[derive(Clone, Copy)]
pub(crate) struct Setting {
    pub isa: Isa,
    /// Whether the entropy is wanted.
    pub entropy: bool,
}

/// A single-precision row on the fast path where its values allow, else [`reference_row`].
///
/// `second` is the row's dense target or prior in single precision if its target has one.
pub(crate) fn row_f32(
    Setting { isa, entropy }: Setting,
    row: usize,
    mut buffers: RowBuffers<'_, f32>,
    target: RowTarget<'_>,
    second: Option<&[f32]>,
    class_weights: Option<(&[f64], &[f32])>,
    scale: f64,
) -> Result<RowValue> {
    let n_classes = buffers.logits().len();
    let mut job = Job {
        n_classes,
        label: usize::MAX,
        label_mass: 0.0,
        uniform: 0.0,
        second_factor: 0.0,
        scale: scale as f32,
        entropy,
    };
    let hard = 1.0 - target.smoothing;
    let mut covered = true;
    match target.explicit {
        RowExplicit::Label(label) => {
            job.label = label;
            job.label_mass = hard as f32;
        }
        RowExplicit::Dense(_) => job.second_factor = hard as f32,
        RowExplicit::Sparse(..) | RowExplicit::Binary(_) => covered = false,
    }
    if target.smoothing != 0.0 {
        match (target.background, target.explicit) {
            (RowBackground::Uniform, _) => job.uniform = (target.smoothing / n_classes as f64) as f32,
            (RowBackground::OtherClasses, RowExplicit::Label(_)) if n_classes > 1 => {
                let off = target.smoothing / (n_classes - 1) as f64;
                job.uniform = off as f32;
                job.label_mass = (hard - off) as f32;
            }
            (RowBackground::Prior(_), RowExplicit::Label(_)) => job.second_factor = target.smoothing as f32,
            _ => covered = false,
        }
    }
    let needs_second = job.second_factor != 0.0 || job.label >= n_classes;
    if covered && (!needs_second || second.is_some()) && job.scale.is_finite() {
        let second = second.filter(|_| needs_second);
        if let Some(value) =
            fast_row(isa, &buffers_pointers(&mut buffers), &job, second, class_weights.map(|w| w.1))
        {
            return Ok(value);
        }
    }
    reference_row(row, buffers, target, class_weights.map(|w| w.0), scale)
}

/// What the vector body needs to know of a row's target.
struct Job {
    n_classes: usize,
    /// The class of the explicit mass, or `usize::MAX` for none.
    label: usize,
    /// Mass on it on top of what the other terms give.
    label_mass: f32,
    /// Mass on every class.
    uniform: f32,
    /// Factor of the second input row.
    second_factor: f32,
    /// Factor of the gradient.
    scale: f32,
    /// Whether the entropy is wanted; it costs 5 to 13 % of the sweep.
    entropy: bool,
}

/// The row as pointers; `gradient` is null for the value only and equals `logits` in place.
struct Pointers {
    logits: *const f32,
    gradient: *mut f32,
}

/// Writable pointers come from exclusive borrows: one from a shared borrow must not be written through.
fn buffers_pointers(buffers: &mut RowBuffers<'_, f32>) -> Pointers {
    match buffers {
        RowBuffers::Forward(logits) => Pointers { logits: logits.as_ptr(), gradient: std::ptr::null_mut() },
        RowBuffers::Gradient(logits, gradient) => {
            Pointers { logits: logits.as_ptr(), gradient: gradient.as_mut_ptr() }
        }
        RowBuffers::InPlace(logits) => {
            let gradient = logits.as_mut_ptr();
            Pointers { logits: gradient.cast_const(), gradient }
        }
    }
}

const FORWARD: u8 = 0;
const GRADIENT: u8 = 1;
const IN_PLACE: u8 = 2;

/// The background is the same for every class.
const PLAIN: u8 = 0;
/// The masses differ by class (a prior or class weights), the explicit part is a label.
const BY_CLASS: u8 = 1;
/// The explicit part is a dense row.
const DENSE: u8 = 2;

/// Vector lanes of the main loops, and of the tail.
const LANES: usize = 32;
const TAIL: usize = 16;
/// Elements summed in single precision before the sums move to double precision.
const BLOCK: usize = 512;
/// Magnitudes from here on go to the reference: differences could overflow.
const HUGE_BITS: u32 = 0x7149_f2ca; // 1e30

fn fast_row(
    isa: Isa,
    pointers: &Pointers,
    job: &Job,
    second: Option<&[f32]>,
    weights: Option<&[f32]>,
) -> Option<RowValue> {
    let mode = if pointers.gradient.is_null() {
        FORWARD
    } else if std::ptr::eq(pointers.gradient.cast_const(), pointers.logits) {
        IN_PLACE
    } else {
        GRADIENT
    };
    // SAFETY: the pointers come from one row's slices of `n_classes` values each (`RowBuffers`), the
    // gradient's from a unique borrow that `row_f32` owns for the duration of the call; `second` and
    // `weights` hold `n_classes` values (checked by the batch driver); each instruction set was detected.
    unsafe {
        match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => row_avx512(mode, pointers, job, second, weights),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => row_avx2(mode, pointers, job, second, weights),
            _ => row_modes::<false>(mode, pointers, job, second, weights),
        }
    }
}

/// # Safety
/// As [`row_modes`], on a CPU with these features.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx2,fma")]
unsafe fn row_avx512(
    mode: u8,
    pointers: &Pointers,
    job: &Job,
    second: Option<&[f32]>,
    weights: Option<&[f32]>,
) -> Option<RowValue> {
    // SAFETY: passed on to the caller.
    unsafe { row_modes::<true>(mode, pointers, job, second, weights) }
}

/// # Safety
/// As [`row_modes`], on a CPU with these features.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn row_avx2(
    mode: u8,
    pointers: &Pointers,
    job: &Job,
    second: Option<&[f32]>,
    weights: Option<&[f32]>,
) -> Option<RowValue> {
    // SAFETY: passed on to the caller.
    unsafe { row_modes::<true>(mode, pointers, job, second, weights) }
}

/// Picks the body without needless loads.
///
/// # Safety
/// `pointers.logits` must be readable and, unless null, `pointers.gradient` writable for
/// `job.n_classes` values; `second` and `weights` must hold as many.
#[inline(always)]
unsafe fn row_modes<const FMA: bool>(
    mode: u8,
    pointers: &Pointers,
    job: &Job,
    second: Option<&[f32]>,
    weights: Option<&[f32]>,
) -> Option<RowValue> {
    // SAFETY: passed on to the caller.
    unsafe {
        if job.entropy {
            row_kinds::<FMA, true>(mode, pointers, job, second, weights)
        } else {
            row_kinds::<FMA, false>(mode, pointers, job, second, weights)
        }
    }
}

/// [`row_modes`] with or without the entropy.
///
/// # Safety
/// As [`row_modes`].
#[inline(always)]
unsafe fn row_kinds<const FMA: bool, const ENTROPY: bool>(
    mode: u8,
    pointers: &Pointers,
    job: &Job,
    second: Option<&[f32]>,
    weights: Option<&[f32]>,
) -> Option<RowValue> {
    let kind = match (job.label < job.n_classes, second.is_none() && weights.is_none()) {
        (true, true) => PLAIN,
        (true, false) => BY_CLASS,
        (false, _) => DENSE,
    };
    // SAFETY: passed on to the caller.
    unsafe {
        match (mode, kind) {
            (IN_PLACE, PLAIN) => row_body::<FMA, IN_PLACE, PLAIN, ENTROPY>(pointers, job, second, weights),
            (IN_PLACE, BY_CLASS) => {
                row_body::<FMA, IN_PLACE, BY_CLASS, ENTROPY>(pointers, job, second, weights)
            }
            (IN_PLACE, _) => row_body::<FMA, IN_PLACE, DENSE, ENTROPY>(pointers, job, second, weights),
            (GRADIENT, PLAIN) => row_body::<FMA, GRADIENT, PLAIN, ENTROPY>(pointers, job, second, weights),
            (GRADIENT, BY_CLASS) => {
                row_body::<FMA, GRADIENT, BY_CLASS, ENTROPY>(pointers, job, second, weights)
            }
            (GRADIENT, _) => row_body::<FMA, GRADIENT, DENSE, ENTROPY>(pointers, job, second, weights),
            (_, PLAIN) => row_body::<FMA, FORWARD, PLAIN, ENTROPY>(pointers, job, second, weights),
            (_, BY_CLASS) => row_body::<FMA, FORWARD, BY_CLASS, ENTROPY>(pointers, job, second, weights),
            (_, _) => row_body::<FMA, FORWARD, DENSE, ENTROPY>(pointers, job, second, weights),
        }
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

/// The body: returns `None`, having written nothing, if a value needs the reference.
///
/// # Safety
/// As [`row_modes`].
#[inline(always)]
unsafe fn row_body<const FMA: bool, const MODE: u8, const KIND: u8, const ENTROPY: bool>(
    pointers: &Pointers,
    job: &Job,
    second: Option<&[f32]>,
    weights: Option<&[f32]>,
) -> Option<RowValue> {
    let k = job.n_classes;
    let destination = pointers.gradient;
    // One pointer in place: with two, the compiler's overlap check would pick a scalar loop.
    let source = if MODE == IN_PLACE { destination.cast_const() } else { pointers.logits };
    let main = k / LANES * LANES;
    // SAFETY (all accesses below): every index is below `k`, for which the caller vouches.
    unsafe {
        // Pass 1: the maximum, and whether every magnitude is ordinary.
        let mut max_lanes = [f32::NEG_INFINITY; LANES];
        let mut magnitude_lanes = [0_u32; LANES];
        let mut i = 0;
        while i < main {
            for l in 0..LANES {
                let v = *source.add(i + l);
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
            let v = *source.add(j);
            max = if v > max { v } else { max };
            let bits = v.to_bits() & 0x7fff_ffff;
            magnitude = if bits > magnitude { bits } else { magnitude };
        }
        if magnitude >= HUGE_BITS {
            return None;
        }
        let label_shifted = if job.label < k { *source.add(job.label) - max } else { 0.0 };
        // The label is predicted if it attains the maximum and no earlier class does.
        let mut correct = job.label < k && label_shifted == 0.0;
        if correct {
            let mut earlier = false;
            for j in 0..job.label {
                earlier |= *source.add(j) == max;
            }
            correct = !earlier;
        }

        // Pass 2: exponentials into the gradient's place, and the sums.
        let second_row = second.map_or(std::ptr::null(), <[f32]>::as_ptr);
        let weight_row = weights.map_or(std::ptr::null(), <[f32]>::as_ptr);
        let mass_at = |j: usize| -> f32 {
            let mut q = job.uniform;
            if !second_row.is_null() {
                q = multiply_add::<FMA>(*second_row.add(j), job.second_factor, q);
            }
            if !weight_row.is_null() {
                q *= *weight_row.add(j);
            }
            q
        };
        let (mut exp_sum, mut dot, mut mass) = (0.0_f64, 0.0_f64, 0.0_f64);
        let (mut dense_dot, mut dense_mass, mut entropy_dot) = (0.0_f64, 0.0_f64, 0.0_f64);
        i = 0;
        while i < main {
            let end = if i + BLOCK < main { i + BLOCK } else { main };
            let mut sums = Sums::<LANES>::new();
            while i < end {
                for l in 0..LANES {
                    let v = *source.add(i + l) - max;
                    let e = exp_nonpositive::<FMA>(v);
                    sums.exp[l] += e;
                    if ENTROPY {
                        sums.entropy_dot[l] = multiply_add::<FMA>(e, v, sums.entropy_dot[l]);
                    }
                    if KIND == PLAIN {
                        sums.dot[l] += v;
                    } else {
                        let q = mass_at(i + l);
                        sums.dot[l] = multiply_add::<FMA>(q, v, sums.dot[l]);
                        sums.mass[l] += q;
                    }
                    if KIND == DENSE {
                        let r = *second_row.add(i + l);
                        sums.dense_dot[l] = multiply_add::<FMA>(r, v, sums.dense_dot[l]);
                        sums.dense_mass[l] += r;
                    }
                    if MODE != FORWARD {
                        *destination.add(i + l) = e;
                    }
                }
                i += LANES;
            }
            exp_sum += fold(&sums.exp);
            if ENTROPY {
                entropy_dot += fold(&sums.entropy_dot);
            }
            dot += fold(&sums.dot);
            if KIND != PLAIN {
                mass += fold(&sums.mass);
            }
            if KIND == DENSE {
                dense_dot += fold(&sums.dense_dot);
                dense_mass += fold(&sums.dense_mass);
            }
        }
        while i < k {
            let len = if k - i < TAIL { k - i } else { TAIL };
            let mut values = [max; TAIL];
            std::ptr::copy_nonoverlapping(source.add(i), values.as_mut_ptr(), len);
            let mut masses = [0.0_f32; TAIL];
            let mut dense = [0.0_f32; TAIL];
            for l in 0..len {
                if KIND != PLAIN {
                    masses[l] = mass_at(i + l);
                }
                if KIND == DENSE {
                    dense[l] = *second_row.add(i + l);
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
            exp_sum += fold(&sums.exp);
            if ENTROPY {
                entropy_dot += fold(&sums.entropy_dot);
            }
            dot += fold(&sums.dot);
            if KIND != PLAIN {
                mass += fold(&sums.mass);
            }
            if KIND == DENSE {
                dense_dot += fold(&sums.dense_dot);
                dense_mass += fold(&sums.dense_mass);
            }
            if MODE != FORWARD {
                std::ptr::copy_nonoverlapping(exps.as_ptr(), destination.add(i), len);
            }
            i += len;
        }

        // The label's own mass comes on top.
        let mut label_mass = job.label_mass;
        if !weight_row.is_null() && job.label < k {
            label_mass *= *weight_row.add(job.label);
        }
        let (target_sum, target_dot) = if KIND == PLAIN {
            let uniform = f64::from(job.uniform);
            (
                uniform * k as f64 + f64::from(label_mass),
                uniform * dot + f64::from(label_mass) * f64::from(label_shifted),
            )
        } else {
            (mass + f64::from(label_mass), dot + f64::from(label_mass) * f64::from(label_shifted))
        };
        let log_sum = math::ln(exp_sum);

        // Pass 3: scale and subtract.
        if MODE != FORWARD {
            let factor = (target_sum * f64::from(job.scale) / exp_sum) as f32;
            let offset = -job.uniform * job.scale;
            for j in 0..k {
                let d = destination.add(j);
                let q = if KIND == PLAIN { offset } else { -job.scale * mass_at(j) };
                *d = multiply_add::<FMA>(*d, factor, q);
            }
            if job.label < k {
                *destination.add(job.label) -= label_mass * job.scale;
            }
        }
        let nll =
            if KIND == DENSE { dense_mass * log_sum - dense_dot } else { log_sum - f64::from(label_shifted) };
        Some(RowValue {
            loss: target_sum * log_sum - target_dot,
            nll,
            correct,
            confidence: 1.0 / exp_sum,
            entropy: if ENTROPY { log_sum - entropy_dot / exp_sum } else { f64::NAN },
        })
    }
}
