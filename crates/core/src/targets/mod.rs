//! Label in, distribution out: what a classifier is asked to predict.
//!
//! A [`TargetRule`] turns labels into [`Targets`]: a few explicit (class, mass) pairs a row plus a
//! background mass spread over the other classes. Nothing dense is built unless it is asked for.
//! Rules that need more than labels (a partner, a graph, a teacher) have a `targets` method of their own;
//! a [`BinaryRule`] gives a probability for each class by itself ([`BinaryTargets`]). All are in [`ALL`].
//! [`TargetTheory`](crate::theory::TargetTheory) gives the optimum, margin, loss floor and effective hard
//! weight of any row.

mod annotators;
mod background;
mod binary_form;
mod binary_half;
mod class_similarity;
mod classy_vision;
mod confidence_adaptive;
mod convention;
mod cutmix;
mod disturb_label;
mod explicit;
mod form;
mod generalised;
mod graph;
mod hierarchical;
mod matrix;
mod mixup;
mod multi_label;
mod neighbours;
mod off_class;
mod one_sided;
mod ordinal;
mod pad_excluding;
mod per_class;
mod per_sample;
mod posterior;
mod prior;
mod priors;
mod row;
mod sparse_rows;
mod spatial;
mod taxonomy;
mod teacher;
mod uniform;

pub use annotators::Annotators;
pub use background::Background;
pub use binary_form::{BinaryRow, BinaryTargets, Positives};
pub use binary_half::BinaryHalf;
pub use class_similarity::ClassSimilarity;
pub use classy_vision::ClassyVision;
pub use confidence_adaptive::ConfidenceAdaptive;
pub use convention::Convention;
pub use cutmix::{CutMix, Patch};
pub use disturb_label::DisturbLabel;
pub use explicit::{DenseRows, Explicit};
pub(crate) use form::{LabelRows, is_one};
pub use form::{TARGET_TOLERANCE, Targets};
pub use generalised::Generalised;
pub use graph::Graph;
pub use hierarchical::Hierarchical;
pub use matrix::{MAX_MATRIX_CLASSES, Matrix};
pub use mixup::Mixup;
pub use multi_label::{MultiLabel, MultiLabelConvention};
pub use neighbours::Neighbours;
pub use off_class::OffClass;
pub use one_sided::OneSided;
pub use ordinal::{Ordinal, OrdinalShape};
pub use pad_excluding::PadExcluding;
pub use per_class::PerClass;
pub use per_sample::PerSample;
pub use posterior::Posterior;
pub use prior::Prior;
pub use priors::Priors;
pub use row::{RowBackground, RowExplicit, RowTarget};
pub use spatial::Spatial;
pub use taxonomy::Taxonomy;
pub use teacher::{Leftover, Teacher};
pub use uniform::Uniform;

use std::collections::BTreeMap;

use crate::batch::Labels;
use crate::error::{Error, Result};
use crate::parameters::{Parameter, ParameterValue, Parameters};

/// What a target rule is called and where it comes from; shown by `candor list`.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct TargetInfo {
    /// The name in configurations.
    pub name: &'static str,
    /// One line: what it is and when to use it.
    pub summary: &'static str,
    /// The target row in words of the field.
    pub formula: &'static str,
    /// The parameters with their published values.
    pub parameters: &'static [Parameter],
    /// Where it was published.
    pub paper: &'static str,
}

/// The strength that most rules share.
const SMOOTHING: Parameter = Parameter::number("smoothing", 0.1, 0.0, 1.0, "the strength α");

/// Turns class labels into target distributions.
///
/// A rule is valid for life once built. [`Uniform`] shows the smallest implementation.
pub trait TargetRule: std::fmt::Debug + Send + Sync {
    /// The name, formula and source of the rule.
    fn info(&self) -> &'static TargetInfo;

    /// The targets of a batch.
    ///
    /// # Errors
    /// Whatever makes the rule undefined for these labels.
    fn targets<'a>(&self, labels: Labels<'a>) -> Result<Targets<'a>>;

    /// The dense distribution for one label.
    ///
    /// # Errors
    /// [`Error::LabelOutOfRange`] if `label` is not below `n_classes`, and the rule's own errors.
    fn distribution(&self, label: usize, n_classes: usize) -> Result<Vec<f64>> {
        let label = [i64::try_from(label).unwrap_or(i64::MAX)];
        let targets = self.targets(Labels::new(&label, n_classes)?)?;
        Ok(targets.row(0).map(|row| row.dense(n_classes)).unwrap_or_default())
    }
}

