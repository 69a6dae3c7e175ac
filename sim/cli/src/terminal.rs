//! Both output streams: data on stdout, talk on stderr, each coloured if its reader wants it.

use std::io::{self, ErrorKind, IsTerminal as _, Write as _};

use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};
use hookproof_reports as reports;

use crate::args::ColorWhen;
use crate::exit::Failure;

/// What is known of the streams.
pub(crate) struct Terminal {
    data_color: bool,
    talk_color: bool,
    talk: Talk,
}

/// How much is said on stderr.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Talk {
    /// Errors only.
    Quiet,
    /// Whole lines.
    Lines,
    /// A bar that moves.
    Bar,
}

impl Terminal {
    pub(crate) fn new(color: ColorWhen, quiet: bool) -> Self {
        let wants = |choice: ColorChoice| match color {
            ColorWhen::Always => true,
            ColorWhen::Never => false,
            ColorWhen::Auto => choice != ColorChoice::Never,
        };
        let in_ci = std::env::var_os("CI").is_some_and(|value| !value.is_empty());
        let talk = match (quiet, io::stderr().is_terminal() && !in_ci) {
            (true, _) => Talk::Quiet,
            (false, true) => Talk::Bar,
            (false, false) => Talk::Lines,
        };
        Self {
            data_color: wants(AutoStream::choice(&io::stdout())),
            talk_color: wants(AutoStream::choice(&io::stderr())),
            talk,
        }
    }

    /// How much is said.
    pub(crate) const fn talk(&self) -> Talk {
        self.talk
    }

    /// The table's colours on stdout.
    pub(crate) fn palette(&self) -> reports::Palette {
        if !self.data_color {
            return reports::Palette::plain();
        }
        let pair =
            |style: Style| reports::Style { start: style.render().to_string(), end: style.render_reset().to_string() };
        let strong = |color: AnsiColor| pair(Style::new().bold().fg_color(Some(color.into())));
        reports::Palette {
            good: strong(AnsiColor::Green),
            bad: strong(AnsiColor::Red),
            doubt: strong(AnsiColor::Yellow),
            title: pair(Style::new().bold()),
            aside: pair(Style::new().dimmed()),
        }
    }

    /// Says a line on stderr, unless quiet. Nobody listening is no failure.
    pub(crate) fn say(&self, line: &str) {
        if self.talk != Talk::Quiet {
            let _ = writeln!(io::stderr(), "{line}");
        }
    }

    /// Says what is wrong, also if quiet.
    pub(crate) fn complain(&self, message: &str) {
        let mut stderr = io::stderr().lock();
        let style =
            if self.talk_color { Style::new().bold().fg_color(Some(AnsiColor::Red.into())) } else { Style::new() };
        let _ = writeln!(stderr, "{style}error{style:#}: {message}");
    }

    /// Writes to stderr what is rendered with its own heading, in colours or without, also if quiet.
    pub(crate) fn show_problem(&self, render: impl FnOnce(bool) -> String) {
        let _ = writeln!(io::stderr(), "{}\n", render(self.talk_color).trim_end());
    }
}

/// Writes data to stdout. A reader that has gone away has seen what it wanted.
///
/// # Errors
/// The stream cannot take it, as on a full disk.
pub(crate) fn print(data: &[u8]) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(data).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::harness(format!("stdout can't be written: {error}")))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}
