//! Names: what to say when one is not known.

use crate::error::Error;

/// The error for a name that is not in `known`, with the closest one as a suggestion.
pub fn unknown(kind: &'static str, name: &str, known: impl IntoIterator<Item = &'static str>) -> Error {
    let known: Vec<&'static str> = known.into_iter().collect();
    let nearest = known
        .iter()
        .copied()
        .max_by(|a, b| strsim::jaro_winkler(a, name).total_cmp(&strsim::jaro_winkler(b, name)))
        .unwrap_or("");
    Error::UnknownName { kind, name: name.to_owned(), nearest, known: known.join(", ") }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_closest_name_is_suggested() {
        let error = super::unknown("loss", "cros_entropy", ["focal", "cross_entropy"]);
        assert_eq!(
            error.to_string(),
            "there is no loss called \"cros_entropy\"; did you mean \"cross_entropy\"? Known: focal, cross_entropy"
        );
    }
}
