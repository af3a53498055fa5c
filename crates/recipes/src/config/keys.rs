//! Every configuration key with its help: the source of the program's flags and of `candor list config`.

/// What a key holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A word or a path.
    Text,
    /// A whole number.
    Integer,
    /// A number.
    Float,
    /// true or false.
    Bool,
    /// Whole numbers separated by commas.
    Integers,
}

/// One key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Key {
    /// Dotted path in the configuration; the last part in kebab-case is the flag.
    pub path: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// One line of help.
    pub help: &'static str,
    /// Whether `compare` takes a list of values as an axis of its grid.
    pub axis: bool,
}

impl Key {
    /// The flag's name, without dashes.
    pub fn flag(&self) -> String {
        let last = match self.path {
            "data.path" => "data",
            "model.name" => "model",
            "loss.name" => "loss",
            "optimizer.name" => "optimizer",
            "target.name" => "target",
            "schedule.name" => "schedule",
            "lr_schedule.name" => "lr-schedule",
            "distillation.temperature" => "distillation-temperature",
            "distillation.weight" => "distillation-weight",
            "lr_schedule.final_factor" => "lr-final-factor",
            "lr_schedule.gamma" => "lr-gamma",
            "lr_schedule.step_epochs" => "lr-step-epochs",
            path => path.rsplit('.').next().unwrap_or(path),
        };
        last.replace('_', "-")
    }
}

const fn key(path: &'static str, kind: Kind, axis: bool, help: &'static str) -> Key {
    Key { path, kind, help, axis }
}

