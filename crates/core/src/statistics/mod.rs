//! Small statistics: intervals for proportions and means, and the distributions behind them.

mod distributions;
mod intervals;

pub(crate) use distributions::ln_beta;
pub use distributions::{normal_cdf, normal_quantile, student_t_cdf, student_t_quantile};
pub use intervals::PairedDifference;
pub use intervals::{mean_interval, paired_t, quantile_sorted, wilson, wilson_share};
