//! The acceptance table of the simulated programs: what the post-mortem's two programs are known to do, one test a row.
//!
//! Goal: the harm that the simulator shows is the programs' own. Both were run as printed against a loopback service;
//! each row states what follows from their text (0.5, 1.875, 12 …), and the test holds the simulated program against
//! that and not against a sample. Where the published program does harm, the hardened hook goes through the same
//! scenario in the same test and does none, and the fault is shown to have reached it.
//!
//! Method: rows about load and faults run small scenarios under many seeds; rows about one call feed the program by
//! hand. A statistical row names its standard error; [`trial::assert_near`] says what tolerance follows from it.

mod assignment;
mod failures;
mod grants;
mod process;
mod trial;
