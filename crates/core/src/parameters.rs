//! Named parameters of registered methods: declared once with default and range, checked in one place.

use std::collections::BTreeMap;

use crate::error::{Error, Result};

/// One declared parameter of a method.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Parameter {
    /// The key in configurations.
    pub name: &'static str,
    /// What it does, with its symbol in the paper.
    pub summary: &'static str,
    /// Default and accepted values.
    pub kind: ParameterKind,
}

/// What a parameter accepts.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ParameterKind {
    /// A number in a closed range.
    Number {
        /// The published value.
        default: f64,
        /// Smallest accepted value.
        min: f64,
        /// Largest accepted value.
        max: f64,
    },
    /// A whole number in a closed range.
    Whole {
        /// The published value.
        default: f64,
        /// Smallest accepted value.
        min: f64,
        /// Largest accepted value.
        max: f64,
    },
    /// One of a few words.
    Choice {
        /// The default, one of `options`.
        default: &'static str,
        /// The accepted words.
        options: &'static [&'static str],
    },
}

impl Parameter {
    /// A number in `[min, max]`.
    pub const fn number(name: &'static str, default: f64, min: f64, max: f64, summary: &'static str) -> Self {
        Self { name, summary, kind: ParameterKind::Number { default, min, max } }
    }

    /// A whole number in `[min, max]`.
    pub const fn whole(name: &'static str, default: f64, min: f64, max: f64, summary: &'static str) -> Self {
        Self { name, summary, kind: ParameterKind::Whole { default, min, max } }
    }

    /// Checks a number against the declared range.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] outside it or for NaN, [`Error::ParameterKind`] if the parameter is a word or the
    /// number not whole where it must be.
    pub fn check(&self, value: f64) -> Result<()> {
        match self.kind {
            ParameterKind::Number { min, max, .. } => crate::error::check_range(self.name, value, min, max),
            ParameterKind::Whole { min, max, .. } => {
                crate::error::check_range(self.name, value, min, max)?;
                if value.fract() == 0.0 { Ok(()) } else { Err(self.wrong("this method", value)) }
            }
            ParameterKind::Choice { .. } => Err(self.wrong("this method", value)),
        }
    }

    /// The error of a value of another kind.
    fn wrong(&self, method: &'static str, got: impl std::fmt::Display) -> Error {
        let accepted = match self.kind {
            ParameterKind::Number { .. } => "a number",
            ParameterKind::Whole { .. } => "a whole number",
            ParameterKind::Choice { .. } => "a word",
        };
        Error::ParameterKind { method, parameter: self.name, accepted, got: got.to_string() }
    }

    /// One of a few words.
    pub const fn choice(
        name: &'static str,
        default: &'static str,
        options: &'static [&'static str],
        summary: &'static str,
    ) -> Self {
        Self { name, summary, kind: ParameterKind::Choice { default, options } }
    }
}

/// A value given to a parameter.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(untagged)]
pub enum ParameterValue {
    /// A number.
    Number(f64),
    /// A word.
    Text(String),
}

/// The values of a method's parameters: the given ones over the declared defaults.
///
/// # Examples
/// ```
/// use candor::parameters::{Parameter, ParameterValue, Parameters};
/// const MARGIN: &[Parameter] = &[Parameter::number("margin", 10.0, 0.0, 1e6, "the margin m")];
/// let given = [("margin".to_owned(), ParameterValue::Number(6.0))].into();
/// assert_eq!(Parameters::resolve("mbls", MARGIN, &given)?.number("margin"), 6.0);
/// assert_eq!(Parameters::resolve("mbls", MARGIN, &Default::default())?.number("margin"), 10.0);
/// # Ok::<(), candor::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Parameters {
    values: BTreeMap<&'static str, ParameterValue>,
}

impl Parameters {
    /// The declared defaults.
    pub fn defaults(declared: &'static [Parameter]) -> Self {
        let values = declared.iter().map(|parameter| (parameter.name, default_of(parameter))).collect();
        Self { values }
    }

