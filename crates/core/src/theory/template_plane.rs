//! The plane through the templates of three classes, onto which features are projected (Müller et al. 2019).

use crate::error::{Error, Result, check_len};

/// The plane through three class templates, the rows of a model's last linear layer.
///
/// A smoothed model's features lie in tight clusters at equal distances, an unsmoothed one's spread along the
/// differences between the classes. The axes are orthonormal: the first points from template a to template b.
///
/// # Examples
/// ```
/// use candor::theory::TemplatePlane;
/// let plane = TemplatePlane::through([&[0.0, 0.0, 1.0], &[2.0, 0.0, 1.0], &[1.0, 3.0, 1.0]])?;
/// assert_eq!(plane.project(&[1.0, 3.0, 7.0])?, (1.0, 3.0));
/// # Ok::<(), candor::Error>(())
/// ```
///
/// # References
/// Müller et al., *When Does Label Smoothing Help?*, NeurIPS 2019, arXiv:1906.02629, section 2.
#[derive(Debug, Clone, PartialEq)]
pub struct TemplatePlane {
    origin: Vec<f64>,
    axes: [Vec<f64>; 2],
}

impl TemplatePlane {
    /// The plane through these templates, by Gram and Schmidt on `b - a` and `c - a`.
    ///
    /// # Errors
    /// [`Error::Shape`] for templates of different lengths, [`Error::Malformed`] for templates on one line or
    /// that are not finite.
    pub fn through([a, b, c]: [&[f64]; 3]) -> Result<Self> {
        check_len("the second template", a.len(), b.len())?;
        check_len("the third template", a.len(), c.len())?;
        let difference = |to: &[f64]| -> Vec<f64> { to.iter().zip(a).map(|(to, a)| to - a).collect() };
        let line =
            |index| Error::Malformed { what: "template", index, problem: "lies on a line with the others" };
        let first = unit(difference(b)).ok_or_else(|| line(1))?;
        let towards = difference(c);
        let reach = norm(&towards);
        let along = dot(&towards, &first);
        let rest: Vec<f64> = towards.iter().zip(&first).map(|(v, e)| v - along * e).collect();
        // Rounding alone leaves a rest of about this size.
        let second = unit(rest.clone()).filter(|_| norm(&rest) > 1e-12 * reach).ok_or_else(|| line(2))?;
        Ok(Self { origin: a.to_vec(), axes: [first, second] })
    }

    /// The place of a feature vector in the plane; template a is at (0, 0).
    ///
    /// # Errors
    /// [`Error::Shape`] for another length than the templates have.
    pub fn project(&self, features: &[f64]) -> Result<(f64, f64)> {
        check_len("the features", self.origin.len(), features.len())?;
        let moved: Vec<f64> = features.iter().zip(&self.origin).map(|(x, a)| x - a).collect();
        Ok((dot(&moved, &self.axes[0]), dot(&moved, &self.axes[1])))
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn norm(v: &[f64]) -> f64 {
    dot(v, v).sqrt()
}

fn unit(v: Vec<f64>) -> Option<Vec<f64>> {
    let length = norm(&v);
    (length > 0.0 && length.is_finite()).then(|| v.iter().map(|v| v / length).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_within_the_plane_are_kept_and_what_is_orthogonal_is_dropped() {
        let [a, b, c] = [[1.0, 2.0, 0.0], [1.0, 5.0, 4.0], [3.0, 2.0, 0.0]];
        let plane = TemplatePlane::through([&a, &b, &c]).unwrap();
        let place = |x: &[f64]| plane.project(x).unwrap();
        assert_eq!(place(&a), (0.0, 0.0));
        assert_eq!(place(&b), (5.0, 0.0));
        assert_eq!(place(&c), (0.0, 2.0));
        // (0, -4, 3) is orthogonal to both differences.
        let (x, y) = place(&[2.0, 2.0 - 4.0, 3.0]);
        assert!(x.abs() < 1e-15 && (y - 1.0).abs() < 1e-15, "{x} {y}");
    }

    #[test]
    fn templates_on_a_line_and_lengths_that_differ_are_refused() {
        let through = |b: &[f64], c: &[f64]| TemplatePlane::through([&[1.0, 1.0], b, c]).unwrap_err();
        assert!(matches!(through(&[1.0, 1.0], &[2.0, 0.0]), Error::Malformed { index: 1, .. }));
        assert!(matches!(through(&[2.0, 2.0], &[4.0, 4.0]), Error::Malformed { index: 2, .. }));
        assert!(matches!(through(&[f64::NAN, 2.0], &[4.0, 4.0]), Error::Malformed { .. }));
        assert!(matches!(through(&[2.0], &[4.0, 4.0]), Error::Shape { .. }));
        let plane = TemplatePlane::through([&[0.0, 0.0], &[1.0, 0.0], &[0.0, 1.0]]).unwrap();
        assert!(matches!(plane.project(&[1.0]), Err(Error::Shape { .. })));
    }
}
