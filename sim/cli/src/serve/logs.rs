//! The sidecar's log: one JSON object a line on stderr.

use std::env;
use std::fmt::Write as _;
use std::io::{self, Write};

use tracing_subscriber::filter::LevelFilter;

use crate::exit::Failure;

/// How much is logged: off, error, warn, info (the default), debug or trace.
const VARIABLE: &str = "HOOKPROOF_LOG";

/// Logs from here on.
///
/// # Errors
/// The variable holds no level.
pub(super) fn begin() -> Result<(), Failure> {
    let level = match env::var(VARIABLE).ok().filter(|text| !text.is_empty()) {
        None => LevelFilter::INFO,
        Some(text) => text.parse().map_err(|_| {
            Failure::bad_input(format!("{VARIABLE}: {text:?} is none of off, error, warn, info, debug and trace"))
        })?,
    };
    let subscriber = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false)
        .with_max_level(level)
        .with_writer(|| Escaped(io::stderr()))
        .finish();
    // Only a second one in this process would be refused.
    let _ = tracing::subscriber::set_global_default(subscriber);
    Ok(())
}

/// Writes lines of JSON without control characters: JSON itself escapes some of them, and a terminal obeys more.
struct Escaped<W>(W);

impl<W: Write> Write for Escaped<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match str::from_utf8(line) {
            Ok(text) if text.chars().any(is_hidden) => self.0.write_all(escaped(text).as_bytes())?,
            Ok(_) | Err(_) => self.0.write_all(line)?,
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

fn is_hidden(letter: char) -> bool {
    letter.is_control() && letter != '\n'
}

/// They stand in strings only, where JSON takes them by number.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        if is_hidden(letter) {
            let _ = write!(escaped, "\\u{:04x}", u32::from(letter));
        } else {
            escaped.push(letter);
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_terminal_obeys_a_line() {
        let mut written = Vec::new();
        let line = "{\"a\":\"\u{9b}31m\u{7f}ä\"}\n";
        Escaped(&mut written).write_all(line.as_bytes()).unwrap();
        let written = String::from_utf8(written).unwrap();
        assert_eq!(written, "{\"a\":\"\\u009b31m\\u007fä\"}\n");
        let value: serde_json::Value = serde_json::from_str(&written).unwrap();
        assert_eq!(value["a"], "\u{9b}31m\u{7f}ä");
    }
}
