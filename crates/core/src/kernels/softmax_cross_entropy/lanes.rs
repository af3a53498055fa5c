//! Few classes: [`ROWS`] rows side by side, a row in each lane, so that short rows fill vectors.
//!
//! A lane computes nothing from other lanes, and every group runs the same code over all of them: a row's bits
//! depend neither on its lane nor on its company.

// Loops over several arrays, a lane each: by index they read as what they do, and vectorise.
#![allow(clippy::needless_range_loop)]

mod jobs;

use std::cell::Cell;

use super::extremes::Extremes;
use super::factors::Factors;
use super::job::{
    BY_CLASS, DENSE, DENSE_BY_CLASS, Kind, LARGEST_FACTOR, PLAIN, Setting, reads_background, reads_dense,
};
use super::sums::Sums;
pub(crate) use super::transpose::ROWS;
use super::transpose::{Lanes, Rows, gather, scatter};
use super::{HUGE_BITS, RowValue};
use crate::batch::Buffers;
use crate::kernels::exp_f32::exp_nonpositive;
use crate::kernels::isa::{VectorBody, run_vectors};
use crate::kernels::math;
use crate::kernels::prefetch::prefetch;
use crate::kernels::storage::FusedStorage;
use crate::kernels::vector::{LANES, Vector};
use jobs::ExplicitSums;
pub(crate) use jobs::LaneJobs;

/// Up to so many classes, rows go into lanes.
pub(crate) const SMALL_CLASSES: usize = 64;

/// Classes summed in single precision before the sums move to double precision.
const CHUNK: usize = 16;

/// Room for the rows of a group.
pub(crate) struct Tiles {
    /// The logits, then e^v, then the gradient.
    tile: [Lanes; SMALL_CLASSES],
    second: [Lanes; SMALL_CLASSES],
    /// Rows of half precision, widened.
    wide: [[f32; SMALL_CLASSES]; ROWS],
    values: Values,
    totals: Totals,
    explicit: ExplicitSums,
}

/// What the last group's rows came to.
struct Values {
    loss: [f64; ROWS],
    nll: [f64; ROWS],
    confidence: [f64; ROWS],
    entropy: [f64; ROWS],
    correct: [bool; ROWS],
    /// Whether the figures stand; else the row needs the reference.
    found: [bool; ROWS],
}

thread_local! {
    static TILES: Cell<Option<Box<Tiles>>> = const { Cell::new(None) };
}

impl Tiles {
    /// Computes something with the thread's room, which is made once: clearing it would take longer than many a batch.
    pub(crate) fn with<R>(compute: impl FnOnce(&mut Self) -> R) -> R {
        let mut tiles = TILES.take().unwrap_or_else(|| Box::new(Self::new()));
        let result = compute(&mut tiles);
        TILES.set(Some(tiles));
        result
    }

    fn new() -> Self {
        let zero = [0.0; ROWS];
        Self {
            tile: [[0.0; ROWS]; SMALL_CLASSES],
            second: [[0.0; ROWS]; SMALL_CLASSES],
            wide: [[0.0; SMALL_CLASSES]; ROWS],
            values: Values {
                loss: zero,
                nll: zero,
                confidence: zero,
                entropy: zero,
                correct: [false; ROWS],
                found: [false; ROWS],
            },
            totals: Totals::NONE,
            explicit: ExplicitSums::NONE,
        }
    }

    /// Whether the rows of all lanes of which `counts` says so have values.
    pub(crate) fn all_found(&self, counts: &[bool]) -> bool {
        counts.iter().zip(&self.values.found).fold(true, |all, (counts, found)| all & (!counts | found))
    }

    /// The value of a lane's row; `None` without a job, or where it needs the reference.
    #[inline(always)]
    pub(crate) fn value(&self, l: usize) -> Option<RowValue> {
        let Values { loss, nll, confidence, entropy, correct, found } = &self.values;
        found[l].then(|| RowValue {
            loss: loss[l],
            nll: nll[l],
            correct: correct[l],
            confidence: confidence[l],
            entropy: entropy[l],
        })
    }
}

