//! Zipf label smoothing: the other classes are asked to follow Zipf's law in their own order
//! (Liang et al., ECCV 2022).

use super::row::{Row, Work};
use super::{Accepts, Entry, Form, GradientKind, LossInfo, RowLoss};
use crate::error::Result;
use crate::kernels::math::{exp, ln};
use crate::parameters::Parameter;

pub(super) const ENTRY: Entry = Entry {
    info: &INFO,
    make: |p| {
        let loss = Zipf::new(p.number("strength"), p.number("power"))?.form(Form::of(p));
        let loss = if p.word("ranks") == "votes" { loss.ranked_by_votes() } else { loss };
        Ok(Box::new(if p.word("rows") == "right" { loss.right_rows_only() } else { loss }))
    },
};

const STRENGTH: Parameter = Parameter::number("strength", 0.1, 0.0, 1e3, "the strength λ");
const POWER: Parameter = Parameter::number("power", 1.0, 0.0, 100.0, "the exponent s of the rank");
const RANKS: Parameter = Parameter::choice(
    "ranks",
    "logits",
    &["logits", "votes"],
    "what ranks the classes: the logits, or the votes given as the batch's teacher rows",
);
const ROWS: Parameter = Parameter::choice(
    "rows",
    "all",
    &["all", "right"],
    "which rows are smoothed: all, or those whose prediction is right",
);

const INFO: LossInfo = LossInfo {
    name: "zipf",
    summary: "smoothing of the other classes towards Zipf's law over their current ranks; keeps which classes are alike",
    formula: "-ln p_y + λ·KL(t, softmax of z without z_y), t_k proportional to rank_k^-s",
    parameters: &[STRENGTH, POWER, Form::PARAMETER, RANKS, ROWS],
    plain: &[("strength", 0.0)],
    paper: "Liang et al. 2022 (ECCV)",
    accepts: Accepts::Labels,
    gradient: GradientKind::Exact,
    fused: false,
    separable: true,
};

/// Zipf label smoothing, in nats: `-ln p_y + λ·KL(t ‖ p̃)`, with `p̃` the softmax over the classes other than
/// the label and `t_k ∝ rank_k^-s`.
///
/// Smoothing that differs by sample without a teacher: the classes that the model finds next likely get
/// more. The ranks are those of the logits, 1 for the largest, and ties share the better rank; they
/// change where two logits cross, and are constant between, so the gradient is exact.
///
/// The authors also rank by the votes of the positions of the last feature map, each for its most likely
/// class. A loss over logits does not see that map, so the votes are an input of their own
/// ([`ranked_by_votes`](Self::ranked_by_votes)): counts `[n, n_classes]`, given as
/// [`Batch::teacher`](super::Batch::teacher). Their public code can leave out the term where the prediction
/// is wrong ([`right_rows_only`](Self::right_rows_only)).
///
/// Ranks count the other classes only. In the authors' code ([`Form::Code`]) they count all classes and the
/// label is then deleted, so that a rank is missing wherever the label stands.
///
/// # Shapes
/// As for [`CrossEntropy`](super::CrossEntropy).
///
/// # Errors
/// [`Error::TargetKind`](crate::Error::TargetKind) for smoothed or soft targets,
/// [`Error::Missing`](crate::Error::Missing) where votes are wanted and not given; see also
/// [`Loss::value_grad_f32`](super::Loss::value_grad_f32).
///
/// # Examples
/// ```
/// use candor::losses::{Batch, Loss, Zipf};
/// use candor::{Buffers, Labels, Targets};
/// let targets = Targets::labels(Labels::new(&[0], 4)?);
/// let batch = Batch::new(Buffers::Forward(&[2.0, -1.0, 0.5, 0.1]), &targets);
/// let value = Zipf::new(0.1, 1.0)?.value_grad_f64(batch, &mut Default::default())?;
/// assert!((value.loss - 0.3549354601).abs() < 1e-9);
/// # Ok::<(), candor::Error>(())
/// ```
///
/// # References
/// Liang et al., *Efficient One Pass Self-distillation with Zipf's Label Smoothing*, ECCV 2022.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Zipf {
    strength: f64,
    power: f64,
    form: Form,
    by_votes: bool,
    right_only: bool,
}

impl Zipf {
    /// A strength λ in `[0, 1000]` and an exponent `s` in `[0, 100]`.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange).
    pub fn new(strength: f64, power: f64) -> Result<Self> {
        STRENGTH.check(strength)?;
        POWER.check(power)?;
        Ok(Self { strength, power, form: Form::Paper, by_votes: false, right_only: false })
    }

    /// With ranks over the other classes, or over all with the label deleted.
    pub fn form(self, form: Form) -> Self {
        Self { form, ..self }
    }

    /// With ranks by votes, the rows of [`Batch::teacher`](super::Batch::teacher): the class of most votes
    /// is the first.
    pub fn ranked_by_votes(self) -> Self {
        Self { by_votes: true, ..self }
    }

    /// With plain cross-entropy for rows whose prediction is wrong.
    pub fn right_rows_only(self) -> Self {
        Self { right_only: true, ..self }
    }
}

