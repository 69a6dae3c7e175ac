//! `sweep`: many seeds of scenarios on all cores, and what they found together.

mod array;
pub(crate) mod merge;
pub(crate) mod output;
mod plan;
mod progress;

use std::collections::BTreeMap;
use std::env;

use hookproof_reports::{SWEEP_SCHEMA, Seeds, Shard, SweepRecord};

use crate::args::{ShardChoice, SweepArgs};
use crate::exit::{Exit, Failure};
use crate::interrupt::Interrupt;
use crate::out::OutFolder;
use crate::pool;
use crate::record;
use crate::scenarios;
use crate::terminal::Terminal;
use output::Output;
use plan::{Plan, Target};

/// Sweeps what `args` select, and prints and writes what they ask for.
///
/// # Errors
/// Bad input, before anything is run; a failure of the harness.
pub(crate) fn sweep(args: &SweepArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let output = Output::resolve(&args.formats, args.out.is_some())?;
    let shard = shard(args, terminal)?;
    let files = scenarios::load(&args.paths, args.running.limits, terminal)?;
    let targets: Vec<Target<'_>> =
        files.iter().map(|file| Target { file, hooks: args.running.hooks(&file.scenario) }).collect();
    let plan = Plan {
        targets: &targets,
        seeds: args.seeds.clone(),
        shard,
        swarm: args.swarm,
        jobs: pool::jobs(args.running.jobs),
        times: args.running.times(),
        interrupt: Interrupt::listen().map_err(|error| Failure::harness(format!("SIGINT can't be taken: {error}")))?,
        simulate: hookproof_sim::run,
    };
    plan.check_variations(&args.running.limits.of_variations())?;
    let folder = args.out.as_deref().map(OutFolder::prepare).transpose()?;
    announce(args, &targets, shard, terminal);
    let swept = plan.run(terminal)?;
    let record = SweepRecord {
        schema: SWEEP_SCHEMA.to_owned(),
        tool: record::tool(),
        seeds: Seeds { from: args.seeds.start, to: args.seeds.end },
        swarm: args.swarm,
        shard: (shard != Shard::WHOLE).then_some(shard),
        digest: String::new(),
        scenarios: swept.scenarios,
    };
    let paths: BTreeMap<String, String> =
        files.iter().map(|file| (record::scenario_digest(&file.scenario), file.path.clone())).collect();
    if record.is_whole() {
        output.put(&record, paths, folder.as_ref(), terminal)?;
    } else {
        output.put_interrupted(&record, paths, terminal)?;
    }
    for message in swept.diverged.messages() {
        terminal.complain(&message);
    }
    let verdict = if record.is_whole() { Exit::of(record.verdict()) } else { Exit::Interrupted };
    Ok(if swept.diverged.is_empty() { verdict } else { verdict.min(Exit::Diverged) })
}

/// What the command line says, else what an array job's variables say, else the whole.
fn shard(args: &SweepArgs, terminal: &Terminal) -> Result<Shard, Failure> {
    let shard = match args.shard {
        Some(ShardChoice::Part(shard)) => shard,
        Some(ShardChoice::Whole) => Shard::WHOLE,
        None => match array::detect(|name| env::var(name).ok()).map_err(Failure::bad_input)? {
            None => Shard::WHOLE,
            Some(array::Found { shard, scheduler, variable }) => {
                terminal.say(&format!("shard {shard}, from {variable} ({scheduler}); --shard none runs the whole"));
                shard
            }
        },
    };
    let seeds = args.seeds.end - args.seeds.start;
    if shard.count() > seeds {
        let shards = shard.count();
        return Err(Failure::bad_input(format!("{shards} shards of {seeds} seeds: some would be empty; use fewer")));
    }
    if shard != Shard::WHOLE && args.out.is_none() && !args.formats.contains(&crate::args::SweepFormat::Json) {
        terminal.say("this shard is printed and not stored; --out DIR stores it for `hookproof merge`");
    }
    Ok(shard)
}

fn announce(args: &SweepArgs, targets: &[Target<'_>], shard: Shard, terminal: &Terminal) {
    let seeds = &args.seeds;
    for Target { file, hooks } in targets {
        let hooks: Vec<&str> = hooks.iter().map(|hook| hook.name()).collect();
        let swarm = if args.swarm { ", swarm" } else { "" };
        let part = if shard == Shard::WHOLE { String::new() } else { format!(", shard {shard}") };
        let (from, to) = (seeds.start, seeds.end - 1);
        terminal.say(&format!("{}: seeds {from} to {to}{swarm}{part}, {}", file.path, hooks.join(", ")));
    }
}
