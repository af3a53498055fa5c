//! What a comparison of runs says: summary, recommendation, verdict, warnings. Numbers in, words out.

mod comparison;
mod comparison_warnings;
pub mod page;
mod recommendation;
mod verdict;
mod warnings;

pub use comparison::{AfterTemperature, Comparison, RunRecord, SummaryRow, Variant, summarise};
pub use comparison_warnings::{Context, comparison_warnings};
pub use recommendation::{Recommendation, recommend};
pub use verdict::verdict;
pub use warnings::{Warning, ensemble_warning, evaluation_warnings, group_warnings};
