//! The fused linear layer and cross-entropy: PyTorch's values, the loss on all logits at once, differences.

use candor::losses::{
    Batch, CrossEntropy, Linear, LinearCrossEntropy, LinearGradients, LossOptions, Reduction, WeightLayout,
    Weighting, value_grad,
};
use candor::random::Stream;
use candor::targets::{OffClass, TargetRule, Uniform};
use candor::{Buffers, Error, Labels, Result, Scalar};

use crate::golden::{Case, Data, family};

/// A layer with labels.
#[derive(Clone)]
struct Problem<T> {
    input: Vec<T>,
    weight: Vec<T>,
    bias: Vec<T>,
    labels: Vec<i64>,
    width: usize,
    n_classes: usize,
}

/// What a call gives, in double precision.
#[derive(Debug, PartialEq)]
struct Outcome {
    loss: f64,
    nll: f64,
    accuracy: f64,
    top_k: Option<f64>,
    input: Vec<f64>,
    weight: Vec<f64>,
    bias: Vec<f64>,
}

impl<T: Scalar> Problem<T> {
    fn random(n: usize, width: usize, n_classes: usize, seed: u64) -> Self {
        let mut stream = Stream::new(seed, "linear", n as u64, n_classes as u64);
        let mut values =
            |len: usize| -> Vec<T> { (0..len).map(|_| T::from_f64(stream.uniform() * 2.0 - 1.0)).collect() };
        let (input, weight, bias) = (values(n * width), values(n_classes * width), values(n_classes));
        let mut stream = Stream::new(seed, "linear labels", 0, 0);
        let labels = (0..n).map(|_| stream.below(n_classes as u64) as i64).collect();
        Self { input, weight, bias, labels, width, n_classes }
    }

    fn labels(&self) -> Result<Labels<'_>> {
        Labels::with_ignore(&self.labels, self.n_classes, Some(-100))
    }

    fn run(&self, loss: LinearCrossEntropy<'_>, layout: WeightLayout) -> Result<Outcome> {
        let moved;
        let weight = match layout {
            WeightLayout::ClassesFirst => &self.weight,
            WeightLayout::ClassesLast => {
                moved = transpose(&self.weight, self.n_classes, self.width);
                &moved
            }
        };
        let linear = Linear::new(&self.input, weight, self.width, layout)?.with_bias(&self.bias)?;
        // What the arrays held before must not show.
        let nine = T::from_f64(9.0);
        let mut input = vec![nine; self.input.len()];
        let mut weight = vec![nine; self.weight.len()];
        let mut bias = vec![nine; self.n_classes];
        let gradients = LinearGradients { input: &mut input, weight: &mut weight, bias: Some(&mut bias) };
        let value = loss.value_grad(&linear, self.labels()?, gradients)?;
        let forward = loss.value(&linear, self.labels()?)?;
        assert!((forward.value.loss - value.value.loss).abs() <= 1e-6 * value.value.loss.abs().max(1.0));
        assert_eq!((forward.top_k, forward.value.rows), (value.top_k, value.value.rows));
        if layout == WeightLayout::ClassesLast {
            weight = transpose(&weight, self.width, self.n_classes);
        }
        let wide = |values: Vec<T>| values.into_iter().map(T::to_f64).collect();
        Ok(Outcome {
            loss: value.value.loss,
            nll: value.value.nll,
            accuracy: value.value.accuracy,
            top_k: value.top_k,
            input: wide(input),
            weight: wide(weight),
            bias: wide(bias),
        })
    }

    /// All logits at once, and every product as its definition reads.
    fn plain(&self, rule: &dyn TargetRule, options: LossOptions<'_>, cap: Option<f64>) -> Outcome {
        let (n, width, k) = (self.labels.len(), self.width, self.n_classes);
        let x: Vec<f64> = self.input.iter().map(|v| v.to_f64()).collect();
        let w: Vec<f64> = self.weight.iter().map(|v| v.to_f64()).collect();
        let mut z = vec![0.0; n * k];
        for i in 0..n {
            for c in 0..k {
                let dot: f64 = (0..width).map(|l| x[i * width + l] * w[c * width + l]).sum();
                let value = dot + self.bias[c].to_f64();
                z[i * k + c] = cap.map_or(value, |cap| cap * (value / cap).tanh());
            }
        }
        let mut residuals = vec![0.0; n * k];
        let targets = rule.targets(self.labels().unwrap()).unwrap();
        let batch =
            Batch::new(Buffers::Gradient { logits: &z, gradient: &mut residuals }, &targets).options(options);
        let value = value_grad(&CrossEntropy, batch, &mut Default::default()).unwrap();
        if let Some(cap) = cap {
            residuals.iter_mut().zip(&z).for_each(|(g, z)| *g *= 1.0 - (z / cap) * (z / cap));
        }
        let mut outcome = Outcome {
            loss: value.loss,
            nll: value.nll,
            accuracy: value.accuracy,
            top_k: None,
            input: vec![0.0; n * width],
            weight: vec![0.0; k * width],
            bias: vec![0.0; k],
        };
        for i in 0..n {
            for c in 0..k {
                let residual = residuals[i * k + c];
                outcome.bias[c] += residual;
                for l in 0..width {
                    outcome.input[i * width + l] += residual * w[c * width + l];
                    outcome.weight[c * width + l] += residual * x[i * width + l];
                }
            }
        }
        outcome
    }
}

