//! The vector kernel of cross-entropy as a kernel of the sweep: what rows are read against, and in which groups.

use std::borrow::Cow;

use super::sweep::{Chunk, Context, Kernel, Run, clear};
use super::{LossOptions, Weighting};
use crate::error::Result;
use crate::kernels::isa::Isa;
use crate::kernels::softmax_cross_entropy::lanes::{LaneJobs, LaneRows, ROWS, SMALL_CLASSES, Tiles, lanes};
use crate::kernels::softmax_cross_entropy::long_rows::{GROUP, Room, group_rows, long_rows};
use crate::kernels::softmax_cross_entropy::{
    ClassBackground, Job, Kind, RowBuffers, RowValue, Setting, Shares, reference_row,
};
use crate::kernels::storage::FusedStorage;
use crate::targets::{DenseRows, LabelRows, RowExplicit, RowTarget, Targets};

/// The weights that act class by class.
pub(super) fn by_class<'a>(options: &LossOptions<'a>) -> Option<&'a [f64]> {
    options.class_weights.filter(|_| options.weighting == Weighting::Pytorch)
}

/// What every row of a batch is computed with.
pub(super) struct Fused<'a> {
    isa: Isa,
    entropy: bool,
    kind: Kind,
    distributions: bool,
    dense: Cow<'a, [f32]>,
    shares: Shares,
    backgrounds: Backgrounds,
    class_weights: Option<&'a [f64]>,
    narrow_weights: Option<Vec<f32>>,
}

/// Backgrounds that differ by class, in single precision: priors of sum 1, or 1 a class, times the class weights.
enum Backgrounds {
    None,
    /// One for all rows, and its sum.
    One(Vec<f32>, f64),
    /// Those of the labels that occur with their sums, and the place of each label's among them.
    OfLabels(Vec<f32>, Vec<f64>, Vec<usize>),
}

impl<'a> Fused<'a> {
    pub(super) fn new(isa: Isa, targets: &'a Targets<'a>, options: &LossOptions<'a>) -> Self {
        let class_weights = by_class(options);
        let dense = match targets.dense_rows() {
            Some(DenseRows::F32(rows)) => Cow::Borrowed(rows),
            Some(DenseRows::F64(rows)) => Cow::Owned(rows.iter().map(|&v| v as f32).collect()),
            None => Cow::Borrowed(&[][..]),
        };
        let backgrounds = Backgrounds::new(targets, class_weights);
        let by_class = !matches!(backgrounds, Backgrounds::None);
        let kind = match (targets.dense_rows().is_some(), by_class) {
            (false, false) => Kind::Plain,
            (false, true) => Kind::ByClass,
            (true, false) => Kind::Dense,
            (true, true) => Kind::DenseByClass,
        };
        let narrow_weights = class_weights.map(|weights| weights.iter().map(|&w| w as f32).collect());
        let shares = Shares::new(targets.n_classes());
        Self {
            isa,
            entropy: options.entropy,
            kind,
            distributions: targets.is_deferred(),
            dense,
            shares,
            backgrounds,
            class_weights,
            narrow_weights,
        }
    }

