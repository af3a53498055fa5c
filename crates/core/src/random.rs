//! Randomness as a function of its purpose: a stream of numbers for each (seed, purpose, epoch, step).
//!
//! There is no global generator and no generator state to save: a stream is made where it is needed, and
//! the same key gives the same numbers on every machine. The generator is ChaCha with 8 rounds
//! (Bernstein 2008; Salmon et al. 2011 for the idea of keying by counters).

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// A stream of random numbers.
///
/// # Examples
/// ```
/// use candor::random::Stream;
/// let mut a = Stream::new(0, "shuffle", 3, 0);
/// let mut b = Stream::new(0, "shuffle", 3, 0);
/// assert_eq!(a.uniform(), b.uniform());
/// assert_eq!(Stream::new(7, "split", 0, 0).permutation(5).len(), 5);
/// ```
#[derive(Debug, Clone)]
pub struct Stream {
    generator: ChaCha8Rng,
    spare_normal: Option<f64>,
}

impl Stream {
    /// The stream of this key.
    pub fn new(seed: u64, purpose: &str, epoch: u64, step: u64) -> Self {
        let mut key = [0_u8; 32];
        for (part, value) in key.chunks_exact_mut(8).zip([seed, fnv1a(purpose), epoch, step]) {
            part.copy_from_slice(&value.to_le_bytes());
        }
        Self { generator: ChaCha8Rng::from_seed(key), spare_normal: None }
    }

    /// A number in [0, 1), a multiple of 2^-53.
    pub fn uniform(&mut self) -> f64 {
        (self.generator.next_u64() >> 11) as f64 * (1.0 / (1_u64 << 53) as f64)
    }

    /// A whole number in `0..bound`, without bias (Lemire 2019); 0 for a bound of 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 {
            return 0;
        }
        loop {
            let product = u128::from(self.generator.next_u64()) * u128::from(bound);
            let low = product as u64;
            if low >= bound || low >= bound.wrapping_neg() % bound {
                return (product >> 64) as u64;
            }
        }
    }

    /// So many numbers in `0..bound`, those that [`below`](Self::below) gives one by one, drawn in blocks.
    pub fn below_each(&mut self, bound: u64, n: usize, mut take: impl FnMut(u64)) {
        const BLOCK: usize = 256;
        if bound == 0 {
            return (0..n).for_each(|_| take(0));
        }
        let least = bound.wrapping_neg() % bound;
        let (mut bytes, mut left) = ([0; 8 * BLOCK], n);
        while left > 0 {
            // Never more than are wanted, so that the stream stands where single draws would leave it.
            let block = &mut bytes[..8 * left.min(BLOCK)];
            self.generator.fill_bytes(block);
            for word in block.as_chunks::<8>().0 {
                let product = u128::from(u64::from_le_bytes(*word)) * u128::from(bound);
                if product as u64 >= least {
                    take((product >> 64) as u64);
                    left -= 1;
                }
            }
        }
    }

    /// A number from the standard normal distribution (polar method of Marsaglia).
    pub fn normal(&mut self) -> f64 {
        if let Some(spare) = self.spare_normal.take() {
            return spare;
        }
        loop {
            let (u, v) = (2.0 * self.uniform() - 1.0, 2.0 * self.uniform() - 1.0);
            let s = u * u + v * v;
            if s > 0.0 && s < 1.0 {
                let factor = (-2.0 * crate::kernels::math::ln(s) / s).sqrt();
                self.spare_normal = Some(v * factor);
                return u * factor;
            }
        }
    }

    /// A number from the distribution Beta(a, b), `a` and `b` above 0; as accurate where they are tiny.
    ///
    /// From two Gamma variates (Marsaglia & Tsang 2000), kept as logarithms so that none underflows to 0.
    pub fn beta(&mut self, a: f64, b: f64) -> f64 {
        let (first, second) = (self.ln_gamma_variate(a), self.ln_gamma_variate(b));
        1.0 / (1.0 + crate::kernels::math::exp(second - first))
    }

    /// The logarithm of a number from the distribution Gamma(shape, 1).
    fn ln_gamma_variate(&mut self, shape: f64) -> f64 {
        use crate::kernels::math::ln;
        // Below 1 by Gamma(shape) = Gamma(shape + 1) · U^(1/shape).
        let (shape, boost) =
            if shape < 1.0 { (shape + 1.0, ln(1.0 - self.uniform()) / shape) } else { (shape, 0.0) };
        let d = shape - 1.0 / 3.0;
        let c = 1.0 / (9.0 * d).sqrt();
        loop {
            let x = self.normal();
            let root = 1.0 + c * x;
            if root > 0.0 {
                let v = root * root * root;
                if ln(1.0 - self.uniform()) < 0.5 * x * x + d - d * v + d * ln(v) {
                    return ln(d) + ln(v) + boost;
                }
            }
        }
    }

    /// `true` with this probability.
    pub fn bernoulli(&mut self, probability: f64) -> bool {
        self.uniform() < probability
    }

    /// Puts the items into random order (Fisher & Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i as u64 + 1) as usize);
        }
    }

    /// The numbers `0..n` in random order.
    pub fn permutation(&mut self, n: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..n).collect();
        self.shuffle(&mut order);
        order
    }
}

