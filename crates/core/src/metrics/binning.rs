//! Which bin a confidence falls into.

use crate::error::{Result, check_range};

/// Who owns an inner edge, and where the edges lie.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum EdgeRule {
    /// Bins `(a, b]`, 0 in the first, edges `k/n` in double precision: ours, and that of Guo et al. (2017),
    /// scikit-learn and uncertainty-calibration.
    #[default]
    RightClosed,
    /// Bins `[a, b)`, 1 in the last: netcal.
    LeftClosed,
    /// Bins `[a, b)` at the edges of `torch.linspace` in single precision, 1 in a bin of its own: torchmetrics
    /// for several classes.
    Torchmetrics,
    /// The same with edges in double precision: torchmetrics for binary probabilities given in double.
    TorchmetricsDouble,
}

impl std::str::FromStr for EdgeRule {
    type Err = crate::Error;

    fn from_str(name: &str) -> Result<Self> {
        Ok(match name {
            "right_closed" => EdgeRule::RightClosed,
            "left_closed" => EdgeRule::LeftClosed,
            "torchmetrics" => EdgeRule::Torchmetrics,
            "torchmetrics_double" => EdgeRule::TorchmetricsDouble,
            _ => {
                let known = ["right_closed", "left_closed", "torchmetrics", "torchmetrics_double"];
                return Err(crate::registry::unknown("edge rule", name, known));
            }
        })
    }
}

/// Edges of equal-width bins over [0, 1].
///
/// # Examples
/// ```
/// use candor::metrics::{BinEdges, EdgeRule};
/// let edges = BinEdges::equal_width(10, EdgeRule::RightClosed)?;
/// assert_eq!((edges.bin(0.0), edges.bin(0.1), edges.bin(1.0)), (0, 0, 9));
/// let edges = BinEdges::equal_width(10, EdgeRule::LeftClosed)?;
/// assert_eq!((edges.bin(0.0), edges.bin(0.1), edges.bin(1.0)), (0, 1, 9));
/// # Ok::<(), candor::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct BinEdges {
    /// `n_bins + 1` ascending values.
    edges: Vec<f64>,
    rule: EdgeRule,
    /// Whether the edges are `k/n` in double precision.
    even: bool,
}

/// Adding this to a number below 2^51 leaves its rounding in the low bits of the sum.
const ROUND: f64 = 6_755_399_441_055_744.0; // 1.5 * 2^52

/// Largest number of bins accepted.
const MAX_BINS: usize = 100_000;

impl BinEdges {
    /// Edges of `n_bins` bins in `1..=100000`.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) for another number of bins.
    pub fn equal_width(n_bins: usize, rule: EdgeRule) -> Result<Self> {
        check_range("n_bins", n_bins as f64, 1.0, MAX_BINS as f64)?;
        let edges = match rule {
            EdgeRule::RightClosed | EdgeRule::LeftClosed => {
                (0..=n_bins).map(|k| k as f64 / n_bins as f64).collect()
            }
            EdgeRule::Torchmetrics => {
                linspace(n_bins, |n| f64::from(1.0 / n as f32), |x| f64::from(x as f32))
            }
            EdgeRule::TorchmetricsDouble => linspace(n_bins, |n| 1.0 / n, |x| x),
        };
        let even = matches!(rule, EdgeRule::RightClosed | EdgeRule::LeftClosed);
        Ok(Self { edges, rule, even })
    }

    /// Edges of bins that hold neighbouring rows: midway between the mean confidences of neighbours.
    pub(crate) fn of_groups(bins: &[super::Bin]) -> Self {
        let means: Vec<f64> = bins.iter().map(super::Bin::mean_confidence).collect();
        let inner = means.windows(2).map(|pair| 0.5 * (pair[0] + pair[1]));
        let edges = std::iter::once(0.0).chain(inner).chain([1.0]).collect();
        Self { edges, rule: EdgeRule::RightClosed, even: false }
    }

    /// The rule.
    pub fn rule(&self) -> EdgeRule {
        self.rule
    }

    /// Whether the edges are `k/n` in double precision.
    pub(crate) fn are_even(&self) -> bool {
        self.even
    }

    /// Number of bins, torchmetrics' extra one included.
    pub fn n_bins(&self) -> usize {
        let extra = matches!(self.rule, EdgeRule::Torchmetrics | EdgeRule::TorchmetricsDouble);
        self.edges.len() - 1 + usize::from(extra)
    }

    /// Lower and upper edge of a bin; both 1 for the extra bin of torchmetrics.
    ///
    /// # Panics
    /// If `bin` is not below [`n_bins`](Self::n_bins).
    pub fn range(&self, bin: usize) -> (f64, f64) {
        (self.edges[bin], self.edges.get(bin + 1).copied().unwrap_or(1.0))
    }

