//! Every declared parameter of every method refuses what lies outside its range, with its name and the range.

use std::collections::BTreeMap;

use candor::parameters::{Parameter, ParameterKind, ParameterValue};
use candor::targets::{self, Make};
use candor::theory::{ReportOptions, RuleReport};
use candor::{Error, Result, losses, schedules};

type Given = BTreeMap<String, ParameterValue>;

/// A way to make a method from parameters.
type Maker = Box<dyn Fn(&Given) -> Result<()>>;

/// Every registered method: its family, its name, its parameters and how to make it.
fn methods() -> Vec<(&'static str, &'static str, &'static [Parameter], Maker)> {
    let mut all: Vec<(&str, &str, &[Parameter], Maker)> = Vec::new();
    for entry in losses::ALL {
        let name = entry.info.name;
        let make: Maker = Box::new(move |given| losses::by_name(name, given).map(drop));
        all.push(("loss", name, entry.info.parameters, make));
    }
    for entry in schedules::ALL {
        let name = entry.info.name;
        let make: Maker = Box::new(move |given| schedules::by_name(name, given).map(drop));
        all.push(("schedule", name, entry.info.parameters, make));
    }
    for entry in targets::ALL {
        let name = entry.info.name;
        let make: Maker = match entry.make {
            Make::Rule(_) => Box::new(move |given| targets::by_name(name, given, 5).map(drop)),
            Make::Binary(_) => Box::new(move |given| targets::binary_by_name(name, given, 5).map(drop)),
            // Rules of data are made on example data.
            _ => Box::new(move |given| RuleReport::new(name, given, 5, ReportOptions::default()).map(drop)),
        };
        all.push(("target", name, entry.info.parameters, make));
    }
    all
}

fn given(name: &str, value: ParameterValue) -> Given {
    [(name.to_owned(), value)].into()
}

/// Parameters whose declared end is not accepted with the others at their defaults, and why.
const BOUND_BY_OTHERS: &[(&str, &str, f64, &str)] = &[
    ("off_class", "smoothing", 1.0, "the strength ends at (K-1)/K"),
    ("pad_excluding", "smoothing", 1.0, "the strength ends at (K-2)/(K-1)"),
    ("pad_excluding", "pad", u32::MAX as f64, "the padding must be one of the classes"),
    ("one_sided", "smoothing_fake", 1.0, "both strengths together end at 1"),
    ("ramp_up", "start", 1.0, "a ramp may not go down"),
    ("ramp_up", "end", 0.0, "a ramp may not go down"),
];

#[test]
fn every_number_outside_its_range_is_refused_by_name_value_and_range() {
    let (mut numbers, mut words) = (0, 0);
    for (family, name, parameters, make) in methods() {
        make(&Given::new()).unwrap_or_else(|error| panic!("{family} {name}: {error}"));
        for parameter in parameters {
            match parameter.kind {
                ParameterKind::Number { default, min, max } => {
                    numbers += 1;
                    assert!((min..=max).contains(&default), "{name} {}", parameter.name);
                    // The next numbers below and above, and everything that is no number.
                    for bad in [min.next_down(), max.next_up(), f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
                        let error = make(&given(parameter.name, ParameterValue::Number(bad))).unwrap_err();
                        let Error::OutOfRange { argument, got, min: low, max: high, .. } = error else {
                            panic!("{family} {name} {} = {bad}: {error}", parameter.name)
                        };
                        assert_eq!((argument, low, high), (parameter.name, min, max), "{family} {name}");
                        assert!(got == bad || (got.is_nan() && bad.is_nan()), "{got} instead of {bad}");
                        let message = error.to_string();
                        for part in
                            [parameter.name.to_owned(), bad.to_string(), min.to_string(), max.to_string()]
                        {
                            assert!(message.contains(&part), "{message:?} does not say {part}");
                        }
                    }
                    let error = make(&given(parameter.name, ParameterValue::Text("much".to_owned())));
                    assert!(matches!(error, Err(Error::ParameterKind { .. })), "{name} {}", parameter.name);
                }
                ParameterKind::Choice { default, options } => {
                    words += 1;
                    assert!(options.contains(&default), "{name} {}", parameter.name);
                    let error = make(&given(parameter.name, ParameterValue::Text("none such".to_owned())));
                    assert!(matches!(error, Err(Error::UnknownName { .. })), "{name} {}", parameter.name);
                    let error = make(&given(parameter.name, ParameterValue::Number(1.0)));
                    assert!(matches!(error, Err(Error::ParameterKind { .. })), "{name} {}", parameter.name);
                }
                _ => unreachable!("a new kind of parameter needs a case here"),
            }
        }
        let error = make(&given("no such parameter", ParameterValue::Number(1.0)));
        assert!(matches!(error, Err(Error::UnknownName { .. })), "{family} {name}: {error:?}");
    }
    assert!(numbers >= 80 && words >= 25, "the walk finds {numbers} numbers and {words} words only");
}

#[test]
fn both_ends_of_every_range_are_accepted_or_refused_for_a_stated_reason() {
    let mut needed = vec![false; BOUND_BY_OTHERS.len()];
    for (family, name, parameters, make) in methods() {
        for parameter in parameters {
            let ParameterKind::Number { min, max, .. } = parameter.kind else { continue };
            for end in [min, max] {
                let result = make(&given(parameter.name, ParameterValue::Number(end)));
                let excuse = BOUND_BY_OTHERS
                    .iter()
                    .position(|(rule, key, at, _)| *rule == name && *key == parameter.name && *at == end);
                match (result, excuse) {
                    (Ok(()), None) => {}
                    (Err(Error::OutOfRange { .. }), Some(i)) => needed[i] = true,
                    (other, _) => panic!("{family} {name} {} = {end}: {other:?}", parameter.name),
                }
            }
        }
    }
    for ((name, key, end, _), needed) in BOUND_BY_OTHERS.iter().zip(needed) {
        assert!(needed, "{name} {key} = {end} needs no exception");
    }
}
