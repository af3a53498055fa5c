//! A folder of a graph as tables of text: edges, labels with an optional split, and optional features.
//!
//! `edges.csv` (`src,dst`), `labels.csv` (`node,label`, optionally `split`), and either `features_coo.csv`
//! (`node,feature,value`) or `features.csv` (`node` and one column a feature); each plain or gzip. Columns are found
//! by name, further ones are not read. Nodes are numbered from 0; a label of -1 or nothing is none.

use std::path::{Path, PathBuf};

use candor::graph::{Adjacency, SparseMatrix};

use crate::error::{Error, Result};
use crate::files;

/// Largest number of features that is taken; beyond it, an error in the numbers.
const MOST_FEATURES: usize = 1 << 24;

/// Which part of the data a node belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Train,
    Validation,
    Test,
    /// Takes part in propagation only.
    None,
}

/// A graph as its files say.
#[derive(Debug)]
pub(super) struct GraphFiles {
    pub adjacency: Adjacency,
    /// Features of the nodes as they stand in the file; `None` without a file.
    pub features: Option<SparseMatrix>,
    /// The class of each node; -1 for none.
    pub labels: Vec<i64>,
    /// The part of each node, if the files have a split.
    pub parts: Option<Vec<Part>>,
    /// Where the labels came from, for messages.
    pub source: PathBuf,
    /// What was left out or is out of the ordinary, counted.
    pub notes: Vec<String>,
}

/// Whether a folder holds the edges of a graph.
pub(super) fn is_graph(folder: &Path) -> bool {
    ["edges.csv", "edges.csv.gz"].iter().any(|name| folder.join(name).is_file())
}

/// Reads a folder.
///
/// # Errors
/// Missing files, and the first line that cannot be understood.
pub(super) fn read(folder: &Path) -> Result<GraphFiles> {
    let found = |name: &str| find(folder, name);
    let missing = |name: &str| {
        let problem = format!("holds no {name} or {name}.gz; a graph needs edges.csv and labels.csv");
        Error::format(folder, problem)
    };
    let labels_path = found("labels.csv")?.ok_or_else(|| missing("labels.csv"))?;
    let edges_path = found("edges.csv")?.ok_or_else(|| missing("edges.csv"))?;
    let labels = Table::read(&labels_path)?;
    let edges = Table::read(&edges_path)?;
    let features = match (found("features_coo.csv")?, found("features.csv")?) {
        (Some(_), Some(_)) => {
            return Err(Error::format(folder, "holds features_coo.csv and features.csv; keep one"));
        }
        (Some(path), None) => Some((Table::read(&path)?, true)),
        (None, Some(path)) => Some((Table::read(&path)?, false)),
        (None, None) => None,
    };
    assemble(&labels, &edges, features.as_ref().map(|(table, sparse)| (table, *sparse)))
}

/// Puts the tables of a graph together.
pub(super) fn assemble(
    labels: &Table,
    edges: &Table,
    features: Option<(&Table, bool)>,
) -> Result<GraphFiles> {
    let (node_labels, parts) = read_labels(labels)?;
    let n_nodes = node_labels.len();
    let mut notes = Vec::new();
    let adjacency = read_edges(edges, n_nodes, &mut notes)?;
    let features = match features {
        Some((table, true)) => Some(read_entries(table, n_nodes)?),
        Some((table, false)) => Some(read_rows(table, n_nodes)?),
        None => {
            notes.push("there is no file of features: each node is its own feature".to_owned());
            None
        }
    };
    let mut note = |count: usize, one: &str, many: &str| {
        if count > 0 {
            notes.push(if count == 1 { format!("1 {one}") } else { format!("{count} {many}") });
        }
    };
    note(
        adjacency.repeated(),
        "edge is listed again or in both directions; it counts once",
        "edges are listed again or in both directions; each counts once",
    );
    note(
        adjacency.loops(),
        "edge joins a node to itself; it is left out",
        "edges join a node to itself; they are left out",
    );
    note(
        adjacency.isolated(),
        "node has no edge; it sees no neighbour",
        "nodes have no edge; they see no neighbour",
    );
    note(
        node_labels.iter().filter(|label| **label < 0).count(),
        "node has no label; it takes part in propagation only",
        "nodes have no label; they take part in propagation only",
    );
    if let Some(features) = &features {
        let empty = |row: &usize| features.row(*row).all(|(_, value)| value == 0.0);
        note(
            (0..n_nodes).filter(empty).count(),
            "node has no feature other than 0",
            "nodes have no feature other than 0",
        );
    }
    Ok(GraphFiles { adjacency, features, labels: node_labels, parts, source: labels.path.clone(), notes })
}

