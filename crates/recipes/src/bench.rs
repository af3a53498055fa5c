//! Candor's kernels beside a memcpy of the same bytes, and the loss inside Burn beside its bare kernel.
//!
//! Rounds are interleaved and medians taken, so that other work on the machine meets all sides alike.
//! Buffers rotate over 256 MiB, so that no side is measured on a hot copy.

use std::time::Instant;

use burn::tensor::{Device, Tensor, TensorData};
use candor::kernels::storage::FusedStorage;
use candor::losses::{Batch, CrossEntropy, Loss, LossOptions};
use candor::random::Stream;
use candor::targets::{Background, DenseRows, TargetRule, Uniform};
use candor::{Buffers, Labels, Targets};
use candor_burn::{LossModule, LossTargets};
use half::{bf16, f16};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// One line of the table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    /// What was measured.
    pub case: String,
    /// Rows.
    pub n: usize,
    /// Classes.
    pub k: usize,
    /// Storage type.
    pub dtype: String,
    /// Threads.
    pub threads: usize,
    /// Median time, in milliseconds.
    pub ms: f64,
    /// Median time of a memcpy of the logits, in milliseconds.
    pub memcpy_ms: f64,
    /// `ms / memcpy_ms`.
    pub ratio: f64,
    /// For the loss inside Burn: `ms` over that of the bare kernel of the same run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub over_kernel: Option<f64>,
}

/// The shapes measured: small, medium and large numbers of classes.
const SHAPES: [(usize, usize); 5] =
    [(65_536, 10), (16_384, 100), (4096, 1000), (512, 32_000), (256, 128_256)];
/// Bytes that the buffers of a case take together, at least.
const ROTATED: usize = 256 << 20;
const SMOOTHING: f64 = 0.1;

/// Measures every case on the current pool of threads; `rounds` rounds each.
///
/// # Errors
/// A loss that fails, which a working build never does.
pub fn run(rounds: usize) -> Result<Vec<Measurement>> {
    let mut all = Vec::new();
    let rounds = rounds.max(1);
    for (n, k) in SHAPES {
        all.extend(shape(n, k, rounds)?);
    }
    for form in FORMS {
        for (n, k) in [SHAPES[0], SHAPES[2]] {
            all.push(kernel::<f32>(form, n, k, rounds)?);
        }
    }
    let (n, k) = SHAPES[4];
    all.push(kernel::<bf16>(Form::Labels, n, k, rounds)?);
    all.push(kernel::<f16>(Form::Labels, n, k, rounds)?);
    Ok(all)
}

/// What the targets and options of a batch are, for the kernel alone.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Form {
    Labels,
    Soft,
    Prior,
    PerSample,
    Weights,
    Forward,
}

/// The forms beside plain labels, each measured at a small and at a medium number of classes.
const FORMS: [Form; 5] = [Form::Soft, Form::Prior, Form::PerSample, Form::Weights, Form::Forward];

impl Form {
    fn name(self) -> &'static str {
        match self {
            Form::Labels => "cross_entropy value and gradient",
            Form::Soft => "with soft targets",
            Form::Prior => "with a class prior",
            Form::PerSample => "with a smoothing a row",
            Form::Weights => "with class and row weights",
            Form::Forward => "value only",
        }
    }
}

