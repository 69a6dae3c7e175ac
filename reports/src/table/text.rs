//! Text that fits: widths, cutting, wrapping, and the words for counts and verdicts.

use std::fmt::Write as _;

use super::palette::{Palette, Style};
use crate::record::Verdict;

/// No line of a table is wider, in columns of a terminal.
pub const WIDTH: usize = 80;
const HANGING: usize = 7;

/// The word of a verdict.
pub(crate) const fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Violated => "FAIL",
        Verdict::Inconclusive => "INCONCLUSIVE",
        Verdict::Pass => "PASS",
    }
}

/// Columns a character takes: 2 for East Asian wide ones and pictures, 0 for marks that join the one before, else 1.
fn columns(character: char) -> usize {
    match u32::from(character) {
        0x0300..=0x036F | 0x200B..=0x200F | 0x20D0..=0x20FF | 0xFE00..=0xFE0F | 0xFE20..=0xFE2F => 0,
        0x1100..=0x115F
        | 0x2E80..=0xA4CF
        | 0xAC00..=0xD7A3
        | 0xF900..=0xFAFF
        | 0xFE30..=0xFE6F
        | 0xFF00..=0xFF60
        | 0xFFE0..=0xFFE6
        | 0x1F300..=0x1FAFF
        | 0x20000..=0x3FFFD => 2,
        _ => 1,
    }
}

/// Columns a text takes.
pub(crate) fn width(text: &str) -> usize {
    text.chars().map(columns).sum()
}

/// The text with control characters, which could steer the terminal, replaced by spaces.
pub(crate) fn clean(text: &str) -> String {
    let steers = |c: char| c.is_control() || matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}');
    text.chars().map(|c| if steers(c) { ' ' } else { c }).collect()
}

/// The text, or its beginning and `…`, in at most `max` columns.
pub(crate) fn truncated(text: &str, max: usize) -> String {
    if width(text) <= max {
        return text.to_owned();
    }
    let mut cut = String::new();
    let mut taken = 1;
    for character in text.chars() {
        taken += columns(character);
        if taken > max {
            break;
        }
        cut.push(character);
    }
    cut.push('…');
    cut
}

/// The text with `gap` columns of spaces before it in a field of `field` columns.
pub(crate) fn right(text: &str, field: usize) -> String {
    format!("{}{text}", " ".repeat(field.saturating_sub(width(text))))
}

/// The text with spaces after it in a field of `field` columns.
pub(crate) fn left(text: &str, field: usize) -> String {
    format!("{text}{}", " ".repeat(field.saturating_sub(width(text))))
}

/// The text in the middle of a field of `field` columns.
pub(crate) fn centred(text: &str, field: usize) -> String {
    let text = truncated(text, field);
    let before = (field - width(&text)).div_ceil(2);
    left(&format!("{}{text}", " ".repeat(before)), field)
}

/// Breaks a text between words into lines of at most `max` columns; a longer word is cut.
pub(crate) fn wrapped(text: &str, max: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in clean(text).split_whitespace() {
        let mut rest = word;
        while !rest.is_empty() {
            let line = lines.last_mut().expect("there is always a line");
            let gap = usize::from(!line.is_empty());
            if width(line) + gap + width(rest) <= max {
                line.push_str(if gap == 1 { " " } else { "" });
                line.push_str(rest);
                break;
            }
            if gap == 1 {
                lines.push(String::new());
                continue;
            }
            let piece = beginning(rest, max);
            line.push_str(&rest[..piece]);
            rest = &rest[piece..];
            lines.push(String::new());
        }
    }
    lines.retain(|line| !line.is_empty());
    lines
}

/// Bytes of the longest beginning of at most `max` columns, at least one character.
fn beginning(text: &str, max: usize) -> usize {
    let mut taken = 0;
    for (at, character) in text.char_indices() {
        taken += columns(character);
        if taken > max && at > 0 {
            return at;
        }
    }
    text.len()
}

/// Writes a text in lines that begin with `indent` spaces.
pub(crate) fn paragraph(out: &mut String, style: &Style, indent: usize, text: &str) {
    for line in wrapped(text, WIDTH - indent) {
        let _ = writeln!(out, "{:indent$}{}", "", style.paint(&line));
    }
}

/// Writes a verdict's word in its style and a text after it; further lines hang below the text's beginning.
pub(crate) fn judgement(out: &mut String, palette: &Palette, verdict: Verdict, text: &str) {
    let word = word(verdict);
    let lines = wrapped(&format!("{word} {text}"), WIDTH - HANGING);
    for (index, line) in lines.iter().enumerate() {
        let _ = match line.strip_prefix(word).filter(|_| index == 0) {
            Some(rest) => writeln!(out, "  {}{rest}", palette.of(verdict).paint(word)),
            None => writeln!(out, "{:HANGING$}{line}", ""),
        };
    }
}

/// A whole number with commas between its thousands.
pub(crate) fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// The count that a metric holds.
pub(crate) fn whole(count: f64) -> u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count; the cast saturates")]
    let count = count.round() as u64;
    count
}

/// "1 run", "2 runs".
pub(crate) fn counted(count: u64, noun: &str) -> String {
    format!("{} {noun}{}", grouped(count), if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_and_wrapped_to_columns() {
        assert_eq!(truncated("hardened", 8), "hardened");
        assert_eq!(truncated("hardened-2", 8), "hardene…");
        assert_eq!(truncated("日本語", 4), "日…");
        assert_eq!(width("e\u{301}"), 1);
        assert_eq!(wrapped("one two  three", 7), ["one two", "three"]);
        assert_eq!(wrapped("abcdefghij k", 4), ["abcd", "efgh", "ij k"]);
        assert_eq!(wrapped("日本語", 1), ["日", "本", "語"]);
        assert!(wrapped("", 4).is_empty());
        assert_eq!(centred("ab", 5), "  ab ");
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(clean("a\u{1b}[31mb\n\u{202e}c"), "a [31mb  c");
    }

    #[test]
    fn counts_are_grouped() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(counted(1, "run"), "1 run");
    }
}
