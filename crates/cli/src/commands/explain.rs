//! `candor explain`: what a smoothing setting will do, before any training.

use anyhow::Result;
use candor::Convention;
use candor::theory::Explanation;
use serde::Serialize;

use crate::args::{ExplainArgs, Global};
use crate::output::{print, print_json};
use crate::table::{paragraph, table};

#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    #[serde(flatten)]
    explanation: &'a Explanation,
}

pub fn run(args: &ExplainArgs, global: &Global) -> Result<()> {
    let convention: Convention = args.convention.parse()?;
    let explanation =
        Explanation::new(args.smoothing, convention, args.classes)?.with_accuracy(args.accuracy)?;
    if global.json {
        return print_json(&Document { schema: "candor.explain/1", explanation: &explanation });
    }
    let number = |value: f64| format!("{value:.6}");
    let optional = |value: Option<f64>| value.map_or("infinite".to_owned(), number);
    let rows = [
        ("target of the true class", number(explanation.target_true)),
        ("target of each other class", number(explanation.target_other)),
        ("optimal margin between their logits", optional(explanation.margin)),
        ("lowest possible loss, nats", number(explanation.loss_floor)),
        ("Lipschitz constant of the loss (l2)", number(explanation.lipschitz_l2)),
        ("largest gradient of a logit", number(explanation.gradient_linf)),
        ("same target, uniform convention", number(explanation.equivalent.uniform)),
        ("same target, off_class convention", number(explanation.equivalent.off_class)),
        ("expected under-confidence", number(explanation.expected_underconfidence)),
    ]
    .map(|(name, value)| vec![name.to_owned(), value]);
    let mut text = format!(
        "smoothing {} ({}) over {} classes\n\n",
        explanation.smoothing,
        convention.name(),
        explanation.classes
    );
    text.push_str(&table(&["", "value"], &rows));
    text.push_str(&format!(
        "\n{}",
        paragraph(&format!(
            "The margin is where a label is certain; the under-confidence is that of a model with accuracy {} which fits the smoothed targets perfectly: about how far its confidence will stay below its accuracy.",
            args.accuracy
        ))
    ));
    print(&text)
}
