//! Post-hoc maps: fitted on held-out predictions, applied to others.

mod temperature;

pub use temperature::{Outcome, Temperature, TemperatureFit};

/// What a calibrator is called and what it keeps; shown by `candor list`.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct CalibratorInfo {
    /// The name in configurations and files.
    pub name: &'static str,
    /// One line: what it does and when to use it.
    pub summary: &'static str,
    /// The map.
    pub formula: &'static str,
    /// Whether it never changes which class is predicted.
    pub preserves_accuracy: bool,
    /// Where it was published.
    pub paper: &'static str,
}

/// Every calibrator, in the order of `candor list`.
pub const ALL: &[CalibratorInfo] = &[temperature::INFO];
