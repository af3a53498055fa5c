//! Puts the layers of a configuration on top of each other: file, flags, `--set`.

use std::path::Path;

use candor::parameters::Parameter;

use super::Config;
use super::keys::{self, Key, Kind};
use crate::error::{Error, Result};
use crate::files;

/// A configuration in the making: values given so far, over the defaults.
#[derive(Debug, Clone, Default)]
pub struct Layers {
    table: toml::Table,
}

impl Layers {
    /// The defaults of a recipe.
    ///
    /// # Errors
    /// Those of [`set`](Self::set).
    pub fn recipe(name: &str) -> Result<Self> {
        let mut layers = Self::default();
        layers.set("recipe", name)?;
        Ok(layers)
    }

    /// Adds the values of a TOML file.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Toml`], [`Error::UnknownKey`].
    pub fn file(&mut self, path: &Path) -> Result<()> {
        let text = String::from_utf8(files::read(path)?)
            .map_err(|error| Error::Toml { path: path.to_owned(), problem: error.to_string() })?;
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| Error::Toml {
            path: path.to_owned(),
            problem: error.to_string(),
        })?;
        for (section, value) in table {
            match value {
                toml::Value::Table(inner) => {
                    for (name, value) in inner {
                        self.insert(&format!("{section}.{name}"), value)?;
                    }
                }
                value => self.insert(&section, value)?,
            }
        }
        Ok(())
    }

    /// Sets a key from text, as `--set` and the flags do.
    ///
    /// # Errors
    /// [`Error::UnknownKey`] with the nearest key, [`Error::Config`] if the text is not of the key's kind.
    pub fn set(&mut self, path: &str, text: &str) -> Result<()> {
        let value = match keys::find(path) {
            Some(key) => parse(key, text)?,
            None if path == "recipe" => toml::Value::String(text.to_owned()),
            // Parameters of a chosen method are checked against its own declaration.
            None if is_parameter(path) => guess(text),
            None => return Err(unknown(path)),
        };
        self.insert(path, value)
    }

    fn insert(&mut self, path: &str, value: toml::Value) -> Result<()> {
        if keys::find(path).is_none() && path != "recipe" && !is_parameter(path) {
            return Err(unknown(path));
        }
        match path.split_once('.') {
            Some((section, name)) => {
                let entry =
                    self.table.entry(section).or_insert_with(|| toml::Value::Table(toml::Table::new()));
                match entry {
                    toml::Value::Table(inner) => {
                        inner.insert(name.to_owned(), value);
                    }
                    _ => return Err(unknown(path)),
                }
            }
            None => {
                self.table.insert(path.to_owned(), value);
            }
        }
        Ok(())
    }

    /// The configuration, checked.
    ///
    /// # Errors
    /// [`Error::Config`] for values that cannot be used.
    pub fn build(self) -> Result<Config> {
        let config = self.unchecked()?;
        config.validate()?;
        Ok(config)
    }

    /// The configuration before its values are checked against each other.
    ///
    /// # Errors
    /// [`Error::Config`] for values of the wrong kind.
    pub fn unchecked(self) -> Result<Config> {
        let named = self.has("loss.name");
        let mut whole = self.presets()?;
        for (section, value) in self.table {
            match (whole.table.get_mut(&section), value) {
                (Some(toml::Value::Table(under)), toml::Value::Table(over)) => under.extend(over),
                (_, value) => {
                    whole.table.insert(section, value);
                }
            }
        }
        let mut config = Config::deserialize_from(whole.table)?;
        // A teacher asks for its loss, unless another one was named.
        if !config.distillation.teacher.is_empty() && !named {
            config.loss.name = super::DISTILLATION.to_owned();
        }
        Ok(config)
    }

    /// The recipe's own defaults; an unknown recipe has none and is refused later.
    fn presets(&self) -> Result<Self> {
        let mut presets = Self::default();
        let name = self.table.get("recipe").and_then(toml::Value::as_str);
        let recipe = crate::recipe::by_name(name.unwrap_or(&Config::default().recipe));
        for (key, text) in recipe.map_or(&[][..], |recipe| recipe.info().preset) {
            presets.set(key, text)?;
        }
        Ok(presets)
    }

    /// Whether a key was given.
    pub fn has(&self, path: &str) -> bool {
        match path.split_once('.') {
            Some((section, name)) => self
                .table
                .get(section)
                .and_then(toml::Value::as_table)
                .is_some_and(|inner| inner.contains_key(name)),
            None => self.table.contains_key(path),
        }
    }
}

impl Config {
    fn deserialize_from(table: toml::Table) -> Result<Self> {
        table.try_into().map_err(|error: toml::de::Error| {
            let message = error.message().to_owned();
            Error::config("configuration", "a value", message)
        })
    }
}

