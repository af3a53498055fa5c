//! Target rules and their theory through the public interface: what must hold for every row.

use std::collections::BTreeMap;

use candor::losses::{Batch, CrossEntropy, Loss};
use candor::parameters::{ParameterKind, ParameterValue};
use candor::targets::{self, *};
use candor::theory::{self, Explanation, TargetTheory};
use candor::{Buffers, Convention, Error, Labels};
use proptest::prelude::*;

/// A generator for the tests: SplitMix64 (Steele, Lea & Flood 2014), uniform on [0, 1).
struct Draws(u64);

impl Draws {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() * n as f64) as usize
    }
}

fn close(got: &[f64], want: &[f64], tolerance: f64) -> bool {
    got.len() == want.len() && got.iter().zip(want).all(|(g, w)| (g - w).abs() <= tolerance)
}

/// Each registered rule that is made from parameters, at its defaults.
fn rules(n_classes: usize) -> Vec<Box<dyn TargetRule>> {
    let made: Vec<_> = targets::ALL
        .iter()
        .filter(|entry| matches!(entry.make, Make::Rule(_)))
        .map(|entry| targets::by_name(entry.info.name, &BTreeMap::new(), n_classes).unwrap())
        .collect();
    assert!(made.len() >= 6, "the registry has lost rules: {made:?}");
    made
}

/// A smoothed batch of every form of target over four classes, with labels 0 to 3.
fn batches() -> Vec<(&'static str, Targets<'static>)> {
    const LABELS: &[i64] = &[0, 1, 2, 3];
    let labels = || Labels::new(LABELS, 4).unwrap();
    let cells: Vec<f64> = (0..16).map(|i| 1.0 + f64::from(i % 5)).collect();
    let votes: Vec<f64> = (0..16).map(|i| f64::from(i % 5)).collect();
    let ring = Graph::new(&[0, 2, 4, 6, 8], &[1, 3, 0, 2, 1, 3, 2, 0]).unwrap();
    let patch = Patch { top: 0, bottom: 1, left: 0, right: 1 };
    let taxonomy = Taxonomy::from_groups(&[0, 0, 1, 1]).unwrap();
    let mut all: Vec<(&'static str, Targets<'static>)> = vec![
        (
            "prior",
            Prior::from_counts(0.3, &[5.0, 0.0, 2.0, 1.0], 0.5, 0.75).unwrap().targets(labels()).unwrap(),
        ),
        ("matrix", Matrix::from_counts(0.3, &cells, 4, 0.0).unwrap().targets(labels()).unwrap()),
        ("class_similarity", ClassSimilarity::new(0.3, &cells, 4, 2.0).unwrap().targets(labels()).unwrap()),
        ("hierarchical", Hierarchical::new(4.0, &taxonomy).unwrap().targets(labels()).unwrap()),
        (
            "per_class",
            PerClass::new(&[0.0, 0.1, 0.5, 1.0], Convention::Uniform).unwrap().targets(labels()).unwrap(),
        ),
        (
            "per_sample",
            PerSample::new(Convention::OffClass).targets(labels(), &[0.0, 0.1, 0.5, 0.75]).unwrap(),
        ),
        (
            "confidence_adaptive",
            ConfidenceAdaptive::new(0.9, 0.5).unwrap().targets(labels(), &[0.3, 0.5, 0.9, 1.0]).unwrap(),
        ),
        ("neighbours", Neighbours::new(0.3).unwrap().targets(labels(), ring).unwrap()),
        ("posterior", Posterior::new(0.3, 1.0).unwrap().targets(labels(), ring).unwrap()),
        (
            "teacher",
            Teacher::new(0.1, 0.3, Leftover::Even)
                .unwrap()
                .targets(labels(), &[0, 1, 1, 0, 2, 0, 3, 1], &[0.5, 0.2, 0.6, 0.1, 0.9, 0.1, 0.4, 0.4])
                .unwrap(),
        ),
        ("mixup", Mixup::new(0.1).unwrap().targets(labels(), &[1, 2, 3, 3], &[0.3, 0.5, 1.0, 0.7]).unwrap()),
        ("cutmix", CutMix::new(0.1).unwrap().targets(labels(), &[1, 2, 3, 0], &[patch; 4], 2, 2).unwrap()),
        ("annotators", Annotators::new(0.5).unwrap().targets(&votes, 4).unwrap()),
        ("spatial", Spatial::new(1.0).unwrap().targets(labels(), &[1, 4]).unwrap()),
    ];
    all.extend(rules(4).iter().map(|rule| (rule.info().name, rule.targets(labels()).unwrap())));
    all
}

