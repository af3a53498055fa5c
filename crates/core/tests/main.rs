//! The integration tests of the core crate, as one binary: what holds across modules, through the public API.

/// Schedules: ends, order, range, for every registered one.
mod schedules;
/// Target rules and their theory: conservation of mass, conversions, published values.
mod targets;
