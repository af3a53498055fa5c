//! Averages over neighbours: normalised adjacency, lazy steps of it, and how smooth values are over a graph.
//!
//! `Â = D̃^-1/2 (A+I) D̃^-1/2` (Kipf & Welling, ICLR 2017, arXiv:1609.02907) or `P = D̃^-1 (A+I)`, where
//! `D̃ = D+I`; a lazy step of strength β is `(1-β)·I + β·Â` or `(1-β)·I + β·P`.

use super::SparseMatrix;
use crate::batch::Scalar;
use crate::error::{Error, Result, check_len, check_range};
use crate::targets::Graph;

/// How the neighbours of a node are weighed; every node counts as its own neighbour.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Normalisation {
    /// `Â_ij = 1/√(d̃_i d̃_j)`: symmetric.
    #[default]
    Symmetric,
    /// `P_ij = 1/d̃_i`: rows sum to 1, so each step is a mean.
    RandomWalk,
}

impl Normalisation {
    /// The name in configurations.
    pub fn name(self) -> &'static str {
        match self {
            Normalisation::Symmetric => "symmetric",
            Normalisation::RandomWalk => "random_walk",
        }
    }
}

/// One step of propagation of strength `beta` in `[0, 1]`: `(1-β)·I + β·S` with `S` as `normalisation` says.
///
/// At 0 each node keeps its own values, at 1 they are those of its neighbourhood. With
/// [`Normalisation::RandomWalk`] rows sum to 1, so smoothing labels and propagating them commute:
/// `P_β^k ((1-α)Y + α/K) = (1-α) P_β^k Y + α/K`.
///
/// # Errors
/// [`Error::OutOfRange`] for a strength outside `[0, 1]` or NaN.
///
/// # Examples
/// ```
/// use candor::graph::{Adjacency, Normalisation, propagation};
/// // A path of three nodes: the middle one has two neighbours and itself.
/// let graph = Adjacency::undirected(3, &[(0, 1), (1, 2)])?;
/// let step = propagation(graph.view(), Normalisation::RandomWalk, 1.0)?;
/// assert_eq!(step.multiply(&[0.0, 3.0, 6.0], 1)?, [1.5, 3.0, 4.5]);
/// # Ok::<(), candor::Error>(())
/// ```
pub fn propagation(graph: Graph<'_>, normalisation: Normalisation, beta: f64) -> Result<SparseMatrix> {
    check_range("beta", beta, 0.0, 1.0)?;
    let n_nodes = graph.n_nodes();
    let degrees: Vec<f64> = (0..n_nodes).map(|node| 1.0 + graph.neighbours(node).count() as f64).collect();
    let weight = |node: usize, other: usize| match normalisation {
        Normalisation::Symmetric => 1.0 / (degrees[node] * degrees[other]).sqrt(),
        Normalisation::RandomWalk => 1.0 / degrees[node],
    };
    let mut offsets = Vec::with_capacity(n_nodes + 1);
    offsets.push(0);
    let (mut columns, mut values) = (Vec::new(), Vec::new());
    for node in 0..n_nodes {
        let mut row: Vec<usize> = graph.neighbours(node).filter(|_| beta > 0.0).collect();
        row.push(node);
        row.sort_unstable();
        for other in row {
            let own = if other == node { 1.0 - beta } else { 0.0 };
            // Node numbers are u32 in a graph.
            columns.push(other as u32);
            values.push(own + beta * weight(node, other));
        }
        offsets.push(columns.len());
    }
    SparseMatrix::new(n_nodes, offsets, columns, values)
}

/// `k` steps of propagation of `x` `[n_nodes, width]`.
///
/// # Errors
/// [`Error::Shape`] for an `x` of another size or a step that is not square.
pub fn propagate<T: Scalar>(step: &SparseMatrix, k: usize, x: &[T], width: usize) -> Result<Vec<T>> {
    check_len("the columns of a propagation", step.n_rows(), step.n_columns())?;
    check_len("the values of the nodes", step.n_rows().saturating_mul(width), x.len())?;
    let mut values = x.to_vec();
    for _ in 0..k {
        values = step.multiply(&values, width)?;
    }
    Ok(values)
}

