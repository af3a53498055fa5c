//! Runs a row function over a batch: threads, weights, reduction, and sums in a fixed order.
//!
//! Row values are summed in double precision over chunks of as many rows as the kernel says, chunks over blocks of
//! 1,024 rows, and the blocks in order, so a result depends neither on the number of threads nor on how the work was
//! split.

use rayon::prelude::*;

use super::{Batch, LossOptions, MeanOver, Reduction, Weighting};
use crate::batch::{Buffers, Storage};
use crate::error::{Error, Result, check_range};
use crate::kernels::softmax_cross_entropy::{RowBuffers, RowValue};
use crate::targets::{Explicit, LabelRows, RowTarget, Targets};

/// Rows of one sum.
pub(super) const BLOCK_ROWS: usize = 1024;

/// How many rows are summed as they come, before chunks are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Chunk {
    /// Every row for itself.
    One,
    /// For kernels of small groups.
    Eight,
    /// For kernels of few classes.
    SixtyFour,
}

impl Chunk {
    /// The number of rows is two to this power.
    const fn exponent(self) -> usize {
        match self {
            Self::One => 0,
            Self::Eight => 3,
            Self::SixtyFour => 6,
        }
    }

    pub(super) const fn rows(self) -> usize {
        1 << self.exponent()
    }
}
/// Values below which splitting the work further costs more than it gains.
const GRAIN_VALUES: usize = 1 << 15;

/// A loss and the figures of the same sweep.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LossValue {
    /// The reduced loss, in nats; the sum for [`Reduction::None`].
    pub loss: f64,
    /// Mean cross-entropy against the un-smoothed targets over the counted rows, unweighted.
    /// The figure to compare across smoothing strengths; NaN if no row counts.
    pub nll: f64,
    /// Share of counted rows whose predicted class is the label; NaN without labels or rows.
    pub accuracy: f64,
    /// Mean of the largest probability over the counted rows; NaN if no row counts.
    pub confidence: f64,
    /// Mean entropy of the predicted distributions over the counted rows, in nats; NaN unless
    /// [`LossOptions::entropy`] asks for it, and if no row counts.
    pub entropy: f64,
    /// Number of rows that count.
    pub rows: usize,
    /// Number of ignored rows.
    pub ignored: usize,
    /// What the weighted sum was divided by (1 for sum and none).
    pub denominator: f64,
}

/// What a row, or several, contribute to the sums.
#[derive(Clone, Copy, Default)]
pub(super) struct Totals {
    loss: f64,
    nll: f64,
    confidence: f64,
    entropy: f64,
    correct: u32,
    rows: u32,
}

impl Totals {
    /// The weighted loss.
    pub(super) fn loss(&self) -> f64 {
        self.loss
    }

    /// One row of this weight.
    #[inline(always)]
    pub(super) fn of(value: &RowValue, weight: f64) -> Self {
        Self {
            loss: weight * value.loss,
            nll: value.nll,
            confidence: value.confidence,
            entropy: value.entropy,
            correct: u32::from(value.correct),
            rows: 1,
        }
    }

    pub(super) fn add(self, other: Self) -> Self {
        Self {
            loss: self.loss + other.loss,
            nll: self.nll + other.nll,
            confidence: self.confidence + other.confidence,
            entropy: self.entropy + other.entropy,
            correct: self.correct + other.correct,
            rows: self.rows + other.rows,
        }
    }
}

