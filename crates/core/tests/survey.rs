//! The page that compares the methods with other projects: made from the registries, so that it cannot rot.
//!
//! `docs/methods.md` is what [`page`] gives. What other projects have stands in `survey/peers.tsv`, each line
//! with its source; whatever has no line there is shown as not checked. To write the page anew:
//! `UPDATE_DOCS=1 cargo test -p candor --test tests survey`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};

use candor::losses::{self, Accepts, GradientKind};
use candor::parameters::{Parameter, ParameterKind, describe_defaults};
use candor::schedules;
use candor::targets::{self, Make};

const SUPPORT: &str = include_str!("survey/peers.tsv");

/// The projects, and their heads in the tables.
const PEERS: &[(&str, &str)] = &[
    ("PyTorch", "PyTorch"),
    ("Keras", "Keras"),
    ("optax", "optax"),
    ("timm", "timm"),
    ("Burn", "Burn"),
    ("fairseq", "fairseq"),
    ("OpenNMT", "OpenNMT-py"),
    ("HF", "HF Transformers"),
    ("Ultralytics", "Ultralytics"),
    ("MMPretrain", "MMPretrain"),
    ("Liger", "Liger"),
    ("Megatron", "Megatron-LM"),
    ("torch-uncertainty", "TorchUncertainty"),
    ("research", "authors' repositories"),
];

/// What Candor says to each property of the last table.
const OWN: &[(&str, &str)] = &[
    ("default strength", "0 in a loss, 0.1 in a rule"),
    ("strength out of range", "refused, naming argument, value and range"),
    ("ignored rows", "labels and soft rows; a mean over nothing is an error"),
    ("class weights", "never move the optimum; PyTorch's by name"),
    ("row weights", "yes"),
    ("masked class (-inf)", "gets no mass; a label on it is an error"),
    ("un-smoothed NLL beside", "yes, with accuracy, confidence and entropy"),
    ("a mean is divided by", "weights, rows, all rows, or a count that is given"),
];

/// Methods that were looked at and are not here, and why.
const ABSENT: &[(&str, &str)] = &[
    (
        "NACL, the neighbour-aware logit penalty (Murugesan et al. 2023)",
        "its published formula was not verified against a source, and it is not written from memory. `spatial` \
         smooths the targets of a segmentation by their neighbours",
    ),
    (
        "the optimisation of structural label smoothing (Li, Dasarathy & Berisha 2020)",
        "only the abstract was verified: strengths by cluster from an estimate of the Bayes error. \
         `per_class` takes the strengths; how to choose them is left to the caller",
    ),
    (
        "the truncated generalised cross-entropy (Zhang & Sabuncu 2018)",
        "it prunes rows between epochs, which is a choice of data and not a loss of logits",
    ),
    (
        "the feature maps that vote in Zipf label smoothing (Liang et al. 2022)",
        "a loss sees logits; the votes are an input of `zipf` with `ranks = votes`",
    ),
];

/// What stands where nobody looked.
const UNKNOWN: &str = "not checked";

