//! Images of one size as bytes, and how bytes become the inputs of a model.

use std::path::PathBuf;

/// Images of one size, as bytes.
#[derive(Debug, Clone)]
pub struct Images {
    pub(super) pixels: Vec<u8>,
    /// Channels, height, width.
    pub shape: [usize; 3],
    /// The class of each image.
    pub labels: Vec<i64>,
    /// Where the labels came from, for messages.
    pub(super) source: PathBuf,
}

impl Images {
    /// Number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is no image.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Values of one image.
    pub fn image_len(&self) -> usize {
        self.shape.iter().product()
    }

    /// The bytes of one image.
    pub fn image(&self, index: usize) -> &[u8] {
        let len = self.image_len();
        &self.pixels[index * len..(index + 1) * len]
    }
}

/// Pixel values to inputs: `(byte / scale - mean) / sd`, one mean and sd a channel.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Normalisation {
    /// Largest byte.
    pub scale: f64,
    /// Mean of each channel after scaling.
    pub mean: Vec<f64>,
    /// Standard deviation of each channel after scaling.
    pub sd: Vec<f64>,
}

impl Normalisation {
    /// From the pixels of these images; a channel that is constant keeps its values.
    pub(super) fn of(images: &Images, rows: &[usize]) -> Self {
        let [channels, height, width] = images.shape;
        let area = height * width;
        let (mut mean, mut sd) = (Vec::new(), Vec::new());
        for channel in 0..channels {
            // Bytes are counted, so the moments are exact.
            let mut counts = [0_u64; 256];
            for &row in rows {
                for &byte in &images.image(row)[channel * area..(channel + 1) * area] {
                    counts[usize::from(byte)] += 1;
                }
            }
            let n = counts.iter().sum::<u64>() as f64;
            let moment = |power: i32| {
                counts
                    .iter()
                    .enumerate()
                    .map(|(byte, count)| (byte as f64 / 255.0).powi(power) * *count as f64)
                    .sum::<f64>()
                    / n
            };
            let centre = moment(1);
            let spread = (moment(2) - centre * centre).max(0.0).sqrt();
            mean.push(centre);
            sd.push(if spread > 0.0 { spread } else { 1.0 });
        }
        Self { scale: 255.0, mean, sd }
    }

    /// For each channel the input of each byte.
    pub fn tables(&self) -> Vec<[f32; 256]> {
        self.mean
            .iter()
            .zip(&self.sd)
            .map(|(mean, sd)| std::array::from_fn(|byte| ((byte as f64 / self.scale - mean) / sd) as f32))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normalisation_comes_from_the_training_rows() {
        let images = Images {
            pixels: vec![0, 255, 51, 102],
            shape: [1, 1, 2],
            labels: vec![0, 1],
            source: PathBuf::new(),
        };
        let all = Normalisation::of(&images, &[0]);
        assert_eq!((all.mean.clone(), all.sd.clone()), (vec![0.5], vec![0.5]));
        assert_eq!((all.tables()[0][0], all.tables()[0][255]), (-1.0, 1.0));
        let constant =
            Images { pixels: vec![9; 4], shape: [1, 2, 2], labels: vec![0], source: PathBuf::new() };
        assert_eq!(Normalisation::of(&constant, &[0]).sd, [1.0]);
    }
}
