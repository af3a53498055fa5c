//! Every format gives the same rows, and every row that cannot be used is told.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ::parquet::arrow::ArrowWriter;
use arrow::array::*;
use arrow::datatypes::{DataType, Field, Float32Type, Int32Type};

use super::*;

/// Eight rows of three classes; every number is exact in single precision and in text.
const N: usize = 8;
const K: usize = 3;

fn logits() -> Vec<f32> {
    (0..N * K).map(|i| ((i * 5) % 11) as f32 * 0.5 - 2.0).collect()
}

fn labels() -> Vec<i64> {
    (0..N as i64).map(|i| i * 2 % K as i64).collect()
}

fn wanted() -> Predictions {
    Predictions::from_logits(logits(), K, labels()).unwrap()
}

fn stream(path: &Path, fields: Fields) -> Result<Stream> {
    Stream::open(&Input::Files { paths: vec![path.to_owned()], format: None }, fields)
}

fn read_with(path: &Path, fields: Fields) -> Result<Predictions> {
    Ok(stream(path, fields)?.collect(None, OnBad::Refuse)?.predictions)
}

/// The same numbers, whatever precision they were stored in.
fn same(got: &Predictions, name: &str) {
    let wide = |predictions: &Predictions| predictions.scores.values.clone().into_f64();
    assert_eq!(wide(got), wide(&wanted()), "{name}");
    assert_eq!(got.labels, labels(), "{name}");
    assert_eq!((got.scores.kind, got.scores.n_classes), (ScoreKind::Logits, K), "{name}");
}

fn lists<O: OffsetSizeTrait>(rows: impl IntoIterator<Item = Option<Vec<Option<f32>>>>) -> ArrayRef {
    Arc::new(GenericListArray::<O>::from_iter_primitive::<Float32Type, _, _>(rows))
}

fn whole_lists() -> impl Iterator<Item = Option<Vec<Option<f32>>>> {
    logits().chunks(K).map(|row| Some(row.iter().map(|z| Some(*z)).collect())).collect::<Vec<_>>().into_iter()
}

fn fixed_lists() -> ArrayRef {
    let item = Arc::new(Field::new("item", DataType::Float32, true));
    Arc::new(
        FixedSizeListArray::try_new(item, K as i32, Arc::new(Float32Array::from(logits())), None).unwrap(),
    )
}

fn column(class: usize) -> Vec<f32> {
    logits().iter().skip(class).step_by(K).copied().collect()
}

fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter(columns).unwrap()
}

fn write_parquet_batch(path: &Path, batch: &RecordBatch) {
    let mut writer = ArrowWriter::try_new(File::create(path).unwrap(), batch.schema(), None).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
}

fn int_labels() -> ArrayRef {
    Arc::new(Int64Array::from(labels()))
}

#[test]
fn lists_of_every_kind_and_columns_of_every_type() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.parquet");
    let small: ArrayRef = Arc::new(UInt8Array::from(labels().iter().map(|y| *y as u8).collect::<Vec<_>>()));
    let floats: ArrayRef =
        Arc::new(Float64Array::from(labels().iter().map(|y| *y as f64).collect::<Vec<_>>()));
    for (name, scores, labels) in [
        ("list", lists::<i32>(whole_lists()), int_labels()),
        ("large list", lists::<i64>(whole_lists()), small),
        ("fixed list", fixed_lists(), floats),
    ] {
        write_parquet_batch(
            &path,
            &batch(vec![("id", int_labels()), ("labels", labels), ("logits", scores)]),
        );
        same(&read_with(&path, Fields::default()).unwrap(), name);
    }
    let half = |class| -> ArrayRef {
        Arc::new(Float16Array::from(column(class).into_iter().map(half::f16::from_f32).collect::<Vec<_>>()))
    };
    let double: ArrayRef =
        Arc::new(Float64Array::from(column(1).into_iter().map(f64::from).collect::<Vec<_>>()));
    write_parquet_batch(
        &path,
        &batch(vec![
            ("logit_2", half(2)),
            ("logit_1", double),
            ("logit_0", half(0)),
            ("label", int_labels()),
        ]),
    );
    same(&read_with(&path, Fields::default()).unwrap(), "columns of classes");
}

