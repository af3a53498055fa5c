//! What a row must hold to be used: the same for every format.

use std::ops::Range;

use candor::{Probs, Scalar};

use super::{Chunk, InputKind, Problem, Values};

/// The rows of a part of a chunk that cannot be used, in their order, beside those that could not be read.
///
/// Rows labelled `ignore_index` are not looked at.
pub(crate) fn check(chunk: &Chunk, rows: Range<usize>, ignore_index: Option<i64>) -> Vec<(usize, Problem)> {
    let mut found = Vec::new();
    for row in rows {
        if let Some(problem) = chunk.problems.get(&row) {
            found.push((row, problem.clone()));
        } else if let Some(problem) = row_problem(chunk, row, ignore_index) {
            found.push((row, problem));
        }
    }
    found
}

fn row_problem(chunk: &Chunk, row: usize, ignore_index: Option<i64>) -> Option<Problem> {
    let n_classes = chunk.n_classes();
    let label = chunk.labels.get(row).copied()?;
    if Some(label) == ignore_index {
        return None;
    }
    if label < 0 || label as u64 >= n_classes as u64 {
        return Some(label_problem(chunk.kind, label, n_classes, ignore_index));
    }
    if let Some(weight) = chunk.weights.as_ref().and_then(|weights| weights.get(row))
        && !(weight.is_finite() && *weight >= 0.0)
    {
        let text = format!("the weight is {weight}, but must be finite and not negative");
        return Some(Problem::new("weight", text));
    }
    match &chunk.values {
        Values::F32(values) => values_problem(chunk.kind, chunk.row_of(values, row)),
        Values::F64(values) => values_problem(chunk.kind, chunk.row_of(values, row)),
    }
}

fn label_problem(kind: InputKind, label: i64, n_classes: usize, ignore_index: Option<i64>) -> Problem {
    let text = match kind {
        InputKind::Confidence => format!("correct is {label}, but must be 0 or 1"),
        InputKind::Binary => format!("label {label} is no class: with a score for class 1 it must be 0 or 1"),
        InputKind::Logits | InputKind::Probs => {
            let or_ignored =
                ignore_index.map_or(String::new(), |index| format!(" or the ignored label {index}"));
            format!(
                "label {label} is no class: with {n_classes} classes it must be in 0..={}{or_ignored}",
                n_classes.saturating_sub(1)
            )
        }
    };
    Problem::new("label_range", text)
}

fn values_problem<T: Scalar>(kind: InputKind, values: &[T]) -> Option<Problem> {
    match kind {
        InputKind::Logits => logits_problem(values),
        InputKind::Probs => probs_problem(values),
        InputKind::Binary | InputKind::Confidence => {
            let value = values.first()?.to_f64();
            let what = if kind == InputKind::Binary { "score" } else { "confidence" };
            (!(0.0..=1.0).contains(&value)).then(|| out_of_range(&format!("the {what}"), value))
        }
    }
}

fn out_of_range(what: &str, value: f64) -> Problem {
    let code = if value.is_nan() { "nan" } else { "probability_range" };
    Problem::new(code, format!("{what} is {value}, but a probability must be in [0, 1]"))
}

fn logits_problem<T: Scalar>(values: &[T]) -> Option<Problem> {
    let mut allowed = false;
    for (class, value) in values.iter().enumerate() {
        let value = value.to_f64();
        if value.is_nan() {
            return Some(Problem::new("nan", format!("the logit of class {class} is NaN")));
        }
        if value == f64::INFINITY {
            let text =
                format!("the logit of class {class} is inf, but must be finite, or -inf for a masked class");
            return Some(Problem::new("infinite_logit", text));
        }
        allowed |= value > f64::NEG_INFINITY;
    }
    (!allowed).then(|| Problem::new("no_allowed_class", "every logit is -inf, but one must be finite"))
}

fn probs_problem<T: Scalar>(values: &[T]) -> Option<Problem> {
    match Probs::new(values, values.len()) {
        Ok(_) => None,
        Err(candor::Error::ProbabilityValue { class, value, .. }) => {
            Some(out_of_range(&format!("the probability of class {class}"), value))
        }
        Err(candor::Error::ProbabilitySum { sum, tolerance, .. }) => {
            let text = format!(
                "the probabilities sum to {sum}, but must sum to 1 within {tolerance}; if these are logits, say so"
            );
            Some(Problem::new("probability_sum", text))
        }
        Err(other) => Some(Problem::new("unreadable", other.to_string())),
    }
}