fn transpose<T: Copy>(values: &[T], rows: usize, columns: usize) -> Vec<T> {
    (0..columns).flat_map(|j| (0..rows).map(move |i| values[i * columns + j])).collect()
}

fn close(got: &Outcome, want: &Outcome, tolerance: f64) {
    let scale = |values: &[f64]| values.iter().fold(1e-3_f64, |most, v| most.max(v.abs()));
    for (what, got, want) in [
        ("loss", &[got.loss][..], &[want.loss][..]),
        ("nll", &[got.nll], &[want.nll]),
        ("accuracy", &[got.accuracy], &[want.accuracy]),
        ("input", &got.input, &want.input),
        ("weight", &got.weight, &want.weight),
        ("bias", &got.bias, &want.bias),
    ] {
        assert_eq!(got.len(), want.len());
        for (i, (g, w)) in got.iter().zip(want).enumerate() {
            assert!((g - w).abs() <= tolerance * scale(want), "{what}[{i}]: {g} against {w}");
        }
    }
}

fn golden_case<T: Scalar>(case: &Case, read: impl Fn(&str) -> Vec<T>) {
    let shape = &case.input("weight").shape;
    let (n_classes, width) = (shape[0], shape[1]);
    let (input, weight) = (read("x"), read("weight"));
    let bias = case.inputs.contains_key("bias").then(|| read("bias"));
    let labels = case.input("target").i64();
    let labels = Labels::with_ignore(&labels, n_classes, case.integer("ignore_index")).unwrap();
    let mut linear = Linear::new(&input, &weight, width, WeightLayout::ClassesFirst).unwrap();
    if let Some(bias) = &bias {
        linear = linear.with_bias(bias).unwrap();
    }
    let rule = Uniform::new(case.number("label_smoothing")).unwrap();
    let reduction: Reduction = case.word("reduction").parse().unwrap();
    let options = LossOptions { reduction, ..Default::default() };
    let (mut dx, mut dw) = (vec![T::default(); input.len()], vec![T::default(); weight.len()]);
    let mut db = vec![T::default(); n_classes];
    for chunk in [1, 2, 3, usize::MAX] {
        let memory = chunk.saturating_mul(n_classes * size_of::<T>());
        let gradients = LinearGradients { input: &mut dx, weight: &mut dw, bias: Some(&mut db) };
        let value = LinearCrossEntropy::default()
            .with_rule(&rule)
            .with_options(options)
            .with_memory(memory)
            .value_grad(&linear, labels, gradients)
            .unwrap();
        let wide = |values: &[T]| -> Vec<f64> { values.iter().map(|v| v.to_f64()).collect() };
        let check = |role: &str, got: &[f64]| {
            case.tolerance().check(&format!("{} {role}", case.id), got, &case.output(role).f64());
        };
        check("loss", &[value.value.loss]);
        check("grad_x", &wide(&dx));
        check("grad_w", &wide(&dw));
        if bias.is_some() {
            check("grad_b", &wide(&db));
        }
    }
}

#[test]
fn pytorchs_values_and_gradients_at_every_chunk_size() {
    let cases = family("linear_ce");
    assert_eq!(cases.len(), 32);
    for case in &cases {
        match case.input("x").data {
            Data::F64(_) => golden_case::<f64>(case, |role| case.input(role).f64()),
            _ => golden_case::<f32>(case, |role| case.input(role).f32()),
        }
    }
}