/// The file of this name, plain or compressed.
fn find(folder: &Path, name: &str) -> Result<Option<PathBuf>> {
    let candidates = [folder.join(name), folder.join(format!("{name}.gz"))];
    let mut found: Vec<PathBuf> = candidates.into_iter().filter(|path| path.is_file()).collect();
    if found.len() > 1 {
        return Err(Error::format(folder, format!("holds {name} and {name}.gz; keep one")));
    }
    Ok(found.pop())
}

/// A table of text with a heading.
#[derive(Debug)]
pub(super) struct Table {
    path: PathBuf,
    headings: Vec<String>,
    /// Line of the file and fields.
    rows: Vec<(u64, csv::StringRecord)>,
}

impl Table {
    fn read(path: &Path) -> Result<Self> {
        Self::parse(path, &files::read(path)?)
    }

    /// A table from its bytes, which may be compressed.
    pub(super) fn parse(path: &Path, bytes: &[u8]) -> Result<Self> {
        let bytes = files::unpacked(path, bytes)?;
        let mut reader =
            csv::ReaderBuilder::new().trim(csv::Trim::All).flexible(true).from_reader(&bytes[..]);
        let broken = |error: csv::Error| Error::format(path, format!("not readable as CSV: {error}"));
        let headings: Vec<String> = reader.headers().map_err(broken)?.iter().map(str::to_owned).collect();
        let mut rows = Vec::new();
        for record in reader.records() {
            let record = record.map_err(broken)?;
            let line = record.position().map_or(0, csv::Position::line);
            if record.len() != headings.len() {
                let problem = format!(
                    "line {line} has {} fields, but the heading has {}",
                    record.len(),
                    headings.len()
                );
                return Err(Error::format(path, problem));
            }
            rows.push((line, record));
        }
        Ok(Self { path: path.to_owned(), headings, rows })
    }

    fn column(&self, name: &str) -> Option<usize> {
        self.headings.iter().position(|heading| heading == name)
    }

    /// The place of a column that must be there.
    fn needed(&self, name: &str) -> Result<usize> {
        self.column(name).ok_or_else(|| {
            let found = self.headings.join(", ");
            Error::format(&self.path, format!("has the columns {found}, but the column {name} is needed"))
        })
    }

    fn at(&self, line: u64, problem: impl std::fmt::Display) -> Error {
        Error::format(&self.path, format!("line {line}: {problem}"))
    }

    /// A whole number from 0 in a field.
    fn index(&self, line: u64, row: &csv::StringRecord, column: usize) -> Result<u32> {
        let text = row.get(column).unwrap_or_default();
        text.parse().map_err(|_| {
            let name = self.headings.get(column).map_or("", String::as_str);
            self.at(line, format!("{name} is {text:?}, but must be a whole number from 0 to {}", u32::MAX))
        })
    }

    /// A node in a field.
    fn node(&self, line: u64, row: &csv::StringRecord, column: usize, n_nodes: usize) -> Result<u32> {
        let node = self.index(line, row, column)?;
        if node as usize >= n_nodes {
            let problem =
                format!("node {node} has no row in the labels, which have the nodes 0..={}", n_nodes - 1);
            return Err(self.at(line, problem));
        }
        Ok(node)
    }

