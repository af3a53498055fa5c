//! Which columns of a file are read, and where they stand.

use std::path::Path;

use super::{ClassNames, InputKind};
use crate::error::{Error, Result};

/// Names of the columns; those left out have their usual names.
///
/// | holds | usual name |
/// |---|---|
/// | class index, or name | `labels` or `label` |
/// | one score a class | a list column `logits` or `probs`, or columns `logit_0`, `logit_1`, … or `prob_0`, … |
/// | probability of class 1 | `score` |
/// | probability of the predicted class, and whether it was right | `confidence` with `correct` |
///
/// A file with several of them is read as the first of this order, unless `kind` says which.
#[derive(Debug, Clone, Default)]
pub struct Fields {
    /// What to read where a file has several kinds of scores.
    pub kind: Option<InputKind>,
    /// The column of scores: a list, or the beginning of the columns of single classes.
    pub scores: Option<String>,
    /// The column of labels.
    pub labels: Option<String>,
    /// The column that says whether a prediction was right, beside `confidence`.
    pub correct: Option<String>,
    /// The column of row weights; without it, rows count alike.
    pub weights: Option<String>,
    /// The column that divides the rows into groups.
    pub group: Option<String>,
    /// Names of the classes.
    pub class_names: Option<ClassNames>,
}

/// Where the columns of [`Fields`] stand among the columns of a file.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Layout {
    pub(crate) kind: InputKind,
    pub(crate) scores: Vec<usize>,
    /// Whether each class has a column of its own.
    pub(crate) by_class: bool,
    /// The labels, or the column `correct`.
    pub(crate) labels: usize,
    pub(crate) weights: Option<usize>,
    pub(crate) group: Option<usize>,
}

/// The kinds in the order in which they are looked for.
const KINDS: [InputKind; 4] = [InputKind::Logits, InputKind::Probs, InputKind::Binary, InputKind::Confidence];

/// The usual name of a kind's column.
fn usual(kind: InputKind) -> &'static str {
    match kind {
        InputKind::Binary => "score",
        other => other.name(),
    }
}

impl Layout {
    /// Finds the columns by their names.
    ///
    /// # Errors
    /// [`Error::Format`] naming what is missing and what is there.
    pub(crate) fn find(path: &Path, names: &[&str], fields: &Fields) -> Result<Self> {
        let index = |name: &str| names.iter().position(|found| *found == name);
        let needed = |name: &str, what: &str| {
            index(name).ok_or_else(|| {
                Error::format(path, format!("has no column {name:?} for {what}{}", has(names, name)))
            })
        };
        let kinds: &[InputKind] = fields.kind.as_ref().map_or(&KINDS, std::slice::from_ref);
        let found = kinds.iter().find_map(|&kind| {
            let (scores, by_class) = scores(kind, fields.scores.as_deref(), &index)?;
            Some((kind, scores, by_class))
        });
        let Some((kind, scores, by_class)) = found else {
            let wanted = match (&fields.scores, fields.kind) {
                (Some(name), _) => format!("has no column {name:?} of scores, nor {name}_0, {name}_1, …"),
                (None, Some(kind)) => {
                    let name = usual(kind);
                    match kind.scores() {
                        Some(_) => {
                            let stem = name.trim_end_matches('s');
                            format!("needs a list column \"{name}\", or one column a class ({stem}_0, {stem}_1, …)")
                        }
                        None => format!("needs a column \"{name}\""),
                    }
                }
                (None, None) => "needs a list column \"logits\" or \"probs\", or one column a class (logit_0, logit_1, …), or \"score\", or \"confidence\" with \"correct\"".to_owned(),
            };
            return Err(Error::format(
                path,
                wanted + &has(names, fields.scores.as_deref().unwrap_or("logits")),
            ));
        };
        let labels = if kind == InputKind::Confidence {
            needed(fields.correct.as_deref().unwrap_or("correct"), "whether the prediction was right")?
        } else {
            match &fields.labels {
                Some(name) => needed(name, "the labels")?,
                None => index("labels")
                    .or_else(|| index("label"))
                    .map_or_else(|| needed("labels", "the labels"), Ok)?,
            }
        };
        let optional =
            |name: &Option<String>, what| name.as_deref().map(|name| needed(name, what)).transpose();
        Ok(Self {
            kind,
            scores,
            by_class,
            labels,
            weights: optional(&fields.weights, "the weights")?,
            group: optional(&fields.group, "the groups")?,
        })
    }

    /// The columns that are needed, in ascending order and each once.
    pub(crate) fn columns(&self) -> Vec<usize> {
        let mut columns = self.scores.clone();
        columns.push(self.labels);
        columns.extend(self.weights);
        columns.extend(self.group);
        columns.sort_unstable();
        columns.dedup();
        columns
    }

