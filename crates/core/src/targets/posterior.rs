//! Smoothing towards the class that a node's neighbours suggest, by Bayes' rule over the whole graph.

use super::matrix::check_matrix_classes;
use super::sparse_rows::SparseRows;
use super::{Entry, Graph, Make, SMOOTHING, TargetInfo, Targets};
use crate::batch::Labels;
use crate::error::{Result, check_len, check_range};
use crate::parameters::Parameter;

pub(super) const ENTRY: Entry =
    Entry { info: &INFO, make: Make::Data("the graph of the rows (Posterior::targets)") };

const INFO: TargetInfo = TargetInfo {
    name: "posterior",
    summary: "smoothing mass to the classes that the neighbours' labels make likely; for any kind of graph",
    formula: "q_i = (1-α)·onehot(y_i) + α·P(k | neighbours), P ∝ P(k)·Π P(y_j | k)",
    parameters: &[
        SMOOTHING,
        Parameter::number("laplace", 1.0, 1e-9, 1e12, "count added to every pair of classes"),
    ],
    paper: "Heo et al. 2026, AAAI, arXiv:2406.00410 (PosteL)",
};

/// Mixes a node's label with the posterior of its class given its neighbours' labels.
///
/// `P(k | neighbours) ∝ P(k) Π_j P(y_j | k)`, with class frequencies and edge frequencies counted over the
/// labelled part of the graph. Suits graphs of like with like and of unlike alike, since the edges
/// themselves say which. Nodes without a label neither get a target nor lend their label.
///
/// Deviations from the published code: pair counts get `laplace`, so no likelihood is zero, and the extra
/// off-class smoothing and pseudo-labels are left to the caller.
///
/// # Shapes
/// One label a node; at most [`MAX_MATRIX_CLASSES`](super::MAX_MATRIX_CLASSES) classes.
///
/// # Examples
/// ```
/// use candor::{Labels, targets::{Graph, Posterior}};
/// // A ring of four nodes whose neighbours always differ: the neighbours of a 0 say 0.
/// let graph = Graph::new(&[0, 2, 4, 6, 8], &[1, 3, 0, 2, 1, 3, 2, 0])?;
/// let targets = Posterior::new(1.0, 0.01)?.targets(Labels::new(&[0, 1, 0, 1], 2)?, graph)?;
/// assert!(targets.row(0).unwrap().dense(2)[0] > 0.99);
/// # Ok::<(), candor::Error>(())
/// ```
///
/// # References
/// Heo, Park & Kim, *Posterior Label Smoothing for Node Classification*, AAAI 2026, arXiv:2406.00410.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Posterior {
    smoothing: f64,
    laplace: f64,
}

impl Posterior {
    /// A rule of strength `smoothing` in `[0, 1]` with `laplace` in `[1e-9, 1e12]`.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) outside those ranges or for NaN.
    pub fn new(smoothing: f64, laplace: f64) -> Result<Self> {
        check_range("smoothing", smoothing, 0.0, 1.0)?;
        check_range("laplace", laplace, 1e-9, 1e12)?;
        Ok(Self { smoothing, laplace })
    }

    /// The targets of all nodes of `graph`.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) unless there is one label a node,
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) for too few or too many classes.
    pub fn targets(&self, labels: Labels<'_>, graph: Graph<'_>) -> Result<Targets<'static>> {
        let n_classes = labels.n_classes();
        check_matrix_classes(n_classes)?;
        check_len("labels", graph.n_nodes(), labels.len())?;
        let statistics = Statistics::count(labels, graph, self.laplace);
        let mut rows = SparseRows::with_capacity(labels.len());
        for node in 0..labels.len() {
            let Some(label) = labels.get(node) else {
                rows.ignored_row();
                continue;
            };
            rows.add(label, 1.0 - self.smoothing);
            let mut logs = statistics.log_prior.clone();
            for lender in graph.neighbours(node).filter_map(|other| labels.get(other)) {
                for (class, log) in logs.iter_mut().enumerate() {
                    *log += statistics.log_likelihood[class * n_classes + lender];
                }
            }
            let most = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = logs.iter().map(|log| (log - most).exp()).sum();
            for (class, log) in logs.iter().enumerate() {
                rows.add(class, self.smoothing * (log - most).exp() / sum);
            }
            rows.end_row();
        }
        rows.finish(n_classes)
    }
}