#[test]
fn a_slice_of_a_list_begins_where_it_begins() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.arrow");
    let whole = batch(vec![("labels", int_labels()), ("logits", lists::<i32>(whole_lists()))]);
    let mut writer =
        arrow::ipc::writer::FileWriter::try_new(File::create(&path).unwrap(), &whole.schema()).unwrap();
    writer.write(&whole.slice(0, 3)).unwrap();
    writer.write(&whole.slice(3, 0)).unwrap();
    writer.write(&whole.slice(3, N - 3)).unwrap();
    writer.finish().unwrap();
    same(&read_with(&path, Fields::default()).unwrap(), "slices");
}

#[test]
fn arrow_files_and_streams_compressed_or_not() {
    use arrow::ipc::CompressionType;
    use arrow::ipc::writer::{FileWriter, IpcWriteOptions, StreamWriter};
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.arrow");
    let rows = batch(vec![("labels", int_labels()), ("x", int_labels()), ("logits", fixed_lists())]);
    for compression in [None, Some(CompressionType::LZ4_FRAME), Some(CompressionType::ZSTD)] {
        let options = IpcWriteOptions::default().try_with_compression(compression).unwrap();
        let file = File::create(&path).unwrap();
        let mut writer = FileWriter::try_new_with_options(file, &rows.schema(), options.clone()).unwrap();
        writer.write(&rows).unwrap();
        writer.finish().unwrap();
        same(&read_with(&path, Fields::default()).unwrap(), "file");
        let file = File::create(&path).unwrap();
        let mut writer = StreamWriter::try_new_with_options(file, &rows.schema(), options).unwrap();
        writer.write(&rows).unwrap();
        writer.finish().unwrap();
        same(&read_with(&path, Fields::default()).unwrap(), "stream");
    }
}

fn csv(separator: &str) -> String {
    let mut text = ["id", "labels", "logit_0", "logit_1", "logit_2"].join(separator) + "\n";
    for (row, label) in logits().chunks(K).zip(labels()) {
        text +=
            &format!("x{separator}{label}{separator}{}{separator}{}{separator}{}\n", row[0], row[1], row[2]);
    }
    text
}

fn ndjson() -> String {
    let rows = logits();
    let lines = rows.chunks(K).zip(labels());
    lines.map(|(row, label)| format!("{{\"labels\": {label}, \"logits\": {row:?}}}\n")).collect()
}

fn gzipped(text: &str) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn text_plain_and_gzipped() {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in
        [("p.csv", csv(",")), ("p.tsv", csv("\t")), ("p.ndjson", ndjson()), ("p.jsonl", ndjson())]
    {
        let path = folder.path().join(name);
        std::fs::write(&path, &text).unwrap();
        same(&read_with(&path, Fields::default()).unwrap(), name);
        let path = folder.path().join(format!("{name}.gz"));
        std::fs::write(&path, gzipped(&text)).unwrap();
        same(&read_with(&path, Fields::default()).unwrap(), "gzipped");
    }
    let path = folder.path().join("list.csv");
    let mut text = "labels,logits\n".to_owned();
    for (row, label) in logits().chunks(K).zip(labels()) {
        text += &format!("{label},\"{row:?}\"\n");
    }
    std::fs::write(&path, text).unwrap();
    same(&read_with(&path, Fields::default()).unwrap(), "lists in cells");
}

fn npy<T: npyz::AutoSerialize + Copy>(values: &[T], shape: &[u64]) -> Vec<u8> {
    use npyz::WriterBuilder;
    let mut bytes = Vec::new();
    let mut writer =
        npyz::WriteOptions::new().default_dtype().shape(shape).writer(&mut bytes).begin_nd().unwrap();
    writer.extend(values.iter().copied()).unwrap();
    writer.finish().unwrap();
    bytes
}

#[test]
fn archives_stored_and_compressed() {
    use npyz::zip::CompressionMethod;
    use npyz::zip::write::{FileOptions, ZipWriter};
    use std::io::Write;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.npz");
    for method in [CompressionMethod::Stored, CompressionMethod::Deflated] {
        let mut archive = ZipWriter::new(File::create(&path).unwrap());
        let options = FileOptions::default().compression_method(method);
        archive.start_file("logits.npy", options).unwrap();
        archive.write_all(&npy(&logits(), &[N as u64, K as u64])).unwrap();
        archive.start_file("labels.npy", options).unwrap();
        archive.write_all(&npy(&labels(), &[N as u64])).unwrap();
        archive.finish().unwrap();
        same(&read_with(&path, Fields::default()).unwrap(), "npz");
    }
}

