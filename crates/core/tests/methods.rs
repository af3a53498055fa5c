//! Published losses against values and gradients computed elsewhere: `golden/methods.txt` on one row, and
//! `golden/further_methods.txt` (made by the script beside it) on a batch of three.

use std::collections::BTreeSet;

use candor::losses::{LossOptions, LossState};
use candor::parameters::ParameterKind;
use candor::targets::{Background, Convention};
use candor::{Labels, Targets};

use crate::trial::{Trial, loss, near};

const METHODS: &str = include_str!("golden/methods.txt");
const FURTHER: &str = include_str!("golden/further_methods.txt");

/// Names in the files, and the loss with its parameters.
pub const GOLDEN: &[(&str, &str)] = &[
    ("ce", "cross_entropy"),
    ("ls_b", "cross_entropy"),
    ("ls_a", "cross_entropy"),
    ("gls_neg", "cross_entropy"),
    ("conf_penalty", "confidence_penalty"),
    ("label_relax", "label_relaxation"),
    ("mbls", "mbls:margin=1,form=code"),
    ("acls", "acls:margin=1"),
    ("acls_grad_detached", "acls:margin=1"),
    ("maxsup", "maxsup"),
    ("focal", "focal:gamma=2"),
    ("poly1", "poly1"),
    ("dual_focal", "dual_focal"),
    ("boot_soft", "bootstrap_soft"),
    ("boot_hard", "bootstrap_hard"),
    ("forward_sym", "forward_correction"),
    ("backward_sym", "backward_correction"),
    ("brier", "brier"),
    ("logit_penalty", "logit_penalty"),
    ("gce_q07", "generalised_cross_entropy"),
    ("zipf_rank_logits", "zipf"),
    ("binary_cross_entropy", "binary_cross_entropy"),
    ("binary_cross_entropy_weighted", "binary_cross_entropy:pos_weight=3"),
    ("online_label_smoothing", "online_label_smoothing"),
    ("logit_norm", "logit_norm"),
    ("tf_kd", "tf_kd"),
    ("tf_kd_code", "tf_kd:form=code"),
    ("distillation", "distillation"),
    ("flsd53", "flsd53"),
    ("symmetric_cross_entropy", "symmetric_cross_entropy"),
    ("hierarchical_cross_entropy", "hierarchical_cross_entropy"),
    ("mlslr", "mlslr"),
    ("confidence_hinged", "confidence_penalty:penalty=hinged"),
    ("mbls_sum", "mbls:margin=1"),
    ("zipf_all", "zipf:form=code"),
    ("zipf_votes", "zipf:ranks=votes"),
    ("zipf_right", "zipf:rows=right"),
    ("sigmoid_focal", "sigmoid_focal"),
    ("sigmoid_focal_unbalanced", "sigmoid_focal:gamma=1.5,balance=none"),
    ("confidence_code", "confidence_penalty:form=code"),
    ("mdca", "mdca"),
    ("mmce", "mmce"),
    ("mmce_code", "mmce:form=code"),
];

fn spec(name: &str) -> &'static str {
    let found = GOLDEN.iter().find(|(golden, _)| *golden == name);
    found.unwrap_or_else(|| panic!("no loss is named for the golden values {name:?}")).1
}

/// The smoothed targets of the golden cross-entropies.
fn smoothed<'a>(name: &str, labels: &'a [i64]) -> Targets<'a> {
    let labels = Labels::new(labels, 4).unwrap();
    match name {
        "ls_b" => Convention::Uniform.rule(0.1, 4).unwrap().targets(labels).unwrap(),
        "ls_a" => Convention::OffClass.rule(0.1, 4).unwrap().targets(labels).unwrap(),
        "gls_neg" => Targets::labels(labels).smoothed(-0.4, Background::Uniform),
        _ => Targets::labels(labels),
    }
}

#[test]
fn one_row() {
    let mut read = 0;
    // The lines of methods: a name, the label, the loss or a dash, and the gradient if there is one.
    for line in METHODS.lines().filter(|line| line.contains(" y=")) {
        let (name, rest) = line.split_once(" y=").unwrap();
        let (label, rest) = rest.split_once(' ').unwrap();
        let (value, gradient) = rest.split_once(' ').unwrap();
        let trial = Trial {
            n_classes: 4,
            logits: vec![2.0, -1.0, 0.5, 0.1],
            labels: vec![label.parse().unwrap()],
            teacher: vec![0.0; 4],
        };
        let targets = smoothed(name, &trial.labels);
        let mut state = LossState::default();
        let got = trial
            .run_on::<f64>(loss(spec(name)).as_ref(), &targets, LossOptions::default(), &mut state)
            .unwrap();
        // Ten digits are printed, so half a unit of the last is 5e-11.
        if value != "-" {
            near(line, &[got.value.loss], &[value.parse().unwrap()], 1e-10).unwrap();
        }
        let gradient: Vec<f64> =
            gradient.trim_matches(['[', ']']).split_terminator(", ").map(|g| g.parse().unwrap()).collect();
        if !gradient.is_empty() {
            near(line, &got.gradient, &gradient, 1e-10).unwrap();
        }
        read += 1;
    }
    assert_eq!(read, 42);
}

