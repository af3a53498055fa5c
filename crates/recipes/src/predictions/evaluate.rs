//! Figures of predictions from a stream: one pass, the same whatever the chunks, files and threads.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use candor::calibrators::Map;
use candor::metrics::{
    self, Evaluation, EvaluationOptions, Evaluator, Fairness, FairnessEvaluator, FairnessMethod,
    PairedEvaluation, PairedEvaluator,
};
use rayon::prelude::*;

use super::aligned::{Piece, Pieces, Side};
use super::block::Block;
use super::check::check;
use super::detail::Detail;
use super::{BadRows, InputKind, OnBad, Problem, Stream};
use crate::error::{Error, Result};

/// How a stream is evaluated.
#[derive(Debug, Clone)]
pub struct Request {
    /// How the figures are taken.
    pub options: EvaluationOptions,
    /// Label of rows that do not count.
    pub ignore_index: Option<i64>,
    /// What happens to rows that cannot be used.
    pub on_bad: OnBad,
    /// The class that a decision is for, for the rates of groups.
    pub positive: Option<usize>,
    /// A calibration map whose effect is shown.
    pub map: Option<Map>,
    /// Whether what a report draws is collected too.
    pub detail: bool,
}

/// What came out of a stream.
#[derive(Debug, Clone)]
pub struct Evaluated {
    /// What the rows held.
    pub kind: InputKind,
    /// Number of classes; 2 for one score a row.
    pub n_classes: usize,
    /// Rows with the ignored label.
    pub ignored: u64,
    /// Rows that could not be used.
    pub bad: BadRows,
    /// The figures of all rows.
    pub evaluation: Evaluation,
    /// The figures of each group, by name.
    pub groups: BTreeMap<String, Evaluation>,
    /// The decisions for the groups and how far they lie apart, if a positive class was named.
    pub fairness: Option<Fairness>,
    /// The figures of the other stream, and what lies between.
    pub other: Option<Other>,
    /// The figures with the map.
    pub mapped: Option<Evaluation>,
    /// What a report draws.
    pub detail: Option<Detail>,
}

/// Another model on the same rows.
#[derive(Debug, Clone)]
pub struct Other {
    /// Its figures, on the rows that both models could be judged on.
    pub evaluation: Evaluation,
    /// Its figures less those of the first, by metric.
    pub differences: PairedEvaluation,
}

/// Groups that are told apart, at most: each keeps tables of its own.
const MOST_GROUPS: usize = 1000;

/// Evaluates a stream; with another one of the same rows, both and their differences.
///
/// Chunks are read while the one before is scored, so two are in memory at a time, beside what the figures keep.
///
/// # Errors
/// Those of the streams; [`Error::BadRows`] for rows that cannot be used, unless they are to be skipped;
/// [`candor::Error::Empty`] without a row that counts; [`Error::Format`] for other labels or another number of
/// rows in the other stream; [`Error::Config`] for a positive class that is none, a map for confidences, or too
/// many groups; the map's own, if it was fitted for another number of classes or lacks its groups.
pub fn evaluate(first: Stream, other: Option<Stream>, request: &Request) -> Result<Evaluated> {
    let mut pieces = Pieces::new(first, other);
    let mut workers: Vec<Worker> = (0..rayon::current_num_threads()).map(|_| Worker::default()).collect();
    let (mut bad, mut rows) = (BadRows::default(), 0);
    let mut next = pieces.next_piece()?;
    while let Some(piece) = next {
        rows += piece.first.rows.len() as u64;
        let (following, found) = rayon::join(|| pieces.next_piece(), || score(&mut workers, &piece, request));
        for (row, problem) in found? {
            let side = match (problem.of_other, &piece.other) {
                (true, Some(other)) => other,
                _ => &piece.first,
            };
            bad.add(&side.file, side.chunk.first_row + (side.rows.start + row) as u64, &problem.problem);
        }
        next = following?;
    }
    if request.on_bad == OnBad::Refuse && bad.count > 0 {
        return Err(Error::BadRows { rows, bad: Box::new(bad) });
    }
    let mut workers = workers.into_iter();
    let mut whole = workers.next().unwrap_or_default();
    for worker in workers {
        whole.merge(worker)?;
    }
    whole.finish(bad)
}