/// Turns the positive classes of each row into targets of one sigmoid a class.
pub trait BinaryRule: std::fmt::Debug + Send + Sync {
    /// The name, formula and source of the rule.
    fn info(&self) -> &'static TargetInfo;

    /// The targets of a batch.
    ///
    /// # Errors
    /// [`Error::Shape`] if the rule was made for another number of classes.
    fn targets<'a>(&self, positives: Positives<'a>) -> Result<BinaryTargets<'a>>;
}

/// How a registered rule is made.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Make {
    /// From parameters and the number of classes; one distribution a row.
    Rule(fn(&Parameters, usize) -> Result<Box<dyn TargetRule>>),
    /// From parameters and the number of classes; one probability for each class by itself.
    Binary(fn(&Parameters, usize) -> Result<Box<dyn BinaryRule>>),
    /// By the constructor of its type, from the data named here.
    Data(&'static str),
}

/// A registered target rule: its description and how to make one.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// The description.
    pub info: &'static TargetInfo,
    /// How to make it.
    pub make: Make,
}

/// Every target rule, in the order of `candor list`.
pub const ALL: &[Entry] = &[
    uniform::ENTRY,
    off_class::ENTRY,
    classy_vision::ENTRY,
    generalised::ENTRY,
    pad_excluding::ENTRY,
    prior::ENTRY,
    matrix::ENTRY,
    class_similarity::ENTRY,
    hierarchical::ENTRY,
    ordinal::ENTRY,
    per_class::ENTRY,
    per_sample::ENTRY,
    confidence_adaptive::ENTRY,
    neighbours::ENTRY,
    posterior::ENTRY,
    teacher::ENTRY,
    mixup::ENTRY,
    cutmix::ENTRY,
    annotators::ENTRY,
    spatial::ENTRY,
    disturb_label::ENTRY,
    binary_half::ENTRY,
    multi_label::ENTRY,
    one_sided::ENTRY,
];

/// The registered rule of this name for `n_classes`, with the given parameters over its defaults.
///
/// # Errors
/// [`Error::UnknownName`], naming the closest one; [`Error::NeedsData`] for a rule that is made from data
/// or gives [`BinaryTargets`]; those of [`Parameters::resolve`] and of the rule.
///
/// # Examples
/// ```
/// let rule = candor::targets::by_name("off_class", &Default::default(), 5)?;
/// assert!((rule.distribution(0, 5)?[0] - 0.9).abs() < 1e-15);
/// assert!(candor::targets::by_name("mixup", &Default::default(), 5).is_err());
/// # Ok::<(), candor::Error>(())
/// ```
pub fn by_name(
    name: &str,
    given: &BTreeMap<String, ParameterValue>,
    n_classes: usize,
) -> Result<Box<dyn TargetRule>> {
    let info = find(name)?.info;
    match find(name)?.make {
        Make::Rule(make) => make(&Parameters::resolve(info.name, info.parameters, given)?, n_classes),
        Make::Binary(_) => Err(needs(info, "a loss with one sigmoid for each class (binary_by_name)")),
        Make::Data(data) => Err(needs(info, data)),
    }
}

/// The registered rule of this name that gives a probability for each class by itself.
///
/// # Errors
/// As [`by_name`].
///
/// # Examples
/// ```
/// use candor::{Labels, targets::{Positives, binary_by_name}};
/// let rule = binary_by_name("one_sided", &Default::default(), 1)?;
/// let real_and_fake = rule.targets(Positives::binary(Labels::new(&[1, 0], 2)?)?)?;
/// assert_eq!(real_and_fake.dense_matrix(), [0.9, 0.0]);
/// # Ok::<(), candor::Error>(())
/// ```
pub fn binary_by_name(
    name: &str,
    given: &BTreeMap<String, ParameterValue>,
    n_classes: usize,
) -> Result<Box<dyn BinaryRule>> {
    let info = find(name)?.info;
    match find(name)?.make {
        Make::Binary(make) => make(&Parameters::resolve(info.name, info.parameters, given)?, n_classes),
        Make::Rule(_) => Err(needs(info, "a loss with one softmax over the classes (by_name)")),
        Make::Data(data) => Err(needs(info, data)),
    }
}

fn find(name: &str) -> Result<&'static Entry> {
    ALL.iter()
        .find(|entry| entry.info.name == name)
        .ok_or_else(|| crate::registry::unknown("target", name, ALL.iter().map(|entry| entry.info.name)))
}

fn needs(info: &TargetInfo, needs: &'static str) -> Error {
    Error::NeedsData { kind: "target", name: info.name, needs }
}
