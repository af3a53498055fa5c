//! A tree over the classes, and how far apart two classes are in it.

use crate::error::{Error, Result, check_classes};

/// A tree whose leaves are the classes.
///
/// Nodes `0..n_classes` are the classes, the others are groups; each node names its parent, and the root
/// names itself. The distance of two classes is the height of their lowest common ancestor, divided by the
/// height of the tree: 0 for the same class, 1 where only the root joins them.
///
/// # Examples
/// ```
/// use candor::targets::Taxonomy;
/// // Classes 0 and 1 belong to group 3, class 2 to the root 4.
/// let taxonomy = Taxonomy::new(&[3, 3, 4, 4, 4], 3)?;
/// assert_eq!((taxonomy.distance(0, 1), taxonomy.distance(0, 2)), (Some(0.5), Some(1.0)));
/// # Ok::<(), candor::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Taxonomy {
    parents: Vec<usize>,
    heights: Vec<usize>,
    n_classes: usize,
    root: usize,
}

impl Taxonomy {
    /// A tree from the parent of each node.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for fewer than two classes, [`Error::Shape`] for fewer nodes than classes and
    /// a root, [`Error::Malformed`] for a parent that is no group, a cycle, or no or several roots.
    pub fn new(parents: &[usize], n_classes: usize) -> Result<Self> {
        check_classes(n_classes)?;
        if parents.len() <= n_classes {
            return Err(Error::Shape {
                what: "parents, of every class and at least a root,",
                expected: n_classes + 1,
                got: parents.len(),
            });
        }
        let malformed = |index, problem| Error::Malformed { what: "taxonomy node", index, problem };
        let mut root = None;
        for (node, &parent) in parents.iter().enumerate() {
            if parent >= parents.len() || parent < n_classes {
                return Err(malformed(node, "has a parent that is not a group node"));
            }
            if parent == node && root.replace(node).is_some() {
                return Err(malformed(node, "is a second root (a node that is its own parent)"));
            }
        }
        let Some(root) = root else {
            return Err(malformed(parents.len() - 1, "and all others have parents: no node is the root"));
        };
        let mut heights = vec![0; parents.len()];
        for class in 0..n_classes {
            let (mut node, mut height) = (class, 0);
            while node != root {
                node = parents[node];
                height += 1;
                if height > parents.len() {
                    return Err(malformed(class, "does not lead to the root: its ancestors form a cycle"));
                }
                heights[node] = heights[node].max(height);
            }
        }
        Ok(Self { parents: parents.to_vec(), heights, n_classes, root })
    }

    /// A tree of two levels: `groups[k]` is the group of class k.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for fewer than two classes, [`Error::Malformed`] for a group index that is not
    /// below the number of classes.
    pub fn from_groups(groups: &[usize]) -> Result<Self> {
        let n_classes = groups.len();
        check_classes(n_classes)?;
        if let Some(index) = groups.iter().position(|&group| group >= n_classes) {
            let problem = "has a group index that is not below the number of classes";
            return Err(Error::Malformed { what: "class", index, problem });
        }
        let n_groups = groups.iter().max().map_or(0, |most| most + 1);
        let root = n_classes + n_groups;
        let mut parents: Vec<usize> = groups.iter().map(|group| n_classes + group).collect();
        parents.resize(root + 1, root);
        Self::new(&parents, n_classes)
    }

    /// Number of classes.
    pub fn n_classes(&self) -> usize {
        self.n_classes
    }

    /// Height of the lowest common ancestor of two classes over the height of the tree, in [0, 1]; `None`
    /// if one is not a class.
    pub fn distance(&self, a: usize, b: usize) -> Option<f64> {
        if a >= self.n_classes || b >= self.n_classes {
            return None;
        }
        let ancestors: Vec<usize> = self.path(a).collect();
        let joint = self.path(b).find(|node| ancestors.contains(node))?;
        Some(self.heights[joint] as f64 / self.heights[self.root] as f64)
    }

    /// A node and its ancestors up to the root.
    fn path(&self, node: usize) -> impl Iterator<Item = usize> + '_ {
        std::iter::successors(Some(node), |&node| (node != self.root).then(|| self.parents[node]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_symmetric_and_zero_on_the_diagonal() {
        let taxonomy = Taxonomy::from_groups(&[0, 0, 1, 1, 2]).unwrap();
        for a in 0..5 {
            assert_eq!(taxonomy.distance(a, a), Some(0.0));
            for b in 0..5 {
                assert_eq!(taxonomy.distance(a, b), taxonomy.distance(b, a));
            }
        }
        assert_eq!(taxonomy.distance(2, 3), Some(0.5));
        assert_eq!(taxonomy.distance(2, 4), Some(1.0));
        assert_eq!(taxonomy.distance(0, 5), None);
    }

    #[test]
    fn each_broken_tree_is_named() {
        let problem = |parents: &[usize]| match Taxonomy::new(parents, 2).unwrap_err() {
            Error::Malformed { index, problem, .. } => (index, problem),
            other => panic!("{other}"),
        };
        assert_eq!(problem(&[2, 9, 2]).0, 1);
        assert_eq!(problem(&[1, 2, 2]).0, 0);
        assert!(problem(&[2, 3, 2, 3]).1.contains("second root"));
        assert!(problem(&[2, 3, 3, 2]).1.contains("no node is the root"));
        assert!(problem(&[2, 4, 3, 2, 4]).1.contains("cycle"));
        assert!(matches!(Taxonomy::new(&[0, 0], 2), Err(Error::Shape { .. })));
        assert!(matches!(Taxonomy::new(&[0], 1), Err(Error::OutOfRange { .. })));
        assert!(Taxonomy::from_groups(&[0, 7]).is_err());
    }
}
