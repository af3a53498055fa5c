//! A generated set for a fresh machine: two groups whose features differ, and a target that depends on the
//! features alone.

use candor::random::Stream;

use super::table::{Column, Table};

/// The set's name.
pub(super) const NAME: &str = "two_groups";
/// Its target and its groups.
pub(super) const TARGET: &str = "y";
pub(super) const GROUP: &str = "group";

const ROWS: usize = 12_000;
/// Half the distance of the groups' means of the first feature.
const SHIFT: f64 = 0.4;
const WEIGHTS: [f64; 2] = [1.2, 0.8];

/// The table: `x1 ~ N(±0.4, 1)` by group, `x2 ~ N(0, 1)`, `y ~ Bernoulli(σ(1.2 x1 + 0.8 x2))`.
///
/// A logistic regression can represent the target's probability exactly, so what smoothing does in the
/// population is seen without the errors of a model.
pub(super) fn two_groups() -> Table {
    let mut stream = Stream::new(0, "two groups", 0, 0);
    let mut cells: [Vec<Option<String>>; 4] = Default::default();
    for _ in 0..ROWS {
        let second = stream.bernoulli(0.5);
        let x1 = stream.normal() + if second { SHIFT } else { -SHIFT };
        let x2 = stream.normal();
        let z = WEIGHTS[0] * x1 + WEIGHTS[1] * x2;
        let y = stream.bernoulli(1.0 / (1.0 + (-z).exp()));
        let row = [
            x1.to_string(),
            x2.to_string(),
            if second { "b" } else { "a" }.to_owned(),
            u8::from(y).to_string(),
        ];
        cells.iter_mut().zip(row).for_each(|(column, cell)| column.push(Some(cell)));
    }
    let columns = ["x1", "x2", GROUP, TARGET].into_iter().zip(cells);
    let columns = columns.map(|(name, cells)| Column { name: name.to_owned(), cells }).collect();
    Table { source: NAME.into(), columns, test: None }
}