/// Applies `row_function(row, buffers, target, scale)` to every counted row and reduces.
///
/// The function returns the row's value before weights and writes `scale` times its gradient. Rows that
/// are ignored get a gradient of 0 and are not passed on.
///
/// # Errors
/// Shapes that do not fit, bad weights, a mean over nothing, and the row function's own errors (of the
/// first row that has one).
pub fn sweep_rows<T, F>(batch: Batch<'_, T>, row_function: F) -> Result<LossValue>
where
    T: Storage,
    F: Fn(usize, RowBuffers<'_, T>, RowTarget<'_>, f64) -> Result<RowValue> + Sync,
{
    sweep(batch, &RowByRow(row_function))
}

/// [`sweep_rows`] with a kernel that takes several rows at a time.
///
/// # Errors
/// As there.
pub(super) fn sweep<T: Storage>(batch: Batch<'_, T>, kernel: &impl Kernel<T>) -> Result<LossValue> {
    let Batch { buffers, targets, options, losses, row_stride, .. } = batch;
    let (n_rows, n_classes) = (targets.n_rows(), targets.n_classes());
    let stride = row_stride.unwrap_or(n_classes);
    buffers.check_strided(n_rows, n_classes, stride)?;
    if let Some(losses) = &losses
        && losses.len() != n_rows
    {
        return Err(Error::Shape { what: "the row losses", expected: n_rows, got: losses.len() });
    }
    let plan = Plan::new(targets, &options)?;
    if !kernel.checks_rows(n_classes) {
        targets.check_all_deferred()?;
    }
    let inverse = 1.0 / plan.denominator;
    let context = Context { targets, n_classes, stride, row_weights: RowWeights::new(&options), inverse };
    let totals = context.blocks(kernel, buffers, losses)?;
    Ok(plan.value(totals))
}

/// What targets and options come to before any row is read.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    pub(super) targets: &'a Targets<'a>,
    pub(super) options: LossOptions<'a>,
    pub(super) denominator: f64,
    counted: usize,
}

impl<'a> Plan<'a> {
    /// Checks background, weights and what a mean is divided by.
    pub(super) fn new(targets: &'a Targets<'a>, options: &LossOptions<'a>) -> Result<Self> {
        targets.check_background()?;
        check_weights("class weight", options.class_weights, targets.n_classes())?;
        check_weights("sample weight", options.sample_weights, targets.n_rows())?;
        let counted = targets.counted();
        let denominator = denominator(targets, options, counted)?;
        Ok(Self { targets, options: *options, denominator, counted })
    }

    /// The loss and the figures of these sums over all rows.
    pub(super) fn value(&self, totals: Totals) -> LossValue {
        let counted = self.counted;
        let mean = |sum: f64| if counted == 0 { f64::NAN } else { sum / counted as f64 };
        let labelled = matches!(self.targets.explicit(), Explicit::Labels(_));
        LossValue {
            loss: totals.loss / self.denominator,
            nll: mean(totals.nll),
            accuracy: if labelled { mean(f64::from(totals.correct)) } else { f64::NAN },
            confidence: mean(totals.confidence),
            entropy: if self.options.entropy { mean(totals.entropy) } else { f64::NAN },
            rows: counted,
            ignored: self.targets.n_rows() - counted,
            denominator: self.denominator,
        }
    }
}

/// Weights must fit and be finite and not negative.
pub(super) fn check_weights(what: &'static str, weights: Option<&[f64]>, expected: usize) -> Result<()> {
    let Some(weights) = weights else { return Ok(()) };
    if weights.len() != expected {
        let what = if what == "class weight" { "class weights" } else { "sample weights" };
        return Err(Error::Shape { what, expected, got: weights.len() });
    }
    let fits = |w: &f64| (*w >= 0.0) & (*w < f64::INFINITY);
    // Most are fine, which is quicker to see of all at once.
    if weights.iter().fold(true, |all, w| all & fits(w)) {
        return Ok(());
    }
    match weights.iter().position(|w| !fits(w)) {
        Some(index) => Err(Error::WeightValue { what, index, value: weights[index] }),
        None => Ok(()),
    }
}

/// The weight of a row's loss, where weights do not act class by class.
#[derive(Debug, Clone, Copy)]
pub(super) struct RowWeights<'a> {
    class_weights: Option<&'a [f64]>,
    sample_weights: Option<&'a [f64]>,
}

impl<'a> RowWeights<'a> {
    pub(super) fn new(options: &LossOptions<'a>) -> Self {
        let by_label = options.weighting == Weighting::Label;
        Self {
            class_weights: options.class_weights.filter(|_| by_label),
            sample_weights: options.sample_weights,
        }
    }

    #[inline(always)]
    pub(super) fn of(&self, row: usize, target: &RowTarget<'_>) -> f64 {
        let class = self.class_weights.map_or(1.0, |weights| target.weigh(weights));
        class * self.sample_weights.map_or(1.0, |weights| weights[row])
    }