/// (kind, method, project) to what it has and where that was seen.
type Support = BTreeMap<(&'static str, &'static str, &'static str), (&'static str, &'static str)>;

fn support() -> Support {
    let mut all = Support::new();
    for line in SUPPORT.lines().filter(|line| !line.starts_with('#')) {
        let [kind, method, peer, has, source] = line.split('\t').collect::<Vec<_>>()[..] else {
            panic!("five fields are needed: {line:?}")
        };
        assert!(!source.trim().is_empty() && !has.trim().is_empty(), "a line needs a source: {line:?}");
        assert!(all.insert((kind, method, peer), (has, source)).is_none(), "twice: {line:?}");
    }
    all
}

/// One method of a registry.
struct Method {
    name: &'static str,
    summary: &'static str,
    formula: &'static str,
    parameters: &'static [Parameter],
    paper: &'static str,
    /// What else is to be known.
    notes: String,
    /// Whether its rows are distributions, which a project may take as soft rows.
    softmax: bool,
}

fn methods(kind: &str) -> Vec<Method> {
    match kind {
        "target" => targets::ALL
            .iter()
            .map(|entry| {
                let notes = match entry.make {
                    Make::Rule(_) => "labels".to_owned(),
                    Make::Binary(_) => "one sigmoid a class".to_owned(),
                    Make::Data(data) => data.to_owned(),
                    _ => panic!("a new way to make a rule needs its words here"),
                };
                let i = entry.info;
                let softmax = !matches!(entry.make, Make::Binary(_));
                Method {
                    name: i.name,
                    summary: i.summary,
                    formula: i.formula,
                    parameters: i.parameters,
                    paper: i.paper,
                    notes,
                    softmax,
                }
            })
            .collect(),
        "loss" => losses::ALL
            .iter()
            .map(|entry| {
                let i = entry.info;
                let mut notes = match i.accepts {
                    Accepts::Targets => "any targets".to_owned(),
                    Accepts::Labels => "labels only".to_owned(),
                };
                if !i.separable {
                    notes.push_str("; a term of the whole batch");
                }
                if i.gradient == GradientKind::StopGradient {
                    notes.push_str("; part of it is held fixed in the gradient");
                }
                Method {
                    name: i.name,
                    summary: i.summary,
                    formula: i.formula,
                    parameters: i.parameters,
                    paper: i.paper,
                    notes,
                    softmax: false,
                }
            })
            .collect(),
        _ => schedules::ALL
            .iter()
            .map(|entry| {
                let i = entry.info;
                Method {
                    name: i.name,
                    summary: i.summary,
                    formula: i.formula,
                    parameters: i.parameters,
                    paper: i.paper,
                    notes: String::new(),
                    softmax: false,
                }
            })
            .collect(),
    }
}

/// Text that stands in a cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "&lt;").replace('*', "\\*").replace('_', "\\_")
}

fn row(page: &mut String, cells: impl IntoIterator<Item = String>) {
    let cells: Vec<String> = cells.into_iter().collect();
    writeln!(page, "| {} |", cells.join(" | ")).unwrap();
}

fn head(page: &mut String, cells: impl IntoIterator<Item = String>) {
    let cells: Vec<String> = cells.into_iter().collect();
    let rule = cells.iter().map(|_| "---".to_owned()).collect::<Vec<_>>();
    row(page, cells);
    row(page, rule);
}

/// The words that a parameter of choices takes besides its default.
fn words(parameters: &[Parameter]) -> String {
    let mut all = Vec::new();
    for parameter in parameters {
        if let ParameterKind::Choice { default, options } = parameter.kind {
            let others: Vec<&str> = options.iter().copied().filter(|word| *word != default).collect();
            all.push(format!("{} = {}", parameter.name, others.join(", ")));
        }
    }
    if all.is_empty() { String::new() } else { format!("; also {}", all.join("; ")) }
}

