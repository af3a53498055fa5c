//! Chooses among calibrators by cross-validated NLL, with the one-standard-error rule towards the simpler.

use std::collections::BTreeMap;

use rayon::prelude::*;
use serde::Serialize;

use super::{ALL, Entry, Fit, Output, Sample, by_name};
use crate::error::{Result, check_range};
use crate::parameters::{ParameterValue, Parameters};
use crate::random::Stream;

/// One calibrator in the table of a choice.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Candidate {
    /// The method's name.
    pub method: &'static str,
    /// Fitted numbers, of the first fold.
    pub n_parameters: usize,
    /// Mean over the folds of the held-out NLL, in nats; beyond the range of numbers it is the largest one.
    pub nll: f64,
    /// Mean over the folds of the NLL above that of the best candidate.
    pub excess: f64,
    /// Standard error of the excess over the folds.
    pub standard_error: f64,
    /// The held-out NLL of each fold.
    pub folds: Vec<f64>,
}

/// The chosen calibrator, fitted on all rows, and the table behind the choice.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    /// The candidates in the order given.
    pub table: Vec<Candidate>,
    /// The chosen method.
    pub chosen: &'static str,
    /// It, fitted on all rows.
    pub fit: Fit,
}

/// Fits each candidate on all folds but one and judges it on that one; takes the simplest that is as good as
/// the best.
///
/// Folds are stratified by class and come from the stream of `seed`. Simpler is what has fewer fitted numbers.
/// As good as the best is a candidate whose mean excess over it is at most one standard error of the excess
/// over the folds. Without `methods` these are all calibrators that give probabilities and learn from the rows
/// alone, those with more numbers than rows left out. The identity always takes part.
///
/// # Errors
/// [`Error::OutOfRange`](crate::Error::OutOfRange) unless there are 2 folds or more and at most as many as rows,
/// [`Error::UnknownName`](crate::Error::UnknownName) for a method that is not known or gives no probabilities,
/// and the errors of the methods.
///
/// # Examples
/// ```
/// use candor::calibrators::{Sample, choose};
/// use candor::{Labels, Logits};
/// let logits: Vec<f64> = (0..400).flat_map(|_| [4.0, 0.0]).collect();
/// let labels: Vec<i64> = (0..400).map(|row| i64::from(row % 4 == 0)).collect();
/// let sample = Sample::from_logits(Logits::new(&logits, 2)?, Labels::new(&labels, 2)?)?;
/// let choice = choose(&sample, &["temperature", "platt"], &Default::default(), 5, 0)?;
/// assert_eq!(choice.chosen, "temperature");
/// # Ok::<(), candor::Error>(())
/// ```
pub fn choose(
    sample: &Sample,
    methods: &[&str],
    given: &BTreeMap<String, BTreeMap<String, ParameterValue>>,
    folds: usize,
    seed: u64,
) -> Result<Choice> {
    check_range("folds", folds as f64, 2.0, sample.n_rows() as f64)?;
    let candidates = candidates(sample, methods, given)?;
    let parts = parts(sample, folds, seed);
    let jobs: Vec<(usize, usize)> =
        (0..candidates.len()).flat_map(|c| (0..folds).map(move |fold| (c, fold))).collect();
    let results: Vec<(f64, usize)> = jobs
        .par_iter()
        .map(|&(candidate, fold)| {
            let (entry, parameters) = &candidates[candidate];
            let others: Vec<usize> = (0..sample.n_rows()).filter(|&row| parts[row] != fold).collect();
            let held: Vec<usize> = (0..sample.n_rows()).filter(|&row| parts[row] == fold).collect();
            let fit = (entry.fit)(&sample.subset(&others), parameters)?;
            let nll = sample.subset(&held).nll(fit.map.as_dyn()).min(f64::MAX);
            Ok((nll, fit.map.as_dyn().n_parameters()))
        })
        .collect::<Result<_>>()?;
    let mean = |values: &[f64]| values.iter().map(|value| value / values.len() as f64).sum::<f64>();
    let mut table: Vec<Candidate> = candidates
        .iter()
        .zip(results.chunks_exact(folds))
        .map(|((entry, _), results)| {
            let figures: Vec<f64> = results.iter().map(|(nll, _)| *nll).collect();
            Candidate {
                method: entry.info.name,
                n_parameters: results[0].1,
                nll: mean(&figures),
                excess: 0.0,
                standard_error: 0.0,
                folds: figures,
            }
        })
        .collect();
    let best = (0..table.len()).min_by(|&a, &b| table[a].nll.total_cmp(&table[b].nll)).unwrap_or(0);
    let best = table[best].folds.clone();
    for candidate in &mut table {
        let above: Vec<f64> = candidate.folds.iter().zip(&best).map(|(nll, best)| nll - best).collect();
        candidate.excess = mean(&above);
        let squares: f64 = above.iter().map(|d| (d - candidate.excess).powi(2)).sum();
        // Differences between numbers at the end of the range overflow when squared.
        candidate.standard_error = (squares / (folds as f64 - 1.0) / folds as f64).sqrt().min(f64::MAX);
    }
    let chosen = (0..table.len())
        .filter(|&c| table[c].excess <= table[c].standard_error)
        .min_by(|&a, &b| {
            let key = |c: usize| (table[c].n_parameters, table[c].nll);
            let ((n, nll), (m, other)) = (key(a), key(b));
            n.cmp(&m).then(nll.total_cmp(&other))
        })
        .unwrap_or(0);
    let (entry, parameters) = &candidates[chosen];
    let fit = (entry.fit)(sample, parameters)?;
    Ok(Choice { table, chosen: entry.info.name, fit })
}

