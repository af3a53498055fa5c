//! What holds for every page: order, escaping, text alternatives, size, nothing from the network.

use proptest::prelude::*;

use super::*;
use crate::metrics::{Evaluation, EvaluationOptions, Evaluator, Scorer};
use crate::report::comparison::tests::run;
use crate::report::{Comparison, Warning};

fn evaluation(sharpness: f64) -> Evaluation {
    let mut evaluator = Evaluator::new(EvaluationOptions::default()).unwrap();
    let mut scorer = Scorer::default();
    for i in 0..400_usize {
        let logits = [sharpness * (i % 7) as f64 / 3.0, 0.0, sharpness * (i % 3) as f64 / 4.0];
        evaluator.update(scorer.logits(i, &logits, if i % 5 == 0 { 1 } else { 0 }).unwrap());
    }
    evaluator.compute().unwrap()
}

/// A comparison of so many strengths, seeds and epochs.
fn compared(strengths: usize, seeds: u64, epochs: usize) -> (Comparison, Vec<RunDetail>) {
    let (before, after) = (evaluation(2.0), evaluation(1.0));
    let (mut records, mut details) = (Vec::new(), Vec::new());
    for strength in 0..strengths {
        for seed in 0..seeds {
            let offset = (strength as f64 + seed as f64 / 7.0) * 0.01;
            let names = ["accuracy", "nll", "ece", "signed_gap", "brier", "aurc"];
            let figures = names.map(|name| (name, before.value(name) + offset, after.value(name)));
            let record = run(strength as f64 * 0.05, seed, 0.3 + offset, &figures);
            let epoch = |epoch: usize| EpochPoint {
                epoch,
                train_loss: 1.0 / epoch as f64,
                train_nll: 1.0 / epoch as f64,
                validation_nll: Some(0.5),
                validation_ece: Some(0.1),
                validation_accuracy: Some(0.9),
                ..EpochPoint::default()
            };
            let mut margins = Histogram::new(0.0, 5.0, 10);
            margins.add(1.5 + offset);
            details.push(RunDetail {
                variant: record.variant.clone(),
                seed,
                test: before.clone(),
                test_after_temperature: Some(after.clone()),
                temperature: Some(1.2),
                epochs: (1..=epochs).map(epoch).collect(),
                confidence: None,
                confidence_after_temperature: None,
                margins: Some(margins),
            });
            records.push(record);
        }
    }
    (Comparison::new("vision", "some/where/digits", records), details)
}

fn pages() -> Vec<Page> {
    let (comparison, runs) = compared(3, 2, 5);
    let facts = vec![("Data".to_owned(), "digits".to_owned())];
    let extras = EvaluationExtras {
        groups: vec![("a group".to_owned(), evaluation(0.5))],
        margins: runs[0].margins.clone(),
        facts: facts.clone(),
        configuration: facts.clone(),
        ..EvaluationExtras::default()
    };
    vec![
        Page::comparison(&comparison, &runs, facts.clone(), facts.clone()),
        Page::run("some/where/digits", &runs[0], facts.clone(), facts.clone()),
        Page::evaluation("p.parquet", &runs[0].test, extras),
    ]
}

#[test]
fn a_comparison_has_its_pictures_in_order() {
    let names: Vec<String> = pages().remove(0).figures.into_iter().map(|figure| figure.name).collect();
    assert_eq!(
        names,
        [
            "reliability",
            "reliability-with-temperature",
            "measures",
            "training",
            "validation",
            "confidence",
            "margins"
        ]
    );
}

#[test]
fn a_page_reads_verdict_first_and_explains_itself_last() {
    let mut page = pages().remove(0);
    page.warnings.push(Warning::new("some_code", "something: do this"));
    let html = render(&page);
    let order = ["verdict", "warnings", "table-0", "reliability", "margins", "configuration", "reading"];
    let places: Vec<usize> =
        order.iter().map(|name| html.find(&format!("<section id=\"{name}\"")).expect(name)).collect();
    assert!(places.is_sorted(), "{places:?}");
    assert!(html.contains("<strong>What to do:</strong> do this."));
    for part in
        ["<html lang=\"en\">", "<main>", "<nav ", "<header>", "class=\"skip\"", "prefers-color-scheme"]
    {
        assert!(html.contains(part), "{part}");
    }
}

#[test]
fn every_picture_says_its_numbers() {
    for page in pages() {
        let html = render(&page);
        let panels: usize = page.figures.iter().map(|figure| figure.panels.len()).sum();
        let pictures: Vec<&str> =
            html.split("<svg ").skip(1).filter_map(|rest| rest.split('>').next()).collect();
        let (hidden, shown): (Vec<&str>, Vec<&str>) =
            pictures.into_iter().partition(|tag| tag.contains("aria-hidden=\"true\""));
        assert_eq!(shown.len(), panels);
        assert!(!hidden.is_empty());
        for tag in shown {
            let label = tag.split("aria-label=\"").nth(1).expect(tag);
            assert!(
                tag.contains("role=\"img\"") && label.matches(|c: char| c.is_ascii_digit()).count() > 8,
                "{tag}"
            );
        }
        for figure in &page.figures {
            assert!(!figure.reading.is_empty() && !figure.caption.is_empty() && !figure.legend.is_empty());
            assert!(svg(figure).contains("<title>") && svg(figure).contains("<desc>"));
        }
    }
}

