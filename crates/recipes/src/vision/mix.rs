//! Pairs of training images mixed with their labels: Mixup (Zhang et al. 2018) and CutMix (Yun et al. 2019).
//!
//! Partners are drawn within the batch, a share for every image. Both depend on the seed, the epoch and the batch's
//! rows alone. A patch of CutMix is placed so that it lies within the image: its share of the area, up to whole
//! pixels, is then the one drawn, and the smoothing that mixing amounts to is the one of the closed form.

use std::fmt;

use candor::random::Stream;
use candor::targets::{CutMix, Mixup, Patch};
use candor::theory::mixup_smoothing;
use candor::{Labels, Targets};

use crate::error::{Error, Result};

/// How images are mixed; the number is the concentration `a` of `λ ~ Beta(a, a)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Mixing {
    /// Not at all.
    None,
    /// Pixel by pixel: `λ` of an image and the rest of its partner.
    Mixup(f64),
    /// A rectangle of the partner, of the share `1 - λ` of the area.
    CutMix(f64),
}

/// Largest concentration: beyond it every share is 1/2.
const LARGEST: f64 = 1e6;

impl Mixing {
    /// Reads `none`, `mixup:A` or `cutmix:A`: the form that [`fmt::Display`] writes.
    ///
    /// # Errors
    /// [`Error::Config`] naming `key`.
    pub fn parse(key: &str, text: &str) -> Result<Self> {
        let refused = || {
            Error::config(
                key,
                text,
                format!("must be none, mixup:A or cutmix:A with A above 0, up to {LARGEST}"),
            )
        };
        let concentration =
            |text: &str| text.parse().ok().filter(|a: &f64| *a > 0.0 && *a <= LARGEST).ok_or_else(refused);
        Ok(match text.trim().split_once(':') {
            None if text.trim() == "none" => Mixing::None,
            Some(("mixup", a)) => Mixing::Mixup(concentration(a)?),
            Some(("cutmix", a)) => Mixing::CutMix(concentration(a)?),
            _ => return Err(refused()),
        })
    }

    /// The uniform smoothing that mixing acts like in expectation, for classes of equal size.
    ///
    /// # Errors
    /// None for a mix that was parsed.
    pub fn smoothing(self) -> Result<f64> {
        Ok(match self {
            Mixing::None => 0.0,
            Mixing::Mixup(a) | Mixing::CutMix(a) => mixup_smoothing(a)?,
        })
    }

    /// The partners and shares of a batch; `None` if nothing is mixed.
    ///
    /// `first` is the first row of the batch, which no other batch of the epoch has.
    pub(super) fn draw(
        self,
        seed: u64,
        epoch: u64,
        first: u64,
        n: usize,
        shape: [usize; 3],
    ) -> Option<Pairs> {
        let concentration = match self {
            Mixing::None => return None,
            Mixing::Mixup(a) | Mixing::CutMix(a) => a,
        };
        let mut stream = Stream::new(seed, "mix", epoch, first);
        let partners = stream.permutation(n);
        let shares = (0..n).map(|_| stream.beta(concentration, concentration));
        Some(match self {
            Mixing::CutMix(_) => {
                let [_, height, width] = shape;
                let shares: Vec<f64> = shares.collect();
                let patches = shares.iter().map(|share| patch(&mut stream, *share, height, width)).collect();
                Pairs::Patches { partners, patches, shape }
            }
            _ => Pairs::Blends { partners, lambdas: shares.collect() },
        })
    }
}

impl fmt::Display for Mixing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Mixing::None => f.write_str("none"),
            Mixing::Mixup(a) => write!(f, "mixup:{a}"),
            Mixing::CutMix(a) => write!(f, "cutmix:{a}"),
        }
    }
}

/// A rectangle of the image's proportions with the share `1 - λ` of its area, somewhere within it.
fn patch(stream: &mut Stream, lambda: f64, height: usize, width: usize) -> Patch {
    let side = (1.0 - lambda).sqrt();
    let mut span = |size: usize| {
        let length = ((size as f64 * side).round() as usize).min(size);
        let start = stream.below((size - length) as u64 + 1) as usize;
        (start, start + length)
    };
    let (top, bottom) = span(height);
    let (left, right) = span(width);
    Patch { top, bottom, left, right }
}

/// The pairs of one batch.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Pairs {
    Blends { partners: Vec<usize>, lambdas: Vec<f64> },
    Patches { partners: Vec<usize>, patches: Vec<Patch>, shape: [usize; 3] },
}

impl Pairs {
    /// Mixes the inputs `[n, channels, height, width]` of the batch.
    pub(super) fn mix(&self, values: &mut [f32]) {
        let original = values.to_vec();
        match self {
            Pairs::Blends { partners, lambdas } => {
                let len = original.len().checked_div(partners.len()).unwrap_or(0).max(1);
                for ((image, partner), lambda) in values.chunks_exact_mut(len).zip(partners).zip(lambdas) {
                    let other = &original[partner * len..(partner + 1) * len];
                    let lambda = *lambda as f32;
                    for (value, other) in image.iter_mut().zip(other) {
                        *value = lambda * *value + (1.0 - lambda) * other;
                    }
                }
            }
            Pairs::Patches { partners, patches, shape: [channels, height, width] } => {
                let len = channels * height * width;
                for ((image, partner), patch) in
                    values.chunks_exact_mut(len.max(1)).zip(partners).zip(patches)
                {
                    for line in 0..channels * height {
                        if (patch.top..patch.bottom).contains(&(line % height)) {
                            let columns = line * width + patch.left..line * width + patch.right;
                            let from = partner * len;
                            image[columns.clone()]
                                .copy_from_slice(&original[from + columns.start..from + columns.end]);
                        }
                    }
                }
            }
        }
    }

