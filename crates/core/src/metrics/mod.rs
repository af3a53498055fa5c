//! Figures that judge predictions: streaming, mergeable, the same bits however the rows were split.
//!
//! Every state has `update`, `merge` and `compute`. Rows become [`RowScore`]s once; the states read those.

mod binning;
mod calibration_error;
mod equal_mass;
mod estimate;
mod evaluation;
mod exact_sum;
mod moments;
mod ranked;
mod reliability;
mod row_score;
mod selective;

pub use binning::{BinEdges, EdgeRule};
pub use calibration_error::{CalibrationError, CalibrationErrors, SIMULATIONS};
pub use equal_mass::equal_mass_table;
pub use estimate::Estimate;
pub use evaluation::{ALL, Binning, Evaluation, EvaluationOptions, Evaluator, MetricInfo};
pub use exact_sum::ExactSum;
pub use moments::Moments;
pub use ranked::RankedRows;
pub use reliability::{Bin, ReliabilityBin, ReliabilityTable};
pub use row_score::{RowScore, Scorer};
pub use selective::{SelectiveRisk, selective_risk};
