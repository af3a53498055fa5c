//! Cross-entropy of logits in half precision and of strided rows: against the formula, and what must not change a bit.
//!
//! Half precision is storage. So every tolerance is that of single precision (see `kernels`) plus one rounding of
//! what is stored: half a unit in the last place, or half of the least step below the normal numbers.

use std::fmt::Debug;

use candor::kernels::isa::Isa;
use candor::kernels::storage::FusedStorage;
use candor::losses::{Batch, LossOptions, Reduction, reference, value_grad_on};
use candor::targets::Background;
use candor::{Buffers, Error, Labels, Targets};
use half::{bf16, f16};

use crate::golden::family;
use crate::kernels::{GRADIENT_ERROR, SUM_ERROR, UNDERFLOW};
use crate::problem::{Form, Problem, Straight, Stream, all_options, straight};
use crate::run::{Outcome, double, reference_single, single};

/// A storage type with what one rounding to it costs.
trait Rounded: FusedStorage {
    /// Relative error of a normal number.
    const RELATIVE: f64;
    /// Half of the least step.
    const ABSOLUTE: f64;
    /// Where infinity begins.
    const LARGEST: f64;
}

impl Rounded for f32 {
    const RELATIVE: f64 = 6e-8;
    const ABSOLUTE: f64 = 1e-45;
    const LARGEST: f64 = f32::MAX as f64;
}

impl Rounded for bf16 {
    // 8 bits of significand.
    const RELATIVE: f64 = 1.0 / 256.0;
    const ABSOLUTE: f64 = 5e-41;
    const LARGEST: f64 = 3.38e38;
}

impl Rounded for f16 {
    // 11 bits of significand; subnormal numbers are multiples of 2^-24.
    const RELATIVE: f64 = 1.0 / 2048.0;
    const ABSOLUTE: f64 = 1.0 / 33_554_432.0;
    const LARGEST: f64 = 65_504.0;
}

fn stored<T: Rounded>(logits: &[f32]) -> Vec<T> {
    logits.iter().map(|&z| T::narrow(z)).collect()
}

fn exact<T: Rounded>(logits: &[T]) -> Vec<f64> {
    logits.iter().map(|z| z.to_f64()).collect()
}

fn check<T: Rounded>(name: &dyn Debug, got: &Outcome, want: &Straight) {
    for (row, (got, loss)) in got.losses.iter().zip(&want.losses).enumerate() {
        let bound = SUM_ERROR * (want.masses[row] + loss.abs()) + T::RELATIVE * loss.abs() + T::ABSOLUTE;
        let beyond = *loss >= T::LARGEST && *got == f64::INFINITY;
        assert!((got - loss).abs() <= bound || beyond, "{name:?}: loss of row {row}: {got:e}, want {loss:e}");
    }
    let magnitude = want.masses.iter().sum::<f64>() + want.losses.iter().map(|l| l.abs()).sum::<f64>();
    let bound = SUM_ERROR * magnitude / want.denominator;
    assert!(
        (got.value.loss - want.loss).abs() <= bound,
        "{name:?}: {:e}, want {:e}",
        got.value.loss,
        want.loss
    );
    assert!((got.value.nll - want.nll).abs() <= SUM_ERROR * (1.0 + want.nll), "{name:?}: nll");
    let largest = want.masses.iter().copied().fold(0.0, f64::max);
    let tiny = UNDERFLOW * (1.0 + largest / want.denominator);
    for (i, (got, gradient)) in got.gradient.iter().zip(&want.gradient).enumerate() {
        let computed = GRADIENT_ERROR * want.magnitude[i] + tiny;
        let bound = computed + T::RELATIVE * (gradient.abs() + computed) + T::ABSOLUTE;
        assert!((got - gradient).abs() <= bound, "{name:?}: gradient[{i}] is {got:e}, want {gradient:e}");
    }
}