    /// The targets of the mixed batch, with uniform smoothing on top.
    pub(super) fn targets(
        &self,
        labels: &[i64],
        n_classes: usize,
        smoothing: f64,
    ) -> Result<Targets<'static>> {
        let labels = Labels::new(labels, n_classes)?;
        Ok(match self {
            Pairs::Blends { partners, lambdas } => {
                Mixup::new(smoothing)?.targets(labels, partners, lambdas)?
            }
            Pairs::Patches { partners, patches, shape: [_, height, width] } => {
                CutMix::new(smoothing)?.targets(labels, partners, patches, *height, *width)?
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_and_targets_are_mixed_in_the_same_proportion() {
        let pairs = Pairs::Blends { partners: vec![1, 0], lambdas: vec![0.75, 0.5] };
        let mut values = [4.0, 8.0, 0.0, 16.0];
        pairs.mix(&mut values);
        assert_eq!(values, [3.0, 10.0, 2.0, 12.0]);
        let q = pairs.targets(&[0, 1], 2, 0.0).unwrap().dense_matrix();
        assert_eq!(q, [0.75, 0.25, 0.5, 0.5]);
        let q = pairs.targets(&[0, 1], 2, 0.2).unwrap().dense_matrix();
        for (got, want) in q.iter().zip([0.7, 0.3, 0.5, 0.5]) {
            assert!((got - want).abs() < 1e-15);
        }
    }

    #[test]
    fn a_patch_comes_from_the_partner_in_every_channel() {
        let patch = Patch { top: 1, bottom: 2, left: 1, right: 3 };
        let none = Patch { top: 0, bottom: 0, left: 0, right: 0 };
        let pairs = Pairs::Patches { partners: vec![1, 0], patches: vec![patch, none], shape: [2, 2, 3] };
        let mut values: Vec<f32> = (0..24_u8).map(f32::from).collect();
        let before = values.clone();
        pairs.mix(&mut values);
        let moved = [4, 5, 10, 11];
        for (index, value) in values.iter().enumerate() {
            let want = if moved.contains(&index) { before[index + 12] } else { before[index] };
            assert_eq!(*value, want, "{index}");
        }
        let q = pairs.targets(&[0, 1], 2, 0.0).unwrap().dense_matrix();
        for (got, want) in q.iter().zip([2.0 / 3.0, 1.0 / 3.0, 0.0, 1.0]) {
            assert!((got - want).abs() < 1e-15, "{q:?}");
        }
    }

    #[test]
    fn mixing_smooths_as_the_closed_form_says() {
        // The mean share of the lesser part, over many batches.
        for (text, tolerance) in [("mixup:0.2", 0.005), ("cutmix:1", 0.005), ("mixup:1", 0.005)] {
            let mix = Mixing::parse("k", text).unwrap();
            let (mut sum, mut n) = (0.0, 0.0);
            for batch in 0..300 {
                let pairs = mix.draw(1, 0, batch, 64, [1, 64, 64]).unwrap();
                // Distinct labels, so that the two shares can be told apart.
                let labels: Vec<i64> = (0..64).collect();
                let q = pairs.targets(&labels, 64, 0.0).unwrap();
                let partners = match &pairs {
                    Pairs::Blends { partners, .. } | Pairs::Patches { partners, .. } => partners.clone(),
                };
                for row in (0..64).filter(|row| partners[*row] != *row) {
                    let own = q.row(row).unwrap().dense(64)[row];
                    sum += own.min(1.0 - own);
                    n += 1.0;
                }
            }
            // A lesser share is at most 1/2, so its mean over 19,000 rows varies by less than .0015.
            let want = mix.smoothing().unwrap();
            assert!((sum / n - want).abs() < tolerance, "{text}: {} {want}", sum / n);
        }
    }

    #[test]
    fn pairs_depend_on_seed_epoch_and_batch() {
        let mix = Mixing::parse("k", "mixup:0.2").unwrap();
        let draw = |seed, epoch, first| mix.draw(seed, epoch, first, 16, [1, 2, 2]).unwrap();
        assert_eq!(draw(0, 0, 0), draw(0, 0, 0));
        assert!([draw(1, 0, 0), draw(0, 1, 0), draw(0, 0, 1)].iter().all(|other| *other != draw(0, 0, 0)));
        assert!(Mixing::None.draw(0, 0, 0, 16, [1, 2, 2]).is_none());
    }

    #[test]
    fn the_text_is_read_and_written_back() {
        for text in ["none", "mixup:0.2", "cutmix:1"] {
            assert_eq!(Mixing::parse("k", text).unwrap().to_string(), text);
        }
        for bad in ["", "mixup", "mixup:0", "mixup:-1", "cutmix:nan", "blend:1", "mixup:inf"] {
            let message = Mixing::parse("data.mix", bad).unwrap_err().to_string();
            assert!(message.starts_with("data.mix = ") && message.contains("cutmix:A"), "{message}");
        }
        assert!((Mixing::CutMix(1.0).smoothing().unwrap() - 0.25).abs() < 1e-12);
    }
}
