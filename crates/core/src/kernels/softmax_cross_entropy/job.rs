//! What the vector bodies need to know of a row's target.

use crate::kernels::isa::Isa;
use crate::targets::{RowBackground, RowExplicit, RowTarget};

/// What is the same for all rows of a sweep.
#[derive(Clone, Copy)]
pub(crate) struct Setting<'a> {
    /// An instruction set that this CPU has.
    pub isa: Isa,
    /// Which body runs.
    pub kind: Kind,
    /// Whether the entropy is wanted; it costs 5 to 13 % of the sweep.
    pub entropy: bool,
    /// Whether a dense row that is no distribution for sure is left to the reference, where it is many classes long.
    pub distributions: bool,
    /// A factor for each class, which the classes of pairs and of dense rows are multiplied by.
    pub class_weights: Option<&'a [f32]>,
}

impl Setting<'_> {
    /// Whether the weights are one a class.
    pub(super) fn fits(&self, n_classes: usize) -> bool {
        self.class_weights.is_none_or(|weights| weights.len() == n_classes)
    }
}

/// The bodies, from the one that computes least. The form of the targets decides, so a batch has one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The background is the same for every class; the explicit part is a label or a few pairs.
    Plain,
    /// The background differs by class (a prior or class weights); the explicit part as before.
    ByClass,
    /// The explicit part is a dense row, the background the same for every class.
    Dense,
    /// The explicit part is a dense row, and background or weights differ by class.
    DenseByClass,
}

impl Kind {
    pub(crate) fn reads_dense(self) -> bool {
        matches!(self, Self::Dense | Self::DenseByClass)
    }

    pub(super) fn reads_background(self) -> bool {
        matches!(self, Self::ByClass | Self::DenseByClass)
    }
}

/// [`Kind`] as the constant that a body is compiled for.
pub(super) const PLAIN: u8 = 0;
pub(super) const BY_CLASS: u8 = 1;
pub(super) const DENSE: u8 = 2;
pub(super) const DENSE_BY_CLASS: u8 = 3;

/// Whether a body reads a dense row.
pub(super) const fn reads_dense(kind: u8) -> bool {
    kind == DENSE || kind == DENSE_BY_CLASS
}

/// Whether a body reads a background a class.
pub(super) const fn reads_background(kind: u8) -> bool {
    kind == BY_CLASS || kind == DENSE_BY_CLASS
}

/// The mass of a class where 1 is shared evenly, made once for all rows.
#[derive(Clone, Copy)]
pub(crate) struct Shares {
    all: f64,
    others: f64,
}

impl Shares {
    /// By all of so many classes, and by all but one; nothing where there is no other.
    pub(crate) fn new(n_classes: usize) -> Self {
        let others = if n_classes > 1 { 1.0 / (n_classes - 1) as f64 } else { 0.0 };
        Self { all: 1.0 / n_classes as f64, others }
    }

    /// What each class of a background gets of a strength, and what that takes from the explicit part beside the
    /// strength itself; `None` if no body covers it. `by_class` says that the background differs by class.
    #[inline(always)]
    pub(crate) fn of_strength(self, background: &RowBackground<'_>, by_class: bool) -> Option<(f64, f64)> {
        match background {
            RowBackground::Uniform => Some((self.all, 0.0)),
            RowBackground::OtherClasses if self.others > 0.0 => Some((self.others, self.others)),
            RowBackground::Prior(_) if by_class => Some((1.0, 0.0)),
            RowBackground::OtherClasses | RowBackground::Prior(_) => None,
        }
    }
}

/// The masses of the explicit part and of each class of the background, of a strength with these shares; whether a
/// body covers them: a label with less mass than the others is their mass less a part of it, and beside a huge logit
/// the difference would have no digits left.
#[inline(always)]
pub(super) fn masses_of(smoothing: f64, (each, own): (f64, f64)) -> (f64, f64, bool) {
    let rest = smoothing * each;
    let explicit = (1.0 - smoothing) - smoothing * own;
    let fit = (explicit.abs() <= LARGEST_FACTOR) & (rest.abs() <= LARGEST_FACTOR);
    (explicit, rest, fit & ((own == 0.0) | (explicit >= 0.0)))
}

/// A background a class, with the class weights multiplied in, and its sum. What rows share of it is made once.
#[derive(Clone, Copy)]
pub(crate) struct ClassBackground<'a> {
    pub masses: &'a [f32],
    pub sum: f64,
}

/// The explicit part of a row, unless it is dense.
#[derive(Clone, Copy)]
pub(super) enum Pairs<'a> {
    /// Dense: there are no pairs.
    None,
    /// Mass 1 on a class.
    Label(usize),
    /// Masses on a few classes, of which one may occur several times.
    Sparse(&'a [u32], &'a [f64]),
}

impl Pairs<'_> {
    /// Calls `visit` with every class and its mass.
    #[inline(always)]
    pub(super) fn each(&self, mut visit: impl FnMut(usize, f64)) {
        match self {
            Pairs::None => {}
            Pairs::Label(label) => visit(*label, 1.0),
            Pairs::Sparse(classes, masses) => {
                for (class, mass) in classes.iter().zip(*masses) {
                    visit(*class as usize, *mass);
                }
            }
        }
    }

    #[inline(always)]
    pub(super) fn label(&self) -> Option<usize> {
        match self {
            Pairs::Label(label) => Some(*label),
            _ => None,
        }
    }
}

