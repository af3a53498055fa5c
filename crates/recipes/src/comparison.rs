//! A grid of settings and seeds, trained side by side on the same split.
//!
//! Each training runs in a pool of one thread, several at once: small models use cores better that way, and
//! a run's bits do not depend on how many run beside it. Finished runs are kept, so an interrupted comparison
//! goes on where it stopped.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use candor::metrics::{Evaluation, EvaluationOptions};
use candor::report::page::{EpochPoint, RunDetail};
use candor::report::{RunRecord, Variant};
use serde::{Deserialize, Serialize};

use crate::config::{Config, Layers, keys};
use crate::error::{Error, Result};
use crate::files;
use crate::recipe::{Control, Figures, Observer, Prepared};
use crate::training::EpochLog;

/// A setting with the values that it takes in the grid.
#[derive(Debug, Clone, PartialEq)]
pub struct Axis {
    /// The key.
    pub key: String,
    /// Its values, as text.
    pub values: Vec<String>,
}

/// The configurations of a grid: every combination of the axes, each with every seed.
///
/// # Errors
/// [`Error::Config`] for a key that cannot be an axis, for no seed, or for a value that does not fit.
pub fn grid(base: &Layers, axes: &[Axis], seeds: usize) -> Result<Vec<Config>> {
    const MOST: usize = 10_000;
    if seeds == 0 || seeds > MOST {
        return Err(Error::config("seeds", seeds, format!("must be between 1 and {MOST}")));
    }
    let mut combinations = vec![base.clone()];
    for axis in axes {
        if !keys::find(&axis.key).is_some_and(|key| key.axis) {
            return Err(Error::config(&axis.key, axis.values.join(","), "takes one value, not a list"));
        }
        let mut next = Vec::new();
        for layers in &combinations {
            for value in &axis.values {
                let mut layers = layers.clone();
                layers.set(&axis.key, value)?;
                next.push(layers);
            }
        }
        combinations = next;
    }
    let mut configs: Vec<Config> = Vec::new();
    for layers in combinations {
        let config = layers.build()?;
        if configs.contains(&config) {
            continue;
        }
        configs.push(config);
    }
    if configs.len() * seeds > MOST {
        return Err(Error::config("the grid", configs.len() * seeds, format!("has more than {MOST} runs")));
    }
    Ok(configs
        .into_iter()
        .flat_map(|config| {
            (0..seeds as u64)
                .map(move |offset| Config { seed: config.seed.wrapping_add(offset), ..config.clone() })
        })
        .collect())
}

/// A finished run: what the comparison needs of it, and what a report shows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FinishedRun {
    /// How it was trained.
    pub config: Config,
    /// Its row in the comparison.
    pub record: RunRecord,
    /// Its figures with reliability tables.
    pub figures: Figures,
    /// Its epochs.
    pub epochs: Vec<EpochLog>,
}

/// How a grid is run.
pub struct GridControl<'a> {
    /// Trainings at once.
    pub jobs: usize,
    /// Folder for finished runs; none keeps them in memory only.
    pub folder: Option<PathBuf>,
    /// Whether finished runs of the folder are taken over.
    pub resume: bool,
    /// Set from outside to stop.
    pub stop: &'a AtomicBool,
    /// Told of every step of every run, and of finished runs.
    pub observer: &'a dyn GridObserver,
}

/// Watches a grid.
pub trait GridObserver: Sync {
    /// So many more rows have been trained on.
    fn on_rows(&self, rows: u64) {
        let _ = rows;
    }

    /// A run has finished; `reused` if it was taken over from the folder.
    fn on_run(&self, run: &FinishedRun, reused: bool) {
        let _ = (run, reused);
    }
}

