//! Nodes with features, labels and neighbours: where they come from, how they are checked, split and normalised.

use std::path::Path;
use std::sync::Arc;

use candor::graph::{Adjacency, SparseMatrix};
use candor::random::Stream;

use super::files::{self, GraphFiles, Part, Table};
use crate::config::{DataConfig, HeldOut, TrainSize};
use crate::error::{Error, Result};
use crate::recipe::DataSummary;
use crate::training::split::{hold_out, take};

/// The embedded sets.
pub(super) const EMBEDDED: &[&str] = &["sbm", "karate"];

/// Nodes and edges, without a split.
#[derive(Debug, Clone)]
pub struct Nodes {
    /// The edges.
    pub adjacency: Arc<Adjacency>,
    /// The features, each node's divided by the sum of their absolute values.
    pub features: Arc<SparseMatrix>,
    /// Whether each node is its own feature, for want of others.
    pub own_features: bool,
    /// The class of each node; -1 for none.
    pub labels: Vec<i64>,
}

/// A data set, split.
#[derive(Debug, Clone)]
pub struct Split {
    /// The graph.
    pub nodes: Nodes,
    /// Training nodes.
    pub train: Vec<usize>,
    /// Validation nodes.
    pub validation: Vec<usize>,
    /// Test nodes.
    pub test: Vec<usize>,
    /// What all this is.
    pub summary: DataSummary,
}

/// What a set says about itself.
struct Source {
    name: String,
    files: GraphFiles,
    class_names: Option<Vec<String>>,
    default_validation: HeldOut,
    default_test: HeldOut,
}

/// Reads and splits a data set.
///
/// # Errors
/// A path that is neither an embedded set nor a folder of a graph, damaged files, labels that do not fit, a split
/// that leaves a part empty or without a class.
pub fn load(config: &DataConfig) -> Result<Split> {
    let source = read_source(&config.path)?;
    let classes = n_classes(&source.files)?;
    let [train, validation, test] = split(&source, config)?;
    let mut train_classes = vec![0; classes];
    train.iter().for_each(|&node| train_classes[source.files.labels[node] as usize] += 1);
    if let Some(class) = train_classes.iter().position(|count| *count == 0) {
        let problem = format!(
            "class {class} has no training node, so it cannot be learnt; give it one or leave it out"
        );
        return Err(Error::format(&source.files.source, problem));
    }
    let (nodes, notes) = nodes(source.files)?;
    let summary = DataSummary {
        name: source.name,
        classes,
        class_names: source.class_names,
        input: vec![nodes.features.n_columns()],
        train: train.len(),
        validation: validation.len(),
        test: test.len(),
        train_classes,
        notes,
    };
    Ok(Split { nodes, train, validation, test, summary })
}

/// The graph that a finished model is asked about. Labels are kept for the nodes that may judge it: those of the
/// test part, or all of a set without a split.
///
/// # Errors
/// Those of [`load`], but for the split.
pub fn load_for_prediction(path: &str) -> Result<Nodes> {
    let files = read_source(path)?.files;
    let parts = files.parts.clone();
    let (mut nodes, _) = nodes(files)?;
    if let Some(parts) = parts {
        let judged = nodes.labels.iter_mut().zip(parts);
        judged.filter(|(_, part)| *part != Part::Test).for_each(|(label, _)| *label = -1);
    }
    Ok(nodes)
}

fn read_source(path: &str) -> Result<Source> {
    let (files, class_names, default_validation, default_test) = match path {
        "karate" => (karate()?, Some(karate_names()), HeldOut::Count(4), HeldOut::Count(16)),
        "sbm" => (stochastic_blocks()?, None, HeldOut::Count(60), HeldOut::Count(160)),
        folder => {
            let folder = Path::new(folder);
            if !folder.is_dir() {
                let problem = if folder.exists() {
                    "is a file; give the folder that holds edges.csv and labels.csv".to_owned()
                } else {
                    format!("does not exist, and no embedded set has this name ({})", EMBEDDED.join(", "))
                };
                return Err(Error::format(folder, problem));
            }
            (files::read(folder)?, None, HeldOut::Fraction(0.2), HeldOut::Fraction(0.4))
        }
    };
    Ok(Source { name: path.to_owned(), files, class_names, default_validation, default_test })
}

