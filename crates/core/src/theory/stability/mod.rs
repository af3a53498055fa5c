//! Algorithmic stability: how far a prediction moves when one training label is flipped.
//!
//! Setting A, [`LinearSmoother`]: exactly `c·|w_j(x)|`, where c is the [`flip_size`]. Setting B,
//! [`SoftmaxRegression`]: the weights move by at most `√2·c·‖x_j‖/(nλ)`. In both, smoothing makes the effect of a
//! flip smaller by about `1-α`; in A the margins between classes shrink by exactly that factor too, so that no
//! decision is any more stable (Bousquet & Elisseeff 2002 for stability; the factor follows from the targets).

mod cholesky;
mod linear_smoother;
mod points;
mod softmax_regression;

pub use linear_smoother::LinearSmoother;
use linear_smoother::weighted_sums;
pub use points::Points;
pub use softmax_regression::SoftmaxRegression;

use crate::batch::Labels;
use crate::error::{Error, Result, check_classes, check_range};
use crate::targets::Convention;

/// By how much the target of a flipped row changes in each of the two classes: `1-α` in the uniform convention,
/// `1 - αK/(K-1)` in the off-class one.
///
/// # Errors
/// [`Error::OutOfRange`] for fewer than two classes or an illegal strength.
///
/// # Examples
/// ```
/// use candor::Convention;
/// use candor::theory::stability::flip_size;
/// assert!((flip_size(0.1, Convention::Uniform, 2)? - 0.9).abs() < 1e-15);
/// // The article's own binary targets {0.1, 0.9} move by 1-2α.
/// assert!((flip_size(0.1, Convention::OffClass, 2)? - 0.8).abs() < 1e-15);
/// # Ok::<(), candor::Error>(())
/// ```
pub fn flip_size(smoothing: f64, convention: Convention, n_classes: usize) -> Result<f64> {
    check_classes(n_classes)?;
    convention.check(smoothing, n_classes)?;
    Ok(1.0 - convention.to_uniform(smoothing, n_classes))
}

/// One label that is flipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flip {
    /// The training row.
    pub row: usize,
    /// Its new label.
    pub label: i64,
}

/// What one flip did.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FlipEffect {
    /// Which flip.
    pub flip: Flip,
    /// Largest change of any score of any query; for softmax regression the distance of the weights.
    pub change: f64,
    /// What it cannot exceed.
    pub bound: f64,
    /// Queries whose largest score is in another class than before.
    pub decisions: usize,
}

/// A smoothed training set of which one label at a time is flipped.
#[derive(Debug, Clone, Copy)]
pub struct FlipStudy<'a> {
    points: Points<'a>,
    labels: Labels<'a>,
    queries: Points<'a>,
    smoothing: f64,
    convention: Convention,
}

impl<'a> FlipStudy<'a> {
    /// Training rows with labels, the queries at which predictions are compared, and the smoothing.
    ///
    /// # Errors
    /// [`Error::Shape`] unless there is one label a row and the queries have the same features;
    /// [`Error::OutOfRange`] for an illegal strength; [`Error::LabelsNeeded`] if a label is ignored.
    pub fn new(
        points: Points<'a>,
        labels: Labels<'a>,
        queries: Points<'a>,
        smoothing: f64,
        convention: Convention,
    ) -> Result<Self> {
        crate::error::check_len("the labels", points.len(), labels.len())?;
        crate::error::check_len("a query", points.width(), queries.width())?;
        if labels.counted() != labels.len() {
            return Err(Error::LabelsNeeded { what: "the effect of a flip" });
        }
        flip_size(smoothing, convention, labels.n_classes())?;
        Ok(Self { points, labels, queries, smoothing, convention })
    }

    /// The targets `[n, n_classes]`, with one label flipped if asked for.
    fn targets(&self, flip: Option<Flip>) -> Result<Vec<f64>> {
        let mut labels = self.labels.data().to_vec();
        if let Some(flip) = flip {
            check_range("the row of a flip", flip.row as f64, 0.0, (labels.len() - 1) as f64)?;
            labels[flip.row] = flip.label;
        }
        let n_classes = self.labels.n_classes();
        let rule = self.convention.rule(self.smoothing, n_classes)?;
        Ok(rule.targets(Labels::new(&labels, n_classes)?)?.dense_matrix())
    }

    /// What the flips do to a linear smoother; exactly `c·max|w_j(x)|` but for rounding.
    ///
    /// # Errors
    /// Those of [`LinearSmoother::weights`]; [`Error::OutOfRange`] or [`Error::LabelOutOfRange`] for a flip that
    /// is none of these rows or classes.
    pub fn linear(&self, learner: LinearSmoother, flips: &[Flip]) -> Result<Vec<FlipEffect>> {
        let weights = learner.weights(self.points, self.queries)?;
        let n_classes = self.labels.n_classes();
        let before = weighted_sums(&weights, &self.targets(None)?, n_classes);
        let size = flip_size(self.smoothing, self.convention, n_classes)?;
        flips
            .iter()
            .map(|&flip| {
                let after = weighted_sums(&weights, &self.targets(Some(flip))?, n_classes);
                let bound = size * learner.weight_bound(self.points, self.queries, flip.row);
                Ok(self.effect(flip, largest_change(&before, &after), bound, &before, &after))
            })
            .collect()
    }

