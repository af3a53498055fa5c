//! Fused softmax cross-entropy on the device: one workgroup a row, value and gradient `s·p - q` in one launch.
//!
//! The target is a few (class, mass) pairs or a dense row, smoothed evenly over the classes that are not masked. A
//! row goes through its maximum, its sums and its gradient; shifted exponentials cannot overflow. What comes back to
//! the host are [`FIGURES`] numbers a row, which the core reduces. A row whose magnitudes are beyond single precision,
//! that is not finite or that breaks a rule is marked, and then the whole batch is left to the core, which computes in
//! double precision and names what is wrong.
//!
//! Sums over a row are in single precision, over the classes of a unit first and then in a tree. Let `ε` = 2^-24, `u` =
//! `(32 + K/256)·ε` for K classes, and `w` the distance from the largest logit to the least. Then the gradient of a row
//! differs from the exact one by less than `u` times the row's factor, and the loss by less than `u·(1 + w + ln K)`: a
//! device owes an exponential `3 + 2|x|` and a quotient 2.5 units in the last place, a logarithm 3 of them or 2^-21, and
//! the sums of a positive row add `(8 + K/256)·ε`.

use burn::backend::ops::{FloatTensorOps, IntTensorOps};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Cube, DType, FloatDType, Shape, TensorData, TensorMetadata, try_read_sync};
use burn::cubecl;
use burn::cubecl::prelude::*;
use candor::kernels::softmax_cross_entropy::RowValue;
use candor::losses::RowsElsewhere;
use candor::targets::{DenseRows, RowBackground, RowExplicit};

/// Units of a workgroup, a power of two that every device has.
const UNITS: u32 = 256;
/// Numbers that a row gives back: loss, NLL, whether it is correct, confidence, and whether only the core can judge it.
const FIGURES: usize = 5;
/// Numbers that a row is given: strength, factor of the gradient, whether it counts.
const TERMS: usize = 3;
/// Workgroups of one axis, by the least that a device must allow.
const LARGEST_AXIS: usize = 65_535;
/// Values that 32 bits of index reach with room to spare.
const LARGEST_LEN: usize = 1 << 31;
/// Bits of 1e30; differences of larger values could overflow, and all that is not finite lies above.
const HUGE_BITS: u32 = 0x7149_f2ca;
/// Bits of -inf, a masked class.
const MASKED_BITS: u32 = 0xff80_0000;
/// All bits but the sign.
const MAGNITUDE: u32 = 0x7fff_ffff;
/// Below every value that passes.
const LOWEST: f32 = -3.0e38;

/// The gradient, if it is wanted, and the value of each row; `None` where only the core can do it.
///
/// Logits `[n, n_classes]` in single precision.
pub(crate) fn cross_entropy(
    logits: &FloatTensor<Cube>,
    rows: &RowsElsewhere<'_>,
    wants_gradient: bool,
) -> Option<(Option<FloatTensor<Cube>>, Vec<RowValue>)> {
    let [n_rows, n_classes] = logits.shape().dims::<2>();
    let len = n_rows * n_classes;
    if logits.dtype() != DType::F32 || len == 0 || len >= LARGEST_LEN {
        return None;
    }
    let Packed { terms, pairs, masses, dense } = Packed::new(rows, n_classes)?;
    let device = logits.device();
    let floats = |values: Vec<f32>| {
        let n = values.len();
        Cube::float_from_data(TensorData::new(values, [n]), &device)
    };
    let empty = |shape: &[usize]| Cube::float_empty(Shape::from(shape.to_vec()), &device, FloatDType::F32);
    let n_pairs = pairs.len();
    let pairs = Cube::int_from_data(TensorData::new(pairs, [n_pairs]), &device);
    // Without a gradient there is nothing to write, but the kernel has the place.
    let gradient = if wants_gradient { empty(&[n_rows, n_classes]) } else { empty(&[1, 1]) };
    let figures = empty(&[n_rows, FIGURES]);
    let columns = n_rows.min(LARGEST_AXIS);
    let count = CubeCount::Static(columns as u32, n_rows.div_ceil(columns) as u32, 1);
    let client = logits.client.clone();
    let units = UNITS.min(client.properties().hardware.max_units_per_cube).max(1);
    // A power of two, for the tree.
    let units = 1 << units.ilog2();
    cross_entropy_kernel::launch(
        &client,
        count,
        CubeDim::new_1d(units),
        logits.clone().into_tensor_arg(),
        pairs.into_tensor_arg(),
        floats(masses).into_tensor_arg(),
        floats(terms).into_tensor_arg(),
        gradient.clone().into_tensor_arg(),
        figures.clone().into_tensor_arg(),
        dense,
        wants_gradient,
        units as usize,
    );
    let figures = try_read_sync(Cube::float_into_data(figures))?.ok()?;
    let figures = figures.as_slice::<f32>().ok()?;
    let values: Option<Vec<RowValue>> = figures
        .chunks_exact(FIGURES)
        .zip(rows.rows())
        .map(|(row, known)| match (row, known) {
            (_, None) => Some(RowValue::default()),
            (&[loss, nll, correct, confidence, 0.0], Some(_)) => Some(RowValue {
                loss: f64::from(loss),
                nll: f64::from(nll),
                correct: correct != 0.0,
                confidence: f64::from(confidence),
                entropy: f64::NAN,
            }),
            _ => None,
        })
        .collect();
    Some((wants_gradient.then_some(gradient), values?))
}

