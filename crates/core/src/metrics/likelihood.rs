//! Negative log-likelihood, in nats, and its exponential, the perplexity.

use super::info::Needs;
use super::view::View;
use super::{Estimate, Inputs, MetricInfo};

pub(super) const NLL: MetricInfo = MetricInfo {
    name: "nll",
    summary: "negative log-likelihood of the labels: a proper score, lowest for the true probabilities",
    formula: "mean -ln p_y",
    range: "0 to infinity, nats",
    higher_is_better: Some(false),
    state: "O(1)",
    inputs: Inputs::PROBABILITIES,
    default: true,
    paper: "Good 1952",
    needs: Needs::NLL,
    compute: |view| Some(view.nll().compute()),
};

pub(super) const PERPLEXITY: MetricInfo = MetricInfo {
    name: "perplexity",
    summary: "number of equally likely classes that would leave as much uncertainty",
    formula: "exp(NLL)",
    range: "1 to infinity",
    higher_is_better: Some(false),
    state: "O(1)",
    inputs: Inputs::PROBABILITIES,
    default: false,
    paper: "Jelinek et al. 1977",
    needs: Needs::NLL,
    compute: perplexity,
};

fn perplexity(view: &View<'_>) -> Option<Estimate> {
    let exp = crate::kernels::math::exp;
    let ci = view.nll().interval().map(|ends| ends.map(exp));
    Some(Estimate::plain(exp(view.nll().mean())).with_ci(ci, "exponential of the t interval of the NLL"))
}
