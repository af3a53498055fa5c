//! A reliability diagram in characters.

use candor::metrics::ReliabilityBin;

/// Width of a bar that stands for 1.
const WIDTH: usize = 40;

/// One line a bin that holds rows: accuracy as a bar, mean confidence as a mark, the count behind.
///
/// A calibrated bin ends at its mark; a bar that stops short of it is over-confident.
pub fn reliability(bins: &[ReliabilityBin]) -> String {
    let mut text = format!("confidence   0{}1   rows\n", " ".repeat(WIDTH - 1));
    for bin in bins {
        let (Some(confidence), Some(accuracy)) = (bin.confidence, bin.accuracy) else { continue };
        let bar = (accuracy * WIDTH as f64).round() as usize;
        let mark = ((confidence * WIDTH as f64).round() as usize).min(WIDTH);
        let line: String = (0..=WIDTH)
            .map(|place| match (place == mark, place < bar) {
                (true, _) => '|',
                (false, true) => '=',
                (false, false) => ' ',
            })
            .collect();
        text.push_str(&format!("{:.2} to {:.2} {line}  {:>7}\n", bin.low, bin.high, bin.count));
    }
    text.push_str("= accuracy, | confidence: a bar that ends left of its mark is over-confident\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_and_marks_stand_where_the_figures_say() {
        let bin = |low, count, figures: Option<(f64, f64)>| ReliabilityBin {
            low,
            high: low + 0.5,
            count,
            confidence: figures.map(|(confidence, _)| confidence),
            accuracy: figures.map(|(_, accuracy)| accuracy),
            accuracy_ci: None,
        };
        let text = reliability(&[bin(0.0, 0, None), bin(0.5, 7, Some((0.75, 0.5)))]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3);
        assert_eq!(
            lines[1],
            format!("0.50 to 1.00 {}{}|{}  {:>7}", "=".repeat(20), " ".repeat(10), " ".repeat(10), 7)
        );
        assert!(lines.iter().all(|line| line.chars().count() <= 80), "{text}");
    }
}
