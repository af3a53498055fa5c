//! Ctrl-C and termination: a flag that trainings look at after every step.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

static STOP: AtomicBool = AtomicBool::new(false);
static INSTALLED: OnceLock<()> = OnceLock::new();

/// The flag; the first call installs the handler. A second signal ends the program at once.
pub fn flag() -> &'static AtomicBool {
    INSTALLED.get_or_init(|| {
        // Without a handler the program ends at the first signal; checkpoints make that safe too.
        let _ = ctrlc::set_handler(|| {
            if STOP.swap(true, Ordering::Relaxed) {
                std::process::exit(130);
            }
            eprintln!("\nstopping after this step; once more stops at once");
        });
    });
    &STOP
}
