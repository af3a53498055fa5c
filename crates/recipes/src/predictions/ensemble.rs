//! Several models as one: the mean of their probabilities.

use candor::calibrators::{Identity, Map};

use super::{Predictions, ScoreKind, Scores, Values};
use crate::error::{Error, Result};

/// The mean of the members' probabilities, row by row (Lakshminarayanan et al. 2017), with the labels and weights
/// of the first.
///
/// # Errors
/// [`Error::Config`] without a member; [`candor::Error::Shape`] for members of other sizes;
/// [`Error::Format`] for labels that are not those of the first; the first row that is no row of scores.
pub fn ensemble(members: &[Predictions]) -> Result<Predictions> {
    let Some(first) = members.first() else {
        return Err(Error::config("ensemble", "no model", "must be the predictions of one model or more"));
    };
    let identity = Map::from(Identity {});
    let mut sums = vec![0.0; first.labels.len() * first.scores.n_classes];
    for member in members {
        let scores = &member.scores;
        let shape = |what, expected, got| candor::Error::Shape { what, expected, got };
        if scores.n_classes != first.scores.n_classes {
            return Err(shape("the class axis of a member", first.scores.n_classes, scores.n_classes).into());
        }
        if member.labels.len() != first.labels.len() {
            return Err(shape("the rows of a member", first.labels.len(), member.labels.len()).into());
        }
        if let Some(row) = (0..first.labels.len()).find(|&row| member.labels[row] != first.labels[row]) {
            let problem = format!(
                "row {row} has the label {} in one file and {} in another; the rows must be the same, in the same order",
                first.labels[row], member.labels[row]
            );
            return Err(Error::format("ensemble", problem));
        }
        let probs = match (&scores.values, scores.kind) {
            (Values::F32(values), ScoreKind::Logits) => {
                identity.probs(candor::Logits::new(values, scores.n_classes)?, None)?
            }
            (Values::F64(values), ScoreKind::Logits) => {
                identity.probs(candor::Logits::new(values, scores.n_classes)?, None)?
            }
            (Values::F32(values), ScoreKind::Probs) => values.iter().map(|&p| f64::from(p)).collect(),
            (Values::F64(values), ScoreKind::Probs) => values.clone(),
        };
        sums.iter_mut().zip(probs).for_each(|(sum, p)| *sum += p);
    }
    let n = members.len() as f64;
    sums.iter_mut().for_each(|sum| *sum /= n);
    let scores =
        Scores { kind: ScoreKind::Probs, values: Values::F64(sums), n_classes: first.scores.n_classes };
    Predictions::new(scores, first.labels.clone())?.with_weights(first.weights.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_are_averaged_and_not_logits() {
        let logits = |z: f32| Predictions::from_logits(vec![z, 0.0], 2, vec![0]).unwrap();
        let Values::F64(probs) = ensemble(&[logits(0.0), logits(3.0_f32.ln())]).unwrap().scores.values else {
            panic!("not in double precision")
        };
        // The mean of 1/2 and 3/4.
        assert!((probs[0] - 0.625).abs() < 1e-7 && (probs[1] - 0.375).abs() < 1e-7, "{probs:?}");
    }

    #[test]
    fn members_must_be_of_the_same_rows() {
        let member =
            |labels: Vec<i64>| Predictions::from_logits(vec![0.0; 2 * labels.len()], 2, labels).unwrap();
        assert!(matches!(ensemble(&[]), Err(Error::Config { .. })));
        assert!(matches!(ensemble(&[member(vec![0]), member(vec![0, 1])]), Err(Error::Core(_))));
        let other = ensemble(&[member(vec![0, 1]), member(vec![0, 0])]).unwrap_err().to_string();
        assert!(other.contains("row 1 has the label 1"), "{other}");
    }
}
