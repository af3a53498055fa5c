//! Example data for the target rules that need more than parameters, so that every rule can be explained.

use crate::batch::Labels;
use crate::error::{Error, Result};
use crate::parameters::Parameters;
use crate::targets::{
    Annotators, ClassSimilarity, ConfidenceAdaptive, Convention, CutMix, DisturbLabel, Graph, Hierarchical,
    Leftover, Matrix, Mixup, Neighbours, Patch, PerClass, PerSample, Posterior, Prior, Spatial, TargetRule,
    Targets, Taxonomy, Teacher,
};

/// Targets of a rule on example data, what each counted row stands for, and what the data are.
pub(super) struct Illustration {
    pub targets: Targets<'static>,
    pub cases: Vec<String>,
    pub assumption: &'static str,
}

/// A strength a class or row, to show what it changes.
const STRENGTHS: [f64; 4] = [0.0, 0.05, 0.1, 0.2];

/// The rule `name` on example data around the class `label`.
///
/// # Errors
/// Those of the rule; [`Error::NeedsData`] for a rule that has no example here.
pub(super) fn illustrate(
    name: &'static str,
    needs: &'static str,
    parameters: &Parameters,
    n_classes: usize,
    label: usize,
) -> Result<Illustration> {
    let smoothing = parameters.number("smoothing");
    let next = (label + 1) % n_classes.max(1);
    let (this, other) = (label as i64, next as i64);
    let own = vec![format!("label {label}")];
    let distance = |a: usize, b: usize| a.abs_diff(b) as f64;
    let matrix = |cell: &dyn Fn(usize, usize) -> f64| -> Vec<f64> {
        (0..n_classes * n_classes).map(|i| cell(i / n_classes, i % n_classes)).collect()
    };
    let (one, four) = ([this], [this; 4]);
    let rule = |rule: &dyn TargetRule, cases, assumption| -> Result<Illustration> {
        let row = rule.distribution(label, n_classes)?;
        Ok(Illustration { targets: one_row(row, n_classes)?, cases, assumption })
    };
    let batch = |targets, cases, assumption| Ok(Illustration { targets, cases, assumption });
    match name {
        "prior" => {
            let counts: Vec<f64> = (0..n_classes).map(|k| 1000.0 / (k + 1) as f64).collect();
            let made = Prior::from_counts(
                smoothing,
                &counts,
                parameters.number("laplace"),
                parameters.number("power"),
            )?;
            rule(&made, own, "class k occurs 1000/(k+1) times")
        }
        "matrix" => {
            let counts = matrix(&|a, b| if a == b { 0.0 } else { 100.0 / distance(a, b) });
            let made = Matrix::from_counts(smoothing, &counts, n_classes, parameters.number("laplace"))?;
            rule(&made, own, "classes are confused in inverse proportion to the distance of their numbers")
        }
        "class_similarity" => {
            let similarity = matrix(&|a, b| -distance(a, b));
            let made =
                ClassSimilarity::new(smoothing, &similarity, n_classes, parameters.number("temperature"))?;
            rule(&made, own, "the similarity of two classes is minus the distance of their numbers")
        }
        "hierarchical" => {
            let made = Hierarchical::new(parameters.number("beta"), &Taxonomy::binary(n_classes)?)?;
            rule(&made, own, "the taxonomy halves the classes again and again in their order")
        }
        "per_class" => {
            let strengths: Vec<f64> = (0..n_classes).map(|k| STRENGTHS[k % 4]).collect();
            let made = PerClass::new(&strengths, Convention::Uniform)?;
            rule(&made, own, "the classes have the strengths 0, .05, .1 and .2 in turn")
        }
        "per_sample" => {
            let targets =
                PerSample::new(Convention::Uniform).targets(Labels::new(&four, n_classes)?, &STRENGTHS)?;
            let cases =
                STRENGTHS.iter().map(|strength| format!("label {label}, strength {strength}")).collect();
            batch(owned(&targets)?, cases, "four rows of one label with strengths of their own")
        }
        "confidence_adaptive" => {
            let confidence = [1.0 / n_classes as f64, 0.5_f64.max(1.0 / n_classes as f64), 0.9, 0.99];
            let made =
                ConfidenceAdaptive::new(parameters.number("max_smoothing"), parameters.number("gamma"))?;
            let targets = made.targets(Labels::new(&four, n_classes)?, &confidence)?;
            let cases = confidence.iter().map(|c| format!("label {label}, confidence {c:.3}")).collect();
            batch(owned(&targets)?, cases, "pseudo-labels of a confidence from chance to .99")
        }
        "neighbours" | "posterior" => {
            // Node 0 with three neighbours: two of its own class, one of the next.
            let graph = Graph::new(&[0, 3, 4, 5, 6], &[1, 2, 3, 0, 0, 0])?;
            let labels = [this, this, this, other];
            let labels = Labels::new(&labels, n_classes)?;
            let targets = match name {
                "neighbours" => Neighbours::new(smoothing)?.targets(labels, graph)?,
                _ => Posterior::new(smoothing, parameters.number("laplace"))?.targets(labels, graph)?,
            };
            let targets = targets.with_ignored(vec![false, true, true, true])?;
            batch(targets, own, "a node with two neighbours of its own class and one of the next")
        }
        "teacher" => {
            let leftover = match parameters.word("leftover") {
                "renormalise" => Leftover::Renormalise,
                _ => Leftover::Even,
            };
            let made = Teacher::new(smoothing, parameters.number("hard_weight"), leftover)?;
            let classes = [u32::try_from(label).unwrap_or(u32::MAX), u32::try_from(next).unwrap_or(u32::MAX)];
            let targets = made.targets(Labels::new(&one, n_classes)?, &classes, &[0.6, 0.2])?;
            batch(targets, own, "the teacher gives .6 to the label and .2 to the next class")
        }
        "mixup" | "cutmix" => {
            let labels = [this, other];
            let labels = Labels::new(&labels, n_classes)?;
            let patch = Patch { top: 0, bottom: 6, left: 0, right: 5 };
            let targets = match name {
                "mixup" => Mixup::new(smoothing)?.targets(labels, &[1, 0], &[0.7, 0.7])?,
                _ => CutMix::new(smoothing)?.targets(labels, &[1, 0], &[patch; 2], 10, 10)?,
            };
            batch(
                targets.with_ignored(vec![false, true])?,
                own,
                "seven tenths of the label, three of the next class",
            )
        }
        "annotators" => {
            let mut votes = vec![0.0; n_classes];
            votes[label] += 7.0;
            votes[next] += 3.0;
            let targets = Annotators::new(parameters.number("pseudo_count"))?.targets(&votes, n_classes)?;
            batch(targets, own, "seven votes for the label and three for the next class")
        }
        "spatial" => {
            let mask = [this, this, other, this, this, other, this, this, other];
            let made = Spatial::new(parameters.number("sigma"))?;
            let targets = made.targets(Labels::new(&mask, n_classes)?, &[3, 3])?;
            let middle = (0..9).map(|voxel| voxel != 4).collect::<Vec<bool>>();
            batch(targets.with_ignored(middle)?, own, "a voxel at a straight boundary to the next class")
        }
        "disturb_label" => {
            let made = DisturbLabel::new(smoothing)?.expected()?;
            rule(&made, own, "the expectation over the draws")
        }
        _ => Err(Error::NeedsData { kind: "target", name, needs }),
    }
}

/// One row as targets of its own.
fn one_row(row: Vec<f64>, n_classes: usize) -> Result<Targets<'static>> {
    let classes: Vec<u32> = (0..n_classes).filter_map(|class| u32::try_from(class).ok()).collect();
    Targets::sparse(vec![0, n_classes], classes, row, n_classes)
}

/// The rows of targets that borrow, as targets that do not.
fn owned(targets: &Targets<'_>) -> Result<Targets<'static>> {
    let (n_rows, n_classes) = (targets.n_rows(), targets.n_classes());
    let offsets: Vec<usize> = (0..=n_rows).map(|row| row * n_classes).collect();
    let classes: Vec<u32> =
        (0..n_rows).flat_map(|_| (0..n_classes).filter_map(|class| u32::try_from(class).ok())).collect();
    Targets::sparse(offsets, classes, targets.dense_matrix(), n_classes)
}
