//! The golden vectors: cases that other implementations computed, read from `tests/golden`.
//!
//! `tests/golden/README.md` says where they come from and what their fields mean.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use safetensors::{Dtype, SafeTensors};
use serde_json::Value;

/// An array of one of the three stored types.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    pub shape: Vec<usize>,
    pub data: Data,
}

/// The values of a [`Tensor`].
#[derive(Debug, Clone, PartialEq)]
pub enum Data {
    F32(Vec<f32>),
    F64(Vec<f64>),
    I64(Vec<i64>),
}

impl Tensor {
    /// The values in double precision, exactly.
    pub fn f64(&self) -> Vec<f64> {
        match &self.data {
            Data::F32(values) => values.iter().map(|&v| f64::from(v)).collect(),
            Data::F64(values) => values.clone(),
            Data::I64(_) => panic!("integers are no floating-point values"),
        }
    }

    /// The values in single precision, rounded if they are stored in double precision.
    pub fn f32(&self) -> Vec<f32> {
        match &self.data {
            Data::F32(values) => values.clone(),
            Data::F64(values) => values.iter().map(|&v| v as f32).collect(),
            Data::I64(_) => panic!("integers are no floating-point values"),
        }
    }

    /// The integers.
    pub fn i64(&self) -> Vec<i64> {
        match &self.data {
            Data::I64(values) => values.clone(),
            _ => panic!("floating-point values are no integers"),
        }
    }

    /// `[n, k, d]` as `[n * d, k]`: the class axis last. Other shapes stay as they are.
    pub fn classes_last(&self) -> Tensor {
        let &[n, k, d] = self.shape.as_slice() else { return self.clone() };
        let order: Vec<usize> =
            (0..n).flat_map(|i| (0..d).flat_map(move |j| (0..k).map(move |c| (i * k + c) * d + j))).collect();
        let data = match &self.data {
            Data::F32(values) => Data::F32(order.iter().map(|&at| values[at]).collect()),
            Data::F64(values) => Data::F64(order.iter().map(|&at| values[at]).collect()),
            Data::I64(values) => Data::I64(order.iter().map(|&at| values[at]).collect()),
        };
        Tensor { shape: vec![n * d, k], data }
    }
}

/// One call of a peer: what went in and what came out.
#[derive(Debug)]
pub struct Case {
    pub id: String,
    pub inputs: BTreeMap<String, Arc<Tensor>>,
    pub outputs: BTreeMap<String, Arc<Tensor>>,
    /// Everything else that the case says, as it stands in the file.
    pub record: Value,
}

impl Case {
    /// An input that the case must have.
    pub fn input(&self, role: &str) -> &Tensor {
        self.inputs.get(role).unwrap_or_else(|| panic!("{}: no input {role}", self.id))
    }

    /// An output that the case must have.
    pub fn output(&self, role: &str) -> &Tensor {
        self.outputs.get(role).unwrap_or_else(|| panic!("{}: no output {role}", self.id))
    }

    /// A parameter, null if the case does not have it.
    pub fn param(&self, name: &str) -> &Value {
        &self.record["params"][name]
    }

    /// A numeric parameter that the case must have; the text "NaN" stands for NaN.
    pub fn number(&self, name: &str) -> f64 {
        match self.param(name) {
            Value::String(text) if text == "NaN" => f64::NAN,
            value => value.as_f64().unwrap_or_else(|| panic!("{}: {name} is {value}", self.id)),
        }
    }

    /// An integer parameter, if the case has it.
    pub fn integer(&self, name: &str) -> Option<i64> {
        self.param(name).as_i64()
    }

    /// A parameter that is a word and that the case must have.
    pub fn word(&self, name: &str) -> &str {
        self.param(name).as_str().unwrap_or_else(|| panic!("{}: no word {name}", self.id))
    }

    /// The case's own tolerance.
    pub fn tolerance(&self) -> Tolerance {
        let part = |name: &str| {
            let value = &self.record["tol"][name];
            value.as_f64().unwrap_or_else(|| panic!("{}: {name} is {value}", self.id))
        };
        Tolerance { relative: part("rtol"), absolute: part("atol") }
    }
}

/// How far a value may lie from the golden one.
#[derive(Debug, Clone, Copy)]
pub struct Tolerance {
    pub relative: f64,
    pub absolute: f64,
}

impl Tolerance {
    /// `|got - want| <= atol + rtol * |want|`; NaN equals NaN, infinities must have the same sign.
    pub fn accepts(self, got: f64, want: f64) -> bool {
        if want.is_nan() || want.is_infinite() {
            return got == want || (got.is_nan() && want.is_nan());
        }
        (got - want).abs() <= self.absolute + self.relative * want.abs()
    }

