//! A tree over the classes, and how far apart two classes are in it.

use std::ops::Range;

use crate::error::{Error, MAX_CLASSES, Result, check_range};

/// A tree whose leaves are the classes.
///
/// Nodes `0..n_classes` are the classes, the others are groups; each node names its parent, and the root
/// names itself. The distance of two classes is the height of their lowest common ancestor, divided by the
/// height of the tree: 0 for the same class, 1 where only the root joins them. The depth of a class counts
/// the edges from it to the root.
///
/// # Examples
/// ```
/// use candor::targets::Taxonomy;
/// // Classes 0 and 1 belong to group 3, class 2 to the root 4.
/// let taxonomy = Taxonomy::new(&[3, 3, 4, 4, 4], 3)?;
/// assert_eq!((taxonomy.distance(0, 1), taxonomy.distance(0, 2)), (Some(0.5), Some(1.0)));
/// assert_eq!((taxonomy.depth(0), taxonomy.depth(2)), (Some(2), Some(1)));
/// # Ok::<(), candor::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Taxonomy {
    parents: Vec<usize>,
    heights: Vec<usize>,
    n_classes: usize,
    root: usize,
    /// The classes, those under each node next to each other.
    leaves: Vec<usize>,
    /// The part of `leaves` under each node.
    ranges: Vec<Range<usize>>,
}

impl Taxonomy {
    /// A tree from the parent of each node.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for no class, [`Error::Shape`] for fewer nodes than classes and a root,
    /// [`Error::Malformed`] for a parent that is no group, a cycle, or no or several roots.
    pub fn new(parents: &[usize], n_classes: usize) -> Result<Self> {
        check_n_classes(n_classes)?;
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
        let (leaves, ranges) = leaves(parents, n_classes, root);
        Ok(Self { parents: parents.to_vec(), heights, n_classes, root, leaves, ranges })
    }

    /// All classes under the root: nothing is more alike than anything else.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for no class.
    pub fn flat(n_classes: usize) -> Result<Self> {
        check_n_classes(n_classes)?;
        Self::new(&vec![n_classes; n_classes + 1], n_classes)
    }

    /// The classes halved again and again in their order: neighbours are alike. For ordered classes, and
    /// for lists of classes that are sorted by kind.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for no class.
    pub fn binary(n_classes: usize) -> Result<Self> {
        check_n_classes(n_classes)?;
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

    /// A tree of two levels: `groups[k]` is the group of class k.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for no class, [`Error::Malformed`] for a group index that is not below the
    /// number of classes.
    pub fn from_groups(groups: &[usize]) -> Result<Self> {
        let n_classes = groups.len();
        check_n_classes(n_classes)?;
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

    /// Number of edges from a class to the root; `None` if it is not a class.
    pub fn depth(&self, class: usize) -> Option<usize> {
        (class < self.n_classes).then(|| self.path(class).count() - 1)
    }

    /// The classes under each node on the way from `class` to just below the root, with the node's depth.
    pub(crate) fn ancestors(&self, class: usize) -> impl Iterator<Item = (usize, &[usize])> {
        let depth = self.path(class).count() - 1;
        let below_root = self.path(class).take(depth).enumerate();
        below_root.map(move |(up, node)| (depth - up, &self.leaves[self.ranges[node].clone()]))
    }

    /// A node and its ancestors up to the root.
    fn path(&self, node: usize) -> impl Iterator<Item = usize> + '_ {
        std::iter::successors(Some(node), |&node| (node != self.root).then(|| self.parents[node]))
    }
}

/// Checks that there is a class.
fn check_n_classes(n_classes: usize) -> Result<()> {
    check_range("n_classes", n_classes as f64, 1.0, MAX_CLASSES)
}

/// The classes in an order in which those under each node are neighbours, and each node's range of it.
fn leaves(parents: &[usize], n_classes: usize, root: usize) -> (Vec<usize>, Vec<Range<usize>>) {
    let mut children = vec![Vec::new(); parents.len()];
    for (node, &parent) in parents.iter().enumerate().filter(|(node, _)| *node != root) {
        children[parent].push(node);
    }
    let mut leaves = Vec::with_capacity(n_classes);
    let mut ranges = vec![0..0; parents.len()];
    // Each node is met before and after all that is below it.
    let mut open = vec![(root, false)];
    while let Some((node, after)) = open.pop() {
        if after {
            ranges[node].end = leaves.len();
            continue;
        }
        ranges[node].start = leaves.len();
        if node < n_classes {
            leaves.push(node);
        }
        open.push((node, true));
        open.extend(children[node].iter().rev().map(|&child| (child, false)));
    }
    (leaves, ranges)
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
        assert!(matches!(Taxonomy::new(&[0], 0), Err(Error::OutOfRange { .. })));
        assert!(Taxonomy::from_groups(&[0, 7]).is_err() && Taxonomy::from_groups(&[]).is_err());
        assert!(Taxonomy::flat(0).is_err() && Taxonomy::binary(0).is_err());
    }

    #[test]
    fn the_classes_under_each_ancestor() {
        let ancestors = |taxonomy: &Taxonomy, class| -> Vec<_> {
            taxonomy.ancestors(class).map(|(depth, leaves)| (depth, leaves.to_vec())).collect()
        };
        // Group 4 is listed before its own group 5, and its classes are not neighbours.
        let taxonomy = Taxonomy::new(&[4, 6, 4, 5, 5, 6, 6], 4).unwrap();
        assert_eq!(ancestors(&taxonomy, 2), [(3, vec![2]), (2, vec![0, 2]), (1, vec![3, 0, 2])]);
        assert_eq!(ancestors(&taxonomy, 1), [(1, vec![1])]);
        let five = Taxonomy::binary(5).unwrap();
        assert_eq!(ancestors(&five, 3), [(3, vec![3]), (2, vec![3, 4]), (1, vec![2, 3, 4])]);
    }

    #[test]
    fn the_made_trees_are_as_deep_as_they_must_be() {
        let flat = Taxonomy::flat(4).unwrap();
        assert!((0..4).all(|class| flat.depth(class) == Some(1)) && flat.depth(4).is_none());
        for n in 1..40 {
            let binary = Taxonomy::binary(n).unwrap();
            let deepest = (0..n).filter_map(|class| binary.depth(class)).max();
            assert_eq!(deepest, Some(n.next_power_of_two().ilog2().max(1) as usize), "{n} classes");
        }
    }
}