/// How much values differ between neighbours: `tr(Zᵀ(I-Â)Z) / ‖Z‖²`, in `[0, 2)`; 0 where they agree as far as
/// degrees allow, and for values that are all 0.
///
/// A scale of all values cancels. Propagation lowers it.
///
/// # Shapes
/// `z` is `[n_nodes, width]`.
///
/// # Errors
/// [`Error::Shape`] for a `z` of another size, [`Error::Malformed`] for a value that is not finite.
///
/// # Examples
/// ```
/// use candor::graph::{Adjacency, dirichlet_energy};
/// let pair = Adjacency::undirected(2, &[(0, 1)])?;
/// assert!(dirichlet_energy(pair.view(), &[1.0, 1.0], 1)?.abs() < 1e-15);
/// assert!((dirichlet_energy(pair.view(), &[1.0, -1.0], 1)? - 1.0).abs() < 1e-15);
/// # Ok::<(), candor::Error>(())
/// ```
pub fn dirichlet_energy<T: Scalar>(graph: Graph<'_>, z: &[T], width: usize) -> Result<f64> {
    let step = propagation(graph, Normalisation::Symmetric, 1.0)?;
    check_len("the values of the nodes", step.n_rows().saturating_mul(width), z.len())?;
    let z: Vec<f64> = z.iter().map(|value| value.to_f64()).collect();
    if let Some(index) = z.iter().position(|value| !value.is_finite()) {
        return Err(Error::Malformed { what: "value of a node", index, problem: "is not finite" });
    }
    // The scale cancels; the largest value at 1 keeps the squares finite.
    let largest = z.iter().fold(0.0_f64, |largest, value| largest.max(value.abs()));
    if largest == 0.0 {
        return Ok(0.0);
    }
    let z: Vec<f64> = z.iter().map(|value| value / largest).collect();
    let propagated = step.multiply(&z, width)?;
    let difference: f64 = z.iter().zip(&propagated).map(|(z, p)| z * (z - p)).sum();
    let square: f64 = z.iter().map(|z| z * z).sum();
    Ok((difference / square).max(0.0))
}

#[cfg(test)]
mod tests {
    use super::super::Adjacency;
    use super::*;
    use crate::Labels;
    use crate::random::Stream;
    use crate::targets::{Background, Targets};

    fn random_graph(stream: &mut Stream, n: usize) -> Adjacency {
        let edges: Vec<(u32, u32)> =
            (0..2 * n).map(|_| (stream.below(n as u64) as u32, stream.below(n as u64) as u32)).collect();
        Adjacency::undirected(n, &edges).unwrap()
    }

    fn dense(matrix: &SparseMatrix) -> Vec<Vec<f64>> {
        (0..matrix.n_rows())
            .map(|row| {
                let mut values = vec![0.0; matrix.n_columns()];
                matrix.row(row).for_each(|(column, value)| values[column] += value);
                values
            })
            .collect()
    }

    #[test]
    fn both_normalisations_of_a_star_by_hand() {
        // Node 0 joined to 1 and 2, node 3 alone: d̃ = 3, 2, 2, 1.
        let star = Adjacency::undirected(4, &[(0, 1), (0, 2)]).unwrap();
        let walk = dense(&propagation(star.view(), Normalisation::RandomWalk, 1.0).unwrap());
        let third = 1.0 / 3.0;
        assert_eq!(walk[0], [third, third, third, 0.0]);
        assert_eq!((&walk[1][..], &walk[3][..]), (&[0.5, 0.5, 0.0, 0.0][..], &[0.0, 0.0, 0.0, 1.0][..]));
        let symmetric = dense(&propagation(star.view(), Normalisation::Symmetric, 1.0).unwrap());
        let sixth = 1.0 / 6.0_f64.sqrt();
        assert!((symmetric[0][1] - sixth).abs() < 1e-15 && (symmetric[1][0] - sixth).abs() < 1e-15);
        assert!((symmetric[0][0] - third).abs() < 1e-15 && symmetric[3][3] == 1.0);
        let lazy = dense(&propagation(star.view(), Normalisation::RandomWalk, 0.25).unwrap());
        assert_eq!(lazy[1], [0.125, 0.875, 0.0, 0.0]);
        let none = propagation(star.view(), Normalisation::Symmetric, 0.0).unwrap();
        assert_eq!(none.values(), [1.0; 4]);
    }

