//! Tables of text cells from CSV (plain or gzip) and Parquet, with a test table beside them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use arrow::array::{Array, StringArray};
use arrow::datatypes::DataType;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::error::{Error, Result};
use crate::files;

/// Cells that say that nothing is known.
pub(super) const MISSING: [&str; 7] = ["", "?", "NA", "N/A", "NaN", "nan", "null"];
const ENDINGS: [&str; 3] = [".csv", ".csv.gz", ".parquet"];

/// A column: its name and one cell a row, `None` where nothing is known.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Column {
    pub name: String,
    pub cells: Vec<Option<String>>,
}

/// Columns of the same length.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Table {
    /// Where it came from, for messages.
    pub source: PathBuf,
    pub columns: Vec<Column>,
    /// The rows from here on came from the test table.
    pub test: Option<(PathBuf, usize)>,
}

impl Table {
    pub fn n_rows(&self) -> usize {
        self.columns.first().map_or(0, |column| column.cells.len())
    }

    /// The column of this name; `key` is the setting that named it.
    pub fn find(&self, key: &str, name: &str) -> Result<usize> {
        self.columns.iter().position(|column| column.name == name).ok_or_else(|| {
            let likeness = |column: &&Column| strsim::jaro_winkler(&column.name, name);
            let nearest = self.columns.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
            let names: Vec<&str> = self.columns.iter().map(|column| column.name.as_str()).collect();
            let problem = format!(
                "there is no such column in {}; did you mean {:?}? It has {}",
                self.source.display(),
                nearest.map_or("", |column| &column.name),
                names.join(", ")
            );
            Error::config(key, format!("{name:?}"), problem)
        })
    }

    /// The file and the row, from 0, that a row of the whole table came from.
    pub fn place(&self, row: usize) -> (&Path, usize) {
        match &self.test {
            Some((path, from)) if row >= *from => (path, row - from),
            _ => (&self.source, row),
        }
    }

    /// Adds the rows of a test table, whose columns may be in another order.
    fn append(mut self, test: Table) -> Result<Self> {
        let first = self.n_rows();
        for column in &mut self.columns {
            let other = test.columns.iter().find(|other| other.name == column.name).ok_or_else(|| {
                let problem = format!("has no column {:?}, which {} has", column.name, self.source.display());
                Error::format(&test.source, problem)
            })?;
            column.cells.extend(other.cells.iter().cloned());
        }
        self.test = Some((test.source, first));
        Ok(self)
    }
}

/// Reads a table, or the one table of a folder, and the test table beside it if there is one.
///
/// The test table of `adult.csv` is `adult_test`, `adult-test` or `adult.test`, that of `train.csv` is `test`;
/// each with any of the endings.
///
/// # Errors
/// [`Error::Io`]; [`Error::Format`] for what is no table: no header, no rows, rows of different lengths, a column
/// name that stands twice, a folder with several tables.
pub(super) fn read(path: &str) -> Result<Table> {
    let given = Path::new(path);
    let file = if given.is_dir() { only_table(given)? } else { given.to_owned() };
    let table = read_one(&file)?;
    match test_beside(&file) {
        Some(test) => table.append(read_one(&test)?),
        None => Ok(table),
    }
}

/// The table that a prediction is asked for: the test table of a folder or pair, or the file itself.
pub(super) fn read_for_prediction(path: &str) -> Result<Table> {
    let given = Path::new(path);
    if given.is_dir() {
        let file = only_table(given)?;
        return read_one(&test_beside(&file).unwrap_or(file));
    }
    read_one(given)
}

/// File name without its ending, if it is one of a table.
fn stem(path: &Path) -> Option<&str> {
    let name = path.file_name()?.to_str()?;
    // The longest ending first, so that `.csv.gz` is not taken for a stem of its own.
    ENDINGS.iter().filter_map(|ending| name.strip_suffix(ending)).min_by_key(|stem| stem.len())
}

fn is_test(stem: &str) -> bool {
    stem == "test" || ["_test", "-test", ".test"].iter().any(|ending| stem.ends_with(ending))
}

fn only_table(folder: &Path) -> Result<PathBuf> {
    let entries = std::fs::read_dir(folder).map_err(Error::io(folder, "reading the folder"))?;
    let mut found: Vec<PathBuf> = Vec::new();
    for entry in entries {
        let path = entry.map_err(Error::io(folder, "reading the folder"))?.path();
        if stem(&path).is_some_and(|stem| !is_test(stem)) {
            found.push(path);
        }
    }
    found.sort();
    match found.as_slice() {
        [one] => Ok(one.clone()),
        [] => Err(Error::format(folder, format!("holds no table ({})", ENDINGS.join(", ")))),
        several => {
            let names: Vec<String> = several.iter().map(|path| path.display().to_string()).collect();
            Err(Error::format(folder, format!("holds several tables; give one of {}", names.join(", "))))
        }
    }
}

fn test_beside(file: &Path) -> Option<PathBuf> {
    let stem = stem(file)?;
    if is_test(stem) {
        return None;
    }
    let mut stems: Vec<String> = ["_test", "-test", ".test"].map(|end| format!("{stem}{end}")).to_vec();
    if let Some(before) = stem.strip_suffix("train") {
        stems.push(format!("{before}test"));
    }
    let names = stems.iter().flat_map(|stem| ENDINGS.map(|ending| format!("{stem}{ending}")));
    names.map(|name| file.with_file_name(name)).find(|path| path.is_file())
}

