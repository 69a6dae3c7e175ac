//! Goal: whatever the moment at which the process is killed or stopped, its disk fails or is full, the power fails, or its database crashes,
//! and whatever the quota service then says or does not say, a user is granted once (`GRANT-1`), nobody who was not treated is (`GRANT-2`), every treated user in the
//! end (`GRANT-3`), nothing is asked for after its key's window (`GRANT-4`), no receipt is made up or lost (`GRANT-5`, `AUDIT-1`), and nobody
//! who has seen a variant sees another one (`ASSIGN-1`).
//!
//! Method: `examples/embedded.rs` runs as a child process against a quota service of this process, and harm comes to it at a named place. After
//! that another child goes on with the same store; at last an unharmed one must settle everything. Judged from outside
//! ([`hookproof_testing::crash`]). Beside each kind of harm stands a child that is built wrongly, or a disk or database that lies, which the
//! judge must catch.
//!
//! `HOOKPROOF_KILLS=10000 cargo test -p hookproof-runtime --test crash -- --nocapture` kills as often as it says.

#![expect(clippy::unwrap_used, reason = "whatever fails here fails the test")]

mod disk;
mod embedded;
mod fleet;
mod kills;
mod postgres;
mod power;
mod stops;
mod window;
