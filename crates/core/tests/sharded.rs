//! Cross-entropy over shards of the classes against the loss over all of them at once.

use candor::kernels::isa::Isa;
use candor::losses::{ClassShard, LossOptions, Reduction, RowShard};
use candor::targets::Background;
use candor::{Convention, Error, Labels, Logits, Targets};

use crate::problem::Stream;
use crate::run::{double, single};

/// The columns of a shard.
fn columns<T: Copy>(logits: &[T], k: usize, first: usize, len: usize) -> Vec<T> {
    logits.chunks_exact(k).flat_map(|row| &row[first..first + len]).copied().collect()
}

/// Random places where the classes are cut, some of them next to each other.
fn cuts(stream: &mut Stream, k: usize, shards: usize) -> Vec<(usize, usize)> {
    let mut ends: Vec<usize> = (1..shards).map(|_| 1 + stream.below(k)).chain([0, k]).collect();
    ends.sort_unstable();
    ends.dedup();
    ends.windows(2).map(|pair| (pair[0], pair[1] - pair[0])).collect()
}

#[test]
fn any_cut_gives_the_loss_and_gradient_of_the_uncut_classes_in_both_conventions() {
    let n = 5;
    let mut compared = 0;
    for k in [1, 2, 3, 7, 10, 64, 65, 257, 1000] {
        for (convention, background) in
            [(Convention::Uniform, Background::Uniform), (Convention::OffClass, Background::OtherClasses)]
        {
            for masked in [false, true] {
                for (at, shards) in [1, 2, 3, 8].into_iter().enumerate() {
                    let mut stream = Stream((k * 8 + at) as u64);
                    let mut z = stream.logits(n * k, [0.1, 4.0, 100.0, 1e4][at]);
                    let mut labels: Vec<i64> = (0..n).map(|_| stream.below(k) as i64).collect();
                    for (i, z) in z.iter_mut().enumerate() {
                        // A whole half of the classes, so that some shards have none left.
                        if masked && i % k < k / 2 && labels[i / k] != (i % k) as i64 {
                            *z = f32::NEG_INFINITY;
                        }
                    }
                    labels[1] = -100;
                    let labels = Labels::with_ignore(&labels, k, Some(-100)).expect("labels");
                    let smoothing = 0.3 * convention.max_smoothing(k);
                    let wide: Vec<f64> = z.iter().map(|&z| f64::from(z)).collect();
                    let targets = Targets::labels(labels).smoothed(smoothing, background.clone());
                    let options = LossOptions { reduction: Reduction::None, ..Default::default() };
                    let want = double(&wide, &targets, options).expect("a value");
                    let vector = single(Isa::current(), &z, &targets, options).expect("a value");

                    let cuts = cuts(&mut stream, k, shards);
                    let shards: Vec<ClassShard> = cuts
                        .iter()
                        .map(|&(first, len)| {
                            ClassShard::new(first, len, k, smoothing, convention).expect("a shard")
                        })
                        .collect();
                    let parts: Vec<Vec<f64>> =
                        cuts.iter().map(|&(first, len)| columns(&wide, k, first, len)).collect();
                    let logits = |at: usize| Logits::new(&parts[at], cuts[at].1).expect("whole rows");
                    let mut merged = vec![RowShard::default(); n];
                    for (at, shard) in shards.iter().enumerate() {
                        let found = shard.statistics(logits(at), labels).expect("statistics");
                        merged.iter_mut().zip(found).for_each(|(all, part)| *all = all.merge(part));
                    }
                    for row in (0..n).filter(|row| *row != 1) {
                        let got = shards[0].loss(row, &merged[row]).expect("a loss");
                        // Sums of up to 1,000 terms of one sign, at 1e-16 each.
                        let bound = 1e-12 * (1.0 + want.losses[row]);
                        assert!((got - want.losses[row]).abs() <= bound, "K {k} {cuts:?}: {got}");
                        let bound = 2e-6 * (1.0 + want.losses[row]);
                        assert!((got - vector.losses[row]).abs() <= bound, "K {k} {cuts:?}: {got}");
                    }
                    for (at, shard) in shards.iter().enumerate() {
                        let mut gradient = vec![f64::NAN; parts[at].len()];
                        shard.gradient(logits(at), labels, &merged, 1.0, &mut gradient).expect("a gradient");
                        let want = columns(&want.gradient, k, cuts[at].0, cuts[at].1);
                        for (got, want) in gradient.iter().zip(&want) {
                            assert!((got - want).abs() <= 1e-14 + 1e-12 * want.abs(), "K {k} {cuts:?}");
                        }
                        compared += 1;
                    }
                }
            }
        }
    }
    assert!(compared > 9 * 2 * 2 * 6, "{compared}");
}

