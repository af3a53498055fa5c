//! One temperature for each group of rows, and a pooled one for the others.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::fit_report::{Ending, FitWarning};
use super::{CalibrationMap, CalibratorInfo, Entry, Fit, Fitting, Output, Sample, Temperature, WarningCode};
use crate::error::{Error, Result};
use crate::parameters::{Parameter, Parameters};

const INFO: CalibratorInfo = CalibratorInfo {
    name: "group_temperature",
    summary: "one temperature for each group (site, sensor, population); groups with few rows share the pooled one",
    formula: "softmax(z / T_group)",
    preserves_accuracy: true,
    output: Output::Probabilities,
    fitting: Fitting::Convex,
    parameters: &[Parameter::number(
        "min_rows",
        50.0,
        1.0,
        1e9,
        "a group with fewer rows is served by the pooled temperature",
    )],
    paper: "Guo et al. 2017, arXiv:1706.04599, for each group by itself",
};

pub(super) const ENTRY: Entry = Entry { info: &INFO, fit };

/// A temperature for each named group; any other group, and rows without one, get the pooled temperature.
///
/// # Examples
/// ```
/// use candor::calibrators::{GroupTemperature, Map};
/// let map = Map::from(GroupTemperature { pooled: 1.0, groups: [("site b".to_owned(), 2.0)].into() });
/// let groups = ["site b".to_owned(), "site c".to_owned()];
/// let out = map.logits(candor::Logits::new(&[4.0, 0.0, 4.0, 0.0], 2)?, Some(&groups))?;
/// assert_eq!(out, [2.0, 0.0, 4.0, 0.0]);
/// # Ok::<(), candor::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GroupTemperature {
    /// The temperature of all rows together.
    pub pooled: f64,
    /// The temperature of each group that had enough rows.
    pub groups: BTreeMap<String, f64>,
}

fn fit(sample: &Sample, parameters: &Parameters) -> Result<Fit> {
    if sample.group_names().is_empty() {
        return Err(Error::MissingGroups { calibrator: INFO.name });
    }
    let pooled = Temperature::of_rows(sample.logits(), sample);
    let mut ending =
        Ending { iterations: pooled.evaluations, gradient_norm: pooled.gradient, ..Ending::direct() };
    let mut groups = BTreeMap::new();
    let mut small = Vec::new();
    let mut places: BTreeMap<WarningCode, Vec<String>> = BTreeMap::new();
    for (index, name) in sample.group_names().iter().enumerate() {
        let chosen: Vec<usize> = (0..sample.n_rows()).filter(|&row| sample.groups()[row] == index).collect();
        if (chosen.len() as f64) < parameters.number("min_rows") {
            small.push(name.clone());
            continue;
        }
        let rows = sample.subset(&chosen);
        let found = Temperature::of_rows(rows.logits(), &rows);
        ending.iterations = ending.iterations.max(found.evaluations);
        ending.gradient_norm = ending.gradient_norm.max(found.gradient);
        if let Some(code) = found.outcome.code() {
            places.entry(code).or_default().push(name.clone());
        }
        groups.insert(name.clone(), found.map.temperature);
    }
    ending.warnings.extend(pooled.outcome.code().map(FitWarning::new));
    let kind = |names: &[String]| if names.len() == 1 { "group" } else { "groups" };
    for (code, names) in places {
        ending.warnings.extend(FitWarning::about(code, kind(&names), &names));
    }
    ending.warnings.extend(FitWarning::about(WarningCode::FewRows, kind(&small), &small));
    let map = GroupTemperature { pooled: pooled.map.temperature, groups };
    Ok(Fit::new(map.into(), sample, ending))
}

impl CalibrationMap for GroupTemperature {
    fn info(&self) -> &'static CalibratorInfo {
        &INFO
    }

    fn n_parameters(&self) -> usize {
        1 + self.groups.len()
    }

    fn check(&self) -> Result<()> {
        Temperature::new(self.pooled)?;
        self.groups.values().try_for_each(|t| Temperature::new(*t).map(|_| ()))
    }

    fn apply_row(&self, logits: &[f64], group: Option<&str>, out: &mut [f64]) {
        let found = group.and_then(|group| self.groups.get(group)).copied();
        Temperature { temperature: found.unwrap_or(self.pooled) }.apply_row(logits, None, out);
    }
}