/// The candidates with their parameters; the identity comes first if it is not named.
fn candidates(
    sample: &Sample,
    methods: &[&str],
    given: &BTreeMap<String, BTreeMap<String, ParameterValue>>,
) -> Result<Vec<(&'static Entry, Parameters)>> {
    let mut names: Vec<&str> = methods.to_vec();
    if names.is_empty() {
        names.extend(ALL.iter().map(|entry| entry.info.name).filter(|name| is_default(name, sample)));
    }
    if !names.contains(&"identity") {
        names.insert(0, "identity");
    }
    if let Some(name) = given.keys().find(|name| !names.contains(&name.as_str())) {
        by_name(name)?;
        // Parameters of a method that does not take part would have no effect.
        return Err(crate::registry::unknown(
            "candidate",
            name,
            ALL.iter().map(|entry| entry.info.name).filter(|known| names.contains(known)),
        ));
    }
    names
        .into_iter()
        .map(|name| {
            let entry = by_name(name)?;
            if entry.info.output != Output::Probabilities {
                let known = ALL.iter().filter(|entry| entry.info.output == Output::Probabilities);
                let known = known.map(|entry| entry.info.name);
                return Err(crate::registry::unknown("calibrator that gives probabilities", name, known));
            }
            let none = BTreeMap::new();
            let given = given.get(name).unwrap_or(&none);
            Ok((entry, Parameters::resolve(entry.info.name, entry.info.parameters, given)?))
        })
        .collect()
}

/// Whether a method takes part without being named.
fn is_default(name: &str, sample: &Sample) -> bool {
    let k = sample.n_classes();
    match name {
        "group_temperature" => !sample.group_names().is_empty(),
        // Its strength is the user's knowledge.
        "unsmooth" | "logit_normalisation" => false,
        "matrix" | "dirichlet" => k.saturating_mul(k + 1) <= sample.n_rows(),
        _ => true,
    }
}

/// The fold of each row: the rows of each class in random order, dealt out in turn.
fn parts(sample: &Sample, folds: usize, seed: u64) -> Vec<usize> {
    let mut by_class: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (row, &label) in sample.labels().iter().enumerate() {
        by_class.entry(label).or_default().push(row);
    }
    let mut parts = vec![0; sample.n_rows()];
    let mut next = 0;
    for (class, mut rows) in by_class {
        Stream::new(seed, "calibration folds", class as u64, 0).shuffle(&mut rows);
        for row in rows {
            parts[row] = next % folds;
            next += 1;
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{Labels, Logits};

    #[test]
    fn folds_are_stratified_and_follow_the_seed() {
        let labels: Vec<i64> = (0..103).map(|i| i64::from(i % 10 == 0)).collect();
        let logits = vec![0.0; 206];
        let sample =
            Sample::from_logits(Logits::new(&logits, 2).unwrap(), Labels::new(&labels, 2).unwrap()).unwrap();
        let first = parts(&sample, 5, 0);
        for fold in 0..5 {
            let rows: Vec<usize> = (0..103).filter(|&row| first[row] == fold).collect();
            assert!((20..=21).contains(&rows.len()));
            let positive = rows.iter().filter(|&&row| labels[row] == 1).count();
            assert!((2..=3).contains(&positive), "{positive}");
        }
        assert_eq!(first, parts(&sample, 5, 0));
        assert_ne!(first, parts(&sample, 5, 1));
        assert!(choose(&sample, &[], &Default::default(), 1, 0).is_err());
        assert!(choose(&sample, &["logit_normalisation"], &Default::default(), 2, 0).is_err());
        assert!(choose(&sample, &["temprature"], &Default::default(), 2, 0).is_err());
        let stray = [("vector".to_owned(), BTreeMap::new())].into();
        assert!(choose(&sample, &["temperature"], &stray, 2, 0).is_err());
    }
}
