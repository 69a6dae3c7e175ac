//! How a record's text and its numbers are written in the page.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::time::Duration;

use maud::{Markup, Render, html};

use crate::length::Length;
use crate::record::{Limit, Role, Verdict};

use super::definition::{Unit, digits};

/// Longer text of a record is cut; the record has it in full.
const CHARACTERS_MAX: usize = 600;

/// Text of a record. Every such text enters the page through this: control characters and those that turn the direction
/// of writing are shown by their number, so that they act on nothing, and what is very long is cut. Escaping is the
/// template's.
pub(crate) struct Shown<'a>(pub(crate) &'a str);

impl Render for Shown<'_> {
    fn render_to(&self, buffer: &mut String) {
        visible(self.0).as_ref().render_to(buffer);
    }
}

fn visible(text: &str) -> Cow<'_, str> {
    let acts = |c: char| {
        c.is_control()
            || matches!(
                c,
                '\u{61C}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}'
                    | '\u{FFF0}'..='\u{FFFB}' | '\u{FFFE}' | '\u{FFFF}' | '\u{E0000}'..='\u{E0FFF}'
            )
    };
    if text.len() <= CHARACTERS_MAX && !text.chars().any(acts) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::new();
    for character in text.chars().take(CHARACTERS_MAX) {
        match character {
            '\n' | '\t' => shown.push(' '),
            character if acts(character) => {
                let _ = write!(shown, "⟨U+{:04X}⟩", u32::from(character));
            }
            character => shown.push(character),
        }
    }
    let more = text.chars().count().saturating_sub(CHARACTERS_MAX);
    if more > 0 {
        let _ = write!(shown, "… ({more} more characters)");
    }
    Cow::Owned(shown)
}

/// A moment or a length in its largest unit and the next: `17d 2h`, `2h 48m`, `1s 500ms`.
pub(crate) fn about(length: Length) -> String {
    const UNITS: [(&str, u128); 7] = [
        ("d", 86_400_000_000_000),
        ("h", 3_600_000_000_000),
        ("m", 60_000_000_000),
        ("s", 1_000_000_000),
        ("ms", 1_000_000),
        ("us", 1_000),
        ("ns", 1),
    ];
    let nanos = length.0.as_nanos();
    let Some(largest) = UNITS.iter().position(|(_, size)| nanos >= *size) else { return "0s".to_owned() };
    let mut rest = nanos;
    let mut parts = Vec::new();
    for (unit, size) in UNITS.iter().skip(largest).take(2).filter(|(_, size)| nanos >= *size) {
        if rest >= *size {
            parts.push(format!("{}{unit}", rest / size));
        }
        rest %= size;
    }
    parts.join(" ")
}

/// A moment of a story to the microsecond: `17d 02:00:03.250000`.
pub(crate) fn moment(at: Length) -> String {
    let seconds = at.0.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    let days = if days > 0 { format!("{days}d ") } else { String::new() };
    format!("{days}{hours:02}:{minutes:02}:{:02}.{:06}", seconds % 60, at.0.subsec_micros())
}

/// The same as [`about`] for seconds.
pub(crate) fn about_seconds(seconds: f64) -> String {
    about(Length(Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX)))
}

/// Microseconds in a fitting unit.
pub(crate) fn micros(value: f64) -> String {
    match value.abs() {
        small if small < 1e3 => format!("{} µs", digits(value)),
        small if small < 1e6 => format!("{} ms", short(value / 1e3)),
        _ => seconds(value / 1e6),
    }
}

/// Seconds, from two minutes on in larger units as well.
pub(crate) fn seconds(value: f64) -> String {
    let plain = format!("{} s", short(value));
    if value.abs() < 120.0 { plain } else { format!("{plain} ({})", about_seconds(value.round())) }
}

/// Three or four significant digits.
fn short(value: f64) -> String {
    if value.abs() >= 100.0 || value.fract() == 0.0 { digits(value) } else { trimmed(&format!("{value:.2}")) }
}

fn trimmed(text: &str) -> String {
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// What a value must be.
pub(crate) fn limit(limit: Limit, unit: Unit) -> String {
    match limit {
        Limit::AtMost(most) => format!("at most {}", unit.show(most)),
        Limit::AtLeast(least) => format!("at least {}", unit.show(least)),
        Limit::Equals(exactly) => format!("exactly {}", unit.show(exactly)),
        Limit::Between(low, high) => format!("{} to {}", unit.show(low), unit.show(high)),
    }
}

/// A verdict as a word with a sign, in its colour.
pub(crate) fn verdict(verdict: Verdict) -> Markup {
    let (class, sign, word) = match verdict {
        Verdict::Violated => ("bad", "✗", "Violated"),
        Verdict::Inconclusive => ("open", "?", "Inconclusive"),
        Verdict::Pass => ("good", "✓", "Pass"),
    };
    html! { strong .verdict.(class) { span aria-hidden="true" { (sign) } " " (word) } }
}

/// A hook's name and role.
pub(crate) fn hook(name: &str, role: Role) -> Markup {
    html! { (Shown(name)) @if role == Role::Reference { " " small { "reference" } } }
}

/// "a", "a and b", "a, b and c".
pub(crate) fn listed(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_is_shown_and_what_is_long_is_cut() {
        assert_eq!(visible("a\u{202E}b\0c\nd"), "a⟨U+202E⟩b⟨U+0000⟩c d");
        assert_eq!(visible("über 🎈"), "über 🎈");
        assert!(visible(&"x".repeat(5_000)).ends_with("x… (4400 more characters)"));
        assert_eq!(html! { (Shown("<b \"&'>")) }.into_string(), "&lt;b &quot;&amp;'&gt;");
    }

    #[test]
    fn lengths_have_two_units_at_most() {
        assert_eq!(about(Length(Duration::new(1_476_003, 250_000_007))), "17d 2h");
        assert_eq!(about(Length(Duration::from_secs(410 * 3_600))), "17d 2h");
        assert_eq!(about(Length(Duration::from_secs(86_400 + 59))), "1d");
        assert_eq!(about(Length(Duration::ZERO)), "0s");
        assert_eq!(about_seconds(10_082.5), "2h 48m");
        assert_eq!(moment(Length(Duration::new(1_476_003, 250_000_007))), "17d 02:00:03.250000");
        assert_eq!(seconds(7_200.0), "7,200 s (2h)");
        assert_eq!(micros(4_106_239.0), "4.11 s");
    }
}