/// Up to [`ROWS`] rows that stand one after the other.
pub(crate) struct LaneRows<'b, T> {
    pub(crate) buffers: Buffers<'b, T>,
    /// The distance from a row to the next.
    pub(crate) stride: usize,
    pub(crate) count: usize,
}

/// Computes rows of `n_classes` values, at most [`SMALL_CLASSES`]; one job a row, or the gap in its place.
///
/// The rows' values are those of the tiles. A row that has none there is left as it was.
pub(crate) fn lanes<T: FusedStorage>(
    setting: &Setting<'_>,
    n_classes: usize,
    tiles: &mut Tiles,
    mut rows: LaneRows<'_, T>,
    jobs: &LaneJobs<'_>,
) {
    let Tiles { tile, second, wide, values, totals, explicit } = tiles;
    values.found.fill(false);
    let (count, stride) = (rows.count, rows.stride);
    let fits = setting.fits(n_classes)
        && rows.buffers.check_strided(count, n_classes, stride).is_ok()
        && jobs.fit(n_classes, setting.kind);
    if !fits || count > ROWS || count != jobs.len() || n_classes > SMALL_CLASSES || jobs.all_skipped() {
        return;
    }
    let (tile, second) = (&mut tile[..n_classes], &mut second[..n_classes]);
    // From the exclusive borrow, if there is one: a pointer from a shared one must not be written through.
    let destination = match &mut rows.buffers {
        Buffers::Forward(_) => None,
        Buffers::Gradient { gradient, .. } => Some(gradient.as_mut_ptr()),
        Buffers::InPlace(logits) => Some(logits.as_mut_ptr()),
    };
    let source = match &rows.buffers {
        Buffers::InPlace(_) => destination.map_or(std::ptr::null(), <*mut T>::cast_const),
        Buffers::Forward(logits) | Buffers::Gradient { logits, .. } => logits.as_ptr(),
    };
    // SAFETY: the instruction set was detected (`Setting::isa`); the buffers hold `count` rows of `n_classes` values
    // in distances of `stride`, every target array has a value a class, and all classes are below their number.
    unsafe {
        run_vectors(setting.isa, Load { rows: (source, stride, count), wide, tile });
        // The rows of the next group, unless other things lie between them.
        if stride == n_classes {
            prefetch(source.wrapping_add(count * stride), count * stride);
        }
        let gradient = destination.is_some();
        run_vectors(setting.isa, Compute { setting, tile, second, jobs, gradient, values, totals, explicit });
        if let Some(destination) = destination {
            run_vectors(
                setting.isa,
                Store { tile, wide, rows: (destination, stride), wanted: &values.found },
            );
        }
    }
}

/// Rows into the tile.
struct Load<'g, T> {
    /// The first one, the distance to the next, how many there are.
    rows: (*const T, usize, usize),
    wide: &'g mut [[f32; SMALL_CLASSES]; ROWS],
    tile: &'g mut [Lanes],
}

impl<T: FusedStorage> VectorBody for Load<'_, T> {
    type Output = ();

    /// # Safety
    /// That of the function that makes this body.
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        let Self { rows: (first, stride, count), wide, tile } = self;
        // SAFETY: `lanes` vouches for the rows' lengths; an exact type is `f32` itself.
        unsafe {
            if T::EXACT {
                gather::<V>(Rows::Apart { first: first.cast(), stride, count }, tile);
            } else {
                for (l, wide) in wide[..count].iter_mut().enumerate() {
                    for (j, value) in wide[..tile.len()].iter_mut().enumerate() {
                        *value = (*first.add(l * stride + j)).widen();
                    }
                }
                gather::<V>(Rows::Apart { first: wide.as_ptr().cast(), stride: SMALL_CLASSES, count }, tile);
            }
        }
    }
}