    fn setting(&self) -> Setting<'_> {
        let class_weights = self.narrow_weights.as_deref();
        let Self { isa, kind, entropy, distributions, .. } = *self;
        Setting { isa, kind, entropy, distributions, class_weights }
    }

    /// The terms of a row's target, `None` where only the reference knows them.
    #[inline(always)]
    fn job<'j>(&'j self, row: usize, k: usize, target: &RowTarget<'j>, scale: f64) -> Option<Job<'j>> {
        let dense = match self.kind {
            Kind::Plain | Kind::ByClass => &[],
            Kind::Dense | Kind::DenseByClass => self.dense.get(row * k..(row + 1) * k).unwrap_or_default(),
        };
        Job::new(target, k, self.shares, dense, self.backgrounds.of(target, k), scale)
    }

    /// Rows of few classes: as many as there are lanes, whether they count or not, and so on.
    ///
    /// `fill` gives so many lanes the jobs of the rows from one on, or none, and says what rows count, their weights
    /// and scales.
    #[inline(always)]
    fn in_lanes<'j, T: FusedStorage>(
        &self,
        context: &Context<'_>,
        mut run: Run<'_, T>,
        (tiles, mut jobs): (&mut Tiles, LaneJobs<'j>),
        fill: impl Fn(&mut LaneJobs<'j>, usize, usize, &mut LaneFactors),
    ) -> Result<()> {
        let (k, setting) = (context.n_classes, self.setting());
        let (weight, scale) = context.alike().unwrap_or_default();
        let mut factors =
            LaneFactors { counts: [true; ROWS], weights: [weight; ROWS], scales: [scale; ROWS] };
        for position in (0..run.len()).step_by(ROWS) {
            let count = ROWS.min(run.len() - position);
            jobs.clear();
            fill(&mut jobs, run.first + position, count, &mut factors);
            let rows =
                LaneRows { buffers: run.rows(context, position, count), stride: context.stride(), count };
            lanes(&setting, k, tiles, rows, &jobs);
            let LaneFactors { counts, weights, scales } = &factors;
            if !all(&counts[..count]) {
                for l in (0..count).filter(|l| !counts[*l]) {
                    clear(run.row(context, position + l));
                }
            }
            if tiles.all_found(&counts[..count]) {
                let row = |l: usize| tiles.value(l).map(|value| (value, weights[l]));
                run.set_chunk(position, (0..count).map(row));
                continue;
            }
            for l in 0..count {
                let position = position + l;
                match tiles.value(l) {
                    _ if !counts[l] => run.ignore(position),
                    Some(value) => run.set(position, &value, weights[l]),
                    None => {
                        let row = run.first + position;
                        let value = self.by_reference(context, row, run.row(context, position), scales[l])?;
                        run.set(position, &value, weights[l]);
                    }
                }
            }
        }
        Ok(())
    }

    /// Rows of many classes, in small groups.
    ///
    /// `work` gives a row's weight, its scale and its job, if a body covers it; nothing of one that does not count.
    #[inline(always)]
    fn in_groups<'j, T: FusedStorage>(
        &self,
        context: &Context<'_>,
        mut run: Run<'_, T>,
        work: impl Fn(usize) -> Option<(f64, f64, Option<Job<'j>>)>,
    ) -> Result<()> {
        Room::with::<T, _>(context.n_classes, |room| self.groups(context, &mut run, room, work))
    }

    #[inline(always)]
    fn groups<'j, T: FusedStorage>(
        &self,
        context: &Context<'_>,
        run: &mut Run<'_, T>,
        room: &mut Room,
        work: impl Fn(usize) -> Option<(f64, f64, Option<Job<'j>>)>,
    ) -> Result<()> {
        let (k, setting) = (context.n_classes, self.setting());
        // Dense rows share the cache with them.
        let size = if self.kind.reads_dense() { group_rows(2 * k) } else { group_rows(k) };
        let mut rows: [RowBuffers<'_, T>; GROUP] = std::array::from_fn(|_| RowBuffers::Forward(&[]));
        let mut jobs = [Job::EMPTY; GROUP];
        let mut places = [(0, 0.0, 0.0); GROUP];
        let mut values = [None; GROUP];
        let mut position = 0;
        while position < run.len() {
            let mut count = 0;
            // A row that only the reference knows comes after the group before it, so that errors keep their order.
            let mut uncovered = None;
            while position < run.len() && count < size && uncovered.is_none() {
                let buffers = run.take_row(context);
                match work(run.first + position) {
                    None => {
                        clear(buffers);
                        run.ignore(position);
                    }
                    Some((weight, scale, Some(job))) => {
                        rows[count] = buffers;
                        jobs[count] = job;
                        places[count] = (position, weight, scale);
                        count += 1;
                    }
                    Some((weight, scale, None)) => uncovered = Some((position, weight, scale, buffers)),
                }
                position += 1;
            }
            let ahead = run.distance(context, position, count);
            long_rows(&setting, k, &mut rows[..count], &jobs[..count], &mut values, (room, ahead));
            for at in 0..count {
                let (position, weight, scale) = places[at];
                match &values[at] {
                    Some(value) => run.set(position, value, weight),
                    None => {
                        let buffers = std::mem::replace(&mut rows[at], RowBuffers::Forward(&[]));
                        let value = self.by_reference(context, run.first + position, buffers, scale)?;
                        run.set(position, &value, weight);
                    }
                }
            }
            if let Some((position, weight, scale, buffers)) = uncovered {
                let value = self.by_reference(context, run.first + position, buffers, scale)?;
                run.set(position, &value, weight);
            }
        }
        Ok(())
    }

    /// A row that counts, in double precision.
    #[cold]
    fn by_reference<T: FusedStorage>(
        &self,
        context: &Context<'_>,
        row: usize,
        buffers: RowBuffers<'_, T>,
        scale: f64,
    ) -> Result<RowValue> {
        context.targets.check_deferred(row)?;
        match context.targets.row(row) {
            Some(target) => reference_row(row, buffers, target, self.class_weights, scale),
            None => Ok(RowValue::default()),
        }
    }

    /// Labels over one background: rows differ by their labels and scales alone, and by their strengths if they have
    /// one each; `shares` are those of a strength then. `common` is the job of one of them.
    fn of_labels<'j, T: FusedStorage>(
        &'j self,
        context: &Context<'j>,
        run: Run<'_, T>,
        (rows, shares): (LabelRows<'j>, Option<(f64, f64)>),
        common: &Job<'j>,
    ) -> Result<()> {
        let k = context.n_classes;
        let jobs = LaneJobs::of_labels(k, self.kind, common);
        let alike = context.alike().is_some();
        Tiles::with(|tiles| {
            self.in_lanes(context, run, (tiles, jobs), |jobs, first, count, factors| {
                let (mut labels, counts) = ([0; ROWS], &mut factors.counts[..count]);
                let (labels, scales) = (&mut labels[..count], &mut factors.scales[..count]);
                rows.read(first, labels, counts);
                if !alike {
                    context.of_labels(first, labels, &mut factors.weights[..count], scales);
                }
                jobs.push_labels(labels, counts, scales);
                if let Some((strengths, shares)) = rows.strengths().zip(shares) {
                    jobs.push_strengths(&strengths[first..first + count], shares);
                }
            })
        })
    }

    /// Rows of any kind.
    fn of_targets<'j, T: FusedStorage>(
        &'j self,
        context: &Context<'j>,
        run: Run<'_, T>,
        target_of: impl Fn(usize) -> Option<RowTarget<'j>>,
    ) -> Result<()> {
        let k = context.n_classes;
        let jobs = LaneJobs::new(k, self.kind);
        Tiles::with(|tiles| {
            self.in_lanes(context, run, (tiles, jobs), |jobs, first, count, factors| {
                for (l, row) in (first..first + count).enumerate() {
                    let target = target_of(row);
                    factors.counts[l] = target.is_some();
                    let Some(target) = target else {
                        jobs.skip();
                        continue;
                    };
                    let (weight, scale) = context.weight_and_scale(row, &target);
                    (factors.weights[l], factors.scales[l]) = (weight, scale);
                    match self.job(row, k, &target, scale) {
                        Some(job) => jobs.push(&job),
                        None => jobs.skip(),
                    }
                }
            })
        })
    }
}

