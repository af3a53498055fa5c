//! Names of classes: what turns labels that are words into indices.

use std::collections::HashMap;
use std::path::Path;

use crate::error::{Error, Result};
use crate::files;

/// Class names in the order of their indices.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClassNames {
    names: Vec<String>,
    index: HashMap<String, i64>,
}

impl ClassNames {
    /// Names in the order of the classes.
    ///
    /// # Errors
    /// The name that occurs twice.
    pub fn new(names: Vec<String>) -> std::result::Result<Self, String> {
        let mut index = HashMap::with_capacity(names.len());
        for (class, name) in names.iter().enumerate() {
            if index.insert(name.clone(), class as i64).is_some() {
                return Err(name.clone());
            }
        }
        Ok(Self { names, index })
    }

    /// Reads a file with one name a line, or a JSON list of names.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Format`] for a file without names, with one name twice, or that is no text.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = files::read(path)?;
        let text = String::from_utf8(bytes)
            .map_err(|_| Error::format(path, "is no text in UTF-8, but must list class names"))?;
        let names: Vec<String> = if text.trim_start().starts_with('[') {
            serde_json::from_str(&text)
                .map_err(|error| Error::format(path, format!("is no JSON list of class names: {error}")))?
        } else {
            let lines = text.lines().map(str::trim);
            // A line break at the end adds no class; a blank line between names would shift the others.
            let names: Vec<String> = lines.map(str::to_owned).collect();
            let used = names.iter().rposition(|name| !name.is_empty()).map_or(0, |last| last + 1);
            names.into_iter().take(used).collect()
        };
        if names.is_empty() {
            return Err(Error::format(path, "lists no class names; it needs one a line, or a JSON list"));
        }
        if let Some(line) = names.iter().position(String::is_empty) {
            return Err(Error::format(path, format!("line {}: the class name is empty", line + 1)));
        }
        Self::new(names).map_err(|name| Error::format(path, format!("lists the class {name:?} twice")))
    }

    /// Number of classes.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there is no class.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The name of a class.
    pub fn name(&self, class: usize) -> Option<&str> {
        self.names.get(class).map(String::as_str)
    }

    /// The index of a name.
    pub fn index(&self, name: &str) -> Option<i64> {
        self.index.get(name).copied()
    }
}

/// A label written as text: a class name where there are names, otherwise an index.
pub(crate) fn label_of_text(text: &str, names: Option<&ClassNames>) -> std::result::Result<i64, String> {
    let text = text.trim();
    if let Some(index) = names.and_then(|names| names.index(text)) {
        return Ok(index);
    }
    if let Some(index) = whole_number(text) {
        return Ok(index);
    }
    Err(match names {
        Some(_) => format!("label {text:?} is neither a class name nor an index"),
        None => {
            format!("label {text:?} is no class index; give the names of the classes with --class-names FILE")
        }
    })
}

/// An integer, also when written as `3.0` or `true`.
fn whole_number(text: &str) -> Option<i64> {
    if let Ok(index) = text.parse() {
        return Some(index);
    }
    match text {
        "true" | "True" | "TRUE" => return Some(1),
        "false" | "False" | "FALSE" => return Some(0),
        _ => {}
    }
    text.parse::<f64>().ok().and_then(whole)
}

/// A float as an integer, if it is one.
pub(crate) fn whole(value: f64) -> Option<i64> {
    // Up to 2^53 every whole number has a double of its own.
    (value.fract() == 0.0 && value.abs() <= 9_007_199_254_740_992.0).then_some(value as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<ClassNames> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        ClassNames::read(file.path())
    }

    #[test]
    fn lines_and_lists_give_the_same_names() {
        let lines = read("cat\nbig dog\r\n\n").unwrap();
        assert_eq!(lines, read("[\"cat\", \"big dog\"]").unwrap());
        assert_eq!((lines.len(), lines.name(1), lines.index("cat")), (2, Some("big dog"), Some(0)));
    }

    #[test]
    fn lists_that_would_mislead_are_refused() {
        for (text, words) in [
            ("", "no class names"),
            ("a\n\nb", "line 2"),
            ("a\nb\na", "\"a\" twice"),
            ("[1]", "no JSON list"),
        ] {
            let message = read(text).unwrap_err().to_string();
            assert!(message.contains(words), "{text:?}: {message}");
        }
    }

    #[test]
    fn names_come_before_numbers() {
        let names = ClassNames::new(vec!["1".into(), "0".into()]).unwrap();
        assert_eq!(label_of_text("1", Some(&names)), Ok(0));
        assert_eq!(label_of_text(" 1", None), Ok(1));
        assert_eq!((label_of_text("2.0", None), label_of_text("True", None)), (Ok(2), Ok(1)));
        assert!(label_of_text("1.5", None).unwrap_err().contains("--class-names"));
        assert!(label_of_text("cat", Some(&names)).unwrap_err().contains("neither"));
    }
}