/// Logarithms of the class and edge frequencies of the labelled part of a graph.
struct Statistics {
    /// `[n_classes]`; -inf for a class that does not occur.
    log_prior: Vec<f64>,
    /// `[n_classes, n_classes]`: ln P(label of a neighbour | class of the node).
    log_likelihood: Vec<f64>,
}

impl Statistics {
    fn count(labels: Labels<'_>, graph: Graph<'_>, laplace: f64) -> Self {
        let n_classes = labels.n_classes();
        let mut classes = vec![0.0; n_classes];
        let mut pairs = vec![laplace; n_classes * n_classes];
        for node in 0..labels.len() {
            let Some(label) = labels.get(node) else { continue };
            classes[label] += 1.0;
            for lender in graph.neighbours(node).filter_map(|other| labels.get(other)) {
                pairs[label * n_classes + lender] += 1.0;
            }
        }
        let counted = labels.counted() as f64;
        let log_prior = classes.iter().map(|count: &f64| (count / counted).ln()).collect();
        let log_likelihood = pairs
            .chunks_exact(n_classes)
            .flat_map(|row| {
                let sum: f64 = row.iter().sum();
                row.iter().map(move |count| (count / sum).ln())
            })
            .collect();
        Self { log_prior, log_likelihood }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_posterior_is_bayes_rule_by_hand() {
        // Edges 0-1 (classes 0, 0) and 1-2 (classes 0, 1), laplace 1.
        let graph = Graph::new(&[0, 1, 3, 4], &[1, 0, 2, 1]).unwrap();
        let labels = Labels::new(&[0, 0, 1], 2).unwrap();
        let targets = Posterior::new(1.0, 1.0).unwrap().targets(labels, graph).unwrap();
        // Pair counts: 0->0: 2+1, 0->1: 1+1, 1->0: 1+1, 1->1: 0+1.
        let (zero, one) = (2.0 / 3.0 * 3.0 / 5.0, 1.0 / 3.0 * 2.0 / 3.0);
        let q = targets.row(0).unwrap().dense(2);
        assert!((q[0] - zero / (zero + one)).abs() < 1e-14, "{q:?}");
        let (zero, one) = (2.0 / 3.0 * 3.0 / 5.0 * 2.0 / 5.0, 1.0 / 3.0 * 2.0 / 3.0 / 3.0);
        let q = targets.row(1).unwrap().dense(2);
        assert!((q[0] - zero / (zero + one)).abs() < 1e-14, "{q:?}");
    }

    #[test]
    fn a_directed_edge_counts_for_the_node_that_lists_it() {
        // Only node 0, of class 0, lists a neighbour, of class 1.
        let graph = Graph::new(&[0, 1, 1], &[1]).unwrap();
        let targets =
            Posterior::new(1.0, 1.0).unwrap().targets(Labels::new(&[0, 1], 2).unwrap(), graph).unwrap();
        // P(1 | 0) = (1+1)/(1+2), P(1 | 1) = 1/2, equal class frequencies.
        let q = targets.row(0).unwrap().dense(2);
        assert!((q[0] - (2.0 / 3.0) / (2.0 / 3.0 + 0.5)).abs() < 1e-14, "{q:?}");
    }

    #[test]
    fn an_isolated_node_gets_the_class_prior() {
        let graph = Graph::new(&[0, 0, 0, 0], &[]).unwrap();
        let labels = Labels::with_ignore(&[0, 1, -1], 3, Some(-1)).unwrap();
        let targets = Posterior::new(0.5, 1.0).unwrap().targets(labels, graph).unwrap();
        assert_eq!(targets.row(0).unwrap().dense(3), [0.75, 0.25, 0.0]);
        assert!(targets.row(2).is_none());
    }

    #[test]
    fn arguments_out_of_range_are_refused() {
        assert!(Posterior::new(1.5, 1.0).is_err());
        assert!(Posterior::new(0.5, 0.0).is_err());
        let graph = Graph::new(&[0], &[]).unwrap();
        assert!(Posterior::new(0.5, 1.0).unwrap().targets(Labels::new(&[0], 2).unwrap(), graph).is_err());
    }
}