/// Whether all are true, without stopping at one that is not.
#[inline(always)]
fn all(flags: &[bool]) -> bool {
    flags.iter().fold(true, |all, flag| all & flag)
}

/// What is known of the rows of a group beside their jobs.
struct LaneFactors {
    counts: [bool; ROWS],
    /// Of those that count; at first what all rows share, if they do.
    weights: [f64; ROWS],
    scales: [f64; ROWS],
}

impl<T: FusedStorage> Kernel<T> for Fused<'_> {
    fn checks_rows(&self, n_classes: usize) -> bool {
        n_classes > SMALL_CLASSES
    }

    fn chunk(&self, n_classes: usize) -> Chunk {
        match n_classes {
            ..=SMALL_CLASSES => Chunk::SixtyFour,
            _ if group_rows(n_classes) == Chunk::Eight.rows() => Chunk::Eight,
            _ => Chunk::One,
        }
    }

    fn run(&self, context: &Context<'_>, run: Run<'_, T>) -> Result<()> {
        let k = context.n_classes;
        let labels = context.targets.label_rows();
        if k > SMALL_CLASSES {
            // Rows that differ by their labels and scales alone.
            let alike = labels.and_then(|rows| rows.alike().map(|any| (rows, any)));
            if let Some((rows, any)) = alike
                && let Some(common) = self.job(0, k, &any, 0.0)
            {
                return self.in_groups(context, run, |row| {
                    let label = rows.label(row)?;
                    let (weight, scale) = context.of_label(row, label);
                    Some((weight, scale, common.with_label(label, scale)))
                });
            }
            return self.in_groups(context, run, |row| {
                let target = context.targets.row(row)?;
                let (weight, scale) = context.weight_and_scale(row, &target);
                Some((weight, scale, self.job(row, k, &target, scale)))
            });
        }
        let Some(rows) = labels else {
            return self.of_targets(context, run, |row| context.targets.row(row));
        };
        let any = rows.any();
        let by_class = !matches!(self.backgrounds, Backgrounds::None);
        let shares = rows.strengths().map(|_| self.shares.of_strength(&any.background, by_class));
        match (self.job(0, k, &any, 0.0), shares) {
            (Some(common), None) => self.of_labels(context, run, (rows, None), &common),
            (Some(common), Some(Some(shares))) => self.of_labels(context, run, (rows, Some(shares)), &common),
            _ => self.of_targets(context, run, |row| rows.row(row).map(|(_, target)| target)),
        }
    }
}