/// The number of classes: one more than the largest label, where every class occurs.
fn n_classes(files: &GraphFiles) -> Result<usize> {
    let bad = |problem: String| Err(Error::format(&files.source, problem));
    let most = files.labels.iter().copied().max().unwrap_or(-1);
    if most < 0 {
        return bad("no node has a label".to_owned());
    }
    if most == 0 {
        return bad("all labels are equal, but at least two classes are needed".to_owned());
    }
    let mut labels: Vec<i64> = files.labels.iter().copied().filter(|label| *label >= 0).collect();
    labels.sort_unstable();
    labels.dedup();
    match labels.iter().zip(0..).find(|(label, class)| *label != class) {
        Some((_, class)) => bad(format!(
            "labels go up to {most}, but class {class} has no node; labels must be consecutive from 0"
        )),
        None => Ok(labels.len()),
    }
}

/// Training, validation and test nodes: the set's own, or drawn with the classes in proportion.
fn split(source: &Source, config: &DataConfig) -> Result<[Vec<usize>; 3]> {
    let GraphFiles { labels, parts, source: path, .. } = &source.files;
    let validation_wish = HeldOut::parse("data.validation", &config.validation)?;
    let test_wish = HeldOut::parse("data.test", &config.test)?;
    let size = TrainSize::parse("data.train_size", &config.train_size)?;
    if let Some(parts) = parts {
        for (key, given, wish) in
            [("data.validation", &config.validation, validation_wish), ("data.test", &config.test, test_wish)]
        {
            if wish != HeldOut::Auto {
                return Err(Error::config(key, given, "the data has a split of its own; leave this out"));
            }
        }
        let of = |wanted: Part| -> Vec<usize> {
            parts.iter().enumerate().filter(|(_, part)| **part == wanted).map(|(node, _)| node).collect()
        };
        let (train, test) = (of(Part::Train), of(Part::Test));
        for (nodes, word) in [(&train, "train"), (&test, "test")] {
            if nodes.is_empty() {
                return Err(Error::format(path, format!("its split has no node in the part {word}")));
            }
        }
        return Ok([take(train, labels, size, config.split_seed)?, of(Part::Validation), test]);
    }
    let or_default = |wish: HeldOut, default| if wish == HeldOut::Auto { default } else { wish };
    let labelled: Vec<usize> = (0..labels.len()).filter(|&node| labels[node] >= 0).collect();
    let wish = or_default(test_wish, source.default_test);
    let (rest, test) = hold_out("data.test", labelled, labels, wish, config.split_seed, "part test")?;
    if test.is_empty() {
        let problem = "the data has no split, so some nodes must be held out";
        return Err(Error::config("data.test", &config.test, problem));
    }
    let wish = or_default(validation_wish, source.default_validation);
    let (rest, validation) =
        hold_out("data.validation", rest, labels, wish, config.split_seed, "part validation")?;
    Ok([take(rest, labels, size, config.split_seed)?, validation, test])
}

/// The graph with normalised features, and what is to be said about it.
fn nodes(files: GraphFiles) -> Result<(Nodes, Vec<String>)> {
    let GraphFiles { adjacency, features, labels, notes, .. } = files;
    let own_features = features.is_none();
    let features = match features {
        Some(features) => normalised(&features)?,
        None => {
            let n = labels.len();
            // Node numbers were read as u32.
            let columns = (0..n).map(|node| node as u32).collect();
            SparseMatrix::new(n, (0..=n).collect(), columns, vec![1.0; n])?
        }
    };
    let nodes = Nodes { adjacency: Arc::new(adjacency), features: Arc::new(features), own_features, labels };
    Ok((nodes, notes))
}