    /// Checks `given` against the declaration of `method`.
    ///
    /// # Errors
    /// [`Error::UnknownName`] for an undeclared key or word, [`Error::OutOfRange`] for a number outside its
    /// range, [`Error::ParameterKind`] for a word where a number belongs, or half a number where a whole one does.
    pub fn resolve(
        method: &'static str,
        declared: &'static [Parameter],
        given: &BTreeMap<String, ParameterValue>,
    ) -> Result<Self> {
        let mut resolved = Self::defaults(declared);
        for (key, value) in given {
            let Some(parameter) = declared.iter().find(|parameter| parameter.name == key) else {
                return Err(crate::registry::unknown("parameter", key, declared.iter().map(|p| p.name)));
            };
            let value = match (&parameter.kind, value) {
                (ParameterKind::Number { min, max, .. }, ParameterValue::Number(number)) => {
                    crate::error::check_range(parameter.name, *number, *min, *max)?;
                    value.clone()
                }
                (ParameterKind::Whole { min, max, .. }, ParameterValue::Number(number)) => {
                    crate::error::check_range(parameter.name, *number, *min, *max)?;
                    if number.fract() != 0.0 {
                        return Err(parameter.wrong(method, number));
                    }
                    value.clone()
                }
                (ParameterKind::Choice { options, .. }, ParameterValue::Text(word)) => {
                    if !options.contains(&word.as_str()) {
                        return Err(crate::registry::unknown(parameter.name, word, options.iter().copied()));
                    }
                    value.clone()
                }
                (_, value) => return Err(parameter.wrong(method, format!("{value:?}"))),
            };
            resolved.values.insert(parameter.name, value);
        }
        Ok(resolved)
    }

    /// A declared number; NaN if `name` is not one.
    pub fn number(&self, name: &str) -> f64 {
        match self.values.get(name) {
            Some(ParameterValue::Number(number)) => *number,
            _ => f64::NAN,
        }
    }

    /// Every declared parameter with its value.
    pub fn values(&self) -> BTreeMap<&'static str, ParameterValue> {
        self.values.clone()
    }

    /// A declared word; empty if `name` is not one.
    pub fn word(&self, name: &str) -> &str {
        match self.values.get(name) {
            Some(ParameterValue::Text(word)) => word,
            _ => "",
        }
    }
}

fn default_of(parameter: &Parameter) -> ParameterValue {
    match parameter.kind {
        ParameterKind::Number { default, .. } | ParameterKind::Whole { default, .. } => {
            ParameterValue::Number(default)
        }
        ParameterKind::Choice { default, .. } => ParameterValue::Text(default.to_owned()),
    }
}

/// The declared defaults as text, for lists and tables: `margin = 10, weight = 0.1`.
pub fn describe_defaults(declared: &[Parameter]) -> String {
    let words: Vec<String> = declared
        .iter()
        .map(|parameter| match parameter.kind {
            ParameterKind::Number { default, .. } | ParameterKind::Whole { default, .. } => {
                format!("{} = {default}", parameter.name)
            }
            ParameterKind::Choice { default, .. } => format!("{} = {default}", parameter.name),
        })
        .collect();
    if words.is_empty() { "none".to_owned() } else { words.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DECLARED: &[Parameter] = &[
        Parameter::number("margin", 10.0, 0.0, 100.0, "the margin m"),
        Parameter::choice("reduction", "mean", &["mean", "sum"], "over the classes"),
        Parameter::whole("n_bins", 15.0, 1.0, 100.0, "number of bins"),
    ];

    fn given(key: &str, value: ParameterValue) -> BTreeMap<String, ParameterValue> {
        [(key.to_owned(), value)].into()
    }

    #[test]
    fn each_wrong_value_has_its_error() {
        let resolve = |key, value| Parameters::resolve("mbls", DECLARED, &given(key, value)).unwrap_err();
        assert!(matches!(
            resolve("margn", ParameterValue::Number(1.0)),
            Error::UnknownName { nearest: "margin", .. }
        ));
        assert!(matches!(
            resolve("margin", ParameterValue::Number(-1.0)),
            Error::OutOfRange { argument: "margin", .. }
        ));
        assert!(matches!(resolve("margin", ParameterValue::Number(f64::NAN)), Error::OutOfRange { .. }));
        assert!(matches!(resolve("margin", ParameterValue::Text("a".into())), Error::ParameterKind { .. }));
        let half = resolve("n_bins", ParameterValue::Number(2.5)).to_string();
        assert!(half.contains("a whole number") && half.contains("2.5"), "{half}");
        assert!(matches!(resolve("n_bins", ParameterValue::Number(0.0)), Error::OutOfRange { .. }));
        assert!(DECLARED[2].check(2.5).is_err() && DECLARED[2].check(2.0).is_ok());
        assert!(matches!(
            resolve("reduction", ParameterValue::Text("max".into())),
            Error::UnknownName { .. }
        ));
    }

    #[test]
    fn defaults_are_described() {
        assert_eq!(describe_defaults(DECLARED), "margin = 10, reduction = mean, n_bins = 15");
        assert_eq!(describe_defaults(&[]), "none");
    }
}