#[test]
fn every_registered_rule_is_covered_here() {
    let known: Vec<&str> = batches().iter().map(|(name, _)| *name).collect();
    for entry in targets::ALL {
        let elsewhere = matches!(entry.make, Make::Binary(_)) || entry.info.name == "disturb_label";
        assert!(elsewhere || known.contains(&entry.info.name), "{} has no batch here", entry.info.name);
    }
}

#[test]
fn every_row_sums_to_one_and_masses_are_not_negative() {
    for (name, targets) in batches() {
        assert!(targets.counted() > 0, "{name}");
        for row in targets.dense_matrix().chunks(4).filter(|row| row.iter().any(|q| *q != 0.0)) {
            assert!((row.iter().sum::<f64>() - 1.0).abs() < 1e-12, "{name}: {row:?}");
            // The one rule that is allowed to leave [0, 1].
            assert!(name == "generalised" || row.iter().all(|q| (0.0..=1.0).contains(q)), "{name}: {row:?}");
        }
    }
}

#[test]
fn masked_classes_get_no_mass_and_the_loss_stays_finite() {
    // Class 3 is masked; rows whose explicit part lies on it are an error, and left out.
    const MASKED: f64 = f64::NEG_INFINITY;
    for (name, targets) in batches() {
        let on_mask = |row| targets.row(row).is_none_or(|target| target.explicit_mass(3) > 0.0);
        let ignored: Vec<bool> = (0..targets.n_rows()).map(on_mask).collect();
        let logits: Vec<f64> = (0..targets.n_rows()).flat_map(|_| [0.5, -1.0, 0.25, MASKED]).collect();
        let run = |targets: &Targets<'_>, z: &mut [f64]| {
            CrossEntropy.value_grad_f64(Batch::new(Buffers::InPlace(z), targets), &mut Default::default())
        };
        if ignored.contains(&true) && targets.counted() == 4 {
            let error = run(&targets, &mut logits.clone()).unwrap_err();
            assert!(matches!(error, Error::MaskedTarget { class: 3, .. }), "{name}: {error}");
        }
        if ignored.iter().all(|ignored| *ignored) {
            assert_eq!(name, "posterior", "only a posterior gives explicit mass to every class");
            continue;
        }
        let targets = targets.with_ignored(ignored).unwrap();
        let mut z = logits.clone();
        let value = run(&targets, &mut z).unwrap();
        assert!(value.loss.is_finite(), "{name}");
        for row in z.chunks(4) {
            assert_eq!(row[3], 0.0, "{name}");
            assert!(row.iter().sum::<f64>().abs() < 1e-14, "{name}: the residual p - q sums to {row:?}");
        }
        let mut narrow: Vec<f32> = logits.iter().map(|z| *z as f32).collect();
        let batch = Batch::new(Buffers::InPlace(&mut narrow), &targets);
        let single = CrossEntropy.value_grad_f32(batch, &mut Default::default()).unwrap();
        assert!((single.loss - value.loss).abs() < 1e-6, "{name}: {} against {}", single.loss, value.loss);
    }
}

#[test]
fn single_precision_kernels_agree_with_every_form_of_target() {
    for (name, targets) in batches() {
        let mut z: Vec<f64> = (0..16).map(|i| f64::from(i * 7 % 11) / 4.0).collect();
        let mut narrow: Vec<f32> = z.iter().map(|z| *z as f32).collect();
        let batch = Batch::new(Buffers::InPlace(&mut z), &targets);
        let value = CrossEntropy.value_grad_f64(batch, &mut Default::default()).unwrap();
        let batch = Batch::new(Buffers::InPlace(&mut narrow), &targets);
        let single = CrossEntropy.value_grad_f32(batch, &mut Default::default()).unwrap();
        assert!((single.loss - value.loss).abs() < 1e-6, "{name}: {} against {}", single.loss, value.loss);
        let wide: Vec<f64> = narrow.iter().map(|g| f64::from(*g)).collect();
        assert!(close(&wide, &z, 1e-6), "{name}: {wide:?} against {z:?}");
    }
}

