//! `candor completions` and `candor man`: made from the definitions of the command line itself.

use anyhow::Result;
use clap::CommandFactory;

use crate::args::{CompletionsArgs, Program};
use crate::output::print;

/// The script that teaches a shell the commands and flags.
pub fn completions(args: &CompletionsArgs) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Program::command(), "candor", &mut script);
    print(&String::from_utf8_lossy(&script))
}

/// The manual page of the program, with a section for each command.
pub fn man() -> Result<()> {
    let command = Program::command();
    let mut page = Vec::new();
    clap_mangen::Man::new(command.clone()).render(&mut page)?;
    for command in command.get_subcommands().filter(|command| command.get_name() != "help") {
        let title = format!("candor-{}", command.get_name());
        clap_mangen::Man::new(command.clone().name(title)).render(&mut page)?;
    }
    print(&String::from_utf8_lossy(&page))
}