#[test]
fn every_option_is_that_of_the_loss_on_all_logits_at_once() {
    let mut problem = Problem::<f64>::random(13, 7, 19, 1);
    problem.labels[4] = -100;
    problem.labels[12] = -100;
    let class_weights: Vec<f64> = (0..19).map(|c| 0.25 + f64::from(c % 4)).collect();
    let sample_weights: Vec<f64> = (0..13).map(|i| f64::from(i % 3)).collect();
    let every = [
        LossOptions::default(),
        LossOptions { reduction: Reduction::Sum, ..Default::default() },
        LossOptions { class_weights: Some(&class_weights), ..Default::default() },
        LossOptions {
            class_weights: Some(&class_weights),
            weighting: Weighting::Pytorch,
            ..Default::default()
        },
        LossOptions { sample_weights: Some(&sample_weights), ..Default::default() },
        LossOptions { denominator: Some(77.0), ..Default::default() },
    ];
    let rules: [&dyn TargetRule; 2] = [&Uniform::new(0.2).unwrap(), &OffClass::new(0.3, 19).unwrap()];
    for options in every {
        for rule in rules {
            for cap in [None, Some(0.7)] {
                let want = problem.plain(rule, options, cap);
                for chunk in [1, 4, 13] {
                    for layout in [WeightLayout::ClassesFirst, WeightLayout::ClassesLast] {
                        let mut loss = LinearCrossEntropy::default()
                            .with_rule(rule)
                            .with_options(options)
                            .with_memory(chunk * 19 * 8 * if cap.is_some() { 2 } else { 1 });
                        if let Some(cap) = cap {
                            loss = loss.with_soft_cap(cap);
                        }
                        close(&problem.run(loss, layout).unwrap(), &want, 1e-12);
                    }
                }
            }
        }
    }
}

/// A budget of 512 classes of all rows, which are fewer rows of all classes, against all logits at once.
fn few_classes_at_a_time<T: Scalar>(tolerance: f64) {
    let (n, k) = (60, 1300);
    let mut problem = Problem::<T>::random(n, 5, k, 8);
    problem.labels[4] = -100;
    problem.labels[59] = -100;
    let class_weights: Vec<f64> = (0..k).map(|c| 0.25 + (c % 4) as f64).collect();
    let sample_weights: Vec<f64> = (0..n).map(|i| (i % 3) as f64).collect();
    let every = [
        LossOptions::default(),
        LossOptions { reduction: Reduction::Sum, ..Default::default() },
        LossOptions { class_weights: Some(&class_weights), ..Default::default() },
        LossOptions { sample_weights: Some(&sample_weights), ..Default::default() },
        LossOptions { denominator: Some(77.0), ..Default::default() },
    ];
    let masked = (0..k as i64).find(|class| !problem.labels.contains(class)).unwrap() as usize;
    let rules: [&dyn TargetRule; 2] = [&Uniform::new(0.2).unwrap(), &OffClass::new(0.3, k).unwrap()];
    for (at, options) in every.into_iter().enumerate() {
        for rule in rules {
            // A class without mass, in one of the options.
            problem.bias[masked] = T::from_f64(if at == 1 { f64::NEG_INFINITY } else { 0.5 });
            for cap in [None, Some(0.7)].into_iter().take(if at == 1 { 1 } else { 2 }) {
                let want = problem.plain(rule, options, cap);
                for layout in [WeightLayout::ClassesFirst, WeightLayout::ClassesLast] {
                    let mut loss = LinearCrossEntropy::default()
                        .with_rule(rule)
                        .with_options(options)
                        .with_memory(n * 512 * size_of::<T>());
                    if let Some(cap) = cap {
                        loss = loss.with_soft_cap(cap);
                    }
                    close(&problem.run(loss, layout).unwrap(), &want, tolerance);
                }
            }
        }
    }
}

#[test]
fn chunks_of_classes_are_the_loss_on_all_logits_at_once() {
    few_classes_at_a_time::<f64>(1e-11);
    // The rounding of logits, which are of order 1, and of sums over 1,300 classes and 60 rows.
    few_classes_at_a_time::<f32>(2e-6);
}

#[test]
fn the_budget_chooses_chunks_of_rows_or_of_classes() {
    let problem = Problem::<f32>::random(60, 5, 1300, 9);
    let linear = Linear::new(&problem.input, &problem.weight, 5, WeightLayout::ClassesFirst).unwrap();
    let rule = Uniform::new(0.1).unwrap();
    let classes = LinearCrossEntropy::default().with_rule(&rule);
    let entropy = LossOptions { entropy: true, ..Default::default() };
    let of = |loss: LinearCrossEntropy<'_>, bytes: usize| {
        let value = loss.with_memory(bytes).value(&linear, problem.labels().unwrap()).unwrap();
        (value.chunk_rows, value.chunk_classes)
    };
    let row = 1300 * 4;
    assert_eq!(of(classes, 60 * row), (60, 1300));
    assert_eq!(of(classes, 24 * row), (60, 512));
    // Too little for 512 classes of every row, and what the passes over classes do not compute.
    assert_eq!(of(classes, 12 * row), (12, 1300));
    assert_eq!(of(classes.with_top_k(3), 24 * row), (24, 1300));
    assert_eq!(of(classes.with_options(entropy), 24 * row), (24, 1300));
}

