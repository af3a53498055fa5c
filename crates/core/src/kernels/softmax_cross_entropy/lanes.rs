//! Few classes: [`ROWS`] rows side by side, a row in each lane, so that short rows fill vectors.
//!
//! A lane computes nothing from other lanes, and every group runs the same code over all of them: a row's bits
//! depend neither on its lane nor on its company.

use super::extremes::Extremes;
use super::job::{
    BY_CLASS, DENSE, DENSE_BY_CLASS, Job, Kind, LARGEST_FACTOR, PLAIN, PairSums, Setting, reads_background,
    reads_dense,
};
pub(crate) use super::transpose::ROWS;
use super::transpose::{Lanes, gather, scatter};
use super::{HUGE_BITS, RowBuffers, RowValue};
use crate::kernels::exp_f32::{exp_nonpositive, multiply_add};
use crate::kernels::isa::{Body, run_on};
use crate::kernels::math;
use crate::kernels::storage::FusedStorage;

/// Up to so many classes, rows go into lanes.
pub(crate) const SMALL_CLASSES: usize = 64;

/// Classes summed in single precision before the sums move to double precision.
const CHUNK: usize = 16;

/// Room for the rows of a group, made once and used for many groups.
pub(crate) struct Tiles {
    /// The logits, then e^v, then the gradient.
    values: [Lanes; SMALL_CLASSES],
    second: [Lanes; SMALL_CLASSES],
    /// Rows of half precision, widened.
    wide: [[f32; SMALL_CLASSES]; ROWS],
}

impl Tiles {
    pub(crate) fn new() -> Self {
        Self {
            values: [[0.0; ROWS]; SMALL_CLASSES],
            second: [[0.0; ROWS]; SMALL_CLASSES],
            wide: [[0.0; SMALL_CLASSES]; ROWS],
        }
    }
}

/// Computes up to [`ROWS`] rows of `n_classes` values, at most [`SMALL_CLASSES`].
///
/// A row whose values need the reference gives `None` in `values` and is left as it was.
pub(crate) fn lanes<T: FusedStorage>(
    setting: &Setting<'_>,
    n_classes: usize,
    tiles: &mut Tiles,
    rows: &mut [RowBuffers<'_, T>],
    jobs: &[Job<'_>],
    values: &mut [Option<RowValue>; ROWS],
) {
    values.fill(None);
    let fits = setting.fits(n_classes)
        && rows.iter().all(|row| row.holds(n_classes))
        && jobs.iter().all(|job| job.fits(n_classes, setting.kind));
    if !fits || rows.is_empty() || rows.len() > ROWS || rows.len() != jobs.len() || n_classes > SMALL_CLASSES
    {
        return;
    }
    let (tile, second) = (&mut tiles.values[..n_classes], &mut tiles.second[..n_classes]);
    // Lanes beyond the last row repeat the first one, and their results go nowhere.
    let sources = std::array::from_fn(|l| rows[if l < rows.len() { l } else { 0 }].logits().as_ptr());
    let gradient = rows[0].wants_gradient();
    // SAFETY: the instruction set was detected (`Setting::isa`); every row has `n_classes` values and every
    // target array as many, all classes are below it, and no two rows overlap where one is written.
    unsafe {
        run_on(setting.isa, Load { sources: &sources, wide: &mut tiles.wide, tile });
        run_on(setting.isa, Compute { setting, tile, second, jobs, gradient, values });
        if gradient {
            let wanted = std::array::from_fn(|l| l < rows.len() && values[l].is_some());
            let destinations = std::array::from_fn(|l| match rows.get_mut(l) {
                Some(row) => row.destination(),
                None => std::ptr::null_mut(),
            });
            run_on(setting.isa, Store { tile, wide: &mut tiles.wide, destinations, wanted });
        }
    }
}

/// Rows into the tile.
struct Load<'g, T> {
    sources: &'g [*const T; ROWS],
    wide: &'g mut [[f32; SMALL_CLASSES]; ROWS],
    tile: &'g mut [Lanes],
}

impl<T: FusedStorage> Body for Load<'_, T> {
    type Output = ();

    /// # Safety
    /// That of the function that makes this body.
    #[inline(always)]
    unsafe fn run<const FMA: bool>(self) {
        let k = self.tile.len();
        // SAFETY: `lanes` vouches for the rows' lengths; an exact type is `f32` itself.
        unsafe {
            if T::EXACT {
                let rows = self.sources.map(<*const T>::cast::<f32>);
                gather::<FMA>(&rows, self.tile);
            } else {
                for l in 0..ROWS {
                    for (j, value) in self.wide[l][..k].iter_mut().enumerate() {
                        *value = (*self.sources[l].add(j)).widen();
                    }
                }
                let rows = std::array::from_fn(|l| self.wide[l].as_ptr());
                gather::<FMA>(&rows, self.tile);
            }
        }
    }
}