fn follows_the_formula<T: Rounded>() -> usize {
    let mut runs = 0;
    for k in (1..=70).chain([100, 129, 1000, 4097]) {
        for (i, scale) in [1e-3, 1.0, 30.0, 1e3].into_iter().enumerate() {
            let problem = Problem::new(7 + i as u64, 19, k, true);
            let logits: Vec<T> = stored(&Stream(k as u64 * 31 + i as u64).logits(19 * k, scale));
            for (place, form) in problem.forms().enumerate() {
                // By turns, so that every form meets every option and length.
                let all = all_options(&problem);
                let options = all[(place + i * 5 + k) % all.len()];
                let want = straight(&exact(&logits), &problem, form, options);
                let targets = problem.targets(form);
                let reference = reference_single(&logits, &targets, options).expect("a value");
                check::<T>(&("reference", T::DTYPE, k, form, options), &reference, &want);
                for isa in Isa::available() {
                    let got = single(isa, &logits, &targets, options).expect("a value");
                    check::<T>(&(isa, T::DTYPE, k, form, options), &got, &want);
                    runs += 1;
                }
            }
        }
    }
    runs
}

#[test]
fn every_storage_type_follows_the_formula_on_the_widened_logits() {
    let runs = [follows_the_formula::<f32>(), follows_the_formula::<bf16>(), follows_the_formula::<f16>()];
    // 71 lengths with all 15 forms, 3 without the square of priors.
    assert_eq!(runs, [4 * (71 * 15 + 3 * 14) * Isa::available().len(); 3]);
}

fn golden_inputs<T: Rounded>() -> usize {
    let mut compared = 0;
    for case in family("ce_index").iter().chain(&family("ce_soft")) {
        let logits = case.input("logits").classes_last();
        let k = logits.shape[1];
        let rounded: Vec<T> = logits.f32().iter().map(|&z| T::narrow(z)).collect();
        if rounded.iter().any(|z| !z.to_f64().is_finite()) {
            continue; // Beyond f16.
        }
        let (Some(labels), None) = (case.inputs.get("target"), case.inputs.get("target_probs")) else {
            continue;
        };
        let labels = labels.i64();
        let labels = Labels::with_ignore(&labels, k, case.integer("ignore_index")).expect("labels");
        let targets = Targets::labels(labels).smoothed(case.number("label_smoothing"), Background::Uniform);
        let options = LossOptions { reduction: Reduction::Sum, ..Default::default() };
        let want = double(&exact(&rounded), &targets, options).expect("a value");
        for isa in Isa::available() {
            let got = single(isa, &rounded, &targets, options).expect("a value");
            let name = format!("{} {:?} {isa:?}", case.id, T::DTYPE);
            let rows = got.value.rows as f64;
            let bound = SUM_ERROR * (rows + want.value.loss);
            assert!((got.value.loss - want.value.loss).abs() <= bound, "{name}");
            for (got, want) in got.gradient.iter().zip(&want.gradient) {
                // p and q are at most 1.
                let bound = 2.0 * GRADIENT_ERROR + T::RELATIVE * want.abs() + T::ABSOLUTE;
                assert!((got - want).abs() <= bound, "{name}: {got:e}, want {want:e}");
            }
        }
        compared += 1;
    }
    compared
}

#[test]
fn the_inputs_of_the_golden_vectors_give_in_half_precision_what_double_precision_gives() {
    let (bf16, f16) = (golden_inputs::<bf16>(), golden_inputs::<f16>());
    assert!(bf16 == 548 && f16 >= 500, "{bf16} {f16}");
}

/// A batch's gradient in place, at this offset from the start of an allocation, and its row losses.
fn placed<T: FusedStorage>(
    isa: Isa,
    logits: &[T],
    offset: usize,
    targets: &Targets<'_>,
) -> (Vec<u64>, Vec<u64>, u64) {
    let mut place = vec![T::default(); offset];
    place.extend_from_slice(logits);
    let mut losses = vec![T::default(); targets.n_rows()];
    let options = LossOptions { reduction: Reduction::Sum, ..Default::default() };
    let batch =
        Batch::new(Buffers::InPlace(&mut place[offset..]), targets).options(options).losses(&mut losses);
    let value = value_grad_on(isa, batch).expect("a value");
    let bits = |values: &[T]| values.iter().map(|v| v.to_f64().to_bits()).collect::<Vec<u64>>();
    (bits(&place[offset..]), bits(&losses), value.loss.to_bits())
}

