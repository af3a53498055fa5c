//! Calibration errors class by class: every probability is held to account, not only the largest.

use super::debiased::debiased_square;
use super::equal_mass::table_of;
use super::folded::mean_absolute;
use super::info::Needs;
use super::view::View;
use super::{
    CalibrationError, CalibrationErrors, Estimate, Inputs, MassRule, MetricInfo, RankedRow, ReliabilityTable,
};

pub(super) const CLASSWISE_ECE: MetricInfo = MetricInfo {
    name: "classwise_ece",
    summary: "ECE of each class's probability over equal-width bins, averaged over classes (static calibration error)",
    formula: "1/K Σ_k Σ_m (n_km/n) |freq_km - p_km|",
    range: "0 to 1",
    higher_is_better: Some(false),
    state: "O(K bins)",
    inputs: Inputs::CLASSWISE,
    default: true,
    paper: "Nixon et al. 2019, arXiv:1904.01685; Kull et al. 2019, arXiv:1910.12656",
    needs: Needs::CLASS_TABLES,
    compute: |view| mean_absolute(view.class_tables()),
};

pub(super) const ACE: MetricInfo = MetricInfo {
    name: "ace",
    summary: "class-wise ECE over bins of equally many rows, every bin counted alike",
    formula: "1/(K R) Σ_k Σ_r |freq_kr - p_kr|",
    range: "0 to 1",
    higher_is_better: Some(false),
    state: "O(n K)",
    inputs: Inputs::CLASSWISE,
    default: false,
    paper: "Nixon et al. 2019, arXiv:1904.01685",
    needs: Needs::CLASS_ROWS,
    compute: |view| averaged(view, 0.0),
};

pub(super) const TACE: MetricInfo = MetricInfo {
    name: "tace",
    summary: "ACE over the probabilities above 0.001 only",
    formula: "ACE of p_k > 0.001",
    range: "0 to 1",
    higher_is_better: Some(false),
    state: "O(n K)",
    inputs: Inputs::CLASSWISE,
    default: false,
    paper: "Nixon et al. 2019, arXiv:1904.01685",
    needs: Needs::CLASS_ROWS,
    compute: |view| averaged(view, 1e-3),
};

pub(super) const MARGINAL_CE: MetricInfo = MetricInfo {
    name: "marginal_ce",
    summary: "root mean square calibration error over classes and bins of equally many rows",
    formula: "sqrt(1/K Σ_k Σ_m (n_km/n) (freq_km - p_km)²)",
    range: "0 to 1",
    higher_is_better: Some(false),
    state: "O(n K)",
    inputs: Inputs::CLASSWISE,
    default: false,
    paper: "Kumar et al. 2019, arXiv:1909.10155",
    needs: Needs::CLASS_ROWS,
    compute: |view| Some(Estimate::plain(marginal_error(&columns(view)?, 2, false)?)),
};

pub(super) const DEBIASED_MARGINAL_CE: MetricInfo = MetricInfo {
    name: "debiased_marginal_ce",
    summary: "marginal_ce less the variance of the bins' outcomes; a class where that is larger adds 0",
    formula: "sqrt(1/K Σ_k max(0, Σ_m (n_km/n) [(freq_km - p_km)² - freq_km(1 - freq_km)/(n_km - 1)]))",
    range: "0 to 1",
    higher_is_better: Some(false),
    state: "O(n K)",
    inputs: Inputs::CLASSWISE,
    default: false,
    paper: "Kumar et al. 2019, arXiv:1909.10155",
    needs: Needs::CLASS_ROWS,
    compute: |view| Some(Estimate::plain(marginal_error(&columns(view)?, 2, true)?)),
};

/// The marginal calibration error `(1/K Σ_k CE_k^p)^(1/p)` of one table for each class (Kumar et al. 2019).
///
/// In [0, 1], lower is better. `power` is 1 or 2; `debias` subtracts the variance of the bins' outcomes and is
/// defined for `power` 2. `None` without a table that holds a row, or for another power.
pub fn marginal_error(tables: &[ReliabilityTable], power: u32, debias: bool) -> Option<f64> {
    let tables: Vec<&ReliabilityTable> = tables.iter().filter(|table| table.weight() > 0.0).collect();
    let value = |table: &ReliabilityTable, kind| CalibrationErrors::value(table, kind).ok();
    let of_table = |table: &ReliabilityTable| match (power, debias) {
        (1, false) => value(table, CalibrationError::Expected),
        (2, false) => value(table, CalibrationError::RootMeanSquare).map(|root| root * root),
        (2, true) => Some(debiased_square(table).max(0.0)),
        _ => None,
    };
    let sum = tables.iter().map(|table| of_table(table)).sum::<Option<f64>>()?;
    let mean = (sum / tables.len() as f64).max(0.0);
    let value = if power == 2 { mean.sqrt() } else { mean };
    value.is_finite().then_some(value)
}

/// The equal-mass table of each class.
fn columns(view: &View<'_>) -> Option<Vec<ReliabilityTable>> {
    let rows = view.class_rows()?;
    let table = |class| table_of(&rows.column(class), view.options().n_bins, view.options().mass_rule);
    Some((0..rows.n_classes()).map(table).collect())
}

/// Mean |gap| over all occupied bins of all classes, of the probabilities above `threshold`.
fn averaged(view: &View<'_>, threshold: f64) -> Option<Estimate> {
    let rows = view.class_rows()?;
    let (mut sum, mut bins) = (0.0, 0.0);
    for class in 0..rows.n_classes() {
        let column = rows.column(class);
        let kept: &[RankedRow] = &column[column.partition_point(|row| row.confidence <= threshold)..];
        let kept = if threshold > 0.0 { kept } else { &column };
        let table = table_of(kept, view.options().n_bins, MassRule::Split);
        for bin in table.occupied() {
            sum += bin.gap().abs();
            bins += 1.0;
        }
    }
    (bins > 0.0).then(|| Estimate::plain(sum / bins))
}
