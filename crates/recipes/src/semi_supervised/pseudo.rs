//! What becomes of a prediction for an unlabelled row: the rules of pseudo-labels, and how wrong they are.

use candor::losses::LossState;
use candor::targets::ConfidenceAdaptive;
use candor::{Convention, Labels, Targets};

use crate::config::{Config, SemiConfig};
use crate::error::{Error, Result};

/// The rules' names, in the order in which they are compared.
pub(super) const RULES: [&str; 5] = ["hard", "smoothed", "adaptive", "sharpened", "threshold"];

/// How a prediction becomes a target.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Rule {
    /// The most probable class.
    Hard,
    /// The same, smoothed with a constant strength.
    Smoothed { strength: f64, convention: Convention },
    /// The same, smoothed the more the less confident it is.
    Adaptive(ConfidenceAdaptive),
    /// The prediction itself with a temperature below 1.
    Sharpened { temperature: f64 },
    /// The most probable class, where it is probable enough (FixMatch: Sohn et al. 2020).
    Threshold { least: f64 },
}

impl Rule {
    fn new(config: &Config) -> Result<Self> {
        let semi: &SemiConfig = &config.semi;
        Ok(match semi.pseudo.as_str() {
            "hard" => Rule::Hard,
            "smoothed" => {
                Rule::Smoothed { strength: semi.pseudo_smoothing, convention: config.loss.convention }
            }
            "adaptive" => Rule::Adaptive(ConfidenceAdaptive::new(semi.pseudo_smoothing, semi.pseudo_gamma)?),
            "sharpened" => Rule::Sharpened { temperature: semi.pseudo_temperature },
            "threshold" => Rule::Threshold { least: semi.threshold },
            name => return Err(Error::Core(candor::registry::unknown("pseudo-label rule", name, RULES))),
        })
    }
}

/// Checks the rule of a configuration.
///
/// # Errors
/// An unknown name, a strength that is illegal for these classes.
pub(super) fn check(config: &Config, n_classes: usize) -> Result<()> {
    let row = vec![0.0; n_classes];
    Round::new(config, 1, &row, n_classes, &[0], None).map(|_| ())
}

/// The pseudo-labels of a round.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Round {
    /// Targets `[rows, n_classes]`; a row that is not kept holds zeros.
    pub targets: Vec<f32>,
    /// The most probable class of each row in the first round.
    first: Vec<usize>,
    /// The round, from 1; 0 before the first.
    pub number: usize,
    /// What is measured of it.
    pub figures: Figures,
}

/// How wrong pseudo-labels are.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Figures {
    /// Share of rows that are kept.
    pub kept: f64,
    /// Share of kept rows whose most probable class is not the true one.
    pub wrong: f64,
    /// Mean confidence of those, 0 without any.
    pub confidence_wrong: f64,
    /// Mean confidence of the right ones among the kept.
    pub confidence_right: f64,
    /// Share of all rows whose most probable class is not the true one.
    pub error: f64,
    /// Of the rows that were wrong in the first round, the share that have the same wrong class now.
    pub persistent: f64,
}

