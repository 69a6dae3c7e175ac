//! `trace`: what happened to one user, step by step.

use hookproof_reports::{Run, Why, render_json, render_stories, sweep_repro_command};
use hookproof_sim::outcome::Outcome;
use hookproof_sim::scenario::Scenario;
use hookproof_sim::users;

use crate::args::{TraceArgs, TraceFormat, hooks_of};
use crate::exit::{Exit, Failure};
use crate::ids::{Called, Ids};
use crate::terminal::{self, Terminal};
use crate::{record, scenarios, story};

/// Tells the stories that `args` select.
///
/// # Errors
/// Bad input, before anything is run.
pub(crate) fn trace(args: &TraceArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let ids = Ids::resolve(&args.ids)?;
    let files = scenarios::load(std::slice::from_ref(&args.path), args.limits, terminal)?;
    let [file] = files.as_slice() else {
        return Err(Failure::bad_input(format!("{}: a trace is of one scenario; name its file", args.path.display())));
    };
    let seed = args.seed.unwrap_or(file.scenario.seed);
    let drawn = if args.swarm { Some(file.varied(seed, &args.limits.of_variations())?) } else { None };
    let scenario = drawn.as_ref().unwrap_or(&file.scenario);
    let named = named(args, &ids, scenario)?;
    let mut runs = Vec::new();
    for hook in hooks_of(&args.hooks, scenario) {
        terminal.say(&format!("{}: seed {seed}, {}", file.path, hook.name()));
        let outcome = hookproof_sim::run(scenario, hook, seed, &mut |_| {});
        let stories = story::tell(scenario, &outcome, &whom(args, &ids, named.as_deref(), (scenario, &outcome))?);
        let run = record::run(scenario, &outcome);
        let repro = if args.swarm { repro_of_swarm(&run) } else { run.repro.clone() };
        runs.push(Run { stories, repro, ..run });
    }
    let is_told = runs.iter().flat_map(|run| &run.stories).any(|story| !story.steps.is_empty());
    let record = ids.presented(record::record(runs));
    let text = match args.format {
        TraceFormat::Json => render_json(&record),
        TraceFormat::Human => render_stories(&record.runs, &terminal.palette()),
    };
    terminal::print(text.as_bytes())?;
    Ok(if is_told { Exit::Pass } else { Exit::Inconclusive })
}

/// The command that repeats what a seed has drawn: `run` knows the file as it is written only.
fn repro_of_swarm(run: &Run) -> String {
    sweep_repro_command(&format!("{}.toml", run.scenario.name), &run.hook, run.seed, true)
}

/// Whom the arguments name, where that can be said before a run; a user that a closed population does not have is a slip, not
/// somebody without a story.
fn named(args: &TraceArgs, ids: &Ids, scenario: &Scenario) -> Result<Option<Vec<u32>>, Failure> {
    let (Some(called), Some(users)) = (&args.user, &scenario.users) else { return Ok(None) };
    let id = record::scenario_id(scenario);
    let named = match called {
        Called::Number(number) if *number >= users.population => {
            let (user, last) = (users::name(*number), users::name(users.population.saturating_sub(1)));
            let message = format!("{user} is nobody: the users of this scenario are user-0 to {last}");
            return Err(Failure::bad_input(message));
        }
        Called::Number(_) | Called::Pseudonym(_) => ids.meant(called, &id, users.population),
    };
    if named.is_empty() { Err(unknown()) } else { Ok(Some(named)) }
}

fn unknown() -> Failure {
    Failure::bad_input(
        "nobody here has this pseudonym: it is of another scenario, an earlier state of this file, or under another --id-key",
    )
}

/// The given user, or the first that is worth telling of. Of open arrivals nobody knows who comes before they have come.
fn whom(
    args: &TraceArgs,
    ids: &Ids,
    named: Option<&[u32]>,
    (scenario, outcome): (&Scenario, &Outcome),
) -> Result<Vec<(u32, Why)>, Failure> {
    let asked = |users: &[u32]| users.iter().map(|user| (*user, Why::Asked)).collect();
    match (named, &args.user) {
        (Some(users), _) => Ok(asked(users)),
        (None, Some(called)) => {
            let count = u32::try_from(outcome.hook_calls).unwrap_or(u32::MAX);
            let users = ids.meant(called, &record::scenario_id(scenario), count);
            if users.is_empty() { Err(unknown()) } else { Ok(asked(&users)) }
        }
        (None, None) => Ok(story::worth_telling(outcome).into_iter().take(1).collect()),
    }
}