#[test]
fn gradients_are_those_of_central_differences() {
    let problem = Problem::<f64>::random(3, 4, 5, 2);
    let rule = Uniform::new(0.1).unwrap();
    let loss = LinearCrossEntropy::default().with_rule(&rule).with_soft_cap(1.5);
    let got = problem.run(loss, WeightLayout::ClassesFirst).unwrap();
    let value = |problem: &Problem<f64>| problem.run(loss, WeightLayout::ClassesFirst).unwrap().loss;
    let step = 1e-6;
    type Part = fn(&mut Problem<f64>) -> &mut Vec<f64>;
    let parts: [(Part, &[f64]); 3] =
        [(|p| &mut p.input, &got.input), (|p| &mut p.weight, &got.weight), (|p| &mut p.bias, &got.bias)];
    for (part, gradient) in parts {
        for (i, gradient) in gradient.iter().enumerate() {
            let moved = |by: f64| {
                let mut moved = problem.clone();
                part(&mut moved)[i] += by;
                value(&moved)
            };
            let difference = (moved(step) - moved(-step)) / (2.0 * step);
            assert!((difference - gradient).abs() < 1e-9, "{difference} {gradient}");
        }
    }
}

#[test]
fn chunks_change_nothing_beyond_rounding_and_threads_nothing_at_all() {
    // More classes than a piece holds, and a width of more than one piece.
    // Logits of order 1: in those of order 8 the rounding of their own sums is 1e-6 already.
    let mut problem = Problem::<f32>::random(9, 520, 2100, 3);
    problem.input.iter_mut().for_each(|value| *value *= 0.1);
    let rule = Uniform::new(0.1).unwrap();
    let with = |rows: usize| {
        LinearCrossEntropy::default().with_rule(&rule).with_top_k(5).with_memory(rows * 2100 * 4)
    };
    let whole = problem.run(with(9), WeightLayout::ClassesFirst).unwrap();
    for rows in [1, 2, 5] {
        let chunked = problem.run(with(rows), WeightLayout::ClassesFirst).unwrap();
        for (what, got, want) in [
            ("loss", &[chunked.loss][..], &[whole.loss][..]),
            ("input", &chunked.input, &whole.input),
            ("weight", &chunked.weight, &whole.weight),
            ("bias", &chunked.bias, &whole.bias),
        ] {
            // By the norm of the array, as rounding of products is bounded: single entries that nearly
            // cancel have no digits of their own to lose.
            let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>().sqrt();
            let off = norm(&mut got.iter().zip(want).map(|(g, w)| g - w));
            let size = norm(&mut want.iter().copied());
            assert!(off <= 1e-6 * size, "{what}: {off:e} of {size:e}");
        }
    }
    let alike = |problem: &Problem<f32>, loss: LinearCrossEntropy<'_>, layout: WeightLayout| {
        let outcomes: Vec<Outcome> = [1, 2, 3, 7]
            .into_iter()
            .map(|threads| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| problem.run(loss, layout).unwrap())
            })
            .collect();
        assert!(outcomes.windows(2).all(|pair| pair[0] == pair[1]));
    };
    // Chunks of rows, and of classes.
    let many = Problem::<f32>::random(60, 520, 2100, 4);
    for layout in [WeightLayout::ClassesFirst, WeightLayout::ClassesLast] {
        alike(&problem, with(4), layout);
        alike(&many, LinearCrossEntropy::default().with_rule(&rule).with_memory(60 * 1024 * 4), layout);
    }
}

#[test]
fn top_k_counts_ties_towards_the_smaller_class() {
    // Logits equal the bias: 2, 1, 1, 0.
    let problem = |label| Problem {
        input: vec![0.0_f64],
        weight: vec![0.0; 4],
        bias: vec![2.0, 1.0, 1.0, 0.0],
        labels: vec![label],
        width: 1,
        n_classes: 4,
    };
    let share = |label, k| {
        let loss = LinearCrossEntropy::default().with_top_k(k);
        problem(label).run(loss, WeightLayout::ClassesFirst).unwrap().top_k
    };
    assert_eq!([share(0, 1), share(1, 1), share(1, 2)], [Some(1.0), Some(0.0), Some(1.0)]);
    assert_eq!([share(2, 2), share(2, 3), share(3, 3), share(3, 4)], [0.0, 1.0, 0.0, 1.0].map(Some));
}

