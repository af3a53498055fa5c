//! What metrics read: the collected rows, with everything that several figures share computed once.

use std::cell::OnceCell;

use super::bootstrap::Resamples;
use super::equal_mass::table_of;
use super::evaluation::{Binning, EvaluationOptions, Evaluator};
use super::fine::Mass;
use super::selective::{FIGURES, Sweep};
use super::{
    CalibrationErrors, ClassRows, Estimate, InputKind, Moments, RankedRow, RankedRows, ReliabilityTable,
};

/// Read access to an evaluation that holds at least one row of some weight.
pub(crate) struct View<'a> {
    pub(super) evaluator: &'a Evaluator,
    events: OnceCell<Vec<RankedRow>>,
    ranking: OnceCell<Vec<RankedRow>>,
    adaptive: OnceCell<ReliabilityTable>,
    errors: OnceCell<CalibrationErrors>,
    adaptive_errors: OnceCell<CalibrationErrors>,
    selective: OnceCell<Vec<Estimate>>,
    masses: OnceCell<Vec<Mass>>,
}

impl<'a> View<'a> {
    pub(super) fn new(evaluator: &'a Evaluator) -> Self {
        Self {
            evaluator,
            events: OnceCell::new(),
            ranking: OnceCell::new(),
            adaptive: OnceCell::new(),
            errors: OnceCell::new(),
            adaptive_errors: OnceCell::new(),
            selective: OnceCell::new(),
            masses: OnceCell::new(),
        }
    }

    pub(super) fn options(&self) -> &EvaluationOptions {
        &self.evaluator.options
    }

    pub(super) fn kind(&self) -> InputKind {
        self.evaluator.kind
    }

    pub(super) fn nll(&self) -> &Moments {
        &self.evaluator.nll
    }

    pub(super) fn brier(&self) -> &Moments {
        &self.evaluator.brier
    }

    /// The reliability table of equal-width bins.
    pub(super) fn grid(&self) -> &ReliabilityTable {
        &self.evaluator.table
    }

    /// The reliability table as the options bin it.
    pub(super) fn table(&self) -> &ReliabilityTable {
        match self.options().binning {
            Binning::EqualWidth => self.grid(),
            Binning::EqualMass => self.adaptive(),
        }
    }

    /// The reliability table of equal-mass bins.
    pub(super) fn adaptive(&self) -> &ReliabilityTable {
        self.adaptive.get_or_init(|| table_of(self.events(), self.options().n_bins, self.options().mass_rule))
    }

    /// Event probabilities with what happened, ascending: the confidence and correctness of the predicted
    /// class, or the probability and truth of class 1.
    pub(super) fn events(&self) -> &[RankedRow] {
        self.events.get_or_init(|| self.evaluator.rows.ascending())
    }

    /// Confidence of the decision with its correctness, ascending.
    pub(super) fn ranking(&self) -> &[RankedRow] {
        if self.kind() != InputKind::Binary {
            return self.events();
        }
        self.ranking.get_or_init(|| {
            let mut rows = RankedRows::default();
            for row in self.events() {
                let positive = row.confidence > 0.5;
                let confidence = if positive { row.confidence } else { 1.0 - row.confidence };
                rows.update_weighted(confidence, positive == row.correct, row.weight);
            }
            rows.ascending()
        })
    }

    /// Errors of [`table`](Self::table).
    pub(super) fn errors(&self) -> Option<&CalibrationErrors> {
        cached(&self.errors, || {
            CalibrationErrors::of(self.table(), self.options().seed, self.options().intervals)
        })
    }

    /// Errors of [`adaptive`](Self::adaptive).
    pub(super) fn adaptive_errors(&self) -> Option<&CalibrationErrors> {
        cached(&self.adaptive_errors, || {
            CalibrationErrors::of(self.adaptive(), self.options().seed, self.options().intervals)
        })
    }

    /// A selective figure by its position, with its bootstrap interval.
    pub(super) fn selective(&self, figure: usize) -> Option<Estimate> {
        let figures = self.selective.get_or_init(|| {
            let options = self.options();
            let sweep = Sweep::new(self.ranking(), options.risk, options.coverage);
            let intervals =
                if options.intervals { sweep.intervals(&self.resamples()) } else { vec![None; FIGURES] };
            let estimate = |(value, ci)| Estimate::plain(value).with_ci(ci, "row bootstrap, percentiles");
            sweep.run().into_iter().zip(intervals).map(estimate).collect()
        });
        figures.get(figure).filter(|estimate| estimate.value.is_some()).cloned()
    }

    pub(super) fn resamples(&self) -> Resamples {
        let count = if self.options().intervals { self.options().bootstrap } else { 0 };
        Resamples { seed: self.options().seed, count }
    }

    /// Event probabilities at the fine resolution.
    pub(super) fn masses(&self) -> &[Mass] {
        self.masses.get_or_init(|| self.evaluator.fine.as_ref().map(|fine| fine.masses()).unwrap_or_default())
    }

    /// One reliability table for each class.
    pub(super) fn class_tables(&self) -> &[ReliabilityTable] {
        &self.evaluator.class_tables
    }

    pub(super) fn class_rows(&self) -> Option<&ClassRows> {
        self.evaluator.class_rows.as_ref()
    }
}

/// The value of a cell that may fail to exist.
fn cached<T>(cell: &OnceCell<T>, make: impl FnOnce() -> crate::error::Result<T>) -> Option<&T> {
    if cell.get().is_none() {
        let value = make().ok()?;
        return Some(cell.get_or_init(|| value));
    }
    cell.get()
}
