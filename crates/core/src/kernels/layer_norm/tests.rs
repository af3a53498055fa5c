//! Layer normalisation against its definition, differences, and itself on other threads.

use super::{LayerNorm, LayerNormGradients, LayerNormPass};
use crate::error::Error;
use crate::kernels::cases;
use crate::kernels::isa::Isa;
use crate::kernels::real::Real;
use crate::random::Stream;

/// One block, and two with a smaller last one.
const SHAPES: [[usize; 2]; 5] = [[1, 2], [3, 7], [70, 33], [5, 256], [2100, 16]];

fn values(n: usize, seed: u64) -> Vec<f64> {
    let mut stream = Stream::new(seed, "layer norm", 0, 0);
    (0..n).map(|_| 3.0 * stream.uniform() - 1.0).collect()
}

/// As the definition reads.
fn plain([input, scale, shift]: [&[f64]; 3], epsilon: f64) -> Vec<f64> {
    let width = scale.len();
    let mut found = Vec::new();
    for row in input.chunks(width) {
        let mean = row.iter().sum::<f64>() / width as f64;
        let variance = row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / width as f64;
        for i in 0..width {
            found.push((row[i] - mean) / (variance + epsilon).sqrt() * scale[i] + shift[i]);
        }
    }
    found
}

/// Output, and the gradients of input, scale and shift.
fn run<T: Real>(norm: &LayerNorm, [input, scale, shift, upstream]: [&[T]; 4]) -> [Vec<T>; 4] {
    let seven = |len: usize| vec![T::from_f64(7.0); len];
    let (mut output, mut trace) = (seven(input.len()), seven(input.len() / norm.width * norm.trace_len()));
    norm.forward(input, scale, shift, &mut output, Some(&mut trace)).unwrap();
    let [mut of_input, mut of_scale, mut of_shift] = [input, scale, shift].map(|array| seven(array.len()));
    let gradients = LayerNormGradients {
        input: Some(&mut of_input),
        scale: Some(&mut of_scale),
        shift: Some(&mut of_shift),
    };
    norm.backward(LayerNormPass { input, scale, trace: &trace, upstream }, gradients).unwrap();
    [output, of_input, of_scale, of_shift]
}

/// Input, scale, shift and upstream gradient.
fn arrays([n, width]: [usize; 2], seed: u64) -> [Vec<f64>; 4] {
    let sizes = [n * width, width, width, n * width];
    std::array::from_fn(|i| values(sizes[i], seed + i as u64))
}

#[test]
#[cfg_attr(miri, ignore = "differences of every number are slow there")]
fn outputs_are_those_of_the_definition_and_gradients_its_differences() {
    for shape in SHAPES {
        let norm = LayerNorm::new(shape[1], 1e-3).unwrap();
        let all = arrays(shape, 1);
        let [output, gradients @ ..] = run(&norm, all.each_ref().map(Vec::as_slice));
        let [input, scale, shift, upstream] = &all;
        for (found, wanted) in output.iter().zip(plain([input, scale, shift], 1e-3)) {
            assert!((found - wanted).abs() < 1e-12, "{shape:?}: {found} for {wanted}");
        }
        for (which, gradient) in gradients.iter().enumerate() {
            for at in (0..gradient.len()).step_by(gradient.len().div_ceil(9)) {
                let moved = |offset: f64| -> f64 {
                    let mut moved = [input.clone(), scale.clone(), shift.clone()];
                    moved[which][at] += offset;
                    let output = plain(moved.each_ref().map(Vec::as_slice), 1e-3);
                    output.iter().zip(upstream).map(|(a, b)| a * b).sum()
                };
                let wanted = (moved(1e-6) - moved(-1e-6)) / 2e-6;
                let found = gradient[at];
                // Slopes of a row of two numbers reach 30, of which differences keep seven digits.
                let allowed = 1e-6 * (1.0 + wanted.abs());
                assert!((found - wanted).abs() < allowed, "{shape:?} {which}: {found} for {wanted}");
            }
        }
    }
}

#[test]
fn single_precision_stays_near_on_every_instruction_set() {
    for shape in cases(SHAPES) {
        let norm = LayerNorm::new(shape[1], 1e-3).unwrap();
        let all = arrays(shape, 20);
        let wanted = run(&norm, all.each_ref().map(Vec::as_slice));
        let rounded = all.each_ref().map(|array| array.iter().map(|&x| x as f32).collect::<Vec<f32>>());
        for isa in Isa::available() {
            let found = run(&LayerNorm { isa, ..norm }, rounded.each_ref().map(Vec::as_slice));
            for (found, wanted) in found.concat().into_iter().zip(wanted.concat()) {
                let allowed = 2e-5 * (1.0 + wanted.abs());
                assert!((f64::from(found) - wanted).abs() < allowed, "{isa:?} {shape:?}: {found} {wanted}");
            }
        }
    }
}

#[test]
#[cfg_attr(miri, ignore = "many threads are slow there")]
fn threads_change_no_bit() {
    for shape in SHAPES {
        let norm = LayerNorm::new(shape[1], 1e-5).unwrap();
        let all = arrays(shape, 30).map(|array| array.iter().map(|&x| x as f32).collect::<Vec<f32>>());
        let whole = run(&norm, all.each_ref().map(Vec::as_slice));
        for threads in [1, 2, 3, 7] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            assert_eq!(pool.install(|| run(&norm, all.each_ref().map(Vec::as_slice))), whole);
        }
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    for (width, epsilon) in [(0, 1e-5), (usize::MAX, 1e-5), (3, -1.0), (3, f64::NAN), (3, f64::INFINITY)] {
        assert!(matches!(LayerNorm::new(width, epsilon), Err(Error::OutOfRange { .. })), "{width} {epsilon}");
    }
    let norm = LayerNorm::new(2, 1e-5).unwrap();
    let forward = |sizes: [usize; 5]| {
        let [input, scale, shift, mut output, mut trace] = sizes.map(|size| vec![0.0_f32; size]);
        norm.forward(&input, &scale, &shift, &mut output, Some(&mut trace))
    };
    forward([4, 2, 2, 4, 4]).unwrap();
    forward([0, 2, 2, 0, 0]).unwrap();
    for sizes in [[5, 2, 2, 4, 4], [4, 3, 2, 4, 4], [4, 2, 1, 4, 4], [4, 2, 2, 3, 4], [4, 2, 2, 4, 2]] {
        assert!(matches!(forward(sizes), Err(Error::Shape { .. })), "{sizes:?}");
    }
    let backward = |sizes: [usize; 7]| {
        let [input, scale, trace, upstream, mut a, mut b, mut c] = sizes.map(|size| vec![0.0_f32; size]);
        let pass = LayerNormPass { input: &input, scale: &scale, trace: &trace, upstream: &upstream };
        norm.backward(
            pass,
            LayerNormGradients { input: Some(&mut a), scale: Some(&mut b), shift: Some(&mut c) },
        )
    };
    let fits = [4, 2, 4, 4, 4, 2, 2];
    backward(fits).unwrap();
    for at in 0..fits.len() {
        let mut sizes = fits;
        sizes[at] += 1;
        assert!(matches!(backward(sizes), Err(Error::Shape { .. })), "{at}");
    }
}
