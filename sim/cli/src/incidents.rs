//! `incidents`: scenarios of incidents run, and each written as a page of Markdown, with an index.

mod provenance;

use std::panic::{AssertUnwindSafe, catch_unwind};

use hookproof_reports::{Explanation, Incident, Run, render_incident, render_incident_index};
use hookproof_sim::scenario::HookKind;

use crate::args::IncidentsArgs;
use crate::exit::{Exit, Failure};
use crate::explain;
use crate::out::OutFolder;
use crate::pool;
use crate::progress::Progress;
use crate::record;
use crate::scenarios::{self, Loaded};
use crate::story;
use crate::terminal::Terminal;

/// The name of the index: what a folder shows by itself on most hosts.
const INDEX: &str = "README.md";

/// Runs what `args` select, each file with its own hooks and seed, and writes the pages.
///
/// # Errors
/// Bad input, before anything is run; a failure of the harness; a folder that does not take the pages.
pub(crate) fn incidents(args: &IncidentsArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let files = scenarios::load(&args.paths, args.limits, terminal)?;
    check_names(&files)?;
    let values = files.iter().map(|file| scenarios::read(file.path.as_ref()).map(|text| provenance::of(&text)));
    let values = values.collect::<Result<Vec<_>, Failure>>()?;
    let folder = OutFolder::prepare(&args.out)?;
    let mut runs = run(&files, args, terminal)?.into_iter();
    let incidents = files.iter().zip(values).map(|(file, values)| Incident {
        path: file.path.clone(),
        explanation: shape(file),
        values,
        runs: runs.by_ref().take(file.scenario.hooks.len()).collect(),
    });
    let incidents: Vec<Incident> = incidents.collect();
    for incident in &incidents {
        let name = format!("{}.md", incident.explanation.scenario.name);
        folder.write(&name, render_incident(incident).as_bytes())?;
    }
    folder.write(INDEX, render_incident_index(&incidents).as_bytes())?;
    terminal.say(&format!("wrote {} pages and {INDEX} to {}", incidents.len(), args.out.display()));
    Ok(Exit::of(incidents.iter().flat_map(|incident| &incident.runs).map(|run| run.verdict).min()))
}

/// What the file resolves to; what it expects stands beside what came of that.
fn shape(file: &Loaded) -> Explanation {
    let mut explanation = explain::of_file(file);
    explanation.sections.retain(|section| section.title != explain::EXPECTED);
    explanation
}

/// Pages are named after scenarios.
fn check_names(files: &[Loaded]) -> Result<(), Failure> {
    let mut names: Vec<String> = files.iter().map(|file| file.scenario.name.to_lowercase()).collect();
    names.sort();
    let twice = names.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0].as_str());
    let taken = names.iter().any(|name| name == "readme").then_some("readme");
    twice.or(taken).map_or(Ok(()), |name| {
        let message = format!("two pages would be called {name}.md; rename a scenario file, or name fewer of them");
        Err(Failure::bad_input(message))
    })
}

/// All runs, in the order of the files and of their hooks.
fn run(files: &[Loaded], args: &IncidentsArgs, terminal: &Terminal) -> Result<Vec<Run>, Failure> {
    let units: Vec<(usize, HookKind)> = files
        .iter()
        .enumerate()
        .flat_map(|(index, file)| file.scenario.hooks.iter().map(move |hook| (index, *hook)))
        .collect();
    let counts = files.iter().map(|file| (file.scenario.name.clone(), file.scenario.hooks.len()));
    let progress = Progress::new(counts, terminal);
    let results = pool::each(units.len(), pool::jobs(args.jobs), |unit| {
        let (index, hook) = units[unit];
        let file = &files[index];
        let mut at = progress.run(index);
        let finished = catch_unwind(AssertUnwindSafe(|| one(file, hook, &mut |share| at.at(share))));
        at.done();
        let named = || format!("{} with hook {}", file.path, hook.name());
        finished.map_err(|panic| Failure::of_panic(&named(), panic.as_ref()))
    });
    progress.finish();
    let failures: Vec<Failure> = results.iter().filter_map(|result| result.as_ref().err().cloned()).collect();
    Failure::joined(&failures).map_or_else(|| Ok(results.into_iter().filter_map(Result::ok).collect()), Err)
}

fn one(file: &Loaded, hook: HookKind, progress: &mut dyn FnMut(f64)) -> Run {
    let scenario = &file.scenario;
    let outcome = hookproof_sim::run(scenario, hook, scenario.seed, progress);
    let stories = story::tell(scenario, &outcome, &story::worth_telling(&outcome));
    Run { stories, ..record::run(scenario, &outcome) }
}
