//! The program `candor`: parses the request, runs it, reports errors with the right exit status.
//!
//! Exit status: 0 done; 1 failed while running; 2 the request or the input is wrong, nothing written;
//! 130 interrupted, the state is saved.

mod args;
mod commands;
mod config_flags;
mod diagram;
mod inputs;
mod interrupt;
mod maps;
mod output;
mod png;
mod progress;
mod report;
mod table;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    candor::kernels::allocator::keep_large_buffers();
    let program = args::Program::parse();
    match commands::run(program) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if output::is_broken_pipe(&error) {
                return ExitCode::SUCCESS;
            }
            eprintln!("error: {}", output::describe(&error));
            ExitCode::from(output::exit_status(&error))
        }
    }
}
