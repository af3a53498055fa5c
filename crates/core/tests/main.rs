//! The integration tests of the core crate, as one binary: what holds across modules, through the public API.

/// Calibration errors and temperatures computed by other tools.
mod calibration;
/// What every registered loss promises.
mod conformance;
/// Values and gradients of PyTorch's cross-entropy.
mod cross_entropy;
/// Distributions that are checked when a loss reads them.
mod deferred;
/// The predictive entropy of the vectorised cross-entropy.
mod entropy;
/// Losses and targets of Keras, optax, timm and fairseq.
mod frameworks;
/// Losses that are the same by theory.
mod identities;
/// What must not change a result: threads, position, shifts, masks, permutations.
mod invariance;
/// Cross-entropy kernels of every instruction set against the formula, and gradients against differences.
mod kernels;
/// The linear layer and the loss in one.
mod linear;
/// What every registered calibration map promises.
mod map_promises;
/// Calibration maps against other implementations, and what every map promises.
mod maps;
/// Calibration maps on the outputs of trained nets.
mod maps_on_data;
/// Published losses against values and gradients computed elsewhere.
mod methods;
/// Metrics at any size, split and order; intervals and p-values that hold what they promise.
mod metrics;
/// One test for each reported bug of a peer that concerns losses.
mod peer_reports;
/// Metrics of other tools, by their own bin rules.
mod peers;
/// The range of every declared parameter.
mod ranges;
/// Every error, produced once.
mod refusals;
/// Schedules: ends, order, range, for every registered one.
mod schedules;
/// Cross-entropy over shards of the classes.
mod sharded;
/// Values and gradients of PyTorch's binary cross-entropy.
mod sigmoids;
/// Logits in half precision and in strided rows: the formula, the bits, the errors.
mod storage;
/// The page that compares the methods with other projects.
mod survey;
/// Target rules and their theory: conservation of mass, conversions, published values.
mod targets;
/// Conventions of the source tree.
mod tidy;

/// Reads the golden vectors.
mod golden;
/// Batches with every form of target, and the formula written straight.
mod problem;
/// Runs a loss in every way that it can be called.
mod run;
/// Batches to try losses on, and losses by name.
mod trial;
