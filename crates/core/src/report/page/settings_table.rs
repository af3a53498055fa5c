//! The table of a comparison: two rows a setting, as trained and with the temperature.

use super::number::{decimals, fixed, range, signed};
use super::setting::Setting;
use super::{Cell, Heading, Row, Table};
use crate::report::{Comparison, SummaryRow};

/// Settings that are listed, at most.
const MOST: usize = 400;

/// The table of all settings.
pub(super) fn settings_table(comparison: &Comparison, settings: &[Setting<'_>]) -> Table {
    let headings = [
        ("Smoothing", "strength, and whatever else tells the settings apart"),
        ("Temperature", "as trained, or with the temperature fitted on the validation rows"),
        ("Accuracy", "share of correct rows; higher is better"),
        ("ECE", "expected calibration error; lower is better"),
        ("95 % interval", "of the ECE, for chance in the test rows: mean over the runs"),
        ("if calibrated", "ECE that perfectly calibrated predictions would score by chance"),
        (
            "change in ECE",
            "difference in ECE to the smallest strength, paired by seed, with its 95 % interval",
        ),
        ("gap", "mean confidence minus accuracy: above 0 over-confident, below 0 under-confident"),
        ("NLL", "negative log-likelihood in nats; lower is better"),
        ("Brier", "squared error of the probabilities; lower is better"),
        ("AURC", "error that is left when the least confident rows are rejected; lower is better"),
    ];
    let mut rows = Vec::new();
    for setting in settings.iter().take(MOST) {
        rows.extend([false, true].into_iter().filter_map(|after| row(comparison, setting, after)));
    }
    let mut note = "Mean over the seeds ± their standard deviation. Every ECE has beside it what chance alone explains (its interval, and the score of perfectly calibrated predictions), the direction of the error (gap), and three measures that cannot be fooled by vague predictions (NLL, Brier, AURC).".to_owned();
    if settings.len() > MOST {
        note.push_str(&format!(" The first {MOST} of {} settings.", settings.len()));
    }
    Table {
        title: "All measures".to_owned(),
        note,
        headings: headings.map(|(name, explanation)| Heading::new(name, explanation)).to_vec(),
        rows,
    }
}

/// Mean, sd, difference and its interval, as trained or with the temperature.
type Figures = (f64, Option<f64>, Option<f64>, Option<[f64; 2]>);

fn figures(row: &SummaryRow, after: bool) -> Option<Figures> {
    if after {
        row.after_temperature.as_ref().map(|after| (after.mean, after.sd, after.difference, after.ci))
    } else {
        Some((row.mean, row.sd, row.difference, row.ci))
    }
}

fn row(comparison: &Comparison, setting: &Setting<'_>, after: bool) -> Option<Row> {
    let found = |metric: &str| figures(comparison.row(setting.variant, metric)?, after);
    let (.., change, change_ci) = found("ece")?;
    let [plain, scaled] = setting.recommended;
    let (recommended, words) = if after { (scaled, "recommended with T") } else { (plain, "recommended") };
    let spread = |metric: &str| {
        let Some((mean, sd, ..)) = found(metric) else { return Cell::text("–") };
        let decimals = decimals(metric);
        let sd = sd.map_or(String::new(), |sd| format!("± {}", fixed(sd, decimals)));
        Cell::number(fixed(mean, decimals), mean).with_below(sd)
    };
    let gap = found("signed_gap").map_or(Cell::text("–"), |(mean, ..)| Cell::number(signed(mean, 3), mean));
    let change = change.map_or(Cell::text("–"), |change| {
        let ends = change_ci.map_or(String::new(), |ends| range(ends, 3));
        Cell::number(signed(change, 3), change).with_below(ends)
    });
    let estimates = || setting.evaluations(after).filter_map(|(_, evaluation)| evaluation.metrics.get("ece"));
    let ece = spread("ece");
    let interval = mean(estimates().filter_map(|ece| Some(ece.ci?[0])))
        .zip(mean(estimates().filter_map(|ece| Some(ece.ci?[1]))))
        .map_or(Cell::text("–"), |(low, high)| {
            Cell::number(fixed(low, 3), low).with_below(format!("to {}", fixed(high, 3)))
        });
    let null = mean(estimates().filter_map(|ece| ece.null_value))
        .map_or(Cell::text("–"), |null| Cell::number(fixed(null, 3), null));
    Some(Row {
        cells: vec![
            Cell::number(setting.label.clone(), setting.variant.smoothing).with_below(if recommended {
                words
            } else {
                ""
            }),
            temperature(comparison, setting, after),
            spread("accuracy"),
            ece,
            interval,
            null,
            change,
            gap,
            spread("nll"),
            spread("brier"),
            spread("aurc"),
        ],
        recommended,
    })
}

fn temperature(comparison: &Comparison, setting: &Setting<'_>, after: bool) -> Cell {
    if !after {
        return Cell::number("as trained", 0.0);
    }
    let mine = comparison.runs.iter().filter(|run| run.variant == *setting.variant);
    mean(mine.filter_map(|run| run.temperature))
        .map_or(Cell::text("–"), |t| Cell::number(format!("T = {}", fixed(t, 2)), t))
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (n, sum) = values.fold((0.0, 0.0), |(n, sum), value| (n + 1.0, sum + value));
    (n > 0.0).then_some(sum / n)
}