/// The kernel alone, beside a memcpy of the logits.
fn kernel<T: FusedStorage>(form: Form, n: usize, k: usize, rounds: usize) -> Result<Measurement> {
    let mut stream = Stream::new(0, "bench", n as u64, k as u64);
    let logits: Vec<T> = (0..n * k).map(|_| T::from_f64(stream.uniform() * 8.0 - 4.0)).collect();
    let labels: Vec<i64> = (0..n).map(|_| stream.below(k as u64) as i64).collect();
    let even = vec![1.0 / k as f64; k];
    let soft = if form == Form::Soft { vec![1.0 / k as f32; n * k] } else { Vec::new() };
    let strengths: Vec<f64> = (0..n).map(|_| 2.0 * SMOOTHING * stream.uniform()).collect();
    let weights: Vec<f64> = (0..n.max(k)).map(|_| 0.5 + stream.uniform()).collect();
    let weighted = form == Form::Weights;
    let options = LossOptions {
        class_weights: weighted.then(|| &weights[..k]),
        sample_weights: weighted.then(|| &weights[..n]),
        ..Default::default()
    };
    let copies = (ROTATED / (n * k * size_of::<T>())).clamp(1, 64);
    let mut pool: Vec<Vec<T>> = vec![logits.clone(); copies];
    let mut target = logits;
    let (mut copy, mut times) = (Vec::new(), Vec::new());
    for round in 0..rounds + 1 {
        let buffer = &mut pool[round % copies];
        let start = Instant::now();
        target.copy_from_slice(buffer);
        let copied = start.elapsed();
        std::hint::black_box(&target);
        let start = Instant::now();
        let by_label = Targets::labels(Labels::new(&labels, k)?);
        let targets = match form {
            Form::Soft => Targets::distribution_deferred(DenseRows::F32(&soft), k)?,
            Form::Prior => by_label.smoothed(SMOOTHING, Background::Prior(even.as_slice().into())),
            Form::PerSample => by_label.smoothed_per_row(strengths.as_slice(), Background::Uniform)?,
            Form::Labels | Form::Weights | Form::Forward => by_label.smoothed(SMOOTHING, Background::Uniform),
        };
        let buffers = if form == Form::Forward { Buffers::Forward(buffer) } else { Buffers::InPlace(buffer) };
        CrossEntropy.value_grad(Batch::new(buffers, &targets).options(options))?;
        // The first round warms up.
        if round > 0 {
            copy.push(copied.as_secs_f64());
            times.push(start.elapsed().as_secs_f64());
        }
    }
    let (ms, memcpy_ms) = (median(times), median(copy));
    Ok(Measurement {
        case: form.name().to_owned(),
        n,
        k,
        dtype: format!("{:?}", T::DTYPE).to_lowercase(),
        threads: rayon::current_num_threads(),
        ms,
        memcpy_ms,
        ratio: ms / memcpy_ms,
        over_kernel: None,
    })
}

fn shape(n: usize, k: usize, rounds: usize) -> Result<[Measurement; 2]> {
    let mut stream = Stream::new(0, "bench", n as u64, k as u64);
    let logits: Vec<f32> = (0..n * k).map(|_| stream.uniform() as f32 * 8.0 - 4.0).collect();
    let labels: Vec<i64> = (0..n).map(|_| stream.below(k as u64) as i64).collect();
    let copies = (ROTATED / (n * k * 4)).clamp(1, 64);
    let mut pool: Vec<Vec<f32>> = vec![logits.clone(); copies];
    let mut target = vec![0.0_f32; n * k];
    let rule = Uniform::new(SMOOTHING)?;
    let module = LossModule::new(CrossEntropy).with_rule(rule);
    let device = Device::flex().autodiff();
    let (mut copy, mut kernel, mut inside) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..rounds + 1 {
        let buffer = &mut pool[round % copies];
        let start = Instant::now();
        target.copy_from_slice(buffer);
        let copied = start.elapsed();
        std::hint::black_box(&target);

        let start = Instant::now();
        let targets = rule.targets(Labels::new(&labels, k)?)?;
        CrossEntropy
            .value_grad_f32(Batch::new(Buffers::InPlace(buffer), &targets), &mut Default::default())?;
        let computed = start.elapsed();
        buffer.copy_from_slice(&logits);

        // The logits come out of an operation, as those of a model do, so that their buffer may be taken over.
        let leaf = Tensor::<2>::from_data(TensorData::new(logits.clone(), [n, k]), &device).require_grad();
        let z = leaf.clone() * 1.0;
        let targets = LossTargets::Labels { labels: labels.clone(), ignore_index: None };
        let start = Instant::now();
        let output = module.forward(z, targets)?;
        let forward = start.elapsed();
        let gradients = output.loss.backward();
        if leaf.grad(&gradients).is_none() {
            return Err(Error::Internal("the loss left no gradient".to_owned()));
        }
        // The first round warms up.
        if round > 0 {
            copy.push(copied.as_secs_f64());
            kernel.push(computed.as_secs_f64());
            inside.push(forward.as_secs_f64());
        }
    }
    let memcpy_ms = median(copy);
    let kernel_ms = median(kernel);
    let inside_ms = median(inside);
    let line = |case: &str, ms: f64, over_kernel| Measurement {
        case: case.to_owned(),
        n,
        k,
        dtype: "f32".to_owned(),
        threads: rayon::current_num_threads(),
        ms,
        memcpy_ms,
        ratio: ms / memcpy_ms,
        over_kernel,
    };
    Ok([
        line("cross_entropy value and gradient", kernel_ms, None),
        line("the same inside Burn", inside_ms, Some(inside_ms / kernel_ms)),
    ])
}

/// The middle of the sorted times, in milliseconds.
fn median(mut seconds: Vec<f64>) -> f64 {
    seconds.sort_unstable_by(f64::total_cmp);
    candor::statistics::quantile_sorted(&seconds, 0.5) * 1e3
}
