//! Few classes: [`ROWS`] rows side by side, a row in each lane, so that short rows fill vectors.
//!
//! A lane computes nothing from other lanes, and every group runs the same code over all of them: a row's bits
//! depend neither on its lane nor on its company.

use super::job::{BY_CLASS, DENSE, Job, Kind, PLAIN, PairSums, Setting};
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
            }
        }
    }
}

/// What the rows' targets say, a row in each lane.
struct Terms {
    uniform: Lanes,
    second_factor: Lanes,
    prior_factor: Lanes,
    scale: Lanes,
}

impl Terms {
    /// The mass of a class in each lane.
    #[inline(always)]
    fn masses<const FMA: bool>(&self, second: &Lanes, prior: f32, weight: f32) -> Lanes {
        let mut masses = [0.0; ROWS];
        for l in 0..ROWS {
            let q = multiply_add::<FMA>(second[l], self.second_factor[l], self.uniform[l]);
            masses[l] = multiply_add::<FMA>(prior, self.prior_factor[l], q) * weight;
        }
        masses
    }
}

impl Compute<'_, '_> {
    /// # Safety
    /// Every job's arrays have as many values as the tile has classes.
    #[inline(always)]
    unsafe fn load_second<const FMA: bool>(&mut self) {
        let place = |l: usize| self.jobs[if l < self.jobs.len() { l } else { 0 }].second;
        let first = place(0);
        if first.is_empty() {
            self.second.fill([0.0; ROWS]);
        } else if self.jobs.iter().all(|job| std::ptr::eq(job.second, first)) {
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
            unsafe { self.load_second::<FMA>() };
        }
        let Self { setting, tile, second, jobs, gradient, values } = self;
        let job = |l: usize| &jobs[if l < jobs.len() { l } else { 0 }];
        let terms = Terms {
            uniform: std::array::from_fn(|l| job(l).uniform),
            second_factor: std::array::from_fn(|l| job(l).second_factor),
            prior_factor: std::array::from_fn(|l| job(l).prior_factor),
            scale: std::array::from_fn(|l| job(l).scale),
        };
        let prior = if KIND == DENSE { jobs[0].prior } else { &[] };
        let prior_at = |j: usize| if KIND == DENSE && !prior.is_empty() { prior[j] } else { 0.0 };
        let weight_at = |j: usize| setting.class_weights.map_or(1.0, |weights| weights[j]);

        // The maximum, the first class that has it, and whether every magnitude is ordinary.
        let mut max = [f32::NEG_INFINITY; ROWS];
        let mut predicted = [0_u32; ROWS];
        let mut magnitude = [0_u32; ROWS];
        for (j, z) in tile.iter().enumerate() {
            for l in 0..ROWS {
                let bits = z[l].to_bits() & 0x7fff_ffff;
                magnitude[l] = if bits > magnitude[l] { bits } else { magnitude[l] };
                let above = z[l] > max[l];
                max[l] = if above { z[l] } else { max[l] };
                predicted[l] = if above { j as u32 } else { predicted[l] };
            }
        }
        if KIND == DENSE {
            // Huge masses would overflow in single precision.
            for r in second.iter() {
                for l in 0..ROWS {
                    magnitude[l] = if r[l] < LARGEST_MASS { magnitude[l] } else { HUGE_BITS };
                }
            }
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
        let mut exp_sum = [0.0_f64; ROWS];
        let mut dot = [0.0_f64; ROWS];
        let mut mass = [0.0_f64; ROWS];
        let mut dense_dot = [0.0_f64; ROWS];
        let mut dense_mass = [0.0_f64; ROWS];
        let mut entropy_dot = [0.0_f64; ROWS];
        for start in (0..k).step_by(CHUNK) {
            let end = if start + CHUNK < k { start + CHUNK } else { k };
            let mut sums = Sums::new();
            for j in start..end {
                let masses = if KIND == PLAIN {
                    [0.0; ROWS]
                } else {
                    terms.masses::<FMA>(&second[j], prior_at(j), weight_at(j))
                };
                let (z, r) = (&mut tile[j], &second[j]);
                for l in 0..ROWS {
                    let v = z[l] - max[l];
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
                        sums.dense_dot[l] = multiply_add::<FMA>(r[l], v, sums.dense_dot[l]);
                        sums.dense_mass[l] += r[l];
                    }
                    z[l] = e;
                }
            }
            widen(&sums.exp, &mut exp_sum);
            widen(&sums.dot, &mut dot);
            if ENTROPY {
                widen(&sums.entropy_dot, &mut entropy_dot);
            }
            if KIND != PLAIN {
                widen(&sums.mass, &mut mass);
            }
            if KIND == DENSE {
                widen(&sums.dense_dot, &mut dense_dot);
                widen(&sums.dense_mass, &mut dense_mass);
            }
        }

        // The rows' values.
        let mut log_sum = [0.0_f64; ROWS];
        let mut target_sum = [0.0_f64; ROWS];
        let mut loss = [0.0_f64; ROWS];
        let mut nll = [0.0_f64; ROWS];
        let mut inverse = [0.0_f64; ROWS];
        for l in 0..ROWS {
            log_sum[l] = math::ln_normal(exp_sum[l], 0);
            inverse[l] = 1.0 / exp_sum[l];
            let uniform = f64::from(terms.uniform[l]);
            let (rest_mass, rest_dot) =
                if KIND == PLAIN { (uniform * k as f64, uniform * dot[l]) } else { (mass[l], dot[l]) };
            target_sum[l] = rest_mass + pair_mass[l];
            loss[l] = target_sum[l] * log_sum[l] - (rest_dot + pair_dot[l]);
            nll[l] = if KIND == DENSE {
                dense_mass[l] * log_sum[l] - dense_dot[l]
            } else {
                plain_mass[l] * log_sum[l] - plain_dot[l]
            };
        }
        for (l, job) in jobs.iter().enumerate() {
            if magnitude[l] < HUGE_BITS {
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
            let mut offset = [0.0_f32; ROWS];
            for l in 0..ROWS {
                factor[l] = (target_sum[l] * f64::from(terms.scale[l]) * inverse[l]) as f32;
                offset[l] = -terms.uniform[l] * terms.scale[l];
            }
            for (j, e) in tile.iter_mut().enumerate() {
                let masses = if KIND == PLAIN {
                    [0.0; ROWS]
                } else {
                    terms.masses::<FMA>(&second[j], prior_at(j), weight_at(j))
                };
                for l in 0..ROWS {
                    let q = if KIND == PLAIN { offset[l] } else { -terms.scale[l] * masses[l] };
                    e[l] = multiply_add::<FMA>(e[l], factor[l], q);
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

/// Masses of dense rows from here on are left to double precision.
const LARGEST_MASS: f32 = super::job::LARGEST_FACTOR as f32;

/// Sums of one chunk of classes.
struct Sums {
    exp: Lanes,
    /// Σ v, or Σ q v where the masses differ by class (v = z - max).
    dot: Lanes,
    /// Σ q where the masses differ by class.
    mass: Lanes,
    /// Σ r v and Σ r of a dense row r.
    dense_dot: Lanes,
    dense_mass: Lanes,
    /// Σ e^v v, for the entropy.
    entropy_dot: Lanes,
}

impl Sums {
    #[inline(always)]
    fn new() -> Self {
        let zero = [0.0; ROWS];
        Self { exp: zero, dot: zero, mass: zero, dense_dot: zero, dense_mass: zero, entropy_dot: zero }
    }
}

#[inline(always)]
fn widen(sums: &Lanes, totals: &mut [f64; ROWS]) {
    for l in 0..ROWS {
        totals[l] += f64::from(sums[l]);
    }
}
