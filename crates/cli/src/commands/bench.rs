//! `candor bench`: Candor's kernels beside a memcpy of the same bytes, on this machine.

use anyhow::Result;
use candor_recipes::bench;

use crate::args::{BenchArgs, Global};
use crate::output::{print, print_json};
use crate::table::table;

pub fn run(args: &BenchArgs, global: &Global) -> Result<()> {
    let threads = global.threads.map_or(1, usize::from);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
    let measurements = pool.install(|| bench::run(args.rounds))?;
    if global.json {
        return print_json(&measurements);
    }
    let rows: Vec<Vec<String>> = measurements
        .iter()
        .map(|m| {
            vec![
                m.case.clone(),
                format!("{} x {} {}", m.n, m.k, m.dtype),
                format!("{:.3}", m.ms),
                format!("{:.3}", m.memcpy_ms),
                format!("{:.2}", m.ratio),
                m.over_kernel.map_or(String::new(), |ratio| format!("{ratio:.2}")),
            ]
        })
        .collect();
    let mut text = table(&["case", "shape", "ms", "memcpy ms", "ratio", "/kernel"], &rows);
    text.push_str(&format!(
        "{threads} thread(s), medians of {} interleaved rounds; ratio: to the memcpy\n",
        args.rounds
    ));
    print(&text)
}
