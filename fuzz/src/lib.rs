//! What the fuzz targets compute: a case from bytes, the fast paths on it, and the formula in double precision.

use candor::kernels::isa::Isa;
use candor::kernels::storage::FusedStorage;
use candor::losses::{
    Batch, ClassShard, CrossEntropy, Loss, LossOptions, Reduction, RowShard, Weighting, value_grad_on,
};
use candor::targets::{Background, DenseRows};
use candor::{Buffers, Convention, DType, Labels, Logits, Targets};
use half::{bf16, f16};

/// Reads bytes; zeros after the end.
struct Bytes<'a>(std::slice::Iter<'a, u8>);

impl Bytes<'_> {
    fn byte(&mut self) -> u8 {
        self.0.next().copied().unwrap_or(0)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::from(u16::from_le_bytes([self.byte(), self.byte()])) % end
    }

    fn bits(&mut self) -> u32 {
        u32::from_le_bytes([self.byte(), self.byte(), self.byte(), self.byte()])
    }

    /// A logit: mostly ordinary, sometimes at the ends of the range, any bits at all, or no number.
    fn logit(&mut self) -> f32 {
        let kind = self.byte();
        let step = f32::from(self.byte() as i8);
        match kind {
            0..=159 => step / 16.0,
            160..=199 => step,
            200..=209 => f32::NEG_INFINITY,
            210..=214 => f32::from_bits(u32::from(self.byte()) + 1),
            215..=219 => 1e38_f32.copysign(step),
            220..=224 => f32::MAX.copysign(step),
            225..=229 => 9.9e29_f32.copysign(step),
            230..=234 => -86.0 - step.abs() / 64.0,
            235..=237 => 0.0_f32.copysign(step),
            238 => f32::INFINITY,
            239 => f32::NAN,
            _ => f32::from_bits(self.bits()),
        }
    }

    /// A row: of its own values, all equal, or masked but for one class.
    fn row(&mut self, k: usize) -> Vec<f32> {
        match self.byte() {
            0..=179 => (0..k).map(|_| self.logit()).collect(),
            180..=215 => vec![self.logit(); k],
            _ => {
                let (open, value) = (self.below(k), self.logit());
                (0..k).map(|class| if class == open { value } else { f32::NEG_INFINITY }).collect()
            }
        }
    }
}

/// Error of a sum and of a gradient in single precision, as in the core crate's `tests/kernels.rs`.
const SUM_ERROR: f64 = 2e-6;
const GRADIENT_ERROR: f64 = 1e-5;

/// One case of cross-entropy: an instruction set, a storage type, a place in memory, targets and logits.
pub fn cross_entropy(data: &[u8]) {
    let mut bytes = Bytes(data.iter());
    match bytes.byte() % 3 {
        0 => stored::<f32>(&mut bytes),
        1 => stored::<bf16>(&mut bytes),
        _ => stored::<f16>(&mut bytes),
    }
}