/// Whether a path is a parameter that some loss, target rule or schedule declares; the chosen one checks it.
fn is_parameter(path: &str) -> bool {
    let Some((section, name)) = path.split_once('.') else { return false };
    let declares = |parameters: &[Parameter]| parameters.iter().any(|parameter| parameter.name == name);
    match section {
        "loss" => candor::losses::ALL.iter().any(|entry| declares(entry.info.parameters)),
        "target" => candor::targets::ALL.iter().any(|entry| declares(entry.info.parameters)),
        "schedule" => candor::schedules::ALL.iter().any(|entry| declares(entry.info.parameters)),
        _ => false,
    }
}

fn unknown(path: &str) -> Error {
    let nearest = keys::ALL
        .iter()
        .map(|key| key.path)
        .max_by(|a, b| strsim::jaro_winkler(a, path).total_cmp(&strsim::jaro_winkler(b, path)))
        .unwrap_or_default();
    Error::UnknownKey { key: path.to_owned(), nearest: nearest.to_owned() }
}

/// Reads text as the key's kind.
fn parse(key: &Key, text: &str) -> Result<toml::Value> {
    let problem = |accepted: &str| Error::config(key.path, text, format!("must be {accepted}"));
    Ok(match key.kind {
        Kind::Text => toml::Value::String(text.to_owned()),
        Kind::Integer => toml::Value::Integer(
            text.trim()
                .parse::<i64>()
                .ok()
                .filter(|n| *n >= 0)
                .ok_or_else(|| problem("a whole number from 0"))?,
        ),
        Kind::Float => toml::Value::Float(text.trim().parse().map_err(|_| problem("a number"))?),
        Kind::Bool => toml::Value::Boolean(text.trim().parse().map_err(|_| problem("true or false"))?),
        Kind::Integers => toml::Value::Array(
            text.split(',')
                .filter(|part| !part.trim().is_empty())
                .map(|part| part.trim().parse::<i64>().ok().filter(|n| *n >= 0).map(toml::Value::Integer))
                .collect::<Option<Vec<_>>>()
                .ok_or_else(|| problem("whole numbers separated by commas"))?,
        ),
    })
}

/// A number if it reads as one, else a word.
fn guess(text: &str) -> toml::Value {
    match text.trim().parse::<f64>() {
        Ok(number) => toml::Value::Float(number),
        Err(_) => toml::Value::String(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_layers_win_and_the_result_reads_back_as_itself() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.toml");
        std::fs::write(&path, "seed = 3\n[training]\nepochs = 7\nbatch_size = 32\n").unwrap();
        let mut layers = Layers::default();
        layers.file(&path).unwrap();
        layers.set("training.epochs", "9").unwrap();
        layers.set("model.hidden", "32, 16").unwrap();
        let config = layers.build().unwrap();
        assert_eq!((config.seed, config.training.epochs, config.training.batch_size), (3, 9, 32));
        assert_eq!(config.model.hidden, [32, 16]);
        std::fs::write(&path, config.to_toml().unwrap()).unwrap();
        let mut again = Layers::default();
        again.file(&path).unwrap();
        assert_eq!(again.build().unwrap(), config);
    }

    #[test]
    fn an_unknown_key_names_the_nearest() {
        let error = Layers::default().set("training.epoch", "3").unwrap_err();
        assert_eq!(
            error.to_string(),
            "there is no key \"training.epoch\"; did you mean \"training.epochs\"? `candor list config` shows all keys"
        );
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.toml");
        std::fs::write(&path, "[model]\nwidth = 3\n").unwrap();
        assert!(matches!(Layers::default().file(&path), Err(Error::UnknownKey { .. })));
        std::fs::write(&path, "[model\n").unwrap();
        assert!(matches!(Layers::default().file(&path), Err(Error::Toml { .. })));
    }

    #[test]
    fn values_out_of_range_name_key_and_range() {
        for (key, value) in [
            ("loss.smoothing", "1.5"),
            ("loss.smoothing", "-0.1"),
            ("loss.smoothing", "nan"),
            ("training.epochs", "0"),
            ("training.batch_size", "0"),
            ("optimizer.lr", "0"),
            ("optimizer.lr", "inf"),
            ("model.hidden", "0"),
            ("model.name", "transfomer"),
            ("optimizer.name", "adm"),
            ("lr_schedule.name", "cos"),
            ("data.validation", "-3"),
            ("loss.name", "crossentropy"),
        ] {
            let mut layers = Layers::default();
            layers.set(key, value).unwrap();
            let error = layers.build().expect_err(key).to_string();
            assert!(error.contains(key) || error.contains(value), "{error}");
        }
        for (key, value) in
            [("seed", "-1"), ("training.epochs", "ten"), ("optimizer.lr", "fast"), ("model.hidden", "a")]
        {
            assert!(matches!(Layers::default().set(key, value), Err(Error::Config { .. })), "{key}");
        }
    }
}