#[test]
fn tensors_of_every_float_type() {
    use safetensors::tensor::{Dtype, TensorView, serialize_to_file};
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.safetensors");
    let label_bytes: Vec<u8> = labels().iter().flat_map(|y| (*y as i32).to_le_bytes()).collect();
    type Encode = fn(f32) -> Vec<u8>;
    let types: [(Dtype, Encode); 4] = [
        (Dtype::F16, |z| half::f16::from_f32(z).to_le_bytes().to_vec()),
        (Dtype::BF16, |z| half::bf16::from_f32(z).to_le_bytes().to_vec()),
        (Dtype::F32, |z| z.to_le_bytes().to_vec()),
        (Dtype::F64, |z| f64::from(z).to_le_bytes().to_vec()),
    ];
    for (dtype, encode) in types {
        let bytes: Vec<u8> = logits().into_iter().flat_map(encode).collect();
        let tensors = vec![
            ("labels", TensorView::new(Dtype::I32, vec![N], &label_bytes).unwrap()),
            ("logits", TensorView::new(dtype, vec![N, K], &bytes).unwrap()),
        ];
        serialize_to_file(tensors, None, &path).unwrap();
        same(&read_with(&path, Fields::default()).unwrap(), "safetensors");
    }
}

#[test]
fn arrays_of_either_byte_order_and_every_integer_type() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let header = |descr: &str, shape: &str| {
        let mut text = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({shape}), }}");
        while (10 + text.len() + 1) % 64 != 0 {
            text.push(' ');
        }
        text.push('\n');
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((text.len() as u16).to_le_bytes());
        bytes.extend(text.as_bytes());
        bytes
    };
    let mut big = header(">f4", "8, 3");
    big.extend(logits().iter().flat_map(|z| z.to_be_bytes()));
    std::fs::write(path("z.npy"), big).unwrap();
    let of = |bytes: Vec<u8>| {
        std::fs::write(path("y.npy"), bytes).unwrap();
        let input = Input::Arrays { kind: InputKind::Logits, scores: path("z.npy"), labels: path("y.npy") };
        let names = ClassNames::new(["a", "b", "cé"].map(str::to_owned).to_vec()).unwrap();
        let fields = Fields { class_names: Some(names), ..Fields::default() };
        Stream::open(&input, fields)?.collect(None, OnBad::Refuse).map(|read| read.predictions)
    };
    let mut words = header("<U2", "8,");
    for label in labels() {
        let mut cell: Vec<u32> = ["a", "b", "cé"][label as usize].chars().map(u32::from).collect();
        cell.resize(2, 0);
        words.extend(cell.iter().flat_map(|code| code.to_le_bytes()));
    }
    same(&of(words).unwrap(), "words");
    let cast = |f: fn(i64) -> Vec<u8>, descr: &str| {
        let mut bytes = header(descr, "8,");
        bytes.extend(labels().into_iter().flat_map(f));
        bytes
    };
    same(&of(cast(|y| (y as i8).to_le_bytes().to_vec(), "|i1")).unwrap(), "i1");
    same(&of(cast(|y| (y as i16).to_be_bytes().to_vec(), ">i2")).unwrap(), "i2");
    same(&of(cast(|y| (y as u32).to_le_bytes().to_vec(), "<u4")).unwrap(), "u4");
    same(&of(cast(|y| (y as u64).to_be_bytes().to_vec(), ">u8")).unwrap(), "u8");
    same(&of(cast(|y| (y as f32).to_le_bytes().to_vec(), "<f4")).unwrap(), "f4");
    let message = of(header("<i8", "9999999999999, 9999999999")).unwrap_err().to_string();
    assert!(message.contains("no size of a file"), "{message}");
    let message = of(npy(&[0_i64; 7], &[7])).unwrap_err().to_string();
    assert!(message.contains("7 rows") && message.contains("have 8"), "{message}");
    let message = of(npy(&[0_i64; 8], &[8])[..100].to_vec()).unwrap_err().to_string();
    assert!(message.contains("y.npy") && message.contains("early"), "{message}");
}