/// The 64-bit FNV-1a hash of a purpose's name.
fn fnv1a(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_blocks_are_those_drawn_one_by_one() {
        // Nearly half of the words are rejected for the last bound.
        for bound in [1, 3, 100_000, u64::MAX / 3 + 1, u64::MAX / 2 + 2] {
            for n in [0, 1, 255, 256, 257, 1000] {
                let (mut one, mut block) = (Stream::new(5, "blocks", 0, 0), Stream::new(5, "blocks", 0, 0));
                let single: Vec<u64> = (0..n).map(|_| one.below(bound)).collect();
                let mut many = Vec::new();
                block.below_each(bound, n, |drawn| many.push(drawn));
                assert_eq!(many, single, "{bound} {n}");
                assert_eq!(one.uniform(), block.uniform(), "{bound} {n}");
            }
        }
        let mut zeros = Vec::new();
        Stream::new(5, "blocks", 0, 0).below_each(0, 2, |drawn| zeros.push(drawn));
        assert_eq!(zeros, [0, 0]);
    }

    #[test]
    fn every_part_of_the_key_matters() {
        let first = |seed, purpose, epoch, step| Stream::new(seed, purpose, epoch, step).uniform();
        let base = first(0, "a", 0, 0);
        assert_eq!(base, first(0, "a", 0, 0));
        for other in [first(1, "a", 0, 0), first(0, "b", 0, 0), first(0, "a", 1, 0), first(0, "a", 0, 1)] {
            assert_ne!(base, other);
        }
    }

    #[test]
    fn moments_are_those_of_the_distributions() {
        let mut stream = Stream::new(1, "moments", 0, 0);
        let n = 200_000;
        let (mut uniform, mut normal, mut square) = (0.0, 0.0, 0.0);
        let mut counts = [0_u32; 3];
        for _ in 0..n {
            uniform += stream.uniform();
            let z = stream.normal();
            normal += z;
            square += z * z;
            counts[stream.below(3) as usize] += 1;
        }
        let n = f64::from(n);
        // Five standard errors each.
        assert!((uniform / n - 0.5).abs() < 5.0 * (1.0 / 12.0_f64).sqrt() / n.sqrt());
        assert!((normal / n).abs() < 5.0 / n.sqrt());
        assert!((square / n - 1.0).abs() < 5.0 * 2.0_f64.sqrt() / n.sqrt());
        for count in counts {
            assert!((f64::from(count) / n - 1.0 / 3.0).abs() < 5.0 * (2.0 / 9.0_f64).sqrt() / n.sqrt());
        }
    }

    #[test]
    fn beta_variates_have_the_moments_of_the_distribution() {
        let mut stream = Stream::new(3, "beta", 0, 0);
        let n = 100_000;
        for (a, b) in [(0.2, 0.2), (1.0, 1.0), (0.5, 2.0), (4.0, 1.5), (1e-3, 1e-3)] {
            let (mut sum, mut square) = (0.0, 0.0);
            for _ in 0..n {
                let x = stream.beta(a, b);
                assert!((0.0..=1.0).contains(&x), "{x}");
                sum += x;
                square += x * x;
            }
            let n = f64::from(n);
            let mean = a / (a + b);
            let variance = mean * (1.0 - mean) / (a + b + 1.0);
            // Five standard errors; a square of a number in [0, 1] varies by 1/4 at most.
            assert!((sum / n - mean).abs() < 5.0 * (variance / n).sqrt(), "{a} {b}: {}", sum / n);
            let second = variance + mean * mean;
            assert!((square / n - second).abs() < 5.0 * (0.25 / n).sqrt(), "{a} {b}: {}", square / n);
        }
    }

    #[test]
    fn a_permutation_holds_each_number_once() {
        let mut order = Stream::new(2, "p", 0, 0).permutation(1000);
        assert_ne!(order, (0..1000).collect::<Vec<_>>());
        order.sort_unstable();
        assert_eq!(order, (0..1000).collect::<Vec<_>>());
        assert!(Stream::new(2, "p", 0, 0).permutation(0).is_empty());
        assert_eq!(Stream::new(2, "p", 0, 0).below(0), 0);
    }
}
