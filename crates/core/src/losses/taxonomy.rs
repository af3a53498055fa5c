//! A tree over the classes: which are kinds of the same thing.

use crate::error::{Error, Result};

/// A tree whose leaves are the classes.
///
/// Nodes are numbered: the classes first, `0..n_classes`, then the inner nodes. Each names its parent; the
/// root names itself.
///
/// # Examples
/// ```
/// use candor::losses::Taxonomy;
/// // cat 0, dog 1, car 2; animal 3, root 4
/// let taxonomy = Taxonomy::new(&[3, 3, 4, 4, 4], 3)?;
/// assert_eq!((taxonomy.n_classes(), taxonomy.depth(0), taxonomy.depth(2)), (3, 2, 1));
/// # Ok::<(), candor::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Taxonomy {
    /// For each class the nodes from itself to just below the root.
    paths: Vec<Vec<usize>>,
    /// The classes under each node.
    leaves: Vec<Vec<usize>>,
}

impl Taxonomy {
    /// The tree in which node `i` has the parent `parents[i]`.
    ///
    /// # Errors
    /// [`Error::Shape`] for no class, [`Error::Taxonomy`] where the parents form no tree over the classes.
    pub fn new(parents: &[usize], n_classes: usize) -> Result<Self> {
        if n_classes == 0 {
            return Err(Error::Shape { what: "the class axis", expected: 1, got: 0 });
        }
        let n_nodes = parents.len();
        let malformed = |node, problem| Err(Error::Taxonomy { node, problem });
        let mut paths = Vec::with_capacity(n_classes);
        let mut leaves = vec![Vec::new(); n_nodes];
        let mut root = None;
        for class in 0..n_classes {
            let mut path = Vec::new();
            let mut node = class;
            loop {
                let Some(&parent) = parents.get(node) else { return malformed(node, "has no parent") };
                if parent < n_classes {
                    return malformed(node, "has a class as its parent, but classes are leaves");
                }
                leaves[node].push(class);
                if parent == node {
                    break;
                }
                path.push(node);
                if path.len() > n_nodes {
                    return malformed(node, "lies on a circle of parents");
                }
                node = parent;
            }
            if *root.get_or_insert(node) != node {
                return malformed(node, "is a second root");
            }
            paths.push(path);
        }
        Ok(Self { paths, leaves })
    }

    /// All classes under the root: nothing is more alike than anything else.
    ///
    /// # Errors
    /// [`Error::Shape`] for no class.
    pub fn flat(n_classes: usize) -> Result<Self> {
        Self::new(&vec![n_classes; n_classes + 1], n_classes)
    }

    /// The classes halved again and again in their order: neighbours are alike. For ordered classes, and
    /// for lists of classes that are sorted by kind.
    ///
    /// # Errors
    /// [`Error::Shape`] for no class.
    pub fn binary(n_classes: usize) -> Result<Self> {
        let mut parents = vec![n_classes; n_classes + 1];
        let mut open = vec![(n_classes, 0, n_classes)];
        while let Some((node, first, end)) = open.pop() {
            if end - first <= 2 {
                parents[first..end].fill(node);
                continue;
            }
            let middle = first + (end - first) / 2;
            for (first, end) in [(first, middle), (middle, end)] {
                if end - first == 1 {
                    parents[first] = node;
                } else {
                    parents.push(node);
                    open.push((parents.len() - 1, first, end));
                }
            }
        }
        Self::new(&parents, n_classes)
    }

    /// Number of classes.
    pub fn n_classes(&self) -> usize {
        self.paths.len()
    }

    /// Number of edges from a class to the root.
    ///
    /// # Panics
    /// If `class` is not below [`n_classes`](Self::n_classes).
    pub fn depth(&self, class: usize) -> usize {
        self.paths[class].len()
    }

    /// The classes under each node on the way from `class` to just below the root, with the node's distance
    /// from the root.
    pub(super) fn ancestors(&self, class: usize) -> impl Iterator<Item = (usize, &[usize])> {
        let path = &self.paths[class];
        path.iter().enumerate().map(|(i, &node)| (path.len() - i, self.leaves[node].as_slice()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_leaves() {
        let taxonomy = Taxonomy::new(&[3, 3, 4, 4, 4], 3).unwrap();
        let ancestors = |class| taxonomy.ancestors(class).map(|(d, l)| (d, l.to_vec())).collect::<Vec<_>>();
        assert_eq!(ancestors(1), [(2, vec![1]), (1, vec![0, 1])]);
        assert_eq!(ancestors(2), [(1, vec![2])]);
    }

    #[test]
    fn the_made_trees() {
        let flat = Taxonomy::flat(4).unwrap();
        assert!((0..4).all(|class| flat.depth(class) == 1));
        for n in 1..40 {
            let binary = Taxonomy::binary(n).unwrap();
            let deepest = (0..n).map(|class| binary.depth(class)).max().unwrap_or(0);
            assert_eq!(deepest, n.next_power_of_two().ilog2().max(1) as usize, "{n} classes");
        }
        let five = Taxonomy::binary(5).unwrap();
        let under: Vec<_> = five.ancestors(3).map(|(_, leaves)| leaves.to_vec()).collect();
        assert_eq!(under, [vec![3], vec![3, 4], vec![2, 3, 4]]);
    }

    #[test]
    fn what_is_no_tree_is_refused() {
        assert!(matches!(Taxonomy::new(&[], 0), Err(Error::Shape { .. })));
        let bad: [(&[usize], &str); 7] = [
            (&[2], "no parent"),
            (&[2, 2], "no parent"),
            (&[0, 2, 2], "a class as its parent"),
            (&[1, 2, 2], "a class as its parent"),
            (&[2, 9, 2], "no parent"),
            (&[2, 3, 2, 3], "second root"),
            (&[3, 3, 3, 2], "circle"),
        ];
        for (parents, problem) in bad {
            let error = Taxonomy::new(parents, 2).unwrap_err();
            assert!(error.to_string().contains(problem), "{parents:?}: {error}");
        }
    }
}