#[test]
fn several_files_patterns_and_what_must_agree() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let text = csv(",");
    let lines: Vec<&str> = text.lines().collect();
    std::fs::write(path("part-2.csv"), [&lines[..1], &lines[4..]].concat().join("\n")).unwrap();
    std::fs::write(path("part-1.csv"), [&lines[..1], &lines[1..4]].concat().join("\n")).unwrap();
    let read = |names: &[PathBuf]| {
        let input = Input::files(names, None)?;
        Stream::open(&input, Fields::default())?.collect(None, OnBad::Refuse).map(|read| read.predictions)
    };
    same(&read(&[path("part-*.csv")]).unwrap(), "pattern");
    same(&read(&[path("part-1.csv"), path("part-2.csv")]).unwrap(), "files");
    assert!(read(&[path("none-*.csv")]).unwrap_err().to_string().contains("no file fits"));
    assert!(matches!(read(&[path("none.csv")]), Err(Error::Io { .. })));
    std::fs::write(path("two.csv"), "labels,logit_0,logit_1\n0,1,2\n").unwrap();
    let message = read(&[path("part-1.csv"), path("two.csv")]).unwrap_err().to_string();
    assert!(
        message.contains("two.csv: holds logits of 2 classes, but") && message.contains("logits of 3"),
        "{message}"
    );
    std::fs::write(path("probs.csv"), "labels,prob_0,prob_1,prob_2\n0,1,0,0\n").unwrap();
    let message = read(&[path("part-1.csv"), path("probs.csv")]).unwrap_err().to_string();
    assert!(message.contains("holds probs"), "{message}");
    std::fs::write(path("empty.csv"), "labels,logit_0,logit_1\n").unwrap();
    assert!(read(&[path("empty.csv")]).unwrap_err().to_string().contains("holds no rows"));
    same(&read(&[path("part-1.csv"), path("empty.csv"), path("part-2.csv")]).unwrap(), "an empty part");
    std::fs::write(path("x.data"), "?").unwrap();
    assert!(read(&[path("x.data")]).unwrap_err().to_string().contains("--format"));
    std::fs::write(path("x.npy"), "?").unwrap();
    assert!(read(&[path("x.npy")]).unwrap_err().to_string().contains("no labels"));
    assert!(read(&[folder.path().to_owned()]).unwrap_err().to_string().contains("is a folder"));
}

/// The problems of all rows of a file, by row.
fn problems(path: &Path, fields: Fields, ignore_index: Option<i64>) -> Vec<(u64, &'static str, String)> {
    let mut stream = stream(path, fields).unwrap();
    let mut found = Vec::new();
    while let Some((_, chunk)) = stream.next_chunk().unwrap() {
        let rows = check::check(&chunk, 0..chunk.n_rows(), ignore_index);
        let of =
            |(row, problem): (usize, Problem)| (chunk.first_row + row as u64, problem.code, problem.text);
        found.extend(rows.into_iter().map(of));
    }
    found
}

