//! What the loop itself measures when asked to: gradients, steps and weights of all parameters together.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

/// Sums over the steps of a training; part of a checkpoint.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Watch {
    /// `Σ g²` over all steps and parameters: the sum of Adagrad's accumulators (without weight decay and clipping).
    accumulator: f64,
    /// Sum of the norms of the steps of the running epoch.
    steps: f64,
    /// Number of them.
    n: f64,
}

impl Watch {
    /// Adds the gradients of a step.
    pub(super) fn gradients<M: Module>(&mut self, model: &M, gradients: &GradientsParams) {
        let mut visitor = Squares { gradients: Some(gradients), before: None, sum: 0.0, index: 0 };
        model.visit(&mut visitor);
        self.accumulator += visitor.sum;
    }

    /// Adds the step that led from `before` to `model`.
    pub(super) fn step<M: Module>(&mut self, before: &[Vec<f32>], model: &M) {
        let mut visitor = Squares { gradients: None, before: Some(before), sum: 0.0, index: 0 };
        model.visit(&mut visitor);
        self.steps += visitor.sum.sqrt();
        self.n += 1.0;
    }

    /// The figures of an epoch; the sums of the next one begin.
    pub(super) fn end_epoch<M: Module>(&mut self, model: &M) -> BTreeMap<String, f64> {
        let mut visitor = Squares { gradients: None, before: None, sum: 0.0, index: 0 };
        model.visit(&mut visitor);
        let step = self.steps / self.n.max(1.0);
        (self.steps, self.n) = (0.0, 0.0);
        [
            ("optimizer/accumulator", self.accumulator),
            ("optimizer/step_norm", step),
            ("weights/norm", visitor.sum.sqrt()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }
}

/// The weights of a model in host memory, parameter by parameter.
pub(super) fn weights<M: Module>(model: &M) -> Vec<Vec<f32>> {
    struct Values(Vec<Vec<f32>>);
    impl ModuleVisitor for Values {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.0.push(host(param.val()));
        }
    }
    let mut values = Values(Vec::new());
    model.visit(&mut values);
    values.0
}

/// Sums squares in double precision and in order: of gradients, of differences to earlier weights, or of weights.
struct Squares<'a> {
    gradients: Option<&'a GradientsParams>,
    before: Option<&'a [Vec<f32>]>,
    sum: f64,
    index: usize,
}

impl ModuleVisitor for Squares<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let values = match self.gradients {
            Some(gradients) => match gradients.get::<D>(param.id) {
                Some(gradient) => host(gradient),
                // Running statistics have no gradient.
                None => return,
            },
            None => host(param.val()),
        };
        let before = self.before.and_then(|before| before.get(self.index));
        self.index += 1;
        self.sum += match before {
            Some(before) => {
                values.iter().zip(before).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum::<f64>()
            }
            None => values.iter().map(|value| f64::from(*value).powi(2)).sum(),
        };
    }
}

fn host<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    // Parameters are single precision in memory, which can always be read.
    tensor.into_data().convert::<f32>().try_into_vec::<f32>().unwrap_or_default()
}
