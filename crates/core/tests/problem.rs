//! A batch with every form of target, and the loss written straight, independently of the crate's code.

use candor::losses::{LossOptions, Reduction, Weighting};
use candor::targets::{Background, DenseRows};
use candor::{Labels, Targets};

/// Numbers that are the same on every machine (SplitMix64).
#[derive(Debug, Clone)]
pub struct Stream(pub u64);

impl Stream {
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// In [0, 1).
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub fn below(&mut self, end: usize) -> usize {
        (self.unit() * end as f64) as usize
    }

    /// Bell-shaped, standard deviation `scale`.
    pub fn logits(&mut self, len: usize, scale: f64) -> Vec<f32> {
        (0..len).map(|_| ((0..12).map(|_| self.unit()).sum::<f64>() - 6.0) as f32 * scale as f32).collect()
    }

    /// `rows` random distributions over `k` classes, some masses exactly 0.
    fn distributions(&mut self, rows: usize, k: usize) -> Vec<f64> {
        let mut all = Vec::with_capacity(rows * k);
        for _ in 0..rows {
            let start = all.len();
            all.extend((0..k).map(|c| if c % 5 == 3 { 0.0 } else { -(1.0 - self.unit()).ln() }));
            all[start] += 0.1;
            let sum: f64 = all[start..].iter().sum();
            all[start..].iter_mut().for_each(|mass| *mass /= sum);
        }
        all
    }
}

/// A form in which targets can be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Label,
    Uniform,
    OtherClasses,
    Prior,
    PriorOfLabel,
    PerRow,
    Sparse,
    SparseUniform,
    SparsePrior,
    SparseOther,
    DenseF32,
    DenseF64,
    DenseUniform,
    DensePrior,
    /// Unnormalised.
    Weights,
}

/// Every form.
pub const FORMS: [Form; 15] = [
    Form::Label,
    Form::Uniform,
    Form::OtherClasses,
    Form::Prior,
    Form::PriorOfLabel,
    Form::PerRow,
    Form::Sparse,
    Form::SparseUniform,
    Form::SparsePrior,
    Form::SparseOther,
    Form::DenseF32,
    Form::DenseF64,
    Form::DenseUniform,
    Form::DensePrior,
    Form::Weights,
];

/// A label that marks ignored rows.
pub const IGNORED: i64 = -100;

/// Everything that the targets and weights of a batch can be made from.
#[derive(Debug, Clone)]
pub struct Problem {
    pub n: usize,
    pub k: usize,
    pub labels: Vec<i64>,
    pub strength: f64,
    pub strengths: Vec<f64>,
    pub prior: Vec<f64>,
    /// Of each label; empty above 100 classes, where the square would dominate the time of a test.
    pub priors: Vec<f64>,
    pub dense: Vec<f64>,
    pub dense32: Vec<f32>,
    /// Pairs of (class, mass), of each row.
    pub pairs: Vec<Vec<(u32, f64)>>,
    pub class_weights: Vec<f64>,
    pub sample_weights: Vec<f64>,
}

impl Problem {
    /// Random targets; row 0 has label 0 and counts. With `ignore`, every third row from 1 does not.
    pub fn new(seed: u64, n: usize, k: usize, ignore: bool) -> Self {
        let mut stream = Stream(seed ^ ((k as u64) << 32));
        let labels = (0..n)
            .map(|row| match row {
                0 => 0,
                _ if ignore && row % 3 == 1 => IGNORED,
                _ => stream.below(k) as i64,
            })
            .collect();
        let dense = stream.distributions(n, k);
        let pairs = (0..n)
            .map(|_| {
                let share = stream.unit();
                vec![(stream.below(k) as u32, share), (stream.below(k) as u32, 1.0 - share)]
            })
            .collect();
        let mut weights = |len: usize| -> Vec<f64> {
            // One of them is 0, but never that of class or row 0.
            (0..len).map(|i| if i == 2 { 0.0 } else { 0.2 + 3.0 * stream.unit() }).collect()
        };
        let (class_weights, sample_weights) = (weights(k), weights(n));
        Self {
            n,
            k,
            labels,
            strength: 0.1 + 0.5 * stream.unit(),
            strengths: (0..n).map(|row| if row == 2 { 0.0 } else { stream.unit() }).collect(),
            prior: stream.distributions(1, k),
            priors: if k <= 100 { stream.distributions(k, k) } else { Vec::new() },
            dense32: dense.iter().map(|&mass| mass as f32).collect(),
            dense,
            pairs,
            class_weights,
            sample_weights,
        }
    }

