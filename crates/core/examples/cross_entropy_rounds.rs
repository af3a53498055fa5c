//! Candor's side of `benches/cross_entropy.py`: computes rounds of the cross-entropy on request.
//!
//! Reads lines from standard input and answers each with one line, so that another process can take turns with
//! it and read its CPU clock: `prepare N K DTYPE TARGETS`, then `kernel ROUNDS` or `memcpy ROUNDS`.
//! DTYPE is f32, bf16 or f16; TARGETS is one of [`TARGETS`]. Buffers rotate over 256 MiB.

use std::io::BufRead;

use candor::kernels::storage::FusedStorage;
use candor::losses::{Batch, CrossEntropy, LossOptions, Weighting};
use candor::random::Stream;
use candor::targets::{Background, DenseRows};
use candor::{Buffers, Labels, Result, Targets};
use half::{bf16, f16};

/// Labels with uniform smoothing, each option of them, and other forms.
const TARGETS: [&str; 9] =
    ["index", "weights", "ignore", "per_sample", "prior", "row_weights", "soft", "sparse", "forward"];
const ROTATED: usize = 256 << 20;

/// Computes some rounds, or copies the logits as often.
type Rounds = Box<dyn FnMut(bool, usize) -> Result<()>>;

fn prepare<T: FusedStorage>(n: usize, k: usize, form: &str) -> Rounds {
    let mut stream = Stream::new(0, "bench", n as u64, k as u64);
    let logits: Vec<T> = (0..n * k).map(|_| T::from_f64(stream.uniform() * 8.0 - 4.0)).collect();
    let ignored = form == "ignore";
    let labels: Vec<i64> = (0..n)
        .map(|row| if ignored && row % 10 == 3 { -100 } else { stream.below(k as u64) as i64 })
        .collect();
    let mut distribution = |rows: usize| -> Vec<f64> {
        let masses: Vec<f64> = (0..rows * k).map(|_| stream.uniform() + 0.1).collect();
        let share = |row: &[f64]| -> Vec<f64> {
            let sum: f64 = row.iter().sum();
            row.iter().map(|mass| mass / sum).collect()
        };
        masses.chunks_exact(k).flat_map(share).collect()
    };
    let soft: Vec<f32> =
        if form == "soft" { distribution(n).iter().map(|m| *m as f32).collect() } else { Vec::new() };
    let prior = distribution(1);
    let weights: Vec<f64> = (0..n.max(k)).map(|_| 0.5 + stream.uniform()).collect();
    let strengths: Vec<f64> = (0..n).map(|_| 0.2 * stream.uniform()).collect();
    let pairs: (Vec<usize>, Vec<u32>, Vec<f64>) = (
        (0..=n).map(|row| 2 * row).collect(),
        (0..2 * n).map(|_| stream.below(k as u64) as u32).collect(),
        (0..2 * n).map(|i| if i % 2 == 0 { 0.75 } else { 0.25 }).collect(),
    );
    let copies = (ROTATED / (n * k * size_of::<T>())).clamp(1, 64);
    let mut pool = vec![logits; copies];
    let mut target = pool[0].clone();
    let (form, mut round) = (form.to_owned(), 0);
    Box::new(move |copy, rounds| {
        for _ in 0..rounds {
            round += 1;
            let buffer = &mut pool[round % copies];
            if copy {
                // Halves by as many threads as the kernel has.
                let part = buffer.len().div_ceil(rayon::current_num_threads());
                rayon::scope(|scope| {
                    for (to, from) in target.chunks_mut(part).zip(buffer.chunks(part)) {
                        scope.spawn(|_| to.copy_from_slice(from));
                    }
                });
                std::hint::black_box(&target);
                continue;
            }
            let uniform = || Background::Uniform;
            let by_label = || Labels::with_ignore(&labels, k, ignored.then_some(-100)).map(Targets::labels);
            let targets = match form.as_str() {
                "soft" => Targets::distribution_deferred(DenseRows::F32(&soft), k)?.smoothed(0.1, uniform()),
                "sparse" => Targets::sparse(pairs.0.as_slice(), pairs.1.as_slice(), pairs.2.as_slice(), k)?
                    .smoothed(0.1, uniform()),
                "per_sample" => by_label()?.smoothed_per_row(strengths.as_slice(), uniform())?,
                "prior" => by_label()?.smoothed(0.1, Background::Prior(prior.as_slice().into())),
                _ => by_label()?.smoothed(0.1, uniform()),
            };
            let options = LossOptions {
                class_weights: (form == "weights").then_some(&weights[..k]),
                weighting: Weighting::Label,
                sample_weights: (form == "row_weights").then_some(&weights[..n]),
                ..Default::default()
            };
            let buffers = if form == "forward" { Buffers::Forward(buffer) } else { Buffers::InPlace(buffer) };
            let value = CrossEntropy.value_grad(Batch::new(buffers, &targets).options(options))?;
            std::hint::black_box(value);
        }
        Ok(())
    })
}

fn answer(line: &str, rounds: &mut Option<Rounds>) -> std::result::Result<(), Box<dyn std::error::Error>> {
    let words: Vec<&str> = line.split_whitespace().collect();
    match (words.as_slice(), rounds.as_mut()) {
        (["prepare", n, k, dtype, form], _) if TARGETS.contains(form) => {
            // The old buffers go first.
            *rounds = None;
            let (n, k) = (n.parse()?, k.parse()?);
            *rounds = Some(match *dtype {
                "f32" => prepare::<f32>(n, k, form),
                "bf16" => prepare::<bf16>(n, k, form),
                "f16" => prepare::<f16>(n, k, form),
                other => return Err(format!("no storage type is called {other:?}").into()),
            });
            Ok(())
        }
        (["kernel", count], Some(rounds)) => Ok(rounds(false, count.parse()?)?),
        (["memcpy", count], Some(rounds)) => Ok(rounds(true, count.parse()?)?),
        _ => Err(format!("not a request, or nothing is prepared: {line:?}").into()),
    }
}

fn main() -> std::process::ExitCode {
    candor::kernels::allocator::keep_large_buffers();
    let mut rounds = None;
    for line in std::io::stdin().lock().lines().map_while(std::result::Result::ok) {
        match answer(&line, &mut rounds) {
            Ok(()) => println!("done"),
            Err(error) => {
                eprintln!("{error}");
                return std::process::ExitCode::FAILURE;
            }
        }
    }
    std::process::ExitCode::SUCCESS
}
