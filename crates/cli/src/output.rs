//! What goes to standard output, and how errors are told.

use std::io::Write;

use anyhow::Result;
use serde::Serialize;

/// Prints text to standard output.
pub fn print(text: &str) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()?;
    Ok(())
}

/// Prints one JSON document.
pub fn print_json(document: &impl Serialize) -> Result<()> {
    let mut text = serde_json::to_string_pretty(document)?;
    text.push('\n');
    print(&text)
}

/// Whether the reader of standard output has gone away, which is no error.
pub fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<std::io::Error>())
        .any(|cause| cause.kind() == std::io::ErrorKind::BrokenPipe)
}

/// The error in one line: context first.
pub fn describe(error: &anyhow::Error) -> String {
    let mut parts: Vec<String> = Vec::new();
    for cause in error.chain() {
        let text = cause.to_string();
        // A transparent wrapper repeats its source, and some errors already name theirs.
        if !parts.iter().any(|part| part.contains(&text)) {
            parts.push(text);
        }
    }
    parts.join(": ")
}

/// 130 for an interruption, 2 for a wrong request or input, 1 for a failure while running.
pub fn exit_status(error: &anyhow::Error) -> u8 {
    for cause in error.chain() {
        if let Some(error) = cause.downcast_ref::<candor_recipes::Error>() {
            return match error {
                candor_recipes::Error::Interrupted { .. } => 130,
                error if error.is_input() => 2,
                _ => 1,
            };
        }
        if cause.is::<candor::Error>() || cause.is::<candor_burn::Error>() {
            return 2;
        }
    }
    1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_tells_whose_fault_it_was() {
        let input: anyhow::Error = candor::Error::ZeroWeight { what: "the mean" }.into();
        assert_eq!(exit_status(&input.context("file x")), 2);
        assert_eq!(exit_status(&candor_recipes::Error::Interrupted { saved: None }.into()), 130);
        assert_eq!(exit_status(&candor_recipes::Error::Internal("x".into()).into()), 1);
        assert_eq!(exit_status(&anyhow::anyhow!("x")), 1);
    }

    #[test]
    fn context_comes_first_and_nothing_twice() {
        let core = candor::Error::ZeroWeight { what: "the mean" };
        let error = anyhow::Error::from(candor_recipes::Error::from(core)).context("a.npy");
        assert_eq!(
            describe(&error),
            "a.npy: the mean cannot be taken: the weights of the counted rows sum to 0"
        );
    }
}