    /// What the flips do to softmax regression with penalty `lambda`.
    ///
    /// # Errors
    /// Those of [`SoftmaxRegression::fit`], and for flips as [`linear`](Self::linear).
    pub fn softmax(&self, lambda: f64, flips: &[Flip]) -> Result<Vec<FlipEffect>> {
        let n_classes = self.labels.n_classes();
        let base = SoftmaxRegression::fit(self.points, &self.targets(None)?, n_classes, lambda)?;
        let before = base.logits(self.queries);
        let size = flip_size(self.smoothing, self.convention, n_classes)?;
        flips
            .iter()
            .map(|&flip| {
                let moved = base.refit(self.points, &self.targets(Some(flip))?)?;
                let bound = base.distance_bound(self.points, flip.row, size);
                let after = moved.logits(self.queries);
                Ok(self.effect(flip, base.distance(&moved)?, bound, &before, &after))
            })
            .collect()
    }

    fn effect(&self, flip: Flip, change: f64, bound: f64, before: &[f64], after: &[f64]) -> FlipEffect {
        let n_classes = self.labels.n_classes();
        FlipEffect { flip, change, bound, decisions: changed_decisions(before, after, n_classes) }
    }
}

/// Rows whose largest score moved to another class; scores within 1e-12 of each other are equal.
pub fn changed_decisions(before: &[f64], after: &[f64], n_classes: usize) -> usize {
    let decide = |row: &[f64]| {
        let largest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        row.iter().position(|score| *score >= largest - 1e-12)
    };
    let pairs = before.chunks_exact(n_classes).zip(after.chunks_exact(n_classes));
    pairs.filter(|(before, after)| decide(before) != decide(after)).count()
}