    /// That of a row by its label.
    #[inline(always)]
    fn of_label(&self, row: usize, label: usize) -> f64 {
        let class = self.class_weights.map_or(1.0, |weights| weights[label]);
        class * self.sample_weights.map_or(1.0, |weights| weights[row])
    }

    /// The sum over the rows that count, in sums side by side.
    fn sum_of_labels(&self, rows: &LabelRows<'_>, n_rows: usize) -> f64 {
        const TOGETHER: usize = 64;
        let (mut sums, mut weights) = ([0.0; TOGETHER], [0.0; TOGETHER]);
        if let (None, Some(weights), true) = (self.class_weights, self.sample_weights, rows.all_count()) {
            for weights in weights.chunks(TOGETHER) {
                sums.iter_mut().zip(weights).for_each(|(sum, weight)| *sum += weight);
            }
            return sums.iter().sum();
        }
        let (mut labels, mut counts) = ([0; TOGETHER], [false; TOGETHER]);
        for first in (0..n_rows).step_by(TOGETHER) {
            let n = TOGETHER.min(n_rows - first);
            rows.read(first, &mut labels[..n], &mut counts[..n]);
            self.of_labels(first, &labels[..n], &mut weights[..n]);
            for ((sum, weight), counts) in sums.iter_mut().zip(&weights).zip(&counts[..n]) {
                *sum += if *counts { *weight } else { 0.0 };
            }
        }
        sums.iter().sum()
    }

    /// Those of the rows from `first` on, by their labels.
    #[inline(always)]
    fn of_labels(&self, first: usize, labels: &[u32], to: &mut [f64]) {
        match self.class_weights {
            Some(weights) => {
                to.iter_mut().zip(labels).for_each(|(to, label)| *to = weights[*label as usize]);
            }
            None => to.fill(1.0),
        }
        if let Some(weights) = self.sample_weights {
            to.iter_mut().zip(&weights[first..]).for_each(|(to, weight)| *to *= weight);
        }
    }
}

/// What the weighted sum is divided by.
fn denominator(targets: &Targets<'_>, options: &LossOptions<'_>, counted: usize) -> Result<f64> {
    if options.reduction != Reduction::Mean {
        return Ok(1.0);
    }
    if options.denominator.is_none() && counted == 0 {
        let rows = targets.n_rows();
        return Err(Error::Empty { what: "the mean loss", rows, ignored: rows });
    }
    let sum = mean_denominator(targets, options, counted)?;
    if sum == 0.0 {
        return Err(Error::ZeroWeight { what: "the mean loss" });
    }
    Ok(sum)
}

/// What a mean is divided by; 0 over nothing. Weights must have been checked.
pub(super) fn mean_denominator(
    targets: &Targets<'_>,
    options: &LossOptions<'_>,
    counted: usize,
) -> Result<f64> {
    if let Some(denominator) = options.denominator {
        check_range("denominator", denominator, f64::MIN_POSITIVE, f64::MAX)?;
        return Ok(denominator);
    }
    match options.mean_over {
        MeanOver::Weights => {}
        MeanOver::Rows => return Ok(counted as f64),
        MeanOver::AllRows => return Ok(targets.n_rows() as f64),
    }
    let soft = !matches!(targets.explicit(), Explicit::Labels(_));
    let by_rows = options.weighting == Weighting::Pytorch && soft;
    let class_weights = options.class_weights.filter(|_| !by_rows);
    if class_weights.is_none() && options.sample_weights.is_none() {
        return Ok(counted as f64);
    }
    let weights = RowWeights { class_weights, sample_weights: options.sample_weights };
    let sum = match targets.label_rows() {
        Some(rows) => weights.sum_of_labels(&rows, targets.n_rows()),
        None => (0..targets.n_rows()).filter_map(|row| Some(weights.of(row, &targets.row(row)?))).sum(),
    };
    if sum != 0.0 {
        // Beyond these, the sum or its inverse is infinite and the mean would be NaN.
        check_range("the sum of the weights", sum, f64::MIN_POSITIVE, f64::MAX)?;
    }
    Ok(sum)
}

