//! Hooks as child processes that are harmed, and a judge who looks from outside: at a quota service's ledger, and at what users were told.
//!
//! Owns the quota service ([`Service`]), the children ([`Program`], [`Harm`]) and what is held against them ([`World`]). Knows nothing of how a
//! hook works, nor of what is in its store. What is judged:
//!
//! * `GRANT-1`: nobody was granted twice. `GRANT-2`: nobody who is not treated was granted, nor anybody without a record at the time.
//! * `GRANT-3`: every treated user ends with a grant, and the hook knows it. `GRANT-4`: nothing is asked for after its key's window.
//! * `GRANT-5`: a receipt that somebody was told of is never taken back. `AUDIT-1`: no receipt without an effect, and no record that
//!   somebody was told of is lost.
//! * `ASSIGN-1`: nobody who was shown a variant with a record behind it is shown another one.
//!
//! Findings are gathered, not asserted: a judge that never finds anything must be shown something to find.
#![expect(clippy::disallowed_methods, reason = "a test's patience is not the hook's business")]

mod child;
mod service;
mod world;

use std::thread;
use std::time::{Duration, Instant};

pub use self::child::{Child, End, Harm, Keeper, Program, Told, Wire};
pub use self::service::{Ambiguity, Ledger, Service};
pub use self::world::{PLACES, Settled, TREATMENT, World, side_by_side};

/// Longer than anything takes.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks at what is waited for.
const PAUSE: Duration = Duration::from_millis(2);

/// Waits until `look` finds something.
///
/// # Panics
/// If it has found nothing for a long time; `what` was waited for.
pub fn wait_for<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    wait(look).unwrap_or_else(|| panic!("waited in vain for {what}"))
}

/// Waits until `look` finds something, but not for ever.
fn wait<T>(mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let until = Instant::now() + PATIENCE;
    loop {
        let found = look();
        if found.is_some() || Instant::now() > until {
            return found;
        }
        thread::sleep(PAUSE);
    }
}