impl Figures {
    /// Names and values, in a fixed order.
    pub fn named(&self) -> [(&'static str, f64); 6] {
        [
            ("pseudo_kept", self.kept),
            ("pseudo_wrong", self.wrong),
            ("pseudo_confidence_wrong", self.confidence_wrong),
            ("pseudo_confidence_right", self.confidence_right),
            ("pseudo_error", self.error),
            ("pseudo_persistent", self.persistent),
        ]
    }
}

impl Round {
    /// Pseudo-labels from logits `[rows, n_classes]`; `truth` is looked at to count errors only.
    pub fn new(
        config: &Config,
        number: usize,
        logits: &[f32],
        n_classes: usize,
        truth: &[i64],
        before: Option<&Round>,
    ) -> Result<Self> {
        let rule = Rule::new(config)?;
        let probs: Vec<Vec<f64>> = logits.chunks_exact(n_classes).map(|row| softmax(row, 1.0)).collect();
        let predicted: Vec<usize> = probs.iter().map(|row| top(row)).collect();
        let confidence: Vec<f64> =
            probs.iter().zip(&predicted).map(|(row, class)| row[*class].min(1.0)).collect();
        let labels: Vec<i64> = predicted.iter().map(|class| *class as i64).collect();
        let labels = Labels::new(&labels, n_classes)?;
        let mut targets = match rule {
            Rule::Hard | Rule::Threshold { .. } => Targets::labels(labels).dense_matrix(),
            Rule::Smoothed { strength, convention } => {
                convention.rule(strength, n_classes)?.targets(labels)?.dense_matrix()
            }
            Rule::Adaptive(rule) => rule.targets(labels, &confidence)?.dense_matrix(),
            Rule::Sharpened { temperature } => {
                logits.chunks_exact(n_classes).flat_map(|row| softmax(row, temperature)).collect()
            }
        };
        let kept: Vec<bool> = match rule {
            Rule::Threshold { least } => confidence.iter().map(|confidence| *confidence >= least).collect(),
            _ => vec![true; confidence.len()],
        };
        for (row, _) in targets.chunks_exact_mut(n_classes).zip(&kept).filter(|(_, kept)| !**kept) {
            row.fill(0.0);
        }
        let first = before
            .filter(|round| round.number > 0)
            .map_or_else(|| predicted.clone(), |round| round.first.clone());
        let figures = measure(&predicted, &confidence, &kept, &first, truth);
        Ok(Self { targets: targets.iter().map(|mass| *mass as f32).collect(), first, number, figures })
    }

    /// Whether a row is kept.
    pub fn keeps(&self, row: usize, n_classes: usize) -> bool {
        self.targets[row * n_classes..(row + 1) * n_classes].iter().any(|mass| *mass > 0.0)
    }

    /// For a checkpoint.
    pub fn state(&self) -> LossState {
        let wide = |values: &[f32]| values.iter().map(|value| f64::from(*value)).collect();
        LossState {
            arrays: [
                ("targets".to_owned(), wide(&self.targets)),
                ("first".to_owned(), self.first.iter().map(|class| *class as f64).collect()),
                ("round".to_owned(), vec![self.number as f64]),
                ("figures".to_owned(), self.figures.named().map(|(_, value)| value).to_vec()),
            ]
            .into(),
        }
    }

