//! `experiment …`: what an experiment makes of users, without any run.

pub(crate) mod assign;
pub(crate) mod check;
pub(crate) mod diff;
mod file;
mod users;
pub(crate) mod vectors;
pub(crate) mod verify;