/// What is the same for all rows of a batch.
pub(super) struct Context<'a> {
    pub(super) targets: &'a Targets<'a>,
    pub(super) n_classes: usize,
    stride: usize,
    row_weights: RowWeights<'a>,
    inverse: f64,
}

impl Context<'_> {
    /// The distance between rows.
    pub(super) fn stride(&self) -> usize {
        self.stride
    }

    /// [`weight_and_scale`](Self::weight_and_scale), if it is that of every row.
    pub(super) fn alike(&self) -> Option<(f64, f64)> {
        let RowWeights { class_weights, sample_weights } = self.row_weights;
        (class_weights.is_none() && sample_weights.is_none()).then_some((1.0, self.inverse))
    }

    /// [`weight_and_scale`](Self::weight_and_scale) of a row by its label.
    #[inline(always)]
    pub(super) fn of_label(&self, row: usize, label: usize) -> (f64, f64) {
        let weight = self.row_weights.of_label(row, label);
        (weight, weight * self.inverse)
    }

    /// The same of the rows from `first` on.
    #[inline(always)]
    pub(super) fn of_labels(&self, first: usize, labels: &[u32], weights: &mut [f64], scales: &mut [f64]) {
        self.row_weights.of_labels(first, labels, weights);
        scales.iter_mut().zip(weights).for_each(|(scale, weight)| *scale = *weight * self.inverse);
    }

    /// The weight of a row's loss, and the factor of its gradient.
    #[inline(always)]
    pub(super) fn weight_and_scale(&self, row: usize, target: &RowTarget<'_>) -> (f64, f64) {
        let weight = self.row_weights.of(row, target);
        (weight, weight * self.inverse)
    }
}

/// Computes rows that stand one after the other.
pub(super) trait Kernel<T>: Sync {
    /// Whether it calls [`Targets::check_deferred`] for every row that may need it, before it writes to it.
    fn checks_rows(&self, _n_classes: usize) -> bool {
        false
    }

    /// Rows that are summed as they come. A run begins at a chunk's first row.
    fn chunk(&self, _n_classes: usize) -> Chunk {
        Chunk::One
    }

    /// Computes all rows of a run; ignored ones get a gradient of 0.
    ///
    /// # Errors
    /// That of the first row that has one.
    fn run(&self, context: &Context<'_>, run: Run<'_, T>) -> Result<()>;
}

/// Rows that stand one after the other, with the places of their results.
pub(super) struct Run<'b, T> {
    /// The first row's number in the batch.
    pub(super) first: usize,
    buffers: Buffers<'b, T>,
    losses: Option<&'b mut [T]>,
    rows: usize,
    /// One a chunk, zero at first.
    totals: &'b mut [Totals],
    chunk: Chunk,
}

impl<'b, T: Storage> Run<'b, T> {
    pub(super) fn len(&self) -> usize {
        self.rows
    }

