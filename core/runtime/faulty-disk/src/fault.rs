//! What fails, and when.

use std::env;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::process::{Signal, getpid, kill_process};

/// What a failure that was met begins with on stderr.
pub const MET: &str = "faulty disk:";
const VARIABLE: &str = "HOOKPROOF_DISK";

/// How an operation fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// `io`: EIO. Half of what was to be written is; nothing is read.
    Io,
    /// `full`: ENOSPC. Nothing is written.
    Full,
    /// `lie`: nothing is done, and success is reported.
    Lie,
}

/// What SQLite does with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Read,
    Write,
    Sync,
    Truncate,
}

impl Operation {
    const ALL: [Self; 4] = [Self::Read, Self::Write, Self::Sync, Self::Truncate];

    const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Sync => "sync",
            Self::Truncate => "truncate",
        }
    }
}

/// What the variable asks for.
enum Fault {
    Nth { operation: Operation, how: How, first: u64, count: u64, dies: bool },
    FullWhile(PathBuf),
}

impl Fault {
    fn parse(text: &str) -> Option<Self> {
        if let Some(path) = text.strip_prefix("full-while:") {
            return Some(Self::FullWhile(path.into()));
        }
        let (rest, dies) = text.strip_suffix(":die").map_or((text, false), |rest| (rest, true));
        let mut parts = rest.split(':');
        let name = parts.next()?;
        let operation = Operation::ALL.into_iter().find(|operation| operation.name() == name)?;
        let how = match parts.next()? {
            "io" => How::Io,
            "full" => How::Full,
            "lie" => How::Lie,
            _ => return None,
        };
        if operation == Operation::Read && how != How::Io {
            return None;
        }
        let (first, count) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        parts.next().is_none().then_some(Self::Nth { operation, how, first, count, dies })
    }
}

static FAULT: LazyLock<Option<Fault>> = LazyLock::new(|| {
    let text = env::var(VARIABLE).ok()?;
    let fault = Fault::parse(&text);
    assert!(fault.is_some(), "{VARIABLE}={text} does not say what fails");
    fault
});
/// Operations of the kind that fails.
static COUNT: AtomicU64 = AtomicU64::new(0);

pub(crate) fn is_asked_for() -> bool {
    FAULT.is_some()
}

/// How the operation that is about to be done fails, if it does. `grows`: whether it makes its file longer.
pub(crate) fn on(operation: Operation, grows: impl FnOnce() -> bool) -> Option<How> {
    match FAULT.as_ref()? {
        Fault::FullWhile(path) => {
            let is_full = operation == Operation::Write && path.exists() && grows();
            is_full.then(|| met(operation, How::Full))
        }
        Fault::Nth { operation: failing, how, first, count, dies } => {
            let done = COUNT.load(Ordering::Relaxed);
            if *dies && done >= first + count - 1 {
                die();
            }
            if operation != *failing {
                return None;
            }
            let number = COUNT.fetch_add(1, Ordering::Relaxed) + 1;
            (*first..first + count).contains(&number).then(|| met(operation, *how))
        }
    }
}

fn met(operation: Operation, how: How) -> How {
    eprintln!("{MET} {} {how:?}", operation.name());
    how
}

fn die() -> ! {
    let _ = kill_process(getpid(), Signal::KILL);
    loop {
        std::thread::park();
    }
}

#[cfg(test)]
mod tests {
    use super::{Fault, How, Operation};

    #[test]
    fn what_fails_is_read_to_the_end_or_refused() {
        let Some(Fault::Nth { operation: Operation::Sync, how: How::Io, first: 3, count: 5, dies: true }) =
            Fault::parse("sync:io:3:5:die")
        else {
            panic!("the third sync fails, and the four after it; then it dies");
        };
        let Some(Fault::Nth { dies: false, .. }) = Fault::parse("write:full:1:1") else { panic!("it goes on") };
        let Some(Fault::FullWhile(path)) = Fault::parse("full-while:/a:b") else { panic!("it is full") };
        assert_eq!(path.as_os_str(), "/a:b");
        for wrong in
            ["", "write", "write:io", "write:io:1", "read:lie:1:1", "seek:io:1:1", "write:no:1:1", "write:io:1:1:1"]
        {
            assert!(Fault::parse(wrong).is_none(), "{wrong}");
        }
    }
}