/// The tile into the gradients.
struct Store<'g, T> {
    tile: &'g [Lanes],
    wide: &'g mut [[f32; SMALL_CLASSES]; ROWS],
    /// The first one, and the distance to the next.
    rows: (*mut T, usize),
    wanted: &'g [bool; ROWS],
}

impl<T: FusedStorage> VectorBody for Store<'_, T> {
    type Output = ();

    /// # Safety
    /// That of the function that makes this body.
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        let Self { tile, wide, rows: (first, stride), wanted } = self;
        // SAFETY: as in `Load`; the wanted rows come from exclusive borrows.
        unsafe {
            if T::EXACT {
                scatter::<V>(tile, (first.cast(), stride), wanted);
            } else {
                scatter::<V>(tile, (wide.as_mut_ptr().cast(), SMALL_CLASSES), wanted);
                for (l, wide) in wide.iter().enumerate().filter(|(l, _)| wanted[*l]) {
                    for (j, value) in wide[..tile.len()].iter().enumerate() {
                        *first.add(l * stride + j) = T::narrow(*value);
                    }
                }
            }
        }
    }
}

/// The sweep over a loaded tile: values out, gradient into the tile.
struct Compute<'g, 'a> {
    setting: &'g Setting<'g>,
    tile: &'g mut [Lanes],
    second: &'g mut [Lanes],
    jobs: &'g LaneJobs<'a>,
    gradient: bool,
    values: &'g mut Values,
    totals: &'g mut Totals,
    explicit: &'g mut ExplicitSums,
}

impl VectorBody for Compute<'_, '_> {
    type Output = ();

    /// # Safety
    /// That of the function that makes this body.
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        // SAFETY: passed on to the caller.
        unsafe {
            match (self.setting.kind, self.setting.entropy) {
                (Kind::Plain, false) => self.sweep::<V, PLAIN, false>(),
                (Kind::Plain, true) => self.sweep::<V, PLAIN, true>(),
                (Kind::ByClass, false) => self.sweep::<V, BY_CLASS, false>(),
                (Kind::ByClass, true) => self.sweep::<V, BY_CLASS, true>(),
                (Kind::Dense, false) => self.sweep::<V, DENSE, false>(),
                (Kind::Dense, true) => self.sweep::<V, DENSE, true>(),
                (Kind::DenseByClass, false) => self.sweep::<V, DENSE_BY_CLASS, false>(),
                (Kind::DenseByClass, true) => self.sweep::<V, DENSE_BY_CLASS, true>(),
            }
        }
    }
}

/// The numbers of vector `part` among the lanes.
#[inline(always)]
fn part<T>(lanes: &[T; ROWS], part: usize) -> &[T; LANES] {
    let (vectors, _) = lanes.as_chunks();
    &vectors[part]
}

/// [`part`], to be written.
#[inline(always)]
fn part_mut<T>(lanes: &mut [T; ROWS], part: usize) -> &mut [T; LANES] {
    let (vectors, _) = lanes.as_chunks_mut();
    &mut vectors[part]
}

/// The maximum of each lane, and the bits of its largest magnitude.
#[inline(always)]
fn extremes<V: Vector>(proof: V, tile: &[Lanes], vectors: usize) -> (Lanes, [u32; ROWS]) {
    let (mut max, mut magnitude) = ([0.0; ROWS], [0; ROWS]);
    for at in 0..vectors {
        let mut extremes = Extremes::of(proof.load(part(&tile[0], at)));
        for lanes in &tile[1..] {
            extremes.see(proof.load(part(lanes, at)));
        }
        (*part_mut(&mut max, at), *part_mut(&mut magnitude, at)) = extremes.of_lanes();
    }
    (max, magnitude)
}