fn stored<T: FusedStorage>(bytes: &mut Bytes<'_>) {
    let k = 1 + bytes.below(70);
    let n = [1, 1, 1, 2, 3, 17][bytes.below(6)];
    let (gap, offset) = (bytes.below(9), bytes.below(17));
    let available = Isa::available();
    let isa = available[bytes.below(available.len())];
    let (form, strength, in_place) = (bytes.below(9), f64::from(bytes.byte()) / 255.0, bytes.byte() % 2 == 0);
    let labels: Vec<i64> = (0..n).map(|_| bytes.below(k) as i64).collect();
    let rows: Vec<T> = (0..n).flat_map(|_| bytes.row(k)).map(T::narrow).collect();

    let by_label = || Targets::labels(Labels::new(&labels, k).expect("labels below K"));
    let masses: Vec<f64> = (0..n * k).map(|i| f64::from((i * 7 % 5) as u32 + 1)).collect();
    let dense: Vec<f64> =
        masses.chunks_exact(k).flat_map(|row| row.iter().map(|m| m / row.iter().sum::<f64>())).collect();
    let offsets: Vec<usize> = (0..=n).map(|row| 2 * row).collect();
    let classes: Vec<u32> = labels.iter().flat_map(|&label| [label as u32, (k - 1) as u32]).collect();
    let shares = [0.75, 0.25].repeat(n);
    let targets = match form {
        0 => by_label(),
        1 => by_label().smoothed(strength, Background::Uniform),
        2 => by_label().smoothed(strength, Background::OtherClasses),
        3 => by_label().smoothed(strength, Background::Prior(dense[..k].into())),
        4 => Targets::sparse(offsets, classes, shares, k)
            .expect("pairs that fit")
            .smoothed(strength, Background::Uniform),
        5 | 6 => Targets::distribution(DenseRows::F64(&dense), k)
            .expect("distributions")
            .smoothed(strength, Background::Uniform),
        7 => Targets::distribution_deferred(DenseRows::F64(&dense), k)
            .expect("distributions")
            .smoothed(strength, Background::Prior(dense[..k].into())),
        _ => by_label().smoothed(strength, Background::Uniform),
    };
    // At most 1, so that the bounds below hold for weighted masses too.
    let class_weights: Vec<f64> = (0..k).map(|class| 0.25 + 0.75 * ((class * 5 % 7) as f64 / 7.0)).collect();
    let options = LossOptions {
        reduction: Reduction::Sum,
        class_weights: (form >= 6).then_some(&class_weights),
        weighting: Weighting::Pytorch,
        ..Default::default()
    };

    let mut wide: Vec<f64> = rows.iter().map(|z| z.to_f64()).collect();
    let want = CrossEntropy.value_grad_f64(
        Batch::new(Buffers::InPlace(&mut wide), &targets).options(options),
        &mut Default::default(),
    );

    let stride = k + gap;
    let mark = T::from_f64(7.0);
    let mut place = vec![mark; offset];
    place.extend(rows.chunks_exact(k).flat_map(|row| [row, &vec![mark; gap]].concat()));
    let mut apart = vec![mark; place.len()];
    let buffers = if in_place {
        Buffers::InPlace(&mut place[offset..])
    } else {
        Buffers::Gradient { logits: &place[offset..], gradient: &mut apart[offset..] }
    };
    let got = value_grad_on(isa, Batch::new(buffers, &targets).options(options).row_stride(stride));
    let gradient = if in_place { &place } else { &apart };

    match (want, got) {
        (Err(want), Err(got)) => assert_eq!(format!("{got:?}"), format!("{want:?}")),
        (Ok(want), Ok(got)) => {
            let near = (got.loss - want.loss).abs() <= SUM_ERROR * (n as f64 + want.loss.abs());
            assert!(near, "loss {:e}, want {:e}", got.loss, want.loss);
            assert_eq!(got.accuracy.to_bits(), want.accuracy.to_bits());
            let (relative, absolute) = match T::DTYPE {
                DType::Bf16 => (1.0 / 256.0, 5e-41),
                DType::F16 => (1.0 / 2048.0, 1.0 / 33_554_432.0),
                _ => (6e-8, 2e-45),
            };
            for (row, values) in gradient[offset..].chunks(stride).enumerate() {
                for (class, value) in values.iter().enumerate() {
                    if class >= k {
                        assert_eq!(value.to_f64(), 7.0, "a value between the rows has changed");
                        continue;
                    }
                    let want = wide[row * k + class];
                    // p and q are at most 1; e^v underflows below 2e-38.
                    let computed = GRADIENT_ERROR * 2.0 + 4e-38;
                    let bound = computed + relative * want.abs() + absolute;
                    let value = value.to_f64();
                    assert!(
                        (value - want).abs() <= bound,
                        "row {row} class {class}: {value:e}, want {want:e}"
                    );
                }
            }
        }
        (want, got) => panic!("one side fails: want {want:?}, got {got:?}"),
    }
}

/// One case of sharded cross-entropy: classes cut at two places.
pub fn shards(data: &[u8]) {
    let mut bytes = Bytes(data.iter());
    let k = 1 + bytes.below(70);
    let convention = [Convention::Uniform, Convention::OffClass][bytes.below(2)];
    let smoothing = convention.max_smoothing(k) * f64::from(bytes.byte()) / 255.0;
    let mut ends = [0, 1 + bytes.below(k), 1 + bytes.below(k), k];
    ends.sort_unstable();
    let label = [bytes.below(k) as i64];
    let z: Vec<f64> = bytes.row(k).into_iter().map(f64::from).collect();
    let labels = Labels::new(&label, k).expect("a label below K");
    let background = match convention {
        Convention::Uniform => Background::Uniform,
        Convention::OffClass => Background::OtherClasses,
    };
    let targets = Targets::labels(labels).smoothed(smoothing, background);
    let mut wide = z.clone();
    let want = CrossEntropy
        .value_grad_f64(Batch::new(Buffers::InPlace(&mut wide), &targets), &mut Default::default())
        .map(|value| value.loss);

    let cuts: Vec<(usize, usize)> =
        ends.windows(2).filter(|pair| pair[0] < pair[1]).map(|pair| (pair[0], pair[1])).collect();
    let part = |&(from, to): &(usize, usize)| {
        let shard = ClassShard::new(from, to - from, k, smoothing, convention).expect("a shard that fits");
        (shard, Logits::new(&z[from..to], to - from).expect("one row"), from..to)
    };
    let merged = cuts.iter().map(part).try_fold(RowShard::default(), |merged, (shard, logits, _)| {
        Ok::<_, candor::Error>(merged.merge(shard.statistics(logits, labels)?[0]))
    });
    let whole = part(&cuts[0]).0;
    match (&want, merged.and_then(|merged| Ok((merged, whole.loss(0, &merged)?)))) {
        (Ok(want), Ok((merged, got))) => {
            assert!((got - want).abs() <= 1e-12 * (1.0 + want.abs()), "loss {got:e}, want {want:e}");
            for (shard, logits, range) in cuts.iter().map(part) {
                let mut gradient = vec![f64::NAN; range.len()];
                shard.gradient(logits, labels, &[merged], 1.0, &mut gradient).expect("a gradient");
                for (got, want) in gradient.iter().zip(&wide[range]) {
                    assert!((got - want).abs() <= 1e-12, "gradient {got:e}, want {want:e}");
                }
            }
        }
        // A masked label may hide that another shard holds no number; either is named.
        (Err(_), Err(_)) => {}
        (want, got) => panic!("one side fails: want {want:?}, got {got:?}"),
    }
}
