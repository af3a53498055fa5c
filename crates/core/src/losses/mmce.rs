//! MMCE: a kernel estimate of the calibration error of a batch beside cross-entropy
//! (Kumar et al., ICML 2018).

use super::row_loss::{fold_rows, sweep};
use super::{Accepts, Batch, Entry, Form, GradientKind, Loss, LossInfo, LossState, LossValue};
use crate::batch::Scalar;
use crate::error::Result;
use crate::kernels::math::exp;
use crate::parameters::{Parameter, Parameters};

pub(super) const ENTRY: Entry = Entry { info: &INFO, make: |p| Ok(Box::new(Mmce::of(p)?)) };

const STRENGTH: Parameter = Parameter::number("strength", 1.0, 0.0, 1e3, "the strength λ");
const BANDWIDTH: Parameter =
    Parameter::number("bandwidth", 0.4, 1e-3, 1e3, "the width b of the Laplace kernel, in confidence");

const INFO: LossInfo = LossInfo {
    name: "mmce",
    summary: "cross-entropy plus a kernel estimate of the calibration error of the batch's predicted classes",
    formula: "-ln p_y + λ·√(mean_ij r_i·r_j·exp(-|c_i - c_j|/b)), r = [right] - c, c the confidence",
    parameters: &[STRENGTH, BANDWIDTH, Form::PARAMETER],
    plain: &[("strength", 0.0)],
    paper: "Kumar et al. 2018 (ICML), PMLR 80",
    accepts: Accepts::Labels,
    gradient: GradientKind::Exact,
    fused: false,
    separable: false,
};

/// MMCE: cross-entropy plus `λ·√Q`, `Q = mean_ij r_i r_j exp(-|c_i - c_j|/b)`, where `c_i` is the confidence
/// of row `i` and `r_i` is `1 - c_i` if its prediction is right, else `-c_i`. In nats and fractions.
///
/// Calibrates the predicted class without bins. `Q` is a figure of the **whole batch**, as the auxiliary
/// term of [`Mdca`](super::Mdca) is, and enters reductions and weights in the same way. It is computed in
/// `O(n log n)`, exactly: the kernel splits into running sums over the sorted confidences.
///
/// The authors' code ([`Form::Code`]) adds `λ·Q` without the root. Whether a prediction is right is not
/// differentiated; the gradient is exact wherever no prediction changes and no two confidences cross.
///
/// # Shapes
/// As for [`CrossEntropy`](super::CrossEntropy).
///
/// # Errors
/// [`Error::TargetKind`](crate::Error::TargetKind) for smoothed or soft targets; see also
/// [`Loss::value_grad_f32`].
///
/// # Examples
/// ```
/// use candor::losses::{Batch, Loss, Mmce};
/// use candor::{Buffers, Labels, Targets};
/// let targets = Targets::labels(Labels::new(&[0, 0], 2)?);
/// let batch = Batch::new(Buffers::Forward(&[0.0; 4]), &targets);
/// // Both rows are right with confidence 1/2: r = 1/2, the kernel is 1, and √Q = 1/2.
/// let value = Mmce::new(1.0)?.value_grad_f64(batch, &mut Default::default())?;
/// assert!((value.loss - 2.0_f64.ln() - 0.5).abs() < 1e-12);
/// # Ok::<(), candor::Error>(())
/// ```
///
/// # References
/// Kumar, Sarawagi & Jain, *Trainable Calibration Measures for Neural Networks from Kernel Mean Embeddings*,
/// ICML 2018, PMLR 80.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mmce {
    strength: f64,
    bandwidth: f64,
    form: Form,
}

/// What the term needs of a row.
#[derive(Debug, Clone, Copy)]
struct Rated {
    index: usize,
    confidence: f64,
    residual: f64,
    weight: f64,
}

impl Mmce {
    /// A strength λ in `[0, 1000]`, with the published kernel width 0.4.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange).
    pub fn new(strength: f64) -> Result<Self> {
        STRENGTH.check(strength)?;
        Ok(Self { strength, bandwidth: 0.4, form: Form::Paper })
    }

    /// With another kernel width.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange).
    pub fn bandwidth(self, bandwidth: f64) -> Result<Self> {
        BANDWIDTH.check(bandwidth)?;
        Ok(Self { bandwidth, ..self })
    }

    /// With the root of the paper, or the square that the code computes.
    pub fn form(self, form: Form) -> Self {
        Self { form, ..self }
    }

    fn of(parameters: &Parameters) -> Result<Self> {
        let loss = Self::new(parameters.number("strength"))?.form(Form::of(parameters));
        loss.bandwidth(parameters.number("bandwidth"))
    }

    fn sweep<T: Scalar>(&self, batch: Batch<'_, T>) -> Result<LossValue> {
        let rated = fold_rows(
            &INFO,
            &batch,
            Vec::new,
            |rated, row, weight| {
                let right = row.label()? == row.predicted();
                let confidence = row.probs()[row.predicted()];
                // 1 - c as the sum of the others, so that it does not cancel.
                let residual = if right { row.other(row.predicted()).0 } else { -confidence };
                rated.push(Rated { index: row.index(), confidence, residual, weight });
                Ok(())
            },
            |all, mut block| all.append(&mut block),
        )?;
        let (term, slopes) = self.term(&rated, batch.targets.n_rows());
        sweep(&INFO, batch, &|row, _, gradient| {
            row.label()?;
            let loss = row.cross_entropy(gradient);
            let top = row.predicted();
            row.add_residual(top, -slopes[row.index()] * row.probs()[top], gradient);
            Ok(loss + term)
        })
    }

