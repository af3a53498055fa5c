//! Figures that judge predictions: streaming, mergeable, the same bits however the rows were split.
//!
//! An [`Evaluator`] takes rows of one [`InputKind`] and keeps what the selected metrics need; each metric is a
//! row of [`ALL`] and reads that. States have `update`, `merge` and `compute`.

mod accuracy;
mod all;
mod bin_sums;
mod binned;
mod binning;
mod bootstrap;
mod brier;
mod calibration_error;
mod class_rows;
mod classwise;
mod counted_rows;
mod debiased;
mod decomposition;
mod detection;
mod equal_mass;
mod error_interval;
mod estimate;
mod evaluation;
mod exact_sum;
mod fairness;
mod fine;
mod folded;
mod info;
mod kernel_density;
mod kolmogorov;
mod laplace;
mod likelihood;
mod moments;
mod murphy;
mod paired;
mod ranked;
mod ranking;
mod reliability;
mod row_score;
mod selective;
mod sharpness;
mod smooth;
mod spiegelhalter;
mod unweighted;
mod updates;
mod view;

pub use all::ALL;
pub use binning::{BinEdges, EdgeRule};
pub use bootstrap::MAX_BOOTSTRAP_ROWS;
pub use calibration_error::{CalibrationError, CalibrationErrors, SIMULATIONS};
use class_rows::ClassRows;
pub use classwise::marginal_error;
pub use detection::DetectionCalibration;
pub use equal_mass::{MassRule, equal_mass_table, equal_mass_table_by};
pub use estimate::Estimate;
pub use evaluation::{Binning, Evaluation, EvaluationOptions, Evaluator};
pub use exact_sum::ExactSum;
pub use fairness::{
    FAIRNESS, Fairness, FairnessEvaluator, FairnessInfo, FairnessMethod, FairnessRow, GroupFairness, Rate,
};
pub use info::{InputKind, Inputs, MetricInfo, MetricSet};
pub use moments::Moments;
pub use paired::{PairedEstimate, PairedEvaluation, PairedEvaluator};
pub use ranked::{RankedRow, RankedRows};
pub use reliability::{Bin, ReliabilityBin, ReliabilityTable};
pub use row_score::{RowScore, Scorer};
pub use selective::{RiskCoverage, SelectiveRisk, selective_risk};
pub use smooth::{smooth_ece, smooth_ece_at};