    /// Takes off the buffers of the row that comes next.
    #[inline(always)]
    pub(super) fn take_row(&mut self, context: &Context<'_>) -> RowBuffers<'b, T> {
        let rest = std::mem::replace(&mut self.buffers, Buffers::Forward(&[]));
        let (head, tail) = split(rest, context.stride);
        self.buffers = tail;
        row_buffers(head, context.n_classes)
    }

    /// The buffers of `count` rows from `position` on, where none was taken off.
    #[inline(always)]
    pub(super) fn rows(&mut self, context: &Context<'_>, position: usize, count: usize) -> Buffers<'_, T> {
        let from = position * context.stride;
        let values = from..from + (count - 1) * context.stride + context.n_classes;
        match &mut self.buffers {
            Buffers::Forward(logits) => Buffers::Forward(&logits[values]),
            Buffers::Gradient { logits, gradient } => {
                Buffers::Gradient { logits: &logits[values.clone()], gradient: &mut gradient[values] }
            }
            Buffers::InPlace(logits) => Buffers::InPlace(&mut logits[values]),
        }
    }

    /// Those of one row.
    #[inline(always)]
    pub(super) fn row(&mut self, context: &Context<'_>, position: usize) -> RowBuffers<'_, T> {
        row_buffers(self.rows(context, position, 1), context.n_classes)
    }

    /// The distance over so many rows, or 0 if the batch ends at `position`: what comes next may be another run's.
    pub(super) fn distance(&self, context: &Context<'_>, position: usize, rows: usize) -> usize {
        if self.first + position < context.targets.n_rows() { rows * context.stride } else { 0 }
    }

    /// Keeps the value of the row at `position`.
    #[inline(always)]
    pub(super) fn set(&mut self, position: usize, value: &RowValue, weight: f64) {
        let row = Totals::of(value, weight);
        let chunk = &mut self.totals[position >> self.chunk.exponent()];
        *chunk = chunk.add(row);
        if let Some(losses) = &mut self.losses {
            losses[position] = T::from_f64(row.loss);
        }
    }

    /// Keeps the values of the rows of a chunk from `position` on, which is where it begins; `None` for one that does
    /// not count.
    #[inline(always)]
    pub(super) fn set_chunk(&mut self, position: usize, rows: impl Iterator<Item = Option<(RowValue, f64)>>) {
        let mut chunk = Totals::default();
        for (at, row) in rows.enumerate() {
            let row = row.map_or(Totals::default(), |(value, weight)| Totals::of(&value, weight));
            chunk = chunk.add(row);
            if let Some(losses) = &mut self.losses {
                losses[position + at] = T::from_f64(row.loss);
            }
        }
        self.totals[position >> self.chunk.exponent()] = chunk;
    }

    /// Says that the row at `position` does not count; its gradient is for [`clear`].
    #[inline(always)]
    pub(super) fn ignore(&mut self, position: usize) {
        if let Some(losses) = &mut self.losses {
            losses[position] = T::default();
        }
    }
}

/// The buffers of one row, less what lies between rows.
#[inline(always)]
fn row_buffers<T>(buffers: Buffers<'_, T>, k: usize) -> RowBuffers<'_, T> {
    match buffers {
        Buffers::Forward(logits) => RowBuffers::Forward(&logits[..k]),
        Buffers::Gradient { logits, gradient } => RowBuffers::Gradient(&logits[..k], &mut gradient[..k]),
        Buffers::InPlace(logits) => RowBuffers::InPlace(&mut logits[..k]),
    }
}

/// The gradient of a row that does not count.
#[inline(always)]
pub(super) fn clear<T: Storage>(buffers: RowBuffers<'_, T>) {
    match buffers {
        RowBuffers::Forward(_) => {}
        RowBuffers::Gradient(_, gradient) => gradient.fill(T::default()),
        RowBuffers::InPlace(logits) => logits.fill(T::default()),
    }
}

/// A function of one row as a kernel.
struct RowByRow<F>(F);

impl<T, F> Kernel<T> for RowByRow<F>
where
    T: Storage,
    F: Fn(usize, RowBuffers<'_, T>, RowTarget<'_>, f64) -> Result<RowValue> + Sync,
{
    fn run(&self, context: &Context<'_>, mut run: Run<'_, T>) -> Result<()> {
        for position in 0..run.len() {
            let buffers = run.take_row(context);
            let row = run.first + position;
            match context.targets.row(row) {
                None => {
                    clear(buffers);
                    run.ignore(position);
                }
                Some(target) => {
                    let (weight, scale) = context.weight_and_scale(row, &target);
                    let value = (self.0)(row, buffers, target, scale)?;
                    run.set(position, &value, weight);
                }
            }
        }
        Ok(())
    }
}

impl Context<'_> {
    /// All rows: blocks in parallel, their sums in order.
    fn blocks<T: Storage>(
        &self,
        kernel: &impl Kernel<T>,
        buffers: Buffers<'_, T>,
        losses: Option<&mut [T]>,
    ) -> Result<Totals> {
        let n_rows = self.targets.n_rows();
        if n_rows <= BLOCK_ROWS {
            return self.block(kernel, 0, n_rows, buffers, losses);
        }
        let mut tasks = Vec::with_capacity(n_rows.div_ceil(BLOCK_ROWS));
        let (mut buffers, mut losses) = (buffers, losses);
        let mut first = 0;
        while first < n_rows {
            let rows = BLOCK_ROWS.min(n_rows - first);
            let (head, tail) = split(buffers, rows * self.stride);
            let (head_losses, tail_losses) = split_losses(losses, rows);
            tasks.push((first, rows, head, head_losses));
            (buffers, losses) = (tail, tail_losses);
            first += rows;
        }
        let sums: Vec<Result<Totals>> = tasks
            .into_par_iter()
            .map(|(first, rows, buffers, losses)| self.block(kernel, first, rows, buffers, losses))
            .collect();
        sums.into_iter().try_fold(Totals::default(), |total, block| Ok(total.add(block?)))
    }

    /// One block: its rows in parallel if they are long, their sum in order.
    fn block<T: Storage>(
        &self,
        kernel: &impl Kernel<T>,
        first: usize,
        rows: usize,
        buffers: Buffers<'_, T>,
        losses: Option<&mut [T]>,
    ) -> Result<Totals> {
        let chunk = kernel.chunk(self.n_classes);
        let sum_of = |room: &mut [Totals]| {
            let totals = &mut room[..rows.div_ceil(chunk.rows())];
            self.rows(kernel, Run { first, buffers, losses, rows, totals: &mut *totals, chunk })?;
            Ok(totals.iter().fold(Totals::default(), |total, chunk| total.add(*chunk)))
        };
        match chunk {
            Chunk::One => sum_of(&mut [Totals::default(); BLOCK_ROWS]),
            Chunk::Eight => sum_of(&mut [Totals::default(); BLOCK_ROWS / Chunk::Eight.rows()]),
            Chunk::SixtyFour => sum_of(&mut [Totals::default(); BLOCK_ROWS / Chunk::SixtyFour.rows()]),
        }
    }

    /// Rows, halving the work until it is small.
    fn rows<T: Storage>(&self, kernel: &impl Kernel<T>, run: Run<'_, T>) -> Result<()> {
        let Run { rows, chunk, first, .. } = run;
        if rows > chunk.rows() && rows * self.n_classes > GRAIN_VALUES {
            // Whole chunks on the left.
            let chunks = run.totals.len() / 2;
            let half = chunks * chunk.rows();
            let (left_totals, right_totals) = run.totals.split_at_mut(chunks);
            let (left, right) = split(run.buffers, half * self.stride);
            let (left_losses, right_losses) = split_losses(run.losses, half);
            let of =
                |first, rows, buffers, losses, totals| Run { first, buffers, losses, rows, totals, chunk };
            let left = of(first, half, left, left_losses, left_totals);
            let right = of(first + half, rows - half, right, right_losses, right_totals);
            let (a, b) = rayon::join(|| self.rows(kernel, left), || self.rows(kernel, right));
            return a.and(b);
        }
        kernel.run(self, run)
    }
}

/// Splits buffers after `middle` values, or at their end.
#[inline(always)]
fn split<'b, T>(buffers: Buffers<'b, T>, middle: usize) -> (Buffers<'b, T>, Buffers<'b, T>) {
    match buffers {
        Buffers::Forward(logits) => {
            let (a, b) = logits.split_at(middle.min(logits.len()));
            (Buffers::Forward(a), Buffers::Forward(b))
        }
        Buffers::Gradient { logits, gradient } => {
            let (a, b) = logits.split_at(middle.min(logits.len()));
            let (ga, gb) = gradient.split_at_mut(middle.min(gradient.len()));
            (Buffers::Gradient { logits: a, gradient: ga }, Buffers::Gradient { logits: b, gradient: gb })
        }
        Buffers::InPlace(logits) => {
            let (a, b) = logits.split_at_mut(middle.min(logits.len()));
            (Buffers::InPlace(a), Buffers::InPlace(b))
        }
    }
}

fn split_losses<T>(losses: Option<&mut [T]>, middle: usize) -> (Option<&mut [T]>, Option<&mut [T]>) {
    match losses {
        Some(losses) => {
            let (a, b) = losses.split_at_mut(middle);
            (Some(a), Some(b))
        }
        None => (None, None),
    }
}
