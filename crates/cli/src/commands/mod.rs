//! One file a command.

mod bench;
mod calibrate;
mod compare;
mod compare_predictions;
mod data;
mod eval;
mod eval_text;
mod explain;
mod list;
mod loss;
mod loss_targets;
mod out_folder;
mod predict;
mod shell;
mod soften;
mod train;

use anyhow::Result;

use crate::args::{CalibrateCommand, Command, Program};

/// Runs a request.
pub fn run(program: Program) -> Result<()> {
    let global = &program.global;
    if let Some(threads) = global.threads.filter(|_| !matches!(program.command, Command::Bench(_))) {
        rayon::ThreadPoolBuilder::new().num_threads(usize::from(threads)).build_global()?;
    }
    match &program.command {
        Command::Compare(args) if !args.predictions.is_empty() => compare_predictions::run(args, global),
        Command::Compare(args) => compare::run(args, global),
        Command::Train(args) => train::run(args, global),
        Command::Predict(args) => predict::run(args, global),
        Command::Loss(args) => loss::run(args, global),
        Command::Soften(args) => soften::run(args, global),
        Command::Eval(args) => eval::run(args, global),
        Command::Calibrate(CalibrateCommand::Fit(args)) => calibrate::fit(args, global),
        Command::Calibrate(CalibrateCommand::Apply(args)) => calibrate::apply(args, global),
        Command::Explain(args) => explain::run(args, global),
        Command::Data(args) => data::run(args, global),
        Command::List(args) => list::run(args, global),
        Command::Bench(args) => bench::run(args, global),
        Command::Completions(args) => shell::completions(args),
        Command::Man => shell::man(),
    }
}
