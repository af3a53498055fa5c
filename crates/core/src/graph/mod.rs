//! Graphs in numbers: adjacency from edges, sparse matrices, propagation over neighbours, Dirichlet energy.
//!
//! The flow is edges -> [`Adjacency`] -> [`propagation`] (`Â`, `P` or a lazy step of them, a [`SparseMatrix`])
//! -> products with dense rows, one row a node.

mod adjacency;
mod propagation;
mod sparse;

pub use adjacency::Adjacency;
pub use propagation::{Normalisation, dirichlet_energy, propagate, propagation};
pub use sparse::SparseMatrix;