/// What a group's second pass adds up, and the class that each lane predicts.
struct Totals {
    exp: [f64; ROWS],
    dot: [f64; ROWS],
    dense_dot: [f64; ROWS],
    dense_mass: [f64; ROWS],
    weighted_dot: [f64; ROWS],
    weighted_mass: [f64; ROWS],
    entropy_dot: [f64; ROWS],
    predicted: Lanes,
}

impl Totals {
    /// Nothing.
    const NONE: Self = {
        let zero = [0.0; ROWS];
        Self {
            exp: zero,
            dot: zero,
            dense_dot: zero,
            dense_mass: zero,
            weighted_dot: zero,
            weighted_mass: zero,
            entropy_dot: zero,
            predicted: [0.0; ROWS],
        }
    };

    /// Forgets what a sweep of this kind adds up.
    #[inline(always)]
    fn clear<const KIND: u8, const ENTROPY: bool>(&mut self) {
        self.exp.fill(0.0);
        self.dot.fill(0.0);
        if ENTROPY {
            self.entropy_dot.fill(0.0);
        }
        if reads_dense(KIND) {
            self.dense_dot.fill(0.0);
            self.dense_mass.fill(0.0);
        }
        if KIND == DENSE_BY_CLASS {
            self.weighted_dot.fill(0.0);
            self.weighted_mass.fill(0.0);
        }
    }

    /// Adds the sums of some classes to the lanes of vector `at`.
    #[inline(always)]
    fn add<V: Vector, const KIND: u8, const ENTROPY: bool>(&mut self, at: usize, sums: &Sums<V>, mass: V) {
        sums.exp.add_to(part_mut(&mut self.exp, at));
        sums.dot.add_to(part_mut(&mut self.dot, at));
        if ENTROPY {
            sums.entropy_dot.add_to(part_mut(&mut self.entropy_dot, at));
        }
        if reads_dense(KIND) {
            sums.dense_dot.add_to(part_mut(&mut self.dense_dot, at));
            mass.add_to(part_mut(&mut self.dense_mass, at));
        }
        if KIND == DENSE_BY_CLASS {
            sums.weighted_dot.add_to(part_mut(&mut self.weighted_dot, at));
            sums.weighted_mass.add_to(part_mut(&mut self.weighted_mass, at));
        }
    }
}

