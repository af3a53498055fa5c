//! The target rule of each step: a registered rule at the strength that the schedule gives.

use std::collections::BTreeMap;
use std::sync::Arc;

use candor::losses::{Accepts, Step};
use candor::parameters::{ParameterValue, Parameters};
use candor::schedules::{self, Schedule};
use candor::targets::{self, Entry, Make, Prior, TargetRule};

use crate::config::Config;
use crate::error::{Error, Result};

/// Makes target rules that need more than a strength: class frequencies, the neighbours of a row.
pub trait DataRules: std::fmt::Debug + Send + Sync {
    /// The rule of this name; `None` if this data cannot make it.
    ///
    /// # Errors
    /// Parameters or data that the rule refuses.
    fn rule(&self, name: &str, parameters: &Parameters) -> candor::Result<Option<Arc<dyn TargetRule>>>;
}

/// The frequencies of the classes in the training rows, for the rule `prior`.
#[derive(Debug, Clone, PartialEq)]
pub struct ClassCounts(pub Vec<usize>);

impl DataRules for ClassCounts {
    fn rule(&self, name: &str, parameters: &Parameters) -> candor::Result<Option<Arc<dyn TargetRule>>> {
        if name != "prior" {
            return Ok(None);
        }
        let counts: Vec<f64> = self.0.iter().map(|count| *count as f64).collect();
        let number = |name| parameters.number(name);
        let rule = Prior::from_counts(number("smoothing"), &counts, number("laplace"), number("power"))?;
        Ok(Some(Arc::new(rule)))
    }
}

/// Makes the rule of a step, and keeps it while the strength stays.
#[derive(Debug, Clone)]
pub struct Smoothing {
    rule: String,
    parameters: BTreeMap<String, ParameterValue>,
    data: Option<Arc<dyn DataRules>>,
    schedule: Option<Schedule>,
    constant: f64,
    n_classes: usize,
    current: Option<(f64, Option<Arc<dyn TargetRule>>)>,
}

impl Smoothing {
    /// The rule and schedule of a configuration, checked at the strengths that will occur.
    ///
    /// # Errors
    /// Unknown names, parameters out of range, a rule that needs data, smoothing for a loss that takes labels only.
    pub fn new(config: &Config, n_classes: usize) -> Result<Self> {
        Self::made(config, n_classes, None)
    }

    /// The same where the data can make rules that need it.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_data(config: &Config, n_classes: usize, data: Arc<dyn DataRules>) -> Result<Self> {
        Self::made(config, n_classes, Some(data))
    }

    fn made(config: &Config, n_classes: usize, data: Option<Arc<dyn DataRules>>) -> Result<Self> {
        let rule = match config.target.name.as_str() {
            "auto" => config.loss.convention.name(),
            name => name,
        };
        let schedule = match config.schedule.name.as_str() {
            "constant" => None,
            name => Some(schedules::by_name(name, &config.schedule.parameters)?),
        };
        let smoothing = Self {
            rule: rule.to_owned(),
            parameters: config.target.parameters.clone(),
            data,
            schedule,
            constant: config.loss.smoothing,
            n_classes,
            current: None,
        };
        let loss = config.make_loss()?;
        let strengths = match &smoothing.schedule {
            Some(schedule) => {
                let (low, high) = schedule.range();
                vec![low, high]
            }
            None => vec![smoothing.constant],
        };
        for strength in strengths {
            let made = smoothing.make(strength)?;
            if made.is_some() && loss.info().accepts == Accepts::Labels {
                return Err(Error::config(
                    "loss.smoothing",
                    strength,
                    format!(
                        "{} takes labels only; use smoothing 0, its own parameters set its strength",
                        config.loss.name
                    ),
                ));
            }
        }
        Ok(smoothing)
    }

    /// The strength of a step.
    pub fn strength(&self, step: Step) -> f64 {
        self.schedule.as_ref().map_or(self.constant, |schedule| schedule.strength(step))
    }

    /// The largest strength of the whole training.
    pub fn largest(&self) -> f64 {
        self.schedule.as_ref().map_or(self.constant, |schedule| schedule.range().1)
    }

    /// The rule of a step; `None` for plain labels.
    ///
    /// # Errors
    /// A strength that the rule refuses.
    pub fn rule(&mut self, step: Step) -> Result<Option<Arc<dyn TargetRule>>> {
        let strength = self.strength(step);
        if let Some((made_for, rule)) = &self.current
            && *made_for == strength
        {
            return Ok(rule.clone());
        }
        let rule = self.make(strength)?;
        self.current = Some((strength, rule.clone()));
        Ok(rule)
    }

    fn make(&self, strength: f64) -> Result<Option<Arc<dyn TargetRule>>> {
        let entry = targets::ALL.iter().find(|entry| entry.info.name == self.rule);
        let has_strength = entry
            .is_none_or(|entry| entry.info.parameters.iter().any(|parameter| parameter.name == "smoothing"));
        let mut parameters = self.parameters.clone();
        if has_strength {
            parameters.insert("smoothing".to_owned(), ParameterValue::Number(strength));
        }
        let made = match (&self.data, entry) {
            (Some(data), Some(Entry { info, make: Make::Data(_) })) => {
                data.rule(info.name, &Parameters::resolve(info.name, info.parameters, &parameters)?)?
            }
            _ => None,
        };
        let rule = match made {
            Some(rule) => rule,
            None => Arc::from(targets::by_name(&self.rule, &parameters, self.n_classes)?),
        };
        // The plain label needs no rule, and losses that take labels only accept nothing else.
        Ok((strength != 0.0 || !has_strength).then_some(rule))
    }
}