/// A problem of a row, and whose.
struct Found {
    of_other: bool,
    problem: Problem,
}

/// Scores the rows of a piece, each part of them on its worker; the problems come in the order of the rows.
fn score(workers: &mut [Worker], piece: &Piece, request: &Request) -> Result<Vec<(usize, Found)>> {
    // Below this a part is not worth a thread.
    const LEAST: usize = 64;
    let n = piece.first.rows.len();
    let size = n.div_ceil(workers.len().max(1)).max(LEAST);
    let found: Vec<Result<Vec<(usize, Found)>>> = workers
        .par_iter_mut()
        .enumerate()
        .map(|(i, worker)| worker.rows(piece, (i * size).min(n)..((i + 1) * size).min(n), request))
        .collect();
    let mut problems = Vec::new();
    for part in found {
        problems.extend(part?);
    }
    Ok(problems)
}

/// What one thread collects; any division of the rows gives the same sums.
#[derive(Default)]
struct Worker {
    states: Option<States>,
    ignored: u64,
}

/// The states, once the kind of the rows is known.
struct States {
    kind: InputKind,
    n_classes: usize,
    /// Rows without a group; all of them if no column was asked for.
    evaluator: Evaluator,
    groups: HashMap<String, Evaluator>,
    fairness: Option<FairnessEvaluator>,
    other: Option<(Evaluator, PairedEvaluator)>,
    mapped: Option<Evaluator>,
    detail: Option<Detail>,
}

fn evaluator(kind: InputKind, n_classes: usize, request: &Request) -> Result<Evaluator> {
    let kind = match kind {
        InputKind::Logits | InputKind::Probs => metrics::InputKind::Classes { n_classes },
        InputKind::Binary => metrics::InputKind::Binary,
        InputKind::Confidence => metrics::InputKind::Confidence,
    };
    Ok(Evaluator::with_kind(kind, request.options)?)
}

impl States {
    fn new(piece: &Piece, request: &Request) -> Result<Self> {
        let chunk = &piece.first.chunk;
        let (kind, n_classes) = (chunk.kind, chunk.n_classes());
        if let Some(positive) = request.positive
            && (positive >= n_classes || kind == InputKind::Confidence)
        {
            let problem = match kind {
                InputKind::Confidence => "needs classes, but the input holds confidences alone".to_owned(),
                _ => format!("is no class, with {n_classes} classes it must be in 0..={}", n_classes - 1),
            };
            return Err(Error::config("positive", positive, problem));
        }
        if request.map.is_some() && kind == InputKind::Confidence {
            let problem = "a map needs the scores of the classes, and these are confidences alone";
            return Err(Error::config("map", kind.name(), problem));
        }
        let theirs = piece.other.as_ref().map(|other| (other.chunk.kind, other.chunk.n_classes()));
        if let Some((_, theirs)) = theirs
            && theirs != n_classes
        {
            let problem = format!("has {theirs} classes, but the first has {n_classes}");
            let file = piece.other.as_ref().map_or("", |other| other.file.as_ref());
            return Err(Error::format(file, problem));
        }
        let other = theirs.map(|(kind, n)| {
            Ok::<_, Error>((evaluator(kind, n, request)?, PairedEvaluator::new(request.options)?))
        });
        Ok(Self {
            kind,
            n_classes,
            evaluator: evaluator(kind, n_classes, request)?,
            groups: HashMap::new(),
            fairness: request.positive.map(|_| FairnessEvaluator::new(request.options)).transpose()?,
            other: other.transpose()?,
            mapped: request.map.as_ref().map(|_| evaluator(kind, n_classes, request)).transpose()?,
            detail: request.detail.then(|| Detail::new(kind)),
        })
    }