    /// `λ·√Q`, and by row its derivative by that row's confidence over the row's share of the weight.
    fn term(&self, rated: &[Rated], n_rows: usize) -> (f64, Vec<f64>) {
        let mut slopes = vec![0.0; n_rows];
        let total: f64 = rated.iter().map(|row| row.weight).sum();
        if total == 0.0 || self.strength == 0.0 {
            return (0.0, slopes);
        }
        let mut sorted = rated.to_vec();
        sorted.sort_by(|a, b| a.confidence.total_cmp(&b.confidence));
        let decay = |from: &Rated, to: &Rated| exp(-(to.confidence - from.confidence).abs() / self.bandwidth);
        let same = |a: &Rated, b: &Rated| a.confidence == b.confidence;
        // For each row Σ_j w_j r_j k_ij over the rows below, beside and above it; equal ones are beside.
        let mut below = vec![0.0; sorted.len()];
        let mut above = vec![0.0; sorted.len()];
        let mut beside = vec![0.0; sorted.len()];
        let groups: Vec<&[Rated]> = sorted.chunk_by(same).collect();
        let sums: Vec<f64> =
            groups.iter().map(|group| group.iter().map(|row| row.weight * row.residual).sum()).collect();
        let mut start = 0;
        let mut running = 0.0;
        for (i, group) in groups.iter().enumerate() {
            if i > 0 {
                running = (running + sums[i - 1]) * decay(&groups[i - 1][0], &group[0]);
            }
            below[start..start + group.len()].fill(running);
            beside[start..start + group.len()].fill(sums[i]);
            start += group.len();
        }
        running = 0.0;
        for (i, group) in groups.iter().enumerate().rev() {
            if i + 1 < groups.len() {
                running = (running + sums[i + 1]) * decay(&group[0], &groups[i + 1][0]);
            }
            above[start - group.len()..start].fill(running);
            start -= group.len();
        }
        let kernel = |i: usize| below[i] + beside[i] + above[i];
        let sum: f64 = sorted.iter().enumerate().map(|(i, row)| row.weight * row.residual * kernel(i)).sum();
        // A quadratic form of a positive kernel; rounding may leave it just below 0.
        let square = (sum / total / total).max(0.0);
        let (term, outer) = match self.form {
            Form::Code => (square, 2.0),
            Form::Paper if square == 0.0 => (0.0, 0.0),
            Form::Paper => (square.sqrt(), 1.0 / square.sqrt()),
        };
        for (i, row) in sorted.iter().enumerate() {
            let inner = -kernel(i) - row.residual * (below[i] - above[i]) / self.bandwidth;
            slopes[row.index] = self.strength * outer * inner / total;
        }
        (self.strength * term, slopes)
    }
}

impl Loss for Mmce {
    fn info(&self) -> &'static LossInfo {
        &INFO
    }

    fn value_grad_f32(&self, batch: Batch<'_, f32>, _: &mut LossState) -> Result<LossValue> {
        self.sweep(batch)
    }

    fn value_grad_f64(&self, batch: Batch<'_, f64>, _: &mut LossState) -> Result<LossValue> {
        self.sweep(batch)
    }
}

#[cfg(test)]
mod tests {
    use super::super::on_row::{assert_close, assert_labels_only, on_row};
    use super::*;

    #[test]
    fn by_hand() {
        // p = (3/4, 1/4), wrong: r = -3/4, Q = 9/16, d√Q/dc = 1, dc/dz = (3/16, -3/16).
        let z = [3.0_f64.ln(), 0.0];
        let loss = Mmce::new(2.0).unwrap();
        let want = 4.0_f64.ln() + 1.5;
        assert_close(on_row(&loss, &z, 1).unwrap(), want, &[0.75 + 0.375, -0.75 - 0.375]);
        // The square: 9/16, and its derivative 3/2.
        let want = 4.0_f64.ln() + 1.125;
        let push = 2.0 * 1.5 * 0.1875;
        assert_close(on_row(&loss.form(Form::Code), &z, 1).unwrap(), want, &[0.75 + push, -0.75 - push]);
    }

    #[test]
    fn running_sums_are_the_double_sum() {
        let confidence = [0.9, 0.3, 0.5, 0.5, 0.99, 0.3, 0.7];
        let rated: Vec<Rated> = confidence
            .iter()
            .enumerate()
            .map(|(index, &confidence)| {
                let right = f64::from(u8::from(index % 3 != 0));
                Rated { index, confidence, residual: right - confidence, weight: 1.0 + index as f64 }
            })
            .collect();
        let total: f64 = rated.iter().map(|row| row.weight).sum();
        let mut sum = 0.0;
        for a in &rated {
            for b in &rated {
                let kernel = (-(a.confidence - b.confidence).abs() / 0.4).exp();
                sum += a.weight * b.weight * a.residual * b.residual * kernel;
            }
        }
        let (term, _) = Mmce::new(1.0).unwrap().term(&rated, rated.len());
        assert!((term - sum.sqrt() / total).abs() < 1e-14, "{term}");
    }

    #[test]
    fn labels_only_and_the_ranges() {
        let loss = Mmce::new(1.0).unwrap();
        assert_labels_only(&loss);
        assert!(Mmce::new(-1.0).is_err() && loss.bandwidth(0.0).is_err());
    }
}