impl Compute<'_, '_> {
    /// # Safety
    /// The jobs fit the tile, and there is one; the CPU has what `V` needs.
    #[inline(always)]
    unsafe fn sweep<V: Vector, const KIND: u8, const ENTROPY: bool>(self) {
        let Self { setting, tile, second, jobs, gradient, values, totals, explicit } = self;
        if KIND != PLAIN {
            // SAFETY: passed on to the caller.
            unsafe { jobs.load_second::<V, KIND>(second) };
        }
        // SAFETY: passed on to the caller.
        let proof = unsafe { V::new(0.0) };
        let k = tile.len();
        let vectors = jobs.len().div_ceil(LANES);
        let weights = setting.class_weights;
        // Dense rows have one background for all.
        let shared = if KIND == DENSE_BY_CLASS { jobs.shared_background() } else { &[] };
        // What stands against class j: background, dense mass, weight.
        let masses = |second: &Lanes, j: usize, at: usize| {
            let second = if KIND == PLAIN { proof } else { proof.load(part(second, at)) };
            match KIND {
                DENSE_BY_CLASS => {
                    let weight = weights.map_or(1.0, |weights| weights[j]);
                    (proof.splat(shared[j]), second, proof.splat(weight))
                }
                DENSE => (proof, second, proof),
                _ => (second, proof, proof),
            }
        };

        let (max, magnitude) = extremes(proof, tile, vectors);
        jobs.sums(tile, &max, weights, explicit);
        totals.clear::<KIND, ENTROPY>();
        for at in 0..vectors {
            let max = proof.load(part(&max, at));
            // The first class that attains the maximum.
            let mut predicted = proof.splat(f32::from_bits(u32::MAX));
            for start in (0..k).step_by(CHUNK) {
                let end = if start + CHUNK < k { start + CHUNK } else { k };
                let (mut sums, mut dense_mass) = (Sums::new(proof), proof.splat(0.0));
                for j in start..end {
                    let lanes = part_mut(&mut tile[j], at);
                    let v = proof.load(lanes).minus(max);
                    predicted = v.smaller_where_zero(j as u32, predicted);
                    let e = exp_nonpositive(v);
                    let masses = masses(&second[j], j, at);
                    sums.see::<KIND, ENTROPY>(v, e, masses);
                    if reads_dense(KIND) {
                        dense_mass = dense_mass.plus(masses.1);
                    }
                    e.store(lanes);
                }
                totals.add::<V, KIND, ENTROPY>(at, &sums, dense_mass);
            }
            predicted.store(part_mut(&mut totals.predicted, at));
        }

        // The rows' values.
        let mut target_sum = [0.0_f64; ROWS];
        for l in 0..ROWS {
            let log_sum = math::ln_normal(totals.exp[l], 0);
            let inverse = 1.0 / totals.exp[l];
            let (rest, mass) = if reads_background(KIND) {
                (f64::from(jobs.background_factors[l]), jobs.background_sums[l])
            } else {
                (f64::from(jobs.uniform[l]), k as f64)
            };
            let mut target_dot = rest * totals.dot[l] + explicit.dot[l];
            target_sum[l] = rest * mass + explicit.mass[l];
            if reads_dense(KIND) {
                let factor = f64::from(jobs.dense_factors[l]);
                let weighted = KIND == DENSE_BY_CLASS;
                target_sum[l] +=
                    factor * if weighted { totals.weighted_mass[l] } else { totals.dense_mass[l] };
                target_dot += factor * if weighted { totals.weighted_dot[l] } else { totals.dense_dot[l] };
            }
            values.loss[l] = target_sum[l] * log_sum - target_dot;
            values.nll[l] = if reads_dense(KIND) {
                totals.dense_mass[l] * log_sum - totals.dense_dot[l]
            } else {
                explicit.plain_mass[l] * log_sum - explicit.plain_dot[l]
            };
            values.confidence[l] = inverse;
            values.entropy[l] = if ENTROPY { log_sum - totals.entropy_dot[l] * inverse } else { f64::NAN };
        }
        for l in 0..jobs.len() {
            // Huge masses would overflow in single precision.
            let small_mass = !reads_dense(KIND) || totals.dense_mass[l] <= LARGEST_FACTOR;
            values.found[l] = jobs.covers(l) && magnitude[l] < HUGE_BITS && small_mass;
            values.correct[l] = jobs.label(l) == Some(totals.predicted[l].to_bits() as usize);
        }
        if !gradient {
            return;
        }

        // The gradient: scale and subtract.
        let mut factor = [0.0_f32; ROWS];
        let mut uniform = [0.0_f32; ROWS];
        let mut background = [0.0_f32; ROWS];
        let mut dense = [0.0_f32; ROWS];
        for l in 0..ROWS {
            factor[l] = (target_sum[l] * f64::from(jobs.scales[l]) * values.confidence[l]) as f32;
            uniform[l] = jobs.uniform[l] * jobs.scales[l];
            background[l] = jobs.background_factors[l] * jobs.scales[l];
            dense[l] = jobs.dense_factors[l] * jobs.scales[l];
        }
        for at in 0..vectors {
            let of = |lanes: &Lanes| proof.load(part(lanes, at));
            let factors = Factors {
                exp: of(&factor),
                uniform: of(&uniform),
                background: of(&background),
                dense: of(&dense),
            };
            for (j, lanes) in tile.iter_mut().enumerate() {
                let lanes = part_mut(lanes, at);
                factors.gradient::<KIND>(proof.load(lanes), masses(&second[j], j, at)).store(lanes);
            }
        }
        jobs.subtract(tile, weights);
    }
}
