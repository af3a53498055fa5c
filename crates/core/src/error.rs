//! The one error type of the crate: every variant carries the numbers that a message needs.

/// What a request or an input got wrong.
///
/// Messages are sentences: they name the argument or the row, what was found, and what is accepted.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A number lies outside its legal range (or is NaN).
    #[error("{argument} is {got}, but must be between {min} and {max}{hint}")]
    OutOfRange {
        /// The argument's name.
        argument: &'static str,
        /// The value that was given.
        got: f64,
        /// Smallest accepted value.
        min: f64,
        /// Largest accepted value.
        max: f64,
        /// What to do instead, empty or starting with a separator.
        hint: &'static str,
    },
    /// Two sizes that must agree do not.
    #[error("{what} has {got} elements, but {expected} are needed")]
    Shape {
        /// What was measured.
        what: &'static str,
        /// The size that fits.
        expected: usize,
        /// The size that was found.
        got: usize,
    },
    /// A flat array does not divide into rows.
    #[error("{what} has {len} values, which is not a multiple of {n_classes} classes")]
    RaggedRows {
        /// What was measured.
        what: &'static str,
        /// Number of values.
        len: usize,
        /// Number of classes, the row length.
        n_classes: usize,
    },
    /// A class label is not an index into the classes.
    #[error(
        "row {row}: label {label} is not a class, with {n_classes} classes it must be in 0..={}{}",
        n_classes - 1,
        ignore_index.map(|i| format!(" or the ignored label {i}")).unwrap_or_default()
    )]
    LabelOutOfRange {
        /// Row of the label, from 0.
        row: usize,
        /// The label found.
        label: i64,
        /// Number of classes.
        n_classes: usize,
        /// The label that marks ignored rows, if one is set.
        ignore_index: Option<i64>,
    },
    /// A logit is NaN or +inf.
    #[error(
        "row {row}, class {class}: the logit is {value}, but must be finite (or -inf for a masked class)"
    )]
    NonFiniteLogit {
        /// Row, from 0.
        row: usize,
        /// Class, from 0.
        class: usize,
        /// The value found.
        value: f64,
    },
    /// Every class of a row is masked.
    #[error("row {row}: every logit is -inf, so no class is allowed; at least one must be finite")]
    NoAllowedClass {
        /// Row, from 0.
        row: usize,
    },
    /// A class that carries explicit target mass is masked by a logit of -inf.
    #[error(
        "row {row}: class {class} is masked (its logit is -inf) but the target gives it mass, so the loss would be infinite"
    )]
    MaskedTarget {
        /// Row, from 0.
        row: usize,
        /// Class, from 0.
        class: usize,
    },
    /// A target row is not a distribution.
    #[error(
        "row {row}: the target sums to {sum}, but a distribution sums to 1 (use Targets::weights for unnormalised rows)"
    )]
    TargetSum {
        /// Row, from 0.
        row: usize,
        /// The sum found.
        sum: f64,
    },
    /// A target mass is negative or not finite.
    #[error("row {row}, class {class}: the target is {value}, but must be finite and not negative")]
    TargetValue {
        /// Row, from 0.
        row: usize,
        /// Class, from 0.
        class: usize,
        /// The value found.
        value: f64,
    },
    /// A row of probabilities does not sum to 1.
    #[error(
        "row {row}: the probabilities sum to {sum}, but must sum to 1 within {tolerance}; if these are logits, say so"
    )]
    ProbabilitySum {
        /// Row, from 0.
        row: usize,
        /// The sum found.
        sum: f64,
        /// Largest accepted deviation.
        tolerance: f64,
    },
    /// A probability lies outside [0, 1] or is NaN.
    #[error(
        "row {row}, class {class}: the probability is {value}, but must be in [0, 1]; if these are logits, say so"
    )]
    ProbabilityValue {
        /// Row, from 0.
        row: usize,
        /// Class, from 0.
        class: usize,
        /// The value found.
        value: f64,
    },
    /// A class or sample weight is negative or not finite.
    #[error("{what} {index} is {value}, but must be finite and not negative")]
    WeightValue {
        /// Which weights.
        what: &'static str,
        /// Position, from 0.
        index: usize,
        /// The value found.
        value: f64,
    },
    /// A mean over nothing.
    #[error(
        "{what} needs at least one counted row, but the batch has {rows} rows of which {ignored} are ignored"
    )]
    Empty {
        /// The figure that was asked for.
        what: &'static str,
        /// Number of rows.
        rows: usize,
        /// Number of ignored rows.
        ignored: usize,
    },
    /// A weighted mean whose weights sum to zero.
    #[error("{what} cannot be taken: the weights of the counted rows sum to 0")]
    ZeroWeight {
        /// The figure that was asked for.
        what: &'static str,
    },
    /// A name that no registry knows.
    #[error("there is no {kind} called {name:?}; did you mean {nearest:?}? Known: {known}")]
    UnknownName {
        /// What family was searched.
        kind: &'static str,
        /// The name given.
        name: String,
        /// The closest known name.
        nearest: &'static str,
        /// All known names, comma separated.
        known: String,
    },
    /// A parameter was given a word where a number belongs, or the reverse.
    #[error("{method}: {parameter} takes {accepted}, but was given {got}")]
    ParameterKind {
        /// The method's name.
        method: &'static str,
        /// The parameter's name.
        parameter: &'static str,
        /// What it takes.
        accepted: &'static str,
        /// What it was given.
        got: String,
    },
    /// A rule that depends on the row's label was given rows without one.
    #[error("{what} depends on the label of a row, but these targets are not labels")]
    LabelsNeeded {
        /// What needs the labels.
        what: &'static str,
    },
    /// A loss that takes labels only was given soft targets, or the reverse.
    #[error("the loss {loss:?} takes {accepts}, but was given {got}")]
    TargetKind {
        /// The loss's name.
        loss: &'static str,
        /// What it accepts.
        accepts: &'static str,
        /// What it was given.
        got: &'static str,
    },
    /// A method that needs data was asked for by its name and parameters alone.
    #[error("the {kind} {name:?} needs {needs}, so it cannot be made from parameters alone")]
    NeedsData {
        /// What family it belongs to.
        kind: &'static str,
        /// The method's name.
        name: &'static str,
        /// What it needs.
        needs: &'static str,
    },
    /// A map that is fitted for each group was given rows without one.
    #[error("the calibrator {calibrator:?} needs the group of every row")]
    MissingGroups {
        /// The calibrator's name.
        calibrator: &'static str,
    },
    /// An index structure (a graph, a taxonomy) does not hang together.
    #[error("{what} {index} {problem}")]
    Malformed {
        /// The kind of element.
        what: &'static str,
        /// Its position, from 0.
        index: usize,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A loss needs something that the batch does not carry.
    #[error("the loss {loss:?} needs {what}; set it with {how}")]
    Missing {
        /// The loss's name.
        loss: &'static str,
        /// What is missing.
        what: &'static str,
        /// How to give it.
        how: &'static str,
    },
    /// A loss cannot take an option or input that others take.
    #[error("the loss {loss:?} does not take {what}: {reason}")]
    Unsupported {
        /// The loss's name.
        loss: &'static str,
        /// What it was given.
        what: &'static str,
        /// Why not.
        reason: &'static str,
    },
    /// A finite row whose loss or gradient leaves the range of numbers.
    #[error(
        "row {row}: the loss {loss:?} or its gradient is {value} although the logits are finite; they are too large for this loss"
    )]
    NonFiniteLoss {
        /// The loss's name.
        loss: &'static str,
        /// Row, from 0.
        row: usize,
        /// The value found.
        value: f64,
    },
    /// A matrix that must be inverted has no inverse.
    #[error("{what} cannot be inverted: it is singular, or so close to it that the result would be noise")]
    Singular {
        /// Which matrix.
        what: &'static str,
    },
    /// Rows of one kind were given to an evaluation of another.
    #[error(
        "this evaluation takes rows of the kind {expected:?}, but was given {got:?}; make one for that kind"
    )]
    WrongKind {
        /// The kind that it was made for.
        expected: &'static str,
        /// The kind that it was given.
        got: &'static str,
    },
    /// Two partial states that were made with different settings cannot be merged.
    #[error("these partial results cannot be merged: {what} differs ({left} and {right})")]
    Merge {
        /// The setting that differs.
        what: &'static str,
        /// Its value on the left.
        left: usize,
        /// Its value on the right.
        right: usize,
    },
}

