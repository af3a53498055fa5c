//! What comes from data stays text: escaping for HTML and SVG.

/// Escapes text for an element or a quoted attribute of HTML or SVG.
///
/// Characters that XML forbids become U+FFFD, line breaks and tabs a space, so that no browser and no parser of
/// standalone SVG files stumbles.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(printable(other)),
        }
    }
    escaped
}

/// The same text with only characters that XML allows.
pub(super) fn plain(text: &str) -> String {
    text.chars().map(printable).collect()
}

fn printable(character: char) -> char {
    match character {
        '\n' | '\r' | '\t' => ' ',
        '\u{0}'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{fffe}' | '\u{ffff}' => '\u{fffd}',
        other => other,
    }
}

/// At most `most` characters, the end replaced by an ellipsis.
pub(super) fn shortened(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

/// With its first letter in upper case.
pub(super) fn sentence(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or(String::new(), |first| first.to_uppercase().chain(characters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_becomes_text() {
        assert_eq!(escape("<b a=\"1\" c='2'>&"), "&lt;b a=&quot;1&quot; c=&#39;2&#39;&gt;&amp;");
        assert_eq!(escape("a\u{0}\n\u{8}é"), "a\u{fffd} \u{fffd}é");
    }

    #[test]
    fn long_names_are_cut_by_characters() {
        assert_eq!(shortened("ääääää", 4), "äää…");
        assert_eq!(shortened("abcd", 4), "abcd");
        assert_eq!((sentence("élan vital"), sentence("")), ("Élan vital".into(), String::new()));
    }
}