fn rows_are_alone<T: Rounded>() {
    for k in [1, 2, 3, 7, 8, 9, 10, 15, 16, 31, 63, 64, 65, 100, 600] {
        let problem = Problem::new(43, 37, k, true);
        let logits: Vec<T> = stored(&Stream(k as u64).logits(37 * k, 3.0));
        for form in problem.forms() {
            for isa in Isa::available() {
                let (whole, losses, _) = placed(isa, &logits, 0, &problem.targets(form));
                for (row, offset) in [(0, 1), (2, 3), (15, 5), (17, 8), (36, 13)] {
                    let alone = problem.subset(&[row]);
                    let z = &logits[row * k..(row + 1) * k];
                    let (gradient, loss, _) = placed(isa, z, offset, &alone.targets(form));
                    let name = (isa, T::DTYPE, k, form, row);
                    assert_eq!(gradient, whole[row * k..(row + 1) * k], "{name:?}");
                    assert_eq!(loss[0], losses[row], "{name:?}");
                }
            }
        }
    }
}

#[test]
fn a_row_has_the_same_bits_alone_and_in_any_lane_of_a_batch() {
    rows_are_alone::<f32>();
    rows_are_alone::<bf16>();
    rows_are_alone::<f16>();
}

fn threads_change_nothing<T: Rounded>() {
    for (n, k) in [(2049, 10), (5000, 3), (1500, 64), (1300, 100), (5, 20_000)] {
        let problem = Problem::new(41, n, k, true);
        let logits: Vec<T> = stored(&Stream(n as u64).logits(n * k, 4.0));
        for form in [Form::Uniform, Form::Prior, Form::SparseUniform, Form::DensePrior] {
            let targets = problem.targets(form);
            for isa in Isa::available() {
                let with = |threads: usize| {
                    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
                    pool.install(|| placed(isa, &logits, 0, &targets))
                };
                let one = with(1);
                for threads in [2, 3, 7] {
                    assert!(with(threads) == one, "{:?} [{n}, {k}] {form:?}, {threads} threads", T::DTYPE);
                }
            }
        }
    }
}

#[test]
fn the_number_of_threads_changes_no_bit_of_any_storage_type() {
    threads_change_nothing::<f32>();
    threads_change_nothing::<bf16>();
    threads_change_nothing::<f16>();
}

fn strides_change_nothing<T: Rounded>() {
    for k in [1, 5, 10, 64, 65, 100] {
        for (n, gap) in [(1, 3), (40, 1), (40, 7), (1030, 24)] {
            let problem = Problem::new(5, n, k, true);
            let logits: Vec<T> = stored(&Stream(n as u64).logits(n * k, 4.0));
            let targets = problem.targets(Form::Uniform);
            let options = LossOptions::default();
            let stride = k + gap;
            let sevens = T::from_f64(7.0);
            let spread = |values: &[T]| -> Vec<T> {
                values.chunks_exact(k).flat_map(|row| [row, &vec![sevens; gap]].concat()).collect()
            };
            for isa in Isa::available() {
                let mut packed = logits.clone();
                let want =
                    value_grad_on(isa, Batch::new(Buffers::InPlace(&mut packed), &targets)).expect("a value");
                let want_gradient = exact(&spread(&packed));
                // With what follows the last row, and without.
                for end in [n * stride, n * stride - gap] {
                    let mut wide = spread(&logits);
                    let batch = Batch::new(Buffers::InPlace(&mut wide[..end]), &targets).row_stride(stride);
                    let got = value_grad_on(isa, batch.options(options)).expect("a value");
                    assert_eq!(
                        (got.loss.to_bits(), exact(&wide)),
                        (want.loss.to_bits(), want_gradient.clone())
                    );
                    let read = spread(&logits);
                    let mut apart = vec![sevens; end];
                    let buffers = Buffers::Gradient { logits: &read[..end], gradient: &mut apart };
                    value_grad_on(isa, Batch::new(buffers, &targets).row_stride(stride)).expect("a value");
                    assert_eq!(exact(&apart), want_gradient[..end]);
                }
            }
        }
    }
}

