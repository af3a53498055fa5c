//! Attention against its definition, differences, and itself on other threads.

use super::Attention;
use crate::error::Error;
use crate::kernels::cases;
use crate::kernels::isa::Isa;
use crate::kernels::real::Real;
use crate::random::Stream;

fn values(n: usize, seed: u64) -> Vec<f64> {
    let mut stream = Stream::new(seed, "attention", 0, 0);
    (0..n).map(|_| 4.0 * stream.uniform() - 2.0).collect()
}

/// As the definition reads.
fn plain(tokens: usize, width: usize, heads: usize, packed: &[f64]) -> Vec<f64> {
    let (d, row) = (width / heads, 3 * width);
    let mut output = vec![0.0; packed.len() / 3];
    for (sequence, packed) in packed.chunks(tokens * row).enumerate() {
        for (head, query) in (0..heads).flat_map(|head| (0..tokens).map(move |query| (head, query))) {
            let part =
                |token: usize, part: usize, i: usize| packed[token * row + part * width + head * d + i];
            let score = |key: usize| {
                (0..d).map(|i| part(query, 0, i) * part(key, 1, i)).sum::<f64>() / (d as f64).sqrt()
            };
            let weights: Vec<f64> = (0..tokens).map(|key| score(key).exp()).collect();
            let total: f64 = weights.iter().sum();
            for i in 0..d {
                output[(sequence * tokens + query) * width + head * d + i] =
                    weights.iter().enumerate().map(|(key, w)| w * part(key, 2, i)).sum::<f64>() / total;
            }
        }
    }
    output
}

/// Output and gradient.
fn run<T: Real>(attention: &Attention, packed: &[T], upstream: &[T]) -> [Vec<T>; 2] {
    let n = upstream.len() / attention.tokens / attention.width;
    let mut output = vec![T::from_f64(7.0); upstream.len()];
    let mut trace = vec![T::from_f64(7.0); n * attention.trace_len()];
    let mut gradient = vec![T::from_f64(7.0); packed.len()];
    attention.forward(packed, &mut output, Some(&mut trace)).unwrap();
    attention.backward(packed, &trace, upstream, &mut gradient).unwrap();
    [output, gradient]
}

const SHAPES: [[usize; 4]; 6] =
    [[1, 1, 1, 1], [2, 3, 4, 2], [3, 17, 6, 3], [1, 16, 8, 1], [2, 33, 10, 5], [5, 2, 32, 4]];

#[test]
#[cfg_attr(miri, ignore = "differences of every number are slow there")]
fn outputs_are_those_of_the_definition_and_the_gradient_is_its_difference() {
    for [n, tokens, width, heads] in SHAPES {
        let attention = Attention::new(tokens, width, heads).unwrap();
        let packed = values(n * tokens * 3 * width, 1);
        let upstream = values(n * tokens * width, 2);
        let [output, gradient] = run(&attention, &packed, &upstream);
        for (found, wanted) in output.iter().zip(plain(tokens, width, heads, &packed)) {
            assert!((found - wanted).abs() < 1e-13, "{found} for {wanted}");
        }
        let objective = |packed: &[f64]| -> f64 {
            plain(tokens, width, heads, packed).iter().zip(&upstream).map(|(a, b)| a * b).sum()
        };
        for at in (0..packed.len()).step_by(packed.len().div_ceil(40)) {
            let at_offset = |offset: f64| {
                let mut packed = packed.clone();
                packed[at] += offset;
                objective(&packed)
            };
            let wanted = (at_offset(1e-5) - at_offset(-1e-5)) / 2e-5;
            assert!((gradient[at] - wanted).abs() < 1e-7, "{tokens} {at}: {} for {wanted}", gradient[at]);
        }
    }
}

#[test]
fn single_precision_stays_near_on_every_instruction_set() {
    for [n, tokens, width, heads] in cases(SHAPES) {
        let single = |values: &[f64]| -> Vec<f32> { values.iter().map(|&value| value as f32).collect() };
        let (packed, upstream) = (values(n * tokens * 3 * width, 3), values(n * tokens * width, 4));
        let wanted = run(&Attention::new(tokens, width, heads).unwrap(), &packed, &upstream);
        for isa in Isa::available() {
            let attention = Attention { isa, ..Attention::new(tokens, width, heads).unwrap() };
            let found = run(&attention, &single(&packed), &single(&upstream));
            for (found, wanted) in found.concat().into_iter().zip(wanted.concat()) {
                // Scores below 4·√32 of rounded inputs, sums of at most 33.
                assert!((f64::from(found) - wanted).abs() < 1e-4, "{isa:?}: {found} for {wanted}");
            }
        }
    }
}

#[test]
#[cfg_attr(miri, ignore = "many threads are slow there")]
fn threads_and_neighbours_change_no_bit() {
    let attention = Attention::new(9, 12, 3).unwrap();
    let packed: Vec<f32> = values(7 * 9 * 36, 5).into_iter().map(|value| value as f32).collect();
    let upstream: Vec<f32> = values(7 * 9 * 12, 6).into_iter().map(|value| value as f32).collect();
    let whole = run(&attention, &packed, &upstream);
    for threads in [1, 2, 3, 7] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        assert_eq!(pool.install(|| run(&attention, &packed, &upstream)), whole);
    }
    let alone = run(&attention, &packed[3 * 9 * 36..4 * 9 * 36], &upstream[3 * 9 * 12..4 * 9 * 12]);
    assert_eq!(alone[0], whole[0][3 * 9 * 12..4 * 9 * 12]);
    assert_eq!(alone[1], whole[1][3 * 9 * 36..4 * 9 * 36]);
}

#[test]
fn shapes_that_do_not_fit_are_refused() {
    for (tokens, width, heads) in
        [(0, 4, 2), (3, 0, 1), (3, 4, 0), (3, 4, 3), (1 << 15, 4, 2), (3, usize::MAX, 1)]
    {
        let refused = Attention::new(tokens, width, heads);
        assert!(matches!(refused, Err(Error::OutOfRange { .. })), "{tokens} {width} {heads}");
    }
    let attention = Attention::new(2, 2, 1).unwrap();
    assert!(attention.forward(&[0.0_f32; 11], &mut [0.0; 4], None).is_err());
    assert!(attention.forward(&[0.0_f32; 12], &mut [0.0; 5], None).is_err());
    assert!(attention.forward(&[0.0_f32; 12], &mut [0.0; 4], Some(&mut [0.0; 3])).is_err());
    assert!(attention.backward(&[0.0_f32; 12], &[0.0; 4], &[0.0; 4], &mut [0.0; 11]).is_err());
    // No sequence is no error.
    attention.forward::<f32>(&[], &mut [], None).unwrap();
}
