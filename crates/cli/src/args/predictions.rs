//! Where predictions come from: files with columns, or bare arrays.

use std::path::PathBuf;

use clap::Args;

/// Where predictions come from.
#[derive(Debug, Clone, Args)]
pub struct PredictionArgs {
    /// Prediction files (Parquet, Arrow, CSV, TSV, NDJSON, NPZ, safetensors; text also gzipped), or patterns such
    /// as 'part-*.parquet'; - is standard input, with --format
    #[arg(value_name = "FILE", conflicts_with_all = ["logits", "probs", "binary", "confidence", "labels", "correct"])]
    pub files: Vec<PathBuf>,
    /// Array of logits [rows, classes] (.npy)
    #[arg(long, value_name = "FILE", conflicts_with_all = ["probs", "binary", "confidence"])]
    pub logits: Option<PathBuf>,
    /// Array of probabilities [rows, classes] (.npy), which sum to 1 within 1e-4
    #[arg(long, value_name = "FILE", conflicts_with_all = ["binary", "confidence"])]
    pub probs: Option<PathBuf>,
    /// Array of probabilities of class 1 [rows] (.npy), with labels 0 and 1
    #[arg(long, value_name = "FILE", conflicts_with = "confidence")]
    pub binary: Option<PathBuf>,
    /// Array of probabilities of the predicted class [rows] (.npy)
    #[arg(long, value_name = "FILE", requires = "correct", conflicts_with = "labels")]
    pub confidence: Option<PathBuf>,
    /// Array that says whether the prediction was right [rows] (.npy), beside --confidence
    #[arg(long, value_name = "FILE", requires = "confidence")]
    pub correct: Option<PathBuf>,
    /// Array of class indices [rows] (.npy)
    #[arg(long, value_name = "FILE")]
    pub labels: Option<PathBuf>,
    /// Format of the files, where their ending does not tell
    #[arg(long, value_name = "FORMAT", requires = "files")]
    pub format: Option<String>,
    #[command(flatten)]
    pub columns: ColumnArgs,
    /// Names of the classes, one a line or a JSON list, for labels that are words
    #[arg(long, value_name = "FILE")]
    pub class_names: Option<PathBuf>,
    /// Label of rows that do not count
    #[arg(long, value_name = "LABEL", allow_hyphen_values = true)]
    pub ignore_index: Option<i64>,
    /// What to do with rows that cannot be used: count them and refuse, or count them and go on without
    #[arg(long, default_value = "refuse", value_name = "refuse|skip")]
    pub on_bad: String,
}

/// Names of columns, where they are not the usual ones.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Columns of files")]
pub struct ColumnArgs {
    /// Class indices or names; labels or label by default
    #[arg(long, value_name = "NAME")]
    pub labels_column: Option<String>,
    /// A list of logits, or the beginning of one column a class; logits, or logit_0, logit_1, … by default
    #[arg(long, value_name = "NAME", conflicts_with_all = ["probs_column", "score_column", "confidence_column"])]
    pub logits_column: Option<String>,
    /// A list of probabilities, or the beginning of one column a class; probs, or prob_0, prob_1, … by default
    #[arg(long, value_name = "NAME", conflicts_with_all = ["score_column", "confidence_column"])]
    pub probs_column: Option<String>,
    /// Probability of class 1; score by default
    #[arg(long, value_name = "NAME", conflicts_with = "confidence_column")]
    pub score_column: Option<String>,
    /// Probability of the predicted class; confidence by default
    #[arg(long, value_name = "NAME")]
    pub confidence_column: Option<String>,
    /// Whether the prediction was right, beside the confidence; correct by default
    #[arg(long, value_name = "NAME")]
    pub correct_column: Option<String>,
    /// Weights of the rows; all alike by default
    #[arg(long, value_name = "NAME")]
    pub weights_column: Option<String>,
}
