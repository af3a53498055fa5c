//! Confidence, correctness and weight of every row: the O(n) state of the figures that need the whole order.

use serde::{Deserialize, Serialize};

/// One row of a ranking.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct RankedRow {
    /// The confidence.
    pub confidence: f64,
    /// Whether the prediction was correct, or the event happened.
    pub correct: bool,
    /// How often the row counts; 1 unless given.
    pub weight: f64,
}

impl RankedRow {
    /// By confidence, wrong before correct, then by weight: an order that depends on the rows alone.
    fn order(&self, other: &Self) -> std::cmp::Ordering {
        (self.confidence.total_cmp(&other.confidence))
            .then(self.correct.cmp(&other.correct))
            .then(self.weight.total_cmp(&other.weight))
    }
}

/// All rows' confidences with whether they were correct.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RankedRows {
    /// Confidence, with its sign bit set for a wrong row: confidences are never negative.
    rows: Vec<f64>,
    /// One a row from the first weight that is not 1; empty until then.
    weights: Vec<f64>,
}

impl RankedRows {
    /// Adds one row; a negative confidence counts as 0.
    #[inline]
    pub fn update(&mut self, confidence: f64, correct: bool) {
        if !self.weights.is_empty() {
            self.weights.push(1.0);
        }
        self.rows.push(signed(confidence, correct));
    }

    /// Adds rows of weight 1, each with 1 if it is correct and 0 if not.
    pub(crate) fn update_all(&mut self, confidences: &[f64], correct: &[f64]) {
        if !self.weights.is_empty() {
            self.weights.resize(self.rows.len() + confidences.len(), 1.0);
        }
        self.rows.extend(confidences.iter().zip(correct).map(|(c, a)| signed(*c, *a == 1.0)));
    }

    /// Adds one row with a weight, finite and not negative; a weight of 0 adds nothing.
    pub fn update_weighted(&mut self, confidence: f64, correct: bool, weight: f64) {
        if weight == 0.0 {
            return;
        }
        if weight != 1.0 && self.weights.is_empty() {
            self.weights.resize(self.rows.len(), 1.0);
            self.weights.push(weight);
            return self.rows.push(signed(confidence, correct));
        }
        self.update(confidence, correct);
        if let Some(last) = self.weights.last_mut() {
            *last = weight;
        }
    }

    /// Adds the rows of another state.
    pub fn merge(&mut self, other: &Self) {
        if !self.weights.is_empty() || !other.weights.is_empty() {
            self.weights.resize(self.rows.len(), 1.0);
            self.weights.extend_from_slice(&other.weights);
            self.weights.resize(self.rows.len() + other.rows.len(), 1.0);
        }
        self.rows.extend_from_slice(&other.rows);
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The rows by ascending confidence; wrong before correct where confidences coincide, then by weight.
    pub fn ascending(&self) -> Vec<RankedRow> {
        let row = |signed: f64, weight: f64| RankedRow {
            confidence: signed.abs(),
            correct: signed.is_sign_positive(),
            weight,
        };
        if self.weights.is_empty() {
            return sorted_keys(&self.rows).into_iter().map(|key| row(from_key(key), 1.0)).collect();
        }
        let mut rows: Vec<RankedRow> =
            self.rows.iter().zip(&self.weights).map(|(r, w)| row(*r, *w)).collect();
        rows.sort_unstable_by(RankedRow::order);
        rows
    }
}

/// Correctness as the sign of the confidence; what is no positive number counts as 0.
#[inline]
fn signed(confidence: f64, correct: bool) -> f64 {
    let confidence = if confidence > 0.0 { confidence } else { 0.0 };
    if correct { confidence } else { -confidence }
}

/// Confidence and correctness as one whole number that sorts as they do.
#[inline]
fn to_key(signed: f64) -> u64 {
    let bits = signed.to_bits();
    bits << 1 | u64::from(bits >> 63 == 0)
}

fn from_key(key: u64) -> f64 {
    f64::from_bits(key >> 1 | (!key & 1) << 63)
}

/// Sorts by digits of 11 bits, which for many rows is several times as fast as by comparison.
fn sorted_keys(rows: &[f64]) -> Vec<u64> {
    const DIGIT: u32 = 11;
    const SIZE: usize = 1 << DIGIT;
    let mut keys: Vec<u64> = rows.iter().map(|row| to_key(*row)).collect();
    if keys.len() < 4 * SIZE {
        keys.sort_unstable();
        return keys;
    }
    // Digits that are the same in all rows need no pass: single-precision values have many of them.
    let (any, all) = keys.iter().fold((0, u64::MAX), |(any, all), key| (any | key, all & key));
    let varying = any & !all;
    let mut other = vec![0; keys.len()];
    for shift in (0..u64::BITS).step_by(DIGIT as usize) {
        let digit = |key: u64| (key >> shift) as usize & (SIZE - 1);
        if digit(varying) == 0 {
            continue;
        }
        let mut starts = [0_usize; SIZE];
        keys.iter().for_each(|key| starts[digit(*key)] += 1);
        let mut sum = 0;
        for start in &mut starts {
            sum += std::mem::replace(start, sum);
        }
        for &key in &keys {
            let place = &mut starts[digit(key)];
            other[*place] = key;
            *place += 1;
        }
        std::mem::swap(&mut keys, &mut other);
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Stream;

    #[test]
    fn sorting_by_digits_equals_sorting_by_comparison() {
        let mut stream = Stream::new(5, "sort", 0, 0);
        for single in [false, true] {
            let (mut state, mut want) = (RankedRows::default(), Vec::new());
            for i in 0..20_000 {
                let mut confidence = if i % 7 == 0 { 0.5 } else { stream.uniform().powi(i % 40) };
                if single {
                    confidence = f64::from(confidence as f32);
                }
                let correct = stream.bernoulli(0.5);
                state.update(confidence, correct);
                want.push(RankedRow { confidence, correct, weight: 1.0 });
            }
            state.update(0.0, false);
            want.push(RankedRow { confidence: 0.0, correct: false, weight: 1.0 });
            want.sort_by(RankedRow::order);
            assert_eq!(state.ascending(), want);
        }
    }

    #[test]
    fn weights_follow_their_rows_in_any_order() {
        let rows = [(0.9, true, 1.0), (0.4, false, 2.5), (0.4, true, 1.0), (0.7, false, 0.0)];
        let of = |order: [usize; 4]| {
            let mut state = RankedRows::default();
            for (c, a, w) in order.map(|i| rows[i]) {
                let mut one = RankedRows::default();
                one.update_weighted(c, a, w);
                state.merge(&one);
            }
            state.ascending()
        };
        assert_eq!(of([0, 1, 2, 3]), of([3, 2, 1, 0]));
        assert_eq!(of([0, 1, 2, 3])[0], RankedRow { confidence: 0.4, correct: false, weight: 2.5 });
        assert_eq!(of([0, 1, 2, 3]).len(), 3);
    }
}
