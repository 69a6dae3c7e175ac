//! What the page of a run costs beside the run itself: `render_html` of three hooks over 28 days, with noise in every bin of
//! every series and ten stories a hook, in turns with the simulation of the 28-day incident under its three hooks.
//!
//! `cargo bench -p hookproof-benches --bench report` prints both times and their ratio. The page is to take at most 0.3 s, and
//! at most a fifth of the run.

use std::hint::black_box;

use hookproof_benches::paired::in_turns;
use hookproof_reports::{HtmlOptions, render_html};
use hookproof_sim::run;
use hookproof_sim::scenario::{HookKind, decode};

#[path = "../../reports/tests/html/record.rs"]
mod record;

const ROUNDS: u32 = 15;

fn main() {
    let is_test = std::env::args().any(|argument| argument == "--test");
    let path = "scenarios/incidents/over-allocation.toml";
    let source = include_bytes!("../../scenarios/incidents/over-allocation.toml");
    let scenario = decode("over-allocation", path, source).expect("the scenario is valid");
    let record = record::large();
    let options = HtmlOptions::default();
    let simulate = || {
        for hook in HookKind::ALL {
            _ = black_box(run(&scenario, hook, 1, &mut |_| {}));
        }
    };
    let render = || _ = black_box(render_html(black_box(&record), &options));
    let pair = in_turns(if is_test { 1 } else { ROUNDS }, render, simulate);
    println!(
        "28 days, three hooks: page {:.1} ms ({} bytes), run {:.1} ms, page ÷ run {:.3}",
        pair.a_seconds * 1e3,
        render_html(&record, &options).len(),
        pair.b_seconds * 1e3,
        pair.a_to_b,
    );
}
