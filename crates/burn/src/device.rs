//! The devices that a build has, by name: the CPU, and those of the features `wgpu` and `cuda`.

use burn::tensor::Device;

use crate::error::{Error, Result};

/// The names beside the CPU's, which are those of the cargo features that bring them.
const FEATURES: [&str; 2] = ["wgpu", "cuda"];

/// The device of a name: `cpu`, `wgpu`, `cuda`, the last two with `:n` for the n-th one, from 0.
///
/// For programs that let their user choose. `wgpu` is any graphics adapter that Vulkan, Metal, DirectX or OpenGL reach,
/// those that are GPUs first and software ones last. Results repeat bit for bit on the CPU only: elsewhere the order of
/// sums is the device's.
///
/// # Errors
/// [`Error::UnknownDevice`] for another name or a number that is none, [`Error::MissingFeature`] for a device that this
/// build was made without, [`Error::NoDevice`] if the machine does not have it.
///
/// # Examples
/// ```
/// let device = candor_burn::device("cpu")?;
/// assert_eq!(device, burn::tensor::Device::flex());
/// assert!(candor_burn::device("tpu").unwrap_err().to_string().contains("cpu, wgpu or cuda"));
/// # Ok::<(), candor_burn::Error>(())
/// ```
pub fn device(name: &str) -> Result<Device> {
    let Some((feature, index)) = parse(name)? else { return Ok(Device::flex()) };
    let found = present(feature).ok_or(Error::MissingFeature { feature })?;
    let count = found.len();
    let missing = || Error::NoDevice { name: name.to_owned(), kind: feature, count };
    found.into_iter().nth(index).ok_or_else(missing)
}

/// Checks the form of a device's name, for a setting that another build or machine may be meant to use.
///
/// # Errors
/// [`Error::UnknownDevice`].
///
/// # Examples
/// ```
/// assert!(candor_burn::check_device_name("cuda:1").is_ok());
/// assert!(candor_burn::check_device_name("cuda:one").is_err());
/// ```
pub fn check_device_name(name: &str) -> Result<()> {
    parse(name).map(|_| ())
}

/// The feature and the number that a name asks for; `None` for the CPU.
fn parse(name: &str) -> Result<Option<(&'static str, usize)>> {
    let unknown = || Error::UnknownDevice { name: name.to_owned() };
    if name == "cpu" {
        return Ok(None);
    }
    let (kind, index) = match name.split_once(':') {
        Some((kind, index)) => (kind, index.parse().map_err(|_| unknown())?),
        None => (name, 0),
    };
    let feature = FEATURES.iter().find(|known| **known == kind).ok_or_else(unknown)?;
    Ok(Some((feature, index)))
}

/// The devices of a kind on this machine; `None` for a kind that the build lacks.
fn present(kind: &str) -> Option<Vec<Device>> {
    match kind {
        #[cfg(feature = "wgpu")]
        "wgpu" => Some(adapters()),
        #[cfg(feature = "cuda")]
        "cuda" => Some(Device::enumerate(burn::tensor::DeviceType::Cuda).into_vec()),
        _ => None,
    }
}

/// The graphics adapters, GPUs first.
#[cfg(feature = "wgpu")]
fn adapters() -> Vec<Device> {
    use burn::backend::{CubeDevice, DispatchDevice, WgpuDeviceKind};
    let mut found = Device::enumerate(burn::tensor::DeviceType::Wgpu).into_vec();
    found.sort_by_key(|device| match device.as_dispatch() {
        DispatchDevice::Cube(CubeDevice::Wgpu(adapter)) => match adapter.kind {
            WgpuDeviceKind::DiscreteGpu(_) => 0,
            WgpuDeviceKind::IntegratedGpu(_) => 1,
            WgpuDeviceKind::Cpu => 3,
            _ => 2,
        },
        _ => 4,
    });
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked_before_the_machine_is_asked() {
        for name in
            ["", "gpu", "CPU", "cpu:0", "wgpu:", "wgpu:-1", "wgpu:x", "cuda:1:2", "cuda:99999999999999999999"]
        {
            assert_eq!(device(name).unwrap_err(), Error::UnknownDevice { name: name.to_owned() }, "{name}");
            assert!(check_device_name(name).is_err(), "{name}");
        }
        assert_eq!(device("cpu").unwrap(), Device::flex());
    }

    #[test]
    fn a_device_that_is_not_there_says_what_is_missing() {
        for (name, kind, built) in
            [("wgpu:9999", "wgpu", cfg!(feature = "wgpu")), ("cuda:9999", "cuda", cfg!(feature = "cuda"))]
        {
            match device(name).unwrap_err() {
                Error::MissingFeature { feature } => assert!(!built && feature == kind, "{name} {feature}"),
                Error::NoDevice { name: asked, .. } => assert!(built && asked == name, "{name} {asked}"),
                error => panic!("{name}: {error}"),
            }
        }
    }
}