/// One row's target as terms: `uniform + background_factor·background + (dense_factor·dense + pair_factor·pairs)·weights`.
#[derive(Clone, Copy)]
pub(crate) struct Job<'a> {
    pub(super) pairs: Pairs<'a>,
    pub(super) pair_factor: f64,
    /// Mass on every class.
    pub(super) uniform: f32,
    pub(super) background_factor: f32,
    /// Read by the kinds whose background differs by class.
    pub(super) background: ClassBackground<'a>,
    pub(super) dense_factor: f32,
    /// Read by the dense kinds.
    pub(super) dense: &'a [f32],
    /// Factor of the gradient.
    pub(super) scale: f32,
}

/// Factors beyond this, and class weights, are left to double precision, where products cannot overflow.
pub(crate) const LARGEST_FACTOR: f64 = 1e6;

/// Scales of gradients beyond this are left to double precision: times the largest sum of masses they fit.
pub(crate) const LARGEST_SCALE: f64 = 1e12;

impl<'a> Job<'a> {
    /// No mass anywhere.
    pub(crate) const EMPTY: Self = Self {
        pairs: Pairs::None,
        pair_factor: 0.0,
        uniform: 0.0,
        background_factor: 0.0,
        background: ClassBackground { masses: &[], sum: 0.0 },
        dense_factor: 0.0,
        dense: &[],
        scale: 0.0,
    };

    /// The terms of a target; `None` if no body covers it.
    ///
    /// `dense` is the row's dense part in single precision, or nothing; `background` what the kinds whose background
    /// differs by class read: the prior, or evenly 1, times the class weights.
    #[inline(always)]
    pub(crate) fn new(
        target: &RowTarget<'a>,
        n_classes: usize,
        shares: Shares,
        dense: &'a [f32],
        background: Option<ClassBackground<'a>>,
        scale: f64,
    ) -> Option<Self> {
        // No strength needs no background.
        let of_strength = match target.smoothing {
            0.0 => (0.0, 0.0),
            _ => shares.of_strength(&target.background, background.is_some())?,
        };
        let (explicit_factor, rest, true) = masses_of(target.smoothing, of_strength) else { return None };
        if scale.abs() > LARGEST_SCALE {
            return None;
        }
        let (uniform, background_factor) = if background.is_some() { (0.0, rest) } else { (rest, 0.0) };
        let (pairs, dense_factor) = match target.explicit {
            RowExplicit::Label(label) => (Pairs::Label(label), 0.0),
            RowExplicit::Sparse(classes, masses) => (Pairs::Sparse(classes, masses), 0.0),
            RowExplicit::Dense(_) if dense.len() == n_classes => (Pairs::None, explicit_factor as f32),
            RowExplicit::Dense(_) | RowExplicit::Binary(_) => return None,
        };
        Some(Self {
            pairs,
            pair_factor: explicit_factor,
            uniform: uniform as f32,
            background_factor: background_factor as f32,
            background: background.unwrap_or(Self::EMPTY.background),
            dense_factor,
            dense,
            scale: scale as f32,
        })
    }
}

impl Job<'_> {
    /// The same with another label and scale; `None` if no body covers that.
    #[inline(always)]
    pub(crate) fn with_label(self, label: usize, scale: f64) -> Option<Self> {
        let job = Self { pairs: Pairs::Label(label), scale: scale as f32, ..self };
        (scale.abs() <= LARGEST_SCALE).then_some(job)
    }

    /// Whether every array that the body of this kind reads has `n_classes` values, and every pair its class.
    #[inline(always)]
    pub(super) fn fits(&self, n_classes: usize, kind: Kind) -> bool {
        let (background, dense) = (self.background.masses.len() == n_classes, self.dense.len() == n_classes);
        let mut fit = match kind {
            Kind::Plain => true,
            Kind::ByClass => background,
            Kind::Dense => dense,
            Kind::DenseByClass => background && dense,
        };
        self.pairs.each(|class, _| fit &= class < n_classes);
        fit
    }
}

/// What the terms of the explicit pairs add up to.
#[derive(Clone, Copy, Default)]
pub(super) struct PairSums {
    /// Σ q over the pairs.
    pub mass: f64,
    /// Σ q v, with v = z - max.
    pub dot: f64,
    /// Σ t of the un-smoothed masses, and Σ t v.
    pub plain_mass: f64,
    pub plain_dot: f64,
}

impl PairSums {
    /// `shifted(class)` is v, `weight(class)` the class's weight.
    #[inline(always)]
    pub(super) fn new(
        pairs: &Pairs<'_>,
        factor: f64,
        shifted: impl Fn(usize) -> f64,
        weight: impl Fn(usize) -> f64,
    ) -> Self {
        let mut sums = Self::default();
        pairs.each(|class, mass| {
            let (v, q) = (shifted(class), factor * mass * weight(class));
            sums.mass += q;
            sums.dot += q * v;
            sums.plain_mass += mass;
            sums.plain_dot += mass * v;
        });
        sums
    }
}
