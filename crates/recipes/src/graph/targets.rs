//! Target rules that the training nodes and their neighbours make.

use std::sync::Arc;

use candor::Labels;
use candor::graph::Adjacency;
use candor::parameters::Parameters;
use candor::targets::{self, Neighbours, Posterior, TargetInfo, TargetRule, Targets};

use crate::training::{ClassCounts, DataRules};

/// The label of a node that does not count.
pub(super) const UNLABELLED: i64 = -1;

/// What rules may know of a data set: the graph, and the labels of the training nodes alone.
#[derive(Debug)]
pub(super) struct GraphRules {
    adjacency: Arc<Adjacency>,
    /// One label a node; [`UNLABELLED`] for all but the training nodes.
    labels: Vec<i64>,
    counts: ClassCounts,
}

impl GraphRules {
    /// The rules of a graph whose training nodes have these labels.
    pub(super) fn new(adjacency: Arc<Adjacency>, labels: Vec<i64>, train_classes: &[usize]) -> Self {
        Self { adjacency, labels, counts: ClassCounts(train_classes.to_vec()) }
    }
}

impl DataRules for GraphRules {
    fn rule(&self, name: &str, parameters: &Parameters) -> candor::Result<Option<Arc<dyn TargetRule>>> {
        let graph = self.adjacency.view();
        let labels = Labels::with_ignore(&self.labels, self.counts.0.len(), Some(UNLABELLED))?;
        let smoothing = parameters.number("smoothing");
        let rows = match name {
            "neighbours" => Neighbours::new(smoothing)?.targets(labels, graph)?,
            "posterior" => Posterior::new(smoothing, parameters.number("laplace"))?.targets(labels, graph)?,
            _ => return self.counts.rule(name, parameters),
        };
        let info = targets::ALL.iter().map(|entry| entry.info).find(|info| info.name == name);
        Ok(info.map(|info| -> Arc<dyn TargetRule> { Arc::new(NodeTargets { info, rows }) }))
    }
}

/// A target row for each training node, made once from all of them; a batch counts some of the rows.
#[derive(Debug)]
struct NodeTargets {
    info: &'static TargetInfo,
    rows: Targets<'static>,
}

impl TargetRule for NodeTargets {
    fn info(&self) -> &'static TargetInfo {
        self.info
    }

    fn targets<'a>(&self, labels: Labels<'a>) -> candor::Result<Targets<'a>> {
        let ignored: Vec<bool> = (0..labels.len()).map(|node| labels.get(node).is_none()).collect();
        self.rows.clone().with_ignored(ignored)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A path 0-1-2-3-4 of classes 0, 1, 1; node 3 is a test node of class 0, node 4 has no label.
    fn rules() -> GraphRules {
        let path = Adjacency::undirected(5, &[(0, 1), (1, 2), (2, 3), (3, 4)]).unwrap();
        GraphRules::new(Arc::new(path), vec![0, 1, 1, -1, -1], &[1, 2])
    }

    fn parameters(name: &str, smoothing: f64) -> Parameters {
        let info = targets::ALL.iter().find(|entry| entry.info.name == name).unwrap().info;
        let given = [("smoothing".to_owned(), candor::parameters::ParameterValue::Number(smoothing))].into();
        Parameters::resolve(info.name, info.parameters, &given).unwrap()
    }

    #[test]
    fn neighbours_lend_their_labels_to_a_batch_that_does_not_hold_them() {
        let rule = rules().rule("neighbours", &parameters("neighbours", 0.2)).unwrap().unwrap();
        assert_eq!(rule.info().name, "neighbours");
        let batch = [-1, 1, -1, -1, -1];
        let rows = rule.targets(Labels::with_ignore(&batch, 2, Some(-1)).unwrap()).unwrap();
        assert_eq!(rows.counted(), 1);
        // Node 1 of class 1 has neighbours of classes 0 and 1.
        assert_eq!(rows.row(1).unwrap().dense(2), [0.1, 0.9]);
        // The label of the test node lends nothing: node 2 sees node 1 alone.
        let batch = [-1, -1, 1, -1, -1];
        let rows = rule.targets(Labels::with_ignore(&batch, 2, Some(-1)).unwrap()).unwrap();
        assert_eq!(rows.row(2).unwrap().dense(2), [0.0, 1.0]);
        assert!(rule.targets(Labels::new(&[0], 2).unwrap()).is_err());
    }

    #[test]
    fn posterior_and_prior_come_from_the_training_nodes() {
        let rule = rules().rule("posterior", &parameters("posterior", 1.0)).unwrap().unwrap();
        let batch = [0, 1, 1, -1, -1];
        let rows = rule.targets(Labels::with_ignore(&batch, 2, Some(-1)).unwrap()).unwrap();
        // Pairs of classes, 1 added: 0->0 1, 0->1 2, 1->0 2, 1->1 3. Node 0 has a neighbour of class 1:
        // P(0)·2/3 = 2/9 against P(1)·3/5 = 2/5.
        let want = (2.0 / 9.0) / (2.0 / 9.0 + 2.0 / 5.0);
        assert!((rows.row(0).unwrap().dense(2)[0] - want).abs() < 1e-14);
        let prior = rules().rule("prior", &parameters("prior", 0.3)).unwrap().unwrap();
        let q = prior.distribution(0, 2).unwrap();
        assert!((q[0] - 0.8).abs() < 1e-14, "{q:?}");
        assert!(
            rules().rule("mixup", &parameters("mixup", 0.0)).is_err()
                || rules().rule("teacher", &Parameters::defaults(&[])).unwrap().is_none()
        );
    }
}
