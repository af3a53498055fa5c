//! Speed of the metrics on one thread: `RAYON_NUM_THREADS=1 cargo bench -p candor --bench metrics`.
//!
//! The same figures of other tools: `benches/peers/metrics.py`.

use std::hint::black_box;

use candor::metrics::{EvaluationOptions, Evaluator, InputKind, MetricSet};
use candor::random::Stream;
use candor::{Labels, Probs};
use criterion::{Criterion, criterion_group, criterion_main};

fn options(metrics: &[&str], intervals: bool) -> EvaluationOptions {
    let metrics = MetricSet::of(metrics.iter().copied()).expect("registered metrics");
    EvaluationOptions { metrics, intervals, ..Default::default() }
}

fn binary_rows(n: usize) -> (Vec<f32>, Vec<i64>) {
    let mut stream = Stream::new(0, "bench", 0, 0);
    (0..n)
        .map(|_| {
            let p = stream.uniform();
            (p as f32, i64::from(stream.bernoulli(p)))
        })
        .unzip()
}

fn collect(metrics: &[&str], intervals: bool, probs: &[f32], labels: Labels<'_>) -> Evaluator {
    let mut evaluator =
        Evaluator::with_kind(InputKind::Binary, options(metrics, intervals)).expect("options");
    evaluator.update_binary(probs, labels, None).expect("rows");
    evaluator
}

fn binary(criterion: &mut Criterion) {
    const N: usize = 10_000_000;
    let (probs, labels) = binary_rows(N);
    let labels = Labels::new(&labels, 2).expect("labels");
    let mut group = criterion.benchmark_group("binary");
    group.sample_size(10);
    for (name, metrics) in [
        ("ece", &["ece"][..]),
        ("seven", &["accuracy", "nll", "brier", "ece", "mce", "rmsce", "signed_gap"][..]),
        ("smooth_ece", &["smooth_ece"][..]),
    ] {
        group.bench_function(format!("{name}/{N}"), |bench| {
            bench.iter(|| collect(metrics, false, black_box(&probs), labels).compute());
        });
    }
    for n in [10_000, N] {
        let labels = Labels::new(&labels.data()[..n], 2).expect("labels");
        let state = collect(&["ece"], true, &probs[..n], labels);
        group.bench_function(format!("interval and null of ece/{n}"), |bench| bench.iter(|| state.compute()));
    }
    let n = 100_000;
    let state = collect(&["aurc"], true, &probs[..n], Labels::new(&labels.data()[..n], 2).expect("labels"));
    group.bench_function(format!("bootstrap of aurc/{n}"), |bench| bench.iter(|| state.compute()));
    group.finish();
}

fn classes(criterion: &mut Criterion) {
    const N: usize = 1_000_000;
    const K: usize = 10;
    let mut stream = Stream::new(1, "bench", 0, 0);
    let mut probs = Vec::with_capacity(N * K);
    let mut labels = Vec::with_capacity(N);
    for _ in 0..N {
        let row: Vec<f64> = (0..K).map(|_| stream.uniform().powi(8) + 1e-3).collect();
        let sum: f64 = row.iter().sum();
        let mut rest = stream.uniform() * sum;
        let label = row.iter().position(|value| {
            rest -= value;
            rest < 0.0
        });
        labels.push(label.unwrap_or(K - 1) as i64);
        probs.extend(row.iter().map(|value| (value / sum) as f32));
    }
    let probs = Probs::new(&probs, K).expect("probabilities");
    let labels = Labels::new(&labels, K).expect("labels");
    let mut group = criterion.benchmark_group("classes");
    group.sample_size(10);
    for (name, metrics) in [("ece", &["ece"][..]), ("five", &["accuracy", "nll", "brier", "ece", "aurc"][..])]
    {
        group.bench_function(format!("{name}/{N}x{K}"), |bench| {
            bench.iter(|| {
                let kind = InputKind::Classes { n_classes: K };
                let mut evaluator = Evaluator::with_kind(kind, options(metrics, false)).expect("options");
                evaluator.update_probs(black_box(probs), labels, None).expect("rows");
                evaluator.compute()
            });
        });
    }
    group.finish();
}

criterion_group!(benches, binary, classes);
criterion_main!(benches);
