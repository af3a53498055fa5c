//! The vector kernel of cross-entropy as a kernel of the sweep: what rows are read against, and in which groups.

use std::borrow::Cow;

use super::sweep::{Context, Kernel, Run};
use super::{LossOptions, Weighting};
use crate::error::Result;
use crate::kernels::isa::Isa;
use crate::kernels::softmax_cross_entropy::lanes::{ROWS, SMALL_CLASSES, Tiles, lanes};
use crate::kernels::softmax_cross_entropy::long_row::long_row;
use crate::kernels::softmax_cross_entropy::{Job, Kind, RowBuffers, Setting, reference_row};
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
    priors: Priors,
    class_weights: Option<&'a [f64]>,
    narrow_weights: Option<Vec<f32>>,
}

/// The priors in single precision, each of sum 1.
enum Priors {
    None,
    /// One for all rows.
    One(Vec<f32>),
    /// Those of the labels that occur, and the place of each label's among them.
    OfLabels(Vec<f32>, Vec<usize>),
}

impl<'a> Fused<'a> {
    pub(super) fn new(isa: Isa, targets: &'a Targets<'a>, options: &LossOptions<'a>) -> Self {
        let class_weights = by_class(options);
        let dense = match targets.dense_rows() {
            Some(DenseRows::F32(rows)) => Cow::Borrowed(rows),
            Some(DenseRows::F64(rows)) => Cow::Owned(rows.iter().map(|&v| v as f32).collect()),
            None => Cow::Borrowed(&[][..]),
        };
        let priors = Priors::new(targets);
        let kind = if targets.dense_rows().is_some() {
            Kind::Dense
        } else if class_weights.is_some() || !matches!(priors, Priors::None) {
            Kind::ByClass
        } else {
            Kind::Plain
        };
        let narrow_weights = class_weights.map(|weights| weights.iter().map(|&w| w as f32).collect());
        Self { isa, entropy: options.entropy, kind, dense, priors, class_weights, narrow_weights }
    }

    fn setting(&self) -> Setting<'_> {
        let class_weights = self.narrow_weights.as_deref();
        Setting { isa: self.isa, kind: self.kind, entropy: self.entropy, class_weights }
    }

    /// The terms of a row's target, `None` where only the reference knows them.
    #[inline(always)]
    fn job<'j>(&'j self, row: usize, k: usize, target: &RowTarget<'j>, scale: f64) -> Option<Job<'j>> {
        let (dense, prior): (&[f32], &[f32]) = match self.kind {
            Kind::Plain => (&[], &[]),
            Kind::ByClass => (&[], self.priors.of(target, k)),
            Kind::Dense => {
                (self.dense.get(row * k..(row + 1) * k).unwrap_or_default(), self.priors.of(target, k))
            }
        };
        Job::new(target, k, dense, prior, scale)
    }

    /// Few classes: groups of rows side by side.
    fn in_lanes<T: FusedStorage>(&self, context: &Context<'_>, mut run: Run<'_, T>) -> Result<()> {
        let k = context.n_classes;
        let setting = self.setting();
        let mut tiles = Tiles::new();
        let mut rows: [RowBuffers<'_, T>; ROWS] = std::array::from_fn(|_| RowBuffers::Forward(&[]));
        let mut jobs = [Job::EMPTY; ROWS];
        let mut places = [(0, 0.0, 0.0); ROWS];
        let mut values = [None; ROWS];
        let mut position = 0;
        while position < run.len() {
            let mut count = 0;
            // A row that only the reference knows comes after the group before it, so that errors keep their order.
            let mut uncovered = None;
            while position < run.len() && count < ROWS && uncovered.is_none() {
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
            lanes(&setting, k, &mut tiles, &mut rows[..count], &jobs[..count], &mut values);
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

    /// Many classes: one row after the other.
    fn one_by_one<T: FusedStorage>(&self, context: &Context<'_>, mut run: Run<'_, T>) -> Result<()> {
        let k = context.n_classes;
        let setting = self.setting();
        for position in 0..run.len() {
            let mut buffers = run.take_row(context);
            let row = run.first + position;
            let Some(target) = context.targets.row(row) else {
                run.ignore(position, buffers);
                continue;
            };
            let (weight, scale) = context.weight_and_scale(row, &target);
            let job = self.job(row, k, &target, scale);
            let ahead = run.distance(context);
            match job.and_then(|job| long_row(&setting, &mut buffers, &job, ahead)) {
                Some(value) => run.set(position, &value, weight),
                None => self.by_reference(context, &mut run, (position, weight, scale, buffers))?,
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
        if context.n_classes <= SMALL_CLASSES {
            self.in_lanes(context, run)
        } else {
            self.one_by_one(context, run)
        }
    }
}

impl Priors {
    fn new(targets: &Targets<'_>) -> Self {
        let n_classes = targets.n_classes();
        match targets.priors() {
            Some(prior) if prior.len() == n_classes => Priors::One(normalised(prior).collect()),
            Some(priors) => {
                let labels = targets.labels_that_occur();
                let mut values = Vec::with_capacity(labels.len() * n_classes);
                let mut places = vec![usize::MAX; n_classes];
                for (place, &label) in labels.iter().enumerate() {
                    places[label] = place;
                    // Priors that are too few are refused before a row is read.
                    let prior = priors.get(label * n_classes..(label + 1) * n_classes).unwrap_or_default();
                    values.extend(normalised(prior));
                }
                Priors::OfLabels(values, places)
            }
            None => Priors::None,
        }
    }

    fn of(&self, target: &RowTarget<'_>, n_classes: usize) -> &[f32] {
        let (values, place) = match (self, target.explicit) {
            (Priors::One(prior), _) => (prior, 0),
            (Priors::OfLabels(priors, places), RowExplicit::Label(label)) => (priors, places[label]),
            _ => return &[],
        };
        values.get(place * n_classes..(place + 1) * n_classes).unwrap_or_default()
    }
}

/// A prior of sum 1, so that the kernel's sum is the strength itself.
fn normalised(prior: &[f64]) -> impl Iterator<Item = f32> {
    let sum: f64 = prior.iter().sum();
    let even = 1.0 / prior.len() as f64;
    // A prior without mass says nothing: evenly, as in `RowTarget::mass`.
    prior.iter().map(move |p| if sum > 0.0 { p / sum } else { even } as f32)
}
