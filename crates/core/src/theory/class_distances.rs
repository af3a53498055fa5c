//! How tight the classes lie in a space of features, and how far apart.

use crate::batch::Labels;
use crate::error::{Result, check_len, check_range};

/// Distances of features within and between classes.
///
/// Smoothing pulls the members of a class together: `within / between` falls. Tight classes carry less of what
/// distinguishes their members, which is why such features transfer less well.
///
/// # Examples
/// ```
/// use candor::{Labels, theory::ClassDistances};
/// let features = [0.0_f32, 2.0, 10.0, 14.0];
/// let distances = ClassDistances::new(&features, 1, Labels::new(&[0, 0, 1, 1], 2)?)?;
/// assert_eq!((distances.within, distances.between), (1.5, 11.0));
/// # Ok::<(), candor::Error>(())
/// ```
///
/// # References
/// Müller et al., *When Does Label Smoothing Help?*, NeurIPS 2019, arXiv:1906.02629.
/// Kornblith et al., *Why Do Better Loss Functions Lead to Less Transferable Features?*, NeurIPS 2021.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClassDistances {
    /// Mean Euclidean distance of a row to the mean of its class.
    pub within: f64,
    /// Mean Euclidean distance between the means of two classes.
    pub between: f64,
}

impl ClassDistances {
    /// The distances of these features; ignored rows and classes without a row do not count.
    ///
    /// # Shapes
    /// - `features`: `[n, n_features]`; `labels`: `[n]`
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) if the features are not so many rows,
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) for a feature that is not
    /// finite or for fewer than two classes with rows.
    pub fn new(features: &[f32], n_features: usize, labels: Labels<'_>) -> Result<Self> {
        check_len(
            "the features, n_features a row,",
            labels.len().saturating_mul(n_features),
            features.len(),
        )?;
        for &value in features {
            check_range("a feature", f64::from(value), f64::from(f32::MIN), f64::from(f32::MAX))?;
        }
        let rows = || (0..labels.len()).filter_map(|row| Some((row, labels.get(row)?)));
        let of = |row: usize| &features[row * n_features..(row + 1) * n_features];
        let mut counts = vec![0.0; labels.n_classes()];
        let mut means = vec![vec![0.0; n_features]; labels.n_classes()];
        for (row, label) in rows() {
            counts[label] += 1.0;
            means[label].iter_mut().zip(of(row)).for_each(|(sum, value)| *sum += f64::from(*value));
        }
        for (mean, count) in means.iter_mut().zip(&counts) {
            mean.iter_mut().for_each(|sum| *sum /= f64::max(*count, 1.0));
        }
        let (mut within, mut n) = (0.0, 0.0);
        for (row, label) in rows() {
            within += distance(of(row).iter().map(|value| f64::from(*value)), &means[label]);
            n += 1.0;
        }
        let present: Vec<&Vec<f64>> =
            means.iter().zip(&counts).filter(|(_, count)| **count > 0.0).map(|(mean, _)| mean).collect();
        let (mut between, mut pairs) = (0.0, 0.0);
        for (index, a) in present.iter().enumerate() {
            for b in &present[index + 1..] {
                between += distance(a.iter().copied(), b);
                pairs += 1.0;
            }
        }
        check_range("the number of classes with rows", present.len() as f64, 2.0, f64::MAX)?;
        Ok(Self { within: within / n, between: between / pairs })
    }
}

fn distance(a: impl Iterator<Item = f64>, b: &[f64]) -> f64 {
    a.zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    #[test]
    fn three_points_in_the_plane_by_hand() {
        // Class 0 at (0, 0) and (0, 2), mean (0, 1); class 2 at (3, 5), mean itself; class 1 has no row.
        let labels = Labels::with_ignore(&[0, 0, 2, -1], 3, Some(-1)).unwrap();
        let got = ClassDistances::new(&[0.0, 0.0, 0.0, 2.0, 3.0, 5.0, 99.0, 99.0], 2, labels).unwrap();
        assert!((got.within - 2.0 / 3.0).abs() < 1e-15 && (got.between - 5.0).abs() < 1e-15, "{got:?}");
    }

    #[test]
    fn each_error() {
        let labels = Labels::new(&[0, 1], 2).unwrap();
        assert!(matches!(ClassDistances::new(&[0.0; 3], 2, labels), Err(Error::Shape { .. })));
        assert!(matches!(ClassDistances::new(&[0.0, f32::NAN], 1, labels), Err(Error::OutOfRange { .. })));
        let one = Labels::new(&[1, 1], 2).unwrap();
        assert!(matches!(ClassDistances::new(&[0.0; 2], 1, one), Err(Error::OutOfRange { .. })));
    }
}