/// The tile into the gradients.
struct Store<'g, T> {
    tile: &'g [Lanes],
    wide: &'g mut [[f32; SMALL_CLASSES]; ROWS],
    destinations: [*mut T; ROWS],
    wanted: [bool; ROWS],
}

impl<T: FusedStorage> Body for Store<'_, T> {
    type Output = ();

    /// # Safety
    /// That of the function that makes this body.
    #[inline(always)]
    unsafe fn run<const FMA: bool>(self) {
        let k = self.tile.len();
        // SAFETY: as in `Load`; the wanted pointers come from exclusive borrows.
        unsafe {
            if T::EXACT {
                let rows = self.destinations.map(<*mut T>::cast::<f32>);
                scatter::<FMA>(self.tile, &rows, &self.wanted);
            } else {
                let rows = std::array::from_fn(|l| self.wide[l].as_mut_ptr());
                scatter::<FMA>(self.tile, &rows, &[true; ROWS]);
                for l in 0..ROWS {
                    if self.wanted[l] {
                        for (j, value) in self.wide[l][..k].iter().enumerate() {
                            *self.destinations[l].add(j) = T::narrow(*value);
                        }
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
    jobs: &'g [Job<'a>],
    gradient: bool,
    values: &'g mut [Option<RowValue>; ROWS],
}

impl Body for Compute<'_, '_> {
    type Output = ();

    /// # Safety
    /// That of the function that makes this body.
    #[inline(always)]
    unsafe fn run<const FMA: bool>(self) {
        // SAFETY: passed on to the caller.
        unsafe {
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
}

impl Compute<'_, '_> {
    /// The dense rows, or else the backgrounds.
    ///
    /// # Safety
    /// Every job's arrays have as many values as the tile has classes.
    #[inline(always)]
    unsafe fn load_second<const FMA: bool, const KIND: u8>(&mut self) {
        let place = |l: usize| {
            let job = &self.jobs[if l < self.jobs.len() { l } else { 0 }];
            if reads_dense(KIND) { job.dense } else { job.background.masses }
        };
        let first = place(0);
        if self.jobs.iter().enumerate().all(|(l, _)| std::ptr::eq(place(l), first)) {
            for (lanes, value) in self.second.iter_mut().zip(first) {
                *lanes = [*value; ROWS];
            }
        } else {
            let rows = std::array::from_fn(|l| place(l).as_ptr());
            // SAFETY: passed on to the caller.
            unsafe { gather::<FMA>(&rows, self.second) };
        }
    }

    /// # Safety
    /// As [`load_second`](Self::load_second); all classes of the pairs are below the number of classes.
    #[inline(always)]
    unsafe fn sweep<const FMA: bool, const KIND: u8, const ENTROPY: bool>(mut self) {
        let k = self.tile.len();
        if KIND != PLAIN {
            // SAFETY: passed on to the caller.
            unsafe { self.load_second::<FMA, KIND>() };
        }
        let Self { setting, tile, second, jobs, gradient, values } = self;
        let job = |l: usize| &jobs[if l < jobs.len() { l } else { 0 }];
        // Dense rows have one background for all.
        let shared = if KIND == DENSE_BY_CLASS { jobs[0].background.masses } else { &[] };
        let shared_at = |j: usize| if KIND == DENSE_BY_CLASS { shared[j] } else { 0.0 };
        let weight_at = |j: usize| setting.class_weights.map_or(1.0, |weights| weights[j]);

        // The maximum, and whether every magnitude is ordinary.
        let mut extremes = Extremes::<ROWS>::new();
        for z in tile.iter() {
            for (l, value) in z.iter().enumerate() {
                extremes.see(l, *value);
            }
        }
        let mut max = [0.0_f32; ROWS];
        let mut magnitude = [0_u32; ROWS];
        for l in 0..ROWS {
            (max[l], magnitude[l]) = extremes.of(l);
        }
        let mut pair_mass = [0.0_f64; ROWS];
        let mut pair_dot = [0.0_f64; ROWS];
        let mut plain_mass = [0.0_f64; ROWS];
        let mut plain_dot = [0.0_f64; ROWS];
        for (l, job) in jobs.iter().enumerate() {
            let shifted = |class: usize| f64::from(tile[class][l] - max[l]);
            let pairs = PairSums::new(job, shifted, |class| f64::from(weight_at(class)));
            pair_mass[l] = pairs.mass;
            pair_dot[l] = pairs.dot;
            plain_mass[l] = pairs.plain_mass;
            plain_dot[l] = pairs.plain_dot;
        }

        // Exponentials and sums.
        let mut predicted = [u32::MAX; ROWS];
        let mut exp_sum = [0.0_f64; ROWS];
        let mut dot = [0.0_f64; ROWS];
        let mut dense_dot = [0.0_f64; ROWS];
        let mut dense_mass = [0.0_f64; ROWS];
        let mut weighted_dot = [0.0_f64; ROWS];
        let mut weighted_mass = [0.0_f64; ROWS];
        let mut entropy_dot = [0.0_f64; ROWS];
        for start in (0..k).step_by(CHUNK) {
            let end = if start + CHUNK < k { start + CHUNK } else { k };
            let mut sums = Sums::new();
            for j in start..end {
                let (z, r) = (&mut tile[j], &second[j]);
                let (b, w) = (shared_at(j), if KIND == DENSE_BY_CLASS { weight_at(j) } else { 1.0 });
                for l in 0..ROWS {
                    let v = z[l] - max[l];
                    // The first class that attains the maximum.
                    let attains = if v == 0.0 { j as u32 } else { u32::MAX };
                    predicted[l] = predicted[l].min(attains);
                    let e = exp_nonpositive::<FMA>(v);
                    sums.exp[l] += e;
                    if ENTROPY {
                        sums.entropy_dot[l] = multiply_add::<FMA>(e, v, sums.entropy_dot[l]);
                    }
                    match KIND {
                        BY_CLASS => sums.dot[l] = multiply_add::<FMA>(r[l], v, sums.dot[l]),
                        DENSE_BY_CLASS => sums.dot[l] = multiply_add::<FMA>(b, v, sums.dot[l]),
                        _ => sums.dot[l] += v,
                    }
                    if reads_dense(KIND) {
                        sums.dense_dot[l] = multiply_add::<FMA>(r[l], v, sums.dense_dot[l]);
                        sums.dense_mass[l] += r[l];
                    }
                    if KIND == DENSE_BY_CLASS {
                        let mass = r[l] * w;
                        sums.weighted_dot[l] = multiply_add::<FMA>(mass, v, sums.weighted_dot[l]);
                        sums.weighted_mass[l] += mass;
                    }
                    z[l] = e;
                }
            }
            widen(&sums.exp, &mut exp_sum);
            widen(&sums.dot, &mut dot);
            if ENTROPY {
                widen(&sums.entropy_dot, &mut entropy_dot);
            }
            if reads_dense(KIND) {
                widen(&sums.dense_dot, &mut dense_dot);
                widen(&sums.dense_mass, &mut dense_mass);
            }
            if KIND == DENSE_BY_CLASS {
                widen(&sums.weighted_dot, &mut weighted_dot);
                widen(&sums.weighted_mass, &mut weighted_mass);
            }
        }

        // The rows' values.
        let mut rest_factor = [0.0_f64; ROWS];
        let mut rest_mass = [0.0_f64; ROWS];
        let mut dense_factor = [0.0_f64; ROWS];
        for l in 0..ROWS {
            let job = job(l);
            (rest_factor[l], rest_mass[l]) = if reads_background(KIND) {
                (f64::from(job.background_factor), job.background.sum)
            } else {
                (f64::from(job.uniform), k as f64)
            };
            dense_factor[l] = f64::from(job.dense_factor);
        }
        let mut log_sum = [0.0_f64; ROWS];
        let mut target_sum = [0.0_f64; ROWS];
        let mut loss = [0.0_f64; ROWS];
        let mut nll = [0.0_f64; ROWS];
        let mut inverse = [0.0_f64; ROWS];
        for l in 0..ROWS {
            log_sum[l] = math::ln_normal(exp_sum[l], 0);
            inverse[l] = 1.0 / exp_sum[l];
            let mut target_dot = rest_factor[l] * dot[l] + pair_dot[l];
            target_sum[l] = rest_factor[l] * rest_mass[l] + pair_mass[l];
            if reads_dense(KIND) {
                let weighted = KIND == DENSE_BY_CLASS;
                target_sum[l] += dense_factor[l] * if weighted { weighted_mass[l] } else { dense_mass[l] };
                target_dot += dense_factor[l] * if weighted { weighted_dot[l] } else { dense_dot[l] };
            }
            loss[l] = target_sum[l] * log_sum[l] - target_dot;
            nll[l] = if reads_dense(KIND) {
                dense_mass[l] * log_sum[l] - dense_dot[l]
            } else {
                plain_mass[l] * log_sum[l] - plain_dot[l]
            };
        }
        for (l, job) in jobs.iter().enumerate() {
            // Huge masses would overflow in single precision.
            if magnitude[l] < HUGE_BITS && dense_mass[l] <= LARGEST_FACTOR {
                values[l] = Some(RowValue {
                    loss: loss[l],
                    nll: nll[l],
                    correct: job.pairs.label() == Some(predicted[l] as usize),
                    confidence: inverse[l],
                    entropy: if ENTROPY { log_sum[l] - entropy_dot[l] * inverse[l] } else { f64::NAN },
                });
            }
        }

        // The gradient: scale and subtract.
        if gradient {
            let mut factor = [0.0_f32; ROWS];
            let mut uniform = [0.0_f32; ROWS];
            let mut background = [0.0_f32; ROWS];
            let mut dense = [0.0_f32; ROWS];
            for l in 0..ROWS {
                let job = job(l);
                factor[l] = (target_sum[l] * f64::from(job.scale) * inverse[l]) as f32;
                uniform[l] = job.uniform * job.scale;
                background[l] = job.background_factor * job.scale;
                dense[l] = job.dense_factor * job.scale;
            }
            for (j, e) in tile.iter_mut().enumerate() {
                let (b, w) = (shared_at(j), if KIND == DENSE_BY_CLASS { weight_at(j) } else { 1.0 });
                let r = &second[j];
                for l in 0..ROWS {
                    let q = match KIND {
                        PLAIN => uniform[l],
                        BY_CLASS => background[l] * r[l],
                        DENSE => multiply_add::<FMA>(dense[l], r[l], uniform[l]),
                        _ => multiply_add::<FMA>(dense[l], r[l] * w, background[l] * b),
                    };
                    e[l] = multiply_add::<FMA>(e[l], factor[l], -q);
                }
            }
            for (l, job) in jobs.iter().enumerate() {
                job.pairs.each(|class, mass| {
                    let q = job.pair_factor * mass * f64::from(weight_at(class));
                    tile[class][l] -= (q * f64::from(job.scale)) as f32;
                });
            }
        }
    }
}

/// Sums of one chunk of classes, with v = z - max.
struct Sums {
    exp: Lanes,
    /// Σ v, or Σ b v of a background b that differs by class.
    dot: Lanes,
    /// Σ r v and Σ r of a dense row r.
    dense_dot: Lanes,
    dense_mass: Lanes,
    /// The same with class weights.
    weighted_dot: Lanes,
    weighted_mass: Lanes,
    /// Σ e^v v, for the entropy.
    entropy_dot: Lanes,
}

impl Sums {
    #[inline(always)]
    fn new() -> Self {
        let zero = [0.0; ROWS];
        Self {
            exp: zero,
            dot: zero,
            dense_dot: zero,
            dense_mass: zero,
            weighted_dot: zero,
            weighted_mass: zero,
            entropy_dot: zero,
        }
    }
}

#[inline(always)]
fn widen(sums: &Lanes, totals: &mut [f64; ROWS]) {
    for l in 0..ROWS {
        totals[l] += f64::from(sums[l]);
    }
}