/// Each row divided by the sum of its absolute values; a row of zeros stays.
fn normalised(features: &SparseMatrix) -> Result<SparseMatrix> {
    let mut values = Vec::with_capacity(features.values().len());
    for row in 0..features.n_rows() {
        // The largest value first, so that the sum stays finite.
        let largest = features.row(row).fold(0.0_f64, |most, (_, value)| most.max(value.abs()));
        if largest == 0.0 {
            values.extend(features.row(row).map(|(_, value)| value));
            continue;
        }
        let sum: f64 = features.row(row).map(|(_, value)| (value / largest).abs()).sum();
        values.extend(features.row(row).map(|(_, value)| value / largest / sum));
    }
    Ok(features.with_values(values)?)
}

/// Zachary's karate club: 34 members, the two sides that they took, no features.
fn karate() -> Result<GraphFiles> {
    let table = |name: &str, bytes| Table::parse(Path::new(name), bytes);
    let mut files = files::assemble(
        &table("karate (embedded labels)", include_bytes!("karate/labels.csv"))?,
        &table("karate (embedded edges)", include_bytes!("karate/edges.csv"))?,
        None,
    )?;
    files.notes.clear();
    Ok(files)
}

fn karate_names() -> Vec<String> {
    ["Mr. Hi", "Officer"].map(str::to_owned).to_vec()
}