#[test]
fn what_does_not_fit_is_refused_by_name() {
    let problem = Problem::<f64>::random(4, 3, 5, 4);
    let run = |problem: &Problem<f64>, loss: LinearCrossEntropy<'_>| {
        problem.run(loss, WeightLayout::ClassesFirst).unwrap_err()
    };
    let plain = LinearCrossEntropy::default();
    let mut bad = problem.clone();
    bad.input[10] = f64::NAN;
    // A chunk's row is named as the batch's.
    let found = run(&bad, plain.with_memory(1));
    assert!(matches!(found, Error::NonFiniteLogit { row: 3, .. }), "{found:?}");
    let mut bad = problem.clone();
    bad.bias[problem.labels[2] as usize] = f64::NEG_INFINITY;
    assert!(matches!(run(&bad, plain), Error::MaskedTarget { .. }));
    let mut bad = problem.clone();
    bad.labels.fill(-100);
    assert!(matches!(run(&bad, plain), Error::Empty { .. }));
    let sum = LossOptions { reduction: Reduction::Sum, ..Default::default() };
    assert_eq!(bad.run(plain.with_options(sum), WeightLayout::ClassesFirst).unwrap().loss, 0.0);
    bad.labels.pop();
    assert!(matches!(run(&bad, plain), Error::Shape { what: "the labels", expected: 4, got: 3 }));
    for loss in
        [plain.with_soft_cap(0.0), plain.with_soft_cap(f64::NAN), plain.with_top_k(0), plain.with_top_k(6)]
    {
        assert!(matches!(run(&problem, loss), Error::OutOfRange { .. }));
    }
    let zeros = [0.0; 5];
    let weightless = LossOptions { class_weights: Some(&zeros), ..Default::default() };
    assert!(matches!(run(&problem, plain.with_options(weightless)), Error::ZeroWeight { .. }));

    let first = WeightLayout::ClassesFirst;
    assert!(matches!(Linear::new(&[0.0; 4], &[0.0; 3], 3, first), Err(Error::RaggedRows { .. })));
    assert!(matches!(Linear::new(&[0.0; 3], &[0.0; 4], 3, first), Err(Error::RaggedRows { .. })));
    assert!(matches!(Linear::new(&[0.0; 3], &[], 3, first), Err(Error::Shape { .. })));
    assert!(matches!(Linear::new(&[0.0; 3], &[0.0; 3], 0, first), Err(Error::Shape { .. })));
    let linear = Linear::new(&problem.input, &problem.weight, 3, first).unwrap();
    assert!(matches!(linear.with_bias(&[0.0; 4]), Err(Error::Shape { what: "the bias", .. })));
    let (mut input, mut weight) = ([0.0; 12], [0.0; 14]);
    let gradients = LinearGradients { input: &mut input, weight: &mut weight, bias: None };
    let refused = plain.value_grad(&linear, problem.labels().unwrap(), gradients).unwrap_err();
    assert!(matches!(refused, Error::Shape { what: "the gradient of the weight", expected: 15, got: 14 }));
}

#[test]
fn no_rows_sum_to_nothing() {
    let problem = Problem::<f32>::random(0, 3, 5, 5);
    let sum = LossOptions { reduction: Reduction::Sum, ..Default::default() };
    let loss = LinearCrossEntropy::default().with_options(sum);
    let outcome = problem.run(loss, WeightLayout::ClassesFirst).unwrap();
    assert_eq!((outcome.loss, outcome.weight, outcome.bias), (0.0, vec![0.0; 15], vec![0.0; 5]));
    assert!(problem.run(LinearCrossEntropy::default(), WeightLayout::ClassesFirst).is_err());
}

#[test]
fn plain_labels_are_the_rule_of_strength_zero() {
    let problem = Problem::<f64>::random(3, 2, 4, 6);
    let rule = Uniform::new(0.0).unwrap();
    let (a, b) = (LinearCrossEntropy::default(), LinearCrossEntropy::default().with_rule(&rule));
    let first = WeightLayout::ClassesFirst;
    assert_eq!(problem.run(a, first).unwrap(), problem.run(b, first).unwrap());
}
