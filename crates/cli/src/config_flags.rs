//! Flags made from the table of configuration keys: one a key, its name in kebab-case.

use std::path::PathBuf;

use candor_recipes::config::{Layers, keys};
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};

/// The settings of one training.
#[derive(Debug, Clone, Default)]
pub struct TrainFlags {
    config: Option<PathBuf>,
    /// (key, text) in the order of the table.
    flags: Vec<(&'static str, String)>,
    /// `key=value` of `--set`.
    set: Vec<(String, String)>,
}

/// The settings of a comparison, where most keys take a list.
#[derive(Debug, Clone, Default)]
pub struct CompareFlags(TrainFlags);

fn augment(command: Command, lists: bool) -> Command {
    let heading = "Settings";
    let mut command = command.arg(
        Arg::new("config")
            .long("config")
            .value_name("FILE")
            .value_parser(clap::value_parser!(PathBuf))
            .help("Configuration file (TOML); flags override it")
            .help_heading(heading),
    );
    for key in keys::ALL {
        let list = lists && key.axis;
        let kind = match key.kind {
            keys::Kind::Text => "NAME",
            keys::Kind::Integer | keys::Kind::Integers => "N",
            keys::Kind::Float => "X",
            keys::Kind::Bool => "BOOL",
        };
        let value_name = if list { format!("{kind},…") } else { kind.to_owned() };
        let flag = Arg::new(key.path)
            .long(key.flag())
            .value_name(value_name)
            .allow_hyphen_values(true)
            .help(key.help)
            .help_heading(heading);
        // A switch alone turns it on.
        command = command.arg(if key.kind == keys::Kind::Bool {
            flag.num_args(0..=1).default_missing_value("true").allow_hyphen_values(false)
        } else {
            flag
        });
    }
    command.arg(
        Arg::new("set")
            .long("set")
            .value_name("KEY=VALUE")
            .action(ArgAction::Append)
            .help("Any configuration key (candor list config), over all flags")
            .help_heading(heading),
    )
}

fn from_matches(matches: &ArgMatches) -> Result<TrainFlags, clap::Error> {
    let flags = keys::ALL
        .iter()
        .filter_map(|key| matches.get_one::<String>(key.path).map(|text| (key.path, text.clone())))
        .collect();
    let mut set = Vec::new();
    for text in matches.get_many::<String>("set").unwrap_or_default() {
        match text.split_once('=') {
            Some((key, value)) => set.push((key.trim().to_owned(), value.trim().to_owned())),
            None => {
                let message = format!("--set {text}: must be KEY=VALUE, such as training.epochs=10\n");
                return Err(clap::Error::raw(clap::error::ErrorKind::ValueValidation, message));
            }
        }
    }
    Ok(TrainFlags { config: matches.get_one::<PathBuf>("config").cloned(), flags, set })
}

macro_rules! impl_args {
    ($type:ty, $lists:literal, $wrap:expr) => {
        impl FromArgMatches for $type {
            fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
                from_matches(matches).map($wrap)
            }

            fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
                *self = Self::from_arg_matches(matches)?;
                Ok(())
            }
        }

        impl Args for $type {
            fn augment_args(command: Command) -> Command {
                augment(command, $lists)
            }

            fn augment_args_for_update(command: Command) -> Command {
                augment(command, $lists)
            }
        }
    };
}

impl_args!(TrainFlags, false, |flags| flags);
impl_args!(CompareFlags, true, CompareFlags);

impl TrainFlags {
    /// File, flags and `--set`, in this order.
    ///
    /// # Errors
    /// Unknown keys, values of the wrong kind, a file that cannot be read.
    pub fn layers(&self, recipe: &str) -> candor_recipes::Result<Layers> {
        let mut layers = Layers::default();
        if let Some(path) = &self.config {
            layers.file(path)?;
        }
        layers.set("recipe", recipe)?;
        for (key, text) in &self.flags {
            layers.set(key, text)?;
        }
        for (key, text) in &self.set {
            layers.set(key, text)?;
        }
        Ok(layers)
    }

    /// Whether any setting was given.
    pub fn is_empty(&self) -> bool {
        self.config.is_none() && self.flags.is_empty() && self.set.is_empty()
    }
}

impl CompareFlags {
    /// The layers without lists, and the axes: every key that was given a list.
    ///
    /// # Errors
    /// As [`TrainFlags::layers`].
    pub fn layers(
        &self,
        recipe: &str,
    ) -> candor_recipes::Result<(Layers, Vec<candor_recipes::comparison::Axis>)> {
        let mut single = self.0.clone();
        let mut axes = Vec::new();
        let mut take = |key: &str, text: &str| {
            let is_axis = keys::find(key).is_some_and(|key| key.axis);
            let is_list = is_axis && text.contains(',');
            if is_list {
                let values =
                    text.split(',').map(str::trim).filter(|value| !value.is_empty()).map(str::to_owned);
                axes.push(candor_recipes::comparison::Axis { key: key.to_owned(), values: values.collect() });
            }
            !is_list
        };
        single.flags.retain(|(key, text)| take(key, text));
        single.set.retain(|(key, text)| take(key, text));
        Ok((single.layers(recipe)?, axes))
    }
}
