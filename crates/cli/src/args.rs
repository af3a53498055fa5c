//! The command line: what can be asked for.

mod predictions;

pub use predictions::PredictionArgs;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::config_flags::{CompareFlags, TrainFlags};

/// Label smoothing and honest confidence.
///
/// Trains classifiers whose probabilities mean what they say, and tells, with evidence, whether
/// smoothing helped.
#[derive(Debug, Parser)]
#[command(name = "candor", version, arg_required_else_help = true)]
pub struct Program {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every command.
#[derive(Debug, Clone, Args)]
pub struct Global {
    /// Print one JSON document to standard output, and nothing else there
    #[arg(long, global = true)]
    pub json: bool,
    /// No progress and no remarks on standard error
    #[arg(long, short, global = true)]
    pub quiet: bool,
    /// Threads to use; all cores by default
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Train the same model at several smoothing strengths and seeds, and say what helped
    #[command(
        after_help = "Example: candor compare vision --data digits --smoothing 0,0.05,0.1,0.2 --seeds 5 --out runs/digits"
    )]
    Compare(CompareArgs),
    /// Train one model into a run folder
    #[command(
        after_help = "Example: candor train vision --data digits --smoothing 0.1 --epochs 60 --out runs/smoothed"
    )]
    Train(TrainArgs),
    /// Predictions of a finished run for other data
    #[command(after_help = "Example: candor predict runs/train-1 --data digits --out predictions.parquet")]
    Predict(PredictArgs),
    /// Judge predictions: accuracy, NLL, Brier, ECE and more, with intervals
    #[command(
        after_help = "Examples:\n  candor eval --logits test_logits.npy --labels test_labels.npy\n  candor eval 'part-*.parquet' --group-by site --report report.html\n\nRows are streamed: two chunks of 4 MiB are in memory at a time (of Arrow files, a record batch), whatever the\nsize of the files. Metrics that need the order of the rows (AURC, adaptive ECE) keep 8 bytes a row beside that\n(candor list metrics, column state); --metrics leaves them out."
    )]
    Eval(Box<EvalArgs>),
    /// Fit a calibration map on held-out predictions, or apply one
    #[command(subcommand)]
    Calibrate(CalibrateCommand),
    /// Value and gradient of any loss on your own arrays, to check a port from another framework
    #[command(
        after_help = "Example: candor loss --logits z.npy --labels y.npy --smoothing 0.1 --reduction mean --grad g.npy"
    )]
    Loss(Box<LossArgs>),
    /// Labels in, soft targets out, for use by other frameworks
    #[command(
        after_help = "Example: candor soften labels.npy --classes 10 --target uniform --set smoothing=0.1 --out targets.npy"
    )]
    Soften(SoftenArgs),
    /// Say what a smoothing setting will do, before any training
    #[command(after_help = "Example: candor explain --classes 10 --smoothing 0.1 --convention uniform")]
    Explain(ExplainArgs),
    /// List the embedded data sets, or describe and check a path
    #[command(after_help = "Example: candor data digits")]
    Data(DataArgs),
    /// List losses, targets, schedules, metrics, calibrators, recipes and configuration keys
    #[command(after_help = "Example: candor list metrics")]
    List(ListArgs),
    /// Measure the kernels beside a memcpy of the same bytes on this machine
    #[command(after_help = "Example: candor bench --threads 2")]
    Bench(BenchArgs),
    /// Print the completions of a shell
    #[command(
        after_help = "Example: candor completions bash > ~/.local/share/bash-completion/completions/candor"
    )]
    Completions(CompletionsArgs),
    /// Print the manual page
    #[command(after_help = "Example: candor man | man -l -")]
    Man,
}

#[derive(Debug, Args)]
pub struct CompareArgs {
    /// What to train
    #[arg(default_value = "vision")]
    pub recipe: String,
    /// Runs of each setting, with the seeds --seed, --seed + 1, …
    #[arg(long, default_value_t = 5, value_name = "N")]
    pub seeds: usize,
    /// Trainings at once; the number of cores by default
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub jobs: Option<u16>,
    /// Folder for the results; runs/compare-1, -2, … by default
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Go on with an interrupted comparison in --out
    #[arg(long, requires = "out")]
    pub resume: bool,
    /// Also write every picture of the report as an SVG and a PNG file
    #[arg(long)]
    pub export_plots: bool,
    /// Compare prediction files of the same rows instead of training; the first is the baseline
    #[arg(long, value_name = "FILE", num_args = 2.., conflicts_with_all = ["out", "resume", "export_plots"])]
    pub predictions: Vec<PathBuf>,
    #[command(flatten)]
    pub flags: CompareFlags,
}