    /// From a checkpoint; one of a run before its first round is empty.
    pub fn from_state(state: &LossState) -> Self {
        let array = |name: &str| state.arrays.get(name).cloned().unwrap_or_default();
        let figures = array("figures");
        let figure = |index: usize| figures.get(index).copied().unwrap_or_default();
        Self {
            targets: array("targets").iter().map(|value| *value as f32).collect(),
            first: array("first").iter().map(|class| *class as usize).collect(),
            number: array("round").first().map_or(0, |number| *number as usize),
            figures: Figures {
                kept: figure(0),
                wrong: figure(1),
                confidence_wrong: figure(2),
                confidence_right: figure(3),
                error: figure(4),
                persistent: figure(5),
            },
        }
    }
}

fn measure(
    predicted: &[usize],
    confidence: &[f64],
    kept: &[bool],
    first: &[usize],
    truth: &[i64],
) -> Figures {
    let rows = || (0..predicted.len()).map(|row| (row, predicted[row] as i64 != truth[row]));
    let mean = |values: &[f64]| {
        if values.is_empty() { 0.0 } else { values.iter().sum::<f64>() / values.len() as f64 }
    };
    let share = |part: usize, whole: usize| if whole == 0 { 0.0 } else { part as f64 / whole as f64 };
    let of = |wanted: bool| -> Vec<f64> {
        rows().filter(|(row, wrong)| kept[*row] && *wrong == wanted).map(|(row, _)| confidence[row]).collect()
    };
    let (wrong, right) = (of(true), of(false));
    let began_wrong = |row: &usize| first[*row] as i64 != truth[*row];
    let stayed =
        (0..predicted.len()).filter(|row| began_wrong(row) && predicted[*row] == first[*row]).count();
    Figures {
        kept: share(wrong.len() + right.len(), predicted.len()),
        wrong: share(wrong.len(), wrong.len() + right.len()),
        confidence_wrong: mean(&wrong),
        confidence_right: mean(&right),
        error: share(rows().filter(|(_, wrong)| *wrong).count(), predicted.len()),
        persistent: share(stayed, (0..predicted.len()).filter(began_wrong).count()),
    }
}

fn softmax(logits: &[f32], temperature: f64) -> Vec<f64> {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let exps: Vec<f64> = logits.iter().map(|z| (f64::from(z - largest) / temperature).exp()).collect();
    let sum: f64 = exps.iter().sum();
    exps.iter().map(|e| e / sum).collect()
}

fn top(row: &[f64]) -> usize {
    // The first of equal ones.
    (0..row.len()).rev().max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(pseudo: &str, change: impl Fn(&mut SemiConfig)) -> Round {
        let mut config = Config::default();
        config.semi.pseudo = pseudo.to_owned();
        change(&mut config.semi);
        // Probabilities .8 and .2; .4 and .6; of two rows whose true classes are 0 and 0.
        let logits = [0.8f32.ln(), 0.2f32.ln(), 0.4f32.ln(), 0.6f32.ln()];
        Round::new(&config, 1, &logits, 2, &[0, 0], None).unwrap()
    }

    fn close(found: &[f32], wanted: [f32; 4]) {
        assert!(found.iter().zip(wanted).all(|(a, b)| (a - b).abs() < 1e-6), "{found:?} {wanted:?}");
    }

    #[test]
    fn each_rule_by_hand() {
        close(&round("hard", |_| {}).targets, [1.0, 0.0, 0.0, 1.0]);
        close(&round("smoothed", |semi| semi.pseudo_smoothing = 0.2).targets, [0.9, 0.1, 0.1, 0.9]);
        // α(.8) = .5·.4 and α(.6) = .5·.8 with γ = 1.
        close(&round("adaptive", |semi| semi.pseudo_smoothing = 0.5).targets, [0.9, 0.1, 0.2, 0.8]);
        // Squares: .64 to .04 and .16 to .36.
        let sharp = [0.64 / 0.68, 0.04 / 0.68, 0.16 / 0.52, 0.36 / 0.52];
        close(&round("sharpened", |semi| semi.pseudo_temperature = 0.5).targets, sharp);
        let cut = round("threshold", |semi| semi.threshold = 0.7);
        close(&cut.targets, [1.0, 0.0, 0.0, 0.0]);
        assert!(cut.keeps(0, 2) && !cut.keeps(1, 2));
        assert_eq!((cut.figures.kept, cut.figures.wrong, cut.figures.error), (0.5, 0.0, 0.5));
    }

    #[test]
    fn wrong_labels_and_their_confidence_are_counted() {
        let first = round("hard", |_| {});
        let figures = first.figures;
        assert_eq!((figures.kept, figures.wrong, figures.persistent), (1.0, 0.5, 1.0));
        assert!(
            (figures.confidence_wrong - 0.6).abs() < 1e-6 && (figures.confidence_right - 0.8).abs() < 1e-6
        );
        // The wrong row turns round: nothing persists.
        let next =
            Round::new(&Config::default(), 2, &[1.0, 0.0, 1.0, 0.0], 2, &[0, 0], Some(&first)).unwrap();
        assert_eq!((next.figures.wrong, next.figures.persistent, next.number), (0.0, 0.0, 2));
        assert_eq!(Round::from_state(&next.state()), next);
        assert_eq!(Round::from_state(&LossState::default()), Round::default());
    }

    #[test]
    fn unknown_rules_name_the_nearest() {
        let mut config = Config::default();
        config.semi.pseudo = "smooth".to_owned();
        assert!(check(&config, 2).unwrap_err().to_string().contains("\"smoothed\""));
        config.semi.pseudo = "smoothed".to_owned();
        config.semi.pseudo_smoothing = 0.9;
        config.loss.convention = Convention::OffClass;
        assert!(check(&config, 2).is_err());
    }
}