    /// The forms that this batch has.
    pub fn forms(&self) -> impl Iterator<Item = Form> + use<> {
        let square = !self.priors.is_empty();
        FORMS.into_iter().filter(move |form| square || *form != Form::PriorOfLabel)
    }

    /// The targets as the crate takes them.
    pub fn targets(&self, form: Form) -> Targets<'_> {
        let labels = || {
            let labels = Labels::with_ignore(&self.labels, self.k, Some(IGNORED));
            Targets::labels(labels.expect("labels in range"))
        };
        let sparse = || {
            let offsets: Vec<usize> =
                (0..=self.n).map(|row| self.pairs[..row].iter().map(Vec::len).sum()).collect();
            let (classes, masses): (Vec<u32>, Vec<f64>) = self.pairs.iter().flatten().copied().unzip();
            self.ignoring(Targets::sparse(offsets, classes, masses, self.k).expect("sparse rows"))
        };
        let dense = || {
            let rows = Targets::distribution(DenseRows::F64(&self.dense), self.k);
            self.ignoring(rows.expect("distributions"))
        };
        let prior = || Background::Prior(self.prior.as_slice().into());
        match form {
            Form::Label => labels(),
            Form::Uniform => labels().smoothed(self.strength, Background::Uniform),
            Form::OtherClasses => labels().smoothed(self.strength, Background::OtherClasses),
            Form::Prior => labels().smoothed(self.strength, prior()),
            Form::PriorOfLabel => {
                labels().smoothed(self.strength, Background::PriorOfLabel(self.priors.as_slice().into()))
            }
            Form::PerRow => labels()
                .smoothed_per_row(self.strengths.as_slice(), Background::Uniform)
                .expect("a strength a row"),
            Form::Sparse => sparse(),
            Form::SparseUniform => sparse().smoothed(self.strength, Background::Uniform),
            Form::SparsePrior => sparse().smoothed(self.strength, prior()),
            Form::SparseOther => sparse().smoothed(self.strength, Background::OtherClasses),
            Form::DenseF32 => {
                let rows = Targets::distribution(DenseRows::F32(&self.dense32), self.k);
                self.ignoring(rows.expect("distributions"))
            }
            Form::DenseF64 => dense(),
            Form::DenseUniform => dense().smoothed(self.strength, Background::Uniform),
            Form::DensePrior => dense().smoothed(self.strength, prior()),
            Form::Weights => {
                let rows = Targets::weights(DenseRows::F64(&self.dense), self.k).expect("finite masses");
                self.ignoring(rows).smoothed(self.strength, Background::Uniform)
            }
        }
    }

    fn ignoring<'a>(&self, targets: Targets<'a>) -> Targets<'a> {
        if !self.labels.contains(&IGNORED) {
            return targets;
        }
        let ignored: Vec<bool> = self.labels.iter().map(|&label| label == IGNORED).collect();
        targets.with_ignored(ignored).expect("a flag a row")
    }

    /// The un-smoothed and the smoothed row over the allowed classes.
    fn row(&self, form: Form, row: usize, allowed: &[bool]) -> (Vec<f64>, Vec<f64>) {
        let k = self.k;
        let mut explicit = vec![0.0; k];
        match form {
            Form::Sparse | Form::SparseUniform | Form::SparsePrior | Form::SparseOther => {
                self.pairs[row].iter().for_each(|&(class, mass)| explicit[class as usize] += mass);
            }
            Form::DenseF32 => {
                for (c, mass) in explicit.iter_mut().enumerate() {
                    *mass = f64::from(self.dense32[row * k + c]);
                }
            }
            Form::DenseF64 | Form::DenseUniform | Form::DensePrior | Form::Weights => {
                explicit.copy_from_slice(&self.dense[row * k..(row + 1) * k]);
            }
            _ => explicit[self.labels[row] as usize] = 1.0,
        }
        let strength = match form {
            Form::Label | Form::Sparse | Form::DenseF32 | Form::DenseF64 => 0.0,
            Form::PerRow => self.strengths[row],
            _ => self.strength,
        };
        // Shares in proportion to these, over the allowed classes.
        let mut shares: Vec<f64> = match form {
            Form::Prior | Form::SparsePrior | Form::DensePrior => self.prior.clone(),
            Form::PriorOfLabel => {
                let label = self.labels[row] as usize;
                self.priors[label * k..(label + 1) * k].to_vec()
            }
            Form::OtherClasses => (0..k).map(|c| f64::from(c as i64 != self.labels[row])).collect(),
            Form::SparseOther => (0..k)
                .map(|c| self.pairs[row].iter().filter(|pair| pair.0 as usize != c).map(|pair| pair.1).sum())
                .collect(),
            _ => vec![1.0; k],
        };
        for c in 0..k {
            shares[c] = if allowed[c] { shares[c] } else { 0.0 };
        }
        let mut total: f64 = shares.iter().sum();
        if total == 0.0 {
            // Nothing to go by: evenly; the label is the only allowed class if there is no other one.
            shares = allowed.iter().map(|&open| f64::from(open)).collect();
            total = shares.iter().sum();
        }
        let smoothed = explicit
            .iter()
            .zip(&shares)
            .map(|(mass, share)| (1.0 - strength) * mass + strength * share / total)
            .collect();
        (explicit, smoothed)
    }

    /// The rows of these indices as a batch of their own.
    pub fn subset(&self, rows: &[usize]) -> Self {
        let k = self.k;
        Self {
            n: rows.len(),
            labels: rows.iter().map(|&row| self.labels[row]).collect(),
            strengths: rows.iter().map(|&row| self.strengths[row]).collect(),
            dense: take(&self.dense, rows, k),
            dense32: take(&self.dense32, rows, k),
            pairs: rows.iter().map(|&row| self.pairs[row].clone()).collect(),
            sample_weights: rows.iter().map(|&row| self.sample_weights[row]).collect(),
            ..self.clone()
        }
    }

    /// The same batch with class `order[c]` of this one as class c.
    pub fn permuted(&self, order: &[usize]) -> Self {
        let mut place = vec![0; self.k];
        order.iter().enumerate().for_each(|(new, &old)| place[old] = new);
        let move_label = |&label: &i64| if label == IGNORED { label } else { place[label as usize] as i64 };
        let priors: Vec<f64> = if self.priors.is_empty() {
            Vec::new()
        } else {
            permute_columns(&take(&self.priors, order, self.k), order)
        };
        let move_pair = |&(class, mass): &(u32, f64)| (place[class as usize] as u32, mass);
        Self {
            labels: self.labels.iter().map(move_label).collect(),
            prior: permute_columns(&self.prior, order),
            priors,
            dense: permute_columns(&self.dense, order),
            dense32: permute_columns(&self.dense32, order),
            pairs: self.pairs.iter().map(|pairs| pairs.iter().map(move_pair).collect()).collect(),
            class_weights: permute_columns(&self.class_weights, order),
            ..self.clone()
        }
    }
}