    /// Compares two arrays and names the first value that is too far off.
    pub fn check(self, what: &str, got: &[f64], want: &[f64]) {
        assert_eq!(got.len(), want.len(), "{what}: the sizes differ");
        for (i, (&got, &want)) in got.iter().zip(want).enumerate() {
            assert!(self.accepts(got, want), "{what}[{i}] is {got:e}, want {want:e} within {self:?}");
        }
    }
}

/// Where the vectors lie.
fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn read_json(name: &str) -> Value {
    let path = folder().join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The cases of a family, in the order of its file.
pub fn family(name: &str) -> Vec<Case> {
    let path = folder().join(format!("{name}.safetensors"));
    let bytes = std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let stored = SafeTensors::deserialize(&bytes).expect("a valid safetensors file");
    let tensors: BTreeMap<String, Arc<Tensor>> =
        stored.iter().map(|(name, view)| (name.to_owned(), Arc::new(tensor(&view)))).collect();
    let resolve = |roles: &Value| -> BTreeMap<String, Arc<Tensor>> {
        let Some(roles) = roles.as_object() else { return BTreeMap::new() };
        let tensor = |name: &Value| tensors[name.as_str().expect("the name of a tensor")].clone();
        roles.iter().map(|(role, name)| (role.clone(), tensor(name))).collect()
    };
    let record = read_json(&format!("{name}.json"));
    let cases: Vec<Case> = record["cases"]
        .as_array()
        .expect("a list of cases")
        .iter()
        .map(|case| Case {
            id: case["id"].as_str().expect("an id").to_owned(),
            inputs: resolve(&case["inputs"]),
            outputs: resolve(&case["outputs"]),
            record: case.clone(),
        })
        .collect();
    assert_eq!(Some(cases.len() as u64), record["n_cases"].as_u64(), "{name}: cases are missing");
    cases
}

fn tensor(view: &safetensors::tensor::TensorView<'_>) -> Tensor {
    fn values<const N: usize, T>(bytes: &[u8], read: fn([u8; N]) -> T) -> Vec<T> {
        bytes.chunks_exact(N).map(|chunk| read(chunk.try_into().expect("N bytes"))).collect()
    }
    let bytes = view.data();
    let data = match view.dtype() {
        Dtype::F32 => Data::F32(values(bytes, f32::from_le_bytes)),
        Dtype::F64 => Data::F64(values(bytes, f64::from_le_bytes)),
        Dtype::I64 => Data::I64(values(bytes, i64::from_le_bytes)),
        other => panic!("no golden vector is stored as {other:?}"),
    };
    Tensor { shape: view.shape().to_vec(), data }
}

#[test]
fn every_family_of_the_manifest_loads_whole_and_every_output_passes_its_own_tolerance() {
    let manifest = read_json("manifest.json");
    let mut total = 0;
    for entry in manifest["families"].as_array().expect("a list of families") {
        let name = entry["family"].as_str().expect("a name");
        let cases = family(name);
        assert_eq!(Some(cases.len() as u64), entry["n_cases"].as_u64(), "{name}");
        total += cases.len();
        for case in cases.iter().filter(|case| !case.outputs.is_empty()) {
            for (role, output) in &case.outputs {
                let values = output.f64();
                case.tolerance().check(&format!("{name}/{}/{role}", case.id), &values, &values);
            }
        }
    }
    assert_eq!(Some(total as u64), manifest["total_cases"].as_u64());
    assert_eq!(total, 2318);
}

#[test]
fn a_tolerance_tells_apart_what_it_should() {
    let tolerance = Tolerance { relative: 0.01, absolute: 0.1 };
    assert!(tolerance.accepts(10.19, 10.0) && !tolerance.accepts(10.21, 10.0));
    assert!(tolerance.accepts(f64::NAN, f64::NAN) && !tolerance.accepts(0.0, f64::NAN));
    assert!(!tolerance.accepts(f64::NAN, 0.0) && !tolerance.accepts(f64::INFINITY, 0.0));
    assert!(tolerance.accepts(f64::INFINITY, f64::INFINITY));
    assert!(!tolerance.accepts(f64::NEG_INFINITY, f64::INFINITY));
    assert!(!tolerance.accepts(1e300, f64::INFINITY));
}

#[test]
fn the_class_axis_moves_last() {
    let tensor = Tensor { shape: vec![1, 2, 3], data: Data::I64(vec![0, 1, 2, 10, 11, 12]) };
    let moved = tensor.classes_last();
    assert_eq!((moved.shape, moved.data), (vec![3, 2], Data::I64(vec![0, 10, 1, 11, 2, 12])));
}
