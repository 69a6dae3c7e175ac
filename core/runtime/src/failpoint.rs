//! Places at which a test may do harm to the process: `HOOKPROOF_KILL_AT=NAME:N` kills it, as `kill -9` does, when it comes to the place NAME
//! for the N-th time; `HOOKPROOF_STOP_AT=NAME:N` stops it there until it gets SIGCONT; `HOOKPROOF_SKIP=NAME` leaves out what is named, so that a
//! test can show that its absence is noticed. Compiled in for this workspace's tests only (feature `failpoints`).

/// The process is at the place `name`.
#[cfg(not(feature = "failpoints"))]
pub(crate) const fn at(_name: &str) {}

/// Whether the step `name` is to be left out.
#[cfg(not(feature = "failpoints"))]
pub(crate) const fn skips(_name: &str) -> bool {
    false
}

/// Files are opened from here on.
#[cfg(not(feature = "failpoints"))]
pub(crate) const fn before_open() {}

#[cfg(feature = "failpoints")]
pub(crate) use self::compiled_in::{at, before_open, skips};

#[cfg(feature = "failpoints")]
mod compiled_in {
    use std::env;
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::thread;
    use std::time::Duration;

    use rustix::process::{Signal, getpid, kill_process};

    const UNTIL_STOPPED: Duration = Duration::from_millis(200);

    /// What befalls the process, and where.
    struct Harm {
        name: String,
        /// It has been there so often.
        come_count: AtomicU64,
        /// And is to be harmed at this time.
        come: u64,
        signal: Signal,
    }

    impl Harm {
        fn of(variable: &str, signal: Signal) -> Option<Self> {
            let place = env::var(variable).ok()?;
            let (name, come) = place.rsplit_once(':')?;
            Some(Self { name: name.to_owned(), come_count: AtomicU64::new(0), come: come.parse().ok()?, signal })
        }
    }

    static HARMS: LazyLock<Vec<Harm>> = LazyLock::new(|| {
        let kill = Harm::of("HOOKPROOF_KILL_AT", Signal::KILL);
        let stop = Harm::of("HOOKPROOF_STOP_AT", Signal::STOP);
        kill.into_iter().chain(stop).collect()
    });
    static SKIPPED: LazyLock<Option<String>> = LazyLock::new(|| env::var("HOOKPROOF_SKIP").ok());

    pub(crate) fn at(name: &str) {
        for harm in HARMS.iter().filter(|harm| harm.name == name) {
            if harm.come_count.fetch_add(1, Ordering::Relaxed) + 1 == harm.come {
                let _ = kill_process(getpid(), harm.signal);
                if harm.signal == Signal::KILL {
                    // Nothing of a killed process may run any more, not even a destructor.
                    loop {
                        thread::park();
                    }
                }
                // Another thread may be the one that takes the signal, when it has a core, and this one would go on until then.
                thread::sleep(UNTIL_STOPPED);
            }
        }
    }

    pub(crate) fn skips(name: &str) -> bool {
        SKIPPED.as_deref() == Some(name)
    }

    pub(crate) fn before_open() {
        hookproof_faulty_disk::install();
    }
}
