//! Optimisers and learning-rate schedules of Burn, with PyTorch's defaults set explicitly.

mod adam;

use burn::grad_clipping::GradientClippingConfig;
use burn::lr_scheduler::cosine::CosineAnnealingLrSchedulerConfig;
use burn::lr_scheduler::exponential::ExponentialLrSchedulerConfig;
use burn::lr_scheduler::linear::LinearLrSchedulerConfig;
use burn::lr_scheduler::module_lr_scheduler::ModuleLrScheduler;
use burn::lr_scheduler::step::StepLrSchedulerConfig;
use burn::optim::decay::{WeightDecay, WeightDecayConfig};
use burn::optim::momentum::MomentumConfig;
use burn::optim::{AdaGradConfig, AdamWConfig, ModuleOptimizer, RmsPropConfig, SgdConfig};

use crate::config::{Config, OptimizerConfig};
use crate::error::{Error, Result};

/// The optimisers' names.
const NAMES: [&str; 5] = ["adam", "adamw", "sgd", "adagrad", "rmsprop"];
/// The schedules' names.
const SCHEDULES: [&str; 5] = ["constant", "linear", "cosine", "exponential", "step"];

/// The optimiser of a configuration.
///
/// # Errors
/// An unknown name, or a setting that this optimiser does not have.
pub(super) fn build(config: &OptimizerConfig) -> Result<ModuleOptimizer> {
    let name = config.name.as_str();
    if !NAMES.contains(&name) {
        return Err(Error::Core(candor::registry::unknown("optimizer", name, NAMES)));
    }
    let adam = matches!(name, "adam" | "adamw");
    let refuse = |key: &str, given: Option<f64>, has: bool| match given {
        Some(value) if !has => Err(Error::config(
            &format!("optimizer.{key}"),
            value,
            format!("{name} has no such setting; leave it out"),
        )),
        _ => Ok(()),
    };
    refuse("beta1", config.beta1, adam)?;
    refuse("beta2", config.beta2, adam)?;
    refuse("momentum", config.momentum, matches!(name, "sgd" | "rmsprop"))?;
    refuse("epsilon", config.epsilon, name != "sgd")?;
    refuse("nesterov", config.nesterov.then_some(1.0), name == "sgd")?;
    let momentum = config.momentum.unwrap_or(0.0);
    if config.nesterov && momentum == 0.0 {
        return Err(Error::config("optimizer.nesterov", true, "needs a momentum above 0"));
    }
    let decay = config.weight_decay.filter(|decay| *decay > 0.0);
    let decay_config = decay.map(|decay| WeightDecayConfig::new(decay as f32));
    let beta1 = config.beta1.unwrap_or(0.9) as f32;
    let beta2 = config.beta2.unwrap_or(0.999) as f32;
    let epsilon = |default: f64| config.epsilon.unwrap_or(default) as f32;
    let clip = config.clip_norm.map(|norm| GradientClippingConfig::Norm(norm as f32));
    Ok(match name {
        "adam" => {
            let decay = decay_config.as_ref().map(WeightDecay::new);
            let optimizer = ModuleOptimizer::from(adam::Adam { beta1, beta2, epsilon: epsilon(1e-8), decay });
            match clip {
                Some(clip) => optimizer.with_grad_clipping(clip.init()),
                None => optimizer,
            }
        }
        "adamw" => AdamWConfig::new()
            .with_beta_1(beta1)
            .with_beta_2(beta2)
            .with_epsilon(epsilon(1e-8))
            .with_weight_decay(config.weight_decay.unwrap_or(1e-2) as f32)
            .with_grad_clipping(clip)
            .init(),
        "adagrad" => AdaGradConfig::new()
            .with_epsilon(epsilon(1e-10))
            .with_weight_decay(decay_config)
            .with_grad_clipping(clip)
            .init(),
        "rmsprop" => RmsPropConfig::new()
            .with_alpha(0.99)
            .with_momentum(momentum as f32)
            .with_epsilon(epsilon(1e-8))
            .with_weight_decay(decay_config)
            .with_grad_clipping(clip)
            .init(),
        _ => {
            let momentum = (momentum > 0.0).then(|| {
                MomentumConfig::new()
                    .with_momentum(momentum)
                    .with_dampening(0.0)
                    .with_nesterov(config.nesterov)
            });
            SgdConfig::new()
                .with_weight_decay(decay_config)
                .with_momentum(momentum)
                .with_gradient_clipping(clip)
                .init()
        }
    })
}

/// A learning rate for each step.
pub(super) enum LearningRates {
    Constant(f64),
    Scheduled(ModuleLrScheduler),
}

impl LearningRates {
    /// The rate of the next step.
    pub(super) fn step(&mut self) -> f64 {
        match self {
            LearningRates::Constant(rate) => *rate,
            LearningRates::Scheduled(scheduler) => scheduler.step().base(),
        }
    }
}

/// The learning rates of a training of `total_steps` steps.
///
/// # Errors
/// An unknown name, or settings that the schedule refuses.
pub(super) fn learning_rates(config: &Config, total_steps: u64) -> Result<LearningRates> {
    let schedule = &config.lr_schedule;
    let rate = config.optimizer.lr;
    let steps = usize::try_from(total_steps).unwrap_or(usize::MAX).max(1);
    let epochs = config.training.epochs.max(1);
    let steps_per_epoch = steps.div_ceil(epochs);
    let last = rate * schedule.final_factor;
    let refused = |problem: String| Error::config("lr_schedule", &schedule.name, problem);
    let scheduler = match schedule.name.as_str() {
        "constant" => return Ok(LearningRates::Constant(rate)),
        "linear" => LinearLrSchedulerConfig::new(rate, last, steps).init().map_err(refused)?,
        "cosine" => {
            CosineAnnealingLrSchedulerConfig::new(rate, steps).with_min_lr(last).init().map_err(refused)?
        }
        "exponential" => {
            let per_step = schedule.gamma.powf(1.0 / steps_per_epoch as f64);
            ExponentialLrSchedulerConfig::new(rate, per_step).init().map_err(refused)?
        }
        "step" => {
            let step_size = steps_per_epoch * schedule.step_epochs;
            StepLrSchedulerConfig::new(rate, step_size).with_gamma(schedule.gamma).init().map_err(refused)?
        }
        name => return Err(Error::Core(candor::registry::unknown("lr-schedule", name, SCHEDULES))),
    };
    Ok(LearningRates::Scheduled(scheduler))
}

#[cfg(test)]
mod tests;