/// The whole page, and the lines of `peers.tsv` that it used.
fn page() -> (String, BTreeSet<(&'static str, &'static str, &'static str)>) {
    let support = support();
    let mut used = BTreeSet::new();
    let mut page = String::new();
    let p = &mut page;
    p.push_str(
        "# Methods, and who else has them\n\n\
         Made from the registries and from `crates/core/tests/survey/peers.tsv` by\n\
         `UPDATE_DOCS=1 cargo test -p candor --test tests survey`; a test fails when the two differ.\n\n\
         In the tables of other projects, a method is theirs if the project itself has it, by this or another name.\n\
         *As soft rows* means that the project takes any target row, and its user computes it.\n\
         *Not checked* is neither a yes nor a no.\n\
         Versions and sources stand below each table.\n",
    );
    for (kind, title) in [("target", "Targets"), ("loss", "Losses"), ("schedule", "Schedules")] {
        let all = methods(kind);
        write!(p, "\n## {title}\n\n{} are registered.\n\n", all.len()).unwrap();
        let mut columns = vec!["name", "what it is for", "formula", "defaults", "published"];
        if kind != "schedule" {
            columns.push(if kind == "loss" { "takes" } else { "made from" });
        }
        head(p, columns.iter().map(|column| (*column).to_owned()));
        for method in &all {
            let mut cells = vec![
                format!("`{}`", method.name),
                cell(method.summary),
                cell(method.formula),
                cell(&format!("{}{}", describe_defaults(method.parameters), words(method.parameters))),
                cell(method.paper),
            ];
            if kind != "schedule" {
                cells.push(cell(&method.notes));
            }
            row(p, cells);
        }
        write!(p, "\n### {title} elsewhere\n\n").unwrap();
        head(p, ["name".to_owned()].into_iter().chain(PEERS.iter().map(|(_, name)| (*name).to_owned())));
        let mut sources: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for method in &all {
            let mut cells = vec![format!("`{}`", method.name)];
            for (peer, _) in PEERS {
                let own = (kind, method.name, *peer);
                let any = (kind, "*", *peer);
                let key = if support.contains_key(&own) || !method.softmax { own } else { any };
                let found = support.get_key_value(&key);
                cells.push(found.map_or(UNKNOWN.to_owned(), |(key, (has, source))| {
                    used.insert(*key);
                    sources.entry(*peer).or_default().insert(source);
                    cell(has)
                }));
            }
            row(p, cells);
        }
        sources_of(p, &sources);
    }
    p.push_str("\n## The smoothed cross-entropy of each project\n\n");
    head(p, ["", "Candor"].map(str::to_owned).into_iter().chain(PEERS.iter().map(|(_, n)| (*n).to_owned())));
    let mut sources: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (property, own) in OWN {
        let mut cells = vec![cell(property), cell(own)];
        for (peer, _) in PEERS {
            let found = support.get_key_value(&("property", *property, *peer));
            cells.push(found.map_or(UNKNOWN.to_owned(), |(key, (has, source))| {
                used.insert(*key);
                sources.entry(*peer).or_default().insert(source);
                cell(has)
            }));
        }
        row(p, cells);
    }
    sources_of(p, &sources);
    p.push_str("\n## Not here\n\n");
    for (method, why) in ABSENT {
        writeln!(p, "- {method}: {why}.").unwrap();
    }
    (page, used)
}

fn sources_of(page: &mut String, sources: &BTreeMap<&str, BTreeSet<&str>>) {
    page.push_str("\nSeen in:\n\n");
    for (peer, name) in PEERS {
        if let Some(sources) = sources.get(peer) {
            let all: Vec<&str> = sources.iter().copied().collect();
            writeln!(page, "- {name}: {}", cell(&all.join("; "))).unwrap();
        }
    }
}

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/methods.md")
}

#[test]
fn the_page_of_methods_is_what_the_registries_give() {
    let (want, _) = page();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path(), &want).unwrap();
    }
    let have = std::fs::read_to_string(path()).unwrap_or_default();
    let line = have.lines().zip(want.lines()).find(|(a, b)| a != b);
    assert!(
        have == want,
        "docs/methods.md is not what the registries give, first at {line:?}; write it anew with\n    \
         UPDATE_DOCS=1 cargo test -p candor --test tests survey"
    );
    for entry in losses::ALL {
        assert!(have.contains(&format!("\n| `{}` |", entry.info.name)), "{} is missing", entry.info.name);
    }
}

#[test]
fn every_line_about_another_project_is_shown() {
    let (_, used) = page();
    let support = support();
    assert!(support.len() > 150, "{} lines only", support.len());
    let unused: Vec<_> = support.keys().filter(|key| !used.contains(*key)).collect();
    assert!(unused.is_empty(), "no method, property or project of these names: {unused:?}");
}