impl RowLoss for Zipf {
    fn info(&self) -> &'static LossInfo {
        &INFO
    }

    fn row(&self, row: &Row<'_>, work: &mut Work, gradient: &mut [f64]) -> Result<f64> {
        let label = row.label()?;
        let loss = row.cross_entropy(gradient);
        let votes = if self.by_votes { row.teacher()? } else { row.logits() };
        if row.len() == 1 || self.strength == 0.0 || (self.right_only && row.predicted() != label) {
            return Ok(loss);
        }
        let (_, log_other) = row.other(label);
        let (order, [log_target]) = work.descending(votes);
        let (mut counted, mut rank, mut last) = (0, 0, f64::INFINITY);
        let mut sum = 0.0;
        for &k in order {
            if k != label || self.form == Form::Code {
                counted += 1;
                if votes[k] < last {
                    (rank, last) = (counted, votes[k]);
                }
            }
            if k != label {
                log_target[k] = -self.power * ln(f64::from(rank));
                sum += exp(log_target[k]);
            }
        }
        let log_sum = ln(sum);
        let mut divergence = 0.0;
        for (k, g) in gradient.iter_mut().enumerate().filter(|(k, _)| *k != label) {
            let log_t = log_target[k] - log_sum;
            let log_p = row.log_probs()[k] - log_other;
            divergence += exp(log_t) * (log_t - log_p);
            *g += self.strength * (exp(log_p) - exp(log_t));
        }
        Ok(loss + self.strength * divergence)
    }
}

#[cfg(test)]
mod tests {
    use super::super::on_row::{assert_close, assert_labels_only, on_row, on_taught_row};
    use super::*;

    /// The gradient on the classes 1 and 2 of three, less that of cross-entropy, for the label 0.
    fn push(loss: Zipf, z: &[f64; 3]) -> [f64; 2] {
        let plain = on_row(&super::super::CrossEntropy, z, 0).unwrap().1;
        let got = on_row(&loss, z, 0).unwrap().1;
        [got[1] - plain[1], got[2] - plain[2]]
    }

    #[test]
    fn ranks_count_the_others_or_all() {
        let loss = Zipf::new(1.0, 1.0).unwrap();
        // Order 1, 0, 2; without the label the ranks are 1 and 2, with it 1 and 3.
        let z = [1.0, 2.0, 0.0];
        let p = 1.0 / (1.0 + (-2.0_f64).exp());
        for (form, first) in [(Form::Paper, 2.0 / 3.0), (Form::Code, 3.0 / 4.0)] {
            let [one, two] = push(loss.form(form), &z);
            assert!((one - (p - first)).abs() < 1e-12 && (two + (p - first)).abs() < 1e-12, "{form:?}");
        }
    }

    #[test]
    fn ties_share_a_rank() {
        let got = on_row(&Zipf::new(1.0, 1.0).unwrap(), &[0.0, 1.0, 1.0], 0).unwrap();
        let plain = on_row(&super::super::CrossEntropy, &[0.0, 1.0, 1.0], 0).unwrap();
        assert_close(got, plain.0, &plain.1);
    }

    #[test]
    fn votes_rank_instead_of_the_logits() {
        let loss = Zipf::new(1.0, 1.0).unwrap();
        let z = [1.0, 2.0, 0.0];
        // Two votes for class 2, none for class 1: their ranks change places.
        let want = push(loss, &[1.0, 0.0, 2.0]);
        let plain = on_row(&super::super::CrossEntropy, &z, 0).unwrap().1;
        let got = on_taught_row(&loss.ranked_by_votes(), &z, 0, &[5.0, 0.0, 2.0]).unwrap().1;
        let p = 1.0 / (1.0 + (-2.0_f64).exp());
        assert!((got[1] - plain[1] - (p - 1.0 / 3.0)).abs() < 1e-12, "{got:?}");
        assert!((want[1] - (p - 2.0 / 3.0)).abs() < 1e-12, "{want:?}");
        let missing = on_row(&loss.ranked_by_votes(), &z, 0);
        assert!(matches!(missing, Err(crate::Error::Missing { .. })), "{missing:?}");
    }

    #[test]
    fn a_wrong_prediction_can_be_left_to_cross_entropy() {
        let loss = Zipf::new(1.0, 1.0).unwrap();
        for (label, wrong) in [(0, false), (2, true)] {
            let z = [3.0, 1.0, 0.0];
            let plain = on_row(&super::super::CrossEntropy, &z, label).unwrap();
            let whole = on_row(&loss, &z, label).unwrap();
            let want = if wrong { plain } else { whole };
            assert_close(on_row(&loss.right_rows_only(), &z, label).unwrap(), want.0, &want.1);
        }
    }

    #[test]
    fn labels_only_and_the_ranges() {
        assert_labels_only(&Zipf::new(0.1, 1.0).unwrap());
        assert!(Zipf::new(-0.1, 1.0).is_err() && Zipf::new(0.1, f64::NAN).is_err());
    }
}