    /// The same layout among the needed columns alone.
    pub(crate) fn projected(&self) -> Self {
        let columns = self.columns();
        // Every column of the layout is among them.
        let place = |column: usize| columns.binary_search(&column).unwrap_or_default();
        Self {
            kind: self.kind,
            scores: self.scores.iter().map(|&column| place(column)).collect(),
            by_class: self.by_class,
            labels: place(self.labels),
            weights: self.weights.map(place),
            group: self.group.map(place),
        }
    }

    /// Number of classes, where the columns alone tell it.
    pub(crate) fn width(&self) -> Option<usize> {
        (self.by_class || self.kind.scores().is_none()).then_some(self.scores.len())
    }
}

/// The columns of the scores, and whether each is one class.
fn scores(
    kind: InputKind,
    given: Option<&str>,
    index: &impl Fn(&str) -> Option<usize>,
) -> Option<(Vec<usize>, bool)> {
    let name = given.unwrap_or(usual(kind));
    if let Some(column) = index(name) {
        return Some((vec![column], false));
    }
    kind.scores()?;
    let stem = if given.is_some() { name } else { name.trim_end_matches('s') };
    let separated: Vec<usize> = (0..).map_while(|class| index(&format!("{stem}_{class}"))).collect();
    let columns = if separated.is_empty() && given.is_some() {
        (0..).map_while(|class| index(&format!("{stem}{class}"))).collect()
    } else {
        separated
    };
    (!columns.is_empty()).then_some((columns, true))
}

/// The names that a file has, the nearest to the wanted one first among those suggested.
fn has(names: &[&str], wanted: &str) -> String {
    const MOST: usize = 20;
    if names.is_empty() {
        return "; it has no columns".to_owned();
    }
    let more = if names.len() > MOST { format!(" and {} more", names.len() - MOST) } else { String::new() };
    let near = names
        .iter()
        .map(|name| (strsim::jaro_winkler(name, wanted), name))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .filter(|(likeness, _)| *likeness > 0.8)
        .map_or("; it has".to_owned(), |(_, name)| format!("; did you mean {name:?}? It has"));
    let shown: Vec<&str> = names.iter().take(MOST).copied().collect();
    format!("{near} {}{more}", shown.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(names: &[&str], fields: &Fields) -> Result<Layout> {
        Layout::find(Path::new("p"), names, fields)
    }

    #[test]
    fn usual_names_are_found_in_their_order() {
        let layout = find(&["id", "label", "probs", "logit_1", "logit_0"], &Fields::default()).unwrap();
        assert_eq!(
            (layout.kind, layout.scores.clone(), layout.by_class),
            (InputKind::Logits, vec![4, 3], true)
        );
        assert_eq!((layout.labels, layout.columns(), layout.width()), (1, vec![1, 3, 4], Some(2)));
        assert_eq!(layout.projected().scores, [2, 1]);
        let probs = Fields { kind: Some(InputKind::Probs), ..Fields::default() };
        assert_eq!(find(&["labels", "probs", "logits"], &probs).unwrap().scores, [1]);
        assert_eq!(find(&["labels", "score"], &Fields::default()).unwrap().kind, InputKind::Binary);
        let layout = find(&["correct", "confidence"], &Fields::default()).unwrap();
        assert_eq!((layout.kind, layout.labels, layout.width()), (InputKind::Confidence, 0, Some(1)));
    }

    #[test]
    fn names_can_be_chosen() {
        let fields = Fields {
            kind: Some(InputKind::Probs),
            scores: Some("p".into()),
            labels: Some("y".into()),
            weights: Some("w".into()),
            group: Some("g".into()),
            ..Fields::default()
        };
        let layout = find(&["g", "w", "y", "p0", "p1"], &fields).unwrap();
        assert_eq!((layout.scores, layout.weights, layout.group), (vec![3, 4], Some(1), Some(0)));
    }

    #[test]
    fn what_is_missing_and_what_is_there_is_named() {
        let message = |names: &[&str], fields: &Fields| find(names, fields).unwrap_err().to_string();
        let none = message(&["labels", "logit"], &Fields::default());
        assert!(none.contains("needs a list column") && none.contains("has labels, logit"), "{none}");
        let group = Fields { group: Some("sexx".into()), ..Fields::default() };
        let none = message(&["labels", "score", "sex"], &group);
        assert!(none.contains("no column \"sexx\" for the groups; did you mean \"sex\"?"), "{none}");
        assert!(message(&["score", "y"], &Fields::default()).contains("no column \"labels\""));
        assert!(message(&["confidence"], &Fields::default()).contains("no column \"correct\""));
        let probs = Fields { kind: Some(InputKind::Probs), ..Fields::default() };
        assert!(message(&["labels", "logits"], &probs).contains("\"probs\""));
    }
}
