//! What flipped labels did: beside what smoothing should do by the theory, in words, as a table and a picture.

use candor::report::page::{
    Axis, Cell, Figure, Heading, Layer, Mark, Paint, Panel, Plot, Point, Role, Row, Table,
};

use crate::comparison::FinishedRun;
use crate::conclusions::{Setting, Spread, baseline, figure, legend, list, settings};
use crate::recipe::Conclusion;

/// Figures of the table: name, heading, explanation, decimals.
const COLUMNS: [(&str, &str, &str, usize); 6] = [
    (
        "flip_change",
        "change",
        "mean over the flips of the largest change of a score; of the weights, for softmax regression; of a probability, for the net",
        5,
    ),
    ("flip_change_max", "largest change", "of the flip that changed most", 5),
    ("flip_bound", "bound", "mean over the flips of what the change cannot exceed", 5),
    (
        "flip_bound_used",
        "bound used",
        "largest share of its bound that a flip reached; above 1 it would be broken",
        4,
    ),
    ("flip_decisions", "decisions changed", "share of the queries that a flip moves to another class", 5),
    ("accuracy", "accuracy", "of the test rows", 4),
];

pub(super) fn conclude(runs: &[FinishedRun]) -> Conclusion {
    let settings = settings(runs);
    let mut verdict = Vec::new();
    verdict.extend(linear(&settings));
    verdict.extend(softmax(&settings));
    verdict.extend(net(&settings));
    verdict.extend(bounds(&settings));
    Conclusion {
        verdict,
        warnings: Vec::new(),
        tables: vec![table(&settings)],
        figures: picture(&settings).into_iter().collect(),
    }
}

/// By how much the effect of a flip shrinks in the targets themselves.
fn flip_size(setting: &Setting<'_>) -> f64 {
    let classes = setting.mean("n_classes").unwrap_or(2.0) as usize;
    let convention = setting.runs.first().map(|run| run.config.loss.convention).unwrap_or_default();
    1.0 - convention.to_uniform(setting.variant.smoothing, classes)
}

/// The change beside that of the same learner without smoothing.
fn ratio(setting: &Setting<'_>, all: &[Setting<'_>]) -> Option<f64> {
    let plain = baseline(all, setting.variant).filter(|plain| plain.variant.smoothing == 0.0)?;
    Some(setting.mean("flip_change")? / plain.mean("flip_change")?)
}

/// The learner and whatever else differs but the strength.
fn label(setting: &Setting<'_>, all: &[Setting<'_>]) -> String {
    let label = setting.label(all, false);
    if label.starts_with(&setting.variant.model) {
        label
    } else {
        format!("{} {label}", setting.variant.model)
    }
}

/// The learners in order, each once.
fn learners<'s, 'a: 's>(
    settings: impl IntoIterator<Item = &'s Setting<'a>>,
    all: &[Setting<'_>],
) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for setting in settings {
        let name = label(setting, all);
        if !found.contains(&name) {
            found.push(name);
        }
    }
    found
}

fn is_linear(setting: &Setting<'_>) -> bool {
    !matches!(setting.variant.model.as_str(), "softmax_regression" | "mlp")
}

fn smoothed<'s, 'a>(
    settings: &'s [Setting<'a>],
    wanted: impl Fn(&Setting<'a>) -> bool,
) -> Vec<(&'s Setting<'a>, f64)> {
    let found = settings.iter().filter(|setting| setting.variant.smoothing > 0.0 && wanted(setting));
    found.filter_map(|setting| Some((setting, ratio(setting, settings)?))).collect()
}

