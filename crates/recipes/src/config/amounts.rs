//! How many rows: a count, a share, or a count from one end.

use crate::error::{Error, Result};

/// Rows held out of a part of the data.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum HeldOut {
    /// What the data set itself recommends.
    Auto,
    /// No row.
    None,
    /// So many rows, drawn with the classes in proportion.
    Count(usize),
    /// A share of the rows, drawn with the classes in proportion.
    Fraction(f64),
    /// The last rows of the file.
    Last(usize),
}

/// Training rows that are used.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum TrainSize {
    /// All.
    All,
    /// So many rows, drawn with the classes in proportion.
    Count(usize),
    /// A share of the rows, drawn with the classes in proportion.
    Fraction(f64),
    /// The first rows of the file.
    First(usize),
}

impl HeldOut {
    /// Reads `auto`, `none`, `COUNT`, `FRACTION` or `last:COUNT`.
    ///
    /// # Errors
    /// [`Error::Config`] naming `key`.
    pub fn parse(key: &str, text: &str) -> Result<Self> {
        let accepted = "must be a count of rows (5000), a fraction below 1 (0.1), last:COUNT, none or auto";
        Ok(match text {
            "auto" => HeldOut::Auto,
            "none" | "0" => HeldOut::None,
            _ => match (text.strip_prefix("last:"), number(text)) {
                (Some(rest), _) => HeldOut::Last(
                    rest.parse().ok().filter(|n| *n > 0).ok_or_else(|| Error::config(key, text, accepted))?,
                ),
                (None, Some(Amount::Count(n))) => HeldOut::Count(n),
                (None, Some(Amount::Fraction(f))) => HeldOut::Fraction(f),
                (None, None) => return Err(Error::config(key, text, accepted)),
            },
        })
    }
}

impl TrainSize {
    /// Reads `all`, `COUNT`, `FRACTION` or `first:COUNT`.
    ///
    /// # Errors
    /// [`Error::Config`] naming `key`.
    pub fn parse(key: &str, text: &str) -> Result<Self> {
        let accepted = "must be a count of rows (2000), a fraction below 1 (0.1), first:COUNT or all";
        Ok(match text {
            "all" => TrainSize::All,
            _ => match (text.strip_prefix("first:"), number(text)) {
                (Some(rest), _) => TrainSize::First(
                    rest.parse().ok().filter(|n| *n > 0).ok_or_else(|| Error::config(key, text, accepted))?,
                ),
                (None, Some(Amount::Count(n))) => TrainSize::Count(n),
                (None, Some(Amount::Fraction(f))) => TrainSize::Fraction(f),
                (None, None) => return Err(Error::config(key, text, accepted)),
            },
        })
    }
}

enum Amount {
    Count(usize),
    Fraction(f64),
}

/// A positive count, or a fraction strictly between 0 and 1.
fn number(text: &str) -> Option<Amount> {
    if let Ok(count) = text.parse::<usize>() {
        return (count > 0).then_some(Amount::Count(count));
    }
    let fraction: f64 = text.parse().ok()?;
    (fraction > 0.0 && fraction < 1.0).then_some(Amount::Fraction(fraction))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read() {
        let held = |text| HeldOut::parse("data.validation", text).unwrap();
        assert_eq!(held("5000"), HeldOut::Count(5000));
        assert_eq!(held("0.1"), HeldOut::Fraction(0.1));
        assert_eq!(held("last:5000"), HeldOut::Last(5000));
        assert_eq!((held("none"), held("0"), held("auto")), (HeldOut::None, HeldOut::None, HeldOut::Auto));
        let size = |text| TrainSize::parse("data.train_size", text).unwrap();
        assert_eq!(
            (size("all"), size("2000"), size("first:20")),
            (TrainSize::All, TrainSize::Count(2000), TrainSize::First(20))
        );
    }

    #[test]
    fn anything_else_is_refused_with_the_key() {
        for bad in ["", "-1", "1.5", "last:", "last:0", "nan", "ten", "first:3", "1.0"] {
            let error = HeldOut::parse("data.validation", bad).unwrap_err().to_string();
            assert!(error.starts_with("data.validation = ") && error.contains("last:COUNT"), "{error}");
        }
        for bad in ["0", "last:3", "auto", "2.0", "inf"] {
            assert!(TrainSize::parse("data.train_size", bad).is_err(), "{bad}");
        }
    }
}