    /// A finite number in a field.
    fn number(&self, line: u64, row: &csv::StringRecord, column: usize) -> Result<f64> {
        let text = row.get(column).unwrap_or_default();
        text.parse().ok().filter(|value: &f64| value.is_finite()).ok_or_else(|| {
            let name = self.headings.get(column).map_or("", String::as_str);
            self.at(line, format!("{name} is {text:?}, but must be a finite number"))
        })
    }
}

/// The class and the part of each node.
fn read_labels(table: &Table) -> Result<(Vec<i64>, Option<Vec<Part>>)> {
    let (node_column, label_column) = (table.needed("node")?, table.needed("label")?);
    let split_column = table.column("split");
    let n_nodes = table.rows.len();
    if n_nodes == 0 {
        return Err(Error::format(&table.path, "has no row, so the graph has no node"));
    }
    let mut labels: Vec<Option<i64>> = vec![None; n_nodes];
    let mut parts = vec![Part::None; n_nodes];
    for (line, row) in &table.rows {
        let node = table.index(*line, row, node_column)? as usize;
        let Some(slot) = labels.get_mut(node) else {
            let problem = format!(
                "node {node} is out of range: there are {n_nodes} rows, so the nodes must be 0..={}",
                n_nodes - 1
            );
            return Err(table.at(*line, problem));
        };
        if slot.is_some() {
            return Err(table.at(*line, format!("node {node} has a row already")));
        }
        let text = row.get(label_column).unwrap_or_default();
        let label = match text {
            "" => -1,
            text => text.parse().ok().filter(|label| (-1..=i64::from(i32::MAX)).contains(label)).ok_or_else(
                || {
                    table.at(
                        *line,
                        format!("label is {text:?}, but must be a class index from 0, or -1 for none"),
                    )
                },
            )?,
        };
        *slot = Some(label);
        let Some(column) = split_column else { continue };
        let word = row.get(column).unwrap_or_default();
        let part = match word {
            "train" => Part::Train,
            "val" | "valid" | "validation" => Part::Validation,
            "test" => Part::Test,
            "none" | "" => Part::None,
            _ => {
                let problem = format!("split is {word:?}, but must be train, val, test or none");
                return Err(table.at(*line, problem));
            }
        };
        if part != Part::None && label < 0 {
            return Err(table.at(*line, format!("node {node} is in the part {word:?} but has no label")));
        }
        parts[node] = part;
    }
    // Every row has a node of its own in range, so every node has a row.
    let labels = labels.into_iter().map(|label| label.unwrap_or(-1)).collect();
    Ok((labels, split_column.map(|_| parts)))
}

fn read_edges(table: &Table, n_nodes: usize, notes: &mut Vec<String>) -> Result<Adjacency> {
    let (from, to) = (table.needed("src")?, table.needed("dst")?);
    if table.column("weight").is_some() {
        notes.push("the weights of the edges are not used".to_owned());
    }
    let edges: Vec<(u32, u32)> = table
        .rows
        .iter()
        .map(|(line, row)| Ok((table.node(*line, row, from, n_nodes)?, table.node(*line, row, to, n_nodes)?)))
        .collect::<Result<_>>()?;
    Ok(Adjacency::undirected(n_nodes, &edges)?)
}