/// A result with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// Two sizes that must agree.
pub(crate) fn check_shape(what: &'static str, expected: usize, got: usize) -> Result<()> {
    if expected == got { Ok(()) } else { Err(Error::Shape { what, expected, got }) }
}

/// Checks that a number lies in a closed range; NaN never does.
pub(crate) fn check_range(argument: &'static str, got: f64, min: f64, max: f64) -> Result<()> {
    check_range_hint(argument, got, min, max, "")
}

/// [`check_range`] with a sentence that says what to do instead.
pub(crate) fn check_range_hint(
    argument: &'static str,
    got: f64,
    min: f64,
    max: f64,
    hint: &'static str,
) -> Result<()> {
    if got >= min && got <= max { Ok(()) } else { Err(Error::OutOfRange { argument, got, min, max, hint }) }
}

/// Largest number of classes: class indices are 32 bits wide.
pub(crate) const MAX_CLASSES: f64 = u32::MAX as f64;

/// Checks that there are enough classes for a classification.
pub(crate) fn check_classes(n_classes: usize) -> Result<()> {
    check_range("n_classes", n_classes as f64, 2.0, MAX_CLASSES)
}

/// Checks that two sizes agree.
pub(crate) fn check_len(what: &'static str, expected: usize, got: usize) -> Result<()> {
    if expected == got { Ok(()) } else { Err(Error::Shape { what, expected, got }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nan_is_out_of_every_range() {
        assert!(check_range("smoothing", f64::NAN, 0.0, 1.0).is_err());
        assert!(check_range("smoothing", 1.0, 0.0, 1.0).is_ok());
        let message = check_range("smoothing", 1.5, 0.0, 1.0).unwrap_err().to_string();
        assert_eq!(message, "smoothing is 1.5, but must be between 0 and 1");
    }

    #[test]
    fn a_label_error_names_row_label_and_range() {
        let error = Error::LabelOutOfRange { row: 3, label: 10, n_classes: 10, ignore_index: Some(-100) };
        assert_eq!(
            error.to_string(),
            "row 3: label 10 is not a class, with 10 classes it must be in 0..=9 or the ignored label -100"
        );
    }
}
