//! How numbers are written for people: fixed decimals, a real minus sign, words for what is no number.

/// Written for a cell or a sentence; a dash for NaN.
pub(super) fn fixed(value: f64, decimals: usize) -> String {
    if value.is_nan() {
        return "–".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "∞" } else { "−∞" }.to_owned();
    }
    let text = format!("{:.decimals$}", value.abs());
    let zero = text.bytes().all(|byte| matches!(byte, b'0' | b'.'));
    if value < 0.0 && !zero { format!("−{text}") } else { text }
}

/// Like [`fixed`], with a plus sign before what is above zero.
pub(super) fn signed(value: f64, decimals: usize) -> String {
    let text = fixed(value, decimals);
    let zero = text.chars().all(|character| matches!(character, '0' | '.'));
    if value > 0.0 && !zero { format!("+{text}") } else { text }
}

/// Low to high.
pub(super) fn range(ends: [f64; 2], decimals: usize) -> String {
    format!("{} to {}", fixed(ends[0], decimals), fixed(ends[1], decimals))
}

/// A count with its thousands apart.
pub(super) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// Words joined by commas and a last "and".
pub(super) fn list(words: &[String]) -> String {
    match words {
        [] => String::new(),
        [one] => one.clone(),
        [front @ .., last] => format!("{} and {last}", front.join(", ")),
    }
}

/// Decimals that suit a metric.
pub(super) fn decimals(metric: &str) -> usize {
    match metric {
        "accuracy" | "aurc" | "e_aurc" | "brier" => 4,
        _ => 3,
    }
}

/// A metric's name for people.
pub(super) fn metric_title(metric: &str) -> String {
    match metric {
        "nll" | "ece" | "mce" | "rmsce" | "aurc" => metric.to_uppercase(),
        "adaptive_ece" => "Adaptive ECE".to_owned(),
        "e_aurc" => "Excess AURC".to_owned(),
        "brier" => "Brier score".to_owned(),
        other => super::text::sentence(&other.replace('_', " ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_people_write_them() {
        assert_eq!(
            (fixed(-0.0625, 3), fixed(-0.0001, 3), fixed(f64::NAN, 3)),
            ("−0.062".into(), "0.000".into(), "–".into())
        );
        assert_eq!(
            (signed(0.1, 2), signed(-0.1, 2), signed(0.0001, 2)),
            ("+0.10".into(), "−0.10".into(), "0.00".into())
        );
        assert_eq!(fixed(f64::NEG_INFINITY, 1), "−∞");
        assert_eq!((metric_title("signed_gap"), metric_title("ece")), ("Signed gap".into(), "ECE".into()));
        assert_eq!(
            (count(7), count(1234), count(1_000_000)),
            ("7".into(), "1\u{202f}234".into(), "1\u{202f}000\u{202f}000".into())
        );
        assert_eq!(list(&["a".into(), "b".into(), "c".into()]), "a, b and c");
    }
}
