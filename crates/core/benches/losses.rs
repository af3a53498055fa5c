//! Cross-entropy, value and gradient in place, by shape, storage type and form of target.
//!
//! `cargo bench -p candor`; CANDOR_ISA and RAYON_NUM_THREADS choose. `benches/cross_entropy.py` compares with peers.

use std::hint::black_box;

use candor::kernels::storage::FusedStorage;
use candor::losses::{Batch, CrossEntropy};
use candor::random::Stream;
use candor::targets::{Background, DenseRows};
use candor::{Buffers, Labels, Targets};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use half::{bf16, f16};

fn run<T: FusedStorage>(criterion: &mut Criterion, n: usize, k: usize, forms: &[&str]) {
    let mut stream = Stream::new(0, "bench", n as u64, k as u64);
    let logits: Vec<T> = (0..n * k).map(|_| T::from_f64(stream.uniform() * 8.0 - 4.0)).collect();
    let labels: Vec<i64> = (0..n).map(|_| stream.below(k as u64) as i64).collect();
    let rows = vec![1.0_f32 / k as f32; n * k];
    let prior = vec![1.0 / k as f64; k];
    let mut group = criterion.benchmark_group(format!("cross_entropy {:?} {n}x{k}", T::DTYPE));
    group.throughput(Throughput::Bytes((n * k * size_of::<T>()) as u64)).sample_size(10);
    for form in forms {
        let by_label = || Labels::new(&labels, k).map(Targets::labels);
        let targets = match *form {
            "soft" => Targets::distribution(DenseRows::F32(&rows), k),
            "prior" => by_label().map(|t| t.smoothed(0.1, Background::Prior(prior.as_slice().into()))),
            _ => by_label().map(|t| t.smoothed(0.1, Background::Uniform)),
        };
        let Ok(targets) = targets else { continue };
        let mut buffer = logits.clone();
        group.bench_function(*form, |bencher| {
            bencher.iter(|| {
                black_box(CrossEntropy.value_grad(Batch::new(Buffers::InPlace(&mut buffer), &targets)))
            });
        });
    }
    group.finish();
}

fn cross_entropy(criterion: &mut Criterion) {
    for (n, k) in [(65_536, 10), (16_384, 100), (4096, 1000), (512, 32_000)] {
        run::<f32>(criterion, n, k, &["index", "soft", "prior"]);
        run::<bf16>(criterion, n, k, &["index"]);
        run::<f16>(criterion, n, k, &["index"]);
    }
}

criterion_group!(benches, cross_entropy);
criterion_main!(benches);