/// Runs every configuration; the results are in the order of `configs`.
///
/// # Errors
/// The first error of any run; [`Error::Interrupted`] if stopped.
pub fn run(
    prepared: &dyn Prepared,
    configs: &[Config],
    control: &GridControl<'_>,
) -> Result<Vec<FinishedRun>> {
    let folder = control.folder.as_ref().map(|folder| folder.join("runs"));
    if let Some(folder) = &folder {
        files::create_folder(folder)?;
    }
    let results: Vec<Mutex<Option<FinishedRun>>> = configs.iter().map(|_| Mutex::new(None)).collect();
    let failure: Mutex<Option<(usize, Error)>> = Mutex::new(None);
    let abort = AtomicBool::new(false);
    let next = AtomicUsize::new(0);
    let work = || {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let (Some(config), Some(slot)) = (configs.get(index), results.get(index)) else { return };
            if abort.load(Ordering::Relaxed) || control.stop.load(Ordering::Relaxed) {
                return;
            }
            match one_run(prepared, config, index, folder.as_deref(), control) {
                Ok(run) => {
                    if let Ok(mut slot) = slot.lock() {
                        *slot = Some(run);
                    }
                }
                Err(error) => {
                    abort.store(true, Ordering::Relaxed);
                    if let Ok(mut failure) = failure.lock()
                        && failure.as_ref().is_none_or(|(earlier, _)| index < *earlier)
                    {
                        *failure = Some((index, error));
                    }
                    return;
                }
            }
        }
    };
    let jobs = control.jobs.clamp(1, configs.len().max(1));
    std::thread::scope(|scope| {
        for _ in 1..jobs {
            scope.spawn(work);
        }
        work();
    });
    if let Ok(Some((_, error))) = failure.into_inner() {
        return Err(error);
    }
    let finished: Option<Vec<FinishedRun>> =
        results.into_iter().map(|slot| slot.into_inner().ok().flatten()).collect();
    let mut finished = finished.ok_or_else(|| Error::Interrupted { saved: control.folder.clone() })?;
    complete(&mut finished);
    Ok(finished)
}

/// What one variant says of itself, all say: where a setting differs, its usual value is told too.
fn complete(runs: &mut [FinishedRun]) {
    let keys: BTreeSet<String> =
        runs.iter().flat_map(|run| run.record.variant.settings.keys().cloned()).collect();
    for run in runs {
        let own: BTreeMap<String, String> = run.config.pairs().into_iter().map(named).collect();
        let settings = &mut run.record.variant.settings;
        for key in keys.iter() {
            if let (false, Some(value)) = (settings.contains_key(key), own.get(key)) {
                settings.insert(key.clone(), value.clone());
            }
        }
    }
}

/// A setting by the name that variants give it.
fn named((path, value): (String, String)) -> (String, String) {
    match keys::find(&path) {
        Some(key) => (key.flag().replace('-', "_"), value),
        None => (path, value),
    }
}

/// Counts the rows of one run towards the grid's.
struct RunObserver<'a> {
    grid: &'a dyn GridObserver,
    done: std::sync::atomic::AtomicU64,
}

impl Observer for RunObserver<'_> {
    fn on_step(&self, done: u64, _: u64) {
        let before = self.done.swap(done, Ordering::Relaxed);
        self.grid.on_rows(done.saturating_sub(before));
    }
}

fn one_run(
    prepared: &dyn Prepared,
    config: &Config,
    index: usize,
    folder: Option<&Path>,
    control: &GridControl<'_>,
) -> Result<FinishedRun> {
    let path = folder.map(|folder| folder.join(format!("run-{index:03}.json")));
    let total = (prepared.summary().train * config.training.epochs) as u64;
    if control.resume
        && let Some(path) = path.as_ref().filter(|path| path.exists())
        && let Ok(run) = serde_json::from_slice::<FinishedRun>(&files::read(path)?)
        && run.config == *config
    {
        control.observer.on_rows(total);
        control.observer.on_run(&run, true);
        return Ok(run);
    }
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .build()
        .map_err(|error| Error::Internal(format!("no thread for a training: {error}")))?;
    let observer = RunObserver { grid: control.observer, done: 0.into() };
    let run = pool.install(|| -> Result<FinishedRun> {
        let inner = Control { folder: None, resume: false, stop: control.stop, observer: &observer };
        let output = prepared.train(config, &inner).map_err(|error| match error {
            Error::Interrupted { .. } => Error::Interrupted { saved: control.folder.clone() },
            error => error,
        })?;
        let figures = output.figures(EvaluationOptions::default())?;
        let record = record(config, &figures, &output.epochs, output.seconds);
        Ok(FinishedRun { config: config.clone(), record, figures, epochs: output.epochs })
    })?;
    if let Some(path) = &path {
        let bytes = serde_json::to_vec(&run).map_err(|error| Error::Internal(error.to_string()))?;
        files::write_bytes(path, &bytes)?;
    }
    // An early stop leaves rows that are never trained on.
    control.observer.on_rows(total.saturating_sub(observer.done.load(Ordering::Relaxed)));
    control.observer.on_run(&run, false);
    Ok(run)
}

/// What a report shows of a run.
pub fn detail(run: &FinishedRun) -> RunDetail {
    RunDetail { variant: run.record.variant.clone(), ..detail_of(&run.config, &run.figures, &run.epochs) }
}