#[test]
fn the_article_s_worked_targets_in_both_conventions() {
    let q =
        |convention: Convention, n, label| convention.rule(0.1, n).unwrap().distribution(label, n).unwrap();
    let off = Convention::OffClass;
    assert!(close(&q(off, 3, 1), &[0.05, 0.9, 0.05], 1e-15));
    assert!(close(&q(off, 2, 1), &[0.1, 0.9], 1e-15));
    assert!(close(&q(off, 5, 0), &[0.9, 0.025, 0.025, 0.025, 0.025], 1e-15));
    let uniform = Convention::Uniform;
    assert!(close(&q(uniform, 3, 1), &[0.1 / 3.0, 0.9 + 0.1 / 3.0, 0.1 / 3.0], 1e-15));
    assert!(close(&q(uniform, 2, 1), &[0.05, 0.95], 1e-15));
    assert!(close(&q(uniform, 5, 0), &[0.92, 0.02, 0.02, 0.02, 0.02], 1e-15));
}

#[test]
fn margins_and_floors_of_the_published_table() {
    // K; off-class margin and floor, uniform label target, margin and floor, at strength 0.1.
    let table = [
        (2, 2.197225, 0.325083, 0.95, 2.944439, 0.198515),
        (3, 2.890372, 0.394398, 0.933333, 3.332205, 0.291140),
        (5, 3.583519, 0.463712, 0.92, 3.828641, 0.389673),
        (10, 4.394449, 0.544805, 0.91, 4.510860, 0.500288),
        (100, 6.792344, 0.784595, 0.901, 6.803505, 0.777797),
        (1000, 9.103979, 1.015758, 0.9001, 9.105091, 1.014848),
    ];
    for (k, off_margin, off_floor, label, margin, floor) in table {
        let off = Explanation::new(0.1, Convention::OffClass, k).unwrap();
        let uniform = Explanation::new(0.1, Convention::Uniform, k).unwrap();
        for (got, want) in [
            (off.margin.unwrap(), off_margin),
            (off.loss_floor, off_floor),
            (uniform.target_true, label),
            (uniform.margin.unwrap(), margin),
            (uniform.loss_floor, floor),
        ] {
            assert!((got - want).abs() < 1e-6, "K = {k}: {got} against {want}");
        }
    }
}

#[test]
fn strengths_and_lipschitz_constants_of_the_golden_methods() {
    // K, α; off-class margin and floor, uniform margin and floor, Lipschitz constant.
    let table = [
        (2, 0.05, 2.944439, 0.198515, 3.663562, 0.116907, 1.378858),
        (5, 0.2, 2.772589, 0.777661, 3.044522, 0.661477, 1.277498),
        (10, 0.1, 4.394449, 0.544805, 4.510860, 0.500288, 1.344991),
        (1000, 0.2, 8.293049, 1.881753, 8.294300, 1.880095, 1.280609),
    ];
    for (k, smoothing, off_margin, off_floor, margin, floor, lipschitz) in table {
        let off = Explanation::new(smoothing, Convention::OffClass, k).unwrap();
        let uniform = Explanation::new(smoothing, Convention::Uniform, k).unwrap();
        assert!((off.margin.unwrap() - off_margin).abs() < 1e-6);
        assert!((off.loss_floor - off_floor).abs() < 1e-6);
        assert!((uniform.margin.unwrap() - margin).abs() < 1e-6);
        assert!((uniform.loss_floor - floor).abs() < 1e-6);
        assert!((uniform.lipschitz_l2 - lipschitz).abs() < 1e-6);
    }
}

#[test]
fn the_json_of_an_explanation_has_the_agreed_keys() {
    let json = serde_json::to_value(Explanation::new(0.0, Convention::OffClass, 4).unwrap()).unwrap();
    for key in [
        "classes",
        "smoothing",
        "convention",
        "target_true",
        "target_other",
        "margin",
        "loss_floor",
        "lipschitz_l2",
        "gradient_linf",
        "equivalent",
        "expected_underconfidence",
    ] {
        assert!(json.get(key).is_some(), "{key}");
    }
    assert!(json["margin"].is_null());
    assert_eq!(json["convention"], "off_class");
    assert!(json["equivalent"]["uniform"].is_number() && json["equivalent"]["off_class"].is_number());
}