#[derive(Debug, Args)]
pub struct TrainArgs {
    /// What to train
    #[arg(default_value = "vision")]
    pub recipe: String,
    /// Folder of the run; runs/train-1, -2, … by default
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Go on with the run in --out from its checkpoint
    #[arg(long, requires = "out")]
    pub resume: bool,
    /// Also write every picture of the report as an SVG and a PNG file
    #[arg(long)]
    pub export_plots: bool,
    #[command(flatten)]
    pub flags: TrainFlags,
}

#[derive(Debug, Args)]
pub struct PredictArgs {
    /// Folder of a finished run
    #[arg(value_name = "RUN")]
    pub run: PathBuf,
    /// Embedded set or path; its test part is predicted, or all rows if it has none
    #[arg(long, value_name = "NAME")]
    pub data: String,
    /// File for the predictions (Parquet)
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Where the net runs: cpu, or wgpu[:n] or cuda[:n] in a build with that feature
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    pub device: String,
}

#[derive(Debug, Args)]
pub struct LossArgs {
    /// Array of logits [rows, classes] (.npy, float32 or float64)
    #[arg(long, value_name = "FILE", required_unless_present = "probs", conflicts_with = "probs")]
    pub logits: Option<PathBuf>,
    /// Array of probabilities [rows, classes] (.npy) instead of logits, as Keras takes them by default; the
    /// gradient is by the probabilities then
    #[arg(long, value_name = "FILE")]
    pub probs: Option<PathBuf>,
    /// Probabilities are clipped to [c, 1-c]; Keras' 1e-7 by default
    #[arg(long, value_name = "C", default_value_t = 1e-7, requires = "probs")]
    pub clip: f64,
    /// Array of class indices [rows] (.npy)
    #[arg(long, value_name = "FILE", conflicts_with = "targets")]
    pub labels: Option<PathBuf>,
    /// Array of target masses [rows, classes] (.npy); they need not sum to 1
    #[arg(long, value_name = "FILE")]
    pub targets: Option<PathBuf>,
    /// Array of teacher logits [rows, classes] (.npy), for distillation; votes for zipf with ranks=votes
    #[arg(long, value_name = "FILE")]
    pub teacher: Option<PathBuf>,
    /// The loss (candor list losses)
    #[arg(long, default_value = "cross_entropy", value_name = "NAME")]
    pub loss: String,
    /// Parameter of the loss
    #[arg(long, value_name = "KEY=VALUE", allow_hyphen_values = true)]
    pub set: Vec<String>,
    /// Smoothing strength; negative ones with --convention generalised
    #[arg(long, default_value_t = 0.0, value_name = "α", allow_hyphen_values = true)]
    pub smoothing: f64,
    /// What the strength means: any target rule (candor list targets); those of one sigmoid a class for
    /// binary losses
    #[arg(long, default_value = "uniform", value_name = "uniform|off_class|generalised|binary_half|…")]
    pub convention: String,
    /// Parameter of the target rule, such as threshold=0.2 for multi_label
    #[arg(long, value_name = "KEY=VALUE", allow_hyphen_values = true)]
    pub target_set: Vec<String>,
    /// Array [classes] or [classes, classes] (.npy) that the smoothing mass follows, for --convention prior
    /// or matrix
    #[arg(long, value_name = "FILE")]
    pub prior: Option<PathBuf>,
    /// Array of smoothing strengths (.npy): [rows], or [classes] for --convention per_class
    #[arg(long, value_name = "FILE")]
    pub strengths: Option<PathBuf>,
    /// How row losses are combined
    #[arg(long, default_value = "mean", value_name = "mean|sum|none")]
    pub reduction: String,
    /// Array of class weights [classes] (.npy)
    #[arg(long, value_name = "FILE")]
    pub weights: Option<PathBuf>,
    /// What class weights do
    #[arg(long, default_value = "label", value_name = "label|pytorch")]
    pub weighting: String,
    /// Array of row weights [rows] (.npy)
    #[arg(long, value_name = "FILE")]
    pub sample_weights: Option<PathBuf>,
    /// What a mean is divided by: the weights, the rows that count, or all rows as in Keras
    #[arg(long, default_value = "weights", value_name = "weights|rows|all_rows")]
    pub mean_over: String,
    /// Divide the sum by this instead of the batch's own denominator
    #[arg(long, value_name = "X", allow_hyphen_values = true)]
    pub denominator: Option<f64>,
    /// Label of rows that do not count
    #[arg(long, value_name = "LABEL", allow_hyphen_values = true)]
    pub ignore_index: Option<i64>,
    /// Array [rows] (.npy) that multiplies the rows of the gradient, of any sign; with --reduction none
    #[arg(long, value_name = "FILE")]
    pub upstream: Option<PathBuf>,
    /// File for the gradient [rows, classes] (.npy)
    #[arg(long, value_name = "FILE")]
    pub grad: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct SoftenArgs {
    /// Labels: .npy [rows], .parquet or .csv with a column
    #[arg(value_name = "FILE")]
    pub labels: PathBuf,
    /// Column of the labels in Parquet and CSV files
    #[arg(long, default_value = "labels", value_name = "NAME")]
    pub column: String,
    /// Number of classes
    #[arg(long, value_name = "K")]
    pub classes: usize,
    /// The target rule (candor list targets)
    #[arg(long, default_value = "uniform", value_name = "NAME")]
    pub target: String,
    /// Smoothing strength, short for --set smoothing=α
    #[arg(long, value_name = "α", allow_hyphen_values = true)]
    pub smoothing: Option<f64>,
    /// Parameter of the rule
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Label of rows that do not count; their targets are zero
    #[arg(long, value_name = "LABEL", allow_hyphen_values = true)]
    pub ignore_index: Option<i64>,
    /// Write (class, mass) lists instead of full rows (Parquet only)
    #[arg(long)]
    pub sparse: bool,
    /// File for the targets: .npy, .parquet or .csv
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
}

#[derive(Debug, Args)]
pub struct EvalArgs {
    #[command(flatten)]
    pub predictions: PredictionArgs,
    /// Figures of each group of rows that this column makes, too
    #[arg(long, value_name = "COLUMN", requires = "files")]
    pub group_by: Option<String>,
    /// The class that is decided for, by index or name: rates of the decisions for each group of --group-by
    #[arg(long, value_name = "CLASS", requires = "group_by")]
    pub positive: Option<String>,
    /// Predictions of another model for the same rows, compared row by row: a file, or an array of the same kind
    #[arg(long, value_name = "FILE")]
    pub compare: Option<PathBuf>,
    /// Metrics to compute (candor list metrics), or all; the usual ones by default
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    pub metrics: Vec<String>,
    /// Number of bins
    #[arg(long, default_value_t = 15, value_name = "N")]
    pub bins: usize,
    /// How the bins are cut
    #[arg(long, default_value = "equal_width", value_name = "equal_width|equal_mass")]
    pub binning: String,
    /// Who owns an inner bin edge
    #[arg(
        long,
        default_value = "right_closed",
        value_name = "right_closed|left_closed|torchmetrics|torchmetrics_double"
    )]
    pub edges: String,
    /// The k of top_k_accuracy
    #[arg(long, default_value_t = 5, value_name = "K")]
    pub top_k: usize,
    /// Share of the rows, the most confident ones, that risk_at_coverage keeps
    #[arg(long, default_value_t = 0.8, value_name = "SHARE", allow_hyphen_values = true)]
    pub coverage: f64,
    /// Error rate that coverage_at_risk allows
    #[arg(long, default_value_t = 0.05, value_name = "SHARE", allow_hyphen_values = true)]
    pub risk: f64,
    /// Row resamples behind the intervals of rank metrics, 1000 by default; 0 for no intervals at all
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=100_000))]
    pub bootstrap: Option<u32>,
    /// A map of calibrate fit, whose effect on these rows is shown
    #[arg(long, value_name = "FILE")]
    pub map: Option<PathBuf>,
    /// Write the figures as one HTML page
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Also write every picture of the report as an SVG and a PNG file, into the folder FILE.plots of --report
    /// FILE.html
    #[arg(long, requires = "report")]
    pub export_plots: bool,
    /// Seed of the simulations behind intervals and null values
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub seed: u64,
}

