//! Whole hooks: their machines together, over an image of the store and a quota service that fail as a test says.

mod bench;
mod delivery;
mod machines_never_panic;
mod process;
mod storms;
