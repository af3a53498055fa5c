//! Weights as safetensors, in PyTorch's names and layout.

use std::collections::BTreeMap;
use std::path::Path;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Tensor, TensorData};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, Result};
use crate::files;

/// Where a traversal stands, and what Burn stores differently there.
#[derive(Default)]
struct Place {
    path: Vec<String>,
    containers: Vec<Container>,
}

/// What a parameter belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Container {
    Linear,
    Normalisation,
    Other,
}

impl Place {
    fn enter(&mut self, name: &str, container: &str) {
        self.path.push(name.to_owned());
        self.containers.push(match container {
            "Struct:Linear" => Container::Linear,
            "Struct:BatchNorm" | "Struct:LayerNorm" => Container::Normalisation,
            _ => Container::Other,
        });
    }

    fn exit(&mut self) {
        self.path.pop();
        self.containers.pop();
    }

    /// The container of the parameter itself.
    fn container(&self) -> Container {
        self.containers.last().copied().unwrap_or(Container::Other)
    }

    /// Burn keeps the weight of a linear layer as `[in, out]`, PyTorch as `[out, in]`.
    fn transposed(&self, rank: usize) -> bool {
        rank == 2 && self.container() == Container::Linear
    }

    /// PyTorch's name: the scale and shift of a normalisation are called weight and bias there.
    fn name(&self) -> String {
        let mut path = self.path.clone();
        if self.container() == Container::Normalisation
            && let Some(last) = path.last_mut()
        {
            match last.as_str() {
                "gamma" => *last = "weight".to_owned(),
                "beta" => *last = "bias".to_owned(),
                _ => {}
            }
        }
        path.join(".")
    }
}

#[derive(Default)]
struct Reader {
    place: Place,
    tensors: BTreeMap<String, (Vec<usize>, Vec<f32>)>,
    failed: Option<String>,
}

impl ModuleVisitor for Reader {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.place.enter(name, container_type);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.place.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let mut tensor = param.val();
        if self.place.transposed(D) {
            tensor = tensor.swap_dims(0, 1);
        }
        let shape = tensor.dims().to_vec();
        match tensor.into_data().convert::<f32>().try_into_vec::<f32>() {
            Ok(values) => {
                self.tensors.insert(self.place.name(), (shape, values));
            }
            Err(error) => self.failed = Some(format!("{error:?}")),
        }
    }
}

/// The entry of a weights file that describes a model of this recipe.
pub fn description_key(recipe: &str) -> String {
    format!("candor.{recipe}")
}

/// What a weights file says about a model of this recipe, so that the model can be used without its run.
///
/// # Errors
/// [`Error::Internal`] for a description that cannot be written as JSON.
pub fn describe(recipe: &str, description: &impl Serialize) -> Result<BTreeMap<String, String>> {
    let text = serde_json::to_string(description).map_err(|error| Error::Internal(error.to_string()))?;
    Ok([(description_key(recipe), text)].into())
}

/// Reads a description that [`describe`] wrote.
///
/// # Errors
/// [`Error::Format`] for one of another kind.
pub fn read_description<T: DeserializeOwned>(weights: &Path, description: &str) -> Result<T> {
    serde_json::from_str(description).map_err(|error| {
        Error::format(weights, format!("its description of the model cannot be read: {error}"))
    })
}

/// Reads what a weights file says about itself.
///
/// # Errors
/// [`Error::Io`], or [`Error::Format`] for a file that is no safetensors file.
pub fn read_metadata(path: &Path) -> Result<BTreeMap<String, String>> {
    let bytes = files::read(path)?;
    let (_, metadata) = SafeTensors::read_metadata(&bytes)
        .map_err(|error| Error::format(path, format!("not readable as safetensors: {error}")))?;
    Ok(metadata.metadata().clone().unwrap_or_default().into_iter().collect())
}

/// Writes the weights of a model with what describes it: single precision, names such as `layers.0.weight`, linear weights `[out, in]`.
///
/// # Errors
/// [`Error::Io`].
pub fn write_weights<M: Module>(path: &Path, model: &M, metadata: &BTreeMap<String, String>) -> Result<()> {
    let mut reader = Reader::default();
    model.visit(&mut reader);
    if let Some(problem) = reader.failed {
        return Err(Error::Internal(problem));
    }
    let bytes: Vec<(String, Vec<usize>, Vec<u8>)> = reader
        .tensors
        .into_iter()
        .map(|(name, (shape, values))| (name, shape, values.iter().flat_map(|v| v.to_le_bytes()).collect()))
        .collect();
    let views: Vec<(&str, TensorView<'_>)> = bytes
        .iter()
        .map(|(name, shape, bytes)| Ok((name.as_str(), TensorView::new(Dtype::F32, shape.clone(), bytes)?)))
        .collect::<std::result::Result<_, safetensors::SafeTensorError>>()
        .map_err(|error| Error::Internal(error.to_string()))?;
    let document = safetensors::serialize(views, Some(metadata.clone().into_iter().collect()))
        .map_err(|error| Error::Internal(error.to_string()))?;
    files::write_bytes(path, &document)
}

struct Writer<'a> {
    place: Place,
    tensors: SafeTensors<'a>,
    problem: Option<String>,
    used: usize,
}

impl ModuleMapper for Writer<'_> {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.place.enter(name, container_type);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.place.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let name = self.place.name();
        let transposed = self.place.transposed(D);
        let device = param.val().device();
        let mut shape = param.val().dims().to_vec();
        if transposed {
            shape.swap(0, 1);
        }
        let mut values: Vec<f32> = match self.tensors.tensor(&name) {
            Ok(view) if view.dtype() == Dtype::F32 && view.shape() == shape => view
                .data()
                .chunks_exact(4)
                .map(|bytes| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
                .collect(),
            Ok(view) => {
                let (dtype, found) = (view.dtype(), view.shape());
                self.problem = Some(format!("{name} is {dtype:?} {found:?}, but F32 {shape:?} is needed"));
                return param;
            }
            Err(_) => {
                self.problem = Some(format!("has no tensor {name:?}"));
                return param;
            }
        };
        self.used += 1;
        if transposed && let [rows, columns] = shape[..] {
            // In the layout of the model that was trained: the bits of a product may depend on it.
            let places = (0..columns).flat_map(|column| (0..rows).map(move |row| row * columns + column));
            values = places.map(|place| values[place]).collect();
            shape.swap(0, 1);
        }
        let tensor = Tensor::<D>::from_data(TensorData::new(values, shape), &device);
        param.map(|_| tensor)
    }
}

/// Puts the weights of a file into a model of the same shape.
///
/// # Errors
/// [`Error::Io`], or [`Error::Format`] naming the tensor that is missing, superfluous or of another shape.
pub fn read_weights<M: Module>(path: &Path, model: M) -> Result<M> {
    let bytes = files::read(path)?;
    let tensors = SafeTensors::deserialize(&bytes)
        .map_err(|error| Error::format(path, format!("not readable as safetensors: {error}")))?;
    let n = tensors.len();
    let mut writer = Writer { place: Place::default(), tensors, problem: None, used: 0 };
    let model = model.map(&mut writer);
    match writer.problem {
        Some(problem) => Err(Error::format(path, problem)),
        None if writer.used != n => {
            let problem = format!("has {n} tensors, but the model has {}", writer.used);
            Err(Error::format(path, problem))
        }
        None => Ok(model),
    }
}