/// The targets as the kernel reads them.
struct Packed {
    /// [`TERMS`] numbers a row.
    terms: Vec<f32>,
    /// Where each row's pairs begin and end, `n + 1` places, and then the classes of all pairs.
    pairs: Vec<u32>,
    /// The masses of the pairs, or of all classes of all rows.
    masses: Vec<f32>,
    /// Whether the masses are those of all classes.
    dense: bool,
}

impl Packed {
    /// `None` for a target that the kernel does not know.
    fn new(rows: &RowsElsewhere<'_>, n_classes: usize) -> Option<Self> {
        let mut terms = Vec::new();
        let (mut places, mut classes, mut masses) = (vec![0], Vec::new(), Vec::new());
        let (mut sparse, mut dense) = (false, false);
        for known in rows.rows() {
            let Some((target, scale)) = known else {
                terms.extend([0.0; TERMS]);
                places.push(u32::try_from(classes.len()).ok()?);
                continue;
            };
            if target.smoothing != 0.0 && !matches!(target.background, RowBackground::Uniform) {
                return None;
            }
            terms.extend([target.smoothing as f32, scale as f32, 1.0]);
            match target.explicit {
                RowExplicit::Label(label) => {
                    classes.push(u32::try_from(label).ok()?);
                    masses.push(1.0);
                    sparse = true;
                }
                RowExplicit::Sparse(of, with) => {
                    classes.extend_from_slice(of);
                    masses.extend(with.iter().map(|mass| *mass as f32));
                    sparse = true;
                }
                RowExplicit::Dense(DenseRows::F32(row)) => {
                    // Rows that were left out before stand between.
                    masses.resize((terms.len() / TERMS - 1) * n_classes, 0.0);
                    masses.extend_from_slice(row);
                    dense = true;
                }
                _ => return None,
            }
            places.push(u32::try_from(classes.len()).ok()?);
        }
        if sparse && dense {
            return None;
        }
        if dense {
            masses.resize(terms.len() / TERMS * n_classes, 0.0);
        } else if masses.is_empty() {
            // A buffer cannot be empty.
            masses.push(0.0);
        }
        places.append(&mut classes);
        Some(Self { terms, pairs: places, masses, dense })
    }
}