/// What a report shows of a training.
pub fn detail_of(config: &Config, figures: &Figures, epochs: &[EpochLog]) -> RunDetail {
    RunDetail {
        variant: variant(config),
        seed: config.seed,
        test: figures.test.clone(),
        test_after_temperature: figures.test_after_temperature.clone(),
        temperature: figures.temperature.map(|fit| fit.map.temperature),
        epochs: epochs
            .iter()
            .map(|log| EpochPoint {
                epoch: log.epoch,
                train_loss: log.train.loss,
                train_nll: log.train.nll,
                train_accuracy: Some(log.train.accuracy).filter(|accuracy| accuracy.is_finite()),
                validation_nll: log.validation.map(|part| part.nll),
                validation_accuracy: log.validation.map(|part| part.accuracy),
                validation_ece: log.validation_ece,
            })
            .collect(),
        confidence: figures.confidence.clone(),
        confidence_after_temperature: figures.confidence_after_temperature.clone(),
        margins: figures.margins.clone(),
    }
}

/// The settings that make a variant what it is: whatever differs from its recipe's defaults.
pub fn variant(config: &Config) -> Variant {
    let usual = Layers::recipe(&config.recipe).and_then(Layers::unchecked).unwrap_or_default();
    let usual: BTreeMap<String, String> = usual.pairs().into_iter().collect();
    // These stand in fields of their own.
    let own =
        ["model.name", "loss.name", "loss.smoothing", "loss.convention", "target.name", "schedule.name"];
    // What a recipe's comparisons vary is told even where it is the default.
    let varied = crate::recipe::by_name(&config.recipe).map_or(&[][..], |recipe| recipe.axes());
    let settings = config
        .pairs()
        .into_iter()
        .filter(|(path, value)| {
            // Students are told apart by all that concerns their teacher.
            let taught = path.starts_with("distillation.") && !config.distillation.teacher.is_empty();
            let shown = taught || varied.iter().any(|(key, _)| key == path) || usual.get(path) != Some(value);
            shown && !own.contains(&path.as_str())
        })
        .filter(|(path, _)| keys::find(path).map_or(path.contains('.'), |key| key.axis))
        .map(named)
        .collect();
    Variant {
        loss: config.loss.name.clone(),
        target: match config.target.name.as_str() {
            "auto" => config.loss.convention.name().to_owned(),
            name => name.to_owned(),
        },
        convention: config.loss.convention.name().to_owned(),
        smoothing: config.loss.smoothing,
        schedule: config.schedule.name.clone(),
        model: config.model.name.clone(),
        settings,
    }
}

/// A run's row in a comparison.
pub fn record(config: &Config, figures: &Figures, epochs: &[EpochLog], seconds: f64) -> RunRecord {
    let plain = |evaluation: &Evaluation| -> BTreeMap<String, f64> {
        evaluation
            .metrics
            .iter()
            .filter_map(|(name, estimate)| Some((name.clone(), estimate.value?)))
            .collect()
    };
    let mut metrics = plain(&figures.test);
    metrics.extend(figures.findings.metrics.clone());
    RunRecord {
        variant: variant(config),
        smoothing: config.loss.smoothing,
        seed: config.seed,
        metrics,
        temperature: figures.temperature.map(|fit| fit.map.temperature),
        metrics_after_temperature: figures.test_after_temperature.as_ref().map(plain),
        validation_nll: figures.validation.as_ref().map(|evaluation| evaluation.value("nll")),
        validation_nll_after_temperature: figures
            .validation_after_temperature
            .as_ref()
            .map(|evaluation| evaluation.value("nll")),
        train_loss: epochs.last().map(|log| log.train.loss),
        seconds,
    }
}

