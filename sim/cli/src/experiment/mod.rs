//! `experiment …`: what an experiment makes of users, without any run.

pub(crate) mod assign;
mod users;
pub(crate) mod vectors;
