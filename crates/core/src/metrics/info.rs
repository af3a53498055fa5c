//! How a metric is described, which inputs it applies to and which state it reads.

use std::fmt;

use serde::ser::SerializeSeq;
use serde::{Deserialize, Serialize, Serializer};

use super::view::View;
use super::{ALL, Estimate};
use crate::error::Result;

/// What the rows of an evaluation hold; metrics that need more than that are left out of the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum InputKind {
    /// Rows that were scored elsewhere: [`RowScore`](super::RowScore)s, without the whole probability row.
    Scores,
    /// A row of logits or probabilities over this many classes, with a label.
    Classes {
        /// Number of classes, at least 2.
        n_classes: usize,
    },
    /// The probability of class 1, with a label 0 or 1. Calibration errors are those of this probability;
    /// selective figures and `confidence` are those of the predicted class, which is 1 above one half.
    Binary,
    /// The confidence of a decision, with whether it was correct.
    Confidence,
    /// Independent probabilities of this many labels, each with 0 or 1: every label is a binary problem,
    /// pooled in the overall figures and apart in the class-wise ones.
    MultiLabel {
        /// Number of labels, at least 1.
        n_labels: usize,
    },
}

impl InputKind {
    /// The name used in outputs.
    pub fn name(self) -> &'static str {
        NAMES[self.at()]
    }

    /// Number of classes or labels; 2 for binary rows, `None` where it is not known.
    pub fn n_classes(self) -> Option<usize> {
        match self {
            InputKind::Classes { n_classes } => Some(n_classes),
            InputKind::MultiLabel { n_labels } => Some(n_labels),
            InputKind::Binary => Some(2),
            InputKind::Scores | InputKind::Confidence => None,
        }
    }

    fn at(self) -> usize {
        match self {
            InputKind::Scores => 0,
            InputKind::Classes { .. } => 1,
            InputKind::Binary => 2,
            InputKind::Confidence => 3,
            InputKind::MultiLabel { .. } => 4,
        }
    }
}

const NAMES: [&str; 5] = ["scores", "classes", "binary", "confidence", "multi_label"];

/// A set of input kinds; written as the list of their names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inputs(u8);

impl Inputs {
    /// Every kind.
    pub const ALL: Self = Self(0b11111);
    /// Kinds with one decision a row: all but multi-label.
    pub const DECISIONS: Self = Self(0b01111);
    /// Kinds with the probability of the label.
    pub const PROBABILITIES: Self = Self(0b10111);
    /// Kinds with one probability row over exclusive classes.
    pub const EXCLUSIVE: Self = Self(0b00111);
    /// Kinds with a probability for each class or label, kept apart.
    pub const CLASSWISE: Self = Self(0b10010);
    /// One row over exclusive classes, more than two of them if there are more.
    pub const RANKED_CLASSES: Self = Self(0b00011);
    /// Probabilities of an event that may not happen.
    pub const EVENTS: Self = Self(0b10100);

    /// Whether rows of this kind are among them.
    pub fn contain(self, kind: InputKind) -> bool {
        self.0 >> kind.at() & 1 == 1
    }

    /// The names of the kinds.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        NAMES.into_iter().enumerate().filter(move |(at, _)| self.0 >> at & 1 == 1).map(|(_, name)| name)
    }
}

impl Serialize for Inputs {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(None)?;
        for name in self.names() {
            list.serialize_element(name)?;
        }
        list.end()
    }
}

/// What an evaluation must keep for a metric, as flags.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Needs(pub(crate) u16);

impl Needs {
    /// Counts and the reliability table, which are always kept.
    pub(crate) const NOTHING: Self = Self(0);
    pub(crate) const NLL: Self = Self(1);
    pub(crate) const BRIER: Self = Self(1 << 1);
    pub(crate) const ENTROPY: Self = Self(1 << 2);
    pub(crate) const EVENT_SCORES: Self = Self(1 << 3);
    pub(crate) const RANKED: Self = Self(1 << 4);
    pub(crate) const FINE: Self = Self(1 << 5);
    pub(crate) const CLASS_TABLES: Self = Self(1 << 6);
    pub(crate) const CLASS_ROWS: Self = Self(1 << 7);
    pub(crate) const EVENTS: Self = Self(1 << 8);
    /// Moments and histogram of the confidence of decisions.
    pub(crate) const CONFIDENCE: Self = Self(1 << 9);

    pub(crate) fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

/// What a metric is called, its range and direction; shown by `candor list`.
#[derive(Clone, Copy, Serialize)]
pub struct MetricInfo {
    /// The key in outputs.
    pub name: &'static str,
    /// One line: what it says.
    pub summary: &'static str,
    /// The formula.
    pub formula: &'static str,
    /// Its range and unit.
    pub range: &'static str,
    /// `true` for higher, `false` for lower, none where zero is best or neither is better.
    pub higher_is_better: Option<bool>,
    /// How much its state grows: with the bins, the classes or the rows.
    pub state: &'static str,
    /// The kinds of input that it applies to.
    pub inputs: Inputs,
    /// Whether it is computed unless other metrics are asked for.
    pub default: bool,
    /// Where it was published.
    pub paper: &'static str,
    /// What must be kept for it.
    #[serde(skip)]
    pub(crate) needs: Needs,
    /// The figure from what was kept; `None` where these rows do not define it.
    #[serde(skip)]
    pub(crate) compute: fn(&View<'_>) -> Option<Estimate>,
}

impl fmt::Debug for MetricInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MetricInfo").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A selection of registered metrics.
///
/// # Examples
/// ```
/// use candor::metrics::MetricSet;
/// let set = MetricSet::of(["ece", "nll"])?;
/// assert!(set.contains("ece") && !set.contains("aurc"));
/// assert!(MetricSet::of(["eec"]).is_err());
/// # Ok::<(), candor::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MetricSet(u128);

impl MetricSet {
    /// Every registered metric.
    pub fn all() -> Self {
        Self::where_(|_| true)
    }

    /// The metrics of these names.
    ///
    /// # Errors
    /// [`Error::UnknownName`](crate::Error::UnknownName) for a name that is not registered.
    pub fn of<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Self> {
        let mut set = 0;
        for name in names {
            let at = ALL.iter().position(|metric| metric.name == name).ok_or_else(|| {
                crate::registry::unknown("metric", name, ALL.iter().map(|metric| metric.name))
            })?;
            set |= 1 << at;
        }
        Ok(Self(set))
    }

    /// Whether a metric of this name is selected.
    pub fn contains(self, name: &str) -> bool {
        self.metrics().any(|metric| metric.name == name)
    }

    /// The selected metrics, in the order of [`ALL`].
    pub fn metrics(self) -> impl Iterator<Item = &'static MetricInfo> {
        ALL.iter().enumerate().filter(move |(at, _)| self.0 >> at & 1 == 1).map(|(_, metric)| metric)
    }

    /// What must be kept for those that apply to this kind of rows.
    pub(crate) fn needs(self, kind: InputKind) -> Needs {
        Needs(self.metrics().filter(|m| m.inputs.contain(kind)).fold(0, |all, m| all | m.needs.0))
    }

    fn where_(keep: impl Fn(&MetricInfo) -> bool) -> Self {
        let bits = ALL.iter().enumerate().filter(|(_, metric)| keep(metric));
        Self(bits.fold(0, |set, (at, _)| set | 1 << at))
    }
}

impl Default for MetricSet {
    /// The metrics that are marked as default.
    fn default() -> Self {
        Self::where_(|metric| metric.default)
    }
}