    /// Adds rows that count, by their place in the piece.
    fn add(&mut self, piece: &Piece, rows: &[usize], request: &Request) -> Result<()> {
        let block = Block::of(&piece.first, rows, &piece.first);
        let scored = self.other.is_some() || self.detail.is_some();
        let scores = if scored { block.scores()? } else { Vec::new() };
        if let (Some((evaluator, pairs)), Some(other)) = (&mut self.other, &piece.other) {
            let theirs = Block::of(other, rows, &piece.first);
            theirs.feed(evaluator)?;
            for (row, (first, other)) in scores.iter().zip(theirs.scores()?).enumerate() {
                pairs.update(*first, other, block.weight(row))?;
            }
        }
        if let (Some(evaluator), Some(map)) = (&mut self.mapped, &request.map) {
            let groups = piece.first.chunk.groups.as_ref().map(|groups| {
                let name = |row: &usize| groups.of_row(piece.first.rows.start + row).unwrap_or_default();
                rows.iter().map(|row| name(row).to_owned()).collect::<Vec<String>>()
            });
            block.calibrated(map, groups.as_deref())?.feed(evaluator)?;
        }
        if let Some(detail) = &mut self.detail {
            detail.update(&block, &scores);
        }
        match &piece.first.chunk.groups {
            None => block.feed(&mut self.evaluator),
            Some(groups) => {
                let mut of_group: Vec<Vec<usize>> = vec![Vec::new(); groups.names().len()];
                for &row in rows {
                    let place = groups.rows().get(piece.first.rows.start + row);
                    if let Some(rows) = place.and_then(|place| of_group.get_mut(*place as usize)) {
                        rows.push(row);
                    }
                }
                for (name, rows) in groups.names().iter().zip(of_group).filter(|(_, rows)| !rows.is_empty()) {
                    self.add_to_group(name, &Block::of(&piece.first, &rows, &piece.first), request)?;
                }
                Ok(())
            }
        }
    }

    fn add_to_group(&mut self, name: &str, block: &Block, request: &Request) -> Result<()> {
        if !self.groups.contains_key(name) {
            if self.groups.len() == MOST_GROUPS {
                return Err(too_many_groups());
            }
            self.groups.insert(name.to_owned(), evaluator(self.kind, self.n_classes, request)?);
        }
        if let Some(evaluator) = self.groups.get_mut(name) {
            block.feed(evaluator)?;
        }
        if let (Some(fairness), Some(positive)) = (&mut self.fairness, request.positive) {
            for row in block.decisions(positive)? {
                fairness.update(name, row)?;
            }
        }
        Ok(())
    }

    fn merge(&mut self, other: Self) -> Result<()> {
        self.evaluator.merge(&other.evaluator)?;
        if let (Some((mine, pairs)), Some((theirs, more))) = (&mut self.other, &other.other) {
            mine.merge(theirs)?;
            pairs.merge(more);
        }
        if let (Some(mine), Some(theirs)) = (&mut self.mapped, &other.mapped) {
            mine.merge(theirs)?;
        }
        for (name, theirs) in other.groups {
            match self.groups.get_mut(&name) {
                Some(mine) => mine.merge(&theirs)?,
                None => {
                    self.groups.insert(name, theirs);
                }
            }
        }
        if self.groups.len() > MOST_GROUPS {
            return Err(too_many_groups());
        }
        if let (Some(mine), Some(theirs)) = (&mut self.fairness, &other.fairness) {
            mine.merge(theirs)?;
        }
        if let (Some(mine), Some(theirs)) = (&mut self.detail, &other.detail) {
            mine.merge(theirs);
        }
        Ok(())
    }
}

