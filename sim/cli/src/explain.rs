//! `explain`: what a scenario resolves to and will offer, in plain words.
//!
//! Maps a scenario to the explanation that `hookproof-reports` lays out. Arithmetic is `hookproof_sim::demand`'s, verdicts
//! are `hookproof_core::promise`'s; here are only the sentences.

mod change;
mod expectations;
mod experiment;
mod faults;
mod lanes;
mod load;
mod promises;
pub(crate) mod words;

use std::collections::BTreeMap;

use hookproof_reports as reports;
use hookproof_sim::demand::Demand;
use hookproof_sim::scenario::Scenario;
use reports::{Charset, Explanation, ScenarioId, Section};

use crate::args::{ExplainArgs, ExplainFormat};
use crate::exit::{Exit, Failure};
use crate::scenarios::{self, Loaded};
use crate::terminal::{self, Terminal};

/// The topic of what a scenario expects.
pub(crate) const EXPECTED: &str = "What must come of it";

/// Prints what the scenarios say.
///
/// # Errors
/// What is wrong with the files.
pub(crate) fn explain(args: &ExplainArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let loaded = scenarios::load(&args.paths, args.limits, terminal)?;
    let explanations: Result<Vec<Explanation>, Failure> = loaded.iter().map(|loaded| of_run(loaded, args)).collect();
    let explanations = explanations?;
    let charset = if args.ascii { Charset::Ascii } else { Charset::Unicode };
    let text = match args.format {
        ExplainFormat::Json => reports::render_explanations_json(&explanations),
        ExplainFormat::Human => {
            let palette = terminal.palette();
            let render =
                |one: &Explanation| reports::render_explanation(one, usize::from(args.width), charset, &palette);
            explanations.iter().map(render).collect::<Vec<_>>().join("\n\n")
        }
    };
    terminal::print(text.as_bytes())?;
    Ok(Exit::Pass)
}

fn of_run(loaded: &Loaded, args: &ExplainArgs) -> Result<Explanation, Failure> {
    let seed = args.seed.unwrap_or(loaded.scenario.seed);
    if args.swarm {
        let varied = loaded.varied(seed, &args.limits.of_variations())?;
        return Ok(explanation(&varied.placed(seed), seed, true));
    }
    Ok(explanation(&loaded.scenario.placed(seed), seed, false))
}

/// What a file says of the run with its own seed.
pub(crate) fn of_file(loaded: &Loaded) -> Explanation {
    let seed = loaded.scenario.seed;
    explanation(&loaded.scenario.placed(seed), seed, false)
}

fn explanation(scenario: &Scenario, seed: u64, is_drawn: bool) -> Explanation {
    let demand = Demand::of(scenario);
    let promises = promises::of(scenario);
    let sections = vec![
        section("What is driven", driven(scenario, seed)),
        section("The experiment", experiment::lines(scenario)),
        section("Who visits", load::visits(scenario, &demand)),
        section("What the quota service must bear", load::upstream(scenario, &demand)),
        section("What goes wrong", faults::lines(scenario)),
        section("What the hardened hook promises", promises::lines(scenario, &promises)),
        section(EXPECTED, expectations::lines(scenario)),
    ];
    Explanation {
        scenario: ScenarioId {
            name: scenario.name.clone(),
            title: scenario.title.clone(),
            digest: hex::encode(scenario.digest),
        },
        seed,
        swarm: is_drawn,
        about: scenario.about.trim().to_owned(),
        figures: figures(scenario, &demand),
        sections,
        promises,
        timeline: lanes::timeline(scenario, &demand),
    }
}

fn section(title: &str, lines: Vec<String>) -> Section {
    Section { title: title.to_owned(), lines }
}

fn driven(scenario: &Scenario, seed: u64) -> Vec<String> {
    let [judged, references]: [Vec<&str>; 2] = [true, false].map(|is_judged| {
        let hooks = scenario.hooks.iter().filter(|hook| scenario.judge.contains(hook) == is_judged);
        hooks.map(|hook| hook.name()).collect()
    });
    let mut lines = Vec::new();
    if !judged.is_empty() {
        lines.push(format!("{} is judged: an invariant that breaks fails the run.", words::list(&judged)));
    }
    if !references.is_empty() {
        let what = "only what the file expects of a reference counts";
        lines.push(format!("For comparison: {}; {what}.", words::list(&references)));
    }
    lines.push(format!(
        "The storm lasts {}, the calm after it {}. Each hook meets the same visits and faults, drawn from seed {seed}.",
        words::length(scenario.duration),
        words::length(scenario.calm)
    ));
    if !scenario.excuses.is_empty() {
        let excuses: Vec<&str> = scenario.excuses.iter().map(|excuse| excuse.name()).collect();
        lines.push(format!("Users are left out of the judgement whom this has befallen: {}.", words::list(&excuses)));
    }
    lines
}

fn figures(scenario: &Scenario, demand: &Demand) -> BTreeMap<String, reports::Number> {
    let (visits, grants) = (demand.peak_visits(), demand.peak_grants());
    let delivery = load::delivery_per_second(scenario);
    let backlog = demand.backlog(scenario, delivery);
    let figures = [
        ("visits", demand.visits()),
        ("visits-mean-per-second", demand.visits() / scenario.duration.as_secs_f64()),
        ("visits-peak-per-second", visits.per_second),
        ("visits-peak-at-seconds", visits.at.as_secs_f64()),
        ("users", demand.users()),
        ("grants", demand.grants()),
        ("grants-units", demand.grants() * demand.units_mean),
        ("grants-peak-per-second", grants.per_second),
        ("grants-peak-at-seconds", grants.at.as_secs_f64()),
        ("capacity-per-second", scenario.upstream.capacity_per_second()),
        ("delivery-per-second", delivery),
        ("backlog-peak", backlog.peak),
        ("backlog-at-storm-end", backlog.left),
        ("calm-needed-seconds", load::calm_needed(scenario, &backlog).as_secs_f64()),
    ];
    figures.into_iter().map(|(name, value)| (name.to_owned(), words::number(value))).collect()
}
