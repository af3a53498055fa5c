//! What a target will do before any training: optimum, margin, loss floor, slopes, equivalent settings.
//!
//! Everything here is a closed form in double precision. [`Explanation`] gathers what can be said of one
//! smoothing setting, [`TargetTheory`] says the same of any target row, and the functions relate
//! smoothing to temperature, label noise, Mixup, sequence sampling and class weights.

mod binary;
mod class_weights;
mod equivalences;
mod explanation;
mod row;
mod self_training;
pub mod stability;
mod unsmooth;

pub use binary::BinaryTheory;
pub use class_weights::weighted_optimum;
pub use equivalences::{
    hamming_raml_smoothing, mixup_smoothing, noise_correcting_strength, teacher_smoothing,
    teacher_temperature, total_smoothing,
};
pub use explanation::{Equivalent, Explanation};
pub use row::{HESSIAN_BOUND, TargetTheory};
pub use self_training::{damping_ratio, self_training_fixed_point};
pub use unsmooth::{expected_underconfidence, unsmooth};