#[test]
fn every_row_fits_its_headings_and_numbers_have_their_keys() {
    for page in pages() {
        for table in &page.tables {
            assert!(!table.rows.is_empty());
            for row in &table.rows {
                assert_eq!(row.cells.len(), table.headings.len(), "{}", table.title);
            }
        }
    }
    let page = pages().remove(0);
    let key = |row: usize, heading: &str| {
        let column = page.tables[0].headings.iter().position(|found| found.name == heading).unwrap();
        page.tables[0].rows[row].cells[column].key
    };
    assert_eq!((key(0, "Smoothing"), key(2, "Smoothing")), (Some(0.0), Some(0.05)));
    assert!(key(0, "ECE") < key(2, "ECE") && key(0, "ECE").is_some());
    assert_eq!(key(0, "change in ECE"), None);
    assert!((key(2, "change in ECE").unwrap() - 0.01).abs() < 1e-9);
    assert!(render(&page).contains("<th scope=\"row\" data-k=\"0.05\">0.05"));
    assert_eq!(Cell::number("∞", f64::INFINITY).key, None);
}

#[test]
fn beside_every_calibration_error_stands_what_qualifies_it() {
    for page in pages() {
        for panel in page.figures.iter().flat_map(|figure| &figure.panels) {
            let has = |name: &str| panel.facts.iter().any(|fact| fact.0 == name);
            if has("ECE") {
                assert!(
                    ["if calibrated", "gap", "Brier", "NLL", "AURC"].iter().all(|name| has(name)),
                    "{panel:?}"
                );
                assert!(panel.facts.iter().any(|fact| fact.1.contains("95 %")));
            }
        }
    }
}

#[test]
fn nothing_is_loaded() {
    for page in pages() {
        let html = render(&page);
        for sign in ["://", "<link", "<img", " src=", "@import", "url(", "fetch("] {
            assert!(!html.contains(sign), "{sign}");
        }
    }
}

#[test]
fn a_large_comparison_stays_below_two_megabytes() {
    let (comparison, runs) = compared(30, 6, 400);
    let page = Page::comparison(&comparison, &runs, Vec::new(), Vec::new());
    let html = render(&page);
    assert!(html.len() < 2_000_000, "{}", html.len());
    assert!(html.contains("Shown are 12 of 30 settings"));
    assert_eq!(page.tables[0].rows.len(), 60);
}

#[test]
fn settings_of_several_runs_are_joined() {
    let run = |seed: &str| vec![("seed".to_owned(), seed.to_owned()), ("model".to_owned(), "mlp".to_owned())];
    let joined = Page::joined_configuration(&[run("0"), run("1"), run("0")]);
    assert_eq!(joined, [("seed".to_owned(), "0, 1".to_owned()), ("model".to_owned(), "mlp".to_owned())]);
}

#[test]
fn a_comparison_without_runs_or_details_still_has_a_page() {
    let empty = Comparison::new("vision", "digits", Vec::new());
    assert!(render(&Page::comparison(&empty, &[], Vec::new(), Vec::new())).contains("</html>"));
    let (comparison, _) = compared(2, 1, 1);
    let page = Page::comparison(&comparison, &[], Vec::new(), Vec::new());
    assert_eq!(page.figures.len(), 1);
}

/// A page and a figure that carry this text wherever data can come in.
fn carrying(text: &str) -> (Page, Figure) {
    // Long enough to count as words, and never empty.
    let text = format!("a text: {text}");
    let pairs = vec![(text.clone(), text.clone())];
    let point = Point { x: 0.5, y: 0.5, bar: None, note: text.clone() };
    let block = Block { x: [0.0, 0.5], y: [0.0, 0.5], note: text.clone() };
    let axis = Axis { label: text.clone(), low: 0.0, high: 1.0, ticks: vec![(0.5, text.clone())] };
    let paint = Paint::solid(Role::Series(0));
    let plot = Plot {
        x: axis.clone(),
        y: axis,
        layers: vec![
            Layer::Points { paint, mark: Mark::Circle, points: vec![point] },
            Layer::Blocks { paint, blocks: vec![block] },
        ],
        strip: None,
    };
    let panel = Panel { title: text.clone(), description: text.clone(), facts: pairs.clone(), plot };
    let figure = Figure {
        name: text.clone(),
        title: text.clone(),
        caption: text.clone(),
        reading: text.clone(),
        legend: vec![LegendEntry { mark: Mark::Circle, paint, text: text.clone() }],
        panels: vec![panel],
    };
    let heading = Heading { name: text.clone(), explanation: text.clone() };
    let cell = Cell::text(text.clone()).with_below(text.clone());
    let row = Row { cells: vec![cell.clone(), cell], recommended: false };
    let table = Table {
        title: text.clone(),
        note: text.clone(),
        headings: vec![heading.clone(), heading],
        rows: vec![row],
    };
    let page = Page {
        title: text.clone(),
        lead: text.clone(),
        facts: pairs.clone(),
        verdict: vec![text.clone(), text.clone()],
        explanation: text.clone(),
        recommendation: Some(format!("Recommended: {text}")),
        warnings: vec![Warning::new(&text, format!("found: {text}"))],
        tables: vec![table],
        figures: vec![figure.clone()],
        configuration: pairs.clone(),
        glossary: pairs,
    };
    (page, figure)
}

/// What a parser would act on.
fn markup(document: &str) -> [usize; 4] {
    ["<", ">", "\"", "'"].map(|sign| document.matches(sign).count())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_text_stays_text(text in "\\PC*|(<|>|&|\"|'|/|=|script|svg|--|\\[|#010003|\u{0}|\n|: |a){0,12}") {
        let ((page, figure), (harmless, plain)) = (carrying(&text), carrying("longer text"));
        prop_assert_eq!(markup(&render(&page)), markup(&render(&harmless)));
        prop_assert_eq!(markup(&svg(&figure)), markup(&svg(&plain)));
        let nul = svg(&figure).contains('\0');
        prop_assert!(!nul);
    }
}
