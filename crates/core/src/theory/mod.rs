//! What a target will do before any training: optimum, margin, loss floor, slopes, equivalent settings.
//!
//! Everything here is a closed form in double precision. [`Explanation`] gathers what can be said of one
//! smoothing setting, [`RuleReport`] of any registered target rule, [`TargetTheory`] of any target row, and
//! the functions relate smoothing to temperature, label noise, Mixup, sequence sampling and class weights.
//!
//! What a target has done is measured by [`Margins`], [`ClassDistances`], [`TemplatePlane`],
//! [`mutual_information`] and [`logit_curvature`].

mod binary;
mod class_distances;
mod class_weights;
mod curvature;
mod equivalences;
mod explanation;
mod illustration;
mod margins;
mod mutual_information;
mod row;
mod row_report;
mod rule_report;
mod self_training;
pub mod stability;
mod template_plane;
mod unsmooth;

pub use binary::BinaryTheory;
pub use class_distances::ClassDistances;
pub use class_weights::weighted_optimum;
pub use curvature::logit_curvature;
pub use equivalences::{
    hamming_raml_smoothing, hamming_raml_temperature, mixup_concentration, mixup_smoothing,
    noise_correcting_strength, teacher_smoothing, teacher_temperature, total_smoothing,
};
pub use explanation::{Equivalent, Explanation};
pub use margins::Margins;
pub use mutual_information::mutual_information;
pub use row::{HESSIAN_BOUND, TargetTheory};
pub use row_report::{RowReport, SigmoidReport};
pub use rule_report::{ReportOptions, RuleReport};
pub use self_training::{damping_ratio, self_training_fixed_point};
pub use template_plane::TemplatePlane;
pub use unsmooth::{expected_underconfidence, unsmooth};
