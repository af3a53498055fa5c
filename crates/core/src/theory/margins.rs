//! The margins `z_y - z_k` between the logit of the label and those of the other classes.

use crate::batch::{Labels, Logits, Scalar};
use crate::error::{Error, Result, check_len};

/// Mean and spread of the margins `z_y - z_k` over all rows and all `k ≠ y`, in logits.
///
/// At the optimum of a uniformly smoothed target every margin is the same, so smoothing makes the spread
/// small: wrong classes end equally far away, and how they resemble each other is erased. That is what makes
/// a smoothed model a worse teacher.
///
/// # Examples
/// ```
/// use candor::{Labels, Logits, theory::Margins};
/// let logits = [3.0_f64, 1.0, 0.0, 0.0, 4.0, 2.0];
/// let margins = Margins::new(Logits::new(&logits, 3)?, Labels::new(&[0, 1], 3)?)?;
/// assert_eq!(margins.mean, 2.75); // 2, 3, 4, 2
/// # Ok::<(), candor::Error>(())
/// ```
///
/// # References
/// Müller et al., *When Does Label Smoothing Help?*, NeurIPS 2019, arXiv:1906.02629.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Margins {
    /// Mean margin.
    pub mean: f64,
    /// Standard deviation of the margins.
    pub spread: f64,
    /// Standard deviation over the classes of one row, mean over the rows.
    pub spread_within: f64,
}

impl Margins {
    /// The margins of these rows; masked classes (-inf) and ignored rows do not count.
    ///
    /// # Shapes
    /// - `logits`: `[n, n_classes]`; `labels`: `[n]` over as many classes
    ///
    /// # Errors
    /// [`Error::Shape`] for another number of labels than rows or of classes, [`Error::NonFiniteLogit`] for
    /// NaN or +inf, [`Error::Empty`] if there is no margin.
    pub fn new<T: Scalar>(logits: Logits<'_, T>, labels: Labels<'_>) -> Result<Self> {
        check_len("labels (one for each row of logits)", logits.n_rows(), labels.len())?;
        check_len("the classes of the labels", logits.n_classes(), labels.n_classes())?;
        let (mut all, mut within, mut rows) = (Moments::default(), 0.0, 0.0);
        for row in 0..logits.n_rows() {
            let Some(label) = labels.get(row) else { continue };
            let values = logits.row(row);
            let bad = values.iter().position(|z| z.to_f64().is_nan() || z.to_f64() == f64::INFINITY);
            if let Some(class) = bad {
                return Err(Error::NonFiniteLogit { row, class, value: values[class].to_f64() });
            }
            let own = values[label].to_f64();
            let mut mine = Moments::default();
            for (class, z) in values.iter().enumerate() {
                let margin = own - z.to_f64();
                if class != label && margin.is_finite() {
                    all.add(margin);
                    mine.add(margin);
                }
            }
            if mine.n > 0.0 {
                within += mine.sd();
                rows += 1.0;
            }
        }
        if all.n == 0.0 {
            let ignored = labels.len() - labels.counted();
            return Err(Error::Empty { what: "a mean margin", rows: labels.len(), ignored });
        }
        Ok(Self { mean: all.mean, spread: all.sd(), spread_within: within / rows })
    }
}

/// Running mean and sum of squared deviations (Welford).
#[derive(Debug, Clone, Copy, Default)]
struct Moments {
    n: f64,
    mean: f64,
    squares: f64,
}

impl Moments {
    fn add(&mut self, value: f64) {
        self.n += 1.0;
        let before = value - self.mean;
        self.mean += before / self.n;
        self.squares += before * (value - self.mean);
    }

    fn sd(&self) -> f64 {
        (self.squares / self.n).sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mean_and_spreads_by_hand() {
        let logits = [3.0_f64, 1.0, 0.0, 0.0, 4.0, 2.0];
        let labels = [0, 1];
        let got = Margins::new(Logits::new(&logits, 3).unwrap(), Labels::new(&labels, 3).unwrap()).unwrap();
        // Margins 2, 3 and 4, 2: mean 11/4, variance 33/4 - 121/16 = 11/16; within 1/2 and 1.
        assert!((got.mean - 2.75).abs() < 1e-15 && (got.spread - (11.0_f64 / 16.0).sqrt()).abs() < 1e-15);
        assert!((got.spread_within - 0.75).abs() < 1e-15);
    }

    #[test]
    fn masked_classes_and_ignored_rows_do_not_count() {
        let logits = [1.0_f32, f32::NEG_INFINITY, 0.0, 9.0, 9.0, 9.0];
        let labels = Labels::with_ignore(&[0, -1], 3, Some(-1)).unwrap();
        let got = Margins::new(Logits::new(&logits, 3).unwrap(), labels).unwrap();
        assert_eq!((got.mean, got.spread), (1.0, 0.0));
    }

    #[test]
    fn each_error() {
        let view = |data: &'static [f64]| Logits::new(data, 2).unwrap();
        let one = Labels::new(&[0], 2).unwrap();
        assert!(matches!(Margins::new(view(&[0.0; 4]), one), Err(Error::Shape { .. })));
        assert!(matches!(Margins::new(view(&[f64::NAN, 0.0]), one), Err(Error::NonFiniteLogit { .. })));
        let none = Labels::new(&[], 2).unwrap();
        assert!(matches!(Margins::new(view(&[]), none), Err(Error::Empty { .. })));
        let three = Labels::new(&[0], 3).unwrap();
        assert!(matches!(Margins::new(view(&[0.0; 2]), three), Err(Error::Shape { .. })));
    }
}
