//! The optimisers against the trajectories of PyTorch's, and what scaling all gradients does to them.

use std::path::Path;

use burn::module::{Module, Param, ParamId};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor, TensorData};
use safetensors::SafeTensors;
use serde_json::Value;

use super::build;
use crate::config::OptimizerConfig;
use crate::training::watch::{Watch, weights};

/// A model of one vector.
#[derive(Module, Debug)]
struct Vector {
    values: Param<Tensor<1>>,
}

impl Vector {
    fn new(values: &[f32], device: &Device) -> Self {
        let tensor = Tensor::from_data(TensorData::new(values.to_vec(), [values.len()]), device);
        Self { values: Param::initialized(ParamId::from(1), tensor.require_grad()) }
    }
}

/// What a sequence of gradients makes of the parameters: their values after each step, and the telemetry's sum.
fn trajectory(config: &OptimizerConfig, start: &[f32], gradients: &[f32]) -> (Vec<f32>, f64) {
    let device = Device::flex().autodiff();
    let mut model = Vector::new(start, &device);
    let mut optimizer = build(config).unwrap();
    let mut watch = Watch::default();
    let mut after = Vec::new();
    for gradient in gradients.chunks_exact(start.len()) {
        // The gradient of Σ g·w is g.
        let given = Tensor::<1>::from_data(TensorData::new(gradient.to_vec(), [gradient.len()]), &device);
        let loss = (model.values.val() * given).sum();
        let gradients = GradientsParams::from_grads(loss.backward(), &model);
        watch.gradients(&model, &gradients);
        let before = weights(&model);
        model = optimizer.step(config.lr, model, gradients);
        watch.step(&before, &model);
        after.extend(weights(&model).concat());
    }
    (after, watch.end_epoch(&model)["optimizer/accumulator"])
}

struct Golden {
    cases: Vec<Value>,
    tensors: Vec<u8>,
}

impl Golden {
    fn read() -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
        let text = std::fs::read_to_string(folder.join("optim.json")).unwrap();
        let document: Value = serde_json::from_str(&text).unwrap();
        let cases = document["cases"].as_array().unwrap().clone();
        Self { cases, tensors: std::fs::read(folder.join("optim.safetensors")).unwrap() }
    }

    fn tensor(&self, name: &Value) -> Vec<f32> {
        let tensors = SafeTensors::deserialize(&self.tensors).unwrap();
        let view = tensors.tensor(name.as_str().unwrap()).unwrap();
        assert_eq!(view.dtype(), safetensors::Dtype::F32);
        view.data().chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect()
    }
}

/// Our settings for a case; `None` for those that are not offered.
fn settings(case: &Value) -> Option<OptimizerConfig> {
    let mut config = OptimizerConfig {
        name: case["peer"].as_str()?.rsplit('.').next()?.to_lowercase(),
        ..OptimizerConfig::default()
    };
    for (key, value) in case["params"].as_object()? {
        match key.as_str() {
            "dtype" => {}
            "lr" => config.lr = value.as_f64()?,
            "eps" => config.epsilon = value.as_f64(),
            "weight_decay" => config.weight_decay = value.as_f64(),
            "momentum" => config.momentum = value.as_f64(),
            "nesterov" => config.nesterov = value.as_bool()?,
            "betas" => (config.beta1, config.beta2) = (value[0].as_f64(), value[1].as_f64()),
            _ => return None,
        }
    }
    Some(config)
}

#[test]
fn trajectories_are_those_of_pytorch() {
    let golden = Golden::read();
    let mut compared = Vec::new();
    for case in golden.cases.iter().filter(|case| case["params"]["dtype"] == "f32") {
        let Some(config) = settings(case) else { continue };
        let start = golden.tensor(&case["inputs"]["param0"]);
        let gradients = golden.tensor(&case["inputs"]["grads"]);
        let want = golden.tensor(&case["outputs"]["params"]);
        let (got, accumulator) = trajectory(&config, &start, &gradients);
        assert_eq!(got.len(), want.len());
        let (rtol, atol) = (case["tol"]["rtol"].as_f64().unwrap(), case["tol"]["atol"].as_f64().unwrap());
        for (step, (got, want)) in got.iter().zip(&want).enumerate() {
            let (got, want) = (f64::from(*got), f64::from(*want));
            assert!((got - want).abs() <= atol + rtol * want.abs(), "{} {step}: {got} {want}", case["id"]);
        }
        if config.name == "adagrad" && config.weight_decay.is_none() {
            let state = golden.tensor(&case["outputs"]["state_sum"]);
            let last: f64 = state[state.len() - start.len()..].iter().map(|sum| f64::from(*sum)).sum();
            // Sums of single-precision squares against double ones.
            assert!((accumulator / last - 1.0).abs() < 1e-6, "{accumulator} {last}");
        }
        compared.push(config.name);
    }
    for name in super::NAMES {
        assert!(compared.iter().any(|compared| compared == name), "{name} was not compared: {compared:?}");
    }
}

#[test]
fn scaled_gradients_leave_adagrads_trajectory_and_square_its_accumulator() {
    let golden = Golden::read();
    let start = golden.tensor(&golden.cases[14]["inputs"]["param0"]);
    let gradients = golden.tensor(&golden.cases[14]["inputs"]["grads"]);
    // A power of two scales without rounding, and an epsilon of 1e-30 is nothing beside any gradient here.
    for (name, invariant) in [("adagrad", true), ("rmsprop", true), ("adam", true), ("sgd", false)] {
        let epsilon = (name != "sgd").then_some(1e-30);
        let config =
            OptimizerConfig { name: name.to_owned(), lr: 0.1, epsilon, ..OptimizerConfig::default() };
        let half: Vec<f32> = gradients.iter().map(|g| 0.5 * g).collect();
        let (whole, sum) = trajectory(&config, &start, &gradients);
        let (scaled, smaller) = trajectory(&config, &start, &half);
        assert_eq!(smaller, 0.25 * sum, "{name}");
        assert_eq!(whole == scaled, invariant, "{name}");
    }
}