#[test]
fn value_and_gradient_of_generalised_smoothing_match_the_golden_vector() {
    // z = [2, -1, .5, .1], r = -.4, label 0.
    let mut z = [2.0_f64, -1.0, 0.5, 0.1];
    let targets = Generalised::new(-0.4).unwrap().targets(Labels::new(&[0], 4).unwrap()).unwrap();
    let batch = Batch::new(Buffers::InPlace(&mut z), &targets);
    let value = CrossEntropy.value_grad_f64(batch, &mut Default::default()).unwrap();
    assert!((value.loss + 0.2875940619).abs() < 1e-10);
    assert!(close(&z, &[-0.5970053083, 0.1350000448, 0.2568593181, 0.2051459454], 1e-10));
}

#[test]
fn hamming_sampling_over_all_sequences_is_off_class_smoothing() {
    // V = 4, T = 3, τ = .7: enumerate every sequence and look at the first token.
    let (v, t, temperature) = (4_usize, 3, 0.7_f64);
    let (mut total, mut changed) = (0.0, 0.0);
    for sequence in 0..v.pow(t) {
        let tokens = [sequence % v, sequence / v % v, sequence / v / v];
        let distance = tokens.iter().filter(|&&token| token != 0).count();
        let weight = (-(distance as f64) / temperature).exp();
        total += weight;
        changed += if tokens[0] == 0 { 0.0 } else { weight };
    }
    let strength = theory::hamming_raml_smoothing(temperature, v).unwrap();
    assert!((changed / total - strength).abs() < 1e-14);
    assert!((strength - 0.4182505651).abs() < 1e-10);
}

#[test]
fn the_mean_mixup_target_of_the_dominant_label_is_the_formula() {
    // Beta(2, 2) by the median of three uniforms; balanced labels over K classes, random partners.
    const ROWS: usize = 200_000;
    const K: usize = 5;
    let mut draws = Draws(7);
    let labels: Vec<i64> = (0..ROWS).map(|_| draws.below(K) as i64).collect();
    let partners: Vec<usize> = (0..ROWS).map(|_| draws.below(ROWS)).collect();
    let lambdas: Vec<f64> = (0..ROWS)
        .map(|_| {
            let mut three = [draws.next(), draws.next(), draws.next()];
            three.sort_by(f64::total_cmp);
            three[1].max(1.0 - three[1])
        })
        .collect();
    let labels = Labels::new(&labels, K).unwrap();
    let mixed = Mixup::new(0.0).unwrap().targets(labels, &partners, &lambdas).unwrap();
    let masses: Vec<f64> =
        (0..ROWS).map(|row| mixed.row(row).unwrap().explicit_mass(labels.get(row).unwrap())).collect();
    let mean = masses.iter().sum::<f64>() / ROWS as f64;
    let variance = masses.iter().map(|m| (m - mean) * (m - mean)).sum::<f64>() / (ROWS - 1) as f64;
    let alpha = theory::mixup_smoothing(2.0).unwrap();
    let expected = 1.0 - alpha + alpha / K as f64;
    let error = (variance / ROWS as f64).sqrt();
    assert!((mean - expected).abs() < 3.0 * error, "{mean} against {expected} ± {error}");
    // The bound would notice a wrong strength: that of Beta(1, 1) is far outside of it.
    assert!((theory::mixup_smoothing(1.0).unwrap() - alpha).abs() > 50.0 * error);
}

#[test]
fn the_mean_disturbed_label_is_the_uniform_target() {
    const ROWS: usize = 200_000;
    let data = vec![2_i64; ROWS];
    let rule = DisturbLabel::new(0.3).unwrap();
    let mut draws = Draws(11);
    let new = rule.resample(Labels::new(&data, 4).unwrap(), &mut || draws.next()).unwrap();
    let expected = rule.expected().unwrap().distribution(2, 4).unwrap();
    for (class, &q) in expected.iter().enumerate() {
        let share = new.iter().filter(|&&label| label == class as i64).count() as f64 / ROWS as f64;
        let error = (q * (1.0 - q) / ROWS as f64).sqrt();
        assert!((share - q).abs() < 3.0 * error, "class {class}: {share} against {q} ± {error}");
    }
}

