//! What the rows of a group are read against, lane by lane.

use super::super::job::{ClassBackground, Job, Kind, LARGEST_SCALE, PairSums, Pairs, masses_of, reads_dense};
use super::super::transpose::{Lanes, ROWS, Rows, gather};
use super::SMALL_CLASSES;
use crate::kernels::vector::Vector;

/// The jobs of up to [`ROWS`] rows, an array a term, so that a row writes and reads what its kind needs only.
pub(crate) struct LaneJobs<'a> {
    n_classes: usize,
    kind: Kind,
    count: usize,
    /// Lanes without a job.
    skipped: [bool; ROWS],
    n_skipped: usize,
    /// The label, or [`NO_LABEL`].
    labels: [u32; ROWS],
    /// Lanes without a label.
    n_unlabelled: usize,
    pub(super) pair_factors: [f64; ROWS],
    pub(super) uniform: Lanes,
    pub(super) background_factors: Lanes,
    pub(super) background_sums: [f64; ROWS],
    pub(super) dense_factors: Lanes,
    pub(super) scales: Lanes,
    /// Written where the kind reads them.
    backgrounds: [&'a [f32]; ROWS],
    dense: [&'a [f32]; ROWS],
    /// Written where there is no label.
    pairs: [Pairs<'a>; ROWS],
    fit: bool,
}

const NO_LABEL: u32 = u32::MAX;

impl<'a> LaneJobs<'a> {
    /// Room for jobs of this kind.
    pub(crate) fn new(n_classes: usize, kind: Kind) -> Self {
        Self {
            n_classes,
            kind,
            count: 0,
            skipped: [false; ROWS],
            n_skipped: 0,
            labels: [NO_LABEL; ROWS],
            n_unlabelled: 0,
            pair_factors: [0.0; ROWS],
            uniform: [0.0; ROWS],
            background_factors: [0.0; ROWS],
            background_sums: [0.0; ROWS],
            dense_factors: [0.0; ROWS],
            scales: [0.0; ROWS],
            backgrounds: [&[]; ROWS],
            dense: [&[]; ROWS],
            pairs: [Pairs::None; ROWS],
            fit: true,
        }
    }

    /// Room for jobs that differ from this one by label and scale alone.
    pub(crate) fn of_labels(n_classes: usize, kind: Kind, common: &Job<'a>) -> Self {
        let mut jobs = Self::new(n_classes, kind);
        for _ in 0..ROWS {
            jobs.push(common);
        }
        jobs.clear();
        jobs
    }

    /// Takes the labels and scales of all lanes, whose other terms are the common ones. `counts` says which of them
    /// have a job.
    #[inline(always)]
    pub(crate) fn push_labels(&mut self, labels: &[u32], counts: &[bool], scales: &[f64]) {
        self.count = labels.len();
        self.fit &= labels.len() <= ROWS && counts.len() == labels.len() && scales.len() == labels.len();
        let mut largest = 0;
        for (to, label) in self.labels.iter_mut().zip(labels) {
            *to = *label;
            largest = largest.max(*label);
        }
        self.fit &= (largest as usize) < self.n_classes;
        let lanes = self.scales.iter_mut().zip(&mut self.skipped);
        for ((to, skipped), (counts, scale)) in lanes.zip(counts.iter().zip(scales)) {
            let covered = *counts & (scale.abs() <= LARGEST_SCALE);
            *to = if covered { *scale as f32 } else { 0.0 };
            *skipped = !covered;
        }
        let skipped = self.skipped[..labels.len().min(ROWS)].iter();
        self.n_skipped = usize::from(skipped.fold(0_u8, |n, skipped| n + u8::from(*skipped)));
    }

    /// Takes the strength of each lane, with the shares that one gives ([`Shares::of_strength`]), in place of the
    /// common terms.
    ///
    /// [`Shares::of_strength`]: super::super::job::Shares::of_strength
    #[inline(always)]
    pub(crate) fn push_strengths(&mut self, strengths: &[f64], shares: (f64, f64)) {
        let by_class = self.kind.reads_background();
        let of_class = if by_class { &mut self.background_factors } else { &mut self.uniform };
        let terms = self.pair_factors.iter_mut().zip(of_class).zip(&mut self.skipped);
        let mut skipped = 0_u8;
        for (((explicit, rest), skip), strength) in terms.zip(strengths) {
            let (of_pair, of_class, covered) = masses_of(*strength, shares);
            (*explicit, *rest) = (of_pair, of_class as f32);
            *skip |= !covered;
            skipped += u8::from(*skip);
        }
        self.n_skipped = usize::from(skipped);
    }

    /// Takes the job of the next lane.
    #[inline(always)]
    pub(crate) fn push(&mut self, job: &Job<'a>) {
        let fits = job.fits(self.n_classes, self.kind);
        self.put(job, fits);
    }

    /// Leaves the next lane without a job.
    #[inline(always)]
    pub(crate) fn skip(&mut self) {
        let l = self.count;
        self.put(&Job::EMPTY, true);
        if l < ROWS {
            self.skipped[l] = true;
            self.n_skipped += 1;
            // Arrays that can be read, if possible those of its neighbour.
            let zeros = &[0.0; SMALL_CLASSES][..self.n_classes.min(SMALL_CLASSES)];
            self.backgrounds[l] = if l > 0 { self.backgrounds[l - 1] } else { zeros };
            self.dense[l] = zeros;
        }
    }

    #[inline(always)]
    fn put(&mut self, job: &Job<'a>, fits: bool) {
        let l = self.count;
        if l >= ROWS {
            self.fit = false;
            return;
        }
        self.count += 1;
        self.fit &= fits;
        self.skipped[l] = false;
        match job.pairs {
            Pairs::Label(label) => self.labels[l] = label as u32,
            pairs => {
                self.labels[l] = NO_LABEL;
                self.n_unlabelled += 1;
                self.pairs[l] = pairs;
            }
        }
        self.pair_factors[l] = job.pair_factor;
        self.uniform[l] = job.uniform;
        self.scales[l] = job.scale;
        if self.kind.reads_background() {
            let ClassBackground { masses, sum } = job.background;
            self.background_factors[l] = job.background_factor;
            self.background_sums[l] = sum;
            self.backgrounds[l] = masses;
        }
        if self.kind.reads_dense() {
            self.dense_factors[l] = job.dense_factor;
            self.dense[l] = job.dense;
        }
    }

    /// Forgets all jobs.
    pub(crate) fn clear(&mut self) {
        self.count = 0;
        self.n_skipped = 0;
        self.n_unlabelled = 0;
        self.fit = true;
    }

    /// Whether a lane has a job.
    #[inline(always)]
    pub(super) fn covers(&self, l: usize) -> bool {
        !self.skipped[l]
    }

    /// Whether no lane has one.
    pub(super) fn all_skipped(&self) -> bool {
        self.n_skipped == self.count
    }

    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// Whether every job's arrays have a value a class, and every pair its class.
    pub(super) fn fit(&self, n_classes: usize, kind: Kind) -> bool {
        self.fit && self.n_classes == n_classes && self.kind == kind
    }

    /// The label of a lane.
    #[inline(always)]
    pub(super) fn label(&self, l: usize) -> Option<usize> {
        if self.labels[l] == NO_LABEL { None } else { Some(self.labels[l] as usize) }
    }

    /// The pairs of a lane.
    #[inline(always)]
    fn pairs(&self, l: usize) -> Pairs<'a> {
        self.label(l).map_or(self.pairs[l], Pairs::Label)
    }

    /// The background that dense rows share: that of any lane with a job.
    #[inline(always)]
    pub(super) fn shared_background(&self) -> &'a [f32] {
        let lane = self.skipped[..self.count].iter().position(|skipped| !skipped).unwrap_or(0);
        self.backgrounds[lane]
    }

    /// Dense rows into lanes, or else backgrounds.
    ///
    /// # Safety
    /// The jobs fit, there is one, and `tile` has as many classes as they; the CPU has what `V` needs.
    #[inline(always)]
    pub(super) unsafe fn load_second<V: Vector, const KIND: u8>(&self, tile: &mut [Lanes]) {
        let arrays = if reads_dense(KIND) { &self.dense } else { &self.backgrounds };
        let first = arrays[0];
        if arrays[..self.count].iter().all(|array| std::ptr::eq(*array, first)) {
            for (lanes, value) in tile.iter_mut().zip(first) {
                *lanes = [*value; ROWS];
            }
        } else {
            let rows = std::array::from_fn(|l| arrays[if l < self.count { l } else { 0 }].as_ptr());
            // SAFETY: passed on to the caller.
            unsafe { gather::<V>(Rows::Each(&rows), tile) };
        }
    }

    /// What the explicit parts add up to, of logits less the lane's maximum; into lanes beyond the last job, anything.
    #[inline(always)]
    pub(super) fn sums(&self, tile: &[Lanes], max: &Lanes, weights: Option<&[f32]>, sums: &mut ExplicitSums) {
        if self.n_unlabelled == 0 {
            let (mut of_label, mut weight) = ([0.0; ROWS], [1.0; ROWS]);
            for l in 0..self.count {
                let label = self.labels[l] as usize;
                of_label[l] = tile[label][l];
                weight[l] = weights.map_or(1.0, |weights| weights[label]);
            }
            for l in 0..ROWS {
                let shifted = f64::from(of_label[l] - max[l]);
                let q = self.pair_factors[l] * f64::from(weight[l]);
                sums.mass[l] = q;
                sums.dot[l] = q * shifted;
                sums.plain_mass[l] = 1.0;
                sums.plain_dot[l] = shifted;
            }
            return;
        }
        for l in 0..self.count {
            let shifted = |class: usize| f64::from(tile[class][l] - max[l]);
            let weight = |class: usize| weights.map_or(1.0, |weights| f64::from(weights[class]));
            let found = PairSums::new(&self.pairs(l), self.pair_factors[l], shifted, weight);
            sums.mass[l] = found.mass;
            sums.dot[l] = found.dot;
            sums.plain_mass[l] = found.plain_mass;
            sums.plain_dot[l] = found.plain_dot;
        }
    }

    /// Subtracts the explicit parts from the gradient.
    #[inline(always)]
    pub(super) fn subtract(&self, tile: &mut [Lanes], weights: Option<&[f32]>) {
        let weight = |class: usize| weights.map_or(1.0, |weights| f64::from(weights[class]));
        if self.n_unlabelled == 0 && weights.is_none() {
            let mut q = [0.0; ROWS];
            for l in 0..ROWS {
                q[l] = (self.pair_factors[l] * f64::from(self.scales[l])) as f32;
            }
            for l in 0..self.count {
                tile[self.labels[l] as usize][l] -= q[l];
            }
            return;
        }
        for l in 0..self.count {
            let factor = self.pair_factors[l];
            self.pairs(l).each(|class, mass| {
                let q = factor * mass * weight(class);
                tile[class][l] -= (q * f64::from(self.scales[l])) as f32;
            });
        }
    }
}

/// [`PairSums`] of a group's rows.
pub(super) struct ExplicitSums {
    pub mass: [f64; ROWS],
    pub dot: [f64; ROWS],
    pub plain_mass: [f64; ROWS],
    pub plain_dot: [f64; ROWS],
}

impl ExplicitSums {
    /// Nothing.
    pub(super) const NONE: Self =
        Self { mass: [0.0; ROWS], dot: [0.0; ROWS], plain_mass: [0.0; ROWS], plain_dot: [0.0; ROWS] };
}
