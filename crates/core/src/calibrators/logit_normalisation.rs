//! A confidence score for selective classification: the largest logit over a p-norm (Cattelan & Silva 2024).
//!
//! Label smoothing makes the softmax confidence rank errors worse (Xia et al. 2025); dividing the largest
//! centred logit by a norm of all of them ranks better. The score is no probability: it orders rows by trust
//! and says nothing about how often they are right.

use serde::{Deserialize, Serialize};

use super::fit_report::Ending;
use super::{CalibrationMap, CalibratorInfo, Entry, Fit, Fitting, Output, Sample, WarningCode, rows};
use crate::error::{Result, check_range};
use crate::parameters::{Parameter, Parameters};

const INFO: CalibratorInfo = CalibratorInfo {
    name: "logit_normalisation",
    summary: "a score that ranks predictions for rejection, not a probability; mends the ranking of smoothed models",
    formula: "max_k ẑ_k / ‖ẑ‖_p, ẑ = z - mean(z); p by the lowest AURC, or max softmax(z)",
    preserves_accuracy: true,
    output: Output::Confidence,
    fitting: Fitting::Search,
    parameters: &[Parameter::whole(
        "max_p",
        10.0,
        1.0,
        100.0,
        "the powers 1, 2, … up to this are tried, beside the largest softmax probability",
    )],
    paper: "Cattelan & Silva 2024, arXiv:2305.15508; Xia et al. 2025, arXiv:2403.14715",
};

pub(super) const ENTRY: Entry = Entry { info: &INFO, fit };

/// `max ẑ / ‖ẑ‖_p`, or the largest softmax probability where no p ranks better.
///
/// Calibrated logits are the logits themselves; [`Map::confidence`](super::Map::confidence) gives the score.
///
/// # Examples
/// ```
/// use candor::calibrators::{LogitNormalisation, Map};
/// let map = Map::from(LogitNormalisation { p: Some(2.0) });
/// let score = map.confidence(candor::Logits::new(&[3.0, 0.0], 2)?, None)?;
/// assert!((score[0] - 0.5_f64.sqrt()).abs() < 1e-15);
/// # Ok::<(), candor::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LogitNormalisation {
    /// The power; `None` for the largest softmax probability.
    pub p: Option<f64>,
}

fn fit(sample: &Sample, parameters: &Parameters) -> Result<Fit> {
    let powers = (1..=parameters.number("max_p") as usize).map(|p| Some(p as f64));
    // The largest softmax probability comes first, so a tie keeps it.
    let mut best: Option<(f64, LogitNormalisation)> = None;
    for p in std::iter::once(None).chain(powers) {
        let map = LogitNormalisation { p };
        let aurc = weighted_aurc(sample, map);
        if best.is_none_or(|(lowest, _)| aurc < lowest) {
            best = Some((aurc, map));
        }
    }
    let map = best.map_or(LogitNormalisation { p: None }, |(_, map)| map);
    let mut ending = Ending::direct();
    if map.p.is_none() {
        ending.warn(WarningCode::NoGain);
    }
    Ok(Fit::new(map.into(), sample, ending))
}

/// The area under the risk-coverage curve; rows of equal confidence share their risk.
fn weighted_aurc(sample: &Sample, map: LogitNormalisation) -> f64 {
    let mut scratch = vec![0.0; sample.n_classes()];
    let mut ranked: Vec<(f64, f64, f64)> = (0..sample.n_rows())
        .map(|row| {
            let logits = sample.row(row);
            let wrong = f64::from(u8::from(rows::argmax(logits) != sample.labels()[row]));
            (map.confidence_row(logits, None, &mut scratch), wrong, sample.weights()[row])
        })
        .collect();
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
    let (mut area, mut errors, mut seen) = (0.0, 0.0, 0.0);
    for ties in ranked.chunk_by(|a, b| a.0 == b.0) {
        let weight: f64 = ties.iter().map(|row| row.2).sum();
        let rate = ties.iter().map(|row| row.1 * row.2).sum::<f64>() / weight;
        for row in ties {
            errors += rate * row.2;
            seen += row.2;
            area += row.2 * errors / seen;
        }
    }
    area / seen
}

impl CalibrationMap for LogitNormalisation {
    fn info(&self) -> &'static CalibratorInfo {
        &INFO
    }

    fn n_parameters(&self) -> usize {
        1
    }

    fn check(&self) -> Result<()> {
        self.p.map_or(Ok(()), |p| check_range("the power p", p, 1.0, 100.0))
    }

    fn apply_row(&self, logits: &[f64], _: Option<&str>, out: &mut [f64]) {
        out.copy_from_slice(logits);
    }

    fn confidence_row(&self, logits: &[f64], _: Option<&str>, scratch: &mut [f64]) -> f64 {
        let Some(p) = self.p else {
            scratch.copy_from_slice(logits);
            rows::softmax_in_place(scratch);
            return rows::max(scratch);
        };
        let allowed = || logits.iter().copied().filter(|z| *z != f64::NEG_INFINITY);
        let count = allowed().count() as f64;
        let mean = allowed().map(|z| z / count).sum::<f64>();
        let largest = allowed().map(|z| (z - mean).abs()).fold(0.0, f64::max);
        // Equal logits have no direction: the least possible score.
        if largest == 0.0 {
            return 0.0;
        }
        let sum: f64 = allowed().map(|z| ((z - mean).abs() / largest).powf(p)).sum();
        ((rows::max(logits) - mean) / largest) / sum.powf(1.0 / p)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{Labels, Logits};
    use crate::metrics::{RankedRows, selective_risk};
    use crate::random::Stream;

    #[test]
    fn the_chosen_power_has_the_lowest_aurc_and_the_area_is_that_of_the_metric() {
        let mut stream = Stream::new(3, "p-norm", 0, 0);
        let logits: Vec<f64> = (0..4 * 300).map(|_| stream.normal()).collect();
        let labels: Vec<i64> = (0..300).map(|_| stream.below(4) as i64).collect();
        let sample =
            Sample::from_logits(Logits::new(&logits, 4).unwrap(), Labels::new(&labels, 4).unwrap()).unwrap();
        let map = LogitNormalisation { p: Some(3.0) };
        let mut ranked = RankedRows::default();
        for (row, label) in logits.chunks_exact(4).zip(&labels) {
            let score = map.confidence_row(row, None, &mut [0.0; 4]);
            ranked.update(score, rows::argmax(row) as i64 == *label);
        }
        let want = selective_risk(&ranked).unwrap().aurc;
        assert!((weighted_aurc(&sample, map) - want).abs() < 1e-12);
        let fitted = fit(&sample, &Parameters::defaults(INFO.parameters)).unwrap();
        let super::super::Map::LogitNormalisation(chosen) = fitted.map else { panic!("another map") };
        for p in std::iter::once(None).chain((1..=10).map(|p| Some(f64::from(p)))) {
            assert!(weighted_aurc(&sample, chosen) <= weighted_aurc(&sample, LogitNormalisation { p }));
        }
    }

    #[test]
    fn equal_logits_score_least() {
        let map = LogitNormalisation { p: Some(2.0) };
        assert_eq!(map.confidence_row(&[5.0, 5.0], None, &mut [0.0; 2]), 0.0);
        assert!(map.confidence_row(&[1e-300, 0.0], None, &mut [0.0; 2]) > 0.7);
    }
}
