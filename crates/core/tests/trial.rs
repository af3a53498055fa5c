//! Batches to try losses on, and losses by name with their parameters.

use std::collections::BTreeMap;

use candor::losses::{Batch, Loss, LossOptions, LossState, LossValue, Reduction, by_name, value_grad};
use candor::parameters::ParameterValue;
use candor::targets::DenseRows;
use candor::{Buffers, Error, Labels, Scalar, Targets};

/// A loss from its name and parameters: `mbls` or `mbls:margin=1,form=code`.
pub fn loss(spec: &str) -> Box<dyn Loss> {
    let (name, parameters) = spec.split_once(':').unwrap_or((spec, ""));
    let given: BTreeMap<String, ParameterValue> = parameters
        .split_terminator(',')
        .map(|pair| {
            let (key, value) = pair.split_once('=').expect("key=value");
            let value = match value.parse() {
                Ok(number) => ParameterValue::Number(number),
                Err(_) => ParameterValue::Text(value.to_owned()),
            };
            (key.to_owned(), value)
        })
        .collect();
    by_name(name, &given).unwrap_or_else(|error| panic!("{spec}: {error}"))
}

/// A small generator with a fixed sequence (xorshift64*).
pub struct Numbers(u64);

impl Numbers {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number in `0..n`.
    pub fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % n
    }
}

/// Logits with labels and a teacher.
#[derive(Debug, Clone)]
pub struct Trial {
    pub n_classes: usize,
    pub logits: Vec<f64>,
    pub labels: Vec<i64>,
    pub teacher: Vec<f64>,
}

/// What a loss gives on a [`Trial`].
#[derive(Debug, Clone)]
pub struct Outcome {
    pub value: LossValue,
    pub losses: Vec<f64>,
    pub gradient: Vec<f64>,
}

impl Outcome {
    /// Whether two outcomes agree within `tolerance`, relative to 1 and to the largest number.
    pub fn agrees(&self, other: &Self, tolerance: f64) -> Result<(), String> {
        near("loss", &[self.value.loss], &[other.value.loss], tolerance)?;
        near("row losses", &self.losses, &other.losses, tolerance)?;
        near("gradient", &self.gradient, &other.gradient, tolerance)
    }
}

/// Whether numbers agree within `tolerance`, relative to 1 and to the largest of them.
pub fn near(what: &str, got: &[f64], want: &[f64], tolerance: f64) -> Result<(), String> {
    if got.len() != want.len() {
        return Err(format!("{what}: {} numbers instead of {}", got.len(), want.len()));
    }
    let scale = want.iter().fold(1.0_f64, |m, v| m.max(v.abs()));
    // NaN is never close.
    let close = |i: &usize| (got[*i] - want[*i]).abs() <= tolerance * scale;
    match (0..got.len()).find(|i| !close(i)) {
        Some(i) => Err(format!("{what} {i}: {} instead of {}", got[i], want[i])),
        None => Ok(()),
    }
}

impl Trial {
    /// Logits on a shuffled, jittered lattice over `[-spread, spread]`: no two are close, so that no
    /// difference crosses a tie.
    pub fn new(n_rows: usize, n_classes: usize, spread: f64, seed: u64) -> Self {
        let mut numbers = Numbers::new(seed);
        let mut lattice = |spread: f64| -> Vec<f64> {
            let mut row: Vec<f64> = (0..n_classes)
                .map(|k| {
                    let jitter = 0.3 * (numbers.below(1 << 20) as f64 / f64::from(1 << 20) - 0.5);
                    spread * (2.0 * (k as f64 + 0.5 + jitter) / n_classes as f64 - 1.0)
                })
                .collect();
            (1..n_classes).rev().for_each(|k| row.swap(k, numbers.below(k + 1)));
            row
        };
        let logits = (0..n_rows).flat_map(|_| lattice(spread)).collect();
        let teacher = (0..n_rows).flat_map(|_| lattice(3.0)).collect();
        let labels = (0..n_rows).map(|_| numbers.below(n_classes) as i64).collect();
        Self { n_classes, logits, labels, teacher }
    }

    pub fn n_rows(&self) -> usize {
        self.labels.len()
    }

    /// The trial of some of its rows, in any order, again if need be.
    pub fn rows(&self, rows: &[usize]) -> Self {
        let take = |values: &[f64]| -> Vec<f64> {
            rows.iter().flat_map(|&r| values[r * self.n_classes..(r + 1) * self.n_classes].to_vec()).collect()
        };
        Self {
            n_classes: self.n_classes,
            logits: take(&self.logits),
            teacher: take(&self.teacher),
            labels: rows.iter().map(|&row| self.labels[row]).collect(),
        }
    }

    /// The trial with class `classes[k]` in the place of class `k`; classes that are not named are dropped.
    pub fn classes(&self, classes: &[usize]) -> Self {
        let take = |values: &[f64]| -> Vec<f64> {
            values.chunks_exact(self.n_classes).flat_map(|row| classes.iter().map(|&c| row[c])).collect()
        };
        let place = |label: i64| {
            if label < 0 { label } else { classes.iter().position(|&c| c as i64 == label).unwrap() as i64 }
        };
        Self {
            n_classes: classes.len(),
            logits: take(&self.logits),
            teacher: take(&self.teacher),
            labels: self.labels.iter().map(|&label| place(label)).collect(),
        }
    }

    /// The labels, of which -100 marks ignored rows.
    pub fn targets(&self) -> Targets<'_> {
        Targets::labels(Labels::with_ignore(&self.labels, self.n_classes, Some(-100)).unwrap())
    }

    /// A training step of the sum over rows, from `state`.
    pub fn run(&self, loss: &dyn Loss, state: &LossState) -> Result<Outcome, Error> {
        let options = LossOptions { reduction: Reduction::Sum, ..Default::default() };
        self.run_on::<f64>(loss, &self.targets(), options, &mut state.clone())
    }

    /// A training step in a storage type, with these targets and options.
    pub fn run_on<T: Scalar>(
        &self,
        loss: &dyn Loss,
        targets: &Targets<'_>,
        options: LossOptions<'_>,
        state: &mut LossState,
    ) -> Result<Outcome, Error> {
        let logits: Vec<T> = self.logits.iter().map(|&z| T::from_f64(z)).collect();
        let mut gradient = vec![T::from_f64(f64::NAN); logits.len()];
        let mut losses = vec![T::from_f64(f64::NAN); self.n_rows()];
        let batch = Batch::new(Buffers::Gradient { logits: &logits, gradient: &mut gradient }, targets)
            .options(options)
            .losses(&mut losses)
            .teacher(DenseRows::F64(&self.teacher));
        let value = value_grad(loss, batch, state)?;
        let wide = |values: Vec<T>| values.into_iter().map(T::to_f64).collect();
        Ok(Outcome { value, losses: wide(losses), gradient: wide(gradient) })
    }
}
