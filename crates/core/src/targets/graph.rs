//! The neighbours of each node, in compressed rows.

use crate::error::{Error, Result, check_len};

/// A graph over `n` nodes: node i has the neighbours `neighbours[offsets[i]..offsets[i+1]]`.
///
/// List both directions of an undirected edge. Loops are allowed and not read; an edge listed twice counts
/// twice.
///
/// # Examples
/// ```
/// use candor::targets::Graph;
/// // A path of three nodes.
/// let graph = Graph::new(&[0, 1, 3, 4], &[1, 0, 2, 1])?;
/// assert_eq!(graph.neighbours(1).collect::<Vec<_>>(), [0, 2]);
/// # Ok::<(), candor::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Graph<'a> {
    offsets: &'a [usize],
    neighbours: &'a [u32],
}

impl<'a> Graph<'a> {
    /// A graph from the offsets of its rows, `n + 1` of them ascending from 0, and the neighbours.
    ///
    /// # Errors
    /// [`Error::Shape`] for no offset or a last one that is not the number of neighbours,
    /// [`Error::Malformed`] for an offset that descends or a neighbour that is no node.
    pub fn new(offsets: &'a [usize], neighbours: &'a [u32]) -> Result<Self> {
        let end = offsets.last().copied().ok_or(Error::Shape {
            what: "the offsets of a graph",
            expected: 1,
            got: 0,
        })?;
        check_len("the last offset of a graph", neighbours.len(), end)?;
        if offsets[0] != 0 {
            return Err(Error::Malformed { what: "graph offset", index: 0, problem: "is not 0" });
        }
        if let Some(index) = offsets.windows(2).position(|pair| pair[0] > pair[1]) {
            let problem = "is below the one before it";
            return Err(Error::Malformed { what: "graph offset", index: index + 1, problem });
        }
        let n_nodes = offsets.len() - 1;
        if let Some(index) = neighbours.iter().position(|&node| node as usize >= n_nodes) {
            let problem = "is not a node of the graph";
            return Err(Error::Malformed { what: "graph neighbour", index, problem });
        }
        Ok(Self { offsets, neighbours })
    }

    /// The same of rows that are known to fit.
    pub(crate) fn of_fitting(offsets: &'a [usize], neighbours: &'a [u32]) -> Self {
        Self { offsets, neighbours }
    }

    /// Number of nodes.
    pub fn n_nodes(&self) -> usize {
        self.offsets.len() - 1
    }

    /// The neighbours of a node but itself.
    ///
    /// # Panics
    /// If `node` is not below [`n_nodes`](Self::n_nodes).
    pub fn neighbours(&self, node: usize) -> impl Iterator<Item = usize> + 'a {
        let range = self.offsets[node]..self.offsets[node + 1];
        self.neighbours[range].iter().map(|&other| other as usize).filter(move |&other| other != node)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loops_are_not_read() {
        let graph = Graph::new(&[0, 2, 3], &[0, 1, 0]).unwrap();
        assert_eq!(graph.neighbours(0).collect::<Vec<_>>(), [1]);
        assert_eq!(Graph::new(&[0], &[]).unwrap().n_nodes(), 0);
    }

    #[test]
    fn broken_rows_are_named() {
        assert!(matches!(Graph::new(&[], &[]), Err(Error::Shape { .. })));
        assert!(matches!(Graph::new(&[0, 1], &[]), Err(Error::Shape { .. })));
        assert!(matches!(Graph::new(&[1, 1], &[0]), Err(Error::Malformed { index: 0, .. })));
        assert!(matches!(Graph::new(&[0, 2, 1], &[0]), Err(Error::Malformed { index: 2, .. })));
        assert!(matches!(Graph::new(&[0, 1], &[1]), Err(Error::Malformed { index: 0, .. })));
    }
}