/// Features as one entry a line.
fn read_entries(table: &Table, n_nodes: usize) -> Result<SparseMatrix> {
    let columns = [table.needed("node")?, table.needed("feature")?, table.needed("value")?];
    let mut entries = Vec::with_capacity(table.rows.len());
    for (line, row) in &table.rows {
        let node = table.node(*line, row, columns[0], n_nodes)?;
        let feature = table.index(*line, row, columns[1])?;
        if feature as usize >= MOST_FEATURES {
            let problem = format!("feature {feature} is beyond the {MOST_FEATURES} that are taken");
            return Err(table.at(*line, problem));
        }
        entries.push((node, feature, *line, table.number(*line, row, columns[2])?));
    }
    entries.sort_unstable_by_key(|&(node, feature, line, _)| (node, feature, line));
    let same = |pair: &&[(u32, u32, u64, f64)]| (pair[0].0, pair[0].1) == (pair[1].0, pair[1].1);
    if let Some(pair) = entries.windows(2).find(same) {
        let (node, feature, line, _) = pair[1];
        let problem = format!("node {node} has feature {feature} already, in line {}", pair[0].2);
        return Err(table.at(line, problem));
    }
    let n_features = entries.iter().map(|entry| entry.1 as usize + 1).max().unwrap_or(0);
    if n_features == 0 {
        return Err(Error::format(&table.path, "has no row, so the nodes have no feature"));
    }
    let mut offsets = vec![0; n_nodes + 1];
    entries.iter().for_each(|entry| offsets[entry.0 as usize + 1] += 1);
    for node in 0..n_nodes {
        offsets[node + 1] += offsets[node];
    }
    let (columns, values) = entries.into_iter().map(|entry| (entry.1, entry.3)).unzip();
    Ok(SparseMatrix::new(n_features, offsets, columns, values)?)
}