#[test]
fn a_batch() {
    let trial = Trial {
        n_classes: 4,
        logits: vec![2.0, -1.0, 0.5, 0.1, 0.3, 1.7, -0.4, 1.1, -2.5, 0.2, 3.1, 0.6],
        labels: vec![0, 2, 2],
        teacher: vec![3.0, 0.0, 1.0, -1.0, 0.0, 1.0, 2.0, 0.5, 1.0, 1.0, -1.0, 0.0],
    };
    let mut read = 0;
    for line in FURTHER.lines() {
        let (name, numbers) = line.split_once(' ').unwrap();
        let numbers: Vec<f64> = numbers.split(' ').map(|number| number.parse().unwrap()).collect();
        let (options, mut state) = (LossOptions::default(), LossState::default());
        let got = trial
            .run_on::<f64>(loss(spec(name)).as_ref(), &trial.targets(), options, &mut state)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        // Everything is computed in double precision from sums of a few terms near 1.
        near(name, &[got.value.loss], &numbers[..1], 1e-13).unwrap();
        near(name, &got.gradient, &numbers[1..], 1e-13).unwrap();
        read += 1;
    }
    assert_eq!(read, 22);
}

/// Names of the lines of both files that hold a value, and of those that hold a gradient.
fn held() -> (BTreeSet<&'static str>, BTreeSet<&'static str>) {
    let (mut values, mut gradients) = (BTreeSet::new(), BTreeSet::new());
    for line in METHODS.lines() {
        let Some((name, rest)) = line.split_once(" y=") else { continue };
        if !rest.contains(" - ") {
            values.insert(name);
        }
        if rest.contains('[') && !rest.contains("[]") {
            gradients.insert(name);
        }
    }
    for line in FURTHER.lines() {
        let mut words = line.split(' ');
        let name = words.next().unwrap_or_default();
        values.insert(name);
        if words.count() == 13 {
            gradients.insert(name);
        }
    }
    (values, gradients)
}

#[test]
fn every_registered_loss_and_each_of_its_forms_has_a_golden_value_and_gradient() {
    let (values, gradients) = held();
    let named: BTreeSet<&str> = GOLDEN.iter().map(|(name, _)| *name).collect();
    let read: BTreeSet<&str> = values.union(&gradients).copied().collect();
    assert_eq!(named, read, "GOLDEN and the files name different values");
    let specs = |held: &BTreeSet<&str>| -> BTreeSet<&str> {
        GOLDEN.iter().filter(|(name, _)| held.contains(name)).map(|(_, spec)| *spec).collect()
    };
    for held in [specs(&values), specs(&gradients)] {
        for entry in candor::losses::ALL {
            let of_loss = |spec: &&&str| spec.split(':').next() == Some(entry.info.name);
            assert!(held.iter().any(|spec| of_loss(&spec)), "{} has no golden value", entry.info.name);
            for parameter in entry.info.parameters {
                let ParameterKind::Choice { default, options } = parameter.kind else { continue };
                for option in options.iter().filter(|option| **option != default) {
                    let word = format!("{}={option}", parameter.name);
                    let known = held.iter().filter(of_loss).any(|spec| spec.contains(&word));
                    let excused =
                        WITHOUT_GOLDEN.iter().any(|(loss, key, _)| *loss == entry.info.name && word == *key);
                    assert!(
                        known != excused,
                        "{} {word}: golden {known}, excused {excused}",
                        entry.info.name
                    );
                }
            }
        }
    }
}

/// Words of a parameter for which no other implementation's value is needed, and why.
const WITHOUT_GOLDEN: &[(&str, &str, &str)] = &[
    ("binary_cross_entropy", "classes=sum", "the golden family of timm has it with sum_classes"),
    ("sigmoid_focal", "classes=sum", "K times the mean; by hand in the file"),
    ("hierarchical_cross_entropy", "taxonomy=flat", "a weight of exp(-α) on cross-entropy; an identity"),
];
