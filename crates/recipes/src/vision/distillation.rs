//! What a comparison of students says: those of a smoothed teacher against those of a hard one, paired by seed.

use std::collections::BTreeMap;

use candor::report::page::{Cell, Heading, Row, Table};
use candor::report::{Variant, Warning};
use candor::statistics::{PairedDifference, paired_t};

use crate::comparison::FinishedRun;

/// The setting of a comparison that names the teacher.
const TEACHER: &str = "teacher";

/// Students that differ in nothing but their teacher.
struct Group<'a> {
    temperature: f64,
    /// What else distinguishes this group from others.
    variant: Variant,
    /// By teacher, the hardest first: its smoothing, and its students.
    teachers: Vec<(f64, &'a str, Vec<&'a FinishedRun>)>,
}

fn metric(run: &FinishedRun, name: &str) -> Option<f64> {
    run.record.metrics.get(name).copied()
}

fn groups(runs: &[FinishedRun]) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for run in runs {
        let Some(smoothing) = metric(run, "teacher_smoothing") else { continue };
        let mut variant = run.record.variant.clone();
        variant.settings.remove(TEACHER);
        let place = match groups.iter().position(|group| group.variant == variant) {
            Some(place) => place,
            None => {
                let temperature = run.config.distillation.temperature;
                groups.push(Group { temperature, variant, teachers: Vec::new() });
                groups.len() - 1
            }
        };
        let name = run.config.distillation.teacher.as_str();
        let teachers = &mut groups[place].teachers;
        match teachers.iter_mut().find(|teacher| teacher.1 == name) {
            Some(teacher) => teacher.2.push(run),
            None => teachers.push((smoothing, name, vec![run])),
        }
    }
    for group in &mut groups {
        group.teachers.sort_by(|a, b| a.0.total_cmp(&b.0));
    }
    groups
}

/// The difference of a metric between two teachers' students of the same seed.
fn difference(mine: &[&FinishedRun], theirs: &[&FinishedRun], name: &str) -> Option<PairedDifference> {
    let pairs: Vec<f64> = mine
        .iter()
        .filter_map(|run| {
            let partner = theirs.iter().find(|other| other.config.seed == run.config.seed)?;
            Some(metric(run, name)? - metric(partner, name)?)
        })
        .collect();
    paired_t(&pairs, 0.95)
}

fn mean(runs: &[&FinishedRun], name: &str) -> f64 {
    let values: Vec<f64> = runs.iter().filter_map(|run| metric(run, name)).collect();
    values.iter().sum::<f64>() / values.len() as f64
}

fn words(difference: &PairedDifference) -> String {
    let interval = difference.ci.map_or(String::new(), |[low, high]| format!(" [{low:+.4}, {high:+.4}]"));
    format!("{:+.4}{interval}", difference.mean)
}

/// One sentence for each pair of teachers and each setting of the students.
pub(super) fn verdict(runs: &[FinishedRun]) -> Vec<String> {
    let mut sentences = Vec::new();
    for group in groups(runs) {
        let Some((base, rest)) = group.teachers.split_first() else { continue };
        for teacher in rest.iter().filter(|teacher| teacher.0 > base.0) {
            let Some(accuracy) = difference(&teacher.2, &base.2, "accuracy") else { continue };
            let found = match accuracy.ci {
                Some([_, high]) if high < 0.0 => "are worse than",
                Some([low, _]) if low > 0.0 => "are better than",
                Some(_) => "do not differ measurably in accuracy from",
                None => "differ by what one seed shows from",
            };
            let nll = difference(&teacher.2, &base.2, "nll").map(|nll| format!(", NLL by {}", words(&nll)));
            sentences.push(format!(
                "At T = {} the students of the teacher with smoothing {:.3} {found} those of the one with {:.3}: accuracy differs by {}{}.",
                group.temperature,
                teacher.0,
                base.0,
                words(&accuracy),
                nll.unwrap_or_default()
            ));
        }
    }
    sentences
}

/// The students by temperature and teacher; `None` without a teacher.
pub(super) fn table(runs: &[FinishedRun]) -> Option<Table> {
    let mut rows = Vec::new();
    for group in groups(runs) {
        let base = group.teachers.first().map(|teacher| teacher.2.clone()).unwrap_or_default();
        for (index, (smoothing, name, students)) in group.teachers.iter().enumerate() {
            let number = |name: &str| {
                let value = mean(students, name);
                if value.is_finite() { Cell::number(format!("{value:.4}"), value) } else { Cell::text("–") }
            };
            let against = |name: &str| {
                let found = (index > 0).then(|| difference(students, &base, name)).flatten();
                found.map_or(Cell::text("–"), |found| Cell::number(words(&found), found.mean))
            };
            rows.push(Row {
                cells: vec![
                    Cell::number(format!("{}", group.temperature), group.temperature),
                    Cell::number(format!("{smoothing:.3}"), *smoothing).with_below(*name),
                    number("teacher_accuracy"),
                    number("teacher_equivalent_smoothing"),
                    number("accuracy"),
                    against("accuracy"),
                    number("nll"),
                    against("nll"),
                    number("ece"),
                ],
                recommended: false,
            });
        }
    }
    let headings = [
        ("T", "temperature of teacher and student"),
        ("Teacher's smoothing", "the strength that the teacher was trained with, in the uniform convention"),
        ("its accuracy", "of the teacher on the test rows"),
        (
            "its targets as smoothing",
            "mean mass that its tempered targets give to wrong classes, times K/(K-1)",
        ),
        ("Student's accuracy", "on the test rows, mean over the seeds"),
        ("against the hardest teacher's", "difference paired by seed, with its 95 % interval"),
        ("NLL", "of the student, in nats"),
        ("against the hardest teacher's", "difference paired by seed, with its 95 % interval"),
        ("ECE", "of the student"),
    ];
    (!rows.is_empty()).then(|| Table {
        title: "Students by teacher".to_owned(),
        note: "A teacher's wrong answers say how classes resemble each other; a smoothed teacher's say it less, the less the higher the temperature (Müller et al. 2019).".to_owned(),
        headings: headings.map(|(name, explanation)| Heading::new(name, explanation)).to_vec(),
        rows,
    })
}

/// The warning that a teacher was smoothed, with what this comparison measured.
pub(super) fn warning(runs: &[FinishedRun]) -> Option<Warning> {
    let mut smoothed: BTreeMap<&str, f64> = BTreeMap::new();
    for run in runs {
        if let Some(smoothing) = metric(run, "teacher_smoothing").filter(|smoothing| *smoothing > 0.0) {
            smoothed.insert(&run.config.distillation.teacher, smoothing);
        }
    }
    let measured: Vec<String> = groups(runs)
        .iter()
        .filter_map(|group| {
            let (base, rest) = group.teachers.split_first()?;
            let last = rest.last().filter(|last| last.0 > base.0)?;
            let accuracy = difference(&last.2, &base.2, "accuracy")?;
            Some(format!("{} at T = {}", words(&accuracy), group.temperature))
        })
        .collect();
    let measured = if measured.is_empty() {
        String::new()
    } else {
        format!("; measured here, accuracy of its students: {}", measured.join(", "))
    };
    let found: Vec<String> =
        smoothed.iter().map(|(name, smoothing)| format!("{name} (smoothing {smoothing:.3})")).collect();
    (!found.is_empty()).then(|| {
        Warning::new(
            "distillation_teacher",
            format!(
                "the teacher was trained with smoothing, which erases how classes resemble each other, so that students usually learn less from it: {}; train the teacher without smoothing, or distil at T = 1{measured}",
                found.join(", ")
            ),
        )
    })
}