impl Backgrounds {
    fn new(targets: &Targets<'_>, class_weights: Option<&[f64]>) -> Self {
        let n_classes = targets.n_classes();
        match targets.priors() {
            Some(prior) if prior.len() == n_classes => {
                let mut masses = Vec::with_capacity(n_classes);
                let sum = append(&mut masses, normalised(prior), class_weights);
                Self::One(masses, sum)
            }
            Some(priors) => {
                let labels = targets.labels_that_occur();
                let mut masses = Vec::with_capacity(labels.len() * n_classes);
                let mut sums = Vec::with_capacity(labels.len());
                let mut places = vec![usize::MAX; n_classes];
                for (place, &label) in labels.iter().enumerate() {
                    places[label] = place;
                    // Priors that are too few are refused before a row is read.
                    let prior = priors.get(label * n_classes..(label + 1) * n_classes).unwrap_or_default();
                    sums.push(append(&mut masses, normalised(prior), class_weights));
                }
                Self::OfLabels(masses, sums, places)
            }
            None if class_weights.is_some() => {
                let mut masses = Vec::with_capacity(n_classes);
                let sum = append(&mut masses, std::iter::repeat_n(1.0, n_classes), class_weights);
                Self::One(masses, sum)
            }
            None => Self::None,
        }
    }

    #[inline(always)]
    fn of(&self, target: &RowTarget<'_>, n_classes: usize) -> Option<ClassBackground<'_>> {
        match (self, target.explicit) {
            (Self::None, _) => None,
            (Self::One(masses, sum), _) => Some(ClassBackground { masses, sum: *sum }),
            (Self::OfLabels(masses, sums, places), RowExplicit::Label(label)) => {
                let place = places[label];
                let masses = masses.get(place * n_classes..(place + 1) * n_classes)?;
                Some(ClassBackground { masses, sum: sums[place] })
            }
            (Self::OfLabels(..), _) => None,
        }
    }
}

/// Appends masses times weights in single precision; their sum.
fn append(to: &mut Vec<f32>, masses: impl Iterator<Item = f64>, weights: Option<&[f64]>) -> f64 {
    let from = to.len();
    to.extend(masses.enumerate().map(|(class, mass)| (mass * weights.map_or(1.0, |w| w[class])) as f32));
    to[from..].iter().map(|mass| f64::from(*mass)).sum()
}

/// A prior of sum 1, so that the kernel's sum is the strength itself.
fn normalised(prior: &[f64]) -> impl Iterator<Item = f64> {
    let sum: f64 = prior.iter().sum();
    let even = 1.0 / prior.len() as f64;
    // A prior without mass says nothing: evenly, as in `RowTarget::mass`.
    prior.iter().map(move |p| if sum > 0.0 { p / sum } else { even })
}