#[test]
fn noise_and_smoothing_add_up_to_the_total_strength() {
    // Labels disturbed at rate ρ and then smoothed by α: (1-ρ)q(y) + ρ·mean over classes.
    let (rho, alpha, k) = (0.2, 0.1, 6);
    let rule = Uniform::new(alpha).unwrap();
    let rows: Vec<Vec<f64>> = (0..k).map(|label| rule.distribution(label, k).unwrap()).collect();
    let noisy: Vec<f64> = (0..k)
        .map(|c| (1.0 - rho) * rows[1][c] + rho * rows.iter().map(|row| row[c]).sum::<f64>() / k as f64)
        .collect();
    let total = theory::total_smoothing(rho, alpha).unwrap();
    assert!(close(&noisy, &Uniform::new(total).unwrap().distribution(1, k).unwrap(), 1e-15));
    // And the negative strength takes the noise away again.
    let correcting = theory::noise_correcting_strength(rho).unwrap();
    let rule = Generalised::new(correcting).unwrap();
    let rows: Vec<Vec<f64>> = (0..k).map(|label| rule.distribution(label, k).unwrap()).collect();
    let clean: Vec<f64> = (0..k)
        .map(|c| (1.0 - rho) * rows[1][c] + rho * rows.iter().map(|row| row[c]).sum::<f64>() / k as f64)
        .collect();
    assert!(close(&clean, &Uniform::new(0.0).unwrap().distribution(1, k).unwrap(), 1e-15));
}

#[test]
fn every_registered_rule_can_be_named_or_says_what_it_needs() {
    for entry in targets::ALL {
        let name = entry.info.name;
        let (rule, binary) =
            (targets::by_name(name, &BTreeMap::new(), 5), targets::binary_by_name(name, &BTreeMap::new(), 5));
        match entry.make {
            Make::Rule(_) => {
                assert!(rule.is_ok() && matches!(binary, Err(Error::NeedsData { .. })), "{name}")
            }
            Make::Binary(_) => {
                assert!(binary.is_ok() && matches!(rule, Err(Error::NeedsData { .. })), "{name}")
            }
            Make::Data(needs) => {
                assert!(rule.unwrap_err().to_string().contains(needs), "{name}");
                assert!(matches!(binary, Err(Error::NeedsData { .. })), "{name}");
            }
            _ => unreachable!("a new way to make a rule needs a case here"),
        }
    }
    assert!(matches!(
        targets::by_name("unifrom", &BTreeMap::new(), 5),
        Err(Error::UnknownName { nearest: "uniform", .. })
    ));
}

#[test]
fn declared_ranges_are_those_of_the_constructors() {
    for entry in targets::ALL.iter().filter(|entry| matches!(entry.make, Make::Rule(_))) {
        for parameter in entry.info.parameters {
            let ParameterKind::Number { min, max, .. } = parameter.kind else { continue };
            for bad in [min - 1.0, max * 2.0 + 1.0, f64::NAN] {
                let given = [(parameter.name.to_owned(), ParameterValue::Number(bad))].into();
                let error = targets::by_name(entry.info.name, &given, 5).unwrap_err();
                assert!(
                    matches!(error, Error::OutOfRange { argument, .. } if argument == parameter.name),
                    "{} {} {bad}: {error}",
                    entry.info.name,
                    parameter.name
                );
            }
        }
    }
}

