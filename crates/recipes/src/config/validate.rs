//! What is checked of a configuration before any data is read.

use std::collections::BTreeMap;

use super::{Config, HeldOut, Layers, TrainSize, keys};
use crate::error::{Error, Result};

/// Largest number of epochs, rows of a batch and units of a layer that is accepted: beyond it, a typing error.
const LARGEST: usize = 1 << 24;

impl Config {
    /// Checks everything that can be checked without the data.
    ///
    /// # Errors
    /// [`Error::Config`] naming the key, the value and what is accepted; the core's errors for strengths.
    pub fn validate(&self) -> Result<()> {
        let count = |key: &str, value: usize, min: usize| {
            if (min..=LARGEST).contains(&value) {
                Ok(())
            } else {
                Err(Error::config(key, value, format!("must be between {min} and {LARGEST}")))
            }
        };
        let number = |key: &str, value: f64, min: f64, max: f64| {
            if value >= min && value <= max {
                Ok(())
            } else {
                Err(Error::config(key, value, format!("must be between {min} and {max}")))
            }
        };
        let optional = |key: &str, value: Option<f64>, min: f64, max: f64| {
            value.map_or(Ok(()), |value| number(key, value, min, max))
        };
        count("training.epochs", self.training.epochs, 1)?;
        count("training.batch_size", self.training.batch_size, 1)?;
        count("training.patience", self.training.patience, 0)?;
        count("lr_schedule.step_epochs", self.lr_schedule.step_epochs, 1)?;
        for width in &self.model.hidden {
            count("model.hidden", *width, 1)?;
        }
        for (key, size) in [
            ("model.depth", self.model.depth),
            ("model.heads", self.model.heads),
            ("model.patch", self.model.patch),
        ] {
            count(key, size.unwrap_or(1), 1)?;
        }
        optional("model.dropout", self.model.dropout, 0.0, 1.0 - 1e-6)?;
        optional("model.beta", self.model.beta, 0.0, 1.0)?;
        optional("model.teleport", self.model.teleport, f64::MIN_POSITIVE, 1.0)?;
        if let Some(k) = self.model.k {
            count("model.k", k, 0)?;
        }
        let optimizer = &self.optimizer;
        number("optimizer.lr", optimizer.lr, f64::MIN_POSITIVE, 1e6)?;
        optional("optimizer.weight_decay", optimizer.weight_decay, 0.0, 1e6)?;
        optional("optimizer.momentum", optimizer.momentum, 0.0, 1.0)?;
        optional("optimizer.beta1", optimizer.beta1, 0.0, 1.0 - 1e-9)?;
        optional("optimizer.beta2", optimizer.beta2, 0.0, 1.0 - 1e-9)?;
        optional("optimizer.epsilon", optimizer.epsilon, 0.0, 1.0)?;
        optional("optimizer.clip_norm", optimizer.clip_norm, f64::MIN_POSITIVE, 1e12)?;
        number("lr_schedule.final_factor", self.lr_schedule.final_factor, 0.0, 1.0)?;
        number("lr_schedule.gamma", self.lr_schedule.gamma, f64::MIN_POSITIVE, 1.0)?;
        self.make_loss()?;
        count("semi.labels", self.semi.labels, 1)?;
        count("semi.rounds", self.semi.rounds, 0)?;
        number("semi.pseudo_weight", self.semi.pseudo_weight, 0.0, 1e6)?;
        number("semi.pseudo_smoothing", self.semi.pseudo_smoothing, 0.0, 1.0)?;
        number("semi.pseudo_gamma", self.semi.pseudo_gamma, 0.0, 100.0)?;
        number("semi.pseudo_temperature", self.semi.pseudo_temperature, 1e-3, 1.0)?;
        number("semi.threshold", self.semi.threshold, 0.0, 1.0)?;
        count("stability.flips", self.stability.flips, 1)?;
        count("stability.neighbours", self.stability.neighbours, 1)?;
        number("stability.lambda", self.stability.lambda, 1e-9, 1e9)?;
        number("stability.bandwidth", self.stability.bandwidth, f64::MIN_POSITIVE, 1e9)?;
        // The largest legal strength depends on the number of classes; this is the range of all of them.
        if !(0.0..=1.0).contains(&self.loss.smoothing) {
            return Err(Error::config("loss.smoothing", self.loss.smoothing, "must be between 0 and 1"));
        }
        HeldOut::parse("data.validation", &self.data.validation)?;
        HeldOut::parse("data.test", &self.data.test)?;
        TrainSize::parse("data.train_size", &self.data.train_size)?;
        crate::training::check_names(self)?;
        // Whether it is there is asked when it is used: a run may be read elsewhere than where it was made.
        self.device_named(candor_burn::check_device_name)?;
        self.check_owners()
    }

    /// That nothing was set which this recipe does not read.
    fn check_owners(&self) -> Result<()> {
        let pairs = |config: &Self| config.pairs().into_iter().collect::<BTreeMap<String, String>>();
        let usual = pairs(&Layers::recipe(&self.recipe)?.unchecked()?);
        for (path, value) in pairs(self) {
            let recipes = keys::find(&path).map_or(&[][..], |key| key.recipes());
            if recipes.is_empty()
                || recipes.contains(&self.recipe.as_str())
                || usual.get(&path) == Some(&value)
            {
                continue;
            }
            let problem =
                format!("is a setting of {}, which {} does not read", recipes.join(" and "), self.recipe);
            return Err(Error::config(&path, value, problem));
        }
        Ok(())
    }
}
