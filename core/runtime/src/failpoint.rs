//! Places at which a test may kill the process: `HOOKPROOF_KILL_AT=NAME:N` kills it, as `kill -9` does, when it comes to the place NAME for the
//! N-th time. Compiled in for this workspace's tests only (feature `failpoints`).

/// The process is at the place `name`.
#[cfg(not(feature = "failpoints"))]
pub(crate) const fn at(_name: &str) {}

/// The process is at the place `name`.
#[cfg(feature = "failpoints")]
pub(crate) fn at(name: &str) {
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    use rustix::process::{Signal, getpid, kill_process};

    static KILL_AT: LazyLock<Option<(String, u64)>> = LazyLock::new(|| {
        let place = std::env::var("HOOKPROOF_KILL_AT").ok()?;
        let (name, count) = place.rsplit_once(':')?;
        Some((name.to_owned(), count.parse().ok()?))
    });
    static COMES: AtomicU64 = AtomicU64::new(0);
    if let Some((place, count)) = &*KILL_AT
        && place == name
        && COMES.fetch_add(1, Ordering::Relaxed) + 1 == *count
    {
        // Nothing of this process may run after it, not even a destructor.
        let _ = kill_process(getpid(), Signal::KILL);
        loop {
            std::thread::park();
        }
    }
}
