//! From a table to numbers: which column is what, classes and groups, parts, features.

use std::collections::BTreeMap;
use std::path::Path;

use super::encode::Encoder;
use super::generate;
use super::table::{self, Column, Table};
use crate::config::DataConfig;
use crate::dataset::{Dataset, Features, Parts};
use crate::error::{Error, Result};

/// The generated set.
pub(crate) const GENERATED: &str = generate::NAME;
/// Most groups that are compared, and most classes of a target.
const MOST_GROUPS: usize = 20;
const MOST_CLASSES: usize = 100;

/// The groups that are compared.
#[derive(Debug, Clone, PartialEq)]
pub struct Groups {
    /// The column.
    pub column: String,
    /// Their names, in order.
    pub names: Vec<String>,
    /// The group of each row.
    pub of: Vec<usize>,
}

/// A table, ready for training.
#[derive(Debug, Clone)]
pub struct Tabular {
    /// Features, labels and parts.
    pub dataset: Dataset,
    /// The class whose probability is a row's score.
    pub positive: usize,
    /// The groups, if a column was named.
    pub groups: Option<Groups>,
    /// How cells become numbers.
    pub(super) encoder: Encoder,
    /// The column that is predicted.
    pub(super) target: String,
}

/// Names in a list of a setting.
fn names(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// Reads, checks and splits a table.
///
/// # Errors
/// Those of the file's format; [`Error::Config`] naming the setting for columns, classes and groups that do not
/// fit; [`Error::Format`] naming row and column for cells that do not.
pub fn load(config: &DataConfig) -> Result<Tabular> {
    let generated = config.path == GENERATED;
    let table = if generated { generate::two_groups() } else { table::read(&config.path)? };
    let or_own = |given: &str, own: &str| if given.is_empty() && generated { own } else { given }.to_owned();
    let target = or_own(&config.target_column, generate::TARGET);
    let group = or_own(&config.group_column, generate::GROUP);
    if target.is_empty() {
        let columns: Vec<&str> = table.columns.iter().map(|column| column.name.as_str()).collect();
        let problem = format!(
            "name the column that is predicted (--target-column); {} has {}",
            table.source.display(),
            columns.join(", ")
        );
        return Err(Error::config("data.target_column", "\"\"", problem));
    }
    let target_at = table.find("data.target_column", &target)?;
    let group_at = (!group.is_empty()).then(|| table.find("data.group_column", &group)).transpose()?;
    if group_at == Some(target_at) {
        return Err(Error::config("data.group_column", &group, "is the target itself; name another column"));
    }

    // Rows without a target teach nothing and cannot be judged.
    let rows: Vec<usize> =
        (0..table.n_rows()).filter(|&row| table.columns[target_at].cells[row].is_some()).collect();
    let mut notes = Vec::new();
    if rows.len() < table.n_rows() {
        notes.push(format!("{} rows without a target were left out", table.n_rows() - rows.len()));
    }
    let (classes, labels) = classes_of(&table, target_at, &rows)?;
    let positive = positive_class(config, &classes)?;
    let groups = match group_at {
        Some(at) => Some(groups_of(&table.columns[at], &rows)?),
        None => None,
    };

    let from = table.test.as_ref().map_or(table.n_rows(), |(_, from)| *from);
    let (mut train, mut test) = (Vec::new(), Vec::new());
    for (index, &row) in rows.iter().enumerate() {
        if row < from { train.push(index) } else { test.push(index) }
    }
    let parts = Parts::cut(config, train, table.test.is_some().then_some(test), &labels)?;
    if let Some(groups) = &groups {
        check_groups(groups, &parts.test)?;
    }
    let features = feature_columns(config, &table, target_at, group_at)?;
    let categorical = names(&config.categorical);
    for name in &categorical {
        table.find("data.categorical", name)?;
    }
    let train_rows: Vec<usize> = parts.train.iter().map(|&index| rows[index]).collect();
    let encoder = Encoder::fit(&table, &features, &train_rows, &categorical)?;
    let (values, counts) = encoder.encode(&table, &rows)?;
    notes.extend(counts.notes());
    let features = Features::plain(encoder.width(), values);
    let name = table.source.display().to_string();
    let dataset = Dataset::new(&name, features, labels, parts, Some(classes), notes)?;
    Ok(Tabular { dataset, positive, groups, encoder, target })
}

/// The classes in order (as numbers, where all are numbers) and the class of each row.
fn classes_of(table: &Table, target: usize, rows: &[usize]) -> Result<(Vec<String>, Vec<i64>)> {
    let column = &table.columns[target];
    let cell = |row: usize| column.cells[row].as_deref().unwrap_or_default();
    let mut found: BTreeMap<&str, usize> = BTreeMap::new();
    rows.iter().for_each(|&row| *found.entry(cell(row)).or_default() += 1);
    let mut classes: Vec<&str> = found.keys().copied().collect();
    let number = |text: &str| text.parse::<f64>().ok().filter(|value| value.is_finite());
    if classes.iter().all(|class| number(class).is_some()) {
        classes.sort_by(|a, b| number(a).unwrap_or(0.0).total_cmp(&number(b).unwrap_or(0.0)));
    }
    let refuse = |problem: String| Err(Error::config("data.target_column", &column.name, problem));
    match classes.len() {
        0 => return refuse("has no known cell".to_owned()),
        1 => return refuse(format!("holds one class only, {:?}; at least two are needed", classes[0])),
        n if n > MOST_CLASSES => {
            let problem = format!(
                "holds {n} different values, but at most {MOST_CLASSES} classes are accepted; name a column of classes"
            );
            return refuse(problem);
        }
        _ => {}
    }
    let index: BTreeMap<&str, i64> = classes.iter().copied().zip(0..).collect();
    let labels: Vec<i64> = rows.iter().map(|&row| index.get(cell(row)).copied().unwrap_or(0)).collect();
    if let Some((path, from)) = &table.test {
        for (class, name) in classes.iter().enumerate() {
            let in_training =
                rows.iter().zip(&labels).any(|(row, label)| row < from && *label == class as i64);
            if !in_training {
                let row = rows.iter().zip(&labels).find(|(_, label)| **label == class as i64);
                let at = row.map_or(0, |(row, _)| row - from);
                let problem = format!(
                    "row {at}: the class {name:?} of column {:?} occurs in no training row",
                    column.name
                );
                return Err(Error::format(path, problem));
            }
        }
    }
    Ok((classes.into_iter().map(str::to_owned).collect(), labels))
}

fn positive_class(config: &DataConfig, classes: &[String]) -> Result<usize> {
    if config.positive.is_empty() {
        return Ok(classes.len() - 1);
    }
    classes.iter().position(|class| *class == config.positive).ok_or_else(|| {
        Error::config(
            "data.positive",
            &config.positive,
            format!("is no class; there are {}", classes.join(", ")),
        )
    })
}

fn groups_of(column: &Column, rows: &[usize]) -> Result<Groups> {
    let cell = |row: usize| column.cells[row].as_deref().unwrap_or("(missing)");
    let mut index: BTreeMap<&str, usize> = rows.iter().map(|&row| (cell(row), 0)).collect();
    index.values_mut().enumerate().for_each(|(at, value)| *value = at);
    let names: Vec<String> = index.keys().map(|name| (*name).to_owned()).collect();
    let refuse = |problem| Err(Error::config("data.group_column", &column.name, problem));
    match names.as_slice() {
        [one] => return refuse(format!("holds one group only, {one:?}; at least two are needed")),
        many if many.len() > MOST_GROUPS => {
            return refuse(format!("holds {} groups, but at most {MOST_GROUPS} can be compared", many.len()));
        }
        _ => {}
    }
    let of = rows.iter().map(|&row| index.get(cell(row)).copied().unwrap_or(0)).collect();
    Ok(Groups { column: column.name.clone(), names, of })
}

fn check_groups(groups: &Groups, test: &[usize]) -> Result<()> {
    let mut present = vec![false; groups.names.len()];
    test.iter().for_each(|&row| present[groups.of[row]] = true);
    if present.iter().filter(|present| **present).count() < 2 {
        let problem = "has one group only among the test rows; at least two are needed";
        return Err(Error::config("data.group_column", &groups.column, problem));
    }
    Ok(())
}

/// Positions of the features: those named or all, without target, group (unless wanted) and what is dropped.
fn feature_columns(
    config: &DataConfig,
    table: &Table,
    target: usize,
    group: Option<usize>,
) -> Result<Vec<usize>> {
    let found = |key: &str, text: &str| -> Result<Vec<usize>> {
        names(text).iter().map(|name| table.find(key, name)).collect()
    };
    let dropped = found("data.drop", &config.drop)?;
    let mut features = found("data.columns", &config.columns)?;
    if features.contains(&target) {
        let name = &table.columns[target].name;
        return Err(Error::config("data.columns", name, "is the target, which cannot be a feature"));
    }
    if features.is_empty() {
        features = (0..table.columns.len()).collect();
    }
    if let Some(group) = group {
        features.retain(|&column| column != group);
        if config.group_feature {
            features.push(group);
        }
    }
    features.retain(|column| *column != target && !dropped.contains(column));
    features.sort_unstable();
    features.dedup();
    Ok(features)
}

/// Rows that a finished model is asked about, encoded as it learnt, with their labels.
///
/// # Errors
/// A table without the model's columns, a class that the model does not know.
pub(super) fn load_for_prediction(
    path: &str,
    encoder: &Encoder,
    target: &str,
    classes: &[String],
) -> Result<(Features, Vec<i64>)> {
    let table = if path == GENERATED { generate::two_groups() } else { table::read_for_prediction(path)? };
    let at = table.find("data.target_column", target)?;
    let rows: Vec<usize> =
        (0..table.n_rows()).filter(|&row| table.columns[at].cells[row].is_some()).collect();
    let labels = rows
        .iter()
        .map(|&row| {
            let cell = table.columns[at].cells[row].as_deref().unwrap_or_default();
            classes.iter().position(|class| class == cell).map(|class| class as i64).ok_or_else(|| {
                let problem =
                    format!("row {row}: {cell:?} is no class of the model; it knows {}", classes.join(", "));
                Error::format(Path::new(path), problem)
            })
        })
        .collect::<Result<Vec<i64>>>()?;
    let (values, _) = encoder.encode(&table, &rows)?;
    Ok((Features::plain(encoder.width(), values), labels))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "age,job,sex,income\n30,a,m,10\n41,b,f,9\n52,a,m,9\n23,?,f,10\n64,b,m,10\n35,a,f,9\n36,b,m,?\n57,b,f,9\n";

    fn config(text: &str) -> (tempfile::TempDir, DataConfig) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.csv");
        std::fs::write(&path, text).unwrap();
        let config = DataConfig {
            path: path.display().to_string(),
            target_column: "income".to_owned(),
            group_column: "sex".to_owned(),
            test: "last:3".to_owned(),
            validation: "none".to_owned(),
            ..DataConfig::default()
        };
        (folder, config)
    }

    #[test]
    fn columns_find_their_places() {
        let (_folder, config) = config(TABLE);
        let data = load(&config).unwrap();
        // Classes are ordered as the numbers that they are.
        assert_eq!(data.dataset.summary.class_names.as_deref(), Some(&["9".to_owned(), "10".to_owned()][..]));
        assert_eq!((data.positive, &data.dataset.labels[..]), (1, &[1, 0, 0, 1, 1, 0, 0][..]));
        let groups = data.groups.unwrap();
        assert_eq!(
            (groups.names, groups.of),
            (vec!["f".to_owned(), "m".to_owned()], vec![1, 0, 1, 0, 1, 0, 0])
        );
        // age; (missing), a, b in the training rows: the group is no feature unless it is asked for.
        assert_eq!(data.dataset.features.width(), 4);
        assert_eq!(data.dataset.summary.notes, ["1 rows without a target were left out"]);
        let with_group = DataConfig { group_feature: true, ..config.clone() };
        assert_eq!(load(&with_group).unwrap().dataset.features.width(), 6);
        let few = DataConfig { columns: "age".to_owned(), positive: "9".to_owned(), ..config };
        let data = load(&few).unwrap();
        assert_eq!((data.dataset.features.width(), data.positive), (1, 0));
    }

    #[test]
    fn settings_that_do_not_fit_are_named() {
        let (_folder, config) = config(TABLE);
        let message = |change: &dyn Fn(&mut DataConfig)| {
            let mut config = config.clone();
            change(&mut config);
            load(&config).unwrap_err().to_string()
        };
        let near = message(&|c| c.target_column = "incme".to_owned());
        assert!(near.contains("did you mean \"income\""), "{near}");
        assert!(message(&|c| c.target_column = String::new()).contains("age, job, sex, income"));
        assert!(message(&|c| c.group_column = "income".to_owned()).contains("target itself"));
        assert!(message(&|c| c.positive = "11".to_owned()).contains("9, 10"));
        assert!(message(&|c| c.drop = "ag".to_owned()).contains("did you mean \"age\""));
        assert!(message(&|c| c.drop = "age,job".to_owned()).contains("no column is left"));
        assert!(message(&|c| c.columns = "income".to_owned()).contains("cannot be a feature"));
    }

    #[test]
    fn one_class_and_one_group_are_refused() {
        let (_folder, one_group) = config("x,sex,income\n1,m,0\n2,m,1\n3,m,0\n4,m,1\n5,m,1\n");
        assert!(load(&one_group).unwrap_err().to_string().contains("one group only"));
        let (_folder, one_class) = config("x,sex,income\n1,m,0\n2,f,0\n3,m,0\n4,f,0\n5,f,0\n");
        assert!(load(&one_class).unwrap_err().to_string().contains("one class only"));
        let rows: String =
            (0..10).map(|i| format!("{i},{},{}\n", if i < 7 { "m" } else { "f" }, i % 2)).collect();
        let (_folder, tested) = config(&format!("x,sex,income\n{rows}"));
        assert!(load(&tested).unwrap_err().to_string().contains("among the test rows"));
    }

    #[test]
    fn the_generated_set_has_two_groups_and_two_classes() {
        let config = DataConfig { path: generate::NAME.to_owned(), ..DataConfig::default() };
        let data = load(&config).unwrap();
        assert_eq!(data.groups.as_ref().unwrap().names, ["a", "b"]);
        assert_eq!((data.dataset.features.width(), data.dataset.summary.classes), (2, 2));
        let rate = data.dataset.labels.iter().sum::<i64>() as f64 / data.dataset.labels.len() as f64;
        assert!((rate - 0.5).abs() < 0.03, "{rate}");
    }
}