/// Every key but `recipe`, which is the command's own argument.
pub const ALL: &[Key] = &[
    key("seed", Kind::Integer, false, "Seed of initial weights and shuffles"),
    key(
        "device",
        Kind::Text,
        false,
        "Where nets run: cpu, or wgpu[:n] or cuda[:n] in a build with that feature",
    ),
    key(
        "data.path",
        Kind::Text,
        false,
        "Embedded set (digits), or a folder of IDX or CIFAR files or of pictures",
    ),
    key(
        "data.validation",
        Kind::Text,
        false,
        "Validation rows cut from the training part: COUNT, FRACTION, last:COUNT or none",
    ),
    key(
        "data.test",
        Kind::Text,
        false,
        "Test rows of a set without a test part: COUNT, FRACTION or last:COUNT",
    ),
    key("data.train_size", Kind::Text, false, "Training rows used: all, COUNT, FRACTION or first:COUNT"),
    key("data.split_seed", Kind::Integer, false, "Seed of the split, independent of --seed"),
    key(
        "data.augment",
        Kind::Text,
        false,
        "Random views of the training images: none, or flip, crop:N, cutout:N with commas",
    ),
    key("data.mix", Kind::Text, true, "Mix pairs of training images and labels: none, mixup:A or cutmix:A"),
    key(
        "data.noise",
        Kind::Text,
        true,
        "Wrong training labels on purpose: none, symmetric:P, pairwise:P or matrix:FILE",
    ),
    key(
        "data.noise_parts",
        Kind::Text,
        false,
        "Rows that the noise reaches: train, validation (training rows too) or all",
    ),
    key(
        "data.label_file",
        Kind::Text,
        false,
        "Labels of the training rows (.npy, .csv): class indices, votes or probabilities",
    ),
    key("data.target_column", Kind::Text, false, "Column of a table that is predicted"),
    key(
        "data.positive",
        Kind::Text,
        false,
        "Class whose probability is a row's score; the last in order if empty",
    ),
    key("data.group_column", Kind::Text, false, "Column of a table with the groups that are compared"),
    key("data.group_feature", Kind::Bool, false, "Whether the group column is also a feature"),
    key("data.columns", Kind::Text, false, "Columns of a table that are features: a,b,c; all if empty"),
    key("data.drop", Kind::Text, false, "Columns of a table that are left out: a,b,c"),
    key("data.categorical", Kind::Text, false, "Columns of a table whose numbers are names: a,b,c"),
    key("model.name", Kind::Text, true, "Model"),
    key("model.hidden", Kind::Integers, false, "Widths of the hidden layers, such as 128 or 512,512"),
    key(
        "model.depth",
        Kind::Integer,
        true,
        "Layers of resnet, 8, 14, 20, 32, …, 20 if unset; blocks of vit, 4",
    ),
    key("model.heads", Kind::Integer, true, "Heads of attention of vit, 4 if unset"),
    key("model.patch", Kind::Integer, true, "Side of the patches of vit in pixels, 4 if unset"),
    key("model.dropout", Kind::Float, true, "Share of inputs and hidden units dropped in training (graph)"),
    key(
        "model.propagation",
        Kind::Text,
        true,
        "How neighbours are weighed: symmetric or random_walk (graph)",
    ),
    key("model.beta", Kind::Float, true, "Strength of a step of propagation over the graph, 0 to 1"),
    key("model.k", Kind::Integer, true, "Steps of propagation; by model: gcn 1 a layer, sgc 2, appnp 10"),
    key("model.teleport", Kind::Float, true, "Share of a node's own prediction in each step of appnp"),
    key("loss.name", Kind::Text, true, "Loss (candor list losses)"),
    key("loss.smoothing", Kind::Float, true, "Smoothing strength"),
    key("loss.convention", Kind::Text, true, "What the strength means: uniform or off_class"),
    key(
        "distillation.teacher",
        Kind::Text,
        true,
        "Folder of a finished run to learn from (loss distillation)",
    ),
    key("distillation.temperature", Kind::Float, true, "Temperature of teacher and student"),
    key("distillation.weight", Kind::Float, true, "Weight of the teacher; the labels have the rest"),
    key("target.name", Kind::Text, true, "Target rule (candor list targets); auto: that of the convention"),
    key("schedule.name", Kind::Text, true, "How the strength changes (candor list schedules)"),
    key("optimizer.name", Kind::Text, true, "Optimiser: adam, adamw, sgd, adagrad or rmsprop"),
    key("optimizer.lr", Kind::Float, true, "Learning rate"),
    key("optimizer.weight_decay", Kind::Float, true, "Weight decay"),
    key("optimizer.momentum", Kind::Float, false, "Momentum of sgd and rmsprop"),
    key("optimizer.nesterov", Kind::Bool, false, "Nesterov momentum of sgd"),
    key("optimizer.beta1", Kind::Float, false, "Decay of the first moment of adam and adamw"),
    key("optimizer.beta2", Kind::Float, false, "Decay of the second moment of adam and adamw"),
    key("optimizer.epsilon", Kind::Float, false, "Term in the optimiser's denominator"),
    key("optimizer.clip_norm", Kind::Float, false, "Largest norm of each parameter's gradient"),
    key("lr_schedule.name", Kind::Text, true, "Learning rate: constant, linear, cosine, exponential or step"),
    key(
        "lr_schedule.final_factor",
        Kind::Float,
        false,
        "Final learning rate of linear and cosine, as a share",
    ),
    key("lr_schedule.gamma", Kind::Float, false, "Factor of the exponential and step schedules"),
    key("lr_schedule.step_epochs", Kind::Integer, false, "Epochs between steps of the step schedule"),
    key("training.epochs", Kind::Integer, true, "Passes over the training rows"),
    key("training.batch_size", Kind::Integer, true, "Rows of a batch"),
    key(
        "training.patience",
        Kind::Integer,
        false,
        "Epochs without a better validation NLL before stopping, 0: never",
    ),
    key(
        "training.checkpoint_steps",
        Kind::Integer,
        false,
        "Steps between checkpoints within an epoch, 0: ends of epochs only",
    ),
    key(
        "training.telemetry",
        Kind::Bool,
        false,
        "Measure gradients, margins, features and weights in every epoch, and draw them",
    ),
    key("semi.labels", Kind::Integer, false, "Training rows that keep their labels"),
    key("semi.pseudo", Kind::Text, true, "Pseudo-labels: hard, smoothed, adaptive, sharpened or threshold"),
    key("semi.rounds", Kind::Integer, true, "Rounds of pseudo-labels after the labelled rows alone"),
    key("semi.pseudo_weight", Kind::Float, true, "Weight of the pseudo-labelled rows' mean loss"),
    key(
        "semi.pseudo_smoothing",
        Kind::Float,
        true,
        "Strength of smoothed pseudo-labels; the greatest of adaptive ones",
    ),
    key("semi.pseudo_gamma", Kind::Float, true, "How fast the strength of adaptive falls with confidence"),
    key("semi.pseudo_temperature", Kind::Float, true, "Temperature of sharpened pseudo-labels"),
    key("semi.threshold", Kind::Float, true, "Least confidence of a pseudo-label under threshold"),
    key("stability.flips", Kind::Integer, false, "Labels that are flipped, one at a time"),
    key("stability.lambda", Kind::Float, true, "Penalty of the ridge learners and of softmax regression"),
    key("stability.neighbours", Kind::Integer, true, "Neighbours of knn"),
    key(
        "stability.bandwidth",
        Kind::Float,
        true,
        "Standard deviation of the kernels, in units of the inputs",
    ),
];

