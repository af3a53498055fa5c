//! Smoothing towards the labels of a node's neighbours in a graph.

use super::sparse_rows::SparseRows;
use super::{Background, Entry, Graph, Make, SMOOTHING, TargetInfo, Targets};
use crate::batch::Labels;
use crate::error::{Result, check_classes, check_len, check_range};

pub(super) const ENTRY: Entry =
    Entry { info: &INFO, make: Make::Data("the graph of the rows (Neighbours::targets)") };

const INFO: TargetInfo = TargetInfo {
    name: "neighbours",
    summary: "smoothing mass to the labels of the neighbours in a graph, for graphs of like with like",
    formula: "q_i = (1-α)·onehot(y_i) + α·mean of onehot(y_j) over labelled neighbours j",
    parameters: &[SMOOTHING],
    paper: "Wang et al. 2021, arXiv:2112.00499 (SALS)",
};

/// Mixes a node's label with the mean label of its labelled neighbours.
///
/// For node classification where neighbours tend to agree; where they tend to differ take
/// [`Posterior`](super::Posterior). Nodes without a label (ignored, such as the test nodes) neither get a
/// target nor lend their label. A node without labelled neighbours is smoothed uniformly.
///
/// The rows are mixtures, so the un-smoothed figures of a loss (NLL) are against the mixture too.
///
/// # Shapes
/// One label a node.
///
/// # Examples
/// ```
/// use candor::{Labels, targets::{Graph, Neighbours}};
/// let graph = Graph::new(&[0, 1, 3, 4], &[1, 0, 2, 1])?;
/// let labels = Labels::with_ignore(&[0, 1, -1], 2, Some(-1))?;
/// let targets = Neighbours::new(0.2)?.targets(labels, graph)?;
/// assert_eq!(targets.row(1).unwrap().dense(2), [0.2, 0.8]);
/// # Ok::<(), candor::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Neighbours {
    smoothing: f64,
}

impl Neighbours {
    /// A rule of strength `smoothing` in `[0, 1]`.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) outside that range or for NaN.
    pub fn new(smoothing: f64) -> Result<Self> {
        check_range("smoothing", smoothing, 0.0, 1.0)?;
        Ok(Self { smoothing })
    }

    /// The targets of all nodes of `graph`.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) unless there is one label a node.
    pub fn targets(&self, labels: Labels<'_>, graph: Graph<'_>) -> Result<Targets<'static>> {
        check_classes(labels.n_classes())?;
        check_len("labels", graph.n_nodes(), labels.len())?;
        let mut rows = SparseRows::with_capacity(labels.len());
        let mut uniform = vec![0.0; labels.len()];
        for (node, uniform) in uniform.iter_mut().enumerate() {
            let Some(label) = labels.get(node) else {
                rows.ignored_row();
                continue;
            };
            let lenders = || graph.neighbours(node).filter_map(|other| labels.get(other));
            let count = lenders().count();
            if count == 0 {
                *uniform = self.smoothing;
                rows.add(label, 1.0);
            } else {
                rows.add(label, 1.0 - self.smoothing);
                lenders().for_each(|class| rows.add(class, self.smoothing / count as f64));
            }
            rows.end_row();
        }
        rows.finish(labels.n_classes())?.smoothed_per_row(uniform, Background::Uniform)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn isolated_nodes_are_smoothed_uniformly_and_unlabelled_ones_lend_nothing() {
        // Node 0: neighbours 1, 2, 3; node 4 alone.
        let graph = Graph::new(&[0, 3, 4, 5, 6, 6], &[1, 2, 3, 0, 0, 0]).unwrap();
        let labels = Labels::with_ignore(&[0, 1, 1, -1, 2], 3, Some(-1)).unwrap();
        let targets = Neighbours::new(0.3).unwrap().targets(labels, graph).unwrap();
        let row = |i| targets.row(i).unwrap().dense(3);
        assert_eq!(row(0), [0.7, 0.3, 0.0]);
        assert!((row(4)[0] - 0.1).abs() < 1e-15 && (row(4)[2] - 0.8).abs() < 1e-15);
        assert!(targets.row(3).is_none());
        assert_eq!(targets.counted(), 4);
    }

    #[test]
    fn another_number_of_nodes_is_refused() {
        let graph = Graph::new(&[0, 0], &[]).unwrap();
        let labels = Labels::new(&[0, 1], 2).unwrap();
        assert!(Neighbours::new(0.3).unwrap().targets(labels, graph).is_err());
        assert!(Neighbours::new(1.3).is_err());
    }
}
