//! The words of a page, explained in a sentence each.

/// What the verdict's measure means.
pub(super) const ECE: &str = "ECE, the expected calibration error, is the mean distance between the confidence that a model states and the share of its answers that are right; 0 is best.";

/// The glossary; with the words of a comparison or without.
pub(super) fn glossary(comparison: bool) -> Vec<(String, String)> {
    const SMOOTHING: (&str, &str) = (
        "Smoothing",
        "how much of each training label is spread evenly over all classes: with 0.1 and ten classes the model is asked for 0.91 on the right class and 0.01 on each other.",
    );
    const SEED: (&str, &str) = (
        "Seed and ±",
        "the same training repeated with other random numbers; ± is the standard deviation between these repetitions. A difference well below it may be chance.",
    );
    const WORDS: [(&str, &str); 9] = [
        ("Confidence", "the probability that the model gives to its own answer."),
        (
            "ECE",
            "expected calibration error: the mean distance between confidence and the share of correct answers over bins of confidence. 0 is best; even perfect predictions score a little above 0 by chance, which the column “if calibrated” shows.",
        ),
        ("95 % interval", "the range in which the value would probably lie on other rows of the same kind."),
        (
            "Gap",
            "mean confidence minus accuracy. Above 0 the model is over-confident, below 0 under-confident.",
        ),
        (
            "Temperature",
            "one number T that all logits are divided by, fitted on validation rows after training. T above 1 lowers confidence, below 1 raises it; the answers themselves do not change.",
        ),
        (
            "NLL",
            "negative log-likelihood of the right class, in nats. It judges the whole prediction and punishes confident errors hard; lower is better.",
        ),
        (
            "Brier score",
            "squared distance of the probabilities from the truth, between 0 and 2; lower is better.",
        ),
        (
            "AURC",
            "area under the risk-coverage curve: the error that is left if the least confident answers are rejected. It says how well confidence ranks right above wrong; lower is better.",
        ),
        ("Accuracy", "share of rows whose most probable class is the label."),
    ];
    let own: &[(&str, &str)] = if comparison { &[SMOOTHING, SEED] } else { &[] };
    own.iter().chain(&WORDS).map(|(word, meaning)| ((*word).to_owned(), (*meaning).to_owned())).collect()
}