proptest! {
    #[test]
    fn uniform_and_off_class_are_one_family(alpha in 0.0..=1.0_f64, k in 2..50_usize, label in 0..50_usize) {
        let label = label % k;
        let off = Convention::Uniform.to_off_class(alpha, k);
        prop_assert!((Convention::OffClass.to_uniform(off, k) - alpha).abs() < 1e-14);
        let a = Uniform::new(alpha).unwrap().distribution(label, k).unwrap();
        let b = OffClass::new(off.min(Convention::OffClass.max_smoothing(k)), k).unwrap();
        prop_assert!(close(&a, &b.distribution(label, k).unwrap(), 1e-14));
    }

    #[test]
    fn the_optimum_is_a_stationary_point_of_the_loss(
        masses in prop::collection::vec(0.01..1.0_f64, 2..12),
        smoothing in 0.0..0.9_f64,
    ) {
        let k = masses.len();
        let sum: f64 = masses.iter().sum();
        let rows: Vec<f64> = masses.iter().map(|m| m / sum).collect();
        let targets = Targets::distribution(DenseRows::F64(&rows), k).unwrap()
            .smoothed(smoothing, Background::OtherClasses);
        // Off-class strengths end at (K-1)/K.
        prop_assume!(smoothing <= (k - 1) as f64 / k as f64);
        let theory = TargetTheory::of_row(targets.row(0).unwrap(), k).unwrap();
        let mut z: Vec<f64> = theory.optimum().unwrap().iter().map(|p| p.ln() + 3.0).collect();
        prop_assert!((z[0] - z[1] - theory.margin(0, 1).unwrap()).abs() < 1e-12);
        let batch = Batch::new(Buffers::InPlace(&mut z), &targets);
        let value = CrossEntropy.value_grad_f64(batch, &mut Default::default()).unwrap();
        prop_assert!(theory.excess_loss(value.loss).unwrap().abs() < 1e-12);
        prop_assert!(z.iter().all(|g| g.abs() < 1e-13), "{z:?}");
    }

    #[test]
    fn no_gradient_exceeds_its_bounds(
        logits in prop::collection::vec(-30.0..30.0_f64, 5),
        alpha in 0.0..=1.0_f64,
        label in 0..5_usize,
    ) {
        let theory = TargetTheory::of_rule(&Uniform::new(alpha).unwrap(), label, 5).unwrap();
        let label = [label as i64];
        let targets = Uniform::new(alpha).unwrap().targets(Labels::new(&label, 5).unwrap()).unwrap();
        let mut z = logits;
        let batch = Batch::new(Buffers::InPlace(&mut z), &targets);
        CrossEntropy.value_grad_f64(batch, &mut Default::default()).unwrap();
        prop_assert!(z.iter().map(|g| g * g).sum::<f64>().sqrt() <= theory.lipschitz_l2() + 1e-14);
        prop_assert!(z.iter().map(|g| g.abs()).sum::<f64>() <= theory.gradient_l1() + 1e-14);
        prop_assert!(z.iter().all(|g| g.abs() <= theory.gradient_linf() + 1e-14));
    }

    #[test]
    fn binary_targets_stay_in_the_unit_interval(alpha in 0.0..=0.5_f64, labels in prop::collection::vec(0..4_i64, 1..9)) {
        let positives = Positives::one_of(Labels::new(&labels, 4).unwrap());
        for convention in [MultiLabelConvention::Half, MultiLabelConvention::Symmetric, MultiLabelConvention::OverClasses] {
            let rule = MultiLabel::new(&[alpha; 4], convention).unwrap();
            let targets = rule.targets(positives.clone()).unwrap();
            let (on, off) = targets.on_off(2).unwrap();
            prop_assert!(off <= on);
            prop_assert!(targets.dense_matrix().iter().all(|t| (0.0..=1.0).contains(t) && (*t == on || *t == off)));
        }
    }

    #[test]
    fn an_inner_voxel_stays_one_hot_and_a_row_is_a_distribution(mask in prop::collection::vec(0..3_i64, 36), sigma in 0.2..5.0_f64) {
        let labels = Labels::new(&mask, 3).unwrap();
        for shape in [&[6, 6][..], &[2, 3, 6], &[4, 3, 3]] {
            let targets = Spatial::new(sigma).unwrap().targets(labels, shape).unwrap();
            for (voxel, &label) in mask.iter().enumerate() {
                let q = targets.row(voxel).unwrap().dense(3);
                prop_assert!((q.iter().sum::<f64>() - 1.0).abs() < 1e-14);
                prop_assert!(q[label as usize] >= 0.5 - 1e-14);
            }
        }
        let flat = vec![mask[0]; 36];
        let targets = Spatial::new(sigma).unwrap().targets(Labels::new(&flat, 3).unwrap(), &[6, 6]).unwrap();
        prop_assert!((0..36).all(|voxel| targets.row(voxel).unwrap().dense(3)[mask[0] as usize] == 1.0));
    }

    #[test]
    fn what_is_smoothed_can_be_unsmoothed(masses in prop::collection::vec(0.001..1.0_f64, 2..8), alpha in 0.0..0.95_f64) {
        let k = masses.len() as f64;
        let sum: f64 = masses.iter().sum();
        let eta: Vec<f64> = masses.iter().map(|m| m / sum).collect();
        let p: Vec<f64> = eta.iter().map(|e| (1.0 - alpha) * e + alpha / k).collect();
        prop_assert!(close(&theory::unsmooth(&p, alpha).unwrap(), &eta, 1e-13));
    }
}