/// Writes one row a run: the variant, the seed and every figure.
///
/// # Errors
/// [`Error::Io`].
pub fn write_results(path: &Path, runs: &[FinishedRun]) -> Result<()> {
    use arrow::array::{ArrayRef, Float64Array, RecordBatch, StringArray, UInt64Array};
    use std::sync::Arc;
    let records: Vec<&RunRecord> = runs.iter().map(|run| &run.record).collect();
    let text = |of: &dyn Fn(&RunRecord) -> String| -> ArrayRef {
        Arc::new(StringArray::from(records.iter().map(|record| of(record)).collect::<Vec<_>>()))
    };
    let number = |of: &dyn Fn(&RunRecord) -> Option<f64>| -> ArrayRef {
        Arc::new(Float64Array::from(records.iter().map(|record| of(record)).collect::<Vec<_>>()))
    };
    let mut columns: Vec<(String, ArrayRef)> = vec![
        ("loss".to_owned(), text(&|record| record.variant.loss.clone())),
        ("target".to_owned(), text(&|record| record.variant.target.clone())),
        ("convention".to_owned(), text(&|record| record.variant.convention.clone())),
        ("schedule".to_owned(), text(&|record| record.variant.schedule.clone())),
        ("model".to_owned(), text(&|record| record.variant.model.clone())),
        (
            "settings".to_owned(),
            text(&|record| serde_json::to_string(&record.variant.settings).unwrap_or_default()),
        ),
        ("smoothing".to_owned(), number(&|record| Some(record.smoothing))),
        (
            "seed".to_owned(),
            Arc::new(UInt64Array::from(records.iter().map(|record| record.seed).collect::<Vec<_>>())),
        ),
    ];
    let names: Vec<String> =
        records.first().map(|record| record.metrics.keys().cloned().collect()).unwrap_or_default();
    for name in &names {
        columns.push((name.clone(), number(&|record| record.metrics.get(name).copied())));
    }
    columns.push(("temperature".to_owned(), number(&|record| record.temperature)));
    for name in &names {
        let after = |record: &RunRecord| record.metrics_after_temperature.as_ref()?.get(name).copied();
        columns.push((format!("{name}_after_temperature"), number(&after)));
    }
    columns.push(("validation_nll".to_owned(), number(&|record| record.validation_nll)));
    columns.push((
        "validation_nll_after_temperature".to_owned(),
        number(&|record| record.validation_nll_after_temperature),
    ));
    columns.push(("seconds".to_owned(), number(&|record| Some(record.seconds))));
    let batch = RecordBatch::try_from_iter(columns).map_err(|error| Error::Internal(error.to_string()))?;
    files::write_atomic(path, |file| {
        let mut writer = parquet::arrow::ArrowWriter::try_new(file, batch.schema(), None)?;
        writer.write(&batch)?;
        writer.close()?;
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_combination_meets_every_seed() {
        let mut base = Layers::default();
        base.set("seed", "3").unwrap();
        let axes = [
            Axis { key: "loss.smoothing".to_owned(), values: vec!["0".into(), "0.1".into(), "0.1".into()] },
            Axis { key: "optimizer.name".to_owned(), values: vec!["adam".into(), "sgd".into()] },
        ];
        let configs = grid(&base, &axes, 2).unwrap();
        assert_eq!(configs.len(), 8);
        assert_eq!(configs.iter().map(|config| config.seed).collect::<Vec<_>>(), [3, 4, 3, 4, 3, 4, 3, 4]);
        assert!(variant(&configs[0]).settings.is_empty());
        assert_eq!(variant(&configs[2]).settings["optimizer"], "sgd");
    }

    #[test]
    fn a_setting_that_differs_is_told_of_every_run() {
        let run = |optimizer: &str| {
            let mut layers = Layers::default();
            layers.set("optimizer.name", optimizer).unwrap();
            let config = layers.build().unwrap();
            let logits = vec![1.0, 0.0, 0.0, 1.0];
            let test = crate::predictions::Predictions::from_logits(logits, 2, vec![0, 1]).unwrap();
            let output = crate::recipe::RunOutput {
                validation: None,
                test,
                epochs: Vec::new(),
                seconds: 0.0,
                findings: Default::default(),
            };
            let figures = output.figures(EvaluationOptions::default()).unwrap();
            let record = record(&config, &figures, &[], 0.0);
            FinishedRun { config, record, figures, epochs: Vec::new() }
        };
        let mut runs = [run("adam"), run("sgd")];
        assert!(runs[0].record.variant.settings.is_empty());
        complete(&mut runs);
        assert_eq!(runs[0].record.variant.settings["optimizer"], "adam");
        assert_eq!(runs[1].record.variant.settings["optimizer"], "sgd");
        assert_eq!(detail(&runs[0]).variant, runs[0].record.variant);
    }

    #[test]
    fn what_cannot_be_a_grid_is_refused() {
        let axis = |key: &str, value: &str| [Axis { key: key.to_owned(), values: vec![value.to_owned()] }];
        let base = Layers::default();
        assert!(grid(&base, &[], 0).unwrap_err().to_string().starts_with("seeds = 0"));
        assert!(grid(&base, &axis("model.hidden", "3"), 1).is_err());
        assert!(grid(&base, &axis("loss.smoothing", "1.5"), 1).is_err());
        assert!(grid(&base, &axis("loss.smoothing", "nan"), 1).is_err());
    }
}
