//! `trace`: what happened to one user, step by step.

use hookproof_reports::{Run, Why, render_json, render_stories, sweep_repro_command};
use hookproof_sim::outcome::Outcome;
use hookproof_sim::scenario::Scenario;
use hookproof_sim::users;

use crate::args::{TraceArgs, TraceFormat, hooks_of};
use crate::exit::{Exit, Failure};
use crate::terminal::{self, Terminal};
use crate::{record, scenarios, story};

/// Tells the stories that `args` select.
///
/// # Errors
/// Bad input, before anything is run.
pub(crate) fn trace(args: &TraceArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let files = scenarios::load(std::slice::from_ref(&args.path), args.limits, terminal)?;
    let [file] = files.as_slice() else {
        return Err(Failure::bad_input(format!("{}: a trace is of one scenario; name its file", args.path.display())));
    };
    let seed = args.seed.unwrap_or(file.scenario.seed);
    let drawn = if args.swarm { Some(file.varied(seed, &args.limits.of_variations())?) } else { None };
    let scenario = drawn.as_ref().unwrap_or(&file.scenario);
    check_user(args, scenario)?;
    let mut runs = Vec::new();
    for hook in hooks_of(&args.hooks, scenario) {
        terminal.say(&format!("{}: seed {seed}, {}", file.path, hook.name()));
        let outcome = hookproof_sim::run(scenario, hook, seed, &mut |_| {});
        let stories = story::tell(scenario, &outcome, &whom(args, &outcome));
        let run = record::run(scenario, &outcome);
        let repro = if args.swarm { repro_of_swarm(&run) } else { run.repro.clone() };
        runs.push(Run { stories, repro, ..run });
    }
    let is_told = runs.iter().flat_map(|run| &run.stories).any(|story| !story.steps.is_empty());
    let text = match args.format {
        TraceFormat::Json => render_json(&record::record(runs)),
        TraceFormat::Human => render_stories(&runs, &terminal.palette()),
    };
    terminal::print(text.as_bytes())?;
    Ok(if is_told { Exit::Pass } else { Exit::Inconclusive })
}

/// The command that repeats what a seed has drawn: `run` knows the file as it is written only.
fn repro_of_swarm(run: &Run) -> String {
    sweep_repro_command(&format!("{}.toml", run.scenario.name), &run.hook, run.seed, true)
}

/// A user that a closed population does not have is a slip, not somebody without a story.
fn check_user(args: &TraceArgs, scenario: &Scenario) -> Result<(), Failure> {
    let population = scenario.users.as_ref().map(|users| users.population);
    match (args.user, population) {
        (Some(user), Some(population)) if user >= population => {
            let (user, last) = (users::name(user), users::name(population.saturating_sub(1)));
            Err(Failure::bad_input(format!("{user} is nobody: the users of this scenario are user-0 to {last}")))
        }
        (None | Some(_), None | Some(_)) => Ok(()),
    }
}

/// The given user, or the first that is worth telling of.
fn whom(args: &TraceArgs, outcome: &Outcome) -> Vec<(u32, Why)> {
    match args.user {
        Some(user) => vec![(user, Why::Asked)],
        None => story::worth_telling(outcome).into_iter().take(1).collect(),
    }
}
