//! The vector kernel of cross-entropy as a kernel of the sweep: what rows are read against, and in which groups.

use std::borrow::Cow;

use super::sweep::{Context, Kernel, Run};
use super::{LossOptions, Weighting};
use crate::error::Result;
use crate::kernels::isa::Isa;
use crate::kernels::softmax_cross_entropy::lanes::{ROWS, SMALL_CLASSES, Tiles, lanes};
use crate::kernels::softmax_cross_entropy::long_rows::{GROUP, group_rows, long_rows};
use crate::kernels::softmax_cross_entropy::{
    ClassBackground, Job, Kind, RowBuffers, RowValue, Setting, Shares, reference_row,
};
use crate::kernels::storage::FusedStorage;
use crate::targets::{DenseRows, RowExplicit, RowTarget, Targets};

/// The weights that act class by class.
pub(super) fn by_class<'a>(options: &LossOptions<'a>) -> Option<&'a [f64]> {
    options.class_weights.filter(|_| options.weighting == Weighting::Pytorch)
}

/// What every row of a batch is computed with.
pub(super) struct Fused<'a> {
    isa: Isa,
    entropy: bool,
    kind: Kind,
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
            dense,
            shares,
            backgrounds,
            class_weights,
            narrow_weights,
        }
    }

    fn setting(&self) -> Setting<'_> {
        let class_weights = self.narrow_weights.as_deref();
        Setting { isa: self.isa, kind: self.kind, entropy: self.entropy, class_weights }
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

    /// Rows in groups of up to `N`, which `compute` takes with their jobs and the distance to the next group.
    #[inline(always)]
    fn in_groups<T: FusedStorage, const N: usize>(
        &self,
        context: &Context<'_>,
        mut run: Run<'_, T>,
        size: usize,
        mut compute: impl FnMut(&mut [RowBuffers<'_, T>], &[Job<'_>], &mut [Option<RowValue>; N], usize),
    ) -> Result<()> {
        let k = context.n_classes;
        let mut rows: [RowBuffers<'_, T>; N] = std::array::from_fn(|_| RowBuffers::Forward(&[]));
        let mut jobs = [Job::EMPTY; N];
        let mut places = [(0, 0.0, 0.0); N];
        let mut values = [None; N];
        let mut position = 0;
        while position < run.len() {
            let mut count = 0;
            // A row that only the reference knows comes after the group before it, so that errors keep their order.
            let mut uncovered = None;
            while position < run.len() && count < size && uncovered.is_none() {
                let buffers = run.take_row(context);
                let row = run.first + position;
                match context.targets.row(row) {
                    None => run.ignore(position, buffers),
                    Some(target) => {
                        let (weight, scale) = context.weight_and_scale(row, &target);
                        match self.job(row, k, &target, scale) {
                            Some(job) => {
                                rows[count] = buffers;
                                jobs[count] = job;
                                places[count] = (position, weight, scale);
                                count += 1;
                            }
                            None => uncovered = Some((position, weight, scale, buffers)),
                        }
                    }
                }
                position += 1;
            }
            let ahead = run.distance(context, count);
            compute(&mut rows[..count], &jobs[..count], &mut values, ahead);
            for at in 0..count {
                let (position, weight, scale) = places[at];
                match &values[at] {
                    Some(value) => run.set(position, value, weight),
                    None => {
                        let buffers = std::mem::replace(&mut rows[at], RowBuffers::Forward(&[]));
                        self.by_reference(context, &mut run, (position, weight, scale, buffers))?;
                    }
                }
            }
            if let Some(rest) = uncovered {
                self.by_reference(context, &mut run, rest)?;
            }
        }
        Ok(())
    }

    /// A row in double precision: its position, weight, scale and buffers.
    #[cold]
    fn by_reference<T: FusedStorage>(
        &self,
        context: &Context<'_>,
        run: &mut Run<'_, T>,
        (position, weight, scale, buffers): (usize, f64, f64, RowBuffers<'_, T>),
    ) -> Result<()> {
        let row = run.first + position;
        if let Some(target) = context.targets.row(row) {
            let value = reference_row(row, buffers, target, self.class_weights, scale)?;
            run.set(position, &value, weight);
        }
        Ok(())
    }
}

impl<T: FusedStorage> Kernel<T> for Fused<'_> {
    fn run(&self, context: &Context<'_>, run: Run<'_, T>) -> Result<()> {
        let (k, setting) = (context.n_classes, self.setting());
        if k <= SMALL_CLASSES {
            let mut tiles = Tiles::new();
            self.in_groups::<T, ROWS>(context, run, ROWS, |rows, jobs, values, _| {
                lanes(&setting, k, &mut tiles, rows, jobs, values);
            })
        } else {
            self.in_groups::<T, GROUP>(context, run, group_rows(k), |rows, jobs, values, ahead| {
                long_rows(&setting, k, rows, jobs, values, ahead);
            })
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
