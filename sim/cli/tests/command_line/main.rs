//! Goal: the command line keeps its contract: exit codes, streams, formats, bytes. Method: the binary itself, started in
//! temporary folders with small scenario files.

mod ablate;
mod bench;
mod ci;
mod conclusion;
mod events;
mod exit_codes;
mod experiment;
mod experiment_check;
mod experiment_diff;
mod explain;
mod folder;
mod hostile;
mod new;
mod output;
mod privacy;
mod promise;
mod report;
mod schema;
mod serve;
mod sweep;
mod trace;
