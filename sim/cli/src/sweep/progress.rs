//! How far a sweep is: a bar on a terminal, a line for each tenth elsewhere.

use std::sync::atomic::{AtomicU64, Ordering};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::terminal::{Talk, Terminal};

/// Lines of a sweep where there is no bar.
const LINES: u64 = 10;

/// The progress of all runs; shared by the threads.
pub(crate) struct Progress<'a> {
    terminal: &'a Terminal,
    bar: ProgressBar,
    runs: u64,
    done: AtomicU64,
    violated: AtomicU64,
}

impl<'a> Progress<'a> {
    /// For this many runs.
    pub(crate) fn new(runs: u64, terminal: &'a Terminal) -> Self {
        let target = match terminal.talk() {
            Talk::Bar => ProgressDrawTarget::stderr(),
            Talk::Lines | Talk::Quiet => ProgressDrawTarget::hidden(),
        };
        let bar = ProgressBar::with_draw_target(Some(runs), target);
        let template = "{bar:30} {percent:>3}% {human_pos}/{human_len} runs, {msg}, {eta} left";
        bar.set_style(ProgressStyle::with_template(template).expect("the template is well formed"));
        bar.set_message("0 violated");
        Self { terminal, bar, runs, done: AtomicU64::new(0), violated: AtomicU64::new(0) }
    }

    /// One run is over.
    pub(crate) fn done(&self, is_violated: bool) {
        if is_violated {
            let violated = self.violated.fetch_add(1, Ordering::Relaxed) + 1;
            self.bar.set_message(format!("{violated} violated"));
        }
        self.bar.inc(1);
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        let tenth = |done: u64| u128::from(done) * u128::from(LINES) / u128::from(self.runs);
        if self.terminal.talk() == Talk::Lines && tenth(done) > tenth(done - 1) {
            let violated = self.violated.load(Ordering::Relaxed);
            self.terminal.say(&format!("[{done}/{}] runs, {violated} violated", self.runs));
        }
    }

    /// Takes the bar away.
    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