/// The keys that only some recipes read, by the beginning of their paths.
const OWNERS: &[(&str, &[&str])] = &[
    ("data.augment", &["vision"]),
    ("data.mix", &["vision"]),
    ("data.noise", &["vision"]),
    ("data.label_file", &["vision"]),
    ("data.target_column", &["tabular", "stability"]),
    ("data.positive", &["tabular", "stability"]),
    ("data.group_", &["tabular", "stability"]),
    ("data.columns", &["tabular", "stability"]),
    ("data.drop", &["tabular", "stability"]),
    ("data.categorical", &["tabular", "stability"]),
    ("model.depth", &["vision"]),
    ("model.heads", &["vision"]),
    ("model.patch", &["vision"]),
    ("model.dropout", &["graph"]),
    ("model.propagation", &["graph"]),
    ("model.beta", &["graph"]),
    ("model.k", &["graph"]),
    ("model.teleport", &["graph"]),
    ("distillation.", &["vision"]),
    ("training.telemetry", &["vision"]),
    ("semi.", &["semi_supervised"]),
    ("stability.", &["stability"]),
];

impl Key {
    /// The recipes that read this key; empty if all do.
    pub fn recipes(&self) -> &'static [&'static str] {
        OWNERS.iter().find(|(start, _)| self.path.starts_with(start)).map_or(&[], |(_, recipes)| *recipes)
    }
}

/// The key of this path.
pub fn find(path: &str) -> Option<&'static Key> {
    ALL.iter().find(|key| key.path == path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_owner_is_a_recipe_and_owns_a_key() {
        for (start, recipes) in OWNERS {
            assert!(ALL.iter().any(|key| key.path.starts_with(start)), "{start}");
            assert!(recipes.iter().all(|name| crate::recipe::by_name(name).is_ok()), "{recipes:?}");
        }
    }

    #[test]
    fn flags_are_unique() {
        let mut flags: Vec<String> = ALL.iter().map(Key::flag).collect();
        flags.sort();
        let n = flags.len();
        flags.dedup();
        assert_eq!(flags.len(), n);
    }

    #[test]
    fn every_key_is_a_field_and_every_field_a_key() {
        let mut config = crate::Config::default();
        config.model.depth = Some(1);
        config.model.heads = Some(1);
        config.model.patch = Some(1);
        config.model.dropout = Some(0.0);
        config.model.propagation = Some(candor::graph::Normalisation::Symmetric);
        config.model.beta = Some(0.0);
        config.model.k = Some(0);
        config.model.teleport = Some(1.0);
        config.optimizer.weight_decay = Some(0.0);
        config.optimizer.momentum = Some(0.0);
        config.optimizer.beta1 = Some(0.0);
        config.optimizer.beta2 = Some(0.0);
        config.optimizer.epsilon = Some(0.0);
        config.optimizer.clip_norm = Some(1.0);
        let table = toml::Table::try_from(&config).unwrap();
        let mut fields = Vec::new();
        for (name, value) in &table {
            match value {
                toml::Value::Table(inner) => fields.extend(inner.keys().map(|key| format!("{name}.{key}"))),
                _ if name == "recipe" => {}
                _ => fields.push(name.clone()),
            }
        }
        fields.sort();
        let mut keys: Vec<String> = ALL.iter().map(|key| key.path.to_owned()).collect();
        keys.sort();
        assert_eq!(fields, keys);
    }
}
