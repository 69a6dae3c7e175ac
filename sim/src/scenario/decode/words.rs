//! Names in messages: the nearest known one, lists of them, and cutting a file's own text to size.
//!
//! Pure leaves; they know no key and no scenario.

/// Characters shown of a text that comes from the file.
const SHOWN_MAX: usize = 60;

/// The known name nearest to `word`, if one is near enough to have been meant.
pub(super) fn nearest<'n>(word: &str, names: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    if word.len() > SHOWN_MAX {
        return None;
    }
    let word = plain(word);
    let near = |name: &&str| strsim::osa_distance(&word, &plain(name));
    names
        .into_iter()
        .map(|name| (near(&name), name))
        .filter(|(distance, name)| *distance <= word.len().max(name.len()).div_ceil(3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

fn plain(name: &str) -> String {
    name.to_lowercase().replace(['_', ' '], "-")
}

/// "`a`, `b` and `c`".
pub(super) fn list<'n>(names: impl IntoIterator<Item = &'n str>, last: &str) -> String {
    let mut quoted: Vec<_> = names.into_iter().map(|name| format!("`{name}`")).collect();
    match (quoted.pop(), quoted.is_empty()) {
        (None, _) => "none".to_owned(),
        (Some(only), true) => only,
        (Some(end), false) => format!("{} {last} {end}", quoted.join(", ")),
    }
}

/// Text of the file as it can be shown in a message: one line, no control characters, not too long.
pub(super) fn clip(text: &str) -> String {
    let mut shown: String = text.chars().take(SHOWN_MAX).flat_map(shown).collect();
    if text.chars().nth(SHOWN_MAX).is_some() {
        shown.push('…');
    }
    shown
}

fn shown(character: char) -> Vec<char> {
    if character.is_control() { character.escape_default().collect() } else { vec![character] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_finds_the_name_that_was_meant() {
        let names = ["instances", "restart", "hook.latency-p99-us", "hook.latency-p999-us"];
        let cases = [
            ("instance", Some("instances")),
            ("Instances", Some("instances")),
            ("restrat", Some("restart")),
            ("hook.latency_p99", Some("hook.latency-p99-us")),
            ("colour", None),
            ("", None),
        ];
        for (word, expected) in cases {
            assert_eq!(nearest(word, names), expected, "{word}");
        }
    }

    #[test]
    fn long_and_odd_texts_are_cut_to_one_short_line() {
        assert_eq!(clip("a\nb\u{1b}"), "a\\nb\\u{1b}");
        assert_eq!(clip(&"ü".repeat(1000)).chars().count(), SHOWN_MAX + 1);
    }
}