#[test]
fn the_order_of_merging_does_not_matter_and_an_empty_shard_changes_nothing() {
    let mut stream = Stream(3);
    let labels = Labels::new(&[4], 12).expect("a label");
    let parts: Vec<RowShard> = [(0, 3), (3, 3), (6, 6)]
        .into_iter()
        .map(|(first, len)| {
            let shard = ClassShard::new(first, len, 12, 0.1, Convention::Uniform).expect("a shard");
            let z = stream.logits(len, 5.0);
            shard.statistics(Logits::new(&z, len).expect("a row"), labels).expect("statistics")[0]
        })
        .collect();
    let (a, b, c) = (parts[0], parts[1], parts[2]);
    assert_eq!(a.merge(RowShard::default()), a);
    assert_eq!(RowShard::default().merge(a), a);
    for (left, right) in [(a.merge(b).merge(c), c.merge(b.merge(a))), (a.merge(b), b.merge(a))] {
        assert_eq!((left.max, left.allowed, left.label_logit), (right.max, right.allowed, right.label_logit));
        assert!((left.sum_exp / right.sum_exp - 1.0).abs() < 1e-15);
        assert!((left.sum_shifted / right.sum_shifted - 1.0).abs() < 1e-15);
    }
}

#[test]
fn what_is_wrong_is_named_by_its_number_among_all_classes() {
    let shard = ClassShard::new(4, 2, 10, 0.1, Convention::Uniform).expect("a shard");
    let labels = Labels::new(&[5, 0], 10).expect("labels");
    let statistics = |z: [f32; 4]| shard.statistics(Logits::new(&z, 2).expect("rows"), labels);
    let inf = f32::INFINITY;
    let value = f64::INFINITY;
    assert_eq!(statistics([0.0; 4]).map(|rows| rows.len()), Ok(2));
    assert_eq!(statistics([0.0, 0.0, inf, 0.0]), Err(Error::NonFiniteLogit { row: 1, class: 4, value }));
    assert_eq!(statistics([0.0, -inf, 0.0, 0.0]), Err(Error::MaskedTarget { row: 0, class: 5 }));
    assert_eq!(shard.loss(7, &RowShard::default()), Err(Error::NoAllowedClass { row: 7 }));
    let elsewhere = RowShard { max: 0.0, sum_exp: 1.0, allowed: 1, ..Default::default() };
    assert!(matches!(shard.loss(0, &elsewhere), Err(Error::Shape { expected: 10, got: 1, .. })));
    assert!(matches!(ClassShard::new(9, 2, 10, 0.1, Convention::Uniform), Err(Error::Shape { got: 11, .. })));
    assert!(matches!(ClassShard::new(9, 0, 10, 0.1, Convention::Uniform), Err(Error::Shape { got: 0, .. })));
    assert!(matches!(
        ClassShard::new(usize::MAX, 2, 10, 0.1, Convention::Uniform),
        Err(Error::Shape { got: usize::MAX, .. })
    ));
    assert!(matches!(ClassShard::new(0, 2, 2, 0.6, Convention::OffClass), Err(Error::OutOfRange { .. })));
}