/// A stochastic block model made from a fixed seed: 400 nodes in four classes, neighbours mostly of the same class.
///
/// Each node has 60 words, each present or not; a class has 15 of its own, which are more frequent in it. Words
/// alone tell the classes badly, words and neighbours well.
fn stochastic_blocks() -> Result<GraphFiles> {
    const NODES: usize = 400;
    const CLASSES: usize = 4;
    const WORDS: usize = 60;
    /// Chances of an edge within a class and between classes: about 4 and 2 neighbours.
    const EDGE: [f64; 2] = [0.04, 0.007];
    /// Chances of a word of the own class and of any other.
    const WORD: [f64; 2] = [0.14, 0.07];
    let class = |node: usize| node % CLASSES;
    let mut edges = Vec::new();
    let mut stream = Stream::new(0, "stochastic blocks, edges", 0, 0);
    for a in 0..NODES as u32 {
        for b in a + 1..NODES as u32 {
            let same = class(a as usize) == class(b as usize);
            if stream.bernoulli(if same { EDGE[0] } else { EDGE[1] }) {
                edges.push((a, b));
            }
        }
    }
    let mut stream = Stream::new(0, "stochastic blocks, words", 0, 0);
    let (mut offsets, mut columns) = (vec![0], Vec::new());
    for node in 0..NODES {
        for word in 0..WORDS {
            if stream.bernoulli(if word % CLASSES == class(node) { WORD[0] } else { WORD[1] }) {
                columns.push(word as u32);
            }
        }
        offsets.push(columns.len());
    }
    let values = vec![1.0; columns.len()];
    Ok(GraphFiles {
        adjacency: Adjacency::undirected(NODES, &edges)?,
        features: Some(SparseMatrix::new(WORDS, offsets, columns, values)?),
        labels: (0..NODES).map(|node| class(node) as i64).collect(),
        parts: None,
        source: "sbm (made from a seed)".into(),
        notes: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(path: &str) -> DataConfig {
        DataConfig { path: path.to_owned(), ..DataConfig::default() }
    }

    fn folder(labels: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("edges.csv"), "src,dst\n0,1\n1,2\n").unwrap();
        std::fs::write(folder.path().join("labels.csv"), labels).unwrap();
        folder
    }

    fn message(labels: &str) -> String {
        load(&config(&folder(labels).path().display().to_string())).unwrap_err().to_string()
    }

    #[test]
    fn the_karate_club_is_as_published() {
        let split = load(&config("karate")).unwrap();
        let graph = &split.nodes.adjacency;
        assert_eq!((graph.n_nodes(), graph.n_edges(), graph.isolated()), (34, 78, 0));
        // The instructor (node 0) has 16 ties and the officer (node 33) 17.
        assert_eq!([0, 33].map(|node| graph.view().neighbours(node).count()), [16, 17]);
        assert_eq!(split.nodes.labels.iter().filter(|label| **label == 0).count(), 17);
        assert_eq!((split.train.len(), split.validation.len(), split.test.len()), (14, 4, 16));
        assert_eq!((split.nodes.features.n_columns(), split.nodes.own_features), (34, true));
    }

    #[test]
    fn the_block_model_joins_like_with_like_and_its_parts_do_not_overlap() {
        let split = load(&config("sbm")).unwrap();
        let (view, labels) = (split.nodes.adjacency.view(), &split.nodes.labels);
        let ends = |same: bool| -> usize {
            let agree = |a: usize, b: usize| (labels[a] == labels[b]) == same;
            (0..400).map(|a| view.neighbours(a).filter(|&b| agree(a, b)).count()).sum()
        };
        let homophily = ends(true) as f64 / (ends(true) + ends(false)) as f64;
        assert!((0.6..0.72).contains(&homophily), "{homophily}");
        let mut all = [split.train.clone(), split.validation, split.test].concat();
        all.sort_unstable();
        assert_eq!(all, (0..400).collect::<Vec<_>>());
        assert_eq!(split.summary.train_classes, [45; 4]);
        let sums = |row: usize| split.nodes.features.row(row).map(|(_, value)| value).sum::<f64>();
        assert!((0..400).all(|row| (sums(row) - 1.0).abs() < 1e-12 || sums(row) == 0.0));
    }

    #[test]
    fn labels_that_cannot_be_learnt_from_are_refused() {
        assert!(message("node,label\n0,-1\n1,\n2,-1\n").contains("no node has a label"));
        assert!(message("node,label\n0,0\n1,0\n2,0\n").contains("all labels are equal"));
        assert!(message("node,label\n0,0\n1,2\n2,0\n").contains("class 1 has no node"));
        let split = "node,label,split\n0,0,train\n1,1,test\n2,0,val\n";
        assert!(message(split).contains("class 1 has no training node"));
        assert!(message("node,label,split\n0,0,train\n1,1,train\n2,0,none\n").contains("part test"));
        assert!(message("node,label,split\n0,0,none\n1,1,val\n2,0,test\n").contains("part train"));
    }

    #[test]
    fn a_split_of_its_own_is_kept_and_cannot_be_changed() {
        let folder = folder("node,label,split\n0,0,train\n1,1,train\n2,0,val\n3,1,test\n4,1,none\n");
        let path = folder.path().display().to_string();
        let split = load(&config(&path)).unwrap();
        assert_eq!((split.train, split.validation, split.test), (vec![0, 1], vec![2], vec![3]));
        let other = DataConfig { test: "2".to_owned(), ..config(&path) };
        assert!(load(&other).unwrap_err().to_string().starts_with("data.test = 2"));
        // Only the test part may judge a model; other nodes are predicted without a label.
        assert_eq!(load_for_prediction(&path).unwrap().labels, [-1, -1, -1, 1, -1]);
        assert!(load(&config("/nowhere")).unwrap_err().to_string().contains("sbm, karate"));
    }

    #[test]
    fn rows_are_divided_by_their_absolute_sum() {
        let rows =
            SparseMatrix::new(2, vec![0, 2, 3, 5], vec![0, 1, 0, 0, 1], vec![3.0, -1.0, 0.0, 1e308, 1e308]);
        assert_eq!(normalised(&rows.unwrap()).unwrap().values(), [0.75, -0.25, 0.0, 0.5, 0.5]);
    }
}
