//! The page of a comparison.

use super::number::{count, list};
use super::setting::{Setting, settings};
use super::settings_table::settings_table;
use super::{Page, RunDetail, pictures, reading};
use crate::report::Comparison;

impl Page {
    /// The page of a comparison; `facts` stand under the title, `configuration` at the end.
    ///
    /// Pictures need the details of runs; a comparison without them still has its verdict and its table.
    pub fn comparison(
        comparison: &Comparison,
        runs: &[RunDetail],
        facts: Vec<(String, String)>,
        configuration: Vec<(String, String)>,
    ) -> Self {
        let settings = settings(comparison, runs);
        let mut verdict = comparison.verdict.clone();
        let recommendation =
            verdict.pop_if(|last| last.starts_with("Recommended") || last.starts_with("No rec"));
        let mut figures = Vec::new();
        figures.extend(pictures::reliability(&settings, false));
        figures.extend(pictures::reliability(&settings, true));
        figures.extend(pictures::strengths(comparison, &settings));
        figures.extend(pictures::learning(&settings));
        figures.extend(pictures::confidences(&settings));
        figures.extend(pictures::margins(&settings));
        Self {
            title: format!("Label smoothing on {}", short_name(&comparison.data)),
            lead: lead(comparison, &settings),
            facts,
            verdict,
            explanation: reading::ECE.to_owned(),
            recommendation,
            warnings: comparison.warnings.clone(),
            tables: vec![settings_table(comparison, &settings)],
            figures,
            configuration,
            glossary: reading::glossary(true),
        }
    }

    /// The settings of several runs in one list: a key whose values differ shows all of them.
    pub fn joined_configuration(runs: &[Vec<(String, String)>]) -> Vec<(String, String)> {
        let mut joined: Vec<(String, Vec<&str>)> = Vec::new();
        for (key, value) in runs.iter().flatten() {
            match joined.iter_mut().find(|known| known.0 == *key) {
                Some((_, values)) if values.contains(&value.as_str()) => {}
                Some((_, values)) => values.push(value),
                None => joined.push((key.clone(), vec![value])),
            }
        }
        joined.into_iter().map(|(key, values)| (key, values.join(", "))).collect()
    }
}

/// The last part of a path, or the name itself.
pub(super) fn short_name(data: &str) -> &str {
    let trimmed = data.trim_end_matches(['/', '\\']);
    trimmed.rsplit(['/', '\\']).next().filter(|name| !name.is_empty()).unwrap_or(data)
}

/// What was compared, in two sentences.
fn lead(comparison: &Comparison, settings: &[Setting<'_>]) -> String {
    let labels: Vec<String> = settings.iter().map(|setting| setting.label.clone()).collect();
    let seeds = settings
        .iter()
        .map(|setting| comparison.runs.iter().filter(|run| run.variant == *setting.variant).count())
        .max()
        .unwrap_or(0);
    let trained = if seeds == 1 {
        "each was trained once".to_owned()
    } else {
        format!("each was trained {seeds} times, with different seeds")
    };
    let what = match labels.len() {
        1 => format!("One setting of label smoothing ({})", labels[0]),
        2..=12 => {
            format!("{} settings of label smoothing were compared ({})", number(labels.len()), list(&labels))
        }
        n => format!("{n} settings of label smoothing were compared"),
    };
    let models: Vec<String> = distinct(settings.iter().map(|setting| setting.variant.model.clone()));
    let rows = settings.iter().flat_map(|setting| setting.evaluations(false)).map(|(_, e)| e.n).next();
    let judged = rows.map_or(String::new(), |n| {
        format!(" and judged on {} test rows that took no part in any choice", count(n))
    });
    format!("{what}; {trained}{judged}. Model: {}.", list(&models))
}

fn number(n: usize) -> String {
    const WORDS: [&str; 13] = [
        "No", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine", "Ten", "Eleven",
        "Twelve",
    ];
    WORDS.get(n).map_or(n.to_string(), |word| (*word).to_owned())
}

fn distinct(words: impl Iterator<Item = String>) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for word in words {
        if !found.contains(&word) {
            found.push(word);
        }
    }
    found
}