/// The rows of these indices.
pub fn take<T: Copy>(values: &[T], rows: &[usize], k: usize) -> Vec<T> {
    rows.iter().flat_map(|&row| &values[row * k..(row + 1) * k]).copied().collect()
}

/// Every row with its values in this order.
pub fn permute_columns<T: Copy>(values: &[T], order: &[usize]) -> Vec<T> {
    values.chunks_exact(order.len()).flat_map(|row| order.iter().map(|&c| row[c])).collect()
}

/// What the formula gives, and the magnitudes that rounding errors are measured by.
#[derive(Debug)]
pub struct Straight {
    pub loss: f64,
    pub nll: f64,
    /// The weighted loss of each row.
    pub losses: Vec<f64>,
    /// The row's weight times the sum of its target.
    pub masses: Vec<f64>,
    pub denominator: f64,
    pub gradient: Vec<f64>,
    /// What the gradient is the difference of: `s·p + q`, scaled alike.
    pub magnitude: Vec<f64>,
}

/// Cross-entropy as the formula reads, with the weightings as their documentation says.
pub fn straight(logits: &[f64], problem: &Problem, form: Form, options: LossOptions<'_>) -> Straight {
    let k = problem.k;
    let by_class = |c: usize| match (options.class_weights, options.weighting) {
        (Some(weights), Weighting::Pytorch) => weights[c],
        _ => 1.0,
    };
    let dense = matches!(form, Form::Weights | Form::DenseF32 | Form::DenseF64)
        || matches!(form, Form::DenseUniform | Form::DensePrior);
    let soft =
        dense || matches!(form, Form::Sparse | Form::SparseUniform | Form::SparsePrior | Form::SparseOther);
    let (mut counted, mut nll, mut denominator) = (0.0, 0.0, 0.0);
    let (mut losses, mut masses) = (Vec::new(), Vec::new());
    let (mut gradient, mut magnitude) = (Vec::new(), Vec::new());
    for (row, z) in logits.chunks_exact(k).enumerate() {
        if problem.labels[row] == IGNORED {
            losses.push(0.0);
            masses.push(0.0);
            gradient.extend(vec![0.0; k]);
            magnitude.extend(vec![0.0; k]);
            continue;
        }
        let allowed: Vec<bool> = z.iter().map(|&z| z != f64::NEG_INFINITY).collect();
        let (explicit, smoothed) = problem.row(form, row, &allowed);
        let max = z.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = z.iter().map(|z| (z - max).exp()).sum();
        let log_sum = sum.ln();
        let log_p = |c: usize| z[c] - max - log_sum;
        let cross = |q: &dyn Fn(usize) -> f64| -> f64 {
            (0..k).filter(|&c| q(c) != 0.0).map(|c| -q(c) * log_p(c)).sum()
        };
        let label_weight = match (options.class_weights, options.weighting) {
            (Some(weights), Weighting::Pytorch) if !soft => weights[problem.labels[row] as usize],
            (Some(weights), Weighting::Label) => explicit.iter().zip(weights).map(|(t, w)| t * w).sum(),
            _ => 1.0,
        };
        let sample_weight = options.sample_weights.map_or(1.0, |weights| weights[row]);
        let row_weight =
            sample_weight * if options.weighting == Weighting::Label { label_weight } else { 1.0 };
        let q = |c: usize| smoothed[c] * by_class(c);
        let mass: f64 = (0..k).map(q).sum();
        counted += 1.0;
        nll += cross(&|c| explicit[c]);
        denominator += label_weight * sample_weight;
        losses.push(row_weight * cross(&q));
        masses.push(row_weight * mass);
        for c in 0..k {
            let p = mass * log_p(c).exp();
            gradient.push(row_weight * (p - q(c)));
            magnitude.push(row_weight * (p + q(c)));
        }
    }
    let denominator = match options.reduction {
        Reduction::Mean => options.denominator.unwrap_or(denominator),
        _ => 1.0,
    };
    gradient.iter_mut().for_each(|g| *g /= denominator);
    magnitude.iter_mut().for_each(|m| *m /= denominator);
    let loss = losses.iter().sum::<f64>() / denominator;
    Straight { loss, nll: nll / counted, losses, masses, denominator, gradient, magnitude }
}

/// Reductions, weightings and sample weights in every combination, and a denominator from outside.
pub fn all_options(problem: &Problem) -> Vec<LossOptions<'_>> {
    let mut all = Vec::new();
    for reduction in [Reduction::Mean, Reduction::Sum, Reduction::None] {
        for sample_weights in [None, Some(problem.sample_weights.as_slice())] {
            let plain = LossOptions { reduction, sample_weights, ..Default::default() };
            let class_weights = Some(problem.class_weights.as_slice());
            all.push(plain);
            all.push(LossOptions { class_weights, weighting: Weighting::Label, ..plain });
            all.push(LossOptions { class_weights, weighting: Weighting::Pytorch, ..plain });
        }
    }
    all.push(LossOptions { denominator: Some(37.5), ..Default::default() });
    all
}