impl Worker {
    /// Scores some of the rows of a piece, counted from its first row.
    fn rows(&mut self, piece: &Piece, part: Range<usize>, request: &Request) -> Result<Vec<(usize, Found)>> {
        let mut problems = Vec::new();
        if let Some(other) = &piece.other {
            same_labels(&piece.first, other, &part)?;
        }
        for (of_other, side) in [Some(&piece.first), piece.other.as_ref()].into_iter().enumerate() {
            let Some(side) = side else { continue };
            for (row, problem) in check(&side.chunk, rows_of(side, &part), request.ignore_index) {
                problems.push((row - side.rows.start, Found { of_other: of_other == 1, problem }));
            }
        }
        // Stable, so the first file's problem comes before that of the other.
        problems.sort_by_key(|(row, _)| *row);
        let mut unusable = problems.iter().map(|(row, _)| *row).peekable();
        let mut rows = Vec::with_capacity(part.len());
        for row in part {
            let mut usable = true;
            while unusable.next_if_eq(&row).is_some() {
                usable = false;
            }
            if !usable {
                continue;
            }
            let label = piece.first.chunk.labels.get(piece.first.rows.start + row).copied();
            if label.is_some() && label == request.ignore_index { self.ignored += 1 } else { rows.push(row) }
        }
        if !rows.is_empty() {
            let states = match &mut self.states {
                Some(states) => states,
                empty => empty.insert(States::new(piece, request)?),
            };
            states.add(piece, &rows, request)?;
        }
        Ok(problems)
    }

    fn merge(&mut self, other: Self) -> Result<()> {
        self.ignored += other.ignored;
        match (&mut self.states, other.states) {
            (Some(mine), Some(theirs)) => mine.merge(theirs),
            (mine @ None, theirs) => {
                *mine = theirs;
                Ok(())
            }
            (Some(_), None) => Ok(()),
        }
    }

    fn finish(self, bad: BadRows) -> Result<Evaluated> {
        let Some(mut states) = self.states else {
            let (rows, ignored) = ((bad.count + self.ignored) as usize, self.ignored as usize);
            return Err(candor::Error::Empty { what: "an evaluation", rows, ignored }.into());
        };
        let mut groups = BTreeMap::new();
        for (name, group) in states.groups {
            // Sums are exact, so the whole is the sum of its parts.
            states.evaluator.merge(&group)?;
            groups.insert(name, group.compute()?);
        }
        let evaluation = states.evaluator.compute()?;
        let other = states.other.map(|(evaluator, pairs)| -> Result<Other> {
            let theirs = evaluator.compute()?;
            let mut differences = pairs.compute()?;
            // What one of the inputs does not define cannot be compared.
            let known =
                |name: &String| evaluation.metrics.contains_key(name) && theirs.metrics.contains_key(name);
            differences.metrics.retain(|name, _| known(name));
            Ok(Other { evaluation: theirs, differences })
        });
        let fairness = states.fairness.map(|fairness| fairness.compute(FairnessMethod::BetweenGroups));
        Ok(Evaluated {
            kind: states.kind,
            n_classes: states.n_classes,
            ignored: self.ignored,
            bad,
            groups,
            fairness: fairness.transpose()?,
            other: other.transpose()?,
            mapped: states.mapped.map(|evaluator| evaluator.compute()).transpose()?,
            detail: states.detail,
            evaluation,
        })
    }
}

/// Rows of a side's chunk that a part of its piece stands for.
fn rows_of(side: &Side, part: &Range<usize>) -> Range<usize> {
    side.rows.start + part.start..side.rows.start + part.end
}

/// That both sides label their rows alike.
fn same_labels(first: &Side, other: &Side, part: &Range<usize>) -> Result<()> {
    for row in part.clone() {
        let label = |side: &Side| side.chunk.labels.get(side.rows.start + row).copied();
        let unread = |side: &Side| side.chunk.problems.contains_key(&(side.rows.start + row));
        let (Some(a), Some(b)) = (label(first), label(other)) else { continue };
        if a != b && !unread(first) && !unread(other) {
            let place = |side: &Side| side.chunk.first_row + (side.rows.start + row) as u64;
            let problem = format!(
                "row {} has the label {b}, but row {} of {} has {a}; the rows must be the same, in the same order",
                place(other),
                place(first),
                first.file
            );
            return Err(Error::format(other.file.as_ref(), problem));
        }
    }
    Ok(())
}

fn too_many_groups() -> Error {
    let problem =
        "the column divides the rows into more groups than are kept apart; choose one with fewer values";
    Error::config("group-by", format!("more than {MOST_GROUPS} groups"), problem)
}
