//! Models of nodes: features in, propagated over the graph, a logit for each class out.

mod appnp;
mod dropout;
mod gcn;
mod sgc;

pub use appnp::Appnp;
pub use dropout::Dropout;
pub use gcn::Gcn;
pub use sgc::Sgc;

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::{Device, Tensor};
use candor_burn::{SharedMatrix, sparse_product};

use crate::config::ModelConfig;
use crate::error::{Error, Result};

/// What a model must fit.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct NodeShape {
    /// Features of a node.
    pub features: usize,
    /// Number of classes.
    pub classes: usize,
}

/// What a model reads: features, and how to propagate.
#[derive(Debug, Clone)]
pub struct Inputs {
    /// Features `[nodes, features]`.
    pub features: SharedMatrix,
    /// One step of propagation `[nodes, nodes]`.
    pub step: SharedMatrix,
    /// Number of steps.
    pub k: usize,
    /// Share of a node's own prediction in each step of `appnp`.
    pub teleport: f64,
}

impl Inputs {
    /// `k` steps of propagation of `x` `[nodes, width]`.
    fn propagate(&self, x: Tensor<2>) -> Result<Tensor<2>> {
        (0..self.k).try_fold(x, |x, _| Ok(sparse_product(&self.step, x)?))
    }
}

/// A model from a whole graph to the logits of all its nodes.
pub trait NodeModel: Module + Clone {
    /// Steps of propagation as published.
    const STEPS: usize;

    /// An untrained model.
    ///
    /// # Errors
    /// Settings that it does not have.
    fn build(config: &ModelConfig, shape: &NodeShape, seed: u64, device: &Device) -> Result<Self>;

    /// Logits `[nodes, classes]`.
    ///
    /// # Errors
    /// Inputs of another shape.
    fn logits(&self, inputs: &Inputs, dropout: &mut Dropout) -> Result<Tensor<2>>;
}

/// The width of the one hidden layer.
fn hidden_width(config: &ModelConfig) -> Result<usize> {
    match config.hidden[..] {
        [hidden] => Ok(hidden),
        _ => {
            let got = format!("{:?}", config.hidden);
            Err(Error::config("model.hidden", got, format!("{} has one hidden layer", config.name)))
        }
    }
}

/// Adds the bias of a layer, which comes after the propagation.
fn with_bias(layer: &Linear, x: Tensor<2>) -> Tensor<2> {
    match &layer.bias {
        Some(bias) => x + bias.val().unsqueeze::<2>(),
        None => x,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use candor::graph::{Adjacency, Normalisation, SparseMatrix, propagation};

    use super::*;

    /// A matrix of rows.
    type Dense = Vec<Vec<f64>>;

    fn product(a: &Dense, b: &Dense) -> Dense {
        let entry = |row: &Vec<f64>, j: usize| row.iter().zip(b).map(|(a, b)| a * b[j]).sum();
        a.iter().map(|row| (0..b[0].len()).map(|j| entry(row, j)).collect()).collect()
    }

    fn rows(tensor: Tensor<2>) -> Dense {
        let [_, width] = tensor.dims();
        let values = tensor.into_data().try_into_vec::<f32>().unwrap();
        values.chunks_exact(width).map(|row| row.iter().map(|v| f64::from(*v)).collect()).collect()
    }

    fn relu(x: Dense) -> Dense {
        x.into_iter().map(|row| row.into_iter().map(|v| v.max(0.0)).collect()).collect()
    }

    fn mix(a: f64, x: &Dense, b: f64, y: &Dense) -> Dense {
        let row = |(x, y): (&Vec<f64>, &Vec<f64>)| x.iter().zip(y).map(|(x, y)| a * x + b * y).collect();
        x.iter().zip(y).map(row).collect()
    }

    /// The star 0-1, 0-2 and node 3 alone: `Â` by hand, d̃ = 3, 2, 2, 1.
    fn star() -> Dense {
        let s = 1.0 / 6.0_f64.sqrt();
        vec![
            vec![1.0 / 3.0, s, s, 0.0],
            vec![s, 0.5, 0.0, 0.0],
            vec![s, 0.0, 0.5, 0.0],
            vec![0.0, 0.0, 0.0, 1.0],
        ]
    }

    fn inputs(beta: f64, k: usize) -> Inputs {
        let graph = Adjacency::undirected(4, &[(0, 1), (0, 2)]).unwrap();
        let features =
            SparseMatrix::new(3, vec![0, 1, 3, 4, 5], vec![0, 0, 1, 2, 1], vec![1.0, 0.5, 0.5, 1.0, 1.0]);
        Inputs {
            features: Arc::new(features.unwrap()),
            step: Arc::new(propagation(graph.view(), Normalisation::Symmetric, beta).unwrap()),
            k,
            teleport: 0.2,
        }
    }

    fn features() -> Dense {
        vec![vec![1.0, 0.0, 0.0], vec![0.5, 0.5, 0.0], vec![0.0, 0.0, 1.0], vec![0.0, 1.0, 0.0]]
    }

    fn build<M: NodeModel>() -> M {
        let config = ModelConfig { hidden: vec![5], ..ModelConfig::default() };
        M::build(&config, &NodeShape { features: 3, classes: 2 }, 7, &Device::flex()).unwrap()
    }

    fn close(got: Tensor<2>, want: &Dense) {
        for (got, want) in rows(got).iter().flatten().zip(want.iter().flatten()) {
            assert!((got - want).abs() < 1e-6, "{got} {want}");
        }
    }

    #[test]
    fn every_model_is_its_formula_in_dense_matrices() {
        let (x, s) = (features(), star());
        let weight = |layer: &Linear| rows(layer.weight.val());
        let none = &mut Dropout::none();

        let gcn: Gcn = build();
        let hidden = relu(product(&s, &product(&x, &weight(&gcn.conv1))));
        let want = product(&s, &product(&hidden, &weight(&gcn.conv2)));
        close(gcn.logits(&inputs(1.0, 1), none).unwrap(), &want);

        let sgc: Sgc = build();
        // (0.5·I + 0.5·Â) twice.
        let twice = |x: Dense| (0..2).fold(x, |x, _| mix(0.5, &x, 0.5, &product(&s, &x)));
        close(sgc.logits(&inputs(0.5, 2), none).unwrap(), &product(&twice(x.clone()), &weight(&sgc.linear)));

        let appnp: Appnp = build();
        let own = product(&relu(product(&x, &weight(&appnp.lin1))), &weight(&appnp.lin2));
        let want = (0..3).fold(own.clone(), |z, _| mix(0.8, &product(&s, &z), 0.2, &own));
        close(appnp.logits(&inputs(1.0, 3), none).unwrap(), &want);
    }

    #[test]
    fn without_strength_or_steps_the_graph_is_not_seen() {
        fn same<M: NodeModel>() {
            let model: M = build();
            let of = |beta, k| rows(model.logits(&inputs(beta, k), &mut Dropout::none()).unwrap());
            assert_eq!(of(0.0, 4), of(0.7, 0));
            assert_ne!(of(0.0, 4), of(0.7, 4));
        }
        same::<Gcn>();
        same::<Sgc>();
    }

    #[test]
    fn settings_that_a_model_lacks_are_refused() {
        let config = ModelConfig { hidden: vec![5, 5], ..ModelConfig::default() };
        let shape = NodeShape { features: 3, classes: 2 };
        let error = Gcn::build(&config, &shape, 0, &Device::flex()).unwrap_err().to_string();
        assert!(error.starts_with("model.hidden = [5, 5]"), "{error}");
        assert!(Appnp::build(&config, &shape, 0, &Device::flex()).is_err());
    }
}
