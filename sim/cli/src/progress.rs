//! How far the runs are: a bar on a terminal, a line for each finished scenario elsewhere.

use std::sync::atomic::{AtomicUsize, Ordering};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::terminal::{Talk, Terminal};

/// Steps of the bar for one run.
const STEPS: u64 = 1_000;

/// The progress of all runs; shared by the threads.
pub(crate) struct Progress<'a> {
    terminal: &'a Terminal,
    bar: ProgressBar,
    files: Vec<FileProgress>,
    files_done: AtomicUsize,
}

struct FileProgress {
    name: String,
    runs: usize,
    left: AtomicUsize,
}

impl<'a> Progress<'a> {
    /// For files with these names and numbers of runs.
    pub(crate) fn new(files: impl Iterator<Item = (String, usize)>, terminal: &'a Terminal) -> Self {
        let files: Vec<FileProgress> =
            files.map(|(name, runs)| FileProgress { name, runs, left: AtomicUsize::new(runs) }).collect();
        let runs: usize = files.iter().map(|file| file.runs).sum();
        let target = match terminal.talk() {
            Talk::Bar => ProgressDrawTarget::stderr(),
            Talk::Lines | Talk::Quiet => ProgressDrawTarget::hidden(),
        };
        let bar = ProgressBar::with_draw_target(Some(runs as u64 * STEPS), target);
        let style = ProgressStyle::with_template("{bar:30} {percent:>3}% {msg}").expect("the template is well formed");
        bar.set_style(style);
        Self { terminal, bar, files, files_done: AtomicUsize::new(0) }
    }

    /// What one run reports its share of virtual time to.
    pub(crate) fn run(&self, file: usize) -> RunProgress<'_> {
        self.bar.set_message(self.files[file].name.clone());
        RunProgress { progress: self, file, steps: 0 }
    }

    /// Takes the bar away.
    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

/// The progress of one run.
pub(crate) struct RunProgress<'a> {
    progress: &'a Progress<'a>,
    file: usize,
    steps: u64,
}

impl RunProgress<'_> {
    /// The share of the run that is over, 0 to 1.
    pub(crate) fn at(&mut self, share: f64) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0..=STEPS")]
        let steps = (share.clamp(0.0, 1.0) * STEPS as f64) as u64;
        if steps > self.steps {
            self.progress.bar.inc(steps - self.steps);
            self.steps = steps;
        }
    }

    /// The run is over.
    pub(crate) fn done(mut self) {
        self.at(1.0);
        let Progress { terminal, files, files_done, .. } = self.progress;
        let file = &files[self.file];
        if file.left.fetch_sub(1, Ordering::Relaxed) == 1 && terminal.talk() == Talk::Lines {
            let done = files_done.fetch_add(1, Ordering::Relaxed) + 1;
            terminal.say(&format!("[{done}/{}] {}: {} done", files.len(), file.name, count(file.runs)));
        }
    }
}

fn count(runs: usize) -> String {
    if runs == 1 { "1 run".to_owned() } else { format!("{runs} runs") }
}