/// Features as one node a line; values of 0 are not kept.
fn read_rows(table: &Table, n_nodes: usize) -> Result<SparseMatrix> {
    let node_column = table.needed("node")?;
    let feature_columns: Vec<usize> = (0..table.headings.len()).filter(|&i| i != node_column).collect();
    if feature_columns.is_empty() {
        return Err(Error::format(&table.path, "has no column but the node, so the nodes have no feature"));
    }
    let mut lines: Vec<Option<usize>> = vec![None; n_nodes];
    for (index, (line, row)) in table.rows.iter().enumerate() {
        let node = table.node(*line, row, node_column, n_nodes)?;
        if lines[node as usize].replace(index).is_some() {
            return Err(table.at(*line, format!("node {node} has a row already")));
        }
    }
    let (mut offsets, mut columns, mut values) = (vec![0], Vec::new(), Vec::new());
    for (node, index) in lines.into_iter().enumerate() {
        let Some((line, row)) = index.and_then(|index| table.rows.get(index)) else {
            return Err(Error::format(&table.path, format!("node {node} has no row")));
        };
        for (feature, &column) in feature_columns.iter().enumerate() {
            let value = table.number(*line, row, column)?;
            if value != 0.0 {
                columns.push(feature as u32);
                values.push(value);
            }
        }
        offsets.push(columns.len());
    }
    Ok(SparseMatrix::new(feature_columns.len(), offsets, columns, values)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes files, each `name: content`.
    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in files {
            std::fs::write(folder.path().join(name), content).unwrap();
        }
        folder
    }

    const EDGES: (&str, &str) = ("edges.csv", "src,dst\n0,1\n1,2\n");
    const LABELS: (&str, &str) = ("labels.csv", "node,label\n0,0\n1,1\n2,0\n");

    fn message(files: &[(&str, &str)]) -> String {
        read(folder(files).path()).unwrap_err().to_string()
    }

    #[test]
    fn columns_are_found_by_name_and_oddities_are_counted() {
        let files = folder(&[
            ("edges.csv", "weight,dst,src\n1,1,0\n2,0,1\n1,2,2\n1,0,1\n"),
            ("labels.csv", "split,node,who,label\nval,2,a,0\ntrain,0,b,1\nnone,1,c,\ntest,4,d,0\n,3,e,-1\n"),
            ("features_coo.csv", "node,feature,value\n1,2,0.5\n0,0,-3\n2,1,0\n"),
        ]);
        let graph = read(files.path()).unwrap();
        assert_eq!(graph.labels, [1, -1, 0, -1, 0]);
        let parts = graph.parts.unwrap();
        assert_eq!(parts, [Part::Train, Part::None, Part::Validation, Part::None, Part::Test]);
        let features = graph.features.unwrap();
        assert_eq!((features.n_rows(), features.n_columns()), (5, 3));
        assert_eq!(features.row(1).collect::<Vec<_>>(), [(2, 0.5)]);
        assert_eq!(
            graph.notes,
            [
                "the weights of the edges are not used",
                "2 edges are listed again or in both directions; each counts once",
                "1 edge joins a node to itself; it is left out",
                "3 nodes have no edge; they see no neighbour",
                "2 nodes have no label; they take part in propagation only",
                "3 nodes have no feature other than 0",
            ]
        );
    }

    #[test]
    fn features_may_stand_in_rows_or_be_left_out() {
        let files = folder(&[EDGES, LABELS, ("features.csv", "a,node,b\n1,1,0\n0,0,0\n2,2,3\n")]);
        let features = read(files.path()).unwrap().features.unwrap();
        assert_eq!(features.row(2).collect::<Vec<_>>(), [(0, 2.0), (1, 3.0)]);
        assert_eq!(features.row(0).count(), 0);
        let none = read(folder(&[EDGES, LABELS]).path()).unwrap();
        assert!(none.features.is_none() && none.notes[0].contains("own feature"));
    }

    #[test]
    fn every_damage_names_file_line_and_what_is_accepted() {
        for (files, wanted) in [
            (vec![EDGES], "holds no labels.csv"),
            (vec![LABELS], "holds no edges.csv"),
            (vec![EDGES, ("labels.csv", "node,label\n")], "no node"),
            (vec![EDGES, ("labels.csv", "node,class\n0,1\n")], "node, class, but the column label"),
            (vec![EDGES, ("labels.csv", "node,label\n0,0\n2,1\n")], "line 3: node 2 is out of range"),
            (vec![EDGES, ("labels.csv", "node,label\n0,0\n0,1\n")], "line 3: node 0 has a row already"),
            (vec![EDGES, ("labels.csv", "node,label\n0,cat\n")], "line 2: label is \"cat\""),
            (vec![EDGES, ("labels.csv", "node,label\n0,-2\n")], "label is \"-2\""),
            (vec![EDGES, ("labels.csv", "node,label,split\n0,0,dev\n")], "split is \"dev\""),
            (vec![EDGES, ("labels.csv", "node,label,split\n0,-1,test\n")], "\"test\" but has no label"),
            (vec![LABELS, ("edges.csv", "src,dst\n0,3\n")], "line 2: node 3 has no row in the labels"),
            (vec![LABELS, ("edges.csv", "src,dst\n0,-1\n")], "dst is \"-1\""),
            (vec![LABELS, ("edges.csv", "src,dst\n0,1\n1\n")], "line 3 has 1 fields, but the heading has 2"),
            (vec![EDGES, LABELS, ("features.csv", "node,a\n0,1\n1,2,3\n")], "line 3 has 3 fields"),
            (vec![EDGES, LABELS, ("features.csv", "node,a\n0,1\n1,2\n")], "node 2 has no row"),
            (vec![EDGES, LABELS, ("features.csv", "node,a\n0,1\n0,2\n")], "node 0 has a row already"),
            (vec![EDGES, LABELS, ("features.csv", "node,a\n0,nan\n1,1\n2,1\n")], "line 2: a is \"nan\""),
            (vec![EDGES, LABELS, ("features.csv", "node\n0\n1\n2\n")], "no feature"),
            (vec![EDGES, LABELS, ("features_coo.csv", "node,feature,value\n0,0,inf\n")], "value is \"inf\""),
            (vec![EDGES, LABELS, ("features_coo.csv", "node,feature,value\n9,0,1\n")], "node 9 has no row"),
            (vec![EDGES, LABELS, ("features_coo.csv", "node,feature,value\n")], "no feature"),
            (
                vec![EDGES, LABELS, ("features_coo.csv", "node,feature,value\n0,4,1\n1,0,1\n0,4,2\n")],
                "line 4: node 0 has feature 4 already, in line 2",
            ),
            (
                vec![EDGES, LABELS, ("features_coo.csv", "node,feature,value\n0,4000000000,1\n")],
                "feature 4000000000 is beyond",
            ),
            (vec![EDGES, LABELS, ("edges.csv.gz", "")], "keep one"),
        ] {
            let message = message(&files);
            assert!(message.contains(wanted), "{wanted}: {message}");
        }
    }
}
