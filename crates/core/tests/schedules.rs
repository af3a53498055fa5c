//! Schedules through the public interface: ends, order and range, for every registered one.

use std::collections::BTreeMap;

use candor::losses::Step;
use candor::parameters::ParameterValue;
use candor::schedules::{self, Schedule};
use proptest::prelude::*;

fn made(name: &str, numbers: &[(&str, f64)], by: &str) -> Schedule {
    let mut given: BTreeMap<String, ParameterValue> =
        numbers.iter().map(|(key, value)| ((*key).to_owned(), ParameterValue::Number(*value))).collect();
    given.insert("by".to_owned(), ParameterValue::Text(by.to_owned()));
    schedules::by_name(name, &given).unwrap()
}

/// The strengths of a training of 40 epochs of 5 steps, one a step, and one past the end.
fn strengths(schedule: &Schedule) -> Vec<f64> {
    (0..=200).map(|step| schedule.strength(Step { step, epoch: step / 5, steps: 200, epochs: 40 })).collect()
}

proptest! {
    #[test]
    fn curves_between_two_strengths_are_monotone_and_meet_their_ends(a in 0.0..=1.0_f64, b in 0.0..=1.0_f64) {
        for name in ["linear", "cosine", "two_stage", "ramp_up"] {
            for by in ["epoch", "step"] {
                let (start, end) = if name == "ramp_up" { (a.min(b), a.max(b)) } else { (a, b) };
                let schedule = made(name, &[("start", start), ("end", end)], by);
                let values = strengths(&schedule);
                prop_assert_eq!(values[0], start, "{}", name);
                prop_assert_eq!(values[200], end, "{}", name);
                let ordered = |pair: &[f64]| if start <= end { pair[0] <= pair[1] } else { pair[0] >= pair[1] };
                prop_assert!(values.windows(2).all(ordered), "{} {:?}", name, values);
                let (low, high) = schedule.range();
                prop_assert!(values.iter().all(|v| (low..=high).contains(v)), "{}", name);
            }
        }
    }

    #[test]
    fn decays_fall_from_their_start_and_stay_in_range(start in 0.0..=1.0_f64, factor in 0.0..=1.0_f64) {
        for (name, key) in [("exponential", "decay"), ("step", "factor"), ("paced", "decay")] {
            let schedule = made(name, &[("start", start), (key, factor)], "epoch");
            let values = strengths(&schedule);
            prop_assert_eq!(values[0], start, "{}", name);
            prop_assert!(values.windows(2).all(|pair| pair[0] >= pair[1]), "{}", name);
            let (low, high) = schedule.range();
            prop_assert!(values.iter().all(|v| (low..=high).contains(v)), "{}", name);
        }
    }

    #[test]
    fn a_warm_up_starts_at_zero_and_ends_at_its_strength(smoothing in -2.0..=1.0_f64, warm_up in 1.0..150.0_f64) {
        for shape in ["linear", "hold"] {
            let text = format!(r#"{{"name":"warm_up","smoothing":{smoothing},"warm_up":{warm_up},"shape":"{shape}","by":"step"}}"#);
            let schedule: Schedule = serde_json::from_str(&text).unwrap();
            let values = strengths(&schedule);
            let (low, high) = schedule.range();
            prop_assert_eq!(values[0], 0.0);
            prop_assert!((values[200] - smoothing).abs() < 1e-15);
            prop_assert!(values.iter().all(|v| (low..=high).contains(v)));
            prop_assert!(values.windows(2).all(|pair| pair[0].abs() <= pair[1].abs()));
        }
    }
}

#[test]
fn by_epoch_the_strength_is_level_within_an_epoch() {
    for entry in schedules::ALL {
        let schedule = made(entry.info.name, &[], "epoch");
        let values = strengths(&schedule);
        assert!(values[..200].chunks(5).all(|epoch| epoch.iter().all(|v| *v == epoch[0])), "{schedule:?}");
        // And by step it is the step that counts.
        let by_step = made(entry.info.name, &[], "step");
        let at = |epoch| by_step.strength(Step { step: 3, epoch, steps: 200, epochs: 40 });
        assert_eq!(at(0), at(39), "{}", entry.info.name);
    }
}

#[test]
fn no_registered_schedule_leaves_the_unit_interval_at_its_defaults() {
    for entry in schedules::ALL {
        let schedule = schedules::by_name(entry.info.name, &BTreeMap::new()).unwrap();
        let (low, high) = schedule.range();
        assert!(0.0 <= low && low <= high && high <= 1.0, "{}", entry.info.name);
        for step in [Step::default(), Step { step: u64::MAX, epoch: u64::MAX, steps: 1, epochs: 1 }] {
            let strength = schedule.strength(step);
            assert!((low..=high).contains(&strength), "{} {strength}", entry.info.name);
        }
    }
}
