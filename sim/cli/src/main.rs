//! `hookproof`, the operator's binary: parse, resolve, run, render, exit code.
//!
//! The only crate that knows all others; it maps the simulator's outcomes to the records of `hookproof-reports`. stdout
//! is data, stderr is talk, and every failure that a user can meet has an exit code ([`exit::Exit`]).

mod ablate;
mod args;
mod begin_epoch;
mod bench;
mod compare;
mod completions;
mod determinism;
mod events;
mod exit;
mod experiment;
mod explain;
mod hook_file;
mod ids;
mod incidents;
mod interrupt;
mod location;
mod new;
mod out;
mod output;
mod parked;
mod pool;
mod progress;
mod promise;
mod record;
mod report;
mod run;
mod runtime;
#[cfg(test)]
mod sample;
mod scenarios;
mod schema;
mod serve;
mod size;
mod stored;
mod story;
mod stretches;
mod sweep;
mod terminal;
mod trace;
mod validate;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use clap::Parser as _;

use args::{Cli, ExperimentVerb, ParkedVerb, Verb};
use exit::{Exit, Failure};
use terminal::Terminal;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let terminal = Terminal::new(cli.color, cli.quiet);
    let result = catch_unwind(AssertUnwindSafe(|| dispatch(&cli.verb, &terminal)))
        .unwrap_or_else(|panic| Err(Failure::of_panic("the command", panic.as_ref())));
    result
        .unwrap_or_else(|failure| {
            failure.messages().iter().for_each(|message| terminal.complain(message));
            failure.exit()
        })
        .code()
}

fn dispatch(verb: &Verb, terminal: &Terminal) -> Result<Exit, Failure> {
    match verb {
        Verb::Run(args) => run::run(args, terminal),
        Verb::Validate(args) => validate::validate(args, terminal),
        Verb::Explain(args) => explain::explain(args, terminal),
        Verb::Incidents(args) => incidents::incidents(args, terminal),
        Verb::New(args) => new::new(args, terminal),
        Verb::Report(args) => report::report(args, terminal),
        Verb::Compare(args) => compare::compare(args, terminal),
        Verb::Schema(args) => schema::schema(*args),
        Verb::Completions(args) => completions::completions(args),
        Verb::Sweep(args) => sweep::sweep(args, terminal),
        Verb::Trace(args) => trace::trace(args, terminal),
        Verb::Ablate(args) => ablate::ablate(args, terminal),
        Verb::Merge(args) => sweep::merge::merge(args, terminal),
        Verb::Promise(args) => promise::promise(args, terminal),
        Verb::Experiment { verb: ExperimentVerb::Assign(args) } => experiment::assign::assign(args, terminal),
        Verb::Experiment { verb: ExperimentVerb::Check(args) } => experiment::check::check(args, terminal),
        Verb::Experiment { verb: ExperimentVerb::Diff(args) } => experiment::diff::diff(args, terminal),
        Verb::Experiment { verb: ExperimentVerb::Vectors(args) } => experiment::vectors::vectors(&args.file),
        Verb::Experiment { verb: ExperimentVerb::Verify(args) } => experiment::verify::verify(args, terminal),
        Verb::Bench(args) => bench::bench(args, terminal),
        Verb::Serve(args) => serve::serve(args, terminal),
        Verb::BeginEpoch(args) => begin_epoch::begin_epoch(args, terminal),
        Verb::Parked { verb: ParkedVerb::List(args) } => parked::list(args),
        Verb::Parked { verb: ParkedVerb::Show(args) } => parked::show(args),
        Verb::Parked { verb: ParkedVerb::Resolve(args) } => parked::resolve(args),
    }
}