fn read_one(path: &Path) -> Result<Table> {
    if !path.exists() {
        return Err(Error::format(path, "does not exist, and no embedded set has this name (two_groups)"));
    }
    let columns = match path.file_name().and_then(|name| name.to_str()) {
        Some(name) if name.ends_with(".parquet") => parquet_columns(path)?,
        Some(_) if stem(path).is_some() => csv_columns(path)?,
        _ => return Err(Error::format(path, format!("is no table; it must end in {}", ENDINGS.join(", ")))),
    };
    let mut names = BTreeSet::new();
    for column in &columns {
        if !names.insert(&column.name) {
            return Err(Error::format(path, format!("has two columns called {:?}", column.name)));
        }
    }
    let table = Table { source: path.to_owned(), columns, test: None };
    if table.n_rows() == 0 {
        return Err(Error::format(path, "has no rows"));
    }
    Ok(table)
}

fn known(text: &str) -> Option<String> {
    let text = text.trim();
    (!MISSING.contains(&text)).then(|| text.to_owned())
}

fn csv_columns(path: &Path) -> Result<Vec<Column>> {
    let bad = |error: csv::Error| Error::format(path, format!("not readable as CSV: {error}"));
    let bytes = files::read(path)?;
    let content = files::unpacked(path, &bytes)?;
    // Some programs begin a file with the mark of UTF-8.
    let content = content.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&content);
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(content);
    let header = reader.headers().map_err(bad)?;
    if header.iter().all(str::is_empty) {
        return Err(Error::format(path, "is empty; a table begins with the names of its columns"));
    }
    let mut columns: Vec<Column> =
        header.iter().map(|name| Column { name: name.to_owned(), cells: Vec::new() }).collect();
    for record in reader.records() {
        let record = record.map_err(bad)?;
        columns.iter_mut().zip(&record).for_each(|(column, cell)| column.cells.push(known(cell)));
    }
    Ok(columns)
}

fn parquet_columns(path: &Path) -> Result<Vec<Column>> {
    let bad =
        |error: &dyn std::fmt::Display| Error::format(path, format!("not readable as Parquet: {error}"));
    let file = std::fs::File::open(path).map_err(Error::io(path, "opening"))?;
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|error| bad(&error))?;
    let mut columns: Vec<Column> = builder
        .schema()
        .fields()
        .iter()
        .map(|field| Column { name: field.name().clone(), cells: Vec::new() })
        .collect();
    for batch in builder.build().map_err(|error| bad(&error))? {
        let batch = batch.map_err(|error| bad(&error))?;
        for (column, array) in columns.iter_mut().zip(batch.columns()) {
            // Numbers are written so that they read back as themselves.
            let text = arrow::compute::cast(array, &DataType::Utf8)
                .map_err(|error| Error::format(path, format!("column {:?}: {error}", column.name)))?;
            let Some(text) = text.as_any().downcast_ref::<StringArray>() else {
                return Err(Error::Internal("a cast to text gave another type".to_owned()));
            };
            column.cells.extend(text.iter().map(|cell| cell.and_then(known)));
        }
    }
    Ok(columns)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(folder: &Path, name: &str, text: &str) -> String {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    #[test]
    fn a_pair_is_read_in_one_and_missing_cells_are_known() {
        let folder = tempfile::tempdir().unwrap();
        let train = write(folder.path(), "a.csv", "\u{feff}x, y\n1, ?\n, b\n");
        write(folder.path(), "a_test.csv", "y,x\nc,3\n");
        let table = read(&train).unwrap();
        let cell = |text: &str| Some(text.to_owned());
        assert_eq!(table.columns[0].cells, [cell("1"), None, cell("3")]);
        assert_eq!(table.columns[1].cells, [None, cell("b"), cell("c")]);
        assert_eq!(table.place(2), (folder.path().join("a_test.csv").as_path(), 0));
        assert_eq!(read(&folder.path().display().to_string()).unwrap(), table);
    }

    #[test]
    fn what_is_no_table_is_refused_in_words() {
        let folder = tempfile::tempdir().unwrap();
        let message =
            |name: &str, text: &str| read(&write(folder.path(), name, text)).unwrap_err().to_string();
        assert!(message("empty.csv", "").contains("is empty"));
        assert!(message("header.csv", "a,b\n").contains("has no rows"));
        assert!(
            message("ragged.csv", "a,b\n1,2\n3\n").contains("line: 3"),
            "{}",
            message("ragged.csv", "a,b\n1,2\n3\n")
        );
        assert!(message("twice.csv", "a,a\n1,2\n").contains("two columns"));
        assert!(message("text.txt", "a\n").contains(".csv.gz"));
        assert!(read("no/such.csv").unwrap_err().to_string().contains("two_groups"));
        let several = read(&folder.path().display().to_string()).unwrap_err().to_string();
        assert!(several.contains("several tables"), "{several}");
        write(folder.path(), "lone.csv", "a,b\n1,2\n");
        let path = write(folder.path(), "lone_test.csv", "a\n1\n");
        let lone = read(&path.replace("_test", "")).unwrap_err().to_string();
        assert!(lone.contains("has no column \"b\""), "{lone}");
    }
}