    /// The bin of a confidence in [0, 1]; values outside and NaN go to the nearest end, NaN to the first bin.
    #[inline]
    pub fn bin(&self, confidence: f64) -> usize {
        if !self.even {
            return self.search(confidence);
        }
        if confidence > 0.0 && confidence < 1.0 {
            // Only the nearest edge can be on either side.
            let nearest = (confidence * (self.edges.len() - 1) as f64 + ROUND).to_bits() as u32 as usize;
            let edge = self.edges[nearest];
            let below =
                if self.rule == EdgeRule::RightClosed { confidence <= edge } else { confidence < edge };
            return nearest - usize::from(below);
        }
        if confidence >= 1.0 { self.edges.len() - 2 } else { 0 }
    }

    /// The bin among edges of any kind.
    fn search(&self, confidence: f64) -> usize {
        let inner = self.edges.len() - 1;
        let value =
            if self.rule == EdgeRule::Torchmetrics { f64::from(confidence as f32) } else { confidence };
        // A guess from the width, put right against the edges themselves.
        let mut bin = ((value * inner as f64) as usize).min(inner - 1);
        match self.rule {
            EdgeRule::RightClosed => {
                while bin > 0 && value <= self.edges[bin] {
                    bin -= 1;
                }
                while bin + 1 < inner && value > self.edges[bin + 1] {
                    bin += 1;
                }
            }
            _ => {
                while bin > 0 && value < self.edges[bin] {
                    bin -= 1;
                }
                while bin + 1 < inner && value >= self.edges[bin + 1] {
                    bin += 1;
                }
                if self.rule != EdgeRule::LeftClosed && value >= 1.0 {
                    bin = inner;
                }
            }
        }
        bin
    }
}

/// `torch.linspace(0, 1, n+1)`: from the start up to the middle, from the end beyond it, in one rounding.
fn linspace(n: usize, step: impl Fn(f64) -> f64, round: impl Fn(f64) -> f64) -> Vec<f64> {
    let step = step(n as f64);
    (0..=n)
        .map(|k| {
            if k < n.div_ceil(2) {
                round(k as f64 * step)
            } else {
                // One rounding: exact in double precision for single-precision steps, fused for double ones.
                round((-((n - k) as f64)).mul_add(step, 1.0))
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_edge_belongs_to_the_side_that_the_rule_says() {
        for n in [1, 2, 7, 10, 15, 20, 100] {
            let right = BinEdges::equal_width(n, EdgeRule::RightClosed).unwrap();
            let left = BinEdges::equal_width(n, EdgeRule::LeftClosed).unwrap();
            for k in 0..=n {
                let edge = k as f64 / n as f64;
                assert_eq!(right.bin(edge), k.saturating_sub(1), "{k}/{n}");
                assert_eq!(left.bin(edge), k.min(n - 1), "{k}/{n}");
                if k > 0 && k < n {
                    assert_eq!(right.bin(edge.next_up()), k);
                    assert_eq!(left.bin(edge.next_down()), k - 1);
                }
            }
        }
    }

    #[test]
    fn the_nearest_edge_decides_as_the_search_does() {
        for n in [1, 2, 3, 7, 15, 100, 99_999, 100_000] {
            for rule in [EdgeRule::RightClosed, EdgeRule::LeftClosed] {
                let edges = BinEdges::equal_width(n, rule).unwrap();
                let near = (0..=n).step_by(1 + n / 1000).map(|k| k as f64 / n as f64);
                let middles = (0..1000).map(|k| (f64::from(k) + 0.5) / 1000.0);
                let odd = [f64::NAN, -1.0, -0.0, 2.0, f64::INFINITY, f64::NEG_INFINITY, 5e-324, 1e-40];
                for value in near.flat_map(|e| [e, e.next_up(), e.next_down()]).chain(middles).chain(odd) {
                    assert_eq!(edges.bin(value), edges.search(value), "{n} {rule:?} {value:e}");
                }
            }
        }
    }

    #[test]
    fn torchmetrics_puts_certainty_into_a_bin_of_its_own() {
        let edges = BinEdges::equal_width(10, EdgeRule::Torchmetrics).unwrap();
        assert_eq!((edges.n_bins(), edges.bin(1.0), edges.bin(0.95)), (11, 10, 9));
        assert_eq!(edges.range(10), (1.0, 1.0));
    }

    #[test]
    fn odd_values_and_bin_counts() {
        let edges = BinEdges::equal_width(15, EdgeRule::RightClosed).unwrap();
        assert_eq!((edges.bin(f64::NAN), edges.bin(-1.0), edges.bin(2.0)), (0, 0, 14));
        assert!(BinEdges::equal_width(0, EdgeRule::RightClosed).is_err());
        assert!(BinEdges::equal_width(1_000_000, EdgeRule::RightClosed).is_err());
    }
}