#[derive(Debug, Subcommand)]
pub enum CalibrateCommand {
    /// Fit a map and write it as a small JSON file
    #[command(
        after_help = "Example: candor calibrate fit --logits val_logits.npy --labels val_labels.npy --out map.json"
    )]
    Fit(Box<FitArgs>),
    /// Apply a map to other predictions
    #[command(
        after_help = "Example: candor calibrate apply --map map.json --logits test_logits.npy --labels test_labels.npy --out calibrated.npy"
    )]
    Apply(ApplyArgs),
}

#[derive(Debug, Args)]
pub struct FitArgs {
    #[command(flatten)]
    pub predictions: PredictionArgs,
    /// The map (candor list calibrators), or auto: the simplest that cross-validates as well as the best
    #[arg(long, default_value = "temperature", value_name = "NAME|auto")]
    pub method: String,
    /// Parameter of the map; with auto as METHOD.KEY=VALUE
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Column that names the group of each row, for group_temperature (prediction files)
    #[arg(long, value_name = "COLUMN")]
    pub group: Option<String>,
    /// Maps that auto compares; by default all that can learn from the rows
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub candidates: Vec<String>,
    /// Folds of the cross-validation of auto
    #[arg(long, default_value_t = 5, value_name = "N")]
    pub folds: usize,
    /// Seed of the folds of auto
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub seed: u64,
    /// File for the map
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct ApplyArgs {
    /// The map, as fit wrote it
    #[arg(long, value_name = "FILE")]
    pub map: PathBuf,
    /// Prediction file: labels with logits or probs
    #[arg(value_name = "FILE", conflicts_with_all = ["logits", "probs", "labels"])]
    pub file: Option<PathBuf>,
    /// Array of logits [rows, classes] (.npy)
    #[arg(long, value_name = "FILE", conflicts_with = "probs")]
    pub logits: Option<PathBuf>,
    /// Array of probabilities [rows, classes] (.npy)
    #[arg(long, value_name = "FILE")]
    pub probs: Option<PathBuf>,
    /// Array of class indices [rows] (.npy), to print the figures before and after
    #[arg(long, value_name = "FILE")]
    pub labels: Option<PathBuf>,
    /// Column that names the group of each row; the one that the map was fitted with by default
    #[arg(long, value_name = "COLUMN")]
    pub group: Option<String>,
    /// Label of rows that do not count
    #[arg(long, value_name = "LABEL", allow_hyphen_values = true)]
    pub ignore_index: Option<i64>,
    /// File for the calibrated logits or probabilities, in the format of the input; a map that gives a
    /// confidence writes one score a row (.npy)
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
}

#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// Number of classes
    #[arg(long, default_value_t = 10, value_name = "K")]
    pub classes: usize,
    /// Smoothing strength; 0.1 by default
    #[arg(long, value_name = "α", allow_hyphen_values = true)]
    pub smoothing: Option<f64>,
    /// What the strength means
    #[arg(long, default_value = "uniform", value_name = "uniform|off_class", conflicts_with = "target")]
    pub convention: String,
    /// Any target rule instead (candor list targets), at its own default strength
    #[arg(long, value_name = "NAME", conflicts_with = "row")]
    pub target: Option<String>,
    /// Parameter of the target rule
    #[arg(long, value_name = "KEY=VALUE", allow_hyphen_values = true, requires = "target")]
    pub set: Vec<String>,
    /// Label whose row is explained; the middle class by default
    #[arg(long, value_name = "LABEL")]
    pub label: Option<usize>,
    /// A target row of your own, one mass a class
    #[arg(long, value_name = "Q,Q,…", allow_hyphen_values = true, value_delimiter = ',', conflicts_with_all = ["convention", "classes"])]
    pub row: Vec<f64>,
    /// A weight for each class, to see where PyTorch's weighting moves the optimum
    #[arg(long, value_name = "W,W,…", allow_hyphen_values = true, value_delimiter = ',')]
    pub class_weights: Vec<f64>,
    /// Accuracy of the model, for the expected under-confidence
    #[arg(long, default_value_t = 1.0, value_name = "SHARE", allow_hyphen_values = true)]
    pub accuracy: f64,
}

#[derive(Debug, Args)]
pub struct DataArgs {
    /// Embedded set or path; lists the embedded sets if left out
    pub path: Option<String>,
}

#[derive(Debug, Args)]
pub struct BenchArgs {
    /// Rounds, of which the median is taken
    #[arg(long, default_value_t = 15, value_name = "N")]
    pub rounds: usize,
}

#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell
    pub shell: clap_complete::Shell,
}

#[derive(Debug, Args)]
pub struct ListArgs {
    /// What to list; everything if left out
    pub what: Option<ListKind>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ListKind {
    Losses,
    Targets,
    Schedules,
    Metrics,
    Calibrators,
    Recipes,
    Config,
}
