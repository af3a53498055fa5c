//! Aligned tables of text.

/// Puts rows under their headings; all columns but the first are aligned to the right.
pub fn table(headings: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain([headings[column].chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..headings.len()).map(width).collect();
    let line = |cells: &[String]| {
        let padded: Vec<String> = cells
            .iter()
            .zip(&widths)
            .enumerate()
            .map(|(column, (cell, width))| {
                let space = " ".repeat(width - cell.chars().count());
                if column == 0 { format!("{cell}{space}") } else { format!("{space}{cell}") }
            })
            .collect();
        format!("{}\n", padded.join("  ").trim_end())
    };
    let headings: Vec<String> = headings.iter().map(|heading| (*heading).to_owned()).collect();
    let mut text = line(&headings);
    rows.iter().for_each(|row| text.push_str(&line(row)));
    text
}

/// Columns of the text that people read.
const WIDTH: usize = 80;

/// Breaks a paragraph at spaces, into lines of at most 80 columns where words allow.
pub fn paragraph(text: &str) -> String {
    let mut lines = String::new();
    let mut length = 0;
    for word in text.split_whitespace() {
        let needed = word.chars().count();
        if length > 0 && length + 1 + needed > WIDTH {
            lines.push('\n');
            length = 0;
        } else if length > 0 {
            lines.push(' ');
            length += 1;
        }
        lines.push_str(word);
        length += needed;
    }
    lines.push('\n');
    lines
}

/// A number with so many decimals and no zero before the point.
pub fn short(value: f64, decimals: usize) -> String {
    if !value.is_finite() {
        return if value.is_nan() { "-".to_owned() } else { "inf".to_owned() };
    }
    let text = format!("{value:.decimals$}");
    match (text.strip_prefix("0."), text.strip_prefix("-0.")) {
        (Some(rest), _) => format!(".{rest}"),
        (_, Some(rest)) => format!("-.{rest}"),
        _ => text,
    }
}

/// A mean with its standard deviation, if there is one.
pub fn with_sd(mean: f64, sd: Option<f64>, decimals: usize) -> String {
    match sd {
        Some(sd) => format!("{}±{}", short(mean, decimals), short(sd, decimals)),
        None => short(mean, decimals),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let text = table(&["name", "x"], &[vec!["a".into(), "1".into()], vec!["long".into(), "22".into()]]);
        assert_eq!(text, "name   x\na      1\nlong  22\n");
    }

    #[test]
    fn paragraphs_break_at_eighty_columns() {
        let text = paragraph(&"four ".repeat(40));
        assert!(text.lines().all(|line| line.chars().count() <= 80) && text.lines().count() == 3, "{text}");
        assert_eq!(paragraph("a  b"), "a b\n");
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!(
            (short(0.0123, 3), short(-0.5, 2), short(1.5, 1)),
            (".012".into(), "-.50".into(), "1.5".into())
        );
        assert_eq!((short(f64::INFINITY, 2), short(f64::NAN, 2)), ("inf".into(), "-".into()));
        assert_eq!(with_sd(0.8782, Some(0.0017), 4), ".8782±.0017");
    }
}
