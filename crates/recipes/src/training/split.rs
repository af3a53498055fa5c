//! Cuts rows into parts, with the classes in proportion, from a seed of its own.

use candor::random::Stream;

use crate::config::{HeldOut, TrainSize};
use crate::error::{Error, Result};

/// Takes `held_out` rows out of `rows`: (the others, the held out), both in ascending order.
///
/// Drawn rows have the classes in the proportions of `rows`; which rows, depends on `split_seed` and `purpose`.
///
/// # Errors
/// [`Error::Config`] naming `key` if that leaves no row.
pub fn hold_out(
    key: &str,
    rows: Vec<usize>,
    labels: &[i64],
    held_out: HeldOut,
    split_seed: u64,
    purpose: &str,
) -> Result<(Vec<usize>, Vec<usize>)> {
    let n = rows.len();
    let count = match held_out {
        HeldOut::Auto | HeldOut::None => return Ok((rows, Vec::new())),
        HeldOut::Count(count) | HeldOut::Last(count) => count,
        HeldOut::Fraction(fraction) => ((n as f64 * fraction).round() as usize).max(1),
    };
    if count >= n {
        return Err(Error::config(key, count, format!("leaves no row: there are {n}")));
    }
    if let HeldOut::Last(_) = held_out {
        let mut rows = rows;
        let last = rows.split_off(n - count);
        return Ok((rows, last));
    }
    let drawn = draw(&rows, labels, count, split_seed, purpose);
    let mut taken = drawn.iter().copied().peekable();
    let mut others = Vec::with_capacity(n - count);
    for row in rows {
        if taken.peek() == Some(&row) {
            taken.next();
        } else {
            others.push(row);
        }
    }
    Ok((others, drawn))
}

/// Keeps part of the training rows, in ascending order.
///
/// # Errors
/// [`Error::Config`] if more rows are asked for than there are.
pub fn take(rows: Vec<usize>, labels: &[i64], size: TrainSize, split_seed: u64) -> Result<Vec<usize>> {
    let n = rows.len();
    let count = match size {
        TrainSize::All => return Ok(rows),
        TrainSize::Count(count) | TrainSize::First(count) => count,
        TrainSize::Fraction(fraction) => ((n as f64 * fraction).round() as usize).max(1),
    };
    if count > n {
        return Err(Error::config("data.train_size", count, format!("is more than the {n} training rows")));
    }
    Ok(match size {
        TrainSize::First(_) => rows.into_iter().take(count).collect(),
        _ => draw(&rows, labels, count, split_seed, "train_size"),
    })
}

/// `count` of `rows`, drawn class by class; ascending.
///
/// Each class gets its share rounded down; the rows left over go to the largest remainders, the smaller
/// class first where they are equal.
fn draw(rows: &[usize], labels: &[i64], count: usize, split_seed: u64, purpose: &str) -> Vec<usize> {
    let mut by_class: std::collections::BTreeMap<i64, Vec<usize>> = std::collections::BTreeMap::new();
    for &row in rows {
        by_class.entry(labels[row]).or_default().push(row);
    }
    let n = rows.len() as u128;
    let share = |members: &[usize]| members.len() as u128 * count as u128;
    let mut quotas: Vec<usize> = by_class.values().map(|members| (share(members) / n) as usize).collect();
    let mut order: Vec<usize> = (0..quotas.len()).collect();
    let remainders: Vec<u128> = by_class.values().map(|members| share(members) % n).collect();
    order.sort_by_key(|&class| (std::cmp::Reverse(remainders[class]), class));
    let missing = count - quotas.iter().sum::<usize>();
    for &class in order.iter().take(missing) {
        quotas[class] += 1;
    }
    let mut drawn = Vec::with_capacity(count);
    for ((class, mut members), quota) in by_class.into_iter().zip(quotas) {
        Stream::new(split_seed, purpose, class as u64, 0).shuffle(&mut members);
        drawn.extend(members.into_iter().take(quota));
    }
    drawn.sort_unstable();
    drawn
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels() -> Vec<i64> {
        (0..100).map(|i| if i < 70 { 0 } else { i % 2 + 1 }).collect()
    }

    fn count(rows: &[usize], labels: &[i64], class: i64) -> usize {
        rows.iter().filter(|&&row| labels[row] == class).count()
    }

    #[test]
    fn classes_keep_their_proportions_and_parts_do_not_overlap() {
        let labels = labels();
        let (train, held) = hold_out("k", (0..100).collect(), &labels, HeldOut::Count(20), 0, "p").unwrap();
        assert_eq!((train.len(), held.len()), (80, 20));
        assert_eq!([0, 1, 2].map(|class| count(&held, &labels, class)), [14, 3, 3]);
        let mut all = [train, held].concat();
        all.sort_unstable();
        assert_eq!(all, (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn the_split_depends_on_its_seed_alone() {
        let labels = labels();
        let split =
            |seed| hold_out("k", (0..100).collect(), &labels, HeldOut::Fraction(0.2), seed, "p").unwrap().1;
        assert_eq!(split(0), split(0));
        assert_ne!(split(0), split(1));
    }

    #[test]
    fn counts_from_the_ends_keep_the_order() {
        let labels = labels();
        let (train, last) = hold_out("k", (0..100).collect(), &labels, HeldOut::Last(3), 0, "p").unwrap();
        assert_eq!((last, train.len()), (vec![97, 98, 99], 97));
        assert_eq!(take((5..50).collect(), &labels, TrainSize::First(2), 0).unwrap(), [5, 6]);
        assert_eq!(take((0..100).collect(), &labels, TrainSize::Count(10), 0).unwrap().len(), 10);
    }

    #[test]
    fn a_part_that_leaves_nothing_is_refused() {
        let labels = labels();
        for bad in [HeldOut::Count(100), HeldOut::Last(101)] {
            let error = hold_out("data.validation", (0..100).collect(), &labels, bad, 0, "p").unwrap_err();
            assert!(error.to_string().starts_with("data.validation = 10"), "{error}");
        }
        assert!(take((0..5).collect(), &labels, TrainSize::Count(6), 0).is_err());
    }
}