fn linear(settings: &[Setting<'_>]) -> Option<String> {
    let found = smoothed(settings, is_linear);
    if found.is_empty() {
        return None;
    }
    let learners = learners(found.iter().map(|(setting, _)| *setting), settings);
    let off = found.iter().map(|(setting, ratio)| (ratio - flip_size(setting)).abs()).fold(0.0, f64::max);
    let changed = found.iter().any(|(setting, _)| {
        let plain = baseline(settings, setting.variant).and_then(|plain| plain.mean("flip_decisions"));
        plain != setting.mean("flip_decisions")
    });
    let decisions = if changed {
        "The share of decisions that a flip changes differs with smoothing, which rounding at equal scores can cause."
    } else {
        "The decisions that a flip changes are the very same at every strength: scores and margins shrink together, and nothing becomes more stable."
    };
    Some(format!(
        "Linear smoothers ({}): the effect of a flipped label shrinks by exactly the factor of the targets; the ratios differ from it by at most {off:.1e}. {decisions}",
        list(&learners)
    ))
}

fn ratios(found: &[(&Setting<'_>, f64)]) -> String {
    let words: Vec<String> = found
        .iter()
        .map(|(setting, ratio)| {
            format!("{ratio:.3} at {} (targets: {:.3})", setting.variant.smoothing, flip_size(setting))
        })
        .collect();
    list(&words)
}

fn softmax(settings: &[Setting<'_>]) -> Option<String> {
    let found = smoothed(settings, |setting| setting.variant.model == "softmax_regression");
    if found.is_empty() {
        return None;
    }
    let below = found.iter().all(|(setting, ratio)| *ratio <= flip_size(setting) + 1e-9);
    let why = if below {
        "It shrinks by more than the targets do, for the optimum lies where the loss is more curved."
    } else {
        "At some strength it shrinks by less than the targets do."
    };
    Some(format!(
        "Softmax regression: the weights move by {} of what they do without smoothing. {why}",
        ratios(&found)
    ))
}

fn net(settings: &[Setting<'_>]) -> Option<String> {
    let found = smoothed(settings, |setting| setting.variant.model == "mlp");
    if found.is_empty() {
        return None;
    }
    Some(format!(
        "The net: probabilities move by {}. No theorem bounds it; this is what was measured.",
        ratios(&found)
    ))
}

fn bounds(settings: &[Setting<'_>]) -> Option<String> {
    let used = settings.iter().filter_map(|setting| {
        setting
            .runs
            .iter()
            .filter_map(|run| run.record.metrics.get("flip_bound_used").copied())
            .reduce(f64::max)
    });
    let most = used.reduce(f64::max)?;
    Some(if most <= 1.0 + 1e-9 {
        format!("Every flip kept its bound; the closest reached {most:.3} of it.")
    } else {
        format!(
            "A flip broke its bound: it reached {most:.3} of it. That contradicts the theory, so please report it."
        )
    })
}

fn table(settings: &[Setting<'_>]) -> Table {
    let mut headings = vec![
        Heading::new("learner", ""),
        Heading::new("smoothing", "the strength α"),
        Heading::new("ratio", "change over that of the same learner without smoothing"),
        Heading::new(
            "targets",
            "by how much the flipped target itself changes: 1 − α in the uniform convention",
        ),
    ];
    headings.extend(COLUMNS.iter().map(|(_, name, explanation, _)| Heading::new(name, explanation)));
    let rows = settings
        .iter()
        .map(|setting| {
            let number = |value: f64, decimals: usize| Cell::number(format!("{value:.decimals$}"), value);
            let mut cells = vec![
                Cell::text(label(setting, settings)),
                Cell::number(setting.variant.smoothing.to_string(), setting.variant.smoothing),
                ratio(setting, settings).map_or(Cell::text("-"), |ratio| number(ratio, 4)),
                number(flip_size(setting), 4),
            ];
            cells.extend(
                COLUMNS
                    .iter()
                    .map(|(figure, _, _, decimals)| Spread::cell(setting.spread(figure), *decimals)),
            );
            Row { cells, recommended: false }
        })
        .collect();
    Table {
        title: "One flipped label".to_owned(),
        note: "Mean ± standard deviation over the seeds, which draw the flips.".to_owned(),
        headings,
        rows,
    }
}

/// Change against bound, one panel a learner, each point a flip.
fn picture(settings: &[Setting<'_>]) -> Option<Figure> {
    let learners = learners(settings, settings);
    let mut strengths: Vec<String> = Vec::new();
    for setting in settings {
        let strength = setting.variant.smoothing.to_string();
        if !strengths.contains(&strength) {
            strengths.push(strength);
        }
    }
    let panels: Vec<Panel> = learners
        .iter()
        .filter_map(|learner| {
            let mine: Vec<&Setting<'_>> =
                settings.iter().filter(|setting| label(setting, settings) == *learner).collect();
            panel(learner, &mine, &strengths)
        })
        .collect();
    if panels.is_empty() {
        return None;
    }
    let named: Vec<String> = strengths.iter().map(|strength| format!("smoothing {strength}")).collect();
    Some(figure(
        "flips",
        "What a flipped label changes, beside what it cannot exceed",
        "Each point is one flip; the dashed line is where the bound would be reached.",
        "No point may lie above the line. Points on it mean that the bound is sharp; points far below, that it promises less than is true.",
        legend(named.iter().map(String::as_str)),
        panels,
    ))
}

fn panel(learner: &str, settings: &[&Setting<'_>], strengths: &[String]) -> Option<Panel> {
    let (mut layers, mut described) = (Vec::new(), Vec::new());
    let (mut bounds, mut changes) = (vec![0.0], vec![0.0]);
    for setting in settings {
        let strength = setting.variant.smoothing.to_string();
        let series = strengths.iter().position(|known| *known == strength).unwrap_or(0);
        let flips = setting.runs.iter().filter_map(|run| run.figures.findings.points.get("flips")).flatten();
        let points: Vec<Point> = flips
            .map(|(bound, change)| {
                bounds.push(*bound);
                changes.push(*change);
                let note = format!("smoothing {strength}: change {change:.5}, bound {bound:.5}");
                Point { x: *bound, y: *change, bar: None, note }
            })
            .collect();
        if let (Some(bound), Some(change)) = (setting.mean("flip_bound"), setting.mean("flip_change")) {
            described.push(format!("smoothing {strength}: mean change {change:.5}, mean bound {bound:.5}"));
        }
        let mark = if series.is_multiple_of(2) { Mark::Circle } else { Mark::Triangle };
        layers.push(Layer::Points { paint: Paint::solid(Role::Series(series)).opacity(0.7), mark, points });
    }
    if described.is_empty() {
        return None;
    }
    // Each axis has its own range: a loose bound would press all points to the ground.
    let (x, y) = (Axis::fitting("bound", &bounds, 4), Axis::fitting("change", &changes, 4));
    let end = x.high.min(y.high);
    let line = vec![(0.0, 0.0), (end, end)];
    layers.insert(0, Layer::Line { paint: Paint::solid(Role::Muted).dashed(), points: line });
    Some(Panel {
        title: learner.to_owned(),
        description: format!("{}.", described.join("; ")),
        facts: Vec::new(),
        plot: Plot { x, y, layers, strip: None },
    })
}
