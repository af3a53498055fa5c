//! The targets of `candor loss`: labels or rows from files, through any target rule.

use std::collections::BTreeMap;

use anyhow::Result;
use candor::parameters::ParameterValue;
use candor::targets::{
    self, Background, BinaryRule, BinaryTargets, DenseRows, Make, Matrix, PerClass, PerSample, Positives,
    Prior, TargetRule,
};
use candor::{Convention, Labels, Targets};
use candor_recipes::predictions::{ScoreKind, Values, read_npy_scores, read_npy_vector};

use crate::args::LossArgs;
use crate::inputs::{parameters, request};

/// The losses with a sigmoid for every class.
const SIGMOIDS: &[&str] = &["binary_cross_entropy", "sigmoid_focal"];

/// Whether a loss has a sigmoid for every class, and not one softmax over them.
pub fn has_sigmoids(loss: &str) -> bool {
    SIGMOIDS.contains(&loss)
}

/// What turns labels or rows into targets.
pub enum Smoothing {
    /// The labels or rows as they are.
    None,
    /// A rule over labels.
    Rule(Box<dyn TargetRule>),
    /// A rule of one sigmoid a class.
    Sigmoids(Box<dyn BinaryRule>),
    /// A strength for each row.
    Rows(PerSample, Vec<f64>),
}

impl Smoothing {
    /// The rule that the arguments name.
    pub fn new(args: &LossArgs, n_classes: usize) -> Result<Self> {
        let name = args.convention.as_str();
        let strengths = args.strengths.as_deref().map(read_npy_vector).transpose()?;
        if let Some(strengths) = strengths {
            return Ok(match name {
                "per_class" => Self::Rule(Box::new(PerClass::new(&strengths, Convention::Uniform)?)),
                _ => Self::Rows(PerSample::new(name.parse()?), strengths),
            });
        }
        if let Some(path) = &args.prior {
            return Ok(match name {
                "matrix" => {
                    let rows = doubles(read_npy_scores(path, ScoreKind::Probs)?.values);
                    Self::Rule(Box::new(Matrix::new(args.smoothing, &rows, n_classes)?))
                }
                "prior" => Self::Rule(Box::new(Prior::new(args.smoothing, &read_npy_vector(path)?)?)),
                _ => return Err(request("--prior needs --convention prior or --convention matrix")),
            });
        }
        let plain = args.smoothing == 0.0 && args.target_set.is_empty();
        if plain && matches!(name, "uniform" | "off_class") {
            return Ok(Self::None);
        }
        let mut given: BTreeMap<String, ParameterValue> = parameters(&args.target_set)?;
        let entry = targets::ALL.iter().find(|entry| entry.info.name == name);
        let takes_strength = entry
            .is_none_or(|entry| entry.info.parameters.iter().any(|parameter| parameter.name == "smoothing"));
        if takes_strength || args.smoothing != 0.0 {
            given.insert("smoothing".to_owned(), ParameterValue::Number(args.smoothing));
        }
        Ok(match entry.map(|entry| entry.make) {
            Some(Make::Binary(_)) => Self::Sigmoids(targets::binary_by_name(name, &given, n_classes)?),
            _ => Self::Rule(targets::by_name(name, &given, n_classes)?),
        })
    }

    /// The targets of labels; of a single sigmoid they are 0 and 1.
    pub fn of_labels<'a>(&self, args: &LossArgs, labels: &'a [i64], n_classes: usize) -> Result<Targets<'a>> {
        let single = n_classes == 1 && has_sigmoids(&args.loss);
        let labels = Labels::with_ignore(labels, if single { 2 } else { n_classes }, args.ignore_index)?;
        let positives = || if single { Positives::binary(labels) } else { Ok(Positives::one_of(labels)) };
        Ok(match self {
            Self::None if single => Targets::binary(BinaryTargets::new(positives()?, vec![1.0], vec![0.0])?),
            Self::None => Targets::labels(labels),
            Self::Rule(rule) => rule.targets(labels)?,
            Self::Sigmoids(rule) => Targets::binary(rule.targets(positives()?)?),
            Self::Rows(rule, strengths) => rule.targets(labels, strengths)?,
        })
    }

    /// The targets of dense rows: distributions where they are, any masses where they are not.
    pub fn of_rows<'a>(&self, args: &LossArgs, rows: &'a Values, n_classes: usize) -> Result<Targets<'a>> {
        if let Self::Sigmoids(rule) = self {
            return Ok(Targets::binary(rule.targets(Positives::dense(dense(rows), n_classes)?)?));
        }
        let targets = Targets::distribution(dense(rows), n_classes)
            .or_else(|_| Targets::weights(dense(rows), n_classes))?;
        let smoothed = |background| targets.clone().smoothed(args.smoothing, background);
        Ok(match (self, args.convention.as_str()) {
            (Self::None, _) => targets,
            (Self::Rows(_, strengths), "uniform") => {
                targets.smoothed_per_row(strengths.clone(), Background::Uniform)?
            }
            (_, "uniform" | "generalised") => smoothed(Background::Uniform),
            (Self::Rule(_), "off_class") => smoothed(Background::OtherClasses),
            (Self::Rule(_), "prior") => {
                let Some(path) = &args.prior else { return Err(request("--convention prior needs --prior")) };
                smoothed(Background::Prior(read_npy_vector(path)?.into()))
            }
            _ => {
                return Err(request(
                    "this convention needs --labels; rows take uniform, off_class, generalised and prior",
                ));
            }
        })
    }
}

/// Rows of masses in the precision of their file.
pub fn dense(values: &Values) -> DenseRows<'_> {
    match values {
        Values::F32(rows) => DenseRows::F32(rows),
        Values::F64(rows) => DenseRows::F64(rows),
    }
}

fn doubles(values: Values) -> Vec<f64> {
    match values {
        Values::F32(values) => values.into_iter().map(f64::from).collect(),
        Values::F64(values) => values,
    }
}