/// The largest difference of two lists of the same length.
pub fn largest_change(before: &[f64], after: &[f64]) -> f64 {
    before.iter().zip(after).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

/// One flip of each of `count` rows, drawn without repetition from a seed, to another class drawn likewise; all
/// rows if there are fewer.
pub fn draw_flips(labels: Labels<'_>, count: usize, seed: u64) -> Vec<Flip> {
    let mut stream = crate::random::Stream::new(seed, "flips", 0, 0);
    let order = stream.permutation(labels.len());
    let n_classes = labels.n_classes() as u64;
    order
        .into_iter()
        .filter_map(|row| Some((row, labels.get(row)? as u64)))
        .take(count)
        .map(|(row, label)| {
            // One of the other classes, each as likely.
            let other = (label + 1 + stream.below(n_classes.saturating_sub(1))) % n_classes;
            Flip { row, label: other as i64 }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Stream;

    struct Problem {
        points: Vec<f64>,
        labels: Vec<i64>,
        queries: Vec<f64>,
        width: usize,
        classes: usize,
    }

    impl Problem {
        fn new(n: usize, width: usize, classes: usize) -> Self {
            let mut stream = Stream::new(11, "stability problem", 0, 0);
            let mut normals = |n: usize| -> Vec<f64> { (0..n).map(|_| stream.normal()).collect() };
            let (points, queries, noise) = (normals(n * width), normals(60 * width), normals(n));
            let labels = points
                .chunks_exact(width)
                .zip(noise)
                .map(|(x, e)| {
                    ((x[0] + 0.7 * e) * 0.8 + classes as f64 / 2.0).clamp(0.0, classes as f64 - 1.0) as i64
                })
                .collect();
            Self { points, labels, queries, width, classes }
        }

        fn study(&self, smoothing: f64, convention: Convention) -> FlipStudy<'_> {
            let points = |values| Points::new(values, self.width).unwrap();
            let labels = Labels::new(&self.labels, self.classes).unwrap();
            FlipStudy::new(points(&self.points), labels, points(&self.queries), smoothing, convention)
                .unwrap()
        }

        fn flips(&self, count: usize) -> Vec<Flip> {
            draw_flips(Labels::new(&self.labels, self.classes).unwrap(), count, 3)
        }
    }

    const LEARNERS: [LinearSmoother; 5] = [
        LinearSmoother::Mean,
        LinearSmoother::NearestNeighbours { neighbours: 5 },
        LinearSmoother::NadarayaWatson { bandwidth: 0.7 },
        LinearSmoother::KernelRidge { bandwidth: 1.0, lambda: 0.05 },
        LinearSmoother::Ridge { lambda: 0.1 },
    ];

    #[test]
    fn the_effect_of_a_flip_shrinks_by_exactly_the_size_of_the_flip() {
        // Forty rows; 1-α in the uniform convention, 1-2α in the off-class one, for two classes.
        let problem = Problem::new(40, 3, 2);
        let flips = problem.flips(40);
        for learner in LEARNERS {
            let plain = problem.study(0.0, Convention::Uniform).linear(learner, &flips).unwrap();
            assert!(plain.iter().any(|effect| effect.change > 0.0), "{learner:?}");
            for (smoothing, convention, ratio) in [
                (0.1, Convention::Uniform, 0.9),
                (0.3, Convention::Uniform, 0.7),
                (0.5, Convention::Uniform, 0.5),
                (0.1, Convention::OffClass, 0.8),
                (0.3, Convention::OffClass, 0.4),
            ] {
                let smoothed = problem.study(smoothing, convention).linear(learner, &flips).unwrap();
                for (plain, smoothed) in plain.iter().zip(&smoothed) {
                    // A row that is nobody's neighbour changes nothing, smoothed or not.
                    let off = (smoothed.change - ratio * plain.change).abs();
                    assert!(
                        off <= 1e-10 * plain.change + 1e-15,
                        "{learner:?} {smoothing} {convention:?}: {smoothed:?} {plain:?}"
                    );
                    assert!(smoothed.change <= smoothed.bound * (1.0 + 1e-9), "{learner:?} {smoothed:?}");
                }
            }
        }
    }

    #[test]
    fn no_decision_becomes_more_stable() {
        for classes in [2, 4] {
            let problem = Problem::new(60, 2, classes);
            let flips = problem.flips(60);
            for learner in LEARNERS {
                let decisions = |smoothing| -> Vec<usize> {
                    let effects =
                        problem.study(smoothing, Convention::Uniform).linear(learner, &flips).unwrap();
                    effects.iter().map(|effect| effect.decisions).collect()
                };
                let plain = decisions(0.0);
                assert_eq!(plain, decisions(0.3), "{learner:?}");
                if !matches!(learner, LinearSmoother::Mean) {
                    assert!(plain.iter().sum::<usize>() > 0, "{learner:?}: no flip changed any decision");
                }
            }
        }
    }

    #[test]
    fn softmax_regression_keeps_the_bound_and_moves_less_than_in_proportion() {
        for (classes, lambda) in [(2, 1e-1), (2, 1e-3), (3, 1e-2)] {
            let problem = Problem::new(40, 3, classes);
            let flips = problem.flips(20);
            let mean = |smoothing: f64| {
                let effects = problem.study(smoothing, Convention::Uniform).softmax(lambda, &flips).unwrap();
                for effect in &effects {
                    assert!(
                        effect.change > 0.0 && effect.change <= effect.bound,
                        "{lambda} {smoothing} {effect:?}"
                    );
                }
                effects.iter().map(|effect| effect.change).sum::<f64>() / effects.len() as f64
            };
            let plain = mean(0.0);
            for smoothing in [0.1, 0.3, 0.5] {
                let ratio = mean(smoothing) / plain;
                assert!(ratio <= 1.0 - smoothing + 1e-9, "λ = {lambda}, α = {smoothing}: {ratio}");
            }
        }
    }

    #[test]
    fn flips_are_to_other_classes_and_each_row_is_flipped_once() {
        let problem = Problem::new(50, 1, 3);
        let flips = problem.flips(80);
        assert_eq!(flips.len(), 50);
        let rows: std::collections::BTreeSet<usize> = flips.iter().map(|flip| flip.row).collect();
        assert_eq!(rows.len(), 50);
        assert!(
            flips.iter().all(|flip| flip.label != problem.labels[flip.row] && (0..3).contains(&flip.label))
        );
    }

    #[test]
    fn what_is_no_study_is_refused() {
        let points = Points::new(&[0.0, 1.0], 1).unwrap();
        let labels = Labels::new(&[0, 1], 2).unwrap();
        let study =
            |labels, smoothing| FlipStudy::new(points, labels, points, smoothing, Convention::Uniform);
        assert!(matches!(study(Labels::new(&[0], 2).unwrap(), 0.1), Err(Error::Shape { .. })));
        assert!(matches!(study(labels, 1.1), Err(Error::OutOfRange { .. })));
        let ignored = Labels::with_ignore(&[0, -1], 2, Some(-1)).unwrap();
        assert!(matches!(study(ignored, 0.1), Err(Error::LabelsNeeded { .. })));
        let study = study(labels, 0.1).unwrap();
        let flip = |row, label| study.linear(LinearSmoother::Mean, &[Flip { row, label }]);
        assert!(matches!(flip(2, 0), Err(Error::OutOfRange { .. })));
        assert!(matches!(flip(0, 7), Err(Error::LabelOutOfRange { .. })));
    }
}
