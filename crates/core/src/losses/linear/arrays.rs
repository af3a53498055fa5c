//! The arrays of a linear layer, checked once: input, weight, bias, and where their gradients go.

use crate::batch::Scalar;
use crate::error::{Error, Result};
use crate::kernels::matmul::{Matrix, MatrixMut};

/// How a weight matrix lies in memory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WeightLayout {
    /// `[n_classes, width]`: PyTorch's, and that of an embedding table.
    #[default]
    ClassesFirst,
    /// `[width, n_classes]`: Burn's and JAX's.
    ClassesLast,
}

/// A linear layer with its input: `z = x Wᵀ + b`.
///
/// # Examples
/// ```
/// use candor::losses::{Linear, WeightLayout};
/// let linear = Linear::new(&[1.0_f32; 6], &[0.0; 12], 3, WeightLayout::ClassesFirst)?.with_bias(&[0.0; 4])?;
/// assert_eq!((linear.n_rows(), linear.n_classes()), (2, 4));
/// # Ok::<(), candor::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Linear<'a, T> {
    input: &'a [T],
    weight: &'a [T],
    bias: Option<&'a [T]>,
    width: usize,
    n_rows: usize,
    n_classes: usize,
    layout: WeightLayout,
}

impl<'a, T: Scalar> Linear<'a, T> {
    /// Views `input` as rows of `width` features, and `weight` as one such row, or column, a class.
    ///
    /// # Errors
    /// [`Error::RaggedRows`] for lengths that are no multiples of `width`, [`Error::Shape`] for no feature or
    /// no class.
    pub fn new(input: &'a [T], weight: &'a [T], width: usize, layout: WeightLayout) -> Result<Self> {
        if width == 0 {
            return Err(Error::Shape { what: "the feature axis", expected: 1, got: 0 });
        }
        let rows = |what: &'static str, len: usize| {
            if len.is_multiple_of(width) {
                Ok(len / width)
            } else {
                Err(Error::RaggedRows { what, len, n_classes: width })
            }
        };
        let (n_rows, n_classes) = (rows("the input", input.len())?, rows("the weight", weight.len())?);
        if n_classes == 0 {
            return Err(Error::Shape { what: "the class axis", expected: 1, got: 0 });
        }
        Ok(Self { input, weight, bias: None, width, n_rows, n_classes, layout })
    }

    /// With a bias a class; -inf masks a class.
    ///
    /// # Errors
    /// [`Error::Shape`] unless there is one a class.
    pub fn with_bias(self, bias: &'a [T]) -> Result<Self> {
        crate::error::check_len("the bias", self.n_classes, bias.len())?;
        Ok(Self { bias: Some(bias), ..self })
    }

    /// Number of rows of the input.
    pub fn n_rows(&self) -> usize {
        self.n_rows
    }

    /// Number of classes.
    pub fn n_classes(&self) -> usize {
        self.n_classes
    }

    /// Number of features.
    pub fn width(&self) -> usize {
        self.width
    }

    pub(super) fn bias(&self) -> Option<&'a [T]> {
        self.bias
    }

    /// `rows` rows of the input.
    pub(super) fn input_rows(&self, from: usize, rows: usize) -> Matrix<'a, T> {
        Matrix::row_major(&self.input[from * self.width..(from + rows) * self.width], rows, self.width)
    }

    /// The weight as `[width, n_classes]`.
    pub(super) fn weight(&self) -> Matrix<'a, T> {
        match self.layout {
            WeightLayout::ClassesFirst => {
                Matrix::row_major(self.weight, self.n_classes, self.width).transposed()
            }
            WeightLayout::ClassesLast => Matrix::row_major(self.weight, self.width, self.n_classes),
        }
    }

    /// An array of the weight's layout as `[width, n_classes]`, to be written.
    pub(super) fn weight_gradient<'b>(&self, array: &'b mut [T]) -> MatrixMut<'b, T> {
        match self.layout {
            WeightLayout::ClassesFirst => {
                MatrixMut::row_major(array, self.n_classes, self.width).transposed()
            }
            WeightLayout::ClassesLast => MatrixMut::row_major(array, self.width, self.n_classes),
        }
    }
}

/// Where the gradients of a linear layer go.
#[derive(Debug)]
pub struct LinearGradients<'a, T> {
    /// Receives d loss / d input, `[n, width]`.
    pub input: &'a mut [T],
    /// Receives d loss / d weight, in the weight's own layout.
    pub weight: &'a mut [T],
    /// Receives d loss / d bias, `[n_classes]`, if it is wanted; allowed without a bias.
    pub bias: Option<&'a mut [T]>,
}

impl<T: Scalar> LinearGradients<'_, T> {
    pub(super) fn check(&self, linear: &Linear<'_, T>) -> Result<()> {
        let check = crate::error::check_len;
        check("the gradient of the input", linear.input.len(), self.input.len())?;
        check("the gradient of the weight", linear.weight.len(), self.weight.len())?;
        self.bias
            .as_ref()
            .map_or(Ok(()), |bias| check("the gradient of the bias", linear.n_classes, bias.len()))
    }
}
