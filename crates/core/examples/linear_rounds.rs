//! Candor's side of `benches/linear.py`: rounds of a linear layer with smoothed cross-entropy, on request.
//!
//! Reads lines from standard input and answers each with `done`: `prepare N WIDTH CLASSES`, then `loss BYTES ROUNDS`
//! with a budget of memory for logits, `products ROUNDS`: the three products of matrices of all rows at once,
//! which no way of computing loss and gradients can do without, or `library ROUNDS`: the same by the `gemm` crate.
//! With the arguments `peak N WIDTH CLASSES BYTES` computes once, and prints the bytes that this took at most beyond
//! input and weight, gradients included.

use std::io::BufRead;

use candor::kernels::matmul::{Matrix, MatrixMut, product, product_by_library};
use candor::losses::{Linear, LinearCrossEntropy, LinearGradients, WeightLayout};
use candor::random::Stream;
use candor::targets::Uniform;
use candor::{Labels, Result};
use rayon::prelude::*;

struct Layer {
    input: Vec<f32>,
    weight: Vec<f32>,
    labels: Vec<i64>,
    width: usize,
    n_classes: usize,
}

/// Where the gradients go.
struct Room {
    input: Vec<f32>,
    weight: Vec<f32>,
}

impl Layer {
    fn new(n: usize, width: usize, n_classes: usize) -> Self {
        let mut stream = Stream::new(0, "bench", n as u64, n_classes as u64);
        // Logits of order 1.
        let size = (12.0 / width as f64).sqrt();
        let mut values =
            |len: usize, size: f64| (0..len).map(|_| ((stream.uniform() - 0.5) * size) as f32).collect();
        let (input, weight) = (values(n * width, 12_f64.sqrt()), values(n_classes * width, size));
        let labels = (0..n).map(|_| stream.below(n_classes as u64) as i64).collect();
        Self { input, weight, labels, width, n_classes }
    }

    fn room(&self) -> Room {
        Room { input: vec![0.0; self.input.len()], weight: vec![0.0; self.weight.len()] }
    }

    fn loss(&self, bytes: usize, room: &mut Room) -> Result<()> {
        let rule = Uniform::new(0.1)?;
        let linear = Linear::new(&self.input, &self.weight, self.width, WeightLayout::ClassesFirst)?;
        let gradients = LinearGradients { input: &mut room.input, weight: &mut room.weight, bias: None };
        let labels = Labels::new(&self.labels, self.n_classes)?;
        let loss = LinearCrossEntropy::default().with_rule(&rule).with_memory(bytes);
        std::hint::black_box(loss.value_grad(&linear, labels, gradients)?);
        Ok(())
    }

    /// The products of logits, input's gradient and weight's gradient, each cut into as many pieces as there are threads.
    fn products(&self, product: Product, logits: &mut [f32], room: &mut Room) {
        let (n, d, k) = (self.labels.len(), self.width, self.n_classes);
        let input = Matrix::row_major(&self.input, n, d);
        let weight = Matrix::row_major(&self.weight, k, d);
        multiply(product, MatrixMut::row_major(logits, n, k), k, input, weight.transposed());
        let logits = Matrix::row_major(logits, n, k);
        multiply(product, MatrixMut::row_major(&mut room.input, n, d), d, logits, weight);
        let gradient = MatrixMut::row_major(&mut room.weight, k, d).transposed();
        multiply(product, gradient, k, input.transposed(), logits);
        std::hint::black_box(&room.weight);
    }
}

/// A way of multiplying matrices.
type Product = fn(MatrixMut<'_, f32>, Matrix<'_, f32>, Matrix<'_, f32>, f64, bool);

/// `target = left · right`, where the target has so many columns.
fn multiply(
    product: Product,
    target: MatrixMut<'_, f32>,
    columns: usize,
    left: Matrix<'_, f32>,
    right: Matrix<'_, f32>,
) {
    let width = columns.div_ceil(rayon::current_num_threads());
    target.columns(width).into_par_iter().for_each(|(from, piece)| {
        product(piece, left, right.columns(from, width.min(columns - from)), 1.0, false);
    });
}

/// A figure of the process, in bytes.
fn memory(name: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kilobytes| kilobytes << 10)
}

fn peak(layer: &Layer, bytes: usize) -> std::result::Result<u64, Box<dyn std::error::Error>> {
    let before = memory("VmRSS").ok_or("no figures of memory on this system")?;
    layer.loss(bytes, &mut layer.room())?;
    Ok(memory("VmHWM").ok_or("no figures of memory on this system")?.saturating_sub(before))
}

/// A prepared layer with its room, and with the logits of all rows once the products are asked for.
struct State {
    layer: Layer,
    room: Room,
    logits: Vec<f32>,
}

fn answer(line: &str, state: &mut Option<State>) -> std::result::Result<(), Box<dyn std::error::Error>> {
    let words: Vec<&str> = line.split_whitespace().collect();
    match (words.as_slice(), state.as_mut()) {
        (["prepare", n, width, n_classes], _) => {
            *state = None;
            let layer = Layer::new(n.parse()?, width.parse()?, n_classes.parse()?);
            let room = layer.room();
            *state = Some(State { layer, room, logits: Vec::new() });
        }
        (["loss", bytes, count], Some(state)) => {
            state.logits = Vec::new();
            for _ in 0..count.parse()? {
                state.layer.loss(bytes.parse()?, &mut state.room)?;
            }
        }
        ([way @ ("products" | "library"), count], Some(state)) => {
            let product: Product = if *way == "products" { product } else { product_by_library };
            state.logits.resize(state.layer.labels.len() * state.layer.n_classes, 0.0);
            for _ in 0..count.parse()? {
                state.layer.products(product, &mut state.logits, &mut state.room);
            }
        }
        _ => return Err(format!("not a request, or nothing is prepared: {line:?}").into()),
    }
    Ok(())
}

fn run() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [peak_of, n, width, n_classes, bytes] = arguments.as_slice()
        && peak_of == "peak"
    {
        let layer = Layer::new(n.parse()?, width.parse()?, n_classes.parse()?);
        println!("{}", peak(&layer, bytes.parse()?)?);
        return Ok(());
    }
    let mut state = None;
    for line in std::io::stdin().lock().lines() {
        answer(&line?, &mut state)?;
        println!("done");
    }
    Ok(())
}

fn main() -> std::process::ExitCode {
    candor::kernels::allocator::keep_large_buffers();
    match run() {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            std::process::ExitCode::FAILURE
        }
    }
}