#[test]
fn strided_rows_give_the_bits_of_packed_ones_and_what_lies_between_stays() {
    strides_change_nothing::<f32>();
    strides_change_nothing::<bf16>();
    strides_change_nothing::<f16>();
}

#[test]
fn a_stride_that_does_not_fit_is_an_error() {
    let targets = Targets::labels(Labels::new(&[0, 1, 2], 4).expect("labels"));
    let call = |len: usize, stride: usize| {
        let logits = vec![0.0_f32; len];
        reference(Batch::new(Buffers::Forward(&logits), &targets).row_stride(stride)).err()
    };
    assert_eq!(call(12, 3), Some(Error::Shape { what: "the row stride", expected: 4, got: 3 }));
    assert_eq!(call(15, 6), Some(Error::Shape { what: "logits", expected: 16, got: 15 }));
    assert_eq!(call(19, 6), Some(Error::Shape { what: "logits", expected: 16, got: 19 }));
    assert_eq!((call(16, 6), call(18, 6)), (None, None));
    assert!(matches!(call(12, usize::MAX), Some(Error::Shape { .. })));
}

fn errors_are_named_alike<T: Rounded>() {
    let inf = f32::INFINITY;
    for k in [1, 2, 3, 10, 40, 64, 65, 100] {
        for n in [1, 20, 1500] {
            for bad in [f32::NAN, inf, -inf] {
                let problem = Problem::new(9, n, k, false);
                let mut z = Stream(4).logits(n * k, 2.0);
                // Two bad rows: the first is named.
                for row in [n - 1, n / 2] {
                    let row = &mut z[row * k..(row + 1) * k];
                    if bad == -inf { row.fill(bad) } else { row[k / 3] = bad }
                }
                let z: Vec<T> = stored(&z);
                for form in [Form::Uniform, Form::Prior, Form::Sparse, Form::DenseUniform] {
                    let targets = problem.targets(form);
                    let want = double(&exact(&z), &targets, LossOptions::default()).expect_err("an error");
                    for isa in Isa::available() {
                        let got = single(isa, &z, &targets, LossOptions::default()).expect_err("an error");
                        assert_eq!(format!("{got:?}"), format!("{want:?}"), "{isa:?} K {k} N {n} {form:?}");
                    }
                }
            }
        }
    }
}

#[test]
fn every_path_names_the_same_error_of_the_same_row() {
    errors_are_named_alike::<f32>();
    errors_are_named_alike::<bf16>();
    errors_are_named_alike::<f16>();
}

#[test]
fn masses_and_scales_too_large_for_single_precision_go_to_double_precision() {
    for k in [4, 100] {
        let z = Stream(8).logits(2 * k, 1.0);
        let rows = vec![1e38_f32; 2 * k];
        let targets = Targets::weights(candor::targets::DenseRows::F32(&rows), k).expect("finite masses");
        let wide: Vec<f64> = z.iter().map(|&z| f64::from(z)).collect();
        let want = double(&wide, &targets, LossOptions::default()).expect("a value").value.loss;
        for isa in Isa::available() {
            let got = single(isa, &z, &targets, LossOptions::default()).expect("a value").value.loss;
            assert!((got / want - 1.0).abs() < 1e-6, "{isa:?} {got:e} {want:e}");
        }
    }
}

#[test]
fn an_instruction_set_that_the_cpu_lacks_is_refused() {
    let targets = Targets::labels(Labels::new(&[0], 2).expect("a label"));
    for isa in [Isa::Neon, Isa::Avx2, Isa::Avx512].into_iter().filter(|isa| !isa.is_available()) {
        let got = value_grad_on(isa, Batch::new(Buffers::Forward(&[0.0_f32, 0.0]), &targets));
        assert!(matches!(got, Err(Error::Unsupported { .. })), "{isa:?}");
    }
}
