//! Text of others in GitHub Markdown: shown as it is, never markup, link, mention, emoji or formula.

use crate::table::text::clean;

/// An empty comment: it parts what GitHub would otherwise join to a mention, a reference or an emoji.
const GAP: &str = "<!-- -->";

/// The text for a paragraph, a heading, a list or a cell of a table, on one line.
pub(crate) fn escaped(text: &str) -> String {
    let text = clean(text);
    let mut escaped = String::with_capacity(text.len());
    let mut before = String::new();
    for (at, character) in text.char_indices() {
        let after = &text[at + character.len_utf8()..];
        match character {
            '\\' | '`' | '*' | '_' | '<' | '>' | '&' | '|' | '[' | ']' | '~' => escaped.extend(['\\', character]),
            // `$…$` is a formula, and a backslash counts only inside one.
            '$' => escaped.push_str("<span>$</span>"),
            '#' => escaped.extend(["\\#", GAP]),
            '@' => escaped.extend(["@", GAP]),
            // Of a link, `http:\//…` is none; `www\.` is none either.
            ':' if after.starts_with("//") => escaped.push_str("\\:"),
            ':' if is_emoji(after) => escaped.extend([":", GAP]),
            '.' if before.to_ascii_lowercase().ends_with("www") => escaped.push_str("\\."),
            _ => escaped.push(character),
        }
        before.push(character);
    }
    escaped
}

/// Whether a colon before `text` begins an emoji such as `:+1:`.
fn is_emoji(text: &str) -> bool {
    let name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '_');
    text.split_once(':').is_some_and(|(inside, _)| !inside.is_empty() && inside.chars().all(name))
}

/// A command as a block of its own, to be copied as it stands.
pub(crate) fn command(command: &str) -> String {
    let longest = command.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    format!("{fence}sh\n{command}\n{fence}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_others_is_shown_and_does_nothing() {
        let cases = [
            ("a|b", "a\\|b"),
            ("<b>&amp;</b>", "\\<b\\>\\&amp;\\</b\\>"),
            ("`x` *y* _z_ ~w~", "\\`x\\` \\*y\\* \\_z\\_ \\~w\\~"),
            ("![a](b)", "!\\[a\\](b)"),
            ("one\ntwo\r\u{7}", "one two  "),
            ("@octocat #12", "@<!-- -->octocat \\#<!-- -->12"),
            (":+1: a:b 12:30", ":<!-- -->+1: a:b 12:30"),
            ("https://a.b www.a.b a.b", "https\\://a.b www\\.a.b a.b"),
            ("$x$ $5", "<span>$</span>x<span>$</span> <span>$</span>5"),
            ("\\", "\\\\"),
        ];
        for (text, markdown) in cases {
            assert_eq!(escaped(text), markdown);
        }
    }

    #[test]
    fn a_command_cannot_close_its_block() {
        assert_eq!(command("run 'a.toml'"), "```sh\nrun 'a.toml'\n```\n");
        assert_eq!(command("run 'a\n```\nb'"), "````sh\nrun 'a\n```\nb'\n````\n");
    }
}