    #[test]
    fn smoothing_labels_and_propagating_them_commute() {
        let mut stream = Stream::new(8, "commute", 0, 0);
        for (n, k_classes, steps, beta, smoothing) in
            [(30, 7, 1, 1.0, 0.1), (50, 3, 10, 0.5, 0.4), (40, 5, 4, 0.9, 1.0)]
        {
            let graph = random_graph(&mut stream, n);
            let step = propagation(graph.view(), Normalisation::RandomWalk, beta).unwrap();
            let labels: Vec<i64> = (0..n).map(|_| stream.below(k_classes as u64) as i64).collect();
            let hard = Targets::labels(Labels::new(&labels, k_classes).unwrap());
            let smooth = |rows: &[f64]| -> Vec<f64> {
                rows.iter().map(|q| (1.0 - smoothing) * q + smoothing / k_classes as f64).collect()
            };
            let first = propagate(
                &step,
                steps,
                &hard.clone().smoothed(smoothing, Background::Uniform).dense_matrix(),
                k_classes,
            )
            .unwrap();
            let last = smooth(&propagate(&step, steps, &hard.dense_matrix(), k_classes).unwrap());
            for (a, b) in first.iter().zip(&last) {
                assert!((a - b).abs() < 1e-12, "{a} {b}");
            }
        }
    }

    #[test]
    fn energy_falls_with_every_step_and_with_its_strength() {
        // A lazy step of at most one half has no negative eigenvalue, so the quotient falls by theory.
        let mut stream = Stream::new(9, "energy", 0, 0);
        let graph = random_graph(&mut stream, 60);
        let z: Vec<f64> = (0..60 * 4).map(|_| stream.normal()).collect();
        let energy = |beta: f64, k: usize| {
            let step = propagation(graph.view(), Normalisation::Symmetric, beta).unwrap();
            dirichlet_energy(graph.view(), &propagate(&step, k, &z, 4).unwrap(), 4).unwrap()
        };
        let betas = [0.0, 0.1, 0.3, 0.5];
        for pair in betas.windows(2) {
            assert!((1..6).all(|k| energy(pair[1], k) < energy(pair[0], k)), "{pair:?}");
        }
        for beta in &betas[1..] {
            assert!((0..6).all(|k| energy(*beta, k + 1) < energy(*beta, k)), "{beta}");
        }
        assert_eq!(energy(0.0, 5), energy(0.5, 0));
    }

    #[test]
    fn energy_is_that_of_the_edges_and_ignores_the_scale() {
        // tr(Zᵀ(I-Â)Z) = Σ over edges ‖z_i/√d̃_i - z_j/√d̃_j‖²: another way to the same number.
        let mut stream = Stream::new(10, "edges", 0, 0);
        let graph = random_graph(&mut stream, 25);
        let z: Vec<f64> = (0..25 * 3).map(|_| stream.normal()).collect();
        let view = graph.view();
        let scaled =
            |node: usize, k: usize| z[node * 3 + k] / (1.0 + view.neighbours(node).count() as f64).sqrt();
        let mut sum = 0.0;
        for node in 0..25 {
            for other in view.neighbours(node).filter(|&other| other > node) {
                sum += (0..3).map(|k| (scaled(node, k) - scaled(other, k)).powi(2)).sum::<f64>();
            }
        }
        let want = sum / z.iter().map(|z| z * z).sum::<f64>();
        let got = dirichlet_energy(view, &z, 3).unwrap();
        assert!((got - want).abs() < 1e-13, "{got} {want}");
        let large: Vec<f64> = z.iter().map(|z| z * 1e200).collect();
        assert!((dirichlet_energy(view, &large, 3).unwrap() - want).abs() < 1e-12);
        assert_eq!(dirichlet_energy(view, &[0.0_f32; 50], 2).unwrap(), 0.0);
    }

    #[test]
    fn bad_strengths_values_and_shapes_are_refused() {
        let pair = Adjacency::undirected(2, &[(0, 1)]).unwrap();
        for bad in [-0.1, 1.1, f64::NAN] {
            let result = propagation(pair.view(), Normalisation::Symmetric, bad);
            assert!(matches!(result, Err(Error::OutOfRange { argument: "beta", .. })), "{bad}");
        }
        assert!(matches!(dirichlet_energy(pair.view(), &[1.0], 1), Err(Error::Shape { .. })));
        let nan = dirichlet_energy(pair.view(), &[1.0, f64::NAN], 1);
        assert!(matches!(nan, Err(Error::Malformed { index: 1, .. })));
        let step = propagation(pair.view(), Normalisation::Symmetric, 1.0).unwrap();
        assert!(matches!(propagate(&step, 1, &[1.0], 1), Err(Error::Shape { .. })));
        let flat = SparseMatrix::new(3, vec![0, 1], vec![2], vec![1.0]).unwrap();
        assert!(matches!(propagate(&flat, 1, &[1.0], 1), Err(Error::Shape { .. })));
    }
}