#[test]
fn each_row_that_cannot_be_used_is_told_with_what_was_found() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.ndjson");
    let cases = [
        (r#"{"labels": 0, "probs": [0.5, 0.5]}"#, None),
        (r#"{"labels": 0, "probs": [0.5, 0.6]}"#, Some(("probability_sum", "sum to 1.1"))),
        (r#"{"labels": 0, "probs": [1.5, -0.5]}"#, Some(("probability_range", "class 0 is 1.5"))),
        (r#"{"labels": 0, "probs": ["nan", 1]}"#, Some(("nan", "class 0 is NaN"))),
        (r#"{"labels": 2, "probs": [0.5, 0.5]}"#, Some(("label_range", "label 2 is no class"))),
        (r#"{"labels": -1, "probs": [0.5, 0.5]}"#, Some(("label_range", "label -1"))),
        (r#"{"labels": -100, "probs": [7, 7]}"#, None),
        (r#"{"labels": 0.5, "probs": [0.5, 0.5]}"#, Some(("label_text", "0.5"))),
        (r#"{"labels": "cat", "probs": [0.5, 0.5]}"#, Some(("label_text", "--class-names"))),
        (r#"{"labels": null, "probs": [0.5, 0.5]}"#, Some(("null", "labels is null"))),
        (r#"{"labels": 0}"#, Some(("null", "has no \"probs\""))),
        (r#"{"labels": 0, "probs": [0.5, null]}"#, Some(("null", "null"))),
        (r#"{"labels": 0, "probs": [1]}"#, Some(("ragged", "has 1 scores, but the first row has 2"))),
        (r#"{"labels": 0, "probs": [NaN, 1]}"#, Some(("unreadable", "line 14"))),
        (r#"{"labels": 0, "probs": {"a": 1}}"#, Some(("unreadable", "must hold numbers"))),
        (r#"[1, 2]"#, Some(("unreadable", "no JSON object"))),
        (r#"{"labels": 1, "probs": [0.5, 0.50005]}"#, None),
    ];
    std::fs::write(&path, cases.map(|case| case.0).join("\n")).unwrap();
    let found = problems(&path, Fields::default(), Some(-100));
    let mut found_rows = found.iter();
    for (row, (line, want)) in cases.iter().enumerate() {
        let Some((code, words)) = want else { continue };
        let got = found_rows.next().unwrap();
        assert_eq!((got.0, got.1), (row as u64, *code), "{line}: {got:?}");
        assert!(got.2.contains(words), "{line}: {got:?}");
    }
    assert_eq!(found_rows.next(), None);

    let error = read_with(&path, Fields::default()).unwrap_err();
    assert!(error.is_input());
    let message = error.to_string();
    assert!(message.starts_with("15 of 17 rows cannot be used"), "{message}");
    assert!(message.contains("p.ndjson, row 1: ") && message.contains("--on-bad skip"), "{message}");
    let Collected { predictions: kept, bad, .. } =
        stream(&path, Fields::default()).unwrap().collect(Some(-100), OnBad::Skip).unwrap();
    assert_eq!((kept.labels, bad.count, bad.first.len()), (vec![0, -100, 1], 14, 5));
    assert_eq!((bad.kinds["null"], bad.kinds["label_range"]), (3, 2));
}

#[test]
fn bad_logits_scores_and_confidences() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.csv");
    let of = |text: &str, fields: Fields| {
        std::fs::write(&path, text).unwrap();
        problems(&path, fields, None).into_iter().map(|(row, code, _)| (row, code)).collect::<Vec<_>>()
    };
    let logits =
        "labels,logit_0,logit_1\n0,1,-inf\n0,inf,0\n0,-inf,-inf\n1,nan,0\n0,x,1\n,1,2\n0,,2\n0,1\n1,0,0\n";
    assert_eq!(
        of(logits, Fields::default()),
        [
            (1, "infinite_logit"),
            (2, "no_allowed_class"),
            (3, "nan"),
            (4, "unreadable"),
            (5, "null"),
            (6, "null"),
            (7, "ragged")
        ]
    );
    assert_eq!(
        of("label,score\n0,0.2\n1,1.2\n2,0.5\n1,1\n", Fields::default()),
        [(1, "probability_range"), (2, "label_range")]
    );
    assert_eq!(
        of("correct,confidence\ntrue,0.2\n2,0.5\nFalse,-0.1\n", Fields::default()),
        [(1, "label_range"), (2, "probability_range")]
    );
    let weighted = Fields { weights: Some("w".into()), ..Fields::default() };
    assert_eq!(
        of("label,score,w\n0,0.2,1\n1,0.2,-1\n1,0.2,nan\n1,0.2,\n", weighted),
        [(1, "weight"), (2, "weight"), (3, "null")]
    );
}

#[test]
fn nulls_and_ragged_lists_of_arrow() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.parquet");
    let rows = || {
        vec![
            Some(vec![Some(0.5), Some(1.0)]),
            None,
            Some(vec![Some(0.5)]),
            Some(vec![Some(0.5), Some(1.0), Some(2.0)]),
            Some(vec![Some(0.5), None]),
            Some(vec![]),
            Some(vec![Some(7.0), Some(8.0)]),
        ]
    };
    let labels: ArrayRef =
        Arc::new(Int64Array::from(vec![Some(0), Some(0), Some(0), Some(0), Some(0), Some(0), None]));
    for lists in [lists::<i32>(rows()), lists::<i64>(rows())] {
        write_parquet_batch(&path, &batch(vec![("labels", Arc::clone(&labels)), ("logits", lists)]));
        let found = problems(&path, Fields::default(), None);
        let codes: Vec<(u64, &str)> = found.iter().map(|found| (found.0, found.1)).collect();
        assert_eq!(
            codes,
            [(1, "null"), (2, "ragged"), (3, "ragged"), (4, "null"), (5, "ragged"), (6, "null")]
        );
    }
    // What remains are the rows themselves, not those shifted by the bad ones.
    let good: ArrayRef = Arc::new(Int64Array::from(vec![0, 0, 0, 0, 0, 0, 1]));
    write_parquet_batch(&path, &batch(vec![("labels", good), ("logits", lists::<i32>(rows()))]));
    let kept = stream(&path, Fields::default()).unwrap().collect(None, OnBad::Skip).unwrap().predictions;
    assert_eq!(kept.scores.values, Values::F32(vec![0.5, 1.0, 7.0, 8.0]));
    assert_eq!(kept.labels, [0, 1]);
}

#[test]
fn labels_that_are_words_and_groups_of_any_type() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.parquet");
    let words: ArrayRef = Arc::new(StringArray::from(vec!["dog", "cat", "cow"]));
    let dictionary: DictionaryArray<Int32Type> = vec![Some("a"), None, Some("a")].into_iter().collect();
    let scores: ArrayRef = Arc::new(Float32Array::from(vec![0.5, 0.25, 1.0]));
    write_parquet_batch(
        &path,
        &batch(vec![("y", words), ("g", Arc::new(dictionary)), ("z0", Arc::clone(&scores)), ("z1", scores)]),
    );
    let names = ClassNames::new(vec!["cat".into(), "dog".into()]).unwrap();
    let fields = Fields {
        kind: Some(InputKind::Logits),
        scores: Some("z".into()),
        labels: Some("y".into()),
        group: Some("g".into()),
        class_names: Some(names),
        ..Fields::default()
    };
    let (_, chunk) = stream(&path, fields.clone()).unwrap().next_chunk().unwrap().unwrap();
    assert_eq!(chunk.labels[..2], [1, 0]);
    assert_eq!(chunk.problems[&2].text, "label \"cow\" is neither a class name nor an index");
    let groups = chunk.groups.unwrap();
    assert_eq!(
        (groups.names(), groups.rows()),
        (&["a".to_owned(), "(missing)".to_owned()][..], &[0, 1, 0][..])
    );
    let three = ClassNames::new(vec!["cat".into(), "dog".into(), "cow".into()]).unwrap();
    let mut stream = stream(&path, Fields { class_names: Some(three), ..fields }).unwrap();
    assert!(stream.next_chunk().unwrap_err().to_string().contains("lists 3"));
}

#[test]
fn files_that_are_damaged_or_of_another_kind_are_named() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["p.parquet", "p.arrow", "p.npz", "p.safetensors", "p.csv", "p.ndjson"] {
        let path = folder.path().join(name);
        for content in
            [&b""[..], b"ARROW1\0\0damaged", b"PAR1damagedPAR1", b"\xff\xff\xff\x7f\0\0\0\0{}", b"\n\n\n"]
        {
            std::fs::write(&path, content).unwrap();
            let error = read_with(&path, Fields::default()).unwrap_err();
            assert!(error.is_input() && error.to_string().contains(name), "{name}: {error}");
        }
    }
    let whole = gzipped(&csv(","));
    let path = folder.path().join("p.csv.gz");
    std::fs::write(&path, &whole[..whole.len() - 9]).unwrap();
    assert!(read_with(&path, Fields::default()).unwrap_err().to_string().contains("p.csv.gz"));
}

#[test]
fn labels_and_scores_of_different_length_are_refused() {
    let error = Predictions::from_logits(vec![0.0; 6], 3, vec![0]).unwrap_err();
    assert!(error.is_input());
    assert_eq!(error.to_string(), "labels (one for each row of scores) has 1 elements, but 2 are needed");
}

#[test]
fn the_figures_do_not_depend_on_the_number_of_threads() {
    let logits: Vec<f32> = (0..30_000).map(|i| ((i * 37) % 101) as f32 * 0.05).collect();
    let labels: Vec<i64> = (0..10_000).map(|i| i % 3).collect();
    let predictions = Predictions::from_logits(logits, 3, labels).unwrap();
    let on = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| predictions.evaluate(EvaluationOptions::default(), None).unwrap())
    };
    assert_eq!(on(1), on(3));
}

#[test]
fn probabilities_have_no_temperature() {
    let scores = Scores { kind: ScoreKind::Probs, values: Values::F64(vec![0.5, 0.5]), n_classes: 2 };
    let predictions = Predictions::new(scores, vec![0]).unwrap();
    assert!(matches!(predictions.fit_temperature(None), Err(Error::Config { .. })));
}
