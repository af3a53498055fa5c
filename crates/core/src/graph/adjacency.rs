//! An undirected graph made from a list of edges, with what had to be left out.

use crate::error::{Error, Result};
use crate::targets::Graph;

/// An undirected graph: the neighbours of each node in ascending order, each once, no node its own.
///
/// For edge lists as they come: both directions of an edge, repeated edges and self edges are allowed, and
/// counted.
///
/// # Examples
/// ```
/// use candor::graph::Adjacency;
/// let graph = Adjacency::undirected(4, &[(0, 1), (1, 0), (2, 1), (2, 2)])?;
/// assert_eq!(graph.view().neighbours(1).collect::<Vec<_>>(), [0, 2]);
/// assert_eq!((graph.n_edges(), graph.repeated(), graph.loops(), graph.isolated()), (2, 1, 1, 1));
/// # Ok::<(), candor::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adjacency {
    offsets: Vec<usize>,
    neighbours: Vec<u32>,
    repeated: usize,
    loops: usize,
}

impl Adjacency {
    /// The graph of these edges over the nodes `0..n_nodes`; the direction of an edge is not read.
    ///
    /// # Errors
    /// [`Error::Malformed`] for an edge to a node that is not in the graph.
    pub fn undirected(n_nodes: usize, edges: &[(u32, u32)]) -> Result<Self> {
        let outside = |&(a, b): &(u32, u32)| a as usize >= n_nodes || b as usize >= n_nodes;
        if let Some(index) = edges.iter().position(outside) {
            return Err(Error::Malformed {
                what: "edge",
                index,
                problem: "joins a node that is not in the graph",
            });
        }
        let mut pairs: Vec<(u32, u32)> = edges.iter().filter(|(a, b)| a != b).copied().collect();
        let loops = edges.len() - pairs.len();
        pairs.iter_mut().for_each(|(a, b)| (*a, *b) = ((*a).min(*b), (*a).max(*b)));
        let given = pairs.len();
        pairs.sort_unstable();
        pairs.dedup();
        let repeated = given - pairs.len();
        let mut directed: Vec<(u32, u32)> = pairs.iter().flat_map(|&(a, b)| [(a, b), (b, a)]).collect();
        directed.sort_unstable();
        let mut offsets = vec![0; n_nodes + 1];
        directed.iter().for_each(|&(node, _)| offsets[node as usize + 1] += 1);
        for node in 0..n_nodes {
            offsets[node + 1] += offsets[node];
        }
        let neighbours = directed.into_iter().map(|(_, other)| other).collect();
        Ok(Self { offsets, neighbours, repeated, loops })
    }

    /// The graph as target rules take it.
    pub fn view(&self) -> Graph<'_> {
        Graph::of_fitting(&self.offsets, &self.neighbours)
    }

    /// Number of nodes.
    pub fn n_nodes(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Number of edges, each counted once.
    pub fn n_edges(&self) -> usize {
        self.neighbours.len() / 2
    }

    /// Edges of the list that had been listed before, in either direction.
    pub fn repeated(&self) -> usize {
        self.repeated
    }

    /// Edges of the list from a node to itself.
    pub fn loops(&self) -> usize {
        self.loops
    }

    /// Nodes without a neighbour.
    pub fn isolated(&self) -> usize {
        self.offsets.windows(2).filter(|pair| pair[0] == pair[1]).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_to_nowhere_are_named_and_nothing_gives_an_empty_graph() {
        assert!(matches!(
            Adjacency::undirected(3, &[(0, 1), (1, 3)]),
            Err(Error::Malformed { what: "edge", index: 1, .. })
        ));
        let empty = Adjacency::undirected(0, &[]).unwrap();
        assert_eq!((empty.n_nodes(), empty.n_edges(), empty.isolated()), (0, 0, 0));
    }

    #[test]
    fn order_and_direction_of_the_list_do_not_matter() {
        let a = Adjacency::undirected(4, &[(0, 3), (3, 1), (2, 0)]).unwrap();
        let b = Adjacency::undirected(4, &[(0, 2), (1, 3), (3, 0)]).unwrap();
        assert_eq!(a, b);
        assert_eq!(a.view().neighbours(3).collect::<Vec<_>>(), [0, 1]);
    }
}
