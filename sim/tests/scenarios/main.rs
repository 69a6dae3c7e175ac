//! What users write, and what the repository ships of it: scenario files, files of hooks, traces, and what the guides say of them.
//! All of it is read or refused with everything that is wrong, and what is accepted keeps within its limits.
//!
//! The files that must be accepted are in `good*`, those that must be refused in `broken*`.

mod docs;
mod files;
mod fuzz;
mod hook_files;
mod library;
mod limits;
mod traces;
