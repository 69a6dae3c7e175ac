//! Exit codes, and failures that end a command early.

use std::any::Any;
use std::process::ExitCode;

use hookproof_reports::Verdict;

/// As shells say of a process that SIGINT ended.
pub(crate) const INTERRUPTED: u8 = 130;

/// How a command ends, by precedence: where several apply, the first counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Exit {
    /// 2: usage, scenario, log or path is bad; nothing was run or written.
    BadInput,
    /// 5: the harness itself failed.
    Harness,
    /// 130: the user ended it before all was done.
    Interrupted,
    /// 4: the same seed gave another run.
    Diverged,
    /// 1: an expectation, or an invariant of a judged hook, is violated.
    Violated,
    /// 3: something could not be judged, or nothing was selected.
    Inconclusive,
    /// 0: all expectations hold.
    Pass,
}

impl Exit {
    /// Of the worst verdict of all runs; `None` if there are none.
    pub(crate) const fn of(verdict: Option<Verdict>) -> Self {
        match verdict {
            Some(Verdict::Violated) => Self::Violated,
            // Nothing was selected, so nothing was judged.
            None | Some(Verdict::Inconclusive) => Self::Inconclusive,
            Some(Verdict::Pass) => Self::Pass,
        }
    }

    /// The process's exit code.
    pub(crate) fn code(self) -> ExitCode {
        ExitCode::from(match self {
            Self::Pass => 0,
            Self::Violated => 1,
            Self::BadInput => 2,
            Self::Inconclusive => 3,
            Self::Diverged => 4,
            Self::Harness => 5,
            Self::Interrupted => INTERRUPTED,
        })
    }
}

/// Why a command ended early: what the user reads, at least one message, and the exit code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    exit: Exit,
    messages: Vec<String>,
}

impl Failure {
    /// The input is bad; the message says what and what to do.
    pub(crate) fn bad_input(message: impl Into<String>) -> Self {
        Self { exit: Exit::BadInput, messages: vec![message.into()] }
    }

    /// The harness could not do its work.
    pub(crate) fn harness(message: impl Into<String>) -> Self {
        Self { exit: Exit::Harness, messages: vec![message.into()] }
    }

    /// A panic while `doing`: a broken assumption of ours.
    pub(crate) fn of_panic(doing: &str, panic: &(dyn Any + Send)) -> Self {
        let text = panic.downcast_ref::<&str>().copied().or(panic.downcast_ref::<String>().map(String::as_str));
        let text = text.unwrap_or("without a message");
        Self::harness(format!("{doing} panicked, which is a bug in hookproof, not in your input: {text}"))
    }

    /// Several failures as one: all messages, and the exit code that takes precedence; `None` if there is none.
    pub(crate) fn joined(failures: &[Self]) -> Option<Self> {
        let exit = failures.iter().map(|failure| failure.exit).min()?;
        Some(Self { exit, messages: failures.iter().flat_map(|failure| failure.messages.clone()).collect() })
    }

    /// What the user reads.
    pub(crate) fn messages(&self) -> &[String] {
        &self.messages
    }

    /// How the command ends.
    pub(crate) const fn exit(&self) -> Exit {
        self.exit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_several_apply_the_contracts_order_counts() {
        use Exit::{BadInput, Diverged, Harness, Inconclusive, Interrupted, Pass, Violated};
        let order = [BadInput, Harness, Interrupted, Diverged, Violated, Inconclusive, Pass];
        assert!(order.is_sorted());
        let joined = Failure::joined(&[Failure::harness("a"), Failure::bad_input("b")]).unwrap();
        assert_eq!((joined.exit(), joined.messages()), (Exit::BadInput, ["a".to_owned(), "b".to_owned()].as_slice()));
        assert_eq!(Failure::joined(&[]), None);
    }
}
