//! Fits of calibration maps: `cargo bench -p candor --bench maps -- --warm-up-time 1`.
//!
//! The temperature is measured on one thread, so that time is CPU time.

use std::hint::black_box;

use candor::calibrators::{self, Sample, Temperature};
use candor::random::Stream;
use candor::{Labels, Logits};
use criterion::{Criterion, criterion_group, criterion_main};

/// Over-confident logits of a net that is right in most rows.
fn rows(n: usize, k: usize) -> (Vec<f32>, Vec<i64>) {
    let mut stream = Stream::new(0, "bench", 0, 0);
    let (mut logits, mut labels) = (Vec::with_capacity(n * k), Vec::with_capacity(n));
    for _ in 0..n {
        let label = stream.below(k as u64) as usize;
        labels.push(label as i64);
        let lift = 4.0 + 4.0 * stream.normal();
        logits.extend((0..k).map(|class| {
            let z = 2.0 * stream.normal() + if class == label { lift } else { 0.0 };
            z as f32
        }));
    }
    (logits, labels)
}

fn fits(criterion: &mut Criterion) {
    let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a pool of one thread");
    let mut group = criterion.benchmark_group("fit");
    group.sample_size(20);
    for (n, k) in [(10_000, 10), (10_000, 100)] {
        let (logits, labels) = rows(n, k);
        let (logits, labels) =
            (Logits::new(&logits, k).expect("rows"), Labels::new(&labels, k).expect("labels"));
        group.bench_function(format!("temperature/{n}x{k}"), |bencher| {
            bencher.iter(|| one.install(|| black_box(Temperature::fit(logits, labels))));
        });
        let sample = Sample::from_logits(logits, labels).expect("a sample");
        for name in ["vector", "platt", "isotonic", "ensemble_temperature"] {
            group.bench_function(format!("{name}/{n}x{k}"), |bencher| {
                bencher
                    .iter(|| one.install(|| black_box(calibrators::fit(name, &Default::default(), &sample))));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, fits);
criterion_main!(benches);