/// See the head of this file. `logits` and `gradient` are `[n, n_classes]`, `terms` `[n · TERMS]` and `figures`
/// `[n, FIGURES]`.
#[cube(launch)]
#[allow(clippy::too_many_arguments)]
fn cross_entropy_kernel(
    logits: &Tensor<f32>,
    pairs: &Tensor<u32>,
    masses: &Tensor<f32>,
    terms: &Tensor<f32>,
    gradient: &mut Tensor<f32>,
    figures: &mut Tensor<f32>,
    #[comptime] dense: bool,
    #[comptime] wants_gradient: bool,
    #[comptime] units: usize,
) {
    let n_rows = logits.shape(0);
    let n_classes = logits.shape(1);
    let step = logits.stride(1);
    let row = CUBE_POS;
    let unit = UNIT_POS as usize;
    let mut floats = Shared::<[f32]>::new_slice(units);
    let mut counts = Shared::<[u32]>::new_slice(units);
    // The same for all units of a workgroup.
    if row < n_rows {
        let start = row * logits.stride(0);
        let smoothing = terms[row * TERMS];
        let scale = terms[row * TERMS + 1];
        let counted = terms[row * TERMS + 2];

        let mut largest = f32::new(LOWEST);
        let mut open = 0u32;
        let mut strange = 0u32;
        let mut class = unit;
        while class < n_classes {
            let z = logits[start + class * step];
            let bits = u32::reinterpret(z);
            if bits != MASKED_BITS {
                open += 1u32;
                if bits & MAGNITUDE >= HUGE_BITS {
                    strange = 1u32;
                } else {
                    largest = max(largest, z);
                }
            }
            class += units;
        }
        let largest = max_over_units(&mut floats, largest);
        let open = sum_over_units(&mut counts, open);
        let mut strange = sum_over_units(&mut counts, strange);

        let mut sum = 0.0f32;
        let mut distance = 0.0f32;
        let mut explicit = 0.0f32;
        let mut dot = 0.0f32;
        // One more than the first class of the largest logit, from behind; 0 if it is not among this unit's.
        let mut first = 0u32;
        let mut masked_mass = 0u32;
        let mut class = unit;
        while class < n_classes {
            let z = logits[start + class * step];
            let open_class = u32::reinterpret(z) != MASKED_BITS;
            if open_class {
                let shifted = z - largest;
                sum += shifted.exp();
                distance += shifted;
                if z == largest {
                    first = max(first, (n_classes - class) as u32);
                }
            }
            if dense {
                let mass = masses[row * n_classes + class];
                if mass != 0.0f32 {
                    if open_class {
                        explicit += mass;
                        dot += mass * (z - largest);
                    } else {
                        masked_mass = 1u32;
                    }
                }
            }
            class += units;
        }
        let sum = sum_over_units(&mut floats, sum);
        let distance = sum_over_units(&mut floats, distance);
        let first = max_over_units(&mut counts, first);
        let mut correct = 0.0f32;
        if dense {
            explicit = sum_over_units(&mut floats, explicit);
            dot = sum_over_units(&mut floats, dot);
            masked_mass = sum_over_units(&mut counts, masked_mass);
        } else {
            // Few, so every unit goes through all of them.
            let end = pairs[row + 1] as usize;
            let mut pair = pairs[row] as usize;
            while pair < end {
                let class = pairs[n_rows + 1 + pair] as usize;
                let mass = masses[pair];
                let z = logits[start + class * step];
                if u32::reinterpret(z) != MASKED_BITS {
                    explicit += mass;
                    if mass != 0.0f32 {
                        dot += mass * (z - largest);
                    }
                    if first == (n_classes - class) as u32 {
                        correct = 1.0f32;
                    }
                } else if mass != 0.0f32 {
                    masked_mass = 1u32;
                }
                pair += 1;
            }
        }
        strange += masked_mass;
        if open == 0 {
            strange += 1u32;
        }

        let rest = 1.0f32 - smoothing;
        let even = smoothing / f32::cast_from(max(open, 1u32));
        let total = rest * explicit + smoothing;
        let log_sum = sum.ln();
        if unit == 0 {
            let at = row * FIGURES;
            figures[at] = total * log_sum - (rest * dot + even * distance);
            figures[at + 1] = explicit * log_sum - dot;
            figures[at + 2] = correct;
            figures[at + 3] = 1.0f32 / sum;
            figures[at + 4] = f32::cast_from(strange);
        }

        if wants_gradient {
            let factor = total / sum;
            let mut class = unit;
            while class < n_classes {
                let z = logits[start + class * step];
                let mut value = 0.0f32;
                if u32::reinterpret(z) != MASKED_BITS && counted != 0.0f32 {
                    let mut mass = 0.0f32;
                    if dense {
                        mass = masses[row * n_classes + class];
                    } else {
                        let end = pairs[row + 1] as usize;
                        let mut pair = pairs[row] as usize;
                        while pair < end {
                            if pairs[n_rows + 1 + pair] as usize == class {
                                mass += masses[pair];
                            }
                            pair += 1;
                        }
                    }
                    value = (factor * (z - largest).exp() - (even + rest * mass)) * scale;
                }
                gradient[row * n_classes + class] = value;
                class += units;
            }
        }
    }
}

/// The sum of a value of each unit, in a tree; the same for all of them.
#[cube]
fn sum_over_units<T: Numeric>(shared: &mut Shared<[T]>, value: T) -> T {
    reduce_over_units::<T>(shared, value, true)
}

/// The largest value of a unit; the same for all of them.
#[cube]
fn max_over_units<T: Numeric>(shared: &mut Shared<[T]>, value: T) -> T {
    reduce_over_units::<T>(shared, value, false)
}

#[cube]
fn reduce_over_units<T: Numeric>(shared: &mut Shared<[T]>, value: T, #[comptime] add: bool) -> T {
    let unit = UNIT_POS as usize;
    shared[unit] = value;
    sync_cube();
    let mut half = CUBE_DIM as usize / 2;
    while half > 0 {
        if unit < half {
            let own = shared[unit];
            let other = shared[unit + half];
            if add {
                shared[unit] = own + other;
            } else {
                shared[unit] = max(own, other);
            }
        }
        sync_cube();
        half /= 2;
    }
    let result = shared[0];
    // Before the memory is used again.
    sync_cube();
    result
}

#[cfg(all(test, feature = "wgpu"))]
mod tests;
