//! Progress bars on standard error: only on a terminal, never with `--quiet`.

use std::io::IsTerminal;

use candor_recipes::comparison::{FinishedRun, GridObserver};
use candor_recipes::recipe::Observer;
use candor_recipes::training::EpochLog;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar over the rows of one training or of a whole grid.
pub struct Progress {
    bar: ProgressBar,
    /// Lines instead of a bar, where standard error is no terminal.
    lines: bool,
    runs: usize,
    finished: std::sync::atomic::AtomicUsize,
}

impl Progress {
    /// A bar over `rows` rows in `runs` runs.
    pub fn new(rows: u64, runs: usize, quiet: bool) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let bar = ProgressBar::with_draw_target(
            Some(rows),
            if quiet || !terminal {
                ProgressDrawTarget::hidden()
            } else {
                ProgressDrawTarget::stderr_with_hz(5)
            },
        );
        let template = "{msg} [{bar:30}] {percent:>3}%  {per_sec} rows  {eta} left";
        if let Ok(style) = ProgressStyle::with_template(template) {
            let style = style
                .with_key("per_sec", |state: &indicatif::ProgressState, out: &mut dyn std::fmt::Write| {
                    let _ = write!(out, "{:.0}/s", state.per_sec());
                })
                .progress_chars("=> ");
            bar.set_style(style);
        }
        bar.set_message(if runs > 1 { format!("0/{runs} runs") } else { "training".to_owned() });
        Self { bar, lines: !quiet && !terminal, runs, finished: 0.into() }
    }

    /// Removes the bar.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

impl Observer for Progress {
    fn on_step(&self, done: u64, _: u64) {
        self.bar.set_position(done);
    }

    fn on_epoch(&self, log: &EpochLog) {
        let validation =
            log.validation.map(|part| format!("  validation NLL {:.4}", part.nll)).unwrap_or_default();
        let line = format!(
            "epoch {:>4}  loss {:.4}  NLL {:.4}{validation}",
            log.epoch, log.train.loss, log.train.nll
        );
        self.bar.set_message(format!("epoch {}{validation}", log.epoch));
        if self.lines {
            eprintln!("{line}");
        }
    }
}

impl GridObserver for Progress {
    fn on_rows(&self, rows: u64) {
        self.bar.inc(rows);
    }

    fn on_run(&self, run: &FinishedRun, reused: bool) {
        let finished = self.finished.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1;
        self.bar.set_message(format!("{finished}/{} runs", self.runs));
        if self.lines {
            let how = if reused { "taken over".to_owned() } else { format!("{:.1} s", run.record.seconds) };
            eprintln!(
                "{finished}/{} smoothing {} seed {}: {how}",
                self.runs, run.record.smoothing, run.record.seed
            );
        }
    }
}
